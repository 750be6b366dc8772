"""RecurrentNet: a skorch net that is handed sequences and trains any network with a head."""

import contextlib
import copy
import dis
import math
import signal
import threading

import numpy as np
import torch
from sklearn.utils import ClassifierTags, RegressorTags
from skorch import NeuralNet
from skorch.callbacks import EpochScoring
from skorch.utils import to_device, to_tensor

from sktime_rnn.batching import BatchIterator, PairDataset, SequenceDataset, WindowDataset, as_dataset, flat_steps
from sktime_rnn.decoding import Limits, beam_search
from sktime_rnn.heads import CategoricalHead, MultiLabelHead, MultiOutputHead, PointHead
from sktime_rnn.networks import LabelHypotheses

MIN_UPDATES = 1500
MAX_STEPS = 4_000_000
EPOCHS = (10, 300)
_PREDICT_BATCH = 256
_PREDICT_STEPS = 1 << 14
_USER_MODULES = threading.Lock()


def is_there(device):
    """Return whether this machine has the kind of device that a name stands for."""
    kind = torch.device(device).type
    return kind == "cpu" or (hasattr(torch, kind) and getattr(torch, kind).is_available())


def choose_device(device):
    """Return the device that a name stands for; "auto" is CUDA, then MPS, then the CPU."""
    if device == "auto":
        return next(kind for kind in ("cuda", "mps", "cpu") if is_there(kind))
    try:
        there = is_there(device)
    except RuntimeError:
        there = False
    if not there:
        raise ValueError(
            f"device must be 'auto', 'cpu', 'cuda', 'cuda:1', 'mps' or another that torch knows, got {device!r}, which "
            "this machine has not. Use 'auto'."
        )
    return str(torch.device(device))


@contextlib.contextmanager
def seeded_torch(seed):
    """Seed torch's global generators, and put them back afterwards; one thread at a time."""
    with _USER_MODULES:
        cpu = torch.get_rng_state()
        cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
        torch.manual_seed(seed)
        try:
            yield
        finally:
            torch.set_rng_state(cpu)
            if cuda:
                torch.cuda.set_rng_state_all(cuda)


