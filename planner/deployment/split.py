"""Mixed-precision model -> one model per stage, cut at the QuantizeLinear where a tensor is int8."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import networkx as nx
import onnx
from onnx import checker

from planner.deployment.rebuild import quantized_tensors
from planner.errors import RebuildError
from profiling.graph.unit_graph import ModelGraph
from profiling.onnx_io.external_weights import check_model
from profiling.onnx_io.extract import SubmodelExtractor
from profiling.precision import Wire
from profiling.quantization.qdq_model import QUANTIZED_SUFFIX
from profiling.quantization.wire_formats import WiredTensor


@dataclass(frozen=True, slots=True)
class Placement:
    """Which device runs each unit, and where inputs arise and outputs are due.

    Parameters
    ----------
    devices
        Device of each unit, by unit index.
    raw_inputs
        Inputs that always cross as they arose, so that each receiver quantizes them.
    """

    devices: tuple[str, ...]
    source: str
    sink: str
    raw_inputs: frozenset[str] = frozenset()

    def device_of(self, unit: int | None) -> str:
        """Return the device of a unit, or of the inputs."""
        return self.source if unit is None else self.devices[unit]


@dataclass(frozen=True, slots=True)
class StageModel:
    """One stage: what one device runs without waiting for another.

    Parameters
    ----------
    units
        Their indices in the graph; none where a stage only converts an input or output.
    """

    device: str
    units: tuple[int, ...]
    model: onnx.ModelProto

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the tensors it needs."""
        return tuple(value.name for value in self.model.graph.input)

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the tensors it gives."""
        return tuple(value.name for value in self.model.graph.output)


@dataclass(frozen=True, slots=True)
class _Task:
    """A unit, or a lone switch at the source or the sink that no unit there includes."""

    kind: str  # "unit", "encode" an input for the link, "decode" an output behind it
    key: int | str


def wired_tensors_of(
    graph: ModelGraph, placement: Placement, wires: Mapping[str, Wire]
) -> tuple[WiredTensor, ...]:
    """Return the float tensors that cross links in wires, and the nodes on other devices that read them."""
    wired_tensors = []
    for name, wire in wires.items():
        producer_device = placement.device_of(graph.producer(name))
        remote_units = [
            graph.units[u] for u in graph.consumers(name) if placement.devices[u] != producer_device
        ]
        due = name in graph.outputs and producer_device != placement.sink
        if remote_units or due:
            wired_tensors.append(
                WiredTensor(name, wire, frozenset(node for unit in remote_units for node in unit.nodes), due)
            )
    return tuple(wired_tensors)


def split(
    mixed: onnx.ModelProto, graph: ModelGraph, placement: Placement, crossings: Sequence[WiredTensor] = ()
) -> tuple[StageModel, ...]:
    """Return the stages of a mixed-precision model in the order in which they can run.

    Before: `mixed` comes from `rebuild` for `graph`. After: each stage passes the checker, the outer
    inputs and outputs have the source model's names and types, and a quantized tensor crosses as the
    output of its QuantizeLinear.

    Parameters
    ----------
    crossings
        What `add_wires` put into the model.

    Raises
    ------
    RebuildError
        If a stage is not valid ONNX.
    """
    cutter = _Cutter(mixed, graph, placement, crossings)
    extractor = SubmodelExtractor(mixed)
    stages = []
    for device, tasks in _stage_order(cutter.tasks()):
        inputs, outputs = cutter.ends(device, tasks)
        model = extractor.extract(inputs, outputs)
        try:
            check_model(model)
        except checker.ValidationError as exc:
            raise RebuildError(f"a stage of {device} is not valid ONNX: {exc}") from exc
        units = tuple(task.key for task in tasks if isinstance(task.key, int))
        stages.append(StageModel(device, units, model))
    return tuple(stages)


class _Cutter:
    def __init__(
        self,
        mixed: onnx.ModelProto,
        graph: ModelGraph,
        placement: Placement,
        crossings: Sequence[WiredTensor],
    ) -> None:
        self.graph = graph
        self.wired = {crossing.tensor: crossing for crossing in crossings}
        self.placement = placement
        self.quantized = quantized_tensors(mixed)
        self.producers = {name: unit.index for unit in graph.units for name in unit.outputs}

    def tasks(self) -> nx.DiGraph:
        """Return tasks with attribute `device`, joined where one needs another's result."""
        tasks: nx.DiGraph = nx.DiGraph()
        for unit in self.graph.units:
            tasks.add_node(_Task("unit", unit.index), device=self.placement.devices[unit.index])
        for unit in self.graph.units:
            for name in unit.inputs:
                maker = self._maker(name, self.placement.devices[unit.index])
                if maker is not None:
                    tasks.add_node(maker, device=self._device(maker))
                    tasks.add_edge(maker, _Task("unit", unit.index))
        for name in self.graph.outputs:
            if self._decoded_at_sink(name):
                task = _Task("decode", name)
                tasks.add_node(task, device=self.placement.sink)
                tasks.add_edge(_Task("unit", self.producers[name]), task)
        return tasks

    def ends(self, device: str, tasks: Sequence[_Task]) -> tuple[list[str], list[str]]:
        """Return the names of a stage's inputs and outputs in the mixed model."""
        inside = set(tasks)
        required = dict.fromkeys(
            self._wire_name(name, device)
            for task in tasks
            for name in self._reads(task)
            if self._maker(name, device) not in inside
        )
        handed_on = dict.fromkeys(name for task in tasks for name in self._handed_on(task, inside))
        return list(required), list(handed_on)

    def _maker(self, name: str, reader_device: str) -> _Task | None:
        """Return the task whose result a reader on a device takes; None for an input as it arose."""
        if name in self.producers:
            return _Task("unit", self.producers[name])
        crosses = reader_device != self.placement.source
        quantized = name in self.quantized and name not in self.placement.raw_inputs
        return _Task("encode", name) if crosses and (quantized or name in self.wired) else None

    def _device(self, task: _Task) -> str:
        return self.placement.devices[task.key] if isinstance(task.key, int) else self.placement.source

    def _decoded_at_sink(self, name: str) -> bool:
        maker = self.producers.get(name)
        away = maker is not None and self.placement.devices[maker] != self.placement.sink
        return away and (name in self.quantized or name in self.wired)

    def _carrier(self, name: str, reader_device: str) -> str:
        """Return the name of what carries a tensor to another stage."""
        if name in self.quantized:
            return name + QUANTIZED_SUFFIX
        if name not in self.wired:
            return name
        crossing, producer_device = self.wired[name], self.placement.device_of(self.producers.get(name))
        return crossing.exact if reader_device == producer_device else crossing.encoded

    def _reads(self, task: _Task) -> tuple[str, ...]:
        return self.graph.units[task.key].inputs if isinstance(task.key, int) else (task.key,)

    def _wire_name(self, name: str, device: str) -> str:
        return name if self._maker(name, device) is None else self._carrier(name, device)

    def _handed_on(self, task: _Task, inside: set[_Task]) -> Iterator[str]:
        """Yield what other stages or the caller take from a task."""
        if not isinstance(task.key, int):
            yield task.key if task.kind == "decode" else self._carrier(task.key, "")
            return
        for name in self.graph.units[task.key].outputs:
            for reader in self.graph.consumers(name):
                if _Task("unit", reader) not in inside:
                    yield self._carrier(name, self.placement.devices[reader])
            if name in self.graph.outputs:
                yield self._carrier(name, self.placement.sink) if self._decoded_at_sink(name) else name


