"""The container and the door to it."""

import copy
import pickle
from collections import deque

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from scipy.sparse import csr_array
from sklearn.model_selection import GroupKFold, KFold, train_test_split
from sklearn.utils import _safe_indexing, resample, shuffle

from sktime_rnn.sequences import Sequences, check_sequences, check_step_targets, counts_columns

RAGGED = [np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[5.0, 6.0]]), np.array([[7.0, 8.0], [9.0, 10.0]])]
UNIVARIATE = [np.array([1.0, 2.0]), np.array([3.0])]


def assert_samples_equal(actual, expected):
    assert len(actual) == len(expected)
    for a, b in zip(actual, expected, strict=True):
        np.testing.assert_array_equal(a, b)


# -- the container


def test_properties():
    X = check_sequences(RAGGED)
    np.testing.assert_array_equal(X.lengths, [2, 1, 2])
    assert (len(X), X.shape, X.ndim, X.step_shape, X.n_features, X.is_tokens) == (3, (3,), 1, (2,), 2, False)
    assert repr(X) == "Sequences(3 samples of 1 to 2 steps, step_shape=(2,), float64)"
    assert repr(X[:0]) == "Sequences(0 samples, step_shape=(2,), float64)"
    assert repr(check_sequences(["ab"])) == "Sequences(1 sample of 2 to 2 steps, tokens, <U1)"
    assert_samples_equal(list(X), RAGGED)
    assert_samples_equal(X.to_list(), RAGGED)


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [("f2", "f4"), ("f4", "f4"), ("f8", "f8"), ("longdouble", "f8"), ("i2", "f8"), ("?", "f8"), (">f4", "f4")],
)
def test_dtype_of_numbers(dtype, expected):
    values = np.ones((3, 1), dtype=dtype)
    assert Sequences(values, [0, 3]).values.dtype == np.dtype(expected)
    assert check_sequences([values]).values.dtype == np.dtype(expected)
    assert check_sequences(values[np.newaxis]).values.dtype == np.dtype(expected)


def test_one_axis_holds_codes_or_labels():
    assert Sequences(np.array([1, 2], dtype=np.int16), [0, 2]).values.dtype == np.int64
    assert Sequences(np.array(["a", "b"]), [0, 2]).is_tokens
    assert Sequences(np.array([0.5, 1.5]), [0, 2]).n_features == 1


@pytest.mark.parametrize("attribute", ["values", "offsets", "shapes", "other"])
def test_attributes_cannot_be_set(attribute):
    with pytest.raises(AttributeError, match="Sequences is immutable"):
        setattr(check_sequences(RAGGED), attribute, None)


def test_attributes_cannot_be_deleted():
    X = check_sequences(RAGGED)
    with pytest.raises(AttributeError, match="Sequences is immutable"):
        del X.values


def test_arrays_are_read_only_and_those_of_the_caller_are_not():
    values = np.ones((3, 1))
    X = Sequences(values, [0, 3])
    assert np.shares_memory(X.values, values)
    assert values.flags.writeable
    with pytest.raises(ValueError, match="read-only"):
        X[0][0] = 2.0


@pytest.mark.parametrize("offsets", [[0, 2], [1, 3], [0, 2, 1, 3], [], [[0, 3]], [0.0, 3.0], [0, 4]], ids=str)
def test_bad_offsets_are_refused(offsets):
    with pytest.raises(ValueError, match="offsets must be integers .* start at 0, never fall and end at 3"):
        Sequences(np.ones((3, 1)), offsets)


@pytest.mark.parametrize("values", [np.array(1.0), np.array([["a"]]), np.array(["2020"], dtype="M8[D]")])
def test_bad_values_are_refused(values):
    with pytest.raises(TypeError, match="values must be numbers of shape"):
        Sequences(values, [0, 1])


