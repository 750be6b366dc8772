"""Text to tokens: one str per token, all samples end to end."""

from collections.abc import Callable
from itertools import chain

import numpy as np

from sktime_rnn.sequences._container import offsets_from_lengths


def is_str(value):
    return isinstance(value, str)


def holds_str(samples):
    """Whether a list holds texts, by the types of its elements."""
    return any(issubclass(kind, str) for kind in set(map(type, samples)))


def holds_token_lists(samples):
    """Whether a list holds lists of str, by the first of them that is not empty."""
    first = next((sample for sample in samples if not _is_list(sample) or len(sample)), None)
    return _is_list(first) and is_str(first[0])


def _is_list(sample):
    return isinstance(sample, list | tuple)


def check_tokenizer(tokenizer):
    if tokenizer not in ("char", "word") and not isinstance(tokenizer, Callable):
        raise ValueError(
            'tokenizer must be "char", "word" or a callable that cuts a str into a list of str, but '
            f"{tokenizer!r} arrived. Choose one of these."
        )


def _check_all_str(texts, name):
    if all(issubclass(kind, str) for kind in set(map(type, texts))):
        return
    sample = next(i for i, text in enumerate(texts) if not is_str(text))
    raise TypeError(
        f"{name} must hold nothing but str where it holds texts, but sample {sample} is {texts[sample]!r} "
        f"({type(texts[sample]).__name__}). Drop the sample or replace it by its text."
    )


def _check_no_empty_text(texts, lengths, name):
    if lengths.all():
        return
    sample = int(np.argmin(lengths))
    raise ValueError(
        f"Every text of {name} must have at least one token, but sample {sample}, {texts[sample]!r}, has "
        "none. Drop it, together with its target."
    )


def _check_token_types(tokens, offsets, name):
    if all(issubclass(kind, str) for kind in set(map(type, tokens))):
        return
    place = next(i for i, token in enumerate(tokens) if not is_str(token))
    sample = int(np.searchsorted(offsets, place, side="right")) - 1
    raise TypeError(
        f"The tokens of {name} must all be str, but step {place - offsets[sample]} of sample {sample} is "
        f"{tokens[place]!r} ({type(tokens[place]).__name__}). Convert it: str(token)."
    )


def _object_array(tokens):
    # Python str are shared between equal tokens; "<U" would give each the width of the longest.
    array = np.empty(len(tokens), dtype=object)
    array[:] = tokens
    return array


def read_texts(texts, tokenizer, name):
    """Cut texts into tokens.

    Parameters
    ----------
    texts : list of str
    tokenizer : {"char", "word"} or callable
    name : str

    Returns
    -------
    tokens : ndarray of shape (n_tokens,)
    offsets : ndarray of shape (n_texts + 1,)
    """
    _check_all_str(texts, name)
    if tokenizer == "char":
        return _cut_characters(texts, name)
    cut = str.split if tokenizer == "word" else tokenizer
    pieces = [cut(text) for text in texts]
    _check_pieces(pieces, name)
    lengths = np.fromiter(map(len, pieces), dtype=np.int64, count=len(pieces))
    _check_no_empty_text(texts, lengths, name)
    return _join_tokens(pieces, offsets_from_lengths(lengths), name)


def _cut_characters(texts, name):
    lengths = np.fromiter(map(len, texts), dtype=np.int64, count=len(texts))
    _check_no_empty_text(texts, lengths, name)
    joined = "".join(texts).encode("utf-32-le", "surrogatepass")
    return np.frombuffer(joined, dtype="<U1"), offsets_from_lengths(lengths)


def _check_pieces(pieces, name):
    for sample, piece in enumerate(pieces):
        if not isinstance(piece, list | tuple | np.ndarray):
            raise TypeError(
                f"tokenizer must cut a str into a list of str, but it made a {type(piece).__name__} of sample "
                f"{sample} of {name}. Let it return a list."
            )


def _join_tokens(samples, offsets, name):
    tokens = list(chain.from_iterable(samples))
    _check_token_types(tokens, offsets, name)
    return _object_array(tokens), offsets


def read_token_lists(samples, name):
    """Join lists of str; gives tokens (n_tokens,) and offsets (n_samples + 1,)."""
    for sample, tokens in enumerate(samples):
        if not isinstance(tokens, list | tuple | np.ndarray):
            raise TypeError(
                f"{name} must hold nothing but lists of str where it holds tokens, but sample {sample} is a "
                f"{type(tokens).__name__}. Convert it to a list of str."
            )
    lengths = np.fromiter(map(len, samples), dtype=np.int64, count=len(samples))
    if not lengths.all():
        raise ValueError(
            f"Every sample of {name} must have at least one token, but sample {int(np.argmin(lengths))} is "
            "empty. Drop it, together with its target."
        )
    return _join_tokens(samples, offsets_from_lengths(lengths), name)
