"""The full size: a catalogue data set becomes a folder of pictures, byte for byte."""

import importlib.util
import zipfile
from pathlib import Path

import pytest

import tlteach as tl
from tlteach import _tfds
from tlteach._assets import shipped

tfds = pytest.importorskip("tensorflow_datasets")
ARCHIVE = Path(shipped("datasets", "cats_vs_dogs", "dummy_data", "kagglecatsanddogs_5340.zip"))


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TLTEACH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def give(monkeypatch, archive):
    monkeypatch.setattr(tfds.download.DownloadManager, "download", lambda self, url: archive)


def test_the_export_holds_the_files_own_bytes(cache, tmp_path, monkeypatch):
    give(monkeypatch, ARCHIVE)
    folder = _tfds.export_full("cats_vs_dogs", data_dir=tmp_path / "tfds")
    exported = {f"{p.parent.name}/{p.name}": p.read_bytes() for p in folder.rglob("*.jpg")}
    with zipfile.ZipFile(ARCHIVE) as archive:
        originals = {n: archive.read(n) for n in archive.namelist() if n.endswith(".jpg")}
    assert exported
    for name, data in exported.items():
        cls, file = name.split("/")
        assert data == originals[f"PetImages/{cls.capitalize()}/{file}"]


def test_a_second_call_downloads_nothing(cache, tmp_path, monkeypatch):
    give(monkeypatch, ARCHIVE)
    first = _tfds.export_full("cats_vs_dogs", data_dir=tmp_path / "tfds")
    monkeypatch.setattr(_tfds, "_prepared", lambda *a: pytest.fail("prepared again"))
    assert _tfds.export_full("cats_vs_dogs", data_dir=tmp_path / "tfds") == first


def test_a_failed_download_says_what_to_do_and_leaves_nothing(cache, tmp_path, monkeypatch):
    def refuse(self, url):
        raise ConnectionError("404 for url")

    monkeypatch.setattr(tfds.download.DownloadManager, "download", refuse)
    with pytest.raises(OSError, match=r"full size of cats_vs_dogs could not be prepared.*404.*size='mini'"):
        _tfds.export_full("cats_vs_dogs", data_dir=tmp_path / "tfds")
    assert not (cache / "datasets" / "cats_vs_dogs" / "full").exists()


def test_load_dataset_full_reads_the_export(cache, tmp_path, monkeypatch):
    import numpy as np
    from PIL import Image

    folder = cache / "datasets" / "cats_vs_dogs" / "full"
    random = np.random.default_rng(0)
    for cls in ("cat", "dog"):
        (folder / cls).mkdir(parents=True)
        for i in range(10):
            Image.fromarray(random.integers(0, 255, (40 + i, 50, 3), "uint8")).save(folder / cls / f"{i}.jpg")
    pets = tl.load_dataset("cats_vs_dogs", "full")
    assert pets.name == "cats_vs_dogs" and pets.classes == ["cat", "dog"]
    assert "contamin" in pets.card.lower() or "ImageNet" in pets.card
    assert sum(part.num_examples for part in pets.parts().values()) == 20


def test_missing_tensorflow_datasets_names_the_command(cache, monkeypatch):
    real = importlib.util.module_from_spec

    def broken(spec):
        module = real(spec)
        spec.loader.exec_module = lambda m: (_ for _ in ()).throw(ImportError("No module named tensorflow_datasets"))
        return module

    monkeypatch.setattr(importlib.util, "module_from_spec", broken)
    with pytest.raises(ImportError, match=r"pip install 'tlteach\[full\]'"):
        _tfds.export_full("cats_vs_dogs")
