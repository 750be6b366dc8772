"""Transformers per time step, and vocabularies."""

import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.feature_selection import SelectKBest
from sklearn.impute import SimpleImputer
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    MinMaxScaler,
    OneHotEncoder,
    PolynomialFeatures,
    StandardScaler,
    TargetEncoder,
)
from sklearn.utils.estimator_checks import check_estimator

from sktime_rnn.preprocessing import TimeDistributed, Vocabulary
from sktime_rnn.sequences import Sequences, check_sequences

LENGTHS = (4, 2, 5)


@pytest.fixture
def samples(global_random_seed):
    rng = np.random.default_rng(global_random_seed)
    return [rng.normal(3.0, 2.0, size=(length, 3)) for length in LENGTHS]


@pytest.fixture
def univariate(samples):
    return [sample[:, 0] for sample in samples]


def make_panel(samples):
    """A panel whose rows are interleaved."""
    frames = [pd.DataFrame(sample, columns=["x", "y", "z"]) for sample in samples]
    return pd.concat(frames, keys=["c", "a", "b"]).sort_index(level=1, sort_remaining=False, kind="stable")


# -- containers: what comes in goes out


def test_list(samples):
    scaled = TimeDistributed(StandardScaler()).fit_transform(samples)
    expected = StandardScaler().fit_transform(np.concatenate(samples))
    assert isinstance(scaled, list)
    assert [len(sample) for sample in scaled] == list(LENGTHS)
    np.testing.assert_allclose(np.concatenate(scaled), expected)


def test_list_without_feature_axis(univariate):
    scaler = TimeDistributed(StandardScaler())
    assert [sample.shape for sample in scaler.fit_transform(univariate)] == [(4,), (2,), (5,)]
    assert scaler.fit_transform([[1, 2], [3]])[1].shape == (1,)
    powers = TimeDistributed(PolynomialFeatures(2, include_bias=False)).fit_transform(univariate)
    assert [sample.shape for sample in powers] == [(4, 2), (2, 2), (5, 2)]


def test_object_array(samples):
    X = np.array(samples, dtype=object)
    scaled = TimeDistributed(StandardScaler()).fit_transform(X)
    assert (scaled.dtype, scaled.shape) == (object, (3,))
    assert scaled[0].shape == (4, 3)


@pytest.mark.parametrize("convert", [np.asarray, torch.from_numpy])
def test_arrays_of_three_axes(convert):
    X = np.arange(24.0).reshape(2, 4, 3)
    scaled = TimeDistributed(StandardScaler()).fit_transform(convert(X))
    assert isinstance(scaled, np.ndarray)
    np.testing.assert_allclose(scaled, StandardScaler().fit_transform(X.reshape(8, 3)).reshape(2, 4, 3))
    assert TimeDistributed(PCA(2)).fit_transform(convert(X)).shape == (2, 4, 2)


def test_frames_of_images_keep_their_shape():
    X = np.arange(120.0).reshape(2, 3, 4, 5)
    assert TimeDistributed(StandardScaler()).fit_transform(X).shape == (2, 3, 4, 5)
    assert TimeDistributed(PCA(2)).fit_transform(X).shape == (2, 3, 2)
    assert TimeDistributed(StandardScaler()).fit(X).n_features_in_ == 20


@pytest.mark.parametrize("convert", [np.asarray, lambda X: torch.from_numpy(X).requires_grad_()])
def test_two_axes_are_one_feature(convert):
    X = convert(np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]))
    scaler = TimeDistributed(StandardScaler())
    scaled = scaler.fit_transform(X)
    assert scaler.n_features_in_ == 2
    np.testing.assert_allclose(scaled.mean(), 0.0, atol=1e-12)
    np.testing.assert_allclose(scaled.std(), 1.0)
    assert TimeDistributed(PolynomialFeatures(2)).fit_transform(X).shape == (3, 2, 3)


def test_frame():
    X = pd.DataFrame({"a": [1.0, 2.0], "b": [3.0, 5.0]}, index=["r", "s"])
    scaler = TimeDistributed(MinMaxScaler())
    pd.testing.assert_frame_equal(scaler.fit_transform(X), pd.DataFrame({"a": [0, 0.25], "b": [0.5, 1]}, index=X.index))
    assert list(scaler.feature_names_in_) == list(scaler.get_feature_names_out()) == ["a", "b"]


