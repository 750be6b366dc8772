"""Names of cells."""

from sktime_rnn.cells._base import Cell
from sktime_rnn.cells._torch import ElmanCell, GRUCell, LSTMCell

CELLS = {"lstm": LSTMCell, "gru": GRUCell, "rnn": ElmanCell}


def as_cell(cell, nonlinearity="tanh"):
    """Return the cell that a name, a class or an instance stands for.

    Parameters
    ----------
    cell : {"lstm", "gru", "rnn"}, Cell class or Cell instance
        What the user asked for.
    nonlinearity : {"tanh", "relu", "sigmoid", "identity"}, default="tanh"
        Handed to ``"rnn"``; every other cell has nonlinearities of its own.

    Returns
    -------
    cell : Cell
        A cell without weights.

    Raises
    ------
    ValueError
        For an unknown name, or a nonlinearity for a cell that has no such option.
    TypeError
        For anything that is neither a name nor a cell.
    """
    if cell == "rnn":
        return ElmanCell(nonlinearity)
    if nonlinearity != "tanh":
        raise ValueError(
            f"nonlinearity={nonlinearity!r} needs cell='rnn', got cell={cell!r}, whose nonlinearities are part of "
            "its equations. Leave nonlinearity at 'tanh' or set cell='rnn'."
        )
    if isinstance(cell, str):
        if cell not in CELLS:
            raise ValueError(f"cell must be one of {sorted(CELLS)} or a Cell, got {cell!r}. Choose one of them.")
        return CELLS[cell]()
    if isinstance(cell, type) and issubclass(cell, Cell):
        return cell()
    if isinstance(cell, Cell):
        return cell
    raise TypeError(f"cell must be a name, a Cell class or a Cell, got {type(cell).__name__}. Pass cell='lstm', say.")
