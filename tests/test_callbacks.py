"""Callbacks: clipped gradients in numbers, learning rates over training, stopping and divergence."""

import math
import pickle
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.exceptions import ConvergenceWarning
from skorch.callbacks import Callback, EpochTimer, LRScheduler
from skorch.history import History

from sktime_rnn import RNNClassifier, RNNRegressor, Seq2SeqTransformer
from sktime_rnn.callbacks import (
    FORCING_SCHEDULES,
    SCHEDULES,
    ByProgress,
    DivergenceGuard,
    GradientClipping,
    Schedule,
    StopWithoutProgress,
    TeacherForcing,
    cosine,
    one_cycle,
    schedules_itself,
)

SMALL = {"hidden_size": 4, "random_state": 0, "device": "cpu"}


@pytest.fixture
def rng(global_random_seed):
    return np.random.default_rng(global_random_seed)


@pytest.fixture
def sequences(rng):
    return [rng.normal(size=(n, 2)) for n in rng.integers(3, 9, size=40)]


@pytest.fixture
def labels(sequences):
    return np.array([int(x.mean() > 0) for x in sequences])


# --- clipping, in numbers ---


def clip(gradients, **kwargs):
    """Return the gradients after clipping, and the norm that was recorded."""
    parameters = [torch.nn.Parameter(torch.zeros(np.shape(g), dtype=torch.float64)) for g in gradients]
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = torch.tensor(gradient, dtype=torch.float64)
    net = SimpleNamespace(history=History())
    net.history.new_epoch()
    net.history.new_batch()
    named = ((str(i), parameter) for i, parameter in enumerate(parameters))
    GradientClipping(**kwargs).on_grad_computed(net, named_parameters=named)
    return [p.grad.tolist() for p in parameters], net.history[-1, "batches", -1, "grad_norm"]


@pytest.mark.parametrize(
    ("kwargs", "expected", "norm"),
    [
        ({}, [[3.0], [0.0, 4.0]], 5.0),
        ({"max_norm": 10.0}, [[3.0], [0.0, 4.0]], 5.0),
        ({"max_norm": 5.0}, [[3.0], [0.0, 4.0]], 5.0),
        ({"max_norm": 1.0}, [[0.6], [0.0, 0.8]], 5.0),
        ({"normalize": True}, [[0.6], [0.0, 0.8]], 5.0),
        ({"normalize": True, "max_norm": 2.0}, [[0.6], [0.0, 0.8]], 5.0),
        ({"normalize": True, "max_norm": 0.5}, [[0.3], [0.0, 0.4]], 5.0),
        ({"max_value": 3.5}, [[3.0], [0.0, 3.5]], math.hypot(3, 3.5)),
        ({"max_value": 2.0, "max_norm": 1.0}, [[0.5**0.5], [0.0, 0.5**0.5]], 8**0.5),
        ({"max_value": 1.0, "normalize": True}, [[0.5**0.5], [0.0, 0.5**0.5]], 2**0.5),
    ],
)
def test_clipping_in_numbers(kwargs, expected, norm):
    clipped, recorded = clip([[3.0], [0.0, 4.0]], **kwargs)
    for ours, theirs in zip(clipped, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)
    assert recorded == pytest.approx(norm, rel=1e-12)


def test_values_are_cut_on_both_sides():
    clipped, _ = clip([[-3.0, 0.5, 3.0]], max_value=1.0)
    assert clipped == [[-1.0, 0.5, 1.0]]


def test_small_gradients_are_normalised_upwards():
    clipped, norm = clip([[0.0, 1e-5]], normalize=True)
    np.testing.assert_allclose(clipped, [[0, 1]], rtol=1e-12)
    assert norm == pytest.approx(1e-5)


@pytest.mark.parametrize("kwargs", [{"normalize": True}, {"max_norm": 1.0}, {"max_value": 1.0}])
def test_a_gradient_of_zero_stays_zero(kwargs):
    clipped, norm = clip([[0.0, 0.0], [0.0]], **kwargs)
    assert clipped == [[0.0, 0.0], [0.0]]
    assert norm == 0


