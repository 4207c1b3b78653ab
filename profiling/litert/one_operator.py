"""An operator that reads a constant of its own: for a model beside which it stands, or by itself."""

from typing import Any

import numpy as np

from profiling.litert.flatbuffer import AlignedBuffer, Tables, write_tables

ABS = 101
_VERSION = 3


def append_operator(tables: Any, read_name: str, written_name: str) -> None:
    """Append an operator to the first graph of some tables, which nothing there reads."""
    graph = tables.subgraphs[0]
    read, written, code, operator = (
        Tables.tensor(),
        Tables.tensor(),
        Tables.operator_code(),
        Tables.operator(),
    )
    read.name, written.name = read_name.encode(), written_name.encode()
    read.shape, written.shape = [1], [1]
    read.buffer, written.buffer = len(tables.buffers), 0
    tables.buffers.append(AlignedBuffer(data=np.ones(1, np.float32)))
    code.builtinCode = code.deprecatedBuiltinCode = ABS
    operator.opcodeIndex = len(tables.operatorCodes)
    operator.inputs, operator.outputs = [len(graph.tensors)], [len(graph.tensors) + 1]
    tables.operatorCodes.append(code)
    graph.tensors += [read, written]
    graph.operators.append(operator)


def one_operator() -> bytes:
    """Return the smallest model that the runtime hands to its delegate."""
    tables, graph = Tables.model(), Tables.subgraph()
    tables.version, tables.subgraphs, tables.operatorCodes, tables.buffers = _VERSION, [graph], [], []
    tables.buffers.append(AlignedBuffer())
    graph.tensors, graph.operators, graph.inputs, graph.outputs = [], [], [], []
    append_operator(tables, "read", "written")
    # Fed, not constant: the delegate takes no part of a graph in which everything is known.
    graph.tensors[0].buffer, graph.inputs, graph.outputs = 0, [0], [1]
    return write_tables(tables)
