"""What comes out of a network: an output object knows its size, its loss and its prediction.

Shapes: N rows (one a sequence, or one a valid step), D width of the features, K outputs.
A row's loss is averaged over its outputs; rows are averaged with their weights.
"""

from abc import ABC, abstractmethod

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import skip_init


def weighted_mean(losses, mask=None, weight=None):
    """Average losses over rows, ``sum(w * l) / sum(w)``.

    Parameters
    ----------
    losses : tensor of shape (N,) or (N, K)
        One loss a row, or one for each of its outputs.
    mask : bool tensor of the same shape, default=None
        False where a loss does not count.
    weight : tensor of shape (N,), default=None
        Weight of a row, at least 0.

    Returns
    -------
    loss : tensor of shape ()
        The average.
    """
    if mask is None and weight is None:
        return losses.sum() / losses.numel()
    share = torch.ones_like(losses) if mask is None else mask.to(losses.dtype)
    if weight is not None:
        share = share * (weight if losses.ndim == 1 else weight[:, None])
    return (losses.masked_fill(share == 0, 0.0) * share).sum() / share.sum()


class Head(nn.Module, ABC):
    """The last layer with its loss: features (N, D) -> raw (N, n_outputs * n_params) -> prediction.

    Subclasses set ``n_params`` (raw values for each output) and write :meth:`losses` and :meth:`predict`.

    Parameters
    ----------
    n_outputs : int
        Number K of outputs.
    """

    n_params = 1

    def __init__(self, n_outputs):
        super().__init__()
        self.n_outputs = n_outputs
        self.linear = None

    @property
    def raw_size(self):
        """Width of the raw output."""
        return self.n_outputs * self.n_params

    def connect(self, in_features):
        """Add the linear map from features to raw outputs; a head of a user's own module has none.

        Parameters
        ----------
        in_features : int
            Width D of the features.

        Returns
        -------
        self : Head
            The head itself.
        """
        self.linear = skip_init(nn.Linear, in_features, self.raw_size)
        return self

    def reset_parameters(self, generator=None):
        """Draw new weights (Glorot and Bengio 2010).

        Parameters
        ----------
        generator : torch.Generator, default=None
            Source of the random numbers.
        """
        nn.init.xavier_uniform_(self.linear.weight, generator=generator)
        nn.init.zeros_(self.linear.bias)

    def forward(self, features):
        """Return the raw output ``W features + b``, in float64 when not training.

        A float32 matrix product rounds differently for batches of different size; in float64 a prediction does not
        depend on its batch.

        Parameters
        ----------
        features : tensor of shape (..., D)
            What the network has made of its input.

        Returns
        -------
        raw : tensor of shape (..., n_outputs * n_params)
            The raw output.
        """
        if self.training or features.device.type == "mps":
            return self.linear(features)
        weight, bias = self.linear.weight.double(), self.linear.bias.double()
        return F.linear(features.double(), weight, bias)

    def loss(self, raw, y, mask=None, weight=None):
        """Return the average loss, see :func:`weighted_mean`.

        Parameters
        ----------
        raw : tensor of shape (N, n_outputs * n_params)
            Raw outputs.
        y : tensor of shape (N,) or (N, K)
            Targets.
        mask : bool tensor, default=None
            False where a target does not count.
        weight : tensor of shape (N,), default=None
            Weights of the rows.

        Returns
        -------
        loss : tensor of shape ()
            The average loss.
        """
        if mask is not None:
            y = y.masked_fill(~mask, 0)  # the gradient of a loss that is NaN is NaN even with weight 0
        return weighted_mean(self.losses(raw, y), mask, weight)

    @abstractmethod
    def losses(self, raw, y):
        """Return the loss of each row, a tensor of shape (N,) or (N, K)."""

    @abstractmethod
    def predict(self, raw):
        """Return the predictions, a tensor of shape (N,) or (N, K)."""


class CategoricalHead(Head):
    """One of K classes: softmax and cross-entropy; y holds codes 0 to K - 1.

    Parameters
    ----------
    n_classes : int
        Number K of classes.
    """

    def __init__(self, n_classes):
        super().__init__(n_classes)

    def losses(self, raw, y):
        """Return minus the log-probability of the true class, (N,)."""
        return F.cross_entropy(raw, y, reduction="none")

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
        return -self.losses(raw, y)


class MultiLabelHead(Head):
    """K yes-or-no answers: independent Bernoulli; y holds 0 and 1, (N, K)."""

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


class MultiOutputHead(Head):
    """Several categorical outputs, each with its own classes; y holds codes, (N, K).

    Parameters
    ----------
    n_classes : list of int
        Number of classes of each output.
    """

    def __init__(self, n_classes):
        super().__init__(sum(n_classes))
        self.n_classes = list(n_classes)

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


POINT_LOSSES = {
    "squared_error": F.mse_loss,
    "absolute_error": F.l1_loss,
    "huber": F.huber_loss,
}


class PointHead(Head):
    """K values; the loss is taken on ``(y - loc) / scale``, predictions come back in the unit of y.

    Parameters
    ----------
    n_outputs : int
        Number K of values.
    loss : {"squared_error", "absolute_error", "huber"}, default="squared_error"
        The loss; Huber's turns from squared to absolute at one ``scale``.
    """

    def __init__(self, n_outputs, loss="squared_error"):
        super().__init__(n_outputs)
        self.loss_name = loss
        self.register_buffer("loc", torch.zeros(n_outputs, dtype=torch.float64))
        self.register_buffer("scale", torch.ones(n_outputs, dtype=torch.float64))

    def losses(self, raw, y):
        """Return the loss of each value, (N, K)."""
        target = ((y.to(self.loc.dtype) - self.loc) / self.scale).to(raw.dtype)
        return POINT_LOSSES[self.loss_name](raw, target, reduction="none")

    def predict(self, raw):
        """Return values in the unit of y, (N, K)."""
        return raw.to(self.loc) * self.scale + self.loc
