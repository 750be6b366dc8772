"""Decoding: searches equal the enumeration of all outputs, draws have the probabilities of the model.

Shapes: B inputs, W hypotheses an input, V symbols, T steps, K symbols and the blank.
"""

import itertools
from functools import cache

import numpy as np
import pytest
import torch
from scipy import stats

from sktime_rnn.base import edit_distances
from sktime_rnn.decoding import (
    Limits,
    Sampler,
    beam_search,
    collapse,
    draw_greedily,
    penalty,
    prefix_beam_search,
    repeated,
    uniform,
    walk,
)

END, V = 1, 4  # symbols 0, 2 and 3, and the end
RARE = 1e-6  # how improbable what is seen may be


class Tables:
    """Hypotheses whose next symbol depends on the whole output so far, by a table of log-probabilities.

    Inputs are names (B,); those of one name have the same table.
    """

    def __init__(self, names, width=1, seed=0, n_symbols=V, table=None):
        self.names = list(names)
        self.width = width
        self.begin = n_symbols
        self.table = table or random_table(seed, n_symbols)
        self.histories = None

    def step(self, codes):
        assert codes.shape == (len(self.names), self.width)
        if self.histories is None:
            assert (codes == self.begin).all()
            self.histories = [[()] * self.width for _ in self.names]
        else:
            self.histories = [
                [(*history, code) for history, code in zip(histories, row, strict=True)]
                for histories, row in zip(self.histories, codes.tolist(), strict=True)
            ]
        rows = [
            [self.table(name, history) for history in histories]
            for name, histories in zip(self.names, self.histories, strict=True)
        ]
        return torch.from_numpy(np.array(rows))

    def keep(self, samples):
        self.names, self.histories = ([x[i] for i in samples.tolist()] for x in (self.names, self.histories))

    def branch(self, parents):
        self.histories = [
            [histories[k] for k in row] for histories, row in zip(self.histories, parents.tolist(), strict=True)
        ]


def random_table(seed, n_symbols=V):
    @cache
    def table(name, history):
        raw = 1.5 * np.random.default_rng([seed, name, *(code + 1 for code in history)]).normal(size=n_symbols)
        return raw - np.log(np.exp(raw).sum())

    return table


def limits_for(n, shortest=0, longest=4, **options):
    shortest, longest = (torch.as_tensor(bound).expand(n).clone() for bound in (shortest, longest))
    return Limits(END, shortest, longest, **options)


def holds_twice(output, n):
    runs = [output[i : i + n] for i in range(len(output) - n + 1)]
    return len(set(runs)) < len(runs)


def enumerate_outputs(table, name, shortest=0, longest=4, banned=(), no_repeat=0, n_symbols=V):
    """The log-probability of every output that the limits leave."""
    found = {}

    def grow(output, log_proba):
        row = table(name, output)
        symbols = [
            v
            for v in range(n_symbols)
            if v not in (END, *banned) and not (no_repeat and holds_twice((*output, v), no_repeat))
        ]
        if len(output) >= longest:
            symbols = []
        if len(output) >= shortest or not symbols:
            found[output] = log_proba + row[END]
        for v in symbols:
            grow((*output, v), log_proba + row[v])

    grow((), 0.0)
    return found


def as_list(outputs, i=0):
    """The outputs of an input, (symbols, log-probability), as many as there are."""
    rows = zip(outputs.codes[i], outputs.lengths[i], outputs.log_proba[i], strict=True)
    return [(tuple(codes[:n].tolist()), p.item()) for codes, n, p in rows if p > -np.inf]


def ranked(found, alpha=0.0):
    """Outputs by their log-probability divided by the penalty of their length, the best first."""
    return sorted(found.items(), key=lambda item: -item[1] / ((6 + len(item[0])) / 6) ** alpha)


def assert_same(got, expected):
    assert [output for output, _ in got] == [output for output, _ in expected]
    np.testing.assert_allclose([p for _, p in got], [p for _, p in expected], rtol=1e-10)


