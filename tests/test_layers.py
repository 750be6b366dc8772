"""Recurrence over time: equal to torch's modules, with and without a kernel, and blind to padding.

Shapes: B batch, T time steps of the longest sequence in the batch, F features, H hidden units, D directions.
"""

import itertools

import pytest
import torch

from sktime_rnn.cells import Cell, ElmanCell, GRUCell, LSTMCell
from sktime_rnn.layers import Dropout, GaussianNoise, Recurrent, Reversal, Stacked, reversal, unroll

F, H = 3, 4
LENGTHS = (5, 1, 8, 3)
TOLERANCE = {torch.float32: {"rtol": 1e-5, "atol": 1e-5}, torch.float64: {"rtol": 1e-10, "atol": 1e-10}}


class LoopedElman(ElmanCell):
    """Elman's equations without torch's kernel."""

    kernel = None


class LoopedLSTM(LSTMCell):
    """The equations of LSTM without torch's kernel."""

    kernel = None


class LoopedGRU(GRUCell):
    """The equations of GRU without torch's kernel."""

    kernel = None


class Adder(Cell):
    """Running sum of the weighted input: ``s_t = s_{t-1} + W x_t``, with ``-s_t`` and ``t`` as further states."""

    n_states = 3

    def forward(self, x_t, state):
        s = state[0] + x_t @ self.weight_ih.T
        return s, -s, state[2] + 1


FUSED = [
    pytest.param(ElmanCell(), id="tanh"),
    pytest.param(ElmanCell("relu"), id="relu"),
    pytest.param(LSTMCell(), id="lstm"),
    pytest.param(GRUCell(), id="gru"),
]
LOOPED = [
    pytest.param(LoopedElman(), id="looped-tanh"),
    pytest.param(LoopedElman("relu"), id="looped-relu"),
    pytest.param(LoopedLSTM(), id="looped-lstm"),
    pytest.param(LoopedGRU(), id="looped-gru"),
]
PAIRS = [pytest.param(f.values[0], c.values[0], id=f.id) for f, c in zip(FUSED, LOOPED, strict=True)]
EVERY_CELL = FUSED + LOOPED
BOUNDED = [FUSED[0], *FUSED[2:], LOOPED[3]]  # relu may grow, and rounding with it, or stay at zero
STACKS = [
    pytest.param({"num_layers": n, **directions}, id=f"{n}-{name}")
    for n, (name, directions) in itertools.product(
        (1, 2),
        {"forward": {}, "backward": {"go_backwards": True}, "both": {"bidirectional": True}}.items(),
    )
]
INITIAL_STATES = pytest.mark.parametrize("initial_state", ["zeros", "learned"])


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


def make_stack(cell, generator, dtype=torch.float64, **options):
    """A stack with weights drawn; learned initial states and biases are drawn too, not left at their start."""
    stack = Stacked(cell, F, H, **options).to(dtype)
    stack.reset_parameters(generator)
    with torch.no_grad():
        for name, weight in stack.named_parameters():
            if "bias" in name or "initial_state" in name:
                weight.normal_(std=0.5, generator=generator)
    return stack


def make_batch(lengths, generator, dtype=torch.float64):
    """Sequences, and the batch of them, its padding far from zero."""
    samples = [torch.randn(length, F, generator=generator, dtype=dtype) for length in lengths]
    X = torch.full((len(lengths), max(lengths), F), 7.0, dtype=dtype)
    for row, sample in zip(X, samples, strict=True):
        row[: len(sample)] = sample
    return samples, X, torch.tensor(lengths)


def ragged_gradients(module, rows, like):
    """Gradients of a weighted sum of all valid outputs by the weights of a module.

    The weights of the sum depend on the place in a sequence alone.
    """
    total = sum((row * torch.arange(1.0, row.numel() + 1).view_as(row).to(row).cos()).sum() for row in rows)
    return torch.autograd.grad(total, [*module.parameters(), *like])


