"""RNNClassifier: what only labels have - kinds of labels, probabilities, class weights, and the tools around them."""

import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from checks import (
    MeanNetwork,
    assert_close,
    assert_same,
    distance,
    make_sequences,
    make_step_targets,
    make_targets,
    outputs,
    panel_frame,
    seeded_module,
    small,
)
from scipy.sparse import csr_matrix
from sklearn.calibration import CalibratedClassifierCV
from sklearn.decomposition import PCA
from sklearn.ensemble import BaggingClassifier, StackingClassifier, VotingClassifier
from sklearn.exceptions import DataConversionWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, log_loss, make_scorer
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
    StratifiedKFold,
    cross_val_predict,
    cross_val_score,
    train_test_split,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import get_tags

from sktime_rnn import RNNClassifier, TimeDistributed
from sktime_rnn.datasets import load_japanese_vowels
from sktime_rnn.model_selection import per_step_accuracy, per_step_f1


@pytest.fixture
def X():
    return make_sequences()


@pytest.fixture
def y(X):
    return make_targets(RNNClassifier(), len(X))


def classifier(**params):
    return small(RNNClassifier(), **params)


def learnable(n_samples=60, n_classes=3, seed=0):
    """Sequences whose mean tells their label."""
    rng = np.random.default_rng(seed)
    codes = np.arange(n_samples) % n_classes
    X = [code + 0.3 * rng.normal(size=(rng.integers(3, 10), 2)) for code in codes]
    return X, codes


def step_labels(X):
    """The sign of the running sum of the first feature, as a word: to be known, the past must be remembered."""
    return [np.where(np.cumsum(x[:, 0]) > 0, "above", "below") for x in X]


# -- labels of every type


@pytest.mark.parametrize(
    "names",
    [
        ["b", "a", "c"],
        np.array(["b", "a", "c"]),
        np.array(["b", "a", "c"], dtype=object),
        [7, -3, 100],
        [2.0, 1.0, 3.0],
        np.array([7, 250, 100], dtype=np.uint8),
    ],
    ids=["list of str", "str", "object", "int", "float", "uint8"],
)
def test_labels_of_any_type(names):
    X, codes = learnable()
    y = np.asarray(names)[codes]
    fitted = classifier(max_epochs=20, lr=0.02).fit(X, list(y) if isinstance(names, list) else y)
    np.testing.assert_array_equal(fitted.classes_, np.unique(y))
    assert fitted.classes_.dtype == fitted.predict(X).dtype == y.dtype
    assert (fitted.predict(X) == y).mean() == fitted.score(X, y) > 0.95


def test_two_classes():
    X, codes = learnable(n_classes=2)
    for y in (codes, codes.astype(bool), np.array(["no", "yes"])[codes]):
        fitted = classifier(max_epochs=20, lr=0.02).fit(X, y)
        decision, proba = fitted.decision_function(X), fitted.predict_proba(X)
        assert decision.shape == (60,)
        assert proba.shape == (60, 2)
        np.testing.assert_allclose(decision, np.log(proba[:, 1] / proba[:, 0]), rtol=1e-6)
        assert_same(fitted.classes_[(decision > 0).astype(int)], fitted.predict(X))
        assert fitted.score(X, y) > 0.95


def test_labels_of_pandas():
    X, codes = learnable()
    names = np.array(["low", "middle", "high"])[codes]
    expected = classifier().fit(X, names).predict(X)
    for y in (pd.Series(names), pd.Series(names, dtype="category"), pd.Series(names, dtype="string")):
        predicted = classifier().fit(X, y).predict(X)
        assert predicted.tolist() == expected.tolist()


def test_one_class_only(X):
    with pytest.raises(ValueError, match=r"y must hold at least two classes, got only one class: \['a'\]"):
        classifier().fit(X, ["a"] * 24)
    with pytest.raises(ValueError, match="got only one class"):
        classifier().fit(X, [np.zeros(len(x), dtype=int) for x in X])
    with pytest.raises(ValueError, match="got only one class"):
        classifier().fit(X, np.column_stack([np.arange(24) % 3, np.full(24, 2)]))


def test_values_are_no_labels(X):
    values = np.random.default_rng(0).normal(size=24)
    with pytest.raises(ValueError, match="Unknown label type: continuous"):
        classifier().fit(X, values)
    with pytest.raises(ValueError, match="Unknown label type: continuous"):
        classifier().fit(X, [x[:, 0] for x in X])


