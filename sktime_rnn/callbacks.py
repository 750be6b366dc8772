"""What happens during training, one small class for each: clipping, schedules, stopping."""

import math
import warnings
from abc import ABC, abstractmethod

import torch
from sklearn.exceptions import ConvergenceWarning
from skorch.callbacks import Callback, LRScheduler
from tqdm import tqdm

_TINY = 1e-12


def cosine(progress):
    """Return half a cosine, from 1 to 0."""
    return 0.5 * (1 + math.cos(math.pi * progress))


def one_cycle(progress, warm_up=0.1):
    """Return a linear rise from 0.1 to 1 over the first tenth, then half a cosine down to 0 (Smith 2018)."""
    if progress < warm_up:
        return 0.1 + 0.9 * progress / warm_up
    return cosine((progress - warm_up) / (1 - warm_up))


SCHEDULES = {"constant": lambda progress: 1.0, "cosine": cosine, "one_cycle": one_cycle}


def copy_weights(module):
    """Return a copy of a module's weights and constants, by name."""
    return {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}


class GradientClipping(Callback):
    """Keep gradients within bounds before each update, and record their norm as ``grad_norm`` in the history.

    Parameters
    ----------
    max_value : float, default=None
        Every element is cut to [-max_value, max_value] first.
    normalize : bool, default=False
        The gradient is divided by its Euclidean norm over all parameters.
    max_norm : float, default=None
        A gradient of a larger norm is scaled down to this one (Pascanu, Mikolov and Bengio 2013).
    """

    def __init__(self, max_value=None, normalize=False, max_norm=None):
        self.max_value = max_value
        self.normalize = normalize
        self.max_norm = max_norm

    def on_grad_computed(self, net, named_parameters, **kwargs):
        """Change the gradients in place."""
        gradients = [p.grad for _, p in named_parameters if p.grad is not None]
        if not gradients:
            return
        if self.max_value is not None:
            for gradient in gradients:
                gradient.clamp_(-self.max_value, self.max_value)
        norm = torch.nn.utils.get_total_norm(gradients)
        size = float(norm)
        net.history.record_batch("grad_norm", size)
        factor = 1 / max(size, _TINY) if self.normalize else 1.0
        if self.max_norm is not None and size * factor > self.max_norm:
            factor = self.max_norm / size
        if factor != 1.0:
            for gradient in gradients:
                gradient.mul_(factor)


class ByProgress(Callback, ABC):
    """Do something before every update that depends on the share of training that is done."""

    def on_train_begin(self, net, X=None, y=None, **kwargs):
        """Note how many sequences training will see."""
        self.seen_ = 0
        self.total_ = net.max_epochs * len(net.get_dataset(X, y))

    def on_batch_begin(self, net, batch=None, training=False, **kwargs):
        """Act on the network or its optimiser."""
        if training:
            self.act(net, min(self.seen_ / self.total_, 1.0))
            self.seen_ += len(batch[0]["lengths"])

    @abstractmethod
    def act(self, net, progress):
        """Do it, at a progress in [0, 1)."""


class Schedule(ByProgress):
    """Set the learning rate before every update by the share of training that is done.

    The rate is recorded as ``event_lr`` in the history, as skorch's own LRScheduler does.

    Parameters
    ----------
    factor : callable
        Maps progress in [0, 1) to a factor of the initial learning rate.
    """

    def __init__(self, factor):
        self.factor = factor

    def on_train_begin(self, net, X=None, y=None, **kwargs):
        """Note the initial rates and how many sequences training will see."""
        super().on_train_begin(net, X, y)
        self.initial_ = [group["lr"] for group in net.optimizer_.param_groups]

    def act(self, net, progress):
        """Set the rate."""
        factor = self.factor(progress)
        for group, lr in zip(net.optimizer_.param_groups, self.initial_, strict=True):
            group["lr"] = lr * factor
        net.history.record_batch("event_lr", net.optimizer_.param_groups[0]["lr"])

    def on_epoch_end(self, net, **kwargs):
        """Record the last rate of the epoch."""
        net.history.record("event_lr", net.optimizer_.param_groups[0]["lr"])

    def on_train_end(self, net, **kwargs):
        """Set the initial rates again, for training that goes on."""
        for group, lr in zip(net.optimizer_.param_groups, self.initial_, strict=True):
            group["lr"] = lr


# How much of the way from 1 to the final ratio is still to go, by progress (Bengio et al. 2015).
FORCING_SCHEDULES = {
    "constant": lambda progress: 0.0,
    "linear": lambda progress: 1 - progress,
    "exponential": lambda progress: math.exp(-5 * progress),
    "sigmoid": lambda progress: 1 / (1 + math.exp(10 * (progress - 0.5))),
}


