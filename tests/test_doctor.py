"""The doctor: every row in a good and in a bad state, and that it works where Keras does not."""

import json
import os
import re
import socket
import subprocess
import sys
import time
import tomllib

import pytest
from conftest import ROOT
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from typer.testing import CliRunner

from tlteach import _network, _versions, doctor
from tlteach._versions import Package
from tlteach.cli import app
from tlteach.doctor import FINE, LOOK, MEND

GOOD = lambda: ("3.15.1", "tensorflow", 0)  # noqa: E731


@pytest.fixture(autouse=True)
def offline(monkeypatch, tmp_path):
    monkeypatch.setattr(_network, "reached", lambda hosts, seconds: {host: False for host, _ in hosts})
    monkeypatch.setattr(_network, "proxy", lambda: None)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    for name in ("TLTEACH_DATA", "TLTEACH_SIZE", "KERAS_BACKEND"):
        monkeypatch.delenv(name, raising=False)


def rows(probe=GOOD):
    return {finding.what: finding for finding in doctor.examine(probe=probe)}


def test_a_machine_without_network_and_gpu_is_fine_for_the_mini_size():
    found = rows()
    assert doctor.mini_runs(found.values())
    assert found["Keras"][1:3] == ("3.15.1 on tensorflow", FINE) and found["Python"].state != MEND
    assert found["GPU"].state == found["network"].state == found["ImageNet weights"].state == FINE
    assert found["network"].found.startswith("not reached, and not needed in mini size (")
    assert "(no answer: " in found["network"].found and "api.kaggle.com" in found["network"].found
    assert found["ImageNet weights"].found.startswith("not there, and not needed in mini size (0 files in ")
    assert "vgg16, resnet50, mobilenetv2" in found["ImageNet weights"].advice
    assert found["full data"].found == "not prepared, and not needed in mini size"
    assert found["KerasHub preset"].found == "bert_base_en_uncased: not there, and not needed in mini size"
    assert "brain_mri, cats_vs_dogs" in found["full data"].advice


def test_a_network_of_which_a_part_answers(monkeypatch):
    answers = lambda hosts, seconds: {host: host == "api.kaggle.com" for host, _ in hosts}  # noqa: E731
    monkeypatch.setattr(_network, "reached", answers)
    told = rows()["network"].found
    assert told.startswith("not all of it reached, and not needed in mini size (answers: api.kaggle.com; no answer: ")
    monkeypatch.setattr(_network, "reached", lambda hosts, seconds: {host: True for host, _ in hosts})
    assert "reached" not in rows()["network"].found and rows()["network"][2:] == (FINE, "")


def test_the_full_size_wants_more(monkeypatch):
    monkeypatch.setenv("TLTEACH_SIZE", "full")
    found = rows()
    assert found["network"].state == found["ImageNet weights"].state == found["full data"].state == LOOK
    assert found["network"].found.startswith("not reached (") and "mini" not in found["network"].advice
    assert found["full data"].found == "not prepared"
    assert doctor.mini_runs(found.values())


def test_a_gpu_is_counted():
    assert rows(lambda: ("3.15.1", "jax", 2))["GPU"] == ("GPU", "2 seen by jax", FINE, "")


@pytest.mark.parametrize(
    ("reason", "advice"),
    [
        ("ModuleNotFoundError: No module named 'keras'", "pip install keras tensorflow"),
        ("the process was ended by signal 4 while Keras starts", "AVX"),
        ("ImportError: cannot import name 'x'", "fresh environment"),
    ],
)
def test_keras_that_does_not_start_is_told_with_all_the_rest(reason, advice):
    found = rows(lambda: reason)
    assert found["Keras"].state == MEND and reason in found["Keras"].found and advice in found["Keras"].advice
    assert "disk" in found and not doctor.mini_runs(found.values())
    assert "The mini size does not run here yet. Mend first: Keras." in doctor.told(list(found.values()))


@pytest.mark.parametrize(
    ("backend", "advice"), [("torch7", "must be one of"), ("torch", "torch, which is not installed")]
)
def test_a_backend_that_is_not_there(monkeypatch, backend, advice):
    monkeypatch.setenv("KERAS_BACKEND", backend)
    monkeypatch.setattr(_versions, "installed", lambda name: None if name == "torch" else "1")
    assert advice in rows(lambda: "ImportError: x")["Keras"].advice


