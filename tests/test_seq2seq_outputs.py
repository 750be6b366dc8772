"""Seq2SeqTransformer: the containers of X and y, the form in which outputs come back, and how they are scored."""

import copy

import numpy as np
import pandas as pd
import pytest
import torch
from checks import (
    assert_close,
    assert_same,
    make_sequences,
    make_texts,
    object_array,
    panel_frame,
    ragged_containers,
    rectangular_containers,
    small,
    univariate_containers,
)
from sklearn.exceptions import NotFittedError
from sklearn.metrics import r2_score

from sktime_rnn import Seq2SeqTransformer, check_sequences

PAIRS = [
    ("ab", "ba"),
    ("abc", "cba"),
    ("c", "c"),
    ("bca", "acb"),
    ("cc", "cc"),
    ("ba", "ab"),
    ("cab", "bac"),
    ("a", "a"),
]
TEXTS, REVERSED = ([pair[side] for pair in PAIRS] * 3 for side in (0, 1))


def model(**params):
    return small(Seq2SeqTransformer(), **{"max_epochs": 1, **params})


def flat(outputs):
    """Outputs in any form as one array of numbers, or a list of symbols."""
    if isinstance(outputs, np.ndarray):
        return outputs.ravel()
    if isinstance(outputs[0], str):
        return list(outputs)
    return np.concatenate([np.ravel(output) for output in outputs])


def make_values(lengths=(1, 7), n_features=2, n_samples=24, seed=5):
    return make_sequences(n_samples=n_samples, n_features=n_features, lengths=lengths, seed=seed)


# -- containers of X


@pytest.mark.parametrize("y", ["values", "texts"])
def test_ragged_containers_of_X_agree(y):
    X = make_sequences()
    y = make_values() if y == "values" else REVERSED
    fitted = model().fit(X, y)
    expected = flat(fitted.predict(X))
    for name, container in ragged_containers(X).items():
        np.testing.assert_array_equal(flat(fitted.predict(container)), expected, err_msg=f"predict of {name}")
        other = model().fit(container, y)
        assert other.n_features_in_ == 2
        np.testing.assert_array_equal(flat(other.predict(container)), expected, err_msg=f"fit of {name}")


def test_rectangular_containers_of_X_agree():
    X, y = np.stack(make_sequences(lengths=(5, 6))), make_values()
    fitted = model().fit(X, y)
    expected = flat(fitted.predict(X))
    for name, container in rectangular_containers(X).items():
        np.testing.assert_array_equal(flat(fitted.predict(container)), expected, err_msg=f"predict of {name}")
        np.testing.assert_array_equal(flat(model().fit(container, y).predict(container)), expected, err_msg=name)


def test_univariate_containers_of_X_agree():
    X = np.stack(make_sequences(n_features=1, lengths=(5, 6)))[:, :, 0]
    y = make_values()
    expected = flat(model().fit(X, y).predict(X))
    lists, tables = univariate_containers(X)
    for name, container in {**lists, **tables}.items():
        fitted = model().fit(container, y)
        assert fitted.n_features_in_ == (5 if name in tables and name != "lists" else 1), name
        np.testing.assert_array_equal(flat(fitted.predict(X)), expected, err_msg=name)


TEXT_CONTAINERS = {
    "list": list,
    "tuple": tuple,
    "array": np.array,
    "object array": object_array,
    "Series": pd.Series,
    "column": lambda texts: pd.DataFrame({"text": texts}),
}


@pytest.mark.parametrize("name", TEXT_CONTAINERS)
def test_containers_of_texts_agree(name):
    X, y = TEXT_CONTAINERS[name](TEXTS), TEXT_CONTAINERS[name](REVERSED)
    expected = model().fit(TEXTS, REVERSED)
    fitted = model().fit(X, y)
    outputs = fitted.predict(X)
    assert isinstance(outputs, list)
    assert {type(text) for text in outputs} == {str}
    assert outputs == expected.predict(TEXTS)
    assert fitted.transform(X) == outputs
    assert_same(fitted.log_likelihood(X, y), expected.log_likelihood(TEXTS, REVERSED))
    assert set(fitted.vocabulary_) == {"<unk>", "a", "b", "c"}
    assert fitted.output_vocabulary_.tolist() == ["<unk>", "<end>", *fitted.output_vocabulary_[2:]]
    assert set(fitted.output_vocabulary_[2:]) == {"a", "b", "c"}