def test_missing_and_mixed_labels(X, y):
    labels = y.astype(object)
    labels[3] = None
    with pytest.raises((ValueError, TypeError), match="y|NoneType"):
        classifier().fit(X, labels)
    steps = [part.astype(object) for part in make_step_targets(RNNClassifier(), X)]
    steps[2][1] = np.nan
    with pytest.raises(ValueError, match="y must not have missing labels, but nan is at sample 2, step 1"):
        classifier().fit(X, steps)
    steps[2][1] = 3
    with pytest.raises(TypeError, match="nothing but str, or nothing but numbers.*3 at sample 2, step 1"):
        classifier().fit(X, steps)
    with pytest.raises(ValueError, match="y|NaN"):
        classifier().fit(X, np.where(np.arange(24) == 3, np.nan, np.arange(24) % 3))


# -- what comes out


def test_probabilities(X, y):
    fitted = classifier().fit(X, y)
    proba = fitted.predict_proba(X)
    assert proba.shape == (24, 3)
    np.testing.assert_allclose(proba.sum(axis=1), 1, rtol=1e-12)
    np.testing.assert_allclose(fitted.predict_log_proba(X), np.log(proba), rtol=1e-9)
    decision = fitted.decision_function(X)
    assert decision.shape == (24, 3)
    exponential = np.exp(decision)
    np.testing.assert_allclose(exponential / exponential.sum(axis=1, keepdims=True), proba, rtol=1e-9)
    assert_same(fitted.predict(X), fitted.classes_[proba.argmax(axis=1)])
    assert {out.dtype for out in (proba, decision, fitted.predict_log_proba(X))} == {np.dtype(np.float64)}


def test_logarithms_of_tiny_probabilities():
    """They are not the logarithm of a number that was rounded to zero."""
    X, codes = learnable(n_classes=2)
    fitted = classifier(max_epochs=5).fit(X, codes)
    with torch.no_grad():
        fitted.module_.head.linear.weight.mul_(1e5)
    assert fitted.predict_proba(X).min() == 0
    log_proba = fitted.predict_log_proba(X)
    assert np.isfinite(log_proba).all()
    assert log_proba.min() < -1000


def test_log_likelihood(X, y):
    fitted = classifier().fit(X, y)
    columns = np.searchsorted(fitted.classes_, y)
    expected = fitted.predict_log_proba(X)[np.arange(24), columns]
    np.testing.assert_allclose(fitted.log_likelihood(X, y), expected, rtol=1e-6)
    assert -fitted.log_likelihood(X, y).mean() == pytest.approx(log_loss(y, fitted.predict_proba(X)), rel=1e-6)


def test_log_likelihood_per_step(X):
    y = step_labels(X)
    fitted = classifier().fit(X, y)
    expected = [
        out[np.arange(len(out)), np.searchsorted(fitted.classes_, labels)].sum()
        for out, labels in zip(fitted.predict_log_proba(X), y, strict=True)
    ]
    np.testing.assert_allclose(fitted.log_likelihood(X, y), expected, rtol=1e-5)


def test_log_likelihood_of_several_labels(X):
    y = np.random.default_rng(0).integers(0, 2, size=(24, 4))
    fitted = classifier().fit(X, y)
    proba = fitted.predict_proba(X)
    expected = np.log(np.where(y, proba, 1 - proba)).sum(axis=1)
    np.testing.assert_allclose(fitted.log_likelihood(X, y), expected, rtol=1e-6)
    steps = [np.random.default_rng(i).integers(0, 2, size=(len(x), 4)) for i, x in enumerate(X)]
    fitted = classifier().fit(X, steps)
    expected = [
        np.log(np.where(labels, out, 1 - out)).sum() for labels, out in zip(steps, fitted.predict_proba(X), strict=True)
    ]
    np.testing.assert_allclose(fitted.log_likelihood(X, steps), expected, rtol=1e-5)


def test_log_likelihood_of_several_outputs(X, y):
    labels = np.column_stack([y, np.where(np.arange(24) % 2, "odd", "even")])
    fitted = classifier().fit(X, labels)
    expected = sum(
        out[np.arange(24), np.searchsorted(classes, column)]
        for out, classes, column in zip(fitted.predict_log_proba(X), fitted.classes_, labels.T, strict=True)
    )
    np.testing.assert_allclose(fitted.log_likelihood(X, labels), expected, rtol=1e-6)


def test_log_likelihood_of_unknown_labels(X, y):
    fitted = classifier().fit(X, y)
    with pytest.raises(
        ValueError, match=r"y must hold only the classes .* got \['other'\] as well, first at position 4"
    ):
        fitted.log_likelihood(X, np.where(np.arange(24) == 4, "other", y))


