# %% [markdown]
# # 07 Named entities
#
# Who, where, which company? In lesson 06 a text had one label; here every *word* has one. The same small BERT, with
# a head on each piece.
#
# **You will**
#
# - put the labels of words on the pieces that a backbone reads, and mask the rest,
# - judge whole entities, and see why a share of right words flatters,
# - set a bar that looks at words, and at capitals, which this BERT never sees,
# - compare frozen features, fine-tuning and the random twin, over the number of sentences.
#
# **Time** 2 minutes in mini size on two cores. **Before** Lesson 06. Texts need KerasHub:
# `pip install 'tlteach[text]'`. No download. With `TLTEACH_SIZE=full` the same cells put BERT on the same
# sentences. (The numbers in the text are those of the mini size.)

# %% tags=["needed"]
import keras
import numpy as np
import pandas as pd
from sklearn.feature_extraction import DictVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from threadpoolctl import threadpool_limits
from tqdm import tqdm

import tlteach as tl

threadpool_limits(1)  # scikit-learn's threads only wait for each other on problems this small
bert = tl.load_backbone("bert")
keras.utils.set_random_seed(0)
twin = tl.load_backbone("bert", weights=None)

# %% [markdown]
# ## Sentences, words, labels
#
# 276 sentences, written for this lesson. `B-` begins an entity, `I-` goes on with it, `O` is outside: persons
# (`PER`), places (`LOC`), organisations (`ORG`). Some names are there to be confused.

# %%
sentences = tl.load_entities()
classes = sorted(sentences["labels"].explode().unique(), key=lambda name: (name != "O", name))
pd.set_option("display.max_colwidth", 110)
shown = sentences[["words", "labels"]].map(" ".join)
shown[shown["words"].str.contains("Jordan|Florence|Leeds|Philips")]

# %%
train, test = sentences[sentences["split"] == "train"], sentences[sentences["split"] == "test"]
sentences["labels"].explode().value_counts().plot.barh(xlabel="words", figsize=(6, 2.4)).invert_yaxis();

# %% [markdown]
# ## Labels on pieces
#
# The backbone reads pieces, and a word may have several. **Predict**: what if every piece had its word's label? A
# name in five pieces would count five times, and `B-` would begin five entities. So the *first* piece carries the label, and
# the others are masked (-1), as are the marks at the ends.

# %%
odd = ["Łódź", "didn't", "thank", "Zbigniew", "😀", "!"]
tokens, targets, places = tl.align_labels(bert.tokenizer, [odd], labels=[["B-LOC", "O", "O", "B-PER", "O", "O"]], classes=classes)
pieces = [bert.tokenizer.cutter.id_to_token(int(token)) for token in tokens[0]]
pd.DataFrame([pieces, ["-" if t < 0 else classes[t] for t in targets[0]]], index=["piece", "learned"])

# %%
tokens, targets, places = tl.align_labels(bert.tokenizer, sentences["words"].tolist(), labels=sentences["labels"].tolist(), classes=classes)
f"{(targets >= 0).sum()} words in {(tokens >= 0).sum()} pieces; {sum(place < 0 for row in places for place in row)} words were cut off"

# %% [markdown]
# (`Łódź` is unknown to this vocabulary, and so are most emoji: two unknown words are one to it.)
#
# ## The measure: whole entities
#
# **Predict** the share of words that are right if everything is called `O`. And the F1?

# %%
truth = test["labels"].tolist()
nothing = [["O"] * len(labels) for labels in truth]
share = np.mean([label == "O" for labels in truth for label in labels])
f"all O: {share:.1%} of the words are right, F1 {tl.entity_f1(truth, nothing).loc['all', 'f1']:.2f}"

# %% [markdown]
# An entity counts as found if its type, its first and its last word are right: half a name is no name. Precision is the
# share of what was called an entity that is one, recall the share of the entities that was found, F1 their harmonic mean. A model
# may say `I-PER` with no `B-PER` before it; that begins an entity, as in the count that the field uses.

# %%
tl.entity_f1([["B-PER", "I-PER", "O", "B-LOC"]], [["B-PER", "O", "O", "I-LOC"]])

# %% [markdown]
# ## The bar: a word, its neighbours, its capital
#
# Logistic regression on the word, its ending, the words beside it, and whether they begin with a capital. Our BERT is
# uncased: it never sees one. So there are two bars. **Predict** how much the capital is worth.

