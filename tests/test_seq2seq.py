"""Seq2SeqTransformer: what it writes, what that depends on, what it learns, and scikit-learn's tools around it."""

import copy
import pickle
import random
import signal
import threading

import joblib
import numpy as np
import pytest
import torch
from checks import MOVED, HalveWeights, assert_close, assert_same, distance, make_sequences, seeded_module, small
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold, cross_val_predict, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted
from skorch.callbacks import Callback

from sktime_rnn import Seq2SeqTransformer, TimeDistributed, check_sequences
from sktime_rnn.callbacks import FORCING_SCHEDULES
from sktime_rnn.cells import CELLS, GRUCell
from sktime_rnn.encoder_decoder import Hypotheses


def model(**params):
    return small(Seq2SeqTransformer(), **{"max_epochs": 1, **params})


def make_strings(n_samples=24, lengths=(1, 6), letters="abc", seed=0):
    rng = np.random.default_rng(seed)
    return ["".join(rng.choice(list(letters), size=length)) for length in rng.integers(*lengths, size=n_samples)]


def make_values(n_samples=24, lengths=(1, 7), n_features=2, seed=5):
    return make_sequences(n_samples, n_features, lengths, seed)


def backwards(samples):
    return [sample[::-1] if isinstance(sample, str) else sample[::-1].copy() for sample in samples]


def make_speech(texts, seed=0):
    """Each letter for some steps, and silence after it."""
    rng = np.random.default_rng(seed)
    spoken = []
    for text in texts:
        rows = [np.eye(4)[[["abc".index(letter), 3][k]] * rng.integers(1, 4)] for letter in text for k in (0, 1)]
        steps = np.concatenate(rows)
        spoken.append(steps + 0.1 * rng.normal(size=steps.shape))
    return spoken


TEXTS = make_strings()
REVERSED = backwards(TEXTS)

SEQUENCES = {"values": make_sequences(), "texts": TEXTS}
# What can be asked of a model, in all combinations of kinds and ways that differ in code.
KINDS = {
    "texts to texts": ({}, "texts", REVERSED),
    "values to texts": ({"attention": "additive", "input_feeding": True}, "values", REVERSED),
    "values to values": ({"num_layers": 2}, "values", make_values()),
    "texts to values": ({"output_length": "stop", "attention": None}, "texts", make_values()),
    "values to a table": ({"feedback": True}, "values", np.random.default_rng(1).normal(size=(24, 3))),
    "values to themselves": ({"output": "encoding", "n_components": 3}, "values", None),
    "transcripts": ({"alignment": "ctc"}, "values", ["ab", "c", "ba"] * 8),
}


def fit_kind(kind, **params):
    options, X, y = KINDS[kind]
    return model(**{**options, **params}).fit(SEQUENCES[X], y), SEQUENCES[X], y


def outputs(fitted, X, y=None):
    """All that a model says of some inputs, as numbers that move with its weights."""
    parts = [fitted.encode(X).ravel()] if fitted.alignment is None else []
    written = fitted.predict(X)
    if isinstance(written[0], str):
        parts.append(fitted.log_likelihood(X, ["ab"] * len(X)))
        parts.append([len(text) for text in written])
    else:
        parts.append(np.concatenate([np.ravel(out) for out in written]))
    return np.concatenate(parts)


# -- what a prediction depends on

X_OF_ANY_LENGTH = make_sequences(30, lengths=(2, 20))
STRINGS = make_strings(30, lengths=(1, 5))
LONG = np.random.default_rng(2).normal(size=(400, 2))

READERS = {
    "lstm": {"cell": "lstm", "bidirectional": False, "attention": "dot"},
    "rnn": {"cell": "rnn", "go_backwards": True, "bidirectional": False, "initial_state": "learned"},
    "two layers": {"num_layers": 2, "attention": "additive", "input_feeding": True, "context": "both"},
    "no attention": {"attention": None, "n_components": 3},
}


def assert_values_close(actual, expected, err_msg):
    assert [len(out) for out in actual] == [len(out) for out in expected], err_msg
    for a, b in zip(actual, expected, strict=True):
        assert_close(a, b, err_msg)


def check_ways_of_asking(call, compare, in_place=False):
    """Alone, shuffled, beside a long neighbour, many: the same."""
    X = X_OF_ANY_LENGTH
    expected = call(X)
    order = np.random.default_rng(1).permutation(len(X))
    some = [0] if in_place else range(0, len(X), 6)  # samples depend on their place
    compare([call([X[i]])[0] for i in some], [expected[i] for i in some], "alone")
    compare(call([*X, LONG])[:-1], expected, "long neighbour")
    compare(call(X * 20)[:30], expected, "many")
    if not in_place:
        compare(call([X[i] for i in order]), [expected[i] for i in order], "shuffled")
        compare(call(X * 20)[-30:], expected, "many")


WAYS = [
    ("lstm", "stop"),
    ("two layers", "stop"),
    ("rnn", "predict"),
    ("no attention", "predict"),
    ("two layers", "feedback"),
    ("no attention", "input"),
]


@pytest.mark.parametrize(("reader", "length"), WAYS)
def test_values_do_not_depend_on_the_batch(reader, length):
    X = X_OF_ANY_LENGTH
    y = [np.column_stack([x, x])[: 1 + i % 7] for i, x in enumerate(X)]
    way = {"feedback": True} if length == "feedback" else {"output_length": length}
    y = X if length == "input" else y
    fitted = model(**READERS[reader], **way).fit(X, y)
    check_ways_of_asking(fitted.predict, assert_values_close)


def assert_equal(actual, expected, err_msg):
    assert actual == expected, err_msg


@pytest.mark.parametrize("reader", READERS)
def test_symbols_do_not_depend_on_the_batch(reader):
    fitted = model(max_epochs=6, lr=0.03, **READERS[reader]).fit(X_OF_ANY_LENGTH, STRINGS)
    assert len(set(fitted.predict(X_OF_ANY_LENGTH))) > 1
    check_ways_of_asking(fitted.predict, assert_equal)
    check_ways_of_asking(fitted.set_params(beam_width=3).predict, assert_equal)
    check_ways_of_asking(lambda X: fitted.sample(X, n=3, random_state=0), assert_equal, in_place=True)
    check_ways_of_asking(fitted.encode, assert_values_close)

    def n_best(X):
        return [[text for text, _ in best] for best in fitted.predict_n_best(X, n=3)]

    check_ways_of_asking(n_best, assert_equal)
    if fitted.attention is not None:
        check_ways_of_asking(fitted.attention_weights, assert_values_close)
        check_ways_of_asking(lambda X: fitted.attention_weights(X, ["abcab"] * len(X)), assert_values_close)


def test_log_likelihoods_do_not_depend_on_the_batch():
    X, y = X_OF_ANY_LENGTH, STRINGS
    for params in READERS.values():
        fitted = model(**params).fit(X, y)
        expected = fitted.log_likelihood(X, y)
        assert_close([fitted.log_likelihood([x], [text])[0] for x, text in zip(X, y, strict=True)], expected)
        assert_close(fitted.log_likelihood([*X, LONG], [*y, "abc" * 50])[:-1], expected)
        assert_close(fitted.log_likelihood(X * 20, y * 20)[-30:], expected)


def test_transcripts_do_not_depend_on_the_batch():
    y = [text[:2] if text[:2] != text[:1] * 2 else text[:1] for text in STRINGS]
    fitted = model(alignment="ctc", max_epochs=15, lr=0.03).fit(X_OF_ANY_LENGTH, y)
    assert len(set(fitted.predict(X_OF_ANY_LENGTH))) > 1
    check_ways_of_asking(fitted.predict, assert_equal)
    check_ways_of_asking(fitted.set_params(beam_width=4).predict, assert_equal)
    check_ways_of_asking(lambda X: fitted.sample(X, n=2, random_state=3), assert_equal, in_place=True)
    expected = fitted.log_likelihood(X_OF_ANY_LENGTH, y)
    alone = [fitted.log_likelihood([x], [text])[0] for x, text in zip(X_OF_ANY_LENGTH, y, strict=True)]
    assert_close(alone, expected)
    assert_close(fitted.log_likelihood([*X_OF_ANY_LENGTH, LONG], [*y, "ab"])[:-1], expected)


