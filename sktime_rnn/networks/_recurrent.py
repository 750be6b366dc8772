"""Encoder, pooling and head: one output per sequence, or one per step.

Shapes: B batch, T time steps of the longest sequence in the batch, F features, D width of the encoder's output.
"""

import math

import torch
from torch import nn
from torch.nn.utils import skip_init

from sktime_rnn.attention import AttentionPooling
from sktime_rnn.layers import Dropout, GaussianNoise, Stacked, as_layers

UNKNOWN = 0
_UNKNOWN_STRENGTH = 0.25
_RARE = 30


def valid_steps(lengths, n_timesteps):
    """Return the mask of valid steps.

    Parameters
    ----------
    lengths : int64 tensor of shape (B,)
        Number of valid steps of each sequence.
    n_timesteps : int
        Padded length T.

    Returns
    -------
    mask : bool tensor of shape (B, T)
        True up to each sequence's length.
    """
    return torch.arange(n_timesteps, device=lengths.device) < lengths[:, None]


class TokenEmbedding(nn.Module):
    """A vector for each token; in training, tokens are now and then read as unknown.

    A token seen n times is replaced by the unknown one with probability ``1 - (1 - noise) n / (n + 0.25)``: the unknown
    token's vector is learnt although the training data hold no unknown token, most often in the place of rare ones.

    Parameters
    ----------
    counts : sequence of int of length V
        How often each of the V codes was seen in training; code 0 is the unknown token.
    embedding_dim : int
        Length of the vectors.
    noise : float, default=0.0
        Probability that is the same for all tokens.

    References
    ----------
    E. Kiperwasser and Y. Goldberg (2016). Simple and accurate dependency parsing using bidirectional LSTM feature
    representations. TACL 4, 313-327.
    """

    def __init__(self, counts, embedding_dim, noise=0.0):
        super().__init__()
        counts = torch.as_tensor(counts, dtype=torch.float32)
        self.embedding = skip_init(nn.Embedding, len(counts), embedding_dim)
        self.register_buffer("unknown_rate", 1 - (1 - noise) * counts / (counts + _UNKNOWN_STRENGTH))
        self.register_buffer("initial_scale", counts / (counts + _RARE))
        self.generator = None

    def reset_parameters(self, generator=None):
        """Draw new vectors: of variance 1 for frequent tokens, the smaller the rarer a token is.

        Parameters
        ----------
        generator : torch.Generator, default=None
            Source of the random numbers.
        """
        nn.init.normal_(self.embedding.weight, generator=generator)
        with torch.no_grad():
            self.embedding.weight.mul_(self.initial_scale[:, None])

    def forward(self, codes):
        """Return the vectors of the codes, (B, T) -> (B, T, embedding_dim)."""
        if self.training:
            forgotten = torch.bernoulli(self.unknown_rate[codes], generator=self.generator).bool()
            codes = codes.masked_fill(forgotten, UNKNOWN)
        return self.embedding(codes)


class StepNetwork(nn.Module):
    """A module run once over all valid steps of a batch, each step turned into a feature vector.

    Parameters
    ----------
    module : torch.nn.Module
        Maps (n_steps, *step_shape) to (n_steps, n_features).
    """

    def __init__(self, module):
        super().__init__()
        self.module = module

    def forward(self, X, lengths):
        """Return the features of the steps, (B, T, *step_shape) -> (B, T, n_features); the padding is 0."""
        mask = valid_steps(lengths, X.shape[1])
        features = self.module(X[mask])  # (n_valid, n_features)
        out = features.new_zeros(*mask.shape, features.shape[1])
        return out.masked_scatter(mask[:, :, None], features)


def pool_mean(H, mask):
    """Return the mean over valid steps, (B, T, D) -> (B, D)."""
    return torch.where(mask[:, :, None], H, 0.0).sum(1) / mask.sum(1, keepdim=True)


def pool_max(H, mask):
    """Return the maximum over valid steps, (B, T, D) -> (B, D)."""
    return H.masked_fill(~mask[:, :, None], -torch.inf).amax(1)