def test_score_takes_labels_never_seen(X, y):
    """They count as wrong, as in scikit-learn."""
    fitted = classifier().fit(X, y)
    assert fitted.score(X, ["other"] * 24) == 0


# -- a label per step


def test_labels_per_step():
    X = make_sequences(60, n_features=1, lengths=(1, 12))
    y = step_labels(X)
    fitted = classifier(max_epochs=40, lr=0.02, hidden_size=16).fit(X, y)
    predicted = fitted.predict(X)
    assert [out.tolist() for out in predicted] == [
        fitted.classes_[out.argmax(axis=1)].tolist() for out in fitted.predict_proba(X)
    ]
    steps = np.concatenate(predicted) == np.concatenate(y)
    assert fitted.score(X, y) == steps.mean() > 0.9
    weight = np.arange(60.0)
    by_step = np.repeat(weight, [len(x) for x in X])
    assert fitted.score(X, y, sample_weight=weight) == pytest.approx(np.average(steps, weights=by_step))
    assert [out.shape for out in fitted.predict_log_proba(X)] == [(len(x), 2) for x in X]
    assert [out.shape for out in fitted.decision_function(X)] == [(len(x),) for x in X]


def test_containers_of_labels_per_step(X):
    y = step_labels(X)
    expected = np.concatenate(classifier().fit(X, y).predict_proba(X))
    as_objects = np.empty(24, dtype=object)
    as_objects[:] = y
    index = panel_frame(X).index
    for labels in (
        [part.tolist() for part in y],
        tuple(y),
        as_objects,
        pd.Series(y),
        pd.Series(np.concatenate(y), index=index),
        pd.DataFrame({"label": np.concatenate(y)}, index=index),
        [pd.Series(part) for part in y],
        [part[:, np.newaxis] for part in y],
    ):
        assert_same(np.concatenate(classifier().fit(X, labels).predict_proba(X)), expected)
    codes = [(part == "below").astype(int) for part in y]
    assert_same(np.concatenate(classifier().fit(X, codes).predict_proba(X)), expected)


def test_array_of_labels_per_step():
    X = np.stack(make_sequences(lengths=(5, 6)))
    y = np.stack(step_labels(X))
    fitted = classifier().fit(X, list(y))
    assert_same(fitted.predict(X), classifier(per_step=True).fit(X, y).predict(X))
    assert fitted.predict(X).shape == (24, 5)
    assert fitted.predict_proba(X).shape == (24, 5, 2)
    assert isinstance(fitted.predict(list(X)), list)
    assert_same(np.concatenate(fitted.predict(list(X))), fitted.predict(X).ravel())


def test_labels_per_step_of_one_sequence(X):
    """One sequence is enough to train on, and to predict."""
    y = [np.where(np.arange(len(X[0])) % 2, "odd", "even")]
    fitted = classifier().fit(X[:1], y)
    assert [len(out) for out in fitted.predict(X[:1])] == [len(X[0])]


def test_early_stopping_per_step(X):
    fitted = classifier(early_stopping=True, validation_fraction=0.25, max_epochs=10).fit(X, step_labels(X))
    assert len(fitted.validation_scores_) == fitted.n_iter_
    assert all(0 <= score <= 1 for score in fitted.validation_scores_)


# -- several labels, several outputs


