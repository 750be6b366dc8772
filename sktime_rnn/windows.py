"""Windows of time series by index arithmetic, and the scaling inside a window.

A window is what a forecaster sees at one moment, its origin: the L steps before it, the context, and in training the
H steps from it on. Nothing is copied until a batch of windows is cut.

Shapes: B windows, L steps of context, H steps ahead, V variables, I series.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np

SCALERS = ("last", "log", "mean", "standard", "robust", None)
_CHUNK = 1 << 20  # steps whose scales are found at once
_LIVELIEST = 1000.0
_FLOOR = 0.1  # of the scale of the whole series: flat stretches would blow up what follows them


class Windows:
    """Windows over series that lie end to end.

    Parameters
    ----------
    values : float64 ndarray of shape (n_steps, n_variables)
        The steps of all series; NaN where one is missing.
    offsets : int64 ndarray of shape (n_series + 1,)
        Where each series starts.
    context, horizon : int
        L and H.
    joint : bool
        Whether a window holds all variables; otherwise each variable of a series is a series of its own, item
        ``i * n_variables + v``.
    lengths : int64 ndarray of shape (n_series,), default=None
        Steps of each series that may be looked at, from its first; by default all.

    Attributes
    ----------
    n_items : int
        Series, or series times variables.
    lengths : int64 ndarray of shape (n_items,)
        Number of steps of each item.
    """

    def __init__(self, values, offsets, context, horizon, joint, lengths=None):
        self.values = values
        self.flat = values if joint else values.reshape(-1, 1)
        self.stride = 1 if joint else values.shape[1]
        self.context = context
        self.horizon = horizon
        lengths = np.diff(offsets) if lengths is None else lengths
        items = np.arange(len(lengths) * self.stride)
        self.series = items // self.stride
        self.starts = offsets[self.series] * self.stride + items % self.stride
        self.lengths = lengths[self.series]
        self.n_items = len(items)

    def cut(self, items, origins, n_before=0):
        """Return windows.

        Parameters
        ----------
        items : int ndarray of shape (B,)
            Which series, or variable of a series.
        origins : int ndarray of shape (B,)
            Number of steps before the first step ahead.
        n_before : int, default=0
            Number of steps before the context to return as well.

        Returns
        -------
        values : float64 ndarray of shape (B, n_before + L + H, V)
            NaN where a step is missing, or lies before the start or after the end of its series.
        """
        steps = origins[:, None] + np.arange(-self.context - n_before, self.horizon)  # (B, n_before + L + H)
        inside = (steps >= 0) & (steps < self.lengths[items, None])
        rows = self.starts[items, None] + self.stride * np.where(inside, steps, 0)
        values = self.flat.take(rows, axis=0)
        if not inside.all():
            values[~inside] = np.nan
        return values


@dataclass(frozen=True)
class Origins:
    """The windows that may be drawn: each item's origins from ``low`` to ``high``.

    Attributes
    ----------
    items, low, high : int64 ndarray of shape (n,)
        Items with one origin or more.
    """

    items: np.ndarray
    low: np.ndarray
    high: np.ndarray

    @property
    def counts(self):
        """Number of windows of each item."""
        return self.high - self.low + 1

    def __len__(self):
        return int(self.counts.sum())

    def all(self):
        """Return the items and origins of all windows."""
        counts = self.counts
        places = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        return np.repeat(self.items, counts), np.repeat(self.low, counts) + places

    def draw(self, n, rng, power):
        """Return windows drawn evenly over items and time.

        An item's share is its number of windows to a power: with 1 all windows are drawn alike, with 0 all items.
        Within these shares the windows are spread evenly; the newest window of an item is among them at least in
        every tenth draw, in turn over the items.

        Parameters
        ----------
        n : int
            Number of windows.
        rng : numpy.random.Generator
            Source of the random numbers.
        power : float
            Between 0 and 1.

        Returns
        -------
        items, origins : int64 ndarray of shape (n,)
            In random order.
        """
        share = np.cumsum(self.counts.astype(np.float64) ** power)
        points = (np.arange(n) + rng.random(n)) / n * share[-1]
        which = np.minimum(np.searchsorted(share, points, side="right"), len(share) - 1)
        before = np.where(which > 0, share[which - 1], 0.0)
        within = (points - before) / (share[which] - before)
        origins = self.low[which] + np.minimum((within * self.counts[which]).astype(np.int64), self.counts[which] - 1)
        items = self.items[which]
        newest = rng.permutation(len(self.items))[: max(1, n // 10)]
        places = rng.permutation(n)[: len(newest)]
        items[places], origins[places] = self.items[newest[: len(places)]], self.high[newest[: len(places)]]
        order = rng.permutation(n)
        return items[order], origins[order]


def training_origins(windows, fewest):
    """Return the windows to train on: all with some context and a step ahead in their series.

    Steps ahead that lie beyond the end are missing targets.

    Parameters
    ----------
    windows : Windows
        Where they are cut.
    fewest : int or int64 ndarray of shape (n_items,)
        Steps of context that must be there, in items that have more.

    Returns
    -------
    origins : Origins
        Items of a single step have none.
    """
    high = windows.lengths - 1
    low = np.maximum(np.minimum(fewest, high), 1)
    kept = np.flatnonzero(high >= low)
    return Origins(kept, low[kept], high[kept])


class Scaled(NamedTuple):
    """Windows on a scale of their own: ``z = (g(x) - loc) / scale``, g the logarithm or nothing.

    Attributes
    ----------
    z : float64 ndarray of shape (B, L + H, V)
        The windows; 0 where nothing was observed.
    observed : bool ndarray of shape (B, L + H, V)
        Where something was.
    loc, scale : float64 ndarray of shape (B, 1, V)
        The constants.
    ratio : float64 ndarray of shape (B, 1, V)
        The scale in units of that of the whole series: how lively the window is.
    """

    z: np.ndarray
    observed: np.ndarray
    loc: np.ndarray
    scale: np.ndarray
    ratio: np.ndarray


@dataclass(frozen=True)
class SeriesScale:
    """The constants of whole items.

    Attributes
    ----------
    loc, scale : float64 ndarray of shape (n_items, V)
        Level and scale; 0 where nothing was observed.
    """

    loc: np.ndarray
    scale: np.ndarray

    def take(self, items):
        """Return the constants of some items, in their order."""
        return SeriesScale(self.loc[items], self.scale[items])


class WindowScaler:
    r"""Scale each window by its own context.

    ========== ===================== ==================================================
    scaler     loc                   scale
    ========== ===================== ==================================================
    last       last observed value   mean of ``|x_t - loc|``
    log        the same, of log x    the same, of log x
    mean       0                     mean of ``|x_t|`` (Salinas et al. 2020)
    standard   mean                  standard deviation
    robust     median                interquartile range
    None       0                     1
    ========== ===================== ==================================================

    A scale is at least a tenth of that of the whole series (for "last" and "log" the mean size of a step, for
    "standard" and "robust" the mean distance from the mean), and where nothing ever moved a thousandth of the level. A
    context without an observed value has the level and scale of its series.

    Parameters
    ----------
    kind : {"last", "log", "mean", "standard", "robust", None}
        Which constants.
    """

    def __init__(self, kind):
        self.kind = kind

    def transform(self, values):
        """Return log x, or x itself."""
        return np.log(values) if self.kind == "log" else values

    def inverse(self, values):
        """Undo :meth:`transform`."""
        return np.exp(np.clip(values, -700, 700)) if self.kind == "log" else values  # neither 0 nor infinity

    def series_scale(self, windows):
        """Return the constants of whole items: a bound for those of their windows.

        Parameters
        ----------
        windows : Windows
            The series.

        Returns
        -------
        scale : SeriesScale
            Loc and scale of each item; the scale of ``"last"`` and ``"log"`` is the mean size of a step.
        """
        starts = windows.starts[:: windows.stride] // windows.stride
        lengths = windows.lengths[:: windows.stride]
        ends = np.append(starts, len(windows.values))
        firsts = [*np.flatnonzero(np.diff(starts // _CHUNK, prepend=-1)), len(starts)]
        parts = [
            self._constants_of(windows.values[ends[i] : ends[j]], starts[i:j] - ends[i], lengths[i:j])
            for i, j in pairwise(firsts)
        ]
        return SeriesScale(*(np.concatenate(part).reshape(windows.n_items, -1) for part in zip(*parts, strict=True)))

    def _constants_of(self, values, starts, lengths):
        """Return loc and scale of some series, (I, V), from their first ``lengths`` steps."""
        x = self.transform(values)
        if lengths.sum() < len(x):
            step = np.arange(len(x)) - starts[_series_of(x, starts)]
            x = np.where((step < lengths[_series_of(x, starts)])[:, None], x, np.nan)
        loc = _by_series(x, starts)
        if self.kind in ("mean", None):
            loc = np.zeros_like(loc)
        if self.kind in ("last", "log"):
            size = np.abs(np.diff(x, axis=0, prepend=np.nan))
            size[starts] = np.nan
        else:
            size = np.abs(x - loc[_series_of(x, starts)])
        return loc, _by_series(size, starts)

    def scale(self, values, context, series_scale, n_before=0):
        """Return windows on their own scale.

        Parameters
        ----------
        values : float64 ndarray of shape (B, L + H, V)
            What :meth:`Windows.cut` gives.
        context : int
            L; the constants come from these steps alone.
        series_scale : SeriesScale
            The constants of the whole series, of shape (B, V).
        n_before : int, default=0
            Number of steps before the context.

        Returns
        -------
        scaled : Scaled
            The windows and their constants.
        """
        x = self.transform(values)
        past = x[:, n_before : n_before + context]
        observed = ~np.isnan(x)
        complete = bool(observed[:, n_before : n_before + context].all())
        loc, scale = self._constants(past, complete)
        floor = series_scale.scale[:, None]
        if not complete:
            blind = ~observed[:, n_before : n_before + context].any(axis=1, keepdims=True)  # (B, 1, V)
            loc, scale = np.where(blind, series_scale.loc[:, None], loc), np.where(blind, floor, scale)
        if self.kind is None:
            scale = np.ones_like(loc)
        else:
            scale = np.maximum(scale, _FLOOR * floor)
            tiny = 1e-9 * np.abs(loc) + np.finfo(float).tiny * 2**60
            still = 1e-3 * (1.0 if self.kind == "log" else np.maximum(np.abs(loc), 1.0))  # nothing has ever moved
            scale = np.where(scale > tiny, scale, np.where(floor > tiny, floor, still))
        z = (x - loc) / scale
        if not complete or context < x.shape[1]:
            z[~observed] = 0.0
        ratio = np.clip(scale / np.where(floor > 0, floor, scale), 1 / _LIVELIEST, _LIVELIEST)
        return Scaled(z, observed, loc, scale, ratio)

    def _constants(self, past, complete):
        if self.kind in ("last", "log"):
            loc = past[:, -1:] if complete else last_observed(past)
            size = np.abs(past - loc)
            return loc, size.mean(axis=1, keepdims=True) if complete else _nanmean(size)
        if self.kind == "mean":
            return np.zeros_like(past[:, :1]), _nanmean(np.abs(past))
        if self.kind == "standard":
            loc = _nanmean(past)
            return loc, np.sqrt(_nanmean((past - loc) ** 2))
        if self.kind == "robust":
            filled = np.where(np.isnan(past).all(axis=1, keepdims=True), 0.0, past)
            low, loc, high = np.nanquantile(filled, [0.25, 0.5, 0.75], axis=1, keepdims=True)
            return loc, high - low
        return np.zeros_like(past[:, :1]), np.ones_like(past[:, :1])


def last_observed(past):
    """Return the last value of each window that is not missing; 0 where all are.

    Parameters
    ----------
    past : ndarray of shape (B, L, V)
        Contexts.

    Returns
    -------
    last : ndarray of shape (B, 1, V)
        Their last values.
    """
    seen = ~np.isnan(past)
    back = np.argmax(seen[:, ::-1], axis=1, keepdims=True)
    last = np.take_along_axis(past, past.shape[1] - 1 - back, axis=1)
    return np.nan_to_num(last)


def _nanmean(x):
    seen = ~np.isnan(x)
    return np.where(seen, x, 0.0).sum(axis=1, keepdims=True) / np.maximum(seen.sum(axis=1, keepdims=True), 1)


def _series_of(x, starts):
    return np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(x))))


def _by_series(x, starts):
    """Return the mean of each series over what is observed, (I, V)."""
    seen = ~np.isnan(x)
    total = np.add.reduceat(np.where(seen, x, 0.0), starts, axis=0)
    return total / np.maximum(np.add.reduceat(seen, starts, axis=0, dtype=np.float64), 1)
