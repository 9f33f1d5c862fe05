"""The simulated MR slices: physics against hand-made numbers, files that agree, classes balanced over all else."""

import csv
import io
import re
import sys
import zipfile
from collections import Counter, defaultdict
from pathlib import Path

import nbformat
import numpy as np
import pytest
from PIL import Image
from scipy import ndimage
from typer.testing import CliRunner

import tlteach as tl

ROOT = Path(__file__).resolve().parent.parent
MINI = ROOT / "datasets" / "brain_mri" / "mini"
CLASSES = ("glioma", "meningioma", "no_tumor", "pituitary")
MOST_BYTES = 6_000_000


@pytest.fixture(scope="module")
def make_mri():
    sys.path.insert(0, str(ROOT / "tools"))
    try:
        import make_mri

        yield make_mri
    finally:
        sys.path.remove(str(ROOT / "tools"))


@pytest.fixture(scope="module")
def signal(make_mri):
    return sys.modules["mri_signal"]


@pytest.fixture(scope="module")
def rows():
    with open(MINI / "slices.csv", newline="") as table:
        return list(csv.DictReader(table))


def unpack(path):
    with zipfile.ZipFile(path) as archive:
        return {name: Image.open(io.BytesIO(archive.read(name))) for name in archive.namelist()}


@pytest.fixture(scope="module")
def pictures():
    return unpack(MINI / "slices.zip")


@pytest.fixture(scope="module")
def masks():
    return {name: np.asarray(image) for name, image in unpack(MINI / "masks" / "masks.zip").items()}


def by_patient(rows):
    found = defaultdict(list)
    for row in rows:
        found[row["patient"]].append(row)
    return found


# the physics


def test_spin_echo_against_numbers_made_by_hand(signal):
    # 0.77 x 0.63212 x 0.84246, and half of the magnetisation back after T1 ln 2
    assert signal.spin_echo(0.77, 500, 70, tr=500, te=12) == pytest.approx(0.41005, abs=1e-5)
    assert signal.spin_echo(1.0, 900, 47, tr=900 * np.log(2), te=47 * np.log(2)) == pytest.approx(0.25)


def test_white_matter_is_brighter_than_grey_on_t1_and_darker_on_t2(signal):
    for scanner in "AB":
        t1, t2 = (signal.signals(c, scanner, np.random.default_rng(0)) for c in ("t1", "t2"))
        assert t1["fat"] > t1["white"] > t1["grey"] > t1["csf"] > t1["bone"]
        assert t2["csf"] > t2["grey"] > t2["white"] > t2["bone"]


def test_gadolinium_shortens_both_times(signal):
    t1, t2 = signal.with_gadolinium(1000, 100, 0.5)  # 1 + 4.8 x 0.5 and 10 + 5.5 x 0.5 a second
    assert (t1, t2) == pytest.approx((1000 / 3.4, 1000 / 12.75))
    plain, with_gd = (signal.signals(c, "A", np.random.default_rng(1)) for c in ("t1", "t1_gd"))
    assert with_gd["meningioma"] > 1.4 * plain["meningioma"]
    assert with_gd["white"] < 1.1 * plain["white"]


def test_noise_without_signal_has_the_mean_and_power_of_rayleigh(signal):
    noise = signal.rician(np.zeros(200_000), 3.0, np.random.default_rng(0))
    assert noise.mean() == pytest.approx(3.0 * np.sqrt(np.pi / 2), rel=0.01)
    assert (noise**2).mean() == pytest.approx(2 * 3.0**2, rel=0.01)


# the files


def test_table_and_archive_agree(rows, pictures):
    assert [row["path"] for row in rows] == list(pictures)
    assert all(row["path"] == f"{row['label']}/{row['patient']}_s{row['slice']}.png" for row in rows)
    for path in (MINI / "slices.zip", MINI / "masks" / "masks.zip"):
        with zipfile.ZipFile(path) as archive:
            assert archive.testzip() is None
            assert len({info.date_time for info in archive.infolist()}) == 1


def test_pictures_are_grey_bytes_of_96_by_96(pictures):
    assert {(image.mode, image.size, image.format) for image in pictures.values()} == {("L", (96, 96), "PNG")}
    assert len({image.tobytes() for image in pictures.values()}) == len(pictures) == 960


def test_all_files_together_are_small():
    files = [f for f in MINI.rglob("*") if f.is_file()]
    assert {f.relative_to(MINI).as_posix() for f in files} == {"slices.zip", "slices.csv", "masks/masks.zip"}
    assert sum(f.stat().st_size for f in files) <= MOST_BYTES


def test_the_library_reads_them():
    from tlteach._folders import read_mini

    pictures, table = read_mini(MINI)
    assert pictures.shape == (960, 96, 96, 3)
    assert list(np.unique(table["class"])) == list(CLASSES)


