"""Devices and links as boxes of a page: what computes where, and which tensors cross."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import networkx as nx
from markupsafe import Markup

from planner.formatting import MILLI, counted, names_text, short_name
from planner.plan.plan_record import CODED, Cut, Plan
from planner.report.figure_style import colours_of, ink_on
from planner.report.html_values import FormattedValues, join
from planner.scenario.device_schema import DeviceSpec
from planner.scenario.link_schema import LinkSpec
from planner.scenario.schema import Scenario

_SHOWN = 3  # tensors of a link; of more their number


@dataclass(frozen=True, slots=True)
class DeviceBox:
    """A device: its name, its part in the scenario, and what it does in the plan.

    Parameters
    ----------
    colour, ink
        Of its box in all figures, and of text on it.
    """

    name: str
    role: str
    lines: tuple[str, ...]
    colour: str
    ink: str


@dataclass(frozen=True, slots=True)
class LinkBox:
    """A link: its ends, its speed, and the tensors that cross it."""

    ends: str
    speed: str
    tensors: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DeviceDiagram:
    """What is drawn in a row: devices by their distance from the source, links between neighbours in it.

    Parameters
    ----------
    row
        Boxes of devices, and between each two of them the links that connect them, if any.
    others
        Links between devices that do not stand side by side.
    """

    row: tuple[DeviceBox | tuple[LinkBox, ...], ...]
    others: tuple[LinkBox, ...]


def device_diagram(plan: Plan, scenario: Scenario, formatted: FormattedValues) -> DeviceDiagram:
    """Return the devices and links of a plan.

    Parameters
    ----------
    formatted
        Gives the numbers of the plan.
    """
    devices = _by_distance(scenario)
    colours = colours_of([device.name for device in scenario.devices])
    row: list[DeviceBox | tuple[LinkBox, ...]] = []
    shown: set[str] = set()
    for number, device in enumerate(devices):
        if number:
            between = _between(scenario.links, devices[number - 1].name, device.name)
            shown |= {link.name for link in between}
            row.append(tuple(_link_box(link, plan.cuts, formatted) for link in between))
        lines = tuple(_device_lines(plan, device.name, formatted))
        colour = colours[device.name]
        row.append(DeviceBox(device.name, _role(scenario, device), lines, colour, ink_on(colour)))
    others = [link for link in scenario.links if link.name not in shown]
    return DeviceDiagram(tuple(row), tuple(_link_box(link, plan.cuts, formatted) for link in others))


def _by_distance(scenario: Scenario) -> list[DeviceSpec]:
    """Return devices by their number of links from the source, those in the scenario's order within it."""
    links: nx.Graph = nx.Graph((link.source, link.target) for link in scenario.links)
    links.add_node(scenario.source)
    hops = nx.single_source_shortest_path_length(links, scenario.source)
    return sorted(scenario.devices, key=lambda device: hops.get(device.name, len(scenario.devices)))


def _between(links: Sequence[LinkSpec], first: str, second: str) -> list[LinkSpec]:
    return [link for link in links if {link.source, link.target} == {first, second}]


def _role(scenario: Scenario, device: DeviceSpec) -> str:
    """Return what the scenario says of a device."""
    parts = [
        word for word, name in (("source", scenario.source), ("sink", scenario.sink)) if name == device.name
    ]
    if device.scaled_from is not None:
        parts.append(f"{device.speedup or 1.0:g} times the speed of {device.scaled_from}")
    return ", ".join(parts)


def _device_lines(plan: Plan, name: str, formatted: FormattedValues) -> Iterator[str]:
    counts = Counter(a.precision.value for a in plan.assignments if a.device == name)
    if not counts and plan.predicted is not None and plan.predicted.compute_s.get(name):
        tensors = _changed_tensors(plan, name)
        changed = counted(len(tensors), "tensor") if tensors else "what it sends"
        yield f"no units: changes the format of {changed}"
        yield Markup("{} per request").format(formatted("ms", "predicted", "compute_s", name))
        return
    if not counts:
        yield "computes nothing"
        return
    yield f"{sum(counts.values())} units: " + ", ".join(f"{n} {word}" for word, n in counts.items())
    if plan.predicted is not None:
        yield Markup("{} per request").format(formatted("ms", "predicted", "compute_s", name))
        yield Markup("{} of memory").format(formatted("size", "predicted", "memory_bytes", name))


def format_change_text(plan: Plan, device: str) -> str:
    """Return what a device without units does to the tensors that it sends or gets."""
    return f"changes the format of {names_text(_changed_tensors(plan, device), most=2) or 'what it sends'}"


def _changed_tensors(plan: Plan, device: str) -> list[str]:
    ends = (
        short_name(cut.tensor)
        for cut in plan.cuts
        if device in (cut.source, cut.target) and cut.wire in CODED
    )
    return list(dict.fromkeys(ends))


def _crossing_text(link: LinkSpec, number: int, cut: Cut, formatted: FormattedValues) -> str:
    """Return what a tensor takes on a link, and of several on its way what it takes on all of them."""
    whole = formatted("ms", "cuts", number, "seconds")
    if len(cut.path) <= 2:  # noqa: PLR2004
        return whole
    own_s = link.latency_s + cut.size_bytes / link.bandwidth_bytes_per_s
    return Markup("{} ms of {}").format(f"{own_s * MILLI:.2f}", whole)


def _link_box(link: LinkSpec, cuts: Sequence[Cut], formatted: FormattedValues) -> LinkBox:
    hop = (link.source, link.target)
    crossing = [n for n, cut in enumerate(cuts) if hop in zip(cut.path, cut.path[1:], strict=False)]
    tensors: list[str] = [
        join(
            [
                short_name(cuts[n].tensor),
                cuts[n].wire.value,
                formatted("size", "cuts", n, "bytes"),
                _crossing_text(link, n, cuts[n], formatted),
            ]
        )
        for n in crossing[:_SHOWN]
    ]
    if len(crossing) > _SHOWN:
        tensors.append(f"and {len(crossing) - _SHOWN} more")
    latency = f" + {link.latency_ms:g} ms" if link.latency_ms else ""
    return LinkBox(
        f"{link.source} > {link.target}", f"{link.bandwidth_mbit_per_s:g} Mbit/s{latency}", tuple(tensors)
    )
