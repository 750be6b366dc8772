"""Networks whose cell reads what the head has made of the step before (Jordan networks).

Shapes: B batch, T time steps of the longest sequence in the batch, F features, H hidden units, K width of the feedback.
"""

import torch
from torch.nn.functional import one_hot, pad

from sktime_rnn.attention import AttentionPooling
from sktime_rnn.heads import CategoricalHead, MultiLabelHead, MultiOutputHead
from sktime_rnn.layers import Dropout
from sktime_rnn.networks._recurrent import StepReader, pool_max, pool_mean, valid_steps


def fed_back(head, raw, how):
    """Return what is fed back of a head's raw outputs, (..., raw_size) of the same shape.

    Parameters
    ----------
    head : Head
        The head.
    raw : tensor of shape (..., raw_size)
        Its raw outputs.
    how : {"probability", "label", "raw"}
        See :class:`~sktime_rnn.cells.JordanCell`; values are always fed back as they are.

    Returns
    -------
    feedback : tensor of the same shape
        Probabilities, zeros and ones, or raw outputs.
    """
    if how == "raw" or not isinstance(head, CategoricalHead | MultiLabelHead | MultiOutputHead):
        return raw
    if isinstance(head, MultiLabelHead):
        return raw.sigmoid() if how == "probability" else (raw > 0).to(raw.dtype)
    sizes = head.n_classes if isinstance(head, MultiOutputHead) else [raw.shape[-1]]
    parts = raw.split(sizes, dim=-1)
    if how == "probability":
        return torch.cat([part.softmax(-1) for part in parts], dim=-1)
    return torch.cat([one_hot(part.argmax(-1), part.shape[-1]).to(raw.dtype) for part in parts], dim=-1)


def true_feedback(head, y, how):
    """Return what true targets would feed back, or None for classes with ``how="raw"``, which they cannot give.

    Parameters
    ----------
    head : Head
        The head.
    y : tensor of shape (B, T) or (B, T, n_outputs)
        Targets.
    how : {"probability", "label", "raw"}
        As in :func:`fed_back`.

    Returns
    -------
    feedback : tensor of shape (B, T, raw_size) or None
        Zeros and ones, or standardised values.
    """
    dtype = head.linear.weight.dtype
    if not isinstance(head, CategoricalHead | MultiLabelHead | MultiOutputHead):
        return ((y.reshape(*y.shape[:2], -1) - head.loc) / head.scale).to(dtype)
    if how == "raw":
        return None
    if isinstance(head, CategoricalHead):
        return one_hot(y, head.n_outputs).to(dtype)
    if isinstance(head, MultiLabelHead):
        return y.to(dtype)
    codes = zip(y.unbind(-1), head.n_classes, strict=True)
    return torch.cat([one_hot(code, n) for code, n in codes], dim=-1).to(dtype)


class FeedbackNetwork(StepReader):
    """One recurrent layer whose cell reads the head's output, and the head.

    Parameters
    ----------
    cell : Cell
        A cell whose ``needs_feedback`` is True.
    head : Head
        What comes out.
    input_shape : tuple of int
        Shape of a step.
    hidden_size : int
        Hidden units.
    bias : bool
        Whether the equations have bias terms.
    dropout : float
        Share of the features before the head that are set to zero in training; not of what is fed back.
    input_noise, step_network, token_counts, embedding_dim, n_flags
        As in :class:`StepReader`.
    pooling : {"last", "mean", "max", "attention"}
        How the steps become one vector.
    per_step : bool
        Give an output for every step.

    Attributes
    ----------
    teacher_forcing : float
        Probability that a step in training reads the true output.
    """

    def __init__(
        self,
        cell,
        head,
        *,
        input_shape,
        hidden_size,
        bias=True,
        dropout=0.0,
        input_noise=0.0,
        pooling="last",
        per_step=False,
        step_network=None,
        token_counts=None,
        embedding_dim=None,
        n_flags=0,
    ):
        super().__init__(input_shape, input_noise, step_network, token_counts, embedding_dim, n_flags)
        self.head = head.connect(hidden_size)
        self.cell = cell.build(self.vector_size, hidden_size, bias, feedback_size=head.raw_size)
        self.pooling = pooling
        self.per_step = per_step
        self.attention = AttentionPooling(hidden_size) if pooling == "attention" and not per_step else None
        self.dropout = Dropout(dropout)
        self.teacher_forcing = cell.teacher_forcing
        self.generator = None

    def reset_parameters(self, generator=None):
        """Draw new weights for every part but ``step_network``.

        Parameters
        ----------
        generator : torch.Generator, default=None
            Source of the random numbers.
        """
        for part in (self.embedding, self.cell, self.attention, self.head):
            if part is not None:
                part.reset_parameters(generator)

    def _read_out(self, h):
        return fed_back(self.head, self.head(h), self.cell.feedback).to(h.dtype)

    def _states(self, X, y):
        """Return the states of all steps, (B, T, H), given the true outputs or none."""
        A = self.cell.inputs(X)
        Y = None if y is None else true_feedback(self.head, y, self.cell.feedback)
        before = None if Y is None else pad(Y, (0, 0, 1, 0))[:, :-1]  # nothing comes before the first step
        forcing = self.teacher_forcing if self.training else 1.0
        if before is not None and forcing == 1 and self.cell.steps_apart:
            return self.cell.at_once(A, before)
        forced = None
        if before is not None and forcing < 1:
            forced = torch.empty(A.shape[:2], device=A.device).bernoulli_(forcing, generator=self.generator).bool()
        state, outputs = self.cell.initial_state(len(A), A), []
        feedback = A.new_zeros(len(A), self.head.raw_size)
        for t, a_t in enumerate(A.unbind(1)):
            if before is not None:
                true = before[:, t]
                feedback = true if forced is None or t == 0 else torch.where(forced[:, t, None], true, feedback)
            state = self.cell.step(a_t, state, feedback)
            outputs.append(state[0])
            if before is None or forced is not None:
                feedback = self._read_out(state[0])
        return torch.stack(outputs, dim=1)

    def forward(self, X, lengths, y=None):
        """Return the raw output.

        Parameters
        ----------
        X : tensor of shape (B, T, *input_shape), or of codes (B, T)
            A batch, padded on the right.
        lengths : int64 tensor of shape (B,)
            Number of valid steps of each sequence.
        y : tensor of shape (B, T) or (B, T, n_outputs), default=None
            Targets of every step, which are then read in place of the network's own outputs.

        Returns
        -------
        raw : tensor of shape (B, raw_size) or (B, T, raw_size)
            What the head turns into a loss or a prediction.
        """
        H = self._states(self.vectors(X, lengths), y)
        if not self.per_step:
            H = self._pool(H, lengths)
        return self.head(self.dropout(H))

    def _pool(self, H, lengths):
        if self.pooling == "last":
            return H[torch.arange(len(H), device=H.device), lengths - 1]
        mask = valid_steps(lengths, H.shape[1])
        if self.pooling == "attention":
            return self.attention(H, mask)
        return {"mean": pool_mean, "max": pool_max}[self.pooling](H, mask)
