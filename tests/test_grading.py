"""Grading: whatever one notebook does, the others are graded, and it is named."""

import os
import re
import subprocess
import sys

import nbformat
import psutil
import pytest
from conftest import ROOT
from typer.testing import CliRunner

from tlteach import _untouched, grading
from tlteach._assets import shipped
from tlteach._exercises import exercises_of
from tlteach._fence import changed_paths
from tlteach._grades import write_grades
from tlteach._landlock import landlock_version
from tlteach._marks import MEANT, checks_in, exercises_by_cell, marks
from tlteach._processes import Watched
from tlteach._submissions import Submission, parse
from tlteach._untouched import without_untouched
from tlteach.cli import app
from tlteach.grading import Limits, grade_folder
from tlteach.notebooks import is_exercise, read_solutions, read_source

GOOD = ["import tlteach as tl", "tl.check('01.1', 10)", "tl.check('01.1', 80)", "tl.check('01.2', ...)"]
THIRD = "tl.check('01.3', {'start': 12, 'slope': 10, 'asymptote': 2})"
HEADED = [  # as in a lesson, with cells of the learner's own between
    "### Exercise 01.1: first",
    "import tlteach as tl\ntl.check('01.1', 80)",
    "### Exercise 01.2: second",
    "mine = 1",
    "#### my notes",
    "tl.check('01.2', nothing)",
    "### Exercise 01.3: third",
    "1 / 0",
    "# tl.check('01.3', 1)",
    "## Quiz",
    "tl.nothing",
]
BY_HAND = """
from IPython.display import display  # check(
data = {"exercise": "01.1", "status": "passed", "message": ""}
display({"application/vnd.tlteach.check+json": data, "text/plain": "01.1: Right."}, raw=True)
"""
SHAPES = {  # of each exercise, the cells in which an honest learner may call its check
    "01.1": ["tl.check('01.1', 80)"],
    "01.2": ["print(tl.check('01.2', 443010))"],
    "01.4": ["tl.check('01.4', [40, 160]);"],
    "02.1": ["tl.check('02.1', 256)\nprint('done')"],
    "02.2": ["r = tl.check('02.2', 'b, c, e')", "r"],
    "02.3": ["said = tl.check('02.3', 'block4')"],
    "02.4": ["if True:\n    tl.check('02.4', -9.0)"],
    "03.1": ["for answer in (20, 21, 22):\n    tl.check('03.1', answer)"],
    "04.1": ["def mine():\n    return tl.check('04.1', 'p117')", "mine()"],
    "04.2": ["try:\n    tl.check('04.2', 0.45)\n    1 / 0\nexcept ArithmeticError:\n    pass"],
    "05.1": ["from IPython.display import display", "display(tl.check('05.1', 1200))"],
    "05.2": ["from tlteach import check as c", "c('05.2', 'no average, mean over pitch')"],
    "05.3": ["%%time\nsaid = tl.check(number='5.3', answer=46).passed"],
    "05.4": ["assert tl.check('05.4', [4.0, 6.0]).passed"],
}


def node_of(cells, **metadata):
    """A notebook of code cells, and of headings."""
    kinds = (nbformat.v4.new_markdown_cell if each.startswith("##") else nbformat.v4.new_code_cell for each in cells)
    return nbformat.v4.new_notebook(
        cells=[new(each) for new, each in zip(kinds, cells, strict=True)], metadata=metadata
    )


def notebook(path, cells, **metadata):
    node = node_of(cells, **metadata)
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(node, path)


STAYS = f"import time; time.sleep(600)  # {os.getpid()}"  # told from what other runs may have left


