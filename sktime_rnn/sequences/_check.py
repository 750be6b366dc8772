"""check_sequences: what users hand in becomes Sequences, or is refused."""

from collections.abc import Iterator, Mapping, Sequence, Set

import numpy as np
import pandas as pd

from sktime_rnn.panel import frame_values, is_column, is_panel, read_panel, series_values
from sktime_rnn.sequences._container import Sequences, offsets_from_lengths
from sktime_rnn.sequences._samples import (
    Flat,
    array_values,
    check_not_empty,
    count_axes,
    is_tensor,
    join_arrays,
    no_features,
    no_samples,
    one_dimensional,
    sample_arrays,
    tensor_values,
)
from sktime_rnn.sequences._text import (
    check_tokenizer,
    holds_str,
    holds_token_lists,
    read_texts,
    read_token_lists,
)
from sktime_rnn.sequences._values import as_numbers, as_tokens, check_finite, read_objects

_ALLOWED = "a list of arrays, an array, a pandas object or a Sequences"


# -- every container is an array or a list of samples


def _refuse_container(X, name):
    if isinstance(X, str | bytes):
        raise TypeError(
            f"{name} must be a list of texts, but a single {type(X).__name__} arrived: one text? wrap it in a list, "
            f"[{name}]."
        )
    if hasattr(X, "tocsr"):
        raise TypeError(
            f"{name} must be {_ALLOWED}, but a sparse container ({type(X).__name__}) arrived; sequences are "
            f"dense. Convert it: {name}.toarray()."
        )
    if isinstance(X, Mapping | Set):
        raise TypeError(
            f"{name} must be {_ALLOWED}, but a {type(X).__name__} arrived, whose samples have no fixed order. "
            f"Convert it: list({name}.values()), or sorted({name}) for a set."
        )
    if isinstance(X, Iterator):
        raise TypeError(
            f"{name} must be {_ALLOWED}, but a {type(X).__name__} arrived, which can be read only once. "
            f"Convert it: list({name})."
        )
    raise TypeError(f"{name} must be {_ALLOWED}, but a {type(X).__name__} arrived. Convert it to a list of arrays.")


def open_container(X, name):
    """Any container as an ndarray of two axes or more, or as a list of samples."""
    if is_tensor(X):
        return open_container(tensor_values(X), name)
    if isinstance(X, pd.DataFrame):
        return open_container(X.iloc[:, 0], name) if is_column(X) else frame_values(X)
    if isinstance(X, pd.Series):
        return open_container(series_values(X), name)
    if isinstance(X, list | tuple):
        return X
    if not hasattr(X, "__array__") and isinstance(X, Sequence) and not isinstance(X, str | bytes):
        return list(X)
    if not hasattr(X, "__array__") or hasattr(X, "tocsr"):
        _refuse_container(X, name)
    X = array_values(X)
    if X.ndim == 0:
        raise one_dimensional(name, f"a single value, {X[()]},")
    return X.tolist() if X.ndim == 1 and X.dtype.kind in "UO" else X


# -- readers, one per kind of input


def _check_axes(X, least, most, name, input):
    if X.ndim == 1:
        raise one_dimensional(name, f"a one-dimensional array of shape {X.shape}")
    if X.ndim < least or X.ndim > most:
        axes = f"{least}" if least == most else f"{least} to {most}"
        raise ValueError(
            f'With input="{input}", an array {name} must have {axes} dimensions, but its shape is {X.shape}. '
            'Reshape it, or choose another input: "sequence", "vector" or "grid".'
        )
    if len(X) == 0:
        raise no_samples(name, X.shape)
    if X.ndim > 2 and X.shape[1] == 0:
        check_not_empty(np.zeros(len(X)), name)
    if 0 in X.shape[1:]:
        raise no_features(name, X.shape)


def _read_list(samples, tokenizer, name):
    """A list of texts, of token lists or of arrays."""
    if len(samples) == 0:
        raise no_samples(name, (0,))
    if holds_str(samples):
        return Flat(*read_texts(samples, tokenizer, name))
    if holds_token_lists(samples):
        return Flat(*read_token_lists(samples, name))
    return join_arrays(sample_arrays(samples, name), name)


