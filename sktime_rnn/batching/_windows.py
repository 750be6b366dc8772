"""Batches of windows of time series.

Shapes: B windows in a batch, L steps of context, H steps ahead, V variables, N steps of all series.
"""

from dataclasses import dataclass

import numpy as np
import torch
from skorch.dataset import Dataset

from sktime_rnn.windows import Origins

_HEAVIEST = 10  # times the median: the most that a window weighs


@dataclass(frozen=True)
class WindowFeatures:
    """What is known of steps and series beside the variables themselves; None or empty where there is nothing.

    Attributes
    ----------
    past, ahead : float32 ndarray of shape (N, n) or None
        Numbers of each step: those that the context shows, and those known of the steps ahead.
    past_codes, ahead_codes : int64 ndarray of shape (N, n) or None
        Categorical features alike.
    calendar : float32 ndarray of shape (n_places, n) or None
        Numbers of each place of the time axis, known ahead.
    first : int64 ndarray of shape (n_series,)
        The row of ``calendar`` at each series' first step.
    static : float32 ndarray of shape (n_items, n) or None
        Numbers of each series.
    static_codes : int64 ndarray of shape (n_items, n) or None
        Categorical features of each series, its identity among them.
    """

    past: np.ndarray | None = None
    ahead: np.ndarray | None = None
    past_codes: np.ndarray | None = None
    ahead_codes: np.ndarray | None = None
    calendar: np.ndarray | None = None
    first: np.ndarray | None = None
    static: np.ndarray | None = None
    static_codes: np.ndarray | None = None


class WindowDataset(Dataset):
    """Windows of time series, as skorch wants them.

    Parameters
    ----------
    windows : Windows
        The series and how windows are cut.
    scaler : WindowScaler
        Puts each window on its own scale.
    series_scale : SeriesScale
        Constants of the whole series.
    features : WindowFeatures
        What else is known; its rows are those of the series.
    origins : Origins or tuple of int64 ndarrays
        Windows to draw from in training; or the items and origins of given windows.
    flags : bool
        Whether a number per variable tells where a value is missing.
    counts : bool, default=False
        Whether targets stay as they are, beside the logarithm of the scale, in place of being scaled.
    n_draws : int, default=None
        Windows of an epoch; needed for ``Origins``.
    power : float, default=0.5
        As in :meth:`~sktime_rnn.windows.Origins.draw`.
    dtype : dtype, default=np.float32
        Of what is handed to the network.
    n_before : int, default=0
        Steps before the context that the network reads as well.
    """

    per_step = False

    def __init__(
        self,
        windows,
        scaler,
        series_scale,
        features,
        origins,
        *,
        flags,
        counts=False,
        n_draws=None,
        power=0.5,
        dtype=np.float32,
        n_before=0,
    ):
        drawn = isinstance(origins, Origins)
        super().__init__(windows, None, length=n_draws if drawn else len(origins[0]))
        self.windows = windows
        self.scaler = scaler
        self.series_scale = series_scale
        self.features = features
        self.origins = origins
        self.flags = flags
        self.counts = counts
        self.power = power
        self.dtype = dtype
        self.n_before = n_before
        self.weighs = drawn and scaler.kind is not None and not counts

    @property
    def n_rows(self):
        """Number of outputs."""
        return len(self)

    def scaled(self, items, origins):
        """Return windows on their own scale.

        Parameters
        ----------
        items, origins : int64 ndarray of shape (B,)
            Which.

        Returns
        -------
        values : float64 ndarray of shape (B, n_before + L + H, V)
            As they are.
        scaled : Scaled
            As the network sees them.
        """
        values = self.windows.cut(items, origins, self.n_before)
        scaled = self.scaler.scale(values, self.windows.context, self.series_scale.take(items), self.n_before)
        return values, scaled


