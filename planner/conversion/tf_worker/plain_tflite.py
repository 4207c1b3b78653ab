"""TFLite files with sparse, packed or outlying constants -> files that tf2onnx reads right.

tf2onnx takes the bytes of a constant as they lie in the file, in the constant's whole shape.
"""

from typing import Any

import flatbuffers
import numpy as np
from tensorflow.lite.python import schema_py_generated as schema

from profiling.arrays import Array

_IDENTIFIER = b"TFL3"
_TYPES = {
    schema.TensorType.FLOAT32: np.float32,
    schema.TensorType.FLOAT16: np.float16,
    schema.TensorType.INT8: np.int8,
    schema.TensorType.INT32: np.int32,
}


def plain_content(content: bytes) -> bytes:
    """Return a file that computes the same, with every constant dense, in whole bytes and inside.

    A file whose constants are so already comes back as it is.
    """
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    changed = [_brought_inside(buffer, content) for buffer in model.buffers]
    for graph in model.subgraphs:
        changed += [_made_plain(tensor, model.buffers) for tensor in graph.tensors]
        _drop_densify(graph, model.operatorCodes)
    if not any(changed):
        return content
    builder = flatbuffers.Builder(len(content))
    builder.Finish(model.Pack(builder), _IDENTIFIER)
    return bytes(builder.Output())


def _brought_inside(buffer: Any, content: bytes) -> bool:
    if buffer.offset <= 1:  # as TensorFlow writes it where there is none
        return False
    buffer.data = np.frombuffer(content[buffer.offset : buffer.offset + buffer.size], np.uint8)
    buffer.offset = buffer.size = 0
    return True


def _made_plain(tensor: Any, buffers: list[Any]) -> bool:
    held = buffers[tensor.buffer]
    if held.data is None:
        return False
    shape = tuple(int(size) for size in tensor.shape) if tensor.shape is not None else ()
    if tensor.sparsity is not None and tensor.type in _TYPES:
        values = np.frombuffer(np.asarray(held.data, np.uint8).tobytes(), _TYPES[tensor.type])
        dense = densified(values, shape, tensor.sparsity)
        tensor.sparsity = None
    elif tensor.type == schema.TensorType.INT4:
        dense = unpacked(np.asarray(held.data, np.uint8), int(np.prod(shape)))
        tensor.type = schema.TensorType.INT8
    else:
        return False
    # Another tensor may share the bytes as they were.
    tensor.buffer = len(buffers)
    buffers.append(schema.BufferT())
    buffers[-1].data = np.frombuffer(dense.tobytes(), np.uint8)
    buffers[-1].offset = buffers[-1].size = 0
    return True


def _drop_densify(graph: Any, codes: list[Any]) -> None:
    """Let what reads a constant made dense read it as it is now."""
    idle = [
        op for op in graph.operators if codes[op.opcodeIndex].builtinCode == schema.BuiltinOperator.DENSIFY
    ]
    instead = {int(op.outputs[0]): int(op.inputs[0]) for op in idle}
    graph.operators = [op for op in graph.operators if op not in idle]
    for op in (op for op in graph.operators if op.inputs is not None):
        op.inputs = [instead.get(int(tensor), int(tensor)) for tensor in op.inputs]


def unpacked(packed: Array, count: int) -> Array:
    """Return 4-bit integers, two to a byte and the lower first, as int8."""
    both = np.stack([packed & 15, packed >> 4], axis=-1).reshape(-1)[:count].astype(np.int8)
    return np.where(both > 7, both - 16, both).astype(np.int8)  # noqa: PLR2004  the sign of four bits


def densified(values: Array, shape: tuple[int, ...], sparsity: Any) -> Array:
    """Return the dense form of a sparse constant.

    Its dimensions, and those inside blocks behind them, are walked in their order. A dense one has every
    place below each place above, a sparse one those that a range of its list of places holds.
    """
    order = [int(dim) for dim in sparsity.traversalOrder]
    places = np.zeros(1, np.int64)  # of what is reached at the level above
    coordinates_of = dict[int, Array]()  # dimension -> coordinate of each
    sizes = dict[int, int]()
    for dim, level in zip(order, sparsity.dimMetadata, strict=True):
        if level.format == schema.DimensionType.DENSE:
            sizes[dim] = int(level.denseSize)
            counts = np.full(len(places), sizes[dim])
            steps = np.tile(np.arange(sizes[dim]), len(places))
            below, coordinates = np.repeat(places, counts) * sizes[dim] + steps, steps
        else:
            starts = np.asarray(level.arraySegments.values, np.int64)
            counts = starts[places + 1] - starts[places]
            steps = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
            below = np.repeat(starts[places], counts) + steps
            coordinates = np.asarray(level.arrayIndices.values, np.int64)[below]
        coordinates_of = {
            dimension: np.repeat(coordinates_above, counts)
            for dimension, coordinates_above in coordinates_of.items()
        } | {dim: coordinates}
        places = below
    for block, dim in enumerate(sparsity.blockMap if sparsity.blockMap is not None else ()):
        inner = len(shape) + block
        coordinates_of[int(dim)] = coordinates_of[int(dim)] * sizes[inner] + coordinates_of[inner]
    dense = np.zeros(shape, values.dtype)
    dense[tuple(coordinates_of[dim] for dim in range(len(shape)))] = values[places]
    return dense
