"""Cells with more than one layer inside a step, and with connections that skip steps.

Shapes: B batch, T time steps, F input features, H hidden units.
"""

import torch
from torch import nn
from torch.nn.functional import linear

from sktime_rnn.cells._base import Cell, StepCell, as_nonlinearity, check_whole


class Perceptron(nn.Module):
    r"""Hidden layers of a multilayer perceptron, with uninitialised weights.

    .. math:: z_k = \phi(W_k z_{k-1} + b_k)

    Parameters
    ----------
    n_layers : int
        Number of layers; none of them leaves the input as it is.
    input_size, hidden_size : int
        Widths of z_0 and of every other.
    phi : callable
        The nonlinearity.
    bias : bool
        Whether there are biases b_k.
    """

    def __init__(self, n_layers, input_size, hidden_size, phi, bias):
        super().__init__()
        sizes = [input_size] + [hidden_size] * n_layers
        self.weights = nn.ParameterList(torch.empty(hidden_size, size) for size in sizes[:-1])
        self.biases = nn.ParameterList(torch.empty(hidden_size) for _ in range(n_layers if bias else 0))
        self.phi = phi
        self.output_size = sizes[-1]

    def reset_parameters(self, init, generator=None):
        """Draw new weights by a function of :mod:`torch.nn.init`; biases are 0."""
        for weight in self.weights:
            init(weight, generator=generator)
        for bias in self.biases:
            nn.init.zeros_(bias)

    def forward(self, z, added=None):
        """Return the last layer's values; ``added`` is added to its net input."""
        for k, weight in enumerate(self.weights):
            a = linear(z, weight, self.biases[k] if len(self.biases) else None)
            last = k == len(self.weights) - 1
            z = self.phi(a + added if last and added is not None else a)
        return z


class DeepCell(Cell):
    r"""Simple recurrent cell with multilayer perceptrons in the place of its three matrices (Pascanu et al. 2014).

    .. math::
        u_t &= \mathrm{MLP}_{in}(x_t) \\
        z_t &= \phi(W_{ih} u_t + b_{ih} + W_{hh} h_{t-1} + b_{hh}) \\
        h_t &= \mathrm{MLP}_{transition}(z_t) \\
        y_t &= \mathrm{MLP}_{out}(h_t)

    with input x_t (F,), state h_t (H,), output y_t (H,) and layers of H units of :math:`\phi`. Where a perceptron has
    no layer it leaves its input as it is; without any, the cell is an Elman cell. With a shortcut, S h_{t-1} is added
    to the net input of the transition's last layer. The state's tensors are (y_t, h_t), or (h_t,) without output
    layers, where y_t = h_t.

    Parameters
    ----------
    input_layers : int, default=0
        Number of layers between the input and the state.
    transition_layers : int, default=1
        Number of layers more between one step's state and the next one's.
    output_layers : int, default=0
        Number of layers between the state and the output.
    shortcut : bool, default=False
        Whether a matrix S (H, H) leads past the transition's layers.
    nonlinearity : {"tanh", "relu", "sigmoid", "identity"} or callable, default="tanh"
        The function phi.
    recurrent_init : {"orthogonal", "identity"} or float, default="orthogonal"
        W_hh at the start; a number is a spectral radius. The other matrices between h_{t-1} and h_t start orthogonal,
        those elsewhere uniform within sqrt(6 / (inputs + outputs)).

    References
    ----------
    R. Pascanu, C. Gulcehre, K. Cho and Y. Bengio (2014). How to construct deep recurrent neural networks. ICLR.
    I. Goodfellow, Y. Bengio and A. Courville (2016). Deep Learning, section 10.5. MIT Press.
    """

    def __init__(
        self,
        input_layers=0,
        transition_layers=1,
        output_layers=0,
        shortcut=False,
        nonlinearity="tanh",
        *,
        recurrent_init="orthogonal",
    ):
        super().__init__(recurrent_init)
        counts = {"input_layers": input_layers, "transition_layers": transition_layers, "output_layers": output_layers}
        for name, count in counts.items():
            check_whole(name, count, 0)
        if shortcut and not transition_layers:
            raise ValueError(
                "shortcut=True needs transition_layers of at least 1 to lead past, got transition_layers=0. Raise it, "
                "or leave shortcut out."
            )
        self.input_layers, self.transition_layers, self.output_layers = counts.values()
        self.shortcut = shortcut
        self.phi = as_nonlinearity(nonlinearity)
        self.nonlinearity = nonlinearity

    @property
    def n_states(self):
        """Number of the state's tensors."""
        return 2 if self.output_layers else 1

    @property
    def learnable(self):
        """Place of the state that is read, after that of the output."""
        return (self.n_states - 1,)

    def build(self, input_size, hidden_size, bias=True):
        """Return a copy of the cell with uninitialised weights, see :class:`Cell`."""
        below = Perceptron(self.input_layers, input_size, hidden_size, self.phi, bias)
        cell = super().build(below.output_size, hidden_size, bias)
        cell.below = below
        cell.between = Perceptron(self.transition_layers, hidden_size, hidden_size, self.phi, bias)
        cell.above = Perceptron(self.output_layers, hidden_size, hidden_size, self.phi, bias)
        weight = nn.Parameter(torch.empty(hidden_size, hidden_size)) if self.shortcut else None
        cell.register_parameter("weight_shortcut", weight)
        return cell

    def reset_parameters(self, generator=None):
        """Draw new weights, see :class:`DeepCell`.

        Parameters
        ----------
        generator : torch.Generator, default=None
            Source of the random numbers.
        """
        super().reset_parameters(generator)
        self.below.reset_parameters(nn.init.xavier_uniform_, generator)
        self.between.reset_parameters(nn.init.orthogonal_, generator)
        self.above.reset_parameters(nn.init.xavier_uniform_, generator)
        if self.shortcut:
            nn.init.orthogonal_(self.weight_shortcut, generator=generator)

    def _state(self, a_t, h):
        z = self.phi(a_t + linear(h, self.weight_hh, self.bias_hh))
        return self.between(z, linear(h, self.weight_shortcut) if self.shortcut else None)

    def scan(self, X, state):
        """Take all steps, (B, T, F) -> (B, T, H): only the state is found step by step."""
        A = linear(self.below(X.transpose(0, 1)), self.weight_ih, self.bias_ih)  # (T, B, H)
        h, states = state[-1], []
        for a_t in A.unbind(0):
            h = self._state(a_t, h)
            states.append(h)
        outputs = self.above(torch.stack(states, dim=1))  # (B, T, H)
        return outputs, ((outputs[:, -1], h) if self.output_layers else (h,))

    def forward(self, x_t, state):
        """Return ``(y_t, h_t)`` or, without output layers, ``(h_t,)``."""
        return self.scan(x_t[:, None], state)[1]


