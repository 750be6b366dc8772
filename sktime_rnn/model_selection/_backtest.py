"""Backtests: the same folds and metrics for several forecasters, in one table."""

from dataclasses import dataclass
from functools import cached_property
from numbers import Integral, Real
from time import perf_counter

import numpy as np
import pandas as pd
from sklearn.base import clone
from tqdm import tqdm

from sktime_rnn.base import difference_scale
from sktime_rnn.model_selection._metrics import (
    coverage_cells,
    mase_of,
    naive2_of,
    pinball_cells,
    read_actual,
    read_training,
    relative_to,
    rmsse_of,
    smape_cells,
)
from sktime_rnn.model_selection._splitters import series_and_ranks
from sktime_rnn.panel import is_panel, read_series, season_lengths

DEFAULT_METRICS = ("smape", "mase", "rmsse", "owa", "pinball", "coverage")
_OF_QUANTILES = {"pinball", "coverage"}


def _take(container, rows):
    """Return some rows of a container; without a copy where they follow each other."""
    if container is None:
        return None
    if len(rows) and rows[-1] - rows[0] + 1 == len(rows) and (np.diff(rows) == 1).all():
        rows = slice(rows[0], rows[-1] + 1)
    return container.iloc[rows] if hasattr(container, "iloc") else container[rows]


@dataclass
class _Fold:
    """One fold: where it is cut, what happened then, and what errors are divided by."""

    number: int
    y: object
    X: object
    static: object
    train: np.ndarray
    test: np.ndarray
    fh: list | None
    season: int

    def __post_init__(self):
        self.seen = self.train  # the rows up to the cut that the forecaster has met
        longest = int(self.window.steps.max())
        if self.fh is None:
            self.fh = list(range(1, longest + 1))
        elif self.fh[-1] > longest:
            raise ValueError(
                f"fh must hold steps of the test windows, 1 to {longest}, got {self.fh[-1]}. Raise the horizon of cv."
            )

    @cached_property
    def y_train(self):
        return _take(self.y, self.train)

    @cached_property
    def y_test(self):
        return _take(self.y, self.test)

    @cached_property
    def window(self):
        """All rows of the test window."""
        return read_actual(self.y_test, "y")

    @cached_property
    def training(self):
        return read_training(self.y_train, self.window.names, self.window.values.shape[1], "y")

    @cached_property
    def scale(self):
        return difference_scale(self.training, self.season)

    @cached_property
    def squared_scale(self):
        return difference_scale(self.training, 1, power=2)

    @cached_property
    def naive(self):
        return naive2_of(self.training, self.season, self.window)

    @property
    def cutoff(self):
        """The last time stamp of training; of an array, its position."""
        if not hasattr(self.y, "index"):
            return int(self.train[-1])
        times = self.y_train.index
        return (times.get_level_values(-1) if is_panel(self.y) else times).max()

    def place(self, forecast):
        """Return where the forecast of each row of the window is; -1 for rows that are not forecast."""
        if hasattr(forecast, "index"):
            return forecast.index.get_indexer(self.y_test.index)
        place = np.searchsorted(self.fh, self.window.steps)
        return np.where(np.isin(self.window.steps, self.fh), place, -1)

    @cached_property
    def calls(self):
        """The arguments of the calls that forecast the window.

        Features are known of the rows of the window alone. Where series of a panel end before it does, they are
        forecast apart from the others, as far as they go.
        """
        if self.X is None:
            return [{"fh": self.fh}]
        lengths = np.bincount(self.window.codes, minlength=len(self.window))
        names, codes, _ = series_and_ranks(self.y)
        if names is None:
            return [{"fh": self.fh, "X": _take(self.X, self.test)}]
        of_series = np.zeros(len(names), dtype=np.int64)
        of_series[names.get_indexer(self.window.names)] = lengths
        if (of_series[codes[self.seen]] >= self.fh[-1]).all():
            return [{"fh": self.fh, "X": _take(self.X, self.test)}]
        calls = []
        for length in np.unique(lengths[lengths >= self.fh[0]]):
            seen, test = (rows[of_series[codes[rows]] == length] for rows in (self.seen, self.test))
            call = {"fh": [step for step in self.fh if step <= length], "y": _take(self.y, seen)}
            call["X"] = _take(self.X, np.sort(np.concatenate([seen, test])))
            calls.append(call if self.static is None else call | {"static": self.static})
        return calls


