# %% [markdown]
# # 09 Choosing a source
#
# Eight networks lie on the shelf, and there is time to fine-tune one. *Transferability scores* promise
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
from scipy.stats import weightedtau
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
f"{np.log([2 / 3, 2 / 3, 1 / 3, 1]).mean():.4f} by hand, {tl.nce(says.argmax(1), target):.4f} by tl.nce"

# %% [markdown]
# **LEEP** keeps the doubt. Source class 0 was given to 1 + 1 + 0.6 = 2.6 pictures, 2 of them of class 0: a share of
# 10/13, and 3/13 for class 1. Source class 1 was given to class 1 alone. Picture 3 then gets 0.6 · 3/13 + 0.4 · 1 = 7/13.

# %%
f"{np.log([10 / 13, 10 / 13, 7 / 13, 1]).mean():.4f} by hand, {tl.leep(says, target):.4f} by tl.leep"

# %% [markdown]
# **H-score** looks at the features: the variance of the class means, in units of the features' own variance. The
# class means are 1 and 5, whose variance is 4; the variance of 0, 2, 4, 6 is 5. At best it is the number of classes less one.

# %%
f"{4 / 5:.4f} by hand, {tl.h_score(feature, target):.4f} by tl.h_score"

# %% [markdown]
# **LogME** asks how probable the labels are under a linear model, over *all* its weights instead of the best ones: features
# that could fit anything gain nothing by it. The labels of class 1 are the vector (0, 0, 1, 1), of squared length 2. Along the
# feature (0, 2, 4, 6) it has 10²/56 = 25/14 of that, and in the three other directions 3/14 together, 1/14 each: much signal,
# little noise. Those of class 0, (1, 1, 0, 0), have less along the feature, 1/14, than elsewhere (there is no
# intercept), so their best model is noise alone, of variance 1/2.

# %%
one = -(np.log(2 * np.pi) + 1 + (np.log(25 / 14) + 3 * np.log(1 / 14)) / 4) / 2
zero = -(np.log(2 * np.pi) + 1 + np.log(1 / 2)) / 2
f"{(zero + one) / 2:.4f} by hand, {tl.log_me(feature, target):.4f} by tl.log_me"

# %% [markdown]
# What each takes for granted:
#
# | score | needs | takes for granted |
# |---|---|---|
# | NCE | the source's head | source classes stand for target classes; doubt does not matter |
# | LEEP | the source's head | the new classifier sees the old *classes* alone, not the features |
# | H-score | features | more pictures than features, else every label fits; *shrunk*, it does with fewer |
# | LogME | features | a linear model of the labels as numbers, 0 and 1, with normal noise, though classes are no numbers |
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
# Many published weights come without their heads (files *without top*, and whatever was trained without labels); so do these. For
# LEEP and NCE we make three sources with a head: VGG16 of photographs, fine-tuned on the **poses** of drawn pets, on the
# **accents** of spoken digits, and on the kinds of **tumours** in simulated brain slices. The targets will be *cat or dog?* and
# *which digit?*: two sources have seen such pictures with another question. No picture and no speaker of these three comes back in
# a target: halves are set apart. (The speech network has heard other words, by other voices but for four that are in no test
# split.)

# %%
def halves(split, unit):
    """Two splits that divide no unit."""
    side = pd.factorize(unit)[0] % 2
    return [split.take(np.flatnonzero(side == number)) for number in (0, 1)]


def asked(split, column, count=192):
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
# turned, shifted and scaled as a whole, near 0 if they have nothing in common. It knows no labels. **Predict**: against
# VGG16 of photographs, on drawn pets, where is *accents* unlike it, and where is the random twin?

# %%
first = shelf["photographs, VGG16"]
tl.plot_similarity(tl.stage_similarity(first, shelf["accents"], pets_target)).set(ylabel="photographs", xlabel="accents");

# %%
tl.plot_similarity(tl.stage_similarity(first, shelf["random, VGG16"], pets_target)).set(ylabel="photographs", xlabel="random");

