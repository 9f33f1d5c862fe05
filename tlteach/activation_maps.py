"""Class activation maps: where in a picture a model with a linear head finds what it says."""

import keras
import numpy as np

from tlteach._stages import sources
from tlteach.data import Split
from tlteach.evaluation import final_dense, outputs_of
from tlteach.features import split_of_array

_AT_ONCE = 128  # pictures whose feature maps are held in memory
_INERT = (keras.layers.Dropout, keras.layers.SpatialDropout2D, keras.layers.GaussianDropout, keras.layers.AlphaDropout)


def class_activation_maps(model, pictures, *, target=None):
    """Divide the evidence for a class (its logit) among the positions of the last feature map.

    Averaging and a linear layer can change places: so each position has a logit of its own, and a
    map's mean and the bias of the class make up the logit, exactly. A map shows what the head
    took for evidence, as coarsely as the last feature map is (each position has seen much of the
    picture); not why it is evidence, and not the border of a tumour. It needs a head that is one
    linear layer on average pooling: for others, only approximations exist.

    Args:
        model: A `keras.Model` that ends in global average pooling and one `Dense` layer, such as
            `attach_head` gives.
        pictures: `Split`, or array `(n, height, width, 3)` in 0..255.
        target: Class whose evidence is asked for: its number, its name (for a `Split`), or one
            for each picture; the predicted class if `None`.

    Returns:
        Array `(n, map height, map width)`, float32, in logits; negative where a position speaks
        against the class.

    Raises:
        ValueError: If the head is another, or there is no such class.

    Example:
        >>> import tlteach as tl
        >>> pets, vgg = tl.load_dataset("cats_vs_dogs", "mini"), tl.load_backbone("vgg16", "mini")
        >>> model = tl.attach_head(vgg, 2)
        >>> tl.class_activation_maps(model, pets.val.take(range(4)), target="dog").shape
        (4, 2, 2)

    Reference:
        Zhou et al. 2016, Learning deep features for discriminative localization.
    """
    flat, dense = final_dense(model)
    layer = _map_before(flat, dense)
    split = pictures if isinstance(pictures, Split) else split_of_array(pictures)
    kernel, *bias = (np.asarray(w) for w in dense.get_weights())
    chosen = _targets(target, split, kernel.shape[1], named=isinstance(pictures, Split))
    maps = []
    for start in range(0, split.num_examples, _AT_ONCE):
        rows = range(start, min(start + _AT_ONCE, split.num_examples))
        features = outputs_of(flat, layer, split.take(rows))  # (rows, h, w, channels)
        own = (features.mean((1, 2)) @ kernel + sum(bias)).argmax(1) if chosen is None else chosen[rows]
        maps.append(np.einsum("nhwc,cn->nhw", features, kernel[:, own]))
    if not maps:
        raise ValueError("pictures must hold at least one picture. Received: none.")
    return np.concatenate(maps).astype("float32")


def _map_before(flat, dense):
    """Name the operation whose output is pooled and then read by the last layer."""
    by_name = {op.name: op for op in flat.operations}
    op = by_name[sources(flat, dense)[0]]
    while isinstance(op, _INERT):
        op = by_name[sources(flat, op)[0]]
    if not isinstance(op, keras.layers.GlobalAveragePooling2D):
        raise ValueError(
            "exact class activation maps need a head of global average pooling and one Dense layer, such as "
            f"attach_head(backbone, probe) gives. Received: a Dense layer on {type(op).__name__} {op.name!r}."
        )
    return sources(flat, op)[0]


def _targets(target, split, classes, *, named):
    """Return the class of each picture as a number, or `None`."""
    if target is None:
        return None
    names = list(split.classes) if named else []
    asked = list(target) if isinstance(target, list | tuple | np.ndarray) else [target] * split.num_examples
    numbers = [names.index(one) if isinstance(one, str) and one in names else one for one in asked]
    known = {*range(classes)}
    wrong = [one for one in numbers if isinstance(one, str) or one not in known]
    if wrong or len(numbers) != split.num_examples:
        told = f" or one of {', '.join(map(str, names))}" if names else ""
        raise ValueError(
            f"target must be a class, 0 to {classes - 1}{told}, or one for each of the {split.num_examples} pictures. "
            f"Received: {wrong[0] if wrong else f'{len(numbers)} classes'!r}."
        )
    return np.array(numbers, int)
