"""Times a plan's models on this machine, for each device of the scenario that it stands for."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from planner.deployment.built_models import BuiltModels
from planner.devices.runtime import measured_devices, origin_of, runtime_of
from planner.inputs.prepared_scenario import Prepared
from planner.plan.configuration import Configuration
from planner.scenario.device_schema import DeviceSpec
from planner.verification.stage_chain import handed_over
from profiling.latency.measure_latency import BuiltPlan
from profiling.latency.plan_timing import PlanTiming, StageTime
from profiling.precision import Precision
from profiling.runtime.open_session import Runtime
from profiling.several_runtimes.block_graph import BlockGraph, RuntimePart
from profiling.stage_session import runtime_of_model


def time_in_place(prepared: Prepared, built: BuiltModels, chosen: Configuration) -> dict[str, PlanTiming]:
    """Return device -> seconds of a plan's models, for the devices that this machine stands for.

    Where devices run several runtimes, each is timed by its own units; one that has no stage is left out.
    """
    scenario, graph = prepared.scenario, built.graph
    measured_here = [device for device in measured_devices(scenario) if device.is_measured_here]
    if not measured_here:
        return {}
    origins = [origin_of(scenario, scenario.device(stage.device))[0].name for stage in built.stages]
    if isinstance(graph, BlockGraph):
        timings = _in_runtimes(prepared, built, graph, chosen, measured_here)
    else:
        stages = tuple((stage.units, stage.model) for stage in built.stages)
        plan = BuiltPlan(chosen.mix, built.mixed, stages)
        timings = {
            (scenario.runtime, settings): _timed(prepared, plan, settings)
            for settings in dict.fromkeys(map(runtime_of, measured_here))
        }
    keys = {device.name: (scenario.runtime_of(device), runtime_of(device)) for device in measured_here}
    return {name: _as_seen_by(timings[key], name, origins) for name, key in keys.items() if key in timings}


def _timed(prepared: Prepared, plan: BuiltPlan[Any], settings: Runtime) -> PlanTiming:
    feeds, rounds = prepared.subject.calibration.samples[0], prepared.scenario.profiling.rounds or 0
    return prepared.models.model.time_plan(plan, feeds, settings, rounds)


def _in_runtimes(
    prepared: Prepared,
    built: BuiltModels,
    graph: BlockGraph,
    chosen: Configuration,
    measured_here: Sequence[DeviceSpec],
) -> dict[tuple[str, Runtime], PlanTiming]:
    """Return (runtime, settings) -> a plan's timing, by the runtime's units.

    All have all stages. Those of other runtimes take as much of the fp32 model as they do there.
    """
    scenario = prepared.scenario
    models = [stage.model for stage in built.stages]
    runtimes = [runtime_of_model(model) for model in models]
    values = handed_over(models, prepared.subject.calibration.samples[0], prepared.runtime)
    timings: dict[tuple[str, Runtime], PlanTiming] = {}
    ratios: dict[int, float] = {}
    for runtime in dict.fromkeys(runtimes):
        part = graph.parts[runtime]
        own = [number for number, other in enumerate(runtimes) if other == runtime]
        stages = tuple((_units_of(part, built.stages[number].units), models[number]) for number in own)
        given = values if len(own) < len(runtimes) else {}
        plan = BuiltPlan(_mix_around(part, chosen), built.mixed_in[runtime], stages, given)
        here = [runtime_of(device) for device in measured_here if scenario.runtime_of(device) == runtime]
        for settings in dict.fromkeys(here or [prepared.runtime]):
            timings[runtime, settings] = timing = _timed(prepared, plan, settings)
            for number, stage in zip(own, timing.stages, strict=False):
                ratios.setdefault(number, stage.seconds / timing.fp32_s)
    return {
        (runtime, settings): replace(
            timing,
            stages=tuple(
                StageTime(_units_of(graph.parts[runtime], stage.units), ratios[number] * timing.fp32_s)
                for number, stage in enumerate(built.stages)
                if number in ratios
            ),
        )
        for (runtime, settings), timing in timings.items()
    }


def _mix_around(part: RuntimePart, chosen: Configuration) -> dict[int, Precision]:
    """Return the precisions of a runtime's units; in one without integers, of what is around, too.

    They say in which form tensors cross.
    """
    if part.quantizes:
        return part.mix(chosen.mix)
    return {unit: precision for block, precision in chosen.mix.items() for unit in part.units[block]}


def _units_of(part: RuntimePart, blocks: Sequence[int]) -> tuple[int, ...]:
    return tuple(unit for block in blocks for unit in part.units[block])


def _as_seen_by(timing: PlanTiming, device: str, origins: Sequence[str]) -> PlanTiming:
    """Return what was timed, with the stages marked whose devices take their costs from a device."""
    marked = (
        replace(stage, profiled_here=origin == device)
        for stage, origin in zip(timing.stages, origins, strict=False)
    )
    return replace(timing, stages=tuple(marked))
