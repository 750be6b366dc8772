"""The linear map from the scaled context to the steps ahead, from which training starts.

Shapes: N windows, L numbers of context, H steps ahead.
"""

import numpy as np
import torch

STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
_ROUNDS = 3
_LARGEST = 20  # times the median: the most that a window weighs


def seasonal_places(context, horizon, season):
    """Return the step of the context that lies whole seasons before each step ahead, (H,)."""
    ahead = np.arange(horizon)
    return context + ahead - season * (ahead // season + 1)


def anchor_map(context, horizon, season, n_variables=1, share=1.0, last=True):
    """Return the map that repeats the last value, or the last season.

    Parameters
    ----------
    context, horizon : int
        L and H.
    season : int or None
        Length of the season to repeat; None repeats the last value.
    n_variables : int, default=1
        Variables of a step, each repeated by itself.
    share : float, default=1.0
        The season's share; the rest is the last value.
    last : bool, default=True
        Whether the last value is the zero of the scale, and need not be added.

    Returns
    -------
    weights : float64 ndarray of shape (1 + L * V, H * V)
        The first row holds the constants.
    """
    V = n_variables
    weights = np.zeros((1 + context * V, horizon * V))
    ahead = np.arange(horizon)
    for v in range(V):
        if season is not None:
            weights[1 + seasonal_places(context, horizon, season) * V + v, ahead * V + v] += share
        if not last:
            weights[1 + (context - 1) * V + v, ahead * V + v] += 1 - share if season is not None else 1.0
    return weights


def seasonal_share(Z, Y, places):
    """Return how much of the last season, as a share between 0 and 1, predicts best; windows weigh alike."""
    season = Z[:, places]
    weight = 1 / (1e-3 + np.abs(Y).mean(axis=1) * np.sqrt((season**2).mean(axis=1)))
    weight = np.minimum(weight, _LARGEST * np.median(weight))[:, None]
    return float(np.clip((season * Y * weight).sum() / max((season**2 * weight).sum(), 1e-12), 0, 1))


def robust_ridge(Z, Y, prior, strength):
    r"""Return the linear map near a prior that fits windows, large errors counting less.

    .. math:: \min_W \sum_i w_i \|y_i - [1, z_i] W\|^2 + \lambda \|W - W_0\|^2

    with weights w_i that are 1 over the mean absolute error of the window, found in three rounds.

    Parameters
    ----------
    Z : float64 ndarray of shape (N, L)
        Contexts.
    Y : float64 ndarray of shape (N, H)
        Steps ahead.
    prior : float64 ndarray of shape (1 + L, H)
        W_0.
    strength : float
        lambda, in units of the mean of the diagonal of the weighted moments of z.

    Returns
    -------
    weights : float64 ndarray of shape (1 + L, H)
        W.
    """
    A, R, prior = _with_constant(Z), torch.from_numpy(Y), torch.from_numpy(prior)
    R = R - A @ prior
    size = A.square().mean(dim=1).sqrt()
    change = torch.zeros_like(prior)
    for step in range(_ROUNDS):
        error = (R - A @ change if step else R).abs().mean(dim=1)
        weight = 1 / error.clamp(min=1e-3) / (1.0 if step else size)
        weight = weight.clamp(max=_LARGEST * float(weight.median()))
        weighted = (A * (weight / weight.mean())[:, None]).T
        gram = weighted @ A
        mean = gram.trace() / len(gram)
        gram.diagonal().add_(strength * mean + 1e-9 * mean * len(gram))
        change = torch.linalg.solve(gram, weighted @ R)
    return (prior + change).numpy()


def _with_constant(Z):
    """Return [1, Z] as a tensor: torch keeps to the number of threads that it is given, NumPy's products do not."""
    return torch.from_numpy(np.column_stack([np.ones(len(Z)), Z]))


def choose_start(train, valid, priors, strengths=STRENGTHS):
    """Return the prior and the strength of the ridge that forecast held-out windows best.

    Parameters
    ----------
    train, valid : tuple of Z (N, L), Y (N, H)
        Windows, those of ``valid`` later.
    priors : dict of ndarray of shape (1 + L, H)
        Anchors, by name.
    strengths : tuple of float
        Strengths to try beside the priors themselves, rising.

    Returns
    -------
    name : str
        Which prior.
    strength : float
        Infinite where the prior itself forecasts best.
    """
    A, Y = _with_constant(valid[0]), torch.from_numpy(valid[1])
    best = (np.inf, next(iter(priors)), np.inf)
    for name, prior in priors.items():
        for strength in (np.inf, *strengths[::-1]):
            weights = prior if np.isinf(strength) else robust_ridge(*train, prior, strength)
            error = float((Y - A @ torch.from_numpy(weights)).abs().mean())
            if error < best[0]:
                best = (error, name, strength)
    return best[1:]
