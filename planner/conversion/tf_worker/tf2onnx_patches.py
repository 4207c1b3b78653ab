"""tf2onnx with two faults mended: one of its transpose optimizer, and its hunger for memory."""

from collections import OrderedDict
from functools import partial
from typing import Any

from onnx import NodeProto
from tf2onnx import optimizer
from tf2onnx.graph import Node
from tf2onnx.optimizer.transpose_optimizer import TransposeOptimizer

_TRANSPOSES = "optimize_transpose"


class PatchedTransposeOptimizer(TransposeOptimizer):  # type: ignore[misc]
    """Leaves a scalar that is added behind a convolution where it is, and tells what it renames.

    tf2onnx takes every constant behind a convolution without bias for its bias, and asks for the longest
    side of a scalar's shape, which has none. MobileNetV3's hard sigmoid, relu6(x + 3) / 6, meets this.

    Parameters
    ----------
    renamed
        Filled with convolution -> the one that it stands for, where one with a bias took its place.
    """

    def __init__(self, renamed: dict[str, str]) -> None:
        super().__init__()
        self._renamed = renamed

    def _add_handler(self, trans: Any, node: Any) -> Any:
        added, before = node.inputs[1], trans.inputs[0]
        if added.is_const() and not added.get_tensor_value(as_list=False).shape:
            return self._handle_node_having_branches(trans, node)
        done = super()._add_handler(trans, node)
        gone = self._g.get_node_by_name(before.name) is None
        if gone and self._g.get_node_by_name(trans.name) is not None:
            self._renamed[trans.inputs[0].name] = self._renamed.get(before.name, before.name)
        return done


_update_proto = Node.update_proto


def _update_fresh_proto(node: Any, external_tensor_storage: Any = None) -> None:
    """Write a node's attributes into a new message.

    tf2onnx clears the old one and writes again after every step. What a message once held stays in its
    arena, so that each step costs another copy of all weights.
    """
    old = node._op  # noqa: SLF001
    node._op = NodeProto(  # noqa: SLF001
        name=old.name, op_type=old.op_type, domain=old.domain, input=old.input, output=old.output
    )
    _update_proto(node, external_tensor_storage)


Node.update_proto = _update_fresh_proto


def optimizers(renamed: dict[str, str]) -> "OrderedDict[str, Any]":
    """Return tf2onnx's optimizers in their order; `renamed` as in PatchedTransposeOptimizer."""
    default_optimizers = optimizer._get_optimizers()  # noqa: SLF001  there is no public way
    return OrderedDict({**default_optimizers, _TRANSPOSES: partial(PatchedTransposeOptimizer, renamed)})
