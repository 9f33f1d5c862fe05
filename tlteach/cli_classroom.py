"""The commands for a classroom: `tlteach doctor`, `prefetch` and `grade`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from tlteach._cli import fail


def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")] = False):
    """Say what this machine has, what is wrong with it, and what to do; exit code 0 if the mini size will run.

    Example: tlteach doctor
    """
    from tlteach.doctor import examine, mini_runs, told

    if not as_json:
        typer.echo("Looking at this machine; Keras takes some seconds to start.", err=True)
    findings = examine()
    if as_json:
        rows = [finding._asdict() for finding in findings]
        typer.echo(json.dumps({"mini_runs": mini_runs(findings), "findings": rows}, indent=1, ensure_ascii=False))
    else:
        typer.echo(told(findings))
    if not mini_runs(findings):
        raise typer.Exit(1)


def prefetch(
    lessons: Annotated[str, typer.Option(help="all, or numbers such as 01,03.")] = "all",
    to: Annotated[Path | None, typer.Option(help="The bundle to make; what was fetched is kept beside it.")] = None,
    *,
    bundle: Annotated[Path | None, typer.Option("--from", help="A bundle whose files are put in place.")] = None,
    listed: Annotated[
        bool, typer.Option("--list", help="Say what is needed and where it goes; fetch nothing.")
    ] = False,
    replace: Annotated[bool, typer.Option(help="Replace files that are there and differ.")] = False,
):
    """Gather what lessons need in full size into one file, or put it in place on a machine without network.

    The mini size needs none of it. The same command goes on where it was stopped.

    Examples:

    tlteach prefetch --lessons 01,03 --list

    tlteach prefetch --lessons all --to bundle.tar

    tlteach prefetch --from bundle.tar
    """
    from tlteach import prefetch as steps

    if (to is not None) + (bundle is not None) + listed != 1:
        raise fail("prefetch needs one of --to BUNDLE, --from BUNDLE and --list.", 2)
    try:
        if bundle is not None:
            lines = steps.place(bundle, replace=replace)
        else:
            wanted = steps.needed(lessons)
            lines = steps.listing(wanted) if listed else steps.gather(to, wanted)
    except KeyboardInterrupt:
        raise fail("interrupted; what was fetched is kept, and the same command goes on.", 130) from None
    except (ValueError, OSError, ImportError) as error:
        raise fail(str(error)) from None
    for line in lines:
        typer.echo(line)


def grade(
    folder: Annotated[Path, typer.Argument(help="A folder with notebooks, or a folder for each learner.")],
    out: Annotated[Path, typer.Option(help="Folder for grades.csv and grades.html.")] = Path("tlteach-grades"),
    *,
    seconds: Annotated[float, typer.Option(min=1, help="Time limit of a notebook.")] = 1800,
    jobs: Annotated[int, typer.Option(min=1, help="Notebooks at the same time.")] = 1,
    memory: Annotated[float, typer.Option(min=0.1, help="Memory limit of a notebook, GB.")] = 4,
    again: Annotated[bool, typer.Option(help="Run also what has a grade already.")] = False,
):
    """Run learners' notebooks, each in a process of its own, and write a table of which checks passed.

    The outputs in a file count for nothing: cells are run again, on a copy, and what each tl.check says
    counts, whatever is displayed; of several for one exercise the last, from top to bottom. A lesson's cells
    that the learner left as they are and no exercise needs are not run, unless something then goes wrong
    in a cell that may have needed them. A notebook that hangs, crashes or cannot be read is named, and the
    others are graded. The same command goes on where it was stopped. Writing outside a notebook's own
    folder is refused: on Linux to every program that it starts, elsewhere to Python alone, and programs that
    a cell starts are named. It is no prison: run notebooks of people you do not trust on a machine that holds
    nothing else.

    Example: tlteach grade submissions --out grades --seconds 600 --jobs 2
    """
    from tlteach.grading import Limits, grade_folder

    try:
        table = grade_folder(folder, out, limits=Limits(seconds, memory), jobs=jobs, again=again)
    except KeyboardInterrupt:
        raise fail("interrupted; what was graded is kept, and the same command goes on.", 130) from None
    except (ValueError, OSError) as error:
        raise fail(str(error)) from None
    for row in table[table["remark"] != ""].itertuples():
        typer.echo(f"{row.notebook}: {row.remark}")
    typer.echo(f"{len(table)} notebooks: {out / 'grades.csv'}, {out / 'grades.html'}")
