"""Operators that a model writes out in several nodes, and that ONNX Runtime computes in one kernel."""

from collections.abc import Collection, Iterable, Iterator

import onnx

from profiling.graph.dataflow import Dataflow

# Of the activation x * f(x), which ONNX Runtime computes in one kernel, unless x is dequantized right before:
# Gelu has an Erf, FastGelu a Tanh, QuickGelu a Sigmoid.
_INSIDE_GELU = frozenset({"Add", "Div", "Mul", "Pow", "Sub"})
_OF_GELU = frozenset({"Erf", "Tanh", "Sigmoid"})
_INSIDE_NORMALIZATION = frozenset({"Add", "Mul", "Pow", "ReduceMean", "Sub"})
_MOST_INSIDE = 8


def operators_written_out(flow: Dataflow) -> Iterator[set[str]]:
    """Yield the names of the nodes of each of them; only the last node is read from outside.

    They are the GELU and its like, layer and root-mean-square normalization over the last axes, and a Concat
    of Slices of one tensor.
    """
    for node in flow.nodes.values():
        names = set[str]()
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
    scaled = flow.writer.get(factors[0])
    for source in (*factors, *(flow.activations(scaled) if scaled is not None else ())):
        found = names | _nodes_between(source, [*node.input, *factors], _INSIDE_GELU, flow)
        if len(found) > len(names) and flow.read_inside(found - {product.name}, found):
            return found
    return set()


def _normalization_around(root: onnx.NodeProto, flow: Dataflow) -> set[str]:
    """Return the nodes of d / sqrt(mean(d^2) + e) * scale + shift with this root; none if it is no such root.

    d is x - mean(x), or x itself; then there is no shift.
    """
    quotient = flow.only_reader(root)
    if quotient is None or quotient.op_type != "Div" or quotient.input[1] != root.output[0]:
        return set()
    divided = quotient.input[0]
    deviation = flow.writer.get(divided)
    kinds: list[tuple[str, tuple[str, ...]]] = [(divided, ("Mul",))]  # x, and what follows the quotient
    if deviation is not None and deviation.op_type == "Sub":
        kinds.insert(0, (deviation.input[0], ("Mul", "Add")))
    for source, steps in kinds:
        behind = _steps_behind(quotient, steps, flow)
        found = _nodes_between(source, [root.input[0], divided], _INSIDE_NORMALIZATION, flow)
        means = [flow.nodes[name] for name in found if flow.op_type(name) == "ReduceMean"]
        if behind and len(means) == len(steps) and all(map(flow.reduces_last_axes, means)):
            names = found | {root.name, quotient.name, *behind}
            return names if flow.read_inside(names - {behind[-1]}, names) else set()
    return set()


def _steps_behind(node: onnx.NodeProto, steps: Iterable[str], flow: Dataflow) -> list[str]:
    """Return the nodes with a constant that follow a node, one for each operator type; none if one lacks."""
    names = list[str]()
    for op_type in steps:
        behind = flow.only_reader(node)
        if behind is None or behind.op_type != op_type or len(flow.activations(behind)) != 1:
            return []
        names.append(behind.name)
        node = behind
    return names


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
