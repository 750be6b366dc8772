"""Gated cells and their options: the equations of the papers worked in NumPy, torch's modules, and the parallel scan.

Shapes: B batch, T time steps, F features, H outputs, M units of memory.
"""

import itertools
import pickle

import numpy as np
import pytest
import torch

from sktime_rnn.cells._minimal import RADIX, MGUCell, MinGRUCell, MinLSTMCell, gated_scan
from sktime_rnn.cells._torch import ElmanCell, GRUCell, LSTMCell
from sktime_rnn.layers import Recurrent, Stacked, unroll

B, F, H, M = 3, 4, 5, 7
LENGTHS = (5, 1, 8, 3)
EXACT = {"rtol": 1e-10, "atol": 1e-12}


@pytest.fixture
def generator(global_random_seed):
    return torch.Generator().manual_seed(global_random_seed)


# -- the equations, from the papers: w maps names of weights to arrays, absent biases count as zero


def sigmoid(a):
    return np.exp(-np.logaddexp(0, -a))


PHI = {"tanh": np.tanh, "sigmoid": sigmoid, "relu": lambda a: np.maximum(a, 0), "identity": lambda a: a}


def affine(w, names, inputs=True):
    """For each gate a function of x and one of h: ``W x + b``, from the stacked weights of torch's names."""
    kind = "ih" if inputs else "hh"
    weights = np.split(w[f"weight_{kind}"], len(names))
    biases = np.split(w.get(f"bias_{kind}", np.zeros(len(w[f"weight_{kind}"]))), len(names))
    return {name: lambda x, W=W, b=b: x @ W.T + b for name, W, b in zip(names, weights, biases, strict=True)}


def lstm_step(x, state, w, *, forget_gate=True, coupled=False, input_nonlinearity="tanh", output_nonlinearity="tanh"):
    h, c = state
    names = {(True, False): "ifgo", (False, False): "igo", (True, True): "fgo"}[forget_gate, coupled]
    of_x, of_h = affine(w, names), affine(w, names, inputs=False)
    a = {name: of_x[name](x) + of_h[name](h) for name in names}
    peephole = {name: w.get(f"weight_c{name}", 0.0) for name in "ifo"}
    f = sigmoid(a["f"] + peephole["f"] * c) if forget_gate else 1.0
    i = 1 - f if coupled else sigmoid(a["i"] + peephole["i"] * c)
    c = f * c + i * PHI[input_nonlinearity](a["g"])
    o = sigmoid(a["o"] + peephole["o"] * c)
    m = o * PHI[output_nonlinearity](c)
    return (m @ w["weight_hr"].T if "weight_hr" in w else m), c


def gru_step(x, state, w, *, reset_after=True, nonlinearity="tanh"):
    (h,) = state
    of_x, of_h = affine(w, "rzn"), affine(w, "rzn", inputs=False)
    r = sigmoid(of_x["r"](x) + of_h["r"](h))
    z = sigmoid(of_x["z"](x) + of_h["z"](h))
    n = PHI[nonlinearity](of_x["n"](x) + (r * of_h["n"](h) if reset_after else of_h["n"](r * h)))
    return ((1 - z) * n + z * h,)


def mgu_step(x, state, w, *, nonlinearity="tanh"):
    (h,) = state
    of_x, of_h = affine(w, "fn"), affine(w, "fn", inputs=False)
    f = sigmoid(of_x["f"](x) + of_h["f"](h))
    n = PHI[nonlinearity](of_x["n"](x) + of_h["n"](f * h))
    return ((1 - f) * h + f * n,)


def mingru_step(x, state, w, *, nonlinearity="identity"):
    of_x = affine(w, "zn")
    z = sigmoid(of_x["z"](x))
    return ((1 - z) * state[0] + z * PHI[nonlinearity](of_x["n"](x)),)


