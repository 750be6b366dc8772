"""BaseForecaster: what all forecasters share - reading series and horizons, and returning pandas.

Shapes: S series, H steps ahead, V jointly forecast variables, Q quantiles.
"""

from abc import ABC, abstractmethod
from copy import copy
from dataclasses import replace
from numbers import Integral, Real

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from sktime_rnn.base._known import (
    Known,
    carry_on,
    check_probabilities,
    constant_columns,
    frame_of,
    frame_of_paths,
    join_features,
)
from sktime_rnn.base._scores import mean_over_series, scaled_errors
from sktime_rnn.panel import (
    FeatureReader,
    Features,
    join_series,
    read_horizon,
    read_series,
    read_static,
    read_step_features,
    season_lengths,
)


class BaseForecaster(BaseEstimator, ABC):
    """Base of the forecasters: the interface in pandas, the computation on arrays.

    Subclasses list their parameters in the constructor, and supply

    - ``_fit(known, n_steps)``: learn; ``n_steps`` is the furthest step asked for, or None where ``fh`` was not given;
    - ``_point(known, n_steps)`` -> (S, H, V): the forecast, H = ``n_steps``;
    - ``_quantiles(known, n_steps, alpha)`` -> (S, H, V, Q); a forecaster of points raises NotImplementedError;
    - ``_variance(known, n_steps)`` -> (S, H, V);
    - ``_paths(known, n_steps, n_samples, rng)`` -> (n_samples, S, H, V): joint samples;
    - ``_one_step(known)`` -> one row for each row of ``known.data.values``: forecasts of each step from the steps
      before it, NaN where there is none;
    - ``_update(known, n_new)``: train on, where ``n_new`` steps of each series are new; by default nothing;
    - ``_check_values(data)``: refuse other series than those of ``fit``; by default none.

    They may set ``_uses_X`` (otherwise X and static features are not looked at) and ``_default_steps``. All of them
    see clean data: float64, one time axis, no gaps, no infinite values, NaN only where ``missing="mask"`` or
    ``gaps="fill"``.

    State after fit: ``_known`` (the series with their features), ``_fh`` (what ``fit`` was given).
    """

    _uses_X = False
    _parameter_constraints: dict = {}

    @abstractmethod
    def _fit(self, known, n_steps):
        """Learn from the series."""

    @abstractmethod
    def _point(self, known, n_steps):
        """Return forecasts, (S, H, V)."""

    @abstractmethod
    def _quantiles(self, known, n_steps, alpha):
        """Return quantiles, (S, H, V, Q)."""

    @abstractmethod
    def _variance(self, known, n_steps):
        """Return variances, (S, H, V)."""

    @abstractmethod
    def _paths(self, known, n_steps, n_samples, rng):
        """Return joint samples, (n_samples, S, H, V)."""

    @abstractmethod
    def _one_step(self, known):
        """Return the forecast of every step from the steps before it, (N, V)."""

    def _update(self, known, n_new):
        """Learn from new steps; many forecasters only move their cutoff."""

    def _check_values(self, data):
        """Refuse series that a fitted forecaster cannot read; many read all."""

    # --- reading -----------------------------------------------------------------------------------------------------

    def _read_options(self):
        return {name: getattr(self, name) for name in ("gaps", "missing", "freq") if hasattr(self, name)}

    def _past_columns(self):
        """Columns of X that are not known ahead of time."""
        return list(getattr(self, "past_columns", None) or ())

    def _read_known(self, y, X, static):
        """Return what fit is given, and learn what its features are."""
        data = read_series(y, **self._read_options())
        self._reader = self._static_reader = past = known_static = None
        if not self._uses_X:
            return Known(data)
        missing = getattr(self, "missing", "error")
        if X is not None:
            self._reader = FeatureReader("X", missing).fit(X)
            self._check_past_columns()
            past, _ = read_step_features(self._reader, X, data)
        elif self._past_columns():
            raise ValueError(f"past_columns={self.past_columns!r} name columns of X, but X was not given. Pass X.")
        if static is not None:
            self._static_reader = FeatureReader("static", missing).fit(static)
            known_static = read_static(self._static_reader, static, data)
        return Known(data, past, None, known_static)

    def _check_past_columns(self):
        absent = [column for column in self._past_columns() if column not in self._reader.columns_]
        if absent:
            raise ValueError(
                f"past_columns must name columns of X, {list(self._reader.columns_)}, got {absent[0]!r}. Correct it."
            )

    def _known_for(self, y, X, static):
        """Return what a forecast starts from: what fit or update saw, or another history."""
        check_is_fitted(self)
        if y is None:
            if static is not None:
                raise ValueError("static belongs to fit, or to predict beside y. Leave it out, or pass y.")
            return self._known
        options = self._read_options() | {"freq": None}
        data = read_series(y, axis=self._known.data.axis, **options)
        named = data.columns is not None or self._known.data.columns is not None
        if named and not data.variables.equals(self._known.data.variables):
            raise ValueError(
                f"y must hold the variables {list(self._known.data.variables)} as in fit, got {list(data.variables)}. "
                "Pass the same."
            )
        self._check_values(data)
        past = known_static = None
        if self._uses_X and self._reader is not None:
            if X is None:
                raise ValueError(
                    "X must be given as in fit, got None. Pass the features of y's steps and of those ahead."
                )
            X = self._reader.on_axis(X, data, data.first[0]) if isinstance(X, np.ndarray) else X
            past, _ = read_step_features(self._reader, X, data, extra="ignore")
        if self._uses_X and self._static_reader is not None:
            if static is None:
                raise ValueError("static must be given beside y, as in fit, got None. Pass one row a series.")
            known_static = read_static(self._static_reader, static, data)
        elif self._uses_X and static is not None:
            raise ValueError("static must be left out where fit was not given it. Leave it out, or fit with it.")
        return Known(data, past, None, known_static)

    def _check_no_X(self, X):
        """Refuse features that fit was not given, and that would be ignored."""
        if self._uses_X and self._reader is None and X is not None:
            raise ValueError(f"X must be None where fit was given none, got {type(X).__name__}. Fit with X as well.")

    def _with_future(self, known, X, n_steps, needed=None, first=None):
        """Return what is known with the features of the steps ahead; an array begins at the place `first`."""
        self._check_no_X(X)
        if not self._uses_X or self._reader is None or n_steps == 0:
            return known
        past_only = self._past_columns()
        constant = constant_columns(self._reader, known)
        optional = [*past_only, *constant]
        if X is not None:
            if isinstance(X, np.ndarray):
                start = (known.data.last[0] + 1, n_steps) if first is None else (first,)
                X = self._reader.on_axis(X, known.data, *start)
            X = self._reader.frame(X).drop(columns=past_only, errors="ignore")  # what nobody knows yet is not looked at
            X = X if X.shape[1] else None
        if X is None:
            if len(optional) < len(self._reader.columns_):
                ahead = [column for column in self._reader.columns_ if column not in optional]
                raise ValueError(
                    f"X must hold {ahead} of the {n_steps} steps ahead, since fit was given X, got None. Pass them, or "
                    "name columns that are not known ahead in past_columns."
                )
            shape = (len(known.data) * n_steps,)
            future = Features(
                np.full((*shape, len(self._reader.numeric_)), np.nan),
                np.zeros((*shape, len(self._reader.categorical_)), dtype=np.int64),
            )
            present = []
        else:
            future, present = read_step_features(self._reader, X, known.data, n_steps, optional, needed=needed)
        return replace(
            known, future=carry_on(self._reader, known, future, [c for c in constant if c not in present], n_steps)
        )

    def _steps(self, fh, known):
        """Return the steps asked for, (S, n)."""
        if fh is None:
            fh = self._fh
        if fh is None:
            fh = range(1, self.horizon_ + 1)
        return read_horizon(fh, known.data.axis, known.data.last)

    def _ahead(self, fh, X, y, static, method):
        """Return what is known, the steps asked for, and how far they reach; in-sample steps are refused."""
        known = self._known_for(y, X, static)
        steps = self._steps(fh, known)
        if steps.min() < 1:
            raise ValueError(
                f"{method} looks ahead: fh must hold steps from 1 on, got {steps.min()}. Use predict for steps before "
                "the end."
            )
        return self._looking_ahead(known, X, steps, y), steps, int(steps.max())

    def _looking_ahead(self, known, X, steps, y):
        """Return what is known with the features of the steps ahead; beside y, X begins where y does."""
        first = None if y is None else known.data.first[0]
        return self._with_future(known, X, max(0, int(steps.max())), steps.max(axis=1), first)

    # --- the public methods ------------------------------------------------------------------------------------------

    def fit(self, y, X=None, fh=None, *, static=None):
        """Fit the forecaster.

        Parameters
        ----------
        y : Series, DataFrame or array of shape (n_steps,) or (n_steps, n_variables)
            One series; several variables forecast jointly; or a panel: a frame or Series whose MultiIndex ends with
            the time.
        X : DataFrame, default=None
            Features of the steps of y, with its index. Forecasters without exogenous features do not look at it.
        fh : int, sequence of int, Index, Timedelta or DateOffset, default=None
            The steps to forecast, see :meth:`predict`.
        static : DataFrame, default=None
            Features of the series, indexed by them. Forecasters without exogenous features do not look at it.

        Returns
        -------
        self : forecaster
            The fitted forecaster.
        """
        self._validate_params()
        known = self._read_known(y, X, static)
        n_steps = None if fh is None else max(1, int(read_horizon(fh, known.data.axis, known.data.last).max()))
        vars(self).pop("horizon_", None)  # of an earlier fit
        try:
            self._fit(known, n_steps)
        except KeyboardInterrupt:
            if hasattr(self, "net_"):  # what was learnt until then is kept
                self._known, self._fh = known, copy(fh)
            raise
        self._known, self._fh = known, copy(fh)
        if n_steps is not None or not hasattr(self, "horizon_"):
            self.horizon_ = n_steps or self._default_steps(known)
        return self

    def _default_steps(self, known):
        """Return how far ahead to look where nobody says: one season, at most half the longest series."""
        season = self._season(known)
        return int(max(1, min(season, known.data.lengths.max() // 2)))

    def _season(self, known):
        """Return the length of the season in steps: what the user said, or what the frequency suggests."""
        said = getattr(self, "season_length", "auto")
        if said != "auto":
            return said
        return next(iter(season_lengths(known.data.axis.freq)), 1)

    def predict(self, fh=None, X=None, *, y=None, static=None):
        """Forecast.

        Parameters
        ----------
        fh : int, sequence of int, Index, Timedelta or DateOffset, default=None
            Steps after the end of y: ``range(1, 13)`` for the next twelve, 12 for the twelfth alone; or time stamps,
            or durations. Steps of 0 and below lie within y and give one-step forecasts. By default what ``fit`` was
            given.
        X : DataFrame, default=None
            Features of the steps ahead, where ``fit`` was given X; more rows do no harm.
        y : Series, DataFrame or array, default=None
            Forecast the future of these series instead of those of ``fit``. X then covers their steps as well.
        static : DataFrame, default=None
            Features of these series.

        Returns
        -------
        y_pred : Series, DataFrame or ndarray
            The container that came in, with the index of the steps forecast.
        """
        known = self._known_for(y, X, static)
        steps = self._steps(fh, known)
        n_steps = max(0, int(steps.max()))
        known = self._looking_ahead(known, X, steps, y)
        data = known.data
        values = np.empty((*steps.shape, data.n_variables))
        series = np.broadcast_to(np.arange(len(data))[:, None], steps.shape)
        ahead = steps > 0
        if n_steps:
            values[ahead] = self._point(known, n_steps)[series[ahead], steps[ahead] - 1]
        if not ahead.all():
            values[~ahead] = self._within(known, series[~ahead], steps[~ahead])
        return data.wrap(values.reshape(-1, data.n_variables), series.ravel(), (data.last[:, None] + steps).ravel())

    def _within(self, known, series, steps):
        """Return one-step forecasts of steps of the series."""
        data = known.data
        step = data.lengths[series] - 1 + steps
        rows = np.where(step >= 0, data.offsets[series] + step, 0)
        values = self._one_step(known)[rows]
        bad = (step < 0) | np.isnan(values).any(axis=1)
        if bad.any():
            i, place = series[bad][0], int(data.last[series[bad][0]] + steps[bad][0])
            raise ValueError(
                f"fh must reach back to steps that have something before them, but {data.axis.index([place])[0]} of "
                f"{data.name_of(i)} has not. Ask for later steps."
            )
        return values

    def predict_quantiles(self, fh=None, X=None, alpha=None, *, y=None, static=None):
        """Forecast quantiles.

        Parameters
        ----------
        fh, X
            As in :meth:`predict`; steps from 1 on.
        alpha : float or list of float, default=None
            Probabilities of the quantiles; None is [0.05, 0.95].
        y, static
            As in :meth:`predict`.

        Returns
        -------
        quantiles : DataFrame
            Columns (variable, alpha).
        """
        alpha = [0.05, 0.95] if alpha is None else [alpha] if isinstance(alpha, Real) else list(alpha)
        check_probabilities("alpha", alpha)
        known, steps, n_steps = self._ahead(fh, X, y, static, "predict_quantiles")
        values = self._quantiles(known, n_steps, alpha)
        columns = pd.MultiIndex.from_product([known.data.variables, alpha])
        return frame_of(known.data, values.reshape(*values.shape[:2], -1), steps, columns)

    def predict_interval(self, fh=None, X=None, coverage=0.9, *, y=None, static=None):
        """Forecast intervals, each with as much probability below as above it.

        Parameters
        ----------
        fh, X
            As in :meth:`predict`; steps from 1 on.
        coverage : float or list of float, default=0.9
            Probability of an interval.
        y, static
            As in :meth:`predict`.

        Returns
        -------
        intervals : DataFrame
            Columns (variable, coverage, "lower" or "upper").
        """
        coverage = [coverage] if isinstance(coverage, Real) else list(coverage)
        check_probabilities("coverage", coverage)
        known, steps, n_steps = self._ahead(fh, X, y, static, "predict_interval")
        alpha = [level for c in coverage for level in (0.5 - c / 2, 0.5 + c / 2)]
        values = self._quantiles(known, n_steps, alpha)
        columns = pd.MultiIndex.from_product([known.data.variables, coverage, ["lower", "upper"]])
        return frame_of(known.data, values.reshape(*values.shape[:2], -1), steps, columns)

    def predict_var(self, fh=None, X=None, *, y=None, static=None):
        """Forecast variances.

        Parameters
        ----------
        fh, X, y, static
            As in :meth:`predict`; steps from 1 on.

        Returns
        -------
        variance : DataFrame
            One column a variable.
        """
        known, steps, n_steps = self._ahead(fh, X, y, static, "predict_var")
        return frame_of(known.data, self._variance(known, n_steps), steps, known.data.variables)

    def sample(self, fh=None, X=None, n_samples=100, *, random_state=None, y=None, static=None):
        """Draw joint paths: the steps of one path belong together.

        Parameters
        ----------
        fh, X
            As in :meth:`predict`; steps from 1 on.
        n_samples : int, default=100
            Number of paths.
        random_state : int, RandomState or None, default=None
            Seed; None takes that of the forecaster.
        y, static
            As in :meth:`predict`.

        Returns
        -------
        paths : DataFrame
            One column a variable; the index has the number of the path ("sample") before the levels of
            :meth:`predict`'s.
        """
        if not isinstance(n_samples, Integral) or n_samples < 1:
            raise ValueError(f"n_samples must be a whole number from 1 on, got {n_samples!r}. Pass 100, say.")
        known, steps, n_steps = self._ahead(fh, X, y, static, "sample")
        seed = random_state if random_state is not None else getattr(self, "random_state", None)
        if not isinstance(seed, Integral | None):
            seed = seed.randint(np.iinfo(np.int32).max)
        paths = self._paths(known, n_steps, int(n_samples), np.random.default_rng(seed))
        return frame_of_paths(known.data, paths, steps)

    def fit_predict(self, y, X=None, fh=None, X_pred=None, *, static=None):
        """Fit, and forecast.

        Parameters
        ----------
        y, X, fh
            As in :meth:`fit`.
        X_pred : DataFrame, default=None
            Features of the steps ahead.
        static : DataFrame, default=None
            As in :meth:`fit`.

        Returns
        -------
        y_pred : Series, DataFrame or ndarray
            What :meth:`predict` gives.
        """
        return self.fit(y, X, fh, static=static).predict(X=X_pred)

    def update(self, y, X=None, update_params=True):
        """Append steps and move the cutoff.

        Parameters
        ----------
        y : Series, DataFrame or array
            Steps that follow those seen; steps seen before are replaced. A panel may bring new series.
        X : DataFrame, default=None
            Their features, where ``fit`` was given X.
        update_params : bool, default=True
            Whether to learn from the new steps as well.

        Returns
        -------
        self : forecaster
            The forecaster, whose forecasts start after the new steps.
        """
        check_is_fitted(self)
        old = self._known
        options = self._read_options() | {"freq": None}
        self._check_no_X(X)
        new = read_series(y, axis=old.data.axis, after=old.data, **options)
        self._check_values(new)
        data, n_new, rows = join_series(old.data, new)
        past, static = None, old.static
        if self._uses_X and self._reader is not None:
            if X is None:
                raise ValueError("X must be given as in fit, got None. Pass the features of the new steps.")
            read, _ = read_step_features(self._reader, X, new)
            past = join_features(old.past, read, rows, len(data.values))
        if static is not None and len(data) > len(old.data):
            raise ValueError(
                f"y must hold series of fit, whose static features are known, got {data.name_of(len(old.data))}. Fit "
                "again with it."
            )
        known = Known(data, past, None, static)
        try:
            if update_params:
                self._update(known, n_new)
        except KeyboardInterrupt:
            self._known = known  # what was learnt until then is kept
            raise
        self._known = known
        return self

    @property
    def cutoff(self):
        """The last time stamp seen: an Index of length 1; for a panel a Series, one stamp for each of its series."""
        check_is_fitted(self)
        data = self._known.data
        if data.names is None:
            return data.axis.index(data.last)
        return pd.Series(data.axis.index(data.last), index=data.names, name="cutoff")

    def fitted_values(self):
        """Forecast every step of the training series from the steps before it.

        Returns
        -------
        y_fitted : Series, DataFrame or ndarray
            The container of y, without the steps that have nothing before them.
        """
        return self._fitted()[0]

    def residuals(self):
        """Return the errors of :meth:`fitted_values`, y minus forecast.

        Returns
        -------
        residuals : Series, DataFrame or ndarray
            With the index of the fitted values.
        """
        return self._fitted()[1]

    def _fitted(self):
        check_is_fitted(self)
        data = self._known.data
        fitted = self._one_step(self._known)
        rows = np.flatnonzero(~np.isnan(fitted).any(axis=1))
        series = np.repeat(np.arange(len(data)), data.lengths)[rows]
        places = data.first[series] + rows - data.offsets[series]
        parts = (fitted[rows], data.values[rows] - fitted[rows])
        return tuple(data.wrap(part, series, places) for part in parts)

    def score(self, y, X=None, fh=None):
        r"""Forecast the steps of y, which follow the cutoff, and return minus the mean absolute scaled error.

        .. math:: -\frac{1}{H} \sum_h |y_h - \hat y_h| \Big/ \frac{1}{n - m} \sum_{t > m} |y_t - y_{t-m}|

        with the n steps seen, the season m, averaged over variables and series (Hyndman and Koehler 2006).

        Parameters
        ----------
        y : Series, DataFrame or array
            The steps right after the cutoff.
        X : DataFrame, default=None
            Features of exactly these steps, where ``fit`` was given X.
        fh : int, sequence of int, Index, Timedelta or DateOffset, default=None
            Steps to score; by default all of y.

        Returns
        -------
        score : float
            Minus the MASE: larger is better, and -1 is as good as the seasonal naive forecast was in sample.
        """
        check_is_fitted(self)
        self._check_no_X(X)
        known, actual = self._followed(y)
        data = known.data
        steps = None if fh is None else read_horizon(fh, data.axis, data.last)
        if steps is not None and (steps.min() < 1 or (steps.max(axis=1) > actual.lengths).any()):
            raise ValueError(
                f"fh must hold steps of y, 1 to {actual.lengths.min()}, got {steps.min()} to {steps.max()}. Leave it "
                "out to score all of y."
            )
        n_steps = int(actual.lengths.max())
        if self._uses_X and self._reader is not None:
            known = replace(known, future=self._future_of(X, actual, known, n_steps))
        forecast = self._point(known, n_steps)
        errors = np.full(forecast.shape, np.nan)
        series = np.repeat(np.arange(len(data)), actual.lengths)
        step = np.arange(len(actual.values)) - actual.offsets[series]
        errors[series, step] = actual.values - forecast[series, step]
        if steps is not None:
            errors = np.take_along_axis(errors, steps[:, :, None] - 1, axis=1)
        return -mean_over_series(scaled_errors(np.abs(errors), data, self._season(known)))

    def _followed(self, y):
        """Return what is known of the series of y, and y, which must start right after it."""
        data = self._known.data
        actual = read_series(y, axis=data.axis, missing="mask", gaps=getattr(self, "gaps", "error"), after=data)
        data.check_alike(actual, "y")
        indices = np.zeros(1, np.int64) if data.names is None else data.names.get_indexer(actual.names)
        if (indices < 0).any():
            name = actual.name_of(int(np.argmax(indices < 0)))
            raise ValueError(f"y must hold series of fit, got {name}. Leave it out, or call predict with y.")
        wrong = actual.first != data.last[indices] + 1
        if wrong.any():
            i = int(np.argmax(wrong))
            raise ValueError(
                f"y must start right after the cutoff, {data.stamp(indices[i], data.lengths[indices[i]])} for "
                f"{actual.name_of(i)}, got a start at {actual.stamp(i, 0)}. Use splitters of "
                "sktime_rnn.model_selection, whose test steps follow the training steps."
            )
        known = self._known
        if len(indices) < len(data) or (np.diff(indices) != 1).any():
            rows = np.repeat(data.offsets[indices], data.lengths[indices])
            kept = data.take(indices)
            rows = rows + np.arange(len(rows)) - np.repeat(kept.offsets[:-1], kept.lengths)
            past = None if known.past is None else known.past[rows]
            known = Known(kept, past, None, None if known.static is None else known.static[indices])
        return known, actual

    def _future_of(self, X, actual, known, n_steps):
        """Return the features of the steps of y, the last row repeated where other series go further."""
        if X is None:
            raise ValueError("X must be given to score as in fit, got None. Pass the features of the steps of y.")
        constant, past_only = constant_columns(self._reader, known), self._past_columns()
        if isinstance(X, np.ndarray):
            X = self._reader.on_axis(X, actual, actual.first[0])
        X = self._reader.frame(X).drop(columns=past_only, errors="ignore")  # as predict does
        features, present = read_step_features(self._reader, X, actual, optional=[*past_only, *constant])
        step = np.minimum(np.arange(n_steps), actual.lengths[:, None] - 1)
        future = features[(actual.offsets[:-1, None] + step).ravel()]
        return carry_on(self._reader, known, future, [c for c in constant if c not in present], n_steps)

    def __sklearn_is_fitted__(self):
        return hasattr(self, "_known")