@pytest.mark.parametrize("shapes", [[[1, 2]], [[1.0, 3.0]], [3]])
def test_bad_shapes_are_refused(shapes):
    with pytest.raises(ValueError, match="shapes must"):
        Sequences(np.ones((3, 1)), [0, 3], shapes)


@pytest.mark.parametrize("key", [0, -1, np.int64(2), np.array(1)])
def test_an_integer_gives_a_sample(key):
    sample = check_sequences(RAGGED)[key]
    np.testing.assert_array_equal(sample, RAGGED[int(key)])
    assert not sample.flags.writeable


KEYS = [
    slice(None),
    slice(1, None),
    slice(1, 1),
    slice(5, 9),
    slice(None, None, -1),
    slice(None, None, 2),
    [2, 0, 0],
    [-1],
    [],
    np.array([1, 2]),
    np.array([True, False, True]),
    [False, False, True],
]


@pytest.mark.parametrize("key", KEYS, ids=str)
def test_other_keys_give_sequences(key):
    X = check_sequences(RAGGED)
    positions = np.arange(3)[np.asarray(key, dtype=int) if isinstance(key, list) and key == [] else key]
    for chosen in (X[key], X[key, ...]):
        assert isinstance(chosen, Sequences)
        assert_samples_equal(chosen, [RAGGED[i] for i in positions])


def test_contiguous_slices_are_views():
    X = check_sequences(RAGGED)
    assert np.shares_memory(X[1:].values, X.values)


@pytest.mark.parametrize("key", [3, -4, [3], [-4], [True, False], [0.5], [[0, 1]], "a"], ids=str)
def test_bad_keys_are_refused(key):
    with pytest.raises(IndexError):
        check_sequences(RAGGED)[key]


@pytest.mark.parametrize("clone", [copy.copy, copy.deepcopy, lambda X: pickle.loads(pickle.dumps(X))])
def test_copies_and_pickles_are_equal_and_immutable(clone):
    X = clone(check_sequences(RAGGED)[1:])
    assert_samples_equal(X, RAGGED[1:])
    assert not X.values.flags.writeable


def test_a_pickled_part_leaves_the_rest_behind():
    X = check_sequences(np.zeros((1000, 10)))
    assert len(pickle.dumps(X[:2])) < 1000


def test_scikit_learn_indexes_by_sample():
    X = check_sequences(RAGGED)
    assert_samples_equal(_safe_indexing(X, [2, 0]), [RAGGED[2], RAGGED[0]])
    assert_samples_equal(_safe_indexing(X, np.array([False, True, False])), [RAGGED[1]])
    assert_samples_equal(shuffle(X, random_state=0), shuffle(RAGGED, random_state=0))
    assert_samples_equal(resample(X, random_state=0), resample(RAGGED, random_state=0))
    for train, test in [*KFold(3).split(X), *GroupKFold(3).split(X, groups=[0, 1, 2])]:
        assert (len(X[train]), len(X[test])) == (2, 1)
    X_train, X_test = train_test_split(X, test_size=1, random_state=0)
    assert isinstance(X_train, Sequences)
    assert len(X_test) == 1


def test_grids_keep_their_shapes():
    grids = [np.arange(6.0).reshape(2, 3), np.arange(4.0).reshape(2, 2), np.ones((1, 5))]
    X = check_sequences(grids, input="grid")
    np.testing.assert_array_equal(X.shapes, [[2, 3], [2, 2], [1, 5]])
    assert_samples_equal(X, [grid[..., np.newaxis] for grid in grids])
    np.testing.assert_array_equal(X[[2, 0]].shapes, [[1, 5], [2, 3]])
    np.testing.assert_array_equal(X[1:][0][..., 0], grids[1])
    assert_samples_equal(pickle.loads(pickle.dumps(X)), list(X))


# -- what is read

ARROW = pd.ArrowDtype(pa.list_(pa.float64()))


