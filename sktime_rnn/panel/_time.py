"""A regular time axis: time stamps as whole numbers, and back."""

from collections.abc import Hashable
from contextlib import suppress
from typing import NamedTuple

import numpy as np
import pandas as pd
from pandas.tseries.frequencies import to_offset
from pandas.tseries.offsets import Tick

OFF = np.iinfo(np.int64).min  # the place of a stamp that is not on the axis
_MOST_WINDOWS = 50
_UNITS_OF_TIME = ("s", "ms", "us", "ns")  # coarse to fine


class TimeAxis(NamedTuple):
    """A regular time axis; place 0 is its start, place 1 the step after it, places may be negative.

    Attributes
    ----------
    start : Timestamp, Period or int
        The stamp at place 0.
    freq : DateOffset or int
        The distance of two steps.
    name : Hashable
        Name of the time index.
    """

    start: object
    freq: object
    name: Hashable = None

    def index(self, places):
        """Return the stamps at some places.

        Parameters
        ----------
        places : int64 ndarray of shape (n,)
            Places, in any order.

        Returns
        -------
        index : Index of length n
            Of the kind of the axis; where the places follow each other, it has a frequency.
        """
        places = np.asarray(places, dtype=np.int64)
        if isinstance(self.start, pd.Period):
            ordinals = self.start.ordinal + places * self.freq.n
            return pd.PeriodIndex.from_ordinals(ordinals, freq=self.freq, name=self.name)
        contiguous = len(places) > 0 and np.array_equal(places, np.arange(places[0], places[0] + len(places)))
        if isinstance(self.freq, int):
            first = self.start + self.freq * (places[0] if len(places) else 0)
            if contiguous:
                return pd.RangeIndex(first, first + self.freq * len(places), self.freq, name=self.name)
            return pd.Index(self.start + self.freq * places, name=self.name)
        if len(places) == 0:
            return self._grid(0, 0)
        low, high = int(places.min()), int(places.max())
        grid = self._grid(low, high - low + 1)
        if not contiguous:
            return grid.take(places - low)
        if grid.freq is None:
            with suppress(ValueError):  # clocks may have skipped a stamp: then the dates have no frequency
                grid.freq = self.freq
        return grid

    @property
    def is_fixed(self):
        """Whether steps are equally long, unlike months, or days where clocks change."""
        return isinstance(self.freq, Tick) and not isinstance(self.freq, pd.offsets.Day)

    def _grid(self, low, n_steps):
        """Return the dates of the places from `low` on."""
        zone, unit = self.start.tz, self.start.unit
        start = self.start if self.is_fixed else self.start.tz_localize(None)  # a calendar follows the clock
        start = start + low * self.freq if low else start
        grid = pd.date_range(start, periods=n_steps, freq=self.freq, name=self.name, unit=unit)
        if zone is None or self.is_fixed:
            return grid
        return grid.tz_localize(zone, nonexistent="shift_forward", ambiguous=np.ones(n_steps, dtype=bool))

    def places(self, index):
        """Return the places of some stamps; ``OFF`` for a stamp that is not on the axis.

        Parameters
        ----------
        index : Index of length n
            Stamps of the kind of the axis.

        Returns
        -------
        places : int64 ndarray of shape (n,)
            Their places.
        """
        places = np.full(len(index), OFF)
        there = np.asarray(index.notna())
        if not there.any():
            return places
        places[there] = self._places(index if there.all() else index[there])
        return places

    def _places(self, index):
        if isinstance(self.start, pd.Period):
            return _whole(index.asi8 - self.start.ordinal, self.freq.n)
        if isinstance(self.freq, int):
            return _whole(index.to_numpy(dtype=np.int64) - self.start, self.freq)
        start = pd.DatetimeIndex([self.start])
        if self.is_fixed:
            step = pd.Timedelta(self.freq)
            unit = max(index.unit, start.unit, step.unit, key=_UNITS_OF_TIME.index)
            distance = index.as_unit(unit).asi8 - start.as_unit(unit).asi8
            return _whole(distance, int(step.as_unit(unit).asm8.astype(np.int64)))
        if self.start.tz is not None:
            index, start = index.tz_localize(None), start.tz_localize(None)
        first, last = index.min(), index.max()
        grids = [(pd.date_range(start[0], max(last, start[0]), freq=self.freq), 1)]
        if first < start[0]:
            grids.append((pd.date_range(start[0], first, freq=-self.freq), -1))
        places = np.full(len(index), OFF)
        for grid, direction in grids:
            found = grid.get_indexer(index)
            places[found >= 0] = direction * found[found >= 0]
        return places

    def is_kind(self, index):
        """Whether an index holds stamps of the kind of the axis, its frequency and time zone included."""
        if isinstance(self.start, pd.Period):
            return isinstance(index, pd.PeriodIndex) and index.freq == self.freq
        if isinstance(self.freq, int):
            return pd.api.types.is_integer_dtype(index.dtype)
        return isinstance(index, pd.DatetimeIndex) and str(index.tz) == str(self.start.tz)

    @property
    def kind(self):
        """What the stamps are, in words."""
        if isinstance(self.freq, int):
            return "integers"
        if isinstance(self.start, pd.Period):
            return f"periods of frequency {self.start.freqstr!r}"
        zone = "without time zone" if self.start.tz is None else f"of time zone {self.start.tz}"
        return f"dates of frequency {self.freq.freqstr!r} {zone}"


