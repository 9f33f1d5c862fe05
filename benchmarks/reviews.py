"""Where counted words and a language backbone cross: accuracy over the number of labels, on a table of texts.

    python benchmarks/reviews.py REVIEWS.tsv --out reviews.json

REVIEWS is a table as `tl.from_table` reads it. For each seed a third of it, at most 1,000 texts, is the test;
the labels are drawn from the others, as many of each class. The random twin is another network for each seed.
"""

import json
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import typer
from common import machine, tell
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from tqdm import tqdm

import tlteach as tl


def counted(texts, labels, others):
    """Classes of other texts, from tf-idf of words and word pairs and logistic regression."""
    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    return make_pipeline(words, LogisticRegression(C=10, max_iter=1000)).fit(texts, labels).predict(others)


def probed(x, labels, others, *, seed):
    """Classes of other texts, from a linear probe on features."""
    return np.asarray(tl.linear_probe((x, labels), seed=seed).predict_on_batch(others)).argmax(1)


def balanced(rows, labels):
    """Put rows in an order in which the classes take turns."""
    turn = pd.Series(labels).groupby(labels).cumcount()
    return rows[np.argsort(turn.to_numpy(), kind="stable")]


def measure(split, backbone, counts, seeds):
    """Yield a row for each way, number of labels and seed."""
    texts, y = np.array(split.pictures, dtype=object), split.labels
    features = tl.extract_features(tl.load_backbone(backbone), split)
    for seed in tqdm(range(seeds)):
        keras.utils.set_random_seed(seed)
        twin = tl.extract_features(tl.load_backbone(backbone, weights=None), split, store=None)
        order = np.random.default_rng(seed).permutation(len(y))
        test, rest = np.split(order, [min(1000, len(y) // 3)])
        for count in (n for n in counts if n <= len(rest)):
            few = balanced(rest, y[rest])[:count]
            found = {"bag of words": counted(texts[few], y[few], texts[test])}
            for name, x in {"frozen features": features, "random twin": twin}.items():
                found[name] = probed(x[few], y[few], x[test], seed=seed)
            for name, predicted in found.items():
                yield {
                    "strategy": name,
                    "labels": count,
                    "seed": seed,
                    "accuracy": float((predicted == y[test]).mean()),
                }


def main(
    table: Path,
    backbone: str = "bert",
    counts: str = "50,100,200,500,1000,2000",
    seeds: int = 5,
    out: Path = typer.Option(None, help="JSON file."),
):
    split = tl.from_table(table, val=0.0, test=0.0).train
    rows = pd.DataFrame(measure(split, backbone, [int(n) for n in counts.split(",")], seeds))
    shown = rows.groupby(["labels", "strategy"])["accuracy"].agg(["mean", "std", "min", "max"]).reset_index()
    tell(shown, texts=split.num_examples, backbone=backbone)
    if out:
        runs = rows.round(4).to_dict("records")
        out.write_text(
            json.dumps({"machine": machine(), "backbone": backbone, "runs": runs}, indent=1), encoding="utf-8"
        )


if __name__ == "__main__":
    typer.run(main)
