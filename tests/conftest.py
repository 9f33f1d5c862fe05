"""What the tests share: drawn pictures, folders of them, and backbones with random weights."""

import os
import tempfile
from functools import lru_cache
from pathlib import Path

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
    a, b = np.asarray(a), np.asarray(b)
    return a.shape == b.shape and np.abs(a - b).max() <= tolerance * np.abs(b).max()