@pytest.mark.parametrize(
    "X",
    [
        RAGGED,
        tuple(RAGGED),
        deque(RAGGED),
        np.array(RAGGED, dtype=object),
        [sample.tolist() for sample in RAGGED],
        [sample.astype(object) for sample in RAGGED],
        [torch.from_numpy(sample) for sample in RAGGED],
        [list(torch.from_numpy(sample)) for sample in RAGGED],
        [pd.DataFrame(sample, columns=["a", "b"]) for sample in RAGGED],
        [pd.DataFrame(sample, dtype="Float64") for sample in RAGGED],
        pd.Series(RAGGED),
        pd.Series([sample.tolist() for sample in RAGGED]),
        pd.DataFrame({"cells": RAGGED}),
        pd.Series([sample.tolist() for sample in RAGGED], dtype=pd.ArrowDtype(pa.list_(pa.list_(pa.float64())))),
        check_sequences(RAGGED),
    ],
    ids=lambda X: type(X).__name__,
)
def test_ragged_containers(X):
    read = check_sequences(X)
    assert read.values.flags.c_contiguous
    assert_samples_equal(read, RAGGED)


@pytest.mark.parametrize(
    "X",
    [
        UNIVARIATE,
        [[1, 2], [3]],
        [(1.0, 2.0), (3.0,)],
        [pd.Series([1, 2]), pd.Series([3])],
        [torch.tensor([1, 2]), torch.tensor([3])],
        [torch.tensor([1.0, 2.0], requires_grad=True), torch.tensor([3.0])],
        [torch.tensor([1.0, 2.0], dtype=torch.bfloat16), torch.tensor([3.0], dtype=torch.bfloat16)],
        [np.array([1, 2]), np.array([3.0], dtype=np.float32)],
        pd.Series([[1, 2], [3]]),
        pd.Series([[1, 2], [3]], dtype=ARROW),
        pd.DataFrame({"cells": pd.Series([[1, 2], [3]], dtype=ARROW)}),
        pa.array([[1, 2], [3]]),
        Sequences(np.array([1.0, 2.0, 3.0]), [0, 2, 3]),
    ],
    ids=lambda X: type(X).__name__,
)
def test_univariate_containers(X):
    assert_samples_equal(check_sequences(X), [[[1.0], [2.0]], [[3.0]]])


class ArrayLike:
    def __init__(self, array):
        self.array = array

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.array, dtype=dtype)


@pytest.mark.parametrize(
    "X",
    [
        np.array([[1.0, 2.0], [3.0, 4.0]]),
        np.array([[1, 2], [3, 4]], dtype=object),
        np.ma.array([[1.0, 2.0], [3.0, 4.0]]),
        torch.tensor([[1, 2], [3, 4]]),
        pd.DataFrame({"a": [1, 3], "b": [2, 4]}),
        pd.DataFrame({"a": [1, 3], "b": [2.0, 4.0]}, dtype="Float64"),
        ArrayLike([[1, 2], [3, 4]]),
    ],
    ids=lambda X: type(X).__name__,
)
def test_tables_are_univariate_rows(X):
    assert_samples_equal(check_sequences(X), [[[1.0], [2.0]], [[3.0], [4.0]]])
    assert counts_columns(X)


@pytest.mark.parametrize("shape", [(2, 3, 4), (2, 3, 4, 5), (2, 3, 4, 5, 1)])
@pytest.mark.parametrize("convert", [np.asarray, torch.from_numpy, list])
def test_arrays_of_more_axes(shape, convert):
    array = np.arange(np.prod(shape, dtype=float)).reshape(shape)
    X = check_sequences(convert(array))
    assert X.step_shape == shape[2:]
    assert not counts_columns(convert(array))
    assert_samples_equal(X, array)


def test_contiguous_arrays_are_not_copied():
    array = np.zeros((4, 3, 2), dtype=np.float32)
    X = check_sequences(array)
    assert np.shares_memory(X.values, array)
    assert check_sequences(X) is X
    assert np.shares_memory(check_sequences(np.zeros((4, 3))).values, X.values) is False
    assert array.flags.writeable


