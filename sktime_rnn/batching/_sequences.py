"""Batches of sequences of similar length, cut from the flat values by one index operation.

Shapes: B sequences in a batch, T steps of its longest sequence, N steps in all.
"""

import numpy as np
import torch
from skorch.dataset import Dataset

from sktime_rnn.sequences import Sequences

_BATCHES_PER_POOL = 50
_CHUNK = 1 << 16
_SCALED_AT_ONCE = 1 << 30


def as_tensor(array):
    """Return a tensor that shares the memory of an array, read-only ones too.

    Parameters
    ----------
    array : ndarray
        A numeric array; nothing may be written through the tensor.

    Returns
    -------
    tensor : torch.Tensor
        The same memory.
    """
    return torch.from_dlpack(array)


def step_statistics(values, weight=None):
    """Mean and standard deviation of every feature over all steps, in float64.

    Parameters
    ----------
    values : ndarray of shape (N, F) or (N, ..., C)
        Steps end to end. Steps of several axes, such as frames, are described channel by channel. NaN are left out.
    weight : ndarray of shape (N,), default=None
        Weight of each step.

    Returns
    -------
    mean, scale : float64 ndarray of shape (F,) or (C,)
        ``scale`` is 1 where a feature is constant or never observed.
    """
    n_channels = values.shape[-1]
    count, total = np.zeros(n_channels), np.zeros(n_channels)
    for chunk, w in _chunks(values, weight):
        observed = ~np.isnan(chunk)
        count += _sum(observed, w)
        total += _sum(np.where(observed, chunk, 0.0), w)
    mean = total / np.maximum(count, np.finfo(float).tiny)
    drift, squares = np.zeros(n_channels), np.zeros(n_channels)
    for chunk, w in _chunks(values, weight):
        deviation = np.nan_to_num(chunk - mean)
        drift += _sum(deviation, w)
        squares += _sum(deviation**2, w)
    # The rounding of a long sum is taken out again (Chan, Golub and LeVeque 1983): constants stay constant.
    drift, squares = (sums / np.maximum(count, np.finfo(float).tiny) for sums in (drift, squares))
    mean = mean + drift
    scale = np.sqrt(np.maximum(squares - drift**2, 0.0))
    constant = scale <= 10 * np.finfo(float).eps * np.abs(mean)
    return mean, np.where(constant, 1.0, scale)


def _chunks(values, weight):
    for start in range(0, len(values), _CHUNK):
        part = slice(start, start + _CHUNK)
        yield values[part].astype(np.float64), None if weight is None else weight[part]


def _sum(chunk, weight):
    if weight is not None:
        chunk = chunk * weight.reshape(-1, *[1] * (chunk.ndim - 1))
    return chunk.reshape(-1, chunk.shape[-1]).sum(axis=0)


class SequenceDataset(Dataset):
    """Sequences with their targets, as skorch wants them.

    Parameters
    ----------
    X : Sequences
        Inputs: values or codes.
    y : ndarray of shape (n_samples, ...), or (N, ...) with an output per step, default=None
        Targets; with an output per step, those of all steps end to end.
    weight : ndarray as long as y, default=None
        Weight of each row of y.
    per_step : bool, default=False
        Whether the rows of y are steps.
    groups : ndarray of shape (n_samples,), default=None
        Sequences that belong together.
    """

    def __init__(self, X, y=None, weight=None, per_step=False, groups=None):
        super().__init__(X, y, length=len(X))
        self.weight = weight
        self.per_step = per_step
        self.groups = groups

    @property
    def n_rows(self):
        """Number of outputs: sequences, or steps."""
        return len(self.X.values) if self.per_step else len(self.X)

    def take(self, indices):
        """Return the dataset of some of the sequences.

        Parameters
        ----------
        indices : int ndarray of shape (n,)
            Which sequences, in the order wanted.

        Returns
        -------
        dataset : SequenceDataset
            Theirs alone.
        """
        rows = flat_steps(self.X.offsets, indices) if self.per_step else indices
        y, weight = (None if array is None else array[rows] for array in (self.y, self.weight))
        groups = None if self.groups is None else self.groups[indices]
        return SequenceDataset(self.X[indices], y, weight, self.per_step, groups)


