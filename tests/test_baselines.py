"""Baselines against formulas, statsmodels' numbers, and the joint normal distribution."""

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from sktime_rnn.baselines import AutoregressiveForecaster, LinearDynamicalForecaster, NaiveForecaster
from sktime_rnn.baselines._statespace import StateSpace, companion, kalman_filter, smooth
from sktime_rnn.datasets import load_airpassengers

STRATEGIES = ["last", "mean", "drift", "seasonal"]
FORECASTERS = {
    **{strategy: NaiveForecaster(strategy, season_length=4) for strategy in STRATEGIES},
    "autoregressive": AutoregressiveForecaster(2),
    "autoregressive, auto": AutoregressiveForecaster(max_order=3),
    "dynamical": LinearDynamicalForecaster(max_iter=5),
    "dynamical, order 2": LinearDynamicalForecaster(state_dim=1, order=2, max_iter=5),
}
MASKING = {name: forecaster for name, forecaster in FORECASTERS.items() if hasattr(forecaster, "missing")}


def every(forecasters):
    """Run a test with a clone of each forecaster."""
    return pytest.mark.parametrize(
        "forecaster", [pytest.param(clone(forecaster), id=name) for name, forecaster in forecasters.items()]
    )


def make_panel(lengths=(31, 12, 20), n_variables=2, seed=0):
    """Random walks under a (series, time) index that start at different times."""
    rng = np.random.default_rng(seed)
    names = [f"s{i}" for i in range(len(lengths))]
    frames = [
        pd.DataFrame(
            rng.normal(size=(n, n_variables)).cumsum(axis=0),
            index=pd.period_range("2020-01", periods=n, freq="Q") + i,
            columns=list("abcdefg")[:n_variables],
        )
        for i, n in enumerate(lengths)
    ]
    return pd.concat(frames, keys=names, names=["series", "time"])


def with_missing(y, share=0.3, seed=1):
    rng = np.random.default_rng(seed)
    return y.mask(rng.random(y.shape) < share)


# -- all of them


@every(FORECASTERS)
@pytest.mark.parametrize("kind", ["series", "frame", "array", "panel"])
def test_every_container_and_every_method(forecaster, kind):
    y = {
        "series": make_panel().loc["s0"]["a"],
        "frame": make_panel().loc["s0"],
        "array": make_panel().loc["s0"].to_numpy(),
        "panel": make_panel(),
    }[kind]
    forecaster.fit(y)
    n_rows = 5 * (3 if kind == "panel" else 1)
    point = forecaster.predict(fh=range(1, 6))
    assert type(point) is type(y)
    assert len(point) == n_rows
    quantiles = forecaster.predict_quantiles(fh=range(1, 6), alpha=[0.1, 0.5, 0.9])
    interval = forecaster.predict_interval(fh=range(1, 6), coverage=0.8)
    paths = forecaster.sample(fh=range(1, 6), n_samples=3, random_state=0)
    n_variables = np.reshape(point, (n_rows, -1)).shape[1]
    assert quantiles.shape == (n_rows, 3 * n_variables)
    assert len(paths) == 3 * n_rows
    for frame in (point, quantiles, interval, paths, forecaster.predict_var(fh=range(1, 6))):
        assert np.isfinite(np.asarray(frame)).all()
    values = quantiles.to_numpy().reshape(n_rows, n_variables, 3)
    np.testing.assert_allclose(values[:, :, 1], np.reshape(point, (n_rows, -1)), rtol=1e-12)
    np.testing.assert_allclose(values[:, :, [0, 2]], interval.to_numpy().reshape(n_rows, n_variables, 2), rtol=1e-9)
    assert np.isfinite(np.asarray(forecaster.residuals())).all()


@every(FORECASTERS)
def test_sampled_paths_have_the_mean_and_the_variance_of_the_forecast(forecaster):
    forecaster.fit(make_panel())
    fh = range(1, 11)
    n_samples = 4000
    paths = forecaster.sample(fh=fh, n_samples=n_samples, random_state=0).to_numpy().reshape(n_samples, -1, 2)
    variance = forecaster.predict_var(fh=fh).to_numpy()
    error = np.abs(paths.mean(axis=0) - forecaster.predict(fh=fh).to_numpy()) / np.sqrt(variance)
    assert error.max() < 5 / np.sqrt(n_samples)
    np.testing.assert_allclose(paths.var(axis=0), variance, rtol=7 * np.sqrt(2 / n_samples))


