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
from tqdm.auto import tqdm

from tlteach import _pictures

PARTS = ("train", "val", "test")
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
    given = [part for part in PARTS if (root / part).is_dir()]
    given = given if "train" in given else []
    rows = []
    for part in given or [None]:
        base = root / part if part else root
        for folder in sorted(p for p in base.iterdir() if p.is_dir() and not p.name.startswith(".")):
            rows += [(f.relative_to(root).as_posix(), folder.name, part) for f in _pictures_in(folder)]
    if not rows:
        raise ValueError(
            f"the folder must hold a folder for each class with pictures ({', '.join(_pictures.SUFFIXES)}). "
            f"Received: {root}, without any."
        )
    return pd.DataFrame(rows, columns=["path", "class", "given"])


def _pictures_in(folder):
    names = (Path(base) / f for base, _, files in os.walk(folder) for f in files)
    return sorted(f for f in names if f.suffix.lower() in _pictures.SUFFIXES and not f.name.startswith("."))


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
    """Split what is not given, twins together, stratified by class."""
    split = table["given"].astype(object).where(table["given"].notna(), "train")
    given = set(table["given"].dropna())
    for part in ("test", "val"):
        if part in given or shares[part] == 0:
            continue
        pool = table[split == "train"]
        heads = pool.drop_duplicates("twin")
        count = max(heads["class"].nunique(), round(shares[part] * len(table)))
        chosen = heads.loc[_stratified(heads["class"], count, seed), "twin"]
        split[(split == "train") & table["twin"].isin(chosen)] = part
    return split


def _stratified(classes, count, seed):
    from sklearn.model_selection import train_test_split

    if classes.value_counts().min() < 2 or count >= len(classes) - classes.nunique():
        raise ValueError(
            f"too few different pictures to split: each class needs at least {FEWEST}. "
            f"Received: {classes.value_counts().to_dict()} after duplicates."
        )
    return train_test_split(classes.index, test_size=count, stratify=classes, random_state=seed)[1]


def _without_leaks(table):
    """Leave out of earlier splits what a given later split has too: the test comes first."""
    order = table["split"].map({"test": 0, "val": 1, "train": 2})
    first = order.groupby(table["twin"]).transform("min")
    leaks = table[order > first]
    if len(leaks):
        named = ", ".join(leaks["path"][:10]) + (", ..." if len(leaks) > 10 else "")
        warnings.warn(
            f"{len(leaks)} pictures stand, equal or nearly so, in a later split too and are left out: {named}",
            stacklevel=4,
        )
    return table.drop(leaks.index).reset_index(drop=True).drop(columns="given")