SEARCHES = {
    "greedy": lambda hypotheses, limits: walk(hypotheses, limits, draw_greedily),
    "beam": lambda hypotheses, limits: beam_search(hypotheses, limits, 0.7),
}
LIMITS = [
    pytest.param({}, id="none"),
    pytest.param({"shortest": 2}, id="shortest"),
    pytest.param({"shortest": 4}, id="one-length"),
    pytest.param({"longest": 0}, id="empty"),
    pytest.param({"banned": (0,)}, id="banned"),
    pytest.param({"no_repeat": 1}, id="no-repeat-1"),
    pytest.param({"no_repeat": 2, "shortest": 1}, id="no-repeat-2"),
    pytest.param({"no_repeat": 1, "banned": (0, 3), "shortest": 3}, id="stuck"),
]


# -- limits


@pytest.mark.parametrize(
    ("history", "n", "expected"),
    [
        ([], 1, []),
        ([2, 0, 2], 1, [0, 2]),
        ([2], 2, []),
        ([2, 0, 2], 2, [0]),
        ([2, 0, 2, 3, 2], 2, [0, 3]),
        ([2, 2], 2, [2]),
        ([0, 2, 3, 0, 2], 3, [3]),
        ([0, 2], 3, []),
        ([2, 2, 2], 3, [2]),
    ],
)
def test_repeated_runs_by_hand(history, n, expected):
    codes = torch.tensor([[history]], dtype=torch.int64)
    assert torch.nonzero(repeated(codes, n, V)[0, 0])[:, 0].tolist() == expected


@pytest.mark.parametrize("n", [1, 2, 3])
def test_repeated_runs_by_their_definition(n, global_random_seed):
    history = torch.from_numpy(np.random.default_rng(global_random_seed).integers(3, size=(5, 4, 9)))
    found = repeated(history, n, 3)
    for place in itertools.product(range(5), range(4)):
        output = tuple(history[place].tolist())
        runs = {output[i : i + n] for i in range(len(output) - n + 1)}
        expected = [(*output[len(output) - n + 1 :], v) in runs for v in range(3)]
        assert found[place].tolist() == expected


def test_limits_by_hand():
    log_proba = torch.tensor([0.4, 0.3, 0.2, 0.1]).log().expand(3, 1, V)
    limits = limits_for(3, torch.tensor([0, 2, 0]), torch.tensor([5, 5, 1]), banned=(3,), no_repeat=1)
    allowed = limits.allowed(log_proba, torch.tensor([[[2]], [[2]], [[2]]]), torch.arange(3))
    inf = torch.inf
    expected = torch.tensor([[0.4, 0.3, 0, 0], [0.4, 0, 0, 0], [0, 0.3, 0, 0]]).log()
    torch.testing.assert_close(allowed[:, 0], expected)
    assert (log_proba > -inf).all()  # the scores that came in stay


def test_limits_are_those_of_the_inputs_that_are_left():
    limits = limits_for(3, torch.tensor([0, 9, 0]), torch.tensor([9, 9, 1]))
    allowed = limits.allowed(torch.zeros(2, 1, V), torch.zeros(2, 1, 1, dtype=torch.int64), torch.tensor([1, 2]))
    assert (allowed[:, 0] == 0).tolist() == [[True, False, True, True], [False, True, False, False]]


# -- greedy


def greedy_by_hand(table, name, shortest=0, longest=4, banned=(), no_repeat=0):
    output, total = (), 0.0
    while True:
        row = table(name, output)
        symbols = [
            v for v in range(V) if v not in (END, *banned) and not (no_repeat and holds_twice((*output, v), no_repeat))
        ]
        if len(output) >= longest:
            symbols = []
        if len(output) >= shortest or not symbols:
            symbols = [*symbols, END]
        best = max(symbols, key=lambda v: row[v])
        total += row[best]
        if best == END:
            return output, total
        output = (*output, best)


@pytest.mark.parametrize("options", LIMITS)
def test_greedy_takes_the_most_probable_symbol_at_every_step(options, global_random_seed):
    hypotheses = Tables(range(30), seed=global_random_seed)
    table = hypotheses.table
    outputs = walk(hypotheses, limits_for(30, **options), draw_greedily)
    for i in range(30):
        assert_same(as_list(outputs, i), [greedy_by_hand(table, i, **options)])


