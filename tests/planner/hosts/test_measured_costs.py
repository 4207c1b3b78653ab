"""Where measured costs leave what was planned for, and the scenario that they make."""

import json

import msgspec
import pytest
from made_records import SCENARIO

from planner.devices.runtime import origin_of
from planner.hosts.measured_costs import (
    deviations,
    kept_devices,
    measured_devices,
    measured_links,
    scenario_as_measured,
)
from planner.plan.bandwidth_ranges import FollowedLinks
from planner.plan.host_status import HostStatus, LinkStatus
from planner.plan.measured_costs import FORMAT, MeasuredCosts, MeasuredDevice, MeasuredLink
from planner.plan.requests_record import PartTimes, Percentiles, PlanRequests, RequestsRecord
from planner.scenario.loader import parse_scenario

LINKS = [
    {"from": a, "to": b, "bandwidth_mbit_per_s": 8, "latency_ms": 2, "send_nj_per_byte": 5}
    for a, b in (("a", "b"), ("b", "a"), ("b", "c"), ("c", "b"))
]
DEVICES = [
    {"name": "a", "scaled_from": "b", "speedup": 0.5},
    {"name": "b"},
    {"name": "c", "scaled_from": "a", "speedup": 6},
]
OWN = parse_scenario(
    json.dumps(SCENARIO | {"devices": DEVICES, "links": LINKS, "source": "a", "sink": "a"}).encode()
)


def costs(*parts: MeasuredLink | MeasuredDevice) -> MeasuredCosts:
    return MeasuredCosts(
        format=FORMAT,
        deployment="d",
        links=tuple(part for part in parts if isinstance(part, MeasuredLink)),
        devices=tuple(part for part in parts if isinstance(part, MeasuredDevice)),
    )


def link(bandwidth: float | None, latency_ms: float | None = None) -> MeasuredLink:
    return MeasuredLink(source="a", target="b", bandwidth_mbit_per_s=bandwidth, latency_ms=latency_ms)


def device(name: str, planned_s: float, measured_s: float, requests: int = 8) -> MeasuredDevice:
    return MeasuredDevice(device=name, planned_s=planned_s, measured_s=measured_s, requests=requests)


def found(*parts, followed=None) -> list[tuple[str, tuple[str, ...]]]:
    return [(one.what, one.where) for one in deviations(costs(*parts), OWN, followed)]


@pytest.mark.parametrize("bandwidth", [6.5, 8.0, 9.9])
def test_what_agrees_with_the_plan_is_not_told(bandwidth):
    assert found(link(bandwidth, 2.9), device("a", 0.010, 0.012)) == []
    assert found(link(None), device("b", 1e-5, 4e-4)) == []


def test_what_leaves_the_plan_is_told():
    assert found(link(6.0)) == [("bandwidth", ("a", "b"))]
    assert found(link(11.0)) == [("bandwidth", ("a", "b"))]
    assert found(link(8.0, 3.5)) == [("latency", ("a", "b"))]
    assert found(device("a", 0.010, 0.013), device("b", 0.010, 0.007)) == [
        ("compute", ("a",)),
        ("compute", ("b",)),
    ]


def test_few_requests_say_nothing_of_a_device():
    few = device("b", 0.010, 0.030, requests=7)
    assert found(few) == []
    assert scenario_as_measured(OWN, costs(few)).devices == OWN.devices
    assert found(device("b", 0.010, 0.030, requests=8)) == [("compute", ("b",))]


def test_few_requests_do_not_replace_what_many_said():
    many, few, newer = device("a", 0.1, 0.2, 20), device("a", 0.1, 0.9, 1), device("a", 0.1, 0.3, 8)
    other = device("b", 0.1, 0.1, 1)
    assert kept_devices((many,), (few, other)) == (many, other)
    assert kept_devices((many,), (newer,)) == (newer,)
    assert kept_devices((few,), (other,)) == (few, other)
    assert kept_devices((device("a", 0.1, 0.5, 2),), (few,)) == (few,)


def test_a_followed_link_may_vary_between_what_was_compared():
    followed = FollowedLinks(links=(("a", "b"),), unit="Mbit/s", own=8.0, low=0.5, high=100.0)
    factors = FollowedLinks(links=(("a", "b"),), unit="x", own=1.0, low=0.1, high=2.0)
    assert found(link(90.0), followed=followed) == []
    assert found(link(0.3), followed=followed) == [("bandwidth", ("a", "b"))]
    assert found(link(15.0), followed=factors) == []
    assert found(link(21.0), followed=factors) == [("bandwidth", ("a", "b"))]
    (one,) = deviations(costs(link(21.0)), OWN, factors)
    assert (one.low, one.high, one.measured) == (pytest.approx(0.8), 16.0, 21.0)


