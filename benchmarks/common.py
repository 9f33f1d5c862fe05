"""What the benchmarks share: the machine in words, two sides run in turn, a table and JSON at the end."""

import json
import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pandas as pd

from tlteach._assets import write_beside


def machine():
    """Say what was measured on: cores, processor, Keras, its backend and Python.

    Returns:
        Dict of words and numbers, ready for JSON.
    """
    import keras

    backend = keras.backend.backend()
    return {
        "cores": _cores(),
        "processor": _processor(),
        "keras": keras.version(),
        "backend": f"{backend} {_version(backend)}",
        "python": platform.python_version(),
    }


def _cores():
    """The cores that this process may use, which in a container are fewer than the machine's."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def _processor():
    told = Path("/proc/cpuinfo")
    lines = told.read_text(encoding="utf-8").splitlines() if told.exists() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()


def _version(package):
    try:
        return version(package)
    except PackageNotFoundError:  # installed under another name, such as tensorflow-cpu
        return "of unknown version"


def in_turn(sides, repeats):
    """Run commands alternately, each time in a fresh process, so that no side has the quiet hour.

    Args:
        sides: Dict from a name to a command (list of words) that prints one JSON object, or a list of them, last.
        repeats: How often each side runs.

    Returns:
        `pandas.DataFrame`, a row for each object printed: side, repeat, and what it says.

    Raises:
        RuntimeError: If a command fails.
    """
    rows = []
    for repeat in range(repeats):
        for side, command in sides.items():
            found = _run(side, command)
            rows += [{"side": side, "repeat": repeat, **row} for row in (found if isinstance(found, list) else [found])]
    return pd.DataFrame(rows)


def _run(side, command):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, encoding="utf-8")
    if done.returncode:
        raise RuntimeError(
            f"each side must end well and print JSON last. Received: {side!r} ended with {done.returncode}; "
            f"it said: {done.stderr.strip()[-2000:]}"
        )
    return json.loads(done.stdout.strip().splitlines()[-1])


def own(script, *words):
    """Return the command that runs a benchmark's script again, in this Python.

    Args:
        script: `__file__` of the benchmark.
        *words: What follows on the command line.
    """
    return [sys.executable, str(Path(script).resolve()), *map(str, words)]


def tell(table, out=None, **facts):
    """Print a table and the machine, and write both as JSON.

    Args:
        table: `pandas.DataFrame` with plain columns.
        out: Path of the JSON file, or `None`.
        **facts: What else to print and write, such as the ceiling.
    """
    told = {"machine": machine(), **facts}
    print(table.to_string(index=False, float_format=lambda value: f"{value:.4g}"))
    print("\n".join(f"{name}: {value}" for name, value in told.items()))
    if out:
        content = {**told, "rows": json.loads(table.to_json(orient="records"))}
        write_beside(Path(out), json.dumps(content, indent=1))
