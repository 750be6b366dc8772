"""What Seq2SeqTransformer trains on and builds: pairs of sequences, and the network for them."""

import copy

import numpy as np
import torch

from sktime_rnn.base import OF_TOKENS, BaseSequenceRNN, check_weight, read_groups, with_scaling
from sktime_rnn.batching import PairDataset, PairIterator, Targets, step_statistics
from sktime_rnn.callbacks import TeacherForcing
from sktime_rnn.encoder_decoder import Decoder, Encoder, EncoderDecoder, Transcriber
from sktime_rnn.heads import AlignmentHead, CategoricalHead, SeriesHead
from sktime_rnn.layers import as_layers
from sktime_rnn.nets import n_epochs
from sktime_rnn.panel import check_target_index, is_panel
from sktime_rnn.preprocessing import Vocabulary
from sktime_rnn.seq2seq._outputs import read_outputs
from sktime_rnn.sequences import Sequences

END = BLANK = 1  # codes of the output vocabulary; 0 is the unknown symbol
_MIN_UPDATES = 2500
_EPOCHS = (10, 120)
_OF_SYMBOLS = ("label_smoothing", "beam_width", "length_penalty", "no_repeat_ngram_size")
_OF_VALUES = ("loss",)
_OF_DECODER = (
    "attention",
    "input_feeding",
    "context",
    "n_components",
    "feedback",
    "output_length",
    "teacher_forcing",
    "teacher_forcing_schedule",
    "label_smoothing",
    "min_length",
    "max_length",
    "no_repeat_ngram_size",
    "length_penalty",
)
_OF_RECURRENCE = ("num_layers", "bidirectional", "go_backwards", "initial_state")


def code(vocabulary, sequences):
    """Return tokens as codes; some sequences may be empty."""
    if not len(sequences.values):
        return Sequences(np.zeros(0, dtype=np.int64), sequences.offsets)
    codes = vocabulary.encode(Sequences(sequences.values, [0, len(sequences.values)])).values
    return Sequences(codes, sequences.offsets)


def with_ends(sequences, end):
    """Return sequences with one more row each: the code of the end, or NaN."""
    lengths, values = sequences.lengths, sequences.values
    out = np.full((len(values) + len(lengths), *values.shape[1:]), end, dtype=values.dtype)
    out[np.arange(len(values)) + np.repeat(np.arange(len(lengths)), lengths)] = values
    return Sequences(out, sequences.offsets + np.arange(len(sequences.offsets)))


def alignable(sequences, codes):
    """Return how many input steps each transcript needs: its symbols, and a blank between equal neighbours."""
    values, offsets = codes.values, codes.offsets
    repeats = np.zeros(len(values), dtype=np.int64)
    repeats[1:] = values[1:] == values[:-1]
    repeats[offsets[:-1][codes.lengths > 0]] = 0
    total = np.concatenate([[0], np.cumsum(repeats)])
    return codes.lengths + total[offsets[1:]] - total[offsets[:-1]]


