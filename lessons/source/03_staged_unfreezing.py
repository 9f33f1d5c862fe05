# %% [markdown]
# # 03 Staged unfreezing
#
# Feature extraction leaves the backbone as it came. *Fine-tuning* lets some of it move towards
# the target, stage by stage from the head downwards. It is a recipe of five lines that is mostly
# copied wrong, and the wrong ways run without a word.
#
# **You will**
#
# - unfreeze a ResNet50 phase by phase, and see where each stage went,
# - draw BatchNorm moving although it was told not to,
# - find a learning rate, and draw one that is too low and one that is too high,
# - do five things wrong on purpose, and learn the symptom of each.
#
# **Time** 3 minutes in mini size on two cores. **Before** Lesson 01. No download. With
# `TLTEACH_SIZE=full` the same cells use ImageNet weights and real photographs; that wants
# a GPU.

# %%
import time
from dataclasses import replace

import keras
import numpy as np
import pandas as pd
from tqdm import tqdm

import tlteach as tl

# %%
pets = tl.load_dataset("cats_vs_dogs")
resnet = tl.load_backbone("resnet50")
tl.plot_stages(tl.trainable_table(resnet.model));

# %% [markdown]
# Most parameters are in the last stages. The early ones are small, and what they know (edges,
# colours) should be of use everywhere. So one unfreezes from the top.
#
# ## Phase by phase
#
# The head is the *solved* probe: it is right already, so it sends no wild errors into the
# backbone. Then one stage is trained, then two. Each step is a *phase*:

# %%
tl.gradual_unfreezing(resnet, stages=2)

# %% [markdown]
# Phases are plain objects, to print, to edit and to write by hand. We choose a higher rate that
# rises and falls (`one_cycle`), and add a third phase in which everything moves.

# %%
cycle = {"epochs": 6, "learning_rate": 1e-3, "schedule": "one_cycle", "patience": 6}
phases = [replace(phase, **cycle) for phase in tl.gradual_unfreezing(resnet, stages=2)]
phases.append(tl.Phase("all", **cycle))


# %%
def probed(few, seed):
    """A fresh backbone under a solved probe."""
    keras.utils.set_random_seed(seed)
    backbone = tl.load_backbone("resnet50")
    return tl.attach_head(backbone, tl.linear_probe(tl.extract_features(backbone, few), seed=seed))


# %% [markdown]
# **Predict**, for 400 labels: how many points on the test split does each phase add to the one
# before, on average over three seeds, each with other labels?
#
# | conv5 | conv4 | all |
# |---|---|---|
# | ? | ? | ? |
#
# Ours, before the first run: the last stage adds three points, the next one more, the rest
# nothing: early stages are general. (This was wrong.)

# %%
few = tl.subset(pets, 400, seed=0)
model = probed(few, seed=0)
before = model.get_weights()
run = tl.fine_tune(model, few, phases)

# %%
run.plan.set_index("phase")

# %% [markdown]
# The library proves after each phase that no other variable moved. `cut at`: what stands before that
# layer is constant, so it was computed once and kept, and only the rest was trained. `kept
# epoch` is the best on validation; 0 means that no epoch was better than the phase's beginning.

# %%
tl.plot_run(run);

# %% [markdown]
# Training is soon perfect, validation is not: that gap is overfitting. How far did each stage go?

# %%
tl.plot_stages(tl.trainable_table(model, before));

# %% [markdown]
# Now three seeds. Validation chose the epochs, so its accuracy flatters; the test split only reports.

# %%
def accuracies(few, seed):
    model = probed(few, seed)
    yield "probe", tl.evaluate(model, pets.test).accuracy
    for phase in phases:
        tl.fine_tune(model, few, phase, seed=seed)
        yield phase.train[0], tl.evaluate(model, pets.test).accuracy


# %%
rows = []
for seed in tqdm(range(3)):
    for stage, accuracy in accuracies(tl.subset(pets, 400, seed=seed), seed):
        rows.append({"seed": seed, "stage": stage, "accuracy": accuracy})
