"""Checks a scenario whole: each key by its type, then what keys say of each other."""

import json
from collections.abc import Iterator, Sequence
from difflib import get_close_matches

from pydantic import ValidationError

from planner.scenario.cross_checks.fleet_faults import fleet_faults
from planner.scenario.cross_checks.runtime_faults import runtime_faults
from planner.scenario.link_schema import LinkSpec
from planner.scenario.partial_scenario import read_partially
from planner.scenario.schema import UNION_NAMES, ConversionSpec, Scenario
from planner.scenario.validation_messages import Fault, describe_faults

# Where one of these is wrong, whether the sink can be reached is not known.
_REACHABILITY_KEYS = (("source",), ("sink",), ("links",), ("devices",))


def check_scenario(text: str | bytes) -> tuple[Scenario | None, tuple[Fault, ...]]:
    """Return the scenario that a JSON text describes, or None and every fault of it."""
    scenario, faults = read_scenario(text)
    return (None, faults) if faults else (scenario, ())


def read_scenario(text: str | bytes) -> tuple[Scenario, tuple[Fault, ...]]:
    """Return the scenario that a JSON text describes, as far as it is right, and every fault of it."""
    faults: tuple[Fault, ...] = ()
    try:
        scenario = Scenario.model_validate_json(text)
    except ValidationError as exc:
        faults = describe_faults(exc.errors(), Scenario, UNION_NAMES)
        # What one key has wrong must not hide the faults between others.
        scenario = read_partially(Scenario, _content(text))
    return scenario, (*faults, *_crosscheck(scenario, faults))


def _content(text: str | bytes) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return {}


def check_conversion(text: str | bytes) -> tuple[ConversionSpec | None, tuple[Fault, ...]]:
    """Return the `conversion` that a JSON text describes, or None and every fault of it."""
    try:
        return ConversionSpec.model_validate_json(text), ()
    except ValidationError as exc:
        return None, describe_faults(exc.errors(), ConversionSpec, ())


def _crosscheck(scenario: Scenario, faults: Sequence[Fault]) -> Iterator[Fault]:
    """Yield what is wrong between keys, as far as the faults of single keys leave that to be judged."""
    wrong = {fault.key_path for fault in faults}
    names = [device.name for device in scenario.devices]
    right_names = [name for i, name in enumerate(names) if name and ("devices", i, "name") not in wrong]
    mentions = list(_device_names(scenario)) if names and right_names == names else []
    unknown = [(key_path, name) for key_path, name in mentions if name not in names and key_path not in wrong]
    for key_path, name in unknown:
        yield Fault(key_path, f"names no device: {name!r}; {_choices_text('devices', name, names)}")
    yield from _device_faults(scenario, names)
    for i, link in enumerate(scenario.links):
        if link.source and link.source == link.target:
            yield Fault(("links", i), "joins a device to itself")
        yield from _name_faults(scenario.links, i)
    yield from _budget_faults(scenario)
    yield from fleet_faults(scenario, wrong)
    if not unknown and not any(key_path[:1] in _REACHABILITY_KEYS for key_path in wrong):
        yield from _reach_faults(scenario)


def _name_faults(links: Sequence[LinkSpec], index: int) -> Iterator[Fault]:
    """Yield the fault of a link that has an earlier one's name: FROM-TO, where device names may have a -."""
    link = links[index]
    same = next((other for other in links[:index] if other.name == link.name), None)
    if same is not None and (same.source, same.target) == (link.source, link.target):
        yield Fault(("links", index), f"is a second link from {link.source!r} to {link.target!r}")
    elif same is not None:
        yield Fault(
            ("links", index),
            f"is called {link.name}, as is the one from {same.source!r} to {same.target!r}; rename a device",
        )


def _choices_text(what: str, name: str, names: Sequence[str]) -> str:
    """Return which names there are, and which of them may be meant."""
    close = get_close_matches(name, names, n=1)
    return f"{what} are {', '.join(names)}" + (f"; did you mean {close[0]}?" if close else "")


def metric_faults(scenario: Scenario) -> Iterator[Fault]:
    """Yield what a metric, and a budget on it, need that is not there."""
    if scenario.budget.metric_drop is not None and scenario.metric is None:
        yield Fault(("budget", "metric_drop"), "needs `metric`, the function that it speaks of")
    yield from _annotation_faults(scenario)


