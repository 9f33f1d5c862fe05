# %% [markdown]
# # 13 The museum of traps
#
# Most transfer learning that fails does so without an error. In each room of this museum stand a few lines of plain
# Keras, as public notebooks have them, with one thing wrong. What does it look like from outside? What names it? What
# mends it?
#
# **You will**
#
# - predict the symptom of each trap, then measure it,
# - let `tl.check_recipe` look at the model and its data, and read what it saw,
# - mend one line at a time, and measure again,
# - see what a checker cannot see.
#
# **Time** 3 minutes in mini size on two cores. **Before** Lessons 01 and 03. No download: drawn pets and mini networks in any
# size, because each trap is shown by what a *known* network does.

# %% tags=["needed"]
import tempfile
from pathlib import Path

import keras
import numpy as np
import pandas as pd
from keras import layers
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from threadpoolctl import threadpool_limits

import tlteach as tl

threadpool_limits(1);  # on problems this small threads only wait for each other

# %% [markdown]
# ## The cloakroom
#
# Pictures as plain arrays, 160 to learn from, and a network as `keras.applications.VGG16(include_top=False)` gives it:
# without preprocessing inside. (Ours is the mini one, and has it inside; here we leave it outside.)

# %% tags=["needed"]
pets = tl.load_dataset("cats_vs_dogs", "mini")


def arrays(split, each=80):
    """So many pictures of each class, `(n, 64, 64, 3)` in 0..255, and their labels."""
    rows = np.concatenate([np.flatnonzero(split.labels == label)[:each] for label in (0, 1)])
    rows = np.random.default_rng(0).permutation(rows)
    return split.take(rows).sized((64, 64)).array().astype("float32"), split.labels[rows]


(x, y), (x_val, y_val), (x_test, y_test) = arrays(pets.train), arrays(pets.val), arrays(pets.test)

# %% tags=["needed"]
def application(name):
    whole = tl.load_backbone(name, "mini").model
    return keras.Model(whole.get_layer("preprocess").output, whole.output, name=name)


vgg = application("vgg16")
vgg.trainable = False
published = vgg.get_weights()
preprocess = keras.applications.vgg16.preprocess_input  # changes a float array in place: give it a copy
ready, ready_val = preprocess(x.copy()), preprocess(x_val.copy())

# %% [markdown]
# A head, and a model of both. `run_eagerly`: no graph is built, which for a handful of steps is quicker.

# %% tags=["needed"]
SPARSE = "sparse_categorical_crossentropy"


def new_head(units=2, activation="softmax"):
    return keras.Sequential([layers.GlobalAveragePooling2D(), layers.Dense(units, activation=activation)])


def classifier(head, loss=SPARSE, rate=3e-3):
    model = keras.Sequential([keras.Input((64, 64, 3)), vgg, head])
    model.compile(keras.optimizers.Adam(rate), loss, metrics=["accuracy"], run_eagerly=True)
    return model

# %% [markdown]
# A frozen backbone gives the same features in each epoch, so for the measurements it is run once, and the head is fitted to
# what it gave, with three seeds.

# %% tags=["needed"]
def fitted(x, y, *, head=new_head, loss=SPARSE, **fit):
    """Heads fitted with three seeds, the backbone frozen."""
    features, heads = vgg(x), []
    for seed in range(3):
        keras.utils.set_random_seed(seed)
        heads.append(head())
        heads[-1].compile(keras.optimizers.Adam(3e-3), loss, metrics=["accuracy"])
        heads[-1].fit(features, y, epochs=30, batch_size=32, verbose=0, **fit)
    return heads


def accuracies(heads, x, y):
    features = vgg(x)
    return [head.evaluate(features, y, verbose=0)[1] for head in heads]

# %% [markdown]
# What a room has shown goes into two books: numbers into `measured`, what the checker found into `museum`.

# %% tags=["needed"]
measured, museum = [], {}


def note(room, state, values):
    measured.extend({"room": room, "state": state, "accuracy": value} for value in values)
    return f"{state}: {', '.join(f'{value:.2f}' for value in values)}"


def ask(room, model, train, **more):
    """Let the checker look, keep what it found, and print it."""
    museum[room] = tl.check_recipe(model, train, **more)
    print(tl.describe_findings(museum[room], not_checked=False))

# %% [markdown]
# Before the first room, the way it should be:

