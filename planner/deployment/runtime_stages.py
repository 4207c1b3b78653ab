"""Blocks of several runtimes + precisions and devices -> stages of either runtime that can be chained."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from planner.deployment.litert_stages import litert_mixed, with_lone_conversions
from planner.deployment.rebuild import quantized_tensors, rebuild
from planner.deployment.runtime_cutters import (
    Crossings,
    OnnxCutter,
    PlacedTasks,
    SavedModelCutter,
    own_placement,
    own_tasks,
)
from planner.deployment.stage_tasks import Placement, StageModel, StageTasks, Task
from planner.plan.configuration import Configuration
from profiling.graph.any_model import AnyModel, Stage
from profiling.graph.operator_graph import OperatorGraph
from profiling.graph.unit_graph import ModelGraph
from profiling.litert.cut import cut
from profiling.litert.planning.mixed_model import as_mixed
from profiling.litert.planning.remote_readers import with_integers_read
from profiling.litert.unit_graph import LitertGraph
from profiling.quantization.qdq_model import Scheme
from profiling.runtime_names import LITERT, ONNX_RUNTIME, TENSORFLOW
from profiling.several_runtimes.block_graph import BlockGraph
from profiling.several_runtimes.own_ranges import own_ranges


@dataclass(frozen=True, slots=True)
class RuntimeModels:
    """A plan's models in several runtimes.

    Parameters
    ----------
    mixed
        Runtime -> the whole model there, in the plan's precisions.
    stages
        In running order.
    whole
        The same chain, cut only where the runtime changes.
    """

    mixed: Mapping[str, AnyModel]
    stages: tuple[StageModel, ...]
    whole: tuple[AnyModel, ...]


def build_in_runtimes(
    graph: BlockGraph,
    chosen: Configuration,
    placement: Placement,
    runtimes: Mapping[str, str],
    scheme: Scheme,
    ranges: Path,
) -> RuntimeModels:
    """Return the models in which every block is in its precision, on its device and in its runtime.

    Parameters
    ----------
    runtimes
        Device -> its runtime.
    scheme
        How ONNX Runtime quantizes.

    Raises
    ------
    RebuildError
        If a unit cannot be as the plan says.
    """
    builder = _Builder(graph, chosen, placement, scheme, ranges)
    by_runtime = Placement(
        tuple(runtimes[device] for device in placement.devices),
        runtimes[placement.source],
        runtimes[placement.sink],
        placement.raw_inputs,
    )
    stages = builder.stages(placement, runtimes)
    whole = builder.stages(by_runtime, {name: name for name in runtimes.values()})
    return RuntimeModels(builder.mixed, stages, tuple(stage.model for stage in whole))


class _Builder:
    """Cuts the mixed models of all runtimes at the same tensors."""

    def __init__(
        self, graph: BlockGraph, chosen: Configuration, placement: Placement, scheme: Scheme, ranges: Path
    ) -> None:
        self._graph = graph
        self._quantized = graph.tensor_precisions(chosen.mix)
        self._litert = graph.parts[LITERT]
        litert_mix = self._litert.mix(chosen.mix)
        mixed = litert_mixed(self._litert.graph, litert_mix, own_ranges(ranges, LITERT))
        # What crosses to another device is read as integers there, in whichever runtime.
        tasks = StageTasks(
            self._litert.graph,
            own_placement(self._litert, placement),
            self._litert.graph.tensor_precisions(litert_mix),
        )
        self._parted = with_integers_read(
            _litert_graph(self._litert.graph),
            mixed.quantized,
            tasks.remote_readers(),
            tasks.remote_outputs(),
        )
        crossings = Crossings(self._parted)
        self.mixed: dict[str, AnyModel] = {LITERT: as_mixed(self._parted)}
        self._cutters: dict[str, OnnxCutter | SavedModelCutter] = {}
        onnx_part, saved_model_part = graph.parts.get(ONNX_RUNTIME), graph.parts.get(TENSORFLOW)
        if onnx_part is not None:
            schemes = {unit: scheme.at(p) for unit, p in onnx_part.mix(chosen.mix).items()}
            own = own_ranges(ranges, ONNX_RUNTIME)
            mixed_onnx = rebuild(_onnx_graph(onnx_part.graph), schemes, own)
            self._cutters[ONNX_RUNTIME] = OnnxCutter(
                onnx_part, mixed_onnx, quantized_tensors(mixed_onnx), crossings
            )
            self.mixed[ONNX_RUNTIME] = mixed_onnx
        if saved_model_part is not None:
            self._cutters[TENSORFLOW] = SavedModelCutter(saved_model_part, crossings)
            self.mixed[TENSORFLOW] = saved_model_part.graph.fp32_model

    def stages(self, placement: Placement, runtimes: Mapping[str, str]) -> tuple[StageModel, ...]:
        """Return the stages of a placement, in running order."""
        tasks = StageTasks(self._graph, placement, self._quantized)
        stages = list(tasks.stages())
        of_litert = self._litert_stages([part for _, part in stages])
        read = {
            name
            for (device, _), stage in zip(stages, of_litert, strict=True)
            if runtimes[device] != ONNX_RUNTIME
            for name in stage.inputs
        }
        around = PlacedTasks(tasks, runtimes, read)
        found = []
        for (device, part), stage in zip(stages, of_litert, strict=True):
            cutter = self._cutters.get(runtimes[device])
            model = stage if cutter is None else cutter.stage(around, device, part, stage)
            found.append(
                StageModel(device, tuple(task.key for task in part if isinstance(task.key, int)), model)
            )
        return tuple(found)

    def _litert_stages(self, stages: Sequence[Sequence[Task]]) -> Sequence[Stage]:
        """Return every stage as LiteRT has it, those of other runtimes too: they say what crosses."""
        own = [list(own_tasks(self._litert, part)) for part in stages]
        parted, lone = with_lone_conversions(self._parted, list(chain.from_iterable(own)))
        parts = [
            [
                number
                for task in part
                for number in (parted.operators[task.key] if isinstance(task.key, int) else lone[task])
            ]
            for part in own
        ]
        return cut(parted.model, parts, parted.shared)


def _litert_graph(graph: OperatorGraph) -> LitertGraph:
    if not isinstance(graph, LitertGraph):
        raise TypeError("the graph is of another runtime")
    return graph


def _onnx_graph(graph: OperatorGraph) -> ModelGraph:
    if not isinstance(graph, ModelGraph):
        raise TypeError("the graph is of another runtime")
    return graph
