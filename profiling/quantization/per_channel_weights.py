"""Weights and biases quantized per channel, all channels at once and weights of any size.

The quantization tool takes a fifth of a millisecond for each channel and wants weights in memory. It gets
small substitutes instead, and what it makes of them is replaced by what it would have made of the real ones.
"""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from profiling.arrays import Array
from profiling.errors import QuantizeError
from profiling.onnx_io.external_weights import LargeWeight, is_large, per_channel_min_max, read_array
from profiling.onnx_io.subgraphs import all_inputs
from profiling.quantization.weight_scales import (
    bias_integers,
    channel_scales,
    large_integers,
    to_integers,
    widened_for_bias,
)

QUANTIZED_WEIGHT = "_quantized"
"""The tool names the integers of weight W as W + this suffix."""
_WEIGHT, _BIAS = 1, 2  # inputs of a Conv, Gemm or MatMul
_SCALE, _ZERO_POINT = 1, 2  # inputs of a DequantizeLinear
_MATRIX = 2  # dimensions


@dataclass(frozen=True, slots=True)
class _Role:
    """How a node reads a weight: the axis of its channels, and the bias beside it."""

    axis: int
    bias: str | None


@dataclass(frozen=True, slots=True)
class ScaledSubstitutes:
    """Small constants in place of a model's weights and biases.

    Parameters
    ----------
    constants
        Name -> what stands for it.
    """

    constants: Mapping[str, TensorProto]
    _model: onnx.ModelProto
    _roles: Mapping[str, _Role]

    def replace_in(
        self, quantized: onnx.ModelProto, reduced: Mapping[str, bool], step_ratios: Mapping[str, float]
    ) -> None:
        """Put real constants where the tool quantized substitutes, in place.

        Parameters
        ----------
        reduced
            Weight -> whether it uses 7 bits.
        step_ratios
            Weight -> how many times as fine as the tool's the steps of the tensor become that it is
            multiplied with; 1 where it is left out. The runtime makes a float bias int32, in steps of both
            scales, even where we keep it float.

        Raises
        ------
        QuantizeError
            If a weight is not finite, or the tool took other channels than expected.
        """
        originals = {tensor.name: tensor for tensor in self._model.graph.initializer}
        constants = {tensor.name: tensor for tensor in quantized.graph.initializer}
        dequantizers = {
            node.input[0].removesuffix(QUANTIZED_WEIGHT): node
            for node in quantized.graph.node
            if node.op_type == "DequantizeLinear" and node.input[0] in constants
        }
        input_scales = _input_scales(quantized, constants)
        for name in self.constants:
            if name in constants:  # the tool left it as it is
                constants[name].CopyFrom(originals[name])
            node = dequantizers.get(name)
            if node is None or (name not in self._roles and not is_large(originals[name])):
                continue
            role = self._roles.get(name)
            if role is None:
                _requantize(originals[name], node, constants)
                continue
            scale = channel_scales(originals[name], role.axis, reduced=reduced[name])
            if role.bias is not None:
                bias = read_array(originals[role.bias]).astype(np.float64)
                input_scale = np.float32(input_scales[node.output[0]] / step_ratios.get(name, 1.0))
                scale = widened_for_bias(scale, input_scale, bias)
                _put_bias(dequantizers[role.bias], constants, bias, input_scale * scale)
            _put_weight(originals[name], node, constants, role.axis, scale)


def scaled_substitutes(model: onnx.ModelProto, nodes: Collection[str]) -> ScaledSubstitutes:
    """Return small constants in place of the weights and biases that some nodes read per channel.

    Parameters
    ----------
    nodes
        Names of the nodes that are quantized.
    """
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    roles = _roles(model, nodes, tensors)
    constants = {}
    for name, role in roles.items():
        constants[name] = numpy_helper.from_array(np.ones([1] * len(tensors[name].dims), np.float32), name)
        if role.bias is not None:
            constants[role.bias] = numpy_helper.from_array(np.zeros(1, np.float32), role.bias)
    for node in model.graph.node:
        for name in node.input if node.name in nodes else ():
            tensor = tensors.get(name)
            if tensor is not None and name not in constants and is_large(tensor) and _is_float(tensor):
                # The tool needs the least and the greatest value of each channel, and no others.
                pair = per_channel_min_max(LargeWeight.of(tensor), channel_axis(node))
                constants[name] = numpy_helper.from_array(pair, name)
    return ScaledSubstitutes(constants, model, roles)


def channel_axis(node: onnx.NodeProto) -> int:
    """Return the axis of the output channels in a node's weight."""
    transposed = any(a.name == "transB" and a.i for a in node.attribute)
    return 0 if node.op_type == "Conv" or transposed else 1