# %%
right_heads = fitted(ready, y)
right = accuracies(right_heads, ready_val, y_val)
ask("nothing wrong", classifier(new_head()), (ready, y), val=(ready_val, y_val))
note("channel order", "mended", right)
note("input range", "mended", right)

# %% [markdown]
# ## Room 1: the range
#
# "Normalise the pixels." **Predict** the validation accuracy (the right way has three quarters).

# %%
divided, divided_val = x / 255, x_val / 255
model = classifier(new_head())
note("input range", "trap", accuracies(fitted(divided, y), divided_val, y_val))

# %%
ask("input range", model, (divided, y), val=(divided_val, y_val))

# %% [markdown]
# **A coin.** Nothing failed, the loss is a number. To this network, which learned from pixels of -124 to 151, the pictures
# are all the same grey: its features hardly differ from picture to picture. For each feature we take the distance from its least value over 40
# pictures to its largest, and average over the features:

# %%
shades = {"as it should be": vgg(ready[:40]), "divided by 255": vgg(divided[:40])}
spread = {name: np.ptp(np.asarray(f).mean((1, 2)), axis=0).mean() for name, f in shades.items()}
pd.Series(spread).plot.barh(figsize=(6, 1.4), xlabel="least to most of a feature over 40 pictures, mean");

# %% [markdown]
# ## Room 2: red and blue
#
# The mean colour is taken away by hand, and the channels stay as they are. VGG learned from blue, green, red.
# **Predict**: a coin again?

# %%
mean_colour = np.array([123.68, 116.78, 103.94], "float32")
rgb, rgb_val = x - mean_colour, x_val - mean_colour
note("channel order", "trap", accuracies(fitted(rgb, y), rgb_val, y_val))

# %%
ask("channel order", classifier(new_head()), (rgb, y), val=(rgb_val, y_val))

# %% [markdown]
# **Hardly a symptom**: a few points, on 160 validation pictures, where chance alone is three. Nobody would notice. The head
# learns from wrongly coloured pets and is asked about wrongly coloured pets, and outlines stay outlines. The trap shuts where colour
# matters, or when somebody else's program asks the model with the channels in order. Only looking at the channels tells.
#
# ## Room 3: the mean that does not stand still
#
# ResNet50, called with `training=False` so that BatchNorm stands still; then `trainable = True`. To see it alone,
# with a learning rate of **zero**. **Predict** which numbers of the backbone move in four steps.

# %%
resnet = application("resnet50")
resnet.trainable = False  # here the head would be trained
resnet.trainable = True
inputs = keras.Input((64, 64, 3))
pooled = layers.GlobalAveragePooling2D()(resnet(inputs, training=False))
model = keras.Model(inputs, layers.Dense(2, activation="softmax")(pooled))
model.compile(keras.optimizers.Adam(0.0), SPARSE, metrics=["accuracy"], run_eagerly=True)

# %%
def means():
    """The moving means of each BatchNorm layer."""
    return {layer.name: keras.ops.convert_to_numpy(layer.moving_mean).copy() for layer in resnet.layers if hasattr(layer, "moving_mean")}


def drift(rows=64):
    """How far each layer's means went in one epoch, as a share of their length."""
    before = means()
    model.fit(ready[:rows], y[:rows], batch_size=16, verbose=0)
    return pd.Series({name: np.linalg.norm(m - before[name]) / np.linalg.norm(before[name]) for name, m in means().items()})

# %%
moved_means = drift()
moved_means.plot(xlabel="BatchNorm layer, from the input to the end", ylabel="moved, as a share", logy=True, figsize=(6, 2.4), xticks=[]);

# %%
ask("BatchNorm moves", model, (ready, y), fine_tuning=True)

# %%
for layer in resnet.layers:
    if isinstance(layer, layers.BatchNormalization):
        layer.trainable = False
model.compile(keras.optimizers.Adam(1e-5), SPARSE, metrics=["accuracy"], run_eagerly=True)
still_means = drift(rows=16)
ask("BatchNorm still (mended)", model, (ready, y), fine_tuning=True)
f"moved: {still_means.max():.1g}"

# %% [markdown]
# **All 53 moved**, with each step one per cent of the way towards what sixteen pets show, and no weight was trained. The first
# layer went farthest, by more than a quarter of its length, probably because its means are short (the mean colour was taken off before it)
# and drawings have other colours than photographs. What `training=False` promises holds for
# `model(x)` and not for `fit`, up to Keras 3.15. (With a Keras that has mended it, the first curve is flat.)
#
# ## Room 4: too late
#
# The head is trained, and then the backbone is set free. **Predict** how many of the backbone's 13 kernels move.

