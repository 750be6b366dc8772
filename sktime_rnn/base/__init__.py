"""What all recurrent estimators share."""

from sklearn.utils._param_validation import StrOptions

from sktime_rnn.base._estimator import BaseRNN
from sktime_rnn.base._reading import read_targets

__all__ = ["BaseRNN", "StrOptions", "read_targets"]
