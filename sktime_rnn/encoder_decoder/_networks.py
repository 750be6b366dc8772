"""Networks of pairs of sequences: encoder with decoder, and encoder with a symbol for every step (CTC).

Shapes: B sequences in a batch, T_in steps of the longest input, T_out of the longest output, V symbols, K values a
step, H hidden units, W hypotheses a sequence.
"""

import math

import torch
from torch import nn
from torch.nn.utils import skip_init

from sktime_rnn.encoder_decoder._encoder import draw_linear_
from sktime_rnn.layers import Dropout

_WRITTEN_AT_ONCE = 64
_HALF = math.log(0.5)


class LengthNetwork(nn.Module):
    """The length of an output: the logarithm of its number of rows, standardised.

    It is found from the context vector and, where the decoder may look at the input steps, from their number.

    Parameters
    ----------
    context_size, hidden_size : int
        Width of the context vector and of the layer between.
    sees_input : bool
        Whether the number of input steps is known.
    """

    def __init__(self, context_size, hidden_size, sees_input):
        super().__init__()
        self.hidden = skip_init(nn.Linear, context_size, hidden_size)
        self.out = skip_init(nn.Linear, hidden_size + sees_input, 1)
        self.sees_input = sees_input
        self.register_buffer("loc", torch.zeros((), dtype=torch.float64))
        self.register_buffer("scale", torch.ones((), dtype=torch.float64))

    def reset_parameters(self, generator=None):
        """Draw new weights (Glorot and Bengio 2010); biases are 0."""
        for linear in (self.hidden, self.out):
            draw_linear_(linear, generator)

    def forward(self, memory):
        """Return the standardised logarithm, (B, 1)."""
        features = torch.tanh(self.hidden(memory.context))
        if self.sees_input:
            n_steps = memory.mask.sum(1, keepdim=True).double()
            features = torch.cat([features, ((n_steps.log() - self.loc) / self.scale).to(features.dtype)], dim=1)
        return self.out(features)