def _read_sequence(X, tokenizer, name):
    if is_panel(X):
        panel = read_panel(X, name=name)
        if len(panel.instances) == 0:
            raise no_samples(name, X.shape)
        if panel.values.shape[1] == 0:
            raise no_features(name, X.shape)
        return Flat(panel.values, panel.offsets)
    X = open_container(X, name)
    if not isinstance(X, np.ndarray):
        return _read_list(X, tokenizer, name)
    _check_axes(X, 2, np.inf, name, "sequence")
    n_samples, n_timesteps, *step_shape = X.shape
    values = X.reshape(n_samples * n_timesteps, *step_shape)
    return Flat(values, np.arange(n_samples + 1, dtype=np.int64) * n_timesteps)


def _read_vector(X, tokenizer, name):
    X = open_container(X, name)
    if isinstance(X, np.ndarray):
        _check_axes(X, 2, 2, name, "vector")
        return Flat(X, np.arange(len(X) + 1, dtype=np.int64))
    values, offsets, _ = _read_list(X, tokenizer, name)
    lengths = np.diff(offsets)
    if values.ndim != 1:
        raise ValueError(
            f'With input="vector", every sample of {name} must be one vector of shape (n_features,), but sample 0 has '
            f'the shape {(int(lengths[0]), *values.shape[1:])}. Use input="sequence" for sequences.'
        )
    if (lengths != lengths[0]).any():
        sample = int(np.argmax(lengths != lengths[0]))
        raise ValueError(
            f"All vectors of {name} must have the same number of features, but sample 0 has {lengths[0]} and "
            f"sample {sample} has {lengths[sample]}. Give all of them the same features."
        )
    return Flat(values.reshape(len(lengths), -1), np.arange(len(lengths) + 1, dtype=np.int64))


def _check_grids(arrays, name):
    for i, array in enumerate(arrays):
        if array.ndim not in (2, 3) or array.ndim != arrays[0].ndim:
            raise ValueError(
                f"Every grid of {name} must have the shape (height, width), or every one (height, width, "
                f"channels), but sample {i} has the shape {array.shape}. Reshape it."
            )


def _read_grid(X, tokenizer, name):
    X = open_container(X, name)
    if isinstance(X, np.ndarray):
        _check_axes(X, 3, 4, name, "grid")
        n_samples, height, width, *channels = X.shape
        shapes = np.tile(np.array([height, width], dtype=np.int64), (n_samples, 1))
        values = X.reshape(n_samples * height * width, *channels)
        return Flat(values, offsets_from_lengths(shapes.prod(axis=1)), shapes)
    if len(X) == 0:
        raise no_samples(name, (0,))
    arrays = sample_arrays(X, name)
    _check_grids(arrays, name)
    shapes = np.array([array.shape[:2] for array in arrays], dtype=np.int64)  # (n_samples, 2)
    check_not_empty(shapes.prod(axis=1), name)
    cells = [
        array.reshape(height * width, *array.shape[2:]) for array, (height, width) in zip(arrays, shapes, strict=True)
    ]
    return join_arrays(cells, name)._replace(shapes=shapes)


_READERS = {"sequence": _read_sequence, "vector": _read_vector, "grid": _read_grid}


# -- the door


def _check_options(input, tokens, tokenizer, missing):
    if input not in _READERS:
        raise ValueError(f'input must be "sequence", "vector" or "grid", but {input!r} arrived. Choose one of these.')
    if missing not in ("error", "mask"):
        raise ValueError(f'missing must be "error" or "mask", but {missing!r} arrived. Choose one of these.')
    if tokens and input != "sequence":
        raise ValueError(
            f'tokens=True goes with input="sequence" only, but input="{input}" arrived. Leave one of the two out.'
        )
    check_tokenizer(tokenizer)


def _check_kind(X, input, tokens, name):
    """Whether a Sequences is of the kind that was asked for."""
    if len(X) == 0:
        raise no_samples(name, X.shape)
    check_not_empty(X.lengths, name)
    if input == "vector" and (X.lengths != 1).any():
        sample = int(np.argmax(X.lengths != 1))
        raise ValueError(
            f'With input="vector", every sample of {name} must be one vector, but sample {sample} has '
            f'{X.lengths[sample]} steps. Use input="sequence".'
        )
    if tokens and not X.is_tokens:
        raise TypeError(
            f"With tokens=True, {name} must hold integers or str, one a step, but {X} arrived. Make it from integers "
            "by check_sequences(..., tokens=True)."
        )
    if (input == "grid") != (X.shapes is not None):
        arrived = "without the shapes of grids" if input == "grid" else "with the shapes of grids"
        raise ValueError(
            f'{name} must be made for input="{input}", but a Sequences {arrived} arrived. Make it by '
            f'check_sequences(..., input="{input}").'
        )


