"""How fast the cells are: one training step of one layer, beside torch's fused LSTM; and scans beside loops.

    python benchmarks/recurrences.py [--repeats 7] [--steps 200] [--long 1000] [--batch 64] [--hidden 64]

All is measured in turn, in one process, on one thread; the tables show medians.
"""

import argparse

import torch
from report import environment, print_header, print_row, print_title
from throughput import median_of_turns, seconds_of

from sktime_rnn.cells import (
    ClockworkCell,
    DeepCell,
    ElmanCell,
    ElmanJordanCell,
    FeedForwardCell,
    GRUCell,
    GRUDCell,
    IRNNCell,
    JordanCell,
    LayerNormCell,
    LeakyCell,
    LockedDropoutCell,
    LSTMCell,
    MGUCell,
    MinGRUCell,
    MinLSTMCell,
    SelfConnectedCell,
    SkipCell,
    TraceCell,
    ZoneoutCell,
)
from sktime_rnn.layers import unroll

N_FEATURES = 8
SCAN_BATCHES = (1, 8, 64)
N_OUTPUTS = 8  # fed back to Jordan's cells
FUSED = "torch's fused LSTM"
# Cells by what the table calls them, and the matrix products of H rows that a step takes of state or input.
CELLS = {
    "LSTMCell()": (LSTMCell(), 4),
    "LSTMCell(peepholes=True)": (LSTMCell(peepholes=True), 4),
    "LSTMCell(forget_gate=False)": (LSTMCell(forget_gate=False), 3),
    "GRUCell()": (GRUCell(), 3),
    "GRUCell(reset_after=False)": (GRUCell(reset_after=False), 3),
    "GRUDCell()": (GRUDCell(), 3),
    "MGUCell()": (MGUCell(), 2),
    "MinGRUCell()": (MinGRUCell(), 2),
    "MinLSTMCell()": (MinLSTMCell(), 3),
    "ElmanCell()": (ElmanCell(), 1),
    "IRNNCell()": (IRNNCell(), 1),
    "JordanCell(), own outputs": (JordanCell(), 1),
    "ElmanJordanCell(), own outputs": (ElmanJordanCell(), 2),
    "LeakyCell()": (LeakyCell(), 1),
    "TraceCell('states')": (TraceCell("states"), 1),
    "TraceCell('inputs')": (TraceCell("inputs"), 2),
    "SelfConnectedCell()": (SelfConnectedCell(), 1),
    "ClockworkCell()": (ClockworkCell(), 1),
    "SkipCell()": (SkipCell(), 2),
    "DeepCell()": (DeepCell(), 2),
    "ZoneoutCell(LSTMCell())": (ZoneoutCell(LSTMCell()), 4),
    "LockedDropoutCell(LSTMCell())": (LockedDropoutCell(LSTMCell()), 4),
    "LayerNormCell(LSTMCell())": (LayerNormCell(LSTMCell()), 4),
    "FeedForwardCell()": (FeedForwardCell(), 1),
}


def train_step(run, module, X):
    """Return a function that runs forward and backward once."""

    def step():
        module.zero_grad()
        run(module, X).square().mean().backward()

    return step


def by_unroll(cell, X):
    """Run a cell as the library does; one that reads outputs gets the probabilities that a softmax layer puts out."""
    feedback = None
    if cell.needs_feedback:
        head = torch.nn.Linear(cell.hidden_size, N_OUTPUTS)

        def feedback(t, h):
            return head(h).softmax(dim=1)

    return unroll(cell, X, cell.initial_state(len(X), X), feedback)[0]


def by_step(cell, X):
    """Loop over what the inputs give all at once."""
    state, outputs = cell.initial_state(len(X), X), []
    for a_t in cell.inputs(X.transpose(0, 1)).unbind(0):
        state = cell.step(a_t, state)
        outputs.append(state[0])
    return torch.stack(outputs, dim=1)


