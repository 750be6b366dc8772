"""How fast Seq2SeqTransformer is, beside hand-written loops, in one run.

    python benchmarks/seq2seq.py [--data ../shared/data] [--rows train decode memory linear] [--repeats 5]
                                 [--threads 1] [--epochs 3] [--decode-epochs 10] [--n-pairs 3000]

Everything that one table compares is run in turn, `--repeats` times over; medians are shown. The set is eng_fra, from
French to English, cut into words; hidden size and word vectors 128, batches of 64, Adam.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import data as sets
import numpy as np
import seq2seq_loops as loops
import torch
from forecasting import medians_in_turn, timed
from memory import memory as memory_of_process
from report import environment, print_header, print_row, print_title

from sktime_rnn import Seq2SeqTransformer

HIDDEN_SIZE = EMBEDDING_DIM = 128
BATCH_SIZE = 64
N_DECODED = 1000
BEAM_WIDTH = 5
LEAST_SPEED_UP, MOST_BEAM_COST = 5, 8
LONG = (64, 1000)  # pairs, and symbols on either side
GROWING = (1000, 3000, 10_000)


def estimator(attention="additive", **settings):
    """Make the estimator that has the work of the loops to do."""
    return Seq2SeqTransformer(
        hidden_size=HIDDEN_SIZE,
        embedding_dim=EMBEDDING_DIM,
        batch_size=BATCH_SIZE,
        attention=attention,
        random_state=0,
        **settings,
    )


# -- eng_fra -------------------------------------------------------------------------------------------------

TUTORIAL, SAME, BUCKETED = "torch, tutorial", "torch, our network", "torch, our network, length buckets"


def training_rates(X, y, max_epochs):
    """Return a measure for every way to train: thousands of target words a second, ends among them, in the epochs."""
    n_words = max_epochs * sum(len(sentence.split()) + 1 for sentence in y) / 1000
    vocabularies = [loops.vocabulary_of(sentences) for sentences in (X, y)]
    codes = [loops.encode(*pair) for pair in zip((X, y), vocabularies, strict=True)]
    n_source, n_target = (len(words) + loops.END + 1 for words in vocabularies)

    def loop(network, make_batches):
        batches = make_batches(*codes, n_target, BATCH_SIZE)

        def measure(turn):
            torch.manual_seed(turn)
            return n_words / loops.train(network(n_source, n_target, HIDDEN_SIZE, EMBEDDING_DIM), batches, max_epochs)

        return measure

    def ours(attention):
        model = estimator(attention, tokenizer="word", max_epochs=max_epochs).fit(X, y)
        return n_words / sum(model.history_[:, "dur"])

    return {
        TUTORIAL: loop(loops.TutorialNet, loops.random_batches),
        SAME: loop(loops.SameNet, loops.random_batches),
        BUCKETED: loop(loops.SameNet, loops.bucketed_batches),
        "ours, additive": lambda turn: ours("additive"),
        "ours, general": lambda turn: ours("general"),
    }


def train(arguments):
    """Training on sentences."""
    print_title(
        "Training on eng_fra", "Thousand target words a second in the epochs of `fit`, and ratios to the loops."
    )
    part = sets.load_eng_fra(arguments.data, "fra", "eng")
    X, y = part.X_train[: arguments.n_pairs], part.y_train[: arguments.n_pairs]
    medians_in_turn(training_rates(X[: 4 * BATCH_SIZE], y[: 4 * BATCH_SIZE], 1), 1)  # to warm up
    rates = medians_in_turn(training_rates(X, y, arguments.epochs), arguments.repeats)
    baselines = (TUTORIAL, SAME, BUCKETED)
    print_header("trained by", "thousand words a second", *(f"to {name}" for name in baselines))
    for name, rate in rates.items():
        print_row(name, f"{rate:.2f}", *(f"{rate / rates[baseline]:.2f}" for baseline in baselines))


def decode(arguments):
    """Writing translations, greedily and by beam search."""
    part = sets.load_eng_fra(arguments.data, "fra", "eng")
    X = part.X_test[:N_DECODED]
    max_length = 2 * max(len(sentence.split()) for sentence in part.y_train)
    model = estimator(tokenizer="word", max_epochs=arguments.decode_epochs, max_length=max_length)
    model.fit(part.X_train, part.y_train)
    net = loops.SameNet.of(model)
    vocabulary = {word: code for code, word in enumerate(model.vocabulary_)}
    words = model.output_vocabulary_

    def by_hand():
        codes = (loops.evaluate(net, x, max_length) for x in loops.encode(X, vocabulary))
        return [" ".join(words[some]) for some in codes]

    def ours(beam_width):
        return model.set_params(beam_width=beam_width).predict(X)

    ways = {
        "torch, sentence by sentence": by_hand,
        "ours, greedy": lambda: ours(1),
        f"ours, beam {BEAM_WIDTH}": lambda: ours(BEAM_WIDTH),
    }
    loop, greedy, _ = (way() for way in ways.values())  # to warm up
    agree = np.mean([a == b for a, b in zip(loop, greedy, strict=True)])
    print_title(
        f"Translating {len(X):,} sentences",
        f"Seconds; additive attention, the loop with the same weights, {100 * agree:.1f} % of its outputs the same.",
    )
    taken = medians_in_turn(
        {name: lambda turn, way=way: timed(way)[1] for name, way in ways.items()}, arguments.repeats
    )
    by_loop, by_greedy, by_beam = taken.values()
    print_header(*taken, "loop to greedy", "at least", "beam to greedy", "at most")
    seconds = [f"{seconds:.3f}" for seconds in taken.values()]
    print_row(*seconds, f"{by_loop / by_greedy:.1f}", LEAST_SPEED_UP, f"{by_beam / by_greedy:.1f}", MOST_BEAM_COST)


# -- large sets ----------------------------------------------------------------------------------------------


def memory(arguments):
    """The most memory that `fit` takes on long sequences."""
    n_pairs, n_steps = LONG
    what = f"one epoch on {n_pairs} pairs of {n_steps:,} symbols on either side"
    print_title("Memory of long sequences", f"MB (1e6 bytes) of {what}, a process each.")
    print_header("attention", "package imported", "with the data", "peak of fit", "peak above imported", "fit, s")
    for attention in ("general", "additive", "None"):
        command = [sys.executable, __file__, "--one-fit", attention]
        answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        mark = json.loads(answer)
        seconds = mark.pop("seconds")
        mark["above"] = mark["peak"] - mark["imported"]
        print_row(attention, *(f"{n_bytes / 1e6:.0f}" for n_bytes in mark.values()), f"{seconds:.1f}")


def one_fit(attention):
    """Print, as JSON and in bytes, the memory of this process after the imports, with data, and at `fit`'s highest."""
    imported = memory_of_process("VmRSS")
    n_pairs, n_steps = LONG
    X = sets.draw_strings(np.random.default_rng(0), sets.LETTERS, np.full(n_pairs, n_steps))
    y = sets.turned(X)
    with_data = memory_of_process("VmHWM")
    model = Seq2SeqTransformer(attention=None if attention == "None" else attention, max_epochs=1, random_state=0)
    start = time.perf_counter()
    model.fit(X, y)
    seconds = time.perf_counter() - start
    marks = {"imported": imported, "with_data": with_data, "peak": memory_of_process("VmHWM"), "seconds": seconds}
    print(json.dumps(marks))