def _budget_faults(scenario: Scenario) -> Iterator[Fault]:
    yield from metric_faults(scenario)
    if scenario.budget.money_per_month is not None and scenario.requests_per_month is None:
        yield Fault(("requests_per_month",), "is required, beside budget, for budget.money_per_month")
    if scenario.needs_prices and not scenario.has_prices:
        yield Fault(
            ("devices", 0, "price_per_hour"),
            "or another price is required, since the objective or a budget is money",
        )
    links = [link.name for link in scenario.links]
    for name in scenario.budget.traffic_kib:
        if name not in links:
            yield Fault(
                ("budget", "traffic_kib", name), f"names no link; {_choices_text('links', name, links)}"
            )


def _annotation_faults(scenario: Scenario) -> Iterator[Fault]:
    """Yield the parts of the data that lack the annotations that a metric judges by."""
    if scenario.coco_ap is None:
        return
    parts = ["evaluation"] if scenario.budget.metric_drop is None else ["calibration", "evaluation"]
    for part in parts:
        if getattr(scenario.data, part).annotations is None:
            why = "for budget.metric_drop" if part == "calibration" else "by which metric coco_ap judges"
            yield Fault(("data", part, "labels"), f"must name COCO annotations (.json) of images, {why}")


def _device_faults(scenario: Scenario, names: list[str]) -> Iterator[Fault]:
    for i, device in enumerate(scenario.devices):
        if names.index(device.name) != i:
            yield Fault(("devices", i, "name"), f"{device.name!r} is already taken")
        yield from _precision_faults(scenario, i)
        if device.active_watt is None and (scenario.needs_energy or device.name in scenario.budget.energy_j):
            yield Fault(
                ("devices", i, "active_watt"), "is required, since the objective or a budget is energy"
            )
        yield from _scaling_faults(scenario, i)
    yield from runtime_faults(scenario)


def _precision_faults(scenario: Scenario, index: int) -> Iterator[Fault]:
    """Yield the precision of a device in which the scenario plans nothing."""
    device, key_path = scenario.devices[index], ("devices", index, "precisions")
    odd = [one for one in device.precisions or () if one not in scenario.offered_precisions]
    if not scenario.precisions_of(device):
        yield Fault(key_path, "shares none with the scenario's precisions")
    elif odd:
        known = ", ".join(scenario.offered_precisions)
        yield Fault(key_path, f"{odd[0]} is not among the scenario's precisions, {known}: name it there, too")


def _device_names(scenario: Scenario) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Yield (place, name) of every mention of a device."""
    yield ("source",), scenario.source
    yield ("sink",), scenario.sink
    for i, link in enumerate(scenario.links):
        yield ("links", i, "from"), link.source
        yield ("links", i, "to"), link.target
    for key in ("memory_mib", "energy_j"):
        for name in getattr(scenario.budget, key):
            yield ("budget", key, name), name
    for pattern, name in scenario.placement.pin.items():
        yield ("placement", "pin", pattern), name
    if scenario.fleet is not None:
        yield ("fleet", "device"), scenario.fleet.device
    for i, device in enumerate(scenario.devices):
        if device.scaled_from is not None:
            yield ("devices", i, "scaled_from"), device.scaled_from


def _scaling_faults(scenario: Scenario, index: int) -> list[Fault]:
    scaled_name = scenario.devices[index].name
    visited: set[str] = set()
    name = scenario.devices[index].scaled_from
    while name is not None and name not in visited:
        if name == scaled_name:
            return [Fault(("devices", index, "scaled_from"), f"runs in a circle through {name!r}")]
        visited.add(name)
        origins = [device for device in scenario.devices if device.name == name]
        name = origins[0].scaled_from if origins else None
    return []


def _reach_faults(scenario: Scenario) -> list[Fault]:
    reached = {scenario.source}
    while True:
        newly_reached = {link.target for link in scenario.links if link.source in reached} - reached
        if not newly_reached:
            break
        reached |= newly_reached
    if scenario.sink in reached:
        return []
    return [
        Fault(("sink",), f"{scenario.sink!r} cannot be reached from source {scenario.source!r} over links")
    ]
