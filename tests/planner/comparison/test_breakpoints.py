"""Ranges of bandwidths and rows, held against plans solved and priced one by one."""

from itertools import pairwise

import pytest
from measured_scenarios import quickstart_basis

import planner.comparison.breakpoints
from planner.comparison.bandwidth_values import parse_bandwidths
from planner.comparison.breakpoints import Breakpoints, clash_text
from planner.comparison.plan_registry import PlanRegistry
from planner.comparison.sweep_points import Sweep, SweepPoints, _NoiseLimit, with_budgets
from planner.scenario.budget_schema import BudgetSpec

NOISE = {"noise_relative_rms": 0.01}


@pytest.fixture(scope="module")
def basis():
    return quickstart_basis()


def over(basis, text: str) -> tuple[SweepPoints, PlanRegistry, Breakpoints]:
    points = SweepPoints(basis, Sweep(parse_bandwidths(text, (), basis.scenario)))
    plans = PlanRegistry(points)
    return points, plans, Breakpoints(points, plans)


def test_ranges_join_without_gaps_and_meet_where_two_plans_cost_the_same(basis):
    _, plans, breakpoints = over(basis, "0.01,1000")
    ranges, _ = breakpoints.over_bandwidths({})
    assert (ranges[0].low, ranges[-1].high) == pytest.approx((0.01, 1000))
    assert len(ranges) > 1
    for slower, faster in pairwise(ranges):
        assert slower.high == pytest.approx(faster.low)
        assert slower.plan != faster.plan
        two = [plans.lines[best.plan].latency_s(slower.high) for best in (slower, faster)]
        assert two[0] == pytest.approx(two[1], rel=1e-6)


def test_in_its_range_no_plan_that_was_met_is_better(basis):
    _, plans, breakpoints = over(basis, "0.01,1000")
    ranges, _ = breakpoints.over_bandwidths({})
    for best in ranges:
        for bandwidth in (best.low, (best.low * best.high) ** 0.5, best.high):
            least = min(plan.latency_s(bandwidth) for plan in plans.lines)
            assert plans.lines[best.plan].latency_s(bandwidth) == pytest.approx(least, rel=1e-6)


def test_a_row_from_ranges_is_what_solving_its_bandwidth_alone_gives(basis):
    _, _, together = over(basis, "0.05,0.7,3,40")
    _, rows = together.over_bandwidths({})
    for row in rows:
        _, _, alone = over(basis, str(row.bandwidth))
        ranges, (solved,) = alone.over_bandwidths({})
        assert ranges == []
        assert row.status == solved.status == "optimal"
        assert row.objective == pytest.approx(solved.objective, rel=1e-6)
        assert row.bound <= row.objective


def test_what_is_solved_side_by_side_first_are_the_points_themselves_or_the_ends(basis):
    for text, count in (("0.5", 1), ("0.05,0.7,3,40", 2)):
        points, _, breakpoints = over(basis, text)
        problems = breakpoints._needed_problems({})
        ends = points.sweep.bandwidths.values[-1], points.sweep.bandwidths.values[0]
        assert len(problems) == count
        assert problems == [points.problem(end, {}) for end in dict.fromkeys(ends)]


def test_a_limit_on_noise_falls_until_the_plans_keep_the_budget_on_held_back_data(basis):
    points, plans, breakpoints = loud_at_first(basis)
    _, rows = breakpoints.over_bandwidths(NOISE)
    assert all(row.status == "optimal" for row in rows)
    used = {plans.chosen[row.plan]: plans.summed_noise(row.plan) for row in rows}
    assert not points.lower_noise_limit(NOISE, used)


def test_plans_that_never_keep_the_budget_are_in_no_row(basis, monkeypatch):
    monkeypatch.setattr(planner.comparison.breakpoints, "_MOST_ROUNDS", 1)
    _, plans, breakpoints = loud_at_first(basis)
    ranges, rows = breakpoints.over_bandwidths(NOISE)
    assert (ranges, plans.lines) == ([], [])
    assert [(row.bandwidth, row.status, row.plan) for row in rows] == [
        (0.5, "unsolved", None),
        (5.0, "unsolved", None),
    ]
    assert "held-back data" in rows[0].reason


def loud_at_first(basis) -> tuple[SweepPoints, PlanRegistry, Breakpoints]:
    """Return breakpoints that begin without a limit on noise, which error budgets ask for."""
    points, plans, breakpoints = over(basis, "0.5,5")
    own = with_budgets(basis.scenario, NOISE).budget.model_dump_json()
    points._limits[own] = _NoiseLimit(None)
    return points, plans, breakpoints


@pytest.mark.parametrize(
    ("budget", "text"),
    [
        (BudgetSpec(latency_ms=1.0), "budget.latency_ms cannot be kept"),
        (
            BudgetSpec(latency_ms=1.0, memory_mib={"camera": 2.0}),
            "the budgets cannot be kept together: budget.memory_mib.camera, budget.latency_ms; "
            "plan SCENARIO says which of them",
        ),
        (BudgetSpec(), "no placement is possible; plan SCENARIO says why"),
    ],
)
def test_budgets_that_leave_no_plan_are_named_by_their_keys(budget, text):
    assert clash_text(budget) == text
