"""What users pass as X and y, read for the estimators."""

from numbers import Real

import numpy as np
import pandas as pd
from sklearn.utils.validation import _check_sample_weight, _check_y

from sktime_rnn.sequences import are_rows, check_step_targets, is_nested


def listed_columns(X, lengths):
    """Return the number of columns of a table written as lists of numbers of one length, otherwise None."""
    listed = isinstance(X, list) and isinstance(X[0], list) and isinstance(X[0][0], Real)
    return int(lengths[0]) if listed and (lengths == lengths[0]).all() else None


def first_frame(X):
    """Return the first frame of a list of frames, which all have the same columns; anything else as it is."""
    return X[0] if isinstance(X, list | tuple) and hasattr(X[0], "columns") else X


def tokens_with_vectors(embeddings, kind):
    """Return the tokens of a mapping that has a finite vector, all of one length, for each; refuse any other.

    Parameters
    ----------
    embeddings : mapping from token to vector, or None
        What the user passed.
    kind : type
        Of the tokens in X.

    Returns
    -------
    tokens : tuple
        In their order.
    """
    if embeddings is None:
        return ()
    odd = [token for token in embeddings if not isinstance(token, kind)]
    if odd:
        raise TypeError(
            f"embeddings must map tokens of X, which are {kind.__name__}, got {odd[0]!r} ({type(odd[0]).__name__}). "
            "Convert it."
        )
    try:
        vectors = np.array([embeddings[token] for token in embeddings], dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"embeddings must map every token to numbers, as many for each, but cannot be read: {error}. Give all "
            "tokens vectors of one length."
        ) from error
    if vectors.ndim != 2 or vectors.size == 0 or not np.isfinite(vectors).all():
        raise ValueError(
            f"embeddings must map one token or more to vectors of finite numbers, got vectors of shape "
            f"{vectors.shape[1:]} for {len(vectors)} tokens. Leave out tokens without a vector."
        )
    return tuple(embeddings)


def read_matrix(y, numeric, owner):
    """Return targets of samples as an array; missing and infinite ones are refused with their place."""
    try:
        return _check_y(y, multi_output=True, y_numeric=numeric, estimator=owner)
    except ValueError as error:
        bad = pd.isna(y) if not numeric else ~np.isfinite(np.asarray(y, dtype=np.float64))
        rows = np.flatnonzero(np.asarray(bad).reshape(len(y), -1).any(axis=1))
        if len(rows) == 0:
            raise
        raise ValueError(
            f"{error} The first is at sample {rows[0]} (counted from 0). Fill it in, or drop it."
        ) from error


def read_targets(y, X, lengths, per_step, numeric, owner):
    """Return the targets as one array, and whether its rows are steps.

    Parameters
    ----------
    y : object
        What the user passed.
    X : object
        What the user passed beside it; a 3-D array makes some y ambiguous.
    lengths : ndarray of shape (n_samples,)
        Number of steps of each sequence.
    per_step : bool or None
        What the user said.
    numeric : bool
        Whether y must be numbers.
    owner : estimator
        Named in errors.

    Returns
    -------
    y : ndarray of shape (n_samples, ...) or (n_steps, ...)
        Targets.
    per_step : bool
        Whether its rows are steps.
    """
    if y is None:
        raise ValueError(
            f"{type(owner).__name__} requires y to be passed, but the target y is None. Pass one target a sequence."
        )
    if is_nested(y) and (per_step or not are_rows(y, lengths)):
        if per_step is False:
            raise ValueError(
                "y must hold one target a sequence when per_step=False, got one array a sequence. Pass a 1-D or 2-D "
                "array, or leave per_step at None."
            )
        try:
            return check_step_targets(y, lengths).values, True
        except ValueError as error:
            raise ValueError(
                f"{error} Several outputs a sequence? Pass a 2-D array, np.array(y); for sets of labels, what "
                "MultiLabelBinarizer().fit_transform(y) gives."
            ) from error
    y = read_matrix(y.toarray() if hasattr(y, "toarray") else y, numeric, owner)
    if len(y) != len(lengths):
        raise ValueError(
            f"y must have one target for each of the {len(lengths)} sequences of X, got inconsistent numbers of "
            f"samples: {len(y)} targets. Pass as many."
        )
    if y.ndim == 2 and per_step is None and getattr(X, "ndim", 0) == 3 and X.shape[1] == y.shape[1]:
        raise ValueError(
            f"y of shape {y.shape} beside X of shape {tuple(X.shape)} can mean {y.shape[1]} outputs a sequence or one "
            "target a step. Say which: per_step=False or per_step=True."
        )
    if per_step:
        if y.ndim != 2:
            raise ValueError(
                f"y must hold one target a step when per_step=True, got shape {y.shape}. Pass a list of arrays as long "
                "as the sequences of X."
            )
        return check_step_targets(y, lengths).values, True
    return y, False


def check_weight(sample_weight, n_samples):
    """Return the weights of samples as an array of shape (n_samples,); negative and missing ones are refused."""
    return _check_sample_weight(sample_weight, np.empty((n_samples, 1)), ensure_non_negative=True)


def read_groups(groups, n_samples, early_stopping):
    """Return groups as an array.

    Parameters
    ----------
    groups : array-like of shape (n_samples,)
        What the user passed.
    n_samples : int
        Number of sequences of X.
    early_stopping : bool
        Whether there is a validation part, which is all that groups decide.

    Returns
    -------
    groups : ndarray of shape (n_samples,)
        One group a sequence.
    """
    if not early_stopping:
        raise ValueError(
            "groups decide which sequences early stopping validates on and need early_stopping=True, got False. Leave "
            "groups out, or set early_stopping=True."
        )
    groups = np.asarray(groups)
    if groups.shape != (n_samples,):
        raise ValueError(
            f"groups must hold one group for each of the {n_samples} sequences of X, got shape {groups.shape}. Pass as "
            "many."
        )
    return groups


def read_noise(input_noise, dropout):
    """Return the noise on the inputs; "auto" is two thirds of the dropout, so that 0 turns both off."""
    return 2 * dropout / 3 if input_noise == "auto" else input_noise
