"""What all recurrent estimators share."""

from sklearn.utils._param_validation import HasMethods as HasMethods
from sklearn.utils._param_validation import Interval as Interval
from sklearn.utils._param_validation import StrOptions

from sktime_rnn.base._building import PRECISIONS, cast, with_scaling
from sktime_rnn.base._edits import edit_distances
from sktime_rnn.base._estimator import BaseRNN
from sktime_rnn.base._forecasting import BaseForecaster
from sktime_rnn.base._known import Known
from sktime_rnn.base._reading import check_weight, read_groups, read_targets
from sktime_rnn.base._scores import difference_scale, mean_over_series, scaled_errors
from sktime_rnn.base._sequences import OF_TOKENS, BaseSequenceRNN
from sktime_rnn.base._training import NetTrainer, draw_seed

__all__ = [
    "OF_TOKENS",
    "PRECISIONS",
    "BaseForecaster",
    "BaseRNN",
    "BaseSequenceRNN",
    "Known",
    "NetTrainer",
    "StrOptions",
    "cast",
    "check_weight",
    "difference_scale",
    "draw_seed",
    "edit_distances",
    "mean_over_series",
    "read_groups",
    "read_targets",
    "scaled_errors",
    "with_scaling",
]
