"""The public interface of forecasters, held by two tiny ones whose forecasts are known."""

import pickle

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score

from sktime_rnn.base import BaseForecaster, mean_over_series, scaled_errors
from sktime_rnn.panel import read_series


class Drift(BaseForecaster):
    """The last value plus ``slope`` a step, with normal errors of variance ``spread ** 2`` a step."""

    _parameter_constraints: dict = {"slope": [float, int]}

    def __init__(self, slope=1.0, *, spread=1.0, season_length="auto", missing="error", gaps="error", freq=None):
        self.slope = slope
        self.spread = spread
        self.season_length = season_length
        self.missing = missing
        self.gaps = gaps
        self.freq = freq

    def _fit(self, known, n_steps):
        self.n_steps_ = n_steps
        self.updates_ = []

    def _update(self, known, n_new):
        self.updates_.append(n_new)

    def _point(self, known, n_steps):
        last = known.data.values[known.data.offsets[1:] - 1]
        return last[:, None] + self.slope * np.arange(1, n_steps + 1)[:, None]

    def _variance(self, known, n_steps):
        ahead = self.spread**2 * np.arange(1.0, n_steps + 1)
        return np.broadcast_to(ahead[:, None], (len(known.data), n_steps, known.data.n_variables))

    def _quantiles(self, known, n_steps, alpha):
        scale = np.sqrt(self._variance(known, n_steps))[..., None]
        return self._point(known, n_steps)[..., None] + scale * norm.ppf(alpha)

    def _paths(self, known, n_steps, n_samples, rng):
        shape = (n_samples, len(known.data), n_steps, known.data.n_variables)
        return self._point(known, n_steps) + self.spread * rng.standard_normal(shape).cumsum(axis=2)

    def _one_step(self, known):
        fitted = np.roll(known.data.values, 1, axis=0) + self.slope
        fitted[known.data.offsets[:-1]] = np.nan
        return fitted


class Recorder(Drift):
    """Keeps what it is handed; its forecast is the sum of the numeric features ahead."""

    _uses_X = True

    def __init__(self, past_columns=None, *, season_length="auto", missing="error"):
        super().__init__(season_length=season_length, missing=missing)
        self.past_columns = past_columns

    def _fit(self, known, n_steps):
        super()._fit(known, n_steps)
        self.fitted_on_ = known

    def _update(self, known, n_new):
        super()._update(known, n_new)
        self.updated_on_ = known

    def _point(self, known, n_steps):
        self.seen_ = known
        if known.future is None:
            return super()._point(known, n_steps)
        total = np.nansum(known.future.numbers, axis=1).reshape(len(known.data), n_steps, 1)
        return np.broadcast_to(total, (len(known.data), n_steps, known.data.n_variables))


def series(start="2020-01-01", periods=8, freq="D", name=None, first=0.0, **options):
    index = pd.date_range(start, periods=periods, freq=freq, **options)
    return pd.Series(first + np.arange(periods) ** 1.5, index=index, name=name)


def panel(lengths=(6, 4), starts=("2020-01-01", "2020-01-05"), columns=None):
    parts = {n: series(s, length) for n, length, s in zip("abcd", lengths, starts, strict=False)}
    joined = pd.concat(parts, names=["shop", "day"])
    return (
        joined.rename("sold") if columns is None else pd.DataFrame({c: joined * (i + 1) for i, c in enumerate(columns)})
    )


def features(y, periods=0):
    """Columns that tell the step since 2020-01-01 and the series, for the steps of y and ``periods`` after them."""
    groups = y.groupby(level=0) if isinstance(y.index, pd.MultiIndex) else [(None, y)]
    parts = {}
    for name, own in groups:
        stamps = own.index.get_level_values(-1)
        stamps = pd.date_range(stamps[0], periods=len(stamps) + periods, freq="D", name=y.index.names[-1])
        step = (stamps - pd.Timestamp("2020-01-01")).days.to_numpy(float)
        kind = ["even" if value % 2 == 0 else "odd" for value in step]
        parts[name] = pd.DataFrame({"step": step, "kind": kind}, index=stamps)
    if not isinstance(y.index, pd.MultiIndex):
        return parts[None]
    joined = pd.concat(parts, names=y.index.names)
    joined["size"] = joined.index.get_level_values(0).map({"a": 1.0, "b": 2.0, "c": 3.0})
    return joined


# -- fit and predict: what comes in goes out


@pytest.mark.parametrize("name", [None, "sold"])
@pytest.mark.parametrize(
    "index",
    [
        pd.date_range("2020-01-31", periods=8, freq="ME", name="month"),
        pd.date_range("2020-03-28 20:00", periods=8, freq="h", tz="Europe/Berlin"),
        pd.date_range("2020-03-22", periods=8, freq="D", tz="Europe/Berlin", unit="s"),
        pd.date_range("2020-01-03", periods=8, freq="W-FRI"),
        pd.period_range("2020-01", periods=8, freq="Q", name="quarter"),
        pd.RangeIndex(0, 80, 10),
        pd.Index(np.arange(1990, 1998), name="year"),
    ],
    ids=lambda index: str(index.dtype),
)
def test_a_series_goes_on(index, name):
    values = np.arange(8.0)
    y = pd.Series(values[:5], index[:5], name=name)
    forecast = Drift().fit(y).predict(fh=range(1, 4))
    expected = pd.Series(values[5:], index[5:], name=name)
    pd.testing.assert_series_equal(forecast, expected, check_index_type="equiv", check_freq=True)
    single = Drift().fit(y).predict(fh=3)
    assert list(single.index) == [index[7]]


