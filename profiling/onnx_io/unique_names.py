"""Names of our own making that nothing else in a model has.

Names of tensors and of nodes count alike here, though ONNX keeps them apart: what is new among all of them
is new in each role.
"""

from collections.abc import Iterator, Mapping

import onnx

from profiling.onnx_io.subgraphs import rename_outer_inputs, subgraphs

# What the quantization tool, or a later step of ours, appends to the name of a tensor.
_APPENDED = (
    "_QuantizeLinear_Output", "_QuantizeLinear_Input", "_DequantizeLinear_Output", "_QuantizeLinear",
    "_DequantizeLinear", "_ReduceMin", "_ReduceMax", "_scale", "_zero_point", "_quantized", "_float",
    "_scale_16", "_zero_point_16", "/rounded", "/exact", "/int", "/scale", "/zero", "/Min", "/Max", "/shape",
    "_PerChannel", "_Blocked",
)  # fmt: skip
_SUFFIXES = tuple(sorted(_APPENDED, key=len, reverse=True))


class FreshNames:
    """Gives out names that a model does not have, in whatever role, nested graphs included."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self._taken = set(names_of(graph))

    def of(self, wanted: str) -> str:
        """Return a name that is new: the one wanted, or the same with a number behind it, from 2 on.

        It is given out once.
        """
        name, number = wanted, 1
        while name in self._taken:
            number += 1
            name = f"{wanted}_{number}"
        self._taken.add(name)
        return name


def names_of(graph: onnx.GraphProto) -> Iterator[str]:
    """Yield every name in a graph and the graphs inside: of tensors, constants and nodes.

    Names come as often as they stand there, the empty one of skipped inputs and outputs among them.
    """
    yield from (value.name for value in (*graph.input, *graph.output, *graph.value_info))
    yield from (init.name for init in graph.initializer)
    yield from (init.values.name for init in graph.sparse_initializer)
    for node in graph.node:
        yield node.name
        yield from node.input
        yield from node.output
        for subgraph in subgraphs(node):
            yield from names_of(subgraph)


def rename_tensors(graph: onnx.GraphProto, names: Mapping[str, str]) -> None:
    """Give tensors and initializers of a graph other names, in place; not its inputs and outputs.

    Parameters
    ----------
    names
        Old name -> new name, neither of them that of a graph input or output.
    """
    for init in graph.initializer:
        init.name = names.get(init.name, init.name)
    for value in graph.value_info:
        value.name = names.get(value.name, value.name)
    for node in graph.node:
        for tensors in (node.input, node.output):
            tensors[:] = [names.get(name, name) for name in tensors]
        for subgraph in subgraphs(node):
            rename_outer_inputs(subgraph, names)


def name_nodes(graph: onnx.GraphProto) -> None:
    """Give every node a unique name that is not empty, in place; the runtime refuses repeated ones.

    Nodes of nested graphs count, too: the runtime inlines some of these graphs.
    """
    fresh = FreshNames(graph)
    seen: set[str] = set()
    for node in _outer_first(graph):
        if not node.name or node.name in seen:
            node.name = fresh.of(node.name or f"{node.op_type}_{len(seen)}")
        seen.add(node.name)


def name_open_outputs(graph: onnx.GraphProto) -> None:
    """Name outputs that are skipped among as many as an operator likes, in place.

    ONNX Runtime 1.31 and 1.32 crash over a Split that skips one.
    """
    fresh = FreshNames(graph)
    for node in _outer_first(graph):
        if "" in node.output and _is_variadic(node):
            node.output[:] = [name or fresh.of(f"{node.op_type}_unread") for name in node.output]


def free_appended_names(graph: onnx.GraphProto) -> None:
    """Rename tensors whose names others would get once these are quantized, in place.

    A constant `x_scale` beside a tensor `x` would be taken for the scale of `x`. Inputs and outputs keep
    their names; where one of those is in the way, the tensor that it belongs to is renamed.
    """
    fresh = FreshNames(graph)
    existing = set(names_of(graph))
    public = {value.name for value in (*graph.input, *graph.output)}  # callers feed and fetch by these
    renamed: dict[str, str] = {}
    for name in sorted(filter(None, existing)):  # sets of text have another order in each process
        for stem in _stems(name):
            if stem in existing and not (name in public and stem in public):
                inner = stem if name in public else name
                renamed.setdefault(inner, fresh.of(f"{inner}/given"))
    rename_tensors(graph, renamed)


def _stems(name: str) -> Iterator[str]:
    """Yield the names that a name would be made from by appending."""
    return (name.removesuffix(suffix) for suffix in _SUFFIXES if name.endswith(suffix))


def _outer_first(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """Yield nodes so that those of nested graphs come behind all others, which keep their names so."""
    yield from graph.node
    for node in graph.node:
        for subgraph in subgraphs(node):
            yield from _outer_first(subgraph)


def _is_variadic(node: onnx.NodeProto) -> bool:
    """Return whether an operator's last output stands for any number of outputs."""
    if not onnx.defs.has(node.op_type, node.domain):
        return False  # an operator of the runtime's own, or a function of the model
    outputs = onnx.defs.get_schema(node.op_type, domain=node.domain).outputs
    return bool(outputs) and outputs[-1].option == onnx.defs.OpSchema.FormalParameterOption.Variadic
