"""Checks that every estimator of sequences passes, beside scikit-learn's own.

A check takes an estimator with its default parameters and works on small copies of it. `SEQUENCE_CHECKS` lists them.
A new estimator is added in `test_common.py`; a new parameter gets a line in `ALTERNATIVES`.
"""

import contextlib
import copy
import io
import os
import pickle
import random
import tempfile
import threading
import warnings

import joblib
import numpy as np
import pandas as pd
import torch
from sklearn.base import clone, is_classifier
from sklearn.decomposition import PCA
from sklearn.exceptions import DataConversionWarning
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import GridSearchCV, GroupKFold, HalvingGridSearchCV, cross_val_predict, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import Callback

from sktime_rnn import Sequences, TimeDistributed, check_sequences
from sktime_rnn.cells import as_cell

ROUNDING = 1e-5  # how far outputs may be apart that differ by the order of float32 operations alone
MOVED = 1e-4  # how far outputs are apart at least when what they depend on has changed

WORDS = ["red", "green", "blue", "dark", "light"]


# -- small data and small models


def small(estimator, **params):
    """A copy of an estimator that trains in hundredths of a second."""
    quick = {"max_epochs": 3, "batch_size": 8, "random_state": 0}
    if params.get("network") is None:  # a network has its own width
        quick["hidden_size"] = 8
    return clone(estimator).set_params(**{**quick, **params})


def make_sequences(n_samples=24, n_features=2, lengths=(3, 10), seed=0):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(length, n_features)) for length in rng.integers(*lengths, size=n_samples)]


def make_targets(estimator, n_samples, seed=0):
    """Labels, every one of three classes often enough, or values."""
    rng = np.random.default_rng(seed)
    if is_classifier(estimator):
        return rng.permutation(np.array(["low", "middle", "high"])[np.arange(n_samples) % 3])
    return rng.normal(size=n_samples)


def make_step_targets(estimator, X):
    ends = np.cumsum([len(x) for x in X])
    return np.split(make_targets(estimator, ends[-1]), ends[:-1])


def make_texts(n_samples=24, seed=0):
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, size=length)) for length in rng.integers(2, 5, size=n_samples)]


def outputs(estimator, X):
    """What an estimator predicts, as numbers that move with its weights; steps end to end."""
    out = estimator.predict_proba(X) if hasattr(estimator, "predict_proba") else estimator.predict(X)
    return np.concatenate(out) if isinstance(out, list) else np.asarray(out)


def assert_same(actual, expected):
    np.testing.assert_array_equal(actual, expected, strict=True)


def assert_close(actual, expected, err_msg=""):
    np.testing.assert_allclose(actual, expected, rtol=ROUNDING, atol=ROUNDING, err_msg=err_msg)


def distance(a, b):
    return float(np.abs(a - b).max())


# -- containers


def panel_frame(X, instances=None):
    """Sequences as a frame indexed by (instance, time), its columns without names."""
    instances = range(len(X)) if instances is None else instances
    index = [(instance, t) for instance, x in zip(instances, X, strict=True) for t in range(len(x))]
    return pd.DataFrame(np.concatenate(X), index=pd.MultiIndex.from_tuples(index, names=["instance", "time"]))


def object_array(samples):
    array = np.empty(len(samples), dtype=object)
    array[:] = samples
    return array


def ragged_containers(X):
    lengths = [len(x) for x in X]
    return {
        "list": X,
        "tuple": tuple(X),
        "list of lists": [x.tolist() for x in X],
        "list of tensors": [torch.from_numpy(x) for x in X],
        "list of frames": [pd.DataFrame(x) for x in X],
        "object array": object_array(X),
        "Series": pd.Series(X),
        "Sequences": Sequences(np.concatenate(X), np.concatenate([[0], np.cumsum(lengths)])),
        "MultiIndex": panel_frame(X),
        # the order of the instances is that of their first rows, not that of their names
        "MultiIndex, unsorted": panel_frame(X, instances=range(len(X), 0, -1)),
    }


def rectangular_containers(X):
    return {
        "list": list(X),
        "array": X,
        "Fortran order": np.asfortranarray(X),
        "tensor": torch.from_numpy(X),
        "Sequences": check_sequences(X),
        "MultiIndex": panel_frame(list(X)),
    }


def univariate_containers(X):
    """Containers of sequences with one feature: the first group counts features per step, the second columns."""
    n_samples = len(X)
    lists = {
        "list of vectors": list(X),
        "list of arrays": list(X[:, :, np.newaxis]),
        "list of Series": [pd.Series(x) for x in X],
        "3-D array": X[:, :, np.newaxis],
        "Sequences": check_sequences(X),
        "MultiIndex": panel_frame(list(X[:, :, np.newaxis])),
    }
    tables = {"array": X, "frame": pd.DataFrame(X), "tensor": torch.from_numpy(X), "lists": X.tolist()}
    assert n_samples == len(tables["frame"])
    return lists, tables


def _check_containers(estimator, containers, y):
    expected = outputs(small(estimator).fit(containers["list"], y), containers["list"])
    fitted = small(estimator).fit(containers["list"], y)
    for name, X in containers.items():
        np.testing.assert_array_equal(outputs(fitted, X), expected, err_msg=f"predict of {name}")
        np.testing.assert_array_equal(outputs(small(estimator).fit(X, y), X), expected, err_msg=f"fit of {name}")


def check_ragged_containers_agree(estimator):
    X = make_sequences()
    _check_containers(estimator, ragged_containers(X), make_targets(estimator, len(X)))


def check_rectangular_containers_agree(estimator):
    X = np.stack(make_sequences(lengths=(5, 6)))
    _check_containers(estimator, rectangular_containers(X), make_targets(estimator, len(X)))


