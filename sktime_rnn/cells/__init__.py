"""One time step of a recurrent network, in the symbols of the paper that introduced it."""

from sktime_rnn.cells._base import NONLINEARITIES, Cell, StepCell, as_nonlinearity, as_tuple, init_recurrent_, prepared
from sktime_rnn.cells._deep import DeepCell, SkipCell
from sktime_rnn.cells._gru_d import GRUDCell
from sktime_rnn.cells._jordan import ElmanJordanCell, JordanCell
from sktime_rnn.cells._memory import (
    ClockworkCell,
    FeedForwardCell,
    IRNNCell,
    LeakyCell,
    SelfConnectedCell,
    TraceCell,
)
from sktime_rnn.cells._minimal import MGUCell, MinGRUCell, MinLSTMCell, ScanCell
from sktime_rnn.cells._names import CELLS, as_cell
from sktime_rnn.cells._regularized import LayerNormCell, LockedDropoutCell, ZoneoutCell
from sktime_rnn.cells._torch import ElmanCell, GRUCell, LSTMCell

__all__ = [
    "CELLS",
    "NONLINEARITIES",
    "Cell",
    "ClockworkCell",
    "DeepCell",
    "ElmanCell",
    "ElmanJordanCell",
    "FeedForwardCell",
    "GRUCell",
    "GRUDCell",
    "IRNNCell",
    "JordanCell",
    "LSTMCell",
    "LayerNormCell",
    "LockedDropoutCell",
    "LeakyCell",
    "MGUCell",
    "MinGRUCell",
    "MinLSTMCell",
    "ScanCell",
    "SelfConnectedCell",
    "SkipCell",
    "StepCell",
    "TraceCell",
    "ZoneoutCell",
    "as_cell",
    "as_nonlinearity",
    "as_tuple",
    "init_recurrent_",
    "prepared",
]
