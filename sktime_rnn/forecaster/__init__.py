"""RNNForecaster: one network over the windows of one or many series."""

from sktime_rnn.forecaster._forecaster import RNNForecaster

__all__ = ["RNNForecaster"]