# -- reversal


def test_reversal_within_the_length():
    expected = [[2, 1, 0, 3, 4], [4, 3, 2, 1, 0], [0, 1, 2, 3, 4]]
    assert reversal(torch.tensor([3, 5, 1]), 5).tolist() == expected


def test_reversal_is_its_own_inverse(generator):
    _, X, lengths = make_batch(LENGTHS, generator)
    index = reversal(lengths, X.shape[1])
    mirrored = Reversal.apply(X, index)
    assert torch.equal(Reversal.apply(mirrored, index), X)
    for x, m, length in zip(X, mirrored, LENGTHS, strict=True):
        assert torch.equal(m[:length], x[:length].flip(0))
        assert torch.equal(m[length:], x[length:])


def test_gradients_of_the_reversal_by_differences(generator):
    index = reversal(torch.tensor([3, 1]), 3)
    X = torch.randn(2, 3, 2, generator=generator, dtype=torch.float64).transpose(0, 1).contiguous().transpose(0, 1)
    X.requires_grad_()  # of strides of another order
    assert torch.autograd.gradcheck(Reversal.apply, (X, index))
    assert torch.autograd.gradgradcheck(Reversal.apply, (X, index))


# -- kernels and cells


@pytest.mark.parametrize("backwards", [False, True])
@INITIAL_STATES
@pytest.mark.parametrize(("fused", "looped"), PAIRS)
def test_kernel_equals_the_unrolled_cell(fused, looped, initial_state, backwards, generator):
    options = {"initial_state": initial_state, "backwards": backwards}
    kernel, loop = (Recurrent(cell, F, H, **options) for cell in (fused, looped))
    assert (kernel.fused, loop.fused) == (True, False)
    kernel.reset_parameters(generator)
    if initial_state == "learned":
        torch.nn.init.normal_(kernel.initial_state, generator=generator)
    values = kernel.state_dict()
    loop.load_state_dict({name.removesuffix("_l0"): value for name, value in values.items()})
    _, X, lengths = make_batch(LENGTHS, generator, torch.float32)
    index = reversal(lengths, X.shape[1])
    torch.testing.assert_close(loop(X, index), kernel(X, index), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("fused", "looped"), PAIRS)
def test_kernel_and_cell_are_drawn_alike(fused, looped, global_random_seed):
    kernel, loop = (Recurrent(cell, F, H) for cell in (fused, looped))
    for layer in (kernel, loop):
        layer.reset_parameters(torch.Generator().manual_seed(global_random_seed))
    assert all(map(torch.equal, kernel.parameters(), loop.parameters()))
    recurrent = kernel.cell.weight_hh_l0.detach()
    for gate in recurrent.split(H):
        torch.testing.assert_close(gate @ gate.T, torch.eye(H), rtol=0, atol=1e-6)
    if isinstance(fused, LSTMCell):
        assert kernel.cell.bias_ih_l0.tolist() == [0.0] * H + [1.0] * H + [0.0] * 2 * H


@pytest.mark.parametrize("cell", EVERY_CELL)
def test_no_bias(cell, generator):
    layer = Recurrent(cell, F, H, bias=False)
    layer.reset_parameters(generator)
    assert not [name for name, _ in layer.named_parameters() if "bias" in name]
    assert not layer(torch.zeros(2, 3, F)).any()  # zero in, zero state, no bias: zero out


def test_unroll_of_a_cell_of_ones_own():
    cell = Adder().build(1, 1)
    torch.nn.init.constant_(cell.weight_ih, 2.0)
    X = torch.tensor([[[1.0], [2.0], [3.0]]])
    state = tuple(torch.full((1, 1), value) for value in (10.0, 0.0, 0.0))
    outputs, last = unroll(cell, X, state)
    assert outputs.flatten().tolist() == [12.0, 16.0, 22.0]
    assert last[0].item() == 22.0


