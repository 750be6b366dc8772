"""What the flat values may be: finite numbers, integer codes or str."""

import numpy as np

from sktime_rnn.sequences._container import number_dtype

_CHUNK = 1 << 16  # numbers looked at together: their masks stay in the processor's cache


def first_non_finite(values, allow_nan=False):
    """The index of the first NaN or infinite number, or None.

    Parameters
    ----------
    values : ndarray of floats
    allow_nan : bool, default=False
        Look for infinite numbers only.

    Returns
    -------
    tuple of int or None
    """
    rows = max(1, _CHUNK // max(1, values[:1].size))
    for start in range(0, len(values), rows):
        chunk = values[start : start + rows]
        bad = np.isinf(chunk) if allow_nan else ~np.isfinite(chunk)
        if bad.any():
            row, *rest = np.unravel_index(np.argmax(bad), bad.shape)
            return (start + int(row), *map(int, rest))
    return None


def step_of(offsets, row):
    """The sample that owns a row of the flat values, and its step there."""
    sample = int(np.searchsorted(offsets, row, side="right")) - 1
    return sample, int(row - offsets[sample])


def describe_place(offsets, index):
    """Sample, step and feature of an index into the flat values, in words."""
    sample, step = step_of(offsets, index[0])
    feature = index[1:]
    place = f"sample {sample}, step {step}"
    if not feature:
        return place
    return f"{place}, feature {feature[0] if len(feature) == 1 else feature}"


def check_finite(values, offsets, name, missing="error"):
    index = first_non_finite(values, allow_nan=missing == "mask")
    if index is None:
        return
    place = describe_place(offsets, index)
    if np.isnan(values[index]):
        raise ValueError(
            f"{name} must not contain NaN, but there is one at {place} (counted from 0). Impute missing "
            'values before, or pass missing="mask" where it is offered.'
        )
    raise ValueError(
        f"{name} must be finite, but there is {values[index]} (inf) at {place} (counted from 0). Replace "
        "infinite values, or drop the sample."
    )


def _reading_error(value):
    """What is wrong with a cell that is no number; None for a number."""
    cell = np.empty(1, dtype=object)
    cell[0] = value
    try:
        cell.astype(np.float64)
    except (TypeError, ValueError) as error:
        return error
    return None


def read_objects(values, offsets, name, tokens=False):
    """An object array as numbers or, where it holds nothing but str that are not numbers, as it is."""
    all_str = all(issubclass(kind, str) for kind in set(map(type, values.flat)))
    if tokens and all_str:
        return values
    try:
        return values.astype(np.float64) if not tokens else _object_codes(values)
    except (TypeError, ValueError):
        if all_str:
            return values
        index = next(i for i in np.ndindex(values.shape) if _reading_error(values[i]))
        error = _reading_error(values[index])
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(
            f"{name} must hold numbers, or nothing but str, but {values[index]!r} at "
            f"{describe_place(offsets, index)} is neither: {error}. Convert it to a number."
        ) from error


def _object_codes(values):
    if all(issubclass(kind, int | np.integer) for kind in set(map(type, values.flat))):
        return values.astype(np.int64)
    return values.astype(np.float64)


def _check_one_per_step(values, name):
    if values.ndim == 2 and values.shape[1] == 1:
        return values[:, 0]
    if values.ndim != 1:
        raise ValueError(
            f"{name} must have one token per step, but its steps have the shape {values.shape[1:]}. Pass one "
            "sequence of tokens per sample."
        )
    return values


def as_tokens(values, name):
    """Flat values as codes (int64) or str, one a step."""
    kind = values.dtype.kind
    if kind in "iuUO":
        values = _check_one_per_step(values, name)
        return values.astype(np.int64, copy=False) if kind in "iu" else values
    raise TypeError(
        f"With tokens=True, {name} must hold integers or str, but values of dtype {values.dtype} arrived. "
        "Convert integral floats first: X.astype(int)."
    )


def as_numbers(values, name):
    """Flat values as contiguous float32 or float64, with at least one feature axis."""
    kind = values.dtype.kind
    if kind == "c":
        raise ValueError(
            f"Complex data not supported: {name} must hold real numbers, but values of dtype {values.dtype} "
            "arrived. Pass the real and imaginary parts as two features."
        )
    if kind not in "biuf":
        raise TypeError(
            f"{name} must hold real numbers or str, but values of dtype {values.dtype} arrived. Convert them "
            "to numbers, dates for example to days since the first."
        )
    values = np.ascontiguousarray(values, dtype=number_dtype(values.dtype))
    return values[:, np.newaxis] if values.ndim == 1 else values
