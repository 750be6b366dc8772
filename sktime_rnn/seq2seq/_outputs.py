"""Outputs as users hand them in, read into Sequences, and given back in the same form."""

from dataclasses import dataclass
from itertools import pairwise
from numbers import Number

import numpy as np
import pandas as pd

from sktime_rnn.panel import is_panel
from sktime_rnn.sequences import Sequences, check_sequences
from sktime_rnn.sequences._samples import is_tensor, tensor_values


@dataclass(frozen=True)
class OutputForm:
    """The form in which outputs came, and go back.

    Attributes
    ----------
    kind : {"text", "tokens", "values"}
        What a sample is.
    container : {"list", "array", "single"}
        A list of samples; an array or table of samples of one length; one number a sample.
    step_shape : tuple of int
        Shape of a step of values; ``()`` where a sample is an array of one axis.
    joint : str
        What stands between the tokens of a text.
    as_lists : bool
        Whether the tokens of a sample are in a list, not in an array.
    """

    kind: str
    container: str = "list"
    step_shape: tuple = ()
    joint: str = ""
    as_lists: bool = False

    @property
    def is_symbols(self):
        """Whether outputs are symbols, not values."""
        return self.kind != "values"

    def give(self, values, lengths):
        """Return outputs as users expect them.

        Parameters
        ----------
        values : ndarray of shape (N,) or (N, K)
            The tokens or values of all steps, end to end.
        lengths : int ndarray of shape (n_samples,)
            Number of steps of each sample.

        Returns
        -------
        outputs : list or ndarray
            In the form of the outputs in ``fit``.
        """
        if self.kind == "values":
            values = values.reshape(len(values), *self.step_shape).astype(np.float64)  # a copy: users may write
        elif self.kind == "tokens" and len(values) and not isinstance(values[0], str):
            values = values.astype(np.int64)
        if self.container == "single":
            return values.reshape(len(lengths))
        if self.container == "array":
            return values.reshape(len(lengths), -1, *values.shape[1:])
        bounds = np.concatenate([[0], np.cumsum(lengths)]).tolist()
        if self.kind == "values":
            return [values[start:stop] for start, stop in pairwise(bounds)]
        if self.kind == "text":
            tokens = values.tolist()
            return [self.joint.join(tokens[start:stop]) for start, stop in pairwise(bounds)]
        if self.as_lists:
            tokens = values.tolist()
            return [tokens[start:stop] for start, stop in pairwise(bounds)]
        return [values[start:stop] for start, stop in pairwise(bounds)]


def read_outputs(y, tokens=False, tokenizer="char", missing="error", name="y", form=None):
    """Read outputs; some may be empty.

    Parameters
    ----------
    y : object
        What :func:`~sktime_rnn.check_sequences` reads, with empty texts, lists or arrays among it; or one number a
        sample.
    tokens : bool, default=False
        Whether integers are tokens.
    tokenizer : {"char", "word"} or callable, default="char"
        How texts are cut.
    missing : {"error", "mask"}, default="error"
        "mask" lets NaN through.
    name : str, default="y"
        What error messages call it.
    form : OutputForm, default=None
        The form of outputs in ``fit``, which outputs take that are all empty.

    Returns
    -------
    sequences : Sequences
        Tokens (N,) or values (N, K).
    form : OutputForm
        How to give such outputs back.
    """
    y = tensor_values(y) if is_tensor(y) else y
    options = {"tokens": tokens, "tokenizer": tokenizer, "missing": missing, "name": name}
    if isinstance(y, pd.DataFrame) and not is_panel(y) and y.shape[1] == 1 and y.dtypes.iloc[0].kind == "O":
        y = y.iloc[:, 0]
    if hasattr(y, "__array__") and not hasattr(y, "__len__"):
        y = np.asarray(y)
    if is_panel(y) or isinstance(y, Sequences) or not hasattr(y, "__len__") or isinstance(y, str | bytes):
        return _with_form(check_sequences(y, **options), one_axis=isinstance(y, pd.Series))  # or it says what is wrong
    if getattr(y, "ndim", 1) > 1:
        return _with_form(check_sequences(y, **options), container="array", one_axis=y.ndim == 2)
    if _holds_single(y):
        column = np.asarray(y).reshape(-1, 1)
        return _with_form(check_sequences(column, **options), container="single", one_axis=True)
    samples = list(y)
    if samples and all(hasattr(sample, "__len__") and len(sample) == 0 for sample in samples):
        return _all_empty(samples, form, name), form
    if any(isinstance(sample, str) for sample in samples):
        return _read_texts(samples, tokenizer, options)
    return _read_list(samples, options)


def _all_empty(samples, form, name):
    if form is None:
        raise ValueError(
            f"{name} must have an output that is not empty, but all {len(samples)} are empty. Pass what is to be "
            "learnt."
        )
    shape = () if form.is_symbols else (int(np.prod(form.step_shape, dtype=np.int64)),)
    return Sequences(np.zeros((0, *shape)), np.zeros(len(samples) + 1, dtype=np.int64))


def _with_form(sequences, one_axis=False, **form):
    if sequences.is_tokens:
        return sequences, OutputForm(**{"kind": "tokens", **form})
    values = sequences.values.reshape(len(sequences.values), -1)
    shape = () if one_axis else sequences.step_shape
    return Sequences(values, sequences.offsets), OutputForm("values", step_shape=shape, **form)


def _holds_single(y):
    """Whether there is one number a sample."""
    kind = getattr(getattr(y, "dtype", None), "kind", "O")
    if kind != "O":
        return kind in "biuf"
    first = next(iter(y), None)
    return isinstance(first, Number)


def _read_texts(samples, tokenizer, options):
    if callable(tokenizer) and all(isinstance(sample, str) for sample in samples):
        samples = [tokenizer(text) for text in samples]
        empty = [len(tokens) == 0 for tokens in samples]
    else:
        cut = str.split if tokenizer == "word" else str
        empty = [isinstance(sample, str) and not cut(sample) for sample in samples]
    joint = "" if tokenizer == "char" else " "
    return _with_form(_read_around_empty(samples, empty, options), kind="text", joint=joint)


def _read_list(samples, options):
    empty = [hasattr(sample, "__len__") and len(sample) == 0 for sample in samples]
    sequences = _read_around_empty(samples, empty, options)
    first = samples[empty.index(False)]
    one_axis = np.ndim(first[0]) == 0 if isinstance(first, list | tuple) else np.ndim(first) == 1
    if not sequences.is_tokens:
        return _with_form(sequences, one_axis)
    return _with_form(sequences, as_lists=isinstance(first, list | tuple))


def _read_around_empty(samples, empty, options):
    """Read the samples that are not empty, and leave room for the others."""
    if not any(empty) or all(empty):  # texts of blanks alone are refused there
        return check_sequences(samples, **options)
    kept = np.flatnonzero(~np.array(empty))
    sequences = check_sequences([samples[i] for i in kept], **options)
    lengths = np.zeros(len(samples), dtype=np.int64)
    lengths[kept] = sequences.lengths
    return Sequences(sequences.values, np.concatenate([[0], np.cumsum(lengths)]))
