"""Identity nodes where a value would pass a boundary unseen: into a nested graph, or straight outside."""

import onnx
from onnx import helper

from profiling.onnx_io.subgraphs import outer_scope_inputs, rename_outer_inputs, subgraphs
from profiling.onnx_io.unique_names import FreshNames


def expose_captures(graph: onnx.GraphProto) -> None:
    """Let nested graphs take values from outside only through an Identity in front of their node, in place.

    Whoever renames or quantizes tensors then has to look at a node's own inputs only, as the quantization
    tool does.
    """
    nodes: list[onnx.NodeProto] = []
    fresh = FreshNames(graph)
    for node in graph.node:
        names = {name: fresh.of(f"{name}/{node.name}") for name in outer_scope_inputs(node)}
        nodes += [
            helper.make_node("Identity", [outer], [inner], name=fresh.of(f"{inner}/capture"))
            for outer, inner in names.items()
        ]
        for body in subgraphs(node):
            rename_outer_inputs(body, names)
        nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)


def write_outputs(graph: onnx.GraphProto) -> None:
    """Let a node write each output that is a constant, and read inputs that are outputs from a copy.

    In place. So every output belongs to a unit, or is an input that nothing changes.
    """
    outputs = {value.name for value in graph.output}
    fresh = FreshNames(graph)
    constants = {init.name: init for init in graph.initializer if init.name in outputs}
    passed = [value.name for value in graph.input if value.name in outputs]
    inner = {name: fresh.of(f"{name}/constant") for name in constants}
    inner |= {name: fresh.of(f"{name}/inside") for name in passed}
    read = {name for node in graph.node for name in node.input}
    for node in graph.node:
        node.input[:] = [inner.get(name, name) for name in node.input]
    for name, init in constants.items():
        init.name = inner[name]
    added = [
        helper.make_node("Identity", [inner[name]], [name], name=fresh.of(f"{name}/write"))
        for name in constants
    ]
    added += [
        helper.make_node("Identity", [name], [inner[name]], name=fresh.of(f"{name}/read"))
        for name in passed
        if name in read
    ]
    nodes = [*added, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
