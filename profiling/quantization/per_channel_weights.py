"""Weights and biases quantized per channel, all channels at once and weights of any size.

The quantization tool takes a fifth of a millisecond for each channel and wants weights in memory. It gets
stand-ins instead, and what it makes of them is replaced by what it would have made of the real ones.
"""

import functools
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from profiling.arrays import Array
from profiling.errors import QuantizeError
from profiling.onnx_io.external_weights import (
    LargeWeight,
    is_large,
    iter_chunks,
    per_channel_min_max,
    read_array,
    write_external,
)
from profiling.onnx_io.subgraphs import all_inputs

QUANTIZED_WEIGHT = "_quantized"
_WEIGHT, _BIAS = 1, 2
_STEPS = {
    False: 254.0,
    True: 128.0,
}  # of int8 weights: -127 to 127, or (reduced) -64 to 64
_MATRIX = 2
# The tool widens a weight's scale so that the bias fits into int32, with this much to spare.
_BIAS_ROOM = 2.0 * 1.0001 / (2.0**32 - 2.0)


@dataclass(frozen=True, slots=True)
class _Role:
    """How a node reads a weight: the axis of its channels, and the bias beside it."""

    axis: int
    bias: str | None


@dataclass(frozen=True, slots=True)
class StandIns:
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
        self, quantized: onnx.ModelProto, reduced: Mapping[str, bool], scale_to_int16: Mapping[str, float]
    ) -> None:
        """Put real constants where the tool quantized stand-ins, in place.

        Parameters
        ----------
        reduced
            Weight -> whether it uses 7 bits.
        finer
            Weight -> by how much finer than the tool's the steps of the tensor may be that it is multiplied
            with. The runtime makes a float bias int32, in steps of both scales, even where we keep it float.

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
            scale = _scales(originals[name], role.axis, reduced=reduced[name])
            if role.bias is not None:
                bias = read_array(originals[role.bias]).astype(np.float64)
                step = np.float32(input_scales[node.output[0]] / scale_to_int16.get(name, 1.0))
                scale = _widened(scale, step, bias)
                _put_bias(dequantizers[role.bias], constants, bias, step * scale)
            _put_weight(originals[name], node, constants, role.axis, scale)


def stand_ins(model: onnx.ModelProto, nodes: Collection[str]) -> StandIns:
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
                pair = per_channel_min_max(LargeWeight.of(tensor), channel_axis(node))
                constants[name] = numpy_helper.from_array(pair, name)
    return StandIns(constants, model, roles)


def channel_axis(node: onnx.NodeProto) -> int:
    """Return the axis of the output channels in a node's weight."""
    transposed = any(a.name == "transB" and a.i for a in node.attribute)
    return 0 if node.op_type == "Conv" or transposed else 1


def _roles(
    model: onnx.ModelProto, nodes: Collection[str], tensors: Mapping[str, TensorProto]
) -> dict[str, _Role]:
    """Return the weights that one node alone reads, in the plain way."""
    count = Counter(name for node in model.graph.node for name in all_inputs(node))
    count.update(value.name for value in model.graph.output)
    found = {}
    for node in model.graph.node:
        if node.name not in nodes or node.op_type not in ("Conv", "ConvTranspose", "Gemm", "MatMul"):
            continue
        weight = tensors.get(node.input[_WEIGHT])
        bias = node.input[_BIAS] if len(node.input) > _BIAS else ""
        if weight is None or count[weight.name] > 1 or len(weight.dims) < _MATRIX or not _is_float(weight):
            continue
        if node.op_type == "MatMul" and len(weight.dims) > _MATRIX:
            continue
        scaled = any(a.name == "beta" and a.f != 1 for a in node.attribute)
        if bias and (bias not in tensors or count[bias] > 1 or len(tensors[bias].dims) != 1 or scaled):
            continue
        axis = channel_axis(node)
        grouped = node.op_type == "ConvTranspose"  # its channels are those of one group
        if grouped or (bias and tensors[bias].dims[0] != weight.dims[axis]):
            continue
        found[weight.name] = _Role(axis, bias or None)
    return found


def _is_float(tensor: TensorProto) -> bool:
    return bool(tensor.data_type == TensorProto.FLOAT)


def _input_scales(quantized: onnx.ModelProto, constants: Mapping[str, TensorProto]) -> dict[str, np.float32]:
    """Return dequantized weight -> scale of the tensor that it is multiplied with."""
    scale_of = {
        node.output[0]: node.input[1] for node in quantized.graph.node if node.op_type == "DequantizeLinear"
    }
    return {
        node.input[_WEIGHT]: np.float32(read_array(constants[scale_of[node.input[0]]]).reshape(-1)[0])
        for node in quantized.graph.node
        if len(node.input) > _WEIGHT and node.input[_WEIGHT] in scale_of and node.input[0] in scale_of
    }


