"""Decisions: thresholds, curves and tables are scikit-learn's, or counted by hand."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, confusion_matrix, precision_score, recall_score, roc_auc_score

import tlteach as tl
from tlteach.evaluation import report_of, wilson

KINDS = ["glioma", "none", "pituitary"]
TUMOUR = ["glioma", "pituitary"]


def report_with(true, probabilities, *, groups=None, classes=KINDS, **columns):
    """A report of hand-made probabilities `(n, classes)`."""
    probabilities, names = np.asarray(probabilities, "float64"), np.array(classes)
    table = pd.DataFrame({"path": [f"{i}.png" for i in range(len(true))], "class": true})
    table = table.assign(predicted=names[probabilities.argmax(1)], probability=probabilities.max(1))
    table = table.join(pd.DataFrame(probabilities, columns=classes).add_prefix("p_"))
    return report_of(table.assign(**columns), classes, groups=groups)


def two_classes(sick, well, **more):
    """A report on pictures of sick and of well people with these probabilities of being sick."""
    scores = np.array([*sick, *well])
    true = ["sick"] * len(sick) + ["well"] * len(well)
    return report_with(true, np.stack([scores, 1 - scores], 1), classes=["sick", "well"], **more)


@pytest.fixture(scope="module")
def tumours():
    random = np.random.default_rng(0)
    labels = random.integers(0, 3, 200)
    probabilities = random.dirichlet(np.ones(3), 200) * 0.6 + 0.4 * np.eye(3)[labels]
    return report_with(np.array(KINDS)[labels], probabilities, patient=np.arange(200) // 4)


def any_tumour(report):
    """Whether there is one, and how probable it is."""
    return (report.predictions["class"] != "none").to_numpy(), 1 - report.predictions["p_none"].to_numpy()


@pytest.mark.parametrize("wanted", [0.3, 0.8, 0.95, 1.0])
def test_threshold_is_the_highest_that_finds_enough(tumours, wanted):
    truth, score = any_tumour(tumours)
    enough = [t for t in score if (score[truth] >= t).mean() >= wanted]
    assert tl.choose_threshold(tumours, TUMOUR, sensitivity=wanted) == pytest.approx(max(enough))


def test_nineteen_of_twenty_are_95_percent():
    report = two_classes(np.linspace(0.05, 1, 20), [0.01])
    threshold = tl.choose_threshold(report, "sick")
    assert threshold == pytest.approx(0.1)
    assert tl.sensitivity_specificity(report, "sick", threshold=threshold).loc["sensitivity", "value"] == 0.95
    hundred = two_classes(np.arange(1, 101) / 100, [0.01])
    assert 0.55 * 100 > 55  # as floats have it; 55 are enough all the same
    assert tl.choose_threshold(hundred, "sick", sensitivity=0.55) == 0.46


def test_sensitivity_and_its_kin_are_scikit_learns(tumours):
    truth, score = any_tumour(tumours)
    called = score >= 0.6
    table = tl.sensitivity_specificity(tumours, TUMOUR, threshold=0.6)
    expected = [
        recall_score(truth, called),
        recall_score(~truth, ~called),
        precision_score(truth, called),
        precision_score(~truth, ~called),
    ]
    assert table.index.tolist() == ["sensitivity", "specificity", "PPV", "NPV"]
    assert table.columns.tolist() == ["value", "low", "high", "n"] and np.allclose(table["value"], expected)
    (tn, fp), (fn, tp) = confusion_matrix(truth, called)
    assert table["n"].tolist() == [tp + fn, tn + fp, tp + fp, tn + fn]
    assert tuple(table.loc["PPV", ["low", "high"]]) == wilson(tp, tp + fp)


def test_a_patients_slices_widen_the_interval(tumours):
    """Each patient's pictures are one picture four times: four times as many rows tell nothing new."""
    rows = tumours.predictions.loc[np.repeat(np.arange(0, 200, 4), 4)].reset_index(drop=True)
    plain, grouped = (report_of(rows, KINDS, groups=groups) for groups in (None, "patient"))
    plain, grouped = (tl.sensitivity_specificity(r, TUMOUR, threshold=0.6) for r in (plain, grouped))
    assert np.array_equal(plain["value"], grouped["value"]) and (grouped["groups"] == grouped["n"] / 4).all()
    assert ((grouped["high"] - grouped["low"]) > 1.4 * (plain["high"] - plain["low"])).all()


def test_where_nothing_is_called_there_is_no_ppv():
    table = tl.sensitivity_specificity(two_classes([0.2, 0.3], [0.1]), "sick", threshold=0.9)
    assert table.loc["PPV", "n"] == 0 and np.isnan(table.loc["PPV", "value"])
    assert table["value"].fillna(-1).tolist() == [0, 1, -1, 1 / 3]


