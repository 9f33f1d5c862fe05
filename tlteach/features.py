"""Features: the frozen part of a network is run once over the data, and its outputs are kept."""

import hashlib
import json
import weakref
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
from tqdm import tqdm

from tlteach._assets import cache_dir, shared_dir
from tlteach._fold import Folded
from tlteach._pooling import pooled
from tlteach._stages import TOKENS, entry_of, sources, tensor_of
from tlteach._store import finished_rows, kept_rows
from tlteach.data import Split, Splits, text_hash

PRECISIONS = {"float32": ("float32", "float32"), "bfloat16": ("bfloat16", "float32"), "float16": ("float32", "float16")}
"""Of each precision: the arithmetic, and what is kept."""
_ROUNDING = 1e-2  # by which resizing may leave 0..255
_PREFIXES = weakref.WeakKeyDictionary()


class Part(NamedTuple):
    """Features and labels of one split: `x` `(n, features)` float32, `y` `(n,)`."""

    x: np.ndarray
    y: np.ndarray


@dataclass(frozen=True, eq=False)
class Features:
    """Features of the three splits, each a `Part`, and the class names."""

    train: Part
    val: Part
    test: Part
    classes: list


def extract_features(backbone, data, *, layer=None, pooling="avg", store="default", precision="float32"):
    """Run a backbone once over the data and keep what comes out.

    The features are the backbone's alone: nothing is trained, and the next call
    with the same pictures and weights reads them from disk. Not for augmented
    pictures: features of one random draw would be frozen for good.

    Args:
        backbone: A `Backbone`.
        data: `Splits`, a `Split`, an array of pictures `(n, height, width, 3)` in 0..255, or a list of texts.
        layer: Stage or layer whose output is wanted, or a list of them, whose features are then
            put side by side; the last if `None`.
        pooling: `"avg"` or `"max"` over the positions, `"avg+dev"` for the average and half the mean
            absolute deviation from it, or `None` for the whole map. Of texts `"avg"` over the word
            pieces that are there, `"cls"` (the first) or `"last"`; see `Tokenizer`.
        store: `"default"` keeps features under the cache folder (`TLTEACH_CACHE`); those that a shared
            folder (`TLTEACH_DATA`) has are read there;
            a path keeps them there, `None` keeps nothing.
        precision: `"float32"`, or one of two approximations. `"bfloat16"` computes in 16 bits,
            about twice as fast on processors that know them; the cosine similarity with the
            exact features was 0.99999 for VGG16 and ResNet50, but 0.99 for MobileNetV2.
            `"float16"` computes as ever but keeps 16 bits (three digits), half the disk.

    Returns:
        `Features` for `Splits`; else an array `(n, channels)`, or `(n, height, width, channels)`, of
        texts `(n, length, channels)`, float32 (float16 with `precision="float16"`).

    Raises:
        ValueError: If the pictures are in 0..1, or the layer, the pooling or the precision is unknown.
        OSError: If the disk is full.

    Side effects:
        Writes to the feature store; leaves the backbone as it was.

    Example:
        >>> import tlteach as tl
        >>> vgg, pets = tl.load_backbone("vgg16", "mini"), tl.load_dataset("cats_vs_dogs", "mini")
        >>> tl.extract_features(vgg, pets.val, store=None).shape
        (200, 128)

    Reference:
        Razavian et al. 2014, CNN Features off-the-shelf; lesson 01.
    """
    ends, how = ends_of(backbone, layer), {"pooling": pooling, "store": store, "precision": precision}
    if isinstance(data, Splits):
        parts = {
            name: Part(extract_features(backbone, part, layer=ends, **how), part.labels)
            for name, part in data.parts().items()
        }
        return Features(**parts, classes=data.classes)
    split = data if isinstance(data, Split) else split_of_array(data)
    return activations(backbone.model, ends, split, **how)


