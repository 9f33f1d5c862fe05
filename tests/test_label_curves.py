"""benefits: hand-worked curves, and what is said where a curve never gets there."""

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from scipy import stats

import tlteach as tl

LABELS = (10, 20, 40, 80)
SCRATCH = (0.5, 0.5, 0.6, 0.7)
FROZEN = (0.6, 0.7, 0.8, 0.8)


def runs(curves, *, labels=LABELS, seeds=1, noise=0.0, source="none"):
    """A table of runs; seconds are a tenth of the labels."""
    random = np.random.default_rng(0)
    rows = [
        (name, source, n, seed, value + noise * random.normal(), n / 10)
        for name, curve in curves.items()
        for seed in range(seeds)
        for n, value in zip(labels, curve, strict=True)
    ]
    return pd.DataFrame(rows, columns=["strategy", "source", "labels", "seed", "accuracy", "seconds"])


def found(table, **options):
    told = tl.benefits(table, **options).set_index(["strategy", "measure"])
    return lambda measure, strategy="frozen": told.loc[(strategy, measure)]


def test_the_benefits_of_hand_worked_curves():
    of = found(runs({"scratch": SCRATCH, "frozen": FROZEN}))
    assert of("start")["value"] == pytest.approx(0.1) and of("asymptote")["value"] == pytest.approx(0.1)
    # over log2 n, in steps of 1 about their middle: (-1.5, -.5, .5, 1.5) . differences (.1, .2, .2, .1) / 5 = 0
    assert of("slope")["value"] == pytest.approx(0, abs=1e-12)
    # frozen has scratch's .7 of 80 labels at 20: four times fewer, in 2 seconds instead of 8
    assert (of("label saving")["value"], of("label saving")["bound"]) == (pytest.approx(4), "")
    assert of("time to accuracy")["value"] == pytest.approx(2)
    assert of("time to accuracy", "scratch")["value"] == pytest.approx(8)
    assert np.isnan(of("start")["low"]) and of("start")["seeds"] == 1  # one seed has no interval
    with pytest.raises(KeyError):
        of("start", "scratch")


def test_slope_is_per_doubling():
    of = found(runs({"scratch": (0.5, 0.55, 0.6, 0.65), "frozen": (0.5, 0.6, 0.7, 0.8)}))
    assert of("slope")["value"] == pytest.approx(0.05)


def test_between_counts_the_curve_is_straight_over_the_logarithm():
    # .65 lies half way from .6 (10) to .7 (20): sqrt(200) labels, and 1.5 seconds; scratch has it between 40 and 80
    of = found(runs({"scratch": SCRATCH, "frozen": FROZEN}), accuracy=0.65)
    assert of("label saving")["value"] == pytest.approx(np.sqrt(40 * 80 / 10 / 20))
    assert of("time to accuracy")["value"] == pytest.approx(1.5)
    assert of("time to accuracy", "scratch")["value"] == pytest.approx(6)


def test_what_lies_outside_the_counts_is_told_as_a_bound():
    curves = {"scratch": SCRATCH, "frozen": FROZEN, "high": (0.75, 0.8, 0.9, 0.9), "low": (0.5, 0.5, 0.5, 0.6)}
    of = found(runs(curves))
    assert (of("label saving", "high")["value"], of("label saving", "high")["bound"]) == (8, "at least")
    assert (of("time to accuracy", "high")["value"], of("time to accuracy", "high")["bound"]) == (1, "at most")
    assert (of("label saving", "low")["value"], of("label saving", "low")["bound"]) == (1, "at most")
    assert (of("time to accuracy", "low")["value"], of("time to accuracy", "low")["bound"]) == (8, "at least")
    of = found(runs(curves), accuracy=0.85)  # which scratch never has: more than 80 labels, against high's in between
    high = of("label saving", "high")
    assert high["value"] == pytest.approx(80 / np.sqrt(20 * 40)) and high["bound"] == "at least"
    assert np.isnan(of("label saving")["value"]) and of("label saving")["bound"] == ""  # neither has it
    of = found(runs(curves), accuracy=0.5)  # both at once
    assert np.isnan(of("label saving")["value"])