@pytest.mark.parametrize("positive", ["lung", [], KINDS, ["glioma", "lung"], 0])
def test_positive_must_be_classes_but_not_all(tumours, positive):
    with pytest.raises(ValueError, match=r"positive must be one or more of glioma, none, pituitary, but not all\. Rec"):
        tl.choose_threshold(tumours, positive)


def test_thresholds_and_shares_out_of_range(tumours):
    with pytest.raises(ValueError, match=r"threshold must be a probability, 0 to 1\. Received: 1\.2\."):
        tl.sensitivity_specificity(tumours, "none", threshold=1.2)
    with pytest.raises(ValueError, match=r"sensitivity must be a share above 0 and up to 1\. Received: 95\."):
        tl.choose_threshold(tumours, "none", sensitivity=95)


def test_a_split_of_one_kind():
    with pytest.raises(
        ValueError, match=r"needs positive pictures \(sick\)\. Received: a report of 2 pictures without"
    ):
        tl.choose_threshold(two_classes([], [0.1, 0.2]), "sick")
    with pytest.raises(ValueError, match=r"a curve needs pictures that are not sick\. Received: 2 that all are"):
        tl.roc_curve(two_classes([0.1, 0.2], []), "sick")


def pairs_in_order(sick, well):
    """The AUC as a count of pairs."""
    sick, well = np.asarray(sick)[:, None], np.asarray(well)[None, :]
    return ((sick > well) + 0.5 * (sick == well)).mean()


def test_auc_is_the_share_of_pairs_in_order(tumours):
    truth, score = any_tumour(tumours)
    curve = tl.roc_curve(tumours, TUMOUR, resamples=50)
    assert curve.area == pytest.approx(pairs_in_order(score[truth], score[~truth]))
    assert (curve.positive, curve.positives, curve.n) == (TUMOUR, truth.sum(), 200)


def test_every_threshold_has_its_row_in_the_curves(tumours):
    truth, score = any_tumour(tumours)
    roc, pr = (make(tumours, TUMOUR, resamples=5).table for make in (tl.roc_curve, tl.precision_recall_curve))
    assert len(roc) == len(np.unique(score)) + 1
    assert roc["threshold"].is_monotonic_decreasing and pr["threshold"].is_monotonic_decreasing
    for row in roc[1:].itertuples():
        assert row.sensitivity == pytest.approx((score[truth] >= row.threshold - 1e-12).mean())
        assert row.false_positive_rate == pytest.approx((score[~truth] >= row.threshold - 1e-12).mean())
    for row in pr[1:].itertuples():
        assert row.precision == pytest.approx(truth[score >= row.threshold - 1e-12].mean())
    steps = np.diff(pr["recall"]) @ pr["precision"][1:]
    assert tl.precision_recall_curve(tumours, TUMOUR, resamples=5).area == pytest.approx(steps)


@pytest.mark.parametrize("make", [tl.roc_curve, tl.precision_recall_curve])
def test_the_areas_interval_is_that_of_resampled_patients(tumours, make):
    grouped = report_of(tumours.predictions, KINDS, groups="patient")
    measure = roc_auc_score if make is tl.roc_curve else average_precision_score
    truth, score = (values.reshape(50, 4) for values in any_tumour(tumours))
    random, drawn = np.random.default_rng(9), []
    for _ in range(600):
        patients = random.integers(0, 50, 50)
        drawn.append(measure(truth[patients].ravel(), score[patients].ravel()))
    curve = make(grouped, TUMOUR, resamples=600)
    assert curve.interval == pytest.approx(np.percentile(drawn, [2.5, 97.5]), abs=0.01)
    assert curve.interval[0] < curve.area < curve.interval[1]
    assert make(grouped, TUMOUR, resamples=60).interval == make(grouped, TUMOUR, resamples=60).interval


