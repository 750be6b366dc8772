"""RecurrentNet: skorch's callbacks work unchanged, predictions keep their order, losses are averaged rightly."""

import copy
import functools
import math
import pickle
import signal
import threading

import numpy as np
import pytest
import sklearn
import torch
from sklearn.metrics import accuracy_score, log_loss, r2_score, roc_auc_score
from skorch.callbacks import (
    BatchScoring,
    Callback,
    Checkpoint,
    EarlyStopping,
    EpochScoring,
    Freezer,
    GradientNormClipping,
    LRScheduler,
    ProgressBar,
)
from skorch.callbacks.lr_scheduler import WarmRestartLR
from skorch.exceptions import NotInitializedError
from skorch.helper import predefined_split
from skorch.utils import noop

from sktime_rnn import RNNClassifier, RNNRegressor, check_sequences
from sktime_rnn.batching import SequenceDataset
from sktime_rnn.cells import LSTMCell
from sktime_rnn.heads import CategoricalHead, MultiLabelHead, MultiOutputHead, PointHead
from sktime_rnn.nets import (
    EPOCHS,
    MAX_STEPS,
    MIN_UPDATES,
    RecurrentNet,
    choose_device,
    n_epochs,
    raised_by_statement,
    seeded_torch,
    torch_threads,
)
from sktime_rnn.networks import RecurrentNetwork

SMALL = {"hidden_size": 4, "random_state": 0, "device": "cpu"}
STILL = {"lr": 1e-12, "dropout": 0.0, "input_noise": 0.0}  # all batches of an epoch see the same weights


@pytest.fixture(autouse=True)
def _one_thread():
    """Bare nets take the threads that there are; two of them on a busy machine wait for each other."""
    with torch_threads(1):
        yield


@pytest.fixture
def rng(global_random_seed):
    return np.random.default_rng(global_random_seed)


@pytest.fixture
def X(rng):
    return [rng.normal(size=(n, 2)) for n in rng.integers(1, 12, size=61)]


@pytest.fixture
def sequences(X):
    return check_sequences(X)


TARGETS = {
    "binary": lambda X, rng: rng.permutation(np.arange(len(X)) % 2),
    "multiclass": lambda X, rng: rng.permutation(np.arange(len(X)) % 3),
    "two labels": lambda X, rng: rng.integers(0, 2, size=(len(X), 2)),
    "three labels": lambda X, rng: rng.integers(0, 2, size=(len(X), 3)),
    "per step": lambda X, rng: [rng.integers(0, 2, size=len(x)) for x in X],
    "labels per step": lambda X, rng: [rng.integers(0, 2, size=(len(x), 3)) for x in X],
}


def make_net(head=None, per_step=False, dropout=0.0, seed=0, **kwargs):
    """A net without an estimator around it, for sequences of two features."""
    head = CategoricalHead(2) if head is None else head
    module = RecurrentNetwork(
        LSTMCell(), head, input_shape=(2,), hidden_size=4, num_layers=2, dropout=dropout, per_step=per_step
    )
    module.reset_parameters(torch.Generator().manual_seed(seed))
    options = {"optimizer": torch.optim.Adam, "lr": 0.01, "max_epochs": 2, "batch_size": 16, "verbose": 0}
    return RecurrentNet(module, per_step=per_step, **{**options, **kwargs})


def same_weights(a, b):
    return all(torch.equal(value, b[name]) for name, value in a.items())


class Recorder(Callback):
    """Notes what other callbacks could see."""

    def initialize(self):
        self.rates_, self.shapes_, self.weights_, self.y_, self.raw_ = [], [], [], [], []
        self.began_ = self.ended_ = 0
        return self

    def on_train_begin(self, net, **kwargs):
        self.began_ += 1

    def on_train_end(self, net, **kwargs):
        self.ended_ += 1

    def on_epoch_begin(self, net, dataset_train, dataset_valid, **kwargs):
        self.train_, self.valid_ = dataset_train, dataset_valid
        self.y_, self.raw_ = [], []

    def on_batch_begin(self, net, batch, training, **kwargs):
        if training:
            self.rates_.append(net.optimizer_.param_groups[0]["lr"])
            self.shapes_.append(tuple(batch[0]["X"].shape[:2]))

    def on_batch_end(self, net, batch, training, y_pred, **kwargs):
        if training:
            self.y_.append(batch[1])
            self.raw_.append(y_pred.detach())

    def on_epoch_end(self, net, **kwargs):
        self.weights_.append(copy.deepcopy(net.module_.state_dict()))


# --- skorch's callbacks: scores ---


def flat(rows):
    return np.concatenate(rows) if isinstance(rows, list) else rows


def score(name, estimator, recorder, on_train, use_caching):
    """Work out the score from the finished estimator's predictions, or from what training saw."""
    if on_train and use_caching:
        y, raw = torch.cat(recorder.y_).numpy(), torch.cat(recorder.raw_)
        head = estimator.module_.head
        labels, proba = head.predict(raw).numpy(), head.predict_proba(raw).numpy()
    else:
        dataset = recorder.train_ if on_train else recorder.valid_
        y = dataset.y
        labels, proba = flat(estimator.predict(dataset.X)), flat(estimator.predict_proba(dataset.X))
    if name == "accuracy":
        return accuracy_score(y, labels)
    return roc_auc_score(y, proba[:, 1] if y.ndim == 1 else proba)


