# %% [markdown]
# # 08 How much data, how much fine-tuning
#
# Two questions that everyone asks and few measure. How many labels is a pretrained network worth? And how much of it should be
# allowed to move, when labels are few: what holds it, and what does it forget?
#
# **You will**
#
# - run strategies, labels and seeds in one call, and read start, slope, asymptote and *label saving* with their intervals,
# - keep a backbone's first stages and begin the others at random: where does the knowledge sit?
# - watch the curves of training and validation part, and try seven ways to hold them together,
# - put an old head on the fine-tuned backbone, and see what it has forgotten.
#
# **Time** 3 minutes in mini size on two cores. **Before** Lessons 01 and 03. No download. The last question
# needs pictures whose backgrounds are known, so the data are the drawn ones in any size; with `TLTEACH_SIZE=full`
# the backbone is VGG16 with ImageNet weights, and that wants a GPU.

# %% tags=["needed"]
from dataclasses import replace

import keras
import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits
from tqdm import tqdm

import tlteach as tl

threadpool_limits(1);  # on problems this small threads only wait for each other

# %% tags=["needed"]
pets = tl.load_dataset("cats_vs_dogs", "mini")
vgg = tl.load_backbone("vgg16")

# %% [markdown]
# ## How many labels is it worth?
#
# In lesson 01 we wrote the loop by hand. `tl.compare` is that loop: every strategy with every number of labels and seed, each run in
# a process of its own, each finished run kept. Stop the cell and call it again, and it goes on from there.
#
# Two strategies that it knows by name: **scratch**, a small network that begins at random, and **frozen**, a linear probe on
# frozen features. Both get the same labels. Scratch keeps a quarter of them for validation, to know when to stop; the probe is
# solved, needs none, and learns from all.
#
# **Predict** with 20 and with 320 labels: how many points is the probe above scratch? And how many times as many labels
# would scratch need to be as good?
#
# | 20 labels | 320 labels | times the labels |
# |---|---|---|
# | ? | ? | ? |
#
# The cell takes half a minute or more.

# %%
runs = tl.compare(["scratch", "frozen"], pets, labels=(20, 80, 320), seeds=3)

# %%
tl.plot_label_curve(runs, chance=0.5);

# %% [markdown]
# The benefits of lesson 01, as `tl.benefits` reads them off these curves: **start** is the difference with the fewest labels,
# **asymptote** with the most, and **slope** is how much more is gained with each doubling of the labels. Lesson 01 also read the slope
# sideways; that has a name of its own here, **label saving**: as good as scratch with *how many times* the labels?

# %%
worth = tl.benefits(runs).query("measure != 'time to accuracy'")
tl.plot_benefits(worth);

# %%
worth[["strategy", "measure", "value", "low", "high", "bound"]].round(3)

# %% [markdown]
# **Scratch stays at chance**, with 320 labels as with 20: these pets vary in pose, light and background, and 240 pictures do not
# show a network that begins at random what a cat is. The probe begins nine points above it, gains about four points more with each
# doubling, and ends 24 points above. None of the three intervals holds zero. (Each is drawn over three seeds, so it reaches just from
# the worst seed to the best and is too narrow: what it says is that all three seeds agree.)
#
# And the **label saving** is *at least 16*: with 20 labels the probe is on average better than scratch with 320 (not with every
# draw of seeds, so `low` is 15). The 16 says nothing about the network: it is 320 / 20, the widest ratio that was run, and the
# bar is open to the right. And as long as scratch is at chance the number is worth little, since to be as good as chance costs hardly
# a label. Only more labels for scratch, until it learns, would give a saving to rely on. One more caution. A benefit is always one
# over *some* baseline: who finds a better recipe from scratch makes all of these numbers smaller.
#
# ## Where does the knowledge sit?
#
# Yosinski and colleagues (2014) cut a network after its n-th layer, kept what stands before, and began what comes after at random.
# In small: `tl.keep_stages(vgg, n)` keeps the first n stages. The kept ones are **frozen**, or **fine-tuned** together with
# the new ones (at a tenth of their rate; for n = 4 alone, to save time), all from 64 pictures, made smaller, 32 x 32. With `n = 0`
# nothing is kept; with all five kept and frozen, the head alone is left, and that we solve.
#
# **Predict** the frozen line over n = 0 to 5. In 2014 it fell from the middle on, for two reasons: layers that had learned
# together were torn apart, and the upper ones knew too much about the *source*. And is fine-tuning above or below it?