def _forecasts(fold, method, **kwargs):
    parts = [method(**call, **kwargs) for call in fold.calls]
    return parts[0] if len(parts) == 1 else pd.concat(parts)


def _quantiles(model, fold, alpha):
    """Return quantiles of the fold, or None where the forecaster has none."""
    if not hasattr(model, "predict_quantiles"):
        return None
    try:
        return _forecasts(fold, model.predict_quantiles, alpha=alpha)
    except NotImplementedError:  # a forecaster of points alone
        return None


@dataclass(frozen=True)
class _Plan:
    """What is measured."""

    metrics: tuple
    coverage: tuple
    by_series: bool

    @property
    def alpha(self):
        """The ends of the intervals, and the median."""
        ends = {round(0.5 + sign * level / 2, 12) for level in self.coverage for sign in (-1, 1)}
        return sorted(ends | {0.5})

    @property
    def columns(self):
        """The columns of the table that hold metrics."""
        names = []
        for metric in self.metrics:
            several = [f"coverage_{level:g}" for level in self.coverage] if metric == "coverage" else None
            names += several or [_name(metric)]
        return names

    @np.errstate(over="ignore", invalid="ignore")  # forecasts may be infinite
    def measure(self, fold, forecast, quantiles):
        """Return a dict of metrics, numbers or, by series, arrays (n_series,)."""
        place = fold.place(forecast)
        rows = np.flatnonzero(place >= 0)
        place = place[rows]
        actual = fold.window.rows(rows)
        predicted = np.asarray(forecast, dtype=np.float64).reshape(len(forecast), -1)[place]
        found = {}
        for metric in self.metrics:
            if metric == "owa":
                found["owa"] = self._owa(fold, actual, predicted, fold.naive[rows])
            elif metric not in _OF_QUANTILES:
                found[_name(metric)] = self._joined(_point_metric(metric, fold, actual, predicted))
        if not self.by_series and not np.isfinite(predicted[~np.isnan(actual.values)]).all():
            found = dict.fromkeys(found, np.nan)  # a failed forecast is no reason to leave a series out of the mean
        if quantiles is not None:
            values = quantiles.to_numpy()[place].reshape(*predicted.shape, -1)
            found |= {name: self._joined(number) for name, number in self._of_quantiles(actual, values).items()}
        return found

    def _of_quantiles(self, actual, values):
        found, alpha = {}, self.alpha
        if "pinball" in self.metrics:
            found["pinball"] = actual.per_series(pinball_cells(actual, values, alpha))
        if "coverage" in self.metrics:
            for level in self.coverage:
                ends = (values[:, :, alpha.index(round(0.5 + sign * level / 2, 12))] for sign in (-1, 1))
                found[f"coverage_{level:g}"] = actual.per_series(coverage_cells(actual, *ends))
        return found

    def _joined(self, numbers):
        """Return the mean over the series that have a number, unless all are asked for."""
        if self.by_series:
            return numbers
        known = numbers[~np.isnan(numbers)]
        return float(known.mean()) if len(known) else np.nan

    def _owa(self, fold, actual, predicted, naive):
        parts = [
            part
            for f in (predicted, naive)
            for part in (actual.per_series(smape_cells(actual, f)), mase_of(actual, f, fold.scale))
        ]
        if not self.by_series:
            return relative_to(*parts)
        return np.array([relative_to(*(part[[i]] for part in parts)) for i in range(len(actual))])


def _point_metric(metric, fold, actual, predicted):
    if metric == "smape":
        return actual.per_series(smape_cells(actual, predicted))
    if metric == "mase":
        return mase_of(actual, predicted, fold.scale)
    if metric == "rmsse":
        return rmsse_of(actual, predicted, fold.squared_scale)
    single = actual.values.shape[1] == 1
    true, predicted = (values[:, 0] if single else values for values in (actual.values, predicted))
    happened = ~np.isnan(actual.values).any(axis=1)
    numbers = np.full(len(actual), np.nan)
    for i in np.unique(actual.codes[happened]):
        rows = happened & (actual.codes == i)
        numbers[i] = metric(true[rows], predicted[rows])
    return numbers


