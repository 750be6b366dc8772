"""The parameters of RNNForecaster: each one does something or is refused, and what does not fit is refused."""

import contextlib
import io

import numpy as np
import pandas as pd
import pytest
import torch
from forecasts import changed, counts, everything, features, frame, panel, past, small, wave
from ids import shown
from sklearn.base import clone
from skorch.callbacks import Callback

from sktime_rnn.cells import GRUCell
from sktime_rnn.forecaster import RNNForecaster
from sktime_rnn.windows import SCALERS


class HalveWeights(Callback):
    def on_epoch_end(self, net, **kwargs):
        with torch.no_grad():
            for weight in net.module_.parameters():
                weight.mul_(0.5)


# -- every parameter


def _data_series():
    return wave(60), None


def _data_long():
    return wave(200), None


def _data_frame():
    return frame(50), None


def _data_panel():
    return panel(), None


def _data_counts():
    return counts(60), None


def _data_low():
    return (wave(60) - 20).clip(lower=0), None


def _data_holed():
    y = wave(60)
    y.iloc[[5, 30, 55]] = np.nan
    return y, None


def _data_gapped():
    return wave(60).drop(wave(60).index[[5, 30, 55]]), None


def _data_without_freq():
    return wave(60).iloc[[0, 1]].set_axis(pd.DatetimeIndex(["2020-01-31", "2020-02-29"])), None


def _data_features():
    y = wave(60)
    return y, features(y, 10)


DATA = {name.removeprefix("_data_"): build for name, build in list(globals().items()) if name.startswith("_data_")}
STOPPING = {"early_stopping": True, "max_epochs": 20, "n_iter_no_change": 2, "lr": 0.03}

# For each parameter: other values than the default, the parameters beside which each works, and the data.
ALTERNATIVES = {
    "cell": [("gru", {}, "series"), ("rnn", {}, "series"), (GRUCell(), {}, "series")],
    "hidden_size": [(5, {}, "series")],
    "num_layers": [(2, {}, "series")],
    "context_length": [(9, {}, "series"), (1, {}, "series")],
    "horizon": [(5, {"fh": None}, "series")],
    "strategy": [("recursive", {}, "series"), ("seq2seq", {}, "series")],
    "distribution": [
        ("normal", {}, "series"),
        ("student_t", {}, "series"),
        ("quantile", {}, "series"),
        ("negative_binomial", {}, "counts"),
        ("negative_binomial", {}, "series"),
    ],
    "conformal": [(True, {}, "series"), (True, {"distribution": "normal"}, "series")],
    "calibrate": [(True, {}, "long"), (True, {"distribution": "normal"}, "long")],
    "scaler": [*((name, {}, "series") for name in SCALERS if name != "log"), ("log", {}, "low")],
    "anchor": [
        ("seasonal", {}, "series"),
        ("seasonal", {"distribution": "negative_binomial"}, "counts"),
        (None, {"scaler": "standard"}, "series"),
        ("last", {"linear_skip": False}, "series"),
    ],
    "linear_skip": [(False, {}, "series"), (False, {"distribution": "negative_binomial"}, "counts")],
    "season_length": [(12, {}, "series"), (1, {}, "series")],
    "calendar": [(False, {}, "series"), (False, {"strategy": "seq2seq"}, "series")],
    "series_embedding": [(True, {}, "panel")],
    "joint": [(True, {}, "frame")],
    "past_columns": [
        (["price"], {}, "features"),
        (["price"], {"strategy": "seq2seq"}, "features"),
        (["price"], {"strategy": "recursive"}, "features"),
        (["size"], {}, "features"),
    ],
    "positive": [(True, {}, "low"), (True, {"distribution": "normal"}, "low")],
    "missing": [("mask", {}, "holed"), ("mask", {}, "series")],
    "gaps": [("fill", {}, "gapped"), ("fill", {}, "series")],
    "freq": [("ME", {}, "without_freq"), ("W", {}, "series")],
    "warm_up": [(True, {}, "series"), (True, {"strategy": "recursive"}, "series")],
    "patch_length": [(3, {}, "series"), (3, {"strategy": "recursive"}, "series")],
    "bidirectional": [(True, {}, "series"), (True, {"strategy": "seq2seq"}, "series")],
    "bias": [(False, {}, "series")],
    "nonlinearity": [
        ("relu", {"cell": "rnn"}, "series"),
        ("sigmoid", {"cell": "rnn"}, "series"),
        ("identity", {"cell": "rnn"}, "series"),
        ("relu", {}, "series"),
    ],
    "initial_state": [("learned", {}, "series")],
    "dropout": [(0.5, {}, "series"), (0.5, {"strategy": "seq2seq"}, "series")],
    "input_noise": [(0.3, {}, "series"), ("auto", {}, "series")],
    "loss": [("squared_error", {}, "series"), ("huber", {}, "series"), ("huber", {"distribution": "normal"}, "series")],
    "optimizer": [("adam", {"weight_decay": 0.1}, "series"), ("sgd", {}, "series"), ("rmsprop", {}, "series")],
    "lr": [(0.01, {}, "series")],
    "lr_schedule": [("constant", {}, "series"), ("cosine", {}, "series")],
    "max_epochs": [(3, {}, "series"), ("auto", {}, "series")],
    "update_epochs": [(3, {}, "series")],
    "batch_size": [(8, {}, "series")],
    "max_batch_steps": [(120, {}, "series")],
    "weight_decay": [(0.3, {}, "series")],
    "max_grad_norm": [(1e-3, {}, "series")],
    "max_grad_value": [(1e-4, {}, "series")],
    "normalize_grad": [(True, {"max_grad_norm": None}, "series")],
    "early_stopping": [(True, {}, "series")],
    "validation_fraction": [(0.3, STOPPING, "series")],
    "n_iter_no_change": [(1, STOPPING, "series")],
    "tol": [(1e9, {**STOPPING, "anchor": None, "linear_skip": False, "scaler": "mean"}, "long")],
    "device": [("nowhere", {}, "series")],
    "precision": [("float64", {}, "series"), ("bfloat16", {}, "series")],
    "callbacks": [([HalveWeights()], {}, "series"), ([("halving", HalveWeights())], {}, "series")],
    "verbose": [(1, {}, "series"), (2, {}, "series")],
    "random_state": [(1, {}, "series"), (np.random.RandomState(0), {}, "series")],
}


