"""Reads nodes and edges of an ONNX file without onnx, which old systems often lack."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

# Wire types of the protobuf encoding: https://protobuf.dev/programming-guides/encoding
_VARINT, _FIXED64, _LENGTH_DELIMITED, _FIXED32 = 0, 1, 2, 5
_FIXED_BYTES = {_FIXED64: 8, _FIXED32: 4}
# Field numbers of onnx.proto.
_MODEL_GRAPH, _GRAPH_NODE = 7, 1
_NODE_INPUT, _NODE_OUTPUT, _NODE_NAME, _NODE_OP_TYPE = 1, 2, 3, 4


class Node(NamedTuple):
    """A node of a graph and the tensors that it reads and writes; "" where an optional one is left out."""

    name: str
    op_type: str
    inputs: list[str]
    outputs: list[str]


def read_nodes(model: Path) -> list[Node]:
    """Return every node of an ONNX file's main graph, in its order."""
    # Weights may be large: of a mapped file only the pages that hold nodes are ever read.
    with model.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return [
            _node(data, *node)
            for graph in _messages(data, 0, len(data), _MODEL_GRAPH)
            for node in _messages(data, *graph, _GRAPH_NODE)
        ]


def _node(data: mmap.mmap, start: int, end: int) -> Node:
    def strings(field: int) -> list[str]:
        return [data[first:last].decode() for first, last in _messages(data, start, end, field)]

    name, op_type = ("".join(strings(field)[-1:]) for field in (_NODE_NAME, _NODE_OP_TYPE))
    return Node(name, op_type, strings(_NODE_INPUT), strings(_NODE_OUTPUT))


def _messages(data: mmap.mmap, start: int, end: int, field: int) -> Iterator[tuple[int, int]]:
    """Yield where the values of a length-delimited field of a protobuf message begin and end."""
    while start < end:
        key, start = _varint(data, start)
        wire_type = key & 7
        if wire_type == _VARINT:
            _, start = _varint(data, start)
            continue
        if wire_type == _LENGTH_DELIMITED:
            length, start = _varint(data, start)
            if key >> 3 == field:
                yield start, start + length
        else:
            length = _FIXED_BYTES[wire_type]
        start += length


def _varint(data: mmap.mmap, start: int) -> tuple[int, int]:
    """Return a number in base 128, its low digits first, and where the next one begins."""
    value = shift = 0
    while True:
        byte = data[start]
        value |= (byte & 127) << shift
        start, shift = start + 1, shift + 7
        if byte < 128:
            return value, start
