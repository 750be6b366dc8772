import csv
import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import sktime_rnn
from sktime_rnn.datasets import load_airpassengers, load_japanese_vowels, load_names

DATA = Path(sktime_rnn.__file__).parent / "data"


@pytest.mark.parametrize(("split", "n_samples", "n_steps"), [("train", 270, 4274), ("test", 370, 5687)])
def test_japanese_vowels_has_the_published_sizes(split, n_samples, n_steps):
    X, y = load_japanese_vowels(split=split)
    assert len(X) == len(y) == n_samples
    assert sum(len(utterance) for utterance in X) == n_steps
    assert {utterance.shape[1] for utterance in X} == {12}
    assert {utterance.dtype for utterance in X} == {np.dtype("float64")}
    assert min(map(len, X)) == 7
    assert max(map(len, X)) <= 29
    assert sorted(set(y)) == list("123456789")


def test_japanese_vowels_values_are_those_printed_in_the_source():
    X, _ = load_japanese_vowels(split="train")
    assert X[0][:3, 0].tolist() == [1.860936, 1.891651, 1.939205]
    assert X[0][0, :3].tolist() == [1.860936, -0.207383, 0.261557]
    X, y = load_japanese_vowels(split="test")
    assert X[0][0, :3].tolist() == [1.635533, 0.024848, 0.432087]
    # 24 to 88 utterances per speaker, in the order of the speakers
    assert [int((y == speaker).sum()) for speaker in "123456789"] == [31, 35, 88, 44, 29, 24, 40, 50, 29]


def test_japanese_vowels_without_split_is_train_then_test():
    X, y = load_japanese_vowels()
    X_train, y_train = load_japanese_vowels(split="train")
    X_test, y_test = load_japanese_vowels(split="test")
    np.testing.assert_array_equal(y, np.concatenate([y_train, y_test]))
    for got, expected in zip(X, X_train + X_test, strict=True):
        np.testing.assert_array_equal(got, expected)


def test_airpassengers_is_a_monthly_series():
    y = load_airpassengers()
    expected_index = pd.period_range("1949-01", "1960-12", freq="M", name="Period")
    pd.testing.assert_index_equal(y.index, expected_index)
    assert y.name == "Number of airline passengers"
    assert y.dtype == np.float64
    assert y.iloc[[0, -1]].tolist() == [112.0, 432.0]
    assert y.sum() == 40363.0


def test_names_splits_share_no_spelling():
    X_train, y_train = load_names(split="train")
    X_valid, y_valid = load_names(split="valid")
    assert len(X_train) == len(y_train) == 16167
    assert len(X_valid) == len(y_valid) == 1966
    assert not {name.lower() for name in X_train} & {name.lower() for name in X_valid}
    assert set(y_train) == set(y_valid)
    assert len(set(y_train)) == 18
    assert all(type(name) is str for name in X_train)
    X, y = load_names()
    assert X == X_train + X_valid
    assert y.tolist() == [*y_train, *y_valid]


def test_names_are_read_whole():
    with gzip.open(DATA / "names.tsv.gz", "rt", encoding="utf-8") as file:
        n_lines = sum(1 for _ in file)
    assert len(load_names()[0]) == n_lines - 1


@pytest.mark.parametrize("load", [load_japanese_vowels, load_names])
def test_unknown_split_is_refused(load):
    with pytest.raises(ValueError, match=r"split must be 'train' or '\w+', or None for both; got 'dev'"):
        load(split="dev")


def test_each_call_returns_data_of_its_own():
    X, y = load_japanese_vowels(split="train")
    X[0][:] = 0
    y[:] = "0"
    X, y = load_japanese_vowels(split="train")
    assert X[0].any()
    assert "0" not in y


def test_data_files_are_small_and_hold_no_pickled_objects():
    assert all(path.stat().st_size < 400_000 for path in DATA.iterdir())
    with np.load(DATA / "japanese_vowels.npz", allow_pickle=False) as stored:
        assert {stored[name].dtype.kind for name in stored.files} == {"i", "U"}
    with open(DATA / "airpassengers.csv", encoding="utf-8") as file:
        assert next(csv.reader(file)) == ["Date", "Passengers"]
