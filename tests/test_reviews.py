"""The reviews that were written for the lessons: as the card says, no two alike, and split evenly."""

import collections
import re

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT

import tlteach as tl

MINI = ROOT / "datasets" / "reviews" / "mini" / "reviews.csv"


@pytest.fixture(scope="module")
def table():
    return pd.read_csv(MINI)


def words(text):
    return tuple(re.findall(r"\w+", text.lower()))


def test_there_are_as_many_as_the_card_says(table):
    card = (MINI.parents[1] / "README.md").read_text(encoding="utf-8")
    told = [len(table), *table["domain"].value_counts()[["films", "restaurants", "gadgets"]]]
    told += table["label"].value_counts().tolist() + table["split"].value_counts()[["train", "val", "test"]].tolist()
    for number in told:
        assert re.search(rf"\b{number:,}\b", card)
    for manner, count in table["manner"].value_counts().items():
        assert manner in card and re.search(rf"\b{count}\b", card)
    assert len(table) >= 1200 and table["label"].value_counts().tolist() == [604, 604]
    lengths = table["text"].map(lambda text: len(text.split()))
    assert f"of {lengths.min()} to {lengths.max()} words" in card


def test_columns_hold_what_the_card_says(table):
    assert set(table["domain"]) == {"films", "restaurants", "gadgets"}
    assert set(table["manner"]) == {"plain", "negation", "contrast", "irony"}
    assert set(table["rating"]) == {1, 2, 4, 5}
    assert ((table["rating"] > 3) == (table["label"] == "positive")).all()
    assert not table.isna().any().any()


def test_no_two_are_alike_but_for_a_word(table):
    """Take a word out, or any word in its place: no two reviews may then be the same."""
    seen = collections.defaultdict(set)
    for row, text in enumerate(table["text"]):
        own = words(text)
        seen[own].add(row)
        for place in range(len(own)):
            seen[own[:place] + own[place + 1 :]].add(row)
            seen[own[:place] + ("*",) + own[place + 1 :]].add(row)
    assert [rows for rows in seen.values() if len(rows) > 1] == []


def test_no_template_stands_behind_them(table):
    """Few reviews begin or end with the same three words, and no two share half of theirs."""
    own = [words(text) for text in table["text"]]
    for part in ([each[:3] for each in own], [each[-3:] for each in own]):
        assert collections.Counter(part).most_common(1)[0][1] <= 12
    sets = [frozenset(each) for each in own]
    alike = max(len(a & b) / len(a | b) for i, a in enumerate(sets) for b in sets[:i] if len(a & b) > 4)
    assert alike < 0.5


def test_each_split_has_its_share_of_everything(table):
    test = table[table["split"] == "test"]
    for column in ("label", "domain", "manner"):
        share, whole = (each[column].value_counts(normalize=True) for each in (test, table))
        assert np.abs(share - whole).max() < 0.01


def test_load_dataset_gives_them():
    reviews = tl.load_dataset("reviews", "mini")
    assert reviews.classes == ["negative", "positive"] and "Mini: written reviews" in reviews.card
    assert [part.num_examples for part in reviews.parts().values()] == [720, 244, 244]
    assert isinstance(reviews.train.pictures[0], str) and reviews.train.holds_texts
    assert {"domain", "rating", "manner"} <= set(reviews.test.table)
    assert len(tl.check_leakage(reviews)) == 0
    few = tl.subset(reviews, 40)
    assert few.train.num_examples + few.val.num_examples == 40
    resplit = tl.resplit(reviews, groups="domain")
    assert not set(resplit.test.table["domain"]) & set(resplit.train.table["domain"])


def test_the_full_size_becomes_a_table(tmp_path, monkeypatch):
    pytest.importorskip("tensorflow_datasets")
    from tlteach import _tfds

    monkeypatch.setenv("TLTEACH_CACHE", str(tmp_path))

    class Prepared:
        """What a prepared builder tells of itself."""

        class info:
            features = {"text": None, "label": type("Label", (), {"names": ["negative", "positive"]})}
            splits = {"train": type("Split", (), {"num_examples": 12}), "test": type("Split", (), {"num_examples": 4})}

        def as_dataset(self, split):
            kinds = range(self.info.splits[split].num_examples)
            return [{"text": f"{split} {i}".encode(), "label": i % 2, "domain": b"films", "rating": 0} for i in kinds]

    monkeypatch.setattr(_tfds, "_prepared", lambda name, data_dir: Prepared())
    import tensorflow_datasets as tfds

    monkeypatch.setattr(tfds, "as_numpy", lambda rows: rows)
    splits = tl.load_dataset("reviews", "full")
    assert splits.test.num_examples == 4 and splits.train.num_examples + splits.val.num_examples == 12
    assert set(splits.test.pictures) == {f"test {i}" for i in range(4)} and splits.name == "reviews"
    assert set(splits.train.table["domain"]) == {"films"}


def test_parts_of_texts_are_counted_as_texts():
    from tlteach.evaluation import report_of

    table = pd.DataFrame(
        {"class": list("aabb"), "predicted": list("abbb"), "p_a": 0.5, "p_b": 0.5, "domain": list("xxyy")}
    )
    told = [tl.accuracy_by(report_of(each, ["a", "b"]), "domain") for each in (table, table.assign(text="word"))]
    ticks = [[t.get_text() for t in tl.plot_accuracy_by(each).get_yticklabels()] for each in told]
    assert ticks == [["x (2 pictures)", "y (2 pictures)"], ["x (2 texts)", "y (2 texts)"]]
