"""Jordan's and Elman and Jordan's cells in both modes: worked in NumPy, and inside the estimators."""

import itertools
import pickle

import numpy as np
import pytest

from sktime_rnn import RNNClassifier, RNNForecaster, RNNRegressor, Seq2SeqTransformer
from sktime_rnn.callbacks import FORCING_SCHEDULES
from sktime_rnn.cells import ElmanJordanCell, GRUCell, JordanCell, LSTMCell, ZoneoutCell
from sktime_rnn.datasets import load_airpassengers
from sktime_rnn.layers import Layers

SMALL = {"hidden_size": 4, "max_epochs": 2, "dropout": 0.0, "standardize": False, "random_state": 0}
CELLS = [
    pytest.param(JordanCell(), id="jordan"),
    pytest.param(JordanCell("label", mu=0.6, delays=3), id="jordan-label-trace-delays"),
    pytest.param(JordanCell(mu="learned", nonlinearity="sigmoid"), id="jordan-learned-trace"),
    pytest.param(ElmanJordanCell(), id="elman-jordan"),
    pytest.param(ElmanJordanCell("label", mu="spread", delays=2), id="elman-jordan-trace-delays"),
]


def ragged(seed=0, lengths=(5, 1, 7, 3, 4, 6)):
    rng = np.random.default_rng(seed)
    X = [rng.normal(size=(n, 2)) for n in lengths]
    y = [np.digitize(x[:, 0], [-0.5, 0.5]) for x in X]
    return X, y


def softmax(raw):
    e = np.exp(raw - raw.max())
    return e / e.sum()


def raw_by_hand(model, x, y=None):
    """Return raw outputs for one sequence (L, F), given true labels or the network's own."""
    network = model.module_
    W_o, b_o = (p.detach().double().numpy() for p in network.head.linear.parameters())
    layers = [{k: v.detach().double().numpy() for k, v in cell.named_parameters()} for cell in network.recurrent.layers]
    cell = network.recurrent.layers[0]
    mu = cell.shares().detach().double().numpy()
    squash = np.tanh if cell.nonlinearity == "tanh" else lambda a: 1 / (1 + np.exp(-a))
    K, d = len(b_o), cell.delays
    fed = [np.zeros(K)] * d
    h, s = [np.zeros(4) for _ in layers], [np.zeros(4) for _ in layers]
    raws = []
    for t, z in enumerate(x):
        for k, w in enumerate(layers):
            v = w["weight_yh"] @ np.concatenate(fed[: -d - 1 : -1])
            s[k] = mu * s[k] + (1 - mu) * v
            a = w["weight_ih"] @ z + w["bias_ih"] + s[k]
            if "weight_hh" in w:
                a = a + w["weight_hh"] @ h[k] + w["bias_hh"]
            z = h[k] = squash(a)
        raws.append(W_o @ z + b_o)
        label = np.argmax(raws[-1]) if y is None else y[t]
        own = softmax(raws[-1]) if network.how == "probability" else np.eye(K)[label]
        fed.append(own if y is None else np.eye(K)[label])
    return np.array(raws)


@pytest.mark.parametrize("num_layers", [1, 2])
@pytest.mark.parametrize("cell", CELLS)
def test_both_modes_equal_the_equations(cell, num_layers):
    X, y = ragged()
    model = RNNClassifier(cell=cell, num_layers=num_layers, **SMALL).fit(X, y)
    proba, likelihood = model.predict_proba(X), model.log_likelihood(X, y)
    for x, labels, p, total in zip(X, y, proba, likelihood, strict=True):
        np.testing.assert_allclose(p, [softmax(raw) for raw in raw_by_hand(model, x)], atol=1e-5)
        given = [np.log(softmax(raw)) for raw in raw_by_hand(model, x, labels)]
        np.testing.assert_allclose(total, sum(row[k] for row, k in zip(given, labels, strict=True)), atol=1e-4)


@pytest.mark.parametrize("cell", CELLS)
def test_one_label_a_sequence_reads_its_own_outputs(cell):
    X, y = ragged()
    model = RNNClassifier(cell=cell, **SMALL).fit(X, [labels[-1] for labels in y])
    for x, p in zip(X, model.predict_proba(X), strict=True):
        np.testing.assert_allclose(p, softmax(raw_by_hand(model, x)[-1]), atol=1e-5)


