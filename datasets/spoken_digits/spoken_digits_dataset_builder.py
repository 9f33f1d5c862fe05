"""Spoken digits: `mini` reads synthetic voices beside this file, the other sizes download recordings of people."""

import csv
import io
import re
import tarfile
import zipfile
from pathlib import Path, PurePosixPath

import numpy as np
import soundfile
import tensorflow_datasets as tfds
from absl import logging
from etils import epath

HERE = Path(__file__).resolve().parent
URLS = {
    "full": "https://github.com/Jakobovski/free-spoken-digit-dataset/archive/v1.0.9.tar.gz",
    "speech_commands": "http://download.tensorflow.org/data/speech_commands_v0.02.tar.gz",
}
# what a recording's path in the archive says: the digit and the speaker
MEMBERS = {
    "full": re.compile(r"[^/]+/recordings/(?P<label>\d)_(?P<speaker>[^_]+)_\d+\.wav"),
    "speech_commands": re.compile(r"(?:\./)?(?P<label>[a-z]+)/(?P<speaker>[0-9a-f]+)_nohash_\d+\.wav"),
}
CLASSES = "zero one two three four five six seven eight nine".split()
RATES = {"mini": 8000, "full": 8000, "speech_commands": 16000}
SPLITS = ("train", "val", "test")
OWN = ("path", "label", "split")
NUMBERS = ("rate", "pitch", "snr_db")  # of mini's columns; the others are text


# Not registered, as the other data sets of the project: it is loaded from its path.
class Builder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Build `spoken_digits` in its `mini` or its `full` size, or from Speech Commands."""

    name = "spoken_digits"  # also when loaded from its path under another module name
    code_path = epath.Path(__file__)
    pkg_dir_path = epath.Path(HERE)
    mini_folder = HERE / "mini"

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First release."}
    BUILDER_CONFIGS = [
        tfds.core.BuilderConfig(name="mini", description="1,840 recordings of 46 synthetic voices, no download."),
        tfds.core.BuilderConfig(name="full", description="Free Spoken Digit Dataset, 6 speakers, 12 MB."),
        tfds.core.BuilderConfig(name="speech_commands", description="The digits of Speech Commands 0.02, 2.4 GB."),
    ]

    def _info(self):
        config = self.builder_config.name
        features = {
            "audio": tfds.features.Audio(shape=(None,), dtype=np.int16, sample_rate=RATES[config]),
            "audio/filename": tfds.features.Text(),
            "label": tfds.features.ClassLabel(names=sorted(CLASSES)),
            "speaker": tfds.features.Text(),
        }
        columns = self._table()[0] if config == "mini" else ()
        features |= {name: _feature(name) for name in columns if name not in (*OWN, *features)}
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(features),
            supervised_keys=("audio", "label"),
            homepage=None if config == "mini" else "https://github.com/Jakobovski/free-spoken-digit-dataset",
        )

    def _split_generators(self, dl_manager):
        config = self.builder_config.name
        if config == "mini":
            return {split: self._synthetic(split) for split in SPLITS}
        return {
            "train": _recorded(dl_manager.download(URLS[config]), MEMBERS[config])
        }  # who reads it splits by speaker

    def _generate_examples(self, examples):
        yield from examples

    def _table(self):
        with open(self.mini_folder / "digits.csv", newline="") as table:
            return list(csv.DictReader(table))

    def _synthetic(self, split):
        """Yield the synthetic recordings of a split, in the order of the table."""
        with zipfile.ZipFile(self.mini_folder / "digits.zip") as archive:
            for row in (row for row in self._table() if row["split"] == split):
                told = {name: _value(name, text) for name, text in row.items() if name not in OWN}
                samples, _ = soundfile.read(io.BytesIO(archive.read(row["path"])), dtype="int16")
                yield row["path"], {"audio": samples, "audio/filename": row["path"], "label": row["label"], **told}


def _feature(name):
    return tfds.features.Scalar(np.float32) if name in NUMBERS else tfds.features.Text()


def _value(name, text):
    return np.float32(text or "nan") if name in NUMBERS else text


def _recorded(path, member):
    """Yield the digits of an archive; files are read in memory, so nothing is unpacked to a place of its choice."""
    skipped = 0
    with tarfile.open(path, "r:gz") as archive:
        for entry in archive:
            found = member.fullmatch(entry.name)
            label = found and (CLASSES[int(found["label"])] if found["label"].isdigit() else found["label"])
            if label not in CLASSES or not entry.isfile():
                continue
            samples = read_wave(archive.extractfile(entry).read())
            skipped += samples is None
            if samples is not None:
                name = PurePosixPath(entry.name).name  # in Speech Commands it does not say the word
                name = name if name[0].isdigit() and "_nohash_" not in name else f"{label}_{name}"
                yield name, {"audio": samples, "audio/filename": name, "label": label, "speaker": found["speaker"]}
    logging.info("spoken_digits: %d files left out, as they cannot be read", skipped)


def read_wave(data):
    """Return a sound file's samples, or None where it cannot be read or holds nothing.

    Args:
        data: The file's bytes.

    Returns:
        int16 array `(n,)`, the first channel.
    """
    try:
        samples, _ = soundfile.read(io.BytesIO(data), dtype="int16", always_2d=True)
    except soundfile.LibsndfileError:
        return None
    return samples[:, 0] if len(samples) else None
