"""A process with all that it starts: watched for time and memory, and ended as a whole."""

import contextlib
import os
import subprocess
import time
import uuid

import psutil

MARK = "TLTEACH_PROCESS"  # what all descendants inherit, also those that leave the group and lose their parent


class Watched:
    """A running process whose descendants are known by a mark in their environment.

    Args:
        command: List of words.
        environment: Its environment.
        folder: Where it runs.
        output: An open file for what it prints.
    """

    def __init__(self, command, environment, *, folder, output):
        self.mark, self.started = uuid.uuid4().hex, time.monotonic()
        self.process = subprocess.Popen(
            command,
            env={**environment, MARK: self.mark},
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    @property
    def seconds(self):
        """How long it has run."""
        return time.monotonic() - self.started

    def ended(self):
        """Whether the process itself has ended."""
        return self.process.poll() is not None

    def memory(self):
        """Bytes that it and its children hold."""
        total = 0
        with contextlib.suppress(psutil.Error):
            for each in (parent := psutil.Process(self.process.pid), *parent.children(recursive=True)):
                with contextlib.suppress(psutil.Error):
                    total += each.memory_info().rss
        return total

    def end(self):
        """End it and every descendant; those are stopped first, so that none starts another meanwhile."""
        for _ in range(20):
            left = list(self._family())
            for act in ("suspend", "kill"):
                for each in left:
                    with contextlib.suppress(psutil.Error):
                        getattr(each, act)()
            if not left:
                break
            psutil.wait_procs(left, timeout=1)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(5)

    def _family(self):
        for each in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                marked = each.pid != os.getpid() and each.environ().get(MARK) == self.mark
                if marked and each.status() != psutil.STATUS_ZOMBIE:
                    yield each