def linear(arguments):
    """The cost of a symbol in sets of more and more pairs."""
    print_title("Sets that grow", "Microseconds a symbol of an epoch, on both sides, of `fit`; strings of 1-20 digits.")

    def measure(n_pairs, max_epochs):
        part = sets.load_reversed_digits(n_train=n_pairs)
        n_symbols = sum(len(x) + len(y) + 1 for x, y in zip(part.X_train, part.y_train, strict=True))
        model = estimator("general", max_epochs=max_epochs)
        return 1e6 * timed(model.fit, part.X_train, part.y_train)[1] / (max_epochs * n_symbols)

    measure(GROWING[0] // 10, 1)  # to warm up
    measures = {n_pairs: lambda turn, n_pairs=n_pairs: measure(n_pairs, arguments.epochs) for n_pairs in GROWING}
    medians = medians_in_turn(measures, arguments.repeats)
    print_header("pairs", "microseconds a symbol", f"ratio to {GROWING[0]:,} pairs")
    for n_pairs, cost in medians.items():
        print_row(f"{n_pairs:,}", f"{cost:.2f}", f"{cost / medians[GROWING[0]]:.2f}")


ROWS = {"train": train, "decode": decode, "memory": memory, "linear": linear}


def parse_arguments():
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Time Seq2SeqTransformer beside loops written by hand.")
    parser.add_argument("--data", type=Path, default=sets.DATA, help="the folder of the sets")
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1, help="of the loops; the estimator chooses its own")
    parser.add_argument("--epochs", type=int, default=3, help="of training that is timed")
    parser.add_argument("--decode-epochs", type=int, default=10, help="of training before translations are timed")
    parser.add_argument("--n-pairs", type=int, default=None, help="of `train`; fewer for a quick look")
    parser.add_argument("--one-fit", help=argparse.SUPPRESS)  # what the processes of `memory` are called with
    return parser.parse_args()


def main():
    """Run what was asked for and print its tables."""
    arguments = parse_arguments()
    if arguments.one_fit:
        one_fit(arguments.one_fit)
        return
    torch.set_num_threads(arguments.threads)
    print(f"{environment(arguments.threads)}; medians of {arguments.repeats}")
    for row in arguments.rows:
        ROWS[row](arguments)


if __name__ == "__main__":
    main()
