"""Keeps float units behind int8 ones in the layout in which ONNX Runtime computes float convolutions.

On x86 its NchwcTransformer keeps tensors between float convolutions in blocks of channels (NCHWc). An Add
takes part, and a convolution computes it along the way, where both of its inputs are in that layout. What a
DequantizeLinear writes never is. So the Add leaves the layout, and so does each that adds to its sum, up to
the end of a ResNet's stage: units that no switch is near take up to three times as long. A pool does take
what is not in the layout, and writes what is. An average over one element is that element.
"""

from collections.abc import Collection, Mapping, Sequence

import onnx
from onnx import TensorProto, helper

from profiling.graph.unit_graph import ModelGraph
from profiling.onnx_io.input_shapes import dimensions
from profiling.onnx_io.subgraphs import all_inputs
from profiling.quantization.qdq_model import QUANTIZED_SUFFIX, Scheme

_CHANNELS = 16  # a block has 16, or 8 without AVX-512: of 16, blocks of both sizes are full
_RANK = 4  # [batch, channels, height, width]
_POOL, _SUFFIX = "AveragePool", "_Blocked"
# They write the layout in which they read.
_KEEPING = frozenset({"Relu", "Sigmoid", "HardSigmoid", "Tanh", "MaxPool", _POOL})
_OF_CONVOLUTIONS = frozenset({"Clip", "LeakyRelu"})  # they do where a convolution computes them, too


def is_layout_pool(node: onnx.NodeProto) -> bool:
    """Return whether `keep_blocked_layout` added a node."""
    return node.op_type == _POOL and node.name.endswith(_SUFFIX)


def keep_blocked_layout(mixed: onnx.ModelProto, graph: ModelGraph, schemes: Mapping[int, Scheme]) -> None:
    """Put a pool over one element in front of float Adds of a convolution and a dequantized tensor, in place.

    Float convolutions that read the same tensor read the pool, too, so that it is brought into the layout
    once. Sums are those of the float model then, which may round otherwise than those of the Add.

    Parameters
    ----------
    mixed
        `graph.model` with units quantized.
    schemes
        Index of each quantized unit -> its scheme. A tensor gets a pool if those of all quantized units that
        read or write it ask for the layout.
    """
    integers = {f"{name}{QUANTIZED_SUFFIX}": name for name in _tensors(graph, schemes)}
    if not integers:
        return
    quantized = {node for index in schemes for node in graph.units[index].nodes}
    nodes = [node for node in mixed.graph.node if node.name not in quantized]
    dequantized = {
        node.output[0]: integers[node.input[0]]
        for node in nodes
        if node.op_type == "DequantizeLinear" and node.input[0] in integers
    }
    values = (*graph.model.graph.input, *graph.model.graph.value_info, *graph.model.graph.output)
    shapes = {value.name: dimensions(value) for value in values}
    weights = {tensor.name: tuple(tensor.dims) for tensor in mixed.graph.initializer}
    additions = _additions(nodes, dequantized, shapes, weights)
    wanted = {name for node in additions for name in node.input if name in dequantized}
    pools: dict[str, onnx.NodeProto] = {}
    for name in sorted(wanted):
        pool = helper.make_node(_POOL, [name], [f"{name}{_SUFFIX}"], f"{name}{_SUFFIX}", kernel_shape=[1, 1])
        pools[dequantized[name]] = pool
        mixed.graph.value_info.append(
            helper.make_tensor_value_info(pool.output[0], TensorProto.FLOAT, shapes[dequantized[name]])
        )
    for node in (*additions, *(node for node in nodes if node.op_type == "Conv")):
        for position, name in enumerate(node.input):
            if (pooled := dequantized.get(name)) in pools:
                node.input[position] = pools[pooled].output[0]
    _insert(mixed.graph, pools, dequantized)


def _tensors(graph: ModelGraph, schemes: Mapping[int, Scheme]) -> set[str]:
    """Return the quantized tensors that every unit that quantizes them wants in the layout."""
    wants: dict[str, bool] = {}
    for index, scheme in schemes.items():
        if scheme.precision.is_static:
            for name in graph.tensors_quantized_with(index):
                wants[name] = wants.get(name, True) and scheme.blocked_layout
    return {name for name, wanted in wants.items() if wanted}


def _additions(
    nodes: Sequence[onnx.NodeProto],
    dequantized: Mapping[str, str],
    shapes: Mapping[str, tuple[int | None, ...]],
    weights: Mapping[str, Sequence[int]],
) -> list[onnx.NodeProto]:
    """Return the Adds of a tensor in the layout and a dequantized one.

    Parameters
    ----------
    nodes
        In topological order, without those that compute on integers.
    dequantized
        Name of a dequantized tensor -> that of the same in the float model.
    weights
        Constant -> its shape.
    """
    blocked, convolved, found = set[str](), set[str](), list[onnx.NodeProto]()
    for node in nodes:
        if not node.output or not _is_in_blocks(shapes.get(node.output[0], ())):
            continue
        if node.op_type == "Conv" and _has_full_groups(node, weights):
            convolved.add(node.output[0])
            blocked.add(node.output[0])
        elif _keeps(node, blocked, convolved):
            blocked.add(node.output[0])
        elif node.op_type == "Add" and not blocked.isdisjoint(node.input):
            others = [name for name in node.input if name not in blocked]
            sizes = {shapes.get(dequantized.get(name, name)) for name in (*node.input, *node.output)}
            if len(sizes) == 1 and all(name in dequantized for name in others):
                blocked.add(node.output[0])
                found += [node] if others else []
    return found


def _is_in_blocks(shape: Sequence[int | None]) -> bool:
    """Return whether a tensor of a shape fills blocks of channels."""
    if len(shape) != _RANK or not all(shape):
        return False
    channels = shape[1]
    return channels is not None and channels % _CHANNELS == 0


def _has_full_groups(convolution: onnx.NodeProto, weights: Mapping[str, Sequence[int]]) -> bool:
    """Return whether a convolution's weight is a constant, with groups of one channel or of full blocks."""
    weight = weights.get(convolution.input[1])
    if weight is None:
        return False
    groups = next((attribute.i for attribute in convolution.attribute if attribute.name == "group"), 1)
    of_group = (weight[0] // groups, weight[1])
    return groups == 1 or of_group == (1, 1) or all(channels % _CHANNELS == 0 for channels in of_group)


def _keeps(node: onnx.NodeProto, blocked: Collection[str], convolved: Collection[str]) -> bool:
    if node.op_type in _OF_CONVOLUTIONS:
        return node.input[0] in convolved
    return node.op_type in _KEEPING and node.input[0] in blocked


def _insert(
    graph: onnx.GraphProto, pools: Mapping[str, onnx.NodeProto], dequantized: Mapping[str, str]
) -> None:
    """Put pools behind what they read, and drop what dequantizes their tensors for nothing that is left."""
    behind = {pool.input[0]: pool for pool in pools.values()}
    read = {name for node in graph.node for name in all_inputs(node)} | {out.name for out in graph.output}
    nodes = []
    for node in graph.node:
        name = node.output[0] if node.output else ""
        if name in read or name in behind or dequantized.get(name) not in pools:
            nodes.append(node)
        if name in behind:
            nodes.append(behind[name])
    del graph.node[:]
    graph.node.extend(nodes)
