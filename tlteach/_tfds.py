"""The full size of a data set: prepared once by TensorFlow Datasets, then a folder of pictures like any other."""

import importlib.util
import os
import shutil
from pathlib import Path

from filelock import FileLock
from tqdm import tqdm

from tlteach._assets import cache_dir, shipped


def export_full(name, *, data_dir=None):
    """Return a folder with a folder for each class, preparing the data set if it is not there yet.

    Args:
        name: Name of a data set that has a builder.
        data_dir: Where TensorFlow Datasets keeps what it prepares; its own default if `None`.

    Raises:
        ImportError: If TensorFlow Datasets is missing or does not import.
        OSError: If the data can neither be found nor fetched.
    """
    folder = cache_dir() / "datasets" / name / "full"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_name("full.lock")):
        if not folder.is_dir():
            builder = _prepared(name, data_dir)
            beside = folder.with_name("full.beside")
            shutil.rmtree(beside, ignore_errors=True)
            _write_pictures(builder, beside)
            os.replace(beside, folder)  # only a complete folder gets the name
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
            "have the pictures, read them with tl.from_folder(FOLDER); size='mini' needs no download."
        ) from error
    return builder


def _write_pictures(builder, folder):
    """Write each picture's own bytes, as they were downloaded."""
    import tensorflow_datasets as tfds

    names = builder.info.features["label"].names
    rows = tfds.as_numpy(builder.as_dataset(split="train", decoders={"image": tfds.decode.SkipDecoding()}))
    for row in tqdm(rows, total=builder.info.splits["train"].num_examples, desc="write pictures", delay=2):
        place = folder / names[row["label"]]
        place.mkdir(parents=True, exist_ok=True)
        (place / Path(row["image/filename"].decode()).name).write_bytes(row["image"])
