"""A SavedModel's operators and the tensors between them, and what is cut from it."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256
from typing import Any

import numpy as np
from onnx import TensorProto, helper

from profiling.arrays import Array, Feeds
from profiling.graph.any_model import SavedModelStage, Tensor
from profiling.graph.operator_graph import OperatorGraph, Unit, connected
from profiling.tensorflow_runtime.tensorflow_process import tensorflow_process

IN_FLOAT = "TensorFlow computes it in fp32"
_ONE_THREAD = 1
_NOT_COMPUTING = frozenset({"NoOp", "Placeholder"})
_Operator = tuple[str, str, list[str], list[tuple[str, Any, str]], int]


@dataclass(frozen=True, slots=True)
class Cut:
    """A tensor at which a stage begins or ends, and how it is handed over.

    Parameters
    ----------
    name
        Of what is handed over.
    tensor
        In the graph.
    axes
        The graph's tensor's, in the order of what is handed over.
    shape
        Of what is handed over.
    scale, zero_point
        Of int8 numbers in place of floats; a scale of 0 stands for floats.
    """

    name: str
    tensor: str
    axes: tuple[int, ...]
    shape: tuple[int, ...]
    elem_type: int
    scale: float = 0.0
    zero_point: int = 0

    @property
    def end(self) -> tuple[str, str, tuple[int, ...], float, int]:
        """The same, as the process with TensorFlow takes it."""
        same = self.axes == tuple(range(len(self.axes)))
        return self.name, self.tensor, () if same else self.axes, self.scale, self.zero_point


@dataclass(frozen=True, eq=False, kw_only=True)
class SavedModelGraph(OperatorGraph):
    """A SavedModel and its units.

    Parameters
    ----------
    content
        Of its file.
    tensor_of
        Name between units -> tensor of the graph, with the public names of inputs and outputs.
    """

    content: bytes
    tensor_of: Mapping[str, str]

    @cached_property
    def fp32_model(self) -> SavedModelStage:
        """The whole model."""
        ends = {name: self.tensors[name] for name in (*self.inputs, *self.outputs)}
        return SavedModelStage((), self.inputs, self.outputs, self.content, ends)

    @cached_property
    def model_sha256(self) -> str:
        """SHA-256 of the model's file."""
        return sha256(self.content).hexdigest()

    def values(self, samples: Sequence[Feeds]) -> dict[str, list[Array]]:
        """Return the float tensors between units, in running order."""
        names = [n for n in self.boundary_tensors() if self.tensors[n].is_float]
        wanted = [self.tensor_of[name] for name in names]
        runs = self._ask("values", wanted, [dict(feeds) for feeds in samples])
        return {name: [run[self.tensor_of[name]] for run in runs] for name in names}

    def parts(self) -> list[tuple[list[str], list[str]]]:
        """Return the graph's tensors that each unit reads, and that it gives."""
        return [
            ([self.tensor_of[n] for n in unit.inputs], [self.tensor_of[n] for n in unit.outputs])
            for unit in self.units
        ]

    def cut(self, inputs: Sequence[Cut], outputs: Sequence[Cut]) -> SavedModelStage:
        """Return the part from some tensors to others as a stage."""
        ends = [[one.end for one in side] for side in (inputs, outputs)]
        content = self._ask("cut", *ends)
        return SavedModelStage(
            (),
            tuple(one.name for one in inputs),
            tuple(one.name for one in outputs),
            content,
            {one.name: Tensor(one.name, one.shape, one.elem_type) for one in (*inputs, *outputs)},
        )

    def _ask(self, command: str, *arguments: Any) -> Any:
        process = tensorflow_process(_ONE_THREAD)
        return process.ask(command, process.number_of(self.content), *arguments)


def load_saved_model(content: bytes) -> SavedModelGraph:
    """Return a SavedModel without variables, each computing operator a unit.

    Raises
    ------
    ModelError
        If TensorFlow cannot read it, or an end is no array of a known shape.
    """
    process = tensorflow_process(_ONE_THREAD)
    number = process.ask("open", content)
    ends = process.ask("ends", number)
    operators: list[_Operator] = process.ask("operators", number)
    end_tensors = process.ask("end_tensors", number)
    process.ask("close", number)
    return _Reading(content, ends, end_tensors, operators).graph()


def read_saved_model_stage(content: bytes) -> SavedModelStage:
    """Return a SavedModel of one file as a stage."""
    process = tensorflow_process(_ONE_THREAD)
    number = process.ask("open", content)
    sides = [[_tensor(*end) for end in side] for side in process.ask("ends", number)]
    process.ask("close", number)
    inputs, outputs = (tuple(tensor.name for tensor in side) for side in sides)
    tensors = {tensor.name: tensor for side in sides for tensor in side}
    return SavedModelStage((), inputs, outputs, content, tensors)


