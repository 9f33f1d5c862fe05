"""Notebooks of the lessons: made from one source, one for the learner and one with the solutions.

In the source, a solution stands in its exercise's cell between two comments:

    # solution: what the learner reads in the gap
    answer = gain[40].mean()
    # end
    tl.check("01.1", answer)

The learner's cell has `answer = ...` there. What is the same in each lesson (the badge and set-up
for Colab, the quiz, the versions) is in no source: it is added here.
"""

import ast
import copy
import re
from pathlib import Path

from tlteach._assets import repository
from tlteach._versions import oldest_allowed

_SOLUTION = re.compile(r"^# solution(?:: (?P<hint>[^\n]+))?\n(?P<code>.*?)^# end$", re.M | re.S)
_CHECK = re.compile(r'^tl\.check\("(\d\d\.\d+)", .+\)$', re.M)
_EXERCISE = re.compile(r"^### Exercise (\d\d\.\d+): .+$", re.M)
_MODULES = {"text": "keras_hub"}  # what an extra of the package brings, by the module that is looked for

_HELD = ("keras", "numpy", "tensorflow")  # Colab's own, by their names in pyproject.toml
_SET_UP = """\
# In Colab this installs what is missing, and holds Colab's own TensorFlow, Keras and NumPy. Elsewhere it does nothing.
import sys

if "google.colab" in sys.modules:
    import subprocess
    from importlib import metadata, util
    from pathlib import Path

    from packaging.version import Version

    class Stop(Exception):
        def _render_traceback_(self):  # what a notebook shows: the sentence alone
            return [str(self)]

    if not all(util.find_spec(name) for name in {modules}):
        oldest = {oldest}
        held = {{str(d.name).lower(): d.version for d in metadata.distributions()}}
        held = {{name: held[name] for name in oldest if name in held}}
        old = {{name: version for name, version in held.items() if Version(version) < Version(oldest[name])}}
        if old:
            found = ", ".join(f"{{name}} {{version}}" for name, version in old.items())
            wanted = " ".join(f"'{{name}}>={{oldest[name]}}'" for name in old)
            raise Stop(
                f"tlteach needs {{wanted}}. This runtime has {{found}}. "
                f"Run `%pip install -U {{wanted}}`, choose Runtime > Restart session, and run this cell again."
            )
        Path("held.txt").write_text("".join(f"{{name}}=={{version}}\\n" for name, version in held.items()))
        pip = [sys.executable, "-m", "pip", "install", "-q", "-c", "held.txt"]
        done = subprocess.run([*pip, "{package} @ git+{address}"], capture_output=True, text=True)
        if done.returncode:
            print(done.stderr)
            raise Stop(
                "tlteach is fetched from {address}. pip could not install it, and says why above. "
                "Look whether there is a network, and run this cell again."
            )"""


def read_source(path):
    """Make the learner's notebook of a lesson's source: with gaps in place of the solutions.

    Args:
        path: A percent-format Python file.

    Returns:
        A notebook node without outputs; cell ids are numbers, so that the same source gives the same file.

    Raises:
        ValueError: If an exercise's cell is not as it should be, with what is wrong.
    """
    return _notebook(path, [_with_gap(cell) for cell in _cells_of(path)])


def read_solutions(path):
    """Make the notebook with the solutions, from the same source.

    Args:
        path: A percent-format Python file.

    Returns:
        A notebook node without outputs, with as many cells as the learner's.
    """
    return _notebook(path, [_with_solution(cell) for cell in _cells_of(path)], folder="lessons/solutions")


def read_light(path):
    """Make the notebook that shows whether the exercises hold, without running the whole lesson.

    It has the cells that are tagged `needed` in the source, each exercise twice (with its gap, then
    with its solution), and what is added to each lesson.

    Args:
        path: A percent-format Python file.

    Returns:
        A notebook node without outputs.
    """
    cells = []
    for cell in _cells_of(path):
        if is_exercise(cell):
            cells += [_with_gap(cell), _with_solution(cell)]
        elif "needed" in cell.metadata.get("tags", []):
            cells.append(cell)
    return _notebook(path, cells)


def is_exercise(cell):
    """Whether a cell of a source or of a made notebook is an exercise's."""
    tags = cell.metadata.get("tags", [])
    return "exercise" in tags or (cell.cell_type == "code" and bool(_SOLUTION.search(cell.source)))


