"""The cells for which torch has kernels: Elman, LSTM and GRU."""

import torch

from sktime_rnn.cells._base import StepCell, as_nonlinearity


class ElmanCell(StepCell):
    r"""Simple recurrent cell (Elman 1990).

    .. math:: h_t = \phi(W_{ih} x_t + b_{ih} + W_{hh} h_{t-1} + b_{hh})

    with input x_t (F,), state h_t (H,), weights W_ih (H, F), W_hh (H, H) and biases (H,).

    Parameters
    ----------
    nonlinearity : {"tanh", "relu", "sigmoid", "identity"} or callable, default="tanh"
        The function phi; torch has a kernel for the first two.
    recurrent_init : {"orthogonal", "identity"} or float, default="orthogonal"
        Recurrent weights at the start; a number is a spectral radius.

    References
    ----------
    J. L. Elman (1990). Finding structure in time. Cognitive Science 14, 179-211.
    """

    def __init__(self, nonlinearity="tanh", *, recurrent_init="orthogonal"):
        super().__init__(recurrent_init)
        self.phi = as_nonlinearity(nonlinearity)
        self.nonlinearity = nonlinearity

    @property
    def kernel(self):
        """Name of the torch module with the same equations, or None."""
        return "RNN" if self.nonlinearity in ("tanh", "relu") else None

    def step(self, a_t, state):
        """Return ``(h_t,)``."""
        return (self.phi(a_t + self.recurrence(state[0])),)


class LSTMCell(StepCell):
    r"""Long short-term memory with a forget gate.

    .. math::
        i_t &= \sigma(W_{ii} x_t + b_{ii} + W_{hi} h_{t-1} + b_{hi}) \\
        f_t &= \sigma(W_{if} x_t + b_{if} + W_{hf} h_{t-1} + b_{hf}) \\
        g_t &= \tanh(W_{ig} x_t + b_{ig} + W_{hg} h_{t-1} + b_{hg}) \\
        o_t &= \sigma(W_{io} x_t + b_{io} + W_{ho} h_{t-1} + b_{ho}) \\
        c_t &= f_t \odot c_{t-1} + i_t \odot g_t \\
        h_t &= o_t \odot \tanh(c_t)

    with input x_t (F,), states h_t, c_t (H,) and gates stacked in the order i, f, g, o.

    References
    ----------
    S. Hochreiter and J. Schmidhuber (1997). Long short-term memory. Neural Computation 9, 1735-1780.
    F. A. Gers, J. Schmidhuber and F. Cummins (2000). Learning to forget. Neural Computation 12, 2451-2471.
    """

    n_gates = 4
    n_states = 2
    forget_gate = 1

    @property
    def kernel(self):
        """Name of the torch module with the same equations."""
        return "LSTM"

    def step(self, a_t, state):
        """Return ``(h_t, c_t)``."""
        h, c = state
        i, f, g, o = (a_t + self.recurrence(h)).chunk(4, dim=1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c


class GRUCell(StepCell):
    r"""Gated recurrent unit, reset gate applied after the product.

    .. math::
        r_t &= \sigma(W_{ir} x_t + b_{ir} + W_{hr} h_{t-1} + b_{hr}) \\
        z_t &= \sigma(W_{iz} x_t + b_{iz} + W_{hz} h_{t-1} + b_{hz}) \\
        n_t &= \tanh(W_{in} x_t + b_{in} + r_t \odot (W_{hn} h_{t-1} + b_{hn})) \\
        h_t &= (1 - z_t) \odot n_t + z_t \odot h_{t-1}

    with input x_t (F,), state h_t (H,) and gates stacked in the order r, z, n.

    References
    ----------
    K. Cho et al. (2014). Learning phrase representations using RNN encoder-decoder for statistical machine
    translation. EMNLP.
    """

    n_gates = 3

    @property
    def kernel(self):
        """Name of the torch module with the same equations."""
        return "GRU"

    def step(self, a_t, state):
        """Return ``(h_t,)``."""
        (h,) = state
        i_r, i_z, i_n = a_t.chunk(3, dim=1)
        h_r, h_z, h_n = self.recurrence(h).chunk(3, dim=1)
        z = torch.sigmoid(i_z + h_z)
        n = torch.tanh(i_n + torch.sigmoid(i_r + h_r) * h_n)
        return ((1 - z) * n + z * h,)