def test_the_schedule_reaches_no_forcing_and_the_likelihood_is_that_of_true_outputs():
    X, y = ragged()
    fits = [
        RNNClassifier(cell=JordanCell(teacher_forcing=0.0, teacher_forcing_schedule=how), **SMALL).fit(X, y)
        for how in ("constant", "linear")
    ]
    assert fits[0].loss_curve_ != fits[1].loss_curve_
    given = [np.log(softmax(raw)) for raw in raw_by_hand(fits[0], X[0], y[0])]
    total = sum(row[k] for row, k in zip(given, y[0], strict=True))
    np.testing.assert_allclose(fits[0].log_likelihood(X, y)[0], total, atol=1e-4)


@pytest.mark.parametrize("cell", [JordanCell(mu="learned"), ElmanJordanCell("label", mu=0.5, beam_width=3)])
def test_bfloat16(cell):
    X, y = ragged()
    model = RNNClassifier(cell=cell, precision="bfloat16", **SMALL).fit(X, y)
    assert np.isfinite(model.log_likelihood(X, y)).all()
    assert [len(labels) for labels in model.predict(X)] == [len(x) for x in X]


def test_backwards_reads_the_outputs_of_later_steps():
    X, y = ragged()
    model = RNNClassifier(cell="elman-jordan", go_backwards=True, **SMALL).fit(X, y)
    for x, labels, p, total in zip(X, y, model.predict_proba(X), model.log_likelihood(X, y), strict=True):
        np.testing.assert_allclose(p[::-1], [softmax(raw) for raw in raw_by_hand(model, x[::-1])], atol=1e-5)
        given = [np.log(softmax(raw)) for raw in raw_by_hand(model, x[::-1], labels[::-1])]
        np.testing.assert_allclose(total, sum(row[k] for row, k in zip(given, labels[::-1], strict=True)), atol=1e-4)


@pytest.mark.parametrize("go_backwards", [False, True])
def test_a_full_beam_finds_the_most_probable_labels(go_backwards):
    X, y = ragged(lengths=(4, 2, 3, 4, 1, 2))
    cell = ElmanJordanCell("label", beam_width=81)
    model = RNNClassifier(cell=cell, go_backwards=go_backwards, **SMALL).fit(X, y)
    for x, found in zip(X, model.predict(X), strict=True):
        every = [np.array(labels) for labels in itertools.product(range(3), repeat=len(x))]
        likelihood = [model.log_likelihood([x], [labels])[0] for labels in every]
        np.testing.assert_array_equal(found, every[int(np.argmax(likelihood))])
    assert 0 <= model.score(X, y) <= 1


def test_a_net_that_reads_its_outputs_counts():
    rng = np.random.default_rng(0)
    X = [rng.integers(0, 2, size=(n, 1)).astype(float) for n in rng.integers(2, 9, size=200)]
    y = [np.cumsum(x[:, 0]).astype(int) % 2 for x in X]
    options = {"hidden_size": 16, "max_epochs": 15, "dropout": 0.0, "random_state": 0}
    assert RNNClassifier(cell="jordan", lr=0.02, **options).fit(X[:150], y[:150]).score(X[150:], y[150:]) > 0.98
    assert RNNClassifier(cell=None, lr=0.02, **options).fit(X[:150], y[:150]).score(X[150:], y[150:]) < 0.75


@pytest.mark.parametrize(
    ("cell", "per_step"),
    [
        ("jordan", False),
        ("jordan", True),
        (ElmanJordanCell(mu=0.5, delays=2), False),
        (ElmanJordanCell(mu=0.5, delays=2, teacher_forcing=0.4), True),
    ],
)
@pytest.mark.parametrize("estimator", [RNNClassifier, RNNRegressor])
def test_estimators(estimator, per_step, cell):
    X, y = ragged()
    y = y if per_step else [labels[-1] for labels in y]
    model = estimator(cell=cell, **SMALL).fit(X, y)
    predict = getattr(model, "predict_proba", model.predict)
    together = predict(X)
    again = estimator(cell=cell, **SMALL).fit(X, y)
    copies = [getattr(copy, predict.__name__)(X) for copy in (pickle.loads(pickle.dumps(model)), again)]
    for i, x in enumerate(X):
        np.testing.assert_allclose(predict([x])[0], together[i], atol=1e-6)
        for copy in copies:
            np.testing.assert_array_equal(copy[i], together[i])
    if per_step:
        assert "teacher_forcing" in model.history_[-1]


