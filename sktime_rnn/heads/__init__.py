"""What comes out of a network: an output object knows its size, its loss and its prediction."""

from sktime_rnn.heads._base import Head, weighted_mean
from sktime_rnn.heads._labels import CategoricalHead, MultiLabelHead, MultiOutputHead
from sktime_rnn.heads._sequences import AlignmentHead, SeriesHead
from sktime_rnn.heads._values import (
    DISTRIBUTIONS,
    POINT_LOSSES,
    NegativeBinomialHead,
    NormalHead,
    PointHead,
    QuantileHead,
    StudentTHead,
    student_t_quantile,
)

__all__ = [
    "DISTRIBUTIONS",
    "POINT_LOSSES",
    "AlignmentHead",
    "CategoricalHead",
    "Head",
    "MultiLabelHead",
    "MultiOutputHead",
    "NegativeBinomialHead",
    "NormalHead",
    "PointHead",
    "QuantileHead",
    "SeriesHead",
    "StudentTHead",
    "student_t_quantile",
    "weighted_mean",
]