def minlstm_step(x, state, w, *, nonlinearity="identity"):
    of_x = affine(w, "ifn")
    i, f = sigmoid(of_x["i"](x)), sigmoid(of_x["f"](x))
    return (f / (f + i) * state[0] + i / (f + i) * PHI[nonlinearity](of_x["n"](x)),)


EQUATIONS = {
    LSTMCell: lstm_step,
    GRUCell: gru_step,
    MGUCell: mgu_step,
    MinGRUCell: mingru_step,
    MinLSTMCell: minlstm_step,
}
LSTM_FORMS = [
    {**gates, "peepholes": peepholes, "memory_size": memory_size, **squashing}
    for gates, peepholes, memory_size, squashing in itertools.product(
        ({}, {"forget_gate": False}, {"coupled": True}),
        (False, True),
        (None, M),
        ({}, {"input_nonlinearity": "sigmoid"}, {"output_nonlinearity": "identity"}),
    )
]
FORMS = [
    *((LSTMCell, options) for options in LSTM_FORMS),
    (LSTMCell, {"memory_size": H}),
    (GRUCell, {}),
    (GRUCell, {"reset_after": False}),
    (GRUCell, {"reset_after": False, "nonlinearity": "relu"}),
    (GRUCell, {"nonlinearity": "sigmoid"}),
    (MGUCell, {}),
    (MGUCell, {"nonlinearity": "identity"}),
    (MinGRUCell, {}),
    (MinGRUCell, {"nonlinearity": "tanh"}),
    (MinLSTMCell, {}),
    (MinLSTMCell, {"nonlinearity": "tanh"}),
]


def label(form):
    kind, options = form
    return "-".join([kind.__name__, *(f"{name}={value}" for name, value in options.items() if value)])


EVERY_FORM = [pytest.param(*form, id=label(form)) for form in FORMS]
ONE_OF_EACH = [  # every option once, and all of them together
    pytest.param(*form, id=label(form))
    for form in [
        (LSTMCell, {}),
        (LSTMCell, {"forget_gate": False, "peepholes": True}),
        (LSTMCell, {"memory_size": M}),
        (LSTMCell, {"peepholes": True, "coupled": True, "memory_size": M, "input_nonlinearity": "sigmoid"}),
        *(form for form in FORMS if form[0] is not LSTMCell),
    ]
]


def equations(kind, options):
    """The step of a form in NumPy; peepholes and projection it reads off the weights."""
    known = {name: value for name, value in options.items() if name not in ("peepholes", "memory_size")}
    return lambda x, state, w: EQUATIONS[kind](x, state, w, **known)


def arrays(module):
    return {name.removesuffix("_l0"): weight.detach().numpy() for name, weight in module.named_parameters()}


def drawn(cell, seed, input_size=F, hidden_size=H):
    built = cell.build(input_size, hidden_size)
    built.reset_parameters(torch.Generator().manual_seed(seed))
    return built


def randomised(cell, generator, bias=True):
    """A built cell with every weight drawn, in float64, and a state."""
    cell = cell.build(F, H, bias).double()
    for weight in cell.parameters():
        torch.nn.init.normal_(weight, std=0.7, generator=generator)
    sizes = cell.state_sizes(H)
    return cell, tuple(torch.randn(B, size, generator=generator, dtype=torch.float64) for size in sizes)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("kind", "options"), EVERY_FORM)
def test_steps_equal_the_equations(kind, options, bias, generator):
    cell, state = randomised(kind(**options), generator, bias)
    X = torch.randn(4, B, F, generator=generator, dtype=torch.float64)
    step, w, expected = equations(kind, options), arrays(cell), [part.numpy() for part in state]
    for x_t in X:
        state = cell(x_t, state)
        expected = step(x_t.numpy(), expected, w)
        assert len(state) == len(expected) == cell.n_states
        for part, wanted in zip(state, expected, strict=True):
            np.testing.assert_allclose(part.detach().numpy(), wanted, **EXACT)