def by_forward(cell, X):
    """Loop over whole steps, as one writes it by hand."""
    state, outputs = cell.initial_state(len(X), X), []
    for x_t in X.unbind(1):
        state = cell(x_t, state)
        outputs.append(state[0])
    return torch.stack(outputs, dim=1)


def medians(steps, repeats):
    """Take all steps in turn, after a round that is not counted; return the median seconds of each."""
    for step in steps.values():
        step()
    measures = {name: lambda step=step: seconds_of(step) for name, step in steps.items()}
    return median_of_turns(measures, dict.fromkeys(measures, repeats))


def built(cell, hidden_size, n_features=N_FEATURES):
    """Return a cell with weights."""
    fed_back = {"feedback_size": N_OUTPUTS} if cell.needs_feedback else {}
    cell = cell.build(n_features, hidden_size, **fed_back)
    cell.reset_parameters(torch.Generator().manual_seed(0))
    return cell


def batch(n_sequences, n_steps, flags=False):
    """Return inputs, with flags of missing values beside them where asked for."""
    X = torch.randn(n_sequences, n_steps, N_FEATURES, generator=torch.Generator().manual_seed(0))
    return torch.cat([X, (X > 1).float()], dim=2) if flags else X


def cells(arguments):
    """Print the table of cells."""
    X, flagged = (batch(arguments.batch, arguments.steps, flags) for flags in (False, True))
    lstm = torch.nn.LSTM(N_FEATURES, arguments.hidden, batch_first=True)
    steps = {FUSED: train_step(lambda module, X: module(X)[0], lstm, X)}
    for name, (cell, _) in CELLS.items():
        inputs = flagged if isinstance(cell, GRUDCell) else X
        steps[name] = train_step(by_unroll, built(cell, arguments.hidden, inputs.shape[2]), inputs)
    seconds = medians(steps, arguments.repeats)
    print_title(
        f"Cells, {arguments.steps} steps, batch {arguments.batch}, hidden {arguments.hidden}",
        "One forward and backward pass by `unroll`. In the estimators, plain LSTM, GRU, Elman and IRNN use torch's "
        "kernels.",
    )
    print_header("cell", "ms", "to the fused LSTM", "products", "per product, to the fused LSTM's")
    for name, time in seconds.items():
        n, ratio = CELLS.get(name, (None, 4))[1], time / seconds[FUSED]
        print_row(name, f"{1000 * time:.1f}", f"{ratio:.2f}", n, f"{4 * ratio / n:.2f}")


def scans(arguments):
    """Print the table of scans and loops, with what a layer without recurrence takes."""
    ways = {"scan": by_unroll, "inputs at once, then steps": by_step, "whole steps": by_forward}
    print_title(
        f"Scans, {arguments.long} steps, hidden {arguments.hidden}",
        "Milliseconds of a forward and backward pass; in brackets, to the scan. The feed-forward cell takes all steps "
        "at once with one product of the inputs and no recurrence: no scan can be faster.",
    )
    print_header("cell", "batch", *ways)
    for size in SCAN_BATCHES:
        X = batch(size, arguments.long)
        for cell in (FeedForwardCell(), MinGRUCell(), MinLSTMCell()):
            module = built(cell, arguments.hidden)
            own = {"scan": by_unroll} if isinstance(cell, FeedForwardCell) else ways
            seconds = medians({name: train_step(way, module, X) for name, way in own.items()}, arguments.repeats)
            times = [f"{1000 * t:.3g} ({t / seconds['scan']:.1f})" for t in seconds.values()]
            print_row(repr(cell), size, *times, *[""] * (len(ways) - len(times)))


def main():
    """Print both tables."""
    parser = argparse.ArgumentParser(description="Time the cells.")
    sizes = {"repeats": 7, "steps": 200, "long": 1000, "batch": 64, "hidden": 64}
    for name, default in sizes.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(environment(threads=1))
    cells(arguments)
    scans(arguments)


if __name__ == "__main__":
    main()
