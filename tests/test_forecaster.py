"""RNNForecaster: forecasts that the user can rely on, held by small networks trained for a moment."""

import copy
import pickle
import signal
import threading

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from forecasts import MOVED, changed, counts, distance, everything, features, frame, panel, past, small, wave
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score
from skorch.callbacks import Callback, EarlyStopping

from sktime_rnn.datasets import load_airpassengers
from sktime_rnn.heads import DISTRIBUTIONS
from sktime_rnn.model_selection import ExpandingWindowSplitter, SlidingWindowSplitter
from sktime_rnn.windows import SCALERS

STRATEGIES = ["direct", "recursive", "seq2seq"]
EVERY_STRATEGY = pytest.mark.parametrize("strategy", STRATEGIES)
EVERY_DISTRIBUTION = pytest.mark.parametrize("distribution", [None, *sorted(DISTRIBUTIONS)], ids=str)


# -- a series known to everybody


@pytest.fixture(scope="module")
def airpassengers():
    y = load_airpassengers()
    return y.iloc[:-24], y.iloc[-24:]


@pytest.mark.parametrize(
    "params", [{}, {"strategy": "seq2seq"}, {"distribution": "normal"}, {"calibrate": True}], ids=str
)
def test_airpassengers(airpassengers, params):
    y, actual = airpassengers
    model = small(hidden_size=8, max_epochs=3, **params).fit(y, fh=range(1, 25))
    forecast = model.predict()
    pd.testing.assert_index_equal(forecast.index, actual.index)
    assert forecast.name == actual.name
    assert 100 * (forecast - actual).abs().div(actual).mean() < 10
    assert model.scaler_ == "log"
    assert model.season_length_ == 12
    interval = model.predict_interval(coverage=0.95)
    low, high = interval.iloc[:, 0], interval.iloc[:, 1]
    assert (low <= forecast).all()
    assert (forecast <= high).all()
    assert ((actual >= low) & (actual <= high)).mean() > 0.6


def test_airpassengers_is_better_than_its_last_season(airpassengers):
    y, actual = airpassengers
    forecast = small(hidden_size=8, max_epochs=3).fit(y, fh=range(1, 25)).predict()
    naive = np.tile(y.iloc[-12:], 2)
    assert np.abs(forecast - actual).mean() < np.abs(naive - actual).mean()


# -- every way to forecast


def check_probabilities(model, X=None, whole=False):
    """Intervals, variances and paths of a forecaster agree with each other."""
    alpha = [0.02, 0.1, 0.5, 0.9, 0.98]
    quantiles = model.predict_quantiles(X=X, alpha=alpha)
    assert np.isfinite(quantiles).to_numpy().all()
    by_variable = quantiles.to_numpy().reshape(len(quantiles), -1, len(alpha))
    assert (np.diff(by_variable, axis=-1) >= 0).all()
    variance = model.predict_var(X=X).to_numpy()
    assert (variance > 0).all()
    paths = model.sample(X=X, n_samples=2000)
    drawn = paths.to_numpy().reshape(2000, len(quantiles), -1)  # (n_samples, rows, V)
    spread = np.sqrt(variance)
    got = np.moveaxis(np.quantile(drawn, alpha, axis=0), 0, -1)
    assert (np.abs(got - by_variable) < (0.45 * spread + (1.01 if whole else 0))[..., None])[..., 1:-1].all()
    np.testing.assert_allclose(drawn.var(axis=0), variance, rtol=0.35)
    return drawn


@EVERY_STRATEGY
@EVERY_DISTRIBUTION
def test_strategies_and_distributions(strategy, distribution):
    whole = distribution == "negative_binomial"
    y = counts(50) if whole else wave(50)
    model = small(strategy=strategy, distribution=distribution, max_epochs=1).fit(y, fh=range(1, 4))
    forecast = model.predict()
    assert np.isfinite(forecast).all()
    assert list(forecast.index) == list(pd.date_range(y.index[-1], periods=4, freq="D")[1:])
    assert model.context_length_ > 1
    if strategy == "recursive":  # longer than it looks: quantiles are those of paths
        quantiles = model.predict_quantiles(alpha=[0.1, 0.5, 0.9]).to_numpy()
        assert np.isfinite(quantiles).all()
        assert (np.diff(quantiles) >= 0).all()
        assert (model.predict_var().to_numpy() > 0).all()
    else:
        check_probabilities(model, whole=whole)


@pytest.mark.parametrize("anchor", ["auto", "last", "seasonal", None], ids=str)
@pytest.mark.parametrize("scaler", ["auto", *SCALERS], ids=str)
def test_scalers_and_anchors(scaler, anchor):
    y = wave(50)
    model = small(scaler=scaler, anchor=anchor, max_epochs=1, context_length=14).fit(y, fh=range(1, 4))
    forecast = model.predict()
    assert np.isfinite(everything(model)).all()
    if anchor is not None or scaler not in ("mean", None):
        assert (forecast.sub(y.mean()).abs() < 15).all()
    assert model.scaler_ == ("log" if scaler == "auto" else scaler)


@pytest.mark.parametrize("linear_skip", [True, False])
@pytest.mark.parametrize("distribution", [None, "normal", "quantile"], ids=str)
def test_the_anchor_alone_repeats_the_last_season(linear_skip, distribution):
    y = pd.Series(np.tile([1.0, 5.0, 2.0, 8.0], 10), index=pd.RangeIndex(40))
    params = {"anchor": "seasonal", "season_length": 4, "lr": 1e-9, "scaler": "standard"}
    model = small(linear_skip=linear_skip, distribution=distribution, **params).fit(y, fh=range(1, 7))
    np.testing.assert_allclose(model.predict(), [1, 5, 2, 8, 1, 5], atol=1e-4)


@pytest.mark.parametrize("joint", [True, False])
@EVERY_STRATEGY
def test_several_variables(joint, strategy):
    y = frame(40)
    model = small(joint=joint, strategy=strategy).fit(y, fh=range(1, 4))
    forecast = model.predict()
    assert list(forecast.columns) == ["a", "b"]
    assert np.isfinite(forecast).to_numpy().all()
    assert (forecast["a"] < 40).all()
    assert (forecast["b"] > 40).all()
    if strategy != "recursive":
        check_probabilities(model)
    assert list(model.predict_var().columns) == ["a", "b"]


