"""How long networks remember: the adding problem, copying and temporal order.

    python benchmarks/long_memory.py [--data ../shared/data] [--only adding copying order] [--seeds 0]
                                     [--figure [docs/_static/long_memory.png]]

The problems are made by `long_memory/generate.py` in the folder of the data. A network is one layer of 64 units, of 128
for copying, that reads 10,000 sequences 20 times without dropout, with what its row names and else the defaults of its
estimator; the rows named `defaults` have nothing but these. A row is printed as soon as it is done. With
`--figure`, the errors of `adding` over the epochs are drawn as well, which needs matplotlib, the extra `plot`.
"""

import argparse
import importlib.util
import time
from pathlib import Path

import data as sets
import numpy as np
from accuracy import mse, nll_per_frame
from report import environment, print_header, print_row, print_title

from sktime_rnn import RNNClassifier, RNNRegressor
from sktime_rnn.cells import ClockworkCell, LeakyCell, SkipCell, TraceCell

FIGURE = Path(__file__).parent.parent / "docs" / "_static" / "long_memory.png"
N_TRAIN, N_TEST = 10_000, 2_560
SETTINGS = {"hidden_size": 64, "max_epochs": 20, "dropout": 0.0}

ADDING_STEPS, ADDING_AIM = 200, 0.01
COPYING_STEPS, COPIED, SYMBOLS = 100, 10, 8
COPYING_LEVEL = COPIED * np.log(SYMBOLS) / (COPYING_STEPS + 2 * COPIED)  # nats a step, of guessing the symbols
ORDER_AIM = 0.3

GATED = {
    "defaults": {},
    "GRU": SETTINGS | {"cell": "gru"},
    "LSTM": SETTINGS | {"cell": "lstm"},
}
UNGATED = {"Elman, tanh": SETTINGS | {"cell": "rnn"}}
COPYING_NETS = {name: own and own | {"hidden_size": 128} for name, own in (GATED | UNGATED).items()}
ADDING_NETS = (
    GATED
    | {"minGRU": SETTINGS | {"cell": "mingru"}}
    | UNGATED
    | {
        "IRNN": SETTINGS | {"cell": "irnn"},
        "leaky": SETTINGS | {"cell": LeakyCell(longest=ADDING_STEPS)},
        "trace of inputs": SETTINGS | {"cell": TraceCell("inputs", longest=ADDING_STEPS)},
        "trace of states": SETTINGS | {"cell": TraceCell("states", longest=ADDING_STEPS)},
        "skip of 10 steps": SETTINGS | {"cell": SkipCell(delay=10)},
        "clockwork": SETTINGS | {"cell": ClockworkCell([1, 2, 4, 8, 16, 32, 64, 128])},
        "no memory": SETTINGS | {"cell": None},
    }
)