def test_parameters_without_a_gradient_are_passed_over():
    net = SimpleNamespace(history=History())
    parameter = torch.nn.Parameter(torch.ones(2))
    GradientClipping(max_norm=1.0).on_grad_computed(net, named_parameters=[("a", parameter)])
    assert parameter.grad is None


@pytest.mark.parametrize("max_norm", [1e-3, 1.0, 1e3])
def test_clipping_agrees_with_torch(rng, max_norm):
    gradients = [rng.normal(size=shape) for shape in [(4, 3), (5,), (2, 3, 2)]]
    ours, norm = clip(gradients, max_norm=max_norm)
    parameters = [torch.nn.Parameter(torch.zeros(g.shape, dtype=torch.float64)) for g in gradients]
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = torch.from_numpy(gradient.copy())
    total = torch.nn.utils.clip_grad_norm_(parameters, max_norm)
    assert norm == pytest.approx(float(total), rel=1e-12)
    for a, b in zip(ours, parameters, strict=True):
        np.testing.assert_allclose(a, b.grad.numpy(), rtol=1e-5)  # torch divides by norm + 1e-6
    flat = np.concatenate([np.ravel(g) for g in ours])
    assert np.linalg.norm(flat) == pytest.approx(min(norm, max_norm), rel=1e-12)


class GradientRecorder(Callback):
    """Notes the gradient's norm as it is when the optimiser sees it."""

    def initialize(self):
        self.norms_, self.largest_ = [], []
        return self

    def on_grad_computed(self, net, named_parameters, **kwargs):
        gradients = [p.grad for _, p in named_parameters]
        self.norms_.append(float(torch.nn.utils.get_total_norm(gradients)))
        self.largest_.append(max(float(g.abs().max()) for g in gradients))


@pytest.mark.parametrize(
    ("parameters", "check"),
    [
        ({"max_grad_norm": 1e-2}, lambda norms, largest: np.allclose(norms, 1e-2)),
        ({"max_grad_norm": None, "normalize_grad": True}, lambda norms, largest: np.allclose(norms, 1)),
        ({"max_grad_norm": None, "max_grad_value": 1e-3}, lambda norms, largest: np.allclose(largest, 1e-3)),
        ({"max_grad_norm": None}, lambda norms, largest: len(set(norms)) == len(norms)),
    ],
)
def test_the_optimiser_sees_clipped_gradients(sequences, labels, parameters, check):
    recorder = GradientRecorder()
    estimator = RNNClassifier(**SMALL, max_epochs=2, batch_size=10, callbacks=[recorder], **parameters)
    history = estimator.fit(sequences, labels).history_
    assert len(recorder.norms_) == 8
    assert check(recorder.norms_, recorder.largest_)
    recorded = np.ravel(history[:, "batches", :, "grad_norm"])
    assert recorded.shape == (8,)
    assert (recorded > 0).all()
    if "max_grad_value" not in parameters:
        assert (recorded > np.array(recorder.norms_) * 0.99).all() or parameters.get("normalize_grad")


# --- schedules ---


def test_the_schedules_have_names():
    assert set(SCHEDULES) == {"constant", "cosine", "one_cycle"}
    assert {SCHEDULES["constant"](p) for p in (0.0, 0.3, 1.0)} == {1.0}


def test_cosine_falls_from_one_to_zero():
    np.testing.assert_allclose([cosine(p) for p in (0, 1 / 3, 0.5, 2 / 3, 1)], [1, 0.75, 0.5, 0.25, 0], atol=1e-15)


def test_one_cycle_rises_and_falls():
    np.testing.assert_allclose([one_cycle(p) for p in (0, 0.05, 0.1, 0.55, 1)], [0.1, 0.55, 1, 0.5, 0], atol=1e-15)
    progress = np.linspace(0, 1, 1001)
    factors = np.array([one_cycle(p) for p in progress])
    assert (np.diff(factors[progress <= 0.1]) > 0).all()
    assert (np.diff(factors[progress >= 0.1]) < 0).all()
    assert np.abs(np.diff(factors)).max() < 0.01  # no jump


