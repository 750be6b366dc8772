"""Decoder: sequences are written one step after the other.

Shapes: B sequences in a batch, T_in steps of the longest input, T_out of the longest output, D width of an input step
as the encoder gives it, C width of the context vector, H hidden units, W hypotheses a sequence.
"""

import math
from typing import NamedTuple

import torch
from torch import nn
from torch.nn.utils import skip_init

from sktime_rnn.attention import ATTENTIONS
from sktime_rnn.encoder_decoder._encoder import draw_linear_
from sktime_rnn.layers import Dropout, Recurrent
from sktime_rnn.networks import TokenEmbedding

_SHORTEST, _LONGEST = 4.0, 1024.0  # wavelengths in steps
_HALF_WAVES = (0.5, 1.0, 2.0, 4.0)  # in a whole sequence
N_WAVES = 16 + 2 * len(_HALF_WAVES)


def waves(t, n_rows, dtype):
    """Return sines and cosines of places in a sequence.

    Eight pairs have wavelengths that grow geometrically from 4 to 1,024 steps; four more make half a wave, one, two and
    four half waves in the whole sequence.

    Parameters
    ----------
    t : int64 tensor of shape (T,)
        Places.
    n_rows : int64 tensor of shape (B,) or None
        Lengths of the sequences; None where they are not known, then the last four pairs are 0.
    dtype : torch.dtype
        Of the result.

    Returns
    -------
    waves : tensor of shape (B or 1, T, N_WAVES)
        One vector a place.
    """
    k = torch.arange(8, device=t.device, dtype=dtype)
    wavelengths = _SHORTEST * (_LONGEST / _SHORTEST) ** (k / 7)
    angle = 2 * math.pi * t[None, :, None].to(dtype) / wavelengths
    if n_rows is None:
        return torch.nn.functional.pad(torch.cat([angle.sin(), angle.cos()], dim=2), (0, 2 * len(_HALF_WAVES)))
    share = t[None, :, None].to(dtype) / n_rows[:, None, None].clamp(min=1).to(dtype)
    part = math.pi * share * torch.tensor(_HALF_WAVES, device=t.device, dtype=dtype)
    angle = angle.expand(len(n_rows), -1, -1)
    return torch.cat([angle.sin(), angle.cos(), part.sin(), part.cos()], dim=2)


class DecoderState(NamedTuple):
    """Where a decoder stands.

    Attributes
    ----------
    layers : tuple of tuples of tensors of shape (N, H)
        The state of every layer.
    readout : tensor of shape (N, H) or None
        What was read out last, where it is fed back; None otherwise.
    n_steps : int
        Number of steps so far.
    """

    layers: tuple
    readout: torch.Tensor | None
    n_steps: int = 0

    def take(self, rows):
        """Return the state of some rows, an int64 tensor of shape (n,)."""
        layers = tuple(tuple(h.index_select(0, rows) for h in layer) for layer in self.layers)
        return DecoderState(layers, None if self.readout is None else self.readout.index_select(0, rows), self.n_steps)


