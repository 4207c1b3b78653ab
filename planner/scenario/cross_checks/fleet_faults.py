"""What is wrong between the keys of a fleet, and between them and the rest of the scenario."""

from collections.abc import Collection, Iterator
from itertools import pairwise

from planner.scenario.fleet_schema import DeviceClassSpec, FleetSpec
from planner.scenario.schema import Scenario
from planner.scenario.validation_messages import Fault


def fleet_faults(scenario: Scenario, wrong: Collection[tuple[str | int, ...]]) -> Iterator[Fault]:
    """Yield the faults of a scenario's fleet.

    Parameters
    ----------
    wrong
        Keys whose own values are wrong already.
    """
    if scenario.fleet is None or any(key_path[:1] == ("fleet",) for key_path in wrong):
        return
    yield from _link_faults(scenario, scenario.fleet)
    names = [device_class.name for device_class in scenario.fleet.classes]
    for i, device_class in enumerate(scenario.fleet.classes):
        key_path = ("fleet", "classes", i)
        if names.index(device_class.name) != i:
            yield Fault((*key_path, "name"), f"{device_class.name!r} is already taken")
        if not set(device_class.precisions or scenario.offered_precisions) & set(scenario.offered_precisions):
            yield Fault((*key_path, "precisions"), "shares none with the scenario's precisions")
        yield from _bandwidth_faults(key_path, device_class)


def _link_faults(scenario: Scenario, fleet: FleetSpec) -> Iterator[Fault]:
    names = [link.name for link in scenario.links]
    for i, name in enumerate(fleet.links):
        if name not in names:
            yield Fault(("fleet", "links", i), f"names no link: {name!r}; links are {', '.join(names)}")
        elif name in fleet.links[:i]:
            yield Fault(("fleet", "links", i), f"{name!r} is there twice")
    if any(device_class.bandwidths for device_class in fleet.classes) and not fleet_links(scenario, fleet):
        yield Fault(
            ("fleet", "links"), f"are required: no link begins or ends at {fleet.device}, to take bandwidths"
        )


def _bandwidth_faults(key_path: tuple[str | int, ...], device_class: DeviceClassSpec) -> Iterator[Fault]:
    for before, after in pairwise(device_class.bandwidths):
        if before.mbit_per_s >= after.mbit_per_s:
            yield Fault(
                (*key_path, "bandwidths"),
                f"{after.mbit_per_s:g} comes after {before.mbit_per_s:g}; write each once, ascending",
            )


def fleet_links(scenario: Scenario, fleet: FleetSpec) -> tuple[str, ...]:
    """Return the names of the links that take a fleet's bandwidths."""
    own = (link.name for link in scenario.links if fleet.device in (link.source, link.target))
    return fleet.links or tuple(own)
