"""Costs as running hosts show them: where they leave what was planned for, and the scenario with them."""

from collections.abc import Iterator, Mapping, Sequence

from planner.plan.bandwidth_ranges import FollowedLinks
from planner.plan.host_status import HostStatus
from planner.plan.measured_costs import MeasuredCosts, MeasuredDevice, MeasuredLink
from planner.plan.requests_record import BANDWIDTH, COMPUTE, LATENCY, Deviation, RequestsRecord
from planner.scenario.device_schema import DeviceSpec
from planner.scenario.link_schema import LinkSpec
from planner.scenario.loader import dump_scenario, parse_scenario
from planner.scenario.schema import Scenario

_TOLERANCE = 1.25  # a factor; less is the noise of other work
_LEAST_COMPUTE_S, _LEAST_LATENCY_S = 5e-4, 1e-3  # what hosts themselves may add to a stage, or a message
LEAST_REQUESTS = 8  # the first ones start things, and the median of a few is what they happened to be
_MBIT_BYTES, _MILLI = 1e6 / 8, 1e3


def measured_links(scenario: Scenario, statuses: Mapping[str, HostStatus]) -> tuple[MeasuredLink, ...]:
    """Return the scenario's links on which hosts exchanged messages; a way there takes half of both."""
    seen = []
    for link in scenario.links:
        status = statuses[link.source].links.get(link.target) if link.source in statuses else None
        if status is not None and (status.bytes_per_s is not None or status.round_trip_s is not None):
            rate, both_s = status.bytes_per_s, status.round_trip_s
            seen.append(
                MeasuredLink(
                    source=link.source,
                    target=link.target,
                    bandwidth_mbit_per_s=None if rate is None else rate / _MBIT_BYTES,
                    latency_ms=None if both_s is None else both_s / 2 * _MILLI,
                )
            )
    return tuple(seen)


def measured_devices(record: RequestsRecord) -> tuple[MeasuredDevice, ...]:
    """Return what each device computed for a request, of all plans that ran, by how many they answered."""
    runs = [(plan.answered, plan.parts) for plan in record.plans] or [(record.answered, record.parts)]
    sums: dict[str, tuple[float, float, int]] = {}
    for answered, parts in runs:
        for part in parts:
            if part.part == COMPUTE and part.predicted_s is not None:
                planned_s, measured_s, count = sums.get(part.way[0], (0.0, 0.0, 0))
                sums[part.way[0]] = (
                    planned_s + answered * part.predicted_s,
                    measured_s + answered * part.measured.p50_s,
                    count + answered,
                )
    return tuple(
        MeasuredDevice(
            device=name,
            planned_s=planned_s / count,
            measured_s=measured_s / count,
            requests=max(0, count - record.incomplete_events),
        )
        for name, (planned_s, measured_s, count) in sums.items()
    )


def kept_devices(
    known: Sequence[MeasuredDevice], latest: Sequence[MeasuredDevice]
) -> tuple[MeasuredDevice, ...]:
    """Return the latest measurement of each device, but not one of few requests in place of one of many."""
    kept = {device.device: device for device in known}
    for device in latest:
        if device.device not in kept or _tells(device) or not _tells(kept[device.device]):
            kept[device.device] = device
    return tuple(kept.values())


def _tells(device: MeasuredDevice) -> bool:
    return device.requests >= LEAST_REQUESTS


def deviations(
    measured: MeasuredCosts, scenario: Scenario, followed: FollowedLinks | None
) -> tuple[Deviation, ...]:
    """Return what was measured outside of what was planned for.

    Parameters
    ----------
    followed
        Links whose bandwidth may vary between those that were compared.
    """
    planned = {(link.source, link.target): link for link in scenario.links}
    telling = filter(_tells, measured.devices)
    found = [_compute_deviation(device) for device in telling if _is_other_speed(device)]
    for seen in measured.links:
        link = planned[seen.source, seen.target]
        found += _bandwidth_deviation(seen, link, followed)
        found += _latency_deviation(seen, link)
    return tuple(found)