@pytest.mark.parametrize("on_train", [True, False], ids=["train", "valid"])
@pytest.mark.parametrize("use_caching", [True, False], ids=["cached", "anew"])
@pytest.mark.parametrize("kind", TARGETS)
def test_epoch_scoring_agrees_with_the_predictions(rng, X, kind, use_caching, on_train):
    names = ["accuracy"] if kind == "multiclass" else ["accuracy", "roc_auc"]
    options = {"lower_is_better": False, "on_train": on_train, "use_caching": use_caching}
    recorder = Recorder()
    estimator = RNNClassifier(
        **SMALL,
        batch_size=8,
        max_epochs=1,  # so that the weights at the end of the epoch are those that are kept
        early_stopping=True,
        validation_fraction=0.4,
        callbacks=[recorder, *(EpochScoring(name, name=f"our_{name}", **options) for name in names)],
    )
    history = estimator.fit(X, TARGETS[kind](X, rng)).history_
    for name in names:
        expected = score(name, estimator, recorder, on_train, use_caching)
        assert history[-1, f"our_{name}"] == pytest.approx(expected, abs=1e-12), name
        assert history[-1, f"our_{name}_best"] is True


@pytest.mark.parametrize("scoring", ["r2", "neg_mean_absolute_error"])
@pytest.mark.parametrize("use_caching", [True, False])
def test_epoch_scoring_of_values(rng, X, scoring, use_caching):
    recorder = Recorder()
    callback = EpochScoring(scoring, name="ours", lower_is_better=False, use_caching=use_caching)
    estimator = RNNRegressor(**SMALL, max_epochs=1, early_stopping=True, callbacks=[recorder, callback])
    estimator.fit(X, 1e3 + rng.normal(size=(len(X), 2)))
    y, predicted = recorder.valid_.y, estimator.predict(recorder.valid_.X)
    expected = {"r2": r2_score(y, predicted), "neg_mean_absolute_error": -np.abs(y - predicted).mean()}[scoring]
    assert estimator.history_[-1, "ours"] == pytest.approx(expected)


def test_scoring_by_a_function_of_net_and_dataset(X):
    def share_of_ones(net, sequences, y):
        assert len(sequences) == len(y)
        return net.predict(sequences).mean()

    callback = EpochScoring(share_of_ones, use_caching=False, on_train=True)
    estimator = RNNClassifier(**SMALL, max_epochs=1, callbacks=[callback])
    estimator.fit(X, np.arange(len(X)) % 2)
    assert estimator.history_[-1, "share_of_ones"] == estimator.predict(X).mean()


@pytest.mark.parametrize("kind", ["binary", "per step"])
def test_batch_scoring_averages_the_batches_by_their_rows(rng, X, kind):
    recorder = Recorder()
    scoring = BatchScoring("accuracy", name="ours", on_train=True, lower_is_better=False)
    estimator = RNNClassifier(**SMALL, max_epochs=1, batch_size=8, callbacks=[recorder, scoring])
    estimator.fit(X, TARGETS[kind](X, rng))
    predicted = torch.cat(recorder.raw_).argmax(1)
    assert estimator.history_[-1, "ours"] == pytest.approx(accuracy_score(torch.cat(recorder.y_), predicted))


# --- skorch's callbacks: stopping, rates, files, gradients, frozen weights, printing ---


@pytest.mark.parametrize("load_best", [True, False])
def test_early_stopping_of_skorch(X, load_best):
    recorder = Recorder()
    # No loss falls to a tenth within an epoch: the first is the best, the third the last.
    stopping = EarlyStopping("train_loss", patience=2, threshold=0.9, load_best=load_best, sink=noop)
    estimator = RNNClassifier(**SMALL, max_epochs=10, callbacks=[recorder, stopping])
    estimator.fit(X, np.arange(len(X)) % 2)
    assert estimator.n_iter_ == 3
    assert recorder.ended_ == 1
    assert not same_weights(recorder.weights_[0], recorder.weights_[2])
    assert same_weights(estimator.module_.state_dict(), recorder.weights_[0 if load_best else 2])


def test_early_stopping_of_skorch_on_validation_scores(X):
    stopping = EarlyStopping("valid_loss", patience=1, threshold=0.9, sink=noop)
    estimator = RNNClassifier(**SMALL, max_epochs=10, early_stopping=True, callbacks=[stopping])
    assert estimator.fit(X, np.arange(len(X)) % 2).n_iter_ == 2


POLICIES = [
    {"policy": "StepLR", "step_size": 2, "gamma": 0.1},
    {"policy": "ExponentialLR", "gamma": 0.5},
    {"policy": "LambdaLR", "lr_lambda": lambda epoch: 1 / (1 + epoch)},
    {"policy": torch.optim.lr_scheduler.CosineAnnealingLR, "T_max": 4},
    {"policy": WarmRestartLR, "min_lr": 1e-4, "max_lr": 1e-2, "base_period": 2},
    {"policy": "MultiStepLR", "milestones": [3, 7], "gamma": 0.3, "step_every": "batch"},
    {"policy": "CyclicLR", "base_lr": 1e-4, "max_lr": 1e-2, "step_size_up": 3, "cycle_momentum": False}
    | {"step_every": "batch"},
    {"policy": torch.optim.lr_scheduler.OneCycleLR, "max_lr": 0.01, "total_steps": 16, "step_every": "batch"},
]


