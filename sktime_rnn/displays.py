"""Displays in scikit-learn's manner: objects that keep their arrays and draw them."""

from collections.abc import Iterable
from dataclasses import replace
from math import ceil
from numbers import Integral, Real

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from sktime_rnn.base import BaseForecaster
from sktime_rnn.panel import read_horizon, read_series
from sktime_rnn.seq2seq import Seq2SeqTransformer

_HISTORY, _FORECAST, _QUIET = "#3b4252", "#0072b2", "#9aa0a6"  # told apart by lightness as well
_SHADES = (0.45, 0.12)  # opacity of the narrowest interval, and of the widest
_MOST_COLUMNS = 3
_LEAST_HISTORY, _HORIZONS_OF_HISTORY = 48, 4
_RECENT = 15  # steps that tell how far apart two may be
_PANEL_SIZE, _SINGLE_SIZE = (4.2, 2.6), (8.0, 4.0)  # inches


class ForecastDisplay:
    """The end of the history, the forecast, and a fan of intervals around it.

    Make it by :meth:`from_estimator`. Several series or variables are drawn side by side.

    Parameters
    ----------
    history : Series or DataFrame
        The series up to the cutoff, one column a variable; of a panel with a (series, time) MultiIndex.
    forecast : Series or DataFrame
        The forecasts, likewise.
    intervals : DataFrame, default=None
        What ``predict_interval`` returned, with columns (variable, coverage, "lower" or "upper").
    actual : Series or DataFrame, default=None
        What really happened after the cutoff.

    Attributes
    ----------
    history_, forecast_, actual_ : DataFrame
        The values, one column a variable. `actual_` is None where nothing is known.
    intervals_ : DataFrame or None
        The intervals; None for forecasters without any.
    figure_ : matplotlib Figure
        After ``plot``: the figure.
    axes_ : ndarray of matplotlib Axes of shape (n_series * n_variables,)
        After ``plot``: the axes, series by series.

    See Also
    --------
    sktime_rnn.model_selection.backtest : Measures the errors of forecasts.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sktime_rnn.baselines import NaiveForecaster
    >>> from sktime_rnn.datasets import load_airpassengers
    >>> from sktime_rnn.displays import ForecastDisplay
    >>> y = load_airpassengers()
    >>> forecaster = NaiveForecaster(strategy="seasonal").fit(y[:-24])
    >>> display = ForecastDisplay.from_estimator(forecaster, y, fh=range(1, 25))
    >>> display.forecast_.shape, display.actual_.shape
    ((24, 1), (24, 1))
    >>> display.figure_.savefig("forecast.png")  # doctest: +SKIP
    >>> plt.close(display.figure_)
    """

    def __init__(self, history, forecast, intervals=None, actual=None):
        self.history_ = _as_frame(history)
        self.forecast_ = _as_frame(forecast)
        self.intervals_ = intervals
        self.actual_ = None if actual is None else _as_frame(actual)

    @classmethod
    def from_estimator(
        cls,
        forecaster,
        y=None,
        fh=None,
        *,
        X=None,
        static=None,
        coverage=(0.5, 0.8, 0.95),
        n_history=None,
        max_series=9,
        ax=None,
        title=None,
    ):
        """Forecast and draw.

        Parameters
        ----------
        forecaster : fitted forecaster
            What forecasts.
        y : Series, DataFrame or array, default=None
            The series to show; None shows what the forecaster has seen. What lies after the forecaster's cutoff is
            drawn as what really happened. Series that it has not seen, or that end before its cutoff, are forecast
            from their own ends.
        fh : int, sequence of int, Index, Timedelta or DateOffset, default=None
            The steps ahead, as in the forecaster's ``predict``.
        X : DataFrame, default=None
            Features, as in the forecaster's ``predict``.
        static : DataFrame, default=None
            Features of series that the forecaster has not seen.
        coverage : float or list of float, default=(0.5, 0.8, 0.95)
            Probabilities of the intervals; an empty list draws none.
        n_history : int, default=None
            Most steps of history to draw; None is four times as many as are forecast, and 48 at least.
        max_series : int, default=9
            Most series of a panel to draw, the first ones.
        ax : matplotlib Axes or array of them, default=None
            Where to draw, one for each series and variable; None makes a new figure.
        title : str, default=None
            Title of the figure.

        Returns
        -------
        display : ForecastDisplay
            The drawn display.
        """
        _import_matplotlib()
        if not isinstance(max_series, Integral) or max_series < 1:
            raise ValueError(f"max_series must be a whole number from 1 on, got {max_series!r}. Pass 9, say.")
        forecaster = getattr(forecaster, "best_estimator_", forecaster)  # a search shows what it chose
        if not isinstance(forecaster, BaseForecaster):
            raise TypeError(f"forecaster must be a forecaster of sktime_rnn, got {forecaster!r}. Pass a fitted one.")
        check_is_fitted(forecaster)
        n_all, history, actual, call = _what_is_shown(forecaster, y, X, static, max_series)
        intervals = None
        coverage = [coverage] if isinstance(coverage, Real) else list(coverage)
        forecast = forecaster.predict(fh, **call)
        if coverage and hasattr(forecaster, "predict_interval"):
            try:
                intervals = forecaster.predict_interval(fh, coverage=coverage, **call)
            except NotImplementedError:  # a forecaster of points alone
                intervals = None
        if isinstance(forecast, np.ndarray):
            forecast = _with_index(forecast, forecaster._fh if fh is None else fh, history)
        display = cls._of_parts(history, forecast, intervals, actual)
        if title is None and n_all > len(history):
            title = f"{len(history)} of {n_all} series"
        return display.plot(ax=ax, n_history=n_history, title=title)

    @classmethod
    def _of_parts(cls, history, forecast, intervals, actual):
        """Return a display of the series of the history, everything in pandas."""
        forecast = _as_frame(forecast)
        if history.names is not None:
            forecast, intervals = (
                None if part is None else part[part.index.droplevel(-1).isin(history.names)]
                for part in (forecast, intervals)
            )
        if intervals is not None:  # a Series may be called otherwise than that of fit
            forecast = forecast.set_axis(intervals.columns.unique(0), axis=1)
        shown, happened = (
            None if part is None else _wrapped(part).set_axis(forecast.columns, axis=1) for part in (history, actual)
        )
        return cls(shown, forecast, intervals, happened)

    def plot(self, ax=None, *, n_history=None, title=None):
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes or array of them, default=None
            Where to draw, one for each series and variable; None makes a new figure.
        n_history : int, default=None
            Most steps of history to draw; None is four times as many as are forecast, and 48 at least.
        title : str, default=None
            Title of the figure.

        Returns
        -------
        display : ForecastDisplay
            The display, with ``figure_`` and ``axes_``.
        """
        plt = _import_matplotlib()
        if n_history is not None and (not isinstance(n_history, Integral) or n_history < 1):
            raise ValueError(
                f"n_history must be a whole number of steps from 1 on, or None, got {n_history!r}. Pass 48, say."
            )
        parts = list(self._parts())
        self.figure_, self.axes_ = _axes_for(plt, ax, len(parts))
        for axes, (name, variable, part) in zip(self.axes_, parts, strict=True):
            _draw(axes, n_history=n_history, **part)
            _label(axes, name, variable, part["forecast"].index, alone=len(parts) == 1)
        _add_legend(self.figure_, self.axes_, own_figure=ax is None)
        if title is not None:
            self.figure_.suptitle(title) if ax is None else self.axes_[0].set_title(title)
        return self

    def _parts(self):
        """Yield the name of a series, its variable, and what is drawn of it: Series over the time alone."""
        panel = isinstance(self.history_.index, pd.MultiIndex)
        names = self.history_.index.droplevel(-1).unique() if panel else [None]
        tables = {"history": self.history_, "forecast": self.forecast_, "actual": self.actual_}
        for name in names:
            for variable in self.history_.columns:
                part = {
                    kind: None if table is None else _of_series(table, name, panel)[variable]
                    for kind, table in tables.items()
                }
                bands = None if self.intervals_ is None else _of_series(self.intervals_, name, panel)[variable]
                yield name, variable, part | {"intervals": bands}


class AttentionDisplay:
    """How much each step of an output looks at each step of its input, as a heat map.

    Make it by :meth:`from_estimator`.

    Parameters
    ----------
    weights : ndarray of shape (n_out, n_in)
        Attention weights; rows sum to 1.
    input_tokens : sequence of length n_in, default=None
        What stands below the columns; None for the numbers of the steps.
    output_tokens : sequence of length n_out, default=None
        What stands beside the rows; None for the numbers of the steps.

    Attributes
    ----------
    weights_ : ndarray of shape (n_out, n_in)
        The weights.
    figure_ : matplotlib Figure
        After ``plot``: the figure.
    ax_ : matplotlib Axes
        After ``plot``: the axes.
    image_ : matplotlib AxesImage
        After ``plot``: the heat map.

    See Also
    --------
    sktime_rnn.Seq2SeqTransformer.attention_weights : The weights of many inputs.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sktime_rnn import Seq2SeqTransformer
    >>> from sktime_rnn.displays import AttentionDisplay
    >>> X = ["one two", "two one", "one one", "two two"] * 8
    >>> y = [text.replace("one", "un").replace("two", "deux") for text in X]
    >>> model = Seq2SeqTransformer(tokenizer="word", hidden_size=16, max_epochs=60, random_state=0).fit(X, y)
    >>> display = AttentionDisplay.from_estimator(model, "one two")
    >>> display.weights_.sum(axis=1).round(6).tolist()
    [1.0, 1.0]
    >>> plt.close(display.figure_)
    """

    def __init__(self, weights, input_tokens=None, output_tokens=None):
        self.weights_ = np.asarray(weights)
        self.input_tokens = input_tokens
        self.output_tokens = output_tokens

    @classmethod
    def from_estimator(cls, estimator, X, y=None, *, ax=None, cmap="Blues", title=None):
        """Write the output of one input and draw what it looked at.

        Parameters
        ----------
        estimator : Seq2SeqTransformer
            Fitted, with attention.
        X : sequence
            One input: a text, a list of tokens, or an array (n_timesteps, n_features).
        y : sequence, default=None
            Its output; None for the one that the estimator writes.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.
        cmap : str or matplotlib Colormap, default="Blues"
            Colours of the weights from 0 to 1.
        title : str, default=None
            Title of the axes.

        Returns
        -------
        display : AttentionDisplay
            The drawn display.
        """
        _import_matplotlib()
        estimator = getattr(estimator, "best_estimator_", estimator)
        if not isinstance(estimator, Seq2SeqTransformer):
            raise TypeError(f"estimator must be a Seq2SeqTransformer, got {estimator!r}. Pass a fitted one.")
        check_is_fitted(estimator)
        weights, *tokens = estimator._explained([X], None if y is None else [y])
        return cls(weights, *tokens).plot(ax=ax, cmap=cmap, title=title)

    def plot(self, ax=None, *, cmap="Blues", title=None):
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.
        cmap : str or matplotlib Colormap, default="Blues"
            Colours of the weights from 0 to 1.
        title : str, default=None
            Title of the axes.

        Returns
        -------
        display : AttentionDisplay
            The display, with ``figure_``, ``ax_`` and ``image_``.
        """
        plt = _import_matplotlib()
        n_out, n_in = self.weights_.shape
        if n_out == 0:
            raise ValueError("weights must have a row, but the output is empty. Pass y, the output to look at.")
        if ax is None:
            size = (min(12.0, 2.0 + 0.35 * n_in), min(12.0, 1.5 + 0.35 * n_out))
            _, ax = plt.subplots(figsize=size, layout="constrained")
        self.ax_, self.figure_ = ax, ax.figure
        self.image_ = ax.imshow(self.weights_, cmap=cmap, vmin=0.0, vmax=1.0, aspect="auto")
        for axis, tokens, name in ((ax.xaxis, self.input_tokens, "input"), (ax.yaxis, self.output_tokens, "output")):
            if tokens is None:
                axis.set_label_text(f"step of the {name}")
                axis.get_major_locator().set_params(integer=True)
            else:
                axis.set_ticks(range(len(tokens)), [str(token) for token in tokens])
                axis.set_label_text(name)
        if self.input_tokens is not None and max(map(len, map(str, self.input_tokens))) > 2:
            ax.tick_params(axis="x", rotation=60)
        self.figure_.colorbar(self.image_, ax=ax, label="attention weight")
        if title is not None:
            ax.set_title(title)
        return self


