"""How fast features are extracted, as a share of the fastest 3x3 convolution measured in the same process.

    python benchmarks/extraction.py FOLDER --out table.json

FOLDER holds a folder of JPEG photographs for each class; without one, pictures are
drawn. Each network is measured in fresh processes, the networks in turn: pictures
in memory and JPEG files on disk (read, decoded and resized within the time), in
float32 and in bfloat16. Weights are random, which makes no difference to speed.
`share_cpu` is the same share by seconds of CPU time, which other programs on the
machine disturb less than the clock. A last process shows how steady single calls are: `predict` on arrays returns late
now and then, the calls that extraction makes do not.
"""

import json
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
import typer
from common import in_turn, own, tell

NETWORKS = ("vgg16", "resnet50", "mobilenet")
CONVOLUTIONS = ((64, 56), (128, 28), (128, 56), (256, 28), (512, 14))  # channels, pixels


def fill(folder, count, *, size=(374, 447)):
    """Draw pictures that are about as large as photographs of pets are, as JPEG files of two classes."""
    from PIL import Image

    random = np.random.default_rng(0)
    for i in range(count):
        coarse = Image.fromarray(random.integers(0, 256, (60, 70, 3), "uint8"))
        file = Path(folder) / "ab"[i % 2] / f"{i:05}.jpg"
        file.parent.mkdir(exist_ok=True)
        coarse.resize(size[::-1], Image.Resampling.BICUBIC).save(file, quality=90)


def ceiling(shapes, *, batch=16, calls=5):
    """Measure the fastest 3x3 convolution, four in a row, so that the copies at both ends are small.

    Returns:
        GFLOP a second, and GFLOP a second of CPU time.
    """
    import keras

    found = []
    for channels, pixels in shapes:
        shape = (pixels, pixels, channels)
        convolutions = [keras.layers.Conv2D(channels, 3, padding="same", use_bias=False) for _ in range(4)]
        model = keras.Sequential([keras.Input(shape), *convolutions, keras.layers.GlobalAveragePooling2D()])
        x = np.random.default_rng(0).random((batch, *shape), "float32")
        model.predict_on_batch(x)
        times = [_timed(partial(model.predict_on_batch, x))[1:] for _ in range(calls)]
        gflop = 4 * batch * 2 * 9 * (channels * pixels) ** 2 / 1e9
        found.append([gflop / min(seconds) for seconds in zip(*times, strict=True)])
    return np.max(found, axis=0)


def _timed(call):
    """Return what a call gives, and its seconds: by the clock, and of CPU time."""
    began, worked = time.perf_counter(), time.process_time()
    given = call()
    return given, time.perf_counter() - began, time.process_time() - worked


def measure(network, folder, *, size, count, short):
    """Measure one network: a dict for each of arrays and files, in each precision."""
    import keras

    import tlteach as tl
    from tlteach.costs import multiply_adds
    from tlteach.features import split_of_array

    keras.utils.set_random_seed(0)
    backbone = tl.load_backbone(network, "mini" if short else "full", weights=None, input_size=(size, size))
    flops = 2 * sum(multiply_adds(op) for op in backbone.model.operations)
    files = tl.from_folder(folder, val=0, test=0).train.take(range(count))
    arrays = split_of_array(files.sized((size, size)).array().astype("uint8"))
    shapes = CONVOLUTIONS[:2] if short else CONVOLUTIONS
    fastest, rows, features = ceiling(shapes), [], {}
    for precision in ("float32", "bfloat16"):
        how = {"store": None, "precision": precision}
        tl.extract_features(backbone, arrays.take(range(min(count, 32))), **how)  # compiles
        for source, data in (("arrays", arrays), ("files", files)):
            features[precision], seconds, worked = _timed(partial(tl.extract_features, backbone, data, **how))
            speed = {"pictures_s": count / seconds, "pictures_cpu_s": count / worked}
            rows.append({"network": network, "precision": precision, "source": source, **speed})
    clock, cpu = np.maximum(fastest, ceiling(shapes)).tolist()
    told = {
        "ceiling": clock,
        "ceiling_cpu": cpu,
        "gflop": flops / 1e9,
        "cosine": cosine(features["float32"], features["bfloat16"]),
    }
    return [{**row, **told} for row in rows]


