"""Recurrent neural networks as scikit-learn estimators."""

from sktime_rnn.baselines import AutoregressiveForecaster, LinearDynamicalForecaster, NaiveForecaster
from sktime_rnn.classifier import RNNClassifier
from sktime_rnn.displays import AttentionDisplay, ForecastDisplay
from sktime_rnn.forecaster import RNNForecaster
from sktime_rnn.model_selection import ExpandingWindowSplitter, SlidingWindowSplitter, backtest
from sktime_rnn.panel import from_long
from sktime_rnn.preprocessing import TimeDistributed
from sktime_rnn.regressor import RNNRegressor
from sktime_rnn.seq2seq import Seq2SeqTransformer
from sktime_rnn.sequences import Sequences, check_sequences

__all__ = [
    "AttentionDisplay",
    "AutoregressiveForecaster",
    "ExpandingWindowSplitter",
    "ForecastDisplay",
    "LinearDynamicalForecaster",
    "NaiveForecaster",
    "RNNClassifier",
    "RNNForecaster",
    "RNNRegressor",
    "Seq2SeqTransformer",
    "Sequences",
    "SlidingWindowSplitter",
    "TimeDistributed",
    "backtest",
    "check_sequences",
    "from_long",
]
