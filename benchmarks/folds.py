"""The recipe of `tlteach fit` on a folder of pictures, in folds: each picture is asked about once.

    python benchmarks/folds.py PICTURES --backbone mobilenetv2 --weights FILE --out folds.json

PICTURES holds a folder for each class. Each fold is a process of its own and does what `tlteach fit TRAIN --test TEST`
does. With `--out`, each fold is written down when it ends, and the same call goes on where it was; `--only 0 --only 2`
measures some of the folds, so that two calls can share the work, each with an `--out` of its own.
"""

import json
import shutil
import tempfile
from pathlib import Path

import pandas as pd
import typer
from common import in_turn, own, tell
from sklearn.model_selection import StratifiedKFold
from tqdm import tqdm

ENDINGS = {".jpg", ".jpeg", ".png", ".bmp"}


def folded(pictures, place, *, folds, fold):
    """Copy the pictures into `place/train` and `place/test`, a folder for each class."""
    files = sorted(path for path in pictures.glob("*/*") if path.suffix.lower() in ENDINGS)
    classes = [path.parent.name for path in files]
    divided = list(StratifiedKFold(folds, shuffle=True, random_state=0).split(files, classes))[fold]
    for part, rows in zip(("train", "test"), divided, strict=True):
        for row in rows:
            (place / part / classes[row]).mkdir(parents=True, exist_ok=True)
            shutil.copy(files[row], place / part / classes[row])


def fit(pictures, backbone, *, folds, fold, seed):
    """Return what the recipe did on one fold, as a dict."""
    from tlteach.recipe import fit_splits, read_splits

    with tempfile.TemporaryDirectory() as place:
        folded(pictures, Path(place), folds=folds, fold=fold)
        splits, notes = read_splits(f"{place}/train", test=f"{place}/test", seed=seed)
        fitted = fit_splits(splits, backbone, seed=seed)
    count, right = splits.test.num_examples, round(fitted.report.accuracy * splits.test.num_examples)
    learned = splits.train.num_examples + splits.val.num_examples
    numbers = {"fold": fold, "seed": seed, "learned from": learned, "test": count, "right": right}
    return {**numbers, "seconds": round(fitted.seconds), "decision": fitted.decision, "notes": notes}


def main(
    pictures: Path,
    backbone: str = "mobilenetv2",
    weights: str = "imagenet",
    folds: int = 4,
    only: list[int] = typer.Option(None, help="Folds to measure, from 0; all if none is given."),
    seed: int = 0,
    out: Path = typer.Option(None, help="JSON file; what it holds already is not measured again."),
    one: bool = typer.Option(False, hidden=True),
):
    if one:
        wanted = {"name": backbone, "weights": weights}
        return print(json.dumps(fit(pictures, wanted, folds=folds, fold=only[0], seed=seed)))
    rows = json.loads(out.read_text(encoding="utf-8"))["rows"] if out and out.exists() else []
    for fold in tqdm([n for n in only or range(folds) if (n, seed) not in {(r["fold"], r["seed"]) for r in rows}]):
        words = [
            "--backbone",
            backbone,
            "--weights",
            weights,
            "--folds",
            folds,
            "--only",
            fold,
            "--seed",
            seed,
            "--one",
        ]
        rows += in_turn({"recipe": own(__file__, pictures, *words)}, 1).to_dict("records")
        write(rows, out)
    write(rows, out)


def write(rows, out):
    """Print and write the folds that are known, and all pictures together with their interval."""
    from tlteach.evaluation import wilson

    table = pd.DataFrame(rows).sort_values(["seed", "fold"])
    right, count = int(table["right"].sum()), int(table["test"].sum())
    low, high = wilson(right, count)
    table["accuracy"] = table["right"] / table["test"]
    tell(table, out, accuracy=right / count, low=low, high=high, pictures=count)


if __name__ == "__main__":
    typer.run(main)
