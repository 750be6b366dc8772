"""How well Seq2SeqTransformer does with its defaults: a few rows a task, several seeds, beside a plain result.

    python benchmarks/seq2seq_accuracy.py [--data ../shared/data] [--only eng_fra dates ...] [--seeds 0 1 2]
                                          [--folds 5] [--figure [docs/_static/copies.png]]
                                          [--set hidden_size=64 cell=lstm ...]

An estimator is given what its row names and `random_state=seed`, nothing else. `--set` adds constructor parameters to
every row. A row is printed as soon as it is done. `char_trajectories` leaves one path out at a time, which takes 100
fits a seed; with `--folds 5` one path of every letter is left out at a time. With `--figure`, `copies` is drawn as
well, which needs matplotlib, the extra `plot`.
"""

import argparse
import functools
import operator
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import data as sets
import numpy as np
import sacrebleu
import torch
from accuracy import COLUMNS, parse_setting
from report import environment, print_header, print_row, print_title
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import LeaveOneOut, StratifiedKFold
from sklearn.pipeline import make_pipeline
from torch import nn

from sktime_rnn import Seq2SeqTransformer

BEAM_WIDTH = 5
LONGEST_TRAINED = 20  # symbols of the strings that are reversed and copied
PATH_STEPS = 60
COPY_SIZES = (8, 32, 128, 256)  # n_components
COPY_SPANS = ((1, 5), (6, 10), (11, 15), (16, 20), (21, 25), (26, 30))
FIGURE = Path(__file__).parent.parent / "docs" / "_static" / "copies.png"