def _check_again(X, input, tokens, missing, name):
    _check_kind(X, input, tokens, name)
    if X.values.dtype.kind not in "bf":
        return X
    if X.is_tokens:  # one number a step
        X = Sequences(as_numbers(X.values, name), X.offsets, X.shapes)
    check_finite(X.values, X.offsets, name, missing)
    return X


def check_sequences(X, *, input="sequence", tokens=False, tokenizer="char", missing="error", name="X"):
    r"""Read what users call sequences, or say what is wrong with it.

    Parameters
    ----------
    X : object
        With ``input="sequence"``, one of:

        - a list, tuple, object array, Series or column of arrays of shape (n_timesteps_i,) or
          (n_timesteps_i, \*step_shape), of lists, tensors, DataFrames or Series;
        - an array of shape (n_samples, n_timesteps), one feature, or (n_samples, n_timesteps, \*step_shape), or a
          tensor or DataFrame in its place;
        - a DataFrame or Series indexed by (instance, time);
        - texts: a list, array, Series or column of str, cut by `tokenizer`; or lists of str, which are tokens as
          they are;
        - a `Sequences`, which is returned.

        With ``input="vector"``, an array or DataFrame of shape (n_samples, n_features) or a list of vectors: each
        sample becomes one step. With ``input="grid"``, an array of shape (n_samples, height, width[, channels]) or
        a list of arrays of shape (height_i, width_i[, channels]): each cell becomes a step, row by row.
    input : {"sequence", "vector", "grid"}, default="sequence"
        What a sample is; never guessed.
    tokens : bool, default=False
        Integers are codes of tokens instead of values, and str are never read as numbers. Floats are refused, even
        if integral.
    tokenizer : {"char", "word"} or callable, default="char"
        How texts are cut; a callable takes a str and gives a list of str.
    missing : {"error", "mask"}, default="error"
        "mask" lets NaN through; infinite numbers never pass.
    name : str, default="X"
        What error messages call the argument.

    Returns
    -------
    Sequences
        Numbers have at least one feature axis. Nothing is copied from contiguous arrays of floats.

    Raises
    ------
    TypeError
        If the container, or the type of its values, is not one of the above.
    ValueError
        If there are no samples, empty sequences, unequal features per step, NaN or infinite numbers.

    Examples
    --------
    >>> from sktime_rnn import check_sequences
    >>> check_sequences([[1, 2, 3], [4, 5]])
    Sequences(2 samples of 2 to 3 steps, step_shape=(1,), float64)
    >>> check_sequences(["to be", "or not"], tokenizer="word")[1]
    array(['or', 'not'], dtype=object)
    """
    _check_options(input, tokens, tokenizer, missing)
    if isinstance(X, Sequences):
        return _check_again(X, input, tokens, missing, name)
    values, offsets, shapes = _READERS[input](X, tokenizer, name)
    if values.dtype == object:
        values = read_objects(values, offsets, name, tokens)
    if input != "sequence" and values.dtype.kind in "UO":
        raise TypeError(
            f'With input="{input}", {name} must hold numbers, but str arrived. Use input="sequence" for texts and '
            "tokens."
        )
    if tokens or values.dtype.kind in "UO":
        return Sequences(as_tokens(values, name), offsets)
    values = as_numbers(values, name)
    check_finite(values, offsets, name, missing)
    return Sequences(values, offsets, shapes)


def counts_columns(X):
    """Whether X is a table whose columns are counted by ``n_features_in_``.

    True for two-dimensional arrays, tensors and plain DataFrames of shape (n_samples, n_timesteps); for all other
    containers the features per step are counted.

    Parameters
    ----------
    X : object

    Returns
    -------
    bool
    """
    if isinstance(X, pd.DataFrame) and (is_panel(X) or is_column(X)):
        return False
    return count_axes(X) == 2
