"""What all recurrent estimators share: refusals, names, networks and cells of users, interruption, callbacks."""

import _thread
import copy
import pickle
import signal

import numpy as np
import pandas as pd
import pytest
import torch
from checks import (
    WORDS,
    HalveWeights,
    MeanNetwork,
    assert_close,
    assert_same,
    distance,
    make_sequences,
    make_step_targets,
    make_targets,
    make_texts,
    outputs,
    panel_frame,
    seeded_module,
    small,
)
from ids import shown
from scipy.sparse import csr_array
from sklearn import config_context
from sklearn.base import clone, is_classifier
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, KFold, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import get_tags
from skorch.callbacks import (
    Callback,
    Checkpoint,
    EarlyStopping,
    EpochScoring,
    Freezer,
    GradientNormClipping,
    LRScheduler,
)

from sktime_rnn import RNNClassifier, RNNRegressor, Sequences, TimeDistributed, check_sequences
from sktime_rnn.cells import CELLS, Cell, ElmanCell, GRUCell, LSTMCell
from sktime_rnn.nets import is_there


@pytest.fixture(params=[RNNClassifier, RNNRegressor], ids=lambda kind: kind.__name__)
def estimator(request):
    return request.param()


@pytest.fixture
def X():
    return make_sequences()


@pytest.fixture
def y(estimator, X):
    return make_targets(estimator, len(X))


def n_outputs(estimator):
    return 3 if is_classifier(estimator) else 1


# -- bad X


def replaced(X, sample, value):
    return [value if i == sample else x for i, x in enumerate(X)]


def with_value(X, value, sample=3, step=1, feature=1):
    X = copy.deepcopy(X)
    X[sample][step, feature] = value
    return X


def frame_with_index(X, change):
    frame = panel_frame(X)
    index = frame.index.to_frame(index=False)
    change(index)
    frame.index = pd.MultiIndex.from_frame(index)
    return frame


def repeat_stamp(index):
    index.loc[1, "time"] = 0


def swap_stamps(index):
    index.loc[[0, 1], "time"] = [1, 0]


def lose_stamp(index):
    index["time"] = index["time"].astype(float)
    index.loc[2, "time"] = np.nan


BAD_X = {
    "no samples": (lambda X: [], ValueError, r"X must hold at least one sample.*0 sample\(s\)"),
    "no samples, array": (lambda X: np.empty((0, 3, 2)), ValueError, "X must hold at least one sample"),
    "no samples, table": (lambda X: np.empty((0, 3)), ValueError, r"Found array with 0 sample\(s\)"),
    "no features": (lambda X: np.empty((24, 3, 0)), ValueError, r"X must have at least one feature.*0 feature\(s\)"),
    "empty sequence": (
        lambda X: replaced(X, 5, np.empty((0, 2))),
        ValueError,
        "at least one step, but sample 5 is empty",
    ),
    "no steps": (lambda X: np.empty((24, 0, 2)), ValueError, "at least one step, but sample 0 is empty"),
    "empty text": (lambda X: replaced(make_texts(), 2, ""), ValueError, "at least one token, but sample 2"),
    "no tokens": (lambda X: replaced([["a"]] * 24, 4, []), ValueError, "at least one token, but sample 4"),
    "unequal features": (
        lambda X: replaced(X, 7, np.ones((4, 3))),
        ValueError,
        r"same number of features per step, but sample 0 has.*sample 7 the shape \(4, 3\)",
    ),
    "unequal dimensions": (lambda X: replaced(X, 1, np.ones(4)), ValueError, "same number of features per step"),
    "ragged steps": (lambda X: replaced(X, 1, [[1.0, 2.0], [3.0]]), ValueError, "sample 1 cannot be read as one"),
    "NaN": (lambda X: with_value(X, np.nan), ValueError, "X must not contain NaN.*sample 3, step 1, feature 1"),
    "infinity": (
        lambda X: with_value(X, np.inf),
        ValueError,
        r"X must be finite.*inf\) at sample 3, step 1, feature 1",
    ),
    "minus infinity": (lambda X: with_value(X, -np.inf), ValueError, r"there is -inf \(inf\) at sample 3, step 1"),
    "NaN, table": (lambda X: np.full((24, 3), np.nan), ValueError, "X must not contain NaN.*sample 0, step 0"),
    "None": (lambda X: None, TypeError, "X must be a list of arrays.*NoneType arrived"),
    "None inside": (lambda X: replaced(X, 2, None), TypeError, "sample 2 is None"),
    "complex": (lambda X: [x * 1j for x in X], ValueError, "Complex data not supported"),
    "dates": (lambda X: [x.astype("M8[D]") for x in X], TypeError, "X must hold real numbers or str.*datetime64"),
    "mixed kinds": (
        lambda X: replaced(X, 2, np.array([["a", "b"]])),
        TypeError,
        "values of one kind.*sample 2 has dtype",
    ),
    "text and numbers": (lambda X: replaced(X, 2, "a text"), TypeError, "nothing but str where it holds texts"),
    "token of another type": (lambda X: [["a", 1]] * 24, TypeError, "tokens of X must all be str.*step 1 of sample 0"),
    "one text": (lambda X: "a text", TypeError, r"a single str arrived.*\[X\]"),
    "one sequence": (lambda X: X[0][:, 0], ValueError, r"one sequence\? wrap it in a list, \[X\]"),
    "one value": (lambda X: np.array(1.0), ValueError, "X must hold several sequences, but a single value"),
    "numbers": (lambda X: [1.0, 2.0], ValueError, "X must hold several sequences, but a list of single values"),
    "dict": (lambda X: dict(enumerate(X)), TypeError, r"but a dict arrived.*list\(X.values\(\)\)"),
    "set": (lambda X: {"a", "b"}, TypeError, "but a set arrived"),
    "generator": (lambda X: iter(X), TypeError, "can be read only once"),
    "sparse": (lambda X: csr_array(np.ones((24, 3))), TypeError, "[Ss]parse"),
    "time twice": (
        lambda X: frame_with_index(X, repeat_stamp),
        ValueError,
        r"one row per \(instance, time\), but instance 0 has more than one at time stamp 0",
    ),
    "time backwards": (
        lambda X: frame_with_index(X, swap_stamps),
        ValueError,
        "strictly increasing.*instance 0 goes back",
    ),
    "time missing": (
        lambda X: frame_with_index(X, lose_stamp),
        ValueError,
        "hold the time stamp of every row.*instance 0",
    ),
    "three levels": (
        lambda X: pd.concat({"a": panel_frame(X)}),
        ValueError,
        r"must have two levels, \(instance, time\), but it has 3",
    ),
    "frames of other columns": (
        lambda X: [pd.DataFrame(x, columns=["a", "b"] if i != 2 else ["b", "a"]) for i, x in enumerate(X)],
        ValueError,
        "same columns in the same order.*sample 2",
    ),
    "unsorted series": (
        lambda X: [pd.Series([1.0, 2.0], index=pd.to_datetime(["2020-01-02", "2020-01-01"]))] * 24,
        ValueError,
        "strictly increasing.*sample 0 are unsorted or duplicate",
    ),
}


