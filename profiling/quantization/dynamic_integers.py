"""Products of integers whose activations are rounded in each run: MatMulInteger behind DynamicQuantizeLinear.

Convolutions have such an operator as well, ConvInteger, and none gets it: ONNX Runtime's takes 3 to 120 times
as long as the convolution in float.
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from profiling.arrays import Array
from profiling.onnx_io.external_weights import LargeWeight, is_large, read_array, write_external
from profiling.quantization.node_form import (
    BIAS,
    WEIGHT,
    NewNames,
    NodeForm,
    Replacement,
    is_transposed,
    product_obstacle,
)
from profiling.quantization.weight_scales import channel_scales, to_integers

_SCALE_BYTES = 4


@dataclass(frozen=True, slots=True)
class DynamicIntegers(NodeForm):
    """MatMul and Gemm with int8 weights per column; what they read becomes uint8 over its range in that run.

    Parameters
    ----------
    reduce_range
        Whether weights use 7 of 8 bits, for kernels that overflow otherwise.
    """

    reduce_range: bool = False

    def obstacle(self, node: onnx.NodeProto, constants: Mapping[str, TensorProto]) -> str:
        """Return why a node cannot take it: it is no product with a constant matrix."""
        return product_obstacle(node, constants)

    def replaced(
        self, node: onnx.NodeProto, constants: Mapping[str, TensorProto], fresh: NewNames
    ) -> Replacement:
        """Return the nodes that the runtime fuses into one kernel."""
        weight, transposed = constants[node.input[WEIGHT]], is_transposed(node)
        scales = self._scales(weight, transposed=transposed)
        integers = self._integers(weight, scales, fresh(f"{weight.name}_int8"), transposed=transposed)
        steps = numpy_helper.from_array(scales, fresh(f"{weight.name}_scales"))
        rounded, scale, zero, product, exact, step = (
            fresh(f"{node.output[0]}/{what}") for what in ("uint8", "step", "zero", "sum", "cast", "steps")
        )
        nodes = [
            helper.make_node("DynamicQuantizeLinear", node.input[:1], [rounded, scale, zero]),
            helper.make_node("MatMulInteger", [rounded, integers.name, zero], [product]),
            helper.make_node("Cast", [product], [exact], to=TensorProto.FLOAT),
            helper.make_node("Mul", [scale, steps.name], [step]),
        ]
        nodes += _last(node, "Mul", [exact, step], fresh)
        return Replacement(tuple(_named(nodes, node, fresh)), (integers, steps))

    def in_float(
        self, node: onnx.NodeProto, constants: Mapping[str, TensorProto], fresh: NewNames
    ) -> Replacement:
        """Return the product of the same numbers in float32."""
        weight, transposed = constants[node.input[WEIGHT]], is_transposed(node)
        scales = self._scales(weight, transposed=transposed)
        values = _as_integers(read_array(weight), scales, transposed=transposed) * scales
        name = fresh(f"{weight.name}_rounded")
        if is_large(weight):
            constant = write_external(values.shape, TensorProto.FLOAT, [values]).reference(name)
        else:
            constant = numpy_helper.from_array(values, name)
        rounded, scale, zero, read = (
            fresh(f"{node.output[0]}/{what}") for what in ("uint8", "step", "zero", "read")
        )
        nodes = [
            helper.make_node("DynamicQuantizeLinear", node.input[:1], [rounded, scale, zero]),
            helper.make_node("DequantizeLinear", [rounded, scale, zero], [read]),
            *_last(node, "MatMul", [read, name], fresh),
        ]
        return Replacement(tuple(_named(nodes, node, fresh)), (constant,))

    def weight_bytes(self, node: onnx.NodeProto, constants: Mapping[str, TensorProto]) -> dict[str, int]:
        """Return the bytes of the weight as int8 and of a scale per column."""
        weight = constants[node.input[WEIGHT]]
        rows, columns = weight.dims[::-1] if is_transposed(node) else weight.dims
        return {weight.name: columns * (rows + _SCALE_BYTES)}

    def _scales(self, weight: TensorProto, *, transposed: bool) -> Array:
        return channel_scales(weight, 0 if transposed else 1, reduced=self.reduce_range)

    def _integers(self, weight: TensorProto, scales: Array, name: str, *, transposed: bool) -> TensorProto:
        if is_large(weight):
            large = _large_integers(LargeWeight.of(weight), scales.tobytes(), transposed)
            return large.reference(name)
        return numpy_helper.from_array(_as_integers(read_array(weight), scales, transposed=transposed), name)


def _as_integers(weight: Array, scales: Array, *, transposed: bool) -> Array:
    """Return a weight as int8 of [rows, columns]."""
    matrix = weight.T if transposed else weight
    return np.ascontiguousarray(to_integers(matrix, scales, np.zeros((), np.int8)))


@functools.cache
def _large_integers(
    weight: LargeWeight,
    scales: bytes,
    transposed: bool,  # noqa: FBT001  part of a key
) -> LargeWeight:
    """Return a large weight as int8; each is written once, however many models hold it."""
    matrix = np.concatenate(list(weight.iter_chunks()))
    integers = _as_integers(matrix, np.frombuffer(scales, np.float32), transposed=transposed)
    return write_external(integers.shape, TensorProto.INT8, [integers])


def _last(
    node: onnx.NodeProto, op_type: str, inputs: list[str], fresh: NewNames
) -> tuple[onnx.NodeProto, ...]:
    """Return what gives the output of a MatMul or Gemm: its product, and its bias added if it has one."""
    bias = [name for name in node.input[BIAS:] if name]
    if not bias:
        return (helper.make_node(op_type, inputs, list(node.output)),)
    product = fresh(f"{node.output[0]}/product")
    return (
        helper.make_node(op_type, inputs, [product]),
        helper.make_node("Add", [product, *bias], list(node.output)),
    )


def _named(nodes: list[onnx.NodeProto], replaced: onnx.NodeProto, fresh: NewNames) -> list[onnx.NodeProto]:
    """Give nodes names; the last one has that of the node that they replace."""
    for node in nodes[:-1]:
        node.name = fresh(f"{replaced.name}/{node.op_type}")
    nodes[-1].name = replaced.name
    return nodes
