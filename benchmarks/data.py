"""The sets that the benchmarks use, each in the form in which a user would have it.

Every loader takes the folder of the data, a `Path` with one folder per set, and returns a `Split`, or a
`Grouped` where the set is judged by cross-validation over groups. Sequences are `(n_timesteps_i, n_features)`
arrays, strings, or lists of words; of pairs, y holds sequences too. Series to forecast are pandas objects:
`(train, test)` for a panel, the whole of a single series. Run the file to print how many sequences and steps each
loader finds:

    python benchmarks/data.py [--data ../shared/data]
"""

import argparse
import gzip
import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import scipy.io
from sklearn.datasets import load_digits

DATA = Path("../shared/data")

# The made process y_t = 1.3 y_{t-1} - 0.6 y_{t-2} + noise of variance 1: a cycle of about eleven steps.
AR2 = (1.3, -0.6)

# Rows and columns by which a digit moves in one frame, and the name of that direction.
DIRECTIONS = {
    "N": (-1, 0), "NE": (-1, 1), "E": (0, 1), "SE": (1, 1),
    "S": (1, 0), "SW": (1, -1), "W": (0, -1), "NW": (-1, -1),
}  # fmt: skip


LETTERS = "abcdefghijklmnopqrstuvwxyz"
DIGIT_NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
DATE_FORMS = (
    "{d} {Month} {y}", "{Month} {d}, {y}", "{d}.{m}.{y}", "{weekday}, {d} {Month} {y}", "{d}{th} of {Month} {y}",
    "{Month} {d}{th}, {y}", "{m:02}/{d:02}/{y}", "{d:02}-{Month:.3}-{y}", "{y}/{m:02}/{d:02}",
    "{weekday:.3} {Month:.3} {d} {y}", "the {d}{th} of {Month}, {y}",
)  # fmt: skip


class Split(NamedTuple):
    """A set with a fixed part to learn from and a fixed part to be judged on."""

    X_train: Any
    y_train: Any
    X_test: Any
    y_test: Any


class Grouped(NamedTuple):
    """A set with a group for each sequence, which must not be divided."""

    X: Any
    y: Any
    groups: Any


# -- series of unequal length, one label each ----------------------------------------------------------------


def read_ts(path):
    """Read a `.ts` file: a list of (n_timesteps_i, n_channels) arrays, and the targets as strings."""
    lines = path.read_text().splitlines()
    start = next(i for i, line in enumerate(lines) if line.strip().lower() == "@data")
    X, y = [], []
    for line in lines[start + 1 :]:
        *channels, target = line.strip().split(":")
        X.append(np.array([channel.split(",") for channel in channels], dtype=float).T)
        y.append(target)
    return X, y


def load_japanese_vowels(data):
    """Twelve coefficients of a spoken vowel, 7 to 29 steps; which of nine men speaks."""
    X_train, y_train = read_ts(data / "JapaneseVowels" / "JapaneseVowels_TRAIN.ts")
    X_test, y_test = read_ts(data / "JapaneseVowels" / "JapaneseVowels_TEST.ts")
    return Split(X_train, np.array(y_train), X_test, np.array(y_test))


def load_spoken_digits(data):
    """Thirteen cepstral coefficients of a spoken digit, 12 to 226 steps; recordings 0-4 are the test."""
    with np.load(data / "spoken_digits_mfcc" / "spoken_digits_mfcc.npz") as file:
        X = cut(file["X"].astype(np.float32), file["lengths"])
        y, test = file["y"], file["index"] < 5
    return Split(pick(X, ~test), y[~test], pick(X, test), y[test])


def load_watch_exercises(data):
    """Six channels of a watch at 10 Hz, 189 to 523 steps; which of seven exercises. Groups: ten people."""
    with np.load(data / "watch_exercises" / "watch_10hz.npz") as file:
        X = cut(file["X"], file["lengths"])
        return Grouped(X, file["y_labels"][file["y"]], file["subject"])


def cut(values, lengths):
    """Cut rows that lie end to end into a list of sequences of the given lengths."""
    return np.split(values, np.cumsum(lengths)[:-1])


def pick(sequences, chosen):
    """Return those sequences of a list for which `chosen` is true."""
    return [sequence for sequence, keep in zip(sequences, chosen, strict=True) if keep]


# -- text ----------------------------------------------------------------------------------------------------


