"""Heads of values: points, and distributions.

Shapes: N rows, K outputs, Q quantiles.
"""

import math
from abc import abstractmethod

import torch
from torch.nn import functional as F

from sktime_rnn.heads._base import Head

POINT_LOSSES = {
    "squared_error": F.mse_loss,
    "absolute_error": F.l1_loss,
    "huber": F.huber_loss,
}


class PointHead(Head):
    """K values; the loss is taken on ``(y - loc) / scale``, predictions come back in the unit of y.

    Parameters
    ----------
    n_outputs : int
        Number K of values.
    loss : {"squared_error", "absolute_error", "huber"}, default="squared_error"
        The loss; Huber's turns from squared to absolute at one ``scale``.
    """

    feedbacks = known_feedbacks = ("raw",)

    def __init__(self, n_outputs, loss="squared_error"):
        super().__init__(n_outputs)
        self.loss_name = loss
        self.register_buffer("loc", torch.zeros(n_outputs, dtype=torch.float64))
        self.register_buffer("scale", torch.ones(n_outputs, dtype=torch.float64))

    def feedback(self, raw, how):
        """Return what is fed back of raw outputs (N, K): as they are."""
        return raw

    def known_feedback(self, y):
        """Return true values (..., K) as the network would put them out."""
        return (y.to(self.loc.dtype) - self.loc) / self.scale

    def losses(self, raw, y):
        """Return the loss of each value, (N, K)."""
        target = self.known_feedback(y).to(raw.dtype)
        return POINT_LOSSES[self.loss_name](raw, target, reduction="none")

    def predict(self, raw):
        """Return values in the unit of y, (N, K)."""
        return raw.to(self.loc) * self.scale + self.loc

    def quantiles(self, raw, alpha):
        """Return the prediction for every alpha, (N, K, Q): a point forecast knows no spread."""
        return self.predict(raw)[:, :, None].expand(-1, -1, len(alpha))


class DistributionHead(Head):
    """K values, each with a distribution of its own; raw is (N, K * n_params), the parameters of an output adjacent.

    Subclasses write :meth:`losses`, :meth:`predict` and :meth:`quantiles`, and ``start_bias``, the biases from which
    training starts for residuals whose mean size is known.
    """

    def parameters_of(self, raw):
        """Return the parameters, ``n_params`` tensors (N, K)."""
        return raw.unflatten(-1, (self.n_outputs, self.n_params)).unbind(-1)

    @abstractmethod
    def start_bias(self, spread):
        """Return biases (K, n_params) for outputs whose residuals have this mean absolute size (K,)."""

    @abstractmethod
    def quantiles(self, raw, alpha):
        """Return quantiles, (N, K, Q)."""


_TIGHTEST = -9.0  # bound of a log scale: likelihoods of constant series would grow without end


class NormalHead(DistributionHead):
    r"""K normally distributed values.

    .. math:: -\log p(y) = \log \sigma + \tfrac12 ((y - \mu) / \sigma)^2 + \tfrac12 \log 2 \pi

    with raw outputs mu and log sigma.
    """

    n_params = 2

    def losses(self, raw, y):
        """Return minus the log density, (N, K)."""
        mu, log_sigma = self.parameters_of(raw)
        log_sigma = log_sigma.clamp(min=_TIGHTEST)
        return log_sigma + 0.5 * ((y - mu) * torch.exp(-log_sigma)) ** 2 + 0.5 * math.log(2 * math.pi)

    def predict(self, raw):
        """Return the means, (N, K)."""
        return self.parameters_of(raw)[0]

    def quantiles(self, raw, alpha):
        """Return quantiles, (N, K, Q)."""
        mu, log_sigma = self.parameters_of(raw)
        normal = math.sqrt(2) * torch.erfinv(2 * torch.as_tensor(alpha, dtype=raw.dtype, device=raw.device) - 1)
        return mu[:, :, None] + log_sigma.clamp(min=_TIGHTEST).exp()[:, :, None] * normal

    def start_bias(self, spread):
        """Return mu = 0 and the sigma whose mean absolute deviation is the spread."""
        return torch.stack([torch.zeros_like(spread), torch.log(spread * math.sqrt(math.pi / 2))], dim=1)


