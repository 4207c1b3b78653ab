from time import perf_counter

import oracle
from hypothesis import Phase, given, seed, settings
from small_problems import small_problem
from strategies import problems

from planner.problem.cost_evaluation import evaluate, is_feasible
from planner.solver.heuristics.construct import construct


def test_a_plan_within_every_kind_of_limit_is_found():
    problem = small_problem()
    choice = construct(problem, perf_counter() + 5, perf_counter)
    assert choice is not None
    assert is_feasible(problem, evaluate(problem, choice))


def test_where_there_is_a_plan_one_is_found():
    """Of small random problems that enumeration has a plan for, nearly all; and no plan breaks a limit."""
    found = []

    @seed(7)
    @settings(max_examples=60, deadline=None, database=None, phases=[Phase.generate])
    @given(problems(max_units=4, max_devices=3))
    def collect(problem):
        if oracle.best(problem) is not None:
            choice = construct(problem, perf_counter() + 2.0, perf_counter)
            assert choice is None or oracle.feasible(problem, oracle.price(problem, choice))
            found.append(choice is not None)

    collect()
    assert len(found) > 20
    assert sum(found) >= 0.95 * len(found)