class EncoderDecoder(nn.Module):
    """Encoder, decoder and head.

    In training the decoder reads the true outputs (teacher forcing, Williams and Zipser 1989), or with
    ``teacher_forcing`` below 1 at some steps its own: symbols drawn from what it predicts, or the values that it
    predicts (scheduled sampling, Bengio et al. 2015).

    Parameters
    ----------
    encoder : Encoder
        Reads inputs.
    decoder : Decoder
        Writes outputs.
    head : Head
        What comes out at every step.
    dropout : float
        Share of the readouts set to zero in training.

    Attributes
    ----------
    teacher_forcing : float
        Probability that a step of the decoder reads the true output before it.
    """

    def __init__(self, encoder, decoder, head, dropout=0.0):
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.dropout = Dropout(dropout)
        self.head = head.connect(decoder.hidden_size)
        self.length = None
        if getattr(head, "length", None) == "predict":
            self.length = LengthNetwork(
                encoder.context_size, decoder.hidden_size, sees_input=decoder.attention is not None
            )
        self.teacher_forcing = 1.0
        self.generator = None

    def reset_parameters(self, generator=None):
        """Draw new weights for every part but ``step_network``.

        Parameters
        ----------
        generator : torch.Generator, default=None
            Source of the random numbers.
        """
        for part in (self.encoder, self.decoder, self.head):
            part.reset_parameters(generator)
        if self.length is not None:
            self.length.reset_parameters(generator)

    def read(self, X, lengths, shapes=None):
        """Return the memory that the decoder looks at; see :class:`Encoder`."""
        return self.decoder.prepare(self.encoder(X, lengths, shapes))

    def scaled(self, y):
        """Return outputs as the decoder reads them: codes as they are; values standardised, 0 for NaN."""
        if not y.is_floating_point() or not self.feeds_back:
            return y
        scaled = ((y - self.head.loc) / self.head.scale).nan_to_num(0.0)
        return scaled.to(self.head.linear.weight.dtype)

    def forward(self, X, lengths, y, y_lengths, shapes=None, valid=None):
        """Return the raw output of every step.

        Parameters
        ----------
        X : tensor of shape (B, T_in, *input_shape), or of codes (B, T_in)
            Inputs, padded on the right.
        lengths : int64 tensor of shape (B,)
            Number of valid steps of each.
        y : tensor of codes (B, T_out), or of values (B, T_out, K)
            The true output before each step: at first the code of the beginning, or NaN.
        y_lengths : int64 tensor of shape (B,)
            Number of rows of each output.
        shapes : int64 tensor of shape (B, 2), default=None
            Height and width, where samples are grids.
        valid : int64 tensor of shape (N,), default=None
            The places, in (B * T_out,), of the rows that are wanted; all of them by default.

        Returns
        -------
        raw : tensor of shape (B, T_out, raw_size) or (N, raw_size)
            What the head turns into a loss or a prediction.
        """
        memory = self.read(X, lengths, shapes)
        y, state = self.scaled(y), self.decoder.start(memory)
        if self.training and self.teacher_forcing < 1 and self.feeds_back:
            raw = self._mixed(y, state, memory)
            raw = raw if valid is None else raw.flatten(0, 1).index_select(0, valid)
        else:
            readouts = self._forced(y, state, memory, y_lengths)[0]
            readouts = readouts if valid is None else readouts.flatten(0, 1).index_select(0, valid)
            raw = self.head(self.dropout(readouts))
        if self.length is None:
            return raw
        log_length = self.length(memory)[:, None].expand(-1, y.shape[1], -1)
        log_length = log_length if valid is None else log_length.flatten(0, 1).index_select(0, valid)
        return torch.cat([raw, log_length.to(raw.dtype)], dim=-1)

    def _forced(self, y, state, memory, y_lengths):
        known = None if getattr(self.head, "length", None) == "stop" else y_lengths
        return self.decoder(y, state, memory, n_rows=known)

    @property
    def feeds_back(self):
        """Whether the decoder reads outputs."""
        return self.decoder.embedding is not None or self.decoder.n_values > 0

    def _mixed(self, y, state, memory):
        forced = torch.empty(y.shape[:2], device=y.device).bernoulli_(self.teacher_forcing, generator=self.generator)
        raws, before = [], y[:, 0]
        for t in range(y.shape[1]):
            if t > 0:
                true = forced[:, t].bool().view(-1, *[1] * (y.ndim - 2))
                before = torch.where(true, y[:, t], self._drawn(raws[-1]))
            readout, state, _ = self.decoder(before[:, None], state, memory)
            raws.append(self.head(self.dropout(readout[:, 0])))
        return torch.stack(raws, dim=1)

    def _drawn(self, raw):
        if self.decoder.embedding is None:
            return raw[:, : self.decoder.n_values]
        return raw.softmax(-1).multinomial(1, generator=self.generator)[:, 0]

    def write(self, memory, shortest, longest, lengths=None):
        """Write values, each step reading what was written before it.

        Parameters
        ----------
        memory : Memory
            Of B inputs.
        shortest, longest : int64 tensors of shape (B,)
            Fewest and most steps of each output.
        lengths : int64 tensor of shape (B,), default=None
            Number of steps; without it they are predicted, or writing stops when an end has become as probable as not.

        Returns
        -------
        raw : tensor of shape (B, T, K)
            Raw values, padded on the right with 0.
        lengths : int64 tensor of shape (B,)
            Number of steps.
        """
        if lengths is None and self.length is not None:
            lengths = self.head.n_rows(self.length(memory)[:, 0]) - 1
            lengths = torch.minimum(torch.maximum(lengths, shortest), longest)
        n_rows = None if lengths is None or self.head.length == "stop" else lengths + (self.length is not None)
        bound = longest if lengths is None else lengths
        width, K = int(bound.max()), self.head.n_outputs
        out = torch.zeros(len(bound), width, K, dtype=torch.float64, device=bound.device)
        found, going_on = bound.clone(), torch.zeros(len(bound), dtype=torch.float64, device=bound.device)
        samples = torch.nonzero(bound > 0)[:, 0]
        memory = memory.take(samples)
        state = self.decoder.start(memory)
        before = memory.context.new_zeros(len(samples), 1, K)
        n_steps = 0
        while len(samples) and n_steps < width:
            n_now = min(1 if self.feeds_back else _WRITTEN_AT_ONCE, width - n_steps)
            known = None if n_rows is None else n_rows[samples]
            readouts, state, _ = self.decoder(before.expand(-1, n_now, -1), state, memory, n_rows=known)
            raw = self.head(readouts)
            out[samples, n_steps : n_steps + n_now] = raw[..., :K].double()
            if lengths is None:  # survival: the log-probability that the sequence is longer than t
                survival = going_on[samples, None] + nn.functional.logsigmoid(-raw[..., -1].double()).cumsum(1)
                ended = survival <= _HALF
                at = torch.where(ended.any(1), n_steps + ended.long().argmax(1), bound[samples])
                found[samples] = torch.minimum(found[samples], torch.maximum(at, shortest[samples]))
                going_on[samples] = survival[:, -1]
            n_steps += n_now
            before = raw[:, -1:, :K].to(before.dtype)
            staying = torch.nonzero(found[samples] > n_steps)[:, 0]
            if len(staying) < len(samples):
                samples, memory, state, before = (
                    samples[staying],
                    memory.take(staying),
                    state.take(staying),
                    before[staying],
                )
        written = torch.arange(width, device=bound.device) < found[:, None]
        return out.masked_fill(~written[:, :, None], 0.0), found

    def attention_weights(self, X, lengths, y, y_lengths, shapes=None):
        """Return the weights of the input steps at every step, (B, T_out, T_in), and which of those are valid.

        The arguments are those of :meth:`forward`.
        """
        memory = self.read(X, lengths, shapes)
        return self._forced(self.scaled(y), self.decoder.start(memory), memory, y_lengths)[2], memory.mask


