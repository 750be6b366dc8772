"""The spread of forecasts around the network's output, learnt from windows whose future is known.

Shapes: N windows, B windows to forecast, K = H * V outputs, Q quantiles.
"""

import copy
from dataclasses import dataclass

import numpy as np
import torch

from sktime_rnn.heads import PointHead

_AT_ONCE = 20_000
_FEWEST = 50
_FEWEST_SIGNS = 20
_LEVEL = 1e-3  # variance of the logarithm of the scale below which nothing is learnt from it
_GRID = np.array([0.001, 0.005, *np.arange(1, 100) / 100, 0.995, 0.999])


@dataclass
class Spread:
    r"""Quantiles of the steps ahead, on the scale of their window.

    Where ``shifts`` is set, each quantile of the head, or the point forecast of a head without a distribution, is
    moved by the same quantile of its errors on windows whose future is known:

    .. math:: \hat q_\alpha(x) + Q_\alpha\{y_i - \hat q_\alpha(x_i)\}

    step by step, the level corrected for the number of windows. Errors are compared in units of ``ratio ** power`` of
    their window, where ratio is its scale in units of that of the series: with a power of 1 errors grow with the scale,
    with 0 they are those of the series, whatever just happened. On windows that training has not seen this is split
    conformal prediction; its two-sided form for quantiles is conformalised quantile regression with one correction for
    each side.

    Attributes
    ----------
    raw : float32 ndarray of shape (N, K * n_params)
        The network's outputs for those windows.
    y : float64 ndarray of shape (N, K)
        What came, NaN where it is missing.
    shifts : bool
        Whether quantiles are moved.
    links : float64 ndarray of shape (H,)
        Correlation of the normal scores of each step with those of the step before.
    wider : float
        Factor of the errors, where they are those of windows that training has seen.
    factor : float64 ndarray of shape (N, K) or None
        ``ratio ** (1 - power)`` of each window; None for errors in units of the window's scale.
    power : float
        Between 0 and 1: the root of the slope of the logarithms of errors over those of ratios.

    References
    ----------
    J. Lei, M. G'Sell, A. Rinaldo, R. J. Tibshirani and L. Wasserman (2018). Distribution-free predictive inference for
    regression. JASA 113, 1094-1111.
    Y. Romano, E. Patterson and E. Candes (2019). Conformalized quantile regression. NeurIPS.
    """

    raw: np.ndarray
    y: np.ndarray
    shifts: bool
    links: np.ndarray
    wider: float = 1.0
    factor: np.ndarray | None = None
    power: float = 1.0

    @classmethod
    def learn(cls, head, raw, y, shifts, horizon, ratio=None, power=None):
        """Return the spread of windows with known future.

        Parameters
        ----------
        head : Head
            Of the network.
        raw, y, shifts
            As above.
        horizon : int
            H.
        ratio : float64 ndarray of shape (N, V), default=None
            Scale of each window in units of that of its series. For counts, which are not scaled, 1 over the scale.
        power : float, default=None
            0 for counts, whose errors grow with the scale; by default it is learnt.
        """
        spread = cls(raw.astype(np.float32), y, shifts, np.zeros(horizon))
        if shifts and ratio is not None:
            errors = np.abs(y - _head_quantiles(head, spread.raw, [0.5])[:, :, 0])
            spread.power = _power(errors.reshape(len(y), horizon, -1), ratio) if power is None else power
            spread.factor = spread.stretch(ratio)
        grid = spread.quantiles(head, raw, np.arange(1, 20) / 20, ratio)  # (N, K, Q)
        score = (y[:, :, None] > grid).mean(axis=2)
        score = np.where(np.isnan(y), np.nan, score * 2 - 1) * 1.7  # near enough to normal scores for a correlation
        score = score.reshape(len(y), horizon, -1)
        now, before = score[:, 1:], score[:, :-1]
        both = ~np.isnan(now) & ~np.isnan(before)
        products = [
            np.where(both, a * b, 0.0).sum(axis=(0, 2)) for a, b in ((now, before), (now, now), (before, before))
        ]
        spread.links[1:] = np.clip(products[0] / np.sqrt(np.maximum(products[1] * products[2], 1e-12)), -0.99, 0.99)
        return spread

    def stretch(self, ratio):
        """Return ``ratio ** (1 - power)`` for all outputs of windows, (B, K), from (B, V)."""
        return np.tile(ratio ** (1 - self.power), len(self.links))

    def quantiles(self, head, raw, alpha, ratio=None, moves=None):
        """Return quantiles for the network's outputs, (B, K, Q), in the order of alpha."""
        values = _head_quantiles(head, raw, alpha)
        if self.shifts:
            shifts = (self._shifts(head, alpha) if moves is None else moves)[None]
            values = values + (shifts if self.factor is None else shifts / self.stretch(ratio)[:, :, None])
        order = np.argsort(alpha)
        values[..., order] = np.sort(values, axis=-1)
        return values

    def _shifts(self, head, alpha):
        """Return by how much each quantile is moved, (K, Q)."""
        errors = self.y[:, :, None] - _head_quantiles(head, self.raw, alpha)  # (N, K, Q)
        if self.factor is not None:
            errors = errors * self.factor[:, :, None]
        seen = ~np.isnan(errors[:, :, 0])
        count = seen.sum(axis=0)
        if not count.any():
            return np.zeros(errors.shape[1:])
        size = np.where(seen, np.abs(errors).mean(axis=2), 0.0).sum(axis=0) / np.maximum(count, 1)  # (K,)
        if count.min() >= _FEWEST:
            return self.wider * _corrected_quantiles(errors, np.asarray(alpha))
        # too few windows for each step alone: their errors are put together, in units of a step's mean error
        size = _increasing(np.where(count > 0, size, np.nan))
        pooled = (errors / np.maximum(size, 1e-300)[:, None]).reshape(-1, 1, len(alpha))
        if count.sum() < _FEWEST_SIGNS and isinstance(head, PointHead):
            pooled = np.concatenate([pooled, -pooled])  # the signs of so few tell nothing, and one alone has no width
        return self.wider * size[:, None] * _corrected_quantiles(pooled, np.asarray(alpha))

    def sampling_moves(self, head):
        """Return what :meth:`sample` moves quantiles by, for paths that are drawn some steps at a time."""
        return self._shifts(head, _GRID) if self.shifts else None

    def sample(self, head, raw, n_samples, rng, ratio=None, moves=None):
        """Return joint samples, (n_samples, B, K): a chain of normal scores through the steps, put into quantiles."""
        grid = self.quantiles(head, raw, _GRID, ratio, moves)  # (B, K, Q)
        horizon = len(self.links)
        n_variables = grid.shape[1] // horizon
        score = rng.standard_normal((n_samples, len(raw), horizon, n_variables))
        for h in range(1, horizon):
            score[:, :, h] = self.links[h] * score[:, :, h - 1] + np.sqrt(1 - self.links[h] ** 2) * score[:, :, h]
        level = torch.special.ndtr(torch.from_numpy(score.reshape(n_samples, len(raw), -1))).numpy()
        right = np.clip(np.searchsorted(_GRID, level), 1, len(_GRID) - 1)
        part = np.clip((level - _GRID[right - 1]) / (_GRID[right] - _GRID[right - 1]), 0, 1)
        low, high = (np.take_along_axis(grid[None], rows[..., None], axis=3)[..., 0] for rows in (right - 1, right))
        return low + part * (high - low)


