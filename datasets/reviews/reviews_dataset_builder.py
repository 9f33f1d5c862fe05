"""Reviews: `mini` reads what was written for the lessons beside this file, `full` two sets of the catalogue."""

import csv
from pathlib import Path

import numpy as np
import tensorflow_datasets as tfds
from etils import epath

HERE = Path(__file__).resolve().parent
CLASSES = ["negative", "positive"]
SPLITS = ("train", "val", "test")
SOURCES = {  # of the catalogue: the domain, and which of its splits; both tell (text, label) with 1 for positive
    "imdb_reviews": ("films", {"train": "train", "test": "test"}),
    "yelp_polarity_reviews": ("restaurants", {"train": "train[:25000]", "test": "test[:10000]"}),
}


class Builder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Build `reviews` in its `mini` or its `full` size."""

    name = "reviews"  # also when loaded from its path under another module name
    code_path = epath.Path(__file__)
    pkg_dir_path = epath.Path(HERE)
    mini_folder = HERE / "mini"

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First release."}
    BUILDER_CONFIGS = [
        tfds.core.BuilderConfig(name="mini", description="1,208 reviews written for the lessons, no download."),
        tfds.core.BuilderConfig(name="full", description="IMDB and part of Yelp, about 250 MB."),
    ]

    def _info(self):
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(
                {
                    "text": tfds.features.Text(),
                    "label": tfds.features.ClassLabel(names=CLASSES),
                    "domain": tfds.features.Text(),
                    "rating": tfds.features.Scalar(np.int32),
                    "manner": tfds.features.Text(),
                }
            ),
            supervised_keys=("text", "label"),
        )

    def _split_generators(self, dl_manager):
        if self.builder_config.name == "mini":
            return {split: self._written(split) for split in SPLITS}
        return {split: self._published(split) for split in ("train", "test")}

    def _generate_examples(self, examples):
        yield from examples

    def _written(self, split):
        """Yield the reviews of a split, in the order of the table."""
        with open(self.mini_folder / "reviews.csv", newline="", encoding="utf-8") as table:
            for number, row in enumerate(csv.DictReader(table)):
                if row.pop("split") == split:
                    yield number, {**row, "rating": int(row["rating"])}

    def _published(self, split):
        """Yield the catalogue's reviews of a split; they are prepared by their own builders."""
        for name, (domain, parts) in SOURCES.items():
            rows = tfds.load(name, split=parts[split], as_supervised=True)
            for number, (text, label) in enumerate(tfds.as_numpy(rows)):
                own = {"text": text.decode("utf-8", "replace"), "label": int(label), "domain": domain}
                yield f"{name}/{number}", {**own, "rating": 0, "manner": ""}
