"""Mixed-precision model -> one model per stage, cut at the QuantizeLinear where a tensor is int8."""

from collections.abc import Collection, Iterator, Mapping, Sequence

import onnx
from onnx import checker

from planner.deployment.rebuild import quantized_tensors
from planner.deployment.stage_tasks import Placement, StageModel, StageTasks, Task
from planner.errors import RebuildError
from profiling.graph.operator_graph import OperatorGraph
from profiling.onnx_io.external_weights import check_model
from profiling.onnx_io.extract import SubmodelExtractor
from profiling.onnx_io.subgraphs import all_inputs
from profiling.precision import Wire
from profiling.quantization.qdq_model import QUANTIZED_SUFFIX
from profiling.quantization.wire_formats import WiredTensor


def wired_tensors_of(
    mixed: onnx.ModelProto, graph: OperatorGraph, placement: Placement, wires: Mapping[str, Wire]
) -> tuple[WiredTensor, ...]:
    """Return the float tensors that cross links in wires, and the nodes on other devices that read them.

    Parameters
    ----------
    mixed
        Comes from `rebuild` for `graph`: in some precisions a unit has other nodes there than in the graph.
    """
    extractor, wired_tensors = SubmodelExtractor(mixed), []
    for name, wire in wires.items():
        producer_device = placement.device_of(graph.producer(name))
        remote_units = [
            graph.units[u] for u in graph.consumers(name) if placement.devices[u] != producer_device
        ]
        due = name in graph.outputs and producer_device != placement.sink
        if remote_units or due:
            far = (
                node.name
                for unit in remote_units
                for node in extractor.nodes_between(unit.inputs, unit.outputs)
                if name in all_inputs(node)
            )
            wired_tensors.append(WiredTensor(name, wire, frozenset(far), due))
    return tuple(wired_tensors)


def split(
    mixed: onnx.ModelProto, graph: OperatorGraph, placement: Placement, crossings: Sequence[WiredTensor] = ()
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
    quantized = quantized_tensors(mixed)
    all_tasks = StageTasks(graph, placement, quantized, {crossing.tensor for crossing in crossings})
    cutter = StageEnds(all_tasks, quantized, crossings)
    extractor = SubmodelExtractor(mixed)
    stages = []
    for device, tasks in all_tasks.stages():
        inputs, outputs = cutter.ends(device, tasks)
        model = extractor.extract(inputs, outputs)
        try:
            check_model(model)
        except checker.ValidationError as exc:
            raise RebuildError(f"a stage of {device} is not valid ONNX: {exc}") from exc
        units = tuple(task.key for task in tasks if isinstance(task.key, int))
        stages.append(StageModel(device, units, model))
    return tuple(stages)


class StageEnds:
    """Names the ends of a stage in the mixed-precision model."""

    def __init__(
        self, tasks: StageTasks, quantized: Collection[str], crossings: Sequence[WiredTensor] = ()
    ) -> None:
        self._tasks, self._quantized = tasks, quantized
        self._wired = {crossing.tensor: crossing for crossing in crossings}

    def ends(self, device: str, tasks: Sequence[Task]) -> tuple[list[str], list[str]]:
        """Return the names of a stage's inputs and outputs in the mixed model."""
        inside = set(tasks)
        required = dict.fromkeys(
            self._wire_name(name, device)
            for task in tasks
            for name in self._reads(task)
            if self._tasks.maker(name, device) not in inside
        )
        handed_on = dict.fromkeys(name for task in tasks for name in self._handed_on(task, inside))
        return list(required), list(handed_on)

    def _carrier(self, name: str, reader_device: str) -> str:
        """Return the name of what carries a tensor to another stage."""
        if name in self._quantized:
            return name + QUANTIZED_SUFFIX
        if name not in self._wired:
            return name
        crossing, producer_device = (
            self._wired[name],
            self._tasks.placement.device_of(self._tasks.producers.get(name)),
        )
        return crossing.exact if reader_device == producer_device else crossing.encoded

    def _reads(self, task: Task) -> tuple[str, ...]:
        return self._tasks.graph.units[task.key].inputs if isinstance(task.key, int) else (task.key,)

    def _wire_name(self, name: str, device: str) -> str:
        return name if self._tasks.maker(name, device) is None else self._carrier(name, device)

    def _handed_on(self, task: Task, inside: set[Task]) -> Iterator[str]:
        """Yield what other stages or the caller take from a task."""
        if not isinstance(task.key, int):
            yield task.key if task.kind == "decode" else self._carrier(task.key, "")
            return
        for name in self._tasks.graph.units[task.key].outputs:
            for reader in self._tasks.graph.consumers(name):
                if Task("unit", reader) not in inside:
                    yield self._carrier(name, self._tasks.placement.devices[reader])
            if name in self._tasks.graph.outputs:
                yield (
                    self._carrier(name, self._tasks.placement.sink)
                    if self._tasks.decoded_at_sink(name)
                    else name
                )
