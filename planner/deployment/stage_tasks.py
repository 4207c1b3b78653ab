"""Which units, and lone conversions of inputs and outputs, make up each stage, and in which order."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import networkx as nx

from profiling.graph.any_model import AnyModel, inputs_of, outputs_of
from profiling.graph.operator_graph import OperatorGraph


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
    model: AnyModel

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the tensors it needs."""
        return tuple(tensor.name for tensor in inputs_of(self.model))

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the tensors it gives."""
        return tuple(tensor.name for tensor in outputs_of(self.model))


@dataclass(frozen=True, slots=True)
class Task:
    """A unit, or a lone switch at the source or the sink that no unit there includes."""

    kind: str  # "unit", "encode" an input for the link, "decode" an output behind it
    key: int | str


class StageTasks:
    """The tasks of a plan's stages.

    Parameters
    ----------
    quantized
        Tensors that are quantized in the mixed-precision model.
    wired
        Float tensors that cross links in another form.
    """

    def __init__(
        self,
        graph: OperatorGraph,
        placement: Placement,
        quantized: Collection[str],
        wired: Collection[str] = (),
    ) -> None:
        self.graph, self.placement = graph, placement
        self._quantized, self._wired = quantized, wired
        self.producers = {name: unit.index for unit in graph.units for name in unit.outputs}

    def stages(self) -> Iterator[tuple[str, list[Task]]]:
        """Yield device and tasks of each stage, in running order."""
        yield from _stage_order(self._dag())

    def remote_readers(self) -> dict[str, tuple[int, ...]]:
        """Return quantized tensor -> units that read it on other devices than the one that has it."""
        found = {}
        for name in self._quantized:
            at = self.placement.device_of(self.producers.get(name))
            units = tuple(u for u in self.graph.consumers(name) if self.placement.devices[u] != at)
            if units and name not in self.placement.raw_inputs:
                found[name] = units
        return found

    def remote_outputs(self) -> tuple[str, ...]:
        """Return the outputs that cross to the sink in a form that is to be brought back there."""
        return tuple(name for name in self.graph.outputs if self.decoded_at_sink(name))

    def _dag(self) -> nx.DiGraph:
        """Return tasks with attribute `device`, joined where one needs another's result."""
        tasks: nx.DiGraph = nx.DiGraph()
        for unit in self.graph.units:
            tasks.add_node(Task("unit", unit.index), device=self.placement.devices[unit.index])
        for unit in self.graph.units:
            for name in unit.inputs:
                maker = self.maker(name, self.placement.devices[unit.index])
                if maker is not None:
                    tasks.add_node(maker, device=self._device(maker))
                    tasks.add_edge(maker, Task("unit", unit.index))
        for name in self.graph.outputs:
            if self.decoded_at_sink(name):
                task = Task("decode", name)
                tasks.add_node(task, device=self.placement.sink)
                tasks.add_edge(Task("unit", self.producers[name]), task)
        return tasks

    def maker(self, name: str, reader_device: str) -> Task | None:
        """Return the task whose result a reader on a device takes; None for an input as it arose."""
        if name in self.producers:
            return Task("unit", self.producers[name])
        crosses = reader_device != self.placement.source
        quantized = name in self._quantized and name not in self.placement.raw_inputs
        return Task("encode", name) if crosses and (quantized or name in self._wired) else None

    def _device(self, task: Task) -> str:
        return self.placement.devices[task.key] if isinstance(task.key, int) else self.placement.source

    def decoded_at_sink(self, name: str) -> bool:
        """Return whether an output crosses to the sink in a form that is to be brought back there."""
        maker = self.producers.get(name)
        away = maker is not None and self.placement.devices[maker] != self.placement.sink
        return away and (name in self._quantized or name in self._wired)


def _stage_order(tasks: nx.DiGraph) -> Iterator[tuple[str, list[Task]]]:
    """Yield (device, tasks) so that each run of tasks needs only earlier ones.

    A device whose remaining tasks can all run goes first, so that a device has one stage unless it
    must wait in between.
    """
    order = list(nx.lexicographical_topological_sort(tasks, key=str))
    device = dict(tasks.nodes(data="device"))
    done: set[Task] = set()
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
    order: Sequence[Task],
    device: Mapping[Task, str],
    name: str,
    done: set[Task],
) -> list[Task]:
    """Return what a device can run now without waiting for another, in order."""
    reached: set[Task] = set()
    for task in order:
        if device[task] == name and task not in done and set(tasks.predecessors(task)) <= done | reached:
            reached.add(task)
    return [task for task in order if task in reached]
