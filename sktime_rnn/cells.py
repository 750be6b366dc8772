"""One time step of a recurrent network, in the symbols of the paper that introduced it.

Shapes: B batch, F input features, H hidden units, G gates.
"""

import copy
from abc import ABC, abstractmethod

import torch
from torch import nn
from torch.nn.functional import linear


def init_recurrent_(weight_ih, weight_hh, bias_ih, bias_hh, *, forget_gate=None, generator=None):
    """Draw the weights of one recurrent layer in place, gate by gate.

    Input weights are uniform within sqrt(6 / (F + H)) (Glorot and Bengio 2010), recurrent weights are random
    orthogonal matrices (Saxe, McClelland and Ganguli 2014), biases are 0 and that of the forget gate 1
    (Gers, Schmidhuber and Cummins 2000; Jozefowicz, Zaremba and Sutskever 2015).

    Parameters
    ----------
    weight_ih : tensor of shape (G * H, F)
        Weights of the input.
    weight_hh : tensor of shape (G * H, H)
        Weights of the state.
    bias_ih, bias_hh : tensor of shape (G * H,) or None
        Biases; the forget gate's 1 goes to ``bias_ih``.
    forget_gate : int, default=None
        Position of the forget gate among the gates, where the cell has one.
    generator : torch.Generator, default=None
        Source of the random numbers.
    """
    hidden_size = weight_hh.shape[1]
    with torch.no_grad():
        for gate in weight_ih.split(hidden_size):
            nn.init.xavier_uniform_(gate, generator=generator)
        for gate in weight_hh.split(hidden_size):
            nn.init.orthogonal_(gate, generator=generator)
        if bias_ih is not None:
            bias_ih.zero_()
            bias_hh.zero_()
            if forget_gate is not None:
                bias_ih.split(hidden_size)[forget_gate].fill_(1.0)


class Cell(nn.Module, ABC):
    """One time step: ``forward(x_t, state) -> state``, where ``state[0]`` is the output.

    A cell is made in two steps. The constructor takes the options of the equations and can be handed to an
    estimator, ``RNNClassifier(cell=GRUCell())``; :meth:`build` then returns a copy with weights for given sizes,
    named as torch names them: ``weight_ih`` (G * H, F), ``weight_hh`` (G * H, H), ``bias_ih``, ``bias_hh`` (G * H,).

    Subclasses set ``n_gates``, ``n_states`` and, where they have one, ``forget_gate``, and write :meth:`forward`.
    Where torch has a fused kernel for the same equations, ``kernel`` names it.
    """

    n_gates = 1
    n_states = 1
    forget_gate = None

    @property
    def kernel(self):
        """Name of the torch module that computes the same equations over a whole sequence, or None."""
        return None

    def build(self, input_size, hidden_size, bias=True):
        """Return a copy of the cell with uninitialised weights.

        Parameters
        ----------
        input_size : int
            Number F of features of a step.
        hidden_size : int
            Number H of hidden units.
        bias : bool, default=True
            Whether the equations have bias terms.

        Returns
        -------
        cell : Cell
            The cell with weights; draw them by :meth:`reset_parameters`.
        """
        cell = copy.deepcopy(self)
        rows = self.n_gates * hidden_size
        cell.hidden_size = hidden_size
        cell.weight_ih = nn.Parameter(torch.empty(rows, input_size))
        cell.weight_hh = nn.Parameter(torch.empty(rows, hidden_size))
        for name in ("bias_ih", "bias_hh"):
            cell.register_parameter(name, nn.Parameter(torch.empty(rows)) if bias else None)
        return cell

    def reset_parameters(self, generator=None):
        """Draw new weights, see :func:`init_recurrent_`.

        Parameters
        ----------
        generator : torch.Generator, default=None
            Source of the random numbers.
        """
        init_recurrent_(
            self.weight_ih,
            self.weight_hh,
            self.bias_ih,
            self.bias_hh,
            forget_gate=self.forget_gate,
            generator=generator,
        )

    def initial_state(self, batch_size, like):
        """Return the state before the first step: zeros.

        Parameters
        ----------
        batch_size : int
            Number B of sequences.
        like : tensor
            Gives the dtype and the device.

        Returns
        -------
        state : tuple of tensors of shape (B, H)
            ``n_states`` of them.
        """
        return tuple(like.new_zeros(batch_size, self.hidden_size) for _ in range(self.n_states))

    @abstractmethod
    def forward(self, x_t, state):
        """Take one step.

        Parameters
        ----------
        x_t : tensor of shape (B, F)
            The step's input.
        state : tuple of tensors of shape (B, H)
            The state after the step before.

        Returns
        -------
        state : tuple of tensors of shape (B, H)
            The state after this step; the first is the output.
        """


