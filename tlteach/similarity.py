"""Similarity: how alike the features of two networks are, stage by stage."""

import numpy as np

from tlteach._stages import tensor_of
from tlteach.features import extract_features


def linear_cka(x, y):
    """Tell how alike two sets of features of the same pictures are: linear CKA.

    Centred kernel alignment: 1 if the one is the other turned, shifted and scaled as a whole, 0 if nothing of the
    one can be read from the other. It does not ask which feature is which, so networks of other widths
    can be compared. With fewer pictures than features it is too high even for features that have
    nothing to do with each other.

    Args:
        x: Features `(n, d)`; further axes are flattened.
        y: Other features of the same pictures in the same order, `(n, e)`.

    Returns:
        A float, 0 to 1.

    Raises:
        ValueError: If the rows are not as many, or features are the same for every picture.

    Example:
        >>> import tlteach as tl
        >>> round(tl.linear_cka([[1.0, 0], [0, 1], [0, 0]], [[0, 2.0], [-2, 0], [0, 0]]), 6)  # turned and doubled
        1.0

    Reference:
        Kornblith et al. 2019, Similarity of Neural Network Representations Revisited.
    """
    x, y = _centred(x), _centred(y)
    if len(x) != len(y):
        raise ValueError(f"both must be features of the same pictures. Received: {len(x)} and {len(y)} rows.")
    return float(_shared(x, y) / np.sqrt(_shared(x, x) * _shared(y, y)))


def _centred(x):
    x = np.asarray(x, "float64")
    x = x.reshape(len(x), -1)
    x = x - x.mean(0)
    size = np.abs(x).max(initial=0)
    if not size or not np.isfinite(size):
        raise ValueError(
            "features must be finite and differ between pictures. "
            f"Received: {x.shape} {'that are all alike' if size == 0 else 'with values that are not'}."
        )
    return x / size  # so that no fourth power overflows; the scale cancels


def _shared(x, y):
    """The squared size of `x' y`, by whichever product is smaller: of the features, or of the pictures."""
    if x.shape[1] * y.shape[1] <= len(x) ** 2:
        return np.sum((x.T @ y) ** 2)
    return np.sum((x @ x.T) * (y @ y.T))


def stage_similarity(first, second, split, *, pooling="avg"):
    """Compare the stages of two backbones by what they make of the same pictures: linear CKA.

    Two networks that learned from the same photographs, or a network before and after fine-tuning, or a
    pretrained one and its random twin: where do they agree? Pooled features are compared, so what a stage
    knows of places is left out.

    Args:
        first: A `Backbone`; the table's rows.
        second: A `Backbone`; the table's columns. It may be the same one.
        split: `Split` of a few hundred pictures at least: more than a stage has features.
        pooling: As in `extract_features`.

    Returns:
        `pandas.DataFrame`, a row a stage of the first, a column a stage of the second, values 0 to 1. A stage that
        gives the same for every picture has gaps.

    Example:
        >>> import tlteach as tl
        >>> vgg, pets = tl.load_backbone("vgg16", "mini"), tl.load_dataset("cats_vs_dogs", "mini")
        >>> tl.stage_similarity(vgg, vgg, pets.val).shape
        (5, 5)

    Reference:
        Kornblith et al. 2019; Neyshabur et al. 2020, What is being transferred in transfer learning?
    """
    import pandas as pd

    rows, columns = (_by_stage(backbone, split, pooling) for backbone in (first, second))
    table = [[_cka_or_gap(x, y) for y in columns.values()] for x in rows.values()]
    names = [pd.Index(list(each), name=backbone.name) for each, backbone in ((rows, first), (columns, second))]
    return pd.DataFrame(table, index=names[0], columns=names[1])


def _by_stage(backbone, split, pooling):
    """Features of each stage, from one run of the backbone."""
    stages = list(backbone.stages)
    joined = np.asarray(extract_features(backbone, split, layer=stages, pooling=pooling))
    widths = [tensor_of(backbone.model, backbone.output_of(stage)).shape[-1] for stage in stages]
    widths = np.array(widths) * (joined.shape[1] // sum(widths))  # some poolings give two numbers a channel
    parts = np.split(joined, np.cumsum(widths)[:-1], axis=1)
    return dict(zip(stages, parts, strict=True))


def _cka_or_gap(x, y):
    return linear_cka(x, y) if np.ptp(x, axis=0).any() and np.ptp(y, axis=0).any() else np.nan
