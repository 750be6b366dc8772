"""The cells for which torch has kernels, Elman, LSTM and GRU, and the other forms in which they were published.

Shapes: B batch, F input features, H outputs, M units of memory (H where nothing is projected), G gates.
"""

import inspect
from numbers import Integral

import torch
from torch import nn
from torch.nn.functional import linear

from sktime_rnn.cells._base import StepCell, as_nonlinearity, init_recurrent_, lerp


def steps_as(cell, cls):
    """Return whether a cell has the equations and first weights of a class: a subclass may bring methods of its own."""
    above = type(cell).__mro__[: type(cell).__mro__.index(cls)]
    members = [member for kind in above for member in vars(kind).items()]
    own = {name for name, value in members if inspect.isroutine(value) or isinstance(value, property)}
    return own <= {"__init__", "__repr__"}


class ElmanCell(StepCell):
    r"""Simple recurrent cell (Elman 1990).

    .. math:: h_t = \phi(W_{ih} x_t + b_{ih} + W_{hh} h_{t-1} + b_{hh})

    with input x_t (F,), state h_t (H,), weights W_ih (H, F), W_hh (H, H) and biases (H,).

    Parameters
    ----------
    nonlinearity : {"tanh", "relu", "sigmoid", "identity"} or callable, default="tanh"
        The function phi; torch has a kernel for the first two.
    recurrent_init : {"orthogonal", "identity"} or float, default="orthogonal"
        Recurrent weights at the start; a number is a spectral radius.

    References
    ----------
    J. L. Elman (1990). Finding structure in time. Cognitive Science 14, 179-211.
    """

    def __init__(self, nonlinearity="tanh", *, recurrent_init="orthogonal"):
        super().__init__(recurrent_init)
        self.phi = as_nonlinearity(nonlinearity)
        self.nonlinearity = nonlinearity

    @property
    def kernel(self):
        """Name of the torch module with the same equations, or None."""
        return "RNN" if self.nonlinearity in ("tanh", "relu") and steps_as(self, ElmanCell) else None

    def step(self, a_t, state):
        """Return ``(h_t,)``."""
        return (self.phi(a_t + self.recurrence(state[0])),)


