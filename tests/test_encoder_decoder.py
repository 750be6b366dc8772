"""Encoder and decoder: equal to their equations worked in NumPy, written freely and with the true outputs alike.

Shapes: B sequences, T_in steps of the longest input, T_out of the longest output, F features, H hidden units, D width
of an input step as the encoder gives it, C width of the context vector, V symbols, K values a step.
"""

import itertools

import numpy as np
import pytest
import torch
from scipy import stats

from sktime_rnn.cells import GRUCell, LSTMCell
from sktime_rnn.decoding import Limits, Sampler, beam_search, draw_greedily, walk
from sktime_rnn.encoder_decoder import (
    Decoder,
    DecoderState,
    Encoder,
    EncoderDecoder,
    GridNetwork,
    Hypotheses,
    Memory,
    Transcriber,
    _decoder,
    _networks,
)
from sktime_rnn.heads import AlignmentHead, CategoricalHead, SeriesHead

F, H, K, V, E = 2, 4, 2, 5, 3  # E is the length of a symbol's vector
END = 1
LENGTHS = (5, 2, 4)
OUT_LENGTHS = (3, 6, 4)


class LoopedGRU(GRUCell):
    """The equations of GRU without torch's kernel."""

    kernel = None


@pytest.fixture
def generator(global_random_seed):
    return torch.Generator().manual_seed(global_random_seed)


def draw_weights(module, generator, std=0.7):
    """Hand a module weights and its source of random numbers, in float64 and prediction mode."""
    for weight in module.double().parameters():
        torch.nn.init.normal_(weight, std=std, generator=generator)
    for part in module.modules():
        if hasattr(part, "generator"):
            part.generator = generator
    return module.eval()


def make_network(generator, head=None, cell=None, *, feedback=True, encoder=(), std=0.7, dropout=0.0, **options):
    """Encoder, decoder and head; of symbols unless there is another head."""
    cell = cell or GRUCell()
    head = head or CategoricalHead(V)
    reader = Encoder(cell, input_shape=(F,), hidden_size=H, **dict(encoder))
    if isinstance(head, CategoricalHead):
        options |= {"token_counts": [0] + [10**9] * V, "embedding_dim": E}  # no symbol is read as unknown in training
    else:
        options["n_values"] = K * feedback
    sizes = {"memory_size": reader.step_size, "context_size": reader.context_size, "hidden_size": H}
    decoder = Decoder(cell, **{"attention": "general", "dropout": dropout, **sizes, **options})
    network = draw_weights(EncoderDecoder(reader, decoder, head, dropout), generator, std)
    if isinstance(head, SeriesHead):
        head.loc.copy_(torch.tensor([10.0, -3.0]))
        head.scale.copy_(torch.tensor([2.0, 0.5]))
    return network


def make_inputs(generator, lengths=LENGTHS):
    """Inputs, their padding far from zero, and their lengths."""
    X = torch.full((len(lengths), max(lengths), F), 7.0, dtype=torch.float64)
    for row, length in zip(X, lengths, strict=True):
        row[:length] = torch.randn(length, F, generator=generator, dtype=torch.float64)
    return X, torch.tensor(lengths)


def one(X, lengths, i):
    """One input alone, without its padding."""
    return X[i : i + 1, : lengths[i]], lengths[i : i + 1]


def run(network, X, lengths, y, n_rows=None):
    """The raw outputs that follow true ones; outputs are as long as they can be unless told."""
    return network(X, lengths, y, torch.full((len(y),), y.shape[1]) if n_rows is None else n_rows)


def draw_symbols(generator, lengths=OUT_LENGTHS):
    """Outputs, a symbol or the end a step, with what the decoder reads before each."""
    y = torch.randint(V, (len(lengths), max(lengths)), generator=generator)
    before = torch.cat([torch.full((len(lengths), 1), V), y[:, :-1]], dim=1)
    return y, before


# -- the equations, in NumPy


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def gru_step(x, state, W_ih, W_hh, b_ih, b_hh):
    (h,) = state
    (i_r, i_z, i_n), (h_r, h_z, h_n) = np.split(W_ih @ x + b_ih, 3), np.split(W_hh @ h + b_hh, 3)
    z = sigmoid(i_z + h_z)
    return ((1 - z) * np.tanh(i_n + sigmoid(i_r + h_r) * h_n) + z * h,)


def lstm_step(x, state, W_ih, W_hh, b_ih, b_hh):
    h, c = state
    i, f, g, o = np.split(W_ih @ x + b_ih + W_hh @ h + b_hh, 4)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


STEPS = {GRUCell: gru_step, LoopedGRU: gru_step, LSTMCell: lstm_step}


def arrays(module):
    return {name: weight.detach().numpy() for name, weight in module.named_parameters()}


def score(attention, s, h):
    weights = arrays(attention)
    if "score.weight" in weights:
        return weights["score.weight"][0] @ np.tanh(
            weights["query.weight"] @ s + weights["key.weight"] @ h + weights["key.bias"]
        )
    return s @ (weights["key.weight"] @ h if weights else h)


