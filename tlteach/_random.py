"""Random numbers: what must not use any up."""

import contextlib
import random


@contextlib.contextmanager
def nothing_drawn():
    """Leave Python's random numbers, of which Keras makes its seeds, as they were.

    For weights that are read from a file: building a network draws some, and the file replaces them. What
    is drawn afterwards must not depend on how many networks were loaded before.
    """
    state = random.getstate()
    try:
        yield
    finally:
        random.setstate(state)