def test_texts_are_cut_on_each_side_in_its_own_way():
    X = make_texts()
    y = [text[::-1] for text in X]
    both = model(tokenizer="word").fit(X, X)
    assert both.tokenizer == "word"
    assert all(set(text.split()) <= set(both.output_vocabulary_[2:]) for text in both.predict(X))
    expected = model(tokenizer=("word", "char")).fit(X, y)
    assert set(expected.vocabulary_[1:]) == {word for text in X for word in text.split()}
    assert set(expected.output_vocabulary_[2:]) == set("".join(y))
    same = model(tokenizer=(str.split, list)).fit(X, y)
    assert_same(same.log_likelihood(X, y), expected.log_likelihood(X, y))
    words = model().fit([text.split() for text in X], y)  # tokens as they are
    assert_same(words.log_likelihood([text.split() for text in X], y), expected.log_likelihood(X, y))
    # characters are joined by nothing, what a callable cuts by blanks
    assert model(tokenizer=list, min_length=3).fit(X, X).predict(["red"])[0].count(" ") >= 2


def test_token_lists_come_back_as_lists():
    X, y = [list(text) for text in TEXTS], [text.split() for text in make_texts()]
    fitted = model(min_length=1).fit(X, y)
    outputs = fitted.predict(X)
    assert {type(output) for output in outputs} == {list}
    assert {type(token) for output in outputs for token in output} == {str}
    assert {token for output in outputs for token in output} <= {token for tokens in y for token in tokens}
    for container in (tuple(map(tuple, y)), pd.Series(y), object_array(y)):
        assert [list(output) for output in model(min_length=1).fit(X, container).predict(X)] == outputs
    arrays = model(min_length=1).fit(X, [np.array(tokens, dtype=object) for tokens in y]).predict(X)
    assert {type(output) for output in arrays} == {np.ndarray}
    assert [output.tolist() for output in arrays] == outputs


@pytest.mark.parametrize("tokens", [True, "X", "y"])
def test_integer_tokens(tokens):
    rng = np.random.default_rng(0)
    codes = [rng.integers(10, 14, size=n) for n in rng.integers(2, 5, size=24)]
    X = codes if tokens in (True, "X") else make_sequences()
    y = [code[::-1] for code in codes] if tokens in (True, "y") else make_values()
    fitted = model(tokens=tokens, min_length=1 if tokens != "X" else 0).fit(X, y)
    outputs = fitted.predict(X)
    assert hasattr(fitted, "vocabulary_") == (tokens != "y")
    assert hasattr(fitted, "output_vocabulary_") == (tokens != "X")
    if tokens == "X":
        assert outputs[0].dtype == np.float64
        return
    assert {output.dtype for output in outputs} == {np.dtype(np.int64)}
    assert set(np.concatenate(outputs)) <= {10, 11, 12, 13}
    lists = [code.tolist() for code in y]
    again = model(tokens=tokens, min_length=1).fit(X, lists).predict(X)
    assert [type(output) for output in again] == [list] * 24
    assert again == [output.tolist() for output in outputs]
    assert {type(token) for output in again for token in output} == {int}
    sequences = model(tokens=tokens, min_length=1).fit(X, check_sequences(y, tokens=True)).predict(X)
    assert [output.tolist() for output in sequences] == again


def test_one_integer_token_a_sample_comes_back_as_one():
    y = np.arange(24) % 3 + 5
    fitted = model(tokens="y").fit(make_sequences(), y)
    out = fitted.predict(make_sequences())
    assert out.shape == (24,)
    assert out.dtype == np.int64
    assert set(out) <= {5, 6, 7}
    assert fitted.score(make_sequences(), y) == pytest.approx((out == y).mean())


