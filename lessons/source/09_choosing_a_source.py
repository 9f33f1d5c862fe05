# %% [markdown]
# # 09 Choosing a source
#
# Eight pretrained networks lie on the shelf, and there is time to fine-tune one. *Transferability scores* promise
# to say which, in seconds and without training. We compute four of them by hand, ask them about two targets, then
# do what nobody has the time for: fine-tune from all eight, and see who was right.
#
# **You will**
#
# - work out NCE, LEEP, H-score and LogME for four pictures, and name what each takes for granted,
# - compare networks stage by stage (CKA),
# - rank eight sources for two targets, and check the ranking by fine-tuning,
# - draw the interval of a rank correlation, and find out how little eight sources can tell,
# - see a score go by the number of features, and another by who the patient is.
#
# **Time** 3 minutes in mini size on two cores. **Before** Lessons 01 and 03; 05 helps. No download. Networks and
# data are the mini ones in any size, because the question needs many fine-tunings.

# %% tags=["needed"]
from dataclasses import replace

import keras
import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits
from tqdm import tqdm

import tlteach as tl

threadpool_limits(1);  # on problems this small threads only wait for each other

# %% [markdown]
# ## Four pictures, by hand
#
# Pictures 1 and 2 are of target class 0, pictures 3 and 4 of class 1. A source network gives each a **feature** (one
# number here, hundreds in earnest). If its own head was kept, it also says to which of its *source classes* the picture
# belongs: here there are two, and picture 3 leaves it in doubt.
#
# | picture | target class | feature | source class 0 | source class 1 |
# |---|---|---|---|---|
# | 1 | 0 | 0 | 1 | 0 |
# | 2 | 0 | 2 | 1 | 0 |
# | 3 | 1 | 4 | 0.6 | 0.4 |
# | 4 | 1 | 6 | 0 | 1 |

# %% tags=["needed"]
feature = np.array([[0.0], [2.0], [4.0], [6.0]])
says = np.array([[1.0, 0.0], [1.0, 0.0], [0.6, 0.4], [0.0, 1.0]])
target = np.array([0, 0, 1, 1])

# %% [markdown]
# **NCE** (negative conditional entropy) takes the likeliest source class: 0, 0, 0, 1. Where the source says 0, two of
# three pictures are of class 0 and one of class 1; where it says 1, all are of class 1. So it would give the four true
# labels the probabilities 2/3, 2/3, 1/3, 1, and NCE is the mean of their logarithms. At best it is 0.

# %%
np.log([2 / 3, 2 / 3, 1 / 3, 1]).mean(), tl.nce(says.argmax(1), target)

# %% [markdown]
# **LEEP** keeps the doubt. Source class 0 was given to 1 + 1 + 0.6 = 2.6 pictures, 2 of them of class 0: a share of
# 10/13, and 3/13 for class 1. Source class 1 was given to class 1 alone. Picture 3 then gets 0.6 · 3/13 + 0.4 · 1 = 7/13.

# %%
np.log([10 / 13, 10 / 13, 7 / 13, 1]).mean(), tl.leep(says, target)

# %% [markdown]
# **H-score** looks at the features: the variance of the class means, in units of the features' own variance. The
# class means are 1 and 5, whose variance is 4; the variance of 0, 2, 4, 6 is 5. At best it is the number of classes less one.

# %%
4 / 5, tl.h_score(feature, target)

# %% [markdown]
# **LogME** asks how probable the labels are under a linear model, over *all* its weights instead of the best ones: features
# that could fit anything gain nothing by it. Label 1 of class 1 is the vector (0, 0, 1, 1), of squared length 2. Along the
# feature (0, 2, 4, 6) it has 10²/56 = 25/14 of that, and in the three other directions 3/14 together, 1/14 each: much signal,
# little noise. The vector of class 0, (1, 1, 0, 0), has less along the feature, 1/14, than elsewhere (there is no
# intercept), so the best model of it is noise alone, of variance 1/2.

# %%
one = -(np.log(2 * np.pi) + 1 + (np.log(25 / 14) + 3 * np.log(1 / 14)) / 4) / 2
zero = -(np.log(2 * np.pi) + 1 + np.log(1 / 2)) / 2
(zero + one) / 2, tl.log_me(feature, target)

# %% [markdown]
# What each takes for granted:
#
# | score | needs | takes for granted |
# |---|---|---|
# | NCE | the source's head | source classes stand for target classes; doubt does not matter |
# | LEEP | the source's head | the new classifier sees the old *classes* alone, not the features |
# | H-score | features | more pictures than features, else every label fits; *shrunk*, it does with fewer |
# | LogME | features | a linear model with round noise, though classes are no numbers |
# | linear probe | features, a minute | that folds can be held out: as many labels, as independent, as in the end |
#
# And all of them: that the backbone **stays as it is**. What fine-tuning will change they do not see.
#
# ## The shelf
#
# Two networks of photographs, one of speech (lesson 05), and two with random weights, the twins.

