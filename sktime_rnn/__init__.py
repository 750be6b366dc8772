"""Recurrent neural networks as scikit-learn estimators."""

from sktime_rnn.sequences import Sequences, check_sequences

__all__ = ["Sequences", "check_sequences"]
