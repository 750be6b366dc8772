"""The state of a net: arrays and plain values only, and training goes on from it bit by bit the same."""

import copy
import json
import pickle
import pickletools
import subprocess
import sys
from collections import OrderedDict

import joblib
import numpy as np
import pytest
import torch
from skorch.callbacks import Callback

from sktime_rnn import RNNClassifier, RNNRegressor, check_sequences
from sktime_rnn.cells import LSTMCell
from sktime_rnn.heads import CategoricalHead
from sktime_rnn.nets import RecurrentNet, torch_threads
from sktime_rnn.networks import RecurrentNetwork
from sktime_rnn.state import net_state, restore_net, to_plain, to_tensors

SMALL = {"hidden_size": 4, "random_state": 0, "device": "cpu"}
OPTIMIZERS = {
    "adam": (torch.optim.Adam, {"optimizer__fused": True}),
    "adam, not fused": (torch.optim.Adam, {}),
    "adamw": (torch.optim.AdamW, {"optimizer__fused": True, "optimizer__weight_decay": 0.1}),
    "sgd": (torch.optim.SGD, {"optimizer__momentum": 0.9, "optimizer__nesterov": True}),
    "rmsprop": (torch.optim.RMSprop, {"optimizer__centered": True}),
    "amsgrad": (torch.optim.Adam, {"optimizer__amsgrad": True}),
}


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
    return [rng.normal(size=(n, 2)) for n in rng.integers(1, 12, size=40)]


@pytest.fixture
def y(X):
    return np.arange(len(X)) % 2


def make_net(optimizer="adam", random_state=0, **kwargs):
    kind, options = OPTIMIZERS[optimizer]
    module = RecurrentNetwork(
        LSTMCell(), CategoricalHead(2), input_shape=(2,), hidden_size=4, num_layers=2, dropout=0.5, input_noise=0.1
    )
    module.reset_parameters(torch.Generator().manual_seed(0))
    options = {"lr": 0.01, "max_epochs": 1, "batch_size": 8, "verbose": 0, **options, **kwargs}
    return RecurrentNet(module, optimizer=kind, random_state=random_state, **options).initialize()


def equal_bits(a, b):
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal_bits(value, b[key]) for key, value in a.items())
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(equal_bits(*pair) for pair in zip(a, b, strict=True))
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    return a == b


def without_durations(state):
    history = [{name: value for name, value in row.items() if name != "dur"} for row in state["history"]]
    return {**state, "history": history}


# --- values ---


VALUES = {
    "float32": torch.arange(6.0).reshape(2, 3),
    "float64": torch.arange(3, dtype=torch.float64),
    "int64": torch.arange(3),
    "bool": torch.tensor([True, False]),
    "scalar": torch.tensor(2.5),
    "empty": torch.zeros(0, 4),
    "strided": torch.arange(12.0).reshape(3, 4).T[::2],
    "with gradient": torch.ones(2, requires_grad=True),
}


@pytest.mark.parametrize("name", VALUES)
def test_tensors_become_arrays_and_tensors_again(name):
    value = VALUES[name]
    plain = to_plain(value)
    assert type(plain) is np.ndarray
    assert plain.shape == value.shape
    back = to_tensors(plain)
    assert back.dtype == value.dtype
    assert torch.equal(back, value)
    assert not back.requires_grad


def test_nests_keep_their_kind():
    nested = {"a": [torch.ones(2), 1], "b": (0.9, 0.999), 3: {"c": None, "d": "text", "e": True}, "f": []}
    plain = to_plain(nested)
    assert list(plain) == ["a", "b", 3, "f"]
    assert type(plain["a"]) is list
    assert plain["b"] == (0.9, 0.999)
    assert type(plain["b"]) is tuple
    assert plain[3] == {"c": None, "d": "text", "e": True}
    back = to_tensors(plain)
    assert torch.equal(back["a"][0], torch.ones(2))
    assert back["a"][1] == 1
    assert type(to_plain(OrderedDict(a=1))) is dict


