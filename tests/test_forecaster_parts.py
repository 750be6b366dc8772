"""What RNNForecaster is made of: where training starts, what "auto" chooses, what to trust, how forecasts spread.

Shapes: N windows, L steps of context, H steps ahead, K = H * V outputs.
"""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

from sktime_rnn.cells import ElmanCell
from sktime_rnn.forecaster import _linear
from sktime_rnn.forecaster._choices import (
    choose_batch_size,
    choose_context,
    choose_scaler,
    choose_seasons,
    choose_updates,
)
from sktime_rnn.forecaster._linear import anchor_map, choose_start, robust_ridge, seasonal_places, seasonal_share
from sktime_rnn.forecaster._spread import Spread, variance_of
from sktime_rnn.forecaster._trust import apply_trust, choose_trust, widening, with_doubt
from sktime_rnn.heads import NormalHead, PointHead, QuantileHead, StudentTHead
from sktime_rnn.networks import ForecastNetwork
from sktime_rnn.panel import read_series


@pytest.fixture
def rng(global_random_seed):
    return np.random.default_rng(global_random_seed)


# -- the linear map


@pytest.mark.parametrize("season", [1, 3, 5, 7])
def test_seasonal_places_lie_whole_seasons_back(season):
    places = seasonal_places(7, 9, season)
    ahead = 7 + np.arange(9)
    assert ((ahead - places) % season == 0).all()
    assert (places < 7).all()
    assert (places >= 7 - season).all()


@pytest.mark.parametrize("n_variables", [1, 2])
def test_anchor_map_repeats_the_last_value_or_season(rng, n_variables):
    L, H, season = 6, 5, 4
    z = rng.normal(size=(L, n_variables))
    places = seasonal_places(L, H, season)

    def forecast(*args, **options):
        weights = anchor_map(L, H, *args, n_variables, **options)
        return (np.concatenate([[1.0], z.ravel()]) @ weights).reshape(H, n_variables)

    np.testing.assert_allclose(forecast(None, last=False), np.tile(z[-1], (H, 1)))
    np.testing.assert_allclose(forecast(None), 0)  # the last value is the zero of the scale
    np.testing.assert_allclose(forecast(season), z[places])
    np.testing.assert_allclose(forecast(season, share=0.7), 0.7 * z[places])
    np.testing.assert_allclose(forecast(season, share=0.7, last=False), 0.7 * z[places] + 0.3 * z[-1])
    np.testing.assert_allclose(forecast(season, last=False), z[places])


def test_share_of_the_season(rng):
    Z = rng.normal(size=(400, 8))
    places = seasonal_places(8, 4, 4)
    noise = 0.1 * rng.normal(size=(400, 4))
    assert seasonal_share(Z, 0.6 * Z[:, places] + noise, places) == pytest.approx(0.6, abs=0.03)
    assert seasonal_share(Z, 2.0 * Z[:, places] + noise, places) == 1
    assert seasonal_share(Z, -Z[:, places] + noise, places) == 0


@pytest.mark.parametrize("strength", [1e-6, 0.1, 10.0])
def test_ridge_with_equal_weights_equals_least_squares(rng, monkeypatch, strength):
    monkeypatch.setattr(_linear, "_LARGEST", 1e-12)  # no window weighs more than any other
    Z, Y, prior = rng.normal(size=(50, 6)), rng.normal(size=(50, 3)), rng.normal(size=(7, 3))
    A = np.column_stack([np.ones(50), Z])
    mean = np.trace(A.T @ A) / 7
    root = np.sqrt(strength * mean + 1e-9 * mean * 7)
    stacked, targets = np.concatenate([A, root * np.eye(7)]), np.concatenate([Y, root * prior])
    expected = np.linalg.lstsq(stacked, targets)[0]
    np.testing.assert_allclose(robust_ridge(Z, Y, prior, strength), expected, rtol=1e-7, atol=1e-9)


def test_ridge_stays_near_the_prior_or_the_data(rng):
    Z, true = rng.normal(size=(60, 5)), rng.normal(size=(6, 2))
    Y = np.column_stack([np.ones(60), Z]) @ true
    prior = rng.normal(size=(6, 2))
    np.testing.assert_allclose(robust_ridge(Z, Y, prior, 1e-9), true, atol=1e-5)
    np.testing.assert_allclose(robust_ridge(Z, Y, prior, 1e9), prior, atol=1e-5)


