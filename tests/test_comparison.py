"""compare: every run in its own process, kept when it is done, and the same table after a kill."""

import functools
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import cloudpickle
import keras
import numpy as np
import pandas as pd
import pytest
from conftest import ROOT, same, small_backbone, small_splits

import tlteach as tl
from tlteach import _strategies, _workers, comparison
from tlteach._workers import FORKS, Worker, pack

SCALE = 3.0


def guess(splits, seed):
    """A network that learns nothing: its accuracy is a matter of the seed."""
    keras.utils.set_random_seed(seed)
    start = [keras.Input((32, 32, 3)), keras.layers.Rescaling(1 / 255, offset=-0.3), keras.layers.Flatten()]
    return keras.Sequential([*start, keras.layers.Dense(2, activation="softmax")])


def scaled(splits, seed):
    note("pids", os.getpid())
    if seed == 1 and os.environ.get("STUCK") in {"yes", "Yes"}:
        note("stuck", os.getpid())
        time.sleep(600)
    if splits.test.num_examples:  # no assert: pytest writes those anew, and the code would be another
        raise ValueError("a strategy saw the test split")
    model = guess(splits, seed + 10)
    model.layers[-1].kernel.assign(model.layers[-1].kernel * SCALE)
    return model


def note(name, what):
    if "NOTES" in os.environ:
        with open(os.path.join(os.environ["NOTES"], name), "a") as file:
            file.write(f"{what}\n")


STRATEGIES = {"guess": guess, "scaled": scaled}
ASKED = {"labels": [4], "seeds": 2}
SCRIPT = """
import sys
import tlteach as tl
from conftest import small_splits
from test_comparison import ASKED, STRATEGIES
tl.compare(STRATEGIES, small_splits(test=30), store=sys.argv[1], **ASKED)
"""


def until(what, seconds=120):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.05)


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rsplit(")", 1)[1].split()[0] != "Z"


@pytest.mark.skipif(not FORKS, reason="looks for processes as Linux lists them")
def test_killed_in_the_middle_it_gives_the_table_of_an_unbroken_one(tmp_path, monkeypatch):
    monkeypatch.setenv("NOTES", str(tmp_path))
    whole = tl.compare(STRATEGIES, small_splits(test=30), store=tmp_path / "whole", **ASKED)
    pids = (tmp_path / "pids").read_text().split()
    assert len(set(pids)) == len(pids) == 2 and str(os.getpid()) not in pids  # a process each
    told = {**os.environ, "STUCK": "yes", "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])}
    broken = subprocess.Popen([sys.executable, "-c", SCRIPT, str(tmp_path / "b")], env=told, stderr=subprocess.DEVNULL)
    until(lambda: (tmp_path / "stuck").exists() or broken.poll() is not None)
    broken.send_signal(signal.SIGKILL)
    broken.wait()
    orphan = int((tmp_path / "stuck").read_text())
    until(lambda: not alive(orphan), 20)  # the run dies with its caller
    (file,) = (tmp_path / "b" / "comparisons").glob("*.jsonl")
    kept = rows_of(file)
    assert len(kept) == 3  # the fourth was killed
    (tmp_path / "pids").unlink()
    again = tl.compare(STRATEGIES, small_splits(test=30), store=tmp_path / "b", **ASKED)
    assert len((tmp_path / "pids").read_text().split()) == 1  # only what was not done
    pd.testing.assert_frame_equal(again.drop(columns="seconds"), whole.drop(columns="seconds"))
    assert again["seconds"].tolist()[:2] == [row["seconds"] for row in kept if row["strategy"] == "guess"]
    assert whole["accuracy"].nunique() > 1


def rows_of(file):
    return [json.loads(line) for line in file.read_text().splitlines() if line]


class Here:
    """A worker that does its calls in this process."""

    calls = 0

    def __init__(self, preload):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *raised):
        pass

    def __call__(self, packed):
        _, function, arguments = cloudpickle.loads(packed)
        Here.calls += 1
        return _strategies.run_once(*arguments) if function is _strategies.run_whole else function(*arguments)


@pytest.fixture
def here(monkeypatch):
    monkeypatch.setattr(comparison, "Worker", Here)
    Here.calls = 0
    return Here


def test_rows_stand_in_the_order_of_what_was_asked_for(here, tmp_path):
    splits = small_splits(test=30)
    asked = {"labels": [8, 4], "seeds": [2, 0], "store": tmp_path}
    tl.compare({"x": scaled}, splits, **asked | {"labels": [8], "seeds": [2]})
    table = tl.compare({"scaled": scaled, "guess": guess}, splits, **asked)
    assert here.calls == 8 and table.columns.tolist() == comparison.COLUMNS  # the first is known under any name
    order = list(table[["strategy", "labels", "seed"]].itertuples(index=False, name=None))
    assert order == [(name, n, seed) for name in ("scaled", "guess") for n in (4, 8) for seed in (0, 2)]
    assert (table["source"] == "none").all() and table["accuracy"].between(0, 1).all()
    fresh = tl.compare({"scaled": scaled, "guess": guess}, splits, **asked | {"store": None})
    pd.testing.assert_frame_equal(fresh.drop(columns="seconds"), table.drop(columns="seconds"))


