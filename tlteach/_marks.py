"""The word for each exercise of a notebook that was graded, and the exercise that a cell belongs to."""

import re

from tlteach._exercises import exercises_of

MEANT = {  # each word, and what it says
    "passed": "its last check said that the answer is right",
    "wrong": "its last check said that the answer is not right",
    "open": "its last check found nothing filled in",
    "missing": "the notebook ran to its end and never checked it",
    "error": "the cell with its check raised an error before the check",
    "not reached": "the notebook was ended before its check",
    "not run": "the file could not be read",
}
_CHECK = re.compile(r"""\bcheck\(\s*(?:number\s*=\s*)?["']?\s*(\d{1,2})\.(\d{1,2})(?!\d)""")
_COMMENT = re.compile(r"^\s*#.*", re.M)
_HEADING = re.compile(r"^#{1,3}\s+(?:Exercise\s+(\d\d\.\d+))?", re.M)


def checks_in(source):
    """Return the exercises whose check a cell's text calls, a list of numbers such as `"04.2"`.

    Args:
        source: Of a code cell; it may be no Python.
    """
    found = _CHECK.findall(_COMMENT.sub("", source))
    names = dict.fromkeys(f"{int(lesson):02d}.{int(number)}" for lesson, number in found)
    return [name for name in names if name in exercises_of(name[:2])]


def exercises_by_cell(node):
    """Return what each code cell belongs to: a dict from its place, from 1, to a list of exercises.

    That is the exercises that it checks; or else the one under whose heading it stands, however many cells
    a learner has put between. The next heading of the lesson ends it, and not a small one of the learner's.

    Args:
        node: A notebook.
    """
    found, under = {}, []
    for place, cell in enumerate(node.cells, 1):
        if cell.cell_type == "code":
            found[place] = checks_in(cell.source) or under
        elif cell.cell_type == "markdown" and (headings := _HEADING.findall(cell.source)):
            under = [name for name in headings[-1:] if name in exercises_of(name[:2])]
    return found


def marks(lessons, results=None, *, raised=(), ended=False):
    """Return the word for each exercise of some lessons, a dict.

    Args:
        lessons: Their numbers.
        results: Dict from exercise to what its last check said; `None` if the notebook could not be run.
        raised: Exercises with a check in a cell that raised an error.
        ended: Whether the notebook was ended before its last cell.
    """
    names = [name for lesson in lessons for name in exercises_of(lesson)]
    if results is None:
        return dict.fromkeys(names, "not run")
    rest = "not reached" if ended else "missing"
    return {name: results.get(name) or ("error" if name in raised else rest) for name in names}