# %%
def kept(count, how, seed):
    """A model whose first stages know what the source taught, and whose others learned from 64 pictures alone."""
    keras.utils.set_random_seed(seed)
    few, whole = tl.subset(pets, 80, seed=seed, val=0.2), tl.load_backbone("vgg16", input_size=(32, 32))
    backbone = tl.keep_stages(whole, count, initializer="he_normal")
    if (count, how) == (5, "frozen"):
        return tl.attach_head(backbone, tl.linear_probe(tl.extract_features(backbone, few), seed=seed))
    old, new = list(backbone.stages)[:count], [*list(backbone.stages)[count:], "head"]
    rates = dict.fromkeys(new, 3e-4) | (dict.fromkeys(old, 3e-5) if how == "fine-tuned" else {})
    phase = tl.Phase(tuple(rates), epochs=8, learning_rate=rates, keep="last")
    return tl.fine_tune(tl.attach_head(backbone, 2), few, phase, seed=seed).model

# %%
plan = [(count, "frozen", seed) for count in range(6) for seed in range(2)]
plan += [(4, "fine-tuned", seed) for seed in range(2)]
layers = pd.DataFrame(plan, columns=["kept", "kept stages are", "seed"])
layers["accuracy"] = [tl.evaluate(kept(*each), pets.test).accuracy for each in tqdm(plan)]

# %%
shown = layers.assign(stage=layers["kept"].astype(str), target="64 pictures", chance=0.5)
tl.plot_by_stage(shown, by="kept stages are")[0].set_xlabel("stages kept");

# %% [markdown]
# **The lower three stages are worth most**: with them kept the model is some thirteen points above the one that kept none, and what
# lies above can begin anew without loss. From three on the line is flat within its spread (two seeds): `block4` and `block5` of
# photographs are of no more use to drawn pets than new stages that 64 pictures trained. That is the half of 2014 that we see again:
# what is learned first is general, what is learned last is of less use elsewhere.
#
# The other half we do not see. Their line was *flat at the left*: with few layers kept the network was as good as any, for they had
# more than half a million pictures to train new layers with. With 64, each early stage that begins at random costs four to six
# points. How much must be kept depends on how much there is to learn from. Fine-tuning the kept stages (one point in the picture)
# changes nothing that two seeds could tell. And two cautions: the new stages are drawn by He's initialiser, as VGG16, without
# BatchNorm, stayed at chance from its own when we tried; and with all five kept the head was solved, not trained.
#
# ## Two curves that part
#
# Now few labels: 64 to learn from. We let *every* stage move, from the solved probe. To see well, validation is half
# of its split, 96 pictures. They watch, and choose nothing (`keep="last"`). (The pictures are made smaller, 48 x 48, to save time.)
#
# **Predict** after eight epochs: training accuracy, validation accuracy, and whether each *loss* is above or below where it began.

# %%
everything = tl.Phase("all", epochs=8, learning_rate=3e-4, keep="last", batch_size=16)
small = tl.load_backbone("vgg16", input_size=(48, 48))
source = small.model.get_weights()


def probed(seed, dropout=0.0):
    """The backbone as it came, under a solved probe; and the labels that the probe was solved with."""
    keras.utils.set_random_seed(seed)
    small.model.set_weights(source)
    few = tl.subset(pets, 80, seed=seed, val=0.2)  # 64 to learn from, 16 to choose by
    probe = tl.linear_probe(tl.extract_features(small, few), seed=seed)
    return tl.attach_head(small, probe, dropout=dropout), few

# %%
model, few = probed(seed=0)
watched = replace(few, val=pets.val.take(range(0, 192, 2)))
naked = tl.fine_tune(model, watched, everything)
tl.plot_run(naked);

# %%
tl.plot_run(naked, metric="loss");