def _name(metric):
    return metric if isinstance(metric, str) else getattr(metric, "__name__", type(metric).__name__)


# --- reading ---------------------------------------------------------------------------------------------------------


def _read_forecasters(forecasters):
    if not isinstance(forecasters, dict):
        forecasters = {type(forecasters).__name__: forecasters}
    for name, forecaster in forecasters.items():
        if not hasattr(forecaster, "fit") or not hasattr(forecaster, "predict") or isinstance(forecaster, type):
            raise TypeError(
                f"forecasters must be a forecaster or a dict of name to forecaster, got {forecaster!r} for {name!r}. "
                "Pass {'naive': NaiveForecaster()}, say."
            )
    if not forecasters:
        raise ValueError("forecasters must hold one forecaster or more, got an empty dict. Add one.")
    return forecasters


def _read_metrics(metrics):
    metrics = (metrics,) if isinstance(metrics, str) or callable(metrics) else tuple(metrics)
    bad = [metric for metric in metrics if not callable(metric) and metric not in DEFAULT_METRICS]
    if bad or not metrics:
        raise ValueError(
            f"metrics must name some of {', '.join(DEFAULT_METRICS)}, or be functions of (y_true, y_pred), got "
            f"{bad[0] if bad else metrics!r}. Correct it."
        )
    return metrics


def _read_coverage(coverage):
    coverage = (coverage,) if isinstance(coverage, Real) else tuple(coverage)
    bad = [level for level in coverage if not isinstance(level, Real) or not 0 < level < 1]
    if bad:
        raise ValueError(f"coverage must hold numbers between 0 and 1, got {bad[0]!r}. Pass (0.8, 0.95), say.")
    return coverage


def _read_fh(fh):
    steps = [fh] if isinstance(fh, Integral) else list(fh)
    bad = [step for step in steps if isinstance(step, bool) or not isinstance(step, Integral) or step < 1]
    if bad or not steps:
        raise ValueError(
            f"fh must hold whole numbers from 1 on, steps of the test windows, got {bad[0] if bad else fh!r}. Leave it "
            "out to forecast the whole windows."
        )
    return sorted({int(step) for step in steps})


def _read_X(X, y):
    """Return features whose rows are those of y."""
    if X is None or not hasattr(y, "index") or not hasattr(X, "index"):
        if X is not None and len(X) != len(y):
            raise ValueError(f"X must have a row for each of the {len(y)} steps of y, got {len(X)}. Pass as many.")
        return X
    if X.index.equals(y.index):
        return X
    rows = X.index.get_indexer(y.index)
    if (rows < 0).any():
        raise ValueError(
            f"X must have a row for every row of y, but {y.index[int(np.argmin(rows))]} is not in its index. Add it."
        )
    return X.iloc[rows]


def _read_season(season_length, y, forecasters):
    if season_length != "auto":
        if isinstance(season_length, bool) or not isinstance(season_length, Integral) or season_length < 1:
            raise ValueError(
                f"season_length must be 'auto' or a whole number of steps from 1 on, got {season_length!r}. Pass 12, "
                "say."
            )
        return int(season_length)
    names, codes, _ = series_and_ranks(y, "y")
    if names is not None:
        y = _take(y, np.flatnonzero(codes == np.bincount(codes).argmax()))
    freq = next((f for f in (getattr(f, "freq", None) for f in forecasters.values()) if f is not None), None)
    freq = read_series(y, freq=freq, gaps="fill", missing="mask").axis.freq
    return next(iter(season_lengths(freq)), 1)


# --- the backtest ----------------------------------------------------------------------------------------------------


def _check_order(y, train, test):
    """Refuse folds of one series whose test does not follow its training rows."""
    if not isinstance(getattr(y, "index", None), pd.MultiIndex) and (len(train) == 0 or np.min(test) <= np.max(train)):
        raise ValueError(
            "cv must give test rows that follow the training rows, got a fold that mixes them. Pass "
            "ExpandingWindowSplitter or SlidingWindowSplitter."
        )


