"""Read a table of texts and labels from wherever people keep one, and name what is wrong with it."""

import csv
import io
import json
import numbers
import warnings
from pathlib import Path

import pandas as pd

from tlteach._groups import named
from tlteach._split import text_hash

SEPARATED, LINES = (".csv", ".tsv", ".txt"), (".jsonl", ".ndjson", ".json")
_RULE = (
    "a table of texts must be a CSV, TSV or JSON Lines file, or a pandas DataFrame, with a column of texts and one of "
    "labels; a .tsv may come without a header as text<TAB>label. "
)
_OWN = ("path", "class", "label", "sha256", "twin", "given", "text")


def read_table(source, *, text, label):
    """Return `(table, name)`: path, text, class, sha256 and what else the table knows, a row a good row.

    What is left out or doubtful is told in one warning each: bad rows, empty texts, lines that are not
    UTF-8, and texts that stand there twice with different labels.

    Args:
        source: Path or `pandas.DataFrame`.
        text, label: Names of the columns.
    """
    table, name = _read(source, text, label)
    table = _without(table, _bad(table), "rows cannot be read and are left out")
    table["class"] = [_class(value) for value in table["class"]]
    table["sha256"] = [text_hash(each) for each in table["text"]]
    differ = table.groupby("sha256")["class"].transform("nunique") > 1 if len(table) else []
    doubtful = {i: f"{table['class'][i]} {_short(table['text'][i])}" for i in table.index[differ]}
    return _without(
        table, doubtful, "rows have a text that stands there with another label too, and are left out"
    ), name


def _without(table, wrong, told):
    if wrong:
        shown = "; ".join(f"{table['path'][i]}: {why}" for i, why in list(wrong.items())[:10])
        more = "; ..." if len(wrong) > 10 else ""
        warnings.warn(f"{len(wrong)} of {len(table)} {told}: {shown}{more}", stacklevel=4)
    return table.drop(index=list(wrong)).drop(columns="wrong", errors="ignore").reset_index(drop=True)


def _short(text, most=40):
    return repr(text if len(text) <= most else text[:most] + "...")


def _bad(table):
    """Return `{row: why}` of what is no text with a label."""
    found = {}
    for row, (wrong, text, value) in enumerate(zip(table["wrong"], table["text"], table["class"], strict=True)):
        if wrong:
            found[row] = wrong
        elif not isinstance(text, str):
            found[row] = f"no text but {text!r}"
        elif not text.strip():
            found[row] = "an empty text"
        elif value is None or value != value or str(value).strip() == "":
            found[row] = f"no label for {_short(text)}"
    return found


def _class(value):
    """Name a label: 1, 1.0 and '1' are one class."""
    if isinstance(value, numbers.Real) and not isinstance(value, bool) and float(value).is_integer():
        return str(int(value))
    return str(value).strip()


def _read(source, text, label):
    if isinstance(source, pd.DataFrame):
        rows, name = source.astype(object).to_dict("records"), "table"
        rows = [(f"row {i}", row, "") for i, row in zip(source.index, rows, strict=True)]
    else:
        path = Path(source).expanduser() if isinstance(source, (str, Path)) else None
        if path is None or path.suffix.lower() not in SEPARATED + LINES:
            raise ValueError(f"{_RULE}Received: {source!r}.")
        if not path.is_file():
            raise FileNotFoundError(f"the table must be an existing file. Received: {source}.")
        read = _from_json if path.suffix.lower() in LINES else _from_separated
        rows, name = read(path, text, label), path.stem
        rows = [(f"{path.name}:{line}", row, wrong) for line, row, wrong in rows]
    return _framed(rows, text, label, source), name


def _framed(rows, text, label, source):
    columns = dict.fromkeys(name for _, row, _ in rows for name in row)
    if not {text, label} <= set(columns):
        told = ", ".join(map(str, columns)) or "none"
        what = "the frame" if isinstance(source, pd.DataFrame) else source
        raise ValueError(f"{_RULE}Received: {what}, with the columns {told}; name yours with text= and label=.")
    further = [name for name in columns if name not in (text, label) and name not in _OWN]
    return pd.DataFrame(
        {
            "path": [path for path, _, _ in rows],
            "text": pd.Series([row.get(text) for _, row, _ in rows], dtype=object),
            "class": pd.Series([row.get(label) for _, row, _ in rows], dtype=object),
            "wrong": [wrong for _, _, wrong in rows],
            **{name: [row.get(name) for _, row, _ in rows] for name in further},
        }
    )


def _decoded(path):
    """Return the file's text; lines that are not UTF-8 are read as Windows-1252 and named."""
    raw = path.read_bytes()
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return raw.decode("utf-16", "replace")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        lines, odd = raw.removeprefix(b"\xef\xbb\xbf").split(b"\n"), []
    for number, line in enumerate(lines):
        try:
            lines[number] = line.decode("utf-8")
        except UnicodeDecodeError:
            lines[number], odd = line.decode("cp1252", "replace"), [*odd, number + 1]
    warnings.warn(
        f"{len(odd)} of {len(lines)} lines of {path.name} are not UTF-8 and are read as Windows-1252: "
        f"{named([f'{path.name}:{n:04d}' for n in odd])}",
        stacklevel=6,
    )
    return "\n".join(lines)


def _from_json(path, text, label):
    """Yield `(line, row, what is wrong)`."""
    found = []
    for number, line in enumerate(_decoded(path).split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            found.append((number, {}, f"no JSON ({error.msg})"))
            continue
        found.append((number, row, "") if isinstance(row, dict) else (number, {}, "no JSON object"))
    return found


def _from_separated(path, text, label):
    """Return `[(line, row, what is wrong)]`; a TSV's lines are rows, quotes or not."""
    whole = _decoded(path).replace("\r\n", "\n")
    if "\t" in whole.split("\n", 1)[0]:
        cells = [(number, _unquoted(line.split("\t"))) for number, line in enumerate(whole.split("\n"), 1) if line]
    else:
        reader = csv.reader(io.StringIO(whole), delimiter=max(",;", key=whole.split("\n", 1)[0].count))
        csv.field_size_limit(2**31 - 1)
        cells = [(reader.line_num, row) for row in reader if row]
    if not cells:
        raise ValueError(f"{_RULE}Received: {path}, which is empty.")
    header = [name.strip() for name in cells[0][1]]
    if text in header and label in header:
        cells = cells[1:]
    elif len(header) == 2:
        header = [text, label]
    width = len(header)
    return [
        (line, dict(zip(header, row, strict=True)), "")
        if len(row) == width
        else (line, {}, f"{len(row)} columns and not {width}")
        for line, row in cells
    ]


def _unquoted(cells):
    """Take off a spreadsheet's quotes: around a cell, with those inside doubled; a text's own quotes stay."""
    inner = [cell[1:-1] if len(cell) > 1 and cell[0] == cell[-1] == '"' else None for cell in cells]
    return [
        cell if own is None or '"' in own.replace('""', "") else own.replace('""', '"')
        for cell, own in zip(cells, inner, strict=True)
    ]