def test_joint_variables_hear_of_each_other():
    y = frame(40)
    other = y.copy()
    other.iloc[-1, 1] += 100
    for joint in (True, False):
        model = small(joint=joint).fit(y, fh=range(1, 4))
        moved = distance(model.predict(y=other)["a"], model.predict(y=y)["a"])
        assert (moved > MOVED) == joint


@EVERY_STRATEGY
def test_warm_up_reads_the_whole_series(strategy):
    y = wave(50)
    early = changed(y, -14, 3.0)
    for warm_up in (True, False):
        model = small(warm_up=warm_up, strategy=strategy, context_length=10, scaler="standard", patch_length=2)
        model.fit(y, fh=range(1, 4))
        assert (distance(model.predict(y=early), model.predict(y=y)) > 1e-9) == warm_up


@pytest.mark.parametrize("distribution", [None, "normal", "quantile"], ids=str)
@pytest.mark.parametrize("calibrate", [True, False])
def test_conformal_intervals(distribution, calibrate):
    y = pd.Series(np.random.default_rng(3).normal(size=400).cumsum())
    model = small(conformal=True, distribution=distribution, calibrate=calibrate, context_length=6)
    model.fit(y[:300], fh=[1, 2])
    check_probabilities(model)
    inside = []
    for end in range(300, 398, 2):
        interval = model.predict_interval(y=y[:end], coverage=0.8).to_numpy()
        came = y[end : end + 2].to_numpy()
        inside.append((came >= interval[:, 0]) & (came <= interval[:, 1]))
    assert 0.65 < np.mean(inside) < 0.93


def test_early_stopping():
    y = wave(80)
    model = small(early_stopping=True, max_epochs=30, n_iter_no_change=2, lr=0.05).fit(y, fh=range(1, 4))
    scores = model.validation_scores_
    assert len(scores) == model.n_iter_ < 30
    assert not hasattr(model.set_params(early_stopping=False).fit(y, fh=1), "validation_scores_")


@EVERY_DISTRIBUTION
def test_positive(distribution):
    y = counts(50, level=4.0) if distribution == "negative_binomial" else (wave(50) - 20).clip(lower=0)
    model = small(positive=True, distribution=distribution).fit(y, fh=range(1, 6))
    assert (everything(model) >= 0).all()
    assert (model.fitted_values() >= 0).all()


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_counts_stay_whole_numbers(strategy):
    y = counts(60, level=6.0)
    model = small(distribution="negative_binomial", strategy=strategy).fit(y, fh=range(1, 5))
    said = model.predict_quantiles(alpha=[0.1, 0.5, 0.9]) if strategy != "recursive" else model.sample(n_samples=50)
    for values in (said.to_numpy(), model.sample(n_samples=50).to_numpy()):
        assert (values == np.floor(values)).all()
        assert (values >= 0).all()
    assert (model.predict() >= 0).all()


def test_paths_hang_together():
    """A random walk: errors of consecutive steps go the same way."""
    y = pd.Series(np.random.default_rng(1).normal(size=300).cumsum())
    model = small(scaler="last", context_length=5).fit(y, fh=range(1, 7))
    paths = model.sample(n_samples=2000).to_numpy().reshape(2000, 6)
    correlation = np.corrcoef(paths, rowvar=False)
    assert correlation[4, 5] > 0.7
    assert correlation[0, 5] < correlation[4, 5]
    variance = model.predict_var().to_numpy()[:, 0]
    assert variance[5] > 2 * variance[0]


def test_paths_and_quantiles_agree_on_the_scale_of_the_series():
    """A flat stretch at the end: both take the floor from the whole series."""
    y = pd.Series(np.concatenate([np.random.default_rng(0).normal(size=80) * 10, np.full(20, 5.0)]))
    model = small(scaler="last", context_length=8).fit(y, fh=range(1, 4))
    drawn = check_probabilities(model)
    assert drawn.std() > 0.1


# -- what peers get wrong


@EVERY_STRATEGY
@pytest.mark.parametrize("n_variables", [1, 2])
def test_the_last_observation_moves_every_step_ahead(strategy, n_variables):
    y = wave(50) if n_variables == 1 else frame(50)
    model = small(strategy=strategy, joint=True).fit(y, fh=range(1, 6))
    before, after = model.predict(y=y), model.predict(y=changed(y, -1))
    assert (np.abs(after - before).to_numpy() > MOVED).all()


@EVERY_STRATEGY
def test_an_early_step_of_the_context_moves_the_forecast(strategy):
    y = wave(50)
    model = small(strategy=strategy, context_length=20).fit(y, fh=range(1, 4))
    before = model.predict(y=y)
    assert distance(model.predict(y=changed(y, -20)), before) > MOVED
    assert distance(model.predict(y=changed(y, -21)), before) < 1e-5 * before.abs().max()  # the scale's floor at most


def test_the_network_itself_reads_the_context():
    """Without the linear map beside it."""
    y = wave(50)
    model = small(linear_skip=False, anchor=None, context_length=20, max_epochs=5, lr=0.03, scaler="mean")
    model.fit(y, fh=range(1, 4))
    for where in (-20, -10, -1):
        assert (np.abs(model.predict(y=changed(y, where)) - model.predict(y=y)) > MOVED).all()


def test_missing_values_are_refused_with_their_place():
    y = wave(30)
    y.iloc[7] = np.nan
    with pytest.raises(ValueError, match="2020-01-13.*set missing='mask'"):
        small().fit(y)
    y = panel()
    y.iloc[42] = np.nan
    with pytest.raises(ValueError, match="2020-01-22.*'b'.*set missing='mask'"):
        small().fit(y)


