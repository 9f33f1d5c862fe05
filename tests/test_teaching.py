"""Teacher's notes: each lesson has them, with the parts that a teacher looks for, and name what is there."""

import re
from pathlib import Path

import pytest

LESSONS = Path(__file__).parent.parent / "lessons"
NOTES = LESSONS / "teaching"
SOURCES = sorted((LESSONS / "source").glob("[0-9]*.py"))
HEADINGS = [
    "Before the lesson",
    "Timing",
    "Plan for 50 minutes",
    "Plan for 90 minutes",
    "Where people get stuck",
    "Discussion",
    "When time is short",
    "Thirty laptops, poor network",
]


def sections(source):
    """The notes of a lesson: a dict from heading to text."""
    _, *parts = re.split(r"^## ", (NOTES / f"{source.stem}.md").read_text(encoding="utf-8"), flags=re.M)
    return dict(part.split("\n", 1) for part in parts)


@pytest.mark.parametrize("source", SOURCES, ids=lambda p: p.stem)
def test_notes_have_every_part_and_the_lessons_title(source):
    assert list(sections(source)) == HEADINGS
    assert all(len(text.split()) >= 20 for text in sections(source).values())
    title = re.search(r"^# # (.+)$", source.read_text(encoding="utf-8"), re.M)[1]
    assert (NOTES / f"{source.stem}.md").read_text(encoding="utf-8").startswith(f"# {title}: teacher's notes\n")


@pytest.mark.parametrize("source", SOURCES, ids=lambda p: p.stem)
@pytest.mark.parametrize("minutes", [50, 90])
def test_a_plan_begins_at_zero_goes_on_and_ends_in_time(source, minutes):
    starts = [int(m) for m in re.findall(r"^\| (\d+) \|", sections(source)[f"Plan for {minutes} minutes"], re.M)]
    assert starts[0] == 0 and starts == sorted(set(starts))
    assert minutes - 15 <= starts[-1] < minutes


@pytest.mark.parametrize("source", SOURCES, ids=lambda p: p.stem)
def test_notes_say_what_was_measured_and_what_was_not(source):
    timing = sections(source)["Timing"]
    assert "two cores" in timing and re.search(r"\| \d+|not timed", timing)
    assert re.search(r"GPU it was\s+not measured", timing)


@pytest.mark.parametrize("source", SOURCES, ids=lambda p: p.stem)
def test_the_exercises_and_code_that_notes_name_are_in_the_lesson(source):
    lesson, notes = source.read_text(encoding="utf-8"), "\n".join(sections(source).values())
    there = set(re.findall(r"### Exercise (\d\d\.\d)", lesson))
    assert (
        set(re.findall(r"\b(\d\d\.\d)\b(?! %)", " ".join(re.findall(r"[Ee]xercises? [^.]*\.\d[^;|]*", notes)))) <= there
    )
    assert not re.findall(r"[Ee]xercise \d(?!\d)", notes), "an exercise is named with its lesson, such as 01.5"
    for code in re.findall(r"`(tl\.\w+)", notes):
        assert code in lesson


@pytest.mark.parametrize(
    "path", [NOTES / "README.md", *sorted((LESSONS / "quizzes").glob("*.toml"))], ids=lambda p: p.stem
)
def test_the_exercises_that_course_and_quizzes_name_are_there(path):
    there = re.findall(r"### Exercise (\d\d\.\d)", "".join(source.read_text(encoding="utf-8") for source in SOURCES))
    named = re.findall(r"[Ee]xercise (\d[\d.]*\d|\d)", path.read_text(encoding="utf-8"))
    assert set(named) <= set(there)


def test_the_course_links_every_lesson():
    course = (NOTES / "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"\((\d\d_\w+)\.md\)", course)) == {path.stem for path in NOTES.glob("[0-9]*.md")}
    assert {path.stem for path in NOTES.glob("[0-9]*.md")} >= {source.stem for source in SOURCES}
