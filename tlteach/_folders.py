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

from tlteach import _pictures

_CALLED = {"train": ["train", "training"], "val": ["val", "valid", "validation"], "test": ["test", "testing"]}
PARTS = {name: part for part, names in _CALLED.items() for name in names}  # what people call their splits' folders
FEWEST = 3  # pictures a class: one for each split


def read_folder(path, *, shares, seed):
    """Return `(table, classes, root)` of a folder; `table` has path, class, label, split, sha256, look."""
    root = Path(path).expanduser()
    if not root.is_dir():
        raise FileNotFoundError(f"path must be an existing folder with a folder for each class. Received: {path}.")
    table = _without_unreadable(root, _list(root))
    table = table.merge(_groups_of_duplicates(table), left_index=True, right_index=True)
    classes = _check_classes(root, table)
    table["label"] = table["class"].map({name: i for i, name in enumerate(classes)}).astype(int)
    table["split"] = _assign(table, shares, seed)
    return _without_leaks(table).drop(columns="twin"), classes, root


def read_test(path, classes):
    """Return `(table, root)` of a folder that is a test split as a whole, with these classes."""
    root = Path(path).expanduser()
    if not root.is_dir():
        raise FileNotFoundError(f"the test folder must be an existing folder. Received: {path}.")
    table = _without_unreadable(root, _list(root).drop(columns="given"))
    found = sorted(table["class"].unique())
    if not set(found) <= set(classes) or not found:
        raise ValueError(f"the test folder must have the classes {', '.join(classes)}. Received: {', '.join(found)}.")
    return table.assign(label=table["class"].map(classes.index), split="test"), root


def named(paths, most=10):
    """Join the first few paths to a readable list."""
    paths = sorted(paths)
    return ", ".join(paths[:most]) + (", ..." if len(paths) > most else "")


def read_mini(folder):
    """Return `(pictures, table)` of a shipped data set: `*.zip` and the `*.csv` that describes it."""
    archive, described = next(folder.glob("*.zip")), next(folder.glob("*.csv"))
    table = pd.read_csv(described, dtype={"path": str}).rename(columns={"label": "class"})
    with zipfile.ZipFile(archive) as opened:
        pictures = np.stack([np.asarray(Image.open(io.BytesIO(opened.read(p))).convert("RGB")) for p in table["path"]])
    looks = [_pictures.recognise(p) for p in pictures]
    classes = sorted(table["class"].unique())
    table["label"] = table["class"].map(classes.index)
    return pictures, table.assign(sha256=[sha for sha, _ in looks], look=[look for _, look in looks])


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
            f"the folder must hold a folder for each class with pictures ({', '.join(_pictures.SUFFIXES)}). "
            f"Received: {root}, {_instead(root)}."
        )
    return pd.DataFrame(rows, columns=["path", "class", "given"])


def _instead(root):
    alone = any(p.suffix.lower() in _pictures.SUFFIXES for p in root.iterdir())
    return "which holds pictures itself: give the folder above it" if alone else "without any"


def _folders_in(folder):
    found = folder.iterdir() if folder.is_dir() else ()
    return sorted(p for p in found if p.is_dir() and not p.name.startswith("."))


def _pictures_in(folder):
    """List the pictures, also in folders inside, but nothing hidden (a notebook's checkpoints, a Mac's `._` files)."""
    names = (Path(base) / f for base, _, files in os.walk(folder) for f in files)
    return sorted(
        f
        for f in names
        if f.suffix.lower() in _pictures.SUFFIXES
        and not any(part.startswith(".") for part in f.relative_to(folder).parts)
    )


def _without_unreadable(root, table):
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        looked = list(
            tqdm(pool.map(lambda p: _try(root / p), table["path"]), total=len(table), desc="look at pictures", delay=2)
        )
    bad = [(p, r) for p, r in zip(table["path"], looked, strict=True) if isinstance(r, str)]
    if bad:
        named = "; ".join(f"{p}: {why}" for p, why in bad[:10]) + ("; ..." if len(bad) > 10 else "")
        warnings.warn(f"{len(bad)} of {len(table)} files cannot be read and are left out: {named}", stacklevel=4)
    good = np.array([not isinstance(r, str) for r in looked])
    seen = [r for r in looked if not isinstance(r, str)]
    return table[good].reset_index(drop=True).assign(sha256=[s for s, _ in seen], look=[k for _, k in seen])


def _try(path):
    try:
        return _pictures.recognise(path)
    except ValueError as error:
        return str(error)


def _groups_of_duplicates(table):
    """Give equal and nearly equal pictures one number (the first one's row)."""
    twin = np.arange(len(table))
    for i, j, _ in _pictures.near_pairs(list(table["look"])) if len(table) else []:
        twin[twin == twin[j]] = twin[i]
    return pd.DataFrame({"twin": twin}, index=table.index)


def _check_classes(root, table):
    folders = table["class"].value_counts()
    if len(folders) < 2:
        raise ValueError(
            f"there must be at least two classes, a folder each. Received: {root} with {list(folders.index) or 'none'}"
            " (that can be read)."
        )
    few = folders[folders < FEWEST]
    if len(few):
        raise ValueError(
            f"each class needs at least {FEWEST} pictures that can be read. "
            f"Received: {', '.join(f'{n} with {c}' for n, c in few.items())}."
        )
    return sorted(folders.index)


def _assign(table, shares, seed):
    """Split what is not given, twins together: each class gives its share, and at least one."""
    _check_shares(shares)
    split = table["given"].astype(object).where(table["given"].notna(), "train")
    missing = [part for part in ("test", "val") if part not in set(table["given"]) and shares[part] > 0]
    heads = table[split == "train"].drop_duplicates("twin")
    _check_enough(heads["class"].value_counts().reindex(table["class"].unique(), fill_value=0), len(missing) + 1)
    random = np.random.default_rng(seed)
    for _, own in heads.groupby("class"):
        left = random.permutation(own["twin"])
        for after, part in zip(range(len(missing), 0, -1), missing, strict=True):
            count = min(max(1, round(shares[part] * len(own))), len(left) - after)
            split[(split == "train") & table["twin"].isin(left[:count])] = part
            left = left[count:]
    return split


def _check_shares(shares):
    if min(shares.values()) < 0 or sum(shares.values()) >= 1:
        raise ValueError(
            "val and test must be shares of the pictures, 0 to 1, and less than 1 together. "
            f"Received: val={shares['val']}, test={shares['test']}."
        )


def _check_enough(different, needed):
    few = different[different < needed]
    if needed > 1 and len(few):
        raise ValueError(
            f"each class needs at least {needed} different pictures, one for each split. "
            f"Received: {', '.join(f'{n} with {c}' for n, c in few.items())} (equal and nearly equal ones count once)."
        )


def _without_leaks(table):
    """Leave out of earlier splits what a given later split has too: the test comes first."""
    order = table["split"].map({"test": 0, "val": 1, "train": 2})
    first = order.groupby(table["twin"]).transform("min")
    leaks = table[order > first]
    if len(leaks):
        warnings.warn(
            f"{len(leaks)} pictures stand, equal or nearly so, in a later split too and are left out: "
            f"{named(leaks['path'])}",
            stacklevel=4,
        )
    return table.drop(leaks.index).reset_index(drop=True).drop(columns="given")