# %%
def moved(model, backbone, rows=32):
    """How many kernels of the backbone move in one step."""
    before = [keras.ops.convert_to_numpy(v).copy() for v in backbone.weights if len(v.shape) == 4]
    model.fit(ready[:rows], y[:rows], batch_size=rows, verbose=0)
    after = [keras.ops.convert_to_numpy(v).copy() for v in backbone.weights if len(v.shape) == 4]
    return sum(not np.array_equal(a, b) for a, b in zip(before, after))

# %%
model = keras.Sequential([keras.Input((64, 64, 3)), vgg, new_head()])
model.compile(keras.optimizers.Adam(1e-3), SPARSE, metrics=["accuracy"])
model.fit(ready[:32], y[:32], verbose=0)
vgg.trainable = True  # and now: fine-tuning
model.optimizer.learning_rate = 1e-5
try:
    too_late = moved(model, vgg)
except ValueError:  # JAX says it, in other words
    too_late = 0
f"{too_late} of 13 kernels moved"

# %%
ask("trainable after compile", model, (ready, y), val=(ready_val, y_val))

# %%
model.compile(keras.optimizers.Adam(1e-5), SPARSE, metrics=["accuracy"], run_eagerly=True)
in_time = moved(model, vgg)
ask("trainable, then compile (mended)", model, (ready, y), val=(ready_val, y_val))
f"{in_time} of 13 kernels moved"

# %% [markdown]
# Do not look at the loss: it can fall in either case, for the head goes on learning. Count what moves.
#
# ## Room 5: the wrong twin
#
# The best model is kept in a file, as `ModelCheckpoint` does, and is loaded to be fine-tuned. **Predict** the count.

# %%
vgg.trainable = False
vgg.set_weights(published)
path = f"{tempfile.mkdtemp()}/best.keras"
classifier(new_head()).save(path)
model = keras.models.load_model(path, compile=False)
vgg.trainable = True
model.compile(keras.optimizers.Adam(1e-5), SPARSE, metrics=["accuracy"], run_eagerly=True)

# %%
twin = model.layers[0]
wrong_twin = moved(model, twin)
ask("the wrong twin", model, (ready, y), val=(ready_val, y_val), fine_tuning=True)

# %%
twin.trainable = True
model.compile(keras.optimizers.Adam(1e-5), SPARSE, metrics=["accuracy"], run_eagerly=True)
right_twin = moved(model, twin)
ask("its own backbone (mended)", model, (ready, y), val=(ready_val, y_val), fine_tuning=True)
f"before: {wrong_twin}, mended: {right_twin} of 13 kernels moved"

# %% [markdown]
# The variable `vgg` is still there, and it is *another network* than the one in the file. `fine_tuning=True` tells the checker what the
# step is for: a frozen backbone is right in one step and wrong in the next.
#
# ## Room 6: the rate
#
# All of VGG16, from the published weights, at Adam's 1e-2 and at 1e-4: eight steps of eight pictures, three seeds. **Predict** the
# loss after the *first* step, and after eight (a coin has 0.69). In the plot each loss is taken before its step, so that 0 is the untouched network.

# %%
def eight_steps(rate, seed):
    keras.utils.set_random_seed(seed)
    vgg.set_weights(published)
    model = classifier(new_head(), rate=rate)
    losses = [float(model.train_on_batch(ready[i : i + 8], y[i : i + 8], return_dict=True)["loss"]) for i in range(0, 64, 8)]
    return losses, model.evaluate(ready_val[:64], y_val[:64], batch_size=64, verbose=0)

# %%
steps = {rate: [eight_steps(rate, seed) for seed in range(3)] for rate in (1e-2, 1e-4)}
drawn = {f"{rate:g}, seed {seed}": losses for rate, runs in steps.items() for seed, (losses, _) in enumerate(runs)}
pd.DataFrame(drawn).plot(xlabel="step", ylabel="loss", logy=True, figsize=(6, 2.6), style=3 * ["-"] + 3 * ["--"]);

# %%
vgg.set_weights(published)
ask("learning rate", classifier(new_head(), rate=1e-2), (ready, y), val=(ready_val, y_val), fine_tuning=True)