@pytest.mark.parametrize("lr_schedule", ["auto", "constant"])
@pytest.mark.parametrize(
    "options", POLICIES, ids=lambda options: str(getattr(options["policy"], "__name__", options["policy"]))
)
def test_schedulers_of_skorch_set_the_rate_alone(X, options, lr_schedule):
    scheduler, recorder = LRScheduler(**options), Recorder()
    estimator = RNNClassifier(
        **SMALL, lr=0.02, lr_schedule=lr_schedule, max_epochs=4, batch_size=16, callbacks=[recorder, scheduler]
    )
    history = estimator.fit(X, np.arange(len(X)) % 2).history_
    by_batch = options.get("step_every") == "batch"
    if options["policy"] is torch.optim.lr_scheduler.OneCycleLR:
        options = {**options, "cycle_momentum": False}  # it is simulated with an optimiser without momentum
    expected = LRScheduler(**options).simulate(16 if by_batch else 4, 0.02)
    recorded = np.ravel(history[:, "batches", :, "event_lr"] if by_batch else history[:, "event_lr"])
    np.testing.assert_allclose(recorded, expected, rtol=1e-12)
    np.testing.assert_allclose(recorder.rates_, expected if by_batch else np.repeat(expected, 4), rtol=1e-12)


def test_reduction_on_plateau_follows_the_loss(X):
    options = {"policy": "ReduceLROnPlateau", "monitor": "train_loss", "patience": 0, "threshold": 0.5, "factor": 0.5}
    estimator = RNNClassifier(**SMALL, max_epochs=5, callbacks=[LRScheduler(**options)])
    history = estimator.fit(X, np.arange(len(X)) % 2).history_
    expected = LRScheduler(**options).simulate(5, estimator.lr, step_args=history[:, "train_loss"])
    np.testing.assert_allclose(history[:, "event_lr"], expected, rtol=1e-12)
    assert history[-1, "event_lr"] < estimator.lr


def test_schedulers_of_skorch_go_on_in_partial_fit(X):
    estimator = RNNClassifier(**SMALL, callbacks=[LRScheduler("StepLR", step_size=1, gamma=0.5)])
    for _ in range(3):
        estimator.partial_fit(X, np.arange(len(X)) % 2)
    assert estimator.n_iter_ == 3
    assert len(estimator.history_[:, "event_lr"]) == 3


@pytest.mark.parametrize("callback", [LRScheduler(), ("rate", LRScheduler()), LRScheduler])
@pytest.mark.parametrize("lr_schedule", ["cosine", "one_cycle"])
def test_two_owners_of_the_rate_are_refused(X, callback, lr_schedule):
    with pytest.raises(ValueError, match=f"lr_schedule='{lr_schedule}' and an LRScheduler .* both"):
        RNNClassifier(**SMALL, lr_schedule=lr_schedule, callbacks=[callback]).fit(X, np.arange(len(X)) % 2)


def in_first_epoch(net):
    return len(net.history) == 1


