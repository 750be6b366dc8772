"""Cells whose memory is more than one weight matrix, or none: leaky units, traces, clocks.

Shapes: B batch, T time steps, F input features, H hidden units.
"""

import math
from numbers import Integral, Real

import torch
from torch import nn
from torch.nn.functional import linear, pad

from sktime_rnn.cells._base import Cell, StepCell, as_nonlinearity, as_tuple, init_inputs_, lerp
from sktime_rnn.cells._torch import ElmanCell

SHORTEST = 2
_LONGEST = 100
_MOST_GROUPS = 8
_INTERVALS = {
    "in [0, 1)": lambda a: (a >= 0) & (a < 1),
    "in (0, 1]": lambda a: (a > 0) & (a <= 1),
    "in [0, 1]": lambda a: (a >= 0) & (a <= 1),
}


def spread_shares(n_units, longest):
    r"""Return what each unit keeps of its old value from one step to the next: some forget soon, some late.

    .. math:: \alpha_j = 1 - 1 / \tau_j

    with time constants tau_j evenly spaced on a log scale from 2 steps to the longest.

    Parameters
    ----------
    n_units : int
        Number of units.
    longest : float
        Time constant of the last unit, in steps.

    Returns
    -------
    shares : float64 tensor of shape (n_units,)
        One a unit, in increasing order.
    """
    steps = torch.logspace(math.log10(SHORTEST), math.log10(longest), n_units, dtype=torch.float64)
    return 1 - 1 / steps


class FeedForwardCell(Cell):
    r"""No memory: every step is read by itself.

    .. math:: y_t = \phi(W x_t + b)

    with input x_t (F,), output y_t (H,), weights ``weight_ih`` W (H, F) and ``bias_ih`` b (H,).

    Parameters
    ----------
    nonlinearity : {"tanh", "relu", "sigmoid", "identity"} or callable, default="tanh"
        The function phi.
    """

    learnable = ()

    def __init__(self, nonlinearity="tanh"):
        super().__init__()
        self.phi = as_nonlinearity(nonlinearity)
        self.nonlinearity = nonlinearity

    def build(self, input_size, hidden_size, bias=True):
        """Return a copy of the cell with uninitialised weights, see :class:`Cell`."""
        cell = super().build(input_size, hidden_size, bias)
        cell.weight_hh = cell.bias_hh = None
        return cell

    def reset_parameters(self, generator=None):
        """Draw new weights: uniform within sqrt(6 / (F + H)), biases 0."""
        init_inputs_(self.weight_ih, self.bias_ih, self.hidden_size, generator=generator)

    def forward(self, x_t, state):
        """Return ``(y_t,)``."""
        return (self.phi(linear(x_t, self.weight_ih, self.bias_ih)),)

    def scan(self, X, state):
        """Take all steps at once, (B, T, F) -> (B, T, H), and the last output."""
        (outputs,) = self(X, state)
        return outputs, (outputs[:, -1],)


def _as_numbers(share):
    """Return numbers as a float64 tensor of its own; None for what holds none."""
    try:
        return torch.as_tensor(share, dtype=torch.float64).clone()
    except (TypeError, ValueError, RuntimeError):
        return None


