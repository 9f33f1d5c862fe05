"""What there is to know of somebody's model, and a copy of it to try things on: the model itself is only read."""

import re
from dataclasses import dataclass, field
from functools import cached_property

import keras
import numpy as np

from tlteach._recipe_copy import copied, unmoved

# (family, a layer that tells it, what its backbone takes); "own": it rescales inside, or, without that, takes the rest
_FAMILIES = [
    ("VGG", r"^block2_conv1$", "caffe"),
    ("ResNetV2", r"^conv2_block1_preact_bn$", "tf"),
    ("DenseNet", r"^conv2_block1_concat$", "torch"),
    ("ResNet", r"^conv2_block1_1_conv$", "caffe"),
    ("MobileNet", r"^conv_dw_1$", "tf"),
    ("MobileNetV2", r"^block_1_expand$", "tf"),
    ("MobileNetV3", r"^expanded_conv_(1_expand|depthwise)$", "own tf"),
    ("InceptionResNetV2", r"^mixed_5b$", "tf"),
    ("InceptionV3", r"^mixed0$", "tf"),
    ("NASNet", r"^stem_bn1$", "tf"),
    ("Xception", r"^block2_sepconv1$", "tf"),
    ("EfficientNet", r"^block1a_(dwconv|project_conv)$", "own"),
    ("ConvNeXt", r"_stage_0_block_0_depthwise_conv$", "own torch"),
]
_OWN = (keras.layers.Rescaling, keras.layers.Normalization)


@dataclass(frozen=True)
class Entry:
    """What reaches a known backbone, and what it expects there.

    Attributes:
        family: Such as `"VGG"`; `None` if the network is not known.
        expects: `"caffe"`, `"tf"`, `"torch"` or `"raw"`; `None` if it is not known.
        values: What arrived, `(rows, height, width, channels)`.
    """

    family: str | None
    expects: str | None
    values: np.ndarray = field(repr=False)


