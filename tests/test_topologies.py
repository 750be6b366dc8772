"""What an output depends on in each topology, and that memory pays where the past matters, and there only."""

import numpy as np
import pytest
import torch
from checks import seeded_module
from sklearn.datasets import load_digits
from torch.nn.functional import pad

from sktime_rnn import RNNClassifier, RNNRegressor, Seq2SeqTransformer
from sktime_rnn.datasets import load_japanese_vowels

WINDOW = 5


class Convolution(torch.nn.Module):
    """Filters over the last steps: their value at each step, or their largest in the sequence."""

    def __init__(self, n_features, n_outputs, per_step):
        super().__init__()
        self.filters = torch.nn.Conv1d(n_features, 32, WINDOW)
        self.head = torch.nn.Linear(32, n_outputs)
        self.per_step = per_step

    def forward(self, X, lengths):
        H = self.filters(pad(X.transpose(1, 2), (WINDOW - 1, 0))).relu().transpose(1, 2)  # (B, T, 32)
        if self.per_step:
            return self.head(H)
        padding = torch.arange(H.shape[1]) >= lengths[:, None]
        return self.head(H.masked_fill(padding[:, :, None], 0.0).amax(1))


# -- what an output depends on

SMALL = {"hidden_size": 8, "max_epochs": 2, "random_state": 0}
N = 8


def noise(lengths, n_features=1, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(n, n_features)) for n in lengths]


def dependence(model, x):
    """Return for each output (rows) whether each step of x moves it (columns)."""
    before = np.atleast_1d(model.predict([x])[0])
    moved = []
    for t in range(len(x)):
        other = x.copy()
        other[t] += 1
        moved.append(np.atleast_1d(model.predict([other])[0]) != before)
    return np.transpose(moved)


def fit_steps(**params):
    X = noise([N] * 12)
    return RNNRegressor(**{**({} if "network" in params else SMALL), **params}).fit(X, [x[:, 0] for x in X]), X[0]


EVERY = np.ones((N, N), dtype=bool)
PAST, FUTURE, OWN = np.tril(EVERY), np.triu(EVERY), np.eye(N, dtype=bool)


@pytest.mark.parametrize("num_layers", [1, 2])
@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru", "mgu", "mingru", "minlstm", "leaky", "trace"])
def test_synced_outputs_know_the_steps_up_to_their_own(cell, num_layers):
    model, x = fit_steps(cell=cell, num_layers=num_layers)
    np.testing.assert_array_equal(dependence(model, x), PAST)


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"cell": "gru", "go_backwards": True}, FUTURE),
        ({"cell": "gru", "bidirectional": True}, EVERY),
        ({"cell": None}, OWN),
        ({"cell": None, "num_layers": 3}, OWN),
        ({"cell": None, "bidirectional": True, "num_layers": 2}, OWN),
    ],
    ids=str,
)
def test_synced_outputs_of_other_directions_and_of_no_memory(params, expected):
    model, x = fit_steps(**params)
    np.testing.assert_array_equal(dependence(model, x), expected)


def test_synced_outputs_of_a_convolution_know_their_window():
    network = seeded_module(Convolution, 1, 1, per_step=True)
    model, x = fit_steps(network=network, max_epochs=2, random_state=0)
    np.testing.assert_array_equal(dependence(model, x), np.triu(PAST, 1 - WINDOW))


@pytest.mark.parametrize(
    ("params", "steps"),
    [
        ({"cell": "gru"}, range(N)),
        ({"cell": "gru", "go_backwards": True}, range(N)),
        ({"cell": "gru", "bidirectional": True, "num_layers": 2}, range(N)),
        ({"cell": None}, [N - 1]),
        ({"cell": None, "go_backwards": True}, [0]),
        ({"cell": None, "pooling": "mean"}, range(N)),
    ],
    ids=str,
)
def test_many_to_one(params, steps):
    X = noise([N] * 12)
    model = RNNRegressor(**SMALL, **params).fit(X, np.arange(12.0))
    np.testing.assert_array_equal(np.flatnonzero(dependence(model, X[0])), steps)


@pytest.mark.parametrize("pooling", ["mean", "max", "attention"])
def test_without_memory_many_steps_are_a_bag(pooling):
    X = noise([9] * 12, n_features=2)
    y = np.linspace(-1, 1, 12)
    mixed = [np.random.default_rng(1).permutation(x) for x in X]
    bag, reader = (RNNRegressor(cell=cell, pooling=pooling, **SMALL).fit(X, y) for cell in (None, "gru"))
    np.testing.assert_allclose(bag.predict(mixed), bag.predict(X), atol=1e-6)
    assert np.abs(reader.predict(mixed) - reader.predict(X)).max() > 1e-3


