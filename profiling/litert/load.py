"""A `.tflite` file to a model with one graph: signature chosen, indices checked, tensors named."""

from collections.abc import Container, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from profiling.arrays import Array
from profiling.errors import ModelError
from profiling.litert.element_types import ELEMENT_TYPES, ElementType
from profiling.litert.faults import faults
from profiling.litert.flatbuffer import parse_tables, read_tables
from profiling.litert.table_access import listed, op_type, raw_name, shape_of, tensors_of, text_of


@dataclass(frozen=True, eq=False)
class LitertModel:
    """A graph of a `.tflite` file; nobody changes its tables.

    Parameters
    ----------
    tables
        The whole file, as the schema has it.
    subgraph
        Which of its graphs is meant.
    inputs, outputs
        The signature's key -> index of a tensor.
    names
        A name of its own for each tensor: the signature's key for inputs and outputs, elsewhere the
        file's, made unique.
    varying
        Tensors whose shape depends on what is computed.
    """

    shown: str
    tables: Any
    subgraph: int
    inputs: Mapping[str, int]
    outputs: Mapping[str, int]
    names: tuple[str, ...]
    varying: frozenset[int] = frozenset()

    @property
    def graph(self) -> Any:
        """The table of the graph."""
        return self.tables.subgraphs[self.subgraph]

    @cached_property
    def operators(self) -> list[Any]:
        """The tables of its operators, in running order."""
        return list(listed(self.graph.operators))

    @cached_property
    def reads(self) -> tuple[tuple[int, ...], ...]:
        """The tensors that each operator reads."""
        return tuple(tuple(tensors_of(operator.inputs)) for operator in self.operators)

    @cached_property
    def writes(self) -> tuple[tuple[int, ...], ...]:
        """The tensors that each operator writes."""
        return tuple(tuple(tensors_of(operator.outputs)) for operator in self.operators)

    @cached_property
    def op_types(self) -> tuple[str, ...]:
        """The name of each operator's type; custom ones by their own name."""
        codes = [op_type(code) for code in listed(self.tables.operatorCodes)]
        return tuple(codes[operator.opcodeIndex] for operator in self.operators)

    @cached_property
    def op_names(self) -> tuple[str, ...]:
        """A name for each operator: that of its first output, or its type and number."""
        return tuple(
            self.names[written[0]] if written else f"{kind}_{number}"
            for number, (written, kind) in enumerate(zip(self.writes, self.op_types, strict=True))
        )

    @cached_property
    def writers(self) -> dict[int, int]:
        """Index of a tensor -> of the operator that writes it."""
        return {tensor: number for number, written in enumerate(self.writes) for tensor in written}

    def element_type(self, tensor: int) -> ElementType:
        """Return the element type of a tensor."""
        return ELEMENT_TYPES[self.graph.tensors[tensor].type]

    def shape(self, tensor: int) -> tuple[int, ...]:
        """Return the shape of a tensor; a dynamic dimension as the file has it, 1 as a rule."""
        return shape_of(self.graph.tensors[tensor])

    def data(self, tensor: int) -> Array | None:
        """Return the bytes of a constant, None for what is computed or fed."""
        table = self.graph.tensors[tensor]
        content: Array | None = self.tables.buffers[table.buffer].data
        return content

    def is_constant(self, tensor: int) -> bool:
        """Whether a tensor's content is in the file; one without elements needs none."""
        if self.data(tensor) is not None:
            return True
        is_computed = tensor in self.writers or tensor in self.inputs.values()
        return not is_computed and 0 in self.shape(tensor)

    def is_variable(self, tensor: int) -> bool:
        """Whether a tensor keeps its content from one request to the next."""
        return bool(self.graph.tensors[tensor].isVariable)

    def constant(self, tensor: int) -> Array:
        """Return the content of a constant as an array."""
        data, dtype = self.data(tensor), self.element_type(tensor).numpy
        content = np.zeros(0, dtype) if data is None else np.frombuffer(data.tobytes(), dtype)
        return content.reshape(self.shape(tensor))


