"""What comes out of a network: an output object knows its size, its loss and its prediction.

Shapes: N rows (one a sequence, or one a valid step), D width of the features, K outputs, Q quantiles.
A row's loss is averaged over its outputs; rows are averaged with their weights.
"""

import math
from abc import ABC, abstractmethod

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import skip_init


def weighted_mean(losses, mask=None, weight=None):
    """Average losses over rows, ``sum(w * l) / sum(w)``.

    Parameters
    ----------
    losses : tensor of shape (N,) or (N, K)
        One loss a row, or one for each of its outputs.
    mask : bool tensor of the same shape, default=None
        False where a loss does not count.
    weight : tensor of shape (N,), default=None
        Weight of a row, at least 0.

    Returns
    -------
    loss : tensor of shape ()
        The average; 0 where nothing counts.
    """
    if mask is None and weight is None:
        return losses.sum() / losses.numel()
    share = torch.ones_like(losses) if mask is None else mask.to(losses.dtype)
    if weight is not None:
        share = share * (weight if losses.ndim == 1 else weight[:, None])
    total = share.sum().clamp(min=torch.finfo(losses.dtype).tiny)  # 0 where nobody observed a target
    return (losses.masked_fill(share == 0, 0.0) * share).sum() / total


class Head(nn.Module, ABC):
    """The last layer with its loss: features (N, D) -> raw (N, n_outputs * n_params) -> prediction.

    Subclasses set ``n_params`` (raw values for each output) and write :meth:`losses` and :meth:`predict`.

    Parameters
    ----------
    n_outputs : int
        Number K of outputs.
    """

    n_params = 1

    def __init__(self, n_outputs):
        super().__init__()
        self.n_outputs = n_outputs
        self.linear = None

    @property
    def raw_size(self):
        """Width of the raw output."""
        return self.n_outputs * self.n_params

    def connect(self, in_features):
        """Add the linear map from features to raw outputs; a head of a user's own module has none.

        Parameters
        ----------
        in_features : int
            Width D of the features.

        Returns
        -------
        self : Head
            The head itself.
        """
        self.linear = skip_init(nn.Linear, in_features, self.raw_size)
        return self

    def reset_parameters(self, generator=None):
        """Draw new weights (Glorot and Bengio 2010).

        Parameters
        ----------
        generator : torch.Generator, default=None
            Source of the random numbers.
        """
        nn.init.xavier_uniform_(self.linear.weight, generator=generator)
        nn.init.zeros_(self.linear.bias)

    def forward(self, features):
        """Return the raw output ``W features + b``, in float64 when not training.

        A float32 matrix product rounds differently for batches of different size; in float64 a prediction does not
        depend on its batch.

        Parameters
        ----------
        features : tensor of shape (..., D)
            What the network has made of its input.

        Returns
        -------
        raw : tensor of shape (..., n_outputs * n_params)
            The raw output.
        """
        if self.training or features.device.type == "mps":
            return self.linear(features)
        weight, bias = self.linear.weight.double(), self.linear.bias.double()
        return F.linear(features.double(), weight, bias)

    def loss(self, raw, y, mask=None, weight=None):
        """Return the average loss, see :func:`weighted_mean`.

        Parameters
        ----------
        raw : tensor of shape (N, n_outputs * n_params)
            Raw outputs.
        y : tensor of shape (N,) or (N, K)
            Targets.
        mask : bool tensor, default=None
            False where a target does not count.
        weight : tensor of shape (N,), default=None
            Weights of the rows.

        Returns
        -------
        loss : tensor of shape ()
            The average loss.
        """
        if mask is not None:
            y = y.masked_fill(~mask, 0)  # the gradient of a loss that is NaN is NaN even with weight 0
        return weighted_mean(self.losses(raw, y), mask, weight)

    @abstractmethod
    def losses(self, raw, y):
        """Return the loss of each row, a tensor of shape (N,) or (N, K)."""

    @abstractmethod
    def predict(self, raw):
        """Return the predictions, a tensor of shape (N,) or (N, K)."""


