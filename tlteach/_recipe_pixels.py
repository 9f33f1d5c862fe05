"""Traps between the pictures and the backbone: the range and the order of the channels that reach it."""

import keras
import numpy as np

from tlteach._recipe_data import Finding
from tlteach._recipe_model import leaves

# What black and white become in each channel, as published weights were trained
_EDGES = {
    "caffe": (np.array([-103.939, -116.779, -123.68]), np.array([151.061, 138.221, 131.32])),
    "tf": (np.array([-1.0] * 3), np.array([1.0] * 3)),
    "torch": (np.array([-2.118, -2.036, -1.804]), np.array([2.249, 2.429, 2.64])),
    "raw": (np.array([0.0] * 3), np.array([255.0] * 3)),
}
_IN_WORDS = {
    "caffe": "BGR, 0..255 less the mean colour (about -124..151)",
    "tf": "RGB in -1..1",
    "torch": "RGB in 0..1, standardised (about -2.1..2.6)",
    "raw": "RGB in 0..255, which it rescales itself",
}
_MODULES = {
    "VGG": "vgg16",
    "ResNet": "resnet50",
    "ResNetV2": "resnet_v2",
    "DenseNet": "densenet",
    "MobileNet": "mobilenet",
    "MobileNetV2": "mobilenet_v2",
    "InceptionV3": "inception_v3",
    "InceptionResNetV2": "inception_resnet_v2",
    "NASNet": "nasnet",
    "Xception": "xception",
}
_RAW = 20.0  # no published network takes so wide a range, but those that take pixels or caffe's
_COLOURED = 64  # rows whose colours are looked at: of sixteen photographs some are always blue
_ORDERS = ([0, 1, 2], [2, 1, 0])
_BLUER = 12.0  # of 255: by so much are photographs' blue channels not brighter than their red ones


def input_range(case):
    """Compare what reaches a known backbone with what its published weights were trained on.

    Source: keras-io#1549 (`/255` before EfficientNet); tf#48412; each application's `preprocess_input`.
    """
    entry = case.subject.entry
    if entry is None or entry.values.size == 0:
        return
    if entry.expects is None and entry.family is not None and np.ptp(entry.values) > _RAW:
        evidence = (
            f"{entry.family} was made without its rescaling, and what reaches it spans {np.ptp(entry.values):.4g}"
        )
        yield Finding("error", evidence, "include_preprocessing=True, or preprocess as the weights' model card says")
        return
    if entry.expects is None or entry.values.shape[-1] != 3:
        yield from _of_unknown(case, entry.values)
        return
    wrong = _misfit(entry.values, entry.expects)
    if wrong and _unflipped(entry) is None:
        low, high = entry.values.min(), entry.values.max()
        evidence = f"{entry.family} takes {_IN_WORDS[entry.expects]}; what reaches it {wrong} ({low:.4g}..{high:.4g})"
        yield Finding("error", evidence, _preprocess(entry))


def _preprocess(entry):
    if entry.expects == "raw":
        return "give pixels in 0..255, without /255 or Rescaling: the backbone does it"
    module = _MODULES.get(entry.family)
    if module is None:
        return "preprocess as the weights' model card says, inside the model"
    return f"x = keras.applications.{module}.preprocess_input(x)  # x in 0..255, RGB; once"


def _misfit(values, expects):
    """Say how values differ from what is expected, or return `None`.

    The extremes of some pictures tell: hardly a set of pictures is without a dark or a bright spot. A thousandth
    at each end is left out, for resizing may overshoot.
    """
    low, high = np.quantile(values.reshape(-1, 3), [0.001, 0.999], axis=0)
    black, white = _EDGES[expects]
    span, wanted = max(high - low), max(white - black)
    if span < wanted / 10:
        return f"spans {span:.3g}, not about {wanted:.3g}: as if it was rescaled once too often" if span else None
    if span > 1.25 * wanted:
        return f"spans {span:.3g}, not about {wanted:.3g}: as if it was not rescaled"
    if np.any(low < black - 0.06 * wanted) or np.any(high > white + 0.06 * wanted):
        return "lies outside of that"
    if np.all(low - black > 0.4 * (white - black)):
        return "has nothing in the lower part: as if no mean was taken away"
    if expects == "torch" and np.all(np.abs(low + 1) < 0.03) and np.all(np.abs(high - 1) < 0.03):
        return "lies in -1..1"
    return None


def _unflipped(entry):
    """The least value of each channel where the mean colour was taken away in RGB order; or `None`."""
    low = np.quantile(entry.values.reshape(-1, 3), 0.001, axis=0)
    return low if entry.expects == "caffe" and -130 < low[0] < -112 and low[0] < low[2] else None


