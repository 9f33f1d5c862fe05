"""The table of grades: kept as CSV, found again by checksum, and shown as a page."""

import csv
import html

import pandas as pd

from tlteach._assets import write_beside
from tlteach._marks import MEANT

FIRST, LAST = ["learner", "lesson", "notebook"], ["passed", "of", "seconds", "remark", "key"]
SHOWN = "passed", "remark", "seconds", "notebook"  # what the page shows after learner and marks
_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Grades</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; padding: 0 1rem; max-width: 90rem; }}
.wide {{ overflow-x: auto; }} .hint {{ display: none; }}
table {{ border-collapse: collapse; }}
td, th {{ padding: .2rem .6rem; text-align: left; vertical-align: top; border-bottom: 1px solid #8886; }}
th:first-child {{ position: sticky; left: 0; background: Canvas; overflow-wrap: anywhere; min-width: 10rem; }}
.remark {{ min-width: 14rem; }} .notebook {{ min-width: 10rem; }} .remark, .notebook {{ overflow-wrap: anywhere; }}
.count {{ white-space: nowrap; font-weight: 600; }}
.mark {{ border-left: .3rem solid transparent; white-space: nowrap; }}
.passed {{ background: #0072b240; border-left: .3rem solid #0072b2; }}
.wrong {{ background: #e69f0040; border-left: .3rem solid #d55e00; }}
.error {{ background: #cc79a740; border-left: .3rem double #cc79a7; }}
.missing, .not-reached, .not-run {{ border-left: .3rem dotted #888; font-style: italic; }}
dl {{ display: grid; grid-template-columns: max-content 1fr; gap: .3rem 1rem; }}
dt {{ padding: 0 .4rem; }} dd {{ margin: 0; }}
@media (max-width: 40rem) {{
  body {{ margin: .5rem auto; padding: 0 .5rem; }} h1, h2 {{ margin: .5rem 0; }}
  table {{ font-size: .75rem; line-height: 1.3; }} td, th {{ padding: .2rem .15rem; }}
  th:first-child {{ min-width: 4.5rem; }} td.mark {{ white-space: normal; }} .remark, .notebook {{ min-width: 13rem; }}
  .hint {{ display: block; margin: 0; font-size: .8rem; }}
}}
</style>
<h1>Grades</h1>
<p>{told}</p>
{lessons}
{words}
</html>
"""
_LESSON = """<h2>{title}</h2>
<p class="hint">More to the right: remarks, seconds, notebooks →</p>
<div class="wide" tabindex="0" role="region" aria-label="{title}"><table><thead><tr>{head}</tr></thead><tbody>
{rows}
</tbody></table></div>"""


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
    named = int((table["remark"] != "").sum())
    lessons = sorted(set(table["lesson"]), key=lambda lesson: (lesson == "", lesson))
    given = set(table.drop(columns=[*FIRST, *LAST]).to_numpy().ravel())
    words = [f'<dt class="{_kind(word)}">{word}</dt><dd>{told}</dd>' for word, told in MEANT.items() if word in given]
    return _PAGE.format(
        told=f"{len(table)} notebooks, {named} with a remark.",
        lessons="\n".join(_lesson(lesson, table[table["lesson"] == lesson]) for lesson in lessons),
        words="\n".join(["<h2>What the words say</h2>", "<dl>", *words, "</dl>"]) if words else "",
    )


def _lesson(lesson, table):
    """The rows of a lesson, with no column for the exercises of others: the marks are what is seen first."""
    exercises = [name for name in table if name not in FIRST and name not in LAST and (table[name] != "").any()]
    title = f"Lesson{'s' if ' ' in lesson else ''} {lesson}" if lesson else "Of no lesson that is known"
    head = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in ("learner", *exercises, *SHOWN))
    rows = "\n".join(_row(row, exercises) for row in table.to_dict(orient="records"))
    return _LESSON.format(title=html.escape(title), head=head, rows=rows)


def _row(row, exercises):
    cells = [_cell(row[name], _kind(row[name])) for name in exercises]
    cells += [_cell(f"{row['passed']} of {row['of']}", "count"), _cell(row["remark"], "remark")]
    cells += [_cell(row["seconds"], "seconds"), _cell(row["notebook"], "notebook")]
    return f'<tr><th scope="row">{html.escape(str(row["learner"]))}</th>{"".join(cells)}</tr>'


def _kind(word):
    return f"mark {word.replace(' ', '-')}" if word in MEANT else "mark"


def _cell(value, kind):
    return f'<td class="{kind}">{html.escape(str(value))}</td>'
