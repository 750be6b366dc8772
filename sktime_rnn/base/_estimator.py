"""BaseRNN: what the classifier and the regressor share - targets for sequences or steps, and the network for them."""

from abc import abstractmethod

import numpy as np
import torch
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.validation import check_is_fitted

from sktime_rnn.base._building import build_module
from sktime_rnn.base._reading import check_weight, read_groups
from sktime_rnn.base._sequences import BaseSequenceRNN
from sktime_rnn.batching import SequenceDataset, with_mean_weight_one
from sktime_rnn.callbacks import TeacherForcing
from sktime_rnn.layers import as_layers
from sktime_rnn.nets import torch_threads
from sktime_rnn.panel import check_target_index, is_panel
from sktime_rnn.sequences import counts_columns

_OF_RECURRENCE = (
    "cell",
    "hidden_size",
    "num_layers",
    "bidirectional",
    "bias",
    "nonlinearity",
    "go_backwards",
    "initial_state",
    "dropout",
    "input_noise",
    "pooling",
    "step_network",
    "embedding_dim",
    "embeddings",
)


class BaseRNN(BaseSequenceRNN):
    """Base of the recurrent estimators.

    Subclasses list all parameters in their constructor and supply

    - ``_read_y(y, X, lengths, reset, classes)`` -> targets as an array of codes or values, and whether per step;
    - ``_head(spec)`` -> the head of a network;
    - ``_head_spec(y)`` -> plain values from which ``_head`` builds it again.

    State after fit: ``net_`` (the skorch net), ``_spec`` (plain values from which the network is built again).
    """

    _parameter_constraints: dict = {
        **BaseSequenceRNN._parameter_constraints,
        "pooling": [StrOptions({"last", "mean", "max", "attention"})],
        "per_step": ["boolean", None],
        "network": [torch.nn.Module, None],
    }

    @abstractmethod
    def _read_y(self, y, X, lengths, reset, classes=None):
        """Return targets as an array of codes or values, and whether its rows are steps."""

    @abstractmethod
    def _head_spec(self, y):
        """Return what the head is built from: plain values."""

    @abstractmethod
    def _head(self, spec):
        """Return the head."""

    # --- building ----------------------------------------------------------------------------------------------------

    def _check_combinations(self, dataset):
        self._check_reading(dataset.X.is_tokens)
        self._refuse_of_other_kind(dataset.X.is_tokens)
        if dataset.per_step:
            self._refuse_changed(("pooling",), "y holds a target for every step", "Pass one target a sequence")
        if self.network is not None:
            self._refuse_changed(_OF_RECURRENCE, "network takes the place of the recurrent one", "Drop network")

    def _network_spec(self, sequences, dataset):
        recurrent, scaling = self._reading_spec(sequences)
        return {
            "head": self._head_spec(dataset.y),
            "per_step": dataset.per_step,
            "precision": self.precision,
            "scaling": scaling,
            "network": self.network,
            "standardize": self.standardize,
            "recurrent": recurrent | {"pooling": self.pooling},
        }

    def _build_module(self, spec):
        return build_module(spec, self._head(spec["head"]))

    def _feedback_cell(self):
        """Return the cell that reads true outputs of steps in training, or None."""
        if self._spec["network"] is not None or not self._spec["per_step"]:
            return None
        cell = as_layers(self._spec["recurrent"]["cell"], self._spec["recurrent"]["nonlinearity"]).cell
        return cell if cell.needs_feedback else None

    # --- training ----------------------------------------------------------------------------------------------------

    def _net_options(self):
        return {} if self._feedback_cell() is None else {"iterator_train__give_targets": True}

    def _callbacks(self, stopping, one_epoch, alone=False):
        callbacks = super()._callbacks(stopping, one_epoch, alone)
        cell = self._feedback_cell()
        if cell is not None:
            schedule = "constant" if one_epoch else cell.teacher_forcing_schedule
            callbacks.insert(0, ("rnn_forcing", TeacherForcing(cell.teacher_forcing, schedule)))
        return callbacks

    def _dataset(self, X, sequences, y, sample_weight, reset, classes=None, groups=None):
        if is_panel(X):
            check_target_index(y, X.index.unique(level=0))
        y, per_step = self._read_y(y, X, sequences.lengths, reset, classes)
        weight = None
        if sample_weight is not None:
            weight = check_weight(sample_weight, len(sequences))
        rows = self._row_weights(weight, y, sequences.lengths, per_step)
        if not reset:
            self._check_per_step(per_step)
        if groups is not None:
            groups = read_groups(groups, len(sequences), self.early_stopping)
        dataset = SequenceDataset(sequences, np.ascontiguousarray(y), rows, per_step, groups)
        return dataset if rows is None else with_mean_weight_one(dataset)

    def _row_weights(self, weight, y, lengths, per_step):
        return np.repeat(weight, lengths) if per_step and weight is not None else weight

    def fit(self, X, y, sample_weight=None, groups=None):
        """Fit the network.

        Parameters
        ----------
        X : sequences
            What :func:`~sktime_rnn.check_sequences` reads: a list of arrays of shape (n_timesteps_i, n_features), a
            3-D array, a 2-D array or frame (one feature), a panel frame, texts, ...
        y : array-like of shape (n_samples,) or (n_samples, n_outputs), or list of per-step arrays
            Targets.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each sequence.
        groups : array-like of shape (n_samples,), default=None
            With ``early_stopping=True``, no group has sequences both in the training and in the validation part.

        Returns
        -------
        self : estimator
            The fitted estimator.
        """
        return self._fit(X, y, sample_weight, groups)

    # --- what a fitted estimator offers ------------------------------------------------------------------------------

    def _read_to_predict(self, X):
        if not hasattr(self, "net_"):  # check_is_fitted builds tags first, which costs as much as a short predict
            check_is_fitted(self, "net_")
        return self._read_X(X, reset=False)

    def _raw(self, X):
        """Return X as Sequences and the network's raw rows for it."""
        sequences = self._read_to_predict(X)
        return sequences, self._raw_of(sequences)

    def _raw_of(self, sequences):
        with torch_threads(self.n_threads_):
            (raw,) = self.net_.forward_iter(sequences)
        return raw.double() if raw.is_floating_point() else raw

    def _check_per_step(self, per_step):
        if per_step != self._spec["per_step"]:
            kinds = {True: "one target for every step", False: "one target a sequence"}
            raise ValueError(
                f"y must hold {kinds[not per_step]} as in fit, got {kinds[per_step]}. Pass y of the same kind."
            )

    def _per_sample(self, rows, X, sequences):
        """Return rows as users expect them: one a sequence as they are; of steps, an array or a list of arrays."""
        if not self._spec["per_step"]:
            return rows
        if getattr(X, "ndim", 0) > 2 or self._fitted_on_table and counts_columns(X):
            return rows.reshape(len(sequences), -1, *rows.shape[1:])
        return np.split(rows, sequences.offsets[1:-1])

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.target_tags.multi_output = True
        return tags
