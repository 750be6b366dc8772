"""Time series as users hold them, read into flat values on one time axis."""

from collections.abc import Hashable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from sktime_rnn.panel._frames import frame_values, has_axes
from sktime_rnn.panel._time import OFF, TimeAxis, _not_a_time, find_axis

ALL = "the series"  # what a single series is called in messages
_NUMBERS = {"boolean", "decimal", "empty", "floating", "integer", "mixed-integer-float"}  # as pandas infers them
_MOST_FILLED = 10_000


@dataclass(frozen=True)
class SeriesData:
    """One or many series, their steps end to end.

    Attributes
    ----------
    values : float64 ndarray of shape (n_steps, n_variables)
        The values; NaN where one is missing.
    offsets : int64 ndarray of shape (n_series + 1,)
        Series i owns the rows ``offsets[i]`` to ``offsets[i + 1]`` of `values`.
    first : int64 ndarray of shape (n_series,)
        Place of each series' first step on the axis.
    axis : TimeAxis
        The time axis that all series share.
    names : Index of length n_series or None
        The series of a panel; None for a single one.
    columns : Index of length n_variables or None
        The variables of a frame; None for a Series or a 1-D array.
    title : Hashable
        Name of a Series.
    is_array : bool
        Whether a NumPy array came in.
    """

    values: np.ndarray
    offsets: np.ndarray
    first: np.ndarray
    axis: TimeAxis
    names: pd.Index | None = None
    columns: pd.Index | None = None
    title: Hashable = None
    is_array: bool = False

    def __len__(self):
        return len(self.first)

    @property
    def n_variables(self):
        """Number of jointly observed variables."""
        return self.values.shape[1]

    @property
    def lengths(self):
        """Number of steps of each series."""
        return np.diff(self.offsets)

    @property
    def last(self):
        """Place of each series' last step."""
        return self.first + self.lengths - 1

    @property
    def variables(self):
        """Names of the variables, as columns of a frame have them."""
        if self.columns is not None:
            return self.columns
        return pd.Index([0 if self.title is None else self.title])

    def name_of(self, i):
        """What series i is called in messages."""
        return _name(self.names, i)

    def stamp(self, i, step):
        """The time stamp of a step of series i."""
        return self.axis.index([self.first[i] + step])[0]

    def index(self, series, places):
        """Return the pandas index of some steps.

        Parameters
        ----------
        series : int ndarray of shape (n,)
            Which series each belongs to.
        places : int64 ndarray of shape (n,)
            Their places.

        Returns
        -------
        index : Index of length n
            Of time stamps, or of (series, time) for a panel.
        """
        if self.names is None:
            return self.axis.index(places)
        # By codes: the levels are as long as there are series and stamps, and sorted as pandas has them.
        upper = [self.names.get_level_values(level) for level in range(self.names.nlevels)]
        upper = pd.MultiIndex.from_arrays(upper, names=self.names.names)
        codes, stamps = pd.factorize(places, sort=True)
        return pd.MultiIndex(
            levels=[*upper.levels, self.axis.index(stamps)],
            codes=[*(np.asarray(level)[series] for level in upper.codes), codes],
            names=[*upper.names, self.axis.name],
            verify_integrity=False,
        )

    def check_alike(self, new, name):
        """Refuse series that cannot be these ones later on; a Series without a name may go on from any."""
        check_levels(new.names, self.names, name)
        unnamed = new.columns is None and self.columns is None and new.title is None
        if not unnamed and not new.variables.equals(self.variables):
            raise ValueError(
                f"{name} must hold the variables {list(self.variables)} as in fit, got {list(new.variables)}. Pass the "
                "same."
            )

    def wrap(self, values, series, places):
        """Return values in the container that came in.

        Parameters
        ----------
        values : ndarray of shape (n, n_variables)
            One row a step.
        series, places : ndarray of shape (n,)
            As in :meth:`index`.

        Returns
        -------
        container : ndarray, Series or DataFrame
            A Series for a Series, a frame for a frame, an array for an array.
        """
        if self.is_array:
            return values[:, 0] if self.columns is None else values
        index = self.index(series, places)
        if self.columns is None:
            return pd.Series(values[:, 0], index=index, name=self.title)
        return pd.DataFrame(values, index=index, columns=self.columns)

    def take(self, indices, keep=None):
        """Return some of the series, or only their last steps.

        Parameters
        ----------
        indices : int ndarray of shape (n,)
            Which series.
        keep : int, default=None
            Most steps to keep of each, the last ones.

        Returns
        -------
        data : SeriesData
            Theirs alone.
        """
        lengths = self.lengths[indices]
        kept = lengths if keep is None else np.minimum(lengths, keep)
        offsets = np.concatenate([[0], np.cumsum(kept)])
        starts = self.offsets[indices] + lengths - kept
        rows = np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], kept)
        names = None if self.names is None else self.names[indices]
        first = self.first[indices] + lengths - kept
        return replace(self, values=self.values[rows], offsets=offsets, first=first, names=names)

    def head(self, lengths):
        """Return the first steps of every series.

        Parameters
        ----------
        lengths : int ndarray of shape (n_series,)
            How many of each, at most as many as it has.

        Returns
        -------
        data : SeriesData
            What was known then.
        """
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        rows = np.arange(offsets[-1]) + np.repeat(self.offsets[:-1] - offsets[:-1], lengths)
        return replace(self, values=self.values[rows], offsets=offsets)


