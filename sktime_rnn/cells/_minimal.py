"""Gated cells with less: one gate (MGU), or gates that do not see the state (minGRU, minLSTM).

Gates that see the input alone make the state a linear recurrence, h_t = (1 - z_t) * h_{t-1} + z_t * n_t, which
:func:`gated_scan` solves for all steps at once.

Shapes: B batch, T time steps, F input features, H hidden units, G gates.
"""

from abc import abstractmethod

import torch
from torch.nn.functional import linear, logsigmoid

from sktime_rnn.cells._base import StepCell, as_nonlinearity, init_inputs_, lerp
from sktime_rnn.cells._torch import split_recurrence

RADIX = 32  # steps of a chunk: chunks of 16 and 64 take about as long, pairs twice as long
BLOCK = 2**20  # states scanned at once; 4 million of them at once take minLSTM a quarter longer


def _loop(a, b, h, outputs):
    """Write ``a * h + b`` into the outputs, one after the other."""
    for a_t, b_t, h_t in zip(a, b, outputs, strict=True):
        h = torch.addcmul(b_t, a_t, h, out=h_t)


def _scan(a, b, h, outputs, backwards=False):
    """Write h_t = a_t * h_{t-1} + b_t, or with h_{t+1} backwards, into outputs (T, ...), starting from h (...).

    The steps are cut into chunks of RADIX. All chunks are summed up side by side, a scan over these sums gives the
    state at the end of each chunk, and from there all chunks are filled side by side: 2 RADIX operations for each of
    log(T) / log(RADIX) levels, and about three operations a value in all, as Blelloch (1990) has it for pairs.
    """
    way = -1 if backwards else 1
    n_chunks, n_rest = divmod(len(a), RADIX)
    n_whole = len(a) - n_rest
    if n_chunks > 1:
        whole = slice(n_rest, None) if backwards else slice(n_whole)
        chunks = (x[whole].unflatten(0, (n_chunks, RADIX)).unbind(1)[::way] for x in (a, b, outputs))
        a_k, b_k, h_k = chunks  # each RADIX of (n_chunks, ...)
        product, total = a_k[0].clone(), b_k[0].clone()
        for a_t, b_t in zip(a_k[1:], b_k[1:], strict=True):
            product.mul_(a_t)
            torch.addcmul(b_t, a_t, total, out=total)
        ends = h_k[-1]
        _scan(product, total, h, ends, backwards)
        starts = torch.cat([ends[1:], h[None]] if backwards else [h[None], ends[:-1]])
        _loop(a_k[:-1], b_k[:-1], starts, h_k[:-1])
        h = ends[0 if backwards else -1]
        rest = slice(n_rest) if backwards else slice(n_whole, None)
        a, b, outputs = a[rest], b[rest], outputs[rest]
    _loop(*(x.unbind(0)[::way] for x in (a, b)), h, outputs.unbind(0)[::way])


class GatedScan(torch.autograd.Function):
    """Solve h_t = (1 - z_t) * h_{t-1} + z_t * n_t with z = sigma(u), for u, n (T, ...) and h_0 (...).

    With G_t the gradient by the output h_t, that by the state is the same scan from the end to the start,
    D_t = G_t + (1 - z_{t+1}) * D_{t+1}. Then dL/dn_t = D_t * z_t and dL/dh_0 = D_1 * (1 - z_1), and since
    h_t - h_{t-1} = z_t * (n_t - h_{t-1}), dL/du_t = D_t * (1 - z_t) * (h_t - h_{t-1}), for which n is not kept.
    """

    @staticmethod
    def forward(ctx, u, n, h):
        """Return h_1, ..., h_T (T, ...)."""
        a = torch.neg(u).sigmoid_()  # 1 - z; in place here and below, since at this size fresh memory costs most
        outputs = torch.addcmul(n, a, n, value=-1)
        _scan(a, outputs, h, outputs)
        ctx.save_for_backward(a, h, outputs)
        return outputs

    @staticmethod
    def backward(ctx, grad):
        """Return the gradients by u, n and h_0."""
        if torch.is_grad_enabled():
            raise RuntimeError(
                "the gradient of a scan must be taken with create_graph=False, got create_graph=True: it cannot be "
                "differentiated again. Set scan = None in a subclass of the cell to run it step by step."
            )
        a, h, outputs = ctx.saved_tensors
        by_n = torch.empty_like(outputs)
        by_n[-1] = grad[-1]
        _scan(a[1:], grad[:-1], grad[-1], by_n[:-1], backwards=True)  # D
        by_h = a[0] * by_n[0]
        by_u = torch.empty_like(outputs)
        torch.sub(outputs[0], h, out=by_u[0])
        torch.sub(outputs[1:], outputs[:-1], out=by_u[1:])
        by_u.mul_(a).mul_(by_n)
        torch.addcmul(by_n, by_n, a, value=-1, out=by_n)
        return by_u, by_n, by_h


