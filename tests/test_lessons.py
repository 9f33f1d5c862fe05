"""Lessons: source and notebook belong together, a claim can fail, a failing cell is reported."""

from pathlib import Path

import nbformat
import pytest
from typer.testing import CliRunner

import tlteach as tl
from tlteach import lessons
from tlteach.cli import app

LESSONS = Path(__file__).parent.parent / "lessons"
SOURCES = sorted((LESSONS / "source").glob("*.py"))


@pytest.mark.parametrize("source", SOURCES, ids=lambda p: p.stem)
def test_notebook_is_made_from_its_source(source):
    made = nbformat.read(LESSONS / f"{source.stem}.ipynb", as_version=4)
    expected = lessons.read_source(source)
    assert [(c.cell_type, c.source) for c in made.cells] == [(c.cell_type, c.source) for c in expected.cells]


@pytest.mark.parametrize("source", SOURCES, ids=lambda p: p.stem)
def test_notebook_was_run_without_an_error_and_is_small(source):
    path = LESSONS / f"{source.stem}.ipynb"
    codes = [c for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]
    assert all(c.execution_count for c in codes)
    assert not [o for c in codes for o in c.outputs if o.output_type == "error"]
    assert path.stat().st_size < 1_000_000


def test_every_lesson_is_listed_with_title_and_minutes():
    listed = lessons.list_lessons()
    assert [lesson.source for lesson in listed] == SOURCES
    assert all(lesson.title and 1 <= int(lesson.minutes) <= 5 for lesson in listed)


def test_claim_holds_at_its_ends_and_fails_outside():
    assert tl.claim("gain", 0.1, 0.1, 0.2) == "gain: 0.1 (claimed 0.1 to 0.2)"
    with pytest.raises(lessons.ClaimFailed, match="claim does not hold in this run. gain: 0.3"):
        tl.claim("gain", 0.3, 0.1, 0.2)
    with pytest.raises(lessons.ClaimFailed):
        tl.claim("gain", float("nan"), 0.1, 0.2)


def test_unknown_lesson():
    with pytest.raises(ValueError, match=r"lessons must be all, or some of 01.*Received: '99'\.$"):
        lessons.run_lesson("99")
    with pytest.raises(ValueError, match=r"Received: 'medical_mri'\. Did you mean '04_medical_mri'\?$"):
        lessons.numbers_of(["01", "medical_mri"])


def test_lessons_are_named_by_number_by_name_or_all_at_once():
    assert lessons.numbers_of(["13", "1", "01_first_transfer"]) == ["13", "01"]
    assert lessons.numbers_of(["all"]) == [lesson.number for lesson in lessons.list_lessons()]


@pytest.fixture
def broken(tmp_path, monkeypatch):
    source = tmp_path / "01_broken.py"
    source.write_text("# %% [markdown]\n# # 01 Broken\n#\n# 1 minutes\n\n# %%\n1 + 1\n\n# %%\n1 / 0\n\n# %%\n2\n")
    monkeypatch.setattr(lessons, "shipped", lambda *parts: tmp_path)
    return tmp_path


def test_failing_cell_is_named_and_what_ran_is_left(broken):
    with pytest.raises(lessons.LessonFailed, match=r"(?s)ZeroDivisionError.*1 / 0"):
        lessons.run_lesson("01", out=broken / "out")
    left = nbformat.read(broken / "out" / "01_broken.ipynb", as_version=4)
    assert [c.outputs[0].data["text/plain"] for c in left.cells if c.source == "1 + 1"] == ["2"]
    assert (broken / "out" / "01_broken.html").exists()


def test_a_lesson_that_fails_is_told_and_the_others_are_run(broken):
    source = (broken / "01_broken.py").read_text()
    (broken / "02_whole.py").write_text(
        source.replace("01 Broken", "02 Whole").replace("1 / 0", "import tlteach as tl")
    )
    done = CliRunner().invoke(app, ["run", "all", "--out", str(broken / "out")])
    assert done.exit_code == 1 and "02_whole.html" in done.stdout and "01_broken" not in done.stdout
    assert "Error: lesson 01: ZeroDivisionError" in done.stderr
    assert done.stderr.endswith("Error: of the lessons asked for, these failed: 01.\n")


def test_a_place_that_is_no_folder_is_told_before_a_lesson_is_run(broken):
    done = CliRunner().invoke(app, ["run", "01", "--out", str(broken / "01_broken.py")])
    assert done.exit_code == 1 and done.stderr.startswith("Error: out must be a folder, new or old. Received: ")


def test_results_are_kept_only_when_asked_for(tmp_path, monkeypatch):
    import json

    monkeypatch.delenv("TLTEACH_OUT", raising=False)
    monkeypatch.chdir(tmp_path)
    tl.save_results("01_x", [{"accuracy": 0.5}])
    assert not list(tmp_path.iterdir())
    monkeypatch.setenv("TLTEACH_OUT", str(tmp_path))
    tl.save_results("01_x", [{"accuracy": 0.5}], start=0.1)
    kept = json.loads((tmp_path / "01_x.results.json").read_text())
    assert kept["runs"] == [{"accuracy": 0.5}] and kept["start"] == 0.1 and kept["machine"]["cores"]
