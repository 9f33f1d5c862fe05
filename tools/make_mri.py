"""Simulate the mini `brain_mri` slices and pack them into archives.

    python tools/make_mri.py --out datasets/brain_mri/mini

The same command gives the same bytes again (with the same NumPy, SciPy, Pillow and nilearn, whose atlas is used).
"""

import csv
import io
import os
import zipfile
from pathlib import Path

import numpy as np
import typer
from mri_atlas import load_atlas
from mri_lesion import SITES
from mri_patient import SIZE, make_patient
from mri_signal import SCANNERS
from PIL import Image
from tqdm import tqdm

LABELS = ("no_tumor", *SITES)
SHARES = {"train": 0.6, "val": 0.14}  # of the patients of each class; the rest is the test
# By these turns every split of 30 patients of a class has as many from either scanner
T2_TURNS = (5, 8, 22, 25)
TURNS = tuple(("AB"[i % 2], "t2" if i in T2_TURNS else "t1_gd") for i in range(30))
COLUMNS = (
    *("path", "label", "split", "patient", "scanner", "contrast", "site"),
    *("slice", "level_mm", "lesion_mm2", "pixel_mm"),
)
FEWEST = 20
CLOCK = (2020, 1, 1, 0, 0, 0)  # archives keep times; a fixed one keeps the bytes


def plan(patients, seed):
    """Decide about every patient before one is drawn.

    All classes get the same list of splits, scanners and contrasts, so that none of these tells them apart.

    Args:
        patients: In all, a multiple of 4 and 20 at least.
        seed: Decides about everything.

    Returns:
        A list of dictionaries with `number`, `patient`, `label`, `split`, `scanner`, `contrast`, `kind`, `site`.
    """
    if patients < FEWEST or patients % len(LABELS):
        raise ValueError(
            f"patients must be a multiple of 4 and {FEWEST} or more, so that every class is in every split. "
            f"Received: {patients}. Pass --patients {max(FEWEST, patients // 4 * 4)}."
        )
    random = np.random.default_rng([seed, 1_000_000])
    names = iter(random.permutation(patients) + 1)
    rows = []
    for label in LABELS:
        each = patients // len(LABELS)
        for i, (kind, site) in enumerate(_sites(label, each, random)):
            number = int(next(names))
            scanner, contrast = TURNS[i % len(TURNS)]
            who = dict(number=number, patient=f"p{number:03d}", label=label, split=_split(i, each))
            rows.append(who | dict(scanner=scanner, contrast=contrast, kind=kind, site=site))
    return sorted(rows, key=lambda row: (row["label"], row["patient"]))


def _split(index, each):
    """Return the split of the `index`-th of `each` patients of a class."""
    train, val = (round(share * each) for share in SHARES.values())
    return "train" if index < train else "val" if index < train + val else "test"


def _sites(label, count, random):
    """Return `(kind, site)` pairs; those without a tumour are cut at the levels of all three kinds in turn."""
    kinds = list(SITES) if label == "no_tumor" else [label]
    sites = {kind: random.permutation(np.resize(random.permutation(SITES[kind]), count)) for kind in kinds}
    order = random.permutation(np.resize(kinds, count)).tolist()
    return [(kind, str(sites[kind][i])) for i, kind in enumerate(order)]


def slices_of(row, seed, atlas):
    """Make a patient's slices.

    Returns:
        List of `(columns, picture, mask)`: a row of the table and two PNG files as bytes; without a tumour the
        mask is None.
    """
    pictures, masks, levels = make_patient(row, seed, atlas)
    pixel = SCANNERS[row["scanner"]]["fov"] / SIZE
    found = []
    for k, (picture, mask, level) in enumerate(zip(pictures, masks, levels, strict=True), start=1):
        columns = {name: row[name] for name in ("label", "split", "patient", "scanner", "contrast")} | dict(
            path=f"{row['label']}/{row['patient']}_s{k}.png",
            site="none" if row["label"] == "no_tumor" else row["site"],
            slice=k,
            level_mm=f"{level:.1f}",
            lesion_mm2=round(mask.sum() * pixel**2),
            pixel_mm=f"{pixel:.3f}",
        )
        found.append((columns, encode(picture), encode(mask) if row["label"] != "no_tumor" else None))
    return found


def encode(pixels):
    """Return `(height, width)` bytes or booleans as a PNG file of 8 bits or of 1."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def pack(files, path):
    """Write `(name, bytes)` pairs beside `path`, uncompressed and with a fixed time, then rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".part")
    with zipfile.ZipFile(beside, "w", zipfile.ZIP_STORED) as archive:
        for name, data in files:
            archive.writestr(zipfile.ZipInfo(name, CLOCK), data)
    os.replace(beside, path)


def write_table(rows, path):
    """Write the rows beside `path` as CSV with the columns `COLUMNS`, then rename."""
    beside = path.with_suffix(".part")
    with open(beside, "w", newline="") as opened:
        writer = csv.DictWriter(opened, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    os.replace(beside, path)


def _prepare(out, patients, seed):
    """Return the plan and the atlas, or end with one sentence that says what is wrong."""
    try:
        rows = plan(patients, seed)
        out.mkdir(parents=True, exist_ok=True)
        return rows, load_atlas()
    except (ValueError, ModuleNotFoundError) as error:
        message = str(error)
    except OSError as error:
        message = f"--out must be a folder that can be written. Received: {out} ({error.strerror}). Name another one."
    typer.echo(message, err=True)
    raise typer.Exit(1)


def main(
    out: Path = typer.Option(Path("datasets/brain_mri/mini"), help="Folder for slices.zip, slices.csv and masks/."),
    patients: int = typer.Option(120, help="Patients in all, a multiple of 4; each has 8 slices."),
    seed: int = typer.Option(0, help="Another seed makes other patients."),
):
    """Simulate axial brain MR slices, 96 x 96, with and without tumours, and write slices.zip and slices.csv.

    Example: python tools/make_mri.py --out build/mri --patients 20
    """
    rows, atlas = _prepare(out, patients, seed)
    made = [found for row in tqdm(rows, desc="simulate", unit="patient") for found in slices_of(row, seed, atlas)]
    pack([(columns["path"], picture) for columns, picture, _ in made], out / "slices.zip")
    pack([(columns["path"], mask) for columns, _, mask in made if mask], out / "masks" / "masks.zip")
    write_table([columns for columns, _, _ in made], out / "slices.csv")
    size = sum((out / name).stat().st_size for name in ("slices.zip", "slices.csv", "masks/masks.zip"))
    print(f"{len(made)} slices of {len(rows)} patients in {out}, {size:,} bytes")


if __name__ == "__main__":
    typer.run(main)