def read_series(y, *, axis=None, freq=None, gaps="error", missing="error", after=None, name="y"):
    """Read one or many time series.

    Parameters
    ----------
    y : Series, DataFrame, or array of shape (n_steps,) or (n_steps, n_variables)
        One series, of one variable or of several; with a MultiIndex whose last level is the time, a panel of them.
    axis : TimeAxis, default=None
        The axis on which the stamps must lie; by default their own.
    freq : str or DateOffset, default=None
        Frequency of dates that do not tell it.
    gaps : {"error", "fill"}, default="error"
        Refuse unsorted rows and steps that are not there, or sort them and add the steps as missing values.
    missing : {"error", "mask"}, default="error"
        Refuse NaN, or let them pass.
    after : SeriesData, default=None
        What y goes on from. An array then starts at its end, and y may hold steps that nobody observed.
    name : str, default="y"
        What error messages call the argument.

    Returns
    -------
    data : SeriesData
        Flat values and where they lie in time.
    """
    y, is_array = _as_pandas(y, name)
    if is_array and after is not None:
        y.index = _index_after(after, len(y), name)
    names, codes, times = _series_codes(y, name)
    values = _numbers(y, name)
    title = y.name if isinstance(y, pd.Series) else None
    columns = None if isinstance(y, pd.Series) else y.columns
    order, codes, times = _in_order(codes, times, names, gaps, name)
    if order is not None:
        values = values[order]
    offsets = np.concatenate([[0], np.cumsum(np.bincount(codes, minlength=1 if names is None else len(names)))])
    if axis is None:
        longest = int(np.argmax(np.diff(offsets)))
        own = times.of(slice(offsets[longest], offsets[longest + 1]))
        if freq is None and len(own) < 3:  # too few to tell, but a level of dates may know
            freq = getattr(times.level, "freq", None)
        axis = find_axis(own, freq, name=name)
    elif not axis.is_kind(times.level):
        raise ValueError(
            f"The time index of {name} must hold {axis.kind} as in fit, got {times.level.dtype}. Convert it, or fit "
            "again."
        )
    else:
        axis = axis._replace(name=times.level.name)
    data = SeriesData(values, offsets, np.zeros(len(offsets) - 1, np.int64), axis, names, columns, title, is_array)
    data = _on_axis(data, times, gaps, name)
    _check_numbers(data, "mask" if gaps == "fill" else missing, name)
    if after is None:
        _check_observed(data, name)
    return data


def _as_pandas(y, name):
    if isinstance(y, pd.Series | pd.DataFrame):
        if len(y) == 0 or (isinstance(y, pd.DataFrame) and y.shape[1] == 0):
            raise ValueError(f"{name} must hold one step or more, got shape {y.shape}. Pass the series.")
        if isinstance(y, pd.DataFrame) and y.columns.has_duplicates:
            twice = y.columns[y.columns.duplicated()][0]
            raise ValueError(f"{name} must name each variable once, but {twice!r} is there twice. Rename it.")
        return y, False
    if y is None:
        raise ValueError(f"{name} must be a series to forecast, got None. Pass it: fit(y).")
    if isinstance(y, list | tuple) and any(map(has_axes, y)):  # several series, or steps: nobody can tell
        raise _not_a_series(y, name)
    values = np.asarray(y.astype(np.float64).filled(np.nan) if isinstance(y, np.ma.MaskedArray) else y)
    if values.ndim not in (1, 2) or values.dtype.kind not in "biufO":
        raise _not_a_series(y, name)
    if values.size == 0:
        raise ValueError(f"{name} must hold one step or more, got shape {values.shape}. Pass the series.")
    return (pd.Series(values) if values.ndim == 1 else pd.DataFrame(values)), True


