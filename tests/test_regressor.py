"""RNNRegressor: what only values have - outputs, losses, units of the target, and the tools around them."""

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
    outputs,
    panel_frame,
    seeded_module,
    small,
)
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import BaggingRegressor, StackingRegressor, VotingRegressor
from sklearn.linear_model import Ridge
from sklearn.metrics import mean_absolute_error, r2_score
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold, cross_val_predict, cross_val_score
from sklearn.preprocessing import StandardScaler
from sklearn.utils import get_tags

from sktime_rnn import RNNRegressor, check_sequences

LEARNING = {"max_epochs": 40, "lr": 0.02, "hidden_size": 16}


@pytest.fixture
def X():
    return make_sequences(60)


@pytest.fixture
def y(X):
    """The mean of the first feature, in a unit of its own."""
    return np.array([1000 + 50 * x[:, 0].mean() for x in X])


def regressor(**params):
    return small(RNNRegressor(), **params)


def step_values(X):
    """Running means of the first feature."""
    return [np.cumsum(x[:, 0]) / np.arange(1, len(x) + 1) for x in X]


# -- what comes out


def test_values_are_learnt_in_any_unit(X, y):
    fitted = regressor(**LEARNING).fit(X, y)
    predicted = fitted.predict(X)
    assert predicted.shape == (60,)
    assert predicted.dtype == np.float64
    assert fitted.score(X, y) == pytest.approx(r2_score(y, predicted))
    assert fitted.score(X, y) > 0.7
    other = regressor(**LEARNING).fit(X, 1e12 + 1e6 * y)
    assert other.score(X, 1e12 + 1e6 * y) > 0.7
    tiny = regressor(**LEARNING).fit(X, 1e-12 * (y - 1000))
    assert tiny.score(X, 1e-12 * (y - 1000)) > 0.7


def test_target_scaling_is_part_of_the_head(X, y):
    head = regressor().fit(X, y).module_.head
    assert head.loc.item() == pytest.approx(y.mean())
    assert head.scale.item() == pytest.approx(y.std())
    weight = np.linspace(0.1, 2, 60)
    head = regressor().fit(X, y, sample_weight=weight).module_.head
    assert head.loc.item() == pytest.approx(np.average(y, weights=weight))


def test_constant_target(X):
    fitted = regressor(**LEARNING).fit(X, np.full(60, 7.0))
    np.testing.assert_allclose(fitted.predict(X), 7, atol=0.2)


def test_several_outputs(X, y):
    Y = np.column_stack([y, -1e-3 * y, [len(x) for x in X]])
    fitted = regressor(**LEARNING).fit(X, Y)
    predicted = fitted.predict(X)
    assert predicted.shape == (60, 3)
    assert fitted.score(X, Y) == pytest.approx(r2_score(Y, predicted))
    assert fitted.score(X, Y) > 0.7
    assert_same(outputs(regressor(**LEARNING).fit(X, pd.DataFrame(Y)), X), predicted)
    # a list of rows is no target per step where no sequence has three steps
    rows = regressor().fit([x for x in X if len(x) > 3], Y[[len(x) > 3 for x in X]].tolist())
    assert rows.predict(X).shape == (60, 3)


def test_column_of_values(X, y):
    fitted = regressor().fit(X, y[:, np.newaxis])
    assert fitted.predict(X).shape == (60, 1)
    assert_same(fitted.predict(X)[:, 0], regressor().fit(X, y).predict(X))
    assert fitted.score(X, y[:, np.newaxis]) == regressor().fit(X, y).score(X, y)


def test_integers_and_booleans_are_values(X, y):
    whole = np.round(y)
    expected = regressor().fit(X, whole).predict(X)
    for target in (whole.astype(int), whole.astype(np.float32), whole.astype(object), whole.tolist()):
        assert_same(regressor().fit(X, target).predict(X), expected)
    assert np.isfinite(regressor().fit(X, y > 1000).predict(X)).all()


def test_values_per_step(X):
    y = step_values(X)
    fitted = regressor(**LEARNING).fit(X, y)
    predicted = fitted.predict(X)
    assert [out.shape for out in predicted] == [(len(x),) for x in X]
    flat = np.concatenate(predicted)
    assert fitted.score(X, y) == pytest.approx(r2_score(np.concatenate(y), flat))
    assert fitted.score(X, y) > 0.7
    weight = np.arange(60.0)
    by_step = np.repeat(weight, [len(x) for x in X])
    expected = r2_score(np.concatenate(y), flat, sample_weight=by_step)
    assert fitted.score(X, y, sample_weight=weight) == pytest.approx(expected)


def test_several_values_per_step(X):
    y = [np.column_stack([part, 100 - part]) for part in step_values(X)]
    fitted = regressor(**LEARNING).fit(X, y)
    assert [out.shape for out in fitted.predict(X)] == [(len(x), 2) for x in X]
    assert fitted.score(X, y) > 0.7


