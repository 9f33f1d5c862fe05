"""Pretrain the mini ResNet50 on spoken words and write its half-precision weights: the speech source.

    python tools/make_digits.py --words --out build/words
    python tools/make_speech.py build/words

The words are other words than the digits, said by other voices of espeak-ng (flite's are the same).
Interrupted, it goes on from the last whole epoch.
"""

import json
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
import typer
from make_minis import NETWORKS, WIDTH, _calm_start, export
from tqdm import tqdm

from tlteach._assets import weights_file
from tlteach._folders import read_mini
from tlteach._width import scale_width
from tlteach.data import Split
from tlteach.frontends import SpecAugment

NAME = "resnet50"
SPEEDS = (0.82, 1.2)  # slowest and fastest at which a recording is played
PEAK = 1.5e-3  # learning rate


def load_words(folder, copies, work):
    """Return the classes and `{split: (pictures, labels)}`; pictures are `(copies, n, 64, 64, 1)`, uint8.

    Args:
        folder: Where words.zip and words.csv are.
        copies: How many speeds each training recording is played at, each time another.
        work: Where the arrays are kept.
    """
    file = work / "speech_words.npz"
    if not file.exists():
        recordings, table = read_mini(folder)
        arrays = {"classes": np.array(sorted(table["class"].unique()))}
        for part in ("train", "val"):
            rows = np.flatnonzero(table["split"] == part)
            split = Split(recordings[rows], table.iloc[rows], list(arrays["classes"]))
            arrays[part] = _pictures(split, copies if part == "train" else 1)
            arrays[f"{part}_labels"] = split.labels
        work.mkdir(parents=True, exist_ok=True)
        np.savez(file, **arrays)
    with np.load(file) as kept:
        return list(kept["classes"]), {p: (kept[p], kept[f"{p}_labels"]) for p in ("train", "val")}


def _pictures(split, copies):
    """Pictures of each recording at so many speeds, drawn at random; a single one is at its own speed."""
    random, made = np.random.default_rng(0), []
    for copy in range(copies):
        low, high = np.log(SPEEDS)
        for row in tqdm(range(split.num_examples), desc=f"pictures {copy + 1} of {copies}"):
            factor = float(np.exp(random.uniform(low, high))) if copies > 1 else 1.0
            made.append(replace(split.pictures[row], speed=factor).picture()[..., :1])
    return np.stack(made).reshape(copies, split.num_examples, *made[0].shape)


def sizes(epochs):
    """Return the pixels of each epoch: small pictures first, which cost little; BatchNorm needs time to change."""
    return [32 if epoch < 2 * epochs // 5 else 64 for epoch in range(epochs)]


def build(classes, start):
    """The narrow network between what changes pictures in training and a head for the words.

    Args:
        classes: The words.
        start: `"random"`, or `"photographs"`: the shipped weights, from which words are learned far sooner.
    """
    backbone = scale_width(NETWORKS[NAME](weights=None, include_top=False, input_shape=(None, None, 3)), WIDTH)
    if start == "photographs":
        backbone.load_weights(weights_file(NAME))
    else:
        _calm_start(backbone)
    pictures = keras.Input((None, None, 1), name="pictures")
    x = SpecAugment()(pictures)
    x = keras.layers.Concatenate()([x, x, x])
    x = keras.layers.Rescaling(1.0, [-103.939, -116.779, -123.68])(x)
    x = keras.layers.GlobalAveragePooling2D()(backbone(x))
    x = keras.layers.Dense(len(classes), kernel_initializer="zeros")(keras.layers.Dropout(0.1)(x))
    return keras.Model(pictures, x, name="speech")


def compile_model(model, steps):
    rate = keras.optimizers.schedules.CosineDecay(
        PEAK / 50, decay_steps=steps - steps // 15, warmup_target=PEAK, warmup_steps=steps // 15
    )
    model.compile(
        keras.optimizers.AdamW(rate, weight_decay=0.02, clipnorm=1.0),
        loss=keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1),
        metrics=["accuracy"],
    )