class KeepingCell(StepCell):
    """A cell of which each unit keeps a share of an old value: fixed, or the sigmoid of a parameter.

    Parameters
    ----------
    share : {"spread", "learned"}, float or array of H floats
        The argument that says how much: see :func:`spread_shares`; what is learned starts spread.
    longest : float or None
        Longest time constant in steps of what starts spread; None stands for 100.
    name : str
        The argument's name.
    interval : {"in [0, 1)", "in (0, 1]", "in [0, 1]"}
        Where its numbers lie.
    recurrent_init : {"orthogonal", "identity"} or float, default="orthogonal"
        As in :class:`Cell`.
    """

    def __init__(self, share, longest, name, interval, recurrent_init="orthogonal"):
        super().__init__(recurrent_init)
        self.share_name = name
        self.longest = longest
        if longest is not None and not (isinstance(longest, Real) and SHORTEST < longest < math.inf):
            raise ValueError(
                f"longest must be a number of steps above {SHORTEST}, got {longest!r}. Give the longest time constant."
            )
        self.share = share if isinstance(share, str) else _as_numbers(share)
        if isinstance(share, str):
            right = share in ("spread", "learned")
        else:
            right = self.share is not None and self.share.ndim <= 1 and bool(_INTERVALS[interval](self.share).all())
        if not right:
            raise ValueError(
                f"{name} must be 'spread', 'learned', a number {interval} or one such number a hidden unit, got "
                f"{share!r}. Choose one of them."
            )
        if longest is not None and not isinstance(share, str):
            raise ValueError(
                f"longest belongs to {name}='spread' or 'learned', got longest={longest!r} and {name}={share!r}. "
                "Leave one of them out."
            )

    def _kept(self, share):
        """Return what is kept, given the numbers of the argument."""
        return share

    def _spread(self, hidden_size):
        return spread_shares(hidden_size, _LONGEST if self.longest is None else self.longest)

    def build(self, input_size, hidden_size, bias=True):
        """Return a copy of the cell with uninitialised weights, see :class:`Cell`."""
        cell = super().build(input_size, hidden_size, bias)
        if isinstance(self.share, str):
            kept = self._spread(hidden_size)
        elif self.share.ndim and len(self.share) != hidden_size:
            raise ValueError(
                f"{self.share_name} must be one number, or one for each of the {hidden_size} hidden units, got "
                f"{len(self.share)} of them. Change their number or hidden_size."
            )
        else:
            kept = self._kept(self.share).expand(hidden_size)
        learned = isinstance(self.share, str) and self.share == "learned"
        cell.register_parameter("kept_logit", nn.Parameter(torch.empty(hidden_size)) if learned else None)
        cell.exact = None if learned else kept
        cell.register_buffer("kept", None if learned else kept.float(), persistent=False)
        return cell

    def _apply(self, fn, recurse=True):
        """Follow the weights to another device or precision, with shares as exact as that allows."""
        super()._apply(fn, recurse)
        if getattr(self, "kept", None) is not None:
            self.kept = self.exact.to(self.kept)
        return self

    def reset_parameters(self, generator=None):
        """Draw new weights, see :class:`Cell`; learned shares start spread."""
        if self.weight_hh is None:
            init_inputs_(self.weight_ih, self.bias_ih, self.hidden_size, generator=generator)
        else:
            super().reset_parameters(generator)
        if self.kept_logit is not None:
            with torch.no_grad():
                self.kept_logit.copy_(self._spread(self.hidden_size).logit())

    def shares(self):
        """Return what each unit keeps of the old value, (H,)."""
        return self.kept if self.kept_logit is None else torch.sigmoid(self.kept_logit)


class LeakyCell(KeepingCell):
    r"""Leaky units: each keeps a share of its old value.

    .. math::
        v_t &= \phi(W_{ih} x_t + b_{ih} + W_{hh} \mu_{t-1} + b_{hh}) \\
        \mu_t &= \alpha \odot \mu_{t-1} + (1 - \alpha) \odot v_t

    with input x_t (F,), candidate v_t and state mu_t (H,), and what is kept, alpha = 1 - leak_rate (H,). A unit with
    leak rate 1 / tau remembers about tau steps.

    Parameters
    ----------
    leak_rate : {"spread", "learned"}, float or array of H floats, default="spread"
        The leak rate 1 - alpha, in (0, 1]; 1 makes an Elman cell. "spread": fixed, one a unit, with time constants
        evenly spaced on a log scale from 2 to ``longest`` steps. "learned": alpha is the sigmoid of a parameter that
        starts there.
    nonlinearity : {"tanh", "relu", "sigmoid", "identity"} or callable, default="tanh"
        The function phi.
    longest : float, default=None
        Longest time constant in steps, for "spread" and "learned"; None stands for 100.
    recurrent_init : {"orthogonal", "identity"} or float, default="orthogonal"
        Recurrent weights at the start; a number is a spectral radius.

    References
    ----------
    M. C. Mozer (1992). Induction of multiscale temporal structure. NIPS 4, 275-282.
    H. Jaeger et al. (2007). Optimization and applications of echo state networks with leaky-integrator neurons. Neural
    Networks 20, 335-352.
    I. Goodfellow, Y. Bengio and A. Courville (2016). Deep Learning, section 10.9.2. MIT Press.
    """

    def __init__(self, leak_rate="spread", nonlinearity="tanh", *, longest=None, recurrent_init="orthogonal"):
        super().__init__(leak_rate, longest, "leak_rate", "in (0, 1]", recurrent_init)
        self.leak_rate = leak_rate
        self.phi = as_nonlinearity(nonlinearity)
        self.nonlinearity = nonlinearity

    def _kept(self, share):
        return 1 - share

    def step(self, a_t, state):
        """Return ``(mu_t,)``."""
        (mu,) = state
        return (lerp(self.phi(a_t + self.recurrence(mu)), mu, self.shares()),)


