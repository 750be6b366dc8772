"""Recurrence over time: one layer, both directions, and several layers on top of each other.

Shapes: B batch, T time steps of the longest sequence in the batch, F features, H hidden units, D directions.

Sequences are padded on the right. A layer runs dense over the padding, which comes after every valid step and can
therefore reach none of them; the backward direction reads each sequence reversed within its own length.
"""

import copy
from numbers import Integral

import torch
from torch import nn
from torch.nn.functional import pad

from sktime_rnn.cells import as_cell, as_tuple, init_recurrent_, prepared


def reversal(lengths, n_timesteps):
    """Return the step that takes each place when every sequence is reversed within its own length.

    Parameters
    ----------
    lengths : int64 tensor of shape (B,)
        Number of valid steps of each sequence.
    n_timesteps : int
        Padded length T.

    Returns
    -------
    index : int64 tensor of shape (B, T)
        ``lengths - 1 - t`` on valid steps, ``t`` on the padding: the reversal is its own inverse.
    """
    t = torch.arange(n_timesteps, device=lengths.device)
    mirrored = lengths[:, None] - 1 - t  # (B, T)
    return torch.where(mirrored >= 0, mirrored, t)


class Reversal(torch.autograd.Function):
    """Take the rows of a padded batch that :func:`reversal` names; the gradient takes the same way back."""

    @staticmethod
    def forward(ctx, X, index):
        """Return ``X[b, index[b, t]]`` for X (B, T, F) and index (B, T)."""
        ctx.save_for_backward(index)
        B, T, F = X.shape
        rows = index + T * torch.arange(B, device=index.device)[:, None]  # (B, T)
        return X.reshape(B * T, F).index_select(0, rows.view(-1)).view(B, T, F)

    @staticmethod
    def backward(ctx, grad):
        """Reverse the gradient: a reversal is its own inverse."""
        return Reversal.apply(grad, ctx.saved_tensors[0]), None


def unroll(cell, X, state, feedback=None):
    """Run any cell over a padded batch.

    Parameters
    ----------
    cell : Cell
        A built cell.
    X : tensor of shape (B, T, F)
        Inputs.
    state : tuple of tensors of shape (B, H)
        State before the first step.
    feedback : callable, default=None
        For a cell that needs it: ``feedback(t, output) -> (B, K)`` is what step t reads, given the output (B, H) of the
        step before; zeros before the first.

    Returns
    -------
    outputs : tensor of shape (B, T, H)
        ``state[0]`` after every step.
    state : tuple of tensors of shape (B, H)
        State after the last step, padding or not.
    """
    if cell.scan is not None:
        return cell.scan(X, state)
    inputs, step = prepared(cell, X)
    outputs = []
    for t, x_t in enumerate(inputs):
        state = step(x_t, state) if feedback is None else step(x_t, state, feedback(t, state[0]))
        outputs.append(state[0])
    return torch.stack(outputs, dim=1), state  # (B, T, H)


class Dropout(nn.Module):
    """Set a share of the values to zero in training and scale up the rest (Srivastava et al. 2014).

    Parameters
    ----------
    p : float
        Share of values set to zero.
    """

    def __init__(self, p):
        super().__init__()
        self.p = p
        self.generator = None

    def forward(self, X):
        """Return X of the same shape, thinned out in training mode."""
        if not self.training or self.p == 0:
            return X
        kept = torch.empty_like(X).bernoulli_(1 - self.p, generator=self.generator)
        return X * kept.div_(1 - self.p)


class GaussianNoise(nn.Module):
    """Add Gaussian noise in training, which keeps a network from leaning on small differences (Bishop 1995).

    Parameters
    ----------
    std : float
        Standard deviation of the noise.
    """

    def __init__(self, std):
        super().__init__()
        self.std = std
        self.generator = None

    def forward(self, X):
        """Return X of the same shape, disturbed in training mode."""
        if not self.training or self.std == 0:
            return X
        return torch.empty_like(X).normal_(std=self.std, generator=self.generator).add_(X)