def _whole(distance, step):
    places, rest = np.divmod(distance, step)
    return np.where(rest == 0, places, OFF)


def find_axis(index, freq=None, *, name="y"):
    """Return the time axis of sorted stamps.

    Parameters
    ----------
    index : Index of length n
        Stamps of one series, strictly increasing.
    freq : str or DateOffset, default=None
        The frequency; by default that of the index, or else it is inferred.
    name : str, default="y"
        What error messages call the argument.

    Returns
    -------
    axis : TimeAxis
        It starts at the first stamp. Stamps may be missing in between.
    """
    if isinstance(index, pd.PeriodIndex):
        return TimeAxis(index[0], index.freq, index.name)
    if pd.api.types.is_integer_dtype(index.dtype):
        if isinstance(index, pd.RangeIndex):
            step = index.step
        else:
            step = np.gcd.reduce(np.diff(index.to_numpy(dtype=np.int64))) if len(index) > 1 else 1
        return TimeAxis(int(index[0]), int(step), index.name)
    if not isinstance(index, pd.DatetimeIndex):
        raise _not_a_time(index, name)
    if freq is None:
        freq = index.freq if index.freq is not None else _inferred_freq(index)
    if freq is None:
        raise ValueError(
            f"The dates of {name} must have a frequency, but none can be inferred from {len(index)} of them, "
            f"{_examples(index)}. Say it, freq='D' for days, or convert the index: {name}.to_period('M') for months."
        )
    return TimeAxis(index[0], _offset(freq), index.name)


def _not_a_time(index, name):
    return TypeError(
        f"The time index of {name} must hold dates, periods or integers, got {index.dtype}. Convert it first: "
        "pd.to_datetime, pd.PeriodIndex, or a RangeIndex for plain counting."
    )


def _offset(freq):
    """Return a frequency as pandas' offset."""
    why = ""
    try:
        offset = to_offset(freq)
        if offset is not None and _code(offset) and offset.n > 0:
            return offset
    except (TypeError, ValueError) as error:
        why = f": {error}"
    raise ValueError(f"freq must be a frequency of pandas with a name, 'D', 'h' or 'MS', got {freq!r}{why}. Name one.")


def _code(offset):
    """Return the unit of an offset as pandas spells it, ME or W; None for one without a name, DateOffset(days=1)."""
    try:
        return offset.rule_code.split("-")[0]
    except NotImplementedError:  # how pandas says that an offset has no name
        return None


def _examples(index):
    shown = ", ".join(str(stamp) for stamp in index[:3])
    return shown + (", ..." if len(index) > 3 else "")


