"""Heads: losses equal scikit-learn's metrics, weights stand for repetitions, predictions come in the unit of y."""

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss, mean_absolute_error, mean_squared_error

from sktime_rnn.heads import CategoricalHead, Head, MultiLabelHead, MultiOutputHead, PointHead, weighted_mean

N, WIDTH = 12, 5
POINT_LOSSES = ["squared_error", "absolute_error", "huber"]


@pytest.fixture
def generator(global_random_seed):
    return torch.Generator().manual_seed(global_random_seed)


def make_point(loss="squared_error"):
    """A head for two values of unlike units."""
    head = PointHead(2, loss)
    head.loc.copy_(torch.tensor([100.0, -3.0]))
    head.scale.copy_(torch.tensor([20.0, 0.5]))
    return head


def make_head(name, generator):
    """A connected head with drawn weights, and targets for it."""
    if name == "categorical":
        head, y = CategoricalHead(3), torch.randint(3, (N,), generator=generator)
    elif name == "multilabel":
        head, y = MultiLabelHead(3), torch.randint(2, (N, 3), generator=generator)
    elif name == "multioutput":
        head = MultiOutputHead([2, 4])
        y = torch.stack([torch.randint(k, (N,), generator=generator) for k in (2, 4)], dim=1)
    else:
        head = make_point(name)
        y = head.loc + 2 * head.scale * torch.randn(N, 2, generator=generator)
    head.connect(WIDTH).reset_parameters(generator)
    return head, y


EVERY_HEAD = pytest.mark.parametrize("name", ["categorical", "multilabel", "multioutput", *POINT_LOSSES])


def loss_and_gradients(head, features, y, **options):
    """The loss of a batch, and its gradients by the weights and by the features."""
    features = features.clone().requires_grad_()
    loss = head.loss(head(features), y, **options)
    return loss, torch.autograd.grad(loss, [*head.parameters(), features])


# -- averages


def test_weighted_mean_by_hand():
    losses = torch.tensor([1.0, 2.0, 6.0])
    assert weighted_mean(losses) == 3
    assert weighted_mean(losses, weight=torch.tensor([1.0, 3.0, 0.0])) == 7 / 4
    assert weighted_mean(losses, mask=torch.tensor([True, False, True])) == 7 / 2
    mask, weight = torch.tensor([False, True, True]), torch.tensor([5.0, 1.0, 3.0])
    assert weighted_mean(losses, mask, weight) == 20 / 4


def test_weighted_mean_of_several_outputs_by_hand():
    losses = torch.tensor([[1.0, 3.0], [5.0, 7.0]])
    assert weighted_mean(losses) == 4
    assert weighted_mean(losses, weight=torch.tensor([3.0, 1.0])) == 24 / 8
    mask = torch.tensor([[True, False], [True, True]])
    assert weighted_mean(losses, mask, torch.tensor([3.0, 1.0])) == 15 / 5


def test_masked_losses_do_not_leak():
    losses = torch.tensor([[1.0, torch.nan], [torch.inf, 7.0]], requires_grad=True)
    mean = weighted_mean(losses, torch.tensor([[True, False], [False, True]]))
    assert mean == 4
    (gradient,) = torch.autograd.grad(mean, losses)
    assert gradient.tolist() == [[0.5, 0.0], [0.0, 0.5]]


@pytest.mark.parametrize("loss", POINT_LOSSES)
def test_masked_targets_do_not_leak(loss, generator):
    head, y = make_head(loss, generator)
    features = torch.randn(N, WIDTH, generator=generator)
    mask = torch.rand(N, 2, generator=generator) < 0.5
    expected = loss_and_gradients(head, features, y, mask=mask)
    for hole in (torch.nan, torch.inf):
        got = loss_and_gradients(head, features, y.masked_fill(~mask, hole), mask=mask)
        torch.testing.assert_close(got, expected)
    by_hand = head.losses(head(features), y)[mask].mean()
    torch.testing.assert_close(expected[0], by_hand)


def test_masked_codes_may_be_any_number(generator):
    head, y = make_head("categorical", generator)
    features = torch.randn(N, WIDTH, generator=generator)
    mask = torch.arange(N) < 5
    expected = loss_and_gradients(head, features[:5], y[:5])
    loss, (*by_weights, by_features) = loss_and_gradients(head, features, y.masked_fill(~mask, -1), mask=mask)
    torch.testing.assert_close(loss, expected[0])
    torch.testing.assert_close(by_weights, list(expected[1][:-1]))
    torch.testing.assert_close(by_features[:5], expected[1][-1])
    assert not by_features[5:].any()


# -- weights


@EVERY_HEAD
def test_weights_of_one_change_no_bit(name, generator):
    head, y = make_head(name, generator)
    features = torch.randn(N, WIDTH, generator=generator)
    loss, gradients = loss_and_gradients(head, features, y)
    weighted, weighted_gradients = loss_and_gradients(head, features, y, weight=torch.ones(N))
    assert torch.equal(weighted, loss)
    assert all(map(torch.equal, weighted_gradients, gradients))


