"""A model to stages: `.tflite` files of some of its operators, chained by the names of its tensors."""

import copy
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from profiling.errors import ModelError
from profiling.graph.any_model import Stage, Tensor
from profiling.litert.flatbuffer import AlignedBuffer, Tables, write_tables
from profiling.litert.inseparable import inseparable
from profiling.litert.load import LitertModel
from profiling.litert.table_access import (
    OPTIONAL,
    listed,
    named_subgraphs,
    subgraph_fields,
    tensors_of,
)

SIGNATURE = "serving_default"
_UNKNOWN = -1  # of what only debuggers read
_VERSION = 3


def cut(
    model: LitertModel, parts: Sequence[Collection[int]], shared: Collection[int] = ()
) -> tuple[Stage, ...]:
    """Return a stage for each part; run one after another they compute what the whole model does.

    Parameters
    ----------
    parts
        Numbers of operators, each in one part, parts in running order.
    shared
        Operators that are in no part: every part that needs one has its own copy.

    Raises
    ------
    ModelError
        If a part needs what a later one computes, or operators are parted that must not be.
    """
    _check_together(model, parts, shared)
    chosen = [_with_shared(model, part, shared) for part in parts]
    reads = [_read(model, operators) for operators in chosen]
    due = _due(model, chosen, parts)
    stages, ready = [], set(model.inputs.values())
    for number, operators in enumerate(chosen):
        _check_ready(model, reads[number], ready)
        written = _written(model, operators)
        later = {tensor for other in reads[number + 1 :] for tensor in other}
        outputs = [tensor for tensor in written if tensor in later or tensor in due[number]]
        stages.append(_stage(model, operators, reads[number], outputs))
        ready.update(outputs)
    return tuple(stages)


def cut_out(
    model: LitertModel,
    part: Collection[int],
    others: Collection[int],
    shared: Collection[int] = (),
    also: Iterable[int] = (),
) -> Stage:
    """Return one part as a stage that gives all that the other operators and the caller need of it.

    Parameters
    ----------
    others
        The operators of all other parts.
    also
        Tensors that it gives as well, if it writes them.
    """
    operators = _with_shared(model, part, shared)
    needed = {*_read(model, _with_shared(model, others, shared)), *model.outputs.values(), *also}
    outputs = [tensor for tensor in _written(model, sorted(part)) if tensor in needed]
    return _stage(model, operators, _read(model, operators), outputs)


def whole_stage(model: LitertModel, also: Iterable[int] = ()) -> Stage:
    """Return the whole model as a stage.

    Parameters
    ----------
    also
        Tensors that it gives beside its outputs.
    """
    operators = list(range(len(model.operators)))
    computed = set(_written(model, operators))
    outputs = [t for t in dict.fromkeys((*model.outputs.values(), *also)) if t in computed]
    inputs = list(dict.fromkeys(model.inputs.values()))
    return _stage(model, operators, inputs, outputs)


def _with_shared(model: LitertModel, part: Collection[int], shared: Collection[int]) -> list[int]:
    """Return a part's operators and its copies of shared ones, in running order."""
    chosen, pending = set(part), list(part)
    while pending:
        for tensor in model.reads[pending.pop()]:
            writer = model.writers.get(tensor)
            if writer is not None and writer in shared and writer not in chosen:
                chosen.add(writer)
                pending.append(writer)
    return sorted(chosen)


def _due(
    model: LitertModel, chosen: Sequence[Sequence[int]], parts: Sequence[Collection[int]]
) -> list[set[int]]:
    """Return which outputs of the model each part gives: those that it computes first."""
    due: list[set[int]] = [set() for _ in parts]
    for tensor in set(model.outputs.values()):
        writer = model.writers.get(tensor)
        places = [number for number, operators in enumerate(chosen) if writer in operators]
        owners = [number for number in places if writer in parts[number]] or places
        if owners:
            due[owners[0]].add(tensor)
        elif writer is not None:
            raise ModelError(f"no stage computes the output {model.names[tensor]!r}")
    return due


def _read(model: LitertModel, operators: Sequence[int]) -> list[int]:
    """Return the tensors that operators need and none of them writes."""
    written = set(_written(model, operators))
    read = dict.fromkeys(t for number in operators for t in model.reads[number])
    return [t for t in read if t not in written and not model.is_constant(t) and not model.is_variable(t)]


def _written(model: LitertModel, operators: Sequence[int]) -> list[int]:
    return [tensor for number in operators for tensor in model.writes[number]]


def _check_together(model: LitertModel, parts: Sequence[Collection[int]], shared: Collection[int]) -> None:
    place = {number: index for index, part in enumerate(parts) for number in part}
    for group in inseparable(model, shared):
        first, *others = group
        for number in others:
            if place.get(number) != place.get(first):
                both = f"{model.op_names[first]!r} and {model.op_names[number]!r}"
                raise ModelError(f"{model.shown}: {both} share what cannot leave a stage; keep them in one")


def _check_ready(model: LitertModel, read: Sequence[int], ready: Collection[int]) -> None:
    for tensor in read:
        if tensor not in ready:
            name = model.names[tensor]
            raise ModelError(f"{model.shown}: no earlier stage gives {name!r}; order the stages as they run")


