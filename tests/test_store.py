"""The store: killed, shared, damaged or without room, it never gives back a wrong row."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from conftest import ROOT

from tlteach import _store
from tlteach._store import kept_rows

COUNT, SHAPE = 20, (3, 2)  # five chunks of four rows
ROWS = np.arange(COUNT * 6, dtype="float32").reshape(COUNT, *SHAPE)

# A process that computes rows slowly, writes down which, and can be made to end itself anywhere.
PROGRAM = """
import os, signal, sys, time
from pathlib import Path
import numpy as np
from tlteach import _store

folder, log, dies = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
_store.CHUNK = 4
rows = np.arange(120, dtype="float32").reshape(20, 3, 2)
die = lambda: os.kill(os.getpid(), signal.SIGKILL)

def compute(start, stop):
    with open(log, "a") as file:
        file.write(f"{start}\\n")
    if dies == "computing" and start == 8:
        die()
    time.sleep(0.1)
    return rows[start:stop]

def half(file, offset, data, write=_store._write):
    if dies == "writing" and offset > 128 + 4 * 24:
        file.seek(offset)
        file.write(data[: len(data) // 2])
        file.flush()
        die()
    write(file, offset, data)

def note(journal, start, checksum, note=_store._note):
    if dies == "noting" and start == 8:
        journal.write("\\n[8, 12")
        journal.flush()
        die()
    note(journal, start, checksum)

_store._write, _store._note = half, note
found = _store.kept_rows(folder, count=20, shape=(3, 2), compute=compute)
assert np.array_equal(found, rows)
"""


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(_store, "CHUNK", 4)


class Compute:
    """Gives rows and remembers which were asked for."""

    def __init__(self, fails_at=None):
        self.asked, self.fails_at = [], fails_at

    def __call__(self, start, stop):
        if start == self.fails_at:
            raise RuntimeError("no further")
        self.asked.append(start)
        return ROWS[start:stop]


def rows_of(folder, compute):
    return kept_rows(folder, count=COUNT, shape=SHAPE, compute=compute)


def start(folder, log, dies="never"):
    command = [sys.executable, "-c", PROGRAM, str(folder), str(log), dies]
    return subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(ROOT)})


def damage(file, position, value=0xFF):
    content = bytearray(file.read_bytes())
    content[position] ^= value
    file.write_bytes(content)


def test_rows_are_computed_once_and_read_only(tmp_path):
    first, second = Compute(), Compute()
    assert np.array_equal(rows_of(tmp_path / "deep/key", first), ROWS)
    found = rows_of(tmp_path / "deep/key", second)
    assert first.asked == [0, 4, 8, 12, 16] and second.asked == []
    assert np.array_equal(found, ROWS) and isinstance(found, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        found[0] = 1


def test_an_incomplete_last_chunk_is_kept_too(tmp_path):
    for compute in (Compute(), Compute()):
        found = kept_rows(tmp_path / "key", count=18, shape=SHAPE, compute=lambda a, b, c=compute: c(a, b))
        assert np.array_equal(found, ROWS[:18])
    assert compute.asked == []


def test_an_error_while_computing_loses_one_chunk(tmp_path):
    with pytest.raises(RuntimeError, match="no further"):
        rows_of(tmp_path / "key", Compute(fails_at=8))
    again = Compute()
    assert np.array_equal(rows_of(tmp_path / "key", again), ROWS)
    assert again.asked == [8, 12, 16]


@pytest.mark.parametrize("dies", ["computing", "writing", "noting"])
def test_a_killed_process_is_resumed(tmp_path, dies):
    killed = start(tmp_path / "key", tmp_path / "log", dies)
    assert killed.wait(60) == -signal.SIGKILL
    again, third = Compute(), Compute()
    assert np.array_equal(rows_of(tmp_path / "key", again), ROWS)
    assert again.asked == [8, 12, 16]
    assert np.array_equal(rows_of(tmp_path / "key", third), ROWS) and third.asked == []


def test_two_processes_compute_each_chunk_once(tmp_path):
    both = [start(tmp_path / "key", tmp_path / "log") for _ in range(2)]
    assert [p.wait(60) for p in both] == [0, 0]  # each checks its rows
    assert (tmp_path / "log").read_text().split() == ["0", "4", "8", "12", "16"]


def test_the_next_process_goes_on_when_the_first_is_killed(tmp_path):
    first = start(tmp_path / "key", tmp_path / "log")
    while not (tmp_path / "log").exists():
        time.sleep(0.01)
    second = start(tmp_path / "key", tmp_path / "log")
    first.kill()
    first.wait(60)
    assert second.wait(60) == 0
    assert np.array_equal(rows_of(tmp_path / "key", Compute()), ROWS)


def test_a_flipped_byte_is_noticed_and_its_chunk_computed_again(tmp_path):
    rows_of(tmp_path, Compute())
    damage(tmp_path / "rows.npy", -1)
    damage(tmp_path / "rows.npy", 128 + 4 * 24 + 5)  # in the second chunk
    again = Compute()
    with pytest.warns(UserWarning, match="2 damaged chunks in .* are computed again"):
        found = rows_of(tmp_path, again)
    assert np.array_equal(found, ROWS) and again.asked == [4, 16]


@pytest.mark.parametrize("left", [0, 5, 60, 128, 300])
def test_a_truncated_rows_file_is_completed(tmp_path, left):
    rows_of(tmp_path, Compute())
    os.truncate(tmp_path / "rows.npy", left)
    with pytest.warns(UserWarning, match="damaged chunks"):
        found = rows_of(tmp_path, Compute())
    assert np.array_equal(found, ROWS)


def test_a_damaged_header_is_noticed(tmp_path):
    rows_of(tmp_path, Compute())
    damage(tmp_path / "rows.npy", 22, 0x01)
    with pytest.warns(UserWarning, match="5 damaged chunks"):
        assert np.array_equal(rows_of(tmp_path, Compute()), ROWS)


def test_a_truncated_journal_costs_its_last_chunk(tmp_path):
    rows_of(tmp_path, Compute())
    os.truncate(tmp_path / "journal", (tmp_path / "journal").stat().st_size - 3)
    again, third = Compute(), Compute()
    assert np.array_equal(rows_of(tmp_path, again), ROWS) and again.asked == [16]
    assert np.array_equal(rows_of(tmp_path, third), ROWS) and third.asked == []


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"5\n[]\n[[1], 2]\n{}", b"\n[-4, 0]\n[2, 5]\n[400, 1]"])
def test_a_journal_of_nonsense_is_not_believed(tmp_path, content):
    rows_of(tmp_path, Compute())
    (tmp_path / "rows.npy").write_bytes((tmp_path / "rows.npy").read_bytes()[:128] + bytes(480))
    (tmp_path / "journal").write_bytes(content)
    again, third = Compute(), Compute()
    assert np.array_equal(rows_of(tmp_path, again), ROWS) and again.asked == [0, 4, 8, 12, 16]
    assert np.array_equal(rows_of(tmp_path, third), ROWS) and third.asked == []


def test_a_full_disk_is_told_and_finished_chunks_stay(tmp_path, monkeypatch):
    write = _store._write

    def no_room(file, offset, data):
        if offset >= 128 + 8 * 24:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(file, offset, data)

    monkeypatch.setattr(_store, "_write", no_room)
    told = r"needs 0 MiB, and the disk has \d+ MiB free. What is finished is kept; make room, set TLTEACH_CACHE"
    with pytest.raises(OSError, match=told) as caught:
        rows_of(tmp_path / "key", Compute())
    assert caught.value.errno == errno.ENOSPC
    monkeypatch.setattr(_store, "_write", write)
    again = Compute()
    assert np.array_equal(rows_of(tmp_path / "key", again), ROWS) and again.asked == [8, 12, 16]


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 1 MiB, where the system lets us have one."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = shutil.which("mount")
    done = mount and subprocess.run([mount, "-t", "tmpfs", "-o", "size=1m", "tmpfs", place], capture_output=True)
    if not done or done.returncode:
        pytest.skip("mounting a small disk needs root")
    yield place
    subprocess.run(["umount", place], check=True)


def test_a_disk_that_is_really_full(small_disk):
    big = np.random.default_rng(0).random((COUNT, 100, 200), "float32")  # 1.5 MiB
    asked = []

    def compute(start, stop):
        asked.append(start)
        return big[start:stop]

    with pytest.raises(OSError, match=r"needs 2 MiB, and the disk has \d MiB free.*or pass store=None"):
        kept_rows(small_disk / "key", count=COUNT, shape=(100, 200), compute=compute)
    finished = asked[:-1]
    assert finished  # some chunks had room
    subprocess.run(["mount", "-o", "remount,size=4m", small_disk], check=True)
    asked.clear()
    assert np.array_equal(kept_rows(small_disk / "key", count=COUNT, shape=(100, 200), compute=compute), big)
    assert not set(asked) & set(finished)


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("in the way")
    told = r"must be there and be writable. Set TLTEACH_CACHE to another folder, or pass store=None .* Received: "
    with pytest.raises(OSError, match=told + "Not a directory"):
        rows_of(tmp_path / "file" / "key", Compute())


def test_a_folder_that_may_not_be_written(tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(_store, "FileLock", refuse)
    with pytest.raises(PermissionError, match=r"Set TLTEACH_CACHE.*Received: Permission denied"):
        rows_of(tmp_path / "key", Compute())


def test_a_folder_deleted_before_is_made_again_and_deleted_during_is_told(tmp_path):
    rows_of(tmp_path / "key", Compute())
    shutil.rmtree(tmp_path / "key")
    again = Compute()
    assert np.array_equal(rows_of(tmp_path / "key", again), ROWS) and len(again.asked) == 5
    shutil.rmtree(tmp_path / "key")

    def deleting(start, stop):
        shutil.rmtree(tmp_path / "key", ignore_errors=True)
        return ROWS[start:stop]

    with pytest.raises(OSError, match=r"must be there and be writable.*Received: No such file"):
        rows_of(tmp_path / "key", deleting)


def test_another_shape_under_the_same_key_is_computed_anew(tmp_path):
    rows_of(tmp_path, Compute())
    with pytest.warns(UserWarning, match="damaged chunks"):
        found = kept_rows(tmp_path, count=COUNT, shape=(6,), compute=lambda a, b: ROWS[a:b].reshape(-1, 6))
    assert np.array_equal(found, ROWS.reshape(COUNT, 6))


def test_half_precision_takes_half_the_disk_and_is_another_file(tmp_path):
    asked = Compute()
    kept_rows(tmp_path / "whole", count=COUNT, shape=SHAPE, compute=asked)
    for compute in (asked, None):
        half = kept_rows(tmp_path / "half", count=COUNT, shape=SHAPE, compute=compute, dtype="float16")
        assert half.dtype == "float16" and np.array_equal(half, ROWS)  # whole numbers up to 120: exact in 16 bits
    whole, half = ((tmp_path / name / "rows.npy").stat().st_size for name in ("whole", "half"))
    assert (whole - 128, half - 128) == (COUNT * 24, COUNT * 12)


def test_rows_of_another_precision_in_the_same_place_are_computed_anew(tmp_path):
    rows_of(tmp_path, Compute())
    with pytest.warns(UserWarning, match="damaged chunks"):
        half = kept_rows(tmp_path, count=COUNT, shape=SHAPE, compute=Compute(), dtype="float16")
    assert np.array_equal(half, ROWS)
