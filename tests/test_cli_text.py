"""The command line with texts: a table in, a model that takes texts out."""

import json
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from tlteach.cli import app

pytest.importorskip("keras_hub")
RUN = CliRunner()
NOUNS = "film soup book lamp song play bread story chair coat".split()


def lines(count, shift=0):
    """Praise and blame that anyone can tell apart."""
    for i in range(count):
        noun, other = NOUNS[(i + shift) % 10], NOUNS[(3 * i + shift + 1) % 10]
        yield f"A wonderful {noun}, number {i + shift}, and the {other} was great too. I loved it.\t1"
        yield f"An awful {noun}, number {i + shift}, and the {other} was terrible too. I hated it.\t0"


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tables")
    (folder / "learn.tsv").write_text("\n".join(lines(30)) + "\n")
    (folder / "test.tsv").write_text("\n".join(lines(10, shift=100)) + "\n")
    return folder


@pytest.fixture(scope="module")
def fitted(tables, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    args = ["fit", tables / "learn.tsv", "--backbone", "bert", "--size", "mini", "--labels", 40]
    result = RUN.invoke(app, [str(a) for a in [*args, "--test", tables / "test.tsv", "--out", out]])
    assert result.exit_code == 0, result.output
    return out


def test_fit_leaves_model_numbers_and_page(fitted):
    numbers = json.loads((fitted / "report.json").read_text())
    assert numbers["accuracy"] >= 0.9 and numbers["n"] == 20 and numbers["labels"] == 40
    assert numbers["classes"] == ["0", "1"] and sum(map(sum, numbers["confusion"])) == 20
    page = (fitted / "report.html").read_text()
    assert "test texts right" in page and numbers["decision"][:12] in page
    assert sorted(p.name for p in fitted.iterdir()) == ["model.keras", "report.html", "report.json"]
    assert set(zipfile.ZipFile(fitted / "model.keras").namelist()) >= {"tlteach_classes.json", "tlteach_tokenizer.json"}


def test_predict_in_a_process_of_its_own(fitted):
    texts = ["I loved this wonderful story.", "Awful, terrible, I hated it.", "", "🙂"]
    options = [part for text in texts for part in ("--text", text)]
    command = [sys.executable, "-m", "tlteach.cli", "predict", str(fitted / "model.keras"), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=True, encoding="utf-8")
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["text"] for line in told] == texts and [line["label"] for line in told][:2] == ["1", "0"]
    assert all(abs(sum(line["probabilities"].values()) - 1) < 1e-5 for line in told)


def said(*args):
    result = RUN.invoke(app, [str(a) for a in args])
    assert result.exit_code != 0 and "Traceback" not in result.output
    return result.output


def folder_of_pictures(folder):
    """Ten small pictures of noise in each of two classes."""
    random = np.random.default_rng(0)
    for name in ("a", "b"):
        (folder / name).mkdir(parents=True)
        for i in range(10):
            Image.fromarray(random.integers(0, 256, (40, 40, 3), "uint8")).save(folder / name / f"{i}.png")
    return folder


def test_what_is_said_when_something_is_wrong(fitted, tables, tmp_path):
    model = fitted / "model.keras"
    assert "predict needs pictures or --text, and not both" in said("predict", model)
    assert "predict needs pictures or --text, and not both" in said("predict", model, "a.png", "--text", "a")
    assert "pictures need a model that was fitted to them" in said("predict", model, "a.png")
    assert "a table of texts needs a language backbone, such as bert. Received: 'vgg16'" in said(
        "fit", tables / "learn.tsv", "--backbone", "vgg16", "--out", tmp_path / "out"
    )
    pictures = folder_of_pictures(tmp_path / "pictures")
    assert "a folder of pictures needs a backbone that takes them. Received: 'bert'" in said(
        "fit", pictures, "--backbone", "bert", "--out", tmp_path / "out"
    )
    assert "a table of texts has none. Received: (p.)" in said(
        "fit", tables / "learn.tsv", "--groups", "(p.)", "--out", tmp_path / "out"
    )
    assert "the table must be an existing file" in said("fit", tables / "no.tsv", "--out", tmp_path / "out")
