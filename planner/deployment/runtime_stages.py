"""Blocks of several runtimes + precisions and devices -> stages of either runtime that can be chained."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import onnx
from onnx import checker

from planner.deployment.litert_stages import litert_mixed, with_lone_conversions
from planner.deployment.rebuild import quantized_tensors, rebuild
from planner.deployment.split import StageEnds
from planner.deployment.stage_tasks import Placement, StageModel, StageTasks, Task
from planner.errors import RebuildError
from planner.plan.configuration import Configuration
from profiling.graph.any_model import AnyModel
from profiling.graph.operator_graph import OperatorGraph
from profiling.graph.unit_graph import ModelGraph
from profiling.litert.cut import cut
from profiling.litert.planning.mixed_model import as_mixed
from profiling.litert.planning.remote_readers import with_integers_read
from profiling.litert.quantize import QuantizedModel
from profiling.litert.table_access import tensors_of
from profiling.litert.unit_graph import LitertGraph, tensor_quantization
from profiling.onnx_io.external_weights import check_model
from profiling.onnx_io.extract import SubmodelExtractor
from profiling.precision import Precision
from profiling.quantization.qdq_model import QUANTIZED_SUFFIX, Scheme
from profiling.runtime_names import LITERT, ONNX_RUNTIME, TENSORFLOW
from profiling.several_runtimes.block_graph import BlockGraph, RuntimePart
from profiling.several_runtimes.crossing_forms import Adapter, Affine, End, affine_of, with_adapters
from profiling.several_runtimes.own_ranges import own_ranges
from profiling.tensorflow_runtime.saved_model_graph import Cut, SavedModelGraph


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


def own_configuration(part: RuntimePart, chosen: Configuration) -> Configuration:
    """Return devices and precisions of a runtime's units, given those of blocks."""
    blocks, mix = part.block_of(), part.mix(chosen.mix)
    units = part.graph.units
    return Configuration(
        tuple(chosen.devices[blocks[unit.index]] for unit in units),
        tuple(mix.get(unit.index, Precision.FP32) for unit in units),
    )


class _Builder:
    """Cuts the mixed models of both runtimes at the same tensors."""

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
            _placed(self._litert, placement),
            self._litert.graph.tensor_precisions(litert_mix),
        )
        self._parted = with_integers_read(
            _litert_graph(self._litert.graph), mixed.quantized, tasks.remote_readers()
        )
        self.mixed: dict[str, AnyModel] = {LITERT: as_mixed(self._parted)}
        self._cutters: dict[str, _OnnxModel | _SavedModel] = {}
        onnx_part, saved_model_part = graph.parts.get(ONNX_RUNTIME), graph.parts.get(TENSORFLOW)
        if onnx_part is not None:
            schemes = {unit: scheme.at(p) for unit, p in onnx_part.mix(chosen.mix).items()}
            own = own_ranges(ranges, ONNX_RUNTIME)
            mixed_onnx = rebuild(_onnx_graph(onnx_part.graph), schemes, own)
            self._cutters[ONNX_RUNTIME] = _OnnxModel(onnx_part, mixed_onnx, self._crossing)
            self.mixed[ONNX_RUNTIME] = mixed_onnx
        if saved_model_part is not None:
            self._cutters[TENSORFLOW] = _SavedModel(saved_model_part, self._crossing)
            self.mixed[TENSORFLOW] = saved_model_part.graph.fp32_model

    def stages(self, placement: Placement, runtimes: Mapping[str, str]) -> tuple[StageModel, ...]:
        """Return the stages of a placement, in running order."""
        tasks = StageTasks(self._graph, placement, self._quantized)
        stages = list(tasks.stages())
        of_litert = self._litert_stages([part for _, part in stages])
        found = []
        for (device, part), stage in zip(stages, of_litert, strict=True):
            cutter, ends = self._cutters.get(runtimes[device]), _StageEnds(tasks, runtimes, device, part)
            model = stage if cutter is None else cutter.stage(ends)
            found.append(
                StageModel(device, tuple(task.key for task in part if isinstance(task.key, int)), model)
            )
        return tuple(found)

    def _litert_stages(self, stages: Sequence[Sequence[Task]]) -> Sequence[AnyModel]:
        """Return every stage as LiteRT has it, those of other runtimes too: they say what crosses."""
        own = [list(_own_tasks(self._litert, part)) for part in stages]
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

    def _crossing(self, name: str) -> End:
        """Return a tensor as LiteRT's stages give and take it."""
        model = self._parted.model
        number = _integers(self._parted, name)
        if number is None:
            number = model.names.index(name)
        found = tensor_quantization(model, number)
        elem_type = model.element_type(number).onnx
        affine = Affine(found.scales[0], found.zero_points[0], elem_type) if found is not None else None
        return End(model.names[number], model.shape(number), elem_type, affine)


