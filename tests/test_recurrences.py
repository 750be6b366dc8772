"""Known answers: a recurrent net is a deep net with tied weights, and a few weights set by hand add binary numbers.

And for every cell: a prediction depends on its own sequence, a model on its data and its seed, and on nothing else.
"""

import copy
import pickle

import checks
import numpy as np
import pytest
import torch
from forecasts import MOVED, distance, features, panel, wave
from sklearn.base import clone
from torch.nn.functional import linear
from torch.nn.utils.rnn import pad_sequence

from sktime_rnn import RNNClassifier, RNNForecaster, RNNRegressor, Seq2SeqTransformer
from sktime_rnn.cells import (
    CELLS,
    DeepCell,
    ElmanCell,
    GRUCell,
    GRUDCell,
    LayerNormCell,
    LockedDropoutCell,
    LSTMCell,
    SelfConnectedCell,
    SkipCell,
    TraceCell,
    ZoneoutCell,
)
from sktime_rnn.layers import Recurrent, Stacked, unroll

SMALL = {"hidden_size": 4, "max_epochs": 2, "random_state": 0}


def ragged(seed=0, lengths=(4, 1, 6, 3)):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(n, 2)) for n in lengths]


# -- the feed-forward net: one layer for each step, (x_t, state, W, U, b, c) -> state


def elman_layer(x, state, W, U, b, c):
    return (torch.tanh(linear(x, W, b) + linear(state[0], U, c)),)


def gru_layer(x, state, W, U, b, c):
    (h,) = state
    i_r, i_z, i_n = linear(x, W, b).chunk(3)
    h_r, h_z, h_n = linear(h, U, c).chunk(3)
    z = torch.sigmoid(i_z + h_z)
    return ((1 - z) * torch.tanh(i_n + torch.sigmoid(i_r + h_r) * h_n) + z * h,)


def lstm_layer(x, state, W, U, b, c):
    h, memory = state
    i, f, g, o = (linear(x, W, b) + linear(h, U, c)).chunk(4)
    memory = torch.sigmoid(f) * memory + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(memory), memory


LAYERS = [("rnn", elman_layer, 1), ("gru", gru_layer, 1), ("lstm", lstm_layer, 2)]


def feed_forward(layer, n_states, x, copies):
    """Return the output of a net with a layer for each row of x (T, F), given the weights of every layer."""
    H = copies[0][1].shape[1]
    state = (torch.zeros(H, dtype=torch.float64),) * n_states
    for x_t, weights in zip(torch.from_numpy(x), copies, strict=True):
        state = layer(x_t, state, *weights)
    return state[0]


@pytest.mark.parametrize("estimator", [RNNRegressor, RNNClassifier])
@pytest.mark.parametrize(("cell", "layer", "n_states"), LAYERS)
def test_a_net_equals_the_feed_forward_net_unrolled_by_hand(estimator, cell, layer, n_states):
    X, y = ragged(), np.array([0, 1, 2, 1])
    model = estimator(cell=cell, standardize=False, **SMALL).fit(X, y)
    tied = [p.detach().double() for p in model.module_.recurrent.layers[0][0].cell.parameters()]
    V, d = (p.detach().double() for p in model.module_.head.linear.parameters())
    raw = torch.stack([linear(feed_forward(layer, n_states, x, [tied] * len(x)), V, d) for x in X])
    if estimator is RNNClassifier:
        np.testing.assert_allclose(model.predict_proba(X), raw.softmax(dim=1), atol=1e-6)
        np.testing.assert_array_equal(model.predict(X), raw.argmax(dim=1))
    else:
        np.testing.assert_allclose(model.predict(X), raw[:, 0] * y.std() + y.mean(), atol=1e-6)


@pytest.mark.parametrize(("cell", "layer", "n_states"), LAYERS)
def test_the_gradient_is_the_sum_over_the_copies_of_the_weights(cell, layer, n_states):
    X = ragged(lengths=(7, 2, 5))
    model = RNNRegressor(cell=cell, standardize=False, **SMALL).fit(X, np.arange(3.0))
    recurrent = copy.deepcopy(model.module_.recurrent).double()
    recurrent.zero_grad()
    padded = pad_sequence([torch.from_numpy(x) for x in X], batch_first=True)
    recurrent.last(padded, torch.tensor([len(x) for x in X])).square().sum().backward()
    tied = list(recurrent.parameters())
    gradients = [torch.zeros_like(p) for p in tied]
    for x in X:
        copies = [[p.detach().clone().requires_grad_() for p in tied] for _ in x]
        feed_forward(layer, n_states, x, copies).square().sum().backward()
        for k, gradient in enumerate(gradients):
            gradient += sum(weights[k].grad for weights in copies)
    for p, gradient in zip(tied, gradients, strict=True):
        assert gradient.any()
        torch.testing.assert_close(p.grad, gradient)


