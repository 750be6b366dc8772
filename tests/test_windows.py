"""Windows of series: cut as a loop would, drawn evenly, each on a scale that its future cannot move.

Shapes: B windows, L steps of context, H steps ahead, V variables.
"""

import numpy as np
import pytest

from sktime_rnn.windows import SCALERS, Origins, SeriesScale, Windows, WindowScaler, last_observed, training_origins

LENGTHS = (9, 1, 6)
L, H = 4, 3
EVERY_SCALER = pytest.mark.parametrize("kind", SCALERS, ids=str)


@pytest.fixture
def rng(global_random_seed):
    return np.random.default_rng(global_random_seed)


def make_series(rng, n_variables=1, lengths=LENGTHS, low=0.5):
    """Positive values of several series, and where each of them starts."""
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    return rng.uniform(low, 10.0, size=(offsets[-1], n_variables)), offsets


def make_windows(rng, n_variables=1, joint=True, lengths=None, context=L, horizon=H):
    values, offsets = make_series(rng, n_variables)
    return Windows(values, offsets, context, horizon, joint, lengths)


def items_of(values, offsets, joint, lengths=None):
    """The items one by one, (n, V) or (n, 1)."""
    parts = [values[start:end] for start, end in zip(offsets[:-1], offsets[1:], strict=True)]
    if lengths is not None:
        parts = [part[:n] for part, n in zip(parts, lengths, strict=True)]
    return parts if joint else [part[:, [v]] for part in parts for v in range(part.shape[1])]


def cut_slowly(item, origin, before, after):
    """Step by step."""
    nothing = np.full(item.shape[1], np.nan)
    return np.stack([item[t] if 0 <= t < len(item) else nothing for t in range(origin - before, origin + after)])


def scaled(kind, past, future=(), floor=None, n_before=0, level=0.0):
    """One window on its own scale; its series has level and scale 0 unless they are given."""
    values = np.concatenate([np.asarray(past, float), np.asarray(future, float)])[None, :, None]
    series_scale = SeriesScale(np.full((1, 1), level), np.full((1, 1), 0.0 if floor is None else floor))
    return WindowScaler(kind).scale(values, len(past) - n_before, series_scale, n_before)


# -- cutting


@pytest.mark.parametrize("n_before", [0, 2])
@pytest.mark.parametrize("lengths", [None, (7, 1, 2)], ids=["all", "first"])
@pytest.mark.parametrize(("n_variables", "joint"), [(1, True), (1, False), (3, True), (3, False)])
def test_cut_equals_a_loop(rng, n_variables, joint, lengths, n_before):
    values, offsets = make_series(rng, n_variables)
    kept = None if lengths is None else np.array(lengths)
    windows = Windows(values, offsets, L, H, joint, kept)
    apart = items_of(values, offsets, joint, lengths)
    assert windows.n_items == len(apart)
    np.testing.assert_array_equal(windows.lengths, [len(item) for item in apart])
    where = [(i, origin) for i, item in enumerate(apart) for origin in range(len(item) + 2)]
    items, origins = np.array(where).T
    expected = np.stack([cut_slowly(apart[i], origin, n_before + L, H) for i, origin in where])
    np.testing.assert_array_equal(windows.cut(items, origins, n_before), expected)


def test_values_are_not_copied_before_a_batch_is_cut(rng):
    for joint in (True, False):
        windows = make_windows(rng, 3, joint)
        assert np.shares_memory(windows.flat, windows.values)
        batch = windows.cut(np.array([0]), np.array([4]))
        assert not np.shares_memory(batch, windows.values)


def test_missing_values_stay_missing():
    windows = Windows(np.array([[1.0], [np.nan], [3.0]]), np.array([0, 3]), 2, 1, True)
    np.testing.assert_array_equal(windows.cut(np.array([0]), np.array([2]))[0, :, 0], [1, np.nan, 3])


# -- which windows


def test_training_origins_have_a_context_and_a_step_ahead(rng):
    windows = make_windows(rng, 2, joint=False)
    origins = training_origins(windows, 3)
    np.testing.assert_array_equal(origins.items, [0, 1, 4, 5])  # the series of a single step has none
    np.testing.assert_array_equal(origins.low, 3)
    np.testing.assert_array_equal(origins.high, [8, 8, 5, 5])
    short = training_origins(windows, 7)
    np.testing.assert_array_equal(short.low, [7, 7, 5, 5])  # a series that is shorter trains all the same


