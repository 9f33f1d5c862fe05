"""Make the notebooks of the lessons from their sources, run in mini size, with small outputs.

python tools/make_lessons.py          # all
python tools/make_lessons.py 01
"""

import os
import tempfile
from pathlib import Path

import nbformat
import typer

from tlteach.lessons import list_lessons, run_lesson

LESSONS = Path(__file__).parent.parent / "lessons"


def main(numbers: list[str] = typer.Argument(None, help="Such as 01; all if none is given.")):
    for lesson in list_lessons():
        if numbers and lesson.number not in numbers:
            continue
        with tempfile.TemporaryDirectory() as out:
            notebook = nbformat.read(run_lesson(lesson.number, size="mini", out=out)[0], as_version=4)
        target = LESSONS / f"{lesson.source.stem}.ipynb"
        beside = target.with_suffix(".beside")
        nbformat.write(notebook, beside)
        os.replace(beside, target)
        print(target)


if __name__ == "__main__":
    typer.run(main)
