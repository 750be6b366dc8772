"""Splitters, metrics and backtests; the forecasters here are small enough to be worked by hand."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import mean_absolute_error
from sklearn.model_selection import GridSearchCV, KFold, TimeSeriesSplit, cross_val_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from sktime_rnn import Seq2SeqTransformer, TimeDistributed
from sktime_rnn.base import BaseForecaster
from sktime_rnn.datasets import load_airpassengers
from sktime_rnn.model_selection import (
    ExpandingWindowSplitter,
    SlidingWindowSplitter,
    backtest,
    exact_match,
    interval_coverage,
    mase,
    naive2,
    neg_label_error_rate,
    owa,
    pinball,
    rmsse,
    smape,
)

SPLITTERS = [ExpandingWindowSplitter, SlidingWindowSplitter]


class Last(BaseForecaster):
    """The last value, plus what is added; quantile alpha lies alpha - 1/2 above it."""

    def __init__(self, added=0.0):
        self.added = added

    def _fit(self, known, n_steps):
        self.n_fits_ = getattr(self, "n_fits_", 0) + 1
        self.n_steps_ = n_steps

    def _update(self, known, n_new):
        self.n_new_ = n_new

    def _point(self, known, n_steps):
        ends = known.data.values[known.data.offsets[1:] - 1] + self.added
        return np.repeat(ends[:, None], n_steps, axis=1)

    def _quantiles(self, known, n_steps, alpha):
        return self._point(known, n_steps)[..., None] + np.asarray(alpha) - 0.5

    def _variance(self, known, n_steps):
        return np.ones_like(self._point(known, n_steps))

    def _paths(self, known, n_steps, n_samples, rng):
        return np.repeat(self._point(known, n_steps)[None], n_samples, axis=0)

    def _one_step(self, known):
        return np.full_like(known.data.values, np.nan)


class Oracle(Last):
    """Forecasts the first feature of the steps ahead."""

    _uses_X = True

    def _point(self, known, n_steps):
        return known.future.numbers.reshape(len(known.data), n_steps, -1)[:, :, :1]


class PointOnly(Last):
    """Has no quantiles."""

    def _quantiles(self, known, n_steps, alpha):
        raise NotImplementedError("none")


def make_series(n=30, start="2020-01", freq="M"):
    rng = np.random.default_rng(0)
    index = pd.period_range(start, periods=n, freq=freq, name="month")
    return pd.Series(10 + np.arange(n) + rng.normal(size=n), index=index, name="sold")


def make_panel(spans, seed=0):
    """One series for each (first, end) of days; integers are days too."""
    rng = np.random.default_rng(seed)
    days = pd.date_range("2021-03-01", periods=100, freq="D")
    index = [(name, days[t]) for name, (first, end) in spans.items() for t in range(first, end)]
    index = pd.MultiIndex.from_tuples(index, names=["shop", "day"])
    return pd.Series(20 + rng.normal(size=len(index)), index=index, name="sold")


def as_pairs(folds):
    return [(train.tolist(), test.tolist()) for train, test in folds]


# -- splitters


def test_expanding_windows():
    folds = ExpandingWindowSplitter(horizon=2, n_splits=3, step=1).split(np.zeros(8))
    assert as_pairs(folds) == [
        ([0, 1, 2, 3], [4, 5]),
        ([0, 1, 2, 3, 4], [5, 6]),
        ([0, 1, 2, 3, 4, 5], [6, 7]),
    ]


def test_sliding_windows():
    folds = SlidingWindowSplitter(horizon=2, window_length=3, n_splits=2).split(make_series(8))
    assert as_pairs(folds) == [([1, 2, 3], [4, 5]), ([3, 4, 5], [6, 7])]
    folds = SlidingWindowSplitter(horizon=2, n_splits=2).split(pd.DataFrame(np.zeros((8, 2))))
    assert as_pairs(folds) == [([0, 1, 2, 3], [4, 5]), ([2, 3, 4, 5], [6, 7])]


def test_adjoining_windows_are_those_of_scikit_learn():
    y = np.zeros(50)
    expected = as_pairs(TimeSeriesSplit(n_splits=4, test_size=7).split(y))
    assert as_pairs(ExpandingWindowSplitter(horizon=7, n_splits=4).split(y)) == expected


@pytest.mark.parametrize("splitter", SPLITTERS)
def test_splitters_follow_the_protocol(splitter):
    cv = splitter(horizon=3, n_splits=4)
    assert cv.get_n_splits() == 4
    assert len(list(cv.split(np.zeros(20), np.zeros(20), groups=None))) == 4
    assert repr(splitter(horizon=3)).startswith(f"{splitter.__name__}(horizon=3,")


def test_panel_is_cut_by_the_calendar():
    # a: the whole time; b: ends within the test window; c: begins too late; d: ended before the cut
    y = make_panel({"a": (0, 10), "b": (2, 8), "c": (6, 10), "d": (1, 5)})
    ((train, test),) = ExpandingWindowSplitter(horizon=3, n_splits=1).split(y)
    days = y.index.get_level_values("day").day - 1
    assert set(zip(y.index.get_level_values("shop")[train], days[train], strict=True)) == {
        *(("a", t) for t in range(7)),
        *(("b", t) for t in range(2, 7)),
        *(("d", t) for t in range(1, 5)),
    }
    assert list(zip(y.index.get_level_values("shop")[test], days[test], strict=True)) == [
        ("a", 7),
        ("a", 8),
        ("a", 9),
        ("b", 7),
    ]


def test_sliding_window_of_a_panel_is_cut_by_the_calendar():
    y = make_panel({"a": (0, 10), "b": (5, 10)})
    folds = list(SlidingWindowSplitter(horizon=2, window_length=3, n_splits=2).split(y))
    assert as_pairs(folds) == [([3, 4, 5], [6, 7]), ([5, 6, 7, 10, 11, 12], [8, 9, 13, 14])]


@pytest.mark.parametrize("splitter", SPLITTERS)
def test_folds_of_a_panel_do_not_depend_on_the_order_of_its_rows(splitter):
    y = make_panel({"b": (0, 20), "a": (3, 18), "c": (9, 20)})
    rows = np.random.default_rng(0).permutation(len(y))
    cv = splitter(horizon=3, n_splits=3)
    for (train, test), (moved_train, moved_test) in zip(cv.split(y), cv.split(y.iloc[rows]), strict=True):
        np.testing.assert_array_equal(np.sort(rows[moved_train]), train)
        np.testing.assert_array_equal(np.sort(rows[moved_test]), test)
        assert (np.diff(moved_train) > 0).all()


def test_series_of_a_panel_may_be_named_by_several_levels():
    y = make_panel({"a": (0, 10), "b": (5, 10)})
    two = y.copy()
    two.index = pd.MultiIndex.from_tuples([(shop, 0, day) for shop, day in y.index], names=["shop", "till", "day"])
    cv = ExpandingWindowSplitter(horizon=2, n_splits=2)
    assert as_pairs(cv.split(y)) == as_pairs(cv.split(two))


def test_min_train_leaves_short_series_out():
    y = make_panel({"a": (0, 10), "b": (4, 10)})
    ((train, test),) = ExpandingWindowSplitter(horizon=2, n_splits=1, min_train=5).split(y)
    assert as_pairs([(train, test)]) == [(list(range(8)), [8, 9])]


@pytest.mark.parametrize(
    ("cv", "match"),
    [
        (ExpandingWindowSplitter(horizon=4, n_splits=2), "must have 10 steps or more for n_splits=2, .* got 9"),
        (ExpandingWindowSplitter(horizon=4, n_splits=1, min_train=6), "must have 10 steps or more .* 6 training steps"),
        (SlidingWindowSplitter(horizon=2, n_splits=2, window_length=6), "must have 10 steps or more"),
        (SlidingWindowSplitter(horizon=4, n_splits=2), "Lower one of them, or pass a longer series"),
    ],
)
def test_short_series_are_refused(cv, match):
    with pytest.raises(ValueError, match=match):
        list(cv.split(np.zeros(9)))
    assert len(list(cv.split(np.zeros(10)))) == cv.n_splits


def test_panels_without_a_series_to_test_are_refused():
    y = make_panel({"a": (0, 5), "b": (8, 12)})
    with pytest.raises(ValueError, match="2 training steps or more and a step right after them in every fold"):
        list(ExpandingWindowSplitter(horizon=3, n_splits=1).split(y))
    missing = y.copy()
    missing.index = pd.MultiIndex.from_arrays([["a"] * len(y), [pd.NaT, *y.index.get_level_values(1)[1:]]])
    with pytest.raises(ValueError, match="one is missing in row 0"):
        list(ExpandingWindowSplitter(horizon=3, n_splits=1).split(missing))
    with pytest.raises(TypeError, match="The series to split must be .* got int"):
        list(ExpandingWindowSplitter(horizon=3).split(3))


@pytest.mark.parametrize("splitter", SPLITTERS)
@pytest.mark.parametrize("params", [{"horizon": 0}, {"horizon": 2.0}, {"n_splits": True}, {"step": -1}])
def test_bad_counts_are_refused(splitter, params):
    with pytest.raises(ValueError, match=f"{next(iter(params))} must be a whole number from 1 on.* Pass 12, say"):
        splitter(**{"horizon": 3} | params)


@pytest.mark.parametrize("splitter", SPLITTERS)
def test_cross_validation_of_a_series(splitter):
    y = make_series()
    scores = cross_val_score(Last(), y, cv=splitter(horizon=4, n_splits=3), error_score="raise")
    for score, (train, test) in zip(scores, splitter(horizon=4, n_splits=3).split(y), strict=True):
        forecast = np.repeat(y.iloc[train[-1]], 4)
        season = 12 if len(train) > 12 else 1
        assert score == pytest.approx(-mase(y.iloc[test].to_numpy(), forecast, y.iloc[train], season_length=season))


def test_cross_validation_of_an_array_and_of_features():
    y = make_series()
    scores = cross_val_score(Last(), y.to_numpy(), cv=ExpandingWindowSplitter(horizon=4), error_score="raise")
    assert scores.shape == (5,)
    scores = cross_val_score(Oracle(), y, y.to_frame("x"), cv=ExpandingWindowSplitter(horizon=4), error_score="raise")
    np.testing.assert_allclose(scores, 0)


@pytest.mark.parametrize("splitter", SPLITTERS)
def test_cross_validation_of_a_panel(splitter):
    y = make_panel({"a": (0, 40), "b": (10, 38), "c": (0, 25), "d": (28, 40)})
    y = y.iloc[np.argsort(y.index.get_level_values("day"), kind="stable")]  # interleaved
    cv = splitter(horizon=4, n_splits=3)
    assert np.isfinite(cross_val_score(Last(), y, cv=cv, error_score="raise")).all()
    scores = cross_val_score(Oracle(), y, y.to_frame("x"), cv=cv, error_score="raise")
    np.testing.assert_allclose(scores, 0)


def test_grid_search_chooses_the_better_forecaster():
    y = make_series()  # rises by one a step
    search = GridSearchCV(Last(), {"added": [-1.0, 2.5]}, cv=SlidingWindowSplitter(horizon=4, n_splits=3)).fit(y)
    assert search.best_params_ == {"added": 2.5}
    assert search.best_estimator_.cutoff[0] == y.index[-1]


# -- metrics


def test_smape():
    assert smape([100.0, 50.0], [300.0, 50.0]) == 50.0  # 200 * 200 / 400, and 0
    assert smape([0.0, 1.0], [0.0, -1.0]) == 100.0  # nothing wrong where both are 0
    assert smape([1.0, np.nan], [3.0, 5.0]) == 100.0
    assert np.isnan(smape([1.0, 2.0], [1.0, np.nan]))


def test_mase_and_rmsse():
    past = [1.0, 3.0, 4.0, 8.0]  # differences 2, 1, 4; at lag 2: 3, 5
    assert mase([10.0, 10.0], [8.0, 4.0], past) == pytest.approx(4 / (7 / 3))
    assert mase([10.0, 10.0], [8.0, 4.0], past, season_length=2) == pytest.approx(4 / 4)
    assert rmsse([10.0, 10.0], [8.0, 4.0], past) == pytest.approx(np.sqrt(20 / (21 / 3)))
    assert rmsse([10.0, 10.0], [8.0, 4.0], past, season_length=2) == pytest.approx(np.sqrt(20 / (34 / 2)))
    assert np.isnan(mase([1.0], [2.0], [5.0, 5.0]))


def test_mase_of_several_variables_is_their_mean():
    y, forecast = np.array([[1.0, 10.0]]), np.array([[2.0, 30.0]])
    past = np.array([[0.0, 0.0], [1.0, 10.0]])
    assert mase(y, forecast, past) == pytest.approx((1 + 2) / 2)
    assert mase(y, forecast, past * [1, 0]) == 1.0  # a constant variable has no scale


def test_metrics_of_a_panel_are_one_number_a_series():
    y = make_panel({"b": (0, 8), "a": (2, 9)})
    past, future = y[y.index.get_level_values("day") < "2021-03-06"], y[y.index.get_level_values("day") >= "2021-03-06"]
    forecast = future.sample(frac=1, random_state=0) + 1.0  # matched by the index
    for metric in (smape, mase, rmsse):
        more = () if metric is smape else (past,)
        found = metric(future, forecast, *more)
        assert found.index.tolist() == ["b", "a"]
        assert found.dtype == np.float64
        for shop in "ba":
            one = [part.loc[shop] for part in more]
            assert found[shop] == pytest.approx(metric(future.loc[shop], forecast.loc[shop].sort_index(), *one))
    naive = pd.concat([past.loc[[shop]].iloc[-1:] for shop in "ba"]).droplevel("day")
    naive = pd.Series(naive.loc[future.index.get_level_values("shop")].to_numpy(), index=future.index)
    pairs = [(smape(future, f).mean(), mase(future, f, past).mean()) for f in (forecast, naive)]
    expected = (pairs[0][0] / pairs[1][0] + pairs[0][1] / pairs[1][1]) / 2
    assert owa(future, forecast, past) == pytest.approx(expected)


def test_naive2_by_hand():
    # 10 and 20 in turn: the centred mean of three steps (1/2, 1, 1/2) / 2 is 15, the indices are 2/3 and 4/3
    x = [10.0, 20.0] * 6
    np.testing.assert_allclose(naive2(x, 3, season_length=2), [10, 20, 10])
    # more at the end, which the last two ratios move a little
    x[-1] = 22.0
    ratios = [x[i] / ((x[i - 1] + 2 * x[i] + x[i + 1]) / 4) for i in range(1, 11)]
    odd, even = np.mean(ratios[0::2]), np.mean(ratios[1::2])
    np.testing.assert_allclose(naive2(x, 3, season_length=2), [22 / odd * even, 22, 22 / odd * even])


def test_naive2_of_an_odd_season():
    x = np.tile([3.0, 6.0, 9.0], 5)
    np.testing.assert_allclose(naive2(x[:-1], 4, season_length=3), [9, 3, 6, 9])


@pytest.mark.parametrize(
    "x",
    [
        [10.0, 20.0] * 2,  # less than three seasons
        [10.0, 20.0, 0.0, 20.0] * 6,  # 0 has no multiplicative season
        [1.0] * 12,  # never changes
        np.arange(1.0, 9.0),  # a trend has a large autocorrelation, whose band is wide
        [1.0, np.nan, 3.0, 7.0] * 4,
    ],
)
def test_naive2_without_a_season_is_the_last_value(x):
    np.testing.assert_array_equal(naive2(x, 2, season_length=2), [x[-1]] * 2)
    np.testing.assert_array_equal(naive2(x, 2), [x[-1]] * 2)


def test_naive2_of_airpassengers():
    """Worked by hand from the definitions of R's acf and decompose, with loops."""
    x, m = load_airpassengers().to_numpy(), 12
    n, mean = len(x), x.mean()
    acf = [sum((x[t] - mean) * (x[t - k] - mean) for t in range(k, n)) / sum((x - mean) ** 2) for k in range(m + 1)]
    assert abs(acf[m]) > 1.645 / np.sqrt(n) * np.sqrt(1 + 2 * sum(r**2 for r in acf[1:m]))
    ratios = [[] for _ in range(m)]
    for t in range(6, n - 6):
        trend = (x[t - 6] / 2 + x[t - 5 : t + 6].sum() + x[t + 6] / 2) / m
        ratios[t % m].append(x[t] / trend)
    figure = np.array([np.mean(r) for r in ratios])
    figure /= figure.mean()
    np.testing.assert_allclose(naive2(x, 14, season_length=m), x[-1] / figure[11] * np.tile(figure, 2)[:14])


