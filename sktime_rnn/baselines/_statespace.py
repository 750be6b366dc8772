"""Linear Gaussian state spaces of many series at once: forecasts, sample paths, Kalman filter, RTS smoother.

    s_t = F s_{t-1} + (c + w_t, 0, ..., 0),   w_t ~ N(0, Q)
    y_t = m + C x_t + u_t,                    u_t ~ N(0, diag(R)),   x_t the first n of s_t

Shapes: S series, T steps of the longest, H steps ahead, V variables, n dimensions of x, d order, D = n d of the
companion state s_t = (x_t, x_{t-1}, ..., x_{t-d+1}).

References
----------
R. H. Shumway and D. S. Stoffer (1982). An approach to time series smoothing and forecasting using the EM algorithm.
Journal of Time Series Analysis 3(4), 253-264.
"""

from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np

from sktime_rnn.baselines._gaussian import root


def companion(A):
    """Return the companion matrix of an autoregression.

    Parameters
    ----------
    A : float64 ndarray of shape (S, d, n, n)
        Weights of x_{t-1}, ..., x_{t-d}.

    Returns
    -------
    F : float64 ndarray of shape (S, D, D)
        A_1, ..., A_d in its first n rows, ones below that move everything down by n.
    """
    n_series, order, n, _ = A.shape
    F = np.zeros((n_series, n * order, n * order))
    F[:, :n] = A.transpose(0, 2, 1, 3).reshape(n_series, n, n * order)
    F[:, n:, : n * (order - 1)] = np.eye(n * (order - 1))
    return F


def lag_weights(F, n):
    """Return what a companion matrix was made of.

    Parameters
    ----------
    F : float64 ndarray of shape (S, D, D)
        Of :func:`companion`.
    n : int
        Dimensions of x.

    Returns
    -------
    A : float64 ndarray of shape (S, d, n, n)
        Weights of x_{t-1}, ..., x_{t-d}.
    """
    return F[:, :n].reshape(len(F), n, -1, n).swapaxes(1, 2).copy()


@dataclass(frozen=True)
class StateSpace:
    """One state space for each of S series.

    Attributes
    ----------
    F : float64 ndarray of shape (S, D, D)
        Companion matrix.
    c : float64 ndarray of shape (S, n)
        Constant of the state equation.
    Q : float64 ndarray of shape (S, n, n)
        Covariance of its noise.
    C : float64 ndarray of shape (S, V, n)
        What the state shows.
    R : float64 ndarray of shape (S, V)
        Variances of the noise of what is observed.
    m : float64 ndarray of shape (S, V)
        Its mean.
    """

    F: np.ndarray
    c: np.ndarray
    Q: np.ndarray
    C: np.ndarray
    R: np.ndarray
    m: np.ndarray

    def __getitem__(self, series):
        return StateSpace(*(getattr(self, field.name)[series] for field in fields(self)))

    @property
    def n(self):
        """Dimensions of x."""
        return self.Q.shape[-1]

    def step(self, mean, covariance):
        """Return mean (S, D) and covariance (S, D, D) of the next state."""
        mean = (self.F @ mean[..., None])[..., 0]
        mean[:, : self.n] += self.c
        covariance = self.F @ covariance @ self.F.swapaxes(1, 2)
        covariance[:, : self.n, : self.n] += self.Q
        return mean, covariance

    def forecast(self, mean, covariance, n_steps):
        """Return mean and variance of what is observed in the steps after a state.

        Parameters
        ----------
        mean : float64 ndarray of shape (S, D)
            Mean of the last state.
        covariance : float64 ndarray of shape (S, D, D)
            Its covariance.
        n_steps : int
            H.

        Returns
        -------
        mean, variance : float64 ndarray of shape (S, H, V)
            Of y.
        """
        means, variances = np.empty((2, len(mean), n_steps, self.m.shape[1]))
        for h in range(n_steps):
            mean, covariance = self.step(mean, covariance)
            means[:, h] = self.m + (self.C @ mean[:, : self.n, None])[..., 0]
            seen = self.C @ covariance[:, : self.n, : self.n]
            variances[:, h] = (seen * self.C).sum(axis=2) + self.R
        return means, variances

    def sample(self, mean, covariance, n_steps, n_samples, rng):
        """Draw joint paths of the steps after a state.

        Parameters
        ----------
        mean, covariance, n_steps
            As in :meth:`forecast`.
        n_samples : int
            Number of paths.
        rng : numpy.random.Generator
            Where they are drawn from.

        Returns
        -------
        paths : float64 ndarray of shape (n_samples, S, H, V)
            Of y.
        """
        n_series, n_variables = self.m.shape
        start, moved = root(covariance), root(self.Q)
        states = mean[..., None] + start @ rng.standard_normal((n_samples, *mean.shape, 1))  # (n_samples, S, D, 1)
        paths = np.empty((n_samples, n_series, n_steps, n_variables))
        for h in range(n_steps):
            states = self.F @ states
            noise = moved @ rng.standard_normal((n_samples, n_series, self.n, 1))
            states[:, :, : self.n] += self.c[..., None] + noise
            paths[:, :, h] = self.m + (self.C @ states[:, :, : self.n])[..., 0]
        return paths + np.sqrt(self.R)[:, None] * rng.standard_normal(paths.shape)


