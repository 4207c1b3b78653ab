"""Times a plan's models on this machine, for each device of the scenario that it stands for."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from planner.deployment.built_models import BuiltModels
from planner.devices.runtime import is_measured_here, measured_devices, origin_of, runtime_of
from planner.inputs.prepared_scenario import Prepared
from planner.plan.configuration import Configuration
from planner.verification.stage_chain import handed_over
from profiling.arrays import Feeds
from profiling.latency.measure_latency import BuiltPlan
from profiling.latency.plan_corrections import PlanTiming
from profiling.runtime.open_session import Runtime
from profiling.several_runtimes.block_graph import BlockGraph


def time_in_place(prepared: Prepared, built: BuiltModels, chosen: Configuration) -> dict[str, PlanTiming]:
    """Return device -> seconds of a plan's models, for the devices that this machine stands for.

    Where devices run several runtimes, each is timed by its own units; one that has no stage is left out.
    """
    scenario = prepared.scenario
    measured_here = [device for device in measured_devices(scenario) if is_measured_here(device)]
    model, feeds = prepared.models.model, prepared.subject.calibration.samples[0]
    plans = _plans(prepared, built, chosen, feeds)
    rounds = scenario.profiling.rounds or 0
    timings: dict[tuple[str, Runtime], PlanTiming] = {}
    of_device = {}
    for device in measured_here:
        runtime, settings = scenario.runtime_of(device), runtime_of(device)
        if runtime not in plans:
            continue
        plan, origins = plans[runtime]
        if (runtime, settings) not in timings:
            timings[runtime, settings] = model.time_plan(plan, feeds, settings, rounds)
        of_device[device.name] = _as_seen_by(timings[runtime, settings], device.name, origins)
    return of_device


def _plans(
    prepared: Prepared, built: BuiltModels, chosen: Configuration, feeds: Feeds
) -> dict[str, tuple[BuiltPlan[Any], list[str]]]:
    """Return runtime -> a plan's models in its units, and the devices whose costs its stages take."""
    scenario, graph = prepared.scenario, built.graph
    origins = [origin_of(scenario, scenario.device(stage.device))[0].name for stage in built.stages]
    if not isinstance(graph, BlockGraph):
        stages = tuple((stage.units, stage.model) for stage in built.stages)
        return {scenario.runtime: (BuiltPlan(chosen.mix, built.mixed, stages), origins)}
    runtimes = [scenario.runtime_of(scenario.device(stage.device)) for stage in built.stages]
    values = handed_over([stage.model for stage in built.stages], feeds, prepared.runtime)
    plans = {}
    for runtime in dict.fromkeys(runtimes):
        part = graph.parts[runtime]
        own = [number for number, other in enumerate(runtimes) if other == runtime]
        stages = tuple(
            (
                tuple(unit for block in built.stages[n].units for unit in part.units[block]),
                built.stages[n].model,
            )
            for n in own
        )
        given = values if len(own) < len(runtimes) else {}
        plan = BuiltPlan(part.mix(chosen.mix), built.mixed_in[runtime], stages, given)
        plans[runtime] = plan, [origins[number] for number in own]
    return plans


def _as_seen_by(timing: PlanTiming, device: str, origins: Sequence[str]) -> PlanTiming:
    """Return what was timed, with the stages marked whose devices take their costs from a device."""
    marked = (
        replace(stage, profiled_here=origin == device)
        for stage, origin in zip(timing.stages, origins, strict=False)
    )
    return replace(timing, stages=tuple(marked))
