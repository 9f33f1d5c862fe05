"""Read a folder of classes: list, look at each file once, keep duplicates together, split."""

import io
import os
import warnings
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from tqdm import tqdm

from tlteach import _media, _pictures, _sounds
from tlteach._drawing import check_drawing, draw_parts
from tlteach._groups import connected, named, read_groups, unite
from tlteach._split import text_hash

_CALLED = {"train": ["train", "training"], "val": ["val", "valid", "validation"], "test": ["test", "testing"]}
PARTS = {name: part for part, names in _CALLED.items() for name in names}  # what people call their splits' folders
FEWEST = 3  # pictures a class: one for each split


def read_folder(path, *, val, test, seed, groups=None):
    """Return `(table, classes, root, column)` of a folder.

    `table` has path, class, label, split, sha256, look, and what is known of the groups; `column` is theirs.
    """
    shares, root = check_drawing(val, test, seed), _existing(path, "path")
    table = _without_unreadable(root, _list(root))
    classes = _check_classes(root, table)
    column, table = _with_groups(table, groups, root)
    table["label"] = table["class"].map({name: i for i, name in enumerate(classes)}).astype(int)
    table["twin"] = connected(_pictures.near_pairs(list(table["look"])), len(table))
    table = _without_leaks(table, column)
    table["split"] = _assign(table, shares, seed=seed, column=column)
    return table.drop(columns=["twin", "given"]), classes, root, column


def read_test(path, classes, *, groups=None):
    """Return `(table, root, column)` of a folder that is a test split as a whole, with these classes."""
    root = _existing(path, "the test folder")
    table = _without_unreadable(root, _list(root).drop(columns="given"))
    found = sorted(table["class"].unique())
    if not set(found) <= set(classes) or not found:
        raise ValueError(f"the test folder must have the classes {', '.join(classes)}. Received: {', '.join(found)}.")
    column, table = _with_groups(table, groups, root)
    return table.assign(label=table["class"].map(classes.index), split="test"), root, column


def _existing(path, what):
    if not isinstance(path, (str, Path)) or not str(path):
        raise ValueError(f"{what} must be a folder's path, as text or as pathlib.Path. Received: {path!r}.")
    root = Path(path).expanduser()
    if not root.is_dir():
        raise FileNotFoundError(f"{what} must be an existing folder with a folder for each class. Received: {path}.")
    return root


def _with_groups(table, groups, root):
    if groups is None:
        return None, table
    column, known = read_groups(groups, list(table["path"]), root)
    return column, table.join(known)


def read_mini(folder):
    """Return `(examples, table)` of a shipped data set: `*.zip` and the `*.csv` about it; or texts, `*.csv` alone.

    Recordings are decoded, and become pictures when they are asked for.
    """
    described, archive = next(folder.glob("*.csv")), next(folder.glob("*.zip"), None)
    table = pd.read_csv(described, dtype={"path": str}).rename(columns={"label": "class"})
    if archive is None:
        classes = sorted(table["class"].unique())
        hashes = [text_hash(text) for text in table["text"]]
        table = table.assign(path=[f"{described.name}:{row + 2}" for row in table.index], sha256=hashes)
        return table["text"].to_numpy(object), table.assign(label=table["class"].map(classes.index))
    with zipfile.ZipFile(archive) as opened:
        read = _sounds.read_archive if _media.is_sound(table["path"].iloc[0]) else _read_pictures
        pictures, sums, looks = read(opened, table["path"])
    classes = sorted(table["class"].unique())
    table["label"] = table["class"].map(classes.index)
    return pictures, table.assign(sha256=sums, look=looks)


def _read_pictures(archive, paths):
    pictures = np.stack([np.asarray(Image.open(io.BytesIO(archive.read(p))).convert("RGB")) for p in paths])
    looks = [_pictures.recognise(p) for p in pictures]
    return pictures, [sha for sha, _ in looks], [look for _, look in looks]


def _list(root):
    """List the pictures as path, class and given split (or none)."""
    given = {base: PARTS[base.name.lower()] for base in _folders_in(root) if base.name.lower() in PARTS}
    given = {
        base: part for base, part in given.items() if _folders_in(base)
    }  # a class may be called train: it has none
    bases = given if "train" in given.values() else {root: None}
    rows = []
    for base, part in bases.items():
        for folder in _folders_in(base):
            rows += [(f.relative_to(root).as_posix(), folder.name, part) for f in _pictures_in(folder)]
    if not rows:
        raise ValueError(
            f"the folder must hold a folder for each class with pictures or recordings ({', '.join(_media.SUFFIXES)}). "
            f"Received: {root}, {_instead(root)}."
        )
    return pd.DataFrame(rows, columns=["path", "class", "given"])


