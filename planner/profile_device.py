"""The flows of `plan profile`: a device measured here, or what it needs to be measured by itself."""

from pathlib import Path

from planner.costs.device_costs import noise_of
from planner.costs.device_profiles import latency_profile
from planner.costs.noise_profiles import noise_profiles
from planner.devices.quantization_schemes import scheme_here
from planner.devices.runtime import MEASURE_HERE, runtime_of, setup_of
from planner.errors import ScenarioError
from planner.inputs.prepared_scenario import prepare
from planner.scenario.device_schema import DeviceSpec
from planner.scenario.schema import Scenario
from profiling.latency.measure_latency import measurement_plan, variants_of
from profiling.latency.write_bundle import write_bundle
from profiling.progress import Progress, silent
from profiling.quantization.qdq_model import Scheme
from profiling.records.profile import FORMAT as PROFILE_FORMAT
from profiling.records.profile import Profile


def profile_here(scenario: Scenario, device: str, progress: Progress = silent) -> Profile:
    """Measure a scenario's model on this machine as one of its devices.

    Raises
    ------
    ScenarioError
        If there is no such device.
    """
    local_device = _device(scenario, device).model_copy(update={"profile": MEASURE_HERE, "scaled_from": None})
    scheme = scheme_here(scenario, local_device, runtime_of(local_device))
    prepared = prepare(scenario, progress, {device: scheme})
    calibration = prepared.calibration(device)
    latency = latency_profile(scenario, local_device, prepared.subject, calibration, progress)
    noise = noise_profiles(scenario, prepared.subject, prepared.calibrations, progress)
    return Profile(PROFILE_FORMAT, device, latency, noise_of(scenario, scheme, noise))


def _device(scenario: Scenario, name: str) -> DeviceSpec:
    names = [device.name for device in scenario.devices]
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
    remote_device = _device(scenario, device)
    quantization = scenario.quantization_of(remote_device)
    # Bits of weights do not change seconds; whether kernels overflow there is found out there.
    scheme = Scheme(bool(quantization.symmetric), bool(quantization.reduce_range))
    prepared = prepare(scenario, progress, {device: scheme})
    feeds = prepared.subject.calibration.samples[0]
    graph, calibration = prepared.models.graph, prepared.calibration(device)
    setup = setup_of(scenario, remote_device)
    order = measurement_plan(graph, calibration, setup, device)
    progress("writing the bundle", 0, 1)
    write_bundle(variants_of(graph, calibration, setup.precisions), feeds, order, folder)
    progress("writing the bundle", 1, 1)
