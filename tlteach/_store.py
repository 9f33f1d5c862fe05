"""Rows that are dear to compute, kept on disk so that nothing wrong is ever read back.

A finished chunk of rows is written, synced, and only then entered in a journal
with its checksum. So a killed run loses at most one chunk, a damaged chunk is
noticed and computed again, and two processes wait for each other.
"""

import errno
import io
import json
import mmap
import os
import shutil
import warnings
import zlib
from typing import NamedTuple

import numpy as np
from filelock import FileLock

CHUNK = 256  # rows
_NO_PLACE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR, errno.EEXIST)


def kept_rows(folder, *, count, shape, compute, dtype="float32"):
    """Return rows from disk, computing those that are missing or damaged.

    Rows that are all there are also read where nothing can be written: no lock is needed for that.

    Args:
        folder: `pathlib.Path` that belongs to exactly these rows.
        count: How many rows.
        shape: Shape of one row.
        compute: `compute(start, stop)` gives rows `(stop - start, *shape)`.
        dtype: Kind of number that is kept, `"float32"` or `"float16"`.

    Returns:
        Read-only `numpy.memmap`, `(count, *shape)`, of that kind.

    Raises:
        OSError: If the disk is full (what is finished stays), or the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / "lock"):
            _complete(folder / "rows.npy", _Layout(count, shape, np.dtype(dtype).newbyteorder("<")), compute)
        return np.load(folder / "rows.npy", mmap_mode="r")
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise _full_disk(folder, _Layout(count, shape, np.dtype(dtype))) from error
        if error.errno in _NO_PLACE:
            finished = finished_rows(folder, count=count, shape=shape, dtype=dtype)
            if finished is not None:
                return finished
            raise _no_place(folder, error) from error
        raise


def finished_rows(folder, *, count, shape, dtype="float32"):
    """Return rows that are all on disk and sound, or `None`; without a lock, as nothing is written.

    Args:
        folder, count, shape, dtype: As in `kept_rows`.
    """
    rows, layout = folder / "rows.npy", _Layout(count, shape, np.dtype(dtype).newbyteorder("<"))
    try:
        if _begins_otherwise(rows, layout.header) or len(_sound_chunks(rows, layout)) < -(-count // CHUNK):
            return None
        return np.load(rows, mmap_mode="r")
    except OSError:
        return None


def read_rows(rows, chosen):
    """Copy some rows as float32, and let go of the file's pages: what is mapped and touched counts as memory in use.

    Args:
        rows: Array, or what `kept_rows` returned.
        chosen: Indices of the rows.
    """
    copied = np.array(rows[chosen], "float32")
    pages = getattr(rows, "_mmap", None)
    if hasattr(pages, "madvise"):  # not on Windows
        pages.madvise(mmap.MADV_DONTNEED)
    return copied


class _Layout(NamedTuple):
    """How the rows stand in their file."""

    count: int
    shape: tuple
    dtype: np.dtype

    @property
    def header(self):
        file = io.BytesIO()
        told = {"descr": self.dtype.str, "fortran_order": False, "shape": (self.count, *self.shape)}
        np.lib.format.write_array_header_1_0(file, told)
        return file.getvalue()

    @property
    def row(self):
        """Bytes of a row."""
        return int(np.prod(self.shape)) * self.dtype.itemsize

    def stop(self, start):
        """Where the chunk ends that begins there."""
        return min(start + CHUNK, self.count)


def _complete(rows, layout, compute):
    if not rows.exists() or _begins_otherwise(rows, layout.header):
        _create(rows, layout.header, layout.count * layout.row)
    done = _sound_chunks(rows, layout)
    with open(rows, "r+b") as file, open(rows.with_name("journal"), "a", encoding="utf-8") as journal:
        for start in range(0, layout.count, CHUNK):
            if start not in done:
                block = np.ascontiguousarray(compute(start, layout.stop(start)), layout.dtype)
                _write(file, len(layout.header) + start * layout.row, block.tobytes())
                _note(journal, start, zlib.crc32(block))


def _begins_otherwise(rows, header):
    with open(rows, "rb") as file:
        return file.read(len(header)) != header


def _create(rows, header, size):
    beside = rows.with_name("rows.beside")
    with open(beside, "wb") as file:
        file.write(header)
        file.truncate(len(header) + size)
    os.replace(beside, rows)


def _write(file, offset, data):
    file.seek(offset)
    file.write(data)
    file.flush()
    os.fsync(file.fileno())


def _note(journal, start, checksum):
    journal.write("\n" + json.dumps([start, checksum]))  # a line that a killed run left unfinished ends here
    journal.flush()
    os.fsync(journal.fileno())


def _sound_chunks(rows, layout):
    """Return the starts of the chunks whose bytes are those that were written."""
    journal = _read_journal(rows.with_name("journal"))
    noted = {start: crc for start, crc in journal.items() if start in range(0, layout.count, CHUNK)}
    sound = set()
    with open(rows, "rb") as file:
        base = len(layout.header)
        for start, checksum in noted.items():
            file.seek(base + start * layout.row)
            if zlib.crc32(file.read((layout.stop(start) - start) * layout.row)) == checksum:
                sound.add(start)
    if len(sound) < len(noted):
        told = f"{len(noted) - len(sound)} damaged chunks in {rows.parent} are computed again."
        warnings.warn(told, stacklevel=5)
    return sound


def _read_journal(path):
    """Read `start -> checksum`; a line that a killed run left unfinished is ignored."""
    noted = {}
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []:
        try:
            start, checksum = json.loads(line)
            noted[start] = checksum
        except (ValueError, TypeError):
            continue
    return noted


def _full_disk(folder, layout):
    there = next(parent for parent in folder.parents if parent.exists())
    need, free = layout.count * layout.row / 2**20, shutil.disk_usage(there).free / 2**20
    return OSError(
        errno.ENOSPC,
        f"keeping these features needs {need:.0f} MiB, and the disk has {free:.0f} MiB free. What is finished is kept; "
        "make room, set TLTEACH_CACHE to a folder on another disk, or pass store=None. Received: a full disk",
        str(folder),
    )


def _no_place(folder, error):
    return OSError(
        error.errno,
        "features are kept in a folder that must be there and be writable. Set TLTEACH_CACHE to another folder, "
        f"or pass store=None to keep nothing. Received: {error.strerror}",
        str(folder),
    )