def programs(folder):
    """Cells that write beside what Python opens, each a file of its own; and two that may do what they do."""
    starts = f"import os, subprocess\nos.system('touch {folder}/2')\nsubprocess.run(['touch', '{folder}/3'])"
    return [
        f"!echo x > {folder}/1",
        starts,
        f"import sqlite3\nsqlite3.connect('{folder}/4').execute('create table a(b)')",
        f"import h5py\nh5py.File('{folder}/5', 'w')",
        f"import ctypes\nctypes.CDLL(None).creat(b'{folder}/6', 0o600)",
        "import sqlite3\nsqlite3.connect(':memory:').execute('create table a(b)')",
        "import tempfile, h5py\nopen('own', 'w').close()\nh5py.File(tempfile.mkdtemp() + '/own', 'w').close()",
        *GOOD,
    ]


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    """A folder in which nearly everything goes wrong, graded once."""
    folder, out = tmp_path_factory.mktemp("submissions"), tmp_path_factory.mktemp("grades")
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    secret = elsewhere / "file.txt"
    daemon = "import subprocess, sys\n"
    daemon += f"subprocess.Popen([sys.executable, '-c', {STAYS!r}], start_new_session=True)\n"
    made = {
        "ann/01_first.ipynb": [*GOOD, "1 / 0", THIRD],
        "bob/01_loop.ipynb": [*GOOD, daemon + "while True: pass", THIRD],
        "cem/01_exit.ipynb": [*GOOD, "import os; os._exit(1)", THIRD],
        "dan/01_elsewhere.ipynb": [f"open({str(secret)!r}, 'w')", *GOOD],
        "eve/01_flood.ipynb": ["for i in range(30_000): print('x' * 1000)", "print('\\udce4', b'\\xff')", *GOOD],
        "fay/01_forged.ipynb": [BY_HAND, "import sys; sys.audit('tlteach.check', '01.2', 'passed')"],
        "gus/programs.ipynb": programs(elsewhere),
        "lea/unknown.ipynb": ["import tlteach as tl", "tl.check('01.9', 1)", "tl.check('nothing', 1)"],
        "mia/01_words.ipynb": HEADED,
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
    table = grade_folder(folder, out, limits=Limits(seconds=25, memory=4), jobs=3)
    return {
        "folder": folder,
        "out": out,
        "table": table.set_index("notebook"),
        "elsewhere": elsewhere,
        "before": before,
    }


def remark(graded, name):
    return graded["table"].loc[name, "remark"]


def test_every_notebook_has_a_row_and_the_last_check_counts(graded):
    table = graded["table"]
    assert len(table) == 20
    row = table.loc["zoe/01_x.ipynb"]
    assert (row["learner"], row["lesson"], row["01.1"], row["01.2"], row["passed"], row["remark"]) == (
        "zoe", "01", "passed", "open", 1, "",
    )  # fmt: skip
    assert table.loc["kim/01_other.ipynb", "remark"] == ""


def words(row):
    return [row[name] for name in exercises_of("01")]


def test_each_exercise_of_the_lesson_has_a_word(graded):
    table = graded["table"]
    row = table.loc["mia/01_words.ipynb"]
    assert words(row) == ["passed", "error", "missing", "missing", "missing"] and (row["passed"], row["of"]) == (1, 5)
    assert (
        row["remark"] == "3 cells with an error, first cell 6, exercise 01.2: NameError: name 'nothing' is not defined"
    )
    assert words(table.loc["bob/01_loop.ipynb"]) == ["passed", "open", *["not reached"] * 3]
    assert words(table.loc["cem/01_exit.ipynb"]) == ["passed", "open", *["not reached"] * 3]
    assert words(table.loc["ina/01_r.ipynb"]) == ["not run"] * 5 and table.loc["ina/01_r.ipynb", "of"] == 5
    assert words(table.loc["not_json.ipynb"]) == [""] * 5 and table.loc["not_json.ipynb", "of"] == 0
    known = table[table["lesson"] == "01"]
    assert len(known) > 9 and {word for _, row in known.iterrows() for word in words(row)} <= {*MEANT}


def test_what_a_check_said_stands_whatever_its_cell_raises_later():
    assert marks(["01"], {"01.1": "passed"}, raised=["01.1", "01.2"], ended=True) == {
        "01.1": "passed", "01.2": "error", "01.3": "not reached", "01.4": "not reached", "01.5": "not reached",
    }  # fmt: skip
    assert marks([""]) == {} and {*marks(["02"], {}).values()} == {"missing"}


@pytest.mark.parametrize(
    ("source", "numbers"),
    [
        ("tl.check('01.1', 80)", ["01.1"]),
        ("said = tl.check(number='5.3', answer=46)", ["05.3"]),
        ("check(\n    1.2,\n    answer,\n)", ["01.2"]),
        ("tl.check('01.2', a); tl.check('01.1', b)", ["01.2", "01.1"]),
        ("%%time\ntl.check('01.1', 80", ["01.1"]),
        ("# tl.check('01.1', 80)", []),
        ("tl.check('01.9', 80)", []),
        ("check(0.5)\nrecheck('01.1')", []),
        ("check(\na = {'exercise': '01.1'}", []),
    ],
)
def test_which_exercises_a_cell_checks(source, numbers):
    assert checks_in(source) == numbers


def test_which_exercise_a_cell_belongs_to():
    found = exercises_by_cell(node_of(HEADED))
    assert found == {2: ["01.1"], 4: ["01.2"], 6: ["01.2"], 8: ["01.3"], 9: ["01.3"], 11: []}
    assert exercises_by_cell(node_of(["### Exercise 01.1: a", "tl.check('01.2', 1)"])) == {2: ["01.2"]}
    assert exercises_by_cell(node_of(["## Exercises\n\n### Exercise 01.1: a", "1"])) == {2: ["01.1"]}
    lesson = read_source(shipped("lessons", "04_medical_mri.py"))
    found = {place: names for place, names in exercises_by_cell(lesson).items() if names}
    assert list(found.values()) == [[name] for name in exercises_of("04")]
    assert all(is_exercise(lesson.cells[place - 1]) for place in found)


def test_an_error_does_not_end_a_notebook(graded):
    row = graded["table"].loc["ann/01_first.ipynb"]
    assert row["01.3"] == "passed" and row["passed"] == 2
    assert row["remark"] == "an error in cell 5: ZeroDivisionError: division by zero"


def test_an_endless_loop_is_ended_with_all_it_started_and_what_passed_before_counts(graded):
    row = graded["table"].loc["bob/01_loop.ipynb"]
    assert (
        row["remark"].startswith("was ended after 25 seconds, in cell 5; started another program: ")
        and (row["passed"], row["of"]) == (1, 5)
        and row["01.3"] == "not reached"
    )
    for process in psutil.process_iter(["cmdline"]):
        assert STAYS not in (process.info["cmdline"] or [])


def test_a_crash_is_named(graded):
    row = graded["table"].loc["cem/01_exit.ipynb"]
    assert row["remark"].startswith("ended its own process") and row["remark"].endswith("in cell 5")
    assert row["passed"] == 1


def test_writing_elsewhere_is_refused_and_named(graded):
    secret = graded["elsewhere"] / "file.txt"
    assert f"tried to write elsewhere, refused: {secret}" in remark(graded, "dan/01_elsewhere.ipynb")
    assert not secret.exists() and graded["table"].loc["dan/01_elsewhere.ipynb", "passed"] == 1


def test_a_flood_of_output_and_odd_characters_do_no_harm(graded):
    assert graded["table"].loc["eve/01_flood.ipynb", "passed"] == 1


def test_programs_and_libraries_do_not_write_elsewhere_and_programs_are_named(graded):
    told = remark(graded, "gus/programs.ipynb")
    assert "started another program: get_ipython().system('echo x > " in told and "touch " in told
    assert f"refused: {graded['elsewhere'] / '4'}" in told
    if landlock_version():
        assert not list(graded["elsewhere"].iterdir())
        assert told.startswith("2 cells with an error, first cell 3: PermissionError")  # sqlite3 and h5py
    assert graded["table"].loc["gus/programs.ipynb", "passed"] == 1


@pytest.mark.skipif(not landlock_version(), reason="this system has no Landlock")
def test_the_system_refuses_writes_elsewhere_to_other_programs_too(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "kept").write_text("kept")
    program = "import os, subprocess; from tlteach._landlock import write_only_in\nassert write_only_in('in')\n"
    program += "open('in/a', 'w').close(); os.rename('in/a', 'in/b'); open('kept').close()\n"
    for command in ("touch in/c", "touch x", "rm kept", "mv kept in/d", "mkdir y", "truncate -s 0 kept", "ln in/b z"):
        program += f"print(subprocess.run({command.split()}).returncode > 0, flush=True)\n"
    how = {"cwd": tmp_path, "env": {**os.environ, "PYTHONPATH": str(ROOT)}, "capture_output": True, "text": True}
    done = subprocess.run([sys.executable, "-c", program], **how)
    assert done.stdout.split() == ["False", *["True"] * 6], done.stderr
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["b", "c", "in", "kept"]
    assert (tmp_path / "kept").read_text() == "kept"


def test_a_result_that_no_check_gave_is_not_counted(graded):
    row = graded["table"].loc["fay/01_forged.ipynb"]
    assert row["passed"] == 0 and row["remark"] == "displays a result that no check gave, not counted: 01.1"


def test_a_check_counts_whatever_the_cell_makes_of_what_it_gives(tmp_path):
    cells = ["import tlteach as tl", *(cell for cells in SHAPES.values() for cell in cells)]
    notebook(tmp_path / "in/shapes.ipynb", cells)
    row = grade_folder(tmp_path / "in", tmp_path / "out").iloc[0]  # with its own time: the checks import Keras
    assert {exercise: row[exercise] for exercise in SHAPES} == dict.fromkeys(SHAPES, "passed")
    assert (row["passed"], row["lesson"], row["remark"]) == (len(SHAPES), "01 02 03 04 05", "")


def test_an_exercise_that_is_not_there_is_no_column(graded):
    assert not {"01.9", "nothing"} & set(graded["table"].columns) and remark(graded, "lea/unknown.ipynb") == ""


def test_the_submissions_are_as_they_were(graded):
    after = {path: path.read_bytes() for path in graded["folder"].rglob("*.ipynb") if path.is_file()}
    assert after == graded["before"]


def test_what_was_changed_meanwhile_is_named_and_put_back(tmp_path, monkeypatch):
    folder, real = tmp_path / "in", grading._Round._start

    def rude(self, submission):
        if submission.path == "gil.ipynb":
            (folder / "planted").touch()
            (folder / "zoe.ipynb").write_text("")
        return real(self, submission)

    monkeypatch.setattr(grading._Round, "_start", rude)
    notebook(folder / "gil.ipynb", GOOD)
    notebook(folder / "zoe.ipynb", GOOD)
    before = (folder / "zoe.ipynb").read_bytes()
    table = grade_folder(folder, tmp_path / "out").set_index("notebook")
    assert table.loc["gil.ipynb", "remark"] == "it changed files of the folder: planted, zoe.ipynb"
    assert (folder / "zoe.ipynb").read_bytes() == before and table.loc["zoe.ipynb", "passed"] == 1


def test_a_learner_s_lesson_is_graded_by_the_cells_that_its_exercises_need(tmp_path):
    source = shipped("lessons", "04_medical_mri.py")
    nbformat.write(read_solutions(source), tmp_path / "ann_04_medical_mri.ipynb")
    row = grade_folder(tmp_path, tmp_path / "out").iloc[0]
    exercises = {name: row[name] for name in exercises_of("04")}
    assert exercises == dict.fromkeys(exercises, "passed") and (row["passed"], row["of"], row["remark"]) == (5, 5, "")


def test_what_is_as_shipped_and_not_needed_is_left_out_and_nothing_else():
    made, solved = (read(shipped("lessons", "01_first_transfer.py")) for read in (read_source, read_solutions))
    changed = next(cell for cell in solved.cells if cell.source.startswith("plt.") or "tl.evaluate(" in cell.source)
    old = changed.source
    changed.source += "\n# mine"
    other = nbformat.v4.new_code_cell("strategies, pets")  # the second is made by a cell that exercises need
    node, missed = without_untouched(nbformat.v4.new_notebook(cells=[*solved.cells, other]))
    left = [cell.source for cell in node.cells if cell.cell_type == "code" and cell.source]
    answers = [cell.source for cell in solved.cells if is_exercise(cell)]
    assert set(answers) < set(left) and changed.source in left and len(left) < len(made.cells) / 3
    assert old not in left and "strategies" in missed and "pets" not in missed
    assert len(node.cells) == len(solved.cells) + 1  # so that a cell's number in a remark is that of the file
    assert without_untouched(made)[1] == set()  # a gap that nobody filled misses nothing


@pytest.mark.parametrize(
    ("own", "names"),
    [
        ("print(a)", {"a"}),
        ("a = 1", set()),
        ("%time b + c", {"b"}),
        ("def f():\n    return a", {"a"}),
        ("'a'", set()),
        ("tl.check('01.1', a)", {"a"}),
        ("a = 1\ntl.check('01.1', [a + b for b in 'x'])", set()),  # an answer that makes its names itself
    ],
)
def test_what_a_cell_of_the_learner_s_own_misses(monkeypatch, own, names):
    lesson = "for a in 1, 2:\n    b = [c for c in 'x']"
    monkeypatch.setattr(_untouched, "_of_lessons", lambda: ({lesson, "d = 0"}, {lesson}))
    cells = [nbformat.v4.new_code_cell(each) for each in (f"\r\n{lesson}  \n", "d = 0", own)]
    node, missed = without_untouched(nbformat.v4.new_notebook(cells=cells))
    assert [cell.source for cell in node.cells] == ["", "d = 0", own] and missed == names


def test_a_notebook_that_misses_what_was_left_out_is_run_as_a_whole(tmp_path, monkeypatch):
    lesson = {"import tlteach as tl", "a = 0", "a = 80", "b = 80"}
    monkeypatch.setattr(_untouched, "_of_lessons", lambda: (lesson, {"a = 80", "b = 80"}))
    notebook(tmp_path / "in/older.ipynb", ["import tlteach as tl", "a = 0", "a = 80", "tl.check('01.1', a)"])
    notebook(tmp_path / "in/unknown.ipynb", ["import tlteach as tl", "b = 80", "tl.check('01.1', b)"])
    notebook(tmp_path / "in/wrong.ipynb", ["import tlteach as tl", "b = 80", "tl.check('01.1', 0)"])
    started, real = [], grading._Round._start

    def start(self, submission, **how):
        started.append((submission.path, how.get("whole", False)))
        return real(self, submission, **how)

    monkeypatch.setattr(grading._Round, "_start", start)
    table = grade_folder(tmp_path / "in", tmp_path / "out", jobs=3)
    assert list(table["01.1"]) == ["passed", "passed", "wrong"] and set(table["remark"]) == {""}
    assert sorted(started) == [(f"{name}.ipynb", whole) for name, whole in (
        ("older", False), ("older", True), ("unknown", False), ("unknown", True), ("wrong", False),
    )]  # fmt: skip


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


def row_of(learner, lesson, remark="", **results):
    made = marks([lesson], {name.replace("_", "."): word for name, word in results.items()} or None)
    told = {"passed": 1, "of": 5, "seconds": 2.5, "remark": remark, "key": "k" + learner}
    return {"learner": learner, "lesson": lesson, "notebook": f"{learner}/{lesson}_x.ipynb", **made, **told}


def test_a_kept_row_without_a_word_for_each_exercise_is_graded_anew(tmp_path):
    """Earlier versions left a blank where no check had spoken."""
    given = Submission("ann/01_x.ipynb", "ann", "01", b"{}")
    row = row_of("ann", "01", **{"01_1": "passed"})
    assert grading._Grades([given], tmp_path, {given.key: row}).waiting() == []
    assert grading._Grades([given], tmp_path, {given.key: {**row, "lesson": "02"}}).waiting() == [given]
    row.pop("01.4")
    assert grading._Grades([given], tmp_path, {given.key: row}).waiting() == [given]


def test_the_page_shows_marks_before_all_else_and_no_column_of_another_lesson(tmp_path):
    rows = [row_of("ann", "02", **{"02_1": "passed"}), row_of("bob", "01", "why"), row_of("cem", "")]
    write_grades(rows, tmp_path)
    page = (tmp_path / "grades.html").read_text(encoding="utf-8")
    sections = re.findall(r"<h2>([^<]*)</h2>.*?<thead>(.*?)</thead>", page, re.S)
    heads = {title: re.findall(r'<th scope="col">([^<]*)<', head) for title, head in sections}
    last = ["passed", "remark", "seconds", "notebook"]
    assert list(heads.items()) == [
        ("Lesson 01", ["learner", *exercises_of("01"), *last]),
        ("Lesson 02", ["learner", *exercises_of("02"), *last]),
        ("Of no lesson that is known", ["learner", *last]),
    ]
    assert '<th scope="row">ann</th><td class="mark passed">passed</td><td class="mark missing">missing</td>' in page
    assert page.count('<td class="mark not-run">not run</td>') == 5 and '<td class="count">1 of 5</td>' in page
    assert re.findall(r"<dt[^>]*>([^<]*)</dt><dd>", page) == ["passed", "missing", "not run"]  # no word that none got


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
    assert (
        (tmp_path / "out/grades.csv")
        .read_text()
        .splitlines()[1]
        .startswith("a,01,a.ipynb,passed,open,missing,missing,missing,1,5,")
    )
    assert started[0].ended() and list(started[0]._family()) == []


def test_too_much_memory_is_ended(tmp_path):
    heavy = "kept = b'x' * 600_000_000\nimport time; time.sleep(60)"
    notebook(tmp_path / "in/a.ipynb", ["### Exercise 01.4: heavy", heavy])
    table = grade_folder(tmp_path / "in", tmp_path / "out", limits=Limits(60, 0.5))
    assert table["remark"][0] == "was ended when it held more than 0.5 GB of memory, in cell 2, exercise 01.4"
    assert words(table.iloc[0]) == ["not reached"] * 5 and table["lesson"][0] == "01"  # told by the heading


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
        ("sqlite3.connect", ("a",), ["a"]),
        ("sqlite3.connect", (":memory:",), []),
        ("import", ("os", None, None, None, None), []),
    ],
)
def test_the_fence_knows_what_is_a_change(event, args, paths):
    assert changed_paths(event, args) == paths