@pytest.mark.parametrize("case", BAD_X)
def test_bad_X_is_refused(estimator, X, y, case):
    """By fit before any training, and by every method of a fitted estimator."""
    build, error, words = BAD_X[case]
    bad = build(X)
    model = small(estimator)
    with pytest.raises(error, match=words):
        model.fit(bad, y)
    assert not hasattr(model, "net_")
    with pytest.raises(error, match=words):
        small(estimator).partial_fit(build(X), y)
    fitted = small(estimator).fit(X, y)
    with pytest.raises(error, match=words):
        fitted.predict(build(X))
    with pytest.raises(error, match=words):
        fitted.score(build(X), y)


def test_grids_of_three_axes_only(estimator, y):
    with pytest.raises(ValueError, match=r'With input="grid", an array X must have 3 to 4 dimensions'):
        small(estimator, input="grid").fit(np.ones((24, 5)), y)
    with pytest.raises(ValueError, match=r'With input="vector", an array X must have 2 dimensions'):
        small(estimator, input="vector").fit(np.ones((24, 5, 2)), y)
    with pytest.raises(ValueError, match=r"same number of features, but sample 0 has 3 and sample 1 has 2"):
        small(estimator, input="vector").fit([[1, 2, 3], [1, 2]] * 12, y)
    with pytest.raises(TypeError, match=r'With input="grid", X must hold numbers, but str arrived'):
        small(estimator, input="grid").fit(np.full((24, 2, 2), "a"), y)


def test_tokens_are_integers(estimator, X, y):
    with pytest.raises(TypeError, match="With tokens=True, X must hold integers or str"):
        small(estimator, tokens=True).fit([x[:, 0] for x in X], y)
    with pytest.raises(ValueError, match="one token per step"):
        small(estimator, tokens=True).fit([np.ones((3, 2), dtype=int)] * 24, y)
    with pytest.raises(TypeError, match="tokenizer must cut a str into a list of str"):
        small(estimator, tokenizer=len).fit(make_texts(), y)


# -- X of predict against X of fit


def test_other_number_of_features(estimator, X, y):
    fitted = small(estimator).fit(X, y)
    words = f"X has 3 features, but {type(estimator).__name__} is expecting 2 features as input"
    other = make_sequences(n_features=3)
    for container in (other, np.ones((4, 5, 3)), check_sequences(other), panel_frame(other)):
        with pytest.raises(ValueError, match=words):
            fitted.predict(container)
    with pytest.raises(ValueError, match=words):
        fitted.partial_fit(other, y)
    with pytest.raises(ValueError, match=words):
        fitted.set_params(warm_start=True).fit(other, y)


def test_table_for_a_model_of_several_features(estimator, X, y):
    fitted = small(estimator).fit(X, y)
    for table in (X[0], pd.DataFrame(X[0]), torch.from_numpy(X[0])):
        with pytest.raises(ValueError, match=r"one sequence\? wrap it in a list"):
            fitted.predict(table)
    assert len(fitted.predict([X[0]])) == 1


def test_table_of_other_width(estimator, y):
    table = np.random.default_rng(0).normal(size=(24, 5))
    fitted = small(estimator).fit(table, y)
    with pytest.raises(ValueError, match="X has 4 features, but .* is expecting 5 features as input"):
        fitted.predict(table[:, :4])
    assert len(fitted.predict(list(table[:, :4]))) == 24  # a list counts features per step


def test_another_kind_of_X(estimator, X, y):
    fitted = small(estimator).fit(X, y)
    with pytest.raises(ValueError, match="X must hold numbers as in fit, got tokens"):
        fitted.predict(["ab"])
    fitted = small(estimator).fit(make_texts(), y)
    with pytest.raises(ValueError, match="X must hold tokens as in fit, got numbers"):
        fitted.predict(X)


def test_feature_names(estimator, X, y):
    frame = panel_frame(X).set_axis(["level", "slope"], axis=1)
    fitted = small(estimator).fit(frame, y)
    assert fitted.feature_names_in_.tolist() == ["level", "slope"]
    expected = outputs(fitted, frame)
    for columns in (["slope", "level"], ["level", "other"]):
        with pytest.raises(ValueError, match="[Ff]eature names"):
            fitted.predict(frame.set_axis(columns, axis=1))
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        assert_same(outputs(fitted, panel_frame(X)), expected)
    assert not hasattr(small(estimator).fit(X, y), "feature_names_in_")
    assert not hasattr(fitted.fit(X, y), "feature_names_in_")


def test_feature_names_of_tables_and_of_lists_of_frames(estimator, X, y):
    table = pd.DataFrame(np.stack([x[:3, 0] for x in X]), columns=["t0", "t1", "t2"])
    fitted = small(estimator).fit(table, y)
    assert fitted.feature_names_in_.tolist() == ["t0", "t1", "t2"]
    with pytest.raises(ValueError, match="[Ff]eature names"):
        fitted.predict(table[["t1", "t0", "t2"]])
    frames = [pd.DataFrame(x, columns=["level", "slope"]) for x in X]
    fitted = small(estimator).fit(frames, y)
    assert fitted.feature_names_in_.tolist() == ["level", "slope"]
    with pytest.raises(ValueError, match="[Ff]eature names"):
        fitted.predict([frame[["slope", "level"]] for frame in frames])


