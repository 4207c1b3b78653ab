"""The scenario of one class of a fleet: its device in place of the fleet's."""

from planner.errors import ScenarioError
from planner.scenario.device_schema import DeviceSpec
from planner.scenario.fleet_schema import DeviceClassSpec
from planner.scenario.schema import Scenario


def class_limits(scenario: Scenario, device: str, device_class: DeviceClassSpec) -> Scenario:
    """Return a scenario with the class in place of a device, its costs apart, and without a fleet."""
    devices = tuple(
        one.model_copy(update={"precisions": device_class.precisions})
        if one.name == device and device_class.precisions is not None
        else one
        for one in scenario.devices
    )
    changes: dict[str, object] = {"devices": devices, "fleet": None}
    if device_class.memory_mib is not None:
        memory = {**scenario.budget.memory_mib, device: device_class.memory_mib}
        changes["budget"] = scenario.budget.model_copy(update={"memory_mib": memory})
    return scenario.model_copy(update=changes)


def class_scenario(scenario: Scenario, name: str) -> Scenario:
    """Return a scenario in which the fleet's device is as one of its classes says, and without a fleet.

    Other devices cost what they did, also those that are scaled from it. Links keep their own bandwidths.

    Raises
    ------
    ScenarioError
        If there is no such class; or it has a profile, and another device is scaled from the fleet's.
    """
    fleet = scenario.fleet
    wanted = [one for one in fleet.classes if one.name == name] if fleet else []
    if fleet is None or not wanted:
        raise ScenarioError(f"--class {name}: the scenario's fleet has no such class")
    device_class = wanted[0]
    scaled = [device.name for device in scenario.devices if device.scaled_from == fleet.device]
    if device_class.profile is not None and scaled:
        raise ScenarioError(
            f"--class {name}: has a profile of its own, and {scaled[0]} is scaled from {fleet.device}: "
            "scale it from another device"
        )
    limited = class_limits(scenario, fleet.device, device_class)
    devices = tuple(_device(device, fleet.device, device_class) for device in limited.devices)
    return limited.model_copy(update={"devices": devices})


def _device(device: DeviceSpec, varied: str, device_class: DeviceClassSpec) -> DeviceSpec:
    """Return a device with its costs in the class's scenario."""
    speedup = device.speedup or 1.0
    if device.scaled_from == varied and device_class.speedup != 1.0:
        return device.model_copy(update={"speedup": speedup / device_class.speedup})
    if device.name != varied:
        return device
    if device_class.profile is not None:
        own = {"speedup": device_class.speedup, "profile": device_class.profile, "scaled_from": None}
        return device.model_copy(update=own)
    if device_class.speedup == 1.0:
        return device
    return device.model_copy(update={"speedup": speedup * device_class.speedup})