class Halved(GRUCell):
    """A GRU whose state is halved after every step."""

    def step(self, a_t, state):
        return (super().step(a_t, state)[0] / 2,)


def test_a_subclass_with_a_step_of_its_own_is_not_run_by_the_kernel_of_its_parent():
    X = torch.from_numpy(ragged(lengths=(5,))[0])[None]
    nets = [Recurrent(cell, 2, 3).double() for cell in (Halved(), GRUCell())]
    for net in nets:
        net.reset_parameters(torch.Generator().manual_seed(0))
    halved, whole = (net(X).detach() for net in nets)
    torch.testing.assert_close(2 * halved[:, 0], whole[:, 0])
    assert (2 * halved[:, -1] - whole[:, -1]).abs().max() > 1e-3


# -- binary numbers, lowest bit first


def threshold(a):
    """Return 1 where the net input is above 0, otherwise 0."""
    return (a > 0).to(a.dtype)


def bits(number, n):
    return np.array([number >> k & 1 for k in range(n)])


def steps_of(a, b, n):
    """Return two numbers of n bits as steps (n, 2)."""
    return np.stack([bits(a, n), bits(b, n)], axis=1).astype(float)


def random_pair(n, rng):
    return tuple(int.from_bytes(rng.bytes(n // 8 + 1), "little") % 2**n for _ in range(2))


def set_adding_weights(parts, prefix, scale=1.0):
    """Unit k fires where the two bits and the carry, which is unit 1, hold more than k ones."""
    weights = {"weight_ih": torch.ones(3, 2), "weight_hh": torch.tensor([[0.0, 1, 0]] * 3)}
    weights |= {"bias_ih": torch.tensor([-0.5, -1.5, -2.5]), "bias_hh": torch.zeros(3)}
    with torch.no_grad():
        for name, weight in weights.items():
            parts[prefix + name].copy_(scale * weight)


LONGEST = 200
ADDERS = [pytest.param(ElmanCell(threshold), 1.0, id="threshold"), pytest.param(ElmanCell("sigmoid"), 50.0, id="steep")]


@pytest.mark.parametrize(("cell", "scale"), ADDERS)
def test_an_elman_net_adds_binary_numbers_of_any_length(cell, scale):
    rng = np.random.default_rng(0)
    lengths = np.repeat(np.arange(1, LONGEST + 1), 3)
    pairs = [random_pair(int(n), rng) for n in lengths]
    pairs[::3] = [(2 ** int(n) - 1, 1) for n in lengths[::3]]  # 11...1 + 1: the carry goes all the way
    steps = [torch.from_numpy(steps_of(*pair, n)) for pair, n in zip(pairs, lengths, strict=True)]
    net = Stacked(cell, 2, 3).double()
    set_adding_weights(dict(net.named_parameters()), "layers.0.0.cell.", scale)
    states, last = net.read(pad_sequence(steps, batch_first=True), torch.from_numpy(lengths))
    sums = (states @ torch.tensor([1.0, -1, 1], dtype=torch.float64)).detach().round().long()  # one or three, not two
    carries = last[:, 1].detach().round().long()
    for (a, b), n, total, carry in zip(pairs, lengths, sums.tolist(), carries.tolist(), strict=True):
        assert sum(bit << k for k, bit in enumerate([*total[:n], carry])) == a + b


def test_the_carry_is_all_that_is_kept_from_step_to_step():
    """A sum begun by one call is ended by another, given the state between them."""
    cell = ElmanCell(threshold).build(2, 3)
    set_adding_weights(dict(cell.named_parameters()), "")
    a, b = 0b110101101, 0b011110111
    X = torch.from_numpy(steps_of(a, b, 10)).float()[None]
    start, middle = unroll(cell, X[:, :4], cell.initial_state(1, X))
    only_carry = (middle[0] * torch.tensor([0.0, 1, 0]),)
    end, _ = unroll(cell, X[:, 4:], only_carry)
    total = torch.cat([start, end], dim=1)[0] @ torch.tensor([1.0, -1, 1])
    np.testing.assert_array_equal(total.detach(), bits(a + b, 10))


def test_a_classifier_with_weights_set_by_hand_adds_sequences_of_unequal_length():
    rng = np.random.default_rng(0)
    lengths = [1, 2, 3, 8, 200, 64, 65, 31, 100]
    pairs = [random_pair(n, rng) for n in lengths[:-1]] + [(2**100 - 1, 1)]
    X = [steps_of(*pair, n) for pair, n in zip(pairs, lengths, strict=True)]
    y = [bits(sum(pair), n) for pair, n in zip(pairs, lengths, strict=True)]
    model = RNNClassifier(cell=ElmanCell(threshold), standardize=False, **SMALL | {"hidden_size": 3}).fit(X, y)
    parts = dict(model.module_.named_parameters())
    set_adding_weights(parts, "recurrent.layers.0.0.cell.")
    with torch.no_grad():
        parts["head.linear.weight"].copy_(torch.tensor([[0.0, 0, 0], [2, -2, 2]]))
        parts["head.linear.bias"].copy_(torch.tensor([0.0, -1]))
    assert model.score(X, y) == 1.0
    for x, total, together in zip(X, y, model.predict(X), strict=True):
        np.testing.assert_array_equal(together, total)
        np.testing.assert_array_equal(model.predict([x])[0], total)


# -- every cell in every estimator; Jordan's cells, which read outputs, have more tests of their own

NAMED = {str(cell): cell for cell in [*sorted(set(CELLS) - {"jordan", "elman-jordan"}), None]}
MADE = {
    "self-connected": SelfConnectedCell(),
    "deep": DeepCell(),
    "deep everywhere": DeepCell(input_layers=1, transition_layers=2, output_layers=1, shortcut=True),
    "skip": SkipCell(delay=2),
    "skip, removed": SkipCell(delay=2, removed=True),
    "zoneout": ZoneoutCell(GRUCell()),
    "locked dropout": LockedDropoutCell(LSTMCell()),
    "layer norm": LayerNormCell(LSTMCell()),
    "no forget gate": LSTMCell(forget_gate=False),
    "peepholes": LSTMCell(peepholes=True),
    "coupled": LSTMCell(coupled=True),
    "projected": LSTMCell(memory_size=3),
    "reset before": GRUCell(reset_after=False),
    "trace of states": TraceCell("states"),
}
EVERY = NAMED | MADE
# What holds of sequences and training, whatever the cell.
CHECKS = [
    checks.check_prediction_does_not_depend_on_batch,
    checks.check_step_prediction_does_not_depend_on_batch,
    checks.check_length_one,
    checks.check_step_outputs_are_as_long_as_input,
    checks.check_units_do_not_matter,
    checks.check_same_seed_gives_the_same_bits,
    checks.check_training_goes_on_after_pickle,
    checks.check_weight_zero_equals_removal,
]


def each(cells):
    return pytest.mark.parametrize("cell", [pytest.param(cell, id=name) for name, cell in cells.items()])


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("estimator", [RNNClassifier, RNNRegressor])
@each(EVERY | {"jordan": "jordan", "elman-jordan": "elman-jordan"})
def test_shared_checks(cell, estimator, check):
    check(estimator(cell=cell))


def holes(cell, X):
    """Return X and the option for missing values; GRU-D, which is made for them, gets some."""
    if cell != "grud":
        return X, "error"
    rng = np.random.default_rng(1)
    return [np.where(rng.random(x.shape) < 0.3, np.nan, x) for x in X], "mask"


def end_to_end(outputs):
    return np.concatenate([np.ravel(out) for out in outputs])


def check_model(model, X, y, how):
    """Alone or in a batch, after a pickle, from the same seed again: the same."""
    expected = end_to_end(getattr(model.fit(X, y), how)(X))
    assert np.isfinite(expected).all()
    assert np.ptp(expected) > 0
    np.testing.assert_allclose(end_to_end([getattr(model, how)([x])[0] for x in X]), expected, atol=1e-6)
    np.testing.assert_array_equal(end_to_end(getattr(pickle.loads(pickle.dumps(model)), how)(X)), expected)
    np.testing.assert_array_equal(end_to_end(getattr(clone(model).fit(X, y), how)(X)), expected)


LENGTHS = (5, 1, 8, 3, 2, 6)
OPTIONS = [pytest.param({}, id="one"), pytest.param({"num_layers": 2, "bidirectional": True}, id="four")]


@pytest.mark.parametrize("options", OPTIONS)
@each(EVERY)
def test_labels_by_every_cell(cell, options):
    X, missing = holes(cell, ragged(lengths=LENGTHS))
    model = RNNClassifier(cell=cell, missing=missing, **SMALL, **options)
    check_model(model, X, [np.arange(len(x)) % 2 for x in X], "predict_proba")
    if cell in MADE.values():  # for names, test_base.py holds it
        check_model(model, X, np.arange(len(X)) % 3, "predict_proba")


@pytest.mark.parametrize("options", OPTIONS)
@each(EVERY)
def test_values_by_every_cell(cell, options):
    X, missing = holes(cell, ragged(lengths=LENGTHS))
    model = RNNRegressor(cell=cell, missing=missing, **SMALL, **options)
    check_model(model, X, np.linspace(-1, 1, len(X)), "predict")
    if cell in MADE.values():
        check_model(model, X, [np.linspace(-1, 1, len(x)) for x in X], "predict")


# An encoder hands its last state to a decoder, which these have no place for.
START_FROM_NOTHING = {"trace", "None"}


@pytest.mark.parametrize("options", [{}, {"num_layers": 2, "bidirectional": False}], ids=["two", "stacked"])
@each({name: cell for name, cell in EVERY.items() if name not in START_FROM_NOTHING})
def test_sequences_by_every_cell(cell, options):
    X, missing = holes(cell, ragged(lengths=LENGTHS))
    model = Seq2SeqTransformer(cell=cell, missing=missing, **SMALL, **options)
    check_model(model, X, [np.sin(np.arange(n) + n) for n in (3, 4, 2, 5, 1, 3)], "predict")


@each(MADE)
def test_texts_by_every_cell(cell):
    X, texts = ragged(lengths=LENGTHS), ["ab", "a", "ba", "b", "aab", "b"]
    model = Seq2SeqTransformer(cell=cell, **SMALL).fit(X, texts)
    expected = model.log_likelihood(X, texts)
    alone = [model.log_likelihood([x], [text])[0] for x, text in zip(X, texts, strict=True)]
    np.testing.assert_allclose(alone, expected, atol=1e-6)
    copied = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(copied.log_likelihood(X, texts), expected)
    assert copied.predict(X) == model.predict(X)
    np.testing.assert_array_equal(clone(model).fit(X, texts).log_likelihood(X, texts), expected)


STRATEGIES = ["direct", "recursive", "seq2seq"]
FORECASTS = [
    pytest.param(cell, strategy, id=f"{name}-{strategy}") for name, cell in EVERY.items() for strategy in STRATEGIES
]


@pytest.mark.parametrize(("cell", "strategy"), FORECASTS)
def test_forecasts_by_every_cell(cell, strategy):
    y, missing = panel((40, 23, 12)), "error"
    if cell == "grud":
        missing, y.iloc[[5, 37, 60]] = "mask", np.nan
    model = RNNForecaster(cell=cell, strategy=strategy, context_length=8, calibrate=False, missing=missing, **SMALL)
    expected = model.fit(y, fh=range(1, 4)).predict()
    assert np.isfinite(expected).all()
    for name in "abc":
        np.testing.assert_allclose(model.predict(y=y.loc[[name]]), expected.loc[[name]], rtol=1e-6)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict(), expected)
    np.testing.assert_array_equal(clone(model).fit(y, fh=range(1, 4)).predict(), expected)


@pytest.mark.parametrize("options", [{}, {"patch_length": 2}, {"strategy": "seq2seq"}], ids=["one", "two", "decoder"])
@pytest.mark.parametrize("cell", ["grud", ZoneoutCell("grud")])
def test_a_forecaster_tells_gru_d_what_is_missing_of_all_it_reads(cell, options, monkeypatch):
    seen, prepare = [], GRUDCell._prepare
    monkeypatch.setattr(GRUDCell, "_prepare", lambda cell, X, state: seen.append(X) or prepare(cell, X, state))
    y = panel((40, 23, 12))
    X = features(y, 3)
    y.iloc[[5, 37, 60]] = np.nan
    X.loc[X.index[[8, 30, 70]], "price"] = np.nan
    model = RNNForecaster(cell=cell, missing="mask", num_layers=2, context_length=8, **options, **SMALL)
    model.set_params(past_columns=["price", "open", "kind"]).fit(y, X=X.loc[y.index], fh=range(1, 4))
    assert np.isfinite(model.predict(X=X)).all()
    values, flags = torch.cat([x.flatten(0, 1) for x in seen]).chunk(2, dim=1)
    assert ((flags == 0) | (flags == 1)).all()
    assert flags[:, 0].any()
    assert flags[:, 1].any()
    assert not values[flags == 1].any()
    assert not flags[:, -1].any()  # which series it is


def test_a_forecaster_without_missing_values_runs_gru_d():
    assert np.isfinite(RNNForecaster(cell="grud", **SMALL).fit(wave(40), fh=[1, 2]).predict()).all()


@each(EVERY)
def test_forecasts_by_two_layers_of_every_cell_depend_on_the_context(cell):
    y = wave(40) - 20
    bare = {"linear_skip": False, "scaler": None, "anchor": None, "calibrate": False}  # what is left is the network
    model = RNNForecaster(
        cell=cell, context_length=8, num_layers=2, bidirectional=True, missing="mask", **bare, **SMALL
    )
    forecast = model.fit(y, fh=[1]).predict()
    last, earlier, before = (y.copy() for _ in range(3))
    last.iloc[-1] *= -1
    earlier.iloc[-3] *= -1
    before.iloc[:-8] *= -1
    assert distance(model.predict(y=last), forecast) > MOVED
    if cell is None:
        np.testing.assert_array_equal(model.predict(y=earlier), forecast)
    else:
        assert distance(model.predict(y=earlier), forecast) > MOVED
    np.testing.assert_array_equal(model.predict(y=before), forecast)
