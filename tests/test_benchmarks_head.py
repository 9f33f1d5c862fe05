"""The benchmarks of the head and of memory: do they run, and say what they promise?"""

import json
import os
import subprocess
import sys

import pytest
from conftest import ROOT

COLUMNS = {
    "head": {"case", "side", "seconds", "loss", "held out", "over best"},
    "memory": {"step", "pictures", "seconds", "peak MiB", "times"},
}


def told_by(name, folder, *options):
    """Run the short form of a benchmark in a process of its own; return what it wrote."""
    command = [sys.executable, str(ROOT / "benchmarks" / f"{name}.py"), "--short", "--out", str(folder / "told.json")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TLTEACH_CACHE": str(folder / "cache")}
    done = subprocess.run([*command, *options], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads((folder / "told.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", COLUMNS)
def test_a_benchmark_runs_and_says_what_it_measured_on(name, tmp_path):
    told = told_by(name, tmp_path)
    assert told["rows"] and all(set(row) == COLUMNS[name] for row in told["rows"])
    assert all(row["seconds"] > 0 for row in told["rows"])
    assert told["machine"]["cores"] >= 1 and told["machine"]["processor"]
