"""First plans of small problems."""

from time import monotonic

from hypothesis import given

from planner.problem.cost_evaluation import evaluate, is_feasible
from planner.solver.heuristics.construct import construct
from tests.support.small_problems import small_problem
from tests.support.strategies import problems


def test_a_plan_within_every_kind_of_limit_is_found():
    problem = small_problem()
    choice = construct(problem, monotonic() + 5, monotonic)
    assert choice is not None
    assert is_feasible(problem, evaluate(problem, choice))


@given(problems(max_units=4, max_devices=2))
def test_what_is_found_keeps_every_limit(problem):
    choice = construct(problem, monotonic() + 0.02, monotonic)
    assert choice is None or is_feasible(problem, evaluate(problem, choice))
