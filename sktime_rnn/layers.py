"""Recurrence over time: one layer, both directions, and several layers on top of each other.

Shapes: B batch, T time steps of the longest sequence in the batch, F features, H hidden units, D directions.

Sequences are padded on the right. A layer runs dense over the padding, which comes after every valid step and can
therefore reach none of them; the backward direction reads each sequence reversed within its own length.
"""

import torch
from torch import nn

from sktime_rnn.cells import StepCell, init_recurrent_


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


def unroll(cell, X, state):
    """Run any cell over a padded batch.

    Parameters
    ----------
    cell : Cell
        A built cell.
    X : tensor of shape (B, T, F)
        Inputs.
    state : tuple of tensors of shape (B, H)
        State before the first step.

    Returns
    -------
    outputs : tensor of shape (B, T, H)
        ``state[0]`` after every step.
    state : tuple of tensors of shape (B, H)
        State after the last step, padding or not.
    """
    if cell.scan is not None:
        return cell.scan(X, state)
    X, step = X.transpose(0, 1), cell
    if isinstance(cell, StepCell):
        X, step = cell.inputs(X), cell.step  # (T, B, G * H)
    outputs = []
    for x_t in X.unbind(0):
        state = step(x_t, state)
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
    """

    def __init__(self, cell, input_size, hidden_size, bias=True, initial_state="zeros", backwards=False):
        super().__init__()
        if initial_state == "learned" and not cell.n_learned:
            raise ValueError(
                f"initial_state='learned' needs a cell that starts from a state, got {cell!r}, which has none. Leave "
                "initial_state at 'zeros'."
            )
        self.backwards = backwards
        self.hidden_size = hidden_size
        self.n_states = cell.n_states
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
            self.initial_state = nn.Parameter(torch.zeros(cell.n_learned, max(self.state_sizes[: cell.n_learned])))

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
        state = self.zero_state(len(X), X)
        if self.initial_state is not None:
            learned = [h[:n].expand(len(X), -1) for h, n in zip(self.initial_state, self.state_sizes, strict=False)]
            state = (*learned, *state[len(learned) :])
        return unroll(self.cell, X, state)[0]

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
        return run(Reversal.apply(X, index) if self.backwards else X)

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
    cell : Cell
        The cell of every layer, without weights.
    input_size, hidden_size : int
        F and H.
    num_layers : int, default=1
        Number of layers.
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
        D * H, the width of the outputs.
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
        directions = (False, True) if bidirectional else (go_backwards,)
        self.directions = directions
        self.hidden_size = hidden_size
        self.output_size = len(directions) * hidden_size
        sizes = [input_size] + [self.output_size] * (num_layers - 1)
        self.layers = nn.ModuleList(
            nn.ModuleList(
                Recurrent(
                    cell if k == 0 else cell.cell_above,
                    size,
                    hidden_size,
                    bias=bias,
                    initial_state=initial_state,
                    backwards=backwards,
                )
                for backwards in directions
            )
            for k, size in enumerate(sizes)
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

    def _below(self, X, index):
        """Return what the last layer reads."""
        for layer in self.layers[:-1]:
            X = self.dropout(torch.cat([direction(X, index) for direction in layer], dim=2))
        return X

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
        outputs : tensor of shape (B, T, D * H)
            The last layer's output at every step, in the order of the input.
        """
        index = self._index(X, lengths)
        X = self._below(X, index)
        return torch.cat([direction(X, index) for direction in self.layers[-1]], dim=2)

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
        outputs : tensor of shape (B, T, D * H)
            As :meth:`forward` gives them.
        last : tensor of shape (B, D * H)
            As :meth:`last` gives it.
        """
        outputs = self(X, lengths)
        rows = torch.arange(len(lengths), device=lengths.device)
        ends = [
            direction[rows, torch.zeros_like(lengths) if backwards else lengths - 1]
            for direction, backwards in zip(outputs.split(self.hidden_size, dim=2), self.directions, strict=True)
        ]
        return outputs, torch.cat(ends, dim=1)

    def last(self, X, lengths):
        """Return what each direction of the last layer puts out when it has read the whole sequence.

        Parameters
        ----------
        X : tensor of shape (B, T, F)
            Inputs, padded on the right.
        lengths : int64 tensor of shape (B,)
            Number of valid steps of each sequence.

        Returns
        -------
        last : tensor of shape (B, D * H)
            The forward direction at the last valid step, the backward direction at the first.
        """
        index = self._index(X, lengths)
        X = self._below(X, index)
        rows = torch.arange(len(lengths), device=lengths.device)
        return torch.cat([direction.read(X, index)[rows, lengths - 1] for direction in self.layers[-1]], dim=1)