# %% [markdown]
# **Training goes to 0.95, validation never comes back to where it began.** The first epoch already costs the probe's good beginning: the
# rate that suits a new layer is too high for a network that is right already. Then the curves part. The training loss falls to a quarter;
# validation's stands still for five epochs, and rises when there is nothing left to learn but these 64 pictures themselves. Accuracy
# hardly shows that last part, the loss does: the same answers, given with more and more confidence. (This is one draw of the
# labels. Below, as *probe first*, two others are run, and one of them ends well.)
#
# ## What is forgotten
#
# The backbone is good for more than cats and dogs. The head that it was pretrained with is not in the package, so we make
# an *old task* of our own: the same pictures, asked for their background, one of nine. It is solved by a probe on the backbone as it came.

# %%
places = sorted(pets.train.table["background"].unique())


def background(split):
    return pd.Categorical(split.table["background"], categories=places).codes.astype(int)


def share_right(head, x, labels):
    return float((keras.ops.convert_to_numpy(head(x)).argmax(1) == labels).mean())

# %%
small.model.set_weights(source)
as_it_came = tl.extract_features(small, pets)
old_head = tl.linear_probe((as_it_came.train.x, background(pets.train)))
knew = share_right(old_head, as_it_came.test.x, background(pets.test))
f"background told by the backbone as it came: {knew:.2f}; by chance {1 / len(places):.2f}"

# %% [markdown]
# Later this very head is put on a backbone that was fine-tuned for cats and dogs. Nobody asked it to unlearn
# backgrounds. **Predict** what is left of the number above, after eight epochs on 64 pictures.
#
# ## What holds it
#
# Seven ways, from the same 64 labels, three draws of them each:
#
# - **probe first**: as above, all stages at 3e-4;
# - **lower rate**: the same at a tenth of the rate;
# - **last stage**: `block5` and the head alone move;
# - **dropout**: half of the features under the head are dropped in training;
# - **weight decay**: each step takes a share off every kernel, towards *zero*;
# - **L2-SP**: each step takes a share of the way back to the *source's* weights (`Phase(source_pull=)`; its authors add a term to
#   the loss, here it is a step of its own, as weight decay is);
# - **early stopping**: the best epoch on 16 further labels is kept. It may be epoch 0, the probe itself.
#
# The two shares below are multiplied by the rate, 3e-4: 30 takes 0.9 % off at each step, 1000 goes 30 % of the way back. One
# strength of each is tried, and they are not alike: this compares seven settings, not seven ideas at their best.
#
# And the bar: the **probe** alone. **Predict**: which ways beat the probe? Which remember most of the old task?

# %%
WAYS = {
    "probe first": everything,
    "lower rate": replace(everything, learning_rate=3e-5),
    "last stage": replace(everything, train=("block5", "head")),
    "dropout": everything,
    "weight decay": replace(everything, weight_decay=30.0),
    "L2-SP": replace(everything, source_pull=1000.0),
    "early stopping": replace(everything, keep="best"),
}

# %%
def outcome(model):
    """Cats and dogs by the head that was learned, backgrounds by the old head: the share that is right."""
    x, head = tl.extract_features(small, pets.test, store=None), model.get_layer("head")
    return {"target": share_right(head, x, pets.test.labels), "old task": share_right(old_head, x, background(pets.test))}


def tried(way, seed):
    model, few = probed(seed, dropout=0.5 if way == "dropout" else 0.0)
    if way in WAYS:
        tl.fine_tune(model, few, WAYS[way], seed=seed)
    return small.model.get_weights(), {"way": way, "seed": seed, **outcome(model)}

# %%
plan = [(way, seed) for way in ("probe", *WAYS) for seed in range(3)]
moved, rows = zip(*[tried(*each) for each in tqdm(plan)])
held = pd.DataFrame(rows)

# %%
both = held.melt(["way", "seed"], ["target", "old task"], var_name="task", value_name="accuracy")
tl.plot_ranges(both, beside="task");

# %%
held.groupby("way", sort=False)[["target", "old task"]].agg(["mean", "min", "max"]).round(2)

# %% [markdown]
# All ways had the same labels with the same seed, so compare seed by seed: points above the probe.

