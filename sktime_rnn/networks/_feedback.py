"""Networks whose cells read what the head has made of the step before.

Shapes: B batch, T time steps of the longest sequence in the batch, F features, H hidden units, K numbers that are fed
back, W hypotheses a sequence.
"""

import torch
from torch import nn
from torch.nn.functional import one_hot, pad

from sktime_rnn.cells import StepCell
from sktime_rnn.heads import CategoricalHead
from sktime_rnn.layers import Dropout, Reversal, reversal, unroll
from sktime_rnn.networks._recurrent import RecurrentNetwork


class FeedbackLayers(StepCell):
    """Layers of cells that all read the network's output of the step before, as one cell.

    The state holds the tensors of the last layer first.

    Parameters
    ----------
    cell : Cell
        The cell of every layer, without weights; one that ``needs_feedback``.
    input_size, hidden_size, feedback_size : int
        F, H and K.
    num_layers : int
        Number of layers.
    bias : bool
        Whether the equations have bias terms.
    dropout : float
        Share of a layer's outputs that the next layer does not see in training.
    """

    needs_feedback = True

    def __init__(self, cell, input_size, hidden_size, feedback_size, num_layers, bias, dropout):
        super().__init__()
        sizes = [input_size] + [hidden_size] * (num_layers - 1)
        self.layers = nn.ModuleList(cell.build(size, hidden_size, bias, feedback_size=feedback_size) for size in sizes)
        self.dropout = Dropout(dropout)
        self.output_size = hidden_size
        self.n_states = num_layers * cell.n_states

    def reset_parameters(self, generator=None):
        """Draw new weights for every layer."""
        for layer in self.layers:
            layer.reset_parameters(generator)

    def initial_state(self, batch_size, like):
        """Return the state before the first step: zeros."""
        return tuple(h for layer in reversed(self.layers) for h in layer.initial_state(batch_size, like))

    def inputs(self, X):
        """Return what the first layer needs of the inputs, found for all steps at once."""
        return self.layers[0].inputs(X)

    def step(self, a_t, state, feedback):
        """Return the state after a step."""
        after = ()
        for k, layer in enumerate(self.layers):
            n = len(state) - (k + 1) * layer.n_states
            a_t = layer.inputs(self.dropout(after[0])) if k else a_t
            after = layer.step(a_t, state[n : n + layer.n_states], feedback) + after
        return after

    def forward(self, x_t, state, feedback):
        """Take one step: the new state."""
        return self.step(self.inputs(x_t), state, feedback)

    def forced(self, X, Y):
        """Return outputs (B, T, H) for inputs X (B, T, F) and what is fed back at each step, Y (B, T, K)."""
        for k, layer in enumerate(self.layers):
            X = layer.forced(self.dropout(X) if k else X, Y)
        return X