# %%
keras.utils.set_random_seed(0)
shelf = {
    "photographs, VGG16": tl.load_backbone("vgg16", "mini"),
    "photographs, ResNet50": tl.load_backbone("resnet50", "mini"),
    "speech, ResNet50": tl.load_backbone("speech", "mini"),
    "random, VGG16": tl.load_backbone("vgg16", "mini", weights=None),
    "random, ResNet50": tl.load_backbone("resnet50", "mini", weights=None),
}

# %% [markdown]
# Published networks mostly come without their heads; so do these. For LEEP and NCE we make three sources with a head: VGG16
# of photographs, fine-tuned on the **poses** of drawn pets, on the **accents** of spoken digits, and on the kinds of
# **tumours** in simulated brain slices. The targets will be *cat or dog?* and *which digit?*: two sources have seen such
# pictures with another question. No picture and no speaker of a source comes back in a target: halves are set apart.

# %%
def halves(split, unit):
    """Two splits that divide no unit."""
    side = pd.factorize(unit)[0] % 2
    return [split.take(np.flatnonzero(side == number)) for number in (0, 1)]


def asked(split, column, count=256):
    """A source's task: the pictures of a split, with a column of its table as the classes."""
    label, names = pd.factorize(split.table[column], sort=True)
    renamed = tl.Split(split.pictures, split.table.assign(label=label, **{"class": split.table[column]}), names)
    rows = np.random.default_rng(0).permutation(split.num_examples)[:count]
    return tl.Splits(renamed.take(rows[32:]), renamed.take(rows[:32]), renamed.take([]), name=column)

# %%
pets, digits, mri = (tl.load_dataset(name, "mini") for name in ("cats_vs_dogs", "spoken_digits", "brain_mri"))
pets_source, pets_target = halves(pets.train, pets.train.table["path"])
digits_source, digits_target = halves(digits.train, digits.train.table["speaker"])
tasks = {"poses": asked(pets_source, "pose"), "accents": asked(digits_source, "accent"), "tumours": asked(mri.train, "class")}

# %%
def learn(task):
    """VGG16 of photographs, its last two stages fine-tuned on a task: the backbone, and the model with its head."""
    backbone = tl.load_backbone("vgg16", "mini")
    model = tl.attach_head(backbone, tl.linear_probe(tl.extract_features(backbone, task)))
    phase = tl.Phase(("block4", "block5", "head"), epochs=6, schedule="cosine", keep="last")
    return backbone, tl.fine_tune(model, task, phase).model


heads = {}
for name, task in tqdm(tasks.items()):
    shelf[name], heads[name] = learn(task)

# %% [markdown]
# ## How alike are they? CKA
#
# **CKA** compares what two networks make of the same pictures: 1 if the features of the one are those of the other,
# turned, shifted and scaled as a whole, 0 if they have nothing in common. It knows no labels. **Predict**: against
# VGG16 of photographs, on drawn pets, where is *accents* unlike it, and where is the random twin?

# %%
tables = {name: tl.stage_similarity(shelf["photographs, VGG16"], shelf[name], pets_target) for name in ("accents", "random, VGG16")}
tl.plot_similarity(tables["accents"]).set(ylabel="photographs", xlabel="accents");

# %%
tl.plot_similarity(tables["random, VGG16"]).set(ylabel="photographs", xlabel="random");

# %% [markdown]
# CKA_TEXT
#
# ## Rank the shelf, twice
#
# Two targets with few labels: *cat or dog?* with 80, and *which digit?* with 100, the recordings as pictures.
# `rank_sources` runs each backbone once over the labelled pictures and computes every score; the probe's
# accuracy is that of five folds, which divide no speaker. **Predict**: write down the eight in your own order, for both.

# %%
drawn = {part: tl.Split([each.picture(i) for i in range(each.num_examples)], each.table, each.classes)
         for part, each in {**digits.parts(), "train": digits_target}.items()}
targets = {"cat or dog": replace(pets, train=pets_target), "digits": replace(digits, **drawn)}
counts = {"cat or dog": 80, "digits": 100}


def told(few):
    """What each source's own head says of the labelled pictures."""
    return {name: np.concatenate([head.predict(part, verbose=0) for part in (few.train, few.val)]) for name, head in heads.items()}


scores = ("h_score", "shrunk_h_score", "log_me")
ranked = {}
for name, splits in targets.items():
    few = tl.subset(splits, counts[name])
    ranked[name] = tl.rank_sources(shelf, few, scores=scores, probabilities=told(few))

# %%
ranked["cat or dog"].round(3)

# %%
ranked["digits"].round(3)

# %% [markdown]
# RANK_TEXT
#
# ## Fine-tune from all of them
#
# The truth: from a probe, the last stage moves for six epochs, with two draws of the labels; then the
# test split is asked. 32 fine-tunings. The next cell takes a minute.

# %%
kept = {name: backbone.model.get_weights() for name, backbone in shelf.items()}