# %%
def looks(words, capitals):
    """What can be seen of each word of a sentence."""
    padded = ["", *words, ""]
    for before, word, after in zip(padded, padded[1:], padded[2:]):
        seen = {"word": word.lower(), "end": word[-3:].lower(), "before": before.lower(), "after": after.lower()}
        seen["first"] = not before
        yield seen | ({f"capital {i}": each[:1].isupper() for i, each in enumerate((before, word, after))} if capitals else {})


def by_looks(capitals, few, asked, seed):
    model = make_pipeline(DictVectorizer(), LogisticRegression(C=10, max_iter=300))
    x, others = ([look for words in part["words"] for look in looks(words, capitals)] for part in (few, asked))
    return model.fit(x, few["labels"].explode()).predict(others)

# %%
def f1(asked, flat):
    """F1 over all types, of labels told word by word."""
    ends = np.cumsum(asked["words"].str.len())[:-1]
    return tl.entity_f1(asked["labels"].tolist(), np.split(np.array(flat, object), ends)).loc["all", "f1"]


few, asked = train.head(120), train.tail(64)
with_and_without = [f1(asked, by_looks(capitals, few, asked, 0)) for capitals in (True, False)]
pd.Series(with_and_without, index=["with capitals", "without"]).round(2)

# %% [markdown]
# Without capitals a good part of it is gone. (German capitalises every noun, headlines every word, and people who type
# in a hurry none: how much a capital is worth depends on who writes.)
#
# ## Frozen features, a row a word
#
# `pooling=None` keeps every piece. Of each word we take the features of its first piece, and solve a linear probe. A
# transformer's layers fetch to each piece what it needs of the others. Beside it we do that by hand: the features of the
# word *and its two neighbours*, side by side, as the bar has them.
#
# **Predict**: does the last stage need the neighbours? Does the first? (The judge is a part of the training sentences; the
# test stays shut.)

# %%
table = pd.DataFrame({"label": 0, "sha256": [str(row.tolist()) for row in tokens]})
everything = tl.Split(tokens, table, ["any"])


def features(backbone, stage):
    """Features of each sentence's words, `(words, width)`, a list."""
    pieces = tl.extract_features(backbone, everything, layer=stage, pooling=None)  # (sentences, length, width)
    return pd.Series([row[place] for row, place in zip(pieces, places)], index=sentences.index)


def with_neighbours(x):
    """Features of the word before, the word and the word after, `(words, 3 * width)`."""
    padded = np.pad(x, ((1, 1), (0, 0)))
    return np.concatenate([padded[:-2], x, padded[2:]], axis=1)

# %%
alone = {(name, stage): features(b, stage) for name, b in {"BERT": bert, "random twin": twin}.items() for stage in b.stages}
found = {"word alone": alone, "with neighbours": {key: x.map(with_neighbours) for key, x in alone.items()}}

# %%
def by_probe(x, few, asked, seed):
    y = few["labels"].explode().map(classes.index).to_numpy(int)
    probe = tl.linear_probe((np.concatenate(list(x[few.index])), y), seed=seed)
    right = keras.ops.convert_to_numpy(probe(np.concatenate(list(x[asked.index])))).argmax(1)
    return [classes[each] for each in right]

# %%
rows = []
for target, (weights, stage), seed in tqdm([(target, key, seed) for target in found for key in alone for seed in range(2)]):
    few = train.sample(120, random_state=seed)
    asked = train.drop(few.index)
    rows.append((target, weights, stage, seed, f1(asked, by_probe(found[target][weights, stage], few, asked, seed))))
by_stage = pd.DataFrame(rows, columns=["target", "weights", "stage", "seed", "F1"])

# %%
tl.plot_by_stage(by_stage, value="F1");

# %% [markdown]
# **The layers do not do it.** A word's features alone find few entities, in whichever stage, and with its neighbours laid beside
# it by hand the F1 doubles. The last stage is hardly better than the embeddings: two layers, trained for two thirds of an epoch, bring
# little of *in* to *Lyon*. In a full BERT they bring it, and the neighbours are not needed.
# What this one knows are words; it is worth something over the twin in each case.
#
# ## Over the number of sentences
#
# We take the embeddings with their neighbours, of BERT and of the twin. **Predict** the order of the five at 30 and at
# 150 sentences. The test split is asked now.

# %%
near = {name: found["with neighbours"][name, "embeddings"] for name in ("BERT", "random twin")}
ways = {
    "words and capitals": (by_looks, True), "words alone": (by_looks, False),
    "BERT, word alone": (by_probe, alone["BERT", list(bert.stages)[-1]]),
    "BERT, with neighbours": (by_probe, near["BERT"]), "random twin, with neighbours": (by_probe, near["random twin"]),
}

