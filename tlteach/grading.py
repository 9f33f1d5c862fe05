"""Grading: learners' notebooks are run again, each in a process of its own, and their checks are counted."""

import contextlib
import json
import os
import secrets
import shutil
import site
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import nbformat
from tqdm import tqdm

from tlteach._assets import default_size
from tlteach._attempt import KERNEL
from tlteach._exercises import exercises_of
from tlteach._grades import read_grades, write_grades
from tlteach._marks import checks_in, exercises_by_cell, marks
from tlteach._processes import Watched
from tlteach._submissions import Submission, changes, find_submissions, snapshot
from tlteach._untouched import without_untouched

_POLL = 0.1  # seconds between two looks at what runs


class Limits(NamedTuple):
    """What one notebook may take: `seconds`, and `memory` in GB."""

    seconds: float = 1800
    memory: float = 4


def grade_folder(folder, out, *, limits=Limits(), jobs=1, again=False):
    """Run every notebook below a folder and write which exercises' checks passed.

    What each `tl.check` said counts, wherever it was called and whatever was displayed; of several calls for an
    exercise the last one, as the notebook runs from top to bottom. Cells of a lesson that the learner did not
    change and that no exercise needs are not run, so that a lesson takes seconds. Where an error or a wrong answer
    may come from that, as a cell of the learner's own uses a name from such a cell, the whole notebook is run.
    A grade is written as soon as it is there, so that an interrupted call goes on where it was.

    Args:
        folder: Notebooks, or a folder of them for each learner. It is left as it is; what a notebook
            changes in it is named, and changed notebooks are put back.
        out: Folder for `grades.csv` and `grades.html`.
        limits: `Limits` of each notebook.
        jobs: How many run at the same time.
        again: Also run what `grades.csv` holds already.

    Returns:
        `pandas.DataFrame`, a row a notebook: learner, lesson, notebook, a column for each exercise,
        passed (how many), of (how many the lesson has), seconds, remark (why it could not be graded
        whole), key. Of an exercise of the row's lesson the column has one of the words in
        `_marks.MEANT`: passed, wrong or open as the check said; missing, error, not reached or
        not run where none did.

    Raises:
        ValueError: If there is no folder, or no notebook in it.
        OSError: If `out` cannot be written.
    """
    folder, out = Path(folder).resolve(), Path(out).resolve()
    if not folder.is_dir():
        raise ValueError(f"grade needs an existing folder of notebooks. Received: {folder}.")
    own = out if folder in out.parents else None  # what stands there was written, and not handed in
    found = [each for each in find_submissions(folder) if own not in (folder / each.path).parents]
    if not found:
        raise ValueError(f"grade needs a folder with notebooks (*.ipynb). Received: {folder}, which has none.")
    out.mkdir(parents=True, exist_ok=True)
    grades = _Grades(found, out, {} if again else read_grades(out))
    with tempfile.TemporaryDirectory(prefix="tlteach-grade-", ignore_cleanup_errors=True) as place:
        _Round(folder, Path(place), limits, grades).run(jobs)
    return grades.write()


class _Grades:
    """The rows that are known, in the order of the notebooks."""

    def __init__(self, found, out, kept):
        self.found, self.out = found, out
        self.rows = {each.path: kept[each.key] for each in found if each.key in kept and _whole(kept[each.key])}
        for each in found:
            if each.fault:
                self.rows[each.path] = _row(each, _Told(None, [each.fault]))

    def waiting(self):
        return [each for each in self.found if each.path not in self.rows]

    def add(self, submission, row):
        self.rows[submission.path] = row
        self.write()

    def write(self):
        return write_grades([self.rows[each.path] for each in self.found if each.path in self.rows], self.out)


def _whole(row):
    """Whether a kept row has a word for each exercise; earlier versions left out those without a check."""
    return {*marks(row.get("lesson", "").split())} <= {*row}


class _Told(NamedTuple):
    """What happened.

    Attributes:
        results: Dict from exercise to what its last check said; `None` if the notebook could not be run.
        remarks: List of texts.
        raised: Exercises with a check in a cell that raised an error.
        ended: Whether the notebook was ended before its last cell.
        failed: Whether cells that were left out may be missed.
    """

    results: dict
    remarks: list
    raised: tuple = ()
    ended: bool = False
    failed: bool = False