def rates(history):
    return np.concatenate(history[:, "batches", :, "event_lr"])


@pytest.mark.parametrize(
    ("name", "schedule"), [("constant", lambda p: 1.0), ("cosine", cosine), ("one_cycle", one_cycle)]
)
def test_each_update_has_the_rate_of_its_place(sequences, labels, name, schedule):
    estimator = RNNClassifier(**SMALL, max_epochs=5, batch_size=10, lr=0.02, lr_schedule=name).fit(sequences, labels)
    expected = [0.02 * schedule(i / 20) for i in range(20)]  # batches of 10 of 40, 5 epochs
    np.testing.assert_allclose(rates(estimator.history_), expected, rtol=1e-12)
    np.testing.assert_allclose(estimator.history_[:, "event_lr"], expected[3::4], rtol=1e-12)
    assert [group["lr"] for group in estimator.net_.optimizer_.param_groups] == [0.02]


def test_small_batches_move_the_schedule_less():
    history = RNNClassifier(**SMALL, max_epochs=2, batch_size=4, lr=1.0, lr_schedule="cosine")
    history = history.fit(np.random.default_rng(0).normal(size=(6, 3, 1)), [0, 1, 0, 1, 0, 1]).history_
    sizes = np.concatenate(history[:, "batches", :, "train_batch_size"])
    seen = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    assert sorted(sizes[:2]) == [2, 4]
    np.testing.assert_allclose(rates(history), [cosine(s / 12) for s in seen], rtol=1e-12)


def test_validation_does_not_move_the_schedule(sequences, labels):
    estimator = RNNClassifier(
        **SMALL, max_epochs=2, batch_size=9, lr_schedule="cosine", early_stopping=True, validation_fraction=0.1
    )
    history = estimator.fit(sequences, labels).history_
    for i, row in enumerate(history):
        assert ["event_lr" in batch for batch in row["batches"]] == [True] * 4 + [False]  # the last is of validation
        expected = [estimator.lr * cosine((i * 36 + j * 9) / 72) for j in range(4)]
        np.testing.assert_allclose(rates(history)[4 * i : 4 * i + 4], expected, rtol=1e-12)


def schedule_net(groups, n=10, max_epochs=2):
    """A net as far as a schedule looks at one."""
    weights = [torch.nn.Parameter(torch.zeros(1)) for _ in groups]
    optimizer = torch.optim.SGD([{"params": [w], "lr": lr} for w, lr in zip(weights, groups, strict=True)], lr=1.0)
    history = History()
    history.new_epoch()
    history.new_batch()
    return SimpleNamespace(
        optimizer_=optimizer, history=history, max_epochs=max_epochs, get_dataset=lambda X, y=None: range(n)
    )


def test_each_group_of_parameters_keeps_its_own_rate():
    net = schedule_net([0.1, 0.003])
    schedule = Schedule(cosine)
    schedule.on_train_begin(net)
    found = []
    for _ in range(4):
        schedule.on_batch_begin(net, batch=({"lengths": torch.ones(5)}, None), training=True)
        found.append([group["lr"] for group in net.optimizer_.param_groups])
    factors = np.array([cosine(p) for p in (0, 0.25, 0.5, 0.75)])
    np.testing.assert_allclose(found, np.outer(factors, [0.1, 0.003]), rtol=1e-12)
    schedule.on_train_end(net)
    assert [group["lr"] for group in net.optimizer_.param_groups] == [0.1, 0.003]


def test_the_rate_is_back_after_an_early_stop(sequences, labels):
    estimator = RNNClassifier(**SMALL, max_epochs=50, early_stopping=True, n_iter_no_change=1, tol=1.0)
    estimator.fit(sequences, labels)
    assert estimator.n_iter_ == 2  # an accuracy cannot rise by more than 1
    assert estimator.net_.optimizer_.param_groups[0]["lr"] == estimator.lr


