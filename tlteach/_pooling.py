"""Pooling: what one or several stages give becomes one row of features, of a picture or of a text."""

import keras

from tlteach._stages import TOKENS, entry_of, tensor_of

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


def _avg_of_text(x, name):
    return [_LAYERS.GlobalAveragePooling1D(name=name)(x, mask=there(x, name))]


def _first(x, name):
    return [named(x[:, 0], name)]


def _last(x, name):
    place = keras.ops.sum(keras.ops.cast(there(x, name), "int32"), 1, keepdims=True) - 1  # (batch, 1)
    return [named(keras.ops.squeeze(keras.ops.take_along_axis(x, place[..., None], axis=1), 1), name)]


PICTURES = {"avg": _avg, "max": _max, "avg+dev": _avg_and_dev}
TEXTS = {"avg": _avg_of_text, "cls": _first, "last": _last}


def check_pooling(model, pooling, *, whole=False):
    """Raise if there is no such pooling of what a model gives.

    Args:
        model: A flat functional model.
        pooling: One of `PICTURES`, or of `TEXTS` in a language backbone.
        whole: Whether `None`, no pooling at all, will do too.
    """
    text = entry_of(model) == TOKENS
    known = [*(TEXTS if text else PICTURES), *([None] if whole else [])]
    if pooling not in known:
        *others, last = [repr(each) for each in known]
        rule = f"{', '.join(others)}, or {last}" if whole else ", ".join([*others, last])
        raise ValueError(f"pooling {'of a text ' if text else ''}must be one of {rule}. Received: {pooling!r}.")


def pooled(model, ends, pooling):
    """Return the pooled outputs of some operations of a flat model, side by side, `(batch, features)`.

    The layers' names begin with `head`, so that they count as part of the head.

    Args:
        model: A flat functional model.
        ends: Names of the operations.
        pooling: One of `PICTURES`; of a text's word pieces one of `TEXTS`: the mean of those that are
            there, the first, or the last; or `None` for one operation's map as it is.
    """
    check_pooling(model, pooling, whole=True)
    if pooling is None and len(ends) > 1:
        raise ValueError(f"maps of several stages are joined by pooling. Received: {len(ends)} stages, pooling=None.")
    alone = len(ends) == 1 and pooling != "avg+dev"
    names = {end: POOL if alone else f"{POOL}_{end}" for end in ends}
    parts = [part for end in ends for part in _rows(tensor_of(model, end), names[end], pooling)]
    return parts[0] if len(parts) == 1 else _LAYERS.Concatenate(name=POOL)(parts)


def _rows(tensor, name, pooling):
    """What one operation gives; what has no positions stays as it is."""
    by_rank = {3: TEXTS, 4: PICTURES}
    known = by_rank.get(len(tensor.shape)) if pooling else None
    return known[pooling](tensor, name) if known else [tensor]


def there(x, stage):
    """Return where a text has word pieces, `(batch, length)`: elsewhere its features are zero.

    Args:
        x: Features `(batch, length, channels)`.
        stage: The stage that asks; its name begins those of the operations.
    """
    differs = named(keras.ops.not_equal(x, 0), f"{stage}_differs")
    return named(keras.ops.any(differs, axis=-1), f"{stage}_known")


def named(tensor, name):
    """Name the operation that made a symbolic tensor: names tell an operation's stage."""
    tensor._keras_history.operation.name = name
    return tensor
