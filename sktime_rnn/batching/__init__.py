"""Batches: of sequences, of pairs of sequences, and of windows of time series."""

from sktime_rnn.batching._pairs import PairDataset, PairIterator, Targets
from sktime_rnn.batching._sequences import (
    BatchIterator,
    SequenceDataset,
    as_dataset,
    as_tensor,
    cut_by_length,
    flat_steps,
    scale_steps,
    step_statistics,
    with_mean_weight_one,
)
from sktime_rnn.batching._windows import WindowDataset, WindowFeatures, WindowIterator

__all__ = [
    "BatchIterator",
    "PairDataset",
    "PairIterator",
    "SequenceDataset",
    "Targets",
    "WindowDataset",
    "WindowFeatures",
    "WindowIterator",
    "as_dataset",
    "as_tensor",
    "cut_by_length",
    "flat_steps",
    "scale_steps",
    "step_statistics",
    "with_mean_weight_one",
]
