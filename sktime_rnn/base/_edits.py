"""How many edits lie between two sequences of symbols."""

import numpy as np


def edit_distances(a, a_lengths, b, b_lengths):
    """Return the fewest insertions, deletions and replacements that turn one sequence into another (Levenshtein 1966).

    Parameters
    ----------
    a : int ndarray of shape (n, S)
        Codes, padded on the right.
    a_lengths : int ndarray of shape (n,)
        Their lengths.
    b : int ndarray of shape (n, T)
        Codes, padded on the right.
    b_lengths : int ndarray of shape (n,)
        Their lengths.

    Returns
    -------
    distances : int ndarray of shape (n,)
        One a pair.
    """
    place = np.arange(b.shape[1] + 1)
    row = np.tile(place, (len(a), 1))  # of the empty beginning of a to every beginning of b
    distances = row[np.arange(len(a)), b_lengths].copy()
    for i in range(a.shape[1]):
        new = np.empty_like(row)
        new[:, 0] = i + 1
        new[:, 1:] = np.minimum(row[:, 1:] + 1, row[:, :-1] + (b != a[:, i, None]))
        row = np.minimum.accumulate(new - place, axis=1) + place
        ends = np.flatnonzero(a_lengths == i + 1)
        distances[ends] = row[ends, b_lengths[ends]]
    return distances