def test_panel():
    index = pd.MultiIndex.from_tuples([("b", 0), ("a", 0), ("b", 1)])
    panel = pd.DataFrame({"x": [1, 2, 3], "y": [4.0, 5.0, 6.0]}, index=index)
    assert_samples_equal(check_sequences(panel), [[[1, 4], [3, 6]], [[2, 5]]])
    assert_samples_equal(check_sequences(panel["x"]), [[[1], [3]], [[2]]])
    assert not counts_columns(panel)


def test_large_unsigned_integers_stay_positive():
    X = [np.array([2**63], dtype=np.uint64), np.array([1], dtype=np.uint64)]
    assert_samples_equal(check_sequences(X), [[[2.0**63]], [[1.0]]])


def test_small_and_large_floats_become_large():
    X = [np.ones((1, 2), dtype=np.float32), np.ones((1, 2))]
    assert check_sequences(X).values.dtype == np.float64


@pytest.mark.parametrize(
    "X", [np.eye(3)[:2], pd.DataFrame(np.eye(3)[:2]), torch.eye(3)[:2], list(np.eye(3)[:2]), [[1, 0, 0], [0, 1, 0]]]
)
def test_vectors(X):
    vectors = check_sequences(X, input="vector")
    assert_samples_equal(vectors, [[[1, 0, 0]], [[0, 1, 0]]])
    assert check_sequences(vectors, input="vector") is vectors


@pytest.mark.parametrize("shape", [(2, 3, 4), (2, 3, 4, 5)])
@pytest.mark.parametrize("convert", [np.asarray, torch.from_numpy, list])
def test_grids(shape, convert):
    array = np.arange(np.prod(shape, dtype=float)).reshape(shape)
    X = check_sequences(convert(array), input="grid")
    np.testing.assert_array_equal(X.shapes, [[3, 4], [3, 4]])
    assert_samples_equal([sample.reshape(shape[1:]) for sample in X], array)
    assert check_sequences(X, input="grid") is X


# -- texts and tokens


@pytest.mark.parametrize(
    "X",
    [
        ["né", "👍a c"],
        ("né", "👍a c"),
        np.array(["né", "👍a c"]),
        np.array(["né", "👍a c"], dtype=object),
        pd.Series(["né", "👍a c"]),
        pd.Series(["né", "👍a c"], dtype=object),
        pd.Series(["né", "👍a c"], dtype=pd.ArrowDtype(pa.string())),
        pd.Series(["né", "👍a c"], dtype="category"),
        pd.DataFrame({"text": ["né", "👍a c"]}),
    ],
    ids=lambda X: type(X).__name__,
)
def test_texts_are_cut_into_characters(X):
    read = check_sequences(X)
    assert read.values.dtype == "<U1"
    assert_samples_equal(read, [["n", "é"], ["👍", "a", " ", "c"]])


@pytest.mark.parametrize("tokenizer", ["word", str.split, lambda text: np.array(text.split())])
def test_texts_are_cut_into_words(tokenizer):
    read = check_sequences(["to be ", "or"], tokenizer=tokenizer)
    assert_samples_equal(read, [["to", "be"], ["or"]])


@pytest.mark.parametrize(
    "X",
    [
        [["to", "be"], ["or"]],
        [("to", "be"), np.array(["or"])],
        [np.array(["to", "be"]), np.array(["or"])],
        [np.array(["to", "be"], dtype=object), ["or"]],
        [pd.Series(["to", "be"]), pd.Series(["or"])],
        pd.Series([["to", "be"], ["or"]]),
        pd.DataFrame({"token": ["to", "be", "or"]}, index=pd.MultiIndex.from_tuples([(0, 0), (0, 1), (1, 0)])),
    ],
    ids=lambda X: type(X).__name__,
)
@pytest.mark.parametrize("tokens", [False, True])
def test_lists_of_str_are_tokens(X, tokens):
    read = check_sequences(X, tokens=tokens)
    assert read.is_tokens
    assert_samples_equal(read, [["to", "be"], ["or"]])


