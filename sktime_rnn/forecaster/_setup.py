"""How a forecaster reads its series: what was chosen, and the windows and datasets that follow from it."""

from dataclasses import dataclass

import numpy as np

from sktime_rnn.batching import WindowDataset
from sktime_rnn.windows import Windows, WindowScaler


@dataclass
class Setup:
    """What is fixed before training: plain values.

    Attributes
    ----------
    context, horizon : int
        Steps that the network reads, and steps ahead that it puts out at once.
    season : int or None
        Length of the season, where the context holds one.
    scaler : str or None
        As in :class:`~sktime_rnn.windows.WindowScaler`.
    patch_length : int
        Steps that the encoder reads at a time.
    joint : bool
        Whether a window holds all variables.
    n_variables : int
        Variables of a window.
    counts : bool
        Whether targets are counts.
    positive : bool
        Whether forecasts are kept from falling below 0.
    flags : bool
        Whether the network is told where values are missing.
    fewest : int
        Steps of context of the shortest window to train on.
    precision : str
        Training precision.
    batch_size : int
        Windows in a training batch.
    """

    context: int
    horizon: int
    season: int | None
    scaler: str | None
    patch_length: int
    joint: bool
    n_variables: int
    counts: bool
    positive: bool
    flags: bool
    fewest: int
    precision: str
    batch_size: int = 0

    @property
    def dtype(self):
        """Of what the network reads."""
        return np.float64 if self.precision == "float64" else np.float32

    @property
    def n_outputs(self):
        """Numbers that a window's forecast has."""
        return self.horizon * self.n_variables

    def windows(self, data, lengths=None):
        """Return the windows of series, of their first ``lengths`` steps alone where these are given."""
        return Windows(data.values, data.offsets, self.context, self.horizon, self.joint, lengths)

    def series_scale(self, windows):
        """Return the constants of whole series, see :class:`~sktime_rnn.windows.SeriesScale`."""
        return WindowScaler(self.scaler).series_scale(windows)

    def dataset(self, windows, features, origins, *, n_draws=None, series_scale=None, n_before=0):
        """Return a dataset of windows, see :class:`~sktime_rnn.batching.WindowDataset`."""
        return WindowDataset(
            windows,
            WindowScaler(self.scaler),
            self.series_scale(windows) if series_scale is None else series_scale,
            features,
            origins,
            flags=self.flags,
            counts=self.counts,
            n_draws=n_draws,
            dtype=self.dtype,
            n_before=n_before,
        )

    def targets(self, values, scaled):
        """Return what the head should put out for cut windows, (B, n_outputs); NaN where it is missing."""
        targets = values if self.counts else scaled.z
        return np.where(scaled.observed, targets, np.nan)[:, self.context :].reshape(len(values), -1)

    def contexts(self, scaled):
        """Return the scaled contexts of cut windows, (B, context * n_variables)."""
        return scaled.z[:, : self.context].reshape(len(scaled.z), -1)

    def units(self, scaled):
        """Return what errors of windows are compared in, (B, V), see :class:`~sktime_rnn.forecaster._spread.Spread`."""
        return 1 / scaled.scale[:, 0] if self.counts else scaled.ratio[:, 0]

    def unscaled(self, z, scaled):
        """Return values in the unit of y, (B, horizon, n_variables, ...), from outputs (B, n_outputs, ...)."""
        z = z.reshape(len(z), self.horizon, self.n_variables, *z.shape[2:])
        if not self.counts:
            axes = (1,) * (z.ndim - 3)
            loc, scale = (constant.reshape(*constant.shape, *axes) for constant in (scaled.loc, scaled.scale))
            z = WindowScaler(self.scaler).inverse(z * scale + loc)
        return np.maximum(z, 0.0) if self.positive or self.counts else z