def test_a_line_that_was_not_finished_is_not_read(here, tmp_path):
    splits = small_splits(test=30)
    whole = tl.compare([guess], splits, labels=[4], seeds=3, store=tmp_path)
    (file,) = tmp_path.glob("comparisons/*.jsonl")
    file.write_text(file.read_text()[:-30])
    again = tl.compare([guess], splits, labels=[4], seeds=3, store=tmp_path)
    assert here.calls == 4 and again["accuracy"].tolist() == whole["accuracy"].tolist()
    assert len([line for line in file.read_text().splitlines() if line.endswith("}")]) == 3
    file.write_text("[1]\n{\n\n" + file.read_text())
    assert len(tl.compare([guess], splits, labels=[4], seeds=3, store=tmp_path)) == 3 and here.calls == 4


def test_other_data_labels_or_seeds_are_other_runs(here, tmp_path):
    splits, asked = small_splits(test=30), {"labels": [4], "store": tmp_path}
    for kind in (splits, tl.shuffle_labels(splits), small_splits(test=28)):
        tl.compare([guess], kind, seeds=1, **asked)
    assert here.calls == 3
    tl.compare([guess], splits, seeds=2, **asked)
    assert here.calls == 4


def test_ctrl_c_gives_what_is_done(here, tmp_path, monkeypatch, capsys):
    def pressed(self, packed):
        if Here.calls == 2:
            raise KeyboardInterrupt
        return call(self, packed)

    call = Here.__call__
    monkeypatch.setattr(Here, "__call__", pressed)
    table = tl.compare(STRATEGIES, small_splits(), store=tmp_path, **ASKED)
    assert table["seed"].tolist() == [0, 0] and table["strategy"].tolist() == ["guess", "scaled"]
    assert "compare was stopped after 2 of 4 runs; the same call goes on from there." in capsys.readouterr().err


def test_a_function_of_a_notebook_travels_and_what_fails_is_told(tmp_path):
    main = {"__name__": "__main__"}
    exec("import os\nscale = 2\ndef f(a):\n    if a: raise KeyError('lost')\n    return os.getpid() * scale", main)
    deadly = functools.partial(os.kill, sig=signal.SIGKILL) if FORKS else None
    with Worker() as worker:
        assert worker(pack(main["f"], 0)) % 2 == 0
        with pytest.raises(RuntimeError, match=r"(?s)KeyError: 'lost'.*Traceback.*in f"):
            worker(pack(main["f"], 1))
        assert worker(pack(main["f"], 0)) != 2 * os.getpid()
        if deadly:
            with pytest.raises(RuntimeError, match=r"its process died by signal 9; is there enough memory\?"):
                worker(pack(kill_oneself))
            with pytest.raises(RuntimeError, match=r"its process died \(3\)\nlast words$"):
                worker(pack(leave))
    with pytest.raises(
        ValueError, match=r"a strategy is sent to a process of its own.*cannot be sent \(TypeError: .*lock"
    ):
        pack(functools.partial(print, threading.Lock()))


def test_where_nothing_is_forked_a_process_is_renewed_after_some_calls(monkeypatch):
    monkeypatch.setattr(_workers, "FORKS", False)
    monkeypatch.setattr(_workers, "_CALLS", 2)
    with Worker() as worker:
        pids = [worker(pack(os.getpid)) for _ in range(3)]
    assert pids[0] == pids[1] != pids[2] and os.getpid() not in pids


def kill_oneself():
    os.kill(os.getpid(), signal.SIGKILL)


def leave():
    print("last words", file=sys.stderr, flush=True)
    os._exit(3)


def test_a_run_that_fails_says_which_and_keeps_the_others(tmp_path):
    def broken(splits, seed):
        return "no model" if seed else guess(splits, seed)

    said = (
        r"(?s)the run of 'broken' with source 'none', 4 labels and seed 1 failed: ValueError: a strategy must return a "
    )
    with pytest.raises(RuntimeError, match=said + r"keras.Model. Received: a str.*Traceback"):
        tl.compare([broken], small_splits(), labels=[4], seeds=2, store=tmp_path)
    assert [row["seed"] for row in rows_of(*tmp_path.glob("comparisons/*.jsonl"))] == [0]


def test_what_cannot_be_compared_is_told(here):
    splits = small_splits()
    with pytest.raises(
        ValueError, match=r"one of scratch, frozen, fine-tuned, all stages, or a function. .*: 'frosty'."
    ):
        tl.compare(["frosty"], splits)
    with pytest.raises(ValueError, match=r"or a function. Received: none."):
        tl.compare([], splits)
    with pytest.raises(
        ValueError, match=r"a function of \(backbone, splits, seed\), or of .* Received: 'one' of 1 arg"
    ):
        tl.compare({"x": one}, splits, labels=[4])
    with pytest.raises(ValueError, match=r"labels must be 4 \(two a class\) to 14 \(all there are\). Received: 40."):
        tl.compare(["frozen"], splits, labels=[4, 40])
    with pytest.raises(ValueError, match=r"every run loads a backbone of its own.* Received: a Backbone \(vgg16\)."):
        tl.compare(["frozen"], splits, labels=[4], sources=small_backbone("vgg16"))
    assert here.calls == 0


