"""Time series as users hold them, read into flat values on one time axis."""

from collections.abc import Hashable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from sktime_rnn.panel._frames import frame_values
from sktime_rnn.panel._time import OFF, TimeAxis, find_axis

ALL = "the series"  # what a single series is called in messages


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
        return ALL if self.names is None else f"series {self.names[i]!r}"

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
        stamps = self.axis.index(places)
        if self.names is None:
            return stamps
        arrays = [self.names[series].get_level_values(level) for level in range(self.names.nlevels)]
        return pd.MultiIndex.from_arrays([*arrays, stamps], names=[*self.names.names, self.axis.name])

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


def read_series(y, *, axis=None, freq=None, gaps="error", missing="error", name="y"):
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
    name : str, default="y"
        What error messages call the argument.

    Returns
    -------
    data : SeriesData
        Flat values and where they lie in time.
    """
    y, is_array = _as_pandas(y, name)
    names, codes, times = _series_codes(y, name)
    values = _numbers(y, name)
    title = y.name if isinstance(y, pd.Series) else None
    columns = None if isinstance(y, pd.Series) else y.columns
    if is_array and columns is not None and values.shape[1] == 1:
        columns = pd.RangeIndex(1)
    order, codes, times = _in_order(codes, times, names, gaps, name)
    if order is not None:
        values = values[order]
    offsets = np.concatenate([[0], np.cumsum(np.bincount(codes, minlength=1 if names is None else len(names)))])
    if axis is None:
        longest = int(np.argmax(np.diff(offsets)))
        own = times[offsets[longest] : offsets[longest + 1]] if names is not None else times
        axis = find_axis(own, freq, name=name)
    elif not axis.is_kind(times):
        raise ValueError(
            f"The time index of {name} must hold {axis.kind} as in fit, got {times.dtype}. Convert it, or fit again."
        )
    data = SeriesData(values, offsets, np.zeros(len(offsets) - 1, np.int64), axis, names, columns, title, is_array)
    data = _on_axis(data, times, gaps, name)
    _check_numbers(data, "mask" if gaps == "fill" else missing, name)
    return data


def _as_pandas(y, name):
    if isinstance(y, pd.Series | pd.DataFrame):
        if len(y) == 0 or (isinstance(y, pd.DataFrame) and y.shape[1] == 0):
            raise ValueError(f"{name} must hold one step or more, got shape {y.shape}. Pass the series.")
        return y, False
    if y is None:
        raise ValueError(f"{name} must be a series to forecast, got None. Pass it: fit(y).")
    try:
        values = np.asarray(y)
    except ValueError as error:
        raise _not_a_series(y, name) from error
    if values.ndim not in (1, 2) or values.size == 0 or values.dtype.kind not in "biuf":
        raise _not_a_series(y, name)
    if values.ndim == 1:
        return pd.Series(values), True
    return pd.DataFrame(values), True


def _not_a_series(y, name):
    shape = f" of shape {y.shape}" if hasattr(y, "shape") else ""
    return TypeError(
        f"{name} must be a Series, a DataFrame (several variables, or a panel with a (series, time) MultiIndex) or an "
        f"array of numbers of shape (n_steps,) or (n_steps, n_variables), got {type(y).__name__}{shape}. Join several "
        f"series by pd.concat(series, keys=names)."
    )


def _series_codes(y, name):
    """Return the names of the series (None for one), the series of each row, and the time stamp of each row."""
    index = y.index
    if not isinstance(index, pd.MultiIndex):
        if index.hasnans:
            raise ValueError(
                f"The time index of {name} must say when each row was, but it is missing in row "
                f"{int(np.argmax(index.isna()))}. Drop the row or fill in its time stamp."
            )
        return None, np.zeros(len(index), dtype=np.int64), index
    missing = np.array([codes < 0 for codes in index.codes])
    if missing.any():
        level, row = np.argwhere(missing)[0]
        raise ValueError(
            f"The index of {name} must name the series and the time of every row, but level {level} is missing in row "
            f"{row}. Drop the row or fill it in."
        )
    upper = index.droplevel(-1)
    codes, names = upper.factorize()
    if isinstance(names, pd.MultiIndex):
        names = names.set_names(index.names[:-1])
    else:
        names = pd.Index(names, name=index.names[0])
    times = index.levels[-1].take(index.codes[-1])
    return names, codes.astype(np.int64), times


def _numbers(y, name):
    frame = y.to_frame() if isinstance(y, pd.Series) else y
    odd = [
        column
        for column, dtype in zip(frame.columns, frame.dtypes, strict=True)
        if not pd.api.types.is_numeric_dtype(dtype)
    ]
    if odd:
        try:
            frame = frame.astype(dict.fromkeys(odd, np.float64))
        except (TypeError, ValueError) as error:
            raise TypeError(
                f"{name} must hold numbers, got {frame[odd[0]].dtype} in {odd[0]!r}: {error}. Convert it, or leave the "
                "column out; what explains the series belongs into X."
            ) from error
    return np.asarray(frame_values(frame), dtype=np.float64)


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
    return ALL if names is None else f"series {names[code]!r}"


def _ranks(times, name):
    """Return whole numbers in the order of the stamps."""
    if hasattr(times, "asi8"):
        return times.asi8
    if pd.api.types.is_integer_dtype(times.dtype):
        return times.to_numpy(dtype=np.int64)
    raise TypeError(
        f"The time index of {name} must hold dates, periods or integers, got {times.dtype}. Convert it first: "
        "pd.to_datetime, pd.PeriodIndex, or a RangeIndex for plain counting."
    )


def _on_axis(data, times, gaps, name):
    """Return the data with the place of each first step; steps that are not there are refused or added."""
    places = data.axis.places(times)
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
            "gaps='fill', which reads them as missing values."
        )
    lengths = places[data.offsets[1:] - 1] - first + 1
    offsets = np.concatenate([[0], np.cumsum(lengths)])
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
            remedy = "set missing='mask', or fill it in" if kind == "missing" else "replace it"
            of = "" if data.columns is None else f", variable {data.columns[column]!r}"
            raise ValueError(
                f"{name} must hold finite numbers, but a value is {kind} at {data.stamp(i, row - data.offsets[i])} of "
                f"{data.name_of(i)}{of} ({bad.sum()} in all): NaN or infinity. To go on, {remedy}."
            )
    empty = np.flatnonzero(np.add.reduceat(~np.isnan(data.values).any(axis=1), data.offsets[:-1]) == 0)
    if len(empty):
        raise ValueError(
            f"{name} must have an observed step in every series, but {data.name_of(empty[0])} has none. Leave it out."
        )


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
    if not new.variables.equals(old.variables):
        raise ValueError(
            f"{name} must hold the variables {list(old.variables)} as in fit, got {list(new.variables)}. Pass the same."
        )
    if (old.names is None) != (new.names is None):
        raise ValueError(f"{name} must be a {'single series' if old.names is None else 'panel'} as in fit. Pass one.")
    names = None if old.names is None else old.names.append(new.names[~new.names.isin(old.names)])
    n_series = 1 if names is None else len(names)
    where = np.zeros(1, np.int64) if names is None else names.get_indexer(new.names)
    first, last = np.full(n_series, np.iinfo(np.int64).max), np.full(n_series, np.iinfo(np.int64).min)
    first[: len(old)], last[: len(old)] = old.first, old.last
    known = where < len(old)
    wrong = known & ((new.first > last[where] + 1) | (new.first < first[where]))
    if wrong.any():
        i = int(np.argmax(wrong))
        wanted = old.axis.index([last[where[i]] + 1])[0]
        raise ValueError(
            f"{name} must go on where {new.name_of(i)} ended, at {wanted} or before, got a start at {new.stamp(i, 0)}. "
            "Pass the steps in between as well."
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
    return replace(old, values=values, offsets=offsets, first=first, names=names), n_new, tuple(rows)


def from_long(df, id, time, target, features=None):
    """Return a panel from a table in long format, one row a series and time.

    Parameters
    ----------
    df : DataFrame
        One row for each series and time.
    id : str or list of str
        Column that names the series; several columns name it together.
    time : str
        Column of the time stamps.
    target : str or list of str
        Column to forecast; several are forecast together.
    features : list of str, default=None
        Columns that explain it. With them, X is returned as well.

    Returns
    -------
    y : Series or DataFrame
        With a MultiIndex (series, time), sorted by time within each series.
    X : DataFrame
        Only with ``features``: those columns under the same index.

    Examples
    --------
    >>> import pandas as pd
    >>> from sktime_rnn import from_long
    >>> df = pd.DataFrame({"shop": ["a", "b", "a"], "day": [0, 0, 1], "sold": [3.0, 5.0, 4.0]})
    >>> from_long(df, id="shop", time="day", target="sold")
    shop  day
    a     0      3.0
          1      4.0
    b     0      5.0
    Name: sold, dtype: float64
    """
    ids = list(id) if isinstance(id, list | tuple) else [id]
    wanted = [*ids, time, *(target if isinstance(target, list) else [target]), *(features or [])]
    absent = [column for column in wanted if column not in df.columns]
    if absent:
        raise ValueError(f"df must have the columns {wanted}, but {absent[0]!r} is not there: {list(df.columns)}.")
    frame = df.set_index([*ids, time]).sort_index(kind="stable")
    return frame[target] if features is None else (frame[target], frame[features])
