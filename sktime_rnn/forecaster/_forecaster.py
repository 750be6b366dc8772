"""RNNForecaster: the estimator."""

import math
from dataclasses import replace
from numbers import Integral

import numpy as np
import torch
from skorch.helper import predefined_split

from sktime_rnn.base import (
    PRECISIONS,
    BaseForecaster,
    HasMethods,
    Interval,
    Known,
    NetTrainer,
    StrOptions,
    cast,
    draw_seed,
)
from sktime_rnn.batching import WindowDataset, WindowIterator
from sktime_rnn.callbacks import StopWithoutProgress
from sktime_rnn.cells import as_cell
from sktime_rnn.forecaster._choices import (
    choose_batch_size,
    choose_context,
    choose_scaler,
    choose_seasons,
    choose_updates,
)
from sktime_rnn.forecaster._encoding import FeatureEncoder
from sktime_rnn.forecaster._linear import anchor_map, choose_start, robust_ridge, seasonal_places, seasonal_share
from sktime_rnn.forecaster._spread import Spread, variance_of
from sktime_rnn.heads import DISTRIBUTIONS, POINT_LOSSES, PointHead, QuantileHead
from sktime_rnn.nets import torch_threads
from sktime_rnn.networks import ForecastNetwork
from sktime_rnn.state import net_state, restore_net
from sktime_rnn.windows import SCALERS, Origins, Windows, WindowScaler, training_origins

LEVELS = (0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.975)
_BATCHES_PER_EPOCH = 100
_MOST_ENCODER_STEPS = 24
_FEWEST_SEEN = 8
_START_WINDOWS = 8000
_START_NUMBERS = 4_000_000
_LARGEST_START = 1500
_SPREAD_WINDOWS = (100, 2000)
_SPREAD_NUMBERS = 100_000
_PATHS = 400


