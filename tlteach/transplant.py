"""Transplant: a backbone's first stages with what they learned, and the rest as if it had learned nothing."""

import numbers

import keras

from tlteach.backbones import Backbone
from tlteach.freezing import freeze_batchnorm


def keep_stages(backbone, stages, *, initializer=None):
    """Copy a backbone, and keep what it learned in its first stages alone: the others begin at random.

    So one asks how far the source's knowledge is of use, stage by stage: put a head on it, freeze the kept
    stages or fine-tune them too, train the rest, and draw accuracy over their number. With none kept it is
    the random twin, with all a plain copy.

    What begins at random is drawn from Keras' global random state: call
    `keras.utils.set_random_seed` before. A BatchNorm layer among it begins with mean 0, variance 1, scale 1
    and shift 0, and `fine_tune` leaves it there, as it does every BatchNorm layer: deep ResNets without the
    statistics of any data are hard to train. `BatchNormStatistics` can measure them first.

    Args:
        backbone: A `Backbone`.
        stages: How many are kept, counted from the input: 0 to all of them.
        initializer: Name of a Keras initialiser for the kernels that begin at random, such as `"he_normal"`, which
            lets a deep network without BatchNorm (VGG16) be trained; each layer's own if `None`.

    Returns:
        A new `Backbone` of the same layers, stages and names; the given one is left as it was.

    Raises:
        ValueError: If there are not so many stages.

    Example:
        >>> import tlteach as tl
        >>> vgg = tl.load_backbone("vgg16", "mini")
        >>> tl.keep_stages(vgg, 2).weights
        'photographs of 191 classes, shipped; random after block2'

    Reference:
        Yosinski et al. 2014, How transferable are features in deep neural networks?; lesson 08.
    """
    names = list(backbone.stages)
    if not isinstance(stages, numbers.Integral) or not 0 <= stages <= len(names):
        raise ValueError(f"stages must be 0 to {len(names)} for {backbone.name}. Received: {stages!r}.")
    anew = {op for stage in names[stages:] for op in backbone.stages[stage]}
    model = keras.models.clone_model(backbone.model)
    for layer in backbone.model.layers:
        if layer.weights and layer.name not in anew:
            model.get_layer(layer.name).set_weights(layer.get_weights())
        elif initializer is not None:
            _draw_kernels(model.get_layer(layer.name), initializer)
    freeze_batchnorm(model)
    if hasattr(backbone.model, "tokenizer"):
        model.tokenizer = backbone.model.tokenizer
    told = f"; random after {names[stages - 1]}" if stages else "; random in every stage"
    weights = backbone.weights + (told if stages < len(names) else "")
    return Backbone(backbone.name, backbone.size, model, backbone.input_size, weights)


def _draw_kernels(layer, initializer):
    for variable in layer.weights:
        if variable.path.endswith("kernel"):
            draw = keras.initializers.get(initializer)  # one for each: an initialiser draws the same at every call
            variable.assign(draw(variable.shape, dtype=variable.dtype))
