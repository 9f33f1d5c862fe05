"""An exercise: what is right, the mistakes that learners make, and hints; and how an answer is judged."""

import importlib
import pkgutil
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from tlteach._reading import Open, Unfit, is_open


@dataclass(frozen=True)
class Mistake:
    """A known mistake, with the sentence that explains it.

    Attributes:
        examples: Answers that make it, a list; the tests give each to the check.
        why: What was mixed up, and what to look at.
        when: Function from the answer as it was read; by default an answer is this mistake if it equals an example.
    """

    examples: list
    why: str
    when: Any = None


@dataclass(frozen=True)
class Exercise:
    """An exercise.

    Attributes:
        number: Such as `"01.1"`.
        kind: What kind of answer it takes, from `tlteach._answers` and `_functions`.
        right: The right answer, or a function from what was read to whether it is right.
        accepts: Right answers as learners may give them, a list; the tests give each to the check.
        mistakes: List of `Mistake`; the first that fits explains.
        otherwise: What to say of any other wrong answer.
        hints: Texts, the vaguest first.
        note: What to take along when it is solved.
    """

    number: str
    kind: Any
    right: Any
    accepts: list
    mistakes: list
    otherwise: str
    hints: tuple
    note: str

    def judge(self, answer):
        """Return `(status, message)`: `"passed"`, `"wrong"` or `"open"`, and why.

        Args:
            answer: Whatever a learner gave.
        """
        if is_open(answer):
            none = " It is None: if it came from a function, does that `return` it?" if answer is None else ""
            return "open", f"Put your answer in place of `...` and run the cell again.{none}"
        try:
            return self._judge(self.kind.read(answer))
        except Open as error:
            return "open", f"Still to be filled in: {error}."
        except Unfit as error:
            text = str(error)
            return "wrong", text[:1].upper() + text[1:]

    def _judge(self, value):
        known = callable(self.right) and not hasattr(self.kind, "cases")  # a rule, not an answer
        if self.right(value) if known else self._is(value, self.right):
            return "passed", self.note
        for mistake in self.mistakes:
            if self._makes(mistake, value):
                return "wrong", mistake.why
        differs = None if known else self.kind.difference(value, self.kind.read(self.right))
        return "wrong", " ".join(filter(None, (differs, self.otherwise)))

    def _makes(self, mistake, value):
        if mistake.when is not None:
            return mistake.when(value)
        return any(self._is(value, example) for example in mistake.examples)

    def _is(self, value, answer):
        try:
            return self.kind.difference(value, self.kind.read(answer)) is None
        except Unfit:  # an example that cannot be read is answered by its kind, before any mistake is looked for
            return False


@lru_cache
def lessons_with_exercises():
    """Return the numbers of the lessons that have exercises, such as `["01", "02"]`."""
    import tlteach.exercises as package

    names = (module.name for module in pkgutil.iter_modules(package.__path__))
    return sorted(name.removeprefix("lesson_") for name in names if name.startswith("lesson_"))


@lru_cache
def exercises_of(lesson):
    """Return the exercises of a lesson, a dict from number to `Exercise`; empty if it has none.

    Args:
        lesson: Such as `"01"`.
    """
    if lesson not in lessons_with_exercises():
        return {}
    module = importlib.import_module(f"tlteach.exercises.lesson_{lesson}")
    return {exercise.number: exercise for exercise in module.EXERCISES}
