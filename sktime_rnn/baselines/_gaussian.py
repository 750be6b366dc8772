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


def check_observed(data):
    """Refuse series with a variable that was never observed.

    Parameters
    ----------
    data : SeriesData
        The series.
    """
    absent = ~np.logical_or.reduceat(~np.isnan(data.values), data.offsets[:-1], axis=0)
    if absent.any():
        i, variable = np.argwhere(absent)[0]
        raise ValueError(
            f"y must have an observed value of every variable in every series, but variable "
            f"{data.variables[variable]!r} of {data.name_of(i)} has none in its {data.lengths[i]} steps. Leave the "
            "series or the variable out, or fill it in."
        )


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