@EVERY_STRATEGY
@EVERY_DISTRIBUTION
def test_missing_values_are_masked_when_asked(strategy, distribution):
    y = counts(50) if distribution == "negative_binomial" else wave(50)
    y.iloc[[0, 7, 8, 30, 49]] = np.nan
    model = small(missing="mask", strategy=strategy, distribution=distribution).fit(y, fh=range(1, 4))
    assert np.isfinite(everything(model)).all()
    assert np.isfinite(model.loss_curve_).all()
    fitted = model.fitted_values()
    assert np.isfinite(fitted).all()
    assert len(model.residuals()) == len(fitted)


@pytest.mark.parametrize("options", [{}, {"calibrate": True}, {"conformal": True}, {"early_stopping": True}], ids=str)
@pytest.mark.parametrize("where", ["most", "start", "end", "alternate", "all but two"])
def test_many_missing_values(options, where):
    y = wave(60)
    y.iloc[
        {
            "most": np.flatnonzero(np.random.default_rng(0).random(60) < 0.8),
            "start": slice(0, 50),
            "end": slice(40, 60),
            "alternate": slice(0, None, 2),
            "all but two": slice(2, None),
        }[where]
    ] = np.nan
    model = small(missing="mask", **options)
    refusals = {
        ("end", "conformal"): "conformal=True needs observed values among the newest steps",
        ("end", "early_stopping"): "early_stopping=True needs observed values among the newest steps",
        ("most", "early_stopping"): "early_stopping=True needs observed values among the newest steps",
        ("start", "conformal"): "y must hold observed steps to learn from, got none after the first",
    }
    refused = refusals.get((where, *options))
    if where == "all but two":
        refused = "y must hold observed steps to learn from, got none after the first 8 of any series"
    if refused is not None:
        with pytest.raises(ValueError, match=refused):
            model.fit(y, fh=range(1, 4))
    else:
        assert np.isfinite(everything(model.fit(y, fh=range(1, 4)))).all()


@EVERY_STRATEGY
@pytest.mark.parametrize("scaler", ["auto", "last", "standard", "mean"])
def test_a_context_without_a_value_forecasts_the_level_of_the_series(strategy, scaler):
    """The last steps were not observed, as when a sensor fails."""
    y = wave(60, level=2e4)
    y.iloc[[*range(20, 32), *range(50, 60)]] = np.nan
    model = small(missing="mask", strategy=strategy, scaler=scaler, context_length=8).fit(y, fh=range(1, 4))
    for forecast in (model.predict(), model.predict(y=y[:57])):
        np.testing.assert_allclose(forecast, 2e4, rtol=0.05 if scaler != "mean" else 1.1)
    assert np.isfinite(everything(model)).all()
    assert (model.sample(n_samples=50) < 1e5).to_numpy().all()


def test_an_update_by_missing_values_alone_keeps_the_weights_finite():
    y = wave(50)
    model = small(missing="mask").fit(y, fh=range(1, 4))
    model.update(pd.Series(np.nan, index=pd.date_range(y.index[-1], periods=4, freq="D")[1:]))
    assert np.isfinite(everything(model)).all()


def test_missing_features_and_series_with_next_to_nothing():
    y = panel()
    y.loc["b"] = np.nan
    with pytest.raises(ValueError, match="y must have an observed step in every series, but series 'b' has none"):
        small(missing="mask").fit(y)
    y.iloc[41] = 20.0
    X = features(y)
    X.iloc[5, X.columns.get_loc("price")] = np.nan
    X.iloc[-1, X.columns.get_loc("price")] = np.nan
    model = small(missing="mask").fit(y, past(X, y), fh=range(1, 4))
    assert np.isfinite(model.predict(X=X)).all()
    with pytest.raises(ValueError, match="price"):
        small().fit(panel(), past(X, y))


def test_a_gap_is_refused_or_filled():
    y = wave(40).drop(wave(40).index[[11, 12]])
    with pytest.raises(ValueError, match="must have a row for every step.*2020-01-17.*gaps='fill'"):
        small(freq="D").fit(y)
    model = small(gaps="fill", freq="D").fit(y, fh=range(1, 4))
    assert np.isfinite(everything(model)).all()
    masked = wave(40)
    masked.iloc[[11, 12]] = np.nan
    same = small(missing="mask").fit(masked, fh=range(1, 4))
    np.testing.assert_array_equal(model.predict(), same.predict())
    assert distance(model.predict(), small().fit(y.to_numpy(), fh=range(1, 4)).predict()) > MOVED


@EVERY_STRATEGY
def test_a_series_shorter_than_the_context(strategy):
    y = wave(12)
    model = small(strategy=strategy, context_length=30).fit(y, fh=range(1, 4))
    assert model.context_length_ == 30
    assert np.isfinite(everything(model)).all()
    assert distance(model.predict(y=changed(y, 0)), model.predict(y=y)) > MOVED


@EVERY_STRATEGY
@pytest.mark.parametrize("calibrate", [True, False])
def test_series_of_two_steps(strategy, calibrate):
    y = panel((40, 2, 1))
    model = small(strategy=strategy, calibrate=calibrate).fit(y, fh=range(1, 4))
    forecast = model.predict()
    assert np.isfinite(everything(model)).all()
    assert forecast.groupby(level=0).size().to_dict() == {"a": 3, "b": 3, "c": 3}
    alone = small(strategy=strategy, calibrate=calibrate, freq="D").fit(y.loc["b"], fh=1).predict()
    assert np.isfinite(alone).all()


@EVERY_STRATEGY
@pytest.mark.parametrize("offset", [0.0, 1e8])
@pytest.mark.parametrize("calibrate", [True, False])
def test_a_trend_goes_on(strategy, offset, calibrate):
    y = pd.Series(offset + np.arange(1.0, 61))
    model = small(strategy=strategy, calibrate=calibrate).fit(y, fh=range(1, 7))
    forecast = model.predict() - offset
    assert (np.diff(forecast, prepend=60) > 0.4).all()
    np.testing.assert_allclose(forecast, np.arange(61.0, 67), atol=1.5 if strategy == "recursive" else 0.5)