@EVERY_HEAD
def test_weights_stand_for_repetitions(name, generator):
    head, y = make_head(name, generator)
    features = torch.randn(N, WIDTH, generator=generator)
    times = torch.randint(4, (N,), generator=generator)
    loss, (*by_weights, by_features) = loss_and_gradients(head, features, y, weight=times.float())
    rows = torch.repeat_interleave(torch.arange(N), times)
    repeated, (*wanted, by_repeated) = loss_and_gradients(head, features[rows], y[rows])
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, repeated, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(by_weights, wanted, rtol=1e-5, atol=1e-5)
    summed = torch.zeros_like(by_features).index_add(0, rows, by_repeated)
    torch.testing.assert_close(by_features, summed, rtol=1e-5, atol=1e-5)


@EVERY_HEAD
def test_scaled_weights_change_nothing(name, generator):
    head, y = make_head(name, generator)
    features = torch.randn(N, WIDTH, generator=generator)
    weight = torch.rand(N, generator=generator)
    once, thrice = (loss_and_gradients(head, features, y, weight=k * weight) for k in (1, 3))
    torch.testing.assert_close(once, thrice, rtol=1e-5, atol=1e-6)


# -- the last layer


def test_connect_draws_within_the_bound_of_glorot(global_random_seed):
    before = torch.get_rng_state()
    first, again = CategoricalHead(4).connect(50), CategoricalHead(4).connect(50)
    for head in (first, again):
        head.reset_parameters(torch.Generator().manual_seed(global_random_seed))
    bound = (6 / 54) ** 0.5
    assert 0.9 * bound < first.linear.weight.abs().max() <= bound
    assert not first.linear.bias.any()
    assert torch.equal(first.linear.weight, again.linear.weight)
    assert torch.equal(torch.get_rng_state(), before)