def load_names(data):
    """Family names as strings; which of 18 languages."""
    rows = [line.split("\t") for line in (data / "names" / "names.tsv").read_text().splitlines()[1:]]
    parts = []
    for part in ("train", "valid"):
        parts.append([name for split, name, _ in rows if split == part])
        parts.append(np.array([language for split, _, language in rows if split == part]))
    return Split(*parts)


def load_ud_english_ewt(data):
    """Sentences as lists of words; a list of universal part-of-speech tags for each."""
    folder = data / "ud_english_ewt"
    return Split(*read_tagged(folder / "train.tsv.gz"), *read_tagged(folder / "dev.tsv.gz"))


def read_tagged(path):
    """Read sentences of one word a line, divided by empty lines: lists of words, lists of first tags."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        sentences = [block.split("\n") for block in file.read().strip("\n").split("\n\n")]
    words, tags = ([[line.split("\t")[column] for line in lines] for lines in sentences] for column in (0, 1))
    return words, tags


def load_sst(data):
    """Sentences of film reviews as strings; five classes, from very negative (0) to very positive (4)."""
    with gzip.open(data / "sst" / "train.txt.gz", "rt", encoding="utf-8") as file:
        train = read_roots(file.read())
    return Split(*train, *read_roots((data / "sst" / "dev.txt").read_text(encoding="utf-8")))


def read_roots(text):
    """Read bracketed trees, one a line: the leaves joined by spaces, and the labels of the roots."""
    trees = text.strip().split("\n")
    sentences = [" ".join(re.findall(r" ([^() ]+)\)", tree)) for tree in trees]
    brackets = {"-LRB-": "(", "-RRB-": ")", "\\/": "/", "\\*": "*"}
    for escaped, plain in brackets.items():
        sentences = [sentence.replace(escaped, plain) for sentence in sentences]
    return sentences, np.array([int(tree[1]) for tree in trees])


# -- a target for every step ---------------------------------------------------------------------------------


def load_jsb_chorales(data):
    """Chorales as 88 notes on or off in each frame; the notes of the next frame."""
    rolls = scipy.io.loadmat(data / "poly_music" / "JSB_Chorales.mat")
    train, test = ([roll.astype(np.float32) for roll in rolls[part][0]] for part in ("traindata", "testdata"))
    return Split(*shift(train, int), *shift(test, int))


def shift(sequences, dtype):
    """Return the sequences without their last step, and without their first one: what follows each step."""
    return [x[:-1] for x in sequences], [x[1:].astype(dtype) for x in sequences]


def load_moving_digit_label(data=None):
    """Films of a moving digit, as (n_timesteps_i, 16, 16, 1) arrays; which digit it is."""
    films, labels, _ = moving_digits()
    return part_films(films, labels)


def load_moving_digit_direction(data=None):
    """Films of a moving digit; for each frame the direction just taken ("still" in the first frame)."""
    films, _, directions = moving_digits()
    return part_films(films, directions)


def load_moving_digit_next(data=None):
    """Films of a moving digit without their last frame; for each frame the next one, as 256 values."""
    films, _, _ = moving_digits()
    X, y = shift(films, np.float32)
    return part_films(X, [following.reshape(len(following), -1) for following in y])


def moving_digits(side=16, n_timesteps=(10, 30), turn=0.1, seed=0):
    """Let each image of scikit-learn's digits move over an empty square, one pixel a frame.

    A digit sets out from anywhere in one of eight directions, draws a new one with probability `turn` before
    each frame, and is thrown back by the edges.

    Returns
    -------
    films : list of (n_timesteps_i, side, side, 1) float32 arrays, values 0 to 16
    labels : (n_films,) array of the digits
    directions : list of lists of str, one for each frame
    """
    rng = np.random.default_rng(seed)
    images, labels = load_digits(return_X_y=True)
    films, directions = [], []
    for image in images.reshape(-1, 8, 8):
        places, names = random_walk(rng.integers(n_timesteps[0], n_timesteps[1] + 1), side - 8, turn, rng)
        film = np.zeros((len(places), side, side, 1), dtype=np.float32)
        for frame, (row, column) in zip(film, places, strict=True):
            frame[row : row + 8, column : column + 8, 0] = image
        films.append(film)
        directions.append(names)
    return films, labels, directions


def random_walk(n_timesteps, limit, turn, rng):
    """Walk over places (row, column) of 0 to `limit`; return them, and the direction taken to each."""
    moves, names = np.array(list(DIRECTIONS.values())), list(DIRECTIONS)
    name_of = {move: name for name, move in DIRECTIONS.items()}
    place, move = rng.integers(0, limit + 1, size=2), moves[rng.integers(len(names))]
    places, taken = [place], ["still"]
    for _ in range(n_timesteps - 1):
        if rng.random() < turn:
            move = moves[rng.integers(len(names))]
        inside = (place + move >= 0) & (place + move <= limit)
        move = np.where(inside, move, -move)
        place = place + move
        places.append(place)
        taken.append(name_of[tuple(move.tolist())])
    return places, taken


def part_films(X, y):
    """Make every fourth film, by the order of scikit-learn's images, part of the test."""
    test = np.arange(len(X)) % 4 == 0
    if isinstance(y, np.ndarray):
        return Split(pick(X, ~test), y[~test], pick(X, test), y[test])
    return Split(pick(X, ~test), pick(y, ~test), pick(X, test), pick(y, test))


