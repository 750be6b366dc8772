"""Encoder and decoder: sequences of one kind and length become sequences of another."""

from sktime_rnn.encoder_decoder._decoder import Decoder, DecoderState
from sktime_rnn.encoder_decoder._encoder import Encoder, GridNetwork, Memory
from sktime_rnn.encoder_decoder._networks import EncoderDecoder, Hypotheses, Transcriber

__all__ = [
    "Decoder",
    "DecoderState",
    "Encoder",
    "EncoderDecoder",
    "GridNetwork",
    "Hypotheses",
    "Memory",
    "Transcriber",
]