@pytest.mark.parametrize("dtype", [str, int])
def test_arrays_of_tokens_come_back_as_arrays(dtype):
    y = np.random.default_rng(0).integers(0, 3, size=(24, 4)).astype(dtype)
    X = make_sequences()
    out = model(tokens="y").fit(X, y).predict(X)
    assert isinstance(out, np.ndarray)
    assert out.shape == (24, 4)
    assert set(out.ravel()) <= set(y.ravel())


# -- containers of y


def test_ragged_containers_of_values_agree():
    X, y = make_sequences(), make_values()
    expected = model().fit(X, y).predict(X)
    assert [output.shape[1] for output in expected] == [2] * 24
    for name, container in ragged_containers(y).items():
        outputs = model().fit(X, container).predict(X)
        assert isinstance(outputs, list), name
        assert {output.dtype for output in outputs} == {np.dtype(np.float64)}, name
        for output, other in zip(outputs, expected, strict=True):
            np.testing.assert_array_equal(output, other, err_msg=name, strict=True)


def test_outputs_of_one_axis_come_back_with_one_axis():
    X, y = make_sequences(), [value[:, 0] for value in make_values(lengths=(2, 7))]
    expected = model(min_length=2).fit(X, y).predict(X)
    assert {output.ndim for output in expected} == {1}
    panel = panel_frame([value[:, None] for value in y])[0]
    containers = {
        "lists": [value.tolist() for value in y],
        "tuple": tuple(y),
        "Series of arrays": pd.Series(y),
        "list of Series": [pd.Series(value) for value in y],
        "list of tensors": [torch.from_numpy(value) for value in y],
        "object array": object_array(y),
        "panel Series": panel,
        "one column of cells": pd.DataFrame({"path": y}),
    }
    for name, container in containers.items():
        outputs = model(min_length=2).fit(X, container).predict(X)
        for output, other in zip(outputs, expected, strict=True):
            np.testing.assert_array_equal(output, other, err_msg=name, strict=True)
    column = model(min_length=2).fit(X, [value[:, None] for value in y]).predict(X)
    assert [output.shape for output in column] == [(len(output), 1) for output in expected]
    assert_same(flat(column), flat(expected))


def test_rectangular_in_rectangular_out():
    X, y = make_sequences(), np.stack(make_values(lengths=(4, 5)))
    fitted = model().fit(X, y)
    expected = fitted.predict(X)
    assert expected.shape == (24, 4, 2)
    assert expected.dtype == np.float64
    assert fitted.predict(X[:3]).shape == (3, 4, 2)
    for container in (np.asfortranarray(y), torch.from_numpy(y), y.astype(np.float32), y.astype(object)):
        assert_close(model().fit(X, container).predict(X), expected)
    # the same as a list: as long, as a list
    outputs = model().fit(X, list(y)).predict(X)
    assert isinstance(outputs, list)
    assert_same(np.stack(outputs), expected)
    frames = np.random.default_rng(0).normal(size=(24, 3, 2, 2))
    assert model().fit(X, frames).predict(X).shape == (24, 3, 2, 2)


def test_tables_of_values_come_back_as_arrays():
    X, y = make_sequences(), make_values(lengths=(4, 5), n_features=1)
    y = np.stack(y)[:, :, 0]
    expected = model().fit(X, y).predict(X)
    assert expected.shape == (24, 4)
    for container in (pd.DataFrame(y), torch.from_numpy(y), pd.DataFrame(y, columns=list("abcd"))):
        fitted = model().fit(X, container)
        assert_same(fitted.predict(X), expected)
        assert_same(fitted.transform(X), expected)
    assert_same(model().fit(X, y[:, :, None]).predict(X), expected[:, :, None])
    # a list of lists is a list
    assert_same(np.stack(model().fit(X, y.tolist()).predict(X)), expected)
    # whole numbers and booleans are values
    whole = np.round(y).astype(int)
    assert_same(model().fit(X, whole).predict(X), model().fit(X, whole.astype(float)).predict(X))
    assert model().fit(X, y > 0).predict(X).dtype == np.float64


