"""How well the forecaster does: a few rows a set, several seeds, beside a published or plain result.

    python benchmarks/forecast_accuracy.py [--data ../shared/data] [--rows "M4 Weekly" AirPassengers ...]
                                           [--seeds 0 1 2] [--set hidden_size=64 cell=gru ...]

An estimator is given what its row names, the horizon as `fh`, and `random_state=seed`, nothing else. `--set` adds
constructor parameters to every row. A set's rows are printed as soon as it is done. Targets are what a naive forecast
reaches; an interval's is the share of points that it promises, give or take five of a hundred.
"""

import argparse
import functools
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import data as sets
import numpy as np
import pandas as pd
from accuracy import COLUMNS, parse_setting
from forecast_scores import coverage, mape, mase, seasonal_naive, smape
from report import environment, print_header, print_row
from scipy.stats import norm

from sktime_rnn import RNNForecaster

COVERAGES = (0.8, 0.95)
COVERAGE_TOLERANCE = 5
NAIVE2_M4_WEEKLY = {"sMAPE": 9.161, "MASE": 2.777}
ETTH1_TRAIN, ETTH1_TEST = 8640, (11520, 14400)  # rows: 12 months of 30 days; months 17 to 20
ETTH1_HISTORY = 720  # hours before a window that a prediction is given
ETTH1_CHUNK = 240  # windows in one call of `predict`
REPEAT_LAST_DAY = {24: 0.424, 48: 0.465, 168: 0.571, 336: 0.650, 720: 0.655}
AIR_PASSENGERS_TEST = 24


# -- the estimator's methods ---------------------------------------------------------------------------------


def fit(model, y, horizon):
    """Fit an estimator; return the seconds that took."""
    start = time.perf_counter()
    model.fit(y, fh=range(1, horizon + 1))
    return time.perf_counter() - start


def forecast(model, test):
    """Forecast the points of a test that follows the training series; in its order."""
    return model.predict().reindex(test.index)


def forecast_intervals(model, test):
    """Return the bounds, lower and upper, of the intervals of all `COVERAGES`; in the order of the test."""
    table = model.predict_interval(coverage=list(COVERAGES)).reindex(test.index)
    table = table.droplevel(0, axis=1)  # the variable's name
    return {share: (table[share, "lower"], table[share, "upper"]) for share in COVERAGES}


def forecast_panel(model, y, horizon):
    """Forecast what follows histories that were never seen, an (n_series, horizon, n_variables) array."""
    return model.predict(fh=range(1, horizon + 1), y=y).to_numpy().reshape(-1, horizon, y.shape[1])


# -- sets ----------------------------------------------------------------------------------------------------


def mean_over_series(score, *series):
    """Average a score of arrays, one for each of some panels of the same names, over all names."""
    panels = [dict(list(y.groupby(level="series"))) for y in series]
    return np.mean([score(*(panel[name].to_numpy() for panel in panels)) for name in panels[0]])


def coverages(test, intervals):
    """Return the percentage of points within the intervals of each share."""
    return [coverage(test, *bounds) for bounds in intervals.values()]


def m4_weekly(loaded, model):
    """Return sMAPE, MASE, OWA and the coverage of both intervals."""
    train, test = loaded
    seconds = fit(model, train, horizon=13)
    forecasts = forecast(model, test)
    scores = {
        "sMAPE": mean_over_series(smape, test, forecasts),
        "MASE": mean_over_series(functools.partial(mase, season=1), test, forecasts, train),
    }
    owa = np.mean([scores[name] / naive2 for name, naive2 in NAIVE2_M4_WEEKLY.items()])
    return [*scores.values(), owa, *coverages(test, forecast_intervals(model, test))], seconds


def m3_quarterly(loaded, model):
    """Return sMAPE."""
    train, test = loaded
    seconds = fit(model, train, horizon=8)
    return [mean_over_series(smape, test, forecast(model, test))], seconds


