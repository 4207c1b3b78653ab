"""Which device runs here, and with which settings of the runtime."""

from collections.abc import Sequence
from dataclasses import replace
from math import prod

from planner.scenario.device_schema import DeviceSpec
from planner.scenario.schema import Scenario
from profiling.latency.measure_latency import Setup
from profiling.runtime.open_session import Runtime


def local_runtime(scenario: Scenario) -> Runtime:
    """Return how models are tried out here: as the first device that is measured on this machine."""
    measured = [device for device in measured_devices(scenario) if device.is_measured_here]
    return runtime_of(measured[0]) if measured else Runtime()


def origin_of(scenario: Scenario, device: DeviceSpec) -> tuple[DeviceSpec, float]:
    """Return the device whose costs a device takes, itself or one that it is scaled from, and its speedup.

    Speedups along a chain of scaled devices multiply, with that of the one whose costs they take.
    """
    chain = scenario.scaling_chain(device)
    return chain[-1], prod(one.speedup or 1.0 for one in chain)


def measured_devices(scenario: Scenario) -> Sequence[DeviceSpec]:
    """Return the devices that have a profile of their own."""
    return [device for device in scenario.devices if device.scaled_from is None]


def setup_of(scenario: Scenario, device: DeviceSpec) -> Setup:
    """Return how the model is measured on a device for plans of a scenario."""
    rounds, is_cut = scenario.profiling.rounds or 0, len(scenario.devices) > 1
    return Setup(runtime_of(device), rounds, scenario.measured_precisions, is_cut)


def setup_anywhere(scenario: Scenario, device: DeviceSpec) -> Setup:
    """Return how the model is measured on a device for any scenario: cuts as well."""
    return replace(setup_of(scenario, device), is_cut=True)


def runtime_of(device: DeviceSpec) -> Runtime:
    """Return how a device runs models."""
    return Runtime(device.threads, device.provider)