@pytest.mark.parametrize("X", [np.array([["a", "b"], ["c", "d"]]), np.array([["a", "b"], ["c", "d"]], dtype=object)])
def test_tables_of_str_are_tokens(X):
    assert_samples_equal(check_sequences(X), [["a", "b"], ["c", "d"]])


def test_objects_are_read_as_numbers_first():
    X = [np.array(["1", "2"], dtype=object)]
    assert_samples_equal(check_sequences(X), [[[1.0], [2.0]]])
    assert_samples_equal(check_sequences(X, tokens=True), [["1", "2"]])


@pytest.mark.parametrize(
    "X",
    [
        [[1, 2], [3, 4]],
        [np.array([1, 2], dtype=np.uint8), np.array([3, 4], dtype=np.int32)],
        np.array([[1, 2], [3, 4]]),
        np.array([[1, 2], [3, 4]], dtype=object),
        torch.tensor([[1, 2], [3, 4]]),
        pd.DataFrame([[1, 2], [3, 4]]),
        pd.Series([[1, 2], [3, 4]]),
        Sequences(np.array([1, 2, 3, 4]), [0, 2, 4]),
    ],
    ids=lambda X: type(X).__name__,
)
def test_integers_are_codes_when_asked(X):
    read = check_sequences(X, tokens=True)
    assert read.values.dtype == np.int64
    assert_samples_equal(read, [[1, 2], [3, 4]])


# -- what is refused

FRAME = pd.DataFrame({"a": [1.0, 2.0], "b": [3.0, 4.0]})
DATED = FRAME.set_index(pd.to_datetime(["2020-01-02", "2020-01-01"]))
NESTED = np.empty((1, 1), dtype=object)
NESTED[0, 0] = [1.0, 2.0]