class StudentTHead(DistributionHead):
    r"""K values with Student's t distribution, whose tails are heavier than the normal's.

    .. math::
        -\log p(y) = \log \sigma + \tfrac{\nu + 1}{2} \log(1 + z^2 / \nu)
        - \log \Gamma(\tfrac{\nu + 1}{2}) + \log \Gamma(\tfrac{\nu}{2}) + \tfrac12 \log \nu \pi

    with z = (y - mu) / sigma and raw outputs mu, log sigma and log (nu - 2): the variance is finite.
    """

    n_params = 3

    def _read(self, raw):
        mu, log_sigma, log_nu = self.parameters_of(raw)
        return mu, log_sigma.clamp(min=_TIGHTEST), 2 + log_nu.clamp(-4, 6).exp()

    def losses(self, raw, y):
        """Return minus the log density, (N, K)."""
        mu, log_sigma, nu = self._read(raw)
        z = (y - mu) * torch.exp(-log_sigma)
        normaliser = torch.lgamma(nu / 2) - torch.lgamma((nu + 1) / 2) + 0.5 * torch.log(nu * math.pi)
        return log_sigma + (nu + 1) / 2 * torch.log1p(z**2 / nu) + normaliser

    def predict(self, raw):
        """Return the means, (N, K)."""
        return self.parameters_of(raw)[0]

    def quantiles(self, raw, alpha):
        """Return quantiles, (N, K, Q); the density is summed, see :func:`student_t_quantile`."""
        mu, log_sigma, nu = self._read(raw.double())
        alpha = torch.as_tensor(alpha, dtype=torch.float64, device=raw.device)
        t = student_t_quantile(nu[:, :, None], alpha)
        return mu[:, :, None] + log_sigma.exp()[:, :, None] * t

    def start_bias(self, spread):
        """Return mu = 0, nu = 2 + e^2 and the sigma that fits the spread about."""
        return torch.stack([torch.zeros_like(spread), torch.log(spread), torch.full_like(spread, 2.0)], dim=1)


_NODES = 400


def student_t_quantile(nu, alpha):
    r"""Return quantiles of Student's t distribution.

    The density is summed by the trapezoidal rule over theta, ``t = sqrt(nu) tan(theta)``, where it is proportional to
    ``cos(theta) ** (nu - 1)``.

    Parameters
    ----------
    nu : tensor of shape (..., 1)
        Degrees of freedom, at least 1.
    alpha : tensor of shape (Q,)
        Probabilities.

    Returns
    -------
    t : tensor of shape (..., Q)
        Quantiles, correct to about four digits.
    """
    theta = torch.linspace(0, math.pi / 2, _NODES + 1, dtype=nu.dtype, device=nu.device)
    density = torch.cos(theta[:-1]) ** (nu - 1)  # (..., nodes); at pi / 2 it is 0
    steps = torch.cat([density[..., 1:], torch.zeros_like(density[..., :1])], dim=-1) + density
    cumulated = torch.cat([torch.zeros_like(steps[..., :1]), steps.cumsum(-1)], dim=-1)
    share = cumulated / cumulated[..., -1:]  # probability between 0 and theta, of one half
    wanted = (2 * alpha - 1).abs().expand(*nu.shape[:-1], -1).contiguous()
    right = torch.searchsorted(share.contiguous(), wanted).clamp(1, _NODES)
    low, high = share.gather(-1, right - 1), share.gather(-1, right)
    part = (wanted - low) / (high - low).clamp(min=1e-300)
    angle = (right - 1 + part) * (math.pi / 2 / _NODES)
    return torch.sign(alpha - 0.5) * torch.sqrt(nu) * torch.tan(angle)


class NegativeBinomialHead(DistributionHead):
    r"""K counts with a negative binomial distribution (Salinas, Flunkert, Gasthaus and Januschowski 2020).

    .. math::
        p(y) = \frac{\Gamma(y + 1/a)}{\Gamma(y + 1) \Gamma(1/a)}
        \Big(\frac{1}{1 + a \mu}\Big)^{1/a} \Big(\frac{a \mu}{1 + a \mu}\Big)^y

    with raw outputs log mu and log a; the variance is ``mu + a mu^2``.
    """

    n_params = 2

    def _read(self, raw):
        log_mu, log_a = self.parameters_of(raw)
        return log_mu.clamp(-15, 25), log_a.clamp(-10, 5)

    def losses(self, raw, y):
        """Return minus the log probability of the counts, (N, K)."""
        log_mu, log_a = self._read(raw)
        r = torch.exp(-log_a)
        odds = log_mu + log_a
        return (
            torch.lgamma(r) + torch.lgamma(y + 1) - torch.lgamma(y + r) + r * F.softplus(odds) + y * F.softplus(-odds)
        )

    def predict(self, raw):
        """Return the means, (N, K)."""
        return self._read(raw)[0].exp()

    def quantiles(self, raw, alpha):
        """Return quantiles, (N, K, Q): the smallest counts with at least this much probability up to them."""
        log_mu, log_a = (part[:, :, None] for part in self._read(raw.double()))
        mu, a = log_mu.exp(), log_a.exp()
        alpha = torch.as_tensor(alpha, dtype=torch.float64, device=raw.device)
        shape = torch.broadcast_shapes(mu.shape, alpha.shape)
        low = torch.full(shape, -1.0, dtype=torch.float64, device=raw.device)
        high = (mu + 60 * torch.sqrt(mu + a * mu**2) + 60).expand(shape)
        steps = math.ceil(math.log2(float(high.max()) + 1)) + 1
        for _ in range(steps):  # whole numbers: low is too small, high is not
            middle = torch.floor((low + high) / 2)
            enough = _negative_binomial_cdf(middle, mu, a) >= alpha
            low, high = torch.where(enough, low, middle), torch.where(enough, middle, high)
        return torch.floor(high)

    def start_bias(self, spread):
        """Return log mu = 0, to which the network adds the level, and a = 0.2."""
        return torch.stack([torch.zeros_like(spread), torch.full_like(spread, math.log(0.2))], dim=1)