def test_a_frame_goes_on():
    y = pd.DataFrame({"x": series(), "y": -series()})
    forecast = Drift().fit(y, fh=[1, 3]).predict()
    assert list(forecast.columns) == ["x", "y"]
    assert list(forecast.index) == [pd.Timestamp("2020-01-09"), pd.Timestamp("2020-01-11")]
    np.testing.assert_allclose(forecast, y.to_numpy()[-1] + np.array([[1.0], [3.0]]))


@pytest.mark.parametrize("y", [np.arange(5.0), list(range(5)), np.arange(10.0).reshape(5, 2), np.arange(5.0)[:, None]])
def test_an_array_goes_on(y):
    forecast = Drift().fit(y).predict(fh=[1, 2])
    assert isinstance(forecast, np.ndarray)
    np.testing.assert_array_equal(forecast, np.array([y[-1] + 1.0, y[-1] + 2.0]))


@pytest.mark.parametrize("columns", [None, ["x", "y"]])
def test_a_panel_goes_on(columns):
    y = panel(columns=columns)
    forecast = Drift().fit(y).predict(fh=[1, 2])
    stamps = pd.DatetimeIndex(["2020-01-07", "2020-01-08", "2020-01-09", "2020-01-10"])
    expected = pd.MultiIndex.from_arrays([list("aabb"), stamps], names=["shop", "day"])
    pd.testing.assert_index_equal(forecast.index, expected)
    last = y.groupby(level=0).last().to_numpy().repeat(2, axis=0)
    ahead = np.array([1.0, 2, 1, 2])
    np.testing.assert_allclose(forecast, last + (ahead if columns is None else ahead[:, None]))
    if columns is None:
        assert forecast.name == "sold"
    else:
        assert list(forecast.columns) == columns


def test_a_panel_of_several_levels_goes_on():
    y = pd.concat({("n", 1): series(), ("s", 1): series(periods=5)}, names=["region", "shop", "day"])
    forecast = Drift().fit(y).predict(fh=1)
    assert forecast.index.names == ["region", "shop", "day"]
    assert forecast.index.tolist() == [("n", 1, pd.Timestamp("2020-01-09")), ("s", 1, pd.Timestamp("2020-01-06"))]


def test_inputs_are_left_alone():
    y, X = panel(columns=["x", "y"]), features(panel())
    before = y.copy(deep=True), X.copy(deep=True)
    model = Recorder().fit(y, X)
    forecast = model.predict(fh=2, X=features(panel(), 2))
    model.update(y.iloc[-1:], X.iloc[-1:])
    pd.testing.assert_frame_equal(y, before[0])
    pd.testing.assert_frame_equal(X, before[1])
    y.iloc[:] = 0.0
    X["step"] = 0.0
    pd.testing.assert_frame_equal(model.predict(fh=2, X=features(panel(), 2)), forecast)
    values = np.arange(5.0)
    values.flags.writeable = False
    np.testing.assert_array_equal(Drift().fit(values).predict(fh=1), [5])


# -- the horizon


def test_the_horizon_of_fit_is_remembered():
    y = series()
    model = Drift().fit(y, fh=[2, 4])
    assert (model.n_steps_, model.horizon_) == (4, 4)
    assert list(model.predict().index) == [pd.Timestamp("2020-01-10"), pd.Timestamp("2020-01-12")]
    assert list(model.predict(fh=1).index) == [pd.Timestamp("2020-01-09")]
    assert len(model.predict()) == 2
    steps = [1, 2]
    model = Drift().fit(y, fh=steps)
    steps.append(3)
    assert len(model.predict()) == 2


def test_the_horizon_without_fh_is_a_season():
    assert len(Drift().fit(series(periods=30)).predict()) == 7
    assert len(Drift().fit(series(periods=8)).predict()) == 4
    assert len(Drift().fit(series(periods=1)).predict()) == 1
    assert len(Drift(season_length=3).fit(series(periods=30)).predict()) == 3
    assert len(Drift().fit(np.arange(9.0)).predict()) == 1


def test_the_horizon_of_an_earlier_fit_is_forgotten():
    model = Drift().fit(series(periods=30), fh=12)
    assert model.horizon_ == 12
    model.fit(series(periods=30))
    assert model.horizon_ == 7
    assert len(model.predict()) == 7


def test_relative_horizons_move_with_update_and_stamps_stay():
    y, new = series(), series("2020-01-09", 2)
    relative = Drift().fit(y, fh=[1, 2]).update(new)
    assert list(relative.predict().index) == [pd.Timestamp("2020-01-11"), pd.Timestamp("2020-01-12")]
    absolute = Drift().fit(y, fh=pd.DatetimeIndex(["2020-01-11", "2020-01-13"]))
    assert absolute.horizon_ == 5
    assert list(absolute.update(new).predict().index) == [pd.Timestamp("2020-01-11"), pd.Timestamp("2020-01-13")]


def test_stamps_for_series_that_end_at_different_times():
    y = panel((6, 4), ("2020-01-01", "2020-01-01"))
    forecast = Drift().fit(y).predict(fh=pd.DatetimeIndex(["2020-01-06", "2020-01-07"]))
    assert forecast.index.get_level_values(1).day.tolist() == [6, 7, 6, 7]
    last = y.groupby(level=0).last()
    within = y.loc["a"].iloc[-2] + 1
    np.testing.assert_allclose(forecast, [within, last["a"] + 1, last["b"] + 2, last["b"] + 3])


