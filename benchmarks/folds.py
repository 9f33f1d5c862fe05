"""The recipe of `tlteach fit` on a folder of pictures, in folds: each picture is asked about once.

    python benchmarks/folds.py PICTURES --backbone mobilenetv2 --weights FILE --out folds.json

PICTURES holds a folder for each class. Each fold is a process of its own and does what `tlteach fit TRAIN --test TEST`
does. With `--out`, each fold is written down when it ends, and the same call goes on where it was; `--only 0 --only 2`
measures some of the folds, so that two calls can share the work, each with an `--out` of its own.
"""

import json
import shutil
import tempfile
from collections import Counter
from pathlib import Path

import pandas as pd
import typer
from common import in_turn, own, tell
from sklearn.model_selection import StratifiedKFold
from tqdm import tqdm

ENDINGS = {".jpg", ".jpeg", ".png", ".bmp"}


def found(pictures):
    """Return the pictures of a folder, in order."""
    return sorted(path for path in pictures.glob("*/*") if path.suffix.lower() in ENDINGS)


def folded(pictures, place, *, folds, fold):
    """Copy the pictures into `place/train` and `place/test`, a folder for each class."""
    files = found(pictures)
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
    numbers = {"fold": fold, "learned from": learned, "test": count, "right": right}
    return {**numbers, "seconds": round(fitted.seconds), "decision": fitted.decision, "notes": notes}


def main(
    pictures: Path,
    backbone: str = "mobilenetv2",
    weights: str = "imagenet",
    folds: int = typer.Option(4, min=2),
    only: list[int] = typer.Option(None, help="Folds to measure, from 0; all if none is given."),
    seed: int = 0,
    out: Path = typer.Option(None, help="JSON file; what it holds already is not measured again."),
    one: bool = typer.Option(False, hidden=True),
):
    if one:
        wanted = {"name": backbone, "weights": weights}
        return print(json.dumps(fit(pictures, wanted, folds=folds, fold=only[0], seed=seed)))
    check(pictures, folds, only)
    asked = {"backbone": backbone, "weights": weights, "folds": folds, "seed": seed}
    rows = kept(out, asked)
    for fold in tqdm([n for n in only or range(folds) if n not in {row["fold"] for row in rows}]):
        words = [word for name, value in {**asked, "only": fold}.items() for word in (f"--{name}", value)]
        rows += in_turn({"recipe": own(__file__, pictures, *words, "--one")}, 1).to_dict("records")
        write(rows, out, asked)


def check(pictures, folds, only):
    """Raise if the folder cannot be divided so."""
    counts = Counter(path.parent.name for path in found(pictures))
    if len(counts) < 2 or min(counts.values()) < folds:
        raise typer.BadParameter(
            f"the folder needs two classes or more, a folder each with {folds} pictures or more. "
            f"Received: {pictures} with {dict(counts) or 'none'}."
        )
    if unknown := [n for n in only or () if n not in range(folds)]:
        raise typer.BadParameter(f"--only must be 0 to {folds - 1}. Received: {unknown[0]}.")


def kept(out, asked):
    """Return the folds that a file holds, which must be of the same question."""
    if not out or not out.exists():
        return []
    try:
        told = json.loads(out.read_text(encoding="utf-8"))
        if told["asked"] == asked:
            return told["rows"]
    except (ValueError, KeyError, TypeError):
        pass  # no file of ours, or one cut short: it is left as it is
    rule = "--out must be a new file, or one of the same backbone, weights, folds and seed"
    raise typer.BadParameter(f"{rule}. Received: {out}; choose another name.")


def write(rows, out, asked):
    """Print and write the folds that are known, and all pictures together with their interval."""
    from tlteach.evaluation import wilson

    table = pd.DataFrame(rows).sort_values("fold")
    right, count = int(table["right"].sum()), int(table["test"].sum())
    low, high = wilson(right, count)
    table["accuracy"] = table["right"] / table["test"]
    tell(table, out, asked=asked, accuracy=right / count, low=low, high=high, pictures=count)


if __name__ == "__main__":
    typer.run(main)