def _scales(weight: TensorProto, axis: int, *, reduced: bool) -> Array:
    """Return a scale per channel: the widest value takes the last step; 1 where all are zero."""
    others = tuple(i for i in range(len(weight.dims)) if i != axis)
    largest = [np.abs(block).max(axis=others) for block in iter_chunks(weight)]
    widest = np.concatenate(largest) if axis == 0 else np.max(largest, axis=0)
    if not np.isfinite(widest).all():
        raise QuantizeError(f"weight {weight.name!r} has values that are not finite")
    scale = 2.0 * widest.astype(np.float64) / _STEPS[reduced]
    return np.where(scale < np.finfo(np.float32).tiny, 1.0, scale).astype(np.float32)


def _widened(scale: Array, step: np.float32, bias: Array) -> Array:
    """Return scales so large that the bias, in steps of input scale times weight scale, fits into int32."""
    now, least = np.float64(step) * scale.astype(np.float64), np.abs(bias) * _BIAS_ROOM
    with np.errstate(divide="ignore"):
        wider = (scale.astype(np.float64) * (least / now)).astype(np.float32)
    return np.where((now < least) & (now > 0), wider, scale)


def _put_bias(node: onnx.NodeProto, constants: Mapping[str, TensorProto], bias: Array, scale: Array) -> None:
    limits = np.iinfo(np.int32)
    whole = np.clip((bias / scale.astype(np.float64)).round(), limits.min, limits.max).astype(np.int32)
    if len(whole) > 1:
        node.attribute.append(helper.make_attribute("axis", 0))
    _put(constants, node.input[0], whole)
    _put(constants, node.input[1], scale)
    if len(node.input) > _BIAS:
        _put(constants, node.input[_BIAS], np.zeros_like(whole))


def _put_weight(
    weight: TensorProto, node: onnx.NodeProto, constants: Mapping[str, TensorProto], axis: int, scale: Array
) -> None:
    zero = np.zeros(len(scale), np.int8)
    _put(constants, node.input[1], scale)
    _put(constants, node.input[2], zero)
    if is_large(weight):
        _put_large(LargeWeight.of(weight), node, constants, axis)
    else:
        shape = [1] * len(weight.dims)
        shape[axis] = -1
        _put(constants, node.input[0], _whole(read_array(weight), scale.reshape(shape), zero.reshape(shape)))


def _requantize(weight: TensorProto, node: onnx.NodeProto, constants: Mapping[str, TensorProto]) -> None:
    """Quantize a large weight with the scales that the tool found for its extremes."""
    large = LargeWeight.of(weight)
    axis = next((a.i for a in node.attribute if a.name == "axis"), 1)
    scale = read_array(constants[node.input[1]])
    if scale.ndim and len(scale) != large.dims[axis]:
        raise QuantizeError(f"the quantization tool took other channels of {node.input[0]!r} than expected")
    _put_large(large, node, constants, axis)


def _put_large(
    weight: LargeWeight, node: onnx.NodeProto, constants: Mapping[str, TensorProto], axis: int
) -> None:
    scale, zero = (read_array(constants[name]).tobytes() for name in node.input[1:])
    whole = _quantized(weight, axis, scale, zero, constants[node.input[2]].data_type)
    constants[node.input[0]].CopyFrom(whole.reference(node.input[0]))


def _put(constants: Mapping[str, TensorProto], name: str, value: Array) -> None:
    constants[name].CopyFrom(numpy_helper.from_array(value, name))


def _whole(exact: Array, scale: Array, zero: Array) -> Array:
    """Return values as integers of the zero points' type (ONNX's QuantizeLinear)."""
    limits = np.iinfo(zero.dtype)
    return np.clip((exact / scale).round() + zero, limits.min, limits.max).astype(zero.dtype)


@functools.cache
def _quantized(weight: LargeWeight, axis: int, scale: bytes, zero: bytes, data_type: int) -> LargeWeight:
    """Return a weight in integers; each is written once, however many models hold it."""
    scales = np.frombuffer(scale, np.float32)
    zeros = np.frombuffer(zero, helper.tensor_dtype_to_np_dtype(data_type))

    def rows() -> Iterator[Array]:
        start = 0
        for block in weight.iter_chunks():
            part = slice(start, start + len(block)) if axis == 0 and len(scales) > 1 else slice(None)
            shape = [1] * block.ndim
            shape[axis] = -1
            yield _whole(block, scales[part].reshape(shape), zeros[part].reshape(shape))
            start += len(block)

    return write_external(weight.dims, data_type, rows())