# %%
rows = []
for labels, seed, name in tqdm([(n, seed, name) for n in (30, 75, 150) for seed in range(5) for name in ways]):
    way, given = ways[name]
    rows.append((name, labels, seed, f1(test, way(given, train.sample(labels, random_state=seed), test, seed))))
curve = pd.DataFrame(rows, columns=["strategy", "labels", "seed", "F1"])

# %%
tl.plot_label_curve(curve, value="F1").set(xlabel="labelled sentences", ylim=(0, 0.9));

# %%
curve.pivot_table(index="strategy", columns="labels", values="F1", aggfunc=["mean", "min", "max"]).round(2)

# %% [markdown]
# **The bar is not beaten.** Who sees capitals wins by far, and no reading of film reviews makes up for it. Among those
# that see none, BERT with its neighbours is ahead of the twin, and of the words alone with few sentences. This is a failure of
# transfer, and it has a reason: the source (film reviews, uncased, two layers) threw away, before the first
# layer, what the target needs most. Choose a *cased* backbone for names.
#
# ## Fine-tuning
#
# `attach_token_head` gives a plain Keras model from pieces to labels at each piece. It is trained with `fit`; masked places
# get a weight of zero. Can fine-tuning teach the layers to fetch the neighbours? **Predict** the F1 from 150
# sentences, and the twin's.

# %%
rate = 0.13 / bert.model.output_shape[-1]  # 1e-3 for the mini; 1.7e-4 for BERT


def fine_tuned(weights, seed):
    keras.utils.set_random_seed(seed)
    rows = train.sample(150, random_state=seed).index
    model = tl.attach_token_head(tl.load_backbone("bert", weights=weights), len(classes))
    model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy")
    model.fit(tokens[rows], targets[rows].clip(0), sample_weight=(targets[rows] >= 0) * 1.0, epochs=15, batch_size=16, verbose=0)
    return model


def labels_of(model, asked):
    """Labels of words, from the probabilities at their first pieces."""
    p = keras.ops.convert_to_numpy(model(tokens[asked.index], training=False))  # (sentences, length, classes)
    return [classes[best] for row, sentence in zip(p.argmax(-1), asked.index) for best in row[places[sentence]]]

# %%
models = {(name, seed): fine_tuned(weights, seed) for name, weights in {"BERT": "default", "random twin": None}.items() for seed in range(3)}
tuned = pd.Series({key: f1(test, labels_of(model, test)) for key, model in models.items()}).unstack()
tuned.T.plot(style="o", xlabel="seed", xticks=range(3), ylim=0, ylabel="F1, fine-tuned", figsize=(6, 2.6));

# %%
tuned.agg(["mean", "min", "max"], axis=1).round(2)

# %% [markdown]
# Fine-tuning beats the probe on the word alone: something of the neighbours is fetched now. It does not reach what three words
# side by side gave. The twin, with the same training, is far behind: what was read is worth some eight points here.
#
# ## What goes wrong

# %%
said = labels_of(models["BERT", 0], test)
split = np.split(np.array(said, object), np.cumsum(test["words"].str.len())[:-1])
tl.entity_f1(test["labels"].tolist(), split).round(2)

# %%
wrong = pd.DataFrame({"words": test["words"].map(" ".join), "true": test["labels"].map(" ".join), "said": [" ".join(each) for each in split]})
wrong[wrong["true"] != wrong["said"]].head(6)

# %% [markdown]
# Persons are found best: many sentences begin with one, so the model says `B-PER` gladly. Organisations are long, and
# half of one is none. Look for `I-` without `B-`: nothing tells the head that labels follow upon each other. (A conditional random field does.)
#
# ## Did it happen as predicted?
#
# If your run does not bear a claim out, the cell stops and says so.

# %%
at = 100 * curve[curve["labels"] == 150].groupby("strategy")["F1"].mean()
mean = 100 * tuned.mean(axis=1)
tl.save_results("07_named_entities", curve, tuned=mean.to_dict(), stages=by_stage.groupby(["target", "weights", "stage"])["F1"].mean().reset_index().to_dict("records"))