class Layers:
    r"""How layers stand on top of each other: a part that takes the place of a cell, ``cell=Layers("gru", ...)``.

    .. math::
        z^{(l)}_t &= [u^{(l-1)}_t; x_t] \quad \text{with } \mathtt{from\_input}, \text{ otherwise } u^{(l-1)}_t \\
        h^{(l)}_t &= \operatorname{cell}^{(l)}(z^{(l)}_t, h^{(l)}_{t-d_l}) \\
        u^{(l)}_t &= h^{(l)}_t + u^{(l-1)}_t \quad \text{with } \mathtt{residual} \text{ and } l > 1,
            \text{ otherwise } h^{(l)}_t \\
        y_t &= [u^{(1)}_t; \dots; u^{(L)}_t] \quad \text{with } \mathtt{to\_output}, \text{ otherwise } u^{(L)}_t

    with input x_t (F,), u^{(0)}_t = x_t, and states h^{(l)}_t (H,) of the layers l = 1, ..., L, joined over directions.
    With one layer the first three change nothing.

    Parameters
    ----------
    cell : str, None or Cell, default="lstm"
        The cell of every layer, see :func:`~sktime_rnn.cells.as_cell`.
    residual : bool, default=False
        Whether each layer above the first adds what it reads from the layer below to what it puts out (He et al. 2016).
    from_input : bool, default=False
        Whether each layer above the first reads X too, beside the layer below (Graves 2013).
    to_output : bool, default=False
        Whether what all layers put out is handed on, not the last one's alone (Graves 2013).
    dilations : int or sequence of int, default=1
        From how many steps before each layer takes its state: d_1, d_2, ...; a number d stands for 1, d, d ** 2, ...
        (Chang et al. 2017). A layer of dilation d is d chains side by side, which torch's kernel takes at once.

    References
    ----------
    A. Graves (2013). Generating sequences with recurrent neural networks. arXiv:1308.0850.
    K. He, X. Zhang, S. Ren and J. Sun (2016). Deep residual learning for image recognition. CVPR.
    S. Chang et al. (2017). Dilated recurrent neural networks. NeurIPS.
    """

    def __init__(self, cell="lstm", *, residual=False, from_input=False, to_output=False, dilations=1):
        if isinstance(cell, Layers):
            raise TypeError(f"cell must be a name or a cell, got {cell!r}. Give all options to one Layers.")
        whole = (dilations,) if isinstance(dilations, Integral) else as_tuple(dilations)
        if not whole or not all(isinstance(d, Integral) and not isinstance(d, bool) and d > 0 for d in whole):
            raise ValueError(
                f"dilations must be a whole number above 0, or one for each layer, got {dilations!r}. Give 2, say, for "
                "1, 2, 4, ..."
            )
        self.cell = as_cell(cell)
        self.residual = residual
        self.from_input = from_input
        self.to_output = to_output
        self.dilations = dilations if isinstance(dilations, Integral) else whole

    def __repr__(self):
        shown = [f"{name}=True" for name in ("residual", "from_input", "to_output") if getattr(self, name)]
        shown += [f"dilations={self.dilations!r}"] if self.dilations != 1 else []
        return f"Layers({', '.join([repr(self.cell), *shown])})"

    def above(self):
        """Return such layers that read the outputs of others, not the steps of X: see :attr:`Cell.cell_above`."""
        layers = copy.copy(self)
        layers.cell = self.cell.cell_above
        return layers

    def dilations_of(self, num_layers):
        """Return the dilation of each of so many layers, a list of int."""
        if isinstance(self.dilations, Integral):
            return [self.dilations**k for k in range(num_layers)]
        if len(self.dilations) != num_layers:
            raise ValueError(
                f"dilations must be one number for each of the num_layers={num_layers} layers, got "
                f"{len(self.dilations)} of them. Change their number or num_layers."
            )
        return list(self.dilations)


