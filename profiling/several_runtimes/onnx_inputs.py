"""An ONNX model that takes inputs with channels last, as the runtime beside it does."""

from collections.abc import Collection

import onnx
from onnx import helper

from profiling.onnx_io.input_shapes import dimensions
from profiling.onnx_io.unique_names import FreshNames, rename_tensors

_PREFIX = "onnx/"  # so that no tensor inside has the name of another runtime's
_FIRST = "channels_first/"


def with_channels_last_inputs(model: onnx.ModelProto, inputs: Collection[str]) -> onnx.ModelProto:
    """Return a model whose inner tensors have names of their own, and some of whose inputs are transposed.

    Parameters
    ----------
    inputs
        Those that have their channels first, and are to have them last.
    """
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    graph = changed.graph
    ends = {value.name for value in (*graph.input, *graph.output)}
    inner = [
        *(init.name for init in graph.initializer),
        *(name for node in graph.node for name in node.output),
    ]
    rename_tensors(graph, {name: _PREFIX + name for name in inner if name and name not in ends})
    fresh = FreshNames(graph)
    moved = []
    for value in graph.input:
        if value.name not in inputs:
            continue
        shape = [d or 1 for d in dimensions(value)]
        rank = len(shape)
        last_to_first = [0, rank - 1, *range(1, rank - 1)]
        name = fresh.of(_PREFIX + _FIRST + value.name)
        rename_tensors(graph, {value.name: name})
        moved.append(helper.make_node("Transpose", [value.name], [name], name=name, perm=last_to_first))
        elem_type = value.type.tensor_type.elem_type
        value.CopyFrom(helper.make_tensor_value_info(value.name, elem_type, [shape[0], *shape[2:], shape[1]]))
    nodes = list(graph.node)
    del graph.node[:]
    graph.node.extend([*moved, *nodes])
    return changed
