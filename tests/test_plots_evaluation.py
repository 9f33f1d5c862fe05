"""Plots of an evaluation: what was measured stands where it belongs, and nothing is computed."""

from itertools import pairwise

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from conftest import small_splits
from test_decisions import two_classes

import tlteach as tl
from tlteach.decisions import Curve
from tlteach.evaluation import report_of


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


@pytest.fixture
def report():
    return two_classes([0.9, 0.8, 0.7, 0.2], [0.1, 0.2, 0.3, 0.6, 0.7], scanner=list("AAABBBABA"))


def place(point):
    return float(point.get_xdata()[0]), float(point.get_ydata()[0])


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_confusion_has_its_counts(report):
    ax = tl.plot_confusion(report)
    assert [int(text.get_text()) for text in ax.texts] == [3, 1, 2, 3]
    assert ax.get_title() == "66.7% right (35.4% to 87.9%)"


def curve(columns, area):
    table = pd.DataFrame([[np.inf, 0, 1], [0.8, 0.2, 0.9], [0.5, 0.4, 0.7], [0.1, 1, 0.5]], columns=columns)
    return Curve(table, area, (0.6, 0.9), ["sick"], 20, 50)


def test_roc_shows_curves_areas_and_the_threshold():
    drawn = curve(["threshold", "false_positive_rate", "sensitivity"], 0.75)
    ax = tl.plot_roc({"mine": drawn, "yours": drawn}, thresholds={"mine": 0.45})
    mine, point, yours, chance = ax.lines
    assert np.array_equal(mine.get_xdata(), [0, 0.2, 0.4, 1]) and np.array_equal(yours.get_ydata(), [1, 0.9, 0.7, 0.5])
    assert mine.get_color() != yours.get_color() and chance.get_label() == "by chance"
    assert place(point) == (0.4, 0.7)  # 0.5 is the last above 0.45
    assert legend(ax)[:2] == [
        "mine: AUC 0.750 (0.600 to 0.900)",
        "threshold 0.45: sensitivity 70%, false alarms 40%",
    ]


def test_a_measured_threshold_is_marked_where_it_was_measured(report):
    threshold = tl.choose_threshold(report, "sick", sensitivity=0.7)
    table = tl.sensitivity_specificity(report, "sick", threshold=threshold)["value"]
    curve = tl.roc_curve(report, "sick", resamples=9)
    point = tl.plot_roc(curve, thresholds=threshold).lines[1]
    assert place(point) == pytest.approx((1 - table["specificity"], table["sensitivity"]))
    curve = tl.precision_recall_curve(report, "sick", resamples=9)
    point = tl.plot_precision_recall(curve, thresholds=threshold).lines[1]
    assert place(point) == pytest.approx((table["sensitivity"], table["PPV"]))


def test_precision_is_drawn_in_steps_over_what_chance_gives():
    ax = tl.plot_precision_recall(curve(["threshold", "recall", "precision"], 0.8))
    line, chance = ax.lines
    assert line.get_drawstyle() == "steps-pre" and set(chance.get_ydata()) == {0.4}
    assert legend(ax) == ["sick: AP 0.800 (0.600 to 0.900)", "by chance (40% are positive)"]


def test_calibration_has_a_point_and_an_interval_a_bin(report):
    table = tl.calibration_table(report, bins=3)
    ax = tl.plot_calibration({"before": table, "after": table})
    (points, _, (bars,)), _ = ax.containers
    assert np.array_equal(points.get_xdata(), table["confidence"])
    assert np.allclose([bar[:, 1] for bar in bars.get_segments()], table[["low", "high"]])
    assert legend(ax) == ["as sure as right", "before", "after"] and ax.get_xlim() == ax.get_ylim()


def test_the_worst_part_is_on_top(report):
    ax = tl.plot_accuracy_by(tl.accuracy_by(report, "scanner"))
    assert [text.get_text() for text in ax.get_yticklabels()] == ["B (4 pictures)", "A (5 pictures)"]
    assert ax.yaxis_inverted() and ax.get_ylabel() == "scanner"
    assert np.allclose(ax.containers[0][0].get_xdata(), [0.5, 0.8])
    grouped = report_of(report.predictions, report.classes, groups="path")
    ax = tl.plot_accuracy_by(tl.accuracy_by(grouped, "scanner"))
    assert ax.get_yticklabels()[0].get_text() == "B (4 groups)"


