"""Whatever a learner may give as an answer: whether it is a gap, what is in it, and how it is named in short."""

import re

import numpy as np


class Unfit(Exception):
    """An answer that cannot be one; the text says what is asked for."""


class Open(Exception):
    """Nothing was answered yet."""


def shortly(thing):
    """Name a thing in at most 60 characters, whatever it is."""
    try:
        if isinstance(thing, str):
            text = repr(thing[:80])
        elif isinstance(thing, (float, np.number)):
            text = f"{thing:.4g}"
        elif type(thing) is np.ndarray and thing.size <= 12:
            text = repr(_bare(thing.tolist()))
        elif getattr(thing, "shape", ()) and type(thing).__name__ in ("DataFrame", "Series", "ndarray"):
            text = f"{type(thing).__name__} of shape {tuple(thing.shape)}"
        else:
            text = repr(_bare(thing))[:200]
        text = " ".join(text.split())
    except Exception:
        text = f"an object of {type(thing).__name__}"
    return text if len(text) <= 60 else text[:57] + "..."


def _bare(thing):
    """A list, tuple or dict with Python's numbers in place of NumPy's, which are long to read, in four digits."""
    if isinstance(thing, float):  # NumPy's too
        return float(f"{thing:.4g}")
    if isinstance(thing, np.generic):
        return thing.item()
    if type(thing) is dict:
        return {_bare(name): _bare(each) for name, each in thing.items()}
    return type(thing)(map(_bare, thing)) if type(thing) in (list, tuple) else thing


def is_open(answer):
    """Whether an answer is a gap still, or holds one."""
    if answer is None or answer is Ellipsis:
        return True
    if isinstance(answer, str):
        return answer.strip() in ("", "...", "?")
    parts = answer.values() if isinstance(answer, dict) else answer if isinstance(answer, (list, tuple)) else ()
    return any(part is Ellipsis or (isinstance(part, (list, tuple, dict)) and is_open(part)) for part in parts)


def plain(text):
    """A word without case, quotes and marks that do not matter: `"Conv_5 "` is `conv5`'s neighbour `conv 5`."""
    return re.sub(r"[\s_-]+", " ", str(text).replace("’", "'").strip().strip("'\"`.!").lower()).strip()


def singular(said):
    """Without the `s` of a plural or a genitive: `"slices"` is `slice`."""
    return re.sub(r"(?<=\w)'?s\b", "", said)


def members(answer):
    """What is in a list, tuple, set, array, Series, Index, or a string with commas; `None` if nothing can be."""
    if isinstance(answer, str):
        return [part for part in re.split(r"->|[,;\n>→]|\band\b|\+", answer.strip("()[]{} ")) if part.strip()]
    if hasattr(answer, "to_dict") and str(getattr(answer, "dtype", "")) == "bool":
        answer = answer.to_dict()  # a Series of True and False
    if isinstance(answer, dict):
        truths = answer and all(isinstance(each, (bool, np.bool_)) for each in answer.values())
        return [name for name, is_in in answer.items() if is_in or not truths]
    if hasattr(answer, "tolist"):  # arrays, Series, Index
        found = answer.tolist()
        return found if isinstance(found, list) else [found]
    return list(answer) if isinstance(answer, (list, tuple, set, frozenset, range)) else None
