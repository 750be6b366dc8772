"""Scorers for estimators that label every step of a sequence.

Give them as ``scoring=``. scikit-learn's own scorers, and the stratified folds that it takes by default, refuse
labels that come as a list of arrays: pass ``cv=KFold(...)`` as well.
"""

import numpy as np
from sklearn.metrics import accuracy_score, f1_score

from sktime_rnn.sequences import check_step_targets


def _flat(estimator, X, y):
    predicted = estimator.predict(X)
    lengths = np.fromiter(map(len, predicted), dtype=np.int64, count=len(predicted))
    return check_step_targets(y, lengths).values, np.concatenate(predicted)


def per_step_accuracy(estimator, X, y):
    """Return the share of steps that are labelled right.

    Parameters
    ----------
    estimator : fitted estimator
        Predicts one label array for each sequence.
    X : sequences
        What the estimator was fitted on.
    y : list of arrays of shape (n_timesteps_i,)
        True labels.

    Returns
    -------
    score : float
        Accuracy over all steps of all sequences.
    """
    true, predicted = _flat(estimator, X, y)
    return float(accuracy_score(true, predicted))


def per_step_f1(estimator, X, y):
    """Return the F1 score of the steps, averaged over the labels without weights ("macro").

    Parameters
    ----------
    estimator : fitted estimator
        Predicts one label array for each sequence.
    X : sequences
        What the estimator was fitted on.
    y : list of arrays of shape (n_timesteps_i,)
        True labels.

    Returns
    -------
    score : float
        2 precision recall / (precision + recall), mean over labels; 0 for a label that is never right.
    """
    true, predicted = _flat(estimator, X, y)
    return float(f1_score(true, predicted, average="macro", zero_division=0.0))
