"""Where things lie: what ships with the package, and what it keeps on disk."""

import importlib
import os
import tomllib
from importlib import metadata
from pathlib import Path

import platformdirs

_PACKAGE = Path(__file__).parent
_IN_CHECKOUT = {"datasets": "datasets", "lessons": "lessons/source", "quizzes": "lessons/quizzes"}


def shipped(kind, *parts):
    """Return the path of a shipped file: beside the package when installed, in the checkout otherwise.

    Args:
        kind: `"datasets"`, `"lessons"` or `"quizzes"`.
        parts: Path below it.
    """
    installed = _PACKAGE / f"_{kind}"
    root = installed if installed.exists() else _PACKAGE.parent / _IN_CHECKOUT[kind]
    return root.joinpath(*parts)


def weights_file(name, source=None):
    """Return the path of the shipped weights of a mini backbone.

    Args:
        name: Name of the backbone.
        source: `"speech"`, or `None` for photographs.
    """
    return _PACKAGE / "weights" / f"{name}{f'_{source}' if source else ''}_mini.weights.h5"


def repository():
    """Return the project's address on the web, as `pyproject.toml` has it; without a checkout, as the wheel has it."""
    project = _project()
    if project:
        return project["urls"]["Repository"]
    urls = dict(each.split(", ", 1) for each in metadata.metadata("tlteach").get_all("Project-URL"))
    return urls["Repository"]


def requirements():
    """Return what the package needs, such as `"keras>=3.12"`, from where `repository` looks; a wheel's, with extras."""
    project = _project()
    return project["dependencies"] if project else metadata.requires("tlteach")


def _project():
    """The table of a checkout's `pyproject.toml`; none where the package is installed."""
    file = _PACKAGE.parent / "pyproject.toml"
    if file.exists() and not (_PACKAGE / "_lessons").exists():
        return tomllib.loads(file.read_text(encoding="utf-8"))["project"]
    return {}


def optional(module, told):
    """Import a module that an extra brings.

    Args:
        module: Its name.
        told: What needs it, and how it is installed: a sentence.

    Raises:
        ImportError: If it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(f"{told} Received: an environment without it ({error}).") from error


def cache_dir():
    """Return the folder for kept features (`TLTEACH_CACHE`, or the user's cache folder)."""
    return Path(os.environ.get("TLTEACH_CACHE") or platformdirs.user_cache_dir("tlteach"))


def shared_dir():
    """Return the folder that many may read and nobody here writes (`TLTEACH_DATA`), or `None`.

    It is laid out as the cache folder is: `datasets/NAME/full`, `features`, and `models` for weights.
    """
    folder = os.environ.get("TLTEACH_DATA")
    return Path(folder).expanduser() if folder else None


def default_size():
    """Return the size that `TLTEACH_SIZE` asks for: `"mini"` unless it says `"full"`."""
    return check_size(os.environ.get("TLTEACH_SIZE", "mini"))


def check_size(size):
    if size not in ("mini", "full"):
        raise ValueError(f"size must be 'mini' or 'full'. Received: {size!r}.")
    return size


def write_beside(path, text):
    """Write a text file beside its place and rename it, so that it is there whole or not at all.

    Args:
        path: Where it goes.
        text: What it holds.
    """
    beside = path.with_name(f".{path.name}.beside")
    try:
        beside.write_text(text, encoding="utf-8")
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)
