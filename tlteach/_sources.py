"""What the full size is fetched from, and where on this machine Keras and TensorFlow Datasets look for it."""

import csv
import hashlib
import os
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

_BLOCK = 2**20


class Source(NamedTuple):
    """A published file.

    Attributes:
        name: The backbone or data set that needs it.
        kind: `"weights"`, `"data"`, or `"preset"`: one file of a KerasHub preset.
        file: The name under which it is looked for; of a preset's file the path, from the preset's folder on.
        url: Where it is published; of a preset Kaggle's handle of all its files.
        bytes: Its size; 0 where none is published.
        sum: SHA-256, or MD5 where only that is published, as hex digits; empty where neither is.
    """

    name: str
    kind: str
    file: str
    url: str
    bytes: int
    sum: str


@lru_cache
def all_sources():
    """Return all that is known, as a tuple of `Source`."""
    with open(Path(__file__).parent / "sources.csv", newline="", encoding="utf-8") as file:
        rows = [{**row, "bytes": int(row["bytes"] or 0)} for row in csv.DictReader(file)]
    return tuple(Source(**row) for row in rows)


def folder_of(kind):
    """Return the folder where Keras looks for weights, or TensorFlow Datasets for archives fetched by hand.

    Args:
        kind: `"weights"`, `"data"`, or `"preset"`: their folders stand beside the weights.
    """
    if kind in ("weights", "preset"):
        return keras_home() / "models"
    return Path(os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets").expanduser() / "downloads" / "manual"


def keras_home():
    """Return Keras' own folder (`KERAS_HOME`, or `.keras` in the user's home)."""
    return Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser()


def sums_of(path):
    """Return SHA-256 and MD5 of a file, as hex digits.

    Args:
        path: The file.
    """
    with open(path, "rb") as file:
        return sums_of_stream(file)


def sums_of_stream(file, *, to=None):
    """Return size, SHA-256 and MD5 of what is left to read.

    Args:
        file: Open for reading bytes.
        to: Open for writing bytes, if it is to be copied on the way.
    """
    size, sha, md5 = 0, hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    while block := file.read(_BLOCK):
        size += len(block)
        sha.update(block)
        md5.update(block)
        if to is not None:
            to.write(block)
    return size, sha.hexdigest(), md5.hexdigest()


def fault(source, found):
    """Return what is wrong with a file, as a text; empty where it is the published one, as far as can be said.

    Args:
        source: `Source`.
        found: Size, SHA-256 and MD5, as `sums_of` returns them.
    """
    size, *sums = found
    if source.bytes and size != source.bytes:
        return f"{source.file} must have {source.bytes} bytes. Received: {size}"
    if source.sum and source.sum not in sums:
        kind = "SHA-256" if len(source.sum) == 64 else "MD5"
        return f"{source.file} must have {kind} {source.sum}. Received: {sums[len(source.sum) == 32]}"
    return ""
