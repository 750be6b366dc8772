"""Heads: losses equal scikit-learn's metrics, weights stand for repetitions, predictions come in the unit of y."""

import itertools

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.metrics import log_loss, mean_absolute_error, mean_pinball_loss, mean_squared_error

from sktime_rnn.heads import (
    DISTRIBUTIONS,
    AlignmentHead,
    CategoricalHead,
    Head,
    MultiLabelHead,
    MultiOutputHead,
    NegativeBinomialHead,
    NormalHead,
    PointHead,
    QuantileHead,
    SeriesHead,
    StudentTHead,
    student_t_quantile,
    weighted_mean,
)

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


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.9])
def test_label_smoothing_spreads_a_share_evenly_in_training(smoothing, generator):
    head = CategoricalHead(4, label_smoothing=smoothing)
    raw = torch.randn(N, 4, generator=generator, dtype=torch.float64)
    y = torch.randint(4, (N,), generator=generator)
    log_proba = raw.log_softmax(1)
    plain = -log_proba[torch.arange(N), y]
    expected = (1 - smoothing) * plain - smoothing * log_proba.mean(1)
    torch.testing.assert_close(head.train().losses(raw, y), expected)
    torch.testing.assert_close(head.train().loss(raw, y), expected.mean())
    torch.testing.assert_close(head.eval().losses(raw, y), plain)
    torch.testing.assert_close(head.eval().log_likelihood(raw, y), -plain)


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


# -- distributions

LEVELS = [0.05, 0.25, 0.5, 0.75, 0.95]
ALPHA = [0.001, 0.025, 0.1, 0.5, 0.8, 0.95, 0.999]
EVERY_DISTRIBUTION = pytest.mark.parametrize("name", sorted(DISTRIBUTIONS))


def make_distribution(name, n_outputs=2):
    return QuantileHead(n_outputs, LEVELS) if name == "quantile" else DISTRIBUTIONS[name](n_outputs)


def draw_raw(head, generator, n=N):
    return torch.randn(n, head.raw_size, generator=generator, dtype=torch.float64)


def draw_targets(head, generator, n=N):
    y = 2 * torch.randn(n, head.n_outputs, generator=generator, dtype=torch.float64)
    return y.abs().round() if isinstance(head, NegativeBinomialHead) else y


def scipy_normal(raw):
    mu, log_sigma = raw.numpy().reshape(len(raw), -1, 2).transpose(2, 0, 1)
    return stats.norm(mu, np.exp(log_sigma))


def scipy_student_t(raw):
    mu, log_sigma, log_nu = raw.numpy().reshape(len(raw), -1, 3).transpose(2, 0, 1)
    return stats.t(2 + np.exp(log_nu), mu, np.exp(log_sigma))


def scipy_negative_binomial(raw):
    """Counts of failures before r = 1 / a successes, each of probability 1 / (1 + a mu)."""
    mu, a = np.exp(raw.numpy()).reshape(len(raw), -1, 2).transpose(2, 0, 1)
    return stats.nbinom(1 / a, 1 / (1 + a * mu))


SCIPY = {"normal": scipy_normal, "student_t": scipy_student_t, "negative_binomial": scipy_negative_binomial}


@pytest.mark.parametrize("name", sorted(SCIPY))
def test_loss_is_minus_the_log_density_of_scipy(name, generator):
    head = make_distribution(name)
    raw, y = draw_raw(head, generator), draw_targets(head, generator)
    expected = SCIPY[name](raw)
    density = expected.logpmf if name == "negative_binomial" else expected.logpdf
    np.testing.assert_allclose(head.losses(raw, y).numpy(), -density(y.numpy()), rtol=1e-9)
    np.testing.assert_allclose(head.predict(raw).numpy(), expected.mean(), rtol=1e-12)