def test_a_series_of_two_steps_has_a_window():
    origins = training_origins(Windows(np.zeros((2, 1)), np.array([0, 2]), L, H, True), L)
    assert (origins.low.tolist(), origins.high.tolist(), len(origins)) == ([1], [1], 1)


def test_all_windows():
    origins = Origins(np.array([2, 5]), np.array([1, 4]), np.array([3, 4]))
    items, steps = origins.all()
    assert (items.tolist(), steps.tolist(), len(origins)) == ([2, 2, 2, 5], [1, 2, 3, 4], 4)


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_drawn_windows_lie_in_range_and_are_shared_out_by_a_power(rng, power):
    origins = Origins(np.array([3, 7, 8]), np.array([1, 5, 2]), np.array([400, 104, 2]))
    items, steps = origins.draw(2000, rng, power)
    for item, low, high in zip(origins.items, origins.low, origins.high, strict=True):
        own = steps[items == item]
        assert (own >= low).all()
        assert (own <= high).all()
        assert high in own
    share = origins.counts**power / (origins.counts**power).sum()
    drawn = np.array([(items == item).mean() for item in origins.items])
    np.testing.assert_allclose(drawn, share, atol=0.005)  # three windows are the newest ones


def test_drawn_windows_are_even_over_time(rng):
    origins = Origins(np.array([0]), np.array([10]), np.array([209]))
    steps = origins.draw(400, rng, 0.5)[1]
    counts = np.bincount(steps - 10, minlength=200)
    assert counts[:-1].max() <= 4  # two each, and one that lies on the border of the strata
    assert counts.min() >= 0
    halves = np.array([part.sum() for part in np.split(counts[:-1], [100])])
    assert abs(np.diff(halves)) <= 6


def test_every_newest_window_is_drawn(rng):
    n = 40
    origins = Origins(np.arange(n), np.ones(n, np.int64), np.full(n, 5000))
    seen = set()
    for _ in range(60):
        items, steps = origins.draw(100, rng, 0.5)
        newest = set(items[steps == 5000].tolist())
        assert len(newest) >= 10
        seen |= newest
    assert len(seen) == n


def test_one_seed_draws_the_same_windows():
    origins = Origins(np.arange(3), np.ones(3, np.int64), np.array([5, 9, 20]))
    first, second, third = (origins.draw(50, np.random.default_rng(seed), 0.5) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, second)
    assert (np.array(first) != np.array(third)).any()


# -- constants


def formula(kind, past):
    """The table of WindowScaler for a window without missing values."""
    x = np.log(past) if kind == "log" else past
    if kind in ("last", "log"):
        return x[-1], np.abs(x - x[-1]).mean()
    if kind == "mean":
        return 0.0, np.abs(x).mean()
    if kind == "standard":
        return x.mean(), x.std()
    if kind == "robust":
        return np.median(x), np.subtract(*np.quantile(x, [0.75, 0.25]))
    return 0.0, 1.0


@EVERY_SCALER
def test_constants_equal_their_formulas(rng, kind):
    values, offsets = make_series(rng, 2, (20,))
    windows = Windows(values, offsets, 8, 3, True)
    scaler = WindowScaler(kind)
    cut = windows.cut(np.array([0, 0]), np.array([8, 15]))
    result = scaler.scale(cut, 8, SeriesScale(np.zeros((2, 2)), np.zeros((2, 2))))
    for b in range(2):
        for v in range(2):
            loc, scale = formula(kind, cut[b, :8, v])
            assert result.loc[b, 0, v] == pytest.approx(loc)
            assert result.scale[b, 0, v] == pytest.approx(scale)
    assert result.observed.all()
    np.testing.assert_allclose(scaler.inverse(result.z * result.scale + result.loc), cut, rtol=1e-12)


@EVERY_SCALER
def test_constants_leave_missing_values_out(rng, kind):
    past = rng.uniform(1, 9, size=8)
    holed = np.insert(past, [0, 3, 3, 8], np.nan)
    for wanted, got in zip(scaled(kind, past)[2:], scaled(kind, holed)[2:], strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-12)
    result = scaled(kind, holed, [5.0, np.nan])
    assert (result.z[~result.observed] == 0).all()
    np.testing.assert_array_equal(result.observed[0, :, 0], ~np.isnan([*holed, 5.0, np.nan]))


