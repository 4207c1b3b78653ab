"""A model's own functions, unfolded where they are called."""

import onnx
from onnx import inliner

from profiling.errors import ModelError
from profiling.onnx_io.subgraphs import all_nodes

_MOST_NODES = 1_000_000  # a few nested functions can stand for billions, which no memory holds


def inline_functions(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy without functions.

    Raises
    ------
    ModelError
        If functions call each other in a circle, or unfold to more nodes than can be planned.
    """
    count = unfolded_nodes(model)
    if count > _MOST_NODES:
        raise ModelError(f"functions unfold to {count:.3g} nodes, more than {_MOST_NODES:,}")
    copy = onnx.ModelProto()
    copy.CopyFrom(inliner.inline_local_functions(model) if model.functions else model)
    return copy


def unfolded_nodes(model: onnx.ModelProto) -> int:
    """Return how many nodes there are once every function stands where it is called, without unfolding any.

    Raises
    ------
    ModelError
        If functions call each other in a circle.
    """
    sizes: dict[tuple[str, str], int] = {}
    uncounted = {(function.domain, function.name): function for function in model.functions}
    while uncounted:
        ready = [
            key
            for key, function in uncounted.items()
            if not any((node.domain, node.op_type) in uncounted for node in function.node)
        ]
        if not ready:
            raise ModelError("its functions call each other in a circle")
        for key in ready:
            body = uncounted.pop(key).node
            sizes[key] = sum(sizes.get((node.domain, node.op_type), 1) for node in body)
    return sum(sizes.get((node.domain, node.op_type), 1) for node in all_nodes(model.graph))
