"""How well the defaults do: one row a set, several seeds, beside the target and a published or plain result.

    python benchmarks/accuracy.py [--data ../shared/data] [--rows names sst_word ...] [--seeds 0 1 2]
                                  [--set hidden_size=64 cell=gru ...]

An estimator is given what its row names and `random_state=seed`, nothing else. `--set` adds constructor
parameters to every row, which makes this the tool for choosing defaults too. A row is printed as soon as it
is done.
"""

import argparse
import ast
import functools
import operator
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import data as sets
import numpy as np
from report import environment, print_header, print_row
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sktime_rnn import RNNClassifier, RNNRegressor

# -- scores --------------------------------------------------------------------------------------------------


def accuracy(model, X, y):
    """Return the percentage of right labels; of steps where there is one a step."""
    return percentage_right(model.predict(X), y)


def percentage_right(predicted, y):
    """Compare labels, or lists of labels a step."""
    per_step = isinstance(y, list)
    return 100 * np.mean(np.concatenate(predicted) == np.concatenate(y) if per_step else predicted == y)


def nll_per_frame(model, X, y):
    """Return minus the log-likelihood of all notes of a frame together, averaged over all frames."""
    return -np.sum(model.log_likelihood(X, y)) / sum(len(target) for target in y)


def rmse(model, X, y):
    """Return the root of the mean squared error."""
    return np.sqrt(mse(model, X, y))


def mse(model, X, y):
    """Return the mean squared error, over all steps and outputs where there are several."""
    predicted = model.predict(X)
    if isinstance(y, list):
        predicted, y = np.concatenate(predicted), np.concatenate(y)
    return np.mean((predicted - y) ** 2)


METRICS = {accuracy: "accuracy, %", nll_per_frame: "NLL a frame, nats", rmse: "RMSE", mse: "MSE"}


# -- plain results, worked out here where that is quick ------------------------------------------------------


def majority(part):
    """Always say the commonest label of the training steps."""
    labels, counts = np.unique(np.concatenate(part.y_train), return_counts=True)
    right = np.concatenate(part.y_test) == labels[counts.argmax()]
    return f"commonest direction {100 * right.mean():.1f}"


def mean_frame(part):
    """Classify films by their mean frame, with logistic regression."""
    train, test = ([film.mean(axis=0).ravel() for film in films] for films in (part.X_train, part.X_test))
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(train, part.y_train)
    return f"logistic regression on the mean frame {percentage_right(model.predict(test), part.y_test):.1f}"


def repeat_frame(part):
    """Say that the next frame is the last one seen."""
    errors = [(x.reshape(len(x), -1) - y) ** 2 for x, y in zip(part.X_test, part.y_test, strict=True)]
    return f"repeat the last frame {np.mean(np.concatenate(errors)):.3f}"


def training_mean(part):
    """Always say the mean of the training targets."""
    return f"training mean {np.sqrt(np.mean((part.y_test - part.y_train.mean()) ** 2)):.4g}"


# -- rows ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """A set, the estimator and its settings for it, how it is scored and what it is compared with."""

    name: str
    load: Callable
    score: Callable
    target: float | None  # None: no target was set
    compared: str | Callable  # words, or a function of the Split that says them
    estimator: type = RNNClassifier
    settings: dict = field(default_factory=dict)

    def reached(self, score):
        """Say whether a score is at least as good as the target."""
        better = operator.ge if self.score is accuracy else operator.le
        return "" if self.target is None else "yes" if better(score, self.target) else "no"