def test_an_outlier_moves_the_ridge_less_than_least_squares(rng):
    Z, true = rng.normal(size=(80, 4)), rng.normal(size=(5, 2))
    A = np.column_stack([np.ones(80), Z])
    Y = A @ true + 0.05 * rng.normal(size=(80, 2))
    Y[7] += 100
    robust = np.abs(robust_ridge(Z, Y, np.zeros_like(true), 1e-6) - true).max()
    assert robust < 0.2 * np.abs(np.linalg.lstsq(A, Y)[0] - true).max()


def test_the_start_is_the_prior_that_forecasts_later_windows(rng):
    L, H, season = 8, 4, 4
    priors = {"last": anchor_map(L, H, None), "seasonal": anchor_map(L, H, season)}
    Z = rng.normal(size=(60, L))
    repeats = Z[:, seasonal_places(L, H, season)]
    walk = rng.normal(size=(60, H)).cumsum(axis=1)

    def start(Y):
        return choose_start((Z[:40], Y[:40]), (Z[40:], Y[40:]), priors)

    assert start(repeats) == ("seasonal", np.inf)
    assert start(walk)[0] == "last"
    name, strength = start(Z @ rng.normal(size=(L, H)))
    assert np.isfinite(strength)


# -- choices


def as_data(*series, index=None):
    if index is not None:
        return read_series(pd.Series(series[0], index=index))
    parts = {i: pd.Series(values) for i, values in enumerate(series)}
    return read_series(pd.concat(parts)) if len(series) > 1 else read_series(np.asarray(series[0]))


def seasons_of(*series, index=None):
    data = as_data(*series, index=index)
    return choose_seasons(data, data.lengths)


@pytest.mark.parametrize("season", [4, 7, 12, 24, 52])
@pytest.mark.parametrize("trend", [0.0, 0.3])
def test_seasons_of_integer_indices_are_found(rng, season, trend):
    t = np.arange(6 * season)
    pattern = rng.normal(size=season) * 3
    assert seasons_of(pattern[t % season] + trend * t + 0.3 * rng.normal(size=len(t))) == (season,)


def test_seasons_of_a_panel_are_those_of_most_series(rng):
    t = np.arange(72)
    seasonal = [np.tile(rng.normal(size=12), 6) + 0.1 * rng.normal(size=72) for _ in range(3)]
    noise = [rng.normal(size=72) for _ in range(3)]
    assert seasons_of(*seasonal, noise[0]) == (12,)
    assert seasons_of(*noise) == ()
    assert seasons_of(*seasonal, t[:5] * 1.0) == (12,)  # too short to tell


@pytest.mark.parametrize("name", ["noise", "walk", "trend", "constant", "short", "missing", "outlier"])
def test_no_season_where_there_is_none(rng, name):
    values = {
        "noise": rng.normal(size=200),
        "walk": rng.normal(size=200).cumsum(),
        "trend": np.arange(200.0),
        "constant": np.full(200, 5.0),
        "short": np.array([1.0, 2.0]),
        "outlier": np.where(np.arange(200) % 97 == 50, 1e6, rng.normal(size=200)),
        "missing": rng.normal(size=200),
    }[name]
    if name == "missing":
        values[::3] = np.nan
        data = read_series(values, missing="mask")
        assert choose_seasons(data, data.lengths) == ()
    else:
        assert seasons_of(values) == ()


def test_nothing_of_the_later_steps_decides_the_season(rng):
    noise = rng.normal(size=60)
    seasonal = np.tile(rng.normal(size=12) * 5, 20)
    data = as_data(np.concatenate([noise, seasonal]))
    assert choose_seasons(data, data.lengths) == (12,)
    assert choose_seasons(data, np.array([60])) == ()


@pytest.mark.parametrize(("freq", "expected"), [("h", (24, 168)), ("MS", (12,)), ("QS", (4,)), ("D", (7,)), ("YS", ())])
def test_seasons_of_the_calendar(freq, expected):
    index = pd.date_range("2000-01-01", periods=30, freq=freq)
    assert seasons_of(np.zeros(30), index=index)[: len(expected)] == expected