# %%
target = held.pivot(index="seed", columns="way", values="target")[list(held["way"].unique())]
above_probe = 100 * target.sub(target["probe"], axis=0).drop(columns="probe")
above_probe.T.round(1)

# %% [markdown]
# First the **target**. Read it seed by seed, as three draws of 64 labels differ by more than the ways do:
#
# - **Lower rate**, **last stage** and **L2-SP** are above the probe with each of the three seeds, by one to four points: two or
#   three on average. 600 test pictures and three seeds cannot rank the three.
# - **Probe first** at the high rate is a coin: from five points below to five above.
# - **Dropout** on the features was worse than the probe with every seed, **weight decay** with two of three; and so they were beside
#   *probe first*, which differs in nothing else. A likely reason: dropout hides features that the solved head counts on, so larger
#   errors go down into the backbone; and decay draws to zero what was right already. (Weaker ones may do no harm; see *Further*.)
# - **Early stopping** chose by 16 pictures, and with each seed it chose wrongly: its run is that of *probe first*, whose last epoch
#   was better than the one it kept. With seed 2 it kept epoch 0, the probe, and missed more than five points. It goes back to the best
#   epoch only if validation can tell which one that was.
#
# And the **old task**: the ways that let everything move at the high rate, with nothing that draws them back, have forgotten nearly
# all of it: 0.14 to 0.16 where chance is 0.11. (Early stopping has more, on average, because one of its three is the probe.) Nobody
# sees that in a report about cats and dogs. Lower rate and last stage keep most, L2-SP about as much or a little more.
# So nothing had to be paid: the three ways that gained on the target are those that forgot least. What moves less, forgets
# less, and here little had to move.
#
# ## Lost, or out of place?
#
# The old head reads certain directions of the features. Where do the features of before and after agree? Linear CKA (lesson 09 has more
# of it), stage by stage, is 1 if one is the other turned and scaled as a whole. **Predict** the diagonal, from `block1` to
# `block5`, for *probe first* and for *L2-SP*. First *probe first*, then L2-SP (seed 0):

# %%
after = dict(zip(plan, moved))
as_before = tl.load_backbone("vgg16", input_size=(48, 48))


def alike(way):
    small.model.set_weights(after[way, 0])
    table = tl.stage_similarity(as_before, small, pets.test)
    return table.rename_axis(index="as it came", columns=way)


tl.plot_similarity(alike("probe first"));

# %%
tl.plot_similarity(alike("L2-SP"));

# %% [markdown]
# And if the old task's probe is *solved again* on the fine-tuned features, with all the labels it had the first time?
# **Predict** where it lands, between the old head's accuracy and what the backbone knew. And two bars: a random twin that never
# learned anything, and a few plain pixels, for backgrounds differ in colour.

# %%
def read_off(features, seed):
    """Accuracy of a new probe for the old task; `features` makes them of a split."""
    probe = tl.linear_probe((features(pets.train), background(pets.train)), seed=seed)
    return share_right(probe, features(pets.test), background(pets.test))


def by_network(network):
    return lambda split: tl.extract_features(network, split, store=None)


def by_pixels(split):
    return split.sized((48, 48)).array()[:, ::8, ::8].reshape(split.num_examples, -1)  # every eighth in both directions

# %%
again = held[held["way"] == "probe first"][["seed", "old task"]].rename(columns={"old task": "old head"}).set_index("seed")
for seed in again.index:
    small.model.set_weights(after["probe first", seed])
    again.loc[seed, "solved again"] = read_off(by_network(small), seed)
    keras.utils.set_random_seed(seed)
    twin = tl.keep_stages(as_before, 0, initializer="he_normal")
    again.loc[seed, "random twin"] = read_off(by_network(twin), seed)
again.assign(pixels=read_off(by_pixels, 0), before=knew).round(2)

