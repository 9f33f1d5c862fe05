"""What this machine has, and what to do about it: `tlteach doctor`.

Keras is looked at in a process of its own: where it is missing, hangs or crashes, the rest is still told.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import psutil

from tlteach import _network, _presets, _versions
from tlteach._assets import cache_dir, default_size, shared_dir, shipped
from tlteach._sources import all_sources, folder_of, keras_home

FINE, LOOK, MEND = "fine", "look", "mend"
BACKENDS = {"tensorflow": "tensorflow", "jax": "jax", "torch": "torch"}  # Keras' name: the package
MEMORY = {"mini": 3.0, "full": 8.0}  # GB that a lesson needs free
DISK = {"mini": 0.5, "full": 10.0}  # GB
STARTS_WITHIN = 180  # seconds
_HOSTS = ("vgg16", "cats_vs_dogs", "brain_mri")  # sources whose hosts are asked: weights, and two kinds of data
_PROBE = """
import json, sys
import keras
keras.ops.zeros(1)
try:
    gpus = keras.distribution.list_devices("gpu")
except Exception:
    torch = sys.modules.get("torch")
    gpus = ["cuda"] * torch.cuda.device_count() if torch else []
print("\\n" + json.dumps([keras.version(), keras.backend.backend(), len([g for g in gpus if "cpu" not in g.lower()])]))
"""


class Finding(NamedTuple):
    """A row: what was looked at, what was found, `fine`, `look` or `mend`, and what to do."""

    what: str
    found: str
    state: str
    advice: str = ""


def examine(*, probe=None, seconds=3.0):
    """Look at everything, and return a list of `Finding`.

    Args:
        probe: What tells of Keras, as `probe_keras`, which is used if `None`.
        seconds: How long the network may take.
    """
    size, wrong = _size()
    findings = [_python(), _tlteach(), *wrong, *_keras(probe or probe_keras), _other_backends()]
    findings += _packages(_versions.packages())
    findings += [_memory(size), _disk(size), _cache(), *_shared(), _network_row(size, seconds)]
    return [*findings, _weights(size), *_preset_rows(size), _data(size), *_extras(_versions.packages())]


def mini_runs(findings):
    """Whether the mini size will run: nothing has to be mended."""
    return not any(finding.state == MEND for finding in findings)


def told(findings):
    """Return the findings as text, with a last line that sums them up."""
    width = max(len(finding.what) for finding in findings)
    lines = []
    for what, found, state, advice in findings:
        lines.append(f"{state}  {what:<{width}}  {found}")
        lines += [f"{'':{width + 8}}{advice}"] if advice else []
    broken = ", ".join(finding.what for finding in findings if finding.state == MEND)
    last = "The mini size runs here." if not broken else f"The mini size does not run here yet. Mend first: {broken}."
    return "\n".join([*lines, "", last])


def _size():
    try:
        return default_size(), []
    except ValueError as error:
        advice = "Set TLTEACH_SIZE to mini or full, or unset it."
        return "mini", [Finding("TLTEACH_SIZE", str(error), MEND, advice)]


def _python():
    version = ".".join(map(str, sys.version_info[:3]))
    allowed = _versions.python_allowed()
    if not allowed.contains(version):
        return Finding("Python", version, MEND, f"tlteach needs Python {allowed}: make a new environment with one.")
    if tested := _versions.python_newer(version):
        advice = f"It will most likely do. If something fails: a new environment with Python {tested}."
        return Finding("Python", f"{version}, newer than the tested {tested}, {sys.executable}", LOOK, advice)
    return Finding("Python", f"{version}, {sys.executable}", FINE)


def _tlteach():
    version = _versions.installed("tlteach")
    if version is None:
        return Finding(
            "tlteach", "not installed as a package", LOOK, "Install it, so that versions are known: pip install ."
        )
    return Finding("tlteach", version, FINE)


def probe_keras():
    """Start Keras in another process and return `(version, backend, number of GPUs)`, or a text that says why not."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", _PROBE],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=STARTS_WITHIN,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        return f"did not start within {STARTS_WITHIN} seconds"
    if done.returncode < 0:
        return f"the process was ended by signal {-done.returncode} while Keras starts"
    if done.returncode:
        return (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1][:300]
    return tuple(json.loads(done.stdout.strip().splitlines()[-1]))