def test_array_of_values_per_step():
    X = np.stack(make_sequences(lengths=(5, 6)))
    y = np.stack(step_values(X))
    fitted = regressor(per_step=True).fit(X, y)
    assert fitted.predict(X).shape == (24, 5)
    assert_same(fitted.predict(X), regressor().fit(X, list(y)).predict(X))
    two = np.stack([y, -y], axis=2)
    assert regressor().fit(X, two).predict(X).shape == (24, 5, 2)
    table = X[:, :, 0]
    assert regressor(per_step=True).fit(table, y).predict(table).shape == (24, 5)


def test_frames_to_frames():
    """Values per step may be the next frame, flattened."""
    rng = np.random.default_rng(0)
    X = [rng.normal(size=(length, 3, 4)) for length in rng.integers(2, 6, size=24)]
    y = [np.roll(x, -1, axis=0).reshape(len(x), 12) for x in X]
    assert [out.shape for out in regressor().fit(X, y).predict(X)] == [(len(x), 12) for x in X]


# -- losses


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error", "huber"])
def test_losses_learn(X, y, loss):
    fitted = regressor(loss=loss, **LEARNING).fit(X, y)
    assert fitted.score(X, y) > 0.7
    assert fitted.score(X, y) == r2_score(y, fitted.predict(X))
    steps = step_values(X)
    assert regressor(loss=loss, **LEARNING).fit(X, steps).score(X, steps) > 0.6


@pytest.mark.parametrize(
    ("loss", "formula"),
    [
        ("squared_error", lambda r: r**2),
        ("absolute_error", np.abs),
        ("huber", lambda r: np.where(np.abs(r) < 1, r**2 / 2, np.abs(r) - 0.5)),
    ],
)
def test_loss_is_that_of_the_standardised_target(X, y, loss, formula):
    """With one batch, no dropout and no step to take, the recorded loss is the formula's."""
    fitted = regressor(loss=loss, dropout=0, batch_size=60, max_epochs=1, lr=1e-12).fit(X, y)
    residuals = (fitted.predict(X) - y) / y.std()
    assert fitted.loss_curve_[0] == pytest.approx(formula(residuals).mean(), rel=1e-4)
    weight = np.linspace(0.1, 2, 60)
    weighted = regressor(loss=loss, dropout=0, batch_size=60, max_epochs=1, lr=1e-12).fit(X, y, sample_weight=weight)
    scale = np.sqrt(np.average((y - np.average(y, weights=weight)) ** 2, weights=weight))
    losses = formula((weighted.predict(X) - y) / scale)
    assert weighted.loss_curve_[0] == pytest.approx(np.average(losses, weights=weight), rel=1e-4)


def test_absolute_error_finds_the_median_and_squared_error_the_mean():
    X = [np.ones((3, 1))] * 50
    y = np.where(np.arange(50) < 35, 0.0, 10.0)
    params = {"batch_size": 50, "max_epochs": 150, "lr": 0.03, "dropout": 0, "hidden_size": 4}
    assert regressor(**params).fit(X, y).predict(X)[0] == pytest.approx(3, abs=0.3)
    assert regressor(loss="absolute_error", **params).fit(X, y).predict(X)[0] == pytest.approx(0, abs=0.3)


def test_unknown_loss(X, y):
    with pytest.raises(ValueError, match="The 'loss' parameter of RNNRegressor must be a str among"):
        regressor(loss="squared").fit(X, y)


# -- bad targets


def test_labels_are_no_values(X):
    with pytest.raises((ValueError, TypeError), match="y|convert|str"):
        regressor().fit(X, ["a", "b"] * 30)
    with pytest.raises(TypeError, match="y must hold numbers, got dtype .*use RNNClassifier for labels"):
        regressor().fit(X, [["a"] * len(x) for x in X])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_targets_that_are_not_finite(X, y, value):
    y[3] = value
    with pytest.raises(ValueError, match="y contains NaN|y contains infinity|Input y"):
        regressor().fit(X, y)
    steps = step_values(X)
    steps[2][1] = value
    with pytest.raises(ValueError, match=r"y must (not contain NaN|be finite).*sample 2, step 1"):
        regressor().fit(X, steps)


def test_another_number_of_outputs(X, y):
    fitted = regressor().fit(X, y)
    for call in (fitted.partial_fit, fitted.score):
        with pytest.raises(ValueError, match="y must have 1 outputs as in fit, got 2"):
            call(X, np.column_stack([y, y]))


# -- early stopping, partial_fit


def test_early_stopping_watches_the_score(X, y):
    fitted = regressor(early_stopping=True, validation_fraction=0.2, **{**LEARNING, "max_epochs": 60}).fit(X, y)
    assert len(fitted.validation_scores_) == fitted.n_iter_
    assert max(fitted.validation_scores_) > 0.3
    assert "valid_r2" in fitted.history_[-1]
    steps = step_values(X)
    per_step = regressor(early_stopping=True, max_epochs=5).fit(X, steps)
    assert len(per_step.validation_scores_) == per_step.n_iter_


