"""Networks: a published example reworked, nothing of a neighbour in an output, and what steps are made of.

Shapes: B batch, T time steps of the longest sequence in the batch, F features, H hidden units.
"""

import numpy as np
import pytest
import torch
from torch import nn

from sktime_rnn.cells import Cell, ElmanCell, GRUCell, LSTMCell
from sktime_rnn.heads import CategoricalHead, NormalHead, PointHead, QuantileHead
from sktime_rnn.networks import (
    UNKNOWN,
    CustomNetwork,
    ForecastNetwork,
    InputScaling,
    RecurrentNetwork,
    StepNetwork,
    TokenEmbedding,
    pool_max,
    pool_mean,
    valid_steps,
)

F, H, CLASSES = 3, 4, 3
LENGTHS = (5, 1, 8, 3)
POOLINGS = ["last", "mean", "max", "attention"]


class Leaky(Cell):
    """A cell without a kernel of torch."""

    def forward(self, x_t, state):
        return (0.5 * state[0] + x_t @ self.weight_ih.T,)


class Recorder(nn.Module):
    """Remember the shapes that a module is called with."""

    def __init__(self, module):
        super().__init__()
        self.module = module
        self.shapes = []

    def forward(self, X):
        self.shapes.append(tuple(X.shape))
        return self.module(X)


class Flat(nn.Module):
    """A module of a user: one number for each step, or for each sequence."""

    def forward(self, X, lengths):
        return X.sum(-1, keepdim=True)


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Matrices of four rows: a second thread would only wait."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def generator(global_random_seed):
    return torch.Generator().manual_seed(global_random_seed)


def make_network(generator, cell=None, head=None, **options):
    """A network whose weights are all drawn: those that start at zero would hide mistakes."""
    options = {"input_shape": (F,), "hidden_size": H, **options}
    network = RecurrentNetwork(cell or GRUCell(), head or CategoricalHead(CLASSES), **options)
    network.reset_parameters(generator)
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if "bias" in name or "initial_state" in name or "score" in name:
                weight.normal_(std=0.5, generator=generator)
    return network


def make_batch(lengths, generator, shape=(F,), padding=7.0):
    """Sequences, and the batch of them, its padding far from zero."""
    samples = [torch.randn(length, *shape, generator=generator) for length in lengths]
    X = torch.full((len(lengths), max(lengths), *shape), padding)
    for row, sample in zip(X, samples, strict=True):
        row[: len(sample)] = sample
    return samples, X, torch.tensor(lengths)


def alone(network, sample):
    """The output for a sequence in a batch of its own."""
    return network(sample[None], torch.tensor([len(sample)]))[0]


def small_cnn():
    """Frames (n, 4, 5, 2) to vectors (n, 6)."""
    return nn.Sequential(ChannelsFirst(), nn.Conv2d(2, 3, 3), nn.ReLU(), nn.AdaptiveAvgPool2d((1, 2)), nn.Flatten())


class ChannelsFirst(nn.Module):
    def forward(self, X):
        return X.movedim(-1, 1)


def draw(module, generator):
    """Draw all weights of a user's module from a generator."""
    for weight in module.parameters():
        nn.init.normal_(weight, generator=generator)
    return module


def n_parameters(module):
    return sum(weight.numel() for weight in module.parameters())


# -- the bidirectional network of Schuster and Paliwal (1997)


def test_bidirectional_classifier_equals_schuster_and_paliwal(generator):
    """h_t and z_t read towards each other, y_t = softmax(W_yh h_t + W_yz z_t + b)."""
    network = make_network(generator, ElmanCell(), per_step=True, bidirectional=True).double().eval()
    W = {name: weight.numpy() for name, weight in network.state_dict().items()}
    forward, backward = "recurrent.layers.0.0.cell.", "recurrent.layers.0.1.cell."
    W_xh, W_hh = W[f"{forward}weight_ih_l0"], W[f"{forward}weight_hh_l0"]
    W_xz, W_zz = W[f"{backward}weight_ih_l0"], W[f"{backward}weight_hh_l0"]
    b_h = W[f"{forward}bias_ih_l0"] + W[f"{forward}bias_hh_l0"]
    b_z = W[f"{backward}bias_ih_l0"] + W[f"{backward}bias_hh_l0"]
    W_yh, W_yz = W["head.linear.weight"][:, :H], W["head.linear.weight"][:, H:]

    samples, X, lengths = make_batch(LENGTHS, generator)
    proba = network.head.predict_proba(network(X.double(), lengths)).detach().numpy()
    for x, out in zip(samples, proba, strict=True):
        x, L = x.double().numpy(), len(x)
        h, z = np.zeros((L + 1, H)), np.zeros((L + 1, H))  # h[-1] and z[L] are the states before the first step
        for t in range(L):
            h[t] = np.tanh(W_xh @ x[t] + W_hh @ h[t - 1] + b_h)
        for t in reversed(range(L)):
            z[t] = np.tanh(W_xz @ x[t] + W_zz @ z[t + 1] + b_z)
        for t in range(L):
            a = W_yh @ h[t] + W_yz @ z[t] + W["head.linear.bias"]
            np.testing.assert_allclose(out[t], np.exp(a) / np.exp(a).sum(), rtol=1e-10)


