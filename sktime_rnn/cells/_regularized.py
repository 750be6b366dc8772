"""Cells around another cell: zoneout, locked dropout and layer normalisation.

Shapes: B batch, T time steps, F input features, H hidden units, G gates.
"""

import copy
from numbers import Real

import torch
from torch import nn
from torch.nn.functional import layer_norm, linear

from sktime_rnn.cells._base import StepCell, as_tuple, lerp, prepared
from sktime_rnn.cells._names import as_cell
from sktime_rnn.cells._torch import ElmanCell, GRUCell, LSTMCell, steps_as


class WrappingCell(StepCell):
    """A cell around another one, whose states and weights are its own.

    Parameters
    ----------
    cell : str, Cell class or Cell
        The cell inside, without weights, or its name.
    """

    def __init__(self, cell):
        super().__init__()
        cell = as_cell(cell)
        if cell.needs_feedback:
            raise ValueError(
                f"cell must be one that reads its own state alone, got {cell!r}, which reads the network's output. "
                f"Pass it as it is, or another cell to {type(self).__name__}."
            )
        self.cell = cell

    @property
    def n_states(self):
        """Number of the state's tensors."""
        return self.cell.n_states

    @property
    def learnable(self):
        """Places of the states that may be learned at the start."""
        return self.cell.learnable

    @property
    def reads_flags(self):
        """Whether flags of missing values are read beside values."""
        return self.cell.reads_flags

    @property
    def exact_features(self):
        """Inputs that noise leaves alone."""
        return self.cell.exact_features

    @property
    def cell_above(self):
        """The cell of the layers above the first: such a one around what stands there."""
        inside = self.cell.cell_above
        if inside is self.cell:
            return self
        above = copy.deepcopy(self)
        above.cell = inside
        return above

    def build(self, input_size, hidden_size, bias=True):
        """Return a copy of the cell around a built one, see :class:`Cell`."""
        cell = copy.deepcopy(self)
        cell.cell = self.cell.build(input_size, hidden_size, bias)
        cell.hidden_size = hidden_size
        return cell

    def reset_parameters(self, generator=None):
        """Draw new weights for the cell inside, see :class:`Cell`."""
        self.cell.reset_parameters(generator)

    def state_sizes(self, hidden_size):
        """Return the widths of the state's tensors, see :class:`Cell`."""
        return self.cell.state_sizes(hidden_size)

    def initial_state(self, batch_size, like):
        """Return the state before the first step, see :class:`Cell`."""
        return self.cell.initial_state(batch_size, like)


