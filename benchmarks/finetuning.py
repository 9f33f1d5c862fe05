"""Staged fine-tuning against the usual recipe, on the same photographs, each side a process of its own.

    python benchmarks/finetuning.py PHOTOGRAPHS --network resnet50 --stage conv5
    python benchmarks/finetuning.py PHOTOGRAPHS --network mobilenetv2 --stage block16 --weights FILE

PHOTOGRAPHS holds a folder for each of two classes; without it, pictures are drawn. `guide` is the recipe
of Keras' guide (`guide_recipe.py`). Ours (`our_recipe.py`) is twofold: `same` is `fine_tune` with the same
mathematics, that is the same first weights, batches, steps and pictures; `recommended` is what the library
advises where weights are given: a solved probe, and fine-tuning only where validation can show that it
helps. Seconds are those of the whole process, imports included, until training ends; the accuracy on the
held-out photographs is measured afterwards.
"""

import json
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import typer
from common import in_turn, own, tell

PARTS = ("train", "val", "test")


def prepare(photographs, folder, counts, size):
    """Write the pictures that both sides read, resized once, as PNG: the same pixels whoever decodes them."""
    from PIL import Image

    from tlteach import from_folder

    splits = from_folder(photographs, val=0.0, test=0.0)
    order = np.random.default_rng(0).permutation(splits.train.num_examples)
    for part, rows in zip(PARTS, np.split(order, np.cumsum(counts))[:3], strict=True):
        for row in rows[: counts[PARTS.index(part)]]:
            place = folder / part / splits.classes[splits.train.labels[row]]
            place.mkdir(parents=True, exist_ok=True)
            picture = Image.fromarray(splits.train.picture(row)).resize(size[::-1])
            picture.save(place / f"{row:05}.png", compress_level=1)


def draw(folder, count):
    """Draw a folder of two classes, where there are no photographs: stripes one way or the other."""
    from PIL import Image

    random = np.random.default_rng(0)
    for number in range(count):
        wave = 127 * np.sin(np.arange(64) * random.uniform(0.2, 0.6))[:, None] + random.normal(128, 60, (64, 64))
        place = folder / ("across" if number % 2 else "along")
        place.mkdir(parents=True, exist_ok=True)
        grey = np.clip(wave if number % 2 else wave.T, 0, 255).astype("uint8")
        Image.fromarray(np.stack([grey] * 3, -1)).save(place / f"{number:05}.png")
    return folder


def write_plan(folder, network, stage, *, weights, options, choices):
    """Write the weights that both sides begin with, and the plan that both follow."""
    import keras

    from tlteach.backbones import load_backbone

    keras.utils.set_random_seed(0)
    size = tuple(choices["input_size"])
    row = keras_name(network)
    plain = getattr(keras.applications, row)(weights=None, include_top=False, input_shape=(*size, 3), **options)
    if weights:
        plain.load_weights(weights)
    plain.save_weights(folder / "base.weights.h5")
    backbone = load_backbone(network, "full", weights=folder / "base.weights.h5", input_size=size, **options)
    width = backbone.model.output.shape[-1]
    np.savez(folder / "head.npz", kernel=np.random.default_rng(0).normal(0, 0.05, (width, 2)), bias=np.zeros(2))
    layers = {layer.name for layer in plain.layers}
    first = next(name for name in backbone.stages[stage] if name in layers)
    plan = {"network": network, "application": row, "options": options, "stage": stage, "first_layer": first, **choices}
    plan["weights"] = str(folder / "base.weights.h5")
    plan["test"] = (folder / "test").exists()
    plan["stages"] = list(backbone.stages)[list(backbone.stages).index(stage) :]
    (folder / "plan.json").write_text(json.dumps(plan))


def keras_name(network):
    from tlteach.backbones import _row

    return _row(network)["application"]


def main(
    photographs: Path = typer.Argument(None, help="A folder for each of two classes; drawn if left out."),
    network: str = "resnet50",
    stage: str = typer.Option("conv5", help="The first stage that is trained."),
    weights: Path = typer.Option(None, help="Weights without top to begin with; random if left out."),
    alpha: float = typer.Option(None, help="Width of MobileNets."),
    epochs: int = typer.Option(5, help="Of the head, and again of the stage."),
    head_first: bool = typer.Option(True, help="Whether the head is trained alone first."),
    pairs: int = 3,
    short: bool = typer.Option(False, help="Small pictures, few of them: only to see that it works."),
    out: Path = typer.Option(None, help="JSON file."),
):
    """Compare the three ways; print seconds, ratios, how far the losses differ, and the accuracies."""
    counts, size = ((16, 8, 8), 64) if short else ((400, 100, 500), 224)
    choices = {"input_size": [size, size], "batch_size": 16, "epochs": epochs, "head_first": head_first}
    choices["rates"] = [1e-3, 1e-5]
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work) / "data"
        source = photographs or draw(Path(work) / "drawn", sum(counts))
        prepare(source, folder, counts, (size, size))
        write_plan(folder, network, stage, weights=weights, options={"alpha": alpha} if alpha else {}, choices=choices)
        compare(folder, pairs, out, network=network, stage=stage, weights=weights and weights.name)


def compare(folder, pairs, out, **facts):
    guide = own(Path(__file__).with_name("guide_recipe.py"), folder)
    ours = Path(__file__).with_name("our_recipe.py")
    sides = {"guide": guide, "same": own(ours, folder, "same")}
    if facts["weights"]:  # a network that has learned nothing is no case for advice
        sides["recommended"] = own(ours, folder, "recommended")
    runs = []
    for pair in range(pairs):
        for name, command in sides.items():
            shutil.rmtree(folder / "store", ignore_errors=True)  # nothing is known from the run before
            runs.append(in_turn({name: command}, 1).assign(pair=pair))
    tell(table_of(runs), out, **facts)


def table_of(runs):
    """A row a pair and side: seconds, how many times faster than the guide's side of that pair, losses, accuracy."""
    runs = pd.concat(runs, ignore_index=True)
    guide = runs[runs["side"] == "guide"].set_index("pair")
    runs["times faster"] = runs["pair"].map(guide["seconds"]) / runs["seconds"]
    runs["largest difference of losses"] = [
        max(np.abs(np.subtract(row.losses, guide.loc[row.pair, "losses"]))) if row.losses else None
        for row in runs.itertuples()
    ]
    return runs.drop(columns=["repeat", "losses"])


if __name__ == "__main__":
    typer.run(main)