# -- pooling


def test_valid_steps():
    assert valid_steps(torch.tensor([2, 1, 3]), 3).tolist() == [[True, True, False], [True, False, False], [True] * 3]


@pytest.mark.parametrize("padding", [0.0, 100.0, torch.inf, torch.nan])
def test_mean_and_maximum_over_valid_steps(padding, generator):
    samples, X, lengths = make_batch(LENGTHS, generator, padding=padding)
    X.requires_grad_()
    mask = valid_steps(lengths, X.shape[1])
    mean, maximum = pool_mean(X, mask), pool_max(X, mask)
    for x, a, b in zip(samples, mean, maximum, strict=True):
        torch.testing.assert_close(a, x.mean(0))
        assert torch.equal(b, x.amax(0))
    (gradient,) = torch.autograd.grad(mean.sum() + maximum.sum(), X)
    assert not gradient[~mask].any()
    torch.testing.assert_close(gradient[mask].sum(), torch.tensor(2.0 * len(LENGTHS) * F))


def attend(network, steps):
    mask = torch.ones(1, len(steps), dtype=torch.bool)
    return network.attention.weights(steps[None], mask)[0] @ steps


POOLED = {
    "last": lambda network, steps: torch.cat([steps[-1, :H], steps[0, H:]]),
    "mean": lambda network, steps: steps.mean(0),
    "max": lambda network, steps: steps.amax(0),
    "attention": attend,
}


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("pooling", POOLINGS)
def test_features_are_the_pooled_steps(pooling, bidirectional, generator):
    network = make_network(generator, pooling=pooling, bidirectional=bidirectional).eval()
    samples, X, lengths = make_batch(LENGTHS, generator)
    features = network.features(X, lengths)
    for row, x in zip(features, samples, strict=True):
        steps = network.recurrent(x[None], torch.tensor([len(x)]))[0]
        torch.testing.assert_close(row, POOLED[pooling](network, steps), rtol=1e-5, atol=1e-6)
    W, b = (weight.double() for weight in network.head.parameters())
    torch.testing.assert_close(network(X, lengths), features.double() @ W.T + b)


