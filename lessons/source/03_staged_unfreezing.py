# %% [markdown]
# # 03 Staged unfreezing
#
# Feature extraction leaves the backbone as it came. *Fine-tuning* lets some of it move towards the
# target, stage by stage from the head downwards. It is a recipe of five lines that is mostly
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
# `TLTEACH_SIZE=full` the same cells use ImageNet weights and real photographs; that wants a GPU.

# %% tags=["needed"]
from dataclasses import replace

import keras
import numpy as np
import pandas as pd
from tqdm import tqdm

import tlteach as tl

# %% tags=["needed"]
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
plan = tl.gradual_unfreezing(resnet, stages=2)
pd.DataFrame(plan)[["train", "epochs", "learning_rate", "schedule", "keep", "patience"]]

# %% [markdown]
# A phase is a plain object, to print, to edit and to write by hand. We edit: a higher rate that
# rises and falls again (`one_cycle`), and patience to see the whole of it.

# %%
phases = [replace(phase, epochs=6, learning_rate=1e-3, schedule="one_cycle", patience=6) for phase in plan]

# %%
def probed(few, seed):
    """A fresh backbone under a solved probe."""
    keras.utils.set_random_seed(seed)
    backbone = tl.load_backbone("resnet50")
    return tl.attach_head(backbone, tl.linear_probe(tl.extract_features(backbone, few), seed=seed))

# %% [markdown]
# **Predict**, for 800 labels: how many points on the test split does each phase add to what was
# before, on average over three seeds, each with other labels?
#
# | `conv5` | `conv4` too |
# |---|---|
# | ? | ? |
#
# A fair guess: `conv5` adds three points, `conv4` at most one more. (This was
# wrong.)

# %%
def staged(seed):
    few = tl.subset(pets, 800, seed=seed)
    model, runs = probed(few, seed), []
    before, accuracy = model.get_weights(), {"probe": tl.evaluate(model, pets.test).accuracy}
    for phase in phases:
        runs.append(tl.fine_tune(model, few, phase, seed=seed))
        accuracy[phase.train[0]] = tl.evaluate(model, pets.test).accuracy
    return runs, accuracy, tl.trainable_table(model, before)

# %% [markdown]
# (`fine_tune(model, few, phases)` does both phases in one call; we stop between them to look.) The
# next cell takes a minute.

# %%
runs, accuracies, tables = zip(*[staged(seed) for seed in tqdm(range(3))])

# %%
pd.concat([run.plan for run in runs[0]])[["trains", "variables", "cut at", "kept epoch", "why"]]

# %% [markdown]
# After each phase the library proves that no other variable moved. `cut at`: what stands before
# that layer is constant, so it was computed once and kept, and only the rest was trained. `kept
# epoch` is the best on validation; 0 would mean that none was better than the phase's beginning.

# %%
tl.plot_run(runs[0][0]);

# %%
tl.plot_run(runs[0][1]);

# %% [markdown]
# Training comes close to perfect, validation does not: that gap is overfitting. How far did each
# stage go?

# %%
tl.plot_stages(tables[0]);

# %% [markdown]
# Exactly nowhere, where a stage was frozen; a few per cent elsewhere. And did it help?

# %%
test = 100 * pd.DataFrame(accuracies).rename_axis("seed")
rows = test.reset_index().melt("seed", var_name="stage", value_name="accuracy in %")
tl.plot_by_stage(rows.assign(target="test split", weights="mean, least and most of three seeds"), value="accuracy in %");

# %%
gains = test.diff(axis=1).drop(columns="probe").assign(together=test["conv4"] - test["probe"])
gains.agg(["mean", "min", "max"]).round(1)

# %% [markdown]
# **It helps a little, and the guess was wrong.** Together the two phases add one to two points on average:
# nothing for one seed, nearly three for another. Each phase adds about half of that, and the second gives
# `conv5` six more epochs as well: we did not separate the two. A likely reason why it is so little: `conv5` holds
# most of the parameters, and can learn these few pictures by heart, as the curves show. And our mini network learned from
# small photographs and never saw a drawing, so what would have to change is also further down.
#
# The spread is as large as the gain. Where labels are few, there is little to steer by: stay with
# the probe, unless validation says otherwise.
#
# ## BatchNorm: told to stand still, and moving
#
# A BatchNorm layer keeps running means (and variances) of what it saw, and moves them in training. In
# fine-tuning that is rarely wanted: each step replaces one per cent of what all the source's pictures had
# shown, so that some epochs on few pictures shift it noticeably. The
# usual recipe calls the backbone with `training=False` and trusts that to hold the means still
# after `trainable = True`. In Keras 3.15 `fit` moves them all the same.
#
# To see BatchNorm *alone*, we give the usual recipe a learning rate of **zero**: no weight can
# move. **Predict**: does the accuracy?

