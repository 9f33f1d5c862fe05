"""Reads what a person trains on, whatever it is: arrays, data sets of TensorFlow or Keras, or a `Split`."""

import contextlib
import hashlib
import random
import time
from dataclasses import dataclass, field

import keras
import numpy as np

from tlteach._pictures import recognise
from tlteach._split import Split
from tlteach.features import sized_for

ROWS = 2048  # of a data set that comes in batches; of arrays every row is looked at
SECONDS = 4.0  # for one pass over a data set
LOOKS = 500  # pictures of one part whose look is compared
SAMPLE = 16  # rows that go through the model
_BYTES = 2**31  # of arrays, to be hashed


@dataclass(eq=False)
class Part:
    """One part of the data as it was found.

    Attributes:
        name: `"train"`, `"val"` or `"test"`.
        x, y: Inputs (an array, or a structure of them) and labels of the rows that were read.
        weights: Sample weights of these rows, or `None`.
        hashes: What tells each row's input from others.
        again: The same on a second reading; `None` where nothing can differ, empty where it may.
        batches: Labels batch by batch, in the order in which `fit` meets them; `None` for arrays.
        complete: Whether all rows were read.
        classes: Class names, if the data know them.
        source: What was given.
    """

    name: str
    x: object
    y: np.ndarray
    hashes: list
    source: object
    again: list | None = None
    batches: list | None = None
    complete: bool = True
    classes: list | None = None
    table: object = field(default=None)
    weights: np.ndarray | None = None

    def sample(self, count=SAMPLE):
        """Return `(x, y)` of some rows, drawn evenly from all."""
        rows = spread(len(first(self.x)), count)
        own = rows if self.table is None else np.flatnonzero(self.table["row"].to_numpy() >= 0)[rows]
        return keras.tree.map_structure(lambda leaf: leaf[rows], self.x), self.y[own]

    def looks(self):
        """Return how some of the pictures look, or nothing if the rows are no pictures."""
        if self.table is not None and "look" in self.table:
            return list(self.table["look"][spread(len(self.table), LOOKS)])
        pictures = first(self.x)
        if pictures.ndim != 4 or pictures.shape[-1] not in (1, 3) or pictures.dtype.kind not in "fiu":
            return []
        return [recognise(_stretched(pictures[i]))[1] for i in spread(len(pictures), LOOKS)]


def spread(available, wanted):
    """Return the indices of some rows, evenly apart."""
    return np.unique(np.linspace(0, available - 1, min(available, wanted)).round().astype(int))


def first(x):
    """Return the first array of a structure."""
    return keras.tree.flatten(x)[0]