@dataclass(frozen=True, slots=True)
class _StageEnds:
    """Who hands tensors to a stage of a placement, and who takes what it gives; by the blocks' names."""

    tasks: StageTasks
    runtimes: Mapping[str, str]
    device: str
    inside: Sequence[Task]

    def maker(self, name: str) -> str:
        """Return the runtime of what gives an input; "" if it comes as it arose."""
        maker = self.tasks.maker(name, self.device)
        if maker is None:
            return ""
        placement = self.tasks.placement
        return self.runtimes[placement.devices[maker.key] if isinstance(maker.key, int) else placement.source]

    def readers(self, name: str) -> set[str]:
        """Return the runtimes of other stages that read a tensor in the form in which it crosses."""
        placement = self.tasks.placement
        found = {
            self.runtimes[placement.devices[block]]
            for block in self.tasks.graph.consumers(name)
            if Task("unit", block) not in self.inside
        }
        if self.is_decoded_elsewhere(name):
            found.add(self.runtimes[placement.sink])
        return found

    def is_decoded_elsewhere(self, name: str) -> bool:
        """Return whether an output is due in a form that another stage brings back."""
        return self.tasks.decoded_at_sink(name) and Task("decode", name) not in self.inside

    def reads(self) -> dict[str, str]:
        """Return each tensor that comes from outside -> the runtime that gives it."""
        graph = self.tasks.graph
        names = [
            n
            for task in self.inside
            for n in (graph.units[task.key].inputs if isinstance(task.key, int) else (task.key,))
        ]
        made = {n for task in self.inside if isinstance(task.key, int) for n in graph.units[task.key].outputs}
        encoded = {task.key for task in self.inside if task.kind == "encode"}
        return {
            name: "" if name in encoded else self.maker(name)
            for name in dict.fromkeys(names)
            if name not in made
        }

    def gives(self) -> dict[str, bool]:
        """Return each tensor that leaves the stage -> whether in the form in which it crosses."""
        graph, given = self.tasks.graph, dict[str, bool]()
        for task in self.inside:
            if not isinstance(task.key, int):
                given[task.key] = task.kind == "encode"
                continue
            for name in graph.units[task.key].outputs:
                if self.readers(name):
                    given[name] = True
                elif name in graph.outputs:
                    given[name] = False
        return given