# -- y and weights


def test_y_of_another_length(estimator, X, y):
    with pytest.raises(ValueError, match=r"each of the 24 sequences of X, got inconsistent numbers of samples: 23"):
        small(estimator).fit(X, y[:-1])
    with pytest.raises(ValueError, match="y must have as many samples as X, 24, but it has 23"):
        small(estimator).fit(X, make_step_targets(estimator, X)[:-1])
    steps = make_step_targets(estimator, X)
    steps[4] = steps[4][:-1]
    with pytest.raises(ValueError, match="one entry per step of X, but sample 4 has"):
        small(estimator).fit(X, steps)
    fitted = small(estimator).fit(X, y)
    with pytest.raises(ValueError, match="each of the 24 sequences of X"):
        fitted.score(X, y[:-1])
    with pytest.raises(ValueError, match="each of the 24 sequences of X"):
        fitted.partial_fit(X, y[:-1])


def test_no_y(estimator, X):
    with pytest.raises(ValueError, match="requires y to be passed, but the target y is None"):
        small(estimator).fit(X, None)


def test_kinds_of_y_do_not_mix(estimator, X, y):
    fitted = small(estimator).fit(X, y)
    steps = make_step_targets(estimator, X)
    for call in (fitted.score, fitted.partial_fit):
        with pytest.raises(ValueError, match="y must hold one target a sequence as in fit, got one target for every"):
            call(X, steps)
    fitted = small(estimator).fit(X, steps)
    for call in (fitted.score, fitted.partial_fit):
        with pytest.raises(ValueError, match="y must hold one target for every step as in fit, got one target a seq"):
            call(X, y)


def test_ambiguous_y_is_asked_about(estimator):
    X = np.stack(make_sequences(lengths=(5, 6)))
    y = make_targets(estimator, 24 * 5).reshape(24, 5)
    with pytest.raises(ValueError, match=r"can mean 5 outputs a sequence or one target a step.*per_step=True"):
        small(estimator).fit(X, y)
    steps = small(estimator, per_step=True).fit(X, y)
    assert_same(outputs(steps, X), outputs(small(estimator, per_step=True).fit(list(X), list(y)), X))
    assert steps.predict(X).shape == (24, 5)
    several = small(estimator, per_step=False).fit(X, y)
    assert several.predict(X).shape == (24, 5)
    assert steps.n_parameters_ != several.n_parameters_
    # nothing to ask where the second axes differ, or where y has an axis of its own for steps
    assert small(estimator).fit(X, y[:, :4]).predict(X).shape == (24, 4)
    assert_same(outputs(small(estimator).fit(X, y[:, :, np.newaxis]), X), outputs(steps, X))


def test_per_step_against_y(estimator, X, y):
    with pytest.raises(ValueError, match="one target a step when per_step=True, got shape"):
        small(estimator, per_step=True).fit(X, y)
    with pytest.raises(ValueError, match="one target a sequence when per_step=False"):
        small(estimator, per_step=False).fit(X, make_step_targets(estimator, X))


def test_instances_of_y_in_another_order(estimator, X, y):
    frame = panel_frame(X)
    instances = pd.Series(y, index=range(len(y)))
    expected = outputs(small(estimator).fit(frame, y), X)
    assert_same(outputs(small(estimator).fit(frame, instances), X), expected)
    with pytest.raises(ValueError, match="y is matched with the instances of X by position.*position 0 it has 23"):
        small(estimator).fit(frame, instances[::-1])
    steps = pd.Series(np.concatenate(make_step_targets(estimator, X)), index=frame.index)
    assert_same(
        outputs(small(estimator).fit(frame, steps), X),
        outputs(small(estimator).fit(X, make_step_targets(estimator, X)), X),
    )


@pytest.mark.parametrize(
    ("weight", "words"),
    [
        (np.ones(23), "sample_weight.shape == \\(23,\\), expected \\(24,\\)"),
        (np.full(24, -1.0), "[Nn]egative values in data passed to `?sample_weight"),
        (np.full(24, np.nan), "sample_weight contains NaN"),
        (np.full(24, np.inf), "sample_weight contains infinity"),
        (np.zeros(24), "only zeros|at least one non-zero"),
        (np.ones((24, 2)), "Sample weights must be 1D"),
    ],
    ids=["length", "negative", "NaN", "infinite", "zeros", "axes"],
)
def test_bad_weights(estimator, X, y, weight, words):
    for targets in (y, make_step_targets(estimator, X)):
        with pytest.raises(ValueError, match=words):
            small(estimator).fit(X, targets, sample_weight=weight)


def test_loss_and_gradient_of_weights_equal_those_of_repetition(estimator, X, y):
    """One batch in float32: weights 1, 2 and 3, and sequences that are there once, twice and three times."""
    times = np.arange(24) % 3 + 1
    repeated = np.repeat(np.arange(24), times)
    for per_step in (False, True):
        targets = make_step_targets(estimator, X) if per_step else y
        fitted = small(estimator, dropout=0.0, input_noise=0.0).fit(X, targets)
        sums = []
        for indices, weight in ((np.arange(24), times.astype(float)), (repeated, None)):
            part = [targets[i] for i in indices]
            sequences = check_sequences([X[i] for i in indices])
            dataset = fitted._dataset(X, sequences, part, weight, reset=False)
            batch = next(iter(fitted.net_.get_iterator(dataset)))
            fitted.net_.module_.zero_grad()
            step = fitted.net_.train_step_single(batch)
            gradient = torch.cat([p.grad.flatten() for p in fitted.module_.parameters()])
            sums.append((step["loss"].item(), gradient.numpy().copy()))
        assert sums[0][0] == pytest.approx(sums[1][0], rel=1e-5)
        np.testing.assert_allclose(sums[0][1], sums[1][1], rtol=1e-5, atol=1e-6)


# -- parameters

