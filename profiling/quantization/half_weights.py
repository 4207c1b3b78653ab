"""Weights stored as float16, which ONNX Runtime makes float32 when it loads them.

Operators of float16 would not do: processors without kernels for them compute in float32, so that numbers
that overflow or round on a device would not show where a plan is made.
"""

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from profiling.arrays import Array
from profiling.onnx_io.external_weights import LargeWeight, is_large, iter_chunks, read_array, write_external
from profiling.quantization.node_form import (
    PRODUCTS,
    WEIGHT,
    NewNames,
    NodeForm,
    Replacement,
    constant_weight,
)

_OPERATORS = PRODUCTS | {"Conv", "ConvTranspose"}
_FLOAT_BYTES = 4


@dataclass(frozen=True, slots=True)
class HalfWeights(NodeForm):
    """Products and convolutions whose weights are rounded to float16."""

    has_float_weights: ClassVar[bool] = True

    def obstacle(self, node: onnx.NodeProto, constants: Mapping[str, TensorProto]) -> str:
        """Return why a node cannot take it: it has no constant weight, or one beyond float16."""
        weight = constant_weight(node, constants, _OPERATORS)
        if isinstance(weight, str):
            return weight
        if len(weight.dims) < 2:  # noqa: PLR2004  a vector is not worth a node
            return f"{node.op_type} has a vector as weight"
        most = max((float(np.abs(block).max()) for block in iter_chunks(weight) if block.size), default=0.0)
        limits = np.finfo(np.float16)
        if limits.max < most < np.inf:
            return f"the weight {weight.name!r} has values beyond those of float16"
        # Below the least normal number, digits are lost until nothing but 0 is left.
        return f"the weight {weight.name!r} is too small for float16" if 0 < most < limits.tiny else ""

    def replaced(
        self, node: onnx.NodeProto, constants: Mapping[str, TensorProto], fresh: NewNames
    ) -> Replacement:
        """Return the node behind a Cast of its weight, which the runtime folds."""
        weight = constants[node.input[WEIGHT]]
        half, read = fresh(f"{weight.name}_float16"), fresh(f"{weight.name}_float32")
        cast = helper.make_node("Cast", [half], [read], fresh(f"{node.name}/Cast"), to=TensorProto.FLOAT)
        if is_large(weight):
            constant = _large_halves(LargeWeight.of(weight)).reference(half)
        else:
            constant = numpy_helper.from_array(read_array(weight).astype(np.float16), half)
        return Replacement((cast, _reading(node, read)), (constant,))

    def in_float(
        self, node: onnx.NodeProto, constants: Mapping[str, TensorProto], fresh: NewNames
    ) -> Replacement:
        """Return the node with the weight rounded."""
        weight = constants[node.input[WEIGHT]]
        name = fresh(f"{weight.name}_rounded")
        rounded = read_array(weight).astype(np.float16).astype(np.float32)
        if is_large(weight):
            constant = write_external(rounded.shape, TensorProto.FLOAT, [rounded]).reference(name)
        else:
            constant = numpy_helper.from_array(rounded, name)
        return Replacement((_reading(node, name),), (constant,))

    def weight_bytes(self, node: onnx.NodeProto, constants: Mapping[str, TensorProto]) -> dict[str, int]:
        """Return the bytes of the weight as it computes, in float32; in a file it has half of them."""
        weight = constants[node.input[WEIGHT]]
        return {weight.name: _FLOAT_BYTES * int(np.prod(weight.dims, dtype=np.int64))}


@functools.cache
def _large_halves(weight: LargeWeight) -> LargeWeight:
    """Return a large weight as float16; each is written once, however many models hold it."""

    def rows() -> Iterator[Array]:
        for block in weight.iter_chunks():
            yield block.astype(np.float16)

    return write_external(weight.dims, TensorProto.FLOAT16, rows())


def _reading(node: onnx.NodeProto, weight: str) -> onnx.NodeProto:
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    copy.input[WEIGHT] = weight
    return copy