@pytest.mark.parametrize("horizon", [1, 6, 24, 336])
@pytest.mark.parametrize("seasons", [(), (12,), (24, 168), (7, 30)])
@pytest.mark.parametrize("length", [2, 5, 30, 300, 10_000])
def test_contexts(horizon, seasons, length):
    context = choose_context(seasons, horizon, np.array([length, 2]))
    assert 1 <= context <= 512
    season = seasons[0] if seasons else 1
    if length >= 10_000:
        assert context >= min(512, season)
        assert context >= min(512, horizon)
    if context > season + 1 and context > 3:
        assert 2 * context <= length - horizon + 1  # as many windows as steps in each


def test_a_context_holds_two_horizons_and_a_season_or_a_week():
    long = np.array([10_000])
    assert choose_context((12,), 18, long) == 48
    assert choose_context((), 6, long) == 12
    assert choose_context((24, 168), 24, long) == 168
    assert choose_context((24, 168), 168, long) == 360
    assert choose_context((), 1, long) == 4


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([100.0, 120, 90], "log"),
        ([100.0, 120, 0], "last"),
        ([100.0, 120, -1], "last"),
        ([100.0, 1000, 0.001], "last"),  # comes too near to zero
        ([1e-9, 2e-9, 1e-9], "log"),  # a unit decides nothing
    ],
    ids=str,
)
def test_scalers(values, expected):
    data = as_data(np.array(values))
    assert choose_scaler(data, data.lengths) == expected


def test_the_scaler_sees_the_first_steps_alone():
    data = as_data(np.array([100.0, 120, 90, -5]), np.array([3.0, 4, 5, 0]))
    assert choose_scaler(data, np.array([3, 3])) == "log"
    assert choose_scaler(data, np.array([4, 3])) == "last"


def test_one_series_near_zero_in_twenty_does_no_harm():
    level = [np.array([100.0, 120, 90, 100])] * 20
    near = np.array([100.0, 0.001, 90, 100])
    data = as_data(*level, near)
    assert choose_scaler(data, data.lengths) == "log"
    data = as_data(*level[:5], near)
    assert choose_scaler(data, data.lengths) == "last"


def test_batches_and_updates_grow_with_the_windows():
    sizes = [choose_batch_size(n) for n in (1, 100, 200, 1000, 10**6)]
    assert sizes == [32, 32, 64, 256, 256]
    updates = [choose_updates(n, 12) for n in (1, 1000, 10**4, 10**7)]
    assert updates == sorted(updates)
    assert choose_updates(10**4, 48) <= choose_updates(10**4, 12)


# -- trust


def test_a_random_walk_trusts_the_last_value(rng):
    linear, rest, y = (rng.normal(size=(300, 6)) for _ in range(3))
    assert max(choose_trust(linear, rest, y, 50)) <= 0.2


def test_good_forecasts_are_trusted(rng):
    linear, rest = rng.normal(size=(300, 6)), rng.normal(size=(300, 6))
    noise = 0.3 * rng.normal(size=(300, 6))
    assert choose_trust(linear, rest, linear + rest + noise, 50) == (1, 1)
    first, second = choose_trust(linear, rest, linear + noise, 50)
    assert first == 1
    assert second <= 0.1
    first, second = choose_trust(linear, rest, 0.5 * linear + noise, 50)
    assert first == pytest.approx(0.5, abs=0.1)


def test_trust_takes_more_to_be_lost_with_few_windows(rng):
    linear, rest = rng.normal(size=(40, 3)), np.zeros((40, 3))
    y = 0.85 * linear
    assert choose_trust(linear, rest, y + 0.8 * linear * rng.choice([-1, 1], (40, 3)), 0.01)[1] == 1
    assert choose_trust(linear, rest, y, 1e9)[0] == pytest.approx(0.85, abs=0.06)


def test_a_network_that_has_seen_little_is_doubted():
    first, second = zip(*(with_doubt((0.9, 1.0), n) for n in (0, 1, 10, 1e9)), strict=True)
    assert set(first) == {0.9}
    assert (np.diff(second) > 0).all()
    assert second[0] < 0.6
    assert second[-1] == pytest.approx(1)


