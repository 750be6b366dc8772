"""Names of cells."""

import inspect

from sktime_rnn.cells._base import Cell
from sktime_rnn.cells._gru_d import GRUDCell
from sktime_rnn.cells._jordan import ElmanJordanCell, JordanCell
from sktime_rnn.cells._memory import ClockworkCell, FeedForwardCell, IRNNCell, LeakyCell, TraceCell
from sktime_rnn.cells._minimal import MGUCell, MinGRUCell, MinLSTMCell
from sktime_rnn.cells._torch import ElmanCell, GRUCell, LSTMCell

CELLS = {
    "lstm": LSTMCell,
    "gru": GRUCell,
    "rnn": ElmanCell,
    "elman": ElmanCell,
    "jordan": JordanCell,
    "elman-jordan": ElmanJordanCell,
    "mgu": MGUCell,
    "mingru": MinGRUCell,
    "minlstm": MinLSTMCell,
    "leaky": LeakyCell,
    "clockwork": ClockworkCell,
    "trace": TraceCell,
    "irnn": IRNNCell,
    "grud": GRUDCell,
}


def _has_nonlinearity(cls):
    return "nonlinearity" in inspect.signature(cls).parameters


def as_cell(cell, nonlinearity="tanh"):
    """Return the cell that a name, a class or an instance stands for.

    Parameters
    ----------
    cell : str, None, Cell class or Cell instance
        What the user asked for: a name of ``CELLS``; None is :class:`FeedForwardCell`, which remembers nothing.
    nonlinearity : {"tanh", "relu", "sigmoid", "identity"} or callable, default="tanh"
        Handed to cells asked for by name that have such an option.

    Returns
    -------
    cell : Cell
        A cell without weights.

    Raises
    ------
    ValueError
        For an unknown name, or a nonlinearity for a cell that has no such option or brings its own.
    TypeError
        For anything that is neither a name nor a cell.
    """
    if cell is None or isinstance(cell, str):
        if cell is not None and cell not in CELLS:
            raise ValueError(f"cell must be one of {sorted(CELLS)}, None or a Cell, got {cell!r}. Choose one of them.")
        cls = FeedForwardCell if cell is None else CELLS[cell]
        if nonlinearity == "tanh":
            return cls()
        if not _has_nonlinearity(cls):
            having = sorted(name for name, cls in CELLS.items() if _has_nonlinearity(cls))
            raise ValueError(
                f"nonlinearity={nonlinearity!r} needs None or one of {having} as cell, got cell={cell!r}. Set cell to "
                "one of them or leave nonlinearity at 'tanh'; LSTMCell(input_nonlinearity=...) has its own."
            )
        return cls(nonlinearity=nonlinearity)
    if nonlinearity != "tanh":
        raise ValueError(
            f"nonlinearity={nonlinearity!r} needs a cell asked for by name, got cell={cell!r}, which has its own. "
            "Leave nonlinearity at 'tanh', and give it to the cell."
        )
    if isinstance(cell, Cell):
        return cell
    if not (isinstance(cell, type) and issubclass(cell, Cell)):
        found = cell.__name__ if isinstance(cell, type) else type(cell).__name__
        raise TypeError(f"cell must be a name, a Cell class or a Cell, got {found}. Pass cell='lstm', say.")
    if inspect.isabstract(cell) or any(map(_is_needed, inspect.signature(cell).parameters.values())):
        raise TypeError(
            f"cell must be a Cell, or a class that makes one without arguments, got the class {cell.__name__}. Pass "
            f"{cell.__name__}(...), or cell='lstm', say."
        )
    return cell()


def _is_needed(parameter):
    return parameter.default is parameter.empty and parameter.kind not in (
        parameter.VAR_POSITIONAL,
        parameter.VAR_KEYWORD,
    )