# %%
def usual_recipe():
    backbone = tl.load_backbone("resnet50")
    probe = tl.linear_probe(tl.extract_features(backbone, tl.subset(pets, 160)))
    pixels = keras.Input((*resnet.input_size, 3))
    x = backbone.model(pixels, training=False)  # "BatchNorm stays in inference mode"
    backbone.model.trainable = False  # here others train the head; ours is solved
    backbone.model.trainable = True
    return keras.Model(pixels, probe(keras.layers.GlobalAveragePooling2D()(x)))

# %% [markdown]
# (False first: under TensorFlow, `trainable = True` on a model whose flag is already true is
# skipped and reaches no layer. It is one more thing that goes wrong in silence.) A callback
# watches the means:

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
usual = usual_recipe()
usual.compile(keras.optimizers.Adam(0.0), "sparse_categorical_crossentropy", metrics=["accuracy"])
begin, test_pictures = usual.get_weights(), pets.test.sized(resnet.input_size)


def at_rate_zero(seed):
    few, watch = tl.subset(pets, 160, seed=seed), Watch()
    usual.set_weights(begin)
    usual.fit(few.train.sized(resnet.input_size), epochs=5, callbacks=[watch], verbose=0)
    return usual.evaluate(test_pictures, verbose=0)[1], watch.way

# %%
probe_alone = usual.evaluate(test_pictures, verbose=0)[1]
after, drifts = zip(*[at_rate_zero(seed) for seed in tqdm(range(3))])
pd.DataFrame({"test before": probe_alone, "test after": after}).rename_axis("seed").round(3)

# %% [markdown]
# Beside it `fine_tune`, with a real learning rate:

# %%
few, watch = tl.subset(pets, 160, seed=0), Watch()
model = probed(few, 0)
solved = model.get_weights()
good = tl.fine_tune(model, few, tl.Phase(("conv5", "head"), epochs=5, keep="last"), callbacks=[watch]).history

# %%
drift = pd.DataFrame({"usual recipe, rate 0": drifts[0], "fine_tune, rate 1e-3": watch.way})
drift.plot(xlabel="step", ylabel="distance moved, as a share", figsize=(6, 3));

# %% [markdown]
# The weights stood still and the means did not; they are still on their way when training ends.
# **And accuracy?** In mini size it moves by about a point, which 600 test pictures hardly tell from
# nothing. We had expected more. The trap is not that it always harms; it is that *nothing is what
# you think it is*: the "frozen" network is another one after each step, so kept features no longer
# fit it, and two runs that you compare differ in more than what you changed. `freeze` sets each
# BatchNorm layer to `trainable=False` by itself, and `fine_tune` compares afterwards. (Keras' own
# repair is on its way; with a Keras that has it, the first curve is flat.)
#
# ## The learning rate
#
# `find_learning_rate` raises the rate step by step and watches the loss. Look for where it stops falling and
# begins to *rise*. The proposal keeps a distance from there; the 1e-3 that we use is near it.

# %%
model.set_weights(solved)
found = tl.find_learning_rate(model, few, ("conv5", "head"))
tl.plot_learning_rate(found);

# %% [markdown]
# Now three rates, with `keep="last"`: nothing is put back, so that harm can be seen. **Predict**
# the curves.

# %%
def trained_at(rate, seed):
    few = tl.subset(pets, 160, seed=seed)
    phase = tl.Phase(("conv5", "head"), epochs=5, learning_rate=rate, keep="last")
    return tl.fine_tune(probed(few, seed), few, phase, seed=seed).history

# %%
too_low, too_high = trained_at(1e-6, seed=0), trained_at(0.1, seed=0)
curves = {"too low: 1e-6": too_low, "good: 1e-3": good, "too high: 0.1": too_high}

# %%
pd.DataFrame({name: curve["accuracy"] for name, curve in curves.items()}).plot(
    xlabel="epoch", ylabel="accuracy, training", figsize=(6, 2.6)
);

# %%
pd.DataFrame({name: curve["val_accuracy"] for name, curve in curves.items()}).plot(
    xlabel="epoch", ylabel="accuracy, validation", figsize=(6, 2.6)
);

# %% [markdown]
# One seed is an anecdote. The harm, over three:

# %%
three = [too_high, trained_at(0.1, seed=1), trained_at(0.1, seed=2)]
harmed = pd.DataFrame({"probe": [h["val_accuracy"].iloc[0] for h in three]})
harmed["at 0.1, last epoch"] = [h["val_accuracy"].iloc[-1] for h in three]
harmed.rename_axis("seed").round(2)

