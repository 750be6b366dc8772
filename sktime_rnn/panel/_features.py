"""What explains the series: exogenous features as numbers and codes, on the steps of y."""

from dataclasses import dataclass
from numbers import Real

import numpy as np
import pandas as pd

from sktime_rnn.panel._series import _name, _series_codes, check_levels, holds_numbers, spoken
from sktime_rnn.panel._time import OFF

UNKNOWN = 0  # the code of a category that fit has not seen


@dataclass(frozen=True)
class Features:
    """Features of steps, or of series.

    Attributes
    ----------
    numbers : float64 ndarray of shape (..., n_numeric)
        Numeric and boolean columns; NaN where one is missing.
    codes : int64 ndarray of shape (..., n_categorical)
        Codes of the categories; 0 for one that was not there in fit, or is missing.
    """

    numbers: np.ndarray
    codes: np.ndarray

    def __getitem__(self, rows):
        return Features(self.numbers[rows], self.codes[rows])


class FeatureReader:
    """Reads frames of features as the one it was fitted on.

    Parameters
    ----------
    name : str
        What error messages call the frame.
    missing : {"error", "mask"}
        Refuse missing values, or let them pass.

    Attributes
    ----------
    columns_ : Index
        All columns.
    numeric_, categorical_ : list
        Numeric and boolean columns; columns of text or categories.
    categories_ : list of Index
        Of each categorical column; the code of the i-th is i + 1.
    """

    def __init__(self, name="X", missing="error"):
        self.name = name
        self.missing = missing

    def fit(self, X):
        """Learn columns and categories.

        Parameters
        ----------
        X : DataFrame or Series
            Features.

        Returns
        -------
        self : FeatureReader
            The reader itself.
        """
        X = self.frame(X)
        self.columns_ = X.columns
        self.numeric_ = [c for c in X.columns if holds_numbers(X[c])]
        self.categorical_ = [c for c in X.columns if c not in self.numeric_]
        odd = [c for c in self.categorical_ if not _is_category(X[c])]
        if odd:
            raise TypeError(
                f"{self.name} must hold real numbers, booleans, categories or text, got {X[odd[0]].dtype} in column "
                f"{odd[0]!r}. Convert the column."
            )
        self.categories_ = [pd.Index(X[c].dropna().unique()) for c in self.categorical_]
        return self

    def frame(self, X):
        """Return what the user passed as a frame.

        Parameters
        ----------
        X : DataFrame, Series or ndarray
            Features.

        Returns
        -------
        frame : DataFrame
            The same, or columns named 0, 1, ...
        """
        if isinstance(X, pd.Series):
            return X.to_frame()
        if isinstance(X, np.ndarray) and X.ndim in (1, 2):
            return pd.DataFrame(X.reshape(len(X), -1))
        if not isinstance(X, pd.DataFrame):
            shape = f" of shape {X.shape}" if hasattr(X, "shape") else ""
            raise TypeError(
                f"{self.name} must be a DataFrame, a Series or a 1-D or 2-D array, got {type(X).__name__}{shape}. "
                "Convert it. The steps to forecast are said by name: fh=range(1, 13)."
            )
        if X.columns.has_duplicates:
            twice = X.columns[X.columns.duplicated()][0]
            raise ValueError(f"{self.name} must name each column once, but {twice!r} is there twice. Rename it.")
        return X

    def on_axis(self, X, data, first, n_ahead=0):
        """Return an array as a frame, its rows the steps from a place on.

        Parameters
        ----------
        X : ndarray of shape (n_rows,) or (n_rows, n_columns)
            Features.
        data : SeriesData
            The series, one.
        first : int
            Place of the first row.
        n_ahead : int, default=0
            Steps after the end of the series, where the rows are these: an array that has those before as well is
            refused.

        Returns
        -------
        frame : DataFrame
            With an index on the axis of the series.
        """
        if data.names is not None:
            raise TypeError(
                f"{self.name} must be a DataFrame with the index of y, (series, time), for a panel, got an array. Give "
                "it that index."
            )
        frame = self.frame(X)
        if n_ahead and len(frame) >= data.lengths[0] + n_ahead:
            raise ValueError(
                f"{self.name} as an array must begin with the first step after the end of y, got {len(frame)} rows, as "
                f"many as y's {data.lengths[0]} steps and {n_ahead} ahead. Leave out the rows of y's steps."
            )
        if frame.shape[1] != len(self.columns_):
            raise ValueError(
                f"{self.name} must have {len(self.columns_)} column(s) as in fit, got an array of shape {X.shape}. "
                "Pass the same."
            )
        return frame.set_axis(data.axis.index(first + np.arange(len(frame))), axis=0)

    def read(self, X, optional=()):
        """Return the features of a frame's rows.

        Parameters
        ----------
        X : DataFrame or Series
            With the columns of fit; others are left out.
        optional : collection
            Columns that may be absent; they are then missing.

        Returns
        -------
        features : Features
            Rows as in X.
        present : list
            The columns of fit that X has.
        """
        X = self.frame(X)
        absent = [column for column in self.columns_ if column not in X.columns]
        needed = [column for column in absent if column not in optional]
        if needed:
            raise ValueError(
                f"{self.name} must have the columns {list(self.columns_)} of fit, but {needed[0]!r} is not there, got "
                f"{list(X.columns)}. Add it."
            )
        numbers = np.full((len(X), len(self.numeric_)), np.nan)
        for place, column in enumerate(self.numeric_):
            if column in X.columns:
                numbers[:, place] = self._column(X[column])
        codes = np.zeros((len(X), len(self.categorical_)), dtype=np.int64)
        for place, (column, categories) in enumerate(zip(self.categorical_, self.categories_, strict=True)):
            if column in X.columns:
                codes[:, place] = self._codes(X[column], categories)
        return Features(numbers, codes), [column for column in self.columns_ if column not in absent]

    def _column(self, series):
        if not holds_numbers(series):
            raise TypeError(
                f"{self.name} must hold numbers in column {series.name!r} as in fit, got {series.dtype}. Convert it."
            )
        return series.to_numpy(dtype=np.float64, na_value=np.nan)

    def _codes(self, series, categories):
        if pd.api.types.is_string_dtype(categories) and holds_numbers(series) and series.notna().any():
            raise TypeError(
                f"{self.name} must hold text in column {series.name!r} as in fit, got {series.dtype}. Convert it."
            )
        return categories.get_indexer(pd.Index(series)) + 1

    def check(self, features, present, rows, place_of):
        """Refuse infinite values, and missing ones unless they are to be masked.

        Parameters
        ----------
        features : Features
            As read.
        present : list
            Columns to look at.
        rows : ndarray
            Rows to look at.
        place_of : callable
            Says in words where a row is.
        """
        for place, column in enumerate(self.numeric_):
            if column not in present:
                continue
            values = features.numbers[rows, place]
            kinds = [("infinite", np.isinf(values))]
            kinds += [("missing", np.isnan(values))] if self.missing == "error" else []
            for kind, bad in kinds:
                if bad.any():
                    raise ValueError(
                        f"{self.name} must hold finite numbers, but column {column!r} is {kind} at "
                        f"{place_of(rows[int(np.argmax(bad))])}. Fill it in"
                        + (", or set missing='mask'." if kind == "missing" else ".")
                    )