def check_univariate_containers_agree(estimator):
    X = np.stack(make_sequences(n_features=1, lengths=(5, 6)))[:, :, 0]
    y = make_targets(estimator, len(X))
    expected = outputs(small(estimator).fit(X, y), X)
    lists, tables = univariate_containers(X)
    for name, container in {**lists, **tables}.items():
        fitted = small(estimator).fit(container, y)
        assert fitted.n_features_in_ == (5 if name in tables and name != "lists" else 1), name
        for other, data in {**lists, **tables}.items():
            np.testing.assert_array_equal(outputs(fitted, data), expected, err_msg=f"fit {name}, predict {other}")


def check_arrays_are_not_written_to(estimator):
    """Read-only arrays and memory maps are read without a copy, a warning or a change."""
    X = np.stack(make_sequences(lengths=(5, 6)))
    y = make_targets(estimator, len(X))
    weight = np.linspace(0.5, 1.5, len(X))
    expected = outputs(small(estimator).fit(X, y, sample_weight=weight), X)
    for array in (X, y, weight):
        array.flags.writeable = False
    assert_same(outputs(small(estimator).fit(X, y, sample_weight=weight), X), expected)
    views = [x[:] for x in X]
    assert not views[0].flags.writeable
    assert_same(outputs(small(estimator).fit(views, y, sample_weight=weight), views), expected)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "X.npy")
        np.save(path, X)
        mapped = np.load(path, mmap_mode="r")
        assert_same(outputs(small(estimator).fit(mapped, y, sample_weight=weight), mapped), expected)
        del mapped  # some systems do not remove an open file


def check_number_types_agree(estimator):
    """The same numbers give the same model, whatever type holds them."""
    rng = np.random.default_rng(0)
    X = [rng.integers(-5, 6, size=(length, 2)) for length in rng.integers(3, 10, size=24)]
    y = make_targets(estimator, len(X))
    expected = outputs(small(estimator).fit([x.astype(np.float64) for x in X], y), X)
    for dtype in (np.float16, np.float32, np.int64, np.int8, ">f4", object):
        samples = [x.astype(dtype) for x in X]
        np.testing.assert_array_equal(outputs(small(estimator).fit(samples, y), samples), expected, err_msg=str(dtype))


def check_targets_of_one_column(estimator):
    X = make_sequences()
    y = make_targets(estimator, len(X))
    expected = outputs(small(estimator).fit(X, y), X)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataConversionWarning)  # scikit-learn asks classifiers to warn
        fitted = small(estimator).fit(X, y[:, np.newaxis])
    assert_same(outputs(fitted, X).reshape(expected.shape), expected)
    for other in (list(y), pd.Series(y), pd.Series(y, index=range(len(y), 0, -1))):
        assert_same(outputs(small(estimator).fit(X, other), X), expected)


# -- what a prediction depends on

ARCHITECTURES = [
    {},
    {"cell": "gru", "pooling": "mean"},
    {"cell": "rnn", "pooling": "max"},
    {"bidirectional": True, "num_layers": 2, "pooling": "attention"},
    {"go_backwards": True, "initial_state": "learned"},
]


def architectures(estimator, of=ARCHITECTURES):
    """Return settings; an estimator with a cell that is not the default keeps it, without what the cell refuses."""
    cell = estimator.cell
    if isinstance(cell, str) and cell == "lstm":
        return of
    cell, found = as_cell(cell), []
    for params in of:
        refused = {"cell"} | ({"bidirectional"} if cell.needs_feedback else set())
        refused |= set() if cell.learnable else {"initial_state"}
        kept = {name: value for name, value in params.items() if name not in refused}
        if kept not in found:
            found.append(kept)
    return found


def check_prediction_does_not_depend_on_batch(estimator):
    """Alone, in a batch, shuffled, in batches of another size, beside a much longer neighbour: the same."""
    X = make_sequences(30, lengths=(1, 20))
    y = make_targets(estimator, len(X))
    order = np.random.default_rng(1).permutation(len(X))
    long = np.random.default_rng(2).normal(size=(1500, 2))
    for params in architectures(estimator):
        fitted = small(estimator, **params).fit(X, y)
        expected = outputs(fitted, X)
        assert_close(np.concatenate([outputs(fitted, [x]) for x in X]), expected, f"alone, {params}")
        assert_close(outputs(fitted, [X[i] for i in order]), expected[order], f"shuffled, {params}")
        assert_close(outputs(fitted, [*X, long])[:-1], expected, f"long neighbour, {params}")
        assert_close(outputs(fitted, X * 20)[-30:], expected, f"many, {params}")
        fitted.net_.iterator_valid__batch_size = 4
        assert_close(outputs(fitted, X), expected, f"batch size, {params}")


def check_step_prediction_does_not_depend_on_batch(estimator):
    X = make_sequences(30, lengths=(1, 20))
    y = make_step_targets(estimator, X)
    for params in architectures(estimator, [{}, {"cell": "gru", "bidirectional": True, "num_layers": 2}]):
        fitted = small(estimator, **params).fit(X, y)
        expected = outputs(fitted, X)
        assert_close(np.concatenate([outputs(fitted, [x]) for x in X]), expected, f"alone, {params}")
        assert_close(outputs(fitted, [*X, np.ones((1500, 2))])[: len(expected)], expected, f"neighbour, {params}")
        fitted.net_.iterator_valid__batch_size = 4
        assert_close(outputs(fitted, X), expected, f"batch size, {params}")


def check_early_steps_matter(estimator):
    """Every step of a sequence moves its prediction, and no step of another does."""
    X = make_sequences(lengths=(8, 9))
    y = make_targets(estimator, len(X))
    for params in architectures(estimator):
        fitted = small(estimator, **params).fit(X, y)
        before = outputs(fitted, X)
        for step in (0, 3, 7):
            changed = copy.deepcopy(X)
            changed[5][step] += 20.0
            after = outputs(fitted, changed)
            others = np.arange(len(X)) != 5
            assert_close(after[others], before[others], f"{params}, step {step}")
            # a maximum over steps and a reading of eight steps both weaken a single one
            assert distance(after[5], before[5]) > MOVED / 10, f"{params}, step {step}"


