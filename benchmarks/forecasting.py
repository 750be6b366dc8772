"""How fast the forecaster is, beside a hand-written loop, darts and neuralforecast (where installed), in one run.

    python benchmarks/forecasting.py [--rows w3 memory linear predict] [--repeats 5] [--threads 1]
                                     [--n-updates 1000]

Everything that one table compares is run in turn, `--repeats` times over, each turn with a seed of its own;
medians are shown.

W3: 100 hourly series of 400 points (trend, daily and weekly season, noise), context 48, horizon 24, hidden size 64,
1,000 updates of 64 windows; the 24 points that follow each series are the test. Before these updates ours fits a
linear map and, with `calibrate`, trains once on earlier points; after them it learns intervals; all within `fit`.
"""

import argparse
import dataclasses
import importlib.metadata
import json
import subprocess
import sys
import time
from pathlib import Path

import forecast_loops as loops
import numpy as np
import torch
from forecast_peers import HandWritten, Ours, Task, installed, make_forecaster, n_windows_trained, silence
from forecast_scores import mase, seasonal_naive
from report import environment, print_header, print_row, print_title

N_SERIES, N_TIMESTEPS = 100, 400
PREDICTIONS = 5
WARM_UP_UPDATES = 20
MEMORY_SHAPE = (10_000, 1000)
GROWING = (1000, 3000, 10_000)
GROWING_TIMESTEPS = 120
MANY_SERIES = 10_000
LEAST_SERIES_A_SECOND = 5000
NETWORKS = {"LSTM": "lstm", "GRU": "gru"}


# -- measuring -----------------------------------------------------------------------------------------------


def timed(function, *arguments):
    """Call a function; return what it returned, and how many seconds it took."""
    start = time.perf_counter()
    result = function(*arguments)
    return result, time.perf_counter() - start


def medians_in_turn(measures, repeats):
    """Take every measure in turn, `repeats` times over; return the medians of each.

    Parameters
    ----------
    measures : dict of functions that take the number of the turn and return a number, or several
    repeats : int
    """
    taken = {name: [] for name in measures}
    for turn in range(repeats):
        for name, values in taken.items():
            values.append(measures[name](turn))
    return {name: np.median(values, axis=0) for name, values in taken.items()}


# -- W3 ------------------------------------------------------------------------------------------------------


def mean_mase(train, test, forecasts):
    """Return the MASE of a day as season, averaged over the rows of arrays."""
    return np.mean([mase(y, said, seen, loops.DAY) for seen, y, said in zip(train, test, forecasts, strict=True)])


def fit_and_predict(form, task, train, test):
    """Return thousands of windows a second in training, the forecasts' MASE, and milliseconds of a prediction."""
    forecaster = form(task, train)
    n_windows, fit_seconds = timed(forecaster.fit)
    predictions = [timed(forecaster.predict) for _ in range(PREDICTIONS)]
    score = mean_mase(train, test, forecaster.values(predictions[0][0]))
    return n_windows / 1000 / fit_seconds, score, 1000 * np.median([seconds for _, seconds in predictions])


def w3(arguments):
    """One network for 100 series."""
    values = loops.make_values(N_SERIES, N_TIMESTEPS + Task.horizon)
    train, test = values[:, :N_TIMESTEPS], values[:, N_TIMESTEPS:]
    naive = mean_mase(train, test, [seasonal_naive(seen, loops.DAY, Task.horizon) for seen in train])
    forms, _ = installed()
    print_title(
        "W3: 100 series of 400 points",
        f"Thousand windows a second in `fit` (ratio to {HandWritten.name}); MASE (seasonal naive {naive:.3f}); "
        "milliseconds of `predict` for all series.",
    )
    print_header("network", "trained by", "thousand windows a second", "MASE", "predict, ms")
    for network, cell in NETWORKS.items():
        task = Task(cell=cell, n_updates=arguments.n_updates)

        def measure(turn, form, task=task):
            return fit_and_predict(form, dataclasses.replace(task, seed=turn), train, test)

        measures = {form.name: lambda turn, form=form, measure=measure: measure(turn, form) for form in forms}
        with silence():
            for form in forms:
                fit_and_predict(form, dataclasses.replace(task, n_updates=WARM_UP_UPDATES), train, test)
            medians = medians_in_turn(measures, arguments.repeats)
        best = medians[HandWritten.name][0]
        for name, (rate, score, milliseconds) in medians.items():
            print_row(network, name, f"{rate:.2f} ({rate / best:.2f})", f"{score:.3f}", f"{milliseconds:.1f}")