OUT_OF_RANGE = [
    ("cell", "lstn"),
    ("cell", 3),
    ("hidden_size", 0),
    ("hidden_size", 2.5),
    ("num_layers", 0),
    ("bidirectional", "yes"),
    ("bias", None),
    ("nonlinearity", "sine"),
    ("go_backwards", 2),
    ("initial_state", "ones"),
    ("dropout", 1.0),
    ("dropout", -0.1),
    ("input_noise", -0.1),
    ("pooling", "first"),
    ("input", "table"),
    ("step_network", len),
    ("tokenizer", "sentence"),
    ("tokens", "all"),
    ("embedding_dim", 0),
    ("embeddings", [1.0]),
    ("max_tokens", 0),
    ("min_frequency", 0),
    ("standardize", None),
    ("missing", "drop"),
    ("per_step", "all"),
    ("network", "big"),
    ("optimizer", "adm"),
    ("lr", 0.0),
    ("lr", -1.0),
    ("lr_schedule", "linear"),
    ("max_epochs", 0),
    ("max_epochs", "many"),
    ("batch_size", 0),
    ("max_batch_steps", 0),
    ("weight_decay", -0.1),
    ("max_grad_norm", 0.0),
    ("max_grad_value", -1.0),
    ("normalize_grad", "yes"),
    ("early_stopping", "yes"),
    ("validation_fraction", 1.0),
    ("validation_fraction", 0.0),
    ("n_iter_no_change", 0),
    ("tol", -1.0),
    ("device", 3),
    ("precision", "float8"),
    ("callbacks", HalveWeights()),
    ("warm_start", "yes"),
    ("verbose", -1),
    ("random_state", "seed"),
]


@pytest.mark.parametrize(("name", "value"), OUT_OF_RANGE, ids=shown)
def test_parameters_out_of_range(estimator, X, y, name, value):
    model = small(estimator).set_params(**{name: value})
    with pytest.raises((ValueError, TypeError), match=f"The '{name}' parameter of {type(estimator).__name__}"):
        model.fit(X, y)
    assert not hasattr(model, "net_")


def test_every_parameter_has_a_range(estimator):
    held = {name for name, _ in OUT_OF_RANGE} | {"class_weight", "loss"}  # held with their estimators
    assert set(estimator.get_params(deep=False)) <= held


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"go_backwards": True, "bidirectional": True}, "go_backwards=True needs bidirectional=False"),
        ({"nonlinearity": "relu"}, "nonlinearity='relu' needs None or one of .* as cell, got cell='lstm'"),
        ({"cell": torch.nn.LSTM}, "cell must be a name, a Cell class or a Cell"),
        ({"embeddings": {"a": np.ones(3)}}, "embeddings must be left at None"),
        ({"embedding_dim": 5}, "embedding_dim must be left at .* X holds values"),
        ({"max_tokens": 5}, "max_tokens must be left at .* X holds values"),
        ({"min_frequency": 5}, "min_frequency must be left at .* X holds values"),
        ({"lr_schedule": "cosine", "callbacks": [LRScheduler("StepLR", step_size=1)]}, "LRScheduler among callbacks"),
    ],
    ids=shown,
)
def test_parameters_that_do_not_fit(estimator, X, y, params, words):
    with pytest.raises((ValueError, TypeError), match=words):
        small(estimator, **params).fit(X, y)


def test_unknown_device(estimator, X, y):
    with pytest.raises((ValueError, RuntimeError), match="device"):
        small(estimator, device="nowhere").fit(X, y)


def test_constructor_takes_most_parameters_by_keyword_only(estimator):
    model = type(estimator)("gru", 16, 2)
    assert (model.cell, model.hidden_size, model.num_layers) == ("gru", 16, 2)
    with pytest.raises(TypeError, match="positional"):
        type(estimator)("gru", 16, 2, True)


def test_display_shows_what_differs_from_the_defaults(estimator):
    name = type(estimator).__name__
    assert repr(estimator) == f"{name}()"
    assert repr(type(estimator)(cell="gru", hidden_size=16)) == f"{name}(cell='gru', hidden_size=16)"
    assert "gru" in type(estimator)(cell="gru")._repr_html_()


def test_defaults_are_plain(estimator):
    for name, value in estimator.get_params(deep=False).items():
        assert isinstance(value, str | int | float | bool | None), name


def test_tags(estimator):
    tags = get_tags(estimator)
    assert tags.input_tags.three_d_array
    assert tags.input_tags.two_d_array
    assert tags.target_tags.required
    assert tags.target_tags.multi_output
    assert not tags.non_deterministic
    assert not tags.input_tags.allow_nan
    assert get_tags(estimator.set_params(missing="mask")).input_tags.allow_nan


# -- what is there after fit


def test_attributes(estimator, X, y):
    model = small(estimator)
    for name in ("history_", "module_", "n_iter_", "loss_curve_"):
        with pytest.raises((NotFittedError, AttributeError)):
            getattr(model, name)
        assert not hasattr(model, name)
    with pytest.raises(NotFittedError, match="not fitted"):
        model.predict(X)
    model.fit(X, y)
    assert model.n_features_in_ == 2
    assert model.n_iter_ == len(model.history_) == len(model.loss_curve_) == 3
    assert all(isinstance(loss, float) for loss in model.loss_curve_)
    assert isinstance(model.module_, torch.nn.Module)
    assert model.module_ is model.net_.module_
    assert {"train_loss", "dur", "event_lr", "epoch"} <= set(model.history_[-1])
    assert model.n_parameters_ == 4 * 8 * (2 + 8 + 2) + 9 * n_outputs(estimator)
    assert type(model.n_parameters_) is int
    assert not hasattr(model, "validation_scores_")
    with pytest.raises(AttributeError, match="vocabulary_ only when it was fitted on text or tokens"):
        _ = model.vocabulary_
    assert not hasattr(model, "vocabulary_")


def test_vocabulary_is_forgotten_by_another_fit(estimator, X, y):
    fitted = small(estimator).fit(make_texts(), y)
    assert len(fitted.vocabulary_) > 1
    assert not hasattr(fitted.fit(X, y), "vocabulary_")