def check_values_far_from_zero(estimator):
    """Differences that float32 cannot hold beside the mean are told apart, and learnt from."""
    rng = np.random.default_rng(0)
    levels = np.arange(40) % 2
    X = [1e8 + level + 0.1 * rng.normal(size=(rng.integers(3, 8), 1)) for level in levels]
    y = np.array(["low", "high"])[levels] if is_classifier(estimator) else levels.astype(float)
    fitted = small(estimator, max_epochs=30, lr=0.02).fit(X, y)
    assert fitted.score(X, y) > 0.95
    moved = [x + 1 for x in X]
    assert distance(outputs(fitted, X)[levels == 0], outputs(fitted, moved)[levels == 0]) > 0.5
    table = np.stack([x[:3, 0] for x in X])
    assert small(estimator, max_epochs=30, lr=0.02).fit(table, y).score(table, y) > 0.95


def check_units_do_not_matter(estimator):
    """Features in any unit give the same model, up to rounding."""
    X = make_sequences()
    y = make_targets(estimator, len(X))
    expected = outputs(small(estimator).fit(X, y), X)
    other = [x * [1e-6, 1e9] + [3.0, -4e9] for x in X]
    np.testing.assert_allclose(outputs(small(estimator).fit(other, y), other), expected, atol=1e-3)


def check_length_one(estimator):
    X = make_sequences(lengths=(1, 2))
    y = make_targets(estimator, len(X))
    for params in architectures(estimator):
        out = outputs(small(estimator, **params).fit(X, y), X)
        assert len(out) == len(X)
        assert np.isfinite(out).all()
    steps = make_step_targets(estimator, X)
    assert [len(out) for out in small(estimator).fit(X, steps).predict(X)] == [1] * len(X)


def check_step_outputs_are_as_long_as_input(estimator):
    X = make_sequences(lengths=(1, 9))
    y = make_step_targets(estimator, X)
    fitted = small(estimator).fit(X, y)
    predicted = fitted.predict(X)
    assert isinstance(predicted, list)
    assert [out.shape for out in predicted] == [(len(x),) for x in X]
    assert {out.dtype for out in predicted} == {y[0].dtype}
    longer = make_sequences(lengths=(20, 30), seed=1)
    assert [len(out) for out in fitted.predict(longer)] == [len(x) for x in longer]
    array = np.stack(longer[:5])[:, :4] if len({len(x) for x in longer[:5]}) == 1 else np.ones((5, 4, 2))
    assert fitted.predict(array).shape == (5, 4)


def check_later_steps_move_outputs_of_two_directions_only(estimator):
    X = make_sequences(lengths=(8, 9))
    y = make_step_targets(estimator, X)
    t = 4

    def moved(change, **params):
        fitted = small(estimator, **params).fit(X, y)
        changed = copy.deepcopy(X)
        changed[3][change] += 5.0
        before, after = (outputs(fitted, [samples[3]]) for samples in (X, changed))
        return np.abs(after - before).reshape(8, -1).max(axis=1)  # (T,)

    for params in ({"cell": "lstm"}, {"cell": "gru", "num_layers": 2}, {"cell": "rnn"}):
        later = moved(slice(t, None), **params)
        assert later[:t].max() < ROUNDING, params
        assert later[t:].min() > MOVED, params
    both = moved(slice(t, None), bidirectional=True)
    assert both[t - 1] > MOVED
    assert moved(slice(0, t), bidirectional=True)[t] > MOVED
    backwards = moved(slice(0, t), go_backwards=True)
    assert backwards[t:].max() < ROUNDING
    assert backwards[:t].min() > MOVED


def check_number_of_parameters(estimator):
    """It depends on features and width, not on how long sequences are, and all of them are counted."""
    counts = set()
    for lengths in ((2, 3), (3, 10), (40, 60)):
        X = make_sequences(lengths=lengths)
        fitted = small(estimator).fit(X, make_targets(estimator, len(X)))
        assert fitted.n_parameters_ == sum(weight.numel() for weight in fitted.module_.parameters())
        counts.add(fitted.n_parameters_)
    assert len(counts) == 1
    n_outputs = 3 if is_classifier(estimator) else 1
    assert counts == {4 * (8 * (2 + 8) + 2 * 8) + n_outputs * (8 + 1)}  # an LSTM with both of torch's biases


# -- every parameter does something


class MeanNetwork(torch.nn.Module):
    """A user's own network: a linear map of the mean over valid steps, or of every step."""

    def __init__(self, n_features, n_outputs, per_step=False, dropout=0.0):
        super().__init__()
        self.linear = torch.nn.Linear(n_features, n_outputs)
        self.dropout = torch.nn.Dropout(dropout)
        self.per_step = per_step

    def forward(self, X, lengths):
        if self.per_step:
            return self.linear(self.dropout(X))
        valid = torch.arange(X.shape[1], device=X.device) < lengths[:, None]
        mean = torch.where(valid[:, :, None], X, 0.0).sum(1) / lengths[:, None]
        return self.linear(self.dropout(mean))


class HalveWeights(Callback):
    """A user's own callback."""

    def on_epoch_end(self, net, **kwargs):
        with torch.no_grad():
            for weight in net.module_.parameters():
                weight.mul_(0.5)


def seeded_module(build, *args, **kwargs):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build(*args, **kwargs)


def _data_values(estimator):
    X = make_sequences()
    return X, make_targets(estimator, len(X))


def _data_learnable(estimator):
    X, y = _data_values(estimator)
    levels = np.unique(y, return_inverse=True)[1] / len(np.unique(y))
    return [x + 5 * level for x, level in zip(X, levels, strict=True)], y