@INITIAL_STATES
def test_stack_of_a_cell_of_ones_own(initial_state, generator):
    stack = make_stack(Adder(), generator, bidirectional=True, initial_state=initial_state)
    samples, X, lengths = make_batch(LENGTHS, generator)
    outputs = stack(X, lengths)
    forward, backward = stack.layers[0]
    for x, out in zip(samples, outputs, strict=True):
        ahead, back = x @ forward.cell.weight_ih.T, x @ backward.cell.weight_ih.T
        expected = torch.cat([ahead.cumsum(0), back.flip(0).cumsum(0).flip(0)], dim=1)
        if initial_state == "learned":
            expected = expected + torch.cat([forward.initial_state[0], backward.initial_state[0]])
        torch.testing.assert_close(out[: len(x)], expected)


# -- torch's modules with the same weights, one sequence at a time


def torch_module(cell, stack, num_layers, bidirectional, dtype):
    """The module of torch with the weights of a stack."""
    options = {"nonlinearity": cell.nonlinearity} if isinstance(cell, ElmanCell) else {}
    kind = {LSTMCell: "LSTM", GRUCell: "GRU", ElmanCell: "RNN"}[type(cell) if cell.kernel else type(cell).__base__]
    module = getattr(torch.nn, kind)(F, H, num_layers, batch_first=True, bidirectional=bidirectional, **options)
    weights = {}
    for (k, layer), suffix in itertools.product(enumerate(stack.layers), ("", "_reverse")[: 1 + bidirectional]):
        for name, weight in layer[suffix == "_reverse"].cell.named_parameters():
            weights[f"{name.removesuffix('_l0')}_l{k}{suffix}"] = weight
    module.to(dtype).load_state_dict(weights)
    return module


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("bidirectional", [False, True], ids=["forward", "both"])
@pytest.mark.parametrize("num_layers", [1, 2])
@pytest.mark.parametrize("cell", EVERY_CELL)
def test_ragged_batch_equals_torch(cell, num_layers, bidirectional, dtype, generator):
    stack = make_stack(cell, generator, dtype, num_layers=num_layers, bidirectional=bidirectional)
    theirs = torch_module(cell, stack, num_layers, bidirectional, dtype)
    samples, X, lengths = make_batch(LENGTHS, generator, dtype)
    X.requires_grad_()
    ours = [out[:length] for out, length in zip(stack(X, lengths), LENGTHS, strict=True)]
    alone = [sample.requires_grad_() for sample in samples]
    expected = [theirs(sample[None])[0][0] for sample in alone]
    for out, wanted in zip(ours, expected, strict=True):
        torch.testing.assert_close(out, wanted, **TOLERANCE[dtype])

    *weights, by_input = ragged_gradients(stack, ours, [X])
    wanted = ragged_gradients(theirs, expected, alone)
    for gradient, wanted_gradient in zip(weights, wanted[: -len(alone)], strict=True):
        torch.testing.assert_close(gradient, wanted_gradient, **TOLERANCE[dtype])
    for row, sample in zip(by_input, wanted[-len(alone) :], strict=True):
        torch.testing.assert_close(row[: len(sample)], sample, **TOLERANCE[dtype])
        assert not row[len(sample) :].any()


@pytest.mark.parametrize("cell", FUSED)
def test_backwards_equals_torch_on_each_sequence_reversed(cell, generator):
    stack = make_stack(cell, generator, num_layers=2, go_backwards=True)
    theirs = torch_module(cell, stack, 2, False, torch.float64)
    samples, X, lengths = make_batch(LENGTHS, generator)
    for out, x in zip(stack(X, lengths), samples, strict=True):
        expected = theirs(x.flip(0)[None])[0][0].flip(0)
        torch.testing.assert_close(out[: len(x)], expected, **TOLERANCE[torch.float64])