def test_grids_do_not_depend_on_the_batch():
    rng = np.random.default_rng(0)
    X = [rng.normal(size=(*shape, 2)) for shape in rng.integers(2, 6, size=(24, 2))]
    for params in ({}, {"step_network": small_cnn()}):
        fitted = model(input="grid", **params).fit(X, REVERSED)
        expected = fitted.log_likelihood(X, REVERSED)
        alone = [fitted.log_likelihood([x], [text])[0] for x, text in zip(X, REVERSED, strict=True)]
        assert_close(alone, expected)
        assert_close(fitted.log_likelihood([*X, rng.normal(size=(15, 17, 2))], [*REVERSED, "a"])[:-1], expected)


@pytest.mark.parametrize("kind", ["texts", "values"])
def test_early_steps_matter(kind):
    """Every step of an input moves what is written, and no step of another does."""
    X = make_sequences(lengths=(8, 9))
    y = ["abc", "cab"] * 12 if kind == "texts" else make_values(lengths=(3, 4))
    for params in ({}, *READERS.values()):
        fitted = model(**params).fit(X, y)

        def read(X, fitted=fitted):
            return fitted.log_likelihood(X, y)[:, None] if kind == "texts" else np.stack(fitted.predict(X))

        before = read(X)
        for step in (0, 3, 7):
            changed = copy.deepcopy(X)
            changed[5][step] += 20.0
            after = read(changed)
            others = np.arange(len(X)) != 5
            assert_close(after[others], before[others], f"{params}, step {step}")
            assert distance(after[5], before[5]) > MOVED / 10, f"{params}, step {step}"


def test_units_do_not_matter():
    X, y = make_sequences(), make_values()
    expected = model(output_length="predict").fit(X, y)
    other = model(output_length="predict").fit(
        [x * [1e-6, 1e9] + [3.0, -4e9] for x in X], [1e5 * value - 1e8 for value in y]
    )
    moved = [x * [1e-6, 1e9] + [3.0, -4e9] for x in X]
    for a, b in zip(expected.predict(X), other.predict(moved), strict=True):
        np.testing.assert_allclose((b + 1e8) / 1e5, a, atol=1e-3)


# -- randomness, copies, training that goes on


@pytest.mark.parametrize("kind", KINDS)
def test_same_seed_gives_the_same_bits(kind):
    fitted, X, _ = fit_kind(kind, dropout=0.3, input_noise=0.1)
    expected = outputs(fitted, X)
    np.random.rand(3)  # noqa: NPY002, the global generators move on between the fits
    torch.rand(3)
    assert_same(outputs(fit_kind(kind, dropout=0.3, input_noise=0.1)[0], X), expected)
    assert distance(fit_kind(kind, random_state=1)[0].loss_curve_[-1], fitted.loss_curve_[-1]) > 0
    a, b = (fit_kind(kind, random_state=np.random.RandomState(5))[0] for _ in range(2))
    assert_same(outputs(a, X), outputs(b, X))


def test_scheduled_sampling_follows_the_seed():
    for y, params in ((REVERSED, {}), (make_values(), {"feedback": True})):
        fits = [model(teacher_forcing=0.5, **params).fit(TEXTS, y).loss_curve_ for _ in range(2)]
        assert fits[0] == fits[1]


def test_global_generators_are_left_alone():
    def states():
        return np.random.get_state()[1:], torch.get_rng_state(), random.getstate()  # noqa: NPY002, NumPy's global one is meant

    dropping = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Dropout(0.5))  # draws from torch's generator
    (key, *numpy_before), torch_before, python_before = states()
    for kind in KINDS:
        for params in ({"random_state": None}, {"early_stopping": True}):
            fitted, X, y = fit_kind(kind, max_epochs=1, **params)
            outputs(fitted, X)
            if isinstance(fitted.predict(X)[0], str):
                fitted.sample(X, random_state=None)
            pickle.loads(pickle.dumps(fitted))
    model(teacher_forcing=0.5).fit(TEXTS, REVERSED)
    outputs(model(step_network=dropping).fit(make_sequences(), TEXTS), make_sequences())
    (key_after, *numpy_after), torch_after, python_after = states()
    assert_same(key, key_after)
    assert numpy_before == numpy_after
    assert torch.equal(torch_before, torch_after)
    assert python_before == python_after


@pytest.mark.parametrize("kind", KINDS)
def test_copies_write_the_same_bits(kind, tmp_path):
    fitted, X, y = fit_kind(kind)
    expected = outputs(fitted, X)
    joblib.dump(fitted, tmp_path / "model.joblib")
    copies = [
        pickle.loads(pickle.dumps(fitted)),
        copy.deepcopy(fitted),
        clone(fitted).fit(X, y),
        joblib.load(tmp_path / "model.joblib"),
    ]
    for other in copies:
        assert_same(outputs(other, X), expected)
        assert other.loss_curve_ == fitted.loss_curve_
        assert other.n_parameters_ == fitted.n_parameters_
    assert not hasattr(clone(fitted), "net_")
    assert b"torch" not in pickle.dumps(fitted).replace(b"sktime_rnn", b"")
    assert_same(outputs(fitted.fit(X, y), X), expected)


@pytest.mark.parametrize("kind", KINDS)
def test_training_goes_on_after_pickle(kind):
    options, X, y = KINDS[kind]
    X = SEQUENCES[X]
    fitted = model(**options).partial_fit(X, y).partial_fit(X, y)
    before = outputs(fitted, X)
    copies = [pickle.loads(pickle.dumps(fitted)), copy.deepcopy(fitted)]
    expected = outputs(fitted.partial_fit(X, y).partial_fit(X[:10], None if y is None else y[:10]), X)
    assert fitted.n_iter_ == 4
    assert len(expected) != len(before) or distance(expected, before) > 0
    for other in copies:
        assert_same(outputs(other, X), before)
        other.partial_fit(X, y).partial_fit(X[:10], None if y is None else y[:10])
        assert_same(outputs(other, X), expected)


def test_partial_fit_knows_only_the_symbols_of_its_first_call():
    fitted = model().partial_fit(TEXTS, REVERSED)
    fitted.partial_fit([text.replace("a", "z") for text in TEXTS], [text.replace("a", "z") for text in REVERSED])
    assert "z" not in fitted.vocabulary_
    assert "z" not in fitted.output_vocabulary_
    assert set("".join(fitted.predict(TEXTS))) <= {"a", "b", "c"}


def test_warm_start():
    fitted = model(warm_start=True).fit(TEXTS, REVERSED)
    first, curve = fitted.log_likelihood(TEXTS, REVERSED), fitted.loss_curve_
    assert_same(first, model().fit(TEXTS, REVERSED).log_likelihood(TEXTS, REVERSED))
    fitted.fit(TEXTS, REVERSED)
    assert fitted.n_iter_ == 2
    assert fitted.loss_curve_[:1] == curve
    assert distance(fitted.log_likelihood(TEXTS, REVERSED), first) > 0
    other = pickle.loads(pickle.dumps(fitted)).fit(TEXTS, REVERSED)
    fitted.fit(TEXTS, REVERSED)
    assert_same(other.log_likelihood(TEXTS, REVERSED), fitted.log_likelihood(TEXTS, REVERSED))
    for params in (
        {"hidden_size": 9},
        {"attention": "dot"},
        {"attention": None},
        {"n_components": 2},
        {"context": "both"},
    ):
        changed = model(warm_start=True, bidirectional=False).fit(TEXTS, REVERSED).set_params(**params)
        with pytest.raises(
            ValueError, match=f"training that goes on keeps its network.*{[*params][0]}.*changed. Set them"
        ):
            changed.fit(TEXTS, REVERSED)


def test_threads_do_not_disturb_each_other():
    kinds = ["texts to texts", "values to values", "transcripts"]
    settings = [(kind, seed) for kind in kinds for seed in range(2)]
    expected = [outputs(*fit_kind(kind, random_state=seed)[:2]) for kind, seed in settings]
    n_threads = torch.get_num_threads()
    found = {}
    ready = threading.Barrier(len(settings))

    def work(i):
        ready.wait()
        found[i] = outputs(*fit_kind(settings[i][0], random_state=settings[i][1])[:2])

    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(settings))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == list(range(len(settings))), "a thread ended by an error"
    for i, result in found.items():
        assert_same(result, expected[i])
    assert torch.get_num_threads() == n_threads