def _negative_binomial_cdf(y, mu, a):
    """Return the probability of at most y: a regularised incomplete beta function."""
    p = 1 / (1 + a * mu)
    return 1 - _incomplete_beta(y + 1, 1 / a, 1 - p)


def _incomplete_beta(a, b, x, n_terms=200):
    """Return the regularised incomplete beta function by Lentz's continued fraction (Press et al. 2007, 6.4)."""
    swap = x > (a + 1) / (a + b + 2)
    a, b, x = torch.where(swap, b, a), torch.where(swap, a, b), torch.where(swap, 1 - x, x)
    front = torch.exp(torch.lgamma(a + b) - torch.lgamma(a) - torch.lgamma(b) + a * torch.log(x) + b * torch.log1p(-x))
    tiny = 1e-300
    c, d = torch.ones_like(front), 1 / _away_from_zero(1 - (a + b) * x / (a + 1), tiny)
    fraction = d
    for m in range(1, n_terms + 1):
        for numerator in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 / _away_from_zero(1 + numerator * d, tiny)
            c = _away_from_zero(1 + numerator / c, tiny)
            change = c * d
            fraction = fraction * change
        if m % 8 == 0 and bool(((change - 1).abs() < 1e-10).all()):
            break
    value = front * fraction / a
    return torch.where(swap, 1 - value, value)


def _away_from_zero(value, tiny):
    return torch.where(value.abs() < tiny, torch.full_like(value, tiny), value)


class QuantileHead(DistributionHead):
    r"""Quantiles of K values, learnt by the pinball loss (Koenker and Bassett 1978).

    .. math:: \frac{2}{Q} \sum_q \max(\alpha_q (y - \hat y_q), (\alpha_q - 1) (y - \hat y_q))

    Parameters
    ----------
    n_outputs : int
        Number K of values.
    levels : sequence of float
        Probabilities alpha_q, rising, 0.5 among them.
    """

    def __init__(self, n_outputs, levels):
        super().__init__(n_outputs)
        self.n_params = len(levels)
        self.register_buffer("levels", torch.tensor(levels, dtype=torch.float64))

    def losses(self, raw, y):
        """Return the pinball loss, (N, K)."""
        error = y[:, :, None] - raw.unflatten(-1, (self.n_outputs, self.n_params))
        alpha = self.levels.to(raw.dtype)
        return 2 * torch.maximum(alpha * error, (alpha - 1) * error).mean(-1)

    def predict(self, raw):
        """Return the medians, (N, K)."""
        return self.quantiles(raw, [0.5])[:, :, 0]

    def quantiles(self, raw, alpha):
        """Return quantiles, (N, K, Q): linear between the levels, and beyond them, on the scale of a normal's."""
        values = raw.double().unflatten(-1, (self.n_outputs, self.n_params)).sort(-1).values
        known, wanted = _normal_scores(self.levels), _normal_scores(torch.as_tensor(alpha, dtype=torch.float64))
        wanted = wanted.to(known.device)
        right = torch.searchsorted(known, wanted).clamp(1, len(known) - 1)
        part = (wanted - known[right - 1]) / (known[right] - known[right - 1])
        return values[..., right - 1] + part * (values[..., right] - values[..., right - 1])

    def start_bias(self, spread):
        """Return the quantiles of a normal distribution of this spread."""
        return spread[:, None] * math.sqrt(math.pi / 2) * _normal_scores(self.levels).to(spread)


def _normal_scores(alpha):
    return math.sqrt(2) * torch.erfinv(2 * alpha - 1)


DISTRIBUTIONS = {
    "normal": NormalHead,
    "student_t": StudentTHead,
    "negative_binomial": NegativeBinomialHead,
    "quantile": QuantileHead,
}
