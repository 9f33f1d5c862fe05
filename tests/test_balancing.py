"""Bias: weights and draws that undo a tie between group and class, and the worst group."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.class_weight import compute_sample_weight
from test_decisions import two_classes

import tlteach as tl
from tlteach import _logistic


def tied(n, *, share=0.95, seed=0):
    """Features of which one tells the class a little, and one tells the scanner, with which the class goes."""
    random = np.random.default_rng(seed)
    y = random.integers(0, 2, n)
    scanner = np.where(random.random(n) < share, y, 1 - y)
    x = np.stack([2.0 * y + random.normal(size=n), 4.0 * scanner + random.normal(size=n)], 1)
    return x, y, pd.DataFrame({"class": np.array(["cat", "dog"])[y], "scanner": np.array(["A", "B"])[scanner]})


@pytest.mark.parametrize("n, d, classes", [(60, 5, 2), (60, 5, 3), (20, 40, 2)])
def test_a_weighted_probe_is_scikit_learns(n, d, classes):
    random = np.random.default_rng(0)
    y = np.arange(n) % classes
    x, weights = random.normal(size=(n, d)) + y[:, None], random.uniform(0.1, 5, n)
    probe = tl.linear_probe((x, y), strength=0.5, weights=weights)
    steps = make_pipeline(StandardScaler(), LogisticRegression(C=0.5, max_iter=100_000, tol=1e-9))
    steps.fit(x, y, logisticregression__sample_weight=weights / weights.mean())
    assert np.abs(np.asarray(probe.predict_on_batch(x)) - steps.predict_proba(x)).max() < 1e-4


def test_a_row_that_counts_twice_is_there_twice():
    x, y, _ = tied(_logistic.MANY + 100)  # so many that a part is held out, in an order of its own
    x, twice = (x - x.mean(0)) / x.std(0), np.random.default_rng(0).random(len(y)) < 0.3
    rows = np.concatenate([np.arange(len(y)), np.flatnonzero(twice)])
    found = _logistic.fit(x, y, strength=1.0, weights=1.0 + twice)
    assert np.allclose(found, _logistic.fit(x[rows], y[rows], strength=1.0), atol=1e-5)
    probe = tl.linear_probe((x, y), weights=1.0 + twice)
    alike = tl.linear_probe((x, y), weights=np.full(len(y), 7.0))
    plain = tl.linear_probe((x, y))
    assert np.array_equal(alike.predict_on_batch(x), plain.predict_on_batch(x))
    assert not np.allclose(probe.predict_on_batch(x), plain.predict_on_batch(x), atol=1e-4)


def test_weights_that_cannot_be():
    x, y, _ = tied(10)
    for weights in (np.ones(9), np.zeros(10), np.full(10, np.nan)):
        with pytest.raises(ValueError, match=r"weights must be 10 finite numbers above 0.*leave out what should not"):
            tl.linear_probe((x, y), weights=weights)


def test_group_weights_are_those_of_classes_that_are_the_cells():
    table = tied(300)[2]
    expected = compute_sample_weight("balanced", table["class"] + table["scanner"])
    assert np.allclose(tl.group_weights(table, "scanner"), expected)
    assert np.allclose(tl.group_weights(table, "scanner", label=None), compute_sample_weight("balanced", table.scanner))
    assert tl.group_weights(table, "scanner").mean() == pytest.approx(1)


def test_balanced_rows_have_equally_many_of_each():
    table = tied(300)[2]
    rows = tl.balanced_rows(table, "scanner", seed=1)
    counts = table.iloc[rows].groupby(["class", "scanner"]).size()
    assert (counts == table.groupby(["class", "scanner"]).size().min()).all() and (np.diff(rows) > 0).all()
    assert not np.array_equal(rows, tl.balanced_rows(table, "scanner", seed=2))


def test_both_help_where_the_scanner_goes_with_the_class():
    x, y, table = tied(2000)
    other, truth, cells = tied(2000, share=0.5, seed=1)
    rows = tl.balanced_rows(table, "scanner")

    def worst(probe):
        found = np.asarray(probe.predict_on_batch(other)).argmax(1) == truth
        return pd.Series(found).groupby([cells["class"], cells["scanner"]]).mean().min()

    plain = worst(tl.linear_probe((x, y)))
    assert plain < 0.5
    assert worst(tl.linear_probe((x, y), weights=tl.group_weights(table, "scanner"))) > 0.75
    assert worst(tl.linear_probe((x[rows], y[rows]))) > 0.7


def test_what_cannot_be_balanced():
    table = pd.DataFrame({"class": list("aabb"), "scanner": list("ABAA")})
    with pytest.raises(
        ValueError, match=r"every class needs pictures of every scanner\. Received: none of 'b' with 'B'"
    ):
        tl.group_weights(table, "scanner")
    with pytest.raises(ValueError, match=r"the column must be one of class, scanner\. Received: 'site'\."):
        tl.balanced_rows(table, "site")
    with pytest.raises(ValueError, match=r"without pictures cannot be balanced\. Received: 0 rows\."):
        tl.balanced_rows(table.iloc[:0], "scanner")


def test_the_worst_group_is_a_class_in_a_group():
    report = two_classes([0.9, 0.9, 0.9, 0.2], [0.1, 0.8, 0.2, 0.9], scanner=list("ABAB" * 2))
    table = report.predictions.assign(right=report.predictions["class"] == report.predictions["predicted"])
    expected = table.groupby(["class", "scanner"])["right"].mean()
    worst = tl.worst_group(report, "scanner")
    assert worst["accuracy"] == expected.min() and (worst["class"], worst["scanner"]) == expected.idxmin()
    assert worst["n"] == 2 and worst["low"] <= worst["accuracy"] < worst["high"]
