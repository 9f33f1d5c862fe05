"""Installed versions beside the oldest that are allowed and the newest that the tests were run with."""

import re
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
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
        """`missing`, `too old`, `newer` (than what was tested, in its first two numbers) or `fine`."""
        if self.installed is None:
            return "missing"
        if self.oldest and Version(self.installed) < Version(self.oldest):
            return "too old"
        known = self.tested and Version(self.installed).release[:2] > Version(self.tested).release[:2]
        return "newer" if known else "fine"


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


def packages():
    """Return what tlteach needs, as a list of `Package`; none where tlteach itself is not installed."""
    try:
        told = [Requirement(line) for line in metadata.requires("tlteach") or ()]
    except metadata.PackageNotFoundError:
        return []
    tested, found = _tested(), []
    for each in told:
        extra = re.search(r"extra == [\"'](\w+)", str(each.marker or ""))
        found.append(
            Package(each.name, extra[1] if extra else "", _oldest(each), tested.get(each.name), installed(each.name))
        )
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
    """What the constraints say, which ship with the package."""
    here = Path(__file__).parent
    path = here / "_constraints.txt" if (here / "_constraints.txt").exists() else here.parent / "constraints.txt"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return dict(line.split("==") for line in lines if "==" in line and not line.startswith("#"))
