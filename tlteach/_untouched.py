"""Which cells of a learner's notebook need not be run: those of a lesson, as shipped, that no exercise needs."""

import ast
import copy
import re
from functools import lru_cache
from symtable import symtable

from tlteach._assets import shipped
from tlteach.notebooks import read_light, read_source


def without_untouched(node):
    """Leave out the cells of lessons that the learner did not change and that no exercise needs.

    A cell is known by its source, whatever its tags and wherever it stands.

    Args:
        node: A notebook; it stays as it is.

    Returns:
        A copy in which these cells are empty, and the names that they would have made and that cells of the
        learner's own use, a set: where it is not empty, an error or a wrong answer may come from what was left out.
    """
    every, spare = _of_lessons()
    node, used, made = copy.deepcopy(node), set(), set()
    for cell in (cell for cell in node.cells if cell.cell_type == "code"):
        source = _tidy(cell.source)
        if source in spare:
            made |= _made(source)
            cell.source = ""
        elif source not in every:
            used |= _used(source)
    return node, used & made


@lru_cache
def _of_lessons():
    """The sources of the cells of all lessons, and of those that no exercise needs, as two sets."""
    every, light = set(), set()
    for path in shipped("lessons").glob("[0-9][0-9]_*.py"):
        every |= {_tidy(cell.source) for cell in read_source(path).cells if cell.cell_type == "code"}
        light |= {_tidy(cell.source) for cell in read_light(path).cells if cell.cell_type == "code"}
    return every, every - light


def _tidy(source):
    """A source without what editors change: line ends, and spaces at the end of a line."""
    return "\n".join(line.rstrip() for line in source.strip().splitlines())


def _made(source):
    """The names that a cell of a lesson gives to those after it."""
    symbols = symtable(source, "cell", "exec").get_symbols()
    return {each.get_name() for each in symbols if each.is_assigned() or each.is_imported()}


def _used(source):
    """The names that a cell of a learner's may read: all its words where it is more, or less, than Python."""
    try:
        found = ast.walk(ast.parse(source))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set(re.findall(r"\w+", source))
    names = [each for each in found if isinstance(each, ast.Name)]
    own = {each.id for each in names if isinstance(each.ctx, ast.Store) and "tl.check(" in source}
    return {
        each.id for each in names if isinstance(each.ctx, ast.Load)
    } - own  # an answer makes a name before it reads it
