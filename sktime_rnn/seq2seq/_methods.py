"""What users call on a Seq2SeqTransformer."""

import numpy as np
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.metrics import r2_score
from sklearn.utils.validation import check_array, check_is_fitted

from sktime_rnn.base import draw_seed
from sktime_rnn.decoding import Sampler
from sktime_rnn.seq2seq._writing import Writer
from sktime_rnn.sequences import check_sequences

_SYMBOL_METRICS = ("token_accuracy", "exact_match", "neg_label_error_rate")


class Seq2SeqMethods(ClassNamePrefixFeaturesOutMixin, TransformerMixin, Writer):
    """The methods of Seq2SeqTransformer; set_output wraps ``transform`` in the class that defines it."""

    def fit(self, X, y=None, sample_weight=None, groups=None):
        """Fit the network.

        Parameters
        ----------
        X : sequences
            What :func:`~sktime_rnn.check_sequences` reads: a list of arrays of shape (n_timesteps_i, n_features), a
            3-D array, a 2-D array or frame (one feature), a panel frame, texts, lists of tokens, ...; vectors or grids
            with ``input="vector"`` or ``"grid"``.
        y : sequences or array-like of shape (n_samples,), default=None
            Outputs, likewise, of lengths of their own; some may be empty. One number a sample is an output of one step.
            Without y the network learns to reproduce X.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each pair.
        groups : array-like of shape (n_samples,), default=None
            With ``early_stopping=True``, no group has pairs both in the training and in the validation part.

        Returns
        -------
        self : Seq2SeqTransformer
            The fitted estimator.
        """
        return self._fit(X, y, sample_weight, groups)

    def partial_fit(self, X, y=None, sample_weight=None):
        """Train for one more epoch, at a constant learning rate.

        Parameters
        ----------
        X : sequences
            As in :meth:`fit`.
        y : sequences or array-like of shape (n_samples,), default=None
            As in :meth:`fit`.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each pair.

        Returns
        -------
        self : Seq2SeqTransformer
            The estimator.
        """
        return self._partial_fit(X, y, sample_weight)

    def _read_fitted(self, X):
        if not hasattr(self, "net_"):
            check_is_fitted(self, "net_")
        return self._read_X(X, reset=False)

    def predict(self, X, return_attention=False):
        """Write the output of each input.

        Parameters
        ----------
        X : sequences
            As in :meth:`fit`.
        return_attention : bool, default=False
            Whether to return what :meth:`attention_weights` gives as well.

        Returns
        -------
        y : list, or ndarray where y was an array or a frame in ``fit``
            The most probable outputs that were found, or values in the unit of y.
        weights : list of ndarray of shape (n_out_i, n_in_i)
            Only with ``return_attention=True``.
        """
        sequences = self._read_fitted(X)
        written = self._best(sequences)
        outputs = self._given_back(written)
        return (outputs, self._attended(sequences, written)) if return_attention else outputs

    def _best(self, sequences):
        """Return the best output of each input, as Sequences of codes or values."""
        written, _ = self._write(sequences, width=self.beam_width)
        return written[:: self.beam_width]

    def transform(self, X):
        """Write the output of each input or, with ``output="encoding"``, give its context vector.

        Parameters
        ----------
        X : sequences
            As in :meth:`fit`.

        Returns
        -------
        X_out : list, or ndarray of shape (n_samples, ...)
            As :meth:`predict`, one number a sample in a column of its own; or as :meth:`encode`.
        """
        if self.output == "encoding":
            return self.encode(X)
        out = self.predict(X)
        if isinstance(out, np.ndarray) and out.ndim == 1:
            return out[:, np.newaxis]
        config = getattr(self, "_sklearn_output_config", {}).get("transform", "default")
        if not (isinstance(out, np.ndarray) and out.ndim == 2) and config != "default":
            raise ValueError(
                f"set_output(transform={config!r}) needs outputs that make a table, but those of this model are "
                "sequences. Call set_output(transform='default'), or use output='encoding'."
            )
        return out

    @property
    def _n_features_out(self):
        if self.output == "encoding":
            return self.net_.module_.encoder.context_size
        if self._form.container == "list" or self._form.step_shape:
            raise ValueError(
                "get_feature_names_out names the columns of a table, but the outputs of this model are sequences. Use "
                "output='encoding'."
            )
        return self._length

    def encode(self, X):
        """Return the context vectors.

        Parameters
        ----------
        X : sequences
            As in :meth:`fit`.

        Returns
        -------
        C : ndarray of shape (n_samples, n_components)
            What the encoder makes of each input.
        """
        return self._encoded(self._read_fitted(X))

    def inverse_transform(self, X):
        """Write outputs from context vectors: those of an autoencoder are its reconstructions.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_components)
            Context vectors, as :meth:`encode` gives them.

        Returns
        -------
        y : list, or ndarray where outputs were an array or a frame in ``fit``
            Outputs, as :meth:`predict` gives them.
        """
        check_is_fitted(self, "net_")
        self._refuse_ctc("inverse_transform")
        if self.net_.module_.decoder.attention is not None or self._length == "input":
            raise ValueError(
                "inverse_transform needs a decoder that sees nothing of the input but the context vector, got one that "
                "sees its steps, or its length. Fit with attention=None and output_length='stop'."
            )
        C = check_array(X, dtype=np.float64)
        size = self.net_.module_.encoder.context_size
        if C.shape[1] != size:
            raise ValueError(f"X must have {size} columns, as encode gives, got {C.shape[1]}. Pass context vectors.")
        width = self.beam_width if self._form.is_symbols else 1
        module = self._writing_module()
        written, _ = self._written(module, self._memories_of(C, module), len(C), None, width=width)
        return self._given_back(written[::width])

    def attention_weights(self, X, y=None):
        """Return how much each output step looks at each input step.

        Parameters
        ----------
        X : sequences
            As in :meth:`fit`.
        y : sequences, default=None
            Outputs; without them, those that :meth:`predict` writes.

        Returns
        -------
        weights : list of ndarray of shape (n_out_i, n_in_i)
            Rows sum to 1.
        """
        sequences = self._read_fitted(X)
        outputs = self._best(sequences) if y is None else self._read_outputs(X, sequences, y, reset=False)
        return self._attended(sequences, outputs)

    def _explained(self, X, y=None):
        """Return the attention weights of one input, its tokens and those of its output; None for values."""
        sequences = self._read_fitted(X)
        outputs = self._best(sequences) if y is None else self._read_outputs(X, sequences, y, reset=False)
        (weights,) = self._attended(sequences, outputs)
        read = check_sequences(X, input=self.input, missing=self.missing, **self._tokens_of("X")).values
        written = self._output_vocabulary.decode(outputs.values) if self._form.is_symbols else None
        return weights, read if sequences.is_tokens else None, written

    def _attended(self, sequences, outputs):
        self._refuse_ctc("attention")
        if self.net_.module_.decoder.attention is None:
            raise ValueError(
                "attention weights need a network with attention, got attention=None. Fit with attention='general'."
            )
        return self._weights(sequences, outputs)

    def _refuse_ctc(self, method):
        if self.alignment == "ctc":
            raise ValueError(f"{method} needs a decoder, which alignment='ctc' does not have. Fit with alignment=None.")

    def _refuse_values(self, method):
        if not self._form.is_symbols:
            raise ValueError(
                f"{method} needs outputs that are symbols, which have probabilities, got values. Use predict."
            )

    def predict_n_best(self, X, n=5):
        """Write several outputs for each input, found by beam search.

        Parameters
        ----------
        X : sequences
            As in :meth:`fit`.
        n : int, default=5
            Most outputs an input.

        Returns
        -------
        outputs : list of lists of (output, log_probability)
            For each input its outputs, the best first, each with its log-probability in nats. With ``alignment="ctc"``
            the probability is the sum over the paths that were kept.
        """
        sequences = self._read_fitted(X)
        self._refuse_values("predict_n_best")
        if n < 1:
            raise ValueError(f"n must be above 0, got {n!r}. Correct it.")
        width = max(n, self.beam_width, 1 if self.alignment is None else 2)
        written, log_proba = self._write(sequences, width=width)
        outputs = self._given_back(written)
        return [
            [(outputs[i * width + k], float(p)) for k, p in enumerate(row[:n]) if p > -np.inf]
            for i, row in enumerate(log_proba)
        ]

    def sample(self, X, n=1, temperature=1.0, top_k=None, top_p=None, random_state=None):
        """Draw outputs at random.

        Parameters
        ----------
        X : sequences
            As in :meth:`fit`.
        n : int, default=1
            Number of outputs an input.
        temperature : float, default=1.0
            Log-probabilities are divided by it: the smaller, the more probable are outputs.
        top_k : int, default=None
            Draw from the k most probable symbols of each step alone.
        top_p : float, default=None
            Draw from the fewest symbols that together are at least this probable.
        random_state : int, RandomState or None, default=None
            Seed.

        Returns
        -------
        outputs : list of lists
            For each input its n outputs. They depend on the seed and the input's place in X, not on the other inputs.
        """
        sequences = self._read_fitted(X)
        self._refuse_values("sample")
        for name, value, allowed in (
            ("n", n, n >= 1),
            ("temperature", temperature, temperature > 0),
            ("top_k", top_k, top_k is None or top_k >= 1),
            ("top_p", top_p, top_p is None or 0 < top_p <= 1),
        ):
            if not allowed:
                bound = "in (0, 1]" if name == "top_p" else "above 0"
                raise ValueError(f"{name} must be {bound}, got {value!r}. Correct it.")
        sampler = Sampler(draw_seed(random_state), temperature, top_k, top_p)
        outputs = self._given_back(self._write(sequences, width=n, choose=sampler)[0])
        return [outputs[i : i + n] for i in range(0, len(outputs), n)]

    def log_likelihood(self, X, y=None):
        """Return the log-probability of true outputs.

        Parameters
        ----------
        X : sequences
            As in :meth:`fit`.
        y : sequences, default=None
            True outputs; of an autoencoder, X takes their place.

        Returns
        -------
        log_likelihood : ndarray of shape (n_samples,)
            In nats, summed over the symbols and the end. With ``alignment="ctc"``, over all alignments.
        """
        sequences = self._read_fitted(X)
        self._refuse_values("log_likelihood")
        return self._log_likelihoods(sequences, self._read_outputs(X, sequences, y, reset=False))

    def perplexity(self, X, y=None):
        """Return the perplexity of true outputs: 1 where the network is sure of all of them.

        Parameters
        ----------
        X : sequences
            As in :meth:`fit`.
        y : sequences, default=None
            True outputs.

        Returns
        -------
        perplexity : float
            exp of minus the mean log-probability of a symbol, ends among them.
        """
        sequences = self._read_fitted(X)
        self._refuse_values("perplexity")
        outputs = self._read_outputs(X, sequences, y, reset=False)
        n_symbols = len(outputs.values) + (len(outputs) if self.alignment is None else 0)
        return float(np.exp(-self._log_likelihoods(sequences, outputs).sum() / n_symbols))

    def score(self, X, y=None, sample_weight=None, metric="auto"):
        """Return how well outputs are written; the larger, the better.

        Parameters
        ----------
        X : sequences
            As in :meth:`fit`.
        y : sequences or array-like, default=None
            True outputs; of an autoencoder, X takes their place.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each pair.
        metric : {"auto", "token_accuracy", "exact_match", "neg_label_error_rate", "r2"}, default="auto"
            For symbols the share of places at which an output agrees with the truth, of the longer one's length; the
            share of outputs that agree throughout; or minus the number of edits that an output needs, as a share of the
            symbols of the truth. For values R², the output written with as many steps as the truth has. "auto" is
            "token_accuracy", "neg_label_error_rate" with ``alignment="ctc"``, and "r2" for values.

        Returns
        -------
        score : float
            The score.
        """
        sequences = self._read_fitted(X)
        outputs = self._read_outputs(X, sequences, y, reset=False)
        metrics = _SYMBOL_METRICS if self._form.is_symbols else ("r2",)
        if metric not in ("auto", *metrics):
            raise ValueError(f"metric must be 'auto' or one of {list(metrics)}, got {metric!r}. Choose one of these.")
        weight = np.ones(len(sequences)) if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
        if not self._form.is_symbols:
            return self._r2(sequences, outputs, weight)
        if metric == "auto":
            metric = "token_accuracy" if self.alignment is None else "neg_label_error_rate"
        agree, longer, edits = self._compared(self._best(sequences), outputs)
        if metric == "exact_match":
            return float(np.average(edits == 0, weights=weight))
        if metric == "token_accuracy":
            return float(weight @ agree / max(weight @ longer, 1e-300))
        return -float(weight @ edits / max(weight @ outputs.lengths, 1e-300))

    def _r2(self, sequences, outputs, weight):
        written, _ = self._write(sequences, given=outputs.lengths)
        known = ~np.isnan(outputs.values).any(axis=1)
        weight = np.repeat(weight, outputs.lengths)[known]
        return float(r2_score(outputs.values[known], written.values[known], sample_weight=weight))

    @property
    def output_vocabulary_(self):
        """Symbols of y in the order of their codes; there are none where y held values."""
        if getattr(self, "_output_vocabulary", None) is None:
            raise AttributeError("Seq2SeqTransformer has an output_vocabulary_ only when y was text or tokens in fit.")
        return self._output_vocabulary.tokens_

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = False
        tags.target_tags.multi_output = True
        return tags