def test_both_ways_copy():
    tensor = torch.zeros(3)
    plain = to_plain({"a": [tensor]})
    back = to_tensors(plain)
    tensor += 1
    assert plain["a"][0].tolist() == [0, 0, 0]
    plain["a"][0] += 2
    assert back["a"][0].tolist() == [0, 0, 0]


def test_read_only_arrays_become_tensors_without_a_warning():
    array = np.ones(3)
    array.flags.writeable = False
    to_tensors(array).add_(1)
    assert array.tolist() == [1, 1, 1]


# --- the state ---


def walk(value, path="state"):
    """Yield all leaves with their places."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield f"{path} key", key
            yield from walk(item, f"{path}[{key!r}]")
    elif isinstance(value, list | tuple):
        assert type(value) in (list, tuple), path
        for i, item in enumerate(value):
            yield from walk(item, f"{path}[{i}]")
    else:
        yield path, value


class Talkative(Callback):
    """Records what callbacks of users record."""

    def on_batch_end(self, net, y_pred, **kwargs):
        net.history.record_batch("a_tensor", y_pred.detach().mean())

    def on_epoch_end(self, net, **kwargs):
        net.history.record("tensor", torch.ones(2))
        net.history.record("nested", {"tensors": [torch.ones(1)], "number": np.float64(1.5)})


def check_plain(state):
    plain = (int, float, bool, str, type(None), np.ndarray, np.generic)
    strange = {path: type(value) for path, value in walk(state) if not isinstance(value, plain)}
    assert strange == {}
    arrays = [(path, value) for path, value in walk(state) if isinstance(value, np.ndarray)]
    assert len(arrays) > 4
    assert [path for path, value in arrays if value.dtype == object] == []


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_the_state_is_made_of_arrays_and_plain_values(X, y, optimizer):
    net = make_net(optimizer, callbacks=[Talkative()])
    check_plain(net_state(net))  # before training
    net.fit(check_sequences(X), y)
    check_plain(net_state(net))


@pytest.mark.parametrize("Estimator", [RNNClassifier, RNNRegressor])
def test_the_state_of_an_estimator_is_made_of_arrays_and_plain_values(X, y, Estimator):
    estimator = Estimator(**SMALL, max_epochs=2, early_stopping=True, callbacks=[Talkative()]).fit(X, y)
    check_plain(net_state(estimator.net_))


def test_the_state_is_a_copy(X, y):
    net = make_net().fit(check_sequences(X), y)
    state = net_state(net)
    before = copy.deepcopy(state)
    net.partial_fit(check_sequences(X), y)
    assert equal_bits(state, before)
    other = make_net()
    restore_net(other, state)
    other.partial_fit(check_sequences(X), y)
    other.history.record("more", 1)
    assert equal_bits(state, before)


# --- going on from it ---


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_training_goes_on_bit_by_bit_the_same(X, y, optimizer):
    sequences = check_sequences(X)
    straight = make_net(optimizer, max_epochs=2)
    straight.partial_fit(sequences, y)
    first = make_net(optimizer).partial_fit(sequences, y)
    second = make_net(optimizer, random_state=99)  # its own seed plays no part any more
    restore_net(second, pickle.loads(pickle.dumps(net_state(first))))
    second.partial_fit(sequences, y)
    assert equal_bits(*(without_durations(net_state(net)) for net in (straight, second)))
    np.testing.assert_array_equal(straight.predict_proba(sequences), second.predict_proba(sequences))


@pytest.mark.parametrize("part", ["module", "optimizer", "shuffling", "dropout"])
def test_each_part_of_the_state_is_needed(X, y, part):
    sequences = check_sequences(X)
    first = make_net(max_epochs=2).partial_fit(sequences, y)
    fresh = net_state(make_net())

    def one_more(state):
        net = make_net(random_state=5)
        restore_net(net, state)
        return net_state(net.partial_fit(sequences, y))["module"]

    state = net_state(first)
    assert equal_bits(one_more(state), one_more(state))
    assert not equal_bits(one_more(state), one_more({**state, part: fresh[part]}))


def test_the_generator_of_dropout_is_in_the_state(X, y):
    sequences = check_sequences(X)
    first = make_net().partial_fit(sequences, y)
    second = make_net(random_state=5)
    restore_net(second, net_state(first))
    for _ in range(2):
        a, b = (net.forward(sequences, training=True) for net in (first, second))
        assert torch.equal(a, b)
    assert not torch.equal(a, first.forward(sequences, training=True))


def test_another_kind_of_optimizer_starts_anew(X, y):
    sequences = check_sequences(X)
    first = make_net("adam").partial_fit(sequences, y)
    second = make_net("sgd")
    restore_net(second, net_state(first))
    np.testing.assert_array_equal(first.predict_proba(sequences), second.predict_proba(sequences))
    assert second.optimizer_.state_dict()["state"] == {}
    second.partial_fit(sequences, y)
    assert len(second.history) == 2


def test_frozen_weights_are_in_the_state(X, y):
    sequences = check_sequences(X)
    first = make_net()
    first.module_.head.linear.bias.requires_grad_(False)
    state = net_state(first)
    assert state["frozen"] == ["head.linear.bias"]
    second = make_net()
    second.module_.head.linear.weight.requires_grad_(False)  # the state decides
    restore_net(second, state)
    before = copy.deepcopy(second.module_.state_dict())
    second.partial_fit(sequences, y)
    same = {name for name, value in second.module_.state_dict().items() if torch.equal(value, before[name])}
    assert same == {"head.linear.bias"}


def test_the_history_comes_back(X, y):
    first = make_net(max_epochs=3).partial_fit(check_sequences(X), y)
    second = make_net()
    restore_net(second, net_state(first))
    assert second.history == first.history
    assert second.history[:, "batches", :, "train_loss"] == first.history[:, "batches", :, "train_loss"]


def test_weights_of_another_build_are_refused():
    state = net_state(make_net())
    state["module"]["head.linear.weight"] = np.zeros((3, 4), dtype=np.float32)
    with pytest.raises(RuntimeError, match="size mismatch for head.linear.weight"):
        restore_net(make_net(), state)
    del state["module"]["head.linear.weight"]
    with pytest.raises(RuntimeError, match="Missing key"):
        restore_net(make_net(), state)


# --- estimators ---


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd", "rmsprop"])
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_partial_fit_goes_on_after_a_pickle(X, y, optimizer, precision):
    estimator = RNNClassifier(**SMALL, optimizer=optimizer, precision=precision, dropout=0.5).partial_fit(X, y)
    again = pickle.loads(pickle.dumps(estimator))
    np.testing.assert_array_equal(again.predict_proba(X), estimator.predict_proba(X))
    for each in (estimator, again):
        each.partial_fit(X, y)
    np.testing.assert_array_equal(again.predict_proba(X), estimator.predict_proba(X))
    assert equal_bits(*(without_durations(net_state(each.net_)) for each in (estimator, again)))


def test_a_warm_start_goes_on_after_a_pickle(X, y):
    estimator = RNNClassifier(**SMALL, warm_start=True, max_epochs=2).fit(X, y)
    again = pickle.loads(pickle.dumps(estimator))
    assert again.fit(X, y).n_iter_ == estimator.fit(X, y).n_iter_ == 4
    np.testing.assert_array_equal(again.predict_proba(X), estimator.predict_proba(X))


TEXTS = ["abc", "cabba", "b", "aacc"] * 10


def fitted(kind, X, y):
    if kind == "values":
        return RNNClassifier(**SMALL, max_epochs=2).fit(X, y), X
    if kind == "missing":
        holes = [np.where(np.arange(x.size).reshape(x.shape) % 5 == 1, np.nan, x) for x in X]
        return RNNClassifier(**SMALL, max_epochs=2, missing="mask").fit(holes, y), holes
    if kind == "texts":
        return RNNClassifier(**SMALL, max_epochs=2).fit(TEXTS, y), TEXTS
    if kind == "per step":
        return RNNRegressor(**SMALL, max_epochs=2, bidirectional=True).fit(X, [x[:, 0] for x in X]), X
    if kind == "outputs":
        return RNNRegressor(**SMALL, max_epochs=2, early_stopping=True).fit(X, np.column_stack([y, -y, y + 1])), X
    labels = np.array(["one", "two"])[y]
    return RNNClassifier(**SMALL, max_epochs=2, cell="gru", pooling="attention").fit(X, labels), X


KINDS = ["values", "missing", "texts", "per step", "outputs", "labels"]


def flat(rows):
    return np.concatenate(rows) if isinstance(rows, list) else rows


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("protocol", [2, pickle.HIGHEST_PROTOCOL])
def test_a_pickle_names_nothing_of_torch(X, y, kind, protocol):
    estimator, data = fitted(kind, X, y)
    pickled = pickle.dumps(estimator, protocol=protocol)
    strings = {argument for _, argument, _ in pickletools.genops(pickled) if isinstance(argument, str)}
    modules = {name.split()[0].split(".")[0] for name in strings if name}
    assert "sktime_rnn" in modules
    assert not modules & {"torch", "skorch"}
    again = pickle.loads(pickled)
    np.testing.assert_array_equal(flat(again.predict(data)), flat(estimator.predict(data)))


def test_only_modules_of_the_user_bring_torch_into_the_pickle(rng, y):
    frames = rng.normal(size=(40, 3, 4, 4, 1)).astype(np.float32)
    step_network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 3))
    estimator = RNNClassifier(**SMALL, max_epochs=1, step_network=step_network).fit(frames, y)
    again = pickle.loads(pickle.dumps(estimator))
    np.testing.assert_array_equal(again.predict_proba(frames), estimator.predict_proba(frames))


PREDICT = """
import pickle, sys
import numpy as np

