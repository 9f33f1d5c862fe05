"""Freezing: which stages may move, and the proof that the others did not."""

import contextlib
import hashlib

import keras
import numpy as np
import pandas as pd

from tlteach._stages import HEAD, find_stages, layers_within


def freeze(model, train=(HEAD,)):
    """Freeze a flat model but for some stages.

    Each layer is set by itself, and every BatchNorm layer stays frozen: in
    Keras 3.15 and before, calling a backbone with `training=False` does not
    keep its moving statistics still during `fit` once it is trainable again.

    Args:
        model: A flat model from `load_backbone` or `attach_head`, or any flat Keras model.
        train: Names of the stages that may move; `"all"` for every one.

    Returns:
        The variables that may move, a list of `keras.Variable`.

    Raises:
        ValueError: If a stage is unknown, or nothing is left to train.

    Side effects:
        Sets `trainable` on every layer. Compile afterwards: a compiled model
        keeps training what it knew before.

    Example:
        >>> import tlteach as tl
        >>> model = tl.attach_head(tl.load_backbone("vgg16", "mini"), 2)
        >>> len(tl.freeze(model, ["block5", "head"]))
        8

    Reference:
        Lesson 03; Howard and Ruder 2018.
    """
    chosen = _operations_of(model, train)
    model.trainable = True
    for layer in model.layers:
        layer.trainable = layer.name in chosen and not _is_batchnorm(layer)
    expected = [v for layer in model.layers if layer.trainable for v in layer.trainable_variables]
    _check_count(model, expected, train)
    return expected


def _operations_of(model, train):
    stages = find_stages(model)
    train = list(stages) if train in ("all", ["all"], ("all",)) else list(train)
    unknown = [stage for stage in train if stage not in stages]
    if unknown:
        raise ValueError(f"stage must be one of {', '.join(stages)}. Received: {unknown[0]!r}.")
    return {name for stage in train for name in stages[stage]}


def _is_batchnorm(layer):
    return isinstance(layer, keras.layers.BatchNormalization)


def _check_count(model, expected, train):
    if not expected:
        raise ValueError(f"a phase must train something. Received: {list(train)}, stages without trainable weights.")
    found = {id(v) for v in model.trainable_variables}
    if found != {id(v) for v in expected}:
        raise RuntimeError(
            f"the model must have {len(expected)} trainable variables, those of {list(train)}. Received: {len(found)}."
        )


def freeze_batchnorm(model):
    """Set every BatchNorm layer of a flat model to `trainable=False`.

    Args:
        model: A flat Keras model.
    """
    for layer in model.layers:
        if _is_batchnorm(layer):
            layer.trainable = False


@contextlib.contextmanager
def frozen_dropout_off(model, train):
    """Switch off the dropout of what is frozen for a while: frozen means as in inference.

    EfficientNet drops whole blocks in training, frozen or not; what is computed once
    cannot, and a phase must not depend on where the model was cut.

    Args:
        model: A flat Keras model.
        train: Names of the stages that may move.
    """
    chosen = _operations_of(model, train)
    frozen = [inner for layer in model.layers if layer.name not in chosen for inner in layers_within(layer)]
    off = [(y, y.rate) for y in frozen if isinstance(y, keras.layers.Dropout)]
    for layer, _ in off:
        layer.rate = 0.0
    try:
        yield
    finally:
        for layer, rate in off:
            layer.rate = rate


class Proof:
    """Remembers a model's variables, to show afterwards which of them moved.

    Args:
        model: A flat Keras model, frozen as the phase wants it.
        expected: The variables that may move.
    """

    def __init__(self, model, expected):
        self.model = model
        self.may_move = {id(v) for v in expected}
        # weights, not variables: the state of a random generator (dropout, augmentation) may move
        self.before = {id(v): _digest(v) for v in model.weights}

    def check(self):
        """Raise if a frozen variable moved, or a stage that should have been trained did not.

        Raises:
            RuntimeError: Naming the variables.
        """
        moved = {id(v) for v in self.model.weights if self.before.get(id(v)) != _digest(v)}
        wrong = [v.path for v in self.model.weights if id(v) in moved - self.may_move]
        if wrong:
            raise RuntimeError(f"frozen variables must not move. Received: {len(wrong)} that did: {_name(wrong)}.")
        idle = [stage for stage, own in self._by_stage().items() if own and not own & moved]
        if idle:
            raise RuntimeError(f"each stage of a phase must be trained. Received: nothing moved in {', '.join(idle)}.")

    def _by_stage(self):
        return {
            stage: {id(v) for layer in layers for v in layer.trainable_variables if id(v) in self.may_move}
            for stage, layers in _layers_by_stage(self.model).items()
        }


def _layers_by_stage(model):
    layers = {layer.name: layer for layer in model.layers}
    return {stage: [layers[n] for n in names if n in layers] for stage, names in find_stages(model).items()}


def _digest(variable):
    return hashlib.blake2b(np.ascontiguousarray(keras.ops.convert_to_numpy(variable)), digest_size=16).digest()


def _name(paths):
    return ", ".join(paths[:5]) + (f" and {len(paths) - 5} more" if len(paths) > 5 else "")


def trainable_table(model, reference=None):
    """Tell stage by stage what a model may train, and how far it has moved.

    Args:
        model: A flat Keras model.
        reference: Earlier `model.get_weights()`, to measure the way from there.

    Returns:
        `pandas.DataFrame` with a row a stage: parameters, trainable parameters,
        BatchNorm layers, and `moved`: the relative distance
        `|now - then| / |then|` of all its weights together, if there is a reference.

    Example:
        >>> import tlteach as tl
        >>> model = tl.attach_head(tl.load_backbone("vgg16", "mini"), 2)
        >>> _ = tl.freeze(model, ["head"])
        >>> tl.trainable_table(model).loc["head", "trainable"]
        np.int64(258)
    """
    rows = {stage: _describe(layers) for stage, layers in _layers_by_stage(model).items()}
    table = pd.DataFrame.from_dict(rows, orient="index")
    table.index.name = "stage"
    if reference is not None:
        table["moved"] = _moved(model, reference)
    return table


def _describe(layers):
    return {
        "parameters": sum(layer.count_params() for layer in layers),
        "trainable": sum(int(np.prod(v.shape)) for layer in layers for v in layer.trainable_variables),
        "batchnorm": sum(_is_batchnorm(layer) for layer in layers),
    }


def _moved(model, reference):
    then = {id(v): array for v, array in zip(model.weights, reference, strict=True)}
    moved = {}
    for stage, layers in _layers_by_stage(model).items():
        pairs = [(keras.ops.convert_to_numpy(v), then[id(v)]) for layer in layers for v in layer.weights]
        way = sum(float(((now - old) ** 2).sum()) for now, old in pairs)
        length = sum(float((old**2).sum()) for _, old in pairs)
        moved[stage] = (way / length) ** 0.5 if length else 0.0
    return pd.Series(moved)
