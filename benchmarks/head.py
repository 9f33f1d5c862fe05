"""The head: a linear probe solved by tlteach and by scikit-learn, on the same features, each in a process of its own.

    python benchmarks/head.py --out head.json
    python benchmarks/head.py --short

The features are made: rectified mixtures of hidden directions of falling weight, averaged over four
places, as a pooled network's are; so they are correlated and of very different scale. In `apart` a plane
separates the classes, in `mixed` some labels are wrong. Seconds are those of the fit alone, without
imports. `loss` is the penalised loss of the training rows, in float64, which both sides minimise;
`over best` is by how much it is above the least that any side reached. `choosing` lets the probe choose
its penalty too, which scikit-learn's one fit doesn't do: it is then the held-out log loss that counts.
"""

import json
import time
from pathlib import Path

import numpy as np
import pandas as pd
import typer
from common import in_turn, own, tell

CASES = {"apart": {"distance": 1.0, "wrong": 0.0}, "mixed": {"distance": 0.5, "wrong": 0.2}}
CLASSES, HIDDEN = 10, 256


def make_features(rows, features, *, distance, wrong):
    """Return features `(rows, features)` float32 and labels `(rows,)`, the same each time."""
    random = np.random.default_rng(0)
    labels = random.integers(0, CLASSES, rows)
    centres = distance * random.normal(size=(CLASSES, HIDDEN)).astype("float32")
    mixing = random.normal(size=(HIDDEN, features)) / np.sqrt(np.arange(1, HIDDEN + 1))[:, None]
    mixing = (mixing * random.lognormal(0, 1, features)).astype("float32")
    threshold = np.abs(mixing).sum(0) / 2 / np.sqrt(HIDDEN)
    made = np.zeros((rows, features), "float32")
    for start in range(0, rows, 2000):
        here = slice(start, start + 2000)
        for _ in range(4):
            hidden = 2 * random.normal(size=(len(labels[here]), HIDDEN)).astype("float32") + centres[labels[here]]
            made[here] += np.maximum(hidden @ mixing - threshold, 0) / 4
    swapped = random.random(rows) < wrong
    return made, np.where(swapped, random.integers(0, CLASSES, rows), labels)


def fit_ours(x, y, strength):
    import tlteach as tl

    return lambda: tl.linear_probe((x, y), strength=strength).get_weights()


def fit_theirs(x, y, strength, tol=1e-4):
    """scikit-learn's fit at its own tolerance, with the same standardising, folded into the weights."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    def fit():
        scaler = StandardScaler()
        found = LogisticRegression(C=strength, tol=tol, max_iter=10_000).fit(scaler.fit_transform(x), y)
        kernel = found.coef_.T / scaler.scale_[:, None]
        return kernel, found.intercept_ - scaler.mean_ @ kernel

    return fit


def log_loss(x, y, kernel, bias):
    """Mean log loss, in float64, block by block."""
    total = 0.0
    for start in range(0, len(x), 2000):
        logits = x[start : start + 2000].astype("float64") @ kernel + bias
        logits -= logits.max(1, keepdims=True)
        right = logits[np.arange(len(logits)), y[start : start + 2000]]
        total += (np.log(np.exp(logits).sum(1)) - right).sum()
    return total / len(x)


def measure(side, case, *, rows, features, strength):
    """Fit once and say how long it took and how good it is."""
    x, y = make_features(rows + rows // 10, features, **CASES[case])
    (x, held_x), (y, held_y) = (np.split(a, [rows]) for a in (x, y))
    fit = fit_theirs(x, y, strength) if side == "scikit-learn" else fit_ours(x, y, strength)
    _warm_up()
    started = time.perf_counter()
    kernel, bias = (np.asarray(a, "float64") for a in fit())
    seconds = time.perf_counter() - started
    penalty = np.sum((kernel * x.std(0, dtype="float64")[:, None]) ** 2) / 2 / strength / rows if strength else 0.0
    loss = log_loss(x, y, kernel, bias) + penalty if strength else None
    return {"case": case, "seconds": seconds, "loss": loss, "held out": log_loss(held_x, held_y, kernel, bias)}


def _warm_up():
    """Import what both sides import, and wake the threads, before the clock runs."""
    random = np.random.default_rng(0)
    x, y = random.normal(size=(40, 4)).astype("float32"), np.arange(40) % 4
    for fit in (fit_ours(x, y, 1.0), fit_theirs(x, y, 1.0)):
        fit()


def compare(rows, features, strength, *, cases, repeats):
    """Run every side on every case in turn; give the medians."""
    size = ["--rows", rows, "--features", features]
    tables = []
    for case in cases:
        given = ["--case", case, "--strength", strength, *size]
        sides = {side: own(__file__, "--side", side, *given) for side in ("tlteach", "scikit-learn")}
        sides["tlteach, choosing"] = own(__file__, "--side", "choosing", "--case", case, *size)
        tables.append(in_turn(sides, repeats))
    table = pd.concat(tables, ignore_index=True)
    table["over best"] = table["loss"] / table.groupby("case")["loss"].transform("min") - 1
    return table.groupby(["case", "side"], sort=False).median(numeric_only=True).drop(columns="repeat").reset_index()


def main(
    rows: int = 20_000,
    features: int = 2048,
    strength: float = 1e-2,
    repeats: int = 3,
    short: bool = typer.Option(False, help="A small size, once: does it work?"),
    out: Path = typer.Option(None, help="JSON file."),
    side: str = typer.Option(None, hidden=True),
    case: str = typer.Option(None, hidden=True),
):
    if side:
        strength = None if side == "choosing" else strength
        print(json.dumps(measure(side, case, rows=rows, features=features, strength=strength)))
        return
    rows, features, repeats = (3000, 64, 1) if short else (rows, features, repeats)
    table = compare(rows, features, strength, cases=list(CASES)[:1] if short else CASES, repeats=repeats)
    tell(table, out, rows_and_features=[rows, features], strength=strength)


if __name__ == "__main__":
    typer.run(main)