class FeedbackNetwork(RecurrentNetwork):
    """Recurrent layers that read the network's own output of the step before; see :class:`RecurrentNetwork`.

    With targets for every step, ``forward(X, lengths, y)`` reads true outputs: all of them in prediction, which gives
    P(y_t | x, y_1 ... y_{t-1}), and a share ``teacher_forcing`` of them in training. Without y it reads its own.
    """

    def _make_recurrent(self, layers, head, hidden_size, options):
        cell = layers.cell
        how = head.feedbacks[0] if cell.feedback is None else cell.feedback
        self._check(layers, head, how, options)
        self.how, self.beam_width, self.teacher_forcing = how, cell.beam_width, cell.teacher_forcing
        self.backwards = options["go_backwards"]
        self.forces = self.per_step and how in head.known_feedbacks
        self.generator = None
        shared = (options["num_layers"], options["bias"], options["dropout"])
        return FeedbackLayers(cell, self.vector_size, hidden_size, head.raw_size, *shared)

    def _check(self, layers, head, how, options):
        cell = layers.cell
        if options["bidirectional"]:
            raise ValueError(
                f"bidirectional must be False for {cell!r}: its feedback is the network's output, which both "
                "directions would make together. Set it to False, or choose another cell."
            )
        if options["initial_state"] != "zeros":
            raise ValueError(
                f"initial_state must be 'zeros' for {cell!r}, whose state is what was put out before: nothing; got "
                f"{options['initial_state']!r}. Leave it at 'zeros'."
            )
        if layers.residual or layers.from_input or layers.to_output or layers.dilations != 1:
            raise ValueError(f"cell must be a plain {cell!r}, got {layers!r}. Pass the cell without Layers.")
        if how not in head.feedbacks:
            raise ValueError(
                f"feedback must be one of {list(head.feedbacks)} where outputs are values, got {how!r}. Leave it "
                "at None."
            )
        if not self.per_step and (cell.teacher_forcing != 1 or cell.teacher_forcing_schedule != "constant"):
            raise ValueError(
                "teacher_forcing needs a target for every step, got one a sequence: no true output is known before. "
                "Leave teacher_forcing at 1 and its schedule at 'constant'."
            )
        scheduled = cell.teacher_forcing or cell.teacher_forcing_schedule != "constant"
        if self.per_step and how not in head.known_feedbacks and scheduled:
            raise ValueError(
                f"teacher_forcing must be 0 with feedback={how!r} and labels, for which no true values are known, and "
                f"its schedule 'constant', got {cell.teacher_forcing} and {cell.teacher_forcing_schedule!r}. Set them "
                "so, or feedback to 'probability'."
            )
        if cell.beam_width > 1 and not (self.per_step and isinstance(head, CategoricalHead)):
            raise ValueError(
                f"beam_width must be 1 unless y holds one label for every step, got {cell.beam_width}. Leave it at 1."
            )

    def forward(self, X, lengths, y=None):
        """Return the raw output.

        Parameters
        ----------
        X : tensor of shape (B, T, *input_shape), or of codes (B, T)
            A batch, padded on the right.
        lengths : int64 tensor of shape (B,)
            Number of valid steps of each sequence.
        y : tensor of shape (B, T) or (B, T, n_outputs), default=None
            True outputs of every step.

        Returns
        -------
        raw : tensor of shape (B, raw_size) or (B, T, raw_size)
            What the head turns into a loss or a prediction.
        """
        X, index = self.in_order(self.vectors(X, lengths), lengths)
        Y = self._known(y, index, X.dtype) if y is not None and self.forces else None
        share = self.teacher_forcing if self.training else 1.0
        if Y is not None and share == 1:
            outputs = self.recurrent.forced(X, Y)
            raw = self.head(self.dropout(outputs))
        else:
            outputs, raw = self._free(X, Y, share)
        if self.per_step:
            return raw if index is None else Reversal.apply(raw, index)
        if self.pooling == "last":
            return raw[torch.arange(len(lengths), device=lengths.device), lengths - 1]
        return self.head(self.dropout(self._pool(outputs, lengths)))

    def in_order(self, X, lengths):
        """Return steps (B, T, ...) in the order in which they are read, and what brings them back, or None."""
        if not self.backwards:
            return X, None
        index = reversal(lengths, X.shape[1])
        return Reversal.apply(X, index), index

    def _known(self, y, index, dtype):
        """Return the true output before each step, (B, T, K)."""
        Y = self.head.known_feedback(y).to(dtype)
        Y = Y if index is None else Reversal.apply(Y, index)
        return pad(Y[:, :-1], (0, 0, 1, 0))

    def _free(self, X, Y, share):
        """Return outputs and raw outputs of every step; each step reads the network's own output, or Y now and then."""
        raws, known = [], None
        if Y is not None:
            known = torch.empty(Y.shape[:2], device=Y.device).bernoulli_(share, generator=self.generator).bool()

        def feedback(t, output):
            if t == 0:
                return X.new_zeros(len(X), self.head.raw_size)
            raws.append(self.head(self.dropout(output)))
            own = self.head.feedback(raws[-1], self.how).to(X.dtype)
            return own if known is None else torch.where(known[:, t, None], Y[:, t], own)

        outputs, state = unroll(self.recurrent, X, self.recurrent.initial_state(len(X), X), feedback)
        raws.append(self.head(self.dropout(state[0])))
        return outputs, torch.stack(raws, dim=1)


class LabelHypotheses:
    """Sequences of labels on their way, for the searches of :mod:`sktime_rnn.decoding`; code K ends a sequence.

    Parameters
    ----------
    network : FeedbackNetwork
        With one label for every step, of K.
    X : tensor of shape (B, T, *input_shape), or of codes (B, T)
        A batch, padded on the right.
    lengths : int64 tensor of shape (B,)
        Number of valid steps of each sequence.
    """

    begin = 0

    def __init__(self, network, X, lengths):
        self.network, self.width, self.t = network, network.beam_width, 0
        X, _ = network.in_order(network.vectors(X, lengths), lengths)
        self.A = network.recurrent.inputs(X)  # (B, T, H)
        self.state = network.recurrent.initial_state(len(X) * self.width, X)

    def step(self, codes):
        """Return log-probabilities (B, W, K + 1) of the next labels, given the last ones (B, W)."""
        head, W = self.network.head, self.width
        t = min(self.t, self.A.shape[1] - 1)
        a_t = self.A[:, t].repeat_interleave(W, dim=0)
        feedback = one_hot(codes.flatten(), head.n_outputs + 1)[:, :-1].to(a_t.dtype) * (self.t > 0)
        self.state = self.network.recurrent.step(a_t, self.state, feedback)
        self.t += 1
        log_proba = head.log_proba(head(self.state[0]).double())
        return pad(log_proba, (0, 1)).unflatten(0, (-1, W))

    def keep(self, samples):
        """Go on with some of the inputs alone."""
        self.A = self.A[samples]
        self.state = tuple(h.unflatten(0, (-1, self.width))[samples].flatten(0, 1) for h in self.state)

    def branch(self, parents):
        """Go on from some of each input's hypotheses, (B, W)."""
        rows = (parents + self.width * torch.arange(len(parents), device=parents.device)[:, None]).flatten()
        self.state = tuple(h.index_select(0, rows) for h in self.state)
