"""Activations in front of a quantizer -> clips of its integers, so that int8 kernels are found behind them.

A Relu or a Clip before QuantizeLinear stands between a convolution and the pattern that the runtime computes
in int8, except where the quantizer's own range clips just so. Since quantizing keeps the order of numbers,
clipping its integers instead gives the same ones.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

_RELU, _CLIP = "Relu", "Clip"
_TYPES = (TensorProto.UINT8, TensorProto.INT8)


def clip_integers(model: onnx.ModelProto) -> None:
    """Move activations behind the quantizers that alone read them, in place; outputs keep their bits."""
    graph = model.graph
    constants = {init.name: init for init in graph.initializer}
    readers = Counter(name for node in graph.node for name in node.input)
    readers.update(value.name for value in graph.output)
    writer = {node.output[0]: node for node in graph.node}
    moved: dict[str, onnx.NodeProto] = {}  # by the quantizer in front
    removed = set[str]()
    for quantizer in graph.node:
        activation = writer.get(quantizer.input[0]) if quantizer.op_type == "QuantizeLinear" else None
        if activation is None or readers[quantizer.input[0]] > 1:
            continue
        limits = _limits(activation, quantizer, constants)
        if limits is not None:
            removed.add(activation.name)
            quantizer.input[0] = activation.input[0]
            if limits != _whole_range(limits[0].dtype):
                moved[quantizer.name] = _clip_behind(graph, quantizer, activation.name, limits)
    nodes = [
        kept
        for node in graph.node
        if node.name not in removed
        for kept in filter(None, (node, moved.get(node.name)))
    ]
    del graph.node[:]
    graph.node.extend(nodes)


def _limits(
    activation: onnx.NodeProto, quantizer: onnx.NodeProto, constants: Mapping[str, TensorProto]
) -> tuple[np.generic, np.generic] | None:
    """Return between which integers an activation holds what its quantizer writes; None if it is not said."""
    parameters = [constants.get(name) for name in quantizer.input[1:]]
    if activation.op_type not in (_RELU, _CLIP) or len(parameters) != 2 or None in parameters:  # noqa: PLR2004
        return None
    scale, zero = (numpy_helper.to_array(constant) for constant in parameters if constant is not None)
    if zero.size != 1 or parameters[1] is None or parameters[1].data_type not in _TYPES:
        return None
    bounds = [0.0, np.inf] if activation.op_type == _RELU else _clip_bounds(activation, constants)
    if bounds is None:
        return None
    type_ = np.iinfo(zero.dtype)
    step, offset = scale.astype(np.float32).reshape(()), zero.astype(np.float32).reshape(())
    counts = np.rint(np.asarray(bounds, np.float32) / step) + offset
    lower, upper = np.clip(counts, type_.min, type_.max).astype(zero.dtype)
    return lower, upper


def _clip_bounds(node: onnx.NodeProto, constants: Mapping[str, TensorProto]) -> list[float] | None:
    bounds = [-np.inf, np.inf]
    for bound, name in enumerate(node.input[1:]):
        if name and name not in constants:
            return None
        if name:
            bounds[bound] = float(numpy_helper.to_array(constants[name]).reshape(()))
    return bounds


def _whole_range(dtype: np.dtype[Any]) -> tuple[np.generic, np.generic]:
    type_ = np.iinfo(dtype)
    return dtype.type(type_.min), dtype.type(type_.max)


def _clip_behind(
    graph: onnx.GraphProto, quantizer: onnx.NodeProto, name: str, limits: tuple[np.generic, np.generic]
) -> onnx.NodeProto:
    """Return a node that clips what a quantizer writes and passes it on under the old name."""
    written = quantizer.output[0]
    quantizer.output[0] = f"{written}/unclipped"
    ends = [f"{written}/{end}" for end in ("least", "most")]
    graph.initializer.extend(
        numpy_helper.from_array(np.asarray(value), end) for value, end in zip(limits, ends, strict=True)
    )
    return helper.make_node(_CLIP, [quantizer.output[0], *ends], [written], name=name)