@pytest.mark.parametrize(("kind", "options"), EVERY_FORM)
def test_gradients_of_a_step_by_differences(kind, options, generator):
    cell, state = randomised(kind(**options), generator)
    x_t = torch.randn(B, F, generator=generator, dtype=torch.float64, requires_grad=True)
    inputs = (x_t, *(part.requires_grad_() for part in state), *cell.parameters())
    n = len(state)
    assert torch.autograd.gradcheck(lambda x, *rest: cell(x, rest[:n]), inputs, fast_mode=True)


def test_the_carousel_keeps_its_memory_for_ever():
    cell = drawn(LSTMCell(forget_gate=False), 0)
    torch.nn.init.constant_(cell.bias_ih[:H].data, -1e4)  # nothing comes in
    state = (torch.zeros(1, H), torch.arange(1.0, H + 1)[None])
    _, (_, c) = unroll(cell, torch.ones(1, 300, F), state)
    assert torch.equal(c, state[1])


def test_coupled_gates_of_equal_memory_and_input_change_nothing():
    cell, (h, _) = randomised(LSTMCell(coupled=True, input_nonlinearity=torch.ones_like), torch.Generator())
    c = torch.ones(B, H, dtype=torch.float64)
    torch.testing.assert_close(cell(h[:, :F], (h, c))[1], c)


# -- layers: two of them, both directions, unequal lengths, one sequence at a time in NumPy


def run(layer, step, x):
    w = arrays(layer.cell)
    parts = layer.initial_state.detach().numpy()
    state = [part[:size] for part, size in zip(parts, layer.state_sizes, strict=True)]
    outputs = []
    for x_t in x[::-1] if layer.backwards else x:
        state = step(x_t, state, w)
        outputs.append(state[0])
    return np.array(outputs[::-1] if layer.backwards else outputs)


@pytest.mark.parametrize(("kind", "options"), ONE_OF_EACH)
def test_stack_equals_the_equations_on_each_sequence(kind, options, generator):
    stack = Stacked(kind(**options), F, H, num_layers=2, bidirectional=True, initial_state="learned").double()
    for weight in stack.parameters():
        torch.nn.init.normal_(weight, std=0.7, generator=generator)
    samples = [torch.randn(length, F, generator=generator, dtype=torch.float64) for length in LENGTHS]
    X = torch.nn.utils.rnn.pad_sequence(samples, batch_first=True, padding_value=7.0)
    step = equations(kind, options)
    outputs, last = stack.read(X, torch.tensor(LENGTHS))
    for x, out, end in zip(samples, outputs.detach().numpy(), last.detach().numpy(), strict=True):
        below = x.numpy()
        for layer in stack.layers:
            below = np.concatenate([run(direction, step, below) for direction in layer], axis=1)
        np.testing.assert_allclose(out[: len(x)], below, **EXACT)
        np.testing.assert_allclose(end, np.concatenate([below[-1, :H], below[0, H:]]), **EXACT)


@pytest.mark.parametrize(("kind", "options"), ONE_OF_EACH)
def test_halves_equal_the_whole(kind, options, generator):
    layer = Recurrent(kind(**options), F, H).double()
    layer.reset_parameters(generator)
    X = torch.randn(B, 50, F, generator=generator, dtype=torch.float64)
    sizes = layer.state_sizes
    state = tuple(torch.randn(B, size, generator=generator, dtype=torch.float64) for size in sizes)
    whole, last = layer.go_on(X, state)
    first, between = layer.go_on(X[:, :9], state)
    second, end = layer.go_on(X[:, 9:], between)
    torch.testing.assert_close(torch.cat([first, second], dim=1), whole, **EXACT)
    torch.testing.assert_close(end, last, **EXACT)
    assert torch.equal(last[0], whole[:, -1])


# -- torch's modules with the same weights


