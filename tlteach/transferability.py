"""Transferability: how promising a source is for a target, told from its features without training it."""

import numpy as np

from tlteach.features import Features

_GRID = np.linspace(-12, 12, 97)  # powers of ten of noise over signal, relative to the features' strongest direction


def rows_of(features, labels=None):
    """Return features `(n, d)` as float64 and labels `(n,)` as integers from 0.

    Args:
        features: `Features` (its training split), `(x, y)`, or an array whose rows are flattened.
        labels: Labels `(n,)`, where `features` is an array.

    Raises:
        ValueError: If they do not fit each other, are not finite, or there is one class.
    """
    if isinstance(features, Features):
        features, labels = features.train
    elif labels is None:
        features, labels = _pair(features)
    x, y = np.asarray(features, "float64"), np.asarray(labels)
    if x.ndim < 2 or y.shape != x.shape[:1] or not len(y):
        raise ValueError(f"each row of features must have its label. Received: {x.shape} and {y.shape}.")
    if not np.isfinite(x).all():
        raise ValueError(f"features must be finite. Received: {int((~np.isfinite(x)).sum())} values that are not.")
    y = np.unique(y, return_inverse=True)[1]
    if y.max() < 1:
        raise ValueError("a score needs at least two classes. Received: labels of 1.")
    return x.reshape(len(x), -1), y


def _pair(features):
    if not isinstance(features, tuple) or len(features) != 2:
        raise ValueError(
            "features need labels: give Features, (x, y), or an array and its labels. "
            f"Received: a {type(features).__name__} alone."
        )
    return features


def h_score(features, labels=None, *, shrinkage=False):
    """Score features by how far apart they hold the classes: the H-score.

    The trace of `cov(f)^-1 cov(E[f|y])`: the variance of the class means, in the units of the features' own
    variance; 0 to `classes - 1`. Plain, it needs several pictures for each feature: with as many features as
    pictures it is `classes - 1` whatever the features say. Shrinkage (Ibrahim et al.) pulls the covariance
    towards a round one by Ledoit and Wolf's share, so that few pictures will do.

    Args:
        features: `Features` (its training split), `(x, y)`, or an array `(n, d)`.
        labels: Labels `(n,)`, where `features` is an array.
        shrinkage: Whether to shrink the covariance.

    Returns:
        The score, a float; higher is better.

    Raises:
        ValueError: If rows and labels do not fit, or there is one class.

    Example:
        >>> import tlteach as tl
        >>> round(tl.h_score([[0.0], [2.0], [4.0], [6.0]], [0, 0, 1, 1]), 6)  # means 1 and 5: variance 4 of 5
        0.8

    Reference:
        Bao et al. 2019, An Information-Theoretic Approach to Transferability in Task Transfer Learning;
        Ibrahim et al. 2022, Newer is not always better.
    """
    x, y = rows_of(features, labels)
    x = x - x.mean(0)
    means = np.stack([x[y == k].mean(0) for k in range(y.max() + 1)])  # (classes, d)
    shares = np.bincount(y) / len(y)
    _, sizes, directions = np.linalg.svd(x, full_matrices=False)
    variances, kept = sizes**2 / len(x), sizes > _rounding(x, sizes)
    along = shares @ (means @ directions.T) ** 2  # variance of the class means along each direction
    if not shrinkage:
        return float((along[kept] / variances[kept]).sum())
    from sklearn.covariance import ledoit_wolf_shrinkage

    share = ledoit_wolf_shrinkage(x, assume_centered=True) if x.any() else 1.0
    round_part = share * variances.sum() / x.shape[1]
    return float(((1 - share) * along[kept] / ((1 - share) * variances + round_part)[kept]).sum())


def _rounding(x, sizes):
    """The singular value below which a direction is rounding alone."""
    return max(x.shape) * np.finfo(float).eps * sizes.max(initial=0)


def leep(probabilities, labels):
    """Score a source by what its own classes say about the target's: LEEP.

    The source's classifier, head and all, is run on the target's pictures. From its probabilities follows how
    often each target class comes with each source class; LEEP is the mean log likelihood of the labels if one
    drew a source class and then a target class. Needs the source's own head, such as a Keras application with
    its top: the mini backbones ship without theirs.

    Args:
        probabilities: The source classifier's, `(n, source classes)`; rows sum to 1.
        labels: Target labels `(n,)`.

    Returns:
        The score, a float of at most 0; higher is better.

    Raises:
        ValueError: If these are no probabilities, or do not fit the labels.

    Example:
        >>> import tlteach as tl
        >>> tl.leep([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]], [1, 1, 0])  # each source class means one target class
        0.0

    Reference:
        Nguyen et al. 2020, LEEP: A New Measure to Evaluate Transferability of Learned Representations.
    """
    p, y = rows_of(probabilities, labels)
    if (p < 0).any() or not np.allclose(p.sum(1), 1, atol=1e-3):
        raise ValueError(
            "probabilities must be 0 or more and sum to 1 in each row: those of the source's own classifier. "
            f"Received: rows that sum to {p.sum(1).min():.3g} to {p.sum(1).max():.3g}, the least value {p.min():.3g}."
        )
    joint = np.eye(y.max() + 1)[y].T @ p / len(p)  # (classes, source classes)
    given = joint / np.maximum(joint.sum(0), np.finfo(float).tiny)
    return float(np.log((given[y] * p).sum(1)).mean())


