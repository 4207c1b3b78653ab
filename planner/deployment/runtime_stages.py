"""Blocks of several runtimes + precisions and devices -> stages of either runtime that can be chained."""

from collections.abc import Collection, Mapping, Sequence
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
from profiling.graph.any_model import AnyModel, Stage
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
from profiling.several_runtimes.crossing_forms import (
    Adapter,
    Affine,
    End,
    affine_of,
    with_adapters,
    with_names,
)
from profiling.several_runtimes.own_ranges import own_ranges
from profiling.tensorflow_runtime.saved_model_graph import Cut, SavedModelGraph

_OWN = frozenset({"", ONNX_RUNTIME})  # what an ONNX stage hands tensors to as they are


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
            _placed(self._litert, placement),
            self._litert.graph.tensor_precisions(litert_mix),
        )
        self._parted = with_integers_read(
            _litert_graph(self._litert.graph),
            mixed.quantized,
            tasks.remote_readers(),
            tasks.remote_outputs(),
        )
        crossings = _Crossings(self._parted)
        self.mixed: dict[str, AnyModel] = {LITERT: as_mixed(self._parted)}
        self._cutters: dict[str, _OnnxCutter | _SavedModelCutter] = {}
        onnx_part, saved_model_part = graph.parts.get(ONNX_RUNTIME), graph.parts.get(TENSORFLOW)
        if onnx_part is not None:
            schemes = {unit: scheme.at(p) for unit, p in onnx_part.mix(chosen.mix).items()}
            own = own_ranges(ranges, ONNX_RUNTIME)
            mixed_onnx = rebuild(_onnx_graph(onnx_part.graph), schemes, own)
            self._cutters[ONNX_RUNTIME] = _OnnxCutter(
                onnx_part, mixed_onnx, quantized_tensors(mixed_onnx), crossings
            )
            self.mixed[ONNX_RUNTIME] = mixed_onnx
        if saved_model_part is not None:
            self._cutters[TENSORFLOW] = _SavedModelCutter(saved_model_part, crossings)
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
        around = _Placed(tasks, runtimes, read)
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


@dataclass(frozen=True, slots=True)
class _Crossings:
    """The forms in which tensors cross: as LiteRT has them, floats, or integers of one or several scales."""

    parted: QuantizedModel

    def forms(self, name: str) -> set[str]:
        """Return the names of a tensor's forms."""
        model = self.parted.model
        converters = [model.operators[n] for n, tensor in self.parted.conversions.items() if tensor == name]
        numbers = [t for one in converters for t in (*tensors_of(one.inputs), *tensors_of(one.outputs))]
        return {name, *(model.names[number] for number in numbers)}

    def end(self, form: str) -> End:
        """Return a tensor as LiteRT's stages give and take it."""
        model = self.parted.model
        number = model.names.index(form)
        found = tensor_quantization(model, number)
        elem_type = model.element_type(number).onnx
        affine = Affine(found.scales[0], found.zero_points[0], elem_type) if found is not None else None
        return End(form, model.shape(number), elem_type, affine)


@dataclass(frozen=True, slots=True)
class _Placed:
    """The tasks of a placement, and where they run.

    Parameters
    ----------
    read
        Forms of tensors that stages take which are not ONNX Runtime's.
    """

    tasks: StageTasks
    runtimes: Mapping[str, str]
    read: Collection[str]


@dataclass(frozen=True, slots=True)
class _SavedModelCutter:
    """Cuts stages of TensorFlow, which compute in float."""

    part: RuntimePart
    crossings: _Crossings

    def stage(self, around: _Placed, device: str, tasks: Sequence[Task], in_litert: Stage) -> AnyModel:
        """Return a stage that takes and gives tensors as the same stage in LiteRT would."""
        del around, device, tasks
        names = {form: name for name in self.part.names for form in self.crossings.forms(name)}
        taken = {names[form]: form for form in reversed(in_litert.inputs)}  # one form of each is enough
        inputs = [self._cut(name, form) for name, form in reversed(taken.items())]
        outputs = [self._cut(names[form], form) for form in in_litert.outputs]
        return _saved_model_graph(self.part.graph).cut(inputs, outputs)

    def _cut(self, name: str, form: str) -> Cut:
        end, own = self.crossings.end(form), self.part.names[name]
        scale, zero_point = (end.affine.scale, end.affine.zero_point) if end.affine else (0.0, 0)
        tensor = _saved_model_graph(self.part.graph).tensor_of[own]
        return Cut(form, tensor, self.part.axes[name], end.shape, end.elem_type, scale, zero_point)