def _is_category(series):
    if isinstance(series.dtype, pd.CategoricalDtype):
        return True
    if series.dtype == object:
        return all(isinstance(cell, str | Real) for cell in series.dropna())
    return pd.api.types.is_string_dtype(series.dtype)


def read_step_features(reader, X, data, n_future=0, optional=(), extra="refuse", needed=None):
    """Return the features of the steps of all series, laid out as the series are.

    Parameters
    ----------
    reader : FeatureReader
        Fitted.
    X : DataFrame or Series
        Rows with the index of y, in any order.
    data : SeriesData
        The series.
    n_future : int, default=0
        Read only this many steps after the end of each series, instead of the steps of the series.
    optional : collection
        Columns that may be absent.
    extra : {"refuse", "ignore"}
        What is done with rows that are not steps of y.
    needed : int ndarray of shape (n_series,), default=None
        How many of the ``n_future`` steps X must have for each series; by default all. What is read after them is the
        last of them again.

    Returns
    -------
    features : Features
        One row for each row of ``data.values``; with ``n_future`` of shape (n_series * n_future, ...).
    present : list
        The columns of fit that X has.
    """
    if isinstance(X, np.ndarray):
        X = reader.on_axis(X, data, data.last[0] + 1 if n_future else data.first[0])
    read, present = reader.read(X, optional)
    series, places = _positions(X, data, reader.name)
    steps = places - (data.last[series] + 1 if n_future else data.first[series])
    room = np.full(len(data), n_future) if n_future else data.lengths
    inside = (series >= 0) & (steps >= 0) & (steps < room[series])  # series -1 reads another's, and is left out
    if not n_future and extra == "refuse" and not inside.all():
        row = int(np.argmin(inside))
        raise ValueError(
            f"{reader.name} must have the index of y, but its row {spoken(X.index[row])} is not in y. Pass "
            f"{reader.name}.loc[y.index]."
        )
    starts = np.arange(len(data)) * n_future if n_future else data.offsets[:-1]
    target = np.full(int(room.sum()), -1)
    rows = np.flatnonzero(inside)
    where = starts[series[rows]] + steps[rows]
    twice = np.flatnonzero(np.bincount(where, minlength=len(target))[where] > 1)
    if len(twice):
        row = spoken(X.index[rows[twice[0]]])
        raise ValueError(
            f"{reader.name} must have one row for each step, but has more than one for {row}. Drop the duplicates."
        )
    target[where] = rows
    unread = np.zeros(len(target), dtype=bool)
    if needed is not None:
        step = np.arange(n_future)
        unread = (step >= needed[:, None]).ravel()
        last = np.minimum(step, np.maximum(needed, 1)[:, None] - 1)
        target = target[(starts[:, None] + last).ravel()]
    absent = (target < 0) & ~unread
    if absent.any():
        flat = int(np.argmax(absent))
        i = flat // n_future if n_future else int(np.searchsorted(data.offsets, flat, side="right")) - 1
        step = flat - starts[i] + (data.lengths[i] if n_future else 0)
        what = f"the {n_future} steps after the end of y" if n_future else "every step of y"
        raise ValueError(
            f"{reader.name} must have a row for {what}, but {data.stamp(i, step)} of {data.name_of(i)} is not there. "
            "Add it."
        )
    reader.check(read, present, target[~unread], lambda row: spoken(X.index[row]))
    features = read[target]
    features.numbers[target < 0], features.codes[target < 0] = 0.0, UNKNOWN  # of series that look at no step ahead
    return features, present


