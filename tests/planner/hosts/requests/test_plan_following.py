"""The plan that runs as bandwidths are seen: as the comparison itself counts, and without flapping."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.comparison.bandwidth_traces import BandwidthDistribution
from planner.comparison.comparison_record import BestPlanRange, PlanSummary
from planner.comparison.lower_envelope import CostLine, lower_envelope
from planner.comparison.plan_selection import select_plans, simulate
from planner.comparison.plan_set import PlanSetRequest, plan_set_of
from planner.hosts.requests.plan_following import PlanFollower, links_to_probe, seen_bandwidth
from planner.plan.bandwidth_ranges import BandwidthRange, FollowedLinks
from planner.plan.host_status import HostStatus, LinkStatus
from planner.scenario.link_schema import LinkSpec

numbers = st.floats(0.01, 10)
MBIT = 1e6 / 8


def summary(line: CostLine[int]) -> PlanSummary:
    return PlanSummary(
        number=line.plan,
        summary="",
        devices=(),
        precisions=(),
        cuts=(),
        fixed_s=line.intercept,
        link_s=line.slope,
        compute_s={},
        unit_s=(),
        noise_relative_rms=0.0,
        energy_j=None,
        memory_bytes={},
    )


@st.composite
def plan_sets(draw):
    lines = [CostLine(draw(numbers), draw(numbers), i) for i in range(draw(st.integers(1, 6)))]
    found = lower_envelope(lambda x: min(lines, key=lambda line: (line.at(x), line.slope)), 0.01, 100)
    pieces = [
        BestPlanRange(budgets={}, low=1 / piece.high, high=1 / piece.low, plan=piece.line.plan)
        for piece in reversed(found)
    ]
    values = draw(st.lists(st.floats(0.01, 100), min_size=2, max_size=40))
    trace = BandwidthDistribution(tuple(values), (1 / len(values),) * len(values), "", in_time=True)
    hysteresis = draw(st.sampled_from([0.0, 0.1, 0.5]))
    most = draw(st.integers(1, 4))
    chosen = plan_set_of(PlanSetRequest(most, trace, hysteresis), pieces, [summary(line) for line in lines])
    selection = select_plans([piece.line for piece in found], trace, most)
    return lines, chosen, selection, trace, hysteresis


@given(plan_sets())
def test_the_plan_that_runs_is_that_of_the_comparisons_own_rule(drawn):
    lines, chosen, selection, trace, hysteresis = drawn
    ranges = [
        BandwidthRange(low=one.low, high=one.high, leave_below=one.leave_below, leave_above=one.leave_above)
        for one in chosen.plans
    ]
    follower = PlanFollower(ranges, trace.values[0])
    ran = [follower.follow(value) for value in trace.values]
    mean = sum(
        share * lines[chosen.plans[plan].plan].at(1 / value)
        for plan, value, share in zip(ran, trace.values, trace.shares, strict=True)
    )
    expected, changes = simulate(selection, trace, hysteresis)
    assert mean == pytest.approx(expected)
    assert sum(a != b for a, b in pairwise(ran)) == changes


TWO = (
    BandwidthRange(high=5.0, leave_above=6.0),
    BandwidthRange(low=5.0, leave_below=4.0),
)


@given(st.lists(st.floats(4.0, 6.0), min_size=1, max_size=50), st.sampled_from([0.1, 100.0]))
def test_nothing_changes_while_the_bandwidth_stays_within_the_margin(values, start):
    follower = PlanFollower(TWO, start)
    first = follower.plan
    assert {follower.follow(value) for value in values} == {first}


def test_a_plan_is_left_beyond_its_margin_and_taken_from_its_switch_over_on():
    follower = PlanFollower(TWO, 5.0)
    assert follower.plan == 1
    assert [follower.follow(value) for value in (4.1, 3.9, 4.5, 5.9, 6.1, 4.5)] == [1, 0, 0, 0, 1, 1]
    assert PlanFollower(TWO, 4.99).plan == 0


def link(bytes_per_s: float | None, seen_s_ago: float | None = 0.0, *, there: bool = True) -> LinkStatus:
    return LinkStatus(
        there=there,
        messages=1,
        bytes=1,
        bytes_per_s=bytes_per_s,
        seen_s_ago=seen_s_ago,
        round_trip_s=None,
        clock_offset_s=None,
        queue=0,
    )


def host(device: str, **links: LinkStatus) -> HostStatus:
    return HostStatus(
        device=device,
        deployment="d",
        plans=(),
        stages=0,
        up_s=0.0,
        open=0,
        ready=0,
        answered=0,
        failed=0,
        refused=0,
        memory_mib=None,
        links=links,
    )


LINKS = (
    LinkSpec.model_validate({"from": "a", "to": "b", "bandwidth_mbit_per_s": 2}),
    LinkSpec.model_validate({"from": "b", "to": "c", "bandwidth_mbit_per_s": 100}),
)


def test_the_bandwidth_is_that_of_the_link_in_the_direction_that_is_followed():
    followed = FollowedLinks(links=(("a", "b"),), unit="Mbit/s", own=2.0)
    statuses = {"a": host("a", b=link(3 * MBIT)), "b": host("b", a=link(7 * MBIT))}
    assert seen_bandwidth(followed, LINKS, statuses) == pytest.approx(3.0)
    assert seen_bandwidth(followed, LINKS, {"b": statuses["b"]}) is None
    assert seen_bandwidth(followed, LINKS, {"a": host("a", b=link(None))}) is None


def test_of_links_that_vary_by_a_factor_the_slowest_for_its_own_bandwidth_counts():
    followed = FollowedLinks(links=(("a", "b"), ("b", "c")), unit="x", own=1.0)
    statuses = {"a": host("a", b=link(3 * MBIT)), "b": host("b", c=link(50 * MBIT))}
    assert seen_bandwidth(followed, LINKS, statuses) == pytest.approx(0.5)


def test_links_are_probed_that_have_shown_nothing_of_late():
    followed = FollowedLinks(links=(("a", "b"), ("b", "c")), unit="x", own=1.0)
    fresh, old, unseen, gone = (
        link(1.0, 0.1),
        link(1.0, 60.0),
        link(None, None),
        link(None, None, there=False),
    )
    for first, second, expected in (
        (fresh, fresh, []),
        (old, fresh, [("a", "b")]),
        (unseen, old, [("a", "b"), ("b", "c")]),
        (fresh, gone, []),
    ):
        statuses = {"a": host("a", b=first), "b": host("b", c=second)}
        assert links_to_probe(followed, statuses) == expected
    assert links_to_probe(followed, {}) == []