@pytest.mark.parametrize("cell", FUSED)
def test_number_of_parameters_is_that_of_torch_at_any_length(cell, generator):
    stack = make_stack(cell, generator, num_layers=2, bidirectional=True)
    theirs = torch_module(cell, stack, 2, True, torch.float64)
    for length in (1, 40):
        stack(torch.zeros(1, length, F, dtype=torch.float64), torch.tensor([length]))
        assert sum(w.numel() for w in stack.parameters()) == sum(w.numel() for w in theirs.parameters())


# -- padding and neighbours


@INITIAL_STATES
@pytest.mark.parametrize("options", STACKS)
@pytest.mark.parametrize("cell", BOUNDED)
def test_outputs_do_not_depend_on_a_long_neighbour(cell, options, initial_state, generator):
    stack = make_stack(cell, generator, torch.float32, initial_state=initial_state, **options)
    samples, X, lengths = make_batch((*LENGTHS, 60), generator, torch.float32)
    together = stack(X, lengths)
    for out, x in zip(together, samples, strict=True):
        alone = stack(x[None], torch.tensor([len(x)]))[0]
        torch.testing.assert_close(out[: len(x)], alone, rtol=1e-6, atol=1e-6)


@INITIAL_STATES
@pytest.mark.parametrize("options", STACKS)
@pytest.mark.parametrize("cell", [*FUSED, LOOPED[3]])
def test_gradients_do_not_depend_on_a_long_neighbour(cell, options, initial_state, generator):
    stack = make_stack(cell, generator, initial_state=initial_state, **options)
    samples, X, lengths = make_batch((*LENGTHS, 60), generator)
    X.requires_grad_()
    rows = [out[: len(x)] for out, x in zip(stack(X, lengths), samples, strict=True)][:-1]
    alone = [x.requires_grad_() for x in samples[:-1]]
    rows_alone = [stack(x[None], torch.tensor([len(x)]))[0] for x in alone]
    torch.testing.assert_close(rows, rows_alone, rtol=1e-12, atol=1e-12)
    *weights, by_input = ragged_gradients(stack, rows, [X])
    expected = ragged_gradients(stack, rows_alone, alone)
    for gradient, wanted in zip(weights, expected, strict=False):
        torch.testing.assert_close(gradient, wanted, rtol=1e-10, atol=1e-10)
    for row, wanted in zip(by_input, expected[len(weights) :], strict=False):
        torch.testing.assert_close(row[: len(wanted)], wanted, rtol=1e-10, atol=1e-10)
    assert not by_input[-1].any()


# -- the initial state


@pytest.mark.parametrize("cell", [ElmanCell("relu"), LoopedElman("relu")], ids=["kernel", "cell"])
def test_learned_state_enters_the_backward_direction_at_the_last_step(cell):
    """With weights of 1 and positive input, h_t is a running sum."""
    stack = Stacked(cell, 1, 1, bidirectional=True, bias=False, initial_state="learned")
    for direction, start in zip(stack.layers[0], (100.0, 1000.0), strict=True):
        for weight in direction.cell.parameters():
            torch.nn.init.ones_(weight)
        torch.nn.init.constant_(direction.initial_state, start)
    X = torch.tensor([[[1.0], [2.0], [3.0], [4.0]], [[5.0], [6.0], [9.0], [9.0]]])
    outputs = stack(X, torch.tensor([4, 2]))
    assert outputs[0].tolist() == [[101, 1010], [103, 1009], [106, 1007], [110, 1004]]
    assert outputs[1, :2].tolist() == [[105, 1011], [111, 1006]]


@pytest.mark.parametrize("cell", EVERY_CELL)
def test_learned_state_starts_at_zero(cell, generator):
    learned = Stacked(cell, F, H, num_layers=2, bidirectional=True, initial_state="learned")
    for layer in learned.layers:
        for direction in layer:
            torch.nn.init.ones_(direction.initial_state)
    learned.reset_parameters(generator)
    states = [direction.initial_state for layer in learned.layers for direction in layer]
    assert [tuple(state.shape) for state in states] == [(cell.n_states, H)] * 4
    assert not any(state.any() for state in states)