VALUE_ERRORS = [
    ([1.0, 2.0], "Reshape your data: one sequence\\? wrap it in a list"),
    (np.ones(3), r"one-dimensional array of shape \(3,\).* one sequence\? wrap it in a list"),
    (torch.ones(3), "one sequence\\? wrap it in a list"),
    (pd.Series([1.0, 2.0]), "one sequence\\? wrap it in a list"),
    (np.array(3.0), "a single value, 3.0, arrived"),
    ([], r"0 sample\(s\) \(shape=\(0,\)\) while a minimum of 1 is required"),
    (np.ones((0, 3)), r"0 sample\(s\) \(shape=\(0, 3\)\) while a minimum of 1 is required"),
    (FRAME[:0].set_index(pd.MultiIndex.from_arrays([[], []])), r"0 sample\(s\)"),
    (np.ones((4, 0)), r"0 feature\(s\) \(shape=\(4, 0\)\) while a minimum of 1 is required"),
    ([np.ones((4, 0))], r"0 feature\(s\)"),
    (FRAME[[]].set_index(pd.MultiIndex.from_arrays([[0, 0], [0, 1]])), r"0 feature\(s\)"),
    (check_sequences(RAGGED)[:0], r"0 sample\(s\)"),
    ([[1.0], []], "at least one step, but sample 1 is empty. Drop it"),
    (np.ones((2, 0, 3)), "at least one step, but sample 0 is empty"),
    (Sequences(np.ones((2, 1)), [0, 2, 2]), "at least one step, but sample 1 is empty"),
    ([np.ones((2, 3)), np.ones((2, 4))], r"sample 0 has the shape \(2, 3\) and sample 1 the shape \(2, 4\)"),
    ([np.ones((2, 1)), np.ones(2)], r"sample 0 has the shape \(2, 1\) and sample 1 the shape \(2,\)"),
    ([[[1, 2], [3, 4]], [[1, 2], [3]]], "sample 1 cannot be read as one.* Give all its steps the same features"),
    (np.array([[1.0, np.nan]]), r"must not contain NaN, but there is one at sample 0, step 1, feature 0"),
    ([RAGGED[0], np.array([[0, 1], [2, np.inf]])], r"must be finite.* \(inf\) at sample 1, step 1, feature 1"),
    (np.full((1, 2, 3, 4), np.nan), r"sample 0, step 0, feature \(0, 0\)"),
    (Sequences(np.array([[np.nan]]), [0, 1]), "must not contain NaN"),
    (np.ma.array([[1.0, 2.0]], mask=[[False, True]]), "NaN, but there is one at sample 0, step 1"),
    (pd.DataFrame({"a": pd.array([1, None], dtype="Int64")}), "NaN, but there is one at sample 1, step 0"),
    (np.array([[1.0, None]], dtype=object), "NaN, but there is one at sample 0, step 1"),
    (np.array([[1.0, "b"]], dtype=object), "'b' at sample 0, step 1 is neither: could not convert string"),
    (NESTED, "at sample 0, step 0 is neither"),
    (np.array([[1j]]), "Complex data not supported"),
    ([np.array([1j]), np.array([1.0])], "Complex data not supported"),
    ([FRAME, FRAME[["b", "a"]]], r"sample 0 has \['a', 'b'\] and sample 1 has \['b', 'a'\]"),
    ([FRAME, FRAME["a"]], r"sample 0 has \['a', 'b'\] and sample 1 has None"),
    ([FRAME.set_index(pd.to_datetime(["2020", "2021"])), DATED], "of sample 1 are unsorted or duplicate"),
    (["a", ""], "Every text of X must have at least one token, but sample 1, '', has none"),
    ([["a"], []], "at least one token, but sample 1 is empty"),
]


@pytest.mark.parametrize(("X", "match"), VALUE_ERRORS)
def test_bad_values_name_their_place(X, match):
    with pytest.raises(ValueError, match=match):
        check_sequences(X)


TYPE_ERRORS = [
    ("one", "One text\\? wrap it in a list|one text\\? wrap it in a list"),
    (b"one", "a single bytes arrived"),
    ({"a": RAGGED[0]}, r"a dict arrived, whose samples have no fixed order\. Convert it: list\(X\.values"),
    ({1.0, 2.0}, "a set arrived"),
    ((sample for sample in RAGGED), r"a generator arrived, which can be read only once\. Convert it: list\(X\)"),
    (map(np.asarray, RAGGED), "a map arrived, which can be read only once"),
    (csr_array(np.eye(3)), r"a sparse container \(csr_array\) arrived; sequences are dense\. Convert it: X\.toarray"),
    (None, "a NoneType arrived"),
    (3, "a int arrived"),
    ([np.ones(2), None], "but sample 1 is None. Convert it to an array"),
    ([np.ones(2), object()], "but sample 1 is a object"),
    (pd.Series([[1.0], None]), "but sample 1 is None"),
    (np.array([["2020-01-01"]], dtype="M8[D]"), "values of dtype datetime64.* Convert them to numbers, dates"),
    (np.array([[b"a"]]), "values of dtype .S1 arrived"),
    (np.array([[{"foo": "bar"}, 1.0]], dtype=object), "argument must be .* string.* number"),
    ([np.array(["a"]), np.array([1.0])], "sample 0 has dtype <U1 and sample 1 has dtype float64"),
    ([[1, "a"]], "but sample 0 holds something else: 1"),
    ([["a", 1]], r"step 1 of sample 0 is 1 \(int\)\. Convert it: str"),
    ([["a"], 1], "but sample 1 is a int"),
    (["a", None], r"sample 1 is None \(NoneType\)"),
    (pd.Series(["a", None]), "sample 1 is (nan|None)"),
]


