"""Transformers applied per time step, and tokens to codes."""

from dataclasses import replace

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin, clone
from sklearn.utils import check_array, get_tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_consistent_length, check_is_fitted, validate_data

from sktime_rnn.panel import check_target_index, feature_names, has_axes, is_panel, read_panel
from sktime_rnn.sequences import Sequences, check_sequences, check_step_targets, counts_columns
from sktime_rnn.sequences._samples import count_axes, is_tensor, tensor_values

# -- tokens to codes


def _factorize(tokens):
    """Codes (n_tokens,) and distinct tokens (n_distinct,) of tokens (n_tokens,)."""
    if tokens.dtype == np.dtype("U1"):  # one character each: integers are much faster to hash
        codes, points = pd.factorize(np.ascontiguousarray(tokens).view(np.uint32))
        return codes, points.view("U1").astype(object)
    codes, distinct = pd.factorize(tokens if tokens.dtype == np.int64 else tokens.astype(object))
    return codes, distinct


def _encode_text(tokens):
    """Str as UTF-8 bytes end to end, uint8, and the length of each in bytes."""
    encoded = [token.encode("utf-8", "surrogatepass") for token in tokens]
    lengths = np.fromiter(map(len, encoded), dtype=np.int64, count=len(encoded))
    return np.frombuffer(b"".join(encoded), dtype=np.uint8), lengths


def _decode_text(text, lengths):
    text, ends = text.tobytes(), np.cumsum(lengths)
    tokens = np.empty(len(lengths), dtype=object)
    bounds = zip((ends - lengths).tolist(), ends.tolist(), strict=True)
    tokens[:] = [text[start:end].decode("utf-8", "surrogatepass") for start, end in bounds]
    return tokens


