"""Containers of numbers to flat arrays: whatever users hold, laid end to end once."""

import numbers
from typing import NamedTuple

import numpy as np
import pandas as pd

from sktime_rnn.panel import frame_values, has_axes, series_values
from sktime_rnn.sequences._container import number_dtype, offsets_from_lengths


class Flat(NamedTuple):
    """Steps end to end as they were read, before their values are looked at."""

    values: np.ndarray  # (n_steps_total, *step_shape), any dtype
    offsets: np.ndarray  # (n_samples + 1,)
    shapes: np.ndarray | None = None  # (n_samples, 2), grids


def count_axes(X):
    """The number of axes of an array, or of what can be seen as one; 1 for lists."""
    if hasattr(X, "shape"):
        return len(X.shape)
    return np.asarray(X).ndim if hasattr(X, "__array__") else 1


def is_tensor(X):
    return all(hasattr(X, method) for method in ("detach", "cpu", "numpy"))


def tensor_values(tensor):
    tensor = tensor.detach().cpu()
    try:
        return tensor.numpy()
    except TypeError:  # bfloat16, which NumPy does not know
        return tensor.float().numpy()


def array_values(X):
    """An array, or what can be seen as one, as a plain ndarray; masked cells become NaN."""
    if isinstance(X, np.ma.MaskedArray) and np.ma.is_masked(X):
        return X.astype(number_dtype(X.dtype)).filled(np.nan)
    return np.asarray(X)


def one_dimensional(name, what):
    return ValueError(
        f"{name} must hold several sequences, but {what} arrived. Reshape your data: one sequence? wrap it in "
        f"a list, [{name}]; one value per sequence? use {name}.reshape(-1, 1)."
    )


def no_samples(name, shape):
    return ValueError(
        f"{name} must hold at least one sample, but there are 0 sample(s) (shape={shape}) while a minimum of "
        "1 is required. Check the selection that made it."
    )


def no_features(name, shape):
    return ValueError(
        f"{name} must have at least one feature, but there are 0 feature(s) (shape={shape}) while a minimum "
        "of 1 is required. Check the selection that made it."
    )


def check_not_empty(lengths, name):
    if not lengths.all():
        raise ValueError(
            f"Every sequence of {name} must have at least one step, but sample {int(np.argmin(lengths))} is "
            "empty. Drop it, together with its target."
        )


# -- one sample


def _nested_array(sample, i, name):
    try:
        return np.asarray(sample)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"Every sample of {name} must be one array, with equally many features in each step, but sample "
            f"{i} cannot be read as one: {error}. Give all its steps the same features."
        ) from error


def sample_array(sample, i, name):
    """Sample i of a list as an array."""
    if is_tensor(sample):
        return tensor_values(sample)
    if isinstance(sample, pd.DataFrame):
        return frame_values(sample)
    if isinstance(sample, pd.Series):
        return series_values(sample)
    if isinstance(sample, list | tuple):
        return _list_array(sample, i, name)
    if hasattr(sample, "__array__"):
        sample = array_values(sample)
        if sample.dtype == object and sample.ndim == 1 and len(sample) and has_axes(sample[0]):
            return _nested_array(list(sample), i, name)  # steps as cells
        return sample
    if isinstance(sample, numbers.Number):
        return np.asarray(sample)
    raise TypeError(
        f"Every sample of {name} must be an array, a list of numbers or a pandas object, but sample {i} is "
        f"{_describe(sample)}. Convert it to an array."
    )


def _describe(value):
    return repr(value) if value is None or value is pd.NA else f"a {type(value).__name__}"


def _list_array(sample, i, name):
    if sample and is_tensor(sample[0]):
        sample = [tensor_values(step) for step in sample]
    array = _nested_array(sample, i, name)
    if array.dtype.kind == "U" and not all(isinstance(value, str) for value in sample):
        raise TypeError(
            f"Every sample of {name} must hold numbers, or one str per step, but sample {i} holds something "
            f"else: {sample[0]!r}, ... . Convert it to an array of numbers."
        )
    return array