def _data_unbalanced(estimator):
    X, y = _data_values(estimator)
    kept = np.concatenate([np.flatnonzero(y == np.unique(y)[0])[:3], np.flatnonzero(y != np.unique(y)[0])])
    return [X[i] for i in kept], y[kept]


def _data_texts(estimator):
    X = make_texts()
    return X, make_targets(estimator, len(X))


def _data_codes(estimator):
    X = [np.random.default_rng(i).integers(0, 5, size=4 + i % 3) for i in range(24)]
    return X, make_targets(estimator, len(X))


def _data_missing(estimator):
    X, y = _data_values(estimator)
    X[3][1, 0] = np.nan
    return X, y


def _data_array(estimator):
    X = np.stack(make_sequences(n_features=4, lengths=(5, 6)))
    return X, make_targets(estimator, len(X))


def _data_ambiguous(estimator):
    X = np.stack(make_sequences(lengths=(5, 6)))
    return X, make_targets(estimator, 5 * len(X)).reshape(len(X), 5)


DATA = {
    "values": _data_values,
    "learnable": _data_learnable,
    "unbalanced": _data_unbalanced,
    "texts": _data_texts,
    "codes": _data_codes,
    "missing": _data_missing,
    "array": _data_array,
    "ambiguous": _data_ambiguous,
}

STOPPING = {"early_stopping": True, "max_epochs": 20, "n_iter_no_change": 5}

# For each parameter: another value than the default, the parameters beside which it works, and the data.
ALTERNATIVES = {
    "cell": [("gru", {}, "values"), ("rnn", {}, "values")],
    "hidden_size": [(9, {}, "values")],
    "num_layers": [(2, {}, "values")],
    "bidirectional": [(True, {}, "values")],
    "bias": [(False, {}, "values")],
    "nonlinearity": [
        ("relu", {"cell": "rnn"}, "values"),
        ("sigmoid", {"cell": "rnn"}, "values"),
        ("identity", {"cell": "rnn"}, "values"),
        ("relu", {}, "values"),
        ("relu", {"cell": "gru"}, "values"),
    ],
    "go_backwards": [(True, {}, "values"), (True, {"bidirectional": True}, "values")],
    "initial_state": [("learned", {}, "values")],
    "dropout": [(0.5, {}, "values"), (0.5, {"num_layers": 2}, "values"), (0.5, {}, "texts")],
    "input_noise": [(0.3, {}, "values"), (0.3, {}, "texts")],
    "pooling": [("mean", {}, "values"), ("max", {}, "values"), ("attention", {}, "values")],
    "input": [("grid", {}, "array"), ("vector", {}, "values"), ("grid", {}, "texts")],
    "step_network": [(seeded_module(torch.nn.Linear, 2, 3), {}, "values"), (torch.nn.Linear(2, 3), {}, "texts")],
    "tokenizer": [("word", {}, "texts"), (str.split, {}, "texts")],
    "tokens": [(True, {}, "codes"), (True, {}, "values")],
    "embedding_dim": [(5, {}, "texts")],
    "embeddings": [({"a": np.ones(4), "e": np.zeros(4)}, {}, "texts"), ({"a": np.ones(4)}, {}, "values")],
    "max_tokens": [(4, {}, "texts")],
    "min_frequency": [(40, {}, "texts")],
    "standardize": [(False, {}, "values"), (False, {"cell": "gru"}, "array")],
    "missing": [("mask", {}, "missing"), ("mask", {}, "values")],
    "per_step": [(True, {}, "ambiguous"), (False, {}, "ambiguous"), (True, {}, "values")],
    "network": [("a MeanNetwork", {}, "values")],
    "optimizer": [("adamw", {"weight_decay": 0.1}, "values"), ("sgd", {}, "values"), ("rmsprop", {}, "values")],
    "lr": [(0.01, {}, "values")],
    "lr_schedule": [("constant", {}, "values"), ("cosine", {}, "values"), ("one_cycle", {}, "values")],
    "max_epochs": [(4, {}, "values"), ("auto", {"batch_size": 24}, "values")],
    "batch_size": [(5, {}, "values")],
    "max_batch_steps": [(20, {}, "values")],
    "weight_decay": [(0.1, {}, "values"), (0.1, {"optimizer": "sgd"}, "values")],
    "max_grad_norm": [(1e-3, {}, "values")],
    "max_grad_value": [(1e-4, {}, "values")],
    "normalize_grad": [(True, {"max_grad_norm": None}, "values")],
    "class_weight": [("balanced", {}, "unbalanced"), ({"low": 5.0, "middle": 1.0, "high": 1.0}, {}, "values")],
    "loss": [("absolute_error", {}, "values"), ("huber", {}, "values")],
    "early_stopping": [(True, {}, "values")],
    "validation_fraction": [(0.4, STOPPING, "learnable")],
    "n_iter_no_change": [(1, STOPPING, "values")],
    "tol": [(1e9, {**STOPPING, "lr": 0.02, "validation_fraction": 0.3}, "learnable")],
    "device": [("nowhere", {}, "values")],
    "precision": [("float64", {}, "values"), ("bfloat16", {}, "values")],
    "callbacks": [([HalveWeights()], {}, "values"), ([("halving", HalveWeights())], {}, "values")],
    "warm_start": [(True, {}, "values")],
    "verbose": [(1, {}, "values"), (2, {}, "values")],
    "random_state": [(1, {}, "values"), (np.random.RandomState(0), {}, "values")],
}

# a parameter that would repeat the default is refused instead of tried: the list names what does the same by design
SAME = {("lr_schedule", "one_cycle")}


