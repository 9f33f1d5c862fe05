"""The builder reads the written reviews, and both sets of the catalogue as they are published."""

import importlib.util
from pathlib import Path

import pytest

tfds = pytest.importorskip("tensorflow_datasets")
HERE = Path(__file__).resolve().parent


def load_module(name="reviews_dataset_builder"):
    """Load the builder from its file alone, as the library does."""
    spec = importlib.util.spec_from_file_location(name, HERE / "reviews_dataset_builder.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def prepared(builder):
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(compute_stats="skip"))
    return {split: list(tfds.as_numpy(builder.as_dataset(split=split))) for split in builder.info.splits}


def test_mini_reads_every_split(tmp_path, monkeypatch):
    module = load_module()
    monkeypatch.setattr(module.Builder, "mini_folder", HERE / "dummy_data" / "mini")
    splits = prepared(module.Builder(data_dir=tmp_path, config="mini"))
    assert {name: len(rows) for name, rows in splits.items()} == {"train": 3, "val": 1, "test": 2}
    one = splits["val"][0]
    assert one["text"].decode() == "Handsome, and as comfortable as a bag of spoons – naïve me."
    assert (one["label"], one["rating"], one["domain"], one["manner"]) == (0, 2, b"gadgets", b"contrast")


def test_full_takes_two_sets_of_the_catalogue(tmp_path, monkeypatch):
    module, asked = load_module(), []

    def load(name, *, split, as_supervised):
        asked.append((name, split, as_supervised))
        return [(f"{name} {split} {i}".encode(), i % 2) for i in range(3)]

    monkeypatch.setattr(module.tfds, "load", load)
    monkeypatch.setattr(module.tfds, "as_numpy", lambda rows: rows)
    builder = module.Builder(data_dir=tmp_path, config="full")
    rows = dict(builder._published("test"))
    assert asked == [("imdb_reviews", "test", True), ("yelp_polarity_reviews", "test[:10000]", True)]
    assert rows["imdb_reviews/1"] == {
        "text": "imdb_reviews test 1", "label": 1, "domain": "films", "rating": 0, "manner": "",
    }  # fmt: skip
    assert rows["yelp_polarity_reviews/2"]["domain"] == "restaurants" and len(rows) == 6


def test_the_catalogue_knows_both_sets():
    known = tfds.list_builders()
    assert set(load_module().SOURCES) <= set(known)
