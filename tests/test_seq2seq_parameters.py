"""The parameters of Seq2SeqTransformer: each one does something or is refused, and what does not fit is refused."""

import contextlib
import io

import numpy as np
import pytest
import torch
from checks import HalveWeights, make_sequences, seeded_module, small
from ids import shown
from sklearn.base import clone
from skorch.callbacks import LRScheduler
from torch.optim.lr_scheduler import StepLR

from sktime_rnn import Seq2SeqTransformer
from sktime_rnn.callbacks import FORCING_SCHEDULES
from sktime_rnn.cells import GRUCell


def model(**params):
    return small(Seq2SeqTransformer(), **{"max_epochs": 1, **params})


# -- every parameter


def _texts():
    rng = np.random.default_rng(0)
    return ["".join(rng.choice(list("abcd"), size=n)) for n in rng.integers(2, 5, size=24)]


def _words():
    rng = np.random.default_rng(1)
    return [" ".join(rng.choice(["red", "green", "blue"], size=n)) for n in rng.integers(1, 4, size=24)]


def _data_texts():
    return _texts(), [text[::-1] for text in _texts()]


def _data_words():
    return _words(), [text.replace("red", "rot") for text in _words()]


def _data_spoken():
    return make_sequences(lengths=(5, 9)), [text[:2] for text in _texts()]


def _data_values():
    return make_sequences(), make_sequences(lengths=(2, 5), seed=1)


def _data_labelled():
    return _texts(), make_sequences(lengths=(2, 5), seed=1)


def _data_table():
    return make_sequences(), np.random.default_rng(2).normal(size=(24, 3))


def _data_alone():
    return make_sequences(), None


def _data_codes():
    codes = [np.random.default_rng(i).integers(0, 4, size=3 + i % 3) for i in range(24)]
    return codes, codes


def _data_grids():
    return np.random.default_rng(0).normal(size=(24, 4, 3)), _texts()


def _data_vectors():
    return np.random.default_rng(0).normal(size=(24, 3)), _texts()


def _data_holed():
    X = make_sequences()
    X[3][1, 0] = np.nan
    return X, _texts()


def _data_learnable():
    X = [x + 5 * (i % 3) for i, x in enumerate(make_sequences())]
    return X, np.array([[5.0, -5.0, i % 3] for i in range(24)])


DATA = {name.removeprefix("_data_"): build for name, build in list(globals().items()) if name.startswith("_data_")}
STOPPING = {"early_stopping": True, "max_epochs": 20, "n_iter_no_change": 3, "lr": 0.03}
UNSURE = {"max_epochs": 6, "lr": 0.02}