# the design


def test_a_patient_is_in_one_split_of_one_class_on_one_scanner(rows):
    for own in by_patient(rows).values():
        assert [row["slice"] for row in own] == [str(k) for k in range(1, 9)]
        for column in ("label", "split", "scanner", "contrast", "site", "pixel_mm"):
            assert len({row[column] for row in own}) == 1


def test_every_split_has_the_same_scanners_and_contrasts_in_every_class(rows):
    patients = [own[0] for own in by_patient(rows).values()]
    assert len(patients) == 120
    for split, size in {"train": 18, "val": 4, "test": 8}.items():
        counts = [
            Counter((p["scanner"], p["contrast"]) for p in patients if (p["split"], p["label"]) == (split, label))
            for label in CLASSES
        ]
        assert all(count == counts[0] and sum(count.values()) == size for count in counts)
        assert {contrast for _, contrast in counts[0]} == ({"t1_gd"} if split == "val" else {"t1_gd", "t2"})
        by_scanner = Counter(scanner for scanner, _ in counts[0].elements())
        assert by_scanner == {"A": size / 2, "B": size / 2}


def test_low_slices_belong_to_every_class(rows):
    for label in CLASSES:
        low = {row["patient"] for row in rows if row["label"] == label and float(row["level_mm"]) < -15}
        assert len(low) >= 6


def test_brightness_noise_and_file_size_are_alike_in_all_classes(rows, pictures):
    """Per patient; the classes explain little of the variance (random classes: 2.6 % on average)."""
    size = {name: len(data) for name, data in raw_files().items()}
    found = defaultdict(list)
    for own in by_patient(rows).values():
        stack = np.stack([np.asarray(pictures[row["path"]], float) for row in own])
        measures = [stack.mean(), stack[:, :6, :6].std(), np.mean([size[row["path"]] for row in own])]
        found[own[0]["label"]].append(measures)
    groups = np.array([found[label] for label in CLASSES])  # (4, 30, 3)
    between = groups.mean(1).var(0)
    assert (between / groups.reshape(-1, 3).var(0) < 0.12).all()


def raw_files():
    with zipfile.ZipFile(MINI / "slices.zip") as archive:
        return {name: archive.read(name) for name in archive.namelist()}


# the tumours


def test_every_slice_with_a_tumour_has_its_mask(rows, masks):
    assert set(masks) == {row["path"] for row in rows if row["label"] != "no_tumor"}
    for row in rows:
        area = masks[row["path"]].sum() * float(row["pixel_mm"]) ** 2 if row["path"] in masks else 0
        assert area == pytest.approx(int(row["lesion_mm2"]), abs=1)
        assert area == 0 or (area > 25 and row["label"] != "no_tumor")
        assert (row["site"] == "none") == (row["label"] == "no_tumor")


def test_the_tumour_is_seen_in_all_slices_of_its_patient_but_one(rows, masks):
    """The lowest slice of one patient passes below the tumour; the card names it."""
    unseen = [name for name, mask in masks.items() if not mask.any()]
    assert unseen == ["meningioma/p093_s1.png"]
    assert unseen[0].split("/")[1] in (MINI.parent / "README.md").read_text(encoding="utf-8")


def middles(rows, masks, label):
    """Mean distance in mm of each patient's tumour from the picture's middle column."""
    for own in by_patient(r for r in rows if r["label"] == label).values():
        columns = np.concatenate([np.nonzero(masks[row["path"]])[1] for row in own])
        yield abs(columns.mean() - 47.5) * float(own[0]["pixel_mm"])


def test_pituitary_tumours_are_near_the_midline(rows, masks):
    off = {label: np.array(list(middles(rows, masks, label))) for label in ("pituitary", "glioma")}
    assert off["pituitary"].max() < 18 and np.median(off["pituitary"]) < 7
    assert np.median(off["glioma"]) > 20


def below_the_skin(row, pictures, masks):
    """Least distance in mm from a slice's tumour to the air around the head."""
    head = ndimage.gaussian_filter(np.asarray(pictures[row["path"]], float), 1) > 30
    head = ndimage.binary_fill_holes(ndimage.binary_closing(np.pad(head, 8), iterations=4))[8:-8, 8:-8]
    return ndimage.distance_transform_edt(head)[masks[row["path"]]].min() * float(row["pixel_mm"])


def test_meningiomas_of_the_convexity_reach_the_skull_and_gliomas_do_not(rows, pictures, masks):
    least = defaultdict(list)
    for own in by_patient(rows).values():
        if own[0]["label"] in ("glioma", "meningioma"):
            least[own[0]["label"], own[0]["site"]].append(
                min(below_the_skin(r, pictures, masks) for r in own if masks[r["path"]].any())
            )
    outside = least["meningioma", "convexity"] + least["meningioma", "temporal_convexity"]
    gliomas = [v for (label, _), values in least.items() if label == "glioma" for v in values]
    assert np.median(outside) + 3 < np.median(gliomas)
    assert np.mean(np.array(gliomas) > np.median(outside)) > 0.8