# -- weights, stopping, callbacks

EXACT = {"precision": "float64", "batch_size": 1024, "dropout": 0.0, "max_epochs": 5}


# what is rare among tokens begins smaller, so that a weight, which makes nothing more frequent, is no repetition there
OF_VALUES = ["values to values", "values to a table", "values to themselves", "transcripts"]


def take(y, indices):
    return None if y is None else y[indices] if isinstance(y, np.ndarray) else [y[i] for i in indices]


@pytest.mark.parametrize("kind", OF_VALUES)
def test_weight_two_equals_repetition(kind):
    options, X, y = KINDS[kind]
    X = SEQUENCES[X]
    weight = np.ones(24)
    weight[:12] = 2.0
    twice = [*range(24), *range(12)]
    weighted = model(**options, **EXACT).fit(X, y, sample_weight=weight)
    repeated = model(**options, **EXACT).fit(take(X, twice), take(y, twice))
    np.testing.assert_allclose(outputs(repeated, X), outputs(weighted, X), rtol=1e-7, atol=1e-7)
    plain = model(**options, **EXACT).fit(X, y)
    assert distance(np.array(plain.loss_curve_), np.array(weighted.loss_curve_)) > 1e-6


@pytest.mark.parametrize("kind", OF_VALUES)
def test_weight_zero_leaves_out(kind):
    options, X, y = KINDS[kind]
    X = SEQUENCES[X]
    weight = np.ones(24)
    weight[[3, 10, 17]] = 0.0
    kept = np.flatnonzero(weight)
    weighted = model(**options).fit(X, y, sample_weight=weight)
    assert_same(outputs(weighted, X), outputs(model(**options).fit(take(X, kept), take(y, kept)), X))


@pytest.mark.parametrize("kind", KINDS)
def test_equal_weights_change_nothing(kind):
    options, X, y = KINDS[kind]
    X = SEQUENCES[X]
    expected = outputs(model(**options).fit(X, y), X)
    assert_same(outputs(model(**options).fit(X, y, sample_weight=np.full(24, 3.0)), X), expected)
    a, b = (model(**options).partial_fit(X, y, sample_weight=weight) for weight in (None, [1.0] * 24))
    assert_same(outputs(a, X), outputs(b, X))
    with pytest.raises(ValueError, match="Sample weights must contain at least one non-zero number"):
        model(**options).fit(X, y, sample_weight=np.zeros(24))


def test_symbols_count_as_their_pairs_weigh():
    """The loss is a mean over symbols and ends, weighted."""
    X = make_sequences()
    nearly_still = {**EXACT, "lr": 1e-12, "max_epochs": 1, "label_smoothing": 0.0}
    unweighted = model(**nearly_still).fit(X, REVERSED)
    n_symbols = np.array([len(text) + 1 for text in REVERSED])
    for weight in (np.where(n_symbols > 3, 5.0, 0.1), np.where(n_symbols > 3, 0.1, 5.0)):
        weighted = model(**nearly_still).fit(X, REVERSED, sample_weight=weight)
        expected = -(weight @ weighted.log_likelihood(X, REVERSED)) / (weight @ n_symbols)
        assert weighted.loss_curve_ == pytest.approx([expected], rel=0.01)  # in training some symbols are unknown
        assert abs(expected - unweighted.loss_curve_[0]) > 0.015 * expected


def test_pairs_of_weight_zero_are_not_learnt_from():
    weight = np.ones(24)
    weight[[3, 10, 17]] = 0.0
    fits = []
    for order in ([3, 10, 17], [17, 3, 10]):
        y = list(REVERSED)
        y[3], y[10], y[17] = (REVERSED[i] for i in order)
        fits.append(model().fit(TEXTS, y, sample_weight=weight))
    assert_same(*(outputs(fitted, TEXTS) for fitted in fits))


class Watching(Callback):
    """Keep what is trained and validated on."""

    def on_epoch_begin(self, net, dataset_train, dataset_valid, **kwargs):
        self.train, self.valid = dataset_train, dataset_valid


def test_groups_stay_together_when_stopping_early():
    groups = np.arange(24) // 3
    watching = Watching()
    fitted = model(early_stopping=True, validation_fraction=0.25, callbacks=[watching])
    fitted.fit(TEXTS, REVERSED, groups=groups)
    valid = set(watching.valid.groups)
    assert len(valid) == 2
    assert valid.isdisjoint(watching.train.groups)
    assert len(watching.valid) == 6
    with pytest.raises(
        ValueError, match="groups decide which sequences early stopping validates on and need early_stop"
    ):
        model().fit(TEXTS, REVERSED, groups=groups)
    with pytest.raises(ValueError, match="groups must hold one group for each of the 24 sequences of X, got shape"):
        model(early_stopping=True).fit(TEXTS, REVERSED, groups=groups[:5])


@pytest.mark.parametrize("kind", ["texts to texts", "values to values", "transcripts"])
def test_early_stopping_keeps_the_best_weights(kind):
    params = {"early_stopping": True, "validation_fraction": 0.4, "lr": 0.05, "lr_schedule": "constant", "tol": 0.0}
    stopped, X, y = fit_kind(kind, **params, n_iter_no_change=6, max_epochs=60)
    best = int(np.argmax(stopped.validation_scores_))
    assert stopped.n_iter_ == len(stopped.validation_scores_) == best + 7 < 60
    exact = fit_kind(kind, **params, n_iter_no_change=60, max_epochs=best + 1)[0]
    assert_same(outputs(stopped, X), outputs(exact, X))


def test_partial_fit_refuses_early_stopping():
    with pytest.raises(
        ValueError, match="partial_fit trains for one epoch .* needs early_stopping=False, got True. Call"
    ):
        model(early_stopping=True).partial_fit(TEXTS, REVERSED)


class Counting(Callback):
    def __init__(self):
        self.n_batches = self.n_epochs = 0

    def on_batch_end(self, net, training=False, **kwargs):
        self.n_batches += training

    def on_epoch_end(self, net, **kwargs):
        self.n_epochs += 1


def test_callbacks():
    counting = Counting()
    fitted = model(max_epochs=3, callbacks=[("counting", counting)]).fit(TEXTS, REVERSED)
    assert (counting.n_epochs, counting.n_batches) == (3, 9)
    assert len(fitted.history_) == fitted.n_iter_ == 3
    halved = model(max_epochs=3, callbacks=[HalveWeights()]).fit(TEXTS, REVERSED)
    assert abs(halved.encode(TEXTS)).max() < abs(fitted.encode(TEXTS)).max()


class CtrlC(Callback):
    def on_epoch_begin(self, net, **kwargs):
        if len(net.history) == 3:
            signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("kind", ["texts to texts", "values to values", "transcripts"])
def test_ctrl_c_keeps_what_was_learnt(kind):
    options, X, y = KINDS[kind]
    X = SEQUENCES[X]
    fitted = model(max_epochs=20, lr_schedule="constant", callbacks=[CtrlC()], **options)
    with pytest.raises(KeyboardInterrupt):
        fitted.fit(X, y)
    check_is_fitted(fitted)
    assert fitted.n_iter_ == 2
    expected = model(max_epochs=2, lr_schedule="constant", **options).fit(X, y)
    assert_same(outputs(fitted, X), outputs(expected, X))


# -- scikit-learn's tools