def _effect(estimator, data, params):
    """All that two fits with some parameters do that a user can see, or the error."""
    X, y = DATA[data](estimator)
    said, complained = io.StringIO(), io.StringIO()
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(complained):
            fitted = small(estimator, **params).fit(X, y).fit(X, y)
    except (TypeError, ValueError, RuntimeError) as error:
        return type(error).__name__, str(error)
    weights = sorted((name, weight.tolist()) for name, weight in fitted.module_.state_dict().items())
    talked = bool(said.getvalue()), bool(complained.getvalue())
    return outputs(fitted, X).tolist(), fitted.n_parameters_, fitted.n_iter_, talked, weights


def check_every_parameter_does_something(estimator):
    """Another value of a parameter changes the model or is refused, never ignored."""
    missing = set(estimator.get_params(deep=False)) - set(ALTERNATIVES)
    assert not missing, f"give ALTERNATIVES in checks.py a line for {sorted(missing)}"
    own_network = seeded_module(MeanNetwork, 2, 3 if is_classifier(estimator) else 1)
    effects = {}
    for name in estimator.get_params(deep=False):
        for value, beside, data in ALTERNATIVES[name]:
            value = own_network if name == "network" else value
            without = f"{data}, {beside}"
            if without not in effects:
                effects[without] = _effect(estimator, data, beside)
            same = effects[without] == _effect(estimator, data, {**beside, name: value})
            expected = isinstance(value, str) and (name, value) in SAME
            assert same == expected, f"{name}={value!r} beside {beside} does nothing with {data}"


# -- randomness


FITS = [{}, {"cell": "gru", "bidirectional": True, "num_layers": 2}, {"early_stopping": True}]


def check_same_seed_gives_the_same_bits(estimator):
    X = make_sequences()
    y = make_targets(estimator, len(X))
    for params in architectures(estimator, FITS):
        expected = outputs(small(estimator, **params).fit(X, y), X)
        np.random.rand(3)  # noqa: NPY002, the global generators move on between the fits
        torch.rand(3)
        assert_same(outputs(small(estimator, **params).fit(X, y), X), expected)
        other = outputs(small(estimator, **{**params, "random_state": 1}).fit(X, y), X)
        assert distance(other, expected) > MOVED
    states = [np.random.RandomState(5), np.random.RandomState(5)]
    a, b = (outputs(small(estimator, random_state=state).fit(X, y), X) for state in states)
    assert_same(a, b)


def check_global_generators_are_left_alone(estimator):
    X = make_sequences()
    y = make_targets(estimator, len(X))
    network = seeded_module(MeanNetwork, 2, 3 if is_classifier(estimator) else 1, dropout=0.5)

    def states():
        return np.random.get_state()[1:], torch.get_rng_state(), random.getstate()  # noqa: NPY002

    (key, *numpy_before), torch_before, python_before = states()
    for params in (*FITS, {"random_state": None}, {"network": network}):
        fitted = small(estimator, **params).fit(X, y)
        outputs(fitted, X)
        pickle.loads(pickle.dumps(fitted))
        (key_after, *numpy_after), torch_after, python_after = states()
        np.testing.assert_array_equal(key, key_after, err_msg=str(params))
        assert numpy_before == numpy_after, params
        assert torch.equal(torch_before, torch_after), params
        assert python_before == python_after, params


def check_own_network_is_seeded(estimator):
    """A user's module draws from torch's generator; its dropout follows random_state all the same."""
    X = make_sequences()
    y = make_targets(estimator, len(X))
    network = seeded_module(MeanNetwork, 2, 3 if is_classifier(estimator) else 1, dropout=0.5)
    expected = outputs(small(estimator, network=network).fit(X, y), X)
    torch.rand(3)
    assert_same(outputs(small(estimator, network=network).fit(X, y), X), expected)
    assert distance(outputs(small(estimator, network=network, random_state=1).fit(X, y), X), expected) > 0


def check_threads_do_not_disturb_each_other(estimator):
    X = make_sequences(60, lengths=(3, 30))
    y = make_targets(estimator, len(X))
    network = seeded_module(MeanNetwork, 2, 3 if is_classifier(estimator) else 1, dropout=0.5)
    settings = ({}, {"cell": "gru", "bidirectional": True}, {"network": network})
    models = [small(estimator, **{**params, "random_state": seed}) for seed in range(2) for params in settings]
    expected = [outputs(clone(model).fit(X, y), X) for model in models]
    n_threads = torch.get_num_threads()
    found = {}
    ready = threading.Barrier(8)

    def work(thread):
        ready.wait()
        found[thread] = [outputs(clone(models[i]).fit(X, y), X) for i in (thread % 6, (thread + 1) % 6)]

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == list(range(8)), "a thread ended by an error"
    for thread, results in found.items():
        assert_same(results[0], expected[thread % 6])
        assert_same(results[1], expected[(thread + 1) % 6])
    assert torch.get_num_threads() == n_threads


# -- copies, and training that goes on


def check_copies_predict_the_same_bits(estimator):
    """Clone and fit again, pickle, joblib, deepcopy, fit again."""
    network = seeded_module(MeanNetwork, 2, 3 if is_classifier(estimator) else 1)
    cases = [(params, "values") for params in (*FITS, {"network": network}, {"precision": "float64"})]
    cases += [({"tokenizer": "word"}, "texts"), ({"tokens": True}, "codes"), ({"missing": "mask"}, "missing")]
    for params, data in cases:
        X, y = DATA[data](estimator)
        fitted = small(estimator, **params).fit(X, y)
        expected = outputs(fitted, X)
        copies = [pickle.loads(pickle.dumps(fitted)), copy.deepcopy(fitted), clone(fitted).fit(X, y)]
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "model.joblib")
            joblib.dump(fitted, path)
            copies.append(joblib.load(path))
        for other in copies:
            assert_same(outputs(other, X), expected)
            assert other.n_parameters_ == fitted.n_parameters_
            assert other.loss_curve_ == fitted.loss_curve_
            assert_same(outputs(pickle.loads(pickle.dumps(other)), X), expected)
        assert_same(outputs(fitted, X), expected)
        assert_same(outputs(fitted.fit(X, y), X), expected)
        assert not hasattr(clone(fitted), "net_")


