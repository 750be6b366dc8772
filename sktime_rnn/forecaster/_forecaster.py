"""RNNForecaster: the estimator."""

from numbers import Integral, Real

import numpy as np
import torch

from sktime_rnn.base import (
    HasMethods,
    Interval,
    NetTrainer,
    StrOptions,
)
from sktime_rnn.forecaster._ahead import Ahead
from sktime_rnn.forecaster._spread import on_cpu, variance_of
from sktime_rnn.forecaster._training import WindowTrainer
from sktime_rnn.heads import DISTRIBUTIONS, POINT_LOSSES
from sktime_rnn.nets import torch_threads
from sktime_rnn.windows import SCALERS, training_origins

_PATHS = 400
_NUMBERS_AT_ONCE = 5_000_000


class RNNForecaster(WindowTrainer):
    r"""Recurrent network that forecasts one or many series.

    One network is trained over windows of all series. It reads the L steps before a moment, each window on a scale of
    its own, and puts out the H steps after it:

    .. math:: \hat y_h = m + s \, (A_h z + W_h c + b_h), \quad c = \operatorname{RNN}(z_1, \dots, z_L),
        \quad z = (x - m) / s

    with m and s the location and scale of the window, A a linear map that starts from a ridge regression and c
    (hidden_size,) the last state of the recurrent layers. Steps further ahead than H are reached by feeding forecasts
    back. Every variable of a frame is a series of its own, unless ``joint=True``.

    Parameters
    ----------
    cell : str, None, Cell or Layers, default="lstm"
        The recurrence: "lstm", "gru", "rnn" (or "elman"), "mgu", "mingru", "minlstm", "leaky", "clockwork", "trace",
        "irnn" or "grud"; None for a network without memory; or a cell of :mod:`sktime_rnn.cells` with options of its
        own, as a class or an instance; or :class:`~sktime_rnn.layers.Layers`, which say how layers are connected.
    hidden_size : int, default=64
        Number of hidden units of each layer and direction.
    num_layers : int, default=1
        Number of recurrent layers on top of each other.
    context_length : int or "auto", default="auto"
        Number L of steps that the network reads. Shorter series are padded on the left, and where there are any in
        training, the network is told. "auto" is two horizons and a season, for hours and fractions of them a week, at
        most 512 and half of the longest series.
    horizon : int or "auto", default="auto"
        Number H of steps ahead that the network learns where ``fit`` is not given ``fh``, and that ``predict`` then
        gives; "auto" is one season, at least 1 and at most half of the longest series. With ``fh`` it is its furthest
        step.
    strategy : {"direct", "recursive", "seq2seq"}, default="direct"
        All steps ahead at once from the last state; one step, fed back; or all steps by a second recurrent layer that
        runs over the steps ahead and reads the last state and the step's own features at each of them.
    distribution : {"normal", "student_t", "negative_binomial", "quantile"} or None, default=None
        What is learnt about the spread: the parameters of a distribution, or the quantiles 0.025, 0.05, 0.1, 0.25, 0.5,
        0.75, 0.9, 0.95 and 0.975. With None the network gives one value, and intervals come from its errors on windows
        of the series. "negative_binomial" takes counts and gives counts.
    conformal : bool, default=False
        Move every quantile by the same quantile of the errors on the newest fifth of each series (at least a horizon),
        which a first network has not seen: split conformal prediction, its correction for each side alone (Lei et al.
        2018; Romano, Patterson and Candès 2019). The network that forecasts is then trained on all steps, or, with
        ``early_stopping=True``, on those that this leaves. Windows of one series depend on each other, so coverage is
        close to nominal, not guaranteed.
    calibrate : bool, default=True
        Rehearse first: train on all but the newest fifth with a third of the epochs, and learn there how far to trust
        the linear map and the network beyond the last value (in series of six horizons or more), and, for
        ``distribution=None``, how much wider errors are than in training. The fewer windows there are, the more the
        network's share is drawn to 0.4. With ``scaler`` "last" or "log".
    scaler : {"auto", "last", "log", "mean", "standard", "robust"} or None, default="auto"
        Location and scale of a window: the last value and the mean distance to it; the same of logarithms; 0 and the
        mean absolute value; mean and standard deviation; median and interquartile range; none. "auto" is "log" for
        series that are positive and stay away from zero, otherwise "last"; "mean" for counts.
    anchor : {"auto", "last", "seasonal"} or None, default="auto"
        What is forecast before anything is learnt: the last value, the last season, or the zero of the scale, which for
        ``scaler`` "last" and "log" is the last value too. "auto" takes what forecasts later windows better.
    linear_skip : bool, default=True
        Whether the linear map A is learnt. Otherwise it is the anchor.
    season_length : int or "auto", default="auto"
        Length of the season in steps, 1 for none. "auto" reads it from the frequency (24 for hours, 7 for days, 52 for
        weeks, 12 for months, 4 for quarters), or, for an integer index, from the autocorrelation of the differences.
    calendar : bool, default=True
        Whether the network is told the place of each step ahead in the hour, day, week, month and year, as far as the
        frequency tells and the series go through three of them.
    series_embedding : bool, default=False
        Whether the network is told which series of a panel it reads; series that are new in ``predict`` are unknown.
    joint : bool, default=False
        Whether the network reads all variables together and forecasts them together.
    past_columns : list, default=None
        Columns of X that are not known ahead. ``predict`` does not need them.
    positive : bool, default=False
        Keep forecasts from falling below 0.
    missing : {"error", "mask"}, default="error"
        Refuse NaN in y and X, or leave them out of the loss and tell the network where they are.
    gaps : {"error", "fill"}, default="error"
        Refuse unsorted time stamps and steps that are not there, or sort them and read the steps as missing values.
    freq : str or DateOffset, default=None
        Frequency of dates that do not tell it.
    warm_up : bool, default=False
        Whether the recurrent layers read all steps of a series before they forecast, not the last L alone. Training,
        fitted values and calibration read L.
    patch_length : int or "auto", default="auto"
        Number of steps that the recurrent layers read at a time. "auto" makes 16 steps or fewer of a context; 1 for
        ``strategy="recursive"``.
    bidirectional : bool, default=False
        Whether each layer reads the context in both directions.
    bias : bool, default=True
        Whether the recurrent equations have bias terms.
    nonlinearity : {"tanh", "relu", "sigmoid", "identity"} or callable, default="tanh"
        Nonlinearity of a cell that has one, such as "rnn", asked for by name; a callable maps a tensor to another.
        "tanh" leaves every cell the one that it has by default, "mingru" and "minlstm" the identity.
    initial_state : {"zeros", "learned"}, default="zeros"
        The state before the first step that is read.
    dropout : float, default=0.0
        Share of values set to zero in training: between layers and before the output.
    input_noise : float, default=0.0
        In training, standard deviation of Gaussian noise added to the scaled values that the recurrent layers read.
    loss : {"absolute_error", "squared_error", "huber"}, default="absolute_error"
        What is minimised with ``distribution=None``, on the scale of the window.
    optimizer : {"adam", "adamw", "sgd", "rmsprop"} or callable, default="adamw"
        A name, or a class of torch.optim.
    lr : float, default=0.003
        Learning rate; that of the linear map is three tenths of it.
    lr_schedule : {"auto", "constant", "cosine", "one_cycle"}, default="auto"
        Learning rate over training: "one_cycle" rises for a tenth of it and falls to 0 along half a cosine. "auto" is
        "one_cycle", or nothing where ``callbacks`` holds an LRScheduler.
    max_epochs : int or "auto", default="auto"
        Number of epochs. An epoch draws as many windows as there are, at most 100 batches, evenly over time. "auto"
        is as many as make ``40 sqrt(n / H)`` updates for n windows, at least 200 and at most 2,000.
    update_epochs : int, default=1
        Number of epochs over the windows of new steps in ``update``, at a tenth of the learning rate.
    batch_size : int or "auto", default="auto"
        Number of windows in a training batch; "auto" is about a quarter of all, between 32 and 256.
    max_batch_steps : int, default=262144
        Most steps in a training batch: long windows make smaller batches.
    weight_decay : float, default=1e-4
        Handed to the optimizer; the linear map has none.
    max_grad_norm : float, default=1.0
        Gradients of a larger Euclidean norm are scaled down to this one. None leaves them.
    max_grad_value : float, default=None
        Elements of the gradient are cut to this size first.
    normalize_grad : bool, default=False
        Divide the gradient by its norm.
    early_stopping : bool, default=False
        Train without the newest ``validation_fraction`` of each series, stop when the loss there has not improved, and
        keep the weights of the best epoch.
    validation_fraction : float, default=0.1
        Share of the steps of each series that is held out, at most a third; used with ``early_stopping=True``.
    n_iter_no_change : int, default=10
        Number of epochs without improvement that ends training; used with ``early_stopping=True``.
    tol : float, default=1e-4
        Least improvement that counts; used with ``early_stopping=True``.
    device : str, default="auto"
        "cpu", "cuda", "cuda:1", "mps", ...; "auto" is the first of CUDA, MPS and CPU that is there.
    precision : {"float32", "bfloat16", "float64"}, default="float32"
        Type of weights and activations; "bfloat16" is that of activations alone, beside float32 weights. Windows are
        always scaled in float64.
    callbacks : list, default=None
        skorch callbacks, or (name, callback) pairs.
    verbose : int, default=0
        1 shows a progress bar with the loss and the time that is left, 2 prints a line an epoch as well.
    random_state : int, RandomState or None, default=None
        Seed of weights, windows, dropout and samples. The same seed gives the same model bit by bit on the same
        machine; global generators are not touched.

    Attributes
    ----------
    horizon_ : int
        Steps that ``predict`` gives where neither ``fit`` nor ``predict`` is given ``fh``.
    context_length_, season_length_ : int
        Steps that the network reads, and length of the season, 1 for none.
    scaler_ : str or None
        What "auto" has become.
    n_iter_ : int
        Number of epochs trained.
    loss_curve_ : list of float
        Training loss of every epoch.
    validation_scores_ : list of float
        Minus the loss on the held-out steps after every epoch, with ``early_stopping=True``.
    history_ : skorch.history.History
        skorch's record of training.
    net_ : RecurrentNet
        The skorch net.
    module_ : torch.nn.Module
        The network.
    n_parameters_ : int
        Number of trained weights.

    See Also
    --------
    NaiveForecaster : The last value, the mean, the drift or the last season.
    AutoregressiveForecaster : A linear function of the last steps.
    backtest : Several forecasters side by side.

    References
    ----------
    J. Lei, M. G'Sell, A. Rinaldo, R. J. Tibshirani and L. Wasserman (2018). Distribution-free predictive inference for
    regression. JASA 113, 1094-1111.
    Y. Romano, E. Patterson and E. Candès (2019). Conformalized quantile regression. NeurIPS.
    D. Salinas, V. Flunkert, J. Gasthaus and T. Januschowski (2020). DeepAR: probabilistic forecasting with
    autoregressive recurrent networks. International Journal of Forecasting 36, 1181-1191.

    Examples
    --------
    >>> from sktime_rnn import RNNForecaster
    >>> from sktime_rnn.datasets import load_airpassengers
    >>> y = load_airpassengers()
    >>> forecaster = RNNForecaster(random_state=0).fit(y[:-12], fh=range(1, 13))
    >>> error = (forecaster.predict() / y[-12:] - 1).abs().mean()
    >>> bool(error < 0.08)
    True
    >>> forecaster.predict_interval(coverage=[0.8, 0.95]).columns.nlevels
    3
    """

    _uses_X = True
    _parameter_constraints: dict = {
        **NetTrainer._parameter_constraints,
        "context_length": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "horizon": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "strategy": [StrOptions({"direct", "recursive", "seq2seq"})],
        "distribution": [StrOptions(set(DISTRIBUTIONS)), None],
        "conformal": ["boolean"],
        "calibrate": ["boolean"],
        "scaler": [StrOptions({"auto", *(name for name in SCALERS if name)}), None],
        "anchor": [StrOptions({"auto", "last", "seasonal"}), None],
        "linear_skip": ["boolean"],
        "season_length": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "calendar": ["boolean"],
        "series_embedding": ["boolean"],
        "joint": ["boolean"],
        "past_columns": [list, None],
        "positive": ["boolean"],
        "missing": [StrOptions({"error", "mask"})],
        "gaps": [StrOptions({"error", "fill"})],
        "freq": [str, HasMethods(["rule_code"]), None],
        "warm_up": ["boolean"],
        "patch_length": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "loss": [StrOptions(set(POINT_LOSSES))],
        "input_noise": [Interval(Real, 0, None, closed="left")],
        "update_epochs": [Interval(Integral, 1, None, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
    }

    def __init__(
        self,
        cell="lstm",
        hidden_size=64,
        num_layers=1,
        *,
        context_length="auto",
        horizon="auto",
        strategy="direct",
        distribution=None,
        conformal=False,
        calibrate=True,
        scaler="auto",
        anchor="auto",
        linear_skip=True,
        season_length="auto",
        calendar=True,
        series_embedding=False,
        joint=False,
        past_columns=None,
        positive=False,
        missing="error",
        gaps="error",
        freq=None,
        warm_up=False,
        patch_length="auto",
        bidirectional=False,
        bias=True,
        nonlinearity="tanh",
        initial_state="zeros",
        dropout=0.0,
        input_noise=0.0,
        loss="absolute_error",
        optimizer="adamw",
        lr=0.003,
        lr_schedule="auto",
        max_epochs="auto",
        update_epochs=1,
        batch_size="auto",
        max_batch_steps=1 << 18,
        weight_decay=1e-4,
        max_grad_norm=1.0,
        max_grad_value=None,
        normalize_grad=False,
        early_stopping=False,
        validation_fraction=0.1,
        n_iter_no_change=10,
        tol=1e-4,
        device="auto",
        precision="float32",
        callbacks=None,
        verbose=0,
        random_state=None,
    ):
        self.cell = cell
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.context_length = context_length
        self.horizon = horizon
        self.strategy = strategy
        self.distribution = distribution
        self.conformal = conformal
        self.calibrate = calibrate
        self.scaler = scaler
        self.anchor = anchor
        self.linear_skip = linear_skip
        self.season_length = season_length
        self.calendar = calendar
        self.series_embedding = series_embedding
        self.joint = joint
        self.past_columns = past_columns
        self.positive = positive
        self.missing = missing
        self.gaps = gaps
        self.freq = freq
        self.warm_up = warm_up
        self.patch_length = patch_length
        self.bidirectional = bidirectional
        self.bias = bias
        self.nonlinearity = nonlinearity
        self.initial_state = initial_state
        self.dropout = dropout
        self.input_noise = input_noise
        self.loss = loss
        self.optimizer = optimizer
        self.lr = lr
        self.lr_schedule = lr_schedule
        self.max_epochs = max_epochs
        self.update_epochs = update_epochs
        self.batch_size = batch_size
        self.max_batch_steps = max_batch_steps
        self.weight_decay = weight_decay
        self.max_grad_norm = max_grad_norm
        self.max_grad_value = max_grad_value
        self.normalize_grad = normalize_grad
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.device = device
        self.precision = precision
        self.callbacks = callbacks
        self.verbose = verbose
        self.random_state = random_state

    def _ahead_of(self):
        return Ahead(self._setup, self._encoder, self.net_, self.warm_up)

    def _values(self, raw, scaled):
        """Return point forecasts, (I, H, V), from the network's outputs."""
        z = on_cpu(self.net_.module_.head).predict(torch.from_numpy(raw)).numpy()
        return self._setup.unscaled(z, scaled)

    def _whole(self, z, scaled):
        """Return values of quantiles or samples; counts are whole numbers."""
        values = self._setup.unscaled(z, scaled)
        return np.floor(values + 0.5) if self._setup.counts else values

    def _point(self, known, n_steps):
        ahead = self._ahead_of()
        with torch_threads(self.n_threads_):
            parts = [self._values(raw, scaled) for raw, scaled in ahead.run(known, n_steps, self._values)]
        return ahead.by_series(np.concatenate(parts, axis=1), known.data, n_steps)

    def _quantiles(self, known, n_steps, alpha):
        if n_steps > self._setup.horizon:
            paths = self._paths(known, n_steps, _PATHS, np.random.default_rng(self._seed))
            return np.moveaxis(np.quantile(paths, alpha, axis=0), 0, -1)
        ahead = self._ahead_of()
        with torch_threads(self.n_threads_):
            raw, scaled = next(ahead.run(known, n_steps))
            values = self._whole(
                self._spread.quantiles(self.net_.module_.head, raw, alpha, self._setup.units(scaled)), scaled
            )
        return ahead.by_series(values, known.data, n_steps)

    def _variance(self, known, n_steps):
        if n_steps > self._setup.horizon:
            return self._paths(known, n_steps, _PATHS, np.random.default_rng(self._seed)).var(axis=0)
        return variance_of(lambda alpha: self._quantiles(known, n_steps, alpha))

    def _paths(self, known, n_steps, n_samples, rng):
        """Draw paths; where the network looks less far than asked, each goes on from what it has drawn."""
        ahead, head = self._ahead_of(), self.net_.module_.head
        copies = n_samples if n_steps > self._setup.horizon else 1
        n_series = len(known.data)
        scale = ahead.scale_of(known)
        scale = scale.take(np.tile(np.arange(len(scale.loc)), copies))
        known = ahead.recent(known, np.tile(np.arange(n_series), copies))
        parts = []
        with torch_threads(self.n_threads_):
            moves = self._spread.sampling_moves(head)
            for raw, scaled in ahead.run(known, n_steps, lambda raw, scaled: parts[-1], scale):
                z = self._spread.sample(head, raw, n_samples // copies, rng, self._setup.units(scaled), moves)
                values = np.stack([self._whole(part, scaled) for part in z])
                parts.append(values[0] if copies > 1 else values)
        if copies > 1:
            values = ahead.by_series(np.concatenate(parts, axis=1), known.data, n_steps)
            return values.reshape(n_samples, n_series, *values.shape[1:])
        return np.stack([ahead.by_series(path, known.data, n_steps) for path in parts[0]])

    def _one_step(self, known):
        data, setup = known.data, self._setup
        windows, features = setup.windows(data), self._encoder.encode(known)
        scale = setup.series_scale(windows)
        fitted = np.full((len(data.values), data.n_variables), np.nan)
        flat = fitted if self.joint else fitted.reshape(-1, 1)
        items, origins = training_origins(windows, 1).all()
        at_once = max(1, _NUMBERS_AT_ONCE // (setup.n_variables * (setup.context + setup.horizon)))
        with torch_threads(self.n_threads_):
            for start in range(0, len(items), at_once):
                some = items[start : start + at_once], origins[start : start + at_once]
                dataset = setup.dataset(windows, features, some, series_scale=scale)
                (raw,) = self.net_.forward_iter(dataset)
                values = self._values(raw.double().numpy(), dataset.scaled(*some)[1])
                flat[windows.starts[some[0]] + windows.stride * some[1]] = values[:, 0]
        return fitted
