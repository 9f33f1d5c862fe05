"""Pretrain the mini networks on photographs and write their half-precision weights.

    python tools/make_minis.py resnet50 --photographs tiny-imagenet-200.zip

Interrupted, it goes on from the last whole epoch. With `--teacher` the network
also learns to predict the features of an ImageNet MobileNetV2 (distillation).
"""

import functools
import json
from pathlib import Path

import h5py
import keras
import numpy as np
import tensorflow as tf
import typer
from photographs import load_photographs
from tqdm import tqdm

from tlteach._width import scale_width

NETWORKS = {"vgg16": keras.applications.VGG16, "resnet50": keras.applications.ResNet50}
PREPROCESS = {"vgg16": keras.applications.vgg16, "resnet50": keras.applications.resnet50}
WIDTH = 0.25
LEARNING_RATE = {"vgg16": 1e-3, "resnet50": 2e-3}
TEACHER_SIZE = 128
TEACHER_WEIGHT = 5.0


def build_student(name, classes, teacher_width):
    """The narrow network with two heads: the classes, and the teacher's features."""
    full = NETWORKS[name](weights=None, include_top=False, input_shape=(None, None, 3), pooling="avg")
    backbone = scale_width(full, WIDTH)
    backbone = with_batchnorm(backbone) if name == "vgg16" else backbone
    _calm_start(backbone)
    dense = functools.partial(keras.layers.Dense, kernel_initializer="zeros")
    outputs = {"classes": dense(classes, name="classes")(keras.layers.Dropout(0.1)(backbone.output))}
    if teacher_width:
        outputs["teacher"] = dense(teacher_width, name="teacher")(backbone.output)
    return keras.Model(backbone.input, outputs, name=name)


def with_batchnorm(vgg):
    """VGG with BatchNorm before each activation: it learns many times faster, and folds away after."""

    def linear(layer):
        config = layer.get_config()
        config.update({"activation": "linear"} if isinstance(layer, keras.layers.Conv2D) else {})
        return layer.__class__.from_config(config)

    def call(layer, *args, **kwargs):
        x = layer(*args, **kwargs)
        if not isinstance(layer, keras.layers.Conv2D):
            return x
        return keras.layers.ReLU()(keras.layers.BatchNormalization(name=f"{layer.name}_bn")(x))

    return keras.models.clone_model(vgg, clone_function=linear, call_function=call)


def folded_weights(model, layer):
    """A layer's weights, with the BatchNorm that followed it folded into kernel and bias."""
    names = [each.name for each in model.layers]
    weights = model.get_layer(layer).get_weights() if layer in names else []
    if f"{layer}_bn" not in names or not layer.startswith("block"):
        return weights
    norm = model.get_layer(f"{layer}_bn")
    gamma, beta, mean, variance = norm.get_weights()
    scale = gamma / np.sqrt(variance + norm.epsilon)
    return [weights[0] * scale, (weights[1] - mean) * scale + beta]


def _calm_start(backbone):
    """Let each residual branch begin at nothing (Goyal et al. 2017)."""
    for layer in backbone.layers:
        if layer.name.endswith("_3_bn"):
            layer.gamma.assign(keras.ops.zeros_like(layer.gamma))


def teacher_features(x, weights, path):
    """ImageNet MobileNetV2 features of the photographs, standardised, `(n, 1280)` half precision."""
    if not path.exists():
        teacher = keras.applications.MobileNetV2(
            weights=weights, include_top=False, pooling="avg", input_shape=(TEACHER_SIZE, TEACHER_SIZE, 3)
        )
        run = tf.function(lambda b: teacher(tf.image.resize(b, [TEACHER_SIZE] * 2) / 127.5 - 1.0))
        batches = [
            run(tf.constant(x[i : i + 100], tf.float32)).numpy() for i in tqdm(range(0, len(x), 100), desc="teacher")
        ]
        features = np.concatenate(batches)
        features = (features - features.mean(0)) / (features.std(0) + 1e-3)
        np.save(path, features.astype("float16"))
    return np.load(path, mmap_mode="r")