class Hypotheses:
    """W outputs of every input on their way, a step at a time: what the searches of ``decoding`` call.

    Parameters
    ----------
    network : EncoderDecoder
        Of symbols.
    memory : Memory
        Of B inputs.
    width : int
        Number W of hypotheses an input.

    Attributes
    ----------
    begin : int
        The code before the first step.
    """

    def __init__(self, network, memory, width):
        self.network = network
        self.memory = memory
        self.width = width
        self.state = network.decoder.start(memory, width)
        self.begin = network.head.n_outputs

    def step(self, codes):
        """Take a step, and return the log-probability of each symbol.

        Parameters
        ----------
        codes : int64 tensor of shape (B, W)
            The symbols before it.

        Returns
        -------
        log_proba : tensor of shape (B, W, V)
            Of the symbols at this step.
        """
        readout, self.state, _ = self.network.decoder(codes.reshape(-1, 1), self.state, self.memory, self.width)
        return self.network.head(readout[:, 0]).log_softmax(-1).unflatten(0, (-1, self.width))

    def keep(self, samples):
        """Go on with some of the inputs alone, an int64 tensor of shape (n,)."""
        self.memory = self.memory.take(samples)
        first = samples[:, None] * self.width
        self.state = self.state.take((first + torch.arange(self.width, device=samples.device)).view(-1))

    def branch(self, parents):
        """Go on from some of each input's hypotheses, an int64 tensor of shape (B, W)."""
        first = torch.arange(len(parents), device=parents.device)[:, None] * self.width
        self.state = self.state.take((first + parents).view(-1))


class Transcriber(nn.Module):
    """Encoder with a symbol or a blank for every step: connectionist temporal classification (Graves et al. 2006).

    Parameters
    ----------
    encoder : Encoder
        Reads inputs.
    head : AlignmentHead
        Symbols and the blank.
    dropout : float
        Share of the features set to zero in training.
    """

    def __init__(self, encoder, head, dropout=0.0):
        super().__init__()
        self.encoder = encoder
        self.dropout = Dropout(dropout)
        self.head = head.connect(encoder.step_size)

    def reset_parameters(self, generator=None):
        """Draw new weights for every part but ``step_network``.

        Parameters
        ----------
        generator : torch.Generator, default=None
            Source of the random numbers.
        """
        self.encoder.reset_parameters(generator)
        self.head.reset_parameters(generator)

    def raw(self, X, lengths):
        """Return the raw output of every input step, (B, T_in, V)."""
        return self.head(self.dropout(self.encoder(X, lengths).steps))

    def forward(self, X, lengths, y, y_lengths):
        """Return minus the log-probability of every transcript.

        Parameters
        ----------
        X : tensor of shape (B, T_in, *input_shape), or of codes (B, T_in)
            Inputs, padded on the right.
        lengths : int64 tensor of shape (B,)
            Number of valid steps of each.
        y : int64 tensor of shape (B, T_out)
            Transcripts, padded on the right.
        y_lengths : int64 tensor of shape (B,)
            Their lengths.

        Returns
        -------
        loss : tensor of shape (B, 1)
            One value a transcript.
        """
        return self.head.negative_log_likelihood(self.raw(X, lengths), lengths, y, y_lengths)[:, None]