def test_grid_search_over_the_search_and_the_network():
    grid = {"beam_width": [1, 3], "hidden_size": [4, 8]}
    search = GridSearchCV(model(), grid, cv=3, error_score="raise").fit(TEXTS, REVERSED)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert len(search.predict(TEXTS)) == 24
    assert search.score(TEXTS, REVERSED) == search.best_estimator_.score(TEXTS, REVERSED)
    X, y = np.stack(make_sequences(lengths=(5, 6))), np.random.default_rng(0).normal(size=(24, 3))
    search = GridSearchCV(model(), {"hidden_size": [4, 8]}, cv=3, error_score="raise").fit(X, y)
    assert search.predict(X).shape == (24, 3)
    numbers = GridSearchCV(model(), {"attention": [None, "general"]}, cv=2, error_score="raise")
    assert numbers.fit(make_sequences(), make_values()).best_score_ < 1
    tokens = GridSearchCV(model(), {"tokenizer": ["char", "word", ("char", "word")]}, cv=2, error_score="raise")
    assert len(tokens.fit(TEXTS, REVERSED).cv_results_["mean_test_score"]) == 3


def test_cross_validation():
    scores = cross_val_score(model(), TEXTS, REVERSED, cv=KFold(3), error_score="raise")
    folds = list(KFold(3).split(TEXTS))
    for score, (train, test) in zip(scores, folds, strict=True):
        fitted = model().fit([TEXTS[i] for i in train], [REVERSED[i] for i in train])
        assert score == fitted.score([TEXTS[i] for i in test], [REVERSED[i] for i in test])
    arrays = cross_val_score(model(), np.array(TEXTS), np.array(REVERSED), cv=KFold(3), error_score="raise")
    assert_same(arrays, scores)
    groups = np.arange(24) // 3
    by_group = cross_val_score(
        model(), check_sequences(make_sequences()), make_values(), groups=groups, cv=GroupKFold(3), error_score="raise"
    )
    assert np.isfinite(by_group).all()
    table = np.random.default_rng(0).normal(size=(24, 3))
    assert cross_val_predict(model(), make_sequences(), table, cv=3).shape == (24, 3)


def test_pipeline_of_scaled_steps():
    X = make_sequences(n_features=3)
    pipe = make_pipeline(TimeDistributed(StandardScaler()), model()).fit(X, REVERSED)
    scaled = pipe[:-1].transform(X)
    assert pipe.predict(X) == model().fit(scaled, REVERSED).predict(scaled)
    assert pipe.transform(X) == pipe.predict(X)
    assert pipe.score(X, REVERSED) == pipe[-1].score(scaled, REVERSED)
    weight = np.linspace(0.5, 1.5, 24)
    weighted = pipe.fit(X, REVERSED, seq2seqtransformer__sample_weight=weight)
    assert_same(
        weighted[-1].log_likelihood(scaled, REVERSED),
        model().fit(scaled, REVERSED, sample_weight=weight).log_likelihood(scaled, REVERSED),
    )


def test_encodings_are_features_of_another_estimator():
    X = make_sequences(60)
    X = [x + 3 * (i % 2) for i, x in enumerate(X)]
    y = np.array(["low", "high"])[np.arange(60) % 2]
    pipe = make_pipeline(model(output="encoding", n_components=2), LogisticRegression())
    grid = {"seq2seqtransformer__n_components": [2, 4], "logisticregression__C": [0.1, 10.0]}
    search = GridSearchCV(pipe, grid, cv=2, error_score="raise").fit(X, y)
    assert search.score(X, y) > 0.9
    assert search.best_estimator_[:-1].transform(X).shape[1] == search.best_params_["seq2seqtransformer__n_components"]
    named = make_pipeline(model(output="encoding", n_components=2), StandardScaler()).set_output(transform="pandas")
    assert list(named.fit_transform(X, y).columns) == ["seq2seqtransformer0", "seq2seqtransformer1"]


# -- attention


@pytest.mark.parametrize("attention", ["additive", "dot", "general"])
def test_attention_weights(attention):
    for y in (REVERSED, make_values()):
        fitted = model(attention=attention, bidirectional=False).fit(TEXTS, y)
        written, weights = fitted.predict(TEXTS, return_attention=True)
        assert len(written) == len(weights) == 24
        for x, out, weight in zip(TEXTS, written, weights, strict=True):
            assert weight.shape == (len(out), len(x))
            assert weight.dtype == np.float64
            np.testing.assert_allclose(weight.sum(axis=1), 1, atol=1e-6)
            assert (weight >= 0).all()
        for a, b in zip(weights, fitted.attention_weights(TEXTS), strict=True):
            assert_same(a, b)
        if isinstance(y[0], str):
            for a, b in zip(weights, fitted.attention_weights(TEXTS, written), strict=True):
                assert_same(a, b)
        for true, x, weight in zip(y, TEXTS, fitted.attention_weights(TEXTS, y), strict=True):
            assert weight.shape == (len(true), len(x))


def test_attention_over_the_cells_of_grids():
    X = np.random.default_rng(0).normal(size=(24, 3, 4))
    weights = model(input="grid").fit(X, TEXTS).attention_weights(X, TEXTS)
    assert [weight.shape for weight in weights] == [(len(text), 12) for text in TEXTS]


def test_attention_learns_where_to_look():
    """To reverse a text is to look at it from its end."""
    X = make_strings(200, lengths=(3, 6), letters="abcdef")
    fitted = model(hidden_size=24, max_epochs=25, lr=0.02, batch_size=32, dropout=0.0, attention="additive")
    weights = fitted.fit(X, backwards(X)).attention_weights(["abcde", "fedcba"])
    assert [np.abs(weight.argmax(axis=1) - np.arange(len(weight))[::-1]).mean() < 1.5 for weight in weights] == [
        True
    ] * 2


def test_attention_that_is_not_there_is_refused():
    fitted = model(attention=None).fit(TEXTS, REVERSED)
    for call in (lambda: fitted.predict(TEXTS, return_attention=True), lambda: fitted.attention_weights(TEXTS)):
        with pytest.raises(
            ValueError, match="attention weights need a network with attention, got attention=None. Fit with"
        ):
            call()
    speech = model(alignment="ctc").fit(make_sequences(), ["a"] * 24)
    with pytest.raises(ValueError, match="attention needs a decoder, which alignment='ctc' does not have. Fit with"):
        speech.attention_weights(make_sequences())


# -- searches and probabilities


@pytest.fixture(scope="module")
def writer():
    """A model of texts that is unsure of some."""
    return small(Seq2SeqTransformer(), max_epochs=12, lr=0.02).fit(TEXTS, REVERSED)


def step_log_probabilities(fitted, x, y):
    """Run the decoder alone, a step at a time, and return the log-probability of each symbol of y and of the end."""
    read = {token: code for code, token in enumerate(fitted.vocabulary_)}
    symbols = {token: code for code, token in enumerate(fitted.output_vocabulary_)}
    module = fitted.module_.eval()
    with torch.no_grad():
        memory = module.read(torch.tensor([[read[token] for token in x]]), torch.tensor([len(x)]))
        hypotheses = Hypotheses(module, memory, 1)
        before, found = hypotheses.begin, []
        for token in [*y, "<end>"]:
            log_proba = hypotheses.step(torch.tensor([[before]]))[0, 0]
            before = symbols[token]
            found.append(log_proba[before].item())
    return found


def test_log_likelihood_and_perplexity_by_hand(writer):
    truth = [*REVERSED[:-1], "abcab"]
    steps = [step_log_probabilities(writer, x, y) for x, y in zip(TEXTS, truth, strict=True)]
    found = writer.log_likelihood(TEXTS, truth)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, [sum(part) for part in steps], rtol=1e-5)
    assert writer.perplexity(TEXTS, truth) == pytest.approx(np.exp(-np.concatenate(steps).mean()), rel=1e-5)


def test_greedy_takes_the_most_probable_symbol(writer):
    longest = 2 * max(map(len, REVERSED))
    for x, out in zip(TEXTS[::3], writer.predict(TEXTS[::3]), strict=True):
        for n in range(min(len(out) + 1, longest)):
            among = {symbol: step_log_probabilities(writer, x, out[:n] + symbol)[n] for symbol in ("a", "b", "c", "")}
            assert max(among, key=among.get) == out[n : n + 1]