# what the card says of them


def numbers_of(text, row):
    """What a pattern of a row finds in a text: a dict from what was measured to lowest, mean, highest and runs."""
    return {name.strip(): tuple(map(int, numbers)) for name, *numbers in re.findall(row, text, re.M)}


def test_the_card_gives_the_numbers_that_the_lesson_measured():
    """Whoever makes the lesson's notebook again must copy its last table into the card."""
    cells = nbformat.read(ROOT / "lessons" / "04_medical_mri.ipynb", as_version=4).cells
    (shown,) = [cell.outputs[0].data["text/plain"] for cell in cells if cell.source.endswith("\nmeasured")]
    measured = numbers_of(shown, r"^(\S.+?)  +(\d+) +(\d+) +(\d+) +(\d+)$")
    card = (MINI.parent / "README.md").read_text(encoding="utf-8")
    assert len(measured) == len(shown.splitlines()) - 1 >= 11
    assert numbers_of(card, r"^\| (.+?) \| (\d+) \| (\d+) \| (\d+) \| (\d+) \|$") == measured


def test_the_card_says_how_many_patients_of_each_split_have_t2(rows):
    patients = [own[0] for own in by_patient(rows).values()]
    split = Counter(p["split"] for p in patients)
    t2 = Counter(p["split"] for p in patients if p["contrast"] == "t2")
    told = ", ".join(f"{t2[name]} of {split[name]} in `{name}`" for name in ("train", "val", "test"))
    assert told in (MINI.parent / "README.md").read_text(encoding="utf-8")


def test_leakage_is_found_by_patient_and_hardly_by_pictures_alone():
    """The numbers that `check_leakage` tells in its docstring."""
    splits = tl.resplit(tl.load_dataset("brain_mri", "mini"))
    found = tl.check_leakage(splits)["kind"].value_counts().to_dict()
    assert found == {"group": 293, "near": 15}
    blind = tl.check_leakage(tl.Splits(**splits.parts(), name="blind"))
    assert blind["kind"].value_counts().to_dict() == {"near": 15}


# made again


def test_the_shipped_table_is_the_one_the_program_plans(make_mri, rows):
    planned = {p["patient"]: p for p in make_mri.plan(120, 0)}
    assert len(planned) == 120
    for row in rows:
        assert all(row[c] == planned[row["patient"]][c] for c in ("label", "split", "scanner", "contrast"))


def test_the_first_patient_made_again_gives_the_same_bytes(make_mri, rows):
    pytest.importorskip("nilearn", reason="the slices are made from the atlas that nilearn carries")
    atlas = sys.modules["mri_atlas"].load_atlas()
    made = make_mri.slices_of(make_mri.plan(120, 0)[0], 0, atlas)
    shipped = raw_files()
    for (columns, picture, _), row in zip(made, rows, strict=False):
        assert {name: str(value) for name, value in columns.items()} == row
        new, old = (np.asarray(Image.open(io.BytesIO(data)), float) for data in (picture, shipped[row["path"]]))
        assert picture == shipped[row["path"]] or np.abs(new - old).mean() < 1  # another NumPy may round otherwise


@pytest.mark.parametrize("patients", [16, 30])
def test_a_wrong_number_of_patients_is_refused(make_mri, patients):
    with pytest.raises(ValueError, match=f"patients must be a multiple of 4 and 20 or more.*Received: {patients}."):
        make_mri.plan(patients, 0)


def run(make_mri, *command):
    app = make_mri.typer.Typer()
    app.command()(make_mri.main)
    return CliRunner().invoke(app, [str(c) for c in command])


def test_a_broken_out_gives_one_sentence(make_mri, tmp_path):
    (tmp_path / "taken").write_text("")
    for out in (tmp_path / "taken", tmp_path / "taken" / "below"):
        result = run(make_mri, "--out", out)
        assert result.exit_code == 1
        text = result.output.strip()
        assert text.startswith("--out must be a folder that can be written. Received:") and "\n" not in text


def test_without_nilearn_the_program_says_what_to_install(make_mri, tmp_path, monkeypatch):
    sys.modules["mri_atlas"].load_atlas.cache_clear()
    monkeypatch.setitem(sys.modules, "nilearn", None)
    result = run(make_mri, "--out", tmp_path / "new")
    assert result.exit_code == 1 and "Install it with: pip install nilearn" in result.output


def test_help_shows_an_example(make_mri):
    result = run(make_mri, "--help")
    assert result.exit_code == 0 and "--patients 20" in result.output