# -- large panels --------------------------------------------------------------------------------------------


def memory(arguments):
    """The most memory that `fit` takes on 10,000 series."""
    n_series, n_timesteps = MEMORY_SHAPE
    what = f"{n_series:,} series of {n_timesteps:,} points"
    print_title("Memory of a large panel", f"MB (1e6 bytes) of `fit` on {what}, with the defaults.")
    command = [sys.executable, Path(__file__).with_name("forecast_memory.py"), *MEMORY_SHAPE]
    answer = subprocess.run(list(map(str, command)), check=True, stdout=subprocess.PIPE, text=True).stdout
    mark = json.loads(answer)
    seconds = mark.pop("seconds")
    mark = {name: n_bytes / 1e6 for name, n_bytes in mark.items()}
    mark["above"], mark["limit"] = mark["peak"] - mark["imported"], 3 * mark["values"] + 400
    columns = ("values", "package imported", "with the data", "peak of fit", "peak above imported", "limit")
    print_header(*columns, "fit, s")
    print_row(*(f"{n_bytes:.0f}" for n_bytes in mark.values()), f"{seconds:.1f}")


def linear(arguments):
    """The cost of a window in panels of more and more series."""
    what = f"as many windows drawn as series of {GROWING_TIMESTEPS} points have, LSTM"
    print_title("Panels that grow", f"Microseconds a window of `fit`; {what}.")
    windows_a_series = GROWING_TIMESTEPS - Task.context_length - Task.horizon + 1
    windows = {}

    def measure(n_series, turn):
        y = loops.as_series(loops.make_values(n_series, GROWING_TIMESTEPS, seed=turn))
        model = make_forecaster(Task(n_updates=n_series * windows_a_series // Task.batch_size, seed=turn))
        seconds = timed(model.fit, y)[1]
        windows[n_series] = n_windows_trained(model)
        return 1e6 * seconds / windows[n_series]

    measure(GROWING[0] // 10, 0)  # to warm up
    measures = {n_series: lambda turn, n_series=n_series: measure(n_series, turn) for n_series in GROWING}
    medians = medians_in_turn(measures, arguments.repeats)
    print_header("series", "windows", "microseconds a window", f"ratio to {GROWING[0]:,} series")
    for n_series, cost in medians.items():
        print_row(f"{n_series:,}", f"{windows[n_series]:,}", f"{cost:.1f}", f"{cost / medians[GROWING[0]]:.2f}")


def predict(arguments):
    """Prediction of 10,000 series in one call."""
    what = f"a second in `predict`, horizon {Task.horizon}, hidden size {Task.hidden_size}"
    print_title(f"Prediction of {MANY_SERIES:,} series", f"Series {what}; LSTM.")
    values = loops.make_values(MANY_SERIES, GROWING_TIMESTEPS)
    y, fh = loops.as_series(values), range(1, Task.horizon + 1)
    by_hand, ours = (form(Task(n_updates=WARM_UP_UPDATES), values) for form in (HandWritten, Ours))
    for forecaster in (by_hand, ours):
        forecaster.fit()
    calls = {
        HandWritten.name: by_hand.predict,
        "ours": ours.predict,
        "ours, `y=` given": lambda: ours.model.predict(fh=fh, y=y),
    }
    measures = {
        name: lambda turn, function=function: MANY_SERIES / timed(function)[1] for name, function in calls.items()
    }
    medians_in_turn(measures, 1)  # to warm up
    rates = medians_in_turn(measures, arguments.repeats)
    print_header(*rates, "limit")
    print_row(*(f"{rate:,.0f}" for rate in rates.values()), f"{LEAST_SERIES_A_SECOND:,}")


ROWS = {"w3": w3, "memory": memory, "linear": linear, "predict": predict}


def parse_arguments():
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Time the forecaster beside a loop written by hand.")
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1, help="of the loop and the libraries; ours chooses its own")
    parser.add_argument("--n-updates", type=int, default=1000, help="of W3; fewer for a quick look")
    return parser.parse_args()


def main():
    """Run what was asked for and print its tables."""
    arguments = parse_arguments()
    torch.set_num_threads(arguments.threads)
    peers = "".join(f", {name} {importlib.metadata.version(name)}" for name in installed()[1])
    print(f"{environment(arguments.threads)}{peers}; medians of {arguments.repeats}")
    for row in arguments.rows:
        ROWS[row](arguments)


if __name__ == "__main__":
    main()
