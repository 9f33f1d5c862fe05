"""Grading: whatever one notebook does, the others are graded, and it is named."""

import os
import sys

import nbformat
import psutil
import pytest
from typer.testing import CliRunner

from tlteach import grading
from tlteach._fence import changed_paths
from tlteach._processes import Watched
from tlteach._submissions import parse
from tlteach.cli import app
from tlteach.grading import Limits, grade_folder

SHOW = """
from IPython.display import display
def check(exercise, status, message=""):
    data = {"exercise": exercise, "status": status, "message": message}
    display({"application/vnd.tlteach.check+json": data, "text/plain": status}, raw=True)
"""
GOOD = [SHOW, "check('01.1', 'wrong')", "check('01.1', 'passed')", "check('01.2', 'open')"]


def notebook(path, cells, **metadata):
    node = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(each) for each in cells], metadata=metadata)
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(node, path)


STAYS = f"import time; time.sleep(600)  # {os.getpid()}"  # told from what other runs may have left


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    """A folder in which nearly everything goes wrong, graded once."""
    folder, out = tmp_path_factory.mktemp("submissions"), tmp_path_factory.mktemp("grades")
    secret = tmp_path_factory.mktemp("elsewhere") / "file.txt"
    daemon = "import subprocess, sys\n"
    daemon += f"subprocess.Popen([sys.executable, '-c', {STAYS!r}], start_new_session=True)\n"
    made = {
        "ann/01_first.ipynb": [*GOOD, "1 / 0", "check('01.3', 'passed')"],
        "bob/01_loop.ipynb": [*GOOD, daemon + "while True: pass", "check('01.3', 'passed')"],
        "cem/01_exit.ipynb": [*GOOD, "import os; os._exit(1)", "check('01.3', 'passed')"],
        "dan/01_elsewhere.ipynb": [f"open({str(secret)!r}, 'w')", *GOOD],
        "eve/01_flood.ipynb": ["for i in range(30_000): print('x' * 1000)", "print('\\udce4', b'\\xff')", *GOOD],
        "fay/01_forged.ipynb": [SHOW.replace("check(", "show("), "show('01.1', 'passed')"],
        "<b>hal&/01_x.ipynb": ["input()", "import sys; sys.exit()", *GOOD],
        "zoe/01_x.ipynb": GOOD,
    }
    for name, cells in made.items():
        notebook(folder / name, cells)
    notebook(folder / "ina/01_r.ipynb", GOOD, kernelspec={"name": "ir", "display_name": "R", "language": "R"})
    notebook(folder / "kim/01_other.ipynb", GOOD, kernelspec={"name": "myenv", "display_name": "my environment"})
    bad = {
        "not_json": b"{",
        "empty": b"",
        "latin": '{"a": "\xe4"}'.encode("latin-1"),
        "list": b"[]",
        "old": b'{"nbformat": 9}',
    }
    for name, data in bad.items():
        (folder / f"{name}.ipynb").write_bytes(data)
    os.symlink(folder / "nowhere", folder / "missing.ipynb")
    (folder / "folder.ipynb").mkdir()
    before = {path: path.read_bytes() for path in folder.rglob("*.ipynb") if path.is_file()}
    table = grade_folder(folder, out, limits=Limits(seconds=20, memory=4), jobs=3)
    return {"folder": folder, "out": out, "table": table.set_index("notebook"), "secret": secret, "before": before}


def remark(graded, name):
    return graded["table"].loc[name, "remark"]


def test_every_notebook_has_a_row_and_the_last_output_counts(graded):
    table = graded["table"]
    assert len(table) == 17
    row = table.loc["zoe/01_x.ipynb"]
    assert (row["learner"], row["lesson"], row["01.1"], row["01.2"], row["passed"], row["remark"]) == (
        "zoe", "01", "passed", "open", 1, "",
    )  # fmt: skip
    assert table.loc["kim/01_other.ipynb", "remark"] == ""