# %% [markdown]
# The first three stages were frozen while *accents* was learned, so they are the same network: 1.00 on the diagonal. `block4` has
# moved somewhat (0.82), `block5` most (0.43). The random twin is unlike the photographs from the first stage on: 0.40 at best on
# its diagonal. So CKA tells whether two candidates are really *two*. It does not tell which is better: it looked at no label.
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
    pictures = np.concatenate([few.train.array(), few.val.array()])
    return {name: np.asarray(head(pictures)) for name, head in heads.items()}


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
# - **Cat or dog**: LogME and the probe put photographs (VGG16) and *poses* on top, and speech at or near the bottom. The shrunk
#   H-score has speech first. They cannot both be right. The plain one is 1 for everybody: 80 pictures, 128 features or more.
# - **Digits**: LogME, the probe and the shrunk H-score agree on speech. And *accents* is at or near the bottom, although it has learned
#   from spoken digits: who asks for the accent had better ignore *which* digit. Near data with another question are not a near source.
# - LEEP and NCE exist for three sources only, lie close together, and do not agree on the best of the three.
#
# ## Fine-tune from all of them
#
# The truth: from a probe, the last stage moves for six epochs, with two draws of the labels; then every second
# picture of the test split is asked. 32 fine-tunings: the second cell takes a minute.

# %%
kept = {name: backbone.model.get_weights() for name, backbone in shelf.items()}


def tuned(source, target, seeds):
    """Accuracy on the test split, fine-tuned from a source with some draws of the labels."""
    backbone, splits = shelf[source], targets[target]
    model, test = tl.attach_head(backbone, len(splits.classes)), splits.test.take(range(0, splits.test.num_examples, 2))
    phase = tl.Phase((list(backbone.stages)[-1], "head"), epochs=6, learning_rate=3e-4, schedule="cosine", keep="last")
    for seed in seeds:
        few = tl.subset(splits, counts[target], seed=seed)
        backbone.model.set_weights(kept[source])
        probe = tl.linear_probe(tl.extract_features(backbone, few), seed=seed)
        model.get_layer("head").set_weights(probe.get_weights())
        tl.fine_tune(model, few, phase, seed=seed)
        features = tl.extract_features(backbone, test, store=None)  # the model's layers are the backbone's
        right = np.asarray(model.get_layer("head")(features)).argmax(1) == test.labels
        yield {"target": target, "source": source, "seed": seed, "accuracy": right.mean()}
    backbone.model.set_weights(kept[source])

# %%
plan = [(source, target) for target in targets for source in shelf]
runs = pd.DataFrame([run for pair in tqdm(plan) for run in tuned(*pair, seeds=range(2))])
truth = {name: each.groupby("source")["accuracy"].mean() for name, each in runs.groupby("target", sort=False)}
runs.pivot_table(index="source", columns=["target", "seed"], values="accuracy", sort=False).round(3)

# %%
shown = ["shrunk_h_score", "log_me", "probe_accuracy"]
tl.plot_ranking(ranked["cat or dog"].sort_values("source"), truth["cat or dog"], scores=shown);

# %%
tl.plot_ranking(ranked["digits"].sort_values("source"), truth["digits"], scores=shown);

# %% [markdown]
# For cats and dogs a good score's points rise from left to right: so they do for LogME and the probe, while the shrunk H-score
# has its favourite near the bottom. For digits one source stands so far away from all others that any score which finds it
# looks good. And neighbours in the truth often differ less than their own two draws do: nobody can order those.
#
# ## How good were the scores?
#
# The **rank correlation** (Kendall's weighted tau) is 1 for the right order, about 0 for chance, -1 for the reverse; mistakes
# at the top count more. `rank_agreement` draws its interval over sources and seeds. LEEP and NCE have three sources only.

# %%
measures = ["probe_accuracy", "log_me", "shrunk_h_score", "leep", "nce"]
agreed = {}
for name, rows in runs.groupby("target", sort=False):
    agreed[name] = tl.rank_agreement(ranked[name], rows, scores=measures, resamples=1000)
tl.plot_agreement(agreed);

# %%
pd.concat(agreed, names=["target"]).droplevel(1).round(2)

# %% [markdown]
# Read the intervals, not the points. LEEP and NCE have three sources, and their intervals reach from -1 to 1: **as wide as
# they can be**. With eight, those of LogME and the probe begin between 0.2 and 0.8 and end at 1: from *hardly better than chance* to
# *perfect*. So the two are better than chance here; which of them is better, nobody can say. (With so few sources the
# interval itself is rough, and ours are relatives: three descend from a fourth.) And the shrunk H-score, good for digits, is hardly
# above chance for cats and dogs, with an interval from -0.5 to 1. Larger studies found the same: **no score always wins**,
# and one target does not show it (Agostinelli et al. 2022).
#
# This truth is kind to the probe and to LogME: every fine-tuning *begins* from a probe, one of its two draws is the one that
# the scores saw, and the last stage alone moves. Let all stages move for longer, and features as they are may foretell less.
#
# What a wrong order **costs** is another question. Who takes the source that a score puts first loses so many points
# against the best of the eight:

# %%
taken = {name: table.set_index("source")[measures[:3]].idxmax() for name, table in ranked.items()}
lost = pd.DataFrame({name: 100 * (truth[name].max() - taken[name].map(truth[name])) for name in targets})
lost.loc["a source at random"] = [100 * (truth[name].max() - truth[name].mean()) for name in targets]
lost.round(1)

# %% [markdown]
# That is what matters at the end of the day. The probe and LogME cost nothing on either target. The shrunk
# H-score costs more for cats and dogs than a source taken blindly. (The plain one has no first: it is the same for nearly all.)
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
# All four are the *same* score. With eight sources it could be useless or perfect; thirty make the interval half as wide; to
# tell 0.6 from 0.7 takes hundreds. (That the points lie so far apart has two reasons. Each has sources of its own. And a
# *weighted* tau counts the top for so much that the same score gets somewhat more of it the more sources there are: compare taus of
# as many sources.) Published comparisons have ten or so networks: much of what one data set
# says there is luck, and from data set to data set another score wins.
#
# ## Where scores mislead
#
# **By width.** ResNet50 has 512 features, VGG16 128. How much of a score is the number of features? Give the pictures
# *each other's labels*: there is nothing left to find, and whatever a score still says, it says of the width and
# the shape of the features. **Predict** what is left of each score for cats and dogs.

# %%
few = tl.subset(targets["cat or dog"], counts["cat or dog"])
kinds = {"h_score": tl.h_score, "shrunk_h_score": lambda x, y: tl.h_score(x, y, shrinkage=True), "log_me": tl.log_me}


def shuffled(source, draws=10):
    """Each score with labels at random, the mean of some draws."""
    x = np.concatenate([tl.extract_features(shelf[source], part) for part in (few.train, few.val)])
    y = np.concatenate([few.train.labels, few.val.labels])
    drawn = [np.random.default_rng(seed).permutation(y) for seed in range(draws)]
    return {name: np.mean([score(x, each) for each in drawn]) for name, score in kinds.items()}

# %%
control = pd.DataFrame({source: shuffled(source) for source in ranked["cat or dog"]["source"]}).T
true = ranked["cat or dog"].set_index("source")[[*kinds]]
pd.concat({"true labels": true, "shuffled": control}, axis=1).swaplevel(axis=1).sort_index(axis=1).round(2)

# %%
above = ranked["cat or dog"].assign(shrunk_h_score=(true - control)["shrunk_h_score"].to_numpy())
mended = tl.rank_agreement(above, runs[runs["target"] == "cat or dog"], scores=["shrunk_h_score"], resamples=1000)
tl.plot_agreement({"as it is": agreed["cat or dog"].iloc[[2]], "less its control": mended});

# %% [markdown]
# The plain H-score is 1 with true labels and with shuffled ones: it says nothing at all. The shrunk one gives the networks with 512
# features 0.7 to 0.9 **for labels that mean nothing**, and those with 128 about 0.35 to 0.6: it ranked by width. For digits that
# did no harm, because the best sources there happen to be wide. LogME says the same of all, -0.8, which is how it sounds
# when nothing was found. The remedy is the control itself: each score less what it says of shuffled labels. The rank correlation
# for cats and dogs goes from 0.19 to 0.63, and the source that comes first is now the best one. (With eight sources the
# interval still reaches below zero. And width is one difference of two: the networks of 512 features are all ResNet50.)
#
# **By who it is.** Brain slices, eight of each patient: `rank_sources` holds whole patients out, because the data say
# `groups="patient"`. Without, single slices are held out, and their patient's other slices are learned from. The truth is a
# probe's accuracy for the patients of the test split. **Predict**, for three sources that have not seen these patients: which is
# first by slices, which by patients, and how far above the truth is either?

# %%
slices = tl.subset(mri, 160)
three = {name: shelf[name] for name in ("photographs, VGG16", "random, ResNet50", "speech, ResNet50")}
by_patient = tl.rank_sources(three, slices, scores=()).set_index("source")["probe_accuracy"]
by_slice = tl.rank_sources(three, replace(slices, groups=None), scores=()).set_index("source")["probe_accuracy"]

