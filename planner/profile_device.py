"""The flows of `plan profile`: a device measured here, or what it needs to be measured by itself."""

from dataclasses import dataclass
from pathlib import Path

from planner.costs.device_costs import noise_of
from planner.costs.device_profiles import check_profile, latency_profile
from planner.costs.noise_profiles import noise_profiles
from planner.devices.quantization_schemes import scheme_here, scheme_there
from planner.devices.runtime import origin_of, runtime_of, setup_anywhere
from planner.errors import ScenarioError
from planner.inputs.calibrated_model import CalibratedModel
from planner.inputs.prepared_scenario import prepare
from planner.scenario.device_schema import MEASURE_HERE, DeviceSpec
from planner.scenario.schema import Scenario
from profiling.errors import ProfileError
from profiling.latency.measure_latency import Setup
from profiling.on_device.measurement_order import MeasurementPlan
from profiling.precision import DEFAULT_PRECISIONS, Precision
from profiling.progress import Progress, silent
from profiling.quantization.calibration import Calibration
from profiling.records.profile import FORMAT as PROFILE_FORMAT
from profiling.records.profile import Profile, parse_profile


def profile_here(scenario: Scenario, device: str, progress: Progress = silent) -> Profile:
    """Measure a scenario's model on this machine as one of its devices.

    Raises
    ------
    ScenarioError
        If there is no such device.
    """
    named = device_of(scenario, device)
    local_device = named.model_copy(update={"profile": MEASURE_HERE, "scaled_from": None})
    if not origin_of(scenario, named)[0].is_measured_here:
        scenario = _asked_for(scenario, named)
    scheme = scheme_here(scenario, local_device, runtime_of(local_device))
    prepared = prepare(_with_device(scenario, local_device), progress, {device: scheme})
    scenario, calibration = prepared.scenario, prepared.calibration(device)
    setup = setup_anywhere(scenario, local_device)
    latency = latency_profile(scenario, local_device, prepared.subject, calibration, progress, setup)
    noise = noise_profiles(scenario, prepared.subject, prepared.calibrations, progress)
    return Profile(PROFILE_FORMAT, device, latency, noise_of(scenario, scheme, noise))


def _asked_for(scenario: Scenario, device: DeviceSpec) -> Scenario:
    """Return a scenario with the precisions that its plans look for in a device's profile file."""
    if scenario.precisions is not None:
        return scenario
    wanted = {*DEFAULT_PRECISIONS, *(device.precisions or ()), *scenario.placement.precision.values()}
    if scenario.fleet is not None and scenario.fleet.device == device.name:
        wanted.update(*(one.precisions or () for one in scenario.fleet.classes))
    precisions = tuple(precision for precision in Precision if precision in wanted)
    return scenario.model_copy(update={"precisions": precisions})


def _with_device(scenario: Scenario, device: DeviceSpec) -> Scenario:
    """Return a scenario with a device in place of the one that has its name."""
    devices = tuple(device if one.name == device.name else one for one in scenario.devices)
    return scenario.model_copy(update={"devices": devices})


def device_of(scenario: Scenario, name: str) -> DeviceSpec:
    """Return one of a scenario's devices.

    Raises
    ------
    ScenarioError
        If there is no such device.
    """
    names = [device.name for device in scenario.devices]
    if name not in names:
        raise ScenarioError(f"--device {name}: no such device; devices are {', '.join(names)}")
    return scenario.device(name)


@dataclass(frozen=True, slots=True)
class RemoteMeasurement:
    """What a device that is measured by itself is to measure, and of which model and calibration.

    Parameters
    ----------
    scenario
        With the precisions that are to be measured.
    """

    scenario: Scenario
    device: DeviceSpec
    subject: CalibratedModel
    calibration: Calibration
    setup: Setup
    order: MeasurementPlan


def remote_measurement(scenario: Scenario, device: str, progress: Progress = silent) -> RemoteMeasurement:
    """Return what one of a scenario's devices is to measure by itself.

    Raises
    ------
    ScenarioError
        If there is no such device.
    ProfileError
        If its runtime has no bundle.
    """
    # What gains nothing here may gain there: all that is asked for is measured.
    remote_device = device_of(scenario, device)
    scenario = _asked_for(scenario, remote_device)
    scenario = scenario.model_copy(update={"precisions": scenario.offered_precisions})
    prepared = prepare(scenario, progress, {device: scheme_there(scenario, remote_device)})
    calibration, setup = prepared.calibration(device), setup_anywhere(scenario, remote_device)
    order = prepared.subject.model.measurement_plan(calibration, setup, device)
    return RemoteMeasurement(scenario, remote_device, prepared.subject, calibration, setup, order)


def bundle_device(scenario: Scenario, device: str, folder: Path, progress: Progress = silent) -> None:
    """Write what one of a scenario's devices needs to be measured by itself into an empty folder.

    Raises
    ------
    ScenarioError, ProfileError
        As `remote_measurement`.
    """
    there = remote_measurement(scenario, device, progress)
    progress("writing the bundle", 0, 1)
    feeds = there.subject.calibration.samples[0]
    there.subject.model.write_bundle(there.calibration, feeds, there.setup, there.order, folder)
    progress("writing the bundle", 1, 1)


def parse_remote_profile(data: bytes, name: str, there: RemoteMeasurement) -> Profile:
    """Return the profile that a device made by itself, checked as a profile file is.

    Parameters
    ----------
    name
        What messages call it.

    Raises
    ------
    ProfileError
        If it is none, or of another model, device or setting than was to be measured.
    """
    profile, order = parse_profile(data, name), there.order
    latency = profile.latency
    if latency.model_sha256 != order.model_sha256:
        raise ProfileError(
            f"{name} is of another model; write its bundle again: "
            f"plan profile SCENARIO --device {order.device} --bundle DIR"
        )
    for what, found, asked in (
        ("device", profile.device, order.device),
        ("scheme", latency.scheme, order.scheme),
        ("provider", latency.provider, order.provider),
        ("threads", latency.threads, order.threads),
    ):
        if found != asked:
            raise ProfileError(f"{name}: was measured with {what} {found}, asked for was {asked}")
    check_profile(name, latency, there.scenario, there.device, there.subject)
    return profile
