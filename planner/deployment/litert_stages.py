"""Graph of a `.tflite` model + precisions and devices -> the mixed model and its stages."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from planner.deployment.stage_tasks import Placement, StageModel, StageTasks, Task
from planner.errors import RebuildError
from profiling.errors import QuantizeError
from profiling.graph.operator_graph import OperatorGraph
from profiling.litert.cut import cut
from profiling.litert.planning.mixed_model import MixedModel, as_mixed, mixed_model
from profiling.litert.planning.ranges_file import load_ranges
from profiling.litert.planning.remote_readers import with_integers_read
from profiling.litert.quantize import QuantizedModel
from profiling.litert.table_access import tensors_of
from profiling.litert.unit_graph import LitertGraph
from profiling.precision import Precision

_THERE, _BACK = "QUANTIZE", "DEQUANTIZE"


def litert_mixed(graph: OperatorGraph, mix: Mapping[int, Precision], ranges: Path) -> MixedModel:
    """Return the model with units in precisions.

    Raises
    ------
    RebuildError
        If a unit cannot be as the plan says.
    """
    own = _litert(graph)
    try:
        return mixed_model(own, mix, load_ranges(own.model, ranges))
    except QuantizeError as exc:
        raise RebuildError(str(exc)) from exc


def _litert(graph: OperatorGraph) -> LitertGraph:
    if not isinstance(graph, LitertGraph):
        raise TypeError("the graph is of another runtime")
    return graph


def litert_stages(
    graph: OperatorGraph, mixed: MixedModel, mix: Mapping[int, Precision], placement: Placement
) -> tuple[MixedModel, tuple[StageModel, ...]]:
    """Return the mixed model as it crosses links, and its stages in the order in which they can run.

    A tensor that a unit computes or reads as integers crosses as such: what quantizes it runs where it is
    computed, what brings it back where it is read.
    """
    quantized = graph.tensor_precisions(mix)
    tasks = StageTasks(graph, placement, quantized)
    parted = with_integers_read(
        _litert(graph), mixed.quantized, tasks.remote_readers(), tasks.remote_outputs()
    )
    stages = list(tasks.stages())
    parted, lone = with_lone_conversions(parted, [task for _, part in stages for task in part])
    parts = [
        [
            number
            for task in part
            for number in (parted.operators[task.key] if isinstance(task.key, int) else lone[task])
        ]
        for _, part in stages
    ]
    models = cut(parted.model, parts, parted.shared)
    return as_mixed(parted), tuple(
        StageModel(device, tuple(task.key for task in part if isinstance(task.key, int)), model)
        for (device, part), model in zip(stages, models, strict=True)
    )


def with_lone_conversions(
    parted: QuantizedModel, tasks: list[Task]
) -> tuple[QuantizedModel, dict[Task, list[int]]]:
    """Return the model whose conversions at its ends belong to tasks of their own, and which these are."""
    kinds = {number: parted.model.op_types[number] for number in parted.conversions}
    # Who reads the float form of an output brings integers back by itself.
    shared = {*parted.shared, *(number for number, kind in kinds.items() if kind == _BACK)}
    operators, lone = [set(numbers) for numbers in parted.operators], dict[Task, list[int]]()
    outputs = set(parted.model.outputs.values())
    for task in tasks:
        if isinstance(task.key, int):
            continue
        kind = _THERE if task.kind == "encode" else _BACK
        found = [n for n, tensor in parted.conversions.items() if tensor == task.key and kinds[n] == kind]
        if kind == _BACK:
            written = {n: set(tensors_of(parted.model.operators[n].outputs)) for n in found}
            found = [number for number in found if written[number] & outputs]
        else:
            shared.difference_update(found)
        for numbers in operators:
            numbers.difference_update(found)
        lone[task] = found
    owned = tuple(tuple(sorted(numbers)) for numbers in operators)
    return replace(parted, operators=owned, shared=frozenset(shared)), lone