def _row(submission, told, *, seconds=0.0):
    own = exercises_by_cell(submission.node).values() if submission.node else ()
    lessons = sorted({name[:2] for names in (told.results or (), *own) for name in names}) or [submission.lesson]
    words = marks(lessons, told.results, raised=told.raised, ended=told.ended)
    return {
        "learner": submission.learner,
        "lesson": " ".join(lessons),
        "notebook": submission.path,
        **words,
        "passed": sum(word == "passed" for word in words.values()),
        "of": len(words),
        "seconds": round(seconds, 1),
        "remark": "; ".join(told.remarks),
        "key": submission.key,
    }


@dataclass
class _Running:
    """A notebook that runs: its process, its own folder, and the files that tell what happened.

    Attributes:
        word: What each line of the kernel's notes begins with.
        missed: Names of cells that are not run, which cells of the learner's own use.
        before: Seconds that it has run already, without these cells.
    """

    submission: Submission
    place: Path
    missed: set
    before: float = 0
    word: str = field(default_factory=lambda: secrets.token_hex(16))
    watched: Watched = None
    ended_by: str = ""


@dataclass
class _Round:
    """One call: what waits is started, watched, and told of when it ends."""

    folder: Path
    place: Path
    limits: Limits
    grades: _Grades

    def run(self, jobs):
        """Run what waits, so many at a time."""
        waiting, running = self.grades.waiting(), []
        self.before = snapshot(self.folder)
        with tqdm(total=len(waiting), desc="grade", unit="notebook", delay=2) as bar:
            try:
                while waiting or running:
                    while waiting and len(running) < jobs:
                        running.append(self._start(waiting.pop(0)))
                    time.sleep(_POLL)
                    for each in [each for each in running if self._over(each)]:
                        running.remove(each)
                        whole = self._finish(each, alone=jobs == 1)
                        running += whole
                        bar.update(not whole)
            finally:
                for each in running:
                    each.watched.end()

    def _start(self, submission, *, whole=False, before=0.0):
        node, missed = (submission.node, set()) if whole else without_untouched(submission.node)
        running = _Running(submission, Path(tempfile.mkdtemp(dir=self.place)), missed, before)
        place, work = running.place, running.place / "work"
        work.mkdir()
        (place / "notes").write_text(running.word, encoding="utf-8")
        nbformat.write(node, place / "notebook.ipynb")
        with open(place / "told", "wb") as told:
            command = [sys.executable, "-m", "tlteach._attempt", str(place / "notebook.ipynb"), str(work)]
            running.watched = Watched(command, _environment(place), folder=work, output=told)
        return running

    def _over(self, running):
        """Whether a notebook has ended, or has to be."""
        if running.watched.ended():
            return True
        if running.watched.seconds > self.limits.seconds:
            running.ended_by = f"was ended after {self.limits.seconds:g} seconds"
        elif running.watched.memory() > self.limits.memory * 2**30:
            running.ended_by = f"was ended when it held more than {self.limits.memory:g} GB of memory"
        return bool(running.ended_by)

    def _finish(self, running, *, alone):
        """Write a notebook's grade; where it has to be run as a whole, start that and return it, in a list."""
        seconds = running.before + running.watched.seconds
        running.watched.end()
        told = _read(running)
        touched = changes(self.before, snapshot(self.folder))
        if touched:
            self._put_back()
            who = "it" if alone else "one of those that ran then"
            told.remarks.append(f"{who} changed files of the folder: {_some(touched)}")
            self.before = snapshot(self.folder)
        shutil.rmtree(running.place, ignore_errors=True)
        if running.missed and told.failed:
            return [self._start(running.submission, whole=True, before=seconds)]
        self.grades.add(running.submission, _row(running.submission, told, seconds=seconds))
        self.before = snapshot(self.folder)
        return []

    def _put_back(self):
        """Write the notebooks that a graded one has changed or removed, as they were."""
        for each in self.grades.found:
            path = self.folder / each.path
            with contextlib.suppress(OSError):
                if each.data and not (path.is_file() and path.read_bytes() == each.data):
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(each.data)


