"""Small forecasters, the series that they forecast, and all that they say of them."""

import numpy as np
import pandas as pd

from sktime_rnn.forecaster import RNNForecaster

MOVED = 1e-6


def small(**params):
    """A forecaster that is trained for a moment."""
    quick = {"hidden_size": 4, "max_epochs": 2, "calibrate": False, "random_state": 0}
    return RNNForecaster(**{**quick, **params})


def wave(periods=60, start="2020-01-06", freq="D", seed=0, level=20.0, name=None):
    """A trend, a season of seven steps and noise, above zero."""
    t = np.arange(periods)
    values = level + 0.05 * t + 4 * np.sin(2 * np.pi * t / 7) + np.random.default_rng(seed).normal(size=periods)
    return pd.Series(values, index=pd.date_range(start, periods=periods, freq=freq), name=name)


def counts(periods=60, **options):
    return np.floor(wave(periods, **options) / 4).clip(lower=0)


def frame(periods=60):
    return pd.DataFrame({"a": wave(periods, seed=1), "b": 3 * wave(periods, seed=2)})


def panel(lengths=(40, 23, 9), starts=("2020-01-06", "2020-01-20", "2020-02-02"), of=wave):
    given = enumerate(zip("abcd", lengths, starts, strict=False))
    parts = {name: of(length, start=start, seed=i) for i, (name, length, start) in given}
    return pd.concat(parts, names=["shop", "day"]).rename("sold")


def features(y, periods=4):
    """Features of the steps of y and of some after them, of every kind; for a panel also constant ones."""
    groups = y.groupby(level=0) if isinstance(y.index, pd.MultiIndex) else [(None, y)]
    parts = {}
    for name, own in groups:
        stamps = own.index.get_level_values(-1)
        stamps = pd.date_range(stamps[0], periods=len(stamps) + periods, freq="D", name=y.index.names[-1])
        step = (stamps - pd.Timestamp("2020-01-01")).days.to_numpy()
        kind = pd.Categorical(np.where(step % 2, "odd", "even"))
        parts[name] = pd.DataFrame({"price": np.sin(step / 2.0), "open": step % 3 > 0, "kind": kind}, index=stamps)
    if not isinstance(y.index, pd.MultiIndex):
        return parts[None]
    joined = pd.concat(parts, names=y.index.names)
    names = joined.index.get_level_values(0)
    size = names.map({"a": 1.0, "b": 2.0, "c": 3.0, "d": 4.0})
    return joined.assign(size=size.to_numpy(float), town=names.to_numpy())


def past(X, y):
    """The rows of the steps of y."""
    return X.loc[y.index]


def changed(y, where, by=100.0):
    y = y.copy()
    y.iloc[where] += by
    return y


def distance(a, b):
    return np.abs(np.asarray(a, float) - np.asarray(b, float)).max()


def everything(model, X=None, n=12):
    """All that a fitted forecaster says ahead, as one array."""
    parts = [
        model.predict(X=X),
        model.predict_interval(X=X, coverage=[0.5, 0.9]),
        model.predict_var(X=X),
        model.sample(X=X, n_samples=n),
    ]
    return np.concatenate([np.asarray(part, float).ravel() for part in parts])
