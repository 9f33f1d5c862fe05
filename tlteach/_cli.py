"""What the commands share: a quiet start, and how a mistake is told."""

import contextlib
import os
import sys

import typer


@contextlib.contextmanager
def quiet_start():
    """Keep TensorFlow's start-up notes, written past Python, off a learner's screen."""
    sys.stderr.flush()
    kept = os.dup(2)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def fail(sentence, code=1):
    """Tell a mistake in one sentence; raise what this returns.

    Args:
        sentence: The rule, what was received, and what to do next.
        code: The exit code.
    """
    typer.echo(f"Error: {sentence}", err=True)
    return typer.Exit(code)
