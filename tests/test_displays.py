"""Displays: what they keep, and what they draw."""

import subprocess
import sys

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import LineCollection, PolyCollection
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV

from sktime_rnn import Seq2SeqTransformer
from sktime_rnn.base import BaseForecaster
from sktime_rnn.displays import AttentionDisplay, ForecastDisplay
from sktime_rnn.model_selection import SlidingWindowSplitter

matplotlib.use("Agg")


class Last(BaseForecaster):
    """The last value; quantile alpha lies alpha - 1/2 above it."""

    def __init__(self, has_quantiles=True):
        self.has_quantiles = has_quantiles

    def _fit(self, known, n_steps):
        pass

    def _point(self, known, n_steps):
        return np.repeat(known.data.values[known.data.offsets[1:] - 1][:, None], n_steps, axis=1)

    def _quantiles(self, known, n_steps, alpha):
        if not self.has_quantiles:
            raise NotImplementedError
        return self._point(known, n_steps)[..., None] + np.asarray(alpha) - 0.5

    def _variance(self, known, n_steps):
        return np.ones_like(self._point(known, n_steps))

    def _paths(self, known, n_steps, n_samples, rng):
        return np.repeat(self._point(known, n_steps)[None], n_samples, axis=0)

    def _one_step(self, known):
        return np.vstack([known.data.values[:1], known.data.values[:-1]])


class WithFeatures(Last):
    """Needs features of the steps ahead, and the features of the series."""

    _uses_X = True


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def make_series(n=80, freq="M", name="sold"):
    index = pd.period_range("2015-01", periods=n, freq=freq, name="month")
    return pd.Series(10.0 + np.arange(n) % 12 + np.arange(n) / 10, index=index, name=name)


def make_panel(n_series=3, n=40):
    days = pd.date_range("2021-03-01", periods=n, freq="D")
    index = pd.MultiIndex.from_product([[f"shop {i}" for i in range(n_series)], days], names=["shop", "day"])
    return pd.Series(np.arange(len(index), dtype=float), index=index, name="sold")


def texts(legend):
    return [text.get_text() for text in legend.get_texts()]


def lines(axes):
    return {line.get_label(): line for line in axes.get_lines() if not line.get_label().startswith("_")}


def test_what_the_forecaster_has_seen_is_shown():
    y = make_series()
    forecaster = Last().fit(y, fh=range(1, 7))
    display = ForecastDisplay.from_estimator(forecaster)
    pd.testing.assert_series_equal(display.history_["sold"], y)
    pd.testing.assert_series_equal(display.forecast_["sold"], forecaster.predict())
    pd.testing.assert_frame_equal(display.intervals_, forecaster.predict_interval(coverage=[0.5, 0.8, 0.95]))
    assert display.actual_ is None
    (axes,) = display.axes_
    assert axes.figure is display.figure_
    assert axes.get_ylabel() == "sold"
    assert axes.get_xlabel() == "month"
    drawn = lines(axes)
    assert list(drawn) == ["history", "forecast"]
    np.testing.assert_array_equal(drawn["history"].get_ydata(), y[-48:])
    # the forecast begins where the history ends
    np.testing.assert_array_equal(drawn["forecast"].get_ydata(), np.repeat(y.iloc[-1], 7))
    assert drawn["forecast"].get_xdata()[0] == drawn["history"].get_xdata()[-1]


def test_the_later_part_of_y_is_what_happened():
    y = make_series()
    forecaster = Last().fit(y[:-24], fh=range(1, 13))
    display = ForecastDisplay.from_estimator(forecaster, y.rename("other name"), n_history=20)
    np.testing.assert_array_equal(display.history_["sold"], y[:-24])
    np.testing.assert_array_equal(display.actual_["sold"], y[-24:])
    assert display.forecast_.index.equals(y.index[-24:-12])
    drawn = lines(display.axes_[0])
    assert len(drawn["history"].get_xdata()) == 20
    np.testing.assert_array_equal(drawn["what happened"].get_ydata(), y.iloc[-25:-12])  # no longer than the forecast


def test_y_that_ends_before_the_cutoff_is_forecast_from_its_end():
    y = make_series()
    display = ForecastDisplay.from_estimator(Last().fit(y), y[:50], fh=[1, 2])
    assert display.forecast_.index.tolist() == y.index[50:52].tolist()
    assert display.actual_ is None