def check_pickle_holds_no_tensors(estimator):
    """Arrays and plain values are all that a pickle holds, so that it does not matter which device they came from."""
    X = make_sequences()
    for params in FITS:
        fitted = small(estimator, **params).fit(X, make_targets(estimator, len(X)))
        assert b"torch" not in pickle.dumps(fitted).replace(b"sktime_rnn", b"")


def check_training_goes_on_after_pickle(estimator):
    """partial_fit of a copy and of its origin give the same bits, and do not touch each other."""
    X = make_sequences()
    y = make_targets(estimator, len(X))
    for params in ({}, {"num_layers": 2, "dropout": 0.5}, {"optimizer": "rmsprop"}, {"optimizer": "sgd"}):
        fitted = small(estimator, **params).partial_fit(X, y).partial_fit(X, y)
        before = outputs(fitted, X)
        copies = [pickle.loads(pickle.dumps(fitted)), copy.deepcopy(fitted)]
        for other in copies:  # shuffling, dropout and optimiser go on, they do not start again
            assert other.net_.rng_.bit_generator.state == fitted.net_.rng_.bit_generator.state
            assert torch.equal(other.net_.generator_.get_state(), fitted.net_.generator_.get_state())
            updates = {int(state["step"]) for state in other.net_.optimizer_.state.values() if "step" in state}
            assert updates == ({6} if params.get("optimizer") != "sgd" else set())  # three batches, twice
        expected = outputs(fitted.partial_fit(X, y).partial_fit(X[:10], y[:10]), X)
        assert distance(expected, before) > 0
        for other in copies:
            assert_same(outputs(other, X), before)
            assert_same(outputs(other.partial_fit(X, y).partial_fit(X[:10], y[:10]), X), expected)
            assert other.n_iter_ == fitted.n_iter_ == 4


def check_partial_fit_goes_on_from_fit(estimator):
    X = make_sequences()
    y = make_targets(estimator, len(X))
    fitted = small(estimator).fit(X, y)
    before = outputs(fitted, X)
    fitted.partial_fit(X, y)
    assert fitted.n_iter_ == 4
    assert 0 < distance(outputs(fitted, X), before) < 0.5


def check_warm_start(estimator):
    X = make_sequences()
    y = make_targets(estimator, len(X))
    fitted = small(estimator, warm_start=True).fit(X, y)
    first, curve = outputs(fitted, X), fitted.loss_curve_
    assert_same(first, outputs(small(estimator).fit(X, y), X))
    fitted.fit(X, y)
    assert fitted.n_iter_ == 6
    assert fitted.loss_curve_[:3] == curve
    assert distance(outputs(fitted, X), first) > 0
    other = pickle.loads(pickle.dumps(fitted))
    assert_same(outputs(other.fit(X, y), X), outputs(fitted.fit(X, y), X))
    cold = small(estimator).fit(X, y).fit(X, y)
    assert cold.n_iter_ == 3
    assert_same(outputs(cold, X), first)


def check_fit_writes_no_files(estimator):
    X = make_sequences()
    y = make_targets(estimator, len(X))
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        outputs(small(estimator).fit(X, y).partial_fit(X, y), X)
        small(estimator, early_stopping=True, max_epochs=20, n_iter_no_change=2).fit(X, y)
        assert os.listdir() == []


def check_parameters_are_left_as_they_were(estimator):
    """Fit changes nothing that was passed: modules, callbacks and mappings are copied or only read."""
    network = seeded_module(MeanNetwork, 2, 3 if is_classifier(estimator) else 1)
    step_network = seeded_module(torch.nn.Linear, 2, 3)
    X = make_sequences()
    y = make_targets(estimator, len(X))
    for name, module in (("network", network), ("step_network", step_network)):
        weights = copy.deepcopy(module.state_dict())
        fitted = small(estimator, **{name: module}).fit(X, y)
        assert getattr(fitted, name) is module
        assert all(torch.equal(module.state_dict()[key], weight) for key, weight in weights.items())
        assert module.training
        assert not any(parameter.grad is not None for parameter in module.parameters())


# -- weights


def check_unit_weights_change_nothing(estimator):
    X = make_sequences()
    ones = np.ones(len(X))
    for y in (make_targets(estimator, len(X)), make_step_targets(estimator, X)):
        for params in FITS:
            fitted = small(estimator, **params).fit(X, y)
            expected = outputs(fitted, X)
            weighted = small(estimator, **params).fit(X, y, sample_weight=ones)
            assert_same(outputs(weighted, X), expected)
            assert weighted.loss_curve_ == fitted.loss_curve_
    y = make_targets(estimator, len(X))
    a, b = (small(estimator).partial_fit(X, y, sample_weight=weight) for weight in (None, ones))
    assert_same(outputs(a, X), outputs(b, X))


def check_weight_zero_equals_removal(estimator):
    X = make_sequences()
    weight = np.random.default_rng(0).integers(0, 3, size=len(X)).astype(float)
    kept = np.flatnonzero(weight)
    for y in (make_targets(estimator, len(X)), make_step_targets(estimator, X)):
        for params in FITS:
            all_of_them = small(estimator, **params).fit(X, y, sample_weight=weight)
            rest = small(estimator, **params).fit([X[i] for i in kept], [y[i] for i in kept], weight[kept])
            assert_same(outputs(all_of_them, X), outputs(rest, X))


def check_weights_matter(estimator):
    X = make_sequences()
    y = make_targets(estimator, len(X))
    equal = outputs(small(estimator).fit(X, y), X)
    weight = np.linspace(0.1, 2, len(X))
    weighted = outputs(small(estimator).fit(X, y, sample_weight=weight), X)
    assert distance(weighted, equal) > MOVED
    assert_same(outputs(small(estimator).fit(X, y, sample_weight=weight.tolist()), X), weighted)
    single = weight.astype(np.float32)
    assert_close(outputs(small(estimator).fit(X, y, sample_weight=single), X), weighted)