def test_several_labels():
    X, codes = learnable(n_classes=4)
    y = np.column_stack([codes % 2, codes // 2, codes == 3]).astype(int)
    fitted = classifier(max_epochs=40, lr=0.02).fit(X, y)
    proba = fitted.predict_proba(X)
    assert proba.shape == fitted.decision_function(X).shape == fitted.predict(X).shape == (60, 3)
    np.testing.assert_allclose(proba, 1 / (1 + np.exp(-fitted.decision_function(X))), rtol=1e-9)
    np.testing.assert_allclose(fitted.predict_log_proba(X), np.log(proba), rtol=1e-9)
    assert_same(fitted.predict(X), (proba > 0.5).astype(np.int64))
    assert fitted.score(X, y) == (fitted.predict(X) == y).all(axis=1).mean() > 0.8
    np.testing.assert_array_equal(fitted.classes_, [0, 1, 2])


def test_several_labels_per_step():
    X = make_sequences(60, lengths=(1, 9))
    y = [(np.cumsum(x, axis=0) > 0).astype(int) for x in X]  # (T, 2)
    fitted = classifier(max_epochs=40, lr=0.02, hidden_size=16).fit(X, y)
    assert [out.shape for out in fitted.predict(X)] == [part.shape for part in y]
    assert [out.shape for out in fitted.predict_proba(X)] == [part.shape for part in y]
    right = (np.concatenate(fitted.predict(X)) == np.concatenate(y)).all(axis=1)
    assert fitted.score(X, y) == right.mean() > 0.7
    booleans = [part.astype(bool) for part in y]
    other = classifier(max_epochs=40, lr=0.02, hidden_size=16).fit(X, booleans)
    assert_same(outputs(other, X), outputs(fitted, X))


def test_array_of_several_labels_per_step():
    X = np.stack(make_sequences(lengths=(5, 6)))
    y = (np.cumsum(X, axis=1) > 0).astype(int)  # (24, 5, 2)
    fitted = classifier().fit(X, y)
    assert fitted.predict(X).shape == fitted.predict_proba(X).shape == (24, 5, 2)


def test_several_outputs():
    X, codes = learnable(n_classes=4)
    y = np.column_stack([np.array(["even", "odd"])[codes % 2], np.array(["a", "b", "c", "d"])[codes]])
    fitted = classifier(max_epochs=60, lr=0.02).fit(X, y)
    assert [classes.tolist() for classes in fitted.classes_] == [["even", "odd"], ["a", "b", "c", "d"]]
    assert fitted.predict(X).shape == (60, 2)
    proba = fitted.predict_proba(X)
    assert [out.shape for out in proba] == [(60, 2), (60, 4)]
    for out, log_proba, classes, column in zip(
        proba, fitted.predict_log_proba(X), fitted.classes_, fitted.predict(X).T, strict=True
    ):
        np.testing.assert_allclose(out.sum(axis=1), 1)
        np.testing.assert_allclose(log_proba, np.log(out), rtol=1e-9)
        assert_same(classes[out.argmax(axis=1)], column)
    assert fitted.score(X, y) == (fitted.predict(X) == y).all(axis=1).mean() > 0.8
    numbers = np.column_stack([codes, codes + 10])
    assert classifier().fit(X, numbers).predict(X).shape == (60, 2)
    assert classifier().fit(X, pd.DataFrame(y)).predict(X).shape == (60, 2)


@pytest.mark.parametrize("kind", ["labels", "outputs"])
def test_early_stopping_of_several(kind):
    X, codes = learnable(n_classes=4)
    y = np.column_stack([codes % 2, codes // 2 if kind == "labels" else codes])
    fitted = classifier(early_stopping=True, max_epochs=10, validation_fraction=0.2).fit(X, y)
    assert len(fitted.validation_scores_) == fitted.n_iter_
    assert np.isfinite(fitted.validation_scores_).all()
    assert fitted.predict(X).shape == y.shape


# -- weights of classes


def test_class_weight_equals_sample_weight(X, y):
    by_class = {"low": 3.0, "middle": 1.0, "high": 0.5}
    weight = np.array([by_class[label] for label in y])
    expected = outputs(classifier().fit(X, y, sample_weight=weight), X)
    assert_same(outputs(classifier(class_weight=by_class).fit(X, y), X), expected)
    both = outputs(classifier(class_weight=by_class).fit(X, y, sample_weight=weight), X)
    assert_same(outputs(classifier().fit(X, y, sample_weight=weight**2), X), both)
    assert distance(both, expected) > 0
    # a class that is not named has the weight 1
    assert_same(outputs(classifier(class_weight={"low": 3.0, "high": 0.5}).fit(X, y), X), expected)


def test_balanced_classes(X, y):
    rare = np.concatenate([np.flatnonzero(y == "low")[:2], np.flatnonzero(y != "low")])
    X, y = [X[i] for i in rare], y[rare]
    names, counts = np.unique(y, return_counts=True)
    by_class = dict(zip(names.tolist(), len(y) / (3 * counts), strict=True))
    expected = outputs(classifier(class_weight=by_class).fit(X, y), X)
    assert_close(outputs(classifier(class_weight="balanced").fit(X, y), X), expected)
    assert distance(outputs(classifier().fit(X, y), X), expected) > 1e-3


def test_class_weight_per_step(X):
    y = step_labels(X)
    expected = outputs(classifier().fit(X, y), X)
    weighted = outputs(classifier(class_weight={"above": 5.0, "below": 1.0}).fit(X, y), X)
    assert weighted[:, 0].mean() > expected[:, 0].mean()
    assert np.isfinite(outputs(classifier(class_weight="balanced").fit(X, y), X)).all()


def test_class_weight_of_several_outputs(X, y):
    labels = np.column_stack([y, np.where(np.arange(24) % 2, "odd", "even")])
    weights = [{"low": 3.0, "middle": 1.0, "high": 1.0}, {"odd": 1.0, "even": 2.0}]
    weighted = classifier(class_weight=weights).fit(X, labels)
    by_hand = np.where(y == "low", 3.0, 1.0) * np.where(np.arange(24) % 2, 1.0, 2.0)
    expected = classifier().fit(X, labels, sample_weight=by_hand)
    for a, b in zip(weighted.predict_proba(X), expected.predict_proba(X), strict=True):
        assert_same(a, b)


def test_class_weight_of_several_labels(X):
    y = np.random.default_rng(0).integers(0, 2, size=(24, 2))
    weighted = classifier(class_weight=[{1: 3.0}, {0: 2.0}]).fit(X, y)
    by_hand = np.where(y[:, 0], 3.0, 1.0) * np.where(y[:, 1], 1.0, 2.0)
    assert_same(outputs(classifier().fit(X, y, sample_weight=by_hand), X), outputs(weighted, X))


@pytest.mark.parametrize("batch_size", [1, 8])
def test_class_of_weight_zero_equals_removal(X, y, batch_size):
    expected = classifier(batch_size=batch_size).fit(X, y, sample_weight=(y != "low").astype(float))
    weighted = classifier(batch_size=batch_size, class_weight={"low": 0.0}).fit(X, y)
    assert_same(outputs(weighted, X), outputs(expected, X))
    labels = [np.where(x[:, 0] > 0, "above", "below") for x in X]
    params = {"batch_size": batch_size, "class_weight": {"above": 0.0}, "max_epochs": 20, "lr": 0.02}
    per_step = classifier(**params).fit(X, labels)
    assert np.isfinite(outputs(per_step, X)).all()
    assert per_step.score(X, [np.full(len(x), "below") for x in X]) > 0.9


def test_class_weight_where_a_class_is_not_there(X, y):
    rest = np.flatnonzero(y != "low")
    model = classifier(class_weight={"low": 3.0}).partial_fit(X, y)
    model.partial_fit([X[i] for i in rest], y[rest])
    assert model.n_iter_ == 2


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("even", "The 'class_weight' parameter of RNNClassifier must be"),
        (3, "The 'class_weight' parameter of RNNClassifier must be"),
        ({"tiny": 2.0}, r"class_weight must name the classes of y, .*'middle'\], got \['tiny'\] as well"),
        ([{"low": 2.0}, {"low": 2.0}], "one dict for each of the 1 outputs of y, in a list, got 2"),
        ({"low": -1.0}, "class_weight must hold finite weights of at least 0"),
        ({"low": np.nan}, "class_weight must hold finite weights of at least 0"),
        ({"low": 0.0, "middle": 0.0, "high": 0.0}, "a weight above 0, got only zeros"),
    ],
    ids=str,
)
def test_class_weight_out_of_range(X, y, value, words):
    with pytest.raises(ValueError, match=words):
        classifier(class_weight=value).fit(X, y)


def test_class_weight_names_more_than_there_is(X, y):
    """As in a fold that has no sequence of a rare class."""
    everything = {"low": 3.0, "middle": 1.0, "high": 0.5, "rare": 10.0}
    expected = classifier(class_weight={"low": 3.0, "middle": 1.0, "high": 0.5}).fit(X, y)
    assert_same(outputs(classifier(class_weight=everything).fit(X, y), X), outputs(expected, X))


def test_early_stopping_keeps_every_class_on_both_sides():
    X, codes = learnable(n_samples=40, n_classes=4)
    fitted = classifier(early_stopping=True, validation_fraction=0.1)
    sizes = []
    original = fitted._split_indices

    def spy(dataset, n_valid):
        train, valid = original(dataset, n_valid)
        sizes.append((np.bincount(dataset.y[train]), np.bincount(dataset.y[valid])))
        return train, valid

    fitted._split_indices = spy
    fitted.fit(X, codes)
    ((train, valid),) = sizes
    assert train.tolist() == [9, 9, 9, 9]
    assert valid.tolist() == [1, 1, 1, 1]


# -- partial_fit


def test_partial_fit_in_parts():
    X, codes = learnable(n_classes=3)
    names = np.array(["a", "b", "c"])
    model = classifier(lr=0.02)
    for start in range(0, 60, 20):
        model.partial_fit(X[start : start + 20], names[codes[start : start + 20]], classes=names)
    assert model.n_iter_ == 3
    for _ in range(20):
        model.partial_fit(X, names[codes])
    assert model.score(X, names[codes]) > 0.9


def test_classes_named_before_they_are_seen():
    X, codes = learnable(n_classes=2)
    model = classifier().partial_fit(X, codes, classes=[0, 1, 5])
    assert model.classes_.tolist() == [0, 1, 5]
    assert model.predict_proba(X).shape == (60, 3)
    model.partial_fit(X[:4], [5, 5, 0, 1])
    one = classifier().partial_fit(X[:3], [1, 1, 1], classes=[0, 1])
    assert one.predict_proba(X).shape == (60, 2)


def test_labels_unseen_in_the_first_partial_fit():
    X, codes = learnable(n_classes=2)
    model = classifier().partial_fit(X, codes)
    with pytest.raises(
        ValueError, match=r"y must hold only the classes \[0, 1\], got \[2\] as well, first at position 3"
    ):
        model.partial_fit(X[:4], [0, 1, 0, 2])
    with pytest.raises(ValueError, match="got only one class"):
        classifier().partial_fit(X[:3], [1, 1, 1])
    with pytest.raises(ValueError, match=r"y must hold only the classes \[0, 1\], got \[2\]"):
        classifier().partial_fit(X[:4], [0, 1, 0, 2], classes=[0, 1])
    with pytest.raises(ValueError, match=r"y must hold only the classes \[0, 1\], got \[2\]"):
        classifier(warm_start=True).fit(X, codes).fit(X[:4], [0, 1, 0, 2])


def test_classes_of_later_partial_fits_must_be_those_of_the_first():
    X, codes = learnable(n_classes=2)
    model = classifier().partial_fit(X, codes, classes=[0, 1])
    model.partial_fit(X, codes, classes=[1, 0])
    with pytest.raises(ValueError, match=r"classes must be those of the first call, \[0, 1\], got \[0, 1, 2\]"):
        model.partial_fit(X, codes, classes=[0, 1, 2])
    both = np.column_stack([codes, 10 + np.arange(60) % 3])
    model = classifier().partial_fit(X, both, classes=[[0, 1], [10, 11, 12]])
    assert [len(classes) for classes in model.classes_] == [2, 3]
    with pytest.raises(ValueError, match=r"classes must be those of the first call, \[10, 11, 12\]"):
        model.partial_fit(X, both, classes=[[0, 1], [10, 11, 12, 13]])


# -- own network, own words


def test_own_network_with_a_wrong_number_of_classes(X, y):
    network = MeanNetwork(2, 2)
    with pytest.raises(ValueError, match=r"network must return raw outputs of shape \(\d+, 3\)"):
        classifier(network=network).fit(X, y)


def test_own_network_of_several_labels(X):
    y = np.random.default_rng(0).integers(0, 2, size=(24, 4))
    fitted = classifier(network=seeded_module(MeanNetwork, 2, 4)).fit(X, y)
    assert fitted.predict_proba(X).shape == (24, 4)
    assert_same(outputs(pickle.loads(pickle.dumps(fitted)), X), outputs(fitted, X))


# -- scikit-learn's tools


def test_tags():
    tags = get_tags(RNNClassifier())
    assert tags.estimator_type == "classifier"
    assert tags.classifier_tags.multi_label
    assert tags.classifier_tags.multi_class


def test_probabilities_of_folds(X, y):
    for cv in (3, StratifiedKFold(2)):
        proba = cross_val_predict(classifier(), X, y, cv=cv, method="predict_proba")
        assert proba.shape == (24, 3)
        np.testing.assert_allclose(proba.sum(axis=1), 1)
    decision = cross_val_predict(classifier(), X, y, cv=3, method="decision_function")
    assert decision.shape == (24, 3)


@pytest.mark.parametrize("scoring", ["accuracy", "f1_macro", "neg_log_loss", "roc_auc_ovr", "balanced_accuracy"])
def test_scorers_of_scikit_learn(X, y, scoring):
    scores = cross_val_score(classifier(), X, y, scoring=scoring, cv=2, error_score="raise")
    assert np.isfinite(scores).all()


@pytest.mark.parametrize("method", ["sigmoid", "isotonic", "temperature"])
def test_calibration(X, y, method):
    model = CalibratedClassifierCV(classifier(), method=method, cv=2).fit(X, y)
    assert model.predict_proba(X).shape == (24, 3)
    weighted = CalibratedClassifierCV(classifier(), cv=2).fit(X, y, sample_weight=np.linspace(0.5, 1.5, 24))
    np.testing.assert_allclose(weighted.predict_proba(X).sum(axis=1), 1)


def test_voting(X, y):
    members = [("lstm", classifier()), ("gru", classifier(cell="gru"))]
    hard = VotingClassifier(members).fit(X, y)
    assert set(hard.predict(X)) <= set(y)
    soft = VotingClassifier(members, voting="soft", weights=[1, 3]).fit(X, y, sample_weight=np.ones(24))
    lstm, gru = (clone.predict_proba(X) for clone in soft.estimators_)
    np.testing.assert_allclose(soft.predict_proba(X), (lstm + 3 * gru) / 4)


def test_stacking(X, y):
    members = [("lstm", classifier()), ("gru", classifier(cell="gru"))]
    model = StackingClassifier(members, LogisticRegression(), cv=2).fit(X, y)
    assert model.predict_proba(X).shape == (24, 3)


def test_split_of_a_list(X, y):
    X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=0)
    assert isinstance(X_train, list)
    assert len(classifier().fit(X_train, y_train).predict(X_test)) == len(y_test)


def test_bagging_and_one_against_the_rest_on_tables(y):
    """These two of scikit-learn's tools take arrays alone."""
    table = np.random.default_rng(0).normal(size=(24, 6))
    assert len(BaggingClassifier(classifier(), n_estimators=2, random_state=0).fit(table, y).predict(table)) == 24
    assert len(OneVsRestClassifier(classifier()).fit(table, y).predict(table)) == 24


def test_search_over_labels_per_step():
    X = make_sequences(30, lengths=(1, 9))
    y = [part.tolist() for part in step_labels(X)]
    scoring = {"accuracy": per_step_accuracy, "f1": per_step_f1}
    search = GridSearchCV(
        classifier(), {"hidden_size": [4, 8]}, cv=KFold(2), scoring=scoring, refit="accuracy", error_score="raise"
    ).fit(X, y)
    assert np.isfinite(search.cv_results_["mean_test_f1"]).all()
    assert [len(out) for out in search.predict(X)] == [len(x) for x in X]
    default = GridSearchCV(classifier(), {"hidden_size": [4, 8]}, cv=KFold(2), error_score="raise").fit(X, y)
    np.testing.assert_allclose(default.cv_results_["mean_test_score"], search.cv_results_["mean_test_accuracy"])
    scores = cross_val_score(classifier(), X, y, cv=KFold(3), scoring=per_step_f1, error_score="raise")
    assert scores.shape == (3,)


def test_scorers_per_step_count_steps(X):
    y = step_labels(X)
    fitted = classifier().fit(X, y)
    true, predicted = np.concatenate(y), np.concatenate(fitted.predict(X))
    assert per_step_accuracy(fitted, X, y) == accuracy_score(true, predicted) == fitted.score(X, y)
    with pytest.raises(ValueError, match="unknown is not supported"):  # why there are scorers of our own
        make_scorer(accuracy_score)(fitted, X, y)


# -- what the documentation promises


def test_recordings_of_unequal_length():
    X_train, y_train = load_japanese_vowels(split="train")
    X_test, y_test = load_japanese_vowels(split="test")
    model = RNNClassifier(cell="gru", bidirectional=True, hidden_size=32, max_epochs=8, lr=0.01, random_state=0)
    model.fit(X_train, y_train)
    assert model.score(X_test, y_test) > 0.9
    assert model.predict_proba(X_test[:3]).shape == (3, 9)


def test_pipeline_and_search_of_the_documentation():
    X, y = load_japanese_vowels(split="train")
    X, y = X[::3], y[::3]
    weight = np.linspace(0.5, 1.5, len(X))
    pipe = make_pipeline(
        TimeDistributed(StandardScaler()), TimeDistributed(PCA(6)), RNNClassifier(max_epochs=1, random_state=0)
    )
    settings = {"rnnclassifier__cell": ["lstm", "gru"], "rnnclassifier__hidden_size": [4, 8]}
    grid = GridSearchCV(pipe, settings, cv=2, error_score="raise")
    grid.fit(X, y, rnnclassifier__sample_weight=weight)
    assert grid.predict_proba(X).shape == (len(X), 9)


def test_strings_and_tokens_of_the_documentation():
    quick = {"max_epochs": 30, "lr": 0.02, "hidden_size": 16, "random_state": 0}
    names = ["Satoshi", "Nakamura", "Jones"]
    assert RNNClassifier(**quick).fit(names, ["ja", "ja", "en"]).predict(names).tolist() == ["ja", "ja", "en"]
    sentences = ["a good day", "a bad day", "good", "so bad"] * 5
    sentiments = ["+", "-", "+", "-"] * 5
    model = RNNClassifier(tokenizer="word", bidirectional=True, **quick).fit(sentences, sentiments)
    assert model.predict(["bad", "a good"]).tolist() == ["-", "+"]
    tagger = RNNClassifier(bidirectional=True, **quick).fit(
        [["the", "cat"], ["dogs", "bark", "loudly"]] * 10, [["DET", "NOUN"], ["NOUN", "VERB", "ADV"]] * 10
    )
    (tags,) = tagger.predict([["the", "cat"]])
    assert tags.tolist() == ["DET", "NOUN"]
    assert [len(out) for out in tagger.predict([["a", "dog"]])] == [2]


@pytest.mark.filterwarnings("error")
def test_column_of_labels_warns(X, y):
    with pytest.warns(DataConversionWarning, match="column-vector y"):
        classifier().fit(X, y[:, np.newaxis])


def test_own_callbacks_see_the_learning_rate(X, y):
    rates = classifier(lr_schedule="constant", lr=0.01).fit(X, y).history_[:, "event_lr"]
    assert rates == [0.01] * 3
    rates = classifier(lr_schedule="cosine", lr=0.01).fit(X, y).history_[:, "event_lr"]
    assert rates[0] > rates[1] > rates[2]


# --- kinds of y that look alike ---


def test_two_classes_other_than_0_and_1_are_no_labels():
    X = [np.full((n % 4 + 2, 1), n % 2, dtype=float) for n in range(24)]
    y = np.array([[1, 2], [2, 1]] * 12)
    model = RNNClassifier(hidden_size=8, max_epochs=60, random_state=0).fit(X, y)
    np.testing.assert_array_equal(model.predict(X), y)


@pytest.mark.parametrize(
    ("later", "match"),
    [
        (lambda y: y + 1, r"y must hold 0 and 1 as in fit, got \[2\] as well"),
        (lambda y: y[:, :2], r"y must have 3 outputs as in fit, got shape \(24, 2\)"),
    ],
)
def test_later_labels_are_those_of_fit(later, match):
    X = [np.ones((n % 4 + 1, 1)) for n in range(24)]
    y = np.random.default_rng(0).integers(0, 2, size=(24, 3))
    model = RNNClassifier(hidden_size=4, max_epochs=1, random_state=0).fit(X, y)
    with pytest.raises(ValueError, match=match):
        model.partial_fit(X, later(y))


def test_sparse_labels_are_read():
    X = [np.ones((n % 4 + 1, 1)) for n in range(24)]
    y = np.random.default_rng(0).integers(0, 2, size=(24, 3))
    dense, sparse = (
        RNNClassifier(hidden_size=4, max_epochs=1, random_state=0).fit(X, labels) for labels in (y, csr_matrix(y))
    )
    np.testing.assert_array_equal(dense.predict_proba(X), sparse.predict_proba(X))


def test_nested_labels_of_other_lengths_name_the_ways_out():
    X = [np.ones((n % 4 + 4, 1)) for n in range(24)]
    with pytest.raises(ValueError, match=r"Pass a 2-D array, .* for sets of labels, .*MultiLabelBinarizer"):
        RNNClassifier().fit(X, [["a", "b"], ["c"]] * 12)


@pytest.mark.parametrize("batch_size", [1, 8, 64])
def test_weights_count_in_batches_of_any_size(batch_size):
    X, y = [np.ones((3, 1))] * 64, np.arange(64) % 2
    epochs = 15 if batch_size == 1 else 60
    options = {"max_epochs": epochs, "hidden_size": 4, "dropout": 0, "lr": 0.02, "random_state": 0}
    model = RNNClassifier(batch_size=batch_size, **options).fit(X, y, sample_weight=np.where(y == 1, 9.0, 1.0))
    assert model.predict_proba(X[:1])[0, 1] == pytest.approx(0.9, abs=0.02)


@pytest.mark.parametrize("weight", [1e-300, 1e300])
def test_only_shares_of_weights_count(weight):
    X, y = [np.ones((3, 1))] * 8, np.arange(8) % 2
    options = {"max_epochs": 2, "hidden_size": 4, "random_state": 0}
    plain, weighted = (RNNClassifier(**options).fit(X, y, sample_weight=w) for w in (None, np.full(8, weight)))
    np.testing.assert_array_equal(plain.predict_proba(X), weighted.predict_proba(X))
