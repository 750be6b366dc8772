"""Errors of forecasts, one number a series, as the M competitions define them.

Shapes: N rows of what happened, V jointly forecast variables, Q quantiles.

References
----------
Makridakis, Spiliotis and Assimakopoulos (2020). The M4 Competition: 100,000 time series and 61 forecasting methods.
International Journal of Forecasting 36(1), 54-74; their code: https://github.com/Mcompetitions/M4-methods.
Hyndman and Koehler (2006). Another look at measures of forecast accuracy. International Journal of Forecasting 22(4),
679-688.
"""

from dataclasses import dataclass, replace
from numbers import Integral

import numpy as np
import pandas as pd

from sktime_rnn.base import difference_scale
from sktime_rnn.model_selection._splitters import series_and_ranks
from sktime_rnn.panel import SeriesData, frame_values

_T_90 = 1.645  # two-sided 90 % of the normal distribution, as in M4's code
_SEASONS_TO_TEST = 3  # M4 tests no shorter series for a season


@dataclass(frozen=True)
class Actual:
    """What happened: N rows of one or many series.

    Attributes
    ----------
    values : float64 ndarray of shape (N, V)
        The values; NaN where one is missing, which then does not count.
    codes, steps : int64 ndarray of shape (N,)
        The series of each row, and how many steps after the end of training it is, from 1.
    names : Index or None
        The series of a panel.
    """

    values: np.ndarray
    codes: np.ndarray
    steps: np.ndarray
    names: pd.Index | None

    def __len__(self):
        return 1 if self.names is None else len(self.names)

    def rows(self, rows):
        """Return some of the rows."""
        return replace(self, values=self.values[rows], codes=self.codes[rows], steps=self.steps[rows])

    def per_series(self, cells):
        """Return the mean of each series over those cells (N, V) in which something happened, (n_series,)."""
        happened = ~np.isnan(self.values)
        total = np.bincount(self.codes, np.where(happened, cells, 0).sum(axis=1), minlength=len(self))
        count = np.bincount(self.codes, happened.sum(axis=1), minlength=len(self))
        return np.where(count > 0, total / np.maximum(count, 1), np.nan)


# --- the calculations, on arrays -------------------------------------------------------------------------------------


def smape_cells(actual, forecast):
    """200 |y - f| / (|y| + |f|), and 0 where both are 0."""
    size = np.abs(actual.values) + np.abs(forecast)
    with np.errstate(invalid="ignore"):  # NaN for an infinite forecast
        return 200 * np.abs(actual.values - forecast) / np.where(size == 0, 1, size)


def mase_of(actual, forecast, scale):
    """Return the absolute errors in units of the series' mean absolute differences (S, V), (n_series,)."""
    return _scaled(actual, np.abs(actual.values - forecast), scale)


def rmsse_of(actual, forecast, scale):
    """Return the root mean squared errors in units of the series' mean squared differences (S, V), (n_series,)."""
    return np.sqrt(_scaled(actual, (actual.values - forecast) ** 2, scale))


def _scaled(actual, cells, scale):
    scale = scale[actual.codes]
    known = replace(actual, values=np.where(np.isnan(scale), np.nan, actual.values))  # a constant variable has no scale
    return known.per_series(cells / scale)


def relative_to(smape_, mase_, naive_smape, naive_mase):
    """Return M4's overall weighted average: the mean of two ratios of means over series."""
    ratios = [
        np.nan if not known.any() or not below[known].sum() else above[known].sum() / below[known].sum()
        for above, below in ((smape_, naive_smape), (mase_, naive_mase))
        for known in [~np.isnan(above) & ~np.isnan(below)]
    ]
    return float(np.mean(ratios))


def pinball_cells(actual, quantiles, alpha):
    """Return max(alpha (y - q), (alpha - 1) (y - q)), mean over the quantiles (N, V, Q)."""
    errors = actual.values[:, :, None] - quantiles
    return np.maximum(np.asarray(alpha) * errors, (np.asarray(alpha) - 1) * errors).mean(axis=2)