def test_greedy_on_a_table_by_hand():
    rows = {(): [0.5, 0.1, 0.4, 0.0], (0,): [0.1, 0.2, 0.7, 0.0], (0, 2): [0.2, 0.6, 0.2, 0.0]}
    table = {history: np.log(np.array(row) + 1e-300) for history, row in rows.items()}
    outputs = walk(Tables([0], table=lambda name, history: table[history]), limits_for(1), draw_greedily)
    assert outputs.codes.tolist()[0][0][:2] == [0, 2]
    assert outputs.lengths.tolist() == [[2]]
    assert outputs.log_proba.exp().item() == pytest.approx(0.5 * 0.7 * 0.6)


def test_each_input_has_its_own_bounds(global_random_seed):
    shortest, longest = torch.tensor([0, 1, 3, 6]), torch.tensor([0, 1, 4, 6])
    for search in SEARCHES.values():
        outputs = search(Tables(range(4), width=1, seed=global_random_seed), limits_for(4, shortest, longest))
        assert ((outputs.lengths[:, 0] >= shortest) & (outputs.lengths[:, 0] <= longest)).all()


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("search", ["greedy", "beam", "drawn"])
def test_no_run_is_repeated(search, n, global_random_seed):
    """Of outputs that would like to write the same symbols for ever."""
    rows = np.log(np.array([0.6, 1e-4, 0.3, 0.1]))
    hypotheses = Tables(range(5), width=3, table=lambda name, history: rows)
    limits = limits_for(5, longest=12, no_repeat=n)
    choose = Sampler(global_random_seed, temperature=0.3)
    outputs = walk(hypotheses, limits, choose) if search == "drawn" else SEARCHES[search](hypotheses, limits)
    for i in range(5):
        for output, _ in as_list(outputs, i):
            assert len(output) >= n
            assert not holds_twice(output, n)


# -- beam search


@pytest.mark.parametrize("alpha", [0.0, 0.6, 1.0, 2.5])
@pytest.mark.parametrize("options", LIMITS)
def test_a_beam_that_holds_everything_finds_everything(options, alpha, global_random_seed):
    options = {"longest": 3, **options}
    found = [enumerate_outputs(random_table(global_random_seed), i, **options) for i in range(3)]
    width = max(len(outputs) for outputs in found)
    hypotheses = Tables(range(3), width, seed=global_random_seed)
    outputs = beam_search(hypotheses, limits_for(3, **options), alpha)
    for i in range(3):
        assert_same(as_list(outputs, i), ranked(found[i], alpha))


def test_a_beam_with_room_to_spare_says_so(global_random_seed):
    found = enumerate_outputs(random_table(global_random_seed), 0, longest=2)
    outputs = beam_search(Tables([0], 50, seed=global_random_seed), limits_for(1, longest=2))
    assert_same(as_list(outputs), ranked(found))
    assert (outputs.log_proba[0, len(found) :] == -torch.inf).all()


def test_probabilities_of_all_outputs_sum_to_one(global_random_seed):
    """Of a model that ends by itself within the longest output."""
    table, ends = random_table(global_random_seed), np.log([1e-300, 1, 1e-300, 1e-300])
    hypotheses = Tables([0], 60, table=lambda name, history: table(name, history) if len(history) < 3 else ends)
    outputs = beam_search(hypotheses, limits_for(1, longest=3))
    assert outputs.log_proba.exp().sum().item() == pytest.approx(1)


def test_a_beam_of_one_is_greedy(global_random_seed):
    n = 200
    shortest = torch.arange(n) % 3
    limits = limits_for(n, shortest, shortest + torch.arange(n) % 5, no_repeat=2)
    greedy, beam = (
        search(Tables(range(n), seed=global_random_seed), limits)
        for search in (SEARCHES["greedy"], lambda h, limits: beam_search(h, limits, 1.0))
    )
    for i in range(n):
        assert as_list(beam, i) == as_list(greedy, i)


@pytest.mark.parametrize("width", [1, 2, 3, 5])
def test_a_beam_holds_different_outputs_with_their_own_probabilities(width, global_random_seed):
    table = random_table(global_random_seed)
    outputs = beam_search(Tables(range(20), width, seed=global_random_seed), limits_for(20), 1.0)
    for i in range(20):
        found, got = enumerate_outputs(table, i), as_list(outputs, i)
        assert len({output for output, _ in got}) == len(got) == width
        np.testing.assert_allclose([p for _, p in got], [found[output] for output, _ in got], rtol=1e-10)
        scores = [p / penalty(len(output) + 1, 1.0) for output, p in got]
        assert scores == sorted(scores, reverse=True)