# %%
ask("learning rate (mended)", classifier(new_head(), rate=1e-5), (ready, y), val=(ready_val, y_val), fine_tuning=True)
vgg.trainable = False
vgg.set_weights(published)
pd.DataFrame({f"{rate:g}": [end[0] for _, end in runs] for rate, runs in steps.items()}).rename_axis("seed").round(2)

# %% [markdown]
# **One step, and the loss is near 100,000, or above.** Adam's first step moves each weight by about the rate, whatever the size of its gradient; at
# 1e-2 that is a quarter of a typical weight. What took long to learn is gone. And then the curve comes back as if nothing had been! After eight
# steps one seed of the three has a coin's loss on validation (the table), another ten times that. At 1e-4 it is 0.69 to 1.00: eight steps
# of eight pictures teach a new head next to nothing. So the last number alone may look like a slow start. It is the whole curve that tells.
#
# ## Room 7: logits
#
# A head without softmax, and a loss that does not know. Then the reverse. **Predict** both.

# %%
def bare():
    return new_head(activation=None)


knows = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
print(note("logits", "trap", accuracies(fitted(ready, y, head=bare), ready_val, y_val)))
print(note("logits", "mended", accuracies(fitted(ready, y, head=bare, loss=knows), ready_val, y_val)))

# %%
ask("logits", classifier(bare()), (ready, y), val=(ready_val, y_val))
ask("logits (mended)", classifier(bare(), loss=knows), (ready, y), val=(ready_val, y_val))

# %% [markdown]
# The loss clips what it takes for probabilities and sees no slope outside of 0..1: the head hardly learns, and the loss is a
# finite number all the while. The reverse, a softmax and `from_logits=True`: on TensorFlow Keras sees through it, warns and does what is right; on JAX and PyTorch
# the softmax is taken twice. Then an answer that is sure *and* right is still charged for:

# %%
perfect = np.eye(2, dtype="float32")[[0, 1, 1]]
twice = float(knows(np.array([0, 1, 1]), perfect))
ask("softmax twice", classifier(new_head(), loss=knows), (ready, y), val=(ready_val, y_val))
f"least loss that two softmax outputs can reach: {twice:.3f}"

# %% [markdown]
# ## Room 8: the order of the folders
#
# Two data sets are read from one folder, and somebody gave class names to one of the two. **Predict** the accuracy.

# %%
folder = Path(tempfile.mkdtemp())
for row in range(40):
    (folder / pets.classes[y_val[row]]).mkdir(exist_ok=True)
    keras.utils.save_img(folder / pets.classes[y_val[row]] / f"{row}.png", x_val[row], scale=False)
read = keras.utils.image_dataset_from_directory
train = read(folder, image_size=(64, 64), verbose=False)
val = read(folder, image_size=(64, 64), verbose=False, class_names=["dog", "cat"])

# %%
inputs = keras.Input((64, 64, 3))
model = keras.Model(inputs, right_heads[0](vgg(preprocess(inputs))))
model.compile(keras.optimizers.Adam(3e-3), SPARSE, metrics=["accuracy"], run_eagerly=True)
ordered = {"one order": model.evaluate(train, verbose=0)[1], "the other": model.evaluate(val, verbose=0)[1]}
ordered

# %%
ask("order of the classes", model, train, val=val)

# %% [markdown]
# The two accuracies add up to one: **worse than a coin is a sign**, a network that knows the answer and is asked in the wrong
# language. (We ask the same pictures twice, so the checker also says that train and validation are the same. It is right.)
#
# ## Room 9: seen before
#
# Fifty pictures, and labels from a **coin**: there is nothing to learn. First augment (mirrored, and brighter), then split. A
# logistic regression on the features, ten draws. **Predict** its accuracy.

# %%
pictures = preprocess(x[:50].copy())
copies = [np.asarray(vgg(each)).reshape(50, -1) for each in (pictures, pictures[:, :, ::-1], pictures + 8)]


def scored(seed, split_first):
    coin = np.random.default_rng(seed).integers(0, 2, 50)
    known, _ = train_test_split(np.arange(50), test_size=0.3, random_state=seed)
    every, its = np.concatenate(copies), np.tile(coin, 3)
    of_picture = np.tile(np.arange(50), 3)
    learned = np.isin(of_picture, known) if split_first else np.random.default_rng(seed).random(150) < 0.7
    return LogisticRegression(C=10, max_iter=300).fit(every[learned], its[learned]).score(every[~learned], its[~learned])

