"""Batches of pairs of sequences, of similar length on both sides.

Shapes: B pairs in a batch, T steps of its longest input, S rows of its longest output, N rows in all.
"""

from dataclasses import dataclass

import numpy as np
import torch
from skorch.dataset import Dataset

from sktime_rnn.batching._sequences import BatchIterator, SequenceDataset, as_tensor, flat_steps, kept_by_weight


@dataclass(frozen=True)
class Targets:
    """Outputs, and what the decoder reads before each of their steps.

    Attributes
    ----------
    sequences : Sequences
        Codes (N,), or values (N, K): a row for each step and, where outputs end by themselves, one for the end: its
        code, or NaN.
    begin : int or None
        The code before the first step; None for values, where NaN stand there.
    end : {"stop", "predict"} or None
        What the last column of targets tells of the end of values: 1 at the end, or the logarithm of the number of
        rows. None for no such column.
    aligned : bool
        Whether a whole output is one target, as in CTC.
    """

    sequences: object
    begin: int | None = None
    end: str | None = None
    aligned: bool = False

    def take(self, indices):
        """Return those of some pairs."""
        return Targets(self.sequences[indices], self.begin, self.end, self.aligned)

    def rows(self):
        """Return the targets of all rows, (N,) or (N, K) or, with ends, (N, K + 1)."""
        values = self.sequences.values
        if self.end is None:
            return values
        lengths = self.sequences.lengths
        column = np.zeros(len(values)) if self.end == "stop" else np.repeat(np.log(lengths), lengths)
        if self.end == "stop":
            column[self.sequences.offsets[1:] - 1] = 1.0
        return np.column_stack([values, column])


class PairDataset(Dataset):
    """Pairs of sequences, as skorch wants them.

    Parameters
    ----------
    X : Sequences
        Inputs: values or codes.
    targets : Targets
        Outputs.
    weight : ndarray of shape (n_samples,), default=None
        Weight of each pair.
    groups : ndarray of shape (n_samples,), default=None
        Pairs that belong together.
    """

    per_step = False

    def __init__(self, X, targets, weight=None, groups=None):
        super().__init__(X, None, length=len(X))
        self.targets = targets
        self.weight = weight
        self.groups = groups

    def take(self, indices):
        """Return the dataset of some of the pairs.

        Parameters
        ----------
        indices : int ndarray of shape (n,)
            Which pairs, in the order wanted.

        Returns
        -------
        dataset : PairDataset
            Theirs alone.
        """
        weight, groups = (None if array is None else array[indices] for array in (self.weight, self.groups))
        return PairDataset(self.X[indices], self.targets.take(indices), weight, groups)

    def weighed(self):
        """Return the dataset without pairs of weight 0, its weights divided by their mean over all rows."""
        if self.weight is None:
            return self
        kept = kept_by_weight(self.weight)
        dataset = self.take(kept) if len(kept) < len(self) else self
        scaled = dataset.weight / np.max(dataset.weight)
        n_rows = None if self.targets.aligned else dataset.targets.sequences.lengths
        return PairDataset(dataset.X, dataset.targets, scaled / np.average(scaled, weights=n_rows), dataset.groups)