# --- what is drawn ---------------------------------------------------------------------------------------------------


def _as_frame(container):
    if isinstance(container, pd.DataFrame):
        return container
    name = 0 if container.name is None else container.name
    return container.to_frame(name)


def _wrapped(data):
    """Return series as a frame, whatever came in."""
    series = np.repeat(np.arange(len(data)), data.lengths)
    places = data.first[series] + np.arange(len(series)) - data.offsets[series]
    return pd.DataFrame(data.values, index=data.index(series, places), columns=data.variables)


def _with_index(values, fh, history):
    """Return forecasts that came as an array as a frame over the steps of their series."""
    steps = np.arange(1, len(values) + 1) if fh is None else read_horizon(fh, history.axis, history.last)[0]
    columns = history.variables
    return pd.DataFrame(
        values.reshape(len(values), -1), index=history.axis.index(history.last[0] + steps), columns=columns
    )


def _of_series(table, name, panel):
    """Return the rows of one series, over the time alone."""
    if not panel:
        return table
    index = table.index
    rows = np.flatnonzero(index.droplevel(-1) == name) if index.nlevels == 2 else index.droplevel(-1).get_loc(name)
    part = table.iloc[rows]
    return part.set_axis(part.index.get_level_values(-1))


def _what_is_shown(forecaster, y, X, static, max_series):
    """Return of how many series what is shown, their history, what happened after it, the arguments of predict."""
    known = forecaster._known.data
    call = {} if X is None else {"X": X}
    if y is None:
        return len(known), known.take(np.arange(min(len(known), max_series))), None, call
    options = {"gaps": getattr(forecaster, "gaps", "error"), "missing": "mask"}
    data = read_series(y, axis=known.axis, **options)
    if data.n_variables != known.n_variables or (data.names is None) != (known.names is None):
        raise ValueError(
            f"y must be a {'single series' if known.names is None else 'panel'} of {known.n_variables} variable(s) as "
            f"in fit, got a {'single series' if data.names is None else 'panel'} of {data.n_variables}. Pass the same."
        )
    shown = data.take(np.arange(min(len(data), max_series)))
    owner = np.zeros(1, np.int64) if data.names is None else known.names.get_indexer(shown.names)
    goes_on = (owner >= 0) & (shown.last >= known.last[owner]) & (shown.first <= known.last[owner])
    if not goes_on.all():
        more = {} if static is None else {"static": static}
        if shown.names is not None:
            y = y[y.index.droplevel(-1).isin(shown.names)]
        return len(data), shown, None, call | more | {"y": y}
    n_seen = known.last[owner] - shown.first + 1
    after = np.flatnonzero(shown.lengths > n_seen)
    actual = None
    if len(after):
        rows = np.concatenate([np.arange(shown.offsets[i] + n_seen[i], shown.offsets[i + 1]) for i in after])
        lengths = shown.lengths[after] - n_seen[after]
        actual = replace(
            shown,
            values=shown.values[rows],
            offsets=np.concatenate([[0], np.cumsum(lengths)]),
            first=shown.first[after] + n_seen[after],
            names=None if shown.names is None else shown.names[after],
        )
    return len(data), shown.head(n_seen), actual, call