def test_beams(writer):
    greedy = writer.predict(TEXTS)
    likelihood = {1: writer.log_likelihood(TEXTS, greedy).mean()}
    fitted = copy.deepcopy(writer).set_params(length_penalty=0.0)
    for width in (2, 5, 30):
        wide = fitted.set_params(beam_width=width).predict(TEXTS)
        likelihood[width] = fitted.log_likelihood(TEXTS, wide).mean()
    assert likelihood[1] <= likelihood[2] <= likelihood[5] + 1e-9
    assert likelihood[1] < likelihood[30]
    assert likelihood[5] <= likelihood[30] + 1e-9
    assert fitted.set_params(beam_width=1).predict(TEXTS) == greedy
    assert [text for ((text, _),) in fitted.predict_n_best(TEXTS, n=1)] == greedy


def test_longer_outputs_are_preferred_by_a_larger_penalty(writer):
    fitted = copy.deepcopy(writer).set_params(beam_width=8)
    lengths = [
        np.mean([len(text) for text in fitted.set_params(length_penalty=alpha).predict(TEXTS)])
        for alpha in (0.0, 1.0, 5.0)
    ]
    assert lengths[0] <= lengths[1] <= lengths[2]
    assert lengths[0] < lengths[2]


def test_n_best_outputs(writer):
    fitted = copy.deepcopy(writer).set_params(length_penalty=0.0)
    for x, best in zip(TEXTS, fitted.predict_n_best(TEXTS, n=4), strict=True):
        texts, log_proba = zip(*best, strict=True)
        assert len(set(texts)) == len(best) == 4
        assert {type(p) for p in log_proba} == {float}
        assert list(log_proba) == sorted(log_proba, reverse=True)
        np.testing.assert_allclose(log_proba, fitted.log_likelihood([x] * 4, list(texts)), rtol=1e-4)
    first = [best[0][0] for best in fitted.predict_n_best(TEXTS, n=4)]
    assert first == fitted.set_params(beam_width=4).predict(TEXTS)
    penalised = writer.predict_n_best(TEXTS[:1], n=6)[0]
    ranks = [p / ((5 + len(text) + 1) / 6) for text, p in penalised]
    assert ranks == sorted(ranks, reverse=True)


def test_more_outputs_than_there_are(writer):
    """Of at most one symbol there are four: three letters and none."""
    fitted = copy.deepcopy(writer).set_params(max_length=1, length_penalty=0.0)
    for x, best in zip(TEXTS[:5], fitted.predict_n_best(TEXTS[:5], n=50), strict=True):
        assert sorted(text for text, _ in best) == ["", "a", "b", "c"]
        texts, log_proba = zip(*best, strict=True)
        np.testing.assert_allclose(log_proba, fitted.log_likelihood([x] * 4, list(texts)), rtol=1e-4)


def test_numbers_of_outputs_are_whole_and_above_zero(writer):
    for n in (0, -1):
        with pytest.raises(ValueError, match="n must be .*got"):
            writer.predict_n_best(TEXTS, n=n)


def test_samples(writer):
    drawn = writer.sample(TEXTS, n=5, random_state=0)
    assert [len(texts) for texts in drawn] == [5] * 24
    assert {type(text) for texts in drawn for text in texts} == {str}
    assert writer.sample(TEXTS, n=5, random_state=0) == drawn
    assert writer.sample(TEXTS, n=5, random_state=1) != drawn
    assert writer.sample(TEXTS, n=5, random_state=np.random.RandomState(3)) == writer.sample(
        TEXTS, n=5, random_state=np.random.RandomState(3)
    )
    assert len(writer.sample(TEXTS)[0]) == 1
    assert len({tuple(texts) for texts in writer.sample(["abc"] * 10, n=5, random_state=0)}) > 1  # places differ
    assert writer.sample(TEXTS[:3], n=5, random_state=0) == drawn[:3]


@pytest.mark.parametrize("sure", [{"top_k": 1}, {"top_p": 1e-9}, {"temperature": 1e-6}])
def test_samples_of_the_most_probable_symbols_are_greedy(writer, sure):
    greedy = writer.predict(TEXTS)
    assert [texts[1] for texts in writer.sample(TEXTS, n=2, random_state=0, **sure)] == greedy


def test_samples_are_as_frequent_as_probable(writer):
    fitted = copy.deepcopy(writer).set_params(max_length=1)
    outcomes = ["", "a", "b", "c"]
    log_proba = fitted.log_likelihood(["abc"] * 4, outcomes)
    first = np.array([step_log_probabilities(fitted, "abc", y)[0] for y in outcomes])
    assert (log_proba[1:] < first[1:]).all()  # the end is not sure, and must come all the same
    for params, expected in (
        ({}, np.exp(first)),
        ({"temperature": 2.0}, np.exp(first / 2) / np.exp(first / 2).sum()),
        ({"top_k": 2}, np.where(first >= np.sort(first)[-2], np.exp(first), 0)),
    ):
        (drawn,) = fitted.sample(["abc"], n=4000, random_state=0, **params)
        share = [drawn.count(text) / 4000 for text in outcomes]
        np.testing.assert_allclose(share, expected / expected.sum(), atol=0.03, err_msg=str(params))


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"n": 0}, "n must be above 0, got 0. Correct it"),
        ({"temperature": 0.0}, "temperature must be above 0, got 0.0"),
        ({"top_k": 0}, "top_k must be above 0, got 0"),
        ({"top_p": 0.0}, r"top_p must be in \(0, 1\], got 0.0"),
        ({"top_p": 1.5}, r"top_p must be in \(0, 1\], got 1.5"),
    ],
)
def test_what_cannot_be_drawn_is_refused(writer, params, words):
    with pytest.raises(ValueError, match=words):
        writer.sample(TEXTS, **params)


@pytest.mark.parametrize("method", ["predict_n_best", "sample", "log_likelihood", "perplexity"])
def test_values_have_no_probabilities(method):
    fitted = model().fit(TEXTS, make_values())
    more = (make_values(),) if method in ("log_likelihood", "perplexity") else ()
    with pytest.raises(ValueError, match=f"{method} needs outputs that are symbols, .* got values. Use predict"):
        getattr(fitted, method)(TEXTS, *more)


@pytest.mark.parametrize("beam_width", [1, 4])
def test_limits_of_symbols(writer, beam_width):
    fitted = copy.deepcopy(writer).set_params(beam_width=beam_width)
    for shortest, longest in ((4, 4), (3, 6), (0, 1), (9, 12)):
        fitted.set_params(min_length=shortest, max_length=longest)
        drawn = [text for texts in fitted.sample(TEXTS, n=2, random_state=0) for text in texts]
        best = [text for found in fitted.predict_n_best(TEXTS, n=2) for text, _ in found]
        assert {len(text) for text in fitted.predict(TEXTS) + drawn + best} <= set(range(shortest, longest + 1))


@pytest.mark.parametrize("beam_width", [1, 4])
@pytest.mark.parametrize("n", [1, 2, 3])
def test_runs_of_symbols_are_not_repeated(writer, n, beam_width):
    fitted = copy.deepcopy(writer).set_params(
        beam_width=beam_width, no_repeat_ngram_size=n, min_length=20, max_length=30
    )
    for text in fitted.predict(TEXTS) + [text for texts in fitted.sample(TEXTS, random_state=0) for text in texts]:
        runs = [text[i : i + n] for i in range(len(text) - n + 1)]
        assert len(set(runs)) == len(runs)
        if n == 1:  # there are three symbols: it ends before its shortest length, since nothing else is left
            assert sorted(text) == ["a", "b", "c"]


# -- how long outputs are


def test_lengths_are_chosen_by_y():
    X = make_sequences()
    assert {len(out) for out in model().fit(X, make_values(lengths=(4, 5))).predict(X)} == {4}
    assert {len(out) for out in model().fit(X, list(np.ones((24, 4)))).predict(make_sequences(lengths=(20, 30)))} == {4}
    aligned = model().fit(X, [x[:, :1] for x in X])
    longer = make_sequences(lengths=(20, 30), seed=1)
    assert [len(out) for out in aligned.predict(longer)] == [len(x) for x in longer]
    free = model(output_length="stop").fit(X, [x[:, :1] for x in X])
    assert [len(out) for out in free.predict(longer)] != [len(x) for x in longer]