def test_owa_of_naive2_is_one():
    y = load_airpassengers()
    past, future = y[:-12], y[-12:]
    assert owa(future, naive2(past, 12, 12), past, season_length=12) == pytest.approx(1)
    assert owa(future, np.repeat(past.iloc[-1], 12), past, season_length=12) > 1
    assert np.isnan(owa([3.0], [4.0], [1.0, 3.0]))  # Naive2 made no error


def test_pinball():
    assert pinball([10.0], [8.0], alpha=0.9) == pytest.approx(1.8)
    assert pinball([10.0], [13.0], alpha=0.9) == pytest.approx(0.3)
    assert pinball([10.0, 10.0], [[8.0, 13.0], [8.0, 13.0]], alpha=[0.9, 0.9]) == pytest.approx((1.8 + 0.3) / 2)
    y = make_panel({"a": (0, 6), "b": (0, 7)})
    forecaster = Last().fit(y.groupby("shop").head(4))
    future = y.groupby("shop").tail(2).drop(("b", pd.Timestamp("2021-03-07")))
    quantiles = forecaster.predict_quantiles(range(1, 4), alpha=[0.25, 0.5])
    found = pinball(future, quantiles)
    for shop in "ab":
        errors = future[shop].to_numpy()[:, None] - quantiles.loc[future.index].loc[shop].to_numpy()
        assert found[shop] == pytest.approx(np.where(errors > 0, errors, -errors * [3, 1]).dot([0.25, 0.5]).mean() / 2)