def batches(x, targets, *, name, size, batch, seed):
    """Shuffled, randomly cropped and flipped batches at one picture size, in the network's range."""
    preprocess = PREPROCESS[name].preprocess_input

    def generate():
        random = np.random.default_rng(seed)
        order = random.permutation(len(x))
        for start in range(0, len(x) - batch + 1, batch):
            chosen = np.sort(order[start : start + batch])
            yield x[chosen], _boxes(random, batch), {k: v[chosen] for k, v in targets.items()}

    def crop(pictures, boxes, target):
        pictures = tf.image.crop_and_resize(tf.cast(pictures, tf.float32), boxes, tf.range(batch), [size, size])
        return preprocess(pictures), target

    signature = (
        tf.TensorSpec((batch, 64, 64, 3), tf.uint8),
        tf.TensorSpec((batch, 4), tf.float32),
        {k: tf.TensorSpec((batch, *v.shape[1:]), v.dtype) for k, v in targets.items()},
    )
    data = tf.data.Dataset.from_generator(generate, output_signature=signature).map(crop).prefetch(4)
    return data.apply(tf.data.experimental.assert_cardinality(len(x) // batch))


def _boxes(random, n):
    """Crops of 45 to 100 % of the area, half of them mirrored (right edge before left)."""
    area, aspect = random.uniform(0.45, 1.0, n), np.exp(random.uniform(-0.2, 0.2, n))
    height, width = np.minimum(1, np.sqrt(area / aspect)), np.minimum(1, np.sqrt(area * aspect))
    top, left = random.uniform(0, 1 - height), random.uniform(0, 1 - width)
    boxes = np.stack([top, left, top + height, left + width], 1).astype("float32")
    mirrored = random.random(n) < 0.5
    boxes[mirrored] = boxes[mirrored][:, [0, 3, 2, 1]]
    return boxes


def growing_sizes(epochs):
    """The picture size of each epoch, small ones first: an epoch at 32 costs a quarter of one at 64."""
    return [(32, 48, 64)[min(2, 3 * epoch // epochs)] for epoch in range(epochs)]


def compile_student(model, steps, *, peak, teacher_weight):
    schedule = keras.optimizers.schedules.CosineDecay(
        peak / 50, decay_steps=steps - steps // 15, warmup_target=peak, warmup_steps=steps // 15
    )
    losses = {"classes": keras.losses.SparseCategoricalCrossentropy(from_logits=True), "teacher": "mse"}
    weights = {"classes": 1.0, "teacher": teacher_weight}
    model.compile(
        keras.optimizers.AdamW(schedule, weight_decay=0.02, clipnorm=1.0),
        loss={k: losses[k] for k in model.output},
        loss_weights={k: weights[k] for k in model.output},
        metrics={"classes": "accuracy"},
    )


def accuracy(model, x, y, name):
    preprocess = PREPROCESS[name].preprocess_input
    logits = [model(preprocess(tf.cast(x[i : i + 250], tf.float32)))["classes"].numpy() for i in range(0, len(x), 250)]
    return float(np.mean(np.concatenate(logits).argmax(1) == y))


def train(model, photographs, targets, *, name, sizes, batch, seed, checkpoint):
    """Train epoch by epoch; every finished epoch is on disk, so a killed run goes on.

    The model must be compiled, unless a checkpoint is there.
    """
    x, _ = photographs["train"]
    if checkpoint.exists():
        model = keras.models.load_model(checkpoint)
    first = int(model.optimizer.iterations) // (len(x) // batch)
    for epoch in range(first, len(sizes)):
        data = batches(x, targets, name=name, size=sizes[epoch], batch=batch, seed=[seed, epoch])
        model.fit(data, initial_epoch=epoch, epochs=epoch + 1, verbose=2)
        measured = accuracy(model, *photographs["val"], name)
        print(f"{sizes[epoch]} pixels, validation accuracy {measured:.4f}", flush=True)
        beside = checkpoint.with_name("beside_" + checkpoint.name)
        model.save(beside)
        beside.replace(checkpoint)
    return model


def export(model, name, out, *, as_name=None):
    """Write the backbone's weights in half precision, readable by plain Keras; the file is called after `as_name`."""
    full = NETWORKS[name](weights=None, include_top=False, input_shape=(64, 64, 3))
    narrow = scale_width(full, WIDTH)
    for layer in narrow.layers:
        layer.set_weights(folded_weights(model, layer.name))
    path = Path(out) / f"{as_name or name}_mini.weights.h5"
    beside = path.with_name(f"beside.{path.name}")
    narrow.save_weights(beside)
    with h5py.File(beside) as whole, h5py.File(path, "w") as half:
        halve(whole, half)
    beside.unlink()
    return path


def halve(old, new):
    """Copy a group of weights in half precision, but for what is too large for it, as a BatchNorm's variance may be."""
    new.attrs.update(old.attrs)
    for name, item in old.items():
        if isinstance(item, h5py.Group):
            halve(item, new.create_group(name))
            continue
        values = item[()]
        fits = np.abs(values).max(initial=0) <= np.finfo("float16").max
        new.create_dataset(name, data=values.astype("float16") if fits else values).attrs.update(item.attrs)


def main(
    name: str = typer.Argument(help="vgg16 or resnet50"),
    photographs: Path = typer.Option(help="tiny-imagenet-200.zip as published"),
    teacher: str = typer.Option(None, help="MobileNetV2 weights without top: a file, or imagenet"),
    epochs: int = 18,
    further: int = typer.Option(0, help="epochs after a warm restart, at 64 pixels"),
    batch: int = 128,
    seed: int = 0,
    work: Path = typer.Option(Path("build/minis"), help="arrays and checkpoints"),
    out: Path = typer.Option(Path("tlteach/weights"), help="where the weights go"),
):
    keras.utils.set_random_seed(seed)
    classes, pictures = load_photographs(photographs, work)
    x, y = pictures["train"]
    targets = {"classes": y}
    if teacher:
        targets["teacher"] = teacher_features(x, teacher, work / "teacher.npy")
    model = build_student(name, len(classes), 1280 if teacher else 0)
    steps, peak = len(x) // batch, LEARNING_RATE[name]
    common = {"name": name, "batch": batch}
    compile_student(model, epochs * steps, peak=peak, teacher_weight=TEACHER_WEIGHT)
    checkpoint = work / f"{name}.keras"
    model = train(model, pictures, targets, sizes=growing_sizes(epochs), seed=seed, checkpoint=checkpoint, **common)
    if further:  # a warm restart (Loshchilov and Hutter 2017), closer to the teacher
        compile_student(model, further * steps, peak=peak / 2, teacher_weight=4 * TEACHER_WEIGHT)
        checkpoint = work / f"{name}_further.keras"
        model = train(model, pictures, targets, sizes=[64] * further, seed=seed + 1, checkpoint=checkpoint, **common)
    path = export(model, name, out)
    card = {
        "network": name,
        "width": WIDTH,
        "source": f"{len(classes)} classes, {len(x)} photographs of 64 x 64",
        "source_accuracy": round(accuracy(model, *pictures["val"], name), 4),
        "teacher": "MobileNetV2, ImageNet" if teacher else None,
        "recipe": {
            "epochs": epochs,
            "further": further,
            "batch": batch,
            "seed": seed,
            "learning_rate": LEARNING_RATE[name],
        },
        "keras": keras.version(),
        "bytes": path.stat().st_size,
    }
    path.with_name(f"{name}_mini.json").write_text(json.dumps(card, indent=1) + "\n")
    print(json.dumps(card))


if __name__ == "__main__":
    typer.run(main)
