"""Heads of whole sequences: values whose number is found too, and symbols that are aligned to their input.

Shapes: N rows, K values.
"""

from torch.nn import functional as F

from sktime_rnn.heads._base import Head, weighted_mean
from sktime_rnn.heads._values import PointHead


class SeriesHead(PointHead):
    r"""K values a step, some of them unknown (NaN), and the length of the sequence where it is not given.

    With ``length="stop"`` or ``"predict"``, a sequence of L steps has L + 1 rows: one for each step, and one for its
    end, whose values are NaN. The last raw output z tells of the length. With "stop", step t is the end with
    probability

    .. math:: p_t = P(L = t \mid L \ge t) = \sigma(z_t)

    and its cross-entropy is added to the loss of the values. With "predict", z is the logarithm of L + 1, and its
    squared error is added.

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
        z, target = raw[:, -1], y[:, -1].to(raw.dtype)
        of_length = F.binary_cross_entropy_with_logits if self.length == "stop" else F.mse_loss
        return loss + weighted_mean(of_length(z, target, reduction="none"), None, weight)

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