# --- drawing ---------------------------------------------------------------------------------------------------------


def _import_matplotlib():
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError("Displays draw with matplotlib, which is not installed: pip install matplotlib.") from error
    return plt


def _axes_for(plt, ax, n):
    """Return the figure, and an array of n axes."""
    if ax is not None:
        axes = np.array(list(ax) if isinstance(ax, Iterable) else [ax], dtype=object).ravel()
        if len(axes) != n:
            raise ValueError(
                f"ax must be one Axes for each of the {n} series and variables, got {len(axes)}. Leave it out to have "
                "them made."
            )
        return axes[0].figure, axes
    n_columns = 1 if n == 1 else 2 if n in (2, 4) else min(n, _MOST_COLUMNS)
    n_rows = ceil(n / n_columns)
    width, height = _SINGLE_SIZE if n == 1 else _PANEL_SIZE
    figure, grid = plt.subplots(
        n_rows, n_columns, squeeze=False, layout="constrained", figsize=(width * n_columns, height * n_rows)
    )
    figure.get_layout_engine().set(hspace=0.06, wspace=0.04)
    for axes in grid.ravel()[n:]:
        axes.remove()
    return figure, grid.ravel()[:n]


def _stamps(index):
    """Return time stamps as matplotlib places them: dates in UTC, or integers."""
    if isinstance(index, pd.PeriodIndex):
        index = index.to_timestamp()
    if isinstance(index, pd.DatetimeIndex) and index.tz is not None:
        index = index.tz_convert(None)
    return index.to_numpy()