def _instead(root):
    alone = any(p.suffix.lower() in _media.SUFFIXES for p in root.iterdir())
    return "which holds such files itself: give the folder above it" if alone else "without any"


def _folders_in(folder):
    found = folder.iterdir() if folder.is_dir() else ()
    return sorted(p for p in found if p.is_dir() and not p.name.startswith("."))


def _pictures_in(folder):
    """List the pictures, also in folders inside, but nothing hidden (a notebook's checkpoints, a Mac's `._` files)."""
    names = (Path(base) / f for base, _, files in os.walk(folder) for f in files)
    return sorted(
        f
        for f in names
        if f.suffix.lower() in _media.SUFFIXES and not any(part.startswith(".") for part in f.relative_to(folder).parts)
    )


def _without_unreadable(root, table):
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        looked = list(
            tqdm(pool.map(lambda p: _try(root / p), table["path"]), total=len(table), desc="look at files", delay=2)
        )
    bad = [(p, r) for p, r in zip(table["path"], looked, strict=True) if isinstance(r, str)]
    if bad:
        told = "; ".join(f"{p}: {why}" for p, why in bad[:10]) + ("; ..." if len(bad) > 10 else "")
        warnings.warn(f"{len(bad)} of {len(table)} files cannot be read and are left out: {told}", stacklevel=4)
    good = np.array([not isinstance(r, str) for r in looked])
    seen = [r for r in looked if not isinstance(r, str)]
    table = table[good].reset_index(drop=True)
    odd = [f"{p}: {r[2]}" for p, r in zip(table["path"], seen, strict=True) if r[2]]
    if odd:
        warnings.warn(f"{len(odd)} of {len(table)} recordings may mislead and are kept: {named(odd)}", stacklevel=4)
    return table.assign(sha256=[r[0] for r in seen], look=[r[1] for r in seen])


def _try(path):
    try:
        return _media.recognise(path)
    except ValueError as error:
        return str(error)


def _check_classes(root, table):
    folders = table["class"].value_counts()
    if len(folders) < 2:
        raise ValueError(
            f"there must be at least two classes, a folder each. Received: {root} with {list(folders.index) or 'none'}"
            f" (that can be read){_further_down(root, folders.index)}."
        )
    few = folders[folders < FEWEST]
    if len(few):
        raise ValueError(
            f"each class needs at least {FEWEST} pictures that can be read. "
            f"Received: {', '.join(f'{n} with {c}' for n, c in few.items())}."
        )
    return sorted(folders.index)


def _further_down(root, classes):
    """Say where the classes may be instead: one folder further down."""
    inner = [folder.name for name in classes for folder in _folders_in(root / name) if _pictures_in(folder)]
    return f"; if {named(inner)} are the classes or splits, give {root / classes[0]}" if len(inner) > 1 else ""


def _assign(table, shares, *, seed, column):
    """Draw what is not given from train, twins and groups together."""
    split = table["given"].astype(object).where(table["given"].notna(), "train")
    wanted = {part: share for part, share in shares.items() if share > 0 and part not in set(split)}
    rest = table[split == "train"]
    unit = rest["twin"] if column is None else unite(rest["twin"], rest[column])
    split[rest.index] = draw_parts(
        rest.assign(unit=unit), wanted, seed=seed, classes=table["class"].unique(), column=column
    )
    return split


def _without_leaks(table, column):
    """Leave out of earlier given splits what a later one has too: the test comes first."""
    for same, told in (("twin", "stand, equal or nearly so,"), (column, f"are of a {column} that stands")):
        if same is None:
            continue
        order = table["given"].map({"test": 0, "val": 1}).fillna(2)
        leaks = table[order > order.groupby(table[same]).transform("min")]
        kept = table.drop(leaks.index)
        if len(leaks):
            warnings.warn(
                f"{len(leaks)} pictures {told} in a later split too and are left out: {named(leaks['path'])}",
                stacklevel=4,
            )
            _check_left(table, kept, order, same)
        table = kept
    return table.reset_index(drop=True)


def _check_left(before, after, order, same):
    left = after.loc[order[after.index] == 2, "class"]
    gone = set(before.loc[order == 2, "class"]) - set(left)
    if gone:
        raise ValueError(
            "each class needs pictures to train on that stand in no later split. "
            f"Received: none of {named(gone)}, as each {same} of theirs is in val or test too; "
            "give one folder of classes, and the splits are drawn anew."
        )
