"""The command line, as a person uses it: fit, predict, and what is said when something is wrong."""

import json
import shutil
import subprocess
import sys
import zipfile

import keras
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner

import tlteach as tl
from tlteach.cli import app

RUN = CliRunner()


@pytest.fixture(scope="module")
def stripes(tmp_path_factory):
    """Two classes that anyone can tell: upright and level stripes, in pictures of several sizes."""
    folder = tmp_path_factory.mktemp("stripes")
    random = np.random.default_rng(0)
    for part, count in (("learn", 20), ("test", 8)):
        for name in ("level", "upright"):
            (folder / part / name).mkdir(parents=True)
            for i in range(count):
                _stripes(random, name == "upright").save(folder / part / name / f"{i:02d}.png")
    return folder


def _stripes(random, upright):
    height, width = random.integers(70, 120, 2)
    wave = np.sin(np.arange(width if upright else height) / random.uniform(2, 5) + random.uniform(0, 6))
    grid = np.broadcast_to(wave[None, :] if upright else wave[:, None], (height, width))
    pixels = 128 + 60 * grid[..., None] + random.normal(0, 15, (height, width, 3)) + random.uniform(-40, 40, 3)
    return Image.fromarray(np.clip(pixels, 0, 255).astype("uint8"))


@pytest.fixture(scope="module")
def fitted(stripes, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    args = ["fit", stripes / "learn", "--test", stripes / "test", "--labels", 24, "--out", out]
    result = RUN.invoke(app, [str(a) for a in args])
    assert result.exit_code == 0, result.output
    return out


def test_fit_leaves_model_numbers_and_page(fitted):
    numbers = json.loads((fitted / "report.json").read_text())
    assert numbers["accuracy"] >= 0.8 and numbers["n"] == 16 and numbers["labels"] == 24
    assert numbers["accuracy_interval"][0] <= numbers["accuracy"] <= numbers["accuracy_interval"][1]
    assert numbers["classes"] == ["level", "upright"]
    assert np.trace(numbers["confusion"]) == round(16 * numbers["accuracy"])
    level = numbers["per_class"]["level"]
    assert level["n"] == 8 and level["sensitivity_low"] <= level["sensitivity"] <= level["sensitivity_high"]
    assert level["sensitivity"] == numbers["confusion"][0][0] / 8 and 0 <= level["AUC_low"] <= level["AUC_high"] <= 1
    assert 0 <= numbers["calibration"]["expected_calibration_error"] <= 1 and numbers["groups"] is None
    page = (fitted / "report.html").read_text()
    assert "data:image/png" in page and "Table of colours of true class (level, upright) over predicted" in page
    assert page.count("<img ") == page.count('<img alt="') and numbers["decision"][:12] in page
    assert sorted(p.name for p in fitted.iterdir()) == ["model.keras", "report.html", "report.json"]


def test_predict_prints_a_line_for_each_picture_and_goes_on_after_a_bad_one(fitted, stripes, tmp_path):
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"no picture")
    paths = [stripes / "test" / "upright" / "00.png", bad, stripes / "test" / "level" / "00.png"]
    result = RUN.invoke(app, ["predict", str(fitted / "model.keras"), *map(str, paths)])
    lines = [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")]
    assert result.exit_code == 1
    assert [line["path"] for line in lines] == [str(p) for p in paths]
    assert "error" in lines[1] and "label" not in lines[1]
    assert set(lines[0]["probabilities"]) == {"level", "upright"}
    assert abs(sum(lines[0]["probabilities"].values()) - 1) < 1e-5
    assert lines[0]["label"] == max(lines[0]["probabilities"], key=lines[0]["probabilities"].get)


def test_plain_keras_gives_the_same_probabilities_without_tlteach(fitted, stripes, tmp_path):
    picture = stripes / "test" / "upright" / "01.png"
    result = RUN.invoke(app, ["predict", str(fitted / "model.keras"), str(picture)])
    ours = json.loads(result.stdout.splitlines()[0])["probabilities"]
    code = (
        "import sys, json, keras, numpy as np\nfrom PIL import Image\n"
        f"model = keras.models.load_model({str(fitted / 'model.keras')!r}, safe_mode=True)\n"
        f"x = np.asarray(Image.open({str(picture)!r}))[None]\n"
        "assert 'tlteach' not in sys.modules\n"
        "print(json.dumps(model.predict(x, verbose=0)[0].tolist()))"
    )
    plain = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True)
    np.testing.assert_allclose(json.loads(plain.stdout.splitlines()[-1]), list(ours.values()), atol=1e-5)