@EVERY_HEAD
def test_raw_output_is_linear(name, generator):
    head, _ = make_head(name, generator)
    torch.nn.init.normal_(head.linear.bias, generator=generator)
    features = torch.randn(2, N, WIDTH, generator=generator)
    W, b = (weight.detach().double() for weight in head.linear.parameters())
    expected = features.double() @ W.T + b
    in_training, afterwards = head.train()(features), head.eval()(features)
    assert in_training.shape == (2, N, head.raw_size)
    assert (in_training.dtype, afterwards.dtype) == (torch.float32, torch.float64)
    torch.testing.assert_close(in_training, expected.float(), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(afterwards, expected, rtol=1e-12, atol=1e-12)


def test_head_is_abstract():
    with pytest.raises(TypeError, match="abstract"):
        Head(1)


# -- categories


@pytest.mark.parametrize("n_classes", [2, 4])
def test_cross_entropy_equals_log_loss(n_classes, generator):
    head = CategoricalHead(n_classes)
    raw = 3 * torch.randn(N, n_classes, generator=generator, dtype=torch.float64)
    y = torch.randint(n_classes, (N,), generator=generator)
    weight = torch.rand(N, generator=generator, dtype=torch.float64)
    proba = np.exp(raw.numpy()) / np.exp(raw.numpy()).sum(1, keepdims=True)
    np.testing.assert_allclose(head.predict_proba(raw), proba, rtol=1e-12)
    np.testing.assert_allclose(head.log_proba(raw), np.log(proba), rtol=1e-10)
    classes = range(n_classes)
    assert head.loss(raw, y).item() == pytest.approx(log_loss(y, proba, labels=classes))
    expected = log_loss(y, proba, labels=classes, sample_weight=weight)
    assert head.loss(raw, y, weight=weight).item() == pytest.approx(expected)
    assert torch.equal(head.predict(raw), torch.from_numpy(proba.argmax(1)))


def test_categorical_log_likelihood_is_that_of_the_class(generator):
    head, y = make_head("categorical", generator)
    raw = torch.randn(N, 3, generator=generator, dtype=torch.float64)
    expected = head.predict_proba(raw).log()[torch.arange(N), y]
    torch.testing.assert_close(head.log_likelihood(raw, y), expected)


def test_categorical_decision(generator):
    raw = torch.randn(N, 2, generator=generator, dtype=torch.float64)
    head = CategoricalHead(2)
    odds = head.predict_proba(raw)[:, 1].logit()
    torch.testing.assert_close(head.decision(raw), odds)
    assert torch.equal(head.decision(raw) > 0, head.predict(raw) == 1)
    raw = torch.randn(N, 3, generator=generator)
    assert CategoricalHead(3).decision(raw) is raw


# -- labels


def test_bernoulli_loss_equals_log_loss_of_each_label(generator):
    head, y = make_head("multilabel", generator)
    raw = 3 * torch.randn(N, 3, generator=generator, dtype=torch.float64)
    proba = 1 / (1 + np.exp(-raw.numpy()))
    np.testing.assert_allclose(head.predict_proba(raw), proba, rtol=1e-12)
    np.testing.assert_allclose(head.log_proba(raw), np.log(proba), rtol=1e-10)
    expected = np.mean([log_loss(y[:, k], proba[:, k], labels=[0, 1]) for k in range(3)])
    assert head.loss(raw, y).item() == pytest.approx(expected)
    assert torch.equal(head.predict(raw), torch.from_numpy((proba > 0.5).astype(np.int64)))
    assert torch.equal(head.decision(raw) > 0, head.predict(raw) == 1)


def test_multilabel_log_likelihood_is_that_of_all_answers(generator):
    head, y = make_head("multilabel", generator)
    raw = torch.randn(N, 3, generator=generator, dtype=torch.float64)
    proba = head.predict_proba(raw)
    expected = torch.where(y == 1, proba, 1 - proba).log().sum(1)
    torch.testing.assert_close(head.log_likelihood(raw, y), expected)


# -- several categorical outputs


def test_multioutput_is_a_categorical_head_for_each_output(generator):
    head, y = make_head("multioutput", generator)
    raw = torch.randn(N, head.raw_size, generator=generator, dtype=torch.float64)
    parts = [raw[:, :2], raw[:, 2:]]
    heads = [CategoricalHead(2), CategoricalHead(4)]
    losses = [one.losses(part, codes) for one, part, codes in zip(heads, parts, y.T, strict=True)]
    torch.testing.assert_close(head.losses(raw, y), torch.stack(losses, dim=1))
    torch.testing.assert_close(head.loss(raw, y), torch.stack(losses).mean())
    for method in ("predict_proba", "log_proba"):
        expected = [getattr(one, method)(part) for one, part in zip(heads, parts, strict=True)]
        torch.testing.assert_close(getattr(head, method)(raw), expected)
    torch.testing.assert_close(head.decision(raw), parts)
    assert torch.equal(head.predict(raw), torch.stack([part.argmax(1) for part in parts], dim=1))


def test_multioutput_log_likelihood_is_that_of_all_outputs(generator):
    head, y = make_head("multioutput", generator)
    raw = torch.randn(N, head.raw_size, generator=generator, dtype=torch.float64)
    rows = torch.arange(N)
    expected = sum(proba.log()[rows, codes] for proba, codes in zip(head.predict_proba(raw), y.T, strict=True))
    torch.testing.assert_close(head.log_likelihood(raw, y), expected)


# -- values


@pytest.mark.parametrize("loss", POINT_LOSSES)
def test_point_losses_in_standardised_units(loss, generator):
    head, y = make_head(loss, generator)
    raw = torch.randn(N, 2, generator=generator, dtype=torch.float64)
    weight = torch.rand(N, generator=generator, dtype=torch.float64)
    z = (y.numpy() - [100.0, -3.0]) / [20.0, 0.5]
    error = np.abs(raw.numpy() - z)
    formula = {
        "squared_error": lambda w: mean_squared_error(z, raw, sample_weight=w),
        "absolute_error": lambda w: mean_absolute_error(z, raw, sample_weight=w),
        "huber": lambda w: np.average(np.where(error < 1, error**2 / 2, error - 0.5).mean(1), weights=w),
    }[loss]
    assert (error > 1).any()
    assert (error < 1).any()
    assert head.loss(raw, y).item() == pytest.approx(formula(None))
    assert head.loss(raw, y, weight=weight).item() == pytest.approx(formula(weight.numpy()))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_point_predictions_come_in_the_unit_of_y(dtype):
    raw = torch.tensor([[0.0, 1.0], [-2.0, 0.5]], dtype=dtype)
    predicted = make_point().predict(raw)
    assert predicted.dtype == torch.float64
    assert predicted.tolist() == [[100.0, -2.5], [60.0, -2.75]]


def test_point_tells_large_values_apart():
    """1e8 + 0..9 has two distinct values in float32."""
    y = 1e8 + torch.arange(10.0, dtype=torch.float64)[:, None]
    head = PointHead(1)
    head.loc.copy_(y.mean(0))
    head.scale.copy_(y.std(0, correction=0))
    raw = ((y - head.loc) / head.scale).float()
    torch.testing.assert_close(head.predict(raw), y, rtol=0, atol=1e-5)
    assert head.loss(raw, y).item() == pytest.approx(0, abs=1e-12)
    assert head.loss(raw.roll(1), y).item() > 0.1


def test_point_reads_values_of_any_type():
    y = torch.tensor([[110, -3], [80, -4]])
    raw = torch.zeros(2, 2)
    losses = make_point("absolute_error").losses(raw, y)
    assert losses.dtype == torch.float32
    torch.testing.assert_close(losses, torch.tensor([[0.5, 0.0], [1.0, 2.0]]))
