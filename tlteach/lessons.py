"""Lessons: list them, run one outside a notebook, and check its claims inside."""

import json
import os
import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from tlteach._alt import page_of
from tlteach._assets import check_size, default_size, shipped, write_beside
from tlteach._meant import meant
from tlteach.notebooks import read_light, read_source


class LessonFailed(Exception):
    """A cell of a lesson raised an error; the text is the cell's error."""


class ClaimFailed(AssertionError):
    """A lesson's claim does not hold in this run."""


@dataclass(frozen=True)
class Lesson:
    """A lesson: its number, title, minutes in mini size on two cores, and source file."""

    number: str
    title: str
    minutes: str
    source: Path


def list_lessons():
    """Return the lessons that are there, in order, as a list of `Lesson`."""
    return [_describe(path) for path in sorted(shipped("lessons").glob("[0-9][0-9]_*.py"))]


def _describe(path):
    text = path.read_text(encoding="utf-8")
    title = re.search(r"^# # \d+ (.+)$", text, re.M)[1]
    minutes = re.search(r"(\d+) minutes", text)[1]
    return Lesson(path.name[:2], title, minutes, path)


def numbers_of(wanted):
    """Return the numbers of lessons, each once and in the order asked for.

    Args:
        wanted: List of texts: numbers such as `"01"` or `"1"`, names such as `"01_first_transfer"`; or `["all"]`.

    Raises:
        ValueError: If there is no such lesson.
    """
    there = {lesson.number: lesson.source.stem for lesson in list_lessons()}
    if list(wanted) == ["all"]:
        return list(there)
    numbers = {each: str(each).strip().zfill(2)[:2] for each in wanted}
    for each, number in numbers.items():
        if number not in there:
            asked = meant(each, there.values())
            raise ValueError(f"lessons must be all, or some of {', '.join(there)}. Received: {each!r}.{asked}")
    return list(dict.fromkeys(numbers.values()))


def run_lesson(number, *, size=None, out="tlteach-out"):
    """Run a lesson from its source.

    Args:
        number: Such as `"01"`.
        size: `"mini"` or `"full"`; what `TLTEACH_SIZE` says, or mini, if `None`.
        out: Folder for the notebook with outputs, its HTML page and `NN_name.results.json`.

    Returns:
        List of the paths that were written.

    Raises:
        ValueError: If there is no such lesson or size.
        LessonFailed: If a cell raised an error; the notebook up to there is in `out`.
    """
    size = default_size() if size is None else check_size(size)
    lesson = _find(number)
    out = Path(out).resolve()
    out.mkdir(parents=True, exist_ok=True)
    stem = lesson.source.stem
    notebook = read_source(lesson.source)
    try:
        _execute(notebook, out, {"TLTEACH_SIZE": size, "TLTEACH_OUT": str(out)}, title=f"lesson {lesson.number}")
    finally:
        left = _write(notebook, out, stem)
    return [*left, out / f"{stem}.results.json"]


def run_light(number):
    """Run the light cells of a lesson: what its exercises need, each gap and solution, quiz and versions.

    Args:
        number: Such as `"01"`.

    Returns:
        A notebook node with outputs, in mini size.

    Raises:
        ValueError: If there is no such lesson.
        LessonFailed: If a cell raised an error.
    """
    lesson = _find(number)
    notebook = read_light(lesson.source)
    with tempfile.TemporaryDirectory() as folder:
        _execute(notebook, folder, {"TLTEACH_SIZE": "mini"}, title=f"exercises {lesson.number}")
    return _without_noise(notebook)


def _find(number):
    (number,) = numbers_of([number])
    return next(lesson for lesson in list_lessons() if lesson.number == number)