def test_interval_coverage():
    assert interval_coverage([1.0, 2.0, 3.0, np.nan], [0.0, 3.0, 3.0, 0.0], [1.0, 4.0, 9.0, 1.0]) == pytest.approx(
        2 / 3
    )
    assert np.isnan(interval_coverage([1.0], [np.nan], [2.0]))


def test_bad_arguments_of_metrics_are_refused():
    y = make_series(6)
    with pytest.raises(ValueError, match="y_pred must have a row for every row of y_true, but 2020-06 is not"):
        smape(y, y.iloc[:-1])
    with pytest.raises(ValueError, match="y_pred must have the 2 rows of y_true, got 3"):
        smape([1.0, 2.0], [1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="y_pred must have the 1 columns of y_true, got 2"):
        smape([1.0, 2.0], np.zeros((2, 2)))
    with pytest.raises(TypeError, match="y_true must hold numbers"):
        smape(["a"], [1.0])
    with pytest.raises(ValueError, match="season_length must be a whole number of steps from 1 on, got 0"):
        mase([1.0], [1.0], [1.0, 2.0], season_length=0)
    with pytest.raises(ValueError, match="y_train must hold the series of y_true before its start, a single series"):
        mase(y, y, make_panel({"a": (0, 3)}))
    with pytest.raises(ValueError, match="y_train must hold every series of y_true, but 'b' is not in it"):
        mase(*[make_panel({"a": (3, 5), "b": (3, 5)})] * 2, make_panel({"a": (0, 3)}))
    with pytest.raises(ValueError, match="alpha must be given unless quantiles is a frame"):
        pinball([1.0], [1.0])
    with pytest.raises(ValueError, match="a column for each of 2 probabilities and 1 variables, got 1"):
        pinball([1.0], [1.0], alpha=[0.1, 0.2])
    with pytest.raises(ValueError, match="y_train must be one series"):
        naive2(np.zeros((3, 2)), 2)


# -- backtest


def test_backtest_has_a_row_for_each_fold_and_forecaster():
    y, cv = make_series(), ExpandingWindowSplitter(horizon=4, n_splits=3)
    results = backtest({"last": Last(), "up": Last(added=2.0)}, y, cv=cv)
    assert results.columns.tolist() == [
        "forecaster",
        "fold",
        "cutoff",
        "smape",
        "mase",
        "rmsse",
        "owa",
        "pinball",
        "coverage_0.8",
        "coverage_0.95",
        "fit_seconds",
        "predict_seconds",
    ]
    assert results["forecaster"].tolist() == ["last", "up"] * 3
    assert results["fold"].tolist() == [0, 0, 1, 1, 2, 2]
    assert (results[["fit_seconds", "predict_seconds"]] > 0).all(axis=None)
    for row, (train, test) in zip(results[::2].itertuples(), cv.split(y), strict=True):
        past, future, forecast = y.iloc[train], y.iloc[test], np.repeat(y.iloc[train[-1]], 4)
        assert row.cutoff == past.index[-1]
        assert row.smape == pytest.approx(smape(future, forecast))
        assert row.mase == pytest.approx(mase(future, forecast, past, season_length=12))
        assert row.rmsse == pytest.approx(rmsse(future, forecast, past))
        assert row.owa == pytest.approx(owa(future, forecast, past, season_length=12))
        quantiles = forecast[:, None] + np.array([0.025, 0.1, 0.5, 0.9, 0.975]) - 0.5
        assert row.pinball == pytest.approx(pinball(future, quantiles, [0.025, 0.1, 0.5, 0.9, 0.975]))
        assert row[9] == pytest.approx(interval_coverage(future, forecast - 0.4, forecast + 0.4))


def test_backtest_of_one_forecaster_and_chosen_metrics():
    y = make_series()
    results = backtest(
        Last(), y.to_numpy(), cv=SlidingWindowSplitter(horizon=4, n_splits=2), metrics=["mase", mean_absolute_error]
    )
    assert results["forecaster"].tolist() == ["Last", "Last"]
    assert results["cutoff"].tolist() == [21, 25]
    forecast = np.repeat(y.iloc[25], 4)
    assert results["mean_absolute_error"].iloc[-1] == pytest.approx(np.abs(y.iloc[26:] - forecast).mean())
    assert "smape" not in results


def test_backtest_of_several_variables():
    y = pd.DataFrame({"a": make_series(), "b": -make_series()})
    found = backtest(
        Last(),
        y,
        cv=ExpandingWindowSplitter(horizon=4, n_splits=1),
        metrics=["mase", "coverage", mean_absolute_error],
        return_predictions=True,
    )
    results, predictions = found
    a = y["a"]
    expected = mase(a[-4:], np.repeat(a.iloc[-5], 4), a[:-4], season_length=12)
    assert results["mase"][0] == pytest.approx(expected)  # the same for b
    assert predictions.columns.tolist() == ["forecaster", "fold", "y_a", "y_pred_a", "y_b", "y_pred_b"]


def test_backtest_forecasts_the_steps_of_fh():
    y = make_series()
    cv = ExpandingWindowSplitter(horizon=4, n_splits=2)
    for series in (y, y.to_numpy()):
        results, predictions = backtest(Last(), series, cv=cv, fh=[2, 4], metrics="smape", return_predictions=True)
        rows = [23, 25, 27, 29]
        assert predictions.index.tolist() == (rows if series is not y else y.index[rows].tolist())
        np.testing.assert_array_equal(predictions["y"], y.iloc[rows])
        np.testing.assert_array_equal(predictions["y_pred"], y.iloc[[21, 21, 25, 25]])
        assert results["smape"][0] == pytest.approx(smape(y.iloc[[23, 25]].to_numpy(), y.iloc[[21, 21]].to_numpy()))
    with pytest.raises(ValueError, match="fh must hold steps of the test windows, 1 to 4, got 5"):
        backtest(Last(), y, cv=cv, fh=5)


def test_backtest_by_series_and_their_mean():
    y = make_panel({"b": (0, 40), "a": (5, 40), "c": (0, 20)})
    cv = ExpandingWindowSplitter(horizon=4, n_splits=2)
    means = backtest(Last(), y, cv=cv)
    each = backtest(Last(), y, cv=cv, by_series=True)
    assert each["series"].tolist() == ["b", "a", "b", "a"]
    assert (each["cutoff"] == pd.to_datetime(["2021-04-01"] * 2 + ["2021-04-05"] * 2)).all()
    names = ["smape", "mase", "rmsse", "pinball", "coverage_0.8"]
    np.testing.assert_allclose(each.groupby("fold")[names].mean(), means[names])
    past, future = y.loc["a"][:-4], y.loc["a"][-4:]
    forecast = np.repeat(past.iloc[-1], 4)
    assert each["owa"].iloc[-1] == pytest.approx(owa(future, forecast, past, season_length=7))
    assert not np.allclose(each.groupby("fold")["owa"].mean(), means["owa"])  # M4 takes ratios of means


def test_backtest_gives_features_of_the_past_to_fit_and_those_of_the_window_to_predict():
    y = make_series()
    cv = ExpandingWindowSplitter(horizon=4, n_splits=2)
    X = y.to_frame("x")
    for refit in (True, "update"):
        results = backtest(Oracle(), y, X.iloc[::-1], cv=cv, refit=refit)
        np.testing.assert_allclose(results["smape"], 0)
    np.testing.assert_allclose(backtest(Oracle(), y.to_numpy(), X.to_numpy(), cv=cv)["smape"], 0)
    with pytest.raises(ValueError, match="X must have a row for every row of y, but 2022-06 is not in its index"):
        backtest(Oracle(), y, X.iloc[:-1], cv=cv)


@pytest.mark.parametrize("refit", [True, "update"])
def test_backtest_of_a_panel_with_features_where_series_end_in_between(refit):
    y = make_panel({"b": (0, 40), "c": (0, 37), "a": (5, 40), "d": (0, 20)})
    cv = ExpandingWindowSplitter(horizon=4, n_splits=2)
    results, predictions = backtest(
        Oracle(), y, y.to_frame("x"), cv=cv, by_series=True, refit=refit, return_predictions=True
    )
    np.testing.assert_allclose(results["smape"], 0)
    assert results["series"].tolist() == ["b", "c", "a"] * 2
    assert predictions.groupby(["shop", "fold"]).size().unstack().to_numpy().tolist() == [[4, 4], [4, 4], [4, 1]]


class Counting(Last):
    """Remembers what fit and update were given."""

    calls = []

    def fit(self, y, X=None, fh=None, *, static=None):
        self.calls.append(("fit", len(y), list(fh)))
        return super().fit(y, X, fh, static=static)

    def update(self, y, X=None, update_params=True):
        self.calls.append(("update", len(y)))
        return super().update(y, X, update_params)


def test_update_moves_one_fit_through_the_folds():
    y, cv = make_series(), ExpandingWindowSplitter(horizon=4, n_splits=3)
    Counting.calls.clear()
    forecaster = Counting()
    results = backtest(forecaster, y, cv=cv, refit="update")
    assert Counting.calls == [("fit", 18, [1, 2, 3, 4]), ("update", 4), ("update", 4)]
    columns = results.columns.drop(["fit_seconds", "predict_seconds"])
    pd.testing.assert_frame_equal(results[columns], backtest(forecaster, y, cv=cv).assign()[columns])
    assert not hasattr(forecaster, "_known")
    panel = make_panel({"b": (0, 40), "a": (33, 40)})
    results = backtest(forecaster, panel, cv=cv, refit="update", by_series=True)
    assert results["series"].tolist() == ["b", "b", "b", "a"]


def test_forecasters_without_quantiles_have_no_interval_metrics():
    y = make_series()
    results = backtest(
        {"all": Last(), "point": PointOnly()}, y, cv=ExpandingWindowSplitter(horizon=4, n_splits=1), coverage=0.9
    )
    assert results[["pinball", "coverage_0.9"]].isna().all(axis=1).tolist() == [False, True]
    assert results["mase"].notna().all()


def test_missing_values_do_not_count():
    y = make_series()
    y.iloc[-2] = np.nan

    class Masked(Last):
        missing = "mask"

    results = backtest(Masked(), y, cv=ExpandingWindowSplitter(horizon=4, n_splits=1), metrics="smape")
    assert results["smape"][0] == pytest.approx(smape(y[-4:].drop(y.index[-2]), np.repeat(y.iloc[-5], 3)))


def test_failed_forecasts_are_not_left_out_of_the_mean():
    class Fails(Last):
        def _point(self, known, n_steps):
            forecast = super()._point(known, n_steps)
            forecast[0] = np.inf
            return forecast

    y = make_panel({"a": (0, 20), "b": (0, 20)})
    cv = ExpandingWindowSplitter(horizon=4, n_splits=1)
    points = ["smape", "mase", "rmsse", "owa"]
    assert backtest(Fails(), y, cv=cv)[points].isna().all(axis=None)
    each = backtest(Fails(), y, cv=cv, by_series=True)
    assert np.isfinite(each[points]).all(axis=1).tolist() == [False, True]


def test_search_is_a_forecaster():
    search = GridSearchCV(Last(), {"added": [-1.0, 2.5]}, cv=SlidingWindowSplitter(horizon=4, n_splits=3))
    y, cv = make_series(), ExpandingWindowSplitter(horizon=4, n_splits=1)
    results = backtest({"search": search, "up": Last(2.5)}, y, cv=cv, metrics=["mase", "pinball"])
    assert results["mase"][0] == results["mase"][1]


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_interrupted_backtest_keeps_what_is_done(error):
    class Stops(Last):
        def fit(self, y, X=None, fh=None, *, static=None):
            if len(y) > 20:
                raise error
            return super().fit(y, X, fh, static=static)

    with pytest.raises(error) as caught:
        backtest({"last": Last(), "stops": Stops()}, make_series(), cv=ExpandingWindowSplitter(horizon=4, n_splits=3))
    assert caught.value.results[["forecaster", "fold"]].to_numpy().tolist() == [["last", 0], ["stops", 0], ["last", 1]]
    assert "3 of 6 fits" in caught.value.__notes__[0]


def test_backtest_shows_its_progress(capsys):
    cv = ExpandingWindowSplitter(horizon=4, n_splits=3)
    backtest(Last(), make_series(), cv=cv)
    assert capsys.readouterr().err == ""
    backtest(Last(), make_series(), cv=cv, verbose=1)
    assert "3/3" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("params", "error", "match"),
    [
        ({"forecasters": Last}, TypeError, "forecasters must be a forecaster or a dict .* Pass {'naive'"),
        ({"forecasters": {}}, ValueError, "forecasters must hold one forecaster or more"),
        ({"metrics": ["smap"]}, ValueError, "metrics must name some of smape, mase, .* got 'smap'"),
        ({"metrics": []}, ValueError, "metrics must name some of"),
        ({"refit": False}, ValueError, "refit must be True or 'update', got False"),
        ({"coverage": [95]}, ValueError, "coverage must hold numbers between 0 and 1, got 95"),
        ({"cv": 3}, TypeError, "cv must be a splitter by time, got 3. Pass ExpandingWindowSplitter"),
        ({"cv": KFold(3)}, ValueError, "cv must give test rows that follow the training rows"),
        ({"fh": [0, 1]}, ValueError, "fh must hold whole numbers from 1 on, .* got 0"),
        ({"season_length": 1.5}, ValueError, "season_length must be 'auto' or a whole number .* got 1.5"),
        ({"y": np.zeros(30), "X": np.zeros(3)}, ValueError, "X must have a row for each of the 30 steps of y, got 3"),
    ],
)
def test_bad_arguments_of_backtest_are_refused(params, error, match):
    given = {"forecasters": Last(), "y": make_series(), "cv": ExpandingWindowSplitter(horizon=4)} | params
    with pytest.raises(error, match=match):
        backtest(**given)


