"""Lets a branch of an If fit another shape than the one that comes: the runtime checks both when it loads.

With input shapes fixed, ONNX Runtime refuses a model whose untaken branch is for another rank. What a branch
reads then goes through a sequence of tensors of different ranks, behind which no inference knows a shape.
"""

from typing import Any

import onnx
from onnx import TensorProto, helper

from profiling.onnx_io.subgraphs import outer_scope_inputs, rename_outer_inputs, subgraphs
from profiling.onnx_io.unique_names import FreshNames

_IF = "If"


def hide_branch_shapes(graph: onnx.GraphProto) -> tuple[str, ...]:
    """Let the branches of each If read what they capture without its shape, in place; values stay.

    Branches keep reading initializers directly, and tensors whose type neither `input` nor `value_info`
    says, since a sequence has one element type.

    Returns
    -------
    tuple
        The new tensors that stand for captured ones. Whoever records shapes later must leave them out.
    """
    fresh = FreshNames(graph)
    nodes: list[onnx.NodeProto] = []
    shapeless: list[str] = []
    index_zero = fresh.of("hidden/first")
    scalar_of_type: dict[int, str] = {}  # ONNX element type -> the scalar that makes ranks differ
    # A sequence or an optional has no element type that a scalar could share.
    types = {
        value.name: value.type.tensor_type.elem_type
        for value in (*graph.input, *graph.value_info)
        if value.type.HasField("tensor_type")
    }
    constants = {init.name for init in graph.initializer}
    for node in graph.node:
        if node.op_type == _IF:
            captured = [name for name in outer_scope_inputs(node) if name not in constants and name in types]
            hidden = {name: fresh.of(f"{name}/hidden") for name in captured}
            for name, hidden_name in hidden.items():
                scalar = scalar_of_type.setdefault(types[name], fresh.of(f"hidden/scalar_{types[name]}"))
                sequence = fresh.of(f"{hidden_name}/sequence")
                # Of a sequence with tensors of two ranks inference knows the element type only.
                nodes += [
                    helper.make_node(
                        "SequenceConstruct", [name, scalar], [sequence], fresh.of(f"{hidden_name}/make")
                    ),
                    helper.make_node(
                        "SequenceAt", [sequence, index_zero], [hidden_name], fresh.of(f"{hidden_name}/take")
                    ),
                ]
            shapeless += hidden.values()
            for branch in subgraphs(node):
                rename_outer_inputs(branch, hidden)
        nodes.append(node)
    if not scalar_of_type:
        return ()
    del graph.node[:]
    graph.node.extend(nodes)
    graph.initializer.append(helper.make_tensor(index_zero, TensorProto.INT64, [], [0]))
    for element_type, name in scalar_of_type.items():
        empty: list[Any] = [b"" if element_type == TensorProto.STRING else 0]
        graph.initializer.append(helper.make_tensor(name, element_type, [], empty))
    return tuple(shapeless)


def has_branches(graph: onnx.GraphProto) -> bool:
    """Return whether a graph chooses between branches."""
    return any(node.op_type == _IF for node in graph.node)