def gated_scan(u, n, h):
    """Move the state towards candidates for all steps at once, by a parallel scan of logarithmic depth.

    Parameters
    ----------
    u, n : tensor of shape (T, ...)
        Log odds of the gates and candidates, time first.
    h : tensor of shape (...)
        State h_0 before the first step.

    Returns
    -------
    outputs : tensor of shape (T, ...)
        ``h_t = (1 - z_t) * h_{t-1} + z_t * n_t`` with ``z_t = sigma(u_t)``; they can be differentiated once.

    References
    ----------
    G. E. Blelloch (1990). Prefix sums and their applications. CMU-CS-90-190, Carnegie Mellon University.
    E. Martin and C. Cundy (2018). Parallelizing linear recurrent neural nets over sequence length. ICLR.
    """
    return GatedScan.apply(u, n, h)


class MGUCell(StepCell):
    r"""Minimal gated unit (Zhou et al. 2016): a GRU whose one gate both resets and updates.

    .. math::
        f_t &= \sigma(W_{if} x_t + b_{if} + W_{hf} h_{t-1} + b_{hf}) \\
        n_t &= \phi(W_{in} x_t + b_{in} + W_{hn} (f_t \odot h_{t-1}) + b_{hn}) \\
        h_t &= (1 - f_t) \odot h_{t-1} + f_t \odot n_t

    with input x_t (F,), state h_t (H,) and gates stacked in the order f, n. An open gate f replaces the state, so its
    bias starts at 0, not at the forget gate's 1.

    Parameters
    ----------
    nonlinearity : {"tanh", "relu", "sigmoid", "identity"} or callable, default="tanh"
        The function phi.
    recurrent_init : {"orthogonal", "identity"} or float, default="orthogonal"
        Recurrent weights at the start; a number is a spectral radius.

    References
    ----------
    G.-B. Zhou, J. Wu, C.-L. Zhang and Z.-H. Zhou (2016). Minimal gated unit for recurrent neural networks.
    International Journal of Automation and Computing 13, 226-234.
    """

    n_gates = 2

    def __init__(self, *, nonlinearity="tanh", recurrent_init="orthogonal"):
        super().__init__(recurrent_init)
        self.phi = as_nonlinearity(nonlinearity)
        self.nonlinearity = nonlinearity

    def step(self, a_t, state):
        """Return ``(h_t,)``."""
        (h,) = state
        i_f, i_n = a_t.chunk(2, dim=1)
        of_gate, of_candidate = split_recurrence(self, self.hidden_size)
        f = torch.sigmoid(i_f + linear(h, *of_gate))
        n = self.phi(i_n + linear(f * h, *of_candidate))
        return (lerp(h, n, f),)  # (1 - f) * h + f * n


