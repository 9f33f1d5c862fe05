"""Writing in some folders alone, for this process and all that it starts: the system sees to it (Landlock).

Linux has it from 5.13 on; elsewhere nothing is done.

Reference: M. Salaün, "Landlock: unprivileged access control", the Linux kernel's documentation.
"""

import ctypes
import os
import sys

_CREATE, _ADD, _RESTRICT = 444, 445, 446  # system calls, of one number on every processor
_NO_NEW_PRIVILEGES = 38  # for `prctl`: else the system would not restrict a process that is no administrator's
_WRITE = 1 << 1 | sum(1 << bit for bit in range(4, 13))  # write a file, remove a file or folder, make one of each kind
_SINCE = {2: 1 << 13, 3: 1 << 14}  # move between folders; truncate


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = [("rights", ctypes.c_uint64), ("folder", ctypes.c_int32)]


def landlock_version():
    """Return which version of Landlock the system has, 0 for none."""
    return max(0, _call(_CREATE, None, 0, 1)) if sys.platform == "linux" else 0


def write_only_in(*folders):
    """Refuse every write that is not below these folders, from now on and in each program that is started.

    Files that are open already stay as they are.

    Args:
        *folders: Folders that are there.

    Returns:
        Whether the system does it.
    """
    version = landlock_version()
    rights = ctypes.c_uint64(_WRITE | sum(right for since, right in _SINCE.items() if version >= since))
    rules = _call(_CREATE, ctypes.byref(rights), ctypes.sizeof(rights), 0) if version else -1
    if rules < 0:
        return False
    for folder in folders:
        opened = os.open(folder, os.O_PATH)
        _call(_ADD, rules, 1, ctypes.byref(_Beneath(rights.value, opened)), 0)
        os.close(opened)
    ctypes.CDLL(None).prctl(_NO_NEW_PRIVILEGES, *map(ctypes.c_ulong, (1, 0, 0, 0)))
    done = _call(_RESTRICT, rules, 0)
    os.close(rules)
    return done == 0


def _call(*words):
    return ctypes.CDLL(None).syscall(*(ctypes.c_long(word) if isinstance(word, int) else word for word in words))
