"""Operators on integers (QOperator) in place of float ones between DequantizeLinear and QuantizeLinear (QDQ).

ONNX Runtime makes the same kernels of the pairs when it optimizes a model. Where the operators are in the
file, they run at every level of optimization, and in runtimes that do not fuse the pairs.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper

from profiling.arrays import Array
from profiling.errors import QuantizeError
from profiling.onnx_io.external_weights import read_array
from profiling.onnx_io.load_model import default_opset
from profiling.onnx_io.subgraphs import all_inputs
from profiling.quantization.node_form import BIAS, MS_DOMAIN, WEIGHT, attribute

QUANTIZE, DEQUANTIZE = "QuantizeLinear", "DequantizeLinear"
_WEIGHTED = {"Conv": "QLinearConv", "MatMul": "QLinearMatMul", "Gemm": "QGemm"}
_ELEMENTWISE = {"Add": "QLinearAdd", "Mul": "QLinearMul"}
_ONE_TENSOR = {
    "AveragePool": "QLinearAveragePool",
    "GlobalAveragePool": "QLinearGlobalAveragePool",
    "LeakyRelu": "QLinearLeakyRelu",
    "Sigmoid": "QLinearSigmoid",
    "Softmax": "QLinearSoftmax",
}
_CONCAT = {"Concat": "QLinearConcat"}
_OF_STANDARD = frozenset({"QLinearConv", "QLinearMatMul"})
# They run on integers as they are, where their output has the steps of their input.
_MOVES = frozenset({"Flatten", "MaxPool", "Reshape", "Slice", "Split", "Squeeze", "Transpose", "Unsqueeze"})
# The range of a quantized tensor clips as they do, so that nothing is left of them.
_RANGES = frozenset({"Clip", "Relu"})
_OPERATORS = {**_WEIGHTED, **_ELEMENTWISE, **_ONE_TENSOR, **_CONCAT}
_BIAS_ERROR = 1e-5  # relative: scales are products of float32


def operator_obstacle(op_type: str) -> str:
    """Return why an operator has no counterpart on integers; empty if it has, or vanishes in a range.

    Examples
    --------
    >>> operator_obstacle("Conv"), operator_obstacle("Exp")
    ('', 'Exp has no operator on integers in ONNX Runtime')
    """
    known = op_type in _OPERATORS or op_type in _MOVES | _RANGES
    return "" if known else f"{op_type} has no operator on integers in ONNX Runtime"


def unwritten_nodes(model: onnx.ModelProto, nodes: Collection[str]) -> dict[str, str]:
    """Return those of some nodes that cannot be written on integers -> why.

    Parameters
    ----------
    model
        With these nodes quantized between QuantizeLinear and DequantizeLinear.
    """
    pairs = _Pairs(model)
    written = ((node.name, pairs.on_integers(node)) for node in model.graph.node if node.name in nodes)
    return {name: found for name, found in written if isinstance(found, str)}


def write_on_integers(
    model: onnx.ModelProto, nodes: Collection[str], types: Mapping[str, onnx.ValueInfoProto], suffix: str
) -> None:
    """Write some nodes as operators on integers, in place, under their names.

    After: what they read and write keeps its integers, scale and zero point; QuantizeLinear and
    DequantizeLinear nodes that nothing needs any more are gone.

    Parameters
    ----------
    types
        Of the tensors of the float model, by name.
    suffix
        The quantized form of tensor T is named T + this.

    Raises
    ------
    QuantizeError
        If a node cannot be written so.
    """
    pairs, graph = _Pairs(model), model.graph
    replacements: dict[str, onnx.NodeProto] = {}
    for node in graph.node:
        if node.name in nodes:
            found = pairs.on_integers(node)
            if isinstance(found, str):
                raise QuantizeError(f"{node.op_type} {node.name!r} cannot be int8-qoperator: {found}")
            replacements[node.name] = found
    if not replacements:
        return
    integers = {name for node in replacements.values() for name in node.output if name}
    without_quantizers = (n for n in graph.node if n.op_type != QUANTIZE or n.output[0] not in integers)
    kept = [replacements.get(node.name, node) for node in without_quantizers]
    read = {name for node in kept for name in all_inputs(node)} | {end.name for end in graph.output}
    kept = [node for node in kept if node.op_type != DEQUANTIZE or node.output[0] in read]
    del graph.node[:]
    graph.node.extend(kept)
    pairs.record_types(types, suffix)
    _import_domain(model)


@dataclass(frozen=True, slots=True)
class _Integers:
    """A quantized tensor: its name, those of its scale and zero point, and the axis of several scales."""

    name: str
    scale: str
    zero_point: str = ""
    axis: int | None = None

    @property
    def all(self) -> tuple[str, str, str]:
        """What an operator reads of it."""
        return self.name, self.scale, self.zero_point

    @property
    def steps(self) -> tuple[str, str]:
        """Scale and zero point, as an operator that writes it wants them."""
        return self.scale, self.zero_point


class _NoOperatorError(Exception):
    """Why a node cannot be written on integers."""


class _Pairs:
    """The QuantizeLinear and DequantizeLinear nodes of a model, by the tensors that they write and read."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self._model = model
        self._constants = {tensor.name: tensor for tensor in model.graph.initializer}
        self._outputs = {end.name for end in model.graph.output}
        self._writer = {name: node for node in model.graph.node for name in node.output if name}
        self._readers: dict[str, list[onnx.NodeProto]] = {}
        for node in model.graph.node:
            for name in all_inputs(node):
                self._readers.setdefault(name, []).append(node)

    def on_integers(self, node: onnx.NodeProto) -> onnx.NodeProto | str:
        """Return a node on the integers around it, or why there is none."""
        try:
            written = self._operator(node)
        except _NoOperatorError as obstacle:
            return str(obstacle)
        written.name = node.name
        return written

    def record_types(self, types: Mapping[str, onnx.ValueInfoProto], suffix: str) -> None:
        """Record the types of all tensors: inference stops at operators of a domain that it does not know."""
        graph = self._model.graph
        recorded = {value.name for value in (*graph.input, *graph.value_info, *graph.output)}
        # Others than the tool's own may have no zero point, and lie where nothing is written anew.
        quantizers = {
            name: node
            for name, node in self._writer.items()
            if node.op_type == QUANTIZE and name.endswith(suffix)
        }
        steps = {name: _Integers(name, *node.input[1:]) for name, node in quantizers.items()}
        for name in (name for node in graph.node for name in node.output if name not in recorded):
            source = types.get(name.removesuffix(suffix))
            if source is None:
                continue
            value = graph.value_info.add()
            value.CopyFrom(source)
            value.name = name
            if name in steps:
                value.type.tensor_type.elem_type = self._type_of(steps[name])

    def _operator(self, node: onnx.NodeProto) -> onnx.NodeProto:
        op_type = node.op_type
        if op_type in _RANGES:
            raise _NoOperatorError(f"{op_type} clips at other numbers than the range of its integers does")
        if obstacle := operator_obstacle(op_type):
            raise _NoOperatorError(obstacle)
        if op_type in _MOVES:
            return self._moving(node)
        if op_type in _WEIGHTED:
            return self._weighted(node)
        if op_type in _CONCAT:
            return self._concatenating(node)
        return self._of_tensors(node)

    def _moving(self, node: onnx.NodeProto) -> onnx.NodeProto:
        source = self._read(node.input[0])
        targets = [self._written(name) for name in node.output]
        if any(self._values(target.steps) != self._values(source.steps) for target in targets):
            raise _NoOperatorError(f"{node.op_type} would have to change the steps of its integers")
        inputs = [source.name, *node.input[1:]]
        outputs = [target.name for target in targets]
        return _new_node(node, node.op_type, inputs, outputs, domain=node.domain)

    def _weighted(self, node: onnx.NodeProto) -> onnx.NodeProto:
        source, weight = self._read(node.input[0]), self._read(node.input[WEIGHT], per_channel=True)
        self._type_of(weight)
        target = self._written(node.output[0])
        if weight.axis is not None and weight.axis != self._channel_axis(node, weight):
            raise _NoOperatorError(f"{node.op_type} has scales along another axis than its outputs")
        if node.op_type == "Gemm" and attribute(node, "beta", 1) != 1:
            raise _NoOperatorError("Gemm has a factor on its bias")
        has_bias = len(node.input) > BIAS and bool(node.input[BIAS])
        bias = [self._bias(node, source, weight)] if has_bias else []
        if node.op_type != "Gemm":
            ends = [*source.all, *weight.all, *target.steps, *bias]
            return _new_node(node, _WEIGHTED[node.op_type], ends, [target.name])
        ends = [*source.all, *weight.all, *(bias or [""]), *target.steps]
        return _new_node(node, _WEIGHTED[node.op_type], ends, [target.name], without="beta")

    def _bias(self, node: onnx.NodeProto, source: _Integers, weight: _Integers) -> str:
        bias = self._read(node.input[BIAS], per_channel=True)
        scale, of_source, of_weight = (
            self._constant(one.scale).astype(np.float64) for one in (bias, source, weight)
        )
        if self._constants[bias.name].data_type != TensorProto.INT32 or not np.allclose(
            scale, of_source * of_weight, rtol=_BIAS_ERROR, atol=0
        ):
            raise _NoOperatorError(f"{node.op_type} has a bias in other steps than those of its sums")
        if bias.zero_point and self._constant(bias.zero_point).any():
            raise _NoOperatorError(f"{node.op_type} has a bias with a zero point")
        return bias.name

    def _channel_axis(self, node: onnx.NodeProto, weight: _Integers) -> int:
        """Return the axis of a weight along which a node's outputs lie."""
        if node.op_type == "Conv" or (node.op_type == "Gemm" and attribute(node, "transB", 0)):
            return 0
        return self._rank(weight) - 1

    def _concatenating(self, node: onnx.NodeProto) -> onnx.NodeProto:
        sources, target = [self._read(name) for name in node.input], self._written(node.output[0])
        self._require_one_type([*sources, target], node)
        ends = [*target.steps, *(part for source in sources for part in source.all)]
        return _new_node(node, _CONCAT[node.op_type], ends, [target.name])

    def _of_tensors(self, node: onnx.NodeProto) -> onnx.NodeProto:
        sources, target = [self._read(name) for name in node.input], self._written(node.output[0])
        self._require_one_type([*sources, target], node)
        ends = [*(part for source in sources for part in source.all), *target.steps]
        written = _new_node(node, _OPERATORS[node.op_type], ends, [target.name])
        if node.op_type == "Softmax":
            written.attribute.append(helper.make_attribute("opset", default_opset(self._model)))
        return written

    def _read(self, name: str, *, per_channel: bool = False) -> _Integers:
        """Return the integers that a node reads dequantized."""
        before = self._writer.get(name)
        if before is None or before.op_type != DEQUANTIZE:
            raise _NoOperatorError(f"{name!r} is read in float")
        zero_point = before.input[2] if len(before.input) > 2 else ""  # noqa: PLR2004
        found = _Integers(before.input[0], before.input[1], zero_point)
        if not per_channel:
            self._type_of(found)
        if self._constant(found.scale).size == 1:
            return found
        if not per_channel:
            raise _NoOperatorError(f"{name!r} has several scales")
        axis = next((int(a.i) for a in before.attribute if a.name == "axis"), 1)
        return _Integers(*found.all, axis % self._rank(found))

    def _written(self, name: str) -> _Integers:
        """Return the integers that are made of what a node writes, and of nothing else."""
        readers = self._readers.get(name, [])
        if name in self._outputs or [reader.op_type for reader in readers] != [QUANTIZE]:
            raise _NoOperatorError(f"{name!r} is read in float")
        (quantizer,) = readers
        written = _Integers(quantizer.output[0], *quantizer.input[1:])
        self._type_of(written)
        return written

    def _require_one_type(self, tensors: Sequence[_Integers], node: onnx.NodeProto) -> None:
        if len({self._type_of(tensor) for tensor in tensors}) > 1:
            raise _NoOperatorError(f"{node.op_type} reads or writes integers of two types")

    def _type_of(self, tensor: _Integers) -> int:
        if tensor.zero_point not in self._constants:
            raise _NoOperatorError(f"{tensor.name!r} has no constant zero point")
        return int(self._constants[tensor.zero_point].data_type)

    def _rank(self, tensor: _Integers) -> int:
        return len(self._constants[tensor.name].dims)

    def _constant(self, name: str) -> Array:
        if name not in self._constants:
            raise _NoOperatorError(f"{name!r} is computed")
        return read_array(self._constants[name])

    def _values(self, names: Sequence[str]) -> list[tuple[str, object]]:
        return [(str(value.dtype), value.tolist()) for value in map(self._constant, names)]


def _new_node(
    node: onnx.NodeProto,
    op_type: str,
    inputs: Sequence[str],
    outputs: Sequence[str],
    *,
    domain: str | None = None,
    without: str = "",
) -> onnx.NodeProto:
    """Return a node of another operator with the attributes of one."""
    if domain is None:
        domain = "" if op_type in _OF_STANDARD else MS_DOMAIN
    written = helper.make_node(op_type, inputs, outputs, domain=domain)
    written.attribute.extend(one for one in node.attribute if one.name != without)
    return written


def _import_domain(model: onnx.ModelProto) -> None:
    used, known = {node.domain for node in model.graph.node}, {entry.domain for entry in model.opset_import}
    if MS_DOMAIN in used - known:
        model.opset_import.append(helper.make_opsetid(MS_DOMAIN, 1))
