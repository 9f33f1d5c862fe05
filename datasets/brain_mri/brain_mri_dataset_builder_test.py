"""The builder reads both formats; small files in `dummy_data` stand for them, and each kind of damage is named."""

import csv
import hashlib
import importlib.util
import io
import shutil
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

tfds = pytest.importorskip("tensorflow_datasets")
h5py = pytest.importorskip("h5py")
HERE = Path(__file__).resolve().parent
DUMMY = HERE / "dummy_data"
# what the dummy archives hold: number, label, patient, side
SLICES = {
    "brainTumorDataPublic_1-766.zip": [(1, 1, "100360", 16), (2, 1, "100360", 16)],
    "brainTumorDataPublic_767-1532.zip": [(3, 2, "MR020260A", 16)],
    "brainTumorDataPublic_1533-2298.zip": [(4, 2, "MR020260A", 20), (5, 3, "97162", 20)],
    "brainTumorDataPublic_2299-3064.zip": [(6, 3, "110381", 16)],
}


def scan(number, side=16):
    """Draw a slice `(side, side)`, int16, that looks different upright and transposed."""
    rows, columns = np.mgrid[:side, :side]
    return (40 * rows + 3 * columns + 100 * number).astype("int16")


def tumour(side=16):
    """Draw a mask `(side, side)`: two rows high, five columns wide."""
    mask = np.zeros((side, side), "uint8")
    mask[3:5, 6:11] = 1
    return mask


def mat_file(*, leave_out=(), **fields):
    """Return the bytes of a file as MATLAB writes it with `save -v7.3`: a text header, then HDF5, columns first."""
    border = np.array([[3.0, 6.0, 3.0, 10.0, 4.0, 10.0]])
    found = {"label": 1.0, "PID": "p1", "image": scan(0), "tumorBorder": border.T, "tumorMask": tumour()} | fields
    file = io.BytesIO()
    with h5py.File(file, "w", userblock_size=512) as made:
        struct = made.create_group("cjdata")
        struct.attrs["MATLAB_class"] = np.bytes_("struct")
        for name, value in found.items():
            if name not in leave_out:
                kind = "char" if isinstance(value, str) else {"float64": "double"}.get(np.asarray(value).dtype.name)
                codes = np.array([[ord(c) for c in value]], "uint16") if isinstance(value, str) else np.asarray(value)
                struct[name] = np.atleast_2d(codes).T
                struct[name].attrs["MATLAB_class"] = np.bytes_(kind or codes.dtype.name)
    text = b"MATLAB 7.3 MAT-file, Platform: PCWIN64, Created on: Thu Jan 01 00:00:00 2015 HDF5 schema 1.00 ."
    header = text.ljust(116) + bytes(8) + b"\x00\x02IM"  # version 0x0200, and the order of bytes
    return header.ljust(512, b"\0") + file.getvalue()[512:]


def archives_in(folder, replaced=None):
    """Write the four archives and return their folder; `replaced` maps a number to other bytes."""
    folder.mkdir(exist_ok=True)
    for name, slices in SLICES.items():
        with zipfile.ZipFile(folder / name, "w", zipfile.ZIP_DEFLATED) as archive:
            for number, label, patient, side in slices:
                made = dict(label=float(label), PID=patient, image=scan(number, side), tumorMask=tumour(side))
                data = (replaced or {}).get(number) or mat_file(**made)
                member = zipfile.ZipInfo(f"{number}.mat", (2015, 1, 1, 0, 0, 0))
                archive.writestr(member, data, compress_type=zipfile.ZIP_DEFLATED)
    return folder