# %% [markdown]
# **Too low** looks like peace: training does not move, and validation is the probe's. It costs
# time and nothing else. **Too high** is a coin: the first steps wrecked `conv5`, and no later step
# mends it. **Good** learns the training pictures; validation rises and falls, about where the
# probe was: 160 labels are too few, as said above. With `keep="best"`, the default, the end would
# not have been worse on validation than its beginning, at any rate.
#
# ## Wrong ways that run without a word
#
# ### 1. `trainable` is changed after `compile`
#
# A compiled model goes on training what it knew at its first step. We count what moves:

# %%
model.set_weights(solved)
tl.freeze(model, ["head"])
model.compile("adam", "sparse_categorical_crossentropy")
model.fit(few.train.sized(resnet.input_size), verbose=0);

# %%
declared = tl.freeze(model, ["conv5", "head"])  # and no compile
before = model.get_weights()
try:
    model.fit(few.train.sized(resnet.input_size), verbose=0)
except ValueError as error:  # JAX: an error about the optimizer, which means the same
    print(error)

# %%
stuck = sum(not np.array_equal(now, then) for now, then in zip(model.get_weights(), before))
f"{stuck} variables moved, {len(declared)} were declared trainable"

# %% [markdown]
# **Symptom**: "fine-tuning" changes nothing but the head. The loss still falls a little, so nobody
# notices. A `Phase` compiles for itself.
#
# ### 2. A random head, everything at once, a high rate
#
# The head's first errors are large and mean nothing, and at a high rate they reach every stage.
# **Predict** the test accuracy, from 160 labels.

# %%
wild = tl.attach_head(tl.load_backbone("resnet50"), 2)
tl.freeze(wild, ["all"])
wild.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
random_head = wild.get_weights()


def at_once(rate, seed):
    wild.set_weights(random_head)
    for state in wild.optimizer.variables:  # what Adam remembers of the run before
        state.assign(keras.ops.zeros_like(state))
    wild.optimizer.learning_rate = rate
    wild.fit(tl.subset(pets, 160, seed=seed).train.sized(resnet.input_size), epochs=5, verbose=0)
    return 100 * wild.evaluate(test_pictures, verbose=0)[1]

# %%
ruined = pd.DataFrame({"probe": 100 * probe_alone, "all at once, 0.01": [at_once(0.01, seed) for seed in range(3)]})
ruined.rename_axis("seed").round(1)

# %%
tl.plot_stages(tl.trainable_table(wild, random_head));

# %% [markdown]
# A coin again, and no stage is what it was: compare how far they went with the picture above. The
# symptom in the wild: the answer is the same class for every picture, or nearly so.
#
# **But do not believe that everything at once, or a random head, is always a sin.** The first line of *Further* lets all stages
# move at 1e-3, with a rate that rises and falls: with 600 labels this mini network gains more by it than by two careful
# phases, and from a random head about as much as from the probe (two seeds). It is the rate that ruins. Kumar et al. saw
# what the careful way protects: pictures unlike the training pictures, which this test split does not hold.
#
# ### 3. Augmented, then cached
#
# "Map the augmentation, then cache" is how the usual recipe saves time. But what is cached is one
# draw. We draw once and read twice, and beside it draw twice:

# %%
shake = keras.Sequential([keras.layers.RandomFlip("horizontal"), keras.layers.RandomRotation(0.1, fill_mode="nearest")])
four = few.train.take(range(4)).sized(resnet.input_size)
cache = keras.ops.convert_to_numpy(shake(four.array(), training=True))
drawn_anew = keras.ops.convert_to_numpy(shake(four.array(), training=True))

# %%
table = pd.concat([four.table] * 3)
shown = tl.Split(list(np.concatenate([cache, cache, drawn_anew]).clip(0, 255).astype("uint8")), table, pets.classes)
titles = ["cached: epoch 1"] * 4 + ["cached: epoch 2"] * 4 + ["anew: epoch 2"] * 4
tl.plot_pictures(shown, range(12), titles=titles, columns=4);

# %% [markdown]
# **Symptom**: none that you would see: every epoch gets the same pictures. A phase keeps several copies, or
# draws anew; one copy it refuses:

# %%
try:
    tl.Phase("head", augment=shake, copies=1)
except ValueError as error:
    print(error)

# %% [markdown]
# ### 4. Rates by stage, by scaling gradients
#
# Lower stages should often learn slower. Many scale their gradients down. One step of Adam at a
# rate of 0.001, with a gradient and with a hundredth of it:

# %%
for gradient in (1.0, 0.01):
    weight = keras.Variable([0.0])
    keras.optimizers.Adam(1e-3).apply([keras.ops.convert_to_tensor([gradient])], [weight])
    print(gradient, keras.ops.convert_to_numpy(weight))

# %% [markdown]
# Adam divides by the gradient's own size, so the scale is undone. `Phase(learning_rate={...})`
# scales the *steps*. In its first step with Adam a weight goes about as far as its rate, so let us see
# that one:

# %%
model.set_weights(solved)
slower = {"conv5": 1e-5, "head": 1e-3}
start = {v.path: keras.ops.convert_to_numpy(v) for v in model.trainable_variables}
one_step = tl.Phase(tuple(slower), epochs=1, learning_rate=slower, batch_size=few.train.num_examples, keep="last")
tl.fine_tune(model, few, one_step);

# %%
step = {v.path: abs(keras.ops.convert_to_numpy(v) - start[v.path]).max() for v in model.trainable_variables}
pd.Series(step)[["conv5_block1_1_conv/kernel", "conv5_block3_3_conv/kernel", "head/kernel"]]

# %% [markdown]
# ### 5. Fine-tuned only by name
#
# A wrong name, a rate of zero, a layer that was frozen elsewhere: the usual loop runs, and reports
# an accuracy. Here a phase that trains nothing is an error:

# %%
for phase in (tl.Phase("block5"), tl.Phase("conv5", epochs=1, learning_rate=0.0)):
    try:
        tl.fine_tune(model, few, phase)
    except (ValueError, RuntimeError) as error:
        print(error)

# %% [markdown]
# ## What the cut saves
#
# In the plan above a phase was *cut*. Is it the same mathematics? We train one phase cut and
# whole, with plain SGD, and compare times and weights.

# %%
def timed(cut):
    model.set_weights(solved)
    phase = tl.Phase(("conv5", "head"), epochs=8, learning_rate=1e-2, optimizer="sgd", keep="last", cut=cut)
    run = tl.fine_tune(model, few, phase, store=None)
    return run, np.concatenate([keras.ops.convert_to_numpy(v).ravel() for v in model.trainable_variables])

# %%
(cut, cut_weights), (whole, whole_weights) = timed(True), timed(False)
pd.concat([cut.plan, whole.plan])[["cut at", "why"]].assign(seconds=[cut.seconds, whole.seconds]).round(1)

# %%
apart = np.linalg.norm(cut_weights - whole_weights) / np.linalg.norm(whole_weights)
f"the whole model took {whole.seconds / cut.seconds:.1f} times as long; weights apart by {apart:.0e} of their length"

# %% [markdown]
# The weights agree to rounding, so the cut is not an approximation. `why` said beforehand what is saved in
# arithmetic; the time here includes building the training step. A phase is cut only where that is worth it.
#
# ## Did it happen as predicted?
#
# If your run does not bear a claim out, the cell stops and says so.

# %%
change = 100 * (np.array(after) - probe_alone)
facts = {"gains": gains.mean().to_dict(), "batchnorm": change.tolist(), "ruined": ruined.mean().to_dict()}
tl.save_results("03_staged_unfreezing", rows, **facts, apart=apart, saved=whole.seconds / cut.seconds)

# %%
print(tl.claim("points that conv5 adds to the probe", gains["conv5"].mean(), -1.5, 4))
print(tl.claim("points that conv4 adds to that", gains["conv4"].mean(), -0.5, 6))
print(tl.claim("points that both add", gains["together"].mean(), 0, 6))
moved = min(way[-1] for way in drifts)
if moved > 0:  # else this Keras holds them still
    print(tl.claim("least distance the means moved at rate zero", moved, 0.03, 0.4))
print(tl.claim("distance the means moved in fine_tune", max(watch.way), 0, 0))
print(tl.claim("points that moving means alone change", change.mean(), -6, 2))

# %%
print(tl.claim("validation at rate 0.1", harmed["at 0.1, last epoch"].mean(), 0.35, 0.65))
print(tl.claim("test accuracy, everything at once at 0.01", ruined["all at once, 0.01"].mean(), 42, 64))
print(tl.claim("variables that moved without compile", stuck, 0, 2))
print(tl.claim("cut or whole: weights apart", apart, 0, 1e-4))
print(tl.claim("times as long without the cut", whole.seconds / cut.seconds, 1, 10))