class Convolutions(nn.Module):
    """A small network over pictures, (n, height, width, 1) -> (n, height / 4, width / 4, 32)."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        )  # fmt: skip

    def forward(self, X):
        """Permute to torch's order of axes, and back."""
        return self.layers(X.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


# -- fitting and scoring -------------------------------------------------------------------------------------


def fit(model, X, y):
    """Fit an estimator; return the seconds that took."""
    start = time.perf_counter()
    model.fit(X, y)
    return time.perf_counter() - start


def by_both_searches(score, model, X, y):
    """Score what is written greedily, and by beam search."""
    return [score(model.set_params(beam_width=width), X, y) for width in (1, BEAM_WIDTH)]


def bleu(written, references):
    """Return BLEU-4 of texts; each has a list of references."""
    most = max(len(some) for some in references)
    streams = [[some[k] if k < len(some) else None for some in references] for k in range(most)]
    return sacrebleu.corpus_bleu(written, streams, tokenize="none", force=True).score


def bleu_of(model, X, references):
    """Return BLEU-4 of what an estimator writes."""
    return bleu(model.predict(X), references)


def exact_match(model, X, y):
    """Return the percentage of outputs that agree throughout."""
    return 100 * model.score(X, y, metric="exact_match")


def label_error_rate(model, X, y):
    """Return the edits that outputs need, in per cent of the symbols of the truth."""
    return -100 * model.score(X, y, metric="neg_label_error_rate")


def resampled(path):
    """Return a path (n_timesteps, n_channels) at `PATH_STEPS` places, interpolated linearly."""
    places = np.linspace(0, len(path) - 1, PATH_STEPS)
    return np.column_stack([np.interp(places, np.arange(len(path)), channel) for channel in path.T])


def path_mse(written, path):
    """Return the squared error of a path of a length of its own, over steps and channels."""
    if len(written) == 0:
        return np.mean(resampled(path) ** 2)
    return np.mean((resampled(written) - resampled(path)) ** 2)


# -- tasks: each takes a set and a maker of estimators, and returns its scores and the seconds of `fit` ------


def translating(part, make):
    """Return BLEU, greedily and by beam search."""
    model = make()
    seconds = fit(model, part.X_train, part.y_train)
    return by_both_searches(bleu_of, model, part.X_test, part.y_test), seconds


def reversing(part, make):
    """Return the exact matches of strings as long as those in training, and of longer ones."""
    model = make()
    seconds = fit(model, part.X_train, part.y_train)
    scores = []
    for longer in (False, True):
        chosen = [(len(x) > LONGEST_TRAINED) == longer for x in part.X_test]
        scores.append(exact_match(model, sets.pick(part.X_test, chosen), sets.pick(part.y_test, chosen)))
    return scores, seconds


def matching(part, make):
    """Return the exact matches."""
    model = make()
    seconds = fit(model, part.X_train, part.y_train)
    return [exact_match(model, part.X_test, part.y_test)], seconds


def drawing(loaded, make, folds=None):
    """Return the squared error of paths that are drawn from their letter, with lengths of their own."""
    X, paths = loaded
    splits = LeaveOneOut() if folds is None else StratifiedKFold(folds)
    errors, seconds = [], 0
    for train, test in splits.split(X, X.argmax(axis=1)):
        model = make()
        seconds += fit(model, X[train], [paths[i] for i in train])
        errors += [path_mse(written, paths[i]) for i, written in zip(test, model.predict(X[test]), strict=True)]
    return [np.mean(errors)], seconds


def naming(part, make):
    """Return the perplexity of a character."""
    model = make()
    seconds = fit(model, part.X_train, part.y_train)
    return [model.perplexity(part.X_test, part.y_test)], seconds


def captioning(part, make, form=None):
    """Return the exact matches of captions; pictures are flattened, read by cells, or by convolutions."""
    X_train, X_test = part.X_train, part.X_test
    if form == "vector":
        X_train, X_test = (X.reshape(len(X), -1) for X in (X_train, X_test))
    model = make()
    if form == "convolutions":
        torch.manual_seed(model.random_state)
        model.set_params(step_network=Convolutions())
    seconds = fit(model, X_train, part.y_train)
    return [exact_match(model, X_test, part.y_test)], seconds


def transcribing(part, make):
    """Return the label error rate, greedily and by beam search."""
    model = make()
    seconds = fit(model, part.X_train, part.y_train)
    return by_both_searches(label_error_rate, model, part.X_test, part.y_test), seconds


def encoding(part, make):
    """Return the accuracy of a logistic regression on the context vectors of an autoencoder."""
    model = make_pipeline(make(), LogisticRegression(max_iter=1000))
    seconds = fit(model, part.X_train, part.y_train)
    return [100 * model.score(part.X_test, part.y_test)], seconds


# -- plain results, worked out here --------------------------------------------------------------------------


def nearest_sentence(part):
    """Say the translation of the training sentence that is nearest by the cosine of tf-idf of its words."""
    words = TfidfVectorizer(token_pattern=r"\S+")
    train = words.fit_transform(part.X_train)
    nearest = (words.transform(part.X_test) @ train.T).toarray().argmax(axis=1)
    return f"nearest training sentence {bleu([part.y_train[i] for i in nearest], part.y_test):.1f}"


def class_mean_path(loaded):
    """Say the mean of the other paths of the letter."""
    X, paths = loaded
    paths = np.stack([resampled(path) for path in paths])
    errors = []
    for i, letter in enumerate(X):
        others = (X == letter).all(axis=1)
        others[i] = False
        errors.append(np.mean((paths[i] - paths[others].mean(axis=0)) ** 2))
    return f"mean path of the letter's others {np.mean(errors):.3f}"


def commonest_caption(part):
    """Always say the commonest caption."""
    captions, counts = np.unique(part.y_train, return_counts=True)
    right = np.array(part.y_test) == captions[counts.argmax()]
    return f"commonest caption {100 * right.mean():.1f}"


# -- rows ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Score:
    """What a number is, what it should reach, and what it is compared with."""

    metric: str
    target: float | None = None
    compared: str | Callable = ""  # words, or a function of the set that says them
    better: Callable = operator.ge

    def reached(self, score):
        """Say whether a score is as good as the target."""
        return "" if self.target is None else "yes" if self.better(score, self.target) else "no"


@dataclass(frozen=True)
class Row:
    """A set, the task, the scores that come out, and the estimator's settings for it."""

    name: str
    load: Callable
    run: Callable
    scores: tuple
    settings: dict = field(default_factory=dict)
    note: str = ""  # what the settings do not say


def rows(folds=None):
    """Return the rows of each task."""
    words, letters = {"tokenizer": "word"}, f"{folds} folds" if folds else "leave one out"
    ler = tuple(Score(f"label error rate, {how}, %", better=operator.le) for how in ("greedy", f"beam {BEAM_WIDTH}"))
    perplexity = (Score("perplexity a character", better=operator.le),)
    digit_pairs = (Score("exact match, %", None, commonest_caption),)

    def translation(source, target, least):
        load = functools.partial(sets.load_eng_fra, source=source, target=target)
        ways = ("BLEU, greedy", f"BLEU, beam {BEAM_WIDTH}")
        scores = tuple(Score(metric, least, nearest_sentence) for metric in ways)
        return Row(f"eng_fra, {source} to {target}", load, translating, scores, words)

    return {
        "eng_fra": [translation("fra", "eng", 40.0), translation("eng", "fra", 35.0)],
        "reverse": [
            Row(
                "reversed digits",
                sets.load_reversed_digits,
                reversing,
                (Score("exact match, 1-20 digits, %", 99.0), Score("exact match, 21-40 digits, %")),
            )
        ],
        "dates": [Row("dates", sets.load_dates, matching, (Score("exact match, %", 99.5),))],
        "char_trajectories": [
            Row(
                f"char_trajectories, {letters}",
                sets.load_char_trajectories,
                functools.partial(drawing, folds=folds),
                (Score("MSE", 0.144, class_mean_path, operator.le),),
                {"input": "vector"},
            )
        ],
        "names": [
            Row("names of a language", sets.load_names_of_languages, naming, perplexity),
            Row("names, language unknown", sets.load_names_alone, naming, perplexity),
        ],
        "digit_pairs": [
            Row(
                "digit_pairs, flattened",
                sets.load_digit_pairs,
                functools.partial(captioning, form="vector"),
                digit_pairs,
                {"input": "vector"} | words,
            ),
            Row("digit_pairs, cells", sets.load_digit_pairs, captioning, digit_pairs, {"input": "grid"} | words),
            Row(
                "digit_pairs, convolutions",
                sets.load_digit_pairs,
                functools.partial(captioning, form="convolutions"),
                digit_pairs,
                {"input": "grid"} | words,
                "step_network=Convolutions()",
            ),
        ],
        "spoken_strings": [
            Row("spoken_strings, aligned", sets.load_spoken_strings, transcribing, ler, {"alignment": "ctc"}),
            Row("spoken_strings, attending", sets.load_spoken_strings, transcribing, ler),
        ],
        "features": [
            Row(
                "spoken_digits, features",
                sets.load_spoken_digits,
                encoding,
                (Score("accuracy, %", 85.0, "logistic regression on mean and sd 94.0"),),
                {"output": "encoding"},
            )
        ],
    }


# -- copies --------------------------------------------------------------------------------------------------


def copied_by_length(part, model):
    """Return the share of exact copies of each length, an array from length 1 on."""
    model.fit(part.X_train, part.y_train)
    right = np.array([a == b for a, b in zip(model.predict(part.X_test), part.y_test, strict=True)])
    lengths = np.array([len(x) for x in part.X_test])
    return 100 * np.bincount(lengths, right)[1:] / np.bincount(lengths)[1:]


def copies(arguments):
    """Copying strings through a context vector of more and more components, with and without attention."""
    part, overrides = sets.load_copies(), dict(arguments.set)
    title = f"Exact copies of strings, in per cent; trained on 1-{LONGEST_TRAINED} letters, seeds {arguments.seeds}."
    print_title("Copies by length", title)
    print_header("n_components", "attention", *(f"{first}-{last} letters" for first, last in COPY_SPANS))
    shares = {}
    for attention in (None, "auto"):
        for size in COPY_SIZES:
            settings = {"n_components": size, "attention": attention} | overrides
            models = [Seq2SeqTransformer(**settings, random_state=seed) for seed in arguments.seeds]
            shares[attention, size] = np.mean([copied_by_length(part, model) for model in models], axis=0)
            means = [shares[attention, size][first - 1 : last].mean() for first, last in COPY_SPANS]
            print_row(size, "no" if attention is None else "yes", *(f"{mean:.1f}" for mean in means))
    if arguments.figure:
        draw_copies(shares, arguments.figure)


def draw_copies(shares, path):
    """Draw shares of exact copies over the length, and over the size of C for the lengths of training."""
    import matplotlib.pyplot as plt

    figure, (by_length, by_size) = plt.subplots(1, 2, figsize=(9, 3.5), layout="constrained", sharey=True)
    for attention, style, words in ((None, "-", "C alone"), ("auto", "--", "with attention")):
        for i, size in enumerate(COPY_SIZES):
            share = shares[attention, size]
            if attention is None or size == max(COPY_SIZES):  # with attention they lie upon each other
                label = f"{words}, {size}"
                by_length.plot(np.arange(1, len(share) + 1), share, style, color=f"C{i}", label=label)
        means = [shares[attention, size][:LONGEST_TRAINED].mean() for size in COPY_SIZES]
        by_size.plot(COPY_SIZES, means, f"o{style}", color="black", label=words)
    by_length.axvline(LONGEST_TRAINED, color="grey", linewidth=0.8)
    by_length.set(xlabel="letters", ylabel="exact copies, %", title=f"Trained on 1 to {LONGEST_TRAINED} letters")
    by_length.legend(fontsize="x-small", title="components of C", title_fontsize="x-small")
    by_size.set_xscale("log", base=2)
    by_size.set_xticks(COPY_SIZES, [str(size) for size in COPY_SIZES])
    by_size.set(xlabel="components of C", title=f"Mean over 1 to {LONGEST_TRAINED} letters")
    by_size.legend(fontsize="small")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)


