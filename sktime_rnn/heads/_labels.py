"""Heads of classes: one of several, yes or no for each of several, and several at once.

Shapes: N rows, K outputs or classes.
"""

from abc import abstractmethod

import torch
from torch.nn import functional as F

from sktime_rnn.heads._base import Head


class LabelHead(Head):
    """What the heads of classes share: what a network may be fed back of them.

    ``feedbacks`` are the forms in which outputs can be fed back, ``known_feedbacks`` those in which true outputs can.
    """

    feedbacks = ("probability", "label", "raw")
    known_feedbacks = ("probability", "label")

    def feedback(self, raw, how):
        """Return what is fed back of raw outputs (N, raw_size): of the same shape, in one of ``feedbacks``."""
        if how == "raw":
            return raw
        if how == "label":
            return self.known_feedback(self.predict(raw))
        proba = self.predict_proba(raw)
        return torch.cat(proba, dim=-1) if isinstance(proba, list) else proba

    @abstractmethod
    def known_feedback(self, y):
        """Return true outputs as zeros and ones, (..., raw_size)."""


class CategoricalHead(LabelHead):
    """One of K classes: softmax and cross-entropy; y holds codes 0 to K - 1.

    Parameters
    ----------
    n_classes : int
        Number K of classes.
    label_smoothing : float, default=0.0
        In training, the share of the probability that is spread evenly over all classes (Szegedy et al. 2016).
    """

    def __init__(self, n_classes, label_smoothing=0.0):
        super().__init__(n_classes)
        self.label_smoothing = label_smoothing

    def known_feedback(self, y):
        """Return codes (...) as zeros and a one, (..., K)."""
        return F.one_hot(y, self.n_outputs)

    def losses(self, raw, y):
        """Return minus the log-probability of the true class, (N,)."""
        smoothing = self.label_smoothing if self.training else 0.0
        return F.cross_entropy(raw, y, reduction="none", label_smoothing=smoothing)

    def log_proba(self, raw):
        """Return log-probabilities, (N, K)."""
        return raw.log_softmax(-1)

    def predict_proba(self, raw):
        """Return probabilities, (N, K)."""
        return raw.softmax(-1)

    def decision(self, raw):
        """Return the log-odds of the second of two classes, (N,), otherwise raw, (N, K)."""
        return raw[:, 1] - raw[:, 0] if self.n_outputs == 2 else raw

    def predict(self, raw):
        """Return the code of the most probable class, (N,)."""
        return raw.argmax(-1)

    def log_likelihood(self, raw, y):
        """Return the log-probability of y, (N,)."""
        return -F.cross_entropy(raw, y, reduction="none")


class MultiLabelHead(LabelHead):
    """K yes-or-no answers: independent Bernoulli; y holds 0 and 1, (N, K)."""

    def known_feedback(self, y):
        """Return the answers as they are, (..., K)."""
        return y

    def losses(self, raw, y):
        """Return minus the log-probability of each answer, (N, K)."""
        return F.binary_cross_entropy_with_logits(raw, y.to(raw.dtype), reduction="none")

    def log_proba(self, raw):
        """Return the log-probability of each 1, (N, K)."""
        return F.logsigmoid(raw)

    def predict_proba(self, raw):
        """Return the probability of each 1, (N, K)."""
        return raw.sigmoid()

    def decision(self, raw):
        """Return the log-odds of each 1, (N, K)."""
        return raw

    def predict(self, raw):
        """Return 0 and 1, (N, K)."""
        return (raw > 0).long()

    def log_likelihood(self, raw, y):
        """Return the log-probability of all answers together, (N,)."""
        return -self.losses(raw, y).sum(-1)


class MultiOutputHead(LabelHead):
    """Several categorical outputs, each with its own classes; y holds codes, (N, K).

    Parameters
    ----------
    n_classes : list of int
        Number of classes of each output.
    """

    def __init__(self, n_classes):
        super().__init__(sum(n_classes))
        self.n_classes = list(n_classes)

    def known_feedback(self, y):
        """Return codes (..., K) as zeros and a one for each output, side by side."""
        return torch.cat([F.one_hot(y[..., k], n) for k, n in enumerate(self.n_classes)], dim=-1)

    def losses(self, raw, y):
        """Return minus the log-probability of each output's true class, (N, K)."""
        parts = zip(raw.split(self.n_classes, dim=-1), y.unbind(-1), strict=True)
        return torch.stack([F.cross_entropy(part, codes, reduction="none") for part, codes in parts], dim=-1)

    def log_proba(self, raw):
        """Return log-probabilities, one tensor (N, n_classes_k) for each output."""
        return [part.log_softmax(-1) for part in raw.split(self.n_classes, dim=-1)]

    def predict_proba(self, raw):
        """Return probabilities, one tensor (N, n_classes_k) for each output."""
        return [part.softmax(-1) for part in raw.split(self.n_classes, dim=-1)]

    def decision(self, raw):
        """Return unnormalised log-probabilities, one tensor (N, n_classes_k) for each output."""
        return list(raw.split(self.n_classes, dim=-1))

    def predict(self, raw):
        """Return the code of each output's most probable class, (N, K)."""
        return torch.stack([part.argmax(-1) for part in raw.split(self.n_classes, dim=-1)], dim=-1)

    def log_likelihood(self, raw, y):
        """Return the log-probability of all outputs together, (N,)."""
        return -self.losses(raw, y).sum(-1)
