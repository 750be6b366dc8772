"""Cells with other memories, deeper steps, decays, zoneout and normalisation: worked in NumPy from the papers."""

import copy
import inspect
import pickle

import numpy as np
import pytest
import torch

from sktime_rnn import RNNClassifier, RNNRegressor
from sktime_rnn.cells import Cell, ElmanCell, GRUCell, LSTMCell
from sktime_rnn.cells._deep import DeepCell, SkipCell
from sktime_rnn.cells._gru_d import GRUDCell
from sktime_rnn.cells._memory import (
    ClockworkCell,
    FeedForwardCell,
    IRNNCell,
    LeakyCell,
    SelfConnectedCell,
    TraceCell,
    spread_shares,
)
from sktime_rnn.cells._regularized import LayerNormCell, LockedDropoutCell, ZoneoutCell
from sktime_rnn.layers import Layers, Recurrent, Stacked, unroll

BATCH, STEPS, INPUT, HIDDEN = 3, 9, 4, 5
RATES = [0.1, 0.2, 0.5, 0.7, 1.0]


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Matrices of a few rows: a second thread would only wait."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def generator(global_random_seed):
    return torch.Generator().manual_seed(global_random_seed)


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def relu(a):
    return np.maximum(a, 0)


def weights_of(cell):
    """Return the weights as arrays by name, 0 for biases that are not there."""
    weights = {name: weight.detach().numpy() for name, weight in cell.named_parameters()}
    names = ["bias_ih", "bias_hh", "bias_decay_x", "bias_decay_h", "cell.bias_ih", "cell.bias_hh", "bias_c"]
    return dict.fromkeys(names, 0.0) | weights


# -- the equations of the papers: (weights, cell, X (T, B, F)) -> outputs (T, B, H)


def feed_forward(phi, w, cell, X):
    return np.stack([phi(x @ w["weight_ih"].T + w["bias_ih"]) for x in X])


def elman(phi, w, cell, X):
    h, out = np.zeros((BATCH, HIDDEN)), []
    for x in X:
        h = phi(x @ w["weight_ih"].T + w["bias_ih"] + h @ w["weight_hh"].T + w["bias_hh"])
        out.append(h)
    return np.stack(out)


def spread(n=HIDDEN, longest=100):
    return 1 - 1 / np.geomspace(2, longest, n)


def share(cell, w, given):
    """Return what is kept: the number given, or the sigmoid of the parameter."""
    if isinstance(given, str):
        return sigmoid(w["kept_logit"]) if given == "learned" else spread()
    return np.asarray(given)


def leaky(kept, w, cell, X):
    alpha, mu, out = share(cell, w, kept), np.zeros((BATCH, HIDDEN)), []
    for x in X:
        v = np.tanh(x @ w["weight_ih"].T + w["bias_ih"] + mu @ w["weight_hh"].T + w["bias_hh"])
        mu = alpha * mu + (1 - alpha) * v
        out.append(mu)
    return np.stack(out)


def self_connected(kept, w, cell, X):
    h, out = np.zeros((BATCH, HIDDEN)), []
    for x in X:
        h = share(cell, w, kept) * h + np.tanh(x @ w["weight_ih"].T + w["bias_ih"])
        out.append(h)
    return np.stack(out)


def trace_of_inputs(kept, w, cell, X):
    W, V = np.split(w["weight_ih"], 2)
    mu = np.broadcast_to(share(cell, w, kept), HIDDEN)
    trace, out = np.zeros((BATCH, HIDDEN, INPUT)), []  # one trace of the inputs for every unit
    for x in X:
        trace = mu[:, None] * trace + (1 - mu[:, None]) * x[:, None]
        out.append(np.tanh(x @ W.T + np.einsum("bhf,hf->bh", trace, V) + w["bias_ih"]))
    return np.stack(out)


def trace_of_states(kept, w, cell, X):
    trace, out, mu = np.zeros((BATCH, HIDDEN)), [], share(cell, w, kept)
    for x in X:
        h = np.tanh(x @ w["weight_ih"].T + w["bias_ih"] + trace @ w["weight_hh"].T + w["bias_hh"])
        trace = mu * trace + (1 - mu) * h
        out.append(h)
    return np.stack(out)


def clockwork(sizes, periods, w, cell, X):
    h, out = np.zeros((BATCH, HIDDEN)), []
    starts = np.cumsum([0, *sizes])
    for t, x in enumerate(X):
        new = h.copy()
        for start, size, period in zip(starts, sizes, periods, strict=False):
            if t % period == 0:
                unit, slower = slice(start, start + size), slice(start, None)
                a = x @ w["weight_ih"][unit].T + h[:, slower] @ w["weight_hh"][unit, slower].T
                a += w["bias_ih"][unit] + w["bias_hh"][unit] if np.ndim(w["bias_ih"]) else 0
                new[:, unit] = np.tanh(a)
        h = new
        out.append(h)
    return np.stack(out)


def deep(w, cell, X):
    def layer(name, k, z):
        return z @ w[f"{name}.weights.{k}"].T + w.get(f"{name}.biases.{k}", 0.0)

    h, out = np.zeros((BATCH, HIDDEN)), []
    for u in X:
        for k in range(cell.input_layers):
            u = np.tanh(layer("below", k, u))
        z = np.tanh(u @ w["weight_ih"].T + w["bias_ih"] + h @ w["weight_hh"].T + w["bias_hh"])
        for k in range(cell.transition_layers):
            a = layer("between", k, z)
            if cell.shortcut and k == cell.transition_layers - 1:
                a = a + h @ w["weight_shortcut"].T
            z = np.tanh(a)
        h = y = z
        for k in range(cell.output_layers):
            y = np.tanh(layer("above", k, y))
        out.append(y)
    return np.stack(out)