def ends_of(backbone, layer):
    """Return the names of the operations that end some stages, or of the layers themselves, as a tuple.

    Args:
        backbone: A `Backbone`.
        layer: Stage or layer, or a list of them; the last if `None`.
    """
    names = [op.name for op in backbone.model.operations]
    if layer is None:
        return (names[-1],)
    layers = [layer] if isinstance(layer, str) else list(layer)
    if not layers or len(set(layers)) < len(layers):
        raise ValueError(f"layer must be a stage or layer, or a list of different ones. Received: {layer!r}.")
    return tuple(each if each in names else backbone.output_of(each) for each in layers)


def split_of_array(pictures, labels=None, *, classes=("",)):
    """Make a `Split` of an array of pictures `(n, height, width, 3)` in 0..255, or of a list of texts."""
    import pandas as pd

    if len(pictures) and isinstance(pictures[0], str):
        table = pd.DataFrame({"label": np.zeros(len(pictures), int) if labels is None else labels})
        table["text"] = pd.Series(list(pictures), dtype=object)
        return Split(list(pictures), table.assign(sha256=[text_hash(text) for text in pictures]), classes)
    pictures = np.ascontiguousarray(pictures)
    check_range(pictures)
    hashes = [hashlib.sha256(p.tobytes()).hexdigest() for p in pictures]
    table = pd.DataFrame({"label": np.zeros(len(pictures), int) if labels is None else labels, "sha256": hashes})
    return Split(list(pictures), table, classes)


def check_range(pictures):
    """Raise if pictures are in 0..1 (or another small range): backbones take 0..255.

    Args:
        pictures: Array of pictures, any shape.
    """
    pictures = np.asarray(pictures)
    low, high = float(pictures.min(initial=0)), float(pictures.max(initial=0))
    if low < -_ROUNDING or high > 255 + _ROUNDING or (0 < high <= 1 and pictures.dtype.kind == "f"):
        raise ValueError(
            f"pictures must be in 0..255: the backbone does its own preprocessing. Received: values in "
            f"{low:.3g}..{high:.3g}; give the pictures as they are in the file."
        )