@pytest.mark.parametrize("output_length", [3, "input"])
def test_given_lengths(output_length):
    X = make_sequences(lengths=(3, 4)) if output_length == 3 else make_sequences()
    longer = make_sequences(lengths=(5, 12), seed=1)
    needed = [3] * 24 if output_length == 3 else [len(x) for x in longer]
    for y in (X, ["abc"[: len(x)].ljust(len(x), "c") for x in X]):
        for beam_width in (1, 3) if isinstance(y[0], str) else (1,):
            fitted = model(output_length=output_length, beam_width=beam_width).fit(X, y)
            assert [len(out) for out in fitted.predict(longer)] == needed
            if isinstance(y[0], str):
                assert [len(out) for (out,) in fitted.sample(longer, random_state=0)] == needed
                assert [len(out) for best in fitted.predict_n_best(longer, n=1) for out, _ in best] == needed


@pytest.mark.parametrize("output_length", ["stop", "predict"])
def test_values_learn_how_long_they_are(output_length):
    """Twice as long as the input, which is a count."""
    rng = np.random.default_rng(0)
    X = [rng.normal(size=(n, 1)) for n in rng.integers(1, 6, size=120)]
    y = [np.repeat(x, 2, axis=0) for x in X]
    fitted = model(hidden_size=16, max_epochs=40, lr=0.02, batch_size=32, dropout=0.0, output_length=output_length)
    found = np.array([len(out) for out in fitted.fit(X[:90], y[:90]).predict(X[90:])])
    assert np.mean(found == [len(true) for true in y[90:]]) > 0.7
    held = fitted.set_params(min_length=4, max_length=6).predict(X)
    assert {len(out) for out in held} <= {4, 5, 6}


def test_outputs_may_be_longer_than_any_in_fit():
    """As many steps an input step as the most in fit, and at least twice the longest."""
    X = make_strings(lengths=(1, 4))
    for y in (X, [np.ones(len(x)) * np.arange(1, len(x) + 1) for x in X]):
        fitted = model(output_length="stop").fit(X, y)
        never = copy.deepcopy(fitted)
        with torch.no_grad():  # the end never comes
            bias = never.module_.head.linear.bias
            bias[1] -= 1e4
        longest = max(map(len, y))
        assert [len(out) for out in never.predict(["a", "abc" * 10])] == [2 * longest, 30]
        assert [len(out) for out in never.set_params(max_length=7).predict(["a", "abc" * 10])] == [7, 7]


def test_copies_of_longer_texts_than_any_in_fit():
    X = make_strings(300, lengths=(1, 5))
    params = {"hidden_size": 24, "max_epochs": 30, "lr": 0.02, "batch_size": 32, "dropout": 0.0}
    fitted = model(**params, output_length="input").fit(X, X)
    longer = make_strings(50, lengths=(5, 8), seed=1)
    assert [len(out) for out in fitted.predict(longer)] == [len(text) for text in longer]
    assert fitted.score(longer, longer) > 0.6


# -- training


def test_teacher_forcing_schedules():
    for y, params in ((REVERSED, {}), (make_values(), {"feedback": True})):
        assert model(**params).fit(TEXTS, y).history_[:, "teacher_forcing"] == [1.0]
        for schedule, curve in FORCING_SCHEDULES.items():
            fitted = model(teacher_forcing=0.2, teacher_forcing_schedule=schedule, max_epochs=4, **params).fit(TEXTS, y)
            ratios = fitted.history_[:, "teacher_forcing"]
            # 3 batches an epoch: the ratio of the last of them
            assert ratios == pytest.approx([0.2 + 0.8 * curve((3 * epoch + 2) / 12) for epoch in range(4)], abs=0.1)
            assert ratios == sorted(ratios, reverse=True)
            assert 0.2 <= ratios[-1] < 0.35
            assert np.isfinite(fitted.score(TEXTS, y))


def test_own_outputs_are_read_in_training():
    losses = [
        model(teacher_forcing=ratio, dropout=0.0, max_epochs=1, batch_size=24).fit(TEXTS, REVERSED).loss_curve_[0]
        for ratio in (1.0, 0.0)
    ]
    assert losses[0] != losses[1]
    free = [
        model(teacher_forcing=ratio, feedback=True, dropout=0.0, max_epochs=3)
        .fit(TEXTS, make_values())
        .score(TEXTS, make_values())
        for ratio in (1.0, 0.0)
    ]
    assert free[0] != free[1]


def test_feedback_is_read():
    """A random walk of free steps is known from its last value, not from the input."""
    X = np.random.default_rng(0).normal(size=(100, 1, 1))
    y = X[:, :1, 0] * 0.8 ** np.arange(6)
    for feedback in (True, False):
        fitted = model(feedback=feedback, max_epochs=30, lr=0.02, batch_size=32, dropout=0.0, hidden_size=16)
        assert fitted.fit(X[:80], y[:80]).score(X[80:], y[80:]) > 0.9


def test_ways_of_attention_and_context_are_different_models():
    found = {}
    for attention in (None, "additive", "general"):
        for context in ("state", "steps", "both"):
            for n_components in (None, 3):
                params = {"attention": attention, "context": context, "n_components": n_components}
                fitted = model(**params).fit(TEXTS, REVERSED)
                found[tuple(params.values())] = fitted.log_likelihood(TEXTS, REVERSED).sum()
                assert fitted.encode(TEXTS).shape == (24, n_components or 16)
    assert len(set(found.values())) == 18
    auto = model().fit(TEXTS, REVERSED).log_likelihood(TEXTS, REVERSED).sum()
    assert auto == found["additive", "state", None]
    losses = [model(attention=name).fit(TEXTS, make_values()).loss_curve_ for name in ("auto", "general")]
    assert losses[0] == losses[1]
    alone = model(attention=None).fit(TEXTS, REVERSED).log_likelihood(TEXTS, REVERSED).sum()
    assert alone == found[None, "both", None]


def test_cells():
    for cell in ("gru", "lstm", "rnn", GRUCell, GRUCell()):
        for num_layers in (1, 2):
            fitted = model(cell=cell, num_layers=num_layers, max_epochs=1).fit(TEXTS, REVERSED)
            assert np.isfinite(fitted.log_likelihood(TEXTS, REVERSED)).all()
            assert_same(
                pickle.loads(pickle.dumps(fitted)).log_likelihood(TEXTS, REVERSED),
                fitted.log_likelihood(TEXTS, REVERSED),
            )


@pytest.mark.parametrize("kind", KINDS)
def test_precisions(kind):
    expected, X, y = fit_kind(kind)
    double = fit_kind(kind, precision="float64")[0]
    assert {weight.dtype for weight in double.module_.parameters()} == {torch.float64}
    assert np.isfinite(outputs(double, X)).all()
    half = fit_kind(kind, precision="bfloat16")[0]
    assert {weight.dtype for weight in half.module_.parameters()} == {torch.float32}
    np.testing.assert_allclose(half.loss_curve_, expected.loss_curve_, rtol=0.05)
    assert np.isfinite(outputs(half, X)).all()
    assert np.isfinite(half.score(X, y))
    if isinstance(half.predict(X)[0], str):
        assert len(half.set_params(beam_width=3).predict(X)) == 24
        assert np.isfinite([p for best in half.predict_n_best(X, n=2) for _, p in best]).all()
        assert len(half.sample(X, random_state=0)) == 24


def test_missing_values_of_X():
    X = make_sequences()
    X[3][1, 0] = np.nan
    for y in (REVERSED, make_values()):
        fitted = model(missing="mask").fit(X, y)
        assert np.isfinite(fitted.encode(X)).all()
        filled = copy.deepcopy(X)
        filled[3][1, 0] = 0.0
        assert distance(fitted.encode(filled)[3], fitted.encode(X)[3]) > 0
        with pytest.raises(ValueError, match="X.*sample 3"):
            model().fit(X, y)
    grid = np.random.default_rng(0).normal(size=(24, 3, 4))
    grid[2, 1, 1] = np.nan
    assert np.isfinite(model(missing="mask", input="grid").fit(grid, TEXTS).encode(grid)).all()


