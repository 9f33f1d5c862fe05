"""Kinds of answers: each reads whatever a learner may give for it, and tells how two of them differ."""

import re
from dataclasses import dataclass, field

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
            text = str(thing.tolist())
        elif getattr(thing, "shape", ()) and type(thing).__name__ in ("DataFrame", "Series", "ndarray"):
            text = f"{type(thing).__name__} of shape {tuple(thing.shape)}"
        else:
            text = repr(thing)[:200]
        text = " ".join(text.split())
    except Exception:
        text = f"an object of {type(thing).__name__}"
    return text if len(text) <= 60 else text[:57] + "..."


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
    return re.sub(r"[\s_-]+", " ", str(text).strip().strip("'\"`.!").lower()).strip()


def members(answer):
    """What is in a list, tuple, set, array, Series, Index, or a string with commas; `None` if nothing can be."""
    if isinstance(answer, str):
        return [part for part in re.split(r"[,;\n]|\band\b|\+", answer.strip("()[]{} ")) if part.strip()]
    if hasattr(answer, "to_dict") and str(getattr(answer, "dtype", "")) == "bool":
        answer = answer.to_dict()  # a Series of True and False
    if isinstance(answer, dict):
        truths = answer and all(isinstance(each, (bool, np.bool_)) for each in answer.values())
        return [name for name, is_in in answer.items() if is_in or not truths]
    if hasattr(answer, "tolist"):  # arrays, Series, Index
        found = answer.tolist()
        return found if isinstance(found, list) else [found]
    return list(answer) if isinstance(answer, (list, tuple, set, frozenset, range)) else None


@dataclass(frozen=True)
class Number:
    """A number: `int`, `float`, NumPy, an array or table of one, or a string such as `"14 %"` or `"1,400"`.

    Attributes:
        tolerance: How far from the right one it may be, so that it may be rounded.
        unit: What it counts, such as `"points"`.
    """

    tolerance: float = 1e-6
    unit: str = ""

    def read(self, answer):
        if isinstance(answer, (bool, np.bool_)):
            raise Unfit(f"{self._asked()}, and this is {answer}: a comparison (==, <) gives True or False.")
        if isinstance(answer, str):
            return self._of_text(answer)
        if callable(answer):
            raise Unfit(f"{self._asked()}, and this is a function or class: call it, with brackets.")
        return self._of_array(np.asarray(list(answer) if isinstance(answer, (set, frozenset)) else answer))

    def _of_text(self, text):
        parts = re.fullmatch(r"\s*(\d+)\s*/\s*(\d+)\s*", text)
        if parts and int(parts[2]):
            return int(parts[1]) / int(parts[2])
        found = re.fullmatch(r"([-+−]?)\s*(\d[\d.,]*(?:e[-+]?\d+)?|\.\d+)\s*[^\d]{0,30}", text.strip(), re.I)
        digits = found and re.sub(r",(?=\d{3}(?:\D|$))", "", found[2]).replace(",", ".").rstrip(".")
        if not found or digits.count(".") > 1:
            raise Unfit(f"{self._asked()}. Received: {shortly(text)}.")
        return float(digits) * (-1 if found[1] in ("-", "−") and found[1] else 1)

    def _of_array(self, array):
        if array.dtype.kind not in "iuf" and not (array.dtype.kind == "O" and array.size == 1):
            raise Unfit(f"{self._asked()}. Received: {shortly(array.item() if array.size == 1 else array)}.")
        if array.size != 1:
            what = "none" if array.size == 0 else f"{array.size} of them"
            raise Unfit(f"{self._asked()}, a single one, and this holds {what}. Which one number do they come to?")
        inner = array.reshape(-1)[0]
        if array.dtype.kind == "O" and not isinstance(inner, (int, float, np.number)):
            raise Unfit(f"{self._asked()}. Received: {shortly(inner)}.")
        if not np.isfinite(float(inner)):
            raise Unfit(f"the answer is {float(inner)}: a value was missing, or something was divided by zero.")
        return float(inner)

    def _asked(self):
        return f"a number{f' ({self.unit})' if self.unit else ''} is asked for"

    def difference(self, value, right):
        if abs(value - right) <= self.tolerance + 1e-9:
            return None
        for factor, why in ((100, "in points or per cent, and a share of 1 is asked for"), (0.01, "a share of 1")):
            if right and abs(value - factor * right) <= max(factor * self.tolerance, 1e-9):
                asked = "" if factor == 100 else ", and points or per cent are asked for"
                return f"The right number, in the wrong unit: yours is {why}{asked}."
        if right and abs(value + right) <= self.tolerance:
            return "The size is right and the sign is not: which is taken from which?"
        return f"It is too {'high' if value > right else 'low'}."