@every(FORECASTERS)
def test_a_series_of_a_panel_is_forecast_as_if_it_were_alone(forecaster):
    y = make_panel()
    forecaster.fit(y)
    point, variance = forecaster.predict(fh=range(1, 8)), forecaster.predict_var(fh=range(1, 8))
    fitted = forecaster.fitted_values()
    for name in ["s0", "s1", "s2"]:
        alone = clone(forecaster).fit(y.loc[name])
        np.testing.assert_allclose(point.loc[name], alone.predict(fh=range(1, 8)), rtol=1e-7)
        np.testing.assert_allclose(variance.loc[name], alone.predict_var(fh=range(1, 8)), rtol=1e-7)
        np.testing.assert_allclose(fitted.loc[name], alone.fitted_values(), rtol=1e-7)


@every(FORECASTERS)
def test_one_step_forecasts_are_those_from_the_steps_before(forecaster):
    y = make_panel((30,)).loc["s0"]
    fitted = forecaster.fit(y).fitted_values()
    for stamp, row in fitted.iterrows():
        before = y[y.index < stamp]
        np.testing.assert_allclose(forecaster.predict(fh=1, y=before).to_numpy()[0], row, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(forecaster.residuals(), y.loc[fitted.index] - fitted)


@every(FORECASTERS)
def test_update_follows_and_refits(forecaster):
    y = make_panel()
    start = y.groupby("series").head(11)
    forecaster.fit(start, fh=[1, 3]).update(y)
    np.testing.assert_allclose(forecaster.predict(), clone(forecaster).fit(y, fh=[1, 3]).predict(), rtol=1e-7)
    kept = clone(forecaster).fit(start, fh=[1, 3])
    kept.update(y, update_params=False)
    assert list(kept.cutoff) == list(forecaster.cutoff)
    np.testing.assert_allclose(kept.predict(), clone(forecaster).fit(start, fh=[1, 3]).predict(y=y))


@every(FORECASTERS)
def test_pickles_clones_and_ignores_X(forecaster):
    y = make_panel().loc["s0"]
    forecaster.fit(y, X=y * 2)
    again = pickle.loads(pickle.dumps(forecaster))
    np.testing.assert_array_equal(again.predict(fh=range(1, 4)), forecaster.predict(fh=range(1, 4), X="not looked at"))
    assert clone(forecaster).get_params() == forecaster.get_params()
    assert forecaster.score(y.set_axis(y.index + len(y))) < 0


@every(FORECASTERS)
def test_units_and_levels_do_not_matter(forecaster):
    y = make_panel()
    point = forecaster.fit(y).predict(fh=range(1, 6))
    width = np.sqrt(forecaster.predict_var(fh=range(1, 6)))
    forecaster.fit(y * 1e6 + 1e9)
    np.testing.assert_allclose((forecaster.predict(fh=range(1, 6)) - 1e9) / 1e6, point, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(np.sqrt(forecaster.predict_var(fh=range(1, 6))) / 1e6, width, rtol=1e-4)


@every(FORECASTERS)
@pytest.mark.parametrize(
    "y", [np.zeros(20), np.full(20, 0.1), np.arange(20.0), np.arange(40) % 4, 2.0 ** np.arange(20)]
)
def test_degenerate_series_are_forecast_without_warnings(forecaster, y):
    forecaster.fit(y)
    assert np.isfinite(forecaster.predict(fh=range(1, 9))).all()
    assert np.isfinite(forecaster.predict_var(fh=range(1, 9))).all(axis=None)


@every(MASKING)
def test_forecasts_are_never_missing(forecaster):
    y = with_missing(make_panel())
    forecaster.set_params(missing="mask").fit(y)
    for frame in (forecaster.predict(fh=range(1, 9)), forecaster.predict_var(fh=range(1, 9))):
        assert frame.notna().all(axis=None)
    assert forecaster.sample(fh=range(1, 9), n_samples=2).notna().all(axis=None)


@every(MASKING)
def test_gaps_are_missing_values(forecaster):
    y = make_panel((30,)).loc["s0"]
    holes = y.drop(y.index[[4, 9, 10]])
    filled = forecaster.set_params(gaps="fill").fit(holes).predict(fh=[1, 2, 5])
    forecaster.set_params(gaps="error", missing="mask").fit(holes.reindex(y.index))
    np.testing.assert_array_equal(filled, forecaster.predict(fh=[1, 2, 5]))


@every(MASKING)
def test_series_that_were_never_observed_are_refused(forecaster):
    y = make_panel()
    new = y.loc[["s1"]].rename(index={"s1": "new"})
    new["b"] = np.nan
    forecaster.set_params(missing="mask").fit(y)
    match = r"y must have an observed step of all variables in every series, but series 'new' has none\. Leave it out"
    with pytest.raises(ValueError, match=match):
        forecaster.update(new)
    with pytest.raises(ValueError, match=match):
        forecaster.fit(pd.concat([y, new]))


@every(FORECASTERS)
def test_missing_values_are_refused_by_default(forecaster):
    with pytest.raises(ValueError, match=r"y must hold finite numbers, but a value is missing at "):
        forecaster.fit(with_missing(make_panel()))


# -- naive


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_naive_equals_the_textbook(strategy):
    y = load_airpassengers()
    x, n, m, h = y.to_numpy(), 144, 12, np.arange(1, 31)
    slope = (x[-1] - x[0]) / (n - 1)
    k = (h - 1) // m
    point = {
        "last": np.full(30, x[-1]),
        "mean": np.full(30, x.mean()),
        "drift": x[-1] + h * slope,
        "seasonal": x[n + h - 1 - m * (k + 1)],
    }[strategy]
    width = {
        "last": np.sqrt(np.mean(np.diff(x) ** 2) * h),
        "mean": np.full(30, x.std(ddof=1) * np.sqrt(1 + 1 / n)),
        "drift": np.diff(x).std(ddof=1) * np.sqrt(h * (1 + h / (n - 1))),
        "seasonal": np.sqrt(np.mean((x[m:] - x[:-m]) ** 2) * (k + 1)),
    }[strategy]
    forecaster = NaiveForecaster(strategy).fit(y)
    assert forecaster.season_length_ == 12
    assert forecaster.horizon_ == 12
    np.testing.assert_allclose(forecaster.predict(fh=h), point)
    np.testing.assert_allclose(np.sqrt(forecaster.predict_var(fh=h).iloc[:, 0]), width)
    interval = forecaster.predict_interval(fh=h, coverage=0.95).to_numpy()
    np.testing.assert_allclose(interval, point[:, None] + 1.959963984540054 * width[:, None] * [-1, 1])


def test_seasons_of_a_path_belong_together():
    """The covariance of two steps of a seasonal walk is that of the earlier one, and 0 for other phases."""
    y = load_airpassengers()
    n_samples = 20_000
    sample = NaiveForecaster("seasonal").fit(y).sample(fh=[1, 2, 13, 14], n_samples=n_samples, random_state=0)
    correlation = np.corrcoef(sample.to_numpy().reshape(n_samples, 4).T)
    half = np.sqrt(0.5)
    expected = [[1, 0, half, 0], [0, 1, 0, half], [half, 0, 1, 0], [0, half, 0, 1]]
    np.testing.assert_allclose(correlation, expected, atol=0.03)


def test_series_shorter_than_a_season_repeat_their_last_value():
    y = make_panel((3, 9, 4), n_variables=1)["a"]
    forecaster = NaiveForecaster("seasonal").fit(y)
    point = forecaster.predict(fh=range(1, 7))
    np.testing.assert_array_equal(point.loc["s0"], np.repeat(y.loc["s0"].iloc[-1], 6))
    np.testing.assert_array_equal(point.loc["s1"], y.loc["s1"].to_numpy()[[5, 6, 7, 8, 5, 6]])
    np.testing.assert_array_equal(point.loc["s2"], y.loc["s2"].to_numpy()[[0, 1, 2, 3, 0, 1]])
    variance = forecaster.predict_var(fh=[1]).to_numpy()[[0, 2], 0]  # one season alone: errors of the last value
    expected = [np.mean(np.diff(y.loc[name]) ** 2) for name in ("s0", "s2")]
    np.testing.assert_allclose(variance, expected)


def test_naive_counts_from_the_last_observed_value():
    x = np.array([1.0, np.nan, 4.0, 5.0, np.nan, np.nan])
    last = NaiveForecaster("last", missing="mask").fit(x)
    np.testing.assert_array_equal(last.predict(fh=[1, 2]), [5, 5])
    sigma2 = (3**2 / 2 + 1**2) / 2
    np.testing.assert_allclose(last.predict_var(fh=[1, 2])[0], [3 * sigma2, 4 * sigma2])
    drift = NaiveForecaster("drift", missing="mask").fit(x)
    np.testing.assert_allclose(drift.predict(fh=[1, 2]), [9, 5 + 4 * 4 / 3])
    sigma2 = (3 - 2 * 4 / 3) ** 2 / 2 + (1 - 4 / 3) ** 2
    np.testing.assert_allclose(drift.predict_var(fh=[1])[0], sigma2 * 3 * (1 + 3 / 3))
    mean = NaiveForecaster("mean", missing="mask").fit(x)
    np.testing.assert_allclose(mean.predict(fh=[1]), x[[0, 2, 3]].mean())
    np.testing.assert_allclose(mean.predict_var(fh=[1])[0], x[[0, 2, 3]].var(ddof=1) * (1 + 1 / 3))
    seasonal = NaiveForecaster("seasonal", season_length=3, missing="mask").fit(x)
    np.testing.assert_array_equal(seasonal.predict(fh=[1, 2, 3, 4]), [5, 5, 4, 5])
    np.testing.assert_allclose(seasonal.predict_var(fh=[1, 2, 3, 4])[0], 16 * np.array([1, 2, 2, 2]))


def test_of_a_single_value_nobody_knows_the_variance():
    forecaster = NaiveForecaster().fit(np.array([3.0]))
    assert forecaster.predict(fh=[2]) == 3
    assert forecaster.predict_var(fh=[2]).isna().all(axis=None)


# -- autoregression


def simulated_var(n_steps=120):
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(n_steps, 2))
    A1, A2 = np.array([[0.5, 0.2], [-0.3, 0.6]]), np.array([[-0.2, 0.1], [0.0, 0.1]])
    x = np.zeros((n_steps, 2))
    for t in range(2, n_steps):
        x[t] = [1, 2] + A1 @ x[t - 1] + A2 @ x[t - 2] + noise[t]
    return x


def test_one_variable_equals_autoreg_of_statsmodels():
    """The numbers are from statsmodels 0.15.0: AutoReg(y, lags, trend="c").fit(): params and forecast(3)."""
    y = load_airpassengers()
    forecaster = AutoregressiveForecaster(2).fit(y)
    weights = [forecaster.intercept_[0, 0], *forecaster.coef_.ravel()]
    np.testing.assert_allclose(weights, [16.4821239971, 1.2766363857, -0.3298309565], rtol=1e-9)
    np.testing.assert_allclose(
        forecaster.predict(fh=[1, 2, 3]), [439.3549695957, 434.8916912261, 426.7678110035], rtol=1e-9
    )
    rss = 994.3745287132358 * 142  # its sigma2 is divided by the steps, ours by the degrees of freedom
    np.testing.assert_allclose(forecaster.covariance_.ravel(), rss / 139, rtol=1e-9)
    # Of ar_select_order(y, 13, ic="aic") and "bic": 13 lags.
    for criterion in ("aic", "bic"):
        forecaster = AutoregressiveForecaster(criterion=criterion).fit(y)
        np.testing.assert_array_equal(forecaster.order_, [13])
        np.testing.assert_allclose(
            forecaster.predict(fh=[1, 2, 3]), [449.5392990209, 419.0184401073, 449.070773724], rtol=1e-9
        )


def test_several_variables_equal_var_of_statsmodels():
    """The numbers are from statsmodels 0.15.0: VAR(x).fit(2, trend="c"), select_order(8)."""
    x = simulated_var()
    forecaster = AutoregressiveForecaster(2).fit(x)
    np.testing.assert_allclose(forecaster.intercept_[0], [0.6382274257, 1.808080191], rtol=1e-8)
    A1 = np.array([[0.624704519, -0.3150900579], [0.1929565749, 0.5901027906]]).T
    A2 = np.array([[-0.191736464, 0.1099442769], [0.0620219378, 0.1128664759]]).T
    np.testing.assert_allclose(forecaster.coef_[0], [A1, A2], rtol=1e-8)
    sigma = [[0.9950266084, 0.1471199674], [0.1471199674, 1.0898344245]]
    np.testing.assert_allclose(forecaster.covariance_[0], sigma, rtol=1e-8)
    point = [[0.2099766353, 4.035989736], [1.9890307299, 4.2288100843], [2.9068203474, 4.1554026821]]
    np.testing.assert_allclose(forecaster.predict(fh=[1, 2, 3]), point, rtol=1e-8)
    variance = [[0.9950266084, 1.0898344245], [1.4593863565, 1.51341631], [1.5860336835, 1.7299735156]]
    np.testing.assert_allclose(forecaster.predict_var(fh=[1, 2, 3]), variance, rtol=1e-8)
    for criterion, order in (("aic", 3), ("bic", 1)):
        assert AutoregressiveForecaster(criterion=criterion, max_order=8).fit(x).order_ == [order]


@pytest.mark.parametrize("trend", ["c", "n"])
@pytest.mark.parametrize("order", [0, 1, 4])
def test_weights_equal_least_squares(order, trend):
    y = make_panel((40, 25), n_variables=2)
    forecaster = AutoregressiveForecaster(order, trend=trend).fit(y)
    for i, name in enumerate(["s0", "s1"]):
        x = y.loc[name].to_numpy()
        lags = [x[order - k : len(x) - k] for k in range(1, order + 1)]
        Z = np.hstack([np.ones((len(x) - order, int(trend == "c"))), *lags])
        if Z.shape[1] == 0:
            assert (forecaster.predict(fh=[1, 2]) == 0).all(axis=None)
            continue
        weights = np.linalg.lstsq(Z, x[order:], rcond=None)[0].T  # (2, K)
        ours = [forecaster.intercept_[i][:, None]] if trend == "c" else []
        np.testing.assert_allclose(np.hstack([*ours, *forecaster.coef_[i]]), weights, rtol=1e-6, atol=1e-9)
        residual = x[order:] - Z @ weights.T
        np.testing.assert_allclose(
            forecaster.covariance_[i], residual.T @ residual / (len(Z) - Z.shape[1]), rtol=1e-6, atol=1e-9
        )


@pytest.mark.parametrize("criterion", ["aic", "bic"])
def test_the_order_is_that_of_the_least_criterion_on_common_steps(criterion):
    y = make_panel((60, 45, 14), n_variables=2, seed=3)
    forecaster = AutoregressiveForecaster(criterion=criterion, max_order=6).fit(y)
    for i, most in enumerate([6, 6, 4]):  # 14 steps have no degrees of freedom for more than 4
        x = y.loc[f"s{i}"].to_numpy()
        scores = []
        for order in range(most + 1):
            lags = [x[most - k : len(x) - k] for k in range(1, order + 1)]
            Z = np.hstack([np.ones((len(x) - most, 1)), *lags])
            residual = x[most:] - Z @ np.linalg.lstsq(Z, x[most:], rcond=None)[0]
            price = {"aic": 2, "bic": np.log(len(Z))}[criterion]
            scores.append(len(Z) * np.linalg.slogdet(residual.T @ residual / len(Z))[1] + price * 2 * Z.shape[1])
        assert forecaster.order_[i] == np.argmin(scores)


def test_what_is_older_than_the_order_does_not_move_a_forecast():
    y = make_panel((40, 30), n_variables=2)
    forecaster = AutoregressiveForecaster(3).fit(y)
    other = y.copy()
    old = other.groupby("series").cumcount(ascending=False) >= 3
    other[old] = 1e6
    np.testing.assert_array_equal(forecaster.predict(fh=range(1, 9), y=other), forecaster.predict(fh=range(1, 9)))
    other[~old] += 1
    assert (forecaster.predict(fh=[1], y=other) != forecaster.predict(fh=[1])).all(axis=None)


def test_blocks_of_series_do_not_show(monkeypatch):
    y = make_panel((31, 12, 20, 40, 15))
    forecasters = AutoregressiveForecaster(), LinearDynamicalForecaster(max_iter=3)
    whole = [forecaster.fit(y).predict(fh=range(1, 4)) for forecaster in forecasters]
    fitted = [forecaster.fitted_values() for forecaster in forecasters]
    monkeypatch.setattr("sktime_rnn.baselines._gaussian._BLOCK", 100)
    for forecaster, expected, steps in zip(forecasters, whole, fitted, strict=True):
        np.testing.assert_allclose(forecaster.fit(y).predict(fh=range(1, 4)), expected, rtol=1e-7)
        np.testing.assert_allclose(forecaster.fitted_values(), steps, rtol=1e-7)


# -- linear dynamical system


def small_system():
    """Two hidden dimensions of order 2, seen in three variables."""
    A = np.array([[[0.5, 0.3], [-0.4, 0.6]], [[0.2, 0.0], [0.1, -0.2]]])
    C = np.array([[1.0, 0.2], [0.3, -1.0], [0.5, 0.5]])
    Q = np.array([[0.5, 0.1], [0.1, 0.3]])
    space = StateSpace(
        companion(A[None]), np.zeros((1, 2)), Q[None], C[None], np.array([[0.1, 0.2, 0.3]]), np.ones((1, 3))
    )
    prior = np.eye(4)[None] * 0.7 + 0.1
    return space, prior


def joint_normal(space, prior, n_steps):
    """Means and covariances of all states (n_steps * 4,) and of all that is seen (n_steps * 3,), and between them."""
    F, n, D = space.F[0], space.n, prior.shape[1]
    blocks = {(0, 0): prior[0]}
    for t in range(1, n_steps):
        blocks[t, t] = F @ blocks[t - 1, t - 1] @ F.T
        blocks[t, t][:n, :n] += space.Q[0]
    for t in range(n_steps):
        for s in range(t + 1, n_steps):
            blocks[s, t] = F @ blocks[s - 1, t]
            blocks[t, s] = blocks[s, t].T
    states = np.block([[blocks[t, s] for s in range(n_steps)] for t in range(n_steps)])
    H = np.kron(np.eye(n_steps), np.hstack([space.C[0], np.zeros((3, D - n))]))
    return states, H, H @ states @ H.T + np.kron(np.eye(n_steps), np.diag(space.R[0]))


def test_filter_smoother_and_forecast_equal_the_joint_normal():
    space, prior = small_system()
    n_steps, n_ahead = 6, 3
    states, H, seen = joint_normal(space, prior, n_steps + n_ahead)
    rng = np.random.default_rng(0)
    y = rng.normal(size=(n_steps, 3)) + 1
    y[1, 2] = y[3] = np.nan
    known = np.flatnonzero(np.r_[~np.isnan(y.ravel()), np.zeros(3 * n_ahead, bool)])
    value = y.ravel()[known] - 1
    S = seen[np.ix_(known, known)]
    cross = states @ H.T[:, known]
    mean = cross @ np.linalg.solve(S, value)
    cov = states - cross @ np.linalg.solve(S, cross.T)

    filtered = kalman_filter(space, prior, y[None], np.array([n_steps]))
    likelihood = -0.5 * (value @ np.linalg.solve(S, value) + np.linalg.slogdet(2 * np.pi * S)[1])
    np.testing.assert_allclose(filtered.log_likelihood, [likelihood])
    smoothed = smooth(space, filtered, np.array([n_steps]))
    np.testing.assert_allclose(smoothed.mean[0].ravel(), mean[: 4 * n_steps], atol=1e-10)
    for t in range(n_steps):
        here = slice(4 * t, 4 * t + 4)
        np.testing.assert_allclose(smoothed.cov[0, t], cov[here, here], atol=1e-10)
        if t:
            np.testing.assert_allclose(smoothed.cross[0, t - 1], cov[4 * t : 4 * t + 2, 4 * t - 4 : 4 * t], atol=1e-10)
    point, variance = space.forecast(filtered.mean[:, -1], filtered.cov[:, -1], n_ahead)
    np.testing.assert_allclose(point[0].ravel(), 1 + (H @ mean)[3 * n_steps :])
    expected = np.diag(H @ cov @ H.T)[3 * n_steps :] + np.tile(space.R[0], n_ahead)
    np.testing.assert_allclose(variance[0].ravel(), expected)


def test_paths_have_the_covariance_of_the_joint_normal():
    space, prior = small_system()
    _, _, seen = joint_normal(space, prior, 4)
    start = np.zeros((1, 4))
    paths = space.sample(start, prior, 3, 50_000, np.random.default_rng(0))
    np.testing.assert_allclose(np.cov(paths.reshape(50_000, -1).T), seen[3:, 3:], atol=0.05)


def test_shorter_series_end_where_they_end():
    space, prior = small_system()
    rng = np.random.default_rng(0)
    y = np.full((2, 8, 3), np.nan)
    y[0], y[1, :5] = rng.normal(size=(8, 3)), rng.normal(size=(5, 3))
    lengths = np.array([8, 5])
    both = space[[0, 0]]
    filtered = kalman_filter(both, prior[[0, 0]], y, lengths)
    alone = kalman_filter(space, prior, y[1:, :5], lengths[1:])
    np.testing.assert_allclose(filtered.mean[1, -1], alone.mean[0, -1])
    np.testing.assert_allclose(filtered.log_likelihood[1], alone.log_likelihood[0])
    smoothed, expected = smooth(both, filtered, lengths), smooth(space, alone, lengths[1:])
    np.testing.assert_allclose(smoothed.mean[1, :5], expected.mean[0])
    np.testing.assert_allclose(smoothed.cross[1, :4], expected.cross[0])


def simulated_system(n_steps, seed=0):
    """A turning and fading state in two dimensions, seen in five variables."""
    rng = np.random.default_rng(seed)
    A = 0.95 * np.array([[np.cos(0.4), -np.sin(0.4)], [np.sin(0.4), np.cos(0.4)]])
    C = rng.normal(size=(5, 2))
    x = np.zeros((n_steps, 2))
    for t in range(1, n_steps):
        x[t] = A @ x[t - 1] + rng.normal(size=2)
    return pd.DataFrame(x @ C.T + 0.5 * rng.normal(size=(n_steps, 5)) + 10), A


@pytest.mark.parametrize("share", [0.0, 0.3])
@pytest.mark.parametrize(("state_dim", "order"), [(2, 1), (1, 3), (3, 2)])
def test_the_likelihood_never_falls(state_dim, order, share):
    y = with_missing(simulated_system(80)[0], share)
    forecaster = LinearDynamicalForecaster(state_dim, order, max_iter=25, tol=0, missing="mask").fit(y)
    gains = np.diff(forecaster.log_likelihoods_[0])
    assert len(gains) == forecaster.n_iter_[0]
    assert gains.min() > -1e-6
    assert gains[0] > 0


@pytest.mark.parametrize("share", [0.0, 0.2])
def test_eigenvalues_are_found_again(share, global_random_seed):
    y, A = simulated_system(500, global_random_seed)
    forecaster = LinearDynamicalForecaster(2, max_iter=20, missing="mask").fit(with_missing(y, share))
    found = np.linalg.eigvals(forecaster.A_[0, 0])
    np.testing.assert_allclose(np.sort_complex(found), np.sort_complex(np.linalg.eigvals(A)), atol=0.1)
    np.testing.assert_allclose(forecaster.noise_variance_[0].mean(), 0.25, rtol=0.4)
    np.testing.assert_allclose(forecaster.mean_[0], with_missing(y, share).mean())


def test_higher_order_finds_the_roots_of_an_autoregression():
    rng = np.random.default_rng(0)
    x = np.zeros(500)
    for t in range(2, 500):
        x[t] = 1.6 * x[t - 1] - 0.8 * x[t - 2] + rng.normal()
    y = x + 0.3 * rng.normal(size=500)
    forecaster = LinearDynamicalForecaster(order=2, max_iter=30).fit(y)
    assert forecaster.A_.shape == (1, 2, 1, 1)
    np.testing.assert_allclose(forecaster.A_.ravel(), [1.6, -0.8], atol=0.06)


def test_attributes_make_the_log_likelihood():
    y = simulated_system(60)[0]
    forecaster = LinearDynamicalForecaster(2, max_iter=4, tol=0).fit(y)
    assert forecaster.A_.shape == (1, 1, 2, 2)
    assert forecaster.C_.shape == (1, 5, 2)
    W = forecaster.W_
    np.testing.assert_array_equal(W, np.tril(W))
    space = StateSpace(
        companion(forecaster.A_),
        np.zeros((1, 2)),
        W @ W.swapaxes(1, 2),
        forecaster.C_,
        forecaster.noise_variance_,
        forecaster.mean_,
    )
    filtered = kalman_filter(space, forecaster._prior, y.to_numpy()[None], np.array([60]))
    np.testing.assert_allclose(filtered.log_likelihood, forecaster.log_likelihoods_[:, -1])


def test_missing_values_hardly_move_a_forecast():
    y = simulated_system(150)[0]
    whole = LinearDynamicalForecaster(2).fit(y)
    holes = with_missing(y, 0.2)
    holes.iloc[-1] = np.nan
    parts = LinearDynamicalForecaster(2, missing="mask").fit(holes)
    error = np.abs(parts.predict(fh=range(1, 6)) - whole.predict(fh=range(1, 6)))
    assert (error < 2 * np.sqrt(whole.predict_var(fh=range(1, 6)))).all(axis=None)
    assert (parts.predict_var(fh=1) > whole.predict_var(fh=1)).all(axis=None)


def test_series_converge_each_on_its_own():
    y = make_panel((40, 30, 60), n_variables=1)
    forecaster = LinearDynamicalForecaster().fit(y)
    table = forecaster.log_likelihoods_
    assert len(set(forecaster.n_iter_)) > 1
    assert table.shape == (3, forecaster.n_iter_.max() + 1)
    np.testing.assert_array_equal((~np.isnan(table)).sum(axis=1), forecaster.n_iter_ + 1)


def test_random_state_is_the_seed_of_samples():
    forecaster = LinearDynamicalForecaster(max_iter=2, random_state=3).fit(simulated_system(30)[0])
    first = forecaster.sample(fh=[1, 2], n_samples=2)
    pd.testing.assert_frame_equal(first, forecaster.sample(fh=[1, 2], n_samples=2))
    assert not first.equals(forecaster.sample(fh=[1, 2], n_samples=2, random_state=4))


# -- what they refuse


@pytest.mark.parametrize(
    ("forecaster", "match"),
    [
        (NaiveForecaster("first"), r"'strategy' parameter of NaiveForecaster must be a str among .* Got 'first'"),
        (NaiveForecaster(season_length=0), r"'season_length' .* must be an int in the range \[1, inf\) or a str among"),
        (NaiveForecaster(missing="drop"), r"'missing' .* must be a str among .* Got 'drop'"),
        (NaiveForecaster(gaps="drop"), r"'gaps' .* must be a str among .* Got 'drop'"),
        (NaiveForecaster(freq=3), r"'freq' parameter .* Got 3"),
        (AutoregressiveForecaster(-1), r"'order' .* must be an int in the range \[0, inf\) or a str among .* Got -1"),
        (AutoregressiveForecaster(criterion="hqic"), r"'criterion' .* must be a str among .* Got 'hqic'"),
        (AutoregressiveForecaster(max_order=-1), r"'max_order' .* must be an int in the range \[0, inf\)"),
        (AutoregressiveForecaster(trend="ct"), r"'trend' .* must be a str among .* Got 'ct'"),
        (LinearDynamicalForecaster(0), r"'state_dim' .* must be an int in the range \[1, inf\) or a str among"),
        (LinearDynamicalForecaster(order=0), r"'order' .* must be an int in the range \[1, inf\). Got 0"),
        (LinearDynamicalForecaster(max_iter=0), r"'max_iter' .* must be an int in the range \[1, inf\). Got 0"),
        (LinearDynamicalForecaster(tol=-1.0), r"'tol' .* must be a float in the range \[0.0, inf\). Got -1.0"),
        (
            LinearDynamicalForecaster(3),
            r"state_dim must be at most the number of variables, 2 in y, got 3\. Lower it, and raise order",
        ),
        (
            AutoregressiveForecaster(4),
            r"y must have 14 steps or more, but series 's1' has 12, from 2020Q2 to 2023Q1: order=4 needs them for 2 "
            r"variable\(s\); lower order, or leave the series out\.",
        ),
        (
            LinearDynamicalForecaster(order=4),
            r"y must have 14 steps or more, but series 's1' has 12, .*: state_dim=2 and order=4 need them; lower order",
        ),
    ],
    ids=lambda value: str(value) if isinstance(value, str) else "",
)
def test_bad_parameters(forecaster, match):
    with pytest.raises(ValueError, match=match):
        forecaster.fit(make_panel())


def test_one_step_is_too_short_for_an_autoregression():
    with pytest.raises(ValueError, match=r"y must have 2 steps or more, but the series has 1, .* pass more steps"):
        AutoregressiveForecaster().fit(np.array([1.0]))


def test_histories_shorter_than_the_order_are_refused():
    forecaster = AutoregressiveForecaster(3).fit(make_panel())
    with pytest.raises(ValueError, match=r"y must have 3 steps or more, but series 's0' has 2, .* start from that"):
        forecaster.predict(fh=1, y=make_panel().groupby("series").head(2))


@pytest.mark.parametrize("forecaster", [AutoregressiveForecaster(1), LinearDynamicalForecaster(max_iter=1)])
def test_series_without_a_model_are_refused(forecaster):
    y = make_panel()
    forecaster.fit(y)
    with pytest.raises(ValueError, match=r"y must hold series of fit, .*, got series 'new'\. Leave it out, or fit"):
        forecaster.predict(fh=1, y=y.rename(index={"s1": "new"}))
    order = ["s2", "s0"]
    expected = forecaster.predict(fh=1).loc[order]
    np.testing.assert_allclose(forecaster.predict(fh=1, y=pd.concat([y.loc[[name]] for name in order])), expected)
