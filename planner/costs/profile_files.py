"""Profiles of devices: measured here, or left to the device itself."""

from pathlib import Path

from planner.costs.device_profiles import (
    MEASURE_HERE,
    latency_profile,
    measured_devices,
    noise_of,
    noise_profiles,
    runtime_of,
    setup_of,
)
from planner.devices.quantization_schemes import scheme_here
from planner.errors import ScenarioError
from planner.inputs.prepared_scenario import Prepared, prepare
from planner.scenario.schema import DeviceSpec, Scenario
from profiling.latency.device_bundle import write_bundle
from profiling.latency.measure_latency import order_of, variants_of
from profiling.progress import Progress, silent
from profiling.quantization.quantize import Scheme
from profiling.records.profile import FORMAT as PROFILE_FORMAT
from profiling.records.profile import LatencyProfile, Profile


def profile_devices(prepared: Prepared, progress: Progress = silent) -> dict[str, LatencyProfile]:
    """Return the seconds of every device that is not scaled from another."""
    return {
        device.name: latency_profile(
            prepared.scenario, device, prepared.subject, prepared.calibration(device.name), progress
        )
        for device in measured_devices(prepared.scenario)
    }


def profile_here(scenario: Scenario, device: str, progress: Progress = silent) -> Profile:
    """Measure a scenario's model on this machine as one of its devices.

    Raises
    ------
    ScenarioError
        If there is no such device.
    """
    here = _device(scenario, device).model_copy(update={"profile": MEASURE_HERE, "scaled_from": None})
    scheme = scheme_here(scenario, here, runtime_of(here))
    prepared = prepare(scenario, progress, {device: scheme})
    calibration = prepared.calibration(device)
    latency = latency_profile(scenario, here, prepared.subject, calibration, progress)
    noise = noise_profiles(scenario, prepared.subject, prepared.calibrations, progress)
    return Profile(PROFILE_FORMAT, device, latency, noise_of(scenario, scheme, noise))


def _device(scenario: Scenario, name: str) -> DeviceSpec:
    names = [each.name for each in scenario.devices]
    if name not in names:
        raise ScenarioError(f"--device {name}: no such device; devices are {', '.join(names)}")
    return scenario.device(name)


def bundle_device(scenario: Scenario, device: str, folder: Path, progress: Progress = silent) -> None:
    """Write what one of a scenario's devices needs to be measured by itself into an empty folder.

    Raises
    ------
    ScenarioError
        If there is no such device.
    """
    there = _device(scenario, device)
    spec = scenario.quantization_of(there)
    # Bits of weights do not change seconds; whether kernels overflow there is found out there.
    scheme = Scheme(bool(spec.symmetric), bool(spec.reduce_range))
    prepared = prepare(scenario, progress, {device: scheme})
    feeds = prepared.subject.calibration.samples[0]
    graph, calibration = prepared.models.graph, prepared.calibration(device)
    setup = setup_of(scenario, there)
    order = order_of(graph, calibration, setup, device)
    progress("writing the bundle", 0, 1)
    write_bundle(variants_of(graph, calibration, setup.precisions), feeds, order, folder)
    progress("writing the bundle", 1, 1)
