"""What the baselines share: normal forecasts, and series as rectangular arrays.

Shapes: S series, T steps of the longest, H steps ahead, V variables, Q quantiles.
"""

from abc import abstractmethod
from statistics import NormalDist

import numpy as np
import pandas as pd

from sktime_rnn.base import BaseForecaster, StrOptions

READING = {
    "missing": [StrOptions({"error", "mask"})],
    "gaps": [StrOptions({"error", "fill"})],
    "freq": [str, pd.offsets.BaseOffset, None],
}


_BLOCK = 2**22  # numbers in an array of many series at once


class GaussianForecaster(BaseForecaster):
    """Base of the forecasters whose forecasts are normal.

    Subclasses supply ``_fit``, ``_paths`` and ``_one_step``, and

    - ``_moments(known, n_steps)`` -> mean and variance, (S, H, V) each.

    Those with one model a series set ``_names``, the series that have one (None: one model, for any series).
    """

    @abstractmethod
    def _moments(self, known, n_steps):
        """Return mean and variance of the steps ahead, (S, H, V) each."""

    def _point(self, known, n_steps):
        return self._moments(known, n_steps)[0]

    def _variance(self, known, n_steps):
        return self._moments(known, n_steps)[1]

    def _quantiles(self, known, n_steps, alpha):
        mean, variance = self._moments(known, n_steps)
        z = np.array([NormalDist().inv_cdf(probability) for probability in alpha])
        return mean[..., None] + np.sqrt(variance)[..., None] * z  # (S, H, V, Q)

    def _model_of(self, data):
        """Return the number of the model that belongs to each series, (S,)."""
        if self._names is None:
            return np.zeros(len(data), dtype=np.int64)
        found = np.full(len(data), -1) if data.names is None else self._names.get_indexer(data.names)
        if (found < 0).any():
            raise ValueError(
                f"y must hold series of fit, since each has a model of its own, got {data.name_of(np.argmin(found))}. "
                "Leave it out, or fit again with it."
            )
        return found


def check_lengths(data, least, why):
    """Refuse series that are too short.

    Parameters
    ----------
    data : SeriesData
        The series.
    least : int or int ndarray of shape (n_series,)
        How many steps each needs.
    why : str
        What needs them, and what to do: "order=3 with ...; lower the order".
    """
    least = np.broadcast_to(least, len(data))
    short = data.lengths < least
    if short.any():
        i = int(np.argmax(short))
        raise ValueError(
            f"y must have {least[i]} steps or more, but {data.name_of(i)} has {data.lengths[i]}, from "
            f"{data.stamp(i, 0)} to {data.stamp(i, data.lengths[i] - 1)}: {why}, or leave the series out."
        )


def padded(data, fill=0.0):
    """Return the series side by side, all as long as the longest.

    Parameters
    ----------
    data : SeriesData
        The series.
    fill : float, default=0.0
        What stands after the end of the shorter ones.

    Returns
    -------
    values : float64 ndarray of shape (S, T, V)
        Their values.
    """
    values = np.full((len(data), data.lengths.max(), data.n_variables), fill)
    values[np.arange(values.shape[1]) < data.lengths[:, None]] = data.values
    return values


def blocks(lengths, width):
    """Split series into blocks of similar length, whose arrays are of bounded size.

    Parameters
    ----------
    lengths : int64 ndarray of shape (S,)
        Number of steps of each.
    width : int
        Numbers that a step needs.

    Yields
    ------
    block : int64 ndarray of shape (n,)
        Some of the series.
    """
    by_length = np.argsort(lengths, kind="stable")
    start = 0
    while start < len(by_length):
        stop = len(by_length)
        while stop > start + 1 and (stop - start) * lengths[by_length[stop - 1]] * width > _BLOCK:
            stop = start + (stop - start) // 2
        yield by_length[start:stop]
        start = stop


def rows_of(data):
    """Return the series of each row, and its step within the series.

    Parameters
    ----------
    data : SeriesData
        The series.

    Returns
    -------
    series, step : int64 ndarray of shape (N,)
        Both from 0.
    """
    series = np.repeat(np.arange(len(data)), data.lengths)
    return series, np.arange(len(series)) - data.offsets[series]


def standardised(data, centred=True):
    """Return the rows in units of the standard deviation of their series.

    Parameters
    ----------
    data : SeriesData
        The series.
    centred : bool, default=True
        Whether their mean is taken off; otherwise units are root mean squares.

    Returns
    -------
    values : float64 ndarray of shape (N, V)
        The rows; NaN where they were.
    center, scale : float64 ndarray of shape (S, V)
        What was taken off (0 unless ``centred``), and the units; never 0.
    """
    starts = data.offsets[:-1]
    series, _ = rows_of(data)
    seen = ~np.isnan(data.values)
    count = np.add.reduceat(seen, starts, axis=0, dtype=np.int64)
    low, high = (f.reduceat(data.values, starts, axis=0) for f in (np.fmin, np.fmax))
    center = np.zeros_like(low)
    if centred:  # from the least value on: sums of 1e8 + 0..9 would lose the digits
        center = low + np.add.reduceat(np.where(seen, data.values - low[series], 0), starts, axis=0) / count
    deviation = data.values - center[series]
    scale = np.sqrt(np.add.reduceat(np.where(seen, deviation, 0) ** 2, starts, axis=0) / count)
    size = np.where(low == 0, 1, np.abs(low))
    scale = np.where(high == low, size, scale)  # what never changes has no deviation, but a size
    return deviation / scale[series], center, scale


def root(covariance):
    """Return B with B B' = covariance, which may be singular.

    Parameters
    ----------
    covariance : float64 ndarray of shape (..., n, n)
        Symmetric, not negative beyond rounding.

    Returns
    -------
    B : float64 ndarray of shape (..., n, n)
        Its eigenvectors times the roots of its eigenvalues.
    """
    eigenvalues, vectors = np.linalg.eigh(covariance)
    return vectors * np.sqrt(np.maximum(eigenvalues, 0))[..., None, :]
