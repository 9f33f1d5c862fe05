"""Write `tlteach/backbones.csv`: every image model of Keras Applications, measured by building it.

python tools/make_backbone_table.py
"""

import csv
import sys
from pathlib import Path

import keras
import numpy as np
from tqdm import tqdm

from tlteach._stages import boundary_before, find_stages

OUT = Path(__file__).parent.parent / "tlteach" / "backbones.csv"


def preprocessing(application):
    """Tell the family's preprocessing from what it does to one red pixel."""
    red = np.array([[[[255.0, 0.0, 0.0]]]])
    out = sys.modules[application.__module__].preprocess_input(red.copy())[0, 0, 0]
    if np.allclose(out, [255, 0, 0]):
        return "none"
    if np.allclose(out, [1, -1, -1]):
        return "tf"
    return "caffe" if out[2] > 100 else "torch"


def input_size(application):
    """The size with which the network was published: its own default with the top on."""
    return application(weights=None).input_shape[1] or 224  # MobileNetV3 leaves it open


def stages_without_cut(model):
    """The stages that several tensors enter: where they are the first to be trained, the whole model is."""
    return [stage for stage in list(find_stages(model))[1:] if boundary_before(model, stage) is None]


def describe(attribute):
    application = getattr(keras.applications, attribute)
    size = input_size(application)
    model = application(weights=None, include_top=False, input_shape=(size, size, 3))
    return {
        "name": attribute.lower(),
        "application": attribute,
        "parameters": model.count_params(),
        "input_size": size,
        "preprocessing": preprocessing(application),
        "stages": " ".join(find_stages(model)),
        "uncut": " ".join(stages_without_cut(model)),
        "weights": "imagenet (Keras Applications)",
    }


def main():
    names = [n for n in dir(keras.applications) if n[0].isupper()]
    rows = []
    for name in tqdm(names):
        rows.append(describe(name))
        keras.backend.clear_session()
    with open(OUT, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
