"""How far a network is to be trusted beyond the last value, learnt on steps that it has not seen.

Shapes: N windows, K = H * V outputs.
"""

import numpy as np
import torch

_SHARES = np.arange(11) / 10
_PENALTY = 0.1
_WIDEST = 2.0
_DOUBTED = 0.4
_FEW = 3


def choose_trust(linear, rest, y, n_independent):
    r"""Return the shares of the linear map and of the network that forecast best.

    .. math:: \min_{\gamma_1, \gamma_2} \sum_i w_i |y_i - \gamma_1 l_i - \gamma_2 r_i|
        \cdot (1 + 0.1 (2 - \gamma_1 - \gamma_2) / \sqrt{n})

    over shares of 0, 0.1, ..., 1, windows of large values weighing less.

    Parameters
    ----------
    linear, rest : float64 ndarray of shape (N, K)
        What the linear map says, and what the network adds, from the last value as zero.
    y : float64 ndarray of shape (N, K)
        What came; NaN where it is missing.
    n_independent : float
        Number n of windows that do not overlap: the fewer there are, the more it takes to distrust.

    Returns
    -------
    shares : tuple of float
        gamma_1 and gamma_2.
    """
    seen = ~np.isnan(y)
    y = np.where(seen, y, 0.0)
    count = np.maximum(seen.sum(axis=1), 1)
    size = (np.abs(y).sum(axis=1) + np.where(seen, np.abs(linear), 0.0).sum(axis=1)) / count
    weight = seen / np.sqrt(np.maximum(size, 1e-12))[:, None]
    penalty = _PENALTY / np.sqrt(max(n_independent, 1.0))
    best = (np.inf, 1.0, 1.0)
    for first in _SHARES[::-1]:
        residual = y - first * linear
        for second in _SHARES[::-1]:
            error = (weight * np.abs(residual - second * rest)).sum() * (1 + penalty * (2 - first - second))
            if error < best[0]:
                best = (error, float(first), float(second))
    return best[1:]


def with_doubt(shares, n_independent):
    r"""Return the shares with that of the network drawn to 0.4, the more so the less was seen.

    .. math:: \gamma_2 - (\gamma_2 - 0.4) / (1 + n / 3)

    A network that has seen a few windows alone is one guess among many: next to the linear map it deserves a part.

    Parameters
    ----------
    shares : tuple of float
        gamma_1 and gamma_2.
    n_independent : float
        Number n of windows that do not overlap.
    """
    first, second = shares
    return first, second - (second - _DOUBTED) / (1 + n_independent / _FEW)


def apply_trust(module, shares, frozen_map=False):
    """Scale what the linear map and the network say about the location of an output.

    Parameters
    ----------
    module : ForecastNetwork
        Changed in place.
    shares : tuple of float
        gamma_1 and gamma_2.
    frozen_map : bool, default=False
        Whether the linear map is the anchor, and stays as it is.
    """
    first, second = shares
    n_params = module.head.n_params
    middle = n_params // 2 if module.n_locations > 1 else 0  # of the quantiles, the median; or the only location
    parts = [module.head.linear.weight, module.head.linear.bias, module.bias]
    parts += [layer.weight for layer in (module.ahead or ())[-1:]]
    with torch.no_grad():
        if module.linear is not None and not frozen_map:
            module.linear.weight.mul_(first)
            module.linear.bias.mul_(first)
        for weight in parts:
            if weight is None:
                continue
            table = weight.T if weight is module.bias else weight  # rows are outputs, their parameters adjacent
            table = table.unflatten(0, (-1, n_params))
            location = table[:, middle : middle + 1].clone()
            table[:, : module.n_locations] -= (1 - second) * location


def widening(errors, spread):
    """Return by how much errors on steps not seen are larger than on steps of training, between 1 and 2.

    Parameters
    ----------
    errors : float64 ndarray of shape (N, K)
        Errors on windows that training has not seen; NaN where there is none.
    spread : float64 ndarray of shape (K,)
        Mean absolute error of each output on windows of training.
    """
    usable = ~np.isnan(errors).all(axis=0) & (spread > 0)
    if not usable.any():
        return 1.0
    ratio = np.nanmean(np.abs(errors[:, usable]), axis=0) / spread[usable]
    return float(np.clip(np.median(ratio), 1.0, _WIDEST))
