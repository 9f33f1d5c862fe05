"""The command line: `tlteach lessons`, `run`, `fit` and `predict`; a classroom's in `cli_classroom`."""

import json
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from tlteach import cli_classroom
from tlteach._cli import fail, quiet_start

app = typer.Typer(
    help="Learn transfer learning with Keras: run the lessons, and fit a model to your own pictures, sounds or texts.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Size = Annotated[str | None, typer.Option(help="mini (ships with the package) or full (downloads). [default: mini]")]
Out = Annotated[Path, typer.Option(help="Folder for what it leaves.")]


def _start_keras():
    with quiet_start():
        import keras

        keras.ops.zeros(1)  # the first operation starts the device


@app.command()
def lessons():
    """List the lessons: number, title, and minutes in mini size on two cores."""
    from tlteach.lessons import list_lessons

    for lesson in list_lessons():
        typer.echo(f"{lesson.number}  {lesson.title}  ({lesson.minutes} min)")


@app.command()
def run(
    numbers: Annotated[list[str], typer.Argument(metavar="LESSON", help="Numbers such as 01; or all.")],
    size: Size = None,
    out: Out = Path("tlteach-out"),
):
    """Run lessons; leave of each the notebook with its outputs, a page, and its results.

    A lesson that fails is told, and the others are run.

    Examples:

    tlteach run 01 --out results

    tlteach run all --out results
    """
    from tlteach.lessons import LessonFailed, numbers_of, run_lesson

    _check_out(out)
    failed = []
    try:
        for number in numbers_of(numbers):
            try:
                for path in run_lesson(number, size=size, out=out):
                    typer.echo(path)
            except LessonFailed as error:
                failed.append(number)
                fail(f"lesson {number}: {error}")
    except KeyboardInterrupt:
        raise fail("interrupted; what ran is left in the folder.", 130) from None
    except (ValueError, OSError) as error:
        raise fail(str(error)) from None
    if failed:
        raise fail(f"of the lessons asked for, these failed: {', '.join(failed)}.")


def _check_out(out):
    """End with one sentence, before hours of work, if nothing could be written there."""
    if out.exists() and not out.is_dir():
        raise fail(f"out must be a folder, new or old. Received: {out}, a file.")
    new = not out.exists()
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
        if new:
            out.rmdir()
    except OSError as error:
        raise fail(f"out must be a folder that can be written. Received: {out} ({error.strerror}).") from None


@app.command()
def fit(
    data: Annotated[
        Path,
        typer.Argument(
            help="A folder for each class, or train/val/test folders of them; or a table of texts and labels."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder for model.keras, report.json and report.html.")],
    backbone: Annotated[
        str | None,
        typer.Option(help="Name of the backbone, such as vgg16; speech for words. [default: resnet50, of texts bert]"),
    ] = None,
    size: Size = None,
    weights: Annotated[
        str, typer.Option(help="A weights file without top, imagenet, none, or default (what the size ships with).")
    ] = "default",
    test: Annotated[Path | None, typer.Option(help="A folder (or table) of the same classes to measure on.")] = None,
    labels: Annotated[
        int | None, typer.Option(help="How many labelled pictures or texts to use in all. [default: all]")
    ] = None,
    groups: Annotated[
        str | None,
        typer.Option(help="What belongs together: a table of pictures and patients, or a pattern in the files' names."),
    ] = None,
    phases: Annotated[
        int | None, typer.Option(min=0, help="Stages to fine-tune. [default: as many as validation says help]")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of all that is random.")] = 0,
):
    """Fit a model to a folder of pictures or recordings, or a table of texts, by the recipe that the lessons recommend.

    Examples:

    tlteach fit pets --out pets-model

    tlteach fit reviews.tsv --out reviews-model

    tlteach fit pets --backbone mobilenetv2 --weights imagenet --labels 400 --out pets-model

    tlteach fit slices --groups '(?P<patient>p[0-9]+)_' --out slices-model

    tlteach fit words --backbone speech --groups '^(?P<speaker>[a-z]+)_' --out words-model
    """
    _start_keras()
    from tlteach.recipe import fit_splits, read_splits
    from tlteach.report import verdict, write_report
    from tlteach.tables import is_table

    _check_out(out)
    wanted = {
        "name": backbone or ("bert" if is_table(data) else "resnet50"),
        "size": size,
        "weights": None if weights == "none" else weights,
    }
    try:
        splits, notes = read_splits(data, test=test, labels=labels, groups=groups, seed=seed)
        fitted = fit_splits(splits, wanted, phases=phases, seed=seed, notes=notes)
        write_report(fitted, out)
    except (ValueError, OSError, ImportError) as error:
        raise fail(str(error)) from None
    for sentence in (*fitted.notes, fitted.decision, verdict(fitted.report)):
        typer.echo(sentence)
    typer.echo(f"{out / 'model.keras'}, {out / 'report.json'}, {out / 'report.html'}")


@app.command()
def predict(
    model: Annotated[Path, typer.Argument(help="model.keras, as tlteach fit leaves it.")],
    paths: Annotated[list[Path] | None, typer.Argument(help="Pictures or recordings, or folders of them.")] = None,
    text: Annotated[list[str] | None, typer.Option(help="A text; may be given several times.")] = None,
):
    """Print a JSON line for each picture, recording or text: path, label, and probabilities by class name.

    Examples:

    tlteach predict pets-model/model.keras holiday/*.jpg

    tlteach predict reviews-model/model.keras --text "Not half as bad as I feared."
    """
    if bool(paths) == bool(text):
        raise fail("predict needs pictures or --text, and not both.", 2)
    _start_keras()
    from tlteach.predicting import doubt, predict_files, predict_texts

    try:
        failed = 0
        for line in predict_texts(model, text) if text else predict_files(model, paths):
            failed += "error" in line
            typer.echo(json.dumps(line, ensure_ascii=False))
    except (ValueError, OSError, ImportError) as error:
        raise fail(str(error)) from None
    if said := doubt(model):
        typer.echo(said, err=True)
    if failed:
        raise fail(f"{failed} of the files could not be read; the lines with 'error' name them.")


for command in (cli_classroom.doctor, cli_classroom.prefetch, cli_classroom.grade):
    app.command()(command)


if __name__ == "__main__":
    app()
