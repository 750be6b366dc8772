"""Cells that read the network's output of the step before: Jordan's, and Jordan's with Elman's.

Shapes: B batch, T time steps, F input features, H hidden units, K numbers that are fed back.
"""

from numbers import Real

import torch
from torch import nn
from torch.nn.functional import linear, pad

from sktime_rnn.cells._base import as_nonlinearity, check_whole
from sktime_rnn.cells._memory import KeepingCell
from sktime_rnn.cells._minimal import gated_scan

FEEDBACKS = ("probability", "label", "raw")
_SCHEDULES = ("constant", "linear", "exponential", "sigmoid")


class JordanCell(KeepingCell):
    r"""Jordan cell: what the network puts out at one step, after its head, is read at the next.

    .. math::
        s_t &= \mu \odot s_{t-1} + (1 - \mu) \odot \sum_{i=1}^{d} V_i\, y_{t-i} \\
        h_t &= \phi(W_{ih} x_t + b_{ih} + s_t) \\
        y_t &= \operatorname{head}(h_t)

    with input x_t (F,), context s_t (H,), output h_t (H,) of the cell and y_t (K,) of the network; before the
    first step all are 0. W_ih is ``weight_ih`` (H, F), and ``weight_yh`` (H, d * K) holds V_1, ..., V_d side by side.
    With mu > 0 the context keeps a trace of itself: as traces are linear, it is that of V y, so that each unit can have
    a mu of its own. Jordan's has 1 in the place of 1 - mu, which V makes up for. With d > 1 this is a NARX network.

    With one target a sequence, y_t is the network's own output; gradients flow through it unless it is a label. With a
    target for every step the network is trained on the true outputs before (teacher forcing), all steps at once, and
    predicts from its own. RNNClassifier and RNNRegressor can have such cells, in layers that all read y_{t-1}, in one
    direction.

    Parameters
    ----------
    feedback : {"probability", "label", "raw"}, default=None
        What y_t is: probabilities; the most probable class, as zeros and a one; or what the head makes them of. None
        stands for "probability", and for "raw" where outputs are values: those in units of standard deviations.
    mu : {"spread", "learned"}, float or array of H floats, default=0.0
        The share of the context that is kept, in [0, 1). "spread": fixed, one a unit, with time constants evenly spaced
        on a log scale from 2 to ``longest`` steps. "learned": the sigmoid of a parameter that starts there.
    delays : int, default=1
        Number d of outputs that are read.
    nonlinearity : {"tanh", "relu", "sigmoid", "identity"} or callable, default="tanh"
        The function phi.
    longest : float, default=None
        Longest time constant in steps, for "spread" and "learned"; None stands for 100.
    teacher_forcing : float, default=1.0
        With a target for every step: the probability, reached at the end of training, that the true output is read, not
        the network's own.
    teacher_forcing_schedule : {"constant", "linear", "exponential", "sigmoid"}, default="constant"
        How that probability falls from 1 (scheduled sampling).
    beam_width : int, default=1
        Number of beginnings kept when labels for steps are predicted, for ``feedback="label"``; 1 is greedy. It is for
        ``predict`` and ``score``; ``predict_proba`` reads the most probable label at each step.
    recurrent_init : {"orthogonal", "identity"} or float, default="orthogonal"
        Recurrent weights W_hh of an ElmanJordanCell at the start; a number is a spectral radius.

    References
    ----------
    M. I. Jordan (1986). Serial order: a parallel distributed processing approach. ICS report 8604, UC San Diego.
    M. C. Mozer (1989). A focused backpropagation algorithm for temporal pattern recognition. Complex Systems 3,
    349-381.
    T. Lin, B. G. Horne, P. Tino and C. L. Giles (1996). Learning long-term dependencies in NARX recurrent neural
    networks. IEEE Transactions on Neural Networks 7, 1329-1338.
    S. Bengio, O. Vinyals, N. Jaitly and N. Shazeer (2015). Scheduled sampling for sequence prediction with recurrent
    neural networks. NeurIPS.
    """

    needs_feedback = True
    n_states = 3
    learnable = ()
    has_recurrent_weights = False

    def __init__(
        self,
        feedback=None,
        mu=0.0,
        *,
        delays=1,
        nonlinearity="tanh",
        longest=None,
        teacher_forcing=1.0,
        teacher_forcing_schedule="constant",
        beam_width=1,
        recurrent_init="orthogonal",
    ):
        super().__init__(mu, longest, "mu", "in [0, 1)", recurrent_init)
        if feedback is not None and feedback not in FEEDBACKS:
            raise ValueError(
                f"feedback must be one of {list(FEEDBACKS)} or None, got {feedback!r}. Choose one of them."
            )
        check_whole("delays", delays, 1)
        check_whole("beam_width", beam_width, 1)
        if not isinstance(teacher_forcing, Real) or not 0 <= teacher_forcing <= 1:
            raise ValueError(
                f"teacher_forcing must be a number in [0, 1], got {teacher_forcing!r}. Choose such a number."
            )
        if teacher_forcing_schedule not in _SCHEDULES:
            raise ValueError(
                f"teacher_forcing_schedule must be one of {list(_SCHEDULES)}, got {teacher_forcing_schedule!r}. Choose "
                "one of them."
            )
        if teacher_forcing_schedule != "constant" and teacher_forcing == 1:
            raise ValueError(
                f"teacher_forcing_schedule={teacher_forcing_schedule!r} needs teacher_forcing below 1 to fall to, got "
                f"{teacher_forcing!r}. Lower it, or leave the schedule at 'constant'."
            )
        if recurrent_init != "orthogonal" and not self.has_recurrent_weights:
            raise ValueError(
                f"recurrent_init belongs to ElmanJordanCell, got {recurrent_init!r} for a {type(self).__name__}, which "
                "has no recurrent weights. Leave it out."
            )
        if beam_width > 1 and feedback != "label":
            raise ValueError(
                f"beam_width={beam_width} needs feedback='label', got feedback={feedback!r}: beginnings are sequences "
                "of labels. Set feedback='label', or leave beam_width at 1."
            )
        self.feedback = feedback
        self.mu = mu
        self.delays = delays
        self.phi = as_nonlinearity(nonlinearity)
        self.nonlinearity = nonlinearity
        self.teacher_forcing = teacher_forcing
        self.teacher_forcing_schedule = teacher_forcing_schedule
        self.beam_width = beam_width

    def build(self, input_size, hidden_size, bias=True, *, feedback_size):
        """Return a copy of the cell with uninitialised weights.

        Parameters
        ----------
        input_size, hidden_size : int
            F and H.
        bias : bool, default=True
            Whether the equations have bias terms.
        feedback_size : int
            K.

        Returns
        -------
        cell : JordanCell
            The cell with weights; draw them by :meth:`reset_parameters`.
        """
        cell = super().build(input_size, hidden_size, bias)
        cell.feedback_size = feedback_size
        cell.weight_yh = nn.Parameter(torch.empty(hidden_size, self.delays * feedback_size))
        cell.has_trace = cell.kept is None or bool(cell.kept.any())
        if not self.has_recurrent_weights:
            cell.weight_hh = cell.bias_hh = None
        return cell

    def reset_parameters(self, generator=None):
        """Draw new weights, see :class:`Cell`; those of the outputs like those of the inputs."""
        super().reset_parameters(generator)
        nn.init.xavier_uniform_(self.weight_yh, generator=generator)

    def initial_state(self, batch_size, like):
        """Return h_0, s_0 (B, H) and the outputs before the last, (B, (d - 1) * K): zeros."""
        widths = (self.hidden_size, self.hidden_size, (self.delays - 1) * self.feedback_size)
        return tuple(like.new_zeros(batch_size, width) for width in widths)

    def step(self, a_t, state, feedback):
        """Take one step, given what :meth:`inputs` has made of its input.

        Parameters
        ----------
        a_t : tensor of shape (B, H)
            ``W_ih x_t + b_ih``.
        state : tuple of tensors
            ``(h_{t-1}, s_{t-1}, y_{t-2} ... y_{t-d})``.
        feedback : tensor of shape (B, K)
            y_{t-1}.

        Returns
        -------
        state : tuple of tensors
            ``(h_t, s_t, y_{t-1} ... y_{t-d+1})``.
        """
        h, s, before = state
        window = torch.cat([feedback, before], dim=1) if self.delays > 1 else feedback  # (B, d * K)
        v = linear(window, self.weight_yh)
        s = v + self.shares() * (s - v) if self.has_trace else v
        return self._output(a_t + s, h), s, window[:, : before.shape[1]]

    def _output(self, a, h):
        return self.phi(a)

    def forward(self, x_t, state, feedback):
        """Take one step: the new state."""
        return self.step(self.inputs(x_t), state, feedback)

    def forced(self, X, Y):
        """Take all steps, given what is fed back at each.

        Parameters
        ----------
        X : tensor of shape (B, T, F)
            Inputs.
        Y : tensor of shape (B, T, K)
            y_{t-1} for every step t.

        Returns
        -------
        outputs : tensor of shape (B, T, H)
            h_t.
        """
        T = Y.shape[1]
        window = torch.cat([pad(Y, (0, 0, i, 0))[:, :T] for i in range(self.delays)], dim=2)
        S = linear(window, self.weight_yh).transpose(0, 1)  # (T, B, H)
        if self.has_trace:
            forget = -self.kept.logit() if self.kept_logit is None else -self.kept_logit
            S = gated_scan(forget.to(S.dtype).expand_as(S), S, S.new_zeros(S.shape[1:]))
        return self._outputs(self.inputs(X.transpose(0, 1)) + S).transpose(0, 1)

    def _outputs(self, A):
        return self.phi(A)


class ElmanJordanCell(JordanCell):
    r"""Elman and Jordan cell in one: it reads its own state and the network's output of the step before.

    .. math::
        s_t &= \mu \odot s_{t-1} + (1 - \mu) \odot \sum_{i=1}^{d} V_i\, y_{t-i} \\
        h_t &= \phi(W_{ih} x_t + b_{ih} + W_{hh} h_{t-1} + b_{hh} + s_t) \\
        y_t &= \operatorname{head}(h_t)

    with W_hh ``weight_hh`` (H, H); all else, and the parameters, are those of :class:`JordanCell`.

    References
    ----------
    M. I. Jordan (1986). Serial order: a parallel distributed processing approach. ICS report 8604, UC San Diego.
    J. L. Elman (1990). Finding structure in time. Cognitive Science 14, 179-211.
    """

    has_recurrent_weights = True

    def _output(self, a, h):
        return self.phi(a + self.recurrence(h))

    def _outputs(self, A):
        h, outputs = A.new_zeros(A.shape[1:]), []
        for a_t in A.unbind(0):
            h = self._output(a_t, h)
            outputs.append(h)
        return torch.stack(outputs)
