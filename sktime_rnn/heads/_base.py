"""What every output shares: rows of raw values, a loss that is averaged over them, and a prediction.

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
        The average; 0 where nothing counts.
    """
    if mask is None and weight is None:
        return losses.sum() / losses.numel()
    share = torch.ones_like(losses) if mask is None else mask.to(losses.dtype)
    if weight is not None:
        share = share * (weight if losses.ndim == 1 else weight[:, None])
    total = share.sum().clamp(min=torch.finfo(losses.dtype).tiny)  # 0 where nobody observed a target
    return (losses.masked_fill(share == 0, 0.0) * share).sum() / total


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
