"""What stands before a network of pictures: resizing, and its family's own preprocessing of pixels."""

import keras

from tlteach._pooling import named

# What each family's `preprocess_input` does, as (flip to BGR, scale, offset): the published
# networks were trained on pixels in these ranges, and on no others.
_CAFFE = (True, 1.0, [-103.939, -116.779, -123.68])
_MINUS_ONE_TO_ONE = (False, 1 / 127.5, -1.0)
_STANDARDISED = (
    False,
    [1 / (255 * s) for s in (0.229, 0.224, 0.225)],
    [-m / s for m, s in zip((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), strict=True)],
)
_EFFICIENTNET = [s**-0.5 for s in (0.229, 0.224, 0.225)]
_PREPROCESSING = {"caffe": _CAFFE, "tf": _MINUS_ONE_TO_ONE, "torch": _STANDARDISED, "none": None}


def flatten(plain, preprocessing, input_size):
    """Put resizing and preprocessing before a network, all in one flat graph.

    The resizing is an operation and not a `Resizing` layer: with that layer in
    a model, Keras runs BatchNorm in training mode when `model(x)` is called
    without `training=`.

    Args:
        plain: A Keras application without its top.
        preprocessing: `"caffe"`, `"tf"`, `"torch"` or `"none"`.
        input_size: `(height, width)` in pixels.
    """
    pixels = keras.Input((None, None, 3), name="pixels")
    x = named(keras.ops.image.resize(pixels, input_size, antialias=True), "resize")
    outputs, unscaled = {}, _unscaled(plain)

    def call(layer, *args, **kwargs):
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False
        x = layer(*args, **kwargs)
        outputs[layer.name] = _as_published(x) if layer.name in unscaled else x
        return outputs[layer.name]

    keras.models.clone_model(plain, input_tensors=_preprocess(x, preprocessing), call_function=call)
    model = keras.Model(pixels, outputs[plain.output._keras_history.operation.name], name=plain.name)
    for layer in plain.layers:
        if layer.weights:
            model.get_layer(layer.name).set_weights(layer.get_weights())
    return model


def _unscaled(plain):
    """Name what EfficientNet's published weights expect scaled, which Keras does only where it fetches them itself."""
    kinds = [type(layer) for layer in plain.layers[:4]]
    if not plain.name.startswith("efficientnetb") or kinds.count(keras.layers.Rescaling) != 1:
        return []
    return [layer.name for layer in plain.layers if isinstance(layer, keras.layers.Normalization)]


def _as_published(x):
    return keras.layers.Rescaling(_EFFICIENTNET, name="published_scale")(x)


def _preprocess(x, preprocessing):
    recipe = _PREPROCESSING[preprocessing]
    if recipe is None:  # the network rescales inside (EfficientNet, ConvNeXt, MobileNetV3)
        return x
    flip, scale, offset = recipe
    x = named(keras.ops.flip(x, axis=-1), "flip") if flip else x
    return keras.layers.Rescaling(scale, offset, name="preprocess")(x)