class StepReader(nn.Module):
    """What turns the steps of a batch into vectors: an embedding, or noise and a step network.

    Parameters
    ----------
    input_shape : tuple of int
        Shape of a step, ``(F,)`` for a vector; ignored for tokens.
    input_noise : float
        In training, standard deviation of the noise added to values, or share of the tokens read as unknown.
    step_network : torch.nn.Module or None
        See :class:`StepNetwork`; its weights stay as they are.
    token_counts : sequence of int or None
        For codes in place of values: see :class:`TokenEmbedding`.
    embedding_dim : int or None
        Length of a token's vector.
    n_flags : int, default=0
        How many channels at the end of a step are flags of missing values, which noise leaves alone.
    cell : Cell, default=None
        What reads the vectors, where it matters: one that ``reads_flags`` gets all values and then a flag for each.

    Attributes
    ----------
    vector_size : int
        Length of a step's vector.
    """

    def __init__(
        self,
        input_shape,
        input_noise=0.0,
        step_network=None,
        token_counts=None,
        embedding_dim=None,
        n_flags=0,
        cell=None,
    ):
        super().__init__()
        self.n_flags = n_flags
        self.splits_flags = cell is not None and cell.reads_flags
        self.exact_features = list(cell.exact_features) if self.splits_flags else []
        if token_counts is not None:
            self._refuse_to_flag("tokens", cell)
        elif step_network is not None:
            self._refuse_to_flag("what step_network makes of them", cell)
        self.embedding = None if token_counts is None else TokenEmbedding(token_counts, embedding_dim, input_noise)
        self.noise = GaussianNoise(input_noise)
        self.step_network = None if step_network is None else StepNetwork(step_network)
        if token_counts is not None:
            self.vector_size = embedding_dim
        elif step_network is not None:
            self.vector_size = _output_width(step_network, input_shape)
        else:
            self.vector_size = math.prod(input_shape)
            if self.splits_flags and not n_flags:
                self.vector_size *= 2

    def _refuse_to_flag(self, found, cell):
        if self.splits_flags:
            raise ValueError(
                f"{cell!r} must read values, and which of them are missing, got {found}. Choose another cell, or hand "
                "in values without step_network."
            )

    def vectors(self, X, lengths):
        """Return the vectors of steps, (B, T, *input_shape) or codes (B, T) -> (B, T, vector_size)."""
        if self.embedding is not None:
            return self.embedding(X)
        if self.splits_flags:
            values, flags = self._split(X)
            flags = torch.zeros_like(values) if flags is None else flags
            return torch.cat([values.flatten(2), flags.flatten(2)], dim=2)
        X = self.disturbed(X)
        return X.flatten(2) if self.step_network is None else self.step_network(X, lengths)

    def disturbed(self, X):
        """Return values with noise, in training, but for flags and what must be exact."""
        values, flags = self._split(X)
        return values if flags is None else torch.cat([values, flags], dim=-1)

    def _split(self, X):
        """Return values, disturbed, and their flags of missing ones, or None where there are no flags."""
        values, flags = X, None
        if self.n_flags:
            values, flags = X.split([X.shape[-1] - self.n_flags, self.n_flags], dim=-1)
        noisy = self.noise(values)
        if self.exact_features and noisy is not values:
            noisy = noisy.flatten(2)
            noisy[:, :, self.exact_features] = values.flatten(2)[:, :, self.exact_features]
            noisy = noisy.view_as(values)
        return noisy, flags


class RecurrentNetwork(StepReader):
    """Recurrent layers, what they read made into vectors before, a head after.

    Parameters
    ----------
    cell : Cell or Layers
        The cell of every layer, and how layers are connected.
    head : Head
        What comes out.
    input_shape : tuple of int
        Shape of a step, ``(F,)`` for a vector; ignored for tokens.
    hidden_size : int
        Hidden units of each layer and direction.
    num_layers, bidirectional, go_backwards, bias, initial_state
        As in :class:`~sktime_rnn.layers.Stacked`.
    dropout : float
        Share of values set to zero in training: between the layers and before the head.
    input_noise : float
        In training, standard deviation of the noise added to values, or share of the tokens read as unknown.
    pooling : {"last", "mean", "max", "attention"}
        How the steps become one vector.
    per_step : bool
        Give an output for every step; ``pooling`` has then nothing to do.
    step_network : torch.nn.Module, default=None
        See :class:`StepNetwork`; its weights stay as they are.
    token_counts : sequence of int, default=None
        For codes in place of values: see :class:`TokenEmbedding`.
    embedding_dim : int, default=None
        Length of a token's vector.
    n_flags : int, default=0
        As in :class:`StepReader`.
    """

    def __init__(
        self,
        cell,
        head,
        *,
        input_shape,
        hidden_size,
        num_layers=1,
        bidirectional=False,
        go_backwards=False,
        bias=True,
        initial_state="zeros",
        dropout=0.0,
        input_noise=0.0,
        pooling="last",
        per_step=False,
        step_network=None,
        token_counts=None,
        embedding_dim=None,
        n_flags=0,
    ):
        cell = as_layers(cell)
        super().__init__(input_shape, input_noise, step_network, token_counts, embedding_dim, n_flags, cell.cell)
        self.pooling = pooling
        self.per_step = per_step
        options = {
            "num_layers": num_layers,
            "bidirectional": bidirectional,
            "go_backwards": go_backwards,
            "bias": bias,
            "initial_state": initial_state,
            "dropout": dropout,
        }
        self.recurrent = self._make_recurrent(cell, head, hidden_size, options)
        width = self.recurrent.output_size
        self.attention = AttentionPooling(width) if pooling == "attention" and not per_step else None
        self.dropout = Dropout(dropout)
        self.head = head.connect(width)

    def reset_parameters(self, generator=None):
        """Draw new weights for every part but ``step_network``.

        Parameters
        ----------
        generator : torch.Generator, default=None
            Source of the random numbers.
        """
        for part in (self.embedding, self.recurrent, self.attention, self.head):
            if part is not None:
                part.reset_parameters(generator)

    def _make_recurrent(self, layers, head, hidden_size, options):
        return Stacked(layers, self.vector_size, hidden_size, **options)

    def _pool(self, H, lengths):
        mask = valid_steps(lengths, H.shape[1])
        if self.pooling == "attention":
            return self.attention(H, mask)
        return {"mean": pool_mean, "max": pool_max}[self.pooling](H, mask)

    def features(self, X, lengths):
        """Return what the head sees.

        Parameters
        ----------
        X : tensor of shape (B, T, *input_shape), or of codes (B, T)
            A batch, padded on the right.
        lengths : int64 tensor of shape (B,)
            Number of valid steps of each sequence.

        Returns
        -------
        features : tensor of shape (B, D) or (B, T, D)
            One vector a sequence, or one a step.
        """
        X = self.vectors(X, lengths)
        if self.per_step:
            return self.recurrent(X, lengths)
        if self.pooling == "last":
            return self.recurrent.last(X, lengths)
        return self._pool(self.recurrent(X, lengths), lengths)

    def forward(self, X, lengths):
        """Return the raw output.

        Parameters
        ----------
        X : tensor of shape (B, T, *input_shape), or of codes (B, T)
            A batch, padded on the right.
        lengths : int64 tensor of shape (B,)
            Number of valid steps of each sequence.

        Returns
        -------
        raw : tensor of shape (B, n_outputs * n_params) or (B, T, n_outputs * n_params)
            What the head turns into a loss or a prediction.
        """
        return self.head(self.dropout(self.features(X, lengths)))


