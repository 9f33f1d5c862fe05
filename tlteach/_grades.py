"""The table of grades: kept as CSV, found again by checksum, and shown as a page."""

import csv
import html

import pandas as pd

from tlteach._assets import write_beside

FIRST, LAST = ["learner", "lesson", "notebook"], ["passed", "of", "seconds", "remark", "key"]
_SHOWN = {"passed": "passed", "wrong": "wrong", "open": "open"}
_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Grades</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; padding: 0 1rem; max-width: 90rem; }}
table {{ border-collapse: collapse; }}
td, th {{ padding: .2rem .6rem; text-align: left; border-bottom: 1px solid #8886; }}
.passed {{ background: #2a92; }} .wrong {{ background: #d442; }} .wide {{ overflow-x: auto; }}
</style>
<h1>Grades</h1>
<p>{told}</p>
<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>
{rows}
</tbody></table></div>
</html>
"""


def table_of(rows):
    """Make the table: a row a notebook, a column for each exercise.

    Args:
        rows: List of dicts; what is not in `FIRST` and `LAST` is an exercise.
    """
    exercises = sorted({name for row in rows for name in row} - {*FIRST, *LAST})
    return pd.DataFrame(rows, columns=[*FIRST, *exercises, *LAST]).fillna("")


def write_grades(rows, out):
    """Write `grades.csv` and `grades.html`, each whole or not at all.

    Args:
        rows: As in `table_of`.
        out: `pathlib.Path` of a folder.
    """
    table = table_of(rows)
    safe = table.map(_safe) if hasattr(table, "map") else table.applymap(_safe)
    write_beside(out / "grades.csv", safe.to_csv(index=False))
    write_beside(out / "grades.html", _page(table))
    return table


def _safe(value):
    """A text that a spreadsheet would take for a formula gets an apostrophe before it."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value


def read_grades(out):
    """Return the rows of `grades.csv` by checksum; none where there is no such file.

    Args:
        out: `pathlib.Path` of a folder.
    """
    path = out / "grades.csv"
    if not path.is_file():
        return {}
    with open(path, newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        if not {*FIRST, *LAST} <= set(reader.fieldnames or ()):
            raise ValueError(
                f"grades.csv must be one that this version of tlteach grade wrote. "
                f"Received: {path}; choose another --out."
            )
        return {row["key"]: _typed(row) for row in reader}


def _typed(row):
    kept = {k: v[1:] if v[:1] == "'" and _safe(v[1:]) == v else v for k, v in row.items() if k and v != ""}
    return {"remark": "", **kept, "passed": int(row["passed"]), "of": int(row["of"]), "seconds": float(row["seconds"])}


def _page(table):
    shown = table.drop(columns="key")
    head = "".join(f"<th>{html.escape(str(name))}</th>" for name in shown.columns)
    rows = "\n".join(f"<tr>{''.join(_cell(v) for v in row)}</tr>" for row in shown.itertuples(index=False, name=None))
    named = int((table["remark"] != "").sum())
    return _PAGE.format(told=f"{len(table)} notebooks, {named} with a remark.", head=head, rows=rows)


def _cell(value):
    kind = f' class="{value}"' if value in _SHOWN else ""
    return f"<td{kind}>{html.escape(str(value))}</td>"
