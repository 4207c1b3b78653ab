"""What a node reads: its inputs, and what the graphs inside If, Loop and Scan take from outside.

ONNX lets a nested graph read any tensor of the graphs around it by name, without a word in the inputs of
its node. Whoever asks what a node depends on must look inside.
"""

from collections.abc import Iterator, Mapping

import onnx


def subgraphs(node: onnx.NodeProto) -> list[onnx.GraphProto]:
    """Return the graphs directly inside a node; empty for all but control flow."""
    single = [attribute.g for attribute in node.attribute if attribute.type == onnx.AttributeProto.GRAPH]
    # No standard operator has a list of graphs, but the format allows custom ones to.
    return single + [graph for attribute in node.attribute for graph in attribute.graphs]


def outer_scope_inputs(node: onnx.NodeProto) -> tuple[str, ...]:
    """Return the names that the graphs inside a node take from outside, each once."""
    return tuple(dict.fromkeys(name for subgraph in subgraphs(node) for name in free_variables(subgraph)))


def all_inputs(node: onnx.NodeProto) -> tuple[str, ...]:
    """Return the names that a node reads, captured ones included, each once; no empty ones."""
    return tuple(dict.fromkeys((*filter(None, node.input), *outer_scope_inputs(node))))


def free_variables(graph: onnx.GraphProto) -> Iterator[str]:
    """Yield the names that a nested graph reads but does not define, once per reader.

    A name counts as the graph's own from the node on that writes it, so nodes must be sorted; ONNX Runtime
    sorts those of a whole model itself, but refuses nested graphs that are not.
    """
    defined = {value.name for value in graph.input}
    defined |= {init.name for init in graph.initializer}
    for node in graph.node:
        yield from (name for name in all_inputs(node) if name not in defined)
        defined |= set(node.output)
    # The format lets a branch hand on an outer tensor untouched; ONNX Runtime asks for an Identity between.
    yield from (value.name for value in graph.output if value.name not in defined)


def rename_outer_inputs(graph: onnx.GraphProto, names: Mapping[str, str]) -> None:
    """Let the nodes of a nested graph read other names from outside, in place.

    Parameters
    ----------
    names
        Old name -> new name. Where the graph, or one inside it, defines an old name, it means its own.
    """
    defined = {value.name for value in graph.input} | {init.name for init in graph.initializer}
    for node in graph.node:
        visible = {old: new for old, new in names.items() if old not in defined}
        for index, name in enumerate(node.input):
            node.input[index] = visible.get(name, name)
        for subgraph in subgraphs(node):
            rename_outer_inputs(subgraph, visible)
        defined |= set(node.output)


def all_nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """Yield every node, those of nested graphs included."""
    for node in graph.node:
        yield node
        for subgraph in subgraphs(node):
            yield from all_nodes(subgraph)


def all_initializers(node: onnx.NodeProto) -> Iterator[onnx.TensorProto]:
    """Yield the initializers of the graphs inside a node, at every depth."""
    for subgraph in subgraphs(node):
        yield from subgraph.initializer
        for inner_node in subgraph.node:
            yield from all_initializers(inner_node)
