"""Peak memory of reading a folder, of extraction and of fine-tuning, over few pictures and over many.

    python benchmarks/memory.py --out memory.json
    python benchmarks/memory.py --short

The pictures are drawn, each another, as JPEG files of 64 x 64. Every measurement is a process of its own:
`folder` reads the folder, `extract` extracts its features too, `finetune` trains a mini network's last
stage and head for one epoch on kept activations instead. `peak MiB` is the most memory that was resident
at once, the network, Keras and the files' mapped pages included; `times` is that over the peak of the
fewest pictures. `seconds` leave out imports and, but for `folder`, the reading of the folder.
"""

import json
import tempfile
import time
from pathlib import Path

import numpy as np
import typer
from common import in_turn, own, tell
from tqdm import tqdm

STEPS = ("folder", "extract", "finetune")
LAST = {"resnet50": "conv5", "vgg16": "block5"}


def draw(folder, count):
    """Draw pictures of two classes, blurred blocks in warm or cold colours; no two are alike."""
    from PIL import Image

    random = np.random.default_rng(0)
    for number in tqdm(range(count), desc="draw", delay=2):
        name = ("cold", "warm")[number % 2]
        place = folder / name / f"{number // 2000:03}"
        place.mkdir(parents=True, exist_ok=True)
        blocks = random.integers(0, 256, (8, 8, 3))
        blocks[..., 0 if name == "cold" else 2] //= 2
        picture = Image.fromarray(blocks.astype("uint8")).resize((64, 64), Image.Resampling.BICUBIC)
        picture.save(place / f"{number:06}.jpg", quality=90)
    return folder


def peak():
    """The most memory that this process had resident, in MiB."""
    status = Path("/proc/self/status")
    if status.exists():  # begins at this program; what getrusage tells begins with the one that started it
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 2**10
    import resource
    import sys

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (2**20 if sys.platform == "darwin" else 2**10)


def measure(step, folder, network, store):
    """Do one step, and say how long it took and how much memory it had."""
    import tlteach as tl

    backbone = tl.load_backbone(network, "mini")
    started = time.perf_counter()
    splits = tl.from_folder(folder)
    if step != "folder":
        started = time.perf_counter()
    if step == "extract":
        tl.extract_features(backbone, splits, store=store)
    if step == "finetune":
        phase = tl.Phase((LAST[network], "head"), 1, 1e-4, cut=True)
        tl.fine_tune(tl.attach_head(backbone, 2), splits, [phase], store=store)
    return {"seconds": time.perf_counter() - started, "peak MiB": peak()}


def compare(counts, network, steps):
    """Measure every step over every count of pictures, each in a fresh process and with an empty store."""
    with tempfile.TemporaryDirectory() as place:
        sides = {}
        for count in counts:
            folder = draw(Path(place) / f"pictures{count}", count)
            for step in steps:
                store = Path(place) / f"store-{step}-{count}"
                sides[step, count] = own(
                    __file__, "--network", network, "--one", step, "--folder", folder, "--store", store
                )
        table = in_turn(sides, 1)
    table.insert(0, "step", [side[0] for side in table["side"]])
    table.insert(1, "pictures", [side[1] for side in table["side"]])
    table["times"] = table["peak MiB"] / table.groupby("step")["peak MiB"].transform("first")
    return table.drop(columns=["side", "repeat"])


def main(
    count: list[int] = typer.Option([2_000, 50_000], help="How many pictures; the fewest first."),
    network: str = "resnet50",
    step: list[str] = typer.Option(STEPS, help="Steps to measure."),
    short: bool = typer.Option(False, help="Few pictures: does it work?"),
    out: Path = typer.Option(None, help="JSON file."),
    one: str = typer.Option(None, hidden=True),
    folder: Path = typer.Option(None, hidden=True),
    store: Path = typer.Option(None, hidden=True),
):
    if one:
        print(json.dumps(measure(one, folder, network, store)))
        return
    counts, steps = ([200, 1000], ["finetune"]) if short else (count, step)
    tell(compare(counts, network, steps), out, network=f"mini {network}")


if __name__ == "__main__":
    typer.run(main)