def test_intervals_are_drawn_over_paired_seeds():
    table = runs({"scratch": SCRATCH, "frozen": FROZEN}, seeds=6, noise=0.02)
    shift = table["seed"].map(dict(enumerate((-0.3, 0.2, 0, 0.1, 0.3, -0.2))))  # a seed's luck, the same for both
    told = tl.benefits(table).drop(columns="strategy")
    shifted = tl.benefits(table.assign(accuracy=table["accuracy"] + shift)).drop(columns="strategy")
    for measure in ("start", "slope", "asymptote"):
        a, b = (t[t["measure"] == measure].iloc[0] for t in (told, shifted))
        assert a["low"] < a["value"] < a["high"]
        assert [a["low"], a["high"]] == pytest.approx([b["low"], b["high"]], abs=1e-9)
    by_seed = table.pivot(index="seed", columns=["strategy", "labels"], values="accuracy")
    gain = (by_seed["frozen"][10] - by_seed["scratch"][10]).to_numpy()
    random = np.random.default_rng(1)
    expected = np.percentile([gain[random.integers(6, size=6)].mean() for _ in range(4000)], [2.5, 97.5])
    start = told[told["measure"] == "start"].iloc[0]
    assert [start["low"], start["high"]] == pytest.approx(expected, abs=0.003)


def test_an_interval_is_open_where_resamples_leave_the_counts():
    table = runs({"scratch": SCRATCH, "frozen": (0.695, 0.75, 0.8, 0.8)}, seeds=5, noise=0.03)
    saving = found(table)("label saving")
    assert saving["low"] <= saving["value"] <= 8 and saving["high"] == np.inf


def test_each_source_has_its_own_baseline_and_only_whole_seeds_count():
    one = runs({"twin": SCRATCH, "frozen": FROZEN}, seeds=3, source="a")
    two = runs({"twin": FROZEN, "frozen": FROZEN}, seeds=3, source="b")
    table = pd.concat([one, two])
    told = tl.benefits(table, baseline="twin").set_index(["strategy", "source", "measure"])["value"]
    assert told["frozen", "a", "start"] == pytest.approx(0.1) and told["frozen", "b", "start"] == pytest.approx(0)
    missing = one.drop(one.index[(one["strategy"] == "frozen") & (one["seed"] == 1) & (one["labels"] == 20)])
    assert (tl.benefits(missing, baseline="twin").query("strategy == 'frozen'")["seeds"] == 2).all()
    with pytest.raises(ValueError, match=r"the baseline must have every source, or one. Received: none of 'c'."):
        tl.benefits(pd.concat([table, runs({"frozen": FROZEN}, source="c")]), baseline="twin")


def test_what_is_no_such_table_is_told():
    table = runs({"scratch": SCRATCH, "frozen": FROZEN})
    with pytest.raises(ValueError, match=r"the baseline must be one of scratch, frozen. Received: 'twin'."):
        tl.benefits(table, baseline="twin")
    with pytest.raises(ValueError, match=r"such as compare gives. Received: one without seconds."):
        tl.benefits(table.drop(columns="seconds"))
    with pytest.raises(ValueError, match=r"a curve needs at least two numbers of labels. Received: 1."):
        tl.benefits(table[table["labels"] == 10])
    with pytest.raises(ValueError, match=r"the table must have a row a run. Received: 8 rows more."):
        tl.benefits(pd.concat([table, table]))
    with pytest.raises(
        ValueError, match=r"a seed with all of them in common with the baseline. Received: 4 and 0 of 'fr"
    ):
        tl.benefits(table.assign(seed=(table["strategy"] == "frozen").astype(int)))


def test_plots_show_what_they_were_given():
    curves = {"scratch": SCRATCH, "frozen": FROZEN, "high": (0.75, 0.8, 0.9, 0.9)}
    axes = tl.plot_benefits(tl.benefits(runs(curves, seeds=3, noise=0.01)))
    labels = [ax.get_xlabel() for ax in axes]
    assert sorted(labels) == ["asymptote", "label saving (times)", "seconds", "slope", "start"]
    assert [text.get_text() for text in axes[0].get_yticklabels()] == ["scratch", "frozen", "high"]
    saving = axes[labels.index("label saving (times)")]
    assert len(saving.texts) >= 1 and not axes[labels.index("start")].texts  # an arrow where there is no end
    table = pd.DataFrame([[1.0, 0.25], [np.nan, 0.5]], index=pd.Index(["s1", "s2"], name="one"), columns=["t1", "t2"])
    ax = tl.plot_similarity(table)
    assert [text.get_text() for text in ax.texts] == ["1.00", "0.25", "0.50"] and ax.get_ylabel() == "one"
    ranks = pd.DataFrame({"source": ["a", "b"], "features": 8, "log_me": [1.0, 2.0], "leep": [np.nan, -1.0]})
    axes = tl.plot_ranking(ranks, {"a": 0.7, "b": 0.8})
    assert [[text.get_text() for text in ax.texts] for ax in axes] == [["a", "b"], ["b"]]
    assert axes[0].lines[1].get_xydata().tolist() == [[2.0, 0.8]]
    many = pd.DataFrame({"source": list("abcdef"), "features": 8, "log_me": range(6)})
    (ax,) = tl.plot_ranking(many, dict(zip("abcdef", range(6), strict=True)))
    assert [text.get_text() for text in ax.figure.legends[0].texts] == list("abcdef") and not ax.texts
    agreed = pd.DataFrame({"score": ["log_me", "leep"], "tau": [0.5, -0.2], "low": [-0.3, -0.9], "high": [0.9, 0.6]})
    ax = tl.plot_agreement({"one": agreed, "two": agreed[:1]})
    ends = [[segment[:, 0].tolist() for segment in bar.lines[2][0].get_segments()] for bar in ax.containers]
    assert np.allclose(ends[0], [[-0.3, 0.9], [-0.9, 0.6]]) and np.allclose(ends[1], [[-0.3, 0.9]])
    assert [text.get_text() for text in ax.get_legend().texts] == ["one", "two"] and ax.get_xlim()[0] <= -1
    assert tl.plot_agreement(agreed).get_legend() is None
    plt.close("all")


