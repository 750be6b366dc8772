"""Layers that are connected otherwise than one on top of the other, and locked dropout: worked in NumPy."""

import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from sktime_rnn import RNNClassifier, RNNForecaster, RNNRegressor, Seq2SeqTransformer
from sktime_rnn.cells import ElmanCell, GRUCell, LockedDropoutCell, LSTMCell, MinGRUCell, ZoneoutCell
from sktime_rnn.datasets import load_airpassengers
from sktime_rnn.layers import Layers, Stacked, unroll

F, H = 3, 4
LENGTHS = (5, 1, 8, 3)
LAYERS = [
    pytest.param({}, id="plain"),
    pytest.param({"residual": True}, id="residual"),
    pytest.param({"from_input": True}, id="from-input"),
    pytest.param({"to_output": True}, id="to-output"),
    pytest.param({"dilations": 2}, id="dilated"),
    pytest.param({"dilations": [3, 1, 2], "residual": True, "from_input": True, "to_output": True}, id="all"),
]


class LoopedElman(ElmanCell):
    """Elman's equations without torch's kernel."""

    kernel = None


@pytest.fixture
def generator(global_random_seed):
    return torch.Generator().manual_seed(global_random_seed)


def build(layers, generator, **options):
    stacked = Stacked(layers, F, H, num_layers=3, **options).double()
    stacked.reset_parameters(generator)
    return stacked.eval()


def batch(generator):
    X = torch.randn(len(LENGTHS), max(LENGTHS), F, generator=generator, dtype=torch.float64)
    return X, torch.tensor(LENGTHS)


def by_hand(stacked, x, layers):
    """Return what layers of Elman cells put out for one sequence (L, F)."""
    found, u = [], x
    for k, (layer, dilation) in enumerate(zip(stacked.layers, layers.dilations_of(3), strict=True)):
        z = np.concatenate([u, x], axis=1) if layers.from_input and k else u
        h = []
        for direction in layer:
            way = -1 if direction.backwards else 1
            h.append(work(direction, z[::way], dilation)[::way])
        h = np.concatenate(h, axis=1)
        u = h + u if layers.residual and k else h
        found.append(u)
    return np.concatenate(found, axis=1) if layers.to_output else u


def work(direction, z, dilation):
    weights = {name.removesuffix("_l0"): w.detach().numpy() for name, w in direction.cell.named_parameters()}
    h = [np.zeros(H)] * dilation
    for z_t in z:
        a = weights["weight_ih"] @ z_t + weights["bias_ih"] + weights["weight_hh"] @ h[-dilation] + weights["bias_hh"]
        h.append(np.tanh(a))
    return np.array(h[dilation:])


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("cell", [ElmanCell, LoopedElman])
@pytest.mark.parametrize("options", LAYERS)
def test_outputs_equal_the_equations(options, cell, bidirectional, generator):
    layers = Layers(cell, **options)
    stacked = build(layers, generator, bidirectional=bidirectional)
    X, lengths = batch(generator)
    outputs, last = stacked.read(X, lengths)
    assert outputs.shape[2] == stacked.output_size
    torch.testing.assert_close(stacked.last(X, lengths), last)
    for i, n in enumerate(LENGTHS):
        expected = by_hand(stacked, X[i, :n].numpy(), layers)
        np.testing.assert_allclose(outputs[i, :n].detach().numpy(), expected, atol=1e-12)
        ends = expected.reshape(n, -1, H)
        n_directions = 2 if bidirectional else 1
        ends = [ends[0 if bidirectional and k % n_directions else -1, k] for k in range(ends.shape[1])]
        np.testing.assert_allclose(last[i].detach().numpy(), np.concatenate(ends), atol=1e-12)


def test_backwards_layers_take_their_state_from_later_steps(generator):
    layers = Layers(ElmanCell, dilations=2, residual=True)
    stacked = build(layers, generator, go_backwards=True)
    X, lengths = batch(generator)
    outputs = stacked(X, lengths).detach().numpy()
    for i, n in enumerate(LENGTHS):
        np.testing.assert_allclose(outputs[i, :n], by_hand(stacked, X[i, :n].numpy(), layers), atol=1e-12)


