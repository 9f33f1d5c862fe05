"""Find the stages of a flat model by its layers' names, and cut it between them.

Everything here works on any flat functional model: the backbone alone, the
backbone with a head, or a model read back from disk.
"""

import logging
import re

import keras

HEAD = "head"
RESIZE = "resize"  # the operation that pictures have already been through when they are read
TOKENS = "tokens"  # the input that texts have become word pieces for

# Every cut and phase is a model of its own, on purpose: TensorFlow's advice against it is not for a learner.
logging.getLogger("tensorflow").addFilter(lambda record: "triggered tf.function retracing" not in record.getMessage())

# The name of a layer says its stage: (pattern, stage). Families are told apart by their words.
_RULES = [
    (r"^(?:pixels|resize|flip|preprocess|tokens)", None),
    (r"^head", HEAD),
    (r"^(?:transformer_)?layer_(\d+)(?:_|$)", lambda m: f"layer_{m[1]}"),  # KerasHub's encoders
    (r"embedding", "embeddings"),
    (r"_downsampling_block_(\d)", lambda m: f"stage{int(m[1]) + 1}"),  # ConvNeXt: it opens the next stage
    (r"_stage_(\d)_", lambda m: f"stage{m[1]}"),
    (r"^block_(\d+)_", lambda m: f"block{m[1]}"),  # MobileNetV2
    (r"^expanded_conv_(\d+)_", lambda m: f"block{m[1]}"),  # MobileNetV3
    (r"^expanded_conv_", "block0"),
    (r"^conv_(?:pad|dw|pw)_(\d+)", lambda m: f"block{m[1]}"),  # MobileNet
    (r"^(block\d+)[a-z]?_", lambda m: m[1]),  # VGG, Xception, EfficientNet
    (r"^(?:Conv_1|conv_1)(?:_|$)", "top"),  # MobileNetV2 and V3
    (r"^(conv\d)(?:_|$)", lambda m: m[1]),  # ResNet, DenseNet
    (r"^(stem|top)_", lambda m: m[1]),
]


def find_stages(model):
    """Name the stages of a flat model.

    A stage is read from the layers' names where they say it (`block5_conv1`,
    `conv4_block6_out`); a layer whose name says nothing belongs to the stage
    before it. Networks whose layers are numbered automatically (the Inceptions,
    NASNet) are divided by the height of their feature maps.

    Args:
        model: A flat functional `keras.Model`.

    Returns:
        Dict from stage name to the names of its operations, from the input to
        the head. What prepares the pixels belongs to no stage.
    """
    named = [(op, _named_stage(op.name)) for op in operations_of(model)]
    body = [(op, stage) for op, stage in named if stage is not None or _is_body(op)]
    return _group(_by_name(body) if _names_tell(body) else _by_resolution(body))


def operations_of(model):
    """The operations of a flat model in order; a `Sequential` model calls them layers."""
    return getattr(model, "operations", model.layers)


def entry_of(model):
    """Name the operation that what is read from a `Split` has been through; `None` in a model of one's own.

    Args:
        model: A flat model from `load_backbone` or `attach_head`, or any other.
    """
    return next((op.name for op in operations_of(model) if op.name in (RESIZE, TOKENS)), None)


def layers_within(layer):
    """Return a layer and all layers in it, such as the dropout of a transformer's layer.

    Args:
        layer: A Keras layer, or an operation, which has none.
    """
    return list(layer._flatten_layers()) if hasattr(layer, "_flatten_layers") else [layer]


def _named_stage(name):
    for pattern, stage in _RULES:
        found = re.search(pattern, name)
        if found:
            return stage(found) if callable(stage) else stage
    return None


def _is_body(op):
    return not re.search(_RULES[0][0], op.name) and not isinstance(op, keras.layers.InputLayer)


def _names_tell(body):
    """Whether nearly all layers with weights have a name that says their stage."""
    weighted = [stage for op, stage in body if getattr(op, "weights", None) and stage != HEAD]
    return sum(stage is not None for stage in weighted) >= 0.75 * len(weighted)


def _by_name(body):
    stage = _opening(body)
    for op, own in body:
        stage = own or stage
        yield op.name, stage


def _opening(body):
    """The stage of what comes first: `stem` if it holds weights, else the first that is named."""
    for op, own in body:
        if own or getattr(op, "weights", None):
            return own or "stem"
    return "stem"


def _by_resolution(body):
    height = None
    for op, own in body:
        shape = op.output.shape
        if own == HEAD:
            yield op.name, HEAD
            continue
        if len(shape) == 4 and shape[1] and shape[1] > 1:
            height = shape[1] if height is None else min(height, shape[1])
        yield op.name, f"res{height}"


def _group(pairs):
    stages = {}
    for name, stage in pairs:
        stages.setdefault(stage, []).append(name)
    return stages


def boundary_before(model, stage):
    """Name the one operation whose output is all that a stage and those after it read.

    Args:
        model: A flat functional model.
        stage: Name of a stage.

    Returns:
        The operation's name, or `None` if more than one tensor crosses, so that
        the model cannot be cut there.
    """
    stages = find_stages(model)
    names = list(stages)
    after = {name for each in names[names.index(stage) :] for name in stages[each]}
    crossing = {name for op in model.operations if op.name in after for name in sources(model, op)} - after
    return crossing.pop() if len(crossing) == 1 else None


def sources(model, op):
    """Name the operations that one operation reads in this model (its layers may serve other models too)."""
    own = {id(node) for nodes in model._nodes_by_depth.values() for node in nodes}
    tensors = [t for node in op._inbound_nodes if id(node) in own for t in node.input_tensors]
    return [tensor._keras_history.operation.name for tensor in tensors]


def tensor_of(model, name):
    """Return the symbolic output of the operation with this name."""
    own = {id(node) for nodes in model._nodes_by_depth.values() for node in nodes}
    op = model.operations[[o.name for o in model.operations].index(name)]
    return next(node.outputs[0] for node in op._inbound_nodes if id(node) in own)


def cut(model, start, *, end=None):
    """Return the part of a model after one operation, sharing its variables.

    Args:
        model: A flat functional model.
        start: Name of the operation whose output becomes the input.
        end: Name of the operation whose output is returned; the model's own
            output if `None`.
    """
    output = model.output if end is None else tensor_of(model, end)
    return keras.Model(tensor_of(model, start), output)