def test_missing_values_and_nothing_at_all_decide_nothing(rng):
    linear, rest = rng.normal(size=(60, 4)), rng.normal(size=(60, 4))
    y = linear + rest
    holed = np.where(rng.random(y.shape) < 0.3, np.nan, y)
    assert choose_trust(linear, rest, holed, 20) == (1, 1)
    assert choose_trust(linear, rest, np.full_like(y, np.nan), 0) == (1, 1)


def make_network(head, generator, decoder, n_locations, n_variables=2):
    L, H = 5, 3
    network = ForecastNetwork(
        ElmanCell(),
        head(H * n_variables),
        context=L,
        horizon=H,
        n_variables=n_variables,
        n_past=0,
        n_ahead=2,
        past_counts=[],
        ahead_counts=[],
        static_counts=[],
        n_static=0,
        patch_length=1,
        hidden_size=4,
        num_layers=1,
        bidirectional=False,
        bias=True,
        initial_state="zeros",
        dropout=0.0,
        input_noise=0.0,
        decoder=decoder,
        linear=True,
        n_locations=n_locations,
        compress=True,
    )
    with torch.no_grad():
        for weight in network.parameters():
            weight.normal_(std=0.5, generator=generator)
    return network.double().eval()


@pytest.mark.parametrize("decoder", [False, True])
@pytest.mark.parametrize(
    ("head", "n_locations"),
    [(PointHead, 1), (NormalHead, 1), (StudentTHead, 1), (lambda n: QuantileHead(n, [0.1, 0.5, 0.9]), 3)],
    ids=["point", "normal", "student_t", "quantile"],
)
def test_trust_scales_the_location_and_leaves_the_spread(head, n_locations, decoder, global_random_seed):
    generator = torch.Generator().manual_seed(global_random_seed)
    network = make_network(head, generator, decoder, n_locations)
    X = torch.randn(7, 5, 2, generator=generator, dtype=torch.float64)
    ahead = torch.randn(7, 3, 2, generator=generator, dtype=torch.float64)

    def outputs():
        raw = network(X, torch.full((7,), 5), ahead=ahead).unflatten(1, (6, -1)).detach()
        return raw, network._location(X, torch.float64).flatten(1).detach()

    raw, linear = outputs()
    middle = 1 if n_locations == 3 else 0
    rest = raw[..., middle] - linear
    apply_trust(network, (0.4, 0.7))
    after, _ = outputs()
    torch.testing.assert_close(after[..., middle], 0.4 * linear + 0.7 * rest)
    for i in range(raw.shape[-1]):
        moved = raw[..., i] - raw[..., middle] if i < n_locations else raw[..., i]
        now = after[..., i] - after[..., middle] if i < n_locations else after[..., i]
        torch.testing.assert_close(now, moved)


def test_full_trust_changes_nothing(global_random_seed):
    network = make_network(NormalHead, torch.Generator().manual_seed(global_random_seed), True, 1)
    before = {name: weight.clone() for name, weight in network.state_dict().items()}
    apply_trust(network, (1.0, 1.0))
    for name, weight in network.state_dict().items():
        torch.testing.assert_close(weight, before[name], rtol=0, atol=0)


def test_widening(rng):
    errors = rng.normal(size=(5000, 3))
    spread = np.abs(rng.normal(size=(5000, 3))).mean(axis=0)
    assert widening(1.5 * errors, spread) == pytest.approx(1.5, rel=0.05)
    assert widening(0.3 * errors, spread) == 1
    assert widening(30 * errors, spread) == 2
    assert widening(np.full((4, 3), np.nan), spread) == 1
    assert widening(errors, np.zeros(3)) == 1


# -- the spread

ALPHA = np.array([0.05, 0.25, 0.5, 0.75, 0.95])


def learn(rng, n, head=None, shifts=True, H=3, draw=None, raw=None):
    head = head or PointHead(H)
    raw = np.zeros((n, head.raw_size), np.float32) if raw is None else raw
    y = rng.standard_normal((n, H)) if draw is None else draw((n, H))
    return Spread.learn(head, raw, y, shifts, H), head