class ZoneoutCell(WrappingCell):
    r"""Zoneout: in training, each unit now and then keeps its old value (Krueger et al. 2017).

    .. math:: s_t = d_t \odot s_{t-1} + (1 - d_t) \odot \tilde s_t

    for each tensor s (H,) of the state that later steps read, with what the cell inside makes of it, s~_t, and masks
    d_t (H,) that are 1 with probability ``rate``, drawn for each step, unit and sequence. In prediction the rate stands
    in the place of the masks. What may not be learned at the start, such as a counter, is left alone.

    Parameters
    ----------
    cell : str, Cell class or Cell
        The cell inside, without weights, or its name.
    rate : float or sequence of float, default=0.1
        Probability in [0, 1) that a unit keeps its old value; or one for each of the tensors, those of h_t and c_t for
        an LSTM.

    Attributes
    ----------
    generator : torch.Generator or None
        Source of the masks; None stands for torch's global one.

    References
    ----------
    D. Krueger et al. (2017). Zoneout: regularizing RNNs by randomly preserving hidden activations. ICLR.
    """

    def __init__(self, cell, rate=0.1):
        super().__init__(cell)
        cell = self.cell
        n = len(cell.learnable)
        if not n:
            raise ValueError(
                f"cell must be one that feeds back what zoneout can keep, got {type(cell).__name__}. Leave ZoneoutCell "
                "out."
            )
        rates = (rate,) * n if isinstance(rate, Real) else as_tuple(rate)
        if len(rates) != n or not all(isinstance(p, Real) and 0 <= p < 1 for p in rates):
            raise ValueError(
                f"rate must be a number in [0, 1), or {n} of them, one for each state of {type(cell).__name__}, got "
                f"{rate!r}. Choose such a number."
            )
        self.rate = rate
        self.rates = rates
        self.generator = None

    def inputs(self, X):
        """Return what the cell inside needs of the inputs."""
        return self.cell.inputs(X) if isinstance(self.cell, StepCell) else X

    def draw(self, state):
        """Return masks of the units that keep their old values, one bool tensor (B, H) for each rate."""
        return tuple(
            torch.empty_like(state[i]).uniform_(generator=self.generator) < rate
            for i, rate in zip(self.learnable, self.rates, strict=True)
        )

    def step(self, a_t, state, masks=None):
        """Return the new state.

        Parameters
        ----------
        a_t : tensor of shape (B, A)
            The step's part of what :meth:`inputs` gave.
        state : tuple of tensors of shape (B, H)
            The state after the step before.
        masks : tuple of bool tensors of shape (B, H), default=None
            Which units keep their old values; None draws them in training, and takes their mean otherwise.

        Returns
        -------
        state : tuple of tensors of shape (B, H)
            The state after this step; the first is the output.
        """
        inner = self.cell.step if isinstance(self.cell, StepCell) else self.cell
        after = list(inner(a_t, state))
        if masks is None and self.training:
            masks = self.draw(state)
        for k, i in enumerate(self.learnable):
            if masks is not None:
                after[i] = torch.where(masks[k], state[i], after[i])
            else:
                after[i] = lerp(after[i], state[i], self.rates[k])
        return tuple(after)


class LockedDropoutCell(WrappingCell):
    r"""Variational dropout: what is dropped stays dropped for the whole sequence (Gal and Ghahramani 2016).

    .. math:: s_t = \operatorname{cell}(d_x \odot x_t, (d_h \odot h_{t-1}, \dots))

    with input x_t (F,) and masks d_x (F,) and d_h (H,), whose elements are 0 with probability ``rate`` or
    ``recurrent_rate`` and otherwise 1 / (1 - rate), so that means stay as they are. They are drawn once for each
    sequence and direction (with ``dilations``, for each chain of its steps), in training alone, and stand as the last
    two tensors of the state. Of the states the first alone, h, is thinned out; flags of missing values and time stamps
    are not.

    Parameters
    ----------
    cell : str, Cell class or Cell
        The cell inside, without weights, or its name.
    rate : float, default=0.2
        Probability in [0, 1) that an input is dropped.
    recurrent_rate : float or "auto", default="auto"
        Probability in [0, 1) that an element of h is dropped. "auto" is ``rate`` for an ElmanCell or LSTMCell, and 0
        for other cells: they carry h over past their weights, and would forget what is dropped.

    Attributes
    ----------
    generator : torch.Generator or None
        Source of the masks; None stands for torch's global one.

    References
    ----------
    Y. Gal and Z. Ghahramani (2016). A theoretically grounded application of dropout in recurrent neural networks.
    NeurIPS.
    """

    def __init__(self, cell, rate=0.2, recurrent_rate="auto"):
        super().__init__(cell)
        by_weights = isinstance(self.cell, ElmanCell | LSTMCell)  # alone is h read
        rates = (rate, (rate if by_weights else 0) if recurrent_rate == "auto" else recurrent_rate)
        for name, value, more in (("rate", rates[0], ""), ("recurrent_rate", rates[1], " or 'auto'")):
            if not isinstance(value, Real) or not 0 <= value < 1:
                raise ValueError(f"{name} must be a number in [0, 1){more}, got {value!r}. Choose such a number.")
        if rates[1] and not by_weights:
            raise ValueError(
                "recurrent_rate must be 0 for a cell whose h is not read by weights alone: what is dropped would be "
                f"forgotten; got {recurrent_rate!r} for {self.cell!r}. Set it to 0, or take an ElmanCell or LSTMCell."
            )
        self.rate = rate
        self.recurrent_rate = recurrent_rate
        self.rates = rates
        self.generator = None

    @property
    def n_states(self):
        """Number of the state's tensors: those of the cell inside, and two masks."""
        return self.cell.n_states + 2

    def build(self, input_size, hidden_size, bias=True):
        """Return a copy of the cell around a built one, see :class:`Cell`."""
        cell = super().build(input_size, hidden_size, bias)
        n_values = input_size // 2 if self.reads_flags else input_size
        dropped = torch.arange(input_size) < n_values
        dropped[list(self.exact_features)] = False
        cell.register_buffer("dropped", dropped, persistent=False)  # (F,)
        return cell

    def initial_state(self, batch_size, like):
        """Return the state before the first step, with the masks of all steps.

        Parameters
        ----------
        batch_size : int
            Number B of sequences.
        like : tensor
            Gives the dtype and the device.

        Returns
        -------
        state : tuple of tensors
            That of the cell inside, then d_x (B, F) and d_h (B, H).
        """
        masks = [like.new_ones(batch_size, size) for size in (len(self.dropped), self.hidden_size)]
        if self.training:
            of_input, of_output = (
                mask.bernoulli_(1 - p, generator=self.generator) / (1 - p)
                for mask, p in zip(masks, self.rates, strict=True)
            )
            masks = [torch.where(self.dropped, of_input, 1.0), of_output]
        return (*super().initial_state(batch_size, like), *masks)

    def scan(self, X, state):
        """Take all steps, (B, T, F) -> (B, T, H), and the state after the last."""
        *state, of_input, of_output = state
        X = X * of_input[:, None]
        if self.cell.scan is not None:
            outputs, state = self.cell.scan(X, tuple(state))
            return outputs, (*state, of_input, of_output)
        inputs, step = prepared(self.cell, X)
        outputs = []
        for x_t in inputs:
            if self.rates[1]:
                state = (state[0] * of_output, *state[1:])
            state = step(x_t, state)
            outputs.append(state[0])
        return torch.stack(outputs, dim=1), (*state, of_input, of_output)

    def inputs(self, X):
        """Return the inputs as they are: they are thinned out step by step."""
        return X

    def step(self, a_t, state):
        """Return the new state, for an input (B, F)."""
        return self.scan(a_t[:, None], state)[1]