def _not_a_series(y, name):
    shape = f" of shape {y.shape}" if hasattr(y, "shape") else ""
    kind = f" of {y.dtype}" if isinstance(y, np.ndarray) else ""
    return TypeError(
        f"{name} must be a Series, a DataFrame (several variables, or a panel with a (series, time) MultiIndex) or an "
        f"array of numbers of shape (n_steps,) or (n_steps, n_variables), got {type(y).__name__}{shape}{kind}. Join "
        "several series by pd.concat(series, keys=names)."
    )


def _index_after(data, n_steps, name):
    """Return the index of an array that goes on where an array ended."""
    if not data.is_array:
        raise TypeError(
            f"{name} must be a Series or a DataFrame as in fit, whose index says when its steps were, got an array. "
            "Give it that index."
        )
    return data.axis.index(data.last[0] + 1 + np.arange(n_steps))


class Stamps:
    """The time stamps of rows: the distinct ones, and which of them each row has (None: one each, as they come)."""

    def __init__(self, level, codes=None):
        self.level = level
        self.codes = codes

    def of(self, rows):
        """The stamps of some rows, an Index."""
        return self.level[rows] if self.codes is None else self.level.take(self.codes[rows])

    def __getitem__(self, row):
        return self.level[row if self.codes is None else self.codes[row]]

    def take(self, order):
        """The same in another order."""
        return Stamps(self.level.take(order)) if self.codes is None else Stamps(self.level, self.codes[order])

    def numbers(self, of_level):
        """What is said of the distinct stamps, for every row."""
        return of_level if self.codes is None else of_level[self.codes]


def _series_codes(y, name):
    """Return the names of the series (None for one), the series of each row, and the time stamps of the rows."""
    index = y.index
    if not isinstance(index, pd.MultiIndex):
        if index.hasnans:
            raise ValueError(
                f"The time index of {name} must say when each row was, but it is missing in row "
                f"{int(np.argmax(index.isna()))}. Drop the row or fill in its time stamp."
            )
        return None, np.zeros(len(index), dtype=np.int64), Stamps(index)
    if index.nlevels == 1:
        raise ValueError(
            f"The MultiIndex of {name} must have the levels (series, time), got {list(index.names)} alone. Name the "
            "series in a level before it, or make it a plain index."
        )
    for level, codes in enumerate(index.codes):
        if (codes < 0).any():
            raise ValueError(
                f"The index of {name} must name the series and the time of every row, but level {level} is missing in "
                f"row {int(np.argmax(codes < 0))}. Drop the row or fill it in."
            )
    *upper, times = range(index.nlevels)
    joint = np.asarray(index.codes[0])
    if len(upper) > 1:
        joint = np.ravel_multi_index([index.codes[i] for i in upper], [len(index.levels[i]) for i in upper])
    codes, distinct = pd.factorize(joint)
    if len(upper) > 1:
        parts = np.unravel_index(distinct, [len(index.levels[i]) for i in upper])
        levels = [index.levels[i].take(part) for i, part in zip(upper, parts, strict=True)]
        names = pd.MultiIndex.from_arrays(levels, names=index.names[:-1])
    else:
        names = index.levels[0].take(distinct).rename(index.names[0])
    level = index.levels[times].rename(index.names[times])
    return names, codes.astype(np.int64, copy=False), Stamps(level, np.asarray(index.codes[times]))


def holds_numbers(column):
    """Whether a column holds real numbers or booleans, if only as objects."""
    dtype = column.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return False
    if dtype.kind == "O":
        return pd.api.types.infer_dtype(column, skipna=True) in _NUMBERS
    return pd.api.types.is_numeric_dtype(dtype) and dtype.kind != "c"