@dataclass(frozen=True)
class Word:
    """One of a few words, in any case, with or without quotes, or in a sentence that names just one of them.

    Attributes:
        options: The words that an answer may be; a dict gives further ways to say each.
    """

    options: tuple | dict = ()

    def read(self, answer):
        inside = None if isinstance(answer, str) else members(answer)
        if inside is not None and len(inside) == 1:
            (answer,) = inside
        elif inside:
            raise Unfit(f"{self._asked()}, one of them, and this holds {len(inside)}.")
        if isinstance(answer, bytes):
            answer = answer.decode(errors="replace")
        if isinstance(answer, (list, tuple, set)) or not isinstance(answer, (str, int, float, np.number)):
            raise Unfit(f"{self._asked()}. Received: {shortly(answer)}.")
        said = plain(answer)
        found = [name for name, ways in self._ways().items() if {said, said.replace(" ", "")} & ways] or self._within(
            said
        )
        if len(found) != 1:
            raise Unfit(f"{self._asked()}. Received: {shortly(answer)}.")
        return found[0]

    def _within(self, said):
        if len(said) > 300 or re.search(r"\b(not|no|never|neither)\b|n't\b", said):
            return []  # a sentence that denies is not guessed at
        return [
            name for name, ways in self._ways().items() if any(re.search(rf"\b{re.escape(w)}\b", said) for w in ways)
        ]

    def _ways(self):
        further = self.options if isinstance(self.options, dict) else dict.fromkeys(self.options, ())
        ways = {name: {plain(each) for each in (name, *more)} for name, more in further.items()}
        return {name: own | {each.replace(" ", "") for each in own} for name, own in ways.items()}

    def _asked(self):
        if len(self.options) > 20:
            return f"the answer must be a name such as {next(iter(self.options))!r}"
        return f"the answer must be one of {', '.join(map(repr, self.options))}"

    def difference(self, value, right):
        return None if value == right else f"It is not {value}."


@dataclass(frozen=True)
class Names:
    """Several words: a list, tuple, set, array, Series or Index of them, or a string with commas.

    Attributes:
        options: The words that may be in it, as in `Word`.
        ordered: Whether their order counts.
    """

    options: tuple | dict = ()
    ordered: bool = False

    def read(self, answer):
        found = members(answer)
        if isinstance(answer, str) and set(plain(answer)) <= {plain(each) for each in self.options}:
            found = list(plain(answer))  # letters without commas: "BCE"
        if isinstance(answer, (int, float)) and not isinstance(answer, bool):
            found = [answer]
        if found is None:
            raise Unfit(f"a list of names is asked for. Received: {shortly(answer)}.")
        if not found:
            raise Unfit("a list of names is asked for, and this one is empty.")
        one = Word(self.options)
        words = tuple(one.read(each) for each in found)
        return words if self.ordered else frozenset(words)

    def difference(self, value, right):
        if value == right:
            return None
        missing, extra = set(right) - set(value), [each for each in value if each not in right]
        if not missing and not extra:
            return "All are there, and not in this order." if len(value) == len(right) else "One is there twice."
        told = [f"{sorted(extra)[0]} does not belong there"] if extra else []
        told += [f"{len(missing)} {'is' if len(missing) == 1 else 'are'} missing"] if missing else []
        return f"{' and '.join(told)}.".capitalize() if not extra else f"{' and '.join(told)}."