# -- steps that are no vectors, vectors that are no sequences


def check_frames(estimator):
    rng = np.random.default_rng(0)
    X = [rng.normal(size=(length, 4, 5, 3)) for length in rng.integers(2, 6, size=24)]
    y = make_targets(estimator, len(X))
    fitted = small(estimator, standardize=False).fit(X, y)
    assert fitted.n_features_in_ == 60
    flat = [x.reshape(len(x), 60) for x in X]
    assert_same(outputs(small(estimator, standardize=False).fit(flat, y), flat), outputs(fitted, X))
    # scaled by channel, and flattened by hand in a step network: the same network again
    scaled = outputs(small(estimator).fit(X, y), X)
    assert_same(outputs(small(estimator, step_network=torch.nn.Flatten()).fit(X, y), X), scaled)
    array = np.stack([x[:2] for x in X])
    assert outputs(small(estimator).fit(array, y), array).shape == scaled.shape


class _ChannelsFirst(torch.nn.Module):
    def forward(self, X):
        return X.flatten(2).unflatten(2, (5, 3)).permute(0, 3, 1, 2)


def check_step_network(estimator):
    """A small CNN turns frames into features; its weights are trained, and steps of one batch are independent."""
    rng = np.random.default_rng(0)
    X = [rng.normal(size=(length, 4, 5, 3)) for length in rng.integers(1, 6, size=24)]
    network = seeded_module(
        torch.nn.Sequential, _ChannelsFirst(), torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.Flatten()
    )
    for y in (make_targets(estimator, len(X)), make_step_targets(estimator, X)):
        fitted = small(estimator, step_network=network).fit(X, y)
        out = outputs(fitted, X)
        assert_close(np.concatenate([outputs(fitted, [x]) for x in X]), out)
        assert_same(outputs(small(estimator, step_network=network).fit(X, y), X), out)
        trained = fitted.module_.step_network.state_dict()
        started = network.state_dict()
        moved = [not torch.equal(weight, trained[f"module.{name}"]) for name, weight in started.items()]
        assert all(moved)


def check_vectors(estimator):
    X = np.stack(make_sequences(n_features=5, lengths=(1, 2)))[:, 0]
    y = make_targets(estimator, len(X))
    fitted = small(estimator, input="vector").fit(X, y)
    assert fitted.n_features_in_ == 5
    expected = outputs(small(estimator).fit(X[:, np.newaxis], y), X[:, np.newaxis])
    assert_same(outputs(fitted, X), expected)
    for container in (list(X), X.tolist(), torch.from_numpy(X), pd.DataFrame(X)):
        assert_same(outputs(small(estimator, input="vector").fit(container, y), container), expected)


def check_grids(estimator):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(24, 4, 3))
    y = make_targets(estimator, len(X))
    cells = X.reshape(24, 12, 1)
    expected = outputs(small(estimator).fit(cells, y), cells)
    assert_same(outputs(small(estimator, input="grid").fit(X, y), X), expected)
    assert_same(outputs(small(estimator, input="grid").fit(list(X), y), list(X)), expected)
    coloured = [rng.normal(size=(*shape, 2)) for shape in rng.integers(2, 5, size=(24, 2))]
    assert np.isfinite(outputs(small(estimator, input="grid").fit(coloured, y), coloured)).all()


def check_missing_values(estimator):
    X, y = _data_missing(estimator)
    complete, _ = _data_values(estimator)
    fitted = small(estimator, missing="mask").fit(X, y)
    out = outputs(fitted, X)
    assert np.isfinite(out).all()
    assert distance(outputs(fitted, complete)[3], out[3]) > 0
    # read as the mean, but not mistaken for it
    mean = copy.deepcopy(X)
    mean[3][1, 0] = fitted.module_.scaling.mean[0]
    assert distance(outputs(fitted, mean)[3], out[3]) > 0
    empty = [np.full((3, 2), np.nan), *X[1:]]
    assert np.isfinite(outputs(small(estimator, missing="mask").fit(empty, y), empty)).all()
    frame = panel_frame(X)
    assert_same(outputs(small(estimator, missing="mask").fit(frame, y), frame), out)
    table = np.stack([x[:3, 0] for x in X])
    assert np.isnan(table).any()
    assert np.isfinite(outputs(small(estimator, missing="mask").fit(table, y), table)).all()


# -- text and tokens


def check_texts(estimator):
    X = make_texts()
    y = make_targets(estimator, len(X))
    fitted = small(estimator).fit(X, y)
    expected = outputs(fitted, X)
    for container in (np.array(X), object_array(X), pd.Series(X), pd.DataFrame(X), [list(text) for text in X]):
        assert_same(outputs(small(estimator).fit(container, y), container), expected)
    assert_same(outputs(small(estimator, tokenizer=list).fit(X, y), X), expected)
    assert fitted.vocabulary_[0] == "<unk>"
    assert set(fitted.vocabulary_[1:]) == set("".join(X))


def check_words(estimator):
    X = make_texts()
    y = make_targets(estimator, len(X))
    fitted = small(estimator, tokenizer="word").fit(X, y)
    expected = outputs(fitted, X)
    assert set(fitted.vocabulary_[1:]) == set(WORDS)
    words = [text.split() for text in X]
    assert_same(outputs(small(estimator).fit(words, y), words), expected)
    assert_same(outputs(small(estimator, tokenizer=str.split).fit(X, y), X), expected)
    by_frequency = [str(word) for word in fitted.vocabulary_[1:]]
    codes = [np.array([by_frequency.index(word) for word in sample]) for sample in words]
    assert_same(outputs(small(estimator, tokens=True).fit(codes, y), codes), expected)
    steps = make_step_targets(estimator, words)
    out = small(estimator).fit(words, steps).predict([["red", "blue"], ["dark"]])
    assert [len(part) for part in out] == [2, 1]