def test_steps_within_the_series_are_one_step_forecasts():
    y = series()
    forecast = Drift().fit(y).predict(fh=[-2, 0, 1])
    assert list(forecast.index) == [pd.Timestamp(f"2020-01-{day:02}") for day in (6, 8, 9)]
    np.testing.assert_allclose(forecast, y.iloc[[4, 6, 7]] + 1)
    assert Drift().fit(y, fh=[-1, 0]).horizon_ == 1
    match = r"steps that have something before them, but 2020-01-01 00:00:00 of the series has not. Ask for later"
    with pytest.raises(ValueError, match=match):
        Drift().fit(y).predict(fh=-7)
    with pytest.raises(ValueError, match=r"but 2020-01-05 00:00:00 of series 'b' has not"):
        Drift().fit(panel()).predict(fh=[-3, 1])
    for method in ("predict_quantiles", "predict_interval", "predict_var", "sample"):
        with pytest.raises(
            ValueError, match=rf"{method} looks ahead: fh must hold steps from 1 on, got 0. Use predict"
        ):
            getattr(Drift().fit(y), method)(fh=[0, 1])


def test_fitted_values_and_residuals():
    y = panel(columns=["x", "y"])
    model = Drift(slope=0.5).fit(y)
    expected = y.groupby(level=0).shift() + 0.5
    kept = expected.dropna()
    pd.testing.assert_frame_equal(model.fitted_values(), kept)
    pd.testing.assert_frame_equal(model.residuals(), y.loc[kept.index] - kept)
    one = series(name="sold")
    pd.testing.assert_series_equal(Drift(slope=0).fit(one).fitted_values(), one.shift().iloc[1:])
    np.testing.assert_array_equal(Drift(slope=0).fit(np.arange(3.0)).residuals(), [1, 1])


# -- the layouts of probabilistic forecasts are sktime's, version 1.2


LAYOUTS = [
    (series(), [0]),
    (series(name="a"), ["a"]),
    (pd.DataFrame({"a": series(), "b": series()}), ["a", "b"]),
    (np.arange(8.0), [0]),
    (np.arange(16.0).reshape(8, 2), [0, 1]),
    (panel(columns=["a"]), ["a"]),
    (panel(columns=["a", "b"]), ["a", "b"]),
]


@pytest.mark.parametrize(("y", "variables"), LAYOUTS)
def test_columns_of_probabilistic_forecasts(y, variables):
    model = Drift().fit(y, fh=[1, 3])
    point = model.predict()
    n_rows = len(point)
    frame = model.predict_quantiles()
    assert frame.columns.tolist() == [(v, a) for v in variables for a in (0.05, 0.95)]
    assert list(frame.columns.names) == [None, None]
    frame = model.predict_interval()
    assert frame.columns.tolist() == [(v, 0.9, side) for v in variables for side in ("lower", "upper")]
    assert list(frame.columns.names) == [None, None, None]
    frame = model.predict_interval(coverage=[0.5, 0.8])
    assert frame.columns.tolist() == [(v, c, s) for v in variables for c in (0.5, 0.8) for s in ("lower", "upper")]
    frame = model.predict_var()
    assert frame.columns.tolist() == variables
    for method in (model.predict_quantiles, model.predict_interval, model.predict_var):
        assert len(method()) == n_rows
        if not isinstance(point, np.ndarray):
            pd.testing.assert_index_equal(method().index, point.index)
        else:
            assert list(method().index) == [8, 10]


def test_probabilistic_forecasts_have_their_numbers():
    y = pd.DataFrame({"a": series(), "b": -series()})
    model = Drift(spread=2.0).fit(y, fh=[1, 4])
    point = model.predict().to_numpy()
    quantiles = model.predict_quantiles(alpha=[0.5, 0.9])
    for v, variable in enumerate("ab"):
        np.testing.assert_allclose(quantiles[variable, 0.5], point[:, v])
        np.testing.assert_allclose(quantiles[variable, 0.9], point[:, v] + np.array([2.0, 4.0]) * norm.ppf(0.9))
    assert model.predict_quantiles(alpha=0.3).columns.tolist() == [("a", 0.3), ("b", 0.3)]
    interval = model.predict_interval(coverage=0.8)
    np.testing.assert_allclose(interval["b", 0.8, "upper"], quantiles["b", 0.9])
    np.testing.assert_allclose(interval["b", 0.8, "lower"] + interval["b", 0.8, "upper"], 2 * point[:, 1])
    np.testing.assert_allclose(model.predict_var(), [[4.0, 4.0], [16.0, 16.0]])


@pytest.mark.parametrize("bad", [0.0, 1, -0.1, "0.5", [0.5, 1.5], [None], []])
def test_bad_probabilities_are_refused(bad):
    model = Drift().fit(series(), fh=1)
    for method, name in ((model.predict_quantiles, "alpha"), (model.predict_interval, "coverage")):
        with pytest.raises(ValueError, match=f"{name} must hold numbers between 0 and 1, got .*Correct it"):
            method(**{name: bad})
    with pytest.raises(ValueError, match=r"alpha must hold each number once, got \[0.5, 0.5\]. Drop the duplicates"):
        model.predict_quantiles(alpha=[0.5, 0.5])


@pytest.mark.parametrize(("y", "variables"), LAYOUTS)
def test_layout_of_samples(y, variables):
    model = Drift().fit(y, fh=[1, 3])
    paths = model.sample(n_samples=3, random_state=0)
    frames = [model.predict_var()] * 3
    expected = pd.concat(frames, keys=range(3), names=["sample"])
    pd.testing.assert_index_equal(paths.index, expected.index)
    assert paths.columns.tolist() == variables
    pd.testing.assert_frame_equal(paths, model.sample(n_samples=3, random_state=0))
    assert not np.array_equal(paths, model.sample(n_samples=3, random_state=1))


