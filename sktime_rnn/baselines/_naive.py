"""Forecasts that need no learning: the last value, the last season, the mean, the last value with a drift.

Shapes: S series, N rows of them all, H steps ahead, V variables, G phases of the seasons of all series.
"""

from functools import cached_property
from numbers import Integral
from typing import NamedTuple

import numpy as np
import pandas as pd

from sktime_rnn.base import Interval, StrOptions
from sktime_rnn.baselines._gaussian import READING, GaussianForecaster, rows_of


class _Outlook(NamedTuple):
    """Normal steps ahead: they go off as random walks, one for each phase of the season, or around a level.

    ``mean`` (S, H, V); ``elapsed`` (S, H, V): how many noises have been added since the value that is repeated;
    ``sigma2`` (S, V): variance of a noise; ``slope2`` and ``level2`` (S, V): variance of the error of the slope and of
    the level, which all steps share; ``periods`` (S,): length of the season, 0 where the noises do not add up.
    """

    mean: np.ndarray
    elapsed: np.ndarray
    sigma2: np.ndarray
    slope2: np.ndarray
    level2: np.ndarray
    periods: np.ndarray

    def variance(self):
        growth = self.sigma2[:, None] * self.elapsed + self.slope2[:, None] * self.elapsed**2
        return growth + self.level2[:, None]

    def sample(self, n_samples, rng):
        noise = rng.standard_normal((n_samples, *self.mean.shape))
        for period in np.unique(self.periods[self.periods > 0]):
            of = self.periods == period
            steps = self.elapsed[of].astype(np.float64)
            steps[:, period:] = 1  # the first of each phase has seen them all
            noise[:, of] = _sum_by_phase(noise[:, of] * np.sqrt(steps), period)
        paths = self.mean + noise * np.sqrt(self.sigma2)[:, None]
        shared = rng.standard_normal((2, n_samples, len(self.mean), 1, self.mean.shape[2]))
        return (
            paths + shared[0] * np.sqrt(self.slope2)[:, None] * self.elapsed + shared[1] * np.sqrt(self.level2)[:, None]
        )