def normalise(X, gain, bias, hidden_size):
    r"""Return each block of H numbers with mean 0 and variance 1, times its gain, plus its bias.

    .. math:: g \odot (a - \bar a) / \sqrt{\mathrm{var}(a) + 10^{-5}} + b

    Parameters
    ----------
    X : tensor of shape (..., G * H)
        Net inputs of G gates.
    gain : tensor of shape (G * H,)
        Gains g.
    bias : tensor of shape (G * H,) or (..., G * H), or None
        Biases b, or whatever else to add.
    hidden_size : int
        Number H of hidden units.

    Returns
    -------
    X : tensor of shape (..., G * H)
        Mean and variance are taken over the H units of a gate.
    """
    X = layer_norm(X.unflatten(-1, (-1, hidden_size)), (hidden_size,)).flatten(-2)
    return X * gain if bias is None else torch.addcmul(bias, X, gain)


class LayerNormCell(WrappingCell):
    r"""Elman, LSTM or GRU cell with layer normalisation (Ba, Kiros and Hinton 2016).

    In the cell's equations, each gate's :math:`W_{ih} x_t + b_{ih}` becomes :math:`\mathrm{LN}(W_{ih} x_t) + b_{ih}`
    and :math:`W_{hh} h_{t-1} + b_{hh}` becomes :math:`\mathrm{LN}(W_{hh} h_{t-1}) + b_{hh}`; in the LSTM's output
    :math:`\tanh(c_t)` becomes :math:`\tanh(\mathrm{LN}(c_t) + b_c)`, with

    .. math:: \mathrm{LN}(a) = g \odot (a - \bar a) / \sqrt{\mathrm{var}(a) + 10^{-5}}

    over the H units of a gate. Each has gains of its own, ``gain_ih`` and ``gain_hh`` (G * H,) and ``gain_c`` (H,),
    which start at 1.

    Parameters
    ----------
    cell : "rnn", "lstm", "gru", ElmanCell, LSTMCell or GRUCell
        The cell inside, without weights, or its name; of options, an Elman cell's nonlinearity and ``recurrent_init``
        are taken.

    References
    ----------
    J. L. Ba, J. R. Kiros and G. E. Hinton (2016). Layer normalization. arXiv:1607.06450.
    """

    def __init__(self, cell):
        super().__init__(cell)
        cell = self.cell
        kinds = (ElmanCell, LSTMCell, GRUCell)
        kind = next((kind for kind in kinds if isinstance(cell, kind) and steps_as(cell, kind)), None)
        if kind is None:
            raise TypeError(
                f"cell must be an ElmanCell, LSTMCell or GRUCell, got {type(cell).__name__}, whose equations have no "
                "normalised form here. Pass one of these."
            )
        taken = {"recurrent_init", "training"} | ({"nonlinearity", "phi"} if kind is ElmanCell else set())
        plain = vars(kind())
        others = sorted(
            name
            for name, value in vars(cell).items()
            if not name.startswith("_") and name not in taken and not _same(value, plain.get(name))
        )
        if others:
            raise ValueError(
                f"cell must be a plain {kind.__name__}, got one with options of its own for {others}, which layer "
                "normalisation would not heed. Leave them out."
            )
        self.kind = kind

    def build(self, input_size, hidden_size, bias=True):
        """Return a copy of the cell around a built one, see :class:`Cell`."""
        cell = super().build(input_size, hidden_size, bias)
        rows = len(cell.cell.weight_hh)
        cell.gain_ih = nn.Parameter(torch.empty(rows))
        cell.gain_hh = nn.Parameter(torch.empty(rows))
        has_c = self.kind is LSTMCell
        cell.register_parameter("gain_c", nn.Parameter(torch.empty(hidden_size)) if has_c else None)
        cell.register_parameter("bias_c", nn.Parameter(torch.empty(hidden_size)) if has_c and bias else None)
        return cell

    def reset_parameters(self, generator=None):
        """Draw new weights for the cell inside, see :class:`Cell`; gains are 1."""
        super().reset_parameters(generator)
        for gain in (self.gain_ih, self.gain_hh, self.gain_c):
            if gain is not None:
                nn.init.ones_(gain)
        if self.bias_c is not None:
            nn.init.zeros_(self.bias_c)

    def inputs(self, X):
        """Return ``LN(W_ih x_t) + b_ih`` for all steps, and b_hh added where the equations add it as it is."""
        bias = self.cell.bias_ih
        if bias is not None and self.kind is not GRUCell:
            bias = bias + self.cell.bias_hh
        return normalise(linear(X, self.cell.weight_ih), self.gain_ih, bias, self.hidden_size)

    def step(self, a_t, state):
        """Return the new state: ``(h_t,)``, or ``(h_t, c_t)`` for the LSTM."""
        H, b_t = self.hidden_size, linear(state[0], self.cell.weight_hh)
        if self.kind is GRUCell:
            return self._gru(a_t, normalise(b_t, self.gain_hh, self.cell.bias_hh, H), *state)
        a_t = normalise(b_t, self.gain_hh, a_t, H)
        return (self.cell.phi(a_t),) if self.kind is ElmanCell else self._lstm(a_t, state[1])

    def _gru(self, a_t, b_t, h):
        (a_t, a_n), (b_t, b_n) = (part.split([2 * self.hidden_size, self.hidden_size], dim=1) for part in (a_t, b_t))
        r, z = torch.sigmoid(a_t + b_t).chunk(2, dim=1)
        return (lerp(torch.tanh(torch.addcmul(a_n, r, b_n)), h, z),)

    def _lstm(self, a_t, c):
        i, f, g, o = a_t.chunk(4, dim=1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(normalise(c, self.gain_c, self.bias_c, self.hidden_size)), c


def _same(a, b):
    return a is b or (type(a) is type(b) and a == b)
