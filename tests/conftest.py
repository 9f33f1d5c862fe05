"""What the tests share: drawn pictures, folders of them, and backbones with random weights."""

import os
import tempfile
from functools import lru_cache
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session", autouse=True)
def cache():
    """Keep features of the tests in a folder of their own."""
    before = os.environ.get("TLTEACH_CACHE")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TLTEACH_CACHE"] = folder
        yield Path(folder)
    if before is None:
        os.environ.pop("TLTEACH_CACHE", None)
    else:
        os.environ["TLTEACH_CACHE"] = before


def drawn(seed, size=(40, 48)):
    """Draw a smooth random picture `(height, width, 3)`, uint8; another seed gives quite another one."""
    coarse = np.random.default_rng(seed).integers(0, 256, (9, 9, 3), "uint8")
    return np.asarray(Image.fromarray(coarse).resize(size[::-1], Image.Resampling.BICUBIC))


def save(path, picture, **options):
    """Save an array as a picture file, with the folders it needs, and return its path."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path, **options)
    return path


def fill(root, counts, *, seed=0, suffix=".png"):
    """Write a folder with so many different pictures a class, and return it."""
    for number, (name, count) in enumerate(counts.items()):
        for i in range(count):
            save(Path(root) / name / f"{i:03}{suffix}", drawn(1000 * seed + 100 * number + i))
    return Path(root)


@lru_cache
def full_backbone(name):
    """The Keras application with random weights at 64 x 64; shared, so leave it as it is."""
    import keras

    from tlteach.backbones import load_backbone

    keras.utils.set_random_seed(1)
    return shaken(load_backbone(name, "full", weights=None, input_size=(64, 64)))


def shaken(backbone):
    """Give BatchNorm layers statistics of their own: at 0 and 1 they would hide mistakes."""
    import keras

    random = np.random.default_rng(0)
    for layer in backbone.model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            n = layer.moving_mean.shape
            layer.moving_mean.assign(random.normal(0, 0.1, n))
            layer.moving_variance.assign(random.uniform(0.5, 2, n))
    return backbone


def pixels(n, size=(64, 64), seed=0):
    """Pictures `(n, height, width, 3)`, float32 in 0..255."""
    return np.stack([drawn(seed + i, size) for i in range(n)]).astype("float32")


def close(a, b, tolerance=1e-5):
    """Whether two arrays agree to a share of the larger one's greatest value."""
    a, b = keras.ops.convert_to_numpy(a), keras.ops.convert_to_numpy(b)
    return a.shape == b.shape and np.abs(a - b).max() <= tolerance * np.abs(b).max()


SMALL = {
    "vgg16": {"size": "mini"},
    "resnet50": {"size": "mini"},
    "mobilenetv2": {"size": "full", "alpha": 0.35},
    "efficientnetb0": {"size": "full"},
}


def small_backbone(name, seed=0):
    """A small network with random weights at 32 x 32, made anew: it may be trained."""
    import keras

    from tlteach.backbones import load_backbone

    keras.utils.set_random_seed(seed)
    return shaken(load_backbone(name, weights=None, input_size=(32, 32), **SMALL[name]))


def small_splits(train=8, val=6, test=4):
    """Two classes that brightness tells apart, 32 x 32, in memory."""
    from tlteach.data import Splits
    from tlteach.features import split_of_array

    parts = {}
    for seed, (part, n) in enumerate({"train": train, "val": val, "test": test}.items()):
        labels = np.arange(n) % 2
        pictures = pixels(n, (32, 32), seed=100 * seed) * np.where(labels, 1, 0.3)[:, None, None, None]
        parts[part] = split_of_array(pictures.astype("uint8"), labels, classes=["dark", "light"])
    return Splits(**parts, name="small")


def same(a, b):
    """Whether two lists of arrays are equal bit by bit."""
    return len(a) == len(b) and all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))