def test_the_probe_itself(monkeypatch, tmp_path):
    """Broken Keras packages in a folder that comes first, so that nothing large is imported."""
    package = tmp_path / "keras"
    package.mkdir()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    programs = {
        "raise ImportError('half installed')": "ImportError: half installed",
        "import os; os.kill(os.getpid(), 4)": "the process was ended by signal 4 while Keras starts",
        "import time; time.sleep(60)": "did not start within 2 seconds",
    }
    monkeypatch.setattr(doctor, "STARTS_WITHIN", 2)
    for program, told in programs.items():
        (package / "__init__.py").write_text(program)
        assert doctor.probe_keras() == told
    fake = "class ops: zeros = print\nclass backend: backend = staticmethod(lambda: 'jax')\nversion = lambda: '9'\n"
    fake += "class distribution: list_devices = staticmethod(lambda kind: ['gpu:0'])\n"
    (package / "__init__.py").write_text(fake)
    assert doctor.probe_keras() == ("9", "jax", 1)


def test_the_command_where_keras_is_missing(tmp_path):
    (tmp_path / "keras.py").write_text("raise ModuleNotFoundError(\"No module named 'keras'\")")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    command = [sys.executable, "-m", "tlteach.cli", "doctor", "--json"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    told = json.loads(done.stdout)
    assert done.returncode == 1 and told["mini_runs"] is False
    keras = next(row for row in told["findings"] if row["what"] == "Keras")
    assert keras["state"] == "mend" and "No module named 'keras'" in keras["found"] and "Traceback" not in done.stderr


def test_the_command_says_it_in_words(monkeypatch):
    monkeypatch.setattr(doctor, "probe_keras", GOOD)
    done = CliRunner().invoke(app, ["doctor"])
    assert done.exit_code == 0 and "The mini size runs here." in done.output
    assert "fine  Keras" in done.output


def test_versions_outside_the_range(monkeypatch):
    packages = [
        Package("numpy", "", "1.26", "2.4.6", "1.25.2"),
        Package("pandas", "", "2.2", "3.1.1", None),
        Package("scipy", "", "1.11", None, "1.17"),
        Package("jax", "dev", "0.4", None, None),
        Package("typer", "", "0.12", "0.29.2", "0.30.0"),
        Package("tqdm", "", "4.66", "4.70.1", "4.70.9"),
        Package("keras-hub", "text", "0.32", "0.32.0", None),
        Package("h5py", "full", "3.10", None, "3.9"),
    ]
    monkeypatch.setattr(_versions, "packages", lambda: packages)
    found = rows()
    assert found["numpy"][1:] == ("1.25.2; 1.26 or newer is needed", MEND, "pip install 'numpy>=1.26'")
    assert found["pandas"][1:3] == ("not installed; 2.2 or newer is needed", MEND)
    assert (
        found["typer"][1:3] == ("0.30.0, newer than the tested 0.29.2", LOOK)
        and "typer~=0.29.2" in found["typer"].advice
    )
    assert found["h5py"].state == LOOK and "jax" not in found and "tqdm" not in found
    assert found["scipy"][1:3] == ("1.17, not tested; 1.11 or newer is allowed", LOOK)
    assert found["packages"].found == "1 within the tested range"
    assert found["extra [text]"][1:3] == ("keras-hub not installed", LOOK)
    assert found["extra [text]"].advice.endswith("pip install 'tlteach[text]'") and found["extra [full]"].state == FINE


def test_the_range_is_that_of_the_package():
    packages = {each.name: each for each in _versions.packages()}
    assert packages["keras"].oldest and packages["keras"].tested and packages["keras"].state in ("fine", "newer")
    assert packages["keras-hub"].extra == "text" and packages["filelock"].extra == ""
    assert "tlteach" not in packages, "the extra that holds the others is no package"


def test_of_every_package_a_tested_version_is_known():
    """Whatever `pyproject.toml` names, in any extra, `constraints.txt` has."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"].values()
    told = [Requirement(line) for lines in (project["dependencies"], *extras) for line in lines]
    known = _versions._tested()
    assert [each.name for each in told if each.name != "tlteach" and canonicalize_name(each.name) not in known] == []
    for each in told:
        assert each.name == "tlteach" or known[canonicalize_name(each.name)] in each.specifier, each


def test_a_python_that_is_newer_than_the_tested_one(monkeypatch):
    tested = re.search(r"on Python (3\.\d+):", (ROOT / "constraints.txt").read_text(encoding="utf-8"))[1]
    assert _versions.python_newer(f"{tested}.99") is None and _versions.python_newer("3.99.1") == tested
    monkeypatch.setattr(_versions, "_constraints", lambda: "# Tested on Python 3.9: pip\nnumpy==1\n")
    assert rows()["Python"].state == LOOK and "newer than the tested 3.9, " in rows()["Python"].found
    monkeypatch.setattr(_versions, "_constraints", lambda: "numpy==1\n")
    assert rows()["Python"].state == FINE


def test_a_python_that_is_not_allowed(monkeypatch):
    monkeypatch.setattr(_versions, "python_allowed", lambda: SpecifierSet(">=4"))
    assert rows()["Python"].state == MEND and "needs Python >=4" in rows()["Python"].advice


def test_tlteach_that_is_not_installed(monkeypatch):
    monkeypatch.setattr(_versions, "installed", lambda name: None if name == "tlteach" else "1")
    assert rows()["tlteach"].state == LOOK


def test_a_wrong_size(monkeypatch):
    monkeypatch.setenv("TLTEACH_SIZE", "huge")
    assert rows()["TLTEACH_SIZE"].state == MEND and "Received: 'huge'" in rows()["TLTEACH_SIZE"].found


def test_little_memory_and_a_full_disk(monkeypatch):
    free = type("Memory", (), {"available": 1e9, "total": 4e9})
    monkeypatch.setattr(doctor.psutil, "virtual_memory", lambda: free)
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path: type("Disk", (), {"free": 1e8}))
    found = rows()
    assert found["memory"][1:3] == ("1.0 GB free of 4.0 GB; the mini size wants 3 GB", LOOK)
    assert found["disk"].state == LOOK and "TLTEACH_CACHE" in found["disk"].advice


def test_a_cache_that_cannot_be_written(monkeypatch, tmp_path):
    def refused(dir):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setenv("TLTEACH_CACHE", str(tmp_path / "new" / "cache"))
    assert rows()["cache folder"].state == FINE and not (tmp_path / "new").exists()
    monkeypatch.setattr(doctor.tempfile, "TemporaryFile", refused)
    _, told, state, advice = rows()["cache folder"]
    assert told == f"{tmp_path}/new/cache, cannot be written (Permission denied)" and state == MEND
    assert advice == "Set TLTEACH_CACHE to a folder of your own."


def test_what_is_prepared_is_told_also_from_a_shared_folder(monkeypatch, tmp_path):
    (tmp_path / "datasets/cats_vs_dogs/full").mkdir(parents=True)
    (tmp_path / "models").mkdir()
    (tmp_path / "models/vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5").touch()
    monkeypatch.setenv("TLTEACH_DATA", str(tmp_path))
    found = rows()
    assert found["shared folder"].state == FINE and found["full data"].found.startswith("cats_vs_dogs prepared,")
    assert found["ImageNet weights"].found.startswith("vgg16 there, the others not, and not needed in mini size (1 fil")
    monkeypatch.setenv("TLTEACH_DATA", str(tmp_path / "gone"))
    assert rows()["shared folder"].state == LOOK


def test_the_network_is_asked_side_by_side_and_never_waited_for(monkeypatch):
    monkeypatch.undo()

    def hangs(address, timeout):
        time.sleep(30)
        raise OSError

    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert _network.reached([("127.0.0.1", port), ("localhost", 1)], seconds=3) == {
            "127.0.0.1": True,
            "localhost": False,
        }
    monkeypatch.setattr(socket, "create_connection", hangs)
    began = time.monotonic()
    assert not any(_network.reached([("a.invalid", 1), ("b.invalid", 1)], seconds=0.3).values())
    assert time.monotonic() - began < 2


def test_a_proxy_is_asked_instead(monkeypatch):
    monkeypatch.setattr(_network, "proxy", lambda: ("proxy.invalid", 3128))
    assert rows()["network"].found == (
        "not reached, and not needed in mini size (through a proxy, no answer: proxy.invalid)"
    )


def test_what_a_proxy_is_read_from(monkeypatch):
    monkeypatch.undo()
    monkeypatch.setenv("https_proxy", "http://someone:secret@proxy.invalid:3128")
    assert _network.proxy() == ("proxy.invalid", 3128)