@pytest.mark.parametrize(("cell", "bias"), [(cell.values[0], cell.id != "tanh") for cell in FUSED])
def test_learned_state_of_zero_equals_zeros(cell, bias, generator):
    learned, zeros = (Recurrent(cell, F, H, bias=bias, initial_state=kind) for kind in ("learned", "zeros"))
    learned.reset_parameters(generator)
    zeros.load_state_dict(learned.state_dict(), strict=False)
    X = torch.randn(2, 5, F, generator=generator)
    torch.testing.assert_close(learned(X), zeros(X))


# -- gradients


@pytest.mark.parametrize("options", STACKS[-3:-1] + [STACKS[2]])
@pytest.mark.parametrize("cell", [*FUSED, LOOPED[2]])
def test_gradients_by_differences(cell, options, generator):
    stack = Stacked(cell, 2, 2, initial_state="learned", **options).double()
    stack.reset_parameters(generator)
    for weight in stack.parameters():
        torch.nn.init.normal_(weight, generator=generator)
    lengths = torch.tensor([3, 1])
    X = torch.randn(2, 3, 2, generator=generator, dtype=torch.float64, requires_grad=True)
    valid = torch.arange(3) < lengths[:, None]
    assert torch.autograd.gradcheck(lambda X, *_: stack(X, lengths)[valid], (X, *stack.parameters()))


# -- what reaches what


@pytest.mark.parametrize("cell", BOUNDED)
def test_later_steps_do_not_move_earlier_outputs(cell, generator):
    stack = make_stack(cell, generator, num_layers=2)
    _, X, lengths = make_batch((8, 6), generator)
    before = stack(X, lengths)
    X[:, 4:] += 1
    after = stack(X, lengths)
    torch.testing.assert_close(after[:, :4], before[:, :4], rtol=1e-12, atol=1e-12)
    assert (after[:, 4] != before[:, 4]).all()


@pytest.mark.parametrize("cell", BOUNDED)
def test_later_steps_move_earlier_outputs_of_a_backward_direction(cell, generator):
    _, X, lengths = make_batch((8, 6), generator)
    moved = X.clone()
    moved[:, 4:] += 1
    for options in ({"bidirectional": True}, {"go_backwards": True}):
        stack = make_stack(cell, generator, **options)
        before, after = (stack(x, lengths)[:, :4, -H:] for x in (X, moved))
        assert (after != before).any(dim=2).all()


def test_earlier_steps_do_not_move_later_outputs_of_a_backward_direction(generator):
    stack = make_stack(LSTMCell(), generator, go_backwards=True)
    _, X, lengths = make_batch((8, 6), generator)
    before = stack(X, lengths)
    X[:, :4] += 1
    torch.testing.assert_close(stack(X, lengths)[:, 4:6], before[:, 4:6], rtol=1e-12, atol=1e-12)


# -- the last output


@pytest.mark.parametrize("options", STACKS)
@pytest.mark.parametrize("cell", [*FUSED, LOOPED[3]])
def test_last_is_what_each_direction_says_at_its_end(cell, options, generator):
    stack = make_stack(cell, generator, initial_state="learned", **options)
    _, X, lengths = make_batch(LENGTHS, generator)
    outputs = stack(X, lengths)
    halves = {False: outputs[torch.arange(len(X)), lengths - 1, :H], True: outputs[:, 0, -H:]}
    expected = torch.cat([halves[backwards] for backwards in stack.directions], dim=1)
    torch.testing.assert_close(stack.last(X, lengths), expected, rtol=1e-12, atol=1e-12)