@dataclass(frozen=True)
class Row:
    """Numbers in order: a list, tuple, array or Series, or a string with commas.

    Attributes:
        length: How many.
        tolerance: How far from the right one each may be.
    """

    length: int
    tolerance: float = 1e-6

    def read(self, answer):
        found = members(answer)
        if found is None or isinstance(answer, (set, frozenset, dict)):
            raise Unfit(f"a list of {self.length} numbers is asked for. Received: {shortly(answer)}.")
        while len(found) == 1 and isinstance(found[0], (list, tuple)):
            found = list(found[0])  # a row within a list, or one row of a matrix
        if len(found) != self.length:
            raise Unfit(f"a list of {self.length} numbers is asked for, and this one has {len(found)}.")
        return tuple(Number().read(each) for each in found)

    def difference(self, value, right):
        wrong = [i for i, (a, b) in enumerate(zip(value, right, strict=True)) if abs(a - b) > self.tolerance]
        places = ", ".join(map(str, wrong[:4])) + (" and others" if len(wrong) > 4 else "")
        return f"Look again at place {places} (counted from 0)." if wrong else None


@dataclass(frozen=True)
class Table:
    """A value for each of some names: a dict, a Series, a table of one column, or a list in the names' order.

    Attributes:
        kinds: Dict from name to the kind of its value.
    """

    kinds: dict = field(hash=False)

    def read(self, answer):
        given = self._as_dict(answer)
        lacking = [name for name in self.kinds if plain(name) not in given]
        if lacking:
            raise Unfit(f"a value for each of {', '.join(self.kinds)} is asked for. {lacking[0]} is missing.")
        if any(is_open(given[plain(name)]) for name in self.kinds):
            raise Open(", ".join(name for name in self.kinds if is_open(given[plain(name)])))
        return {name: self._value(name, kind, given[plain(name)]) for name, kind in self.kinds.items()}

    def _as_dict(self, answer):
        if hasattr(answer, "squeeze") and hasattr(answer, "columns"):  # a DataFrame
            answer = answer.iloc[0] if len(answer) == 1 else answer.squeeze()
        if hasattr(answer, "to_dict") and not hasattr(answer, "columns"):
            answer = answer.to_dict()
        found = answer if isinstance(answer, dict) else members(answer) if not isinstance(answer, str) else None
        if isinstance(found, list) and len(found) == len(self.kinds):
            found = dict(zip(self.kinds, found, strict=True))
        if not isinstance(found, dict):
            raise Unfit(f"a dict with {', '.join(self.kinds)} is asked for. Received: {shortly(answer)}.")
        return {plain(name): value for name, value in found.items()}

    @staticmethod
    def _value(name, kind, given):
        try:
            return kind.read(given)
        except Unfit as error:
            raise Unfit(f"in {name!r}: {error}") from None

    def difference(self, value, right):
        for name, kind in self.kinds.items():
            why = kind.difference(value[name], right[name])
            if why:
                return f"Look at {name!r}. {why}"
        return None


@dataclass(frozen=True)
class Several:
    """As many answers as there are kinds: `tl.check("03.2", first, second)`."""

    kinds: tuple

    def read(self, answer):
        given = list(answer) if isinstance(answer, (list, tuple)) else [answer]
        if len(given) != len(self.kinds):
            raise Unfit(f"{len(self.kinds)} answers are asked for, in this order. Received: {len(given)}.")
        return tuple(kind.read(each) for kind, each in zip(self.kinds, given, strict=True))

    def difference(self, value, right):
        for place, (kind, a, b) in enumerate(zip(self.kinds, value, right, strict=True), 1):
            why = kind.difference(a, b)
            if why:
                return f"Answer {place}: {why}"
        return None