class Vocabulary:
    """The tokens of a language and their codes.

    The specials come first; the tokens seen in `fit` follow, the most frequent first and equally frequent ones in
    their own order. A token that is not in the vocabulary has the code 0, that of the first special.

    Parameters
    ----------
    max_tokens : int, optional
        Keep at most this many tokens, the most frequent ones; specials are not counted.
    min_frequency : int, default=1
        Keep only tokens that were seen at least this often.
    specials : tuple of str, default=("<unk>",)
        Tokens that are always there; the first stands for unknown tokens.

    Attributes
    ----------
    tokens_ : ndarray of shape (n_codes,), dtype object
        The tokens in the order of their codes, specials included.
    counts_ : ndarray of shape (n_codes,)
        How often each code occurs in the sequences that were seen in `fit`.

    Examples
    --------
    >>> from sktime_rnn.preprocessing import Vocabulary
    >>> vocabulary = Vocabulary().fit(["banana", "bandana"])
    >>> vocabulary.tokens_.tolist()
    ['<unk>', 'a', 'n', 'b', 'd']
    >>> vocabulary.encode(["bad", "cab"]).to_list()
    [array([3, 1, 4]), array([0, 1, 3])]
    """

    def __init__(self, max_tokens=None, min_frequency=1, specials=("<unk>",)):
        self.max_tokens = max_tokens
        self.min_frequency = min_frequency
        self.specials = specials

    def fit(self, sequences, known=()):
        """Learn the tokens.

        Parameters
        ----------
        sequences : Sequences of str or integers, or what `check_sequences` reads as such
            Texts that were not cut yet are cut into characters.
        known : iterable of tokens, default=()
            Tokens that get a code of their own whether or not they are seen, after those that are learnt.

        Returns
        -------
        Vocabulary
            Itself.
        """
        self._check_parameters()
        codes, distinct = _factorize(check_sequences(sequences, tokens=True, name="sequences").values)
        counts = np.bincount(codes, minlength=len(distinct))
        kept = np.flatnonzero((counts >= self.min_frequency) & ~pd.Index(distinct).isin(self.specials))
        kept = kept[np.argsort(distinct[kept], kind="stable")]
        kept = kept[np.argsort(-counts[kept], kind="stable")][: self.max_tokens]
        learnt = distinct[kept]
        known = np.array(list(known), dtype=learnt.dtype)
        self._set_tokens(np.concatenate([learnt, known[~pd.Index(known).isin(learnt)]]))
        self.counts_ = np.bincount(self._codes_of(distinct), weights=counts, minlength=len(self)).astype(np.int64)
        return self

    def encode(self, sequences):
        """Replace tokens by codes.

        Parameters
        ----------
        sequences : Sequences of str or integers, or what `check_sequences` reads as such

        Returns
        -------
        Sequences of int64
        """
        sequences = check_sequences(sequences, tokens=True, name="sequences")
        codes, distinct = _factorize(sequences.values)
        return Sequences(self._codes_of(distinct)[codes], sequences.offsets)

    def decode(self, codes):
        """Replace codes by tokens.

        Parameters
        ----------
        codes : Sequences of int64, or array of integers

        Returns
        -------
        Sequences of tokens, or ndarray of tokens with the shape of `codes`
        """
        if isinstance(codes, Sequences):
            return Sequences(self.decode(codes.values), codes.offsets)
        codes = np.asarray(codes)
        if codes.dtype.kind not in "iu" or (codes.size and not 0 <= codes.min() <= codes.max() < len(self)):
            raise ValueError(
                f"codes must be integers from 0 to {len(self) - 1}, but {np.array2string(codes, threshold=8)} arrived. "
                "Decode with the vocabulary that encoded."
            )
        return self.tokens_[codes]

    def index(self, token):
        """The code of one token or special, 0 where it is unknown."""
        if token in self.specials:
            return self.specials.index(token)
        return int(self._codes_of(np.array([token], dtype=object))[0])

    def __len__(self):
        return len(self.tokens_)

    def __repr__(self):
        fitted = f"<{len(self)} tokens>" if hasattr(self, "tokens_") else "<not fitted>"
        return f"Vocabulary({fitted})"

    def get_state(self):
        """The vocabulary as a dict of arrays and plain values, for files."""
        state = {
            "max_tokens": self.max_tokens,
            "min_frequency": self.min_frequency,
            "specials": list(self.specials),
        }
        if not hasattr(self, "tokens_"):
            return state
        learnt = self.tokens_[len(self.specials) :]
        state["counts"] = self.counts_
        if self._holds_integers:
            state["integers"] = learnt.astype(np.int64)
        else:
            state["text"], state["text_lengths"] = _encode_text(learnt)
        return state

    @classmethod
    def from_state(cls, state):
        """Make a vocabulary from what `get_state` gave."""
        vocabulary = cls(state["max_tokens"], state["min_frequency"], tuple(state["specials"]))
        if "integers" in state:
            vocabulary._set_tokens(np.asarray(state["integers"], dtype=np.int64))
        elif "text" in state:
            vocabulary._set_tokens(_decode_text(np.asarray(state["text"]), np.asarray(state["text_lengths"])))
        if "counts" in state:
            vocabulary.counts_ = np.asarray(state["counts"])
        return vocabulary

    def __reduce__(self):
        return Vocabulary.from_state, (self.get_state(),)

    def _check_parameters(self):
        all_str = all(isinstance(special, str) for special in self.specials)
        if not self.specials or not all_str or len(set(self.specials)) < len(self.specials):
            raise ValueError(
                "specials must be one str or more, all different, the first of which stands for unknown tokens, but "
                f'{self.specials!r} arrived. Pass at least ("<unk>",).'
            )
        for parameter in ("max_tokens", "min_frequency"):
            value = getattr(self, parameter)
            if value is not None and value < 1:
                raise ValueError(f"{parameter} must be at least 1, but {value} arrived. Raise it.")

    def _set_tokens(self, learnt):
        """Take over the learnt tokens (n_learnt,), in the order of their codes."""
        self._holds_integers = learnt.dtype == np.int64
        specials = np.array(self.specials, dtype=object)
        self.tokens_ = np.concatenate([specials, learnt.astype(object)])
        self._index = pd.Index(learnt) if self._holds_integers else pd.Index(self.tokens_, dtype=object)

    def _codes_of(self, tokens):
        """Codes (n_tokens,) of tokens (n_tokens,)."""
        if len(tokens) and isinstance(tokens[0], str) == self._holds_integers:
            learnt, convert = ("integers", "int") if self._holds_integers else ("str", "str")
            raise TypeError(
                f"The tokens must be {learnt}, as those that the vocabulary was learnt from, but {tokens[0]} "
                f"({type(tokens[0]).__name__}) arrived. Convert them: {convert}(token)."
            )
        codes = self._index.get_indexer(tokens)
        if self._holds_integers:
            codes = np.where(codes < 0, codes, codes + len(self.specials))
        return np.where(codes < 0, 0, codes)


