"""NetTrainer: what every estimator with a network shares - training parameters, the net, its history and its pickle."""

import inspect
from numbers import Integral, Real

import numpy as np
import torch
from sklearn.utils._param_validation import Hidden, Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from sktime_rnn.base._building import PRECISIONS
from sktime_rnn.callbacks import SCHEDULES, DivergenceGuard, GradientClipping, Progress, Schedule, schedules_itself
from sktime_rnn.cells import CELLS, NONLINEARITIES, Cell
from sktime_rnn.layers import Layers
from sktime_rnn.nets import RecurrentNet, choose_device, is_there
from sktime_rnn.state import net_state, restore_net

OPTIMIZERS = {
    "adam": (torch.optim.Adam, {"fused": True}),
    "adamw": (torch.optim.AdamW, {"fused": True}),
    "sgd": (torch.optim.SGD, {}),
    "rmsprop": (torch.optim.RMSprop, {}),
}


def draw_seed(random_state):
    """Return a seed; None asks the system for one, NumPy's global generator is left alone."""
    if random_state is None:
        return int(np.random.SeedSequence().generate_state(1)[0])
    if isinstance(random_state, Integral):
        return int(random_state)
    return int(random_state.randint(np.iinfo(np.int32).max))


class NetTrainer:
    """Mixin of the estimators that train a network.

    Subclasses supply ``_build_module(spec)``, which gives the network of a spec, its weights not yet drawn.

    State after fit: ``net_`` (the skorch net), ``_spec`` (plain values from which the network is built again),
    ``_seed``.
    """

    _parameter_constraints: dict = {
        "cell": [StrOptions(set(CELLS)), Cell, Layers, type, None],
        "hidden_size": [Interval(Integral, 1, None, closed="left")],
        "num_layers": [Interval(Integral, 1, None, closed="left")],
        "bidirectional": ["boolean"],
        "bias": ["boolean"],
        "nonlinearity": [StrOptions(set(NONLINEARITIES)), callable],
        "initial_state": [StrOptions({"zeros", "learned"})],
        "dropout": [Interval(Real, 0, 1, closed="left")],
        "input_noise": [Interval(Real, 0, None, closed="left"), StrOptions({"auto"})],
        "optimizer": [StrOptions(set(OPTIMIZERS)), callable],
        "lr": [Interval(Real, 0, None, closed="neither")],
        "lr_schedule": [StrOptions({"auto", *SCHEDULES})],
        "max_epochs": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "max_batch_steps": [Interval(Integral, 1, None, closed="left"), None],
        "weight_decay": [Interval(Real, 0, None, closed="left")],
        "max_grad_norm": [Interval(Real, 0, None, closed="neither"), None],
        "max_grad_value": [Interval(Real, 0, None, closed="neither"), None],
        "normalize_grad": ["boolean"],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "device": [str, Hidden(torch.device)],
        "precision": [StrOptions(set(PRECISIONS))],
        "callbacks": [list, None],
        "verbose": ["verbose"],
        "random_state": ["random_state"],
    }

    def _n_in_batch(self):
        """Return the most samples in a training batch."""
        return self.batch_size

    def _net_options(self):
        """Return what else the net is made with."""
        return {}

    def _refuse_changed(self, names, because, remedy):
        """Refuse parameters that were set although they can have no effect."""
        parameters = inspect.signature(type(self)).parameters
        for name in names:
            default = parameters[name].default
            if getattr(self, name) is not default and getattr(self, name) != default:
                raise ValueError(
                    f"{name} must be left at {default!r}, got {getattr(self, name)!r}: it has no effect, since "
                    f"{because}. {remedy}, or leave {name} as it is."
                )

    def _make_net(self, module, max_epochs, callbacks, train_split=None, device=None):
        """Return an initialised net around a module, with this estimator's training parameters."""
        device = device or choose_device(self.device)
        optimizer, options = OPTIMIZERS.get(self.optimizer, (self.optimizer, {}))
        options = {f"optimizer__{name}": value for name, value in options.items()}
        options |= self._net_options()
        if self.weight_decay:
            options["optimizer__weight_decay"] = self.weight_decay
        net = RecurrentNet(
            module,
            optimizer=optimizer,
            lr=self.lr,
            max_epochs=max_epochs,
            batch_size=self._n_in_batch(),
            max_batch_steps=self.max_batch_steps,
            per_step=self._spec.get("per_step", False),
            random_state=self._seed,
            callbacks=callbacks,
            train_split=train_split,
            precision=self._spec["precision"],
            verbose=max(0, int(self.verbose) - 1),
            device=device,
            warm_start=True,
            **options,
        )
        return net.initialize()

    def _choose_threads(self):
        """One thread for small networks: more of them wait for each other longer than they work."""
        small = getattr(self, "network", None) is None and self.hidden_size <= 256
        return 1 if small else min(4, torch.get_num_threads())

    def _callbacks(self, stopping, one_epoch, alone=False):
        """Return the callbacks of a training; ``alone`` leaves out the user's but for schedulers of the rate."""
        callbacks = [
            ("rnn_clipping", GradientClipping(self.max_grad_value, self.normalize_grad, self.max_grad_norm)),
        ]
        if not one_epoch and not schedules_itself(self.callbacks):
            name = "one_cycle" if self.lr_schedule == "auto" else self.lr_schedule
            callbacks.append(("rnn_schedule", Schedule(SCHEDULES[name])))
        if self.verbose:
            callbacks.append(("rnn_progress", Progress()))
        callbacks += [item for item in self.callbacks or () if not alone or schedules_itself([item])]
        callbacks.append(("rnn_divergence", DivergenceGuard()))
        return callbacks if stopping is None else [*callbacks, ("rnn_stopping", stopping)]

    # --- what a fitted estimator offers ------------------------------------------------------------------------------

    @property
    def history_(self):
        """Training history: skorch's, a list with one dict an epoch."""
        check_is_fitted(self, "net_")
        return self.net_.history

    @property
    def module_(self):
        """The trained torch module; it reads standardised values, see ``module_.scaling``."""
        check_is_fitted(self, "net_")
        return self.net_.module_

    @property
    def n_iter_(self):
        """Number of epochs trained to their end."""
        return len(self.loss_curve_)

    @property
    def loss_curve_(self):
        """Training loss of every epoch."""
        return [row["train_loss"] for row in self.history_ if "train_loss" in row]

    # --- pickling ----------------------------------------------------------------------------------------------------

    def __getstate__(self):
        state = dict(super().__getstate__())
        if "net_" in state:
            state["net_"] = net_state(state["net_"])
        return state

    def __setstate__(self, state):
        state = dict(state)
        net = state.pop("net_", None)
        super().__setstate__(state)
        if net is not None:
            device = choose_device(self.device if self.device != "auto" and is_there(self.device) else "auto")
            self.net_ = self._make_net(self._build_module(self._spec), 1, None, device=device)
            restore_net(self.net_, net)
