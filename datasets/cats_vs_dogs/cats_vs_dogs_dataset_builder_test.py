"""The builder reads both published formats; small files in `dummy_data` stand for them."""

import importlib.util
import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

tfds = pytest.importorskip("tensorflow_datasets")
HERE = Path(__file__).resolve().parent
DUMMY = HERE / "dummy_data"


def load_module(name="cats_vs_dogs_dataset_builder"):
    """Load the builder from its file alone, as the library does."""
    spec = importlib.util.spec_from_file_location(name, HERE / "cats_vs_dogs_dataset_builder.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def module():
    return load_module()


def prepared(builder):
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(compute_stats="skip"))
    return {split: list(tfds.as_numpy(builder.as_dataset(split=split))) for split in builder.info.splits}


def test_mini_reads_every_split(module, tmp_path, monkeypatch):
    monkeypatch.setattr(module.Builder, "mini_folder", DUMMY / "mini")
    splits = prepared(module.Builder(data_dir=tmp_path, config="mini"))
    assert {name: len(rows) for name, rows in splits.items()} == {"train": 12, "val": 2, "test": 6}
    for rows in splits.values():
        labels = [row["label"] for row in rows]
        assert labels.count(0) == labels.count(1)
    one = splits["val"][0]
    assert one["image"].shape == (64, 64, 3) and one["image"].dtype == np.uint8
    assert one["image/filename"].decode().split("/")[0] == ("cat", "dog")[one["label"]]
    assert one["pose"].decode() in {"face", "sitting", "standing_left", "standing_right", "lying"}


def test_mini_pixels_are_those_in_the_archive(module, tmp_path, monkeypatch):
    monkeypatch.setattr(module.Builder, "mini_folder", DUMMY / "mini")
    rows = prepared(module.Builder(data_dir=tmp_path, config="mini"))["train"]
    with zipfile.ZipFile(DUMMY / "mini" / "pets.zip") as archive:
        for row in rows:
            truth = Image.open(io.BytesIO(archive.read(row["image/filename"].decode()))).convert("RGB")
            np.testing.assert_array_equal(row["image"], np.asarray(truth))


def test_full_leaves_out_what_is_not_readable_jpeg(module, tmp_path, monkeypatch):
    asked = []
    archive = DUMMY / "kagglecatsanddogs_5340.zip"
    monkeypatch.setattr(tfds.download.DownloadManager, "download", lambda self, url: asked.append(url) or archive)
    rows = prepared(module.Builder(data_dir=tmp_path, config="full"))["train"]
    names = {row["image/filename"].decode(): int(row["label"]) for row in rows}
    assert names == {
        "PetImages/Cat/0.jpg": 0,
        "PetImages/Cat/1.jpg": 0,
        "PetImages/Dog/0.jpg": 1,
        "PetImages/Dog/1.jpg": 1,
    }
    assert asked == [module.URL]


def test_the_download_has_a_checksum(module):
    assert module.URL in module.Builder.url_infos
    assert module.Builder.url_infos[module.URL].size == 824_887_076


def test_the_builder_can_be_loaded_twice_and_under_any_name(tmp_path):
    for name in ("once", "again"):
        builder = load_module(name).Builder(data_dir=tmp_path, config="mini")
        assert builder.name == "cats_vs_dogs"
        assert "drawn" in builder.info.description


def test_read_jpeg_tells_whole_files_from_broken_ones(module):
    buffer = io.BytesIO()
    Image.new("L", (20, 10)).save(buffer, "JPEG")
    whole = buffer.getvalue()
    assert module.read_jpeg(whole).shape == (10, 20, 3)
    assert module.read_jpeg(whole[: len(whole) // 2]) is None
    assert module.read_jpeg(b"GIF89a" + whole) is None