# -- series of equal length, one value each ------------------------------------------------------------------


def load_tecator(data):
    """Spectra of 100 wavelengths of pieces of meat; the fat in per cent."""
    return load_values(data / "Tecator", "Tecator")


def load_covid3month(data):
    """Cases of COVID-19 on 84 days, a country each; the rate of deaths after them."""
    return load_values(data / "Covid3Month", "Covid3Month")


def load_values(folder, name):
    """Read two `.ts` files with a real target."""
    X_train, y_train = read_ts(folder / f"{name}_TRAIN.ts")
    X_test, y_test = read_ts(folder / f"{name}_TEST.ts")
    return Split(X_train, np.array(y_train, dtype=float), X_test, np.array(y_test, dtype=float))


# -- series to forecast --------------------------------------------------------------------------------------


def load_m4_weekly(data):
    """Weekly series of the M4 competition, 359 of 80 to 2,597 points; the 13 points that follow each."""
    parts = [read_wide(data / "M4" / f"Weekly-{part}.csv.gz") for part in ("train", "test")]
    return train_and_test(*parts)


def load_m3_quarterly(data):
    """Quarterly series of the M3 competition, 756 of 16 to 64 points; the 8 points that follow each."""
    with gzip.open(data / "M3" / "M3_quarterly.jsonl.gz", "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    return train_and_test(*({row["id"]: np.array(row[part]) for row in rows} for part in ("train", "test")))


def load_etth1(data):
    """Hourly load of a transformer and the temperature of its oil ("OT"), 17,420 rows of seven variables."""
    return pd.read_csv(data / "ETT" / "ETTh1.csv.gz", index_col="date", parse_dates=True).asfreq("h")


def load_air_passengers(data):
    """Thousands of passengers of airlines, 144 months."""
    table = pd.read_csv(data / "classic_series" / "airpassengers.csv")
    return pd.Series(table["Passengers"].to_numpy(float), pd.PeriodIndex(table["Date"], freq="M"), name="Passengers")


def load_ar2(data=None):
    """Made series of one autoregressive process, 500 of 200 points; the 12 points that follow each."""
    rng = np.random.default_rng(0)
    n_series, n_timesteps, horizon, burn_in = 500, 200, 12, 200
    y = rng.normal(size=(n_series, burn_in + n_timesteps + horizon))
    for t in range(2, y.shape[1]):
        y[:, t] += AR2[0] * y[:, t - 1] + AR2[1] * y[:, t - 2]
    train, test = np.split(y[:, burn_in:], [n_timesteps], axis=1)
    return train_and_test(*(dict(enumerate(part)) for part in (train, test)))


def ar2_forecast_sd(horizon):
    """Return the standard deviation of the best forecast's error, 1 to `horizon` steps ahead."""
    weights = [0.0, 1.0]  # of the noise of 0, 1, ... steps ago, after one that stands for the time before
    for _ in range(horizon - 1):
        weights.append(AR2[0] * weights[-1] + AR2[1] * weights[-2])
    return np.sqrt(np.cumsum(np.square(weights[1:])))


def read_wide(path):
    """Read a table with a series in each row, its name first; the empty cells at a row's end are no points."""
    table = pd.read_csv(path, index_col=0)
    lengths = table.notna().sum(axis=1)
    return {name: row[:n] for name, row, n in zip(table.index, table.to_numpy(float), lengths, strict=True)}


def train_and_test(train, test):
    """Join two dicts of arrays of the same names, where time goes on from the one to the other."""
    return join_series(train), join_series(test, [len(train[name]) for name in test])


def join_series(series, starts=None):
    """Lay a dict of arrays end to end, with an index (series, time) of names and whole numbers."""
    lengths = [len(values) for values in series.values()]
    starts = [0] * len(lengths) if starts is None else starts
    time = np.concatenate([np.arange(start, start + n) for start, n in zip(starts, lengths, strict=True)])
    index = pd.MultiIndex.from_arrays([np.repeat(list(series), lengths), time], names=["series", "time"])
    return pd.Series(np.concatenate(list(series.values())), index, name="value")


# -- pairs of sequences --------------------------------------------------------------------------------------


def load_eng_fra(data, source="eng", target="fra"):
    """Short sentences and their translations; the test has each sentence once, with a list of all its translations."""
    table = pd.read_csv(data / "eng_fra" / "eng_fra_short.tsv", sep="\t", keep_default_na=False)
    train, valid = (table[table["split"] == part] for part in ("train", "valid"))
    references = valid.groupby(source, sort=False)[target].agg(list)
    return Split(train[source].tolist(), train[target].tolist(), references.index.tolist(), references.tolist())


def load_reversed_digits(data=None, n_train=10_000, n_test=2000):
    """Made strings of 1 to 20 digits, in the test of 1 to 40; the same read from behind. Parts share short strings."""
    rng = np.random.default_rng(0)
    train, test = (
        draw_strings(rng, "0123456789", rng.integers(1, longest + 1, n)) for longest, n in ((20, n_train), (40, n_test))
    )
    return Split(train, turned(train), test, turned(test))


def load_copies(data=None, n_train=10_000, n_test=50, longest=20, longest_test=30):
    """Made strings of 1 to 20 letters, and themselves; the test has `n_test` strings of each length up to 30."""
    rng = np.random.default_rng(0)
    train = draw_strings(rng, LETTERS, rng.integers(1, longest + 1, n_train))
    test = draw_strings(rng, LETTERS, np.repeat(np.arange(1, longest_test + 1), n_test))
    return Split(train, train, test, test)


def draw_strings(rng, alphabet, lengths):
    """Draw strings of the given lengths, each character by itself."""
    return ["".join(rng.choice(list(alphabet), n)) for n in lengths]


def turned(strings):
    """Return strings read from behind."""
    return [string[::-1] for string in strings]


def load_dates(data=None, n_train=10_000, n_test=1000):
    """Made days of 1950 to 2049, each written in one of eleven forms; as 2017-05-03. No day is in both parts."""
    rng = np.random.default_rng(0)
    days = pd.date_range("1950-01-01", "2049-12-31")[rng.permutation(36_525)[: n_train + n_test]]
    forms = rng.integers(len(DATE_FORMS), size=len(days))
    written = [write_date(day, DATE_FORMS[form]) for day, form in zip(days, forms, strict=True)]
    iso = days.strftime("%Y-%m-%d").tolist()
    return Split(written[:n_train], iso[:n_train], written[n_train:], iso[n_train:])


def write_date(day, form):
    """Write a day in one of `DATE_FORMS`."""
    ordinal = "th" if day.day in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(day.day % 10, "th")
    parts = {"weekday": WEEKDAYS[day.dayofweek], "Month": MONTHS[day.month - 1]}
    return form.format(d=day.day, m=day.month, y=day.year, th=ordinal, **parts)


def load_char_trajectories(data):
    """Twenty letters as vectors with a single one; five pen paths of each, of 109 to 205 steps and 3 channels."""
    with np.load(data / "char_trajectories" / "char_trajectories.npz") as file:
        letters = np.unique(file["y"])
        return (file["y"][:, None] == letters).astype(float), cut(file["X"].astype(float), file["lengths"])


def load_names_of_languages(data):
    """The language as one token; names in it."""
    names = load_names(data)
    X_train, X_test = ([[language] for language in part.tolist()] for part in (names.y_train, names.y_test))
    return Split(X_train, names.X_train, X_test, names.X_test)


def load_names_alone(data):
    """The same token for all; names."""
    part = load_names_of_languages(data)
    return part._replace(X_train=[["name"]] * len(part.X_train), X_test=[["name"]] * len(part.X_test))


def load_digit_pairs(data=None, n_train=4000, n_test=1000):
    """Made pictures of two of scikit-learn's digits, (16, 32); a caption such as "three left of seven".

    Every fourth digit, by the order of scikit-learn's images, is in pictures of the test alone.
    """
    rng = np.random.default_rng(0)
    images, labels = load_digits(return_X_y=True)
    test = np.arange(len(images)) % 4 == 0
    parts = []
    for chosen, n in ((~test, n_train), (test, n_test)):
        drawn = [draw_pair(rng, images[chosen].reshape(-1, 8, 8), labels[chosen]) for _ in range(n)]
        parts += [np.stack([picture for picture, _ in drawn]), [caption for _, caption in drawn]]
    return Split(*parts)


def draw_pair(rng, images, labels, height=16, width=32):
    """Place two images anywhere, one not upon the other; return the picture, and the words for it."""
    side = images.shape[1]
    while True:
        places = rng.integers(0, [height - side + 1, width - side + 1], size=(2, 2))  # row and column of each
        apart = np.abs(places[0] - places[1]) >= side
        if apart.any():
            break
    axis = 1 if apart[1] else 0  # what is both is called left
    pair = rng.integers(len(images), size=2)
    picture = np.zeros((height, width))
    for i, (row, column) in zip(pair, places, strict=True):
        picture[row : row + side, column : column + side] = images[i]
    first, second = labels[pair[np.argsort(places[:, axis])]]
    return picture, f"{DIGIT_NAMES[first]} {('above', 'left of')[axis]} {DIGIT_NAMES[second]}"


def load_spoken_strings(data, n_train=5000, n_test=300, longest=7):
    """One to seven recordings of spoken digits laid end to end, of any speakers; the digits as a string."""
    rng = np.random.default_rng(0)
    digits = load_spoken_digits(data)
    parts = []
    for X, y, n in ((digits.X_train, digits.y_train, n_train), (digits.X_test, digits.y_test, n_test)):
        chosen = [rng.integers(len(X), size=k) for k in rng.integers(1, longest + 1, n)]
        parts += [[np.concatenate([X[i] for i in some]) for some in chosen], ["".join(map(str, y[s])) for s in chosen]]
    return Split(*parts)


LOADERS = {
    "JapaneseVowels": load_japanese_vowels,
    "spoken_digits": load_spoken_digits,
    "watch_exercises": load_watch_exercises,
    "names": load_names,
    "ud_english_ewt": load_ud_english_ewt,
    "JSB_Chorales": load_jsb_chorales,
    "sst": load_sst,
    "moving_digit_label": load_moving_digit_label,
    "moving_digit_direction": load_moving_digit_direction,
    "moving_digit_next": load_moving_digit_next,
    "Tecator": load_tecator,
    "Covid3Month": load_covid3month,
}
PAIRS = {
    "eng_fra": load_eng_fra,
    "reversed_digits": load_reversed_digits,
    "copies": load_copies,
    "dates": load_dates,
    "names_of_languages": load_names_of_languages,
    "digit_pairs": load_digit_pairs,
    "spoken_strings": load_spoken_strings,
}
PANELS = {"M4 Weekly": load_m4_weekly, "M3 quarterly": load_m3_quarterly, "AR(2)": load_ar2}
SINGLE_SERIES = {"ETTh1": load_etth1, "AirPassengers": load_air_passengers}


def main():
    """Print the number of sequences, steps, shortest and longest sequence of every set."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--data", type=Path, default=DATA)
    data = parser.parse_args().data
    for name, load in LOADERS.items():
        loaded = load(data)
        for part in [field for field in loaded._fields if field.startswith("X")]:
            lengths = [len(sequence) for sequence in getattr(loaded, part)]
            span = f"{min(lengths)}-{max(lengths)} steps each"
            print(f"{name} {part}: {len(lengths)} sequences, {sum(lengths)} steps, {span}")
    for name, load in PAIRS.items():
        loaded = load(data)
        print(f"{name}: {len(loaded.X_train)} pairs, {len(loaded.X_test)} in the test")
    print(f"char_trajectories: {len(load_char_trajectories(data)[1])} pairs")
    for name, load in PANELS.items():
        for part, y in zip(("train", "test"), load(data), strict=True):
            lengths = y.groupby(level="series").size()
            span = f"{lengths.min()}-{lengths.max()} points each"
            print(f"{name} {part}: {len(lengths)} series, {len(y)} points, {span}")
    for name, load in SINGLE_SERIES.items():
        y = load(data)
        print(f"{name}: {y.size // len(y)} variable(s), {len(y)} points, {y.index[0]} to {y.index[-1]}")


if __name__ == "__main__":
    main()