def coverage_cells(actual, lower, upper):
    """Return 1 where the interval holds what happened, else 0; NaN where the interval is not known."""
    inside = (lower <= actual.values) & (actual.values <= upper)
    return np.where(np.isnan(lower) | np.isnan(upper), np.nan, inside)


def is_seasonal(x, season):
    """Whether a series has a season by M4's test: its autocorrelation at that lag leaves the 90 % band."""
    if season == 1 or len(x) < _SEASONS_TO_TEST * season:
        return False
    centred = x - x.mean()
    total = centred @ centred
    if total == 0:
        return False
    correlation = np.array([centred[lag:] @ centred[:-lag] for lag in range(1, season + 1)]) / total
    band = _T_90 * np.sqrt((1 + 2 * (correlation[:-1] ** 2).sum()) / len(x))
    return bool(abs(correlation[-1]) > band)


def seasonal_indices(x, season):
    """Return the factor of each step of the season by classical multiplicative decomposition, mean 1, (season,)."""
    ends = 0.5 if season % 2 == 0 else 1.0
    weights = np.ones(season + 1 - season % 2)
    weights[0] = weights[-1] = ends
    half = len(weights) // 2
    trend = np.convolve(x, weights / season, mode="valid")
    ratios = x[half : half + len(trend)] / trend
    phase = (half + np.arange(len(trend))) % season
    indices = np.bincount(phase, ratios, minlength=season) / np.bincount(phase, minlength=season)
    return indices / indices.mean()


def naive2(y_train, n_steps, season_length=1):
    """Forecast by M4's benchmark Naive2: the last value, seasonally adjusted where there is a season.

    A series of three seasons or more whose autocorrelation at the season leaves the 90 % band is divided by its
    seasonal indices (classical multiplicative decomposition), its last value is repeated and multiplied by the
    indices of the steps ahead. Series with values of 0 or below, which have no such indices, are not adjusted.

    Parameters
    ----------
    y_train : array-like of shape (n_train,)
        The series so far.
    n_steps : int
        Number of steps ahead.
    season_length : int, default=1
        Steps of a season.

    Returns
    -------
    y_pred : ndarray of shape (n_steps,)
        The forecasts.

    Examples
    --------
    >>> from sktime_rnn.datasets import load_airpassengers
    >>> from sktime_rnn.model_selection import naive2
    >>> naive2(load_airpassengers(), 3, season_length=12).round(1)
    array([437.5, 424.7, 484.2])
    """
    x = np.asarray(y_train, dtype=np.float64)
    if x.ndim != 1 or len(x) == 0:
        raise ValueError(f"y_train must be one series of shape (n_train,), got shape {x.shape}. Pass its values.")
    _check_season(season_length)
    if (x > 0).all() and is_seasonal(x, season_length):
        indices = seasonal_indices(x, season_length)
        ahead = (len(x) + np.arange(n_steps)) % season_length
        return x[-1] / indices[(len(x) - 1) % season_length] * indices[ahead]
    observed = x[~np.isnan(x)]
    return np.full(n_steps, observed[-1] if len(observed) else np.nan)


def naive2_of(data, season, actual):
    """Return Naive2's forecast of every row of what happened, (N, V), from training series of a season."""
    values = np.empty_like(actual.values)
    order = np.argsort(actual.codes, kind="stable")
    bounds = np.searchsorted(actual.codes[order], np.arange(len(actual) + 1))
    for i, (start, end) in enumerate(zip(bounds[:-1], bounds[1:], strict=True)):
        rows = order[start:end]
        if len(rows) == 0:
            continue
        for v in range(values.shape[1]):
            past = data.values[data.offsets[i] : data.offsets[i + 1], v]
            values[rows, v] = naive2(past, int(actual.steps[rows].max()), season)[actual.steps[rows] - 1]
    return values


