"""Data: pictures, recordings or texts with labels in three splits, from the lessons' data sets or of one's own."""

import numbers
import warnings
from dataclasses import replace

import numpy as np
import pandas as pd

from tlteach import _pictures
from tlteach._assets import check_size, default_size, shipped
from tlteach._folders import read_folder, read_mini, read_test
from tlteach._groups import declared, named
from tlteach._meant import meant
from tlteach._split import Split, Splits, text_hash
from tlteach.tables import from_table

__all__ = ["Split", "Splits", "check_leakage", "from_folder", "load_dataset", "subset", "text_hash", "with_test_folder"]


def load_dataset(name, size=None):
    """Load one of the lessons' data sets.

    Args:
        name: `"brain_mri"`, `"cats_vs_dogs"`, `"reviews"` or `"spoken_digits"`.
        size: `"mini"` (ships with the package) or `"full"` (TensorFlow Datasets,
            downloaded once). By default what `TLTEACH_SIZE` says, or mini.

    Returns:
        `Splits`; those of `brain_mri` have `groups="patient"`, those of `spoken_digits`
        `groups="speaker"`, and no patient or speaker stands in two splits.

    Raises:
        ValueError: For an unknown name or size.
        OSError: If the full data can neither be found nor fetched.

    Example:
        >>> import tlteach as tl
        >>> pets = tl.load_dataset("cats_vs_dogs", "mini")
        >>> pets.classes, pets.train[0][0].shape
        (['cat', 'dog'], (32, 64, 64, 3))
    """
    size = default_size() if size is None else check_size(size)
    names = sorted(p.name for p in shipped("datasets").iterdir() if any(p.glob("*_dataset_builder.py")))
    if name not in names:
        raise ValueError(f"name must be one of {', '.join(names)}. Received: {name!r}.{meant(name, names)}")
    if size == "full":
        from tlteach._tfds import export_full

        folder = export_full(name)
        if (folder / "reviews.jsonl").exists():
            return replace(from_table(folder / "reviews.jsonl"), name=name, card=_card(name))
        groups = folder / "groups.csv" if declared(name) else None
        return replace(from_folder(folder, groups=groups), name=name, card=_card(name))
    return _load_mini(name)


def _card(name):
    return (shipped("datasets", name) / "README.md").read_text(encoding="utf-8")


def _load_mini(name):
    pictures, table = read_mini(shipped("datasets", name, "mini"))
    classes = sorted(table["class"].unique())
    parts = {}
    for part in ("train", "val", "test"):
        rows = np.flatnonzero(table["split"] == part)
        parts[part] = Split(pictures[rows], table.iloc[rows].drop(columns="split"), classes)
    return Splits(**parts, name=name, card=_card(name), groups=declared(name))


def from_folder(path, *, val=0.2, test=0.2, seed=0, groups=None):
    """Read a folder of one's own pictures or recordings: a folder for each class.

    With `train`, `val` or `test` folders inside, each with its class folders,
    those are the splits; what is missing is drawn from `train`. Otherwise the
    splits are stratified and seeded. Equal and nearly equal pictures are never
    on two sides. Files that cannot be read, and recordings without a sound, are named
    in one warning and left out. A recording's picture is its spectrogram (see `FrontEnd`).

    Pictures that are not independent, such as the slices of a patient or the
    frames of a film, need `groups`: else the test asks for what was learned by
    heart. A group is never on two sides, nor are groups that share a nearly
    equal picture; in given splits it stays in the last one, with a warning.

    Args:
        path: The folder. JPEG, PNG, WebP and BMP; grey, transparent, CMYK and 16-bit too.
            Or WAV, FLAC, Ogg and MP3, of any rate and number of channels: one word or sound each.
        val: Share of the pictures for validation, 0 to 1.
        test: Share of the pictures for the test, 0 to 1.
        seed: Seed of the drawing.
        groups: CSV or TSV file with a column of pictures (`path`, or the first; paths below
            the folder, or names) and one called `group`, `patient`, `subject` or `speaker`; what else it
            says is kept in the tables. Or a regular expression with one group in brackets, for
            the names or the paths: `r"(?P<patient>p\\d+)_"`.

    Returns:
        `Splits`, with the column's name as `groups`.

    Raises:
        FileNotFoundError: If the folder is missing.
        ValueError: If there are no pictures, a single class, a class with too few pictures or
            groups, or pictures without a group.
    """
    table, classes, root, column = read_folder(path, val=val, test=test, seed=seed, groups=groups)
    parts = {part: _files(table[table["split"] == part], classes, root) for part in ("train", "val", "test")}
    return Splits(**parts, name=root.name, groups=column)


