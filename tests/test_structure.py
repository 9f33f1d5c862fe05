"""The library's shape: imports go one way, everything is small, and what is public is explained."""

import ast
import inspect
import os
import subprocess
import sys
import tomllib
from graphlib import TopologicalSorter

import pytest
from conftest import ROOT
from packaging.specifiers import SpecifierSet

import tlteach as tl

ORDER = (
    "masks tables data splitting backbones costs frontends features heads entities freezing transplant finetune "
    "learning_rates search evaluation decisions subgroups balancing calibration activation_maps occlusion "
    "comparison label_curves transferability source_ranking similarity shift adapt recipe_check recipe_sound "
    "recipe_text recipe plots plots_sound plots_text plots_sources plots_evaluation report predicting quizzes "
    "environment checking notebooks lessons prefetch doctor grading cli_classroom cli"
).split()
# `attach_head` freezes BatchNorm, so freezing stands before heads
ORDER.insert(ORDER.index("heads"), ORDER.pop(ORDER.index("freezing")))
FILES = sorted((ROOT / "tlteach").glob("*.py"))
TREES = {file.stem: ast.parse(file.read_text(encoding="utf-8")) for file in FILES}


def imported(tree):
    """Every module that a file imports, also inside functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def own_imports(name):
    found = {m.split(".")[1] for m in imported(TREES[name]) if m.startswith("tlteach.")}
    return {m for m in found if m in TREES}


def reached(name):
    """The public modules that a module imports, itself or through private ones."""
    found = set()
    for other in own_imports(name):
        found |= reached(other) if other.startswith("_") else {other}
    return found


def functions():
    for module, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                yield pytest.param(node, id=f"{module}.{node.name}")


def test_no_import_goes_in_a_circle():
    order = TopologicalSorter({name: own_imports(name) for name in TREES}).static_order()
    assert set(order) == set(TREES)


@pytest.mark.parametrize("name", [n for n in TREES if not n.startswith("_")])
def test_a_module_imports_only_what_stands_before_it(name):
    assert name in ORDER, f"say in the order where {name} belongs"
    later = ORDER[ORDER.index(name) :]
    assert not reached(name) & set(later)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_module_is_short(file):
    assert len(file.read_text(encoding="utf-8").splitlines()) < 350


@pytest.mark.parametrize("function", functions())
def test_a_function_is_short_and_has_few_parameters(function):
    body = function.body[1:] if ast.get_docstring(function) else function.body
    assert not body or body[-1].end_lineno - body[0].lineno + 1 <= 40
    if function.decorator_list and module_of(function) == "cli":
        return  # a command: its parameters are options on the command line
    given = function.args
    positional = [a.arg for a in given.posonlyargs + given.args if a.arg not in ("self", "cls")]
    assert len(positional) + len(given.kwonlyargs) <= 6
    optional = positional[len(positional) - len(given.defaults) :] if given.defaults else []
    assert not set(optional) & set(positional[2:]), "keyword-only after the second"


def module_of(function):
    return next(name for name, tree in TREES.items() if function in ast.walk(tree))


def gives_something(function):
    """Whether a function returns a value."""
    nodes = ast.walk(ast.parse(inspect.getsource(function)))
    return any(isinstance(node, ast.Return) and node.value is not None for node in nodes)


def public_functions():
    found = {name: getattr(tl, name) for name in tl.__all__}
    return {name: thing for name, thing in found.items() if inspect.isfunction(thing)}


@pytest.mark.parametrize("name", list(public_functions()))
def test_a_public_function_is_explained(name):
    function = public_functions()[name]
    text = inspect.getdoc(function) or ""
    first = text.splitlines()[0]
    assert first.endswith(".") and len(text.splitlines()) > 1
    parameters = inspect.signature(function).parameters
    assert "Returns:" in text or not gives_something(function)
    for parameter in parameters:
        assert "Args:" in text and f"{parameter}:" in text


@pytest.mark.parametrize("name", tl.__all__)
def test_everything_public_is_there(name):
    assert inspect.getdoc(getattr(tl, name))


def test_importing_costs_nothing():
    heavy = ("tensorflow", "keras", "pandas", "sklearn", "matplotlib", "numpy")
    program = f"import sys, tlteach; print([m for m in {heavy} if m in sys.modules])"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_an_unknown_name():
    with pytest.raises(AttributeError, match="module 'tlteach' has no attribute 'nothing'"):
        tl.nothing  # noqa: B018
    assert set(tl.__all__) <= set(dir(tl))


@pytest.mark.parametrize("name", [n for n in TREES if n != "_tfds"])
def test_tensorflow_is_reached_through_keras_alone(name):
    assert not {m.split(".")[0] for m in imported(TREES[name])} & {"tensorflow", "tensorflow_datasets", "torch", "jax"}


def test_the_oldest_versions_are_those_that_the_package_allows():
    """What CI runs as the oldest is what `pyproject.toml` promises."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    allowed = project["dependencies"] + project["optional-dependencies"]["text"]
    lines = (ROOT / "constraints-oldest.txt").read_text(encoding="utf-8").splitlines()
    oldest = dict(line.split("==") for line in lines if "==" in line)
    for name, version in (each.split(">=") for each in allowed):
        assert oldest[name].startswith(version), name  # 1.11.1 where 1.11.0 was withdrawn
    assert len(oldest) == len(allowed)


def test_the_conda_environment_leaves_what_is_needed_to_the_package():
    import yaml

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    told = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    python, *rest = told["dependencies"]
    assert python.removeprefix("python=") in SpecifierSet(project["requires-python"])
    assert rest == ["pip", {"pip": ["-e .[dev]"]}] and "dev" in project["optional-dependencies"]
    assert told["name"] == project["name"]
