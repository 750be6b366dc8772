"""How forecasts are judged, as the competitions do it: plain functions of arrays, one series at a time.

Every function takes what came (y) and what had been said of it, both of the horizon's length.
"""

import numpy as np


def smape(y, forecast):
    """Return the symmetric mean absolute percentage error, mean of 200 |y - f| / (|y| + |f|)."""
    return np.mean(200 * np.abs(y - forecast) / (np.abs(y) + np.abs(forecast)))


def mape(y, forecast):
    """Return the mean absolute percentage error, mean of 100 |y - f| / |y|."""
    return np.mean(100 * np.abs((y - forecast) / y))


def mase(y, forecast, y_train, season):
    """Return the mean absolute scaled error: in units of the mean step from one season to the next in training."""
    return np.mean(np.abs(y - forecast)) / np.mean(np.abs(y_train[season:] - y_train[:-season]))


def coverage(y, lower, upper):
    """Return the percentage of values that lie within their interval."""
    return 100 * np.mean((lower <= y) & (y <= upper))


def seasonal_naive(y_train, season, horizon):
    """Forecast each step by the last value of its season."""
    return y_train[len(y_train) - season + np.arange(horizon) % season]