def test_samples_have_the_variance_of_the_forecast():
    model = Drift(spread=3.0).fit(panel(), fh=[1, 4])
    paths = model.sample(n_samples=4000, random_state=np.random.RandomState(0))
    by_step = paths["sold"].groupby(level=[1, 2])
    np.testing.assert_allclose(by_step.var(), [9, 36, 9, 36], rtol=0.1)
    np.testing.assert_allclose(by_step.mean(), model.predict(), atol=0.3)
    with pytest.raises(ValueError, match="n_samples must be a whole number from 1 on, got 0. Pass 100"):
        model.sample(n_samples=0)


# -- features


def test_features_lie_beside_their_steps(global_random_seed):
    y = panel()
    X = features(y)
    shuffled = X.iloc[np.random.default_rng(global_random_seed).permutation(len(X))]
    known = Recorder().fit(y, shuffled).fitted_on_
    np.testing.assert_array_equal(known.past.numbers, X[["step", "size"]])
    np.testing.assert_array_equal(known.past.codes[:, 0] == known.past.codes[0, 0], X["kind"] == "even")
    assert known.future is None


def test_features_are_refused_unless_they_have_the_index_of_y():
    y = panel()
    X = features(y)
    with pytest.raises(ValueError, match=r"X must have a row for every step of y, but 2020-01-08 .* of series 'b'"):
        Recorder().fit(y, X.iloc[:-1])
    with pytest.raises(ValueError, match=r"X must have the index of y, but its row \('a', Timestamp\('2020-01-07.*"):
        Recorder().fit(y, features(y, 1))
    with pytest.raises(ValueError, match="X must have one row for each step"):
        Recorder().fit(y, pd.concat([X, X.iloc[:1]]))
    with pytest.raises(ValueError, match="X must be a panel .* got a single series"):
        Recorder().fit(y, X.loc["a"])
    with pytest.raises(ValueError, match="X must be a single series as in fit, got a panel"):
        Recorder().fit(y.loc["a"], X)
    assert Recorder().fit(y, None).fitted_on_.past is None
    Drift().fit(y, "not looked at")


def test_features_of_the_steps_ahead():
    y = panel()
    model = Recorder().fit(y, features(y), fh=[1, 3])
    forecast = model.predict(X=features(y, 5))
    known = model.seen_
    np.testing.assert_array_equal(known.future.numbers[:, 0], [6, 7, 8, 8, 9, 10])
    np.testing.assert_array_equal(known.future.numbers[:, 1], [1, 1, 1, 2, 2, 2])
    np.testing.assert_array_equal(forecast, [7, 9, 10, 12])
    only_ahead = features(y, 3).drop(y.index)
    pd.testing.assert_series_equal(model.predict(X=only_ahead), forecast)
    pd.testing.assert_series_equal(model.predict(X=only_ahead.assign(more=1.0)), forecast)
    for method in (model.predict_quantiles, model.predict_interval, model.predict_var, model.sample):
        assert len(method(X=only_ahead)) % 4 == 0
    with pytest.raises(ValueError, match=r"the 3 steps after the end of y, but 2020-01-09 00:00:00 of series 'a'"):
        model.predict(X=features(y, 2))
    with pytest.raises(
        ValueError, match=r"X must hold \['step', 'kind'\] of the 3 steps ahead.*got None. Pass them, or"
    ):
        model.predict()
    with pytest.raises(ValueError, match=r"X must have the columns .* of fit, but 'step' is not there"):
        model.predict(X=only_ahead.drop(columns="step"))
    with pytest.raises(ValueError, match=r"'step' is missing at \('b', Timestamp\('2020-01-11"):
        model.predict(X=only_ahead.assign(step=only_ahead["step"].where(only_ahead["step"] < 10)))


def test_columns_that_never_change_in_a_series_go_on():
    y = panel()
    model = Recorder().fit(y, features(y), fh=[1, 2])
    expected = model.predict(X=features(y, 2))
    pd.testing.assert_series_equal(model.predict(X=features(y, 2).drop(columns="size")), expected)
    np.testing.assert_array_equal(model.seen_.future.numbers[:, 1], [1, 1, 2, 2])
    constant = Recorder().fit(y, features(y)[["size"]], fh=1)
    np.testing.assert_array_equal(constant.predict(), [1, 2])
    single = Recorder().fit(y.loc["a"], features(y).loc["a", ["size"]], fh=1)
    with pytest.raises(ValueError, match=r"X must hold \['size'\] of the 1 steps ahead"):
        single.predict()


def test_past_columns_are_not_looked_at_ahead():
    y = panel()
    X = features(y, 2)
    model = Recorder(past_columns=["step"]).fit(y, X.loc[y.index], fh=[1, 2])
    forecast = model.predict(X=X)
    pd.testing.assert_series_equal(model.predict(X=X.drop(columns="step")), forecast)
    assert np.isnan(model.seen_.future.numbers[:, 0]).all()
    pd.testing.assert_series_equal(model.predict(X=X.assign(step=np.nan)), forecast)
    pd.testing.assert_series_equal(model.predict(X=X.assign(step=1e9)), forecast)
    assert model.seen_.past.numbers[1, 0] == 1
    alone = Recorder(past_columns=["step"]).fit(y, X.loc[y.index, ["step"]], fh=1)
    assert len(alone.predict()) == 2
    with pytest.raises(ValueError, match=r"past_columns must name columns of X, \['step', .*got 'stop'. Correct it"):
        Recorder(past_columns=["stop"]).fit(y, X.loc[y.index])
    with pytest.raises(ValueError, match=r"past_columns=\['step'\] name columns of X, but X was not given. Pass X"):
        Recorder(past_columns=["step"]).fit(y)


