"""What a node reads: its inputs, and what the graphs inside If, Loop and Scan take from outside."""

from collections.abc import Iterator, Mapping

import onnx


def subgraphs(node: onnx.NodeProto) -> list[onnx.GraphProto]:
    """Return the graphs inside a node; empty for all but control flow."""
    found = [a.g for a in node.attribute if a.type == onnx.AttributeProto.GRAPH]
    return found + [graph for a in node.attribute for graph in a.graphs]


def outer_scope_inputs(node: onnx.NodeProto) -> tuple[str, ...]:
    """Return the names that the graphs inside a node take from outside, each once."""
    return tuple(dict.fromkeys(name for body in subgraphs(node) for name in free_variables(body)))


def all_inputs(node: onnx.NodeProto) -> tuple[str, ...]:
    """Return the names that a node reads, captured ones included, each once; no empty ones."""
    return tuple(dict.fromkeys((*filter(None, node.input), *outer_scope_inputs(node))))


def free_variables(graph: onnx.GraphProto) -> Iterator[str]:
    """Yield the names that a nested graph reads but does not define."""
    defined = {value.name for value in graph.input}
    defined |= {init.name for init in graph.initializer}
    for node in graph.node:
        yield from (name for name in all_inputs(node) if name not in defined)
        defined |= set(node.output)
    yield from (value.name for value in graph.output if value.name not in defined)


def rename_outer_inputs(graph: onnx.GraphProto, names: Mapping[str, str]) -> None:
    """Let a nested graph read other names from outside, in place."""
    defined = {value.name for value in graph.input} | {init.name for init in graph.initializer}
    for node in graph.node:
        open_names = {old: new for old, new in names.items() if old not in defined}
        for place, name in enumerate(node.input):
            node.input[place] = open_names.get(name, name)
        for body in subgraphs(node):
            rename_outer_inputs(body, open_names)
        defined |= set(node.output)


def all_nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """Yield every node, those of nested graphs included."""
    for node in graph.node:
        yield node
        for body in subgraphs(node):
            yield from all_nodes(body)


def all_initializers(node: onnx.NodeProto) -> Iterator[onnx.TensorProto]:
    """Yield the initializers of the graphs inside a node."""
    for body in subgraphs(node):
        yield from body.initializer
        for inner in body.node:
            yield from all_initializers(inner)