def test_errors_of_lively_windows_are_those_that_were_seen(rng):
    ratio = np.exp(rng.normal(size=(400, 1)))
    raw = np.zeros((400, 2), np.float32)
    steady, growing = rng.standard_normal((400, 2)) / ratio, rng.standard_normal((400, 2))
    first, second = (Spread.learn(PointHead(2), raw, y, True, 2, ratio) for y in (steady, growing))
    assert first.power < 0.4  # errors that do not grow with the scale
    assert second.power > 0.9  # errors that do
    assert Spread.learn(PointHead(2), raw, steady, True, 2, np.ones((400, 1))).power == 1.0  # nothing to learn from
    calm, lively = (first.quantiles(PointHead(2), raw[:1], [0.9], np.full((1, 1), r))[0, 0, 0] for r in (0.1, 10.0))
    assert calm > 10 * lively  # on the scale of the window


@pytest.mark.parametrize("n", [50, 99])
@pytest.mark.parametrize("law", ["uniform", "normal", "exponential"])
def test_intervals_cover_exchangeable_errors_exactly(rng, n, law):
    """Coverage over draws of the held-out windows, each against the very distribution that they come from."""
    known = {"uniform": stats.uniform(), "normal": stats.norm(), "exponential": stats.expon()}[law]
    covered = []
    for _ in range(300):
        spread, head = learn(rng, n, draw=lambda shape: known.ppf(rng.random(shape)))
        quantiles = spread.quantiles(head, np.zeros((1, 3)), [0.05, 0.1, 0.9, 0.95])[0]
        below = known.cdf(quantiles)  # (K, Q)
        covered.append([below[:, 3] - below[:, 0], below[:, 2] - below[:, 1]])
    # 900 intervals, whose coverage varies by 0.04 each
    np.testing.assert_allclose(np.mean(covered, axis=(0, 2)), [0.9, 0.8], atol=0.006)


def test_quantiles_that_are_off_are_moved(rng):
    """A normal head that thinks its errors half as large, and a unit too low."""
    head = NormalHead(1)
    mu = rng.normal(size=2000)
    raw = np.stack([mu, np.full(2000, np.log(0.5))], axis=1)
    y = (mu + 1 + rng.normal(size=2000))[:, None]
    spread = Spread.learn(head, raw, y, True, 1)
    got = spread.quantiles(head, raw[:5], ALPHA)[:, 0] - mu[:5, None]
    np.testing.assert_allclose(got, np.broadcast_to(1 + stats.norm.ppf(ALPHA), (5, 5)), atol=0.15)
    unmoved = Spread.learn(head, raw, y, False, 1).quantiles(head, raw[:5], ALPHA)[:, 0] - mu[:5, None]
    np.testing.assert_allclose(unmoved, np.broadcast_to(0.5 * stats.norm.ppf(ALPHA), (5, 5)), atol=1e-5)


@pytest.mark.parametrize("n", [1, 2, 7, 80])
@pytest.mark.parametrize("alpha", [[0.9, 0.1, 0.5], [0.001, 0.999], [0.5]], ids=str)
def test_quantiles_rise_with_alpha_in_any_order(rng, n, alpha):
    spread, head = learn(rng, n)
    values = spread.quantiles(head, rng.normal(size=(4, 3)), alpha)
    assert np.isfinite(values).all()
    assert (np.diff(values[..., np.argsort(alpha)], axis=-1) >= 0).all()
    alone = np.stack([spread.quantiles(head, np.zeros((1, 3)), [level])[..., 0] for level in alpha], axis=-1)
    together = spread.quantiles(head, np.zeros((1, 3)), alpha)
    np.testing.assert_allclose(together, alone)


def test_few_windows_put_their_steps_together(rng):
    """Ten windows of three steps, the third ten times as far off: each step keeps its size."""
    sizes = np.array([1.0, 1.0, 10.0])
    spread, head = learn(rng, 10, draw=lambda shape: sizes * rng.standard_normal(shape))
    width = np.diff(spread.quantiles(head, np.zeros((1, 3)), [0.1, 0.9]), axis=-1)[0, :, 0]
    assert width[2] > 3 * width[0]
    assert (np.diff(width) >= 0).all()


