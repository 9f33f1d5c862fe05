"""A call in a process of its own, so that nothing of one training run is left for the next.

On Linux each process is forked from a server that has imported Keras and run nothing, which takes no time. Elsewhere
a process must import Keras first, so that it does several calls before another takes its place.
"""

import contextlib
import multiprocessing
import os
import signal
import sys
import tempfile
import threading
import traceback
import types
from multiprocessing import connection

import cloudpickle
from tqdm import tqdm

FORKS = sys.platform == "linux"
_CALLS = 1 if FORKS else 10  # a process; importing Keras takes some eight seconds
_PRELOAD = ["tlteach._strategies"]


class Worker:
    """Calls functions in processes of their own, one at a time; use it in a `with` block.

    A function travels as its code if it was defined in a notebook or a script, else by its name.

    Args:
        preload: Modules that calls will need besides Keras.
    """

    def __init__(self, preload=()):
        self.process, self.pipe, self.calls, self.preload = None, None, 0, [*_PRELOAD, *preload]
        self.errors = tempfile.NamedTemporaryFile(prefix="tlteach-", suffix=".log", delete=False)  # noqa: SIM115
        self.errors.close()

    def __enter__(self):
        return self

    def __exit__(self, *raised):
        self._end()
        os.unlink(self.errors.name)

    def __call__(self, packed):
        """Return what a packed call gives.

        Args:
            packed: From `pack`.

        Raises:
            RuntimeError: If the call raised an error, or its process died.
        """
        if self.calls == 0:
            self._start()
        self.calls = (self.calls + 1) % _CALLS
        try:
            self.pipe.send_bytes(packed)
            done, value = self.pipe.recv()
        except (EOFError, OSError):
            raise RuntimeError(f"its process died{self._told()}") from None
        if self.calls == 0 or not done:
            self._end()
        if not done:
            raise RuntimeError(value)
        return value

    def _start(self):
        context = multiprocessing.get_context("forkserver" if FORKS else "spawn")
        if FORKS:
            context.set_forkserver_preload(self.preload)  # a server that runs already keeps its own
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, self.errors.name))
        with _starting():
            self.process.start()
        theirs.close()

    def _end(self):
        self.calls = 0
        if self.process is not None:
            self.process.kill()  # it has answered, or its answer is not wanted: there is nothing to tidy up
            self.process.join()
            self.pipe.close()
        self.process = None

    def _told(self):
        """How the process ended, and the last lines it wrote to its standard error."""
        self.process.join(5)
        code = self.process.exitcode
        self._end()
        with open(self.errors.name, encoding="utf-8", errors="replace") as file:
            lines = file.read().strip().splitlines()[-5:]
        killed = f" by signal {-code}; is there enough memory?" if code is not None and code < 0 else f" ({code})"
        return killed + "".join(f"\n{line}" for line in lines)


def pack(function, *arguments):
    """Return a call as bytes.

    Args:
        function: What is called.
        *arguments: What it is called with.

    Raises:
        ValueError: If something in it cannot be sent to another process.
    """
    try:
        return cloudpickle.dumps((dict(os.environ), function, arguments))
    except Exception as error:
        raise ValueError(
            "a strategy is sent to a process of its own, with everything it uses from outside. Received: one that "
            f"cannot be sent ({type(error).__name__}: {error}); make or load inside it what it needs."
        ) from error


@contextlib.contextmanager
def _starting():
    """While a process starts, hide the script that called, which it would run once more, and tell it where to import.

    Else the server would look in the current folder first, and might find another package of the same name.
    """
    main, environment = sys.modules["__main__"], dict(os.environ)
    sys.modules["__main__"] = types.ModuleType("__main__")
    os.environ.update(PYTHONSAFEPATH="1", PYTHONPATH=os.pathsep.join(path or os.getcwd() for path in sys.path))
    try:
        yield
    finally:
        sys.modules["__main__"] = main
        for name in ("PYTHONSAFEPATH", "PYTHONPATH"):
            os.environ.pop(name)
            os.environ.update({name: environment[name]} if name in environment else {})


def _serve(pipe, errors):
    """Answer calls until the caller is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the caller's
    with open(errors, "w", encoding="utf-8") as file:
        os.dup2(file.fileno(), 2)  # progress bars of the runs would be drawn over the one that counts them
    tqdm.set_lock(threading.RLock())  # its own would be a semaphore that a killed process leaves behind
    threading.Thread(target=_die_with_caller, daemon=True).start()
    while True:
        try:
            environment, function, arguments = cloudpickle.loads(pipe.recv_bytes())
            os.environ.clear()
            os.environ.update(environment)
            answer = True, function(*arguments)
        except EOFError:
            return
        except Exception as error:
            answer = False, f"{type(error).__name__}: {error}\n\n{traceback.format_exc().strip()}"
        pipe.send(answer)


def _die_with_caller():
    connection.wait([multiprocessing.parent_process().sentinel])
    os._exit(1)