def test_an_error_does_not_end_a_notebook(graded):
    row = graded["table"].loc["ann/01_first.ipynb"]
    assert row["01.3"] == "passed" and row["passed"] == 2
    assert row["remark"] == "an error in cell 5: ZeroDivisionError: division by zero"


def test_an_endless_loop_is_ended_with_all_it_started_and_what_passed_before_counts(graded):
    row = graded["table"].loc["bob/01_loop.ipynb"]
    assert (
        row["remark"] == "was ended after 20 seconds, in cell 5"
        and (row["passed"], row["of"]) == (1, 5)
        and row["01.3"] == ""
    )
    for process in psutil.process_iter(["cmdline"]):
        assert STAYS not in (process.info["cmdline"] or [])


def test_a_crash_is_named(graded):
    row = graded["table"].loc["cem/01_exit.ipynb"]
    assert row["remark"].startswith("ended its own process") and row["remark"].endswith("in cell 5")
    assert row["passed"] == 1


def test_writing_elsewhere_is_refused_and_named(graded):
    assert f"tried to write elsewhere, refused: {graded['secret']}" in remark(graded, "dan/01_elsewhere.ipynb")
    assert not graded["secret"].exists() and graded["table"].loc["dan/01_elsewhere.ipynb", "passed"] == 1


def test_a_flood_of_output_and_odd_characters_do_no_harm(graded):
    assert graded["table"].loc["eve/01_flood.ipynb", "passed"] == 1


def test_a_result_that_no_check_gave_is_not_counted(graded):
    row = graded["table"].loc["fay/01_forged.ipynb"]
    assert row["passed"] == 0 and row["remark"] == "displays a result that no check gave, not counted: 01.1"


def test_the_submissions_are_as_they_were(graded):
    after = {path: path.read_bytes() for path in graded["folder"].rglob("*.ipynb") if path.is_file()}
    assert after == graded["before"]


def test_what_another_program_changes_is_named_and_put_back(tmp_path):
    folder = tmp_path / "in"
    rude = [f"import subprocess\nsubprocess.run(['touch', {str(folder / 'planted')!r}])"]
    rude += [f"import subprocess\nsubprocess.run(['cp', '/dev/null', {str(folder / 'zoe.ipynb')!r}])"]
    notebook(folder / "gil.ipynb", [*rude, *GOOD])
    notebook(folder / "zoe.ipynb", GOOD)
    before = (folder / "zoe.ipynb").read_bytes()
    table = grade_folder(folder, tmp_path / "out").set_index("notebook")
    assert table.loc["gil.ipynb", "remark"] == "it changed files of the folder: planted, zoe.ipynb"
    assert (folder / "zoe.ipynb").read_bytes() == before and table.loc["zoe.ipynb", "passed"] == 1


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("not_json", "is not JSON"),
        ("empty", "is empty"),
        ("latin", "is not UTF-8 text"),
        ("list", "is JSON, and no notebook"),
        ("old", "is not a notebook that can be read"),
        ("missing", "is missing: the name leads nowhere"),
        ("folder", "is no file"),
        ("ina/01_r", "is for another kernel: R, and not Python"),
    ],
)
def test_what_is_no_notebook_is_named(graded, name, sentence):
    assert remark(graded, f"{name}.ipynb").startswith(sentence)


def test_the_page_shows_names_as_text(graded):
    page = (graded["out"] / "grades.html").read_text(encoding="utf-8")
    assert "&lt;b&gt;hal&amp;" in page and "<b>hal" not in page


def test_the_second_call_runs_nothing_and_says_the_same(graded, monkeypatch):
    monkeypatch.setattr(grading, "Watched", None)  # starting anything would fail
    again = grade_folder(graded["folder"], graded["out"]).set_index("notebook")
    assert again.astype(str).equals(graded["table"].astype(str))


