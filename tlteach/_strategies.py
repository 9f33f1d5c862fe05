"""Ways to use labels and a source, each a function from backbone, splits and seed to a model."""

import functools
import hashlib
import inspect
import time
import types
from dataclasses import replace

import keras
import numpy as np

from tlteach import _checkpoint
from tlteach._pooling import POOL
from tlteach._stages import HEAD, cut, operations_of
from tlteach.backbones import load_backbone
from tlteach.evaluation import evaluate
from tlteach.features import activations, extract_features
from tlteach.finetune import Phase, fine_tune, gradual_unfreezing
from tlteach.heads import attach_head, linear_probe

_SIDE = 64  # pixels of the small network's input
_EPOCHS, _PATIENCE = 40, 12


def scratch(splits, seed):
    """A small network that begins at random: few layers, mirrored pictures, many epochs."""
    if splits.train.holds_texts:
        raise ValueError("'scratch' is a network for pictures. Received: texts; give a function of (splits, seed).")
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((_SIDE, _SIDE, 3)),
            layers.RandomFlip("horizontal"),
            layers.Rescaling(1 / 127.5, offset=-1),
            *[layers.Conv2D(width, 3, strides=2, activation="relu") for width in (16, 32, 64)],
            layers.GlobalAveragePooling2D(),
            layers.Dense(len(splits.classes), activation="softmax"),
        ]
    )
    everything = Phase(("all",), epochs=_EPOCHS, learning_rate=1e-3, patience=_PATIENCE, batch_size=16)
    return fine_tune(model, splits, everything, seed=seed).model


def frozen(backbone, splits, seed):
    """A linear probe on frozen features. It needs no validation, so it learns from all labels."""
    return attach_head(backbone, linear_probe(extract_features(backbone, splits), with_val=True, seed=seed))


def fine_tuned(backbone, splits, seed):
    """Probe first, then the last stage too."""
    return _from_probe(backbone, splits, gradual_unfreezing(backbone, stages=1), seed=seed)


def all_stages(backbone, splits, seed):
    """Probe first, then every stage at once, at a rate that rises and falls."""
    normal = keras.layers.BatchNormalization, keras.layers.LayerNormalization
    rate = 1e-3 if any(isinstance(layer, normal) for layer in backbone.model.layers) else 1e-4
    stages = (*backbone.stages, HEAD)
    return _from_probe(backbone, splits, Phase(stages, 15, rate, schedule="cosine", patience=15), seed=seed)


def _from_probe(backbone, splits, phases, *, seed):
    probe = linear_probe(extract_features(backbone, splits), seed=seed)
    return fine_tune(attach_head(backbone, probe), splits, phases, seed=seed).model


BUILT_IN = {"scratch": scratch, "frozen": frozen, "fine-tuned": fine_tuned, "all stages": all_stages}


def wants_source(strategy):
    """Whether a strategy is a function of backbone, splits and seed; else it is one of splits and seed.

    Args:
        strategy: A function.

    Raises:
        ValueError: If it is neither.
    """
    given = inspect.signature(strategy).parameters.values()
    kinds = inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD
    needed = sum(p.kind in kinds and p.default is inspect.Parameter.empty for p in given)
    if needed not in (2, 3):
        raise ValueError(
            "a strategy must be a function of (backbone, splits, seed), or of (splits, seed) if it uses no source. "
            f"Received: {getattr(strategy, '__name__', strategy)!r} of {needed} arguments."
        )
    return needed == 3


def run_whole(*arguments):
    """Do `run_once` from its beginning to its end, in a process of its own: so its seconds are those of all of it.

    Args:
        *arguments: As in `run_once`.
    """
    _checkpoint.KEPT = False
    return run_once(*arguments)


