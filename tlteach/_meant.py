"""A name that is not there: which of those that are may have been meant."""

from difflib import SequenceMatcher

NEAR = 0.6  # share of letters in common, as difflib counts them, below which nothing is suggested


def meant(name, names):
    """Return a sentence that asks for the nearest name, with a space before it; empty where none is near.

    Args:
        name: Whatever was received.
        names: Those that there are, in small letters; of several that are as near the first is asked for.
    """
    word = str(name).strip().lower()
    near = {each: SequenceMatcher(None, each, word).ratio() for each in names}
    nearest = max(near, key=near.get)
    return f" Did you mean {nearest!r}?" if near[nearest] >= NEAR else ""
