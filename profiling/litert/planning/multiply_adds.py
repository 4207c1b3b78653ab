"""How much a `.tflite` model computes, which says on how many samples its noise can be measured."""

from math import prod

from profiling.litert.load import LitertModel
from profiling.litert.table_access import tensors_of

_SPATIAL = frozenset({"CONV_2D", "CONV_3D", "DEPTHWISE_CONV_2D"})


def multiplications(model: LitertModel) -> int:
    """Return the multiplications of convolutions and matrix products, outside nested graphs, per sample."""
    return sum(_of_operator(model, number) for number in range(len(model.operators)))


def _of_operator(model: LitertModel, number: int) -> int:
    kind, operator = model.op_types[number], model.operators[number]
    shapes = [model.shape(tensor) for tensor in tensors_of(operator.inputs)]
    written = prod(model.shape(tensors_of(operator.outputs)[0])) if tensors_of(operator.outputs) else 0
    if kind in _SPATIAL:
        # Weights are [out, ..., in], and [1, ..., out] if each channel has its own.
        own = kind == "DEPTHWISE_CONV_2D"
        return written * prod(shapes[1][1:-1] if own else shapes[1][1:])
    if kind == "TRANSPOSE_CONV":  # weights, then the input, behind the output's shape
        return prod(shapes[2]) * prod(shapes[1][:-1])
    if kind == "FULLY_CONNECTED":
        return written * shapes[1][-1]
    if kind == "BATCH_MATMUL":
        return written * shapes[0][-1]
    return 0