def merged(graph: SavedModelGraph, groups: Iterable[Sequence[int]]) -> SavedModelGraph:
    """Return a graph in which each group of units is one, in the order of the groups."""
    groups = [tuple(group) for group in groups]
    units = []
    for index, group in enumerate(groups):
        inside = [graph.units[unit] for unit in group]
        written = dict.fromkeys(name for unit in inside for name in unit.outputs)
        read = dict.fromkeys(name for unit in inside for name in unit.inputs if name not in written)
        outer = [n for n in written if n in graph.outputs or set(graph.consumers(n)) - set(group)]
        units.append(
            replace(
                inside[0],
                index=index,
                nodes=tuple(node for unit in inside for node in unit.nodes),
                op_types=tuple(op for unit in inside for op in unit.op_types),
                inputs=tuple(read),
                outputs=tuple(outer),
                weight_bytes=sum(unit.weight_bytes for unit in inside),
                weight_bytes_int8=sum(unit.weight_bytes for unit in inside),
                weight_bytes_int16=sum(unit.weight_bytes for unit in inside),
            )
        )
    return replace(graph, units=tuple(units), dag=connected(units, graph.tensors))


class _Reading:
    """Makes units of a graph's operators."""

    def __init__(
        self,
        content: bytes,
        ends: Sequence[Sequence[tuple[str, Any, str]]],
        end_tensors: Sequence[Mapping[str, str]],
        operators: Sequence[_Operator],
    ) -> None:
        self._content, self._operators = content, operators
        self._inputs, self._outputs = ([_tensor(*end) for end in side] for side in ends)
        of_input, of_output = end_tensors
        self._tensor_of = {**of_output, **of_input}
        self._name_of = {tensor: name for name, tensor in of_output.items()}
        self._name_of |= {tensor: name for name, tensor in of_input.items()}

    def graph(self) -> SavedModelGraph:
        """Return the graph."""
        weights, computing = self._parted()
        tensors = {tensor.name: tensor for tensor in (*self._inputs, *self._outputs)}
        readers: dict[str, int] = defaultdict(int)
        for _, _, read, _, _ in computing:
            for tensor in dict.fromkeys(read):
                readers[tensor] += 1
        units = []
        for index, (name, kind, read, written, _) in enumerate(computing):
            given = [one for one in written if readers[one[0]] or one[0] in self._name_of]
            for tensor, shape, dtype in given:
                public = self._name(tensor)
                tensors.setdefault(public, _tensor(public, shape, dtype))
                self._tensor_of.setdefault(public, tensor)
            own = sum(weights.pop(tensor, 0) for tensor in dict.fromkeys(read))
            inputs = dict.fromkeys(self._name(t) for t in read if t in self._flowing)
            outputs = tuple(self._name(tensor) for tensor, *_ in given)
            units.append(_unit(index, name, kind, tuple(inputs), outputs, own))
        return SavedModelGraph(
            content=self._content,
            units=tuple(units),
            tensors=tensors,
            inputs=tuple(tensor.name for tensor in self._inputs),
            outputs=tuple(tensor.name for tensor in self._outputs),
            dag=connected(units, tensors),
            tensor_of=self._tensor_of,
        )

    def _parted(self) -> tuple[dict[str, int], list[_Operator]]:
        """Return bytes of constant tensors, and the operators that depend on inputs."""
        self._flowing = {self._tensor_of[tensor.name] for tensor in self._inputs}
        weights: dict[str, int] = {}
        computing = []
        for operator in self._operators:
            _, kind, read, written, constant_bytes = operator
            if kind in _NOT_COMPUTING:
                continue
            if self._flowing.isdisjoint(read):
                size = constant_bytes or sum(weights.get(tensor, 0) for tensor in read)
                weights |= {tensor: size for tensor, *_ in written}
                continue
            self._flowing.update(tensor for tensor, *_ in written)
            computing.append(operator)
        return weights, computing

    def _name(self, tensor: str) -> str:
        return self._name_of.get(tensor, tensor)


def _unit(
    index: int, name: str, kind: str, inputs: tuple[str, ...], outputs: tuple[str, ...], weight_bytes: int
) -> Unit:
    return Unit(
        index=index,
        name=name,
        nodes=(name,),
        op_types=(kind,),
        inputs=inputs,
        outputs=outputs,
        weight_bytes=weight_bytes,
        weight_bytes_int8=weight_bytes,
        weight_bytes_int16=weight_bytes,
        obstacle=IN_FLOAT,
        quantized=False,
        scale_preserving=False,
        kernel_forced=False,
    )


def _tensor(name: str, shape: Sequence[int] | None, dtype: str) -> Tensor:
    try:
        elem_type = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    except TypeError:  # resources and texts are never handed over
        elem_type = TensorProto.UNDEFINED
    return Tensor(name, tuple(shape or ()), elem_type)
