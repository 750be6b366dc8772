"""Encoder: an input becomes steps to look at, and one context vector.

Shapes: B sequences in a batch, T_in steps of the longest input, T_out of the longest output, D width of an input step
as the encoder gives it, C width of the context vector, H hidden units, W hypotheses a sequence.
"""

from typing import NamedTuple

import torch
from torch import nn
from torch.nn.utils import skip_init

from sktime_rnn.layers import Stacked, as_layers
from sktime_rnn.networks import StepReader, valid_steps


def draw_linear_(linear, generator=None):
    """Draw the weights of a linear map in place (Glorot and Bengio 2010); biases are 0."""
    nn.init.xavier_uniform_(linear.weight, generator=generator)
    nn.init.zeros_(linear.bias)


class Memory(NamedTuple):
    """What a decoder sees of the inputs.

    Attributes
    ----------
    context : tensor of shape (B, C)
        Each input as one vector.
    steps : tensor of shape (B, T_in, D) or None
        Each input step; None where there is nothing to attend to.
    mask : bool tensor of shape (B, T_in) or None
        True on valid steps.
    keys : tensor of shape (B, T_in, K) or None
        What attention needs of the steps.
    """

    context: torch.Tensor
    steps: torch.Tensor | None = None
    mask: torch.Tensor | None = None
    keys: torch.Tensor | None = None

    def take(self, samples):
        """Return the memory of some sequences, an int64 tensor of shape (n,)."""
        return Memory(*(None if part is None else part.index_select(0, samples) for part in self))


class GridNetwork(nn.Module):
    """A module run over whole grids, all of one shape at a time.

    Parameters
    ----------
    module : torch.nn.Module
        Maps (n, height, width, channels) to (n, height', width', features), or to (n, features).
    n_channels : int
        Channels of a cell.
    shape : tuple of int
        Height and width of a grid that is tried out, to learn the number of features.
    """

    def __init__(self, module, n_channels, shape):
        super().__init__()
        self.module = module
        training = module.training
        module.eval()
        with torch.no_grad():
            parameter = next(module.parameters(), torch.empty(0))
            trial = torch.zeros((1, *shape, n_channels), dtype=parameter.dtype, device=parameter.device)
            self.vector_size = self._cells(trial).shape[2]
        module.train(training)

    def _cells(self, grids):
        features = self.module(grids)
        if features.ndim not in (2, 4) or len(features) != len(grids):
            raise ValueError(
                "step_network must map grids (n, height, width, channels) to (n, height', width', n_features), or to "
                f"(n, n_features), got {tuple(features.shape)} for {tuple(grids.shape)}. Permute its axes."
            )
        return features.reshape(len(grids), -1, features.shape[-1])  # (n, cells, features)

    def forward(self, X, shapes):
        """Return the cells of the features, row after row, and their number.

        Parameters
        ----------
        X : tensor of shape (B, T, channels)
            Cells of the grids, row after row, padded on the right.
        shapes : int64 tensor of shape (B, 2)
            Height and width of each grid.

        Returns
        -------
        steps : tensor of shape (B, T', features)
            Padded with 0.
        lengths : int64 tensor of shape (B,)
            Number of cells of each.
        """
        distinct, group = shapes.unique(dim=0, return_inverse=True)
        members = [torch.nonzero(group == k)[:, 0] for k in range(len(distinct))]
        parts = [
            self._cells(X[rows, : height * width].unflatten(1, (height, width)))
            for rows, (height, width) in zip(members, distinct.tolist(), strict=True)
        ]
        n_cells = torch.tensor([part.shape[1] for part in parts], device=X.device)
        longest = int(n_cells.max())
        padded = [nn.functional.pad(part, (0, 0, 0, longest - part.shape[1])) for part in parts]
        order = torch.cat(members).argsort()
        return torch.cat(padded).index_select(0, order), n_cells[group]