def _draw(axes, history, forecast, actual, intervals, n_history):
    observed = history.iloc[-_steps_drawn(history, forecast, n_history) :]
    axes.plot(_stamps(observed.index), observed, color=_HISTORY, lw=1.3, label="history")
    line, bands = forecast, intervals
    if _adjoins(observed, forecast):  # the forecast begins where the history ends
        line = pd.concat([observed.iloc[-1:], forecast])
        if intervals is not None:
            start = pd.DataFrame(observed.iloc[-1], index=observed.index[-1:], columns=intervals.columns)
            bands = pd.concat([start, intervals])
    if bands is not None:
        _draw_fan(axes, bands)
    axes.axvline(_stamps(observed.index)[-1], color=_QUIET, lw=0.8, ls=(0, (4, 3)), zorder=0)
    if actual is not None and len(actual):
        shown = actual[actual.index <= forecast.index[-1]]
        shown = pd.concat([observed.iloc[-1:], shown]) if len(shown) else shown
        axes.plot(
            _stamps(shown.index), shown, color=_HISTORY, lw=1.3, ls=(0, (2, 1.2)), zorder=3, label="what happened"
        )
    marker = "o" if len(line) == 1 else None
    axes.plot(_stamps(line.index), line, color=_FORECAST, lw=1.8, marker=marker, ms=5, label="forecast")


