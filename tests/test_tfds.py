"""The full size: a catalogue data set becomes a folder of pictures, byte for byte."""

import csv
import importlib.util
import io
import shutil
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile

import tlteach as tl
from tlteach import _tfds
from tlteach._assets import shipped

tfds = pytest.importorskip("tensorflow_datasets")
pytest.importorskip("tensorflow")  # now: tests below come between a module and its import
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


# a data set with groups


def module_of(file):
    spec = importlib.util.spec_from_file_location(file[:-3], shipped("datasets", "brain_mri", file))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def slices(cache, tmp_path, monkeypatch):
    """Twelve patients of three classes with two slices each, in archives as published."""
    files = module_of("brain_mri_dataset_builder_test.py")
    told = [(i + 1, i // 8 + 1, f"{i // 2}/é", 16) for i in range(24)]
    monkeypatch.setattr(files, "SLICES", {name: told[6 * k : 6 * k + 6] for k, name in enumerate(files.SLICES)})
    random = np.random.default_rng(0)
    monkeypatch.setattr(files, "scan", lambda number, side=16: random.integers(0, 900, (side, side)).astype("int16"))
    archives = files.archives_in(tmp_path / "archives")
    real = importlib.util.module_from_spec

    def given(spec):
        module, execute = real(spec), spec.loader.exec_module
        spec.loader.exec_module = lambda m: (execute(m), files.give(m, monkeypatch, archives, slices=24, patients=12))
        return module

    monkeypatch.setattr(importlib.util, "module_from_spec", given)
    prepared = _tfds._prepared
    monkeypatch.setattr(_tfds, "_prepared", lambda name, data_dir: prepared(name, data_dir or tmp_path / "tfds"))
    return {f"{number}.png": patient for number, _, patient, _ in told}


def test_the_patient_survives_the_export(slices, tmp_path):
    folder = _tfds.export_full("brain_mri", data_dir=tmp_path / "tfds")
    with open(folder / "groups.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {Path(row["path"]).name: row["patient"] for row in rows} == slices
    assert {row["path"] for row in rows} == {p.relative_to(folder).as_posix() for p in folder.glob("[!.]*/*.png")}
    assert {p.name for p in folder.iterdir()} == {"glioma", "meningioma", "pituitary", "groups.csv", ".masks"}


def test_full_brain_slices_are_split_by_patient(slices):
    mri = tl.load_dataset("brain_mri", "full")
    assert mri.groups == "patient" and mri.name == "brain_mri" and mri.classes == ["glioma", "meningioma", "pituitary"]
    found = [set(split.table["patient"]) for split in mri.parts().values()]
    assert [len(patients) for patients in found] == [6, 3, 3] and len(set.union(*found)) == 12
    for split in mri.parts().values():
        assert set(split.labels) == {0, 1, 2}
        assert [slices[Path(p).name] for p in split.table["path"]] == split.table["patient"].tolist()


@pytest.fixture
def digits(cache, tmp_path, monkeypatch):
    """The recordings of four speakers in an archive as published, and their samples by name."""
    written, archive = {}, tmp_path / "digits.tar.gz"
    with tarfile.open(archive, "w:gz") as opened:
        for number in range(10):
            for speaker in ("ann", "bob", "cem", "dan"):
                name, random = f"{number}_{speaker}_0.wav", np.random.default_rng([number, ord(speaker[0])])
                written[name] = (8000 * np.hanning(2000) * random.uniform(-1, 1, 2000)).astype("int16")
                file = io.BytesIO()
                soundfile.write(file, written[name], 8000, format="WAV")
                entry = tarfile.TarInfo(f"digits-1.0/recordings/{name}")
                entry.size = len(file.getvalue())
                opened.addfile(entry, io.BytesIO(file.getvalue()))
    give(monkeypatch, archive)
    prepared = _tfds._prepared
    monkeypatch.setattr(_tfds, "_prepared", lambda name, data_dir: prepared(name, data_dir or tmp_path / "tfds"))
    return written


def test_recordings_survive_the_export_and_are_split_by_speaker(digits):
    spoken = tl.load_dataset("spoken_digits", "full")
    assert spoken.groups == "speaker" and len(spoken.classes) == 10
    found = [set(split.table["speaker"]) for split in spoken.parts().values()]
    assert sum(len(each) for each in found) == len(set.union(*found)) == 4
    for split in spoken.parts().values():
        for path in split.pictures:
            samples, rate = soundfile.read(path, dtype="int16")
            assert rate == 8000
            np.testing.assert_array_equal(samples, digits[path.name])


def test_the_masks_come_along(slices):
    mri = tl.load_dataset("brain_mri", "full")
    drawn = np.zeros((16, 16), bool)
    drawn[3:5, 6:11] = True  # as the builder's test draws a tumour
    masks = tl.load_masks("brain_mri", mri.val, size="full")
    assert len(masks) == mri.val.num_examples and all(np.array_equal(mask, drawn) for mask in masks)


def test_pictures_without_masks(cache):
    for name, size in (("cats_vs_dogs", "full"), ("reviews", "mini"), ("brain_mri", "full")):
        with pytest.raises(ValueError, match=rf"masks belong to the pictures of brain_mri.*Received: '{name}', {size}"):
            tl.load_masks(name, None, size=size)


@pytest.mark.parametrize("stops", ["write_bytes", "replace"])
def test_an_export_that_breaks_off_leaves_nothing_and_can_be_made_again(slices, cache, tmp_path, monkeypatch, stops):
    written, real = [], Path.write_bytes

    def full_disk(self, data):
        written.append(self)
        if len(written) == 5:
            raise OSError("No space left on device")
        return real(self, data)

    _tfds.export_full("brain_mri", data_dir=tmp_path / "tfds")  # prepared; what breaks is the export
    shutil.rmtree(cache / "datasets/brain_mri/full")
    with monkeypatch.context() as broken:
        if stops == "write_bytes":
            broken.setattr(Path, "write_bytes", full_disk)
        else:
            broken.setattr(_tfds.os, "replace", lambda *a: (_ for _ in ()).throw(OSError("No space left on device")))
        with pytest.raises(OSError, match="No space left"):
            _tfds.export_full("brain_mri", data_dir=tmp_path / "tfds")
    assert [p.name for p in (cache / "datasets/brain_mri").iterdir() if p.suffix != ".lock"] == []
    assert len(list(_tfds.export_full("brain_mri", data_dir=tmp_path / "tfds").glob("[!.]*/*.png"))) == 24


def test_missing_tensorflow_datasets_names_the_command(cache, monkeypatch):
    real = importlib.util.module_from_spec

    def broken(spec):
        module = real(spec)
        spec.loader.exec_module = lambda m: (_ for _ in ()).throw(ImportError("No module named tensorflow_datasets"))
        return module

    monkeypatch.setattr(importlib.util, "module_from_spec", broken)
    with pytest.raises(ImportError, match=r"pip install 'tlteach\[full\]'"):
        _tfds.export_full("cats_vs_dogs")
