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


def following(values, data):
    """Return an array that follows a series as pandas, with the steps after its end.

    Parameters
    ----------
    values : ndarray of shape (n_steps,) or (n_steps, n_variables)
        What follows.
    data : SeriesData
        The series, one.

    Returns
    -------
    container : Series or DataFrame
        With an index on the axis of the series.
    """
    index = data.axis.index(data.last[0] + 1 + np.arange(len(values)))
    return pd.Series(values, index) if values.ndim == 1 else pd.DataFrame(values, index)


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
        raise ValueError(f"{name} must hold numbers between 0 and 1, got {bad[0] if bad else 'none'!r}. Correct it.")
