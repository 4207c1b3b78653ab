from itertools import combinations, pairwise

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_records import made_summary

from planner.comparison.bandwidth_traces import BandwidthDistribution, uniform_log
from planner.comparison.comparison_record import BestPlanRange
from planner.comparison.plan_set import PlanSetRequest, plan_set_of
from planner.errors import ScenarioError

# Seconds without and on links at 1 Mbit/s: each is best in a range of its own.
LINES = ((0.9, 0.1), (0.5, 0.5), (0.1, 2.0))


def plans():
    return [
        msgspec.structs.replace(made_summary(0), number=n, fixed_s=fixed, link_s=link)
        for n, (fixed, link) in enumerate(LINES)
    ]


PIECES = (
    BestPlanRange(budgets={}, low=0.1, high=1.0, plan=0),
    BestPlanRange(budgets={}, low=1.0, high=3.75, plan=1),
    BestPlanRange(budgets={}, low=3.75, high=100.0, plan=2),
)


def mean(values, shares, held) -> float:
    return sum(
        share * min(LINES[n][0] + LINES[n][1] / value for n in held)
        for value, share in zip(values, shares, strict=True)
    )


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 3), st.lists(st.floats(0.1, 100), min_size=1, max_size=6, unique=True))
def test_no_other_choice_of_so_many_plans_has_a_lower_mean(most, values):
    values = sorted(values)
    shares = (1 / len(values),) * len(values)
    spread = BandwidthDistribution(tuple(values), shares, "made up")
    found = plan_set_of(PlanSetRequest(most, spread), PIECES, plans())
    held = [one.plan for one in found.plans]
    best = min(mean(values, shares, some) for some in combinations(range(3), most))
    assert len(held) <= most
    assert found.mean_latency_s == pytest.approx(best)
    assert mean(values, shares, held) == pytest.approx(best)
    assert found.free_latency_s == pytest.approx(mean(values, shares, range(3)))
    assert found.regret == pytest.approx(found.mean_latency_s / found.free_latency_s - 1, abs=1e-12)
    assert sum(one.share for one in found.plans) == pytest.approx(1)


def test_ranges_follow_each_other_from_slow_to_fast_and_end_where_plans_are_equal():
    found = plan_set_of(PlanSetRequest(3, uniform_log(0.1, 100), hysteresis=0.25), PIECES, plans())
    assert [one.plan for one in found.plans] == [0, 1, 2]
    assert [(one.low, one.high) for one in found.plans] == [
        (None, pytest.approx(1.0)), (pytest.approx(1.0), pytest.approx(3.75)), (pytest.approx(3.75), None),
    ]  # fmt: skip
    for before, after in pairwise(found.plans):
        assert before.leave_above == pytest.approx(before.high * 1.25)
        assert after.leave_below == pytest.approx(after.low / 1.25)


def test_a_trace_is_followed_and_its_changes_counted():
    order = BandwidthDistribution((0.5, 50.0, 0.5, 50.0), (0.25,) * 4, "a trace", in_time=True)
    eager = plan_set_of(PlanSetRequest(2, order), PIECES, plans())
    assert (eager.changes, eager.followed_latency_s) == (3, pytest.approx(eager.mean_latency_s))
    lazy = plan_set_of(PlanSetRequest(2, order, hysteresis=1e6), PIECES, plans())
    assert lazy.changes == 0
    assert lazy.followed_latency_s > eager.followed_latency_s
    apart = plan_set_of(PlanSetRequest(2, uniform_log(0.5, 50)), PIECES, plans())
    assert (apart.changes, apart.followed_latency_s) == (None, None)


def test_without_ranges_there_is_nothing_to_choose_from():
    with pytest.raises(ScenarioError, match="--plans: chooses from the ranges of bandwidths"):
        plan_set_of(PlanSetRequest(2, uniform_log(1, 10)), (), plans())


def test_a_bandwidth_at_which_no_plan_keeps_the_budget_is_told():
    with pytest.raises(ScenarioError, match="no plan keeps budget.latency_ms at 0.5, only from 1 on"):
        plan_set_of(PlanSetRequest(2, uniform_log(0.5, 10)), PIECES[1:], plans())


def test_one_plan_is_held_everywhere():
    (only,) = plan_set_of(PlanSetRequest(1, uniform_log(0.1, 100)), PIECES, plans()).plans
    assert (only.low, only.high, only.leave_below, only.leave_above) == (None,) * 4
    assert only.share == pytest.approx(1)
    assert only.plan in range(3)
