from time import perf_counter

import oracle
from hypothesis import Phase, given, seed, settings
from small_problems import small_problem
from strategies import problems

from planner.problem.cost_evaluation import evaluate, is_feasible
from planner.problem.devices import Device
from planner.problem.placement_problem import Choice, PlacementProblem
from planner.problem.units import Option, Vertex
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


def test_everything_on_the_fastest_device_is_tried_even_if_time_is_over():
    options = (Option(0, seconds=2.0), Option(1, seconds=1.0))
    units = tuple(Vertex(f"u{i}", options) for i in range(3))
    problem = PlacementProblem((Device("a"), Device("b")), units, ())
    assert construct(problem, 0.0, lambda: 1.0) == Choice((1, 1, 1))