def test_one_number_a_sample_comes_back_as_one():
    X = make_sequences()
    y = np.array([x.mean() for x in X])
    fitted = model().fit(X, y)
    expected = fitted.predict(X)
    assert expected.shape == (24,)
    assert fitted.transform(X).shape == (24, 1)
    assert_same(fitted.transform(X)[:, 0], expected)
    for container in (y.tolist(), tuple(y), pd.Series(y), torch.from_numpy(y), object_array(y)):
        assert_same(model().fit(X, container).predict(X), expected)
    assert model().fit(X, y[:, None]).predict(X).shape == (24, 1)
    assert model().fit(X, (10 * y).astype(int)).predict(X).dtype == np.float64


@pytest.mark.parametrize("output_length", ["stop", "predict"])
@pytest.mark.parametrize("y", [np.ones((24, 3)), np.ones(24), np.ones((24, 3, 2))], ids=["2-D", "1-D", "3-D"])
def test_arrays_cannot_have_lengths_that_are_found(y, output_length):
    """An array has samples of one length: outputs that end by themselves would make none."""
    with pytest.raises(ValueError, match=f"output_length='{output_length}'.*array"):
        model(output_length=output_length).fit(make_sequences(), y)
    assert (
        len(model(output_length=output_length).fit(make_sequences(), list(np.ones((24, 3)))).predict(make_sequences()))
        == 24
    )


def test_arrays_cannot_be_written_for_inputs_of_several_lengths():
    X = np.stack(make_sequences(lengths=(5, 6)))
    fitted = model(output_length="input").fit(X, X[:, :, 0])
    assert fitted.predict(X[:, :3]).shape == (24, 3)
    with pytest.raises(ValueError, match="output_length='input'"):
        fitted.predict(make_sequences())


def test_kinds_of_X_and_y_are_independent():
    values, texts, table = make_sequences(), TEXTS, np.random.default_rng(0).normal(size=(24, 3))
    for X in (values, texts, table, pd.DataFrame(table)):
        assert isinstance(model().fit(X, texts).predict(X)[0], str)
        assert model().fit(X, values).predict(X)[0].ndim == 2
        assert model().fit(X, table).predict(X).shape == (24, 3)


def test_nothing_that_was_passed_is_written_to():
    X, y = np.stack(make_sequences(lengths=(5, 6))), np.stack(make_values(lengths=(4, 5)))
    expected = model().fit(X, y).predict(X)
    weight = np.ones(24)
    for array in (X, y, weight):
        array.flags.writeable = False
    fitted = model().fit(X, y, sample_weight=weight)
    assert_same(fitted.predict(X), expected)
    contexts = model(output="encoding").fit_transform(X)
    contexts.flags.writeable = False
    model(output="encoding").fit(X).inverse_transform(contexts)
    expected[:] = 0  # what is returned belongs to the user
    assert np.abs(fitted.predict(X)).max() > 0


# -- tables: names, and set_output


def test_encodings_make_tables():
    X = make_sequences()
    fitted = model(output="encoding", n_components=3).fit(X)
    C = fitted.transform(X)
    assert C.shape == (24, 3)
    assert C.dtype == np.float64
    assert_same(fitted.encode(X), C)
    names = [f"seq2seqtransformer{i}" for i in range(3)]
    assert fitted.get_feature_names_out().tolist() == names
    frame = fitted.set_output(transform="pandas").transform(X)
    assert list(frame.columns) == names
    assert_same(frame.to_numpy(), C)
    indexed = pd.DataFrame(np.stack(make_sequences(lengths=(4, 5), n_features=1))[:, :, 0], index=range(100, 124))
    frame = model(output="encoding").set_output(transform="pandas").fit_transform(indexed)
    assert frame.shape == (24, 16)  # two directions of 8
    assert frame.index.tolist() == list(range(100, 124))


