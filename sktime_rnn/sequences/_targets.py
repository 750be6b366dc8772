"""Targets with a value or label per step."""

import numpy as np
import pandas as pd

from sktime_rnn.panel import is_panel, read_panel
from sktime_rnn.sequences._check import open_container
from sktime_rnn.sequences._container import Sequences
from sktime_rnn.sequences._samples import Flat, join_arrays, no_samples, sample_arrays
from sktime_rnn.sequences._text import holds_str, holds_token_lists, read_token_lists
from sktime_rnn.sequences._values import check_finite, describe_place


def _not_per_step(name, what):
    return ValueError(
        f"{name} must hold one array of labels or values per sample, one entry per step, but {what} arrived. "
        "Pass a list of arrays that are as long as their samples."
    )


def _read_targets(y, name):
    if isinstance(y, Sequences):
        return Flat(y.values, y.offsets)
    if is_panel(y):
        panel = read_panel(y, name=name)
        return Flat(panel.values, panel.offsets)
    y = open_container(y, name)
    if isinstance(y, np.ndarray):
        if y.ndim not in (2, 3):
            raise _not_per_step(name, f"an array of shape {y.shape}")
        n_samples, n_timesteps, *n_outputs = y.shape
        values = y.reshape(n_samples * n_timesteps, *n_outputs)
        return Flat(values, np.arange(n_samples + 1, dtype=np.int64) * n_timesteps)
    return _read_target_list(y, name)


def _read_target_list(y, name):
    if len(y) == 0:
        raise no_samples(name, (0,))
    if holds_str(y):
        raise _not_per_step(name, "a list of str")
    if holds_token_lists(y):
        return Flat(*read_token_lists(y, name))
    arrays = sample_arrays(y, name)
    if 0 in {array.ndim for array in arrays}:
        raise _not_per_step(name, "a list of single values")
    return join_arrays(arrays, name)


def _check_lengths(offsets, lengths, name):
    if len(offsets) - 1 != len(lengths):
        raise ValueError(
            f"{name} must have as many samples as X, {len(lengths)}, but it has {len(offsets) - 1}. "
            "Pass one array per sample."
        )
    found = np.diff(offsets)
    if (found != lengths).any():
        sample = int(np.argmax(found != lengths))
        raise ValueError(
            f"{name} must have one entry per step of X, but sample {sample} has {found[sample]} entries for "
            f"{lengths[sample]} steps. Cut or complete it to the length of its sample."
        )


def _plain_labels(values, offsets, name):
    """An object array with its labels' own dtype; str stay objects."""
    if all(issubclass(kind, str) for kind in set(map(type, values.flat))):
        return values
    missing = pd.isna(values)
    if missing.any():
        index = tuple(map(int, np.unravel_index(np.argmax(missing), values.shape)))
        raise ValueError(
            f"{name} must not have missing labels, but {values[index]} is at {describe_place(offsets, index)} "
            "(counted from 0). Fill it in, or drop the sample."
        )
    plain = np.array(values.tolist())
    if plain.dtype.kind in "biuf":
        return plain
    first = values.flat[0]
    index = next((i for i in np.ndindex(values.shape) if type(values[i]) is not type(first)), (0,) * values.ndim)
    raise TypeError(
        f"{name} must hold nothing but str, or nothing but numbers, but it begins with {first!r} and has "
        f"{values[index]!r} at {describe_place(offsets, index)}. Convert all of them to str, or all to numbers."
    )


def _check_target_kind(values, name):
    if values.dtype.kind not in "biufUO":
        raise TypeError(
            f"{name} must hold str or real numbers, but values of dtype {values.dtype} arrived. Convert them."
        )
    if values.ndim > (1 if values.dtype.kind in "UO" else 2):
        raise ValueError(
            f"{name} must have one label, or a vector of numbers, per step, but its steps have the shape "
            f"{values.shape[1:]} and the dtype {values.dtype}. Flatten them, or train one estimator per label."
        )


def check_step_targets(y, lengths, *, name="y"):
    """Read targets that have a label or value for every step.

    Parameters
    ----------
    y : object
        A list of arrays of shape (n_timesteps_i,) or (n_timesteps_i, n_outputs), of labels (str, integers) or of
        numbers; an array of shape (n_samples, n_timesteps) or (n_samples, n_timesteps, n_outputs); a Series or
        DataFrame indexed by (instance, time); or a `Sequences`.
    lengths : ndarray of shape (n_samples,)
        The number of steps of every sample of X.
    name : str, default="y"
        What error messages call the argument.

    Returns
    -------
    Sequences
        Its values have the shape (n_steps_total,), or (n_steps_total, n_outputs) where there are several. Labels
        keep their type, integers are int64 and other numbers float64.

    Raises
    ------
    TypeError
        If labels are of several types.
    ValueError
        If the lengths differ from those of X, or values are missing or infinite.

    Examples
    --------
    >>> import numpy as np
    >>> check_step_targets([["DET", "NOUN"], ["VERB"]], np.array([2, 1])).values
    array(['DET', 'NOUN', 'VERB'], dtype=object)
    """
    values, offsets, _ = _read_targets(y, name)
    _check_lengths(offsets, np.asarray(lengths), name)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.dtype == object:
        values = _plain_labels(values, offsets, name)
    _check_target_kind(values, name)
    if values.dtype.kind == "f":
        values = values.astype(np.float64, copy=False)
        check_finite(values, offsets, name)
    return Sequences(values, offsets)


def is_nested(y):
    """Whether targets come as one array for each sample.

    Parameters
    ----------
    y : object
        What a user passed as y.

    Returns
    -------
    bool
        True for lists, object arrays and columns of arrays, 3-D arrays, `Sequences` and frames indexed by
        (instance, time).
    """
    if isinstance(y, Sequences) or getattr(y, "ndim", 0) == 3 or is_panel(y):
        return True
    holds_objects = isinstance(y, list | tuple) or pd.api.types.is_object_dtype(getattr(y, "dtype", None))
    if getattr(y, "ndim", 1) != 1 or not holds_objects or len(y) == 0:
        return False
    first = y.iloc[0] if hasattr(y, "iloc") else y[0]
    return hasattr(first, "__len__") and not isinstance(first, str | bytes)


def are_rows(y, lengths):
    """Whether a list of arrays is a matrix (n_samples, n_outputs), not targets for every step.

    Parameters
    ----------
    y : object
        Nested targets.
    lengths : ndarray of shape (n_samples,)
        The number of steps of every sample of X.

    Returns
    -------
    bool
        True where all arrays of a list have one length, and no sample has as many steps.
    """
    if not isinstance(y, list | tuple) or len(y) != len(lengths):
        return False
    widths = np.fromiter(map(len, y), dtype=np.int64, count=len(y))
    return bool((widths == widths[0]).all() and (widths != lengths).all())
