"""Scores of transferability: each against its definition written another way, and against a worked example."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import multivariate_normal
from sklearn.covariance import LedoitWolf

import tlteach as tl
from tlteach.features import Features, Part


def clouds(n, d, classes=3, seed=0, apart=1.0):
    random = np.random.default_rng(seed)
    y = np.arange(n) % classes
    x = random.normal(size=(n, d)) + apart * random.normal(size=(classes, d))[y]
    return x * random.uniform(0.1, 5, d) + random.normal(size=d), y


def by_covariances(x, y, shrink=False):
    """The H-score as it is written down: two covariance matrices, each made explicitly."""
    means = np.stack([x[y == k].mean(0) for k in y])
    between = np.cov(means.T, bias=True)
    if not shrink:
        return np.trace(np.linalg.pinv(np.cov(x.T, bias=True), hermitian=True) @ between)
    fitted = LedoitWolf().fit(x)
    return np.trace(np.linalg.inv(fitted.covariance_) @ ((1 - fitted.shrinkage_) * between))


def test_h_score_by_hand():
    # class means (1, 0) and (-1, 0): cov(E[f|y]) = [[1, 0], [0, 0]]; cov(f) = [[1 + 1, 0], [0, 1]]: 1 / 2
    x = np.array([[1 + a, b] for a in (-1, 1) for b in (-1, 1)] + [[-1 + a, b] for a in (-1, 1) for b in (-1, 1)])
    assert tl.h_score(x, [0] * 4 + [1] * 4) == pytest.approx(0.5, abs=1e-12)


@pytest.mark.parametrize("shrink", [False, True])
@pytest.mark.parametrize("n, d", [(200, 7), (90, 40), (30, 60)])
def test_h_score_is_that_of_explicit_covariances(n, d, shrink):
    x, y = clouds(n, d)
    assert tl.h_score(x, y, shrinkage=shrink) == pytest.approx(by_covariances(x, y, shrink), abs=1e-6)


def test_h_score_knows_no_scale_and_no_turn():
    x, y = clouds(80, 5)
    turned = x @ np.random.default_rng(1).normal(size=(5, 5)) * 1000 + 7
    assert tl.h_score(turned, y) == pytest.approx(tl.h_score(x, y), abs=1e-8)


def test_h_score_with_as_many_features_as_pictures_says_nothing_unless_shrunk():
    random, y = np.random.default_rng(0), np.arange(30) % 3
    noise = random.normal(size=(30, 40))
    assert tl.h_score(noise, y) == pytest.approx(2, abs=1e-6)  # classes - 1: every label fits
    told = clouds(30, 40, apart=2.0)[0]
    assert tl.h_score(noise, y, shrinkage=True) < 0.6 < tl.h_score(told, y, shrinkage=True)


def test_features_that_never_vary_score_nothing():
    y = np.arange(8) % 2
    assert tl.h_score(np.ones((8, 3)), y) == tl.h_score(np.ones((8, 3)), y, shrinkage=True) == 0
    silent = -0.5 * (
        np.log(2 * np.pi * 0.5) + 1
    )  # labels 0 and 1 as noise about 0, whose variance is their mean square
    assert tl.log_me(np.zeros((8, 3)), y) == pytest.approx(silent, abs=1e-9)


def test_leep_by_hand():
    # source probabilities of three pictures, labels 0, 0, 1
    theta, labels = [[0.8, 0.2], [0.6, 0.4], [0.1, 0.9]], [0, 0, 1]
    # joint: y=0: (1.4, 0.6) / 3, y=1: (0.1, 0.9) / 3; so given the source class: y=0: 14/15, 6/15; y=1: 1/15, 9/15
    expected = np.log([0.8 * 14 / 15 + 0.2 * 6 / 15, 0.6 * 14 / 15 + 0.4 * 6 / 15, 0.1 * 1 / 15 + 0.9 * 9 / 15]).mean()
    assert tl.leep(theta, labels) == pytest.approx(expected, abs=1e-12)


def test_leep_is_its_definition_in_loops():
    random = np.random.default_rng(0)
    theta, y = random.dirichlet(np.ones(5) * 0.3, 60), random.integers(0, 3, 60)
    total = 0.0
    for i in range(60):
        inside = 0.0
        for z in range(5):
            joint = sum(theta[j, z] for j in range(60) if y[j] == y[i]) / 60
            inside += joint / (sum(theta[j, z] for j in range(60)) / 60) * theta[i, z]
        total += np.log(inside)
    assert tl.leep(theta, y) == pytest.approx(total / 60, abs=1e-6)


def test_leep_of_certain_classes_is_nce():
    random = np.random.default_rng(3)
    z, y = random.integers(0, 4, 50), random.integers(0, 3, 50)
    assert tl.leep(np.eye(6)[z], y) == pytest.approx(tl.nce(z, y), abs=1e-12)  # two source classes never come


def test_nce_by_hand_and_as_a_difference_of_entropies():
    # source class 0: labels 0, 0, 1; source class 1: label 1. H(Y|Z) = 3/4 (log 3 - 2/3 log 2)
    assert tl.nce([7, 7, 7, 9], ["a", "a", "b", "b"]) == pytest.approx(
        -0.75 * (np.log(3) - 2 / 3 * np.log(2)), abs=1e-12
    )
    random = np.random.default_rng(0)
    z, y = random.integers(0, 6, 200), random.integers(0, 3, 200)

    def entropy(labels):
        shares = np.unique(labels, return_counts=True, axis=0)[1] / len(labels)
        return -(shares * np.log(shares)).sum()

    assert tl.nce(z, y) == pytest.approx(entropy(z) - entropy(np.stack([y, z], 1)), abs=1e-6)


def log_probability(x, truth, alpha, beta):
    """The labels' log density by SciPy: the weights integrated out, noise added."""
    return multivariate_normal(np.zeros(len(x)), x @ x.T / alpha + np.eye(len(x)) / beta).logpdf(truth)