staged = pd.DataFrame(rows).assign(target="test split", way="unfrozen from here on")

# %%
tl.plot_by_stage(staged, by="way");

# %%
test = 100 * staged.pivot(index="seed", columns="stage", values="accuracy")[["probe", "conv5", "conv4", "all"]]
gains = test.diff(axis=1).drop(columns="probe").assign(together=test["all"] - test["probe"])
gains.agg(["mean", "min", "max"]).round(1)

# %% [markdown]
# TEXT1
#
# ## BatchNorm: told to stand still, and moving
#
# A BatchNorm layer keeps running means of what it saw, and moves them in training. In fine-tuning
# that is rarely wanted: a few batches overwrite what all the source's pictures had shown. The
# usual recipe calls the backbone with `training=False` and trusts that to hold the means still after
# `trainable = True`. In Keras 3.15 `fit` moves them all the same.
#
# To see BatchNorm *alone*, we give the usual recipe a learning rate of **zero**: no weight can
# move. **Predict**: does the accuracy?

# %%
def usual_recipe(few, seed):
    backbone = tl.load_backbone("resnet50")
    probe = tl.linear_probe(tl.extract_features(backbone, few), seed=seed)
    pixels = keras.Input((*resnet.input_size, 3))
    x = backbone.model(pixels, training=False)  # "BatchNorm stays in inference mode"
    backbone.model.trainable = False  # here others train the head; ours is solved
    backbone.model.trainable = True
    return keras.Model(pixels, probe(keras.layers.GlobalAveragePooling2D()(x)))


# %% [markdown]
# (False first: under TensorFlow, `trainable = True` on a model whose flag is already true is skipped
# and reaches no layer. It is one more thing that goes wrong in silence.) A callback watches the means:

# %%
def means(model):
    found = [w for w in model.weights if w.path.endswith("moving_mean")]
    return np.concatenate([keras.ops.convert_to_numpy(w) for w in found])


class Watch(keras.callbacks.Callback):
    def on_train_begin(self, logs=None):
        self.first, self.way = means(self.model), [0.0]

    def on_train_batch_end(self, batch, logs=None):
        self.way.append(np.linalg.norm(means(self.model) - self.first) / np.linalg.norm(self.first))


# %%
def at_rate_zero(seed):
    few, watch = tl.subset(pets, 160, seed=seed), Watch()
    model, train, val = usual_recipe(few, seed), few.train.sized(resnet.input_size), few.val.sized(resnet.input_size)
    model.compile(keras.optimizers.Adam(0.0), "sparse_categorical_crossentropy", metrics=["accuracy"])
    before = model.evaluate(pets.test.sized(resnet.input_size), verbose=0)[1]
    model.fit(train, epochs=8, validation_data=val, callbacks=[watch], verbose=0)
    after = model.evaluate(pets.test.sized(resnet.input_size), verbose=0)[1]
    return {"seed": seed, "test before": before, "test after": after, "drift": watch.way}


# %%
drifted = pd.DataFrame([at_rate_zero(seed) for seed in tqdm(range(3))])
drifted.drop(columns="drift").round(3)

# %% [markdown]
# Beside it `fine_tune`: all stages, and a real learning rate.

# %%
few, watch = tl.subset(pets, 160, seed=0), Watch()
gentle = tl.Phase("all", epochs=8, learning_rate=1e-4, keep="last")
tl.fine_tune(probed(few, 0), few, gentle, callbacks=[watch]);

# %%
drift = pd.DataFrame({"usual recipe, rate 0": drifted["drift"][0], "fine_tune, rate 1e-4": watch.way})
drift.plot(xlabel="step", ylabel="way of the means, as a share", figsize=(6, 3));

# %% [markdown]
# TEXT2
#
# ## The learning rate
#
# `find_learning_rate` raises the rate step by step and watches the loss. From a solved probe it
# has little to fall, so look for where it begins to *rise*. The proposal keeps a distance.