@pytest.mark.parametrize(
    ("cell", "make"),
    [
        (ElmanCell(), lambda: torch.nn.RNN(F, H, batch_first=True)),
        (ElmanCell("relu"), lambda: torch.nn.RNN(F, H, batch_first=True, nonlinearity="relu")),
        (LSTMCell(), lambda: torch.nn.LSTM(F, H, batch_first=True)),
        (GRUCell(), lambda: torch.nn.GRU(F, H, batch_first=True)),
        (LSTMCell(memory_size=M), lambda: torch.nn.LSTM(F, M, batch_first=True, proj_size=H)),
    ],
    ids=["tanh", "relu", "lstm", "gru", "projection"],
)
def test_loop_equals_the_module_of_torch(cell, make, generator):
    ours, state = randomised(cell, generator)
    theirs = make().double()
    theirs.load_state_dict({f"{name}_l0": weight for name, weight in ours.state_dict().items()})  # and its shapes
    X = torch.randn(B, 6, F, generator=generator, dtype=torch.float64, requires_grad=True)
    outputs, last = unroll(ours, X, state)
    first = tuple(part[None] for part in state)
    expected, expected_last = theirs(X, first if len(first) > 1 else first[0])
    torch.testing.assert_close(outputs, expected, **EXACT)
    expected_last = expected_last if len(first) > 1 else (expected_last,)
    torch.testing.assert_close(last, tuple(part[0] for part in expected_last), **EXACT)
    gradients = torch.autograd.grad(outputs.square().sum(), [X, *ours.parameters()])
    wanted = torch.autograd.grad(expected.square().sum(), [X, *theirs.parameters()])
    for gradient, of_theirs in zip(gradients, wanted, strict=True):
        torch.testing.assert_close(gradient, of_theirs, **EXACT)


@pytest.mark.parametrize(
    ("cell", "kernel"),
    [
        (LSTMCell(), "LSTM"),
        (LSTMCell(input_nonlinearity=torch.tanh), "LSTM"),
        *((LSTMCell(**options), None) for options in LSTM_FORMS if any(options.values())),
        (GRUCell(), "GRU"),
        (GRUCell(reset_after=False), None),
        (GRUCell(nonlinearity="relu"), None),
        (MGUCell(), None),
        (MinGRUCell(), None),
        (MinLSTMCell(), None),
    ],
)
def test_kernel_where_torch_has_the_same_equations(cell, kernel):
    assert cell.kernel == kernel
    assert Recurrent(cell, F, H).fused == (kernel is not None)


# -- building and drawing


def test_order_of_the_gates():
    assert (LSTMCell().gates, LSTMCell().n_gates, LSTMCell().forget_gate_position) == ("ifgo", 4, 1)
    carousel, coupled = LSTMCell(forget_gate=False), LSTMCell(coupled=True)
    assert (carousel.gates, carousel.n_gates, carousel.forget_gate_position) == ("igo", 3, None)
    assert (coupled.gates, coupled.n_gates, coupled.forget_gate_position) == ("fgo", 3, 0)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("kind", "options"), EVERY_FORM)
def test_shapes_of_weights_and_states(kind, options, bias):
    cell = kind(**options)
    built = cell.build(F, H, bias)
    memory = options.get("memory_size") or H
    rows = memory * {LSTMCell: 4, GRUCell: 3, MGUCell: 2, MinGRUCell: 2, MinLSTMCell: 3}[kind]
    rows -= memory * (options.get("coupled", False) or not options.get("forget_gate", True))
    expected = {"weight_ih": (rows, F), "weight_hh": (rows, H), "bias_ih": (rows,), "bias_hh": (rows,)}
    if kind in (MinGRUCell, MinLSTMCell):
        del expected["weight_hh"], expected["bias_hh"]
    if not bias:
        expected = {name: shape for name, shape in expected.items() if "weight" in name}
    if options.get("peepholes"):
        expected |= {f"weight_c{gate}": (memory,) for gate in "ifo" if gate in cell.gates}
    if options.get("memory_size"):
        expected["weight_hr"] = (H, memory)
    assert {name: tuple(weight.shape) for name, weight in built.named_parameters()} == expected
    assert cell.state_sizes(H) == ((H, memory) if kind is LSTMCell else (H,))
    assert [tuple(part.shape) for part in built.initial_state(B, torch.ones(1))] == [
        (B, n) for n in cell.state_sizes(H)
    ]
    assert not list(cell.parameters())


