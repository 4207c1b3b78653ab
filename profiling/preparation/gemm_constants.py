"""Gemm as the quantization tool and the integer kernels want it: no factors, and a bias that is a vector."""

from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from profiling.arrays import Array
from profiling.onnx_io.external_weights import is_large, read_array
from profiling.onnx_io.unique_names import FreshNames

_BIAS = 2  # input
_MATRIX = 2  # dimensions
_TRANSPOSED = "transB"


def simplify_gemms(graph: onnx.GraphProto) -> None:
    """Fold factors of Gemm nodes into constants, and give each a bias of one value per column, in place.

    Gemm is alpha * A B + beta * C, with C broadcast to the product's rows and columns. A constant that
    another node reads as well is copied. A bias that differs between rows, or is computed at run time, is
    added by a node of its own, so that a product with a constant matrix can be quantized. Other products and
    factors stay.
    """
    editor = _Editor(graph, FreshNames(graph), {init.name: init for init in graph.initializer})
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        nodes.append(node)
        if node.op_type == "Gemm" and node.domain in ("", "ai.onnx"):
            _fold_alpha(node, editor)
            addition = _simplify_bias(node, editor)
            nodes += [addition] if addition is not None else []
    del graph.node[:]
    graph.node.extend(nodes)


@dataclass(frozen=True, slots=True)
class _Editor:
    graph: onnx.GraphProto
    fresh: FreshNames
    constants: dict[str, TensorProto]

    def value(self, name: str) -> Array | None:
        """Return the values of a float constant that lies in the model; None for any other tensor."""
        constant = self.constants.get(name)
        if constant is None or is_large(constant) or constant.data_type != TensorProto.FLOAT:
            return None
        return read_array(constant)

    def add(self, like: str, value: Array) -> str:
        """Add a constant named after another one, and return its name."""
        name = self.fresh.of(f"{like}/folded")
        self.constants[name] = numpy_helper.from_array(np.ascontiguousarray(value, np.float32), name)
        self.graph.initializer.append(self.constants[name])
        return name


def _fold_alpha(node: onnx.NodeProto, editor: _Editor) -> None:
    factor = _attribute(node, "alpha")
    weight = editor.value(node.input[1]) if factor != 1 else None
    if weight is not None:
        node.input[1] = editor.add(node.input[1], weight * np.float32(factor))
        _drop_attribute(node, "alpha")


def _simplify_bias(node: onnx.NodeProto, editor: _Editor) -> onnx.NodeProto | None:
    """Fold beta into the bias and make a vector of it; return the node that adds a bias which is none."""
    name = node.input[_BIAS] if len(node.input) > _BIAS else ""
    factor = _attribute(node, "beta")
    if not name or factor == 0:
        del node.input[_BIAS:]
        _drop_attribute(node, "beta")
        return None
    bias, columns = editor.value(name), _columns(node, editor)
    if columns is not None and name not in editor.constants and factor == 1:
        return _split_off(node, name, editor)  # the runtime fuses a product with what is added to it so
    if bias is None or columns is None:
        return None
    scaled = bias * np.float32(factor)
    _drop_attribute(node, "beta")
    if scaled.size == 1 or (scaled.shape[-1] in (1, columns) and scaled.size == scaled.shape[-1]):
        # The tool quantizes a bias in steps of the weight's channels, hence one value per column.
        vector = np.broadcast_to(scaled.reshape(-1), (columns,))
        if factor != 1 or bias.shape != (columns,):
            node.input[_BIAS] = editor.add(name, vector)
        return None
    return _split_off(node, editor.add(name, scaled) if factor != 1 else name, editor)


def _split_off(node: onnx.NodeProto, matrix: str, editor: _Editor) -> onnx.NodeProto:
    """Return the node that adds a matrix to the product in its place."""
    del node.input[_BIAS:]
    total, node.output[0] = node.output[0], editor.fresh.of(f"{node.output[0]}/product")
    return helper.make_node("Add", [node.output[0], matrix], [total], editor.fresh.of(f"{node.name}/bias"))


def _columns(node: onnx.NodeProto, editor: _Editor) -> int | None:
    """Return how many columns the product has, where a constant weight tells."""
    weight = editor.constants.get(node.input[1])
    if weight is None or len(weight.dims) != _MATRIX:
        return None
    return int(weight.dims[0 if any(a.name == _TRANSPOSED and a.i for a in node.attribute) else 1])


def _attribute(node: onnx.NodeProto, name: str) -> float:
    return next((a.f for a in node.attribute if a.name == name), 1.0)


def _drop_attribute(node: onnx.NodeProto, name: str) -> None:
    kept = [a for a in node.attribute if a.name != name]
    del node.attribute[:]
    node.attribute.extend(kept)
