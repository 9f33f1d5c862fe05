"""Prefetch: what comes over a bad line is whole, and a bundle changes nothing before all of it is verified."""

import csv
import hashlib
import http.server
import importlib.util
import io
import json
import shutil
import subprocess
import sys
import tarfile
import threading
from pathlib import Path

import h5py
import keras
import pytest
import tensorflow_datasets as tfds
from conftest import ROOT
from typer.testing import CliRunner

from tlteach import _bundle, _download, prefetch
from tlteach._sources import Source, all_sources, folder_of
from tlteach.backbones import load_backbone
from tlteach.cli import app

DATA = {"a.h5": bytes(range(256)) * 4000, "b.zip": b"archive" * 1000, "c.h5": b"no sum" * 10}


class _Handler(http.server.BaseHTTPRequestHandler):
    """Serves `DATA` with ranges; the server's `cut` names files whose next answer breaks off half-way, `tags` ETags."""

    def do_GET(self):
        name, start = self.path[1:], int((self.headers.get("Range") or "bytes=0-")[6:-1])
        tag, wanted = self.server.tags.get(name), self.headers.get("If-Range")
        if wanted and wanted != tag and self.server.heeds:
            start = 0
        self.server.asked.append((name, start))
        if name not in self.server.data:
            return self.send_error(404)
        data = self.server.data[name]
        if start >= len(data):
            return self.send_error(416)
        start = start if self.server.ranges else 0
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(data) - start))
        if tag:
            self.send_header("ETag", tag)
        self.end_headers()
        cut = self.server.cut.pop(name, len(data))
        self.wfile.write(data[start : start + cut])

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(_download, "PAUSE", 0)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        server.data, server.cut, server.asked, server.ranges = dict(DATA), {}, [], True
        server.tags, server.heeds = {"c.h5": '"1"'}, True  # whether the server heeds If-Range
        threading.Thread(target=server.serve_forever, daemon=True).start()
        server.url = f"http://127.0.0.1:{server.server_port}/"
        yield server
        server.shutdown()


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """Keras' folder and that of TensorFlow Datasets, empty."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tfds"))
    return tmp_path


def sources(url="http://nowhere.invalid/"):
    sums = {
        "a.h5": hashlib.md5(DATA["a.h5"]).hexdigest(),
        "b.zip": hashlib.sha256(DATA["b.zip"]).hexdigest(),
        "c.h5": "",
    }
    sizes = {"b.zip": len(DATA["b.zip"])}
    kinds = {name: "data" if name == "b.zip" else "weights" for name in DATA}
    return [Source(n[0], kinds[n], n, url + n, sizes.get(n, 0), sums[n]) for n in DATA]


@pytest.fixture
def bundle(server, tmp_path):
    prefetch.gather(tmp_path / "bundle.tar", sources(server.url))
    return tmp_path / "bundle.tar"


def everything(home):
    return {p.relative_to(home).as_posix() for f in ("keras", "tfds") for p in (home / f).rglob("*") if p.is_file()}


WHOLE = {"keras/models/a.h5", "keras/models/c.h5", "tfds/downloads/manual/b.zip"}


def test_there_and_back(bundle, home):
    lines = prefetch.place(bundle, known=sources())
    assert everything(home) == WHOLE and lines[0] == str(home / "keras/models/a.h5")
    for source in sources():
        assert (folder_of(source.kind) / source.file).read_bytes() == DATA[source.file]
    assert not bundle.with_name("bundle.tar.parts").exists()
    with tarfile.open(bundle) as archive:
        told = json.load(archive.extractfile("manifest.json"))
    assert [f["sha256"] for f in told["files"]] == [hashlib.sha256(d).hexdigest() for d in DATA.values()]


def test_a_cut_connection_goes_on_where_it_was(server, tmp_path):
    server.cut["a.h5"] = 600_000
    _download.fetch(sources(server.url)[0], tmp_path / "a.h5")
    assert server.asked == [("a.h5", 0), ("a.h5", 600_000)] and (tmp_path / "a.h5").read_bytes() == DATA["a.h5"]


def test_a_stopped_command_goes_on(server, tmp_path, monkeypatch):
    monkeypatch.setattr(_download, "TRIES", 1)
    server.cut["a.h5"] = 600_000
    with pytest.raises(OSError, match=r"a\.h5 could not be fetched .*the same command goes on"):
        prefetch.gather(tmp_path / "bundle.tar", sources(server.url))
    assert not (tmp_path / "bundle.tar").exists()
    prefetch.gather(tmp_path / "bundle.tar", sources(server.url))
    assert server.asked[:2] == [("a.h5", 0), ("a.h5", 600_000)] and (tmp_path / "bundle.tar").exists()


def test_a_server_without_ranges_and_a_part_that_is_whole(server, tmp_path):
    server.ranges = False
    for begun in (DATA["a.h5"][:100], DATA["a.h5"]):
        (tmp_path / "a.h5.part").write_bytes(begun)
        _download.fetch(sources(server.url)[0], tmp_path / "a.h5")
        assert (tmp_path / "a.h5").read_bytes() == DATA["a.h5"]
        (tmp_path / "a.h5").unlink()


def test_without_a_sum_a_part_of_an_unknown_file_is_not_joined(server, tmp_path):
    (tmp_path / "c.h5.part").write_bytes(b"other")
    _download.fetch(sources(server.url)[2], tmp_path / "c.h5")
    assert (tmp_path / "c.h5").read_bytes() == DATA["c.h5"] and server.asked == [("c.h5", 0)]


def broken_off(server, tmp_path, monkeypatch):
    """Fetch the file without a sum until the connection breaks after 25 bytes."""
    with monkeypatch.context() as once:
        once.setattr(_download, "TRIES", 1)
        server.cut["c.h5"] = 25
        with pytest.raises(OSError, match="the same command goes on"):
            _download.fetch(sources(server.url)[2], tmp_path / "c.h5")
    server.asked.clear()


def test_without_a_sum_the_rest_of_the_very_same_file_is_fetched(server, tmp_path, monkeypatch):
    broken_off(server, tmp_path, monkeypatch)
    server.cut["c.h5"] = 10
    _download.fetch(sources(server.url)[2], tmp_path / "c.h5")
    assert server.asked == [("c.h5", 25), ("c.h5", 35)] and (tmp_path / "c.h5").read_bytes() == DATA["c.h5"]
    assert [path.name for path in tmp_path.iterdir()] == ["c.h5"]


@pytest.mark.parametrize("heeds", [True, False])
def test_without_a_sum_a_changed_file_is_fetched_anew(server, tmp_path, monkeypatch, heeds):
    broken_off(server, tmp_path, monkeypatch)
    server.tags["c.h5"], server.data["c.h5"], server.heeds = '"2"', b"another" * 10, heeds
    _download.fetch(sources(server.url)[2], tmp_path / "c.h5")
    assert (tmp_path / "c.h5").read_bytes() == b"another" * 10
    assert server.asked == ([("c.h5", 0)] if heeds else [("c.h5", 25), ("c.h5", 0)])


@pytest.mark.parametrize("tag", [None, 'W/"1"'])
def test_without_a_sum_and_a_strong_tag_it_begins_anew(server, tmp_path, monkeypatch, tag):
    server.tags["c.h5"] = tag
    broken_off(server, tmp_path, monkeypatch)
    _download.fetch(sources(server.url)[2], tmp_path / "c.h5")
    assert server.asked == [("c.h5", 0)] and (tmp_path / "c.h5").read_bytes() == DATA["c.h5"]


def test_without_a_sum_a_part_that_is_whole_or_longer_is_fetched_anew(server, tmp_path):
    for begun in (DATA["c.h5"], DATA["c.h5"] + b"more"):
        (tmp_path / "c.h5.part").write_bytes(begun)
        (tmp_path / "c.h5.part.etag").write_text('"1"')
        _download.fetch(sources(server.url)[2], tmp_path / "c.h5")
        assert (tmp_path / "c.h5").read_bytes() == DATA["c.h5"]
        (tmp_path / "c.h5").unlink()


def test_another_file_at_the_address_is_refused(server, tmp_path):
    server.data["a.h5"] = b"an error page"
    with pytest.raises(OSError, match=r"a\.h5 must have MD5 .* Received: .*is another file or broken"):
        _download.fetch(sources(server.url)[0], tmp_path / "a.h5")
    assert list(tmp_path.glob("a.h5*")) == []


def test_a_missing_page_is_not_asked_for_again(server, tmp_path):
    with pytest.raises(OSError, match="404"):
        _download.fetch(sources(server.url)[0]._replace(url=server.url + "x"), tmp_path / "x")
    assert len(server.asked) == 1


def test_what_is_here_already_is_not_fetched(server, home, tmp_path):
    place = folder_of("data") / "b.zip"
    place.parent.mkdir(parents=True)
    place.write_bytes(DATA["b.zip"])
    prefetch.gather(tmp_path / "bundle.tar", sources(server.url))
    assert {name for name, _ in server.asked} == {"a.h5", "c.h5"}


def test_equal_files_are_kept_and_others_refused_unless_told(bundle, home):
    prefetch.place(bundle, known=sources())
    before = (home / "keras/models/a.h5").stat().st_mtime_ns
    assert all(line.endswith("was there already") for line in prefetch.place(bundle, known=sources()))
    (home / "keras/models/c.h5").write_text("mine")
    (home / "tfds/downloads/manual/b.zip").unlink()
    with pytest.raises(ValueError, match=r"another file stands at .*c\.h5\. Pass --replace"):
        prefetch.place(bundle, known=sources())
    assert (home / "keras/models/c.h5").read_text() == "mine" and everything(home) == WHOLE - {
        "tfds/downloads/manual/b.zip"
    }
    prefetch.place(bundle, known=sources(), replace=True)
    assert (home / "keras/models/c.h5").read_bytes() == DATA["c.h5"] and everything(home) == WHOLE
    assert (home / "keras/models/a.h5").stat().st_mtime_ns == before


def rewritten(bundle, change):
    """Write a bundle anew with its manifest and members changed by `change(files, members)`."""
    with tarfile.open(bundle) as archive:
        members = [(m, archive.extractfile(m).read()) for m in archive]
    files = json.loads(members[0][1])["files"]
    rest = members[1:]
    rest = change(files, rest) or rest
    with tarfile.open(bundle, "w") as archive:
        told = json.dumps({"format": 1, "files": files}).encode()
        for member, data in [(tarfile.TarInfo("manifest.json"), told), *rest]:
            member.size = len(data) if member.isreg() else 0
            archive.addfile(member, io.BytesIO(data))


def _named(name, kind=tarfile.REGTYPE, link=""):
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, link
    return member


def _with(field, value):
    return lambda files, members: files[0].update({field: value})


TAMPERED = {
    "other bytes": (lambda f, m: [(m[0][0], b"x" + m[0][1][1:]), *m[1:]], "must have MD5"),
    "other bytes and sum": (lambda f, m: (f[2].update(sha256="0" * 64), None)[1], "must have SHA-256 0000"),
    "without sum": (lambda f, m: [*m[:2], (m[2][0], b"x" + m[2][1][1:])], "must have SHA-256"),
    "shorter": (lambda f, m: [*m[:2], (m[2][0], m[2][1][:-1])], "must have 60 bytes"),
    "missing": (lambda f, m: m[:2], "cut short: weights/c.h5 is missing"),
    "one more": (lambda f, m: [*m, (_named("weights/d.h5"), b"")], "is not in its manifest"),
    "twice": (lambda f, m: [*m, m[0]], "or twice in the bundle"),
    "a path that leaves": (lambda f, m: [*m, (_named("../../a.h5"), b"")], "'../../a.h5' is not in its manifest"),
    "an absolute path": (lambda f, m: [*m, (_named("/tmp/a.h5"), b"")], "'/tmp/a.h5' is not in its manifest"),
    "a leaving name": (_with("file", "../a.h5"), "no lesson needs weights/../a.h5"),
    "an absolute name": (_with("file", "/a.h5"), "no lesson needs weights//a.h5"),
    "unknown kind": (_with("kind", "programs"), "no lesson needs programs/a.h5"),
    "unknown file": (_with("file", "sitecustomize.py"), "no lesson needs weights/sitecustomize.py"),
    "a size that lies": (lambda f, m: f[1].update(bytes=5) or None, "must have 7000 bytes, and the manifest says 5"),
    "a manifest of another kind": (_with("bytes", "many"), "its manifest cannot be read"),
    "a link": (
        lambda f, m: [(_named("weights/a.h5", tarfile.SYMTYPE, "/etc/passwd"), b""), *m[1:]],
        "a link or a device",
    ),
    "a hard link": (lambda f, m: [(_named("weights/a.h5", tarfile.LNKTYPE, "data/b.zip"), b""), *m[1:]], "a link or"),
    "a device": (lambda f, m: [(_named("weights/a.h5", tarfile.FIFOTYPE), b""), *m[1:]], "a link or a device"),
    "a folder": (lambda f, m: [*m, (_named("weights", tarfile.DIRTYPE), b"")], "is not in its manifest"),
}


@pytest.mark.parametrize("kind", TAMPERED)
def test_what_does_not_match_is_refused_and_nothing_is_touched(bundle, home, kind):
    change, sentence = TAMPERED[kind]
    rewritten(bundle, change)
    with pytest.raises(ValueError) as refused:
        prefetch.place(bundle, known=sources())
    assert sentence in str(refused.value) and "a bundle must be whole" in str(refused.value)
    assert everything(home) == set() and not (home / "keras").exists()


def test_a_bundle_cut_short_anywhere_is_refused(bundle, home):
    whole = bundle.read_bytes()
    for length in (0, 100, 512, 2000, 3072, len(whole) // 2, len(whole) - 10240 - 512, len(whole) - 12_000):
        bundle.write_bytes(whole[:length])
        with pytest.raises(ValueError, match="a bundle must be whole"):
            prefetch.place(bundle, known=sources())
        assert everything(home) == set()


def test_a_full_disk_leaves_nothing_half(bundle, home, monkeypatch):
    real = _bundle.sums_of_stream

    def full(file, *, to=None):
        if to is not None and "c.h5" in to.name:
            raise OSError(28, "No space left on device")
        return real(file, to=to)

    monkeypatch.setattr(_bundle, "sums_of_stream", full)
    with pytest.raises(OSError, match=r"c\.h5 could not be written \(No space left on device\); nothing was changed"):
        prefetch.place(bundle, known=sources())
    assert everything(home) == set()


def test_too_little_room_is_told_before_anything_is_written(bundle, home, monkeypatch):
    monkeypatch.setattr(_bundle.shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 9, 1))
    with pytest.raises(OSError, match="need 1 MiB, and .* has 0 MiB free. Nothing was changed"):
        prefetch.place(bundle, known=sources())
    assert not (home / "keras").exists()


def test_keras_finds_the_weights_by_name_and_sum(bundle, home):
    prefetch.place(bundle, known=sources())
    found = keras.utils.get_file(  # no such host: it would fail, had Keras to fetch it
        origin="http://nowhere.invalid/a.h5",
        file_hash=sources()[0].sum,
        cache_subdir="models",
        cache_dir=home / "keras",
    )
    assert Path(found).read_bytes() == DATA["a.h5"]


def asked_of_keras(name, monkeypatch):
    """The file that Keras wants for a backbone's ImageNet weights: name, address and sum."""
    asked = []

    def ask(fname=None, origin=None, file_hash=None, **_):
        asked.append((fname or origin.rsplit("/", 1)[-1], origin, file_hash or ""))
        raise RuntimeError("that is all we want to know")

    module = importlib.import_module("keras.src.utils.file_utils")
    with monkeypatch.context() as recording:
        recording.setattr(module, "get_file", ask)
        with pytest.raises(RuntimeError, match="that is all"):
            load_backbone(name, "full")
    return asked[0]