@pytest.mark.parametrize(("name", "tolerance"), [("normal", 1e-9), ("student_t", 1e-3), ("negative_binomial", 0)])
def test_quantiles_equal_those_of_scipy(name, tolerance, generator):
    head = make_distribution(name)
    raw = draw_raw(head, generator)
    wanted = np.stack([SCIPY[name](raw).ppf(alpha) for alpha in ALPHA], axis=-1)
    np.testing.assert_allclose(head.quantiles(raw, ALPHA).numpy(), wanted, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("nu", [2.02, 3.0, 7.5, 30.0, 400.0])
def test_quantiles_of_student_t(nu):
    alpha = np.array([0.001, 0.01, 0.2, 0.5, 0.9, 0.975, 0.999])
    t = student_t_quantile(torch.tensor([nu], dtype=torch.float64), torch.from_numpy(alpha))
    np.testing.assert_allclose(t.numpy(), stats.t(nu).ppf(alpha), rtol=2e-3, atol=1e-12)


@pytest.mark.parametrize("mu", [1e-3, 0.3, 8.0, 4e3, 2e6])
@pytest.mark.parametrize("a", [1e-4, 0.1, 1.0, 20.0])
def test_quantiles_of_counts_large_and_small(mu, a):
    raw = torch.tensor([[np.log(mu), np.log(a)]])
    got = NegativeBinomialHead(1).quantiles(raw, ALPHA).numpy()[0, 0]
    wanted = scipy_negative_binomial(raw).ppf(np.array(ALPHA)[:, None, None])[:, 0, 0]
    np.testing.assert_allclose(got, wanted, rtol=1e-6)
    assert (got == np.floor(got)).all()


def test_pinball_loss_equals_that_of_scikit_learn(generator):
    head = make_distribution("quantile", 1)
    raw, y = draw_raw(head, generator), draw_targets(head, generator)
    expected = np.mean([2 * mean_pinball_loss(y, raw[:, [q]], alpha=alpha) for q, alpha in enumerate(LEVELS)])
    assert head.loss(raw, y).item() == pytest.approx(expected)


def test_quantiles_between_and_beyond_the_levels():
    """The quantiles of a normal distribution lie on a line over those of the standard normal."""
    head = QuantileHead(2, LEVELS)
    raw = torch.from_numpy(np.concatenate([3 + 2 * stats.norm.ppf(LEVELS), stats.norm.ppf(LEVELS)])[None])
    got = head.quantiles(raw, ALPHA).numpy()[0]
    np.testing.assert_allclose(got, [3 + 2 * stats.norm.ppf(ALPHA), stats.norm.ppf(ALPHA)], atol=1e-6)
    np.testing.assert_allclose(head.predict(raw).numpy(), [[3, 0]], atol=1e-6)


def test_quantiles_that_cross_are_put_in_order(generator):
    head = make_distribution("quantile")
    got = head.quantiles(draw_raw(head, generator), sorted(ALPHA))
    assert (got.diff(dim=-1) >= 0).all()


@EVERY_DISTRIBUTION
def test_quantiles_do_not_depend_on_the_batch(name, generator):
    head = make_distribution(name)
    raw = draw_raw(head, generator)
    together = head.quantiles(raw, ALPHA)
    alone = torch.cat([head.quantiles(raw[i : i + 1], ALPHA) for i in range(N)])
    torch.testing.assert_close(alone, together, rtol=1e-12, atol=1e-12)


@EVERY_DISTRIBUTION
def test_gradients_of_distributions_equal_differences(name, generator):
    head = make_distribution(name)
    raw, y = draw_raw(head, generator).requires_grad_(), draw_targets(head, generator)
    assert torch.autograd.gradcheck(lambda raw: head.losses(raw, y), raw)


@EVERY_DISTRIBUTION
def test_masked_targets_of_distributions_count_nothing(name, generator):
    head = make_distribution(name)
    raw, y = draw_raw(head, generator).requires_grad_(), draw_targets(head, generator)
    mask = torch.rand(N, 2, generator=generator) < 0.6
    loss = head.loss(raw, y.masked_fill(~mask, torch.nan), mask)
    assert loss.item() == pytest.approx(head.losses(raw, y)[mask].mean().item())
    (gradient,) = torch.autograd.grad(loss, raw)
    assert torch.isfinite(gradient).all()
    assert (gradient.reshape(N, 2, -1)[~mask] == 0).all()


@EVERY_DISTRIBUTION
def test_a_batch_without_a_target_trains_nothing(name, generator):
    """A stretch of a series that nobody observed."""
    head = make_distribution(name)
    raw, y = draw_raw(head, generator).requires_grad_(), draw_targets(head, generator)
    loss = head.loss(raw, y, torch.zeros(N, 2, dtype=torch.bool))
    (gradient,) = torch.autograd.grad(loss, raw)
    assert loss.item() == 0
    assert (gradient == 0).all()


@EVERY_DISTRIBUTION
def test_extreme_outputs_have_finite_losses(name, generator):
    head = make_distribution(name)
    y = torch.cat([draw_targets(head, generator, 1), torch.zeros(1, 2, dtype=torch.float64)])
    for size in (-80.0, 0.0, 80.0):
        raw = torch.full((2, head.raw_size), size).requires_grad_()
        loss = head.loss(raw, y.float())
        (gradient,) = torch.autograd.grad(loss, raw)
        assert torch.isfinite(loss)
        assert torch.isfinite(gradient).all()
        assert not head.quantiles(raw.detach(), [0.1, 0.9]).isnan().any()


@pytest.mark.parametrize("name", ["normal", "student_t", "quantile"])
def test_start_has_the_spread_asked_for(name):
    head = make_distribution(name)
    spread = torch.tensor([0.5, 3.0], dtype=torch.float64)
    bias = head.start_bias(spread)
    assert bias.shape == (2, head.n_params)
    levels = (np.arange(2000) + 0.5) / 2000
    deviations = head.quantiles(bias.flatten()[None], levels).abs().mean(-1)
    np.testing.assert_allclose(deviations[0], spread, rtol=0.03 if name != "student_t" else 0.15)
    np.testing.assert_allclose(head.predict(bias.flatten()[None]), 0, atol=1e-9)


def test_start_of_counts():
    head = NegativeBinomialHead(2)
    raw = head.start_bias(torch.tensor([0.5, 3.0])).flatten()[None]
    np.testing.assert_allclose(head.predict(raw), 1)
    np.testing.assert_allclose(raw.exp()[0, 1::2], 0.2, rtol=1e-6)
    np.testing.assert_allclose(scipy_negative_binomial(raw.double()).var(), 1.2, rtol=1e-6)


def test_a_point_forecast_has_no_spread(generator):
    head = make_point()
    raw = torch.randn(N, 2, generator=generator)
    quantiles = head.quantiles(raw, [0.1, 0.9])
    assert quantiles.shape == (N, 2, 2)
    assert (quantiles == head.predict(raw)[:, :, None]).all()


def test_heads_of_distributions_name_their_parameters(generator):
    for kind, n_params in ((NormalHead, 2), (StudentTHead, 3), (NegativeBinomialHead, 2)):
        head = kind(2)
        raw = draw_raw(head, generator)
        assert (head.n_params, head.raw_size) == (n_params, 2 * n_params)
        for i, part in enumerate(head.parameters_of(raw)):
            torch.testing.assert_close(part, raw[:, i::n_params])


# -- sequences of values


def make_series(length="given", loss="squared_error"):
    head = SeriesHead(2, loss, length)
    head.loc.copy_(torch.tensor([100.0, -3.0]))
    head.scale.copy_(torch.tensor([20.0, 0.5]))
    if length == "predict":
        head.length_loc.fill_(1.5)
        head.length_scale.fill_(0.5)
    return head


def draw_series(generator, length, missing=0.3):
    """Raw rows, and targets of which some are not known; the last row is an end, all NaN where lengths are learnt."""
    raw = torch.randn(N, 2 + (length != "given"), generator=generator, dtype=torch.float64)
    y = torch.tensor([100.0, -3.0]) + torch.randn(N, 2, generator=generator, dtype=torch.float64) * 2
    y = y.masked_fill(torch.rand(N, 2, generator=generator) < missing, torch.nan)
    if length == "given":
        return raw, y
    y[-1] = torch.nan
    of_length = torch.zeros(N, 1) if length == "stop" else torch.full((N, 1), float(np.log(N)))
    of_length[-1] = 1.0 if length == "stop" else of_length[-1]
    return raw, torch.cat([y, of_length], dim=1)


def length_loss(length, z, target):
    if length == "predict":
        return (z - (target - 1.5) / 0.5) ** 2
    p = 1 / (1 + np.exp(-z))
    return -5 * np.where(target == 1, np.log(p), np.log(1 - p))  # one step of many is the end


EVERY_LENGTH = pytest.mark.parametrize("length", ["given", "stop", "predict"])


@EVERY_LENGTH
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("loss", POINT_LOSSES)
def test_loss_of_values_and_length_by_hand(loss, length, weighted, generator):
    head, (raw, y) = make_series(length, loss), draw_series(generator, length)
    weight = torch.rand(N, generator=generator, dtype=torch.float64) if weighted else None
    w = np.ones(N) if weight is None else weight.numpy()
    error = np.abs(raw[:, :2].numpy() - (y[:, :2].numpy() - [100.0, -3.0]) / [20.0, 0.5])
    huber = np.where(error < 1, error**2 / 2, error - 0.5)
    of_values = {"squared_error": error**2, "absolute_error": error, "huber": huber}[loss]
    known = ~np.isnan(of_values)
    assert 0 < known.sum() < known.size
    expected = np.average(of_values[known], weights=np.broadcast_to(w[:, None], known.shape)[known])
    if length != "given":
        expected += np.average(length_loss(length, raw[:, 2].numpy(), y[:, 2].numpy()), weights=w)
    assert head.loss(raw, y, weight=weight).item() == pytest.approx(expected, rel=1e-6)


@EVERY_LENGTH
def test_unknown_values_do_not_leak(length, generator):
    head, (raw, y) = make_series(length), draw_series(generator, length)
    raw.requires_grad_()
    (gradient,) = torch.autograd.grad(head.loss(raw, y), raw)
    assert gradient.isfinite().all()
    unknown = y[:, :2].isnan()
    assert (gradient[:, :2][unknown] == 0).all()
    assert (gradient[:, :2][~unknown] != 0).all()
    if length != "given":
        assert (gradient[:, 2] != 0).all()


@EVERY_LENGTH
def test_a_series_without_a_known_value_trains_its_length_alone(length, generator):
    head, (raw, y) = make_series(length), draw_series(generator, length, missing=1.0)
    raw.requires_grad_()
    loss = head.loss(raw, y)
    (gradient,) = torch.autograd.grad(loss, raw)
    assert not gradient[:, :2].any()
    of_length = 0.0 if length == "given" else length_loss(length, raw[:, 2].detach().numpy(), y[:, 2].numpy()).mean()
    assert loss.item() == pytest.approx(of_length, rel=1e-6)


@EVERY_LENGTH
def test_weights_of_rows_stand_for_repetitions(length, generator):
    head, (raw, y) = make_series(length), draw_series(generator, length)
    times = torch.randint(4, (N,), generator=generator)
    rows = torch.repeat_interleave(torch.arange(N), times)
    torch.testing.assert_close(head.loss(raw, y, weight=times.double()), head.loss(raw[rows], y[rows]))


def test_series_of_known_values_are_points(generator):
    raw, y = draw_series(generator, "given", missing=0.0)
    torch.testing.assert_close(make_series().loss(raw, y), make_point().loss(raw, y))


@EVERY_LENGTH
def test_series_come_in_the_unit_of_y(length):
    head = make_series(length).connect(WIDTH)
    assert head.raw_size == head.linear.out_features == 2 + (length == "stop")
    raw = torch.tensor([[[0.0, 1.0, 7.0], [-2.0, 0.5, 7.0]]])[..., : 2 + (length != "given")]
    assert head.predict(raw).tolist() == [[[100.0, -2.5], [60.0, -2.75]]]


def test_number_of_rows_by_hand():
    head = make_series("predict")
    z = torch.tensor([(np.log(n) - 1.5) / 0.5 for n in (0.01, 1, 7.4, 1000)])
    assert head.n_rows(z).tolist() == [1, 1, 7, 1000]
    assert head.n_rows(torch.tensor([1e4]))[0] > 10**6  # longer than any output, not shorter


# -- symbols aligned to their input

BLANK = 1


def transcript(path):
    """Repetitions joined, blanks dropped."""
    return tuple(symbol for symbol, _ in itertools.groupby(path) if symbol != BLANK)


def transcripts(log_proba):
    """The probability of every transcript, summed over all paths of log-probabilities (T, K)."""
    n_steps, n_symbols = log_proba.shape
    found = {}
    for path in itertools.product(range(n_symbols), repeat=n_steps):
        p = np.exp(log_proba[np.arange(n_steps), path].sum())
        found[transcript(path)] = found.get(transcript(path), 0.0) + p
    return found


def test_alignment_sums_over_all_paths(generator):
    """Unequal lengths of inputs and of transcripts in one batch, repeated symbols and empty transcripts among them."""
    head = AlignmentHead(3, BLANK)
    raw = torch.randn(2, 5, 3, generator=generator, dtype=torch.float64)
    pairs = [
        (i, length, y) for i, length in ((0, 5), (1, 3)) for y in transcripts(raw[i, :length].log_softmax(1).numpy())
    ]
    rows, lengths, targets = zip(*pairs, strict=True)
    assert {(), (0,), (0, 0), (2, 2, 0), (0, 2, 0, 2, 0)} <= set(targets)
    y = torch.full((len(pairs), 5), 2)
    for row, target in zip(y, targets, strict=True):
        row[: len(target)] = torch.tensor(target)
    sizes = torch.tensor([len(target) for target in targets])
    loss = head.negative_log_likelihood(raw[list(rows)], torch.tensor(lengths), y, sizes)
    expected = [-np.log(transcripts(raw[i, :n].log_softmax(1).numpy())[target]) for i, n, target in pairs]
    np.testing.assert_allclose(loss, expected, rtol=1e-10)


def test_transcripts_that_fit_no_path_have_no_probability(generator):
    head = AlignmentHead(3, BLANK)
    raw = torch.randn(3, 3, 3, generator=generator, dtype=torch.float64)
    y = torch.tensor([[0, 0, 0], [0, 2, 0], [2, 2, 0]])
    loss = head.negative_log_likelihood(raw, torch.tensor([3, 2, 2]), y, torch.tensor([2, 3, 2]))
    assert loss.isinf().tolist() == [False, True, True]


@pytest.mark.parametrize("width", [0, 2])
def test_a_batch_of_empty_transcripts(width, generator):
    raw = torch.randn(2, 4, 3, generator=generator, dtype=torch.float64)
    y, none = torch.zeros(2, width, dtype=torch.int64), torch.zeros(2, dtype=torch.int64)
    loss = AlignmentHead(3, BLANK).negative_log_likelihood(raw, torch.tensor([4, 2]), y, none)
    log_blank = raw.log_softmax(2)[:, :, BLANK]
    torch.testing.assert_close(loss, -torch.stack([log_blank[0].sum(), log_blank[1, :2].sum()]))


def test_gradients_of_the_alignment_by_differences(generator):
    head = AlignmentHead(3, BLANK)
    raw = torch.randn(2, 4, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    rest = torch.tensor([4, 2]), torch.tensor([[2, 2], [0, 2]]), torch.tensor([2, 1])
    assert torch.autograd.gradcheck(lambda raw: head.negative_log_likelihood(raw, *rest), raw)


def test_aligned_losses_are_those_of_a_symbol():
    losses = AlignmentHead(3, BLANK).losses(torch.tensor([[6.0], [5.0], [4.0]]), torch.tensor([3, 1, 0]))
    assert losses.tolist() == [2.0, 5.0, 4.0]  # an empty transcript counts as one symbol
    assert AlignmentHead(3, BLANK).predict(torch.tensor([[[0.0, 2.0, 1.0], [3.0, 2.0, 1.0]]])).tolist() == [[1, 0]]


def test_the_blank_starts_out_more_probable_than_any_symbol(generator):
    head = AlignmentHead(3, BLANK).connect(WIDTH)
    head.reset_parameters(generator)
    assert head.linear.bias.tolist() == [0.0, 3.0, 0.0]
