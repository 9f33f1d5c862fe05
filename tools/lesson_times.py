"""The seconds of a lesson's parts, for the teacher's notes: `make_lessons.py --times`."""

import os
import platform
import re
from datetime import datetime
from pathlib import Path

import keras

from tlteach._assets import write_beside

NOTES = Path(__file__).parent.parent / "lessons" / "teaching"
BACKENDS = {"tensorflow": "TensorFlow", "jax": "JAX", "torch": "PyTorch"}
SHORT = 3  # seconds below which a part has no row of its own


def parts_of(notebook):
    """Return the seconds of each part of a lesson that was run, by the part's heading, in order."""
    part, seconds = "Before the first heading", {}
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            part = ([part] + re.findall(r"^## (.+)$", cell.source, re.M))[-1]
        elif cell.get("source", "").strip():
            seconds[part] = seconds.get(part, 0) + seconds_of(cell)
    return seconds


def seconds_of(cell):
    """Return how long a code cell took, by its time stamps."""
    stamps = cell.metadata["execution"]
    began, ended = (datetime.fromisoformat(stamps[name]) for name in ("iopub.execute_input", "shell.execute_reply"))
    return (ended - began).total_seconds()


def processor():
    """Return the processor's name, where the system tells it."""
    try:
        told = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or platform.machine()
    return re.sub(r"\(\w+\)", "", re.search(r"model name\s*: (.+)", told)[1]).removesuffix(" Processor").strip()


def told(seconds):
    """Return the measured part of a note's section on timing."""
    rows = [f"| {part} | {round(took)} |" for part, took in seconds.items() if took >= SHORT]
    rest = sum(took for took in seconds.values() if took < SHORT)
    versions = f"Keras {keras.version()} on {BACKENDS[keras.backend.backend()]}"
    cores = "two" if os.cpu_count() == 2 else os.cpu_count()
    lines = [
        f"Alone on {cores} cores ({processor()}; {versions}): {round(sum(seconds.values()))} s for all cells, from the",
        "time stamps of one run. Where other programs share the cores, runs have taken two to three times as long.",
        "",
        "| part | seconds |",
        "|---|---|",
        *rows,
        f"| all others | {round(rest)} |",
    ]
    return "\n".join(lines)


def put(note, measured):
    """Replace the measured part of a note: all between the heading and the sentence on a GPU."""
    text = note.read_text(encoding="utf-8")
    new, count = re.subn(
        r"(?<=## Timing\n\n).*?(?=\n\nOn a GPU it was not measured)", lambda _: measured, text, flags=re.S
    )
    if count != 1:
        raise SystemExit(f"{note} must have a section 'Timing' with a paragraph 'On a GPU it was not measured'.")
    write_beside(note, new)


def note_times(lesson, notebook):
    """Write the seconds of a lesson's parts into its note, and print how long all took.

    Args:
        lesson: `Lesson`.
        notebook: The lesson's notebook, run alone on the machine, with its time stamps.
    """
    seconds = parts_of(notebook)
    put(NOTES / f"{lesson.source.stem}.md", told(seconds))
    took = sum(seconds.values())
    print(f"{lesson.number}: {took:.0f} s; the lesson's head says {lesson.minutes} minutes", flush=True)


def warn_if_busy():
    """Say so where other programs run."""
    if os.getloadavg()[0] > 1:
        print("other programs are running, or did a minute ago: what is measured now is not 'alone'.")
