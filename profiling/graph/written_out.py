"""Operators that a model writes out in several nodes, and that ONNX Runtime computes in one kernel."""

from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

import onnx

from profiling.graph.dataflow import Dataflow
from profiling.onnx_io.external_weights import read_array

# Of the activation x * f(x), which ONNX Runtime computes in one kernel, unless x is dequantized right before:
# Gelu has an Erf, FastGelu a Tanh, QuickGelu a Sigmoid.
_INSIDE_GELU = frozenset({"Add", "Div", "Mul", "Pow", "Sub"})
_OF_GELU = frozenset({"Erf", "Tanh", "Sigmoid"})
_INSIDE_NORMALIZATION = frozenset({"Add", "Pow", "ReduceMean", "Sub"})
_MOST_INSIDE = 8


class _Normalization(NamedTuple):
    """A kind of normalization.

    Parameters
    ----------
    source
        What it normalizes.
    means
        How many it takes.
    steps
        Operators with a constant behind its quotient.
    """

    source: str
    means: int
    steps: tuple[str, ...]


def operators_written_out(flow: Dataflow) -> Iterator[set[str]]:
    """Yield the names of the nodes of each of them; only the last node is read from outside.

    They are the GELU and its like, layer and root-mean-square normalization over the last axis, and a Concat
    of Slices of one tensor, such as a SpaceToDepth.
    """
    for node in flow.nodes.values():
        names = set[str]()
        if node.domain not in ("", "ai.onnx"):
            continue
        if node.op_type in _OF_GELU:
            names = _gelu_around(node, flow)
        elif node.op_type == "Sqrt":
            names = _normalization_around(node, flow)
        elif node.op_type == "Concat":
            names = _slices_before(node, flow)
        if names:
            yield names


def _slices_before(concat: onnx.NodeProto, flow: Dataflow) -> set[str]:
    """Return a Concat and the Slices that give it parts of one tensor; none if they are not all it reads.

    With steps of 2 these are a SpaceToDepth.
    """
    names, sources, left = {concat.name}, set[str](), list(concat.input)
    while left:
        name = left.pop()
        writer = flow.writer.get(name)
        if writer is not None and writer.op_type == "Slice":
            names.add(writer.name)
            left.append(writer.input[0])
        else:
            sources.add(name)
    alone = len(sources) == 1 and not sources & set(concat.input)
    return names if alone and flow.read_inside(names - {concat.name}, names) else set()


def _gelu_around(node: onnx.NodeProto, flow: Dataflow) -> set[str]:
    """Return the nodes of x * f(x) with a node in f; none where something else reads what f computes.

    x may have a constant factor.
    """
    path = [node]
    while len(flow.activations(path[-1])) == 1:
        behind = flow.only_reader(path[-1])
        if behind is None or behind.op_type not in _INSIDE_GELU:
            return set()
        path.append(behind)
    product, names = path[-1], {one.name for one in path}
    written = {one.output[0] for one in path}
    factors = [name for name in flow.activations(product) if name not in written]
    if product.op_type != "Mul" or len(factors) != 1:
        return set()
    if factors[0] in node.input:  # f has no other node: of these only x * sigmoid(x) is one kernel
        return names if node.op_type == "Sigmoid" and flow.read_inside([node.name], names) else set()
    scaled = flow.writer.get(factors[0])
    is_scaled = scaled is not None and scaled.op_type == "Mul"
    for source in (*factors, *(flow.activations(scaled) if scaled is not None and is_scaled else ())):
        found = names | _nodes_between(source, [*node.input, *factors], _INSIDE_GELU, flow)
        if len(found) > len(names) and flow.read_inside(found - {product.name}, found):
            return found
    return set()


def _normalization_around(root: onnx.NodeProto, flow: Dataflow) -> set[str]:
    """Return the nodes of d / sqrt(mean(d^2) + e) * scale + shift with this root; none if it is no such root.

    d is x - mean(x), or x itself; then there is no shift.
    """
    quotient, biased = flow.only_reader(root), flow.writer.get(root.input[0])
    if quotient is None or quotient.op_type != "Div" or quotient.input[1] != root.output[0]:
        return set()
    squares = flow.activations(biased) if biased is not None and biased.op_type == "Add" else []
    if len(squares) != 1 or not _is_mean_over_last_axis(flow.writer.get(squares[0]), flow):
        return set()
    divided = quotient.input[0]
    deviation = flow.writer.get(divided)
    kinds = [_Normalization(divided, 1, ("Mul",))]
    if deviation is not None and deviation.op_type == "Sub":
        kinds.insert(0, _Normalization(deviation.input[0], 2, ("Mul", "Add")))
    for kind in kinds:
        behind = _steps_behind(quotient, kind.steps, flow)
        inside = _nodes_between(kind.source, [root.input[0], divided], _INSIDE_NORMALIZATION, flow)
        means = [flow.nodes[name] for name in inside if flow.op_type(name) == "ReduceMean"]
        names = {root.name, quotient.name, *inside, *behind}
        one_axis = all(_is_mean_over_last_axis(mean, flow) for mean in means)
        if behind and len(means) == kind.means and one_axis and flow.read_inside(names - {behind[-1]}, names):
            return names
    return set()


def _is_mean_over_last_axis(node: onnx.NodeProto | None, flow: Dataflow) -> bool:
    if node is None or node.op_type != "ReduceMean":
        return False
    axes = [axis for one in node.attribute if one.name == "axes" for axis in one.ints]
    given = flow.constant(node.input[1]) if len(node.input) > 1 else None
    if given is not None:
        axes = read_array(given).tolist()
    rank = flow.rank(node.input[0])
    return axes == [-1] or (rank > 1 and axes == [rank - 1])


def _steps_behind(node: onnx.NodeProto, steps: Iterable[str], flow: Dataflow) -> list[str]:
    """Return the nodes with a constant that follow a node, one for each operator type; none if one lacks.

    The constants have one axis, and one length.
    """
    names, lengths = list[str](), set[tuple[int, ...]]()
    for op_type in steps:
        behind = flow.only_reader(node)
        if behind is None or behind.op_type != op_type or len(flow.activations(behind)) != 1:
            return []
        names.append(behind.name)
        lengths |= {tuple(held.dims) for name in behind.input if (held := flow.constant(name)) is not None}
        node = behind
    return names if len(lengths) == 1 and all(len(dims) == 1 for dims in lengths) else []


def _nodes_between(
    source: str, tensors: Iterable[str], op_types: Collection[str], flow: Dataflow
) -> set[str]:
    """Return the nodes that compute tensors from one other tensor alone; none if that is not what they do.

    Parameters
    ----------
    op_types
        Which nodes it may be.
    """
    names, left = set[str](), list(tensors)
    while left:
        name = left.pop()
        writer = flow.writer.get(name)
        if name == source or name in flow.constants:
            continue
        if writer is None or writer.op_type not in op_types or len(names) > _MOST_INSIDE:
            return set()
        names.add(writer.name)
        left += writer.input
    return names
