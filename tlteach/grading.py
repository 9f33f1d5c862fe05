"""Grading: learners' notebooks are run again, each in a process of its own, and their checks are counted."""

import contextlib
import json
import os
import shutil
import site
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import nbformat
from tqdm import tqdm

from tlteach._assets import default_size
from tlteach._attempt import KERNEL
from tlteach._exercises import exercises_of
from tlteach._grades import read_grades, write_grades
from tlteach._processes import Watched
from tlteach._submissions import Submission, changes, find_submissions, snapshot

_POLL = 0.1  # seconds between two looks at what runs
_NOTES = 100_000  # bytes of notes that are read


class Limits(NamedTuple):
    """What one notebook may take: `seconds`, and `memory` in GB."""

    seconds: float = 300
    memory: float = 4


def grade_folder(folder, out, *, limits=Limits(), jobs=1, again=False):
    """Run every notebook below a folder and write which exercises' checks passed.

    A grade is written as soon as it is there, so that an interrupted call goes on where it was.

    Args:
        folder: Notebooks, or a folder of them for each learner. It is left as it is; what a notebook
            changes in it is named, and changed notebooks are put back.
        out: Folder for `grades.csv` and `grades.html`.
        limits: `Limits` of each notebook.
        jobs: How many run at the same time.
        again: Also run what `grades.csv` holds already.

    Returns:
        `pandas.DataFrame`, a row a notebook: learner, lesson, notebook, a column for each exercise
        (passed, wrong or open), passed (how many), of (how many the lesson has), seconds,
        remark (why it could not be graded whole), key.

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
        self.rows = {each.path: kept[each.key] for each in found if each.key in kept}
        for each in found:
            if each.fault:
                self.rows[each.path] = _row(each, remark=each.fault)

    def waiting(self):
        return [each for each in self.found if each.path not in self.rows]

    def add(self, submission, row):
        self.rows[submission.path] = row
        self.write()

    def write(self):
        return write_grades([self.rows[each.path] for each in self.found if each.path in self.rows], self.out)


def _row(submission, results=None, *, seconds=0.0, remark=""):
    results = results or {}
    lessons = sorted({name[:2] for name in results})
    return {
        "learner": submission.learner,
        "lesson": " ".join(lessons) or submission.lesson,
        "notebook": submission.path,
        **results,
        "passed": sum(status == "passed" for status in results.values()),
        "of": sum(len(exercises_of(lesson)) for lesson in lessons or [submission.lesson]),
        "seconds": round(seconds, 1),
        "remark": remark,
        "key": submission.key,
    }


@dataclass
class _Running:
    """A notebook that runs: its process, its own folder, and the files that tell what happened."""

    submission: Submission
    watched: Watched
    place: Path
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
                        self._finish(each, alone=jobs == 1)
                        bar.update()
            finally:
                for each in running:
                    each.watched.end()

    def _start(self, submission):
        place = Path(tempfile.mkdtemp(dir=self.place))
        work = place / "work"
        work.mkdir()
        (place / "notes").touch()
        nbformat.write(submission.node, place / "notebook.ipynb")
        with open(place / "told", "wb") as told:
            command = [sys.executable, "-m", "tlteach._attempt", str(place / "notebook.ipynb"), str(work)]
            watched = Watched(command, _environment(place), folder=work, output=told)
        return _Running(submission, watched, place)

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
        seconds = running.watched.seconds
        running.watched.end()
        results, remarks = _read(running)
        touched = changes(self.before, snapshot(self.folder))
        if touched:
            self._put_back()
            who = "it" if alone else "one of those that ran then"
            remarks.append(f"{who} changed files of the folder: {_some(touched)}")
        row = _row(running.submission, results, seconds=seconds, remark="; ".join(remarks))
        self.grades.add(running.submission, row)
        self.before = snapshot(self.folder)
        shutil.rmtree(running.place, ignore_errors=True)

    def _put_back(self):
        """Write the notebooks that a graded one has changed or removed, as they were."""
        for each in self.grades.found:
            path = self.folder / each.path
            with contextlib.suppress(OSError):
                if each.data and not (path.is_file() and path.read_bytes() == each.data):
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(each.data)


def _read(running):
    """Return `exercise -> status` and a list of remarks, of all that was told before the end."""
    results, by_hand, errors, cell, last = {}, [], [], None, {}
    for line in (running.place / "told").read_text("utf-8", "replace").splitlines():
        with contextlib.suppress(ValueError):
            last = json.loads(line)
            cell = last.get("begins", cell)
            if "status" in last:
                results[last["exercise"]] = last["status"]
            by_hand += [last["by_hand"]] if "by_hand" in last else []
            errors += [last] if "error" in last else []
            if "died" in last:
                running.ended_by = "ended its own process (os._exit, a crash, or too little memory)"
    if not running.ended_by and "done" not in last:
        running.ended_by = "could not be run to its end"
    remarks = [running.ended_by + (f", in cell {cell}" if cell else "")] if running.ended_by else []
    if errors:
        count = "an error in" if len(errors) == 1 else f"{len(errors)} cells with an error, first"
        remarks.append(f"{count} cell {errors[0]['cell']}: {errors[0]['error'][:120]}")
    if by_hand:
        remarks.append(f"displays a result that no check gave, not counted: {_some(sorted(set(by_hand)))}")
    with open(running.place / "notes", "rb") as file:
        elsewhere = sorted(set(file.read(_NOTES).decode("utf-8", "replace").splitlines()))
    if elsewhere:
        remarks.append(f"tried to write elsewhere, refused: {_some(elsewhere)}")
    return results, remarks


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
