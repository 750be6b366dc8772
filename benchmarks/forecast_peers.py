"""The same forecaster in four forms: written by hand, ours, and the libraries that are installed beside it.

Each is made with the training values, which it may bring into its own form before the clock starts, and offers
`fit()`, which returns the number of windows trained on, `predict()`, which returns the forecasts in the form that
its users get, and `values(forecasts)`, which makes an (n_series, horizon) array of them. The libraries are set up as
a competent user would: one layer, a linear readout, series or windows standardised, the same batches and updates,
squared error, Adam, no files, no validation.
"""

import contextlib
import logging
import os
import warnings
from dataclasses import dataclass

import forecast_loops as loops
import numpy as np
import torch
from sklearn.preprocessing import StandardScaler

from sktime_rnn import RNNForecaster

try:
    from darts import TimeSeries
    from darts.dataprocessing.transformers import Scaler
    from darts.models import BlockRNNModel
except ImportError:
    BlockRNNModel = None
try:
    import neuralforecast
    from neuralforecast.losses.pytorch import MSE
except ImportError:
    neuralforecast = None

UPDATES_AN_EPOCH = 100  # of ours, which draws an epoch's windows where there are many more
QUIET_TRAINER = {
    "accelerator": "cpu",
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
}


@dataclass(frozen=True)
class Task:
    """What all forms have to do."""

    cell: str = "lstm"
    hidden_size: int = 64
    context_length: int = 48
    horizon: int = 24
    n_updates: int = 1000
    batch_size: int = 64
    seed: int = 0

    @property
    def n_windows(self):
        return self.n_updates * self.batch_size


def make_forecaster(task, **settings):
    """Make the estimator that has a task to do; the one place that names its parameters."""
    return RNNForecaster(
        cell=task.cell,
        hidden_size=task.hidden_size,
        context_length=task.context_length,
        horizon=task.horizon,
        batch_size=task.batch_size,
        max_epochs=max(1, round(task.n_updates / UPDATES_AN_EPOCH)),
        random_state=task.seed,
        **settings,
    )


def n_windows_trained(forecaster):
    """Return on how many windows a fitted forecaster was trained, each counted as often as it was met.

    Those of the first training that `calibrate` asks for, on earlier points, are not counted.
    """
    return sum(batch["train_batch_size"] for epoch in forecaster.history_ for batch in epoch["batches"])


class HandWritten:
    """The loop of `forecast_loops.py` on windows that are cut already."""

    name = "torch, pre-cut windows"

    def __init__(self, task, values):
        self.task, self.train_values = task, values
        self.X, self.y = loops.cut_windows(values, task.context_length, task.horizon)

    def fit(self):
        torch.manual_seed(self.task.seed)
        self.net = loops.DirectNet(self.task.cell, self.task.hidden_size, self.task.horizon)
        loops.train(self.net, self.X, self.y, self.task.n_updates, self.task.batch_size)
        return self.task.n_windows

    def predict(self):
        return loops.predict(self.net, self.train_values, self.task.context_length)

    def values(self, forecasts):
        return forecasts


class Ours:
    """The estimator on a pandas Series."""

    name = "ours"
    settings = {}

    def __init__(self, task, values):
        self.task, self.y = task, loops.as_series(values)

    def fit(self):
        self.model = make_forecaster(self.task, **self.settings).fit(self.y)
        return n_windows_trained(self.model)

    def predict(self):
        return self.model.predict(fh=range(1, self.task.horizon + 1))

    def values(self, forecasts):
        return forecasts.to_numpy().reshape(-1, self.task.horizon)


class OursPlain(Ours):
    """The estimator without the first training."""

    name = "ours, calibrate=False"
    settings = {"calibrate": False}


class Darts:
    """BlockRNNModel on a list of series of its own type, each standardised, as its loss is in their unit."""

    name = "darts BlockRNNModel"

    def __init__(self, task, values):
        self.task = task
        y = loops.as_series(values.astype(np.float32))
        series = [TimeSeries.from_series(one.droplevel("series")) for _, one in y.groupby(level="series")]
        self.scaler = Scaler(StandardScaler())
        self.series = self.scaler.fit_transform(series)

    def fit(self):
        self.model = BlockRNNModel(
            model=self.task.cell.upper(),
            hidden_dim=self.task.hidden_size,
            input_chunk_length=self.task.context_length,
            output_chunk_length=self.task.horizon,
            batch_size=self.task.batch_size,
            n_epochs=self.task.n_updates,  # ended by max_steps
            optimizer_kwargs={"lr": loops.LEARNING_RATE},
            random_state=self.task.seed,
            pl_trainer_kwargs=QUIET_TRAINER | {"max_steps": self.task.n_updates},
        )
        self.model.fit(self.series)
        return self.task.n_windows

    def predict(self):
        return self.scaler.inverse_transform(self.model.predict(self.task.horizon, series=self.series, verbose=False))

    def values(self, forecasts):
        return np.stack([one.values()[:, 0] for one in forecasts])


class NeuralForecast:
    """Direct LSTM or GRU on a table of one row a point."""

    name = "neuralforecast, direct"

    def __init__(self, task, values):
        self.task = task
        y = loops.as_series(values)
        self.table = y.rename_axis(["unique_id", "ds"]).rename("y").reset_index()

    def fit(self):
        network = getattr(neuralforecast.models, self.task.cell.upper())(
            h=self.task.horizon,
            input_size=self.task.context_length,
            encoder_n_layers=1,
            encoder_hidden_size=self.task.hidden_size,
            decoder_layers=1,
            recurrent=False,
            loss=MSE(),
            scaler_type="standard",
            max_steps=self.task.n_updates,
            windows_batch_size=self.task.batch_size,
            learning_rate=loops.LEARNING_RATE,
            random_seed=self.task.seed,
            **QUIET_TRAINER,
        )
        self.model = neuralforecast.NeuralForecast(models=[network], freq="h")
        self.model.fit(self.table)
        return self.task.n_windows

    def predict(self):
        return self.model.predict()

    def values(self, forecasts):
        return forecasts.iloc[:, -1].to_numpy().reshape(-1, self.task.horizon)


def installed():
    """Return the forms that can be run here, and the names of the libraries that bring the others."""
    peers = {"darts": (Darts, BlockRNNModel), "neuralforecast": (NeuralForecast, neuralforecast)}
    there = {name: form for name, (form, library) in peers.items() if library is not None}
    return [HandWritten, Ours, OursPlain, *there.values()], list(there)


@contextlib.contextmanager
def silence():
    """Keep the libraries' progress and hints out of the tables."""
    for name in ("pytorch_lightning", "lightning_fabric", "lightning", "darts"):
        logging.getLogger(name).setLevel(logging.ERROR)
    with warnings.catch_warnings(), open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):
        warnings.simplefilter("ignore")
        yield
