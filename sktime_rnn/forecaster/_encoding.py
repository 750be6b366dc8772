"""Exogenous features, the calendar and the identity of a series as numbers that the network reads."""

from dataclasses import dataclass

import numpy as np

from sktime_rnn.batching import WindowFeatures
from sktime_rnn.panel import calendar_cycles, calendar_features


@dataclass
class Standardiser:
    """Standardise numbers, and mark the missing ones.

    Attributes
    ----------
    mean, scale : float64 ndarray of shape (n,)
        What was learnt.
    flags : bool
        Whether a 0/1 number for each column tells that it was missing.
    """

    mean: np.ndarray
    scale: np.ndarray
    flags: bool

    @classmethod
    def fit(cls, numbers, flags):
        """Learn from rows (N, n); NaN are left out."""
        seen = ~np.isnan(numbers)
        count = np.maximum(seen.sum(axis=0), 1)
        mean = np.where(seen, numbers, 0.0).sum(axis=0) / count
        scale = np.sqrt((np.where(seen, numbers - mean, 0.0) ** 2).sum(axis=0) / count)
        return cls(mean, np.where(scale > 1e-12 * np.maximum(np.abs(mean), 1e-300), scale, 1.0), flags)

    def apply(self, numbers, dtype):
        """Return (N, n) or, with flags, (N, 2 n)."""
        z = (numbers - self.mean) / self.scale
        if not self.flags:
            return z.astype(dtype)
        missing = np.isnan(z)
        return np.concatenate([np.where(missing, 0.0, z), missing], axis=-1, dtype=dtype)


def _columns(numbers, places):
    return numbers[:, places] if len(places) else None