@EVERY_SCALER
@pytest.mark.parametrize("joint", [True, False])
def test_scale_of_the_series(rng, kind, joint):
    values, offsets = make_series(rng, 2)
    values[1, 0] = np.nan
    scale = WindowScaler(kind).series_scale(Windows(values, offsets, L, H, joint))
    assert scale.loc.shape == scale.scale.shape == ((3, 2) if joint else (6, 1))
    for i, item in enumerate(items_of(values, offsets, joint)):
        x = np.log(item) if kind == "log" else item
        for v in range(x.shape[1]):
            own = x[:, v]
            if kind in ("last", "log"):
                size = np.abs(np.diff(own))
            else:
                size = np.abs(own if kind in ("mean", None) else own - np.nanmean(own))
            wanted = np.nanmean(size) if len(size) else 0.0
            assert scale.scale[i, v] == pytest.approx(wanted)
            assert scale.loc[i, v] == pytest.approx(0 if kind in ("mean", None) else np.nanmean(own))


@EVERY_SCALER
@pytest.mark.parametrize("joint", [True, False])
def test_scale_of_the_series_looks_at_its_first_steps_alone(rng, kind, joint):
    values, offsets = make_series(rng, 2)
    lengths = np.array([5, 1, 3])
    before = WindowScaler(kind).series_scale(Windows(values, offsets, L, H, joint, lengths))
    changed = values.copy()
    for start, n, end in zip(offsets[:-1], lengths, offsets[1:], strict=True):
        changed[start + n : end] *= 100
    after = WindowScaler(kind).series_scale(Windows(changed, offsets, L, H, joint, lengths))
    np.testing.assert_array_equal(after.loc, before.loc)
    np.testing.assert_array_equal(after.scale, before.scale)
    cut = np.concatenate([values[start : start + n] for start, n in zip(offsets[:-1], lengths, strict=True)])
    alone = Windows(cut, np.concatenate([[0], np.cumsum(lengths)]), L, H, joint)
    shorter = WindowScaler(kind).series_scale(alone)
    np.testing.assert_allclose(before.loc, shorter.loc, rtol=1e-12)
    np.testing.assert_allclose(before.scale, shorter.scale, rtol=1e-12)


@EVERY_SCALER
def test_the_future_moves_nothing_of_the_context(rng, kind):
    windows = make_windows(rng, 2)
    scaler = WindowScaler(kind)
    cut = windows.cut(np.array([0, 0, 2]), np.array([2, 5, 4]))
    changed = cut.copy()
    changed[:, L:] = 1e6 * rng.uniform(0.5, 1, size=changed[:, L:].shape)
    floor = SeriesScale(np.ones((3, 2)), np.full((3, 2), 0.3))
    before, after = scaler.scale(cut, L, floor), scaler.scale(changed, L, floor)
    np.testing.assert_array_equal(after.loc, before.loc)
    np.testing.assert_array_equal(after.scale, before.scale)
    np.testing.assert_array_equal(after.z[:, :L], before.z[:, :L])
    np.testing.assert_array_equal(after.observed[:, :L], before.observed[:, :L])


@EVERY_SCALER
def test_steps_before_the_context_move_no_constant(rng, kind):
    past, earlier = rng.uniform(1, 9, size=6), rng.uniform(1, 9, size=3)
    alone, longer = scaled(kind, past), scaled(kind, [*earlier, *past], n_before=3)
    np.testing.assert_array_equal(longer.loc, alone.loc)
    np.testing.assert_array_equal(longer.scale, alone.scale)
    np.testing.assert_array_equal(longer.z[:, 3:], alone.z)


@pytest.mark.parametrize("kind", ["last", "standard", "robust"])
def test_a_shift_moves_no_scaled_value(kind):
    values = np.arange(10.0) ** 2
    np.testing.assert_allclose(scaled(kind, values + 1e8).z, scaled(kind, values).z, rtol=1e-6)


