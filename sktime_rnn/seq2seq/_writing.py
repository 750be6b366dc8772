"""What a fitted Seq2SeqTransformer writes: batches in, outputs end to end out."""

import copy

import numpy as np
import torch

from sktime_rnn.base import edit_distances
from sktime_rnn.batching import BatchIterator, PairDataset, PairIterator, SequenceDataset, flat_steps
from sktime_rnn.decoding import Limits, beam_search, collapse, draw_greedily, prefix_beam_search, walk
from sktime_rnn.encoder_decoder import Hypotheses, Memory
from sktime_rnn.nets import torch_threads
from sktime_rnn.seq2seq._fitting import BLANK, END, PairTrainer
from sktime_rnn.sequences import Sequences

_INPUTS_AT_ONCE = 256
_STEPS_AT_ONCE = 1 << 14
_SCORES_AT_ONCE = 1 << 23  # log-probabilities of symbols that are held at a time


class _Written:
    """Outputs as they come batch by batch, to be put into the order of the inputs."""

    def __init__(self, n_samples):
        self.lengths = np.zeros(n_samples, dtype=np.int64)
        self.parts = []

    def add(self, places, padded, lengths):
        """Take outputs (n, T, ...) of some lengths (n,) for some places (n,)."""
        padded, lengths = padded.cpu().numpy(), lengths.cpu().numpy()
        self.lengths[places] = lengths
        self.parts.append((places, padded[np.arange(padded.shape[1]) < lengths[:, None]]))

    def sequences(self):
        """Return them as Sequences."""
        offsets = np.concatenate([[0], np.cumsum(self.lengths)])
        first = self.parts[0][1]
        values = np.empty((offsets[-1], *first.shape[1:]), dtype=first.dtype)
        for places, part in self.parts:
            values[flat_steps(offsets, places)] = part
        return Sequences(values, offsets)