def test_interleaved_panel_keeps_its_rows(samples):
    X = make_panel(samples)
    scaled = TimeDistributed(StandardScaler()).fit_transform(X)
    expected = pd.DataFrame(StandardScaler().fit_transform(X.to_numpy()), index=X.index, columns=X.columns)
    pd.testing.assert_frame_equal(scaled, expected)


def test_panel_takes_the_names_of_the_transformer(samples):
    X = make_panel(samples)
    pca = TimeDistributed(PCA(2))
    reduced = pca.fit_transform(X)
    assert reduced.index.equals(X.index)
    assert list(reduced.columns) == list(pca.get_feature_names_out()) == ["pca0", "pca1"]


def test_series_with_a_panel_index(samples):
    X = make_panel(samples)["y"]
    scaled = TimeDistributed(StandardScaler()).fit_transform(X)
    assert isinstance(scaled, pd.Series)
    assert scaled.index.equals(X.index)
    assert scaled.name == "y"


@pytest.mark.parametrize("columns", [["x", "y", "z"], ["x"]])
def test_list_of_frames(samples, columns):
    X = [pd.DataFrame(sample, columns=["x", "y", "z"], index=np.arange(len(sample)) * 2) for sample in samples]
    X = [frame[columns] for frame in X]
    scaled = TimeDistributed(StandardScaler()).fit_transform(X)
    for before, after in zip(X, scaled, strict=True):
        assert list(after.columns) == columns
        assert after.index.equals(before.index)


def test_list_of_series_becomes_frames(univariate):
    scaled = TimeDistributed(StandardScaler()).fit_transform([pd.Series(sample) for sample in univariate])
    assert [frame.shape for frame in scaled] == [(4, 1), (2, 1), (5, 1)]


def test_column_of_cells(univariate):
    X = pd.Series(univariate, index=["r", "s", "t"], name="signal")
    scaled = TimeDistributed(StandardScaler()).fit_transform(X)
    assert isinstance(scaled, pd.Series)
    assert (scaled.name, list(scaled.index), scaled["s"].shape) == ("signal", ["r", "s", "t"], (2,))
    scaled = TimeDistributed(StandardScaler()).fit_transform(X.to_frame())
    assert list(scaled.columns) == ["signal"]
    assert scaled.loc["s", "signal"].shape == (2,)


def test_sequences(samples):
    scaled = TimeDistributed(StandardScaler()).fit_transform(check_sequences(samples))
    assert isinstance(scaled, Sequences)
    np.testing.assert_array_equal(scaled.lengths, LENGTHS)


def test_grids_in_sequences():
    X = check_sequences(np.arange(24.0).reshape(2, 3, 4), input="grid")
    scaled = TimeDistributed(StandardScaler()).fit_transform(X)
    np.testing.assert_array_equal(scaled.shapes, X.shapes)


def test_text_is_encoded_per_character():
    encoded = TimeDistributed(OneHotEncoder()).fit_transform(["abc", "ca"])
    np.testing.assert_array_equal(encoded[1], [[0, 0, 1], [1, 0, 0]])


def test_arrays_are_neither_changed_nor_kept():
    X = np.arange(6.0).reshape(3, 2)
    before = X.copy()
    scaled = TimeDistributed(StandardScaler(copy=False)).fit_transform(X)
    np.testing.assert_array_equal(X, before)
    scaled[:] = 0.0


# -- the way back


@pytest.mark.parametrize(
    "convert",
    [
        list,
        check_sequences,
        make_panel,
        lambda samples: [sample[:, 0] for sample in samples],
        lambda samples: samples[0][np.newaxis],
        lambda samples: samples[0],
        lambda samples: pd.DataFrame(samples[0], columns=["a", "b", "c"]),
        lambda samples: [pd.DataFrame(sample, columns=["a", "b", "c"]) for sample in samples],
        lambda samples: pd.Series(samples),
    ],
)
@pytest.mark.parametrize("transformer", [StandardScaler(), PCA()])
def test_inverse_transform_restores_values_and_container(samples, convert, transformer):
    X = convert(samples)
    model = TimeDistributed(transformer)
    restored = model.inverse_transform(model.fit_transform(X))
    assert type(restored) is type(X)
    np.testing.assert_allclose(check_sequences(restored).values, check_sequences(X).values)
    if isinstance(X, pd.DataFrame):
        pd.testing.assert_frame_equal(restored, X)


