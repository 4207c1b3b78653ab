"""Lets a branch of an If fit another shape than the one that comes: the runtime checks both when it loads.

With input shapes fixed, ONNX Runtime refuses a model whose untaken branch is for another rank. What a branch
reads then goes through a sequence of tensors of different ranks, behind which no inference knows a shape.
"""

import onnx
from onnx import TensorProto, helper

from profiling.onnx_io.subgraphs import outer_scope_inputs, rename_outer_inputs, subgraphs
from profiling.onnx_io.unique_names import FreshNames

_CHOICE = "If"


def hide_branch_shapes(graph: onnx.GraphProto) -> tuple[str, ...]:
    """Let the branches of each If read what they capture without its shape, in place; values stay.

    Return the tensors whose shapes must not be told again.
    """
    fresh = FreshNames(graph)
    nodes: list[onnx.NodeProto] = []
    untold: list[str] = []
    first, scalars = fresh.of("hidden/first"), dict[int, str]()
    types = {v.name: v.type.tensor_type.elem_type for v in (*graph.input, *graph.value_info)}
    types |= {init.name: init.data_type for init in graph.initializer}
    constants = {init.name for init in graph.initializer}
    for node in graph.node:
        if node.op_type == _CHOICE:
            names = [name for name in outer_scope_inputs(node) if name not in constants and name in types]
            hidden = {name: fresh.of(f"{name}/hidden") for name in names}
            for name, own in hidden.items():
                scalar = scalars.setdefault(types[name], fresh.of(f"hidden/scalar_{types[name]}"))
                sequence = fresh.of(f"{own}/sequence")
                nodes += [
                    helper.make_node(
                        "SequenceConstruct", [name, scalar], [sequence], fresh.of(f"{own}/make")
                    ),
                    helper.make_node("SequenceAt", [sequence, first], [own], fresh.of(f"{own}/take")),
                ]
            untold += hidden.values()
            for body in subgraphs(node):
                rename_outer_inputs(body, hidden)
        nodes.append(node)
    if not scalars:
        return ()
    del graph.node[:]
    graph.node.extend(nodes)
    graph.initializer.append(helper.make_tensor(first, TensorProto.INT64, [], [0]))
    graph.initializer.extend(helper.make_tensor(name, kind, [], [0]) for kind, name in scalars.items())
    return tuple(untold)


def has_branches(graph: onnx.GraphProto) -> bool:
    """Return whether a graph chooses between branches."""
    return any(node.op_type == _CHOICE for node in graph.node)