def _steps_drawn(history, forecast, n_history):
    if n_history is not None:
        return n_history
    return max(_LEAST_HISTORY, _HORIZONS_OF_HISTORY * len(forecast))


def _adjoins(history, forecast):
    """Whether the first step of the forecast follows right after the history."""
    last, first = history.index[-1], forecast.index[0]
    if isinstance(history.index, pd.PeriodIndex):
        return first == last + last.freq
    steps = np.diff(_stamps(history.index[-_RECENT:].append(forecast.index[:1])))
    return len(steps) > 1 and steps[-1] <= 1.05 * steps[:-1].max()  # months, and days over a weekend, differ


def _draw_fan(axes, bands):
    """Shade the intervals, the widest first and lightest."""
    levels = sorted({level for level, _ in bands.columns}, reverse=True)
    shades = np.linspace(_SHADES[1], _SHADES[0], len(levels)) if len(levels) > 1 else [0.25]
    stamps = _stamps(bands.index)
    for level, shade in zip(levels, shades, strict=True):
        lower, upper = bands[level, "lower"], bands[level, "upper"]
        label = f"{100 * level:g} % interval"
        if len(bands) == 1:
            axes.vlines(stamps, lower, upper, color=_FORECAST, alpha=shade, lw=9, label=label)
        else:
            axes.fill_between(stamps, lower, upper, color=_FORECAST, alpha=shade, lw=0, label=label)


def _label(axes, name, variable, index, *, alone):
    """Name the axes and thin out the dates."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
    from matplotlib.ticker import MaxNLocator

    if isinstance(index, pd.PeriodIndex | pd.DatetimeIndex):
        tz = getattr(index, "tz", None)
        locator = AutoDateLocator(tz, minticks=3, maxticks=9 if alone else 5)
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, tz))
    else:
        axes.xaxis.set_major_locator(MaxNLocator(nbins=9 if alone else 5, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=6 if alone else 4))
    said = "" if variable == 0 else str(variable)
    if name is None:
        axes.set_ylabel(said) if alone else axes.set_title(said, fontsize="medium", loc="left")
    else:
        of = ", ".join(map(str, name)) if isinstance(name, tuple) else str(name)
        axes.set_title(of, fontsize="medium", loc="left")
        axes.set_ylabel(said)
    if alone and index.name is not None:
        axes.set_xlabel(str(index.name))
    axes.grid(axis="y", color=_QUIET, alpha=0.25, lw=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.02)


def _add_legend(figure, axes, *, own_figure):
    """Say once what the lines and shades are."""
    entries = {}
    for one in axes:
        for handle, label in zip(*one.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    lines = [label for label in ("history", "what happened", "forecast") if label in entries]
    order = lines + [label for label in entries if label not in lines]
    handles = [entries[label] for label in order]
    if own_figure:
        figure.legend(handles, order, loc="outside lower center", ncols=len(order), frameon=False, fontsize="small")
    else:
        axes[0].legend(handles, order, frameon=False, fontsize="small", loc="upper left")