def one(splits):
    """Not a strategy."""


SOURCE = {"vgg": {"name": "vgg16", "size": "mini"}}


def test_a_source_and_its_twin(here, tmp_path):
    sources = SOURCE | {"twin": {"name": "vgg16", "size": "mini", "weights": None}}
    few = tl.subset(tl.shuffle_labels(small_splits(12, 8, 20)), 16)
    asked = {"labels": [16], "seeds": 1, "store": tmp_path}
    tl.compare(["frozen"], few, sources=SOURCE, **asked)
    table = tl.compare({"probe": "frozen", "guess": guess}, few, sources=sources, **asked)
    assert table["source"].tolist() == ["vgg", "twin", "none"] and here.calls == 3  # one is known
    vgg = tl.load_backbone("vgg16", "mini")
    probe = tl.linear_probe(tl.extract_features(vgg, few), with_val=True)
    assert table["accuracy"][0] == tl.evaluate(tl.attach_head(vgg, probe), few.test).accuracy


def test_what_the_built_in_strategies_train(monkeypatch):
    def fine_tune(model, splits, phases, *, seed):
        asked.append((model, phases, seed))
        return SimpleNamespace(model=model)

    asked, vgg, splits = [], small_backbone("vgg16"), small_splits()
    monkeypatch.setattr(_strategies, "fine_tune", fine_tune)
    probe = tl.linear_probe(tl.extract_features(vgg, splits))
    for name in ("fine-tuned", "all stages"):
        model = _strategies.BUILT_IN[name](vgg, splits, 3)
        assert same(model.get_layer("head").get_weights(), probe.get_weights())
    model = _strategies.scratch(splits, 3)
    assert model.count_params() < 30_000 and model.input_shape == (None, 64, 64, 3)
    (_, (last,), _), (_, whole, _), (_, everything, seed) = asked
    assert last.train == ("block5", "head") and whole.train == (*vgg.stages, "head") and everything.train == ("all",)
    assert whole.learning_rate == 1e-4 and seed == 3
    normal = SimpleNamespace(layers=[keras.layers.BatchNormalization()])
    monkeypatch.setattr(_strategies, "_from_probe", lambda backbone, splits, phases, *, seed: phases)
    assert _strategies.all_stages(SimpleNamespace(model=normal, stages=["a"]), splits, 0).learning_rate == 1e-3


def test_a_frozen_backbones_test_features_are_kept_and_give_what_the_model_gives(monkeypatch):
    vgg, splits = small_backbone("vgg16"), tl.shuffle_labels(small_splits(8, 6, 40))
    before = vgg.model.get_weights()
    model = _strategies.frozen(vgg, splits, 0)
    assert _strategies._on_frozen(model, vgg, before)
    kept = _strategies._accuracy(model, vgg, before, splits.test)
    assert kept == tl.evaluate(model, splits.test).accuracy < 1
    monkeypatch.setattr(_strategies, "evaluate", None)  # not asked: the features are there
    assert _strategies._accuracy(model, vgg, before, splits.test) == kept
    vgg.model.get_layer("block5_conv3").bias.assign_add(np.ones(128))
    assert not _strategies._on_frozen(model, vgg, before)
    assert not _strategies._on_frozen(guess(splits, 0), vgg, before)


def made(source, name="f", **given):
    space = {"__name__": "made", **given}
    exec(source, space)
    return space[name]


def returning(n):
    return lambda b, s, seed: n


def test_a_strategy_is_known_by_what_it_does():
    source = "def help(x): return x + 1\ndef f(b, s, seed): return help(seed) * (rate if seed in {'a', 'b'} else 2)"
    plain = _strategies.code_hash(made(source, rate=1e-3))
    assert plain == _strategies.code_hash(made(source.replace("f(b", "g(b"), "g", rate=1e-3))
    for changed in (source.replace("x + 1", "x + 2"), source.replace("else 2", "else 3"), source.replace("'b'", "'c'")):
        assert _strategies.code_hash(made(changed, rate=1e-3)) != plain
    assert _strategies.code_hash(made(source, rate=1e-4)) != plain
    deep = [lambda b, s, seed, n=n: n for n in (1, 2)]
    partial = [functools.partial(made("def f(n, b, s, seed): return n"), n) for n in (1, 2)]
    closed = [returning(n) for n in (1, 2)]
    for first, second in (deep, partial, closed):
        assert _strategies.code_hash(first) != _strategies.code_hash(second)
        assert _strategies.wants_source(first)
    assert not re.search("0x", repr(list(_strategies._told(made(source, rate=object()), set(), None))))