@dataclass(frozen=True, slots=True)
class _OnnxModel:
    """Cuts stages of ONNX Runtime, which take and give tensors as they cross."""

    part: RuntimePart
    mixed: onnx.ModelProto
    crossing: Callable[[str], End]

    def stage(self, ends: _StageEnds) -> onnx.ModelProto:
        """Return a stage.

        Raises
        ------
        RebuildError
            If it is not valid ONNX.
        """
        quantized = quantized_tensors(self.mixed)
        own_tasks = StageTasks(self.part.graph, _placed(self.part, ends.tasks.placement), quantized)
        own = list(_own_tasks(self.part, ends.inside))
        inputs, outputs = StageEnds(own_tasks, quantized).ends(ends.device, own)
        stage = SubmodelExtractor(self.mixed).extract(inputs, outputs)
        taking = [self._adapter(n) for n in inputs if ends.maker(self._name(n)) not in {"", ONNX_RUNTIME}]
        readers = {name: self._readers(name, ends) for name in outputs}
        giving = [self._adapter(name) for name, runtimes in readers.items() if runtimes - {"", ONNX_RUNTIME}]
        kept = [name for name, runtimes in readers.items() if runtimes & {"", ONNX_RUNTIME}]
        model = with_adapters(stage, taking, giving, kept)
        try:
            check_model(model)
        except checker.ValidationError as exc:
            raise RebuildError(f"a stage of {ends.device} is not valid ONNX: {exc}") from exc
        return model

    def _readers(self, own_name: str, ends: _StageEnds) -> set[str]:
        """Return the runtimes of other stages that read an output; "" is the caller."""
        name = self._name(own_name)
        is_due = name in ends.tasks.graph.outputs and not ends.is_decoded_elsewhere(name)
        is_own = not own_name.endswith(QUANTIZED_SUFFIX)
        return ends.readers(name) | ({""} if is_due and is_own else set())

    def _name(self, own_name: str) -> str:
        return self.part.tensor_names[own_name.removesuffix(QUANTIZED_SUFFIX)]

    def _adapter(self, own_name: str) -> Adapter:
        """Return what brings a tensor, by its name in ONNX stages, into the form in which it crosses."""
        name = self._name(own_name)
        tensor = self.part.graph.tensors[own_name.removesuffix(QUANTIZED_SUFFIX)]
        affine = affine_of(self.mixed, own_name) if own_name.endswith(QUANTIZED_SUFFIX) else None
        own = End(own_name, tensor.shape, affine.elem_type if affine else tensor.elem_type, affine)
        return Adapter(own, self.crossing(name), self.part.axes[name])


@dataclass(frozen=True, slots=True)
class _SavedModel:
    """Cuts stages of TensorFlow, which take and give tensors as they cross, and compute in float."""

    part: RuntimePart
    crossing: Callable[[str], End]

    def stage(self, ends: _StageEnds) -> AnyModel:
        """Return a stage."""
        inputs = [self._cut(name, crosses=bool(maker)) for name, maker in ends.reads().items()]
        outputs = [self._cut(name, crosses=crosses) for name, crosses in ends.gives().items()]
        return _saved_model_graph(self.part.graph).cut(inputs, outputs)

    def _cut(self, name: str, *, crosses: bool) -> Cut:
        graph, own_name = _saved_model_graph(self.part.graph), self.part.names[name]
        own, tensor = graph.tensors[own_name], graph.tensor_of[own_name]
        if not crosses:
            return Cut(name, tensor, tuple(range(len(own.shape))), own.shape, own.elem_type)
        form = self.crossing(name)
        scale, zero_point = (form.affine.scale, form.affine.zero_point) if form.affine else (0.0, 0)
        return Cut(form.name, tensor, self.part.axes[name], form.shape, form.elem_type, scale, zero_point)


def _own_tasks(part: RuntimePart, tasks: Sequence[Task]) -> Sequence[Task]:
    """Return a runtime's units in place of blocks, and its names of inputs and outputs."""
    return [
        own
        for task in tasks
        for own in (
            [Task("unit", unit) for unit in part.units[task.key]]
            if isinstance(task.key, int)
            else [replace(task, key=part.names[task.key])]
        )
    ]


def _placed(part: RuntimePart, placement: Placement) -> Placement:
    blocks = part.block_of()
    devices = tuple(placement.devices[blocks[unit.index]] for unit in part.graph.units)
    return replace(placement, devices=devices)


def _integers(parted: QuantizedModel, name: str) -> int | None:
    """Return the tensor that has the integers of a tensor, where conversions to or from them are made."""
    for number, tensor in parted.conversions.items():
        if tensor == name:
            operator, kind = parted.model.operators[number], parted.model.op_types[number]
            return tensors_of(operator.outputs if kind == "QUANTIZE" else operator.inputs)[0]
    return None


def _litert_graph(graph: OperatorGraph) -> LitertGraph:
    if not isinstance(graph, LitertGraph):
        raise TypeError("the graph is of another runtime")
    return graph


def _saved_model_graph(graph: OperatorGraph) -> SavedModelGraph:
    if not isinstance(graph, SavedModelGraph):
        raise TypeError("the graph is of another runtime")
    return graph


def _onnx_graph(graph: OperatorGraph) -> ModelGraph:
    if not isinstance(graph, ModelGraph):
        raise TypeError("the graph is of another runtime")
    return graph