@pytest.mark.parametrize("source", [s for s in all_sources() if s.kind == "weights"], ids=lambda s: s.name)
def test_keras_itself_asks_for_these_files(source, monkeypatch):
    assert asked_of_keras(source.name, monkeypatch) == (source.file, source.url, source.sum)


def test_the_data_are_those_of_the_builders():
    told = {}
    catalogue = Path(tfds.__file__).parent
    of_reviews = ("datasets/imdb_reviews/checksums.tsv", "url_checksums/yelp_polarity_reviews.txt")
    for path in (*(ROOT / "datasets").glob("*/checksums.tsv"), *(catalogue / name for name in of_reviews)):
        with open(path, newline="") as file:
            told |= {row[0]: (int(row[1]), row[2], row[3]) for row in csv.reader(file, delimiter="\t")}
    brain = builder_of("brain_mri")
    told |= {brain.URL.format(n): (size, md5, name) for name, (n, size, md5) in brain.ARCHIVES.items()}
    for source in all_sources():
        if source.kind == "data":
            assert told[source.url] == (source.bytes, source.sum, source.file)


def test_lessons_need_what_they_load():
    assert {s.name for s in prefetch.needed("01,3")} == {"vgg16", "resnet50", "cats_vs_dogs"}
    slices = {s.name for s in prefetch.needed("04")}
    assert slices == {"vgg16", "resnet50", "brain_mri"} and prefetch.needed("4") == prefetch.needed("04")
    assert not prefetch.needed("12"), "all of it is loaded in mini size"
    assert prefetch.needed("all") == list(all_sources())
    assert {s.name for s in prefetch.needed("07")} == {"bert"}
    with pytest.raises(ValueError, match=r"lessons must be all, or some of 01.*Received: '99'"):
        prefetch.needed("99")


