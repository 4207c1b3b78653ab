"""Nodes and tensors of a converted graph named by the layers that they come from."""

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

import onnx

from profiling.onnx_io.subgraphs import all_initializers, all_nodes, rename_outer_inputs, subgraphs

_CALLS = re.compile(r"^(?:(?:Stateful)?PartitionedCall(?:_\d+)?/)+")
# Keras names a layer's scope anew when it is called again, to be exported.
_AGAIN = "_1"
_SECOND_CALL = re.compile(r"^([^/]+)_1(?=/|$)")
_COMPUTING = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})


def name_by_layer(model: onnx.ModelProto, layers: Collection[str], origins: Mapping[str, str]) -> None:
    """Name every node LAYER/OPERATOR, and what it writes after it, in place; ends keep their names.

    Parameters
    ----------
    layers
        Scopes of layers where they are known; else the scopes of the nodes' own names serve.
    origins
        Node name -> operation that stood for it, where folding left it another's name.
    """
    nodes = model.graph.node
    scopes = layer_scopes(
        [origins.get(n.name, n.name) if n.op_type in _COMPUTING else n.name for n in nodes], layers
    )
    _fill_missing_scopes(nodes, scopes)
    ends = {value.name for value in (*model.graph.input, *model.graph.output)}
    taken = ends | {init.name for init in model.graph.initializer} | _inside(nodes)
    uses: Counter[str] = Counter()
    renamed: dict[str, str] = {}
    for node, scope in zip(nodes, scopes, strict=True):
        name = f"{scope}/{node.op_type}" if scope else node.op_type
        node.name = _free_name(name, uses, taken, len(node.output))
        for output, tensor in enumerate(node.output):
            if tensor and tensor not in ends:
                renamed[tensor] = f"{node.name}:{output}"
    for node in nodes:
        for side in (node.input, node.output):
            side[:] = [renamed.get(tensor, tensor) for tensor in side]
        for body in subgraphs(node):
            rename_outer_inputs(body, renamed)
    for value in model.graph.value_info:
        value.name = renamed.get(value.name, value.name)


def _inside(nodes: Collection[onnx.NodeProto]) -> set[str]:
    """Return the names of tensors that nested graphs write or hold."""
    nested = [body for node in nodes for body in subgraphs(node)]
    written = {name for body in nested for inner in all_nodes(body) for name in inner.output}
    held = {init.name for node in nodes for init in all_initializers(node)}
    return written | held | {value.name for body in nested for value in body.input}


def _free_name(name: str, uses: Counter[str], taken: Collection[str], outputs: int) -> str:
    """Return a name, numbered where it or that of an output is taken; folding leaves constants such names."""
    while True:
        uses[name] += 1
        numbered = f"{name}_{uses[name] - 1}" if uses[name] > 1 else name
        if not any(f"{numbered}:{output}" in taken for output in range(outputs)):
            return numbered


def layer_scopes(names: Sequence[str], layers: Collection[str]) -> list[str]:
    """Return the layer that each operation belongs to, empty where that is not known.

    Parameters
    ----------
    names
        Of all operations, since what their scopes have in common is no layer.
    layers
        Scopes of layers where they are known.
    """
    if layers:
        return [_longest(name, layers) for name in names]
    cleaned = [_CALLS.sub("", name).split(";")[0] for name in names]
    scopes = [name.rpartition("/")[0] for name in cleaned]
    tops = {scope.partition("/")[0] for scope in scopes if scope}
    if len(tops) == 1:  # the model's own scope
        scopes = [scope.partition("/")[2] for scope in scopes]
    if all(scope.partition("/")[0].endswith(_AGAIN) for scope in scopes if scope):
        scopes = [_SECOND_CALL.sub(r"\1", scope) for scope in scopes]
    return scopes


def _longest(name: str, layers: Collection[str]) -> str:
    parts = name.split("/")
    paths = ("/".join(parts[:length]) for length in range(len(parts), 0, -1))
    return next((path for path in paths if path in layers), "")


def _fill_missing_scopes(nodes: Collection[onnx.NodeProto], scopes: list[str]) -> None:
    """Let a node without a layer belong to that of what it reads, else of what reads it, in place."""
    for ordered in (list(enumerate(nodes)), list(enumerate(nodes))[::-1]):
        scope_of_tensor: dict[str, str] = {}
        for number, node in ordered:
            forward = ordered[0][0] == 0
            neighbours, passed_on = (node.input, node.output) if forward else (node.output, node.input)
            if not scopes[number]:
                scopes[number] = next(
                    (scope_of_tensor[name] for name in neighbours if scope_of_tensor.get(name)), ""
                )
            scope_of_tensor |= dict.fromkeys(
                (name for name in passed_on if not scope_of_tensor.get(name)), scopes[number]
            )
