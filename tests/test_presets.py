"""KerasHub presets in a bundle: gathered through kagglehub, placed whole or not at all, loaded without a network.

A tiny preset in KerasHub's own layout stands for the published one, and a folder for Kaggle.
"""

import hashlib
import importlib
import os
import socket
import sys
import tarfile

import keras
import numpy as np
import pytest
from conftest import close
from test_prefetch import _named, rewritten
from typer.testing import CliRunner

import tlteach as tl
from tlteach import _bundle, _download, _network, _presets, doctor, prefetch
from tlteach.cli import app

hub = pytest.importorskip("keras_hub")
kagglehub = pytest.importorskip("kagglehub")
from tlteach._language import FULL, flatten  # noqa: E402

WORDS = "[PAD] [UNK] [CLS] [SEP] [MASK] a the soup film was good bad !".split()
SOURCES = _presets.preset_files(FULL)
FILES = {source.file for source in SOURCES}
WEIGHTS = f"{FULL}/model.weights.h5"


@pytest.fixture(scope="module")
def tiny():
    keras.utils.set_random_seed(0)
    sizes = dict(vocabulary_size=len(WORDS), num_layers=2, num_heads=2, hidden_dim=8, intermediate_dim=16)
    return hub.models.BertBackbone(**sizes, max_sequence_length=12)


@pytest.fixture(scope="module")
def published(tiny, tmp_path_factory):
    folder = tmp_path_factory.mktemp("kaggle")
    tiny.save_to_preset(folder)
    hub.tokenizers.BertTokenizer(WORDS, lowercase=True).save_to_preset(folder)
    return folder


class Kaggle:
    """What stands for `kagglehub.model_download`; `fails` names files whose next requests raise."""

    def __init__(self, folder):
        self.folder, self.asked, self.fails = folder, [], {}

    def model_download(self, handle, path=None, **_):
        self.asked.append((handle, path))
        if self.fails.get(path):
            raise self.fails[path].pop(0)
        return str(self.folder / path)


@pytest.fixture(autouse=True)
def kaggle(published, monkeypatch, tmp_path):
    for name, folder in {"KERAS_HOME": "keras", "TFDS_DATA_DIR": "tfds", "KAGGLEHUB_CACHE": "hub"}.items():
        monkeypatch.setenv(name, str(tmp_path / folder))
    monkeypatch.delenv("TLTEACH_DATA", raising=False)
    monkeypatch.setattr(_download, "PAUSE", 0)
    found = Kaggle(published)
    monkeypatch.setattr(kagglehub, "model_download", found.model_download)
    return found


@pytest.fixture
def bundle(tmp_path):
    prefetch.gather(tmp_path / "bundle.tar", SOURCES)
    return tmp_path / "bundle.tar"


@pytest.fixture
def home(tmp_path, monkeypatch):
    """Another machine's folder of Keras; nothing answers there."""

    def unreachable(*_, **__):
        raise AssertionError("the network was asked")

    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "elsewhere"))
    monkeypatch.setattr(kagglehub, "model_download", unreachable)
    monkeypatch.setattr(socket.socket, "connect", unreachable)
    monkeypatch.setattr(socket, "getaddrinfo", unreachable)
    monkeypatch.setattr(importlib.import_module("keras.src.utils.file_utils"), "get_file", unreachable)
    return tmp_path / "elsewhere"


def everything(home):
    return {path.relative_to(home / "models").as_posix() for path in home.rglob("*") if path.is_file()}


def test_keras_hub_itself_asks_for_these_files(kaggle):
    tl.load_backbone("bert", "full")
    assert {(f"kaggle://{handle}", f"{FULL}/{path}") for handle, path in kaggle.asked} == {
        (source.url, source.file) for source in SOURCES
    }


def test_there_and_back_without_a_network(bundle, home, tiny, published):
    lines = prefetch.place(bundle)
    assert everything(home) == FILES and lines[0] == str(home / "models" / SOURCES[0].file)
    truth = flatten(tiny)
    for name in ("bert", FULL):
        bert = tl.load_backbone(name, "full")
        tokens = bert.tokenizer(["A good film!", "the soup"])
        assert tokens.tolist() == [[2, 5, 10, 8, 12, 3], [2, 6, 7, 3, -1, -1]]
        assert close(bert.model.predict_on_batch(tokens), truth.predict_on_batch(tokens))
        assert bert.name == name and bert.weights == str(home / "models" / FULL)
    twin = tl.load_backbone("bert", "full", weights=None)
    assert twin.weights == "random" and not np.array_equal(twin.model.get_weights()[0], truth.get_weights()[0])
    assert all(line.endswith("was there already") for line in prefetch.place(bundle))


