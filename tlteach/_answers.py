"""Kinds of answers: each reads whatever a learner may give for it, and tells how two of them differ."""

import re
from dataclasses import dataclass, field
from decimal import Decimal
from numbers import Real

import numpy as np

from tlteach._numerals import is_ratio, number_of
from tlteach._reading import Open, Unfit, is_open, members, plain, shortly, singular


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
        if isinstance(answer, dict) and len(answer) == 1:  # one number with its name
            (answer,) = answer.values()
        if isinstance(answer, str):
            return number_of(answer, self.unit, self._asked())
        if callable(answer):
            raise Unfit(f"{self._asked()}, and this is a function or class: call it, with brackets.")
        return self._of_array(np.asarray(list(answer) if isinstance(answer, (set, frozenset)) else answer))

    def _of_array(self, array):
        if array.dtype.kind == "b":
            raise Unfit(f"{self._asked()}, and this holds True and False. How many of them, or which share, is True?")
        if array.dtype.kind not in "iuf" and not (array.dtype.kind == "O" and array.size == 1):
            raise Unfit(f"{self._asked()}. Received: {shortly(array.item() if array.size == 1 else array)}.")
        if array.size != 1:
            what = "none" if array.size == 0 else f"{array.size} of them"
            raise Unfit(f"{self._asked()}, a single one, and this holds {what}. Which one number do they come to?")
        inner = array.reshape(-1)[0]
        if array.dtype.kind == "O" and not isinstance(inner, (Real, Decimal)):
            raise Unfit(f"{self._asked()}. Received: {shortly(inner)}.")
        if not np.isfinite(float(inner)):
            raise Unfit(f"the answer is {float(inner)}: a value was missing, or something was divided by zero.")
        return float(inner)

    def _asked(self):
        return f"a number{f' ({self.unit})' if self.unit else ''} is asked for"

    def difference(self, value, right):
        if abs(value - right) <= self.tolerance + 1e-9:
            return None
        for factor in (100, -100, 0.01, -0.01):
            if right and abs(value - factor * right) <= max(abs(factor) * self.tolerance, 1e-9):
                turned = "" if factor > 0 else " And the sign is not right: which is taken from which?"
                return self._by_a_hundred(abs(factor), right) + turned
        if right and abs(value + right) <= self.tolerance:
            return "The size is right and the sign is not: which is taken from which?"
        return self._by_its_kind(value, right) or f"It is too {'high' if value > right else 'low'}."

    def _by_a_hundred(self, factor, right):
        if factor > 1 and ("share" in self.unit or (not self.unit and abs(right) <= 1)):
            return "The right number, in the wrong unit: yours is in points or per cent, and a share of 1 is asked for."
        if factor < 1 and self.unit == "points":
            return "The right number, in the wrong unit: yours is a share of 1, and points or per cent are asked for."
        return f"The right digits, and a hundred times too {'large' if factor > 1 else 'small'}."

    def _by_its_kind(self, value, right):
        """What is wrong with a number before one asks for its size."""
        least = 1 if abs(right) < 1 else 2  # digits that make a number a rounded one
        if value in (float(f"{right:.{digits}g}") for digits in range(least, 6)):
            return "That is the right number, rounded too far: give more of its digits."
        if "share" in self.unit and value > 1:
            return "A share lies between 0 and 1."
        if self._counts() and 0 < value < 1:
            return f"That is a share, and a number of {self.unit} is asked for."
        return None

    def _counts(self):
        return self.unit and not is_ratio(self.unit) and self.unit.isalpha() and self.unit not in ("points", "units")


