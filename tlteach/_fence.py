"""The kernel in which a learner's notebook is graded: writing outside its own folder is refused, and noted.

On Linux the system refuses it to all that runs here (Landlock); elsewhere Python does, which does not see what
another program or a C library writes, so that programs which a cell starts are noted. What `tl.check` says is
noted here too. It is a fence, not a prison: code in the same process can always reach what the fence reaches.
"""

import contextlib
import json
import linecache
import os
import shlex
import sys

from tlteach._landlock import write_only_in

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_CHANGES = {  # of each event, which arguments are paths, and where the folder they are relative to stands
    "os.remove": ((0,), 1),
    "os.rename": ((0, 1), 2),
    "os.mkdir": ((0,), 2),
    "os.rmdir": ((0,), 1),
    "os.link": ((1,), 3),
    "os.symlink": ((1,), 2),
    "os.truncate": ((0,), None),
    "os.chmod": ((0,), 2),
    "shutil.rmtree": ((0,), None),
    "sqlite3.connect": ((0,), None),
}
_FREE = ("/dev/null", "/dev/shm", "/dev/tty", "/dev/pts", "/dev/ptmx")
_STARTS = {  # of each event, which argument holds the program's words
    "subprocess.Popen": 1,
    "os.exec": 1,
    "os.posix_spawn": 1,
    "os.spawn": 2,
    "os.system": 0,
    "os.forkpty": None,  # that is `!` in a notebook; what is done there is told by the cell's line
}
_STARTERS = ("subprocess", "os", "pty", "pexpect", "ptyprocess", "IPython", "ipykernel")  # between a cell and a start
_MOST = 10_000  # different notes


def changed_paths(event, args):
    """Return the paths that an audit event is about to change, as a list.

    Args:
        event: Its name, as `sys.addaudithook` tells it.
        args: Its arguments.
    """
    if event == "open":
        path, mode, flags = args
        writes = (flags or 0) & _WRITES or (isinstance(mode, str) and set(mode) & set("wax+"))
        return [path] if writes and isinstance(path, (str, bytes, os.PathLike)) else []
    places, folder = _CHANGES.get(event, ((), None))
    if folder is not None and len(args) > folder and args[folder] not in (-1, None):
        return []  # relative to an open folder, which was looked at when it was opened
    return [args[i] for i in places if isinstance(args[i], (str, bytes, os.PathLike)) and args[i] != ":memory:"]


def put_up(inside, note):
    """Refuse every change outside a folder from now on, and note it.

    Args:
        inside: The folder.
        note: Function of what is noted, a key and a value: a refused path, a program that a cell started, or
            an exercise and what `tl.check` said of it.
    """
    inside = os.path.realpath(inside)
    free = (inside, *_FREE)

    def watch(event, args):
        if event == "tlteach.check" and sys._getframe(1).f_globals.get("__name__") == "tlteach.checking":
            note(f"check {args[0]}", args[1])
        elif event in _STARTS and (cell := _cell_behind(sys._getframe(1))):
            note(f"started {_words(event, args, cell)}", True)
        for path in changed_paths(event, args):
            place = os.path.realpath(os.fsdecode(path))
            if not any(place == each or place.startswith(each + os.sep) for each in free):
                note(f"refused {place[:300]}", True)
                raise PermissionError(f"a graded notebook may write in its own folder alone. Received: {place}.")

    sys.addaudithook(watch)
    write_only_in(inside, *(["/dev"] if os.path.isdir("/dev") else []))  # a GPU is opened for writing


def _cell_behind(frame):
    """The frame of the cell that starts a program, itself or by `!`; libraries start some for reasons of their own."""
    while frame and frame.f_globals.get("__name__", "").split(".")[0] in _STARTERS:
        frame = frame.f_back
    names = frame.f_globals if frame else {}
    return frame if names.get("__name__") == "__main__" and names is not globals() else None


def _words(event, args, cell):
    place = _STARTS[event]
    command = linecache.getline(cell.f_code.co_filename, cell.f_lineno) if place is None else args[place]
    if not isinstance(command, (str, bytes, os.PathLike)):
        command = shlex.join(os.fsdecode(word) for word in command)
    return " ".join(os.fsdecode(command).split())[:80]


def notes_in(path):
    """Return a function that notes a key and a value in a file, each change once.

    The file holds a word with which each line has to begin; it is read and wiped out, so that nobody else has it.

    Args:
        path: Of the file.
    """
    file, known = os.open(path, os.O_RDWR | os.O_APPEND), {}
    word = os.read(file, 100).decode()
    os.ftruncate(file, 0)

    def note(key, value):
        if known.get(key) != value and (key in known or len(known) < _MOST):
            known[key] = value
            with contextlib.suppress(OSError):  # a process that is about to become another program has closed it
                os.write(file, f"{word} {json.dumps([key, value])}\n".encode())

    return note


if __name__ == "__main__":
    put_up(os.environ["TLTEACH_FENCE"], notes_in(os.environ.pop("TLTEACH_FENCE_NOTES")))

    from ipykernel.kernelapp import launch_new_instance

    launch_new_instance()
