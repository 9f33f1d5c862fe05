# %% [markdown]
# # 02 What a backbone sees
#
# Lesson 01 took the features of the *last* stage, because everyone does. Is that the right
# one? It depends on what you want to know about the pictures, and this lesson measures on what.
#
# **You will**
#
# - look at what each stage of a backbone makes of a picture, and what that costs,
# - ask each stage which pictures are alike, and draw its map of them,
# - put a linear probe on each stage for four targets on the *same* pictures,
# - compare with the random twin: how much of it is only the architecture?
#
# **Time** 2 minutes in mini size on two cores. **Before** Lesson 01. No download. With
# `TLTEACH_SIZE=full` the same cells use ImageNet weights and real photographs; that wants
# a GPU.

# %% tags=["needed"]
import tempfile
import time
from pathlib import Path

import keras
import numpy as np
import pandas as pd
from sklearn.manifold import TSNE
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits
from tqdm import tqdm

import tlteach as tl

threadpool_limits(1);  # scikit-learn's threads only wait for each other on problems this small

# %% [markdown]
# ## One picture, five stages
#
# We use about 1,200 training pictures throughout: some to learn from, the others to judge by.
# The test split stays shut until the end.

# %% tags=["needed"]
pets = tl.load_dataset("cats_vs_dogs")
pictures = pets.train.take(range(0, pets.train.num_examples, max(1, pets.train.num_examples // 1200)))
vgg = tl.load_backbone("vgg16")

# %% [markdown]
# A stage answers with a *feature map*: for each place in the picture, as many numbers as the
# stage has channels. Here is one picture, and of each stage the six channels that vary most.

# %%
one = 1
maps = {s: tl.extract_features(vgg, pictures.take([one]), layer=s, pooling=None)[0] for s in vgg.stages}
shown = {s: m[..., m.std((0, 1)).argsort()[:-7:-1]] for s, m in maps.items()}
tl.plot_feature_maps(pictures.picture(one), shown);

# %% [markdown]
# `block1` still shows the picture: edges, light, colour. With each stage there are fewer
# places and more channels; in mini size `block5` has four places left, and nobody sees a cat in
# them. That is no loss if the *right* things are kept. Which are kept?
#
# ## What a stage costs, once and again
#
# For what follows we average each channel over the places: a picture becomes one row of
# features. `extract_features` runs the backbone as far as the stage and keeps the rows on
# disk. We give it an empty folder, ask for every stage, and ask again.

# %%
store = tempfile.TemporaryDirectory()


def timed(stage):
    started = time.perf_counter()
    rows = tl.extract_features(vgg, pictures, layer=stage, store=store.name)
    return rows, time.perf_counter() - started


# %%
first = {stage: timed(stage)[1] for stage in vgg.stages}
again = {stage: timed(stage)[1] for stage in vgg.stages}
features = {stage: timed(stage)[0] for stage in vgg.stages}

# %%
work = pd.Series(tl.cost_by_stage(vgg.model))
cost = pd.DataFrame({"features": {stage: x.shape[1] for stage, x in features.items()}})
cost["kB as a map"] = [m.size * 4 / 1000 for m in maps.values()]
cost["work"] = (work.cumsum() / work.sum()).round(2)
cost["seconds"], cost["again"] = pd.Series(first).round(2), pd.Series(again).round(3)
cost

# %% [markdown]
# `work` is the share of the whole network's multiplications, from the input to the end of the
# stage. The seconds for all pictures hold more than that: pictures are read, and each stage's
# network is built at its first call. `again` are the seconds of the second call.
# To stop early saves time, and the early maps are the largest to keep. As one row of averages
# every stage is small.
#
# **When is "again" not again?** What is kept belongs to these pictures, these weights and this
# stage. Guess before you run the cell: five sets of features lie in the folder. How many are
# there after a call with one picture fewer? With a random twin of the backbone? With other *labels*?

# %%
def kept_after(backbone, split):
    tl.extract_features(backbone, split, layer="block1", store=store.name)
    return len(list(Path(store.name).rglob("rows.npy")))


# %%
fewer = pictures.take(range(1, pictures.num_examples))
relabelled = tl.Split(pictures.pictures, pictures.table.assign(label=0), pictures.classes)
one_fewer, twin_too = kept_after(vgg, fewer), kept_after(tl.load_backbone("vgg16", weights=None), pictures)
{"one picture fewer": one_fewer, "random twin": twin_too, "other labels": kept_after(vgg, relabelled)}

# %% [markdown]
# Other pictures or other weights are other features. Labels are not in it: the backbone never
# sees them. So one extraction serves as many targets as you can think of, and we use that now.
#
# ## Four targets on the same pictures
#
# `brightness` is computed from the pixels: is the picture lighter than half of them? Drawn
# pets also come with the pattern of their `fur` and their `background`; photographs do not.

# %%
def targets_of(split):
    means = np.array([split.picture(i).mean() for i in range(split.num_examples)])
    known = [name for name in ("fur", "background") if name in split.table]
    table = split.table[["class", *known]].rename(columns={"class": "animal"})
    return table.assign(brightness=np.where(means > np.median(means), "bright", "dark"))


targets = targets_of(pictures)
chance = {name: column.value_counts(normalize=True).max() for name, column in targets.items()}
targets.describe()

# %% [markdown]
# ## Which pictures are alike?
#
# Two pictures are *neighbours* in a stage if their rows of features lie close together. Each
# feature is first brought to the same spread, so that none is loud only because of its unit.
#
# **Predict.** The nearest neighbours of a cat before a green wall: what do they share with it in
# `block1`, and what in `block5`?
#
# A fair guess: early stages find the same colour and brightness, late ones the same animal.

# %%
scaled = {stage: StandardScaler().fit_transform(x) for stage, x in features.items()}


def neighbours(points, how_many):
    nearest = NearestNeighbors(n_neighbors=how_many + 1).fit(points)
    return nearest.kneighbors(points, return_distance=False)  # the first is the picture itself


# %%
tl.plot_neighbours(pictures, {stage: neighbours(x, 4)[one] for stage, x in scaled.items()});

# %% [markdown]
# In mini size, `block1` and `block2` answer with dark green pictures of anything. `block4` and
# `block5` answer mostly with animals that *sit*, and most of those are dogs: for this picture late
# stages are not the better judges. But one picture is an anecdote. So ask all of them: what share of the ten nearest neighbours has the same
# answer? Five times, each with another half of the pictures.

# %%
def agreement(points, answers):
    nearest = neighbours(points, 10)[:, 1:]
    return (answers[nearest] == answers[:, None]).mean()


# %%
rows = []
for seed, stage in [(seed, stage) for seed in range(5) for stage in scaled]:
    half = np.random.default_rng(seed).permutation(len(pictures.table))[::2]
    for target, answers in targets.items():
        share = agreement(scaled[stage][half], answers.to_numpy()[half])
        rows.append({"target": target, "stage": stage, "seed": seed, "share": share, "chance": chance[target]})
alike = pd.DataFrame(rows).assign(weights="pretrained")

# %%
tl.plot_by_stage(alike, value="share");

# %% [markdown]
# Nobody told a stage what to arrange by; this is its own idea of "alike". On the way up,
# brightness is let go and the animal comes. The background rises *and falls* again.
#
# ## A map
#
# t-SNE lays the pictures out on a plane so that neighbours stay neighbours. In each column the
# points are the same, only the colours differ. Far distances on such a map say nothing.

# %%
flat = {stage: TSNE(random_state=0).fit_transform(scaled[stage][::2]) for stage in ("block1", "block3", "block5")}
tl.plot_embedding(flat, targets.iloc[::2].drop(columns="fur", errors="ignore"));

# %% [markdown]
# In mini size, `block1` has a mostly bright side, the rest is mixed. `block3` has heaps of one background:
# grass, wood, clutter. In `block5` cats and dogs are still mixed, with more of one here and of the
# other there. That they make no two heaps does not mean that no line parts them: the map squeezes
# over a hundred directions into two. So let us ask for the line.
#
# ## Which stage for which target?
#
# A linear probe on each stage learns from 160 pictures and is judged by the others of our
# training pictures. (Choosing a stage is choosing: never the test split's business.)
#
# **Predict**, for each target, the best stage:
#
# | target | best stage | points lost by taking the last |
# |---|---|---|
# | animal | ? | ? |
# | fur | ? | ? |
# | background | ? | ? |
# | brightness | ? | ? |
#
# And the **random twin**, the same network with the weights it has before any learning: for which
# target, and at which stage, is it as good as the pretrained one?
#
# A fair guess: the last stage for the animal; an early or middle one for the other three,
# which are colours and patterns; the twin is nowhere better. (Two of these are wrong.)

# %%
def labels_of(table, target):
    return table[target].astype("category").cat.codes.to_numpy()


def learn(x, target, seed):
    order, labels = np.random.default_rng(seed).permutation(len(x)), labels_of(targets, target)
    return tl.linear_probe((x[order[:160]], labels[order[:160]]), seed=seed), order[160:]


def share_right(probe, x, labels):
    return (keras.ops.convert_to_numpy(probe(x)).argmax(1) == labels).mean()


# %%
def scores(features, seed):
    for target, stage in [(target, stage) for target in targets for stage in features]:
        probe, others = learn(features[stage], target, seed)
        accuracy = share_right(probe, features[stage][others], labels_of(targets, target)[others])
        yield {"target": target, "stage": stage, "seed": seed, "accuracy": accuracy}


# %% [markdown]
# Five seeds: for the pretrained backbone other labelled pictures, for the twin also other
# random weights. The next cell but one takes a minute.

# %%
def twin_features(seed):
    keras.utils.set_random_seed(seed)
    twin = tl.load_backbone("vgg16", weights=None)
    return {stage: tl.extract_features(twin, pictures, layer=stage, store=None) for stage in twin.stages}


# %%
runs = []
for seed in tqdm(range(5)):
    runs.append(pd.DataFrame(scores(features, seed)).assign(weights="pretrained"))
    runs.append(pd.DataFrame(scores(twin_features(seed), seed)).assign(weights="random twin"))
results = pd.concat(runs, ignore_index=True)
results["chance"] = results["target"].map(chance)

# %%
tl.plot_by_stage(results);

# %% [markdown]
# **Is the last stage always the best?** Seed by seed, how many points does one lose by taking
# it instead of the stage that is best on average?

# %%
by_seed = results.pivot_table(index=["weights", "target", "seed"], columns="stage", values="accuracy", sort=False)
pretrained, twins = 100 * by_seed.loc["pretrained"], 100 * by_seed.loc["random twin"]
best = pretrained.groupby("target", sort=False).mean().idxmax(axis=1)

# %%
lost = pd.DataFrame({t: pretrained.loc[t, stage] - pretrained.loc[t, "block5"] for t, stage in best.items()})
lost.agg(["mean", "min", "max"]).T.round(1).assign(best=best)

# %% [markdown]
# **How much is only the architecture?** The points that pretraining adds to the twin, on average:

# %%
added = pretrained - twins
added.groupby("target", sort=False).mean().round(1)

# %% [markdown]
# Below zero pretraining *took away*. Both networks have the same layers and as many features, so
# only what was learned can do that. A likely reason: the source task was to name objects, and an
# object keeps its name when the light changes. A stage that ignores light is better at names.
# Nobody taught the twin to ignore anything.
#
# ## Test, once
#
# We have chosen: for each target the stage `best`. Now the test split, for the chosen stage and
# for the last.

# %%
asked = targets_of(pets.test)
tests = {stage: tl.extract_features(vgg, pets.test, layer=stage) for stage in {*best, "block5"}}


def test_accuracy(stage, target, seed):
    probe, _ = learn(features[stage], target, seed)
    return share_right(probe, tests[stage], labels_of(asked, target))


# %%
final = {}
for target, chosen in best.items():
    final[target, "chosen: " + chosen] = [test_accuracy(chosen, target, seed) for seed in range(5)]
    final[target, "last: block5"] = [test_accuracy("block5", target, seed) for seed in range(5)]
pd.DataFrame(final).agg(["mean", "min", "max"]).T.round(3)

# %% [markdown]
# ## Did it happen as predicted?
#
# If your run does not bear a claim out, the cell stops and says so.

# %%
share = alike.groupby(["target", "stage"])["share"].mean().unstack()
climb = 100 * (share["block5"] - share["block1"])
facts = {"best": best.to_dict(), "lost": lost.mean().to_dict(), "climb": climb.to_dict()}
tl.save_results("02_what_a_backbone_sees", results, **facts)

# %%
print(tl.claim("neighbours of the same animal: points from block1 to block5", climb["animal"], 8, 17))
print(tl.claim("neighbours of the same brightness: points from block1 to block5", climb["brightness"], -26, -15))
print(tl.claim("animal: points lost by the last stage", lost["animal"].mean(), 0, 3))
print(tl.claim("brightness: points lost by the last stage", lost["brightness"].mean(), 12, 28))
if "background" in lost:
    print(tl.claim("background: points lost by the last stage", lost["background"].mean(), 7, 22))
if "fur" in lost:
    late = pretrained.loc["fur", "block4"] - pretrained.loc["fur", "block1"]
    print(tl.claim("fur: points gained from block1 to block4", late.mean(), 4, 16))

# %%
gain = added["block5"].groupby("target").mean()
print(tl.claim("animal: points that pretraining adds at block5", gain["animal"], 12, 32))
print(tl.claim("brightness: points that pretraining adds at block5", gain["brightness"], -22, -5))

# %% [markdown]
# **The guess was wrong about fur.** It took fur for colour and pattern, which early stages hold. But tabby
# or spotted is a pattern *on an animal*, in any colour and any light. Late stages are ahead of `block1`,
# though not far: about 35 % where guessing gives 20 %.
#
# **The guess was wrong about the twin.** For brightness it is better than the pretrained network, and the
# more so the later the stage. Pretraining made three targets easier to read and the fourth harder. If
# your target is something that the source had to ignore, transfer of the last stage *hurts*. (A linear
# probe says what is *easy to read* with 160 labels, not what is still there.)
#
# **And the neighbours shared more than one would think.** The picture above says that late stages look
# at the pose too. The first point under *Further* lets you find out whether that is so.
#
# What this run does not decide: whether `block4` or `block5` is better for the fur, where the
# seeds overlap. And an early stage has fewer features than a late one, so part of a climb may be
# their number; the twin has as many, and climbs far less.
#
# ## Summary
#
# - A stage keeps some of what is in a picture and lets go of the rest. Early: light and colour. In
#   the middle: textures, such as the background's. Late: what the source task needed.
# - The last stage is a good first guess for targets like the source's, and only for those.
# - One extraction, many targets: features do not depend on labels, and are kept.
# - Probe every stage before you choose one. It costs seconds. Choose without the test split.
# - Compare with the random twin before you praise pretraining.

# %% [markdown]
# ## Exercises
#
# ### Exercise 02.1: Places
#
# In mini size, pictures of 64 × 64 pixels give `block3` a map of 8 × 8 places. How many places has it for pictures of
# **128 × 128**? (You may ask a backbone: change this number.)

# %%
# solution: how many places?
larger = tl.load_backbone("vgg16", input_size=(128, 128))
shape = tl.extract_features(larger, pictures.take([0]), layer="block3", pooling=None, store=None).shape
places = shape[1] * shape[2]
# end
tl.check("02.1", places)

# %% [markdown]
# ### Exercise 02.2: What has to be run again?
#
# `extract_features(vgg, pictures, layer="block3")` was called, and its features are kept. For which of these must the
# *backbone* run again? Guess first; then count as `kept_after` did.
#
# - A: the same pictures with other labels
# - B: the same pictures, `layer="block4"`
# - C: the same pictures and stage, `pooling="max"`
# - D: a linear probe with another seed
# - E: the same pictures, a backbone with `weights=None`

# %%
# solution: a list of letters
with tempfile.TemporaryDirectory() as folder:
    some = pictures.take(range(8))
    tl.extract_features(vgg, some, layer="block3", store=folder)
    calls = {
        "A": (vgg, tl.Split(some.pictures, some.table.assign(label=0), some.classes), {}),
        "B": (vgg, some, {"layer": "block4"}),
        "C": (vgg, some, {"pooling": "max"}),
        "E": (tl.load_backbone("vgg16", weights=None), some, {}),
    }
    reruns = []
    for letter, (backbone, split, others) in calls.items():
        before = len(list(Path(folder).rglob("rows.npy")))
        tl.extract_features(backbone, split, **({"layer": "block3"} | others), store=folder)
        reruns += [letter] if len(list(Path(folder).rglob("rows.npy"))) > before else []
# end
tl.check("02.2", reruns)

# %% [markdown]
# ### Exercise 02.3: Choose a stage
#
# Accuracies of probes for a target, a row a seed. Which stage would you take?

# %%
validation = pd.DataFrame({
    "block1": [0.61, 0.63, 0.62], "block2": [0.85, 0.60, 0.66], "block3": [0.76, 0.77, 0.78],
    "block4": [0.80, 0.79, 0.81], "block5": [0.77, 0.79, 0.78],
})
test = pd.DataFrame({
    "block1": [0.60, 0.62, 0.61], "block2": [0.70, 0.64, 0.67], "block3": [0.82, 0.84, 0.83],
    "block4": [0.78, 0.80, 0.79], "block5": [0.77, 0.78, 0.76],
})
# solution: the name of a stage
chosen = validation.mean().idxmax()
# end
tl.check("02.3", chosen)

# %% [markdown]
# ### Exercise 02.4: What pretraining adds
#
# Accuracies of another backbone. How many points does *pretraining* add at `block5` for `brightness`?

# %%
table = pd.DataFrame(
    {"block1": [0.86, 0.87, 0.55, 0.55], "block5": [0.74, 0.83, 0.70, 0.65], "chance": [0.50, 0.50, 0.50, 0.50]},
    index=pd.MultiIndex.from_product([["brightness", "animal"], ["pretrained", "random twin"]]),
)
# solution: in points
points = 100 * (table.loc[("brightness", "pretrained"), "block5"] - table.loc[("brightness", "random twin"), "block5"])
# end
tl.check("02.4", points)

# %% [markdown]
# ### Exercise 02.5: Write the measure
#
# `nearest` has a row for each picture: its own number first, then those of its neighbours, such as `[7, 2, 30]` for picture 7.
# `answers` has an answer for each picture. Which share of the neighbours has the picture's answer?

# %%
# solution: a function from two arrays to a share
def share_alike(nearest, answers):
    return (answers[nearest[:, 1:]] == answers[:, None]).mean()
# end


tl.check("02.5", share_alike)

# %% [markdown]
# ### Further
#
# - Make `pose` a target: `pictures.table["pose"]`. Write down the best stage first.
# - Put the features of `block3` and `block5` side by side with `np.concatenate([...], axis=1)`. Is the
#   pair better than the better of the two, for which target? And how is it with `resnet50`?
#
# ## References
#
# - Alain and Bengio 2016, *Understanding intermediate layers using linear classifier probes*.
# - Yosinski et al. 2014, *How transferable are features in deep neural networks?*
# - Zeiler and Fergus 2014, *Visualizing and Understanding Convolutional Networks*.
# - Jarrett et al. 2009, *What is the Best Multi-Stage Architecture for Object Recognition?* (random filters).
# - Evci et al. 2022, *Head2Toe: Utilizing Intermediate Representations for Better Transfer Learning*.
# - van der Maaten and Hinton 2008, *Visualizing Data using t-SNE*.
