"""Read labelled photographs of 64 x 64 from an archive, once, into arrays."""

import io
import json
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

# Cats and dogs are what the lessons learn later: no source network sees them.
CATS_AND_DOGS = frozenset(
    "n02085620 n02094433 n02099601 n02099712 n02106662 n02113799 n02123045 n02123394 n02124075".split()
)


def load_photographs(archive, work):
    """Return the photographs of an archive as arrays, decoding them only once.

    Args:
        archive: `tiny-imagenet-200.zip` as published, or any zip with
            `train/<class>/...` and `val/<class>/...`.
        work: Folder for the decoded arrays.

    Returns:
        `(classes, {"train": (x, y), "val": (x, y)})`: class ids, and for each
        split `x` of shape `(n, 64, 64, 3)`, uint8 in 0..255 and memory-mapped,
        and `y` of shape `(n,)`.
    """
    work = Path(work)
    if not (work / "classes.json").exists():
        _decode(archive, work)
    classes = json.loads((work / "classes.json").read_text())
    return classes, {split: _open(work, split) for split in ("train", "val")}


def _open(work, split):
    return np.load(work / f"{split}_x.npy", mmap_mode="r"), np.load(work / f"{split}_y.npy")


def _decode(archive, work):
    work.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(archive) as opened:
        members = _members(opened)
        classes = sorted({wnid for _, wnid, _ in members})
        for split in ("train", "val"):
            chosen = [m for m in members if m[0] == split]
            x = np.lib.format.open_memmap(work / f"{split}_x.npy", "w+", np.uint8, (len(chosen), 64, 64, 3))
            for i, (_, _, name) in enumerate(tqdm(chosen, desc=f"decode {split}")):
                x[i] = Image.open(io.BytesIO(opened.read(name))).convert("RGB")
            np.save(work / f"{split}_y.npy", np.array([classes.index(m[1]) for m in chosen]))
    (work / "classes.json").write_text(json.dumps(classes))  # last: it says that all is there


def _members(opened):
    """List `(split, class id, file)` of both layouts, without cats and dogs."""
    names = [n for n in opened.namelist() if n.lower().endswith((".jpeg", ".jpg", ".png", ".webp"))]
    validation = _official_validation(opened)
    found = []
    for name in names:
        parts = name.split("/")
        split = next((p for p in parts if p in ("train", "val")), None)
        wnid = validation.get(parts[-1]) if validation and split == "val" else _wnid(parts)
        if split and wnid and wnid not in CATS_AND_DOGS:
            found.append((split, wnid, name))
    return sorted(found)


def _wnid(parts):
    return next((p for p in parts[:-1] if p[0] == "n" and p[1:].isdigit()), None)


def _official_validation(opened):
    """Tiny-ImageNet keeps the classes of its validation pictures in a table."""
    table = next((n for n in opened.namelist() if n.endswith("val_annotations.txt")), None)
    if table is None:
        return {}
    rows = [line.split("\t") for line in opened.read(table).decode().splitlines()]
    return {row[0]: row[1] for row in rows}
