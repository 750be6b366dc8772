"""RNNRegressor: values for sequences, or for every step of them."""

import numpy as np
import torch
from sklearn.base import RegressorMixin
from sklearn.metrics import r2_score

from sktime_rnn.base import BaseRNN, StrOptions, read_targets
from sktime_rnn.batching import step_statistics
from sktime_rnn.heads import POINT_LOSSES, PointHead


class RNNRegressor(RegressorMixin, BaseRNN):
    r"""Recurrent network that predicts values from sequences of any length, or at every step of them.

    .. math:: h_t = \operatorname{cell}(x_t, h_{t-1}), \quad \hat y = \mu + \sigma (W h_L + b)

    with steps x_t (n_features,), states h_t (hidden_size,), and mean mu and standard deviation sigma of the training
    targets (n_outputs,). y decides what is learnt: one value a sequence, several, or a list of arrays with values for
    every step.

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
    input_noise : float or "auto", default=0.0
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
        values. It is copied with the weights that it has. While it trains, torch's global generator is seeded, and put
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
    loss : {"squared_error", "absolute_error", "huber"}, default="squared_error"
        What is minimised, on targets in units of their standard deviation; Huber's loss turns from squared to absolute
        at one of them.
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
    n_features_in_ : int
        Columns of a 2-D X, otherwise features of a step.
    feature_names_in_ : ndarray of str
        Names of the columns of a frame.
    n_iter_ : int
        Number of epochs trained.
    loss_curve_ : list of float
        Training loss of every epoch.
    validation_scores_ : list of float
        R² on the held-out part after every epoch, with ``early_stopping=True``.
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
    >>> from sktime_rnn import RNNRegressor
    >>> rng = np.random.default_rng(0)
    >>> X = [rng.normal(size=(n, 1)) for n in rng.integers(3, 9, size=60)]
    >>> y = [x.mean() for x in X]
    >>> RNNRegressor(random_state=0).fit(X, y).score(X, y) > 0.9
    True
    """

    _fewest_valid = 2  # R² of one value is not defined
    _parameter_constraints: dict = {
        **BaseRNN._parameter_constraints,
        "loss": [StrOptions(set(POINT_LOSSES))],
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
        input_noise=0.0,
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
        loss="squared_error",
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
        self.loss = loss
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
        y, per_step = read_targets(y, X, lengths, self.per_step, numeric=True, owner=self)
        if y.dtype.kind not in "biuf":
            raise TypeError(f"y must hold numbers, got dtype {y.dtype}. Convert it, or use RNNClassifier for labels.")
        if reset:
            self._one_output = y.ndim == 1
            self._n_outputs = 1 if y.ndim == 1 else y.shape[1]
        y = y.reshape(len(y), -1).astype(np.float64, copy=False)
        if y.shape[1] != self._n_outputs:
            raise ValueError(
                f"y must have {self._n_outputs} outputs as in fit, got {y.shape[1]}. Pass the same outputs, or fit "
                "again."
            )
        return y, per_step

    def _head_spec(self, y):
        return {"n_outputs": self._n_outputs, "loss": self.loss}

    def _head(self, spec):
        return PointHead(**spec)

    def _learn_target_scaling(self, head, dataset):
        mean, scale = step_statistics(dataset.y, dataset.weight)
        head.loc.copy_(torch.from_numpy(mean))
        head.scale.copy_(torch.from_numpy(scale))

    def _monitor(self):
        return "valid_r2", 1

    # --- what users call ---

    def partial_fit(self, X, y, sample_weight=None):
        """Train for one more epoch, at a constant learning rate.

        Parameters
        ----------
        X : sequences
            As in :meth:`fit`.
        y : array-like
            As in :meth:`fit`.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each sequence.

        Returns
        -------
        self : RNNRegressor
            The estimator.
        """
        return self._partial_fit(X, y, sample_weight)

    def _values(self, raw):
        values = self.net_.module_.head.predict(raw).cpu().numpy()
        return values[:, 0] if self._one_output else values

    def predict(self, X):
        """Predict values.

        Parameters
        ----------
        X : sequences
            As in :meth:`fit`.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_outputs), or list of ndarray of shape (n_timesteps_i, ...)
            Values in the unit of y in ``fit``; one array a sequence where there is a value for every step.
        """
        sequences, raw = self._raw(X)
        return self._per_sample(self._values(raw), X, sequences)

    def score(self, X, y, sample_weight=None):
        """Return the coefficient of determination R²; with values per step, over all steps.

        Parameters
        ----------
        X : sequences
            As in :meth:`fit`.
        y : array-like
            True values.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each sequence.

        Returns
        -------
        score : float
            R², averaged over outputs.
        """
        sequences, raw = self._raw(X)
        y, per_step = self._read_y(y, X, sequences.lengths, reset=False)
        self._check_per_step(per_step)
        if per_step and sample_weight is not None:
            sample_weight = np.repeat(sample_weight, sequences.lengths)
        return r2_score(y, self._values(raw).reshape(y.shape), sample_weight=sample_weight)