def paired(**accuracies):
    rows = [(name, seed, each) for name, values in accuracies.items() for seed, each in enumerate(values)]
    return pd.DataFrame(rows, columns=["way", "seed", "accuracy"])


def test_a_gain_is_the_paired_difference_with_scipys_interval():
    base, own = [0.50, 0.70, 0.60, 0.90], [0.45, 0.62, 0.58, 0.80]
    found = tl.gains(paired(scratch=base, shuffled=own, same=base), by="way")
    test = stats.ttest_rel(own, base)
    low, high = test.confidence_interval(0.95)
    assert found.loc["shuffled", ["mean", "low", "high"]].tolist() == pytest.approx([-0.0625, low, high])
    assert found["below"].tolist() == [4, 0] and found["pairs"].tolist() == [4, 4]
    assert found.index.tolist() == ["shuffled", "same"] and found.index.name == "way"


def test_the_order_of_rows_does_not_matter_and_one_pair_has_no_interval():
    runs = paired(a=[0.1, 0.2, 0.4], scratch=[0.3, 0.5, 0.4])
    mixed = runs.sample(frac=1, random_state=3)
    pd.testing.assert_frame_equal(tl.gains(runs, by="way"), tl.gains(mixed, by="way"))
    one = tl.gains(runs[runs["seed"] == 0], by="way")
    assert one["mean"].tolist() == pytest.approx([-0.2]) and np.isnan(one[["low", "high"]].to_numpy()).all()


def test_gains_say_what_is_wrong():
    runs = paired(scratch=[0.1, 0.2], a=[0.1, 0.2])
    with pytest.raises(ValueError, match=r"the baseline must be one of scratch, a. Received: 'random'"):
        tl.gains(runs, by="way", baseline="random")
    with pytest.raises(ValueError, match=r"each way must have one run for each seed. Received: 'a' without some"):
        tl.gains(runs[:3], by="way")
    with pytest.raises(ValueError, match=r"each way must have one run for each seed. Received: several of 'a'"):
        tl.gains(pd.concat([runs, runs[3:]]), by="way")


def test_gains_are_drawn_in_points_and_the_worse_are_marked():
    ax = tl.plot_gains(
        tl.gains(paired(scratch=[0.5, 0.6, 0.7], bad=[0.4, 0.49, 0.61], good=[0.6, 0.72, 0.8]), by="way")
    )
    points = [container.lines[0] for container in ax.containers]
    assert [point.get_xdata()[0] for point in points] == pytest.approx([-10, 10.67], abs=0.01)
    assert points[0].get_color() != points[1].get_color() and points[0].get_marker() != points[1].get_marker()
    assert [label.get_text() for label in ax.get_yticklabels()] == ["bad", "good"]


def test_a_setting_is_drawn_as_a_mean_in_its_band_beside_the_bars():
    runs = pd.DataFrame({"share": [0, 0, 1, 1], "way": "tuned", "accuracy": [0.8, 0.9, 0.5, 0.7]})
    ax = tl.plot_over(runs, "share", bars={"scratch": [0.6, 0.8]})
    line, bar = ax.lines
    assert line.get_ydata().tolist() == pytest.approx([0.85, 0.6]) and line.get_xdata().tolist() == [0, 1]
    assert bar.get_ydata()[0] == pytest.approx(0.7) and bar.get_color() != line.get_color()
    corners = ax.collections[0].get_paths()[0].vertices
    assert {(0, 0.8), (0, 0.9), (1, 0.5), (1, 0.7)} <= {tuple(corner) for corner in corners}
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["tuned", "scratch"]