def _effect(data, params):
    """All that a forecaster does that a user can see, or the error."""
    y, X = DATA[data]()
    params = dict(params)
    fh = params.pop("fh", range(1, 4))
    held_out = 1 if len(y) < 10 else 3
    train, new = (y, None) if isinstance(y.index, pd.MultiIndex) else (y.iloc[:-held_out], y.iloc[-held_out:])
    said, complained = io.StringIO(), io.StringIO()
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(complained):
            model = small(**params).fit(train, None if X is None else past(X, train), fh=fh)
            out = [everything(model, X)]
            if new is not None:
                out.append(everything(model.update(new, None if X is None else past(X, new)), X))
    except (TypeError, ValueError, RuntimeError) as error:
        return type(error).__name__, str(error)
    return [part.tolist() for part in out], bool(said.getvalue()), bool(complained.getvalue())


def test_every_parameter_is_in_the_table():
    assert set(ALTERNATIVES) == set(RNNForecaster().get_params(deep=False))
    assert set(ALTERNATIVES) == set(RNNForecaster._parameter_constraints)


@pytest.fixture(scope="module")
def effects():
    return {}


CASES = [(name, *case) for name, cases in ALTERNATIVES.items() for case in cases]


@pytest.mark.parametrize(("name", "value", "beside", "data"), CASES, ids=shown)
def test_every_parameter_does_something(effects, name, value, beside, data):
    """Another value changes the forecast or its spread, or is refused; it is never ignored."""
    without = f"{data}, {beside}"
    if without not in effects:
        effects[without] = _effect(data, beside)
    assert effects[without] != _effect(data, {**beside, name: value})


def test_constructor_stores_what_it_is_given():
    callbacks, past_columns = [HalveWeights()], ["price"]
    model = RNNForecaster(callbacks=callbacks, past_columns=past_columns)
    assert model.callbacks is callbacks
    assert model.past_columns is past_columns
    again = clone(model)
    assert again.get_params(deep=False)["past_columns"] == past_columns


# -- refusals


@pytest.mark.parametrize(
    ("params", "y", "words"),
    [
        ({"distribution": "normal", "loss": "huber"}, wave(), "loss must be left at.*'normal' has a likelihood"),
        ({"distribution": "negative_binomial", "anchor": "last"}, counts(), "anchor must be left at.*logarithmic"),
        ({"distribution": "negative_binomial", "linear_skip": False}, counts(), "linear_skip must be left at"),
        ({"distribution": "negative_binomial", "scaler": "log"}, counts(), "scaler must be 'auto' or 'mean'.*'log'"),
        ({"distribution": "negative_binomial"}, wave(), r"y must hold counts \(0, 1, 2, ...\).*2020-01-06 00:00:00"),
        ({"distribution": "negative_binomial"}, -counts(), "y must hold counts"),
        ({"anchor": "seasonal"}, np.arange(20.0), "anchor='seasonal' needs a season.*Say season_length=12"),
        ({"positive": True}, wave() - 30, "y must hold no value below 0 with positive=True, got -.* at 2020"),
        ({"scaler": "log"}, wave() - 30, "y must hold values above 0 with scaler='log', got -"),
        ({"scaler": "log"}, panel() - 20, "at 2020.* of series 'a'"),
        ({}, np.array([1.0]), "y must hold a series of two steps or more to learn from, got at most 1"),
        ({"early_stopping": True}, np.array([1.0, 2.0]), "early_stopping=True needs a series of 3 steps"),
        ({"conformal": True}, np.array([1.0, 2.0]), "conformal=True needs a series of 3 steps or more.*at most 2"),
        ({"nonlinearity": "relu"}, wave(), "nonlinearity='relu' needs None or one of .* as cell"),
        ({"cell": torch.nn.LSTM}, wave(), "cell must be a name, a Cell class or a Cell"),
        ({"device": "nowhere"}, wave(), "device must be 'auto'"),
        ({"past_columns": ["price"]}, wave(), "past_columns=.*name columns of X, but X was not given"),
    ],
    ids=shown,
)
def test_what_does_not_fit_is_refused(params, y, words):
    model = small(**params)
    with pytest.raises((ValueError, TypeError), match=words):
        model.fit(y, fh=[1, 2])
    assert not hasattr(model, "net_")