def _inferred_freq(index):
    """Return a frequency on which all dates lie, some of which may be missing; None where there is none."""
    size = len(index)
    while size >= 3:
        starts = range(0, len(index) - size + 1, max(1, size // 2))
        for start in starts[:_MOST_WINDOWS]:
            freq = pd.infer_freq(index[start : start + size])
            if freq is not None and (TimeAxis(index[0], to_offset(freq)).places(index) != OFF).all():
                return freq
        size = size // 2 if size > 3 else 0
        size = 3 if size in (1, 2) else size
    return None


# Steps of each base unit in the cycles that people live by, shortest first; multiples of the unit divide them.
_CYCLES = {
    "s": (60, 3600, 86_400),
    "min": (60, 1440, 10_080),
    "h": (24, 168),
    "D": (7, 365),
    "B": (5, 260),
    "W": (52,),
    "M": (12,),
    "Q": (4,),
}
_UNITS = {"ME": "M", "MS": "M", "BME": "M", "BMS": "M", "QE": "Q", "QS": "Q", "BQE": "Q", "BQS": "Q", "C": "B"}


def _unit(freq):
    unit = freq.rule_code.split("-")[0]
    return _UNITS.get(unit, unit)


def season_lengths(freq):
    """Return the lengths of the seasons that a frequency suggests, in steps, shortest first.

    Parameters
    ----------
    freq : DateOffset or int
        Frequency of a time axis.

    Returns
    -------
    lengths : tuple of int
        (24, 168) for hours, (12,) for months; empty where none is known.

    Examples
    --------
    >>> import pandas as pd
    >>> season_lengths(pd.offsets.Hour(1)), season_lengths(pd.offsets.Minute(30)), season_lengths(pd.offsets.MonthEnd())
    ((24, 168), (48, 336), (12,))
    """
    if isinstance(freq, int):
        return ()
    unit = _UNITS.get(_code(freq), _code(freq))
    cycles = _CYCLES.get(unit, ())
    if unit == "min":  # an hour is a season only for minutes themselves
        cycles = cycles if freq.n == 1 else cycles[1:]
    return tuple(cycle // freq.n for cycle in cycles if cycle % freq.n == 0 and cycle // freq.n > 1)


# Name, the units whose steps tell values of it apart, how it is read off the dates as a share of its cycle, and the
# length of the cycle in days.
_CALENDAR = (
    ("minute_of_hour", {"s", "min"}, lambda t: (t.minute + t.second / 60) / 60, 1 / 24),
    ("hour_of_day", {"s", "min", "h"}, lambda t: (t.hour + t.minute / 60) / 24, 1),
    ("day_of_week", {"s", "min", "h", "D", "B"}, lambda t: t.dayofweek / 7, 7),
    ("day_of_month", {"D", "B"}, lambda t: (t.day - 1) / t.days_in_month, 30.5),
    ("day_of_year", {"h", "D", "B", "W"}, lambda t: (t.dayofyear - 1) / 365.25, 365.25),
    ("month_of_year", {"M"}, lambda t: (t.month - 1) / 12, 365.25),
    ("quarter_of_year", {"Q"}, lambda t: (t.quarter - 1) / 4, 365.25),
)
_FEWEST_CYCLES = 3


def _dates(axis, first, n_steps):
    index = axis.index(np.arange(first, first + n_steps))
    return index.to_timestamp() if isinstance(index, pd.PeriodIndex) else index


def calendar_cycles(axis, first, n_steps):
    """Return the cycles of the calendar that some steps go through three times or more.

    Parameters
    ----------
    axis : TimeAxis
        The time axis.
    first : int
        Place of the first step.
    n_steps : int
        Number of steps.

    Returns
    -------
    names : list of str
        Of "minute_of_hour", "hour_of_day", "day_of_week", "day_of_month", "day_of_year", "month_of_year" and
        "quarter_of_year" those that the frequency can tell; none for integers.
    """
    if isinstance(axis.freq, int):
        return []
    unit = _unit(axis.freq)
    ends = _dates(axis, first, 1)[0], _dates(axis, first + n_steps - 1, 1)[0]
    days = (ends[1] - ends[0]) / pd.Timedelta(days=1)
    return [name for name, units, _, cycle in _CALENDAR if unit in units and days >= _FEWEST_CYCLES * cycle]


def calendar_features(axis, first, n_steps, cycles):
    r"""Return where each step lies in cycles of the calendar, as points on circles.

    .. math:: (\sin 2 \pi c, \cos 2 \pi c)

    with c the share of the cycle that has passed.

    Parameters
    ----------
    axis : TimeAxis
        The time axis.
    first : int
        Place of the first step.
    n_steps : int
        Number of steps.
    cycles : list of str
        As :func:`calendar_cycles` names them.

    Returns
    -------
    table : float32 ndarray of shape (n_steps, 2 * n_cycles)
        Sine and cosine of every cycle.
    """
    if not cycles:
        return np.zeros((n_steps, 0), dtype=np.float32)
    index = _dates(axis, first, n_steps)
    columns = []
    for name, _, share, _ in _CALENDAR:
        if name in cycles:
            angle = 2 * np.pi * np.asarray(share(index), dtype=np.float64)
            columns += [np.sin(angle), np.cos(angle)]
    return np.stack(columns, axis=1).astype(np.float32)
