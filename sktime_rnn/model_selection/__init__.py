"""Splitters in the order of time, metrics and backtests of forecasts, and scorers of labels per step."""

from sktime_rnn.model_selection._backtest import backtest
from sktime_rnn.model_selection._metrics import interval_coverage, mase, naive2, owa, pinball, rmsse, smape
from sktime_rnn.model_selection._scorers import per_step_accuracy, per_step_f1
from sktime_rnn.model_selection._splitters import ExpandingWindowSplitter, SlidingWindowSplitter

__all__ = [
    "ExpandingWindowSplitter",
    "SlidingWindowSplitter",
    "backtest",
    "interval_coverage",
    "mase",
    "naive2",
    "owa",
    "per_step_accuracy",
    "per_step_f1",
    "pinball",
    "rmsse",
    "smape",
]
