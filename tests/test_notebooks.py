"""Notebooks from one source: what is added to each lesson, and what an author is told."""

import subprocess
import sys
import tomllib
from importlib import metadata, util
from types import ModuleType, SimpleNamespace

import nbformat
import pytest
from conftest import ROOT

import tlteach as tl
from tlteach import _assets, notebooks
from tlteach._versions import oldest_allowed

SOURCES = sorted((ROOT / "lessons" / "source").glob("*.py"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
ADDRESS = "https://github.com/tlteach/tlteach"
OPENING = "# %% [markdown]\n# # 01 Short\n#\n# 1 minutes\n\n"
ASKED = "# %% [markdown]\n# ### Exercise 01.1: One\n\n# %%\n"


def made(tmp_path, text, read=notebooks.read_source):
    """The code cells of a source's notebook, without what is added."""
    path = tmp_path / "01_short.py"
    path.write_text(OPENING + text)
    cells = read(path).cells
    return [c.source for c in cells if c.cell_type == "code" and "made" not in c.metadata.get("tags", [])]


def test_the_address_is_that_of_pyproject():
    assert _assets.repository() == PROJECT["urls"]["Repository"] == ADDRESS


def test_a_wheel_knows_the_address_from_its_metadata(tmp_path, monkeypatch):
    from email.message import Message

    found = Message()
    found["Project-URL"] = "Documentation, https://example.org"
    found["Project-URL"] = "Repository, https://example.org/there"
    monkeypatch.setattr(_assets, "_PACKAGE", tmp_path / "site-packages" / "tlteach")
    monkeypatch.setattr(metadata, "metadata", {"tlteach": found}.get)
    assert _assets.repository() == "https://example.org/there"


@pytest.mark.parametrize("source", SOURCES, ids=lambda p: p.stem)
def test_each_lesson_has_badge_set_up_and_versions(source):
    for cells, folder in (
        (notebooks.read_source(source).cells, ""),
        (notebooks.read_solutions(source).cells, "solutions/"),
    ):
        page = f"/tlteach/tlteach/blob/main/lessons/{folder}{source.stem}.ipynb)"
        assert cells[0].source.startswith(f"# {source.stem[:2]} ")
        assert "https://colab.research.google.com/github" + page in cells[1].source
        assert cells[2].source.startswith("# In Colab this installs what is missing") and ADDRESS in cells[2].source
        assert cells[-1].source == "tl.versions()"
    text = source.read_text()
    assert ADDRESS not in text and "colab" not in text.lower() and "tl.versions" not in text and "tl.quiz" not in text


@pytest.mark.parametrize("source", SOURCES, ids=lambda p: p.stem)
def test_solutions_are_made_from_the_same_source(source):
    kept = nbformat.read(ROOT / "lessons" / "solutions" / f"{source.stem}.ipynb", as_version=4)
    expected = notebooks.read_solutions(source)
    assert [(c.cell_type, c.source) for c in kept.cells] == [(c.cell_type, c.source) for c in expected.cells]
    codes = [c for c in kept.cells if c.cell_type == "code"]
    assert all(c.execution_count for c in codes)
    assert not [o for c in codes for o in c.outputs if o.output_type == "error"]


def test_the_quiz_stands_before_the_last_text_of_a_lesson_that_has_one(tmp_path):
    (tmp_path / "source").mkdir()
    (tmp_path / "quizzes").mkdir()
    path = tmp_path / "source" / "01_short.py"
    path.write_text(OPENING + "# %%\n1 + 1\n\n# %% [markdown]\n# ## References\n")
    assert "tl.quiz" not in "".join(c.source for c in notebooks.read_source(path).cells)
    (tmp_path / "quizzes" / "01.toml").touch()
    *_, heading, quiz, references, versions = notebooks.read_source(path).cells
    assert [c.source for c in (heading, quiz, references, versions)] == [
        "## Quiz", 'tl.quiz("01")', "## References", "tl.versions()"
    ]  # fmt: skip


COLAB = {"tensorflow": "2.19.0", "Keras": "3.12.0", "numpy": "2.0.2", "pandas": "2.2.2"}


def colab(source, monkeypatch, tmp_path, *, missing=("tlteach", "keras_hub"), there=COLAB, fault=""):
    """Make this a Colab that has something, and return a lesson's set-up cell and the command lines that it runs."""
    ran, found = [], util.find_spec

    def run(command, **_):
        ran.append(command)
        return SimpleNamespace(returncode=bool(fault), stderr=fault)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "google.colab", ModuleType("google.colab"))
    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(util, "find_spec", lambda name: None if name in missing else found(name))
    installed = [SimpleNamespace(name=name, version=version) for name, version in there.items()]
    monkeypatch.setattr(metadata, "distributions", lambda: installed)
    return notebooks.read_source(source).cells[2].source, ran


def set_up(*given, **more):
    """Run a lesson's set-up cell, and return the command lines that it would have run."""
    cell, ran = colab(*given, **more)
    exec(cell, {})
    return ran


def shown(cell):
    """What a notebook shows of an error in place of its traceback."""
    with pytest.raises(Exception) as caught:
        exec(cell, {})
    (sentence,) = caught.value._render_traceback_()
    return sentence


def test_set_up_in_colab_holds_what_is_there(monkeypatch, tmp_path):
    (command,) = set_up(SOURCES[0], monkeypatch, tmp_path)
    assert command == [
        sys.executable, "-m", "pip", "install", "-q", "-c", "held.txt", f"tlteach @ git+{ADDRESS}"
    ]  # fmt: skip
    assert (tmp_path / "held.txt").read_text().splitlines() == ["keras==3.12.0", "numpy==2.0.2", "tensorflow==2.19.0"]


def test_set_up_where_colab_is_too_old_says_so_before_pip_is_asked(monkeypatch, tmp_path):
    allowed = dict(each.split(">=") for each in PROJECT["dependencies"])
    keras, numpy = f"'keras>={allowed['keras']}'", f"'numpy>={allowed['numpy']}'"
    cell, ran = colab(SOURCES[0], monkeypatch, tmp_path, there={**COLAB, "Keras": "3.10.0", "numpy": "1.9.3"})
    assert shown(cell) == (
        f"tlteach needs {keras} {numpy}. This runtime has keras 3.10.0, numpy 1.9.3. "
        f"Run `%pip install -U {keras} {numpy}`, choose Runtime > Restart session, and run this cell again."
    )
    assert not ran and not list(tmp_path.iterdir())


def test_set_up_without_a_network_shows_what_pip_says_and_a_sentence(monkeypatch, tmp_path, capsys):
    cell, ran = colab(SOURCES[0], monkeypatch, tmp_path, fault="fatal: Could not resolve host")
    assert shown(cell) == (
        f"tlteach is fetched from {ADDRESS}. pip could not install it, and says why above. "
        "Look whether there is a network, and run this cell again."
    )
    assert len(ran) == 1 and capsys.readouterr().out == "fatal: Could not resolve host\n"


def test_a_wheel_knows_from_its_metadata_what_is_needed(tmp_path, monkeypatch):
    monkeypatch.setattr(_assets, "_PACKAGE", tmp_path / "site-packages" / "tlteach")
    monkeypatch.setattr(metadata, "requires", {"tlteach": ["keras>=3.12", "h5py>=3.10; extra == 'full'"]}.get)
    assert oldest_allowed(["keras"]) == {"keras": "3.12"}


def test_set_up_for_texts_brings_the_extra(monkeypatch, tmp_path):
    (text,) = [source for source in SOURCES if source.stem.startswith("06")]
    assert set_up(text, monkeypatch, tmp_path, missing=("keras_hub",))[0][-1] == f"tlteach[text] @ git+{ADDRESS}"


def test_set_up_does_nothing_where_nothing_is_missing(monkeypatch, tmp_path):
    assert set_up(SOURCES[0], monkeypatch, tmp_path, missing=()) == []
    assert not list(tmp_path.iterdir())


def test_set_up_does_nothing_outside_colab(monkeypatch, tmp_path):
    cell, ran = colab(SOURCES[0], monkeypatch, tmp_path)
    monkeypatch.delitem(sys.modules, "google.colab")
    exec(cell, {})
    assert not ran and not list(tmp_path.iterdir())


def test_a_gap_has_the_names_that_the_check_takes_and_the_hint(tmp_path):
    text = ASKED + "x = 1\n# solution: the sum\ny = 2\nanswer = x + y\n# end\n" + 'tl.check("01.1", answer)\n'
    assert made(tmp_path, text) == ['x = 1\n# the sum\nanswer = ...\ntl.check("01.1", answer)']
    solved = made(tmp_path, text, notebooks.read_solutions)
    assert solved == ['x = 1\n# the sum\ny = 2\nanswer = x + y\ntl.check("01.1", answer)']


def test_the_gap_of_a_function_and_of_a_name_within_a_block(tmp_path):
    text = ASKED + "# solution\ndef f(a, *, b=2):\n    return a\n# end\n\n\n" + 'tl.check("01.1", f)\n'
    assert made(tmp_path, text)[0].startswith("def f(a, *, b=2):\n    return ...\n")
    text = ASKED + "# solution\nfor i in range(3):\n    best = i\n# end\n" + 'tl.check("01.1", best)\n'
    assert made(tmp_path, text) == ['best = ...\ntl.check("01.1", best)']


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (ASKED + '# solution\na = 1\ntl.check("01.1", a)\n', "must stand between '# solution' and '# end'"),
        (ASKED + "# solution\na = 1\n# end\n", "must end in one tl.check"),
        (ASKED + '# solution\na = 1\n# end\ntl.check("01.1", a)\nprint(a)\n', "must end in one tl.check"),
        (ASKED + '# solution\na = 1\n# end\ntl.check("01.2", a)\n', "each exercise must have a cell with its solution"),
        (ASKED + "1\n", "each exercise must have a cell with its solution"),
        (ASKED + '# solution\nprint(1)\n# end\ntl.check("01.1", 1)\n', "a solution must give the check a name"),
    ],
)  # fmt: skip
def test_what_an_author_is_told(tmp_path, text, sentence):
    with pytest.raises(ValueError, match=sentence):
        made(tmp_path, text)


def test_light_cells_are_the_needed_ones_and_each_exercise_twice(tmp_path):
    text = '# %%\nlong()\n\n# %% tags=["needed"]\nx = 1\n\n' + ASKED + '# solution\na = x\n# end\ntl.check("01.1", a)\n'
    light = made(tmp_path, text, notebooks.read_light)
    assert light == ["x = 1", 'a = ...\ntl.check("01.1", a)', 'a = x\ntl.check("01.1", a)']


def test_versions_say_what_ran(monkeypatch):
    found = tl.versions()
    assert list(found.index) == ["tlteach", "Python", "Keras", "backend", "NumPy", "size", "machine"]
    assert found["tlteach"] == tl.__version__ and all(found) and "cores" in found["machine"]
    monkeypatch.setenv("TLTEACH_SIZE", "full")
    assert tl.versions()["size"] == "full"