def ar2(loaded, model):
    """Return the coverage of both intervals, and how wide the first is beside the best possible one."""
    train, test = loaded
    seconds = fit(model, train, horizon=12)
    intervals = forecast_intervals(model, test)
    lower, upper = intervals[COVERAGES[0]]
    best = 2 * norm.ppf((1 + COVERAGES[0]) / 2) * sets.ar2_forecast_sd(12)
    return [*coverages(test, intervals), np.mean(upper - lower) / np.mean(best)], seconds


def etth1(y, model, horizon):
    """Return the squared error of all windows of the test, in units of the training rows' variance.

    The rows between training and test are for early stopping, and not looked at without it.
    """
    n_rows = ETTH1_TRAIN
    if model.early_stopping:
        n_rows = ETTH1_TEST[0]
        model.set_params(validation_fraction=1 - ETTH1_TRAIN / n_rows)
    seconds = fit(model, y.iloc[:n_rows], horizon)

    def forecast_chunk(starts):
        return forecast_panel(model, histories(y, starts, ETTH1_HISTORY), horizon)

    return [etth1_mse(y, horizon, forecast_chunk)], seconds


def etth1_mse(y, horizon, forecast_chunk):
    """Average the squared standardised error over all windows of the test.

    Parameters
    ----------
    y : DataFrame
    horizon : int
    forecast_chunk : callable
        Takes the rows at which some windows start, and returns their forecasts.
    """
    values, scale = y.to_numpy(), y.iloc[:ETTH1_TRAIN].std(ddof=0).to_numpy()
    first, end = ETTH1_TEST
    starts = np.arange(first, end - horizon + 1)
    total = 0
    for chunk in np.split(starts, range(ETTH1_CHUNK, len(starts), ETTH1_CHUNK)):
        truth = values[chunk[:, None] + np.arange(horizon)]  # (windows, horizon, variables)
        total += np.sum(((forecast_chunk(chunk) - truth) / scale) ** 2)
    return total / (len(starts) * horizon * y.shape[1])


def histories(y, starts, n_timesteps):
    """Make a panel of the rows of a frame that come before each start, a series a start."""
    rows = (starts[:, None] - n_timesteps + np.arange(n_timesteps)).ravel()
    index = pd.MultiIndex.from_arrays([np.repeat(starts, n_timesteps), y.index[rows]], names=["series", "time"])
    return pd.DataFrame(y.to_numpy()[rows], index, y.columns)


def air_passengers(y, model):
    """Return the MAPE of the last two years."""
    train, test = y.iloc[:-AIR_PASSENGERS_TEST], y.iloc[-AIR_PASSENGERS_TEST:]
    seconds = fit(model, train, AIR_PASSENGERS_TEST)
    return [mape(test.to_numpy(), forecast(model, test).to_numpy())], seconds


# -- plain results, worked out here --------------------------------------------------------------------------


def repeat_last_day(y, horizon):
    """Say that each hour is as it was on the last day seen."""
    values, hours = y.to_numpy(), np.arange(horizon) % 24 - 24
    return f"repeat the last day {etth1_mse(y, horizon, lambda starts: values[starts[:, None] + hours]):.3f}"


def repeat_last_year(y):
    """Say that each month is as it was in the last year seen."""
    y = y.to_numpy()
    naive = seasonal_naive(y[:-AIR_PASSENGERS_TEST], 12, AIR_PASSENGERS_TEST)
    return f"repeat the last year {mape(y[-AIR_PASSENGERS_TEST:], naive):.2f}"


# -- rows ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Score:
    """What a number is, what it should be at most, and what it is compared with."""

    metric: str
    target: float | None = None
    compared: str | Callable = ""  # words, or a function of the set that says them

    def reached(self, score):
        """Say whether a score is as good as the target."""
        return "" if self.target is None else "yes" if score <= self.target else "no"


@dataclass(frozen=True)
class Coverage(Score):
    """The percentage of points within an interval; it should be neither lower nor higher than the target."""

    def reached(self, score):
        return "yes" if abs(score - self.target) <= COVERAGE_TOLERANCE else "no"


