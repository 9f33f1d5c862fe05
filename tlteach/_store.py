"""Rows that are dear to compute, kept on disk so that nothing wrong is ever read back.

A finished chunk of rows is written, synced, and only then entered in a journal
with its checksum. So a killed run loses at most one chunk, a damaged chunk is
noticed and computed again, and two processes wait for each other.
"""

import errno
import io
import json
import os
import shutil
import warnings
import zlib

import numpy as np
from filelock import FileLock

CHUNK = 256  # rows
_NO_PLACE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR, errno.EEXIST)


def kept_rows(folder, *, count, shape, compute):
    """Return rows from disk, computing those that are missing or damaged.

    Args:
        folder: `pathlib.Path` that belongs to exactly these rows.
        count: How many rows.
        shape: Shape of one row.
        compute: `compute(start, stop)` gives rows `(stop - start, *shape)`, float32.

    Returns:
        Read-only `numpy.memmap`, `(count, *shape)`, float32.

    Raises:
        OSError: If the disk is full (what is finished stays), or the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / "lock"):
            _complete(folder, count, shape, compute)
        return np.load(folder / "rows.npy", mmap_mode="r")
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise _full_disk(folder, count, shape) from error
        if error.errno in _NO_PLACE:
            raise _no_place(folder, error) from error
        raise


def _complete(folder, count, shape, compute):
    rows = folder / "rows.npy"
    header = _header(count, shape)
    if not rows.exists() or _begins_otherwise(rows, header):
        _create(rows, header, count * _row_bytes(shape))
    done = _sound_chunks(folder, count, shape)
    with open(rows, "r+b") as file, open(folder / "journal", "a", encoding="utf-8") as journal:
        for start in range(0, count, CHUNK):
            if start not in done:
                block = np.ascontiguousarray(compute(start, min(start + CHUNK, count)), "float32")
                _write(file, len(header) + start * _row_bytes(shape), block.tobytes())
                _note(journal, start, zlib.crc32(block))


def _header(count, shape):
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": (count, *shape)})
    return file.getvalue()


def _begins_otherwise(rows, header):
    with open(rows, "rb") as file:
        return file.read(len(header)) != header


def _create(rows, header, size):
    beside = rows.with_name("rows.beside")
    with open(beside, "wb") as file:
        file.write(header)
        file.truncate(len(header) + size)
    os.replace(beside, rows)


def _row_bytes(shape):
    return int(np.prod(shape)) * 4


def _write(file, offset, data):
    file.seek(offset)
    file.write(data)
    file.flush()
    os.fsync(file.fileno())


def _note(journal, start, checksum):
    journal.write("\n" + json.dumps([start, checksum]))  # a line that a killed run left unfinished ends here
    journal.flush()
    os.fsync(journal.fileno())


def _sound_chunks(folder, count, shape):
    """Return the starts of the chunks whose bytes are those that were written."""
    noted = {s: c for s, c in _read_journal(folder / "journal").items() if s in range(0, count, CHUNK)}
    sound = set()
    with open(folder / "rows.npy", "rb") as file:
        base = len(_header(count, shape))
        for start, checksum in noted.items():
            file.seek(base + start * _row_bytes(shape))
            if zlib.crc32(file.read((min(start + CHUNK, count) - start) * _row_bytes(shape))) == checksum:
                sound.add(start)
    if len(sound) < len(noted):
        warnings.warn(f"{len(noted) - len(sound)} damaged chunks in {folder} are computed again.", stacklevel=5)
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


def _full_disk(folder, count, shape):
    there = next(parent for parent in folder.parents if parent.exists())
    need, free = count * _row_bytes(shape) / 2**20, shutil.disk_usage(there).free / 2**20
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