class Subject:
    """A model under test.

    Args:
        model: Any Keras model.
        x: Some rows of its input.
        fine_tuning: Whether the backbone is meant to be trained; `None` if nobody said so.

    Attributes:
        copy: Another model with the same weights, to train; `None` if the model cannot be copied.
        shown: What is run: the copy, or else the model itself.
        built: What the flags are read from: the model itself, or else the copy.
    """

    def __init__(self, model, x, *, fine_tuning=None):
        self.model, self.x, self.fine_tuning = model, x, fine_tuning
        self.copy = copied(model, x)
        if self.copy is None and not model.built:
            raise ValueError(
                "the model must have its weights, or be one that Keras can copy. Received: "
                f"{type(model).__name__} {model.name!r} that was never called; call it once: model(x[:1])."
            )
        self.shown = model if self.copy is None else self.copy
        self.built = model if model.built else self.copy

    @cached_property
    def backbone(self):
        """The layers of the original that make its backbone; empty if it has none."""
        return _backbone(self.built, self.fine_tuning)

    @cached_property
    def own(self):
        """The same layers of what things are tried on."""
        return _backbone(self.shown, self.fine_tuning)

    @cached_property
    def family(self):
        """The family of Keras Applications that the layers' names tell, with what it takes; or `(None, None)`."""
        return _family(self.backbone)

    @cached_property
    def head(self):
        """The layers that are not the backbone."""
        own = {id(layer) for layer in self.backbone}
        return [layer for layer in leaves(self.built) if id(layer) not in own]

    @property
    def trainable(self):
        """Ids of the variables that the model would train now."""
        return {id(v) for v in self.built.trainable_variables}

    @cached_property
    def kernels(self):
        """Kernels of the backbone that may move."""
        return [v for v in kernels(self.backbone) if id(v) in self.trainable]

    @cached_property
    def pretrained(self):
        """Whether the backbone learned elsewhere, or is treated as if it had: a stand-in with random weights."""
        if not self.backbone:
            return False
        frozen = len(self.kernels) < len(kernels(self.backbone))
        slow = self.rate is not None and self.rate <= 5e-5
        return bool(self.fine_tuning or frozen or slow or called_for_inference(self.built) or learned(self.backbone))

    @cached_property
    def rate(self):
        """The highest learning rate of the compiled optimizer, or `None`."""
        optimizer = getattr(self.model, "optimizer", None) if self.model.compiled else None
        return None if optimizer is None else _peak(optimizer)

    @cached_property
    def ran(self):
        """`(outputs, what entered each layer up to the backbone's first kernel)` in inference."""
        stop = {id(layer) for layer in self.own or leaves(self.shown) if kernels([layer])}
        with unmoved(self.shown):
            return _run(self.shown, self.x, stop)

    @cached_property
    def unsteady(self):
        """By how much the outputs of the same rows differ when they are asked for again, at most."""
        with unmoved(self.shown):
            one, two = self.shown(self.x, training=False), self.shown(self.x, training=False)
        return _apart(one, two)

    @cached_property
    def mixed(self):
        """By how much outputs of half of the rows differ when they are asked for alone, as a share of the largest."""
        half = keras.tree.map_structure(lambda leaf: leaf[: max(1, len(leaf) // 2)], self.x)
        size = max(float(np.max(np.abs(each), initial=0)) for each in _told(self.ran[0]))
        return _apart(self.ran[0], self.answers(half)) / max(size, 1e-12)

    def answers(self, x):
        """Outputs in inference; whatever moves in it is put back."""
        with unmoved(self.shown):
            return self.shown(x, training=False)

    @cached_property
    def outputs(self):
        """Outputs of the rows, `(rows, units)`; `None` if there are several."""
        flat = _told(self.ran[0])
        return flat[0] if len(flat) == 1 else None

    @cached_property
    def entry(self):
        """`Entry`, or `None` if no picture reaches a convolution."""
        return _entry(self.ran[1], *self.family)

    @cached_property
    def ending(self):
        """What the last layer makes of its sums: `"softmax"`, `"sigmoid"`, `"linear"` or another activation's name."""
        return _ending(self.shown, self.outputs)


def _told(outputs):
    return [np.asarray(keras.ops.convert_to_numpy(each), "float32") for each in keras.tree.flatten(outputs)]


def _apart(outputs, others):
    """The farthest way between outputs of the same rows; the others may be of the first rows alone."""
    pairs = zip(_told(outputs), _told(others), strict=True)
    return max(float(np.max(np.abs(a[: len(b)] - b), initial=0)) for a, b in pairs)


def leaves(model):
    """All layers of a model that have no layers in them."""
    return [layer for layer in model._flatten_layers(include_self=False) if len(list(layer._flatten_layers())) == 1]


def kernels(layers):
    """The weights of layers that are matrices or more."""
    return [v for layer in layers for v in layer.weights if len(v.shape) >= 2]


def batchnorms(layers):
    """The BatchNorm layers among layers."""
    return [layer for layer in layers if isinstance(layer, keras.layers.BatchNormalization)]


def learned(layers):
    """Whether layers have seen data: a bias that is not 0, or statistics that are not 0 and 1."""
    for layer in layers:
        for v in layer.weights:
            start = {"bias": 0, "beta": 0, "moving_mean": 0, "gamma": 1, "moving_variance": 1}.get(v.name)
            if start is not None and np.any(keras.ops.convert_to_numpy(v) != start):
                return True
    return False


def called_for_inference(model):
    """Whether a model in the model was called with `training=False`: nobody does that to one that is to learn anew."""
    inner = [each for each in model._flatten_layers(include_self=False) if isinstance(each, keras.Model)]
    return any(node.arguments.kwargs.get("training") is False for each in inner for node in each._inbound_nodes)


def deaf(model, backbone):
    """Models in a model that hold layers of its backbone and say trainable, while none of their kernels is.

    `trainable = True` may then be skipped, as the flag is true already. A Sequential that was frozen as a whole is
    so after `load_model`, for its own flag is not in the file.
    """
    own = {id(v) for v in kernels(backbone)}
    inner = [each for each in model._flatten_layers(include_self=False) if isinstance(each, keras.Model)]
    held = [(each, kernels(leaves(each))) for each in inner if each.trainable]
    return [each for each, mine in held if own & {id(v) for v in mine} and not any(v.trainable for v in mine)]


def _backbone(model, fine_tuning):
    """A model in the model; or the layers that bear a family's names; or all but the last, if some are frozen."""
    every = leaves(model)
    weighted = [layer for layer in every if kernels([layer])]
    inner = [each for each in model._flatten_layers(include_self=False) if isinstance(each, keras.Model)]
    fitting = [(len(kernels(leaves(each))), -i, each) for i, each in enumerate(inner) if _is_backbone(each, weighted)]
    if fitting:
        return leaves(max(fitting, key=lambda f: f[:2])[2])
    if _family(every)[0]:
        return [layer for layer in every if "_pointwise_conv" in layer.name or not _is_flat(layer)]
    frozen = [layer for layer in weighted if not layer.trainable]
    if len(weighted) > 1 and (fine_tuning or 0 < len(frozen) < len(weighted)):
        return [layer for layer in every if not _is_last(layer, model)]
    return []


def _is_flat(layer):
    """Whether a layer of a flat model comes after the last feature map; ConvNeXt's Dense layers do not."""
    made = [tensor for node in layer._inbound_nodes[:1] for tensor in node.output_tensors]
    return isinstance(layer, keras.layers.Dense) or (bool(layer.weights) and any(len(t.shape) < 4 for t in made))


def _is_backbone(inner, weighted):
    own = [layer for layer in leaves(inner) if kernels([layer])]
    deep = any(len(v.shape) > 2 for v in kernels(own)) or any("embedding" in v.path for v in kernels(own))
    return deep and 2 <= len(own) < len(weighted)


def _is_last(layer, model):
    tail = getattr(model, "outputs", None)
    if tail:
        return layer.name == _final(model).name
    return isinstance(layer, keras.layers.Dense)


def _family(layers):
    names = {layer.name for layer in layers}
    for family, pattern, takes in _FAMILIES:
        if any(re.search(pattern, name) for name in names):
            return family, takes
    return None, None


def _entry(seen, family, takes):
    """Go back from the first convolution to where the published backbone begins."""
    if not seen or getattr(seen[-1][1], "ndim", 0) != 4:
        return None
    at = len(seen) - 1
    while at and isinstance(seen[at - 1][0], keras.layers.ZeroPadding2D):
        at -= 1
    if takes is None or not takes.startswith("own"):
        return Entry(family, takes, seen[at][1])
    begin = at
    while begin and isinstance(seen[begin - 1][0], _OWN):
        begin -= 1
        whole = isinstance(seen[begin][0], keras.layers.Rescaling) and np.ndim(seen[begin][0].scale) == 0
        if whole or family == "ConvNeXt":
            return Entry(family, "raw", seen[begin][1])
    return Entry(family, takes.removeprefix("own").strip() or None, seen[at][1])


def _peak(optimizer):
    schedule = getattr(optimizer, "_learning_rate", None)
    if isinstance(schedule, keras.optimizers.schedules.LearningRateSchedule):
        return max(float(schedule(step)) for step in (0, 1, 10, 100, 1000, 3000, 10_000))
    return float(keras.ops.convert_to_numpy(optimizer.learning_rate))


def _run(model, x, stop):
    """Run a model and note what enters each layer until one of some has been reached.

    A layer's `call` is an attribute of its class; for the time of this run another of the same name stands on
    the object and before it. It is taken away afterwards.
    """
    seen, watched = [], leaves(model)

    def watch(layer, call):
        def noted(*args, **kwargs):
            if args and not (seen and id(seen[-1][0]) in stop) and hasattr(args[0], "shape"):
                seen.append((layer, np.asarray(keras.ops.convert_to_numpy(args[0]))))
            return call(*args, **kwargs)

        return noted

    try:
        for layer in watched:
            object.__setattr__(layer, "call", watch(layer, layer.call))
        return model(x, training=False), seen
    finally:
        for layer in watched:
            layer.__dict__.pop("call", None)


def _final(model):
    """The layer or operation that gives a functional model's output."""
    last = model.outputs[0]._keras_history.operation
    while isinstance(last, keras.Model) and getattr(last, "outputs", None):
        last = last.outputs[0]._keras_history.operation
    return last


def _ending(model, outputs):
    if getattr(model, "outputs", None):
        last = _final(model)
        told = getattr(last, "activation", None)
        name = getattr(told, "__name__", type(told).__name__ if told is not None else type(last).__name__).lower()
        if name in ("softmax", "sigmoid", "relu", "tanh") or (
            name == "linear" and isinstance(last, keras.layers.Dense)
        ):
            return name
    if outputs is None:
        return None
    if outputs.shape[-1] > 1 and np.all(outputs >= 0) and np.allclose(outputs.sum(-1), 1, atol=1e-3):
        return "softmax"
    if np.all((outputs >= 0) & (outputs <= 1)) and outputs.shape[-1] <= 1 and len(outputs) < 8:
        return None  # too few to tell a sigmoid from sums that happen to lie there
    return "sigmoid" if np.all((outputs >= 0) & (outputs <= 1)) else "linear"