def sized(pictures, size):
    """Average blocks of pixels: `(copies, n, 64, 64, 1)` becomes `(copies, n, size, size, 1)`, uint8."""
    block = pictures.shape[2] // size
    blocks = pictures.reshape(*pictures.shape[:2], size, block, size, block, 1)
    return np.stack([copy.mean(axis=(2, 4), dtype="float32").astype("uint8") for copy in blocks])


def batches(pictures, labels, classes, *, batch, seed):
    """One epoch's batches: of each recording one copy, in a seeded order."""
    random = np.random.default_rng(seed)
    copies = random.integers(0, len(pictures), len(labels))
    order = random.permutation(len(labels))[: len(labels) // batch * batch]

    def generate():
        for rows in order.reshape(-1, batch):
            yield pictures[copies[rows], rows].astype("float32"), np.eye(classes, dtype="float32")[labels[rows]]

    signature = tf.TensorSpec((batch, *pictures.shape[2:])), tf.TensorSpec((batch, classes))
    data = tf.data.Dataset.from_generator(generate, output_signature=signature).prefetch(2)
    return data.apply(tf.data.experimental.assert_cardinality(len(labels) // batch))


def accuracy(model, pictures, labels):
    logits = model.predict(pictures[0].astype("float32"), batch_size=250, verbose=0)
    return float(np.mean(logits.argmax(1) == labels))


def train(model, parts, *, pixels, batch, seed, checkpoint):
    """Train epoch by epoch; every finished epoch is on disk, so a killed run goes on."""
    pictures, labels = parts["train"]
    classes = model.output_shape[-1]
    if checkpoint.exists():
        model = keras.models.load_model(checkpoint)
    first = int(model.optimizer.iterations) // (len(labels) // batch)
    for epoch in range(first, len(pixels)):
        size = pixels[epoch]
        data = batches(sized(pictures, size), labels, classes, batch=batch, seed=[seed, epoch])
        model.fit(data, initial_epoch=epoch, epochs=epoch + 1, verbose=2)
        measured = accuracy(model, sized(parts["val"][0], size), parts["val"][1])
        print(f"{size} pixels, accuracy for unknown voices {measured:.4f}", flush=True)
        beside = checkpoint.with_name("beside_" + checkpoint.name)
        model.save(beside)
        beside.replace(checkpoint)
    return model


def main(
    words: Path = typer.Argument(help="folder with words.zip and words.csv"),
    epochs: int = 24,
    start: str = typer.Option("random", help="random or photographs"),
    copies: int = typer.Option(2, help="speeds at which each recording is played"),
    batch: int = 64,
    seed: int = 0,
    work: Path = typer.Option(Path("build/speech"), help="arrays and checkpoints"),
    out: Path = typer.Option(Path("tlteach/weights"), help="where the weights go"),
):
    keras.utils.set_random_seed(seed)
    classes, parts = load_words(words, copies, work)
    model, steps = build(classes, start), len(parts["train"][1]) // batch
    compile_model(model, epochs * steps)
    model = train(model, parts, pixels=sizes(epochs), batch=batch, seed=seed, checkpoint=work / "speech.keras")
    backbone = next(layer for layer in model.layers if isinstance(layer, keras.Model))
    path = export(backbone, NAME, out, as_name=f"{NAME}_speech")
    card = {
        "network": NAME,
        "width": WIDTH,
        "source": f"{len(classes)} words, {len(parts['train'][1])} recordings by synthetic voices",
        "source_accuracy": round(accuracy(model, *parts["val"]), 4),
        "recipe": {
            "start": start,
            "epochs": epochs,
            "copies": copies,
            "batch": batch,
            "seed": seed,
            "learning_rate": PEAK,
        },
        "keras": keras.version(),
        "bytes": path.stat().st_size,
    }
    path.with_name(f"{NAME}_speech_mini.json").write_text(json.dumps(card, indent=1) + "\n")
    print(json.dumps(card))


if __name__ == "__main__":
    typer.run(main)
