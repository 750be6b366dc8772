"""What explains the series: exogenous features as numbers and codes, on the steps of y."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from sktime_rnn.panel._series import _name, _series_codes
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
        X = self._frame(X)
        self.columns_ = X.columns
        self.numeric_ = [c for c, dtype in zip(X.columns, X.dtypes, strict=True) if _is_number(dtype)]
        self.categorical_ = [c for c in X.columns if c not in self.numeric_]
        self.categories_ = [pd.Index(X[c].dropna().unique()) for c in self.categorical_]
        odd = [c for c in self.categorical_ if not _is_category(X[c])]
        if odd:
            raise TypeError(
                f"{self.name} must hold numbers, booleans, categories or text, got {X[odd[0]].dtype} in column "
                f"{odd[0]!r}. Convert the column."
            )
        return self

    def _frame(self, X):
        if isinstance(X, pd.Series):
            return X.to_frame()
        if isinstance(X, np.ndarray) and X.ndim in (1, 2):
            return pd.DataFrame(X.reshape(len(X), -1))
        if not isinstance(X, pd.DataFrame):
            raise TypeError(
                f"{self.name} must be a DataFrame or a Series with the index of y, got {type(X).__name__}. Convert it."
            )
        if X.columns.has_duplicates:
            twice = X.columns[X.columns.duplicated()][0]
            raise ValueError(f"{self.name} must name each column once, but {twice!r} is there twice. Rename it.")
        return X

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
        X = self._frame(X)
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
                codes[:, place] = categories.get_indexer(pd.Index(X[column])) + 1
        return Features(numbers, codes), [column for column in self.columns_ if column not in absent]

    def _column(self, series):
        if not _is_number(series.dtype):
            raise TypeError(
                f"{self.name} must hold numbers in column {series.name!r} as in fit, got {series.dtype}. Convert it."
            )
        return series.to_numpy(dtype=np.float64, na_value=np.nan)

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


def _is_number(dtype):
    return pd.api.types.is_numeric_dtype(dtype) or pd.api.types.is_bool_dtype(dtype)


def _is_category(series):
    dtype = series.dtype
    return isinstance(dtype, pd.CategoricalDtype) or dtype.kind == "O" or pd.api.types.is_string_dtype(dtype)


def read_step_features(reader, X, data, n_future=0, optional=(), extra="refuse"):
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

    Returns
    -------
    features : Features
        One row for each row of ``data.values``; with ``n_future`` of shape (n_series * n_future, ...).
    present : list
        The columns of fit that X has.
    """
    if isinstance(X, np.ndarray):
        X = _with_index(X, data, n_future, reader.name)
    read, present = reader.read(X, optional)
    series, places = _positions(X, data, reader.name)
    steps = places - (data.last[series] + 1 if n_future else data.first[series])
    room = np.full(len(data), n_future) if n_future else data.lengths
    inside = (series >= 0) & (steps >= 0) & (steps < room[series])  # series -1 reads another's, and is left out
    if not n_future and extra == "refuse" and not inside.all():
        row = int(np.argmin(inside))
        raise ValueError(
            f"{reader.name} must have the index of y, but its row {X.index[row]} is not in y. Pass "
            f"{reader.name}.loc[y.index]."
        )
    starts = np.arange(len(data)) * n_future if n_future else data.offsets[:-1]
    target = np.full(int(room.sum()), -1)
    rows = np.flatnonzero(inside)
    where = starts[series[rows]] + steps[rows]
    if len(np.unique(where)) < len(where):
        raise ValueError(f"{reader.name} must have one row for each step, but has more for some. Drop the duplicates.")
    target[where] = rows
    if (target < 0).any():
        flat = int(np.argmax(target < 0))
        i = flat // n_future if n_future else int(np.searchsorted(data.offsets, flat, side="right")) - 1
        step = flat - starts[i] + (data.lengths[i] if n_future else 0)
        what = f"the {n_future} steps after the end of y" if n_future else "every step of y"
        raise ValueError(
            f"{reader.name} must have a row for {what}, but {data.stamp(i, step)} of {data.name_of(i)} is not there. "
            "Add it."
        )
    reader.check(read, present, target, lambda row: X.index[row])
    return read[target], present


def _with_index(X, data, n_future, name):
    """Return an array beside an array y as a frame: its rows are the steps of y, or those after it."""
    n_rows = n_future or len(data.values)
    if data.names is not None or len(X) != n_rows:
        raise ValueError(f"{name} as an array must have a row for each of the {n_rows} steps, got shape {X.shape}.")
    first = data.last[0] + 1 if n_future else data.first[0]
    return pd.DataFrame(X.reshape(len(X), -1), index=data.axis.index(np.arange(first, first + n_rows)))


def _positions(X, data, name):
    """Return the series (-1: none of them) and the place of every row."""
    names, codes, times = _series_codes(X, name)
    if (names is None) != (data.names is None):
        raise ValueError(
            f"{name} must have the index of y, {'a time index' if data.names is None else '(series, time)'}, got "
            f"{X.index.nlevels} level(s). Give it that index."
        )
    if not data.axis.is_kind(times):
        raise ValueError(
            f"The time index of {name} must hold {data.axis.kind} as y has, got {times.dtype}. Convert it."
        )
    places = data.axis.places(times)
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
    read, present = reader.read(static)
    if data.names is None:
        rows = np.zeros(1, dtype=np.int64)
        if len(static) != 1:
            raise ValueError(f"{reader.name} must have one row for a single series, got {len(static)}. Pass one.")
    else:
        rows = static.index.get_indexer(data.names)
    if (rows < 0).any():
        raise ValueError(
            f"{reader.name} must have a row for every series, but {data.name_of(int(np.argmax(rows < 0)))} is not in "
            "its index. Add it."
        )
    reader.check(read, present, rows, lambda row: static.index[row])
    return read[rows]
