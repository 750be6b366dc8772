"""The protocol of a cell, and how its weights are drawn.

Shapes: B batch, T time steps, F input features, H hidden units, G gates.
"""

import copy
import inspect
import math
from abc import ABC, abstractmethod
from numbers import Integral, Real

import torch
from torch import nn
from torch.nn.functional import linear

NONLINEARITIES = {"tanh": torch.tanh, "relu": torch.relu, "sigmoid": torch.sigmoid, "identity": torch.positive}


def as_nonlinearity(nonlinearity, name="nonlinearity"):
    """Return the function that a name or a callable stands for.

    Parameters
    ----------
    nonlinearity : {"tanh", "relu", "sigmoid", "identity"} or callable
        What the user asked for; a callable maps a tensor to one of the same shape.
    name : str, default="nonlinearity"
        What error messages call it.

    Returns
    -------
    function : callable
        From tensor to tensor.
    """
    if callable(nonlinearity):
        return nonlinearity
    if not isinstance(nonlinearity, str) or nonlinearity not in NONLINEARITIES:
        raise ValueError(
            f"{name} must be one of {sorted(NONLINEARITIES)} or a callable, got {nonlinearity!r}. Choose one of them."
        )
    return NONLINEARITIES[nonlinearity]


def check_whole(name, value, least):
    """Refuse what is no whole number, or below the least one."""
    if not isinstance(value, Integral) or isinstance(value, bool) or value < least:
        raise ValueError(f"{name} must be a whole number of at least {least}, got {value!r}. Choose such a number.")


def as_tuple(values):
    """Return what can be gone through as a tuple, and nothing of what cannot, which the caller then refuses."""
    try:
        return tuple(values)
    except TypeError:
        return ()


def lerp(start, end, weight):
    """Return ``start + weight * (end - start)``: as torch does, and of different precisions as well.

    Parameters
    ----------
    start, end : tensor of the same shape
        What 0 and 1 stand for.
    weight : tensor or float
        The share of the end.

    Returns
    -------
    between : tensor
        In the highest of the precisions.
    """
    if start.dtype == end.dtype == getattr(weight, "dtype", start.dtype):
        return torch.lerp(start, end, weight)
    return start + weight * (end - start)


def init_inputs_(weight_ih, bias_ih, gate_size, *, forget_gate_position=None, generator=None):
    """Draw the weights of the inputs of one layer in place, gate by gate; see :func:`init_recurrent_`.

    Parameters
    ----------
    weight_ih : tensor of shape (G * H, F)
        Weights of the input.
    bias_ih : tensor of shape (G * H,) or None
        Biases.
    gate_size : int
        Number H of units of a gate.
    forget_gate_position : int, default=None
        Place of the forget gate among the gates, where the cell has one.
    generator : torch.Generator, default=None
        Source of the random numbers.
    """
    with torch.no_grad():
        for gate in weight_ih.split(gate_size):
            nn.init.xavier_uniform_(gate, generator=generator)
        if bias_ih is not None:
            bias_ih.zero_()
            if forget_gate_position is not None:
                bias_ih.split(gate_size)[forget_gate_position].fill_(1.0)


