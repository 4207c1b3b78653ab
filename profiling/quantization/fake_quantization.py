"""What quantizing makes of tensors and weights, in float: each rounded to the steps that the tool chose."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import helper, numpy_helper

from profiling.arrays import Array
from profiling.onnx_io.external_weights import is_large, iter_chunks, read_array, write_external
from profiling.quantization.per_channel_weights import QUANTIZED_WEIGHT
from profiling.quantization.qdq_model import QUANTIZED_SUFFIX


@dataclass(frozen=True, slots=True)
class TensorRounding:
    """A QuantizeLinear of the all-int8 model: the tensor that it reads, its one scale and zero point."""

    tensor: str
    scale: onnx.TensorProto
    zero_point: onnx.TensorProto

    def rounded(self, exact: Array) -> Array:
        """Return a tensor as its quantized form has it, in float: QuantizeLinear and back, bit for bit.

        Parameters
        ----------
        exact
            Of any shape.
        """
        scale, zero_point = read_array(self.scale), read_array(self.zero_point)
        limits = np.iinfo(zero_point.dtype)
        integers = np.clip(np.rint(exact / scale) + np.float32(zero_point), limits.min, limits.max)
        return np.asarray((integers - np.float32(zero_point)) * scale, dtype=exact.dtype)


@dataclass(frozen=True, slots=True)
class WeightRounding:
    """The DequantizeLinear of a weight: integers, with one scale and zero point or one per slice.

    Slices lie along `axis`.
    """

    integers: onnx.TensorProto
    scale: onnx.TensorProto
    zero_point: onnx.TensorProto
    axis: int

    def rounded(self, name: str) -> onnx.TensorProto:
        """Return the weight as its quantized form has it, in float; a large one lies outside again.

        Parameters
        ----------
        name
            Of the result.
        """
        scale, zero_point = read_array(self.scale), read_array(self.zero_point).astype(np.float64)

        def rows() -> Iterator[Array]:
            start = 0
            for block in iter_chunks(self.integers):
                rows_here = len(block) if block.ndim else 1
                part = slice(start, start + rows_here) if scale.size > 1 and self.axis == 0 else slice(None)
                shape = [1] * block.ndim
                if scale.size > 1:
                    shape[self.axis] = -1
                exact = block.astype(np.float64) - zero_point.ravel()[part].reshape(shape)
                yield (exact * scale.ravel()[part].reshape(shape)).astype(np.float32)
                start += rows_here

        if is_large(self.integers):
            dims = tuple(self.integers.dims)
            return write_external(dims, onnx.TensorProto.FLOAT, rows()).reference(name)
        (whole,) = rows()
        return numpy_helper.from_array(whole, name)


def tensor_roundings(quantized: onnx.ModelProto) -> dict[str, TensorRounding]:
    """Return tensor of the float model -> how its quantized form rounds it."""
    constants = {init.name: init for init in quantized.graph.initializer}
    roundings = {}
    for node in quantized.graph.node:
        if node.op_type == "QuantizeLinear" and node.output[0].endswith(QUANTIZED_SUFFIX):
            tensor = node.output[0].removesuffix(QUANTIZED_SUFFIX)
            roundings[tensor] = TensorRounding(tensor, *(_first(constants[name]) for name in node.input[1:]))
    return roundings


def _first(repeated: onnx.TensorProto) -> onnx.TensorProto:
    """Return a tensor's scale or zero point, which may be there once per channel."""
    return numpy_helper.from_array(read_array(repeated).reshape(-1)[:1].reshape(()), repeated.name)


def weight_roundings(quantized: onnx.ModelProto) -> dict[str, WeightRounding]:
    """Return initializer of the float model -> how its quantized form becomes float again."""
    constants = {init.name: init for init in quantized.graph.initializer}
    return {
        node.input[0].removesuffix(QUANTIZED_WEIGHT): WeightRounding(
            constants[node.input[0]],
            constants[node.input[1]],
            constants[node.input[2]],
            next((a.i for a in node.attribute if a.name == "axis"), 1),
        )
        for node in quantized.graph.node
        if node.op_type == "DequantizeLinear"
        and node.input[0].endswith(QUANTIZED_WEIGHT)
        and node.input[0] in constants
    }


def with_rounded(
    model: onnx.ModelProto,
    quantizers: Sequence[TensorRounding],
    weights: Mapping[str, onnx.TensorProto],
) -> onnx.ModelProto:
    """Return a copy where the given tensors are rounded and the given weights are replaced."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for init in copy.graph.initializer:
        if init.name in weights:
            init.CopyFrom(weights[init.name])
    for quantizer in quantizers:
        _round_tensor(copy, quantizer)
    return copy


def _rename_ends(graph: onnx.GraphProto, name: str, before: str, behind: str) -> None:
    """Let a tensor be written by one other name and read by another."""
    for node in graph.node:
        node.output[:] = [before if old == name else old for old in node.output]
        node.input[:] = [behind if old == name else old for old in node.input]


def _round_tensor(model: onnx.ModelProto, quantizer: TensorRounding) -> None:
    name = quantizer.tensor
    graph = model.graph
    before, rounded = name, f"{name}/rounded"
    if any(output.name == name for output in graph.output):
        # An output keeps its name, and is the rounded one.
        before, rounded = f"{name}/exact", name
    _rename_ends(graph, name, before, rounded)
    scale, zero_point = read_array(quantizer.scale), read_array(quantizer.zero_point)
    limits = np.iinfo(zero_point.dtype)
    for role, value in (
        ("scale", scale),
        ("least", limits.min - int(zero_point)),
        ("most", limits.max - int(zero_point)),
    ):
        graph.initializer.append(numpy_helper.from_array(np.asarray(value, scale.dtype), f"{name}/{role}"))
    # No QuantizeLinear: between two of them the runtime would compute in integers, and quantize weights too.
    steps = [
        helper.make_node("Div", [before, f"{name}/scale"], [f"{name}/divided"]),
        helper.make_node("Round", [f"{name}/divided"], [f"{name}/integers"]),
        helper.make_node("Clip", [f"{name}/integers", f"{name}/least", f"{name}/most"], [f"{name}/clipped"]),
        helper.make_node("Mul", [f"{name}/clipped", f"{name}/scale"], [rounded]),
    ]
    nodes = list(graph.node)
    # Right behind its writer, or in front of all nodes if it is an input.
    position = next((i + 1 for i, node in enumerate(nodes) if before in node.output), 0)
    del graph.node[:]
    graph.node.extend([*nodes[:position], *steps, *nodes[position:]])