def test_checkpoint_of_the_best_validation_loss(X, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    recorder = Recorder()
    checkpoint = Checkpoint(dirname=str(tmp_path / "checkpoints"), f_pickle="net.pkl")
    estimator = RNNClassifier(**SMALL, max_epochs=3, early_stopping=True, callbacks=[recorder, checkpoint])
    estimator.fit(X, np.arange(len(X)) % 2)
    assert estimator.history_[:, "event_cp"] == estimator.history_[:, "valid_loss_best"]
    names = ["criterion.pt", "history.json", "net.pkl", "optimizer.pt", "params.pt"]
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == names
    best = int(np.argmin(estimator.history_[:, "valid_loss"]))
    saved = torch.load(tmp_path / "checkpoints" / "params.pt", weights_only=True)
    assert same_weights(saved, recorder.weights_[best])
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoints"]


def test_checkpoint_loads_the_best(X, tmp_path):
    recorder = Recorder()
    checkpoint = Checkpoint(monitor=in_first_epoch, dirname=str(tmp_path), load_best=True)
    estimator = RNNClassifier(**SMALL, max_epochs=3, callbacks=[recorder, checkpoint])
    estimator.fit(X, np.arange(len(X)) % 2)
    assert len(recorder.weights_) == 3
    assert same_weights(estimator.module_.state_dict(), recorder.weights_[0])
    head = estimator.module_.head
    assert estimator.net_.criterion_ is head
    np.testing.assert_array_equal(head.linear.weight.detach(), recorder.weights_[0]["head.linear.weight"])


def test_nothing_is_written_unless_asked(X, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    RNNClassifier(**SMALL, max_epochs=2, early_stopping=True).fit(X, np.arange(len(X)) % 2).predict(X)
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")


class NormRecorder(Callback):
    def initialize(self):
        self.norms_ = []
        return self

    def on_grad_computed(self, net, named_parameters, **kwargs):
        self.norms_.append(float(torch.nn.utils.get_total_norm([p.grad for _, p in named_parameters])))


def test_gradient_norm_clipping_of_skorch(X):
    norms = NormRecorder()
    callbacks = [GradientNormClipping(1e-3), norms]
    estimator = RNNClassifier(**SMALL, max_epochs=1, max_grad_norm=None, callbacks=callbacks)
    estimator.fit(X, np.arange(len(X)) % 2)
    np.testing.assert_allclose(norms.norms_, 1e-3, rtol=1e-3)  # torch divides by norm + 1e-6


def first_weights(X, y, **kwargs):
    """The weights before training, and the fitted estimator."""
    initial = {}

    class Initial(Callback):
        def on_train_begin(self, net, **kwargs):
            initial.update(copy.deepcopy(net.module_.state_dict()))

    estimator = RNNClassifier(**SMALL, max_epochs=2, **kwargs)
    estimator.set_params(callbacks=[*estimator.callbacks, Initial()]).fit(X, y)
    return initial, estimator


@pytest.mark.parametrize("patterns", ["head.*", "recurrent.*", ["*bias*", "head.linear.weight"]])
def test_freezer_of_skorch(X, patterns):
    freezer = Freezer(patterns)
    before, estimator = first_weights(X, np.arange(len(X)) % 2, callbacks=[freezer], weight_decay=0.1)
    after = dict(estimator.module_.named_parameters())
    frozen = {name for name, _ in freezer.filter_parameters(freezer.patterns, list(after.items()))}
    assert 0 < len(frozen) < len(after)
    assert {name for name, parameter in after.items() if torch.equal(parameter, before[name])} == frozen


def test_frozen_weights_stay_frozen(X):
    y = np.arange(len(X)) % 2
    estimator = RNNClassifier(**SMALL, callbacks=[Freezer("head.*")]).partial_fit(X, y)
    before = estimator.module_.head.linear.weight.detach().clone()
    estimator.partial_fit(X, y)
    estimator = pickle.loads(pickle.dumps(estimator)).partial_fit(X, y)
    assert estimator.n_iter_ == 3
    assert torch.equal(estimator.module_.head.linear.weight, before)


def test_printing_of_the_log(X, capsys):
    RNNClassifier(**SMALL, max_epochs=2, early_stopping=True, verbose=2).fit(X, np.arange(len(X)) % 2)
    header, _, *rows = capsys.readouterr().out.strip().splitlines()
    assert header.split()[0] == "epoch"
    assert {"train_loss", "valid_loss", "valid_acc", "dur"} < set(header.split())
    assert [int(row.split()[0]) for row in rows] == [1, 2]


@pytest.mark.parametrize("options", [{"verbose": 1}, {"callbacks": [ProgressBar(detect_notebook=False)]}])
def test_a_progress_bar_changes_nothing(options, X, capsys):
    y = np.arange(len(X)) % 2
    plain = RNNClassifier(**SMALL, max_epochs=2).fit(X, y)
    assert capsys.readouterr() == ("", "")
    shown = RNNClassifier(**SMALL, max_epochs=2, **options).fit(X, y)
    out, err = capsys.readouterr()
    assert "0/" in err
    assert out == ""
    assert same_weights(plain.module_.state_dict(), shown.module_.state_dict())


def test_validation_keeps_groups_together(X):
    groups = np.arange(len(X)) // 4
    y = np.arange(len(X)) % 2
    estimator = RNNClassifier(**SMALL, max_epochs=2, early_stopping=True, validation_fraction=0.3)
    seen = Recorder()
    estimator.set_params(callbacks=[seen]).fit(X, y, groups=groups)
    train, valid = (set(part.groups) for part in (seen.train_, seen.valid_))
    assert train.isdisjoint(valid)
    assert train | valid == set(groups)


def test_groups_without_a_validation_part_are_refused(X):
    with pytest.raises(ValueError, match=r"groups .* need early_stopping=True, got False"):
        RNNClassifier(**SMALL).fit(X, np.arange(len(X)) % 2, groups=np.arange(len(X)))


@pytest.mark.parametrize("groups", [[0, 1], "abc"])
def test_groups_of_another_length_are_refused(groups, X):
    with pytest.raises(ValueError, match=rf"one group for each of the {len(X)} sequences"):
        RNNClassifier(**SMALL, early_stopping=True).fit(X, np.arange(len(X)) % 2, groups=groups)


def test_layers_can_compute_in_bfloat16(X):
    y = np.arange(len(X)) % 2
    full, half = (RNNClassifier(**SMALL, precision=name).fit(X, y) for name in ("float32", "bfloat16"))
    assert {p.dtype for p in half.module_.parameters()} == {torch.float32}
    proba = half.predict_proba(X)
    assert proba.dtype == np.float64
    assert not np.array_equal(proba, full.predict_proba(X))
    np.testing.assert_allclose(proba, full.predict_proba(X), atol=0.1)


def test_callbacks_are_taken_as_skorch_takes_them(X):
    recorder = Recorder()
    estimator = RNNClassifier(**SMALL, max_epochs=1, callbacks=[("mine", recorder), NormRecorder])
    estimator.fit(X, np.arange(len(X)) % 2)
    assert dict(estimator.net_.callbacks_)["mine"] is recorder
    assert (recorder.began_, recorder.ended_) == (1, 1)
    assert len(dict(estimator.net_.callbacks_)["NormRecorder"].norms_) == 2


# --- the history ---


def test_the_history_holds_what_skorch_holds(X):
    estimator = RNNClassifier(**SMALL, max_epochs=3, batch_size=16, early_stopping=True, validation_fraction=0.3)
    history = estimator.fit(X, np.arange(len(X)) % 2).history_
    assert history[:, "epoch"] == [1, 2, 3]
    for name in ("train_loss", "valid_loss", "valid_acc", "dur", "event_lr"):
        values = history[:, name]
        assert len(values) == 3
        assert np.isfinite(values).all()
    assert history[:, "train_batch_count"] == [3, 3, 3]
    assert history[:, "valid_batch_count"] == [1, 1, 1]
    first = history[0, "batches"]
    assert sorted(batch["train_batch_size"] for batch in first[:3]) == [10, 16, 16]
    assert set(first[0]) == {"train_loss", "train_batch_size", "grad_norm", "event_lr"}
    assert set(first[3]) == {"valid_loss", "valid_batch_size"}
    assert estimator.loss_curve_ == history[:, "train_loss"]
    assert estimator.validation_scores_ == history[:, "valid_acc"]


def test_there_is_no_validation_unless_asked(X):
    (row,) = RNNClassifier(**SMALL, max_epochs=1).fit(X, np.arange(len(X)) % 2).history_
    assert not [name for name in row if name.startswith("valid")]
    assert sum(batch["train_batch_size"] for batch in row["batches"]) == len(X)


def test_the_score_of_each_kind_of_target(rng, X):
    options = {**SMALL, "max_epochs": 1, "early_stopping": True}
    (row,) = RNNRegressor(**options).fit(X, rng.normal(size=len(X))).history_
    assert "valid_r2" in row
    assert "valid_acc" not in row
    outputs = np.column_stack([np.arange(len(X)) % 3, np.arange(len(X)) % 4])
    (row,) = RNNClassifier(**options).fit(X, outputs).history_
    assert "valid_loss" in row
    assert "valid_acc" not in row


# --- losses ---


@pytest.mark.parametrize("kind", ["multiclass", "three labels", "per step", "labels per step"])
def test_losses_of_unequal_batches_are_averaged_by_rows(rng, X, kind):
    recorder = Recorder()
    estimator = RNNClassifier(
        **SMALL,
        **STILL,
        batch_size=8,
        max_epochs=1,
        early_stopping=True,
        validation_fraction=0.3,
        callbacks=[recorder],
    )
    estimator.fit(X, TARGETS[kind](X, rng))
    sizes = estimator.history_[-1, "batches", :, "train_batch_size"]
    assert len(set(sizes)) > 1
    for name, dataset in [("train_loss", recorder.train_), ("valid_loss", recorder.valid_)]:
        log_proba = flat(estimator.predict_log_proba(dataset.X))
        if dataset.y.ndim == 1:
            expected = -log_proba[np.arange(len(dataset.y)), dataset.y].mean()
        else:
            others = np.log1p(-np.exp(log_proba))
            expected = -np.where(dataset.y == 1, log_proba, others).mean()
        assert estimator.history_[-1, name] == pytest.approx(expected, rel=1e-5)


def test_weights_of_one_are_no_weights(X):
    y = np.arange(len(X)) % 2
    plain, weighted = (
        RNNClassifier(**SMALL, max_epochs=2).fit(X, y, sample_weight=weight) for weight in (None, np.ones(len(X)))
    )
    assert same_weights(plain.module_.state_dict(), weighted.module_.state_dict())
    assert plain.loss_curve_ == weighted.loss_curve_


def test_targets_of_one_axis_are_not_broadcast(rng):
    """A (B, 1) output against a (B,) target trains without a word on a (B, B) loss, and learns the mean."""
    X = [rng.normal(size=(n, 1)) for n in rng.integers(1, 4, size=200)]
    y = np.array([3 * x[-1, 0] - 1 for x in X])
    options = {"hidden_size": 16, "random_state": 0, "max_epochs": 40, "lr": 0.02, "dropout": 0.0, "input_noise": 0.0}
    one_axis = RNNRegressor(**options).fit(X, y)
    assert np.mean((one_axis.predict(X) - y) ** 2) < 0.01 * y.var()
    assert one_axis.predict(X).shape == y.shape
    two_axes = RNNRegressor(**options).fit(X, y[:, None])
    assert same_weights(one_axis.module_.state_dict(), two_axes.module_.state_dict())
    assert two_axes.predict(X).shape in {(200,), (200, 1)}


def test_a_bare_net_does_not_broadcast_either(rng, sequences):
    y = rng.normal(size=len(sequences))
    nets = [make_net(PointHead(1)).fit(sequences, target) for target in (y, y[:, None])]
    assert same_weights(*(net.module_.state_dict() for net in nets))
    assert nets[0].history[:, "train_loss"] == nets[1].history[:, "train_loss"]
    with pytest.raises(RuntimeError, match="shape"):
        make_net(PointHead(2)).fit(sequences, y)


def test_the_loss_of_values_is_that_of_standardised_targets(rng, X):
    y = 1e4 + 50 * rng.normal(size=len(X))
    recorder = Recorder()
    estimator = RNNRegressor(**SMALL, **STILL, batch_size=8, max_epochs=1, callbacks=[recorder]).fit(X, y)
    expected = np.mean((estimator.predict(X) - y) ** 2) / y.var()
    assert estimator.history_[-1, "train_loss"] == pytest.approx(expected, rel=1e-5)


# --- predictions ---


@pytest.mark.parametrize("per_step", [False, True])
@pytest.mark.parametrize(
    "head",
    [CategoricalHead(3), MultiLabelHead(2), PointHead(2), MultiOutputHead([2, 3])],
    ids=lambda h: type(h).__name__,
)
def test_predictions_go_through_the_head_in_the_order_of_X(sequences, head, per_step):
    net = make_net(copy.deepcopy(head), per_step).initialize()
    rows = []
    net.module_.eval()
    for i in range(len(sequences)):
        with torch.no_grad():
            raw = net.module_(torch.tensor(sequences[i], dtype=torch.float32)[None], torch.tensor([len(sequences[i])]))
        rows.append(raw[0] if per_step else raw)
    expected = torch.cat(rows)
    raw = net.forward(sequences)
    assert raw.shape == (len(sequences.values) if per_step else len(sequences), head.raw_size)
    torch.testing.assert_close(raw, expected, rtol=1e-6, atol=1e-6)
    predicted, theirs = net.predict(sequences), net.module_.head.predict(raw).numpy()
    assert isinstance(predicted, np.ndarray)
    np.testing.assert_array_equal(predicted, theirs)
    if isinstance(head, PointHead):
        with pytest.raises(AttributeError, match="PointHead has no probabilities. Call predict"):
            net.predict_proba(sequences)
        return
    proba, theirs = net.predict_proba(sequences), net.module_.head.predict_proba(raw)
    if isinstance(head, MultiOutputHead):
        assert [part.shape for part in proba] == [(len(raw), 2), (len(raw), 3)]
        for a, b in zip(proba, theirs, strict=True):
            np.testing.assert_array_equal(a, b.numpy())
    else:
        np.testing.assert_array_equal(proba, theirs.numpy())


def test_predictions_of_many_batches_keep_the_order(rng):
    sequences = check_sequences([np.full((n, 2), float(n)) for n in rng.permutation(np.arange(1, 700) % 97 + 1)])
    net = make_net().initialize()
    raw = net.forward(sequences).numpy()
    one_of_each = {n: net.forward(check_sequences([np.full((n, 2), float(n))])).numpy()[0] for n in range(1, 98)}
    expected = np.array([one_of_each[n] for n in sequences.lengths])
    np.testing.assert_allclose(raw, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(net.forward(sequences[::-1]).numpy()[::-1], raw)


@pytest.mark.parametrize("per_step", [False, True])
def test_one_sequence_alone(per_step):
    sequences = check_sequences([np.ones((3, 2))])
    net = make_net(per_step=per_step).initialize()
    assert net.forward(sequences).shape == (3 if per_step else 1, 2)
    assert net.predict(sequences).shape == (3 if per_step else 1,)


def test_forward_in_training_mode_drops_out(sequences):
    net = make_net(dropout=0.5).initialize()
    before = net.forward(sequences)
    first, second = (net.forward(sequences, training=True) for _ in range(2))
    assert not torch.equal(first, second)
    assert torch.equal(net.forward(sequences), before)
    assert first.requires_grad
    assert not before.requires_grad


def test_forward_iter_gives_all_rows(sequences):
    net = make_net().initialize()
    assert torch.equal(torch.cat(list(net.forward_iter(sequences))), net.forward(sequences))


def test_datasets_are_predicted_as_their_sequences(rng, sequences):
    net = make_net().initialize()
    dataset = SequenceDataset(sequences, rng.integers(0, 2, size=len(sequences)))
    np.testing.assert_array_equal(net.predict(dataset), net.predict(sequences))


@pytest.mark.parametrize("method", ["predict", "predict_proba", "forward"])
def test_lists_are_refused_by_a_bare_net(X, method):
    net = make_net().initialize()
    with pytest.raises(TypeError, match=r"must be a Sequences, got list\. Pass check_sequences\(X\), or call the"):
        getattr(net, method)(X)


def test_a_net_that_was_not_fitted_says_so(sequences):
    with pytest.raises(NotInitializedError, match="not initialized"):
        make_net().predict(sequences)


@pytest.mark.parametrize(
    ("head", "kind", "classes"),
    [
        (CategoricalHead(3), "classifier", np.arange(3)),
        (MultiLabelHead(2), "classifier", [np.arange(2)] * 2),
        (MultiOutputHead([2, 3]), "classifier", [np.arange(2), np.arange(3)]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_scorers_see_a_classifier(head, kind, classes):
    net = make_net(head).initialize()
    assert net.__sklearn_tags__().estimator_type == kind
    assert sklearn.base.is_classifier(net)
    for a, b in zip(net.classes_, classes, strict=True):
        np.testing.assert_array_equal(a, b)


def test_scorers_see_a_regressor():
    assert sklearn.base.is_regressor(make_net(PointHead(1)))


# --- the net as skorch's ---


def test_validation_data_as_skorch_takes_them(rng, sequences):
    y = rng.integers(0, 2, size=len(sequences))
    valid = SequenceDataset(sequences[:20], y[:20])
    net = make_net(train_split=predefined_split(valid)).fit(sequences[20:], y[20:])
    expected = log_loss(y[:20], net.predict_proba(valid), labels=[0, 1])
    assert net.history[-1, "valid_loss"] == pytest.approx(expected, rel=1e-6)
    assert net.history[-1, "valid_acc"] == accuracy_score(y[:20], net.predict(valid))


def test_parameters_reach_the_iterators(rng, sequences):
    recorder = Recorder()
    net = make_net(iterator_train__batch_size=5, iterator_train__max_batch_steps=20, callbacks=[recorder])
    net.fit(sequences, rng.integers(0, 2, size=len(sequences)))
    assert max(rows for rows, _ in recorder.shapes_) == 5
    assert all(rows == 1 or rows * steps <= 20 for rows, steps in recorder.shapes_)


def test_most_steps_of_a_batch(rng, X):
    recorder = Recorder()
    RNNClassifier(**SMALL, max_epochs=1, max_batch_steps=30, callbacks=[recorder]).fit(X, np.arange(len(X)) % 2)
    assert all(rows == 1 or rows * steps <= 30 for rows, steps in recorder.shapes_)
    assert sum(rows for rows, _ in recorder.shapes_) == len(X)


class MeanNetwork(torch.nn.Module):
    """A network of a user: the mean over the valid steps, and a linear map."""

    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(2, 2)
        self.head = CategoricalHead(2)

    def forward(self, X, lengths):
        valid = torch.arange(X.shape[1]) < lengths[:, None]
        return self.linear((X * valid[:, :, None]).sum(1) / lengths[:, None])


def test_any_network_with_a_head_is_trained(rng):
    sequences = check_sequences([rng.normal(size=(n, 2)).astype(np.float32) for n in rng.integers(1, 9, size=100)])
    y = np.array([int(x.mean() > 0) for x in sequences])
    with seeded_torch(0):
        module = MeanNetwork()
    net = RecurrentNet(module, optimizer=torch.optim.Adam, lr=0.1, max_epochs=30, verbose=0).fit(sequences, y)
    assert accuracy_score(y, net.predict(sequences)) > 0.9


def test_another_criterion_is_refused():
    with pytest.raises(ValueError, match="criterion must be None, got .*MSELoss.*: the head"):
        make_net(criterion=torch.nn.MSELoss).initialize()


def test_clone_has_the_parameters_and_no_training(rng, sequences):
    net = make_net(dropout=0.3, max_epochs=3, callbacks=[("mine", Recorder())])
    y = rng.integers(0, 2, size=len(sequences))
    clone = sklearn.base.clone(net)
    assert not clone.initialized_
    assert clone.get_params()["max_epochs"] == 3
    assert clone.module is not net.module
    net.fit(sequences, y)
    assert same_weights(net.module_.state_dict(), clone.fit(sequences, y).module_.state_dict())
    sklearn.base.clone(net).fit(sequences, y)  # from a fitted net, and without touching it
    assert same_weights(net.module_.state_dict(), clone.module_.state_dict())


def test_parameters_can_be_set(rng, sequences):
    y = rng.integers(0, 2, size=len(sequences))
    net = make_net(callbacks=[("clip", GradientNormClipping(1.0))]).fit(sequences, y)
    net.set_params(lr=0.5, batch_size=61, callbacks__clip__gradient_clip_value=1e-9)
    before = copy.deepcopy(net.module_.state_dict())
    assert net.optimizer_.param_groups[0]["lr"] == 0.5
    assert net.get_params()["lr"] == 0.5
    assert dict(net.callbacks_)["clip"].gradient_clip_value == 1e-9
    net.partial_fit(sequences, y)
    assert len(net.history) == 4
    assert net.history[-1, "train_batch_count"] == 1
    assert not same_weights(before, net.module_.state_dict())


@pytest.mark.parametrize("copied", [lambda net: pickle.loads(pickle.dumps(net)), copy.deepcopy], ids=["pickle", "copy"])
def test_copies_of_a_net_predict_and_train_on_alike(rng, sequences, copied):
    y = rng.integers(0, 2, size=len(sequences))
    net = make_net(dropout=0.3).fit(sequences, y)
    other = copied(net)
    np.testing.assert_array_equal(other.predict_proba(sequences), net.predict_proba(sequences))
    assert other.history == net.history
    net.partial_fit(sequences, y)
    other.partial_fit(sequences, y)
    assert same_weights(net.module_.state_dict(), other.module_.state_dict())


def test_metadata_routing_does_not_stand_in_the_way(X):
    y = np.arange(len(X)) % 2
    plain = RNNClassifier(**SMALL, max_epochs=1).fit(X, y)
    with sklearn.config_context(enable_metadata_routing=True):
        routed = RNNClassifier(**SMALL, max_epochs=1).fit(X, y)
    assert same_weights(plain.module_.state_dict(), routed.module_.state_dict())


# --- one seed ---


def test_the_seed_decides_shuffling_and_dropout(rng, sequences):
    y = rng.integers(0, 2, size=len(sequences))

    def weights(seed):
        return make_net(dropout=0.5, random_state=seed).fit(sequences, y).module_.state_dict()

    first = weights(1)
    torch.rand(3)
    np.random.random(3)  # noqa: NPY002
    assert same_weights(weights(1), first)
    assert not same_weights(weights(2), first)


def test_global_generators_are_left_alone(rng, sequences):
    y = rng.integers(0, 2, size=len(sequences))
    before = torch.get_rng_state(), pickle.dumps(np.random.get_state())  # noqa: NPY002
    make_net(dropout=0.5).fit(sequences, y).predict(sequences)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert pickle.dumps(np.random.get_state()) == before[1]  # noqa: NPY002


def test_seeded_torch_puts_the_generator_back():
    before = torch.get_rng_state()
    draws = []
    for seed in (3, 3, 4):
        with seeded_torch(seed):
            draws.append(torch.rand(2).tolist())
    assert draws[0] == draws[1] != draws[2]
    assert torch.equal(torch.get_rng_state(), before)
    with pytest.raises(ZeroDivisionError), seeded_torch(1):
        raise ZeroDivisionError(torch.rand(1))
    assert torch.equal(torch.get_rng_state(), before)
    with seeded_torch(3):  # the lock is free again
        assert torch.rand(2).tolist() == draws[0]


# --- length of training, device, threads ---


def test_number_of_epochs():
    fewest, most = EPOCHS
    assert n_epochs(7, 1, 1) == 7
    assert n_epochs("auto", 1, 1) == most
    assert n_epochs("auto", MIN_UPDATES, 1) == fewest
    assert n_epochs("auto", 1, MAX_STEPS) == fewest
    between = MIN_UPDATES // 37
    assert n_epochs("auto", between, 1) == math.ceil(MIN_UPDATES / between)
    assert n_epochs("auto", between, 1) * between >= MIN_UPDATES


def test_choice_of_the_device():
    assert choose_device("cpu") == "cpu"
    assert choose_device(torch.device("cpu")) == "cpu"
    for device in ("cuda:1", "nowhere"):
        if device == "nowhere" or not torch.cuda.is_available():
            with pytest.raises(ValueError, match=rf"got '{device}', which this machine has not\. Use 'auto'"):
                choose_device(device)
    assert choose_device("auto").split(":")[0] in {"cuda", "mps", "cpu"}


def test_threads_are_put_back():
    before = torch.get_num_threads()
    with torch_threads(before + 1):
        assert torch.get_num_threads() == before + 1
        with torch_threads(1):
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_threads_are_put_back_after_an_error(error):
    before = torch.get_num_threads()
    with pytest.raises(error), torch_threads(before + 1):
        raise error
    assert torch.get_num_threads() == before


def test_threads_are_set_for_the_calling_thread_alone():
    before = torch.get_num_threads()
    inside, finished = threading.Event(), threading.Event()
    found = []

    def work():
        with torch_threads(before + 2):
            found.append(torch.get_num_threads())
            inside.set()
            finished.wait(60)

    thread = threading.Thread(target=work)
    thread.start()
    assert inside.wait(60)
    assert torch.get_num_threads() == before
    finished.set()
    thread.join()
    assert found == [before + 2]
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("broken", [False, True])
def test_a_fit_puts_the_threads_back(X, broken):
    class Broken(Callback):
        def on_epoch_end(self, net, **kwargs):
            found.append(torch.get_num_threads())
            if broken:
                raise ZeroDivisionError

    found, before = [], torch.get_num_threads()
    with torch_threads(before + 1):
        estimator = RNNClassifier(**SMALL, max_epochs=1, callbacks=[Broken()])
        if broken:
            with pytest.raises(ZeroDivisionError):
                estimator.fit(X, np.arange(len(X)) % 2)
        else:
            estimator.fit(X, np.arange(len(X)) % 2)
        assert torch.get_num_threads() == before + 1
    assert found == [1]


# --- stopping by a callback, and by the user ---


def caught(function):
    try:
        function()
    except KeyboardInterrupt as interrupt:
        return interrupt
    raise AssertionError("nothing was raised")


def by_statement():
    raise KeyboardInterrupt


def by_statement_below():
    try:
        by_statement()
    finally:
        pass


def by_statement_again():
    try:
        by_statement()
    except KeyboardInterrupt:
        raise


def by_key():
    signal.raise_signal(signal.SIGINT)


def by_key_below():
    try:
        with torch.no_grad():
            by_key()
    finally:
        sum(range(10))


def by_key_again():
    try:
        by_key()
    except KeyboardInterrupt:
        raise


def by_key_in_a_loop():
    for i in range(100):
        if i == 50:
            signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("function", [by_statement, by_statement_below, by_statement_again])
def test_a_raise_is_told_from_a_key(function):
    assert raised_by_statement(caught(function))


@pytest.mark.parametrize("function", [by_key, by_key_below, by_key_again, by_key_in_a_loop])
def test_a_key_is_told_from_a_raise(function):
    assert not raised_by_statement(caught(function))


def own_handler(*args):
    by_statement()


class OwnRunner:
    """Its handler is bound, and counts, as those of event loops do."""

    def handler(self, count, *args):
        raise KeyboardInterrupt(count)


@pytest.mark.parametrize(
    "handler",
    [own_handler, lambda *args: by_statement(), OwnRunner().handler, functools.partial(OwnRunner().handler, 2)],
    ids=["function", "lambda", "method", "partial"],
)
def test_a_program_may_have_a_handler_of_its_own(handler):
    before = signal.signal(signal.SIGINT, handler)
    try:
        interrupts = [caught(function) for function in (by_key, by_key_below)]
        assert not any(raised_by_statement(interrupt) for interrupt in interrupts)
        assert raised_by_statement(caught(by_statement))
    finally:
        signal.signal(signal.SIGINT, before)


class Stop(Callback):
    """Stops in an epoch, at a point of the loop."""

    def __init__(self, how, epoch=2, at="on_epoch_end"):
        self.how = how
        self.epoch = epoch
        self.at = at

    def _stop(self, at, net):
        if at == self.at and len(net.history) == self.epoch:
            self.how()

    def on_epoch_begin(self, net, **kwargs):
        self._stop("on_epoch_begin", net)

    def on_batch_end(self, net, training, **kwargs):
        self._stop("on_batch_end", net)

    def on_grad_computed(self, net, **kwargs):
        self._stop("on_grad_computed", net)

    def on_epoch_end(self, net, **kwargs):
        self._stop("on_epoch_end", net)


PLACES = ["on_epoch_begin", "on_grad_computed", "on_batch_end", "on_epoch_end"]


@pytest.mark.parametrize("at", PLACES)
def test_a_callback_stops_training_as_in_skorch(X, at):
    recorder = Recorder()
    estimator = RNNClassifier(**SMALL, max_epochs=5, callbacks=[recorder, Stop(by_statement, at=at)])
    estimator.fit(X, np.arange(len(X)) % 2)
    assert len(estimator.history_) == 2
    assert recorder.ended_ == 1
    assert estimator.predict(X).shape == (len(X),)


@pytest.mark.parametrize("at", PLACES)
@pytest.mark.parametrize("early_stopping", [False, True])
def test_a_key_ends_training_keeps_what_was_learnt_and_is_not_swallowed(X, at, early_stopping):
    y = np.arange(len(X)) % 2
    recorder = Recorder()
    estimator = RNNClassifier(
        **SMALL, max_epochs=5, early_stopping=early_stopping, callbacks=[recorder, Stop(by_key, at=at)]
    )
    with pytest.raises(KeyboardInterrupt):
        estimator.fit(X, y)
    assert len(estimator.history_) == 2
    assert recorder.ended_ == 1
    assert len(recorder.weights_) == (2 if at == "on_epoch_end" else 1)
    if at == "on_epoch_begin" and not early_stopping:
        assert same_weights(estimator.module_.state_dict(), recorder.weights_[0])
    again = pickle.loads(pickle.dumps(estimator))
    np.testing.assert_array_equal(again.predict_proba(X), estimator.predict_proba(X))
    assert estimator.net_.optimizer_.param_groups[0]["lr"] == estimator.lr


def test_a_key_in_the_first_epoch_leaves_a_fitted_estimator(X):
    y = np.arange(len(X)) % 2
    estimator = RNNClassifier(**SMALL, max_epochs=5, callbacks=[Stop(by_key, 1, "on_epoch_begin")], early_stopping=True)
    with pytest.raises(KeyboardInterrupt):
        estimator.fit(X, y)
    assert estimator.predict(X).shape == (len(X),)


def test_errors_of_callbacks_reach_the_user(X):
    def fail():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        RNNClassifier(**SMALL, max_epochs=5, callbacks=[Stop(fail)]).fit(X, np.arange(len(X)) % 2)
