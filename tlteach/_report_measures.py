"""What the report of `tlteach fit` tells, each thing measured once, for the page and for the numbers."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from tlteach._groups import OWN
from tlteach._tuning import ENOUGH_MISTAKES
from tlteach.calibration import (
    at_temperature,
    calibration_table,
    error_by_luck,
    expected_calibration_error,
    log_losses,
    temperature_of,
)
from tlteach.decisions import choose_threshold, curves_against_rest, one_against_rest, sensitivity_specificity
from tlteach.evaluation import codes_of, measured_share, resampled
from tlteach.subgroups import accuracy_by

ENOUGH = 20  # validation examples of a class, and of the others, without which a threshold would be luck
FOUND = 0.95  # share of a class that its threshold finds on validation
PER_BIN = 20  # examples at least in a bin of the calibration, on average
PARTS = 12  # parts that are compared, at most


@dataclass(frozen=True, eq=False)
class Calibration:
    """How far off the probabilities are, and what the temperature of validation does to that.

    Attributes:
        error: Expected calibration error on the test split.
        luck: That of a perfectly calibrated model on so many examples, in the mean.
        table: `pandas.DataFrame` from `calibration_table`.
        temperature: The temperature, or `None`.
        why_not: Why there is none, a sentence; empty if there is one.
        scaled_error, scaled_table: `error` and `table` at the temperature, or `None`.
        loss, scaled_loss: Mean log loss on the test split, as it is and at the temperature (or `None`).
        change: `(low, high)`, 95 % interval of the change in log loss, or `None`.
    """

    error: float
    luck: float
    table: pd.DataFrame
    loss: float
    temperature: float | None = None
    why_not: str = ""
    scaled_error: float | None = None
    scaled_table: pd.DataFrame | None = None
    scaled_loss: float | None = None
    change: tuple | None = None


@dataclass(frozen=True, eq=False)
class Measured:
    """All that is measured of a report besides what `Report` holds.

    Attributes:
        curves: Dict from class to `(roc_curve, precision_recall_curve)`.
        per_class: `pandas.DataFrame`, a row a class of the test split.
        thresholds: `pandas.DataFrame`, a row a class for which validation could choose one.
        too_few: Classes for which it could not.
        calibration: `Calibration`.
        parts: Dict from a column of the split's table to `accuracy_by` it.
        not_compared: Dict from a column with too few or too many values to how many it has.
    """

    curves: dict
    per_class: pd.DataFrame
    thresholds: pd.DataFrame
    too_few: list
    calibration: Calibration
    parts: dict
    not_compared: dict


def measure(report, validated=None):
    """Measure all that the page and the numbers tell.

    Args:
        report: `Report` on the test split.
        validated: `Report` on the validation split of a model that had not learned from it, or `None`.

    Returns:
        `Measured`.
    """
    curves = curves_against_rest(report)
    per_class = one_against_rest(report, curves=curves).join(_precision(report, list(curves)))
    able = [name for name in curves if validated is not None and _enough(validated, name)]
    rows = [_at_threshold(report, validated, name) for name in able]
    parts, not_compared = parts_of(report)
    return Measured(
        curves,
        per_class,
        thresholds=pd.DataFrame(rows, index=pd.Index(able, name="class", dtype=object)),
        too_few=[name for name in curves if name not in able],
        calibration=_calibration(report, validated),
        parts=parts,
        not_compared=not_compared,
    )


def _precision(report, names):
    """The share of right ones among what was called each class, with its interval; that of `Report` has none."""
    true, called = (report.predictions[column].to_numpy() for column in ("class", "predicted"))
    found = [measured_share(report, true == name, called == name) for name in names]
    rows = [(each["value"], each["low"], each["high"]) for each in found]
    return pd.DataFrame(rows, index=names, columns=["precision", "precision_low", "precision_high"])


def _enough(validated, name):
    own = int((validated.predictions["class"] == name).sum())
    return min(own, validated.n - own) >= ENOUGH


def _at_threshold(report, validated, name):
    threshold = choose_threshold(validated, name, sensitivity=FOUND)
    row = {"threshold": threshold, "chosen_by": int((validated.predictions["class"] == name).sum())}
    for measure_, found in sensitivity_specificity(report, name, threshold=threshold).iterrows():
        row |= {measure_: found["value"], f"{measure_}_low": found["low"], f"{measure_}_high": found["high"]}
    return row


def _calibration(report, validated):
    bins = max(1, min(10, report.n // PER_BIN))
    losses = log_losses(report)
    as_it_is = Calibration(
        expected_calibration_error(report, bins=bins),
        error_by_luck(report, bins=bins),
        calibration_table(report, bins=bins),
        float(losses.mean()),
    )
    why_not = _why_no_temperature(validated)
    if why_not:
        return replace(as_it_is, why_not=why_not)
    temperature = temperature_of(validated)
    scaled = at_temperature(report, temperature)
    return replace(
        as_it_is,
        temperature=temperature,
        scaled_error=expected_calibration_error(scaled, bins=bins),
        scaled_table=calibration_table(scaled, bins=bins),
        scaled_loss=float(log_losses(scaled).mean()),
        change=mean_interval(log_losses(scaled) - losses, codes_of(report)),
    )


def _why_no_temperature(validated):
    if validated is None:
        return "No temperature is told, as the model learned from the validation split from the beginning."
    wrong = len(validated.mistakes())
    if validated.n < 2 * ENOUGH or wrong < ENOUGH_MISTAKES:
        told = f"{wrong} of {validated.n} there were classified wrongly, and it needs {ENOUGH_MISTAKES} of {2 * ENOUGH}"
        return f"Validation has too few to tell a temperature by: {told}."
    try:
        temperature_of(validated)
    except ValueError:
        return "No temperature is told: on validation the model was no better than guessing."
    return ""


def mean_interval(values, codes, *, resamples=2000, seed=0):
    """Return the 95 % bootstrap interval `(low, high)` of a mean.

    Args:
        values: Numbers `(n,)`.
        codes: Group of each `(n,)`, integers from 0: groups are drawn as a whole.
        resamples: How often to draw.
        seed: Seed of the drawing.
    """
    drawn = [np.average(values, weights=times) for times in resampled(codes, resamples=resamples, seed=seed)]
    low, high = np.percentile(drawn, [2.5, 97.5])
    return float(low), float(high)


def parts_of(report):
    """Compare the accuracy by whatever else is known of the pictures, such as their scanner.

    Numbers of many values, such as ages, are compared in four parts of about equal size, and
    what is missing makes a part of its own.

    Args:
        report: `Report`.

    Returns:
        `(tables, others)`: dict from column to `accuracy_by` it, and dict from each column with a
        single value or too many to how many it has.
    """
    own = {*OWN, "predicted", "probability", "text", "pictures", report.groups, *(f"p_{n}" for n in report.classes)}
    tables, others = {}, {}
    for column in (name for name in report.predictions if name not in own):
        values = _in_parts(report.predictions[column])
        if 1 < values.nunique() <= PARTS:
            told = replace(report, predictions=report.predictions.assign(**{column: values}))
            tables[column] = accuracy_by(told, column)
        else:
            others[column] = int(values.nunique())
    return tables, others


def _in_parts(values):
    if pd.api.types.is_numeric_dtype(values) and values.nunique() > PARTS:
        quarter = pd.qcut(values, 4, labels=False, duplicates="drop")
        grouped = values.groupby(quarter)
        named = {place: f"{own.min():g} to {own.max():g}" for place, own in grouped}
        return quarter.map(named).fillna("not told")
    told = values.map(lambda value: f"{value:g}" if isinstance(value, float) else str(value), na_action="ignore")
    return told.astype(object).where(values.notna(), "not told")
