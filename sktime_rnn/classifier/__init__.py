"""RNNClassifier: labels for sequences, or for every step of them."""

from sktime_rnn.classifier._estimator import RNNClassifier

__all__ = ["RNNClassifier"]