class CategoricalHead(Head):
    """One of K classes: softmax and cross-entropy; y holds codes 0 to K - 1.

    Parameters
    ----------
    n_classes : int
        Number K of classes.
    """

    def __init__(self, n_classes):
        super().__init__(n_classes)

    def losses(self, raw, y):
        """Return minus the log-probability of the true class, (N,)."""
        return F.cross_entropy(raw, y, reduction="none")

    def log_proba(self, raw):
        """Return log-probabilities, (N, K)."""
        return raw.log_softmax(-1)

    def predict_proba(self, raw):
        """Return probabilities, (N, K)."""
        return raw.softmax(-1)

    def decision(self, raw):
        """Return the log-odds of the second of two classes, (N,), otherwise raw, (N, K)."""
        return raw[:, 1] - raw[:, 0] if self.n_outputs == 2 else raw

    def predict(self, raw):
        """Return the code of the most probable class, (N,)."""
        return raw.argmax(-1)

    def log_likelihood(self, raw, y):
        """Return the log-probability of y, (N,)."""
        return -self.losses(raw, y)


class MultiLabelHead(Head):
    """K yes-or-no answers: independent Bernoulli; y holds 0 and 1, (N, K)."""

    def losses(self, raw, y):
        """Return minus the log-probability of each answer, (N, K)."""
        return F.binary_cross_entropy_with_logits(raw, y.to(raw.dtype), reduction="none")

    def log_proba(self, raw):
        """Return the log-probability of each 1, (N, K)."""
        return F.logsigmoid(raw)

    def predict_proba(self, raw):
        """Return the probability of each 1, (N, K)."""
        return raw.sigmoid()

    def decision(self, raw):
        """Return the log-odds of each 1, (N, K)."""
        return raw

    def predict(self, raw):
        """Return 0 and 1, (N, K)."""
        return (raw > 0).long()

    def log_likelihood(self, raw, y):
        """Return the log-probability of all answers together, (N,)."""
        return -self.losses(raw, y).sum(-1)


class MultiOutputHead(Head):
    """Several categorical outputs, each with its own classes; y holds codes, (N, K).

    Parameters
    ----------
    n_classes : list of int
        Number of classes of each output.
    """

    def __init__(self, n_classes):
        super().__init__(sum(n_classes))
        self.n_classes = list(n_classes)

    def losses(self, raw, y):
        """Return minus the log-probability of each output's true class, (N, K)."""
        parts = zip(raw.split(self.n_classes, dim=-1), y.unbind(-1), strict=True)
        return torch.stack([F.cross_entropy(part, codes, reduction="none") for part, codes in parts], dim=-1)

    def log_proba(self, raw):
        """Return log-probabilities, one tensor (N, n_classes_k) for each output."""
        return [part.log_softmax(-1) for part in raw.split(self.n_classes, dim=-1)]

    def predict_proba(self, raw):
        """Return probabilities, one tensor (N, n_classes_k) for each output."""
        return [part.softmax(-1) for part in raw.split(self.n_classes, dim=-1)]

    def decision(self, raw):
        """Return unnormalised log-probabilities, one tensor (N, n_classes_k) for each output."""
        return list(raw.split(self.n_classes, dim=-1))

    def predict(self, raw):
        """Return the code of each output's most probable class, (N, K)."""
        return torch.stack([part.argmax(-1) for part in raw.split(self.n_classes, dim=-1)], dim=-1)

    def log_likelihood(self, raw, y):
        """Return the log-probability of all outputs together, (N,)."""
        return -self.losses(raw, y).sum(-1)


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

    def __init__(self, n_outputs, loss="squared_error"):
        super().__init__(n_outputs)
        self.loss_name = loss
        self.register_buffer("loc", torch.zeros(n_outputs, dtype=torch.float64))
        self.register_buffer("scale", torch.ones(n_outputs, dtype=torch.float64))

    def losses(self, raw, y):
        """Return the loss of each value, (N, K)."""
        target = ((y.to(self.loc.dtype) - self.loc) / self.scale).to(raw.dtype)
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
