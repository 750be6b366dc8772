"""Linear autoregression of one or several variables by least squares.

Shapes: S series, T steps of the longest, H steps ahead, V variables, d order, P the largest order, K regressors.
"""

from dataclasses import replace
from numbers import Integral

import numpy as np

from sktime_rnn.base import Interval, StrOptions
from sktime_rnn.baselines._gaussian import (
    READING,
    GaussianForecaster,
    blocks,
    check_lengths,
    padded,
    rows_of,
    standardised,
)
from sktime_rnn.baselines._statespace import StateSpace, companion

_DEPENDENT = 1e-12  # singular values below this share of the largest count as zero
_EXACT = 1e-12  # residual variances below this share of the variance are rounding; none is better than another


def triangles(values, lengths, orders, constant):
    """Return the regression of every series on its past, reduced to a triangle by QR.

    Parameters
    ----------
    values : float64 ndarray of shape (S, T, V)
        The series, 0 after the end.
    lengths, orders : int64 ndarray of shape (S,)
        Number of steps, and of lags d, which are the first steps that are not explained.
    constant : bool
        Whether there is a constant.

    Returns
    -------
    R : float64 ndarray of shape (S, K + V, K + V)
        R' R = Z' Z, with a row (1, x_{t-1}, ..., x_{t-P}, x_t) of Z for each t from d on; lags past d are 0.
    """
    n_series, n_steps, n_variables = values.shape
    n_lags = int(orders.max(initial=0))
    K = constant + n_lags * n_variables
    Z = np.zeros((n_series, max(n_steps, K + n_variables), K + n_variables))
    Z[:, :, :constant] = 1
    for lag in range(1, min(n_lags, n_steps - 1) + 1):
        has_it = (orders >= lag)[:, None, None]
        start = constant + (lag - 1) * n_variables
        Z[:, lag:n_steps, start : start + n_variables] = np.where(has_it, values[:, :-lag], 0)
    Z[:, :n_steps, K:] = values
    step = np.arange(Z.shape[1])
    Z[(step < orders[:, None]) | (step >= lengths[:, None])] = 0
    return np.linalg.qr(Z, mode="r")


def solve(R, n_variables, constant):
    """Solve such a regression; of dependent lags it takes the least weights.

    Parameters
    ----------
    R : float64 ndarray of shape (S, K + V, K + V)
        Of :func:`triangles`.
    n_variables : int
        V.
    constant : bool
        Whether there is a constant.

    Returns
    -------
    c : float64 ndarray of shape (S, V)
        The constant.
    A : float64 ndarray of shape (S, P, V, V)
        Weights of the lags.
    rss : float64 ndarray of shape (S, V, V)
        Sums of products of residuals.
    """
    K = R.shape[2] - n_variables
    X, Y = R[:, :, :K], R[:, :, K:]
    weights = np.linalg.pinv(X, rcond=_DEPENDENT) @ Y  # (S, K, V)
    residual = Y - X @ weights
    c = weights[:, 0] if constant else np.zeros((len(R), n_variables))
    A = weights[:, constant:].reshape(len(R), -1, n_variables, n_variables).swapaxes(2, 3)
    return c, A, residual.swapaxes(1, 2) @ residual


def _chosen_orders(values, lengths, most, criterion, constant):
    """Return the order of each series with the least information criterion, on the steps that all orders explain.

    The rows of the triangle below the first k hold what the first k regressors leave over.
    """
    n_variables = values.shape[2]
    R = triangles(values, lengths, most, constant)
    n_rows = lengths - most
    price = np.log(n_rows) if criterion == "bic" else np.full(len(lengths), 2.0)
    scores = np.full((len(lengths), most.max(initial=0) + 1), np.inf)
    for order in range(scores.shape[1]):
        k = constant + order * n_variables
        left = R[:, k:, -n_variables:]
        covariance = left.swapaxes(1, 2) @ left / n_rows[:, None, None] + _EXACT * np.eye(n_variables)
        score = n_rows * np.linalg.slogdet(covariance)[1] + price * k * n_variables
        scores[:, order] = np.where(order <= most, score, np.inf)
    return scores.argmin(axis=1)