def test_features_of_stamps_are_needed_up_to_them():
    y = panel((6, 4), ("2020-01-01", "2020-01-01"))
    model = Recorder().fit(y, features(y))
    X = features(y, 9)
    X = X[X.index.get_level_values(1) <= "2020-01-08"]
    forecast = model.predict(fh=pd.DatetimeIndex(["2020-01-08"]), X=X)
    np.testing.assert_array_equal(forecast, [8, 9])
    forecast = model.predict(fh=pd.DatetimeIndex(["2020-01-06"]), X=X.loc[["b"]])
    np.testing.assert_allclose(forecast, [4**1.5 + 1, 7])


def test_arrays_of_features():
    y = np.arange(5.0)
    model = Recorder().fit(y, y[:, None] * 2, fh=[1, 2])
    np.testing.assert_array_equal(model.predict(X=np.array([10.0, 12.0, 99.0])), [10, 12])
    with pytest.raises(ValueError, match="the 2 steps after the end of y, but 6 of the series is not there"):
        model.predict(X=np.array([10.0]))
    with pytest.raises(ValueError, match="every step of y, but 4 of the series is not there"):
        Recorder().fit(y, y[:-1])
    with pytest.raises(TypeError, match=r"1-D or 2-D array, got ndarray of shape \(2, 1, 1\)"):
        model.predict(X=np.ones((2, 1, 1)))
    with pytest.raises(ValueError, match=r"X must have 1 column\(s\) as in fit, got an array of shape \(2, 2\)"):
        model.predict(X=np.ones((2, 2)))
    with pytest.raises(ValueError, match="begin with the first step after the end of y, got 7 rows, .* 5 steps and 2"):
        model.predict(X=np.ones(7))
    np.testing.assert_array_equal(model.predict(y=np.arange(3.0), X=np.arange(5.0)), [3, 4])
    np.testing.assert_array_equal(model.seen_.past.numbers[:, 0], [0, 1, 2])
    model.update(np.array([5.0]), np.array([10.0]))
    np.testing.assert_array_equal(model.updated_on_.past.numbers[:, 0], [0, 2, 4, 6, 8, 10])
    assert model.score(np.array([1.0, 2.0]), np.array([1.0, 2.0])) == 0
    dated = Recorder().fit(series(), np.arange(8.0), fh=1)
    np.testing.assert_array_equal(dated.predict(X=np.array([7.0])), [7])


def test_features_that_fit_was_not_given_are_refused():
    y = series()
    model = Recorder().fit(y, fh=1)
    match = "X must be None where fit was given none, got DataFrame. Fit with X as well"
    for call in (
        lambda: model.predict(X=features(y, 1)),
        lambda: model.predict_var(X=features(y, 1)),
        lambda: model.update(y, features(y)),
        lambda: model.score(y, features(y)),
    ):
        with pytest.raises(ValueError, match=match):
            call()
    model = Recorder().fit(y, features(y), fh=1)
    with pytest.raises(ValueError, match="X must be given as in fit, got None. Pass the features of the new steps"):
        model.update(series("2020-01-09", 1))
    with pytest.raises(ValueError, match="X must be given to score as in fit, got None"):
        model.score(series("2020-01-09", 1))
    with pytest.raises(ValueError, match="X must be given as in fit, got None. Pass the features of y's steps"):
        model.predict(y=y)


def test_features_masked():
    y = series()
    X = features(y, 1)
    X.iloc[[3, 8], 0] = np.nan
    with pytest.raises(ValueError, match="column 'step' is missing at Timestamp.'2020-01-04.*or set missing='mask'"):
        Recorder().fit(y, X.iloc[:8])
    model = Recorder(missing="mask").fit(y, X.iloc[:8], fh=1)
    assert np.isnan(model.fitted_on_.past.numbers[3, 0])
    model.predict(X=X)
    assert np.isnan(model.seen_.future.numbers[0, 0])


def test_static_features():
    y = panel()
    static = pd.DataFrame({"size": [2.0, 1.0, 3.0], "town": ["q", "p", "r"]}, index=["b", "a", "c"])
    model = Recorder().fit(y, static=static, fh=1)
    np.testing.assert_array_equal(model.fitted_on_.static.numbers[:, 0], [1, 2])
    np.testing.assert_array_equal(model.fitted_on_.static.codes[:, 0], [2, 1])
    other = panel((4,)).rename({"a": "c"}, level=0)
    model.predict(y=other, static=static)
    np.testing.assert_array_equal(model.seen_.static.numbers, [[3]])
    with pytest.raises(ValueError, match="static must have a row for every series, but series 'b' is not in its index"):
        Recorder().fit(y, static=static.loc[["a"]])
    with pytest.raises(ValueError, match="static belongs to fit, or to predict beside y. Leave it out, or pass y"):
        model.predict(static=static)
    with pytest.raises(ValueError, match="static must be given beside y, as in fit, got None. Pass one row a series"):
        model.predict(y=other)
    with pytest.raises(ValueError, match="static must be left out where fit was not given it"):
        Recorder().fit(y, fh=1).predict(y=other, static=static)
    with pytest.raises(ValueError, match="y must hold series of fit, whose static features are known, got series 'c'"):
        model.update(other)


# -- another history


def test_forecast_of_other_series():
    y = panel()
    model = Recorder().fit(y, features(y), fh=[1, 2])
    other = panel((3, 5, 2), ("2019-12-01", "2020-03-01", "2020-01-01"))
    forecast = model.predict(y=other, X=features(other, 2))
    assert forecast.index.get_level_values(0).tolist() == list("aabbcc")
    np.testing.assert_array_equal(model.seen_.past.numbers[:, 0], features(other)["step"])
    np.testing.assert_array_equal(model.seen_.future.numbers[:, 0], [-28, -27, 65, 66, 2, 3])
    np.testing.assert_array_equal(model.predict(X=features(y, 2)), [7, 8, 10, 11])  # its own series are still there
    with pytest.raises(ValueError, match=r"the 2 steps after the end of y, but 2019-12-05 00:00:00 of series 'a'"):
        model.predict(y=other, X=features(other, 1))
    one = series("2021-01-01", 4, name="else")
    forecast = Drift().fit(y).predict(fh=1, y=one)
    expected = pd.Series([3**1.5 + 1], pd.date_range("2021-01-05", periods=1), name="else")
    pd.testing.assert_series_equal(forecast, expected)


