"""Linear dynamical system with a hidden state, fitted by EM.

Shapes: S series, T steps of the longest, H steps ahead, V variables, n dimensions of the state x, d its order,
D = n d of the companion state.
"""

from dataclasses import replace
from numbers import Integral, Real

import numpy as np
import pandas as pd

from sktime_rnn.base import Interval, StrOptions
from sktime_rnn.baselines._autoregressive import solve, triangles
from sktime_rnn.baselines._gaussian import (
    READING,
    GaussianForecaster,
    blocks,
    check_lengths,
    padded,
    rows_of,
    standardised,
)
from sktime_rnn.baselines._statespace import StateSpace, companion, kalman_filter, lag_weights, smooth

_LEAST_Q, _LEAST_R = 1e-10, 1e-6  # of variances, in units of those of the variables: keeps the filter's digits
_START = 0.1  # share of the state's noise that variables get of their own before the first iteration
_MAX_DIM = 10


def start(filled, lengths, n, order):
    """Return the system that EM starts from: C by SVD, A by least squares (Doretto and others 2003).

    Parameters
    ----------
    filled : float64 ndarray of shape (S, T, V)
        The series, standardised, without missing values, 0 after the end.
    lengths : int64 ndarray of shape (S,)
        Number of steps of each.
    n, order : int
        Dimensions of the state, and d.

    Returns
    -------
    space : StateSpace
        The system.
    prior : float64 ndarray of shape (S, D, D)
        Covariance of its first state.
    """
    n_series, n_steps, n_variables = filled.shape
    if n_steps < n_variables:
        filled = np.pad(filled, [(0, 0), (0, n_variables - n_steps), (0, 0)])
    C = np.linalg.svd(filled, full_matrices=False)[2][:, :n].swapaxes(1, 2)  # (S, V, n)
    x = filled @ C
    orders = np.full(n_series, order)
    R = triangles(x, lengths, orders, constant=False)
    _, A, rss = solve(R, n, constant=False)
    n_rows = (lengths - order)[:, None, None]
    Q = rss / n_rows + _LEAST_Q * np.eye(n)
    left = np.square(filled - x @ C.swapaxes(1, 2)).sum(axis=1) / lengths[:, None]
    noise = left + _START * ((C @ Q) * C).sum(axis=2) + _LEAST_R
    D = n * order
    prior = R[:, :, :D].swapaxes(1, 2) @ R[:, :, :D] / n_rows  # of the d states before each step
    size = np.trace(prior, axis1=1, axis2=2) / D
    prior += (0.01 * size + _LEAST_R)[:, None, None] * np.eye(D)
    zero = np.zeros((n_series, n))
    return StateSpace(companion(A), zero, Q, C, noise, np.zeros((n_series, n_variables))), prior


def maximise(space, smoothed, y, lengths):
    """Return the system under which the smoothed states are likeliest: the M step.

    Of the companion matrix only the first n rows are estimated: A_1, ..., A_d.

    Parameters
    ----------
    space : StateSpace
        The system so far.
    smoothed : Smoothed
        States given all that was observed under it.
    y : float64 ndarray of shape (S, T, V)
        What was observed; NaN where nothing was.
    lengths : int64 ndarray of shape (S,)
        Number of steps of each series.

    Returns
    -------
    space : StateSpace
        The new one.
    """
    n_series, n_steps, n_variables = y.shape
    n = space.n
    mean, cov = smoothed.mean, smoothed.cov
    here = (np.arange(1, n_steps) < lengths[:, None])[:, :, None]  # steps that have one before them
    x, s = mean[:, 1:, :n] * here, mean[:, :-1] * here
    now = (cov[:, 1:, :n, :n] * here[..., None]).sum(axis=1) + x.swapaxes(1, 2) @ x
    past = (cov[:, :-1] * here[..., None]).sum(axis=1) + s.swapaxes(1, 2) @ s
    both = (smoothed.cross * here[..., None]).sum(axis=1) + x.swapaxes(1, 2) @ s  # (S, n, D)
    A = np.linalg.solve(past, both.swapaxes(1, 2)).swapaxes(1, 2)
    F = space.F.copy()
    F[:, :n] = A
    Q = _at_least((now - A @ both.swapaxes(1, 2)) / (lengths - 1)[:, None, None], _LEAST_Q)

    seen = ~np.isnan(y)
    x, value = mean[:, :, :n], np.where(seen, y, 0)
    second = cov[:, :, :n, :n] + x[..., :, None] * x[..., None, :]  # (S, T, n, n)
    weights = seen.swapaxes(1, 2).astype(np.float64)  # (S, V, T)
    moments = (weights @ second.reshape(n_series, n_steps, -1)).reshape(n_series, n_variables, n, n)
    C = np.linalg.solve(moments, (value.swapaxes(1, 2) @ x)[..., None])[..., 0]  # (S, V, n)
    spread = (weights @ cov[:, :, :n, :n].reshape(n_series, n_steps, -1)).reshape(moments.shape)
    error = np.square(np.where(seen, y - x @ C.swapaxes(1, 2), 0)).sum(axis=1)
    error += (C[:, :, None] @ spread @ C[..., None])[..., 0, 0]
    R = np.maximum(error / seen.sum(axis=1), _LEAST_R)
    return replace(space, F=F, Q=Q, C=C, R=R)