@dataclass(frozen=True)
class Count(Number):
    """How many: a whole number, or the things that are counted, such as `range(5)`."""

    def read(self, answer):
        things = None if isinstance(answer, (str, dict)) else members(answer)
        if things is not None and len(things) > 1:
            return float(len(things))
        found = super().read(answer)
        if found != int(found):
            raise Unfit(f"a whole number is asked for. Received: {found:g}.")
        return found


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
        if not isinstance(answer, (str, int, float, np.number)):
            answer = self._named(answer)
        if isinstance(answer, (list, tuple, set)) or not isinstance(answer, (str, int, float, np.number)):
            raise Unfit(f"{self._asked()}. Received: {shortly(answer)}.")
        said = plain(answer)
        ways = self._ways()
        found = [name for name, own in ways.items() if {said, said.replace(" ", "")} & own] or self._within(said)
        found = found or [name for name, own in ways.items() if singular(said) in map(singular, own)]
        if len(found) != 1:
            several = f", and this names {len(found)} of them" if found else ""
            raise Unfit(f"{self._asked()}{several}. Received: {shortly(answer)}.")
        return found[0]

    def _within(self, said):
        if len(said) > 300 or re.search(r"\b(not|no|never|neither|but|except|without)\b|n't\b", said):
            return []  # a sentence that denies is not guessed at
        found, all_ways = [], [(way, name) for name, ways in self._ways().items() for way in ways]
        for way, name in sorted(all_ways, key=lambda each: -len(each[0])):  # a long one first, and not what is in it
            rest = re.sub(rf"\b{re.escape(way)}\b", "|", said)
            found += [name] if rest != said and name not in found else []
            said = rest
        return found

    def _named(self, thing):
        """The name of a class, a function or an object if it is one of the words; else the thing."""
        name = getattr(thing, "__name__", type(thing).__name__)
        return name if self.names(plain(name)) else thing

    def _ways(self):
        further = self.options if isinstance(self.options, dict) else dict.fromkeys(self.options, ())
        ways = {name: {plain(each) for each in (name, *more)} for name, more in further.items()}
        return {name: own | {each.replace(" ", "") for each in own} for name, own in ways.items()}

    def names(self, said):
        """Whether something said, without case and marks, is one of the words."""
        return any(said in ways for ways in self._ways().values())

    def told(self):
        """The words, in a row."""
        return ", ".join(map(repr, self.options))

    def _asked(self):
        if len(self.options) > 20:
            return f"the answer must be a name such as {next(iter(self.options))!r}"
        return f"the answer must be one of {self.told()}"

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
        found = self._said(answer) if isinstance(answer, str) else self._members(answer)
        if isinstance(answer, (int, float)) and not isinstance(answer, bool):
            found = [answer]
        one = Word(self.options)
        if found is None:
            raise Unfit(f"a list of names is asked for. Received: {shortly(answer)}.")
        if not found:
            raise Unfit(f"a list of names is asked for, and this one is empty. Some of {one.told()} belong there.")
        if all(isinstance(each, (bool, np.bool_)) for each in found):
            raise Unfit("a list of names is asked for, and this one holds True and False. Name those that you mean.")
        if self.ordered and isinstance(answer, (set, frozenset)):
            raise Unfit("a set has no order: give a list, [...].")
        words = tuple(one.read(each) for each in found)
        return words if self.ordered else frozenset(words)

    def _said(self, text):
        """The names in a string: with commas, as letters without ("BCE", "B C E"), all of them, or none."""
        said, letters = plain(text), plain(text).replace(" ", "")
        if letters and set(letters) <= {plain(each) for each in self.options}:
            return list(letters)
        if not self.ordered and re.fullmatch("all|everything|all (of them|two|three|four|five|six|seven)", said):
            return list(self.options)
        if said in ("none", "nothing", "none of them") and not Word(self.options).names(said):
            return []
        return members(text)

    def _members(self, answer):
        if hasattr(answer, "columns") and hasattr(answer, "index"):  # rows of a table: the names are at their left
            return members(answer.index)
        if hasattr(answer, "to_dict") and getattr(answer.dtype, "kind", "") in "iuf" and len(answer):
            return members(answer.index) if hasattr(answer, "index") else None  # a number for each name
        if self.ordered and isinstance(answer, dict) and all(isinstance(key, int) for key in answer):
            answer = [answer[key] for key in sorted(answer)]  # {1: first, 2: second}
        elif self.ordered and isinstance(answer, dict) and all(type(place) is int for place in answer.values()):
            answer = sorted(answer, key=answer.get)  # {first: 1, second: 2}
        return members(answer)

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
        if isinstance(answer, str) and not re.search("[,;]", answer):
            answer = ",".join(answer.strip("()[]{} ").split())  # as NumPy prints it
        if hasattr(answer, "columns") and hasattr(answer, "squeeze"):
            answer = answer.squeeze()  # a table of one column
        found = members(answer)
        if found is None or isinstance(answer, (set, frozenset, dict)):
            raise Unfit(f"a list of {self.length} numbers is asked for. Received: {shortly(answer)}.")
        while len(found) == 1 and isinstance(found[0], (list, tuple)):
            found = list(found[0])  # a row within a list, or one row of a matrix
        if len(found) != self.length:
            raise Unfit(f"a list of {self.length} numbers is asked for, and this one has {len(found)}.")
        return tuple(self._at(place, each) for place, each in enumerate(found))

    @staticmethod
    def _at(place, given):
        try:
            return Number().read(given)
        except Unfit as error:
            raise Unfit(f"at place {place} (counted from 0): {error}") from None

    def difference(self, value, right):
        wrong = [i for i, (a, b) in enumerate(zip(value, right, strict=True)) if abs(a - b) > self.tolerance]
        places = ", ".join(map(str, wrong[:4])) + (" and others" if len(wrong) > 4 else "")
        return f"Look again at place{'s' if len(wrong) > 1 else ''} {places} (counted from 0)." if wrong else None


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
        names = {plain(name) for name in self.kinds}
        if isinstance(found, list) and len(found) == len(self.kinds):
            pairs = all(isinstance(each, tuple) and len(each) == 2 and plain(each[0]) in names for each in found)
            found = dict(found if pairs else zip(self.kinds, found, strict=True))
        if not isinstance(found, dict):
            raise Unfit(f"a dict with {', '.join(self.kinds)} is asked for. Received: {shortly(answer)}.")
        if {plain(value) for value in found.values() if isinstance(value, str)} == names:  # {word: name}
            found = {value: name for name, value in found.items()}
        return {plain(name): value for name, value in found.items()}

    @staticmethod
    def _value(name, kind, given):
        try:
            return kind.read(given)
        except Unfit as error:
            raise Unfit(f"in {name!r}: {error}") from None

    def difference(self, value, right):
        exchanged = [name for name in self.kinds if value[name] != right[name]]
        numbers = all(isinstance(kind, Number) for kind in self.kinds.values())
        if exchanged and numbers and sorted(value.values()) == sorted(right.values()):
            return f"The right numbers, and not each at its own name: look at {', '.join(map(repr, exchanged))}."
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
