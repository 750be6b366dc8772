"""One time step: the equations worked in NumPy, and how the weights are drawn."""

import numpy as np
import pytest
import torch

from sktime_rnn.cells import CELLS, Cell, ElmanCell, GRUCell, LSTMCell, as_cell, init_recurrent_

BATCH, INPUT, HIDDEN = 3, 4, 5


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


def elman_step(phi, x, state, W_ih, W_hh, b_ih, b_hh):
    return (phi(x @ W_ih.T + b_ih + state[0] @ W_hh.T + b_hh),)


def tanh_step(*args):
    return elman_step(np.tanh, *args)


def relu_step(*args):
    return elman_step(lambda a: np.maximum(a, 0), *args)


def sigmoid_step(*args):
    return elman_step(sigmoid, *args)


def identity_step(*args):
    return elman_step(lambda a: a, *args)


def lstm_step(x, state, W_ih, W_hh, b_ih, b_hh):
    h, c = state
    W_ii, W_if, W_ig, W_io = np.split(W_ih, 4)
    W_hi, W_hf, W_hg, W_ho = np.split(W_hh, 4)
    b_i, b_f, b_g, b_o = np.split(b_ih + b_hh, 4)
    i = sigmoid(x @ W_ii.T + h @ W_hi.T + b_i)
    f = sigmoid(x @ W_if.T + h @ W_hf.T + b_f)
    g = np.tanh(x @ W_ig.T + h @ W_hg.T + b_g)
    o = sigmoid(x @ W_io.T + h @ W_ho.T + b_o)
    c = f * c + i * g
    return o * np.tanh(c), c


def gru_step(x, state, W_ih, W_hh, b_ih, b_hh):
    (h,) = state
    W_ir, W_iz, W_in = np.split(W_ih, 3)
    W_hr, W_hz, W_hn = np.split(W_hh, 3)
    b_ir, b_iz, b_in = np.split(b_ih, 3)
    b_hr, b_hz, b_hn = np.split(b_hh, 3)
    r = sigmoid(x @ W_ir.T + b_ir + h @ W_hr.T + b_hr)
    z = sigmoid(x @ W_iz.T + b_iz + h @ W_hz.T + b_hz)
    n = np.tanh(x @ W_in.T + b_in + r * (h @ W_hn.T + b_hn))
    return ((1 - z) * n + z * h,)


STEPS = [
    pytest.param(ElmanCell(), tanh_step, id="tanh"),
    pytest.param(ElmanCell("relu"), relu_step, id="relu"),
    pytest.param(ElmanCell("sigmoid"), sigmoid_step, id="sigmoid"),
    pytest.param(ElmanCell("identity"), identity_step, id="identity"),
    pytest.param(LSTMCell(), lstm_step, id="lstm"),
    pytest.param(GRUCell(), gru_step, id="gru"),
]
ALL_CELLS = [pytest.param(step.values[0], id=step.id) for step in STEPS]
CELLS_OF_TORCH = [cell for cell in ALL_CELLS if cell.id not in ("sigmoid", "identity")]


