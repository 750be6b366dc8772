"""The encoder-decoder loops that a user would write by hand, for `seq2seq.py` to hold `Seq2SeqTransformer` against.

Both networks read sentences as codes of words and write them step by step in a Python loop, with additive attention
(Bahdanau, Cho and Bengio 2014) and, in training, teacher forcing. `TutorialNet` is that of the usual tutorial: a GRU
reads in one direction, and what the decoder attends to before a step is a part of the step's input. `SameNet` has the
estimator's architecture and takes its weights. Neither drops out nor clips gradients, which the estimator does.

Shapes: B sentences in a batch, T steps of the longest of them, D width of an encoded step, H hidden units, E width of a
word's vector, V words of the target.
"""

import time

import torch
from loops import reverse_within
from torch import nn
from torch.nn.utils.rnn import pad_sequence

LEARNING_RATE = 3e-3
UNKNOWN, END = 0, 1  # codes of both vocabularies, as the estimator has them; the code V is the beginning
IGNORED = -100  # what cross_entropy leaves out


class AdditiveScore(nn.Module):
    """Weigh the steps of a sentence, given a state of the decoder."""

    def __init__(self, hidden_size, memory_size):
        super().__init__()
        self.query = nn.Linear(hidden_size, hidden_size, bias=False)
        self.key = nn.Linear(memory_size, hidden_size)
        self.score = nn.Linear(hidden_size, 1, bias=False)

    def forward(self, state, keys, steps, mask):
        """Return the weighted mean of the steps: (B, H), (B, T, H), (B, T, D), (B, T) -> (B, D)."""
        scores = self.score(torch.tanh(self.query(state)[:, None] + keys))[:, :, 0]
        weights = scores.masked_fill(~mask, -torch.inf).softmax(dim=1)
        return torch.bmm(weights[:, None], steps)[:, 0]


class SteppingNet(nn.Module):
    """What both networks share: teacher forcing, one step of the decoder after the other.

    Subclasses write `read(X, lengths) -> memory, state` and `step(code (B,), state, memory) -> logits (B, V), state`.
    """

    def forward(self, X, lengths, y):
        """Return the logits of every step, (B, T, V); y (B, T) is what the decoder reads, the beginning first."""
        memory, state = self.read(X, lengths)
        logits = []
        for t in range(y.shape[1]):
            logit, state = self.step(y[:, t], state, memory)
            logits.append(logit)
        return torch.stack(logits, dim=1)


class TutorialNet(SteppingNet):
    """One direction; the context of s_{t-1} enters step t."""

    def __init__(self, n_source, n_target, hidden_size, embedding_dim):
        super().__init__()
        self.source = nn.Embedding(n_source, embedding_dim)
        self.encoder = nn.GRU(embedding_dim, hidden_size, batch_first=True)
        self.target = nn.Embedding(n_target + 1, embedding_dim)
        self.attention = AdditiveScore(hidden_size, hidden_size)
        self.decoder = nn.GRU(embedding_dim + hidden_size, hidden_size, batch_first=True)
        self.head = nn.Linear(hidden_size, n_target)

    def read(self, X, lengths):
        """Read padded codes (B, T), the padding too, as the tutorial does."""
        steps, state = self.encoder(self.source(X))
        mask = torch.arange(X.shape[1]) < lengths[:, None]
        return (self.attention.key(steps), steps, mask), state

    def step(self, code, state, memory):
        """Take one step."""
        context = self.attention(state[0], *memory)
        x = torch.cat([self.target(code), context], dim=1)
        out, state = self.decoder(x[:, None], state)
        return self.head(out[:, 0]), state


