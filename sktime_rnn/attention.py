"""Attention: weights over the steps of a sequence that sum to one.

Shapes: B batch, T time steps, D width of a step.
"""

from abc import ABC, abstractmethod

import torch
from torch import nn
from torch.nn.utils import skip_init
from torch.utils.checkpoint import checkpoint

_SCORED_AT_ONCE = 1 << 20  # numbers of an additive score that are held at a time


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


class Attention(nn.Module, ABC):
    r"""Weights over the steps of an input sequence, given a state of the decoder that reads it.

    .. math:: \alpha_{tj} = \exp(e_{tj}) / \sum_{k \le L} \exp(e_{tk}), \quad c_t = \sum_{j \le L} \alpha_{tj} h_j

    with scores e_tj of step j for the state s_t, steps h_j (D,) and L the length of the input sequence. Subclasses
    write :meth:`keys` and :meth:`scores`.

    Shapes: B sequences, T_in input steps, T_out output steps, D width of an input step, H width of a state.

    Parameters
    ----------
    query_size, memory_size : int
        H and D.
    """

    def __init__(self, query_size, memory_size):
        super().__init__()
        self.query_size = query_size
        self.memory_size = memory_size

    def reset_parameters(self, generator=None):
        """Draw new weights (Glorot and Bengio 2010); biases are 0.

        Parameters
        ----------
        generator : torch.Generator, default=None
            Source of the random numbers.
        """
        for name, weight in self.named_parameters():
            if name.endswith("bias"):
                nn.init.zeros_(weight)
            else:
                nn.init.xavier_uniform_(weight, generator=generator)

    @abstractmethod
    def keys(self, memory):
        """Return what the scores need of the input steps, found once a sequence: (B, T_in, D) -> (B, T_in, K)."""

    @abstractmethod
    def scores(self, queries, keys):
        """Return the scores e, (B, T_out, H) and (B, T_in, K) -> (B, T_out, T_in)."""

    def forward(self, queries, keys, memory, mask):
        """Return what is attended to, and the weights.

        Parameters
        ----------
        queries : tensor of shape (B, T_out, H)
            States s_t.
        keys : tensor of shape (B, T_in, K)
            What :meth:`keys` gave.
        memory : tensor of shape (B, T_in, D)
            Input steps h_j; those of the padding are finite.
        mask : bool tensor of shape (B, T_in)
            True on valid steps.

        Returns
        -------
        contexts : tensor of shape (B, T_out, D)
            The weighted means c_t.
        weights : tensor of shape (B, T_out, T_in)
            They sum to 1 over the valid input steps and are 0 on the padding.
        """
        scores = self.scores(queries, keys)
        weights = scores.masked_fill(~mask[:, None], -torch.inf).softmax(dim=2)
        return weights @ memory, weights


class AdditiveAttention(Attention):
    r"""Scores of a small network (Bahdanau, Cho and Bengio 2014).

    .. math:: e_{tj} = v^\top \tanh(W s_t + U h_j + b)

    with weights W (H, H), U (H, D), b (H,), v (H,).

    Parameters
    ----------
    query_size, memory_size : int
        H and D.

    References
    ----------
    D. Bahdanau, K. Cho and Y. Bengio (2014). Neural machine translation by jointly learning to align and translate.
    arXiv:1409.0473.
    """

    def __init__(self, query_size, memory_size):
        super().__init__(query_size, memory_size)
        self.query = skip_init(nn.Linear, query_size, query_size, bias=False)
        self.key = skip_init(nn.Linear, memory_size, query_size)
        self.score = skip_init(nn.Linear, query_size, 1, bias=False)

    def keys(self, memory):
        """Return ``U h_j + b``."""
        return self.key(memory)

    def scores(self, queries, keys):
        """Return the scores; of many steps, some output steps at a time, so that memory stays within bounds."""
        queries = self.query(queries)
        n_at_once = max(1, _SCORED_AT_ONCE // (keys.shape[0] * keys.shape[1] * keys.shape[2]))
        if n_at_once >= queries.shape[1]:
            return self._part(queries, keys)
        part = self._recomputed if self.training else self._part
        return torch.cat([part(some, keys) for some in queries.split(n_at_once, dim=1)], dim=1)

    def _recomputed(self, queries, keys):
        return checkpoint(self._part, queries, keys, use_reentrant=False, preserve_rng_state=False)

    def _part(self, queries, keys):
        return self.score(torch.tanh(queries[:, :, None] + keys[:, None]))[..., 0]


class DotAttention(Attention):
    r"""The product of state and input step, which have the same width (Luong, Pham and Manning 2015).

    .. math:: e_{tj} = s_t^\top h_j

    Parameters
    ----------
    query_size, memory_size : int
        H and D, which are equal.

    References
    ----------
    M.-T. Luong, H. Pham and C. D. Manning (2015). Effective approaches to attention-based neural machine translation.
    EMNLP.
    """

    def keys(self, memory):
        """Return the input steps themselves."""
        return memory

    def scores(self, queries, keys):
        """Return the products."""
        return queries @ keys.transpose(1, 2)


class GeneralAttention(Attention):
    r"""A bilinear form of state and input step (Luong, Pham and Manning 2015).

    .. math:: e_{tj} = s_t^\top W h_j

    with weights W (H, D).

    Parameters
    ----------
    query_size, memory_size : int
        H and D.

    References
    ----------
    M.-T. Luong, H. Pham and C. D. Manning (2015). Effective approaches to attention-based neural machine translation.
    EMNLP.
    """

    def __init__(self, query_size, memory_size):
        super().__init__(query_size, memory_size)
        self.key = skip_init(nn.Linear, memory_size, query_size, bias=False)

    def keys(self, memory):
        """Return ``W h_j``."""
        return self.key(memory)

    def scores(self, queries, keys):
        """Return the products of states and keys."""
        return queries @ keys.transpose(1, 2)


ATTENTIONS = {"additive": AdditiveAttention, "dot": DotAttention, "general": GeneralAttention}