def test_inverse_transform_of_a_table_with_several_outputs():
    X = np.array([[0.0, 1.0], [1.0, 2.0]])
    encoder = TimeDistributed(OneHotEncoder())
    encoded = encoder.fit_transform(X)
    assert encoded.shape == (2, 2, 3)
    np.testing.assert_array_equal(encoder.inverse_transform(encoded), X)


def test_inverse_transform_is_there_where_the_transformer_has_it():
    assert hasattr(TimeDistributed(StandardScaler()), "inverse_transform")
    assert not hasattr(TimeDistributed(PolynomialFeatures()), "inverse_transform")
    assert not hasattr(TimeDistributed(FunctionTransformer()), "get_feature_names_out")


# -- targets


def test_target_of_a_sample_is_repeated(samples):
    y = np.array(["a", "b", "a"])
    model = TimeDistributed(LinearDiscriminantAnalysis()).fit(samples, y)
    expected = LinearDiscriminantAnalysis().fit(np.concatenate(samples), np.repeat(y, LENGTHS))
    np.testing.assert_allclose(model.transformer_.scalings_, expected.scalings_)


def test_target_per_step_is_laid_end_to_end(samples):
    y = [np.arange(length) % 2 for length in LENGTHS]
    model = TimeDistributed(SelectKBest(k=1)).fit(samples, y)
    expected = SelectKBest(k=1).fit(np.concatenate(samples), np.concatenate(y))
    np.testing.assert_allclose(model.transformer_.scores_, expected.scores_)


def test_target_with_lengths_of_its_own_is_left_out(samples):
    y = [[1.0, 2.0], [3.0], [4.0]]
    TimeDistributed(StandardScaler()).fit(samples, y)
    with pytest.raises(ValueError, match="sample 0 has 2 entries for 4 steps"):
        TimeDistributed(LinearDiscriminantAnalysis()).fit(samples, y)


def test_required_target_is_asked_for(samples):
    with pytest.raises(ValueError, match="requires y to be passed, but the target y is None. Pass one target"):
        TimeDistributed(LinearDiscriminantAnalysis()).fit(samples)


def test_target_of_another_length_is_refused(samples):
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        TimeDistributed(SelectKBest()).fit(samples, [0, 1])


def test_target_in_another_order_than_the_panel_is_refused(samples):
    y = pd.Series([0, 1, 0], index=["a", "b", "c"])
    with pytest.raises(ValueError, match="y is matched with the instances of X by position"):
        TimeDistributed(SelectKBest()).fit(make_panel(samples), y)


# -- what is refused


def test_missing_values_reach_the_transformer():
    X = [np.array([[1.0], [np.nan]]), np.array([[3.0]])]
    filled = TimeDistributed(SimpleImputer()).fit_transform(X)
    np.testing.assert_array_equal(np.concatenate(filled), [[1.0], [2.0], [3.0]])


@pytest.mark.parametrize("X", [[np.array([[1.0], [np.inf]])], np.array([[1.0, np.inf]])])
def test_infinite_values_are_refused(X):
    with pytest.raises(ValueError, match="inf"):
        TimeDistributed(SimpleImputer()).fit(X)


def test_another_number_of_features_is_refused(samples):
    model = TimeDistributed(StandardScaler()).fit(samples)
    with pytest.raises(ValueError, match="X has 2 features per step, but TimeDistributed is expecting 3 features"):
        model.transform([sample[:, :2] for sample in samples])
    with pytest.raises(ValueError, match="One sequence\\? wrap it in a list"):
        model.transform(samples[0])


def test_tables_are_held_to_their_columns():
    model = TimeDistributed(StandardScaler()).fit(np.eye(3))
    with pytest.raises(ValueError, match="X has 2 features, but TimeDistributed is expecting 3 features"):
        model.transform(np.ones((3, 2)))


def test_any_container_follows_any_other(univariate):
    model = TimeDistributed(StandardScaler()).fit(univariate)
    table = model.transform(univariate[0][np.newaxis])
    np.testing.assert_allclose(table[0], model.transform(univariate)[0])
    np.testing.assert_allclose(table, model.transform(pd.DataFrame(univariate[0][np.newaxis])))
    model.fit(univariate[0][np.newaxis])
    assert len(model.transform(univariate)) == 3