def test_one_to_one_is_a_feed_forward_net():
    V = np.random.default_rng(0).normal(size=(12, 3))
    y = np.linspace(-1, 1, 12)
    model = RNNRegressor(cell=None, input="vector", standardize=False, **SMALL).fit(V, y)
    W, b, U, c = (p.detach().numpy() for p in model.module_.parameters())
    np.testing.assert_allclose(model.predict(V), y.mean() + y.std() * (np.tanh(V @ W.T + b) @ U.T + c)[:, 0], atol=1e-6)


def test_one_to_many():
    """Each number of the vector moves every step, and outputs are as long as they were in fit."""
    V = np.random.default_rng(0).normal(size=(12, 3))
    y = np.outer(V[:, 0], np.ones(N))
    model = Seq2SeqTransformer(input="vector", **SMALL).fit(V, y)
    before = model.predict(V[:1])
    assert before.shape == (1, N)
    for k in range(3):
        other = V[:1].copy()
        other[0, k] += 1
        assert (model.predict(other) != before).all()


@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize("attention", ["additive", None])
def test_unsynced_outputs_know_all_steps(attention, bidirectional):
    """The first output, too, depends on the last step."""
    X = noise([N] * 12)
    options = {"attention": attention, "bidirectional": bidirectional}
    model = Seq2SeqTransformer(**options, **SMALL).fit(X, np.stack([x[:5, 0] for x in X]))
    np.testing.assert_array_equal(dependence(model, X[0]), np.ones((5, N), dtype=bool))


def test_what_comes_out_of_each():
    rng = np.random.default_rng(0)
    X, V = noise([3, 7, 4, 5] * 4, n_features=2), rng.normal(size=(16, 2))
    labels, words = ["a", "b"] * 8, ["ab", "b", "abb", "a"] * 4
    steps = [np.array(["a", "b"])[(x[:, 0] > 0).astype(int)] for x in X]
    assert RNNClassifier(cell=None, input="vector", **SMALL).fit(V, labels).predict(V).shape == (16,)
    assert RNNClassifier(**SMALL).fit(X, labels).predict(X).shape == (16,)
    assert [len(out) for out in RNNClassifier(**SMALL).fit(X, steps).predict(X)] == [len(x) for x in X]
    for given, options in ((V, {"input": "vector"}), (X, {})):
        written = Seq2SeqTransformer(**options, **SMALL).fit(given, words).predict(given)
        assert len(written) == 16
        assert all(isinstance(word, str) and set(word) <= {"a", "b"} for word in written)


# -- where the past matters: makers of (X, y), balanced, so that a guess is right half of the time

rng_of = np.random.default_rng


def value_is_large(n=200):
    X = noise(rng_of(1).integers(20, 40, size=n))
    return X, [(np.abs(x[:, 0]) > 0.67).astype(int) for x in X]


def value_three_steps_ago(n=200):
    X = noise(rng_of(1).integers(20, 40, size=n))
    return X, [(x[np.maximum(np.arange(len(x)) - 3, 0), 0] > 0).astype(int) for x in X]


def button_pressed_last(n=200):
    """Two buttons; one of them at first, then one in fifty steps."""
    rng = rng_of(0)
    X, y = [], []
    for length in rng.integers(40, 60, size=n):
        which = np.where(rng.random(length) < 0.02, rng.integers(2, size=length), 2)
        which[0] = rng.integers(2)
        pressed = np.maximum.accumulate(np.where(which < 2, np.arange(length), 0))
        X.append(np.eye(3)[which][:, :2])
        y.append(which[pressed])
    return X, y


def last_step(n=300):
    X = noise(rng_of(1).integers(10, 20, size=n))
    return X, [int(x[-1, 0] > 0) for x in X]


def first_step(n=300):
    X = noise(rng_of(1).integers(8, 14, size=n))
    return X, [int(x[0, 0] > 0) for x in X]


def first_of_two_marks(n=300):
    """Never within one window, nor near the start, which a window would see."""
    rng = rng_of(0)
    X, y = [], []
    for length in rng.integers(25, 40, size=n):
        x, first = np.zeros((length, 2)), rng.integers(2)
        x[rng.integers(5, 10), first] = x[rng.integers(15, 20), 1 - first] = 1
        X.append(x)
        y.append(first)
    return X, y


MATTERS = [  # maker, and whether a convolution and cell=None do as well as a recurrent net
    (value_is_large, True, True),
    (value_three_steps_ago, True, False),
    (button_pressed_last, False, False),
    (last_step, None, True),
    (first_step, None, False),
    (first_of_two_marks, False, False),
]
TRAINING = {"lr": 0.01, "max_epochs": 30, "random_state": 0}
SIZES = {"hidden_size": 32, "dropout": 0.0}