class SameNet(SteppingNet):
    """The estimator's network: both directions, s_0 from their last states, and a readout of s_t and its context."""

    # prefixes of the names of its weights, and of the estimator's
    NAMES = {
        "source.": "encoder.embedding.embedding.",
        "layers.0.": "encoder.recurrent.layers.0.0.cell.",
        "layers.1.": "encoder.recurrent.layers.0.1.cell.",
        "target.": "decoder.embedding.embedding.",
        "bridge.": "decoder.bridge.",
        "decoder.": "decoder.layers.0.cell.",
        "attention.": "decoder.attention.",
        "combine.": "decoder.combine.",
        "head.": "head.linear.",
    }

    def __init__(self, n_source, n_target, hidden_size, embedding_dim):
        super().__init__()
        self.source = nn.Embedding(n_source, embedding_dim)
        self.layers = nn.ModuleList(nn.GRU(embedding_dim, hidden_size, batch_first=True) for _ in range(2))
        self.bridge = nn.Linear(2 * hidden_size, hidden_size)
        self.target = nn.Embedding(n_target + 1, embedding_dim)
        self.decoder = nn.GRU(embedding_dim, hidden_size, batch_first=True)
        self.attention = AdditiveScore(hidden_size, 2 * hidden_size)
        self.combine = nn.Linear(3 * hidden_size, hidden_size)
        self.head = nn.Linear(hidden_size, n_target)

    @classmethod
    def of(cls, model):
        """Make the network of a fitted estimator, with its weights."""
        n_source, n_target = len(model.vocabulary_), len(model.output_vocabulary_)
        weights = model.module_.state_dict()
        net = cls(n_source, n_target, model.hidden_size, weights[cls.NAMES["source."] + "weight"].shape[1])
        net.load_state_dict(
            {
                ours + name.removeprefix(theirs): weight
                for name, weight in weights.items()
                for ours, theirs in cls.NAMES.items()
                if name.startswith(theirs)
            }
        )
        return net.eval()

    def read(self, X, lengths):
        """Read padded codes (B, T), each sentence within its own length."""
        X = self.source(X)
        forwards, _ = self.layers[0](X)
        backwards, _ = self.layers[1](reverse_within(X, lengths))
        rows = torch.arange(len(X))
        last = torch.cat([forwards[rows, lengths - 1], backwards[rows, lengths - 1]], dim=1)  # (B, 2 H)
        steps = torch.cat([forwards, reverse_within(backwards, lengths)], dim=2)  # (B, T, 2 H)
        mask = torch.arange(X.shape[1]) < lengths[:, None]
        return (self.attention.key(steps), steps, mask), torch.tanh(self.bridge(last))[None]

    def step(self, code, state, memory):
        """Take one step."""
        out, state = self.decoder(self.target(code)[:, None], state)
        readout = torch.tanh(self.combine(torch.cat([out[:, 0], self.attention(out[:, 0], *memory)], dim=1)))
        return self.head(readout), state


# -- batches and training ------------------------------------------------------------------------------------


def vocabulary_of(sentences):
    """Number the words of sentences, after the codes that are taken."""
    words = dict.fromkeys(word for sentence in sentences for word in sentence.split())
    return {word: code for code, word in enumerate(words, start=END + 1)}


def encode(sentences, vocabulary):
    """Return a tensor of codes for each sentence."""
    return [torch.tensor([vocabulary.get(word, UNKNOWN) for word in sentence.split()]) for sentence in sentences]


def collate(X, lengths, y, begin, rows):
    """Make one padded batch of some of the pairs: what is read, what the decoder reads, what it should write."""
    read = pad_sequence([torch.cat([torch.tensor([begin]), y[i]]) for i in rows], batch_first=True)
    written = [torch.cat([y[i], torch.tensor([END])]) for i in rows]
    written = pad_sequence(written, batch_first=True, padding_value=IGNORED)
    return pad_sequence([X[i] for i in rows], batch_first=True), lengths[rows], read, written


def random_batches(X, y, begin, batch_size):
    """Return a function that gives the batches of an epoch, padded anew each time, in random company."""
    lengths = torch.tensor([len(x) for x in X])

    def batches():
        for rows in torch.randperm(len(X)).split(batch_size):
            yield collate(X, lengths, y, begin, rows)

    return batches


def bucketed_batches(X, y, begin, batch_size):
    """Return a function that gives batches of sentences of like length, padded once, in random order."""
    lengths = torch.tensor([len(x) for x in X])
    order = sorted(range(len(X)), key=lambda i: (len(X[i]), len(y[i])))
    ready = [collate(X, lengths, y, begin, rows) for rows in torch.tensor(order).split(batch_size)]

    def batches():
        for i in torch.randperm(len(ready)).tolist():
            yield ready[i]

    return batches


def train(net, batches, max_epochs):
    """Train a network; return how many seconds the epochs took."""
    optimizer = torch.optim.Adam(net.parameters(), lr=LEARNING_RATE)
    start = time.perf_counter()
    for _ in range(max_epochs):
        for X, lengths, read, written in batches():
            optimizer.zero_grad()
            logits = net(X, lengths, read)
            nn.functional.cross_entropy(logits.flatten(0, 1), written.flatten(), ignore_index=IGNORED).backward()
            optimizer.step()
    return time.perf_counter() - start


@torch.no_grad()
def evaluate(net, x, max_length):
    """Write what a sentence of codes (T,) becomes, one sentence by itself, as the tutorial does; a list of codes."""
    memory, state = net.read(x[None], torch.tensor([len(x)]))
    code, written = torch.tensor([net.head.out_features]), []
    while len(written) < max_length:
        logits, state = net.step(code, state, memory)
        code = logits.topk(1).indices[:, 0]
        if code.item() == END:
            break
        written.append(code.item())
    return written
