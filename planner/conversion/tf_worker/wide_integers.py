"""Quantizers of 16 bits, and biases of 64, as TFLite's int16x8 models have them -> what the runtime reads."""

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from profiling.arrays import Array
from profiling.quantization.int16_activations import WIDE_TYPES, import_ms_domain

_QUANTIZERS = ("QuantizeLinear", "DequantizeLinear")


def restate_wide(model: onnx.ModelProto) -> None:
    """Make 64-bit biases floats, and let 16-bit quantizers come from where they are known, in place."""
    constants = {init.name: init for init in model.graph.initializer}
    _float_biases(model.graph, constants)
    wide = [
        node
        for node in model.graph.node
        if node.op_type in _QUANTIZERS
        and len(node.input) > 2  # noqa: PLR2004
        and node.input[2] in constants
        and constants[node.input[2]].data_type in WIDE_TYPES
    ]
    domain = import_ms_domain(model) if wide else ""
    for node in wide:
        node.domain = domain


def _float_biases(graph: onnx.GraphProto, constants: dict[str, TensorProto]) -> None:
    for node in list(graph.node):
        integers = constants.get(node.input[0]) if node.op_type == "DequantizeLinear" else None
        if integers is None or integers.data_type != TensorProto.INT64 or node.input[1] not in constants:
            continue
        scale = numpy_helper.to_array(constants[node.input[1]])
        value = _products(numpy_helper.to_array(integers), scale, _axis(node))
        graph.node.remove(node)
        graph.initializer.append(numpy_helper.from_array(value, node.output[0]))


def _axis(node: onnx.NodeProto) -> int:
    return next((a.i for a in node.attribute if a.name == "axis"), 1)


def _products(integers: Array, scale: Array, axis: int) -> Array:
    if scale.size > 1:
        sides = [1] * integers.ndim
        sides[axis] = -1
        scale = scale.reshape(sides)
    return np.asarray(integers.astype(np.float64) * scale.astype(np.float64), np.float32).reshape(
        integers.shape
    )
