"""Count what a network costs: multiply-adds of each operation for one picture, from the shapes alone."""

import numpy as np

from tlteach._stages import find_stages, operations_of


def multiply_adds(op):
    """Count the multiply-adds of one operation for one picture; what has no kernel counts as nothing.

    Args:
        op: An operation of a flat model whose heights and widths are known.
    """
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
        Dict from stage name to multiply-adds, input first.
    """
    operations = {op.name: op for op in operations_of(model)}
    return {stage: sum(multiply_adds(operations[n]) for n in names) for stage, names in find_stages(model).items()}
