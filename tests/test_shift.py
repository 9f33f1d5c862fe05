"""Domain shift: the MMD counted pair by pair, and both tests silent where nothing differs."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

import tlteach as tl
from tlteach.shift import _area, _kernel, _mmd_test, mmd_of


def draws(n, seed, move=0.0):
    return np.random.default_rng(seed).normal(size=(n, 3)) + move


def test_mmd_is_that_of_a_double_loop():
    a, b = draws(8, 0), draws(6, 1, 0.5)
    both = np.vstack([a, b])
    apart = [np.sum((x - y) ** 2) ** 0.5 for i, x in enumerate(both) for y in both[:i]]

    def k(x, y):
        return np.exp(-np.sum((x - y) ** 2) / (2 * np.median(apart) ** 2))

    expected = sum(k(x, y) for i, x in enumerate(a) for j, y in enumerate(a) if i != j) / (8 * 7)
    expected += sum(k(x, y) for i, x in enumerate(b) for j, y in enumerate(b) if i != j) / (6 * 5)
    expected -= 2 * sum(k(x, y) for x in a for y in b) / (8 * 6)
    found = tl.domain_shift(a, b, resamples=20)
    assert found["mmd"] == pytest.approx(expected, abs=1e-12)
    assert found["bandwidth"] == pytest.approx(np.median(apart)) and (found["n_a"], found["n_b"]) == (8, 6)
    kernel, _ = _kernel(both)
    chosen = np.repeat([1.0, 0.0], [8, 6])
    assert mmd_of(kernel, np.stack([chosen, 1 - chosen], 1)) == pytest.approx([expected, expected])


def test_p_values_are_uniform_where_nothing_differs():
    found = []
    for seed in range(200):
        a, b = draws(25, 2 * seed), draws(20, 2 * seed + 1)
        found.append(_mmd_test(a, b, np.arange(45), permutations=99, random=np.random.default_rng(seed))[1])
    counts = np.histogram(found, bins=5, range=(0, 1.001))[0]
    assert counts.min() >= 22 and counts.max() <= 60  # 40 each; beyond 3 deviations
    assert abs(np.mean(found) - 0.505) < 0.07


def test_domains_that_are_alike_and_that_are_not():
    alike = [tl.domain_shift(draws(100, s), draws(80, 100 + s), resamples=100, seed=s) for s in range(8)]
    assert abs(np.mean([each["auc"] for each in alike]) - 0.5) < 0.06
    assert sum(each["low"] <= 0.5 <= each["high"] for each in alike) >= 6
    apart = tl.domain_shift(draws(100, 0), draws(80, 1, 1.0), resamples=100)
    assert apart["low"] > 0.8 and apart["p_value"] == pytest.approx(1 / 101) and apart["mmd"] > 0.1
    assert apart["low"] < apart["auc"] < apart["high"]


def test_slices_of_patients_differ_by_chance_unless_the_patients_are_told():
    patients, p = np.repeat(np.arange(24), 8), {"row": [], "patient": []}
    for seed in range(20):
        random = np.random.default_rng(seed)
        x = random.normal(size=(24, 8))[patients] + 0.1 * random.normal(size=(192, 8))
        for units, found in zip((np.arange(192), patients), p.values(), strict=True):
            found.append(_mmd_test(x[:96], x[96:], units, permutations=99, random=random)[1])
    assert max(p["row"]) < 0.05 and sum(each < 0.05 for each in p["patient"]) <= 4
    by_row = tl.domain_shift(x[:96], x[96:], resamples=100)
    by_patient = tl.domain_shift(x[:96], x[96:], groups=(patients[:96], patients[96:]), resamples=100)
    assert by_row["low"] > 0.6 and by_patient["low"] < 0.5
    assert by_patient["high"] - by_patient["low"] > 2 * (by_row["high"] - by_row["low"])


def test_the_area_is_scikit_learns():
    random = np.random.default_rng(0)
    domain, scores = random.integers(0, 2, 60), random.integers(0, 9, 60)
    assert _area(domain, scores) == pytest.approx(roc_auc_score(domain, scores))


def test_features_one_by_one():
    a = np.array([[0.0, 1, 5], [2, 3, 5], [4, 5, 5]])
    table = tl.feature_shift(a, a * [1, 1, 1] + [0, 4, 0])
    assert table.index.tolist() == [1, 0, 2] and table["difference"].tolist() == pytest.approx([2, 0, 0])
    assert tl.feature_shift(a[:, :1], 3 * a[:, :1])["ratio"].tolist() == pytest.approx([3])


def test_pictures_go_through_the_backbone():
    pets, vgg = tl.load_dataset("cats_vs_dogs", "mini"), tl.load_backbone("vgg16", "mini")
    a, b = pets.val.take(range(20)), pets.val.take(range(20, 50))
    found = tl.domain_shift(a, b, backbone=vgg, resamples=20)
    expected = tl.domain_shift(tl.extract_features(vgg, a), tl.extract_features(vgg, b), resamples=20)
    assert found.equals(expected)


def test_domains_that_cannot_be_compared():
    with pytest.raises(ValueError, match=r"the same features\. Received: 3 and 2 columns\."):
        tl.domain_shift(draws(5, 0), draws(5, 0)[:, :2])
    with pytest.raises(ValueError, match=r"a pair, with a name for each of 5 and 4 rows\."):
        tl.domain_shift(draws(5, 0), draws(4, 0), groups=(["p"] * 5, ["p"] * 5))
    with pytest.raises(ValueError, match=r"two groups or more.*Received: one with a single group\."):
        tl.domain_shift(draws(5, 0), draws(4, 0), groups=(["p"] * 5, list("abcd")))
