"""A plan's models: the whole mixed-precision one and its stages."""

from dataclasses import dataclass

import onnx

from planner.errors import OutputError
from planner.plan import Plan
from planner.prepared import Prepared
from planner.rebuild import rebuild
from planner.split import Placement, StageModel, split
from planner.verify import Deliverable


@dataclass(frozen=True, slots=True)
class Built:
    """A plan's models."""

    mixed: onnx.ModelProto
    stages: tuple[StageModel, ...]


def build(prepared: Prepared, int8: list[int], devices: tuple[str, ...]) -> Built:
    """Return the models that have some units in int8 and every unit on its device.

    Parameters
    ----------
    int8
        Indices of units.
    devices
        By unit index.
    """
    schemes = {index: prepared.schemes[devices[index]] for index in int8}
    mixed = rebuild(prepared.models.graph, schemes, prepared.ranges)
    scenario = prepared.scenario
    placement = Placement(devices, scenario.source, scenario.sink, frozenset(scenario.inputs))
    return Built(mixed, split(mixed, prepared.models.graph, placement))


def build_models(prepared: Prepared, plan: Plan) -> Built:
    """Return a plan's mixed-precision model and its stages."""
    graph = prepared.models.graph
    int8_names, device_of = plan.int8_units(), plan.devices()
    devices = {device.name for device in prepared.scenario.devices}
    if set(device_of) != {unit.name for unit in graph.units} or not devices.issuperset(device_of.values()):
        raise OutputError("plan.json: its assignments do not fit the model's units or the devices")
    int8 = [unit.index for unit in graph.units if unit.quantizable and unit.name in int8_names]
    return build(prepared, int8, tuple(device_of[unit.name] for unit in graph.units))


def deliverable_of(prepared: Prepared, built: Built) -> Deliverable:
    """Return built models as they are verified."""
    return Deliverable(
        prepared.models.source,
        built.mixed,
        [stage.model for stage in built.stages],
        [prepared.level(stage.device) for stage in built.stages],
    )