# --- reading ---------------------------------------------------------------------------------------------------------


def read_actual(y, name="y_true"):
    """Read what happened."""
    names, codes, ranks = series_and_ranks(y, name)
    values = _values(y, name)
    order = np.lexsort((ranks, codes))
    starts = np.searchsorted(codes[order], np.arange(1 if names is None else len(names)))
    steps = np.empty(len(codes), dtype=np.int64)
    steps[order] = np.arange(len(codes)) - starts[codes[order]] + 1
    return Actual(values, codes, steps, names)


def _values(y, name):
    frame = y.to_frame() if isinstance(y, pd.Series) else y
    values = frame_values(frame) if isinstance(frame, pd.DataFrame) else np.asarray(frame)
    try:
        values = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name} must hold numbers, got {values.dtype}. Convert it.") from error
    return values[:, None] if values.ndim == 1 else values


def read_training(y, names, n_variables, name="y_train"):
    """Read the series so far, in the order of those that are scored."""
    own_names, codes, ranks = series_and_ranks(y, name)
    values = _values(y, name)
    if (own_names is None) != (names is None) or values.shape[1] != n_variables:
        raise ValueError(
            f"{name} must hold the series of y_true before its start, a "
            f"{'single series' if names is None else 'panel'} of {n_variables} variables, got a "
            f"{'single series' if own_names is None else 'panel'} of {values.shape[1]}. Pass what the forecaster was "
            "fitted on."
        )
    if names is not None:
        codes = names.get_indexer(own_names)[codes]
    n_series = 1 if names is None else len(names)
    order = np.lexsort((ranks, codes))
    order = order[codes[order] >= 0]
    lengths = np.bincount(codes[order], minlength=n_series)
    if (lengths == 0).any():
        raise ValueError(
            f"{name} must hold every series of y_true, but {names[int(np.argmin(lengths))]!r} is not in it. Add it."
        )
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    return SeriesData(values[order], offsets, np.zeros(n_series, np.int64), axis=None, names=names)


def _matched(y_true, other, name):
    """Return the rows of another container that belong to those of y_true, (N, columns)."""
    values = _values(other, name)
    if isinstance(y_true, pd.Series | pd.DataFrame) and isinstance(other, pd.Series | pd.DataFrame):
        rows = other.index.get_indexer(y_true.index)
        if (rows < 0).any():
            raise ValueError(
                f"{name} must have a row for every row of y_true, but {y_true.index[int(np.argmin(rows))]} is not in "
                "its index. Forecast it, or leave it out."
            )
        return values[rows]
    if len(values) != len(y_true):
        raise ValueError(f"{name} must have the {len(y_true)} rows of y_true, got {len(values)}. Pass as many.")
    return values


def _read_pair(y_true, y_pred):
    actual = read_actual(y_true)
    forecast = _matched(y_true, y_pred, "y_pred")
    if forecast.shape != actual.values.shape:
        raise ValueError(
            f"y_pred must have the {actual.values.shape[1]} columns of y_true, got {forecast.shape[1]}. Pass the same."
        )
    return actual, forecast


def _check_season(season_length):
    if isinstance(season_length, bool) or not isinstance(season_length, Integral) or season_length < 1:
        raise ValueError(
            f"season_length must be a whole number of steps from 1 on, got {season_length!r}. Pass 12, say."
        )


def _scales(y_train, actual, season_length, power=1):
    _check_season(season_length)
    data = read_training(y_train, actual.names, actual.values.shape[1])
    return difference_scale(data, season_length, power)


def _numbers(per_series, names):
    return float(per_series[0]) if names is None else pd.Series(per_series, index=names)


# --- what users call -------------------------------------------------------------------------------------------------


