"""What all recurrent estimators share."""

from sklearn.utils._param_validation import HasMethods as HasMethods
from sklearn.utils._param_validation import Interval as Interval
from sklearn.utils._param_validation import StrOptions

from sktime_rnn.base._building import PRECISIONS, cast
from sktime_rnn.base._estimator import BaseRNN
from sktime_rnn.base._forecasting import BaseForecaster
from sktime_rnn.base._known import Known
from sktime_rnn.base._reading import read_targets
from sktime_rnn.base._scores import difference_scale, mean_over_series, scaled_errors
from sktime_rnn.base._training import NetTrainer, draw_seed

__all__ = [
    "PRECISIONS",
    "BaseForecaster",
    "BaseRNN",
    "Known",
    "NetTrainer",
    "StrOptions",
    "cast",
    "difference_scale",
    "draw_seed",
    "mean_over_series",
    "read_targets",
    "scaled_errors",
]