for estimator, data, expected in pickle.load(sys.stdin.buffer):
    rows = estimator.predict(data)
    rows = np.concatenate(rows) if isinstance(rows, list) else rows
    np.testing.assert_array_equal(rows, expected)
    print(type(estimator).__name__, len(rows))
"""


def test_pickles_load_in_another_process(X, y):
    """All kinds at once, since starting Python takes the time."""
    pairs = [fitted(kind, X, y) for kind in KINDS]
    cases = [(estimator, data, flat(estimator.predict(data))) for estimator, data in pairs]
    command = [sys.executable, "-W", "error", "-c", PREDICT]
    found = subprocess.run(command, input=pickle.dumps(cases), capture_output=True, check=False)
    assert found.returncode == 0, found.stderr.decode()
    lines = [f"{type(estimator).__name__} {len(expected)}" for estimator, _, expected in cases]
    assert found.stdout.decode().splitlines() == lines


def test_joblib_loads_with_memory_maps(X, y, tmp_path):
    estimator = RNNClassifier(**SMALL, max_epochs=2).fit(X, y)
    joblib.dump(estimator, tmp_path / "estimator.joblib")
    again = joblib.load(tmp_path / "estimator.joblib", mmap_mode="r")
    np.testing.assert_array_equal(again.predict_proba(X), estimator.predict_proba(X))
    again.partial_fit(X, y)
    estimator.partial_fit(X, y)
    np.testing.assert_array_equal(again.predict_proba(X), estimator.predict_proba(X))


def test_copies_are_independent(X, y):
    estimator = RNNClassifier(**SMALL, max_epochs=2).fit(X, y)
    before = estimator.predict_proba(X)
    other = copy.deepcopy(estimator)
    other.partial_fit(X, y)
    np.testing.assert_array_equal(estimator.predict_proba(X), before)
    assert estimator.n_iter_ == 2
    assert other.n_iter_ == 3


def test_the_state_of_training_can_be_written_as_text(X, y):
    """What is no array is what JSON can hold, so that files need no pickle."""
    state = net_state(RNNClassifier(**SMALL, max_epochs=2, early_stopping=True).fit(X, y).net_)

    def as_json(value):
        return {"array": value.tolist()} if isinstance(value, np.ndarray) else value.item()

    back = json.loads(json.dumps(state, default=as_json))
    assert back["shuffling"] == state["shuffling"]
    assert len(back["history"]) == 2
    assert back["frozen"] == []
