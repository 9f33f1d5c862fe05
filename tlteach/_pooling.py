"""Pooling: one vector from a picture's places, or from a text's word pieces."""

import keras

_PICTURES = {"avg": keras.layers.GlobalAveragePooling2D, "max": keras.layers.GlobalMaxPooling2D}
TEXTS = ("avg", "cls", "last")


def pool(x, pooling, *, name=None):
    """Pool a feature map; what has no places any more stays as it is.

    Args:
        x: Symbolic tensor `(batch, height, width, channels)` of a picture, or
            `(batch, length, channels)` of a text, zero where there is no word piece.
        pooling: `"avg"` or `"max"` of a picture; of a text `"avg"` over its word pieces, `"cls"`
            (the first, which BERT means for this) or `"last"` (for GPT-2, where only it has seen all).
        name: Name of the operation that ends it.

    Raises:
        ValueError: If there is no such pooling.
    """
    if len(x.shape) == 3:
        return _of_text(x, pooling, name)
    if pooling not in _PICTURES:
        raise ValueError(f"pooling must be 'avg' or 'max'. Received: {pooling!r}.")
    return _PICTURES[pooling](name=name)(x) if len(x.shape) == 4 else x


def _of_text(x, pooling, name):
    if pooling not in TEXTS:
        raise ValueError(f"pooling of a text must be one of {', '.join(TEXTS)}. Received: {pooling!r}.")
    if pooling == "cls":
        pooled = x[:, 0]
    elif pooling == "avg":
        return keras.layers.GlobalAveragePooling1D(name=name)(x, mask=there(x, "head"))
    else:
        last = keras.ops.sum(keras.ops.cast(there(x, "head"), "int32"), 1, keepdims=True) - 1  # (batch, 1)
        pooled = keras.ops.squeeze(keras.ops.take_along_axis(x, last[..., None], axis=1), 1)
    return named(pooled, name) if name else pooled


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