# For each parameter: other values than the default, the parameters beside which each works, and the data.
ALTERNATIVES = {
    "cell": [("lstm", {}, "texts"), ("rnn", {}, "values"), (GRUCell(), {"cell": "rnn"}, "texts")],
    "hidden_size": [(5, {}, "texts")],
    "num_layers": [
        (2, {}, "texts"),
        (2, {}, "values"),
        (2, {"alignment": "ctc"}, "spoken"),
        (2, {"input": "vector"}, "vectors"),
    ],
    "bidirectional": [
        (False, {}, "texts"),
        (False, {"alignment": "ctc"}, "spoken"),
        (False, {"input": "vector"}, "vectors"),
    ],
    "bias": [(False, {}, "texts"), (False, {"input": "vector"}, "vectors")],
    "nonlinearity": [
        *((name, {"cell": "rnn"}, "texts") for name in ("relu", "sigmoid", "identity")),
        ("relu", {}, "texts"),
    ],
    "go_backwards": [
        (True, {"bidirectional": False}, "texts"),
        (True, {}, "texts"),
        (True, {"input": "vector", "bidirectional": True}, "vectors"),
    ],
    "initial_state": [("learned", {}, "texts"), ("learned", {"input": "vector"}, "vectors")],
    "attention": [
        *((name, {}, "values") for name in ("additive", None)),
        *((name, {}, "texts") for name in ("general", None, "dot")),
        ("dot", {"bidirectional": False}, "texts"),
        ("general", {"output": "encoding"}, "alone"),
        ("additive", {"input": "vector"}, "vectors"),
        ("additive", {"alignment": "ctc"}, "spoken"),
    ],
    "input_feeding": [
        (True, {}, "texts"),
        (True, {}, "values"),
        (True, {"attention": None}, "texts"),
        (True, {"alignment": "ctc"}, "spoken"),
    ],
    "context": [
        *((name, {}, "texts") for name in ("steps", "both")),
        *((name, {"attention": None}, "values") for name in ("state", "steps")),
        ("both", {"alignment": "ctc"}, "spoken"),
    ],
    "n_components": [(3, {}, "texts"), (3, {"input": "vector"}, "vectors"), (3, {"alignment": "ctc"}, "spoken")],
    "output": [("encoding", {}, "texts"), ("encoding", {}, "alone"), ("encoding", {"alignment": "ctc"}, "spoken")],
    "reconstruct": [(True, {}, "texts"), (False, {}, "alone"), (False, {"output": "encoding"}, "texts")],
    "alignment": [("ctc", {}, "spoken"), ("ctc", {}, "values")],
    "output_length": [
        ("stop", {}, "table"),
        ("stop", {}, "values"),
        ("predict", {}, "table"),
        ("input", {}, "values"),
        ("input", {}, "texts"),
        (3, {}, "texts"),
        ("predict", {}, "texts"),
        ("input", {"input": "vector"}, "vectors"),
        (2, {"alignment": "ctc"}, "spoken"),
    ],
    "feedback": [(True, {}, "values"), (True, {"output_length": "stop"}, "values"), (False, {}, "texts")],
    "teacher_forcing": [
        (0.5, {}, "texts"),
        (0.0, {"feedback": True}, "values"),
        (0.5, {}, "values"),
        (0.5, {"alignment": "ctc"}, "spoken"),
    ],
    "teacher_forcing_schedule": [
        *((name, {"teacher_forcing": 0.5}, "texts") for name in sorted(FORCING_SCHEDULES) if name != "constant"),
        ("linear", {}, "values"),
    ],
    "label_smoothing": [(0.0, {}, "texts"), (0.3, {}, "values"), (0.3, {"alignment": "ctc"}, "spoken")],
    "beam_width": [(5, UNSURE, "texts"), (5, {**UNSURE, "alignment": "ctc"}, "spoken"), (5, {}, "values")],
    "length_penalty": [
        (5.0, {**UNSURE, "beam_width": 5}, "texts"),
        (0.0, {}, "values"),
        (0.0, {"alignment": "ctc"}, "spoken"),
    ],
    "min_length": [(6, {}, "texts"), (6, {}, "values"), (2, {}, "table"), (2, {"alignment": "ctc"}, "spoken")],
    "max_length": [(1, UNSURE, "texts"), (1, {}, "values"), (2, {}, "table"), (2, {"alignment": "ctc"}, "spoken")],
    "no_repeat_ngram_size": [(1, {"min_length": 8}, "texts"), (2, {}, "values"), (2, {"alignment": "ctc"}, "spoken")],
    "dropout": [(0.5, {}, "texts"), (0.5, {}, "values"), (0.5, {"alignment": "ctc"}, "spoken")],
    "input_noise": [
        (0.3, {}, "texts"),
        ("auto", {}, "values"),
        (0.3, {"alignment": "ctc"}, "spoken"),
        (2.0, {}, "texts"),
    ],
    "input": [("grid", {}, "grids"), ("vector", {}, "vectors"), ("vector", {}, "values"), ("grid", {}, "texts")],
    "step_network": [
        (seeded_module(torch.nn.Linear, 2, 3), {}, "values"),
        (seeded_module(torch.nn.Linear, 3, 4), {"input": "vector"}, "vectors"),
        (seeded_module(torch.nn.Sequential, torch.nn.Flatten(), torch.nn.Linear(12, 4)), {"input": "grid"}, "grids"),
        (seeded_module(torch.nn.Linear, 2, 3), {}, "texts"),
    ],
    "tokenizer": [
        ("word", {}, "words"),
        (str.split, {}, "words"),
        (("word", "char"), {}, "words"),
        (("char", "word"), {}, "words"),
    ],
    "tokens": [(True, {}, "codes"), ("X", {}, "codes"), ("y", {}, "codes"), (True, {}, "values")],
    "embedding_dim": [
        (5, {}, "texts"),
        (5, {}, "labelled"),
        (5, {}, "spoken"),
        (5, {}, "values"),
        (5, {"alignment": "ctc"}, "spoken"),
    ],
    "embeddings": [({"a": np.ones(4), "d": np.zeros(4)}, {}, "texts"), ({"a": np.ones(4)}, {}, "values")],
    "max_tokens": [(2, {}, "texts"), (2, {}, "spoken"), (2, {}, "values")],
    "min_frequency": [(18, {}, "texts"), (18, {}, "spoken"), (18, {}, "values")],
    "standardize": [(False, {}, "values"), (False, {}, "spoken"), (False, {}, "labelled"), (False, {}, "texts")],
    "missing": [("mask", {}, "holed"), ("mask", {}, "values"), ("mask", {}, "texts")],
    "loss": [("absolute_error", {}, "values"), ("huber", {}, "table"), ("huber", {}, "texts")],
    "optimizer": [("adamw", {"weight_decay": 0.1}, "texts"), ("sgd", {}, "texts"), (torch.optim.Adagrad, {}, "texts")],
    "lr": [(0.01, {}, "texts")],
    "lr_schedule": [("constant", {}, "texts"), ("cosine", {}, "texts")],
    "max_epochs": [(3, {}, "texts"), ("auto", {"early_stopping": True, "n_iter_no_change": 3, "tol": 1e9}, "texts")],
    "batch_size": [(5, {}, "texts")],
    "max_batch_steps": [(40, {}, "texts")],
    "weight_decay": [(0.1, {}, "texts")],
    "max_grad_norm": [(1e-3, {}, "texts")],
    "max_grad_value": [(1e-4, {}, "texts")],
    "normalize_grad": [(True, {"max_grad_norm": None}, "texts")],
    "early_stopping": [(True, {}, "texts")],
    "validation_fraction": [(0.4, STOPPING, "texts")],
    "n_iter_no_change": [(1, STOPPING, "texts")],
    "tol": [(1e9, STOPPING, "learnable")],
    "device": [("nowhere", {}, "texts")],
    "precision": [("float64", {}, "texts"), ("bfloat16", {}, "values"), ("float64", {"alignment": "ctc"}, "spoken")],
    "callbacks": [([HalveWeights()], {}, "texts"), ([("halving", HalveWeights())], {}, "texts")],
    "warm_start": [(True, {}, "texts")],
    "verbose": [(1, {}, "texts"), (2, {}, "texts")],
    "random_state": [(1, {}, "texts"), (np.random.RandomState(0), {}, "texts")],
}


