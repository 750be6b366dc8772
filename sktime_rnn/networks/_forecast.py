"""From a window of a time series to the steps ahead of it.

Shapes: B windows, L steps of context, H steps ahead, V variables, K numbers ahead a step, P = V * n_params raw
outputs a step, S steps of an encoder that reads several at a time, D width of the encoder's output.
"""

import math

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import skip_init

from sktime_rnn.layers import Dropout, GaussianNoise, Stacked, as_layers
from sktime_rnn.networks._recurrent import TokenEmbedding


class Embeddings(nn.Module):
    """Vectors of several categorical features, joined.

    Parameters
    ----------
    counts : list of sequence of int
        For each feature, how often each code was seen; code 0 is the unknown one.
    """

    def __init__(self, counts):
        super().__init__()
        sizes = [min(16, math.ceil(len(count) ** 0.5) + 1) for count in counts]
        self.tables = nn.ModuleList(TokenEmbedding(count, size) for count, size in zip(counts, sizes, strict=True))
        self.output_size = sum(sizes)

    def reset_parameters(self, generator=None):
        """Draw new vectors, of variance 0.01: they are one input among others.

        Parameters
        ----------
        generator : torch.Generator, default=None
            Source of the random numbers.
        """
        for table in self.tables:
            table.reset_parameters(generator)
            with torch.no_grad():
                table.embedding.weight.mul_(0.1)

    def forward(self, codes):
        """Return the vectors, (..., n_features) -> (..., output_size)."""
        return torch.cat([table(codes[..., i]) for i, table in enumerate(self.tables)], dim=-1)