# %% [markdown]
# **The old model is lost. How much of what it knew was kept, is harder to say.** Solved again, a probe finds the background in 0.43 to
# 0.61 of the pictures, where the old head finds it in 0.13 to 0.21: a long way back, it seems. But a twin that never learned anything
# gives 0.37 to 0.42, and thirty-six plain pixels give 0.58, hardly less than the backbone as it came. Backgrounds are colours. With seed 0
# no more than six points over the twin may be memory, with seed 2 some twenty; and against the pixels none of it is.
# Without the two bars we would have written that most was kept. The pictures of similarity need no task and no bar: after *probe
# first* no stage is what it was, down to `block1`; after L2-SP the diagonal is light, and fades towards the head, where the
# gradient came from.
#
# If the old task is still needed, keep the old weights (a few megabytes), or solve its head again if its labels are
# still there. Who can do neither, because one backbone has to serve both, needs the pull or the lower rate.
#
# ## Did it happen as predicted?
#
# If your run does not bear a claim out, the cell stops and says so.

# %%
benefit = worth.set_index("measure")
by_count = layers[layers["kept stages are"] == "frozen"].groupby("kept")["accuracy"].mean()
old = held.groupby("way")["old task"].mean()
loss = naked.history["val_loss"]

# %%
facts = {"benefits": worth.to_dict("records"), "layers": layers.to_dict("records"), "held": held.to_dict("records")}
tl.save_results("08_how_much", runs, **facts, again=again.to_dict("records"), knew=knew)

# %%
print(tl.claim("points above scratch with the fewest labels", 100 * benefit.loc["start", "value"], 0, 22))
print(tl.claim("points above scratch with the most labels", 100 * benefit.loc["asymptote", "value"], 12, 34))
print(tl.claim("as good as scratch with so many times the labels", benefit.loc["label saving", "low"], 4, 16))
print(tl.claim("points that three kept stages add to none", 100 * (by_count[3] - by_count[0]), 4, 32))

# %%
last = naked.history.iloc[-1]
print(tl.claim("training accuracy at the end, less validation", last["accuracy"] - last["val_accuracy"], 0.05, 0.6))
print(tl.claim("times the least validation loss at the end", loss.iloc[-1] / loss.min(), 1.1, 5))
for way in ("lower rate", "last stage", "L2-SP"):
    print(tl.claim(f"points above the probe, {way}", above_probe[way].mean(), -2, 8))
for way in ("probe first", "dropout", "weight decay"):
    print(tl.claim(f"points above the probe, {way}", above_probe[way].mean(), -22, 3))

# %%
print(tl.claim("backgrounds, as it came", knew, 0.5, 0.72))
print(tl.claim("backgrounds, old head after probe first", old["probe first"], 0.05, 0.32))
print(tl.claim("backgrounds, old head after L2-SP", old["L2-SP"], 0.4, 0.68))
print(tl.claim("backgrounds, solved again after probe first", again["solved again"].mean(), 0.35, 0.68))
print(tl.claim("backgrounds, random twin", again["random twin"].mean(), 0.2, 0.55))

# %% [markdown]
# ## Summary
#
# - A benefit has a baseline, an interval, and a direction of reading: points upwards, labels sideways. *At least* means that the
#   plan was too narrow, not that the value is known.
# - Early stages are general and cheap to keep. With few labels, keep what you cannot train.
# - Draw training and validation, and the loss as well as the accuracy.
# - With few labels first lower the rate, or let fewer stages move, or hold the source. Dropout and weight decay, at the one
#   strength that we tried, did harm. Early stopping needs a validation that can tell.
# - A fine-tuned backbone is another backbone. Ask the old head before you put it on; solve it again if you can.
#
# ## Exercises
#
# Put your answer in place of `...` and run the cell; it says what it thinks of it. `tl.hint("08.1")` helps.
#
# ### Exercise 08.1: As good as with how many?
#
# Two strategies were run with 20, 80 and 320 labels. What is the *label saving* of the frozen backbone: as good as scratch with how
# many times the labels? Change this number.

# %%
measured = pd.DataFrame({"scratch": [0.52, 0.60, 0.70], "frozen": [0.58, 0.70, 0.76]}, index=[20, 80, 320])
# solution: how many times?
saving = 4
# end
tl.check("08.1", saving)

# %% [markdown]
# ### Exercise 08.2: What is kept?
#
# In how many *layers* of `three` are the weights those of `vgg`, bit by bit? Count layers that have weights.