def _of_unknown(case, values):
    """A network that nobody knows: only what no network takes gladly, and only as a hint."""
    size, span = np.abs(values).max(), np.ptp(values)
    if span > 0 and size <= 0.02:
        evidence = f"what reaches the first convolution lies in {values.min():.2g}..{values.max():.2g}"
        yield Finding("warning", evidence + ": rescaled twice?", "rescale once, inside the model or outside")
    normal = ("Normalization", "Rescaling")
    if size > 50 and not any(word in type(layer).__name__ for layer in leaves(case.subject.built) for word in normal):
        evidence = f"pixels up to {size:.0f} go straight into a network that normalises nowhere"
        yield Finding("hint", evidence, "keras.layers.Rescaling(1 / 127.5, -1) as the first layer")


def channel_order(case):
    """Follow the channels from the picture to the backbone; and look whether the pictures are BGR by their colours.

    Source: `cv2.imread`, which gives BGR; Caffe's networks (VGG, ResNet), which take it.
    """
    entry = case.subject.entry
    if entry is None or entry.expects is None or entry.values.shape[-1] != 3:
        return
    if (low := _unflipped(entry)) is not None:
        evidence = f"{entry.family} takes BGR; its channels go down to {', '.join(f'{v:.0f}' for v in low)}: RGB"
        yield Finding("error", evidence, _preprocess(entry))
    if _misfit(entry.values, entry.expects):
        return
    flipped, wanted = _is_flipped(case.subject.x, entry.values), entry.expects == "caffe"
    if flipped is not None and flipped != wanted:
        evidence = (
            f"{entry.family} takes {'BGR' if wanted else 'RGB'}; the channels {'are' if flipped else 'are not'} flipped"
        )
        yield Finding("error", evidence, _preprocess(entry))
        return
    black, white = _EDGES[entry.expects]
    colours = (_colours(case, entry.values) - black) / (white - black) * 255  # (rows, 3), as 0..255
    red, blue = (colours[:, 2], colours[:, 0]) if wanted else (colours[:, 0], colours[:, 2])
    bluer = blue - red
    if len(bluer) >= 8 and bluer.mean() > _BLUER and (bluer > 0).mean() >= 0.8:
        evidence = (
            f"blue is brighter than red in {(bluer > 0).mean():.0%} of the pictures, by {bluer.mean():.0f} of 255"
        )
        yield Finding("hint", evidence + "; photographs are the other way", "x = x[..., ::-1]  # if cv2 read them")


def _is_flipped(x, values):
    """Whether what arrived has the picture's channels in reverse; `None` if that cannot be told."""
    pictures = keras.tree.flatten(x)
    if len(pictures) != 1 or pictures[0].ndim != 4 or pictures[0].shape[-1] != 3 or np.min(pictures[0]) < 0:
        return None
    fits = [_fit(_coarse(pictures[0]), _coarse(values)[..., order]) for order in _ORDERS]
    return bool(fits[1] > fits[0]) if max(fits) > 0.98 and abs(fits[0] - fits[1]) > 0.01 else None


def _fit(one, two):
    """How well the channels of pictures lie on straight lines with those of others: the least correlation."""
    return min(np.corrcoef(one[..., c].ravel(), two[..., c].ravel())[0, 1] for c in range(3))


def _colours(case, values):
    """Mean colours of what reaches the backbone, `(rows, 3)`; of more rows than were run, if lines lead there."""
    pictures, more = keras.tree.flatten(case.subject.x), keras.tree.flatten(case.train.sample(_COLOURED)[0])
    if len(pictures) != 1 or pictures[0].ndim != 4 or pictures[0].shape[-1] != 3:
        return values.mean((1, 2))
    one, two = _coarse(pictures[0]), _coarse(values)
    order = max(_ORDERS, key=lambda order: np.nan_to_num(_fit(one[..., order], two)))
    if not _fit(one[..., order], two) > 0.98:
        return values.mean((1, 2))
    lines = [np.polyfit(one[..., c].ravel(), two[..., i].ravel(), 1) for i, c in enumerate(order)]
    means = more[0].mean((1, 2), dtype="float64")
    return np.stack([np.polyval(line, means[:, c]) for line, c in zip(lines, order, strict=True)], -1)


def _coarse(pictures):
    """Means of 4 x 4 fields, `(rows, 4, 4, 3)`: they hardly depend on the size."""
    rows = [np.array_split(np.asarray(pictures, "float64"), 4, axis=1)][0]
    return np.stack([np.stack([f.mean((1, 2)) for f in np.array_split(r, 4, axis=2)], 1) for r in rows], 1)


CHECKS = {"input range": input_range, "channel order": channel_order}