def _power(errors, ratio):
    """Return how errors (N, H, V) in units of the scale grow with the ratio (N, V): 1 where as the scale itself."""
    seen = ~np.isnan(errors)
    mean = np.where(seen, errors, 0.0).sum(axis=1) / np.maximum(seen.sum(axis=1), 1)  # (N, V)
    usable = seen.any(axis=1) & (mean > 0)
    x, size = np.log(ratio[usable]), np.log(np.where(usable, mean, 1.0) * ratio)[usable]
    if len(x) < 3 or x.var() < _LEVEL:
        return 1.0
    slope = ((x - x.mean()) * (size - size.mean())).mean() / x.var()
    return float(np.sqrt(np.clip(slope, 0.0, 1.0)))  # a context tells its scale with error, which flattens the slope


def _increasing(size):
    """Return sizes of errors, those that are not known the size of the last known step before, and none smaller."""
    known = np.nan_to_num(size, nan=0.0)
    return np.maximum.accumulate(np.maximum(known, np.nanmean(size) * 1e-3))


def _corrected_quantiles(errors, alpha):
    """Return quantiles of errors (N, K, Q), each of its own level, corrected for the number of windows: (K, Q)."""
    n = np.maximum((~np.isnan(errors[:, :, 0])).sum(axis=0), 1)[:, None]  # (K, 1)
    errors = np.sort(errors, axis=0)  # NaN come last
    place = np.clip((n + 1) * alpha - 1, 0, n - 1)  # the k-th of n errors is exceeded with probability 1 - k / (n + 1)
    low = np.floor(place).astype(np.int64)
    first, second = (np.take_along_axis(errors, np.minimum(rows, n - 1)[None], axis=0)[0] for rows in (low, low + 1))
    return np.nan_to_num(first + (place - low) * (second - first))


def on_cpu(head):
    """Return the head, or a copy of it where it lies on another device: some have no double precision."""
    there = [*head.parameters(), *head.buffers()]
    return head if all(tensor.device.type == "cpu" for tensor in there) else copy.deepcopy(head).cpu()


def _head_quantiles(head, raw, alpha):
    """Return the head's quantiles (N, K, Q), some rows at a time: solving for one takes hundreds of numbers."""
    head = on_cpu(head)
    alpha = list(map(float, alpha))
    n_rows = max(1, _AT_ONCE // head.n_outputs)
    with torch.no_grad():
        parts = [
            head.quantiles(torch.as_tensor(raw[start : start + n_rows], dtype=torch.float64), alpha)
            for start in range(0, len(raw), n_rows)
        ]
    return torch.cat(parts).numpy().copy()


def variance_of(quantile_of):
    """Return the variance of a distribution from 200 of its quantiles.

    Parameters
    ----------
    quantile_of : callable
        Maps levels to quantiles, on the last axis.

    Returns
    -------
    variance : ndarray
        Without the last axis.
    """
    return quantile_of((np.arange(200) + 0.5) / 200).var(axis=-1)
