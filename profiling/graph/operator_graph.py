"""Units of a model and the tensors between them: what every runtime's graph has."""

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

import networkx as nx

from profiling.graph.any_model import AnyModel, Tensor
from profiling.on_device.measurement_order import coarsest_precision
from profiling.precision import Precision


@dataclass(frozen=True, slots=True)
class Unit:
    """The smallest set of nodes decided together; only its last node is read from outside.

    Parameters
    ----------
    nodes, op_types
        In topological order.
    inputs, outputs
        Tensors read from other units or the graph's inputs, and tensors read outside.
    weight_bytes, weight_bytes_int8, weight_bytes_int16
        Of its initializers, in the source model's type and once the unit is int8 or int16.
    obstacle
        Why it cannot have any precision but its own; empty if it can.
    quantized
        Whether it computes in int8 as the model came; then it stays as it is.
    scale_preserving
        Whether its int8 output keeps its input's scale, hence adds no noise of its own.
    kernel_forced
        Whether the runtime computes it in int8 wherever all its tensors are int8, asked or not: in int8
        nothing else is quantized, and each tensor has a scale of its own.
    coupled_with
        Units that have to compute in int8 beside it, on the same device, if it does.
    guarded
        Whether it must not compute in int8, not even where the runtime would do so unasked.
    refused
        Why it cannot have some precisions, though it can have others.
    other_weight_bytes
        Of its initializers in precisions besides fp32, int8 and int16.
    """

    index: int
    name: str
    nodes: tuple[str, ...]
    op_types: tuple[str, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    weight_bytes: int
    weight_bytes_int8: int
    weight_bytes_int16: int
    obstacle: str
    quantized: bool
    scale_preserving: bool
    kernel_forced: bool
    coupled_with: tuple[int, ...] = ()
    guarded: bool = False
    refused: Mapping[Precision, str] = field(default_factory=dict)
    other_weight_bytes: Mapping[Precision, int] = field(default_factory=dict)

    def weight_bytes_in(self, precision: Precision) -> int:
        """Return the bytes of its weights in a precision."""
        return {
            Precision.FP32: self.weight_bytes,
            Precision.INT8: self.weight_bytes_int8,
            Precision.INT16: self.weight_bytes_int16,
            **self.other_weight_bytes,
        }[precision.numbers]

    def can_be(self, precision: Precision) -> bool:
        """Return whether it can compute in a precision."""
        return precision is Precision.FP32 or (self.quantizable and precision not in self.refused)

    @property
    def quantizable(self) -> bool:
        """Whether it can be brought into another precision than its own."""
        return not self.obstacle

    @property
    def takes_integers(self) -> bool:
        """Whether it can be in a precision in which tensors beside it are integers."""
        return any(self.can_be(precision) for precision in Precision if precision.is_static)

    def counted_as(self, precision: Precision) -> Precision:
        """Return the precision that a plan names for a chosen one: what came quantized is in int8."""
        return Precision.INT8 if self.quantized else precision

    def why_not(self, precision: Precision) -> str:
        """Return why it cannot have a precision; empty if it can."""
        return self.obstacle or self.refused.get(precision, "")


def connected(units: Sequence[Unit], tensors: Mapping[str, Tensor]) -> nx.DiGraph:
    """Return units joined where one reads what another writes, as `OperatorGraph.dag` has them.

    Parameters
    ----------
    tensors
        By name, of all that flows between units.
    """
    dag: nx.DiGraph = nx.DiGraph()
    for unit in units:
        dag.add_node(unit.index, unit=unit)
    written = {name: unit.index for unit in units for name in unit.outputs}
    for unit in units:
        for name in unit.inputs:
            if name in written:
                edge = written[name], unit.index
                already = dag.edges[edge]["tensors"] if dag.has_edge(*edge) else ()
                dag.add_edge(*edge, tensors=(*already, tensors[name]))
    return nx.freeze(dag)


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorGraph(ABC):
    """The units of a model, whatever runs it, and the tensors between.

    `dag` has unit indices as nodes (attribute `unit`) and edges with attribute `tensors`; units are in
    topological order. `stored_weight_bytes` are of each unit's weights where they are kept in another form
    than the runtime's.
    """

    units: tuple[Unit, ...]
    tensors: dict[str, Tensor]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    dag: nx.DiGraph
    stored_weight_bytes: tuple[Mapping[Precision, int], ...] | None = None
    _producers: Mapping[str, int] = field(init=False, repr=False, compare=False)
    _consumers: Mapping[str, tuple[int, ...]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Index who writes and who reads each tensor: both are asked for every tensor of every variant."""
        producers = {name: unit.index for unit in reversed(self.units) for name in unit.outputs}
        consumers: dict[str, list[int]] = defaultdict(list)
        for unit in self.units:
            for name in dict.fromkeys(unit.inputs):
                consumers[name].append(unit.index)
        object.__setattr__(self, "_producers", producers)
        object.__setattr__(self, "_consumers", {name: tuple(units) for name, units in consumers.items()})

    def counted_precisions(self, precisions: Sequence[Precision]) -> tuple[Precision, ...]:
        """Return the precisions that a plan names, given those that units were chosen in."""
        pairs = zip(self.units, precisions, strict=True)
        return tuple(unit.counted_as(precision) for unit, precision in pairs)

    def with_units(self, units: Sequence[Unit]) -> Self:
        """Return the graph with what is known of its units changed; the tensors between stay."""
        dag = nx.DiGraph(self.dag)
        nx.set_node_attributes(dag, dict(enumerate(units)), "unit")
        return replace(self, units=tuple(units), dag=nx.freeze(dag))

    @property
    @abstractmethod
    def model_sha256(self) -> str:
        """SHA-256 of the prepared model."""

    @property
    @abstractmethod
    def fp32_model(self) -> AnyModel:
        """The prepared model in float."""

    def stored_bytes(self, unit: int, precision: Precision) -> int:
        """Return the bytes that a unit's weights take where they are kept: compressed, if that was asked."""
        if self.stored_weight_bytes is not None:
            return self.stored_weight_bytes[unit][precision.numbers]
        return self.units[unit].weight_bytes_in(precision)

    def producer(self, tensor: str) -> int | None:
        """Return the unit that writes a tensor, or None for a graph input."""
        return self._producers.get(tensor)

    def consumers(self, tensor: str) -> tuple[int, ...]:
        """Return the units that read a tensor, in topological order."""
        return self._consumers.get(tensor, ())

    def boundary_tensors(self) -> tuple[str, ...]:
        """Return the tensors between units, the graph's inputs and outputs included."""
        names = [*self.inputs, *(name for unit in self.units for name in unit.outputs)]
        return tuple(dict.fromkeys(names))

    def tensors_quantized_with(self, unit: int) -> tuple[str, ...]:
        """Return the boundary tensors that exist as integers once this unit is in a static precision."""
        ends = self.units[unit]
        if not ends.takes_integers:
            return ()
        return tuple(t for t in (*ends.inputs, *ends.outputs) if self.tensors[t].is_float)

    def tensor_precisions(self, mix: Mapping[int, Precision]) -> dict[str, Precision]:
        """Return the precision of each boundary tensor that is quantized if some units are."""
        touching: dict[str, set[Precision]] = {}
        for index, precision in mix.items():
            if not precision.is_static:
                continue
            for name in self.tensors_quantized_with(index):
                touching.setdefault(name, set()).add(precision)
        return {name: Precision(coarsest_precision(precisions)) for name, precisions in touching.items()}

    def resolve_precisions(self, mix: Mapping[int, Precision]) -> dict[int, Precision]:
        """Return the precisions of units that can be quantized so together, and nothing else then is.

        Units leave that are coupled with others that are not int8, and units join that compute in int8
        because everything around them does.
        """
        chosen = dict(mix)
        # A unit that leaves may leave others alone in turn.
        while alone := [index for index in chosen if not self._is_surrounded(index, chosen)]:
            for index in alone:
                del chosen[index]
        tensors = self.tensor_precisions(chosen)
        for unit in self.units:
            around = {tensors.get(name) for name in self.tensors_quantized_with(unit.index)}
            # Whatever lies between int8 tensors only, the runtime computes in int8 as well.
            may = unit.kernel_forced or chosen.get(unit.index, Precision.FP32).is_static
            if unit.takes_integers and may and around == {Precision.INT8}:
                own = chosen.get(unit.index, Precision.FP32)
                chosen[unit.index] = own if own.numbers is Precision.INT8 else Precision.INT8
                if not unit.kernel_forced and not self._is_surrounded(unit.index, chosen):
                    del chosen[unit.index]
        return dict(sorted(chosen.items()))

    def _is_surrounded(self, index: int, mix: Mapping[int, Precision]) -> bool:
        """Return whether a unit in int8 has those beside it that it needs."""
        return mix[index].numbers is not Precision.INT8 or all(
            mix.get(other, Precision.FP32).numbers is Precision.INT8
            for other in self.units[index].coupled_with
        )