@pytest.mark.parametrize(("X", "match"), TYPE_ERRORS)
def test_bad_types_name_their_place(X, match):
    with pytest.raises(TypeError, match=match):
        check_sequences(X)


def test_the_place_is_found_behind_the_first_chunk():
    X = np.zeros((50, 1000, 7), dtype=np.float32)
    X[41, 999, 6] = np.nan
    with pytest.raises(ValueError, match="sample 41, step 999, feature 6"):
        check_sequences(X)


def test_nan_passes_under_the_mask_and_inf_does_not():
    X = np.array([[1.0, np.nan]])
    assert np.isnan(check_sequences(X, missing="mask").values[1, 0])
    with pytest.raises(ValueError, match="must be finite, but there is -inf"):
        check_sequences([[np.nan, -np.inf]], missing="mask")


def test_messages_use_the_name_of_the_argument():
    with pytest.raises(ValueError, match="^X_new must hold several sequences"):
        check_sequences([1.0], name="X_new")


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"input": "image"}, 'input must be "sequence", "vector" or "grid", but \'image\''),
        ({"missing": "zero"}, 'missing must be "error" or "mask", but \'zero\''),
        ({"tokenizer": "byte"}, 'tokenizer must be "char", "word" or a callable .* but \'byte\''),
        ({"tokens": True, "input": "grid"}, 'tokens=True goes with input="sequence" only'),
    ],
)
def test_bad_options_are_refused(options, match):
    with pytest.raises(ValueError, match=match):
        check_sequences(RAGGED, **options)


@pytest.mark.parametrize(
    ("X", "options", "error", "match"),
    [
        (np.ones((2, 3, 4)), {"input": "vector"}, ValueError, 'input="vector", an array X must have 2 dimensions'),
        (RAGGED, {"input": "vector"}, ValueError, r"sample 0 has the shape \(2, 2\)"),
        (UNIVARIATE, {"input": "vector"}, ValueError, "sample 0 has 2 and sample 1 has 1"),
        (["ab", "cd"], {"input": "vector"}, TypeError, 'With input="vector", X must hold numbers, but str arrived'),
        (check_sequences(RAGGED), {"input": "vector"}, ValueError, "sample 0 has 2 steps"),
        (np.ones(3), {"input": "vector"}, ValueError, "Reshape your data"),
        (np.ones((2, 3)), {"input": "grid"}, ValueError, 'input="grid", an array X must have 3 to 4 dimensions'),
        ([np.ones((2, 3)), np.ones(3)], {"input": "grid"}, ValueError, r"sample 1 has the shape \(3,\)"),
        ([np.ones((2, 3)), np.ones((0, 3))], {"input": "grid"}, ValueError, "sample 1 is empty"),
        ([], {"input": "grid"}, ValueError, r"0 sample\(s\)"),
        (check_sequences(RAGGED), {"input": "grid"}, ValueError, "a Sequences without the shapes of grids"),
        (check_sequences(np.ones((1, 2, 2)), input="grid"), {}, ValueError, "a Sequences with the shapes of grids"),
        ([[1.0, 2.0]], {"tokens": True}, TypeError, "tokens=True, X must hold integers or str.*X.astype"),
        (np.ones((1, 2, 3), dtype=int), {"tokens": True}, ValueError, "must have one token per step"),
        (check_sequences(RAGGED), {"tokens": True}, TypeError, "tokens=True, X must hold integers or str, one a step"),
        (["a b"], {"tokenizer": str.upper}, TypeError, "it made a str of sample 0"),
        (["a b"], {"tokenizer": lambda text: [1]}, TypeError, r"step 0 of sample 0 is 1 \(int\)"),
        (["a", " "], {"tokenizer": "word"}, ValueError, "sample 1, ' ', has none"),
    ],
)
def test_bad_input_for_an_option_is_refused(X, options, error, match):
    with pytest.raises(error, match=match):
        check_sequences(X, **options)