def _is_other_speed(device: MeasuredDevice) -> bool:
    return _differs(device.measured_s, device.planned_s, _LEAST_COMPUTE_S)


def _compute_deviation(device: MeasuredDevice) -> Deviation:
    planned_s = device.planned_s
    where = (device.device,)
    return Deviation(what=COMPUTE, where=where, low=planned_s, high=planned_s, measured=device.measured_s)


def _bandwidth_deviation(
    seen: MeasuredLink, link: LinkSpec, followed: FollowedLinks | None
) -> Iterator[Deviation]:
    measured = seen.bandwidth_mbit_per_s
    if measured is None:
        return
    low, high = planned_range(link, followed)
    if not low / _TOLERANCE <= measured <= high * _TOLERANCE:
        where = (seen.source, seen.target)
        yield Deviation(what=BANDWIDTH, where=where, low=low, high=high, measured=measured)


def planned_range(link: LinkSpec, followed: FollowedLinks | None) -> tuple[float, float]:
    """Return the bandwidths in Mbit/s that a link was planned for."""
    own = link.bandwidth_mbit_per_s
    if followed is None or (link.source, link.target) not in followed.links:
        return own, own
    low = own if followed.low is None else followed.mbit_per_s(link, followed.low)
    high = own if followed.high is None else followed.mbit_per_s(link, followed.high)
    return low, high


def _latency_deviation(seen: MeasuredLink, link: LinkSpec) -> Iterator[Deviation]:
    if seen.latency_ms is None:
        return
    measured, planned = seen.latency_ms / _MILLI, link.latency_s
    if _differs(measured, planned, _LEAST_LATENCY_S):
        where = (seen.source, seen.target)
        yield Deviation(what=LATENCY, where=where, low=planned, high=planned, measured=measured)


def _differs(measured: float, planned: float, least: float) -> bool:
    """Return whether two values differ by more than noise, relatively and in absolute terms."""
    return abs(measured - planned) > max(least, planned * (_TOLERANCE - 1))


def scenario_as_measured(scenario: Scenario, measured: MeasuredCosts) -> Scenario:
    """Return a scenario with bandwidths, latencies and speeds as they were measured.

    What was not measured stays, but a device that is scaled from a measured one follows it; a device whose
    seconds agree with the plan keeps its speed. Few requests say nothing of a device.
    """
    seen = {(link.source, link.target): link for link in measured.links}
    slower = {
        device.device: device.measured_s / device.planned_s if _is_other_speed(device) else 1.0
        for device in filter(_tells, measured.devices)
        if device.planned_s > 0 and device.measured_s > 0
    }
    changed = scenario.model_copy(
        update={
            "links": tuple(_link(link, seen.get((link.source, link.target))) for link in scenario.links),
            "devices": tuple(_device(scenario, device, slower) for device in scenario.devices),
        }
    )
    # Read again, so that everything that a scenario must keep is checked.
    return parse_scenario(dump_scenario(changed).encode())


def _link(link: LinkSpec, seen: MeasuredLink | None) -> LinkSpec:
    if seen is None:
        return link
    values = {"bandwidth_mbit_per_s": seen.bandwidth_mbit_per_s, "latency_ms": seen.latency_ms}
    return link.model_copy(update={key: value for key, value in values.items() if value is not None})


def _factor(scenario: Scenario, name: str, slower: Mapping[str, float]) -> float:
    """Return by how much a device is slower than planned: as measured, or as what it is scaled from."""
    origin = scenario.device(name).scaled_from
    if name in slower or origin is None:
        return slower.get(name, 1.0)
    return _factor(scenario, origin, slower)


def _device(scenario: Scenario, device: DeviceSpec, slower: Mapping[str, float]) -> DeviceSpec:
    """Return a device with its measured speed; one that was not measured follows what it is scaled from."""
    factor = slower.get(device.name)
    if factor is None:
        return device
    if device.scaled_from is not None:
        factor /= _factor(scenario, device.scaled_from, slower)
    if factor == 1.0:
        return device
    return device.model_copy(update={"speedup": (device.speedup or 1.0) / factor})
