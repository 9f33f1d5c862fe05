"""What remedies for a domain shift are worth on the lessons' own data: another scanner, other accents.

    python benchmarks/adaptation.py --out adaptation.json

Source: the training slices of scanner A, or the training recordings of American and British voices. Target:
the slices of scanner B of other patients, or the other accents, by other voices. Half of the target's
patients (or voices) adapt, without labels but where it says so; the other half is the test. The seed divides them.
"""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import typer
from common import machine, tell
from tqdm import tqdm

import tlteach as tl

SHIFTS = {
    "brain_mri": {"backbone": "resnet50", "unit": "patient", "column": "scanner", "source": ["A"]},
    "spoken_digits": {"backbone": "speech", "unit": "speaker", "column": "accent", "source": ["en-us", "en-gb"]},
}
REMEDIES = {"Coral": tl.Coral(), "SelfTraining": tl.SelfTraining(), "Dann": tl.Dann()}
REMEDIES["Dann, strength 0"] = tl.Dann(strength=0.0)  # its network without the second head
FEW = 40  # target labels


def divided(data, shift, seed):
    """Return rows of the source, of the target to adapt with, and of the target's test, in all splits together."""
    units = data[shift["unit"]].to_numpy()
    inside = data[shift["column"]].isin(shift["source"]).to_numpy()
    source = np.flatnonzero(inside & (data["split"] == "train"))
    others = pd.Series(units[~inside]).unique()
    order = np.random.default_rng(seed).permutation(others)
    adapt = np.isin(units, order[: len(order) // 2]) & ~inside
    return source, np.flatnonzero(adapt), np.flatnonzero(~adapt & ~inside)


def right(model, x, y):
    return float((np.asarray(model.predict_on_batch(x)).argmax(1) == y).mean())


def with_statistics(backbone, whole, rows, *, seed):
    """Accuracies with the statistics of the source or of each domain, and where the probe was learned with others."""

    def seen(part, statistics):
        if statistics is None:
            return tl.extract_features(backbone, whole.take(part), store=None)
        model = tl.BatchNormStatistics().fit(backbone.model, whole.take(statistics))
        return tl.extract_features(replace(backbone, model=model), whole.take(part), store=None)

    source, adapt, test = rows
    y, target = whole.labels, seen(test, adapt)
    own = tl.linear_probe((seen(source, source), y[source]), seed=seed)
    pretrained = tl.linear_probe((seen(source, None), y[source]), seed=seed)
    return {
        "BatchNormStatistics": right(own, target, y[test]),
        "statistics of the source throughout": right(own, seen(test, source), y[test]),
        "statistics of the target under a probe of the pretraining's": right(pretrained, target, y[test]),
    }


def measure(name, seeds):
    shift, splits = SHIFTS[name], tl.load_dataset(name, "mini")
    backbone = tl.load_backbone(shift["backbone"], "mini")
    data = pd.concat([part.table.assign(split=part_name) for part_name, part in splits.parts().items()])
    x = np.concatenate([tl.extract_features(backbone, part) for part in splits.parts().values()])
    y, data = data["label"].to_numpy(), data.reset_index(drop=True)
    whole = type(splits.train)(
        [picture for part in splits.parts().values() for picture in part.pictures], data, splits.classes
    )
    for seed in tqdm(range(seeds), desc=name):
        source, adapt, test = divided(data, shift, seed)
        given, few = (x[source], y[source]), np.random.default_rng(seed).permutation(adapt)[:FEW]
        probe = tl.linear_probe(given, seed=seed)
        units = data[shift["unit"]]
        told = tl.domain_shift(x[source], x[adapt], groups=(units[source], units[adapt]), seed=seed)
        strong = tl.linear_probe(given, strength=tl.SelfTraining().strength, seed=seed)
        found = {"source only": right(probe, x[test], y[test])}
        found["source only, the penalty of SelfTraining"] = right(strong, x[test], y[test])
        for remedy, how in REMEDIES.items():
            found[remedy] = right(how.fit(given, x[adapt], seed=seed), x[test], y[test])
        found |= with_statistics(backbone, whole, (source, adapt, test), seed=seed)
        found["FewLabels"] = right(tl.FewLabels().fit(given, (x[few], y[few]), seed=seed), x[test], y[test])
        found["few labels alone"] = right(tl.linear_probe((x[few], y[few]), seed=seed), x[test], y[test])
        found["all target labels"] = right(tl.linear_probe((x[adapt], y[adapt]), seed=seed), x[test], y[test])
        for way, accuracy in found.items():
            row = {"data": name, "way": way, "seed": seed, "accuracy": accuracy, "auc": told["auc"]}
            yield {**row, "p_value": told["p_value"], "source": len(source), "adapt": len(adapt), "test": len(test)}


def main(
    data: str = ",".join(SHIFTS),
    seeds: int = 5,
    out: Path = typer.Option(None, help="JSON file."),
):
    runs = pd.DataFrame([row for name in data.split(",") for row in measure(name, seeds)])
    shown = runs.groupby(["data", "way"], sort=False).agg(
        mean=("accuracy", "mean"), low=("accuracy", "min"), high=("accuracy", "max"), auc=("auc", "mean")
    )
    tell(shown.reset_index(), rows=runs[["data", "source", "adapt", "test"]].drop_duplicates().to_dict("records"))
    if out:
        content = {"machine": machine(), "runs": runs.round(4).to_dict("records")}
        out.write_text(json.dumps(content, indent=1), encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