# %%
def for_strangers(backbone):
    """A probe's accuracy for the patients of the test split."""
    features = tl.extract_features(backbone, slices)
    probe = tl.linear_probe(features, with_val=True)
    return (probe.predict(features.test.x, verbose=0).argmax(1) == features.test.y).mean()


strangers = pd.Series({name: for_strangers(backbone) for name, backbone in three.items()})
known = pd.DataFrame({"slices held out": by_slice, "patients held out": by_patient, "new patients": strangers})
known.round(3)

# %%
long = known.rename_axis("source").reset_index().melt("source", var_name="asked", value_name="accuracy")
tl.plot_ranges(long, by="source", beside="asked").set_xlabel("accuracy");

# %% [markdown]
# With single slices held out, speech and the random twin are well ahead, and seem to be right three times of four. With whole
# patients held out all three are at about one half, and so they are for new patients (chance is one in four). Folds of
# slices did not ask who knows a tumour, but who knows a *patient* again, and an untrained wide network is good at that.
# H-score and LogME hold nothing out, so they cannot show it: **a score is as honest as the labels are independent**.
# What is left, differences of some points from one draw of the labels, is chance.
#
# ## Did it happen as predicted?
#
# If your run does not bear a claim out, the cell stops and says so.

# %%
tau = {name: table.set_index("score") for name, table in agreed.items()}
reach = {name: table["high"] - table["low"] for name, table in tau.items()}
cats, words = truth["cat or dog"], truth["digits"]
ahead = words.drop("speech, ResNet50").max()
numbers = {name: table.to_dict("records") for name, table in {**agreed, **more}.items()}
facts = {"ranked": {name: table.to_dict("records") for name, table in ranked.items()}, "agreed": numbers, "lost": lost.to_dict()}
tl.save_results("09_choosing_a_source", runs, **facts, control=control.to_dict(), patients=known.to_dict())

# %%
print(tl.claim("digits from speech", words["speech, ResNet50"], 0.93, 1))
print(tl.claim("points from speech to the next source, for digits", 100 * (words["speech, ResNet50"] - ahead), 15, 60))
print(tl.claim("points that speech lacks against the best, for cats and dogs", 100 * (cats.max() - cats["speech, ResNet50"]), 5, 35))
print(tl.claim("points that accents lacks against the photographs that it began from, for digits", 100 * (words["photographs, VGG16"] - words["accents"]), 5, 40))

# %%
print(tl.claim("LogME, cats and dogs", tau["cat or dog"]["tau"]["log_me"], 0.3, 1))
print(tl.claim("linear probe, cats and dogs", tau["cat or dog"]["tau"]["probe_accuracy"], 0.3, 1))
print(tl.claim("shrunk H-score, cats and dogs", tau["cat or dog"]["tau"]["shrunk_h_score"], -0.8, 0.35))
print(tl.claim("shrunk H-score, digits", tau["digits"]["tau"]["shrunk_h_score"], 0.5, 1))

# %%
print(tl.claim("width of the interval of LogME with eight sources", max(each["log_me"] for each in reach.values()), 0.3, 1.6))
print(tl.claim("width of the interval of LEEP with three", min(each["leep"] for each in reach.values()), 1.5, 2.01))
print(tl.claim("points lost by taking the probe's first", lost.loc["probe_accuracy"].max(), 0, 8))
print(tl.claim("points lost by taking the shrunk H-score's first, cats and dogs", lost.loc["shrunk_h_score", "cat or dog"], 6, 30))

# %%
print(tl.claim("shrunk H-score of speech for shuffled cats and dogs", control.loc["speech, ResNet50", "shrunk_h_score"], 0.6, 1))
print(tl.claim("shrunk H-score less its control, cats and dogs", mended["tau"][0], 0.1, 1))
print(tl.claim("points that held-out slices promise above new patients", 100 * (by_slice - strangers).mean(), 8, 35))

# %% [markdown]
# ## Summary
#
# - NCE and LEEP ask the source's old classes, H-score and LogME its features, the probe a new head. None of them sees what fine-tuning
#   will do.
# - **No score always wins.** The shrunk H-score was right about digits and no use for cats and dogs; LogME and the probe
#   were right about both: two targets, which proves little.
# - Ask a score about shuffled labels. What it still says is not about your classes.
# - A rank correlation without an interval says nothing, and with eight sources the interval is wide. Ask what a wrong choice costs.
# - A probe is hard to beat: it is in accuracy, and its folds can keep patients and speakers together.
# - The target decides. The best source of the one was near the bottom for the other.