def with_test_folder(splits, path, *, groups=None):
    """Replace the test split by a folder of the same classes.

    Pictures that stand in the test folder too, equal or nearly so, or whose group
    does, are left out of training and validation with a warning.

    Args:
        splits: `Splits`.
        path: A folder for each class.
        groups: The test folder's groups, as in `from_folder`, where the splits have them.

    Returns:
        `Splits`.

    Raises:
        FileNotFoundError: If the folder is missing.
        ValueError: If its classes are others, it has no pictures, or groups that the splits have not.
    """
    if groups is not None and splits.groups is None:
        needed = "splits with groups: from_folder(FOLDER, groups=...)"
        raise ValueError(f"groups of a test folder need {needed}. Received: {groups}.")
    table, root, column = read_test(path, splits.classes, groups=groups)
    table = table.rename(columns={column: splits.groups})
    whole = replace(splits, test=_files(table, splits.classes, root))
    leaks = check_leakage(whole)
    leaks = set(leaks.loc[leaks["other_split"] == "test", "path"])
    for part in (whole.train.table, whole.val.table) if column else ():
        leaks |= set(part.loc[part[splits.groups].isin(table[splits.groups]), "path"])
    if leaks:
        warnings.warn(
            f"{len(leaks)} pictures{f' (or their {splits.groups})' if column else ''} stand in the test folder too "
            f"and are left out: {named(leaks)}",
            stacklevel=3,
        )
    kept = {part: np.flatnonzero(~getattr(whole, part).table["path"].isin(leaks)) for part in ("train", "val")}
    return replace(whole, **{part: getattr(whole, part).take(rows) for part, rows in kept.items()})


def _files(table, classes, root):
    return Split([root / p for p in table["path"]], table.drop(columns="split"), classes)


def subset(splits, labels, *, seed=0, val=0.25):
    """Keep only so many labelled pictures, stratified, and the whole test split.

    Labels that validation looks at are labels too: the count is for training
    and validation together.

    Args:
        splits: `Splits`.
        labels: How many labelled pictures in all; at least two a class.
        seed: Seed of the drawing.
        val: Share of the labels that goes to validation.

    Returns:
        `Splits`.

    Raises:
        ValueError: If there are fewer pictures than that, or too few labels.
    """
    classes = len(splits.classes)
    available = splits.train.num_examples + splits.val.num_examples
    if not isinstance(labels, numbers.Integral) or not 2 * classes <= labels <= available:
        raise ValueError(
            f"labels must be {2 * classes} (two a class) to {available} (all there are). Received: {labels!r}."
        )
    for_val = min(max(classes, round(labels * val)), labels - classes, splits.val.num_examples)
    for_train = min(labels - for_val, splits.train.num_examples)
    drawn = {"train": for_train, "val": labels - for_train}
    return replace(splits, **{part: _draw(getattr(splits, part), n, seed) for part, n in drawn.items()})


def _draw(split, count, seed):
    """Draw rows with every class represented in its share, at least once each."""
    random = np.random.default_rng(seed)
    order = random.permutation(split.num_examples)
    place = pd.Series(split.labels[order]).groupby(split.labels[order]).cumcount().to_numpy()
    share = (place + 0.5) / np.bincount(split.labels, minlength=1)[split.labels[order]]
    share[place == 0] = -1  # the first of each class goes before all others
    chosen = order[np.argsort(share, kind="stable")[:count]]
    return split.take(np.sort(chosen))


def check_leakage(splits):
    """Find pictures, texts or groups that stand on both sides of a split.

    Texts count as equal where only case and punctuation differ. An empty table does not clear
    a set without `groups`: then only pictures that are nearly equal can be found, and a
    patient's slices mostly are not that equal. The mini `brain_mri` split by slice
    gives 293 rows of groups where patients are known, and where they are not, 15 near pairs.

    Args:
        splits: `Splits`; say with its `groups` what belongs together.

    Returns:
        `pandas.DataFrame`, a row a finding: kind (`exact`, `near` or `group`), the two splits,
        the two paths, and by how many of 256 bits they differ. Empty means none was found,
        and of groups that nobody has named none can be.

    Example:
        >>> import tlteach as tl
        >>> len(tl.check_leakage(tl.load_dataset("cats_vs_dogs", "mini")))
        0
    """
    table = pd.concat([part.table.assign(split=name) for name, part in splits.parts().items()], ignore_index=True)
    pairs = _pictures.near_pairs(list(table["look"])) if "look" in table else _equal(table["sha256"])
    rows = [_finding(table, i, j, bits) for i, j, bits in pairs]
    if splits.groups:
        rows += _shared_groups(table, splits.groups)
    columns = ["kind", "split", "path", "other_split", "other_path", "bits"]
    found = pd.DataFrame(rows, columns=columns)
    return found[found["split"] != found["other_split"]].reset_index(drop=True)


def _equal(hashes):
    """Pairs of equal texts: each with the first."""
    first = {each: i for i, each in reversed(list(enumerate(hashes)))}
    return [(first[each], i, 0) for i, each in enumerate(hashes) if first[each] != i]


def _finding(table, i, j, bits):
    kind = "exact" if table["sha256"][i] == table["sha256"][j] else "near"
    return kind, table["split"][i], table["path"][i], table["split"][j], table["path"][j], bits


def _shared_groups(table, column):
    first = table.dropna(subset=[column]).drop_duplicates([column, "split"])
    pairs = first.merge(first, on=column, suffixes=("", "_other"))
    pairs = pairs[pairs["split"] < pairs["split_other"]]
    return [("group", r.split, r.path, r.split_other, r.path_other, None) for r in pairs.itertuples()]
