"""Our side of `finetuning.py`: staged fine-tuning, as a process of its own."""

import time

BEGAN = time.perf_counter()

import json  # noqa: E402
import sys  # noqa: E402
from pathlib import Path  # noqa: E402

import numpy as np  # noqa: E402

import tlteach as tl  # noqa: E402
from tlteach.recipe import learn  # noqa: E402


def same(plan, splits, backbone, folder):
    """The guide's mathematics: its head to begin with, its batches, its rates, no best weights put back."""
    model = tl.attach_head(backbone, 2)
    with np.load(folder / "head.npz") as held:
        model.get_layer("head").set_weights([held["kernel"], held["bias"]])
    common = {"epochs": plan["epochs"], "batch_size": plan["batch_size"], "keep": "last"}
    head = [tl.Phase("head", learning_rate=plan["rates"][0], **common)] if plan["head_first"] else []
    stages = tl.Phase([*plan["stages"], "head"], learning_rate=plan["rates"][1], **common)
    seed = 0 if plan["head_first"] else 1  # the guide's side counts this fit as its second, too
    run = tl.fine_tune(model, splits, [*head, stages], seed=seed, store=folder / "store")
    return run.model, run.history["loss"].dropna().tolist()


def recommended(plan, splits, backbone, folder):
    """What the library advises: a solved probe, then fine-tuning where validation can show that it helps."""
    return learn(backbone, splits, store=folder / "store")[0], []


def main(folder, way):
    plan = json.loads((folder / "plan.json").read_text())
    splits = tl.from_folder(folder)
    options = {"weights": plan["weights"], "input_size": tuple(plan["input_size"]), **plan["options"]}
    backbone = tl.load_backbone(plan["network"], "full", **options)
    model, losses = {"same": same, "recommended": recommended}[way](plan, splits, backbone, folder)
    seconds = time.perf_counter() - BEGAN
    test = tl.evaluate(model, splits.test).accuracy if plan["test"] else None
    print(json.dumps({"seconds": seconds, "losses": losses, "accuracy": test}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
