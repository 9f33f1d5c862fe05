"""The builder reads every published format; small archives in the same layout stand for them."""

import importlib.util
import io
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile

tfds = pytest.importorskip("tensorflow_datasets")
HERE = Path(__file__).resolve().parent
DUMMY = HERE / "dummy_data"


def load_module(name="spoken_digits_dataset_builder"):
    """Load the builder from its file alone, as the library does."""
    spec = importlib.util.spec_from_file_location(name, HERE / "spoken_digits_dataset_builder.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def module():
    return load_module()


def prepared(builder):
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(compute_stats="skip"))
    return {split: list(tfds.as_numpy(builder.as_dataset(split=split))) for split in builder.info.splits}


def give(monkeypatch, archive):
    asked = []
    monkeypatch.setattr(tfds.download.DownloadManager, "download", lambda self, url: asked.append(url) or archive)
    return asked


def test_mini_reads_every_split(module, tmp_path, monkeypatch):
    monkeypatch.setattr(module.Builder, "mini_folder", DUMMY / "mini")
    builder = module.Builder(data_dir=tmp_path, config="mini")
    splits = prepared(builder)
    assert {name: len(rows) for name, rows in splits.items()} == {"train": 20, "val": 10, "test": 10}
    names = builder.info.features["label"].names
    for rows in splits.values():
        assert {names[row["label"]] for row in rows} == set(module.CLASSES)
        for row in rows:
            assert row["audio/filename"].decode().split("/")[0] == names[row["label"]]
    one = splits["train"][0]
    assert one["audio"].dtype == np.int16 and one["speaker"] and one["accent"] and one["engine"]
    speakers = [{row["speaker"] for row in rows} for rows in splits.values()]
    assert sum(len(each) for each in speakers) == len(set.union(*speakers))


def test_mini_samples_are_those_in_the_archive(module, tmp_path, monkeypatch):
    monkeypatch.setattr(module.Builder, "mini_folder", DUMMY / "mini")
    rows = prepared(module.Builder(data_dir=tmp_path, config="mini"))["val"]
    with zipfile.ZipFile(DUMMY / "mini" / "digits.zip") as archive:
        for row in rows:
            data = archive.read(row["audio/filename"].decode())
            truth, rate = soundfile.read(io.BytesIO(data), dtype="int16")
            assert rate == 8000
            np.testing.assert_array_equal(row["audio"], truth)


@pytest.mark.parametrize(
    "config, archive, expected",
    [
        (
            "full",
            "free-spoken-digit-dataset-1.0.9.tar.gz",
            {"0_ann_0.wav": ("zero", "ann"), "7_ann_0.wav": ("seven", "ann"), "7_bob_12.wav": ("seven", "bob")},
        ),
        (
            "speech_commands",
            "speech_commands_v0.02.tar.gz",
            {
                "five_0a1b_nohash_0.wav": ("five", "0a1b"),
                "nine_0a1b_nohash_0.wav": ("nine", "0a1b"),
                "nine_ffee_nohash_2.wav": ("nine", "ffee"),
            },
        ),
    ],
)
def test_archives_give_the_readable_digits_and_their_speakers(module, tmp_path, monkeypatch, config, archive, expected):
    asked = give(monkeypatch, DUMMY / archive)
    builder = module.Builder(data_dir=tmp_path, config=config)
    rows, names = prepared(builder)["train"], builder.info.features["label"].names
    found = {r["audio/filename"].decode(): (names[r["label"]], r["speaker"].decode()) for r in rows}
    assert found == expected and asked == [module.URLS[config]]
    assert builder.info.features["audio"].sample_rate == module.RATES[config]


def test_full_samples_are_those_of_the_file(module, tmp_path, monkeypatch):
    archive = DUMMY / "free-spoken-digit-dataset-1.0.9.tar.gz"
    give(monkeypatch, archive)
    rows = prepared(module.Builder(data_dir=tmp_path, config="full"))["train"]
    with tarfile.open(archive) as opened:
        data = opened.extractfile("free-spoken-digit-dataset-1.0.9/recordings/7_bob_12.wav").read()
    truth, _ = soundfile.read(io.BytesIO(data), dtype="int16")
    row = next(r for r in rows if r["audio/filename"] == b"7_bob_12.wav")
    np.testing.assert_array_equal(row["audio"], truth)


@pytest.mark.parametrize("config, size", [("full", 11_975_353), ("speech_commands", 2_428_923_189)])
def test_the_downloads_have_checksums(module, config, size):
    assert module.Builder.url_infos[module.URLS[config]].size == size


def test_the_builder_can_be_loaded_twice_and_under_any_name(tmp_path):
    for name in ("once", "again"):
        builder = load_module(name).Builder(data_dir=tmp_path, config="mini")
        assert builder.name == "spoken_digits"
        assert "synthetic" in builder.info.description


def test_read_wave_tells_sounds_from_others(module):
    file = io.BytesIO()
    soundfile.write(file, np.arange(10, dtype="int16"), 8000, format="WAV")
    assert module.read_wave(file.getvalue()).tolist() == list(range(10))
    assert module.read_wave(b"no sound") is None
    assert module.read_wave(b"") is None