def test_forecast_of_series_that_are_not_alike_is_refused():
    frame = pd.DataFrame({"a": series(), "b": series()})
    model = Drift().fit(frame, fh=1)
    with pytest.raises(ValueError, match=r"y must hold the variables \['a', 'b'\] as in fit, got \[0\]. Pass the same"):
        model.predict(y=series())
    with pytest.raises(ValueError, match=r"got \['a'\]"):
        model.predict(y=frame[["a"]])
    with pytest.raises(ValueError, match=r"time index of y must hold dates of frequency 'D' .*got int64"):
        model.predict(y=frame.to_numpy())
    with pytest.raises(ValueError, match=r"a value is missing at 2020-01-01 .*variable 'b'"):
        model.predict(y=frame.assign(b=np.nan))


# -- update


def test_update_appends_and_replaces():
    y = series()
    model = Drift().fit(y, fh=1)
    assert model.update(pd.Series([50.0, 60.0], pd.date_range("2020-01-08", periods=2))) is model
    np.testing.assert_array_equal(model.updates_, [[1]])
    np.testing.assert_allclose(model._known.data.values[:, 0], [*y[:-1], 50, 60])
    pd.testing.assert_series_equal(model.predict(), pd.Series([61.0], pd.date_range("2020-01-10", periods=1)))
    model.update(pd.Series([7.0], pd.DatetimeIndex(["2020-01-02"])), update_params=False)
    assert len(model.updates_) == 1
    assert model._known.data.values[1, 0] == 7
    assert list(model.cutoff) == [pd.Timestamp("2020-01-09")]


def test_update_of_a_panel():
    y = panel()
    model = Recorder().fit(y, features(y), fh=1)
    new = pd.concat({"b": series("2020-01-09", 2), "c": series("2020-02-01", 3)}, names=["shop", "day"])
    model.update(new, features(new))
    np.testing.assert_array_equal(model.updates_, [[0, 2, 3]])
    steps = [0, 1, 2, 3, 4, 5, 4, 5, 6, 7, 8, 9, 31, 32, 33]
    np.testing.assert_array_equal(model.updated_on_.past.numbers[:, 0], steps)
    assert list(model.cutoff.index) == ["a", "b", "c"]
    assert model.cutoff.dt.day.tolist() == [6, 10, 3]
    assert model.cutoff.index.name == "shop"


@pytest.mark.parametrize("y", [np.arange(4.0), [0, 1, 2, 3], np.arange(8.0).reshape(4, 2)])
def test_update_of_arrays(y):
    model = Drift().fit(y, fh=1).update(y[:2])
    np.testing.assert_array_equal(model._known.data.values, np.concatenate([y, y[:2]]).reshape(6, -1))
    assert list(model.cutoff) == [5]


@pytest.mark.parametrize(
    ("y", "error", "match"),
    [
        (series("2020-01-10", 1), ValueError, r"go on where the series ended, at 2020-01-09 .*or replace.*2020-01-10"),
        (
            series("2019-12-31", 12),
            ValueError,
            r"steps from 2020-01-01 .* got a start at 2019-12-31 .*earlier steps out",
        ),
        (series("2020-01-09", 2, "12h"), ValueError, "must lie on one axis of dates of frequency 'D'"),
        (series("2020-01-09", 1, tz="UTC"), ValueError, "without time zone as in fit, got datetime64.*UTC"),
        (series("2020-01-09", 1, name="other"), ValueError, r"variables \['sold'\] as in fit, got \['other'\]"),
        (panel().rename("sold"), ValueError, "y must be a single series as in fit, got a panel"),
        (np.ones(2), TypeError, "y must be a Series or a DataFrame as in fit.* got an array"),
        (series("2020-01-09", 2) * np.nan, ValueError, "a value is missing at 2020-01-09"),
        (None, ValueError, "got None"),
    ],
)
def test_update_refuses_what_does_not_follow(y, error, match):
    model = Drift().fit(series(name="sold"))
    with pytest.raises(error, match=match):
        model.update(y)
    assert list(model.cutoff) == [pd.Timestamp("2020-01-08")]
    assert list(model.update(series("2020-01-09", 1)).cutoff) == [pd.Timestamp("2020-01-09")]  # without a name


def test_update_by_steps_that_nobody_observed():
    model = Drift(missing="mask").fit(series()).update(series("2020-01-09", 1) * np.nan)
    assert np.isnan(model._known.data.values[-1, 0])
    assert list(model.cutoff) == [pd.Timestamp("2020-01-09")]


@pytest.mark.parametrize(
    "index", [pd.period_range("2020-01", periods=3, freq="M", name="m"), pd.RangeIndex(0, 6, 2), pd.Index([5, 6, 7])]
)
def test_cutoff_is_an_index(index):
    cutoff = Drift().fit(pd.Series([1.0, 2.0, 4.0], index)).cutoff
    assert isinstance(cutoff, pd.Index)
    pd.testing.assert_index_equal(cutoff, index[-1:], exact="equiv")


# -- score


def mase(y, actual, forecast, season=1):
    return np.abs(actual - forecast).mean() / np.abs(y[season:] - y[:-season]).mean()


