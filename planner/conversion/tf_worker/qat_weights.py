"""Weights of a quantization-aware model: floats that lie on their grid -> integers and the scales of it.

TensorFlow computes what a fake quantizer makes of a constant, and a batch norm behind a convolution scales
each channel of that again. Both leave whole multiples of one step per channel, from which the integers and
their scales are read off again: exactly, so that nothing is quantized twice.
"""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from profiling.arrays import Array

_MOST = 127
_TOLERANCE = 1e-6  # relative: what folding in float32 leaves of a whole number
_CHANNEL_AXIS = {"Conv": 0, "ConvTranspose": 1, "Gemm": 1, "MatMul": 1}


def restore_integers(model: onnx.ModelProto) -> None:
    """Put the integer form of weights into a model, in place, if it is quantization-aware.

    After: such weights are int8 initializers in front of a DequantizeLinear whose output has the values
    that they had; weights that lie on no grid stay.
    """
    graph = model.graph
    weights = {init.name: init for init in graph.initializer if init.data_type == TensorProto.FLOAT}
    if not any(node.op_type == "QuantizeLinear" for node in graph.node):
        return
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    added: list[onnx.NodeProto] = []
    for node in list(graph.node):
        weight = weights.get(node.input[1]) if node.op_type in _CHANNEL_AXIS else None
        if weight is None or len(readers[weight.name]) > 1:
            continue
        axis = _axis(node)
        integers_and_scales = integer_values(numpy_helper.to_array(weight), axis)
        if integers_and_scales is not None:
            added.append(_dequantizer(graph, weight, integers_and_scales, axis))
            node.input[1] = added[-1].output[0]
    nodes = [*added, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


def integer_values(values: Array, axis: int) -> tuple[Array, Array] | None:
    """Return int8 numbers and float32 scales whose products are `values`; None if there are none.

    One scale serves the whole tensor if it can, else there is one for each place along `axis`.
    """
    whole = _on_grid(values.reshape(1, -1))
    if whole is not None:
        return whole[0].reshape(values.shape), whole[1].reshape(())
    rows = np.moveaxis(values, axis, 0)
    integers_and_scales = _on_grid(rows.reshape(len(rows), -1))
    if integers_and_scales is None:
        return None
    return np.ascontiguousarray(
        np.moveaxis(integers_and_scales[0].reshape(rows.shape), 0, axis)
    ), integers_and_scales[1]


def _on_grid(rows: Array) -> tuple[Array, Array] | None:
    """Return each row as whole numbers of at most 127 and their step, if all rows are that."""
    largest = np.abs(rows).max(axis=1, initial=0.0).astype(np.float64)
    numbers = np.zeros(rows.shape, np.int8)
    steps = np.where(largest > 0, largest / _MOST, 1.0)
    open_rows = np.flatnonzero(largest)
    for most in range(_MOST, 0, -1):
        if not len(open_rows):
            break
        step = largest[open_rows] / most
        counts = rows[open_rows] / step[:, None]
        whole = np.rint(counts)
        fits = (np.abs(counts - whole) <= _TOLERANCE * np.abs(whole)).all(axis=1)
        numbers[open_rows[fits]] = whole[fits]
        steps[open_rows[fits]] = step[fits]
        open_rows = open_rows[~fits]
    return None if len(open_rows) else (numbers, steps.astype(np.float32))


def _axis(node: onnx.NodeProto) -> int:
    """Return along which axis of its weights a node's output channels lie."""
    transposed = node.op_type == "Gemm" and any(a.name == "transB" and a.i for a in node.attribute)
    return 0 if transposed else _CHANNEL_AXIS[node.op_type]


def _dequantizer(
    graph: onnx.GraphProto, weight: TensorProto, integers_and_scales: tuple[Array, Array], axis: int
) -> onnx.NodeProto:
    name = weight.name
    numbers, scales = integers_and_scales
    parts = {"integers": numbers, "scale": scales, "zero": np.zeros(scales.shape, np.int8)}
    graph.initializer.remove(weight)
    graph.initializer.extend(
        numpy_helper.from_array(part, f"{name}/{part_name}") for part_name, part in parts.items()
    )
    inputs = [f"{name}/{part_name}" for part_name in parts]
    node = helper.make_node("DequantizeLinear", inputs, [f"{name}/float"], name=f"{name}/dequantize")
    if scales.ndim:
        node.attribute.append(helper.make_attribute("axis", axis))
    return node