def init_recurrent_(
    weight_ih,
    weight_hh,
    bias_ih,
    bias_hh,
    *,
    forget_gate_position=None,
    recurrent_init="orthogonal",
    gate_size=None,
    generator=None,
):
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
    forget_gate_position : int, default=None
        Place of the forget gate among the gates, where the cell has one.
    recurrent_init : {"orthogonal", "identity"} or float, default="orthogonal"
        The recurrent weights of each gate: a random orthogonal matrix, the identity (Le, Jaitly and Hinton 2015), or
        Gaussian numbers scaled to this spectral radius, the largest absolute eigenvalue (Jaeger 2001). The last two
        need as many units as outputs.
    gate_size : int, default=None
        Number of units of a gate, where it is not the number H of outputs: all above is then (G * gate_size, ...).
    generator : torch.Generator, default=None
        Source of the random numbers.
    """
    gate_size = weight_hh.shape[1] if gate_size is None else gate_size
    init_inputs_(weight_ih, bias_ih, gate_size, forget_gate_position=forget_gate_position, generator=generator)
    with torch.no_grad():
        for gate in weight_hh.split(gate_size):
            _init_gate_(gate, recurrent_init, generator)
        if bias_hh is not None:
            bias_hh.zero_()


def _init_gate_(weight, how, generator):
    rows, columns = weight.shape
    if how == "orthogonal":
        nn.init.orthogonal_(weight, generator=generator)
    elif rows != columns:
        raise ValueError(
            f"recurrent_init must be 'orthogonal' where the recurrent weights of a gate are not square, got {how!r} "
            f"with {rows} units of memory and {columns} outputs. Leave it at 'orthogonal' or set memory_size={columns}."
        )
    elif how == "identity":
        nn.init.eye_(weight)
    else:
        nn.init.normal_(weight, generator=generator)
        weight.mul_(how / torch.linalg.eigvals(weight.double()).abs().max().to(weight.dtype))


class Cell(nn.Module, ABC):
    """One time step: ``forward(x_t, state) -> state``, where ``state[0]`` is the output.

    A cell is made in two steps. The constructor takes the options of the equations and can be handed to an
    estimator, ``RNNClassifier(cell=GRUCell())``; :meth:`build` then returns a copy with weights for given sizes,
    named as torch names them: ``weight_ih`` (G * H, F), ``weight_hh`` (G * H, H), ``bias_ih``, ``bias_hh`` (G * H,).

    Subclasses set ``n_gates``, ``n_states`` and, where they have one, ``forget_gate_position``, and write
    :meth:`forward`; those of :class:`StepCell` are faster. Where torch has a fused kernel for the same equations,
    ``kernel`` names it. One that can take all steps at once writes ``scan(X, state) -> outputs, state``. Of its states
    those of the places ``learnable`` may be learned at the start: those that later steps read. One that reads what the
    head has made of the step before says ``needs_feedback`` and takes it as a third argument, ``forward(x_t, state,
    feedback)``. One that ``reads_flags`` is handed values and then a flag for each, 1 where it is missing; noise leaves
    its ``exact_features`` alone.

    Parameters
    ----------
    recurrent_init : {"orthogonal", "identity"} or float, default="orthogonal"
        Recurrent weights at the start, see :func:`init_recurrent_`; a number is a spectral radius.
    """

    n_gates = 1
    n_states = 1
    forget_gate_position = None
    scan = None
    needs_feedback = False
    reads_flags = False
    exact_features = ()

    @property
    def learnable(self):
        """Places of the states that may be learned at the start, a tuple of int."""
        return tuple(range(self.n_states))

    def __init__(self, recurrent_init="orthogonal"):
        super().__init__()
        is_radius = isinstance(recurrent_init, Real) and not isinstance(recurrent_init, bool)
        is_name = isinstance(recurrent_init, str) and recurrent_init in ("orthogonal", "identity")
        if not (is_name or is_radius and 0 < recurrent_init < math.inf):
            raise ValueError(
                "recurrent_init must be 'orthogonal', 'identity' or a spectral radius above 0, got "
                f"{recurrent_init!r}. Choose one of them."
            )
        self.recurrent_init = recurrent_init

    @property
    def cell_above(self):
        """The cell of the layers above the first, which read a layer's outputs."""
        return self

    def __repr__(self):
        """Return what makes such a cell: the arguments that differ from their defaults."""
        if hasattr(self, "hidden_size"):
            return super().__repr__()
        shown = []
        for name, parameter in inspect.signature(type(self)).parameters.items():
            value = getattr(self, name, parameter.default)
            if parameter.kind is not parameter.VAR_KEYWORD and value is not parameter.default:
                if isinstance(value, str | int | float | tuple | None) and value == parameter.default:
                    continue
                shown.append(f"{name}={value!r}")
        return f"{type(self).__name__}({', '.join(shown)})"

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
            forget_gate_position=self.forget_gate_position,
            recurrent_init=self.recurrent_init,
            generator=generator,
        )

    def state_sizes(self, hidden_size):
        """Return the widths of the state's tensors, the output's first.

        Parameters
        ----------
        hidden_size : int
            Number H of hidden units.

        Returns
        -------
        sizes : tuple of int
            One a tensor.
        """
        return (hidden_size,) * self.n_states

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
        return tuple(like.new_zeros(batch_size, size) for size in self.state_sizes(self.hidden_size))

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


class StepCell(Cell):
    """A cell in two parts: :meth:`inputs` takes all inputs at once, :meth:`step` one step after the other.

    Subclasses write :meth:`step`.
    """

    def inputs(self, X):
        """Return what the steps need of the inputs, found for all of them at once.

        Parameters
        ----------
        X : tensor of shape (..., F)
            Inputs.

        Returns
        -------
        A : tensor of shape (..., G * H)
            ``W_ih x_t + b_ih``.
        """
        return linear(X, self.weight_ih, self.bias_ih)

    def recurrence(self, h, weight=None):
        """Return ``W_hh h + b_hh`` for h (B, H); or another weight in the place of W_hh."""
        return linear(h, self.weight_hh if weight is None else weight, self.bias_hh)

    @abstractmethod
    def step(self, a_t, state):
        """Take one step, given what :meth:`inputs` has made of its input.

        Parameters
        ----------
        a_t : tensor of shape (B, G * H)
            The step's part of what :meth:`inputs` gave.
        state : tuple of tensors of shape (B, H)
            The state after the step before.

        Returns
        -------
        state : tuple of tensors of shape (B, H)
            The state after this step; the first is the output.
        """

    def forward(self, x_t, state):
        """Take one step: the new state."""
        return self.step(self.inputs(x_t), state)


def prepared(cell, X):
    """Return what a loop over steps needs.

    Parameters
    ----------
    cell : Cell
        A built cell.
    X : tensor of shape (B, T, F)
        Inputs.

    Returns
    -------
    inputs : tuple of T tensors of shape (B, F) or (B, G * H)
        The steps, or what :meth:`StepCell.inputs` makes of all of them at once.
    step : callable
        ``step(x_t, state) -> state`` takes one of them.
    """
    X = X.transpose(0, 1)
    if isinstance(cell, StepCell):
        return cell.inputs(X).unbind(0), cell.step
    return X.unbind(0), cell