def test_every_dilated_chain_starts_from_the_learned_state(generator):
    stacked = build(Layers(ElmanCell, dilations=[2, 2, 2]), generator, initial_state="learned")
    X, lengths = batch(generator)
    stacked(X, lengths).square().sum().backward()
    assert all(p.grad.isfinite().all() for p in stacked.parameters())
    assert all(layer[0].initial_state.grad.abs().sum() > 0 for layer in stacked.layers)


# -- inside the estimators


def ragged(seed=0):
    rng = np.random.default_rng(seed)
    X = [rng.normal(size=(n, 2)) for n in rng.integers(3, 9, size=12)]
    return X, np.array([x.sum() > 0 for x in X]).astype(int)


EVERYTHING = Layers("gru", residual=True, from_input=True, to_output=True, dilations=[1, 2])
SMALL = {"hidden_size": 4, "num_layers": 2, "max_epochs": 2, "random_state": 0}


@pytest.mark.parametrize("estimator", [RNNClassifier, RNNRegressor, Seq2SeqTransformer])
@pytest.mark.parametrize("per_step", [False, True])
def test_layers_in_estimators(estimator, per_step):
    X, y = ragged()
    if per_step or estimator is Seq2SeqTransformer:
        y = [(x[:, 0] > 0).astype(int) for x in X]
    model = estimator(cell=EVERYTHING, **SMALL).fit(X, y)
    predict = getattr(model, "predict_proba", model.predict)
    together = predict(X)
    alone = [predict([x])[0] for x in X]
    for one, other in zip(together, alone, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
    for one, other in zip(together, getattr(pickle.loads(pickle.dumps(model)), predict.__name__)(X), strict=True):
        np.testing.assert_array_equal(one, other)
    again = clone(model).fit(X, y)
    for one, other in zip(together, getattr(again, predict.__name__)(X), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("strategy", ["direct", "seq2seq"])
def test_layers_in_the_forecaster(strategy):
    y = load_airpassengers()[:60]
    model = RNNForecaster(cell=EVERYTHING, context_length=12, strategy=strategy, **SMALL).fit(y, fh=range(1, 7))
    assert np.isfinite(model.predict()).all()


def test_layers_in_a_grid_search():
    X, y = ragged()
    grid = {"cell": ["gru", Layers("gru", residual=True)]}
    search = GridSearchCV(RNNClassifier(**SMALL), grid, cv=2).fit(X, y)
    assert "Layers(GRUCell(), residual=True)" in repr(search.cv_results_["param_cell"].tolist())


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: Layers(dilations=0), "dilations must be a whole number above 0, .*got 0"),
        (lambda: Layers(dilations=[1, -2]), r"dilations must be .*got \[1, -2\]"),
        (lambda: Layers(dilations=[]), r"dilations must be .*got \[\]"),
        (lambda: Layers(dilations=2.5), "dilations must be .*got 2.5"),
        (lambda: Layers(dilations=None), "dilations must be .*got None"),
        (lambda: Layers(dilations="2"), "dilations must be .*got '2'"),
        (lambda: Layers("gur"), "cell must be one of .*got 'gur'"),
        (lambda: RNNClassifier(cell=Layers(dilations=[1, 2]), max_epochs=1).fit(*ragged()), "num_layers=1 layers, got"),
        (
            lambda: RNNClassifier(cell=Layers("rnn"), nonlinearity="relu", max_epochs=1).fit(*ragged()),
            r"nonlinearity='relu' needs a cell asked for by name, got Layers\(ElmanCell\(\)\)",
        ),
    ],
)
def test_refusals(make, match):
    with pytest.raises(ValueError, match=match):
        make()


# -- locked dropout