def _listed(outputs):
    return [out.tolist() if hasattr(out, "tolist") else out for out in outputs]


def _effect(data, params, n_fits=1):
    """All that fits do that a user can see, or the error."""
    X, y = DATA[data]()
    said, complained = io.StringIO(), io.StringIO()
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(complained):
            fitted = model(**params)
            for _ in range(n_fits):
                fitted.fit(X, y)
    except (TypeError, ValueError, RuntimeError) as error:
        return type(error).__name__, str(error)
    weights = sorted((name, weight.tolist()) for name, weight in fitted.module_.state_dict().items())
    talked = bool(said.getvalue()), bool(complained.getvalue())
    return _listed(fitted.predict(X)), _listed(fitted.transform(X)), fitted.n_iter_, talked, weights


def test_every_parameter_is_in_the_table():
    assert set(ALTERNATIVES) == set(Seq2SeqTransformer().get_params(deep=False))
    assert set(ALTERNATIVES) == set(Seq2SeqTransformer._parameter_constraints)


@pytest.fixture(scope="module")
def effects():
    return {}


CASES = [(name, *case) for name, cases in ALTERNATIVES.items() for case in cases]


@pytest.mark.parametrize(("name", "value", "beside", "data"), CASES, ids=shown)
def test_every_parameter_does_something(effects, name, value, beside, data):
    """Another value changes what is learnt or written, or is refused; it is never ignored."""
    n_fits = 2 if name == "warm_start" else 1
    without = f"{data}, {beside}, {n_fits}"
    if without not in effects:
        effects[without] = _effect(data, beside, n_fits)
    assert effects[without] != _effect(data, {**beside, name: value}, n_fits)


