import oracle
import pytest
from hypothesis import given, settings
from strategies import problems

from planner.solver.second_opinion import second_opinion
from planner.solver.solver_options import SolverOptions


@settings(max_examples=25, deadline=None)
@given(problems(max_units=3))
def test_a_second_solver_agrees_with_enumeration(problem):
    opinion, best = second_opinion(problem, SolverOptions(), 10.0), oracle.best(problem)
    if opinion.is_infeasible:
        assert best is None
    if opinion.choice is not None:
        assert oracle.feasible(problem, oracle.price(problem, opinion.choice))
        assert opinion.objective == pytest.approx(oracle.price(problem, opinion.choice).objective)