class TeacherForcing(ByProgress):
    """Set how often a decoder reads the true output in training, not its own; recorded as ``teacher_forcing``.

    Parameters
    ----------
    ratio : float
        The probability that is reached in the end; "exponential" and "sigmoid" come within a hundredth of it.
    schedule : {"constant", "linear", "exponential", "sigmoid"}
        How it falls from 1; "constant" begins with ``ratio``.
    """

    def __init__(self, ratio, schedule="constant"):
        self.ratio = ratio
        self.schedule = schedule

    def act(self, net, progress):
        """Set the probability."""
        net.module_.teacher_forcing = self.ratio + (1 - self.ratio) * FORCING_SCHEDULES[self.schedule](progress)

    def on_epoch_end(self, net, **kwargs):
        """Record the last probability of the epoch."""
        net.history.record("teacher_forcing", net.module_.teacher_forcing)


def schedules_itself(callbacks):
    """Return whether a list of callbacks, as users write it, holds a learning-rate scheduler."""
    items = [entry[-1] if isinstance(entry, tuple) else entry for entry in callbacks or ()]
    return any(isinstance(cb, LRScheduler) or cb is LRScheduler for cb in items)


class StopWithoutProgress(Callback):
    """Stop when a validation score has not improved for some epochs, and go back to the best weights.

    Parameters
    ----------
    monitor : str
        Column of the history.
    sign : {1, -1}
        1 where larger is better.
    patience : int
        Number of epochs without improvement before training stops.
    tol : float
        What counts as an improvement.

    Attributes
    ----------
    scores_ : list of float
        The score of every epoch, larger is better.
    """

    def __init__(self, monitor, sign, patience, tol):
        self.monitor = monitor
        self.sign = sign
        self.patience = patience
        self.tol = tol

    def on_train_begin(self, net, **kwargs):
        """Start counting."""
        self.scores_ = []
        self.weights_ = None
        self.best_ = self.highest_ = -math.inf
        self.misses_ = 0

    def on_epoch_end(self, net, **kwargs):
        """Compare the score with the best so far."""
        score = self.sign * float(net.history[-1, self.monitor])
        self.scores_.append(score)
        if score > self.highest_:
            self.highest_ = score
            self.weights_ = copy_weights(net.module_)
        if score > self.best_ + self.tol:
            self.best_, self.misses_ = score, 0
            return
        self.misses_ += 1
        if self.misses_ >= self.patience:
            raise KeyboardInterrupt

    def on_train_end(self, net, **kwargs):
        """Go back to the weights of the best score, if any was a number."""
        if self.weights_ is not None:
            net.module_.load_state_dict(self.weights_)
            self.weights_ = None


class DivergenceGuard(Callback):
    """Stop when the loss or a weight is no longer a number, and go back to the weights of the last good epoch.

    Warns with what to change; raises where no epoch was good.
    """

    def on_train_begin(self, net, **kwargs):
        """Keep the weights that training goes on from, where there are any."""
        self.weights_ = copy_weights(net.module_) if len(net.history) else None

    def on_epoch_end(self, net, **kwargs):
        """Look at the epoch's loss and at the weights."""
        loss = net.history[-1, "train_loss"]
        if math.isfinite(loss) and all(bool(p.isfinite().all()) for p in net.module_.parameters()):
            self.weights_ = copy_weights(net.module_)
            return
        remedy = f"Lower lr (now {net.lr}), lower max_grad_norm, or look for extreme values in X and y."
        place = f"epoch {len(net.history)}, where the loss was {loss}"
        if self.weights_ is None:
            raise ValueError(f"training must keep a finite loss and finite weights, but lost them in {place}. {remedy}")
        net.module_.load_state_dict(self.weights_)
        warnings.warn(
            f"Training diverged in {place}, and stopped; the weights are those of the last good epoch. {remedy}",
            ConvergenceWarning,
            stacklevel=2,
        )
        raise KeyboardInterrupt

    def on_train_end(self, net, **kwargs):
        """Let go of the copy."""
        self.weights_ = None


class Progress(Callback):
    """Show a bar with the loss of the last epoch and the time that is left."""

    def on_train_begin(self, net, X=None, y=None, **kwargs):
        """Draw an empty bar."""
        self.bar_ = tqdm(total=net.max_epochs * len(net.get_dataset(X, y)), unit="sequence", unit_scale=True)

    def on_batch_end(self, net, batch=None, training=False, **kwargs):
        """Move the bar on."""
        if training:
            self.bar_.update(len(batch[0]["lengths"]))

    def on_epoch_end(self, net, **kwargs):
        """Write the epoch's loss beside the bar."""
        names = [name for name in ("train_loss", "valid_loss") if name in net.history[-1]]
        self.bar_.set_postfix({"epoch": len(net.history)} | {name: net.history[-1, name] for name in names})

    def on_train_end(self, net, **kwargs):
        """Leave the bar as it is."""
        self.bar_.close()
        del self.bar_