def _sum_by_phase(noise, period):
    """Add up steps that lie whole seasons apart, (n_samples, S, H, V)."""
    n_steps = noise.shape[2]
    n_seasons = -(-n_steps // period)
    full = np.pad(noise, [(0, 0), (0, 0), (0, n_seasons * period - n_steps), (0, 0)])
    seasons = full.reshape(*noise.shape[:2], n_seasons, period, noise.shape[3]).cumsum(axis=2)
    return seasons.reshape(full.shape)[:, :, :n_steps]


class _Walk:
    """The value one season before, of one or many series: which row it is, and how far off.

    ``observed`` (N, V); ``group`` (N,): the phase of each row; ``before`` (N, V): the last observed row of the phase
    before each row, ``before_any`` of the series; ``first``, ``last`` (S, V): first and last observed row of each
    series. -1 where there is none.
    """

    def __init__(self, data, periods):
        self.data, self.periods = data, periods
        self.series, self.step = rows_of(data)
        self.groups = np.concatenate([[0], np.cumsum(periods)])  # (S + 1,)
        self.group = self.groups[self.series] + self.step % periods[self.series]
        self.observed = ~np.isnan(data.values)
        row = np.arange(len(data.values))[:, None]
        self.row = np.where(self.observed, row, -1)
        starts = data.offsets[:-1]
        self.last = np.maximum.reduceat(self.row, starts, axis=0)
        self.first = np.minimum.reduceat(np.where(self.observed, row, len(row)), starts, axis=0)

    @cached_property
    def before(self):
        return self._before(self.group)

    @cached_property
    def before_any(self):
        return self._before(self.series)

    def _before(self, group):
        rows = pd.DataFrame(np.where(self.observed, self.row, np.nan))
        filled = rows.groupby(group, sort=False).ffill()
        return filled.groupby(group, sort=False).shift().fillna(-1).to_numpy(dtype=np.int64)

    def pick(self, rows):
        """Return the values of rows (..., V) of each variable."""
        return self.data.values[rows, np.arange(rows.shape[-1])]

    def slope(self, rows, first):
        """Return the mean change from the first observed row on, 0 where there is none yet."""
        span = rows - first
        return np.where(span > 0, (self.pick(rows) - self.pick(first)) / np.maximum(span, 1), 0)

    def variance(self, slope):
        """Return the variance of a season's noise (S, V); NaN where the errors are too few."""
        rows, variables = np.nonzero(self.observed & (self.before >= 0))
        before = self.before[rows, variables]
        series = self.series[rows]
        gap = (rows - before) / self.periods[series]
        error = self.data.values[rows, variables] - self.data.values[before, variables]
        if slope is not None:
            error = error - slope[series, variables] * gap
        total, count = np.zeros((2, len(self.data), self.data.n_variables))
        np.add.at(total, (series, variables), error**2 / gap)
        np.add.at(count, (series, variables), 1)
        count -= slope is not None
        return np.where(count > 0, total, np.nan) / np.maximum(count, 1)

    def ahead(self, n_steps):
        """Return the rows that are repeated, and how many seasons ago they were, (S, H, V) each."""
        latest = np.full((self.groups[-1], self.data.n_variables), -1)
        np.maximum.at(latest, self.group, self.row)
        step = self.data.lengths[:, None] + np.arange(n_steps)  # (S, H)
        rows = latest[self.groups[:-1, None] + step % self.periods[:, None]]  # (S, H, V)
        rows = np.where(rows < 0, self.last[:, None], rows)
        ago = (self.data.offsets[:-1, None] + step)[:, :, None] - rows
        return rows, -(-ago // self.periods[:, None, None])


def _walk_outlook(data, periods, n_steps, drift):
    walk = _Walk(data, periods)
    rows, elapsed = walk.ahead(n_steps)
    mean = walk.pick(rows)
    slope = None
    if drift:
        slope = walk.slope(walk.last, walk.first)
        mean = mean + slope[:, None] * elapsed
    sigma2 = walk.variance(slope)
    if np.isnan(sigma2).any() and (periods > 1).any():  # just one season: no seasonal error yet
        plain = _Walk(data, np.ones_like(periods)).variance(None)
        sigma2 = np.where(np.isnan(sigma2) & (periods > 1)[:, None], plain, sigma2)
    slope2 = sigma2 / np.maximum(walk.last - walk.first, 1) if drift else np.zeros_like(sigma2)
    return _Outlook(mean, elapsed, sigma2, slope2, np.zeros_like(sigma2), periods)


def _walk_one_step(data, periods, drift):
    walk = _Walk(data, periods)
    rows = np.where(walk.before < 0, walk.before_any, walk.before)
    values = walk.pick(rows)
    if drift:
        first = walk.first[walk.series]
        here = np.arange(len(values))[:, None]
        values = values + walk.slope(rows, first) * (here - rows)
    return np.where(rows < 0, np.nan, values)


def _deviations(data):
    """Return values less the first observed one of their series, 0 where missing; it; and what is observed."""
    walk = _Walk(data, np.ones(len(data), dtype=np.int64))
    centre = walk.pick(walk.first)  # (S, V); sums of 1e8 + 0..9 would lose the digits
    return np.where(walk.observed, data.values - centre[walk.series], 0), centre, walk.observed


def _mean_outlook(data, n_steps):
    deviations, centre, observed = _deviations(data)
    starts = data.offsets[:-1]
    count = np.add.reduceat(observed, starts, axis=0, dtype=np.int64)
    mean = np.add.reduceat(deviations, starts, axis=0) / count
    errors = np.where(observed, deviations - np.repeat(mean, data.lengths, axis=0), 0)
    total = np.add.reduceat(errors**2, starts, axis=0)
    sigma2 = np.where(count > 1, total, np.nan) / np.maximum(count - 1, 1)
    forecast = np.repeat((centre + mean)[:, None], n_steps, axis=1)
    periods = np.zeros(len(data), dtype=np.int64)
    return _Outlook(forecast, np.ones(forecast.shape, np.int64), sigma2, np.zeros_like(sigma2), sigma2 / count, periods)


def _mean_one_step(data):
    deviations, centre, observed = _deviations(data)
    series, _ = rows_of(data)
    total = pd.DataFrame(deviations).groupby(series).cumsum().to_numpy() - deviations
    count = pd.DataFrame(observed.astype(np.float64)).groupby(series).cumsum().to_numpy() - observed
    return np.where(count > 0, centre[series] + total / np.maximum(count, 1), np.nan)


class NaiveForecaster(GaussianForecaster):
    r"""Repeat the last value, the last season or the mean, or draw the line from the first to the last value.

    With the n steps :math:`y_1, \dots, y_n` of a series, its season m, and the standard deviation :math:`\sigma` of
    the method's errors in sample,

    ==========  ===========================================  =========================================================
    strategy    forecast of step n + h                       its standard deviation
    ==========  ===========================================  =========================================================
    "last"      :math:`y_n`                                  :math:`\sigma \sqrt{h}`
    "seasonal"  :math:`y_{n + h - m (k + 1)}`                :math:`\sigma \sqrt{k + 1}`, k = floor((h - 1) / m)
    "drift"     :math:`y_n + h \, (y_n - y_1) / (n - 1)`     :math:`\sigma \sqrt{h \, (1 + h / (n - 1))}`
    "mean"      :math:`(y_1 + \dots + y_n) / n`              :math:`\sigma \sqrt{1 + 1 / n}`
    ==========  ===========================================  =========================================================

    Quantiles are normal. Variables and series are forecast each on its own, and sampled independently. The forecasts
    follow from the series alone, so that ``update`` and ``predict(y=...)`` need no training.

    Parameters
    ----------
    strategy : {"last", "mean", "drift", "seasonal"}, default="last"
        What is repeated. With "seasonal", a series shorter than a season repeats its last value.
    season_length : int or "auto", default="auto"
        The season m in steps; "auto" is what the frequency suggests (12 for months), or 1.
    missing : {"error", "mask"}, default="error"
        Refuse NaN in y, or repeat the last value that was observed: the forecast counts from it, and an error over a
        gap of g steps (or seasons) has g times the variance.
    gaps : {"error", "fill"}, default="error"
        Refuse steps that are not there, or read them as missing values.
    freq : str or DateOffset, default=None
        Frequency of dates that do not tell it.

    Attributes
    ----------
    season_length_ : int
        The season m.
    horizon_ : int
        Number of steps that ``predict`` gives where nobody says.
    cutoff : Index or Series
        The last time stamp seen.

    Raises
    ------
    ValueError
        From ``fit`` and ``predict``, where a value or a step of y is missing that ``missing`` or ``gaps`` does not let
        pass.

    Notes
    -----
    :math:`\sigma^2` is the sum of squared errors divided by their number, less one where a mean or a slope was
    estimated ("mean", "drift"). It is NaN, and so are intervals, where that is nothing: of a single observed value
    ("drift": of two) nobody knows how far off the next will be.

    References
    ----------
    R. J. Hyndman and G. Athanasopoulos (2021). Forecasting: Principles and Practice, 3rd edition, sections 5.2 and
    5.5. https://otexts.com/fpp3

    Examples
    --------
    >>> from sktime_rnn.baselines import NaiveForecaster
    >>> from sktime_rnn.datasets import load_airpassengers
    >>> forecaster = NaiveForecaster(strategy="seasonal").fit(load_airpassengers())
    >>> forecaster.predict(fh=[1, 2, 13])
    Period
    1961-01    417.0
    1961-02    391.0
    1962-01    417.0
    Freq: M, Name: Number of airline passengers, dtype: float64
    >>> forecaster.predict_interval(fh=[1, 13], coverage=0.8).round(1).to_numpy()
    array([[370.5, 463.5],
           [351.2, 482.8]])
    """

    _parameter_constraints: dict = {
        "strategy": [StrOptions({"last", "mean", "drift", "seasonal"})],
        "season_length": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        **READING,
    }

    def __init__(self, strategy="last", *, season_length="auto", missing="error", gaps="error", freq=None):
        self.strategy = strategy
        self.season_length = season_length
        self.missing = missing
        self.gaps = gaps
        self.freq = freq

    def _fit(self, known, n_steps):
        self.season_length_ = int(self._season(known))

    def _periods(self, data):
        season = self.season_length_ if self.strategy == "seasonal" else 1
        return np.where(data.lengths >= season, season, 1)

    def _outlook(self, known, n_steps):
        if self.strategy == "mean":
            return _mean_outlook(known.data, n_steps)
        return _walk_outlook(known.data, self._periods(known.data), n_steps, self.strategy == "drift")

    def _moments(self, known, n_steps):
        outlook = self._outlook(known, n_steps)
        return outlook.mean, outlook.variance()

    def _paths(self, known, n_steps, n_samples, rng):
        return self._outlook(known, n_steps).sample(n_samples, rng)

    def _one_step(self, known):
        if self.strategy == "mean":
            return _mean_one_step(known.data)
        return _walk_one_step(known.data, self._periods(known.data), self.strategy == "drift")
