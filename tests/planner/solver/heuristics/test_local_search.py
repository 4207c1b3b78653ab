"""Improved plans of small problems."""

from time import monotonic

from hypothesis import given
from strategies import problems

from planner.problem.cost_evaluation import evaluate, is_feasible
from planner.problem.placement_problem import Choice
from planner.solver.heuristics.local_search import improve


@given(problems(max_units=4, max_devices=2))
def test_a_plan_stays_within_the_limits_and_is_never_worse(problem):
    start = Choice((0,) * len(problem.vertices))
    before = evaluate(problem, start)
    found = improve(problem, start, monotonic() + 0.02, monotonic)
    after = evaluate(problem, found)
    if is_feasible(problem, before):
        assert is_feasible(problem, after)
        assert after.objective <= before.objective
    else:
        assert found == start or is_feasible(problem, after)