def cosine(a, b):
    """The least cosine similarity of a picture's two features."""
    return float(((a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)).min())


def calls(count):
    """Time single calls of a small network: `predict` on arrays, `predict` without autotuning, and ours."""
    import keras

    import tlteach as tl

    keras.utils.set_random_seed(0)
    model = tl.load_backbone("resnet50", "mini", weights=None).model
    x = np.random.default_rng(0).integers(0, 256, (32, 64, 64, 3)).astype("float32")
    ways = {
        "predict on arrays": lambda: model.predict(x, verbose=0),
        "predict_on_batch (ours)": lambda: model.predict_on_batch(x),
    }
    if keras.backend.backend() == "tensorflow":
        steady = _without_autotuning(x)
        ways["predict, autotuning off"] = lambda: model.predict(steady, verbose=0)
    for way in ways.values():
        way()
    times = {name: [] for name in ways}
    for _ in range(count):
        for name, way in ways.items():
            times[name].append(_timed(way)[1])
    return [{"way": name, **_spread(seconds)} for name, seconds in times.items()]


def _without_autotuning(x):
    import tensorflow as tf

    options = tf.data.Options()
    options.autotune.enabled = False
    return tf.data.Dataset.from_tensors(x).with_options(options)


def _spread(seconds):
    low, middle, high = (1e3 * float(np.quantile(seconds, q)) for q in (0.05, 0.5, 0.95))
    return {"calls": len(seconds), "ms_5": low, "ms_median": middle, "ms_95": high, "ms_worst": 1e3 * max(seconds)}


def summary(runs):
    """A row for each network, source and precision: medians over the processes, and the lowest and highest share."""
    runs["gflop_s"] = runs["pictures_s"] * runs["gflop"]
    runs["share"] = runs["gflop_s"] / runs["ceiling"]
    runs["share_cpu"] = runs["pictures_cpu_s"] * runs["gflop"] / runs["ceiling_cpu"]
    base = runs[runs["precision"] == "float32"].set_index(["network", "source", "repeat"])["pictures_s"]
    runs["ratio"] = runs["pictures_s"].to_numpy() / base.loc[list(zip(*_keys(runs), strict=True))].to_numpy()
    groups = runs.groupby(["network", "source", "precision"], sort=False)
    table = groups[["pictures_s", "gflop_s", "ceiling", "share", "share_cpu", "ratio", "cosine"]].median()
    table["share_low"], table["share_high"] = groups["share"].min(), groups["share"].max()
    return table.reset_index()


def _keys(runs):
    return runs["network"], runs["source"], runs["repeat"]


def main(
    folder: Path = typer.Argument(None, help="Photographs, a folder for each class; drawn without one."),
    repeats: int = 3,
    short: bool = typer.Option(False, help="Mini networks and few pictures, to see that it works."),
    out: Path = typer.Option(None, help="JSON file."),
    one: str = typer.Option(None, hidden=True),
):
    counts = {"vgg16": 8, "resnet50": 32} if short else {"vgg16": 64, "resnet50": 192, "mobilenet": 640}
    if one == "calls":
        return print(json.dumps(calls(20 if short else 300)))
    if one:
        return print(json.dumps(measure(one, folder, size=64 if short else 224, count=counts[one], short=short)))
    with tempfile.TemporaryDirectory() as drawn:
        if folder is None:
            fill(folder := Path(drawn), max(counts.values()))
        words = [folder, *(["--short"] if short else [])]
        runs = in_turn({n: own(__file__, *words, "--one", n) for n in counts}, 1 if short else repeats)
        single = in_turn({"calls": own(__file__, *words, "--one", "calls")}, 1)
    print(single.drop(columns=["side", "repeat"]).to_string(index=False, float_format="{:.1f}".format))
    tell(summary(runs), out, calls=single.to_dict("records"), pictures=counts)


if __name__ == "__main__":
    typer.run(main)