# %% [markdown]
# ## Exercises
#
# Put your answer in place of `...` and run the cell; it says what it thinks of it. `tl.hint("09.1")` helps.
#
# ### Exercise 09.1: More doubt
#
# Another source sees the four pictures as the lesson's does, but gives picture 3 the probabilities 0.5 and 0.5. What is its LEEP,
# to three digits? Is it the better source?

# %%
in_doubt = says.copy()
# solution: change picture 3's row, and compute LEEP
in_doubt[2] = [0.5, 0.5]
score = tl.leep(in_doubt, target)
# end
tl.check("09.1", score)

# %% [markdown]
# ### Exercise 09.2: The score of nothing
#
# Forty pictures of four classes, and 50 features of pure noise. **Predict** the plain H-score, then compute it.

# %%
noise = np.random.default_rng(0).normal(size=(40, 50))
labels = np.arange(40) % 4
# solution: the plain H-score
nothing = tl.h_score(noise, labels)
# end
tl.check("09.2", nothing)

# %% [markdown]
# ### Exercise 09.3: What can be asked here?
#
# You have 100 labelled pictures, and ten weights files without top, of networks with 512 features. Which of `"NCE"`, `"LEEP"`,
# `"H-score"`, `"shrunk H-score"`, `"LogME"` and `"linear probe"` can tell the sources apart?

# %%
# solution: a list of names
possible = ["shrunk H-score", "LogME", "linear probe"]
# end
tl.check("09.3", possible)

# %% [markdown]
# ### Exercise 09.4: Luck
#
# A score that knows nothing puts eight sources in an order of pure chance. In what share of such orders is the
# weighted tau with the truth 0.5 or more? Draw a few thousand. Then think: what if somebody tries ten scores and reports the best?

# %%
random = np.random.default_rng(0)
# solution: a share, 0 to 1
drawn_taus = [weightedtau(random.permutation(8), np.arange(8)).statistic for _ in range(4000)]
share = np.mean(np.array(drawn_taus) >= 0.5)
# end
tl.check("09.4", share)

# %% [markdown]
# ### Exercise 09.5: Design the experiment
#
# Is LogME worth its place in your laboratory? Choose how many `sources` you try it on; what the `truth` is: `"linear probe, folds"`,
# `"fine-tuned, validation split"` or `"fine-tuned, test split"`; what you `report`: `"correlation"`, `"correlation and
# interval"` or `"correlation, interval and points lost"`; and what stands `beside` it: `"nothing"`, `"random order"` or `"linear
# probe"`.

# %%
# solution: {"sources": ?, "truth": "?", "report": "?", "beside": "?"}
study = {
    "sources": 20,
    "truth": "fine-tuned, test split",
    "report": "correlation, interval and points lost",
    "beside": "linear probe",
}
# end
tl.check("09.5", study)

# %% [markdown]
# ### Further
#
# - Another draw of the labels: `tl.rank_sources(shelf, tl.subset(targets["digits"], 100, seed=1))`. How much of the order stays?
# - Put a ninth source on the shelf: the *digits* of the other half of the speakers. Does LEEP find it?
# - `tl.compare(["frozen", "all stages"], splits, labels=100, seeds=2, sources=...)` runs the truth in processes of its own and goes on
#   where it was stopped; with `"all stages"` the order may change again.
#
# Your own shelf, with ImageNet weights, which are fetched once:
# `tl.rank_sources(["mobilenetv2", "efficientnetb0", "densenet121"], tl.from_folder("pictures"))`.
#
# ## References
#
# - Tran et al. 2019, *Transferability and hardness of supervised classification tasks* (NCE).
# - Bao et al. 2019, *An information-theoretic approach to transferability in task transfer learning* (H-score).
# - Nguyen et al. 2020, *LEEP: a new measure to evaluate transferability of learned representations*.
# - You et al. 2021, *LogME: practical assessment of pre-trained models for transfer learning*.
# - Ibrahim et al. 2022, *Newer is not always better* (the shrunk H-score).
# - Bolya et al. 2021, *Scalable diverse model selection for accessible transfer learning* (features and a probe).
# - Agostinelli et al. 2022, *How stable are transferability metrics evaluations?*
# - Kornblith et al. 2019, *Similarity of neural network representations revisited* (CKA).
