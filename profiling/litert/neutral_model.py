"""A model as the quantizer can take it: what it stumbles over is written in another way, with equal numbers.

Its rules are patterns on tensor names, which contain each other, repeat and hold special characters:
tensors are called by number. It fails where two operators want one weight in different forms: each reader
has a weight of its own. It takes the caller for the last operator of the graph, and lets that read what it
converts for the caller: the last operator here reads a constant of its own.
"""

import copy
from collections.abc import Iterator
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any
from weakref import WeakKeyDictionary

from profiling.errors import QuantizeError
from profiling.litert.cut import whole_stage
from profiling.litert.flatbuffer import AlignedBuffer, parse_tables, write_tables
from profiling.litert.load import LitertModel
from profiling.litert.one_operator import ABS, append_operator
from profiling.litert.table_access import OPTIONAL, builtin_code, listed


@dataclass(frozen=True, slots=True)
class NeutralModel:
    """A model with tensors t0, t1 and so on.

    Parameters
    ----------
    origins
        Number in a tensor's name -> tensor of the model that it was.
    """

    content: bytes
    origins: tuple[int, ...]


_KNOWN: WeakKeyDictionary[LitertModel, NeutralModel] = WeakKeyDictionary()


def neutral_model(model: LitertModel) -> NeutralModel:
    """Return a model as the quantizer can take it; written once for each model, which may be large."""
    known = _KNOWN.get(model)
    if known is None:
        known = _KNOWN[model] = _written_anew(model)
    return known


def _written_anew(model: LitertModel) -> NeutralModel:
    renamed = replace(model, names=tuple(map(neutral_name, range(len(model.names)))))
    tables = parse_tables(whole_stage(renamed).content, model.shown)
    graph = tables.subgraphs[0]
    origins = list(range(len(model.names)))
    for operator, position, tensor in _constants_read_again(tables):
        own = copy.copy(graph.tensors[tensor])
        own.name = neutral_name(len(origins)).encode()
        origins.append(origins[int(graph.tensors[tensor].name[1:])])
        operator.inputs[position] = len(graph.tensors)
        graph.tensors.append(own)
    _give_each_its_buffer(tables)
    append_operator(tables, neutral_name(len(origins)), neutral_name(len(origins) + 1))
    origins += [0, 0]  # whatever they come from, nothing reads them
    return NeutralModel(write_tables(tables), tuple(origins))


def parse_quantized(content: bytes, shown: str) -> Any:
    """Return the tables of what the quantizer made of a neutral model, equal weights stored once."""
    tables = parse_tables(content, shown)
    operators = tables.subgraphs[0].operators
    last = operators.pop()
    if builtin_code(tables.operatorCodes[last.opcodeIndex]) != ABS:
        raise QuantizeError("LiteRT's quantizer changed the order of operators")
    tables.signatureDefs = None  # it may name what is an output no longer
    first: dict[bytes, int] = {}
    for graph in tables.subgraphs:
        for tensor in listed(graph.tensors):
            data = tables.buffers[tensor.buffer].data
            if data is not None:
                tensor.buffer = first.setdefault(sha256(data).digest(), tensor.buffer)
    return tables


def neutral_name(number: int) -> str:
    """Return what a tensor is called."""
    return f"t{number}"


def _constants_read_again(tables: Any) -> Iterator[tuple[Any, int, int]]:
    """Yield each operator and place that reads a constant which was read before."""
    graph = tables.subgraphs[0]
    seen = set[int]()
    for operator in listed(graph.operators):
        operator.inputs = [int(tensor) for tensor in listed(operator.inputs)]
        for position, tensor in enumerate(operator.inputs):
            if tensor == OPTIONAL or tables.buffers[graph.tensors[tensor].buffer].data is None:
                continue
            if tensor in seen:
                yield operator, position, tensor
            seen.add(tensor)


def _give_each_its_buffer(tables: Any) -> None:
    taken = set[int]()
    for graph in tables.subgraphs:
        for tensor in listed(graph.tensors):
            data = tables.buffers[tensor.buffer].data
            if data is not None and tensor.buffer in taken:
                tensor.buffer = len(tables.buffers)
                tables.buffers.append(AlignedBuffer(data=data))
            taken.add(tensor.buffer)
