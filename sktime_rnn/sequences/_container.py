"""The container: all steps of all samples end to end."""

from itertools import pairwise

import numpy as np


def offsets_from_lengths(lengths):
    """Where each sample starts and ends, (n + 1,), from lengths (n,)."""
    offsets = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets


def number_dtype(*dtypes):
    """float32 for float16 and float32, float64 as soon as there is any other real number."""
    small = all(dtype.kind == "f" and dtype.itemsize <= 4 for dtype in dtypes)
    return np.dtype(np.float32 if small else np.float64)


def _read_only(array):
    view = array.view()
    view.flags.writeable = False
    return view


def _check_values(values):
    values = np.asarray(values)
    kind = values.dtype.kind
    if values.ndim == 1 and kind in "biufUO":
        return values.astype(np.int64, copy=False) if kind in "iu" else values
    if values.ndim >= 2 and kind in "biuf":
        return values.astype(number_dtype(values.dtype), copy=False)
    raise TypeError(
        "values must be numbers of shape (n_steps_total, *step_shape), or one code or label per step of "
        f"shape (n_steps_total,), but an array of shape {values.shape} and dtype {values.dtype} arrived. Use "
        "check_sequences to read other data."
    )


def _check_offsets(offsets, n_steps):
    offsets = np.asarray(offsets)
    sound = (
        offsets.ndim == 1
        and offsets.dtype.kind in "iu"
        and len(offsets) > 0
        and offsets[0] == 0
        and offsets[-1] == n_steps
        and not (offsets[1:] < offsets[:-1]).any()
    )
    if not sound:
        raise ValueError(
            "offsets must be integers of shape (n_samples + 1,) that start at 0, never fall and end at "
            f"{n_steps}, the number of steps, but {np.array2string(offsets, threshold=8)} arrived. Build "
            "them from the lengths: np.concatenate([[0], np.cumsum(lengths)])."
        )
    return offsets.astype(np.int64, copy=False)


def _check_shapes(shapes, lengths):
    if shapes is None:
        return None
    shapes = np.asarray(shapes)
    if shapes.shape != (len(lengths), 2) or shapes.dtype.kind not in "iu":
        raise ValueError(
            f"shapes must be integers of shape (n_samples, 2), here ({len(lengths)}, 2), but an array of "
            f"shape {shapes.shape} and dtype {shapes.dtype} arrived. Give the height and width of every "
            "grid."
        )
    wrong = shapes.prod(axis=1) != lengths
    if wrong.any():
        sample = int(np.argmax(wrong))
        raise ValueError(
            f"shapes must agree with offsets, but grid {sample} is said to be {shapes[sample].tolist()} and "
            f"has {lengths[sample]} cells. Correct one of the two."
        )
    return shapes.astype(np.int64, copy=False)


