"""Splitters for series and panels: training steps first, the test steps right after them."""

from numbers import Integral

import numpy as np
from sklearn.model_selection import BaseCrossValidator

from sktime_rnn.panel import is_panel

_MIN_TRAIN = 2  # one difference, the least that a scaled error can be divided by


def series_and_ranks(y, name="y"):
    """Return which series each row belongs to, and where it lies in time.

    Parameters
    ----------
    y : Series, DataFrame or array
        One series, whose rows are its steps, or a panel, whose last index level is the time.
    name : str, default="y"
        What error messages call it.

    Returns
    -------
    names : Index of length n_series or None
        The series of a panel, in order of appearance; None for a single one.
    codes : int64 ndarray of shape (n_rows,)
        The series of each row.
    ranks : int64 ndarray of shape (n_rows,)
        Place of its time among all different time stamps, from 0.
    """
    if not is_panel(y):
        if not hasattr(y, "__len__") or getattr(y, "ndim", 1) == 0:
            raise TypeError(
                f"{name} must be a Series, a DataFrame or an array of one row a step, got {type(y).__name__}. Pass the "
                "series."
            )
        return None, np.zeros(len(y), dtype=np.int64), np.arange(len(y))
    times, level = np.asarray(y.index.codes[-1]), y.index.levels[-1]
    codes, names = y.index.droplevel(-1).factorize()
    missing = (times < 0) | (codes < 0)
    if missing.any():
        raise ValueError(
            f"The index of {name} must name the series and the time of every row, but one is missing in row "
            f"{int(np.argmax(missing))}. Drop the row or fill it in."
        )
    used, ranks = np.unique(times, return_inverse=True)
    order = np.argsort(level.take(used))
    place = np.empty(len(used), dtype=np.int64)
    place[order] = np.arange(len(used))
    return names, codes.astype(np.int64), place[ranks]


class _WindowSplitter(BaseCrossValidator):
    """Cut at points in time, `step` apart; the last test window ends where the data end.

    Subclasses say the least number of training steps of a series, and where the training window of a cut starts.
    """

    def get_n_splits(self, X=None, y=None, groups=None):
        """Return the number of folds.

        Parameters
        ----------
        X, y, groups : object, default=None
            Not used.

        Returns
        -------
        n_splits : int
            How many pairs :meth:`split` yields.
        """
        return self.n_splits

    def split(self, X, y=None, groups=None):
        """Yield the rows of each fold, the earliest first.

        Parameters
        ----------
        X : Series, DataFrame or array
            The series: what the forecaster's ``fit`` takes first, and scikit-learn calls X.
        y : object, default=None
            Features of its steps; not used.
        groups : object, default=None
            Not used.

        Yields
        ------
        train : int64 ndarray
            Positions of the training rows, in the order of the rows.
        test : int64 ndarray
            Positions of the test rows: the steps right after.
        """
        names, codes, ranks = series_and_ranks(X, "The series to split")
        n_series, n_steps = (1 if names is None else len(names)), int(ranks.max(initial=-1)) + 1
        step = self.horizon if self.step is None else self.step
        first_cut = n_steps - self.horizon - (self.n_splits - 1) * step
        if first_cut < self._least:
            raise ValueError(
                f"The series to split must have {n_steps - first_cut + self._least} steps or more for "
                f"n_splits={self.n_splits}, horizon={self.horizon}, step={step} and {self._least} training steps, got "
                f"{n_steps}. Lower one of them, or pass a longer series."
            )
        for fold in range(self.n_splits):
            cut = first_cut + fold * step
            start = self._start(cut, first_cut)
            if names is None:
                yield np.arange(start, cut), np.arange(cut, cut + self.horizon)
                continue
            train, test = _panel_fold(codes, ranks, n_series, start, cut, cut + self.horizon, self._least_of_series)
            if len(test) == 0:
                raise ValueError(
                    f"A series of the panel to split must have {self._least_of_series} training steps or more and a "
                    f"step right after them in every fold, but none has in fold {fold}. Lower n_splits, horizon or "
                    "step, or leave out series that ended long ago."
                )
            yield train, test