def backtest(
    forecasters,
    y,
    X=None,
    *,
    cv,
    metrics=DEFAULT_METRICS,
    fh=None,
    refit=True,
    coverage=(0.8, 0.95),
    season_length="auto",
    static=None,
    by_series=False,
    return_predictions=False,
    verbose=0,
):
    """Forecast the test windows of all folds and measure the errors.

    Ctrl-C, like any other error, is raised again; the table of what was done until then is its attribute ``results``
    (in an interactive session ``sys.last_value.results``).

    Parameters
    ----------
    forecasters : forecaster or dict of str to forecaster
        What is compared. They are cloned, not changed.
    y : Series, DataFrame or array
        One series or a panel.
    X : DataFrame or array, default=None
        Features of the steps of y. ``fit`` is given those of the training rows, ``predict`` those of the test rows.
    cv : splitter
        :class:`ExpandingWindowSplitter`, :class:`SlidingWindowSplitter` or another whose test rows follow right after
        the training rows.
    metrics : str, callable or list of them, default=("smape", "mase", "rmsse", "owa", "pinball", "coverage")
        What is measured, see the functions of these names ("coverage" is :func:`interval_coverage`); callables are
        functions of arrays (y_true, y_pred) of one series, such as those of scikit-learn. "pinball" is the mean over
        the ends of the intervals and the median; it and "coverage" are NaN for forecasters without quantiles.
        "rmsse" has lag 1, as in M5.
    fh : int or list of int, default=None
        Which steps of the test windows are forecast and measured; None is all of them.
    refit : True or "update", default=True
        Fit anew in every fold, or only in the first one and ``update`` with the new rows in those after it.
    coverage : float or list of float, default=(0.8, 0.95)
        Probabilities of the intervals.
    season_length : int or "auto", default="auto"
        Steps of a season, for "mase" and "owa"; "auto" is what the frequency of y suggests.
    static : DataFrame, default=None
        Features of the series, for ``fit``.
    by_series : bool, default=False
        Whether to give each series a row of its own, instead of the mean over series.
    return_predictions : bool, default=False
        Whether to return the forecasts as well.
    verbose : int, default=0
        Above 0, show a progress bar.

    Returns
    -------
    results : DataFrame
        One row for each fold and forecaster (and series, with ``by_series``). Columns: forecaster, fold, series (with
        ``by_series``), cutoff, the metrics, fit_seconds and predict_seconds (of the point forecasts). Metrics are NaN
        where a forecast is not finite.
    predictions : DataFrame
        Only with ``return_predictions``: forecaster and fold, then y and y_pred (for several variables, one pair
        each), under the index of y.

    See Also
    --------
    sklearn.model_selection.GridSearchCV : Chooses parameters by the same splitters.

    Examples
    --------
    >>> from sktime_rnn.baselines import NaiveForecaster
    >>> from sktime_rnn.datasets import load_airpassengers
    >>> from sktime_rnn.model_selection import ExpandingWindowSplitter, backtest
    >>> forecasters = {"last": NaiveForecaster(), "seasonal": NaiveForecaster(strategy="seasonal")}
    >>> results = backtest(forecasters, load_airpassengers(), cv=ExpandingWindowSplitter(horizon=12, n_splits=3))
    >>> results.groupby("forecaster")["mase"].mean().round(2)
    forecaster
    last        2.47
    seasonal    1.21
    Name: mase, dtype: float64
    """
    forecasters = _read_forecasters(forecasters)
    plan = _Plan(_read_metrics(metrics), _read_coverage(coverage), by_series)
    if refit is not True and refit != "update":
        raise ValueError(f"refit must be True or 'update', got {refit!r}. Pass one of these.")
    if not (hasattr(cv, "split") and hasattr(cv, "get_n_splits")):
        raise TypeError(
            f"cv must be a splitter by time, got {cv!r}. Pass ExpandingWindowSplitter(horizon=12, n_splits=3), say."
        )
    steps = None if fh is None else _read_fh(fh)
    y = y if hasattr(y, "iloc") else np.asarray(y)
    X = _read_X(X, y)
    season = _read_season(season_length, y, forecasters)
    run = _Run(forecasters, plan, refit, return_predictions)
    with tqdm(total=cv.get_n_splits(y) * len(forecasters), disable=not verbose) as bar:
        try:
            for number, (train, test) in enumerate(cv.split(y)):
                _check_order(y, train, test)
                fold = _Fold(number, y, X, static, train, test, steps, season)
                run.fold(fold, bar)
        except BaseException as error:
            error.results = run.table()
            error.add_note(
                f"What was done before, {len(run.rows)} of {bar.total} fits, is the table `results` of this error."
            )
            raise
    return (run.table(), run.predicted()) if return_predictions else run.table()