def _at_least(covariance, least):
    """Lift eigenvalues to the least one: the likeliest covariance among those that have no smaller."""
    eigenvalues, vectors = np.linalg.eigh((covariance + covariance.swapaxes(1, 2)) / 2)
    return (vectors * np.maximum(eigenvalues, least)[:, None]) @ vectors.swapaxes(1, 2)


def expectation_maximisation(space, prior, y, lengths, max_iter, tol):
    """Fit systems to series by EM; a series that has converged is left as it is.

    Parameters
    ----------
    space : StateSpace
        Where to start.
    prior : float64 ndarray of shape (S, D, D)
        Covariance of the first state, which stays.
    y : float64 ndarray of shape (S, T, V)
        The series; NaN where nothing was observed.
    lengths : int64 ndarray of shape (S,)
        Number of steps of each.
    max_iter : int
        Most iterations.
    tol : float
        Gain of log-likelihood for each step that is too small to go on.

    Returns
    -------
    space : StateSpace
        The systems.
    log_likelihoods : float64 ndarray of shape (S, max_iter + 1)
        At the start and after each iteration; NaN once a series has converged.
    """
    space = StateSpace(*(array.copy() for array in vars(space).values()))
    table = np.full((len(y), max_iter + 1), np.nan)
    going = np.arange(len(y))
    for iteration in range(max_iter + 1):
        n_steps = lengths[going].max()
        part, part_y, part_lengths = space[going], y[going, :n_steps], lengths[going]
        filtered = kalman_filter(part, prior[going], part_y, part_lengths)
        table[going, iteration] = filtered.log_likelihood
        if iteration == max_iter:
            break
        if iteration:
            gain = (table[going, iteration] - table[going, iteration - 1]) / part_lengths
            left = gain >= tol
            going = going[left]
            if not len(going):
                break
            part, part_y, part_lengths = part[left], part_y[left], part_lengths[left]
            filtered = type(filtered)(*(array[left] for array in filtered))
        new = maximise(part, smooth(part, filtered, part_lengths), part_y, part_lengths)
        for name, array in vars(new).items():
            getattr(space, name)[going] = array
    return space, table


