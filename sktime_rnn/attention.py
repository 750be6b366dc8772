"""Attention: weights over the steps of a sequence that sum to one.

Shapes: B batch, T time steps, D width of a step.
"""

import torch
from torch import nn
from torch.nn.utils import skip_init


class AttentionPooling(nn.Module):
    r"""Weighted mean of the steps of a sequence, the weights learnt from the steps themselves.

    .. math:: e_t = v^\top \tanh(W h_t + b), \quad
              \alpha_t = \exp(e_t) / \sum_{s \le L} \exp(e_s), \quad c = \sum_{t \le L} \alpha_t h_t

    with steps h_t (D,), weights W (D, D), b (D,), v (D,) and L the length of the sequence.

    Parameters
    ----------
    size : int
        Width D of a step.

    References
    ----------
    Z. Yang et al. (2016). Hierarchical attention networks for document classification. NAACL.
    """

    def __init__(self, size):
        super().__init__()
        self.projection = skip_init(nn.Linear, size, size)
        self.score = skip_init(nn.Linear, size, 1, bias=False)

    def reset_parameters(self, generator=None):
        """Draw new weights; the attention starts even over the steps.

        Parameters
        ----------
        generator : torch.Generator, default=None
            Source of the random numbers.
        """
        nn.init.xavier_uniform_(self.projection.weight, generator=generator)
        nn.init.zeros_(self.projection.bias)
        nn.init.zeros_(self.score.weight)

    def weights(self, H, mask):
        """Return the weight of every step.

        Parameters
        ----------
        H : tensor of shape (B, T, D)
            Steps.
        mask : bool tensor of shape (B, T)
            True on valid steps.

        Returns
        -------
        weights : tensor of shape (B, T)
            They sum to 1 over the valid steps and are 0 on the padding.
        """
        scores = self.score(torch.tanh(self.projection(H)))[:, :, 0]
        return scores.masked_fill(~mask, -torch.inf).softmax(dim=1)

    def forward(self, H, mask):
        """Return the weighted mean, a tensor of shape (B, D)."""
        H = H.masked_fill(~mask[:, :, None], 0.0)  # relu may overflow on long padding, and 0 * inf is NaN
        return torch.einsum("bt,btd->bd", self.weights(H, mask), H)
