"""The part of the training data that early stopping validates on."""

import math

import numpy as np
from sklearn.model_selection import GroupShuffleSplit


def split_validation(dataset, fraction, fewest, seed, split_indices):
    """Return a training and a validation part.

    Parameters
    ----------
    dataset : SequenceDataset
        All sequences; its ``groups`` stay together, where there are any.
    fraction : float
        Share of the sequences, or of the groups, to validate on.
    fewest : int
        Sequences that validation needs.
    seed : int
        Decides which groups.
    split_indices : callable
        ``split_indices(dataset, n_valid)`` gives training and validation indices where there are no groups.

    Returns
    -------
    train, valid : SequenceDataset
        The parts, their sequences in the order of the dataset.
    """
    n_valid = max(fewest, math.ceil(fraction * len(dataset)))
    if dataset.groups is None:
        train, valid = split_indices(dataset, n_valid) if n_valid < len(dataset) else ([], [])
    else:
        train, valid = _split_groups(dataset.groups, fraction, seed)
    if len(train) < 1 or len(valid) < fewest:
        kind = "sequences" if dataset.groups is None else f"sequences in {len(np.unique(dataset.groups))} groups"
        raise ValueError(
            f"early_stopping=True needs at least one sequence to train and {fewest} to validate on, got {len(dataset)} "
            f"{kind} in all with validation_fraction={fraction}. Pass more sequences, change validation_fraction, or "
            "set early_stopping=False."
        )
    return dataset.take(np.sort(train)), dataset.take(np.sort(valid))


def _split_groups(groups, fraction, seed):
    n_groups = len(np.unique(groups))
    n_valid = max(1, round(fraction * n_groups))
    if n_valid >= n_groups:
        return [], []
    splitter = GroupShuffleSplit(1, test_size=n_valid, random_state=seed % 2**32)
    return next(splitter.split(groups, groups=groups))
