"""The recipe for recordings: what is learned from, how often, and what comes out."""

import json

import numpy as np
import pytest
from conftest import small_backbone
from test_sounds import speech_folder
from typer.testing import CliRunner

import tlteach as tl
from tlteach import recipe_sound
from tlteach._tuning import joined
from tlteach.recipe import fit_splits, read_splits
from tlteach.recipe_sound import balanced, in_memory, learn_sounds


@pytest.fixture
def words(tmp_path):
    return tl.from_folder(speech_folder(tmp_path / "words", takes=4), groups=r"^(?P<speaker>[a-z]+)_")


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(recipe_sound, "STEPS", 6)
    monkeypatch.setattr(recipe_sound, "PASSES", 6)


def test_validation_is_learned_from_too_and_the_test_is_not(words, quick, monkeypatch):
    seen = []
    monkeypatch.setattr(recipe_sound, "perturb_speed", lambda split, factors: seen.append(split) or split)
    learn_sounds(small_backbone("resnet50"), words, phases=0, store=None)
    paths = set(words.train.table["path"]) | set(words.val.table["path"])
    assert set(seen[0].table["path"]) == paths and not paths & set(words.test.table["path"])


def test_the_head_begins_as_the_probe_and_all_stages_move(words, quick):
    net = small_backbone("resnet50")
    before = [w.copy() for w in net.model.get_layer("conv2_block1_1_conv").get_weights()]
    model, run, told, unseen = learn_sounds(net, words, store=None)
    after = net.model.get_layer("conv2_block1_1_conv").get_weights()
    assert run is None and unseen is None and model.output_shape == (None, 2) and np.abs(before[0] - after[0]).max() > 0
    n = words.train.num_examples + words.val.num_examples
    assert told == (
        f"All stages fine-tuned in 2 epochs of {n} recordings at 3 speeds, those for validation among them, "
        "with SpecAugment."
    )


def test_a_probe_alone_moves_nothing(words):
    net = small_backbone("resnet50")
    before = [w.copy() for w in net.model.get_weights()]
    _, _, told, _ = learn_sounds(net, words, phases=0, store=None)
    assert told.startswith("Linear probe, no fine-tuning")
    for one, other in zip(before, net.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_new_speaker_with_few_recordings_counts(words):
    rows = np.flatnonzero((words.train.table["speaker"] != "ann") | words.train.table["path"].str.endswith("_0.wav"))
    few = words.train.take(rows)
    sizes = few.table["speaker"].value_counts()
    assert balanced(few, None) is few
    even = balanced(few, "speaker").table["speaker"].value_counts()
    assert even.min() >= 0.2 * sizes.mean() and (even >= sizes).all()
    heavy = joined(few, few)
    assert heavy.num_examples == 2 * few.num_examples and (heavy.labels == np.tile(few.labels, 2)).all()


def test_pictures_in_memory_are_the_same(words, monkeypatch):
    kept = in_memory(words.val)
    assert isinstance(kept.pictures[0], np.ndarray) and kept.fingerprint == words.val.fingerprint
    np.testing.assert_array_equal(kept.array(), words.val.array())
    monkeypatch.setattr(recipe_sound, "IN_MEMORY", 10)
    assert in_memory(words.val) is words.val


def test_fit_reports_recordings_as_it_does_pictures(tmp_path, quick):
    root = speech_folder(tmp_path / "words", takes=3)
    test = speech_folder(tmp_path / "others", voices=("fay", "gus"), takes=2)
    splits, notes = read_splits(root, test=test, groups=r"^(?P<speaker>[a-z]+)_")
    fitted = fit_splits(splits, small_backbone("resnet50"), notes=notes)
    assert fitted.report.n == 8 and fitted.report.groups == "speaker" and "SpecAugment" in fitted.decision


def test_the_command_line(tmp_path, quick):
    from tlteach.cli import app

    root, test = speech_folder(tmp_path / "words"), speech_folder(tmp_path / "others", voices=("fay", "gus"), takes=2)
    args = ["fit", root, "--backbone", "speech", "--size", "mini", "--test", test, "--out", tmp_path / "out"]
    done = CliRunner().invoke(app, [str(a) for a in args])
    assert done.exit_code == 0, done.output
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["n"] == 8 and report["classes"] == ["no", "yes"] and "SpecAugment" in report["decision"]
    lines = CliRunner().invoke(app, ["predict", str(tmp_path / "out" / "model.keras"), str(test / "no")]).stdout
    assert len(lines.strip().splitlines()) == 4
