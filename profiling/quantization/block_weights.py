"""Weights of few bits in blocks that share a scale, unpacked in each run: ONNX Runtime's MatMulNBits."""

import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.capi import _pybind_state as runtime_tools

from profiling.arrays import Array
from profiling.onnx_io.external_weights import LargeWeight, is_large, read_array, write_external
from profiling.quantization.node_form import (
    BIAS,
    MS_DOMAIN,
    WEIGHT,
    NewNames,
    NodeForm,
    Replacement,
    is_transposed,
    product_obstacle,
)

_SCALE_BYTES, _BYTE_BITS = 4, 8
# The runtime's own quantizer, without `matmul_nbits_quantizer` around it: that needs the library onnx-ir and
# sets up logging for the whole process when it is imported.
_QUANTIZERS: Mapping[int, Callable[..., object]] = {
    4: runtime_tools.quantize_matmul_4bits,
    8: runtime_tools.quantize_matmul_8bits,
}


@dataclass(frozen=True, slots=True)
class BlockedWeight:
    """A matrix of `rows` inputs and `columns` outputs in integers around half of their range.

    Parameters
    ----------
    packed
        uint8 of [columns, blocks, bytes of a block]; with 4 bits the lower half of a byte comes first.
    scales
        float32 of [columns, blocks].
    """

    bits: int
    rows: int
    packed: Array
    scales: Array

    def in_float(self) -> Array:
        """Return the matrix that it stands for, float32 of [rows, columns]."""
        integers = self.packed
        if self.bits < _BYTE_BITS:
            integers = np.stack([self.packed & 15, self.packed >> 4], axis=-1)
        columns, blocks = self.scales.shape
        centred = integers.reshape(columns, blocks, -1).astype(np.float32) - np.float32(2 ** (self.bits - 1))
        values = (centred * self.scales[..., None]).reshape(columns, -1)
        return np.ascontiguousarray(values[:, : self.rows].T)


def to_blocks(matrix: Array, bits: int, block_size: int) -> BlockedWeight:
    """Return a matrix in blocks along its rows, as the runtime's quantizer rounds them.

    Parameters
    ----------
    matrix
        float32 of [rows, columns].
    """
    rows, columns = matrix.shape
    blocks = -(-rows // block_size)
    padded = np.pad(matrix, ((0, blocks * block_size - rows), (0, 0)))
    packed = np.zeros((columns, blocks, block_size * bits // _BYTE_BITS), np.uint8)
    scales = np.zeros((columns, blocks), np.float32)
    unused = np.zeros((columns, -(-blocks * bits // _BYTE_BITS)), np.uint8)  # zero points
    is_symmetric = True
    values = np.ascontiguousarray(padded, np.float32)
    _QUANTIZERS[bits](packed, values, scales, unused, block_size, columns, rows, is_symmetric)
    return BlockedWeight(bits, rows, packed, scales)


@dataclass(frozen=True, slots=True)
class BlockWeights(NodeForm):
    """MatMul and Gemm whose weights have a few bits, and a scale for each block of one column's rows.

    Sums are of float32: without an accuracy level the kernel does not round what it reads.
    """

    bits: int
    block_size: int

    def obstacle(self, node: onnx.NodeProto, constants: Mapping[str, TensorProto]) -> str:
        """Return why a node cannot take it: it is no product with a constant matrix."""
        return product_obstacle(node, constants)

    def replaced(
        self, node: onnx.NodeProto, constants: Mapping[str, TensorProto], fresh: NewNames
    ) -> Replacement:
        """Return one MatMulNBits; a Gemm's bias is an input of it."""
        weight, transposed = constants[node.input[WEIGHT]], is_transposed(node)
        packed, scales = self._stored(weight, fresh(f"{weight.name}_Q{self.bits}"), transposed=transposed)
        scales.name = fresh(f"{weight.name}_scales")
        rows, columns = weight.dims[::-1] if transposed else weight.dims
        bias = [name for name in node.input[BIAS:] if name]
        inputs = [node.input[0], packed.name, scales.name, *(["", "", *bias] if bias else [])]
        product = helper.make_node(
            "MatMulNBits",
            inputs,
            list(node.output),
            node.name,
            domain=MS_DOMAIN,
            K=rows,
            N=columns,
            bits=self.bits,
            block_size=self.block_size,
        )
        return Replacement((product,), (packed, scales))

    def in_float(
        self, node: onnx.NodeProto, constants: Mapping[str, TensorProto], fresh: NewNames
    ) -> Replacement:
        """Return the node with the weight that its blocks stand for."""
        weight, transposed = constants[node.input[WEIGHT]], is_transposed(node)
        values = self._blocks(read_array(weight), transposed=transposed).in_float()
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        copy.input[WEIGHT] = fresh(f"{weight.name}_rounded")
        rounded = np.ascontiguousarray(values.T if transposed else values)
        if is_large(weight):
            outside = write_external(tuple(weight.dims), TensorProto.FLOAT, [rounded])
            return Replacement((copy,), (outside.reference(copy.input[WEIGHT]),))
        return Replacement((copy,), (numpy_helper.from_array(rounded, copy.input[WEIGHT]),))

    def weight_bytes(self, node: onnx.NodeProto, constants: Mapping[str, TensorProto]) -> dict[str, int]:
        """Return the bytes of the weight's blocks, padded to whole ones, and of their scales."""
        weight = constants[node.input[WEIGHT]]
        rows, columns = weight.dims[::-1] if is_transposed(node) else weight.dims
        blocks = -(-rows // self.block_size)
        return {weight.name: columns * blocks * (self.block_size * self.bits // _BYTE_BITS + _SCALE_BYTES)}

    def _blocks(self, weight: Array, *, transposed: bool) -> BlockedWeight:
        return to_blocks(weight.T if transposed else weight, self.bits, self.block_size)

    def _stored(self, weight: TensorProto, name: str, *, transposed: bool) -> tuple[TensorProto, TensorProto]:
        """Return blocks and scales as constants; those of a large weight lie outside, too."""
        if is_large(weight):
            packed, scales = _large_blocks(LargeWeight.of(weight), self, transposed)
            return packed.reference(name), scales.reference(name)
        found = self._blocks(read_array(weight), transposed=transposed)
        return numpy_helper.from_array(found.packed, name), numpy_helper.from_array(found.scales, name)


@functools.cache
def _large_blocks(
    weight: LargeWeight,
    form: BlockWeights,
    transposed: bool,  # noqa: FBT001  part of a key
) -> tuple[LargeWeight, LargeWeight]:
    """Return a large weight in blocks; each is written once, however many models hold it."""
    matrix = np.concatenate(list(weight.iter_chunks()))
    found = to_blocks(matrix.T if transposed else matrix, form.bits, form.block_size)

    def rows(values: Array) -> Iterator[Array]:
        yield values

    return (
        write_external(found.packed.shape, TensorProto.UINT8, rows(found.packed)),
        write_external(found.scales.shape, TensorProto.FLOAT, rows(found.scales)),
    )
