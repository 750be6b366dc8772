"""
What does the decoder look at?
==============================

:class:`~sktime_rnn.Seq2SeqTransformer` reads a sentence and writes another one. While it writes, attention says which
words of the input each word of the output was made from.
"""

# %%
# Twenty subjects and moods at four times make eighty sentences. One in seven is kept back.

from itertools import product

from sktime_rnn import AttentionDisplay, Seq2SeqTransformer

subjects = {"i am": "je suis", "you are": "tu es", "he is": "il est", "we are": "nous sommes"}
moods = {"tired": "las", "late": "en retard", "here": "ici", "at home": "a la maison", "ill": "malade"}
times = {"now": "maintenant", "again": "encore", "today": "aujourd hui", "often": "souvent"}
english = [" ".join(words) for words in product(subjects, moods, times)]
french = [" ".join(words) for words in product(*map(dict.values, (subjects, moods, times)))]
known = [i for i in range(len(english)) if i % 7 != 3]

translator = Seq2SeqTransformer(tokenizer="word", max_epochs=60, random_state=0)
translator.fit([english[i] for i in known], [french[i] for i in known])
translator.score(english[3::7], french[3::7], metric="exact_match")

# %%
# The word for "at home" takes three words in French, and all of them look at the same two.

AttentionDisplay.from_estimator(translator, "he is at home today")

# %%
# Beam search gives several translations, each with its log-probability.

translator.predict_n_best(["we are ill now"], n=3)[0]