@EVERY_STRATEGY
@pytest.mark.parametrize("value", [0.0, 5.0, -3e8, 1e-12])
@pytest.mark.parametrize("distribution", [None, "normal"], ids=str)
def test_a_constant_series_stays_constant(strategy, value, distribution):
    y = pd.Series(np.full(40, value))
    model = small(strategy=strategy, distribution=distribution).fit(y, fh=range(1, 4))
    assert np.isfinite(everything(model)).all()
    np.testing.assert_allclose(model.predict(), value, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("strategy", ["direct", "seq2seq"])
def test_a_seasonal_series_beats_seasonal_naive(strategy):
    y = pd.concat({n: wave(120, seed=i) for i, n in enumerate("abc")}, names=["shop", "day"])
    last = y.groupby(level=0).tail(14)
    train = y.drop(last.index)
    model = small(strategy=strategy, max_epochs=3).fit(train, fh=range(1, 15))
    naive = np.concatenate([np.tile(own.iloc[-7:], 2) for _, own in train.groupby(level=0)])
    assert np.abs(model.predict() - last).mean() < 0.9 * np.abs(naive - last).mean()
    assert model.score(last) > -1


@pytest.mark.parametrize("unit", [1e-12, 1e12])
def test_a_unit_changes_nothing_but_the_unit(unit):
    y = wave(50)
    forecast = small().fit(y, fh=range(1, 4)).predict()
    np.testing.assert_allclose(small().fit(y * unit, fh=range(1, 4)).predict() / unit, forecast, rtol=1e-4)


# -- the same again


def fitted_on(kind, **params):
    """A fitted forecaster and the features of the steps ahead."""
    if kind == "series":
        return small(**params).fit(wave(50), fh=range(1, 4)), None
    y = panel()
    X = features(y)
    return small(**params).fit(y, past(X, y), fh=range(1, 4)), X


@pytest.mark.parametrize("kind", ["series", "panel"])
@pytest.mark.parametrize(
    "params",
    [
        {},
        {"strategy": "recursive"},
        {"strategy": "seq2seq", "distribution": "student_t"},
        {"distribution": "quantile", "conformal": True},
        {"calibrate": True, "early_stopping": True},
        {"dropout": 0.3, "input_noise": 0.1, "cell": "gru", "num_layers": 2, "initial_state": "learned"},
        {"cell": "rnn", "nonlinearity": "identity", "warm_up": True},
    ],
    ids=str,
)
def test_copies_forecast_the_same(kind, params, tmp_path):
    model, X = fitted_on(kind, **params)
    expected = everything(model, X)
    joblib.dump(model, tmp_path / "model")
    for again in (
        pickle.loads(pickle.dumps(model)),
        joblib.load(tmp_path / "model"),
        copy.deepcopy(model),
        fitted_on(kind, **clone(model).get_params())[0],
    ):
        np.testing.assert_array_equal(everything(again, X), expected)


@pytest.mark.parametrize("update_params", [True, False])
def test_nothing_is_lost_in_a_pickle(update_params):
    y = wave(60)
    model = small(dropout=0.2).fit(y[:50], fh=range(1, 4))
    again = pickle.loads(pickle.dumps(model))
    for part in (y[50:53], y[53:60]):
        model.update(part, update_params=update_params)
        again.update(part, update_params=update_params)
        again = pickle.loads(pickle.dumps(again))
        np.testing.assert_array_equal(everything(again), everything(model))


@EVERY_STRATEGY
def test_one_seed_decides_everything(strategy):
    params = {"strategy": strategy, "dropout": 0.2, "input_noise": 0.1, "calibrate": True}
    expected = everything(fitted_on("series", **params)[0])
    np.random.seed(5)  # noqa: NPY002, the global generators are what must not matter
    torch.manual_seed(5)
    states = np.random.get_state()[1].copy(), torch.get_rng_state()  # noqa: NPY002
    np.testing.assert_array_equal(everything(fitted_on("series", **params)[0]), expected)
    assert (np.random.get_state()[1] == states[0]).all()  # noqa: NPY002
    assert (torch.get_rng_state() == states[1]).all()
    assert distance(everything(fitted_on("series", **params, random_state=1)[0]), expected) > MOVED
    a, b = (everything(fitted_on("series", **params, random_state=np.random.RandomState(3))[0]) for _ in range(2))
    np.testing.assert_array_equal(a, b)


def test_forecasts_change_nothing_of_the_forecaster():
    model, X = fitted_on("panel")
    expected = everything(model, X)
    model.predict(fh=range(1, 20), X=features(panel(), 20))
    model.fitted_values()
    model.predict(y=panel((20,)), X=features(panel((20,))))
    np.testing.assert_array_equal(everything(model, X), expected)


def test_samples_have_a_seed_of_their_own():
    model, _ = fitted_on("series")
    a, b, c = (model.sample(n_samples=5, random_state=seed) for seed in (1, 1, 2))
    pd.testing.assert_frame_equal(a, b)
    assert distance(a, c) > MOVED
    pd.testing.assert_frame_equal(model.sample(n_samples=5), model.sample(n_samples=5))


def test_threads_fit_the_same():
    expected = everything(fitted_on("series")[0])
    results = [None] * 4

    def work(i):
        results[i] = everything(fitted_on("series")[0])

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for result in results:
        np.testing.assert_array_equal(result, expected)


# -- a forecast is about its own series


@EVERY_STRATEGY
@pytest.mark.parametrize("warm_up", [True, False])
def test_a_forecast_does_not_depend_on_its_neighbours(strategy, warm_up):
    y = panel((40, 23, 9, 2), ("2020-01-06", "2020-01-20", "2020-02-02", "2020-02-09"))
    X = features(y)
    model = small(strategy=strategy, warm_up=warm_up, series_embedding=True).fit(y, past(X, y), fh=range(1, 4))

    def ahead(names):
        own, known = y.loc[names], X.loc[names]
        return [
            model.predict(y=own, X=known),
            model.predict_interval(y=own, X=known) if strategy != "recursive" else pd.Series(dtype=float),
        ]

    together = ahead(list("abcd"))
    for names in (["a"], ["b"], ["c"], ["d"], ["b", "d"]):
        for got, wanted in zip(ahead(names), together, strict=True):
            if len(got):
                np.testing.assert_allclose(got, wanted.loc[names], rtol=1e-6)


@EVERY_STRATEGY
def test_permuting_the_series_permutes_the_forecasts(strategy):
    y = panel()
    model = small(strategy=strategy, series_embedding=True).fit(y, fh=range(1, 4))
    other = pd.concat([y.loc[[name]] for name in "cab"])
    forecast = model.predict(y=other)
    assert list(forecast.index.get_level_values(0).unique()) == list("cab")
    np.testing.assert_allclose(forecast.loc[list("abc")], model.predict(y=y).loc[list("abc")], rtol=1e-6)


def test_a_forecast_does_not_depend_on_the_batch_size(monkeypatch):
    y = pd.concat({i: wave(30, seed=i) for i in range(30)}, names=["shop", "day"])
    model = small().fit(y, fh=range(1, 4))
    expected, fitted = model.predict(), model.fitted_values()
    monkeypatch.setattr("sktime_rnn.nets._PREDICT_STEPS", 7 * (model.context_length_ + 3))
    np.testing.assert_allclose(model.predict(), expected, rtol=1e-6)
    np.testing.assert_allclose(model.fitted_values(), fitted, rtol=1e-6)


# -- no peeking


@pytest.mark.parametrize("options", [{"calibrate": True}, {"conformal": True}, {"early_stopping": True}], ids=str)
def test_the_future_of_y_changes_nothing(options):
    whole, other = wave(60), wave(60)
    other.iloc[50:] *= 1000
    X, X_other = features(whole, 0), features(whole, 0)
    X_other.iloc[53:, 0] = 1e6
    models = [small(**options).fit(y[:50], x[:50], fh=range(1, 4)) for y, x in ((whole, X), (other, X_other))]
    a, b = (everything(model, x) for model, x in zip(models, (X, X_other), strict=True))
    np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    "options", [{"early_stopping": True, "validation_fraction": 0.2}, {"conformal": True}], ids=str
)
def test_the_held_out_part_decides_no_choice(options):
    y, other = wave(60), wave(60)
    other.iloc[48:] = 1e4 * (1 + np.arange(12.0) % 5)
    X = features(y, 0).drop(columns="kind")
    X_other = X.copy()
    X_other.loc[X.index[48:], "price"] = 1e6
    fits = [small(**options).fit(a, b, fh=[1, 2]) for a, b in ((y, X), (other, X_other))]
    assert fits[0]._setup == fits[1]._setup
    first, second = (model._encoder.numbers_ for model in fits)
    np.testing.assert_array_equal(first.mean, second.mean)
    np.testing.assert_array_equal(first.scale, second.scale)
    if "early_stopping" in options:
        assert fits[0].loss_curve_[0] == fits[1].loss_curve_[0]
        assert fits[0].validation_scores_[0] != fits[1].validation_scores_[0]