def skip(delay, removed, w, cell, X):
    past, zero = [], np.zeros((BATCH, HIDDEN))
    for t, x in enumerate(X):
        long = past[t - delay] if t >= delay else zero
        a = x @ w["weight_ih"].T + w["bias_ih"] + w["bias_hh"]
        if removed:
            a = a + long @ w["weight_hh"].T
        else:
            a = a + (past[-1] if past else zero) @ w["weight_hh"].T + long @ w["weight_skip"].T
        past.append(np.tanh(a))
    return np.stack(past)


def ln(a, gain):
    return gain * (a - a.mean(1, keepdims=True)) / np.sqrt(a.var(1, keepdims=True) + 1e-5)


def gates_of(n, w, x, h):
    """Return the normalised net inputs of n gates: from the input, and from the state."""
    W = np.split(w["cell.weight_ih"], n)
    U = np.split(w["cell.weight_hh"], n)
    g_x, g_h = np.split(w["gain_ih"], n), np.split(w["gain_hh"], n)
    b_x, b_h = (np.split(np.broadcast_to(w[f"cell.{name}"], n * HIDDEN), n) for name in ("bias_ih", "bias_hh"))
    of_x = [ln(x @ W[k].T, g_x[k]) + b_x[k] for k in range(n)]
    return of_x, [ln(h @ U[k].T, g_h[k]) + b_h[k] for k in range(n)]


def normalised_elman(phi, w, cell, X):
    h, out = np.zeros((BATCH, HIDDEN)), []
    for x in X:
        (a,), (b,) = gates_of(1, w, x, h)
        h = phi(a + b)
        out.append(h)
    return np.stack(out)


def normalised_lstm(w, cell, X):
    h = c = np.zeros((BATCH, HIDDEN))
    out = []
    for x in X:
        i, f, g, o = (a + b for a, b in zip(*gates_of(4, w, x, h), strict=True))
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(ln(c, w["gain_c"]) + w["bias_c"])
        out.append(h)
    return np.stack(out)


def normalised_gru(w, cell, X):
    h, out = np.zeros((BATCH, HIDDEN)), []
    for x in X:
        (a_r, a_z, a_n), (b_r, b_z, b_n) = gates_of(3, w, x, h)
        z = sigmoid(a_z + b_z)
        h = (1 - z) * np.tanh(a_n + sigmoid(a_r + b_r) * b_n) + z * h
        out.append(h)
    return np.stack(out)


def gru_d(time_feature, w, cell, X):
    """Che et al. (2018), equations 3 to 9, their mask m being 1 minus the flags."""
    n = X.shape[2] // 2
    W, U = np.split(w["weight_ih"], 3), np.split(w["weight_hh"], 3)
    b = np.split(np.broadcast_to(w["bias_ih"], 3 * HIDDEN), 3)
    h, out = np.zeros((BATCH, HIDDEN)), []
    x_last, delta, m_before = (np.zeros((BATCH, n)) for _ in range(3))
    seen, s_before = np.zeros((BATCH, 1), bool), np.zeros((BATCH, 1))
    for t, step in enumerate(X):
        x, m = step[:, :n], 1 - step[:, n:]
        if time_feature is None:
            interval = np.full((BATCH, 1), float(t > 0))
        else:
            there, stamp = m[:, [time_feature]] == 1, x[:, [time_feature]]
            interval = np.where(there & seen, abs(stamp - s_before), 0.0)
            s_before, seen = np.where(there, stamp, s_before), seen | there
        delta = interval + (1 - m_before) * delta
        gamma_x = np.exp(-relu(w["decay_x"] * delta + w["bias_decay_x"]))
        gamma_h = np.exp(-relu(delta @ w["decay_h"].T + w["bias_decay_h"]))
        x_hat = m * x + (1 - m) * gamma_x * x_last
        x_last, m_before, h = m * x + (1 - m) * x_last, m, gamma_h * h
        r, z = (sigmoid(np.hstack([x_hat, m]) @ W[k].T + h @ U[k].T + b[k]) for k in (0, 1))
        candidate = np.tanh(np.hstack([x_hat, m]) @ W[2].T + (r * h) @ U[2].T + b[2])
        h = (1 - z) * h + z * candidate
        out.append(h)
    return np.stack(out)


def case(name, cell, work, *args):
    return pytest.param(cell, lambda w, built, X: work(*args, w, built, X), id=name)


