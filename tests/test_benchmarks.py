"""The benchmarks' short forms run: not how fast anything is, only that it is measured and told."""

import json
import os
import subprocess
import sys

import pytest
from conftest import ROOT, fill

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}


def run(script, *words):
    command = [sys.executable, str(ROOT / "benchmarks" / script), *map(str, words)]
    return subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, encoding="utf-8")


def test_extraction_tells_each_network_source_and_precision(tmp_path):
    done = run("extraction.py", "--short", "--out", tmp_path / "out.json")
    assert done.returncode == 0, done.stderr
    told = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    rows = {(r["network"], r["source"], r["precision"]): r for r in told["rows"]}
    assert len(rows) == 2 * 2 * 2
    for (*_, precision), row in rows.items():
        assert row["pictures_s"] > 0 and row["share_low"] <= row["share"] <= row["share_high"]
        assert (row["ratio"] == 1) == (precision == "float32")
        assert row["cosine"] > 0.999
    assert {call["way"] for call in told["calls"]} >= {"predict on arrays", "predict_on_batch (ours)"}
    assert told["machine"]["cores"] >= 1 and told["machine"]["processor"] in done.stdout


PROGRAM = """
import sys
sys.path.insert(0, {folder!r})
from common import in_turn
side = [sys.executable, "-c", "print('noise'); print('{{\\"x\\": 1}}')"]
table = in_turn({{"a": side, "b": side}}, 2)
assert list(table["side"]) == ["a", "b", "a", "b"] and list(table["repeat"]) == [0, 0, 1, 1], table
assert set(table["x"]) == {{1}}
in_turn({{"c": [sys.executable, "-c", "raise SystemExit('no luck')"]}}, 1)
"""


@pytest.fixture(scope="module")
def in_turn():
    program = PROGRAM.format(folder=str(ROOT / "benchmarks"))
    return subprocess.run([sys.executable, "-c", program], env=ENVIRONMENT, capture_output=True, text=True)


def test_sides_run_in_turn_and_a_side_that_fails_is_told(in_turn):
    assert in_turn.returncode == 1
    assert "RuntimeError: each side must end well and print JSON last. Received: 'c' ended with 1; " in in_turn.stderr
    assert "no luck" in in_turn.stderr


def test_counted_words_beside_a_backbone(tmp_path):
    pytest.importorskip("keras_hub")
    lines = [f"{i} was {'lovely' if i % 2 else 'awful'} and no mistake\t{i % 2}" for i in range(60)]
    (tmp_path / "rows.tsv").write_text("\n".join(lines), encoding="utf-8")
    done = run("reviews.py", tmp_path / "rows.tsv", "--counts", "8,20", "--seeds", "1", "--out", tmp_path / "out.json")
    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))["runs"]
    assert {(r["strategy"], r["labels"]) for r in rows} == {
        (name, n) for name in ("bag of words", "frozen features", "random twin") for n in (8, 20)
    }
    assert min(r["accuracy"] for r in rows if r["strategy"] == "bag of words") > 0.9


def test_folds_ask_about_each_picture_once(tmp_path):
    fill(tmp_path / "pictures", {"dark": 6, "light": 9})
    program = "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[1]); from folds import folded\n"
    program += "for n in range(3): folded(Path(sys.argv[2]), Path(sys.argv[3], str(n)), folds=3, fold=n)"
    words = [sys.executable, "-c", program, ROOT / "benchmarks", tmp_path / "pictures", tmp_path / "out"]
    subprocess.run([str(word) for word in words], env=ENVIRONMENT, check=True)
    whole = sorted(path.relative_to(tmp_path / "pictures") for path in tmp_path.glob("pictures/*/*"))
    parts = {
        (n, part): sorted(
            path.relative_to(tmp_path / "out" / n / part) for path in tmp_path.glob(f"out/{n}/{part}/*/*")
        )
        for n in "012"
        for part in ("train", "test")
    }
    assert sorted(path for n in "012" for path in parts[n, "test"]) == whole
    assert all(sorted(parts[n, "train"] + parts[n, "test"]) == whole for n in "012")
    assert [sum(path.parts[0] == "dark" for path in parts[n, "test"]) for n in "012"] == [2, 2, 2]


def test_folds_say_what_cannot_be_divided_and_leave_a_file_of_another_question(tmp_path):
    few = fill(tmp_path / "few", {"dark": 3, "light": 4})
    enough, out = fill(tmp_path / "enough", {"dark": 4, "light": 4}), tmp_path / "out.json"
    (tmp_path / "empty").mkdir()
    for kept in ('{"rows": [', '{"rows": []}', '{"asked": {"folds": 9}, "rows": []}'):
        out.write_text(kept, encoding="utf-8")
        told = run("folds.py", enough, "--out", out)
        assert told.returncode == 2 and "--out must be a new file" in told.stderr and "Traceback" not in told.stderr
        assert out.read_text(encoding="utf-8") == kept
    for folder, words, said in (
        (tmp_path / "empty", (), "the folder needs two classes or more"),
        (few, (), "the folder needs two classes or more"),
        (enough, ("--only", 4), "--only must be 0 to 3. Received: 4."),
    ):
        told = run("folds.py", folder, *words)
        assert told.returncode == 2 and said in told.stderr and "Traceback" not in told.stderr