class RNNForecaster(NetTrainer, BaseForecaster):
    """Recurrent network that forecasts one or many series."""

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

    _uses_X = True
    _parameter_constraints: dict = {
        **NetTrainer._parameter_constraints,
        "context_length": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "horizon": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "strategy": [StrOptions({"direct", "recursive", "seq2seq"})],
        "distribution": [StrOptions(set(DISTRIBUTIONS)), None],
        "conformal": ["boolean"],
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

    # --- choices -----------------------------------------------------------------------------------------------------

    def _choose(self, known, lengths):
        """Return what is chosen from the data that training may look at: plain values."""
        data = known.data
        seasons = choose_seasons(data, lengths)
        if self.season_length != "auto":
            seasons = (self.season_length,) if self.season_length > 1 else ()
        horizon = 1 if self.strategy == "recursive" else self.horizon_
        context = self.context_length
        if context == "auto":
            context = choose_context(seasons, self.horizon_, lengths)
        counts = self.distribution == "negative_binomial"
        scaler = self.scaler
        if scaler == "auto":
            scaler = "mean" if counts else choose_scaler(data, lengths)
        patch = self.patch_length
        if patch == "auto":
            patch = 1 if self.strategy == "recursive" else max(1, -(-context // _MOST_ENCODER_STEPS))
        seen = self._visible(data, lengths)
        return {
            "season": seasons[0] if seasons and seasons[0] <= context else None,
            "horizon": horizon,
            "context": context,
            "scaler": scaler,
            "counts": counts,
            "patch": patch,
            "flags": self.missing == "mask" or self.gaps == "fill" or bool((lengths < context + 1).any()),
            "fewest": min(context, _FEWEST_SEEN, (seasons[0] + 1) if seasons else 3),
            "variables": 1 if not self.joint else data.n_variables,
            "log_of": None if scaler != "log" else float(np.nanmin(data.values[seen])),
        }

    def _visible(self, data, lengths):
        """Return which rows training may look at."""
        series = np.repeat(np.arange(len(data)), data.lengths)
        return np.arange(len(data.values)) - data.offsets[series] < lengths[series]

    # --- datasets ----------------------------------------------------------------------------------------------------

    def _windows(self, known, lengths=None, n_ahead=0, values=None, offsets=None):
        data, setup = known.data, self._setup
        values = data.values if values is None else values
        offsets = data.offsets if offsets is None else offsets
        return Windows(values, offsets, setup["context"], setup["horizon"], self.joint, lengths)

    def _dataset_of(self, windows, features, origins, n_draws=None, series_scale=None):
        setup = self._setup
        scaler = WindowScaler(setup["scaler"])
        return WindowDataset(
            windows,
            scaler,
            scaler.series_scale(windows) if series_scale is None else series_scale,
            features,
            origins,
            flags=setup["flags"],
            counts=setup["counts"],
            n_draws=n_draws,
            dtype=np.float64 if self.precision == "float64" else np.float32,
        )

    # --- training ----------------------------------------------------------------------------------------------------

    def _fit(self, known, n_steps):
        self._check_combinations(known)
        data = known.data
        self._seed = draw_seed(self.random_state)
        self.horizon_ = self._choose_horizon(known, n_steps)
        self.n_threads_ = self._choose_threads()
        lengths = data.lengths
        visible = self._held_out(lengths) if self.early_stopping or self.conformal else lengths
        self._setup = self._choose(known, visible)
        self.context_length_, self.scaler_ = self._setup["context"], self._setup["scaler"]
        self.season_length_ = self._setup["season"] or 1
        dtype = np.float64 if self.precision == "float64" else np.float32
        mask = self.missing == "mask" or self.gaps == "fill"
        calendar = self.calendar and not isinstance(data.axis.freq, int)
        self._encoder = FeatureEncoder(
            calendar, self.series_embedding and data.names is not None, mask, self.joint, dtype
        )
        self._encoder.fit(known, self._reader, self._past_columns(), self._visible(data, visible))
        self._known_features = self._encoder.encode(known)
        with torch_threads(self.n_threads_):
            held_out = None
            if self.conformal:
                self._train(known, visible, None)
                held_out = self._spread_on(known, lengths, visible)
            try:
                self._train(known, visible if self.early_stopping else lengths, lengths)
            finally:
                if hasattr(self, "net_"):
                    self._spread = held_out or self._spread_on(known, visible if self.early_stopping else lengths, None)
        del self._known_features

    def _choose_horizon(self, known, n_steps):
        if n_steps is not None:
            return n_steps
        if self.horizon != "auto":
            return self.horizon
        season = next(iter(choose_seasons(known.data, known.data.lengths)), 1)
        if self.season_length != "auto":
            season = self.season_length
        return int(max(1, min(season, known.data.lengths.max() // 2)))

    def _held_out(self, lengths):
        """Return how many steps of each series training may look at; the others are to validate on."""
        n_held_out = np.maximum(np.ceil(self.validation_fraction * lengths), min(self.horizon_, 1)).astype(np.int64)
        visible = lengths - np.minimum(np.maximum(n_held_out, 1), np.maximum(lengths // 3, 0))
        if (visible < 2).all() or (visible == lengths).all():
            raise ValueError(
                "early_stopping=True and conformal=True need series of 3 steps or more, the last of which are held "
                f"out, got a longest series of {lengths.max()}. Set both to False, or pass longer series."
            )
        return visible

    def _build_module(self, spec):
        head = self._head(spec)
        module = ForecastNetwork(as_cell(spec["cell"], spec["nonlinearity"]), head, **spec["network"])
        cast(module, PRECISIONS[spec["precision"]])
        module.scaling = None
        if spec["frozen_linear"]:
            module.linear.requires_grad_(False)
        return module

    def _head(self, spec):
        n_outputs = spec["network"]["horizon"] * spec["network"]["n_variables"]
        if spec["distribution"] is None:
            return PointHead(n_outputs, spec["loss"])
        if spec["distribution"] == "quantile":
            return QuantileHead(n_outputs, LEVELS)
        return DISTRIBUTIONS[spec["distribution"]](n_outputs)

    def _network_spec(self):
        """Return all that the network is built from: plain values."""
        setup = self._setup
        locations = {"quantile": len(LEVELS), "negative_binomial": 0}.get(self.distribution, 1)
        linear = locations > 0 and (self.linear_skip or self.anchor is not None)
        return {
            "cell": self.cell,
            "nonlinearity": self.nonlinearity,
            "distribution": self.distribution,
            "loss": self.loss,
            "precision": self.precision,
            "frozen_linear": linear and not self.linear_skip,
            "network": {
                "context": setup["context"],
                "horizon": setup["horizon"],
                "n_variables": setup["variables"],
                "patch_length": setup["patch"],
                "hidden_size": self.hidden_size,
                "num_layers": self.num_layers,
                "bidirectional": self.bidirectional,
                "bias": self.bias,
                "initial_state": self.initial_state,
                "dropout": self.dropout,
                "input_noise": 2 * self.dropout / 3 if self.input_noise == "auto" else self.input_noise,
                "decoder": self.strategy == "seq2seq",
                "linear": linear,
                "n_locations": locations,
                "compress": setup["scaler"] is not None,
                **self._encoder.sizes,
                "n_past": self._encoder.sizes["n_past"] + setup["flags"] * setup["variables"],
            },
        }

    def _n_in_batch(self):
        return self._setup["batch_size"]

    def _net_options(self):
        options = {"iterator_train": WindowIterator, "iterator_valid": WindowIterator}
        if self._spec["network"]["linear"] and not self._spec["frozen_linear"]:
            slower = {"lr": 0.3 * self.lr, "weight_decay": 0.0}
            options["optimizer__param_groups"] = [("linear.*", slower)]
        return options

    def _train(self, known, visible, lengths):
        """Train a new network on the visible steps; the others validate, where lengths tell of any."""
        windows = self._windows(known, visible)
        origins = training_origins(windows, self._setup["fewest"])
        n_windows = len(origins)
        if n_windows == 0:
            raise ValueError(
                f"y must hold a series of two steps or more to learn from, got {len(known.data)} of at most "
                f"{known.data.lengths.max()}. Pass longer series."
            )
        batch = choose_batch_size(n_windows) if self.batch_size == "auto" else self.batch_size
        self._setup["batch_size"] = batch
        n_draws = int(np.clip(n_windows, batch, _BATCHES_PER_EPOCH * batch))
        dataset = self._dataset_of(windows, self._known_features, origins, n_draws)
        epochs = self.max_epochs
        if epochs == "auto":
            epochs = math.ceil(choose_updates(n_windows) / math.ceil(n_draws / batch))
        self._spec = self._network_spec()
        module = self._build_module(self._spec)
        module.reset_parameters(torch.Generator().manual_seed(self._seed))
        self._start(module, dataset, origins)
        self.n_parameters_ = sum(p.numel() for p in module.parameters())
        split = stopping = None
        if self.early_stopping and lengths is not None:
            split = predefined_split(self._validation(known, visible, dataset.series_scale))
            stopping = StopWithoutProgress("valid_loss", -1, self.n_iter_no_change, self.tol)
        net = self._make_net(module, epochs, self._callbacks(stopping, False), split)
        self.net_ = net
        vars(self).pop("validation_scores_", None)
        try:
            net.fit(dataset)
        finally:
            if stopping is not None:
                self.validation_scores_ = list(getattr(stopping, "scores_", []))

    def _later_windows(self, known, visible):
        """Return windows, and the items and origins of those that look at steps that training has not seen."""
        windows = self._windows(known)
        first = visible[windows.series]
        counts = windows.lengths - first
        items = np.repeat(np.arange(windows.n_items), counts)
        steps = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        return windows, items, first[items] + steps

    def _validation(self, known, visible, series_scale):
        windows, items, origins = self._later_windows(known, visible)
        chosen = np.unique(np.linspace(0, len(items) - 1, min(len(items), 20_000)).astype(np.int64))
        return self._dataset_of(
            windows, self._known_features, (items[chosen], origins[chosen]), series_scale=series_scale
        )

    def _start(self, module, dataset, origins):
        """Set the linear map and the biases from which training starts."""
        rng = np.random.default_rng(self._seed)
        setup = self._setup
        L, V = setup["context"], setup["variables"]
        linear = None
        if module.linear is not None:
            linear = self._start_map(dataset, origins, rng)
        if self.distribution is not None:
            n = int(min(_START_WINDOWS, max(200, _START_NUMBERS // max(1, module.head.n_outputs))))
            items, steps = origins.draw(n, rng, dataset.power) if len(origins) > n else origins.all()
            values, scaled = dataset.scaled(items, steps)
            Y = np.where(scaled.observed, scaled.z, np.nan)[:, L:].reshape(len(items), -1)
            if linear is not None:
                Z = scaled.z[:, :L].reshape(len(items), -1)
                Y = Y - linear[0] - Z @ linear[1:]
            seen = ~np.isnan(Y)
            spread = np.where(seen, np.abs(Y), 0.0).sum(axis=0) / np.maximum(seen.sum(axis=0), 1)
            spread = np.where(spread > 1e-6, spread, max(1e-6, spread.max()) if V else 1.0)
            module.start(bias=module.head.start_bias(torch.from_numpy(spread)))
        if linear is not None:
            module.start(linear=torch.from_numpy(linear))

    def _start_map(self, dataset, origins, rng):
        """Return the linear map to start from, (1 + L * V, H * V)."""
        setup = self._setup
        L, H, V = setup["context"], setup["horizon"], setup["variables"]
        last = setup["scaler"] in ("last", "log")
        season = setup["season"]

        def anchored(name, share=1.0):
            if name is None:
                return np.zeros((1 + L * V, H * V))
            return anchor_map(L, H, season if name == "seasonal" else None, V, share, last)

        if self.anchor == "seasonal" and season is None:
            raise ValueError(
                f"anchor='seasonal' needs a season that the context of {L} steps holds, got "
                f"season_length={self.season_length!r}. Say season_length, or lengthen context_length."
            )
        names = ["last", "seasonal"] if self.anchor == "auto" and season else [self.anchor]
        names = ["last" if name == "auto" else name for name in names]
        train, valid, everything = self._start_windows(dataset, origins, rng)
        usable = self.linear_skip and V * L <= _LARGEST_START and len(train[0]) >= 8 and len(valid[0]) >= 1
        if self.linear_skip and not usable or not self.linear_skip:
            return anchored(names[0])

        def priors(Z, Y):
            found = {}
            for name in names:
                share = 1.0
                if name == "seasonal" and self.anchor == "auto" and V == 1:
                    share = seasonal_share(Z, Y, seasonal_places(L, H, season))
                found[name] = anchored(name, share)
            return found

        name, strength = choose_start(train, valid, priors(*train))
        prior = priors(*everything)[name]
        return prior if np.isinf(strength) else robust_ridge(*everything, prior, strength)

    def _start_windows(self, dataset, origins, rng):
        """Return windows whose future is all there: earlier ones, later ones, and both."""
        H = self._setup["horizon"]
        n = max(200, min(_START_WINDOWS, _START_NUMBERS // (self._setup["context"] + H)))
        high = np.where(origins.high - origins.low >= H, origins.high - H + 1, origins.low - 1)
        counts = np.maximum(high - origins.low + 1, 0)
        n_later = np.clip((0.15 * counts).astype(np.int64), 1, 2 * H)
        later = high - n_later + 1
        parts = []
        for low, top, most in (
            (origins.low, later - H, n),
            (np.maximum(later, origins.low), high, n // 2),
            (origins.low, high, n),
        ):
            kept = top >= low
            part = Origins(origins.items[kept], low[kept], top[kept])
            L = self._setup["context"]
            if not kept.any():
                parts.append((np.zeros((0, L)), np.zeros((0, H))))
                continue
            items, steps = part.all() if len(part) <= most else part.draw(most, rng, dataset.power)
            scaled = dataset.scaled(items, steps)[1]
            full = scaled.observed[:, L:].all(axis=(1, 2))
            z = scaled.z[full]
            parts.append((z[:, :L].reshape(len(z), -1), z[:, L:].reshape(len(z), -1)))
        return parts

    def _spread_on(self, known, lengths, visible):
        """Return the spread learnt on windows: later ones than training looked at, or those of training."""
        setup = self._setup
        K = setup["horizon"] * setup["variables"]
        n = int(np.clip(_SPREAD_NUMBERS // K, *_SPREAD_WINDOWS))
        if visible is None:
            windows = self._windows(known, lengths)
            origins = training_origins(windows, setup["fewest"])
            rng = np.random.default_rng(self._seed)
            items, steps = origins.all() if len(origins) <= n else origins.draw(n, rng, 0.5)
        else:
            windows, items, steps = self._later_windows(known, visible)
            chosen = np.unique(np.linspace(0, len(items) - 1, min(len(items), n)).astype(np.int64))
            items, steps = items[chosen], steps[chosen]
        dataset = self._dataset_of(windows, self._known_features, (items, steps))
        (raw,) = self.net_.forward_iter(dataset)
        values, scaled = dataset.scaled(items, steps)
        y = values if setup["counts"] else scaled.z
        y = np.where(scaled.observed, y, np.nan)[:, setup["context"] :].reshape(len(items), -1)
        shifts = self.distribution is None or self.conformal
        return Spread.learn(self.net_.module_.head, raw.numpy(), y, shifts, setup["horizon"])

    def _update(self, known, n_new):
        windows_of = known.data.lengths
        self._known_features = self._encoder.encode(known)
        windows = self._windows(known)
        new = n_new[windows.series]
        low = np.maximum(np.maximum(windows_of[windows.series] - new - self._setup["horizon"] + 1, 1), 1)
        high = windows.lengths - 1
        kept = np.flatnonzero((high >= low) & (new > 0))
        if len(kept) == 0:
            return
        origins = Origins(kept, low[kept], high[kept])
        batch = self._n_in_batch()
        n_draws = int(np.clip(len(origins), batch, _BATCHES_PER_EPOCH * batch))
        dataset = self._dataset_of(windows, self._known_features, origins, n_draws)
        state = net_state(self.net_)
        net = self._make_net(self._build_module(self._spec), self.update_epochs, self._callbacks(None, False))
        restore_net(net, state)
        for group in net.optimizer_.param_groups:
            group["lr"] = 0.1 * self.lr
        self.net_ = net
        with torch_threads(self.n_threads_):
            net.partial_fit(dataset)
        del self._known_features

    def _check_combinations(self, known):
        data = known.data
        if self.strategy == "recursive" and self._past_columns():
            raise ValueError(
                f"past_columns={self.past_columns!r} cannot be fed back by strategy='recursive', which needs every "
                "feature of the steps ahead. Use strategy='direct'."
            )
        if self.distribution is not None:
            self._refuse_changed(("loss",), f"distribution={self.distribution!r} has a loss of its own", "Set None")
        if self.distribution == "negative_binomial":
            self._check_counts(data)
        if self.positive and np.nanmin(data.values) < 0:
            row = int(np.argmin(np.nan_to_num(data.values, nan=np.inf).min(axis=1)))
            i = int(np.searchsorted(data.offsets, row, side="right")) - 1
            raise ValueError(
                f"y must hold no value below 0 with positive=True, got {np.nanmin(data.values)} at "
                f"{data.stamp(i, row - data.offsets[i])} of {data.name_of(i)}. Set positive=False."
            )
        if self.scaler == "log" and not np.nanmin(data.values) > 0:
            row = int(np.argmin(np.nan_to_num(data.values, nan=np.inf).min(axis=1)))
            i = int(np.searchsorted(data.offsets, row, side="right")) - 1
            raise ValueError(
                f"y must be above 0 for scaler='log', got {np.nanmin(data.values)} at "
                f"{data.stamp(i, row - data.offsets[i])} of {data.name_of(i)}. Use scaler='last'."
            )

    def _check_counts(self, data):
        seen = data.values[~np.isnan(data.values)]
        if (seen < 0).any() or (seen != np.round(seen)).any():
            odd = seen[(seen < 0) | (seen != np.round(seen))][0]
            raise ValueError(
                f"y must hold counts (0, 1, 2, ...) for distribution='negative_binomial', got {odd}. Choose another "
                "distribution, or round y."
            )
        if self.scaler not in ("auto", "mean"):
            raise ValueError(
                f"scaler must be 'auto' or 'mean' for distribution='negative_binomial', got {self.scaler!r}. Leave it."
            )

    # --- forecasts ---------------------------------------------------------------------------------------------------

    def _extended(self, known, n_ahead):
        """Return the last steps of every series, as many missing ones after them, and the features of both."""
        data = known.data
        keep = None if self.warm_up else self._setup["context"]
        indices = np.arange(len(data))
        kept = data.take(indices, keep)
        rows = np.repeat(data.offsets[1:] - kept.offsets[1:], kept.lengths) + np.arange(len(kept.values))
        past = None if known.past is None else known.past[rows]
        features = self._encoder.encode(Known(kept, past, known.future, known.static), n_ahead)
        offsets = kept.offsets + n_ahead * np.arange(len(data) + 1)
        values = np.full((offsets[-1], data.n_variables), np.nan)
        places = np.arange(len(kept.values)) + np.repeat(indices * n_ahead, kept.lengths)
        values[places] = kept.values
        return values, offsets, kept.lengths, features

    def _series_scale(self, known):
        return WindowScaler(self._setup["scaler"]).series_scale(self._windows(known))

    def _raw(self, known, n_steps, feed, copies=1, rng=None):
        """Run the network from the end of every series as often as its horizon asks; yield its outputs.

        Yields the number of steps done, the raw outputs and the scaled windows; what ``feed(raw, scaled)`` makes of
        them, (n_items, H, V), is what the series go on with.
        """
        setup = self._setup
        H = setup["horizon"]
        total = -(-n_steps // H) * H
        known = self._padded(known, total, n_steps)
        values, offsets, lengths, features = self._extended(known, total)
        scale = self._series_scale(known)
        windows = Windows(values, offsets, setup["context"], H, self.joint)
        for done in range(0, total, H):
            origins = (lengths + done)[windows.series]
            dataset = self._dataset_of(windows, features, (np.arange(windows.n_items), origins), series_scale=scale)
            with torch_threads(self.n_threads_):
                (raw,) = self.net_.forward_iter(dataset)
            scaled = dataset.scaled(*dataset.origins)[1]
            raw = raw.double().numpy()
            yield done, raw, scaled
            if done + H < total:
                ahead = feed(raw, scaled)  # (n_items, H, V)
                rows = windows.starts[:, None] + windows.stride * (origins[:, None] + np.arange(H))
                windows.flat[rows] = ahead

    def _padded(self, known, total, n_steps):
        """Repeat the last row of the features ahead, where the network looks further than asked."""
        if known.future is None or total == n_steps:
            return known
        step = np.minimum(np.arange(total), n_steps - 1)
        rows = (np.arange(len(known.data))[:, None] * n_steps + step).ravel()
        return replace(known, future=known.future[rows])

    def _unscaled(self, z, scaled):
        """Return values of the steps ahead, (n_items, H, V, ...), in the unit of y, from (n_items, K, ...)."""
        setup = self._setup
        shape = (len(z), setup["horizon"], setup["variables"], *z.shape[2:])
        z = z.reshape(shape)
        if not setup["counts"]:
            extra = (1,) * (z.ndim - 3)
            loc, scale = (part.reshape(*part.shape, *extra) for part in (scaled.loc, scaled.scale))
            z = WindowScaler(setup["scaler"]).inverse(z * scale + loc)
        return np.maximum(z, 0.0) if self.positive or setup["counts"] else z

    def _point_of(self, raw, scaled):
        z = self.net_.module_.head.predict(torch.from_numpy(raw)).numpy()
        return self._unscaled(z, scaled)

    def _by_series(self, values, known, n_steps):
        """Return (n_items, H_total, V, ...) as (S, n_steps, V, ...)."""
        values = values[:, :n_steps]
        if self.joint:
            return values
        S, V = len(known.data), known.data.n_variables
        return np.moveaxis(values.reshape(S, V, *values.shape[1:])[:, :, :, 0], 1, 2)

    def _point(self, known, n_steps):
        parts = [self._point_of(raw, scaled) for _, raw, scaled in self._raw(known, n_steps, self._point_of)]
        return self._by_series(np.concatenate(parts, axis=1), known, n_steps)

    def _quantiles(self, known, n_steps, alpha):
        if n_steps > self._setup["horizon"]:
            paths = self._paths(known, n_steps, _PATHS, np.random.default_rng(self._seed))
            return np.moveaxis(np.quantile(paths, alpha, axis=0), 0, -1)
        _, raw, scaled = next(self._raw(known, n_steps, None))
        z = self._spread.quantiles(self.net_.module_.head, raw, alpha)
        values = self._unscaled(z, scaled)
        values = np.floor(values + 0.5) if self._setup["counts"] else values
        return self._by_series(values, known, n_steps)

    def _variance(self, known, n_steps):
        if n_steps > self._setup["horizon"]:
            return self._paths(known, n_steps, _PATHS, np.random.default_rng(self._seed)).var(axis=0)
        return variance_of(lambda alpha: self._quantiles(known, n_steps, alpha))

    def _paths(self, known, n_steps, n_samples, rng):
        if n_steps > self._setup["horizon"]:
            return self._fed_paths(known, n_steps, n_samples, rng)
        _, raw, scaled = next(self._raw(known, n_steps, None))
        z = self._spread.sample(self.net_.module_.head, raw, n_samples, rng)
        return np.stack([self._by_series(self._counted(part, scaled), known, n_steps) for part in z])

    def _counted(self, z, scaled):
        values = self._unscaled(z, scaled)
        return np.floor(values + 0.5) if self._setup["counts"] else values

    def _fed_paths(self, known, n_steps, n_samples, rng):
        """Draw paths further than the network looks: each goes on from what it has drawn."""
        S = len(known.data)
        copies = np.tile(np.arange(S), n_samples)
        many = self._copied(known, copies, n_steps)

        def draw(raw, scaled):
            return self._counted(self._spread.sample(self.net_.module_.head, raw, 1, rng)[0], scaled)

        parts, last = [], None

        def feed(raw, scaled):
            return parts[-1]

        for _, raw, scaled in self._raw(many, n_steps, feed):
            last = draw(raw, scaled)
            parts.append(last)
        values = self._by_series(np.concatenate(parts, axis=1), many, n_steps)
        return values.reshape(n_samples, S, *values.shape[1:])

    def _copied(self, known, copies, n_steps):
        """Return what is known, each series many times over, the steps that the network does not read left out."""
        keep = None if self.warm_up else self._setup["context"]
        data = known.data.take(copies, keep)
        rows = np.repeat(known.data.offsets[1:][copies] - data.offsets[1:], data.lengths) + np.arange(len(data.values))
        past = None if known.past is None else known.past[rows]
        future = known.future
        if future is not None:
            n = len(future.numbers) // len(known.data)
            future = future[(copies[:, None] * n + np.arange(n)).ravel()]
        return Known(data, past, future, None if known.static is None else known.static[copies])

    def _one_step(self, known):
        data = known.data
        features = self._encoder.encode(known)
        windows = self._windows(known)
        origins = training_origins(windows, 1)
        items, steps = origins.all()
        out = np.full((len(data.values), data.n_variables), np.nan)
        if len(items) == 0:
            return out
        dataset = self._dataset_of(windows, features, (items, steps))
        with torch_threads(self.n_threads_):
            (raw,) = self.net_.forward_iter(dataset)
        scaled = dataset.scaled(items, steps)[1]
        values = self._point_of(raw.double().numpy(), scaled)[:, 0]  # (n, V)
        flat = out if self.joint else out.reshape(-1, 1)
        flat[windows.starts[items] + windows.stride * steps] = values
        return out