CASES = [
    case("feed-forward", FeedForwardCell(), feed_forward, np.tanh),
    case("feed-forward-relu", FeedForwardCell("relu"), feed_forward, relu),
    case("leaky", LeakyCell(0.3), leaky, 0.7),
    case("leaky-none", LeakyCell(1), elman, np.tanh),
    case("leaky-array", LeakyCell(np.array(RATES)), leaky, 1 - np.array(RATES)),
    case("leaky-spread", LeakyCell(), leaky, "spread"),
    case("leaky-learned", LeakyCell("learned"), leaky, "learned"),
    case("self", SelfConnectedCell(), self_connected, "spread"),
    case("self-carousel", SelfConnectedCell(1.0), self_connected, 1.0),
    case("self-learned", SelfConnectedCell("learned"), self_connected, "learned"),
    case("trace-inputs", TraceCell(mu=0.6), trace_of_inputs, 0.6),
    case("trace-inputs-spread", TraceCell(), trace_of_inputs, "spread"),
    case("trace-inputs-learned", TraceCell(mu="learned"), trace_of_inputs, "learned"),
    case("trace-states", TraceCell("states", 0.6), trace_of_states, 0.6),
    case("trace-states-spread", TraceCell("states"), trace_of_states, "spread"),
    case("trace-states-learned", TraceCell("states", "learned"), trace_of_states, "learned"),
    case("clockwork", ClockworkCell(), clockwork, [3, 2], [1, 2]),
    case("clockwork-periods", ClockworkCell([1, 3, 4, 8]), clockwork, [2, 1, 1, 1], [1, 3, 4, 8]),
    case("irnn", IRNNCell(), elman, relu),
    case("deep-none", DeepCell(0, 0, 0), elman, np.tanh),
    case("deep-input", DeepCell(2, 0, 0), deep),
    case("deep-transition", DeepCell(), deep),
    case("deep-shortcut", DeepCell(transition_layers=2, shortcut=True), deep),
    case("deep-output", DeepCell(0, 0, 2), deep),
    case("deep-all", DeepCell(1, 1, 1, True), deep),
    case("skip", SkipCell(3), skip, 3, False),
    case("skip-removed", SkipCell(3, removed=True), skip, 3, True),
    case("norm-elman", LayerNormCell(ElmanCell()), normalised_elman, np.tanh),
    case("norm-irnn", LayerNormCell(IRNNCell()), normalised_elman, relu),
    case("norm-lstm", LayerNormCell(LSTMCell()), normalised_lstm),
    case("norm-gru", LayerNormCell(GRUCell()), normalised_gru),
    case("gru-d", GRUDCell(), gru_d, None),
    case("gru-d-time", GRUDCell(time_feature=1), gru_d, 1),
]
ALL_CELLS = [
    *(pytest.param(case.values[0], id=case.id) for case in CASES),
    pytest.param(ZoneoutCell(LSTMCell(), [0.1, 0.4]), id="zoneout-lstm"),
    pytest.param(ZoneoutCell(ClockworkCell(), 0.3), id="zoneout-clockwork"),
    pytest.param(ZoneoutCell(LayerNormCell(GRUCell()), 0.3), id="zoneout-norm-gru"),
]
LEARNED = [case for case in ALL_CELLS if case.values[0].learnable]


def width(cell):
    return 2 * INPUT if isinstance(cell, GRUDCell) else INPUT


def inputs(cell, generator, batch=BATCH, dtype=torch.float64):
    """Return inputs (B, T, F); for GRU-D with flags, the third value never observed, the second a time stamp."""
    X = torch.randn(batch, STEPS, INPUT, generator=generator, dtype=dtype)
    if not isinstance(cell, GRUDCell):
        return X
    missing = torch.rand(batch, STEPS, INPUT, generator=generator) < 0.5
    missing[:, :, 2] = True
    X[:, :, 1] = X[:, :, 1].abs().cumsum(1)
    X[0, :, 1] *= -1  # as when it is read backwards
    return torch.cat([X.masked_fill(missing, 0.0), missing.to(dtype)], dim=2)