def _stage_order(tasks: nx.DiGraph) -> Iterator[tuple[str, list[_Task]]]:
    """Yield (device, tasks) so that each run of tasks needs only earlier ones.

    A device whose remaining tasks can all run goes first, so that a device has one stage unless it
    must wait in between.
    """
    order = list(nx.lexicographical_topological_sort(tasks, key=str))
    device = dict(tasks.nodes(data="device"))
    done: set[_Task] = set()
    while len(done) < len(order):
        ready = {name: _runnable(tasks, order, device, name, done) for name in dict.fromkeys(device.values())}
        # What is left for a device, to tell whether it could finish now.
        rest = {name: sum(device[t] == name and t not in done for t in order) for name in ready}
        chosen = min(
            (name for name in ready if ready[name]),
            key=lambda name: len(ready[name]) < rest[name],
        )
        yield chosen, ready[chosen]
        done |= set(ready[chosen])


def _runnable(
    tasks: nx.DiGraph,
    order: Sequence[_Task],
    device: Mapping[_Task, str],
    name: str,
    done: set[_Task],
) -> list[_Task]:
    """Return what a device can run now without waiting for another, in order."""
    reached: set[_Task] = set()
    for task in order:
        if device[task] == name and task not in done and set(tasks.predecessors(task)) <= done | reached:
            reached.add(task)
    return [task for task in order if task in reached]
