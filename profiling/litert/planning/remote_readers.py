"""Readers on other devices get what crosses the link: the integers of a tensor that has some.

LiteRT lets a float unit read the float form of a tensor that another unit reads as integers. One form of a
tensor crosses a link: its integers, which a float reader behind the link brings back. So does the caller for
an output.
"""

import copy
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from profiling.litert.flatbuffer import Tables
from profiling.litert.load import LitertModel, unique_name
from profiling.litert.quantize import QuantizedModel
from profiling.litert.table_access import builtin_code, listed
from profiling.litert.unit_graph import LitertGraph

_DEQUANTIZE, _VERSION = 6, 2  # of the operator; its second version takes int8
_ENDING = "_dequantized"


def with_integers_read(
    graph: LitertGraph,
    parted: QuantizedModel,
    remote: Mapping[str, Collection[int]],
    due: Collection[str] = (),
) -> QuantizedModel:
    """Return a quantized model in which some units read a tensor through its integers.

    Parameters
    ----------
    remote
        Name of a tensor -> units on other devices than the one that computes it.
    due
        Outputs that are due on another device than the one that computes them.
    """
    for name, units in remote.items():
        floats = _reading_floats(graph, parted, name, units)
        if floats and (quantizers := _quantizers(parted, name)):
            parted = _read_back(parted, name, quantizers[0], floats)
    for name in due:
        if quantizers := _quantizers(parted, name):
            parted = _given_back(_read_back(parted, name, quantizers[0], ()), name)
    return parted


def _rounds_floats(model: LitertModel, number: int) -> bool:
    """Whether an operator makes integers of floats; a QUANTIZE may also bring integers to another scale."""
    read = model.reads[number][0]
    return model.op_types[number] == "QUANTIZE" and model.element_type(read).name == "float32"


def _quantizers(parted: QuantizedModel, name: str) -> list[int]:
    return [
        number
        for number, tensor in parted.conversions.items()
        if tensor == name and _rounds_floats(parted.model, number)
    ]


def _given_back(parted: QuantizedModel, name: str) -> QuantizedModel:
    """Return the model whose output is the tensor that `_read_back` made last."""
    model = parted.model
    exact, made = model.outputs[name], len(model.names) - 1
    writer, back = model.writers[exact], model.writers[made]
    tables, graph = copy.copy(model.tables), copy.copy(model.graph)
    graph.outputs = [made if int(tensor) == exact else int(tensor) for tensor in listed(graph.outputs)]
    tables.subgraphs = [
        graph if index == model.subgraph else one for index, one in enumerate(tables.subgraphs)
    ]
    names = list(model.names)
    names[exact], names[made] = names[made], name
    changed = replace(model, tables=tables, outputs={**model.outputs, name: made}, names=tuple(names))
    # The unit that computes an output gives it, where nothing else is to bring it back.
    operators = tuple(
        tuple(sorted((*numbers, back))) if writer in numbers else numbers for numbers in parted.operators
    )
    return replace(parted, model=changed, operators=operators)


def _reading_floats(
    graph: LitertGraph, parted: QuantizedModel, name: str, units: Collection[int]
) -> list[int]:
    """Return operators of some units that read a tensor as float."""
    model = parted.model
    tensor = model.names.index(name) if name in model.names else None
    return [
        number
        for unit in units
        if name in graph.units[unit].inputs
        for number in parted.operators[unit]
        if number not in parted.conversions and tensor in model.reads[number]
    ]


def _read_back(parted: QuantizedModel, name: str, quantizer: int, readers: Collection[int]) -> QuantizedModel:
    """Return the model in which some operators read a tensor behind a DEQUANTIZE of its integers."""
    model = parted.model
    integers = model.writes[quantizer][0]
    floats = model.names.index(name)
    tables, graph = copy.copy(model.tables), copy.copy(model.graph)
    added = len(graph.tensors)
    table = copy.copy(graph.tensors[floats])
    table.name = (name + _ENDING).encode()
    graph.tensors = [*graph.tensors, table]
    operators = [
        _reading(operator, floats, added) if number in readers else operator
        for number, operator in enumerate(model.operators)
    ]
    tables.operatorCodes, code = _with_dequantize(tables)
    back = Tables.operator()
    back.opcodeIndex, back.inputs, back.outputs = code, [integers], [added]
    # LiteRT's quantizer may put it behind readers of the floats.
    place = min((quantizer, *readers))
    moved = operators.pop(quantizer)
    graph.operators = [*operators[:place], moved, back, *operators[place:]]
    tables.subgraphs = [
        graph if index == model.subgraph else one for index, one in enumerate(tables.subgraphs)
    ]
    names = (*model.names, unique_name(name + _ENDING, added, model.names))
    changed = LitertModel(
        model.shown, tables, model.subgraph, model.inputs, model.outputs, names, model.varying
    )
    return _renumbered(replace(parted, model=changed), quantizer, place, name)


def _reading(operator: Any, old: int, new: int) -> Any:
    changed = copy.copy(operator)
    changed.inputs = [new if int(tensor) == old else int(tensor) for tensor in listed(operator.inputs)]
    return changed


def _with_dequantize(tables: Any) -> tuple[list[Any], int]:
    """Return the operator codes with one that brings integers back, and its number."""
    codes = list(tables.operatorCodes)
    for number, code in enumerate(codes):
        if builtin_code(code) == _DEQUANTIZE:
            return codes, number
    code = Tables.operator_code()
    code.builtinCode = code.deprecatedBuiltinCode = _DEQUANTIZE
    code.version = _VERSION
    return [*codes, code], len(codes)


def _renumbered(parted: QuantizedModel, quantizer: int, place: int, name: str) -> QuantizedModel:
    """Return a model whose operators are numbered anew.

    One was moved to a place, and what brings its integers back put behind it; that goes with readers.
    """
    added = place + 1

    def new(number: int) -> int:
        if number == quantizer:
            return place
        return number + (number >= place) + (place <= number < quantizer)

    return replace(
        parted,
        operators=tuple(tuple(map(new, numbers)) for numbers in parted.operators),
        shared=frozenset((*map(new, parted.shared), added)),
        conversions={new(n): tensor for n, tensor in parted.conversions.items()} | {added: name},
        matched={source: new(here) for source, here in parted.matched.items()},
    )
