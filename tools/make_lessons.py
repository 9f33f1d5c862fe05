"""Make the notebooks of the lessons from their sources, run in mini size, with small outputs.

python tools/make_lessons.py          # all
python tools/make_lessons.py 01
python tools/make_lessons.py 01 --text    # nothing is run: the text alone is taken over
"""

import os
import tempfile
from pathlib import Path

import nbformat
import typer

from tlteach.lessons import list_lessons, read_source, run_lesson

LESSONS = Path(__file__).parent.parent / "lessons"


def run(lesson):
    """Return the lesson's notebook, run in mini size."""
    with tempfile.TemporaryDirectory() as out:
        return nbformat.read(run_lesson(lesson.number, size="mini", out=out)[0], as_version=4)


def reworded(lesson, target):
    """Return the notebook as it was run, with the source's text; its code must be the same."""
    made, source = nbformat.read(target, as_version=4), read_source(lesson.source)
    codes = [cell for cell in made.cells if cell.cell_type == "code"]
    if [cell.source for cell in codes] != [cell.source for cell in source.cells if cell.cell_type == "code"]:
        raise SystemExit(f"{target.name} was run with other code: make it without --text.")
    left = iter(codes)
    made.cells = [next(left) if cell.cell_type == "code" else cell for cell in source.cells]
    return made


def main(
    numbers: list[str] = typer.Argument(None, help="Such as 01; all if none is given."),
    text: bool = typer.Option(False, help="Run nothing: take the text over into notebooks that were run."),
):
    for lesson in list_lessons():
        if numbers and lesson.number not in numbers:
            continue
        target = LESSONS / f"{lesson.source.stem}.ipynb"
        notebook = reworded(lesson, target) if text else run(lesson)
        beside = target.with_suffix(".beside")
        nbformat.write(notebook, beside)
        os.replace(beside, target)
        print(target)


if __name__ == "__main__":
    typer.run(main)
