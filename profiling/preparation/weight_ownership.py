"""Each weight for one reader: nodes and nested graphs get copies of what they would share."""

import onnx
from onnx import TensorProto

from profiling.onnx_io.external_weights import inline
from profiling.onnx_io.subgraphs import all_inputs, free_variables, subgraphs
from profiling.onnx_io.unique_names import FreshNames

# They read a weight and what is added, which may be one constant.
_WITH_ROLES = frozenset({"Conv", "ConvTranspose", "Gemm", "LayerNormalization"})


def copy_captured_weights(graph: onnx.GraphProto) -> None:
    """Copy initializers into the nested graphs that read them, in place; a stage takes such a graph whole."""
    weights = {init.name: init for init in graph.initializer}
    for node in graph.node:
        for body in subgraphs(node):
            for name in dict.fromkeys(free_variables(body)):
                if name in weights:
                    body.initializer.add().CopyFrom(inline(weights[name]))


def copy_shared_weights(graph: onnx.GraphProto) -> None:
    """Give each reader of a float weight a copy of its own, in place.

    The tool quantizes an initializer for all that read it, even those that are to stay in float, and in one
    role: as a weight per channel, say, where it is a summand elsewhere. A number that lies in an initializer
    counts as well: dequantized, it is no constant any more, and the runtime fuses nothing around it.
    """
    weights = {init.name: init for init in graph.initializer if init.data_type == TensorProto.FLOAT}
    fresh = FreshNames(graph)
    taken: set[str] = set()
    for node in graph.node:
        names_here: dict[str, str] = {}
        for position, name in enumerate(node.input):
            if name not in weights:
                continue
            if name in names_here and node.op_type not in _WITH_ROLES:
                node.input[position] = names_here[name]
            elif name in taken:
                node.input[position] = fresh.of(f"{name}/{node.name}")
                copy = graph.initializer.add()
                copy.CopyFrom(weights[name])
                copy.name = node.input[position]
            taken.add(name)
            names_here[name] = node.input[position]


def drop_unread_weights(graph: onnx.GraphProto) -> None:
    """Drop the initializers that no node reads and that are no outputs, in place."""
    read = {name for node in graph.node for name in all_inputs(node)} | {value.name for value in graph.output}
    for position in reversed(range(len(graph.initializer))):
        if graph.initializer[position].name not in read:
            del graph.initializer[position]