def test_validation_scores_are_forgotten_by_another_fit(estimator, X, y):
    fitted = small(estimator, early_stopping=True).fit(X, y)
    assert len(fitted.validation_scores_) == fitted.n_iter_
    assert not hasattr(fitted.set_params(early_stopping=False).fit(X, y), "validation_scores_")


def test_input_scaling_is_part_of_the_network(estimator, y):
    X = [x * [10.0, 0.1] + [5.0, -3.0] for x in make_sequences()]
    steps = np.concatenate(X)
    scaling = small(estimator).fit(X, y).module_.scaling
    np.testing.assert_allclose(scaling.mean, steps.mean(axis=0))
    np.testing.assert_allclose(scaling.scale, steps.std(axis=0))
    assert scaling.mean.dtype == torch.float64
    off = small(estimator, standardize=False).fit(X, y).module_.scaling
    assert off.mean.tolist() == [0, 0]
    assert off.scale.tolist() == [1, 1]


def test_constant_features(estimator, X, y):
    """They are left out by the scaling, and do not divide by zero."""
    constant = [np.column_stack([x, np.full(len(x), 3.0)]) for x in X]
    assert np.isfinite(outputs(small(estimator).fit(constant, y), constant)).all()
    assert np.isfinite(outputs(small(estimator).fit(np.ones((24, 4)), y), np.ones((24, 4)))).all()


@pytest.mark.parametrize("scale", [1e-150, 1e150])
def test_extreme_units(estimator, X, y, scale):
    extreme = [x * scale for x in X]
    assert np.isfinite(outputs(small(estimator).fit(extreme, y), extreme)).all()


def test_float64(estimator, X, y):
    fitted = small(estimator, precision="float64").fit(X, y)
    assert {weight.dtype for weight in fitted.module_.parameters()} == {torch.float64}
    out = outputs(fitted, X)
    assert distance(np.concatenate([outputs(fitted, [x]) for x in X]), out) < 1e-12
    assert out.dtype == np.float64
    assert outputs(small(estimator).fit(X, y), X).dtype == np.float64


def test_model_of_a_device_that_is_not_there(estimator, X, y):
    """A pickle made where there was one is read, and goes on, where there is none."""
    fitted = small(estimator).fit(X, y)
    expected = outputs(fitted, X)
    fitted.device = next(kind for kind in ("mps", "xpu", "cuda") if not is_there(kind))
    other = pickle.loads(pickle.dumps(fitted))
    assert_close(outputs(other, X), expected)
    assert other.device == fitted.device
    other.set_params(device="auto").partial_fit(X, y)


# -- early stopping


def test_early_stopping_restores_the_best_weights(estimator, X, y):
    class WorseAndWorse(Callback):
        """Spoils the weights from the third epoch on."""

        def on_epoch_begin(self, net, **kwargs):
            if len(net.history) > 2:
                with torch.no_grad():
                    net.module_.head.linear.bias.add_(torch.arange(net.module_.head.n_outputs) * 50.0 + 50.0)

    data = [x + 5 * (np.unique(y, return_inverse=True)[1][i] % 3) for i, x in enumerate(X)]
    params = {"early_stopping": True, "max_epochs": 50, "n_iter_no_change": 3, "validation_fraction": 0.3, "lr": 0.02}
    fitted = small(estimator, callbacks=[WorseAndWorse()], **params).fit(data, y)
    scores = fitted.validation_scores_
    assert len(scores) == fitted.n_iter_ < 50
    assert np.argmax(scores) < 3
    assert np.abs(fitted.module_.head.linear.bias.detach().numpy()).max() < 10
    assert fitted.predict(data).shape == (24,)


@pytest.mark.parametrize("n_samples", [1, 2, 3])
def test_validation_split_that_would_be_empty(estimator, n_samples):
    X = make_sequences(4)[:n_samples]
    y = np.array(["a", "b", "a"])[:n_samples] if is_classifier(estimator) else np.arange(float(n_samples))
    model = small(estimator, early_stopping=True, validation_fraction=0.9)
    words = "only one class" if n_samples == 1 and is_classifier(estimator) else "early_stopping=True needs at least"
    with pytest.raises(ValueError, match=words):
        model.fit(X, y)
    assert not hasattr(model, "net_")


def test_partial_fit_has_no_early_stopping(estimator, X, y):
    with pytest.raises(ValueError, match="partial_fit .* needs early_stopping=False, got True"):
        small(estimator, early_stopping=True).partial_fit(X, y)


# -- interruption


class Interrupt(Callback):
    """Does something in the second epoch, at one of skorch's places."""

    def __init__(self, action, at="on_epoch_end"):
        self.action = action
        self.at = at

    def _act(self, net, at):
        if at == self.at and len(net.history) == 2:
            self.action()

    def on_epoch_begin(self, net, **kwargs):
        self._act(net, "on_epoch_begin")

    def on_epoch_end(self, net, **kwargs):
        self._act(net, "on_epoch_end")

    def on_batch_end(self, net, **kwargs):
        self._act(net, "on_batch_end")

    def on_grad_computed(self, net, named_parameters, **kwargs):
        self._act(net, "on_grad_computed")


def send_signal():
    signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("action", [send_signal, _thread.interrupt_main], ids=["signal", "interrupt_main"])
@pytest.mark.parametrize("at", ["on_epoch_end", "on_epoch_begin", "on_batch_end", "on_grad_computed"])
@pytest.mark.parametrize("early_stopping", [False, True])
def test_interruption_keeps_what_was_learnt(estimator, X, y, action, at, early_stopping):
    model = small(estimator, max_epochs=10, callbacks=[Interrupt(action, at)], early_stopping=early_stopping)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, y)
    assert model.n_iter_ <= 3
    out = outputs(model, X)
    assert np.isfinite(out).all()
    assert_same(outputs(model, X), out)
    model.set_params(callbacks=None)
    assert_same(outputs(pickle.loads(pickle.dumps(model)), X), out)
    if not early_stopping:
        model.partial_fit(X, y)