def test_last_equals_the_final_state_of_torch(generator):
    stack = make_stack(LSTMCell(), generator, num_layers=2, bidirectional=True)
    theirs = torch_module(LSTMCell(), stack, 2, True, torch.float64)
    samples, X, lengths = make_batch(LENGTHS, generator)
    for row, x in zip(stack.last(X, lengths), samples, strict=True):
        _, (h, _) = theirs(x[None])
        torch.testing.assert_close(row, h[-2:].flatten())


@INITIAL_STATES
@pytest.mark.parametrize("options", STACKS)
@pytest.mark.parametrize("cell", [*FUSED, LOOPED[3]])
def test_read_gives_every_output_and_the_last(cell, options, initial_state, generator):
    stack = make_stack(cell, generator, initial_state=initial_state, **options)
    _, X, lengths = make_batch(LENGTHS, generator)
    outputs, last = stack.read(X, lengths)
    assert torch.equal(outputs, stack(X, lengths))
    torch.testing.assert_close(last, stack.last(X, lengths), rtol=1e-12, atol=1e-12)


# -- going on


def draw_state(layer, n_rows, generator):
    return tuple(torch.randn(n_rows, n, generator=generator, dtype=torch.float64) for n in layer.state_sizes)


@pytest.mark.parametrize("cell", [*EVERY_CELL, Adder()])
def test_halves_equal_the_whole(cell, generator):
    layer = Recurrent(cell, F, H).double()
    layer.reset_parameters(generator)
    X = torch.randn(3, 7, F, generator=generator, dtype=torch.float64)
    state = draw_state(layer, 3, generator)
    whole, last = layer.go_on(X, state)
    first, between = layer.go_on(X[:, :3], state)
    second, end = layer.go_on(X[:, 3:], between)
    torch.testing.assert_close(torch.cat([first, second], dim=1), whole, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(end, last, rtol=1e-12, atol=1e-12)
    assert torch.equal(last[0], whole[:, -1])
    assert len(last) == cell.n_states


@pytest.mark.parametrize("cell", EVERY_CELL)
def test_going_on_from_zeros_is_a_run(cell, generator):
    layer = Recurrent(cell, F, H).double()
    layer.reset_parameters(generator)
    X = torch.randn(2, 5, F, generator=generator, dtype=torch.float64)
    zeros = tuple(torch.zeros(2, H, dtype=torch.float64) for _ in range(cell.n_states))
    torch.testing.assert_close(layer.go_on(X, zeros)[0], layer(X), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("fused", "looped"), PAIRS)
def test_kernel_and_cell_go_on_alike(fused, looped, generator):
    kernel, loop = (Recurrent(cell, F, H).double() for cell in (fused, looped))
    kernel.reset_parameters(generator)
    loop.load_state_dict({name.removesuffix("_l0"): value for name, value in kernel.state_dict().items()})
    X = torch.randn(3, 4, F, generator=generator, dtype=torch.float64)
    state = tuple(h.requires_grad_() for h in draw_state(kernel, 3, generator))
    (outputs, last), (wanted, wanted_last) = (layer.go_on(X, state) for layer in (kernel, loop))
    torch.testing.assert_close(outputs, wanted, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(last, wanted_last, rtol=1e-12, atol=1e-12)
    gradients, wanted = (torch.autograd.grad(out.square().sum(), state) for out in (outputs, wanted))
    torch.testing.assert_close(gradients, wanted, rtol=1e-10, atol=1e-10)


# -- dropout


def test_dropout_is_the_identity_when_not_training():
    X = torch.ones(4, 5)
    assert Dropout(0.5).eval()(X) is X
    assert Dropout(0.0).train()(X) is X


@pytest.mark.parametrize("p", [0.1, 0.5, 0.8])
def test_dropout_keeps_the_expectation(p, generator):
    dropout = Dropout(p).train()
    dropout.generator = generator
    thinned = dropout(torch.full((200, 500), 3.0))
    assert (thinned == 0).double().mean().item() == pytest.approx(p, abs=0.01)
    kept = thinned[thinned != 0]
    torch.testing.assert_close(kept, torch.full_like(kept, 3 / (1 - p)))


def test_dropout_is_decided_by_its_generator(global_random_seed):
    dropout = Dropout(0.5).train()
    before = torch.get_rng_state()
    thinned = []
    for seed in (global_random_seed, global_random_seed, 1234):
        dropout.generator = torch.Generator().manual_seed(seed)
        thinned.append(dropout(torch.ones(10, 10)))
    first, again, other = thinned
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), before)


