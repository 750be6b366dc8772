"""One time step of a recurrent network, in the symbols of the paper that introduced it."""

from sktime_rnn.cells._base import NONLINEARITIES, Cell, StepCell, as_nonlinearity, init_recurrent_
from sktime_rnn.cells._names import CELLS, as_cell
from sktime_rnn.cells._torch import ElmanCell, GRUCell, LSTMCell

__all__ = [
    "CELLS",
    "NONLINEARITIES",
    "Cell",
    "ElmanCell",
    "GRUCell",
    "LSTMCell",
    "StepCell",
    "as_cell",
    "as_nonlinearity",
    "init_recurrent_",
]
