"""Draw the parts of a split: whole units (twins, patients) at a time, each class in its share."""

import numbers
import warnings
from fractions import Fraction

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold

TRIES = 50  # draws in groups, until each class comes up in each part
FOLDS = 20  # at most: a share of groups is a number of folds out of these


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
    unit, kind = pd.factorize(table["unit"])[0], table["class"].to_numpy()
    counts = table.groupby("class")["unit"].nunique()  # units that have a picture of the class
    _check_enough(counts, table["class"].unique() if classes is None else classes, len(shares) + 1, column)
    random = np.random.default_rng(seed)
    if column is None:
        return _draw_units(unit, _rarest(unit, kind, counts), shares, random)[unit]
    return _draw_groups(unit, kind, shares, random, column)


def _rarest(unit, kind, counts):
    """Return the class that each unit is drawn with, `(units,)`: the rarest of its own."""
    order = np.argsort(counts[kind].to_numpy(), kind="stable")
    return pd.Series(kind[order]).groupby(unit[order]).first().to_numpy()


def _draw_units(unit, stratum, shares, random):
    """Return the part of each unit, `(units,)`, class by class, at least one for each part."""
    parts = np.full(len(stratum), "train", dtype=object)
    for name in np.unique(stratum):
        left = random.permutation(np.flatnonzero(stratum == name))
        own = len(left)
        for number, (part, share) in enumerate(shares.items()):
            after = len(shares) - number  # what comes later needs one each
            count = max(0, min(max(1, round(share * own)), len(left) - after))
            parts[left[:count]] = part
            left = left[count:]
    return parts


def _draw_groups(unit, kind, shares, random, column):
    """Return the part of each row, `(rows,)`; scikit-learn's grouped folds keep the classes' shares even."""
    for _ in range(TRIES):
        parts, left = np.full(len(unit), "train", dtype=object), 1.0
        for part, share in shares.items():
            rows = np.flatnonzero(parts == "train")
            parts[rows[_some_folds(unit[rows], kind[rows], share / left, random)]] = part
            left -= share
        if (pd.crosstab(kind, parts).reindex(columns=["train", *shares], fill_value=0) > 0).all(axis=None):
            return parts
    raise ValueError(
        f"each class must come up in each split without dividing a {column}. "
        f"Received: classes so spread over {unit.max() + 1} different values of {column} that none of "
        f"{TRIES} draws did that; try another seed, or val=0."
    )


def _some_folds(unit, kind, share, random):
    """Return rows that are as near to a share as whole folds are."""
    most = min(FOLDS, int(pd.Series(unit).groupby(kind).nunique().max()))
    if most < 2:
        return []
    found = Fraction(share).limit_denominator(most)
    folds = found.denominator if 0 < found < 1 else most
    taken = min(max(1, round(share * folds)), folds - 1)
    drawn = StratifiedGroupKFold(folds, shuffle=True, random_state=int(random.integers(2**31)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a class with fewer rows than folds: looked after above
        return np.concatenate([rows for _, (_, rows) in zip(range(taken), drawn.split(unit, kind, unit), strict=False)])


def _check_enough(counts, classes, needed, column):
    counts = counts.reindex(classes, fill_value=0)
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
