"""Cats and dogs: `mini` reads drawn pets beside this file, `full` downloads photographs."""

import csv
import io
import re
import zipfile
from pathlib import Path

import numpy as np
import tensorflow_datasets as tfds
from absl import logging
from etils import epath
from PIL import Image

HERE = Path(__file__).resolve().parent
URL = "https://download.microsoft.com/download/3/E/1/3E1C3F21-ECDB-4869-8368-6DEBA77B919F/kagglecatsanddogs_5340.zip"
MEMBER = re.compile(r"PetImages[\\/](Cat|Dog)[\\/]\d+\.jpg")
CLASSES = ["cat", "dog"]
ATTRIBUTES = ("background", "pose", "fur", "light", "occluded", "style")
SPLITS = ("train", "val", "test")


# Not registered: TFDS allows one `cats_vs_dogs` in a process, and that is its own.
class Builder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Build `cats_vs_dogs` in its `mini` or its `full` size."""

    name = "cats_vs_dogs"  # also when loaded from its path under another module name
    code_path = epath.Path(__file__)
    pkg_dir_path = epath.Path(HERE)
    mini_folder = HERE / "mini"

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First release."}
    BUILDER_CONFIGS = [
        tfds.core.BuilderConfig(name="mini", description="2,000 drawn pets of 64 x 64, no download."),
        tfds.core.BuilderConfig(name="full", description="About 23,000 photographs from Asirra, 825 MB."),
    ]

    def _info(self):
        mini = self.builder_config.name == "mini"
        shape, encoding = ((64, 64, 3), "png") if mini else ((None, None, 3), "jpeg")
        features = {
            "image": tfds.features.Image(shape=shape, encoding_format=encoding),
            "image/filename": tfds.features.Text(),
            "label": tfds.features.ClassLabel(names=CLASSES),
        }
        features |= {name: tfds.features.Text() for name in ATTRIBUTES if mini}
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(features),
            supervised_keys=("image", "label"),
            homepage=None if mini else "https://www.microsoft.com/en-us/download/details.aspx?id=54765",
        )

    def _split_generators(self, dl_manager):
        if self.builder_config.name == "mini":
            return {split: self._drawn(split) for split in SPLITS}
        return {"train": self._photographs(dl_manager.download(URL))}  # as the catalogue: one split

    def _generate_examples(self, examples):
        yield from examples

    def _drawn(self, split):
        """Yield the drawn pets of a split, in the order of the table."""
        with open(self.mini_folder / "pets.csv", newline="") as table:
            rows = [row for row in csv.DictReader(table) if row["split"] == split]
        with zipfile.ZipFile(self.mini_folder / "pets.zip") as archive:
            for row in rows:
                attributes = {name: row[name] for name in ATTRIBUTES}
                pixels = _decode(archive.read(row["path"]))
                yield row["path"], {"image": pixels, "image/filename": row["path"], "label": row["label"], **attributes}

    def _photographs(self, path):
        """Yield the photographs that are readable JPEG files, byte for byte."""
        skipped = 0
        with zipfile.ZipFile(path) as archive:
            for name in sorted(n for n in archive.namelist() if MEMBER.fullmatch(n)):
                data = archive.read(name)
                if read_jpeg(data) is None:
                    skipped += 1
                    continue
                label = MEMBER.fullmatch(name).group(1).lower()
                # the file's own bytes: encoding the pixels again would change them
                yield name, {"image": io.BytesIO(data), "image/filename": name, "label": label}
        logging.info("cats_vs_dogs: %d files left out, as they are not readable JPEG", skipped)


def read_jpeg(data):
    """Return a JPEG file's pixels, or None where the file has no JFIF header or breaks off.

    Args:
        data: The file's bytes.

    Returns:
        uint8 array `(height, width, 3)` in 0..255, or None.
    """
    if b"JFIF" not in data[:10]:  # the catalogue's rule: 1,738 files of the archive
        return None
    try:
        return _decode(data)
    except OSError:  # Pillow's error for files that end too early
        return None


def _decode(data):
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
