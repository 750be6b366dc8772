"""The training of RNNForecaster: choices, windows, the network and its spread."""

import math

import numpy as np
import torch
from skorch.helper import predefined_split

from sktime_rnn.base import (
    PRECISIONS,
    BaseForecaster,
    NetTrainer,
    cast,
    draw_seed,
)
from sktime_rnn.batching import WindowIterator
from sktime_rnn.callbacks import StopWithoutProgress
from sktime_rnn.forecaster._choices import (
    choose_batch_size,
    choose_context,
    choose_scaler,
    choose_seasons,
    choose_updates,
)
from sktime_rnn.forecaster._encoding import FeatureEncoder
from sktime_rnn.forecaster._setup import Setup
from sktime_rnn.forecaster._spread import Spread, on_cpu
from sktime_rnn.forecaster._start import start_map, start_spread
from sktime_rnn.forecaster._trust import apply_trust, choose_trust, widening, with_doubt
from sktime_rnn.heads import DISTRIBUTIONS, PointHead, QuantileHead
from sktime_rnn.layers import as_layers
from sktime_rnn.nets import torch_threads
from sktime_rnn.networks import ForecastNetwork
from sktime_rnn.state import net_state, restore_net
from sktime_rnn.windows import Origins, training_origins

LEVELS = (0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.975)
_BATCHES_PER_EPOCH = 100
_MOST_ENCODER_STEPS = 16
_FEWEST_SEEN = 8
_MOST_VALIDATED = 20_000
_SPREAD_WINDOWS = (100, 2000)
_SPREAD_NUMBERS = 100_000
_REHEARSED = 3  # a rehearsal has a third of the epochs
_LONG = 6  # horizons: shorter series tell too little of what to trust
_EVEN = 0.5  # between all windows alike and all series alike
_LINEAR_RATE = 0.3
_UPDATE_RATE = 0.1