def run_once(strategy, source, splits, seed):
    """Run one strategy and measure its model on the test split, which the strategy does not see.

    Args:
        strategy: A function.
        source: Keyword arguments of `load_backbone`, or `None`.
        splits: `Splits` with the labels that the run may use.
        seed: Seed of everything.

    Returns:
        Dict: accuracy, and seconds that the strategy took.
    """
    keras.utils.set_random_seed(seed)  # random weights of a twin differ by seed too
    backbone = None if source is None else load_backbone(**source)
    given = [] if source is None else [backbone]
    before = [] if source is None else backbone.model.get_weights()
    hidden = replace(splits, test=splits.test.take([]))
    keras.utils.set_random_seed(seed)
    started = time.perf_counter()
    model = strategy(*given, hidden, seed)
    seconds = time.perf_counter() - started
    if not isinstance(model, keras.Model):
        raise ValueError(f"a strategy must return a keras.Model. Received: a {type(model).__name__}.")
    return {"accuracy": _accuracy(model, backbone, before, splits.test), "seconds": seconds}


def _accuracy(model, backbone, before, test):
    """Accuracy; where the backbone is as it was loaded, on its features of the test split, which are kept."""
    if backbone is None or not _on_frozen(model, backbone, before):
        return evaluate(model, test).accuracy
    features = activations(model, POOL, test)
    probabilities = np.asarray(cut(model, POOL).predict(np.asarray(features, "float32"), verbose=0))
    return float((probabilities.argmax(1) == test.labels).mean())


def _on_frozen(model, backbone, before):
    """Whether a model is the backbone as it was loaded, and a head on its pooled features."""
    operations = {op.name: op for op in operations_of(model)}
    own = {id(layer) for layer in model.layers}
    whole = all(id(layer) in own for layer in backbone.model.layers if layer.weights)
    if POOL not in operations or not whole:
        return False
    return all(np.array_equal(a, b) for a, b in zip(before, backbone.model.get_weights(), strict=True))


def code_hash(function):
    """Return a hash of what a function does: its code, that of the functions beside it that it uses, and its constants.

    What it calls in other modules is not looked at.

    Args:
        function: A function, a `functools.partial`, or another object that can be called.
    """
    told = hashlib.blake2b(digest_size=20)
    for part in _told(function, set(), None):
        told.update(part.encode("utf-8", "backslashreplace") + b"\0")
    return told.hexdigest()


def _told(thing, seen, module):
    """Yield what a thing is, in words that are the same in every process."""
    if id(thing) in seen:
        return
    if isinstance(thing, functools.partial):
        yield from _told([thing.func, thing.args, thing.keywords], seen, module)
    elif isinstance(thing, types.FunctionType):
        seen.add(id(thing))
        yield from _told_function(thing, seen, module)
    elif isinstance(thing, dict | list | tuple):
        for part in [each for item in thing.items() for each in item] if isinstance(thing, dict) else thing:
            yield from _told(part, seen, module)
    elif isinstance(thing, types.ModuleType | type):
        yield f"{getattr(thing, '__module__', '')}.{thing.__name__}"
    else:
        text = repr(thing)
        yield type(thing).__qualname__ if " at 0x" in text else text


def _told_function(function, seen, module):
    if module is not None and function.__module__ != module:
        yield f"{function.__module__}.{function.__qualname__}"
        return
    names = []
    for code in _codes(function.__code__):
        yield code.co_code.hex()
        yield repr([part for part in code.co_consts if not isinstance(part, types.CodeType | frozenset)])
        yield from (repr(sorted(map(repr, part))) for part in code.co_consts if isinstance(part, frozenset))
        yield repr(code.co_names)
        names += code.co_names
    cells = [cell.cell_contents for cell in function.__closure__ or ()]
    used = [function.__globals__[name] for name in names if name in function.__globals__]
    more = [function.__defaults__ or (), function.__kwdefaults__ or {}, cells, used]
    yield from _told(more, seen, function.__module__)


def _codes(code):
    yield code
    for part in code.co_consts:
        if isinstance(part, types.CodeType):
            yield from _codes(part)