def _stage(
    model: LitertModel, operators: Sequence[int], inputs: Sequence[int], outputs: Sequence[int]
) -> Stage:
    content = write_tables(_StageTables(model).of(operators, inputs, outputs))
    names = model.names
    return Stage(
        tuple(operators),
        tuple(names[t] for t in inputs),
        tuple(names[t] for t in outputs),
        content,
        {names[t]: Tensor(names[t], model.shape(t), model.element_type(t).onnx) for t in (*inputs, *outputs)},
    )


class _StageTables:
    """Makes the tables of a stage: only what its operators use, numbered anew."""

    def __init__(self, model: LitertModel) -> None:
        self._model = model
        self._buffers: dict[int, int] = {0: 0}  # the file's number -> the stage's; 0 is the empty one
        self._codes: dict[int, int] = {}
        self._subgraphs: dict[int, int] = {}

    def of(self, operators: Sequence[int], inputs: Sequence[int], outputs: Sequence[int]) -> Any:
        """Return the tables of a model with one signature."""
        source = self._model.tables
        main = self._main(operators, inputs, outputs)
        # Operators of nested graphs may run further ones, which are found while these are copied.
        nested: list[Any] = []
        while len(nested) < len(self._subgraphs):
            nested.append(self._copied(list(self._subgraphs)[len(nested)]))
        tables = Tables.model()
        tables.version = _VERSION
        tables.description = b"splitquant"
        tables.subgraphs = [main, *nested]
        tables.operatorCodes = [source.operatorCodes[code] for code in self._codes]
        tables.buffers = [AlignedBuffer(), *(source.buffers[b] for b in list(self._buffers)[1:])]
        tables.signatureDefs = [self._signature(inputs, outputs)]
        return tables

    def _main(self, operators: Sequence[int], inputs: Sequence[int], outputs: Sequence[int]) -> Any:
        model = self._model
        chosen = [model.operators[number] for number in operators]
        used = {*inputs, *outputs}
        for operator in chosen:
            used.update(tensors_of(operator.inputs), tensors_of(operator.outputs))
            used.update(tensors_of(operator.intermediates))
        self._numbers = {tensor: number for number, tensor in enumerate(sorted(used))}
        graph = Tables.subgraph()
        graph.name = b"main"
        graph.tensors = [self._tensor(model.graph.tensors[t], model.names[t]) for t in self._numbers]
        graph.inputs = [self._numbers[tensor] for tensor in inputs]
        graph.outputs = [self._numbers[tensor] for tensor in outputs]
        graph.operators = [self._operator(operator, self._numbers) for operator in chosen]
        return graph

    def _copied(self, subgraph: int) -> Any:
        """Return a nested graph, which keeps all of its tensors under names that occur once in the file."""
        source = self._model.tables.subgraphs[subgraph]
        graph = copy.copy(source)
        graph.debugMetadataIndex = _UNKNOWN
        graph.tensors = [
            self._tensor(tensor, f"nested_{subgraph}_{number}")
            for number, tensor in enumerate(listed(source.tensors))
        ]
        numbers = {number: number for number in range(len(graph.tensors))}
        graph.operators = [self._operator(operator, numbers) for operator in listed(source.operators)]
        return graph

    def _tensor(self, source: Any, name: str) -> Any:
        tensor = copy.copy(source)
        tensor.buffer = 0
        if self._model.tables.buffers[source.buffer].data is not None:
            tensor.buffer = self._buffers.setdefault(source.buffer, len(self._buffers))
        tensor.name = name.encode("utf-8")
        return tensor

    def _operator(self, source: Any, numbers: Mapping[int, int]) -> Any:
        operator = copy.copy(source)
        operator.opcodeIndex = self._codes.setdefault(source.opcodeIndex, len(self._codes))
        operator.inputs = _renumbered(source.inputs, numbers)
        operator.outputs = _renumbered(source.outputs, numbers)
        operator.intermediates = _renumbered(source.intermediates, numbers) or None
        operator.debugMetadataIndex = _UNKNOWN
        for field in ("builtinOptions", "builtinOptions2"):
            setattr(operator, field, copy.copy(getattr(source, field)))
        for options, field in subgraph_fields(operator):
            # The stage's own graph is number 0.
            numbers_there = [self._nested(index) for index in named_subgraphs(options, field)]
            single = isinstance(getattr(options, field), int)
            if numbers_there:
                setattr(options, field, numbers_there[0] if single else numbers_there)
        return operator

    def _nested(self, subgraph: int) -> int:
        return 1 + self._subgraphs.setdefault(subgraph, len(self._subgraphs))

    def _signature(self, inputs: Sequence[int], outputs: Sequence[int]) -> Any:
        signature = Tables.signature()
        signature.signatureKey = SIGNATURE.encode()
        signature.subgraphIndex = 0
        signature.inputs = [self._entry(tensor) for tensor in inputs]
        signature.outputs = [self._entry(tensor) for tensor in outputs]
        return signature

    def _entry(self, tensor: int) -> Any:
        entry = Tables.signature_entry()
        entry.name = self._model.names[tensor].encode("utf-8")
        entry.tensorIndex = self._numbers[tensor]
        return entry


def _renumbered(indices: Any, numbers: Mapping[int, int]) -> list[int]:
    return [numbers.get(int(index), OPTIONAL) for index in listed(indices)]