class _Run:
    """The forecasters on their way through the folds, and what was found so far."""

    def __init__(self, forecasters, plan, refit, keep_predictions):
        self.forecasters, self.plan, self.refit = forecasters, plan, refit
        self.keep_predictions = keep_predictions
        self.fitted, self.rows, self.predictions = {}, [], []
        self.seen = None

    def fold(self, fold, bar):
        new = fold.train
        if self.refit == "update" and self.seen is not None:
            new = np.setdiff1d(fold.train, self.seen)
            fold.seen = np.union1d(self.seen, fold.train)
        for name in self.forecasters:
            bar.set_postfix_str(f"{name}, fold {fold.number}")
            self._one(name, fold, new)
            bar.update()
        self.seen = fold.seen

    def _one(self, name, fold, new):
        start = perf_counter()
        model = self._learnt(name, fold, new)
        fitted = perf_counter()
        forecast = _forecasts(fold, model.predict)
        done = perf_counter()
        asked = _OF_QUANTILES & {metric for metric in self.plan.metrics if isinstance(metric, str)}
        quantiles = _quantiles(model, fold, self.plan.alpha) if asked else None
        found = dict.fromkeys(self.plan.columns, np.nan) | self.plan.measure(fold, forecast, quantiles)
        head = {"forecaster": name, "fold": fold.number}
        seconds = {"fit_seconds": fitted - start, "predict_seconds": done - fitted}
        if self.plan.by_series:
            names = [0] if fold.window.names is None else list(fold.window.names)
            frame = pd.DataFrame(head | {"series": names, "cutoff": fold.cutoff} | found | seconds)
        else:
            frame = pd.DataFrame([head | {"cutoff": fold.cutoff} | found | seconds])
        self.rows.append(frame)
        if self.keep_predictions:
            self.predictions.append(self._pairs(head, fold, forecast))

    def _learnt(self, name, fold, new):
        """Return the forecaster, fitted anew or moved on."""
        if name in self.fitted:
            if len(new):
                self.fitted[name].update(_take(fold.y, new), _take(fold.X, new))
            return self.fitted[name]
        more = {} if fold.static is None else {"static": fold.static}
        model = clone(self.forecasters[name]).fit(fold.y_train, _take(fold.X, fold.train), fh=fold.fh, **more)
        model = getattr(model, "best_estimator_", model)  # a search forecasts by what it chose
        if self.refit == "update":
            self.fitted[name] = model
        return model

    def _pairs(self, head, fold, forecast):
        place = fold.place(forecast)
        rows = np.flatnonzero(place >= 0)
        values = np.asarray(forecast, dtype=np.float64).reshape(len(forecast), -1)[place[rows]]
        index = fold.y_test.index[rows] if hasattr(fold.y, "index") else fold.test[rows]
        pairs = {"y": fold.window.values[rows], "y_pred": values}
        n_variables = values.shape[1]
        variables = getattr(fold.y, "columns", range(n_variables))
        columns = {
            (kind if n_variables == 1 else f"{kind}_{variables[v]}"): array[:, v]
            for v in range(n_variables)
            for kind, array in pairs.items()
        }
        return pd.DataFrame(head | columns, index=index)

    def table(self):
        """Return what was found so far."""
        return pd.concat(self.rows, ignore_index=True) if self.rows else pd.DataFrame()

    def predicted(self):
        """Return the forecasts."""
        return pd.concat(self.predictions)
