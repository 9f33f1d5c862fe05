"""Decisions: from probabilities to yes or no, and what it costs either way."""

import math
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from tlteach.evaluation import codes_of, interval_of_drawn, measured_share, resampled


@dataclass(frozen=True, eq=False)
class Curve:
    """What `roc_curve` and `precision_recall_curve` measured.

    Attributes:
        table: `pandas.DataFrame`, a row a threshold, falling: threshold, then false_positive_rate and
            sensitivity, or recall and precision.
        area: Area under it: the AUC, or the average precision; 0 to 1.
        interval: `(low, high)`, 95 % bootstrap interval of the area.
        positive: Names of the classes that count as positive.
        positives: How many pictures are positive.
        n: How many pictures there are.
    """

    table: pd.DataFrame = field(repr=False)
    area: float
    interval: tuple
    positive: list
    positives: int
    n: int


def choose_threshold(report, positive, *, sensitivity=0.95):
    """Find the highest threshold at which enough of the positives are found.

    A picture is called positive if the probability of `positive` is at least the
    threshold. Choose on validation and measure on the test split with
    `sensitivity_specificity`: on other pictures the sensitivity will be somewhat
    above or below, the more so the fewer positives it was chosen by. Not needed
    where both mistakes cost the same: then take the likelier class.

    Args:
        report: `Report` of the validation split.
        positive: A class name, or a list of names whose probabilities are added.
        sensitivity: Share of the positives that must be found, above 0, up to 1.

    Returns:
        The threshold, 0 to 1.

    Raises:
        ValueError: If a class is unknown, no picture is positive, or the share is out of range.

    Example:
        >>> import tlteach as tl
        >>> pets, vgg = tl.load_dataset("cats_vs_dogs", "mini"), tl.load_backbone("vgg16", "mini")
        >>> report = tl.evaluate(tl.attach_head(vgg, 2), pets.val)
        >>> threshold = tl.choose_threshold(report, "dog", sensitivity=0.9)
        >>> round(float(tl.sensitivity_specificity(report, "dog", threshold=threshold).loc["sensitivity", "value"]), 2)
        0.9

    Reference:
        Pepe 2003, The Statistical Evaluation of Medical Tests.
    """
    if not 0 < sensitivity <= 1:
        raise ValueError(f"sensitivity must be a share above 0 and up to 1. Received: {sensitivity}.")
    _, truth, score = _scores(report, positive)
    scores = np.sort(score[truth])[::-1]
    needed = max(1, math.ceil(sensitivity * len(scores) - 1e-9))  # 0.95 x 20 is 19, whatever floats say
    return float(scores[needed - 1])


def _scores(report, positive):
    """Return the names, whether each picture is positive, and its probability of that."""
    names = list(positive) if isinstance(positive, list | tuple | set) else [positive]
    if not names or set(names) - set(report.classes) or set(names) >= set(report.classes):
        raise ValueError(
            f"positive must be one or more of {', '.join(map(str, report.classes))}, but not all. "
            f"Received: {positive!r}."
        )
    truth = report.predictions["class"].isin(names).to_numpy()
    if not truth.any():
        raise ValueError(
            f"sensitivity needs positive pictures ({', '.join(map(str, names))}). "
            f"Received: a report of {report.n} pictures without any; evaluate a split that has some."
        )
    score = report.predictions[[f"p_{name}" for name in names]].to_numpy("float64").sum(1)
    return names, truth, np.clip(score, 0, 1)