def test_constructor_stores_what_it_is_given():
    callbacks, embeddings, tokenizer = [HalveWeights()], {"a": np.ones(3)}, ("char", "word")
    built = Seq2SeqTransformer(callbacks=callbacks, embeddings=embeddings, tokenizer=tokenizer)
    assert built.callbacks is callbacks
    assert built.embeddings is embeddings
    assert built.tokenizer is tokenizer
    assert clone(built).get_params(deep=False)["tokenizer"] == tokenizer
    assert not vars(built).keys() - built.get_params(deep=False).keys()


def test_defaults_are_plain_values():
    for value in Seq2SeqTransformer().get_params(deep=False).values():
        assert value is None or isinstance(value, str | int | float | bool)


# -- refusals


def ctc(name, value, default):
    words = (
        f"{name} must be left at {default}, got .*has no effect, since alignment='ctc' has no decoder. Set alignment="
    )
    return {"alignment": "ctc", name: value}, "spoken", words


def unread(name, value, default):
    words = f"{name} must be left at {default}, got .*since a vector is not read step by step. Pass sequences, or leave"
    return {"input": "vector", name: value}, "vectors", words


REFUSED = [
    ctc("attention", "additive", "'auto'"),
    ctc("attention", None, "'auto'"),
    ctc("input_feeding", True, "False"),
    ctc("context", "state", "'auto'"),
    ctc("n_components", 3, "None"),
    ctc("feedback", True, "'auto'"),
    ctc("output_length", "stop", "'auto'"),
    ctc("teacher_forcing", 0.5, "1.0"),
    ctc("teacher_forcing_schedule", "linear", "'constant'"),
    ctc("label_smoothing", 0.3, "0.1"),
    ctc("min_length", 1, "0"),
    ctc("max_length", 9, "'auto'"),
    ctc("no_repeat_ngram_size", 2, "0"),
    ctc("length_penalty", 0.0, "1.0"),
    (
        {"alignment": "ctc", "input": "vector"},
        "vectors",
        "alignment='ctc' aligns .* needs input='sequence', got 'vector'. Set",
    ),
    (
        {"alignment": "ctc", "input": "grid"},
        "grids",
        "alignment='ctc' aligns .* needs input='sequence', got 'grid'. Set",
    ),
    (
        {"alignment": "ctc", "output": "encoding"},
        "spoken",
        "learns no context vector and needs output='sequence', got 'enc",
    ),
    (
        {"alignment": "ctc"},
        "values",
        "alignment='ctc' needs y of symbols, got values. Pass text or tokens, or set tokens='y'",
    ),
    unread("num_layers", 2, "1"),
    unread("bidirectional", False, "True"),
    unread("go_backwards", True, "False"),
    unread("initial_state", "learned", "'zeros'"),
    *(
        (
            {"input": "vector", "attention": name},
            "vectors",
            f"attention='{name}' needs inputs of several steps, got input='vec",
        )
        for name in ("additive", "dot", "general")
    ),
    (
        {"input": "vector", "output_length": "input"},
        "vectors",
        "output_length='input' needs inputs of several steps.*at 'auto'",
    ),
    (
        {"attention": "dot"},
        "texts",
        "attention='dot' needs input steps as wide as .*bidirectional=True .*Set bidirectional=False",
    ),
    ({"min_length": 5, "max_length": 4}, "texts", "min_length must be at most max_length, got 5 and 4. Swap them"),
    ({"go_backwards": True}, "texts", "go_backwards=True needs bidirectional=False, got both True.*Set one of them"),
    ({"step_network": torch.nn.Linear(2, 3)}, "texts", "step_network needs X with values, got tokens"),
    ({"input_noise": 1.0}, "texts", "input_noise is the share of tokens read as unknown and must be below 1, got 1.0"),
    (
        {"callbacks": [LRScheduler(StepLR, step_size=1)], "lr_schedule": "cosine"},
        "texts",
        "lr_schedule='cosine' and an LRScheduler among callbacks would both set",
    ),
    (
        {"embeddings": {"a": np.ones(3)}},
        "values",
        "embeddings must be left at None.*since X holds values. Pass text or tokens as X",
    ),
    ({"embeddings": {"a": np.ones(3)}}, "spoken", "embeddings must be left at None.*since X holds values"),
    (
        {"embeddings": {"a": np.ones(3), "b": np.ones(2)}},
        "texts",
        "embeddings must map every token to numbers, as many",
    ),
    (
        {"embedding_dim": 5},
        "values",
        "embedding_dim must be left at 'auto', got 5.*since X and y hold values. Pass text",
    ),
    ({"max_tokens": 5}, "values", "max_tokens must be left at None, got 5.*since X and y hold values"),
    ({"min_frequency": 2}, "values", "min_frequency must be left at 1, got 2.*since X and y hold values"),
    (
        {"missing": "mask"},
        "texts",
        "missing must be left at 'error', got 'mask'.*since X holds tokens. Pass values as X",
    ),
    ({"missing": "mask"}, "labelled", "missing must be left at 'error', got 'mask'.*since X holds tokens"),
    (
        {"standardize": False},
        "texts",
        "standardize must be left at True, got False.*since X and y hold tokens. Pass values",
    ),
    (
        {"loss": "huber"},
        "texts",
        "loss must be left at 'squared_error', got 'huber'.*since y holds symbols. Pass values as y",
    ),
    ({"loss": "huber", "alignment": "ctc"}, "spoken", "loss must be left at 'squared_error'"),
    (
        {"output_length": "predict"},
        "texts",
        "output_length='predict' is for values; .* got y of symbols. Set output_length='auto'",
    ),
    ({"feedback": False}, "texts", "feedback=False is for values; .*got y of symbols. Leave feedback at 'auto'"),
    (
        {"label_smoothing": 0.3},
        "values",
        "label_smoothing must be left at 0.1, got 0.3.*since y holds values. Pass text or tokens",
    ),
    ({"beam_width": 3}, "values", "beam_width must be left at 1, got 3.*since y holds values"),
    ({"length_penalty": 0.0}, "values", "length_penalty must be left at 1.0, got 0.0.*since y holds values"),
    ({"no_repeat_ngram_size": 2}, "values", "no_repeat_ngram_size must be left at 0, got 2.*since y holds values"),
    (
        {"teacher_forcing": 0.5},
        "values",
        "teacher_forcing must be left at 1.0, got 0.5.*does not read its outputs. Set feedback=True",
    ),
    (
        {"teacher_forcing_schedule": "linear"},
        "values",
        "teacher_forcing_schedule must be left at 'constant'.*Set teacher_forcing below 1",
    ),
    (
        {"min_length": 2},
        "table",
        "min_length must be left at 0, got 2.*since the length of outputs is given. Set output_length",
    ),
    (
        {"max_length": 2},
        "table",
        "max_length must be left at 'auto', got 2.*since the length of outputs is given. Set output_len",
    ),
    (
        {"reconstruct": False},
        "alone",
        "y must be passed when reconstruct=False, got None. Pass one output for each sequence of X",
    ),
    ({"cell": torch.nn.GRU}, "texts", "cell must be a name, a Cell class or a Cell"),
    ({"nonlinearity": "relu", "cell": "lstm"}, "texts", "nonlinearity='relu' needs None or one of .* as cell"),
    ({"device": "nowhere"}, "texts", "device must be 'auto'"),
    ({"alignment": "ctc", "embedding_dim": 5}, "spoken", "embedding_dim must be left at 'auto', got 5"),
    ({"tokens": True, "input": "vector"}, "vectors", "tokens=True goes with input="),
    ({"tokenizer": ("char", "sentence")}, "texts", "tokenizer must be .*'sentence'"),
    ({"tokenizer": ("sentence", "char")}, "texts", "tokenizer must be .*'sentence'"),
    ({"tokenizer": ("char",)}, "texts", "tokenizer must .*two"),
    ({"tokenizer": ("char", "char", "word")}, "texts", "tokenizer must .*two"),
]