def n_epochs(max_epochs, n_batches, n_steps, min_updates=MIN_UPDATES, bounds=EPOCHS):
    """Return the number of epochs; "auto" makes small data train for a number of updates, within a number of steps.

    Parameters
    ----------
    max_epochs : int or "auto"
        What the user asked for.
    n_batches, n_steps : int
        Batches, and time steps, of one epoch.
    min_updates : int, default=1500
        Number of updates that "auto" makes for.
    bounds : tuple of int, default=(10, 300)
        Fewest and most epochs of "auto".

    Returns
    -------
    epochs : int
        Number of epochs.
    """
    if max_epochs != "auto":
        return max_epochs
    fewest, most = bounds
    wanted = min(math.ceil(min_updates / n_batches), MAX_STEPS // n_steps)
    return min(most, max(fewest, wanted))


@contextlib.contextmanager
def torch_threads(n_threads):
    """Run torch on a number of threads, and set the number that was there before afterwards.

    Parameters
    ----------
    n_threads : int
        Number of threads of the calling thread's operations.
    """
    before = torch.get_num_threads()
    if before == n_threads:
        yield
        return
    torch.set_num_threads(n_threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def raised_by_statement(exception):
    """Return whether an exception comes from a ``raise`` statement, not from a key pressed meanwhile.

    skorch's callbacks stop training by ``raise KeyboardInterrupt``; the user's Ctrl-C arrives between any two
    instructions, or by a ``raise`` of the program's own handler of SIGINT.

    Parameters
    ----------
    exception : BaseException
        As caught.

    Returns
    -------
    by_statement : bool
        True for a ``raise``.
    """
    handler = signal.getsignal(signal.SIGINT)
    handler = getattr(handler, "func", handler)  # asyncio's is a partial
    handling = getattr(handler, "__code__", None)
    traceback = exception.__traceback__
    while traceback.tb_next is not None and traceback.tb_frame.f_code is not handling:
        traceback = traceback.tb_next
    if traceback.tb_frame.f_code is handling:
        return False
    return traceback.tb_frame.f_code.co_code[traceback.tb_lasti] == dis.opmap["RAISE_VARARGS"]


class RecurrentNet(NeuralNet):
    """Train a network on sequences.

    A network offers ``forward(X, lengths) -> raw`` and ``head``; the head is the criterion. Batches hold sequences of
    similar length. skorch's callbacks see rows: one for each sequence, or one for each valid step where the network
    has an output per step.

    Parameters
    ----------
    module : torch.nn.Module
        The network, its weights drawn.
    per_step : bool, default=False
        Whether the network has an output for every step.
    max_batch_steps : int, default=None
        Most steps in a training batch, padding included.
    random_state : int, default=0
        Seed of shuffling and dropout.
    precision : str, default="float32"
        Type of the weights; "bfloat16" computes layers in that type, beside float32 weights and losses.
    iterator_train, iterator_valid : class, default=BatchIterator
        Make batches.
    dataset : class, default=SequenceDataset
        Joins sequences and targets.
    train_split : callable, default=None
        Splits off validation data, as in skorch.
    criterion : None
        There for skorch, whose nets are cloned with it; the head takes its place.
    **kwargs
        As for ``skorch.NeuralNet``.

    Attributes
    ----------
    rng_ : numpy.random.Generator
        Shuffles the sequences.
    generator_ : torch.Generator
        Draws dropout masks.
    """

    def __init__(
        self,
        module,
        *,
        per_step=False,
        max_batch_steps=None,
        random_state=0,
        precision="float32",
        iterator_train=BatchIterator,
        iterator_valid=BatchIterator,
        dataset=SequenceDataset,
        train_split=None,
        criterion=None,
        **kwargs,
    ):
        super().__init__(
            module,
            criterion,
            iterator_train=iterator_train,
            iterator_valid=iterator_valid,
            dataset=dataset,
            train_split=train_split,
            **kwargs,
        )
        self.per_step = per_step
        self.max_batch_steps = max_batch_steps
        self.random_state = random_state
        self.precision = precision

    @property
    def _default_callbacks(self):
        callbacks = [item for item in super()._default_callbacks if self.verbose or item[0] != "print_log"]
        name = {CategoricalHead: "accuracy", MultiLabelHead: "accuracy", PointHead: "r2"}.get(type(self.module.head))
        if name is not None and self.iterator_valid is BatchIterator:
            label = {"accuracy": "valid_acc", "r2": "valid_r2"}[name]
            callbacks.insert(3, (label, EpochScoring(name, name=label, lower_is_better=False)))
        return callbacks

    def initialize_criterion(self):
        """Make the network's head the criterion."""
        if self.criterion is not None:
            raise ValueError(
                f"criterion must be None, got {self.criterion!r}: the head of the network is the criterion. Give the "
                "network another head."
            )
        self.criterion_ = self.module_.head
        return self

    def initialize_module(self):
        """Take the network as it is and hand it this net's source of random numbers."""
        self.module_ = self.module
        self.rng_ = np.random.default_rng(self.random_state)
        self.generator_ = torch.Generator(self.device).manual_seed(self.random_state)
        for part in self.module_.modules():
            if hasattr(part, "generator"):
                part.generator = self.generator_
        return self

    def get_dataset(self, X, y=None):
        """Return the dataset of sequences and targets; a dataset passes unchanged."""
        return X if isinstance(X, SequenceDataset | PairDataset | WindowDataset) else as_dataset(X, y, self.per_step)

    def get_iterator(self, dataset, training=False):
        """Return an iterator over batches: shuffled for training, larger and sorted by length otherwise."""
        kwargs = self.get_params_for("iterator_train" if training else "iterator_valid")
        kwargs.setdefault("scaling", self.cpu_scaling())
        if training:
            defaults = {"batch_size": self.batch_size, "max_batch_steps": self.max_batch_steps, "rng": self.rng_}
        else:
            defaults = {"batch_size": max(self.batch_size, _PREDICT_BATCH), "max_batch_steps": _PREDICT_STEPS}
        iterator = self.iterator_train if training else self.iterator_valid
        return iterator(dataset, **{**defaults, **kwargs})

    def cpu_scaling(self):
        """Return the network's input scaling on the CPU, where batches are cut, or None."""
        scaling = getattr(self.module_, "scaling", None)
        if scaling is None or scaling.mean.device.type == "cpu":
            return scaling
        return copy.deepcopy(scaling).cpu()

    def _set_training(self, training=True):
        """Switch the network between training and prediction, where it is not there yet."""
        if self.module_.training != training:
            self.module_.train(training)

    def run_single_epoch(self, iterator, training, prefix, step_fn, **fit_params):
        """Take one step a batch, and record the loss and how many rows it is the mean of."""
        if iterator is None:
            return
        batch_count = 0
        for batch in iterator:
            batch_count += 1
            self.notify("on_batch_begin", batch=batch, training=training)
            step = step_fn(batch, **fit_params)
            self.history.record_batch(f"{prefix}_loss", step["loss"].item())
            self.history.record_batch(f"{prefix}_batch_size", len(step["y_pred"]))
            self.notify("on_batch_end", batch=batch, training=training, **step)
        self.history.record(f"{prefix}_batch_count", batch_count)

    def autocast(self):
        """Return the context in which layers compute in bfloat16, where ``precision`` asks for it."""
        if self.precision != "bfloat16":
            return contextlib.nullcontext()
        return torch.autocast(torch.device(self.device).type, dtype=torch.bfloat16)

    def infer(self, x, **fit_params):
        """Return the raw rows of a batch: one a sequence, or one a valid step."""
        x = to_tensor({k: v for k, v in x.items() if k not in ("weight", "mask")}, device=self.device)
        rows = x.pop("rows", None)
        if x["X"].dtype == torch.float64 and self.precision != "float64":  # what no scaling has cast
            x["X"] = x["X"].to(next((p.dtype for p in self.module_.parameters()), None))
        with self.autocast():
            raw = self.module_(**x, **fit_params)
        if raw.dtype == torch.bfloat16:
            raw = raw.float()
        if rows is None:
            return raw
        flat = raw.flatten(0, 1)  # (B * T, K)
        return flat if len(rows) == len(flat) else flat.index_select(0, rows)

    def get_loss(self, y_pred, y_true, X=None, training=False):
        """Return the head's loss: the sum over rows, each times its weight, divided by the number of rows."""
        weight, mask = X.get("weight"), X.get("mask")
        if mask is not None:
            mask = mask.to(y_pred.device)
        if weight is not None:
            weight = weight.to(y_pred.device, y_pred.dtype)
        y_true = to_tensor(y_true, device=self.device)
        if isinstance(self.criterion_, PointHead):
            y_true = y_true.reshape(y_pred.shape)  # (B,) against (B, 1) would be broadcast to (B, B)
        loss = self.criterion_.loss(y_pred, y_true, mask, weight)
        return (
            loss if weight is None else loss * weight.mean()
        )  # else a batch would weigh the same whatever its rows do

    def partial_fit(self, X, y=None, classes=None, **fit_params):
        """Train on, as skorch's net does; a Ctrl-C of the user ends training and is raised again."""
        if not self.initialized_:
            self.initialize()
        routing_method = fit_params.pop("_routing_method", "partial_fit")
        self.notify("on_train_begin", X=X, y=y)
        try:
            self.fit_loop(X, y, _routing_method=routing_method, **fit_params)
        except KeyboardInterrupt as interrupt:
            if not raised_by_statement(interrupt):
                self.notify("on_train_end", X=X, y=y)
                raise
        self.notify("on_train_end", X=X, y=y)
        return self

    def evaluation_step(self, batch, training=False):
        """Return the raw rows of a batch, in prediction mode unless ``training``."""
        with torch.set_grad_enabled(training):
            self._set_training(training)
            return self.infer(batch[0])

    def forward_iter(self, X, training=False, device="cpu"):
        """Yield the raw rows of all sequences, in their order.

        Batches are made by length; rows come back in the order of X, all of them as one tensor.
        """
        if not self.initialized_:
            self.check_is_fitted()
        dataset = self.get_dataset(X)
        if dataset.per_step != self.per_step:
            dataset = SequenceDataset(dataset.X, dataset.y, dataset.weight, self.per_step)
        yield self._rows(dataset, self.get_iterator(dataset, training=False), training, device)

    def forced_rows(self, X, y):
        """Return the raw rows of all steps, each given the true outputs of the steps before it.

        Parameters
        ----------
        X : Sequences
            Inputs.
        y : ndarray of shape (N, ...)
            Targets of all steps end to end.

        Returns
        -------
        raw : tensor of shape (N, raw_size)
            In the order of the steps.
        """
        dataset = SequenceDataset(X, y, per_step=True)
        iterator = self.get_iterator(dataset, training=False)
        iterator.give_targets = True
        return self._rows(dataset, iterator)

    def search_labels(self, X):
        """Return the labels of all steps that a beam search finds, for a network that feeds labels back.

        Parameters
        ----------
        X : Sequences
            Inputs.

        Returns
        -------
        codes : int64 tensor of shape (N,)
            In the order of the steps.
        """
        dataset, module = SequenceDataset(X, per_step=True), self.module_
        iterator = self.get_iterator(dataset, training=False)
        out = torch.empty(dataset.n_rows, dtype=torch.int64)
        self._set_training(False)
        with torch.no_grad(), self.autocast():
            for indices in iterator.plan():
                inputs = to_tensor(iterator.cut(indices)[0], device=self.device)
                lengths = inputs["lengths"]
                limits = Limits(module.head.n_outputs, lengths, lengths)
                codes = beam_search(LabelHypotheses(module, inputs["X"], lengths), limits).codes[:, :1, :]
                codes, _ = module.in_order(codes.transpose(1, 2), lengths)
                out[torch.from_numpy(flat_steps(X.offsets, indices))] = codes.flatten()[inputs["rows"]].cpu()
        return out

    def _rows(self, dataset, iterator, training=False, device="cpu"):
        """Return the raw rows of a dataset, in its order."""
        out = None
        for indices in iterator.plan():
            raw = to_device(self.evaluation_step(iterator.cut(indices), training=training), device=device)
            if out is None:
                out = raw.new_empty((dataset.n_rows, *raw.shape[1:]))
            places = flat_steps(dataset.X.offsets, indices) if self.per_step else indices
            out[torch.from_numpy(places).to(out.device)] = raw
        return out

    def predict_proba(self, X):
        """Return the head's probabilities, (n_rows, K); a list of arrays for several categorical outputs."""
        if not hasattr(self.module.head, "predict_proba"):
            raise AttributeError(f"{type(self.module.head).__name__} has no probabilities. Call predict.")
        return self._through_head("predict_proba", X)

    def predict(self, X):
        """Return the head's predictions: codes of classes, 0 and 1 for labels, or values; one row each."""
        return self._through_head("predict", X)

    def _through_head(self, method, X):
        rows = [getattr(self.module_.head, method)(raw.detach()) for raw in self.forward_iter(X)]
        if isinstance(rows[0], list):
            return [torch.cat(parts).cpu().numpy() for parts in zip(*rows, strict=True)]
        return torch.cat(rows).cpu().numpy()

    @property
    def classes_(self):
        """Codes of the classes, for scikit-learn's scorers."""
        head = self.module_.head
        if isinstance(head, MultiOutputHead):
            return [np.arange(n) for n in head.n_classes]
        if isinstance(head, MultiLabelHead):
            return [np.arange(2)] * head.n_outputs
        return np.arange(head.n_outputs)

    def __sklearn_tags__(self):
        """Say what kind of estimator the head makes of this net."""
        tags = super().__sklearn_tags__()
        if isinstance(self.module.head, PointHead):
            tags.estimator_type, tags.regressor_tags = "regressor", RegressorTags()
        else:
            tags.estimator_type, tags.classifier_tags = "classifier", ClassifierTags()
        return tags