def _keras(probe):
    found = probe()
    if isinstance(found, str):
        return [Finding("Keras", f"does not start: {found}", MEND, _mend_keras(found))]
    version, backend, gpus = found
    rows = [Finding("Keras", f"{version} on {backend}", FINE)]
    if gpus:
        return [*rows, Finding("GPU", f"{gpus} seen by {backend}", FINE)]
    advice = "The mini size needs none. The full size is slow without: see your backend's page on GPUs, or use Colab."
    return [*rows, Finding("GPU", f"none seen by {backend}", FINE, advice)]


def _mend_keras(reason):
    backend = os.environ.get("KERAS_BACKEND")
    if backend and backend not in BACKENDS:
        return f"KERAS_BACKEND must be one of {', '.join(BACKENDS)}. Received: {backend!r}; unset it."
    if backend and _versions.installed(BACKENDS[backend]) is None:
        return (
            f"KERAS_BACKEND asks for {backend}, which is not installed: unset it, or pip install {BACKENDS[backend]}."
        )
    if "No module named" in reason:
        return f"Install what is missing: pip install keras tensorflow. This Python is {sys.executable}: the right one?"
    if "signal" in reason:
        return (
            "The backend does not suit this processor (TensorFlow wants AVX) or memory ran out: try KERAS_BACKEND=jax."
        )
    return "Install it anew in a fresh environment: python3 -m venv .venv, activate it, pip install tlteach."


def _other_backends():
    found = {name: _versions.installed(package) for name, package in BACKENDS.items()}
    listed = ", ".join(f"{name} {version}" for name, version in found.items() if version)
    return Finding(
        "backends installed", listed or "none", FINE if listed else MEND, "" if listed else "pip install tensorflow"
    )


def _packages(packages):
    """A row for what is out of range, and one for all others."""
    rows, fine = [], 0
    for each in packages:
        if each.extra and each.state in ("missing", "fine"):
            continue
        allowed = f"{each.installed or 'not installed'}; {each.oldest} or newer is needed"
        install = f"pip install '{each.name}>={each.oldest}'"
        if each.state in ("missing", "too old"):
            rows.append(Finding(each.name, allowed, LOOK if each.extra else MEND, install))
        elif each.state == "newer":
            advice = f"It will most likely do. If something fails: pip install '{each.name}~={each.tested}'"
            rows.append(Finding(each.name, f"{each.installed}, newer than the tested {each.tested}", LOOK, advice))
        elif each.state == "not tested":
            found = f"{each.installed}, not tested; {each.oldest} or newer is allowed"
            rows.append(Finding(each.name, found, LOOK, "It may do: nothing is known of any version of it."))
        fine += each.state == "fine"
    return [*rows, Finding("packages", f"{fine} within the tested range", FINE)]


def _memory(size):
    free, total = psutil.virtual_memory().available / 1e9, psutil.virtual_memory().total / 1e9
    need = MEMORY[size]
    found = f"{free:.1f} GB free of {total:.1f} GB; the {size} size wants {need:g} GB"
    if free >= need:
        return Finding("memory", found, FINE)
    return Finding("memory", found, LOOK, "Close other programs and notebooks (also their kernels), then try again.")


def _existing(folder):
    return next(path for path in (folder.absolute(), *folder.absolute().parents) if path.is_dir())


def _disk(size):
    there = _existing(cache_dir())
    free, need = shutil.disk_usage(there).free / 1e9, DISK[size]
    found = f"{free:.1f} GB free at {there}; the {size} size wants {need:g} GB"
    if free >= need:
        return Finding("disk", found, FINE)
    return Finding("disk", found, LOOK, "Make room, or set TLTEACH_CACHE to a folder on another disk.")


def _cache():
    folder = cache_dir()
    try:
        with tempfile.TemporaryFile(dir=_existing(folder)):
            return Finding("cache folder", f"{folder}, can be written", FINE)
    except OSError as error:
        found = f"{folder}, cannot be written ({error.strerror})"
        return Finding("cache folder", found, MEND, "Set TLTEACH_CACHE to a folder of your own.")


