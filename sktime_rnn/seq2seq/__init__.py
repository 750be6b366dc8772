"""Seq2SeqTransformer: sequences to sequences, by recurrent encoders and decoders."""

from sktime_rnn.seq2seq._estimator import Seq2SeqTransformer

__all__ = ["Seq2SeqTransformer"]