@pytest.mark.parametrize("kind", ["multilabel", "multioutput"])
def test_several_labels_a_step(kind):
    X, y = ragged()
    offset = 0 if kind == "multilabel" else 2
    y = [np.stack([labels > 0, (labels > 1) + offset], axis=1).astype(int) for labels in y]
    model = RNNClassifier(cell="jordan", **SMALL).fit(X, y)
    assert [p.shape for p in model.predict(X)] == [(len(x), 2) for x in X]
    assert np.isfinite(model.log_likelihood(X, y)).all()


def test_early_stopping_judges_what_is_predicted():
    X, y = ragged(lengths=(5, 4, 7, 3) * 6)
    model = RNNClassifier(cell="jordan", early_stopping=True, validation_fraction=0.25, **SMALL).fit(X, y)
    assert len(model.validation_scores_) == 2


def fit(estimator=RNNClassifier, per_step=True, **params):
    X, y = ragged()
    estimator(**SMALL | params).fit(X, y if per_step else [labels[-1] for labels in y])


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: JordanCell("probabilities"), "feedback must be one of .*got 'probabilities'"),
        (lambda: JordanCell(delays=0), "delays must be a whole number of at least 1, got 0"),
        (lambda: JordanCell(teacher_forcing=2), r"teacher_forcing must be a number in \[0, 1\], got 2"),
        (
            lambda: JordanCell(teacher_forcing_schedule="cosine"),
            "teacher_forcing_schedule must be one of .*got 'cosine'",
        ),
        (
            lambda: JordanCell(teacher_forcing_schedule="linear"),
            "teacher_forcing_schedule='linear' needs teacher_forcing below 1 to fall to, got 1.0",
        ),
        (lambda: JordanCell(recurrent_init=0.9), "recurrent_init belongs to ElmanJordanCell, got 0.9 for a JordanCell"),
        (
            lambda: fit(cell=JordanCell(teacher_forcing=0.5), per_step=False),
            "teacher_forcing needs a target for every step, got one a sequence",
        ),
        (lambda: JordanCell(mu=1.0), r"mu must be .*in \[0, 1\).*got 1.0"),
        (lambda: JordanCell(beam_width=3), "beam_width=3 needs feedback='label', got feedback=None"),
        (lambda: ZoneoutCell(JordanCell()), "cell must be one that reads its own state alone, got JordanCell"),
        (lambda: fit(cell="jordan", bidirectional=True), "bidirectional must be False for JordanCell"),
        (
            lambda: fit(cell="jordan", initial_state="learned"),
            "initial_state must be 'zeros' for JordanCell.*'learned'",
        ),
        (lambda: fit(cell=Layers("jordan", residual=True)), "cell must be a plain JordanCell.*got Layers"),
        (lambda: fit(RNNRegressor, cell=JordanCell("label")), r"feedback must be one of \['raw'\] .*got 'label'"),
        (
            lambda: fit(cell=JordanCell("raw", teacher_forcing=0, teacher_forcing_schedule="linear")),
            "teacher_forcing must be 0 .*'constant'",
        ),
        (lambda: fit(cell=JordanCell("raw")), "teacher_forcing must be 0 with feedback='raw' and labels.*got 1.0"),
        (
            lambda: fit(cell=JordanCell("label", beam_width=2), per_step=False),
            "beam_width must be 1 unless y holds one label for every step, got 2",
        ),
        (lambda: fit(Seq2SeqTransformer, cell="jordan"), "cell must be one that reads its own state alone"),
        (
            lambda: RNNForecaster(cell="jordan", max_epochs=1).fit(load_airpassengers()[:60], fh=[1]),
            "cell must be one that reads its own state alone",
        ),
    ],
)
def test_refusals(make, match):
    with pytest.raises(ValueError, match=match):
        make()


def test_raw_outputs_of_labels_are_fed_back_without_forcing():
    fit(cell=JordanCell("raw", teacher_forcing=0.0))
    fit(cell=JordanCell("raw"), per_step=False)


def test_other_cells_need_no_feedback():
    assert not any(cell.needs_feedback for cell in (GRUCell(), LSTMCell(), ZoneoutCell(GRUCell())))


@pytest.mark.parametrize("how", sorted(FORCING_SCHEDULES))
def test_every_schedule_of_the_decoder_is_one_of_the_cells(how):
    share = 1.0 if how == "constant" else 0.5
    X, y = ragged()
    RNNClassifier(cell=JordanCell(teacher_forcing=share, teacher_forcing_schedule=how), **SMALL).fit(X, y)
