"""Installed versions beside the oldest that are allowed and the newest that the tests were run with."""

import re
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from tlteach._assets import requirements


class Package(NamedTuple):
    """A package: `extra` is empty for those that all need; versions as texts, `None` where there is none."""

    name: str
    extra: str
    oldest: str
    tested: str
    installed: str

    @property
    def state(self):
        """`missing`, `too old`, `newer` (than what was tested, in its first two numbers), `not tested` or `fine`."""
        if self.installed is None:
            return "missing"
        if self.oldest and Version(self.installed) < Version(self.oldest):
            return "too old"
        if self.tested is None:
            return "not tested"
        return "newer" if _later(self.installed, self.tested) else "fine"


def _later(version, tested):
    return Version(version).release[:2] > Version(tested).release[:2]


def installed(name):
    """Return the version of an installed package, or `None`.

    Args:
        name: As the package registry spells it.
    """
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def python_allowed():
    """Return which versions of Python tlteach allows, as a `SpecifierSet`."""
    try:
        return SpecifierSet(metadata.metadata("tlteach")["Requires-Python"] or "")
    except metadata.PackageNotFoundError:
        return SpecifierSet()


def python_newer(version):
    """Return the version of Python that was tested if another is newer than it, otherwise `None`.

    Args:
        version: As a text.
    """
    tested = re.search(r"^# .*\bPython ([0-9.]+[0-9])", _constraints(), re.MULTILINE)
    return tested[1] if tested and _later(version, tested[1]) else None


def packages():
    """Return what tlteach needs, as a list of `Package`; none where tlteach itself is not installed."""
    try:
        told = [Requirement(line) for line in metadata.requires("tlteach") or ()]
    except metadata.PackageNotFoundError:
        return []
    tested, found = _tested(), []
    for each in told:
        if each.name == "tlteach":
            continue  # an extra that holds the others
        extra = re.search(r"extra == [\"'](\w+)", str(each.marker or ""))
        known = tested.get(canonicalize_name(each.name))
        found.append(Package(each.name, extra[1] if extra else "", _oldest(each), known, installed(each.name)))
    return found


def oldest_allowed(names):
    """Return the oldest versions that `pyproject.toml` allows, a dict from name to version.

    Args:
        names: Of packages that all need.
    """
    told = {each.name: _oldest(each) for each in map(Requirement, requirements())}
    return {name: told[name] for name in names}


def _oldest(requirement):
    return next((s.version for s in requirement.specifier if s.operator == ">="), None)


def _tested():
    """What the constraints say: the version that was tested of each package, by its canonical name."""
    lines = [line.split("==") for line in _constraints().splitlines() if "==" in line and not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in lines}


def _constraints():
    """The constraints, which ship with the package."""
    here = Path(__file__).parent
    path = here / "_constraints.txt" if (here / "_constraints.txt").exists() else here.parent / "constraints.txt"
    return path.read_text(encoding="utf-8") if path.exists() else ""
