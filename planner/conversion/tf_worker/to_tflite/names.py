"""Names in a `.tflite` file: ends as the source has them, operators by the layers that they come from."""

import re
from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any

from planner.conversion.tf_worker.layer_names import layer_scopes
from planner.conversion.tf_worker.traced_function import Traced
from profiling.litert.cut import SIGNATURE
from profiling.litert.flatbuffer import Tables, parse_tables, write_tables
from profiling.litert.table_access import listed, op_type, raw_name, tensors_of, text_of

# TensorFlow takes letters of ASCII only, and lists ends by their names: these keep the order of the source.
INPUT, OUTPUT = "in_{:04}", "out_{:04}"
# A fused operator has the names of all that it was made of; this one says whose it is.
_COMPUTING = re.compile(r"(?:^|/)(?:\w*conv\w*|depthwise|MatMul|BatchMatMul\w*)\d*$", re.IGNORECASE)


def named_file(content: bytes, source: Traced) -> bytes:
    """Return a converted file with names that people know.

    Keys of the signature, and the tensors behind them, are called as the source's ends; what an operator
    writes first is called LAYER/OPERATOR.

    Parameters
    ----------
    content
        A `.tflite` file whose ends are called `INPUT` and `OUTPUT`, by number.
    """
    tables = parse_tables(content, "the converted model")
    signature = next(iter(listed(tables.signatureDefs)), None) or _added_signature(tables)
    graph = tables.subgraphs[signature.subgraphIndex]
    ends: dict[int, str] = {}
    for entries, names in ((signature.inputs, source.inputs), (signature.outputs, source.outputs)):
        for entry, name in zip(sorted(listed(entries), key=lambda e: text_of(e.name)), names, strict=True):
            entry.name = name.encode()
            ends.setdefault(int(entry.tensorIndex), name)  # an end may be another one, too
    for tensor, name in (_operator_names(tables, graph, source.layers, ends) | ends).items():
        graph.tensors[tensor].name = name.encode()
    return write_tables(tables)


def _operator_names(tables: Any, graph: Any, layers: Collection[str], ends: dict[int, str]) -> dict[int, str]:
    """Return what an operator writes first -> its name, without ends."""
    kinds = [op_type(code) for code in listed(tables.operatorCodes)]
    writing = [operator for operator in listed(graph.operators) if tensors_of(operator.outputs)]
    written = [(tensors_of(operator.outputs)[0], kinds[operator.opcodeIndex]) for operator in writing]
    found = layer_scopes([_origin(raw_name(graph, tensor)) for tensor, _ in written], layers)
    scopes = _filled(writing, found)
    taken = Counter(ends.values())
    names = {}
    for (tensor, kind), scope in zip(written, scopes, strict=True):
        name = f"{scope}/{kind}" if scope else kind
        taken[name] += 1
        names[tensor] = f"{name}_{taken[name] - 1}" if taken[name] > 1 else name
    return names


def _filled(operators: Sequence[Any], scopes: Sequence[str]) -> list[str]:
    """Return scopes where an operator without one belongs to that of what it reads."""
    scope_of: dict[int, str] = {}
    filled = []
    for operator, own in zip(operators, scopes, strict=True):
        read = (scope_of[tensor] for tensor in tensors_of(operator.inputs) if scope_of.get(tensor))
        scope = own or next(read, "")
        scope_of |= dict.fromkeys(tensors_of(operator.outputs), scope)
        filled.append(scope)
    return filled


def _origin(name: str) -> str:
    """Return the operation that a fused operator is known by, without the number that the file adds."""
    parts = name.split(";")
    return next(filter(_COMPUTING.search, parts), parts[-1])


def _added_signature(tables: Any) -> Any:
    """Give a file a signature: TensorFlow writes none where it cannot save the model, as for odd names."""
    graph, signature = tables.subgraphs[0], Tables.signature()
    signature.signatureKey = SIGNATURE.encode()
    signature.subgraphIndex = 0
    signature.inputs = _entries(graph.inputs, INPUT)
    signature.outputs = _entries(graph.outputs, OUTPUT)
    tables.signatureDefs = [signature]
    return signature


def _entries(tensors: Sequence[int], name: str) -> list[Any]:
    entries = []
    for number, tensor in enumerate(tensors_of(tensors)):
        entry = Tables.signature_entry()
        entry.name, entry.tensorIndex = name.format(number).encode(), tensor
        entries.append(entry)
    return entries
