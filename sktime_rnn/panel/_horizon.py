"""Forecasting horizons as users say them."""

from datetime import datetime, timedelta
from numbers import Integral

import numpy as np
import pandas as pd

from sktime_rnn.panel._time import OFF

_ALLOWED = (
    "fh must be a whole number, a list or range of them (steps after the end of y), time stamps of the kind of y, or "
    "durations such as pd.Timedelta('7D')"
)


def read_horizon(fh, axis, last):
    """Return a horizon in steps after the last one of every series.

    Parameters
    ----------
    fh : int, sequence of int, Index, array or list of time stamps, Timedelta, DateOffset or ForecastingHorizon
        Steps after the end (an int is that one step, as in sktime), time stamps, or durations. 0 is the last step
        itself, negative numbers are steps before it.
    axis : TimeAxis
        The time axis of the series.
    last : int64 ndarray of shape (n_series,)
        Place of each series' last step.

    Returns
    -------
    steps : int64 ndarray of shape (n_series, n_steps)
        Increasing in each row; equal for all series unless time stamps were given.
    """
    relative = None
    if hasattr(fh, "is_relative") and hasattr(fh, "to_pandas"):  # sktime's own class
        relative, fh = bool(fh.is_relative), fh.to_pandas()
    if isinstance(fh, pd.Series | pd.DataFrame):
        raise TypeError(
            f"{_ALLOWED}, got a {type(fh).__name__}. Features are passed as predict(X=...), other series as "
            "predict(y=...). Does scoring= name a metric? It hands y to predict: leave scoring out, or pass a callable "
            "scorer(forecaster, y, X)."
        )
    if isinstance(fh, bool) or fh is None:
        raise TypeError(f"{_ALLOWED}, got {fh!r}. Pass range(1, 13) for the next twelve.")
    if _is_duration(fh):
        return _after(fh, axis, last)[:, None]
    index = _as_index(fh)
    if len(index) == 0:
        raise ValueError(f"{_ALLOWED}, got none. Pass range(1, 13) for the next twelve.")
    if all(_is_duration(item) for item in index[:1]):
        if not all(map(_is_duration, index)):
            raise TypeError(f"{_ALLOWED}, got durations and others mixed: {list(index[:3])}. Pass one kind.")
        return _sorted(np.stack([_after(item, axis, last) for item in index], axis=1), fh)
    if pd.api.types.is_integer_dtype(index.dtype) and relative is not False:
        steps = index.to_numpy(dtype=np.int64)
        return _sorted(np.broadcast_to(steps, (len(last), len(steps))), fh)
    if not axis.is_kind(index):
        raise TypeError(f"{_ALLOWED}, which are {axis.kind}, got {index.dtype}: {list(index[:3])}. Convert it.")
    return _sorted(_checked(axis, index) - last[:, None], fh)


def _is_duration(item):
    return isinstance(item, timedelta | pd.DateOffset | np.timedelta64) and item is not pd.NaT


def _after(duration, axis, last):
    """Return how many steps a duration is after the last step of every series."""
    ends, owner = np.unique(last, return_inverse=True)
    try:
        moved = pd.Index([_moved(stamp, duration, axis) for stamp in axis.index(ends)])
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"fh must hold durations of which y's steps, {axis.kind}, are a part, got {duration!r}: {error}. Pass "
            "numbers of steps."
        ) from error
    return (_checked(axis, moved) - ends)[owner]


def _moved(stamp, duration, axis):
    if isinstance(stamp, pd.Timestamp) and stamp.tz is not None and not axis.is_fixed:  # a calendar follows the clock
        return (stamp.tz_localize(None) + duration).tz_localize(stamp.tz)
    return stamp + duration


def _as_index(fh):
    if isinstance(fh, pd.Index):
        return fh
    if isinstance(fh, Integral | datetime | pd.Period | np.datetime64):
        fh = [fh]
    try:
        return pd.Index(fh if isinstance(fh, list | tuple) else list(fh) if isinstance(fh, range) else np.asarray(fh))
    except (TypeError, ValueError) as error:
        raise TypeError(f"{_ALLOWED}, got {fh!r}. Pass range(1, 13) for the next twelve.") from error


def _checked(axis, index):
    places = axis.places(index)
    if (places == OFF).any():
        stamp = index[int(np.argmax(places == OFF))]
        raise ValueError(
            f"fh must hold time stamps of y's axis, {axis.kind}, but {stamp} does not lie on it. Correct it."
        )
    return places


def _sorted(steps, fh):
    steps = np.sort(steps, axis=1)
    if (np.diff(steps, axis=1) == 0).any():
        raise ValueError(f"fh must hold each step once, got a step twice: {fh!r}. Drop the duplicates.")
    return steps