def test_a_beam_sees_what_greedy_overlooks():
    rows = {(): [0.5, 0.1, 0.4, 0.0], (0,): [0.3, 0.3, 0.2, 0.2], (2,): [0.05, 0.9, 0.05, 0.0]}
    table = {history: np.log(np.array(row) + 1e-300) for history, row in rows.items()}
    flat = np.log(np.full(4, 0.25))
    search = [Tables([0], width, table=lambda name, history: table.get(history, flat)) for width in (1, 2)]
    greedy, beam = (beam_search(hypotheses, limits_for(1, longest=2)) for hypotheses in search)
    assert as_list(greedy)[0][0][:1] == (0,)
    assert as_list(beam)[0] == ((2,), pytest.approx(np.log(0.36)))


@pytest.mark.parametrize("alpha", [0.0, 0.6, 1.0])
def test_penalty_of_wu(alpha):
    assert penalty(1, alpha) == 1
    assert penalty(7, alpha) == pytest.approx(2**alpha)


def test_a_larger_penalty_never_shortens_the_best_output(global_random_seed):
    n = len(enumerate_outputs(random_table(0), 0, longest=3))
    lengths = [
        beam_search(Tables(range(20), n, seed=global_random_seed), limits_for(20, longest=3), alpha).lengths[:, 0]
        for alpha in (0.0, 0.5, 1.0, 2.0)
    ]
    for shorter, longer in itertools.pairwise(lengths):
        assert (longer >= shorter).all()
    assert (lengths[-1] > lengths[0]).any()


# -- who shares the batch


def sampled(hypotheses, limits, samples):
    sampler = Sampler(3, temperature=1.5)
    return walk(hypotheses, limits, lambda log_proba, rows, t: sampler(log_proba, samples[rows], t))


@pytest.mark.parametrize("search", ["greedy", "beam", "drawn"])
@pytest.mark.parametrize("width", [1, 3])
def test_outputs_do_not_depend_on_who_shares_the_batch(search, width, global_random_seed):
    n, longest = 24, 1 + torch.arange(24) % 7

    def write(names):
        samples = torch.tensor(names)
        hypotheses = Tables(names, width, seed=global_random_seed)
        limits = limits_for(len(names), longest=longest[samples], no_repeat=2)
        outputs = sampled(hypotheses, limits, samples) if search == "drawn" else SEARCHES[search](hypotheses, limits)
        return {name: as_list(outputs, i) for i, name in enumerate(names)}

    together = write(list(range(n)))
    assert len({len(output) for rows in together.values() for output, _ in rows}) > 2
    assert write(np.random.default_rng(global_random_seed).permutation(n).tolist()) == together
    for name in range(n):
        assert write([name]) == {name: together[name]}


# -- sampling


def draws(n, log_proba, **options):
    """How often each symbol is drawn for n inputs of one distribution."""
    log_proba = torch.tensor(log_proba, dtype=torch.float64).expand(n, 1, -1)
    codes = Sampler(options.pop("seed"), **options)(log_proba, torch.arange(n), 2)
    assert codes.shape == (n, 1)
    return np.bincount(codes[:, 0], minlength=log_proba.shape[2])


def assert_frequencies(counts, expected):
    expected = np.asarray(expected) / np.sum(expected)
    assert counts[expected == 0].sum() == 0
    possible = expected > 0
    if possible.sum() > 1:
        assert stats.chisquare(counts[possible], counts.sum() * expected[possible]).pvalue > RARE


PROBA = np.array([0.1, 0.35, 0.05, 0.3, 0.2])


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, PROBA),
        ({"temperature": 0.5}, PROBA**2),
        ({"temperature": 2.0}, PROBA**0.5),
        ({"top_k": 1}, [0, 1, 0, 0, 0]),
        ({"top_k": 3}, [0, 0.35, 0, 0.3, 0.2]),
        ({"top_k": 99}, PROBA),
        ({"top_p": 0.01}, [0, 1, 0, 0, 0]),
        ({"top_p": 0.4}, [0, 0.35, 0, 0.3, 0]),
        ({"top_p": 0.9}, [0.1, 0.35, 0, 0.3, 0.2]),
        ({"top_p": 1.0}, PROBA),
        ({"top_k": 3, "top_p": 0.7}, [0, 0.35, 0, 0.3, 0]),  # 0.76 of what three symbols have
        ({"temperature": 0.5, "top_p": 0.6}, [0, 0.35**2, 0, 0.3**2, 0]),
    ],
)
def test_draws_have_the_probabilities_asked_for(options, expected, global_random_seed):
    assert_frequencies(draws(20_000, np.log(PROBA), seed=global_random_seed, **options), expected)


