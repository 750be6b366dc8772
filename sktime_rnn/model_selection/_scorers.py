"""Scorers for estimators that label every step of a sequence, or that write sequences.

Give them as ``scoring=``. scikit-learn's own scorers, and the stratified folds that it takes by default, refuse
labels that come as a list of arrays: pass ``cv=KFold(...)`` as well.
"""

import numpy as np
from sklearn.metrics import accuracy_score, f1_score
from sklearn.pipeline import Pipeline

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


def _written_score(estimator, X, y, metric):
    if isinstance(estimator, Pipeline):  # whose own score hands on no metric
        X = estimator[:-1].transform(X) if len(estimator) > 1 else X
        estimator = estimator[-1]
    return estimator.score(X, y, metric=metric)


def exact_match(estimator, X, y):
    """Return the share of outputs that agree with the truth in every symbol.

    Parameters
    ----------
    estimator : fitted Seq2SeqTransformer, or Pipeline that ends in one
        Writes symbols.
    X : sequences
        Inputs.
    y : sequences
        True outputs.

    Returns
    -------
    score : float
        1 where all outputs are right.
    """
    return _written_score(estimator, X, y, "exact_match")


def neg_label_error_rate(estimator, X, y):
    """Return minus the number of edits that outputs need, as a share of the symbols of the truth.

    Parameters
    ----------
    estimator : fitted Seq2SeqTransformer, or Pipeline that ends in one
        Writes symbols.
    X : sequences
        Inputs.
    y : sequences
        True outputs.

    Returns
    -------
    score : float
        0 where all outputs are right; below -1 where they hold more wrong symbols than the truth has.
    """
    return _written_score(estimator, X, y, "neg_label_error_rate")