# %%
print(note("copies, labels by coin", "trap", [scored(seed, split_first=False) for seed in range(10)]))
print(note("copies, labels by coin", "mended", [scored(seed, split_first=True) for seed in range(10)]))

# %%
every, its = np.concatenate([x[:50], x[:50, :, ::-1]]), np.tile(y[:50], 2)
x_a, x_b, y_a, y_b = train_test_split(preprocess(every), its, test_size=0.3, random_state=0)
ask("copies", classifier(new_head()), (x_a, y_a), val=(x_b, y_b))

# %% [markdown]
# **Nine in ten right, of nothing.** The regression knows each picture by heart, and meets it again, mirrored. Its relative, with no
# copy at all: the test joins the training pictures "for the final model", and is then reported.

# %%
more, labels = np.concatenate([ready, preprocess(x_test.copy())]), np.concatenate([y, y_test])
features, test_features = (np.asarray(vgg(each)).reshape(len(each), -1) for each in (more, more[160:]))
learner = LogisticRegression(C=10, max_iter=300)
print(note("test in training", "trap", [learner.fit(features, labels).score(test_features, y_test)]))
print(note("test in training", "mended", [learner.fit(features[:160], y).score(test_features, y_test)]))
ask("test in training", classifier(new_head()), (more, labels), val=(ready_val, y_val), test=(more[160:], y_test))

# %% [markdown]
# ## Room 10: the shaken ruler
#
# One function augments everything: training, validation, and it is cached. **Predict**: what do five measurements of one model give?
# How many different pictures does it see in three epochs?

# %%
shake = keras.Sequential([layers.RandomFlip(), layers.RandomRotation(0.2, fill_mode="nearest")])
one, other = keras.utils.split_dataset((ready, y), left_size=96, seed=0)
train = one.batch(32).map(lambda p, label: (shake(p, training=True), label)).cache()
val = other.batch(32).map(lambda p, label: (shake(p, training=True), label))

# %%
def loss_on(data):
    batches = list(data)
    pictures, labels = (np.concatenate(each) for each in zip(*batches))
    return right_heads[0].evaluate(vgg(pictures), labels, verbose=0)[0]


def different(data, epochs=3):
    return len({picture.tobytes() for _ in range(epochs) for batch, _ in data for picture in np.asarray(batch)})


five = [loss_on(val) for _ in range(5)]
anew = one.batch(32).map(lambda p, label: (shake(p, training=True), label))
seen = {"cached": different(train), "drawn anew": different(anew)}
print("loss of one model, five times:", ", ".join(f"{loss:.3f}" for loss in five))
seen

# %%
ask("augmentation", classifier(new_head()), train, val=val)

# %%
train = one.cache().batch(32).map(lambda p, label: (shake(p, training=True), label))
ask("augmentation (mended)", classifier(new_head()), train, val=other.batch(32))

# %% [markdown]
# Nothing was learned between the five, and they differ: a shaken ruler. And of 288 pictures that three epochs could show, the cache shows
# 96, three times.
#
# ## Room 11: ninety per cent
#
# 76 cats and eight dogs, in training and in validation. **Predict** the accuracy, and then the share of dogs that are found (for that we ask all
# 80 dogs of validation). The class weights, 0.55 and 5.25, let the eight dogs count as much as the 76 cats.

# %%
rare, rare_val = (np.r_[np.flatnonzero(of == 0)[:76], np.flatnonzero(of == 1)[:8]] for of in (y, y_val))
heads = {
    "plain": fitted(ready[rare], y[rare]),
    "class_weight": fitted(ready[rare], y[rare], class_weight={0: 0.55, 1: 5.25}),
}

# %%
dogs = np.flatnonzero(y_val == 1)
found_dogs = {name: accuracies(three, ready_val[dogs], y_val[dogs]) for name, three in heads.items()}
all_right = {name: accuracies(three, ready_val[rare_val], y_val[rare_val]) for name, three in heads.items()}
print(note("rare dogs found", "trap", found_dogs["plain"]))
print(note("rare dogs found", "mended", found_dogs["class_weight"]))
pd.DataFrame({"accuracy": pd.DataFrame(all_right).mean(), "dogs found": pd.DataFrame(found_dogs).mean()}).round(2)

# %% [markdown]
# Weights find twice as many dogs and cost some cats. Whoever reads the accuracy alone takes the first. (Always to say "cat" has
# 0.90, which is more than either.)

# %%
ask("rare class", classifier(new_head()), (ready[rare], y[rare]), val=(ready_val, y_val))