def test_partial_fit_trains_at_the_given_rate(sequences, labels):
    estimator = RNNClassifier(**SMALL, lr=0.02, batch_size=10)
    for _ in range(2):
        estimator.partial_fit(sequences, labels)
    assert estimator.net_.optimizer_.param_groups[0]["lr"] == 0.02
    assert all("event_lr" not in row for row in estimator.history_)


def test_a_scheduler_is_found_however_it_is_written():
    class Own(LRScheduler):
        pass

    assert schedules_itself([LRScheduler()])
    assert schedules_itself([LRScheduler])
    assert schedules_itself([("rate", LRScheduler())])
    assert schedules_itself([EpochTimer(), Own()])
    assert not schedules_itself([EpochTimer(), ("timer", EpochTimer)])
    assert not schedules_itself([])
    assert not schedules_itself(None)


# --- progress, and what the decoder reads ---


class Noted(ByProgress):
    """Keeps the progress of every update."""

    def __init__(self):
        self.found = []

    def act(self, net, progress):
        self.found.append(progress)


def updates(callback, net, sizes, training=True):
    """Run the batches of an epoch under a callback."""
    for size in sizes:
        callback.on_batch_begin(net, batch=({"lengths": torch.ones(size)}, None), training=training)


def test_progress_counts_sequences_of_training_alone():
    net, noted = schedule_net([0.1]), Noted()
    noted.on_train_begin(net)
    updates(noted, net, [4, 4, 2])
    updates(noted, net, [7], training=False)
    updates(noted, net, [5, 5])
    np.testing.assert_allclose(noted.found, [0, 0.2, 0.4, 0.5, 0.75], rtol=1e-12)
    noted.on_train_begin(net)
    updates(noted, net, [10, 10, 10])
    np.testing.assert_allclose(noted.found[5:], [0, 0.5, 1], rtol=1e-12)  # a third epoch is not planned: it stays at 1


def test_progress_is_abstract():
    with pytest.raises(TypeError, match="abstract"):
        ByProgress()


def forced(ratio, schedule, n_updates):
    """The probabilities of every update, and what the history holds after its epoch."""
    net = schedule_net([0.1], n=n_updates, max_epochs=1)
    net.module_ = SimpleNamespace(teacher_forcing=1.0)
    forcing = TeacherForcing(ratio, schedule)
    forcing.on_train_begin(net)
    found = []
    for _ in range(n_updates):
        updates(forcing, net, [1])
        found.append(net.module_.teacher_forcing)
    forcing.on_epoch_end(net)
    return np.array(found), net.history[-1, "teacher_forcing"]


