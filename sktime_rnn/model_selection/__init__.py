"""Splitters in the order of time, metrics and backtests of forecasts, scorers of labels per step and of sequences."""

from sktime_rnn.model_selection._backtest import backtest
from sktime_rnn.model_selection._metrics import interval_coverage, mase, naive2, owa, pinball, rmsse, smape
from sktime_rnn.model_selection._scorers import exact_match, neg_label_error_rate, per_step_accuracy, per_step_f1
from sktime_rnn.model_selection._splitters import ExpandingWindowSplitter, SlidingWindowSplitter

__all__ = [
    "ExpandingWindowSplitter",
    "SlidingWindowSplitter",
    "backtest",
    "exact_match",
    "interval_coverage",
    "mase",
    "naive2",
    "neg_label_error_rate",
    "owa",
    "per_step_accuracy",
    "per_step_f1",
    "pinball",
    "rmsse",
    "smape",
]
