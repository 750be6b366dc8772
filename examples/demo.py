"""Who is speaking? Classify raw recordings of unequal length, then search for a better model."""

from time import perf_counter

from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sktime_rnn import RNNClassifier, TimeDistributed
from sktime_rnn.datasets import load_japanese_vowels


def main():
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
    print(f" ({perf_counter() - start:.0f} s)")


if __name__ == "__main__":
    main()
