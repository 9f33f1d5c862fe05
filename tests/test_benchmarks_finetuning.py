"""The benchmark beside the usual recipe runs, and both sides do the same mathematics."""

import json
import os
import subprocess
import sys

import keras
import pytest
from conftest import ROOT


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="the usual recipe is written for TensorFlow")
def test_both_sides_have_the_same_losses(tmp_path):
    words = ["--short", "--pairs", "1", "--epochs", "2", "--out", tmp_path / "table.json"]
    command = [sys.executable, ROOT / "benchmarks" / "finetuning.py", *words]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([str(word) for word in command], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads((tmp_path / "table.json").read_text())
    rows = {row["side"]: row for row in told["rows"]}
    assert set(rows) == {"guide", "same"} and told["machine"]["cores"] >= 1
    assert rows["same"]["largest difference of losses"] < 1e-3
    assert rows["same"]["seconds"] > 0 and rows["guide"]["times faster"] == 1