class Encoder(StepReader):
    r"""Recurrent layers that make steps and one context vector of an input.

    .. math:: h_j = \operatorname{cell}(x_j, h_{j-1}), \quad C = \tanh(W h_L + b)

    with h_L what each direction of the last layer gives after the whole sequence; without ``n_components``, C is h_L
    itself. One vector per sample (``kind="vector"``) is not read by any recurrence: it takes the place of h_L.

    Parameters
    ----------
    cell : Cell
        The cell of every layer.
    input_shape : tuple of int
        Shape of a step; ignored for tokens.
    hidden_size : int
        Hidden units of each layer and direction.
    kind : {"sequence", "vector", "grid"}
        What a sample is.
    num_layers, bidirectional, go_backwards, bias, initial_state, dropout
        As in :class:`~sktime_rnn.layers.Stacked`.
    input_noise, step_network
        As in :class:`~sktime_rnn.networks.StepReader`; for grids, see :class:`GridNetwork`.
    grid_shape : tuple of int
        Height and width of one of the grids.
    token_counts, embedding_dim
        As in :class:`~sktime_rnn.networks.StepReader`.
    n_components : int or None
        Size of C.
    n_flags : int
        As in :class:`~sktime_rnn.networks.StepReader`.

    Attributes
    ----------
    step_size, context_size : int
        Width of a step and of C.
    """

    def __init__(
        self,
        cell,
        *,
        input_shape,
        hidden_size,
        kind="sequence",
        num_layers=1,
        bidirectional=False,
        go_backwards=False,
        bias=True,
        initial_state="zeros",
        dropout=0.0,
        input_noise=0.0,
        step_network=None,
        grid_shape=None,
        token_counts=None,
        embedding_dim=None,
        n_components=None,
        n_flags=0,
    ):
        per_step = None if kind == "grid" else step_network
        first = as_layers(cell).cell if kind != "vector" else None
        super().__init__(input_shape, input_noise, per_step, token_counts, embedding_dim, n_flags, first)
        self.grid_network = None
        if kind == "grid" and step_network is not None:
            self._refuse_to_flag("what step_network makes of grids", first)
            self.grid_network = GridNetwork(step_network, input_shape[-1], grid_shape)
            self.vector_size = self.grid_network.vector_size
        self.recurrent = None
        if kind != "vector":
            self.recurrent = Stacked(
                cell,
                self.vector_size,
                hidden_size,
                num_layers=num_layers,
                bidirectional=bidirectional,
                go_backwards=go_backwards,
                bias=bias,
                initial_state=initial_state,
                dropout=dropout,
            )
        self.step_size = self.vector_size if kind == "vector" else self.recurrent.output_size
        self.context_size = self.step_size if n_components is None else n_components
        self.compress = None if n_components is None else skip_init(nn.Linear, self.step_size, n_components)

    def reset_parameters(self, generator=None):
        """Draw new weights for every part but ``step_network``.

        Parameters
        ----------
        generator : torch.Generator, default=None
            Source of the random numbers.
        """
        for part in (self.embedding, self.recurrent):
            if part is not None:
                part.reset_parameters(generator)
        if self.compress is not None:
            draw_linear_(self.compress, generator)

    def _read(self, X, lengths, shapes):
        """Return the vectors of the steps and how many there are."""
        if self.grid_network is None:
            return self.vectors(X, lengths), lengths
        return self.grid_network(self.disturbed(X), shapes)

    def forward(self, X, lengths, shapes=None):
        """Read a batch.

        Parameters
        ----------
        X : tensor of shape (B, T_in, *input_shape), or of codes (B, T_in)
            Inputs, padded on the right.
        lengths : int64 tensor of shape (B,)
            Number of valid steps of each.
        shapes : int64 tensor of shape (B, 2), default=None
            Height and width, where samples are grids.

        Returns
        -------
        memory : Memory
            Without keys, which belong to the decoder.
        """
        vectors, lengths = self._read(X, lengths, shapes)
        if self.recurrent is None:
            return Memory(self._compressed(vectors[:, 0]))
        steps, last = self.recurrent.read(vectors, lengths)
        mask = valid_steps(lengths, steps.shape[1])
        steps = steps.masked_fill(~mask[:, :, None], 0.0)  # the padding may overflow under relu
        return Memory(self._compressed(last), steps, mask)

    def _compressed(self, last):
        return last if self.compress is None else torch.tanh(self.compress(last))