class SelfConnectedCell(KeepingCell):
    r"""Units with linear self-connections, and no others: each adds up what it reads.

    .. math:: h_t = w \odot h_{t-1} + \phi(W_{ih} x_t + b_{ih})

    with input x_t (F,), state h_t (H,), weights W_ih (H, F), b_ih (H,) and self-connections w (H,) close to 1. A unit
    with w = 1 - 1 / tau remembers about tau steps, and grows to tau times what it reads.

    Parameters
    ----------
    weight : {"spread", "learned"}, float or array of H floats, default="spread"
        The self-connections w, in [0, 1]. "spread": fixed, one a unit, with time constants tau evenly spaced on a log
        scale from 2 to ``longest`` steps. "learned": the sigmoid of a parameter that starts there.
    nonlinearity : {"tanh", "relu", "sigmoid", "identity"} or callable, default="tanh"
        The function phi.
    longest : float, default=None
        Longest time constant in steps, for "spread" and "learned"; None stands for 100.

    References
    ----------
    M. C. Mozer (1992). Induction of multiscale temporal structure. NIPS 4, 275-282.
    I. Goodfellow, Y. Bengio and A. Courville (2016). Deep Learning, section 10.9.2. MIT Press.
    """

    def __init__(self, weight="spread", nonlinearity="tanh", *, longest=None):
        super().__init__(weight, longest, "weight", "in [0, 1]")
        self.weight = weight
        self.phi = as_nonlinearity(nonlinearity)
        self.nonlinearity = nonlinearity

    def build(self, input_size, hidden_size, bias=True):
        """Return a copy of the cell with uninitialised weights, see :class:`Cell`."""
        cell = super().build(input_size, hidden_size, bias)
        cell.weight_hh = cell.bias_hh = None
        return cell

    def inputs(self, X):
        """Return ``phi(W_ih x_t + b_ih)`` for all steps."""
        return self.phi(linear(X, self.weight_ih, self.bias_ih))

    def step(self, a_t, state):
        """Return ``(h_t,)``."""
        return (torch.addcmul(a_t, self.shares(), state[0]),)