# %% [markdown]
# ## Summary
#
# - Probe first, then stage by stage from the head, at a rate that you looked for.
# - Frozen is what is *proven* not to have moved. BatchNorm has to be told layer by layer.
# - Draw training and validation together: too low, good and too high look different.
# - Each wrong way runs. Count the variables that move, and look at two epochs of your pictures.
# - Few labels: the probe. More labels: unfreeze, and deeper if the source is far from the target.

# %% [markdown]
# ## Exercises
#
# ### Exercise 03.1: Count before you train
#
# The head and `conv5` are to be trained. How many *variables* (kernels, biases and so on, each counted once) may move?

# %%
counted = tl.attach_head(resnet, 2)
# solution: how many variables?
variables = len(tl.freeze(counted, ["conv5", "head"]))
# end
tl.check("03.1", variables)

# %% [markdown]
# ### Exercise 03.2: Write the phases
#
# Your ResNet50 has a *random* head. Write three phases of gradual unfreezing: which stages each trains, and at which rate.

# %%
# solution: a list of tl.Phase([stages], epochs=?, learning_rate=?)
my_phases = [
    tl.Phase("head", epochs=5, learning_rate=1e-3),
    tl.Phase(["conv5", "head"], epochs=5, learning_rate=3e-4),
    tl.Phase(["conv4", "conv5", "head"], epochs=5, learning_rate=1e-4),
]
# end
tl.check("03.2", my_phases)

# %% [markdown]
# ### Exercise 03.3: Name the cause
#
# Four people fine-tune a probe that has 0.80 on validation. What happened to each: `"rate too high"`, `"rate too low"`,
# `"no compile"` (after `trainable` was changed), `"BatchNorm moves"` or `"cached augmentation"`?
#
# - A: training and validation accuracy are 0.50 after the first epoch and stay there.
# - B: `conv5` was set to `trainable`; after five epochs its kernels are exactly, bit by bit, what they were. The head moved.
# - C: at a learning rate of zero, the accuracy after training is another one than before.
# - D: each picture is turned at random, and yet epoch 1 and epoch 2 read equal pictures.

# %%
# solution: {"A": "?", "B": "?", "C": "?", "D": "?"}
causes = {"A": "rate too high", "B": "no compile", "C": "BatchNorm moves", "D": "cached augmentation"}
# end
tl.check("03.3", causes)

# %% [markdown]
# ### Exercise 03.4: Prove it
#
# `before` and `after` are dicts from the names of variables to arrays, and `trained` names those that may move. Which moved
# although they may not?

# %%
# solution: a function that gives a list of names
def moved_though_frozen(before, after, trained):
    return [name for name in before if name not in trained and not np.array_equal(before[name], after[name])]
# end


tl.check("03.4", moved_though_frozen)

# %% [markdown]
# ### Exercise 03.5: Design the experiment
#
# In the lesson, the second phase added most. But it let `conv4` move *and* gave `conv5` six more epochs. Design two arms that
# tell the two apart: what each trains (`"conv5, then conv4 too"` or `"conv5 alone"`), for how many epochs in all, on which split
# you compare, and with how many seeds.

# %%
# solution: {"A trains": "?", "A epochs": ?, "B trains": "?", "B epochs": ?, "compare on": "?", "seeds": ?}
arms = {
    "A trains": "conv5, then conv4 too", "A epochs": 12, "B trains": "conv5 alone", "B epochs": 12,
    "compare on": "validation", "seeds": 3,
}
# end
tl.check("03.5", arms)

# %% [markdown]
# ### Further
#
# - One phase, from a random head: `tl.Phase("all", epochs=8, learning_rate=1e-3, schedule="one_cycle",
#   patience=8)`, with 600 labels and `tl.attach_head(backbone, 2)`. And from the probe? Use three seeds.
# - Add `augment=keras.layers.RandomFlip("horizontal"), copies=4` to the two phases. Does the gap between training
#   and validation close?
#
# ## References
#
# - Howard and Ruder 2018, *Universal Language Model Fine-tuning for Text Classification* (stage by stage).
# - Kumar et al. 2022, *Fine-Tuning can Distort Pretrained Features and Underperform Out-of-Distribution*.
# - Smith 2017, *Cyclical Learning Rates for Training Neural Networks*; Smith 2018, *A Disciplined Approach* (one cycle).
# - Keras issue 20285 and pull request 23364: `training=False` and BatchNorm. Keras issue 11590 and
#   keras-io issue 653: people ask for a right example.
# - TensorFlow issue 117169, Keras pull requests 22413 and 22787: `trainable` after `compile`.
# - deep-learning-with-python-notebooks issue 257: "fine-tuning" that leaves the backbone frozen.
# - The Keras guide *Transfer learning and fine-tuning*: the usual recipe, with the cached augmentation.
