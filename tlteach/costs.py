"""Costs of a network: the multiply-adds of each operation for one picture, from the shapes alone."""

import numpy as np

from tlteach._stages import find_stages, operations_of


def multiply_adds(op):
    """Count the multiply-adds of one operation for one picture; what has no kernel counts as nothing.

    Of a text's layer it is those of its kernels for one word piece: attention's products of two
    word pieces, which grow with the text's length, are left out.

    Args:
        op: An operation of a flat model whose heights and widths are known.
    """
    if hasattr(op, "intermediate_dim"):  # a transformer's layer
        return sum(int(np.prod(v.shape)) for v in op.weights if v.path.endswith("kernel"))
    kernels = [getattr(op, name, None) for name in ("kernel", "depthwise_kernel", "pointwise_kernel")]
    weights = sum(int(np.prod(kernel.shape)) for kernel in kernels if kernel is not None)
    if not weights:
        return 0
    height_width = op.output.shape[1:-1] if len(op.output.shape) == 4 else ()
    return weights * int(np.prod(height_width))


def cost_by_stage(model):
    """Count the multiply-adds of a forward pass, stage by stage, for one picture.

    Args:
        model: A flat model from `load_backbone` or `attach_head`.

    Returns:
        Dict from stage name to multiply-adds, input first. A convolution's are counted
        exactly, what has no kernel (pooling, BatchNorm, activations) not at all.

    Example:
        >>> import tlteach as tl
        >>> cost = tl.cost_by_stage(tl.load_backbone("vgg16", "mini").model)
        >>> cost["block1"]  # (3 + 16) channels in, 16 out, 3 x 3, at 64 x 64 places
        11206656

    Reference:
        Lesson 02.
    """
    operations = {op.name: op for op in operations_of(model)}
    return {stage: sum(multiply_adds(operations[n]) for n in names) for stage, names in find_stages(model).items()}