@pytest.mark.parametrize("options", [{"early_stopping": True}, {"conformal": True}, {"calibrate": True}], ids=str)
def test_zeros_among_the_held_out_steps(options):
    """They have no logarithm, which the steps before them suggest."""
    y = wave(60)
    y.iloc[-2:] = [0.0, -1.0]
    model = small(**options).fit(y, fh=range(1, 4))
    assert model.scaler_ == "last"
    assert np.isfinite(everything(model)).all()


def test_the_horizon_of_a_window_does_not_reach_its_context():
    y = wave(50)
    model = small(context_length=10).fit(y, fh=range(1, 4))
    expected = model.predict(fh=range(-20, -10))
    later = y.copy()
    later.iloc[40:] *= 1.5
    got = model.predict(fh=range(-20, -10), y=later)
    np.testing.assert_allclose(got, expected, rtol=1e-5)


# -- features


@EVERY_STRATEGY
@pytest.mark.parametrize("column", ["price", "open", "kind"])
def test_planned_features_move_the_forecast(strategy, column):
    y = wave(50)
    X = features(y)[[column]]
    model = small(strategy=strategy, max_epochs=4, lr=0.02).fit(y, past(X, y), fh=range(1, 4))
    planned = ~X if column == "open" else X.shift() if column == "kind" else X + 2  # odd for even
    moved = np.abs(model.predict(X=planned) - model.predict(X=X))
    assert (moved > MOVED).all()
    with pytest.raises(ValueError, match=f"X must hold .'{column}'. of the 3 steps ahead"):
        model.predict()


def test_features_that_matter_are_learnt():
    rng = np.random.default_rng(0)
    index = pd.date_range("2020-01-01", periods=240, freq="D")
    sale = pd.DataFrame({"sale": rng.random(240) < 0.3}, index=index)
    y = 10 + 5.0 * sale["sale"] + 0.1 * rng.normal(size=240)
    model = small(max_epochs=30, lr=0.02, hidden_size=8).fit(y[:230], sale[:230], fh=range(1, 11))
    without = small(max_epochs=30, lr=0.02, hidden_size=8).fit(y[:230], fh=range(1, 11))
    errors = [np.abs(forecast - y[230:]).mean() for forecast in (model.predict(X=sale), without.predict())]
    assert errors[0] < 0.5 * errors[1]


@pytest.mark.parametrize("strategy", ["direct", "seq2seq"])
def test_past_columns_are_read_and_not_needed_ahead(strategy):
    y = wave(50)
    X = features(y, 0)
    model = small(strategy=strategy, past_columns=["price", "kind"], max_epochs=4, lr=0.02)
    model.fit(y, X, fh=range(1, 4))
    ahead = features(y)[["open"]].iloc[50:]
    forecast = model.predict(X=ahead)
    assert np.isfinite(forecast).all()
    whole = features(y)
    changed_past = whole.copy()
    changed_past.iloc[47:50, 0] += 3
    assert distance(model.predict(y=y, X=changed_past), model.predict(y=y, X=whole)) > MOVED
    later = whole.copy()
    later.iloc[50:, 0] += 100
    np.testing.assert_array_equal(model.predict(y=y, X=later), model.predict(y=y, X=whole))
    alone = small(strategy=strategy, past_columns=list(X.columns)).fit(y, X, fh=range(1, 4))
    assert np.isfinite(everything(alone)).all()
    np.testing.assert_array_equal(alone.predict(y=y, X=X), alone.predict())