# %%
model = classifier(new_head())
model.compile("adam", "categorical_crossentropy", metrics=["accuracy", keras.metrics.F1Score(average="macro")])
ask("rare class (mended)", model, (ready[rare], np.eye(2)[y[rare]]), val=(ready_val, np.eye(2)[y_val]))

# %% [markdown]
# ## Two rooms with a curtain
#
# ### A. Merely to ask
#
# A `Resizing` layer stands before a BatchNorm, as in any model that takes pictures of any size. The same pictures are asked in two
# ways. **Predict** the difference.

# %%
inputs = keras.Input((96, 96, 3))
x_in = layers.Resizing(64, 64)(inputs)
model = keras.Model(inputs, layers.GlobalAveragePooling2D()(layers.BatchNormalization(name="norm")(layers.Conv2D(8, 3)(x_in))))
big = keras.ops.convert_to_numpy(keras.ops.image.resize(x[:16], (96, 96)))
mean = model.get_layer("norm").moving_mean
mean_before = keras.ops.convert_to_numpy(mean).copy()
called, predicted = np.asarray(model(big)), model.predict(big, verbose=0)
apart = np.abs(called - predicted).max() / np.abs(predicted).max()
mean_moved = np.abs(keras.ops.convert_to_numpy(mean) - mean_before).max()
f"apart by {apart:.0%} of the largest output; merely asking moved the mean by {mean_moved:.2g}"

# %%
model.compile("adam", "mse")
ask("Resizing and model(x)", model, (big, predicted))
named_resizing = museum["Resizing and model(x)"]["trap"].tolist()
safe = np.abs(np.asarray(model(big, training=False)) - model.predict(big, verbose=0)).max()

# %% [markdown]
# `Resizing` belongs to the same family as the layers for augmentation, and its `call` has `training=True` as its default (Keras 3.15). Whoever
# writes `model(x)` without `training=` lets it decide for all layers behind it: BatchNorm takes the batch's own statistics, and moves. `predict`,
# `evaluate` and `fit` say what they want, and are right. So the recipe is sound, and **the checker is silent**: the trap is in the
# calling. Write `model(x, training=False)`.
#
# ### B. The locked room
#
# The backbone is a `Sequential` in a `Sequential`, was frozen, and comes from a file. We learned from room 5, and unfreeze the right one.

# %%
base = keras.Sequential([keras.Input((64, 64, 3)), *vgg.layers[1:]], name="base")
base.trainable = False
keras.Sequential([keras.Input((64, 64, 3)), base, new_head()]).save(path)
model = keras.models.load_model(path, compile=False)
base = model.layers[0]
base.trainable = True
model.compile(keras.optimizers.Adam(1e-5), SPARSE, metrics=["accuracy"], run_eagerly=True)
locked = moved(model, base)
f"{locked} of 13 kernels moved; base.trainable is {base.trainable}"

# %%
ask("the locked Sequential", model, (ready, y), val=(ready_val, y_val), fine_tuning=True)

# %%
base.trainable = False
base.trainable = True
model.compile(keras.optimizers.Adam(1e-5), SPARSE, metrics=["accuracy"], run_eagerly=True)
unlocked = moved(model, base)
ask("unlocked (mended)", model, (ready, y), val=(ready_val, y_val), fine_tuning=True)
f"{unlocked} of 13 kernels moved"

# %% [markdown]
# A `Sequential` does not keep its own flag in the file, its layers keep theirs. So it says `True`, they say `False`; and to set `True` where
# there is `True` already changes nothing, under TensorFlow. False first, then True. And count.
#
# ## The catalogue
#
# First the rooms that have an accuracy, with the trap and mended, over three seeds or ten draws (*test in training* is one run; of the rare dogs
# it is the share that is found). **Predict**: in which rooms does the trap stand *right* of the mended one?

# %%
tl.plot_ranges(pd.DataFrame(measured), by="room", beside="state");

# %%
EXPECTED = {
    "input range": "input range", "channel order": "channel order", "BatchNorm moves": "BatchNorm moves",
    "trainable after compile": "trainable changed since compile", "the wrong twin": "backbone frozen",
    "learning rate": "learning rate too high", "logits": "softmax and from_logits", "softmax twice": "softmax and from_logits",
    "order of the classes": "order of the classes", "copies": "duplicates across splits", "test in training": "test data in training",
    "augmentation": "augmentation in validation", "rare class": "imbalance with plain accuracy",
    "Resizing and model(x)": "(in the calling, not in the recipe)", "the locked Sequential": "backbone frozen",
}
catalogue = pd.DataFrame(
    [(room, trap, trap in set(museum[room]["trap"]), len(museum[room])) for room, trap in EXPECTED.items()],
    columns=["room", "trap", "found", "findings"],
)
catalogue