def _roles(
    model: onnx.ModelProto, nodes: Collection[str], tensors: Mapping[str, TensorProto]
) -> dict[str, _Role]:
    """Return weight -> its role, for those that one node alone reads, in the plain way.

    What is left out the tool quantizes by rules of its own, which are not ours to repeat.
    """
    reads = Counter(name for node in model.graph.node for name in all_inputs(node))
    reads.update(value.name for value in model.graph.output)
    roles = {}
    for node in model.graph.node:
        if node.name not in nodes or node.op_type not in ("Conv", "ConvTranspose", "Gemm", "MatMul"):
            continue
        weight = tensors.get(node.input[_WEIGHT])
        bias = node.input[_BIAS] if len(node.input) > _BIAS else ""
        if weight is None or reads[weight.name] > 1 or len(weight.dims) < _MATRIX or not _is_float(weight):
            continue
        if node.op_type == "MatMul" and len(weight.dims) > _MATRIX:
            continue
        scaled = any(a.name == "beta" and a.f != 1 for a in node.attribute)
        if bias and (bias not in tensors or reads[bias] > 1 or len(tensors[bias].dims) != 1 or scaled):
            continue
        axis = channel_axis(node)
        grouped = node.op_type == "ConvTranspose"  # its channels are those of one group
        if grouped or (bias and tensors[bias].dims[0] != weight.dims[axis]):
            continue
        roles[weight.name] = _Role(axis, bias or None)
    return roles


def _is_float(tensor: TensorProto) -> bool:
    return bool(tensor.data_type == TensorProto.FLOAT)


def _input_scales(quantized: onnx.ModelProto, constants: Mapping[str, TensorProto]) -> dict[str, np.float32]:
    """Return dequantized weight -> scale of the tensor that it is multiplied with."""
    scale_of = {
        node.output[0]: node.input[_SCALE]
        for node in quantized.graph.node
        if node.op_type == "DequantizeLinear"
    }
    return {
        node.input[_WEIGHT]: np.float32(read_array(constants[scale_of[node.input[0]]]).reshape(-1)[0])
        for node in quantized.graph.node
        if len(node.input) > _WEIGHT and node.input[_WEIGHT] in scale_of and node.input[0] in scale_of
    }


def _put_bias(node: onnx.NodeProto, constants: Mapping[str, TensorProto], bias: Array, scale: Array) -> None:
    integers = bias_integers(bias, scale)
    if len(integers) > 1:
        node.attribute.append(helper.make_attribute("axis", 0))
    _put(constants, node.input[0], integers)
    _put(constants, node.input[_SCALE], scale)
    if len(node.input) > _ZERO_POINT:
        _put(constants, node.input[_ZERO_POINT], np.zeros_like(integers))


def _put_weight(
    weight: TensorProto, node: onnx.NodeProto, constants: Mapping[str, TensorProto], axis: int, scale: Array
) -> None:
    zero_point = np.zeros(len(scale), np.int8)
    _put(constants, node.input[_SCALE], scale)
    _put(constants, node.input[_ZERO_POINT], zero_point)
    if is_large(weight):
        _put_large(LargeWeight.of(weight), node, constants, axis)
    else:
        shape = [1] * len(weight.dims)
        shape[axis] = -1
        integers = to_integers(read_array(weight), scale.reshape(shape), zero_point.reshape(shape))
        _put(constants, node.input[0], integers)


def _requantize(weight: TensorProto, node: onnx.NodeProto, constants: Mapping[str, TensorProto]) -> None:
    """Quantize a large weight with the scales that the tool found for its extremes."""
    large = LargeWeight.of(weight)
    axis = next((a.i for a in node.attribute if a.name == "axis"), 1)  # ONNX's default
    scale = read_array(constants[node.input[_SCALE]])
    if scale.ndim and len(scale) != large.dims[axis]:
        raise QuantizeError(f"the quantization tool took other channels of {node.input[0]!r} than expected")
    _put_large(large, node, constants, axis)


def _put_large(
    weight: LargeWeight, node: onnx.NodeProto, constants: Mapping[str, TensorProto], axis: int
) -> None:
    scale, zero_point = (read_array(constants[name]).tobytes() for name in node.input[1:])
    data_type = constants[node.input[_ZERO_POINT]].data_type
    integers = large_integers(weight, axis, scale, zero_point, data_type)
    constants[node.input[0]].CopyFrom(integers.reference(node.input[0]))


def _put(constants: Mapping[str, TensorProto], name: str, value: Array) -> None:
    constants[name].CopyFrom(numpy_helper.from_array(value, name))