@pytest.mark.parametrize(("kind", "options"), EVERY_FORM)
def test_weights_are_drawn_as_documented(kind, options, global_random_seed):
    before = torch.get_rng_state()
    built, again = (drawn(kind(**options), global_random_seed) for _ in range(2))
    assert all(map(torch.equal, built.parameters(), again.parameters()))
    assert torch.equal(torch.get_rng_state(), before)
    memory = options.get("memory_size") or H
    bound = (6 / (F + memory)) ** 0.5
    for gate in built.weight_ih.detach().split(memory):
        assert 0.5 * bound < gate.abs().max() <= bound
    place = {LSTMCell: 1, MinLSTMCell: 1}.get(kind)  # of the forget gate
    if kind is LSTMCell and (options.get("coupled") or not options.get("forget_gate", True)):
        place = 0 if options.get("coupled") else None
    for k, bias in enumerate(built.bias_ih.split(memory)):
        assert (bias == float(k == place)).all()
    if built.weight_hh is not None:
        assert not built.bias_hh.any()
        for gate in built.weight_hh.detach().split(memory):
            torch.testing.assert_close(gate.T @ gate, torch.eye(H), rtol=0, atol=1e-6)
    if options.get("memory_size"):
        W_hr = built.weight_hr.detach()
        torch.testing.assert_close(W_hr @ W_hr.T, torch.eye(H), rtol=0, atol=1e-6)
    if options.get("peepholes"):
        assert not any(built.get_parameter(f"weight_c{gate}").any() for gate in "ifo" if gate in built.gates)


@pytest.mark.parametrize(("kind", "options"), EVERY_FORM)
def test_cells_survive_pickling(kind, options, generator):
    cell, state = randomised(kind(**options), generator)
    again = pickle.loads(pickle.dumps(cell))
    x_t = torch.randn(B, F, generator=generator, dtype=torch.float64)
    assert all(map(torch.equal, again(x_t, state), cell(x_t, state)))


RECURRENT = [
    pytest.param(kind, options, id=label((kind, options)))
    for kind, options in [*FORMS, (ElmanCell, {})]
    if kind not in (MinGRUCell, MinLSTMCell) and options.get("memory_size") != M
]


@pytest.mark.parametrize(("kind", "options"), RECURRENT)
def test_recurrent_weights_of_the_identity(kind, options):
    for gate in drawn(kind(recurrent_init="identity", **options), 0).weight_hh.detach().split(H):
        assert torch.equal(gate, torch.eye(H))


@pytest.mark.parametrize("radius", [0.5, 1.25])
@pytest.mark.parametrize(("kind", "options"), RECURRENT)
def test_recurrent_weights_of_a_spectral_radius(kind, options, radius, global_random_seed):
    built = drawn(kind(recurrent_init=radius, **options), global_random_seed)
    for gate in built.weight_hh.detach().numpy().reshape(-1, H, H):
        assert np.abs(np.linalg.eigvals(gate)).max() == pytest.approx(radius, rel=1e-5)


# -- the scan

SCANS = pytest.mark.parametrize("kind", [MinGRUCell, MinLSTMCell])
LONG = [1, 2, 3, 7, RADIX - 1, RADIX, RADIX + 1, 64, 65, 1000, RADIX**2, RADIX**2 + 3, 2 * RADIX**2 + 17]


def looped(kind):
    """The same cell without the scan."""
    return type(f"Looped{kind.__name__}", (kind,), {"scan": None})


@pytest.mark.parametrize("length", LONG)
@SCANS
def test_scan_equals_the_loop(kind, length, generator):
    compare_scan_and_loop(kind, length, generator)


@SCANS
def test_scan_by_blocks_equals_the_loop(kind, generator, monkeypatch):
    monkeypatch.setattr("sktime_rnn.cells._minimal.BLOCK", 40 * B * H)
    compare_scan_and_loop(kind, 100, generator)