class PairTrainer(BaseSequenceRNN):
    """What Seq2SeqTransformer is below its public methods: reading y, the dataset, the network.

    State after fit: ``_form`` (of outputs), ``_output_vocabulary`` (None for values), ``_length`` (where the length
    comes from: a number, or "input", "stop", "predict"), ``_longest`` and ``_ratio`` (of outputs, in steps and in steps
    an input step).
    """

    # --- reading y ---------------------------------------------------------------------------------------------------

    def _tokens_of(self, name):
        side = 0 if name == "X" else 1
        tokenizer = self.tokenizer
        if isinstance(tokenizer, tuple):
            if len(tokenizer) != 2:
                raise ValueError(
                    f"tokenizer must be one way to cut texts, or two of them, for X and for y, got {tokenizer!r}. Pass "
                    "('char', 'word'), say."
                )
            tokenizer = tokenizer[side]
        return {"tokens": self.tokens is True or self.tokens == name, "tokenizer": tokenizer}

    def _reconstructs(self, y):
        if self.reconstruct == "auto":
            return self.output == "encoding" or y is None
        if not self.reconstruct and y is None:
            raise ValueError(
                "y must be passed when reconstruct=False, got None. Pass one output for each sequence of X, or leave "
                "reconstruct at 'auto'."
            )
        return self.reconstruct

    def _read_outputs(self, X, sequences, y, reset):
        """Return outputs as Sequences of codes or values, and learn or check their form."""
        if reset:
            self._reconstructed = self._reconstructs(y)
        if self._reconstructed:
            outputs, form = read_outputs(X, missing=self.missing, name="X", **self._tokens_of("X"))
        else:
            if is_panel(X):
                check_target_index(y, X.index.unique(level=0))
            outputs, form = read_outputs(y, form=None if reset else self._form, **self._tokens_of("y"))
        if len(outputs) != len(sequences):
            raise ValueError(
                f"y must have one output for each of the {len(sequences)} sequences of X, got inconsistent numbers of "
                f"samples: {len(outputs)} outputs. Pass as many."
            )
        if reset:
            self._form, self._output_vocabulary = form, None
            self._n_values = None if form.is_symbols else outputs.values.shape[1]
            if form.is_symbols:
                special = "<blank>" if self.alignment == "ctc" else "<end>"
                vocabulary = Vocabulary(self.max_tokens, self.min_frequency, ("<unk>", special))
                self._output_vocabulary = vocabulary.fit(Sequences(outputs.values, [0, len(outputs.values)]))
            self._length = self._choose_length(sequences, outputs)
            if self._length in ("stop", "predict") and form.container != "list":
                raise ValueError(
                    f"output_length={self._length!r} writes outputs of lengths of their own, but y is an array, whose "
                    "rows have one length. Pass list(y), or leave output_length at 'auto'."
                )
            self._longest = int(outputs.lengths.max())
            self._ratio = float((outputs.lengths / sequences.lengths).max())
        self._check_outputs(sequences, outputs, form)
        return code(self._output_vocabulary, outputs) if form.is_symbols else outputs

    def _choose_length(self, sequences, outputs):
        """Return a number of steps that all outputs have, or "input", "stop" or "predict"."""
        if self.output_length != "auto":
            return self.output_length
        lengths = outputs.lengths
        if self._form.container != "list":
            return int(lengths[0])
        if self._form.is_symbols:
            return "stop"
        if (lengths == lengths[0]).all():
            return int(lengths[0])
        if not self._reconstructed and (lengths == sequences.lengths).all():
            return "input"
        return "predict"

    def _check_outputs(self, sequences, outputs, form):
        """Refuse outputs that are not of the kind and the length of those in ``fit``."""
        if form.is_symbols != self._form.is_symbols:
            kinds = {True: "symbols", False: "values"}
            raise ValueError(
                f"y must hold {kinds[self._form.is_symbols]} as in fit, got {kinds[form.is_symbols]}. Pass y of the "
                "same kind, or fit again."
            )
        if not form.is_symbols and outputs.values.shape[1] != self._n_values:
            raise ValueError(
                f"y must have {self._n_values} values a step as in fit, got {outputs.values.shape[1]}. Pass the same, "
                "or fit again."
            )
        if self._length in ("stop", "predict"):
            return
        needed = sequences.lengths if self._length == "input" else np.full(len(outputs), self._length)
        wrong = np.flatnonzero(outputs.lengths != needed)
        if len(wrong):
            source = "as their inputs" if self._length == "input" else f"({self._length})"
            raise ValueError(
                f"y must have as many steps {source}, since output_length is {self.output_length!r}, but sample "
                f"{wrong[0]} has {outputs.lengths[wrong[0]]} and needs {needed[wrong[0]]}. Set output_length='stop', "
                "or cut y."
            )

    def _targets(self, sequences, outputs):
        """Return what the net is trained on, or measured by."""
        if self.alignment == "ctc":
            if not self._form.is_symbols:
                raise ValueError(
                    "alignment='ctc' needs y of symbols, got values. Pass text or tokens, or set tokens='y'."
                )
            needed = alignable(sequences, outputs)
            short = np.flatnonzero(needed > sequences.lengths)
            if len(short):
                i = short[0]
                raise ValueError(
                    "alignment='ctc' needs inputs at least as long as their transcripts, and one step more for each "
                    f"symbol that follows itself, but sample {i} has {sequences.lengths[i]} steps and a transcript "
                    f"that needs {needed[i]}. Drop it, or use alignment=None."
                )
            return Targets(outputs, aligned=True)
        if self._form.is_symbols:
            return Targets(with_ends(outputs, END), begin=len(self._output_vocabulary))
        if self._length in ("stop", "predict"):
            return Targets(with_ends(outputs, np.nan), end=self._length)
        return Targets(outputs)

    def _dataset(self, X, sequences, y, sample_weight, reset, classes=None, groups=None):
        if reset:
            self._check_parts()
        outputs = self._read_outputs(X, sequences, y, reset)
        weight = None if sample_weight is None else check_weight(sample_weight, len(sequences))
        if groups is not None:
            groups = read_groups(groups, len(sequences), self.early_stopping)
        return PairDataset(sequences, self._targets(sequences, outputs), weight, groups).weighed()

    # --- refusals ----------------------------------------------------------------------------------------------------

    def _check_parts(self):
        """Refuse what cannot be, before y is looked at."""
        if self.alignment == "ctc":
            self._refuse_changed(_OF_DECODER, "alignment='ctc' has no decoder", "Set alignment=None")
            if self.input != "sequence":
                raise ValueError(
                    f"alignment='ctc' aligns outputs to the steps of a sequence and needs input='sequence', got "
                    f"{self.input!r}. Set alignment=None."
                )
            if self.output == "encoding":
                raise ValueError(
                    "alignment='ctc' learns no context vector and needs output='sequence', got 'encoding'. Set "
                    "alignment=None."
                )
        if self.input == "vector":
            self._refuse_changed(_OF_RECURRENCE, "a vector is not read step by step", "Pass sequences")
            for name in ("attention", "output_length"):
                if getattr(self, name) in ("additive", "dot", "general", "input"):
                    raise ValueError(
                        f"{name}={getattr(self, name)!r} needs inputs of several steps, got input='vector'. Leave "
                        f"{name} at 'auto'."
                    )
        if self.attention == "dot" and self.bidirectional:
            raise ValueError(
                "attention='dot' needs input steps as wide as the decoder's state, but bidirectional=True makes them "
                "twice as wide. Set bidirectional=False, or attention='general'."
            )
        if self.min_length and self.max_length != "auto" and self.min_length > self.max_length:
            raise ValueError(
                f"min_length must be at most max_length, got {self.min_length} and {self.max_length}. Swap them."
            )

    def _check_combinations(self, dataset):
        self._check_reading(dataset.X.is_tokens)
        if not dataset.X.is_tokens:
            self._refuse_changed(("embeddings",), "X holds values", "Pass text or tokens as X")
            if not self._form.is_symbols:
                self._refuse_changed(OF_TOKENS, "X and y hold values", "Pass text or tokens")
            if self.alignment == "ctc":
                self._refuse_changed(("embedding_dim",), "nothing is embedded", "Pass text or tokens as X")
        else:
            self._refuse_changed(("missing",), "X holds tokens", "Pass values as X")
            if self._form.is_symbols:
                self._refuse_changed(("standardize",), "X and y hold tokens", "Pass values")
        if self.teacher_forcing == 1:
            because = "the decoder reads true outputs from first to last"
            self._refuse_changed(("teacher_forcing_schedule",), because, "Set teacher_forcing below 1")
        if self._form.is_symbols:
            self._refuse_changed(_OF_VALUES, "y holds symbols", "Pass values as y")
            if self.output_length == "predict":
                raise ValueError(
                    "output_length='predict' is for values; symbols end by an end symbol, got y of symbols. Set "
                    "output_length='auto'."
                )
            if self.feedback is False:
                raise ValueError(
                    "feedback=False is for values; a decoder of symbols reads the one before, got y of symbols. Leave "
                    "feedback at 'auto'."
                )
            return
        self._refuse_changed(_OF_SYMBOLS, "y holds values", "Pass text or tokens as y")
        if not self._feeds_back():
            names = ("teacher_forcing", "teacher_forcing_schedule")
            self._refuse_changed(names, "the decoder does not read its outputs", "Set feedback=True")
        if self._length not in ("stop", "predict"):
            self._refuse_changed(("min_length", "max_length"), "the length of outputs is given", "Set output_length")

    # --- the network -------------------------------------------------------------------------------------------------

    def _feeds_back(self):
        return self._form.is_symbols if self.feedback == "auto" else self.feedback

    def _attention(self):
        if self.attention != "auto":
            return self.attention
        if self.input == "vector" or self.output == "encoding":
            return None
        return "additive" if self._form.is_symbols else "general"

    def _context(self):
        if self.context != "auto":
            return self.context
        return "state" if self._attention() is not None else "both"

    def _head_spec(self):
        if not self._form.is_symbols:
            length = self._length if self._length in ("stop", "predict") else "given"
            return {"kind": "values", "n_outputs": self._n_values, "loss": self.loss, "length": length}
        n_symbols = len(self._output_vocabulary)
        if self.alignment == "ctc":
            return {"kind": "aligned", "n_symbols": n_symbols}
        return {"kind": "symbols", "n_symbols": n_symbols, "label_smoothing": self.label_smoothing}

    def _network_spec(self, sequences, dataset):
        recurrent, scaling = self._reading_spec(sequences)
        recurrent["kind"] = self.input
        recurrent["n_components"] = self.n_components
        recurrent["grid_shape"] = None if sequences.shapes is None else tuple(sequences.shapes[0].tolist())
        decoder = {
            "attention": self._attention(),
            "input_feeding": self.input_feeding,
            "context": self._context(),
            "n_values": self._n_values if not self._form.is_symbols and self._feeds_back() else 0,
        }
        if self._form.is_symbols and self.alignment is None:
            counts = self._output_vocabulary.counts_.copy()
            counts[END] = len(sequences)
            decoder["token_counts"] = np.append(counts, len(sequences))
            decoder["embedding_dim"] = self._embedding_size(len(counts), given=False)
        return {
            "head": self._head_spec(),
            "precision": self.precision,
            "scaling": scaling,
            "network": None,
            "standardize": self.standardize,
            "recurrent": recurrent,
            "decoder": decoder,
        }

    def _head(self, spec):
        kind, options = spec["kind"], {name: value for name, value in spec.items() if name != "kind"}
        if kind == "values":
            return SeriesHead(**options)
        if kind == "aligned":
            return AlignmentHead(blank=BLANK, **options)
        return CategoricalHead(options["n_symbols"], options["label_smoothing"])

    def _build_module(self, spec):
        options = dict(spec["recurrent"])
        layers = as_layers(options.pop("cell"), options.pop("nonlinearity"))
        options["step_network"] = copy.deepcopy(options["step_network"])
        encoder, head = Encoder(layers, **options), self._head(spec["head"])
        if spec["head"]["kind"] == "aligned":
            module = Transcriber(encoder, head, dropout=options["dropout"])
        else:
            shared = {name: options[name] for name in ("hidden_size", "num_layers", "bias", "dropout")}
            decoder = Decoder(
                layers.cell,
                memory_size=encoder.step_size,
                context_size=encoder.context_size,
                input_noise=options["input_noise"] if spec["head"]["kind"] == "symbols" else 0.0,
                **shared,
                **spec["decoder"],
            )
            module = EncoderDecoder(encoder, decoder, head, dropout=options["dropout"])
        return with_scaling(module, spec)

    def _reader(self, module):
        return module.encoder

    def _build(self, sequences, dataset):
        module = super()._build(sequences, dataset)
        if getattr(module, "length", None) is not None:
            mean, scale = step_statistics(np.log(dataset.X.lengths)[:, None], dataset.weight)
            module.length.loc.fill_(mean[0])
            module.length.scale.fill_(scale[0])
        return module

    def _learn_target_scaling(self, head, dataset):
        if self._form.is_symbols:
            return
        targets = dataset.targets.sequences
        if self._length == "predict":
            mean, scale = step_statistics(np.log(targets.lengths)[:, None], dataset.weight)
            head.length_loc.fill_(mean[0])
            head.length_scale.fill_(scale[0])
        if not self.standardize:
            return
        weight = None if dataset.weight is None else np.repeat(dataset.weight, targets.lengths)
        mean, scale = step_statistics(targets.values, weight)
        head.loc.copy_(torch.from_numpy(mean))
        head.scale.copy_(torch.from_numpy(scale))

    # --- training ----------------------------------------------------------------------------------------------------

    def _net_options(self):
        return {"iterator_train": PairIterator, "iterator_valid": PairIterator}

    def _callbacks(self, stopping, one_epoch, alone=False):
        callbacks = super()._callbacks(stopping, one_epoch, alone)
        if self.alignment is None and self._feeds_back():
            schedule = "constant" if one_epoch else self.teacher_forcing_schedule
            callbacks.insert(0, ("rnn_forcing", TeacherForcing(self.teacher_forcing, schedule)))
        return callbacks

    def _n_epochs(self, dataset, n_batches):
        n_steps = len(dataset.X.values) + len(dataset.targets.sequences.values)
        return n_epochs(self.max_epochs, n_batches, n_steps, _MIN_UPDATES, _EPOCHS)
