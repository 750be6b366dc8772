"""Baselines: what a recurrent network has to beat, on the interface of the forecasters."""

from sktime_rnn.baselines._autoregressive import AutoregressiveForecaster
from sktime_rnn.baselines._dynamical import LinearDynamicalForecaster
from sktime_rnn.baselines._naive import NaiveForecaster

__all__ = ["AutoregressiveForecaster", "LinearDynamicalForecaster", "NaiveForecaster"]
