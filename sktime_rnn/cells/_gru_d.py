"""GRU-D: a gated recurrent unit that knows which values are missing, and for how long.

Shapes: B batch, T time steps, n values of a step, H hidden units.
"""

import torch
from torch import nn
from torch.nn.functional import linear

from sktime_rnn.cells._base import Cell, as_nonlinearity, init_recurrent_, lerp
from sktime_rnn.cells._torch import GRUCell

_DECAY_OF_VALUES = 0.1
_DECAY_OF_STATE = 0.01


def last_observations(observed):
    """Return the step of each value's last observation, up to each step.

    Parameters
    ----------
    observed : bool tensor of shape (B, T, n)
        Which values are there.

    Returns
    -------
    index : int64 tensor of shape (B, T, n)
        Steps counted from 1; 0 where there has been no observation yet.
    """
    observed = observed.transpose(1, 2).contiguous()  # (B, n, T), of which cummax is six times as fast
    t = torch.arange(1, observed.shape[2] + 1, device=observed.device)
    return (observed * t).cummax(2).values.transpose(1, 2)


def _taken(values, index, first):
    """Return the values (B, T, n) of the steps that ``index`` names; its 0 stands for ``first`` (B, n)."""
    return torch.cat([first[:, None], values], dim=1).gather(1, index)


def _shifted(values, first):
    """Return what stood one step before, (B, T, n), and ``first`` (B, n) before the first step."""
    return torch.cat([first[:, None], values[:, :-1]], dim=1)