def decode_by_hand(decoder, cell, vectors, C, h):
    """Readouts and weights of one output, step by step: what is read (T, E), the context (C,) and steps (T_in, D)."""
    step, n = STEPS[type(cell)], cell.n_states
    if decoder.context == "steps":
        states = [(np.zeros(H),) * n for _ in decoder.layers]
    else:
        weights = arrays(decoder.bridge)
        parts = np.split(weights["weight"] @ C + weights["bias"], n * len(decoder.layers))
        states = [(np.tanh(parts[n * k]), *parts[n * k + 1 : n * k + n]) for k in range(len(decoder.layers))]
    r, readouts, alphas = np.zeros(H), [], []
    for x in vectors:
        if decoder.context != "state":
            x = np.concatenate([x, C])
        if decoder.input_feeding:
            x = np.concatenate([x, r])
        for k, layer in enumerate(decoder.layers):
            states[k] = step(x, states[k], *arrays(layer.cell).values())
            x = states[k][0]
        r, alpha = x, None
        if decoder.attention is not None:
            e = np.array([score(decoder.attention, x, h_j) for h_j in h])
            alpha = np.exp(e) / np.exp(e).sum()
            weights = arrays(decoder.combine)
            r = np.tanh(weights["weight"] @ np.concatenate([x, alpha @ h]) + weights["bias"])
        readouts.append(r)
        alphas.append(alpha)
    return np.array(readouts), alphas


EVERY_CELL = pytest.mark.parametrize("cell", [GRUCell(), LSTMCell(), LoopedGRU()], ids=["gru", "lstm", "looped-gru"])
DECODERS = [
    pytest.param({"attention": a, "context": c, "input_feeding": f}, id=f"{a}-{c}" + "-feeding" * f)
    for a, c, f in itertools.product((None, "additive", "dot", "general"), ("state", "steps", "both"), (False, True))
]
SOME_DECODERS = [DECODERS[4], DECODERS[6], DECODERS[11], DECODERS[13], DECODERS[18]]


@pytest.mark.parametrize("options", DECODERS)
@EVERY_CELL
def test_decoder_equals_the_equations(cell, options, generator):
    network = make_network(generator, cell=cell, num_layers=2, **options)
    decoder, (X, lengths), (_, before) = network.decoder, make_inputs(generator), draw_symbols(generator)
    memory = network.read(X, lengths)
    readouts, state, weights = decoder(before, decoder.start(memory), memory)
    assert state.n_steps == max(OUT_LENGTHS)
    for i, length in enumerate(LENGTHS):
        vectors = decoder.embedding.embedding.weight[before[i]].detach().numpy()
        C, h = memory.context[i].detach().numpy(), memory.steps[i, :length].detach().numpy()
        expected, alphas = decode_by_hand(decoder, cell, vectors, C, h)
        np.testing.assert_allclose(readouts[i].detach(), expected, rtol=1e-9, atol=1e-12)
        if options["attention"] is None:
            assert weights is None
        else:
            np.testing.assert_allclose(weights[i, :, :length].detach(), alphas, rtol=1e-9, atol=1e-12)
            assert not weights[i, :, length:].any()


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("feedback", [False, True])
def test_decoder_of_values_reads_values_or_places(feedback, known, generator):
    network = make_network(generator, SeriesHead(K), feedback=feedback, context="both")
    decoder, (X, lengths) = network.decoder, make_inputs(generator)
    y = torch.randn(3, 6, K, generator=generator, dtype=torch.float64)
    memory = network.read(X, lengths)
    n_rows = torch.tensor(OUT_LENGTHS) if known else None
    readouts = decoder(y, decoder.start(memory), memory, n_rows=n_rows)[0]
    t = np.arange(6)[:, None]
    for i, length in enumerate(LENGTHS):
        angles = 2 * np.pi * t / np.geomspace(4, 1024, 8), np.pi * t / OUT_LENGTHS[i] * [0.5, 1, 2, 4]
        parts = [wave(angle) * (known or k == 0) for k, angle in enumerate(angles) for wave in (np.sin, np.cos)]
        vectors = y[i].numpy() if feedback else np.concatenate(parts, axis=1)
        C, h = memory.context[i].detach().numpy(), memory.steps[i, :length].detach().numpy()
        expected, _ = decode_by_hand(decoder, GRUCell(), vectors, C, h)
        np.testing.assert_allclose(readouts[i].detach(), expected, rtol=1e-9, atol=1e-12)


def test_places_are_told_apart():
    (places,) = _decoder.waves(torch.arange(1024), None, torch.float64)
    assert places.shape == (1024, _decoder.N_WAVES) == (1024, 24)
    assert places[0].tolist() == [0.0] * 8 + [1.0] * 8 + [0.0] * 8
    torch.testing.assert_close(places[:8, 0], torch.tensor([0.0, 1, 0, -1, 0, 1, 0, -1], dtype=torch.float64))
    assert torch.pdist(places).min() > 0.01
    known = _decoder.waves(torch.arange(8), torch.tensor([8, 4, 0]), torch.float64)
    assert torch.equal(known[:, :, :16], places[:8, :16].expand(3, -1, -1))
    torch.testing.assert_close(known[0, ::2, 16:], known[1, :4, 16:])  # shares of the whole
    assert known.isfinite().all()