@pytest.mark.parametrize("kind", ["last", "log", "mean", "standard", "robust"])
def test_a_unit_moves_no_scaled_value(rng, kind):
    values = rng.uniform(1, 9, size=10)
    np.testing.assert_allclose(scaled(kind, values * 1e-30).z, scaled(kind, values).z, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(scaled(kind, values * 1e30).z, scaled(kind, values).z, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("kind", ["last", "standard", "robust", None])
def test_differences_of_large_values_are_kept(kind):
    """1e8 + 0, 1, ..., 9 are two values in float32."""
    z = scaled(kind, 1e8 + np.arange(10)).z[0, :, 0]
    np.testing.assert_allclose(np.diff(z), np.diff(z)[0], rtol=1e-6)
    assert np.diff(z)[0] > 0
    if kind is not None:
        assert len(np.unique(z.astype(np.float32))) == 10


# -- scales that are next to nothing


@EVERY_SCALER
@pytest.mark.parametrize("past", [[5.0] * 4, [np.nan, np.nan, np.nan, 5.0], [5.0, np.nan, np.nan, np.nan]], ids=str)
def test_constant_and_single_values_are_finite(kind, past):
    result = scaled(kind, past, [6.0])
    assert np.isfinite(result.z).all()
    assert (result.scale > 0).all()
    if kind in ("last", "log", "standard", "robust"):
        assert (result.z[:, :4] == 0).all()
        back = result.z[0, 4, 0] * result.scale[0, 0, 0] + result.loc[0, 0, 0]
        assert WindowScaler(kind).inverse(back) == pytest.approx(6.0)


@pytest.mark.parametrize("kind", ["last", "mean", "standard", "robust", None], ids=str)
@pytest.mark.parametrize("past", [[0.0] * 4, [np.nan] * 4], ids=["zeros", "nothing"])
def test_windows_of_zeros_or_of_nothing(kind, past):
    result = scaled(kind, past, [2.0])
    assert (result.loc == 0).all()
    assert (result.scale == (1 if kind is None else 1e-3)).all()
    np.testing.assert_array_equal(result.z[0, :, 0], np.array([0, 0, 0, 0, 2]) / result.scale.item())


@pytest.mark.parametrize(
    ("kind", "loc"), [("last", 1e6), ("standard", 1e6), ("robust", 1e6), ("mean", 0.0), (None, 0.0)]
)
def test_a_context_without_a_value_has_the_scale_of_its_series(kind, loc):
    """After a long gap, say; the level of the values before it is known all the same."""
    result = scaled(kind, [np.nan] * 4, [1e6 + 30], floor=20.0, level=loc)
    assert result.loc.item() == loc
    assert result.scale.item() == (1.0 if kind is None else 20.0)
    assert (result.z[:, :4] == 0).all()
    if loc:
        assert result.z[0, 4, 0] == pytest.approx(1.5)


def test_nothing_observed_of_a_logarithm():
    result = scaled("log", [np.nan] * 4, [2.0])
    assert (result.loc == 0).all()
    assert np.isfinite(result.z).all()


@pytest.mark.parametrize("kind", ["last", "mean", "standard", "robust"])
def test_a_flat_stretch_is_scaled_by_a_tenth_of_the_series(kind):
    flat = [0.0] * 4 if kind == "mean" else [7.0] * 4
    assert scaled(kind, flat, floor=20.0).scale.item() == pytest.approx(2.0)
    lively = scaled(kind, np.arange(4) * 100, floor=20.0)
    assert lively.scale.item() == pytest.approx(formula(kind, np.arange(4) * 100.0)[1])


def test_rounding_is_no_scale():
    """Differences of 1e-8 around 1e8 are what float64 rounds away."""
    noisy = 1e8 + np.array([0, 1.5e-8, 0, 1.5e-8])
    assert scaled("last", noisy).scale.item() == pytest.approx(1e5)


def test_last_observed():
    past = np.array([[1.0, 2.0, np.nan], [np.nan] * 3, [np.nan, 4.0, 5.0]])[:, :, None]
    np.testing.assert_array_equal(last_observed(past)[:, 0, 0], [2, 0, 5])


def test_values_of_logarithms_are_neither_zero_nor_infinite():
    """Forecasts that are fed back have logarithms of their own."""
    values = WindowScaler("log").inverse(np.array([-1e5, -5.0, 0.0, 5.0, 1e5]))
    assert np.isfinite(np.log(values)).all()
    np.testing.assert_allclose(values[1:4], np.exp([-5, 0, 5]))