# %%
found = tl.find_learning_rate(probed(few, 0), few, ("conv5", "head"))
tl.plot_learning_rate(found);

# %% [markdown]
# Now three rates, with `keep="last"`: nothing is put back, so that harm can be seen. **Predict** the
# curves.

# %%
rates = {"too low, 1e-6": 1e-6, "good, 1e-3": 1e-3, "too high, 1": 1.0}


def trained_at(rate, seed):
    few = tl.subset(pets, 160, seed=seed)
    phase = tl.Phase(("conv5", "head"), epochs=8, learning_rate=rate, keep="last")
    return tl.fine_tune(probed(few, seed), few, phase, seed=seed).history.assign(seed=seed)


# %%
runs = [trained_at(rate, seed).assign(rate=name) for seed in tqdm(range(3)) for name, rate in rates.items()]
curves = pd.concat(runs)

# %%
over_epochs = curves.pivot_table(index="epoch", columns="rate", values=["val_loss", "val_accuracy"], sort=False)
over_epochs["val_loss"].plot(ylabel="validation loss", logy=True, figsize=(6, 3));

# %%
over_epochs["val_accuracy"].plot(ylabel="validation accuracy", figsize=(6, 3));

# %% [markdown]
# TEXT3
#
# ## Wrong ways that run without a word
#
# ### 1. `trainable` is changed after `compile`
#
# A compiled model goes on training what it knew at its first step. We count what moves:

# %%
model, train = probed(few, 0), few.train.sized(resnet.input_size)
tl.freeze(model, ["head"])
model.compile("adam", "sparse_categorical_crossentropy")
model.fit(train, verbose=0)

# %%
declared = tl.freeze(model, ["conv5", "head"])  # and no compile
before = model.get_weights()
try:
    model.fit(train, verbose=0)
except ValueError as error:  # JAX: an error about the optimizer, which means the same
    print(error)

# %%
stuck = sum(not np.array_equal(now, then) for now, then in zip(model.get_weights(), before))
f"{stuck} variables moved, {len(declared)} were declared trainable"

# %% [markdown]
# **Symptom**: "fine-tuning" changes nothing but the head. The loss still falls a little, so nobody
# notices. A `Phase` compiles for itself.
#
# ### 2. A random head, everything at once
#
# **Predict**: the same labels and as many epochs as our last phase had, but from a random head, once
# at our rate and once at a higher one.

# %%
def all_at_once(rate, seed):
    keras.utils.set_random_seed(seed)
    model = tl.attach_head(tl.load_backbone("resnet50"), 2)
    before, phase = model.get_weights(), replace(phases[-1], learning_rate=rate)
    tl.fine_tune(model, tl.subset(pets, 400, seed=seed), phase, seed=seed)
    return tl.evaluate(model, pets.test).accuracy, tl.trainable_table(model, before)


# %%
at_once = {rate: [all_at_once(rate, seed) for seed in range(3)] for rate in tqdm((1e-3, 1e-2))}
for rate in at_once:
    test[f"at once, {rate:g}"] = [100 * accuracy for accuracy, _ in at_once[rate]]
test.drop(columns=["conv5", "conv4"]).agg(["mean", "min", "max"]).round(1)

# %%
tl.plot_stages(at_once[1e-2][0][1]);

# %% [markdown]
# TEXT4
#
# ### 3. Augmented, then cached
#
# "Map the augmentation, then cache" is how the usual recipe saves time. But what is cached is
# one draw. We draw once and read twice, and beside it draw twice:

# %%
shake = keras.Sequential([keras.layers.RandomFlip("horizontal"), keras.layers.RandomRotation(0.1, fill_mode="nearest")])
four = few.train.take(range(4))
cache = keras.ops.convert_to_numpy(shake(four.array(), training=True))
drawn_anew = keras.ops.convert_to_numpy(shake(four.array(), training=True))