@pytest.mark.parametrize("n", [30, 80])
def test_missing_targets_of_the_spread_are_left_out(rng, n):
    y = rng.standard_normal((n, 3))
    holed = np.concatenate([y, np.full((n, 3), np.nan)])
    head = PointHead(3)
    full = Spread.learn(head, np.zeros((n, 3)), y, True, 3).quantiles(head, np.zeros((1, 3)), ALPHA)
    seen = Spread.learn(head, np.zeros((2 * n, 3)), holed, True, 3).quantiles(head, np.zeros((1, 3)), ALPHA)
    np.testing.assert_allclose(seen, full, rtol=1e-12)


def test_a_step_that_was_never_seen_is_as_far_off_as_the_one_before(rng):
    y = np.column_stack([rng.standard_normal((20, 2)), np.full(20, np.nan)])
    head = PointHead(3)
    spread = Spread.learn(head, np.zeros((20, 3)), y, True, 3)
    width = np.diff(spread.quantiles(head, np.zeros((1, 3)), [0.1, 0.9]), axis=-1)[0, :, 0]
    assert width[2] == pytest.approx(width[1])
    assert width[1] > 0


def test_a_single_error_tells_its_size_alone():
    head = PointHead(3)
    y = np.array([[np.nan, 2.0, np.nan]])
    quantiles = Spread.learn(head, np.zeros((1, 3)), y, True, 3).quantiles(head, np.zeros((1, 3)), [0.1, 0.5, 0.9])
    np.testing.assert_allclose(quantiles[0, 1:], [[-2, 0, 2]] * 2)
    assert (np.diff(quantiles) > 0).all()


def test_errors_that_grew_widen_intervals(rng):
    spread, head = learn(rng, 100)
    before = spread.quantiles(head, np.zeros((1, 3)), ALPHA)
    spread.wider = 1.5
    np.testing.assert_allclose(spread.quantiles(head, np.zeros((1, 3)), ALPHA), 1.5 * before)


@pytest.mark.parametrize("correlation", [0.0, 0.8, -0.6])
def test_samples_hang_together_as_the_errors_did(rng, correlation):
    H = 4

    def draw(shape):
        y = rng.standard_normal(shape)
        for h in range(1, H):
            y[:, h] = correlation * y[:, h - 1] + np.sqrt(1 - correlation**2) * y[:, h]
        return y

    spread, head = learn(rng, 3000, H=H, draw=draw)
    paths = spread.sample(head, np.zeros((2, H)), 4000, rng)
    assert paths.shape == (4000, 2, H)
    for b in range(2):
        got = np.corrcoef(paths[:, b], rowvar=False)
        expected = correlation ** np.abs(np.subtract.outer(np.arange(H), np.arange(H)))
        np.testing.assert_allclose(got, expected, atol=0.08)
    assert abs(np.corrcoef(paths[:, 0, 0], paths[:, 1, 0])[0, 1]) < 0.08  # windows are drawn apart
    np.testing.assert_allclose(
        np.quantile(paths[:, 0], ALPHA, axis=0).T, spread.quantiles(head, np.zeros((1, H)), ALPHA)[0], atol=0.15
    )


def test_samples_of_a_distribution_keep_its_quantiles(rng):
    head = NormalHead(2)
    raw = np.tile([1.0, np.log(2.0), -1.0, 0.0], (60, 1))
    y = np.column_stack([1 + 2 * rng.standard_normal(60), -1 + rng.standard_normal(60)])
    spread = Spread.learn(head, raw, y, False, 2)
    paths = spread.sample(head, raw[:1], 8000, rng)[:, 0]
    np.testing.assert_allclose(paths.mean(axis=0), [1, -1], atol=0.1)
    np.testing.assert_allclose(paths.std(axis=0), [2, 1], rtol=0.06)


@pytest.mark.parametrize("law", [stats.norm(3, 2), stats.uniform(0, 1), stats.expon(), stats.nbinom(4, 0.3)])
def test_variance_from_quantiles(law):
    assert variance_of(law.ppf) == pytest.approx(law.var(), rel=0.03)
