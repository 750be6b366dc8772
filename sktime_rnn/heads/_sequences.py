"""Heads of whole sequences: values whose number is found too, and symbols that are aligned to their input.

Shapes: N rows, K values.
"""

import torch
from torch.nn import functional as F

from sktime_rnn.heads._base import Head, weighted_mean
from sktime_rnn.heads._values import PointHead

_WEIGHT_OF_ENDS = 5.0
_HEAD_START = 3.0  # of the blank, in units of log-odds


class SeriesHead(PointHead):
    r"""K values a step, some of them unknown (NaN), and the length of the sequence where it is not given.

    With ``length="stop"`` or ``"predict"``, a sequence of L steps has L + 1 rows: one for each step, and one for its
    end, whose values are NaN. The last raw output z tells of the length. With "stop", step t is the end with
    probability

    .. math:: p_t = P(L = t \mid L \ge t) = \sigma(z_t)

    and its cross-entropy is added to the loss of the values, five times: one step of many is the end. With "predict", z
    is the logarithm of L + 1, standardised, and its squared error is added.

    Parameters
    ----------
    n_outputs : int
        Number K of values.
    loss : {"squared_error", "absolute_error", "huber"}, default="squared_error"
        Loss of the values.
    length : {"given", "stop", "predict"}, default="given"
        Where the length comes from.
    """

    def __init__(self, n_outputs, loss="squared_error", length="given"):
        super().__init__(n_outputs, loss)
        self.length = length
        if length == "predict":
            self.register_buffer("length_loc", torch.zeros((), dtype=torch.float64))
            self.register_buffer("length_scale", torch.ones((), dtype=torch.float64))

    @property
    def raw_size(self):
        """Width of the raw output that is made step by step."""
        return self.n_outputs + (self.length == "stop")

    def loss(self, raw, y, mask=None, weight=None):
        """Return the loss of values and length together.

        Parameters
        ----------
        raw : tensor of shape (N, K) or (N, K + 1)
            Raw outputs.
        y : tensor of shape (N, K) or (N, K + 1)
            Values; then, where the length is not given, 1 at ends and 0 elsewhere, or the logarithm of L + 1.
        mask : None
            There for the common interface.
        weight : tensor of shape (N,), default=None
            Weights of the rows.

        Returns
        -------
        loss : tensor of shape ()
            The average loss of the known values, plus that of the lengths.
        """
        values = y[:, : self.n_outputs]
        known = ~values.isnan()
        losses = self.losses(raw[:, : self.n_outputs], values.masked_fill(~known, 0.0))
        loss = weighted_mean(losses, known, weight)
        if self.length == "given":
            return loss
        z, end = raw[:, -1], y[:, -1]
        if self.length == "stop":
            losses = _WEIGHT_OF_ENDS * F.binary_cross_entropy_with_logits(z, end.to(z.dtype), reduction="none")
        else:
            losses = F.mse_loss(z, ((end - self.length_loc) / self.length_scale).to(z.dtype), reduction="none")
        return loss + weighted_mean(losses, None, weight)

    def n_rows(self, z):
        """Return the number L + 1 of rows that a raw output tells of, int64 of the shape of z and at least 1."""
        return (z.double() * self.length_scale + self.length_loc).exp().round().clamp(1, 1 << 31).long()

    def predict(self, raw):
        """Return values in the unit of y, (..., K)."""
        return super().predict(raw[..., : self.n_outputs])


class AlignmentHead(Head):
    r"""Symbols of a sequence that is shorter than its input, aligned to it in all possible ways (CTC).

    .. math:: p(y \mid x) = \sum_{\pi \in B^{-1}(y)} \prod_t p_t(\pi_t \mid x)

    over all paths pi of symbols and blanks that become y when repetitions are joined and blanks are dropped.

    Parameters
    ----------
    n_symbols : int
        Number K of codes, blank among them.
    blank : int
        Code of the blank.

    References
    ----------
    A. Graves, S. Fernandez, F. Gomez and J. Schmidhuber (2006). Connectionist temporal classification. ICML.
    """

    def __init__(self, n_symbols, blank):
        super().__init__(n_symbols)
        self.blank = blank

    def reset_parameters(self, generator=None):
        """Draw new weights; the blank starts out more probable than any symbol, as it will be in most steps."""
        super().reset_parameters(generator)
        with torch.no_grad():
            self.linear.bias[self.blank] = _HEAD_START

    def negative_log_likelihood(self, raw, lengths, y, y_lengths):
        """Return minus the log-probability of every transcript.

        Parameters
        ----------
        raw : tensor of shape (B, T, K)
            Raw outputs of every input step.
        lengths : int64 tensor of shape (B,)
            Number of valid input steps.
        y : int64 tensor of shape (B, S)
            Transcripts, padded on the right.
        y_lengths : int64 tensor of shape (B,)
            Their lengths.

        Returns
        -------
        loss : tensor of shape (B,)
            Infinite where a transcript has no alignment.
        """
        log_proba = raw.log_softmax(-1).transpose(0, 1)  # (T, B, K)
        return F.ctc_loss(log_proba, y, lengths, y_lengths, blank=self.blank, reduction="none")

    def losses(self, raw, y):
        """Return the loss a symbol, (N,), of likelihoods (N, 1) and lengths of transcripts (N,)."""
        return raw[:, 0] / y.clamp(min=1)

    def predict(self, raw):
        """Return the code of the most probable symbol or blank of every step, (...,)."""
        return raw.argmax(-1)