def load_generators(data):
    """Import the file that makes the problems."""
    spec = importlib.util.spec_from_file_location("generate", data / "long_memory" / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def print_rows(nets, fit, score, reached, arguments):
    """Fit all networks with all seeds; print a row for each, and return the models of the first seed."""
    print_header("network", "mean", "lowest to highest", "reached", "fit, s")
    models = {}
    for name, settings in nets.items():
        scores, seconds = [], []
        for seed in arguments.seeds:
            start = time.perf_counter()
            model = fit(**settings, random_state=seed)
            seconds.append(time.perf_counter() - start)
            scores.append(score(model))
            models.setdefault(name, model)
        spread = f"{min(scores):.4g} to {max(scores):.4g}"
        print_row(
            name, f"{np.mean(scores):.4g}", spread, "yes" if reached(max(scores)) else "no", f"{np.mean(seconds):.0f}"
        )
    return models


def adding(generate, arguments):
    """The sum of the two values that are marked among 200."""
    rng = np.random.default_rng(0)
    X, y = generate.adding_le2015(N_TRAIN, ADDING_STEPS, rng)
    X_test, y_test = generate.adding_le2015(N_TEST, ADDING_STEPS, rng)
    level = np.mean((y_test - y.mean()) ** 2)
    print_title(
        f"Adding, {ADDING_STEPS} steps",
        f"MSE on {N_TEST:,} sequences; the aim is {ADDING_AIM}, and the mean of the targets reaches {level:.4f}.",
    )
    models = print_rows(
        ADDING_NETS,
        lambda **settings: RNNRegressor(**settings).fit(X, y),
        lambda model: mse(model, X_test, y_test),
        lambda worst: worst < ADDING_AIM,
        arguments,
    )
    if arguments.figure:
        curves = {name: y.var() * np.array(models[name].loss_curve_) for name in ADDING_NETS if name != "defaults"}
        draw(curves, level, arguments.figure)


def copying(generate, arguments):
    """Ten symbols out of eight, to be written down after 100 steps."""
    rng = np.random.default_rng(0)
    X, y = (list(codes) for codes in generate.copying(N_TRAIN, COPYING_STEPS, rng))
    X_test, y_test = (list(codes) for codes in generate.copying(N_TEST, COPYING_STEPS, rng))
    print_title(
        f"Copying, {COPYING_STEPS} steps",
        f"Nats a step on {N_TEST:,} sequences; the aim is half of {COPYING_LEVEL:.4f}, which takes no memory.",
    )
    print_rows(
        COPYING_NETS,
        lambda **settings: RNNClassifier(tokens=True, **settings).fit(X, y),
        lambda model: nll_per_frame(model, X_test, y_test),
        lambda worst: worst < COPYING_LEVEL / 2,
        arguments,
    )


def order(generate, arguments):
    """Which of two symbols came first, and which came second, among 100 to 110 steps of others (problem 6a)."""
    rng = np.random.default_rng(0)
    X, y = generate.temporal_order(N_TRAIN, rng)
    X_test, y_test = generate.temporal_order(N_TEST, rng)
    print_title(
        "Temporal order, 100 to 110 steps",
        f"The farthest of all probabilities of {N_TEST:,} sequences from 0 or 1, which is to be below {ORDER_AIM}.",
    )
    print_rows(
        GATED | UNGATED,
        lambda **settings: RNNClassifier(tokens=True, **settings).fit(X, y),
        lambda model: np.abs(model.predict_proba(X_test) - (y_test[:, None] == model.classes_)).max(),
        lambda worst: worst < ORDER_AIM,
        arguments,
    )


def draw(curves, level, path):
    """Draw the errors in training over the epochs."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
    axes.axhline(level, color="grey", linewidth=0.8, linestyle=":")
    axes.axhline(ADDING_AIM, color="grey", linewidth=0.8, linestyle="--")
    for i, (name, errors) in enumerate(curves.items()):
        style = "-" if i < 10 else "--"  # there are ten colours
        axes.plot(np.arange(1, len(errors) + 1), errors, style, color=f"C{i % 10}", label=name)
    axes.set_yscale("log")
    axes.set_xticks(range(0, SETTINGS["max_epochs"] + 1, 5))
    axes.set(xlabel="epochs of 10,000 sequences", ylabel="MSE in training")
    axes.set_title(f"The sum of two marked values among {ADDING_STEPS}")
    axes.legend(fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)


PROBLEMS = {"adding": adding, "copying": copying, "order": order}


def main():
    """Run the problems asked for and print their tables."""
    parser = argparse.ArgumentParser(description="Score networks on problems of long memory.")
    parser.add_argument("--data", type=Path, default=sets.DATA, help="the folder of the sets")
    parser.add_argument("--only", nargs="+", choices=PROBLEMS, default=list(PROBLEMS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--figure", type=Path, nargs="?", const=FIGURE, help="draw `adding` too, there or here")
    arguments = parser.parse_args()
    print(f"{environment()}; seeds {arguments.seeds}")
    generate = load_generators(arguments.data)
    for name in arguments.only:
        PROBLEMS[name](generate, arguments)


if __name__ == "__main__":
    main()