@pytest.mark.parametrize(("periods", "season"), [(5, 1), (20, 7)])
def test_score_is_minus_the_mase(periods, season):
    y = series(periods=periods + 3)
    model = Drift().fit(y[:-3])
    expected = mase(y.to_numpy()[:-3], y.to_numpy()[-3:], model.predict(fh=[1, 2, 3]).to_numpy(), season)
    assert model.score(y[-3:]) == pytest.approx(-expected)
    assert Drift(season_length=2).fit(y[:-3]).score(y[-3:]) == pytest.approx(
        -mase(y.to_numpy()[:-3], y.to_numpy()[-3:], model.predict(fh=[1, 2, 3]).to_numpy(), 2)
    )
    subset = mase(y.to_numpy()[:-3], y.to_numpy()[[-3, -1]], model.predict(fh=[1, 3]).to_numpy(), season)
    assert model.score(y[-3:], fh=[1, 3]) == pytest.approx(-subset)
    array = Drift(season_length=season).fit(y.to_numpy()[:-3])
    assert array.score(y.to_numpy()[-3:]) == pytest.approx(-expected)
    assert array.score(list(y)[-3:]) == pytest.approx(-expected)


def test_score_of_a_panel_is_the_mean_over_its_series():
    whole = panel((8, 7), columns=["x", "y"])
    y, test = whole.groupby(level=0).head(4), whole.drop(whole.groupby(level=0).head(4).index)
    model = Drift().fit(y)
    forecast = model.predict(fh=range(1, 5))
    each = {
        name: [
            mase(y.loc[name, v].to_numpy(), test.loc[name, v].to_numpy(), forecast.loc[name, v].to_numpy()[: 8 - i - 4])
            for v in "xy"
        ]
        for i, name in enumerate("ab")
    }
    assert model.score(test) == pytest.approx(-np.mean([each["a"], each["b"]]))
    assert model.score(test.loc[["b"]]) == pytest.approx(-np.mean(each["b"]))
    swapped = pd.concat([test.loc[["b"]], test.loc[["a"]]])
    assert model.score(swapped) == pytest.approx(model.score(test))


def test_score_hands_over_the_features_of_y():
    whole = panel((8, 7, 5), ("2020-01-01", "2020-01-05", "2020-01-03"))
    X = features(whole)
    y = whole.groupby(level=0).head(4)
    test = whole.drop(y.index)
    for past_columns in (None, ["step"], ["size"]):
        model = Recorder(past_columns).fit(y, X.loc[y.index])
        model.score(test.loc[["c", "a"]], X.loc[test.index].loc[["c", "a"]])
        scored = model.seen_
        model.predict(range(1, 5), features(y, 4))
        predicted = model.seen_
        np.testing.assert_array_equal(scored.future.numbers[4:], predicted.future.numbers[:4])
        np.testing.assert_array_equal(scored.future.codes[4:], predicted.future.codes[:4])
        np.testing.assert_array_equal(scored.future.numbers[0], predicted.future.numbers[8])
        np.testing.assert_array_equal(scored.past.numbers[4:], predicted.past.numbers[:4])
    with pytest.raises(ValueError, match=r"X must have a row for every step of y, but 2020-01-08 .*series 'a'"):
        model.score(test, X.loc[test.index].iloc[:3])
    with pytest.raises(ValueError, match=r"X must have the index of y, but its row"):
        model.score(test, X)


@pytest.mark.parametrize(
    ("y", "fh", "match"),
    [
        (
            series("2020-01-10", 2),
            None,
            r"right after the cutoff, 2020-01-09 .* for the series, got a start at 2020-01-10",
        ),
        (series("2020-01-08", 2), None, r"got a start at 2020-01-08 .*Use splitters of sktime_rnn.model_selection"),
        (
            series("2020-01-09", 2),
            [1, 3],
            "fh must hold steps of y, 1 to 2, got 1 to 3. Leave it out to score all of y",
        ),
        (series("2020-01-09", 2), 0, "fh must hold steps of y, 1 to 2, got 0 to 0"),
        (series("2020-01-09", 2) * np.nan, None, "that was observed at the steps scored, but there is none"),
        (panel(), None, "y must be a single series as in fit, got a panel"),
    ],
)
def test_score_refuses_what_does_not_follow(y, fh, match):
    with pytest.raises(ValueError, match=match):
        Drift().fit(series()).score(y, fh=fh)


def test_score_of_unknown_series_is_refused():
    with pytest.raises(
        ValueError, match="y must hold series of fit, got series 'c'. Leave it out, or call predict with y"
    ):
        Drift().fit(panel()).score(panel((1, 1, 1), ("2020-01-07", "2020-01-09", "2020-01-01")))


def test_score_leaves_out_what_cannot_be_scaled_or_was_not_observed():
    constant = pd.concat({"a": series() * 0, "b": series()}, names=["shop", "day"])
    after = pd.concat({n: series("2020-01-09", 2, first=30) for n in "ab"}, names=["shop", "day"])
    alone = Drift().fit(series()).score(series("2020-01-09", 2, first=30))
    assert Drift().fit(constant).score(after) == pytest.approx(alone)
    with pytest.raises(
        ValueError, match="y must have a series that changed in sample.*Score other steps, or by another"
    ):
        Drift().fit(series() * 0).score(series("2020-01-09", 2))
    both = pd.concat({"a": series(), "b": series() * 2}, names=["shop", "day"])
    after.loc["a"] = np.nan
    model = Drift().fit(both)
    assert model.score(after) == pytest.approx(model.score(after.loc[["b"]]))