@dataclass(frozen=True, slots=True)
class _OnnxCutter:
    """Cuts stages of ONNX Runtime.

    Parameters
    ----------
    mixed, quantized
        The whole model in the plan's precisions, and its tensors that are quantized.
    """

    part: RuntimePart
    mixed: onnx.ModelProto
    quantized: Collection[str]
    crossings: _Crossings

    def stage(self, around: _Placed, device: str, tasks: Sequence[Task], in_litert: Stage) -> onnx.ModelProto:
        """Return a stage that takes and gives tensors as the same stage in LiteRT would.

        Raises
        ------
        RebuildError
            If it is not valid ONNX.
        """
        placed = _placed(self.part, around.tasks.placement)
        ends = StageEnds(StageTasks(self.part.graph, placed, self.quantized), self.quantized)
        inputs, outputs = ends.ends(device, list(_own_tasks(self.part, tasks)))
        stage = SubmodelExtractor(self.mixed).extract(inputs, outputs)
        taken = [
            self._adapter(name, form)
            for name in inputs
            if self._made_by(around, name, device) not in _OWN
            for form in self._forms(name, in_litert.inputs)[:1]
        ]
        read_by = {name: self._read_by(around, name, tasks) for name in outputs}
        given = [
            self._adapter(name, form)
            for name, runtimes in read_by.items()
            if runtimes - _OWN
            for form in self._forms(name, in_litert.outputs)
            if form in around.read
        ]
        # A float output of the model that is read on has one name and form everywhere.
        taking, giving = ([one for one in ends if one.own != one.crossing] for ends in (taken, given))
        kept = [name for name, runtimes in read_by.items() if not runtimes or runtimes & _OWN]
        own = {name for name in inputs if self._made_by(around, name, device) == ONNX_RUNTIME}
        own |= {name for name, runtimes in read_by.items() if ONNX_RUNTIME in runtimes}
        names = {name: self._shared_name(name) for name in own if name not in self.part.graph.outputs}
        model = with_names(with_adapters(stage, taking, giving, kept), names)
        try:
            check_model(model)
        except checker.ValidationError as exc:
            raise RebuildError(f"a stage of {device} is not valid ONNX: {exc}") from exc
        return model

    def _name(self, own_name: str) -> str:
        return self.part.tensor_names[own_name.removesuffix(QUANTIZED_SUFFIX)]

    def _shared_name(self, own_name: str) -> str:
        """Return the name of a tensor between ONNX stages, which begins with that of the blocks."""
        suffix = QUANTIZED_SUFFIX if own_name.endswith(QUANTIZED_SUFFIX) else f"_{ONNX_RUNTIME}"
        return self._name(own_name) + suffix

    def _forms(self, own_name: str, ends: Sequence[str]) -> list[str]:
        """Return which ends of a LiteRT stage are a tensor that an ONNX stage has by a name of its own."""
        forms = self.crossings.forms(self._name(own_name))
        return [end for end in ends if end in forms]

    def _adapter(self, own_name: str, form: str) -> Adapter:
        """Return what brings a tensor, by its name in ONNX stages, into a form in which it crosses."""
        tensor = self.part.graph.tensors[own_name.removesuffix(QUANTIZED_SUFFIX)]
        affine = affine_of(self.mixed, own_name) if own_name.endswith(QUANTIZED_SUFFIX) else None
        own = End(own_name, tensor.shape, affine.elem_type if affine else tensor.elem_type, affine)
        return Adapter(own, self.crossings.end(form), self.part.axes[self._name(own_name)])

    def _made_by(self, around: _Placed, own_name: str, device: str) -> str:
        """Return the runtime of what gives an input; "" if it comes as it arose."""
        maker = around.tasks.maker(self._name(own_name), device)
        if maker is None:
            return ""
        placement = around.tasks.placement
        at = placement.devices[maker.key] if isinstance(maker.key, int) else placement.source
        return around.runtimes[at]

    def _read_by(self, around: _Placed, own_name: str, tasks: Sequence[Task]) -> set[str]:
        """Return the runtimes of other stages that read an output; "" is the caller."""
        name, all_tasks, runtimes = self._name(own_name), around.tasks, around.runtimes
        placement = all_tasks.placement
        is_integer = own_name.endswith(QUANTIZED_SUFFIX)
        decoded = all_tasks.decoded_at_sink(name)
        found = set[str]()
        if is_integer or own_name not in self.quantized:  # else a float that is due only
            found.update(
                runtimes[device]
                for block in all_tasks.graph.consumers(name)
                if Task("unit", block) not in tasks
                and all_tasks.maker(name, device := placement.devices[block]) in tasks
            )
            if decoded and Task("decode", name) not in tasks:
                found.add(runtimes[placement.sink])
        is_due = name in all_tasks.graph.outputs and (not decoded or Task("decode", name) in tasks)
        if is_due and not is_integer:
            found.add("")
        return found


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
