"""The drawn pets: made again to the byte, balanced, and not told apart by colour."""

import csv
import io
import sys
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from typer.testing import CliRunner

ROOT = Path(__file__).resolve().parent.parent
MINI = ROOT / "datasets" / "cats_vs_dogs" / "mini"
ATTRIBUTES = ("background", "pose", "fur", "light", "occluded", "style")


@pytest.fixture(scope="module")
def make_pets():
    sys.path.insert(0, str(ROOT / "tools"))
    try:
        import make_pets

        yield make_pets
    finally:
        sys.path.remove(str(ROOT / "tools"))


@pytest.fixture(scope="module")
def rows():
    with open(MINI / "pets.csv", newline="") as table:
        return list(csv.DictReader(table))


@pytest.fixture(scope="module")
def pictures(rows):
    with zipfile.ZipFile(MINI / "pets.zip") as archive:
        return np.stack([np.asarray(Image.open(io.BytesIO(archive.read(row["path"])))) for row in rows])


def test_the_same_command_gives_the_same_bytes(make_pets, tmp_path):
    made = []
    for workers in ("1", "2"):
        folder = tmp_path / workers
        command = ["--out", str(folder), "--count", "10", "--seed", "3", "--workers", workers]
        app = make_pets.typer.Typer()
        app.command()(make_pets.main)
        assert CliRunner().invoke(app, command).exit_code == 0
        made.append([(folder / name).read_bytes() for name in ("pets.zip", "pets.csv", "masks/masks.zip")])
    assert made[0] == made[1]


def test_the_seed_decides(make_pets):
    row = make_pets.plan(10, 3)[0]
    assert (make_pets.example(3, 0, row=row) != make_pets.example(4, 0, row=row)).any()
    assert make_pets.plan(10, 3) != make_pets.plan(10, 4)


def test_the_shipped_table_is_the_one_the_program_plans(make_pets, rows):
    assert make_pets.plan(1000, 0) == rows


@pytest.mark.parametrize("index", [0, 1234])
def test_a_shipped_picture_is_what_the_program_draws(make_pets, rows, pictures, index):
    drawn = make_pets.example(0, index, row=rows[index]).astype(float)
    difference = np.abs(drawn - pictures[index]).mean()  # lossy WebP, and another NumPy may round otherwise
    other = np.abs(drawn - pictures[index - 7]).mean()
    assert difference < 8 < other


@pytest.mark.parametrize("index", [0, 1234])
def test_a_shipped_outline_is_what_the_program_traces(make_pets, rows, index):
    from pets_drawing import outline

    with zipfile.ZipFile(MINI / "masks" / "masks.zip") as archive:
        assert archive.namelist() == [row["path"] for row in rows]
        shipped = np.asarray(Image.open(io.BytesIO(archive.read(rows[index]["path"]))))
    assert shipped.dtype == bool and 0.05 < shipped.mean() < 0.95
    assert (shipped != outline(0, index, row=rows[index])).mean() < 0.01  # another NumPy may round otherwise


def test_an_outline_lies_around_the_animal(make_pets, rows):
    """Two pictures that differ in the fur alone are alike outside the outline, but for hair and noise."""
    row = rows[6] | {"background": "gradient", "light": "neutral", "occluded": "none"}
    from pets_drawing import outline

    inside = outline(0, 6, row=row)
    one, other = (make_pets.example(0, 6, row=row | {"fur": fur}).astype(float) for fur in ("solid", "two_tone"))
    apart = np.abs(one - other).mean(-1)
    assert apart[inside].mean() > 1.5 * apart[~inside].mean()


def test_too_few_pictures_are_refused(make_pets):
    with pytest.raises(ValueError, match="count must be 10 or more.*Received: 9. Pass --count 10."):
        make_pets.plan(9, 0)


def test_table_and_archive_agree(rows):
    with zipfile.ZipFile(MINI / "pets.zip") as archive:
        assert archive.namelist() == [row["path"] for row in rows]
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}
        assert len({info.date_time for info in archive.infolist()}) == 1
        assert archive.testzip() is None
    assert all(row["path"].split("/")[0] == row["label"] for row in rows)


def test_no_picture_is_there_twice(pictures):
    assert pictures.shape == (2000, 64, 64, 3)
    assert len({picture.tobytes() for picture in pictures}) == 2000


def test_splits_are_balanced(rows):
    counts = Counter((row["split"], row["label"]) for row in rows)
    expected = {"train": 600, "val": 100, "test": 300}
    assert counts == {(s, c): n for s, n in expected.items() for c in ("cat", "dog")}


@pytest.mark.parametrize("attribute", ATTRIBUTES)
def test_no_attribute_tells_the_classes_apart(rows, attribute):
    for split in ("train", "val", "test"):
        cats, dogs = (
            Counter(r[attribute] for r in rows if r["split"] == split and r["label"] == label)
            for label in ("cat", "dog")
        )
        assert cats == dogs
        assert len(cats) > 1


def colours(pictures):
    """Histograms, means and spreads of the channels, and the mean brightness of a 4 x 4 grid."""
    found = []
    for picture in pictures:
        histograms = [np.histogram(picture[..., c], 16, (0, 256))[0] for c in range(3)]
        cells = picture.reshape(4, 16, 4, 16, 3).mean((1, 3, 4)).ravel()
        found.append(np.concatenate([*histograms, picture.mean((0, 1)), picture.std((0, 1)), cells]))
    return np.array(found, float)


def test_colour_and_brightness_are_near_chance(rows, pictures):
    x = colours(pictures)
    y = np.array([row["label"] == "dog" for row in rows])
    train, test = (np.array([row["split"] == split for row in rows]) for split in ("train", "test"))
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=500)).fit(x[train], y[train])
    assert model.score(x[test], y[test]) < 0.6