def smape(y_true, y_pred):
    r"""Return the symmetric mean absolute percentage error of M4, in percent.

    .. math:: \frac{1}{H} \sum_h \frac{200 |y_h - f_h|}{|y_h| + |f_h|}

    Parameters
    ----------
    y_true : Series, DataFrame or array
        What happened; steps that are NaN do not count. Of several variables the mean is returned.
    y_pred : Series, DataFrame or array
        What was forecast; pandas are matched by the index, arrays by position.

    Returns
    -------
    error : float or Series
        0 to 200; for a panel one number for each series.

    Examples
    --------
    >>> from sktime_rnn.model_selection import smape
    >>> smape([100.0, 50.0], [300.0, 50.0])
    50.0
    """
    actual, forecast = _read_pair(y_true, y_pred)
    return _numbers(actual.per_series(smape_cells(actual, forecast)), actual.names)


def mase(y_true, y_pred, y_train, *, season_length=1):
    r"""Return the mean absolute scaled error.

    .. math:: \frac{1}{H} \sum_h |y_h - f_h| \Big/ \frac{1}{n - m} \sum_{t > m} |y_t - y_{t-m}|

    Parameters
    ----------
    y_true : Series, DataFrame or array
        What happened; steps that are NaN do not count. Of several variables the mean is returned.
    y_pred : Series, DataFrame or array
        What was forecast; pandas are matched by the index, arrays by position.
    y_train : Series, DataFrame or array
        The n steps before.
    season_length : int, default=1
        m, the steps of a season; of series that are not longer, 1 is taken.

    Returns
    -------
    error : float or Series
        1 is as good as the (seasonal) naive forecast was in sample; NaN where a series never changed. For a panel
        one number for each series.

    Examples
    --------
    >>> from sktime_rnn.model_selection import mase
    >>> mase([5.0, 7.0], [4.0, 4.0], y_train=[0.0, 2.0, 4.0])
    1.0
    """
    actual, forecast = _read_pair(y_true, y_pred)
    return _numbers(mase_of(actual, forecast, _scales(y_train, actual, season_length)), actual.names)


def rmsse(y_true, y_pred, y_train, *, season_length=1):
    r"""Return the root mean squared scaled error of M5.

    .. math:: \sqrt{\frac{1}{H} \sum_h (y_h - f_h)^2 \Big/ \frac{1}{n - m} \sum_{t > m} (y_t - y_{t-m})^2}

    Parameters
    ----------
    y_true : Series, DataFrame or array
        What happened; steps that are NaN do not count. Of several variables the root of the mean is returned.
    y_pred : Series, DataFrame or array
        What was forecast; pandas are matched by the index, arrays by position.
    y_train : Series, DataFrame or array
        The n steps before.
    season_length : int, default=1
        m, the distance of the differences in steps; 1 in M5.

    Returns
    -------
    error : float or Series
        NaN where a series never changed; for a panel one number for each series.

    Examples
    --------
    >>> from sktime_rnn.model_selection import rmsse
    >>> rmsse([5.0, 8.0], [5.0, 4.0], y_train=[0.0, 2.0, 4.0]) ** 2
    2.0000000000000004
    """
    actual, forecast = _read_pair(y_true, y_pred)
    return _numbers(rmsse_of(actual, forecast, _scales(y_train, actual, season_length, 2)), actual.names)