def sensitivity_specificity(report, positive, *, threshold):
    """Measure what a threshold finds, and what it raises a false alarm for.

    The predictive values (PPV, NPV) hold only where positives are as frequent as in
    this split: in screening, where they are rare, the PPV is far lower.

    Args:
        report: `Report` of the split to measure on.
        positive: A class name, or a list of names whose probabilities are added.
        threshold: From which probability on a picture is called positive, 0 to 1.

    Returns:
        `pandas.DataFrame` with rows sensitivity, specificity, PPV and NPV, and columns value, low,
        high (95 % interval), n (pictures) and, if the report has groups, groups. Where there is
        nothing to count, value is NaN and n is 0.

    Raises:
        ValueError: If a class is unknown, no picture is positive, or the threshold is out of range.

    Example:
        >>> import tlteach as tl
        >>> pets, vgg = tl.load_dataset("cats_vs_dogs", "mini"), tl.load_backbone("vgg16", "mini")
        >>> report = tl.evaluate(tl.attach_head(vgg, 2), pets.val)
        >>> tl.sensitivity_specificity(report, "dog", threshold=0.0).loc["specificity", "value"].item()
        0.0

    Reference:
        Altman and Bland 1994, Diagnostic tests 1 and 2.
    """
    if not 0 <= threshold <= 1:
        raise ValueError(f"threshold must be a probability, 0 to 1. Received: {threshold}.")
    _, truth, score = _scores(report, positive)
    called = score >= threshold
    found = {
        "sensitivity": measured_share(report, called, truth),
        "specificity": measured_share(report, ~called, ~truth),
        "PPV": measured_share(report, truth, called),
        "NPV": measured_share(report, ~truth, ~called),
    }
    return pd.DataFrame(list(found.values()), index=pd.Index(list(found), name="measure"))


def roc_curve(report, positive, *, resamples=1000, seed=0):
    """Measure sensitivity against false alarms at every threshold, and the area under the curve.

    The area is the chance that a positive picture gets a higher probability than a negative
    one. Where positives are rare, look at `precision_recall_curve` too: the ROC does not
    show how many of the alarms are false.

    Args:
        report: `Report`.
        positive: A class name, or a list of names whose probabilities are added.
        resamples: Bootstrap resamples for the area's interval, over whole groups if the report has them.
        seed: Seed of the bootstrap.

    Returns:
        `Curve` with columns threshold, false_positive_rate and sensitivity.

    Raises:
        ValueError: If a class is unknown, or there are no positive or no negative pictures.

    Example:
        >>> import tlteach as tl
        >>> pets, vgg = tl.load_dataset("cats_vs_dogs", "mini"), tl.load_backbone("vgg16", "mini")
        >>> report = tl.evaluate(tl.attach_head(vgg, 2), pets.val)
        >>> tl.roc_curve(report, "dog", resamples=10).n
        200

    Reference:
        Hanley and McNeil 1982; Fawcett 2006, An introduction to ROC analysis.
    """
    from sklearn import metrics

    names, truth, score = _both_kinds(report, positive)
    false, true, thresholds = metrics.roc_curve(truth, score, drop_intermediate=False)
    table = pd.DataFrame({"threshold": thresholds, "false_positive_rate": false, "sensitivity": true})
    drawing = {"resamples": resamples, "seed": seed}
    area, interval = _area(metrics.roc_auc_score, truth, score, codes=codes_of(report), drawing=drawing)
    return Curve(table, area, interval, names, int(truth.sum()), report.n)


def precision_recall_curve(report, positive, *, resamples=1000, seed=0):
    """Measure precision (PPV) against recall (sensitivity) at every threshold, and the average precision.

    By chance alone the precision is the share of positives, at any recall: so two curves can be
    compared only on pictures with the same share of them.

    Args:
        report: `Report`.
        positive: A class name, or a list of names whose probabilities are added.
        resamples: Bootstrap resamples for the interval, over whole groups if the report has them.
        seed: Seed of the bootstrap.

    Returns:
        `Curve` with columns threshold, recall and precision.

    Raises:
        ValueError: If a class is unknown, or there are no positive or no negative pictures.

    Example:
        >>> import tlteach as tl
        >>> pets, vgg = tl.load_dataset("cats_vs_dogs", "mini"), tl.load_backbone("vgg16", "mini")
        >>> report = tl.evaluate(tl.attach_head(vgg, 2), pets.val)
        >>> tl.precision_recall_curve(report, "dog", resamples=10).table.columns.tolist()
        ['threshold', 'recall', 'precision']

    Reference:
        Davis and Goadrich 2006; Saito and Rehmsmeier 2015.
    """
    from sklearn import metrics

    names, truth, score = _both_kinds(report, positive)
    precision, recall, thresholds = metrics.precision_recall_curve(truth, score)
    table = pd.DataFrame({"threshold": np.append(thresholds, np.inf), "recall": recall, "precision": precision})
    drawing = {"resamples": resamples, "seed": seed}
    area, interval = _area(metrics.average_precision_score, truth, score, codes=codes_of(report), drawing=drawing)
    return Curve(table[::-1].reset_index(drop=True), area, interval, names, int(truth.sum()), report.n)


