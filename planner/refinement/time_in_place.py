"""Times a plan's models on this machine, for each device of the scenario that it stands for."""

from collections.abc import Sequence
from dataclasses import replace

from planner.deployment.built_models import BuiltModels
from planner.devices.runtime import is_measured_here, measured_devices, origin_of, runtime_of
from planner.inputs.prepared_scenario import Prepared
from planner.plan.configuration import Configuration
from profiling.latency.measure_latency import BuiltPlan
from profiling.latency.plan_corrections import PlanTiming
from profiling.runtime.open_session import Runtime


def time_in_place(prepared: Prepared, built: BuiltModels, chosen: Configuration) -> dict[str, PlanTiming]:
    """Return device -> seconds of a plan's models, for the devices that this machine stands for."""
    scenario = prepared.scenario
    measured_here = [device for device in measured_devices(scenario) if is_measured_here(device)]
    plan = BuiltPlan(chosen.mix, built.mixed, tuple((stage.units, stage.model) for stage in built.stages))
    origins = [origin_of(scenario, scenario.device(stage.device))[0].name for stage in built.stages]
    model, feeds = prepared.models.model, prepared.subject.calibration.samples[0]
    rounds = scenario.profiling.rounds or 0
    timings: dict[Runtime, PlanTiming] = {}
    for device in measured_here:
        runtime = runtime_of(device)
        if runtime not in timings:
            timings[runtime] = model.time_plan(plan, feeds, runtime, rounds)
    return {
        device.name: _as_seen_by(timings[runtime_of(device)], device.name, origins)
        for device in measured_here
    }


def _as_seen_by(timing: PlanTiming, device: str, origins: Sequence[str]) -> PlanTiming:
    """Return what was timed, with the stages marked whose devices take their costs from a device."""
    marked = (
        replace(stage, profiled_here=origin == device)
        for stage, origin in zip(timing.stages, origins, strict=False)
    )
    return replace(timing, stages=tuple(marked))