class LinearDynamicalForecaster(GaussianForecaster):
    r"""Linear dynamical system: a hidden state that moves linearly, and is seen with noise.

    .. math::

        x_t &= A_1 x_{t-1} + \dots + A_d x_{t-d} + W v_t, \quad v_t \sim N(0, I) \\
        y_t &= \mu + C x_t + u_t, \quad u_t \sim N(0, \operatorname{diag}(r))

    with states x_t (n,), noise v_t (n,), and steps y_t (n_variables,); mu is their mean. EM starts from the first n
    singular vectors as C and least squares as A, and goes on with a Kalman filter, a Rauch-Tung-Striebel smoother and
    the likeliest system given the smoothed states. An order above 1 runs as the companion form of the states
    x_t, ..., x_{t-d+1}, of which only A_1, ..., A_d are estimated. Missing values are left out of the filter. Each
    series of a panel has a model of its own.

    Parameters
    ----------
    state_dim : int or "auto", default="auto"
        Dimensions n of the state, at most as many as there are variables; "auto" is their number, or 10 of more.
    order : int, default=1
        Number of states d that the next one depends on.
    max_iter : int, default=100
        Most iterations of EM.
    tol : float, default=1e-4
        EM ends where the log-likelihood, divided by the number of steps, gains less than this.
    missing : {"error", "mask"}, default="error"
        Refuse NaN in y, or let them pass as not observed.
    gaps : {"error", "fill"}, default="error"
        Refuse steps that are not there, or read them as missing values.
    freq : str or DateOffset, default=None
        Frequency of dates that do not tell it.
    random_state : int, RandomState or None, default=None
        Seed of ``sample``; ``fit`` draws nothing.

    Attributes
    ----------
    A_ : ndarray of shape (n_series, order, n, n)
        ``A_[i, k - 1]`` is A_k of series i. A single series is series 0.
    C_ : ndarray of shape (n_series, n_variables, n)
        What the states show.
    W_ : ndarray of shape (n_series, n, n)
        Lower triangular; W W' is the covariance of a state given those before it.
    noise_variance_ : ndarray of shape (n_series, n_variables)
        The variances r.
    mean_ : ndarray of shape (n_series, n_variables)
        Means of the observed values, mu.
    log_likelihoods_ : ndarray of shape (n_series, n_iterations + 1)
        Log-likelihood at the start and after each iteration; it never falls. NaN once a series has converged.
    n_iter_ : int ndarray of shape (n_series,)
        Iterations of each series.
    horizon_ : int
        Number of steps that ``predict`` gives where nobody says.
    cutoff : Index or Series
        The last time stamp seen.

    Raises
    ------
    ValueError
        From ``fit``, where ``state_dim`` is larger than the number of variables, or a series is too short; from
        ``predict``, where a series of y was not in ``fit``.

    Notes
    -----
    Another basis of the state gives the same forecasts: of A only the eigenvalues of its companion form are its own.
    The state before the first step has mean 0 and a covariance that EM leaves as the singular vectors suggest it.
    Variables are divided by their standard deviation for the fit, so that units do not matter; in these units r stays
    above 1e-6, and the eigenvalues of W W' above 1e-10. Nothing keeps a system from growing: a series that did is
    forecast to go on. Where ``n_iter_`` is ``max_iter``, EM may not have converged. Variances leave out that the
    parameters are estimates. ``update`` fits again, unless ``update_params=False``. The steps are a loop in Python,
    which all series of a panel pass together.

    References
    ----------
    M. Hyndman, A. D. Jepson and D. J. Fleet (2007). Higher-order autoregressive models for dynamic textures. British
    Machine Vision Conference.

    G. Doretto, A. Chiuso, Y. N. Wu and S. Soatto (2003). Dynamic textures. International Journal of Computer Vision
    51(2), 91-109.

    R. H. Shumway and D. S. Stoffer (1982). An approach to time series smoothing and forecasting using the EM
    algorithm. Journal of Time Series Analysis 3(4), 253-264.

    Examples
    --------
    >>> from sktime_rnn.baselines import LinearDynamicalForecaster
    >>> from sktime_rnn.datasets import load_airpassengers
    >>> forecaster = LinearDynamicalForecaster(order=13, max_iter=20).fit(load_airpassengers())
    >>> forecaster.predict(fh=[1, 2]).round(-1)
    Period
    1961-01    450.0
    1961-02    410.0
    Freq: M, Name: Number of airline passengers, dtype: float64
    """

    _parameter_constraints: dict = {
        "state_dim": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "order": [Interval(Integral, 1, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        **READING,
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        state_dim="auto",
        order=1,
        *,
        max_iter=100,
        tol=1e-4,
        missing="error",
        gaps="error",
        freq=None,
        random_state=None,
    ):
        self.state_dim = state_dim
        self.order = order
        self.max_iter = max_iter
        self.tol = tol
        self.missing = missing
        self.gaps = gaps
        self.freq = freq
        self.random_state = random_state

    def _fit(self, known, n_steps):
        data = known.data
        n = self._check_dim(data)
        least = self.order * (n + 1) + 2
        check_lengths(data, least, f"state_dim={n} and order={self.order} need them; lower order or state_dim")
        flat, mean, scale = standardised(data)
        rows = pd.DataFrame(flat).groupby(rows_of(data)[0])
        filled = rows.ffill().fillna(rows.bfill()).to_numpy()  # just to start from
        parts, owners = [], []
        for block in blocks(data.lengths, (n * self.order) ** 2):
            lengths = data.lengths[block]
            system, prior = start(padded(replace(data, values=filled).take(block)), lengths, n, self.order)
            y = padded(replace(data, values=flat).take(block), np.nan)
            system, table = expectation_maximisation(system, prior, y, lengths, self.max_iter, self.tol)
            parts.append((*vars(system).values(), prior, table))
            owners.append(block)
        order = np.argsort(np.concatenate(owners))
        *arrays, prior, table = (np.concatenate(part)[order] for part in zip(*parts, strict=True))
        system = StateSpace(*arrays)
        self.n_iter_ = (~np.isnan(table)).sum(axis=1) - 1
        seen = np.add.reduceat(~np.isnan(flat), data.offsets[:-1], axis=0, dtype=np.int64)
        self.log_likelihoods_ = table[:, : self.n_iter_.max() + 1] - (seen * np.log(scale)).sum(axis=1)[:, None]
        self.A_ = lag_weights(system.F, n)
        self.C_ = system.C * scale[..., None]
        self.W_ = np.linalg.cholesky(system.Q)
        self.noise_variance_, self.mean_ = system.R * scale**2, mean
        self._prior, self._names = prior, data.names

    def _check_dim(self, data):
        V = data.n_variables
        if self.state_dim == "auto":
            return min(V, _MAX_DIM)
        if self.state_dim > V:
            raise ValueError(
                f"state_dim must be at most the number of variables, {V} in y, got {self.state_dim}. Lower it, and "
                "raise order for a longer memory."
            )
        return self.state_dim

    def _system_of(self, model):
        """Return the system of each series."""
        W = self.W_[model]
        return StateSpace(
            companion(self.A_[model]),
            np.zeros(W.shape[:2]),
            W @ W.swapaxes(1, 2),
            self.C_[model],
            self.noise_variance_[model],
            self.mean_[model],
        )

    def _last_states(self, known):
        """Return the system of each series, and mean and covariance of its last state."""
        model = self._model_of(known.data)
        mean = np.empty((len(model), self._prior.shape[1]))
        cov = np.empty((len(model), *self._prior.shape[1:]))
        for block, _, filtered in self._filtered(known.data, model):
            mean[block], cov[block] = filtered.mean[:, -1], filtered.cov[:, -1]
        return self._system_of(model), mean, cov

    def _filtered(self, data, model):
        """Yield blocks of series, their systems and their states."""
        for block in blocks(data.lengths, self._prior[0].size):
            space = self._system_of(model[block])
            y = padded(data.take(block), np.nan)
            yield block, space, kalman_filter(space, self._prior[model[block]], y, data.lengths[block])

    def _moments(self, known, n_steps):
        space, mean, cov = self._last_states(known)
        return space.forecast(mean, cov, n_steps)

    def _paths(self, known, n_steps, n_samples, rng):
        space, mean, cov = self._last_states(known)
        return space.sample(mean, cov, n_steps, n_samples, rng)

    def _one_step(self, known):
        data = known.data
        values = np.empty_like(data.values)
        for block, space, filtered in self._filtered(data, self._model_of(data)):
            forecast = space.m[:, None] + filtered.before[:, :, : space.n] @ space.C.swapaxes(1, 2)
            forecast[:, 0] = np.nan
            inside = np.arange(forecast.shape[1]) < data.lengths[block, None]
            rows = data.offsets[block, None] + np.arange(forecast.shape[1])
            values[rows[inside]] = forecast[inside]
        return values

    def _update(self, known, n_new):
        self._fit(known, None)
