"""
Who is speaking?
================

Nine men said the vowels "ae", each many times. Every utterance is a sequence of 12 linear prediction coefficients a
frame, 7 to 29 frames long. Can a recurrent network tell the men apart?
"""

# %%
# The recordings are a list of arrays, one array an utterance. Nothing has to be padded, cut or scaled.
from sktime_rnn.datasets import load_japanese_vowels

X_train, y_train = load_japanese_vowels(split="train")
X_test, y_test = load_japanese_vowels(split="test")
print(len(X_train), "utterances, the first three of shape", [utterance.shape for utterance in X_train[:3]])

# %%
# A bidirectional GRU reads each of them forwards and backwards.
from sktime_rnn import RNNClassifier

model = RNNClassifier(cell="gru", bidirectional=True, random_state=0).fit(X_train, y_train)
print(f"accuracy {model.score(X_test, y_test):.3f}")

# %%
# The confusion matrix shows which speakers are taken for one another.
import matplotlib.pyplot as plt
from sklearn.metrics import ConfusionMatrixDisplay

figure, ax = plt.subplots(figsize=(5, 5), layout="constrained")
ConfusionMatrixDisplay.from_estimator(model, X_test, y_test, colorbar=False, ax=ax)
ax.set(xlabel="predicted speaker", ylabel="true speaker")
plt.show()

# %%
# How sure is the model of each utterance? It is right most often where it is sure.
import numpy as np

sureness = model.predict_proba(X_test).max(axis=1)
right = model.predict(X_test) == y_test
for low, high in [(0.0, 0.9), (0.9, 0.99), (0.99, 1.0)]:
    chosen = (sureness > low) & (sureness <= high)
    share = f"{np.mean(right[chosen]):.3f}" if chosen.any() else "none"
    print(f"probability above {low} up to {high}: {chosen.sum():3d} utterances, accuracy {share}")