class WindowTrainer(NetTrainer, BaseForecaster):
    """Fits a network to windows of series; the half of :class:`RNNForecaster` that ``fit`` and ``update`` need.

    State after fit: ``_setup`` (what was chosen), ``_encoder``, ``net_``, ``_spread``.
    """

    def _fit(self, known, n_steps):
        self._check_combinations(known.data)
        lengths = known.data.lengths
        self._seed = draw_seed(self.random_state)
        self.n_threads_ = self._choose_threads()
        self.horizon_ = self._choose_horizon(known, n_steps)
        visible = lengths
        if self.early_stopping:
            visible = self._without_newest(lengths, np.ceil(self.validation_fraction * lengths), "early_stopping")
        earlier = self._earlier(lengths) if self.calibrate or self.conformal else None
        first = np.minimum(visible, earlier) if self.conformal else visible
        self._setup = self._choose(known.data, first)
        if self.anchor == "seasonal" and self._setup.season is None:
            raise ValueError(
                "anchor='seasonal' needs a season of 2 steps or more that the context holds, got "
                f"season_length={self.season_length!r} and a context of {self._setup.context} steps. Say "
                "season_length=12, for example, or lengthen context_length."
            )
        self.context_length_, self.scaler_ = self._setup.context, self._setup.scaler
        self.season_length_ = self._setup.season or 1
        self._encoder = self._fit_encoder(known, first)
        features = self._encoder.encode(known)
        for name, lengths_seen in (("conformal", first), ("early_stopping", visible)):
            if getattr(self, name):
                self._check_targets(known.data, lengths_seen)
                self._check_held_out(known.data, lengths_seen, name)
        learns_trust = self.calibrate and self._setup.scaler in ("last", "log")
        if not self.conformal and earlier is not None:
            earlier = earlier if learns_trust and self._has_targets(known.data, earlier) else None
        rehearsed = (None, None, 1.0)
        if learns_trust:  # what is known without a rehearsal
            rehearsed = (None, with_doubt((1.0, 1.0), 0.2 * (lengths / self._setup.horizon).sum()), 1.0)
        vars(self).pop("net_", None)
        with torch_threads(self.n_threads_):
            try:
                if earlier is not None:
                    rehearsed = self._rehearse(known.data, features, np.minimum(earlier, visible))
                self._train(known.data, features, visible, validate=self.early_stopping)
            except KeyboardInterrupt:
                if hasattr(self, "net_"):
                    self._finish(known.data, features, visible, *rehearsed)
                raise
            self._finish(known.data, features, visible, *rehearsed)

    def _finish(self, data, features, visible, held_out, trust, wider):
        """Put to use what the rehearsal told."""
        if trust is not None:
            apply_trust(self.net_.module_, trust, frozen_map=self._spec["frozen_linear"])
        self._spread = held_out or self._learn_spread(data, features, visible)
        self._spread.wider = wider

    def _earlier(self, lengths):
        """Return the steps of each series to rehearse on; None where no series is long enough.

        A fifth is left out, at least a horizon; of a series that would be too short then, nothing.
        """
        season = self.season_length if self.season_length != "auto" else 1
        n_later = np.maximum(np.ceil(0.2 * lengths).astype(np.int64), self.horizon_)
        earlier = np.where(lengths - n_later >= max(self.horizon_ + 4, season + 2), lengths - n_later, lengths)
        if (earlier < lengths).any():
            return earlier
        if not self.conformal:
            return None
        return self._without_newest(lengths, np.minimum(n_later, lengths // 3), "conformal")

    def _without_newest(self, lengths, n_newest, name):
        """Return the lengths of the series without their newest steps."""
        kept = lengths - np.minimum(n_newest.astype(np.int64), lengths // 3)
        if (kept < 2).all() or (kept == lengths).all():
            raise ValueError(
                f"{name}=True needs a series of 3 steps or more, the last of which are held out, got at most "
                f"{lengths.max()}. Set {name}=False, or pass longer series."
            )
        return kept

    def _rehearse(self, data, features, earlier):
        """Train on earlier steps and look at those after them.

        Returns the spread of forecasts there (with ``conformal``), the shares of the linear map and of the network
        that are to be trusted, and by how much errors are larger than in training; None for what is not learnt.
        """
        self._train(data, features, earlier, validate=False, rehearsal=True)
        trust, wider = None, 1.0
        if self.calibrate and self._setup.scaler in ("last", "log"):
            trust, wider = self._compare(data, features, earlier)
        if not self.conformal:
            return None, trust, wider
        if trust is not None:
            apply_trust(
                self.net_.module_, trust, frozen_map=self._spec["frozen_linear"]
            )  # errors are those of forecasts as they will be made
        return self._learn_spread(data, features, earlier, later=True), trust, 1.0

    def _compare(self, data, features, earlier):
        """Return what to trust, and how much larger errors are on steps that training has not seen."""
        setup, head, linear = self._setup, on_cpu(self.net_.module_.head), self.net_.module_.linear
        parts = []
        for later in (True, False):
            dataset = self._known_windows(data, features, earlier, later)
            (raw,) = self.net_.forward_iter(dataset)
            values, scaled = dataset.scaled(*dataset.origins)
            z, said = head.predict(raw).numpy(), 0.0
            if linear is not None:
                weight, bias = (part.detach().cpu().double().numpy() for part in (linear.weight, linear.bias))
                said = setup.contexts(scaled) @ weight.T + bias
            parts.append((said + np.zeros_like(z), z - said, setup.targets(values, scaled)))
        n_independent = ((data.lengths - earlier) / setup.horizon).sum() * (len(parts[0][0]) > 0)
        trust = (1.0, 1.0)
        if data.lengths.max() >= _LONG * setup.horizon:
            trust = choose_trust(*parts[0], n_independent)
        trust = with_doubt(trust, n_independent)
        unseen, seen = (y - trust[0] * said - trust[1] * rest for said, rest, y in parts)
        spread = np.nansum(np.abs(seen), axis=0) / np.maximum((~np.isnan(seen)).sum(axis=0), 1)
        return trust, widening(unseen, spread)

    def _choose_horizon(self, known, n_steps):
        if n_steps is not None:
            return n_steps
        return self._default_steps(known) if self.horizon == "auto" else self.horizon

    def _season(self, known):
        if self.season_length != "auto":
            return self.season_length
        return next(iter(choose_seasons(known.data, known.data.lengths)), 1)

    def _choose(self, data, lengths):
        """Return what is chosen from the steps that training may look at."""
        if self.season_length == "auto":
            seasons = choose_seasons(data, lengths)
        else:
            seasons = (self.season_length,) if self.season_length > 1 else ()
        context = self.context_length
        if context == "auto":
            context = choose_context(seasons, self.horizon_, lengths)
        counts = self.distribution == "negative_binomial"
        scaler = self.scaler
        if scaler == "auto":
            scaler = "mean" if counts else choose_scaler(data, lengths)
            if scaler == "log" and (data.values <= 0).any():  # among held-out steps
                scaler = "last"
        recursive = self.strategy == "recursive"
        patch_length = self.patch_length
        if patch_length == "auto":
            patch_length = 1 if recursive else max(1, -(-context // _MOST_ENCODER_STEPS))
        masks = self.missing == "mask" or self.gaps == "fill"
        return Setup(
            context=context,
            horizon=1 if recursive else self.horizon_,
            season=seasons[0] if seasons and seasons[0] <= context else None,
            scaler=scaler,
            patch_length=patch_length,
            joint=self.joint,
            n_variables=data.n_variables if self.joint else 1,
            counts=counts,
            positive=self.positive,
            flags=masks or bool((lengths < 2 * context).any()),
            fewest=min(context, _FEWEST_SEEN, seasons[0] + 1 if seasons else 3),
            precision=self.precision,
        )

    def _fit_encoder(self, known, lengths):
        data = known.data
        series = np.repeat(np.arange(len(data)), data.lengths)
        visible = np.arange(len(data.values)) - data.offsets[series] < lengths[series]
        encoder = FeatureEncoder(
            calendar=self.calendar,
            identity=self.series_embedding and data.names is not None,
            mask=self.missing == "mask" or self.gaps == "fill",
            joint=self.joint,
            dtype=self._setup.dtype,
        )
        return encoder.fit(known, self._reader, self._past_columns(), visible)

    def _build_module(self, spec):
        n_outputs = spec["network"]["horizon"] * spec["network"]["n_variables"]
        if spec["distribution"] is None:
            head = PointHead(n_outputs, spec["loss"])
        elif spec["distribution"] == "quantile":
            head = QuantileHead(n_outputs, LEVELS)
        else:
            head = DISTRIBUTIONS[spec["distribution"]](n_outputs)
        module = ForecastNetwork(as_layers(spec["cell"], spec["nonlinearity"]), head, **spec["network"])
        cast(module, PRECISIONS[spec["precision"]])
        module.scaling = None
        if spec["frozen_linear"]:
            module.linear.requires_grad_(False)
        return module

    def _network_spec(self):
        """Return all that the network is built from: plain values."""
        setup, sizes = self._setup, self._encoder.sizes
        n_locations = {"quantile": len(LEVELS), "negative_binomial": 0}.get(self.distribution, 1)
        linear = n_locations > 0 and (self.linear_skip or self.anchor is not None)
        return {
            "cell": self.cell,
            "nonlinearity": self.nonlinearity,
            "distribution": self.distribution,
            "loss": self.loss,
            "precision": self.precision,
            "frozen_linear": linear and not self.linear_skip,
            "network": {
                **sizes,
                "n_past": sizes["n_past"] + setup.flags * setup.n_variables,
                "n_flags": setup.flags * setup.n_variables,
                "context": setup.context,
                "horizon": setup.horizon,
                "n_variables": setup.n_variables,
                "patch_length": setup.patch_length,
                "hidden_size": self.hidden_size,
                "num_layers": self.num_layers,
                "bidirectional": self.bidirectional,
                "bias": self.bias,
                "initial_state": self.initial_state,
                "dropout": self.dropout,
                "input_noise": self.input_noise,
                "decoder": self.strategy == "seq2seq",
                "linear": linear,
                "n_locations": n_locations,
                "compress": setup.scaler is not None,
            },
        }

    def _n_in_batch(self):
        return self._setup.batch_size

    def _net_options(self):
        options = {"iterator_train": WindowIterator, "iterator_valid": WindowIterator}
        if self._spec["network"]["linear"] and not self._spec["frozen_linear"]:
            start_is_good = {"lr": _LINEAR_RATE * self.lr, "weight_decay": 0.0}
            options["optimizer__param_groups"] = [("linear.*", start_is_good)]
        return options

    def _train(self, data, features, lengths, validate, rehearsal=False):
        """Train a new network on the first steps of the series; with ``validate`` the later ones stop it."""
        setup = self._setup
        windows = setup.windows(data, lengths)
        origins = training_origins(windows, setup.fewest)
        n_windows = len(origins)
        if n_windows == 0:
            raise ValueError(
                f"y must hold a series of two steps or more to learn from, got at most {lengths.max()}. Pass longer "
                "series."
            )
        self._check_targets(data, lengths)
        setup.batch_size = choose_batch_size(n_windows) if self.batch_size == "auto" else self.batch_size
        n_draws = int(np.clip(n_windows, setup.batch_size, _BATCHES_PER_EPOCH * setup.batch_size))
        dataset = setup.dataset(windows, features, origins, n_draws=n_draws)
        epochs = self.max_epochs
        if epochs == "auto":
            epochs = math.ceil(choose_updates(n_windows, setup.horizon) / math.ceil(n_draws / setup.batch_size))
        if rehearsal and not self.conformal:
            epochs = -(-epochs // _REHEARSED)
        self._spec = self._network_spec()
        module = self._build_module(self._spec)
        module.reset_parameters(torch.Generator().manual_seed(self._seed))
        self._start(module, dataset, origins)
        self.n_parameters_ = sum(p.numel() for p in module.parameters() if p.requires_grad)
        split = stopping = None
        if validate:
            split = predefined_split(self._later(data, features, lengths, _MOST_VALIDATED))
            stopping = StopWithoutProgress("valid_loss", -1, self.n_iter_no_change, self.tol)
        callbacks = self._callbacks(stopping, False, alone=rehearsal)
        self.net_ = self._make_net(module, epochs, callbacks, split)
        vars(self).pop("validation_scores_", None)
        try:
            self.net_.fit(dataset)
        finally:
            if stopping is not None:
                self.validation_scores_ = list(getattr(stopping, "scores_", []))

    def _check_targets(self, data, lengths):
        """Refuse series of which training would see no step to forecast."""
        if not self._has_targets(data, lengths):
            raise ValueError(
                f"y must hold observed steps to learn from, got none after the first {self._setup.fewest} of any "
                "series. Pass series with more of them."
            )

    def _check_held_out(self, data, lengths, name):
        """Refuse, before anything is trained, steps to validate or calibrate on of which none was observed."""
        step = np.arange(len(data.values)) - np.repeat(data.offsets[:-1], data.lengths)
        held_out = step >= np.repeat(lengths, data.lengths)
        if np.isnan(data.values[held_out]).all():
            raise ValueError(
                f"{name}=True needs observed values among the newest steps, which are held out, got none. Set "
                f"{name}=False, or cut y where they begin to be missing."
            )

    def _has_targets(self, data, lengths):
        """Return whether any step that training windows look ahead to was observed."""
        step = np.arange(len(data.values)) - np.repeat(data.offsets[:-1], data.lengths)
        low = np.maximum(np.minimum(self._setup.fewest, lengths - 1), 1)
        ahead = (step >= np.repeat(low, data.lengths)) & (step < np.repeat(lengths, data.lengths))
        return bool((ahead[:, None] & ~np.isnan(data.values)).any())

    def _start(self, module, dataset, origins):
        """Set where training starts from."""
        rng = np.random.default_rng(self._seed)
        linear = None
        if module.linear is not None:
            linear = start_map(self._setup, dataset, origins, self.anchor, self.linear_skip, rng)
            module.start(linear=torch.from_numpy(linear))
        if self.distribution is not None:
            spread = start_spread(self._setup, dataset, origins, linear, rng)
            module.start(bias=module.head.start_bias(torch.from_numpy(spread)))

    def _later(self, data, features, lengths, most):
        """Return a dataset of windows that look at steps after the first ``lengths`` alone, evenly chosen."""
        windows = self._setup.windows(data)
        first = lengths[windows.series]
        counts = windows.lengths - first
        items = np.repeat(np.arange(windows.n_items), counts)
        origins = first[items] + np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        chosen = np.unique(np.linspace(0, len(items) - 1, min(len(items), most)).astype(np.int64))
        scale = self._setup.series_scale(self._setup.windows(data, lengths))
        return self._setup.dataset(windows, features, (items[chosen], origins[chosen]), series_scale=scale)

    def _known_windows(self, data, features, lengths, later):
        """Return some windows with known future: after the first ``lengths`` steps, or within them."""
        setup = self._setup
        most = int(np.clip(_SPREAD_NUMBERS // setup.n_outputs, *_SPREAD_WINDOWS))
        if later:
            return self._later(data, features, lengths, most)
        windows = setup.windows(data, lengths)
        # windows at the start of a series show little of it: their errors are not those of forecasts from its end
        enough = np.minimum(setup.context, np.maximum(setup.fewest, windows.lengths // 2))
        origins = training_origins(windows, enough)
        few = len(origins) <= most
        drawn = origins.all() if few else origins.draw(most, np.random.default_rng(self._seed), _EVEN)
        return setup.dataset(windows, features, drawn)

    def _learn_spread(self, data, features, lengths, later=False):
        """Return the spread of forecasts, from windows after the first ``lengths`` steps, or within them."""
        dataset = self._known_windows(data, features, lengths, later)
        (raw,) = self.net_.forward_iter(dataset)
        values, scaled = dataset.scaled(*dataset.origins)
        targets, ratio = self._setup.targets(values, scaled), self._setup.units(scaled)
        shifts = self.distribution is None or self.conformal
        power = 0.0 if self._setup.counts else None
        return Spread.learn(self.net_.module_.head, raw.numpy(), targets, shifts, self._setup.horizon, ratio, power)

    def _update(self, known, n_new):
        """Train on windows that look at new steps, with a tenth of the learning rate."""
        setup, data = self._setup, known.data
        windows = setup.windows(data)
        new = n_new[windows.series]
        low = np.maximum(windows.lengths - new - setup.horizon + 1, 1)
        kept = np.flatnonzero((new > 0) & (windows.lengths > 1))
        if len(kept) == 0:
            return
        origins = Origins(kept, low[kept], windows.lengths[kept] - 1)
        n_draws = int(np.clip(len(origins), setup.batch_size, _BATCHES_PER_EPOCH * setup.batch_size))
        dataset = setup.dataset(windows, self._encoder.encode(known), origins, n_draws=n_draws)
        state = net_state(self.net_)
        net = self._make_net(self._build_module(self._spec), self.update_epochs, self._callbacks(None, False))
        rates = [group["lr"] for group in net.optimizer_.param_groups]
        restore_net(net, state)
        for group, rate in zip(net.optimizer_.param_groups, rates, strict=True):
            group["lr"] = _UPDATE_RATE * rate
            group.pop("initial_lr", None)  # of a scheduler, which would go back to it
        self.net_ = net
        with torch_threads(self.n_threads_):
            net.partial_fit(dataset)

    def _check_combinations(self, data):
        """Refuse parameters that do not fit each other or the series."""
        counts = self.distribution == "negative_binomial"
        if self.strategy == "recursive" and self._past_columns():
            raise ValueError(
                f"past_columns={self.past_columns!r} are not known ahead, but strategy='recursive' feeds forecasts "
                "back and needs every feature of the steps in between. Use strategy='direct'."
            )
        if self.distribution is not None:
            self._refuse_changed(("loss",), f"{self.distribution!r} has a likelihood", "Set distribution=None")
        if counts:
            self._refuse_changed(("anchor", "linear_skip"), "counts are read on a logarithmic scale", "Drop it")
            if self.scaler not in ("auto", "mean"):
                raise ValueError(
                    "scaler must be 'auto' or 'mean' with distribution='negative_binomial', got "
                    f"{self.scaler!r}. Leave it at 'auto'."
                )
        self._refuse_values(data, counts, self.positive, self.scaler == "log")

    def _check_values(self, data):
        setup = self._setup
        self._refuse_values(data, setup.counts, setup.positive, setup.scaler == "log")

    def _refuse_values(self, data, counts, positive, log):
        x = data.values
        if counts:
            odd = (x < 0) | (x != np.round(x)) & ~np.isnan(x)
            self._refuse_odd(data, odd, "counts (0, 1, 2, ...) with distribution='negative_binomial'")
        if positive:
            self._refuse_odd(data, x < 0, "no value below 0 with positive=True")
        if log:
            chosen = "scaler='log'" if self.scaler == "log" else "the logarithmic scale that fit chose"
            remedy = "Change y, or fit with scaler='last'"
            self._refuse_odd(data, x <= 0, f"values above 0 with {chosen}", remedy)

    def _refuse_odd(self, data, odd, allowed, remedy="Change y, or leave the parameter at its default"):
        if odd.any():
            row, column = np.argwhere(odd)[0]
            i = int(np.searchsorted(data.offsets, row, side="right")) - 1
            raise ValueError(
                f"y must hold {allowed}, got {data.values[row, column]} at {data.stamp(i, row - data.offsets[i])} of "
                f"{data.name_of(i)}. {remedy}."
            )