def test_interruption_by_a_handler_of_the_user(estimator, X, y):
    """A handler in Python has a raise statement of its own, and is no callback that stops training all the same."""

    def handler(number, frame):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            small(estimator, max_epochs=10, callbacks=[Interrupt(send_signal)]).fit(X, y)
    finally:
        signal.signal(signal.SIGINT, before)


def test_interruption_stops_a_search(estimator, X, y):
    model = small(estimator, max_epochs=10, callbacks=[Interrupt(send_signal)])
    with pytest.raises(KeyboardInterrupt):
        GridSearchCV(model, {"hidden_size": [4, 8]}, cv=2).fit(X, y)


def test_interruption_puts_the_number_of_threads_back(estimator, X, y):
    before = torch.get_num_threads()
    with pytest.raises(KeyboardInterrupt):
        small(estimator, callbacks=[Interrupt(send_signal)]).fit(X, y)
    assert torch.get_num_threads() == before


def test_callbacks_that_stop_training_end_it_normally(estimator, X, y):
    """Skorch's raise KeyboardInterrupt; that is no Ctrl-C."""
    stopping = EarlyStopping("train_loss", patience=2, threshold=1e9, sink=lambda line: None)
    fitted = small(estimator, max_epochs=10, callbacks=[stopping]).fit(X, y)
    assert fitted.n_iter_ == 3
    assert np.isfinite(outputs(fitted, X)).all()


# -- skorch's callbacks


def test_skorch_callbacks(estimator, X, y, tmp_path):
    scoring = "accuracy" if is_classifier(estimator) else "r2"
    callbacks = [
        ("mine", EpochScoring(scoring, name="mine", on_train=True, lower_is_better=False)),
        EarlyStopping("train_loss", patience=20),
        LRScheduler("StepLR", step_size=1, gamma=0.5),
        Checkpoint(monitor="train_loss_best", dirname=str(tmp_path), sink=lambda line: None),
        GradientNormClipping(0.5),
        Freezer("recurrent.*"),
    ]
    fitted = small(estimator, callbacks=callbacks, lr=0.003).fit(X, y)
    assert np.isfinite(fitted.history_[:, "mine"]).all()
    assert fitted.history_[:, "event_lr"] == pytest.approx([0.003, 0.0015, 0.00075])
    assert (tmp_path / "params.pt").exists()
    frozen = {name for name, weight in fitted.module_.named_parameters() if not weight.requires_grad}
    assert frozen == {name for name, _ in fitted.module_.named_parameters() if name.startswith("recurrent")}


def test_frozen_embeddings(estimator, y):
    rng = np.random.default_rng(0)
    vectors = {word: rng.normal(size=6).astype(np.float32) for word in [*WORDS, "navy"]}
    params = {"tokenizer": "word", "embeddings": vectors, "callbacks": [Freezer("embedding.*")]}
    X = make_texts()
    fitted = small(estimator, **params).fit(X, y)
    weights = fitted.module_.embedding.embedding.weight.detach().numpy()
    for code, word in enumerate(fitted.vocabulary_):
        if word in vectors:
            np.testing.assert_array_equal(weights[code], vectors[word])
    assert distance(outputs(fitted, ["red navy"]), outputs(fitted, ["red unheard"])) > 0
    # stays frozen through a pickle
    other = pickle.loads(pickle.dumps(fitted)).partial_fit(X, y)
    np.testing.assert_array_equal(other.module_.embedding.embedding.weight.detach().numpy(), weights)


@pytest.mark.parametrize(
    ("vectors", "error", "words"),
    [
        ({"red": np.ones(3), "blue": np.ones(4)}, ValueError, "embeddings must map every token to numbers, as many"),
        ({"red": "abc"}, ValueError, "embeddings must map every token to numbers.*'abc'"),
        ({}, ValueError, "embeddings must map one token or more"),
        ({"red": 1.0}, ValueError, r"got vectors of shape \(\) for 1 tokens"),
        ({"red": np.full(3, np.nan)}, ValueError, "embeddings must map .* to vectors of finite numbers"),
        ({"red": np.ones(3), 3: np.ones(3)}, TypeError, r"tokens of X, which are str, got 3 \(int\)"),
    ],
    ids=["unequal", "text", "empty", "number", "NaN", "integer token"],
)
def test_bad_embeddings(estimator, y, vectors, error, words):
    with pytest.raises(error, match=words):
        small(estimator, tokenizer="word", embeddings=vectors).fit(make_texts(), y)


def test_embeddings_of_integer_tokens(estimator, y):
    X = [np.arange(2) + i % 3 for i in range(24)]
    vectors = {0: np.ones(4), np.int64(50): np.zeros(4)}
    fitted = small(estimator, tokens=True, embeddings=vectors).fit(X, y)
    assert set(fitted.vocabulary_[1:]) == {0, 1, 2, 3, 50}
    assert distance(outputs(fitted, [[0, 50]]), outputs(fitted, [[0, 60]])) > 0
    with pytest.raises(TypeError, match="tokens of X, which are Integral, got 'a'"):
        small(estimator, tokens=True, embeddings={"a": np.ones(3)}).fit(X, y)


def test_every_token_cannot_be_unknown(estimator, y):
    with pytest.raises(ValueError, match="input_noise is the share of tokens read as unknown and must be below 1"):
        small(estimator, input_noise=1.0).fit(make_texts(), y)


# -- a user's own network and cell


def own_network(estimator, **params):
    return seeded_module(MeanNetwork, 2, n_outputs(estimator), **params)


def test_own_network(estimator, X, y):
    network = own_network(estimator)
    fitted = small(estimator, network=network, max_epochs=20, lr=0.05).fit(X, y)
    out = outputs(fitted, X)
    assert fitted.n_parameters_ == 3 * n_outputs(estimator)
    assert fitted.loss_curve_[-1] < fitted.loss_curve_[0]
    assert_close(np.concatenate([outputs(fitted, [x]) for x in X]), out)
    # what it sees is standardised; what it gives is read by the head
    mean, scale = (getattr(fitted.module_.scaling, name).numpy() for name in ("mean", "scale"))
    linear = fitted.module_.module.linear
    weight, bias = linear.weight.detach().numpy(), linear.bias.detach().numpy()
    raw = np.stack([((x - mean) / scale).mean(axis=0) for x in X]) @ weight.T + bias
    if is_classifier(estimator):
        expected = np.exp(raw) / np.exp(raw).sum(axis=1, keepdims=True)
    else:
        expected = raw[:, 0] * y.std() + y.mean()
    np.testing.assert_allclose(out, expected, rtol=1e-5, atol=1e-6)


