"""How fast the estimators are, beside hand-written loops, skorch and sktime (where installed), in one run.

    python benchmarks/throughput.py [--rows w1 w2 predict latency fixed memory import] [--repeats 5]
                                    [--slow-repeats 1] [--threads 1] [--n-sequences 2000]

Everything that one table compares is run in turn, `--repeats` times over, so that a busy moment of the
machine hits all alike; medians are shown. The loops that pack sequences take minutes where those are long:
they are run `--slow-repeats` times, and left out at 0.

W1: 2,000 sequences of 10 to 300 steps (log-uniform), 8 features, 5 classes, hidden size 64, batches of 64,
Adam, 3 epochs. W2: the same with 100 steps in every sequence.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import loops
import numpy as np
import torch
from report import environment, print_header, print_row, print_title

from sktime_rnn import RNNClassifier

try:
    from sktime.classification.deep_learning.gru import GRUClassifier
    from sktime.classification.deep_learning.rnn import SimpleRNNClassifierTorch
except ImportError:
    GRUClassifier = SimpleRNNClassifierTorch = None

HIDDEN_SIZE = 64
BATCH_SIZE = 64
N_FEATURES = 8
N_CLASSES = 5
MAX_EPOCHS = 3
MEMORY_SHAPE = (500_000, 20, N_FEATURES)
IMPORT_REPEATS = 7
LATENCY_REPEATS = {10: 300, 100: 300, 1000: 60}

# Title, `cell`, `bidirectional`.
NETWORKS = [
    ("LSTM", "lstm", False),
    ("GRU", "gru", False),
    ("tanh RNN", "rnn", False),
    ("bidirectional LSTM", "lstm", True),
]


# -- measuring -----------------------------------------------------------------------------------------------


def seconds_of(function, *arguments):
    """Call a function and return how long it took."""
    start = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - start


def median_of_turns(measures, repeats):
    """Take every measure in turn, as often as `repeats` says for it; return the median of each.

    Parameters
    ----------
    measures : dict of functions without arguments that return a number
    repeats : dict of int; a measure with 0 is left out
    """
    taken = {name: [] for name in measures if repeats[name]}
    for turn in range(max(repeats.values())):
        for name, values in taken.items():
            if turn < repeats[name]:
                values.append(measures[name]())
    return {name: np.median(values) for name, values in taken.items()}


def rates_and_ratio(rate, best):
    """Write a rate and its ratio to another one."""
    return f"{rate:.0f} ({rate / best:.2f})"


# -- training ------------------------------------------------------------------------------------------------

PACKED, SKORCH, PADDED, SKTIME = "torch, packed", "skorch, packed", "torch, padded to the batch", "sktime"
BUCKETED, OURS, OURS_PLAIN = "torch, length buckets", "ours", "ours, dropout=0, standardize=False"
SLOW = (PACKED, SKORCH)


def estimator(cell, bidirectional, **settings):
    """Make the estimator that has the work of the loops to do."""
    return RNNClassifier(
        cell=cell,
        bidirectional=bidirectional,
        hidden_size=HIDDEN_SIZE,
        batch_size=BATCH_SIZE,
        random_state=0,
        **settings,
    )


def training_rates(X, y, cell, bidirectional, max_epochs=MAX_EPOCHS):
    """Return a measure for every way to train: thousands of valid steps a second, all epochs together."""
    n_steps = sum(len(x) for x in X) / 1000
    tensors, codes = [torch.from_numpy(x) for x in X], torch.from_numpy(y)
    shape = (cell, N_FEATURES, HIDDEN_SIZE, N_CLASSES, bidirectional)

    def loop(network, make_batches):
        batches = make_batches(tensors, codes, BATCH_SIZE)
        return lambda: max_epochs * n_steps / seconds_of(loops.train, network(*shape), batches, max_epochs)

    def skorch():
        net = loops.skorch_net(loops.PackedNet(*shape), BATCH_SIZE, max_epochs)
        return max_epochs * n_steps / seconds_of(net.fit, loops.Pairs(tensors, codes), None)

    def ours(**settings):
        model = estimator(cell, bidirectional, max_epochs=max_epochs, **settings)
        seconds = seconds_of(model.fit, X, y)
        return model.n_iter_ * n_steps / seconds

    return {
        PACKED: loop(loops.PackedNet, loops.random_batches),
        SKORCH: skorch,
        PADDED: loop(loops.DenseNet, loops.random_batches),
        BUCKETED: loop(loops.DenseNet, loops.bucketed_batches),
        OURS: ours,
        OURS_PLAIN: lambda: ours(dropout=0.0, standardize=False),
    }


def sktime_rate(X, y, cell, bidirectional):
    """Return the measure of sktime's network of this cell, for one length; None where it has none."""
    common = {
        "hidden_dim": HIDDEN_SIZE,
        "n_layers": 1,
        "batch_size": BATCH_SIZE,
        "num_epochs": MAX_EPOCHS,
        "lr": 1e-3,
    }
    classes = {
        "gru": (GRUClassifier, {"batch_first": True}),
        "rnn": (SimpleRNNClassifierTorch, {"optimizer": "Adam"}),
    }
    model, extra = classes.get(cell, (None, {}))
    if model is None or bidirectional:
        return None
    panel = np.stack(X).transpose(0, 2, 1)  # sktime's axes are sample, feature, time
    return lambda: MAX_EPOCHS * panel[:, 0].size / 1000 / seconds_of(model(**common, **extra).fit, panel, y)