def test_a_nucleus_is_no_larger_than_it_must_be(global_random_seed):
    counts = draws(2000, np.log([0.25, 0.5, 0.25]), seed=global_random_seed, top_p=0.5)
    assert counts.tolist() == [0, 2000, 0]


def test_what_is_impossible_is_never_drawn(global_random_seed):
    log_proba = np.log(np.array([1e-300, 0.5, 0.5, 1e-300]))
    log_proba[[0, 3]] = -np.inf
    for options in ({}, {"temperature": 3.0}, {"top_k": 4}, {"top_p": 1.0}):
        assert_frequencies(draws(2000, log_proba, seed=global_random_seed, **options), [0, 1, 1, 0])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_draws_of_either_precision(dtype, global_random_seed):
    log_proba = torch.randn(50, 3, V, generator=torch.Generator().manual_seed(1)).to(dtype)
    codes = Sampler(global_random_seed)(log_proba, torch.arange(50), 0)
    assert codes.dtype == torch.int64
    assert codes.min() >= 0
    assert codes.max() < V


def test_sampled_outputs_have_the_probabilities_of_the_model(global_random_seed):
    n, table = 6000, random_table(global_random_seed)
    found = enumerate_outputs(table, 0, longest=2)
    hypotheses = Tables([0] * (n // 3), 3, seed=global_random_seed)
    limits = limits_for(n // 3, longest=2)
    outputs = walk(hypotheses, limits, Sampler(global_random_seed))
    counts = dict.fromkeys(found, 0)
    for i in range(n // 3):
        for output, log_proba in as_list(outputs, i):
            counts[output] += 1
            assert log_proba == pytest.approx(found[output], rel=1e-10)
    # At the longest output the end is written whatever its probability: it is left out of the expected shares.
    expected = [np.exp(p - (table(0, output)[END] if len(output) == 2 else 0)) for output, p in found.items()]
    assert_frequencies(np.array(list(counts.values())), expected)


def test_another_seed_draws_anew(global_random_seed):
    log_proba = torch.full((200, 2, V), 0.25).log()
    first, again, other = (
        Sampler(seed)(log_proba, torch.arange(200), 0)
        for seed in (global_random_seed, global_random_seed, global_random_seed + 1)
    )
    assert torch.equal(first, again)
    assert 0.5 < (first != other).double().mean() < 0.95  # three of four
    assert 0.5 < (first[:, 0] != first[:, 1]).double().mean() < 0.95  # nor are the hypotheses of an input alike


def test_sampling_leaves_the_global_generator_alone(global_random_seed):
    before = torch.get_rng_state()
    walk(Tables(range(5)), limits_for(5), Sampler(global_random_seed))
    assert torch.equal(torch.get_rng_state(), before)


# -- uniform numbers


def test_uniform_numbers_are_uniform(global_random_seed):
    u = uniform(global_random_seed, torch.arange(200)[:, None, None], torch.arange(10)[:, None], torch.arange(20))
    assert u.shape == (200, 10, 20)
    assert u.dtype == torch.float64
    assert 0 <= u.min() < 0.001
    assert 0.999 < u.max() < 1
    assert stats.kstest(u.flatten().numpy(), "uniform").pvalue > RARE
    assert len(u.unique()) == u.numel()


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_neighbouring_numbers_are_independent(axis, global_random_seed):
    """Of neighbouring inputs, hypotheses and steps."""
    u = uniform(global_random_seed, torch.arange(40)[:, None, None], torch.arange(40)[:, None], torch.arange(40))
    a, b = (u.narrow(axis, k, 39).flatten().numpy() for k in range(2))
    counts, *_ = np.histogram2d(a, b, bins=8, range=[[0, 1], [0, 1]])
    assert stats.chisquare(counts.ravel()).pvalue > RARE


def test_seeds_share_no_numbers(global_random_seed):
    places = torch.arange(100)[:, None], torch.arange(20)
    u = torch.stack([uniform(global_random_seed + k, *places) for k in range(3)])
    assert len(u.unique()) == u.numel()


@pytest.mark.parametrize("seed", [0, 42, 2**31 - 1, 2**63 - 1])
def test_uniform_numbers_belong_to_their_place(seed):
    rows, steps = torch.tensor([3, 17, 0, 5]), torch.arange(6)
    together = uniform(seed, rows[:, None], steps)
    for i, t in itertools.product(range(4), range(6)):
        assert uniform(seed, int(rows[i]), int(steps[t])) == together[i, t]
    assert torch.equal(uniform(seed, rows.flip(0)[:, None], steps), together.flip(0))
    assert (uniform(seed, 1, 2) != uniform(seed, 2, 1)).all()


# -- symbols aligned to their input

BLANK = 1


def transcript(path):
    return tuple(symbol for symbol, _ in itertools.groupby(path) if symbol != BLANK)


def enumerate_transcripts(log_proba):
    """The probability of every transcript, summed over all paths of log-probabilities (T, K)."""
    found = {}
    for path in itertools.product(range(log_proba.shape[1]), repeat=len(log_proba)):
        p = np.exp(sum(row[symbol] for row, symbol in zip(log_proba, path, strict=True)))
        if p > 0:
            found[transcript(path)] = found.get(transcript(path), 0.0) + p
    return found


def draw_scores(seed, B, T, K, impossible=None):
    raw = 2 * torch.randn(B, T, K, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    scores = raw.log_softmax(2)
    if impossible is not None:
        scores[:, :, impossible] = -torch.inf
    return scores


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ([1, 1, 1], []),
        ([0, 0, 0], [0]),
        ([0, 1, 0], [0, 0]),
        ([0, 2, 0], [0, 2, 0]),
        ([1, 0, 0, 1, 1, 0, 2, 2, 1], [0, 0, 2]),
        ([2, 2, 1, 2, 2, 0], [2, 2, 0]),
    ],
)
def test_paths_collapse(path, expected):
    padded = torch.tensor([[*path, 2, 0], [*path, 1, 1]])
    codes, lengths = collapse(padded, torch.tensor([len(path)] * 2), BLANK)
    assert codes.shape == padded.shape
    for row in codes.tolist():
        assert row == expected + [BLANK] * (padded.shape[1] - len(expected))
    assert lengths.tolist() == [len(expected)] * 2


def test_all_paths_collapse_by_definition():
    paths = torch.tensor(list(itertools.product(range(3), repeat=5)))
    for length in range(6):
        codes, found = collapse(paths, torch.full((len(paths),), length), BLANK)
        for path, row, n in zip(paths.tolist(), codes.tolist(), found.tolist(), strict=True):
            assert tuple(row[:n]) == transcript(path[:length])


@pytest.mark.parametrize(("T", "K", "impossible"), [(1, 3, None), (4, 3, None), (5, 3, 2), (6, 2, None), (4, 4, 0)])
@pytest.mark.parametrize("spare", [0, 1, 20])
def test_a_prefix_beam_that_holds_everything_finds_everything(T, K, impossible, spare, global_random_seed):
    scores = draw_scores(global_random_seed, 3, T, K, impossible)
    found = [enumerate_transcripts(row.numpy()) for row in scores]
    width = max(map(len, found)) + spare
    outputs = prefix_beam_search(scores, torch.full((3,), T), BLANK, width)
    for i, expected in enumerate(found):
        expected = sorted(expected.items(), key=lambda item: -item[1])
        assert_same(as_list(outputs, i), [(output, np.log(p)) for output, p in expected])


@pytest.mark.parametrize("width", [1, 2, 4])
def test_a_narrow_prefix_beam_never_counts_a_path_twice(width, global_random_seed):
    scores = draw_scores(global_random_seed, 20, 5, 3)
    outputs = prefix_beam_search(scores, torch.full((20,), 5), BLANK, width)
    for i in range(20):
        found, got = enumerate_transcripts(scores[i].numpy()), as_list(outputs, i)
        assert len({output for output, _ in got}) == len(got)
        for output, log_proba in got:
            assert log_proba <= np.log(found[output]) + 1e-9
        assert [p for _, p in got] == sorted([p for _, p in got], reverse=True)


@pytest.mark.parametrize("width", [1, 3, 40])
def test_prefix_beams_do_not_depend_on_who_shares_the_batch(width, global_random_seed):
    scores, lengths = draw_scores(global_random_seed, 8, 7, 4), torch.tensor([7, 1, 3, 5, 2, 7, 6, 4])
    together = prefix_beam_search(scores, lengths, BLANK, width)
    order = torch.tensor([3, 1, 7, 0, 2, 6, 5, 4])
    shuffled = prefix_beam_search(scores[order], lengths[order], BLANK, width)
    for place, i in enumerate(order.tolist()):
        length = lengths[i]
        alone = prefix_beam_search(scores[i : i + 1, :length], lengths[i : i + 1], BLANK, width)
        expected = as_list(together, i)
        assert len(expected) > 0
        assert_same(as_list(shuffled, place), expected)
        assert_same(as_list(alone), expected)


def test_ties_of_the_impossible_leave_no_trace(monkeypatch, global_random_seed):
    """Which of equal scores topk takes is not promised: here any of them, as it may be on another device."""
    generator = torch.Generator().manual_seed(global_random_seed)

    def any_of_equals(x, k, dim):
        order = torch.randperm(x.shape[dim], generator=generator)
        values, places = x.index_select(dim, order).sort(dim=dim, descending=True, stable=True)
        return values.narrow(dim, 0, k), order[places.narrow(dim, 0, k)]

    monkeypatch.setattr(torch.Tensor, "topk", any_of_equals)
    scores = draw_scores(global_random_seed, 8, 4, 3)
    outputs = prefix_beam_search(scores, torch.full((8,), 4), BLANK, 40)
    for i in range(8):
        expected = sorted(enumerate_transcripts(scores[i].numpy()).items(), key=lambda item: -item[1])
        assert_same(as_list(outputs, i), [(output, np.log(p)) for output, p in expected])


# -- edits


@cache
def edits(a, b):
    """The fewest edits, by their definition."""
    if not a or not b:
        return len(a) + len(b)
    return min(edits(a[1:], b) + 1, edits(a, b[1:]) + 1, edits(a[1:], b[1:]) + (a[0] != b[0]))


def padded(texts, fill):
    codes = np.full((len(texts), max(map(len, texts), default=0)), fill)
    for row, text in zip(codes, texts, strict=True):
        row[: len(text)] = [ord(c) for c in text]
    return codes, np.array([len(text) for text in texts], dtype=np.int64)


@pytest.mark.parametrize("fill", [-1, ord("a")])
def test_edit_distances_equal_their_definition(fill, global_random_seed):
    rng = np.random.default_rng(global_random_seed)
    texts = [["".join(rng.choice(list("abc"), size=n)) for n in rng.integers(0, 8, size=200)] for _ in range(2)]
    texts = [["", "", "abc", *texts[0]], ["", "ab", "", *texts[1]]]
    (a, a_lengths), (b, b_lengths) = (padded(side, fill) for side in texts)
    found = edit_distances(a, a_lengths, b, b_lengths)
    assert found.tolist() == [edits(x, y) for x, y in zip(*texts, strict=True)]
    np.testing.assert_array_equal(edit_distances(b, b_lengths, a, a_lengths), found)


@pytest.mark.parametrize(
    ("a", "b", "expected"), [("kitten", "sitting", 3), ("saturday", "sunday", 3), ("flaw", "lawn", 2), ("", "abc", 3)]
)
def test_edit_distances_of_the_textbooks(a, b, expected):
    assert edit_distances(*padded([a], -1), *padded([b], -1)).tolist() == [expected]


def test_edit_distances_of_nothing_but_empty_sequences():
    nothing = padded(["", ""], -1)
    assert edit_distances(*nothing, *nothing).tolist() == [0, 0]
    assert edit_distances(*nothing, *padded(["ab", ""], -1)).tolist() == [2, 0]
    assert edit_distances(*padded(["ab", ""], -1), *nothing).tolist() == [2, 0]
