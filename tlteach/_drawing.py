"""Draw the parts of a split: whole units (twins, patients) at a time, each class in its share."""

import numbers

import numpy as np
import pandas as pd

DRAWS = 200  # at most, of which the best is taken: groups are of unequal size
EVEN = 0.003  # by how much the classes' shares may be off on average before another draw is made


def check_drawing(val, test, seed):
    """Raise unless the shares and the seed can be drawn with.

    Args:
        val, test: Shares, 0 to 1.
        seed: A whole number from 0.

    Returns:
        `{"test": share, "val": share}`.
    """
    are_numbers = all(isinstance(s, numbers.Real) and not isinstance(s, bool) for s in (val, test))
    if not are_numbers or not (val >= 0 and test >= 0 and val + test < 1):
        raise ValueError(
            "val and test must be shares of the pictures, 0 to 1, and less than 1 together. "
            f"Received: val={val!r}, test={test!r}."
        )
    if not isinstance(seed, numbers.Integral) or isinstance(seed, bool) or seed < 0:
        raise ValueError(f"seed must be a whole number from 0. Received: {seed!r}.")
    return {"test": test, "val": val}


def draw_parts(table, shares, *, seed, classes=None, column=None):
    """Return the part of each row, `train` for what the shares leave.

    Args:
        table: `pandas.DataFrame` with class and unit; a unit is never divided.
        shares: `{"test": 0.2, "val": 0.2}`: parts to draw, in this order.
        seed: Seed of the drawing.
        classes: Classes that must be there; those of the table if `None`.
        column: What the units are called where they are groups of pictures; else they are single ones and twins.
    """
    units = _Units(table)
    _check_enough(units, table["class"].unique() if classes is None else classes, len(shares) + 1, column)
    random = np.random.default_rng(seed)
    parts = units.draw(shares, random) if column is None else _best(units, shares, random, column)
    return np.array(["train", *shares], dtype=object)[parts[units.of_row]]


def _best(units, shares, random, column):
    least = np.inf
    for _ in range(DRAWS):
        parts = units.fill(shares, random)
        if (off := units.unevenness(parts, shares)) < least:
            least, best = off, parts
        if least <= EVEN:
            break
    if np.isinf(least):
        raise ValueError(
            f"each class must come up in each split without dividing a {column}. "
            f"Received: classes so spread over {len(units.stratum)} different values of {column} that none of "
            f"{DRAWS} draws did that; try another seed, or val=0."
        )
    return best


class _Units:
    """What is drawn: each unit counts to the rarest of its classes, and the draw is made class by class.

    Attributes:
        of_row: Unit of each row, `(rows,)`.
        stratum: Class that each unit is drawn with, `(units,)`.
    """

    def __init__(self, table):
        self.of_row, _ = pd.factorize(table["unit"])
        self.class_of_row, self.classes = pd.factorize(table["class"], sort=True)
        pairs = pd.DataFrame({"unit": self.of_row, "class": self.class_of_row}).value_counts(sort=False).reset_index()
        self.counts = np.bincount(pairs["class"], minlength=len(self.classes))  # (classes,) units with that class
        rarest = pairs.assign(units=self.counts[pairs["class"]]).sort_values(["unit", "units"], kind="stable")
        self.stratum = rarest.drop_duplicates("unit")["class"].to_numpy()
        self.pairs = pairs.sort_values("unit", kind="stable")[["unit", "class", "count"]].to_numpy()

    def fill(self, shares, random):
        """As `draw`, by pictures: each unit, in turn, goes where most of its class is wanting."""
        wanted = np.array([1 - sum(shares.values()), *shares.values()])
        starts = np.searchsorted(self.pairs[:, 0], range(len(self.stratum) + 1))
        filled = np.zeros((len(self.classes), len(wanted)))  # pictures of each class in each part
        parts, ties = np.zeros(len(self.stratum), int), random.random((len(self.stratum), len(wanted)))
        for unit in random.permutation(len(parts)):
            parts[unit] = np.argmin(filled[self.stratum[unit]] / wanted + 1e-9 * ties[unit])
            own = self.pairs[starts[unit] : starts[unit + 1]]
            filled[own[:, 1], parts[unit]] += own[:, 2]
        return parts

    def draw(self, shares, random):
        """Return the part of each unit, `(units,)`: 0 for train, then the shares in their order."""
        parts = np.zeros(len(self.stratum), int)
        for number in range(len(self.classes)):
            left = random.permutation(np.flatnonzero(self.stratum == number))
            own = len(left)
            for part, share in enumerate(shares.values(), 1):
                after = len(shares) + 1 - part  # what comes later needs one each
                count = max(0, min(max(1, round(share * own)), len(left) - after))
                parts[left[:count]] = part
                left = left[count:]
        return parts

    def unevenness(self, parts, shares):
        """Return by how much a class's share of pictures is off on average, infinite where a class is missing."""
        whole, kinds = len(shares) + 1, len(self.classes)
        counts = np.bincount(self.class_of_row * whole + parts[self.of_row], minlength=kinds * whole)
        counts = counts.reshape(kinds, whole)  # pictures of each class in each part
        wanted = [1 - sum(shares.values()), *shares.values()]
        off = np.abs(counts / counts.sum(axis=1, keepdims=True) - wanted).mean()
        return off if counts.all() else np.inf


def _check_enough(units, classes, needed, column):
    counts = pd.Series(units.counts, units.classes).reindex(classes, fill_value=0)
    few = counts[counts < needed]
    if needed == 1 or not len(few):
        return
    received = ", ".join(f"{name} with {count}" for name, count in few.items())
    if column is None:
        raise ValueError(
            f"each class needs at least {needed} different pictures, one for each split. "
            f"Received: {received} (equal and nearly equal ones count once)."
        )
    raise ValueError(
        f"each class needs pictures of at least {needed} different values of {column}, one for each split. "
        f"Received: {received} (those that share a nearly equal picture count once)."
    )