def built(cell, generator, bias=True):
    """Return the cell in float64 with weights of any size."""
    cell = cell.build(width(cell), HIDDEN, bias).double()
    for weight in cell.parameters():
        torch.nn.init.normal_(weight, generator=generator)
    return cell


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("cell", "work"), CASES)
def test_outputs_equal_the_equations(cell, work, bias, generator):
    cell = built(cell, generator, bias)
    X = inputs(cell, generator)
    expected = work(weights_of(cell), cell, X.transpose(0, 1).numpy())
    outputs, _ = unroll(cell, X, cell.initial_state(BATCH, X))
    np.testing.assert_allclose(outputs.detach().transpose(0, 1).numpy(), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("cell", ALL_CELLS)
def test_a_sequence_can_be_read_in_parts_and_step_by_step(cell, generator):
    cell = built(cell, generator).eval()
    X = inputs(cell, generator)
    first = cell.initial_state(BATCH, X)
    assert isinstance(first, tuple)
    assert [part.shape[1] for part in first] == list(cell.state_sizes(HIDDEN))
    assert len(first) == cell.n_states > max(cell.learnable, default=0)
    whole, end = unroll(cell, X, first)
    one, middle = unroll(cell, X[:, :4], first)
    two, end_of_parts = unroll(cell, X[:, 4:], middle)
    torch.testing.assert_close(torch.cat([one, two], dim=1), whole)
    torch.testing.assert_close(end_of_parts, end)
    state = first
    for t in range(STEPS):
        state = cell(X[:, t], state)
        torch.testing.assert_close(state[0], whole[:, t])
    torch.testing.assert_close(state, end)


@pytest.mark.parametrize("cell", ALL_CELLS)
def test_unequal_lengths_in_two_layers_and_directions(cell, generator):
    layers = 1 if isinstance(cell, GRUDCell) else 2
    network = Stacked(cell, width(cell), HIDDEN, num_layers=layers, bidirectional=True).double().eval()
    network.reset_parameters(generator)
    lengths = torch.tensor([STEPS, 1, 5])
    X = inputs(cell, generator)
    for x, n in zip(X, lengths, strict=True):
        x[n:] = 1.0  # padding
    outputs, last = network.read(X, lengths)
    assert outputs.shape == (BATCH, STEPS, 2 * HIDDEN)
    for x, n, output, end in zip(X, lengths, outputs, last, strict=True):
        alone, alone_end = network.read(x[None, :n], n[None])
        torch.testing.assert_close(output[:n], alone[0])
        torch.testing.assert_close(end, alone_end[0])


@pytest.mark.parametrize("cell", LEARNED)
def test_all_weights_and_the_learned_start_have_finite_gradients(cell, generator):
    layer = Recurrent(cell, width(cell), HIDDEN, initial_state="learned")
    layer.reset_parameters(generator)
    if isinstance(cell, ZoneoutCell):
        layer.cell.generator = generator
    assert layer.initial_state.shape == (len(cell.learnable), HIDDEN)
    X = inputs(cell, generator, dtype=torch.float32).requires_grad_()
    layer(X).pow(2).mean().backward()
    for name, weight in layer.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.isfinite().all(), name
        assert weight.grad.any(), name
    assert X.grad.isfinite().all()
    before = layer.eval()(X)
    for row in layer.initial_state.data:
        row.normal_(generator=generator)
        after = layer(X)
        assert not torch.allclose(before, after)
        before = after


@pytest.mark.parametrize("cell", [case for case in ALL_CELLS if not case.values[0].learnable])
def test_what_feeds_nothing_back_has_no_start_to_learn(cell, generator):
    layer = Recurrent(cell, INPUT, HIDDEN)
    layer.reset_parameters(generator)
    layer(inputs(cell, generator, dtype=torch.float32)).pow(2).mean().backward()
    assert all(weight.grad.isfinite().all() and weight.grad.any() for weight in layer.parameters())


# -- building and drawing weights


def drawn(cell, seed, hidden_size=HIDDEN):
    cell = cell.build(width(cell), hidden_size)
    cell.reset_parameters(torch.Generator().manual_seed(seed))
    return cell


@pytest.mark.parametrize("cell", ALL_CELLS)
def test_options_are_kept_as_given(cell):
    names = inspect.signature(type(cell)).parameters
    assert all(hasattr(cell, name) for name in names)
    type(cell)(**{name: getattr(cell, name) for name in names})


@pytest.mark.parametrize("cell", ALL_CELLS)
def test_build_leaves_the_cell_as_it_is(cell):
    before = list(vars(cell))
    cell.build(width(cell), HIDDEN)
    assert not list(cell.parameters())
    assert list(vars(cell)) == before


@pytest.mark.parametrize("cell", ALL_CELLS)
def test_one_seed_gives_the_same_weights(cell, global_random_seed):
    before = torch.get_rng_state()
    first, again, other = (drawn(cell, seed) for seed in (global_random_seed, global_random_seed, 1234))
    assert all(map(torch.equal, first.parameters(), again.parameters()))
    assert not all(map(torch.equal, first.parameters(), other.parameters()))
    assert all(weight.isfinite().all() for weight in first.parameters())
    assert torch.equal(torch.get_rng_state(), before)
    copied = copy.deepcopy(first)
    assert all(map(torch.equal, first.parameters(), copied.parameters()))


def is_orthogonal(weight):
    return torch.allclose(weight @ weight.T, torch.eye(len(weight)), atol=1e-5)


def fills_the_bound_of_glorot(weight):
    bound = (6 / sum(weight.shape)) ** 0.5
    return 0.8 * bound < weight.abs().max() <= bound


@pytest.mark.parametrize("cell", ALL_CELLS)
def test_inputs_within_glorot_and_states_orthogonal(cell, global_random_seed):
    cell = drawn(cell, global_random_seed)
    kept_in_blocks = isinstance(cell, ClockworkCell) or isinstance(getattr(cell, "cell", None), ClockworkCell)
    for name, weight in cell.named_parameters():
        if name.endswith(("weight_ih", "weight_skip")) or name.startswith(("below.w", "above.w")):
            assert all(map(fills_the_bound_of_glorot, weight.split(HIDDEN))), name
        elif name.startswith("between.w") or name == "weight_shortcut":
            assert is_orthogonal(weight), name
        elif name.endswith("weight_hh") and not kept_in_blocks:
            assert all(map(is_orthogonal, weight.split(HIDDEN))), name
        elif "bias" in name and not isinstance(getattr(cell, "cell", None), LSTMCell):
            assert not weight.any(), name
        elif "gain" in name:
            assert torch.equal(weight, torch.ones_like(weight)), name


def test_irnn_starts_from_the_identity_and_has_a_kernel(generator):
    assert IRNNCell().kernel == "RNN"
    layer = Recurrent(IRNNCell(), INPUT, HIDDEN)
    layer.reset_parameters(generator)
    assert torch.equal(layer.cell.weight_hh_l0, torch.eye(HIDDEN))
    cell = built(IRNNCell(), generator).float()
    theirs = torch.nn.RNNCell(INPUT, HIDDEN, nonlinearity="relu")
    theirs.load_state_dict(cell.state_dict())
    x, h = (torch.randn(BATCH, size, generator=generator) for size in (INPUT, HIDDEN))
    torch.testing.assert_close(cell(x, (h,))[0], theirs(x, h))


def test_shares_are_spread_over_time_constants():
    shares = spread_shares(3, 50)
    np.testing.assert_allclose(1 / (1 - shares), [2, 10, 50])
    assert LeakyCell().build(1, 8).shares()[-1] == pytest.approx(0.99)
    assert LeakyCell(longest=20).build(1, 8).shares()[-1] == pytest.approx(0.95)
    learned = drawn(TraceCell("states", "learned", longest=20), 0)
    np.testing.assert_allclose(learned.shares().detach(), spread(longest=20), rtol=1e-5)


def test_numbers_that_are_no_weights_are_not_saved(generator):
    assert list(drawn(LeakyCell(), 0).state_dict()) == ["weight_ih", "weight_hh", "bias_ih", "bias_hh"]
    assert list(drawn(ClockworkCell(), 0).state_dict()) == ["weight_ih", "weight_hh", "bias_ih", "bias_hh"]


@pytest.mark.parametrize(("hidden_size", "n_groups"), [(1, 1), (5, 2), (12, 6), (64, 8), (100, 8)])
def test_clockwork_chooses_its_groups(hidden_size, n_groups):
    period = ClockworkCell().build(INPUT, hidden_size).period
    values, counts = period.unique(return_counts=True)
    assert values.tolist() == [2**i for i in range(n_groups)]
    assert counts.max() - counts.min() <= 1


def test_clockwork_reads_nothing_from_faster_groups(global_random_seed):
    weight = drawn(ClockworkCell([1, 2]), global_random_seed).weight_hh
    assert not weight[3:, :3].any()
    assert weight[:3].all()
    assert weight[3:, 3:].all()


def test_clockwork_counts_each_sequence_by_itself(generator):
    cell = built(ClockworkCell([1, 4]), generator)
    X = inputs(cell, generator)[:, :1]
    h = torch.randn(BATCH, HIDDEN, generator=generator, dtype=torch.float64)
    after, count = cell(X[:, 0], (h, torch.tensor([[0.0], [1.0], [4.0]], dtype=torch.float64)))
    assert torch.equal(after[1, 3:], h[1, 3:])
    assert not torch.isclose(after[[0, 2], 3:], h[[0, 2], 3:]).any()
    assert count.ravel().tolist() == [1, 2, 5]


# -- GRU-D


def test_gru_d_without_missing_values_is_a_gru_without_decay(generator):
    cell = built(GRUDCell(), generator)
    for decay in (cell.decay_x, cell.decay_h, cell.bias_decay_h):
        torch.nn.init.zeros_(decay)
    X = inputs(cell, generator)
    X[:, :, INPUT:] = 0
    gru = GRUCell(reset_after=False).build(INPUT, HIDDEN).double()
    W, V = cell.weight_ih.data.split(INPUT, dim=1)
    turned = torch.tensor([1.0, -1.0, 1.0], dtype=torch.float64).repeat_interleave(HIDDEN)  # z keeps in the one
    gru.weight_ih.data = W * turned[:, None]
    gru.weight_hh.data = cell.weight_hh.data * turned[:, None]
    gru.bias_ih.data = (cell.bias_ih.data + V.sum(1)) * turned
    gru.bias_hh.data.zero_()
    expected, _ = unroll(gru, X[:, :, :INPUT], gru.initial_state(BATCH, X))
    outputs, _ = unroll(cell, X, cell.initial_state(BATCH, X))
    torch.testing.assert_close(outputs, expected)


def test_gru_d_decays_start_slow_and_have_gradients(global_random_seed):
    cell = drawn(GRUDCell(), global_random_seed, 400)
    assert torch.equal(cell.decay_x, torch.full((INPUT,), 0.1))
    assert (cell.decay_h > 0).all()
    assert cell.decay_h.max() <= 0.02 / INPUT
    assert cell.decay_h.sum(1).mean().item() == pytest.approx(0.01, rel=0.1)


def test_gru_d_ignores_what_stands_for_a_missing_value(generator):
    cell = built(GRUDCell(time_feature=1), generator)
    X = inputs(cell, generator)
    other = X.clone()
    other[:, :, :INPUT] += 7.0 * X[:, :, INPUT:]
    torch.testing.assert_close(
        *(unroll(cell, given, cell.initial_state(BATCH, given))[0] for given in (X, other)), rtol=0, atol=0
    )


def test_gru_d_in_a_classifier_that_masks_missing_values(global_random_seed):
    rng = np.random.default_rng(global_random_seed)
    X = [rng.normal(size=(n, 2)) for n in (4, 6, 5, 7)]
    X[0][1, 0] = X[1][:3, 1] = X[2][4] = np.nan
    y = [0, 1, 0, 1]
    options = {"missing": "mask", "input_noise": 0.0, "hidden_size": 3, "max_epochs": 2, "random_state": 0}
    first, again = (RNNClassifier(cell=GRUDCell(), **options).fit(X, y).predict_proba(X) for _ in range(2))
    assert np.isfinite(first).all()
    np.testing.assert_array_equal(first, again)
    deep = RNNClassifier(cell=GRUDCell(), num_layers=2, **options | {"input_noise": 0.3}).fit(X, y)
    assert np.isfinite(deep.predict_proba(X)).all()
    with pytest.raises(
        ValueError, match="GRUDCell.* must read values, and which .* got what step_network makes of them"
    ):
        RNNClassifier(cell=GRUDCell(), step_network=torch.nn.Linear(4, 4), **options).fit(X, y)
    with pytest.raises(ValueError, match="GRUDCell.* must read values, and which .* got tokens. Choose"):
        RNNClassifier(cell="grud").fit(["ab", "b"], [0, 1])


def test_gru_d_without_flags_takes_all_values_for_observed(global_random_seed):
    rng = np.random.default_rng(global_random_seed)
    X, y = [np.c_[rng.normal(size=n), rng.integers(0, 2, n)] for n in (4, 6, 5, 7)], [0, 1, 0, 1]
    options = {"input_noise": 0.0, "hidden_size": 3, "max_epochs": 2, "standardize": False, "random_state": 0}
    plain, masked = (RNNClassifier(cell="grud", missing=way, **options).fit(X, y) for way in ("error", "mask"))
    np.testing.assert_array_equal(plain.predict_proba(X), masked.predict_proba(X))


@pytest.mark.parametrize(
    "wrap", [lambda cell: cell, ZoneoutCell, LockedDropoutCell], ids=["alone", "zoneout", "locked"]
)
def test_gru_d_sees_time_stamps_and_flags_as_they_are_in_training(wrap, monkeypatch, generator):
    seen = []
    prepare = GRUDCell._prepare
    monkeypatch.setattr(GRUDCell, "_prepare", lambda cell, X, state: seen.append(X) or prepare(cell, X, state))
    X = [torch.randn(6, 2, generator=generator).numpy() for _ in range(8)]
    for x in X:
        x[2, 1] = np.nan
    options = {"missing": "mask", "input_noise": 0.5, "batch_size": 8, "hidden_size": 3, "max_epochs": 1}
    RNNClassifier(cell=wrap(GRUDCell(time_feature=0)), num_layers=2, **options).fit(X, [0, 1] * 4)
    read = torch.cat(seen, dim=1)
    read, times = read[read[:, 0, 0].argsort()], np.array(X, dtype=np.float64)[:, :, 0]
    times = times[times[:, 0].argsort()]
    exact = torch.from_numpy((times - times.mean()) / times.std()).float()
    torch.testing.assert_close(read[:, :, 0], exact, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(read[:, :, 2:], torch.tensor([[0.0, float(t == 2)] for t in range(6)]).expand(8, 6, 2))


# -- zoneout


def test_zoneout_with_given_masks_equals_the_equations(generator):
    inner = LSTMCell().build(INPUT, HIDDEN).double()
    cell = ZoneoutCell(LSTMCell(), 0.5).build(INPUT, HIDDEN).double()
    for weight in cell.parameters():
        torch.nn.init.normal_(weight, generator=generator)
    inner.load_state_dict(cell.cell.state_dict())
    X = inputs(cell, generator)
    d = torch.rand(STEPS, 2, BATCH, HIDDEN, generator=generator) < 0.5
    w = {name: weight.detach().numpy() for name, weight in inner.named_parameters()}
    h = c = np.zeros((BATCH, HIDDEN))
    state = cell.initial_state(BATCH, X)
    for t in range(STEPS):
        state = cell.step(cell.inputs(X[:, t]), state, masks=tuple(d[t]))
        a = X[:, t].numpy() @ w["weight_ih"].T + w["bias_ih"] + h @ w["weight_hh"].T + w["bias_hh"]
        i, f, g, o = np.split(a, 4, axis=1)
        new_c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        d_h, d_c = d[t].numpy()
        h = d_h * h + (1 - d_h) * sigmoid(o) * np.tanh(new_c)  # h_t is of the c before zoneout, as in the paper
        c = d_c * c + (1 - d_c) * new_c
        for part, wanted in zip(state, (h, c), strict=True):
            np.testing.assert_allclose(part.detach(), wanted, rtol=1e-12, atol=1e-12)


def test_zoneout_predicts_the_mean(generator):
    cell = ZoneoutCell(LSTMCell(), [0.2, 0.7]).build(INPUT, HIDDEN).double().eval()
    cell.reset_parameters(generator)
    x = inputs(cell, generator)[:, 0]
    state = tuple(torch.randn(BATCH, HIDDEN, generator=generator, dtype=torch.float64) for _ in range(2))
    for old, new, kept, rate in zip(state, cell.cell(x, state), cell(x, state), (0.2, 0.7), strict=True):
        torch.testing.assert_close(kept, rate * old + (1 - rate) * new)


def test_zoneout_draws_from_its_generator_at_its_rates(generator, global_random_seed):
    cell = ZoneoutCell(LSTMCell(), [0.2, 0.7]).build(INPUT, 50)
    cell.reset_parameters(generator)
    x, state = torch.randn(100, INPUT, generator=generator), (torch.ones(100, 50), torch.ones(100, 50))
    before = torch.get_rng_state()
    after = []
    for seed in (global_random_seed, global_random_seed, 1234):
        cell.generator = torch.Generator().manual_seed(seed)
        after.append(cell(x, state))
    assert all(map(torch.equal, after[0], after[1]))
    assert not torch.equal(after[0][0], after[2][0])
    assert torch.equal(torch.get_rng_state(), before)
    assert [(part == 1).float().mean().item() for part in after[0]] == pytest.approx([0.2, 0.7], abs=0.03)


def test_zoneout_at_rate_zero_is_the_cell_inside(generator):
    cell = ZoneoutCell(GRUCell(), 0.0).build(INPUT, HIDDEN).double()
    cell.reset_parameters(generator)
    X = inputs(cell, generator)
    first = cell.initial_state(BATCH, X)
    assert torch.equal(unroll(cell, X, first)[0], unroll(cell.cell, X, first)[0])


def test_zoneout_leaves_counters_alone(generator):
    cell = ZoneoutCell(ClockworkCell(), 0.9).build(INPUT, HIDDEN).double()
    cell.reset_parameters(generator)
    cell.generator = generator
    X = inputs(cell, generator)
    assert unroll(cell, X, cell.initial_state(BATCH, X))[1][1].ravel().tolist() == [STEPS] * BATCH


def test_zoneout_in_a_classifier_is_repeatable(global_random_seed):
    rng = np.random.default_rng(global_random_seed)
    X, y = [rng.normal(size=(n, 2)) for n in (4, 6, 5, 7)], [0, 1, 0, 1]
    options = {"hidden_size": 3, "max_epochs": 2, "random_state": 0}
    before = torch.get_rng_state()
    cells = [ZoneoutCell(GRUCell(), 0.5), ZoneoutCell(GRUCell(), 0.5), ZoneoutCell(GRUCell(), 0.0)]
    first, again, without = (RNNClassifier(cell=cell, **options).fit(X, y).predict_proba(X) for cell in cells)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, without)
    assert torch.equal(torch.get_rng_state(), before)


# -- what is refused


class Sum(Cell):
    def forward(self, x_t, state):
        return (state[0] + x_t,)


REFUSED = [
    (lambda: LeakyCell(0.0), r"leak_rate must be 'spread', 'learned', a number in \(0, 1\] or .*got 0.0. Choose"),
    (lambda: LeakyCell("slow"), "leak_rate must be 'spread', 'learned', a number .*got 'slow'. Choose"),
    (lambda: LeakyCell([0.1, 2.0]), r"leak_rate must be .*got \[0.1, 2.0\]. Choose"),
    (lambda: LeakyCell(0.1, longest=50), "longest belongs to leak_rate='spread' or 'learned', got longest=50 and"),
    (lambda: LeakyCell(longest=2), "longest must be a number of steps above 2, got 2. Give"),
    (lambda: LeakyCell([0.1, 0.2]).build(INPUT, HIDDEN), "leak_rate must be one number, or one for each of the 5 .*2"),
    (lambda: LeakyCell(nonlinearity="sine"), "nonlinearity must be one of"),
    (lambda: SelfConnectedCell(1.1), r"weight must be 'spread', 'learned', a number in \[0, 1\]"),
    (lambda: TraceCell(mu=1.0), r"mu must be 'spread', 'learned', a number in \[0, 1\) or .*got 1.0. Choose"),
    (lambda: TraceCell("outputs"), r"trace must be 'inputs' or 'states', got 'outputs'. .*JordanCell\(mu="),
    (lambda: ClockworkCell([2, 1]), r"periods must be increasing whole numbers .*got \[2, 1\]. Give one a group"),
    (lambda: ClockworkCell([0, 1]), r"periods must be increasing whole numbers .*got \[0, 1\]. Give"),
    (lambda: ClockworkCell([]), r"periods must be increasing whole numbers .*got \[\]. Give"),
    (lambda: ClockworkCell([1.5]), r"periods must be increasing whole numbers .*got \[1.5\]. Give"),
    (lambda: ClockworkCell(4), "periods must be increasing whole numbers .*got 4. Give one a group"),
    (lambda: LeakyCell(None), "leak_rate must be 'spread', 'learned', a number .*got None. Choose"),
    (lambda: LeakyCell(["a"]), r"leak_rate must be 'spread', 'learned', a number .*got \['a'\]. Choose"),
    (lambda: LeakyCell(longest="a"), "longest must be a number of steps above 2, got 'a'. Give"),
    (lambda: LeakyCell(longest=float("inf")), "longest must be a number of steps above 2, got inf. Give"),
    (lambda: ElmanCell(["tanh"]), r"nonlinearity must be one of .* or a callable, got \['tanh'\]. Choose"),
    (lambda: ElmanCell(recurrent_init=True), "recurrent_init must be 'orthogonal', 'identity' or a .*got True. Choose"),
    (lambda: ElmanCell(recurrent_init=float("inf")), "recurrent_init must be .* a spectral radius above 0, got inf."),
    (lambda: ElmanCell(recurrent_init=torch.eye(2)), "recurrent_init must be .* a spectral radius above 0, got tensor"),
    (lambda: LSTMCell(memory_size=True), "memory_size must be None or an int of at least 1, got True. Set"),
    (lambda: TraceCell(recurrent_init=0.5), "recurrent_init belongs to trace='states', got 0.5 .* Leave it out"),
    (lambda: ZoneoutCell(LSTMCell(), None), r"rate must be a number in \[0, 1\), or 2 of them, .*got None."),
    (lambda: ClockworkCell(range(1, 7)).build(INPUT, HIDDEN), "periods must be at most one for each of the 5 .*got 6"),
    (lambda: GRUDCell().build(3, HIDDEN), "GRUDCell must have an even number of input features.*got 3. Give both"),
    (lambda: GRUDCell(2).build(4, HIDDEN), "time_feature must be the index of one of the 2 values .*got 2. Count"),
    (lambda: GRUDCell("t").build(4, HIDDEN), "time_feature must be the index of .*got 't'. Count"),
    (lambda: DeepCell(-1), "input_layers must be a whole number of at least 0, got -1. Choose"),
    (lambda: DeepCell(0, True), "transition_layers must be a whole number of at least 0, got True. Choose"),
    (lambda: DeepCell(0, 0, shortcut=True), "shortcut=True needs transition_layers of at least 1.*got .*=0. Raise"),
    (lambda: SkipCell(1), "delay must be a whole number of at least 2, got 1. Choose"),
    (lambda: ZoneoutCell(LSTMCell(), 1.0), r"rate must be a number in \[0, 1\), or 2 of them, .*LSTMCell, got 1.0."),
    (lambda: ZoneoutCell(GRUCell(), [0.1, 0.2]), r"rate must be .*or 1 of them, .*got \[0.1, 0.2\]. Choose"),
    (lambda: ZoneoutCell(FeedForwardCell()), "cell must be one that feeds back .*got FeedForwardCell. Leave"),
    (lambda: ZoneoutCell("ltsm"), "cell must be one of .*'lstm'.*, None or a Cell, got 'ltsm'. Choose one of them"),
    (lambda: LayerNormCell(LSTMCell(peepholes=True)), r"cell must be a plain LSTMCell, got .*\['peepholes'\].* Leave"),
    (lambda: LayerNormCell(GRUCell(reset_after=False)), r"cell must be a plain GRUCell, got .*\['reset_after'\]"),
]


@pytest.mark.parametrize(("make", "message"), REFUSED)
def test_refused_with_a_reason(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: LayerNormCell(torch.nn.LSTM),
            "cell must be a name, a Cell class or a Cell, got LSTM. Pass cell='lstm'",
        ),
        (lambda: LayerNormCell(Sum()), "cell must be an ElmanCell, LSTMCell or GRUCell, got Sum, whose .* Pass one"),
        (lambda: LayerNormCell(LeakyCell()), "cell must be an ElmanCell, LSTMCell or GRUCell, got LeakyCell"),
    ],
)
def test_what_is_no_cell_to_wrap_is_refused(make, message):
    with pytest.raises(TypeError, match=message):
        make()