def _positions(X, data, name):
    """Return the series (-1: none of them) and the place of every row."""
    names, codes, times = _series_codes(X, name)
    check_levels(names, data.names, name)
    if not data.axis.is_kind(times.level):
        raise ValueError(
            f"The time index of {name} must hold {data.axis.kind} as y has, got {times.level.dtype}. Convert it."
        )
    places = times.numbers(data.axis.places(times.level))
    if (places == OFF).any():
        row = int(np.argmax(places == OFF))
        raise ValueError(
            f"The time stamps of {name} must lie on y's axis of {data.axis.kind}, but {times[row]} of "
            f"{_name(names, codes[row])} does not. Correct it."
        )
    series = codes if names is None else data.names.get_indexer(names)[codes]
    return series, places


def read_static(reader, static, data):
    """Return the features of the series, one row each.

    Parameters
    ----------
    reader : FeatureReader
        Fitted.
    static : DataFrame or Series
        Indexed by the series; of a single series, one row.
    data : SeriesData
        The series.

    Returns
    -------
    features : Features
        One row a series.
    """
    if isinstance(static, np.ndarray) and data.names is not None:
        raise TypeError(
            f"{reader.name} must be a DataFrame indexed by the series of a panel, got an array. Give it that index."
        )
    static = reader.frame(static)
    read, present = reader.read(static)
    if data.names is None:
        rows = np.zeros(1, dtype=np.int64)
        if len(static) != 1:
            raise ValueError(f"{reader.name} must have one row for a single series, got {len(static)}. Pass one.")
    else:
        check_levels(static.index, data.names, reader.name)
        if static.index.has_duplicates:
            twice = static.index[static.index.duplicated()][0]
            raise ValueError(
                f"{reader.name} must have one row for each series, but {spoken(twice)} is there twice. Drop one."
            )
        rows = static.index.get_indexer(data.names)
    if (rows < 0).any():
        raise ValueError(
            f"{reader.name} must have a row for every series, but {data.name_of(int(np.argmax(rows < 0)))} is not in "
            "its index. Add it."
        )
    reader.check(read, present, rows, lambda row: spoken(static.index[row]))
    return read[rows]
