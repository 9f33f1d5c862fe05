"""What the mini networks' pretraining is worth on real photographs: a probe against the random twin.

    python benchmarks/mini_probe.py PHOTOGRAPHS --out table.json

PHOTOGRAPHS holds a folder for each class. A linear probe learns from 400 labelled
pictures at 64 x 64 and is scored on the others, five seeds, for each network and
for its randomly initialised twin (a new one for each seed).
"""

import json
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import typer
from common import machine
from tqdm import tqdm

import tlteach as tl
from tlteach.backbones import MINIS


def score(features, labels, *, count, seed):
    """Accuracy on the pictures that were not drawn, of a probe fitted on those that were."""
    random = np.random.default_rng(seed)
    classes = np.unique(labels)
    rows = [random.permutation(np.flatnonzero(labels == c))[: count // len(classes)] for c in classes]
    drawn = np.concatenate(rows)
    others = np.setdiff1d(np.arange(len(labels)), drawn)
    probe = tl.linear_probe((features[drawn], labels[drawn]), seed=seed)
    return float((np.asarray(probe.predict_on_batch(features[others])).argmax(1) == labels[others]).mean())


def measure(photographs, count, seeds):
    for name in MINIS:
        trained = tl.extract_features(tl.load_backbone(name, "mini"), photographs, store=None)
        for seed in tqdm(range(seeds), desc=name):
            keras.utils.set_random_seed(seed)
            twin = tl.extract_features(tl.load_backbone(name, "mini", weights=None), photographs, store=None)
            for weights, features in (("pretrained", trained), ("random", twin)):
                accuracy = score(features, photographs.labels, count=count, seed=seed)
                yield {"network": name, "weights": weights, "seed": seed, "accuracy": accuracy}


def main(folder: Path, labels: int = 400, seeds: int = 5, out: Path = typer.Option(None, help="JSON file.")):
    splits = tl.from_folder(folder, val=0.0, test=0.0)
    runs = pd.DataFrame(measure(splits.train, labels, seeds))
    table = runs.pivot_table(index="network", columns="weights", values="accuracy", aggfunc=["mean", "std"])
    table["gain"] = table["mean", "pretrained"] - table["mean", "random"]
    print(table.round(4).to_string(), f"\n{len(splits.train.labels)} pictures, {machine()}")
    if out:
        out.write_text(json.dumps({"machine": machine(), "labels": labels, "runs": runs.to_dict("records")}, indent=1))


if __name__ == "__main__":
    typer.run(main)