def test_a_model_that_may_be_guessing_says_so_when_it_predicts(fitted, stripes, tmp_path):
    picture = str(stripes / "test" / "upright" / "00.png")
    shutil.copy(fitted / "model.keras", tmp_path)
    told = json.loads((fitted / "report.json").read_text())
    assert told["may_be_guessing"] is False
    for guessing, sentence in ((True, "could not be told from guessing (accuracy 40.0% to 60.0%"), (False, "")):
        told |= {"may_be_guessing": guessing, "accuracy_interval": [0.4, 0.6]}
        (tmp_path / "report.json").write_text(json.dumps(told))
        result = RUN.invoke(app, ["predict", str(tmp_path / "model.keras"), picture])
        assert result.exit_code == 0 and json.loads(result.stdout)["label"] in told["classes"]
        assert sentence in result.stderr and bool(sentence) == ("guessing" in result.stderr)
    (tmp_path / "report.json").write_text("[1]")  # whatever lies there, the model is what is asked
    assert RUN.invoke(app, ["predict", str(tmp_path / "model.keras"), picture]).exit_code == 0


@pytest.mark.parametrize(("right", "guessing"), [(50, True), (72, True), (99, False)])
def test_the_bar_is_to_name_the_commonest_class_always(right, guessing):
    from tlteach.evaluation import report_of
    from tlteach.report import may_be_guessing, verdict

    true = np.repeat([0, 1], [70, 30])
    predicted = np.where(np.arange(100) < right, true, 1 - true)
    names = np.array(["a", "b"])
    report = report_of(pd.DataFrame({"class": names[true], "predicted": names[predicted]}), ["a", "b"])
    assert may_be_guessing(report) == guessing
    assert ("That cannot be told from guessing: use more pictures" in verdict(report)) == guessing


def test_the_model_knows_its_class_names_wherever_it_is_moved(fitted):
    with zipfile.ZipFile(fitted / "model.keras") as archive:
        assert json.loads(archive.read("tlteach_classes.json")) == ["level", "upright"]


def test_a_whole_folder_is_predicted(fitted, stripes):
    result = RUN.invoke(app, ["predict", str(fitted / "model.keras"), str(stripes / "test")])
    assert result.exit_code == 0 and len(result.stdout.splitlines()) == 16


def test_groups_are_kept_together_and_told(stripes, tmp_path):
    """Each pattern of stripes has a number in its name; here two neighbouring numbers are one series."""
    result = RUN.invoke(
        app,
        ["fit", str(stripes / "learn"), "--groups", r"(?P<series>\d)\d\.png", "--phases", "0", "--out", str(tmp_path)],
    )
    assert result.exit_code == 1 and "each class" in result.output  # only two series: 0x and 1x
    result = RUN.invoke(
        app,
        ["fit", str(stripes / "learn"), "--groups", r"(?P<series>\d\d)\.png", "--phases", "0", "--out", str(tmp_path)],
    )
    assert result.exit_code == 0, result.output
    assert json.loads((tmp_path / "report.json").read_text())["groups"] == "series"


def test_phases_train_the_last_stage(stripes, tmp_path):
    args = ["fit", stripes / "learn", "--labels", 24, "--phases", 1, "--backbone", "vgg16", "--out", tmp_path]
    result = RUN.invoke(app, [str(a) for a in args])
    assert result.exit_code == 0, result.output
    numbers = json.loads((tmp_path / "report.json").read_text())
    assert "ine-tun" in numbers["decision"] and numbers["n"] == 8


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["fit", "nowhere"], "path must be an existing folder"),
        (["fit", "{learn}", "--backbone", "vgg61"], "name must be one of"),
        (["fit", "{learn}", "--size", "maxi"], "size must be 'mini' or 'full'"),
        (["fit", "{learn}", "--labels", "1000"], "labels must be 4"),
        (["fit", "{learn}", "--labels", "3"], "labels must be 4"),
        (["fit", "{learn}", "--weights", "missing.h5"], "existing file"),
        (["fit", "{learn}", "--test", "{learn}/level"], "must hold a folder for each class"),
        (["fit", "{learn}", "--phases", "9"], "stages must be 1 to 5"),
    ],
)
def test_what_is_wrong_is_one_clear_sentence_and_nothing_is_written(stripes, tmp_path, arguments, sentence):
    arguments = [a.replace("{learn}", str(stripes / "learn")) for a in arguments]
    result = RUN.invoke(app, [*arguments, "--out", str(tmp_path / "out")])
    assert result.exit_code == 1
    assert sentence in result.output and "Traceback" not in result.output
    assert not (tmp_path / "out").exists()