def as_layers(cell, nonlinearity="tanh"):
    """Return the layers that a name, a cell or layers stand for.

    Parameters
    ----------
    cell : str, None, Cell class, Cell instance or Layers
        What the user asked for.
    nonlinearity : {"tanh", "relu", "sigmoid", "identity"} or callable, default="tanh"
        Handed to cells asked for by name.

    Returns
    -------
    layers : Layers
        Plain ones around a cell.
    """
    if not isinstance(cell, Layers):
        return Layers(as_cell(cell, nonlinearity))
    if nonlinearity != "tanh":
        raise ValueError(
            f"nonlinearity={nonlinearity!r} needs a cell asked for by name, got {cell!r}, whose cell has its own. "
            "Leave nonlinearity at 'tanh', and give it to the cell."
        )
    return cell


class Recurrent(nn.Module):
    """One layer in one direction.

    Where torch has a kernel for the cell's equations it is used, otherwise :func:`unroll` loops over the cell.

    Parameters
    ----------
    cell : Cell
        The cell, without weights.
    input_size, hidden_size : int
        F and H.
    bias : bool, default=True
        Whether the equations have bias terms.
    initial_state : {"zeros", "learned"}, default="zeros"
        The state before the first step that is read.
    backwards : bool, default=False
        Read each sequence from its own last step to its first.
    dilation : int, default=1
        From how many steps before the state is taken; all of the first ones start from the initial state.
    """

    def __init__(self, cell, input_size, hidden_size, bias=True, initial_state="zeros", backwards=False, dilation=1):
        super().__init__()
        if cell.needs_feedback:
            raise ValueError(
                f"cell must be one that reads its own state alone, got {cell!r}, which reads the network's output at "
                "every step; RNNClassifier and RNNRegressor have one. Choose cell='gru', say."
            )
        if initial_state == "learned" and not cell.learnable:
            raise ValueError(
                f"initial_state='learned' needs a cell that starts from a state, got {cell!r}, which has none. Leave "
                "initial_state at 'zeros'."
            )
        self.backwards = backwards
        self.dilation = dilation
        self.hidden_size = hidden_size
        self.learnable = cell.learnable
        self.state_sizes = cell.state_sizes(hidden_size)
        self.forget_gate_position = cell.forget_gate_position
        self.recurrent_init = cell.recurrent_init
        self.fused = cell.kernel is not None
        if self.fused:
            options = {"nonlinearity": cell.nonlinearity} if cell.kernel == "RNN" else {}
            kernel = getattr(nn, cell.kernel)(
                input_size, hidden_size, bias=bias, batch_first=True, device="meta", **options
            )
            self.cell = kernel.to_empty(device="cpu")  # skip_init refuses nn.RNN and nn.GRU
        else:
            self.cell = cell.build(input_size, hidden_size, bias)
        self.initial_state = None
        if initial_state == "learned":
            widest = max(self.state_sizes[i] for i in self.learnable)
            self.initial_state = nn.Parameter(torch.zeros(len(self.learnable), widest))

    def reset_parameters(self, generator=None):
        """Draw new weights; a learned initial state starts at zero.

        Parameters
        ----------
        generator : torch.Generator, default=None
            Source of the random numbers.
        """
        if self.fused:
            weights = list(self.cell.parameters())
            weights += [None] * (4 - len(weights))
            options = {"forget_gate_position": self.forget_gate_position, "recurrent_init": self.recurrent_init}
            init_recurrent_(*weights, **options, generator=generator)
        else:
            self.cell.reset_parameters(generator)
        if self.initial_state is not None:
            nn.init.zeros_(self.initial_state)

    def _run_fused(self, X):
        if self.initial_state is None:
            return self.cell(X)[0]
        state = self.initial_state[:, None, None].expand(-1, 1, X.shape[0], -1).contiguous()  # (n_states, 1, B, H)
        return self.cell(X, tuple(state) if len(state) > 1 else state[0])[0]

    def zero_state(self, batch_size, like):
        """Return the state before the first step where nothing is learned.

        Parameters
        ----------
        batch_size : int
            Number B of sequences.
        like : tensor
            Gives the dtype and the device.

        Returns
        -------
        state : tuple of tensors of shape (B, H)
            One for each of the cell's states.
        """
        if self.fused:
            return tuple(like.new_zeros(batch_size, size) for size in self.state_sizes)
        return self.cell.initial_state(batch_size, like)

    def _run_cell(self, X):
        state = list(self.zero_state(len(X), X))
        if self.initial_state is not None:
            for i, h in zip(self.learnable, self.initial_state, strict=True):
                state[i] = h[: self.state_sizes[i]].expand(len(X), -1)
        return unroll(self.cell, X, tuple(state))[0]

    def go_on(self, X, state):
        """Run over steps, forwards, from a given state.

        Parameters
        ----------
        X : tensor of shape (B, T, F)
            Inputs.
        state : tuple of tensors of shape (B, H)
            State before the first of them.

        Returns
        -------
        outputs : tensor of shape (B, T, H)
            The output after each step.
        state : tuple of tensors of shape (B, H)
            State after the last one.
        """
        if not self.fused:
            return unroll(self.cell, X, state)
        first = tuple(h[None].contiguous() for h in state)
        outputs, last = self.cell(X, first if len(first) > 1 else first[0])
        return outputs, tuple(h[0] for h in (last if len(first) > 1 else (last,)))

    def read(self, X, index=None):
        """Run over a batch, and leave the outputs in the order in which the steps were read.

        Parameters
        ----------
        X : tensor of shape (B, T, F)
            Inputs, padded on the right.
        index : tensor of shape (B, T), default=None
            What :func:`reversal` gives; needed by the backward direction.

        Returns
        -------
        outputs : tensor of shape (B, T, H)
            The output after each step that was read.
        """
        run = self._run_fused if self.fused else self._run_cell
        X = Reversal.apply(X, index) if self.backwards else X
        return run(X) if self.dilation == 1 else self._run_chains(run, X)

    def _run_chains(self, run, X):
        """Run over every dilation-th step, from each of the first ones on, as if these were sequences of their own."""
        (B, T, F), d = X.shape, self.dilation
        chains = pad(X, (0, 0, 0, -T % d)).unflatten(1, (-1, d)).transpose(1, 2)  # (B, d, T / d, F)
        outputs = run(chains.reshape(B * d, -1, F)).unflatten(0, (B, d))  # (B, d, T / d, H)
        return outputs.transpose(1, 2).flatten(1, 2)[:, :T]

    def forward(self, X, index=None):
        """Run over a batch.

        Parameters
        ----------
        X : tensor of shape (B, T, F)
            Inputs, padded on the right.
        index : tensor of shape (B, T), default=None
            What :func:`reversal` gives; needed by the backward direction.

        Returns
        -------
        outputs : tensor of shape (B, T, H)
            The output at every step, in the order of the input.
        """
        outputs = self.read(X, index)
        return Reversal.apply(outputs, index) if self.backwards else outputs