def test_a_folder_that_many_share(bundle, home, monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "shared"))
    prefetch.place(bundle)
    monkeypatch.setenv("KERAS_HOME", str(home))
    monkeypatch.setenv("TLTEACH_DATA", str(tmp_path / "shared"))
    assert tl.load_backbone("bert", "full").weights == str(tmp_path / "shared/models" / FULL)


def test_sums_are_found_when_gathering(tmp_path, published):
    lines = prefetch.gather(tmp_path / "bundle.tar", SOURCES)
    sums = [hashlib.sha256((published / s.file.split("/", 1)[1]).read_bytes()).hexdigest() for s in SOURCES]
    assert lines[:-1] == [f"{s.file}: SHA-256 {sha}" for s, sha in zip(SOURCES, sums, strict=True)]


def test_a_lost_connection_is_tried_again_and_a_stopped_gathering_goes_on(kaggle, tmp_path):
    kaggle.fails["config.json"] = [ConnectionResetError(104, "reset"), TimeoutError("slow")]
    kaggle.fails["model.weights.h5"] = [KeyboardInterrupt()]
    with pytest.raises(KeyboardInterrupt):
        prefetch.gather(tmp_path / "bundle.tar", SOURCES)
    assert [path for _, path in kaggle.asked].count("config.json") == 3
    assert not (tmp_path / "bundle.tar").exists()
    prefetch.gather(tmp_path / "bundle.tar", SOURCES)
    assert (tmp_path / "bundle.tar").exists() and list(tmp_path.glob("*.parts")) == []


def test_what_is_said_where_kaggle_does_not_answer_or_refuses(kaggle, tmp_path):
    kaggle.fails["config.json"] = [ConnectionError("no route to host")] * _download.TRIES
    with pytest.raises(
        OSError, match=r"config\.json could not be fetched .*no route to host.*the same command goes on"
    ):
        prefetch.gather(tmp_path / "bundle.tar", SOURCES)
    assert len(kaggle.asked) == _download.TRIES
    refusal = kagglehub.exceptions.KaggleApiHTTPError("404 Client Error.", type("Answer", (), {"status_code": 404}))
    for error in (refusal, OSError(28, "No space left on device"), ValueError("not present")):
        kaggle.asked.clear()
        kaggle.fails["config.json"] = [error]
        with pytest.raises(OSError, match="could not be fetched"):
            prefetch.gather(tmp_path / "bundle.tar", SOURCES)
        assert len(kaggle.asked) == 1


def test_without_kagglehub_nothing_is_begun(kaggle, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "kagglehub", None)
    done = CliRunner().invoke(app, ["prefetch", "--lessons", "06", "--to", str(tmp_path / "bundle.tar")])
    assert done.exit_code == 1 and "which comes with it: pip install 'tlteach[text]'" in done.output.replace("\n", " ")
    assert kaggle.asked == [] and list(tmp_path.glob("bundle*")) == []


def test_a_stopped_placing_counts_for_nothing_until_it_was_made_again(bundle, home, monkeypatch):
    real, done = os.replace, []

    def stopped(*paths):
        if len(done) == 3:
            raise KeyboardInterrupt
        done.append(real(*paths))

    with monkeypatch.context() as broken:
        broken.setattr(_bundle.os, "replace", stopped)
        with pytest.raises(KeyboardInterrupt):
            prefetch.place(bundle)
    assert len(everything(home)) == 3 and _presets.placed_preset(FULL) is None
    with pytest.raises(OSError, match=r"could not be fetched .*Bring it in a bundle \(tlteach prefetch\), or give"):
        tl.load_backbone("bert", "full")
    lines = prefetch.place(bundle)
    assert sum(line.endswith("was there already") for line in lines) == 3 and everything(home) == FILES
    tl.load_backbone("bert", "full")


def _renamed(name, kind=None):
    """Put another name, and so another place, on the last file."""

    def change(files, members):
        files[-1].update(file=name, kind=kind or files[-1]["kind"])
        return [*members[:-1], (_named(f"{files[-1]['kind']}/{name}"), members[-1][1])]

    return change


TAMPERED = {
    "out of its folder": (_renamed(f"{FULL}/../../x.h5"), "no lesson needs preset/"),
    "out of Keras' folder": (_renamed(f"../{WEIGHTS}"), "no lesson needs preset/"),
    "an absolute path": (_renamed("/tmp/x.h5"), "no lesson needs preset/"),
    "a file more": (_renamed(f"{FULL}/run.py"), "no lesson needs preset/"),
    "weights in a folder": (_renamed(WEIGHTS, "weights"), "no lesson needs weights/"),
    "other bytes": (lambda f, m: [(m[0][0], b"x" + m[0][1][1:]), *m[1:]], "must have SHA-256"),
    "a link": (lambda f, m: [*m[:-1], (_named(f"preset/{WEIGHTS}", tarfile.SYMTYPE, "/etc/passwd"), b"")], "a link or"),
    "a file less": (lambda f, m: m[:-1], f"cut short: preset/{WEIGHTS} is missing"),
}