@pytest.mark.parametrize("options", [{}, {"bidirectional": True, "num_layers": 2}, {"go_backwards": True}])
@pytest.mark.parametrize("cell", [LSTMCell(), Leaky()], ids=["lstm", "leaky"])
@pytest.mark.parametrize("pooling", [*POOLINGS, None])
def test_outputs_do_not_depend_on_a_long_neighbour(pooling, cell, options, generator):
    kind = {"per_step": True} if pooling is None else {"pooling": pooling}
    network = make_network(generator, cell, initial_state="learned", **kind, **options).eval()
    samples, X, lengths = make_batch((*LENGTHS, 60), generator)
    for out, x in zip(network(X, lengths), samples, strict=True):
        expected = alone(network, x)
        out = out[: len(x)] if pooling is None else out
        torch.testing.assert_close(out, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_padding_that_overflows_moves_no_output(pooling, generator):
    network = make_network(generator, ElmanCell("relu"), pooling=pooling).double().eval()
    cell = network.recurrent.layers[0][0].cell
    nn.init.ones_(cell.weight_ih_l0)
    nn.init.constant_(cell.weight_hh_l0, 2.0)
    X = torch.ones(2, 400, F, dtype=torch.float64)
    lengths = torch.tensor([3, 5])
    assert not network.recurrent(X, lengths).isfinite().all()
    for out, x, length in zip(network(X, lengths), X, lengths, strict=True):
        torch.testing.assert_close(out, alone(network, x[:length]))


def test_attention_is_there_for_attention_pooling_alone(generator):
    assert make_network(generator, pooling="attention").attention is not None
    assert make_network(generator, pooling="attention", per_step=True).attention is None
    assert make_network(generator, pooling="mean").attention is None


@pytest.mark.parametrize("per_step", [False, True])
def test_number_of_parameters_does_not_depend_on_the_length(per_step, generator):
    network = make_network(generator, LSTMCell(), pooling="mean", per_step=per_step).eval()
    for length in (1, 50):
        out = alone(network, torch.zeros(length, F))
        assert out.shape == ((length, CLASSES) if per_step else (CLASSES,))
        assert n_parameters(network) == 4 * H * (F + H + 2) + CLASSES * (H + 1)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_later_steps_move_earlier_outputs_of_a_bidirectional_network_alone(bidirectional, generator):
    network = make_network(generator, num_layers=2, per_step=True, bidirectional=bidirectional).eval()
    _, X, lengths = make_batch((8, 6), generator)
    before = network(X, lengths)
    X[:, 4:] += 1
    after = network(X, lengths)
    assert (after[:, 4] != before[:, 4]).all()
    if bidirectional:
        assert (after[:, :4] != before[:, :4]).all()
    else:
        torch.testing.assert_close(after[:, :4], before[:, :4], rtol=1e-6, atol=1e-6)


# -- random numbers


@pytest.mark.parametrize("cell", [ElmanCell(), LSTMCell(), GRUCell(), Leaky()], ids=["rnn", "lstm", "gru", "leaky"])
def test_one_seed_decides_all_weights_and_masks(cell, global_random_seed):
    options = {"num_layers": 2, "bidirectional": True, "initial_state": "learned", "pooling": "attention"}
    options |= {"dropout": 0.5, "input_noise": 0.2, "token_counts": [0, 5, 2, 9], "embedding_dim": 5}
    codes, lengths = torch.tensor([[1, 2, 3], [3, 1, 0]]), torch.tensor([3, 2])
    before = torch.get_rng_state()
    drawn = []
    for seed in (global_random_seed, global_random_seed, 1234):
        network = RecurrentNetwork(cell, CategoricalHead(CLASSES), input_shape=(), hidden_size=H, **options)
        generator = torch.Generator().manual_seed(seed)
        network.reset_parameters(generator)
        for part in network.modules():
            if hasattr(part, "generator"):
                part.generator = generator
        drawn.append([*network.state_dict().values(), network.train()(codes, lengths)])
    first, again, other = drawn
    assert all(map(torch.equal, first, again))
    assert not torch.equal(first[-1], other[-1])
    assert torch.equal(torch.get_rng_state(), before)


def test_reset_leaves_the_step_network_as_it_is(generator):
    module = draw(nn.Linear(F, 2), generator)
    before = module.weight.clone()
    network = make_network(generator, step_network=module)
    assert torch.equal(network.step_network.module.weight, before)


# -- dropout


def test_dropout_lies_before_the_head(global_random_seed, generator):
    network = make_network(generator, dropout=0.5).train()
    _, X, lengths = make_batch(LENGTHS, generator)
    network.dropout.generator = torch.Generator().manual_seed(global_random_seed)
    out = network(X, lengths)
    network.dropout.generator = torch.Generator().manual_seed(global_random_seed)
    features = network.features(X, lengths)
    assert torch.equal(out, network.head(network.dropout(features)))
    assert not torch.equal(out, network.head(features))


@pytest.mark.parametrize("per_step", [False, True])
def test_dropout_rests_when_not_training(per_step, generator):
    options = {"num_layers": 2, "bidirectional": True, "per_step": per_step}
    thin, full = make_network(generator, dropout=0.5, **options), make_network(generator, **options)
    full.load_state_dict(thin.state_dict())
    _, X, lengths = make_batch(LENGTHS, generator)
    assert torch.equal(thin.eval()(X, lengths), full.eval()(X, lengths))


@pytest.mark.parametrize("options", [{}, {"step_network": nn.Identity()}], ids=["values", "step_network"])
def test_noise_is_added_to_what_is_read(options, global_random_seed, generator):
    network = make_network(generator, input_noise=0.5, **options).train()
    _, X, lengths = make_batch(LENGTHS, generator)
    network.noise.generator = torch.Generator().manual_seed(global_random_seed)
    out = network(X, lengths)
    network.noise.generator = torch.Generator().manual_seed(global_random_seed)
    disturbed = network.noise(X)
    network.noise.std = 0.0
    assert torch.equal(out, network(disturbed, lengths))
    assert not torch.equal(out, network(X, lengths))


def test_noise_of_tokens_is_their_rate_of_unknown(generator):
    options = {"token_counts": [0, 10**9], "embedding_dim": 2, "input_shape": ()}
    for noise in (0.0, 1.0):
        network = make_network(generator, input_noise=noise, **options).train()
        nn.init.normal_(network.embedding.embedding.weight, generator=generator)
        read = network.embedding(torch.ones(3, 5, dtype=torch.int64))
        assert (read == network.embedding.embedding.weight[UNKNOWN if noise else 1]).all()


# -- tokens


def test_rate_of_unknown_tokens():
    embedding = TokenEmbedding([0, 1, 3, 1000], 2)
    rates = torch.tensor([1.0, 0.2, 1 / 13, 0.25 / 1000.25])
    torch.testing.assert_close(embedding.unknown_rate, rates, rtol=1e-3, atol=0)
    noisy = TokenEmbedding([0, 1, 3, 1000], 2, noise=0.1)
    torch.testing.assert_close(noisy.unknown_rate, 1 - 0.9 * (1 - rates))  # either, or both at once


def test_vectors_of_rare_tokens_start_small(global_random_seed):
    embedding = TokenEmbedding([0, 1, 30, 10**6], 4000)
    embedding.reset_parameters(torch.Generator().manual_seed(global_random_seed))
    std = embedding.embedding.weight.detach().std(1)
    assert std.tolist() == pytest.approx([0, 1 / 31, 0.5, 1], rel=0.05)


def test_rare_tokens_are_read_as_unknown_in_training_alone(generator):
    embedding = TokenEmbedding([0, 1, 10**9], 2).train()
    embedding.reset_parameters(generator)
    embedding.generator = generator
    codes = torch.tensor([[1, 2]]).repeat(20_000, 1)
    vectors = embedding(codes)
    assert vectors.shape == (20_000, 2, 2)
    table = embedding.embedding.weight
    unknown = (vectors[:, 0] == table[UNKNOWN]).all(1)
    assert torch.equal(vectors[~unknown, 0], table[1].expand(int((~unknown).sum()), -1))
    assert unknown.double().mean().item() == pytest.approx(0.2, abs=0.015)
    assert torch.equal(vectors[:, 1], table[2].expand(20_000, -1))
    assert torch.equal(embedding.eval()(codes), table[codes])


def test_unknown_tokens_are_decided_by_the_generator(global_random_seed):
    embedding = TokenEmbedding([0, 1, 1], 2).train()
    before = torch.get_rng_state()
    vectors = []
    for seed in (global_random_seed, global_random_seed, 1234):
        embedding.generator = torch.Generator().manual_seed(seed)
        embedding.reset_parameters(torch.Generator().manual_seed(0))
        vectors.append(embedding(torch.tensor([[1, 2] * 200])))
    assert torch.equal(vectors[0], vectors[1])
    assert not torch.equal(vectors[0], vectors[2])
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_codes_on_the_padding_move_no_output(pooling, generator):
    options = {"token_counts": [0, 4, 4, 4], "embedding_dim": 5, "input_shape": ()}
    network = make_network(generator, pooling=pooling, bidirectional=True, **options).eval()
    codes, lengths = torch.tensor([[1, 2, 3, 1], [3, 1, 0, 0]]), torch.tensor([4, 2])
    out = network(codes, lengths)
    codes[1, 2:] = 2
    torch.testing.assert_close(network(codes, lengths), out, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(alone(network, codes[1, :2]), out[1], rtol=1e-6, atol=1e-6)


# -- steps of more than one axis


def test_step_network_runs_once_over_the_valid_steps(generator):
    recorder = Recorder(draw(small_cnn(), generator))
    samples, X, lengths = make_batch(LENGTHS, generator, (4, 5, 2))
    features = StepNetwork(recorder)(X, lengths)
    assert recorder.shapes == [(sum(LENGTHS), 4, 5, 2)]
    assert features.shape == (len(LENGTHS), max(LENGTHS), 6)
    for row, x in zip(features, samples, strict=True):
        torch.testing.assert_close(row[: len(x)], recorder.module(x))
        assert not row[len(x) :].any()


def test_gradient_of_the_step_network_is_that_of_the_valid_steps(generator):
    module = draw(small_cnn(), generator)
    samples, X, lengths = make_batch(LENGTHS, generator, (4, 5, 2))
    got = torch.autograd.grad(StepNetwork(module)(X, lengths).square().sum(), list(module.parameters()))
    expected = torch.autograd.grad(module(torch.cat(samples)).square().sum(), list(module.parameters()))
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("per_step", [False, True])
def test_frames_through_a_small_cnn(per_step, generator):
    recorder = Recorder(draw(small_cnn(), generator))
    options = {"input_shape": (4, 5, 2), "step_network": recorder, "bidirectional": True, "per_step": per_step}
    network = make_network(generator, **options).eval()
    recorder.shapes.clear()  # the constructor asks for the width of the output
    samples, X, lengths = make_batch(LENGTHS, generator, (4, 5, 2))
    raw = network(X, lengths)
    assert recorder.shapes == [(sum(LENGTHS), 4, 5, 2)]
    assert network.recurrent.layers[0][0].cell.input_size == 6
    for out, x in zip(raw, samples, strict=True):
        torch.testing.assert_close(out[: len(x)] if per_step else out, alone(network, x), rtol=1e-5, atol=1e-5)


def test_frames_are_flattened_without_a_step_network(generator):
    network = make_network(generator, input_shape=(2, 3)).eval()
    _, X, lengths = make_batch(LENGTHS, generator, (2, 3))
    flat = make_network(generator, input_shape=(6,)).eval()
    flat.load_state_dict(network.state_dict())
    assert torch.equal(network(X, lengths), flat(X.flatten(2), lengths))


def test_asking_for_the_width_leaves_the_step_network_as_it_is(generator):
    module = nn.Sequential(draw(nn.Linear(F, 2), generator), nn.BatchNorm1d(2), nn.Dropout()).double()
    before = torch.get_rng_state()
    for training in (True, False):
        network = make_network(generator, step_network=module.train(training))
        assert network.recurrent.layers[0][0].cell.input_size == 2
        assert all(part.training is training for part in module)
    assert module[1].num_batches_tracked == 0
    assert torch.equal(torch.get_rng_state(), before)


def test_step_network_of_another_shape_is_refused(generator):
    with pytest.raises(ValueError, match=r"step_network must map .*shape \(1, 3, 2, 3\) for one step.*nn.Flatten\(\)"):
        make_network(generator, input_shape=(4, 5, 2), step_network=small_cnn()[:2])


# -- a network of one's own


def test_custom_network_returns_what_the_module_returns():
    network = CustomNetwork(Flat(), PointHead(1), per_step=True)
    X = torch.arange(12.0).reshape(2, 3, 2)
    assert torch.equal(network(X, torch.tensor([3, 1])), X.sum(-1, keepdim=True))


@pytest.mark.parametrize(
    ("head", "per_step", "message"),
    [
        (PointHead(1), False, r"of shape \(2, 1\) for X of shape \(2, 3, 2\).*got \(2, 3, 1\).*number of axes"),
        (
            CategoricalHead(4),
            True,
            r"of shape \(2, 3, 4\) for X of shape \(2, 3, 2\).*got \(2, 3, 1\). Change the width",
        ),
    ],
)
def test_custom_network_of_another_shape_is_refused(head, per_step, message):
    with pytest.raises(ValueError, match=message):
        CustomNetwork(Flat(), head, per_step)(torch.zeros(2, 3, 2), torch.tensor([3, 1]))


# -- scaling of inputs


def make_scaling(X, **options):
    scaling = InputScaling(X.shape[-1], **options)
    flat = X.double().flatten(0, -2)
    scaling.mean.copy_(flat.nanmean(0))
    scaling.scale.copy_((flat - scaling.mean).square().nanmean(0).sqrt())
    return scaling


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_scaling_standardises_in_the_precision_of_training(dtype, generator):
    X = 5 + 3 * torch.randn(4, 6, F, generator=generator)
    before = X.clone()
    Z = make_scaling(X, dtype=dtype)(X)
    assert (Z.dtype, Z.shape) == (dtype, X.shape)
    torch.testing.assert_close(Z.mean((0, 1)), torch.zeros(F, dtype=dtype), rtol=0, atol=1e-6)
    torch.testing.assert_close(Z.std((0, 1), correction=0), torch.ones(F, dtype=dtype))
    assert torch.equal(X, before)


def test_scaling_tells_large_values_apart():
    """1e8 + 0..9 has two distinct values in float32."""
    small = torch.arange(10, dtype=torch.float64)[None, :, None]
    X = 1e8 + small
    assert len(X.float().unique()) == 2
    Z = make_scaling(X)(X)
    assert Z.dtype == torch.float32
    torch.testing.assert_close(Z, make_scaling(small)(small), rtol=1e-6, atol=1e-6)
    assert (Z.diff(dim=1) > 0.3).all()


def test_missing_values_are_zero_and_marked():
    scaling = InputScaling(2, mask_missing=True)
    scaling.mean.copy_(torch.tensor([1.0, 10.0]))
    scaling.scale.copy_(torch.tensor([2.0, 5.0]))
    X = torch.tensor([[[1.0, torch.nan], [3.0, 20.0]]])
    assert scaling(X).tolist() == [[[0.0, 0.0, 0.0, 1.0], [1.0, 2.0, 0.0, 0.0]]]


def test_missing_values_stay_without_a_mask():
    X = torch.tensor([[1.0, torch.nan]])
    assert InputScaling(2)(X).isnan().tolist() == [[False, True]]


def test_missing_channels_of_frames_are_appended_to_the_last_axis():
    X = torch.zeros(2, 3, 4, 5, 2)
    X[0, 1, 2, 3, 1] = torch.nan
    Z = InputScaling(2, mask_missing=True)(X)
    assert Z.shape == (2, 3, 4, 5, 4)
    assert Z.nonzero().tolist() == [[0, 1, 2, 3, 3]]


@pytest.mark.parametrize("mask_missing", [False, True])
def test_codes_pass_unchanged(mask_missing):
    codes = torch.tensor([[1, 2], [0, 3]])
    assert InputScaling(1, mask_missing=mask_missing)(codes) is codes


def test_constants_of_the_scaling_travel_with_the_network(generator):
    X = torch.randn(2, 3, F, generator=generator)
    scaling, other = make_scaling(X), InputScaling(F)
    other.load_state_dict(scaling.state_dict())
    assert torch.equal(other(X), scaling(X))
    assert {value.dtype for value in scaling.state_dict().values()} == {torch.float64}


# -- forecasts: L steps of context, A steps ahead, V variables

L, A = 5, 3


def make_forecast(generator, *, head=NormalHead, cell=None, n_variables=2, drawn=True, **options):
    """A network that forecasts, with all that it can read; its weights are all drawn unless it is to start afresh."""
    options = {
        "n_past": 1,
        "n_ahead": 2,
        "past_counts": [[0, 5, 5]],
        "ahead_counts": [[0, 5, 5]],
        "static_counts": [[0, 9, 9, 9]],
        "n_static": 1,
        "patch_length": 2,
        "hidden_size": H,
        "num_layers": 1,
        "bidirectional": False,
        "bias": True,
        "initial_state": "zeros",
        "dropout": 0.0,
        "input_noise": 0.0,
        "decoder": False,
        "linear": True,
        "n_locations": 1,
        "compress": True,
        **options,
    }
    network = ForecastNetwork(
        cell or ElmanCell(), head(A * n_variables), context=L, horizon=A, n_variables=n_variables, **options
    )
    network.reset_parameters(generator)
    if drawn:
        with torch.no_grad():
            for weight in network.parameters():
                weight.normal_(std=0.5, generator=generator)
    return network.double().eval()


def make_windows(generator, n=4, n_variables=2, length=L):
    """What make_forecast's networks read."""

    def numbers(*shape):
        return torch.randn(n, *shape, generator=generator, dtype=torch.float64)

    def codes(*shape):
        return torch.randint(0, 3, (n, *shape), generator=generator)

    return {
        "X": numbers(length, n_variables + 1),
        "lengths": torch.full((n,), length),
        "codes": codes(length, 1),
        "ahead": numbers(A, 2),
        "ahead_codes": codes(A, 1),
        "static": numbers(1),
        "static_codes": codes(1),
    }


def arrays(network):
    return {name: weight.detach().numpy() for name, weight in network.named_parameters()}


def elman(w, name, x, h):
    """One step of the layer of a name."""
    W_ih, W_hh, b_ih, b_hh = (w[f"{name}.{part}_l0"] for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
    return np.tanh(x @ W_ih.T + b_ih + h @ W_hh.T + b_hh)


def layer_name(network, part):
    """The name of a part's only recurrent layer among the weights."""
    return next(n for n, _ in network.named_parameters() if n.startswith(part) and "weight_ih" in n).rsplit(".", 1)[0]


def forecast_by_hand(network, window, b, decoder):
    """The raw output (A, V, 2) for window b, step by step."""
    w = arrays(network)
    x = {name: value.numpy()[b] for name, value in window.items()}
    V = network.n_variables
    table = w["past_codes.tables.0.embedding.weight"]
    steps = np.concatenate([np.arcsinh(x["X"][:, :V]), x["X"][:, V:], table[x["codes"][:, 0]]], axis=1)
    static = np.concatenate([x["static"], w["static_codes.tables.0.embedding.weight"][x["static_codes"][0]]])
    ahead = np.concatenate([x["ahead"], w["ahead_codes.tables.0.embedding.weight"][x["ahead_codes"][:, 0]]], axis=1)
    patches = [np.concatenate([np.zeros_like(steps[0]), steps[0]]), steps[1:3].ravel(), steps[3:5].ravel()]
    h = np.zeros(H)
    for patch in patches:
        h = elman(w, layer_name(network, "encoder"), np.concatenate([patch, static]), h)
    c = np.concatenate([h, static])
    if decoder:
        d, raw = np.zeros(H), []
        for step in range(A):
            d = elman(w, layer_name(network, "decoder"), np.concatenate([ahead[step], c]), d)
            raw.append(w["head.linear.weight"] @ d + w["head.linear.bias"] + w["bias"][step])
        raw = np.stack(raw)
    else:
        raw = (w["head.linear.weight"] @ c + w["head.linear.bias"]).reshape(A, -1)
        for step in range(A):
            hidden = np.tanh(w["ahead.0.weight"] @ c + w["ahead.0.bias"] + w["ahead.1.weight"] @ ahead[step])
            raw[step] += w["ahead.2.weight"] @ hidden
    raw = raw.reshape(A, V, 2)
    raw[..., 0] += (w["linear.weight"] @ x["X"][:, :V].ravel() + w["linear.bias"]).reshape(A, V)
    return raw


@pytest.mark.parametrize("decoder", [False, True])
def test_forecast_equals_its_equations(decoder, generator):
    network, window = make_forecast(generator, decoder=decoder), make_windows(generator)
    raw = network(**window).detach().numpy()
    for b in range(len(raw)):
        expected = forecast_by_hand(network, window, b, decoder).ravel()
        np.testing.assert_allclose(raw[b], expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("decoder", [False, True])
@pytest.mark.parametrize("head", [PointHead, NormalHead])
def test_forecast_starts_at_zero(decoder, head, generator):
    network = make_forecast(generator, decoder=decoder, head=head, drawn=False)
    assert not network(**make_windows(generator)).any()


@pytest.mark.parametrize("decoder", [False, True])
def test_forecast_starts_where_it_is_told(decoder, generator):
    network, window = make_forecast(generator, decoder=decoder, drawn=False), make_windows(generator)
    linear = torch.randn(1 + L * 2, A * 2, generator=generator, dtype=torch.float64)
    bias = torch.randn(A * 2, 2, generator=generator, dtype=torch.float64)
    network.start(linear=linear, bias=bias)
    raw = network(**window).unflatten(1, (A * 2, 2))
    location = linear[0] + window["X"][..., :2].flatten(1) @ linear[1:]
    torch.testing.assert_close(raw[..., 0], location + bias[:, 0], rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(raw[..., 1], bias[:, 1].expand(4, -1), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("decoder", [False, True])
def test_forecast_does_not_depend_on_its_batch(decoder, generator):
    network = make_forecast(generator, decoder=decoder, cell=LSTMCell()).float()
    window = {k: v.float() if v.is_floating_point() else v for k, v in make_windows(generator, n=40).items()}
    together = network(**window)
    alone = torch.cat([network(**{k: v[i : i + 1] for k, v in window.items()}) for i in range(40)])
    torch.testing.assert_close(alone, together, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("decoder", [False, True])
@pytest.mark.parametrize("n_variables", [1, 3])
@pytest.mark.parametrize("linear", [False, True])
def test_shape_of_forecasts(decoder, n_variables, linear, generator):
    network = make_forecast(generator, decoder=decoder, n_variables=n_variables, linear=linear)
    raw = network(**make_windows(generator, n_variables=n_variables))
    assert raw.shape == (4, A * n_variables * 2)
    assert network.head.predict(raw).shape == (4, A * n_variables)


@pytest.mark.parametrize("decoder", [False, True])
def test_forecast_from_the_variables_alone(decoder, generator):
    nothing = {"n_past": 0, "n_ahead": 0, "n_static": 0, "past_counts": [], "ahead_counts": [], "static_counts": []}
    network = make_forecast(generator, decoder=decoder, **nothing)
    X = torch.randn(2, L, 2, generator=generator, dtype=torch.float64)
    assert network(X, torch.tensor([L, L])).shape == (2, A * 2 * 2)


@pytest.mark.parametrize("decoder", [False, True])
def test_features_ahead_move_their_own_step(decoder, generator):
    """Of a decoder, the steps after it too; never the steps before."""
    network, window = make_forecast(generator, decoder=decoder), make_windows(generator)
    changed = {**window, "ahead": window["ahead"].clone()}
    changed["ahead"][:, 1] += 1
    moved = (network(**changed) != network(**window)).unflatten(1, (A, -1)).any(dim=2).any(dim=0)
    assert moved.tolist() == [False, True, decoder]


def test_every_step_of_the_context_moves_every_step_ahead(generator):
    network, window = make_forecast(generator), make_windows(generator)
    before = network(**window)
    for step in range(L):
        changed = {**window, "X": window["X"].clone()}
        changed["X"][:, step, 0] += 1
        assert (network(**changed) != before).unflatten(1, (A, -1)).any(dim=2).all()


def test_the_linear_map_reads_the_last_steps_of_a_longer_context(generator):
    network, window = make_forecast(generator), make_windows(generator, length=L + 4)
    short = {**window, "X": window["X"][:, 4:]}
    torch.testing.assert_close(
        network._location(window["X"], torch.float64), network._location(short["X"], torch.float64)
    )
    assert (network(**window) != network(**{**short, "codes": window["codes"][:, 4:]})).all()


def test_the_linear_map_moves_every_location(generator):
    levels = [0.1, 0.5, 0.9]

    def head(n_outputs):
        return QuantileHead(n_outputs, levels)

    network, window = make_forecast(generator, head=head, n_locations=3), make_windows(generator)
    before = network(**window).unflatten(1, (A, 2, 3))
    with torch.no_grad():
        network.linear.bias.add_(torch.arange(6.0))
    moved = network(**window).unflatten(1, (A, 2, 3)) - before
    torch.testing.assert_close(moved, torch.arange(6.0, dtype=torch.float64).reshape(A, 2, 1).expand(4, A, 2, 3))


def test_a_level_is_added_to_the_first_parameter(generator):
    network, window = make_forecast(generator), make_windows(generator)
    level = torch.tensor([[1.0, 2.0]], dtype=torch.float64).expand(4, -1)
    moved = (network(**window, log_level=level) - network(**window)).unflatten(1, (A, 2, 2))
    torch.testing.assert_close(moved[..., 0], level[:, None].expand(-1, A, -1))
    assert not moved[..., 1].any()


def test_large_values_are_compressed_unless_told_otherwise(generator):
    options = {"linear": False, "past_counts": [], "n_past": 0}
    window = make_windows(generator)
    window = {**window, "X": window["X"][..., :2], "codes": None}
    compressed, plain = (make_forecast(generator, compress=compress, **options) for compress in (True, False))
    plain.load_state_dict(compressed.state_dict())
    torch.testing.assert_close(plain(**{**window, "X": torch.asinh(window["X"])}), compressed(**window))


def test_one_seed_decides_the_weights_of_a_forecast(global_random_seed):
    first, second, other = (
        make_forecast(torch.Generator().manual_seed(seed), drawn=False)
        for seed in (global_random_seed, global_random_seed, global_random_seed + 1)
    )
    for name, weight in first.state_dict().items():
        torch.testing.assert_close(second.state_dict()[name], weight, rtol=0, atol=0)
    assert any((other.state_dict()[name] != weight).any() for name, weight in first.state_dict().items())