def test_other_feature_names_are_refused(samples):
    X = make_panel(samples)
    model = TimeDistributed(StandardScaler()).fit(X)
    with pytest.raises(ValueError, match=r"feature names should match .* but X has \['z', 'y', 'x'\]"):
        model.transform(X[["z", "y", "x"]])


def test_names_are_forgotten_with_the_next_fit(samples):
    model = TimeDistributed(StandardScaler()).fit(make_panel(samples)).fit(samples)
    assert not hasattr(model, "feature_names_in_")


class DropFirst(TransformerMixin, BaseEstimator):
    def fit(self, X, y=None):
        self.fitted_ = True
        return self

    def transform(self, X):
        return X[1:]


def test_transformer_that_drops_steps_is_refused(samples):
    with pytest.raises(ValueError, match="one row for every time step, but DropFirst made 10 rows of 11"):
        TimeDistributed(DropFirst()).fit_transform(samples)


def test_set_output(samples):
    X = pd.DataFrame({"a": [1.0, 2.0], "b": [3.0, 5.0]})
    model = TimeDistributed(StandardScaler()).set_output(transform="pandas")
    assert list(model.fit_transform(X.to_numpy()).columns) == ["x0", "x1"]
    with pytest.raises(ValueError, match="inhomogeneous"):
        model.fit_transform(samples)


# -- in scikit-learn

A_LIST_IS_A_LIST = "a list of lists is a list of sequences, and comes back as a list and not as an array"


@pytest.mark.parametrize(
    "transformer",
    [
        StandardScaler(),
        PCA(1),
        SimpleImputer(),
        KBinsDiscretizer(2),
        SelectKBest(k=1),
        OneHotEncoder(),
        TargetEncoder(),
    ],
    ids=lambda transformer: type(transformer).__name__,
)
def test_scikit_learn_checks(transformer):
    results = check_estimator(
        TimeDistributed(transformer),
        expected_failed_checks={"check_transformer_data_not_an_array": A_LIST_IS_A_LIST},
        on_skip=None,
    )
    failed = [result["check_name"] for result in results if result["status"] == "xfail"]
    assert failed == ["check_transformer_data_not_an_array"]


def test_pipeline_and_grid_search(samples):
    class Length(DropFirst):
        def transform(self, X):
            return np.array([[len(sample), sample.shape[1]] for sample in X])

    pipe = make_pipeline(TimeDistributed(StandardScaler()), TimeDistributed(PCA()), Length())
    name = "timedistributed-2__transformer__n_components"
    assert pipe.set_params(**{name: 2}).fit(samples).transform(samples)[:, 1].tolist() == [2, 2, 2]
    grid = GridSearchCV(pipe, {name: [1, 2]}, cv=3, scoring=lambda model, X, y=None: model.transform(X)[0, 1])
    assert grid.fit(samples).best_params_ == {name: 2}


def test_fitted_transformer_is_a_clone(samples):
    scaler = StandardScaler()
    model = TimeDistributed(scaler).fit(samples)
    assert not hasattr(scaler, "mean_")
    restored = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(restored.transform(samples)[2], model.transform(samples)[2])
    assert not hasattr(clone(model), "transformer_")


# -- vocabularies


def test_tokens_are_ordered_by_frequency_then_by_token():
    vocabulary = Vocabulary().fit(["banana", "bandana"])
    assert vocabulary.tokens_.tolist() == ["<unk>", "a", "n", "b", "d"]
    assert vocabulary.counts_.tolist() == [0, 6, 4, 2, 1]
    assert len(vocabulary) == 5
    assert repr(vocabulary) == "Vocabulary(<5 tokens>)"
    assert repr(Vocabulary()) == "Vocabulary(<not fitted>)"


def test_encode_and_decode():
    vocabulary = Vocabulary().fit([["to", "be"], ["to"]])
    codes = vocabulary.encode([["be", "or"], ["to"]])
    assert codes.values.dtype == np.int64
    assert codes.values.tolist() == [2, 0, 1]
    assert codes.offsets.tolist() == [0, 2, 3]
    assert [sample.tolist() for sample in vocabulary.decode(codes)] == [["be", "<unk>"], ["to"]]
    assert vocabulary.decode([[1, 2]]).tolist() == [["to", "be"]]
    assert [vocabulary.index(token) for token in ("to", "or", "<unk>")] == [1, 0, 0]


