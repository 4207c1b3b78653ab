"""A plan's timings, kept in the cache beside the profiles that they correct.

So a plan costs the same in every command, whichever timed it first, until devices are profiled anew.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import msgspec

from planner.deployment.built_models import BuiltModels
from planner.devices.runtime import origin_of, runtime_of
from planner.inputs.prepared_scenario import Prepared
from planner.plan.configuration import Configuration
from planner.refinement.time_in_place import time_in_place
from planner.scenario.device_schema import DeviceSpec
from planner.scenario.schema import Scenario
from profiling.latency.plan_timing import PlanTiming
from profiling.on_device.kernels import KernelTimes
from profiling.on_device.processor import cpu_description
from profiling.records.cache import EntryKind, cached, content_hash, entry_path
from profiling.records.profile import LatencyProfile


class KeptTimings(msgspec.Struct, frozen=True):
    """Device -> what a plan showed there."""

    timings: dict[str, PlanTiming]


def plan_timings(
    prepared: Prepared,
    latency: Mapping[str, LatencyProfile],
    build: Callable[[Configuration], BuiltModels],
    configuration: Configuration,
) -> dict[str, PlanTiming]:
    """Return device -> seconds of a plan's models, for the devices that this machine stands for.

    A plan that was timed since the devices were profiled is neither built nor timed again.

    Parameters
    ----------
    latency
        The measured profiles, by device.
    build
        Returns a plan's models.
    """
    path = _entry(prepared, latency, configuration)

    def make() -> KeptTimings:
        timings = time_in_place(prepared, build(configuration), configuration)
        return KeptTimings({device: _without_runs(timing) for device, timing in timings.items()})

    return cached(path, KeptTimings, make).timings


def _entry(prepared: Prepared, latency: Mapping[str, LatencyProfile], configuration: Configuration) -> Path:
    scenario, profiles = prepared.scenario, msgspec.json.encode(dict(latency))
    return entry_path(
        EntryKind.PLAN_TIMINGS,
        time_in_place,
        subject=prepared.subject.fingerprint,
        schemes=repr(sorted((name, scheme.label) for name, scheme in prepared.schemes.items())),
        devices=[_timed_as(scenario, device) for device in scenario.devices],
        source=scenario.source,
        rounds=scenario.profiling.rounds,
        profiles=content_hash(profiles=profiles.decode()),
        chosen=repr(configuration),
        runtime=prepared.models.model.runtime_version,
        processor=cpu_description(),
    )


def _timed_as(scenario: Scenario, device: DeviceSpec) -> tuple[str, ...]:
    """Return what decides how a device's stages are timed; its watts, say, do not."""
    origin, _ = origin_of(scenario, device)
    settings = repr(runtime_of(origin)) if origin.is_measured_here else ""
    return device.name, origin.name, scenario.runtime_of(device), settings


def _without_runs(timing: PlanTiming) -> PlanTiming:
    """Return a timing without the single runs of kernels, which correct nothing."""
    profiled = timing.plan.profiled
    kernels = tuple(replace(kernel, runs_s=()) for kernel in profiled.kernels)
    plan = replace(timing.plan, profiled=KernelTimes(kernels), runs=(), all_runs=())
    return replace(timing, plan=plan)