class AutoregressiveForecaster(GaussianForecaster):
    r"""Linear autoregression: each step is a linear function of the d steps before it.

    .. math:: x_t = c + A_1 x_{t-1} + \dots + A_d x_{t-d} + e_t, \quad e_t \sim N(0, \Sigma)

    with steps x_t (n_variables,), a constant c (n_variables,), and matrices A (n_variables, n_variables), by least
    squares: statsmodels' ``AutoReg(trend="c")`` for one variable, ``VAR`` for several. Each series of a panel has a
    model of its own. What is older than d steps does not move a forecast. The variance of step n + h is that of
    :math:`\sum_{j<h} \Psi_j e_{n+h-j}`, where :math:`\Psi_j` is the upper left block of the j-th power of the
    companion matrix.

    Parameters
    ----------
    order : int or "auto", default="auto"
        Number of lags d. "auto" takes the one with the least information criterion, for each series, from 0 to
        ``max_order``; they are compared on the same steps.
    criterion : {"aic", "bic"}, default="aic"
        n log det :math:`\hat\Sigma` + 2 k, or + k log n, with k coefficients and n steps.
    max_order : int or "auto", default="auto"
        Largest order that "auto" tries, or what the series has steps for. "auto" is Schwert's
        :math:`12 (n / 100)^{1/4}`, with two steps or more for each coefficient of an equation.
    trend : {"c", "n"}, default="c"
        With the constant c, or without.
    freq : str or DateOffset, default=None
        Frequency of dates that do not tell it.

    Attributes
    ----------
    order_ : int ndarray of shape (n_series,)
        Order of each series.
    coef_ : ndarray of shape (n_series, max_order, n_variables, n_variables)
        ``coef_[i, k - 1]`` is A_k of series i; 0 past its order. A single series is series 0.
    intercept_ : ndarray of shape (n_series, n_variables)
        The constants c.
    covariance_ : ndarray of shape (n_series, n_variables, n_variables)
        Covariance of e_t: sums of products of residuals, divided by the steps less the coefficients of an equation.
    horizon_ : int
        Number of steps that ``predict`` gives where nobody says.
    cutoff : Index or Series
        The last time stamp seen.

    Raises
    ------
    ValueError
        From ``fit``, where a series has fewer steps than the order needs; from ``predict``, where the series of y have
        fewer than d, or were not in ``fit``.

    Notes
    -----
    Where lags depend on each other linearly, as those of a straight line do, the least weights that fit are taken.
    Variances leave out that the coefficients are estimates. ``update`` fits again, unless ``update_params=False``.

    References
    ----------
    H. Lütkepohl (2005). New Introduction to Multiple Time Series Analysis. Springer, sections 2.2, 3.2 and 4.3.

    G. W. Schwert (1989). Tests for unit roots: a Monte Carlo investigation. Journal of Business & Economic Statistics
    7(2), 147-159.

    Examples
    --------
    >>> from sktime_rnn.baselines import AutoregressiveForecaster
    >>> from sktime_rnn.datasets import load_airpassengers
    >>> forecaster = AutoregressiveForecaster().fit(load_airpassengers())
    >>> forecaster.order_
    array([13])
    >>> forecaster.predict(fh=[1, 2]).round(1)
    Period
    1961-01    449.5
    1961-02    419.0
    Freq: M, Name: Number of airline passengers, dtype: float64
    """

    _parameter_constraints: dict = {
        "order": [Interval(Integral, 0, None, closed="left"), StrOptions({"auto"})],
        "criterion": [StrOptions({"aic", "bic"})],
        "max_order": [Interval(Integral, 0, None, closed="left"), StrOptions({"auto"})],
        "trend": [StrOptions({"c", "n"})],
        "freq": READING["freq"],
    }

    def __init__(self, order="auto", *, criterion="aic", max_order="auto", trend="c", freq=None):
        self.order = order
        self.criterion = criterion
        self.max_order = max_order
        self.trend = trend
        self.freq = freq

    def _fit(self, known, n_steps):
        data, constant = known.data, self.trend == "c"
        V = data.n_variables
        most = self._largest_orders(data, constant)
        orders = np.zeros(len(data), dtype=np.int64)
        c, center = np.zeros((2, len(data), V))
        A = np.zeros((len(data), most.max(), V, V))
        sigma = np.zeros((len(data), V, V))
        for block in blocks(data.lengths, constant + V * (most.max() + 1)):
            part = data.take(block)
            rows, center[block], scale = standardised(part, constant)
            values = padded(replace(part, values=rows))
            orders[block] = most[block]
            if self.order == "auto":
                orders[block] = _chosen_orders(values, part.lengths, most[block], self.criterion, constant)
            R = triangles(values, part.lengths, orders[block], constant)
            block_c, block_A, rss = solve(R, V, constant)
            free = part.lengths - orders[block] * (V + 1) - constant
            c[block] = block_c * scale
            A[block, : block_A.shape[1]] = block_A * (scale[:, None, :, None] / scale[:, None, None, :])
            sigma[block] = rss * (scale[:, :, None] * scale[:, None, :]) / free[:, None, None]
        self._names, self._center, self._constant = data.names, center, c
        self.order_, self.coef_, self.covariance_ = orders, A[:, : orders.max()], sigma
        self.intercept_ = c + center - (A.sum(axis=1) @ center[..., None])[..., 0]

    def _largest_orders(self, data, constant):
        """Return the order of each series, or the largest one to try; refuse series that are too short."""
        V, lengths = data.n_variables, data.lengths
        if self.order == "auto":
            check_lengths(data, constant + 1, "an autoregression needs them; pass more steps")
        else:
            least = self.order * (V + 1) + constant + 1  # more steps to explain than coefficients of an equation
            check_lengths(data, least, f"order={self.order} needs them for {V} variable(s); lower order")
        if self.order != "auto":
            return np.full(len(data), self.order)
        if self.max_order != "auto":
            return np.minimum(self.max_order, (lengths - constant - 1) // (V + 1))
        schwert = (12 * (lengths / 100) ** 0.25).astype(np.int64)
        return np.minimum(schwert, (lengths - 2) // (2 * V + 1)).clip(min=0)

    def _start(self, known):
        """Return the state space of each series, and its last state."""
        data = known.data
        model = self._model_of(data)
        order = self.order_[model]
        check_lengths(data, order, f"forecasts of order {order.max()} start from that many; pass more steps")
        A, center = self.coef_[model], self._center[model]
        if A.shape[1] == 0:
            A = np.zeros((len(data), 1, *A.shape[2:]))
        rows = data.offsets[1:, None] - 1 - np.arange(A.shape[1])  # the latest first
        inside = rows >= data.offsets[:-1, None]
        recent = np.where(inside[..., None], data.values[np.where(inside, rows, 0)] - center[:, None], 0)
        C = np.broadcast_to(np.eye(data.n_variables), (len(data), data.n_variables, data.n_variables))
        state = recent.reshape(len(data), -1)
        space = StateSpace(
            companion(A), self._constant[model], self.covariance_[model], C, np.zeros_like(center), center
        )
        return space, state, np.zeros((*state.shape, state.shape[1]))

    def _moments(self, known, n_steps):
        space, state, certain = self._start(known)
        return space.forecast(state, certain, n_steps)

    def _paths(self, known, n_steps, n_samples, rng):
        space, state, certain = self._start(known)
        return space.sample(state, certain, n_steps, n_samples, rng)

    def _one_step(self, known):
        data = known.data
        series, step = rows_of(data)
        model = self._model_of(data)[series]
        deviation = data.values - self._center[model]
        forecast = self._center[model] + self._constant[model]
        for lag in range(1, self.coef_.shape[1] + 1):
            rows = np.flatnonzero(step >= lag)
            forecast[rows] += np.einsum("nvw,nw->nv", self.coef_[model[rows], lag - 1], deviation[rows - lag])
        forecast[step < np.maximum(self.order_[model], 1)] = np.nan
        return forecast

    def _update(self, known, n_new):
        self._fit(known, None)
