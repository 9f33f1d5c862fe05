"""The kernel in which a learner's notebook is graded: writing outside its own folder is refused, and noted.

It is a fence, not a prison: it sees what Python opens, not what another program or a C library does.
"""

import os
import sys

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
}
_FREE = ("/dev/null", "/dev/shm", "/dev/tty", "/dev/pts")


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
    return [args[i] for i in places if isinstance(args[i], (str, bytes, os.PathLike))]


def put_up(inside, notes):
    """Refuse every change outside a folder from now on.

    Args:
        inside: The folder.
        notes: Number of an open file that gets a line for each refused path.
    """
    inside = os.path.realpath(inside)
    free = (inside, *_FREE)

    def watch(event, args):
        for path in changed_paths(event, args):
            place = os.path.realpath(os.fsdecode(path))
            if not any(place == each or place.startswith(each + os.sep) for each in free):
                os.write(notes, (place.replace("\n", " ")[:300] + "\n").encode("utf-8", "replace"))
                raise PermissionError(f"a graded notebook may write in its own folder alone. Received: {place}.")

    sys.addaudithook(watch)


if __name__ == "__main__":
    from ipykernel.kernelapp import launch_new_instance

    put_up(os.environ["TLTEACH_FENCE"], os.open(os.environ["TLTEACH_FENCE_NOTES"], os.O_WRONLY | os.O_APPEND))
    launch_new_instance()