def test_unknown_categories_are_one_of_their_own():
    y = wave(50)
    X = features(y)[["kind"]].astype(str)
    model = small(max_epochs=4, lr=0.02).fit(y, past(X, y), fh=range(1, 4))
    new, another = X.copy(), X.copy()
    new.iloc[51] = "never"
    another.iloc[51] = "seen"
    np.testing.assert_array_equal(model.predict(X=new), model.predict(X=another))
    assert np.isfinite(model.predict(X=new)).all()
    assert distance(model.predict(X=new), model.predict(X=X)) > MOVED


@EVERY_STRATEGY
def test_static_features_and_constant_columns(strategy):
    y = panel()
    X = features(y)
    static = pd.DataFrame({"area": [1.0, 5.0, 9.0], "town": ["x", "y", "x"]}, index=list("abc"))
    model = small(strategy=strategy, max_epochs=4, lr=0.02)
    model.fit(y, past(X, y)[["size"]], fh=range(1, 4), static=static)
    forecast = model.predict()  # constant in every series: not needed ahead
    assert np.isfinite(forecast).all()
    known = X[["size"]]
    for column, value in (("area", 50.0), ("town", "y")):
        other = static.copy()
        other.loc["a", column] = value
        assert distance(model.predict(y=y, X=known, static=other), model.predict(y=y, X=known, static=static)) > MOVED
    moved = known * 2
    assert distance(model.predict(y=y, X=moved, static=static), forecast) > MOVED


def test_the_identity_of_a_series_is_used_when_asked():
    y = panel((40, 40), ("2020-01-06", "2020-01-06"))
    other = y.copy()
    other.loc["b"] = y.loc["a"].to_numpy()
    for series_embedding in (True, False):
        model = small(series_embedding=series_embedding, max_epochs=4, lr=0.03).fit(y, fh=range(1, 4))
        forecast = model.predict(y=other)
        same = np.allclose(forecast.loc["a"], forecast.loc["b"], rtol=1e-6)
        assert same != series_embedding
    unknown = y.rename(index={"a": "new"})
    assert np.isfinite(model.predict(y=unknown)).all()


def test_the_calendar_is_used():
    y = wave(90)
    model = small(max_epochs=4, lr=0.03).fit(y, fh=range(1, 4))
    shifted = y.set_axis(y.index + pd.Timedelta("3D"))
    assert distance(model.predict(y=shifted), model.predict(y=y)) > MOVED
    plain = small(max_epochs=4, lr=0.03, calendar=False).fit(y, fh=range(1, 4))
    np.testing.assert_allclose(plain.predict(y=shifted), plain.predict(y=y), rtol=1e-12)


# -- panels, histories and horizons


def test_panels_of_unequal_lengths_and_starts():
    y = panel((40, 23, 9, 30), ("2020-01-06", "2020-01-20", "2020-02-02", "2020-03-01"))
    model = small().fit(y, fh=range(1, 4))
    forecast = model.predict()
    for name in "abcd":
        last = y.loc[name].index[-1]
        assert list(forecast.loc[name].index) == list(pd.date_range(last, periods=4, freq="D")[1:])
        assert np.abs(forecast.loc[name] - y.loc[name].mean()).max() < 15
    check_probabilities(model)
    assert forecast.index.names == ["shop", "day"]


@pytest.mark.parametrize("columns", [1, 2])
@pytest.mark.parametrize("joint", [True, False])
def test_panels_of_variables(columns, joint):
    y = pd.concat({n: frame(30)[list("ab")[:columns]] + 5 * i for i, n in enumerate("xyz")}, names=["shop", "day"])
    model = small(joint=joint).fit(y, fh=range(1, 4))
    forecast = model.predict()
    assert forecast.shape == (9, columns)
    assert np.isfinite(everything(model)).all()
    if columns == 2:
        assert (forecast["b"] > forecast["a"]).all()


@EVERY_STRATEGY
@pytest.mark.parametrize("params", [{}, {"warm_up": True}, {"calibrate": True}], ids=str)
def test_forecast_of_another_history_equals_that_of_its_fit(strategy, params):
    y = panel()
    X = features(y)
    model = small(strategy=strategy, **params).fit(y, past(X, y), fh=range(1, 4))
    own, other = (
        [m(X=X, **history) for m in (model.predict, model.predict_interval, model.predict_var, model.sample)]
        for history in ({}, {"y": y})
    )
    for a, b in zip(own, other, strict=True):
        (pd.testing.assert_series_equal if isinstance(a, pd.Series) else pd.testing.assert_frame_equal)(a, b)


@EVERY_STRATEGY
def test_longer_horizons_feed_forecasts_back(strategy):
    y = wave(60)
    X = features(y, 14)[["price"]]
    model = small(strategy=strategy).fit(y, past(X, y), fh=range(1, 4))
    forecast = model.predict(fh=range(1, 15), X=X)
    assert np.isfinite(forecast).all()
    np.testing.assert_allclose(forecast[:3], model.predict(X=X), rtol=1e-6)
    if strategy == "direct":
        longer = pd.concat([y, forecast[:3].set_axis(pd.date_range(y.index[-1], periods=4, freq="D")[1:])])
        by_hand = model.predict(y=longer, X=X)
        np.testing.assert_allclose(forecast[3:6], by_hand, rtol=1e-4)
    interval = model.predict_interval(fh=range(1, 15), X=X)
    width = interval.iloc[:, 1] - interval.iloc[:, 0]
    assert (width > 0).all()
    paths = model.sample(fh=range(1, 15), X=X, n_samples=200).to_numpy().reshape(200, 14)
    assert np.isfinite(paths).all()
    inside = ((paths >= interval.iloc[:, 0].to_numpy()) & (paths <= interval.iloc[:, 1].to_numpy())).mean()
    assert 0.8 < inside < 0.97