NONLINEARITIES = {"tanh": torch.tanh, "relu": torch.relu, "sigmoid": torch.sigmoid, "identity": lambda a: a}


class ElmanCell(Cell):
    r"""Simple recurrent cell (Elman 1990).

    .. math:: h_t = \phi(W_{ih} x_t + b_{ih} + W_{hh} h_{t-1} + b_{hh})

    with input x_t (F,), state h_t (H,), weights W_ih (H, F), W_hh (H, H) and biases (H,).

    Parameters
    ----------
    nonlinearity : {"tanh", "relu", "sigmoid", "identity"}, default="tanh"
        The function phi; torch has a kernel for the first two.

    References
    ----------
    J. L. Elman (1990). Finding structure in time. Cognitive Science 14, 179-211.
    """

    def __init__(self, nonlinearity="tanh"):
        super().__init__()
        if nonlinearity not in NONLINEARITIES:
            raise ValueError(
                f"nonlinearity must be one of {sorted(NONLINEARITIES)}, got {nonlinearity!r}. Choose one of them."
            )
        self.nonlinearity = nonlinearity

    @property
    def kernel(self):
        """Name of the torch module with the same equations, or None."""
        return "RNN" if self.nonlinearity in ("tanh", "relu") else None

    def forward(self, x_t, state):
        """Return ``(h_t,)``."""
        (h,) = state
        a = linear(x_t, self.weight_ih, self.bias_ih) + linear(h, self.weight_hh, self.bias_hh)
        return (NONLINEARITIES[self.nonlinearity](a),)


class LSTMCell(Cell):
    r"""Long short-term memory with a forget gate.

    .. math::
        i_t &= \sigma(W_{ii} x_t + b_{ii} + W_{hi} h_{t-1} + b_{hi}) \\
        f_t &= \sigma(W_{if} x_t + b_{if} + W_{hf} h_{t-1} + b_{hf}) \\
        g_t &= \tanh(W_{ig} x_t + b_{ig} + W_{hg} h_{t-1} + b_{hg}) \\
        o_t &= \sigma(W_{io} x_t + b_{io} + W_{ho} h_{t-1} + b_{ho}) \\
        c_t &= f_t \odot c_{t-1} + i_t \odot g_t \\
        h_t &= o_t \odot \tanh(c_t)

    with input x_t (F,), states h_t, c_t (H,) and gates stacked in the order i, f, g, o.

    References
    ----------
    S. Hochreiter and J. Schmidhuber (1997). Long short-term memory. Neural Computation 9, 1735-1780.
    F. A. Gers, J. Schmidhuber and F. Cummins (2000). Learning to forget. Neural Computation 12, 2451-2471.
    """

    n_gates = 4
    n_states = 2
    forget_gate = 1

    @property
    def kernel(self):
        """Name of the torch module with the same equations."""
        return "LSTM"

    def forward(self, x_t, state):
        """Return ``(h_t, c_t)``."""
        h, c = state
        a = linear(x_t, self.weight_ih, self.bias_ih) + linear(h, self.weight_hh, self.bias_hh)
        i, f, g, o = a.chunk(4, dim=1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c


class GRUCell(Cell):
    r"""Gated recurrent unit, reset gate applied after the product.

    .. math::
        r_t &= \sigma(W_{ir} x_t + b_{ir} + W_{hr} h_{t-1} + b_{hr}) \\
        z_t &= \sigma(W_{iz} x_t + b_{iz} + W_{hz} h_{t-1} + b_{hz}) \\
        n_t &= \tanh(W_{in} x_t + b_{in} + r_t \odot (W_{hn} h_{t-1} + b_{hn})) \\
        h_t &= (1 - z_t) \odot n_t + z_t \odot h_{t-1}

    with input x_t (F,), state h_t (H,) and gates stacked in the order r, z, n.

    References
    ----------
    K. Cho et al. (2014). Learning phrase representations using RNN encoder-decoder for statistical machine
    translation. EMNLP.
    """

    n_gates = 3

    @property
    def kernel(self):
        """Name of the torch module with the same equations."""
        return "GRU"

    def forward(self, x_t, state):
        """Return ``(h_t,)``."""
        (h,) = state
        i_r, i_z, i_n = linear(x_t, self.weight_ih, self.bias_ih).chunk(3, dim=1)
        h_r, h_z, h_n = linear(h, self.weight_hh, self.bias_hh).chunk(3, dim=1)
        z = torch.sigmoid(i_z + h_z)
        n = torch.tanh(i_n + torch.sigmoid(i_r + h_r) * h_n)
        return ((1 - z) * n + z * h,)


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