def test_measured_links_replace_those_of_the_scenario_and_keep_the_rest():
    changed = scenario_as_measured(OWN, costs(link(3.25, 0.5)))
    assert changed.links[0] == OWN.links[0].model_copy(
        update={"bandwidth_mbit_per_s": 3.25, "latency_ms": 0.5}
    )
    assert changed.links[1:] == OWN.links[1:]
    assert changed.devices == OWN.devices
    assert scenario_as_measured(OWN, costs(link(None, 0.5))).links[0].bandwidth_mbit_per_s == 8


@pytest.mark.parametrize(
    "slower",
    [
        {"a": 2.0},
        {"b": 2.0},
        {"c": 0.25},
        {"b": 2.0, "c": 4.0},
        {"a": 3.0, "b": 0.5},
        {"a": 2.0, "b": 3.0, "c": 5.0},
        {"a": 1.0, "b": 2.0},
        {},
    ],
)
def test_each_device_gets_its_measured_speed_or_that_of_what_it_is_scaled_from(slower):
    changed = scenario_as_measured(OWN, costs(*(device(name, 0.1, 0.1 * by) for name, by in slower.items())))
    follows_b = slower.get("b", 1.0)
    follows_a = slower.get("a", follows_b)
    for name, by in {"a": follows_a, "b": follows_b, "c": slower.get("c", follows_a)}.items():
        before, after = (origin_of(own, own.device(name))[1] for own in (OWN, changed))
        assert after == pytest.approx(before / by)
        assert origin_of(changed, changed.device(name))[0].name == "b"


def test_a_device_that_agrees_with_the_plan_keeps_its_speed_to_the_bit():
    assert scenario_as_measured(OWN, costs(device("a", 0.1, 0.11))).devices == OWN.devices


def test_links_are_taken_from_the_host_that_sends():
    def status(**links: LinkStatus) -> HostStatus:
        empty = dict.fromkeys(("stages", "open", "ready", "answered", "failed", "refused"), 0)
        return HostStatus(device="", deployment="", plans=(), up_s=0.0, memory_mib=None, links=links, **empty)

    def seen(bytes_per_s: float | None, round_trip_s: float | None) -> LinkStatus:
        return LinkStatus(
            there=True,
            messages=1,
            bytes=1,
            bytes_per_s=bytes_per_s,
            round_trip_s=round_trip_s,
            clock_offset_s=None,
            queue=0,
        )

    statuses = {
        "a": status(b=seen(1e6, 0.004), x=seen(1.0, 1.0)),
        "b": status(a=seen(None, 0.004), c=seen(None, None)),
    }
    assert measured_links(OWN, statuses) == (
        MeasuredLink(source="a", target="b", bandwidth_mbit_per_s=8.0, latency_ms=2.0),
        MeasuredLink(source="b", target="a", bandwidth_mbit_per_s=None, latency_ms=2.0),
    )


def test_seconds_of_a_device_are_those_of_all_plans_by_how_many_they_answered():
    def parts(planned_s: float | None, measured_s: float) -> tuple[PartTimes, ...]:
        same = Percentiles(p50_s=measured_s, p90_s=9.0, p99_s=9.0)
        return (
            PartTimes(part="compute", way=("a",), predicted_s=planned_s, measured=same),
            PartTimes(part="t", way=("a", "b"), predicted_s=1.0, measured=same),
        )

    def plan(answered: int, *, planned_s: float | None, measured_s: float) -> PlanRequests:
        return PlanRequests(
            plan="p",
            answered=answered,
            latency=None,
            predicted_latency_s=None,
            parts=parts(planned_s, measured_s),
        )

    record = RequestsRecord(
        deployment="d",
        plan="p",
        requests=4,
        answered=4,
        retried=0,
        failures={},
        seconds=1.0,
        requests_per_s=4.0,
        latency=None,
        predicted_latency_s=None,
        predicted_per_s=None,
        round_trip=None,
        parts=parts(0.5, 0.25),
    )
    assert measured_devices(record) == (device("a", 0.5, 0.25, requests=4),)
    (few,) = measured_devices(msgspec.structs.replace(record, incomplete_events=3))
    assert few.requests == 1
    plans = (plan(1, planned_s=0.1, measured_s=0.2), plan(3, planned_s=0.5, measured_s=0.4))
    (one,) = measured_devices(msgspec.structs.replace(record, plans=plans))
    assert one.requests == 4
    assert (one.planned_s, one.measured_s) == (pytest.approx(0.4), pytest.approx(0.35))
    unknown = (plan(2, planned_s=None, measured_s=0.2),)
    assert measured_devices(msgspec.structs.replace(record, plans=unknown)) == ()