def test_integers_are_tokens_too():
    vocabulary = Vocabulary(specials=("<unk>", "<end>")).fit([[30, -5], [30, 7]])
    assert vocabulary.tokens_.tolist() == ["<unk>", "<end>", 30, -5, 7]
    assert vocabulary.encode([[7, 8, 30]]).values.tolist() == [4, 0, 2]
    assert [vocabulary.index(token) for token in (30, 8, "<end>")] == [2, 0, 1]


def test_limits():
    texts = ["aaabbc"]
    assert Vocabulary(max_tokens=1).fit(texts).tokens_.tolist() == ["<unk>", "a"]
    assert Vocabulary(min_frequency=2).fit(texts).tokens_.tolist() == ["<unk>", "a", "b"]
    assert Vocabulary(max_tokens=1).fit(texts).counts_.tolist() == [3, 3]


def test_specials_in_the_data_have_their_own_codes():
    vocabulary = Vocabulary(specials=("<unk>", "<s>")).fit([["<s>", "a", "<s>"]])
    assert vocabulary.tokens_.tolist() == ["<unk>", "<s>", "a"]
    assert vocabulary.counts_.tolist() == [0, 2, 1]


def test_coding_equals_a_dict(global_random_seed):
    rng = np.random.default_rng(global_random_seed)
    texts = ["".join(rng.choice(list("abcdé👍"), size=size)) for size in rng.integers(1, 30, size=50)]
    vocabulary = Vocabulary(max_tokens=4).fit(texts)
    codes = {token: code for code, token in enumerate(vocabulary.tokens_)}
    for text, encoded in zip(texts, vocabulary.encode(texts), strict=True):
        assert encoded.tolist() == [codes.get(character, 0) for character in text]


@pytest.mark.parametrize("tokens", [["banana", "👍é"], [["a\0", "\0", "b"]], [[3, 4, 4]]])
@pytest.mark.parametrize(
    "restore", [lambda v: pickle.loads(pickle.dumps(v)), lambda v: Vocabulary.from_state(v.get_state())]
)
def test_state_restores_the_vocabulary(tokens, restore):
    vocabulary = Vocabulary(min_frequency=1, specials=("<unk>", "<s>")).fit(tokens)
    restored = restore(vocabulary)
    assert restored.tokens_.tolist() == vocabulary.tokens_.tolist()
    np.testing.assert_array_equal(restored.counts_, vocabulary.counts_)
    assert restored.specials == vocabulary.specials
    np.testing.assert_array_equal(restored.encode(tokens).values, vocabulary.encode(tokens).values)


def test_state_holds_arrays_and_plain_values():
    for value in Vocabulary().fit(["abc"]).get_state().values():
        assert value is None or isinstance(value, int | list | np.ndarray)
        assert not (isinstance(value, np.ndarray) and value.dtype.hasobject)


def test_state_of_an_unfitted_vocabulary():
    assert Vocabulary.from_state(Vocabulary(max_tokens=3).get_state()).max_tokens == 3


@pytest.mark.parametrize(
    ("parameters", "match"),
    [
        ({"specials": ()}, "specials must be one str or more"),
        ({"specials": (0,)}, "specials must be one str or more"),
        ({"specials": ("<s>", "<s>")}, "all different"),
        ({"max_tokens": 0}, "max_tokens must be at least 1, but 0 arrived"),
        ({"min_frequency": -1}, "min_frequency must be at least 1, but -1 arrived"),
    ],
)
def test_bad_parameters_are_refused(parameters, match):
    with pytest.raises(ValueError, match=match):
        Vocabulary(**parameters).fit(["a"])


@pytest.mark.parametrize(
    ("learnt", "asked", "match"),
    [
        (["a"], [[1]], r"tokens must be str.* but 1 \(int64\) arrived"),
        ([[1]], ["a"], r"tokens must be integers.* but a \(str\) arrived"),
    ],
)
def test_tokens_of_another_kind_are_refused(learnt, asked, match):
    with pytest.raises(TypeError, match=match):
        Vocabulary().fit(learnt).encode(asked)


@pytest.mark.parametrize("codes", [[2], [-1], [0.5]])
def test_codes_that_do_not_exist_are_refused(codes):
    with pytest.raises(ValueError, match="codes must be integers from 0 to 1"):
        Vocabulary().fit(["a"]).decode(codes)
