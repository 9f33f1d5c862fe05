"""Make the notebooks of the lessons from their sources, run in mini size, with small outputs.

For each lesson two are made: the learner's, with gaps, and the one with the solutions. The lesson is
run once, and its exercises by themselves: `lessons/solutions` has the outputs of both.

python tools/make_lessons.py          # all
python tools/make_lessons.py 01
python tools/make_lessons.py 01 --text    # text and exercises alone are made anew: other code keeps its outputs
python tools/make_lessons.py --times      # where nothing else runs: the teacher's notes get the parts' seconds too
"""

import base64
import io
import os
import tempfile
from pathlib import Path

import nbformat
import typer
from lesson_times import note_times, warn_if_busy
from PIL import Image

from tlteach.lessons import list_lessons, numbers_of, read_source, run_lesson, run_light
from tlteach.notebooks import read_solutions

LESSONS = Path(__file__).parent.parent / "lessons"


def run(lesson):
    """Return the lesson's notebook, run in mini size."""
    with tempfile.TemporaryDirectory() as out:
        return nbformat.read(run_lesson(lesson.number, size="mini", out=out)[0], as_version=4)


def outputs_of(notebook):
    """The outputs of each code cell of a notebook that was run, by the cell's source."""
    return {cell.source: cell.outputs for cell in notebook.cells if cell.cell_type == "code"}


def filled(notebook, outputs):
    """Give a made notebook its cells' outputs; end if one of its cells was not run."""
    codes = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for number, cell in enumerate(codes, 1):
        if cell.source not in outputs:
            raise SystemExit(f"this cell was not run: make the lesson without --text.\n\n{cell.source}")
        cell.execution_count, cell.outputs = number, [numbered(each, number) for each in outputs[cell.source]]
    return notebook


def packed(picture):
    """A PNG in base64 with the same pixels in fewer bytes: no alpha where nothing is transparent, and packed harder."""
    image, small = Image.open(io.BytesIO(base64.b64decode(picture))), io.BytesIO()
    opaque = image.mode == "RGBA" and image.getchannel("A").getextrema()[0] == 255
    (image.convert("RGB") if opaque else image).save(small, "PNG", optimize=True)
    return base64.b64encode(small.getvalue()).decode()


def numbered(output, number):
    """A copy of an output with its cell's number, and its picture packed."""
    output = output.copy()
    if "image/png" in output.get("data", {}):
        output["data"] = output["data"] | {"image/png": packed(output["data"]["image/png"])}
    if "execution_count" in output:
        output["execution_count"] = number
    return output


def write(notebook, target):
    """Write a notebook beside its place and rename it."""
    target.parent.mkdir(exist_ok=True)
    beside = target.with_suffix(".beside")
    nbformat.write(notebook, beside)
    os.replace(beside, target)
    print(target)


def main(
    numbers: list[str] = typer.Argument(None, help="Such as 01; all if none is given."),
    text: bool = typer.Option(False, help="Run the exercises alone; other code keeps its outputs."),
    times: bool = typer.Option(False, help="Write the seconds of each part into the teacher's notes."),
):
    if text and times:
        raise typer.BadParameter("--times needs a run of the whole lesson. Received: --text too.")
    wanted = numbers_of(numbers or ["all"])
    if times:
        warn_if_busy()
    for lesson in [each for each in list_lessons() if each.number in wanted]:
        target = LESSONS / f"{lesson.source.stem}.ipynb"
        ran = nbformat.read(target, as_version=4) if text else run(lesson)
        if times:
            note_times(lesson, ran)
        light = outputs_of(run_light(lesson.number))
        # the lesson's own outputs where there are any, but for what can be made anew in seconds
        outputs = light | {source: found for source, found in outputs_of(ran).items() if not is_made_anew(source)}
        write(filled(read_source(lesson.source), outputs), target)
        write(filled(read_solutions(lesson.source), outputs), LESSONS / "solutions" / target.name)


def is_made_anew(source):
    """Whether a cell's output is taken from the light run: exercises, quiz, versions."""
    return any(line.startswith(("tl.check(", "tl.quiz(", "tl.versions(")) for line in source.splitlines())


if __name__ == "__main__":
    typer.run(main)
