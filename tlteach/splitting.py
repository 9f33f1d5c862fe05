"""Splitting anew: the same pictures split otherwise, and the same splits with labels at random."""

from dataclasses import replace

import numpy as np
import pandas as pd

from tlteach._drawing import check_drawing, draw_parts
from tlteach._groups import named
from tlteach.data import Split

_PARTS = ("train", "val", "test")


def resplit(splits, *, groups=None, val=0.2, test=0.2, seed=0):
    """Put all pictures of a data set together and split them anew.

    Made to compare two splits of the same pictures. With `groups="patient"`, no
    patient is in two splits. Without, single pictures are drawn, so that a
    patient's slices stand on both sides: the split that much published work
    made, and a test that asks for what was learned by heart. Do not use it to
    find out how good a model is. Unlike in `from_folder`, nearly equal pictures
    are not kept together: that they part is what the comparison shows.

    Args:
        splits: `Splits`.
        groups: Column of the tables whose values are never divided, such as `"patient"`;
            `None` draws single pictures.
        val: Share of the pictures for validation, 0 to 1; with groups, as near as they allow.
        test: Share of the pictures for the test, 0 to 1.
        seed: Seed of the drawing.

    Returns:
        `Splits`, stratified. Its `groups` is the column, or that of the splits given,
        so that `check_leakage` tells what a split by single pictures has divided.

    Raises:
        ValueError: If there is no such column, it has gaps, or a class has too few groups.

    Example:
        >>> import tlteach as tl
        >>> pets = tl.load_dataset("cats_vs_dogs", "mini")
        >>> [part.num_examples for part in tl.resplit(pets, val=0.1, test=0.5).parts().values()]
        [800, 200, 1000]

    Reference:
        Saeb et al. 2017, The need to approximate the use-case in clinical machine learning.
    """
    shares = {part: share for part, share in check_drawing(val, test, seed).items() if share > 0}
    whole = _together(splits)
    unit = np.arange(whole.num_examples) if groups is None else _column(whole.table, groups)
    table = pd.DataFrame({"class": np.array(whole.classes)[whole.labels], "unit": unit})
    part = draw_parts(table, shares, seed=seed, column=groups)
    parts = {name: whole.take(np.flatnonzero(part == name)) for name in _PARTS}
    return replace(splits, **parts, groups=groups or splits.groups)


def shuffle_labels(splits, *, by=None, seed=0):
    """Give the pictures each other's labels: the control that must find nothing.

    What a model still gets right above chance on the test, it does not owe to
    the classes. With `by="patient"` each patient gets the class of another, the
    same one in all splits: a test that divides patients then still looks good,
    as they are recognised; one that does not falls to chance. Labels are
    exchanged only between pictures (or patients) that stand in the same splits,
    so the classes keep their share of them in each.

    Args:
        splits: `Splits`.
        by: Column of the tables whose values keep a label in common, such as `"patient"`;
            `None` exchanges the labels of single pictures.
        seed: Seed of the exchange.

    Returns:
        `Splits` with other labels; pictures and fingerprints stay, so that kept features
        are found again.

    Raises:
        ValueError: If there is no such column, it has gaps, or a group has two classes.

    Example:
        >>> import tlteach as tl
        >>> pets = tl.load_dataset("cats_vs_dogs", "mini")
        >>> control = tl.shuffle_labels(pets)
        >>> int((control.train.table["class"] == "cat").sum()), control.train.num_examples
        (600, 1200)
        >>> bool(500 < (control.train.labels == pets.train.labels).sum() < 700)
        True

    Reference:
        Ojala and Garriga 2010, Permutation tests for studying classifier performance;
        Zhang et al. 2017, Understanding deep learning requires rethinking generalization.
    """
    check_drawing(0, 0, seed)
    parts = splits.parts()
    part = np.repeat(range(len(parts)), [each.num_examples for each in parts.values()])
    whole = _together(splits).table
    key = np.arange(len(whole)) if by is None else pd.factorize(_column(whole, by))[0]
    new = _exchanged(key, whole["label"].to_numpy(), part, np.random.default_rng(seed))[key]
    mixed = {str(group) for group in _column(whole, by)[new < 0]} if by else ()
    if mixed:
        raise ValueError(f"each {by} must have a single class to get another's. Received: several for {named(mixed)}.")
    return replace(splits, **{name: _labelled(each, new[part == i]) for i, (name, each) in enumerate(parts.items())})


def _exchanged(key, label, part, random):
    """Return the new label of each group, `(groups,)`, -1 where it has no single one of its own."""
    labels = pd.Series(label).groupby(key)
    own = labels.first().to_numpy().copy()
    where = np.zeros(len(own), int)  # the splits of each group, as bits of a number
    np.bitwise_or.at(where, key, 1 << part)
    for splits in np.unique(where):
        own[where == splits] = random.permutation(own[where == splits])
    return np.where(labels.nunique() > 1, -1, own)


def _labelled(split, labels):
    table = split.table.assign(**{"label": labels, "class": np.array(split.classes, dtype=object)[labels]})
    return Split(split.pictures, table, split.classes, size=split.size, batch_size=split.batch_size)


def _together(splits):
    parts = splits.parts().values()
    pictures = [picture for part in parts for picture in part.pictures]
    table = pd.concat([part.table for part in parts], ignore_index=True)
    first = splits.train
    return Split(pictures, table, first.classes, size=first.size, batch_size=first.batch_size)


def _column(table, name):
    """Return a column that has a value in every row."""
    if name not in table:
        raise ValueError(f"the group must be a column, one of {', '.join(map(str, table))}. Received: {name!r}.")
    if table[name].isna().any():
        raise ValueError(
            f"every picture needs its {name}. Received: {int(table[name].isna().sum())} of {len(table)} without one."
        )
    return table[name].to_numpy()