def test_own_network_per_step(estimator, X):
    steps = make_step_targets(estimator, X)
    fitted = small(estimator, network=own_network(estimator, per_step=True)).fit(X, steps)
    assert [len(out) for out in fitted.predict(X)] == [len(x) for x in X]


def test_own_network_of_another_width(estimator, X, y):
    network = MeanNetwork(2, 7)
    with pytest.raises(ValueError, match=r"network must return raw outputs of shape .* got \(8, 7\)"):
        small(estimator, network=network).fit(X, y)
    with pytest.raises(ValueError, match="network must return raw outputs of shape"):
        small(estimator, network=own_network(estimator)).fit(X, make_step_targets(estimator, X))


@pytest.mark.parametrize(
    "params",
    [{"cell": "gru"}, {"hidden_size": 9}, {"bidirectional": True}, {"dropout": 0.7}, {"pooling": "mean"}],
    ids=shown,
)
def test_own_network_beside_parameters_of_the_recurrent_one(estimator, X, y, params):
    (name,) = params
    with pytest.raises(ValueError, match=f"{name} must be left at .* network takes the place"):
        small(estimator, network=own_network(estimator), **params).fit(X, y)


def test_pooling_beside_targets_per_step(estimator, X):
    with pytest.raises(ValueError, match="pooling must be left at 'last', got 'mean': it has no effect"):
        small(estimator, pooling="mean").fit(X, make_step_targets(estimator, X))


def test_own_network_beside_a_schedule_of_skorch(estimator, X, y):
    schedule = ("lr", LRScheduler("StepLR", step_size=1, gamma=0.1))
    fitted = small(estimator, network=own_network(estimator), callbacks=[schedule], lr=0.1).fit(X, y)
    assert fitted.history_[:, "event_lr"] == pytest.approx([0.1, 0.01, 0.001])


def test_unknown_cell_is_answered_with_the_known_ones(estimator, X, y):
    with pytest.raises(ValueError, match="The 'cell' parameter of .*'gru'"):
        small(estimator, cell="lsmt").fit(X, y)


@pytest.mark.parametrize(("name", "kind"), [("lstm", LSTMCell), ("gru", GRUCell), ("rnn", ElmanCell)])
def test_cell_by_name_class_and_instance(estimator, X, y, name, kind):
    expected = outputs(small(estimator, cell=name).fit(X, y), X)
    assert_same(outputs(small(estimator, cell=kind).fit(X, y), X), expected)
    instance = kind()
    fitted = small(estimator, cell=instance).fit(X, y)
    assert_same(outputs(fitted, X), expected)
    assert fitted.cell is instance
    assert_same(outputs(clone(fitted).fit(X, y), X), expected)
    assert_same(outputs(pickle.loads(pickle.dumps(fitted)), X), expected)


class LeakyCell(Cell):
    """A user's own recurrence."""

    def forward(self, x_t, state):
        (h,) = state
        a = torch.nn.functional.linear(x_t, self.weight_ih, self.bias_ih)
        a = a + torch.nn.functional.linear(h, self.weight_hh, self.bias_hh)
        return (0.5 * h + 0.5 * torch.tanh(a),)


def test_own_cell(estimator, X, y):
    fitted = small(estimator, cell=LeakyCell, bidirectional=True).fit(X, y)
    out = outputs(fitted, X)
    assert_close(np.concatenate([outputs(fitted, [x]) for x in X]), out)
    assert distance(out, outputs(small(estimator, cell="rnn", bidirectional=True).fit(X, y), X)) > 0
    assert_same(outputs(pickle.loads(pickle.dumps(fitted)), X), out)


def test_own_optimizer(estimator, X, y):
    expected = outputs(small(estimator, optimizer="sgd").fit(X, y), X)
    assert_same(outputs(small(estimator, optimizer=torch.optim.SGD).fit(X, y), X), expected)


def test_gru_reads_the_fused_equations_that_the_cell_writes_out(estimator, X, y):
    """A cell without a kernel is unrolled: the same model, up to rounding."""

    class Unrolled(GRUCell):
        kernel = None

    expected = outputs(small(estimator, cell="gru", dropout=0.0).fit(X, y), X)
    np.testing.assert_allclose(
        outputs(small(estimator, cell=Unrolled(), dropout=0.0).fit(X, y), X), expected, atol=1e-4
    )


# -- metadata routing


@pytest.fixture
def routing():
    with config_context(enable_metadata_routing=True):
        yield


@pytest.mark.usefixtures("routing")
def test_routing_of_weights(estimator, X, y):
    weight = np.linspace(0.1, 2, len(X))
    assert_same(
        outputs(small(estimator).fit(X, y, sample_weight=weight), X),
        outputs(small(estimator).set_fit_request(sample_weight=True).fit(X, y, sample_weight=weight), X),
    )
    model = small(estimator).set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
    search = GridSearchCV(model, {"hidden_size": [4, 8]}, cv=KFold(2), error_score="raise")
    search.fit(X, y, sample_weight=weight)
    best = small(estimator, **search.best_params_).fit(X, y, sample_weight=weight)
    assert_same(outputs(search.best_estimator_, X), outputs(best, X))
    result = cross_validate(model, X, y, params={"sample_weight": weight}, cv=2, error_score="raise")
    assert np.isfinite(result["test_score"]).all()
    pipe = make_pipeline(TimeDistributed(StandardScaler()), model).fit(X, y, sample_weight=weight)
    assert len(pipe.predict(X)) == len(X)


@pytest.mark.usefixtures("routing")
def test_fit_is_the_same_with_routing(estimator, X, y):
    with config_context(enable_metadata_routing=False):
        expected = outputs(small(estimator, early_stopping=True).fit(X, y), X)
    assert_same(outputs(small(estimator, early_stopping=True).fit(X, y), X), expected)
    fitted = small(estimator).partial_fit(X, y, sample_weight=np.ones(24))
    assert np.isfinite(fitted.score(X, y, sample_weight=np.ones(24)))