def score(model, X, y):
    n = len(X) * 3 // 4
    return model.fit(X[:n], y[:n]).score(X[n:], y[n:])


@pytest.mark.parametrize(("make", "convolution", "memoryless"), MATTERS)
def test_memory_pays_where_the_past_matters(make, convolution, memoryless):
    X, y = make()
    guess, right = 0.68, 0.8
    assert score(RNNClassifier(cell="gru", **SIZES, **TRAINING), X, y) > right
    found = score(RNNClassifier(cell=None, **SIZES, **TRAINING), X, y)
    assert found > right if memoryless else found < guess
    if convolution is not None:  # the largest value in a sequence is no question of one step
        network = seeded_module(Convolution, X[0].shape[1], 2, per_step=np.ndim(y[0]) > 0)
        found = score(RNNClassifier(network=network, **TRAINING), X, y)
        assert found > right if convolution else found < guess


def test_a_bag_of_steps_knows_which_marks_there_are_and_not_their_order():
    X, first = first_of_two_marks()
    seen = [0, 1] * (len(X) // 2)
    without = [np.where([True, keep], x, 0.0) for x, keep in zip(X, seen, strict=True)]
    bag = RNNClassifier(cell=None, pooling="max", **SIZES, **TRAINING)
    assert score(bag, without, seen) > 0.95
    assert score(bag, X, first) < 0.68


@pytest.mark.parametrize(
    ("make", "memoryless"),
    [(lambda x: x[:, 0] ** 2, True), (lambda x: x[np.maximum(np.arange(len(x)) - 3, 0), 0], False)],
    ids=["square", "three steps ago"],
)
def test_memory_pays_for_values(make, memoryless):
    X = noise([20] * 200)
    y = [make(x) for x in X]
    assert score(RNNRegressor(cell="gru", **SIZES, **TRAINING), X, y) > 0.8
    found = score(RNNRegressor(cell=None, **SIZES, **TRAINING), X, y)
    assert found > 0.8 if memoryless else found < 0.3


@pytest.fixture(scope="module")
def digits():
    images, labels = load_digits(return_X_y=True)
    return images[:1200], labels[:1200]


def test_an_image_at_once_needs_no_memory(digits):
    assert score(RNNClassifier(cell=None, input="vector", **SIZES, **TRAINING), *digits) > 0.85


def test_an_image_read_row_after_row_does(digits):
    rows = digits[0].reshape(-1, 8, 8)
    assert score(RNNClassifier(cell="gru", **SIZES, **TRAINING), rows, digits[1]) > 0.85
    assert score(RNNClassifier(cell=None, **SIZES, **TRAINING), rows, digits[1]) < 0.65  # the last row alone


def test_speakers_are_known_by_a_bag_of_steps():
    X, y = load_japanese_vowels(split="train")
    model = RNNClassifier(cell=None, pooling="mean", hidden_size=32, max_epochs=20, random_state=0).fit(X, y)
    assert model.score(*load_japanese_vowels(split="test")) > 0.8


def test_one_vector_is_enough_for_a_curve():
    V = rng_of(0).uniform(size=(80, 2))
    curves = [np.cos((0.2 + 0.4 * a) * np.arange(10 + int(10 * b))) for a, b in V]
    drawer = Seq2SeqTransformer(input="vector", hidden_size=32, max_epochs=60, random_state=0)
    drawer.fit(V[:60], curves[:60])
    assert drawer.score(V[60:], curves[60:]) > 0.8
    lengths = [len(curve) for curve in drawer.predict(V[60:])]
    np.testing.assert_allclose(lengths, [len(curve) for curve in curves[60:]], atol=2)


def test_outputs_longer_than_their_inputs():
    """Numbers in words of Roman letters, which an output as long as the input could not hold."""

    def roman(n):
        letters = ""
        for value, letter in ((50, "l"), (40, "xl"), (10, "x"), (9, "ix"), (5, "v"), (4, "iv"), (1, "i")):
            letters += n // value * letter
            n %= value
        return letters

    seen, unseen = ([n for n in range(1, 90) if (n % 6 == 4) == held_out] for held_out in (False, True))
    writer = Seq2SeqTransformer(hidden_size=32, max_epochs=60, random_state=0)
    writer.fit([str(n) for n in seen], [roman(n) for n in seen])
    expected = [roman(n) for n in unseen]
    assert {len(word) - 2 for word in expected[2:]} >= {0, 1, 2, 3}
    assert writer.score([str(n) for n in unseen], expected, metric="exact_match") > 0.6
