"""Who is speaking, how many will fly, and how is that said in French? Classify, search, forecast, translate."""

from itertools import product
from time import perf_counter

from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sktime_rnn import RNNClassifier, RNNForecaster, Seq2SeqTransformer, TimeDistributed
from sktime_rnn.datasets import load_airpassengers, load_japanese_vowels


def classify():
    """Fit one classifier as it comes, and search for cell and size within a pipeline."""
    X_train, y_train = load_japanese_vowels(split="train")
    X_test, y_test = load_japanese_vowels(split="test")
    lengths = [len(utterance) for utterance in X_train + X_test]
    print(f"Japanese Vowels: {len(X_train)} utterances to learn from, {len(X_test)} to judge by,")
    print(f"12 features a step, {min(lengths)} to {max(lengths)} steps, 9 speakers.\n")

    start = perf_counter()
    model = RNNClassifier(random_state=0).fit(X_train, y_train)
    print(f"RNNClassifier(random_state=0), raw recordings: accuracy {model.score(X_test, y_test):.3f}", end="")
    print(f" ({perf_counter() - start:.0f} s)\n")

    start = perf_counter()
    pipe = make_pipeline(TimeDistributed(StandardScaler()), RNNClassifier(max_epochs=40, random_state=0))
    grid = {"rnnclassifier__cell": ["lstm", "gru"], "rnnclassifier__hidden_size": [16, 32]}
    search = GridSearchCV(pipe, grid, cv=3, n_jobs=2).fit(X_train, y_train)
    for setting, score in zip(search.cv_results_["params"], search.cv_results_["mean_test_score"], strict=True):
        print(f"{setting}: accuracy {score:.3f} in cross-validation")
    print(f"Best: {search.best_params_}, accuracy {search.score(X_test, y_test):.3f}", end="")
    print(f" ({perf_counter() - start:.0f} s)\n")


def forecast():
    """Forecast two years of a monthly series, with intervals."""
    y = load_airpassengers()
    start = perf_counter()
    forecaster = RNNForecaster(random_state=0).fit(y[:-24], fh=range(1, 25))
    error = (forecaster.predict() / y[-24:] - 1).abs().mean()
    lower, upper = forecaster.predict_interval(coverage=0.8).to_numpy().T
    covered = ((y[-24:] >= lower) & (y[-24:] <= upper)).sum()
    print("Airline passengers, ten years of months to learn from, two years to judge by.")
    print(f"RNNForecaster: mean absolute percentage error {100 * error:.1f} %,", end=" ")
    print(f"{covered} of 24 months within the 80 % interval ({perf_counter() - start:.0f} s)")


def translate():
    """Translate sentences that were not seen, word by word."""
    subjects = {"i am": "je suis", "you are": "tu es", "he is": "il est", "we are": "nous sommes"}
    moods = {"tired": "las", "late": "en retard", "here": "ici", "at home": "a la maison", "ill": "malade"}
    times = {"now": "maintenant", "again": "encore", "today": "aujourd hui", "often": "souvent"}
    english = [" ".join(words) for words in product(subjects, moods, times)]
    french = [" ".join(words) for words in product(*map(dict.values, (subjects, moods, times)))]
    known = [i for i in range(len(english)) if i % 7 != 3]
    start = perf_counter()
    translator = Seq2SeqTransformer(tokenizer="word", max_epochs=60, random_state=0)
    translator.fit([english[i] for i in known], [french[i] for i in known])
    print(f"\n{len(known)} English sentences with their French, and three new ones", end=" ")
    print(f"({perf_counter() - start:.0f} s):")
    for sentence, translation in zip(english[3::35], translator.predict(english[3::35]), strict=True):
        print(f"  {sentence} -> {translation}")


def main():
    """Show all three."""
    classify()
    forecast()
    translate()


if __name__ == "__main__":
    main()