def test_ctrl_c_keeps_what_was_graded_and_leaves_no_process(tmp_path, monkeypatch):
    notebook(tmp_path / "in/a.ipynb", GOOD)
    notebook(tmp_path / "in/b.ipynb", ["while True: pass"])
    real, started = grading._Round._over, []

    def interrupted(self, running):
        if running.submission.path == "b.ipynb":
            started.append(running.watched)
            raise KeyboardInterrupt
        return real(self, running)

    monkeypatch.setattr(grading._Round, "_over", interrupted)
    done = CliRunner().invoke(app, ["grade", str(tmp_path / "in"), "--out", str(tmp_path / "out")])
    assert done.exit_code == 130 and "what was graded is kept" in done.output
    assert (tmp_path / "out/grades.csv").read_text().splitlines()[1].startswith("a,01,a.ipynb,passed,open,1,5,")
    assert started[0].ended() and list(started[0]._family()) == []


def test_too_much_memory_is_ended(tmp_path):
    notebook(tmp_path / "in/a.ipynb", ["kept = b'x' * 600_000_000\nimport time; time.sleep(60)"])
    table = grade_folder(tmp_path / "in", tmp_path / "out", limits=Limits(60, 0.5))
    assert table["remark"][0] == "was ended when it held more than 0.5 GB of memory, in cell 1"


def test_a_process_that_leaves_its_parent_is_ended_too(tmp_path):
    away = "import os, time\nif os.fork() == 0:\n    os.setsid()\n"
    away += "    if os.fork() == 0:\n        time.sleep(600)\n    os._exit(0)"
    with open(tmp_path / "out", "wb") as output:
        watched = Watched([sys.executable, "-c", away], dict(os.environ), folder=tmp_path, output=output)
    watched.process.wait(20)
    assert watched.ended() and watched.memory() == 0
    family = list(watched._family())
    watched.end()
    assert len(family) == 1 and list(watched._family()) == []
    assert not family[0].is_running() or family[0].status() == psutil.STATUS_ZOMBIE


def test_names_that_a_spreadsheet_would_run_are_text(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "=1+1.ipynb").write_text("{")
    grade_folder(tmp_path / "in", tmp_path / "out")
    row = (tmp_path / "out/grades.csv").read_text().splitlines()[1]
    assert row.startswith("'=1+1,,'=1+1.ipynb,")
    assert list(grade_folder(tmp_path / "in", tmp_path / "out")["learner"]) == ["=1+1"]


def test_a_folder_without_notebooks_or_none_at_all(tmp_path):
    for place, sentence in ((tmp_path, "needs a folder with notebooks"), (tmp_path / "x", "needs an existing folder")):
        done = CliRunner().invoke(app, ["grade", str(place), "--out", str(tmp_path / "out")])
        assert done.exit_code == 1 and sentence in done.output and not (tmp_path / "out").exists()


def test_grades_of_another_program_are_not_overwritten(tmp_path):
    (tmp_path / "grades.csv").write_text("mine\n")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.ipynb").write_text("{")
    with pytest.raises(ValueError, match="grades.csv must be one that this version of tlteach grade wrote"):
        grade_folder(tmp_path / "in", tmp_path)
    assert (tmp_path / "grades.csv").read_text() == "mine\n"


def test_tags_do_not_keep_a_cell_from_being_run():
    node = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1", metadata={"tags": ["skip-execution"]})])
    assert "tags" not in parse(nbformat.writes(node).encode())[0].cells[0].metadata


@pytest.mark.parametrize(
    ("event", "args", "paths"),
    [
        ("open", ("a", "r", os.O_RDONLY), []),
        ("open", ("a", "a", os.O_WRONLY | os.O_APPEND), ["a"]),
        ("open", (3, "w", os.O_WRONLY), []),
        ("open", ("a", None, os.O_RDWR), ["a"]),
        ("os.rename", ("a", "b", -1, -1), ["a", "b"]),
        ("os.remove", ("a", 7), []),
        ("import", ("os", None, None, None, None), []),
    ],
)
def test_the_fence_knows_what_is_a_change(event, args, paths):
    assert changed_paths(event, args) == paths