# %%
table = pd.concat([four.table] * 3)
shown = tl.Split(list(np.concatenate([cache, cache, drawn_anew]).clip(0, 255).astype("uint8")), table, pets.classes)
titles = ["cached: epoch 1"] * 4 + ["cached: epoch 2"] * 4 + ["drawn anew: epoch 2"] * 4
tl.plot_pictures(shown, range(12), titles=titles, columns=4);

# %% [markdown]
# **Symptom**: none. It overfits as if there were no augmentation. A phase keeps several copies, or
# draws anew; one copy it refuses:

# %%
try:
    tl.Phase("head", augment=shake, copies=1)
except ValueError as error:
    print(error)

# %% [markdown]
# ### 4. Rates by stage, by scaling gradients
#
# Lower stages should often learn slower. Many scale their gradients down. One step of Adam at
# a rate of 0.001, with a gradient and with a hundredth of it:

# %%
for gradient in (1.0, 0.01):
    weight = keras.Variable([0.0])
    keras.optimizers.Adam(1e-3).apply([keras.ops.convert_to_tensor([gradient])], [weight])
    print(gradient, keras.ops.convert_to_numpy(weight))

# %% [markdown]
# Adam divides by the gradient's own size, so the scale is undone. `Phase(learning_rate={...})` scales the
# *steps*. After one step of Adam each weight has gone about as far as its rate:

# %%
slower = tl.Phase(
    ("conv4", "conv5", "head"),
    epochs=1,
    learning_rate={"conv4": 1e-5, "conv5": 1e-4, "head": 1e-3},
    batch_size=few.train.num_examples,
    keep="last",
)
model = probed(few, 0)
before = {v.path: keras.ops.convert_to_numpy(v) for v in model.trainable_variables}
tl.fine_tune(model, few, slower);

# %%
steps = pd.Series({v.path: abs(keras.ops.convert_to_numpy(v) - before[v.path]).max() for v in model.trainable_variables})
steps.groupby(lambda path: path.replace("/", "_").split("_")[0]).max()

# %% [markdown]
# ### 5. Fine-tuned only by name
#
# A wrong name, a rate of zero, a layer that was frozen elsewhere: the usual loop runs, and reports an
# accuracy. Here a phase that trains nothing is an error:

# %%
for phase in (tl.Phase("block5"), tl.Phase("conv5", epochs=1, learning_rate=0.0)):
    try:
        tl.fine_tune(probed(few, 0), few, phase)
    except (ValueError, RuntimeError) as error:
        print(error)

# %% [markdown]
# ## What the cut saves
#
# In the plan above a phase was *cut*. Is it the same mathematics? We train one phase cut and whole,
# with plain SGD, and compare times and weights.

# %%
def timed(cut):
    model, few = probed(tl.subset(pets, 400), 0), tl.subset(pets, 400)
    sgd = tl.Phase(("conv5", "head"), epochs=6, learning_rate=1e-2, optimizer="sgd", keep="last", cut=cut)
    run = tl.fine_tune(model, few, sgd, store=None)
    return run, np.concatenate([w.ravel() for w in model.get_weights()])


# %%
(cut, cut_weights), (whole, whole_weights) = timed(True), timed(False)
pd.concat([cut.plan, whole.plan])[["cut at", "why"]].assign(seconds=[cut.seconds, whole.seconds]).round(1)

# %%
finite = np.isfinite(cut_weights)
apart = np.linalg.norm((cut_weights - whole_weights)[finite]) / np.linalg.norm(whole_weights[finite])
f"the whole model took {whole.seconds / cut.seconds:.1f} times as long; weights apart by {apart:.0e} of their length"

# %% [markdown]
# TEXT5
#
# ## Did it happen as predicted?
#
# If your run does not bear a claim out, the cell stops and says so.

# %%
good, bad = (curves[(curves["rate"] == name) & (curves["epoch"] == 8)] for name in list(rates)[1:])
facts = {"gains": gains.mean().to_dict(), "test": test.mean().to_dict(), "apart": apart}
tl.save_results("03_staged_unfreezing", staged, **facts, saved=whole.seconds / cut.seconds)
