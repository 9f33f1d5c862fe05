"""The usual recipe for transfer learning, as the Keras guide gives it: what `finetuning.py` compares with.

It is run as a process of its own and imports nothing of tlteach: the frozen network is a layer of the
model, and runs again in every epoch. BatchNorm layers are frozen one by one, since with
`training=False` alone their statistics move in Keras 3.15 (issue 20285 of Keras), and
the two sides would not do the same mathematics.

Reference:
    https://keras.io/guides/transfer_learning
"""

import time

BEGAN = time.perf_counter()

import json  # noqa: E402
import sys  # noqa: E402
from pathlib import Path  # noqa: E402

import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402


def pictures(folder, split, plan, order=None):
    """Batches of decoded files, in a given order or in their own."""
    files = sorted((folder / split).glob("*/*.png"))
    classes = sorted({file.parent.name for file in files})
    chosen = range(len(files)) if order is None else order(len(files))
    names, labels = zip(*[(str(files[i]), classes.index(files[i].parent.name)) for i in chosen], strict=True)

    def read(name, label):
        picture = tf.io.decode_png(tf.io.read_file(name), channels=3)
        return tf.ensure_shape(tf.cast(picture, "float32"), (*plan["input_size"], 3)), label

    rows = tf.data.Dataset.from_tensor_slices((list(names), list(labels)))
    return rows.map(read, tf.data.AUTOTUNE).batch(plan["batch_size"]).prefetch(tf.data.AUTOTUNE)


def build(folder, plan):
    """The network as a layer, its preprocessing before and a new head behind it."""
    application = getattr(keras.applications, plan["application"])
    shape = (*plan["input_size"], 3)
    base = application(weights=None, include_top=False, input_shape=shape, **plan["options"])
    base.load_weights(plan["weights"])
    base.trainable = False
    x = inputs = keras.Input(shape)
    x = sys.modules[application.__module__].preprocess_input(x)
    x = base(x, training=False)
    x = keras.layers.GlobalAveragePooling2D()(x)
    head = keras.layers.Dense(2, activation="softmax")
    model = keras.Model(inputs, head(x))
    with np.load(folder / "head.npz") as held:
        head.set_weights([held["kernel"], held["bias"]])
    return model, base


def unfreeze(base, first):
    """Let the layers from one on move, but for BatchNorm."""
    base.trainable = True
    names = [layer.name for layer in base.layers]
    for place, layer in enumerate(base.layers):
        frozen = place < names.index(first) or isinstance(layer, keras.layers.BatchNormalization)
        layer.trainable = not frozen


def fit(folder, model, plan, number):
    """Compile and fit; the pictures of each epoch come in the order that our side gives them."""
    model.compile(keras.optimizers.Adam(plan["rates"][number]), "sparse_categorical_crossentropy", metrics=["accuracy"])
    val, losses = pictures(folder, "val", plan), []
    for epoch in range(plan["epochs"]):
        train = pictures(folder, "train", plan, np.random.default_rng([number + 1, epoch]).permutation)
        history = model.fit(train, validation_data=val, initial_epoch=epoch, epochs=epoch + 1, verbose=0).history
        losses += history["loss"]
    return losses


def main(folder):
    plan = json.loads((folder / "plan.json").read_text())
    model, base = build(folder, plan)
    losses = fit(folder, model, plan, 0) if plan["head_first"] else []
    unfreeze(base, plan["first_layer"])
    losses += fit(folder, model, plan, 1)
    seconds = time.perf_counter() - BEGAN
    test = model.evaluate(pictures(folder, "test", plan), verbose=0)[1] if plan["test"] else None
    print(json.dumps({"seconds": seconds, "losses": losses, "accuracy": test}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