# %%
print(tl.claim("F1 points that capitals are worth to the bar", at["words and capitals"] - at["words alone"], 5, 35))
print(tl.claim("BERT with neighbours above the word alone", at["BERT, with neighbours"] - at["BERT, word alone"], 5, 35))
print(tl.claim("BERT with neighbours above its random twin", at["BERT, with neighbours"] - at["random twin, with neighbours"], -3, 20))
print(tl.claim("BERT with neighbours below words and capitals", at["words and capitals"] - at["BERT, with neighbours"], 3, 35))
print(tl.claim("fine-tuned BERT above the fine-tuned twin", mean["BERT"] - mean["random twin"], 2, 25))
print(tl.claim("fine-tuned above the probe on the word alone", mean["BERT"] - at["BERT, word alone"], -2, 20))

# %% [markdown]
# ## Summary
#
# - A word's label stands on its first piece; everything else is masked, in the loss and in the count.
# - Count whole entities. Three words in four are right if you find none.
# - A backbone cannot bring what it never saw: names want a cased one. The plain bar told us.
# - Two small layers do not fetch the neighbours. Laid beside the word by hand, they double the F1.

# %% [markdown]
# ## Exercises
#
# ### Exercise 07.1: Labels on pieces
#
# The mini BERT cuts `Zbigniew left Krakow` into the pieces below. Which target has each piece? A label is its place in `names`, and
# -1 is masked.

# %%
names = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
cut = ["[CLS]", "z", "##bi", "##gn", "##iew", "left", "kr", "##ako", "##w", "[SEP]"]
# solution: a list of ten numbers
labels_left = iter(["B-PER", "O", "B-LOC"])
on_pieces = [-1 if piece.startswith(("##", "[")) else names.index(next(labels_left)) for piece in cut]
# end
tl.check("07.1", on_pieces)

# %% [markdown]
# ### Exercise 07.2: Count by hand
#
# What is the F1 of this sentence, over all types? Count before you call `tl.entity_f1`.

# %%
sentence = "Clara Novak left Lyon for Velotec and then Ghent again".split()
true_labels = "B-PER I-PER O B-LOC O B-ORG O O B-LOC O".split()
said_labels = "B-PER O     O B-LOC O B-ORG O O B-ORG O".split()
# solution: a number from 0 to 1
by_hand = tl.entity_f1([true_labels], [said_labels]).loc["all", "f1"]
# end
tl.check("07.2", by_hand)

# %% [markdown]
# ### Exercise 07.3: Strays
#
# A model says `I-PER` where nothing of that type goes before. Write a repair: such a stray begins an entity, so it
# becomes `B-PER`; everything else stays.

# %%
# solution: a function from a list of labels to a list of labels
def repaired(labels):
    before, done = "O", []
    for label in labels:
        stray = label.startswith("I-") and before[2:] != label[2:]
        done.append("B-" + label[2:] if stray else label)
        before = label
    return done
# end


tl.check("07.3", repaired)

# %% [markdown]
# ### Exercise 07.4: Masked
#
# `predicted` and `targets` hold a label for each piece, `(sentences, length)`; a target of -1 is masked. Which share of the *words*
# is right?

# %%
# solution: a function from two arrays to a share
def share_of_words(predicted, targets):
    return (predicted == targets)[targets >= 0].mean()
# end


tl.check("07.4", share_of_words)

# %% [markdown]
# ### Exercise 07.5: Design the experiment
#
# How much is a capital worth? This time features stay as they are, and you lower-case sentences: of `"test alone"`, `"training alone"`
# or `"training and test"`; for the model `"words and capitals"` or `"BERT"`; measured by `"F1"` or `"share of words"`; with how many
# seeds?

# %%
# solution: {"lower-case": "?", "model": "?", "measure": "?", "seeds": ?}
worth = {"lower-case": "training and test", "model": "words and capitals", "measure": "F1", "seeds": 5}
# end
tl.check("07.5", worth)

# %% [markdown]
# ### Further
#
# - The curve takes the embeddings. Take the last stage in `near`: is it better, and is the twin's? And give the bar two
#   neighbours on each side.
# - Mark ten sentences of your own, `[Clara](PER) left [Lyon](LOC).`, read them by `tl.load_entities(path)`, and ask the model.
#
# ## References
#
# - Tjong Kim Sang and De Meulder 2003, *Introduction to the CoNLL-2003 shared task* (the labels and the count).
# - Devlin et al. 2019, *BERT* (section 5.3: features of the first piece, frozen and fine-tuned).
# - Lample et al. 2016, *Neural architectures for named entity recognition* (labels that follow upon each other).
# - Ratinov and Roth 2009, *Design challenges and misconceptions in named entity recognition* (what words and capitals can do).