def test_panels_are_small_multiples_with_one_legend():
    y = make_panel()
    past = y[y.index.get_level_values("day") < "2021-04-04"]
    forecaster = Last().fit(past, fh=range(1, 4))
    display = ForecastDisplay.from_estimator(forecaster, y)
    assert [axes.get_title(loc="left") for axes in display.axes_] == ["shop 0", "shop 1", "shop 2"]
    assert display.actual_.groupby("shop").size().tolist() == [6, 6, 6]
    (legend,) = display.figure_.legends
    assert texts(legend) == ["history", "what happened", "forecast", "95 % interval", "80 % interval", "50 % interval"]
    assert all(axes.get_legend() is None for axes in display.axes_)
    for i, axes in enumerate(display.axes_):
        assert (lines(axes)["forecast"].get_ydata() == past.loc[f"shop {i}"].iloc[-1]).all()


def test_the_first_of_many_series_are_drawn():
    y = make_panel(n_series=12)
    for display in (
        ForecastDisplay.from_estimator(Last().fit(y), fh=[1, 2], max_series=4),
        ForecastDisplay.from_estimator(Last().fit(make_panel(2)), y, fh=[1, 2], max_series=4),  # not seen
    ):
        assert len(display.axes_) == 4
        assert display.forecast_.index.get_level_values(0).unique().tolist() == [f"shop {i}" for i in range(4)]
        assert display.figure_.get_suptitle() == "4 of 12 series"


def test_series_named_by_several_levels():
    y = make_panel(2)
    y.index = pd.MultiIndex.from_tuples([(shop, 7, day) for shop, day in y.index], names=["shop", "till", "day"])
    display = ForecastDisplay.from_estimator(Last().fit(y), fh=[1, 2])
    assert [axes.get_title(loc="left") for axes in display.axes_] == ["shop 0, 7", "shop 1, 7"]


def test_variables_are_small_multiples():
    y = pd.DataFrame({"a": np.arange(20.0), "b": -np.arange(20.0)})
    display = ForecastDisplay.from_estimator(Last().fit(y), fh=[1, 2, 3], coverage=0.9, title="Two")
    assert [axes.get_title(loc="left") for axes in display.axes_] == ["a", "b"]
    assert texts(display.figure_.legends[0]) == ["history", "forecast", "90 % interval"]
    assert display.figure_.get_suptitle() == "Two"
    np.testing.assert_array_equal(lines(display.axes_[1])["forecast"].get_ydata(), [-19] * 4)


@pytest.mark.parametrize("fitted_on", [np.asarray, pd.Series])
def test_arrays(fitted_on):
    y = np.arange(30.0)
    forecaster = Last().fit(fitted_on(y[:20]), fh=[2, 4])
    display = ForecastDisplay.from_estimator(forecaster, y)
    assert display.forecast_.index.tolist() == [21, 23]
    np.testing.assert_array_equal(display.actual_[0], y[20:])
    assert lines(display.axes_[0])["forecast"].get_xdata().tolist() == [21, 23]  # a gap: not drawn from the end
    point_only = ForecastDisplay.from_estimator(Last(has_quantiles=False).fit(y[:20], fh=[2, 4]))
    assert point_only.forecast_.index.tolist() == [21, 23]


def test_forecasters_without_quantiles_have_no_fan():
    forecaster = Last(has_quantiles=False).fit(make_series(), fh=range(1, 4))
    for display in (
        ForecastDisplay.from_estimator(forecaster),
        ForecastDisplay.from_estimator(Last().fit(make_series()), fh=[1, 2], coverage=[]),
    ):
        assert display.intervals_ is None
        assert not [part for part in display.axes_[0].collections if isinstance(part, PolyCollection)]


def test_a_single_step_is_drawn_as_bars():
    y = make_series()
    display = ForecastDisplay.from_estimator(Last().fit(y), fh=6, coverage=[0.5, 0.9])
    bars = [part for part in display.axes_[0].collections if isinstance(part, LineCollection)]
    np.testing.assert_allclose(
        [np.array(bar.get_segments())[0, :, 1] for bar in bars],
        y.iloc[-1] + np.array([[-0.45, 0.45], [-0.25, 0.25]]),
    )


@pytest.mark.parametrize(
    "index",
    [
        pd.date_range("2024-03-20", periods=60, freq="h", tz="Europe/Berlin"),
        pd.date_range("2024-01-31", periods=60, freq="ME"),
        pd.bdate_range("2024-01-01", periods=60),  # over a weekend: ends on a Friday
        pd.period_range("2020Q1", periods=60, freq="Q"),
        pd.RangeIndex(5, 305, 5),
    ],
    ids=["time zone", "months", "business days", "quarters", "integers"],
)
def test_time_axes(index):
    y = pd.Series(np.arange(60.0), index=index)
    display = ForecastDisplay.from_estimator(Last().fit(y), fh=range(1, 9))
    display.figure_.canvas.draw()
    (axes,) = display.axes_
    assert len(lines(axes)["forecast"].get_xdata()) == 9
    boxes = [label.get_window_extent() for label in axes.get_xticklabels() if label.get_text()]
    low, high = axes.get_window_extent().x0, axes.get_window_extent().x1
    boxes = sorted((box.x0, box.x1) for box in boxes if low <= (box.x0 + box.x1) / 2 <= high)
    assert len(boxes) >= 3
    assert all(end < start for (_, end), (start, _) in zip(boxes[:-1], boxes[1:], strict=True))


