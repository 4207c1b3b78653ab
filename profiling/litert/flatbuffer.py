"""The door to flatbuffers: the bytes of a `.tflite` file to its tables, and tables to bytes."""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from profiling.arrays import Array
from profiling.errors import ModelError
from profiling.input_files import MEBI, read_input

IDENTIFIER = b"TFL3"
_HEADER_BYTES = 8  # where the root table is, and the identifier
_VERSION = 3
_MOST_BYTES = 2048 * MEBI - 1  # a flatbuffer's offsets have a sign
_ALIGNMENT = 16  # of weights, as the schema asks for
_PLACEHOLDER = 1  # an offset of a buffer that is to be filled in
_SLACK = 65536
_TABLE_BYTES = 1024  # of a tensor or an operator, with its name
_SCALE_BYTES = 12  # a float, and a zero point of 64 bits
# What reading tables at wrong places raises: flatbuffers for Python checks nothing beforehand.
_UNREADABLE = (struct.error, IndexError, ValueError, TypeError, OverflowError, UnicodeDecodeError)

BUILTIN_NAMES: dict[int, str] = {
    number: name for name, number in vars(schema.BuiltinOperator).items() if not name.startswith("_")
}


class Tables:
    """Makes tables of the schema: what a stage has that its model has not."""

    model = schema.ModelT
    subgraph = schema.SubGraphT
    tensor = schema.TensorT
    operator = schema.OperatorT
    operator_code = schema.OperatorCodeT
    signature = schema.SignatureDefT
    signature_entry = schema.TensorMapT
    quantization = schema.QuantizationParametersT


class AlignedBuffer(schema.BufferT):  # type: ignore[misc]
    """A buffer whose bytes begin at a multiple of 16 in the file, which the schema's own writer forgets."""

    def Pack(self, builder: Any) -> Any:  # noqa: N802  the schema's name
        """Write the buffer and return where it is."""
        data = None
        if self.data is not None:
            content = np.ascontiguousarray(self.data).view(np.uint8).reshape(-1)
            builder.StartVector(1, len(content), _ALIGNMENT)
            builder.head -= len(content)
            builder.Bytes[builder.head : builder.head + len(content)] = content.data
            data = builder.EndVector()
        schema.BufferStart(builder)
        if data is not None:
            schema.BufferAddData(builder, data)
        return schema.BufferEnd(builder)


def read_tables(path: Path) -> Any:
    """Return the tables of a `.tflite` file, weights that lie behind the flatbuffer read in.

    Raises
    ------
    ModelError
        If it cannot be read, is no such file, or is truncated.
    """
    try:
        content = read_input(path, _MOST_BYTES)
    except OSError as exc:
        raise ModelError(f"cannot read the model {path}: {exc.strerror or exc}") from exc
    return parse_tables(content, str(path))


def parse_tables(content: bytes, shown: str) -> Any:
    """Return the tables of a model in memory; errors as `read_tables`.

    Parameters
    ----------
    shown
        What messages call it.
    """
    if content[len(IDENTIFIER) : _HEADER_BYTES] != IDENTIFIER:
        raise ModelError(f"{shown} is no .tflite file: it does not begin as one")
    try:
        model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    except _UNREADABLE as exc:
        raise ModelError(f"{shown} is damaged or truncated: a table lies outside the file") from exc
    if model.version != _VERSION:
        raise ModelError(f"{shown} has version {model.version} of the .tflite format, not {_VERSION}")
    if model.externalBufferGroups or model.externalBuffers:
        raise ModelError(f"{shown} keeps weights in other files, which is not supported")
    model.buffers = [_filled(buffer, content, shown) for buffer in model.buffers or []]
    for operator in _operators(model):
        if operator.largeCustomOptionsOffset > _PLACEHOLDER:
            place = operator.largeCustomOptionsOffset, operator.largeCustomOptionsSize
            operator.customOptions = _piece(content, *place, shown)
            operator.largeCustomOptionsOffset = operator.largeCustomOptionsSize = 0
    return model


def weight_places(content: bytes) -> list[tuple[int, int]]:
    """Return offset and size of weights in the bytes of a model, in their order there.

    Those that could not be read without a copy are left out.
    """
    whole = np.frombuffer(content, np.uint8)
    found = [buffer.data for buffer in parse_tables(content, "the model").buffers if buffer.data is not None]
    start = _address(whole)
    return sorted((_address(data) - start, len(data)) for data in found if np.shares_memory(whole, data))


def _address(values: Array) -> int:
    return int(values.__array_interface__["data"][0])


def _filled(buffer: Any, content: bytes, shown: str) -> AlignedBuffer:
    data = buffer.data
    if buffer.offset > _PLACEHOLDER:
        data = _piece(content, buffer.offset, buffer.size, shown)
    # The schema gives 0 for an empty vector.
    return AlignedBuffer(data=data if isinstance(data, np.ndarray) and len(data) else None)


def _piece(content: bytes, offset: int, size: int, shown: str) -> Array:
    if offset + size > len(content):
        raise ModelError(
            f"{shown} is damaged or truncated: bytes {offset} to {offset + size} hold weights, "
            f"but the file ends at {len(content)}"
        )
    return np.frombuffer(content, np.uint8, size, offset)


def _operators(model: Any) -> Iterator[Any]:
    for subgraph in model.subgraphs or []:
        yield from subgraph.operators or []


def write_tables(model: Any) -> bytes:
    """Return tables as the bytes of a `.tflite` file.

    Raises
    ------
    ModelError
        If they take more than the 2 GiB of a flatbuffer.
    """
    weights = sum(buffer.data.nbytes for buffer in model.buffers if buffer.data is not None)
    if weights + _SLACK > _MOST_BYTES:
        raise ModelError(f"the model has {weights} bytes of weights; a .tflite file takes up to 2 GiB")
    # Growing would copy all weights each time.
    builder = flatbuffers.Builder(min(weights + _SLACK + _beside_weights(model), _MOST_BYTES))
    builder.Finish(model.Pack(builder), IDENTIFIER)
    return bytes(memoryview(builder.Bytes)[builder.Head() :])


def _beside_weights(model: Any) -> int:
    """Return about how many bytes tables take whose size grows with the model: mostly enough."""
    graphs = list(model.subgraphs or [])
    tensors = [tensor for graph in graphs for tensor in graph.tensors or []]
    scales = sum(np.size(tensor.quantization.scale) for tensor in tensors if tensor.quantization is not None)
    operators = sum(len(graph.operators or []) for graph in graphs)
    return _TABLE_BYTES * (len(tensors) + operators) + _SCALE_BYTES * scales