def test_scaled_errors():
    data = read_series(pd.DataFrame({"a": [0.0, 1.0, 3.0], "b": [1.0, 1.0, 1.0]}))
    errors = np.array([[[3.0, 1.0], [np.nan, 1.0]]])
    np.testing.assert_array_equal(scaled_errors(errors, data, 1), [[2.0, np.nan]])
    np.testing.assert_array_equal(scaled_errors(errors * np.nan, data, 1), [[np.nan, np.nan]])
    assert mean_over_series(np.array([[2.0, np.nan]])) == 2


# -- scikit-learn


def expanding(n, n_test=2, n_splits=2):
    for end in range(n - n_test * n_splits, n, n_test):
        yield np.arange(end), np.arange(end, end + n_test)


def test_grid_search():
    y = series(periods=20, name="sold")
    X = features(y)
    search = GridSearchCV(Drift(), {"slope": [0.0, 6.0]}, cv=list(expanding(20)), error_score="raise")
    assert search.fit(y, X, fh=[1, 2]).best_params_ == {"slope": 6.0}
    assert len(search.best_estimator_.predict()) == 2

    def scorer(model, y, X):
        return -float(np.abs(model.predict(X=X).to_numpy() - y.to_numpy()).mean())

    scores = cross_val_score(Drift(6.0), y, X, cv=list(expanding(20)), scoring=scorer, params={"fh": [1, 2]})
    assert (np.abs(scores) < 2).all()
    scores = cross_val_score(Recorder(), y, X, cv=list(expanding(20)), error_score="raise")
    assert len(scores) == 2
    array = GridSearchCV(Drift(), {"slope": [0.0, 6.0]}, cv=list(expanding(20)), error_score="raise")
    assert array.fit(y.to_numpy()).best_params_ == {"slope": 6.0}


@pytest.mark.parametrize(
    "y", [series(periods=20), series(periods=20).to_numpy(), pd.DataFrame({"a": series(periods=20)})]
)
def test_names_of_metrics_are_refused(y):
    target = np.arange(20.0)  # what a user of other estimators calls y
    options = {"cv": list(expanding(20)), "scoring": "neg_mean_absolute_error", "error_score": "raise"}
    with pytest.raises(TypeError, match="fh must be a whole number.*(Does scoring= name a metric|got float64)"):
        cross_val_score(Drift(), y, target, **options)
    with pytest.raises(TypeError, match="fh must be a whole number"):
        GridSearchCV(Drift(), {"slope": [0.0]}, **options).fit(y, target)


def test_splits_that_do_not_follow_are_refused():
    y = series(periods=9)
    with pytest.raises(ValueError, match="must start right after the cutoff|must have a row for every step"):
        cross_val_score(Drift(), y, cv=3, error_score="raise")


def test_clone_and_pickle():
    y = panel()
    model = Recorder(past_columns=["step"]).fit(y, features(y), fh=[1, 2])
    again = clone(model)
    assert again.get_params() == model.get_params()
    assert not hasattr(again, "_known")
    copy = pickle.loads(pickle.dumps(model))
    X = features(y, 2)
    pd.testing.assert_series_equal(copy.predict(X=X), model.predict(X=X))
    pd.testing.assert_series_equal(copy.cutoff, model.cutoff)


def test_fit_predict():
    y = series()
    pd.testing.assert_series_equal(Drift().fit_predict(y, fh=[1, 2]), Drift().fit(y).predict(fh=[1, 2]))
    forecast = Recorder().fit_predict(y, features(y), [1, 2], features(y, 2))
    np.testing.assert_array_equal(forecast, [8, 9])


def test_what_is_not_fitted_says_so():
    y = series()
    for call in (
        lambda model: model.predict(),
        lambda model: model.predict_quantiles(),
        lambda model: model.predict_interval(),
        lambda model: model.predict_var(),
        lambda model: model.sample(),
        lambda model: model.update(y),
        lambda model: model.cutoff,
        lambda model: model.fitted_values(),
        lambda model: model.residuals(),
        lambda model: model.score(y),
    ):
        with pytest.raises(NotFittedError):
            call(Drift())


def test_parameters_are_checked():
    with pytest.raises(ValueError, match="'slope' parameter of Drift must be"):
        Drift(slope="steep").fit(series())


def test_options_of_reading():
    y = series().drop(pd.Timestamp("2020-01-03"))
    with pytest.raises(ValueError, match="must have a row for every step"):
        Drift(freq="D").fit(y)
    model = Drift(freq="D", gaps="fill").fit(y)
    assert np.isnan(model._known.data.values[2, 0])
    short = pd.Series([1.0, 2.0], pd.DatetimeIndex(["2020-01-31", "2020-02-29"]))
    assert list(Drift(freq="ME").fit(short).predict(fh=1).index) == [pd.Timestamp("2020-03-31")]
    masked = series()
    masked.iloc[2] = np.nan
    with pytest.raises(ValueError, match="set missing='mask'"):
        Drift().fit(masked)
    assert np.isnan(Drift(missing="mask").fit(masked)._known.data.values[2, 0])


def test_a_failed_update_or_forecast_changes_nothing():
    y = panel()
    model = Recorder().fit(y, features(y), fh=1)
    before = model.predict(X=features(y, 1))
    with pytest.raises(ValueError, match="is not in y"):
        model.update(panel((1,), ("2020-01-07",)), features(y))
    pd.testing.assert_series_equal(model.predict(X=features(y, 1)), before)


def test_many_series_are_forecast_without_loops():
    n_series = 2_000
    index = pd.MultiIndex.from_product([np.arange(n_series), pd.date_range("2020", periods=30, freq="h")])
    y = pd.Series(np.arange(30.0 * n_series), index)
    forecast = Drift().fit(y).predict(fh=range(1, 25))
    assert forecast.shape == (24 * n_series,)
    np.testing.assert_array_equal(forecast.loc[1999], 30.0 * n_series - 1 + np.arange(1, 25))