class Filtered(NamedTuple):
    """States given what was observed before them, and up to them.

    ``before`` and ``mean`` (S, T, D), ``cov_before`` and ``cov`` (S, T, D, D), ``log_likelihood`` (S,). After the end
    of a series its last state is repeated.
    """

    before: np.ndarray
    cov_before: np.ndarray
    mean: np.ndarray
    cov: np.ndarray
    log_likelihood: np.ndarray


class Smoothed(NamedTuple):
    """States given all that was observed: ``mean`` (S, T, D), ``cov`` (S, T, D, D) and, beside the next one, ``cross``.

    ``cross`` (S, T - 1, n, D) is the covariance of x_{t+1} and s_t. What stands after the end of a series means
    nothing.
    """

    mean: np.ndarray
    cov: np.ndarray
    cross: np.ndarray


def kalman_filter(space, prior, y, lengths):
    """Filter the states of many series.

    An update costs matrices of n x n whatever the number of variables: with M = C' R^-1 C over the observed variables
    and L L' = M, the covariance falls by P L (I + L' P L)^-1 L' P, P the covariance of x.

    Parameters
    ----------
    space : StateSpace
        One for each series.
    prior : float64 ndarray of shape (S, D, D)
        Covariance of the first state, whose mean is 0.
    y : float64 ndarray of shape (S, T, V)
        What was observed; NaN where nothing was, and after the end of a series.
    lengths : int64 ndarray of shape (S,)
        Number of steps of each series.

    Returns
    -------
    filtered : Filtered
        The states.
    """
    n_series, n_steps, _ = y.shape
    n, D = space.n, prior.shape[1]
    seen = ~np.isnan(y)
    error = np.where(seen, y - space.m[:, None], 0)
    weight = seen / space.R[:, None]  # (S, T, V)
    products = (space.C[..., :, None] * space.C[..., None, :]).reshape(n_series, -1, n * n)
    L = root((weight @ products).reshape(n_series, n_steps, n, n))
    before, mean = np.empty((2, n_series, n_steps, D))
    cov_before, cov = np.empty((2, n_series, n_steps, D, D))
    log_likelihood = -0.5 * (seen * np.log(2 * np.pi * space.R[:, None])).sum(axis=(1, 2))
    a, P = np.zeros((n_series, D)), prior
    for t in range(n_steps):
        if t:
            inside = t < lengths
            next_a, next_P = space.step(a, P)
            a, P = np.where(inside[:, None], next_a, a), np.where(inside[:, None, None], next_P, P)
        before[:, t], cov_before[:, t] = a, P
        e = error[:, t] - (space.C @ a[:, :n, None])[..., 0]
        b = ((weight[:, t] * e)[:, None] @ space.C)[:, 0]  # (S, n), C' R^-1 e
        gain = P[:, :, :n] @ L[:, t]  # (S, D, n)
        inner = np.eye(n) + L[:, t].swapaxes(1, 2) @ gain[:, :n]
        P = P - gain @ np.linalg.solve(inner, gain.swapaxes(1, 2))
        P = (P + P.swapaxes(1, 2)) / 2
        shift = (P[:, :, :n] @ b[..., None])[..., 0]
        a = a + shift
        log_likelihood -= 0.5 * (np.linalg.slogdet(inner)[1] + (weight[:, t] * e**2).sum(1) - (b * shift[:, :n]).sum(1))
        mean[:, t], cov[:, t] = a, P
    return Filtered(before, cov_before, mean, cov, log_likelihood)


def smooth(space, filtered, lengths):
    """Smooth filtered states from the end of each series to its start (Rauch, Tung and Striebel).

    Parameters
    ----------
    space : StateSpace
        One for each series.
    filtered : Filtered
        Of the Kalman filter.
    lengths : int64 ndarray of shape (S,)
        Number of steps of each series.

    Returns
    -------
    smoothed : Smoothed
        The states.
    """
    mean, cov = filtered.mean.copy(), filtered.cov.copy()
    n_series, n_steps, D = mean.shape
    cross = np.zeros((n_series, n_steps - 1, space.n, D))
    for t in range(n_steps - 2, -1, -1):
        inside = t + 1 < lengths
        J = np.linalg.solve(filtered.cov_before[:, t + 1], space.F @ filtered.cov[:, t]).swapaxes(1, 2)
        moved = mean[:, t] + (J @ (mean[:, t + 1] - filtered.before[:, t + 1])[..., None])[..., 0]
        less = cov[:, t] + J @ (cov[:, t + 1] - filtered.cov_before[:, t + 1]) @ J.swapaxes(1, 2)
        cross[:, t] = cov[:, t + 1, : space.n] @ J.swapaxes(1, 2)
        mean[:, t] = np.where(inside[:, None], moved, mean[:, t])
        cov[:, t] = np.where(inside[:, None, None], (less + less.swapaxes(1, 2)) / 2, cov[:, t])
    return Smoothed(mean, cov, cross)
