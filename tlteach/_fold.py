"""Fold BatchNorm into the layer before it: in inference it only scales and shifts, which that layer can do itself."""

from collections import Counter

import keras
import numpy as np

from tlteach._stages import sources

_LAYERS = keras.layers
_TAKERS = (_LAYERS.Conv2D, _LAYERS.DepthwiseConv2D, _LAYERS.SeparableConv2D, _LAYERS.Dense)


class Folded:
    """A model's outputs to rounding, in inference only, with fewer operations.

    Layers that take a BatchNorm in are copies, and so is every layer where
    another precision is asked for; `update` gives the copies their weights.
    All other layers are the model's own.

    Attributes:
        model: A `keras.Model` with the input and output of the one folded; that one itself
            where there is nothing to fold.
    """

    def __init__(self, model, *, dtype=None):
        self._norms = foldable(model)
        self._sources = {layer.name: layer for layer in model.layers}
        self._copies, self._dtype = {}, dtype
        self.model = self._rebuilt(model) if self._norms or dtype else model

    def update(self):
        """Take over the weights that the folded model has now.

        Raises:
            ValueError: If one is infinite or no number: a fused ReLU would make 0 of it and hide it.
        """
        for name, copy in self._copies.items():
            layer, norm = self._sources.get(name), self._norms.get(name)
            if layer is not None and layer.weights:
                copy.set_weights(_finite(layer.name, _with(layer, norm) if norm else layer.get_weights()))

    def _rebuilt(self, model):
        outputs, absorbed = {}, {norm.name for norm in self._norms.values()}

        def call(op, *args, **kwargs):
            outputs[op.name] = args[0] if op.name in absorbed else self._copy(op)(*args, **kwargs)
            return outputs[op.name]

        pixels = keras.Input(batch_shape=model.input.shape, dtype=model.input.dtype)
        keras.models.clone_model(model, input_tensors=pixels, clone_function=lambda layer: layer, call_function=call)
        output = outputs[model.output._keras_history.operation.name]
        return keras.Model(pixels, keras.ops.cast(output, "float32") if self._dtype else output)

    def _copy(self, op):
        config = op.get_config() if self._dtype or op.name in self._norms else {}
        if op.name not in self._norms and "dtype" not in config:
            return op
        if op.name not in self._copies:
            own = {"use_bias": True} if op.name in self._norms else {}
            own |= {"dtype": self._dtype} if self._dtype else {}
            self._copies[op.name] = type(op).from_config({**config, **own})
        return self._copies[op.name]


def foldable(model):
    """Find the layers of a flat model that can take in the BatchNorm after them.

    That is so where the layer is linear and runs once, and nothing else reads
    it. Networks that normalise before they convolve (ResNetV2, DenseNet) keep
    most of theirs.

    Args:
        model: A flat functional `keras.Model`.

    Returns:
        Dict from a layer's name to the BatchNorm layer that reads it.
    """
    read = {op.name: sources(model, op) for op in model.operations}
    readers = Counter(name for names in read.values() for name in names)
    readers[model.output._keras_history.operation.name] += 1
    layers = {op.name: op for op in model.operations}
    found = {}
    for name, before in read.items():
        if len(before) == 1 and _takes(layers[before[0]], layers[name]):
            once = readers[before[0]] == 1 and len(read[before[0]]) == 1
            found |= {before[0]: layers[name]} if once else {}
    return found


def _takes(layer, norm):
    if type(norm) is not _LAYERS.BatchNormalization or type(layer) not in _TAKERS:
        return False
    last = norm.axis in (-1, len(layer.output.shape) - 1) and getattr(layer, "data_format", "channels_last")[-1] == "t"
    return last and layer.activation is keras.activations.linear


def _with(layer, norm):
    """Kernels and bias of a layer that does what the layer and the BatchNorm after it do."""
    mean, variance = (np.asarray(w, "float64") for w in (norm.moving_mean, norm.moving_variance))
    scale = (np.asarray(norm.gamma, "float64") if norm.scale else 1.0) / np.sqrt(variance + norm.epsilon)
    shift = np.asarray(norm.beta, "float64") if norm.center else 0.0
    *before, kernel = layer.get_weights()[:-1] if layer.use_bias else layer.get_weights()
    bias = layer.get_weights()[-1] if layer.use_bias else 0.0
    channels = kernel.shape[2:] if isinstance(layer, _LAYERS.DepthwiseConv2D) else kernel.shape[-1:]
    return [*before, kernel * scale.reshape(channels), (bias - mean) * scale + shift]


def _finite(name, weights):
    if not all(np.isfinite(w).all() for w in weights):
        raise ValueError(
            f"weights must be finite. Received: values that are not in {name!r}; "
            "a model that diverged is trained anew with a lower learning rate."
        )
    return weights