# -- scorers of what is written

WRITTEN = {"exact_match": exact_match, "neg_label_error_rate": neg_label_error_rate}


def writer(**params):
    return Seq2SeqTransformer(**{"hidden_size": 8, "max_epochs": 2, "batch_size": 8, "random_state": 0, **params})


def make_pairs(n=24):
    """Labels of the last step, which a small model learns in part."""
    rng = np.random.default_rng(0)
    X = [rng.normal(size=(length, 2)) for length in rng.integers(2, 5, size=n)]
    return X, ["ab" if x[-1, 0] > 0 else "b" for x in X]


@pytest.mark.parametrize("metric", WRITTEN)
def test_scorers_of_what_is_written(metric):
    X, y = make_pairs()
    fitted = writer(max_epochs=15, lr=0.02).fit(X, y)
    score = WRITTEN[metric](fitted, X, y)
    assert isinstance(score, float)
    assert score == fitted.score(X, y, metric=metric)
    right = np.mean([out == true for out, true in zip(fitted.predict(X), y, strict=True)])
    assert 0 < right < 1
    if metric == "exact_match":
        assert score == pytest.approx(right)
    short = writer(max_length=1).fit(X, y)
    assert WRITTEN[metric](short, X, ["abab"] * 24) <= 0
    transcriber = writer(alignment="ctc").fit(X, y)
    assert WRITTEN[metric](transcriber, X, y) == transcriber.score(X, y, metric=metric)