def _cells_of(path):
    import jupytext

    cells = jupytext.read(path).cells
    asked = [number for cell in cells if cell.cell_type == "markdown" for number in _EXERCISE.findall(cell.source)]
    checked = [_number(cell, path) for cell in cells if cell.cell_type == "code" and "# solution" in cell.source]
    if asked != checked:
        raise ValueError(
            f"each exercise must have a cell with its solution. Received: {asked} and {checked} in {path}."
        )
    return cells


def _number(cell, path):
    """The number of the exercise in a cell, which must end in its check."""
    solution, checks = _SOLUTION.search(cell.source), _CHECK.findall(cell.source)
    if not solution:
        raise ValueError(
            f"a solution must stand between '# solution' and '# end'. Received: {cell.source!r} in {path}."
        )
    if len(checks) != 1 or not cell.source.rstrip().splitlines()[-1].startswith("tl.check("):
        raise ValueError(f"an exercise's cell must end in one tl.check. Received: {cell.source!r} in {path}.")
    return checks[0]


def _notebook(path, cells, *, folder="lessons"):
    import nbformat.v4 as v4

    path = Path(path)
    number, *opening, closing = path.stem[:2], *_frame(path, folder)
    title, *rest = cells
    last = len(rest) - (bool(rest) and rest[-1].cell_type == "markdown")  # the further reading stays last but one
    quiz = _quiz(path, number)
    cells = [title, *opening, *rest[:last], *quiz, *rest[last:], closing]
    for index, cell in enumerate(cells):
        cell["id"] = f"cell-{index:03d}"
    notebook = v4.new_notebook(cells=cells)
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    return notebook


def _frame(path, folder):
    """Badge, set-up and versions: the same in each lesson."""
    return _made("markdown", _badge(path.stem, folder)), _made("code", _set_up(path)), _made("code", "tl.versions()")


def _made(kind, source):
    import nbformat.v4 as v4

    new = v4.new_markdown_cell if kind == "markdown" else v4.new_code_cell
    return new(source, metadata={"tags": ["made"]})


def _badge(stem, folder):
    place = f"github{repository().removeprefix('https://github.com')}/blob/main/{folder}/{stem}.ipynb"
    image = "https://colab.research.google.com/assets/colab-badge.svg"
    badge = f"[![Open in Colab]({image})](https://colab.research.google.com/{place})"
    return badge if folder == "lessons" else f"{badge} The solutions of [this lesson](../{stem}.ipynb)."


def _set_up(path):
    extra = re.search(r"tlteach\[(\w+)\]", path.read_text(encoding="utf-8"))
    modules = ("tlteach", _MODULES[extra[1]]) if extra else ("tlteach",)
    package = f"tlteach[{extra[1]}]" if extra else "tlteach"
    return _SET_UP.format(modules=modules, oldest=oldest_allowed(_HELD), package=package, address=repository())


def _quiz(path, number):
    """The quiz's cells, where a lesson has one: beside the sources' folder, or in it when installed."""
    places = (path.parent.parent / "quizzes", path.parent.parent / "_quizzes")
    if not any((place / f"{number}.toml").exists() for place in places):
        return []
    return [_made("markdown", "## Quiz"), _made("code", f'tl.quiz("{number}")')]


def _with_solution(cell):
    return _filled(cell, lambda found: "".join([_comment(found), found["code"]]).rstrip("\n"))


def _with_gap(cell):
    return _filled(cell, lambda found: f"{_comment(found)}{_gap(found, cell)}")


def _filled(cell, fill):
    """A copy of an exercise's cell with something in the solution's place; any other cell as it is."""
    cell = copy.deepcopy(cell)
    if is_exercise(cell):
        cell["source"] = _SOLUTION.sub(fill, cell.source)
        cell["metadata"] = {**cell.metadata, "tags": ["exercise", *cell.metadata.get("tags", [])]}
    return cell


def _comment(found):
    return f"# {found['hint']}\n" if found["hint"] else ""


def _gap(found, cell):
    """`name = ...` for what the solution gives to the rest of the cell, and a function without a body."""
    after = cell.source[found.end() :]
    used = {node.id for node in ast.walk(ast.parse(after)) if isinstance(node, ast.Name)}
    gaps = {}
    for node in ast.parse(found["code"]).body:
        if isinstance(node, ast.FunctionDef) and node.name in used:
            gaps[node.name] = f"def {node.name}({ast.unparse(node.args)}):\n    return ...\n"
        elif not isinstance(node, ast.FunctionDef):
            gaps |= {name.id: f"{name.id} = ..." for name in ast.walk(node) if _is_stored(name) and name.id in used}
    if not gaps:
        raise ValueError(f"a solution must give the check a name. Received: {cell.source!r}.")
    return "\n".join(gaps.values())


def _is_stored(node):
    return isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