class TraceCell(KeepingCell):
    r"""Exponential trace memory, of the inputs or of the states.

    Of the inputs (focused memory, nothing else is fed back):

    .. math::
        x'_t &= \mu x'_{t-1} + (1 - \mu) x_t \\
        h_t &= \phi(W x_t + V x'_t + b)

    Of the states:

    .. math::
        h_t &= \phi(W_{ih} x_t + b_{ih} + W_{hh} h'_{t-1} + b_{hh}) \\
        h'_t &= \mu \odot h'_{t-1} + (1 - \mu) \odot h_t

    with input x_t and its trace x'_t (F,), output h_t and its trace h'_t (H,). Of the inputs, it is the trace with
    this step's input in it that is read. Each hidden unit reads a trace of its own mu; as traces are linear, the state
    holds V x'_t (H,), the trace of V x_t. W is the first half of ``weight_ih`` (2 * H, F), V the second.

    Parameters
    ----------
    trace : {"inputs", "states"}, default="inputs"
        What is remembered.
    mu : {"spread", "learned"}, float or array of H floats, default="spread"
        The share of a trace that is kept, in [0, 1). "spread": fixed, one a hidden unit, with time constants evenly
        spaced on a log scale from 2 to ``longest`` steps. "learned": the sigmoid of a parameter that starts there.
    nonlinearity : {"tanh", "relu", "sigmoid", "identity"} or callable, default="tanh"
        The function phi.
    longest : float, default=None
        Longest time constant in steps, for "spread" and "learned"; None stands for 100.
    recurrent_init : {"orthogonal", "identity"} or float, default="orthogonal"
        Recurrent weights at the start, for ``trace="states"``; a number is a spectral radius.

    References
    ----------
    M. C. Mozer (1989). A focused backpropagation algorithm for temporal pattern recognition. Complex Systems 3,
    349-381.
    """

    n_states = 2

    def __init__(self, trace="inputs", mu="spread", nonlinearity="tanh", *, longest=None, recurrent_init="orthogonal"):
        super().__init__(mu, longest, "mu", "in [0, 1)", recurrent_init)
        if trace not in ("inputs", "states"):
            raise ValueError(
                f"trace must be 'inputs' or 'states', got {trace!r}. Choose one of them; JordanCell(mu=...) keeps a "
                "trace of outputs."
            )
        if trace == "inputs" and recurrent_init != "orthogonal":
            raise ValueError(
                f"recurrent_init belongs to trace='states', got {recurrent_init!r} and trace='inputs', which has no "
                "recurrent weights. Leave it out."
            )
        self.trace = trace
        self.mu = mu
        self.phi = as_nonlinearity(nonlinearity)
        self.nonlinearity = nonlinearity

    @property
    def n_gates(self):
        """Number of blocks of H rows in ``weight_ih``: W and, for a trace of the inputs, V."""
        return 2 if self.trace == "inputs" else 1

    @property
    def learnable(self):
        """Places of the states that may be learned at the start: a trace of the inputs starts at 0."""
        return () if self.trace == "inputs" else (1,)

    def build(self, input_size, hidden_size, bias=True):
        """Return a copy of the cell with uninitialised weights, see :class:`Cell`."""
        cell = super().build(input_size, hidden_size, bias)
        if self.trace == "inputs":
            cell.weight_hh = cell.bias_hh = None
            cell.bias_ih = nn.Parameter(torch.empty(hidden_size)) if bias else None
        return cell

    def inputs(self, X):
        """Return ``W x_t + b`` for all steps and, for a trace of the inputs, ``V x_t`` beside it."""
        if self.trace == "states" or self.bias_ih is None:
            return super().inputs(X)
        return linear(X, self.weight_ih, pad(self.bias_ih, (0, self.hidden_size)))  # (..., 2 * H)

    def step(self, a_t, state):
        """Return ``(h_t, V x'_t)`` or ``(h_t, h'_t)``."""
        _, trace = state
        if self.trace == "inputs":
            a_t, v_t = a_t.chunk(2, dim=1)
            trace = lerp(v_t, trace, self.shares())
            return self.phi(a_t + trace), trace
        h = self.phi(a_t + self.recurrence(trace))
        return h, lerp(h, trace, self.shares())