def _execute(notebook, folder, environment, *, title):
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, DeadKernelError

    codes = sum(cell.cell_type == "code" for cell in notebook.cells)
    with tqdm(total=codes, desc=title, unit="cell") as bar, _environment(environment):
        client = NotebookClient(
            notebook,
            timeout=None,
            resources={"metadata": {"path": str(folder)}},
            on_cell_executed=lambda **_: bar.update(),
        )
        try:
            client.execute(stderr=subprocess.DEVNULL)  # TensorFlow's start-up notes; a cell's own are in the notebook
        except CellExecutionError as error:
            raise LessonFailed(f"{error.ename}: {error.evalue}\n\nin the cell\n\n{_failing_source(notebook)}") from None
        except DeadKernelError as error:
            raise LessonFailed(f"the notebook's process ended ({error}); is there enough memory?") from None


def _failing_source(notebook):
    """The source of the cell whose outputs hold an error."""
    failed = (c.source for c in notebook.cells if any(o.output_type == "error" for o in c.get("outputs", [])))
    return next(failed, "")


class _environment:
    """Set environment variables for a while: the kernel inherits them."""

    def __init__(self, values):
        self.values = values

    def __enter__(self):
        self.before = {name: os.environ.get(name) for name in self.values}
        os.environ.update(self.values)

    def __exit__(self, *_):
        for name, value in self.before.items():
            if value is None:
                os.environ.pop(name)
            else:
                os.environ[name] = value


def _is_noise(text):
    return not text.strip() or re.search(r"\r|\x1b|absl::|^[IWE]0000 ", text, re.M)


def _without_noise(notebook):
    """Drop progress bars and TensorFlow's start-up notes from the outputs; warnings stay."""
    for cell in notebook.cells:
        if "outputs" in cell:
            cell.outputs = [o for o in cell.outputs if o.get("name") != "stderr" or not _is_noise(o.text)]
    return notebook


def _write(notebook, out, stem):
    import nbformat

    notebook = _without_noise(notebook)
    write_beside(out / f"{stem}.ipynb", nbformat.writes(notebook))
    write_beside(out / f"{stem}.html", page_of(notebook))
    return [out / f"{stem}.ipynb", out / f"{stem}.html"]


def claim(text, value, low, high):
    """State what a lesson claims, as a range that this run must meet.

    The ranges are those of the mini size, where they were measured over and
    over; in full size the value is told beside them and not held to them.

    Args:
        text: The claim in words.
        value: What the run measured.
        low: The least that bears the claim out.
        high: The most.

    Returns:
        One line to read, with the value and the range.

    Raises:
        ClaimFailed: If the value is outside, so that a lesson never claims what did not happen.

    Example:
        >>> import tlteach as tl
        >>> tl.claim("transfer gains at least 10 points", 0.18, 0.10, 0.60)
        'transfer gains at least 10 points: 0.18 (claimed 0.1 to 0.6)'
    """
    line = f"{text}: {value:.3g} (claimed {low:g} to {high:g})"
    if default_size() == "full":
        return f"{line[:-1]} in mini size)"
    if not low <= value <= high:
        raise ClaimFailed(f"the claim does not hold in this run. {line}. Seeds and machines differ: see the spread.")
    return line


def save_results(name, results, **facts):
    """Keep a lesson's measured numbers as `NAME.results.json`, when `tlteach run` asks for them.

    Args:
        name: The lesson's name, such as `"01_first_transfer"`.
        results: `pandas.DataFrame`, a row a run.
        **facts: Further numbers and texts.
    """
    folder = os.environ.get("TLTEACH_OUT")
    if folder:
        import pandas as pd

        rows = pd.DataFrame(results).to_dict(orient="records")
        text = json.dumps({**facts, "machine": _machine(), "runs": rows}, indent=1, default=float)
        write_beside(Path(folder) / f"{name}.results.json", text + "\n")


def _machine():
    import platform

    import keras

    return {
        "cores": os.cpu_count(),
        "processor": platform.machine(),
        "python": platform.python_version(),
        "keras": keras.version(),
        "backend": keras.backend.backend(),
        "size": default_size(),
    }