@pytest.mark.parametrize("metric", WRITTEN)
def test_scorers_of_what_is_written_in_pipelines(metric):
    X, y = make_pairs()
    pipe = make_pipeline(TimeDistributed(StandardScaler()), writer(max_epochs=15, lr=0.02)).fit(X, y)
    assert WRITTEN[metric](pipe, X, y) == pipe[-1].score(pipe[:-1].transform(X), y, metric=metric)
    alone = Pipeline([("writer", writer())]).fit(X, y)
    assert WRITTEN[metric](alone, X, y) == writer().fit(X, y).score(X, y, metric=metric)


@pytest.mark.parametrize("metric", WRITTEN)
def test_scorers_of_what_is_written_in_searches(metric):
    X, y = make_pairs()
    pipe = make_pipeline(TimeDistributed(StandardScaler()), writer())
    grid = {"seq2seqtransformer__lr": [1e-6, 0.03], "seq2seqtransformer__max_epochs": [12]}
    search = GridSearchCV(pipe, grid, cv=KFold(2), scoring=WRITTEN[metric], error_score="raise").fit(X, y)
    assert search.best_params_["seq2seqtransformer__lr"] == 0.03
    best = search.best_estimator_
    assert search.score(X, y) == best[-1].score(best[:-1].transform(X), y, metric=metric)
    scores = cross_val_score(writer(), X, y, cv=KFold(3), scoring=WRITTEN[metric], error_score="raise")
    assert np.isfinite(scores).all()
    assert (scores <= 1).all()
    both = GridSearchCV(writer(), {"beam_width": [1, 3]}, cv=KFold(2), scoring=WRITTEN, refit=metric).fit(X, y)
    assert f"mean_test_{metric}" in both.cv_results_


@pytest.mark.parametrize("metric", WRITTEN)
def test_scorers_of_what_is_written_refuse_values(metric):
    X, _ = make_pairs()
    with pytest.raises(ValueError, match=rf"metric must be 'auto' or one of \['r2'\], got '{metric}'. Choose one"):
        WRITTEN[metric](writer().fit(X, np.ones(24)), X, np.ones(24))
