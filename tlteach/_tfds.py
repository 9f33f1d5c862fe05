"""The full size of a data set: prepared once by TensorFlow Datasets, then a folder of files or a table of texts."""

import csv
import importlib.util
import io
import json
import os
import shutil
from pathlib import Path

from filelock import FileLock
from tqdm import tqdm

from tlteach._assets import cache_dir, shared_dir, shipped
from tlteach._groups import declared
from tlteach.masks import MASKS


def export_full(name, *, data_dir=None):
    """Return a folder with a folder for each class, preparing the data set if it is not there yet.

    Where the data set declares groups, such as patients, `groups.csv` beside the classes tells each picture's.
    Of texts it holds one file, `reviews.jsonl`, whose column `split` says where each belongs.

    A folder that many share (`TLTEACH_DATA`) is looked into first, and only read.

    Args:
        name: Name of a data set that has a builder.
        data_dir: Where TensorFlow Datasets keeps what it prepares; its own default if `None`.

    Raises:
        ImportError: If TensorFlow Datasets is missing or does not import.
        OSError: If the data can neither be found nor fetched.
    """
    below = Path("datasets", name, "full")
    for root in filter(None, (shared_dir(), cache_dir())):
        if (root / below).is_dir():  # whole, as it has the name: no lock, so a folder that is only read will do
            return root / below
    folder = cache_dir() / below
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_name("full.lock")):
        if not folder.is_dir():
            builder = _prepared(name, data_dir)
            beside = folder.with_name("full.beside")
            shutil.rmtree(beside, ignore_errors=True)
            try:
                write = _write_texts if "text" in builder.info.features else _write_files
                write(builder, beside, declared(name))
                os.replace(beside, folder)  # only a complete folder gets the name
            finally:
                shutil.rmtree(beside, ignore_errors=True)
    return folder


def _prepared(name, data_dir):
    path = shipped("datasets", name, f"{name}_dataset_builder.py")
    spec = importlib.util.spec_from_file_location(f"tlteach_{name}_builder", path)
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except ImportError as error:
        raise ImportError(
            "the full size needs TensorFlow Datasets, which cannot be imported here. "
            f"Install it with: pip install 'tlteach[full]'. Received: {error}"
        ) from error
    builder = module.Builder(config="full", data_dir=data_dir)
    try:
        builder.download_and_prepare()
    except Exception as error:
        raise OSError(
            f"the full size of {name} could not be prepared ({type(error).__name__}: {str(error)[:200]}). If you "
            "have the files, read them with tl.from_folder(FOLDER); size='mini' needs no download."
        ) from error
    return builder


def _write_texts(builder, folder, groups):
    """Write each text as a line, with what else is known of it."""
    import tensorflow_datasets as tfds

    folder.mkdir(parents=True)
    names = builder.info.features["label"].names
    with open(folder / "reviews.jsonl", "w", encoding="utf-8") as file:
        for split, about in builder.info.splits.items():
            rows = tfds.as_numpy(builder.as_dataset(split=split))
            for row in tqdm(rows, total=about.num_examples, desc=f"write texts, {split}", delay=2):
                told = {k: v.decode() if isinstance(v, bytes) else int(v) for k, v in row.items()}
                told |= {"label": names[row["label"]], "split": split}
                file.write(json.dumps(told, ensure_ascii=False) + "\n")


def _write_files(builder, folder, groups):
    """Write each picture's own bytes, as they were downloaded or encoded once; or each recording's own samples."""
    import tensorflow_datasets as tfds

    features = builder.info.features
    as_stored = {n: tfds.decode.SkipDecoding() for n, f in features.items() if isinstance(f, tfds.features.Image)}
    rows = tfds.as_numpy(builder.as_dataset(split="train", decoders=as_stored))
    table = []
    kind = "image" if "image" in features else "audio"
    for row in tqdm(rows, total=builder.info.splits["train"].num_examples, desc="write files", delay=2):
        place = Path(features["label"].names[row["label"]], Path(row[f"{kind}/filename"].decode()).name)
        if kind == "audio":
            row["audio"] = _wave(row["audio"], features["audio"].sample_rate)
        for column, base in {kind: folder, "mask": folder / MASKS}.items():
            if column in row:
                (base / place.parent).mkdir(parents=True, exist_ok=True)
                (base / place).write_bytes(row[column])
        table.append((place.as_posix(), row[groups].decode() if groups else None))
    if groups:
        with open(folder / "groups.csv", "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("path", groups), *sorted(table)])


def _wave(samples, rate):
    """Encode 16-bit samples `(n,)` as the bytes of a WAV file."""
    import soundfile

    file = io.BytesIO()
    soundfile.write(file, samples, rate, format="WAV", subtype="PCM_16")
    return file.getvalue()