def test_longer_horizons_of_a_panel():
    y = panel()
    model = small(joint=False).fit(y, fh=[1, 2])
    forecast = model.predict(fh=range(1, 8))
    assert forecast.groupby(level=0).size().eq(7).all()
    for name in "abc":
        alone = model.predict(fh=range(1, 8), y=y.loc[[name]])
        np.testing.assert_allclose(forecast.loc[[name]], alone, rtol=1e-6)
    assert np.isfinite(model.predict_interval(fh=range(1, 8))).to_numpy().all()


@pytest.mark.parametrize("strategy", ["direct", "seq2seq"])
def test_longer_horizons_need_every_feature_in_between(strategy):
    y = wave(50)
    X = features(y, 9)
    model = small(strategy=strategy, past_columns=["kind"]).fit(y, past(X, y), fh=range(1, 4))
    for call in (model.predict, model.predict_interval, model.sample):
        with pytest.raises(ValueError, match=r"fh must reach at most 3 steps ahead.*got 5.*past_columns=\['kind'\]"):
            call(fh=5, X=X)


@pytest.mark.parametrize(
    ("fh", "steps"),
    [
        (2, [2]),
        ([1, 3], [1, 3]),
        (np.array([3]), [3]),
        (range(1, 4), [1, 2, 3]),
        (pd.date_range("2020-03-07", periods=2, freq="D"), [2, 3]),
        (pd.Timedelta("2D"), [2]),
        ([0, 2], [0, 2]),
    ],
    ids=str,
)
def test_horizons(fh, steps):
    y = wave(60)
    model = small().fit(y, fh=range(1, 4))
    forecast = model.predict(fh=fh)
    assert list(forecast.index) == [y.index[-1] + pd.Timedelta(days=step) for step in steps]
    ahead = [step for step in steps if step > 0]
    np.testing.assert_array_equal(forecast.iloc[-len(ahead) :], model.predict().iloc[[step - 1 for step in ahead]])


def test_the_default_horizon():
    assert len(small().fit(wave(60)).predict()) == 7
    assert len(small(horizon=5).fit(wave(60)).predict()) == 5
    assert len(small().fit(wave(4)).predict()) == 2
    assert len(small().fit(np.arange(20.0)).predict()) == 1


@EVERY_STRATEGY
def test_fitted_values_and_residuals(strategy):
    y = panel()
    X = features(y)
    model = small(strategy=strategy).fit(y, past(X, y), fh=range(1, 4))
    fitted, residuals = model.fitted_values(), model.residuals()
    assert len(fitted) == len(y) - 3  # the first step of each series has nothing before it
    np.testing.assert_allclose(fitted + residuals, y.loc[fitted.index])
    for name in "abc":
        inside = model.predict(fh=[-2, -1, 0], X=X).loc[name]
        pd.testing.assert_series_equal(inside, fitted.loc[name].iloc[-3:], check_freq=False, check_names=False)
    shorter = y.groupby(level=0).head(8)
    first = model.predict(fh=1, y=shorter, X=X)
    later = fitted.groupby(level=0).nth(7)
    if strategy != "seq2seq":
        assert distance(first, later) < 5  # the same window, but for the floor of its scale
    with pytest.raises(ValueError, match="fh must reach back to steps that have something before them"):
        model.predict(fh=-40, X=X)


# -- update


@EVERY_STRATEGY
def test_update(strategy):
    y = wave(60)
    X = features(y, 4)
    model = small(strategy=strategy).fit(y[:50], X[:50], fh=range(1, 4))
    weights = copy.deepcopy(model.module_.state_dict())
    before = model.predict(X=X)

    def moved():
        return max(float((new - weights[name]).abs().max()) for name, new in model.module_.state_dict().items())

    model.update(y[50:55], X[50:55], update_params=False)
    assert list(model.cutoff) == [y.index[54]]
    assert moved() == 0
    assert list(model.predict(X=X).index) == list(y.index[55:58])
    assert distance(model.predict(X=X), before) > MOVED
    np.testing.assert_array_equal(model.predict(X=X), model.predict(y=y[:55], X=X))
    model.update(y[55:60], X[55:60])
    assert list(model.cutoff) == [y.index[59]]
    assert 0 < moved() < 0.5
    assert np.isfinite(everything(model, X)).all()


def test_update_of_a_panel_with_a_new_series():
    y = panel((30, 20, 10))
    later = panel((34, 22, 10, 5), ("2020-01-06", "2020-01-20", "2020-02-02", "2020-02-10"))
    new = later.drop(y.index)
    model = small(series_embedding=True).fit(y, fh=range(1, 4))
    model.update(new)
    forecast = model.predict()
    assert list(forecast.index.get_level_values(0).unique()) == list("abcd")
    assert np.isfinite(everything(model)).all()


def test_update_by_known_values_alone():
    y = wave(50)
    model = small().fit(y, fh=range(1, 4))
    expected = everything(model)
    np.testing.assert_array_equal(everything(model.update(y[-3:])), expected)


# -- scikit-learn


def test_score_is_minus_the_mase():
    y = wave(60)
    model = small().fit(y[:50], fh=range(1, 11))
    error = np.abs(model.predict() - y[50:]).mean()
    scale = np.abs(y[:50].to_numpy()[7:] - y[:50].to_numpy()[:-7]).mean()
    assert model.score(y[50:]) == pytest.approx(-error / scale)
    assert model.score(y[50:], fh=[1]) == pytest.approx(-np.abs(model.predict() - y[50:]).iloc[0] / scale)


GRID = {"cell": ["lstm", "gru"], "lr": [1e-3, 0.03]}
SPLITTERS = pytest.mark.parametrize("splitter", [ExpandingWindowSplitter, SlidingWindowSplitter])


def splits(splitter, n_splits=2, horizon=3):
    extra = {"window_length": 30} if splitter is SlidingWindowSplitter else {}
    return splitter(horizon=horizon, n_splits=n_splits, **extra)