def _shared():
    folder = shared_dir()
    if folder is None:
        return []
    if folder.is_dir() and os.access(folder, os.R_OK | os.X_OK):
        return [Finding("shared folder", f"{folder}, can be read", FINE)]
    found = f"{folder}, cannot be read"
    return [Finding("shared folder", found, LOOK, "Set TLTEACH_DATA to the folder that is shared, or unset it.")]


def _network_row(size, seconds):
    through = _network.proxy()
    urls = {s.name: urlsplit(s.url) for s in all_sources() if s.name in _HOSTS}
    hosts = [(url.hostname, url.port or 443) for url in urls.values()] + [(_presets.HOST, 443)]
    hosts = [through] if through else hosts
    answers = _network.reached(hosts, seconds=seconds)
    said = {
        "answers": [h for h, yes in answers.items() if yes],
        "no answer": [h for h, yes in answers.items() if not yes],
    }
    found = "; ".join(f"{word}: {', '.join(names)}" for word, names in said.items() if names)
    found = f"through a proxy, {found}" if through else found
    if all(answers.values()):
        return Finding("network", found, FINE)
    lacking = "not all of it reached" if any(answers.values()) else "not reached"
    advice = "For the full size: tlteach prefetch --to on a machine with a network, --from here."
    return _lacking("network", lacking, size=size, more=f" ({found})", advice=advice)


def _lacking(what, lacking, *, size, more="", advice):
    """A row for what is lacking, and the full size alone needs: in mini size that is fine, and the row says so."""
    full = size == "full"
    found = f"{lacking}{more}" if full else f"{lacking}, and not needed in mini size{more}"
    return Finding(what, found, LOOK if full else FINE, advice)


def _weights(size):
    folders = [folder_of("weights"), *([shared_dir() / "models"] if shared_dir() else [])]
    names = [s.name for s in all_sources() if s.kind == "weights" and any((f / s.file).is_file() for f in folders)]
    kept = [path for folder in folders if folder.is_dir() for path in folder.glob("*top*.h5")]
    found, more = ", ".join(names), f" ({len(kept)} files in {keras_home() / 'models'})"
    missing = [s.name for s in all_sources() if s.kind == "weights" and s.name not in names]
    if not missing:
        return Finding("ImageNet weights", found + more, FINE)
    lacking = f"{found} there, the others not" if found else "not there"
    advice = f"The full size fetches {', '.join(missing)} once, or: tlteach prefetch."
    return _lacking("ImageNet weights", lacking, size=size, more=more, advice=advice)


def _preset_rows(size):
    for name, preset in sorted({(s.name, s.file.split("/")[0]) for s in all_sources() if s.kind == "preset"}):
        folder = _presets.placed_preset(preset) or _presets.fetched_preset(preset)
        advice = f"The full size fetches {name} once, or: tlteach prefetch."
        if folder:
            yield Finding("KerasHub preset", f"{preset}: {folder}", FINE)
        else:
            yield _lacking("KerasHub preset", f"{preset}: not there", size=size, advice=advice)


def _data(size):
    names = sorted({s.name for s in all_sources() if s.kind == "data" and shipped("datasets", s.name).is_dir()})
    roots = [root for root in (shared_dir(), cache_dir()) if root]
    ready = [name for name in names if any(Path(root, "datasets", name, "full").is_dir() for root in roots)]
    missing = [name for name in names if name not in ready]
    found = f"{', '.join(ready)} prepared" if ready else "not prepared"
    if not missing:
        return Finding("full data", found, FINE)
    advice = f"The full size prepares {', '.join(missing)} once, from the network or a bundle."
    return _lacking("full data", f"{found}, the others not" if ready else found, size=size, advice=advice)


def _extras(packages):
    serves = {"text": "lessons 06 and 07, and texts of your own", "full": "the full size of the data"}
    for extra, use in serves.items():
        missing = [each.name for each in packages if each.extra == extra and each.state == "missing"]
        found = f"{', '.join(missing)} not installed" if missing else "installed"
        advice = f"Wanted for {use}: pip install 'tlteach[{extra}]'" if missing else ""
        yield Finding(f"extra [{extra}]", found, LOOK if missing else FINE, advice)
