"""Keeps nodes in float where a plan says so, against what the runtime would do to them unasked.

Between a DequantizeLinear and a QuantizeLinear, ONNX Runtime (since 1.21, its pass WeightBiasQuantization)
turns the float weight of a Conv, ConvTranspose or Gemm into int8 with one scale for the whole tensor, which
can cost more accuracy than all planned quantization together. Its pass QDQPropagation moves a QuantizeLinear
up or a DequantizeLinear down through a Reshape to such an operator, or through a MaxPool, whose kernel for
integers takes up to 40 times as long as that for floats. Both look for one scale; the same scale once per
channel gives the same numbers and is left alone.

Where all that an operator reads is dequantized and all that it writes is quantized, its pass
QDQSelectorAction takes the integer kernel, even where that computes something else (an AveragePool that
counts its padding). It looks at neighbours only, so that a node in between keeps the operator in float: the
largest of one tensor, which is that tensor.

ONNX Runtime 1.32 makes a MatMulNBits, which rounds its activations to 8 bits, of a Gemm or MatMul with
16-bit activations and an 8-bit weight. It looks for a weight whose scales lie along axis 1; the same axis
counted from behind gives the same numbers and is left alone.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from profiling.onnx_io.subgraphs import all_inputs

# A MatMul with a bias behind it becomes a Gemm.
_WEIGHTED = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
_MATRIX = 2  # dimensions
_POOL = "MaxPool"
_BARRIER = "Max"  # of one tensor
_QUANTIZED = "_QuantizeLinear_Output"
# Operators through which the runtime moves a scale.
_MOVES = frozenset({_POOL, "Reshape", "Transpose", "Squeeze", "Unsqueeze", "Slice", "Flatten"})


def keep_float(
    model: onnx.ModelProto,
    quantized: Collection[str],
    shapes: Mapping[str, Sequence[int]],
    guarded: Collection[str] = (),
) -> None:
    """Let float nodes that the runtime would take for int8 ones read and write scales per channel, in place.

    Parameters
    ----------
    quantized
        Names of nodes that compute in int8.
    shapes
        Of the tensors that a quantization tool gave a QuantizeLinear, by the name of its output.
    guarded
        Names of nodes that must not run as integer kernels either where everything around them is int8.
    """
    guard = _Guard(model, shapes)
    for node in list(model.graph.node):
        if node.name in quantized:
            continue
        if node.op_type in _WEIGHTED and guard.has_float_weight(node):
            guard.read_per_channel(guard.first(node, quantized))
        if node.op_type == _POOL:
            guard.read_per_channel(guard.first(node, quantized))
            for quantizer in list(guard.quantizers_behind(node, quantized)):
                guard.write_per_channel(quantizer)
        if node.name in guarded and guard.is_surrounded(node):
            guard.put_barrier_behind(node)
    guard.finish()


def keep_wide(model: onnx.ModelProto, wide: Collection[str]) -> None:
    """Let the weights of some nodes be dequantized along axis -1 instead of 1, in place.

    Parameters
    ----------
    wide
        Names of nodes whose activations have 16 bits.
    """
    ranks = {tensor.name: len(tensor.dims) for tensor in model.graph.initializer}
    weights = {name for node in model.graph.node if node.name in wide for name in node.input[1:2]}
    for node in model.graph.node:
        if (
            node.op_type == "DequantizeLinear"
            and node.output[0] in weights
            and ranks.get(node.input[0]) == _MATRIX
        ):
            for attribute in node.attribute:
                if attribute.name == "axis" and attribute.i == 1:
                    attribute.i = -1


class _Guard:
    """A model under change; new nodes stand where they belong after `finish`."""

    def __init__(self, model: onnx.ModelProto, shapes: Mapping[str, Sequence[int]]) -> None:
        self._graph = model.graph
        self._shapes = shapes
        self._constants = {tensor.name: tensor for tensor in model.graph.initializer}
        self._writer = {name: node for node in model.graph.node for name in node.output if name}
        self._twins: dict[str, onnx.NodeProto] = {}
        self._barriers: dict[str, list[onnx.NodeProto]] = {}
        self._readers: dict[str, list[onnx.NodeProto]] = {}
        for node in model.graph.node:
            for name in node.input:
                self._readers.setdefault(name, []).append(node)

    def has_float_weight(self, node: onnx.NodeProto) -> bool:
        """Return whether a node's second input is a float constant."""
        weight = self._constants.get(node.input[1])
        return weight is not None and weight.data_type == TensorProto.FLOAT

    def first(self, node: onnx.NodeProto, quantized: Collection[str]) -> onnx.NodeProto:
        """Return the first of the float nodes in a row before a node through which scales move."""
        while True:
            before = self._writer.get(node.input[0])
            if before is None or before.op_type not in _MOVES or before.name in quantized:
                return node
            node = before

    def quantizers_behind(self, node: onnx.NodeProto, quantized: Collection[str]) -> Iterator[onnx.NodeProto]:
        """Yield the tool's QuantizeLinear nodes from which a scale would move up to a node."""
        for reader in self._graph.node:
            if node.output[0] not in reader.input[:1]:
                continue
            if reader.op_type == "QuantizeLinear" and reader.output[0] in self._shapes:
                yield reader
            elif reader.op_type in _MOVES and reader.name not in quantized:
                yield from self.quantizers_behind(reader, quantized)

    def is_surrounded(self, node: onnx.NodeProto) -> bool:
        """Return whether a node reads dequantized tensors only, and quantizers alone read what it writes."""
        before = [self._writer.get(name) for name in node.input if name]
        behind = [self._readers.get(name, []) for name in node.output if name]
        dequantized = [
            writer for writer in before if writer is not None and writer.op_type == "DequantizeLinear"
        ]
        floats = [name for name in node.input if name and not self._is_index(name)]
        return (
            bool(dequantized)
            and len(dequantized) == len(floats)
            and all(
                readers and all(reader.op_type == "QuantizeLinear" for reader in readers)
                for readers in behind
            )
        )

    def put_barrier_behind(self, node: onnx.NodeProto) -> None:
        """Let a node that changes nothing stand between a node and its quantizers."""
        for position, name in enumerate(node.output):
            if not name:
                continue
            node.output[position] = f"{name}_float"
            barrier = helper.make_node(_BARRIER, [node.output[position]], [name], f"{name}_float/{_BARRIER}")
            self._barriers.setdefault(node.name, []).append(barrier)
            shape = self._shapes.get(f"{name}{_QUANTIZED}")
            self._graph.value_info.append(
                helper.make_tensor_value_info(node.output[position], TensorProto.FLOAT, shape)
            )

    def _is_index(self, name: str) -> bool:
        constant = self._constants.get(name)
        return constant is not None and constant.data_type != TensorProto.FLOAT

    def read_per_channel(self, node: onnx.NodeProto) -> None:
        """Let a node that reads one of the tool's DequantizeLinear nodes read a twin of it."""
        name = node.input[0]
        plain = self._writer.get(name)
        if plain is None or plain.op_type != "DequantizeLinear" or plain.input[0] not in self._shapes:
            return
        axis = self._channel_axis(plain.input[0])
        if axis is None:
            return
        if name not in self._twins:
            scales = self._repeated(plain, self._shapes[plain.input[0]][axis])
            self._twins[name] = helper.make_node(
                "DequantizeLinear",
                [plain.input[0], *scales],
                [f"{name}_PerChannel"],
                f"{plain.name}_PerChannel",
                domain=plain.domain,
                axis=axis,
            )
            twin = helper.make_tensor_value_info(
                f"{name}_PerChannel", TensorProto.FLOAT, self._shapes[plain.input[0]]
            )
            self._graph.value_info.append(twin)  # shape inference may not know the operator's domain
        node.input[0] = self._twins[name].output[0]

    def write_per_channel(self, quantizer: onnx.NodeProto) -> None:
        """Give a QuantizeLinear its scale once per channel."""
        axis = self._channel_axis(quantizer.output[0])
        if axis is None or quantizer.attribute:
            return
        quantizer.input[1:] = self._repeated(quantizer, self._shapes[quantizer.output[0]][axis])
        quantizer.attribute.append(helper.make_attribute("axis", axis))

    def finish(self) -> None:
        """Put each twin behind the node that it stands beside, which goes if nothing reads it any more."""
        graph = self._graph
        read = {name for node in graph.node for name in all_inputs(node)} | {out.name for out in graph.output}
        nodes = []
        for node in graph.node:
            twin = self._twins.get(node.output[0]) if node.output else None
            if twin is None or node.output[0] in read:
                nodes.append(node)
            nodes += self._barriers.get(node.name, ())
            if twin is not None:
                nodes.append(twin)
        del graph.node[:]
        graph.node.extend(nodes)

    def _channel_axis(self, quantized: str) -> int | None:
        # Any axis will do, since all its scales are equal; along one of size 1 there would be a single scale.
        return next((i for i, size in enumerate(self._shapes[quantized]) if size > 1), None)

    def _repeated(self, node: onnx.NodeProto, size: int) -> list[str]:
        """Return the names of constants that hold a node's scale and zero point `size` times; add them."""
        names = []
        for name in node.input[1:]:
            names.append(f"{name}_x{size}")
            if names[-1] not in self._constants:
                value = numpy_helper.to_array(self._constants[name])
                repeated = numpy_helper.from_array(np.full(size, value), names[-1])
                self._graph.initializer.append(repeated)
                self._constants[names[-1]] = repeated
        return names