class ScanCell(StepCell):
    """A cell with gates that see the input alone, h_t = (1 - z_t) * h_{t-1} + z_t * n_t: by steps or all at once.

    It has ``weight_ih`` (G * H, F) and ``bias_ih`` (G * H,), and no recurrent weights. Subclasses write
    :meth:`mixture`.

    Parameters
    ----------
    nonlinearity : {"tanh", "relu", "sigmoid", "identity"} or callable, default="identity"
        The function phi of the candidate.
    """

    def __init__(self, *, nonlinearity="identity"):
        super().__init__()
        self.phi = as_nonlinearity(nonlinearity)
        self.nonlinearity = nonlinearity

    def build(self, input_size, hidden_size, bias=True):
        """Return a copy of the cell with uninitialised weights, see :meth:`Cell.build`.

        Parameters
        ----------
        input_size : int
            Number F of features of a step.
        hidden_size : int
            Number H of hidden units.
        bias : bool, default=True
            Whether the equations have bias terms.

        Returns
        -------
        cell : ScanCell
            The cell with weights, none of them recurrent.
        """
        cell = super().build(input_size, hidden_size, bias)
        cell.weight_hh = cell.bias_hh = None
        return cell

    def reset_parameters(self, generator=None):
        """Draw new weights: uniform within sqrt(6 / (F + H)), biases 0 and that of the forget gate 1.

        Parameters
        ----------
        generator : torch.Generator, default=None
            Source of the random numbers.
        """
        position = self.forget_gate_position
        init_inputs_(self.weight_ih, self.bias_ih, self.hidden_size, forget_gate_position=position, generator=generator)

    @abstractmethod
    def mixture(self, *gates):
        """Return what the state is mixed with, and the log odds of its share.

        Parameters
        ----------
        *gates : tensor of shape (..., H)
            ``W x_t + b`` of each of the G gates.

        Returns
        -------
        u, n : tensor of shape (..., H)
            Log odds of the share z, and candidates.
        """

    def step(self, a_t, state):
        """Return ``(h_t,)``."""
        u, n = self.mixture(*a_t.chunk(self.n_gates, dim=1))
        return (lerp(state[0], n, torch.sigmoid(u)),)  # (1 - z) * h + z * n

    def scan(self, X, state):
        """Take all steps at once, see :func:`gated_scan`.

        Parameters
        ----------
        X : tensor of shape (B, T, F)
            Inputs.
        state : tuple of a tensor of shape (B, H)
            State before the first step.

        Returns
        -------
        outputs : tensor of shape (B, T, H)
            h_t after every step.
        state : tuple of a tensor of shape (B, H)
            State after the last step.
        """
        X, weight = X.transpose(0, 1).contiguous(), self.weight_ih  # (T, B, F)
        if self.bias_ih is not None:  # as the weight of a further input, it costs no pass of its own
            X = torch.cat([X, X.new_ones(1).expand(*X.shape[:2], 1)], dim=2)
            weight = torch.cat([weight, self.bias_ih[:, None]], dim=1)
        weights, h, outputs = weight.chunk(self.n_gates), state[0], []
        for steps in X.split(max(1, BLOCK // max(1, h.numel()))):
            outputs.append(gated_scan(*self.mixture(*(linear(steps, rows) for rows in weights)), h))  # (t, B, H)
            h = outputs[-1][-1]
        outputs = torch.cat(outputs) if len(outputs) > 1 else outputs[0]
        return outputs.transpose(0, 1), (h,)


class MinGRUCell(ScanCell):
    r"""Minimal GRU (Feng et al. 2024), which reads all steps at once.

    .. math::
        z_t &= \sigma(W_z x_t + b_z) \\
        n_t &= \phi(W_n x_t + b_n) \\
        h_t &= (1 - z_t) \odot h_{t-1} + z_t \odot n_t

    with input x_t (F,), state h_t (H,), gates stacked in the order z, n, and no recurrent weights.

    With the identity for phi this is the paper's first form: candidates and states are real numbers. Its other form
    scans over logarithms, for which all candidates must be positive, and therefore takes phi = g, with
    g(a) = a + 0.5 where a >= 0 and sigma(a) elsewhere. The scan here multiplies numbers between 0 and 1 and needs no
    logarithms; g may be passed as a callable, and gives the values of the second form.

    Parameters
    ----------
    nonlinearity : {"tanh", "relu", "sigmoid", "identity"} or callable, default="identity"
        The function phi.

    References
    ----------
    L. Feng, F. Tung, M. O. Ahmed, Y. Bengio and H. Hajimirsadeghi (2024). Were RNNs all we needed? arXiv:2410.01201.
    """

    n_gates = 2

    def mixture(self, z, n):
        """Return the log odds of z_t, and n_t."""
        return z, self.phi(n)


class MinLSTMCell(ScanCell):
    r"""Minimal LSTM (Feng et al. 2024), which reads all steps at once.

    .. math::
        i_t &= \sigma(W_i x_t + b_i) \\
        f_t &= \sigma(W_f x_t + b_f) \\
        n_t &= \phi(W_n x_t + b_n) \\
        h_t &= \frac{f_t}{f_t + i_t} \odot h_{t-1} + \frac{i_t}{f_t + i_t} \odot n_t

    with input x_t (F,), state h_t (H,), gates stacked in the order i, f, n, and no recurrent weights. How phi relates
    to the paper's two forms is told in :class:`MinGRUCell`.

    Parameters
    ----------
    nonlinearity : {"tanh", "relu", "sigmoid", "identity"} or callable, default="identity"
        The function phi.

    References
    ----------
    L. Feng, F. Tung, M. O. Ahmed, Y. Bengio and H. Hajimirsadeghi (2024). Were RNNs all we needed? arXiv:2410.01201.
    """

    n_gates = 3
    forget_gate_position = 1

    def mixture(self, i, f, n):
        """Return the log odds of ``i_t / (f_t + i_t)``, right also where both gates are closed, and n_t."""
        return logsigmoid(i) - logsigmoid(f), self.phi(n)