def _panel_fold(codes, ranks, n_series, start, cut, end, least):
    """Return the rows of one cut through the calendar of a panel."""
    in_train = (ranks >= start) & (ranks < cut)
    in_test = (ranks >= cut) & (ranks < end)
    kept = np.bincount(codes[in_train], minlength=n_series) >= least
    goes_on = kept.copy()
    for rank in (cut - 1, cut):  # the test of a series follows right after its training
        there = np.zeros(n_series, dtype=bool)
        there[codes[ranks == rank]] = True
        goes_on &= there
    return np.flatnonzero(in_train & kept[codes]), np.flatnonzero(in_test & goes_on[codes])


def _check_count(name, value, *, optional=False):
    if optional and value is None:
        return
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
        raise ValueError(
            f"{name} must be a whole number from 1 on{', or None' if optional else ''}, got {value!r}. Pass 12, say."
        )


class ExpandingWindowSplitter(_WindowSplitter):
    """Train on all steps so far, test on those that follow, then move on.

    A panel is cut at the same points in time in all its series. In a fold, series with less than ``min_train`` steps
    before the cut are left out, and series that ended before the cut are trained on but not tested.

    Parameters
    ----------
    horizon : int
        Number of steps of a test window.
    n_splits : int, default=5
        Number of folds. The last test window ends at the end of the data.
    step : int, default=None
        Steps from one cut to the next; None is ``horizon``, so that test windows adjoin.
    min_train : int, default=None
        Least number of training steps, of a panel in every series; None is 2.

    See Also
    --------
    SlidingWindowSplitter : Trains on windows of one length.

    Examples
    --------
    >>> import numpy as np
    >>> from sktime_rnn.model_selection import ExpandingWindowSplitter
    >>> for train, test in ExpandingWindowSplitter(horizon=2, n_splits=3).split(np.arange(9.0)):
    ...     print(train, test)
    [0 1 2] [3 4]
    [0 1 2 3 4] [5 6]
    [0 1 2 3 4 5 6] [7 8]
    """

    def __init__(self, horizon, *, n_splits=5, step=None, min_train=None):
        _check_count("horizon", horizon)
        _check_count("n_splits", n_splits)
        _check_count("step", step, optional=True)
        _check_count("min_train", min_train, optional=True)
        self.horizon = horizon
        self.n_splits = n_splits
        self.step = step
        self.min_train = min_train

    @property
    def _least(self):
        return _MIN_TRAIN if self.min_train is None else self.min_train

    _least_of_series = _least

    def _start(self, cut, first_cut):
        return 0


class SlidingWindowSplitter(_WindowSplitter):
    """Train on the steps right before each cut, as many in every fold, and test on those that follow.

    A panel is cut at the same points in time in all its series. In a fold, series with less than 2 steps in the
    training window are left out, and series that ended before the cut are trained on but not tested.

    Parameters
    ----------
    horizon : int
        Number of steps of a test window.
    window_length : int, default=None
        Number of steps of a training window; None takes as many as lie before the first cut.
    n_splits : int, default=5
        Number of folds. The last test window ends at the end of the data.
    step : int, default=None
        Steps from one cut to the next; None is ``horizon``, so that test windows adjoin.

    See Also
    --------
    ExpandingWindowSplitter : Trains on all steps so far.

    Examples
    --------
    >>> import numpy as np
    >>> from sktime_rnn.model_selection import SlidingWindowSplitter
    >>> for train, test in SlidingWindowSplitter(horizon=2, window_length=4, n_splits=2).split(np.arange(9.0)):
    ...     print(train, test)
    [1 2 3 4] [5 6]
    [3 4 5 6] [7 8]
    """

    def __init__(self, horizon, *, window_length=None, n_splits=5, step=None):
        _check_count("horizon", horizon)
        _check_count("window_length", window_length, optional=True)
        _check_count("n_splits", n_splits)
        _check_count("step", step, optional=True)
        self.horizon = horizon
        self.window_length = window_length
        self.n_splits = n_splits
        self.step = step

    @property
    def _least(self):
        return _MIN_TRAIN if self.window_length is None else self.window_length

    @property
    def _least_of_series(self):
        return min(_MIN_TRAIN, self._least)

    def _start(self, cut, first_cut):
        return cut - (first_cut if self.window_length is None else self.window_length)
