"""Recurrent neural networks as scikit-learn estimators."""

from sktime_rnn.classifier import RNNClassifier
from sktime_rnn.preprocessing import TimeDistributed
from sktime_rnn.regressor import RNNRegressor
from sktime_rnn.sequences import Sequences, check_sequences

__all__ = ["RNNClassifier", "RNNRegressor", "Sequences", "TimeDistributed", "check_sequences"]