class ClockworkCell(Cell):
    r"""Clockwork: groups of units, each with a clock of its own.

    .. math::
        h_t^{(i)} = \begin{cases}
            \phi(W_{ih}^{(i)} x_t + b_{ih}^{(i)} + \sum_{j \ge i} W_{hh}^{(ij)} h_{t-1}^{(j)} + b_{hh}^{(i)})
                & t \bmod T_i = 0 \\
            h_{t-1}^{(i)} & \text{otherwise}
        \end{cases}

    with input x_t (F,) and states h_t (H,), cut into groups i with periods T_1 < T_2 < ...; a group reads from groups
    of its own or longer periods only. The first step that is read is t = 0, at which every group is updated. The second
    state (1,) counts steps.

    Parameters
    ----------
    periods : sequence of int, default=None
        Periods T_i of the groups in steps, increasing; the groups are as equal in size as can be. None stands for 1,
        2, 4, ..., one for every two units, at most eight of them.
    nonlinearity : {"tanh", "relu", "sigmoid", "identity"} or callable, default="tanh"
        The function phi.
    recurrent_init : {"orthogonal", "identity"} or float, default="orthogonal"
        Recurrent weights at the start; a number is a spectral radius. Those that are not used are then set to 0.

    References
    ----------
    J. Koutnik, K. Greff, F. Gomez and J. Schmidhuber (2014). A clockwork RNN. ICML.
    """

    n_states = 2
    learnable = (0,)

    def __init__(self, periods=None, nonlinearity="tanh", *, recurrent_init="orthogonal"):
        super().__init__(recurrent_init)
        if periods is not None:
            given = as_tuple(periods)
            whole = all(isinstance(T, Integral) and T > 0 for T in given)
            if not given or not whole or any(a >= b for a, b in zip(given, given[1:], strict=False)):
                raise ValueError(
                    f"periods must be increasing whole numbers of steps above 0, got {periods!r}. Give one a group, or "
                    "None for 1, 2, 4, ..."
                )
            periods = given
        self.periods = periods
        self.phi = as_nonlinearity(nonlinearity)
        self.nonlinearity = nonlinearity

    def state_sizes(self, hidden_size):
        """Return the widths of the state and of the step counter."""
        return hidden_size, 1

    def initial_state(self, batch_size, like):
        """Return h_0, zeros, and no steps, in a precision that can count."""
        count = like.new_zeros(batch_size, 1, dtype=torch.promote_types(like.dtype, torch.float32))
        return like.new_zeros(batch_size, self.hidden_size), count

    def build(self, input_size, hidden_size, bias=True):
        """Return a copy of the cell with uninitialised weights, see :class:`Cell`."""
        periods = self.periods
        if periods is None:
            periods = [2**i for i in range(max(1, min(_MOST_GROUPS, hidden_size // 2)))]
        if len(periods) > hidden_size:
            raise ValueError(
                f"periods must be at most one for each of the {hidden_size} hidden units, got {len(periods)} of them. "
                "Give fewer, or raise hidden_size."
            )
        cell = super().build(input_size, hidden_size, bias)
        group = torch.arange(hidden_size) * len(periods) // hidden_size
        cell.register_buffer("period", torch.tensor(periods)[group], persistent=False)  # (H,)
        cell.register_buffer("read", group >= group[:, None], persistent=False)  # (H, H), to row from column
        return cell

    def reset_parameters(self, generator=None):
        """Draw new weights, see :class:`Cell`; those from shorter to longer periods are 0."""
        super().reset_parameters(generator)
        with torch.no_grad():
            self.weight_hh.mul_(self.read)

    def scan(self, X, state):
        """Take all steps, (B, T, F) -> (B, T, H), and the state after the last."""
        h, count = state
        A = linear(X.transpose(0, 1), self.weight_ih, self.bias_ih)  # (T, B, H)
        t = count + torch.arange(len(A), device=X.device)  # (B, T)
        active = t.T[:, :, None] % self.period == 0  # (T, B, H)
        weight = self.weight_hh * self.read
        outputs = []
        for a_t, active_t in zip(A.unbind(0), active.unbind(0), strict=True):
            h = torch.where(active_t, self.phi(a_t + linear(h, weight, self.bias_hh)), h)
            outputs.append(h)
        return torch.stack(outputs, dim=1), (h, count + len(A))

    def forward(self, x_t, state):
        """Return ``(h_t, t)``, the second of shape (B, 1)."""
        return self.scan(x_t[:, None], state)[1]


class IRNNCell(ElmanCell):
    r"""Simple recurrent cell of rectified linear units that starts from the identity.

    .. math:: h_t = \max(0, W_{ih} x_t + b_{ih} + W_{hh} h_{t-1} + b_{hh})

    with input x_t (F,), state h_t (H,), weights W_ih (H, F), W_hh (H, H) and biases (H,); W_hh starts as the identity
    and the biases as 0, so that the state is at first kept as it is. Torch has a kernel for it.

    References
    ----------
    Q. V. Le, N. Jaitly and G. E. Hinton (2015). A simple way to initialize recurrent networks of rectified linear
    units. arXiv:1504.00941.
    """

    def __init__(self):
        super().__init__("relu", recurrent_init="identity")