def test_a_perfect_curve_is_not_certain():
    plain = two_classes([0.9] * 10, [0.1] * 30)
    assert tl.roc_curve(plain, "sick", resamples=20).interval == wilson(10, 10)
    patients = two_classes([0.9] * 10, [0.1] * 30, groups="patient", patient=np.arange(40) // 5)
    assert tl.roc_curve(patients, "sick", resamples=20).interval == wilson(2, 2)


@pytest.fixture(scope="module")
def scanners():
    """Scanner B is worse: of its four pictures two are right; of A's six, five."""
    sick, well = [0.9, 0.8, 0.7, 0.2, 0.9], [0.1, 0.2, 0.3, 0.6, 0.7]
    scanner = ["A", "A", "A", "B", "B", "A", "A", "B", "B", "A"]
    return two_classes(sick, well, scanner=scanner, patient=[1, 1, 2, 3, 3, 4, 4, 5, 6, 7])


def test_the_worst_scanner_comes_first(scanners):
    table = tl.accuracy_by(scanners, "scanner")
    assert table.index.tolist() == ["B", "A"] and table.index.name == "scanner"
    assert table["accuracy"].tolist() == [2 / 4, 5 / 6] and table["n"].tolist() == [4, 6]
    assert tuple(table.loc["A", ["low", "high"]]) == wilson(5, 6)
    assert table["sensitivity_sick"].tolist() == [1 / 2, 1] and table["sensitivity_well"].tolist() == [1 / 2, 2 / 3]


def test_a_part_without_a_class_and_with_groups(scanners):
    report = report_of(scanners.predictions, scanners.classes, groups="patient")
    assert tl.accuracy_by(report, "scanner")["groups"].tolist() == [3, 4]
    by_patient = tl.accuracy_by(report, "patient")
    assert np.isnan(by_patient.loc[1, "sensitivity_well"]) and by_patient.loc[1, "sensitivity_sick"] == 1
    assert by_patient.loc[1, ["low", "high"]].tolist() == list(wilson(1, 1))  # one patient is one trial


def test_a_patients_prediction_is_the_mean_of_its_pictures(scanners):
    report = tl.average_by(scanners, "patient")
    table = report.predictions.set_index("patient")
    assert report.n == 7 and report.groups is None and table.index.tolist() == [1, 2, 3, 4, 5, 6, 7]
    assert np.allclose(table["p_sick"], [0.85, 0.7, 0.55, 0.15, 0.3, 0.6, 0.7])
    assert table["predicted"].tolist() == ["sick"] * 3 + ["well"] * 2 + ["sick"] * 2
    assert report.accuracy == 5 / 7 and report.accuracy_interval == wilson(5, 7)
    assert table["pictures"].tolist() == [2, 1, 2, 2, 1, 1, 1] and table["scanner"].tolist() == list("AABABBA")
    assert "path" not in table and np.allclose(table["probability"], table[["p_sick", "p_well"]].max(axis=1))
    assert len(report.mistakes()) == 2 and tl.roc_curve(report, "sick", resamples=5).n == 7


def test_groups_above_the_patients_stay(scanners):
    hospital = report_of(scanners.predictions.assign(hospital=[1] * 5 + [2] * 5), ["sick", "well"], groups="hospital")
    assert tl.average_by(hospital, "patient").groups == "hospital"
    mixed = report_of(scanners.predictions, ["sick", "well"], groups="path")
    assert tl.average_by(mixed, "patient").groups is None


def test_a_patient_with_two_classes(scanners):
    words = (
        r"all pictures of one scanner must have the same class\. Received: 2 with several, such as 'A' \(sick, well\)"
    )
    with pytest.raises(ValueError, match=words):
        tl.average_by(scanners, "scanner")


@pytest.mark.parametrize("function", [tl.accuracy_by, tl.average_by])
def test_an_unknown_column(scanners, function):
    with pytest.raises(ValueError, match=r"the column must be one of path, class, .*patient\. Received: 'hospital'\."):
        function(scanners, "hospital")


# each class against the others


def test_each_class_against_the_others_is_scikit_learns(tumours):
    table, seen = tl.one_against_rest(tumours), tumours.predictions
    for name in KINDS:
        truth, called = seen["class"] == name, seen["predicted"] == name
        assert table.loc[name, "n"] == truth.sum()
        assert np.isclose(table.loc[name, "sensitivity"], recall_score(truth, called))
        assert np.isclose(table.loc[name, "specificity"], recall_score(~truth, ~called))
        assert np.isclose(table.loc[name, "AUC"], roc_auc_score(truth, seen[f"p_{name}"]))
        assert np.isclose(table.loc[name, "average_precision"], average_precision_score(truth, seen[f"p_{name}"]))
        for measure in ("sensitivity", "specificity", "AUC", "average_precision"):
            low, value, high = table.loc[name, [f"{measure}_low", measure, f"{measure}_high"]]
            assert low <= value <= high


def test_a_class_that_is_not_there_or_alone_has_no_row():
    report = report_with(["glioma", "none"], [[0.7, 0.2, 0.1], [0.1, 0.8, 0.1]])
    assert tl.one_against_rest(report).index.tolist() == ["glioma", "none"]
    alone = report_with(["glioma", "glioma"], [[0.7, 0.2, 0.1], [0.1, 0.8, 0.1]])
    assert len(tl.one_against_rest(alone)) == 0