ROWS = [
    Row(
        "JapaneseVowels",
        sets.load_japanese_vowels,
        accuracy,
        98.0,
        "logistic regression on statistics 98.65, ResNet 99.2",
    ),
    Row("spoken_digits", sets.load_spoken_digits, accuracy, 99.0, "logistic regression on mean and sd 94.0"),
    Row("watch_exercises", sets.load_watch_exercises, accuracy, 90.0, "logistic regression on statistics 85.7"),
    Row("names", sets.load_names, accuracy, 82.0, "logistic regression on 1- to 4-grams 81.5"),
    Row(
        "ud_english_ewt",
        sets.load_ud_english_ewt,
        accuracy,
        90.0,
        "commonest tag 86.2, linear with affixes 93.9 (both test), transformer 97.4",
        settings={"bidirectional": True},
    ),
    Row(
        "JSB_Chorales",
        sets.load_jsb_chorales,
        nll_per_frame,
        8.45,
        "note by note Markov 10.49, LSTM 8.45, GRU 8.43, TCN 8.10",
    ),
    Row("sst_char", sets.load_sst, accuracy, 40.0, "bigram logistic regression 41.3"),
    Row(
        "sst_word",
        sets.load_sst,
        accuracy,
        40.0,
        "bigram logistic regression 41.3, LSTM 46.4 (pretrained, test)",
        settings={"tokenizer": "word"},
    ),
    Row("moving_digit_label", sets.load_moving_digit_label, accuracy, None, mean_frame),
    Row("moving_digit_direction", sets.load_moving_digit_direction, accuracy, None, majority),
    Row("moving_digit_next", sets.load_moving_digit_next, mse, None, repeat_frame, RNNRegressor),
    Row("Tecator", sets.load_tecator, rmse, 12.89 / 2, training_mean, RNNRegressor),
    Row("Covid3Month", sets.load_covid3month, rmse, None, training_mean, RNNRegressor),
]


# -- runs ----------------------------------------------------------------------------------------------------


COLUMNS = ("row", "setting", "metric", "target", "mean", "lowest to highest", "reached", "compared", "fit, s")


def fit_and_score(make, score, X_train, y_train, X_test, y_test):
    """Return the score of a new estimator on the test, and the seconds its `fit` took."""
    model = make()
    start = time.perf_counter()
    model.fit(X_train, y_train)
    seconds = time.perf_counter() - start
    return score(model, X_test, y_test), seconds


def fit_and_score_folds(make, score, X, y, groups):
    """Hold out a fifth of the groups at a time; return the mean score, and the seconds of all five `fit`s."""
    runs = []
    for train, test in GroupKFold(5).split(y, groups=groups):
        X_train, X_test = [X[i] for i in train], [X[i] for i in test]
        runs.append(fit_and_score(make, score, X_train, y[train], X_test, y[test]))
    scores, seconds = zip(*runs, strict=True)
    return np.mean(scores), sum(seconds)


def run(row, loaded, seed, overrides):
    """Run a row with one seed; return its score and the seconds spent in `fit`."""
    make = functools.partial(row.estimator, **(row.settings | overrides), random_state=seed)
    judge = fit_and_score_folds if isinstance(loaded, sets.Grouped) else fit_and_score
    return judge(make, row.score, *loaded)


def print_result(row, loaded, settings, runs):
    """Print the row of the table that sums up the runs of all seeds."""
    scores, seconds = zip(*runs, strict=True)
    print_row(
        row.name,
        f"`{row.estimator.__name__}({', '.join(f'{name}={value!r}' for name, value in settings.items())})`",
        METRICS[row.score],
        "" if row.target is None else f"{row.target:.4g}",
        f"{np.mean(scores):.4g}",
        f"{min(scores):.4g} to {max(scores):.4g}",
        row.reached(np.mean(scores)),
        row.compared(loaded) if callable(row.compared) else row.compared,
        f"{np.mean(seconds):.0f}",
    )


def parse_setting(text):
    """Read `name=value`; a value that is no Python literal is a string."""
    name, _, value = text.partition("=")
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return name, value


def parse_arguments():
    """Read the command line."""
    names = [row.name for row in ROWS]
    parser = argparse.ArgumentParser(description="Score the estimators with their defaults.")
    parser.add_argument("--data", type=Path, default=sets.DATA, help="the folder of the sets")
    parser.add_argument("--rows", nargs="+", choices=names, default=names, metavar="row", help=str(names))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--set", nargs="+", type=parse_setting, default=[], metavar="param=value")
    return parser.parse_args()


def main():
    """Run the rows asked for and print the table."""
    arguments = parse_arguments()
    overrides = dict(arguments.set)
    print(f"{environment()}; seeds {arguments.seeds}\n")
    print_header(*COLUMNS)
    for row in [row for row in ROWS if row.name in arguments.rows]:
        loaded = row.load(arguments.data)
        runs = [run(row, loaded, seed, overrides) for seed in arguments.seeds]
        print_result(row, loaded, row.settings | overrides, runs)


if __name__ == "__main__":
    main()