class Sequences:
    """Samples of unequal length in one array, immutable.

    It behaves like a one-dimensional array whose elements are samples: scikit-learn's splitters, `shuffle` and
    `resample` index it as they index arrays. An integer gives one sample; slices, integer arrays, boolean masks and
    lists give a `Sequences`. Nothing is copied where a view will do.

    Parameters
    ----------
    values : ndarray of shape ``(n_steps_total, *step_shape)`` or (n_steps_total,)
        The steps of all samples end to end. With two axes or more these are numbers: float32 and float64 stay as
        they are, other numbers become floats. With one axis these are tokens or labels, one a step: integers become
        int64 codes, str stay.
    offsets : ndarray of shape (n_samples + 1,)
        Sample i owns the steps ``offsets[i]`` to ``offsets[i + 1]``.
    shapes : ndarray of shape (n_samples, 2), optional
        Height and width of every sample, where samples are grids whose cells were laid out row by row.

    Attributes
    ----------
    lengths : ndarray of shape (n_samples,)
        Number of steps of every sample.
    step_shape : tuple of int
        Shape of one step, ``()`` for tokens.
    n_features : int
        Size of one step.
    is_tokens : bool
        Whether there is one token, code or label a step.

    Examples
    --------
    >>> import numpy as np
    >>> from sktime_rnn import Sequences
    >>> X = Sequences(np.arange(10.0).reshape(5, 2), [0, 2, 5])
    >>> X
    Sequences(2 samples of 2 to 3 steps, step_shape=(2,), float64)
    >>> X[0]
    array([[0., 1.],
           [2., 3.]])
    >>> X[[1, 0]].lengths
    array([3, 2])
    """

    __slots__ = ("offsets", "shapes", "values")

    ndim = 1

    def __init__(self, values, offsets, shapes=None):
        values = _check_values(values)
        offsets = _check_offsets(offsets, len(values))
        shapes = _check_shapes(shapes, np.diff(offsets))
        object.__setattr__(self, "values", _read_only(values))
        object.__setattr__(self, "offsets", _read_only(offsets))
        object.__setattr__(self, "shapes", None if shapes is None else _read_only(shapes))

    def __setattr__(self, attribute, value):
        raise AttributeError(f"Sequences is immutable: {attribute!r} cannot be set. Make a new Sequences instead.")

    def __delattr__(self, attribute):
        raise AttributeError(f"Sequences is immutable: {attribute!r} cannot be deleted.")

    def __reduce__(self):
        return Sequences, (self.values, self.offsets, self.shapes)

    @property
    def lengths(self):
        return np.diff(self.offsets)

    @property
    def shape(self):
        """The number of samples, in the form that scikit-learn asks for."""
        return (len(self),)

    @property
    def step_shape(self):
        return self.values.shape[1:]

    @property
    def n_features(self):
        return int(np.prod(self.step_shape, dtype=np.int64))

    @property
    def is_tokens(self):
        return self.values.ndim == 1

    def __len__(self):
        return len(self.offsets) - 1

    def __iter__(self):
        return iter(self.to_list())

    def __repr__(self):
        count = f"{len(self)} sample" if len(self) == 1 else f"{len(self)} samples"
        lengths = self.lengths
        steps = f" of {lengths.min()} to {lengths.max()} steps" if len(self) else ""
        kind = "tokens" if self.is_tokens else f"step_shape={self.step_shape}"
        return f"Sequences({count}{steps}, {kind}, {self.values.dtype})"

    def __getitem__(self, key):
        if isinstance(key, tuple) and len(key) == 2 and key[1] is Ellipsis:
            key = key[0]  # scikit-learn indexes arrays by X[key, ...]
        if isinstance(key, slice):
            return self._slice(key)
        key = np.asarray(key)
        if key.ndim == 0 and key.dtype.kind in "iu":
            return self._sample(int(key))
        return self._gather(self._positions(key))

    def to_list(self):
        """The samples one by one.

        Returns
        -------
        list of ndarray
            Read-only views, ``(n_timesteps_i, *step_shape)`` each.
        """
        samples = [self.values[start:stop] for start, stop in pairwise(self.offsets.tolist())]
        if self.shapes is None:
            return samples
        return [
            sample.reshape(height, width, *self.step_shape)
            for sample, (height, width) in zip(samples, self.shapes.tolist(), strict=True)
        ]

    def _sample(self, i):
        if not -len(self) <= i < len(self):
            raise IndexError(f"sample {i} is out of range for {len(self)} samples")
        i %= len(self)
        sample = self.values[self.offsets[i] : self.offsets[i + 1]]
        return sample if self.shapes is None else sample.reshape(*self.shapes[i], *self.step_shape)

    def _slice(self, key):
        start, stop, step = key.indices(len(self))
        if step != 1:
            return self._gather(np.arange(start, stop, step))
        offsets = self.offsets[start : max(start, stop) + 1]
        return Sequences(
            self.values[offsets[0] : offsets[-1]],
            offsets - offsets[0],
            None if self.shapes is None else self.shapes[start : max(start, stop)],
        )

    def _positions(self, key):
        """An array key as positions that are not negative."""
        n_samples = len(self)
        if key.ndim != 1 or (key.size and key.dtype.kind not in "iub"):
            raise IndexError(
                "Sequences are indexed by an integer, a slice, or a one-dimensional array of integers or "
                f"booleans, but an array of shape {key.shape} and dtype {key.dtype} arrived."
            )
        if key.dtype.kind == "b":
            if len(key) != n_samples:
                raise IndexError(f"a mask of {len(key)} booleans cannot choose among {n_samples} samples")
            return np.flatnonzero(key)
        key = key.astype(np.int64)
        outside = (key < -n_samples) | (key >= n_samples)
        if outside.any():
            raise IndexError(f"sample {key[np.argmax(outside)]} is out of range for {n_samples} samples")
        return np.where(key < 0, key + n_samples, key)

    def _gather(self, samples):
        starts = self.offsets[samples]
        lengths = self.offsets[samples + 1] - starts
        offsets = offsets_from_lengths(lengths)
        steps = np.repeat(starts - offsets[:-1], lengths)
        steps += np.arange(offsets[-1])
        shapes = None if self.shapes is None else self.shapes[samples]
        return Sequences(self.values.take(steps, axis=0), offsets, shapes)