def _numbers(y, name):
    """Return the values as an array of our own, (n_rows, n_variables)."""
    frame = y.to_frame() if isinstance(y, pd.Series) else y
    objects = []
    for column in frame.columns:
        if not holds_numbers(frame[column]):
            raise TypeError(
                f"{name} must hold real numbers, got {frame[column].dtype} in {column!r}, such as "
                f"{frame[column].iloc[0]!r}. Convert it, or leave the column out; what explains the series belongs "
                "into X. A table with a row for each series and time? from_long makes a panel of it."
            )
        if frame[column].dtype.kind == "O":
            objects.append(column)
    if objects:
        frame = frame.copy()
        for column in objects:
            frame[column] = frame[column].to_numpy(dtype=np.float64, na_value=np.nan)
    return np.array(frame_values(frame), dtype=np.float64, order="C")


def _in_order(codes, times, names, gaps, name):
    """Return rows series by series in the order of time, and the order in which they were (None: as they were)."""
    order = None
    if (codes[1:] < codes[:-1]).any():
        order = np.argsort(codes, kind="stable")
        codes, times = codes[order], times.take(order)
    ranks = _ranks(times, name)
    same = codes[1:] == codes[:-1]
    backwards = (ranks[1:] < ranks[:-1]) & same
    if backwards.any():
        if gaps == "error":
            row = int(np.argmax(backwards)) + 1
            raise ValueError(
                f"The time stamps of {name} must increase, but {_name(names, codes[row])} goes back in time at "
                f"{times[row]}. Sort the rows, {name}.sort_index(), or set gaps='fill'."
            )
        again = np.lexsort((ranks, codes))
        order = again if order is None else order[again]
        codes, times, ranks = codes[again], times.take(again), ranks[again]
    twice = (ranks[1:] == ranks[:-1]) & (codes[1:] == codes[:-1])
    if twice.any():
        row = int(np.argmax(twice)) + 1
        raise ValueError(
            f"{name} must have one row for each time stamp, but {_name(names, codes[row])} has more than one at "
            f"{times[row]}. Drop or aggregate the duplicates."
        )
    return order, codes, times


def _name(names, code):
    return ALL if names is None else f"series {spoken(names[code])}"


def spoken(label):
    """A label of an index or a column as users write it: 3, not np.int64(3)."""
    if isinstance(label, tuple):
        return f"({', '.join(map(spoken, label))})"
    return repr(label.item() if isinstance(label, np.integer | np.floating) else label)


def _ranks(times, name):
    """Return whole numbers in the order of the stamps."""
    level = times.level
    is_integer = pd.api.types.is_integer_dtype(level.dtype)
    if not is_integer and not isinstance(level, pd.DatetimeIndex | pd.PeriodIndex):
        raise _not_a_time(level, name)
    if times.codes is None:
        return level.to_numpy(dtype=np.int64) if is_integer else level.asi8
    if level.is_monotonic_increasing:
        return times.codes
    ranks = np.empty(len(level), dtype=np.int64)
    ranks[level.argsort()] = np.arange(len(level))
    return ranks[times.codes]


def _on_axis(data, times, gaps, name):
    """Return the data with the place of each first step; steps that are not there are refused or added."""
    places = times.numbers(data.axis.places(times.level))
    series = np.repeat(np.arange(len(data)), data.lengths)
    off = places == OFF
    if off.any():
        row = int(np.argmax(off))
        raise ValueError(
            f"The time stamps of {name} must lie on one axis of {data.axis.kind}, but {times[row]} of "
            f"{data.name_of(series[row])} does not. Correct it, or bring all series to one frequency: asfreq, resample."
        )
    first = places[data.offsets[:-1]]
    gap = (np.diff(places) != 1) & (series[1:] == series[:-1])
    data = replace(data, first=first)
    if not gap.any():
        return data
    row = int(np.argmax(gap))
    if gaps == "error":
        raise ValueError(
            f"{name} must have a row for every step, but after {times[row]} {data.name_of(series[row])} goes on at "
            f"{times[row + 1]}: {data.axis.index([places[row] + 1])[0]} is not there. Add the steps, or set "
            "gaps='fill', where there is that parameter, which reads them as missing values."
        )
    lengths = places[data.offsets[1:] - 1] - first + 1
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    if offsets[-1] > _MOST_FILLED * len(places):
        raise ValueError(
            f"gaps='fill' may make {name} at most {_MOST_FILLED} times as long, but its {len(places)} rows lie among "
            f"{offsets[-1]} steps of {data.axis.kind}. Is a time stamp wrong? Otherwise resample it."
        )
    values = np.full((offsets[-1], data.n_variables), np.nan)
    values[offsets[series] + places - first[series]] = data.values
    return replace(data, values=values, offsets=offsets)