def coverage_scores(*compared):
    """Return the scores of intervals of all `COVERAGES`, and what each is compared with."""
    return [
        Coverage(f"within the {100 * share:.0f} % interval, %", 100 * share, words)
        for share, words in zip(COVERAGES, compared or [""] * len(COVERAGES), strict=True)
    ]


@dataclass(frozen=True)
class Row:
    """A set, what is done with it, the scores that come out, and the estimator's settings for it."""

    name: str
    load: Callable
    run: Callable  # takes the set and an estimator, returns a number for each score, and the seconds of `fit`
    scores: tuple
    settings: dict = field(default_factory=dict)


ROWS = [
    Row(
        "M4 Weekly",
        sets.load_m4_weekly,
        m4_weekly,
        (
            Score("sMAPE", NAIVE2_M4_WEEKLY["sMAPE"], "Naive2 9.161, organisers' RNN 15.220, ES-RNN 7.817, best 7.301"),
            Score("MASE", NAIVE2_M4_WEEKLY["MASE"], "Naive2 2.777, organisers' RNN 5.132, ES-RNN 2.356, best 2.108"),
            Score("OWA", 1.0, "Naive2 1.000, organisers' RNN 1.755, ES-RNN 0.851, best 0.739"),
            *coverage_scores(),
        ),
    ),
    Row(
        "M3 quarterly",
        sets.load_m3_quarterly,
        m3_quarterly,
        (Score("sMAPE", 9.95, "Naive2 9.95, Theta 8.96, Auto-ANN 10.20"),),
    ),
    *(
        Row(
            f"ETTh1 {horizon}",
            sets.load_etth1,
            functools.partial(etth1, horizon=horizon),
            (Score("MSE", mse, functools.partial(repeat_last_day, horizon=horizon)),),
        )
        for horizon, mse in REPEAT_LAST_DAY.items()
    ),
    Row(
        "AirPassengers",
        sets.load_air_passengers,
        air_passengers,
        (Score("MAPE, %", 15.52, repeat_last_year),),
    ),
    Row(
        "AR(2)",
        sets.load_ar2,
        ar2,
        (
            *coverage_scores("the true process 79.3", "the true process 95.1"),
            Score("width of the 80 % interval", None, "the true process 1"),
        ),
    ),
]


# -- runs ----------------------------------------------------------------------------------------------------


def print_results(row, loaded, settings, runs):
    """Print the rows of the table that sum up the runs of all seeds, one for each score."""
    values, seconds = zip(*runs, strict=True)
    for score, taken in zip(row.scores, zip(*values, strict=True), strict=True):
        print_row(
            row.name,
            f"`RNNForecaster({', '.join(f'{name}={value!r}' for name, value in settings.items())})`",
            score.metric,
            "" if score.target is None else f"{score.target:.4g}",
            f"{np.mean(taken):.4g}",
            f"{min(taken):.4g} to {max(taken):.4g}",
            score.reached(np.mean(taken)),
            score.compared(loaded) if callable(score.compared) else score.compared,
            f"{np.mean(seconds):.0f}",
        )


def parse_arguments():
    """Read the command line."""
    names = [row.name for row in ROWS]
    parser = argparse.ArgumentParser(description="Score the forecaster with its defaults.")
    parser.add_argument("--data", type=Path, default=sets.DATA, help="the folder of the sets")
    parser.add_argument("--rows", nargs="+", choices=names, default=names, metavar="row", help=str(names))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--set", nargs="+", type=parse_setting, default=[], metavar="param=value")
    return parser.parse_args()


def main():
    """Run the rows asked for and print the table."""
    arguments = parse_arguments()
    print(f"{environment()}; seeds {arguments.seeds}\n")
    print_header(*COLUMNS)
    for row in [row for row in ROWS if row.name in arguments.rows]:
        loaded, settings = row.load(arguments.data), row.settings | dict(arguments.set)
        models = [RNNForecaster(**settings, random_state=seed) for seed in arguments.seeds]
        print_results(row, loaded, settings, [row.run(loaded, model) for model in models])


if __name__ == "__main__":
    main()