# %%
sound = {room: len(found) for room, found in museum.items() if "mended" in room or room == "nothing wrong"}
pd.Series(sound, name="alarms").to_frame()

# %% [markdown]
# In two rooms the trap looks *better* than the truth: copies, and the test in training. A number that pleases is seldom looked into. One row of fifteen was
# not found, and that is right. No sound model raised an alarm. (This checker was written by people who know
# these traps. Of seventeen further faults, planted afterwards in the style of public notebooks, it first missed four, and it has
# learned these. There are others.)
#
# ## Did it happen as predicted?
#
# If your run does not bear a claim out, the cell stops and says so.

# %%
book = pd.DataFrame(measured).groupby(["room", "state"])["accuracy"].mean()
after = {rate: float(np.mean([end[0] for _, end in runs])) for rate, runs in steps.items()}
counts = {"too late": too_late, "in time": in_time, "twin": wrong_twin, "own": right_twin, "locked": locked, "unlocked": unlocked}
tl.save_results("13_museum_of_traps", pd.DataFrame(measured), counts=counts, drift=float(moved_means.mean()), after=str(after))

# %%
print(tl.claim("traps found, of 15", int(catalogue["found"].sum()), 14, 14))
print(tl.claim("findings at the Resizing layer", len(museum["Resizing and model(x)"]), 0, 0))
print(tl.claim("alarms at sound recipes", sum(sound.values()), 0, 0))
print(tl.claim("kernels that moved: too late, twin, locked", too_late + wrong_twin + locked, 0, 0))
print(tl.claim("kernels that moved: in time, own, unlocked", in_time + right_twin + unlocked, 36, 39))

# %%
print(tl.claim("accuracy at the wrong range", book["input range", "trap"], 0.4, 0.6))
print(tl.claim("accuracy at the right range", book["input range", "mended"], 0.62, 0.9))
print(tl.claim("what wrong channels cost", book["channel order", "mended"] - book["channel order", "trap"], -0.04, 0.13))
print(tl.claim("accuracy of logits taken for probabilities", book["logits", "trap"], 0.4, 0.7))
print(tl.claim("what from_logits gives back", book["logits", "mended"] - book["logits", "trap"], 0.04, 0.4))
print(tl.claim("least loss with softmax twice", twice, 0.313, 0.314))
print(tl.claim("the two orders of folders, added up", sum(ordered.values()), 0.99, 1.01))

# %%
print(tl.claim("accuracy of labels by coin, copies", book["copies, labels by coin", "trap"], 0.75, 1))
print(tl.claim("the same, split first", book["copies, labels by coin", "mended"], 0.4, 0.6))
print(tl.claim("test in training", book["test in training", "trap"], 0.9, 1))
print(tl.claim("rare dogs found, plain", book["rare dogs found", "trap"], 0, 0.4))
print(tl.claim("rare dogs found, weighted", book["rare dogs found", "mended"], 0.3, 0.95))
print(tl.claim("accuracy of the plain one, nine cats to a dog", np.mean(all_right["plain"]), 0.8, 1))
print(tl.claim("different pictures in three epochs, cached", seen["cached"], 96, 96))
print(tl.claim("highest loss on the way at 1e-2, least of three seeds", min(max(losses) for losses, _ in steps[1e-2]), 50, 1e12))
print(tl.claim("highest loss on the way at 1e-4, most of three seeds", max(max(losses) for losses, _ in steps[1e-4]), 0.5, 10))

# %%
if moved_means.max() > 0:  # else this Keras holds them still
    print(tl.claim("layers whose means moved at rate zero", int((moved_means > 0).sum()), 53, 53))
    print(tl.claim("how far the farthest went", moved_means.max(), 0.02, 2))
print(tl.claim("how far they moved when told one by one", still_means.max(), 0, 0))
if apart > 0.001:  # else this Keras has mended it
    print(tl.claim("model(x) and predict, apart as a share", apart, 0.1, 100))
print(tl.claim("model(x, training=False) and predict", safe, 0, 0.05))