def activations(model, ends, split, *, pooling=None, store="default", precision="float32"):
    """Return what operations of a flat model give for each picture, from the store if it is there.

    Args:
        model: A flat model from `load_backbone` or `attach_head`.
        ends: Name of an operation, or a tuple of them.
        split: `Split`.
        pooling: As in `extract_features`.
        store, precision: As in `extract_features`.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}. Received: {precision!r}.")
    if split.num_examples and isinstance(split.pictures[0], np.ndarray) and entry_of(model) != TOKENS:
        check_range(np.stack([p for p in split.pictures[:64] if p.shape == split.pictures[0].shape]))
    arithmetic, kept = PRECISIONS[precision]
    ends = (ends,) if isinstance(ends, str) else ends
    prefix, split = _prefix(model, ends, pooling), sized_for(model, split)
    shape, count = known_shape(prefix.model.output.shape[1:], split), split.num_examples
    if count == 0:
        return np.zeros((0, *shape), kept)
    compute = _Extraction(prefix.folded(arithmetic), split, kept)
    with compute.progress():
        if store is None:
            return compute(0, count)
        root = cache_dir() / "features" if store == "default" else Path(store)
        key = _key(split, prefix.model, precision)
        if store == "default" and shared_dir():
            shared = finished_rows(shared_dir() / "features" / key[:2] / key, count=count, shape=shape, dtype=kept)
            if shared is not None:
                return shared
        return kept_rows(root / key[:2] / key, count=count, shape=shape, compute=compute, dtype=kept)


def sized_for(model, split):
    """Return the split as a model reads it: pictures in the size it resizes to, or wants if it does; or word pieces."""
    if split.holds_texts:
        tokenizer = getattr(model, "tokenizer", None)
        if tokenizer is None:
            raise ValueError(
                "texts need a model that knows how to cut them: one from load_backbone or attach_head has a "
                f"`tokenizer`, and Keras does not save it. Received: {model.name!r} without; set model.tokenizer."
            )
        return split.tokenized(tokenizer)
    entry = entry_of(model)
    size = tuple(tensor_of(model, entry).shape[1:3] if entry else model.input_shape[1:3])
    return split.sized(size) if len(size) == 2 and all(size) else split


def known_shape(shape, split):
    """Return a shape in which the length that a text's model leaves open is that of a split.

    Args:
        shape: Shape without the batch, as Keras tells it.
        split: `Split` as `sized_for` returned it.
    """
    length = split.pictures.shape[1] if isinstance(split.pictures, np.ndarray) and split.pictures.ndim == 2 else None
    return tuple(length if n is None else n for n in shape)


def _prefix(model, ends, pooling):
    """The model from the resized pixels to some operations, built (and compiled) once for each model."""
    known = _PREFIXES.setdefault(model, {})
    if (ends, pooling) not in known:
        known[ends, pooling] = _Prefix(keras.Model(tensor_of(model, entry_of(model)), pooled(model, ends, pooling)))
    return known[ends, pooling]


class _Prefix:
    """The model from the resized pixels to some operations, and what computes the same faster."""

    def __init__(self, model):
        self.model, self._folded = model, {}

    def folded(self, arithmetic):
        """Return the `Folded` of one arithmetic, built once."""
        if arithmetic not in self._folded:
            self._folded[arithmetic] = Folded(
                self.model, dtype=None if arithmetic == "float32" else f"mixed_{arithmetic}"
            )
        return self._folded[arithmetic]


def _key(split, prefix, precision):
    """What the features depend on: pixels, size, weights, how the layers are set and joined, and the arithmetic."""
    place = {op.name: i for i, op in enumerate(prefix.operations)}
    layers = [
        [type(op).__name__, _settings(op), [place.get(n) for n in sources(prefix, op)]] for op in prefix.operations
    ]
    facts = [layers, split.size, split.fingerprint, keras.backend.backend(), precision]
    told = hashlib.sha256(json.dumps(facts, default=str).encode())
    for array in prefix.get_weights():
        told.update(np.ascontiguousarray(array))
    return told.hexdigest()[:40]


def _settings(op):
    if isinstance(op, keras.layers.InputLayer):  # its name and batch are a matter of who built the model
        return {}
    return {k: v for k, v in op.get_config().items() if k not in ("name", "trainable")}


class _Extraction:
    """`compute(start, stop)` for the store: batches are read in a thread while the network runs."""

    def __init__(self, folded, split, kept):
        self.folded, self.split, self.kept, self.bar = folded, split, kept, None

    def __call__(self, start, stop):
        size = self.split.batch_size
        spans = [range(i, min(i + size, stop)) for i in range(start, stop, size)]
        with ThreadPoolExecutor(1) as reader:
            waiting = reader.submit(self.split._stack, spans[0])
            done = []
            for following in [*spans[1:], None]:
                pictures = waiting.result()
                waiting = reader.submit(self.split._stack, following) if following else None
                done.append(self._run(pictures))
        return np.concatenate(done)

    @cached_property
    def _model(self):
        self.folded.update()  # the weights may have been trained since
        return self.folded.model

    def _run(self, pictures):
        missing = self.split.batch_size - len(pictures)  # one batch shape means one compilation
        more = np.zeros((missing, *pictures.shape[1:]), pictures.dtype)
        padded = np.concatenate([pictures, more]) if missing else pictures
        features = np.asarray(self._model.predict_on_batch(padded))[: len(pictures)]
        if self.bar is not None:
            self.bar.update(len(pictures))
        return _in(self.kept, features)

    def progress(self):
        """A bar that appears after two seconds."""
        told = {
            "desc": "extract features",
            "unit": "text" if getattr(self.split.pictures, "ndim", 0) == 2 else "picture",
        }
        self.bar = tqdm(total=self.split.num_examples, **told, delay=2, leave=False)
        return self.bar


def _in(kept, features):
    largest = np.finfo(kept).max
    if kept != "float32" and np.abs(features).max(initial=0) > largest:
        raise ValueError(
            f"{kept} holds values up to {largest:.0f}. Received: {np.abs(features).max():.6g}; use precision='float32'."
        )
    return features.astype(kept, copy=False)