def test_the_folder_is_where_tfds_looks(monkeypatch):
    monkeypatch.delenv("TFDS_DATA_DIR")
    assert folder_of("data") == Path(tfds.core.constants.get_default_data_dir()).expanduser() / "downloads" / "manual"


def builder_of(name):
    path = ROOT / "datasets" / name / f"{name}_dataset_builder.py"
    spec = importlib.util.spec_from_file_location(f"prefetched_{name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def unreachable(*_, **__):
    raise ConnectionError("no network here")


def test_tfds_finds_a_placed_archive(server, home, tmp_path, monkeypatch):
    module, file = builder_of("cats_vs_dogs"), "kagglecatsanddogs_5340.zip"
    server.data[file] = (ROOT / "datasets/cats_vs_dogs/dummy_data" / file).read_bytes()
    sha = hashlib.sha256(server.data[file]).hexdigest()
    source = [Source("cats_vs_dogs", "data", file, server.url + file, len(server.data[file]), sha)]
    known = tfds.core.download.checksums.UrlInfo(len(server.data[file]), sha, file)
    monkeypatch.setattr(module.Builder, "url_infos", {module.URL: known})
    monkeypatch.setattr("tensorflow_datasets.core.download.downloader._Downloader.download", unreachable)
    prefetch.gather(tmp_path / "bundle.tar", source)
    prefetch.place(tmp_path / "bundle.tar", known=source)
    builder = module.Builder(data_dir=tmp_path / "tfds", config="full")
    builder.download_and_prepare()
    assert builder.info.splits["train"].num_examples == 4


def test_the_brain_builder_finds_placed_archives(tmp_path, monkeypatch):
    module, sums = builder_of("brain_mri"), {}
    manual = tmp_path / "tfds/downloads/manual"
    shutil.copytree(ROOT / "datasets/brain_mri/dummy_data", manual)
    for name, (number, *_) in module.ARCHIVES.items():
        data = (manual / name).read_bytes()
        sums[name] = number, len(data), hashlib.md5(data).hexdigest()
    for name, value in {"ARCHIVES": sums, "SLICES": 6, "PATIENTS": 4}.items():
        monkeypatch.setattr(module, name, value)
    monkeypatch.setattr("tensorflow_datasets.core.download.downloader._Downloader.download", unreachable)
    builder = module.Builder(data_dir=tmp_path / "tfds", config="full")
    builder.download_and_prepare()
    assert builder.info.splits["train"].num_examples == 6
    (manual / next(iter(sums))).write_bytes(b"broken")
    shutil.rmtree(tmp_path / "tfds/brain_mri")
    with pytest.raises(OSError, match="must have .* bytes and MD5"):
        module.Builder(data_dir=tmp_path / "tfds", config="full").download_and_prepare()
    assert (manual / next(iter(sums))).exists()  # what someone put there is left


def test_the_commands_sentences(bundle, home, tmp_path):
    run = CliRunner().invoke
    for words, code, sentence in (
        (["prefetch"], 2, "needs one of --to BUNDLE, --from BUNDLE and --list"),
        (["prefetch", "--from", str(tmp_path / "x.tar")], 1, "--from needs an existing bundle"),
        (["prefetch", "--from", str(bundle)], 1, "no lesson needs weights/a.h5"),
        (["prefetch", "--lessons", "06,07", "--list"], 0, "bert: bert_base_en_uncased/config.json, size not published"),
        (["prefetch", "--lessons", "x", "--list"], 1, "lessons must be all"),
    ):
        done = run(app, words)
        assert done.exit_code == code and sentence in done.output, done.output
    assert everything(home) == set()


def test_listing_fetches_nothing(home):
    lines = prefetch.listing(prefetch.needed("01"))
    assert str(home / "keras/models/vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5") in lines[0]
    assert "825 MB, SHA-256, not there" in lines[1] and everything(home) == set()


# a folder that many share


READER = """
import os, sys
from pathlib import Path
from tlteach import _tfds, _store

def read():
    folder = _tfds.export_full("cats_vs_dogs")
    rows = _store.finished_rows(Path(sys.argv[1]) / "features/ab/abc", count=300, shape=(4,))
    return folder == Path(sys.argv[1]) / "datasets/cats_vs_dogs/full" and rows[299, 3] == 299 * 4 + 3

children = []
for _ in range(30):
    children.append(os.fork())
    if not children[-1]:
        os._exit(7 if read() else 1)
print(*(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children))
"""


def test_a_shared_folder_is_read_by_many_at_once_and_gets_no_file(tmp_path, monkeypatch):
    import numpy as np

    from tlteach import _store

    shared = tmp_path / "shared"
    (shared / "datasets/cats_vs_dogs/full/cat").mkdir(parents=True)
    rows = np.arange(1200, dtype="float32").reshape(300, 4)
    _store.kept_rows(shared / "features/ab/abc", count=300, shape=(4,), compute=lambda a, b: rows[a:b])
    before = {p: p.stat().st_mtime_ns for p in shared.rglob("*")}
    for path in sorted(shared.rglob("*"), reverse=True):
        path.chmod(0o555 if path.is_dir() else 0o444)
    own = {"TLTEACH_DATA": str(shared), "TLTEACH_CACHE": str(tmp_path / "cache"), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", READER, str(shared)]
    done = subprocess.run(command, env={"PATH": "", **own}, capture_output=True, text=True)
    assert done.stdout.split() == ["7"] * 30, done.stderr
    assert {p: p.stat().st_mtime_ns for p in shared.rglob("*")} == before and not (tmp_path / "cache").exists()


def test_features_of_a_shared_folder_are_used_and_new_ones_go_to_the_own_cache(tmp_path, monkeypatch):
    from conftest import pixels, small_backbone

    from tlteach import features

    backbone, pictures = small_backbone("vgg16"), pixels(3, (32, 32))
    monkeypatch.setenv("TLTEACH_CACHE", str(tmp_path / "shared"))
    first = features.extract_features(backbone, pictures)
    before = set((tmp_path / "shared").rglob("*"))
    monkeypatch.setenv("TLTEACH_CACHE", str(tmp_path / "own"))
    monkeypatch.setenv("TLTEACH_DATA", str(tmp_path / "shared"))
    again = features.extract_features(backbone, pictures)
    assert (first == again).all() and "shared" in str(again.filename) and not (tmp_path / "own").exists()
    features.extract_features(backbone, pictures[:2])
    assert set((tmp_path / "shared").rglob("*")) == before and (tmp_path / "own/features").exists()


def test_finished_rows_are_read_where_nothing_can_be_written(tmp_path, monkeypatch):
    import numpy as np

    from tlteach import _store

    rows = np.arange(1200, dtype="float32").reshape(300, 4)
    how = dict(count=300, shape=(4,), compute=lambda a, b: rows[a:b])
    _store.kept_rows(tmp_path / "rows", **how)

    def read_only(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(_store, "FileLock", read_only)
    assert np.array_equal(_store.kept_rows(tmp_path / "rows", **how), rows)
    with open(tmp_path / "rows/rows.npy", "r+b") as file:
        file.seek(-4, 2)
        file.write(b"0000")
    with pytest.warns(UserWarning, match="damaged"), pytest.raises(OSError, match="must be there and be writable"):
        _store.kept_rows(tmp_path / "rows", **how)


def test_weights_of_a_shared_folder(tmp_path, monkeypatch):
    model = keras.applications.MobileNetV2(weights=None, include_top=False, input_shape=(224, 224, 3))
    (tmp_path / "models").mkdir()
    file = next(s.file for s in all_sources() if s.name == "mobilenetv2")
    old_format = importlib.import_module("keras.src.legacy.saving.legacy_h5_format")
    with h5py.File(tmp_path / "models" / file, "w") as opened:  # as the published files are
        old_format.save_weights_to_hdf5_group(opened, model)
    monkeypatch.setenv("TLTEACH_DATA", str(tmp_path))
    backbone = load_backbone("mobilenetv2")
    assert backbone.weights == str(tmp_path / "models" / file)
    assert (backbone.model.get_weights()[0] == model.get_weights()[0]).all()
