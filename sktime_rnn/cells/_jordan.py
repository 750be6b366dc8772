"""Cells that read the network's last output: Jordan, Elman and Jordan, and NARX networks.

Shapes: B batch, T time steps, F input features, H hidden units, K width of the feedback, d delays.
"""

from numbers import Integral, Real

import torch
from torch import nn
from torch.nn.functional import linear, pad

from sktime_rnn.cells._base import StepCell, as_nonlinearity, init_recurrent_

FEEDBACKS = ("probability", "label", "raw")


class JordanCell(StepCell):
    r"""Recurrence through the network's own output (Jordan 1986).

    .. math::
        u_t &= (1 - \mu) y_{t-1} + \mu u_{t-1} \\
        h_t &= \phi(W x_t + b + V_1 u_t + V_2 u_{t-1} + \dots + V_d u_{t-d+1} + U h_{t-1})

    with input x_t (F,), output y_t (K,) of the head, context u_t (K,), state h_t (H,) and weights W (H, F), V_i (H, K),
    U (H, H). A Jordan network has no U; with ``recurrent=True`` it is that of Elman as well. mu > 0 gives the context a
    connection to itself, an exponential trace of outputs (Mozer 1989); several delays d make a NARX network (Lin,
    Horne, Tino and Giles 1996).

    With one target a sequence, the head reads every state and y_t is what it makes of it. With a target a step, true
    targets take the place of y_t in training (teacher forcing; all steps at once where nothing else recurs), and
    predictions are made step by step from those before.

    Parameters
    ----------
    feedback : {"probability", "label", "raw"}, default="probability"
        What is fed back of an output: probabilities of classes, the most probable class as 0 and 1, or what the softmax
        is taken of. Values are fed back in units of their standard deviation, whatever this is.
    recurrent : bool, default=False
        Whether the cell reads its own state too.
    delays : int, default=1
        Number d of outputs that are read.
    mu : float, default=0.0
        Share of the context that stays.
    teacher_forcing : float, default=1.0
        Probability that a step in training reads the true output; with ``feedback="raw"`` no class does.
    teacher_forcing_schedule : {"constant", "linear", "exponential", "sigmoid"}, default="constant"
        How that probability falls from 1 over training.
    nonlinearity : {"tanh", "relu", "sigmoid", "identity"} or callable, default="tanh"
        The function phi.
    recurrent_init : {"orthogonal", "identity"} or float, default="orthogonal"
        U at the start; a number is a spectral radius.

    References
    ----------
    M. I. Jordan (1986). Serial order: a parallel distributed processing approach. UCSD, ICS report 8604.
    M. C. Mozer (1989). A focused backpropagation algorithm for temporal pattern recognition. Complex Systems 3.
    T. Lin, B. G. Horne, P. Tino and C. L. Giles (1996). Learning long-term dependencies in NARX recurrent neural
    networks. IEEE Transactions on Neural Networks 7.
    """

    needs_feedback = True

    def __init__(
        self,
        feedback="probability",
        *,
        recurrent=False,
        delays=1,
        mu=0.0,
        teacher_forcing=1.0,
        teacher_forcing_schedule="constant",
        nonlinearity="tanh",
        recurrent_init="orthogonal",
    ):
        super().__init__(recurrent_init)
        if feedback not in FEEDBACKS:
            raise ValueError(f"feedback must be one of {list(FEEDBACKS)}, got {feedback!r}. Choose one of them.")
        if not isinstance(delays, Integral) or delays < 1:
            raise ValueError(f"delays must be a whole number from 1 on, got {delays!r}. Pass 1, say.")
        if not isinstance(mu, Real) or not 0 <= mu < 1:
            raise ValueError(f"mu must be a number from 0 on and below 1, got {mu!r}. Pass 0.5, say.")
        if not isinstance(teacher_forcing, Real) or not 0 <= teacher_forcing <= 1:
            raise ValueError(f"teacher_forcing must be a probability, got {teacher_forcing!r}. Pass 1.0, say.")
        self.feedback = feedback
        self.recurrent = recurrent
        self.delays = delays
        self.mu = mu
        self.teacher_forcing = teacher_forcing
        self.teacher_forcing_schedule = teacher_forcing_schedule
        self.nonlinearity = nonlinearity
        self.phi = as_nonlinearity(nonlinearity)

    @property
    def n_states(self):
        """The state h, and the last d contexts."""
        return 2

    @property
    def n_learned(self):
        """The state h alone may be learned at the start."""
        return 1

    @property
    def steps_apart(self):
        """Whether a state depends on inputs and outputs alone, so that all steps may be taken at once."""
        return not self.recurrent and self.mu == 0

    def build(self, input_size, hidden_size, bias=True, feedback_size=1):
        """Return a copy of the cell with uninitialised weights.

        Parameters
        ----------
        input_size : int
            Number F of features of a step.
        hidden_size : int
            Number H of hidden units.
        bias : bool, default=True
            Whether the equations have bias terms.
        feedback_size : int, default=1
            Width K of the head's output.

        Returns
        -------
        cell : JordanCell
            With ``weight_yh`` (H, d * K) beside the weights of every cell; ``weight_hh`` is None without ``recurrent``.
        """
        cell = super().build(input_size, hidden_size, bias)
        cell.feedback_size = feedback_size
        cell.weight_yh = nn.Parameter(torch.empty(hidden_size, self.delays * feedback_size))
        if not self.recurrent:
            cell.weight_hh = None
            cell.bias_hh = None
        return cell

    def reset_parameters(self, generator=None):
        """Draw new weights: of outputs like those of inputs (Glorot and Bengio 2010).

        Parameters
        ----------
        generator : torch.Generator, default=None
            Source of the random numbers.
        """
        nn.init.xavier_uniform_(self.weight_yh, generator=generator)
        if self.recurrent:
            init_recurrent_(
                self.weight_ih,
                self.weight_hh,
                self.bias_ih,
                self.bias_hh,
                recurrent_init=self.recurrent_init,
                generator=generator,
            )
            return
        nn.init.xavier_uniform_(self.weight_ih, generator=generator)
        if self.bias_ih is not None:
            nn.init.zeros_(self.bias_ih)

    def state_sizes(self, hidden_size):
        """Return the widths of h and of the last d contexts."""
        return hidden_size, self.delays * self.feedback_size

    def step(self, a_t, state, feedback):
        """Return ``(h_t, contexts)``, the newest context first."""
        h, contexts = state
        new = feedback
        if self.mu:
            new = (1 - self.mu) * feedback + self.mu * contexts[:, : self.feedback_size]
        contexts = torch.cat([new, contexts[:, : (self.delays - 1) * self.feedback_size]], dim=1)
        a = a_t + linear(contexts, self.weight_yh)
        if self.recurrent:
            a = a + self.recurrence(h)
        return self.phi(a), contexts

    def at_once(self, A, Y):
        """Take all steps, of which all outputs before are known; for a cell whose :attr:`steps_apart` is True.

        Parameters
        ----------
        A : tensor of shape (B, T, H)
            What :meth:`inputs` gave.
        Y : tensor of shape (B, T, K)
            The output before each step.

        Returns
        -------
        outputs : tensor of shape (B, T, H)
            The states h.
        """
        T = Y.shape[1]
        delayed = [pad(Y, (0, 0, i, 0))[:, :T] for i in range(self.delays)]
        return self.phi(A + linear(torch.cat(delayed, dim=2), self.weight_yh))
