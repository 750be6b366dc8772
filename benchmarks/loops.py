"""The training loops that a user would write by hand, for `throughput.py` to hold the estimators against.

A workload is a list of (n_timesteps_i, n_features) tensors X with a class for each, y. Every loop trains the
same network, one recurrent layer read at each sequence's last step and a linear layer, with Adam on cross
entropy; they differ in how they make batches of sequences of unequal length.

Shapes: B sequences in a batch, T steps of the longest of them, D features, H hidden units, K classes.
"""

import numpy as np
import skorch
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_sequence

LEARNING_RATE = 1e-3
CELLS = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}


def reverse_within(X, lengths):
    """Turn each sequence of a padded batch round within its own length."""
    steps = (lengths[:, None] - 1 - torch.arange(X.shape[1])).clamp(min=0)  # (B, T)
    return X.gather(1, steps[:, :, None].expand_as(X))


class DenseNet(nn.Module):
    """Runs over the padded batch; what the padding does to the states after the last step is never read."""

    def __init__(self, cell, n_features, hidden_size, n_classes, bidirectional=False):
        super().__init__()
        directions = 2 if bidirectional else 1
        self.layers = nn.ModuleList(CELLS[cell](n_features, hidden_size, batch_first=True) for _ in range(directions))
        self.head = nn.Linear(directions * hidden_size, n_classes)

    def forward(self, X, lengths):
        inputs = [X, reverse_within(X, lengths)] if len(self.layers) == 2 else [X]
        rows = torch.arange(len(X))
        states = [layer(x)[0] for layer, x in zip(self.layers, inputs, strict=True)]  # (B, T, H) each
        last = [h[rows, lengths - 1] for h in states]  # (B, H) each
        return self.head(torch.cat(last, dim=1))  # (B, K)


class PackedNet(nn.Module):
    """Leaves unequal lengths to torch's packed sequences."""

    def __init__(self, cell, n_features, hidden_size, n_classes, bidirectional=False):
        super().__init__()
        self.layer = CELLS[cell](n_features, hidden_size, batch_first=True, bidirectional=bidirectional)
        self.head = nn.Linear((2 if bidirectional else 1) * hidden_size, n_classes)

    def forward(self, X, lengths):
        state = self.layer(pack_padded_sequence(X, lengths, batch_first=True, enforce_sorted=False))[1]
        state = state[0] if isinstance(state, tuple) else state
        return self.head(torch.cat(tuple(state), dim=1))


def collate(X, lengths, y, rows):
    """Make one padded batch of some of the sequences."""
    return pad_sequence([X[i] for i in rows], batch_first=True), lengths[rows], y[rows]


def random_batches(X, y, batch_size):
    """Return a function that gives the batches of an epoch, padded anew each time, in random company."""
    lengths = torch.tensor([len(x) for x in X])

    def batches():
        for rows in torch.randperm(len(X)).split(batch_size):
            yield collate(X, lengths, y, rows)

    return batches


def bucketed_batches(X, y, batch_size):
    """Return a function that gives batches of sequences of like length, padded once, in random order."""
    lengths = torch.tensor([len(x) for x in X])
    ready = [collate(X, lengths, y, rows) for rows in lengths.argsort(stable=True).split(batch_size)]

    def batches():
        for i in torch.randperm(len(ready)).tolist():
            yield ready[i]

    return batches


def train(net, batches, max_epochs):
    """Train a network on the batches of `max_epochs` epochs."""
    optimizer = torch.optim.Adam(net.parameters(), lr=LEARNING_RATE)
    for _ in range(max_epochs):
        for X, lengths, y in batches():
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(X, lengths), y).backward()
            optimizer.step()


@torch.inference_mode()
def predict_bucketed(net, X, batch_size):
    """Predict classes of sequences in batches of like length; X is a list of arrays, as a user has it."""
    X = [torch.from_numpy(x) for x in X]
    lengths = torch.tensor([len(x) for x in X])
    order = lengths.argsort(stable=True)
    predicted = torch.empty(len(X), dtype=torch.long)
    for rows in order.split(batch_size):
        padded = pad_sequence([X[i] for i in rows], batch_first=True)
        predicted[rows] = net(padded, lengths[rows]).argmax(dim=1)
    return predicted.numpy()


@torch.inference_mode()
def predict_one(net, x):
    """Predict the class of one sequence with the bare module."""
    return net(torch.from_numpy(x)[None], torch.tensor([len(x)])).argmax(dim=1).numpy()


# -- skorch --------------------------------------------------------------------------------------------------


class Pairs(torch.utils.data.Dataset):
    """Sequences and classes, as skorch's loader takes them."""

    def __init__(self, X, y):
        self.X, self.y = X, y

    def __len__(self):
        return len(self.X)

    def __getitem__(self, i):
        return self.X[i], self.y[i]


def collate_pairs(pairs):
    """Pad a list of (sequence, class) pairs to the named inputs of a network, and the classes."""
    sequences, y = zip(*pairs, strict=True)
    lengths = torch.tensor([len(x) for x in sequences])
    return {"X": pad_sequence(sequences, batch_first=True), "lengths": lengths}, torch.stack(y)


def skorch_net(network, batch_size, max_epochs):
    """Set skorch up as a competent user would for sequences of unequal length."""
    return skorch.NeuralNet(
        network,
        criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.Adam,
        lr=LEARNING_RATE,
        batch_size=batch_size,
        max_epochs=max_epochs,
        iterator_train__shuffle=True,
        iterator_train__collate_fn=collate_pairs,
        train_split=None,
        verbose=0,
    )


# -- workloads -----------------------------------------------------------------------------------------------


def make_sequences(lengths, n_features=8, n_classes=5, seed=0):
    """Make noise around the mean of a class: float32 arrays of the given lengths, and the classes."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(scale=0.3, size=(n_classes, n_features))
    y = rng.integers(n_classes, size=len(lengths))
    X = [rng.normal(centre, size=(n, n_features)) for n, centre in zip(lengths, centres[y], strict=True)]
    return [x.astype(np.float32) for x in X], y


def log_uniform_lengths(n_sequences, shortest=10, longest=300, seed=0):
    """Draw lengths whose logarithm is uniform: as many sequences of 10-20 steps as of 150-300."""
    rng = np.random.default_rng(seed)
    return np.exp(rng.uniform(np.log(shortest), np.log(longest), n_sequences)).round().astype(int)
