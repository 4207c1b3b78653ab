"""Cuts stages of ONNX Runtime and TensorFlow, which hand tensors over as LiteRT does."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import onnx
from onnx import checker

from planner.deployment.split import StageEnds
from planner.deployment.stage_tasks import Placement, StageTasks, Task
from planner.errors import RebuildError
from profiling.graph.any_model import AnyModel, Stage
from profiling.graph.operator_graph import OperatorGraph
from profiling.litert.quantize import QuantizedModel
from profiling.litert.table_access import tensors_of
from profiling.litert.unit_graph import tensor_quantization
from profiling.onnx_io.external_weights import check_model
from profiling.onnx_io.extract import SubmodelExtractor
from profiling.quantization.qdq_model import QUANTIZED_SUFFIX
from profiling.runtime_names import ONNX_RUNTIME
from profiling.several_runtimes.block_graph import RuntimePart
from profiling.several_runtimes.crossing_forms import (
    Adapter,
    Affine,
    End,
    affine_of,
    with_adapters,
    with_names,
)
from profiling.tensorflow_runtime.saved_model_graph import Cut, SavedModelGraph

_OWN = frozenset({"", ONNX_RUNTIME})  # what an ONNX stage hands tensors to as they are


@dataclass(frozen=True, slots=True)
class Crossings:
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
class PlacedTasks:
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
class SavedModelCutter:
    """Cuts stages of TensorFlow, which compute in float."""

    part: RuntimePart
    crossings: Crossings

    def stage(self, around: PlacedTasks, device: str, tasks: Sequence[Task], in_litert: Stage) -> AnyModel:
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
class OnnxCutter:
    """Cuts stages of ONNX Runtime.

    Parameters
    ----------
    mixed, quantized
        The whole model in the plan's precisions, and its tensors that are quantized.
    """

    part: RuntimePart
    mixed: onnx.ModelProto
    quantized: Collection[str]
    crossings: Crossings

    def stage(
        self, around: PlacedTasks, device: str, tasks: Sequence[Task], in_litert: Stage
    ) -> onnx.ModelProto:
        """Return a stage that takes and gives tensors as the same stage in LiteRT would.

        Raises
        ------
        RebuildError
            If it is not valid ONNX.
        """
        placed = own_placement(self.part, around.tasks.placement)
        ends = StageEnds(StageTasks(self.part.graph, placed, self.quantized), self.quantized)
        inputs, outputs = ends.ends(device, list(own_tasks(self.part, tasks)))
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

    def _made_by(self, around: PlacedTasks, own_name: str, device: str) -> str:
        """Return the runtime of what gives an input; "" if it comes as it arose."""
        maker = around.tasks.maker(self._name(own_name), device)
        if maker is None:
            return ""
        placement = around.tasks.placement
        at = placement.devices[maker.key] if isinstance(maker.key, int) else placement.source
        return around.runtimes[at]

    def _read_by(self, around: PlacedTasks, own_name: str, tasks: Sequence[Task]) -> set[str]:
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


def own_tasks(part: RuntimePart, tasks: Sequence[Task]) -> Sequence[Task]:
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


def own_placement(part: RuntimePart, placement: Placement) -> Placement:
    """Return where a runtime's units run, given where blocks do."""
    blocks = part.block_of()
    devices = tuple(placement.devices[blocks[unit.index]] for unit in part.graph.units)
    return replace(placement, devices=devices)


def _saved_model_graph(graph: OperatorGraph) -> SavedModelGraph:
    if not isinstance(graph, SavedModelGraph):
        raise TypeError("the graph is of another runtime")
    return graph