def test_dropout_thins_the_gradient_alike(generator):
    dropout = Dropout(0.4).train()
    dropout.generator = generator
    X = torch.ones(10, 10, requires_grad=True)
    thinned = dropout(X)
    thinned.sum().backward()
    assert torch.equal(X.grad, thinned.detach())


def test_dropout_lies_between_the_layers_alone(global_random_seed, generator):
    stack = make_stack(GRUCell(), generator, num_layers=2, dropout=0.5).train()
    _, X, lengths = make_batch(LENGTHS, generator)
    stack.dropout.generator = torch.Generator().manual_seed(global_random_seed)
    outputs = stack(X, lengths)
    stack.dropout.generator = torch.Generator().manual_seed(global_random_seed)
    (lower,), (upper,) = stack.layers
    assert torch.equal(outputs, upper(stack.dropout(lower(X).contiguous())))
    single = make_stack(GRUCell(), generator, dropout=0.5).train()
    assert torch.equal(single(X, lengths), single.eval()(X, lengths))


# -- noise


def test_noise_rests_when_not_training():
    X = torch.ones(4, 5)
    assert GaussianNoise(0.5).eval()(X) is X
    assert GaussianNoise(0.0).train()(X) is X


@pytest.mark.parametrize("std", [0.1, 2.0])
def test_noise_has_its_standard_deviation_and_no_mean(std, generator):
    noise = GaussianNoise(std).train()
    noise.generator = generator
    X = torch.full((200, 500), 3.0, requires_grad=True)
    disturbed = noise(X)
    assert (disturbed - 3).mean().item() == pytest.approx(0, abs=0.02 * std)
    assert disturbed.std().item() == pytest.approx(std, rel=0.02)
    disturbed.sum().backward()
    assert (X.grad == 1).all()
    assert (X == 3).all()


def test_noise_is_decided_by_its_generator(global_random_seed):
    noise = GaussianNoise(1.0).train()
    before = torch.get_rng_state()
    disturbed = []
    for seed in (global_random_seed, global_random_seed, 1234):
        noise.generator = torch.Generator().manual_seed(seed)
        disturbed.append(noise(torch.ones(10, 10)))
    assert torch.equal(disturbed[0], disturbed[1])
    assert not torch.equal(disturbed[0], disturbed[2])
    assert torch.equal(torch.get_rng_state(), before)


# -- random numbers


@pytest.mark.parametrize("cell", EVERY_CELL)
def test_global_generator_is_left_alone(cell, generator):
    before = torch.get_rng_state()
    stack = Stacked(cell, F, H, num_layers=2, bidirectional=True, initial_state="learned", dropout=0.3)
    stack.reset_parameters(generator)
    stack.dropout.generator = generator
    stack.train()(torch.ones(2, 3, F), torch.tensor([3, 2]))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("cell", [FUSED[2], LOOPED[2]])
def test_one_seed_gives_the_same_stack(cell, global_random_seed):
    first, again = (Stacked(cell, F, H, num_layers=2, bidirectional=True) for _ in range(2))
    for stack in (first, again):
        stack.reset_parameters(torch.Generator().manual_seed(global_random_seed))
    assert all(map(torch.equal, first.parameters(), again.parameters()))
    ahead, back = first.layers[0]
    assert not torch.equal(next(ahead.parameters()), next(back.parameters()))
