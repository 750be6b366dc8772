"""What is known when a forecast is made, and the frames that come of it."""

from dataclasses import dataclass
from numbers import Real

import numpy as np
import pandas as pd

from sktime_rnn.panel import Features, SeriesData


@dataclass(frozen=True)
class Known:
    """What is known when a forecast is made.

    Attributes
    ----------
    data : SeriesData
        The series so far.
    past : Features or None
        Exogenous features, one row for each row of ``data.values``.
    future : Features or None
        Those of the steps ahead, (S * H, ...).
    static : Features or None
        Those of the series, (S, ...).
    """

    data: SeriesData
    past: Features | None = None
    future: Features | None = None
    static: Features | None = None


def constant_columns(reader, known):
    """Return the columns that stay what they are in every series of a panel: the future need not give them.

    Parameters
    ----------
    reader : FeatureReader
        Knows the columns.
    known : Known
        The series with their features.

    Returns
    -------
    columns : list
        Their names.
    """
    if known.data.names is None:
        return []
    starts = known.data.offsets[:-1]
    constant = []
    for names, values in (
        (reader.numeric_, known.past.numbers),
        (reader.categorical_, known.past.codes),
    ):
        first = np.repeat(values[starts], known.data.lengths, axis=0)
        same = ((values == first) | ((values != values) & (first != first))).all(axis=0)
        constant += [name for name, is_same in zip(names, same, strict=True) if is_same]
    return constant


def carry_on(reader, known, future, columns, n_steps):
    """Give columns that are constant in each series their last value in the future as well.

    Parameters
    ----------
    reader : FeatureReader
        Knows the columns.
    known : Known
        The series with their features.
    future : Features
        Features of the steps ahead, changed in place.
    columns : list
        Which columns.
    n_steps : int
        Number of steps ahead.

    Returns
    -------
    future : Features
        The same.
    """
    last = np.repeat(known.data.offsets[1:] - 1, n_steps)
    for names, ahead, so_far in (
        (reader.numeric_, future.numbers, known.past.numbers),
        (reader.categorical_, future.codes, known.past.codes),
    ):
        places = [place for place, name in enumerate(names) if name in columns]
        ahead[:, places] = so_far[last][:, places]
    return future


def join_features(old, new, rows, n_rows):
    """Return the features of steps that were joined.

    Parameters
    ----------
    old, new : Features
        Of the steps so far, and of those that came.
    rows : tuple of int64 ndarrays
        The rows that they became, see :func:`~sktime_rnn.panel.join_series`.
    n_rows : int
        Number of steps together.

    Returns
    -------
    features : Features
        One row a step.
    """
    numbers = np.full((n_rows, new.numbers.shape[1]), np.nan)
    codes = np.zeros((n_rows, new.codes.shape[1]), dtype=np.int64)
    for part, where in zip((old, new), rows, strict=True):
        numbers[where], codes[where] = part.numbers, part.codes
    return Features(numbers, codes)


def frame_of(data, values, steps, columns):
    """Return values of some of the steps ahead as a frame.

    Parameters
    ----------
    data : SeriesData
        The series.
    values : ndarray of shape (n_series, n_steps_ahead, n_columns)
        Values of all steps ahead.
    steps : int64 ndarray of shape (n_series, n)
        Which steps, from 1.
    columns : Index
        What the columns are called.

    Returns
    -------
    frame : DataFrame
        One row a series and step.
    """
    series = np.repeat(np.arange(len(data)), steps.shape[1])
    rows = values[series, steps.ravel() - 1]
    return pd.DataFrame(rows, index=data.index(series, (data.last[:, None] + steps).ravel()), columns=columns)


def frame_of_paths(data, paths, steps):
    """Return sampled paths as a frame.

    Parameters
    ----------
    data : SeriesData
        The series.
    paths : ndarray of shape (n_samples, n_series, n_steps_ahead, n_variables)
        Values of all steps ahead.
    steps : int64 ndarray of shape (n_series, n)
        Which steps, from 1.

    Returns
    -------
    frame : DataFrame
        One row a sample, series and step; the number of the sample is the first level of the index.
    """
    n_samples, series = len(paths), np.repeat(np.arange(len(data)), steps.shape[1])
    index = data.index(series, (data.last[:, None] + steps).ravel())
    if data.names is None:
        index = pd.MultiIndex.from_arrays([index])
    samples = np.repeat(np.arange(n_samples), len(index))
    index = pd.MultiIndex(
        levels=[pd.RangeIndex(n_samples), *index.levels],
        codes=[samples, *(np.tile(codes, n_samples) for codes in index.codes)],
        names=["sample", *index.names],
        verify_integrity=False,
    )
    rows = paths[:, series, steps.ravel() - 1].reshape(-1, data.n_variables)
    return pd.DataFrame(rows, index=index, columns=data.variables)


def check_probabilities(name, values):
    """Refuse what is no list of probabilities between 0 and 1.

    Parameters
    ----------
    name : str
        What error messages call it.
    values : list
        What the user passed.
    """
    bad = [value for value in values if not isinstance(value, Real) or not 0 < value < 1]
    if bad or not values:
        got = f"{bad[0]!r}" if bad else "none"
        raise ValueError(f"{name} must hold numbers between 0 and 1, got {got}. Correct it.")
    if len(set(values)) < len(values):
        raise ValueError(f"{name} must hold each number once, got {values}. Drop the duplicates.")
