"""What is wrong with a file's indices, sizes and order: the runtime would read or write elsewhere."""

from collections import Counter
from collections.abc import Container, Iterator
from typing import Any

from profiling.arrays import Array
from profiling.litert.element_types import ELEMENT_TYPES
from profiling.litert.table_access import (
    OPTIONAL,
    listed,
    named_subgraphs,
    raw_name,
    shape_of,
    subgraph_fields,
    tensors_of,
    text_of,
)


def faults(tables: Any) -> Iterator[str]:
    """Yield what is wrong with the tables of a file, each in words."""
    if not listed(tables.subgraphs):
        yield "it has no graph"
    for number, graph in enumerate(listed(tables.subgraphs)):
        yield from _tensor_faults(tables, graph)
        yield from _operator_faults(tables, graph, f"graph {number}")
    for signature in listed(tables.signatureDefs):
        yield from _signature_faults(tables, signature)
    for metadata in listed(tables.metadata):
        if not 0 <= metadata.buffer < len(tables.buffers):
            yield f"metadata names buffer {metadata.buffer} of {len(tables.buffers)}"


def _signature_faults(tables: Any, signature: Any) -> Iterator[str]:
    key = text_of(signature.signatureKey)
    if not 0 <= signature.subgraphIndex < len(tables.subgraphs):
        yield f"signature {key!r} names graph {signature.subgraphIndex} of {len(tables.subgraphs)}"
        return
    graph = tables.subgraphs[signature.subgraphIndex]
    for entries, ends in ((signature.inputs, graph.inputs), (signature.outputs, graph.outputs)):
        for entry in listed(entries):
            if entry.tensorIndex not in tensors_of(ends):
                yield f"signature {key!r} names tensor {entry.tensorIndex}, which is no such end of its graph"
        twice = [
            name for name, times in Counter(text_of(e.name) for e in listed(entries)).items() if times > 1
        ]
        for name in twice:
            yield f"signature {key!r} lists {name!r} twice"


def _tensor_faults(tables: Any, graph: Any) -> Iterator[str]:
    for index, tensor in enumerate(listed(graph.tensors)):
        name = raw_name(graph, index)
        if not 0 <= tensor.buffer < len(tables.buffers):
            yield f"tensor {name!r} names buffer {tensor.buffer} of {len(tables.buffers)}"
            return
        if tensor.type not in ELEMENT_TYPES:
            yield f"tensor {name!r} has an unknown element type, {tensor.type}"
        elif min(shape_of(tensor), default=0) < 0:
            yield f"tensor {name!r} has a negative dimension"
        else:
            yield from _size_faults(tensor, name, tables.buffers[tensor.buffer].data)


def _size_faults(tensor: Any, name: str, data: Array | None) -> Iterator[str]:
    bits = ELEMENT_TYPES[tensor.type].bits
    elements = 1
    for size in shape_of(tensor):
        elements *= size  # Python's numbers do not overflow
    wanted = -(-elements * bits // 8)
    if data is not None and bits and tensor.sparsity is None and len(data) != wanted:
        yield f"tensor {name!r} has {len(data)} bytes where its shape needs {wanted}"


def _operator_faults(tables: Any, graph: Any, place: str) -> Iterator[str]:
    count = len(listed(graph.tensors))
    for index in (*listed(graph.inputs), *listed(graph.outputs)):
        if not 0 <= index < count:
            yield f"{place} names tensor {index} of {count} as an end"
            return
    for number, operator in enumerate(listed(graph.operators)):
        yield from _index_faults(tables, operator, count, f"operator {number} of {place}")
    written = Counter(t for operator in listed(graph.operators) for t in tensors_of(operator.outputs))
    for tensor, times in written.items():
        if times > 1:
            yield f"tensor {raw_name(graph, tensor)!r} is written twice"
    yield from _order_faults(tables, graph, written)


def _index_faults(tables: Any, operator: Any, tensors: int, place: str) -> Iterator[str]:
    codes = len(listed(tables.operatorCodes))
    if not 0 <= operator.opcodeIndex < codes:
        yield f"{place} names type {operator.opcodeIndex} of {codes}"
    for index in (*listed(operator.inputs), *listed(operator.outputs), *listed(operator.intermediates)):
        if not OPTIONAL <= index < tensors:
            yield f"{place} names tensor {index} of {tensors}"
    for options, field in subgraph_fields(operator):
        if not all(0 <= index < len(tables.subgraphs) for index in named_subgraphs(options, field)):
            yield f"{place} runs a graph that is not there"


def _order_faults(tables: Any, graph: Any, written: Container[int]) -> Iterator[str]:
    known = set(tensors_of(graph.inputs))
    for operator in listed(graph.operators):
        for tensor in tensors_of(operator.inputs):
            table = graph.tensors[tensor]
            if tensor in known or tables.buffers[table.buffer].data is not None or table.isVariable:
                continue
            name = raw_name(graph, tensor)
            if tensor in written:
                yield f"tensor {name!r} is read before it is written"
            elif 0 not in shape_of(table) or not shape_of(table):
                yield f"tensor {name!r} is read, but nothing writes it"
        known.update(tensors_of(operator.outputs))