class Decoder(nn.Module):
    r"""Recurrent layers that write a sequence, one step after the other, and look at the input as they do.

    .. math::
        s_t &= \operatorname{cell}(y_{t-1}, s_{t-1}), \quad s_0 = \tanh(W_0 C + b_0) \\
        c_t &= \sum_j \alpha_{tj} h_j, \quad \alpha_t = \operatorname{softmax}_j(\operatorname{score}(s_t, h_j)) \\
        r_t &= \tanh(W_r [s_t; c_t] + b_r)

    with the output before y_{t-1}, the context C (C,) of the input and its steps h_j (D,). The readout r_t (H,) goes to
    the head. Without attention it is s_t. C may also be a part of every step's input; with input feeding, r_{t-1} is
    (Luong, Pham and Manning 2015, section 3.3). Other states of a layer than its output, such as c of the LSTM, start
    from a linear map of C.

    Parameters
    ----------
    cell : Cell
        The cell of every layer.
    memory_size, context_size : int
        D and C.
    hidden_size, num_layers, bias, dropout
        As in :class:`~sktime_rnn.layers.Stacked`.
    attention : {"additive", "dot", "general"} or None
        How input steps are scored.
    input_feeding : bool
        Whether the readout is a part of the next step's input.
    context : {"state", "steps", "both"}
        Whether C enters as first state, as every step's input, or both.
    token_counts : sequence of int or None
        Counts of the codes that outputs hold, that of the beginning at the end; see
        :class:`~sktime_rnn.networks.TokenEmbedding`.
    embedding_dim : int or None
        Length of a token's vector.
    input_noise : float
        In training, share of the tokens read as unknown.
    n_values : int
        Where outputs are values: how many a step is fed back; 0 for none, then the place in the sequence is read.

    References
    ----------
    I. Sutskever, O. Vinyals and Q. V. Le (2014). Sequence to sequence learning with neural networks. NeurIPS.
    """

    def __init__(
        self,
        cell,
        *,
        memory_size,
        context_size,
        hidden_size,
        num_layers=1,
        bias=True,
        dropout=0.0,
        attention=None,
        input_feeding=False,
        context="state",
        token_counts=None,
        embedding_dim=None,
        input_noise=0.0,
        n_values=0,
    ):
        super().__init__()
        cell = cell.cell_above  # it reads outputs, not the steps of X
        if context != "steps" and not cell.learnable:
            raise ValueError(
                f"cell must be one that starts from a state to write sequences, got {cell!r}, whose first state cannot "
                "be given. Choose cell='gru', say, or context='steps'."
            )
        self.hidden_size = hidden_size
        self.context = context
        self.input_feeding = input_feeding
        self.embedding = None if token_counts is None else TokenEmbedding(token_counts, embedding_dim, input_noise)
        self.n_values = n_values
        size = embedding_dim if self.embedding is not None else n_values or N_WAVES
        size += context_size if context != "state" else 0
        size += hidden_size if input_feeding else 0
        self.layers = nn.ModuleList(
            Recurrent(cell, size if k == 0 else hidden_size, hidden_size, bias=bias) for k in range(num_layers)
        )
        self.learnable = cell.learnable
        self.bridged = [cell.state_sizes(hidden_size)[i] for i in self.learnable]
        self.bridge = None
        if context != "steps":
            self.bridge = skip_init(nn.Linear, context_size, num_layers * sum(self.bridged))
        self.attention, self.combine = None, None
        if attention is not None:
            self.attention = ATTENTIONS[attention](hidden_size, memory_size)
            self.combine = skip_init(nn.Linear, hidden_size + memory_size, hidden_size)
        self.dropout = Dropout(dropout)

    def reset_parameters(self, generator=None):
        """Draw new weights.

        Parameters
        ----------
        generator : torch.Generator, default=None
            Source of the random numbers.
        """
        for part in (self.embedding, *self.layers, self.attention):
            if part is not None:
                part.reset_parameters(generator)
        for linear in (self.bridge, self.combine):
            if linear is not None:
                draw_linear_(linear, generator)

    def prepare(self, memory):
        """Return the memory with what attention needs of it, found once."""
        if self.attention is None:
            return memory
        return memory._replace(keys=self.attention.keys(memory.steps))

    def start(self, memory, width=1):
        """Return the state before the first step.

        Parameters
        ----------
        memory : Memory
            The inputs.
        width : int, default=1
            Number W of hypotheses a sequence; their rows are adjacent.

        Returns
        -------
        state : DecoderState
            Of B * W rows.
        """
        C = memory.context
        states = [list(layer.zero_state(len(C), C)) for layer in self.layers]
        if self.bridge is not None:
            parts = iter(self.bridge(C).split(self.bridged * len(self.layers), dim=1))
            for state in states:
                for i in self.learnable:
                    part = next(parts)
                    state[i] = torch.tanh(part) if i == self.learnable[0] else part
        layers = tuple(tuple(h.repeat_interleave(width, dim=0) for h in layer) for layer in states)
        readout = C.new_zeros(len(C) * width, self.hidden_size) if self.input_feeding else None
        return DecoderState(layers, readout)

    def vectors(self, y, n_steps, n_rows, dtype):
        """Return what is read of the outputs so far: codes (N, T), values (N, T, K) -> (N, T, E).

        Where nothing is fed back, the place of each step is read in their stead.
        """
        if self.embedding is not None:
            return self.embedding(y)
        if self.n_values:
            return y
        t = torch.arange(n_steps, n_steps + y.shape[1], device=y.device)
        return waves(t, n_rows, dtype).expand(len(y), -1, -1)

    def _layers(self, X, layers):
        after = []
        for k, (layer, state) in enumerate(zip(self.layers, layers, strict=True)):
            X, state = layer.go_on(self.dropout(X) if k else X, state)
            after.append(state)
        return X, tuple(after)

    def _read_out(self, S, memory):
        """Return readouts and weights for states (B, T, H)."""
        if self.attention is None:
            return S, None
        contexts, weights = self.attention(S, memory.keys, memory.steps, memory.mask)
        return torch.tanh(self.combine(torch.cat([S, contexts], dim=2))), weights

    def forward(self, y, state, memory, width=1, n_rows=None):
        """Take steps, of which all that is fed back from outside is known.

        Parameters
        ----------
        y : tensor of codes (B * W, T), or of values (B * W, T, K)
            The outputs before each step.
        state : DecoderState
            Before the first of them.
        memory : Memory
            The inputs, prepared.
        width : int, default=1
            Number W of hypotheses a sequence; several take one step at a time.
        n_rows : int64 tensor of shape (B * W,), default=None
            Number of rows of each output, where it is known and nothing is fed back.

        Returns
        -------
        readouts : tensor of shape (B * W, T, H)
            What the head reads.
        state : DecoderState
            After the last step.
        weights : tensor of shape (B * W, T, T_in) or None
            Weights of the input steps.
        """
        X = self.vectors(y, state.n_steps, n_rows, memory.context.dtype)
        if self.context != "state":
            C = memory.context.repeat_interleave(width, dim=0)
            X = torch.cat([X, C[:, None].expand(-1, X.shape[1], -1)], dim=2)
        if not self.input_feeding:
            return self._advance(X, state, memory, width)
        readouts, weights = [], []
        for t in range(X.shape[1]):
            x_t = torch.cat([X[:, t : t + 1], state.readout[:, None]], dim=2)
            readout, state, weight = self._advance(x_t, state, memory, width)
            readouts.append(readout)
            weights.append(weight)
        return torch.cat(readouts, dim=1), state, None if self.attention is None else torch.cat(weights, dim=1)

    def _advance(self, X, state, memory, width):
        S, layers = self._layers(X, state.layers)
        n_rows, n_steps, _ = S.shape
        if width > 1:
            S = S.view(-1, width, self.hidden_size)  # the hypotheses of a sequence look at one memory
        readouts, weights = self._read_out(S, memory)
        readouts = readouts.view(n_rows, n_steps, -1)
        if weights is not None:
            weights = weights.view(n_rows, n_steps, -1)
        after = DecoderState(layers, readouts[:, -1] if self.input_feeding else None, state.n_steps + n_steps)
        return readouts, after, weights