class Stacked(nn.Module):
    """Layers on top of each other, each in one or both directions, with dropout between them.

    Parameters
    ----------
    cell : Cell or Layers
        The cell of every layer, without weights, and how the layers are connected.
    input_size, hidden_size : int
        F and H.
    num_layers : int, default=1
        Number L of layers.
    bidirectional : bool, default=False
        Whether every layer reads in both directions (Schuster and Paliwal 1997); outputs are then joined,
        forward first.
    go_backwards : bool, default=False
        Whether a layer of one direction reads backwards.
    bias : bool, default=True
        Whether the equations have bias terms.
    initial_state : {"zeros", "learned"}, default="zeros"
        The state before the first step that is read, one for each layer and direction.
    dropout : float, default=0.0
        Share of a layer's outputs that the next layer does not see in training.

    Attributes
    ----------
    output_size : int
        The width O of the outputs: D * H, or L * D * H where all layers are put out.
    """

    def __init__(
        self,
        cell,
        input_size,
        hidden_size,
        *,
        num_layers=1,
        bidirectional=False,
        go_backwards=False,
        bias=True,
        initial_state="zeros",
        dropout=0.0,
    ):
        super().__init__()
        layers = as_layers(cell)
        self.residual, self.from_input, self.to_output = layers.residual, layers.from_input, layers.to_output
        directions = (False, True) if bidirectional else (go_backwards,)
        self.directions = directions
        self.hidden_size = hidden_size
        width = len(directions) * hidden_size
        self.output_size = width * num_layers if self.to_output else width
        sizes = [input_size] + [width + (input_size if self.from_input else 0)] * (num_layers - 1)
        self.layers = nn.ModuleList(
            nn.ModuleList(
                Recurrent(
                    layers.cell if k == 0 else layers.cell.cell_above,
                    size,
                    hidden_size,
                    bias=bias,
                    initial_state=initial_state,
                    backwards=backwards,
                    dilation=dilation,
                )
                for backwards in directions
            )
            for k, (size, dilation) in enumerate(zip(sizes, layers.dilations_of(num_layers), strict=True))
        )
        self.dropout = Dropout(dropout)

    def reset_parameters(self, generator=None):
        """Draw new weights for every layer.

        Parameters
        ----------
        generator : torch.Generator, default=None
            Source of the random numbers.
        """
        for layer in self.layers:
            for direction in layer:
                direction.reset_parameters(generator)

    def _run(self, X, index, n_layers):
        """Return what the first so many layers put out, a list."""
        found, below = [], X
        for k, layer in enumerate(self.layers[:n_layers]):
            seen = self._seen(below, X, k)
            above = torch.cat([direction(seen, index) for direction in layer], dim=2)
            below = above + below if self.residual and k else above
            found.append(below)
        return found

    def _seen(self, below, X, k):
        """Return what the layer k reads of the layer below and of X."""
        if k == 0:
            return X
        return torch.cat([self.dropout(below), X], dim=2) if self.from_input else self.dropout(below)

    def _index(self, X, lengths):
        return reversal(lengths, X.shape[1]) if True in self.directions else None

    def forward(self, X, lengths):
        """Run all layers over a batch.

        Parameters
        ----------
        X : tensor of shape (B, T, F)
            Inputs, padded on the right.
        lengths : int64 tensor of shape (B,)
            Number of valid steps of each sequence.

        Returns
        -------
        outputs : tensor of shape (B, T, O)
            The last layer's output, or those of all, at every step, in the order of the input.
        """
        found = self._run(X, self._index(X, lengths), len(self.layers))
        return torch.cat(found, dim=2) if self.to_output else found[-1]

    def _ends(self, outputs, lengths):
        """Return what each direction of each layer put out after the whole sequence, (B, T, O) -> (B, O)."""
        rows = torch.arange(len(lengths), device=lengths.device)
        parts = outputs.split(self.hidden_size, dim=2)
        directions = self.directions * (len(parts) // len(self.directions))
        ends = {False: lengths - 1, True: torch.zeros_like(lengths)}
        return torch.cat([part[rows, ends[back]] for part, back in zip(parts, directions, strict=True)], dim=1)

    def read(self, X, lengths):
        """Return the outputs at every step, and those of each direction after the whole sequence.

        Parameters
        ----------
        X : tensor of shape (B, T, F)
            Inputs, padded on the right.
        lengths : int64 tensor of shape (B,)
            Number of valid steps of each sequence.

        Returns
        -------
        outputs : tensor of shape (B, T, O)
            As :meth:`forward` gives them.
        last : tensor of shape (B, O)
            As :meth:`last` gives it.
        """
        outputs = self(X, lengths)
        return outputs, self._ends(outputs, lengths)

    def last(self, X, lengths):
        """Return what each direction of what is put out holds when it has read the whole sequence.

        Parameters
        ----------
        X : tensor of shape (B, T, F)
            Inputs, padded on the right.
        lengths : int64 tensor of shape (B,)
            Number of valid steps of each sequence.

        Returns
        -------
        last : tensor of shape (B, O)
            The forward direction at the last valid step, the backward direction at the first.
        """
        if self.residual or self.to_output:
            return self.read(X, lengths)[1]
        index = self._index(X, lengths)
        below = self._run(X, index, len(self.layers) - 1)
        X = self._seen(below[-1], X, len(below)) if below else X
        rows = torch.arange(len(lengths), device=lengths.device)
        return torch.cat([direction.read(X, index)[rows, lengths - 1] for direction in self.layers[-1]], dim=1)
