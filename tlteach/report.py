"""What `tlteach fit` leaves: the model with its class names, numbers as JSON, and one page to look at."""

import json
import os
import tempfile
import zipfile
from pathlib import Path

import keras

from tlteach._assets import write_beside
from tlteach._report_measures import FOUND, measure
from tlteach._report_page import page
from tlteach._tokens import Tokenizer, keras_hub

CLASSES = "tlteach_classes.json"  # a member of the model's archive, which Keras itself ignores
TOKENIZER = "tlteach_tokenizer.json"  # another, in a model that takes texts


def write_report(fit, out):
    """Write `model.keras`, `report.json` and `report.html`, each whole or not at all.

    Args:
        fit: `Fit` from `fit_splits`.
        out: Folder, made if it is missing.
    """
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    measured = measure(fit.report, fit.validated)
    save_model(fit.model, fit.splits.classes, out / "model.keras")
    write_beside(out / "report.json", json.dumps(_numbers(fit, measured), indent=2, allow_nan=False) + "\n")
    write_beside(out / "report.html", page(fit, measured, verdict(fit.report)))


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


def _numbers(fit, measured):
    report = fit.report
    return {
        "accuracy": report.accuracy,
        "accuracy_interval": list(report.accuracy_interval),
        "may_be_guessing": may_be_guessing(report),
        "n": report.n,
        "classes": list(report.classes),
        "confusion": report.confusion.to_numpy().tolist(),
        "per_class": _rows(report.per_class.join(measured.per_class.drop(columns=["n", "precision"], errors="ignore"))),
        "thresholds": {"chosen_for_sensitivity": FOUND, "by": fit.validated_by, "classes": _rows(measured.thresholds)},
        "calibration": _calibration(measured.calibration),
        "accuracy_by": {str(column): _rows(table) for column, table in measured.parts.items()},
        "groups": report.groups,
        "labels": fit.splits.train.num_examples + fit.splits.val.num_examples,
        "backbone": fit.backbone,
        "seed": fit.seed,
        "decision": fit.decision,
        "notes": fit.notes,
        "seconds": fit.seconds,
        "test_seconds": fit.test_seconds,
    }


def _calibration(found):
    told = {
        "expected_calibration_error": found.error,
        "error_by_luck": found.luck,
        "log_loss": found.loss,
        "bins": found.table.to_dict(orient="records"),
        "temperature": found.temperature,
    }
    if found.temperature is None:
        return told | {"no_temperature": found.why_not}
    return told | {
        "at_temperature": {
            "expected_calibration_error": found.scaled_error,
            "log_loss": found.scaled_loss,
            "log_loss_change_interval": list(found.change),
            "bins": found.scaled_table.to_dict(orient="records"),
        }
    }


def _rows(table):
    """A dict from each row's name to its values; `None` where nothing was measured, as JSON knows no NaN."""
    table = table.astype(object)
    return table.where(table.notna(), None).set_axis(table.index.map(str)).to_dict(orient="index")
