"""Groups: which pictures belong together, such as a patient's slices, as a table or the files' names tell."""

import csv
import re
import tomllib
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from tlteach._assets import shipped

PATHS = ("path", "file", "filename", "file_name", "image")
CALLED = ("group", "patient", "subject", "speaker", "group_id", "patient_id", "subject_id", "speaker_id")
OWN = ("path", "class", "label", "given", "split", "sha256", "look", "twin", "unit")  # columns that a split has itself
_RULE = (
    "groups must be a CSV or TSV file of pictures and their group, or a regular expression with exactly one group in "
    r"brackets, such as r'(?P<patient>p\d+)_'. "
)


def read_groups(groups, paths, root):
    """Return `(column, table)`: the column's name, and a row for each path with what is known of it.

    Args:
        groups: CSV or TSV file, or a regular expression.
        paths: Paths of the pictures below the root.
        root: The folder, where the file may lie too.
    """
    if not isinstance(groups, (str, Path)):
        raise ValueError(f"{_RULE}Received: {groups!r}.")
    is_file = isinstance(groups, Path) or groups.lower().endswith((".csv", ".tsv"))
    column, table = _from_file(_find(groups, root), paths) if is_file else _from_pattern(groups, paths)
    if column in OWN:
        raise ValueError(f"the group must not be called {', '.join(OWN)}. Received: {column!r} from {groups}.")
    missing = [path for path, group in zip(paths, table[column], strict=True) if not group or pd.isna(group)]
    if missing:
        raise ValueError(
            f"every picture needs its {column}. "
            f"Received: {groups}, which gives none for {len(missing)} of {len(paths)}: {named(missing)}."
        )
    return column, table


def named(paths, most=10):
    """Join the first few paths to a readable list."""
    paths = sorted(paths)
    return ", ".join(paths[:most]) + (", ..." if len(paths) > most else "")


def declared(name):
    """Return the column that a shipped data set declares in its `dataset.toml`, or `None`."""
    file = shipped("datasets", name, "dataset.toml")
    return tomllib.loads(file.read_text(encoding="utf-8")).get("groups") if file.exists() else None


def unite(*columns):
    """Number what hangs together: rows that share a value in any column, directly or through others."""
    rows = len(columns[0])  # the graph's nodes: first the rows, then the values of each column
    codes = [pd.factorize(pd.Series(list(column)))[0] + rows * number for number, column in enumerate(columns, 1)]
    return connected([pair for values in codes for pair in enumerate(values)], rows * (len(columns) + 1))[:rows]


def connected(pairs, size):
    """Number the connected components of a graph in the order of their first node."""
    one, other = (np.array([pair[end] for pair in pairs], dtype=int) for end in (0, 1))
    graph = coo_array((np.ones(len(pairs)), (one, other)), shape=(size, size))
    return connected_components(graph, directed=False)[1]  # (size,)


def _from_pattern(pattern, paths):
    """Look into the files' names; if that does not do for all, into their paths below the folder."""
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ValueError(f"{_RULE}Received: {pattern!r} ({error}).") from error
    if compiled.groups != 1:
        raise ValueError(f"{_RULE}Received: {pattern!r}, which has {compiled.groups}.")
    found = [compiled.search(PurePosixPath(path).name) for path in paths]
    if not all(found):
        found = [compiled.search(path) for path in paths]
    column = next(iter(compiled.groupindex), "group")
    return column, pd.DataFrame({column: [match and match[1] for match in found]})


def _find(file, root):
    """Return the file where it is, or where it lies in the folder."""
    found = next((p for p in (Path(file).expanduser(), root / file) if p.is_file()), None)
    if found is None or found.suffix.lower() not in (".csv", ".tsv"):
        raise ValueError(f"{_RULE}Received: {file}, {'no such file' if found is None else 'another kind of file'}.")
    return found


def _from_file(file, paths):
    table, key, column = _read(file)
    clean = table[key].str.strip().str.replace("\\", "/", regex=False).str.removeprefix("./")
    table = table.assign(**{key: clean, column: table[column].str.strip()}).drop_duplicates([key, column])
    twice = table.loc[table[key].duplicated(), key]
    if len(twice):
        raise ValueError(f"each picture has one {column}. Received: {file}, with several for {named(set(twice))}.")
    known = table.set_index(key)
    known = known.drop(columns=[name for name in known if name in OWN and name != column])
    return column, known.reindex(_keys(paths, known.index)).reset_index(drop=True)


def _keys(paths, known):
    """Return what the file calls the pictures: their paths, names, or names without suffix, what fits most."""
    ways = [paths, [PurePosixPath(p).name for p in paths], [PurePosixPath(p).stem for p in paths]]
    best = max(ways, key=lambda keys: sum(key in known for key in keys))
    twice = pd.Series(paths)[pd.Series(best).duplicated(keep=False) & pd.Series(best).isin(known)]
    if len(twice):
        raise ValueError(
            f"names that come twice need their paths in the file of groups. Received: a name alone for {named(twice)}."
        )
    return best


def _read(file):
    """Return the table, and the names of its columns of pictures and of groups."""
    how = dict(encoding="utf-8-sig", errors="replace")
    with open(file, newline="", **how) as opened:
        header = opened.readline()
    separator = max(",;\t", key=header.count)
    columns = [name.strip() for name in next(csv.reader([header], delimiter=separator))] or [""]
    key = next((name for name in columns if name.lower() in PATHS), columns[0])
    others = [name for name in columns if name != key]
    called = [name for name in others if name.lower() in CALLED]
    if key.lower() in CALLED:
        raise ValueError(
            f"the file of groups needs a column of pictures, called {' or '.join(PATHS[:2])}, before or beside that of "
            f"the {key}. Received: {file} with {', '.join(columns)}."
        )
    if len(called) != 1 and len(others) != 1:
        raise ValueError(
            f"the file of groups needs one column called {', '.join(CALLED[:3])}, or two columns in all. "
            f"Received: {file} with {', '.join(filter(None, columns)) or 'nothing in it'}."
        )
    column = called[0] if len(called) == 1 else others[0]
    with open(file, newline="", **how) as opened:
        table = pd.read_csv(
            opened, sep=separator, header=0, names=columns, dtype={key: str, column: str}, index_col=False
        )
    return table.dropna(subset=[key]), key, column
