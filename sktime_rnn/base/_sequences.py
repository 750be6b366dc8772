"""BaseSequenceRNN: what the estimators of sequences share - reading X, building and training the net."""

import contextlib
import math
from abc import ABC, abstractmethod
from numbers import Integral

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.validation import _check_feature_names, check_array, validate_data
from skorch.helper import predefined_split

from sktime_rnn.base._building import changed_names
from sktime_rnn.base._reading import first_frame, listed_columns, read_noise, tokens_with_vectors
from sktime_rnn.base._splitting import split_validation
from sktime_rnn.base._training import NetTrainer, draw_seed
from sktime_rnn.batching import step_statistics
from sktime_rnn.callbacks import StopWithoutProgress, schedules_itself
from sktime_rnn.nets import n_epochs, seeded_torch, torch_threads
from sktime_rnn.preprocessing import Vocabulary
from sktime_rnn.sequences import check_sequences, counts_columns
from sktime_rnn.sequences._samples import is_tensor, tensor_values
from sktime_rnn.state import net_state, restore_net

OF_TOKENS = ("embedding_dim", "embeddings", "max_tokens", "min_frequency")


class BaseSequenceRNN(NetTrainer, BaseEstimator, ABC):
    """Base of the estimators of sequences.

    Subclasses list all parameters in their constructor and supply

    - ``_dataset(X, sequences, y, reset, ...)`` -> what is trained on;
    - ``_check_combinations(dataset)`` -> refusals of parameters that do not fit each other or the data;
    - ``_network_spec(sequences, dataset)`` -> plain values, and the user's modules, from which the network is built;
    - ``_build_module(spec)`` -> the network, its weights not yet drawn.

    State after fit: ``net_`` (the skorch net), ``_spec`` (what ``_network_spec`` gave).
    """

    _fewest_valid = 1  # sequences that early stopping can validate on
    _parameter_constraints: dict = {
        **NetTrainer._parameter_constraints,
        "warm_start": ["boolean"],
        "go_backwards": ["boolean"],
        "input": [StrOptions({"sequence", "vector", "grid"})],
        "step_network": [torch.nn.Module, None],
        "tokenizer": [StrOptions({"char", "word"}), callable],
        "tokens": ["boolean"],
        "embedding_dim": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "embeddings": [HasMethods(["keys", "__getitem__"]), None],
        "max_tokens": [Interval(Integral, 1, None, closed="left"), None],
        "min_frequency": [Interval(Integral, 1, None, closed="left")],
        "standardize": ["boolean"],
        "missing": [StrOptions({"error", "mask"})],
    }

    @abstractmethod
    def _dataset(self, X, sequences, y, sample_weight, reset, classes=None, groups=None):
        """Return the dataset to train on; sequences of weight 0 are left out."""

    @abstractmethod
    def _check_combinations(self, dataset):
        """Refuse parameters that do not fit each other or the data."""

    @abstractmethod
    def _network_spec(self, sequences, dataset):
        """Return all that the network is built from: plain values, and the modules that the user passed."""

    @abstractmethod
    def _build_module(self, spec):
        """Return the network, its weights not yet drawn."""

    # --- reading X ---------------------------------------------------------------------------------------------------

    def _read_X(self, X, reset):
        """Return X as Sequences of values or codes, checked against what the estimator was fitted on."""
        X = tensor_values(X) if is_tensor(X) else X
        table = (
            counts_columns(X)
            and not self._tokens_of("X")["tokens"]
            and getattr(X, "dtype", np.dtype(float)).kind != "U"
        )
        rows = self._check_table(X, reset) if table else X
        sequences = check_sequences(rows, input=self.input, missing=self.missing, **self._tokens_of("X"))
        if reset:
            self._set_features(X, sequences, table)
        else:
            self._check_features(X, sequences, table)
        if sequences.is_tokens:
            if reset:
                self._learn_tokens(sequences)
            return self._vocabulary.encode(sequences)
        return sequences

    def _tokens_of(self, name):
        """Return what :func:`check_sequences` must know of the tokens of X, or of y."""
        return {"tokens": self.tokens, "tokenizer": self.tokenizer}

    def _check_table(self, X, reset):
        options = {"dtype": [np.float64, np.float32], "ensure_all_finite": False}
        if reset or self._fitted_on_table:
            return validate_data(self, X, reset=reset, **options)
        X = check_array(X, estimator=self, **options)
        if self._n_listed not in (None, X.shape[1]):
            raise ValueError(
                f"X must have {self._n_listed} columns, as many as each list of numbers in fit had, got {X.shape[1]}. "
                "Pass list(X) for sequences of another length."
            )
        return X

    def _set_features(self, X, sequences, table):
        self._fitted_on_table = table
        self._n_listed = listed_columns(X, sequences.lengths)
        self._fitted_on_tokens = sequences.is_tokens
        self._step_shape = sequences.step_shape
        self._vocabulary = None
        if not table:
            self.n_features_in_ = sequences.n_features
            _check_feature_names(self, first_frame(X), reset=True)

    def _check_features(self, X, sequences, table):
        frame = first_frame(X)
        if not table and hasattr(frame, "columns"):
            _check_feature_names(self, frame, reset=False)
        if sequences.is_tokens != self._fitted_on_tokens:
            kinds = ("numbers", "tokens") if self._fitted_on_tokens is False else ("tokens", "numbers")
            raise ValueError(
                f"X must hold {kinds[0]} as in fit, got {kinds[1]}. Pass X of the same kind, or fit again."
            )
        if sequences.step_shape == self._step_shape:
            return
        hint = " one sequence? wrap it in a list: [X]." if table else ""
        raise ValueError(
            f"X must have {self._step_shape} features in each step as in fit, got {sequences.step_shape}: X has "
            f"{sequences.n_features} features, but {type(self).__name__} is expecting {math.prod(self._step_shape)} "
            f"features as input.{hint} Pass the features of fit, in their order."
        )

    def _learn_tokens(self, sequences):
        known = tokens_with_vectors(self.embeddings, Integral if sequences.values.dtype.kind in "iu" else str)
        self._vocabulary = Vocabulary(self.max_tokens, self.min_frequency).fit(sequences, known)

    @property
    def vocabulary_(self):
        """Tokens in the order of their codes; there are none where X held values."""
        if getattr(self, "_vocabulary", None) is None:
            raise AttributeError(f"{type(self).__name__} has a vocabulary_ only when it was fitted on text or tokens.")
        return self._vocabulary.tokens_

    # --- building ----------------------------------------------------------------------------------------------------

    def _check_reading(self, is_tokens):
        """Refuse parameters that do not fit each other or the kind of X."""
        if self.go_backwards and self.bidirectional:
            raise ValueError(
                "go_backwards=True needs bidirectional=False, got both True; a bidirectional network reads backwards "
                "anyway. Set one of them to False."
            )
        if self.step_network is not None and is_tokens:
            raise ValueError(
                "step_network needs X with values, got tokens, which are embedded. Leave step_network at None, or pass "
                "numbers."
            )
        if schedules_itself(self.callbacks) and self.lr_schedule not in ("auto", "constant"):
            raise ValueError(
                f"lr_schedule={self.lr_schedule!r} and an LRScheduler among callbacks would both set the learning "
                "rate. Leave lr_schedule at 'auto', or remove the callback."
            )
        if is_tokens and read_noise(self.input_noise, self.dropout) >= 1:
            raise ValueError(
                "input_noise is the share of tokens read as unknown and must be below 1, got "
                f"{self.input_noise}. Lower it."
            )

    def _refuse_of_other_kind(self, is_tokens):
        """Refuse parameters that are for values where X holds tokens, and the other way round."""
        if not is_tokens:
            self._refuse_changed(OF_TOKENS, "X holds values", "Pass text or tokens as X")
        else:
            self._refuse_changed(("missing", "standardize"), "X holds tokens", "Pass values as X")

    def _reading_spec(self, sequences):
        """Return what the parts of the network that read X are built from, and the spec of its scaling."""
        spec = {
            "cell": self.cell,
            "nonlinearity": self.nonlinearity,
            "hidden_size": self.hidden_size,
            "num_layers": self.num_layers,
            "bidirectional": self.bidirectional,
            "go_backwards": self.go_backwards,
            "bias": self.bias,
            "initial_state": self.initial_state,
            "dropout": self.dropout,
            "input_noise": read_noise(self.input_noise, self.dropout),
            "step_network": self.step_network,
            "input_shape": sequences.step_shape,
        }
        if sequences.is_tokens:
            counts = self._vocabulary.counts_
            return spec | {"token_counts": counts, "embedding_dim": self._embedding_size(len(counts))}, None
        scaling = {"n_channels": sequences.step_shape[-1], "mask_missing": self.missing == "mask"}
        if self.missing == "mask":
            *axes, n_channels = sequences.step_shape
            spec["input_shape"] = (*axes, 2 * n_channels)
            spec["n_flags"] = n_channels
        return spec, scaling

    def _embedding_size(self, n_tokens, given=True):
        if given and self.embeddings is not None:
            return len(next(iter(self.embeddings.values())))
        if self.embedding_dim != "auto":
            return self.embedding_dim
        return 32 if n_tokens <= 256 else 128

    def _refuse_rebuilding(self, sequences, dataset):
        """Refuse to go on with a network that other parameters were asked of."""
        changed = changed_names(self._spec, self._network_spec(sequences, dataset))
        if changed:
            raise ValueError(
                f"training that goes on keeps its network, whose parameters must stay as they were, but {changed} "
                "changed. Set them back, or fit anew with warm_start=False."
            )

    def _build(self, sequences, dataset):
        """Set ``_spec``, and return the network with its first weights and its constants."""
        self._spec = self._network_spec(sequences, dataset)
        module = self._build_module(self._spec)
        if self._spec["network"] is None:
            module.reset_parameters(torch.Generator().manual_seed(self._seed))
        if self.embeddings is not None:
            self._load_embeddings(self._reader(module).embedding.embedding.weight)
        if module.scaling is not None and self.standardize:
            self._learn_scaling(module.scaling, dataset)
        self._learn_target_scaling(module.head, dataset)
        self.n_parameters_ = sum(p.numel() for p in module.parameters())
        return module

    def _learn_scaling(self, scaling, dataset):
        weight = dataset.weight
        if weight is not None and not dataset.per_step:
            weight = np.repeat(weight, dataset.X.lengths)
        mean, scale = step_statistics(dataset.X.values, weight)
        scaling.mean.copy_(torch.from_numpy(mean))
        scaling.scale.copy_(torch.from_numpy(scale))

    def _learn_target_scaling(self, head, dataset):
        """Set the head's constants; only values have any."""

    def _reader(self, module):
        """Return the part of the network that reads the steps of X."""
        return module

    def _load_embeddings(self, weight):
        index = {token: code for code, token in enumerate(self.vocabulary_)}
        vectors = np.array([self.embeddings[token] for token in self.embeddings], dtype=np.float64)
        codes = [index[token] for token in self.embeddings]
        with torch.no_grad():
            weight[codes] = torch.from_numpy(vectors).to(weight.dtype)

    # --- training ----------------------------------------------------------------------------------------------------

    def _fit(self, X, y, sample_weight, groups):
        self._validate_params()
        goes_on = self.warm_start and hasattr(self, "net_")
        return self._read_and_train(X, y, goes_on, sample_weight=sample_weight, groups=groups)

    def _partial_fit(self, X, y, sample_weight=None, classes=None):
        self._validate_params()
        if self.early_stopping:
            raise ValueError(
                "partial_fit trains for one epoch on all that it is given and needs early_stopping=False, got True. "
                "Call fit, or set early_stopping=False."
            )
        goes_on = hasattr(self, "net_")
        return self._read_and_train(X, y, goes_on, one_epoch=True, sample_weight=sample_weight, classes=classes)

    def _read_and_train(self, X, y, goes_on, one_epoch=False, **targets):
        sequences = self._read_X(X, reset=not goes_on)
        dataset = self._dataset(X, sequences, y, reset=not goes_on, **targets)
        self._check_combinations(dataset)
        if not goes_on:
            self._seed = draw_seed(self.random_state)
        self.n_threads_ = self._choose_threads()
        with torch_threads(self.n_threads_), self._user_modules_seeded():
            self._build_and_train(sequences, dataset, goes_on, one_epoch)
        return self

    def _build_and_train(self, sequences, dataset, goes_on, one_epoch):
        split, stopping = None, None
        if self.early_stopping and not one_epoch:
            dataset, valid = split_validation(
                dataset, self.validation_fraction, self._fewest_valid, self._seed, self._split_indices
            )
            split = predefined_split(valid)
            stopping = StopWithoutProgress(*self._monitor(), self.n_iter_no_change, self.tol)
        if goes_on:
            self._refuse_rebuilding(sequences, dataset)
        state = net_state(self.net_) if goes_on else None
        module = self._build_module(self._spec) if goes_on else self._build(sequences, dataset)
        n_batches = math.ceil(len(dataset) / self.batch_size)
        epochs = 1 if one_epoch else self._n_epochs(dataset, n_batches)
        net = self._make_net(module, epochs, self._callbacks(stopping, one_epoch), split)
        if goes_on:
            restore_net(net, state)
            for group in net.optimizer_.param_groups:
                group["lr"] = self.lr
        self.net_ = net
        vars(self).pop("validation_scores_", None)
        try:
            net.fit(dataset)
        finally:
            if stopping is not None:
                self.validation_scores_ = list(getattr(stopping, "scores_", []))

    def _n_epochs(self, dataset, n_batches):
        return n_epochs(self.max_epochs, n_batches, len(dataset.X.values))

    def _user_modules_seeded(self):
        if getattr(self, "network", None) is None and self.step_network is None:
            return contextlib.nullcontext()
        return seeded_torch(self._seed + (len(self.net_.history) if hasattr(self, "net_") else 0))

    def _split_indices(self, dataset, n_valid):
        order = np.random.default_rng(self._seed).permutation(len(dataset))
        return order[n_valid:], order[:n_valid]

    def _monitor(self):
        """Return the column of the history that early stopping watches, and 1 where larger is better."""
        return "valid_loss", -1

    def __sklearn_is_fitted__(self):
        return hasattr(self, "net_")

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.non_deterministic = False
        tags.input_tags.two_d_array = True
        tags.input_tags.three_d_array = True
        tags.input_tags.allow_nan = self.missing == "mask"
        return tags