# -- targets per step


@pytest.mark.parametrize(
    ("y", "expected"),
    [
        ([["a", "b"], ["c"]], ["a", "b", "c"]),
        ([np.array(["a", "b"]), np.array(["c"])], ["a", "b", "c"]),
        ([np.array(["a", "b"], dtype=object), ["c"]], ["a", "b", "c"]),
        (pd.Series([["a", "b"], ["c"]]), ["a", "b", "c"]),
        ([[1, 2], [3]], [1, 2, 3]),
        ([np.array([1, 2], dtype=object), np.array([3], dtype=object)], [1, 2, 3]),
        ([[True, False], [True]], [True, False, True]),
        ([np.array([1.0, 2.0], dtype=np.float32), np.array([3.0])], [1.0, 2.0, 3.0]),
        ([torch.tensor([1, 2]), torch.tensor([3])], [1, 2, 3]),
        ([np.ones((2, 1)), np.ones((1, 1))], [1.0, 1.0, 1.0]),
        ([np.ones((2, 2)), np.ones((1, 2))], np.ones((3, 2))),
        (Sequences(np.array([1, 2, 3]), [0, 2, 3]), [1, 2, 3]),
        (pd.Series([1, 2, 3], index=pd.MultiIndex.from_tuples([(0, 0), (0, 1), (1, 0)])), [1, 2, 3]),
    ],
    ids=str,
)
def test_step_targets(y, expected):
    read = check_step_targets(y, np.array([2, 1]))
    np.testing.assert_array_equal(read.offsets, [0, 2, 3])
    np.testing.assert_array_equal(read.values, expected)
    assert read.values.dtype.kind == (np.asarray(expected).dtype.kind if read.values.dtype != object else "O")


@pytest.mark.parametrize("y", [np.arange(6).reshape(2, 3), np.arange(6).reshape(2, 3, 1), pd.DataFrame(np.eye(2, 3))])
def test_rectangular_step_targets(y):
    read = check_step_targets(y, np.array([3, 3]))
    np.testing.assert_array_equal(read.values, np.asarray(y).ravel())


@pytest.mark.parametrize(
    ("y", "error", "match"),
    [
        ([[1, 2], [3, 4]], ValueError, "sample 1 has 2 entries for 1 steps. Cut or complete it"),
        ([[1, 2]], ValueError, "as many samples as X, 2, but it has 1"),
        ([], ValueError, r"0 sample\(s\)"),
        ([1, 2], ValueError, "one entry per step, but a list of single values arrived"),
        (["ab", "c"], ValueError, "one entry per step, but a list of str arrived"),
        (np.array([1, 2]), ValueError, r"but an array of shape \(2,\) arrived"),
        ([[1.0, np.nan], [3.0]], ValueError, "y must not contain NaN, but there is one at sample 0, step 1"),
        ([[1.0, 2.0], [np.inf]], ValueError, "y must be finite.* at sample 1, step 0"),
        ([np.array(["a", None]), np.array(["b"])], ValueError, "missing labels, but None is at sample 0, step 1"),
        (
            [np.array(["a", 1], dtype=object), np.array(["b"])],
            TypeError,
            "begins with 'a' and has 1 at sample 0, step 1",
        ),
        ([np.array([1j, 1]), np.array([1])], TypeError, "values of dtype complex128"),
        ([np.ones((2, 1, 2)), np.ones((1, 1, 2))], ValueError, r"its steps have the shape \(1, 2\)"),
        ([np.array([["a", "b"]] * 2), np.array([["a", "b"]])], ValueError, r"its steps have the shape \(2,\)"),
    ],
)
def test_bad_step_targets_are_refused(y, error, match):
    with pytest.raises(error, match=match):
        check_step_targets(y, np.array([2, 1]))
