"""pandas to arrays: frames, and panels indexed by (instance, time)."""

from typing import NamedTuple

import numpy as np
import pandas as pd


class Panel(NamedTuple):
    """A panel as arrays, its instances end to end.

    Attributes
    ----------
    values : ndarray of shape (n_steps_total, n_features)
        The rows of the frame, grouped by instance.
    offsets : ndarray of shape (n_instances + 1,), int64
        Instance i owns the rows ``offsets[i]`` to ``offsets[i + 1]`` of `values`.
    instances : Index of length n_instances
        The instances, in order of first appearance.
    feature_names : ndarray of shape (n_features,) or None
        The column names, where all of them are str.
    rows : ndarray of shape (n_steps_total,) or None
        The row of the frame that each row of `values` came from; None where the frame was grouped already.
    """

    values: np.ndarray
    offsets: np.ndarray
    instances: pd.Index
    feature_names: np.ndarray | None
    rows: np.ndarray | None


def is_panel(X):
    """Whether X is a DataFrame or Series with a MultiIndex."""
    return isinstance(X, pd.DataFrame | pd.Series) and isinstance(X.index, pd.MultiIndex)


def has_axes(value):
    """Whether a cell or a step is itself a sequence or an array."""
    return isinstance(value, list | tuple) or getattr(value, "ndim", 0) > 0


def is_column(frame):
    """Whether a DataFrame is a single column whose cells are texts or sequences."""
    if frame.shape[1] != 1 or pd.api.types.is_numeric_dtype(frame.dtypes.iloc[0]):
        return False
    cells = frame.iloc[:, 0].dropna()
    return len(cells) > 0 and (isinstance(cells.iloc[0], str) or has_axes(cells.iloc[0]))


def frame_values(frame):
    """The cells of a DataFrame as one array; missing cells of pandas' nullable numbers become NaN."""
    types = frame.dtypes
    nullable = any(not isinstance(dtype, np.dtype) for dtype in types)
    if nullable and all(pd.api.types.is_numeric_dtype(dtype) for dtype in types):
        return frame.to_numpy(dtype=np.float64, na_value=np.nan)
    return frame.to_numpy()


def series_values(series):
    """The cells of a Series as one array; missing cells of pandas' nullable numbers become NaN."""
    if not isinstance(series.dtype, np.dtype) and pd.api.types.is_numeric_dtype(series.dtype):
        return series.to_numpy(dtype=np.float64, na_value=np.nan)
    return series.to_numpy()


def feature_names(X, *, name="X"):
    """The names of the features per step, as scikit-learn understands them.

    Parameters
    ----------
    X : object
        A DataFrame, whose columns count unless it is one column of texts or sequences; a list of DataFrames, where
        the columns of the first count; or anything else.
    name : str, default="X"
        What error messages call the argument.

    Returns
    -------
    ndarray of shape (n_features,), dtype object, or None
        None where X has no columns or none of them is named by a str.

    Raises
    ------
    TypeError
        If some columns are named by a str and others are not.
    """
    if isinstance(X, list | tuple) and len(X) and isinstance(X[0], pd.DataFrame):
        X = X[0]
    if not isinstance(X, pd.DataFrame) or (is_column(X) and not is_panel(X)):
        return None
    named = [isinstance(column, str) for column in X.columns]
    if not any(named):
        return None
    if not all(named):
        odd = X.columns[named.index(False)]
        raise TypeError(
            f"The columns of {name} must all be named by a str, or none of them, but column {odd!r} is a "
            f"{type(odd).__name__} among str. Rename it, or convert all: {name}.columns = "
            f"{name}.columns.astype(str)."
        )
    return np.asarray(X.columns, dtype=object)


def _instance_codes(index, name):
    codes = index.codes[0]
    if (codes < 0).any():
        raise ValueError(
            f"The first index level of {name} must name the instance of every row, but it is missing in row "
            f"{int(np.argmax(codes < 0))}. Drop the row or fill in its instance."
        )
    codes, appeared = pd.factorize(codes)
    return codes, index.levels[0].take(appeared)


