"""An ONNX model that takes inputs with channels last, as the runtime beside it does."""

from collections.abc import Collection, Mapping

import onnx
from onnx import compose, helper

from profiling.onnx_io.input_shapes import dimensions
from profiling.onnx_io.subgraphs import subgraphs

_PREFIX = "onnx/"  # so that no tensor inside has the name of another runtime's
_FIRST = "channels_first/"


def with_channels_last_inputs(model: onnx.ModelProto, inputs: Collection[str]) -> onnx.ModelProto:
    """Return a model whose inner tensors have names of their own, and some of whose inputs are transposed.

    Parameters
    ----------
    inputs
        Those that have their channels first, and are to have them last.
    """
    changed = compose.add_prefix(
        model, _PREFIX, rename_nodes=False, rename_inputs=False, rename_outputs=False
    )
    moved = []
    for value in changed.graph.input:
        if value.name not in inputs:
            continue
        shape = [d or 1 for d in dimensions(value)]
        rank = len(shape)
        last_to_first = [0, rank - 1, *range(1, rank - 1)]
        name = _PREFIX + _FIRST + value.name
        _rename_reads(changed.graph, {value.name: name})
        moved.append(helper.make_node("Transpose", [value.name], [name], name=name, perm=last_to_first))
        elem_type = value.type.tensor_type.elem_type
        value.CopyFrom(helper.make_tensor_value_info(value.name, elem_type, [shape[0], *shape[2:], shape[1]]))
    nodes = list(changed.graph.node)
    del changed.graph.node[:]
    changed.graph.node.extend([*moved, *nodes])
    return changed


def _rename_reads(graph: onnx.GraphProto, names: Mapping[str, str]) -> None:
    for node in graph.node:
        for position, name in enumerate(node.input):
            node.input[position] = names.get(name, name)
        for nested in subgraphs(node):
            _rename_reads(nested, names)