def test_features_are_handed_on():
    y = make_series()
    X = pd.DataFrame({"x": np.arange(80.0)}, index=y.index)
    forecaster = WithFeatures().fit(y[:-6], X[:-6], fh=range(1, 7), static=pd.DataFrame({"size": [1.0]}))
    display = ForecastDisplay.from_estimator(forecaster, y, X=X)
    assert len(display.actual_) == 6
    before = ForecastDisplay.from_estimator(forecaster, y[:40], X=X, static=pd.DataFrame({"size": [1.0]}))
    assert before.forecast_.index[0] == y.index[40]


def test_a_search_shows_what_it_chose():
    search = GridSearchCV(Last(), {"has_quantiles": [True]}, cv=SlidingWindowSplitter(horizon=4, n_splits=2))
    assert len(ForecastDisplay.from_estimator(search.fit(make_series()), fh=[1, 2]).forecast_) == 2


def test_axes_of_the_user_are_drawn_into():
    figure, (left, right) = plt.subplots(1, 2)
    y = pd.DataFrame({"a": np.arange(20.0), "b": -np.arange(20.0)})
    forecaster = Last().fit(y)
    display = ForecastDisplay.from_estimator(forecaster, fh=[1, 2], ax=[left, right], title="left")
    assert display.figure_ is figure
    assert display.axes_.tolist() == [left, right]
    assert texts(left.get_legend())[:2] == ["history", "forecast"]
    assert right.get_legend() is None
    assert left.get_title() == "left"
    with pytest.raises(ValueError, match="ax must be one Axes for each of the 2 series and variables, got 1"):
        ForecastDisplay.from_estimator(forecaster, fh=[1, 2], ax=left)


def test_displays_are_drawn_again():
    y = make_series()
    display = ForecastDisplay(y[:-3], y[-3:], actual=y[-3:] + 1)
    assert not hasattr(display, "figure_")
    assert display.plot() is display
    first = display.figure_
    display.plot(n_history=5)
    assert display.figure_ is not first
    assert len(lines(display.axes_[0])["history"].get_xdata()) == 5
    assert list(lines(display.axes_[0])) == ["history", "what happened", "forecast"]


@pytest.mark.parametrize(
    ("params", "error", "match"),
    [
        ({"forecaster": LinearRegression()}, TypeError, "forecaster must be a forecaster of sktime_rnn, got Linear"),
        ({"forecaster": Last()}, NotFittedError, "not fitted"),
        ({"max_series": 0}, ValueError, "max_series must be a whole number from 1 on, got 0"),
        ({"n_history": 0}, ValueError, "n_history must be a whole number of steps from 1 on, or None, got 0"),
        ({"y": make_panel()}, ValueError, "time index of y must hold"),
        ({"y": pd.DataFrame({"a": make_series(), "b": 1.0})}, ValueError, "y must be a single series of 1 variable"),
        ({"fh": [0, 1]}, ValueError, "predict_interval looks ahead"),
    ],
)
def test_bad_arguments_are_refused(params, error, match):
    with pytest.raises(error, match=match):
        ForecastDisplay.from_estimator(**{"forecaster": Last().fit(make_series())} | params)