def test_missing_values_are_reconstructed():
    X = make_sequences(lengths=(4, 5))
    X[3][1, 0] = np.nan
    for feedback in (False, True):
        fitted = model(missing="mask", output="encoding", feedback=feedback, max_epochs=3).fit(X)
        assert np.isfinite(fitted.loss_curve_).all()
        assert np.isfinite(np.stack(fitted.predict(X))).all()
        assert np.isfinite(fitted.score(X))
    with pytest.raises(ValueError, match="y.*sample 3"):
        model(missing="mask").fit(X, X)


def test_embeddings():
    """Given vectors are where training starts; tokens that only they know are told apart."""
    rng = np.random.default_rng(1)
    vectors = {token: rng.normal(size=6) for token in "abxy"}
    fitted = model(embeddings=vectors).fit(TEXTS, REVERSED)
    assert set(fitted.vocabulary_[1:]) == set("abcxy")
    assert set(fitted.output_vocabulary_[2:]) == set("abc")  # they are of X alone
    codes = {token: code for code, token in enumerate(fitted.vocabulary_)}
    weights = fitted.module_.encoder.embedding.embedding.weight.detach().numpy()
    assert weights.shape[1] == 6
    for token in "xy":  # never seen, never trained
        np.testing.assert_allclose(weights[codes[token]], vectors[token], rtol=1e-6)
    C = fitted.encode(["ax", "ay", "a?", "a!"])
    assert distance(C[0], C[1]) > 0
    assert distance(C[0], C[2]) > 0
    assert_same(C[2], C[3])


# -- vectors, grids, autoencoders


def small_cnn():
    return seeded_module(
        torch.nn.Sequential, ChannelsFirst(), torch.nn.Conv2d(2, 3, 2), torch.nn.ReLU(), ChannelsLast()
    )


class ChannelsFirst(torch.nn.Module):
    def forward(self, X):
        return X.movedim(3, 1)


class ChannelsLast(torch.nn.Module):
    def forward(self, X):
        return X.movedim(1, 3)


def test_one_vector_becomes_a_sequence():
    X = np.random.default_rng(0).normal(size=(24, 5))
    for y in (TEXTS, make_values(), np.ones((24, 3))):
        fitted = model(input="vector").fit(X, y)
        assert fitted.n_features_in_ == 5
        assert fitted.encode(X).shape == (24, 5)  # the vector itself, standardised
        np.testing.assert_allclose(fitted.encode(X), (X - X.mean(0)) / X.std(0), atol=1e-5)
        expected = outputs(fitted, X)
        for container in (list(X), X.tolist(), torch.from_numpy(X)):
            assert_same(outputs(model(input="vector").fit(container, y), container), expected)
    assert model(input="vector", n_components=2).fit(X, TEXTS).encode(X).shape == (24, 2)
    alone = model(input="vector").fit(X, TEXTS)
    assert_close(
        [alone.log_likelihood(X[i : i + 1], ["ab"])[0] for i in range(24)], alone.log_likelihood(X, ["ab"] * 24)
    )


def test_grids_are_read_cell_by_cell():
    X = np.random.default_rng(0).normal(size=(24, 4, 3))
    expected = model().fit(X.reshape(24, 12, 1), TEXTS).log_likelihood(X.reshape(24, 12, 1), TEXTS)
    for container in (X, X[:, :, :, None], list(X)):
        assert_same(model(input="grid").fit(container, TEXTS).log_likelihood(container, TEXTS), expected)
    assert_same(model(input="grid").fit(check_sequences(X, input="grid"), TEXTS).log_likelihood(X, TEXTS), expected)


def test_grids_through_a_step_network():
    rng = np.random.default_rng(0)
    ragged = [rng.normal(size=(*shape, 2)) for shape in rng.integers(2, 6, size=(24, 2))]
    network = small_cnn()
    for X in (rng.normal(size=(24, 4, 3, 2)), ragged):
        fitted = model(input="grid", step_network=network).fit(X, TEXTS)
        sizes = [((x.shape[0] - 1) * (x.shape[1] - 1)) for x in X]
        assert [weight.shape[1] for weight in fitted.attention_weights(X, TEXTS)] == sizes
        assert len(fitted.predict(X)) == 24
        assert_same(
            model(input="grid", step_network=network).fit(X, TEXTS).log_likelihood(X, TEXTS),
            fitted.log_likelihood(X, TEXTS),
        )
        again = pickle.loads(pickle.dumps(fitted))
        assert_same(again.log_likelihood(X, TEXTS), fitted.log_likelihood(X, TEXTS))
        trained = fitted.module_.encoder.grid_network.module.state_dict()
        assert all(not torch.equal(weight, trained[name]) for name, weight in network.state_dict().items())
    vector = seeded_module(torch.nn.Sequential, torch.nn.Flatten(), torch.nn.Linear(24, 3))
    X = rng.normal(size=(24, 4, 3, 2))
    assert model(input="grid", step_network=vector).fit(X, TEXTS).attention_weights(X, TEXTS)[0].shape[1] == 1


def test_step_network_of_sequences():
    X = make_sequences(n_features=3)
    network = seeded_module(torch.nn.Linear, 3, 4)
    fitted = model(step_network=network).fit(X, REVERSED)
    expected = fitted.log_likelihood(X, REVERSED)
    assert_close([fitted.log_likelihood([x], [y])[0] for x, y in zip(X, REVERSED, strict=True)], expected)
    assert fitted.step_network is network
    assert not any(parameter.grad is not None for parameter in network.parameters())


def test_y_is_ignored_where_X_is_reconstructed():
    X = make_sequences()
    for params in ({"output": "encoding"}, {"reconstruct": True}, {"output": "encoding", "reconstruct": True}):
        expected = model(**params).fit(X)
        for y in (np.arange(24), ["low", "high"] * 12, [None] * 24):
            assert_same(model(**params).fit(X, y).encode(X), expected.encode(X))
    assert_same(model().fit(X).encode(X), model(reconstruct=True).fit(X).encode(X))
    used = model(output="encoding", reconstruct=False)
    assert distance(used.fit(X, np.arange(24)).encode(X), clone(used).fit(X, np.ones(24)).encode(X)) > 0
    for params in ({}, {"output": "encoding"}):
        with pytest.raises(
            ValueError, match="y must be passed when reconstruct=False, got None. Pass one output for each"
        ):
            model(reconstruct=False, **params).fit(X)


AUTOENCODER = {"output": "encoding", "hidden_size": 16, "max_epochs": 40, "lr": 0.02, "batch_size": 32, "dropout": 0.0}


def test_autoencoders_reproduce_their_data():
    rng = np.random.default_rng(0)
    t = np.linspace(0, 3, 12)
    amounts = rng.uniform(-1, 1, size=(150, 2))
    X = 100 + 30 * (amounts[:, :1] * np.sin(t) + amounts[:, 1:] * np.cos(2 * t))
    fitted = model(**AUTOENCODER, n_components=4).fit(X[:100])
    C = fitted.transform(X[100:])
    assert C.shape == (50, 4)
    back = fitted.inverse_transform(C)
    assert back.shape == (50, 12)
    assert back.dtype == np.float64
    assert 1 - ((back - X[100:]) ** 2).sum() / ((X[100:] - X[100:].mean()) ** 2).sum() > 0.9
    assert_close(back, fitted.predict(X[100:]))
    assert fitted.score(X[100:]) > 0.9
    assert_same(fitted.inverse_transform(C.tolist()), back)
    assert_close(np.concatenate([fitted.inverse_transform(C[i : i + 1]) for i in range(5)]), back[:5])
    frame = fitted.set_output(transform="pandas").transform(X[100:])
    assert_close(fitted.inverse_transform(frame.to_numpy()), back)


def test_autoencoders_of_texts():
    X = make_strings(150, lengths=(1, 4))
    fitted = model(**AUTOENCODER).fit(X)
    back = fitted.inverse_transform(fitted.transform(X))
    assert {type(text) for text in back} == {str}
    assert np.mean([a == b for a, b in zip(back, X, strict=True)]) > 0.9
    assert back == fitted.predict(X)
    beams = fitted.set_params(beam_width=3)
    assert beams.inverse_transform(beams.transform(X)) == beams.predict(X)


