"""Exercises: every right answer passes, every mistake has its sentence, and nothing is ever raised at a learner."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT

import tlteach as tl
from tlteach._exercises import exercises_of, lessons_with_exercises
from tlteach.checking import MIME
from tlteach.notebooks import is_exercise, read_light, read_solutions, read_source

SOURCES = sorted((ROOT / "lessons" / "source").glob("*.py"))
HELD = [source for source in SOURCES if source.stem[:2] in lessons_with_exercises()]
EXERCISES = {n: each for lesson in lessons_with_exercises() for n, each in exercises_of(lesson).items()}


class Hostile:
    """Raises whatever is asked of it."""

    def _refuse(self, *_, **__):
        raise RuntimeError("no")

    __eq__ = __array__ = __len__ = __iter__ = __repr__ = __str__ = __float__ = __getattr__ = __call__ = _refuse
    __hash__ = None


STRANGE = [
    None, ..., "", "?", float("nan"), float("inf"), [], {}, set(), object(), lambda: 1, lambda *_: ...,
    lambda *_: 1 / 0, print, "x" * 100_000, "1.2.3", b"conv5", True, 10**400, 1j, -1, [[], [1]], [..., 1],
    {"a": ...}, {1: {2: 3}}, range(3), pd.DataFrame(), pd.DataFrame({"a": [1, 2], "b": ["x", "y"]}),
    pd.Series([1.0, 2.0]), np.array(["a"]), np.zeros((0, 3)), np.ones((2, 2, 2)), np.datetime64("2024-01-01"),
    Hostile(), [Hostile()], Hostile, int, tl, Exception("x"), {"seeds": Hostile()}, iter([1]),
]  # fmt: skip


@pytest.mark.parametrize("number", EXERCISES)
def test_right_answers_pass(number):
    exercise = EXERCISES[number]
    assert len(exercise.accepts) >= 3
    for answer in exercise.accepts:
        outcome = tl.check(number, answer)
        assert outcome.passed, (answer, outcome)
        assert outcome.message == exercise.note


@pytest.mark.parametrize("number", EXERCISES)
def test_each_mistake_is_answered_by_its_own_sentence(number):
    exercise = EXERCISES[number]
    assert len(exercise.mistakes) >= 3 and len({mistake.why for mistake in exercise.mistakes}) == len(exercise.mistakes)
    for mistake in exercise.mistakes:
        assert mistake.examples
        for answer in mistake.examples:
            outcome = tl.check(number, answer)
            assert (outcome.status, outcome.message) == ("wrong", mistake.why), answer


@pytest.mark.parametrize("number", EXERCISES)
def test_whatever_is_given_the_answer_is_a_sentence(number):
    for answer in STRANGE:
        outcome = tl.check(number, answer)
        assert outcome.status in ("wrong", "open") and outcome.message.rstrip().endswith((".", "?"))
        assert len(outcome.message) < 500 and "Traceback" not in outcome.message
        assert number in repr(outcome) and number in outcome._repr_html_()


@pytest.mark.parametrize("number", EXERCISES)
def test_gaps_are_open_and_hints_are_there(number):
    for gap in (..., None, "", "...", [...], {"a": ...}):
        assert tl.check(number, gap).status == "open"
    assert "Put your answer in place of" in tl.check(number, ...).message
    assert EXERCISES[number].otherwise.endswith((".", "?")) and len(EXERCISES[number].hints) >= 2
    texts = [str(tl.hint(number, which)) for which in range(1, len(EXERCISES[number].hints) + 1)]
    assert len(set(texts)) == len(texts) and texts[0].startswith("Hint 1 of")


def run(code, names):
    """Run a cell, and return the value of its last line, as a notebook does."""
    import ast

    tree = ast.parse(code)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "<cell>", "exec"), names)
    return eval(compile(ast.Expression(last.value), "<cell>", "eval"), names) if last else None


@pytest.mark.parametrize("source", HELD, ids=lambda p: p.stem)
def test_every_gap_is_open_and_every_solution_passes(source, tmp_path, monkeypatch):
    import matplotlib

    matplotlib.use("Agg")
    monkeypatch.chdir(tmp_path)
    names, found = {}, []
    for cell in read_light(source).cells:
        if cell.cell_type == "code" and "tl.quiz(" not in cell.source:
            value = run(cell.source, names)
            found += [value] if is_exercise(cell) else []
    assert [outcome.number for outcome in found[::2]] == [outcome.number for outcome in found[1::2]]
    assert [outcome.number for outcome in found[1::2]] == list(exercises_of(source.stem[:2]))
    assert {outcome.status for outcome in found[::2]} == {"open"}
    assert [outcome for outcome in found[1::2] if not outcome.passed] == []


@pytest.mark.parametrize("source", HELD, ids=lambda p: p.stem)
def test_each_lesson_has_three_to_five_exercises_and_no_solution_is_left_in_the_learners(source):
    made, solved = read_source(source), read_solutions(source)
    assert 3 <= sum(map(is_exercise, made.cells)) <= 5 and len(made.cells) == len(solved.cells)
    for cell, other in zip(made.cells, solved.cells, strict=True):
        assert "# solution" not in cell.source + other.source and "# end" not in cell.source + other.source
        assert is_exercise(cell) == is_exercise(other) == (cell.source != other.source) or "made" in cell.metadata.tags
        if is_exercise(cell):
            assert "..." in cell.source and "= ...\n" not in other.source


@pytest.mark.parametrize(("folder", "status"), [("lessons", "open"), ("lessons/solutions", "passed")])
@pytest.mark.parametrize("source", HELD, ids=lambda p: p.stem)
def test_what_the_notebooks_show(source, folder, status):
    import nbformat

    notebook = nbformat.read(ROOT / folder / f"{source.stem}.ipynb", as_version=4)
    kept = [
        output.data[MIME]
        for c in notebook.cells
        if is_exercise(c)
        for output in c.outputs
        if MIME in output.get("data", {})
    ]
    assert [each["exercise"] for each in kept] == list(exercises_of(source.stem[:2]))
    assert {each["status"] for each in kept} == {status}


def test_what_a_check_leaves_in_a_notebook():
    bundle = tl.check("01.1", 60)._repr_mimebundle_()
    assert json.loads(json.dumps(bundle[MIME])) == {
        "exercise": "01.1",
        "status": "wrong",
        "message": "60 are all labels that you pay for: a quarter is set aside to choose by, so 45 are learned from.",
    }
    assert bundle["text/plain"].startswith("01.1: Not right. 60 are all labels")
    assert "<b>01.1: Not right.</b>" in bundle["text/html"]


def test_what_a_learner_wrote_is_shown_as_text():
    assert "<script>" not in tl.check("01.1", "<script>alert(1)</script>")._repr_html_()


@pytest.mark.parametrize("number", ["1.1", 1.1, "01.1", " Exercise 01.1 ", "exercise 1.1"])
def test_ways_to_write_a_number(number):
    assert tl.check(number, 80).number == "01.1" and tl.check(number, 80).passed


def test_an_unknown_number_is_a_sentence_with_the_near_ones():
    assert "There is no exercise 01.9. Lesson 01 has 01.1, 01.2" in tl.check("01.9", 1).message
    assert re.search(r"There is no exercise 99.1.*Lessons 01", tl.check("99.1", 1).message)
    assert "The exercise's number must come first" in tl.check().message
    for number in (..., None, [], Hostile(), 1e300, "x" * 10_000, object()):
        assert tl.check(number, 1).status == "open" and str(tl.hint(number))


def test_an_answer_by_name_and_none_at_all():
    assert tl.check("01.1", labels=80).passed
    asked = tl.check("01.1")
    assert asked.status == "open" and asked.message == 'Give your answer too: `tl.check("01.1", answer)`.'


def test_hints_come_one_by_one_and_stay_at_the_last():
    from tlteach import checking

    checking._given.clear()
    first, second, third = (str(tl.hint("01.1")) for _ in range(3))
    assert first.startswith("Hint 1 of 2: ") and second.startswith("Hint 2 of 2: ") and second == third
    assert str(tl.hint("01.1", 7)) == "There are 2 hints for 01.1; ask for one of these."


SEEDS = {"compare at": "same gain", "old probe": "kept", "old task": "test"}
KINDS = [
    ("10.1", "75 per cent", "480 of 640 change hands"),
    ("10.1", "7.5 per cent", "It is too low."),
    ("08.2", "7 of 13", "A number (layers) is asked for"),
    ("08.1", "400", "The right digits, and a hundred times too large."),
    ("11.3", -0.016, "The right digits, and a hundred times too small."),
    ("08.5", SEEDS | {"seeds": range(5)}, "It is a price for a gain"),
    ("08.5", SEEDS | {"seeds": [0]}, "In the lesson seeds differ by points."),
    ("08.5", SEEDS | {"seeds": 4.5}, "In 'seeds': a whole number is asked for. Received: 4.5."),
    ("09.3", "the shrunk H-score, log me, linear probe", "Three are left."),
    ("09.3", "the shrunk H-score or the H-score", "The answer must be one of"),
    ("13.1", "* 1/255", "Received: '* 1/255'."),
    ("10.3", pd.DataFrame({"high": [-0.1, -0.2]}), "The answer must be one of"),
    ("11.2", pd.DataFrame({"feature": [10, 14, 16, 20]}), "That is CORAL with one feature."),
    ("12.5", ["both scanners", "slices", "worst group", 5], "Eight slices of a patient"),
    ("13.4", {"fit", "compile", "train the head"}, "A set has no order: give a list, [...]."),
    ("10.4", lambda shares, gain: 0.75 if max(gain) < 0.05 else 0.33, "it gives 0.33 and should give 0.3333"),
]


@pytest.mark.parametrize(("number", "answer", "said"), KINDS)
def test_kinds_of_answers(number, answer, said):
    assert said in tl.check(number, answer).message
