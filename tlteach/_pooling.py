"""Pooling: feature maps of one or several stages become one row of features a picture."""

import keras

from tlteach._stages import tensor_of

_LAYERS = keras.layers
_MEAN, _MAX = _LAYERS.GlobalAveragePooling2D, _LAYERS.GlobalMaxPooling2D


POOL = "head_pool"  # the layer whose output the rest of the head reads


def _avg(x, name):
    return [_MEAN(name=name)(x)]


def _max(x, name):
    return [_MAX(name=name)(x)]


def _avg_and_dev(x, name):
    """The mean, and the mean of what lies above it: half the mean absolute deviation, without a root's slope at 0."""
    mean = _MEAN(keepdims=True, name=f"{name}_mean")(x)
    above = _LAYERS.ReLU(name=f"{name}_above")(_LAYERS.Subtract(name=f"{name}_less")([x, mean]))
    return [*_avg(x, f"{name}_avg"), _MEAN(name=f"{name}_dev")(above)]


POOLINGS = {"avg": _avg, "max": _max, "avg+dev": _avg_and_dev}


def pooled(model, ends, pooling):
    """Return the pooled outputs of some operations of a flat model, side by side, `(batch, features)`.

    The layers' names begin with `head`, so that they count as part of the head.

    Args:
        model: A flat functional model.
        ends: Names of the operations.
        pooling: One of `POOLINGS`, or `None` for one operation's map as it is.
    """
    if pooling not in POOLINGS and pooling is not None:
        raise ValueError(f"pooling must be one of {', '.join(map(repr, POOLINGS))}, or None. Received: {pooling!r}.")
    if pooling is None and len(ends) > 1:
        raise ValueError(f"maps of several stages are joined by pooling. Received: {len(ends)} stages, pooling=None.")
    alone = len(ends) == 1 and pooling != "avg+dev"
    named = {end: POOL if alone else f"{POOL}_{end}" for end in ends}
    parts = [part for end in ends for part in _rows(tensor_of(model, end), named[end], pooling)]
    return parts[0] if len(parts) == 1 else _LAYERS.Concatenate(name=POOL)(parts)


def _rows(tensor, name, pooling):
    """What one operation gives; what has no positions stays as it is."""
    return POOLINGS[pooling](tensor, name) if pooling and len(tensor.shape) == 4 else [tensor]
