"""What `adapt` and `shift` are given: features of a source and of a target, checked."""

import numpy as np

from tlteach.features import Features, Part
from tlteach.heads import linear_probe


def labelled(source):
    """Return `(x, y)` as arrays: features `(n, features)`, float64, and labels `(n,)`.

    Args:
        source: `(x, y)`, such as a `Part` of `extract_features`.

    Raises:
        ValueError: If it is none, or there is not a label for each row.
    """
    if not isinstance(source, tuple) or len(source) != 2:
        raise ValueError(
            "rows with labels must be (x, y), such as features.train of extract_features. "
            f"Received: a {type(source).__name__}."
        )
    x, y = unlabelled(source[0]), np.asarray(source[1])
    if y.shape != (len(x),) or y.dtype.kind not in "iu" or y.min(initial=0) < 0:
        raise ValueError(
            f"labels must be integers from 0, one for each of {len(x)} rows. Received: {y.dtype} of shape {y.shape}."
        )
    return x, y


def unlabelled(x, *, like=None):
    """Return features as an array `(n, features)`, float64.

    Args:
        x: Array `(n, ...)`.
        like: Features that must have as many columns; any if `None`.

    Raises:
        ValueError: If there are fewer than two rows, other columns, or values that are not finite.
    """
    if isinstance(x, tuple):
        raise ValueError(
            "rows without labels must be one array (n, features), such as features.test.x. "
            "Received: a tuple; leave the labels out."
        )
    x = np.asarray(x, "float64")
    x = x.reshape(len(x), -1) if x.ndim > 1 else x[:, None]
    if like is not None and x.shape[1] != like.shape[1]:
        raise ValueError(
            f"both domains must have the same features. Received: {like.shape[1]} and {x.shape[1]} columns."
        )
    if len(x) < 2 or not np.isfinite(x).all():
        raise ValueError(f"a domain needs two rows or more, all finite. Received: {len(x)} rows.")
    return x


def probe_of(x, y, classes, *, strength, seed, weights=None):
    """Solve a linear probe with an output for each class, also for one that has no row here.

    Args:
        x, y: Features and labels.
        classes: How many classes.
        strength, seed, weights: As in `linear_probe`.
    """
    only = Features(train=Part(x, y), val=None, test=None, classes=list(range(classes)))
    return linear_probe(only, strength=strength, seed=seed, weights=weights)
