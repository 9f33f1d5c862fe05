"""Narrow a Keras model: the same layers and names, fewer channels in each."""

import keras


def scale_width(model, factor, *, divisor=8):
    """Rebuild a Keras model with every `filters` multiplied by a factor.

    Layer names and connections stay, so that code written for the full
    network (stages, cuts, freezing) runs unchanged on the narrow one. The new
    weights are random. Not for grouped convolutions, whose `filters` are tied
    to their inputs.

    Args:
        model: A functional `keras.Model`.
        factor: Width factor in (0, 1].
        divisor: Each width is rounded down to a multiple of this, at least one.

    Returns:
        A new `keras.Model` with random weights.

    Reference:
        Howard et al. 2017, MobileNets (the width multiplier).
    """
    config = model.get_config()
    for layer in config["layers"]:
        layer.pop("build_config", None)  # it holds the old weights' shapes
        if "filters" in layer["config"]:
            layer["config"]["filters"] = _narrow(layer["config"]["filters"], factor, divisor)
    return keras.Model.from_config(config)


def _narrow(filters, factor, divisor):
    return max(divisor, int(filters * factor) // divisor * divisor)