def test_partial_fit_in_parts(X, y):
    model = regressor(lr=0.02, hidden_size=16)
    for _ in range(40):
        model.partial_fit(X, y)
    assert model.score(X, y) > 0.7
    # the constants of the target are those of the first part
    assert model.module_.head.loc.item() == pytest.approx(y.mean())
    with pytest.raises(ValueError, match="each of the 60 sequences"):
        model.partial_fit(X, y[:-1])


def test_no_probabilities():
    for name in ("predict_proba", "decision_function", "classes_"):
        assert not hasattr(RNNRegressor(), name)


# -- own network


def test_own_network_of_several_outputs(X, y):
    fitted = regressor(network=seeded_module(MeanNetwork, 2, 2)).fit(X, np.column_stack([y, -y]))
    assert fitted.predict(X).shape == (60, 2)
    assert_same(pickle.loads(pickle.dumps(fitted)).predict(X), fitted.predict(X))


def test_linear_network_equals_least_squares(X, y):
    """A linear map of the mean over steps, trained to the end, is the least-squares solution."""
    network = seeded_module(MeanNetwork, 2, 1)
    params = {"batch_size": 60, "max_epochs": 300, "lr": 0.1, "precision": "float64", "max_grad_norm": None}
    fitted = regressor(network=network, **params).fit(X, y)
    means = np.column_stack([np.stack([x.mean(axis=0) for x in X]), np.ones(60)])
    expected = means @ np.linalg.lstsq(means, y, rcond=None)[0]
    np.testing.assert_allclose(fitted.predict(X), expected, rtol=1e-4)


# -- scikit-learn's tools


def test_tags():
    assert get_tags(RNNRegressor()).estimator_type == "regressor"


@pytest.mark.parametrize("scoring", ["r2", "neg_mean_absolute_error", "neg_root_mean_squared_error"])
def test_scorers_of_scikit_learn(X, y, scoring):
    scores = cross_val_score(regressor(), X, y, scoring=scoring, cv=2, error_score="raise")
    assert np.isfinite(scores).all()


def test_search_over_values_per_step(X):
    y = step_values(X)

    def per_step_error(estimator, X, y):
        return -mean_absolute_error(np.concatenate(y), np.concatenate(estimator.predict(X)))

    for scoring in (None, per_step_error):
        search = GridSearchCV(regressor(), {"hidden_size": [4, 8]}, cv=KFold(2), scoring=scoring, error_score="raise")
        assert np.isfinite(search.fit(X, y).cv_results_["mean_test_score"]).all()


def test_several_outputs_in_folds(X, y):
    Y = np.column_stack([y, -y])
    assert cross_val_predict(regressor(), X, Y, cv=2).shape == (60, 2)


def test_voting_and_stacking(X, y):
    members = [("lstm", regressor()), ("gru", regressor(cell="gru"))]
    voting = VotingRegressor(members).fit(X, y)
    np.testing.assert_allclose(voting.predict(X), np.mean([m.predict(X) for m in voting.estimators_], axis=0))
    assert StackingRegressor(members, Ridge(), cv=2).fit(X, y).predict(X).shape == (60,)


def test_bagging_on_tables(y):
    table = np.random.default_rng(0).normal(size=(60, 6))
    assert BaggingRegressor(regressor(), n_estimators=2, random_state=0).fit(table, y).predict(table).shape == (60,)


def test_transformed_target(X, y):
    """It has nothing to do where the target is standardised anyway, and changes nothing."""
    model = TransformedTargetRegressor(regressor(), transformer=StandardScaler()).fit(X, y)
    assert_close(model.predict(X), regressor().fit(X, y).predict(X))


# -- what the documentation promises


def test_panel_of_the_documentation():
    rng = np.random.default_rng(0)
    machines = np.repeat(["a", "b", "c", "d", "e"], 4)
    samples = [rng.normal(size=(rng.integers(3, 9), 2)) for _ in machines]
    panel = panel_frame(samples).set_axis(["heat", "load"], axis=1)
    targets = pd.Series([x[:, 0].mean() for x in samples])
    fitted = RNNRegressor(max_epochs=2, random_state=0).fit(panel, targets)
    assert fitted.predict(panel).shape == (20,)
    scores = cross_val_score(
        RNNRegressor(max_epochs=2, random_state=0),
        check_sequences(panel),
        targets,
        groups=machines,
        cv=GroupKFold(5),
        error_score="raise",
    )
    assert scores.shape == (5,)
    engines = [np.column_stack([x] * 12) for x in samples]
    assert RNNRegressor(loss="huber", max_epochs=2, random_state=0).fit(engines, targets).predict(engines).shape == (
        20,
    )


def test_gradient_of_prediction_reaches_every_step(X, y):
    """The network that was fitted is a torch module like any other."""
    fitted = regressor().fit(X, y)
    Z = torch.randn(1, 7, 2, generator=torch.Generator().manual_seed(0), requires_grad=True)
    fitted.module_(Z, torch.tensor([7])).sum().backward()
    assert Z.grad.abs().sum(dim=2).min() > 0
    assert distance(fitted.predict([X[0]]), fitted.predict([X[1]])) > 0