class LSTMCell(StepCell):
    r"""Long short-term memory.

    .. math::
        i_t &= \sigma(W_{ii} x_t + b_{ii} + W_{hi} h_{t-1} + b_{hi}) \\
        f_t &= \sigma(W_{if} x_t + b_{if} + W_{hf} h_{t-1} + b_{hf}) \\
        g_t &= \phi(W_{ig} x_t + b_{ig} + W_{hg} h_{t-1} + b_{hg}) \\
        o_t &= \sigma(W_{io} x_t + b_{io} + W_{ho} h_{t-1} + b_{ho}) \\
        c_t &= f_t \odot c_{t-1} + i_t \odot g_t \\
        h_t &= o_t \odot \psi(c_t)

    with input x_t (F,), states h_t, c_t (H,), phi and psi the hyperbolic tangent, and gates stacked in the order
    i, f, g, o. The options give the other published forms, alone or together.

    Parameters
    ----------
    forget_gate : bool, default=True
        Without it the memory only adds up, ``c_t = c_{t-1} + i_t * g_t``: the constant error carousel (Hochreiter and
        Schmidhuber 1997). The gates are then i, g, o.
    peepholes : bool, default=False
        Let the gates see the memory (Gers, Schraudolph and Schmidhuber 2002): ``w_ci * c_{t-1}``, ``w_cf * c_{t-1}``
        and ``w_co * c_t`` are added within i, f and o, with weights ``weight_ci``, ``weight_cf``, ``weight_co`` (M,).
    coupled : bool, default=False
        Write as much as is forgotten, ``i_t = 1 - f_t`` (Greff et al. 2017). The gates are then f, g, o.
    memory_size : int, default=None
        Number M of units of c_t, where it is not H. The output is then their projection,
        ``h_t = W_hr (o_t * psi(c_t))``, with ``weight_hr`` (H, M) and all other weights (G * M, ...) (Sak, Senior and
        Beaufays 2014).
    input_nonlinearity : {"tanh", "relu", "sigmoid", "identity"} or callable, default="tanh"
        The function phi; ``"sigmoid"`` is the form of Goodfellow, Bengio and Courville (2016).
    output_nonlinearity : {"tanh", "relu", "sigmoid", "identity"} or callable, default="tanh"
        The function psi.
    recurrent_init : {"orthogonal", "identity"} or float, default="orthogonal"
        Recurrent weights at the start; a number is a spectral radius. The last two need M = H.

    References
    ----------
    S. Hochreiter and J. Schmidhuber (1997). Long short-term memory. Neural Computation 9, 1735-1780.
    F. A. Gers, J. Schmidhuber and F. Cummins (2000). Learning to forget. Neural Computation 12, 2451-2471.
    F. A. Gers, N. N. Schraudolph and J. Schmidhuber (2002). Learning precise timing with LSTM recurrent networks.
    Journal of Machine Learning Research 3, 115-143.
    H. Sak, A. Senior and F. Beaufays (2014). Long short-term memory recurrent neural network architectures for large
    scale acoustic modeling. Interspeech.
    I. Goodfellow, Y. Bengio and A. Courville (2016). Deep Learning, section 10.10. MIT Press.
    K. Greff et al. (2017). LSTM: A search space odyssey. IEEE Transactions on Neural Networks and Learning Systems 28,
    2222-2232.
    """

    n_states = 2

    def __init__(
        self,
        *,
        forget_gate=True,
        peepholes=False,
        coupled=False,
        memory_size=None,
        input_nonlinearity="tanh",
        output_nonlinearity="tanh",
        recurrent_init="orthogonal",
    ):
        super().__init__(recurrent_init)
        if coupled and not forget_gate:
            raise ValueError(
                "coupled=True needs forget_gate=True, got forget_gate=False: the input gate is 1 minus the forget "
                "gate. Set forget_gate=True or coupled=False."
            )
        whole = isinstance(memory_size, Integral) and not isinstance(memory_size, bool)
        if memory_size is not None and not (whole and memory_size >= 1):
            raise ValueError(
                f"memory_size must be None or an int of at least 1, got {memory_size!r}. Set it to None for as many "
                "units of memory as outputs."
            )
        self.forget_gate = forget_gate
        self.peepholes = peepholes
        self.coupled = coupled
        self.memory_size = memory_size
        self.input_nonlinearity = input_nonlinearity
        self.output_nonlinearity = output_nonlinearity
        self.phi = as_nonlinearity(input_nonlinearity, "input_nonlinearity")
        self.psi = as_nonlinearity(output_nonlinearity, "output_nonlinearity")

    @property
    def gates(self):
        """Letters of the gates in the order in which their weights are stacked."""
        return "fgo" if self.coupled else "ifgo" if self.forget_gate else "igo"

    @property
    def n_gates(self):
        """Number of gates."""
        return len(self.gates)

    @property
    def forget_gate_position(self):
        """Place of the forget gate among the gates, or None."""
        return self.gates.index("f") if self.forget_gate else None

    @property
    def kernel(self):
        """Name of the torch module with the same equations, or None."""
        plain = self.gates == "ifgo" and not self.peepholes and self.memory_size is None
        tanh = self.phi is torch.tanh and self.psi is torch.tanh
        return "LSTM" if plain and tanh and steps_as(self, LSTMCell) else None

    def state_sizes(self, hidden_size):
        """Return the widths of h_t and c_t.

        Parameters
        ----------
        hidden_size : int
            Number H of outputs.

        Returns
        -------
        sizes : tuple of int
            H and M.
        """
        return hidden_size, hidden_size if self.memory_size is None else self.memory_size

    def build(self, input_size, hidden_size, bias=True):
        """Return a copy of the cell with uninitialised weights, see :meth:`Cell.build`.

        Parameters
        ----------
        input_size : int
            Number F of features of a step.
        hidden_size : int
            Number H of outputs.
        bias : bool, default=True
            Whether the equations have bias terms.

        Returns
        -------
        cell : LSTMCell
            The cell with weights.
        """
        _, memory_size = self.state_sizes(hidden_size)
        cell = super().build(input_size, memory_size, bias)
        cell.hidden_size = hidden_size
        cell.weight_hh = nn.Parameter(torch.empty(self.n_gates * memory_size, hidden_size))
        for gate in "ifo":
            sees = self.peepholes and gate in self.gates
            cell.register_parameter(f"weight_c{gate}", nn.Parameter(torch.empty(memory_size)) if sees else None)
        projects = self.memory_size is not None
        cell.register_parameter("weight_hr", nn.Parameter(torch.empty(hidden_size, memory_size)) if projects else None)
        return cell

    def reset_parameters(self, generator=None):
        """Draw new weights, see :func:`init_recurrent_`; the gates see no memory yet, W_hr is orthogonal.

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
            forget_gate_position=self.forget_gate_position,
            recurrent_init=self.recurrent_init,
            gate_size=self.state_sizes(self.hidden_size)[1],
            generator=generator,
        )
        for weight in (self.weight_ci, self.weight_cf, self.weight_co):
            if weight is not None:
                nn.init.zeros_(weight)
        if self.weight_hr is not None:
            nn.init.orthogonal_(self.weight_hr, generator=generator)

    def step(self, a_t, state):
        """Return ``(h_t, c_t)``."""
        h, c = state
        a = dict(zip(self.gates, (a_t + self.recurrence(h)).chunk(self.n_gates, dim=1), strict=True))
        c = self._remember(a, c)
        h = _gate(a["o"], self.weight_co, c) * self.psi(c)
        return h if self.weight_hr is None else linear(h, self.weight_hr), c

    def _remember(self, a, c):
        """Return c_t, of what the gates were given and c_{t-1}."""
        g = self.phi(a["g"])
        if not self.forget_gate:
            return c + _gate(a["i"], self.weight_ci, c) * g
        f = _gate(a["f"], self.weight_cf, c)
        i = 1 - f if self.coupled else _gate(a["i"], self.weight_ci, c)
        return f * c + i * g


def _gate(a, weight, c):
    """Return a gate: it sees the memory c where it has a weight for it."""
    return torch.sigmoid(a if weight is None else a + weight * c)


class GRUCell(StepCell):
    r"""Gated recurrent unit.

    .. math::
        r_t &= \sigma(W_{ir} x_t + b_{ir} + W_{hr} h_{t-1} + b_{hr}) \\
        z_t &= \sigma(W_{iz} x_t + b_{iz} + W_{hz} h_{t-1} + b_{hz}) \\
        n_t &= \phi(W_{in} x_t + b_{in} + r_t \odot (W_{hn} h_{t-1} + b_{hn})) \\
        h_t &= (1 - z_t) \odot n_t + z_t \odot h_{t-1}

    with input x_t (F,), state h_t (H,) and gates stacked in the order r, z, n.

    Parameters
    ----------
    reset_after : bool, default=True
        Whether the reset gate comes after the product with the weights, as above and in torch. Before it,
        ``n_t = phi(W_in x_t + b_in + W_hn (r_t * h_{t-1}) + b_hn)``, is the form of the paper.
    nonlinearity : {"tanh", "relu", "sigmoid", "identity"} or callable, default="tanh"
        The function phi.
    recurrent_init : {"orthogonal", "identity"} or float, default="orthogonal"
        Recurrent weights at the start; a number is a spectral radius.

    References
    ----------
    K. Cho et al. (2014). Learning phrase representations using RNN encoder-decoder for statistical machine
    translation. EMNLP.
    """

    n_gates = 3

    def __init__(self, *, reset_after=True, nonlinearity="tanh", recurrent_init="orthogonal"):
        super().__init__(recurrent_init)
        self.phi = as_nonlinearity(nonlinearity)
        self.reset_after = reset_after
        self.nonlinearity = nonlinearity

    @property
    def kernel(self):
        """Name of the torch module with the same equations, or None."""
        return "GRU" if self.reset_after and self.phi is torch.tanh and steps_as(self, GRUCell) else None

    def step(self, a_t, state):
        """Return ``(h_t,)``."""
        (h,) = state
        i_r, i_z, i_n = a_t.chunk(3, dim=1)
        if self.reset_after:
            h_r, h_z, h_n = self.recurrence(h).chunk(3, dim=1)
            n = self.phi(i_n + torch.sigmoid(i_r + h_r) * h_n)
        else:
            of_gates, of_candidate = split_recurrence(self, 2 * self.hidden_size)
            h_r, h_z = linear(h, *of_gates).chunk(2, dim=1)
            n = self.phi(i_n + linear(torch.sigmoid(i_r + h_r) * h, *of_candidate))
        return (lerp(n, h, torch.sigmoid(i_z + h_z)),)  # (1 - z) * n + z * h


def split_recurrence(cell, n_rows):
    """Return ``(W, b)`` of the first rows of the recurrent weights and biases, and ``(W, b)`` of the others."""
    above, below = cell.weight_hh.split((n_rows, len(cell.weight_hh) - n_rows))
    if cell.bias_hh is None:
        return (above, None), (below, None)
    return tuple(zip((above, below), cell.bias_hh.split((n_rows, len(below))), strict=True))
