"""Encoder, pooling and head: one output per sequence or per step; and the forecast of steps ahead of a window."""

from sktime_rnn.networks._feedback import FeedbackNetwork, LabelHypotheses
from sktime_rnn.networks._forecast import ForecastNetwork
from sktime_rnn.networks._recurrent import (
    UNKNOWN,
    CustomNetwork,
    InputScaling,
    RecurrentNetwork,
    StepNetwork,
    StepReader,
    TokenEmbedding,
    pool_max,
    pool_mean,
    valid_steps,
)

__all__ = [
    "UNKNOWN",
    "CustomNetwork",
    "FeedbackNetwork",
    "ForecastNetwork",
    "InputScaling",
    "LabelHypotheses",
    "RecurrentNetwork",
    "StepNetwork",
    "StepReader",
    "TokenEmbedding",
    "pool_max",
    "pool_mean",
    "valid_steps",
]