def test_outputs_of_two_axes_make_tables():
    X, y = make_sequences(), np.random.default_rng(0).normal(size=(24, 3))
    fitted = model().fit(X, y)
    frame = fitted.set_output(transform="pandas").transform(X)
    assert (
        list(frame.columns) == fitted.get_feature_names_out().tolist() == [f"seq2seqtransformer{i}" for i in range(3)]
    )
    assert_same(frame.to_numpy(), fitted.predict(X))
    single = model().set_output(transform="pandas").fit(X, y[:, 0])
    assert list(single.transform(X).columns) == ["seq2seqtransformer0"]
    assert single.predict(X).shape == (24,)


@pytest.mark.parametrize(
    "y", [REVERSED, make_values(), np.stack(make_values(lengths=(3, 4)))], ids=["texts", "list", "3-D"]
)
def test_sequences_make_no_table(y):
    X = make_sequences()
    fitted = model().set_output(transform="pandas").fit(X, y)
    with pytest.raises(
        ValueError, match=r"set_output\(transform='pandas'\) needs outputs that make a table.*sequences"
    ):
        fitted.transform(X)
    with pytest.raises(ValueError, match=r"get_feature_names_out names the columns of a table.*output='encoding'"):
        fitted.get_feature_names_out()
    assert len(fitted.predict(X)) == 24
    assert len(fitted.set_output(transform="default").transform(X)) == 24


def test_outputs_cannot_be_encoded_by_predict_but_by_encode():
    X = make_sequences()
    fitted = model().fit(X, REVERSED)
    assert fitted.encode(X).shape == (24, 16)
    assert isinstance(fitted.transform(X), list)
    encoding = model(output="encoding", reconstruct=False).fit(X, REVERSED)
    assert encoding.transform(X).shape == (24, 16)
    assert isinstance(encoding.predict(X)[0], str)


# -- what is empty, single, unknown


def test_empty_outputs():
    y = ["", *REVERSED[1:]]
    fitted = model().fit(TEXTS, y)
    assert np.isfinite(fitted.log_likelihood(TEXTS, y)).all()
    assert isinstance(fitted.predict(TEXTS)[0], str)
    # the end comes first: learnt where all but one are empty
    sure = model(max_epochs=30, lr=0.1, tokenizer=("char", "word")).fit(TEXTS, ["  ", "", *[""] * 21, "last one"])
    assert sure.predict(TEXTS)[:5] == [""] * 5
    assert sure.score(TEXTS, ["", *[""] * 22, "last one"], metric="exact_match") >= 23 / 24
    lists = model(max_epochs=30, lr=0.1).fit(TEXTS, [*[[]] * 23, ["word"]])
    assert lists.predict(TEXTS)[:5] == [[]] * 5
    callable_ = model(tokenizer=list).fit(TEXTS, y)
    assert np.isfinite(callable_.log_likelihood(TEXTS, y)).all()


@pytest.mark.parametrize("output_length", ["stop", "predict"])
def test_empty_outputs_of_values(output_length):
    X = make_sequences()
    y = [np.zeros((0, 2)), *make_values()[1:-1], np.zeros((0, 2))]
    fitted = model(output_length=output_length).fit(X, y)
    assert all(output.shape[1:] == (2,) for output in fitted.predict(X))
    assert np.isfinite(fitted.score(X, y))
    lists = model(output_length=output_length).fit(X, [[], *[value[:, 0].tolist() for value in y[1:-1]], []])
    assert {output.ndim for output in lists.predict(X)} == {1}
    short = model(max_epochs=30, lr=0.1, output_length=output_length)
    short.fit(X, [*[np.zeros(0)] * 23, np.zeros(2)])
    assert [len(output) for output in short.predict(X)[:5]] == [0] * 5


def test_empty_outputs_alone():
    """A fitted model knows its outputs: what it is asked about may be empty throughout."""
    y = ["", *REVERSED[1:]]
    fitted = model().fit(TEXTS, y)
    expected = fitted.log_likelihood(TEXTS[:2], ["", "b"])
    assert_close(fitted.log_likelihood(TEXTS[:1], [""]), expected[:1])
    assert 0 <= fitted.score(TEXTS[:2], ["", ""], metric="exact_match") <= 1
    assert [weights.shape for weights in fitted.attention_weights(TEXTS[:1], [""])] == [(0, len(TEXTS[0]))]
    fitted.partial_fit(TEXTS[:2], ["", ""])
    speech = make_sequences(lengths=(6, 9))
    transcriber = model(alignment="ctc").fit(speech, y)
    expected = transcriber.log_likelihood(speech[:2], ["", "b"])
    assert_close(transcriber.log_likelihood(speech[:1], [""]), expected[:1])
    values = model(output_length="stop").fit(TEXTS, [np.zeros((0, 2)), *make_values()[1:]])
    assert values.partial_fit(TEXTS[:2], [np.zeros((0, 2))] * 2).n_iter_ == 2