def training_table(title, lengths, peers, arguments):
    """Print thousands of valid steps a second in training, and the ratio to the best loop written by hand."""
    print_title(title, f"Thousand valid time steps a second in `fit` (ratio to {BUCKETED}).")
    X, y = loops.make_sequences(lengths, N_FEATURES, N_CLASSES)
    columns = [PACKED, SKORCH, PADDED, BUCKETED, OURS, OURS_PLAIN, *peers]
    print_header("network", *columns)
    for name, cell, bidirectional in NETWORKS:
        for warm_up in training_rates(X[:BATCH_SIZE], y[:BATCH_SIZE], cell, bidirectional, 1).values():
            warm_up()
        measures = training_rates(X, y, cell, bidirectional)
        measures |= {peer: rate for peer, make in peers.items() if (rate := make(X, y, cell, bidirectional))}
        repeats = {way: arguments.slow_repeats if way in SLOW else arguments.repeats for way in measures}
        rates = median_of_turns(measures, repeats)
        cells = [rates_and_ratio(rates[way], rates[BUCKETED]) if way in rates else "" for way in columns]
        print_row(name, *cells)


def w1(arguments):
    """Training on sequences of 10 to 300 steps."""
    lengths = loops.log_uniform_lengths(arguments.n_sequences)
    training_table("W1: lengths 10 to 300", lengths, {}, arguments)


def w2(arguments):
    """Training on sequences of 100 steps."""
    peers = {SKTIME: sktime_rate} if GRUClassifier else {}
    training_table("W2: every length 100", np.full(arguments.n_sequences, 100), peers, arguments)


# -- prediction ----------------------------------------------------------------------------------------------


def predict(arguments):
    """Prediction of many sequences of 10 to 300 steps."""
    print_title("Prediction of W1's sequences", "Thousand valid time steps a second in `predict`.")
    X, y = loops.make_sequences(loops.log_uniform_lengths(arguments.n_sequences), N_FEATURES, N_CLASSES)
    n_steps = sum(len(x) for x in X) / 1000
    print_header("network", BUCKETED, OURS)
    for name, cell, bidirectional in NETWORKS:
        net = loops.DenseNet(cell, N_FEATURES, HIDDEN_SIZE, N_CLASSES, bidirectional).eval()
        model = estimator(cell, bidirectional, max_epochs=1).fit(X[:200], y[:200])
        measures = {
            BUCKETED: lambda net=net: n_steps / seconds_of(loops.predict_bucketed, net, X, BATCH_SIZE),
            OURS: lambda model=model: n_steps / seconds_of(model.predict, X),
        }
        rates = median_of_turns(measures, dict.fromkeys(measures, arguments.repeats))
        print_row(name, *(rates_and_ratio(rate, rates[BUCKETED]) for rate in rates.values()))


def latency(arguments):
    """Prediction of one sequence."""
    print_title("Prediction of one sequence", "Milliseconds a call; LSTM.")
    X, y = loops.make_sequences(np.full(100, 20), N_FEATURES, N_CLASSES)
    net = loops.DenseNet("lstm", N_FEATURES, HIDDEN_SIZE, N_CLASSES).eval()
    model = estimator("lstm", False, max_epochs=1).fit(X, y)
    print_header("steps", "bare module", OURS, "difference", "limit")
    for n_timesteps, repeats in LATENCY_REPEATS.items():
        x = loops.make_sequences([n_timesteps], N_FEATURES, N_CLASSES)[0][0]
        measures = {
            "bare": lambda x=x: 1000 * seconds_of(loops.predict_one, net, x),
            OURS: lambda x=x: 1000 * seconds_of(model.predict, [x]),
        }
        taken = median_of_turns(measures, dict.fromkeys(measures, repeats))
        bare, ours = taken["bare"], taken[OURS]
        print_row(n_timesteps, f"{bare:.3f}", f"{ours:.3f}", f"{ours - bare:.3f}", 0.3)