@pytest.mark.parametrize(("params", "data", "words"), REFUSED, ids=shown)
def test_what_does_not_fit_is_refused(params, data, words):
    X, y = DATA[data]()
    refused = model(**params)
    with pytest.raises((ValueError, TypeError), match=words):
        refused.fit(X, y)
    assert not hasattr(refused, "net_")


def test_a_step_network_that_maps_no_grids_is_refused():
    X, y = DATA["grids"]()
    flat = torch.nn.Sequential(torch.nn.Flatten(0), torch.nn.Linear(12, 4))
    with pytest.raises(ValueError, match=r"step_network must map grids \(n, height, width, channels\).*got \(4,\) for"):
        model(input="grid", step_network=flat).fit(X, y)


OUT_OF_RANGE = [
    ("cell", "lstn"),
    ("hidden_size", 0),
    ("num_layers", 0),
    ("bidirectional", "yes"),
    ("bias", None),
    ("nonlinearity", "sine"),
    ("go_backwards", "yes"),
    ("initial_state", "ones"),
    ("attention", "self"),
    ("input_feeding", "yes"),
    ("context", "none"),
    ("n_components", 0),
    ("output", "features"),
    ("reconstruct", "yes"),
    ("alignment", "rnnt"),
    ("output_length", 0),
    ("output_length", "longest"),
    ("feedback", "always"),
    ("teacher_forcing", 1.5),
    ("teacher_forcing_schedule", "cosine"),
    ("label_smoothing", 1.0),
    ("beam_width", 0),
    ("length_penalty", -1.0),
    ("min_length", -1),
    ("max_length", 0),
    ("max_length", None),
    ("no_repeat_ngram_size", -1),
    ("dropout", 1.0),
    ("input_noise", -0.1),
    ("input", "image"),
    ("step_network", "cnn"),
    ("tokenizer", "sentence"),
    ("tokens", "both"),
    ("embedding_dim", 0),
    ("embeddings", "glove"),
    ("max_tokens", 0),
    ("min_frequency", 0),
    ("standardize", "yes"),
    ("missing", "drop"),
    ("loss", "mape"),
    ("optimizer", "adm"),
    ("lr", 0.0),
    ("lr_schedule", "linear"),
    ("max_epochs", 0),
    ("batch_size", 0),
    ("max_batch_steps", 0),
    ("weight_decay", -0.1),
    ("max_grad_norm", 0.0),
    ("max_grad_value", -1.0),
    ("normalize_grad", "yes"),
    ("early_stopping", "yes"),
    ("validation_fraction", 1.0),
    ("n_iter_no_change", 0),
    ("tol", -1.0),
    ("device", 3),
    ("precision", "float8"),
    ("callbacks", HalveWeights()),
    ("warm_start", "yes"),
    ("verbose", -1),
    ("random_state", "seed"),
]


@pytest.mark.parametrize(("name", "value"), OUT_OF_RANGE, ids=shown)
def test_parameters_out_of_range(name, value):
    with pytest.raises((ValueError, TypeError), match=f"The '{name}' parameter of Seq2SeqTransformer"):
        model(**{name: value}).fit(_texts(), _texts())


def test_every_parameter_has_a_range():
    assert {name for name, _ in OUT_OF_RANGE} == set(Seq2SeqTransformer().get_params(deep=False))