def tuned(source, target, seed):
    """Accuracy on the test split, fine-tuned from a source with one draw of the labels."""
    few, backbone = tl.subset(targets[target], counts[target], seed=seed), shelf[source]
    backbone.model.set_weights(kept[source])
    model = tl.attach_head(backbone, tl.linear_probe(tl.extract_features(backbone, few), seed=seed))
    phase = tl.Phase((list(backbone.stages)[-1], "head"), epochs=6, learning_rate=3e-4, schedule="cosine", keep="last")
    return tl.evaluate(tl.fine_tune(model, few, phase, seed=seed).model, few.test).accuracy

# %%
plan = [(target, source, seed) for target in targets for source in shelf for seed in range(2)]
runs = pd.DataFrame(plan, columns=["target", "source", "seed"])
runs["accuracy"] = [tuned(source, target, seed) for target, source, seed in tqdm(plan)]
for source, backbone in shelf.items():
    backbone.model.set_weights(kept[source])

# %%
truth = {name: each.groupby("source")["accuracy"].mean() for name, each in runs.groupby("target", sort=False)}
runs.pivot_table(index="source", columns=["target", "seed"], values="accuracy", sort=False).round(3)

# %%
tl.plot_ranking(ranked["cat or dog"], truth["cat or dog"], scores=["shrunk_h_score", "log_me", "probe_accuracy"]);

# %%
tl.plot_ranking(ranked["digits"], truth["digits"], scores=["shrunk_h_score", "log_me", "probe_accuracy"]);

# %% [markdown]
# TRUTH_TEXT
#
# ## How good were the scores?
#
# The **rank correlation** (Kendall's weighted tau) is 1 for the right order, about 0 for chance, -1 for the reverse; mistakes
# at the top count more. `rank_agreement` draws its interval over sources and seeds. LEEP and NCE have three sources only.

# %%
agreed = {name: tl.rank_agreement(ranked[name], runs[runs["target"] == name], resamples=1000) for name in targets}
tl.plot_agreement(agreed);

# %%
pd.concat(agreed, names=["target"]).droplevel(1).round(2)

# %% [markdown]
# AGREE_TEXT
#
# What a wrong order **costs** is another question. Who takes the source that a score puts first loses so many points
# against the best of the eight:

# %%
measures = [*scores, "probe_accuracy"]
chosen = {name: table.set_index("source")[measures].idxmax() for name, table in ranked.items()}
lost = pd.DataFrame({name: 100 * (truth[name].max() - truth[name][chosen[name]].to_numpy()) for name in targets}, index=measures)
lost.loc["a source at random"] = [100 * (truth[name].max() - truth[name].mean()) for name in targets]
lost.round(1)

# %% [markdown]
# LOST_TEXT
#
# ### How many sources would be enough?
#
# Invented sources cost nothing. Let a score be the truth and as much noise again (a good score). **Predict**: how many
# sources until the interval is half as wide?

# %%
def invented(count):
    random = np.random.default_rng(0)
    worth = random.normal(size=count)
    guessed = pd.DataFrame({"source": range(count), "log_me": worth + random.normal(size=count)})
    return tl.rank_agreement(guessed, pd.Series(worth), resamples=500)


more = {f"{count} sources": invented(count) for count in (8, 30, 100, 300)}
tl.plot_agreement(more);

# %% [markdown]
# MORE_TEXT
#
# ## Where scores mislead
#
# **By width.** We put columns of pure noise beside the features of *photographs, VGG16* and ask again, for digits.
# **Predict** what each score says of a source that is made worse.

# %%
few = tl.subset(targets["digits"], counts["digits"])
x, y = tl.extract_features(shelf["photographs, VGG16"], few).train
noise = np.random.default_rng(0).normal(x.mean(), x.std(), (len(x), 512))
rows = []
for count in (0, 32, 128, 512):
    wide = np.hstack([x, noise[:, :count]])
    rows += [("plain", count, tl.h_score(wide, y)), ("shrunk", count, tl.h_score(wide, y, shrinkage=True)), ("log_me", count, tl.log_me(wide, y))]
widths = pd.DataFrame(rows, columns=["score", "columns of noise", "value"])
widths.pivot_table(index="columns of noise", columns="score", values="value").round(2)

# %% [markdown]
# WIDTH_TEXT
#
# **By who it is.** Brain slices, eight of each patient: `rank_sources` holds whole patients out, because the data say
# `groups="patient"`. Without, single slices are held out, as scores without folds do in their way. The truth is a
# probe's accuracy for the patients of the test split. (*Tumours* has learned from these patients, and stays away.)

# %%
slices = tl.subset(mri, 160)
others = {name: backbone for name, backbone in shelf.items() if name != "tumours"}
by_patient = tl.rank_sources(others, slices).set_index("source")
by_slice = tl.rank_sources(others, replace(slices, groups=None)).set_index("source")


def for_strangers(backbone):
    features = tl.extract_features(backbone, slices)
    probe = tl.linear_probe(features, with_val=True)
    return (probe.predict(features.test.x, verbose=0).argmax(1) == features.test.y).mean()


strangers = pd.Series({name: for_strangers(backbone) for name, backbone in others.items()})
known = pd.DataFrame({"slices held out": by_slice["probe_accuracy"], "patients held out": by_patient["probe_accuracy"], "new patients": strangers})
known.round(3)