def test_without_matplotlib_the_error_says_what_to_install():
    code = (
        "import sys; sys.modules['matplotlib'] = None; from sktime_rnn.displays import ForecastDisplay\n"
        "try: ForecastDisplay.from_estimator(None)\nexcept ImportError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "Displays draw with matplotlib, which is not installed: pip install" in done.stdout


# -- attention


def translator(**params):
    X = ["one two", "two one three", "three", "two two"] * 6
    y = [text.replace("one", "un").replace("two", "deux") for text in X]
    model = Seq2SeqTransformer(**{"tokenizer": "word", "hidden_size": 8, "max_epochs": 2, "random_state": 0, **params})
    return model.set_params(min_length=1).fit(X, y)


@pytest.fixture(scope="module")
def fitted():
    return translator()


def ticks(axis):
    return [label.get_text() for label in axis.get_ticklabels()]


def test_attention_is_drawn_beside_its_tokens(fitted):
    display = AttentionDisplay.from_estimator(fitted, "two one unheard", "deux un nouveau")
    (weights,) = fitted.attention_weights(["two one unheard"], ["deux un nouveau"])
    np.testing.assert_array_equal(display.weights_, weights)
    np.testing.assert_array_equal(display.image_.get_array(), weights)
    assert display.image_.get_clim() == (0.0, 1.0)
    assert display.ax_.figure is display.figure_
    assert ticks(display.ax_.xaxis) == ["two", "one", "unheard"]
    assert ticks(display.ax_.yaxis) == ["deux", "un", "<unk>"]
    assert (display.ax_.get_xlabel(), display.ax_.get_ylabel()) == ("input", "output")
    assert "attention weight" in [axes.get_ylabel() for axes in display.figure_.axes]
    display.figure_.canvas.draw()


def test_attention_of_the_output_that_is_written(fitted):
    (written,), (weights,) = fitted.predict(["two one three"], return_attention=True)
    display = AttentionDisplay.from_estimator(fitted, "two one three")
    np.testing.assert_array_equal(display.weights_, weights)
    assert ticks(display.ax_.yaxis) == written.split()
    listed = AttentionDisplay.from_estimator(fitted, ["two", "one", "three"])
    np.testing.assert_array_equal(listed.weights_, weights)


@pytest.mark.parametrize("input", ["sequence", "grid"])
def test_attention_of_values_is_drawn_over_steps(input):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(24, 4, 2)) if input == "grid" else [rng.normal(size=(4 + i % 3, 2)) for i in range(24)]
    model = Seq2SeqTransformer(input=input, hidden_size=8, max_epochs=1, random_state=0)
    display = AttentionDisplay.from_estimator(model.fit(X, rng.normal(size=(24, 3, 1))), X[1])
    assert display.weights_.shape == (3, 8 if input == "grid" else 5)
    assert display.input_tokens is None
    assert display.output_tokens is None
    assert display.ax_.get_xlabel() == "step of the input"
    assert display.ax_.get_ylabel() == "step of the output"
    display.figure_.canvas.draw()
    assert all(float(place).is_integer() for place in display.ax_.get_xticks())
    texts = AttentionDisplay.from_estimator(model.set_params(min_length=2).fit(X, ["ab", "ba"] * 12), X[1], "ab")
    assert texts.input_tokens is None
    assert ticks(texts.ax_.yaxis) == ["a", "b"]


def test_attention_is_drawn_where_it_is_wanted(fitted):
    figure, (left, right) = plt.subplots(1, 2)
    display = AttentionDisplay.from_estimator(fitted, "one two", "un deux", ax=right, cmap="Greens", title="Where")
    assert display.ax_ is right
    assert display.figure_ is figure
    assert right.get_title() == "Where"
    assert display.image_.get_cmap().name == "Greens"
    assert display.plot(left) is display
    assert display.ax_ is left
    again = AttentionDisplay([[0.25, 0.75]], ["a", "b"], ["c"])
    assert not hasattr(again, "ax_")
    assert ticks(again.plot().ax_.xaxis) == ["a", "b"]


def test_attention_of_what_a_search_chose(fitted):
    X, y = ["one two", "two one"] * 6, ["un deux", "deux un"] * 6
    search = GridSearchCV(translator(max_epochs=1), {"hidden_size": [4]}, cv=2).fit(X, y)
    assert AttentionDisplay.from_estimator(search, "one two", "un deux").weights_.shape == (2, 2)


def test_attention_that_cannot_be_drawn_is_refused(fitted):
    with pytest.raises(
        TypeError, match=r"estimator must be a Seq2SeqTransformer, got LinearRegression\(\). Pass a fitted"
    ):
        AttentionDisplay.from_estimator(LinearRegression(), "one")
    with pytest.raises(NotFittedError):
        AttentionDisplay.from_estimator(Seq2SeqTransformer(), "one")
    with pytest.raises(
        ValueError, match="weights must have a row, but the output is empty. Pass y, the output to look at"
    ):
        AttentionDisplay(np.zeros((0, 3))).plot()
    with pytest.raises(ValueError, match="attention weights need a network with attention, got attention=None"):
        AttentionDisplay.from_estimator(translator(attention=None), "one")


def test_attention_without_matplotlib_says_what_to_install():
    code = (
        "import sys; sys.modules['matplotlib'] = None; from sktime_rnn.displays import AttentionDisplay\n"
        "try: AttentionDisplay.from_estimator(None, 'a')\nexcept ImportError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "Displays draw with matplotlib, which is not installed: pip install" in done.stdout