def owa(y_true, y_pred, y_train, *, season_length=1):
    r"""Return the overall weighted average of M4: errors relative to those of Naive2.

    .. math:: \frac{1}{2} \left(\frac{\overline{\text{sMAPE}}}{\overline{\text{sMAPE}}_{\text{Naive2}}}
        + \frac{\overline{\text{MASE}}}{\overline{\text{MASE}}_{\text{Naive2}}}\right)

    where each error is averaged over the series first.

    Parameters
    ----------
    y_true : Series, DataFrame or array
        What happened, right after the end of `y_train`; steps that are NaN do not count.
    y_pred : Series, DataFrame or array
        What was forecast; pandas are matched by the index, arrays by position.
    y_train : Series, DataFrame or array
        The steps before.
    season_length : int, default=1
        Steps of a season.

    Returns
    -------
    error : float
        Below 1 is better than Naive2; NaN where Naive2 made no error. One number for all series of a panel.

    See Also
    --------
    naive2 : The forecast that is compared with.

    Examples
    --------
    >>> from sktime_rnn.model_selection import owa
    >>> owa([100.0, 100.0], [100.0, 300.0], y_train=[20.0, 60.0, 300.0])  # Naive2 repeats 300
    0.5
    """
    actual, forecast = _read_pair(y_true, y_pred)
    _check_season(season_length)
    data = read_training(y_train, actual.names, actual.values.shape[1])
    scale = difference_scale(data, season_length)
    naive = naive2_of(data, season_length, actual)
    pairs = [(actual.per_series(smape_cells(actual, f)), mase_of(actual, f, scale)) for f in (forecast, naive)]
    return relative_to(*pairs[0], *pairs[1])


def pinball(y_true, quantiles, alpha=None):
    r"""Return the pinball loss of quantiles, mean over steps and quantiles.

    .. math:: \max(\alpha (y - q), (\alpha - 1) (y - q))

    Parameters
    ----------
    y_true : Series, DataFrame or array
        What happened; steps that are NaN do not count.
    quantiles : DataFrame or array of shape (n_steps, n_alphas)
        What ``predict_quantiles`` returned, with columns (variable, alpha); or one column for each `alpha`.
    alpha : float or list of float, default=None
        Probabilities of the quantiles; None reads them off the columns.

    Returns
    -------
    loss : float or Series
        In the unit of y; for a panel one number for each series.

    Examples
    --------
    >>> from sktime_rnn.model_selection import pinball
    >>> pinball([10.0], [[8.0, 12.0]], alpha=[0.5, 0.75])
    0.75
    """
    actual = read_actual(y_true)
    if alpha is None:
        if not isinstance(quantiles, pd.DataFrame) or quantiles.columns.nlevels != 2:
            raise ValueError(
                "alpha must be given unless quantiles is a frame with columns (variable, alpha), as predict_quantiles "
                f"returns it, got {type(quantiles).__name__}. Pass alpha."
            )
        alpha = quantiles.columns.get_level_values(1)[: quantiles.shape[1] // actual.values.shape[1]]
    alpha = np.atleast_1d(np.asarray(alpha, dtype=np.float64))
    values = _matched(y_true, quantiles, "quantiles")
    if values.shape[1] != actual.values.shape[1] * len(alpha):
        raise ValueError(
            f"quantiles must have a column for each of {len(alpha)} probabilities and {actual.values.shape[1]} "
            f"variables, got {values.shape[1]}. Pass what predict_quantiles returned."
        )
    values = values.reshape(*actual.values.shape, len(alpha))  # (N, V, Q)
    return _numbers(actual.per_series(pinball_cells(actual, values, alpha)), actual.names)


def interval_coverage(y_true, lower, upper):
    """Return the share of steps that lie within their interval.

    Parameters
    ----------
    y_true : Series, DataFrame or array
        What happened; steps that are NaN do not count.
    lower, upper : Series, DataFrame or array
        Ends of the intervals, which belong to them; pandas are matched by the index, arrays by position.

    Returns
    -------
    share : float or Series
        0 to 1, ideally the probability of the interval; for a panel one number for each series.

    Examples
    --------
    >>> from sktime_rnn.model_selection import interval_coverage
    >>> interval_coverage([1.0, 2.0, 3.0, 4.0], lower=[0.0, 0.0, 3.0, 5.0], upper=[2.0, 1.0, 3.0, 6.0])
    0.5
    """
    actual = read_actual(y_true)
    ends = _matched(y_true, lower, "lower"), _matched(y_true, upper, "upper")
    return _numbers(actual.per_series(coverage_cells(actual, *ends)), actual.names)