def _read(running):
    """Return what was told and noted before the end, as a `_Told`."""
    shown, errors, cell = _followed(running)
    cells, at = running.submission.node.cells, _named(running.submission.node)
    remarks = [running.ended_by + (f", in {at(cell)}" if cell else "")] if running.ended_by else []
    if errors:
        count = "an error in" if len(errors) == 1 else f"{len(errors)} cells with an error, first"
        remarks.append(f"{count} {at(errors[0]['cell'])}: {errors[0]['error'][:120]}")
    notes = list(_notes(running))
    checked = [(key, status) for kind, key, status in notes if kind == "check"]
    by_hand = {exercise for exercise, status in shown - set(checked)}
    for names, said in (
        (by_hand, "displays a result that no check gave, not counted"),
        ({key for kind, key, _ in notes if kind == "refused"}, "tried to write elsewhere, refused"),
        ({key for kind, key, _ in notes if kind == "started"}, "started another program"),
    ):
        remarks += [f"{said}: {_some(sorted(names))}"] if names else []
    results = {name: status for name, status in checked if name in exercises_of(name[:2])}
    raised = tuple(name for each in errors for name in checks_in(cells[each["cell"] - 1].source))
    ended = bool(running.ended_by)
    return _Told(results, remarks, raised, ended, not ended and (bool(errors) or "wrong" in results.values()))


def _followed(running):
    """What was told as it ran: results that were shown, errors, and the cell that was begun last."""
    shown, errors, cell, last = set(), [], None, {}
    for line in (running.place / "told").read_text("utf-8", "replace").splitlines():
        with contextlib.suppress(ValueError):
            last = json.loads(line)
            cell = last.get("begins", cell)
            shown |= {tuple(last["shown"])} if "shown" in last else set()
            errors += [last] if "error" in last else []
            if "died" in last:
                running.ended_by = "ended its own process (os._exit, a crash, or too little memory)"
    if not running.ended_by and "done" not in last:
        running.ended_by = "could not be run to its end"
    return shown, errors, cell


def _named(node):
    """A function that names a cell by its place, and by the exercise that it belongs to."""
    exercises = exercises_by_cell(node)

    def at(place):
        names = exercises.get(place)
        return f"cell {place}, exercise {' and '.join(names)}" if names else f"cell {place}"

    return at


def _notes(running):
    """What the kernel noted, in order: kind, key and value; lines that do not begin with its word are not its own."""
    with open(running.place / "notes", encoding="utf-8", errors="replace") as file:
        for line in file:
            word, _, note = line.partition(" ")
            if word == running.word and note:
                with contextlib.suppress(ValueError):  # a line that was cut off
                    key, value = json.loads(note)
                    yield *key.split(" ", 1), value


def _some(names):
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _environment(place):
    """A home, a temporary folder and a cache of its own; the kernel is this Python, behind the fence."""
    work = place / "work"
    spec = place / "jupyter" / "kernels" / KERNEL
    spec.mkdir(parents=True)
    argv = [sys.executable, "-m", "tlteach._fence", "-f", "{connection_file}"]
    told = {"argv": argv, "display_name": "graded", "language": "python"}
    (spec / "kernel.json").write_text(json.dumps(told), encoding="utf-8")
    for name in ("tmp", "runtime"):
        (work / f".{name}").mkdir()
    own = {name: str(work) for name in ("HOME", "USERPROFILE", "TLTEACH_FENCE", "TLTEACH_OUT")}
    own |= {name: str(work / ".tmp") for name in ("TMPDIR", "TEMP", "TMP")}
    own |= {name: str(work / ".home" / name) for name in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME")}
    own |= {"TLTEACH_CACHE": str(work / ".cache"), "MPLCONFIGDIR": str(work / ".matplotlib")}
    own |= {"IPYTHONDIR": str(work / ".ipython"), "JUPYTER_RUNTIME_DIR": str(work / ".runtime")}
    own |= {"JUPYTER_PATH": str(place / "jupyter"), "TLTEACH_FENCE_NOTES": str(place / "notes")}
    own |= {"PYTHONUSERBASE": site.getuserbase(), "PYTHONDONTWRITEBYTECODE": "1", "TF_CPP_MIN_LOG_LEVEL": "2"}
    return {**os.environ, **_full(), **own}


def _full():
    """In full size, weights and data stay where the teacher keeps them."""
    if default_size() != "full":
        return {}
    kept = {"KERAS_HOME": "~/.keras", "TFDS_DATA_DIR": "~/tensorflow_datasets"}
    return {name: os.path.expanduser(os.environ.get(name, usual)) for name, usual in kept.items()}
