"""Where training starts from: the linear map of the context, and how far it is off."""

import numpy as np

from sktime_rnn.forecaster._linear import (
    STRENGTHS,
    anchor_map,
    choose_start,
    robust_ridge,
    seasonal_places,
    seasonal_share,
)
from sktime_rnn.windows import Origins

_MOST_WINDOWS = 8000
_MOST_NUMBERS = 4_000_000
_WIDEST = 1500
_FEWEST = 8
_HELD_OUT = 0.15


def start_map(setup, dataset, origins, anchor, ridge, rng):
    """Return the linear map from the context to the steps ahead, (1 + L * V, H * V).

    Parameters
    ----------
    setup : Setup
        What was chosen.
    dataset : WindowDataset
        Cuts windows.
    origins : Origins
        Windows to learn from.
    anchor : {"auto", "last", "seasonal", None}
        What the map repeats, or is drawn to; "auto" is the one that forecasts later windows better.
    ridge : bool
        Whether a ridge regression of windows may lead it away from there.
    rng : numpy.random.Generator
        Draws windows where there are many.
    """
    L, H, V, season = setup.context, setup.horizon, setup.n_variables, setup.season
    is_zero = setup.scaler in ("last", "log")

    def anchored(name, share=1.0):
        if name is None:
            return np.zeros((1 + L * V, H * V))
        return anchor_map(L, H, season if name == "seasonal" else None, V, share, is_zero)

    names = [anchor] if anchor != "auto" else ["last", "seasonal"] if season else ["last"]
    if V * L > _WIDEST or (not ridge and len(names) == 1):
        return anchored(names[0])
    train, valid, everything = _start_windows(setup, dataset, origins, rng)
    if len(train[0]) < _FEWEST or len(valid[0]) == 0:
        return anchored(names[0])

    def priors(Z, Y):
        shares = dict.fromkeys(names, 1.0)
        if anchor == "auto" and season and V == 1:
            shares["seasonal"] = seasonal_share(Z, Y, seasonal_places(L, H, season))
        return {name: anchored(name, share) for name, share in shares.items()}

    strengths = STRENGTHS if ridge else ()
    name, strength = choose_start(train, valid, priors(*train), strengths)
    prior = priors(*everything)[name]
    return prior if np.isinf(strength) else robust_ridge(*everything, prior, strength)


def _start_windows(setup, dataset, origins, rng):
    """Return windows whose future is all there as (Z, Y): earlier ones, later ones, and both together."""
    L, H = setup.context, setup.horizon
    most = max(200, min(_MOST_WINDOWS, _MOST_NUMBERS // (L + H)))
    high = np.where(origins.counts > H, origins.high - H + 1, origins.low - 1)
    n_later = np.clip((_HELD_OUT * (high - origins.low + 1)).astype(np.int64), 1, 2 * H)
    later = high - n_later + 1
    parts = []
    for low, top, n in (
        (origins.low, later - H, most),
        (np.maximum(later, origins.low), high, most // 2),
        (origins.low, high, most),
    ):
        kept = top >= low
        if not kept.any():
            parts.append((np.zeros((0, L * setup.n_variables)), np.zeros((0, setup.n_outputs))))
            continue
        part = Origins(origins.items[kept], low[kept], top[kept])
        items, steps = part.all() if len(part) <= n else part.draw(n, rng, dataset.power)
        values, scaled = dataset.scaled(items, steps)
        Z, Y = setup.contexts(scaled), setup.targets(values, scaled)
        full = ~np.isnan(Y).any(axis=1)
        parts.append((Z[full], Y[full]))
    return parts


def start_spread(setup, dataset, origins, linear, rng):
    """Return the mean absolute error of the linear map for every output, (H * V,), never 0."""
    n = int(np.clip(_MOST_NUMBERS // setup.n_outputs, 200, _MOST_WINDOWS))
    items, steps = origins.draw(n, rng, dataset.power) if len(origins) > n else origins.all()
    values, scaled = dataset.scaled(items, steps)
    errors = setup.targets(values, scaled)
    if linear is not None:
        errors = errors - linear[0] - setup.contexts(scaled) @ linear[1:]
    seen = ~np.isnan(errors)
    spread = np.where(seen, np.abs(errors), 0.0).sum(axis=0) / np.maximum(seen.sum(axis=0), 1)
    return np.where(spread > 1e-6, spread, max(1e-6, spread.max()))
