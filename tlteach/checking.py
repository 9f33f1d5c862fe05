"""Exercises in a notebook: `check` an answer, ask for a `hint`."""

import html
import re
import sys
from dataclasses import dataclass

from tlteach._exercises import exercises_of, lessons_with_exercises
from tlteach._reading import shortly

MIME = "application/vnd.tlteach.check+json"
_SAID = {"passed": "Right.", "wrong": "Not right.", "open": "Not yet."}
_COLOURS = {"passed": "#2e8b57", "wrong": "#c44e52", "open": "#8c8c8c", "hint": "#4c72b0"}
_given = {}  # how many hints of each exercise were shown


@dataclass(frozen=True)
class Outcome:
    """What `check` found; a notebook shows it, and keeps it in a form that a program can read.

    Attributes:
        number: Of the exercise.
        status: `"passed"`, `"wrong"` or `"open"`.
        message: Why.
    """

    number: str
    status: str
    message: str

    @property
    def passed(self):
        """Whether the answer is right."""
        return self.status == "passed"

    def __repr__(self):
        return " ".join(filter(None, (f"{self.number}: {_SAID[self.status]}", self.message, self._more())))

    def _more(self):
        return f'(A hint: tl.hint("{self.number}"))' if not self.passed and _find(self.number) else ""

    def _repr_html_(self):
        head = f"<b>{html.escape(self.number)}: {_SAID[self.status]}</b> {_marked(self.message)}"
        return _box(f"{head} <small>{html.escape(self._more())}</small>", self.status)

    def _repr_mimebundle_(self, include=None, exclude=None):
        kept = {"exercise": self.number, "status": self.status, "message": self.message}
        return {"text/plain": repr(self), "text/html": self._repr_html_(), MIME: kept}


@dataclass(frozen=True)
class Hint:
    """A hint, as a notebook shows it."""

    text: str

    def __repr__(self):
        return self.text

    def _repr_html_(self):
        return _box(_marked(self.text), "hint")


def _marked(text):
    """Text as HTML, with what stands between backquotes as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text))


def _box(inner, kind):
    return f'<div style="border-left: 4px solid {_COLOURS[kind]}; padding: 0.3em 0.8em">{inner}</div>'


def check(number="", *answers, **named):
    """Check an answer to an exercise, and say why it is wrong if it is.

    It needs no network, and it never raises: whatever is given, the answer is a sentence.

    Args:
        number: Of the exercise, such as `"01.1"`.
        answers: The answer; several where the exercise asks for several; none says how to give one.
        named: The same, by name.

    Returns:
        An object with `number`, `passed`, `status` and `message`, which a notebook shows.

    Example:
        >>> import tlteach as tl
        >>> tl.check("01.1", ...)
        01.1: Not yet. Put your answer in place of `...` and run the cell again. (A hint: tl.hint("01.1"))
        >>> tl.check("01.1", ...).passed
        False
    """
    outcome = _outcome(_tidy(number), (*answers, *named.values()))
    sys.audit("tlteach.check", outcome.number, outcome.status)  # for `tlteach grade`, whatever a cell makes of it
    return outcome


def _outcome(number, answers):
    try:
        return _judged(number, answers)
    except (Exception, SystemExit, RecursionError) as error:
        message = f"This answer could not be read: reading it raised {type(error).__name__}. Give a plain value."
        return Outcome(number, "wrong", message)


def _judged(number, answers):
    exercise = _find(number)
    if exercise is None:
        return Outcome(number, "open", _unknown(number))
    if not answers:
        return Outcome(number, "open", f'Give your answer too: `tl.check("{number}", answer)`.')
    status, message = exercise.judge(answers[0] if len(answers) == 1 else answers)
    return Outcome(number, status, message)


def hint(number="", which=None):
    """Show a hint for an exercise: at each call the next one.

    Args:
        number: Of the exercise, such as `"01.1"`.
        which: Which hint, from 1; the next one if `None`.

    Returns:
        An object that a notebook shows as text.

    Example:
        >>> import tlteach as tl
        >>> tl.hint("01.1", 9)
        There are 2 hints for 01.1; ask for one of these.
    """
    number = _tidy(number)
    exercise = _find(number)
    if exercise is None:
        return Hint(_unknown(number))
    count = len(exercise.hints)
    which = min(_given.get(number, 0) + 1, count) if which is None else which
    if which not in range(1, count + 1):
        return Hint(f"There are {count} hints for {number}; ask for one of these.")
    _given[number] = which
    more = f' The next: tl.hint("{number}")' if which < count else " It is the last one."
    return Hint(f"Hint {which} of {count}: {exercise.hints[which - 1]}{more}")


def _tidy(number):
    """`"01.1"` of `"1.1"`, `1.1` or `" Exercise 01.1"`; anything else in few characters."""
    if not isinstance(number, (str, int, float)):
        return shortly(number)
    found = re.search(r"(\d{1,2})\.(\d{1,2})(?!\d)", str(number))
    return f"{int(found[1]):02d}.{int(found[2])}" if found else str(number)[:40]


def _find(number):
    return exercises_of(number[:2]).get(number)


def _unknown(number):
    near = list(exercises_of(number[:2]))
    if near:
        return f"There is no exercise {number}. Lesson {number[:2]} has {', '.join(near)}."
    said = f"There is no exercise {number}" if number else "The exercise's number must come first"
    lessons = ", ".join(lessons_with_exercises())
    return f'{said}, written as in tl.check("01.1", answer). Lessons {lessons} have exercises.'
