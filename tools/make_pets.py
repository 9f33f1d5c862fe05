"""Draw the mini `cats_vs_dogs` pictures and their outlines, and pack them into two archives.

    python tools/make_pets.py --out datasets/cats_vs_dogs/mini

The same command gives the same bytes again (with the same Pillow and NumPy).
"""

import csv
import io
import zipfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import typer
from pets_drawing import CHOICES, SPECIES, example, outline
from PIL import Image
from tqdm import tqdm

SHARES = {"train": 0.6, "val": 0.1, "test": 0.3}
COLUMNS = ("path", "label", "split", *CHOICES)
SMALLEST = 10
CLOCK = (2020, 1, 1, 0, 0, 0)  # archives keep times; a fixed one keeps the bytes


def plan(count, seed):
    """Decide about every picture before one is drawn.

    Within each split, each attribute takes each of its values equally often in
    cats and in dogs, so none of them tells the classes apart.

    Args:
        count: Pictures of each class, 10 at least.
        seed: Decides about everything.

    Returns:
        A list of dictionaries with the keys `COLUMNS`, cats first.
    """
    if count < SMALLEST:
        raise ValueError(
            f"count must be {SMALLEST} or more, so that every split has a picture. "
            f"Received: {count}. Pass --count {SMALLEST}."
        )
    rows = []
    for number, label in enumerate(SPECIES):
        random = np.random.default_rng([seed, 1_000_000 + number])
        for split, size in split_sizes(count).items():
            columns = {name: _evenly(values, size, random) for name, values in CHOICES.items()}
            for i in range(size):
                path = f"{label}/{len(rows) % count + 1:04d}.webp"
                rows.append(dict(path=path, label=label, split=split, **{k: v[i] for k, v in columns.items()}))
    return rows


def split_sizes(count):
    """Return the number of pictures of one class in each split."""
    sizes = {split: round(share * count) for split, share in SHARES.items()}
    return sizes | {"test": count - sizes["train"] - sizes["val"]}


def _evenly(values, size, random):
    """Repeat the values to `size` and shuffle; the first ones fill what is left over."""
    return random.permutation(np.resize(np.array(values), size)).tolist()


def encode(pixels, quality):
    """Return a picture as the bytes of a lossy WebP file, or a mask (bool) as those of a PNG file."""
    buffer = io.BytesIO()
    if pixels.dtype == bool:
        Image.fromarray(pixels).save(buffer, "PNG", optimize=True)
    else:
        Image.fromarray(pixels).save(buffer, "WEBP", quality=quality, method=6)
    return buffer.getvalue()


def _drawn(job):
    seed, index, row, quality = job
    return encode(example(seed, index, row=row), quality), encode(outline(seed, index, row=row), quality)


def pack(files, path):
    """Write `(name, bytes)` pairs, uncompressed and with a fixed time."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, data in files:
            archive.writestr(zipfile.ZipInfo(name, CLOCK), data)


def write_table(rows, path):
    """Write the plan as CSV with the columns `COLUMNS`."""
    with open(path, "w", newline="") as opened:
        writer = csv.DictWriter(opened, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def main(
    out: Path = typer.Option(Path("datasets/cats_vs_dogs/mini"), help="Folder for pets.zip, pets.csv and masks/."),
    count: int = typer.Option(1000, help="Pictures of each class."),
    seed: int = typer.Option(0, help="Another seed draws other pets."),
    quality: int = typer.Option(88, help="WebP quality, 0 to 100."),
    workers: int = typer.Option(2, help="Processes; the bytes don't depend on it."),
):
    """Draw cats and dogs, 64 x 64, and write pets.zip, pets.csv and masks/masks.zip (outlines, under the same names).

    Example: python tools/make_pets.py --out build/pets --count 20
    """
    rows = plan(count, seed)
    (out / "masks").mkdir(parents=True, exist_ok=True)
    jobs = [(seed, i, row, quality) for i, row in enumerate(rows)]
    with ProcessPoolExecutor(workers) as pool:
        drawn = list(tqdm(pool.map(_drawn, jobs, chunksize=8), total=len(jobs), desc="draw", unit="pet"))
    for name, files in zip(("pets.zip", "masks/masks.zip"), zip(*drawn, strict=True), strict=True):
        pack(zip([row["path"] for row in rows], files, strict=True), out / name)
    write_table(rows, out / "pets.csv")
    print(f"{len(rows)} pictures in {out / 'pets.zip'}, {(out / 'pets.zip').stat().st_size:,} bytes")


if __name__ == "__main__":
    typer.run(main)