class GRUDCell(Cell):
    r"""Gated recurrent unit with decay, for values of which some are missing (Che et al. 2018).

    .. math::
        \delta_t &= s_t - s_{t-1} + (1 - m_{t-1}) \odot \delta_{t-1}, \quad \delta_1 = 0 \\
        \gamma_{x,t} &= \exp(-\max(0, w_{\gamma x} \odot \delta_t + b_{\gamma x})) \\
        \gamma_{h,t} &= \exp(-\max(0, W_{\gamma h} \delta_t + b_{\gamma h})) \\
        \hat x_t &= m_t \odot x_t + (1 - m_t) \odot \gamma_{x,t} \odot x'_{t-1} \\
        \hat h_{t-1} &= \gamma_{h,t} \odot h_{t-1} \\
        r_t &= \sigma(W_r \hat x_t + V_r m_t + U_r \hat h_{t-1} + b_r) \\
        z_t &= \sigma(W_z \hat x_t + V_z m_t + U_z \hat h_{t-1} + b_z) \\
        \tilde h_t &= \phi(W \hat x_t + V m_t + U (r_t \odot \hat h_{t-1}) + b) \\
        h_t &= (1 - z_t) \odot \hat h_{t-1} + z_t \odot \tilde h_t

    with values x_t (n,), m_t (n,) 1 where they are observed and 0 where missing, the last observed ones x'_t (n,), time
    stamps s_t, times since the last observation delta_t (n,) and state h_t (H,). Missing values decay towards 0, the
    mean of standardised ones. A step's input is ``2 n`` numbers: the n values, missing ones as 0, and n flags, 1 for
    missing and 0 for observed, as ``missing="mask"`` gives them.

    ``weight_ih`` (3 * H, 2 * n) holds W beside V, ``weight_hh`` (3 * H, H) holds U and ``bias_ih`` (3 * H,) the biases,
    with gates in the order r, z, candidate. ``decay_x`` (n,) and ``decay_h`` (H, n) are the weights of the decays,
    ``bias_decay_x`` and ``bias_decay_h`` their biases. The state's tensors are h_t (H,), x'_t (n,), the time from the
    last observation to this step (n,) and whether there has been a time stamp yet (1,).

    Parameters
    ----------
    time_feature : int, default=None
        Which of the n values is the time stamp s_t, in any unit; it is read as a value, too. Intervals are absolute, so
        that a sequence can be read backwards; where the stamp is missing, no time has passed. No noise is added to it.
        None: one step each.
    nonlinearity : {"tanh", "relu", "sigmoid", "identity"} or callable, default="tanh"
        The function phi.
    recurrent_init : {"orthogonal", "identity"} or float, default="orthogonal"
        Recurrent weights U at the start; a number is a spectral radius.

    References
    ----------
    Z. Che et al. (2018). Recurrent neural networks for multivariate time series with missing values. Scientific Reports
    8, 6085.
    """

    n_gates = 3
    n_states = 4
    learnable = (0,)
    reads_flags = True
    n_values = 0

    def __init__(self, time_feature=None, nonlinearity="tanh", *, recurrent_init="orthogonal"):
        super().__init__(recurrent_init)
        self.time_feature = time_feature
        self.phi = as_nonlinearity(nonlinearity)
        self.nonlinearity = nonlinearity

    @property
    def exact_features(self):
        """The time stamp: noise on it would be time that has not passed."""
        return () if self.time_feature is None else (self.time_feature,)

    @property
    def cell_above(self):
        """The cell of the layers above, which read states, of which none is missing."""
        return GRUCell(reset_after=False, nonlinearity=self.nonlinearity, recurrent_init=self.recurrent_init)

    def state_sizes(self, hidden_size):
        """Return the widths of the state's tensors; those of values are known once the cell is built."""
        return hidden_size, self.n_values, self.n_values, 1

    def build(self, input_size, hidden_size, bias=True):
        """Return a copy of the cell with uninitialised weights, see :class:`Cell`.

        Parameters
        ----------
        input_size : int
            Twice the number n of values.
        hidden_size : int
            Number H of hidden units.
        bias : bool, default=True
            Whether the equations have bias terms.

        Returns
        -------
        cell : GRUDCell
            The cell with weights.
        """
        if input_size % 2:
            raise ValueError(
                "GRUDCell must have an even number of input features, n values and n flags of the missing ones, got "
                f"{input_size}. Give both."
            )
        n = input_size // 2
        if self.time_feature is not None and self.time_feature not in range(n):
            raise ValueError(
                f"time_feature must be the index of one of the {n} values of a step, from 0 to {n - 1}, got "
                f"{self.time_feature!r}. Count the values, without their flags."
            )
        cell = super().build(input_size, hidden_size, bias)
        cell.n_values = n
        cell.bias_hh = None
        for name, size in (("decay_x", (n,)), ("decay_h", (hidden_size, n))):
            cell.register_parameter(name, nn.Parameter(torch.empty(size)))
            cell.register_parameter(f"bias_{name}", nn.Parameter(torch.empty(size[0])) if bias else None)
        return cell

    def reset_parameters(self, generator=None):
        """Draw new weights, see :class:`Cell`; decays start slow.

        Values start to decay with a time constant of 10, the units of the state with random ones of more than 50 time
        units: decays of 0 would have no gradient.

        Parameters
        ----------
        generator : torch.Generator, default=None
            Source of the random numbers.
        """
        init_recurrent_(
            self.weight_ih, self.weight_hh, None, None, recurrent_init=self.recurrent_init, generator=generator
        )
        with torch.no_grad():
            self.decay_x.fill_(_DECAY_OF_VALUES)
            self.decay_h.uniform_(0, 2 * _DECAY_OF_STATE / self.n_values, generator=generator)
            for bias in (self.bias_ih, self.bias_decay_x, self.bias_decay_h):
                if bias is not None:
                    bias.zero_()

    def _intervals(self, last, before, index, started):
        """Return the time from the step before, (B, T, 1), and whether time runs after each step, (B, T, 1)."""
        if self.time_feature is None:
            begun = torch.ones_like(last[:, :, :1])
            return _shifted(begun, started), begun
        k = slice(self.time_feature, self.time_feature + 1)
        begun = (index[:, :, k] > 0).to(last.dtype).maximum(started[:, None])
        return _shifted(begun, started) * (last[:, :, k] - before[:, :, k]).abs(), begun

    def _prepare(self, X, state):
        """Return what the steps need of the inputs: (B, T, 3 * H) and (B, T, H); and the state but for h."""
        _, first, age, started = state
        values, flags = X.chunk(2, dim=2)  # (B, T, n)
        observed = flags < 0.5
        index = last_observations(observed)
        last = _taken(values, index, first)
        before = _shifted(last, first)
        interval, begun = self._intervals(last, before, index, started)
        s = interval.cumsum(1).expand_as(values)  # time stamps, the state's own being 0
        ages = s - _taken(s, index, -age)
        delta = interval + _shifted(ages, age)
        gamma_x = torch.exp(-torch.relu(_affine(delta * self.decay_x, self.bias_decay_x)))
        gamma_h = torch.exp(-torch.relu(linear(delta, self.decay_h, self.bias_decay_h)))  # (B, T, H)
        x = torch.where(observed, values, gamma_x * before)
        A = linear(torch.cat([x, observed.to(X.dtype)], dim=2), self.weight_ih, self.bias_ih)
        return A, gamma_h, (last[:, -1], ages[:, -1], begun[:, -1])

    def scan(self, X, state):
        """Take all steps, (B, T, 2 * n) -> (B, T, H), and the state after the last."""
        A, gamma, rest = self._prepare(X, state)
        U, U_candidate = self.weight_hh.split([2 * self.hidden_size, self.hidden_size])
        A, A_candidate = A.transpose(0, 1).split([2 * self.hidden_size, self.hidden_size], dim=2)  # (T, B, ...)
        h, outputs = state[0], []
        for a_t, candidate_t, gamma_t in zip(A.unbind(0), A_candidate.unbind(0), gamma.unbind(1), strict=True):
            h = gamma_t * h
            r, z = torch.sigmoid(a_t + linear(h, U)).chunk(2, dim=1)
            h = lerp(h, self.phi(candidate_t + linear(r * h, U_candidate)), z)
            outputs.append(h)
        return torch.stack(outputs, dim=1), (h, *rest)

    def forward(self, x_t, state):
        """Take one step: the new state."""
        return self.scan(x_t[:, None], state)[1]


def _affine(product, bias):
    return product if bias is None else product + bias