class Writer(PairTrainer):
    """What Seq2SeqTransformer does with a fitted net."""

    def _n_at_once(self, width):
        n_symbols = len(self._output_vocabulary) if self._form.is_symbols else 1
        return max(1, min(_INPUTS_AT_ONCE, _SCORES_AT_ONCE // (width * n_symbols)))

    def _exact(self):
        """Return the network in float64, in prediction mode.

        In float32 a matrix product of one row rounds differently from that of many: values, unlike symbols, would show
        which others were predicted with them.
        """
        net = self.net_
        if self._spec["precision"] == "bfloat16" or torch.device(net.device).type == "mps":
            return net.module_.eval()
        module = self._build_module(self._spec | {"precision": "float64"})
        module.load_state_dict(net.module_.state_dict())
        return module.to(net.device).eval()

    def _batches(self, sequences, module, n_at_once=_INPUTS_AT_ONCE):
        """Yield indices, and what the network takes of these inputs."""
        net = self.net_
        scaling = None if module.scaling is None else copy.deepcopy(module.scaling).cpu()
        iterator = BatchIterator(SequenceDataset(sequences), n_at_once, _STEPS_AT_ONCE, scaling=scaling)
        for indices in iterator.plan():
            inputs, _ = iterator.cut(indices)
            if sequences.shapes is not None:
                inputs["shapes"] = torch.from_numpy(sequences.shapes[indices])
            yield indices, {name: value.to(net.device) for name, value in inputs.items()}

    def _predicting(self):
        """Switch the net to prediction, and return the contexts to predict in."""
        self.net_.module_.eval()
        return torch_threads(self.n_threads_), torch.no_grad(), self.net_.autocast()

    def _memories(self, sequences, module, n_at_once=_INPUTS_AT_ONCE):
        """Yield indices and the memory of these inputs."""
        for indices, inputs in self._batches(sequences, module, n_at_once):
            yield indices, module.read(**inputs)

    def _encoded(self, sequences):
        """Return context vectors, (n_samples, C)."""
        threads, no_grad, autocast = self._predicting()
        module = self._exact()
        out = np.empty((len(sequences), module.encoder.context_size))
        with threads, no_grad, autocast:
            for indices, inputs in self._batches(sequences, module):
                out[indices] = module.encoder(**inputs).context.double().cpu().numpy()
        return out

    def _memories_of(self, contexts, module):
        """Yield indices and the memory of context vectors (n_samples, C)."""
        dtype = module.head.linear.weight.dtype
        for indices in np.split(np.arange(len(contexts)), range(_INPUTS_AT_ONCE, len(contexts), _INPUTS_AT_ONCE)):
            yield indices, Memory(torch.from_numpy(contexts[indices]).to(self.net_.device, dtype))

    def _limits(self, n_samples, lengths, indices, given=None):
        """Return what outputs may be, for some of the inputs."""
        shortest, longest = self._bounds(n_samples, lengths, given)
        banned = () if self._output_vocabulary.counts_[0] else (0,)
        shortest, longest = (torch.from_numpy(bound[indices]).to(self.net_.device) for bound in (shortest, longest))
        return Limits(END, shortest, longest, banned, self.no_repeat_ngram_size)

    def _bounds(self, n_samples, lengths, given=None):
        """Return fewest and most steps of outputs, int64 (n_samples,) each; the lengths of inputs may be unknown."""
        if given is None and self._length not in ("stop", "predict"):
            given = lengths if self._length == "input" else np.full(n_samples, self._length, dtype=np.int64)
        if given is not None:
            return given, given
        if self.max_length != "auto":
            longest = np.full(n_samples, self.max_length, dtype=np.int64)
        else:
            longest = np.full(n_samples, max(1, 2 * self._longest), dtype=np.int64)
            if lengths is not None:
                longest = np.maximum(longest, np.ceil(self._ratio * lengths).astype(np.int64))
        return np.minimum(self.min_length, longest), longest

    def _write(self, sequences, **options):
        """Return what is written for inputs: a list of (values or codes as Sequences, log-probabilities)."""
        if self.alignment == "ctc":
            return self._transcribed(sequences, **options)
        module = self._writing_module()
        memories = self._memories(sequences, module, self._n_at_once(options.get("width", 1)))
        return self._written(module, memories, len(sequences), sequences.lengths, **options)

    def _writing_module(self):
        return self.net_.module_.eval() if self._form.is_symbols else self._exact()

    def _written(self, module, memories, n_samples, lengths, width=1, choose=None, given=None):
        """Return what a module writes, given memories; see :meth:`_write`."""
        written, log_proba = _Written(n_samples * width), np.full((n_samples, width), -np.inf)
        threads, no_grad, autocast = self._predicting()
        with threads, no_grad, autocast:
            for indices, memory in memories:
                if not self._form.is_symbols:
                    bounds = self._bounds(n_samples, lengths, given)
                    values, found = self._values(module, memory, indices, *bounds)
                    written.add(indices, values, found)
                    continue
                limits = self._limits(n_samples, lengths, indices, given)
                hypotheses = Hypotheses(module, memory, width)
                if choose is not None:
                    samples = torch.from_numpy(indices).to(self.net_.device)
                    out = walk(hypotheses, limits, lambda p, rows, t, s=samples: choose(p, s[rows], t))
                elif width == 1:
                    out = walk(hypotheses, limits, draw_greedily)
                else:
                    out = beam_search(hypotheses, limits, self.length_penalty)
                places = (indices[:, None] * width + np.arange(width)).ravel()
                written.add(places, out.codes.flatten(0, 1), out.lengths.flatten())
                log_proba[indices] = out.log_proba.cpu().numpy()
        return written.sequences(), log_proba

    def _values(self, module, memory, indices, shortest, longest):
        """Return values (n, T, K) in the unit of y, and their number (n,)."""
        device = self.net_.device
        shortest, longest = (torch.from_numpy(bound[indices]).to(device) for bound in (shortest, longest))
        fixed = longest if torch.equal(shortest, longest) else None
        raw, found = module.write(memory, shortest, longest, fixed)
        return module.head.predict(raw), found

    def _transcribed(self, sequences, width=1, choose=None):
        written, log_proba = _Written(len(sequences) * width), np.full((len(sequences), width), -np.inf)
        module = self.net_.module_
        threads, no_grad, autocast = self._predicting()
        with threads, no_grad, autocast:
            for indices, inputs in self._batches(sequences, module, self._n_at_once(width)):
                scores, lengths = module.raw(**inputs).log_softmax(-1), inputs["lengths"]
                if not self._output_vocabulary.counts_[0]:
                    scores[:, :, 0] = -torch.inf
                if choose is not None:
                    samples = torch.from_numpy(indices).to(scores.device)
                    paths = [
                        choose(scores[:, t, None].expand(-1, width, -1), samples, t) for t in range(scores.shape[1])
                    ]
                    path = torch.stack(paths, dim=2).flatten(0, 1)  # (n * width, T)
                    codes, found = collapse(path, lengths.repeat_interleave(width), BLANK)
                elif width == 1:
                    codes, found = collapse(scores.argmax(2), lengths, BLANK)
                else:
                    out = prefix_beam_search(scores, lengths, BLANK, width)
                    codes, found = out.codes.flatten(0, 1), out.lengths.flatten()
                    log_proba[indices] = out.log_proba.cpu().numpy()
                written.add((indices[:, None] * width + np.arange(width)).ravel(), codes, found)
        return written.sequences(), log_proba

    def _given_back(self, outputs):
        """Return Sequences of codes or values in the form of y."""
        lengths = outputs.lengths
        if self._form.container != "list" and (lengths != lengths[0]).any():
            raise ValueError(
                f"X must have sequences of one length, since y was an array in fit and output_length="
                f"{self._length!r}, got lengths from {lengths.min()} to {lengths.max()}. Predict those of one length "
                "together."
            )
        values = self._output_vocabulary.decode(outputs.values) if self._form.is_symbols else outputs.values
        return self._form.give(values, outputs.lengths)

    # --- measures ----------------------------------------------------------------------------------------------------

    def _pairs(self, sequences, outputs):
        """Yield indices and batches of inputs with outputs, which are codes or values."""
        dataset = PairDataset(sequences, self._targets(sequences, outputs))
        iterator = PairIterator(dataset, _INPUTS_AT_ONCE, _STEPS_AT_ONCE, scaling=self.net_.cpu_scaling())
        for indices in iterator.plan():
            yield indices, iterator.cut(indices)

    def _log_likelihoods(self, sequences, outputs):
        """Return the log-probability of every output, (n_samples,)."""
        out = np.empty(len(sequences))
        threads, no_grad, _ = self._predicting()
        with threads, no_grad:
            for indices, (inputs, y) in self._pairs(sequences, outputs):
                raw = self.net_.infer(inputs).double()
                if self.alignment == "ctc":
                    out[indices] = -raw[:, 0].cpu().numpy()
                    continue
                rows = self.net_.module_.head.log_likelihood(raw, y.to(raw.device)).cpu().numpy()
                ends = np.cumsum(outputs.lengths[indices] + 1)
                out[indices] = np.add.reduceat(rows, np.concatenate([[0], ends[:-1]]))
        return out

    def _weights(self, sequences, outputs):
        """Return the attention weights of every output, a list of arrays (n_out_i, n_in_i)."""
        found = [None] * len(sequences)
        threads, no_grad, autocast = self._predicting()
        module, device = self.net_.module_, self.net_.device
        with threads, no_grad, autocast:
            for indices, (inputs, _) in self._pairs(sequences, outputs):
                inputs = {name: value.to(device) for name, value in inputs.items() if name != "valid"}
                weights, mask = module.attention_weights(**inputs)
                n_in = mask.sum(1).tolist()
                for i, weight, n in zip(indices.tolist(), weights.double().cpu().numpy(), n_in, strict=True):
                    found[i] = weight[: outputs.lengths[i], :n].copy()
        return found

    def _compared(self, predicted, outputs):
        """Return for symbols: how many agree, the longer length, and edit distances, (n_samples,) each."""
        width = max(1, int(predicted.lengths.max()), int(outputs.lengths.max()))
        rows = [np.arange(width) < x.lengths[:, None] for x in (predicted, outputs)]
        a, b = np.full(rows[0].shape, -1), np.full(rows[1].shape, -2)
        a[rows[0]], b[rows[1]] = predicted.values, np.where(outputs.values == 0, -3, outputs.values)  # unknown: never
        agree = (a == b).sum(axis=1)
        return (
            agree,
            np.maximum(predicted.lengths, outputs.lengths),
            edit_distances(b, outputs.lengths, a, predicted.lengths),
        )
