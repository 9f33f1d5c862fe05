"""Check somebody's recipe: a plain Keras model and its data, and what is wrong with them."""

import textwrap

import keras
import pandas as pd

from tlteach import _recipe_data, _recipe_head, _recipe_pixels, _recipe_training
from tlteach._recipe_data import Case
from tlteach._recipe_model import Subject
from tlteach._recipe_reading import read, same_randomness
from tlteach._split import Splits

CHECKS = {**_recipe_pixels.CHECKS, **_recipe_training.CHECKS, **_recipe_head.CHECKS, **_recipe_data.CHECKS}
_ORDER = ("error", "warning", "hint")


def check_recipe(model, train, *, val=None, test=None, classes=None, fine_tuning=None):
    """Find the known traps of transfer learning in a model and its data.

    Everything is measured on what is there: some rows go through a copy of the
    model, which also takes one step with the compiled optimizer. A model that cannot
    be copied is run itself, once as in `fit`, and what moved is put back: the model is
    never changed. What a model's builder does in `fit` alone (callbacks, `class_weight`)
    cannot be seen; and an empty table says that none of these traps was found, not
    that the model is good.

    Args:
        model: A `keras.Model` of any make, compiled or not; with preprocessing inside or without.
        train: What it learns from: `(x, y)` arrays, a `tf.data.Dataset`, a `keras.utils.PyDataset`
            or other batches that can be read twice, a `Split`; or `Splits`, or a dict with `train`,
            `val` and `test`, with all three parts.
        val: What it is chosen by, of the same kinds; or `None`.
        test: What it is measured on; or `None`.
        classes: Class names in the order of the model's outputs, or `None`.
        fine_tuning: `True` if this step is to train the backbone, `False` if it is to stay still;
            `None` leaves it open.

    Returns:
        `pandas.DataFrame`, a row a finding, the worst first: trap, severity (`error`, `warning`
        or `hint`), evidence, mend. `attrs["not_checked"]` is a dict from each trap that could not
        be looked for to the reason.

    Raises:
        ValueError: If the model is none, or is not built and cannot be copied; or if data are of
            another kind, or can be read only once.

    Side effects:
        Data sets in batches are read, those of validation and test twice, up to 2048 rows each time.

    Example:
        >>> import numpy as np, keras, tlteach as tl
        >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(2)])
        >>> model.compile("adam", "sparse_categorical_crossentropy")
        >>> x, y = np.random.default_rng(0).normal(size=(20, 8)), np.arange(20) % 2
        >>> list(tl.check_recipe(model, (x, y))["trap"])
        ['softmax and from_logits']

    Reference:
        Each check names its own, such as issue 20285 of Keras for BatchNorm that moves.
    """
    if not isinstance(model, keras.Model):
        raise ValueError(f"model must be a keras.Model. Received: {type(model).__name__}.")
    with same_randomness():
        case = _case(model, train, val, test, classes=classes, fine_tuning=fine_tuning)
        found, skipped = [], _unseen(case)
        for trap, check in CHECKS.items():
            try:
                found += [(trap, *finding) for finding in check(case)]
            except Exception as error:  # a model of a kind nobody thought of: the other checks still speak
                skipped[trap] = (
                    f"{type(error).__name__}: {str(error).strip().splitlines()[0][:120] if str(error) else ''}"
                )
    found.sort(key=lambda row: _ORDER.index(row[1]))
    table = pd.DataFrame(found, columns=["trap", "severity", "evidence", "mend"])
    table.attrs["not_checked"] = skipped
    return table


def _case(model, train, val, test, *, classes, fine_tuning):
    groups = None
    if isinstance(train, dict) and "train" in train and set(train) <= {"train", "val", "test"}:
        train, val, test = train["train"], train.get("val", val), train.get("test", test)
    if isinstance(train, Splits):
        if val is not None or test is not None:
            raise ValueError("Splits hold val and test already. Received: train=Splits(...) and another val or test.")
        train, val, test, groups = train.train, train.val, train.test, train.groups
    given = {"train": train, "val": val, "test": test}
    parts = {name: read(name, data, model) for name, data in given.items() if data is not None}
    x, _ = parts["train"].sample()
    known = next((part.classes for part in parts.values() if part.classes), None)
    return Case(
        Subject(model, x, fine_tuning=fine_tuning), parts, list(classes) if classes is not None else known, groups
    )


def _unseen(case):
    """Say which traps cannot be looked for, for want of what they need."""
    skipped = {}
    if not case.subject.model.compiled:
        needs = ("trainable changed since compile", "learning rate too high", "softmax and from_logits")
        needs += ("activation and loss", "labels and loss", "imbalance with plain accuracy")
        skipped |= dict.fromkeys(needs, "the model is not compiled")
    elif case.subject.copy is None:
        skipped["learning rate too high"] = (
            "the model cannot be copied, so no step was taken (its layers need get_config)"
        )
    if "val" not in case.parts:
        skipped["augmentation in validation"] = "no validation data given"
    if "test" not in case.parts:
        skipped |= dict.fromkeys(("test data in training", "test data used for validation"), "no test data given")
    if len(case.parts) == 1:
        skipped["duplicates across splits"] = "only training data given"
    return skipped


def describe_findings(findings, *, not_checked=True):
    """Write the findings of `check_recipe` as text with whole sentences, for `print`.

    Args:
        findings: What `check_recipe` returned.
        not_checked: Whether to name what could not be looked for as well.

    Returns:
        A string of several lines.

    Example:
        >>> import pandas as pd, tlteach as tl
        >>> print(tl.describe_findings(pd.DataFrame([("input range", "error", "0..1", "x * 255")],
        ...     columns=["trap", "severity", "evidence", "mend"])))
        1. input range (error)
           seen: 0..1
           mend: x * 255
    """
    lines = [] if len(findings) else ["No trap was found."]
    for number, row in enumerate(findings.itertuples(), 1):
        lines.append(f"{number}. {row.trap} ({row.severity})")
        lines += textwrap.wrap(f"seen: {row.evidence}", 96, initial_indent="   ", subsequent_indent="         ")
        lines += textwrap.indent(f"mend: {row.mend}".replace("\n", "\n      "), "   ").splitlines()
    for trap, reason in findings.attrs.get("not_checked", {}).items() if not_checked else ():
        lines.append(f"not checked: {trap} ({reason})")
    return "\n".join(lines)