class FeatureEncoder:
    """Turns what is known of steps and series into :class:`~sktime_rnn.batching.WindowFeatures`.

    Parameters
    ----------
    calendar : bool
        Whether the network is told the place in the calendar.
    identity : bool
        Whether it is told which series it reads.
    mask : bool
        Whether missing values are marked.
    joint : bool
        Whether a window holds all variables; otherwise it is told which variable it reads.
    dtype : dtype
        Of numbers.
    """

    def __init__(self, calendar, identity, mask, joint, dtype):
        self.calendar = calendar
        self.identity = identity
        self.mask = mask
        self.joint = joint
        self.dtype = dtype

    def fit(self, known, reader, past_columns, rows):
        """Learn from the rows that training may look at.

        Parameters
        ----------
        known : Known
            The series with their features.
        reader : FeatureReader or None
            Names the columns.
        past_columns : list
            Columns that are not known ahead.
        rows : bool ndarray of shape (N,)
            Which rows may be looked at.

        Returns
        -------
        self : FeatureEncoder
            The encoder itself.
        """
        data = known.data
        self.numbers_, self.static_, self.code_counts_, self.static_counts_ = None, None, [], []
        self.ahead_numbers_, self.ahead_codes_ = [], []
        self.past_columns_ = list(past_columns)
        if known.past is not None:
            if known.past.numbers.shape[1]:
                self.numbers_ = Standardiser.fit(known.past.numbers[rows], self.mask)
            self.ahead_numbers_ = [i for i, name in enumerate(reader.numeric_) if name not in past_columns]
            self.ahead_codes_ = [i for i, name in enumerate(reader.categorical_) if name not in past_columns]
            sizes = [len(categories) + 1 for categories in reader.categories_]
            self.code_counts_ = _counts(known.past.codes[rows], sizes)
        if known.static is not None:
            if known.static.numbers.shape[1]:
                self.static_ = Standardiser.fit(known.static.numbers, self.mask)
            sizes = known.static.codes.max(axis=0, initial=0) + 1
            self.static_counts_ += _counts(known.static.codes, sizes)
        self.names_ = data.names if self.identity else None
        if self.identity:
            self.static_counts_.append([0] + [100] * len(data))
        if not self.joint and data.n_variables > 1:
            self.static_counts_.append([0] + [100] * data.n_variables)
        self.cycles_ = []
        if self.calendar:
            self.cycles_ = calendar_cycles(
                data.axis, int(data.first.min()), int(data.last.max() - data.first.min()) + 1
            )
        return self

    @property
    def sizes(self):
        """What the network needs to know, by the names of its arguments."""
        per_number = 2 if self.mask else 1
        n_numbers = 0 if self.numbers_ is None else len(self.numbers_.mean)
        return {
            "n_past": per_number * n_numbers,
            "n_past_flags": n_numbers if self.mask else 0,
            "n_ahead": per_number * len(self.ahead_numbers_) + 2 * len(self.cycles_),
            "past_counts": self.code_counts_,
            "ahead_counts": [self.code_counts_[i] for i in self.ahead_codes_],
            "n_static": 0 if self.static_ is None else per_number * len(self.static_.mean),
            "static_counts": self.static_counts_,
        }

    def encode(self, known, n_ahead=0):
        """Return the features of the rows of the series, and of steps after their end.

        Parameters
        ----------
        known : Known
            The series with their features; ``known.future`` has ``n_ahead`` rows a series.
        n_ahead : int
            Steps after the end: the rows of a series are followed by them.

        Returns
        -------
        features : WindowFeatures
            Rows of series i start at ``offsets[i] + i * n_ahead``.
        """
        data = known.data
        past = past_codes = ahead = ahead_codes = calendar = None
        if known.past is not None:
            numbers = _followed(known.past.numbers, data, known.future and known.future.numbers, n_ahead)
            codes = _followed(known.past.codes, data, known.future and known.future.codes, n_ahead)
            if self.numbers_ is not None:
                past = self.numbers_.apply(numbers, self.dtype)
                n = numbers.shape[1]
                ahead = _columns(past, self.ahead_numbers_ + [n + i for i in self.ahead_numbers_ if self.mask])
            if codes.shape[1]:
                past_codes, ahead_codes = codes, _columns(codes, self.ahead_codes_)
        first = data.first - data.first.min()
        if self.cycles_:
            n_places = int((data.last + n_ahead).max() - data.first.min()) + 1
            calendar = calendar_features(data.axis, int(data.first.min()), n_places, self.cycles_)
        return WindowFeatures(
            past, ahead, past_codes, ahead_codes, calendar, first, self._static(known), self._static_codes(known)
        )

    def _n_items(self, data):
        return 1 if self.joint else data.n_variables

    def _static(self, known):
        if self.static_ is None:
            return None
        numbers = self.static_.apply(known.static.numbers, self.dtype)
        return np.repeat(numbers, self._n_items(known.data), axis=0)

    def _static_codes(self, known):
        data, columns = known.data, []
        n_items = self._n_items(data)
        if known.static is not None and known.static.codes.shape[1]:
            columns += list(np.repeat(known.static.codes, n_items, axis=0).T)
        if self.identity:
            names = np.zeros(len(data), np.int64) if data.names is None else self.names_.get_indexer(data.names) + 1
            columns.append(np.repeat(names, n_items))
        if not self.joint and data.n_variables > 1:
            columns.append(np.tile(np.arange(n_items) + 1, len(data)))
        return np.stack(columns, axis=1) if columns else None


def _counts(codes, sizes):
    return [np.bincount(codes[:, i], minlength=size).tolist() for i, size in enumerate(sizes)]


def _followed(rows, data, ahead, n_ahead):
    """Return the rows of every series followed by those of the steps ahead."""
    if n_ahead == 0:
        return rows
    out = np.empty((len(rows) + n_ahead * len(data), rows.shape[1]), dtype=rows.dtype)
    places = np.arange(len(rows)) + np.repeat(np.arange(len(data)) * n_ahead, data.lengths)
    out[places] = rows
    after = (data.offsets[1:] + np.arange(len(data)) * n_ahead)[:, None] + np.arange(n_ahead)
    out[after.ravel()] = ahead
    return out