# %% [markdown]
# ## Summary
#
# - Look at what *arrives* at the first kernel: its range, its channels. A coin, or nothing at all, is the symptom.
# - Count what *moves*: kernels that should, means that should not. Compile last.
# - Ask of each number whether it is possible: worse than a coin, better than possible, exactly zero, the share of one class.
# - Split first. Then augment, training alone, after the cache.
# - `tl.check_recipe` looks for all of these in plain Keras. It sees the recipe, not who calls it, and not where data come from.

# %% [markdown]
# ## Exercises
#
# Put your answer in place of `...` and run the cell; it says what it thinks of it. `tl.hint("13.1")` helps.
#
# ### Exercise 13.1: Change this number
#
# `matplotlib.pyplot.imread` gives a PNG in 0..1, and `preprocess` takes 0..255. By what must these be multiplied before it?

# %%
as_read = x_val[:8] / 255
# solution: one number
scale = 255
# end
tl.check("13.1", scale)

# %% [markdown]
# ### Exercise 13.2: Name the trap
#
# `"input range"`, `"rate too high"`, `"frozen backbone"`, `"other order of classes"`, `"copies across splits"` or `"rare class"`?
#
# - A: two balanced classes; training accuracy 0.88, validation 0.14.
# - B: the loss begins at 0.7 and is at 40 after three steps; then every picture gets the same answer.
# - C: three classes, accuracy 0.94 from the first epoch on; of two classes not one picture is ever found.
# - D: the labels were drawn by a coin; validation accuracy 0.85.
# - E: ten epochs of fine-tuning, and the backbone's kernels are bit by bit what they were.

# %%
# solution: {"A": "?", "B": "?", "C": "?", "D": "?", "E": "?"}
named = {
    "A": "other order of classes",
    "B": "rate too high",
    "C": "rare class",
    "D": "copies across splits",
    "E": "frozen backbone",
}
# end
tl.check("13.2", named)

# %% [markdown]
# ### Exercise 13.3: Find the copies
#
# Write a function that counts how many *test* rows stand in train as well, number by number. `train` and `test` are arrays with
# a row a picture.

# %%
# solution: a function that gives a whole number
def shared(train, test):
    known = {row.tobytes() for row in train}
    return sum(row.tobytes() in known for row in test)
# end


tl.check("13.3", shared)

# %% [markdown]
# ### Exercise 13.4: In which order?
#
# A ResNet50 with a new head is to be fine-tuned in plain Keras. Put the steps in order: `"compile"`, `"fit"`, `"freeze BatchNorm"`,
# `"train the head"`, `"trainable = True"`.

# %%
# solution: a list of the five
steps_in_order = ["train the head", "trainable = True", "freeze BatchNorm", "compile", "fit"]
# end
tl.check("13.4", steps_in_order)

# %% [markdown]
# ### Exercise 13.5: Design the experiment
#
# Room 2 saw hardly any harm. Design one that would see it: what `differs` between the two arms (`"channel order"` or `"channel order and rate"`),
# what each model is `asked` (`"pictures in its own order"` or `"pictures in both orders"`), which split you `compare on`, and how many `seeds`.

# %%
# solution: {"differs": "?", "asked": "?", "compare on": "?", "seeds": ?}
experiment = {"differs": "channel order", "asked": "pictures in both orders", "compare on": "validation", "seeds": 5}
# end
tl.check("13.5", experiment)

# %% [markdown]
# ### Further
#
# - Take a public notebook that fine-tunes something. Build its model with `weights=None` and give it to `tl.check_recipe`, with a few of its rows.
# - Run exercise 13.5: train as in room 2, and ask with the channels in order.
# - Plant two traps in one model. Are both named? Does one hide the other?
#
# ## References
#
# - Keras issue 20285: `training=False` and BatchNorm in `fit`. Keras pull request 22413 and TensorFlow issue 117169: `trainable` after `compile`.
# - keras-io issue 1549 and TensorFlow issue 48412: `/255` before EfficientNet.
# - deep-learning-with-python-notebooks issue 257: fine-tuning that leaves the backbone frozen.
# - Yagis et al. 2021, *Effect of data leakage in brain MRI classification using 2D convolutional neural networks* (labels by chance, by slice).
# - Kapoor and Narayanan 2023, *Leakage and the reproducibility crisis in machine-learning-based science*.
# - Zhang et al. 2017, *Understanding deep learning requires rethinking generalization* (networks learn labels by coin by heart).
# - He and Garcia 2009, *Learning from imbalanced data*.