def nce(source_labels, labels):
    """Score a source by how well its labels foretell the target's: negative conditional entropy.

    `-H(target label | source label)` of the same pictures, in nats. The source's labels may be those that its
    classifier gives (the likeliest class), or true ones where the pictures have both.

    Args:
        source_labels: Labels in the source's classes, `(n,)`.
        labels: Target labels `(n,)`.

    Returns:
        The score, a float of at most 0; higher is better.

    Raises:
        ValueError: If there are not as many of the one as of the other.

    Example:
        >>> import tlteach as tl
        >>> round(tl.nce([0, 0, 1, 1], [0, 1, 0, 0]), 4)  # half of the pictures are a coin's throw: -log(2) / 2
        -0.3466

    Reference:
        Tran et al. 2019, Transferability and Hardness of Supervised Classification Tasks.
    """
    z, y = np.asarray(source_labels), np.asarray(labels)
    if z.shape != y.shape or z.ndim != 1 or not len(z):
        raise ValueError(f"each picture must have a source label and a label. Received: {z.shape} and {y.shape}.")
    z, y = (np.unique(each, return_inverse=True)[1] for each in (z, y))
    counts = np.zeros((y.max() + 1, z.max() + 1))
    np.add.at(counts, (y, z), 1)
    return float(np.log(counts[y, z] / counts.sum(0)[z]).mean())


def log_me(features, labels=None):
    """Score features by the evidence for a linear model on them: LogME.

    For each class a Bayesian linear model tells it (1) from the others (0): weights of variance `1/alpha`, noise
    of variance `1/beta`. LogME is the log of the labels' probability under the best `alpha` and `beta`, per
    picture, the mean of the classes. It does not overfit as a trained head may, since no weights are chosen.

    With the ratio of `alpha` and `beta` given, the best of each is known, so the maximum is looked for along one
    line: on a grid, then between its points. That is where the paper's fixed-point iteration ends when it converges
    to the best of its ends. As in the paper, features are not centred and there is no intercept.

    Args:
        features: `Features` (its training split), `(x, y)`, or an array `(n, d)`.
        labels: Labels `(n,)`, where `features` is an array.

    Returns:
        The score, a float; higher is better. Noise is taken to be at least 1e-12 of the features' strongest
        direction: features that explain the labels without any rest would have an infinite score.

    Raises:
        ValueError: If rows and labels do not fit, or there is one class.

    Example:
        >>> import tlteach as tl
        >>> round(tl.log_me([[1.0], [0.0], [1.0], [0.0]], [0, 0, 1, 1]), 3)  # says nothing about the labels
        -1.072

    Reference:
        You et al. 2021, LogME: Practical Assessment of Pre-trained Models for Transfer Learning.
    """
    x, y = rows_of(features, labels)
    u, sizes, _ = np.linalg.svd(x, full_matrices=False)
    kept = sizes > _rounding(x, sizes)
    u, signal = u[:, kept], sizes[kept] ** 2
    strongest = signal.max(initial=0) or 1.0
    truths = np.eye(y.max() + 1)[y]  # (n, classes)
    return float(np.mean([_best_evidence(u, signal / strongest, truth) for truth in truths.T]))


def _best_evidence(u, signal, truth):
    """The greatest evidence a row over all `alpha` and `beta`, with the features' squared singular values."""
    from scipy.optimize import minimize_scalar

    along = (u.T @ truth) ** 2
    rest = max(float(truth @ truth - along.sum()), 0.0)

    def lost(power):
        return -_evidence(10.0**power, signal, along, rest=rest, n=len(truth))

    values = [lost(power) for power in _GRID]
    best = int(np.argmin(values))
    around = _GRID[max(best - 1, 0)], _GRID[min(best + 1, len(_GRID) - 1)]
    found = minimize_scalar(lost, bounds=around, method="bounded", options={"xatol": 1e-9})
    silent = -0.5 * (np.log(2 * np.pi * (truth @ truth) / len(truth)) + 1)  # the weights are zero: noise alone
    return max(-min(found.fun, values[best]), silent)


def _evidence(ratio, signal, along, *, rest, n):
    """Log evidence a row where the labels' covariance is `(F F' + ratio I) / alpha`, with the best `alpha`."""
    spread = (along / (signal + ratio)).sum() + rest / ratio  # y' (F F' + ratio I)^-1 y
    volume = np.log(signal + ratio).sum() + (n - len(signal)) * np.log(ratio)
    return -0.5 * (np.log(2 * np.pi * spread / n) + 1) - 0.5 * volume / n


SCORES = {
    "h_score": h_score,
    "shrunk_h_score": lambda x, y: h_score(x, y, shrinkage=True),
    "log_me": log_me,
}
"""Scores that features and labels are enough for."""