def mini_in(folder):
    """Write six slices of three patients in the format of `mini`."""
    (folder / "masks").mkdir(parents=True, exist_ok=True)
    rows = []
    archives = folder / "slices.zip", folder / "masks/masks.zip"
    with zipfile.ZipFile(archives[0], "w") as pictures, zipfile.ZipFile(archives[1], "w") as masks:
        for i, (label, split) in enumerate([("tumour", "train"), ("none", "val"), ("tumour", "test")] * 2):
            path, patient = f"{label}/{i}.png", f"p{i % 3}"
            file = io.BytesIO()
            Image.fromarray((scan(i) // 8).astype("uint8")).save(file, "PNG")
            pictures.writestr(path, file.getvalue())
            if label == "tumour":
                file = io.BytesIO()
                Image.fromarray(tumour() > 0).save(file, "PNG")  # of one bit
                masks.writestr(path, file.getvalue())
            rows.append([path, label, split, patient, "A", "t1", "left", i, 2.5 * i, 10 * (label == "tumour"), 2.5])
    with open(folder / "slices.csv", "w", newline="") as table:
        columns = "path label split patient scanner contrast site slice level_mm lesion_mm2 pixel_mm".split()
        csv.writer(table).writerows([columns, *rows])


def load_module(folder=HERE, name="brain_mri_dataset_builder"):
    """Load the builder from its file alone, as the library does."""
    spec = importlib.util.spec_from_file_location(name, folder / "brain_mri_dataset_builder.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def module(monkeypatch):
    loaded = load_module()
    monkeypatch.setattr(loaded.Builder, "mini_folder", DUMMY / "mini")
    return loaded


def give(module, monkeypatch, folder, *, slices=6, patients=4):
    """Let the builder find these archives instead of downloading, and take their sums for the published ones."""
    sums = {}
    for name, (number, *_) in module.ARCHIVES.items():
        data = (folder / name).read_bytes()
        sums[name] = number, len(data), hashlib.md5(data).hexdigest()
    monkeypatch.setattr(module, "ARCHIVES", sums)
    monkeypatch.setattr(module, "SLICES", slices)
    monkeypatch.setattr(module, "PATIENTS", patients)
    found = {name: folder / name for name in sums}
    monkeypatch.setattr(tfds.download.DownloadManager, "download", lambda self, urls: found)


def prepared(builder):
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(compute_stats="skip"))
    return {split: list(tfds.as_numpy(builder.as_dataset(split=split))) for split in builder.info.splits}


def test_full_reads_every_slice(module, tmp_path, monkeypatch):
    give(module, monkeypatch, DUMMY)
    rows = prepared(module.Builder(data_dir=tmp_path, config="full"))["train"]
    names = ["glioma", "meningioma", "pituitary"]
    found = {r["image/filename"].decode(): (names[r["label"]], r["patient"].decode(), len(r["image"])) for r in rows}
    assert found == {
        "1.png": ("meningioma", "100360", 16),
        "2.png": ("meningioma", "100360", 16),
        "3.png": ("glioma", "MR020260A", 16),
        "4.png": ("glioma", "MR020260A", 20),
        "5.png": ("pituitary", "97162", 20),
        "6.png": ("pituitary", "110381", 16),
    }


def test_pictures_and_masks_are_upright_and_in_their_window(module, tmp_path, monkeypatch):
    give(module, monkeypatch, DUMMY)
    rows = prepared(module.Builder(data_dir=tmp_path, config="full"))["train"]
    for row in rows:
        number, side = int(row["image/filename"].decode().split(".")[0]), len(row["image"])
        values = np.sort(scan(number, side).ravel())
        low, high = (np.interp(q * (len(values) - 1), range(len(values)), values) for q in (0.005, 0.995))
        truth = np.clip((scan(number, side) - low) / (high - low), 0, 1) * 255
        assert row["image"].dtype == np.uint8 and np.abs(row["image"][..., 0] - truth).max() <= 0.5
        assert np.array_equal(row["mask"][..., 0], tumour(side) * 255)


def test_mini_reads_every_split(module, tmp_path):
    splits = prepared(module.Builder(data_dir=tmp_path, config="mini"))
    assert {name: len(rows) for name, rows in splits.items()} == {"train": 2, "val": 2, "test": 2}
    one, other = sorted(splits["val"], key=lambda row: row["slice"])
    assert other["patient"] == b"p1" and other["scanner"] == b"A" and other["slice"] == 4
    assert other["level_mm"] == 10 and other["lesion_mm2"] == 0 and other["pixel_mm"] == 2.5
    assert other["site"] == b"left" and other["contrast"] == b"t1"
    assert one["label"] == 0 and not one["mask"].any()
    assert np.array_equal(one["image"][..., 0], (scan(1) // 8).astype("uint8"))
    assert all(np.array_equal(row["mask"][..., 0], tumour() * 255) for row in splits["train"])


def test_others_take_the_dummy_files_for_those_of_matlab():
    from scipy.io import loadmat  # which reads the header alone, and leaves the rest to HDF5

    with zipfile.ZipFile(DUMMY / "brainTumorDataPublic_767-1532.zip") as archive:
        data = archive.read("3.mat")
    with pytest.raises(NotImplementedError, match=r"HDF reader for matlab v7\.3"):
        loadmat(io.BytesIO(data))
    with h5py.File(io.BytesIO(data)) as file:
        found = {name: (field.shape, field.dtype.name) for name, field in file["cjdata"].items()}
    assert found == {  # as seen in the published files, but for the size
        "PID": ((9, 1), "uint16"),
        "image": ((16, 16), "int16"),
        "label": ((1, 1), "float64"),
        "tumorBorder": ((1, 6), "float64"),
        "tumorMask": ((16, 16), "uint8"),
    }


def test_a_patient_may_hold_any_characters(module):
    assert module.read_slice(mat_file(PID="Größe 7"), name="1.mat")["patient"] == "Größe 7"


def test_a_flat_slice_is_read(module):
    flat = module.read_slice(mat_file(image=np.full((16, 16), 7, "int16")), name="1.mat")["image"]
    assert flat.shape == (16, 16, 1) and not flat.any()


def holes(count):
    """Draw a slice `(16, 16)`, float64, in which so many values are no number, or infinite."""
    values = scan(4).astype("float64")
    values.flat[:count] = [np.nan, np.inf, -np.inf][:count]
    return values


WRONG = {
    "field": (mat_file(leave_out=["tumorMask"]), r"4\.mat must have the fields cjdata/.*: none called tumorMask\."),
    "patient": (mat_file(leave_out=["PID"]), r"4\.mat must have the fields cjdata/.*Received: none called PID\."),
    "border": (
        mat_file(leave_out=["tumorBorder"]),
        r"4\.mat must have the fields cjdata/.*: none called tumorBorder\.",
    ),
    "a patient's number": (
        mat_file(PID=100360.0),
        r"4\.mat: PID must be the codes of some characters, uint16\. Received: float64 \[100360\.0\]",
    ),
    "no patient": (mat_file(PID=np.zeros(2, "uint64")), r"4\.mat: PID must be .*Received: uint64 \[0, 0\]"),
    "text for a label": (
        mat_file(label=np.array([b"glioma"])),
        r"4\.mat: label must be numbers\. Received: \[b'glioma'",
    ),
    "not a number": (
        mat_file(image=holes(3)),
        r"4\.mat: image must be finite numbers\. Received: 3 of 256 that are not",
    ),
    "mask of holes": (mat_file(tumorMask=holes(1)), r"4\.mat: tumorMask must be finite numbers\. Received: 1 of 256"),
    "label": (mat_file(label=4.0), r"4\.mat: label must be 1, 2 or 3\. Received: \[4\.0\]"),
    "mask": (mat_file(tumorMask=tumour(8 + 8)[:9]), r"4\.mat: image and tumorMask must be of one size"),
    "nobody": (mat_file(PID="   "), r"4\.mat: PID must be the codes of some characters"),
    "cut off": (mat_file()[:3000], r"4\.mat must be a whole HDF5 file\. Received: a broken one"),
    "header alone": (mat_file()[:512], r"4\.mat must be a whole HDF5 file"),
    "not MATLAB": (b"\x89HDF\r\n\x1a\n" + mat_file()[520:], r"4\.mat must be a MATLAB v7\.3 file\. .*HDF"),
    "text": (b"MATLAB 5.0 MAT-file, Platform: GLNX", r"4\.mat must be a MATLAB v7\.3 file\. Received: .*MATLAB 5\.0"),
}


@pytest.mark.parametrize("data, text", WRONG.values(), ids=WRONG)
def test_a_wrong_file_is_named_and_nothing_is_prepared(module, tmp_path, monkeypatch, data, text):
    give(module, monkeypatch, archives_in(tmp_path / "archives", {4: data}))
    refused(module, tmp_path / "data", text)


def refused(module, data_dir, text):
    """Prepare, see it fail with this text, and see that nothing stays."""
    with pytest.raises(Exception, match=text):
        prepared(module.Builder(data_dir=data_dir, config="full"))
    assert not list(data_dir.rglob("*.tfrecord*")) and not list(data_dir.rglob("dataset_info.json"))


def test_an_archive_that_is_cut_off(module, tmp_path, monkeypatch):
    name = "brainTumorDataPublic_767-1532.zip"
    folder = archives_in(tmp_path)
    (folder / name).write_bytes((folder / name).read_bytes()[:400])
    give(module, monkeypatch, folder)
    refused(module, tmp_path / "data", rf"{name} must be a whole zip archive\. Received: one that cannot be opened")


def test_an_archive_with_damage_inside(module, tmp_path, monkeypatch):
    name = "brainTumorDataPublic_767-1532.zip"
    data = bytearray((archives_in(tmp_path) / name).read_bytes())
    data[200:300] = bytes(100)
    (tmp_path / name).write_bytes(data)
    give(module, monkeypatch, tmp_path)
    refused(module, tmp_path / "data", rf"{name} must be a whole zip archive\. Received: a broken 3\.mat")


def test_slices_or_patients_that_are_missing(module, tmp_path, monkeypatch):
    for found in ({"slices": 7}, {"patients": 5}):
        give(module, monkeypatch, DUMMY, **found)
        refused(module, tmp_path / "data", r"the archives must hold 1\.mat to .*Received: 6 files of 4 patients")


def test_members_never_leave_the_archive(module, tmp_path, monkeypatch):
    folder = archives_in(tmp_path / "a")
    with zipfile.ZipFile(folder / "brainTumorDataPublic_767-1532.zip", "a") as archive:
        archive.writestr("../../escaped.mat", b"x")
        archive.writestr("../../7.mat", mat_file(PID="97162", label=3.0))
    give(module, monkeypatch, folder, slices=7)
    rows = prepared(module.Builder(data_dir=tmp_path / "data", config="full"))["train"]
    assert {row["image/filename"].decode() for row in rows} == {f"{i}.png" for i in range(1, 8)}
    assert {p.name for p in tmp_path.iterdir()} == {"a", "data"} and len(list(folder.iterdir())) == 4


def test_an_archive_other_than_the_published_one_is_refused_and_removed(module, tmp_path, monkeypatch):
    """Downloaded as any other, from a folder instead of the net."""
    source = archives_in(tmp_path / "net")
    monkeypatch.setattr(module, "URL", str(source) + "/{}")
    for name, (number, *_) in module.ARCHIVES.items():
        (source / name).rename(source / str(number))
    refused(module, tmp_path / "data", r"1-766\.zip must have 214401279 bytes and MD5 74b9.* Received: \d+ bytes, MD5 ")
    kept = [p for p in (tmp_path / "data/downloads").rglob("*") if p.is_file() and zipfile.is_zipfile(p)]
    assert len(kept) == 3  # the refused one is fetched again, the others are not


def test_a_registered_checksum_is_used(tmp_path, monkeypatch):
    """A sum in `checksums.tsv` beside the builder, here a wrong one, stops the download before anything is read."""
    folder = tmp_path / "brain_mri"
    shutil.copytree(HERE, folder, ignore=shutil.ignore_patterns("mini", "__pycache__"))
    source = archives_in(tmp_path / "net")
    lines = [f"{source / name}\t10\t{'0' * 64}\t{name}\n" for name in SLICES]
    (folder / "checksums.tsv").write_text("".join(lines))
    module = load_module(folder)
    monkeypatch.setattr(module, "URL", "{}")
    monkeypatch.setattr(module, "ARCHIVES", {name: (source / name, 0, "") for name in SLICES})
    refused(module, tmp_path / "data", r"brainTumorDataPublic_\S+, downloaded to .* has wrong checksum")


def test_missing_h5py_names_the_command(module, monkeypatch):
    data = mat_file()
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ImportError, match=r"pip install 'tlteach\[full\]'"):
        module.read_slice(data, name="1.mat")


def test_the_builder_can_be_loaded_twice_and_under_any_name(module, tmp_path, monkeypatch):
    for name in ("once", "again"):
        loaded = load_module(name=name)
        monkeypatch.setattr(loaded.Builder, "mini_folder", DUMMY / "mini")
        builder = loaded.Builder(data_dir=tmp_path, config="mini")
        assert builder.name == "brain_mri"
        assert "patients" in builder.info.description


if __name__ == "__main__":
    mini_in(DUMMY / "mini")
    archives_in(DUMMY)