def test_test_folder_with_other_classes(stripes, tmp_path):
    (tmp_path / "dotted").mkdir()
    _stripes(np.random.default_rng(1), True).save(tmp_path / "dotted" / "a.png")
    result = RUN.invoke(app, ["fit", str(stripes / "learn"), "--test", str(tmp_path), "--out", str(tmp_path / "o")])
    assert result.exit_code == 1 and "must have the classes level, upright. Received: dotted" in result.output


def test_not_a_model(stripes, tmp_path):
    (tmp_path / "m.keras").write_text("nothing")
    result = RUN.invoke(app, ["predict", str(tmp_path / "m.keras"), str(stripes)])
    assert result.exit_code == 1 and "must be a .keras file" in result.output


def test_a_foreign_keras_model_is_predicted_with_numbers_for_names(stripes, tmp_path):
    model = keras.Sequential([keras.Input((None, None, 3)), keras.layers.GlobalAveragePooling2D()])
    model.save(tmp_path / "m.keras")
    result = RUN.invoke(app, ["predict", str(tmp_path / "m.keras"), str(stripes / "test" / "level" / "00.png")])
    assert set(json.loads(result.stdout.splitlines()[0])["probabilities"]) == {"0", "1", "2"}


def test_help_has_examples_and_lessons_are_listed():
    assert "Example" in RUN.invoke(app, ["fit", "--help"]).output
    listed = RUN.invoke(app, ["lessons"])
    assert listed.exit_code == 0 and "01  A first transfer  (3 min)" in listed.output


def test_out_must_not_be_a_file(stripes, tmp_path):
    (tmp_path / "taken").write_text("mine")
    result = RUN.invoke(app, ["fit", str(stripes / "learn"), "--out", str(tmp_path / "taken")])
    assert result.exit_code == 1 and "out must be a folder" in result.output
    assert (tmp_path / "taken").read_text() == "mine"


def test_out_that_cannot_be_made_is_told_before_any_work(stripes, tmp_path):
    (tmp_path / "file").write_text("mine")
    found = RUN.invoke(app, ["fit", str(stripes), "--out", str(tmp_path / "file" / "deeper")])
    assert found.exit_code == 1
    assert "Error: out must be a folder that can be written. Received: " in found.output
    assert "extract" not in found.output and (tmp_path / "file").read_text() == "mine"


class Stop(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        raise KeyboardInterrupt


def watch_tuning(monkeypatch, stop_at):
    """Keep what each fine-tuning is asked for, and end one of them by Ctrl-C."""
    from tlteach import _tuning
    from tlteach.finetune import fine_tune

    asked = []

    def watched(model, splits, phases, **options):
        asked.append((model, splits, phases))
        return fine_tune(model, splits, phases, callbacks=[Stop()] if len(asked) == stop_at else [], **options)

    monkeypatch.setattr(_tuning, "fine_tune", watched)
    return asked


@pytest.fixture
def few_stripes(stripes):
    from tlteach import recipe

    return recipe.read_splits(stripes / "learn", labels=24)[0]


def test_ctrl_c_ends_all_phases_and_is_told(few_stripes, monkeypatch):
    from tlteach import recipe

    asked = watch_tuning(monkeypatch, stop_at=1)
    fitted = recipe.fit_splits(few_stripes, {"name": "resnet50"}, phases=3)
    assert len(asked) == 1 and fitted.run.interrupted
    assert "nterrupted" in fitted.decision


def kept(runs):
    """Let every phase count as one that helped."""

    def outcome(run, told):
        runs.append(run)
        run.plan["kept epoch"] = 2
        return True, f"Fine-tuned: {told}."

    return outcome


@pytest.mark.parametrize("stop_at", [None, 2])
def test_what_validation_chose_learns_anew_from_all(few_stripes, monkeypatch, stop_at):
    from tlteach import recipe

    asked, runs = watch_tuning(monkeypatch, stop_at), []
    monkeypatch.setattr(recipe, "outcome", kept(runs))
    fitted = recipe.fit_splits(few_stripes, {"name": "vgg16"}, phases=1)
    (first, splits, _), (anew, all_of_them, phases) = asked
    assert all_of_them.train.num_examples == splits.train.num_examples + splits.val.num_examples
    assert [(phase.keep, phase.epochs) for phase in phases] == [("last", 2)]
    assert fitted.model is (first if stop_at else anew) and fitted.run.interrupted == bool(stop_at)
    assert ("learned anew" in fitted.decision) == (not stop_at)
    if stop_at:  # the weights that validation chose are back
        measured = tl.evaluate(fitted.model, splits.val).accuracy
        assert measured == pytest.approx(runs[0].history["val_accuracy"].max())
