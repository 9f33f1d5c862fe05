"""Tables: texts with labels from a file or a pandas frame, in three splits."""

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np

from tlteach._drawing import check_drawing, draw_parts
from tlteach._folders import PARTS
from tlteach._groups import named
from tlteach._split import Split, Splits
from tlteach._tables import LINES, SEPARATED, read_table

_PARTS = ("train", "val", "test")


def is_table(path):
    """Whether a path is that of a table of texts and not of a folder.

    Args:
        path: A path.
    """
    return Path(path).suffix.lower() in SEPARATED + LINES and not Path(path).is_dir()


def from_table(source, *, text="text", label="label", val=0.2, test=0.2, seed=0):
    """Read texts and their labels: a row each.

    A column `split` with train, val or test says where a row belongs; else the
    splits are drawn, stratified and seeded. Texts that are equal but for case and
    punctuation are never on two sides. Rows that cannot be used are named in a
    warning and left out: bad ones, empty texts, and texts that stand there with
    two different labels. Lines that are not UTF-8 are named and read as Windows-1252.

    Args:
        source: CSV, TSV or JSON Lines file, or a `pandas.DataFrame`. A `.tsv` (or a file of two
            columns) without a header is text, then label.
        text: Name of the column of texts.
        label: Name of the column of labels.
        val: Share of the rows for validation, 0 to 1.
        test: Share of the rows for the test, 0 to 1.
        seed: Seed of the drawing.

    Returns:
        `Splits`; what else the table knows, such as domain or rating, stays in the splits' tables.

    Raises:
        FileNotFoundError: If the file is missing.
        ValueError: If it is no such table, has a single class, or a class with too few rows.

    Example:
        >>> import pandas as pd, tlteach as tl
        >>> rows = [(f"Dish {i} was {taste}.", taste) for i in range(10) for taste in ("fine", "bland")]
        >>> meals = tl.from_table(pd.DataFrame(rows, columns=["text", "label"]))
        >>> meals.classes, [part.num_examples for part in meals.parts().values()]
        (['bland', 'fine'], [12, 4, 4])
    """
    shares = check_drawing(val, test, seed)
    table, name = read_table(source, text=text, label=label)
    classes = _classes(table, source)
    table = table.assign(label=table["class"].map(classes.index).astype(int))
    part = _given(table)
    wanted = {each: share for each, share in shares.items() if share > 0 and each not in set(part)}
    rest = table[part == "train"]
    _check_enough(rest, classes, len(wanted) + 1)
    part[rest.index] = draw_parts(rest.assign(unit=rest["sha256"]), wanted, seed=seed, classes=classes)
    parts = {each: _split_of(table[part == each], classes) for each in _PARTS}
    return Splits(**parts, name=name)


def _classes(table, source):
    classes = sorted(table["class"].unique())
    if len(classes) < 2:
        what = source if isinstance(source, str) else f"{len(table)} rows that can be used"
        raise ValueError(f"there must be at least two labels. Received: {what}, with {named(classes) or 'none'}.")
    return classes


def _check_enough(table, classes, needed):
    counts = table.groupby("class")["sha256"].nunique().reindex(classes, fill_value=0)
    few = counts[counts < needed]
    if len(few):
        raise ValueError(
            f"each label needs at least {needed} different texts, one for each split. "
            f"Received: {', '.join(f'{name} with {count}' for name, count in few.items())}."
        )


def _given(table):
    """Return the split that each row is told to be in, `train` where nothing is told; a text's last one."""
    if "split" not in table:
        return np.full(len(table), "train", dtype=object)
    part = table["split"].map(lambda told: PARTS.get(str(told).strip().lower(), "train"))
    order = part.map({"train": 0, "val": 1, "test": 2})
    last = order.groupby(table["sha256"]).transform("max")
    return np.array(_PARTS, dtype=object)[last]


def _split_of(table, classes):
    table = table.drop(columns="split", errors="ignore")
    return Split(list(table["text"]), table, classes)


def with_test_table(splits, source, *, text="text", label="label"):
    """Replace the test split by a table of the same classes.

    Texts that stand in it too are left out of training and validation with a warning.

    Args:
        splits: `Splits`.
        source, text, label: As in `from_table`.

    Returns:
        `Splits`.

    Raises:
        FileNotFoundError: If the file is missing.
        ValueError: If its classes are others.
    """
    table, _ = read_table(source, text=text, label=label)
    found = sorted(table["class"].unique())
    if not found or not set(found) <= set(splits.classes):
        raise ValueError(
            f"the test table must have the classes {', '.join(splits.classes)}. Received: {', '.join(found) or 'none'}."
        )
    table = table.assign(label=table["class"].map(splits.classes.index).astype(int))
    whole = replace(splits, test=_split_of(table, splits.classes))
    kept = {part: ~getattr(whole, part).table["sha256"].isin(table["sha256"]) for part in ("train", "val")}
    leaks = [path for part, stays in kept.items() for path in getattr(whole, part).table.loc[~stays, "path"]]
    if leaks:
        warnings.warn(f"{len(leaks)} texts stand in the test table too and are left out: {named(leaks)}", stacklevel=3)
    return replace(whole, **{part: getattr(whole, part).take(np.flatnonzero(stays)) for part, stays in kept.items()})