# -- lists of samples


def _check_same_columns(samples, name):
    first = samples[0].columns if isinstance(samples[0], pd.DataFrame) else None
    for i, sample in enumerate(samples):
        columns = sample.columns if isinstance(sample, pd.DataFrame) else None
        if columns is first or (columns is not None and first is not None and columns.equals(first)):
            continue
        raise ValueError(
            f"All frames of {name} must have the same columns in the same order, but sample 0 has "
            f"{None if first is None else list(first)} and sample {i} has "
            f"{None if columns is None else list(columns)}. Select the columns in one order: "
            "[frame[columns] for frame in frames]."
        )


def _check_time_indexes(samples, name):
    for i, sample in enumerate(samples):
        index = getattr(sample, "index", None)
        if not isinstance(index, pd.DatetimeIndex | pd.PeriodIndex | pd.TimedeltaIndex):
            continue
        if not (index.is_monotonic_increasing and index.is_unique):
            raise ValueError(
                f"The time stamps of every sample of {name} must be strictly increasing, but those of sample "
                f"{i} are unsorted or duplicate. Sort them and drop the duplicates: frame.sort_index()."
            )


def sample_arrays(samples, name):
    """A list of samples as a list of arrays; the arrays are not compared yet."""
    kinds = set(map(type, samples))
    if kinds == {np.ndarray} and np.dtype(object) not in {sample.dtype for sample in samples}:
        return samples
    if any(issubclass(kind, pd.DataFrame) for kind in kinds):
        _check_same_columns(samples, name)
    if any(issubclass(kind, pd.DataFrame | pd.Series) for kind in kinds):
        _check_time_indexes(samples, name)
    return [sample_array(sample, i, name) for i, sample in enumerate(samples)]


def _check_step_shapes(arrays, name):
    shapes = {array.shape[1:] for array in arrays}
    if len(shapes) == 1:
        return
    expected = arrays[0].shape[1:]
    sample = next(i for i, array in enumerate(arrays) if array.shape[1:] != expected)
    raise ValueError(
        f"All sequences of {name} must have the same number of features per step, but sample 0 has the shape "
        f"{arrays[0].shape} and sample {sample} the shape {arrays[sample].shape}, time first. "
        "Give all of them the same features."
    )


def _join_dtype(arrays, name):
    """The dtype that a list of arrays is joined in; None for the one that NumPy finds."""
    dtypes = {array.dtype for array in arrays}
    kinds = {dtype.kind for dtype in dtypes}
    if kinds <= set("biuf") and "f" in kinds:
        return number_dtype(*dtypes)
    if len(kinds) == 1 or kinds <= set("biufc"):
        return None
    if kinds <= set("OUbiuf") and "O" in kinds:
        return np.dtype(object)
    expected = arrays[0].dtype
    sample = next(i for i, array in enumerate(arrays) if array.dtype.kind != expected.kind)
    raise TypeError(
        f"All samples of {name} must hold values of one kind, but sample 0 has dtype {expected} and sample "
        f"{sample} has dtype {arrays[sample].dtype}. Convert them to numbers of one dtype."
    )


def join_arrays(arrays, name):
    """Lay a list of arrays end to end.

    Parameters
    ----------
    arrays : list of ndarray of shape (n_timesteps_i, *step_shape)
    name : str

    Returns
    -------
    Flat
    """
    if 0 in {array.ndim for array in arrays}:
        raise one_dimensional(name, "a list of single values")
    lengths = np.fromiter(map(len, arrays), dtype=np.int64, count=len(arrays))
    check_not_empty(lengths, name)
    _check_step_shapes(arrays, name)
    if 0 in arrays[0].shape[1:]:
        raise no_features(name, arrays[0].shape)
    values = np.concatenate(arrays, axis=0, dtype=_join_dtype(arrays, name), casting="unsafe")
    return Flat(values, offsets_from_lengths(lengths))
