"""What `tlteach fit` leaves: the model with its class names, numbers as JSON, and one page to look at."""

import base64
import html
import io
import json
import os
import tempfile
import zipfile
from pathlib import Path

import keras
import matplotlib.pyplot as plt
import pandas as pd

from tlteach import __version__
from tlteach._alt import describe
from tlteach._assets import write_beside
from tlteach._tokens import Tokenizer, keras_hub
from tlteach.calibration import calibration_table, expected_calibration_error
from tlteach.decisions import one_against_rest, roc_curve
from tlteach.plots import COLOURS, plot_run
from tlteach.plots_evaluation import plot_calibration, plot_confusion, plot_mistakes, plot_roc

CLASSES = "tlteach_classes.json"  # a member of the model's archive, which Keras itself ignores
TOKENIZER = "tlteach_tokenizer.json"  # another, in a model that takes texts
PER_BIN = 20  # pictures at least in a bin of the calibration, on average

_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }}
img {{ max-width: 100%; background: white; border-radius: 4px; }}
table {{ border-collapse: collapse; }} td, th {{ padding: .2rem .8rem; text-align: right; }}
th:first-child, td:first-child {{ text-align: left; }}
.wide {{ overflow-x: auto; }}
.figures {{ display: flex; flex-wrap: wrap; gap: 1rem; align-items: flex-start; }}
</style>
<h1>{title}</h1>
<p><strong>{accuracy}</strong></p><p>{decision}</p>{notes}
<div class="figures">{figures}</div>
<h2>Each class against the others</h2>
<p>With 95 % intervals{resampled}. Sensitivity is the share of a class that is found, specificity the share of the
others that is not taken for it, AUC the chance that one of the class looks more like it than one of the others.</p>
<div class="wide">{per_class}</div>
<h2>How sure, and how often right</h2>
<p>{calibration}</p>{calibration_figure}
<h2>Wrongly classified, the surest first</h2>{mistakes}
<p><small>{data} tlteach {version}, Keras {keras} on {backend}; {seconds:.1f} s.</small></p>
</html>
"""


def write_report(fit, out):
    """Write `model.keras`, `report.json` and `report.html`, each whole or not at all.

    Args:
        fit: `Fit` from `fit_splits`.
        out: Folder, made if it is missing.
    """
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    save_model(fit.model, fit.splits.classes, out / "model.keras")
    write_beside(out / "report.json", json.dumps(_numbers(fit), indent=2) + "\n")
    write_beside(out / "report.html", _page(fit))


def save_model(model, classes, path):
    """Save a model in Keras' own format with its class names, and its tokenizer if it has one, inside.

    Args:
        model: A `keras.Model`.
        classes: Class names in the order of the outputs.
        path: Path ending in `.keras`.
    """
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        beside = Path(folder) / path.name
        model.save(beside)
        with zipfile.ZipFile(beside, "a") as archive:
            archive.writestr(CLASSES, json.dumps(list(classes)))
            if hasattr(model, "tokenizer"):
                archive.writestr(TOKENIZER, json.dumps(model.tokenizer.state()), zipfile.ZIP_DEFLATED)
        os.replace(beside, path)


def load_model(path):
    """Load a model and its class names.

    Args:
        path: A `.keras` file, as `tlteach fit` leaves it.

    Returns:
        `(model, class names)`; a model that takes texts with its `tokenizer`.

    Raises:
        FileNotFoundError: If there is no such file.
        ImportError: If the model takes texts and KerasHub is not installed.
        ValueError: If it is not such a file.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"the model must be an existing .keras file. Received: {path}.")
    try:
        names, tokenizer = _members(path)
        model = keras.models.load_model(path, compile=False, safe_mode=True)
    except ImportError:
        raise
    except Exception as error:
        raise ValueError(
            f"the model must be a .keras file, such as 'tlteach fit' leaves. Received: {path} "
            f"({str(error).splitlines()[0][:150]})."
        ) from error
    if tokenizer is not None:
        model.tokenizer = tokenizer
    return model, names or [str(i) for i in range(model.output_shape[-1])]


def _members(path):
    """Read what only we put into the archive; where there are texts, import KerasHub, whose layers Keras must know."""
    with zipfile.ZipFile(path) as archive:
        names, told = (json.loads(archive.read(m)) if m in archive.namelist() else None for m in (CLASSES, TOKENIZER))
    if told is None:
        return names, None
    keras_hub()
    return names, Tokenizer.of_state(told)


def verdict(report):
    """Say in a sentence how good a model is, and whether that can be told from guessing.

    Args:
        report: `Report` from `evaluate`.
    """
    low, high = report.accuracy_interval
    texts = "text" in report.predictions
    what = "texts" if texts else "pictures"
    told = f"{report.accuracy:.1%} of {report.n} test {what} right (95 % interval {low:.1%} to {high:.1%})."
    if not may_be_guessing(report):
        return told
    better = "--backbone bert_tiny_en_uncased" if texts else "--backbone mobilenetv2 --weights imagenet"
    return f"{told} That cannot be told from guessing: use more {what}, or a larger network: {better} (fetched once)."


