"""RNNClassifier: labels for sequences, or for every step of them."""

import numpy as np
import torch
from sklearn.base import ClassifierMixin
from sklearn.metrics import accuracy_score
from sklearn.model_selection import StratifiedShuffleSplit
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d

from sktime_rnn.base import BaseRNN, StrOptions, read_targets
from sktime_rnn.classifier._labels import encode, find_classes, label_weights
from sktime_rnn.heads import CategoricalHead, MultiLabelHead, MultiOutputHead
from sktime_rnn.nets import torch_threads
from sktime_rnn.networks import FeedbackNetwork


class RNNClassifier(ClassifierMixin, BaseRNN):
    r"""Recurrent network that labels sequences of any length, or every step of them.

    .. math::
        h_t = \operatorname{cell}(x_t, h_{t-1}), \quad
        P(y = k \mid x_1 \dots x_L) = \operatorname{softmax}(W h_L + b)_k

    with steps x_t (n_features,), states h_t (hidden_size,) and one output k a class. y decides what is learnt: one
    label a sequence; a matrix of zeros and ones (several labels a sequence, each by a sigmoid); a matrix of labels
    (several outputs); or a list of arrays, one label for every step.

    Parameters
    ----------
    cell : str, None, Cell or Layers, default="lstm"
        The recurrence: "lstm", "gru", "rnn" (or "elman"), "jordan", "elman-jordan", "mgu", "mingru", "minlstm",
        "leaky", "clockwork", "trace", "irnn" or "grud"; None for a network without memory; or a cell of
        :mod:`sktime_rnn.cells` with options of its own, as a class or an instance; or
        :class:`~sktime_rnn.layers.Layers`, which say how layers are connected.
    hidden_size : int, default=128
        Number of hidden units of each layer and direction.
    num_layers : int, default=1
        Number of recurrent layers on top of each other.
    bidirectional : bool, default=False
        Whether each layer reads the sequence in both directions.
    bias : bool, default=True
        Whether the recurrent equations have bias terms.
    nonlinearity : {"tanh", "relu", "sigmoid", "identity"} or callable, default="tanh"
        Nonlinearity of a cell that has one, such as "rnn", asked for by name; a callable maps a tensor to another.
        "tanh" leaves every cell the one that it has by default, "mingru" and "minlstm" the identity.
    go_backwards : bool, default=False
        Whether sequences are read from their last step to their first; outputs per step keep the order of X.
    initial_state : {"zeros", "learned"}, default="zeros"
        The state before the first step that is read.
    dropout : float, default=0.3
        Share of values set to zero in training: between layers and before the output.
    input_noise : float or "auto", default="auto"
        In training, standard deviation of Gaussian noise added to standardised values; for text and tokens the
        probability that a token is read as unknown. "auto" is two thirds of ``dropout``.
    pooling : {"last", "mean", "max", "attention"}, default="last"
        How the steps of a sequence become one vector; leave it where there is an output per step.
    input : {"sequence", "vector", "grid"}, default="sequence"
        What a sample is: a sequence of steps; one vector, read as one step; or a grid (height, width[, channels]), read
        cell by cell, row after row.
    step_network : torch.nn.Module, default=None
        Turns steps, ``(n_steps, *step_shape)``, into feature vectors, (n_steps, n_features). It is copied with the
        weights that it has and trained with the rest. Steps keep their axes: begin with a permutation for
        ``Conv2d``, which wants channels first.
    tokenizer : {"char", "word"} or callable, default="char"
        How a text is cut into tokens; a callable maps a str to a list of str.
    tokens : bool, default=False
        Read integers as tokens, not as values.
    embedding_dim : int or "auto", default="auto"
        Length of a token's vector; "auto" is 32 for up to 256 different tokens, otherwise 128.
    embeddings : mapping from token to vector, default=None
        Initial vectors of these tokens, which then are all known. skorch's ``callbacks=[Freezer("embedding.*")]``
        keeps them as they are.
    max_tokens : int, default=None
        Know only this many tokens, the most frequent ones.
    min_frequency : int, default=1
        Know only tokens that are in the training data this often.
    standardize : bool, default=True
        Standardise each feature by mean and standard deviation of the training steps.
    missing : {"error", "mask"}, default="error"
        Refuse NaN in X, or read them as 0 after scaling beside one 0/1 feature for each input feature.
    per_step : bool, default=None
        Whether y holds a target for every step; needed only where a 2-D y beside a 3-D X can mean both.
    network : torch.nn.Module, default=None
        A network of your own in place of the recurrent one, whose parameters are then left as they are. Called as
        ``network(X, lengths)`` with X (batch, time, feature), standardised and padded on the right, and lengths
        (batch,), it returns (batch, n), or (batch, time, n) where y holds a target for every step; n is the number of
        classes. It is copied with the weights that it has. While it trains, torch's global generator is seeded, and put
        back afterwards.
    optimizer : {"adam", "adamw", "sgd", "rmsprop"} or callable, default="adam"
        A name, or a class of torch.optim.
    lr : float, default=0.005
        Learning rate.
    lr_schedule : {"auto", "constant", "cosine", "one_cycle"}, default="auto"
        Learning rate over training: "one_cycle" rises for a tenth of it and falls to 0 along half a cosine. "auto" is
        "one_cycle", or nothing where ``callbacks`` holds an LRScheduler.
    max_epochs : int or "auto", default="auto"
        Number of passes over the data; "auto" is as many as make 1,500 updates within 4 million time steps, at least
        10 and at most 300.
    batch_size : int, default=32
        Number of sequences in a training batch.
    max_batch_steps : int, default=65536
        Most steps in a training batch, padding included: long sequences make smaller batches.
    weight_decay : float, default=0.0
        Handed to the optimizer.
    max_grad_norm : float, default=1.0
        Gradients of a larger Euclidean norm are scaled down to this one. None leaves them.
    max_grad_value : float, default=None
        Elements of the gradient are cut to this size first.
    normalize_grad : bool, default=False
        Divide the gradient by its norm.
    class_weight : dict, list of dict or "balanced", default=None
        Weights of the classes, as in scikit-learn.
    early_stopping : bool, default=False
        Hold out ``validation_fraction`` of the sequences, stop when the score on them has not improved, and keep the
        weights of the best epoch.
    validation_fraction : float, default=0.1
        Share of the sequences held out; used with ``early_stopping=True``.
    n_iter_no_change : int, default=10
        Number of epochs without improvement that ends training; used with ``early_stopping=True``.
    tol : float, default=1e-4
        Least improvement that counts; used with ``early_stopping=True``.
    device : str, default="auto"
        "cpu", "cuda", "cuda:1", "mps", ...; "auto" is the first of CUDA, MPS and CPU that is there.
    precision : {"float32", "bfloat16", "float64"}, default="float32"
        Type of weights and activations; "bfloat16" is that of activations alone, beside float32 weights.
    callbacks : list, default=None
        skorch callbacks, or (name, callback) pairs. They see codes in place of labels.
    warm_start : bool, default=False
        Whether ``fit`` goes on with the weights of the fit before.
    verbose : int, default=0
        1 shows a progress bar with the loss and the time that is left, 2 prints a line an epoch as well.
    random_state : int, RandomState or None, default=None
        Seed of weights, shuffling, dropout and validation split. The same seed gives the same model bit by bit on the
        same machine; global generators are not touched.

    Attributes
    ----------
    classes_ : ndarray, or list of ndarray for several outputs
        Classes in the order of the columns of ``predict_proba``.
    n_features_in_ : int
        Columns of a 2-D X, otherwise features of a step.
    feature_names_in_ : ndarray of str
        Names of the columns of a frame.
    n_iter_ : int
        Number of epochs trained.
    loss_curve_ : list of float
        Training loss of every epoch.
    validation_scores_ : list of float
        Accuracy on the held-out part after every epoch, with ``early_stopping=True``; minus the loss where there are
        several labels or outputs.
    history_ : skorch.history.History
        skorch's record of training.
    net_ : RecurrentNet
        The skorch net.
    module_ : torch.nn.Module
        The network.
    vocabulary_ : ndarray of str or int
        Tokens in the order of their codes, where X was text.
    n_parameters_ : int
        Number of trained weights.

    References
    ----------
    S. Hochreiter and J. Schmidhuber (1997). Long short-term memory. Neural Computation 9, 1735-1780.

    Examples
    --------
    >>> import numpy as np
    >>> from sktime_rnn import RNNClassifier
    >>> rng = np.random.default_rng(0)
    >>> X = [rng.normal(size=(n, 2)) + label for n, label in [(5, 0), (8, 3), (6, 0), (9, 3)] * 5]
    >>> y = ["low", "high"] * 10
    >>> RNNClassifier(random_state=0).fit(X, y).predict(X[:2]).tolist()
    ['low', 'high']
    """

    _parameter_constraints: dict = {
        **BaseRNN._parameter_constraints,
        "class_weight": [dict, list, StrOptions({"balanced"}), None],
    }

    def __init__(
        self,
        cell="lstm",
        hidden_size=128,
        num_layers=1,
        *,
        bidirectional=False,
        bias=True,
        nonlinearity="tanh",
        go_backwards=False,
        initial_state="zeros",
        dropout=0.3,
        input_noise="auto",
        pooling="last",
        input="sequence",
        step_network=None,
        tokenizer="char",
        tokens=False,
        embedding_dim="auto",
        embeddings=None,
        max_tokens=None,
        min_frequency=1,
        standardize=True,
        missing="error",
        per_step=None,
        network=None,
        optimizer="adam",
        lr=0.005,
        lr_schedule="auto",
        max_epochs="auto",
        batch_size=32,
        max_batch_steps=65536,
        weight_decay=0.0,
        max_grad_norm=1.0,
        max_grad_value=None,
        normalize_grad=False,
        class_weight=None,
        early_stopping=False,
        validation_fraction=0.1,
        n_iter_no_change=10,
        tol=1e-4,
        device="auto",
        precision="float32",
        callbacks=None,
        warm_start=False,
        verbose=0,
        random_state=None,
    ):
        self.cell = cell
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bidirectional = bidirectional
        self.bias = bias
        self.nonlinearity = nonlinearity
        self.go_backwards = go_backwards
        self.initial_state = initial_state
        self.dropout = dropout
        self.input_noise = input_noise
        self.pooling = pooling
        self.input = input
        self.step_network = step_network
        self.tokenizer = tokenizer
        self.tokens = tokens
        self.embedding_dim = embedding_dim
        self.embeddings = embeddings
        self.max_tokens = max_tokens
        self.min_frequency = min_frequency
        self.standardize = standardize
        self.missing = missing
        self.per_step = per_step
        self.network = network
        self.optimizer = optimizer
        self.lr = lr
        self.lr_schedule = lr_schedule
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.max_batch_steps = max_batch_steps
        self.weight_decay = weight_decay
        self.max_grad_norm = max_grad_norm
        self.max_grad_value = max_grad_value
        self.normalize_grad = normalize_grad
        self.class_weight = class_weight
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.device = device
        self.precision = precision
        self.callbacks = callbacks
        self.warm_start = warm_start
        self.verbose = verbose
        self.random_state = random_state

    # --- what the base asks for ---

    def _read_y(self, y, X, lengths, reset, classes=None):
        y, per_step = read_targets(y, X, lengths, self.per_step, numeric=False, owner=self)
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        if not per_step:
            check_classification_targets(y)
        elif y.dtype.kind == "f":
            check_classification_targets(y.ravel())
        if reset:
            self._kind, self.classes_ = find_classes(y)
            if classes is not None:
                self.classes_ = self._join_classes(classes)
            self._check_enough_classes()
        elif classes is not None:
            self._check_same_classes(self._join_classes(classes))
        return self._codes(y), per_step

    def _join_classes(self, classes):
        if self._kind == "categorical":
            return np.unique(classes)
        if self._kind == "multilabel":
            return self.classes_
        return [np.unique(column) for column in classes]

    def _check_enough_classes(self):
        classes = {"categorical": [self.classes_], "multilabel": []}.get(self._kind, self.classes_)
        if any(len(column) < 2 for column in classes):
            raise ValueError(
                f"y must hold at least two classes, got only one class: {classes[0].tolist()}. Pass sequences of "
                "another class as well, or name the classes in partial_fit(..., classes=...)."
            )

    def _check_same_classes(self, classes):
        pairs = [(classes, self.classes_)] if self._kind != "multioutput" else zip(classes, self.classes_, strict=True)
        for new, known in pairs:
            if not np.array_equal(new, known):
                raise ValueError(
                    f"classes must be those of the first call, {known.tolist()}, got {new.tolist()}. Leave them out, "
                    "or fit again."
                )

    def _codes(self, y):
        n_outputs = 1 if self._kind == "categorical" else len(self.classes_)
        if (1 if y.ndim == 1 else y.shape[1]) != n_outputs:
            raise ValueError(
                f"y must have {n_outputs} outputs as in fit, got shape {y.shape}. Pass the same outputs, or fit again."
            )
        if self._kind == "categorical":
            return encode(np.ravel(y), self.classes_)
        if self._kind == "multilabel":
            if not np.isin(y, (0, 1)).all():
                raise ValueError(
                    f"y must hold 0 and 1 as in fit, got {np.setdiff1d(y, (0, 1)).tolist()} as well. Recode it."
                )
            return y.astype(np.int64)
        return np.stack([encode(*pair) for pair in zip(y.T, self.classes_, strict=True)], axis=1)

    def _row_weights(self, weight, y, lengths, per_step):
        weight = super()._row_weights(weight, y, lengths, per_step)
        if self.class_weight is None:
            return weight
        classes = {"categorical": [self.classes_], "multilabel": [np.arange(2)] * len(self.classes_)}
        weights = label_weights(self.class_weight, classes.get(self._kind, self.classes_), y)
        return weights if weight is None else weight * weights

    def _head_spec(self, y):
        if self._kind == "multioutput":
            return {"kind": self._kind, "size": [len(column) for column in self.classes_]}
        return {"kind": self._kind, "size": len(self.classes_)}

    def _head(self, spec):
        heads = {"categorical": CategoricalHead, "multilabel": MultiLabelHead, "multioutput": MultiOutputHead}
        return heads[spec["kind"]](spec["size"])

    def _monitor(self):
        return ("valid_acc", 1) if self._kind == "categorical" else ("valid_loss", -1)

    def _split_indices(self, dataset, n_valid):
        stratify = not dataset.per_step and dataset.y.ndim == 1
        fits = stratify and n_valid >= len(self.classes_) <= len(dataset) - n_valid
        if not fits or np.bincount(dataset.y).min() < 2:
            return super()._split_indices(dataset, n_valid)
        splitter = StratifiedShuffleSplit(1, test_size=n_valid, random_state=self._seed % 2**32)
        return next(splitter.split(np.empty(len(dataset)), dataset.y))

    # --- what users call ---

    def partial_fit(self, X, y, classes=None, sample_weight=None):
        """Train for one more epoch, at a constant learning rate.

        Parameters
        ----------
        X : sequences
            As in :meth:`fit`.
        y : array-like
            As in :meth:`fit`.
        classes : array-like, default=None
            All classes that any call will see; for the first call, where y does not hold all of them.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each sequence.

        Returns
        -------
        self : RNNClassifier
            The estimator.
        """
        return self._partial_fit(X, y, sample_weight, classes)

    def _labels(self, codes):
        if self._kind == "categorical":
            return self.classes_[codes]
        if self._kind == "multilabel":
            return codes
        return np.stack([c[k] for c, k in zip(self.classes_, codes.T, strict=True)], axis=1)

    def _predicted(self, X):
        """Return X as Sequences and the codes of its labels."""
        sequences = self._read_to_predict(X)
        with torch_threads(self.n_threads_):
            if isinstance(self.net_.module_, FeedbackNetwork) and self.net_.module_.beam_width > 1:
                return sequences, self.net_.search_labels(sequences).numpy()
        return sequences, self.net_.module_.head.predict(self._raw_of(sequences)).cpu().numpy()

    def _forced(self, sequences, y):
        with torch_threads(self.n_threads_):
            return self.net_.forced_rows(sequences, y).double()

    def _rows(self, X, method):
        sequences, raw = self._raw(X)
        rows = getattr(self.net_.module_.head, method)(raw)
        if isinstance(rows, list):
            return [self._per_sample(part.cpu().numpy(), X, sequences) for part in rows]
        return self._per_sample(rows.cpu().numpy(), X, sequences)

    def predict(self, X):
        """Predict labels.

        Parameters
        ----------
        X : sequences
            As in :meth:`fit`.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_outputs), or list of ndarray of shape (n_timesteps_i,)
            Labels; one array a sequence where there is a label for every step.
        """
        sequences, codes = self._predicted(X)
        return self._per_sample(self._labels(codes), X, sequences)

    def predict_proba(self, X):
        """Predict probabilities.

        Parameters
        ----------
        X : sequences
            As in :meth:`fit`.

        Returns
        -------
        proba : ndarray of shape (n_samples, n_classes), or list of them
            Columns as in ``classes_``. For several labels a sequence, the probability of each; for several outputs, a
            list with one array each; with labels per step, arrays of shape (n_timesteps_i, n_classes).
        """
        return self._rows(X, "predict_proba")

    def predict_log_proba(self, X):
        """Predict the logarithm of probabilities.

        Parameters
        ----------
        X : sequences
            As in :meth:`fit`.

        Returns
        -------
        log_proba : ndarray of shape (n_samples, n_classes), or list of them
            As :meth:`predict_proba`.
        """
        return self._rows(X, "log_proba")

    def decision_function(self, X):
        """Return what the softmax or the sigmoid is taken of.

        Parameters
        ----------
        X : sequences
            As in :meth:`fit`.

        Returns
        -------
        decision : ndarray of shape (n_samples,) for two classes, otherwise (n_samples, n_classes), or list of them
            Log-odds of ``classes_[1]`` for two classes, unnormalised log-probabilities for more.
        """
        return self._rows(X, "decision")

    def log_likelihood(self, X, y):
        """Return the log-probability of the true labels of each sequence.

        Parameters
        ----------
        X : sequences
            As in :meth:`fit`.
        y : array-like
            As in :meth:`fit`.

        Returns
        -------
        log_likelihood : ndarray of shape (n_samples,)
            In nats, summed over steps and outputs.
        """
        sequences = self._read_to_predict(X)
        y, per_step = self._read_y(y, X, sequences.lengths, reset=False)
        self._check_per_step(per_step)
        raw = self._raw_of(sequences) if self._feedback_cell() is None else self._forced(sequences, y)
        rows = self.net_.module_.head.log_likelihood(raw, torch.from_numpy(y)).numpy()
        return np.add.reduceat(rows, sequences.offsets[:-1]) if per_step else rows

    def score(self, X, y, sample_weight=None):
        """Return the accuracy; with labels per step, the share of steps.

        Parameters
        ----------
        X : sequences
            As in :meth:`fit`.
        y : array-like
            True labels.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each sequence.

        Returns
        -------
        score : float
            Accuracy; for several outputs all of them must be right.
        """
        sequences, codes = self._predicted(X)
        y, per_step = read_targets(y, X, sequences.lengths, self.per_step, numeric=False, owner=self)
        self._check_per_step(per_step)
        if per_step and sample_weight is not None:
            sample_weight = np.repeat(sample_weight, sequences.lengths)
        if self._kind == "categorical":
            return float(accuracy_score(np.ravel(y), self.classes_[codes], sample_weight=sample_weight))
        if y.shape != codes.shape:
            raise ValueError(
                f"y must have {codes.shape[-1]} outputs as in fit, got shape {y.shape}. Pass the same outputs."
            )
        return float(np.average((y == self._labels(codes)).all(axis=1), weights=sample_weight))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