# -- containers


def _dense(output):
    """What a transformer gave as an ndarray (n_steps_total, n_outputs)."""
    output = output.toarray() if hasattr(output, "toarray") else np.asarray(output)
    return output[:, np.newaxis] if output.ndim == 1 else output


def _holds_single_numbers(samples):
    """Whether the samples of a list have one number a step, without a feature axis."""
    first = samples[0]
    if isinstance(first, list | tuple):
        return np.ndim(first[0]) == 0
    return not isinstance(first, str) and np.ndim(first) == 1


def _object_array(samples):
    cells = np.empty(len(samples), dtype=object)
    for i, sample in enumerate(samples):  # assigned at once, arrays of one length would be taken apart
        cells[i] = sample
    return cells


def _split(output, offsets):
    return [output[start:stop] for start, stop in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True)]


def _panel_like(panel, output, columns):
    rows = read_panel(panel.iloc[:, :0] if isinstance(panel, pd.DataFrame) else panel).rows
    if rows is not None:
        ordered = np.empty_like(output)
        ordered[rows] = output
        output = ordered
    if isinstance(panel, pd.Series) and output.shape[1] == 1:
        return pd.Series(output[:, 0], index=panel.index, name=panel.name)
    return pd.DataFrame(output, index=panel.index, columns=columns)


def _table_like(X, output, n_samples):
    """An array (n_samples, n_timesteps), or with a third axis where a step has several outputs."""
    if output.shape[1] > 1:
        return output.reshape(n_samples, -1, output.shape[1])
    output = output.reshape(n_samples, -1)
    return pd.DataFrame(output, index=X.index, columns=X.columns) if isinstance(X, pd.DataFrame) else output


def _list_like(X, samples, columns):
    """Samples in the list, array of objects or column that X is."""
    if isinstance(X, pd.DataFrame):
        return pd.DataFrame({X.columns[0]: _object_array(samples)}, index=X.index)
    if isinstance(X, pd.Series):
        return pd.Series(_object_array(samples), index=X.index, name=X.name)
    if isinstance(X, np.ndarray):
        return _object_array(samples)
    if isinstance(X[0], pd.DataFrame | pd.Series):
        return [
            pd.DataFrame(sample, index=frame.index, columns=columns) for frame, sample in zip(X, samples, strict=True)
        ]
    return samples


def like_container(X, steps, output, columns=None):
    """Put values per step into the container that the steps came from.

    Parameters
    ----------
    X : object
        The container, one of those that `check_sequences` reads.
    steps : Sequences
        What `check_sequences` read from it.
    output : ndarray of shape (n_steps_total, n_outputs)
        The new values of the steps.
    columns : ndarray of shape (n_outputs,), optional
        The names of the new features.

    Returns
    -------
    object
        A Sequences, an array, a DataFrame, a Series or a list, as X is; tensors become arrays. Steps keep their shape
        where the number of features is the same.
    """
    if is_panel(X):
        return _panel_like(X, output, columns)
    if counts_columns(X):
        return _table_like(X, output, len(steps))
    if output.shape[1] == steps.n_features and not steps.is_tokens:
        output = output.reshape(len(output), *steps.step_shape)
    if isinstance(X, Sequences):
        return Sequences(output, steps.offsets, steps.shapes)
    if count_axes(X) > 2:
        return output.reshape(len(steps), -1, *output.shape[1:])
    first = X.iloc[:, 0] if isinstance(X, pd.DataFrame) else X
    first = first.iloc if isinstance(first, pd.Series) else first
    if output.shape[1:] == (1,) and _holds_single_numbers(first):
        output = output[:, 0]
    return _list_like(X, _split(output, steps.offsets), columns)


# -- the transformer


def _read_steps(X):
    grid = isinstance(X, Sequences) and X.shapes is not None
    return check_sequences(X, input="grid" if grid else "sequence", missing="mask")


def _inner_can(method):
    def check(self):
        return hasattr(getattr(self, "transformer_", self.transformer), method)

    return check