# %%
three = tl.keep_stages(vgg, 3)
# solution: a number of layers
pairs = [(layer.get_weights(), vgg.model.get_layer(layer.name).get_weights()) for layer in three.model.layers]
layers_kept = sum(bool(a) and all(np.array_equal(x, y) for x, y in zip(a, b)) for a, b in pairs)
# end
tl.check("08.2", layers_kept)

# %% [markdown]
# ### Exercise 08.3: The pull, by hand
#
# Write what L2-SP does with a weight, apart from the gradient: a step takes the share `rate * pull` of the way from the weight back
# to its source. Give back the weight after it.

# %%
# solution: a function that gives the new weight
def pulled(weight, source, rate, pull):
    return weight - rate * pull * (weight - source)
# end


tl.check("08.3", pulled)

# %% [markdown]
# ### Exercise 08.4: Read the curves
#
# Four runs of fine-tuning, each of ten epochs. What is to be done with each: `"stop earlier"`, `"train longer"`, `"hold the source"` or
# `"keep it"`?
#
# - A: training accuracy 1.00; validation loss 0.60 at first, 0.55 at epoch 3, 1.40 at the end.
# - B: training accuracy 0.62, rising; both losses still fall at epoch 10.
# - C: validation loss falls to 0.45 and stays. The same backbone also serves an older task, and that went from 0.75 to 0.30.
# - D: validation loss falls to 0.50 and stays, close above the training loss. It serves nothing else.

# %%
# solution: {"A": "?", "B": "?", "C": "?", "D": "?"}
to_do = {"A": "stop earlier", "B": "train longer", "C": "hold the source", "D": "keep it"}
# end
tl.check("08.4", to_do)

# %% [markdown]
# ### Exercise 08.5: Design the experiment
#
# Does L2-SP forget less than a lower learning rate? Whatever moves less forgets less, so choose where the two are compared
# (`"compare at"`): `"the same gain on the target"`, `"the same number of epochs"` or `"the last epoch"`. The question is whether
# the old *model* still works: is its probe (`"old probe"`) `"kept as it was"` or `"solved again"`? Which pictures is the
# `"old task"` asked of: `"the pictures it was fine-tuned on"` or `"pictures that nothing learned from"`? And how many `"seeds"`?

# %%
# solution: {"compare at": "?", "old probe": "?", "old task": "?", "seeds": ?}
experiment = {
    "compare at": "the same gain on the target",
    "old probe": "kept as it was",
    "old task": "pictures that nothing learned from",
    "seeds": 5,
}
# end
tl.check("08.5", experiment)

# %% [markdown]
# ### Further
#
# - Give the other ways the lower rate too: `replace(everything, learning_rate=3e-5, source_pull=1000.0)`. Does anything still add to it?
# - A weaker decay (3 and 0.3) and less dropout (0.2): do they help, or only cease to harm?
# - Other pulls: 30, 100, 300. Draw what was forgotten over what was gained, a point a pull.
# - Add `"fine-tuned"` to the list of strategies of `tl.compare`: only its own runs are done. Then add a function of your
#   own, `f(backbone, splits, seed)`, such as probe first at the lower rate.
# - Another old task: the column `pose` in place of `background`. It is nearer to cats and dogs, and no matter of colour: is less of it forgotten, and what do the two bars give?
#
# ## References
#
# - Torrey and Shavlik 2009, *Transfer Learning* (start, slope, asymptote).
# - Yosinski et al. 2014, *How transferable are features in deep neural networks?*
# - Li, Grandvalet and Davoine 2018, *Explicit inductive bias for transfer learning with convolutional networks* (L2-SP).
# - McCloskey and Cohen 1989, *Catastrophic interference in connectionist networks*; French 1999, *Catastrophic forgetting*.
# - Kirkpatrick et al. 2017, *Overcoming catastrophic forgetting in neural networks* (a pull that is stronger where it matters).
# - Kornblith et al. 2019, *Similarity of neural network representations revisited* (CKA).
# - Kumar et al. 2022, *Fine-tuning can distort pretrained features and underperform out-of-distribution*.
# - Loshchilov and Hutter 2019, *Decoupled weight decay regularization*; Srivastava et al. 2014, *Dropout*.
