# %% [markdown]
# # 01 A first transfer
#
# A network that was never shown a cat or a dog learns to tell them apart from 160
# labelled pictures, because it has seen many other things. In mini size the pictures are drawings, and
# the network learned from photographs. One caveat: it also learned to imitate a larger network, which
# had seen cats and dogs; the model card in `tlteach/weights` tells how it was made.
#
# **You will**
#
# - train a network from scratch on 10, 40 and 160 labelled pictures,
# - give the same labels to a *pretrained* network, first frozen, then fine-tuned,
# - read the three benefits of transfer off your own run.
#
# **Time** 3 minutes in mini size on two cores. **Before** Python, and what a
# convolutional network is. No download: data and weights ship with `tlteach`. With
# `TLTEACH_SIZE=full` the same cells use ImageNet weights and real photographs; that wants
# a GPU.

# %% tags=["needed"]
import time

import keras
import pandas as pd
from tqdm import tqdm

import tlteach as tl

# %% [markdown]
# ## The target task
#
# Two classes, three splits. We *learn* from the training split, *choose* with the
# validation split, and look at the test split only to report.

# %% tags=["needed"]
pets = tl.load_dataset("cats_vs_dogs")
pets

# %%
tl.plot_pictures(pets.train, range(0, pets.train.num_examples, pets.train.num_examples // 12), columns=6);

# %% [markdown]
# Some are hard: turned, dark, half hidden. How many pictures appear, identical or nearly so, in
# more than one split? (Zero is what we want.)

# %%
len(tl.check_leakage(pets))

# %% [markdown]
# ## The source
#
# The **backbone** is VGG16 without its last layers. It learned on photographs of other
# things; its *stages* `block1` to `block5` go from edges to parts of objects. It takes
# raw pixels: resizing and preprocessing are inside.

# %%
vgg = tl.load_backbone("vgg16")
vgg

# %% [markdown]
# How large is each stage? Most weights are in the late ones. (VGG16 has no BatchNorm, a layer that later
# lessons must watch.)

# %%
tl.trainable_table(vgg.model)

# %% [markdown]
# ## Predict before you run
#
# Write down your guess of the test accuracy for each cell (a coin gets 50 %):
#
# | labels | from scratch | frozen features | fine-tuned |
# |---|---|---|---|
# | 10 | ? | ? | ? |
# | 40 | ? | ? | ? |
# | 160 | ? | ? | ? |
#
# Ours, before the first run: the backbone's features are worth most when labels are
# few; with 160 the network from scratch begins to catch up; fine-tuning pays only when
# there are labels enough to steer it. (Two of these were wrong.)
#
# ## Three ways to use the same labels
#
# **From scratch**: a small network that begins at random and learns everything from
# these labels. We give it a fair chance: few layers, mirrored pictures, many epochs (it
# stops after 12 without progress: its *patience*).

# %%
def small_network():
    return keras.Sequential(
        [
            keras.Input((*vgg.input_size, 3)),
            keras.layers.RandomFlip("horizontal"),
            keras.layers.Rescaling(1 / 127.5, offset=-1),
            keras.layers.Conv2D(16, 3, strides=2, activation="relu"),
            keras.layers.Conv2D(32, 3, strides=2, activation="relu"),
            keras.layers.Conv2D(64, 3, strides=2, activation="relu"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(2, activation="softmax"),
        ]
    )


def from_scratch(few, seed):
    everything = tl.Phase(("all",), epochs=40, learning_rate=1e-3, patience=12, batch_size=16)
    return tl.fine_tune(small_network(), few, [everything], seed=seed).model

# %% [markdown]
# **Frozen features**: the backbone is run once, and a *linear probe* (logistic regression on
# the features) is solved on what comes out. As the *head*, the new last layer, it then sits
# on the backbone. Nothing of the backbone changes.

# %%
def frozen_features(few, seed):
    probe = tl.linear_probe(tl.extract_features(vgg, few), seed=seed)
    return tl.attach_head(vgg, probe)

# %% [markdown]
# **Fine-tuned**: start from that probe, then let the last stage move too, gently, in one
# *phase* of training. If no epoch is better on validation (more right, or as many and a
# lower loss), the beginning is put back.

# %%
def fine_tuned(few, seed):
    fresh = tl.load_backbone("vgg16")  # its own copy: the others must stay frozen
    probe = tl.linear_probe(tl.extract_features(fresh, few), seed=seed)
    model = tl.attach_head(fresh, probe)
    return tl.fine_tune(model, few, tl.gradual_unfreezing(fresh, stages=1), seed=seed).model

# %% [markdown]
# ## The experiment
#
# Labels cost money, so we count all of them: a quarter of the labels are for
# validation. Each cell of the table is run with five seeds, each with other labels. The
# next cell but one takes a minute or two.

# %%
strategies = {"from scratch": from_scratch, "frozen features": frozen_features, "fine-tuned": fine_tuned}
plan = [(labels, seed, name) for labels in (10, 40, 160) for seed in range(5) for name in strategies]

# %%
rows = []
for labels, seed, name in tqdm(plan):
    keras.utils.set_random_seed(seed)
    few, started = tl.subset(pets, labels, seed=seed), time.perf_counter()
    model = strategies[name](few, seed)
    seconds = time.perf_counter() - started
    report = tl.evaluate(model, pets.test)
    rows.append({"strategy": name, "labels": labels, "seed": seed, "accuracy": report.accuracy, "seconds": seconds})
results = pd.DataFrame(rows)

# %%
tl.plot_label_curve(results);

# %% [markdown]
# The line is the mean of the seeds, the band reaches from the worst to the best. Where bands
# overlap, look at the difference seed by seed, as below: both ways got the same labels.

# %%
results.pivot_table(index="labels", columns="strategy", values="accuracy", aggfunc=["mean", "min", "max"]).round(3)

# %% [markdown]
# ## The three benefits of transfer
#
# A pretrained network can give a **higher start** (with next to no labels), a **steeper
# slope** (fewer labels to the same accuracy) and a **higher asymptote** (with as many labels as
# there are). One may come without the others. (Torrey and Shavlik draw them over training time, we
# over labels.)

# %%
by_seed = results.pivot(index=["labels", "seed"], columns="strategy", values="accuracy")
gain = 100 * (by_seed["frozen features"] - by_seed["from scratch"])
gain.groupby("labels").agg(["mean", "min", "max"]).round(1)

# %% [markdown]
# That is the gain of frozen features over scratch in points, seed by seed: the start is its
# first row. For the other two, scratch must first learn something. So both get all 1,400
# labels, with three seeds: one run would say little.

# %%
def accuracy(way, seed):
    return tl.evaluate(way(tl.subset(pets, 1400, seed=seed), seed), pets.test).accuracy

# %%
two = {name: strategies[name] for name in ("from scratch", "frozen features")}
many = pd.DataFrame({name: [accuracy(way, seed) for seed in range(3)] for name, way in tqdm(two.items())})
many.agg(["mean", "min", "max"]).round(3)

# %% [markdown]
# (Frozen features gave the same three times: the seed draws which labels are used, here all of them are, and a solved
# probe has no luck of its own.) The gap that is left is the asymptote, as far as these labels go. And how few labels do frozen features
# need to pass what scratch reaches with 1,400?

# %%
mean, reached = by_seed.groupby("labels").mean(), many["from scratch"].mean()
enough = mean.index[mean["frozen features"] >= reached]
slope = 1400 / min(enough) if len(enough) else 1.0
f"at least {slope:.4g} times fewer labels (only three label counts were tried)"

# %% [markdown]
# ## What it cost

# %%
tl.plot_seconds(results);

# %% [markdown]
# The probe is the cheapest: the backbone runs once over the few pictures, and the
# rest is one problem with one best solution. No step size, no epochs. (Fine-tuning finds
# the probe's features already kept on disk; its own time is the training.)
#
# ## Did it happen as predicted?
#
# Compare your table with the run. The claims of this lesson are checked here: if your run
# does not bear one out, the cell stops and says so instead of the text pretending.

# %%
start, asymptote = gain[10].mean(), 100 * (many["frozen features"].mean() - reached)  # kept in a file
tl.save_results("01_first_transfer", results, start=start, slope=slope, asymptote=asymptote)

# %%
print(tl.claim("start: points gained by frozen features at 10 labels", start, 0.5, 15))
print(tl.claim("points gained by frozen features at 160 labels", gain[160].mean(), 15, 30))
print(tl.claim("asymptote: points gained by frozen features at 1,400 labels", asymptote, 1, 18))
print(tl.claim("slope: times fewer labels", slope, 4, 40))

# %%
tuned = 100 * (mean["fine-tuned"] - mean["frozen features"])
print(tl.claim("points that fine-tuning adds to the probe at 10 labels", tuned[10], -4, 4))
print(tl.claim("points that fine-tuning adds to the probe at 160 labels", tuned[160], -2, 6))

# %% [markdown]
# **We were wrong about scratch.** In mini size it has not begun to catch up at 160 labels: it
# guesses. Our explanation: it would have to find out what an edge, fur or an ear is, *and* which of
# them tell cats from dogs, while colour, background and light say nothing about the class in these
# pictures; the backbone brings the first part along. (It is a smaller network too, and its
# validation has few pictures to choose an epoch by. Exercise 01.5 separates weights from architecture.)
#
# **And about few labels.** The gain is *smallest* with ten: eight to learn from make even good
# features unreliable, and it matters much which eight you happen to label.
#
# **Why does fine-tuning add so little here?** With few labels, the last stage has far
# more weights than there are pictures. `fine_tune` keeps a change only when
# validation gets better, so it seldom does harm, and seldom works wonders.
#
# ## Look at the mistakes

# %%
reports = [tl.evaluate(frozen_features(tl.subset(pets, 160, seed=seed), seed), pets.test) for seed in range(5)]
tl.plot_confusion(reports[0]);

# %%
worst = reports[0].mistakes().head(6)
tl.plot_pictures(pets.test, worst.index, titles=[f"called {c}\n({p:.0%})" for p, c in zip(worst.probability, worst.predicted)]);

# %% [markdown]
# These are the six surest mistakes of one run. Say what they have in common; then count
# before you believe it. The drawn pets come with their fur and pose, so we can ask: what
# share of each kind is taken for the other animal, over the five seeds?

# %%
seen = pd.concat([report.predictions for report in reports])
seen["wrong"] = seen["class"] != seen["predicted"]
traits = [trait for trait in ("fur", "pose") if trait in seen]  # photographs do not come with them

# %%
tables = [seen.pivot_table(index=trait, columns="class", values="wrong").round(2) for trait in traits]
pd.concat(tables, keys=traits) if tables else seen.groupby("class")["wrong"].mean()

# %% [markdown]
# In mini size the surest mistakes look like a matter of coats. The count says pose: faces
# go wrong least; an animal in profile is nearly a guess, and so is a sitting cat; and a *lying dog* is mostly taken
# for a cat, while a lying cat is seldom taken for a dog. Six pictures make a guess, not a finding.
#
# ## Summary
#
# - A **backbone** learned elsewhere, a **head** for the new task.
# - With few labels: frozen features and a solved probe. It is also the fastest way.
# - Transfer has three benefits: start, slope, asymptote. Say which one you mean.
# - One run is an anecdote, and so are six pictures. Draw the spread, count.

# %% [markdown]
# ## Exercises
#
# Put your answer in place of `...` and run the cell; it says what it thinks of it. `tl.hint("01.1")` helps.
#
# ### Exercise 01.1: How many labels to buy
#
# A quarter of the labels is set aside for validation. With `few = tl.subset(pets, 160)` you pay for 160, and learn from
# 120. Change this number: how many must you pay for to learn from exactly 60?

# %%
# solution: how many labels in all?
labels = 80
# end
few = tl.subset(pets, 160 if labels is ... else labels)
print(few.train.num_examples, "to learn from,", few.val.num_examples, "to choose by")
tl.check("01.1", labels)

# %% [markdown]
# ### Exercise 01.2: What may move
#
# Fine-tuning lets `block5` and the head move. In the mini size, how many *weights* (single numbers) is that?

# %%
model = tl.attach_head(tl.load_backbone("vgg16", "mini"), 2)
# solution: freeze all but two stages, then look at the table of stages
tl.freeze(model, ["block5", "head"])
weights = tl.trainable_table(model)["trainable"].sum()
# end
tl.check("01.2", weights)

# %% [markdown]
# ### Exercise 01.3: The three benefits of another lab
#
# Another lab reports these test accuracies, means over ten seeds. Read off the three benefits: `start` and `asymptote` in
# points, and `slope`: how many times fewer labels does transfer need to reach what scratch reaches with 1,000?

# %%
lab = pd.DataFrame({"scratch": [0.50, 0.70, 0.90], "transfer": [0.62, 0.90, 0.92]}, index=[10, 100, 1000])
# solution: {"start": ?, "slope": ?, "asymptote": ?}
gained = 100 * (lab["transfer"] - lab["scratch"])
reaches = lab.index[lab["transfer"] >= lab["scratch"][1000]][0]
benefits = {"start": gained[10], "slope": 1000 / reaches, "asymptote": gained[1000]}
# end
tl.check("01.3", benefits)

# %% [markdown]
# ### Exercise 01.4: Which gains would you bet on?
#
# The gain of a transfer over scratch, in points; a row is a seed, a column a number of labels. Both ways got the same
# labels. At which *two* numbers of labels does transfer win with every seed?

# %%
gains = pd.DataFrame({10: [9, -2, 6, -1, 5], 40: [3, 2, 5, 1, 4], 160: [12, 9, 15, 8, 11], 640: [14, 1, 2, -3, 1]})
# solution: a list of two numbers of labels
surely = gains.columns[(gains > 0).all()].tolist()
# end
tl.check("01.4", surely)

# %% [markdown]
# ### Exercise 01.5: Design the experiment
#
# How much of the gain of frozen VGG16 features is the *architecture*, and how much is what was *learned*? Choose what to run
# beside the pretrained, frozen VGG16: `"small network"`, `"random twin, frozen"`, `"random twin, fine-tuned"` or
# `"pretrained, fine-tuned"` (the random twin is VGG16 with `weights=None`); with `"the same"` labels or `"others"`; with how many
# seeds.

# %%
# solution: {"beside it": "?", "labels": "?", "seeds": ?}
plan = {"beside it": "random twin, frozen", "labels": "the same", "seeds": 5}
# end
tl.check("01.5", plan)

# %% [markdown]
# ### Further
#
# - Score features of an earlier stage: `f = extract_features(vgg, few, layer="block3")`, then
#   `linear_probe(f).predict(f.val.x).argmax(1)` against `f.val.y`. (To *choose* a stage, ask validation.)
# - Use your own folder: `tlteach fit FOLDER --out my-model`.
#
# ## References
#
# - Razavian et al. 2014, *CNN Features off-the-shelf: an Astounding Baseline for Recognition*.
# - Torrey and Shavlik 2009, *Transfer Learning* (the three benefits).
# - Kumar et al. 2022, *Fine-Tuning can Distort Pretrained Features and Underperform Out-of-Distribution*.
# - Simonyan and Zisserman 2015, *Very Deep Convolutional Networks* (VGG16).