def test_outputs_that_are_all_empty_are_refused():
    with pytest.raises(ValueError, match="y must have an output that is not empty, but all 24 are empty. Pass what"):
        model().fit(TEXTS, [""] * 24)


def test_empty_inputs_are_refused():
    with pytest.raises(ValueError, match="sample 1, '', has none"):
        model().fit(["a", ""], ["a", "b"])
    with pytest.raises(ValueError, match="X"):
        model().fit([np.zeros((2, 1)), np.zeros((0, 1))], ["a", "b"])


def test_single_steps():
    X = make_sequences(lengths=(1, 2))
    for y in (X, [x[:, 0] for x in X], np.stack(X), ["a", "bc"] * 12):
        fitted = model().fit(X, y)
        assert len(fitted.predict(X)) == 24
        weights = fitted.attention_weights(X)
        assert all((weight == 1).all() for weight in weights)
    letters = model().fit(list("abc" * 8), list("cab" * 8))
    assert len(letters.predict(["a"])) == 1
    assert len(model().fit(X[:1], ["a"]).predict(X[:1])) == 1  # a single pair


def test_unseen_tokens():
    """All that was never seen is one and the same token, is not written, and is never right."""
    words = make_texts()
    fitted = model(tokenizer="word", max_epochs=3).fit(words, words)
    a, b, c = fitted.encode(["red unheard", "red ungesehen", "red blue"])
    assert_same(a, b)
    assert np.abs(a - c).max() > 0
    assert "<unk>" not in " ".join(fitted.predict(["red unheard", "unheard"]))
    truth = ["unheard of" for _ in words]
    assert np.isfinite(fitted.log_likelihood(words, truth)).all()
    assert_same(fitted.log_likelihood(words, truth), fitted.log_likelihood(words, ["never seen"] * 24))
    assert fitted.score(words, truth) == 0
    # where rare words were read as unknown in fit, unknown is a symbol like the others, and wrong all the same
    rare = model(tokenizer="word", max_tokens=1, max_epochs=30, lr=0.1).fit(["a"] * 24, ["b b b c", "b b b d"] * 12)
    assert rare.output_vocabulary_.tolist() == ["<unk>", "<end>", "b"]
    assert rare.predict(["a"]) == ["b b b <unk>"]
    assert rare.score(["a"], ["b b b c"]) == 0.75


# -- scores


@pytest.fixture(scope="module")
def writer():
    """A model of texts that makes some errors, and its data."""
    X = ["".join(letters) for letters in zip("abcabcab" * 5, "bcaacbba" * 5, "cabbaabc" * 5, strict=True)]
    X = [text[: 1 + i % 3] for i, text in enumerate(X)]
    y = [text[::-1] for text in X]
    fitted = small(Seq2SeqTransformer(), max_epochs=12, lr=0.02).fit(X, y)
    return fitted, X, y


def edits(a, b):
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, start=1):
        before, row = row, [i]
        for j, z in enumerate(b, start=1):
            row.append(min(before[j] + 1, row[-1] + 1, before[j - 1] + (x != z)))
    return row[-1]


