"""Plans that costs cannot tell apart."""

from dataclasses import replace
from math import hypot

import pytest
from small_problems import small_problem

from planner.plan.configuration import Configuration
from planner.problem.cost_evaluation import evaluate
from planner.problem.placement_problem import Choice
from planner.problem.quantities import CostMetric, ObjectiveTerm, Quantity
from planner.refinement.loop_state import LoopState, TimedPlan
from planner.refinement.ties import (
    is_tied_with,
    margin_of,
    measured_part,
    resolution_of,
    simplest_of,
    tie_of,
)
from planner.solver.result import SolveStatus, replace_choice
from planner.solver.solve import solve
from profiling.latency.plan_timing import PlanTiming
from profiling.on_device.kernels import KernelTimes
from profiling.on_device.measured_record import Timed


def timed(
    objective: float, changes: int, error: float = 0.0, part: float = 1.0, *, keeps: bool = True
) -> TimedPlan:
    timing = PlanTiming((), (), {}, 1.0, Timed(1.0, KernelTimes(())), standard_error=error)
    configuration = Configuration((), ())
    return TimedPlan(Choice((changes,)), configuration, {"d": timing}, {}, objective, part, changes, keeps)


@pytest.mark.parametrize(("error", "fraction"), [(0.0, 0.001), (0.003, 0.003), (0.2, 0.005)])
def test_what_costs_can_tell_is_their_error_within_bounds(error, fraction):
    assert resolution_of(error) == fraction


def test_the_simplest_of_the_plans_that_timing_cannot_tell_apart_is_taken():
    best, near, far = timed(1.0, 9, 0.002), timed(1.002, 2, 0.002), timed(1.004, 1, 0.002)
    assert hypot(0.002, 0.002) > 0.002
    assert simplest_of([best, near, far]) is near
    assert simplest_of([best, far]) is best
    assert simplest_of([best]) is best


def test_of_equally_simple_plans_the_best_is_taken():
    best, near = timed(1.0, 2, 0.01), timed(1.001, 2, 0.01)
    assert simplest_of([near, best]) is best


def test_a_plan_that_breaks_a_limit_is_as_good_as_none_that_keeps_it():
    broken, better, kept = timed(1.0, 1, keeps=False), timed(0.5, 1, keeps=False), timed(2.0, 9)
    assert simplest_of([broken, kept]) is kept
    assert LoopState({}, timed=(broken, kept)).best is kept
    assert simplest_of([broken, better]) is better


def test_a_plan_is_better_than_a_timed_one_only_by_what_its_seconds_can_tell():
    plan = timed(1.0, 1, part=0.5)
    assert is_tied_with(plan, 0.998, 0.005)
    assert is_tied_with(plan, 1.1, 0.005)
    assert not is_tied_with(plan, 0.997, 0.005)
    assert not is_tied_with(timed(1.0, 1, part=0.0), 0.9999, 0.005)


def test_what_links_take_is_known_exactly():
    best, near = timed(1.0, 9, 0.005, part=0.1), timed(1.001, 2, 0.005, part=0.1)
    assert simplest_of([best, near]) is best


def test_the_measured_part_is_what_devices_compute():
    problem = small_problem()
    result = solve(problem)
    cost = evaluate(problem, result.choice)
    latency = replace(problem, objective=(ObjectiveTerm(Quantity(CostMetric.LATENCY)),))
    assert measured_part(latency, cost) == pytest.approx(min(cost.objective, sum(cost.busy_s)))
    noise = replace(problem, objective=(ObjectiveTerm(Quantity(CostMetric.NOISE)),))
    assert measured_part(noise, evaluate(noise, result.choice)) == 0.0


def test_a_gap_below_what_costs_can_tell_is_a_tie():
    problem = small_problem()
    result = solve(problem)
    assert tie_of(problem, result, 0.005) is None  # there is no gap
    cost = evaluate(problem, result.choice)
    margin = margin_of(problem, cost, 0.005)
    close = replace_choice(
        replace(result, bound=cost.objective - 0.9 * margin), result.choice, cost.objective
    )
    far = replace_choice(replace(result, bound=cost.objective - 1.2 * margin), result.choice, cost.objective)
    tie = tie_of(problem, close, 0.005)
    assert close.status is SolveStatus.FEASIBLE
    assert tie.gap == pytest.approx(0.9 * margin / cost.objective)
    assert tie.resolution == pytest.approx(margin / cost.objective)
    assert tie_of(problem, far, 0.005) is None
