"""Rows that are dear to compute, kept on disk so that nothing wrong is ever read back.

A finished chunk of rows is written, synced, and only then entered in a journal
with its checksum. So a killed run loses at most one chunk, a damaged chunk is
noticed and computed again, and two processes wait for each other.
"""

import errno
import json
import os
import shutil
import warnings
import zlib

import numpy as np
from filelock import FileLock

CHUNK = 256  # rows


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
        OSError: If the disk is full; what is finished stays.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / "lock"):
            _complete(folder, count, shape, compute)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise _full_disk(folder, count, shape) from error
        raise
    return np.load(folder / "rows.npy", mmap_mode="r")


def _complete(folder, count, shape, compute):
    rows = folder / "rows.npy"
    if not rows.exists():
        _create(rows, count, shape)
    done = _sound_chunks(folder, count, shape)
    with open(rows, "r+b") as file, open(folder / "journal", "a", encoding="utf-8") as journal:
        base = _header_size(rows)
        for start in range(0, count, CHUNK):
            if start not in done:
                block = np.ascontiguousarray(compute(start, min(start + CHUNK, count)), "float32")
                _write(file, base + start * _row_bytes(shape), block.tobytes())
                _note(journal, start, zlib.crc32(block))


def _create(rows, count, shape):
    beside = rows.with_name("rows.beside")
    with open(beside, "wb") as file:
        header = {"descr": "<f4", "fortran_order": False, "shape": (count, *shape)}
        np.lib.format.write_array_header_1_0(file, header)
        file.truncate(file.tell() + count * _row_bytes(shape))
    os.replace(beside, rows)


def _header_size(rows):
    with open(rows, "rb") as file:
        np.lib.format.read_magic(file)
        np.lib.format.read_array_header_1_0(file)
        return file.tell()


def _row_bytes(shape):
    return int(np.prod(shape)) * 4


def _write(file, offset, data):
    file.seek(offset)
    file.write(data)
    file.flush()
    os.fsync(file.fileno())


def _note(journal, start, checksum):
    journal.write(json.dumps([start, checksum]) + "\n")
    journal.flush()
    os.fsync(journal.fileno())


def _sound_chunks(folder, count, shape):
    """Return the starts of the chunks whose bytes are those that were written."""
    noted = _read_journal(folder / "journal")
    sound = set()
    with open(folder / "rows.npy", "rb") as file:
        base = _header_size(folder / "rows.npy")
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
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            start, checksum = json.loads(line)
        except ValueError:
            continue
        noted[start] = checksum
    return noted


def _full_disk(folder, count, shape):
    need, free = count * _row_bytes(shape) / 2**20, shutil.disk_usage(folder.parent).free / 2**20
    return OSError(
        errno.ENOSPC,
        f"keeping these features needs {need:.0f} MiB, and the disk has {free:.0f} MiB free. What is finished is kept; "
        "make room, set TLTEACH_CACHE to a folder on another disk, or pass store=None. Received: a full disk",
        str(folder),
    )