def _holds_steps(y):
    """Whether a target has an array per sample instead of one value or one row."""
    if isinstance(y, Sequences) or is_panel(y):
        return True
    if isinstance(y, list | tuple | pd.Series):
        return len(y) > 0 and has_axes(y.iloc[0] if isinstance(y, pd.Series) else y[0])
    return count_axes(y) > 2


def _step_targets(y, steps, required):
    """One target per step, (n_steps_total[, n_outputs]); None where y is a sequence of other lengths than X."""
    if _holds_steps(y):
        try:
            return check_step_targets(y, steps.lengths).values
        except (TypeError, ValueError):
            if required:
                raise
            return None
    y = np.asarray(y)
    check_consistent_length(steps, y)
    y = y.astype(object) if y.dtype.kind == "U" else y  # shared str instead of copies
    return np.repeat(y, steps.lengths, axis=0)


class TimeDistributed(TransformerMixin, BaseEstimator):
    """Apply a scikit-learn transformer to every time step.

    The steps of all samples are laid end to end, (n_steps_total, n_features), and given to the transformer in one
    call; its output is cut into samples again and put into the container that came in. Steps with several axes are
    flattened for the transformer.

    Missing values reach the transformer, so that ``TimeDistributed(SimpleImputer())`` can fill them; infinite values
    are refused.

    Parameters
    ----------
    transformer : transformer
        Any scikit-learn transformer that gives one row for every row. It is cloned before it is fitted.

    Attributes
    ----------
    transformer_ : transformer
        The fitted transformer.
    n_features_in_ : int
        Number of columns of a 2-D array or DataFrame, number of features per step of any other container.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the columns, where X is made of DataFrames whose columns are all named by str.

    See Also
    --------
    sktime_rnn.check_sequences : The containers that are read.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.preprocessing import MinMaxScaler
    >>> from sktime_rnn import TimeDistributed
    >>> X = [np.array([[0.0], [5.0]]), np.array([[10.0]])]
    >>> TimeDistributed(MinMaxScaler()).fit_transform(X)
    [array([[0. ],
           [0.5]]), array([[1.]])]
    """

    def __init__(self, transformer):
        self.transformer = transformer

    def fit(self, X, y=None):
        """Fit the transformer to the steps of all samples.

        Parameters
        ----------
        X : list of arrays of shape (n_timesteps_i, n_features)
            Or any container that `check_sequences` reads.
        y : array of shape (n_samples,) or (n_samples, n_outputs), or list of arrays per step, optional
            Given to the transformer, which may ignore it; the target of a sample is repeated for each of its steps.
            Sequences with lengths of their own are left out, or refused by a transformer that requires y.

        Returns
        -------
        TimeDistributed
            Itself.
        """
        self._fit(X, y)
        return self

    def fit_transform(self, X, y=None):
        """Fit to X, then transform it; X is read once.

        Parameters
        ----------
        X : list of arrays of shape (n_timesteps_i, n_features)
            Or any container that `check_sequences` reads.
        y : array of shape (n_samples,) or (n_samples, n_outputs), or list of arrays per step, optional
            As in `fit`.

        Returns
        -------
        object
            The transformed samples in the container that came in.
        """
        return self._transform(X, self._fit(X, y))

    def transform(self, X):
        """Transform every step.

        Parameters
        ----------
        X : list of arrays of shape (n_timesteps_i, n_features)
            Or any container that `check_sequences` reads.

        Returns
        -------
        object
            The transformed samples in the container that came in: lists for lists, 3-D arrays for 3-D arrays, frames
            with the same index for frames. A 2-D array stays one where each step has one output, and becomes 3-D
            otherwise.
        """
        check_is_fitted(self)
        return self._transform(X, self._read(X, reset=False))

    @available_if(_inner_can("inverse_transform"))
    def inverse_transform(self, X):
        """Undo the transformation of every step.

        Parameters
        ----------
        X : list of arrays of shape (n_timesteps_i, n_outputs), or any container that `check_sequences` reads

        Returns
        -------
        object
            The original values in the container that came in.
        """
        check_is_fitted(self)
        steps = _read_steps(X)
        output = self._apply("inverse_transform", steps)
        names = None if self._counts_columns else getattr(self, "feature_names_in_", None)
        restored = like_container(X, steps, output, names)
        if self._counts_columns and isinstance(restored, np.ndarray) and restored.shape[2:] == (1,):
            return restored[:, :, 0]
        return restored

    @available_if(_inner_can("get_feature_names_out"))
    def get_feature_names_out(self, input_features=None):
        """Names of the columns that `transform` gives.

        Parameters
        ----------
        input_features : array of str of shape (n_features,), optional
            The names that came in; by default `feature_names_in_`, or "x0", "x1", ...

        Returns
        -------
        ndarray of str
            For a 2-D array with one output per step the names that came in, one a column; for any other container one
            name for each output of a step.
        """
        check_is_fitted(self)
        names = OneToOneFeatureMixin.get_feature_names_out(self, input_features)
        if not self._counts_columns:
            return self.transformer_.get_feature_names_out(names)
        step_names = self.transformer_.get_feature_names_out()
        return names if len(step_names) == 1 else step_names

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        inner = get_tags(self.transformer)
        return replace(
            tags,
            target_tags=inner.target_tags,
            transformer_tags=inner.transformer_tags,
            input_tags=replace(inner.input_tags, sparse=False, three_d_array=True),
            non_deterministic=inner.non_deterministic,
            requires_fit=inner.requires_fit,
        )

    def _fit(self, X, y):
        steps = self._read(X, reset=True)
        y = self._read_target(X, y, steps)
        transformer = clone(self.transformer)
        self.transformer_ = transformer.fit(self._values(steps), y)
        return steps

    def _read_target(self, X, y, steps):
        required = get_tags(self.transformer).target_tags.required
        if y is None and required:
            raise ValueError(
                f"TimeDistributed({type(self.transformer).__name__}()) requires y to be passed, but the target y is "
                "None. Pass one target per sample, or a list of one per step."
            )
        if y is None:
            return None
        if is_panel(X):
            check_target_index(y, X.index.unique(level=0))
        return _step_targets(y, steps, required)

    def _read(self, X, *, reset):
        """X as Sequences, held to the features that were seen in fit."""
        X = tensor_values(X) if is_tensor(X) else X
        counts = counts_columns(X)
        if counts and (reset or self._counts_columns):
            X = validate_data(self, X, reset=reset, dtype=[np.float64, np.float32], ensure_all_finite="allow-nan")
        elif counts:
            X = check_array(X, dtype=[np.float64, np.float32], ensure_all_finite="allow-nan")
        steps = _read_steps(X)
        if reset:
            self._counts_columns = counts
            self._n_step_features = steps.n_features
            if not counts:
                self._set_features(X, steps)
        elif steps.n_features != self._n_step_features or not counts:
            self._check_features(X, steps, counts)
        return steps

    def _set_features(self, X, steps):
        self.n_features_in_ = steps.n_features
        names = feature_names(X)
        if names is not None:
            self.feature_names_in_ = names
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_

    def _check_features(self, X, steps, counts):
        if steps.n_features != self._n_step_features:
            advice = "One sequence? wrap it in a list." if counts else "Give it the features that fit saw."
            raise ValueError(
                f"X has {steps.n_features} features per step, but TimeDistributed is expecting "
                f"{self._n_step_features} features as input. {advice}"
            )
        names, expected = feature_names(X), getattr(self, "feature_names_in_", None)
        if self._counts_columns or names is None or expected is None or np.array_equal(names, expected):
            return
        raise ValueError(
            f"The feature names should match those that were passed during fit, {list(expected)}, but X has "
            f"{list(names)}. Select the columns in that order: X[model.feature_names_in_]."
        )

    def _values(self, steps):
        return steps.values.reshape(len(steps.values), steps.n_features)  # (n_steps_total, n_features)

    def _transform(self, X, steps):
        output = self._apply("transform", steps)
        columns = None
        if not self._counts_columns and hasattr(self.transformer_, "get_feature_names_out"):
            columns = self.get_feature_names_out()
        return like_container(X, steps, output, columns)

    def _apply(self, method, steps):
        output = _dense(getattr(self.transformer_, method)(self._values(steps)))
        if len(output) != len(steps.values):
            raise ValueError(
                f"A transformer must give one row for every time step, but {type(self.transformer).__name__} made "
                f"{len(output)} rows of {len(steps.values)}. Apply it to whole sequences, outside TimeDistributed."
            )
        return output