def _time_ranks(index, name):
    """Integers that are ordered as the time stamps are."""
    codes, level = index.codes[1], index.levels[1]
    if (codes < 0).any():
        row = int(np.argmax(codes < 0))
        raise ValueError(
            f"The second index level of {name} must hold the time stamp of every row, but it is missing in "
            f"row {row}, instance {index[row][0]}. Drop the row or fill in its time stamp."
        )
    if level.is_monotonic_increasing:
        return codes
    try:
        order = level.argsort()
    except TypeError as error:
        raise TypeError(
            f"The time stamps of {name} must be comparable with each other, but some are not: {error}. "
            "Convert the second index level to dates or to numbers."
        ) from error
    ranks = np.empty(len(level), dtype=np.int64)
    ranks[order] = np.arange(len(level))
    return ranks[codes]


def _check_time_order(index, codes, ranks, rows, name):
    disorder = (ranks[1:] <= ranks[:-1]) & (codes[1:] == codes[:-1])
    if not disorder.any():
        return
    step = int(np.argmax(disorder)) + 1
    instance, stamp = index[step if rows is None else rows[step]]
    if ranks[step] == ranks[step - 1]:
        raise ValueError(
            f"{name} must have one row per (instance, time), but instance {instance} has more than one at "
            f"time stamp {stamp}. Drop or aggregate the duplicates: {name}.groupby(level=[0, 1]).mean()."
        )
    raise ValueError(
        f"The time stamps of {name} must be strictly increasing within an instance, but instance {instance} "
        f"goes back in time at time stamp {stamp}. Sort the rows first: {name}.sort_index()."
    )


def read_panel(frame, *, name="X"):
    """Read a frame whose rows are the time steps of many instances.

    Parameters
    ----------
    frame : DataFrame or Series
        Indexed by a MultiIndex of two levels, (instance, time). The rows of an instance need not be adjacent, but
        must be in the order of time.
    name : str, default="X"
        What error messages call the argument.

    Returns
    -------
    Panel
        Flat values, offsets, instances and feature names.

    Raises
    ------
    ValueError
        If the index has another number of levels or missing entries, or if an instance has duplicate or unsorted
        time stamps.
    TypeError
        If the time stamps cannot be compared, or only some columns are named by a str.

    Examples
    --------
    >>> import pandas as pd
    >>> index = pd.MultiIndex.from_tuples([("b", 0), ("b", 1), ("a", 0)])
    >>> panel = read_panel(pd.DataFrame({"x": [1.0, 2.0, 3.0]}, index=index))
    >>> list(panel.instances), panel.offsets.tolist()
    (['b', 'a'], [0, 2, 3])
    """
    index = frame.index
    if index.nlevels != 2:
        raise ValueError(
            f"The index of {name} must have two levels, (instance, time), but it has {index.nlevels}: "
            f"{list(index.names)}. Join the levels that name the instance into one."
        )
    frame = frame.to_frame() if isinstance(frame, pd.Series) else frame
    codes, instances = _instance_codes(index, name)
    ranks = _time_ranks(index, name)
    values = frame_values(frame)
    rows = None
    if (codes[1:] < codes[:-1]).any():
        rows = np.argsort(codes, kind="stable")
        codes, ranks, values = codes[rows], ranks[rows], values[rows]
    _check_time_order(index, codes, ranks, rows, name)
    offsets = np.zeros(len(instances) + 1, dtype=np.int64)
    np.cumsum(np.bincount(codes, minlength=len(instances)), out=offsets[1:])
    return Panel(values, offsets, instances, feature_names(frame, name=name), rows)


def check_target_index(y, instances, *, name="y"):
    """Refuse a target that lists the instances of a panel in another order.

    Targets are matched with instances by position, so such a y would be assigned to the wrong instances. Any other
    index says nothing about the order and passes.

    Parameters
    ----------
    y : object
        The targets; only a Series or DataFrame is looked at.
    instances : Index
        The instances of the panel, as in `Panel.instances`.
    name : str, default="y"
        What the error message calls the argument.

    Raises
    ------
    ValueError
        If the index of y holds exactly the instances, in another order.
    """
    if not isinstance(y, pd.DataFrame | pd.Series):
        return
    index = y.index.unique(level=0) if isinstance(y.index, pd.MultiIndex) else y.index
    if len(index) != len(instances) or index.equals(instances):
        return
    if not (index.isin(instances).all() and instances.isin(index).all()):
        return
    place = int(np.argmax(np.asarray(index != instances)))
    raise ValueError(
        f"{name} is matched with the instances of X by position, so its index must list them in the order of "
        f"X, but at position {place} it has {index[place]} where X has {instances[place]}. Put it in "
        f"that order: {name} = {name}.loc[X.index.unique(level=0)]."
    )
