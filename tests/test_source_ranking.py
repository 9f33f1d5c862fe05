"""Which source to take: similarity of stages, a table of scores, and how far it agrees with fine-tuning."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from conftest import small_backbone, small_splits
from scipy.stats import weightedtau

import tlteach as tl
from tlteach._split import Split
from tlteach.source_ranking import _probe_accuracy


def by_gram(x, y):
    """CKA by HSIC: Gram matrices of the pictures, centred on both sides."""
    centre = np.eye(len(x)) - 1 / len(x)
    k, m = centre @ x @ x.T @ centre, centre @ y @ y.T @ centre
    return np.trace(k @ m) / np.sqrt(np.trace(k @ k) * np.trace(m @ m))


@pytest.mark.parametrize("n, d, e", [(100, 6, 9), (12, 40, 30), (12, 3, 60), (60, 50, 80)])
def test_cka_is_that_of_centred_gram_matrices(n, d, e):
    random = np.random.default_rng(0)
    x = random.normal(size=(n, d)) + 5
    y = x @ random.normal(size=(d, e)) + random.normal(size=(n, e)) - 3
    assert tl.linear_cka(x, y) == pytest.approx(by_gram(x, y), abs=1e-10)


def test_cka_by_hand():
    # centred: x = (-1, 0, 1), y = (1, -2, 1): x'y = 0; with (−1, −1, 2): x'y = 3, so 9 / (2 * 6)
    assert tl.linear_cka([[0.0], [1], [2]], [[1.0], [-2], [1]]) == pytest.approx(0, abs=1e-12)
    assert tl.linear_cka([[0.0], [1], [2]], [[0.0], [0], [3]]) == pytest.approx(0.75, abs=1e-12)


def test_cka_knows_no_turn_scale_or_shift_but_a_stretch():
    random = np.random.default_rng(0)
    x = random.normal(size=(50, 6))
    turn = np.linalg.qr(random.normal(size=(6, 6)))[0]
    assert tl.linear_cka(x, x @ turn * 1e120 + 4e119) == pytest.approx(1, abs=1e-9)
    assert tl.linear_cka(x, x * [100, 1, 1, 1, 1, 1]) < 0.7
    assert tl.linear_cka(x, random.normal(size=(50, 6))) < 0.3


def test_cka_tells_what_does_not_fit():
    with pytest.raises(ValueError, match=r"features of the same pictures. Received: 3 and 4 rows."):
        tl.linear_cka(np.eye(3), np.eye(4))
    with pytest.raises(
        ValueError, match=r"must be finite and differ between pictures. .* \(3, 2\) that are all alike."
    ):
        tl.linear_cka(np.eye(3), np.ones((3, 2)))


def test_stages_are_compared_each_with_its_own_features():
    vgg, twin, split = small_backbone("vgg16"), small_backbone("vgg16", seed=5), small_splits(20).train
    for pooling in ("avg", "avg+dev"):
        own = tl.stage_similarity(vgg, vgg, split, pooling=pooling)
        assert np.allclose(np.diag(own), 1) and np.allclose(own, own.T) and list(own.columns) == list(vgg.stages)
    table = tl.stage_similarity(vgg, twin, split)
    x = tl.extract_features(vgg, split, layer="block2")
    y = tl.extract_features(twin, split, layer="block4")
    assert table.loc["block2", "block4"] == pytest.approx(by_gram(np.float64(x), np.float64(y)), abs=1e-5)
    assert table.index.name == table.columns.name == "vgg16"


def test_sources_are_ranked_by_their_kept_features():
    few, vgg = small_splits(16, 8), small_backbone("vgg16")
    other = small_backbone("vgg16", seed=5)
    random = np.random.default_rng(0)
    told = {"one": random.dirichlet(np.ones(4), 24)}
    scores = ["h_score", "shrunk_h_score", "log_me"]
    table = tl.rank_sources({"one": vgg, "two": other}, few, scores=scores, probabilities=told)
    assert table.columns.tolist() == ["source", "features", *scores, "leep", "nce", "probe_accuracy"]
    row = table.set_index("source").loc["one"]
    x = np.concatenate([tl.extract_features(vgg, few.train), tl.extract_features(vgg, few.val)])
    y = np.concatenate([few.train.labels, few.val.labels])
    assert row["log_me"] == tl.log_me(x, y) and row["shrunk_h_score"] == tl.h_score(x, y, shrinkage=True)
    assert row["leep"] == tl.leep(told["one"], y) and row["nce"] == tl.nce(told["one"].argmax(1), y)
    assert np.isnan(table.set_index("source").loc["two", "leep"]) and row["features"] == 128
    assert table["probe_accuracy"].is_monotonic_decreasing and table["probe_accuracy"].between(0.5, 1).all()


def test_the_probes_folds_divide_no_group():
    random = np.random.default_rng(0)
    groups = np.repeat(np.arange(20), 6)
    own = np.eye(20)[groups] + random.normal(0, 0.05, (120, 20))  # tells who it is, and nothing else
    labels = random.permutation(20)[groups] % 2
    by_picture, by_group = (_probe_accuracy(own, labels, each, seed=0) for each in (None, groups))
    assert by_picture > 0.95 and by_group < 0.7
    assert np.isnan(_probe_accuracy(own[:12], labels[:12] * 0 + groups[:12] % 2, groups[:12], seed=0))  # one group each
    few, vgg = small_splits(16, 8), small_backbone("vgg16")
    parts = [
        Split(p.pictures, p.table.assign(who=np.arange(p.num_examples) // 2), p.classes) for p in (few.train, few.val)
    ]
    grouped = replace(few, train=parts[0], val=parts[1], groups="who")
    x = np.concatenate([tl.extract_features(vgg, part) for part in parts])
    who, y = (np.concatenate([part.table[name] for part in parts]) for name in ("who", "label"))
    expected = _probe_accuracy(x, y, who, seed=0)
    assert tl.rank_sources({"one": vgg}, grouped)["probe_accuracy"][0] == expected


def test_sources_need_names_of_their_own():
    few = small_splits()
    with pytest.raises(
        ValueError, match=r"needs a name of its own: give them in a dict.*Received: \['vgg16', 'vgg16'\]"
    ):
        tl.rank_sources(["vgg16", {"name": "vgg16", "weights": None}], few)
    with pytest.raises(ValueError, match=r"a source must be the name of a backbone.*Received: 3."):
        tl.rank_sources({"a": 3}, few)
    with pytest.raises(ValueError, match=r"a score must be one of h_score, shrunk_h_score, log_me. Received: 'luck'."):
        tl.rank_sources(["vgg16"], few, scores=["luck"])


def ranking(n=6):
    random = np.random.default_rng(0)
    truth = pd.Series(np.linspace(0.6, 0.9, n), index=list("abcdefgh"[:n]))
    table = pd.DataFrame({"source": truth.index, "features": 8, "log_me": random.normal(size=n), "h_score": -truth})
    return table.assign(probe_accuracy=truth.to_numpy() ** 2, h_score=-truth.to_numpy()), truth


def test_agreement_is_the_weighted_tau():
    table, truth = ranking()
    found = tl.rank_agreement(table.sample(frac=1, random_state=0), truth, resamples=300).set_index("score")
    assert found["tau"]["log_me"] == pytest.approx(weightedtau(table["log_me"], truth).statistic, abs=1e-12)
    assert found["tau"]["probe_accuracy"] == 1 and found["tau"]["h_score"] == -1 and (found["sources"] == 6).all()
    assert found.loc["probe_accuracy", ["low", "high"]].tolist() == pytest.approx([1, 1])
    assert -1 <= found["low"]["log_me"] < found["tau"]["log_me"] < found["high"]["log_me"] <= 1


def test_agreement_with_runs_knows_their_seeds():
    table, truth = ranking()
    noise = np.random.default_rng(0).normal(0, 0.2, (6, 4))
    runs = [(name, seed, truth[name] + noise[i, seed]) for i, name in enumerate(truth.index) for seed in range(4)]
    runs = pd.DataFrame(runs, columns=["source", "seed", "accuracy"])
    found = tl.rank_agreement(table, runs, scores=["probe_accuracy"], resamples=300)
    expected = weightedtau(truth, truth + noise.mean(1)).statistic
    assert found["tau"][0] == pytest.approx(expected, abs=1e-12) and found["low"][0] < expected < 1
    with pytest.raises(ValueError, match=r"every source needs every seed. Received: 1 runs too few."):
        tl.rank_agreement(table, runs[1:])
    with pytest.raises(ValueError, match=r"one strategy and label count, a row for each source and seed. Received: 24"):
        tl.rank_agreement(table, pd.concat([runs, runs]))
    with pytest.raises(ValueError, match=r"at least three sources with score and accuracy. Received: 2."):
        tl.rank_agreement(table, truth[:2])