def check_unknown_tokens(estimator):
    """All tokens that were never seen are one and the same, and another one than those that were."""
    X = make_texts()
    y = make_targets(estimator, len(X))
    fitted = small(estimator, tokenizer="word").fit(X, y)
    unknown = outputs(fitted, ["red unheard", "red ungesehen", *(f"red {word}" for word in WORDS)])
    assert_same(unknown[0], unknown[1])
    assert all(distance(unknown[0], known) > 0 for known in unknown[2:])
    codes = [np.array([len(word) for word in text.split()]) for text in X]
    fitted = small(estimator, tokens=True).fit(codes, y)
    unknown = outputs(fitted, [[3, 100], [3, -7], [3, 3]])
    assert_same(unknown[0], unknown[1])
    assert distance(unknown[0], unknown[2]) > 0


def check_rare_tokens(estimator):
    X = ["a a a b b c", "a b b c", "a d a"] * 8
    y = make_targets(estimator, len(X))
    kept = small(estimator, tokenizer="word", max_tokens=2).fit(X, y)
    assert kept.vocabulary_.tolist() == ["<unk>", "a", "b"]
    assert_same(*outputs(kept, ["a c", "a d"]))
    frequent = small(estimator, tokenizer="word", min_frequency=9).fit(X, y)
    assert frequent.vocabulary_.tolist() == ["<unk>", "a", "b", "c"]
    assert frequent.n_parameters_ - kept.n_parameters_ == kept.module_.embedding.embedding.embedding_dim


def check_embeddings(estimator):
    """Given vectors are where training starts; words that only they know are told apart."""
    X = make_texts()
    y = make_targets(estimator, len(X))
    rng = np.random.default_rng(1)
    vectors = {word: rng.normal(size=6) for word in [*WORDS[:3], "crimson", "navy"]}
    fitted = small(estimator, tokenizer="word", embeddings=vectors).fit(X, y)
    assert set(fitted.vocabulary_[1:]) == {*WORDS, "crimson", "navy"}
    out = outputs(fitted, ["red crimson", "red navy", "red unheard", "red unseen"])
    assert distance(out[0], out[1]) > 0
    assert distance(out[0], out[2]) > 0
    assert_same(out[2], out[3])
    weights = fitted.module_.embedding.embedding.weight.detach().numpy()
    codes = {word: code for code, word in enumerate(fitted.vocabulary_)}
    assert weights.shape == (8, 6)
    for word in ("crimson", "navy"):  # never seen, never trained
        np.testing.assert_allclose(weights[codes[word]], vectors[word], rtol=1e-6)
    assert all(distance(weights[codes[word]], vectors[word]) > 0 for word in WORDS[:3])


# -- scikit-learn's tools, on a list of arrays of unequal length


def check_grid_search(estimator):
    X = make_sequences(n_samples=30)
    y = make_targets(estimator, len(X))
    grid = {"cell": ["lstm", "gru"], "hidden_size": [4, 8]}
    search = GridSearchCV(small(estimator, max_epochs=1), grid, cv=3, error_score="raise").fit(X, y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert len(search.predict(X)) == len(X)
    assert search.score(X, y) == search.best_estimator_.score(X, y)
    texts = make_texts(30)
    GridSearchCV(small(estimator, max_epochs=1), {"tokenizer": ["char", "word"]}, cv=2, error_score="raise").fit(
        texts, y
    )


def check_halving_search(estimator):
    X = make_sequences(n_samples=60)
    y = make_targets(estimator, len(X))
    grid = {"hidden_size": [2, 4, 8]}
    model = small(estimator, max_epochs=1)
    search = HalvingGridSearchCV(model, grid, cv=2, min_resources=20, random_state=0, error_score="raise").fit(X, y)
    assert search.n_iterations_ == 2
    assert len(search.predict(X)) == len(X)


def check_group_folds(estimator):
    X = make_sequences(n_samples=30)
    y = make_targets(estimator, len(X))
    groups = np.arange(30) // 3
    options = {"groups": groups, "cv": GroupKFold(3), "error_score": "raise"}
    expected = cross_val_score(small(estimator), X, y, **options)
    for container in (tuple(X), object_array(X), check_sequences(X), check_sequences(panel_frame(X))):
        np.testing.assert_array_equal(cross_val_score(small(estimator), container, y, **options), expected)
    assert cross_val_predict(small(estimator), X, y, groups=groups, cv=GroupKFold(3)).shape == (30,)


def check_pipeline(estimator):
    """Transformers per time step before it, weights through a grid search to it."""
    X = make_sequences(n_samples=30, n_features=4)
    y = make_targets(estimator, len(X))
    name = type(estimator).__name__.lower()
    pipe = make_pipeline(TimeDistributed(StandardScaler()), TimeDistributed(PCA(2)), small(estimator, max_epochs=1))
    weight = np.linspace(0.5, 1.5, len(X))
    grid = {f"{name}__hidden_size": [4, 8], "timedistributed-2__transformer__n_components": [1, 3]}
    search = GridSearchCV(pipe, grid, cv=2, error_score="raise").fit(X, y, **{f"{name}__sample_weight": weight})
    assert len(search.predict(X)) == len(X)
    weighted = pipe.fit(X, y, **{f"{name}__sample_weight": weight})
    assert weighted[-1].n_features_in_ == 2
    expected = outputs(weighted, X)
    by_hand = small(estimator, max_epochs=1).fit(weighted[:-1].transform(X), y, sample_weight=weight)
    assert_same(outputs(by_hand, weighted[:-1].transform(X)), expected)


SEQUENCE_CHECKS = [
    value
    for name, value in list(globals().items())
    if name.startswith("check_") and getattr(value, "__module__", None) == __name__
]
