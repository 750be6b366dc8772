"""Samples of unequal length as one type, and the only door to it."""

from sktime_rnn.sequences._check import check_sequences, counts_columns
from sktime_rnn.sequences._container import Sequences
from sktime_rnn.sequences._targets import check_step_targets

__all__ = ["Sequences", "check_sequences", "check_step_targets", "counts_columns"]
