"""How much a model computes, which says how many samples its noise can be measured on."""

import numpy as np
import onnx

from profiling.graph.unit_graph import ModelGraph

_CONVOLUTIONS = frozenset({"Conv", "ConvTranspose"})
_PRODUCTS = frozenset({"Gemm", "MatMul"})


def multiplications(graph: ModelGraph) -> int:
    """Return the multiplications of convolutions and matrix products, outside nested graphs, per sample."""
    return sum(multiplications_by_unit(graph))


def multiplications_by_unit(graph: ModelGraph) -> list[int]:
    """Return the multiplications of each unit, counted as `multiplications` does."""
    weights = {tensor.name: tuple(tensor.dims) for tensor in graph.model.graph.initializer}
    shapes = {name: tensor.shape for name, tensor in graph.tensors.items()} | weights
    nodes = {node.name: node for node in graph.model.graph.node}
    return [sum(_of_node(nodes[name], shapes) for name in unit.nodes) for unit in graph.units]


def _of_node(node: onnx.NodeProto, shapes: dict[str, tuple[int, ...]]) -> int:
    if node.op_type in _CONVOLUTIONS:
        # Every number of the output (of the input, if transposed) meets the weights of one channel.
        end = node.output[0] if node.op_type == "Conv" else node.input[0]
        return _size(shapes[end]) * _size(shapes[node.input[1]][1:])
    if node.op_type in _PRODUCTS:
        return _size(shapes[node.output[0]]) * _summed(node, shapes[node.input[0]])
    return 0


def _summed(node: onnx.NodeProto, left: tuple[int, ...]) -> int:
    transposed = any(a.name == "transA" and a.i for a in node.attribute)
    return (left or (1,))[0 if transposed else -1]


def _size(shape: tuple[int, ...]) -> int:
    return int(np.prod(shape, dtype=np.int64))
