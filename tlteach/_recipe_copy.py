"""Copies somebody's model with its flags and values, and puts back what moves where the model itself must be run."""

import contextlib

import keras


@contextlib.contextmanager
def unmoved(model, *, every=False):
    """Put back what moves when a model is run: statistics, if `training=True` is written into it, and seeds.

    In inference no kernel moves by itself. A run as in `fit` may move any weight that is not trained (`every`), such
    as the vectors of `SpectralNormalization`.
    """
    moving = [v for v in model.non_trainable_variables if every or len(v.shape) < 2]
    before = [keras.ops.convert_to_numpy(v).copy() for v in moving]
    try:
        yield
    finally:
        for v, value in zip(moving, before, strict=True):
            v.assign(value)


def copied(model, x):
    """Return another model with the same weights, or `None`."""
    try:
        source, copy = _twin(model, x)
        if {id(v) for v in copy.variables} & {id(v) for v in model.variables}:
            return None  # a configuration that holds the layers themselves
        if [v.shape for v in source.variables] != [v.shape for v in copy.variables] and model.built:
            return None
        return copy
    except Exception:  # layers of one's own may lack get_config, or fail in any other way
        return None


def _twin(model, x):
    if hasattr(model, "operations") or (isinstance(model, keras.Sequential) and model.built and model.inputs):
        source = _plain(model)  # not compiled: only layers are copied
        copy = keras.models.clone_model(source, clone_function=_clone, recursive=True)
        _take_over(source, copy)
        return source, copy
    if isinstance(model, keras.Sequential):
        copy = keras.Sequential([_clone(layer) for layer in model.layers], name=model.name)
        for layer, other in zip(model.layers, copy.layers, strict=True):
            _take_over(layer, other)
    else:
        copy = type(model).from_config(model.get_config())
    copy(x, training=False)
    if not isinstance(model, keras.Sequential) or model.built:
        _take_over(model, copy)
    return model, copy


def _plain(model):
    """The same layers as a functional model; one input stands alone, for Keras warns of a list that gets an array."""
    inputs, outputs = (each[0] if len(each) == 1 else each for each in (model.inputs, model.outputs))
    return keras.Model(inputs, outputs, name=model.name)


def _clone(layer):
    if isinstance(layer, keras.layers.Lambda):  # its configuration would be refused as unsafe code
        return keras.layers.Lambda(layer.function, arguments=layer.arguments, name=layer.name)
    if isinstance(layer, keras.Model) and getattr(layer, "inputs", None):
        return keras.models.clone_model(_plain(layer), clone_function=_clone, recursive=True)
    settings = layer.get_config()
    if isinstance(layer, keras.layers.TextVectorization):  # words that it adapted to are no variables
        settings["vocabulary"] = layer.get_vocabulary(include_special_tokens=False)
    return layer.__class__.from_config(settings)


def _take_over(source, copy):
    """Give a copy the flags and the values, and leave alone what has not been built."""
    pairs = list(zip(source._flatten_layers(), copy._flatten_layers(), strict=True))
    for layer, other in pairs:
        other.trainable = layer.trainable
    for v, w in zip(source.variables, copy.variables, strict=False):
        w.assign(v)
    for layer, other in pairs:
        if isinstance(layer, keras.layers.Normalization) and layer.built:
            other.finalize_state()  # it keeps constants made of its variables