@pytest.mark.parametrize("kind", TAMPERED)
def test_what_does_not_match_is_refused_and_nothing_is_touched(bundle, home, kind):
    change, sentence = TAMPERED[kind]
    rewritten(bundle, change)
    with pytest.raises(ValueError, match="a bundle must be whole") as refused:
        prefetch.place(bundle)
    assert sentence in str(refused.value) and not home.exists()


def test_a_name_with_a_way_out_is_refused_even_if_it_were_known(bundle, home):
    whole = bundle.read_bytes()
    for name, kind in ((f"{FULL}/../../x.h5", "preset"), (f"{FULL}//x.h5", "preset"), (WEIGHTS, "weights")):
        bundle.write_bytes(whole)
        rewritten(bundle, _renamed(name, kind))
        with pytest.raises(ValueError, match=f"no lesson needs {kind}/"):
            prefetch.place(bundle, known=[*SOURCES, SOURCES[-1]._replace(file=name, kind=kind)])
        assert not home.exists()


def test_a_bundle_cut_short_is_refused(bundle, home):
    whole = bundle.read_bytes()
    for length in (2000, len(whole) // 2, len(whole) - 12_000):
        bundle.write_bytes(whole[:length])
        with pytest.raises(ValueError, match="a bundle must be whole"):
            prefetch.place(bundle)
    assert not home.exists()


def test_what_stands_in_the_way(bundle, home, tmp_path):
    mine = home / "models" / WEIGHTS
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    with pytest.raises(ValueError, match=r"another file stands at .*model\.weights\.h5\. Pass --replace"):
        prefetch.place(bundle)
    assert mine.read_text() == "mine" and everything(home) == {WEIGHTS}
    prefetch.place(bundle, replace=True)
    assert mine.read_text(errors="replace") != "mine" and everything(home) == FILES


@pytest.mark.parametrize("place", [FULL, f"{FULL}/assets", "../models"])
def test_a_folder_that_leads_elsewhere_or_is_none(bundle, home, tmp_path, place):
    folder = home / "models" / place
    folder.parent.resolve().mkdir(parents=True)
    folder = folder.parent.resolve() / folder.name
    for kind in ("a link", "a file"):
        folder.symlink_to(tmp_path) if kind == "a link" else folder.touch()
        if kind == "a link" and place == "../models":  # Keras' own folder may lie where someone has put it
            prefetch.place(bundle)
            assert (tmp_path / WEIGHTS).exists()
        else:
            with pytest.raises(ValueError, match=f"a folder must stand at {folder}. Received: {kind}; move it away"):
                prefetch.place(bundle, replace=True)
            assert not (tmp_path / "model.weights.h5").exists() and not (tmp_path / "tokenizer").exists()
        folder.unlink()


def test_a_placed_preset_that_is_damaged(bundle, home):
    prefetch.place(bundle)
    (home / "models" / WEIGHTS).write_bytes(b"damaged")
    with pytest.raises(ValueError, match=rf"Received: .*{FULL}, which cannot be read"):
        tl.load_backbone("bert", "full")


def test_the_doctor_says_where_the_preset_is(bundle, home, monkeypatch):
    monkeypatch.setattr(_network, "reached", lambda hosts, seconds: {host: False for host, _ in hosts})
    monkeypatch.setattr(_network, "proxy", lambda: None)
    monkeypatch.setenv("TLTEACH_SIZE", "full")

    def row(what="KerasHub preset"):
        found = doctor.examine(probe=lambda: ("3.15.1", "tensorflow", 0))
        return next(finding[1:] for finding in found if finding.what == what)

    assert row()[:2] == (f"{FULL}: not there", doctor.LOOK) and "fetches bert once, or: tlteach prefetch" in row()[2]
    assert "no answer: " in row("network")[0] and "api.kaggle.com" in row("network")[0]
    handle = kagglehub.handle.parse_model_handle(SOURCES[0].url.removeprefix("kaggle://"))
    for number, source in enumerate(SOURCES):  # what kagglehub itself says of where it keeps them
        assert row()[1] == doctor.LOOK, number
        file = source.file.split("/", 1)[1]
        path = kagglehub.cache.get_cached_path(handle, file)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        open(path, "w").close()
        assert row()[1] == doctor.LOOK, "begun and not finished"
        kagglehub.cache.Cache().mark_as_complete(handle, file)
    assert row() == (f"{FULL}: {kagglehub.cache.get_cached_path(handle)}", doctor.FINE, "")
    prefetch.place(bundle)
    assert row() == (f"{FULL}: {home / 'models' / FULL}", doctor.FINE, "")
