"""Samples of unequal length as one type, and the only door to it."""

from sktime_rnn.sequences._check import check_sequences, counts_columns
from sktime_rnn.sequences._container import Sequences
from sktime_rnn.sequences._targets import are_rows, check_step_targets, is_nested

__all__ = ["Sequences", "are_rows", "check_sequences", "check_step_targets", "counts_columns", "is_nested"]