@pytest.mark.parametrize("ratio", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("schedule", sorted(FORCING_SCHEDULES))
def test_teacher_forcing_falls_from_one_to_its_ratio(schedule, ratio):
    found, recorded = forced(ratio, schedule, 400)
    assert (np.diff(found) <= 0).all()
    assert found[0] == pytest.approx(ratio if schedule == "constant" else 1, abs=0.01)
    assert found[-1] == pytest.approx(ratio, abs=0.01)
    assert ((found >= ratio) & (found <= 1)).all()
    assert recorded == found[-1]


@pytest.mark.parametrize(
    ("schedule", "middle"), [("constant", 0), ("linear", 0.5), ("exponential", math.exp(-2.5)), ("sigmoid", 0.5)]
)
def test_teacher_forcing_half_way(schedule, middle):
    found, _ = forced(0.2, schedule, 10)
    assert found[5] == pytest.approx(0.2 + 0.8 * middle, rel=1e-12)


def test_teacher_forcing_is_recorded_for_every_epoch():
    X = ["ab", "ba", "aab", "bba", "abab", "bb", "a", "ba"]
    options = {"max_epochs": 4, "batch_size": 4, "teacher_forcing_schedule": "linear"}
    history = Seq2SeqTransformer(**SMALL, **options, teacher_forcing=0.5).fit(X, X).history_
    np.testing.assert_allclose(history[:, "teacher_forcing"], 1 - 0.5 * np.array([1, 3, 5, 7]) / 8, rtol=1e-12)


# --- stopping ---


class Scripted:
    """A net whose only weight is the number of its epoch, and whose scores are given."""

    def __init__(self, scores):
        self.scores = scores
        self.module_ = torch.nn.Linear(1, 1, bias=False)
        self.history = History()

    def train(self, callback):
        """Return the number of epochs run and the weight kept."""
        callback.on_train_begin(self)
        try:
            for epoch, score in enumerate(self.scores, start=1):
                torch.nn.init.constant_(self.module_.weight, epoch)
                self.history.new_epoch()
                self.history.record("score", score)
                callback.on_epoch_end(self)
        except KeyboardInterrupt:
            pass
        callback.on_train_end(self)
        return len(self.history), int(self.module_.weight)


@pytest.mark.parametrize(
    ("scores", "sign", "patience", "tol", "epochs", "kept"),
    [
        ([1, 2, 3, 4], 1, 2, 0, 4, 4),
        ([1, 3, 2, 2, 9], 1, 2, 0, 4, 2),
        ([1, 3, 2, 4, 3, 3, 9], 1, 2, 0, 6, 4),
        ([4, 3, 5, 2, 3, 3, 0], -1, 2, 0, 6, 4),
        ([1, 1, 1, 9], 1, 2, 0, 3, 1),  # of equal scores the first
        ([1.0, 1.1, 1.2, 1.3, 9], 1, 3, 0.5, 4, 4),  # too little progress, yet the best weights
        ([1.0, 1.4, 1.8, 2.2, 9], 1, 3, 0.5, 5, 5),  # 1.8 and 9 are more than 0.5 above the last that counted
        ([5, 1, 9], 1, 1, 0, 2, 1),
        ([math.nan, 1, 2], 1, 2, 0, 3, 3),
        ([1, math.nan, math.nan, 9], 1, 2, 0, 3, 1),
        ([-math.inf, -math.inf, 0], 1, 3, 0, 3, 3),
    ],
)
def test_stopping_in_numbers(scores, sign, patience, tol, epochs, kept):
    stopping = StopWithoutProgress("score", sign, patience, tol)
    assert Scripted(scores).train(stopping) == (epochs, kept)
    np.testing.assert_array_equal(stopping.scores_, sign * np.array(scores[:epochs], dtype=float))


@pytest.mark.parametrize("scores", [[], [math.nan] * 3])
def test_the_last_weights_stay_where_no_score_was_a_number(scores):
    stopping = StopWithoutProgress("score", 1, 5, 0)
    net = Scripted(scores)
    torch.nn.init.zeros_(net.module_.weight)
    assert net.train(stopping) == (len(scores), len(scores))


def test_a_second_training_starts_counting_anew():
    stopping = StopWithoutProgress("score", 1, 2, 0)
    assert Scripted([9, 1, 1]).train(stopping) == (3, 1)
    assert Scripted([1, 2, 3, 4]).train(stopping) == (4, 4)
    assert stopping.scores_ == [1, 2, 3, 4]


class Weights(Callback):
    """Keeps the weights of every epoch."""

    def initialize(self):
        self.weights_ = []
        return self

    def on_batch_end(self, net, training, **kwargs):
        if not training:  # the end of an epoch, before any callback can stop training there
            self.weights_.append({name: value.clone() for name, value in net.module_.state_dict().items()})


@pytest.mark.parametrize("Estimator", [RNNClassifier, RNNRegressor])
def test_the_estimator_keeps_the_weights_of_the_best_epoch(sequences, labels, Estimator):
    weights = Weights()
    estimator = Estimator(
        **SMALL, max_epochs=40, lr=0.05, early_stopping=True, n_iter_no_change=3, tol=0.0, callbacks=[weights]
    )
    estimator.fit(sequences, labels)
    scores = estimator.validation_scores_
    column = {RNNClassifier: "valid_acc", RNNRegressor: "valid_r2"}[Estimator]
    assert scores == estimator.history_[:, column]
    assert len(scores) == estimator.n_iter_ == len(weights.weights_)
    best = weights.weights_[int(np.argmax(scores))]
    for name, value in estimator.module_.state_dict().items():
        assert torch.equal(value, best[name]), name
    if estimator.n_iter_ < 40:
        best_so_far = np.maximum.accumulate(scores)
        assert best_so_far[-1] == best_so_far[-4]


def test_stopping_can_be_pickled_between_trainings():
    stopping = StopWithoutProgress("score", 1, 2, 0)
    Scripted([3, 1, 1]).train(stopping)
    assert pickle.loads(pickle.dumps(stopping)).scores_ == [3, 1, 1]
    assert stopping.weights_ is None  # no second copy of the weights stays behind


# --- divergence ---


def guarded(losses, spoil=None):
    """Train a layer for some epochs under the guard; the weight is the number of the epoch, or what spoils it."""
    module = torch.nn.Linear(1, 1, bias=False)
    net = SimpleNamespace(history=History(), lr=3.0, module_=module)
    guard = DivergenceGuard()
    guard.on_train_begin(net)
    for epoch, loss in enumerate(losses, start=1):
        with torch.no_grad():
            module.weight.fill_(spoil if epoch == len(losses) and spoil is not None else epoch)
        net.history.new_epoch()
        net.history.record("train_loss", loss)
        guard.on_epoch_end(net)
    return module.weight.item()


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_divergence_before_any_good_epoch_is_refused(loss):
    with pytest.raises(ValueError, match=rf"lost them in epoch 1, where the loss was {loss}\. Lower lr \(now 3\.0\)"):
        guarded([loss])


@pytest.mark.parametrize(
    ("losses", "spoil"), [([1.0, math.nan], None), ([1.0, math.inf], None), ([1.0, 1.0], math.nan)]
)
def test_divergence_stops_training_with_a_warning(losses, spoil):
    stopped = pytest.raises(KeyboardInterrupt)
    with pytest.warns(ConvergenceWarning, match=r"diverged in epoch 2, .* Lower lr \(now 3\.0\)"), stopped:
        guarded(losses, spoil)


def test_large_finite_losses_pass():
    assert guarded([1e30, 1e35]) == 2


def test_divergence_goes_back_to_the_last_good_weights(sequences, labels):
    options = {"optimizer": "sgd", "lr": 1e3, "lr_schedule": "constant", "max_grad_norm": None, "batch_size": 10}
    estimator = RNNRegressor(**{**SMALL, **options, "max_epochs": 200})
    with pytest.warns(ConvergenceWarning, match="weights are those of the last good epoch"):
        estimator.fit(sequences, labels)
    assert 1 <= estimator.n_iter_ < 200
    assert np.isfinite(estimator.predict(sequences)).all()


def test_divergence_of_training_that_goes_on_keeps_what_was_learnt(sequences, labels):
    estimator = RNNRegressor(**{**SMALL, "max_epochs": 2}).fit(sequences, labels)
    before = estimator.predict(sequences)
    estimator.set_params(warm_start=True, lr=1e30, lr_schedule="constant", max_grad_norm=None)
    with pytest.warns(ConvergenceWarning, match="diverged in epoch 3"):
        estimator.fit(sequences, labels)
    assert np.array_equal(estimator.predict(sequences), before)


def test_training_that_diverges_at_once_is_refused(sequences, labels):
    estimator = RNNRegressor(
        **SMALL, optimizer="sgd", lr=1e30, lr_schedule="constant", max_grad_norm=None, batch_size=10, max_epochs=3
    )
    with pytest.raises(ValueError, match=r"lost them in epoch 1, where the loss was .*\. Lower lr \(now 1e\+30\)"):
        estimator.fit(sequences, labels)
