"""The forecaster that a user would write by hand, and made series, for `forecasting.py` to hold the estimator against.

One network for all series: a recurrent layer over the context, read at its last step, and a linear layer that gives
all steps of the horizon. Windows are cut and standardised before training starts, each by the mean and standard
deviation of its own context; batches are drawn at random, with Adam on the squared error.

Shapes: N series of T points, W windows, B windows in a batch, C steps of context, F steps of the horizon, H hidden
units.
"""

import numpy as np
import pandas as pd
import torch
from torch import nn

LEARNING_RATE = 1e-3
DAY, WEEK = 24, 168
CELLS = {"lstm": nn.LSTM, "gru": nn.GRU}
PREDICT_BATCH = 1024


class DirectNet(nn.Module):
    """Says the whole horizon at once from the state after the context's last step."""

    def __init__(self, cell, hidden_size, horizon):
        super().__init__()
        self.layer = CELLS[cell](1, hidden_size, batch_first=True)
        self.head = nn.Linear(hidden_size, horizon)

    def forward(self, X):
        return self.head(self.layer(X)[0][:, -1])  # (B, F)


def cut_windows(values, context_length, horizon):
    """Cut every window of (N, T) values: tensors X (W, C, 1) and y (W, F), standardised by the context."""
    windows = np.lib.stride_tricks.sliding_window_view(values, context_length + horizon, axis=1)
    windows = windows.reshape(-1, context_length + horizon)  # (W, C + F)
    mean, std = location_and_scale(windows[:, :context_length])
    scaled = torch.from_numpy(((windows - mean) / std).astype(np.float32))
    return scaled[:, :context_length, None].contiguous(), scaled[:, context_length:].contiguous()


def location_and_scale(contexts):
    """Return mean and standard deviation of each row, as columns; a constant row is left in its unit."""
    std = contexts.std(axis=1, keepdims=True)
    return contexts.mean(axis=1, keepdims=True), np.where(std > 0, std, 1)


def train(net, X, y, n_updates, batch_size):
    """Train a network on random batches of windows."""
    optimizer = torch.optim.Adam(net.parameters(), lr=LEARNING_RATE)
    for _ in range(n_updates):
        rows = torch.randint(len(X), (batch_size,))
        optimizer.zero_grad()
        nn.functional.mse_loss(net(X[rows]), y[rows]).backward()
        optimizer.step()


@torch.inference_mode()
def predict(net, values, context_length):
    """Forecast what follows each row of (N, T) values, as an (N, F) array in their unit."""
    contexts = values[:, -context_length:]
    mean, std = location_and_scale(contexts)
    X = torch.from_numpy(((contexts - mean) / std).astype(np.float32))[:, :, None]  # (N, C, 1)
    forecasts = torch.cat([net(batch) for batch in X.split(PREDICT_BATCH)])  # (N, F)
    return forecasts.numpy() * std + mean


# -- workloads -----------------------------------------------------------------------------------------------


def make_values(n_series, n_timesteps, seed=0):
    """Make hourly series of unlike levels: trend, a daily and a weekly season, noise; (N, T) values."""
    rng = np.random.default_rng(seed)

    def draw(low, high):
        return rng.uniform(low, high, size=(n_series, 1))

    hours = np.arange(n_timesteps)
    values = 1 + draw(-2e-4, 5e-4) * hours  # (N, T)
    for period, strength in ((DAY, draw(0.1, 0.3)), (WEEK, draw(0.05, 0.15))):
        values += strength * np.sin(2 * np.pi * (hours / period + draw(0, 1)))
    values += rng.normal(scale=0.05, size=values.shape)
    return values * np.exp(draw(0, 6))


def as_series(values):
    """Give (N, T) values the form in which a user has them: a Series with an hourly index (series, time)."""
    time = pd.date_range("2024-01-01", periods=values.shape[1], freq="h")
    index = pd.MultiIndex.from_product([np.arange(len(values)), time], names=["series", "time"])
    return pd.Series(values.ravel(), index, name="load")