def test_ragged_autoencoders():
    X = make_sequences()
    fitted = model(output="encoding").fit(X)
    for a, b in zip(fitted.inverse_transform(fitted.transform(X)), fitted.predict(X), strict=True):
        assert a.shape == b.shape
        assert_close(a, b)


def test_context_vectors_that_say_not_enough_are_refused():
    X = make_sequences()
    words = "inverse_transform needs a decoder that sees nothing of the input but the context vector, got one that"
    for params, y in (({}, REVERSED), ({"attention": None, "output_length": "input"}, X)):
        fitted = model(**params).fit(X, y)
        with pytest.raises(ValueError, match=words):
            fitted.inverse_transform(fitted.encode(X))
    with pytest.raises(ValueError, match="inverse_transform needs a decoder, which alignment='ctc' does not have"):
        model(alignment="ctc").fit(X, ["a"] * 24).inverse_transform(np.zeros((2, 16)))
    encoding = model(output="encoding", n_components=3).fit(X)
    with pytest.raises(ValueError, match="X must have 3 columns, as encode gives, got 4. Pass context vectors"):
        encoding.inverse_transform(np.zeros((2, 4)))
    with pytest.raises(ValueError, match="NaN"):
        encoding.inverse_transform(np.full((2, 3), np.nan))


# -- transcripts


@pytest.fixture(scope="module")
def transcriber():
    texts = make_strings(120, lengths=(1, 5))
    X = make_speech(texts)
    fitted = small(
        Seq2SeqTransformer(), alignment="ctc", hidden_size=16, max_epochs=25, lr=0.03, batch_size=16, dropout=0.0
    )
    return fitted.fit(X[:90], texts[:90]), X[90:], texts[90:]


def test_transcripts_are_learnt(transcriber):
    fitted, X, y = transcriber
    assert fitted.output_vocabulary_[:2].tolist() == ["<unk>", "<blank>"]
    assert fitted.score(X, y) == fitted.score(X, y, metric="neg_label_error_rate") > -0.1
    assert fitted.score(X, y, metric="exact_match") > 0.8
    assert fitted.transform(X) == fitted.predict(X)


def test_searches_of_transcripts(transcriber):
    fitted, X, y = transcriber
    fitted = copy.deepcopy(fitted)
    greedy = fitted.predict(X)
    likelihood = fitted.log_likelihood(X, greedy)
    wide = fitted.set_params(beam_width=10).predict(X)
    assert fitted.log_likelihood(X, wide).mean() >= likelihood.mean() - 1e-6
    for x, best in zip(X[:5], fitted.predict_n_best(X[:5], n=3), strict=True):
        texts, log_proba = zip(*best, strict=True)
        assert len(set(texts)) == 3
        assert list(log_proba) == sorted(log_proba, reverse=True)
        # sums over the paths that were kept: nearly all
        np.testing.assert_allclose(log_proba[0], fitted.log_likelihood([x], [texts[0]])[0], atol=0.05)
    assert [texts[0] for texts in fitted.sample(X, random_state=0, top_k=1)] == greedy
    drawn = fitted.sample(X, n=2, random_state=0, temperature=3.0)
    assert drawn == fitted.sample(X, n=2, random_state=0, temperature=3.0)
    assert drawn != fitted.sample(X, n=2, random_state=1, temperature=3.0)
    assert fitted.perplexity(X, y) == pytest.approx(np.exp(-fitted.log_likelihood(X, y).sum() / sum(map(len, y))))


def test_transcripts_longer_than_their_input_are_refused():
    X = make_sequences(lengths=(3, 4))
    words = "alignment='ctc' needs inputs at least as long .* but sample 5 has 3 steps and a transcript that needs"
    for wrong in ("abca", "aab"[:2] + "b"):  # aab needs a blank between: four steps
        y = ["abc"] * 24
        y[5] = wrong
        with pytest.raises(ValueError, match=words):
            model(alignment="ctc").fit(X, y)
    fitted = model(alignment="ctc").fit(X, ["aba", "aa"] * 12)
    for call in (fitted.log_likelihood, fitted.partial_fit):
        with pytest.raises(ValueError, match="needs inputs at least as long as their transcripts"):
            call(X, ["abab"] * 24)
    assert np.isfinite(fitted.score(X, ["abababab"] * 24))  # what is only compared may be longer


def test_transcripts_of_other_kinds():
    X = make_sequences(lengths=(4, 9))
    integers = model(alignment="ctc", tokens="y").fit(X, [[1, 2], [2]] * 12)
    assert {type(out) for out in integers.predict(X)} == {list}
    assert np.isfinite(model(alignment="ctc").fit(X, ["", "ab"] * 12).log_likelihood(X, ["", "ab"] * 12)).all()
    assert len(model(alignment="ctc").fit(["abcd", "bcda"] * 12, ["ab", "c"] * 12).predict(["abcdabcd"])) == 1
    fitted = model(alignment="ctc", max_tokens=1).fit(X, ["ab", "aa"] * 12)
    assert len(fitted.predict(X)) == 24


# -- something is learnt

LEARNING = {"hidden_size": 32, "max_epochs": 25, "lr": 0.01, "batch_size": 32, "dropout": 0.1}


def test_texts_are_reversed():
    X = make_strings(600, lengths=(1, 6), letters="abcd")
    known = set(X)
    new = [text for text in make_strings(500, lengths=(3, 6), letters="abcd", seed=1) if text not in known]
    assert len(new) > 100
    fitted = model(**{**LEARNING, "max_epochs": 35}, label_smoothing=0.0).fit(X, backwards(X))
    assert fitted.score(new, backwards(new), metric="exact_match") > 0.95
    assert fitted.perplexity(new, backwards(new)) < 1.3
    assert fitted.set_params(beam_width=4).score(new, backwards(new), metric="exact_match") > 0.95


def test_series_are_reversed():
    rng = np.random.default_rng(0)
    X = [1000 + 50 * np.cumsum(rng.normal(size=n)) for n in rng.integers(5, 11, size=300)]
    fitted = model(**LEARNING).fit(X[:200], backwards(X[:200]))
    assert [len(out) for out in fitted.predict(X[200:])] == [len(x) for x in X[200:]]
    assert fitted.score(X[200:], backwards(X[200:])) > 0.9


def test_a_vector_becomes_a_curve():
    amounts = np.random.default_rng(0).uniform(-1, 1, size=(200, 2))
    t = np.linspace(0, 3, 12)
    curves = amounts[:, :1] * np.sin(t) + amounts[:, 1:] * np.cos(2 * t)
    fitted = model(**{**LEARNING, "max_epochs": 30}, input="vector").fit(amounts[:150], curves[:150])
    assert fitted.score(amounts[150:], curves[150:]) > 0.95


def test_values_far_from_zero():
    """Differences that float32 cannot hold beside the mean are written."""
    rng = np.random.default_rng(0)
    X = [1e8 + np.cumsum(rng.normal(size=n)) for n in rng.integers(4, 8, size=150)]
    fitted = model(**LEARNING).fit(X, backwards(X))
    assert fitted.score([x - 0.0 for x in X], backwards(X)) > 0.8


# -- every cell


@pytest.mark.parametrize("cell", sorted({*CELLS} - {"trace", "jordan", "elman-jordan"}))
def test_cells_by_name_write_sequences(cell):
    X, missing = make_sequences(), "error"
    if cell == "grud":  # its decoder, which reads outputs, is a GRU
        missing, X[3][1, 0] = "mask", np.nan
    fitted = model(cell=cell, missing=missing).fit(X, TEXTS)
    assert np.isfinite(fitted.log_likelihood(X, TEXTS)).all()
    assert pickle.loads(pickle.dumps(fitted)).predict(X) == fitted.predict(X)


@pytest.mark.parametrize("cell", ["trace", None])
def test_cells_without_a_first_state_need_no_decoder(cell):
    X = make_sequences()
    with pytest.raises(ValueError, match="cell must be one that starts from a state to write sequences, got .* Choose"):
        model(cell=cell).fit(X, TEXTS)
    assert np.isfinite(model(cell=cell, context="steps").fit(X, TEXTS).log_likelihood(X, TEXTS)).all()
    assert len(model(cell=cell, alignment="ctc").fit(X, ["a"] * 24).predict(X)) == 24