@SPLITTERS
@pytest.mark.parametrize("kind", ["series", "features", "panel", "array"])
def test_grid_search(splitter, kind):
    y = {"panel": panel((60, 45, 40))}.get(kind, wave(60))
    X = features(y) if kind == "features" else None
    y = y.to_numpy() if kind == "array" else y
    search = GridSearchCV(small(max_epochs=1), GRID, cv=splits(splitter), error_score="raise")
    search.fit(y, None if X is None else past(X, y), fh=range(1, 4))
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert len(set(search.cv_results_["mean_test_score"])) > 1
    assert np.isfinite(search.best_estimator_.predict(X=X)).all()


def test_parallel_grid_search_equals_the_serial_one():
    y = wave(60)
    X = features(y, 0)
    scores = [
        GridSearchCV(small(), {"cell": ["lstm", "gru"]}, cv=splits(ExpandingWindowSplitter), n_jobs=n_jobs)
        .fit(y, X, fh=range(1, 4))
        .cv_results_["mean_test_score"]
        for n_jobs in (None, 2)
    ]
    np.testing.assert_array_equal(*scores)


def test_cross_val_score():
    y = wave(60)
    scores = cross_val_score(small(), y, cv=splits(ExpandingWindowSplitter), error_score="raise")
    assert (scores > -3).all()

    def worst(forecaster, y, X=None):
        return -float(np.abs(forecaster.predict(fh=range(1, len(y) + 1)) - y).max())

    scores = cross_val_score(small(), y, cv=splits(ExpandingWindowSplitter), scoring=worst, error_score="raise")
    assert (scores < 0).all()


@pytest.mark.parametrize("scoring", ["neg_mean_absolute_error", "r2"])
def test_names_of_metrics_are_refused(scoring):
    y = wave(60)
    cv = splits(ExpandingWindowSplitter)
    with pytest.raises(TypeError, match="fh must be a whole number.*Does scoring= name a metric"):
        cross_val_score(small(), y, y, cv=cv, scoring=scoring, error_score="raise")
    with pytest.raises(TypeError, match="Does scoring= name a metric"):
        GridSearchCV(small(), GRID, cv=cv, scoring=scoring, error_score="raise").fit(y, y.to_frame())


# -- interruption


class Interrupt(Callback):
    """Press Ctrl-C at the end of the n-th epoch, over all nets of a fit."""

    def __init__(self, at):
        self.at = at
        self.seen_ = 0

    def on_epoch_end(self, net, **kwargs):
        self.seen_ += 1
        if self.seen_ == self.at:
            signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("at", [1, 3, 7])
@pytest.mark.parametrize("params", [{}, {"calibrate": True}, {"conformal": True}, {"early_stopping": True}], ids=str)
def test_interruption_keeps_what_was_learnt(params, at):
    """With a rehearsal, the first epochs are its own."""
    y = wave(60)
    model = small(max_epochs=8, callbacks=[Interrupt(at)], **params)
    before = torch.get_num_threads()
    with pytest.raises(KeyboardInterrupt):
        model.fit(y, fh=range(1, 4))
    assert torch.get_num_threads() == before
    out = everything(model)
    assert np.isfinite(out).all()
    assert list(model.cutoff) == [y.index[-1]]
    model.set_params(callbacks=None)
    np.testing.assert_array_equal(everything(pickle.loads(pickle.dumps(model))), out)
    assert np.isfinite(model.update(wave(62)[-2:]).predict()).all()


def test_interruption_stops_a_search():
    with pytest.raises(KeyboardInterrupt):
        GridSearchCV(small(callbacks=[Interrupt(1)]), GRID, cv=splits(ExpandingWindowSplitter)).fit(wave(60))


def test_callbacks_that_stop_training_end_it_normally():
    stopping = EarlyStopping("train_loss", patience=2, threshold=1e9, sink=lambda line: None)
    model = small(max_epochs=10, callbacks=[stopping]).fit(wave(60), fh=range(1, 4))
    assert model.n_iter_ == 3
    assert np.isfinite(everything(model)).all()


# -- an autoregression, learnt by a recurrent network


@pytest.mark.parametrize("strategy", ["direct", "recursive"])
def test_an_identity_network_learns_an_autoregression(strategy):
    """x_t = 1.2 x_{t-1} - 0.6 x_{t-2} + noise is a recurrence of two units."""
    rng = np.random.default_rng(0)
    x = np.zeros(700)
    for t in range(2, 700):
        x[t] = 1.2 * x[t - 1] - 0.6 * x[t - 2] + rng.normal()
    x = x[100:]
    A = np.column_stack([x[1:-1], x[:-2]])
    least_squares = (x[2:] - A @ np.linalg.lstsq(A, x[2:])[0]).var()
    model = small(
        cell="rnn",
        nonlinearity="identity",
        strategy=strategy,
        context_length=8,
        scaler=None,
        anchor=None,
        linear_skip=False,
        loss="squared_error",
        lr=0.02,
        max_epochs=40,
    )
    residuals = model.fit(pd.Series(x), fh=1).residuals()
    assert residuals.iloc[8:].var() < 1.05 * least_squares


def test_intervals_survive_a_jump():
    days = pd.date_range("2024-01-01", periods=300)
    levels = np.r_[np.full(280, 10.0), np.full(20, 50.0)] + np.random.default_rng(0).normal(size=300)
    forecaster = small(calibrate=True).fit(pd.Series(levels, days), fh=range(1, 15))
    lower, upper = forecaster.predict_interval(coverage=0.8).to_numpy().T
    assert (upper < 300).all()
    assert (lower > 1).all()


@pytest.mark.parametrize("periods", [1, 2, 20])
def test_a_series_that_never_moved_stays_where_it_is(periods):
    growing = pd.concat([pd.Series(level * 1.02 ** np.arange(60)) for level in (1.0, 50.0)], keys=["a", "b"])
    forecaster = small().fit(growing, fh=range(1, 7))
    still = pd.concat([pd.Series(np.full(periods, 1000.0))], keys=["new"])
    np.testing.assert_allclose(forecaster.predict(y=still), 1000, rtol=0.05)
