"""Adaptation: what was learned on the source is fitted to a target that looks otherwise.

Each remedy is a small object with one method, `fit(source, target)`, and gives a plain
`keras.Model`. All but `BatchNormStatistics` work on features and give a head for target
features as they come, which `attach_head` puts on the backbone. None helps always: each
docstring says what it takes for granted.
"""

from dataclasses import dataclass

import numpy as np

from tlteach._batchnorm import BatchNormStatistics
from tlteach._dann import Dann
from tlteach._domains import labelled, probe_of, unlabelled
from tlteach.heads import linear_probe

__all__ = ["BatchNormStatistics", "Coral", "Dann", "FewLabels", "SelfTraining"]


@dataclass(frozen=True)
class Coral:
    """Give the source's features the target's mean and covariance, and solve a linear probe on them.

    It takes for granted that the domains differ by a shift and a stretch of the features, and that
    the classes are equally frequent in both. A rotation of features that are round leaves the
    covariance as it was, so it is not seen; other class frequencies move the mean, and are
    mistaken for a shift.

    Attributes:
        ridge: What is added to the diagonals of the covariances, as a share of the domain's mean
            variance: the paper's 1 for standardised features. 0 aligns fully, and needs many
            more rows than features.
        strength: Inverse L2 strength of the probe; chosen if `None`.

    Example:
        >>> import numpy as np, tlteach as tl
        >>> random = np.random.default_rng(0)
        >>> y = np.arange(200) % 2
        >>> x = random.normal(size=(200, 2)) + 3 * y[:, None]
        >>> probe = tl.Coral().fit((x, y), 5 * x + 20)
        >>> float((np.asarray(probe.predict_on_batch(5 * x + 20)).argmax(1) == y).mean()) > 0.9
        True

    Reference:
        Sun, Feng and Saenko 2016, Return of frustratingly easy domain adaptation; lesson 11.
    """

    ridge: float = 1.0
    strength: float | None = None

    def fit(self, source, target, *, seed=0):
        """Return a `keras.Model` from target features to probabilities.

        Args:
            source: `(x, y)`: features `(n, features)` and labels `(n,)`, integers from 0.
            target: Features `(m, features)`, without labels.
            seed: Seed of the probe's folds.
        """
        return linear_probe(self.align(source, target), strength=self.strength, seed=seed)

    def align(self, source, target):
        """Return the source as `(x, y)` with features that are moved to where the target's are.

        Args:
            source, target: As in `fit`.
        """
        if self.ridge < 0:
            raise ValueError(f"ridge must be 0 or more. Received: {self.ridge!r}.")
        x, y = labelled(source)
        target = unlabelled(target, like=x)
        moved = (
            (x - x.mean(0)) @ _power(_covariance(x, self.ridge), -0.5) @ _power(_covariance(target, self.ridge), 0.5)
        )
        return moved + target.mean(0), y


def _covariance(x, ridge):
    found = np.atleast_2d(np.cov(x, rowvar=False))
    return found + ridge * np.trace(found) / len(found) * np.eye(len(found))


def _power(matrix, exponent):
    """A power of a symmetric matrix; directions in which nothing varies stay without."""
    values, vectors = np.linalg.eigh(matrix)
    there = values > 1e-10 * values.max(initial=0)
    return (vectors[:, there] * values[there] ** exponent) @ vectors[:, there].T


