"""RNNForecaster: the estimator."""

from numbers import Integral

import numpy as np
import torch

from sktime_rnn.base import (
    HasMethods,
    Interval,
    NetTrainer,
    StrOptions,
)
from sktime_rnn.forecaster._ahead import Ahead
from sktime_rnn.forecaster._spread import variance_of
from sktime_rnn.forecaster._training import WindowTrainer
from sktime_rnn.heads import DISTRIBUTIONS, POINT_LOSSES
from sktime_rnn.nets import torch_threads
from sktime_rnn.windows import SCALERS, training_origins

_PATHS = 400


class RNNForecaster(WindowTrainer):
    """Recurrent network that forecasts one or many series."""

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
        z = self.net_.module_.head.predict(torch.from_numpy(raw).to(self.net_.device)).cpu().numpy()
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
            values = self._whole(self._spread.quantiles(self.net_.module_.head, raw, alpha), scaled)
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
        known = ahead.recent(known, np.tile(np.arange(n_series), copies))
        parts = []
        with torch_threads(self.n_threads_):
            for raw, scaled in ahead.run(known, n_steps, lambda raw, scaled: parts[-1]):
                z = self._spread.sample(head, raw, n_samples // copies, rng)
                values = np.stack([self._whole(part, scaled) for part in z])
                parts.append(values[0] if copies > 1 else values)
        if copies > 1:
            values = ahead.by_series(np.concatenate(parts, axis=1), known.data, n_steps)
            return values.reshape(n_samples, n_series, *values.shape[1:])
        return np.stack([ahead.by_series(path, known.data, n_steps) for path in parts[0]])

    def _one_step(self, known):
        data, setup = known.data, self._setup
        windows = setup.windows(data)
        items, origins = training_origins(windows, 1).all()
        fitted = np.full((len(data.values), data.n_variables), np.nan)
        if len(items):
            dataset = setup.dataset(windows, self._encoder.encode(known), (items, origins))
            with torch_threads(self.n_threads_):
                (raw,) = self.net_.forward_iter(dataset)
            values = self._values(raw.double().numpy(), dataset.scaled(items, origins)[1])
            flat = fitted if self.joint else fitted.reshape(-1, 1)
            flat[windows.starts[items] + windows.stride * origins] = values[:, 0]
        return fitted