@pytest.fixture
def mistaken():
    """A split of eight pictures, and a report of it with two mistakes."""
    split = small_splits().train
    sure = np.array([0.1, 0.8, 0.4, 0.9, 0.95, 0.9, 0.1, 0.3])  # of light; even rows are dark
    table = pd.DataFrame({"path": range(8), "class": split.table["label"].map({0: "dark", 1: "light"})})
    table = table.assign(predicted=np.where(sure > 0.5, "light", "dark"), probability=np.maximum(sure, 1 - sure))
    return split, report_of(table, split.classes)


def test_mistakes_the_surest_first(mistaken):
    split, report = mistaken
    axes = tl.plot_mistakes(report, split)
    titles = [ax.get_title() for ax in axes if ax.images]
    assert titles == ["is dark,\ncalled light\n(95%)", "is light,\ncalled dark\n(70%)"]
    assert np.array_equal(axes[0].images[0].get_array(), split.picture(4))
    assert sum(bool(ax.images) for ax in tl.plot_mistakes(report, split, most=1)) == 1


@pytest.mark.parametrize("names", [("ill", "ok"), ("square", "circle"), ("glioma_tumour_of_grade_4", "no tumour")])
def test_captions_of_mistakes_do_not_run_into_each_other(names):
    split = small_splits(train=12).train
    table = pd.DataFrame({"path": range(12), "class": [names[i % 2] for i in range(12)]})
    table = table.assign(predicted=[names[(i + 1) % 2] for i in range(12)], probability=0.9)
    axes = tl.plot_mistakes(report_of(table, list(names)), split)
    axes[0].figure.draw_without_rendering()
    places = [ax.title.get_window_extent() for ax in axes]
    assert all(left.x1 < right.x0 for left, right in pairwise(places[:6]))
    assert all(above.y0 > below.y1 for above, below in zip(places[:6], places[6:], strict=True))


def test_no_mistakes_and_other_pictures(mistaken):
    split, report = mistaken
    right = report.predictions["class"] == report.predictions["predicted"]
    (ax,) = tl.plot_mistakes(
        report_of(report.predictions[right].reset_index(drop=True), split.classes), split.take(range(6))
    )
    assert ax.texts[0].get_text() == "no mistakes"
    with pytest.raises(
        ValueError, match=r"must be of this split, a row a picture\. Received: a report of 8 rows and 3"
    ):
        tl.plot_mistakes(report, split.take(range(3)))


def test_maps_are_drawn_over_their_pictures_on_one_scale():
    split = small_splits().train.take([0, 1])
    maps, masks = np.array([[[1.0, -2], [0, 3]], [[6.0, 0], [0, 0]]]), np.zeros((2, 32, 32))
    masks[1, 4:9, 5:20] = 1
    axes = tl.plot_activation_maps(split, maps, outlines=masks)
    assert [ax.get_title() for ax in axes] == ["dark", "light"]
    for ax, evidence in zip(axes, maps, strict=True):
        picture, heat = ax.images
        assert picture.get_array().shape == (32, 32) and heat.get_clim() == (0, 6)
        assert np.array_equal(heat.get_array(), np.maximum(evidence, 0)) and list(heat.get_extent()) == [
            -0.5,
            31.5,
            31.5,
            -0.5,
        ]
    assert len(axes[0].collections) == 0 and len(axes[1].collections) == 2
    colours = axes[0].images[1].get_cmap()([0.0, 0.2, 1.0])
    assert colours[0, 3] == 0 and 0.2 < colours[1, 3] < 0.5 and colours[2, 3] < 0.8


def test_maps_of_an_array_with_titles_and_a_wrong_number():
    pictures = np.zeros((3, 8, 8, 3), "uint8")
    axes = tl.plot_activation_maps(pictures, -np.ones((3, 2, 2)), titles=["a", "b", "c"])
    assert [ax.get_title() for ax in axes] == ["a", "b", "c"]
    with pytest.raises(ValueError, match=r"each picture needs one map\. Received: 3 pictures and 2 maps\."):
        tl.plot_activation_maps(pictures, np.zeros((2, 2, 2)))


@pytest.mark.parametrize("name", ["plot_roc", "plot_calibration", "plot_accuracy_by", "plot_confusion"])
def test_plots_draw_on_the_axes_they_are_given(report, name):
    ax = plt.figure().subplots()
    given = {
        "plot_roc": lambda: tl.roc_curve(report, "sick", resamples=3),
        "plot_calibration": lambda: tl.calibration_table(report, bins=2),
        "plot_accuracy_by": lambda: tl.accuracy_by(report, "scanner"),
        "plot_confusion": lambda: report,
    }
    assert getattr(tl, name)(given[name](), ax=ax) is ax