# -- panels and parallel searches


def test_folds_of_a_frame_are_made_by_check_sequences(estimator, X, y):
    frame = panel_frame(X)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        GridSearchCV(small(estimator), {"hidden_size": [4]}, cv=2).fit(frame, y)
    search = GridSearchCV(small(estimator), {"hidden_size": [4]}, cv=2, error_score="raise")
    assert len(search.fit(check_sequences(frame), y).predict(frame)) == 24


def test_parallel_search_gives_the_serial_results(estimator):
    X = np.random.default_rng(0).normal(size=(400, 60, 6))  # large enough for joblib to pass on as a memory map
    y = make_targets(estimator, len(X))
    grid = {"hidden_size": [4, 8]}
    results = [
        GridSearchCV(small(estimator, max_epochs=1, batch_size=64), grid, cv=2, n_jobs=n_jobs, error_score="raise")
        .fit(X, y)
        .cv_results_["mean_test_score"]
        for n_jobs in (1, 2)
    ]
    np.testing.assert_array_equal(*results)


def test_parallel_search_on_a_list(estimator, X, y):
    model = small(estimator, max_epochs=1)
    results = []
    for n_jobs in (1, 2):
        pipe = make_pipeline(TimeDistributed(StandardScaler()), model)
        name = type(estimator).__name__.lower()
        search = GridSearchCV(pipe, {f"{name}__cell": ["lstm", "rnn"]}, cv=2, n_jobs=n_jobs, error_score="raise")
        results.append(search.fit(X, y).cv_results_["mean_test_score"])
    np.testing.assert_array_equal(*results)


def test_sequences_stay_as_they_are(estimator, X, y):
    sequences = check_sequences(X)
    values = sequences.values.copy()
    small(estimator).fit(sequences, y).predict(sequences)
    assert isinstance(sequences, Sequences)
    np.testing.assert_array_equal(sequences.values, values)


# --- training that goes on, and its validation ---


@pytest.mark.parametrize("change", [{"hidden_size": 5}, {"cell": "gru"}, {"missing": "mask"}, {"precision": "float64"}])
def test_training_that_goes_on_refuses_another_network(change):
    X, y = [np.ones((n % 3 + 1, 2)) for n in range(12)], np.arange(12) % 2
    model = RNNClassifier(hidden_size=4, max_epochs=1, warm_start=True, random_state=0).fit(X, y)
    with pytest.raises(ValueError, match=rf"must stay as they were, but \['{next(iter(change))}'\] changed"):
        model.set_params(**change).fit(X, y)


def test_flags_of_missing_values_cannot_be_left_out_later():
    X, y = [np.ones((n % 3 + 1, 2)) for n in range(12)], np.arange(12) % 2
    model = RNNClassifier(hidden_size=4, max_epochs=1, missing="mask", warm_start=True, random_state=0).fit(X, y)
    with pytest.raises(ValueError, match=r"must stay as they were, but \['missing'\] changed"):
        model.set_params(missing="error").fit(X, y)


@pytest.mark.parametrize("options", [{}, {"num_layers": 2, "bidirectional": True}], ids=["one", "four"])
@pytest.mark.parametrize("cell", [*sorted(CELLS), None])
def test_every_cell_by_name(estimator, X, cell, options):
    y, missing = np.arange(len(X)) % 2, "error"
    if cell in ("jordan", "elman-jordan"):  # what they read is the output, which two directions make together
        options = {name: value for name, value in options.items() if name != "bidirectional"}
    if cell == "grud":
        missing, X[3][1, 0] = "mask", np.nan
    fitted = small(estimator, cell=cell, missing=missing, max_epochs=1, **options)
    for targets in (y, [np.arange(len(x)) % 2 for x in X]):  # one a sequence, one a step
        expected = outputs(fitted.fit(X, targets), X)
        assert np.isfinite(expected).all()
        assert_same(outputs(pickle.loads(pickle.dumps(fitted)), X), expected)
        assert_close(outputs(fitted, X[:1]), expected[: len(outputs(fitted, X[:1]))])


@pytest.mark.parametrize("cell", ["trace", None])
def test_cells_that_start_from_nothing_learn_no_start(cell):
    with pytest.raises(ValueError, match="initial_state='learned' needs a cell that starts from a state, got .* Leave"):
        RNNClassifier(cell=cell, initial_state="learned").fit([np.ones((2, 1))] * 4, [0, 1] * 2)


def test_statistics_are_those_of_the_training_part():
    X, y = [np.full((2, 1), float(n)) for n in range(20)], np.arange(20.0)
    options = {"hidden_size": 4, "max_epochs": 1, "early_stopping": True, "random_state": 0}
    model = RNNRegressor(**options, validation_fraction=0.5).fit(X, y, groups=np.arange(20) // 10)
    assert model.module_.scaling.mean.item() in (4.5, 14.5)
    assert model.module_.head.loc.item() in (4.5, 14.5)


def test_one_group_cannot_be_split():
    X, y = [np.ones((2, 1))] * 8, np.arange(8.0)
    with pytest.raises(ValueError, match="got 8 sequences in 1 groups in all with validation_fraction=0.1"):
        RNNRegressor(early_stopping=True).fit(X, y, groups=np.zeros(8))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_bad_target_is_named_by_its_place(bad):
    with pytest.raises(ValueError, match=r"Input y contains .*The first is at sample 3 \(counted from 0\)"):
        RNNRegressor().fit([np.ones((2, 1))] * 5, [0.0, 1.0, 2.0, bad, 4.0])


@pytest.mark.parametrize("change", [{"missing": "mask"}, {"standardize": False}])
def test_parameters_of_values_are_refused_for_text(change):
    with pytest.raises(ValueError, match=f"{next(iter(change))} must be left at .* since X holds tokens"):
        RNNClassifier(**change).fit(["ab", "ba"] * 4, [0, 1] * 4)