def load_litert(path: Path, signature: str = "") -> LitertModel:
    """Return a graph of a `.tflite` file.

    Parameters
    ----------
    signature
        Which, if the file has several.

    Raises
    ------
    ModelError
        If the file cannot be read or is damaged, or has several signatures and none is named.
    """
    return model_of(read_tables(path), str(path), signature)


def parse_litert(content: bytes, shown: str, signature: str = "") -> LitertModel:
    """Return a graph of a model in memory, as `load_litert` does of a file."""
    return model_of(parse_tables(content, shown), shown, signature)


def model_of(tables: Any, shown: str, signature: str = "") -> LitertModel:
    """Return a graph of tables, as `load_litert` does of a file."""
    for fault in faults(tables):
        raise ModelError(f"{shown} is damaged: {fault}")
    chosen = _signature(tables, shown, signature)
    subgraph = chosen.subgraphIndex if chosen else 0
    graph = tables.subgraphs[subgraph]
    inputs = _ends(graph, graph.inputs, chosen.inputs if chosen else ())
    outputs = _ends(graph, graph.outputs, chosen.outputs if chosen else ())
    if "self" in inputs:
        raise ModelError(f"{shown}: an input called 'self' cannot be fed by keyword; rename it")
    names = _names(graph, inputs, outputs)
    return LitertModel(shown, tables, subgraph, inputs, outputs, names)


def why_an_output_is_lost(model: LitertModel) -> str:
    """Return which output is another end under another name, and what to do; empty if none is.

    A tensor has one name in a graph of units, so that stages cannot give it twice.
    """
    known = {tensor: f"input {key!r}" for key, tensor in model.inputs.items()}
    for key, tensor in model.outputs.items():
        if tensor in known:
            return (
                f"gives {known[tensor]} under another name as output {key!r}, which stages cannot; "
                f"convert the model without output {key!r}"
            )
        known[tensor] = f"output {key!r}"
    return ""


def _signature(tables: Any, shown: str, wanted: str) -> Any:
    found = {text_of(one.signatureKey): one for one in listed(tables.signatureDefs)}
    names = ", ".join(map(repr, found)) or "none"
    if wanted:
        if wanted not in found:
            raise ModelError(f"{shown} has no signature {wanted!r}; it has {names}")
        return found[wanted]
    if len(found) > 1:
        raise ModelError(f"{shown} has several signatures; name one of {names} as conversion.signature")
    return next(iter(found.values()), None)


def _ends(graph: Any, tensors: Any, entries: Any) -> dict[str, int]:
    """Return key -> tensor: the signature's keys, tensors' own names for what it does not list."""
    ends = {text_of(entry.name): int(entry.tensorIndex) for entry in listed(entries)}
    for tensor in dict.fromkeys(tensors_of(tensors)):
        if tensor not in ends.values():
            ends[unique_name(raw_name(graph, tensor), tensor, ends)] = tensor
    return ends


def _names(graph: Any, inputs: Mapping[str, int], outputs: Mapping[str, int]) -> tuple[str, ...]:
    taken: dict[str, int] = dict(inputs)
    names = {tensor: key for key, tensor in inputs.items()}
    for key, tensor in outputs.items():
        if tensor not in names:
            names[tensor] = unique_name(key, tensor, taken)
            taken[names[tensor]] = tensor
    for tensor in range(len(listed(graph.tensors))):
        if tensor not in names:
            names[tensor] = unique_name(raw_name(graph, tensor), tensor, taken)
            taken[names[tensor]] = tensor
    return tuple(names[tensor] for tensor in range(len(names)))


def unique_name(name: str, tensor: int, taken: Container[str]) -> str:
    """Return a name that is not taken, with the tensor's number behind it if need be."""
    while name in taken or name == "self":
        name = f"{name}#{tensor}"
    return name
