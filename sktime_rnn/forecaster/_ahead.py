"""From the end of every series into the future.

Shapes: I items (series, or their variables), H steps that the network puts out at once, V variables of an item, S
series, K = H * V outputs.
"""

from dataclasses import dataclass, replace

import numpy as np

from sktime_rnn.base import Known
from sktime_rnn.forecaster._encoding import FeatureEncoder
from sktime_rnn.forecaster._setup import Setup
from sktime_rnn.nets import RecurrentNet
from sktime_rnn.windows import Windows


@dataclass
class Ahead:
    """Runs a trained net from the end of series, as often as the steps asked for need it.

    Attributes
    ----------
    setup : Setup
        What was chosen.
    encoder : FeatureEncoder
        Encodes what else is known.
    net : RecurrentNet
        The trained net.
    warm_up : bool
        Whether the encoder reads all of a series, or the context alone.
    """

    setup: Setup
    encoder: FeatureEncoder
    net: RecurrentNet
    warm_up: bool

    def run(self, known, n_steps, feed=None, scale=None):
        """Yield the net's outputs for the next H steps, then for those after them, and so on.

        Parameters
        ----------
        known : Known
            The series with their features, also of the ``n_steps`` steps ahead.
        n_steps : int
            Steps asked for.
        feed : callable, default=None
            ``feed(raw, scaled)`` gives the values (I, H, V) with which the series go on; needed where ``n_steps`` is
            larger than H.
        scale : SeriesScale, default=None
            Constants of the whole series; by default those of ``known``.

        Yields
        ------
        raw : float64 ndarray of shape (I, K * n_params)
            Outputs.
        scaled : Scaled
            The windows that they belong to.
        """
        setup = self.setup
        H = setup.horizon
        total = -(-n_steps // H) * H
        if total > H and self.encoder.past_columns_:
            raise ValueError(
                f"fh must reach at most {H} steps ahead, for which this forecaster was fitted, got {n_steps}: to go "
                f"further, forecasts are fed back, but past_columns={self.encoder.past_columns_} are not known there. "
                f"Fit again with fh up to {n_steps}."
            )
        known = _padded(known, total, n_steps)
        kept, values, offsets = self._extended(known, total)
        features = self.encoder.encode(kept, total)
        windows = Windows(values, offsets, setup.context, H, setup.joint)
        scale = self.scale_of(known) if scale is None else scale
        for done in range(0, total, H):
            origins = (kept.data.lengths + done)[windows.series]
            raw, scaled = self._outputs(windows, features, origins, scale)
            yield raw, scaled
            if done + H < total:
                rows = windows.starts[:, None] + windows.stride * (origins[:, None] + np.arange(H))
                windows.flat[rows] = feed(raw, scaled)

    def scale_of(self, known):
        """Return the constants of the whole series."""
        return self.setup.series_scale(self.setup.windows(known.data))

    def _outputs(self, windows, features, origins, scale):
        """Return the net's outputs for one window of every item, and the windows."""
        setup, items = self.setup, np.arange(windows.n_items)
        dataset = setup.dataset(windows, features, (items, origins), series_scale=scale)
        scaled = dataset.scaled(items, origins)[1]
        before = np.zeros(windows.n_items, dtype=np.int64)
        if self.warm_up:  # items of one length together, so that none is padded for the sake of another
            before = -(-np.maximum(origins - setup.context, 0) // setup.patch_length) * setup.patch_length
        raw = None
        for n_before in np.unique(before):
            part = np.flatnonzero(before == n_before)
            some = setup.dataset(windows, features, (part, origins[part]), series_scale=scale, n_before=int(n_before))
            (out,) = self.net.forward_iter(some)
            raw = np.empty((len(items), out.shape[1])) if raw is None else raw
            raw[part] = out.double().numpy()
        return raw, scaled

    def _extended(self, known, total):
        """Return the steps that the net reads, and these values with ``total`` missing ones after each series."""
        kept = self.recent(known)
        data = kept.data
        offsets = data.offsets + total * np.arange(len(data) + 1)
        values = np.full((offsets[-1], data.n_variables), np.nan)
        values[np.arange(len(data.values)) + np.repeat(np.arange(len(data)) * total, data.lengths)] = data.values
        return kept, values, offsets

    def recent(self, known, series=None):
        """Return what is known of some series, without the steps that the net does not read.

        Parameters
        ----------
        known : Known
            The series with their features.
        series : int ndarray of shape (n,), default=None
            Which, also several times over; by default all.
        """
        keep = None if self.warm_up else self.setup.context
        all_of_them = series is None
        series = np.arange(len(known.data)) if all_of_them else series
        data = known.data.take(series, keep)
        rows = np.repeat(known.data.offsets[1:][series] - data.offsets[1:], data.lengths) + np.arange(len(data.values))
        future, static = known.future, known.static
        if not all_of_them:
            if future is not None:
                n = len(future.numbers) // len(known.data)
                future = future[(series[:, None] * n + np.arange(n)).ravel()]
            static = None if static is None else static[series]
        return Known(data, None if known.past is None else known.past[rows], future, static)

    def by_series(self, values, data, n_steps):
        """Return values (I, total, V, ...) as (S, n_steps, all variables, ...)."""
        values = values[:, :n_steps]
        if self.setup.joint:
            return values
        values = values.reshape(len(data), data.n_variables, *values.shape[1:])
        return np.moveaxis(values[:, :, :, 0], 1, 2)


def _padded(known, total, n_steps):
    """Repeat the last features ahead, where the net looks further than was asked."""
    if known.future is None or total == n_steps:
        return known
    step = np.minimum(np.arange(total), n_steps - 1)
    return replace(known, future=known.future[(np.arange(len(known.data))[:, None] * n_steps + step).ravel()])