# -- fixed costs ---------------------------------------------------------------------------------------------


def fixed(arguments):
    """One epoch on 20 short sequences, in a warm process."""
    print_title("Fixed cost", "Milliseconds of one epoch on 20 sequences of 5-20 steps, warm process, LSTM.")
    X, y = loops.make_sequences(loops.log_uniform_lengths(20, 5, 20), N_FEATURES, N_CLASSES)
    tensors, codes = [torch.from_numpy(x) for x in X], torch.from_numpy(y)
    epochs = []

    def bare():
        net = loops.DenseNet("lstm", N_FEATURES, HIDDEN_SIZE, N_CLASSES)
        loops.train(net, loops.bucketed_batches(tensors, codes, BATCH_SIZE), 1)

    def ours():
        epochs.append(estimator("lstm", False, max_epochs=1).fit(X, y).n_iter_)

    measures = {"bare": lambda: 1000 * seconds_of(bare), OURS: lambda: 1000 * seconds_of(ours)}
    median_of_turns(measures, dict.fromkeys(measures, 5))  # to warm up
    taken = median_of_turns(measures, dict.fromkeys(measures, 10 * arguments.repeats))
    print_header("torch loop", OURS, "difference", "limit", "epochs that ours ran")
    bare_ms, ours_ms = taken["bare"], taken[OURS]
    print_row(f"{bare_ms:.2f}", f"{ours_ms:.2f}", f"{ours_ms - bare_ms:.2f}", 5, max(epochs))


def memory(arguments):
    """The most memory that `fit` takes on 500,000 short sequences."""
    n_sequences, n_timesteps, n_features = MEMORY_SHAPE
    what = f"{n_sequences:,} sequences of {n_timesteps} steps and {n_features} features"
    print_title("Memory", f"MB (1e6 bytes) of one epoch on {what}, with the defaults.")
    command = [sys.executable, Path(__file__).with_name("memory.py"), *map(str, MEMORY_SHAPE)]
    answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    mark = {name: n_bytes / 1e6 for name, n_bytes in json.loads(answer).items()}
    mark["above"], mark["limit"] = mark["peak"] - mark["imported"], 2 * mark["values"] + 400
    print_header("values", "package imported", "with the data", "peak of fit", "peak above imported", "limit")
    print_row(*(f"{n_bytes:.0f}" for n_bytes in mark.values()))


def import_time(arguments):
    """Importing the package, and what it stands on."""
    print_title("Import", f"Seconds of a new process, median of {IMPORT_REPEATS}.")
    statements = {"base": "import torch, skorch, sklearn", OURS: "import sktime_rnn"}
    measures = {
        name: lambda code=code: seconds_of(lambda: subprocess.run([sys.executable, "-c", code], check=True))
        for name, code in statements.items()
    }
    median_of_turns(measures, dict.fromkeys(measures, 1))  # so that the files are in the cache
    taken = median_of_turns(measures, dict.fromkeys(measures, IMPORT_REPEATS))
    print_header(*(f"`{code}`" for code in statements.values()), "ratio", "limit")
    print_row(f"{taken['base']:.2f}", f"{taken[OURS]:.2f}", f"{taken[OURS] / taken['base']:.3f}", 1.1)


ROWS = {
    "w1": w1,
    "w2": w2,
    "predict": predict,
    "latency": latency,
    "fixed": fixed,
    "memory": memory,
    "import": import_time,
}


def parse_arguments():
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Time the estimators beside loops written by hand.")
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--slow-repeats", type=int, default=1, help="of the loops that pack; 0 leaves them out")
    parser.add_argument("--threads", type=int, default=1, help="of the loops; the estimators choose their own")
    parser.add_argument("--n-sequences", type=int, default=2000, help="fewer for a quick look")
    return parser.parse_args()


def main():
    """Run what was asked for and print its tables."""
    arguments = parse_arguments()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    print(f"{environment(arguments.threads)}; medians of {arguments.repeats}")
    for row in arguments.rows:
        ROWS[row](arguments)


if __name__ == "__main__":
    main()
