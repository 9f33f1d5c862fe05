"""What learners handed in: the notebooks of a folder, as they were when grading began."""

import hashlib
import json
import os
import re
from dataclasses import dataclass, field
from pathlib import Path

import nbformat

LARGEST = 50  # MB of a notebook


@dataclass
class Submission:
    """A notebook: path below the folder, whose, which lesson, what it holds, and why it cannot be run."""

    path: str
    learner: str
    lesson: str
    data: bytes = field(default=b"", repr=False)
    node: object = field(default=None, repr=False)
    fault: str = ""

    @property
    def key(self):
        """A checksum of path and content, by which a grade is found again."""
        return hashlib.sha256(self.path.encode() + b"\0" + self.data).hexdigest()[:16]


def find_submissions(folder):
    """Return the notebooks below a folder as a list of `Submission`, in the order of their paths.

    Args:
        folder: `pathlib.Path`.
    """
    found = sorted(folder.rglob("*.ipynb"), key=lambda path: path.relative_to(folder).as_posix())
    return [_read(folder, path) for path in found if not _hidden(path.relative_to(folder))]


def _hidden(path):
    return any(part.startswith(".") for part in path.parts)  # .ipynb_checkpoints, ._name.ipynb


def _read(folder, path):
    below = path.relative_to(folder)
    name = os.fsencode(below.as_posix()).decode("utf-8", "replace")
    number = re.search(r"(?<!\d)(\d\d)_", path.name)
    learner = below.parts[0] if len(below.parts) > 1 else re.sub(r"[_-]?(?<!\d)\d\d_.*", "", path.stem) or path.stem
    told = Submission(name, os.fsencode(learner).decode("utf-8", "replace"), number[1] if number else "")
    try:
        told.data, told.fault = _bytes(path)
    except OSError as error:
        told.fault = f"cannot be read ({error.strerror})"
    if not told.fault:
        told.node, told.fault = parse(told.data)
    return told


def _bytes(path):
    if not path.exists():
        return b"", "is missing: the name leads nowhere"
    if not path.is_file():
        return b"", "is no file"
    if path.stat().st_size > LARGEST * 2**20:
        return b"", f"is larger than {LARGEST} MB: clear its outputs"
    return path.read_bytes(), ""


def parse(data):
    """Return a notebook and what is wrong with it, one of them empty.

    Args:
        data: The file's bytes.
    """
    if not data.strip():
        return None, "is empty"
    try:
        found = json.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError:
        return None, "is not UTF-8 text"
    except (ValueError, RecursionError) as error:
        return None, f"is not JSON ({str(error)[:80]})"
    if not isinstance(found, dict) or not isinstance(found.get("nbformat"), int):
        return None, "is JSON, and no notebook"
    return _notebook(found)


def _notebook(found):
    try:
        node = nbformat.convert(nbformat.from_dict(found), 4)
        for cell in node.cells:
            cell.pop("id", None)
            cell.source = "".join(cell.source)  # in a file it is a list of lines
            if cell.cell_type == "code":
                cell.outputs = []
                cell.metadata.pop("tags", None)  # a tag must not keep a cell from being run
        language = node.metadata.get("kernelspec", {}).get("language") or "python"
        node.nbformat_minor = min(node.nbformat_minor, 4)
        nbformat.validate(node)
    except Exception as error:
        return None, f"is not a notebook that can be read ({type(error).__name__}: {str(error).splitlines()[0][:80]})"
    if language.lower() not in ("python", "ipython"):
        return None, f"is for another kernel: {language[:40]}, and not Python"
    return node, ""


def snapshot(folder):
    """Return what identifies each file below a folder, to see later which ones were changed."""
    found = {}
    for path in folder.rglob("*"):
        try:
            known = path.lstat()
            if not path.is_dir() or path.is_symlink():
                found[path.relative_to(folder)] = (known.st_size, known.st_mtime_ns, known.st_ino)
        except OSError:
            continue
    return found


def changes(before, after):
    """Return the paths that differ between two snapshots, as a sorted list of texts."""
    differ = {path for path in {*before, *after} if before.get(path) != after.get(path)}
    return sorted(os.fsencode(Path(path).as_posix()).decode("utf-8", "replace") for path in differ)