def greatest_evidence(x, truth):
    """The evidence at its best alpha and beta, looked for from several places."""
    found = [
        minimize(
            lambda point: -log_probability(x, truth, *np.exp(point)),
            start,
            method="Nelder-Mead",
            options={"xatol": 1e-9, "fatol": 1e-10, "maxiter": 5000},
        ).fun
        for start in ([0.0, 0.0], [3.0, 3.0], [-2.0, 2.0])
    ]
    return -min(found)


@pytest.mark.parametrize("n, d, apart", [(40, 3, 1.0), (24, 60, 0.7), (30, 12, 0.3)])
def test_log_me_is_the_greatest_evidence(n, d, apart):
    x, y = clouds(n, d, apart=apart)
    expected = np.mean([greatest_evidence(x, (y == k).astype(float)) / n for k in range(3)])
    assert tl.log_me(x, y) == pytest.approx(expected, abs=1e-6)


def by_fixed_point(x, truth, rounds=20000):
    """The paper's iteration, with matrices: alpha and beta from the weights, the weights from alpha and beta."""
    alpha = beta = 1.0
    n, d = x.shape
    for _ in range(rounds):
        a = alpha * np.eye(d) + beta * x.T @ x
        m = beta * np.linalg.solve(a, x.T @ truth)
        gamma = d - alpha * np.trace(np.linalg.inv(a))
        before = alpha, beta
        alpha, beta = gamma / (m @ m), (n - gamma) / ((truth - x @ m) @ (truth - x @ m))
        if np.allclose(before, (alpha, beta), rtol=1e-13, atol=0):
            break
    rest = beta / 2 * np.sum((truth - x @ m) ** 2) + alpha / 2 * (m @ m)
    volume = np.linalg.slogdet(alpha * np.eye(d) + beta * x.T @ x)[1] / 2
    return (n / 2 * np.log(beta) + d / 2 * np.log(alpha) - n / 2 * np.log(2 * np.pi) - rest - volume) / n


def test_log_me_is_where_the_papers_iteration_ends():
    x, y = clouds(60, 8)
    expected = np.mean([by_fixed_point(x, (y == k).astype(float)) for k in range(3)])
    assert tl.log_me(x, y) == pytest.approx(expected, abs=1e-6)


def test_log_me_by_hand():
    # one feature, 1 for three pictures of four: one direction of the four-dimensional space of labels. There the labels
    # have the energy (F'y)^2 / 3, and what is left of y'y = 2 lies in the other three directions.
    # class 0, labels (1, 1, 0, 0): 4/3 there and 2/3 in three directions, 2/9 in each: two variances, each its own
    first = np.log(2 * np.pi) + 1 + (np.log(4 / 3) + 3 * np.log(2 / 9)) / 4
    # class 1, labels (0, 0, 1, 1): 1/3 there and 5/9 in each other: a weight could only add, so it is zero, and
    # all four directions are noise of variance 2/4
    second = np.log(2 * np.pi) + 1 + np.log(1 / 2)
    assert tl.log_me([[1.0], [1], [1], [0]], [0, 0, 1, 1]) == pytest.approx(-(first + second) / 4, abs=1e-9)


def test_log_me_keeps_still_where_features_are_constant_turned_or_explain_everything():
    x, y = clouds(40, 6)
    constant = np.hstack([x, np.zeros((40, 3))])
    turned = x @ np.linalg.qr(np.random.default_rng(0).normal(size=(6, 6)))[0]
    assert tl.log_me(constant, y) == pytest.approx(tl.log_me(x, y), abs=1e-9)
    assert tl.log_me(turned * 1e4, y) == pytest.approx(tl.log_me(x, y), abs=1e-8)  # the scale is the weights' alone
    assert np.isfinite(tl.log_me(np.eye(3)[y], y)) and tl.log_me(np.eye(3)[y], y) > 5
    assert tl.log_me(x, y) > tl.log_me(np.random.default_rng(1).normal(size=x.shape), y)


def test_features_come_in_three_forms():
    x, y = clouds(30, 4)
    features = Features(Part(x, y), Part(x[:3], y[:3]), Part(x[:3], y[:3]), ["a", "b", "c"])
    for score in (tl.h_score, tl.log_me):
        assert score(features) == score((x, y)) == score(x, y) == score(x.reshape(30, 2, 2), y)


def test_what_does_not_fit_is_told():
    x, y = clouds(12, 3)
    with pytest.raises(ValueError, match=r"each row of features must have its label. Received: \(12, 3\) and \(5,\)."):
        tl.log_me(x, y[:5])
    with pytest.raises(
        ValueError, match=r"features need labels: give Features, \(x, y\), .* Received: a ndarray alone."
    ):
        tl.h_score(x)
    with pytest.raises(ValueError, match=r"at least two classes. Received: labels of 1."):
        tl.h_score(x, np.zeros(12))
    with pytest.raises(ValueError, match=r"features must be finite. Received: 1 values that are not."):
        tl.log_me(np.where(np.arange(36).reshape(12, 3) == 4, np.nan, x), y)
    with pytest.raises(ValueError, match=r"probabilities must be 0 or more and sum to 1.*Received: rows that sum to"):
        tl.leep(x, y)
    with pytest.raises(
        ValueError, match=r"each picture must have a source label and a label. Received: \(3,\) and \(12,\)"
    ):
        tl.nce([0, 1, 2], y)
