"""Keeps weighted nodes in float where a plan says so, against the runtime's own quantization of weights.

Between a DequantizeLinear and a QuantizeLinear, ONNX Runtime (since 1.21, its pass WeightBiasQuantization)
turns the float weight of a Conv, ConvTranspose or Gemm into int8 with one scale for the whole tensor, which
can cost more accuracy than all planned quantization together. It does so only where the input has one
scale; a DequantizeLinear with the same scale once per channel gives the same numbers and is left alone.
"""

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from profiling.scopes import reads

# A MatMul with a bias behind it becomes a Gemm.
_WEIGHTED = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})


def keep_float(
    model: onnx.ModelProto, quantized: Collection[str], shapes: Mapping[str, Sequence[int]]
) -> None:
    """Let weighted nodes outside `quantized` read what was quantized through scales per channel, in place.

    Parameters
    ----------
    quantized
        Names of nodes that compute in int8.
    shapes
        Of the tensors that a quantization tool gave a QuantizeLinear, by the name of its output.
    """
    graph = model.graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    dequantizers = {
        node.output[0]: node
        for node in graph.node
        if node.op_type == "DequantizeLinear" and node.input[0] in shapes
    }
    guarded: dict[str, onnx.NodeProto] = {}
    for node in graph.node:
        if node.op_type not in _WEIGHTED or node.name in quantized or node.input[0] not in dequantizers:
            continue
        weight = constants.get(node.input[1])
        if weight is None or weight.data_type != TensorProto.FLOAT:
            continue
        dequantizer = dequantizers[node.input[0]]
        shape = shapes[dequantizer.input[0]]
        axis = next((i for i, size in enumerate(shape) if size > 1), None)
        if axis is None:
            continue
        if node.input[0] not in guarded:
            guarded[node.input[0]] = _per_channel(graph, dequantizer, constants, axis, shape[axis])
        node.input[0] = guarded[node.input[0]].output[0]
    _place(graph, guarded)


def _per_channel(
    graph: onnx.GraphProto,
    dequantizer: onnx.NodeProto,
    constants: Mapping[str, TensorProto],
    axis: int,
    size: int,
) -> onnx.NodeProto:
    """Return a DequantizeLinear with the same scale and zero point for each of `size` channels."""
    names = []
    for name in dequantizer.input[1:]:
        names.append(f"{name}_x{size}")
        if all(tensor.name != names[-1] for tensor in graph.initializer):
            value = numpy_helper.to_array(constants[name])
            graph.initializer.append(numpy_helper.from_array(np.full(size, value), names[-1]))
    output = f"{dequantizer.output[0]}_PerChannel"
    inputs = [dequantizer.input[0], *names]
    return helper.make_node("DequantizeLinear", inputs, [output], f"{dequantizer.name}_PerChannel", axis=axis)


def _place(graph: onnx.GraphProto, guarded: Mapping[str, onnx.NodeProto]) -> None:
    """Put each new node behind the one that it stands beside, which goes if nothing reads it any more."""
    read = {name for node in graph.node for name in reads(node)} | {out.name for out in graph.output}
    nodes = []
    for node in graph.node:
        twin = guarded.get(node.output[0]) if node.output else None
        if twin is None or node.output[0] in read:
            nodes.append(node)
        if twin is not None:
            nodes.append(twin)
    del graph.node[:]
    graph.node.extend(nodes)