@pytest.mark.parametrize("wrap", [ZoneoutCell, LockedDropoutCell, LayerNormCell])
def test_wrapped_cells_are_named_as_others_are(wrap):
    assert repr(wrap("lstm")) == repr(wrap(LSTMCell)) == repr(wrap(LSTMCell()))


def test_normalised_cells_take_ways_to_start(generator):
    for cell in (ElmanCell("relu", recurrent_init=0.8), LSTMCell(recurrent_init="identity")):
        inner = drawn(LayerNormCell(cell), 0).cell
        gates = inner.weight_hh.detach().split(HIDDEN)
        wanted = 0.8 if cell.recurrent_init == 0.8 else 1.0
        for gate in gates:
            assert torch.linalg.eigvals(gate).abs().max().item() == pytest.approx(wanted, rel=1e-4)


# -- precision and first states


HALF = [*ALL_CELLS, pytest.param(LockedDropoutCell("grud"), id="locked-gru-d")]


@pytest.mark.parametrize("cell", HALF)
def test_cells_work_in_bfloat16(cell):
    rng = np.random.default_rng(0)
    X, y = [rng.normal(size=(n, 2)) for n in (4, 6, 5, 7)], [0, 1, 0, 1]
    options = {"precision": "bfloat16", "hidden_size": HIDDEN, "max_epochs": 1, "random_state": 0}
    if isinstance(cell, GRUDCell) and cell.time_feature is not None:
        cell = GRUDCell(time_feature=0)
    assert np.isfinite(RNNClassifier(cell=cell, num_layers=2, **options).fit(X, y).predict_proba(X)).all()