def test_scores_of_symbols(writer):
    fitted, X, y = writer
    written = fitted.predict(X)
    agree = np.array(
        [sum(a == b for a, b in zip(out, true, strict=False)) for out, true in zip(written, y, strict=True)]
    )
    longer = np.array([max(len(out), len(true)) for out, true in zip(written, y, strict=True)])
    right = np.array([out == true for out, true in zip(written, y, strict=True)])
    wrong = np.array([edits(out, true) for out, true in zip(written, y, strict=True)])
    lengths = np.array([len(true) for true in y])
    assert 0 < right.mean() < 1  # otherwise nothing is shown
    assert (
        fitted.score(X, y) == fitted.score(X, y, metric="token_accuracy") == pytest.approx(agree.sum() / longer.sum())
    )
    assert fitted.score(X, y, metric="exact_match") == pytest.approx(right.mean())
    assert fitted.score(X, y, metric="neg_label_error_rate") == pytest.approx(-wrong.sum() / lengths.sum())
    weight = np.linspace(0, 2, len(X))
    assert fitted.score(X, y, weight) == pytest.approx(weight @ agree / (weight @ longer))
    assert fitted.score(X, y, weight, metric="exact_match") == pytest.approx(np.average(right, weights=weight))
    rate = fitted.score(X, y, weight.tolist(), metric="neg_label_error_rate")
    assert rate == pytest.approx(-(weight @ wrong) / (weight @ lengths))


def test_r2_of_values_is_of_as_many_steps_as_the_truth():
    X, y = make_sequences(), make_values()
    for params in ({}, {"output_length": "predict"}, {"feedback": True}):
        fitted = model(**params).fit(X, y)
        score = fitted.score(X, y)
        # the same decoder, held to these lengths one by one
        held = copy.deepcopy(fitted)
        outputs = []
        for x, true in zip(X, y, strict=True):
            outputs += held.set_params(min_length=len(true), max_length=len(true)).predict([x])
        assert [len(output) for output in outputs] == [len(true) for true in y]
        assert (
            score
            == fitted.score(X, y, metric="r2")
            == pytest.approx(r2_score(np.concatenate(y), np.concatenate(outputs)))
        )
    weight = np.linspace(0, 2, 24)
    steps = np.repeat(weight, [len(true) for true in y])
    assert fitted.score(X, y, weight) == pytest.approx(
        r2_score(np.concatenate(y), np.concatenate(outputs), sample_weight=steps)
    )


def test_r2_of_tables():
    X, y = make_sequences(), np.random.default_rng(0).normal(size=(24, 3))
    fitted = model().fit(X, y)
    assert fitted.score(X, y) == pytest.approx(r2_score(y.ravel(), fitted.predict(X).ravel()))
    single = model().fit(X, y[:, 0])
    assert single.score(X, y[:, 0]) == pytest.approx(r2_score(y[:, 0], single.predict(X)))


def test_metrics_of_the_other_kind_are_refused(writer):
    fitted, X, y = writer
    with pytest.raises(ValueError, match=r"metric must be 'auto' or one of \['token_accuracy', .*, got 'r2'. Choose"):
        fitted.score(X, y, metric="r2")
    values = model().fit(make_sequences(), make_values())
    with pytest.raises(ValueError, match=r"metric must be 'auto' or one of \['r2'\], got 'exact_match'"):
        values.score(make_sequences(), make_values(), metric="exact_match")


def test_autoencoders_are_scored_on_X():
    X = make_sequences()
    fitted = model(output="encoding").fit(X)
    assert fitted.score(X) == fitted.score(X, REVERSED)
    assert np.isfinite(fitted.score(X))
    texts = model(output="encoding").fit(TEXTS)
    assert texts.score(TEXTS) == texts.score(TEXTS, np.arange(24))
    assert texts.perplexity(TEXTS) > 1


# -- y that does not fit


@pytest.mark.parametrize("method", ["fit", "partial_fit", "score", "log_likelihood", "perplexity", "attention_weights"])
def test_y_of_another_number_of_samples_is_refused(method):
    fitted = model().fit(TEXTS, REVERSED)
    with pytest.raises(
        ValueError, match="y must have one output for each of the 24 sequences of X, got .* 23 outputs. Pass"
    ):
        getattr(fitted, method)(TEXTS, REVERSED[:-1])


