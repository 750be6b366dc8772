"""Small real data sets that ship with the package; `data/README.md` says where each comes from."""

import csv
import gzip
from importlib.resources import as_file, files

import numpy as np
import pandas as pd

_MICRO = 1e6  # japanese_vowels.npz holds integers in units of 1e-6, the last digit of the published values


def load_japanese_vowels(split=None):
    """Load Japanese Vowels: recordings of nine men, to be told apart by how they say "ae".

    Every sample is one utterance, given as 12 linear prediction coefficients per frame. The utterances
    are of unequal length, 7 to 29 frames. There are 270 of them for training and 370 for testing.

    Parameters
    ----------
    split : {"train", "test"} or None, default=None
        The published half to load. None gives the training half followed by the test half.

    Returns
    -------
    X : list of ndarray of shape (n_timesteps_i, 12)
        The utterances, float64.
    y : ndarray of shape (n_samples,)
        The speakers, as the strings "1" to "9".

    Notes
    -----
    From the UCI Machine Learning Repository, licensed under CC BY 4.0.

    References
    ----------
    .. [1] M. Kudo, J. Toyama and M. Shimbo (1999). Multidimensional curve classification using
       passing-through regions. Pattern Recognition Letters 20(11-13), 1103-1111.

    Examples
    --------
    >>> from sktime_rnn.datasets import load_japanese_vowels
    >>> X, y = load_japanese_vowels(split="train")
    >>> len(X), X[0].shape, X[1].shape
    (270, (20, 12), (26, 12))
    >>> print(y[0], y[-1])
    1 9
    """
    halves = _chosen_splits(split, ("train", "test"))
    with as_file(_path("japanese_vowels.npz")) as path, np.load(path, allow_pickle=False) as stored:
        X = [utterance for half in halves for utterance in _utterances(stored, half)]
        y = np.concatenate([stored[f"{half}_labels"] for half in halves])
    return X, y


def load_airpassengers():
    """Load the monthly number of international airline passengers, 1949 to 1960, in thousands.

    Returns
    -------
    y : Series of shape (144,)
        The passengers, float64, under a monthly PeriodIndex.

    References
    ----------
    .. [1] G. E. P. Box and G. M. Jenkins (1976). Time Series Analysis: Forecasting and Control.
       Holden-Day, Series G.

    Examples
    --------
    >>> from sktime_rnn.datasets import load_airpassengers
    >>> load_airpassengers().head(3)
    Period
    1949-01    112.0
    1949-02    118.0
    1949-03    132.0
    Freq: M, Name: Number of airline passengers, dtype: float64
    """
    with _path("airpassengers.csv").open(encoding="utf-8") as file:
        table = pd.read_csv(file)
    months = pd.PeriodIndex(table["Date"], freq="M", name="Period")
    return pd.Series(table["Passengers"].to_numpy(dtype=np.float64), index=months, name="Number of airline passengers")


def load_names(split=None):
    """Load family names from 18 languages, spelled in ASCII letters.

    The split is by spelling, so that no name is in both halves. Nearly half of the names are Russian, and
    some are given under several languages: no classifier gets all of them right.

    Parameters
    ----------
    split : {"train", "valid"} or None, default=None
        The half to load: 16,167 names for training, 1,966 for validation. None gives both, in this order.

    Returns
    -------
    X : list of str
        The names.
    y : ndarray of shape (n_samples,)
        Their languages.

    Notes
    -----
    From the practical-pytorch tutorials by Sean Robertson, MIT licence.

    Examples
    --------
    >>> from sktime_rnn.datasets import load_names
    >>> X, y = load_names(split="valid")
    >>> len(X), len(set(y))
    (1966, 18)
    >>> print(X[-1], y[-1])
    Truong Vietnamese
    """
    halves = _chosen_splits(split, ("train", "valid"))
    text = gzip.decompress(_path("names.tsv.gz").read_bytes()).decode("utf-8")
    rows = list(csv.DictReader(text.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE))
    rows = [row for half in halves for row in rows if row["split"] == half]
    return [row["name"] for row in rows], np.array([row["language"] for row in rows])


def _utterances(stored, half):
    """Cut the steps of one half, stored end to end, into its utterances."""
    values = stored[f"{half}_values"] / _MICRO
    starts = np.cumsum(stored[f"{half}_lengths"])[:-1]
    return np.split(values, starts)


def _chosen_splits(split, known):
    """List the splits that `split` asks for, or raise."""
    if split is None:
        return known
    if split not in known:
        allowed = " or ".join(repr(name) for name in known)
        raise ValueError(f"split must be {allowed}, or None for both; got {split!r}. Pass one of these.")
    return (split,)


def _path(name):
    return files("sktime_rnn") / "data" / name
