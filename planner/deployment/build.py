"""A plan's models: the whole mixed-precision one and its stages."""

from collections.abc import Sequence
from dataclasses import replace

from planner.deployment.built_models import BuiltModels
from planner.deployment.metadata import label_nodes, label_stage
from planner.deployment.rebuild import rebuild
from planner.deployment.split import split, wired_tensors_of
from planner.deployment.stage_tasks import Placement
from planner.errors import OutputError
from planner.inputs.prepared_scenario import Prepared
from planner.plan.configuration import Configuration
from planner.plan.plan_record import Plan
from profiling.graph.any_model import onnx_model
from profiling.graph.unit_graph import ModelGraph
from profiling.precision import Precision, Wire
from profiling.quantization.qdq_model import INT8
from profiling.quantization.ranges_file import read_ranges
from profiling.quantization.wire_formats import add_wires
from profiling.runtime_names import ONNX_RUNTIME
from profiling.several_runtimes.block_graph import BlockGraph


def build(prepared: Prepared, chosen: Configuration) -> BuiltModels:
    """Return the models in which every unit is in its precision and on its device."""
    graph, scenario, devices = prepared.models.graph, prepared.scenario, chosen.devices
    placement = Placement(devices, scenario.source, scenario.sink, frozenset(scenario.inputs))
    if isinstance(graph, BlockGraph):
        return _build_in_runtimes(prepared, graph, chosen, placement)
    if not isinstance(graph, ModelGraph):
        from planner.deployment.litert_stages import litert_mixed, litert_stages  # needs the extra

        mixed_tflite = litert_mixed(graph, chosen.mix, prepared.ranges)
        return BuiltModels(graph, *litert_stages(graph, mixed_tflite, chosen.mix, placement))
    # A unit is quantized as its own device does it, whatever the others do.
    schemes = {
        index: replace(
            prepared.schemes[devices[index]],
            blocked_layout=_is_blocked_around(index, graph, prepared, devices),
        ).at(precision)
        for index, precision in chosen.mix.items()
    }
    mixed = rebuild(graph, schemes, prepared.ranges)
    crossings = wired_tensors_of(mixed, graph, placement, dict(chosen.wires))
    if crossings:
        quantized = {node for index in schemes for node in graph.units[index].nodes}
        mixed = add_wires(mixed, crossings, read_ranges(prepared.ranges), quantized)
    label_nodes(mixed, graph, chosen)
    stages = split(mixed, graph, placement, crossings)
    for number, stage in enumerate(stages):
        label_stage(onnx_model(stage.model), number, [stage_model.device for stage_model in stages])
    return BuiltModels(graph, mixed, stages)


def _is_blocked_around(index: int, graph: ModelGraph, prepared: Prepared, devices: Sequence[str]) -> bool:
    """Return whether the devices of a unit and of all that read what it reads or writes have the layout."""
    unit = graph.units[index]
    readers = (reader for name in (*unit.inputs, *unit.outputs) for reader in graph.consumers(name))
    return all(prepared.schemes[devices[one]].blocked_layout for one in {index, *readers})


def _build_in_runtimes(
    prepared: Prepared, graph: BlockGraph, chosen: Configuration, placement: Placement
) -> BuiltModels:
    from planner.deployment.runtime_stages import build_in_runtimes  # needs the extra

    scenario = prepared.scenario
    runtimes = {device.name: scenario.runtime_of(device) for device in scenario.devices}
    of_onnx = [prepared.schemes[name] for name, runtime in runtimes.items() if runtime == ONNX_RUNTIME]
    in_blocks = all(scheme.blocked_layout for scheme in of_onnx)
    scheme = replace(of_onnx[0], blocked_layout=in_blocks) if of_onnx else INT8
    models = build_in_runtimes(graph, chosen, placement, runtimes, scheme, prepared.ranges)
    for number, stage in enumerate(models.stages):
        if runtimes[stage.device] == ONNX_RUNTIME:
            label_stage(onnx_model(stage.model), number, [one.device for one in models.stages])
    mixed = models.mixed[runtimes[scenario.source]]
    return BuiltModels(graph, mixed, models.stages, models.whole, models.mixed)


def build_models(prepared: Prepared, plan: Plan) -> BuiltModels:
    """Return a plan's mixed-precision model and its stages."""
    return build(prepared, planned_configuration(prepared, plan))


def planned_configuration(prepared: Prepared, plan: Plan) -> Configuration:
    """Return what the models of a saved plan follow from.

    Raises
    ------
    OutputError
        If it is the plan of other units or devices.
    """
    graph = prepared.models.graph
    precisions, device_of = plan.precisions(), plan.devices()
    devices = {device.name for device in prepared.scenario.devices}
    assigned_twice = len(device_of) != len(plan.assignments)
    if (
        assigned_twice
        or set(device_of) != {unit.name for unit in graph.units}
        or not devices.issuperset(device_of.values())
    ):
        raise OutputError("plan.json: its assignments do not fit the model's units or the devices")
    chosen = Configuration(
        tuple(device_of[unit.name] for unit in graph.units),
        tuple(precisions[unit.name] if unit.quantizable else Precision.FP32 for unit in graph.units),
    )
    quantized = graph.tensor_precisions(chosen.mix)
    wires_by_name = {wire.value: wire for wire in Wire}
    floats = {name for name in graph.boundary_tensors() if graph.tensors[name].is_float} - set(quantized)
    wires = {
        cut.tensor: wires_by_name[cut.wire]
        for cut in plan.cuts
        if cut.wire in wires_by_name and cut.tensor in floats
    }
    return replace(chosen, wires=tuple(wires.items()))