def test_past_columns_of_a_recursive_forecaster_are_refused():
    y = wave(40)
    with pytest.raises(ValueError, match=r"past_columns=\['price'\] are not known ahead.*Use strategy='direct'"):
        small(strategy="recursive", past_columns=["price"]).fit(y, features(y, 0))


@pytest.mark.parametrize(
    ("params", "y", "bad", "words"),
    [
        ({}, wave(40), -5.0, "y must hold values above 0 with the logarithmic scale that fit chose, got -5.0 at 2020"),
        ({"scaler": "log"}, wave(40), 0.0, "y must hold values above 0 with scaler='log', got 0.0 at 2020"),
        ({"positive": True}, wave(40), -1.0, "y must hold no value below 0 with positive=True"),
        ({"distribution": "negative_binomial"}, counts(40), 1.5, "y must hold counts"),
    ],
    ids=["auto", "log", "positive", "counts"],
)
def test_values_that_a_fitted_forecaster_cannot_read_are_refused(params, y, bad, words):
    """A logarithm of what is not positive would be a forecast of NaN."""
    model = small(**params).fit(y, fh=range(1, 4))
    expected = everything(model)
    other = changed(y, -3, bad - y.iloc[-3])
    new = pd.Series(bad, index=[y.index[-1] + pd.Timedelta("1D")])
    for call in (
        lambda: model.predict(y=other),
        lambda: model.predict_interval(y=other),
        lambda: model.update(new),
        lambda: model.update(new, update_params=False),
    ):
        with pytest.raises(ValueError, match=words):
            call()
    np.testing.assert_array_equal(everything(model), expected)


OUT_OF_RANGE = [
    ("cell", "lstn"),
    ("hidden_size", 0),
    ("num_layers", 0),
    ("context_length", 0),
    ("context_length", "long"),
    ("horizon", 0),
    ("strategy", "multi"),
    ("distribution", "gamma"),
    ("conformal", "yes"),
    ("calibrate", None),
    ("scaler", "minmax"),
    ("anchor", "mean"),
    ("linear_skip", "no"),
    ("season_length", 0),
    ("calendar", "yes"),
    ("series_embedding", 8),
    ("joint", "yes"),
    ("past_columns", "price"),
    ("positive", "yes"),
    ("missing", "drop"),
    ("gaps", "interpolate"),
    ("freq", 3),
    ("warm_up", "all"),
    ("patch_length", 0),
    ("bidirectional", "yes"),
    ("bias", None),
    ("nonlinearity", "sine"),
    ("initial_state", "ones"),
    ("dropout", 1.0),
    ("input_noise", -0.1),
    ("loss", "mape"),
    ("optimizer", "adm"),
    ("lr", 0.0),
    ("lr_schedule", "linear"),
    ("max_epochs", 0),
    ("update_epochs", 0),
    ("batch_size", 0),
    ("max_batch_steps", 0),
    ("weight_decay", -0.1),
    ("max_grad_norm", 0.0),
    ("max_grad_value", -1.0),
    ("normalize_grad", "yes"),
    ("early_stopping", "yes"),
    ("validation_fraction", 1.0),
    ("n_iter_no_change", 0),
    ("tol", -1.0),
    ("device", 3),
    ("precision", "float8"),
    ("callbacks", HalveWeights()),
    ("verbose", -1),
    ("random_state", "seed"),
]


@pytest.mark.parametrize(("name", "value"), OUT_OF_RANGE, ids=shown)
def test_parameters_out_of_range(name, value):
    with pytest.raises((ValueError, TypeError), match=f"The '{name}' parameter of RNNForecaster"):
        small(**{name: value}).fit(wave(20))


def test_every_parameter_has_a_range():
    assert {name for name, _ in OUT_OF_RANGE} == set(RNNForecaster().get_params(deep=False))
