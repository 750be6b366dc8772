"""Errors of forecasts in units of the series' own differences."""

import numpy as np


def difference_scale(data, season, power=1):
    """Return the mean absolute (or squared) seasonal difference of every series and variable.

    Parameters
    ----------
    data : SeriesData
        The series in sample.
    season : int
        Distance m of the differences in steps; 1 for series that are not longer than a season.
    power : {1, 2}, default=1
        Power of the differences.

    Returns
    -------
    scale : float64 ndarray of shape (n_series, n_variables)
        The mean of ``|x_t - x_{t-m}| ** power``; NaN where it is 0 or there is no difference.
    """
    lags = np.where(data.lengths > season, season, 1)
    series = np.repeat(np.arange(len(data)), data.lengths)
    step = np.arange(len(data.values)) - data.offsets[series]
    later = np.flatnonzero(step >= lags[series])
    moved = np.abs(data.values[later] - data.values[later - lags[series[later]]]) ** power
    shape = (len(data), data.n_variables)
    total, count = np.zeros(shape), np.zeros(shape)
    for variable, moves in enumerate(moved.T):
        total[:, variable] = np.bincount(series[later], np.nan_to_num(moves), minlength=len(data))
        count[:, variable] = np.bincount(series[later], ~np.isnan(moves), minlength=len(data))
    return np.where(total > 0, total, np.nan) / np.maximum(count, 1)


def scaled_errors(errors, data, season):
    """Return the mean absolute scaled error of every series and variable.

    Parameters
    ----------
    errors : ndarray of shape (n_series, n_steps, n_variables)
        Absolute errors; NaN where there is none.
    data : SeriesData
        The series in sample.
    season : int
        Distance of the differences in steps.

    Returns
    -------
    scaled : ndarray of shape (n_series, n_variables)
        NaN where a series never changed in sample, or has no error.
    """
    count = (~np.isnan(errors)).sum(axis=1)
    mean = np.where(count > 0, np.nansum(errors, axis=1), np.nan) / np.maximum(count, 1)
    return mean / difference_scale(data, season)


def mean_over_series(scaled):
    """Return the mean over series and variables that have a scaled error.

    Parameters
    ----------
    scaled : ndarray of shape (n_series, n_variables)
        Scaled errors.

    Returns
    -------
    mean : float
        Their mean.
    """
    if np.isnan(scaled).all():
        raise ValueError(
            "y must have a series that changed in sample, whose change errors are divided by, and that was observed "
            "at the steps scored, but there is none. Score other steps, or by another metric: a callable "
            "scorer(forecaster, y, X)."
        )
    return float(np.nanmean(scaled))