def _stretched(picture):
    """Return a picture as uint8 whatever its range was: how it looks does not depend on the preprocessing."""
    picture = np.asarray(picture, "float32")
    low, high = picture.min(), picture.max()
    return np.repeat(((picture - low) / max(high - low, 1e-12) * 255).astype("uint8"), 3 // picture.shape[-1], axis=-1)


def read(name, data, model):
    """Read one part.

    Args:
        name: `"train"`, `"val"` or `"test"`.
        data: `(x, y)` arrays, a data set in batches or rows, or a `Split`.
        model: What it is for.

    Raises:
        ValueError: If it is none of these, is empty, or would be used up by reading.
    """
    if isinstance(data, Split):
        part = _of_split(name, data, model)
    elif isinstance(data, (tuple, list)) and len(data) in (2, 3) and all(_is_column(each) for each in data):
        part = _of_arrays(name, data)
    elif not isinstance(data, keras.utils.PyDataset) and (hasattr(data, "__next__") or not hasattr(data, "__iter__")):
        raise ValueError(_refusal(name, data))
    else:
        part = _of_batches(name, data)
    if not len(part.y):
        raise ValueError(f"{name} must hold rows. Received: an empty {type(data).__name__}.")
    return part


def _refusal(name, data):
    used = ": to read a generator is to use it up; give what makes it" if hasattr(data, "__next__") else ""
    return (
        f"{name} must be (x, y) arrays, a tf.data.Dataset, a PyDataset, a Split or other batches that can be read "
        f"twice. Received: {type(data).__name__}{used}."
    )


def _is_column(data):
    leaves = keras.tree.flatten(data) if isinstance(data, dict) else [data]
    return all(hasattr(leaf, "shape") or (isinstance(leaf, list) and np.ndim(leaf[:1]) > 0) for leaf in leaves)


def _of_arrays(name, data):
    x, y = keras.tree.map_structure(np.asarray, data[0]) if isinstance(data[0], dict) else np.asarray(data[0]), data[1]
    y = _labels(y)
    if len(first(x)) != len(y):
        raise ValueError(f"{name} must have a label a row. Received: {len(first(x))} rows, {len(y)} labels.")
    rows = min(len(y), max(1, _BYTES // max(1, sum(leaf[:1].nbytes for leaf in keras.tree.flatten(x)))))
    weights = np.asarray(data[2]) if len(data) == 3 else None
    return Part(name, x, y, hashes_of(x, rows), data, complete=rows == len(y), weights=weights)


def _of_split(name, split, model):
    """A `Split` knows its labels and hashes; of its pictures a sample is enough."""
    rows = spread(split.num_examples, 4 * SAMPLE)
    try:
        ready = sized_for(model, split.take(rows))
        x = ready[0][0] if ready.batch_size >= len(rows) else np.concatenate([ready[i][0] for i in range(len(ready))])
    except (ValueError, AttributeError):  # a model of one's own: it reads texts, or pictures of its data's size
        x = np.array(split.take(rows).pictures, object) if split.holds_texts else split.take(rows).sized((96, 96))[0][0]
    table = split.table.assign(row=-1)
    table.loc[rows[: len(x)], "row"] = np.arange(len(x))
    return Part(name, x, split.labels, list(table["sha256"]), split, classes=split.classes, table=table)


def _of_batches(name, data):
    batched = _are_batches(data)
    pairs, complete = _one_pass(name, data, batched)
    again, _ = _one_pass(name, data, batched) if name != "train" else ([], True)  # training data may be random
    shapes = {tuple(leaf.shape[1:] for leaf in keras.tree.flatten(x)) for x, *_ in pairs}
    if len(shapes) > 1:
        raise ValueError(f"{name} must give rows of one shape, as a model takes them. Received: {sorted(shapes)[:3]}.")
    x = keras.tree.map_structure(lambda *leaves: np.concatenate(leaves), *[x for x, *_ in pairs])
    y = np.concatenate([y for _, y, _ in pairs])
    weights = None if any(w is None for *_, w in pairs) else np.concatenate([w for *_, w in pairs])
    names = getattr(data, "class_names", None) or getattr(data, "class_indices", None)
    return Part(
        name,
        x,
        y,
        hashes_of(x, len(y)),
        data,
        again=[each for x, *_ in again for each in hashes_of(x, len(first(x)))],
        batches=[y for _, y, _ in pairs] if batched else None,
        complete=complete,
        classes=list(names) if names is not None else None,
        weights=weights,
    )


def _iterate(data):
    """Go through a data set once; a `PyDataset` has batches by number and no end."""
    return (data[i] for i in range(len(data))) if isinstance(data, keras.utils.PyDataset) else iter(data)


def _one_pass(name, data, batched):
    pairs, rows, start = [], 0, time.perf_counter()
    for element in _iterate(data):
        if not isinstance(element, (tuple, list)) or len(element) < 2:
            raise ValueError(f"{name} must give (x, y). Received: elements of type {type(element).__name__}.")
        x, y = keras.tree.map_structure(np.asarray, element[0]), _labels(element[1])
        w = np.asarray(element[2]) if len(element) > 2 and not isinstance(element[2], (dict, tuple)) else None
        if not batched:
            x, y = keras.tree.map_structure(lambda leaf: leaf[None], x), y[None]
            w = None if w is None else w[None]
        pairs.append((x, y, w))
        rows += len(y)
        if rows >= ROWS or time.perf_counter() - start > SECONDS:
            return pairs, False
    if not pairs:
        raise ValueError(f"{name} must hold rows. Received: an empty {type(data).__name__}.")
    return pairs, True


def _are_batches(data):
    """Whether elements are batches: as many labels as rows."""
    element = next(_iterate(data), None)
    if element is None or not isinstance(element, (tuple, list)) or len(element) < 2:
        return True  # what is wrong is said on reading
    x, y = first(keras.tree.map_structure(np.asarray, element[0])), _labels(element[1])
    return x.ndim > 0 and y.ndim > 0 and len(x) == len(y)


def _labels(y):
    """Labels as an array; those of several outputs become rows that no check takes for labels."""
    if not isinstance(y, (dict, tuple)):
        return np.asarray(y)
    one = np.asarray(first(y))
    return np.full(one.shape[:1], None, object)


def hashes_of(x, rows):
    """Return what tells each of the first rows of an input from others."""
    leaves = keras.tree.flatten(x)
    return [hashlib.blake2b(b"".join(_bytes(leaf[i]) for leaf in leaves), digest_size=12).digest() for i in range(rows)]


def _bytes(value):
    return value.tobytes() if isinstance(value, np.ndarray) and value.dtype != object else str(value).encode()


@contextlib.contextmanager
def same_randomness():
    """Leave the random generators of Python and NumPy as they were: copies and data sets draw from them."""
    python, of_numpy = random.getstate(), np.random.get_state()
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(of_numpy)
