"""Words by people who were never heard: leave one speaker out, over all speakers of a folder of recordings.

    python benchmarks/speech.py RECORDINGS --out speech.json

RECORDINGS holds a folder for each word; `--speakers` is a pattern that finds the speaker in a file's name. Each
speaker is left out once: the recipe of `tlteach fit --backbone speech` learns from the others alone, and then from
the others and `--few` recordings of the one left out, as many of each word; the test is the rest of that speaker's
recordings. Beside it, with the same recordings: log-mel pixels, the mean of each band taken off, at three speeds,
with logistic regression.
"""

import json
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import typer
from common import machine, tell
from tqdm import tqdm

import tlteach as tl
from tlteach.recipe import fit_splits
from tlteach.recipe_sound import SPEEDS

PIXELS = tl.FrontEnd(size=(32, 32), normalise="mean_variance")
STRENGTH = 1e-3  # of the pixels' penalty, fixed beforehand: folds that divide speakers would choose it too weak


def parted(whole, column, speaker, *, few, seed):
    """Return `Splits` with one speaker's recordings as the test but for a few of each word, which are learned from."""
    own = np.flatnonzero(whole.table[column] == speaker)
    random = np.random.default_rng(seed)
    each = [
        random.permutation(own[whole.labels[own] == label])[: few // len(whole.classes)]
        for label in range(len(whole.classes))
    ]
    known = np.concatenate(each).astype(int)
    learn = random.permutation(np.r_[np.flatnonzero(whole.table[column] != speaker), known])
    val = len(learn) // 5  # the recipe learns from it too
    parts = {"train": learn[val:], "val": learn[:val], "test": np.setdiff1d(own, known)}
    return tl.Splits(**{name: whole.take(rows) for name, rows in parts.items()}, name="recordings")


def by_recipe(splits, backbone, seed):
    """Accuracy of the recipe's model."""
    fitted = fit_splits(splits, {"name": backbone, "size": "mini"}, seed=seed)
    keras.backend.clear_session()
    return fitted.report.accuracy


def by_pixels(splits, seed):
    """Accuracy of logistic regression on the pixels."""
    heard = tl.with_frontend(splits, PIXELS)
    parts = [tl.perturb_speed(part, SPEEDS) for part in (heard.train, heard.val)]
    x = np.concatenate([part.array()[..., 0].reshape(part.num_examples, -1) for part in parts])
    probe = tl.linear_probe((x, np.concatenate([part.labels for part in parts])), strength=STRENGTH, seed=seed)
    asked = heard.test.array()[..., 0].reshape(heard.test.num_examples, -1)
    return float((np.asarray(probe.predict_on_batch(asked)).argmax(1) == heard.test.labels).mean())


def measure(folder, pattern, *, backbone, few, seeds):
    """Yield a row for each speaker, seed, number of own recordings and way."""
    splits = tl.from_folder(folder, val=0.0, test=0.0, groups=pattern)
    whole, column = splits.train, splits.groups
    plan = [(s, seed, n) for seed in range(seeds) for s in sorted(set(whole.table[column])) for n in (0, few)]
    for speaker, seed, own in tqdm(plan):
        parts = parted(whole, column, speaker, few=own, seed=seed)
        row = {"speaker": speaker, "seed": seed, "own recordings": own, "test": parts.test.num_examples}
        yield row | {"way": "pixels", "accuracy": by_pixels(parts, seed)}
        yield row | {"way": backbone, "accuracy": by_recipe(parts, backbone, seed)}


def main(
    folder: Path,
    speakers: str = r"^[^_]+_(?P<speaker>[a-z]+)_",
    backbone: str = "speech",
    few: int = 20,
    seeds: int = 2,
    out: Path = typer.Option(None, help="JSON file, written after each run."),
):
    rows = []
    for row in measure(folder, speakers, backbone=backbone, few=few, seeds=seeds):
        rows.append(row)
        if out:
            out.write_text(json.dumps({"machine": machine(), "runs": rows}, indent=1), encoding="utf-8")
    runs = pd.DataFrame(rows)
    table = runs.pivot_table(index=["way", "own recordings"], columns="speaker", values="accuracy")
    means = runs.groupby(["way", "own recordings", "seed"])["accuracy"].mean().groupby(["way", "own recordings"])
    tell(table.assign(**means.agg(["mean", "min", "max"])).reset_index(), seeds=seeds)


if __name__ == "__main__":
    typer.run(main)