class WindowIterator:
    """Iterate over batches of windows: new ones are drawn for every epoch, or given ones come in their order.

    Parameters
    ----------
    dataset : WindowDataset
        What to iterate over.
    batch_size : int, default=256
        Most windows in a batch.
    max_batch_steps : int, default=None
        Most steps in a batch.
    rng : numpy.random.Generator, default=None
        Draws windows in training.
    scaling : None
        There for the net; windows are scaled one by one.

    Yields
    ------
    inputs : dict
        What :class:`~sktime_rnn.networks.ForecastNetwork` takes, and ``mask`` (B, H * V) where targets are missing.
    y : tensor of shape (B, H * V)
        Targets on the scale of their window.
    """

    def __init__(self, dataset, batch_size=256, max_batch_steps=None, rng=None, scaling=None):
        self.dataset = dataset
        steps = dataset.n_before + dataset.windows.context + dataset.windows.horizon
        self.batch_size = batch_size if max_batch_steps is None else max(1, min(batch_size, max_batch_steps // steps))
        self.rng = rng

    def plan(self):
        """Return the rows of given windows of every batch, a list of int arrays."""
        n = len(self.dataset)
        return [np.arange(start, min(start + self.batch_size, n)) for start in range(0, n, self.batch_size)]

    def cut(self, indices):
        """Return the batch of some of the given windows.

        Parameters
        ----------
        indices : int ndarray of shape (B,)
            Which.

        Returns
        -------
        batch : tuple of dict and tensor
            What iteration yields.
        """
        items, origins = self.dataset.origins
        return self._batch(items[indices], origins[indices])

    def __len__(self):
        return -(-len(self.dataset) // self.batch_size)

    def __iter__(self):
        if isinstance(self.dataset.origins, Origins):
            items, origins = self.dataset.origins.draw(len(self.dataset), self.rng, self.dataset.power)
        else:
            items, origins = self.dataset.origins
        for start in range(0, len(items), self.batch_size):
            part = slice(start, start + self.batch_size)
            yield self._batch(items[part], origins[part])

    def _batch(self, items, origins):
        data = self.dataset
        L = data.n_before + data.windows.context
        values, scaled = data.scaled(items, origins)
        inputs = self._features(items, origins)
        past = [scaled.z[:, :L]]
        if data.flags:
            past.append(~scaled.observed[:, :L])
        past += inputs.pop("past", [])
        X = past[0].astype(data.dtype) if len(past) == 1 else np.concatenate(past, axis=2, dtype=data.dtype)
        observed = scaled.observed[:, L:].reshape(len(items), -1)
        inputs |= {"X": X, "lengths": np.minimum(origins, L)}
        if data.counts:
            y = np.nan_to_num(values[:, L:])
            inputs["log_level"] = np.log(scaled.scale[:, 0]).astype(data.dtype)
        else:
            y = scaled.z[:, L:]
        if not observed.all():
            inputs["mask"] = observed
        if data.weighs:
            inputs["weight"] = self._weights(items, scaled).astype(data.dtype)
        inputs = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in inputs.items()}
        return inputs, torch.from_numpy(y.reshape(len(items), -1).astype(data.dtype))

    def _weights(self, items, scaled):
        """Return the root of each window's scale, on average 1: on their own scale, calm windows would count alike."""
        size = scaled.scale[:, 0].mean(axis=1)
        if self.dataset.scaler.kind != "log":
            base = self.dataset.series_scale.scale[items].mean(axis=1)
            size = np.divide(size, base, out=np.ones_like(size), where=size < 1e9 * base)  # 1 for constant series
        weight = np.sqrt(size)
        weight = np.minimum(weight, _HEAVIEST * np.median(weight))
        return weight / weight.mean()

    def _features(self, items, origins):
        """Return what else the network is told, by the names of its arguments; ``past`` is a list of arrays."""
        features, windows = self.dataset.features, self.dataset.windows
        series, L, H = windows.series[items], self.dataset.n_before + windows.context, windows.horizon
        steps = origins[:, None] + np.arange(-L, H)  # (B, L + H)
        starts, lengths = windows.starts[items] // windows.stride, windows.lengths[items]
        rows = starts[:, None] + np.clip(steps, 0, lengths[:, None] - 1)
        inputs, past, ahead = {}, [], []
        if features.past is not None:
            past.append(features.past[rows[:, :L]])
        if features.ahead is not None:
            ahead.append(features.ahead[rows[:, L:]])
        if features.calendar is not None:
            places = np.minimum(features.first[series][:, None] + steps[:, L:], len(features.calendar) - 1)
            ahead.append(features.calendar[places])
        if past:
            inputs["past"] = past
        if ahead:
            inputs["ahead"] = np.concatenate(ahead, axis=2, dtype=self.dataset.dtype)
        if features.past_codes is not None:
            inputs["codes"] = features.past_codes[rows[:, :L]]
        if features.ahead_codes is not None:
            inputs["ahead_codes"] = features.ahead_codes[rows[:, L:]]
        if features.static is not None:
            inputs["static"] = features.static[items].astype(self.dataset.dtype)
        if features.static_codes is not None:
            inputs["static_codes"] = features.static_codes[items]
        return inputs
