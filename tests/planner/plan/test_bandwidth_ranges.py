import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.plan.bandwidth_ranges import BandwidthRange, FollowedLinks, PlanCosts
from planner.scenario.link_schema import LinkSpec

EDGES = st.lists(st.floats(0.01, 1e4), min_size=1, max_size=4, unique=True).map(sorted)


@given(EDGES, st.floats(1e-3, 1e5))
def test_ranges_that_join_hold_every_bandwidth_once(edges, bandwidth):
    ranges = [BandwidthRange(low=a, high=b) for a, b in zip([None, *edges], [*edges, None], strict=True)]
    assert sum(one.is_best_at(bandwidth) for one in ranges) == 1


def test_an_edge_belongs_to_the_range_that_begins_there():
    assert BandwidthRange(low=2.0, high=3.0).is_best_at(2.0)
    assert not BandwidthRange(low=1.0, high=2.0).is_best_at(2.0)
    assert BandwidthRange().is_best_at(1e-9)


@given(st.floats(0.1, 10), st.floats(0.1, 10), st.floats(0.0, 0.9), st.floats(0.01, 100))
def test_where_a_plan_is_best_it_is_kept(low, width, margin, bandwidth):
    high = low + width
    one = BandwidthRange(low=low, high=high, leave_below=low * (1 - margin), leave_above=high * (1 + margin))
    if one.is_best_at(bandwidth):
        assert one.is_kept_at(bandwidth)
    assert one.is_kept_at(bandwidth) == (low * (1 - margin) <= bandwidth <= high * (1 + margin))


def test_a_plan_without_end_is_never_left():
    assert all(BandwidthRange().is_kept_at(bandwidth) for bandwidth in (1e-9, 1.0, 1e9))
    assert not BandwidthRange(leave_below=2.0).is_kept_at(1.9)
    assert BandwidthRange(leave_above=2.0).is_kept_at(0.0)


def test_a_plan_that_sends_nothing_takes_as_long_at_any_bandwidth_known_or_not():
    costs = PlanCosts(fixed_s=0.5, compute_s={})
    assert costs.latency_s(None) == costs.latency_s(1e-9) == 0.5
    sends = PlanCosts(fixed_s=0.5, link_s=2.0, compute_s={})
    assert sends.latency_s(None) is None
    assert sends.latency_s(4.0) == 1.0


LINK = LinkSpec.model_validate({"from": "a", "to": "b", "bandwidth_mbit_per_s": 8.0})
BACK = LinkSpec.model_validate({"from": "b", "to": "a", "bandwidth_mbit_per_s": 8.0})


@pytest.mark.parametrize(("unit", "mbit_per_s"), [("Mbit/s", 3.0), ("x", 24.0)])
def test_followed_links_have_the_bandwidth_or_so_many_times_their_own(unit, mbit_per_s):
    followed = FollowedLinks(links=(("a", "b"),), unit=unit, own=1.0)
    assert followed.mbit_per_s(LINK, 3.0) == mbit_per_s
    assert followed.bytes_per_s(LINK, 3.0) == pytest.approx(mbit_per_s * 1e6 / 8)
    assert followed.bytes_per_s(BACK, 3.0) == followed.bytes_per_s(LINK, None) == 1e6


@given(st.floats(1e-4, 1e9), st.floats(1e-4, 1e4), st.sampled_from(["Mbit/s", "x"]))
def test_seconds_over_followed_links_fall_as_the_bandwidth_grows(own, bandwidth, unit):
    link = LINK.model_copy(update={"bandwidth_mbit_per_s": own})
    followed = FollowedLinks(links=(("a", "b"),), unit=unit, own=own)
    rates = [followed.bytes_per_s(link, factor * bandwidth) for factor in (1, 2)]
    assert math.isclose(rates[1], 2 * rates[0], rel_tol=1e-9)
