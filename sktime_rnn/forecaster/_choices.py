"""What "auto" stands for: chosen from the part of the data that training may look at."""

import math

import numpy as np

from sktime_rnn.panel import season_lengths

_CANDIDATES = (4, 7, 12, 24, 48, 52, 96, 144, 168)
_LONGEST_CONTEXT = 512
_MOST_SERIES = 100
_UPDATES = (200, 2000)


def heads_of(data, lengths):
    """Yield the first steps of some of the series, evenly chosen, each as an array (n, n_variables)."""
    for i in np.unique(np.linspace(0, len(data) - 1, min(len(data), _MOST_SERIES)).astype(np.int64)):
        yield data.values[data.offsets[i] : data.offsets[i] + lengths[i]]


def choose_seasons(data, lengths):
    """Return the lengths of the seasons in steps, shortest first: of the calendar, or of the data for integers.

    An integer index does not tell a season. One is assumed where the differences of the series repeat themselves after
    4, 7, 12, 24, 48, 52, 96, 144 or 168 steps: where their autocorrelation, averaged over series, stands out there.

    Parameters
    ----------
    data : SeriesData
        The series.
    lengths : int64 ndarray of shape (n_series,)
        Steps that may be looked at.

    Returns
    -------
    seasons : tuple of int
        Empty where there is none.
    """
    if not isinstance(data.axis.freq, int):
        return season_lengths(data.axis.freq)
    found = {}
    for m in _CANDIDATES:
        scores = [
            score for x in heads_of(data, lengths) for score in _autocorrelations(x, m) if len(x) >= max(3 * m, 12)
        ]
        if scores and 2 * len(scores) >= min(len(data), _MOST_SERIES):
            before, at, after = np.mean(scores, axis=0)
            if at > 0.2 and at > max(before, after) + 0.1:
                found[m] = at
    if not found:
        return ()
    return (min(m for m, score in found.items() if score >= 0.8 * max(found.values())),)


def _autocorrelations(x, m):
    """Return the autocorrelations of the differences of each column at lags m - 1, m and m + 1."""
    d = np.diff(x, axis=0)
    d = np.nan_to_num(d - np.nanmedian(d, axis=0)) if len(d) else d
    d = np.clip(d, -4 * _typical(d), 4 * _typical(d))
    power = np.maximum((d**2).sum(axis=0), np.finfo(float).tiny)
    lags = [(d[lag:] * d[:-lag]).sum(axis=0) / power for lag in (m - 1, m, m + 1)]
    return np.stack(lags, axis=1)


def _typical(d):
    return np.sqrt((d**2).mean(axis=0)) if len(d) else 0.0


def choose_context(seasons, horizon, lengths):
    """Return the length of the context: two horizons and a season, or a week of hours.

    Parameters
    ----------
    seasons : tuple of int
        Lengths of the seasons.
    horizon : int
        Steps ahead.
    lengths : int64 ndarray of shape (n_series,)
        Steps that may be looked at.

    Returns
    -------
    context : int
        At most 512, and such that the longest series has at least as many windows.
    """
    season = seasons[0] if seasons else 1
    context = 2 * horizon + (season if season > 1 else 0)
    context = max([context, *(week for week in seasons[1:] if week <= 7 * season)])
    context = min(max(context, 4), _LONGEST_CONTEXT)
    room = int(lengths.max() - horizon) // 2
    return max(min(context, room), min(context, season + 1 if season > 1 else 3), 1)


def choose_scaler(data, lengths):
    """Return "log" for series that are positive and stay away from zero, otherwise "last".

    Parameters
    ----------
    data : SeriesData
        The series.
    lengths : int64 ndarray of shape (n_series,)
        Steps that may be looked at.

    Returns
    -------
    scaler : {"log", "last"}
        As in :class:`~sktime_rnn.windows.WindowScaler`.
    """
    starts, values = data.offsets[:-1], data.values
    if (lengths < data.lengths).any():
        values, starts = data.head(lengths).values, np.cumsum(lengths) - lengths
    smallest = np.fmin.reduceat(values, starts)  # leaves out NaN
    total = np.add.reduceat(np.nan_to_num(values), starts)
    count = np.add.reduceat(~np.isnan(values), starts, dtype=np.int32)
    away = smallest > 0.01 * total / np.maximum(count, 1)
    return "log" if (smallest > 0).all() and away.mean() >= 0.95 else "last"


def choose_batch_size(n_windows):
    """Return a quarter of the windows as a power of two between 32 and 256."""
    return int(np.clip(2 ** round(math.log2(max(n_windows, 1) / 4)), 32, 256))


def choose_updates(n_windows, horizon):
    """Return the number of updates: windows that overlap tell the same, so that n / H of them count as new."""
    return int(np.clip(40 * math.sqrt(n_windows / horizon), *_UPDATES))