def compare_scan_and_loop(kind, length, generator):
    cell, state = randomised(kind(), generator)
    loop = looped(kind)().build(F, H).double()
    loop.load_state_dict(cell.state_dict())
    X = torch.randn(B, length, F, generator=generator, dtype=torch.float64, requires_grad=True)
    weights = torch.randn(B, length, H, generator=generator, dtype=torch.float64)
    results = []
    for one in (cell, loop):
        first = (state[0].clone().requires_grad_(),)
        outputs, (last,) = unroll(one, X, first)
        assert outputs.shape == (B, length, H)
        total = (outputs * weights).sum() + last.square().sum()
        results.append((outputs, last, *torch.autograd.grad(total, [X, *first, *one.parameters()])))
    for ours, wanted in zip(*results, strict=True):
        torch.testing.assert_close(ours, wanted, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("length", [1, 2, 3, 7, 64, 1000])
@SCANS
def test_gradients_of_the_scan_by_differences(kind, length, generator):
    cell = kind(nonlinearity="tanh").build(2, 2).double()
    for weight in cell.parameters():
        torch.nn.init.normal_(weight, generator=generator)
    X = torch.randn(2, length, 2, generator=generator, dtype=torch.float64, requires_grad=True)
    h = torch.randn(2, 2, generator=generator, dtype=torch.float64, requires_grad=True)
    inputs = (X, h, *cell.parameters())
    assert torch.autograd.gradcheck(lambda X, h, *_: cell.scan(X, (h,))[0], inputs, fast_mode=length > 7)


def test_gradients_of_the_scan_that_are_not_asked_for(generator):
    u, n, h = (torch.randn(*shape, generator=generator) for shape in ((40, 2), (40, 2), (2,)))
    wanted = torch.autograd.grad(gated_scan(*(x.requires_grad_() for x in (u, n, h))).sum(), (u, n, h))
    for k, x in enumerate((u, n, h)):
        alone = [one.detach() for one in (u, n, h)]
        alone[k] = x
        torch.testing.assert_close(torch.autograd.grad(gated_scan(*alone).sum(), x)[0], wanted[k])


def test_the_scan_leaves_what_it_reads_as_it_is(generator):
    u, n, h = (torch.randn(*shape, generator=generator) for shape in ((70, 2), (70, 2), (2,)))
    copies = [x.clone() for x in (u, n, h)]
    gated_scan(u, n, h)
    assert all(map(torch.equal, copies, (u, n, h)))


def test_a_second_derivative_is_refused_by_the_scan_and_given_by_the_loop(generator):
    cell, state = randomised(MinGRUCell(), generator)
    X = torch.randn(B, 3, F, generator=generator, dtype=torch.float64)
    with pytest.raises(RuntimeError, match="must be taken with create_graph=False, got .* Set scan = None in a subcl"):
        torch.autograd.grad(unroll(cell, X, state)[0].sum(), cell.weight_ih, create_graph=True)
    loop = looped(MinGRUCell)().build(F, H).double()
    loop.load_state_dict(cell.state_dict())
    X.requires_grad_()
    assert torch.autograd.gradgradcheck(lambda X: unroll(loop, X, state)[0], (X,), fast_mode=True)


def test_depth_of_the_scan_is_logarithmic(monkeypatch):
    calls, addcmul = [], torch.addcmul
    monkeypatch.setattr(torch, "addcmul", lambda *args, **kwargs: calls.append(1) or addcmul(*args, **kwargs))
    counts = []
    for power in (1, 2, 3):
        calls.clear()
        gated_scan(torch.zeros(RADIX**power, 1), torch.ones(RADIX**power, 1), torch.zeros(1))
        counts.append(len(calls))
    assert counts[2] - counts[1] == counts[1] - counts[0] == 2 * (RADIX - 1)  # a level more


@SCANS
def test_scan_of_float32_over_a_long_sequence(kind, global_random_seed):
    cell = drawn(kind(), global_random_seed)
    X = torch.randn(2, 5000, F, generator=torch.Generator().manual_seed(global_random_seed))
    outputs, _ = unroll(cell, X, cell.initial_state(2, X))
    exact, _ = unroll(cell.double(), X.double(), cell.initial_state(2, X.double()))
    torch.testing.assert_close(outputs.double(), exact, rtol=0, atol=1e-5)


def test_shares_of_closed_gates_are_halves():
    """Where sigma(-200) is 0 in float32, i / (f + i) would be 0 / 0."""
    cell = MinLSTMCell().build(1, 1)
    for weight in cell.parameters():
        torch.nn.init.zeros_(weight)
    with torch.no_grad():
        cell.bias_ih.copy_(torch.tensor([-200.0, -200.0, 8.0]))
    outputs, _ = unroll(cell, torch.zeros(1, 3, 1), (torch.zeros(1, 1),))
    assert outputs.flatten().tolist() == [4.0, 6.0, 7.0]


def test_the_log_space_form_of_the_paper(generator):
    """Feng et al. (2024), appendix B: log h_t = a*_t + logcumsumexp(log values - a*), with g for the candidates."""

    def g(a):
        return torch.where(a >= 0, a + 0.5, torch.sigmoid(a))

    cell, (h,) = randomised(MinGRUCell(nonlinearity=g), generator)
    h = h.exp()  # positive
    X = torch.randn(B, 90, F, generator=generator, dtype=torch.float64)
    w = arrays(cell)
    of_x = affine(w, "zn")
    z, n = of_x["z"](X.numpy()), of_x["n"](X.numpy())
    log_kept, log_z = -np.logaddexp(0, z), -np.logaddexp(0, -z)
    log_g = np.where(n >= 0, np.log(np.maximum(n, 0) + 0.5), -np.logaddexp(0, -n))
    a_star = np.cumsum(log_kept, axis=1)
    log_values = np.concatenate([h.log().numpy()[:, None], log_z + log_g - a_star], axis=1)
    expected = np.exp(a_star + np.logaddexp.accumulate(log_values, axis=1)[:, 1:])
    np.testing.assert_allclose(unroll(cell, X, (h,))[0].detach().numpy(), expected, rtol=1e-9)


# -- refusals


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: LSTMCell(coupled=True, forget_gate=False),
            "coupled=True needs forget_gate=True, got forget_gate=False: .* Set forget_gate=True or coupled=False",
        ),
        (lambda: LSTMCell(memory_size=0), "memory_size must be None or an int of at least 1, got 0. Set it to None"),
        (lambda: LSTMCell(memory_size=2.5), "memory_size must be None or an int of at least 1, got 2.5. Set it"),
        (
            lambda: LSTMCell(input_nonlinearity="sine"),
            r"input_nonlinearity must be one of \['identity', .*\] or a callable, got 'sine'. Choose",
        ),
        (lambda: LSTMCell(output_nonlinearity="sine"), "output_nonlinearity must be one of .*, got 'sine'. Choose"),
        (lambda: GRUCell(nonlinearity="sine"), "nonlinearity must be one of .*, got 'sine'. Choose"),
        (lambda: MGUCell(nonlinearity="sine"), "nonlinearity must be one of .*, got 'sine'. Choose"),
        (lambda: MinLSTMCell(nonlinearity="sine"), "nonlinearity must be one of .*, got 'sine'. Choose"),
        (lambda: GRUCell(recurrent_init=-1), "recurrent_init must be 'orthogonal', .*, got -1. Choose"),
        *(
            (
                lambda how=how: drawn(LSTMCell(memory_size=M, recurrent_init=how), 0),
                f"recurrent_init must be 'orthogonal' where .* not square, got {how!r} with {M} units of memory and "
                f"{H} outputs. Leave it at 'orthogonal' or set memory_size={H}",
            )
            for how in ("identity", 0.9)
        ),
    ],
)
def test_what_does_not_fit_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
