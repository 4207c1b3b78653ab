"""The best plan so far."""

from time import perf_counter

import pytest
from hypothesis import given, settings
from small_problems import small_problem
from strategies import problems

from planner.problem.cost_evaluation import evaluate, is_feasible
from planner.problem.placement_problem import Choice
from planner.solver.heuristics.incumbent import Incumbent
from planner.solver.solver_options import SolverOptions


def incumbent(problem, start_plans=(), limit_s=60.0, clock=perf_counter) -> Incumbent:
    return Incumbent(problem, SolverOptions(time_limit_s=limit_s, gap=0.01), start_plans, clock, clock())


@settings(max_examples=40, deadline=None)
@given(problems(max_units=3, max_devices=2))
def test_of_the_plans_that_are_offered_the_best_within_the_limits_is_kept(problem):
    count = min(len(vertex.options) for vertex in problem.vertices)
    offered = [Choice((number,) * len(problem.vertices)) for number in range(count)]
    best = incumbent(problem, offered)
    costs = [evaluate(problem, choice) for choice in offered]
    within = [cost.objective for cost in costs if is_feasible(problem, cost)]
    assert best.objective == min(within, default=float("inf"))
    assert (best.choice is None) == (not within)


def test_a_bound_is_good_enough_within_the_gap_that_is_asked_for():
    best = incumbent(small_problem())
    assert best.good_enough == float("inf")
    best.take(Choice((0, 0)), 2.0)
    best.take(Choice((1, 1)), 3.0)
    assert (best.choice, best.good_enough) == (Choice((0, 0)), pytest.approx(1.98))


def test_without_a_plan_there_is_time_until_it_is_over():
    now = iter([0.0, 9.9, 10.2, 11.0])
    best = incumbent(small_problem(), limit_s=10.0, clock=lambda: next(now))
    assert best.has_time
    assert best.is_affordable(1e12)  # half a second more, so that a program may say something
    assert not best.has_time


def test_a_plan_at_hand_leaves_no_time_for_what_takes_longer_than_is_left():
    problem = small_problem()
    best = incumbent(problem)
    best.construct()
    assert best.choice is not None
    assert is_feasible(problem, evaluate(problem, best.choice))
    assert best.is_affordable(1.0)
    assert not best.is_affordable(1e12)


def test_a_share_of_the_time_is_spent_on_a_better_plan_and_the_rest_is_left():
    now = [0.0]

    def clock() -> float:
        now[0] += 1.0  # each look at it takes a second
        return now[0]

    problem = small_problem()
    best = incumbent(problem, limit_s=100.0, clock=clock)
    best.construct()
    now[0] = 20.0
    best.improve(0.5)
    assert 30 < best.left_s < 45
    best.improve()
    assert best.left_s < 5