class ForecastNetwork(nn.Module):
    r"""Recurrent encoder of a window, a linear map beside it, and the steps ahead all at once.

    .. math:: \text{raw}_h = W_h c + b_h + \text{MLP}(c, e_h) + A_h z

    with the encoder's output c (D,), numbers e_h (K,) that are known of step h, and the scaled context z (L,). The
    linear map A adds to every parameter that is a location. With a decoder, ``W_h c`` is ``W d_h``, where d_h is the
    output at step h of a second recurrent layer that reads (e_h, c).

    Parameters
    ----------
    cell : Cell or Layers
        The recurrence.
    head : Head
        What comes out, of ``H * V`` outputs.
    context, horizon : int
        L and H.
    n_variables : int
        V.
    n_past, n_ahead : int
        Numbers of each step of the context beside the variables, and of each step ahead (K).
    past_counts, ahead_counts, static_counts : list of list of int
        Categorical features: how often each of their codes was seen.
    n_static : int
        Numbers of each series.
    patch_length : int
        Steps of the context that the encoder reads at a time.
    hidden_size, num_layers, bidirectional, bias, initial_state, dropout, input_noise
        As in :class:`~sktime_rnn.networks.RecurrentNetwork`.
    decoder : bool
        Whether a second recurrent layer runs over the steps ahead.
    linear : bool
        Whether the linear map is there.
    n_locations : int
        Number of parameters of an output, from the first, that the linear map adds to.
    compress : bool
        Read asinh z in place of z.
    n_flags, n_past_flags : int, default=0
        How many of ``n_past``, from the first, are flags of missing variables, and to the last, of missing numbers.
    """

    def __init__(
        self,
        cell,
        head,
        *,
        context,
        horizon,
        n_variables,
        n_past,
        n_ahead,
        past_counts,
        ahead_counts,
        static_counts,
        n_static,
        patch_length,
        hidden_size,
        num_layers,
        bidirectional,
        bias,
        initial_state,
        dropout,
        input_noise,
        decoder,
        linear,
        n_locations,
        compress,
        n_flags=0,
        n_past_flags=0,
    ):
        super().__init__()
        self.horizon, self.n_variables, self.patch_length = horizon, n_variables, patch_length
        self.n_locations, self.compress = n_locations, compress
        self.n_flags, self.n_past_flags = n_flags, n_past_flags
        self.past_codes = Embeddings(past_counts) if past_counts else None
        self.ahead_codes = Embeddings(ahead_counts) if ahead_counts else None
        self.static_codes = Embeddings(static_counts) if static_counts else None
        self.noise = GaussianNoise(input_noise)
        n_static += self.static_codes.output_size if static_counts else 0
        per_step = n_variables + n_past + (self.past_codes.output_size if past_counts else 0)
        options = {"num_layers": num_layers, "bias": bias, "initial_state": initial_state, "dropout": dropout}
        layers = as_layers(cell)
        self.splits_flags = layers.cell.reads_flags
        size = patch_length * per_step + n_static
        if self.splits_flags:
            size = 2 * (size - patch_length * (n_flags + n_past_flags))
        self.encoder = Stacked(layers, size, hidden_size, bidirectional=bidirectional, **options)
        width = self.encoder.output_size + n_static
        n_ahead += self.ahead_codes.output_size if ahead_counts else 0
        above = layers.above()  # it reads what the encoder has found
        self.decoder = Stacked(above, n_ahead + width, hidden_size, **options) if decoder else None
        self.ahead = None
        if n_ahead and not decoder:
            self.ahead = nn.ModuleList(
                [
                    skip_init(nn.Linear, width, hidden_size),
                    skip_init(nn.Linear, n_ahead, hidden_size, bias=False),
                    skip_init(nn.Linear, hidden_size, n_variables * head.n_params, bias=False),
                ]
            )
        self.dropout = Dropout(dropout)
        self.linear = skip_init(nn.Linear, context * n_variables, horizon * n_variables) if linear else None
        if decoder:
            self.head = head
            head.linear = skip_init(nn.Linear, self.decoder.output_size, n_variables * head.n_params)
            self.bias = nn.Parameter(torch.empty(horizon, n_variables * head.n_params))
        else:
            self.head = head.connect(width)
            self.bias = None

    def reset_parameters(self, generator=None):
        """Draw new weights; the outputs start at zero, so that training starts from the anchor of the forecast.

        Parameters
        ----------
        generator : torch.Generator, default=None
            Source of the random numbers.
        """
        parts = (self.past_codes, self.ahead_codes, self.static_codes, self.encoder, self.decoder)
        for part in parts:
            if part is not None:
                part.reset_parameters(generator)
        if self.ahead is not None:
            for layer in self.ahead[:2]:
                nn.init.xavier_uniform_(layer.weight, generator=generator)
            nn.init.zeros_(self.ahead[0].bias)
            nn.init.zeros_(self.ahead[2].weight)
        zeros = [self.bias, *self.head.linear.parameters(), *(self.linear.parameters() if self.linear else ())]
        for weight in zeros:
            if weight is not None:
                nn.init.zeros_(weight)

    def start(self, linear=None, bias=None):
        """Set where training starts from.

        Parameters
        ----------
        linear : tensor of shape (1 + L * V, H * V), default=None
            Constants and weights of the linear map.
        bias : tensor of shape (H * V, n_params), default=None
            Raw outputs before anything is learnt.
        """
        with torch.no_grad():
            if linear is not None:
                self.linear.bias.copy_(linear[0])
                self.linear.weight.copy_(linear[1:].T)
            if bias is not None and self.bias is not None:
                self.bias.copy_(bias.reshape(self.bias.shape))
            elif bias is not None:
                self.head.linear.bias.copy_(bias.flatten())

    def _encode(self, X, codes, static):
        """Return the encoder's output and what is known of the series, (B, D)."""
        V = self.n_variables
        values = torch.asinh(X[..., :V]) if self.compress else X[..., :V]
        numbers, flags = self._split(X[..., V:]) if self.splits_flags else (X[..., V:], None)
        parts = [self.noise(values), numbers]
        if self.past_codes is not None:
            parts.append(self.past_codes(codes))
        X = torch.cat(parts, dim=-1)  # (B, L, C)
        if flags is not None:
            flags = self._patched(F.pad(flags, (0, X.shape[2] - flags.shape[2])), 1.0)  # codes are never missing
        X = self._patched(X, 0.0)  # (B, S, patch * C)
        if static is not None:
            X = torch.cat([X, static[:, None].expand(-1, X.shape[1], -1)], dim=-1)
        if flags is not None:
            X = torch.cat([X, F.pad(flags, (0, X.shape[2] - flags.shape[2]))], dim=-1)
        lengths = torch.full((X.shape[0],), X.shape[1], device=X.device)
        state = self.encoder.last(X, lengths)
        return state if static is None else torch.cat([state, static], dim=-1)

    def _split(self, past):
        """Return the numbers beside the variables, and flags of what is missing of both, (B, L, V + n)."""
        n = past.shape[2] - self.n_flags - self.n_past_flags
        flags, numbers, more = past.split([self.n_flags, n, self.n_past_flags], dim=2)
        flags = flags if self.n_flags else past.new_zeros(*past.shape[:2], self.n_variables)
        more = more if self.n_past_flags else torch.zeros_like(numbers)
        return numbers, torch.cat([flags, more], dim=2)

    def _patched(self, X, filling):
        """Join the steps that are read at a time, (B, L, C) -> (B, S, patch * C); what lies before is filled in."""
        n_added = -X.shape[1] % self.patch_length
        if n_added:
            X = F.pad(X, (0, 0, n_added, 0), value=filling)
        return X.reshape(X.shape[0], -1, self.patch_length * X.shape[2])

    def _static(self, static, static_codes):
        parts = [] if static is None else [static]
        if self.static_codes is not None:
            parts.append(self.static_codes(static_codes))
        return torch.cat(parts, dim=-1) if parts else None

    def _ahead(self, ahead, ahead_codes):
        parts = [] if ahead is None else [ahead]
        if self.ahead_codes is not None:
            parts.append(self.ahead_codes(ahead_codes))
        return torch.cat(parts, dim=-1) if parts else None

    def forward(
        self,
        X,
        lengths,
        codes=None,
        ahead=None,
        ahead_codes=None,
        static=None,
        static_codes=None,
        log_level=None,
    ):
        """Return the raw output of all steps ahead.

        Parameters
        ----------
        X : tensor of shape (B, L, V + n_past)
            Scaled variables and other numbers of the context; it may be longer than L.
        lengths : int64 tensor of shape (B,)
            Number of steps of the context that are there; not looked at, the mask among X tells it.
        codes, ahead, ahead_codes, static, static_codes : tensor, default=None
            Categorical features of the context (B, L, ...); numbers and categorical features of the steps ahead
            (B, H, ...); numbers and categorical features of the series (B, ...).
        log_level : tensor of shape (B, V), default=None
            Added to the first parameter of every output.

        Returns
        -------
        raw : tensor of shape (B, H * V * n_params)
            What the head turns into a loss or a forecast.
        """
        static = self._static(static, static_codes)
        features = self.dropout(self._encode(X, codes, static))
        ahead = self._ahead(ahead, ahead_codes)
        if self.decoder is not None:
            raw = self._decode(features, ahead)
        else:
            raw = self.head(features)
            if self.ahead is not None:
                from_state, from_ahead, out = self.ahead
                hidden = torch.tanh(from_state(features)[:, None] + from_ahead(ahead))  # (B, H, hidden)
                raw = raw + out(hidden).flatten(1)
        raw = raw.unflatten(1, (self.horizon, self.n_variables, self.head.n_params))  # (B, H, V, n_params)
        if self.linear is not None:
            location = self._location(X, raw.dtype)[..., None]
            raw = torch.cat([raw[..., : self.n_locations] + location, raw[..., self.n_locations :]], dim=-1)
        if log_level is not None:
            raw = torch.cat([raw[..., :1] + log_level[:, None, :, None], raw[..., 1:]], dim=-1)
        return raw.flatten(1)

    def _decode(self, features, ahead):
        steps = features[:, None].expand(-1, self.horizon, -1)
        steps = steps if ahead is None else torch.cat([ahead, steps], dim=-1)
        lengths = torch.full((len(steps),), self.horizon, device=steps.device)
        raw = self.head(self.dropout(self.decoder(steps, lengths)))  # (B, H, V * n_params)
        return (raw + self.bias).flatten(1)

    def _location(self, X, dtype):
        """Return what the linear map makes of the last L steps, (B, H, V), in double precision in prediction."""
        weight, bias = self.linear.weight.to(dtype), self.linear.bias.to(dtype)
        z = X[:, -(self.linear.in_features // self.n_variables) :, : self.n_variables].to(dtype)
        return F.linear(z.flatten(1), weight, bias).unflatten(1, (self.horizon, self.n_variables))