def test_clocks_count_in_bfloat16(generator):
    cell = ClockworkCell([1, 2]).build(2, 4)
    cell.reset_parameters(generator)
    X = torch.randn(1, 600, 2, generator=generator).bfloat16()
    outputs, _ = cell.to(torch.bfloat16).scan(X, cell.initial_state(1, X))
    changes = (outputs[0, 1:, 3] != outputs[0, :-1, 3]).float()
    assert changes[401::2].mean() > 0.9
    assert not changes[400::2].any()


@pytest.mark.parametrize("cell", [LeakyCell(0.1), SelfConnectedCell(0.9), TraceCell(mu=0.9)])
def test_fixed_shares_are_exact_in_double_precision(cell):
    model = RNNRegressor(cell=cell, precision="float64", hidden_size=2, max_epochs=1)
    model.fit([np.ones((2, 1)), np.zeros((3, 1))], [0.0, 1.0])
    for fitted in (model, pickle.loads(pickle.dumps(model))):
        assert fitted.module_.recurrent.layers[0][0].cell.shares().tolist() == [0.9, 0.9]


@pytest.mark.parametrize("cell", [ZoneoutCell("lstm"), LockedDropoutCell("rnn", 0.1), Layers("gru", dilations=[1, 2])])
def test_a_cell_is_shown_as_it_is_made(cell):
    assert repr(eval(repr(cell))) == repr(cell)
    assert "\n" not in repr(cell)