def _both_kinds(report, positive):
    names, truth, score = _scores(report, positive)
    if truth.all():
        raise ValueError(
            f"a curve needs pictures that are not {' or '.join(map(str, names))}. Received: {report.n} that all are; "
            "evaluate a split with other classes too."
        )
    return names, truth, score


def _area(area_of, truth, score, *, codes, drawing):
    """Return the area and its bootstrap interval.

    If positives and negatives are told apart without a mistake, all resamples say 1. Then the
    pairs of a positive and a negative group that share none are the independent trials: as
    many as there are groups of the rarer kind.
    """
    area = float(area_of(truth, score))
    drawn = [
        area_of(truth, score, sample_weight=times)
        for times in resampled(codes, **drawing)
        if 0 < times @ truth < times.sum()  # some of either kind
    ]
    pairs = min(len(np.unique(codes[kind])) for kind in (truth, ~truth))
    return area, interval_of_drawn(drawn, area, pairs)


def curves_against_rest(report, *, resamples=500):
    """Measure both curves of each class against all others together.

    Args:
        report: `Report`.
        resamples: Bootstrap resamples for the intervals.

    Returns:
        Dict from each class that the split has, besides others, to `(roc_curve, precision_recall_curve)`.
    """
    true = report.predictions["class"].to_numpy()
    names = [name for name in report.classes if 0 < (true == name).sum() < report.n]
    how = {"resamples": resamples}
    return {name: (roc_curve(report, name, **how), precision_recall_curve(report, name, **how)) for name in names}


def one_against_rest(report, *, curves=None):
    """Measure each class against all others together: what is found, what is a false alarm, how well they part.

    Sensitivity and specificity are those of the likeliest class; where mistakes cost differently,
    choose a threshold with `choose_threshold`.

    Args:
        report: `Report`.
        curves: Those of `curves_against_rest`, if they are at hand.

    Returns:
        `pandas.DataFrame`, a row a class that the split has, besides others: n (pictures of it), then
        sensitivity, specificity, AUC and average_precision, each with its 95 % interval in
        columns `_low` and `_high`.

    Example:
        >>> import tlteach as tl
        >>> pets, vgg = tl.load_dataset("cats_vs_dogs", "mini"), tl.load_backbone("vgg16", "mini")
        >>> tl.one_against_rest(tl.evaluate(tl.attach_head(vgg, 2), pets.val))["n"].to_dict()
        {'cat': 100, 'dog': 100}

    Reference:
        Hand and Till 2001, A simple generalisation of the area under the ROC curve; lesson 04.
    """
    curves = curves_against_rest(report) if curves is None else curves
    rows = [_against_rest(report, name, curves[name]) for name in curves]
    return pd.DataFrame(rows, index=pd.Index(list(curves), name="class", dtype=object))


def _against_rest(report, name, curves):
    truth, called = (report.predictions[column].to_numpy() == name for column in ("class", "predicted"))
    row = {"n": int(truth.sum())}
    for measure, hits, rows in (("sensitivity", called, truth), ("specificity", ~called, ~truth)):
        found = measured_share(report, hits, rows)
        row |= {measure: found["value"], f"{measure}_low": found["low"], f"{measure}_high": found["high"]}
    for measure, curve in zip(("AUC", "average_precision"), curves, strict=True):
        row |= {measure: curve.area, f"{measure}_low": curve.interval[0], f"{measure}_high": curve.interval[1]}
    return row