class PairIterator(BatchIterator):
    """Iterate over padded batches of pairs.

    Pairs of one pool are sorted by the length of their inputs, and by that of their outputs where those are equal; the
    steps of a batch are counted on both sides.

    Parameters
    ----------
    dataset : PairDataset
        What to iterate over.
    batch_size, max_batch_steps, rng, scaling
        As in :class:`BatchIterator`.

    Yields
    ------
    inputs : dict
        ``X`` and ``lengths`` as in :class:`BatchIterator`, ``shapes`` (B, 2) of grids, ``y``, what the decoder reads:
        codes (B, S) or values (B, S, K), which begin with ``begin`` or NaN, and ``y_lengths`` (B,), their numbers of
        rows. ``valid`` are the places of those rows in (B * S,). Of aligned outputs, ``y`` (B, S) are the codes.
    y : tensor
        Targets of the valid rows; the lengths of aligned outputs.
    """

    def __init__(self, dataset, batch_size=64, max_batch_steps=None, rng=None, scaling=None):
        super().__init__(
            SequenceDataset(dataset.X, weight=dataset.weight), batch_size, max_batch_steps, rng=rng, scaling=scaling
        )
        self.targets = dataset.targets
        self.outputs = self.targets.sequences
        self.output_lengths = self.outputs.lengths
        self.output_values = as_tensor(self.outputs.values)
        self.output_rows = as_tensor(np.ascontiguousarray(self.targets.rows()))

    def _sorted(self, part):
        return part[np.lexsort((self.output_lengths[part], self.lengths[part]))]

    def _cut(self, order):
        """Cut pairs into batches; only those that would hold too many steps are looked at pair by pair."""
        batches = [order[start : start + self.batch_size] for start in range(0, len(order), self.batch_size)]
        if self.max_batch_steps is None:
            return batches
        starts = np.arange(0, len(order), self.batch_size)
        longest = [np.maximum.reduceat(lengths[order], starts) for lengths in (self.lengths, self.output_lengths)]
        sizes = sum(longest) * np.fromiter(map(len, batches), dtype=np.int64, count=len(batches))
        fitting = sizes <= self.max_batch_steps
        return [part for i, batch in enumerate(batches) for part in ([batch] if fitting[i] else self._split(batch))]

    def _split(self, batch):
        """Cut a batch where the next pair would make it too large."""
        parts, start, longest = [], 0, (0, 0)
        for i, size in enumerate(zip(self.lengths[batch].tolist(), self.output_lengths[batch].tolist(), strict=True)):
            longest = max(longest[0], size[0]), max(longest[1], size[1])
            if i > start and (i + 1 - start) * sum(longest) > self.max_batch_steps:
                parts.append(batch[start:i])
                start, longest = i, size
        return [*parts, batch[start:]]

    def __len__(self):
        return len(self._cut(self._sorted(np.arange(len(self.lengths)))))

    def cut(self, indices):
        """Return the batch of some pairs.

        Parameters
        ----------
        indices : int ndarray of shape (B,)
            Which pairs.

        Returns
        -------
        batch : tuple of dict and tensor
            What iteration yields.
        """
        inputs, _ = super().cut(indices)
        inputs.pop("weight", None)
        if self.dataset.X.shapes is not None:
            inputs["shapes"] = torch.from_numpy(self.dataset.X.shapes[indices])
        lengths = self.output_lengths[indices]
        inputs["y_lengths"] = torch.from_numpy(lengths)
        if self.targets.aligned:
            inputs["y"] = self._padded(indices, lengths, 0)
            if self.weight is not None:
                inputs["weight"] = self.weight[torch.from_numpy(indices)]
            return inputs, torch.from_numpy(lengths)
        inputs["y"] = self._padded(indices, lengths, 1)
        inputs["valid"] = torch.from_numpy(np.flatnonzero(np.arange(lengths.max()) < lengths[:, None]))
        if self.weight is not None:
            inputs["weight"] = self.weight[torch.from_numpy(np.repeat(indices, lengths))]
        places = torch.from_numpy(flat_steps(self.outputs.offsets, indices))
        return inputs, self.output_rows.index_select(0, places)

    def _padded(self, indices, lengths, shift):
        """Return outputs (B, S, ...), moved to later steps; what comes before them is ``begin``, or NaN."""
        t = np.arange(lengths.max()) - shift
        places = self.outputs.offsets[indices, None] + np.clip(t, 0, np.maximum(lengths - 1, 0)[:, None])
        places = np.minimum(places, len(self.output_values) - 1)  # an empty output may stand last
        y = self.output_values.index_select(0, torch.from_numpy(places.ravel())).unflatten(0, places.shape)
        if shift and y.shape[1]:
            y[:, 0] = torch.nan if self.targets.begin is None else self.targets.begin
        return y