@dataclass(frozen=True)
class SelfTraining:
    """Let a probe label the target, and learn from the labels it is surest of; step by step if need be.

    It takes for granted that most of the first labels are right. Over a great shift they are not, and
    then it only grows surer of its mistakes; over many small ones, a list of targets in their
    order, it can go far.

    Attributes:
        keep: Share of each predicted class that is learned from, the surest first, so that no class
            is forgotten.
        rounds: How often each target is labelled and learned from.
        with_source: Whether the source's labels are learned from all along, or for the first probe alone.
        strength: Inverse L2 strength of the probes. Labels that a probe has given itself are separable, so without a
            strong penalty the next probe is the same again and nothing moves.

    Example:
        >>> import numpy as np, tlteach as tl
        >>> random = np.random.default_rng(0)
        >>> y = np.arange(200) % 2
        >>> x = random.normal(size=(200, 2)) + 5 * y[:, None]
        >>> probe = tl.SelfTraining().fit((x, y), [x + 1, x + 2, x + 3])
        >>> float((np.asarray(probe.predict_on_batch(x + 3)).argmax(1) == y).mean()) > 0.9
        True

    Reference:
        Lee 2013, Pseudo-label; Zou et al. 2018 (the surest of each class); Kumar, Ma and Liang 2020,
        Understanding self-training for gradual domain adaptation; lesson 11.
    """

    keep: float = 0.9
    rounds: int = 1
    with_source: bool = False
    strength: float = 0.01

    def fit(self, source, target, *, seed=0):
        """Return a `keras.Model` from features to probabilities.

        Args:
            source: `(x, y)`: features `(n, features)` and labels `(n,)`, integers from 0.
            target: Features `(m, features)` without labels, or a list of such arrays: the way from the source
                to the target in small steps, the target last.
            seed: Seed of the probes' folds.
        """
        if not 0 < self.keep <= 1 or self.rounds < 1:
            raise ValueError(
                "keep must be above 0 and at most 1, and rounds 1 or more. "
                f"Received: keep={self.keep}, rounds={self.rounds}."
            )
        (x, y), how = labelled(source), {"strength": self.strength, "seed": seed}
        classes = int(y.max()) + 1
        steps = [unlabelled(part, like=x) for part in (target if isinstance(target, list) else [target])]
        probe = probe_of(x, y, classes, **how)
        for step in (part for part in steps for _ in range(self.rounds)):
            rows, found = self.choose(np.asarray(probe.predict_on_batch(step)))
            both = (np.vstack([x, step[rows]]), np.append(y, found)) if self.with_source else (step[rows], found)
            probe = probe_of(*both, classes, **how)
        return probe

    def choose(self, probabilities):
        """Return the rows to learn from and the labels they are given.

        Args:
            probabilities: Array `(m, classes)`.
        """
        found, sure = probabilities.argmax(1), probabilities.max(1)
        rows = []
        for label in np.unique(found):
            own = np.flatnonzero(found == label)
            rows.append(own[np.argsort(-sure[own], kind="stable")[: max(1, round(self.keep * len(own)))]])
        if len(rows) < 2:
            raise ValueError(
                f"self-training needs at least two classes in the target. Received: {len(found)} rows that the probe "
                f"all takes for class {found[0]}; the shift is too great for its labels, go in smaller steps."
            )
        rows = np.sort(np.concatenate(rows))
        return rows, found[rows]


@dataclass(frozen=True)
class FewLabels:
    """Solve a linear probe on the source and on a few labelled rows of the target, which count as much together.

    The remedy that fails least often, as it needs no belief about the shift; of very few labels, chance
    decides much. Compare it with a probe on the target's labels alone.

    Attributes:
        share: Share of the whole weight that the target's rows get together, between 0 and 1.
        strength: Inverse L2 strength of the probe; chosen if `None`.

    Example:
        >>> import numpy as np, tlteach as tl
        >>> x, y = np.array([[0.0], [1], [2], [3]] * 5), np.array([0, 0, 1, 1] * 5)
        >>> probe = tl.FewLabels(share=0.9).fit((x, y), (x[:4] + 2, y[:4]))
        >>> probe.predict_on_batch(x[:4] + 2).argmax(1)
        array([0, 0, 1, 1])

    Reference:
        Daume and Marcu 2006, Domain adaptation for statistical classifiers; lesson 11.
    """

    share: float = 0.5
    strength: float | None = None

    def fit(self, source, target, *, seed=0):
        """Return a `keras.Model` from features to probabilities.

        Args:
            source: `(x, y)`: features `(n, features)` and labels `(n,)`, integers from 0.
            target: The same of the target, with few rows.
            seed: Seed of the probe's folds.
        """
        if not 0 < self.share < 1:
            raise ValueError(f"share must be between 0 and 1. Received: {self.share!r}.")
        (x, y), (few, own) = labelled(source), labelled(target)
        few = unlabelled(few, like=x)
        weights = np.repeat([(1 - self.share) / len(x), self.share / len(few)], [len(x), len(few)])
        both = np.vstack([x, few]), np.append(y, own)
        return linear_probe(both, strength=self.strength, seed=seed, weights=weights)