class CustomNetwork(nn.Module):
    """A user's module with the head that reads its output.

    Parameters
    ----------
    module : torch.nn.Module
        Called as ``module(X, lengths)``, it returns (B, raw_size), or (B, T, raw_size) where there is an output per
        step.
    head : Head
        Used for loss and prediction only.
    per_step : bool
        Whether there is an output for every step.
    """

    def __init__(self, module, head, per_step):
        super().__init__()
        self.module = module
        self.head = head
        self.per_step = per_step

    def forward(self, X, lengths):
        """Return the module's output, its shape checked."""
        raw = self.module(X, lengths)
        expected = (*X.shape[: 2 if self.per_step else 1], self.head.raw_size)
        if raw.shape != expected:
            raise ValueError(
                f"network must return raw outputs of shape {expected} for X of shape {tuple(X.shape)} and these "
                f"targets, got {tuple(raw.shape)}. Change the width of its last layer, or its number of axes."
            )
        return raw


def _output_width(module, step_shape):
    training = module.training
    module.eval()
    with torch.no_grad():
        parameter = next(module.parameters(), torch.empty(0))
        out = module(torch.zeros((1, *step_shape), dtype=parameter.dtype, device=parameter.device))
    module.train(training)
    if out.ndim != 2:
        raise ValueError(
            f"step_network must map (n_steps, *{tuple(step_shape)}) to (n_steps, n_features), got an output of shape "
            f"{tuple(out.shape)} for one step. Add torch.nn.Flatten() at its end."
        )
    return out.shape[1]


class InputScaling(nn.Module):
    r"""Standardise values, and mark the missing ones: the constants travel with the network.

    .. math:: z = (x - \mu) / \sigma

    in float64, then cast to the training precision. Codes pass unchanged.

    Parameters
    ----------
    n_channels : int
        Length of the last axis of a step.
    dtype : torch.dtype, default=torch.float32
        Training precision.
    mask_missing : bool, default=False
        Read NaN as 0 after scaling and append to the last axis a 1 for each missing value, a 0 for each other.
    """

    def __init__(self, n_channels, dtype=torch.float32, mask_missing=False):
        super().__init__()
        self.register_buffer("mean", torch.zeros(n_channels, dtype=torch.float64))
        self.register_buffer("scale", torch.ones(n_channels, dtype=torch.float64))
        self.dtype = dtype
        self.mask_missing = mask_missing

    def forward(self, X):
        """Return what the network reads of the values (..., C): (..., C) or, with missing values, (..., 2 C)."""
        if not X.is_floating_point():
            return X
        Z = (torch.sub(X, self.mean).div_(self.scale)).to(self.dtype)  # mean makes it float64
        if not self.mask_missing:
            return Z
        missing = Z.isnan()
        return torch.cat([Z.masked_fill(missing, 0.0), missing.to(self.dtype)], dim=-1)