@pytest.mark.parametrize("method", ["partial_fit", "score"])
def test_y_of_another_kind_is_refused(method):
    X = make_sequences()
    fitted = model().fit(X, REVERSED)
    before = fitted.log_likelihood(X, REVERSED)
    with pytest.raises(
        ValueError, match="y must hold symbols as in fit, got values. Pass y of the same kind, or fit again"
    ):
        getattr(fitted, method)(X, make_values())
    assert_same(fitted.log_likelihood(X, REVERSED), before)
    values = model().fit(X, make_values())
    with pytest.raises(ValueError, match="y must hold values as in fit, got symbols. Pass"):
        getattr(values, method)(X, REVERSED)
    with pytest.raises(ValueError, match="y must have 2 values a step as in fit, got 3. Pass the same, or fit again"):
        getattr(values, method)(X, make_values(n_features=3))
    table = model().fit(X, np.ones((24, 4)))
    with pytest.raises(
        ValueError, match=r"y must have as many steps \(4\), since output_length is 'auto', but sample 0 has 3"
    ):
        getattr(table, method)(X, np.ones((24, 3)))


def test_y_of_another_length_is_refused():
    X, y = make_sequences(), make_values()
    n_in, n_out = len(X[0]), len(y[0])
    words = f"y must have as many steps as their inputs, since .* 'input', but sample 0 has {n_out} and needs {n_in}"
    with pytest.raises(ValueError, match=words):
        model(output_length="input").fit(X, y)
    wrong = next(i for i, value in enumerate(y) if len(value) != 3)
    with pytest.raises(
        ValueError, match=rf"as many steps \(3\), since output_length is 3, but sample {wrong} has .*Set output_length="
    ):
        model(output_length=3).fit(X, y)
    with pytest.raises(ValueError, match=r"as many steps \(3\), since output_length is 3"):
        model(output_length=3).fit(X, REVERSED)


def test_y_that_cannot_be_read_is_refused():
    X = make_sequences(n_samples=3)
    for y, words in (
        ([[1.0], [np.nan], [2.0]], "y"),
        (["a", 3, "b"], "y must hold nothing but str"),
        ([["a"], ["b", 4], ["c"]], "tokens of y must all be str"),
        (np.array([1.0, np.inf, 2.0]), "y"),
        ("abc", "y"),
        (7, "y"),
    ):
        with pytest.raises((ValueError, TypeError), match=words):
            model().fit(X, y)


def test_y_of_a_panel_in_another_order_is_refused():
    X = make_sequences(n_samples=3)
    y = pd.Series(["a", "b", "c"], index=[2, 1, 0])
    with pytest.raises(ValueError, match="y"):
        model().fit(panel_frame(X), y)
    assert len(model().fit(panel_frame(X), y.sort_index()).predict(panel_frame(X))) == 3


def test_X_of_another_kind_is_refused():
    fitted = model().fit(TEXTS, REVERSED)
    with pytest.raises(ValueError, match="X must hold tokens as in fit, got numbers"):
        fitted.predict(make_sequences())
    values = model().fit(make_sequences(), REVERSED)
    with pytest.raises(ValueError, match="X must hold numbers as in fit, got tokens"):
        values.predict(TEXTS)
    with pytest.raises(ValueError, match=r"X must have \(2,\) features in each step as in fit, got \(3,\)"):
        values.predict(make_sequences(n_features=3))


METHODS = ["predict", "transform", "encode", "inverse_transform", "attention_weights", "predict_n_best", "sample"]


@pytest.mark.parametrize("method", [*METHODS, "log_likelihood", "perplexity", "score"])
def test_what_is_not_fitted_is_refused(method):
    with pytest.raises(NotFittedError, match="not fitted yet"):
        getattr(model(), method)(TEXTS)
    with pytest.raises(NotFittedError, match="not fitted yet"):
        model().get_feature_names_out()


def test_values_have_no_vocabulary():
    fitted = model().fit(make_sequences(), make_values())
    with pytest.raises(AttributeError, match="has an output_vocabulary_ only when y was text or tokens in fit"):
        fitted.output_vocabulary_  # noqa: B018, to read it is what raises
    with pytest.raises(AttributeError, match="has a vocabulary_ only when"):
        fitted.vocabulary_  # noqa: B018, to read it is what raises