def _check_numbers(data, missing, name):
    kinds = {"infinite": np.isinf(data.values)}
    kinds["missing"] = np.isnan(data.values) if missing == "error" else np.zeros_like(kinds["infinite"])
    for kind, bad in kinds.items():
        if bad.any():
            row, column = np.argwhere(bad)[0]
            i = int(np.searchsorted(data.offsets, row, side="right")) - 1
            remedy = (
                "fill it in, or, where there is that parameter, set missing='mask'"
                if kind == "missing"
                else "replace it"
            )
            of = "" if data.columns is None else f", variable {spoken(data.columns[column])}"
            raise ValueError(
                f"{name} must hold finite numbers, but a value is {kind} at {data.stamp(i, row - data.offsets[i])} of "
                f"{data.name_of(i)}{of} ({bad.sum()} in all): NaN or infinity. To go on, {remedy}."
            )


def _check_observed(data, name):
    observed = ~np.isnan(data.values).any(axis=1)
    empty = np.flatnonzero(~np.logical_or.reduceat(observed, data.offsets[:-1]))
    if len(empty):
        variables = "" if data.n_variables == 1 else " of all variables"
        raise ValueError(
            f"{name} must have an observed step{variables} in every series, but {data.name_of(empty[0])} has none. "
            "Leave it out."
        )


def check_levels(names, wanted, name):
    """Refuse series that are named by another number of index levels than those of fit; None is a single series."""
    n_levels, n_wanted = (0 if each is None else each.nlevels for each in (names, wanted))
    if n_levels != n_wanted:
        wanted, got = (
            f"a panel whose series are named by {n} level(s)" if n else "a single series" for n in (n_wanted, n_levels)
        )
        raise ValueError(f"{name} must be {wanted} as in fit, got {got}. Give it that index.")


def join_series(old, new, name="y"):
    """Return series with the steps that came after them.

    Parameters
    ----------
    old, new : SeriesData
        On one axis. Steps that are in both are taken from `new`; series that are only in `new` are added.
    name : str, default="y"
        What error messages call `new`.

    Returns
    -------
    data : SeriesData
        Both together.
    n_new : int64 ndarray of shape (n_series,)
        Steps after the end of each old series; all steps of a new one.
    rows : tuple of int64 ndarrays
        The rows of ``data.values`` that the rows of `old` and those of `new` became.
    """
    old.check_alike(new, name)
    names = None if old.names is None else old.names.append(new.names[~new.names.isin(old.names)])
    n_series = 1 if names is None else len(names)
    where = np.zeros(1, np.int64) if names is None else names.get_indexer(new.names)
    first, last = np.full(n_series, np.iinfo(np.int64).max), np.full(n_series, np.iinfo(np.int64).min)
    first[: len(old)], last[: len(old)] = old.first, old.last
    known = where < len(old)
    late, early = known & (new.first > last[where] + 1), known & (new.first < first[where])
    if (late | early).any():
        i = int(np.argmax(late | early))
        start, end = old.axis.index(np.array([first[where[i]], last[where[i]] + 1]))
        remedy = "Pass the steps in between as well." if late[i] else "Leave the earlier steps out, or fit again."
        raise ValueError(
            f"{name} must go on where {new.name_of(i)} ended, at {end}, or replace steps from {start} on, got a start "
            f"at {new.stamp(i, 0)}. {remedy}"
        )
    before = last.copy()
    first[where] = np.minimum(first[where], new.first)
    last[where] = np.maximum(last[where], new.last)
    lengths = last - first + 1
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    values, rows = np.full((offsets[-1], old.n_variables), np.nan), []
    for part, owner in ((old, np.arange(len(old))), (new, where)):
        starts = offsets[owner] + part.first - first[owner]
        rows.append(np.arange(len(part.values)) + np.repeat(starts - part.offsets[:-1], part.lengths))
        values[rows[-1]] = part.values
    n_new = np.where(np.arange(n_series) < len(old), last - before, lengths)
    data = replace(old, values=values, offsets=offsets, first=first, names=names)
    _check_observed(data, name)
    return data, n_new, tuple(rows)
