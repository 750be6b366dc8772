"""Labels as codes, and what each weighs."""

import numpy as np
from sklearn.utils import compute_sample_weight
from sklearn.utils.multiclass import type_of_target


def find_classes(y):
    """Return the kind of a target array, its classes and its codes.

    Parameters
    ----------
    y : ndarray of shape (n,) or (n, n_outputs)
        Labels.

    Returns
    -------
    kind : {"categorical", "multilabel", "multioutput"}
        Head that predicts them.
    classes : ndarray, or list of ndarray for "multioutput"
        Classes in the order of their codes.
    """
    if y.ndim == 1:
        return "categorical", np.unique(y)
    if type_of_target(y, input_name="y") == "multilabel-indicator" and np.isin(y, (0, 1)).all():
        return "multilabel", np.arange(y.shape[1])
    return "multioutput", [np.unique(column) for column in y.T]


def encode(labels, classes):
    """Return the codes of labels; an unknown label is refused by name.

    Parameters
    ----------
    labels : ndarray of shape (n,)
        Labels.
    classes : ndarray
        Known classes, sorted.

    Returns
    -------
    codes : int64 ndarray of shape (n,)
        Places of the labels among the classes.
    """
    known = np.isin(labels, classes)
    if not known.all():
        unseen = np.unique(labels[~known])
        raise ValueError(
            f"y must hold only the classes {classes.tolist()}, got {unseen.tolist()} as well, first at position "
            f"{int(np.argmin(known))}. Name all classes in the first partial_fit(..., classes=...), or fit again."
        )
    return np.searchsorted(classes, labels)


def label_weights(class_weight, classes, codes):
    """Return the weight of every row of labels, the product over its outputs.

    Parameters
    ----------
    class_weight : dict, list of dict or "balanced"
        What the user passed: one dict from label to weight an output; a label without one has the weight 1.
    classes : list of ndarray
        The classes of every output.
    codes : ndarray of shape (n,) or (n, n_outputs)
        Places of the labels among the classes.

    Returns
    -------
    weights : ndarray of shape (n,)
        All at least 0.
    """
    if isinstance(class_weight, str):
        return compute_sample_weight(class_weight, codes)
    by_output = [class_weight] if isinstance(class_weight, dict) else class_weight
    if len(by_output) != len(classes):
        raise ValueError(
            f"class_weight must be one dict for each of the {len(classes)} outputs of y, in a list, got "
            f"{len(by_output)}. Pass as many, or 'balanced'."
        )
    weights = np.ones(len(codes))
    for by_label, known, column in zip(by_output, classes, codes.reshape(len(codes), -1).T, strict=True):
        known = known.tolist()
        unknown = [label for label in by_label if label not in known]
        if unknown and len(by_label) - len(unknown) < len(known):
            raise ValueError(
                f"class_weight must name the classes of y, {known}, got {unknown} as well. Correct the name, or name "
                "all of the classes."
            )
        found = np.array([by_label.get(label, 1.0) for label in known], dtype=np.float64)
        if not (np.isfinite(found) & (found >= 0)).all():
            raise ValueError(f"class_weight must hold finite weights of at least 0, got {by_label}. Correct them.")
        weights *= found[column]
    return weights