class SkipCell(StepCell):
    r"""Simple recurrent cell with a connection over several steps.

    .. math:: h_t = \phi(W_{ih} x_t + b_{ih} + W_{hh} h_{t-1} + b_{hh} + V h_{t-d})

    with input x_t (F,), state h_t (H,), weights W_ih (H, F), W_hh and ``weight_skip`` V (H, H) and biases (H,). Where
    the connection over one step is removed, W_hh h_{t-d} stands in the place of both; the steps then form d chains.
    The state's tensors are h_t, h_{t-1}, ..., h_{t-d+1}; before the first step they are 0, and the first of them may be
    learned.

    Parameters
    ----------
    delay : int, default=10
        The number of steps d, at least 2.
    removed : bool, default=False
        Whether to remove the connection over one step.
    nonlinearity : {"tanh", "relu", "sigmoid", "identity"} or callable, default="tanh"
        The function phi.
    recurrent_init : {"orthogonal", "identity"} or float, default="orthogonal"
        W_hh at the start; a number is a spectral radius. V starts uniform within sqrt(6 / (2 H)).

    References
    ----------
    T. Lin, B. G. Horne, P. Tino and C. L. Giles (1996). Learning long-term dependencies in NARX recurrent neural
    networks. IEEE Transactions on Neural Networks 7, 1329-1338.
    I. Goodfellow, Y. Bengio and A. Courville (2016). Deep Learning, sections 10.9.1 and 10.9.3. MIT Press.
    """

    learnable = (0,)

    def __init__(self, delay=10, removed=False, nonlinearity="tanh", *, recurrent_init="orthogonal"):
        super().__init__(recurrent_init)
        check_whole("delay", delay, 2)
        self.delay = delay
        self.removed = removed
        self.phi = as_nonlinearity(nonlinearity)
        self.nonlinearity = nonlinearity

    @property
    def n_states(self):
        """Number of the state's tensors: the delay."""
        return self.delay

    def build(self, input_size, hidden_size, bias=True):
        """Return a copy of the cell with uninitialised weights, see :class:`Cell`."""
        cell = super().build(input_size, hidden_size, bias)
        weight = None if self.removed else nn.Parameter(torch.empty(hidden_size, hidden_size))
        cell.register_parameter("weight_skip", weight)
        return cell

    def reset_parameters(self, generator=None):
        """Draw new weights, see :class:`SkipCell`.

        Parameters
        ----------
        generator : torch.Generator, default=None
            Source of the random numbers.
        """
        super().reset_parameters(generator)
        if self.weight_skip is not None:
            nn.init.xavier_uniform_(self.weight_skip, generator=generator)

    def step(self, a_t, state):
        """Return ``(h_t, h_{t-1}, ...)``."""
        if self.removed:
            a_t = a_t + self.recurrence(state[-1])
        else:
            a_t = a_t + self.recurrence(state[0]) + linear(state[-1], self.weight_skip)
        return (self.phi(a_t), *state[:-1])