# -- runs ----------------------------------------------------------------------------------------------------


def run(row, loaded, overrides, seed):
    """Run a row with one seed; return its scores and the seconds spent in `fit`."""
    make = functools.partial(Seq2SeqTransformer, **(row.settings | overrides), random_state=seed)
    return row.run(loaded, make)


def print_results(row, loaded, overrides, runs):
    """Print the rows of the table that sum up the runs of all seeds, one for each score."""
    values, seconds = zip(*runs, strict=True)
    settings = [f"{name}={value!r}" for name, value in (row.settings | overrides).items()]
    for score, taken in zip(row.scores, zip(*values, strict=True), strict=True):
        print_row(
            row.name,
            f"`Seq2SeqTransformer({', '.join([*settings, row.note] if row.note else settings)})`",
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
    names = [*rows(), "copies"]
    parser = argparse.ArgumentParser(description="Score Seq2SeqTransformer with its defaults.")
    parser.add_argument("--data", type=Path, default=sets.DATA, help="the folder of the sets")
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="task", help=str(names))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--folds", type=int, help="of char_trajectories, in place of leaving one out")
    parser.add_argument("--figure", type=Path, nargs="?", const=FIGURE, help="draw `copies` too, there or here")
    parser.add_argument("--set", nargs="+", type=parse_setting, default=[], metavar="param=value")
    return parser.parse_args()


def main():
    """Run the tasks asked for and print the tables."""
    arguments = parse_arguments()
    overrides, wanted = dict(arguments.set), [name for name in rows() if name in arguments.only]
    print(f"{environment()}; seeds {arguments.seeds}\n")
    if wanted:
        print_header(*COLUMNS)
    for row in [row for name in wanted for row in rows(arguments.folds)[name]]:
        loaded = row.load(arguments.data)
        print_results(row, loaded, overrides, [run(row, loaded, overrides, seed) for seed in arguments.seeds])
    if "copies" in arguments.only:
        copies(arguments)


if __name__ == "__main__":
    main()