def kept_by_weight(weight):
    """Return the places of weights above 0, of which there must be one."""
    kept = np.flatnonzero(weight)
    if len(kept) == 0:
        raise ValueError("weights must leave a sequence with a weight above 0, got only zeros. Raise one of them.")
    return kept


def with_mean_weight_one(dataset):
    """Return a dataset without the sequences of weight 0, its weights divided by their mean.

    Parameters
    ----------
    dataset : SequenceDataset
        With weights.

    Returns
    -------
    dataset : SequenceDataset
        A loss averaged over its rows then weighs each row by its share of the whole, whatever the batch.
    """
    weight = dataset.weight
    kept = kept_by_weight(np.add.reduceat(weight, dataset.X.offsets[:-1]) if dataset.per_step else weight)
    if len(kept) < len(dataset):
        dataset = dataset.take(kept)
    scaled = dataset.weight / np.max(dataset.weight)
    return SequenceDataset(dataset.X, dataset.y, scaled / scaled.mean(), dataset.per_step, dataset.groups)


def flat_steps(offsets, indices):
    """Return the places of the steps of some sequences in the flat values, end to end.

    Parameters
    ----------
    offsets : int64 ndarray of shape (n_samples + 1,)
        Where each sequence starts.
    indices : int ndarray of shape (n,)
        Which sequences.

    Returns
    -------
    places : int64 ndarray of shape (sum of their lengths,)
        Places of their steps.
    """
    lengths = offsets[indices + 1] - offsets[indices]
    ends = np.cumsum(lengths)
    return np.arange(ends[-1] if len(ends) else 0) + np.repeat(offsets[indices] - ends + lengths, lengths)


def scale_steps(values, scaling):
    """Return the scaled values of all steps, made without a float64 copy of all of them.

    Parameters
    ----------
    values : tensor of shape (N, ...)
        Values, or codes, which pass unchanged.
    scaling : InputScaling
        What to apply.

    Returns
    -------
    scaled : tensor of shape (N, ...)
        In the training precision.
    """
    if not values.is_floating_point():
        return values
    first = scaling(values[:_CHUNK])
    if len(values) <= _CHUNK:
        return first
    scaled = first.new_empty((len(values), *first.shape[1:]))
    scaled[:_CHUNK] = first
    for start in range(_CHUNK, len(values), _CHUNK):
        scaled[start : start + _CHUNK] = scaling(values[start : start + _CHUNK])
    return scaled


def cut_by_length(lengths, batch_size, max_steps=None):
    """Cut sequences sorted by length into batches.

    Parameters
    ----------
    lengths : int ndarray of shape (n,)
        Lengths, not falling.
    batch_size : int
        Most sequences in a batch.
    max_steps : int, default=None
        Most steps in a batch, padding included; a sequence longer than this makes a batch of its own.

    Returns
    -------
    bounds : list of int
        Where the batches start, and n.
    """
    n = len(lengths)
    if max_steps is None or n == 0 or batch_size * lengths[-1] <= max_steps:
        return [*range(0, n, batch_size), n]
    bounds = [0]
    while bounds[-1] < n:
        window = lengths[bounds[-1] : bounds[-1] + batch_size]
        fitting = np.searchsorted(window * np.arange(1, len(window) + 1), max_steps, side="right")
        bounds.append(bounds[-1] + max(1, int(fitting)))
    return bounds