@pytest.mark.parametrize("options", SOME_DECODERS)
@EVERY_CELL
def test_steps_at_a_time_equal_all_at_once(cell, options, generator):
    network = make_network(generator, cell=cell, num_layers=2, **options)
    decoder, (X, lengths), (_, before) = network.decoder, make_inputs(generator), draw_symbols(generator)
    memory = network.read(X, lengths)
    wanted, last, _ = decoder(before, decoder.start(memory), memory)
    state, found = decoder.start(memory), []
    for part in before.split((1, 2, 3), dim=1):
        readouts, state, _ = decoder(part, state, memory)
        found.append(readouts)
    torch.testing.assert_close(torch.cat(found, dim=1), wanted, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(state, last, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("options", SOME_DECODERS)
def test_raw_outputs_and_gradients_do_not_depend_on_who_shares_the_batch(options, generator):
    network = make_network(generator, encoder={"bidirectional": False, "n_components": 3}, **options).train()
    (X, lengths), (_, before) = make_inputs(generator), draw_symbols(generator)
    parameters = list(network.parameters())
    together = run(network, X, lengths, before)
    total = [torch.zeros_like(weight) for weight in parameters]
    for i, n in enumerate(OUT_LENGTHS):
        alone = run(network, *one(X, lengths, i), before[i : i + 1, :n])[0]
        torch.testing.assert_close(together[i, :n], alone, rtol=1e-10, atol=1e-12)
        for sums, gradient in zip(total, torch.autograd.grad(alone.cos().sum(), parameters), strict=True):
            sums += gradient
    loss = sum(row[:n].cos().sum() for row, n in zip(together, OUT_LENGTHS, strict=True))
    torch.testing.assert_close(list(torch.autograd.grad(loss, parameters)), total, rtol=1e-9, atol=1e-11)


def test_gradients_of_the_decoder_by_differences(generator):
    options = {"attention": "additive", "context": "both", "input_feeding": True}
    network = make_network(generator, cell=LSTMCell(), **options)
    (X, lengths), (_, before) = make_inputs(generator, (3, 2)), draw_symbols(generator, (2, 2))
    X.requires_grad_()
    parameters = [*network.decoder.bridge.parameters(), *network.decoder.attention.parameters()]
    parameters += network.decoder.layers[0].parameters()
    assert torch.autograd.gradcheck(lambda X, *_: run(network, X, lengths, before), (X, *parameters))


def test_state_and_memory_of_some_rows():
    state = DecoderState(((torch.arange(6.0).view(3, 2),),), torch.arange(3.0)[:, None], 4)
    some = state.take(torch.tensor([2, 0]))
    assert some.layers[0][0].tolist() == [[4, 5], [0, 1]]
    assert some.readout.tolist() == [[2], [0]]
    assert some.n_steps == 4
    assert DecoderState(state.layers, None).take(torch.tensor([1])).readout is None
    memory = Memory(torch.arange(3.0)[:, None]).take(torch.tensor([1, 1]))
    assert memory.context.tolist() == [[1], [1]]
    assert memory.steps is memory.mask is memory.keys is None


@pytest.mark.parametrize("length", ["given", "stop", "predict"])
@pytest.mark.parametrize("teacher_forcing", [0.0, 1.0])
def test_valid_rows_are_those_of_the_whole(length, teacher_forcing, generator):
    network, X, lengths = series(generator, length, attention="additive")
    network.train().teacher_forcing = teacher_forcing
    y = torch.randn(3, 6, K, generator=generator, dtype=torch.float64)
    n_rows = torch.tensor(OUT_LENGTHS)
    valid = torch.nonzero((torch.arange(6) < n_rows[:, None]).flatten())[:, 0]
    some = network(X, lengths, y, n_rows, valid=valid)
    assert some.shape == (sum(OUT_LENGTHS), K + (length != "given"))
    torch.testing.assert_close(some, run(network, X, lengths, y, n_rows).flatten(0, 1)[valid])


# -- the encoder


@pytest.mark.parametrize("n_components", [None, 3])
@pytest.mark.parametrize("directions", [{}, {"bidirectional": True}, {"go_backwards": True}])
def test_encoder_gives_steps_and_a_context(directions, n_components, generator):
    encoder = Encoder(GRUCell(), input_shape=(F,), hidden_size=H, num_layers=2, n_components=n_components, **directions)
    draw_weights(encoder, generator)
    X, lengths = make_inputs(generator)
    memory = encoder(X, lengths)
    assert memory.keys is None
    assert memory.mask.sum(1).tolist() == list(LENGTHS)
    assert (memory.steps.shape[2], memory.context.shape[1]) == (encoder.step_size, encoder.context_size)
    assert not memory.steps[~memory.mask].any()
    steps, last = encoder.recurrent.read(X, lengths)
    assert torch.equal(memory.steps[memory.mask], steps[memory.mask])
    if n_components is None:
        assert torch.equal(memory.context, last)
    else:
        W, b = arrays(encoder.compress).values()
        np.testing.assert_allclose(memory.context.detach(), np.tanh(last.detach().numpy() @ W.T + b), rtol=1e-10)
    for i, n in enumerate(LENGTHS):
        alone = encoder(*one(X, lengths, i))
        torch.testing.assert_close(alone.context[0], memory.context[i], rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(alone.steps[0], memory.steps[i, :n], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("n_components", [None, 3])
def test_a_vector_is_its_own_context(n_components, generator):
    encoder = Encoder(GRUCell(), input_shape=(F,), hidden_size=H, kind="vector", n_components=n_components)
    draw_weights(encoder, generator)
    X = torch.randn(3, 1, F, generator=generator, dtype=torch.float64)
    memory = encoder(X, torch.ones(3, dtype=torch.int64))
    expected = X[:, 0] if n_components is None else torch.tanh(encoder.compress(X[:, 0]))
    assert torch.equal(memory.context, expected)
    assert memory.steps is memory.mask is None
    assert encoder.context_size == memory.context.shape[1]


@pytest.mark.parametrize("options", SOME_DECODERS)
def test_one_seed_gives_the_same_network(options, global_random_seed):
    before = torch.get_rng_state()
    generator = torch.Generator()
    first, again = (
        make_network(generator, SeriesHead(K, length="predict"), encoder={"n_components": 3}, **options)
        for _ in range(2)
    )
    for network in (first, again):
        torch.nn.init.constant_(network.length.out.bias, 9.0)
        network.reset_parameters(torch.Generator().manual_seed(global_random_seed))
    assert all(map(torch.equal, first.parameters(), again.parameters()))
    assert not first.length.out.bias.any()
    assert torch.equal(torch.get_rng_state(), before)


# -- grids


class Halved(torch.nn.Module):
    """A convolution with steps of two, channels first inside and last outside."""

    def __init__(self, n_channels, n_features):
        super().__init__()
        self.convolution = torch.nn.Conv2d(n_channels, n_features, 2, stride=2, padding=1)
        self.normalised = torch.nn.BatchNorm2d(n_features)

    def forward(self, grids):
        return self.normalised(self.convolution(grids.permute(0, 3, 1, 2))).permute(0, 2, 3, 1)


class Pooled(torch.nn.Module):
    """One vector a grid."""

    def __init__(self, n_channels, n_features):
        super().__init__()
        self.linear = torch.nn.Linear(n_channels, n_features)

    def forward(self, grids):
        return self.linear(grids).amax(dim=(1, 2))


SHAPES = torch.tensor([[2, 3], [4, 1], [2, 3], [1, 1], [3, 2], [1, 6]])


def draw_grids(generator, shapes=SHAPES):
    """Cells of grids, row after row, their padding far from zero, and how many there are."""
    lengths = shapes.prod(dim=1)
    X = torch.full((len(shapes), int(lengths.max()), F), 7.0, dtype=torch.float64)
    for row, length in zip(X, lengths, strict=True):
        row[:length] = torch.randn(length, F, generator=generator, dtype=torch.float64)
    return X, lengths


@pytest.mark.parametrize("kind", [Halved, Pooled])
def test_grids_of_several_shapes_equal_one_at_a_time(kind, generator):
    network = GridNetwork(draw_weights(kind(F, 3), generator), F, (2, 3))
    assert network.vector_size == 3
    X, lengths = draw_grids(generator)
    steps, n_cells = network(X, SHAPES)
    for i, (height, width) in enumerate(SHAPES.tolist()):
        features = network.module(X[i, : lengths[i]].reshape(1, height, width, F)).reshape(-1, 3)
        assert n_cells[i] == len(features)
        torch.testing.assert_close(steps[i, : len(features)], features, rtol=1e-12, atol=1e-12)
        assert not steps[i, len(features) :].any()
    assert steps.shape[1] == n_cells.max()


def test_trying_out_a_grid_leaves_the_module_as_it_is():
    module = Halved(F, 3).train()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    GridNetwork(module, F, (4, 4))
    assert module.training
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


def test_a_module_that_loses_grids_is_refused():
    class Flattened(torch.nn.Module):
        def forward(self, grids):
            return grids.flatten(0, 1)

    with pytest.raises(ValueError, match=r"step_network must map grids .* got \(4, 5, 2\) for \(1, 4, 5, 2\)"):
        GridNetwork(Flattened(), F, (4, 5))


@pytest.mark.parametrize("step_network", [None, Halved, Pooled])
def test_encoder_of_grids_does_not_depend_on_who_shares_the_batch(step_network, generator):
    module = None if step_network is None else step_network(F, 3)
    options = {"input_shape": (F,), "hidden_size": H, "bidirectional": True}
    encoder = Encoder(GRUCell(), kind="grid", step_network=module, grid_shape=(2, 3), **options)
    draw_weights(encoder, generator)
    X, lengths = draw_grids(generator)
    memory = encoder(X, lengths, SHAPES)
    for i, length in enumerate(lengths):
        alone = encoder(X[i : i + 1, :length], lengths[i : i + 1], SHAPES[i : i + 1])
        n = alone.steps.shape[1]
        assert memory.mask[i].sum() == n
        torch.testing.assert_close(memory.context[i], alone.context[0], rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(memory.steps[i, :n], alone.steps[0], rtol=1e-12, atol=1e-12)


# -- symbols, step by step


def log_proba_of_steps(network, X, lengths, output):
    """Log-probabilities of one input's output, a symbol at a time."""
    hypotheses, total, code = Hypotheses(network, network.read(X, lengths), 1), [], V
    assert hypotheses.begin == V
    for symbol in output:
        total.append(hypotheses.step(torch.tensor([[code]]))[0, 0, symbol])
        code = symbol
    return torch.stack(total)


@pytest.mark.parametrize("options", SOME_DECODERS)
@EVERY_CELL
def test_true_outputs_have_the_probabilities_of_steps_run_alone(cell, options, generator):
    network = make_network(generator, cell=cell, num_layers=2, **options)
    (X, lengths), (y, before) = make_inputs(generator), draw_symbols(generator)
    raw = run(network, X, lengths, before)
    for i, n in enumerate(OUT_LENGTHS):
        found = network.head.log_likelihood(raw[i, :n], y[i, :n])
        expected = log_proba_of_steps(network, *one(X, lengths, i), y[i, :n].tolist())
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("options", SOME_DECODERS)
@pytest.mark.parametrize("search", ["greedy", "beam", "drawn"])
def test_what_is_written_has_the_probability_of_a_true_output(search, options, generator):
    network = make_network(generator, **options)
    X, lengths = make_inputs(generator)
    limits = Limits(END, torch.tensor([0, 2, 1]), torch.tensor([6, 4, 5]), banned=(0,))
    hypotheses = Hypotheses(network, network.read(X, lengths), 3)
    with torch.no_grad():
        if search == "beam":
            outputs = beam_search(hypotheses, limits, 1.0)
        else:
            outputs = walk(hypotheses, limits, Sampler(1) if search == "drawn" else draw_greedily)
    for i, k in itertools.product(range(3), range(3)):
        y = torch.cat([outputs.codes[i, k, : outputs.lengths[i, k]], torch.tensor([END])])
        before = torch.cat([torch.tensor([V]), y[:-1]])
        raw = run(network, *one(X, lengths, i), before[None])[0]
        expected = network.head.log_likelihood(raw, y).sum().item()
        assert outputs.log_proba[i, k].item() == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("options", SOME_DECODERS)
def test_hypotheses_branch_and_keep(options, generator):
    """After any choice of parents and inputs, each hypothesis is where its own output alone leads."""
    network = make_network(generator, cell=LSTMCell(), num_layers=2, **options)
    X, lengths = make_inputs(generator)
    hypotheses = Hypotheses(network, network.read(X, lengths), 2)
    outputs, names = [[(), ()] for _ in LENGTHS], [0, 1, 2]
    codes = torch.full((3, 2), V)
    for t in range(4):
        log_proba = hypotheses.step(codes)
        for name, row, found in zip(names, outputs, log_proba, strict=True):
            for output, p in zip(row, found, strict=True):
                expected = log_proba_of_steps(network, *one(X, lengths, name), [*output, END])[-1]
                torch.testing.assert_close(p[END], expected, rtol=1e-10, atol=1e-12)
        parents = torch.randint(2, (len(names), 2), generator=generator)
        hypotheses.branch(parents)
        codes = torch.randint(V, (len(names), 2), generator=generator)
        outputs = [
            [(*row[k], code) for k, code in zip(ks, symbols, strict=True)]
            for row, ks, symbols in zip(outputs, parents.tolist(), codes.tolist(), strict=True)
        ]
        if t == 1:
            hypotheses.keep(torch.tensor([0, 2]))
            outputs, names, codes = [outputs[0], outputs[2]], [0, 2], codes[[0, 2]]


@pytest.mark.parametrize("search", ["greedy", "beam", "drawn"])
def test_written_symbols_do_not_depend_on_who_shares_the_batch(search, generator):
    network = make_network(generator, attention="additive", input_feeding=True)
    X, lengths = make_inputs(generator, (5, 2, 4, 7, 1, 3, 6, 2))
    longest = torch.tensor([6, 2, 9, 4, 3, 7, 5, 8])

    def write(samples):
        width = int(lengths[samples].max())
        hypotheses = Hypotheses(network, network.read(X[samples, :width], lengths[samples]), 2)
        limits = Limits(END, torch.zeros_like(longest[samples]), longest[samples])
        sampler = Sampler(7)
        with torch.no_grad():
            if search == "beam":
                outputs = beam_search(hypotheses, limits, 1.0)
            elif search == "greedy":
                outputs = walk(hypotheses, limits, draw_greedily)
            else:
                outputs = walk(hypotheses, limits, lambda p, rows, t: sampler(p, samples[rows], t))
        rows = zip(samples.tolist(), outputs.codes, outputs.lengths, strict=True)
        return {i: [tuple(c[:n].tolist()) for c, n in zip(*row, strict=True)] for i, *row in rows}

    together = write(torch.arange(8))
    assert write(torch.tensor([3, 7, 1, 0, 2, 6, 5, 4])) == together
    for i in range(8):
        assert write(torch.tensor([i])) == {i: together[i]}


# -- values, written


def series(generator, length="given", **options):
    network = make_network(generator, SeriesHead(K, length=length), **options)
    return network, *make_inputs(generator)


def true_raw(network, X, lengths, raw, n_rows=None):
    """The raw outputs of a pass that reads what was written, in the unit of y, as true outputs (B, T, K)."""
    values = network.head.predict(raw)
    begin = torch.full_like(values[:, :1], torch.nan)
    return run(network, X, lengths, torch.cat([begin, values[:, :-1]], dim=1), n_rows)


VALUE_DECODERS = [
    pytest.param({**decoder.values[0], "feedback": feedback}, id=f"{decoder.id}-" + ("places", "feedback")[feedback])
    for decoder, feedback in itertools.product((DECODERS[0], *SOME_DECODERS), (False, True))
]


@pytest.mark.parametrize("length", ["given", "stop", "predict"])
@pytest.mark.parametrize("options", VALUE_DECODERS)
def test_written_values_equal_a_pass_that_reads_them(options, length, generator):
    """Whatever tells of lengths in training: there outputs have a row more for their end, unless they are given."""
    network, X, lengths = series(generator, length, **options)
    given = torch.tensor([4, 6, 2])
    with torch.no_grad():
        raw, found = network.write(network.read(X, lengths), given, given, given)
        wanted = true_raw(network, X, lengths, raw, given + (length != "given"))[..., :K]
    assert found.tolist() == given.tolist()
    assert raw.shape == (3, 6, K)
    assert raw.dtype == torch.float64
    for i, n in enumerate(given.tolist()):
        torch.testing.assert_close(raw[i, :n], wanted[i, :n], rtol=1e-9, atol=1e-11)
        assert not raw[i, n:].any()


def test_unknown_values_are_read_as_the_mean(generator):
    network, X, lengths = series(generator)
    y = torch.randn(3, 4, K, generator=generator, dtype=torch.float64)
    y[1, 2, 0] = torch.nan
    filled = y.clone()
    filled[1, 2, 0] = network.head.loc[0]
    assert torch.equal(run(network, X, lengths, y), run(network, X, lengths, filled))
    expected = (filled - torch.tensor([10.0, -3.0])) / torch.tensor([2.0, 0.5])
    torch.testing.assert_close(network.scaled(y), expected)


@pytest.mark.parametrize("given", [[0, 0, 0], [0, 3, 0], [2, 0, 5], [1, 1, 1]])
@pytest.mark.parametrize("feedback", [False, True])
def test_outputs_of_no_step(given, feedback, generator):
    network, X, lengths = series(generator, feedback=feedback)
    given = torch.tensor(given)
    with torch.no_grad():
        memory = network.read(X, lengths)
        raw, found = network.write(memory, given, given, given)
        wanted = true_raw(network, X, lengths, raw, given) if given.any() else raw
    assert raw.shape == (3, given.max(), K)
    assert found.tolist() == given.tolist()
    for row, expected, n in zip(raw, wanted, given.tolist(), strict=True):
        torch.testing.assert_close(row[:n], expected[:n], rtol=1e-10, atol=1e-12)
        assert not row[n:].any()


def stop_by_hand(z, shortest, longest):
    """The first step at which an end has become as probable as not; z (longest,) are the log-odds of the end."""
    survival = 1.0
    for t in range(longest):
        survival *= 1 - sigmoid(z[t])
        if survival <= 0.5 and t >= shortest:
            return t
    return longest


BOUNDS = [((0, 0, 0), (9, 9, 9)), ((0, 3, 9), (9, 7, 9)), ((0, 0, 0), (0, 1, 2)), ((5, 5, 5), (6, 6, 6))]


@pytest.mark.parametrize("bias", [-6.0, -2.5, -1.0, 2.0])
@pytest.mark.parametrize("bounds", BOUNDS)
@pytest.mark.parametrize("feedback", [False, True])
def test_writing_stops_when_an_end_is_as_probable_as_not(feedback, bounds, bias, generator):
    network, X, lengths = series(generator, "stop", feedback=feedback)
    torch.nn.init.constant_(network.head.linear.bias[-1:], bias)
    shortest, longest = (torch.tensor(bound) for bound in bounds)
    with torch.no_grad():
        memory = network.read(X, lengths)
        raw, found = network.write(memory, shortest, longest)
        nine = torch.full((3,), 9)
        written, _ = network.write(memory, nine, nine)
        z = true_raw(network, X, lengths, written)[..., -1].numpy()
    expected = [stop_by_hand(*row) for row in zip(z, *bounds, strict=True)]
    assert found.tolist() == expected
    for row, whole, n in zip(raw, written, expected, strict=True):
        torch.testing.assert_close(row[:n], whole[:n], rtol=1e-10, atol=1e-12)
        assert not row[n:].any()


def test_the_median_length_is_where_writing_stops(generator):
    """Ends of constant probability p: the median of a geometric distribution."""
    network, X, lengths = series(generator, "stop", feedback=False)
    torch.nn.init.zeros_(network.head.linear.weight)
    none, longest = torch.zeros(3, dtype=torch.int64), torch.full((3,), 300)
    for p in (0.003, 0.02, 0.2, 0.45, 0.5, 0.9):
        torch.nn.init.constant_(network.head.linear.bias, np.log(p / (1 - p)))
        with torch.no_grad():
            _, found = network.write(network.read(X, lengths), none, longest)
        assert found.tolist() == [stats.geom(p, loc=-1).median()] * 3


@pytest.mark.parametrize("at_once", [1, 3, 64])
@pytest.mark.parametrize("length", ["given", "stop", "predict"])
def test_many_steps_at_once_equal_one_at_a_time(monkeypatch, length, at_once, generator):
    network, X, lengths = series(generator, length, feedback=False, num_layers=2, context="both", std=0.4)
    shortest, longest = torch.tensor([0, 4, 1]), torch.tensor([9, 90, 70])
    if length == "stop":
        torch.nn.init.constant_(network.head.linear.bias[-1:], -4.0)
    if length == "predict":
        network.head.length_loc.fill_(4.0)
    given = longest if length == "given" else None
    found = []
    for n in (7, at_once):
        monkeypatch.setattr(_networks, "_WRITTEN_AT_ONCE", n)
        with torch.no_grad():
            found.append(network.write(network.read(X, lengths), shortest, longest, given))
    torch.testing.assert_close(*found, rtol=1e-10, atol=1e-12)
    assert found[0][1].max() > 7


def length_by_hand(network, memory):
    """The standardised logarithm of the number of rows, of one input."""
    length, z = network.length, []
    W, b = arrays(length.hidden).values()
    v, d = arrays(length.out).values()
    for C, n in zip(memory.context.detach().numpy(), LENGTHS, strict=True):
        features = np.tanh(W @ C + b)
        if length.sees_input:
            features = np.append(features, (np.log(n) - length.loc.item()) / length.scale.item())
        z.append(v[0] @ features + d[0])
    return np.array(z)


@pytest.mark.parametrize("attention", [None, "general"])
def test_predicted_lengths_by_hand(attention, generator):
    """Also those out of all bounds, which are cut to the longest."""
    network, X, lengths = series(generator, "predict", attention=attention)
    assert network.length.sees_input == (attention is not None)
    network.length.loc.fill_(1.2)
    network.length.scale.fill_(0.4)
    network.head.length_scale.fill_(0.3)
    shortest, longest = torch.tensor([0, 2, 0]), torch.tensor([30, 30, 30])
    memory, seen = network.read(X, lengths), set()
    z = length_by_hand(network, memory)
    for loc in (-3.0, 0.0, 0.5, 1.0, 2.0, 3.0, 60.0, 900.0):
        network.head.length_loc.fill_(loc)
        with torch.no_grad():
            raw, found = network.write(memory, shortest, longest)
        expected = np.clip(np.round(np.exp(np.minimum(0.3 * z + loc, 9.0))) - 1, shortest.numpy(), 30)
        assert found.tolist() == expected.tolist()
        assert raw.shape == (3, max(found), K)
        seen.update(found.tolist())
    assert {0, 2, 30} < seen


def test_lengths_that_are_predicted_are_a_part_of_the_raw_output(generator):
    network, X, lengths = series(generator, "predict")
    raw = run(network, X, lengths, torch.zeros(3, 4, K, dtype=torch.float64))
    assert raw.shape == (3, 4, K + 1)
    z = torch.from_numpy(length_by_hand(network, network.read(X, lengths)))
    torch.testing.assert_close(raw[:, :, -1], z[:, None].expand(-1, 4))
    (gradient,) = torch.autograd.grad(raw[:, :, -1].sum(), network.length.out.bias)
    assert gradient.tolist() == [12.0]


@pytest.mark.parametrize("length", ["stop", "predict"])
@pytest.mark.parametrize("feedback", [False, True])
def test_written_values_do_not_depend_on_who_shares_the_batch(length, feedback, generator):
    network, X, lengths = series(generator, length, feedback=feedback)
    shortest, longest = torch.tensor([0, 3, 1]), torch.tensor([8, 5, 9])
    with torch.no_grad():
        raw, found = network.write(network.read(X, lengths), shortest, longest)
        for i, n in enumerate(found.tolist()):
            bounds = shortest[i : i + 1], longest[i : i + 1]
            alone, n_alone = network.write(network.read(*one(X, lengths, i)), *bounds)
            assert n_alone.tolist() == [n]
            torch.testing.assert_close(alone[0, :n], raw[i, :n], rtol=1e-10, atol=1e-12)


# -- what the decoder reads in training


@pytest.mark.parametrize("options", [decoder.values[0] for decoder in SOME_DECODERS])
def test_without_teacher_forcing_values_of_its_own_are_read(options, generator):
    network, X, lengths = series(generator, **options)
    given = torch.full((3,), 5)
    with torch.no_grad():
        wanted, _ = network.write(network.read(X, lengths), given, given, given)
    network.train().teacher_forcing = 0.0
    for _ in range(2):
        y = torch.randn(3, 5, K, generator=generator, dtype=torch.float64)
        y[:, 0] = torch.nan
        torch.testing.assert_close(run(network, X, lengths, y), wanted, rtol=1e-9, atol=1e-11)


def test_gradients_flow_through_values_that_are_read(generator):
    network, X, lengths = series(generator, "stop", cell=LSTMCell(), input_feeding=True)
    network.train().teacher_forcing = 0.0
    y = torch.full((3, 3, K), torch.nan, dtype=torch.float64)
    weight, bias = network.head.parameters()
    (flowing,) = torch.autograd.grad(run(network, X, lengths, y)[:, 1:, 0].sum(), bias)
    assert flowing[0] != 6  # as it would be if the values were read as constants
    assert flowing[1] != 0
    assert torch.autograd.gradcheck(lambda *_: run(network, X, lengths, y), (weight, bias))


@pytest.mark.parametrize("head", [CategoricalHead, SeriesHead])
@pytest.mark.parametrize("options", SOME_DECODERS)
def test_full_teacher_forcing_reads_the_true_outputs(options, head, generator):
    network = make_network(generator, head(V if head is CategoricalHead else K), num_layers=2, **options)
    X, lengths = make_inputs(generator)
    y = draw_symbols(generator)[1]
    if head is SeriesHead:
        y = torch.randn(3, 6, K, generator=generator, dtype=torch.float64)
    wanted = run(network, X, lengths, y)
    network.train()
    assert network.teacher_forcing == 1
    assert torch.equal(run(network, X, lengths, y), wanted)
    raw = network._mixed(network.scaled(y), *_started(network, X, lengths))  # at 1, step by step
    torch.testing.assert_close(raw, wanted, rtol=1e-10, atol=1e-12)


def _started(network, X, lengths):
    memory = network.read(X, lengths)
    return network.decoder.start(memory), memory


def test_without_teacher_forcing_symbols_are_drawn_from_what_is_predicted(generator, global_random_seed):
    network = make_network(generator)
    X, lengths = make_inputs(generator, (4,))
    n = 3000
    with torch.no_grad():
        first = run(network, X, lengths, torch.tensor([[V]]))[0, 0]
        after = torch.stack([run(network, X, lengths, torch.tensor([[V, symbol]]))[0, 1] for symbol in range(V)])
        network.train().teacher_forcing = 0.0
        y = torch.tensor([[V, 3]]).expand(n, -1)
        raw = run(network, X.expand(n, -1, -1), lengths.expand(n), y)
    torch.testing.assert_close(raw[:, 0], first.expand(n, -1))
    distance = torch.cdist(raw[:, 1], after)
    assert distance.amin(1).max() < 1e-6
    counts = np.bincount(distance.argmin(1), minlength=V)
    assert stats.chisquare(counts, n * first.softmax(0).numpy()).pvalue > 1e-6


@pytest.mark.parametrize("ratio", [0.25, 0.8])
def test_teacher_forcing_is_the_share_of_true_outputs(ratio, generator):
    network = make_network(generator, SeriesHead(K))
    X, lengths = make_inputs(generator, (4,))
    n = 2000
    y = torch.tensor([[[torch.nan] * K, [11.0, -2.0]]], dtype=torch.float64)
    with torch.no_grad():
        true = run(network, X, lengths, y)[0, 1]
        network.train().teacher_forcing = ratio
        raw = run(network, X.expand(n, -1, -1), lengths.expand(n), y.expand(n, -1, -1))[:, 1]
    n_true = int(((raw - true).abs() < 1e-9).all(1).sum())
    assert stats.binomtest(n_true, n, ratio).pvalue > 1e-6


@pytest.mark.parametrize("head", [CategoricalHead, SeriesHead])
def test_scheduled_sampling_is_decided_by_its_generator(head, generator, global_random_seed):
    network = make_network(generator, head(V if head is CategoricalHead else K), dropout=0.2, num_layers=2).train()
    network.teacher_forcing = 0.5
    X, lengths = make_inputs(generator)
    y = draw_symbols(generator)[1]
    if head is SeriesHead:
        y = torch.randn(3, 6, K, generator=generator, dtype=torch.float64)
    before, found = torch.get_rng_state(), []
    for seed in (global_random_seed, global_random_seed, 1234):
        source = torch.Generator().manual_seed(seed)
        for part in network.modules():
            if hasattr(part, "generator"):
                part.generator = source
        found.append(run(network, X, lengths, y))
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])
    assert torch.equal(torch.get_rng_state(), before)
    network.eval()
    assert torch.equal(run(network, X, lengths, y), run(network, X, lengths, y))  # prediction draws nothing


def test_scheduled_sampling_leaves_alone_a_decoder_that_reads_no_outputs(generator):
    network, X, lengths = series(generator, feedback=False)
    y = torch.zeros(3, 4, K, dtype=torch.float64)
    wanted = run(network, X, lengths, y)
    network.train().teacher_forcing = 0.0
    assert not network.feeds_back
    assert torch.equal(run(network, X, lengths, y), wanted)


# -- attention weights


def test_attention_weights_are_those_of_true_outputs(generator):
    network = make_network(generator, attention="additive", input_feeding=True)
    (X, lengths), (_, before) = make_inputs(generator), draw_symbols(generator)
    weights, mask = network.attention_weights(X, lengths, before, torch.tensor(OUT_LENGTHS))
    assert mask.sum(1).tolist() == list(LENGTHS)
    assert weights.shape == (3, max(OUT_LENGTHS), max(LENGTHS))
    torch.testing.assert_close(weights.sum(2), torch.ones(3, max(OUT_LENGTHS), dtype=torch.float64))
    for i, n in enumerate(OUT_LENGTHS):
        alone, _ = network.attention_weights(*one(X, lengths, i), before[i : i + 1, :n], torch.tensor([n]))
        torch.testing.assert_close(weights[i, :n, : LENGTHS[i]], alone[0], rtol=1e-10, atol=1e-12)


# -- symbols aligned to their input


def test_transcriber_loses_what_its_head_loses(generator):
    reader = Encoder(GRUCell(), input_shape=(F,), hidden_size=H, bidirectional=True)
    network = draw_weights(Transcriber(reader, AlignmentHead(3, END)), generator)
    X, lengths = make_inputs(generator)
    y, y_lengths = torch.tensor([[2, 2], [0, 0], [2, 0]]), torch.tensor([2, 1, 0])
    loss = network(X, lengths, y, y_lengths)
    assert loss.shape == (3, 1)
    for i in range(3):
        steps = reader(*one(X, lengths, i)).steps
        raw = network.head(steps)
        torch.testing.assert_close(network.raw(*one(X, lengths, i)), raw)
        wanted = network.head.negative_log_likelihood(raw, lengths[i : i + 1], y[i : i + 1], y_lengths[i : i + 1])
        torch.testing.assert_close(loss[i], wanted, rtol=1e-10, atol=1e-12)


def test_one_seed_gives_the_same_transcriber(global_random_seed):
    before, found = torch.get_rng_state(), []
    for _ in range(2):
        network = Transcriber(Encoder(GRUCell(), input_shape=(F,), hidden_size=H), AlignmentHead(3, END))
        network.reset_parameters(torch.Generator().manual_seed(global_random_seed))
        found.append(network)
    assert all(map(torch.equal, *(network.parameters() for network in found)))
    assert torch.equal(torch.get_rng_state(), before)