# -- the equations


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("cell", "step"), STEPS)
def test_step_equals_the_equations(cell, step, bias, generator):
    cell = cell.build(INPUT, HIDDEN, bias).double()
    for weight in cell.parameters():
        torch.nn.init.normal_(weight, generator=generator)
    x = torch.randn(BATCH, INPUT, generator=generator, dtype=torch.float64)
    state = tuple(torch.randn(BATCH, HIDDEN, generator=generator, dtype=torch.float64) for _ in range(cell.n_states))
    weights = [weight.detach().numpy() for weight in cell.parameters()]
    if not bias:
        weights += [np.zeros(cell.n_gates * HIDDEN)] * 2
    expected = step(x.numpy(), [part.numpy() for part in state], *weights)
    after = cell(x, state)
    assert isinstance(after, tuple)
    assert len(after) == cell.n_states
    for part, wanted in zip(after, expected, strict=True):
        np.testing.assert_allclose(part.detach().numpy(), wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("cell", CELLS_OF_TORCH)
def test_step_equals_the_cell_of_torch(cell, generator):
    ours = cell.build(INPUT, HIDDEN)
    ours.reset_parameters(generator)
    options = {"nonlinearity": cell.nonlinearity} if cell.kernel == "RNN" else {}
    theirs = getattr(torch.nn, f"{cell.kernel}Cell")(INPUT, HIDDEN, **options)
    theirs.load_state_dict(ours.state_dict())  # same names, same shapes
    x = torch.randn(BATCH, INPUT, generator=generator)
    state = tuple(torch.randn(BATCH, HIDDEN, generator=generator) for _ in range(cell.n_states))
    expected = theirs(x, state if len(state) > 1 else state[0])
    torch.testing.assert_close(ours(x, state), expected if len(state) > 1 else (expected,), rtol=1e-5, atol=1e-6)


def test_elman_refuses_an_unknown_nonlinearity():
    with pytest.raises(ValueError, match=r"nonlinearity must be one of \['identity', 'relu', .*, got 'sine'"):
        ElmanCell("sine")


# -- building


@pytest.mark.parametrize("cell", ALL_CELLS)
def test_build_leaves_the_cell_as_it_is(cell):
    built = cell.build(INPUT, HIDDEN)
    rows = cell.n_gates * HIDDEN
    assert {name: tuple(weight.shape) for name, weight in built.named_parameters()} == {
        "weight_ih": (rows, INPUT),
        "weight_hh": (rows, HIDDEN),
        "bias_ih": (rows,),
        "bias_hh": (rows,),
    }
    assert not list(cell.parameters())
    assert type(built) is type(cell)
    assert vars(built).get("nonlinearity") == vars(cell).get("nonlinearity")


def test_build_without_bias():
    built = LSTMCell().build(INPUT, HIDDEN, bias=False)
    assert [name for name, _ in built.named_parameters()] == ["weight_ih", "weight_hh"]
    assert built.bias_ih is None
    assert built.bias_hh is None


@pytest.mark.parametrize("cell", ALL_CELLS)
def test_initial_state_is_zero(cell):
    state = cell.build(INPUT, HIDDEN).initial_state(BATCH, torch.ones(1, dtype=torch.float64))
    assert len(state) == cell.n_states
    for part in state:
        assert (part.shape, part.dtype) == ((BATCH, HIDDEN), torch.float64)
        assert not part.any()


def test_cell_is_abstract():
    with pytest.raises(TypeError, match="abstract"):
        Cell()


def test_a_cell_of_ones_own_has_no_kernel():
    class Sum(Cell):
        def forward(self, x_t, state):
            return (state[0] + x_t,)

    assert Sum().kernel is None


@pytest.mark.parametrize(("name", "kernel"), [("tanh", "RNN"), ("relu", "RNN"), ("sigmoid", None), ("identity", None)])
def test_elman_has_a_kernel_where_torch_has_its_nonlinearity(name, kernel):
    assert ElmanCell(name).kernel == kernel


# -- drawing weights


def drawn(cell, seed):
    built = cell.build(INPUT, HIDDEN)
    built.reset_parameters(torch.Generator().manual_seed(seed))
    return built


@pytest.mark.parametrize("cell", ALL_CELLS)
def test_recurrent_weights_are_orthogonal_gate_by_gate(cell, global_random_seed):
    gates = drawn(cell, global_random_seed).weight_hh.detach().split(HIDDEN)
    assert len(gates) == cell.n_gates
    for gate in gates:
        torch.testing.assert_close(gate @ gate.T, torch.eye(HIDDEN), rtol=0, atol=1e-6)


@pytest.mark.parametrize("cell", ALL_CELLS)
def test_input_weights_fill_the_bound_of_glorot_gate_by_gate(cell, global_random_seed):
    built = cell.build(30, 40)
    built.reset_parameters(torch.Generator().manual_seed(global_random_seed))
    bound = (6 / (30 + 40)) ** 0.5
    for gate in built.weight_ih.detach().split(40):
        assert 0.98 * bound < gate.abs().max() <= bound
        assert abs(gate.mean()) < 0.1 * bound


@pytest.mark.parametrize("cell", ALL_CELLS)
def test_biases_are_zero_but_that_of_the_forget_gate(cell, global_random_seed):
    built = drawn(cell, global_random_seed)
    expected = torch.zeros(cell.n_gates * HIDDEN)
    if isinstance(cell, LSTMCell):
        expected[HIDDEN : 2 * HIDDEN] = 1.0
    assert torch.equal(built.bias_ih, expected)
    assert not built.bias_hh.any()


@pytest.mark.parametrize("cell", ALL_CELLS)
def test_one_seed_gives_the_same_weights(cell, global_random_seed):
    before = torch.get_rng_state()
    first, again, other = (drawn(cell, seed) for seed in (global_random_seed, global_random_seed, 1234))
    assert all(map(torch.equal, first.parameters(), again.parameters()))
    assert not torch.equal(first.weight_ih, other.weight_ih)
    assert not torch.equal(first.weight_hh, other.weight_hh)
    assert torch.equal(torch.get_rng_state(), before)


def test_drawing_without_biases_and_in_float64(generator):
    weight_ih, weight_hh = torch.empty(8, 3, dtype=torch.float64), torch.empty(8, 4, dtype=torch.float64)
    init_recurrent_(weight_ih, weight_hh, None, None, forget_gate_position=1, generator=generator)
    torch.testing.assert_close(weight_hh[:4] @ weight_hh[:4].T, torch.eye(4, dtype=torch.float64))
    assert not torch.equal(weight_hh[:4], weight_hh[4:])


# -- what stands for a cell


@pytest.mark.parametrize(("name", "kind"), [("lstm", LSTMCell), ("gru", GRUCell), ("rnn", ElmanCell)])
def test_names_and_classes_stand_for_cells(name, kind):
    assert CELLS[name] is kind
    assert type(as_cell(name)) is kind
    assert type(as_cell(kind)) is kind


def test_an_instance_stands_for_itself():
    cell = ElmanCell("relu")
    assert as_cell(cell) is cell
    assert as_cell("rnn", "relu").nonlinearity == "relu"


@pytest.mark.parametrize(
    ("args", "error", "message"),
    [
        (("ltsm",), ValueError, r"cell must be one of \['clockwork', .*, None or a Cell, got 'ltsm'. Choose"),
        (("lstm", "relu"), ValueError, r"nonlinearity='relu' needs None or one of .*'rnn'.* got .*'lstm'.*leave"),
        ((torch.nn.LSTM,), TypeError, "cell must be a name, a Cell class or a Cell, got LSTM. Pass cell='lstm'"),
        ((3,), TypeError, "cell must be a name, a Cell class or a Cell, got int. Pass"),
    ],
)
def test_what_stands_for_no_cell_is_refused(args, error, message):
    with pytest.raises(error, match=message):
        as_cell(*args)