class BatchIterator:
    """Iterate over padded batches of a dataset.

    In training the sequences are shuffled, cut into pools of 50 batches, and each pool is sorted by length: batches
    stay random, and hold little padding. Otherwise all sequences are sorted.

    Parameters
    ----------
    dataset : SequenceDataset
        What to iterate over.
    batch_size : int, default=64
        Most sequences in a batch.
    max_batch_steps : int, default=None
        Most steps in a batch, padding included.
    rng : numpy.random.Generator, default=None
        Shuffles; without it the order is that of the lengths.
    scaling : InputScaling, default=None
        Applied to the values, in float64: once to all of them, or to each batch's where they take over 1 GiB.
    give_targets : bool, default=False
        Whether the network reads the targets of steps as well.

    Yields
    ------
    inputs : dict
        ``X`` (B, T, *step_shape), or (B, T) for codes; ``lengths`` (B,) int64; with targets also
        ``weight``, where there are weights, and ``rows``, where there is an output per step: the places of the valid
        steps in (B * T,), and ``y`` (B, T, ...), the targets of all steps, where the network reads them.
    y : tensor
        Targets, one row for a sequence or for a valid step; None without targets.
    """

    def __init__(self, dataset, batch_size=64, max_batch_steps=None, rng=None, scaling=None, give_targets=False):
        self.dataset = dataset
        self.give_targets = give_targets
        self.batch_size = batch_size
        self.max_batch_steps = max_batch_steps
        self.rng = rng
        self.scaling = scaling
        self.lengths = dataset.X.lengths
        self.starts = dataset.X.offsets[:-1]
        self.values = as_tensor(dataset.X.values)
        if scaling is not None and dataset.X.values.nbytes <= _SCALED_AT_ONCE:
            self.values, self.scaling = scale_steps(self.values, scaling), None
        self.y = None if dataset.y is None else as_tensor(dataset.y)
        self.weight = None if dataset.weight is None else as_tensor(dataset.weight)

    def plan(self):
        """Return the indices of the sequences of every batch, a list of int arrays."""
        if self.rng is None:
            return self._cut(self._sorted(np.arange(len(self.lengths))))
        order = self.rng.permutation(len(self.lengths))
        pool = _BATCHES_PER_POOL * self.batch_size
        batches = []
        for start in range(0, len(order), pool):
            part = order[start : start + pool]
            batches += self._cut(self._sorted(part))
        return [batches[i] for i in self.rng.permutation(len(batches))]

    def _sorted(self, part):
        return part[np.argsort(self.lengths[part], kind="stable")]

    def _cut(self, order):
        bounds = cut_by_length(self.lengths[order], self.batch_size, self.max_batch_steps)
        return [order[start:stop] for start, stop in zip(bounds[:-1], bounds[1:], strict=True)]

    def cut(self, indices):
        """Return the batch of some sequences.

        Parameters
        ----------
        indices : int ndarray of shape (B,)
            Which sequences.

        Returns
        -------
        batch : tuple of dict and tensor
            What iteration yields.
        """
        lengths = self.lengths[indices]
        t = np.arange(lengths.max())
        steps = self.starts[indices, None] + np.minimum(t, lengths[:, None] - 1)  # (B, T), the last step repeated
        X = self.values.index_select(0, torch.from_numpy(steps.ravel()))
        if self.scaling is not None:
            X = self.scaling(X)
        inputs = {"X": X.unflatten(0, steps.shape), "lengths": torch.from_numpy(lengths)}
        targets = torch.from_numpy(indices)
        if self.dataset.per_step:
            valid = np.flatnonzero(t < lengths[:, None])
            inputs["rows"] = torch.from_numpy(valid)
            targets = torch.from_numpy(steps.ravel()[valid])
            if self.give_targets:
                inputs["y"] = self.y.index_select(0, torch.from_numpy(steps.ravel())).unflatten(0, steps.shape)
        if self.weight is not None:
            inputs["weight"] = self.weight.index_select(0, targets)
        return inputs, None if self.y is None else self.y.index_select(0, targets)

    def __len__(self):
        return len(cut_by_length(np.sort(self.lengths), self.batch_size, self.max_batch_steps)) - 1

    def __iter__(self):
        for indices in self.plan():
            yield self.cut(indices)


def as_dataset(X, y=None, per_step=False):
    """Return the dataset of what a net was handed directly.

    Parameters
    ----------
    X : Sequences
        Inputs.
    y : ndarray, default=None
        Targets, one for each sequence, or for each step end to end.
    per_step : bool, default=False
        Whether the rows of y are steps.

    Returns
    -------
    dataset : SequenceDataset
        Both together.
    """
    if not isinstance(X, Sequences):
        raise TypeError(
            f"X of a net must be a Sequences, got {type(X).__name__}. Pass check_sequences(X), or call the estimator."
        )
    return SequenceDataset(X, y, per_step=per_step)