def test_locked_dropout_with_given_masks_equals_the_equations(generator):
    cell = LockedDropoutCell(LSTMCell(), 0.5, 0.25).build(F, H).double()
    cell.generator = generator
    cell.reset_parameters(generator)
    X, _ = batch(generator)
    state = cell.train().initial_state(len(X), X)
    outputs, after = unroll(cell, X, state)
    of_input, of_output = (mask.numpy() for mask in state[2:])
    assert set(np.unique(of_input)) == {0.0, 2.0}
    assert set(np.unique(of_output)) <= {0.0, 1 / 0.75}
    W, V, b, c = (p.detach().numpy() for p in cell.cell.parameters())
    h, memory = np.zeros((len(X), H)), np.zeros((len(X), H))
    for t in range(X.shape[1]):
        a = (X[:, t].numpy() * of_input) @ W.T + b + (h * of_output) @ V.T + c
        i, f, g, o = np.split(a, 4, axis=1)
        memory = memory / (1 + np.exp(-f)) + np.tanh(g) / (1 + np.exp(-i))
        h = np.tanh(memory) / (1 + np.exp(-o))
        np.testing.assert_allclose(outputs[:, t].detach().numpy(), h, atol=1e-12)
    for mask, kept in zip(state[2:], after[2:], strict=True):
        torch.testing.assert_close(mask, kept)


@pytest.mark.parametrize("inner", [LSTMCell(), ElmanCell("relu"), GRUCell(), MinGRUCell()])
def test_locked_dropout_predicts_with_everything(inner, generator):
    rates = (0.5, 0.5) if isinstance(inner, ElmanCell | LSTMCell) else (0.5, 0.0)
    cell = LockedDropoutCell(inner, *rates).build(F, H).double().eval()
    cell.reset_parameters(generator)
    X, _ = batch(generator)
    outputs, _ = unroll(cell, X, cell.initial_state(len(X), X))
    expected, _ = unroll(cell.cell, X, cell.cell.initial_state(len(X), X))
    torch.testing.assert_close(outputs, expected)
    step = cell(X[:, 0], cell.initial_state(len(X), X))[0]
    torch.testing.assert_close(step, outputs[:, 0])


def test_locked_dropout_inside_zoneout(generator):
    cell = ZoneoutCell(LockedDropoutCell(LSTMCell()), 0.0).build(F, H).double().eval()
    cell.reset_parameters(generator)
    X, _ = batch(generator)
    inner = cell.cell.cell
    expected, _ = unroll(inner, X, inner.initial_state(len(X), X))
    torch.testing.assert_close(unroll(cell, X, cell.initial_state(len(X), X))[0], expected)


def test_both_directions_see_the_same_dropout(generator):
    stacked = build(Layers(ElmanCell), generator, bidirectional=True, dropout=0.5).train()
    stacked.dropout.generator = generator
    seen = []
    for direction in stacked.layers[1]:
        direction.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    stacked(*batch(generator))
    torch.testing.assert_close(*seen)


@pytest.mark.parametrize("estimator", [RNNClassifier, Seq2SeqTransformer])
def test_locked_dropout_in_estimators(estimator):
    X, y = ragged()
    y = y if estimator is RNNClassifier else [(x[:, 0] > 0).astype(int) for x in X]
    cells = [LockedDropoutCell(LSTMCell(), rate, rate) for rate in (0.5, 0.5, 0.0)]
    one, same, other = (estimator(cell=cell, **SMALL).fit(X, y).loss_curve_ for cell in cells)
    assert one == same
    assert one != other


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: LockedDropoutCell(LSTMCell(), 1.0), r"rate must be a number in \[0, 1\), got 1.0"),
        (
            lambda: LockedDropoutCell(LSTMCell(), 0.1, -1),
            r"recurrent_rate must be a number in \[0, 1\) or 'auto', got -1",
        ),
        (lambda: LockedDropoutCell(GRUCell(), 0.1, 0.2), "recurrent_rate must be 0 .*got 0.2 for GRUCell"),
    ],
)
def test_locked_dropout_refuses(make, match):
    with pytest.raises(ValueError, match=match):
        make()
