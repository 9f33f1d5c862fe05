"""Predict picture files or texts with a saved model, one after another, through nothing but the model."""

import json
from pathlib import Path

import numpy as np

from tlteach import _media
from tlteach.report import load_model


def predict_files(model, paths):
    """Predict each picture of the paths.

    The model is given the raw pixels as they are in the file: it resizes inside.

    Args:
        model: Path of a `.keras` file.
        paths: Pictures or recordings, or folders of them.

    Yields:
        A dict a picture: path, label, probabilities by class name; or path and error.
    """
    network, classes = load_model(model)
    if hasattr(network, "tokenizer"):
        raise ValueError(f"pictures need a model that was fitted to them. Received: {model}, which takes --text.")
    for path in _expand(paths):
        try:
            picture = _media.decode(path)
        except ValueError as error:
            yield {"path": str(path), "error": str(error)}
            continue
        # called, not predicted: `predict` compiles anew for every new height and width
        probabilities = np.asarray(network(picture[None].astype("float32"), training=False))[0]
        yield {"path": str(path), **_named(probabilities, classes)}


def predict_texts(model, texts):
    """Predict each of some texts.

    Args:
        model: Path of a `.keras` file whose model takes texts.
        texts: List of texts.

    Yields:
        A dict a text: text, label, probabilities by class name.

    Raises:
        ValueError: If the model takes no texts.
    """
    network, classes = load_model(model)
    if getattr(network, "tokenizer", None) is None:
        raise ValueError(f"--text needs a model that was fitted to texts. Received: {model}, which takes pictures.")
    for text in texts:
        probabilities = np.asarray(network(network.tokenizer(text), training=False))[0]
        yield {"text": text, **_named(probabilities, classes)}


def doubt(model):
    """Return the sentence that a model's report has against it, or nothing.

    Args:
        model: Path of a `.keras` file; `report.json` is looked for beside it.
    """
    try:
        told = json.loads(Path(model).with_name("report.json").read_text(encoding="utf-8"))
        low, high = told["accuracy_interval"]
        doubtful = bool(told["may_be_guessing"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    said = f"in its test this model could not be told from guessing (accuracy {low:.1%} to {high:.1%}, see the report)."
    return said if doubtful else ""


def _named(probabilities, classes):
    named = dict(zip(classes, map(float, probabilities), strict=True))
    return {"label": max(named, key=named.get), "probabilities": named}


def _expand(paths):
    for path in map(Path, paths):
        if path.is_dir():
            yield from sorted(p for p in path.rglob("*") if p.suffix.lower() in _media.SUFFIXES)
        else:
            yield path