def may_be_guessing(report):
    """Whether the interval of the accuracy reaches down to what naming one class always would give.

    Args:
        report: `Report` from `evaluate`.
    """
    always = report.confusion.to_numpy().sum(1).max() / report.n
    return bool(report.accuracy_interval[0] <= max(always, 1 / len(report.classes)))


def _numbers(fit):
    report = fit.report
    return {
        "accuracy": report.accuracy,
        "accuracy_interval": list(report.accuracy_interval),
        "may_be_guessing": may_be_guessing(report),
        "n": report.n,
        "classes": list(report.classes),
        "confusion": report.confusion.to_numpy().tolist(),
        "per_class": _per_class(report).to_dict(orient="index"),
        "calibration": {
            "expected_calibration_error": expected_calibration_error(report, bins=_bins(report)),
            "bins": calibration_table(report, bins=_bins(report)).to_dict(orient="records"),
        },
        "groups": report.groups,
        "labels": fit.splits.train.num_examples + fit.splits.val.num_examples,
        "decision": fit.decision,
        "notes": fit.notes,
        "seconds": fit.seconds,
        "test_seconds": fit.test_seconds,
    }


def _page(fit):
    splits = fit.splits
    return _PAGE.format(
        title=html.escape(f"{splits.name}: {' or '.join(splits.classes)}"),
        accuracy=html.escape(verdict(fit.report)),
        notes="".join(f"<p>{html.escape(note)}</p>" for note in fit.notes),
        decision=html.escape(fit.decision),
        figures="".join(_figure(*drawn) for drawn in _figures(fit)),
        resampled=f" over each {html.escape(fit.report.groups)}" if fit.report.groups else "",
        per_class=_readable(fit.report).to_html(border=0),
        calibration=_calibration(fit.report),
        calibration_figure=_calibration_figure(fit.report),
        mistakes=_mistakes(fit),
        data=f"{splits.train.num_examples} for training, {splits.val.num_examples} for validation.",
        version=__version__,
        keras=keras.version(),
        backend=keras.backend.backend(),
        seconds=fit.seconds,
    )


def _per_class(report):
    """All that is measured of each class; `None` of one that the test split does not have, as JSON knows no NaN."""
    table = report.per_class.join(one_against_rest(report).drop(columns="n")).astype(object)
    return table.where(table.notna(), None)


def _readable(report):
    """The table of classes, each measure with its interval in a cell."""
    table = one_against_rest(report)
    measures = {"sensitivity": "sensitivity", "specificity": "specificity", "AUC": "AUC"}
    cells = {
        told: [f"{r[name]:.3f} ({r[f'{name}_low']:.3f} to {r[f'{name}_high']:.3f})" for _, r in table.iterrows()]
        for name, told in measures.items()
    }
    return report.per_class[["n", "precision"]].round(3).join(pd.DataFrame(cells, index=table.index))


def _bins(report):
    return max(1, min(10, report.n // PER_BIN))


def _calibration(report):
    error, bins = expected_calibration_error(report, bins=_bins(report)), _bins(report)
    return (
        f"The model's probabilities are {error:.1%} off on average (expected calibration error, {bins} bins). "
        "Below the dotted line it is too sure of itself."
    )


def _calibration_figure(report):
    axes = plot_calibration(calibration_table(report, bins=_bins(report)))
    return _figure(axes.figure, "Accuracy against the probability that the model gave")


def _figures(fit):
    yield plot_confusion(fit.report).figure, "Confusion matrix: true classes in rows, predicted ones in columns"
    known = one_against_rest(fit.report).index
    if 0 < len(known) <= len(COLOURS):
        curves = {str(name): roc_curve(fit.report, name, resamples=500) for name in known}
        yield plot_roc(curves).figure, "ROC curve of each class against the others"
    if fit.run is not None:
        for metric in ("accuracy", "loss"):
            yield plot_run(fit.run, metric=metric).figure, f"Training and validation {metric} over the epochs"


def _mistakes(fit):
    worst = fit.report.mistakes().head(12)
    if worst.empty:
        return "<p>None.</p>"
    if "text" in worst:
        told = worst.assign(text=worst["text"].str.slice(0, 600))[["text", "class", "predicted", "probability"]]
        return told.round(3).to_html(index=False, border=0)
    axes = plot_mistakes(fit.report, fit.splits.test, most=12)
    named = "".join(f"<li>{html.escape(str(path))}</li>" for path in worst["path"])
    return _figure(axes[0].figure, "The pictures named below") + f"<ol>{named}</ol>"


def _figure(figure, words):
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    told = html.escape(f"{words}. {describe(figure)}")
    plt.close(figure)
    return f'<img alt="{told}" src="data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}">'
