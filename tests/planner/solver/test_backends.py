import pulp
import pytest
from knapsack import best, knapsack

from planner.errors import SolverError
from planner.solver.backends import run_solver
from planner.solver.solver_options import SolverOptions


@pytest.mark.parametrize("name", ["highs", "cbc"])
def test_a_program_is_solved_in_place_and_its_bound_given_back(name):
    lp, taken = knapsack()
    bound = run_solver(lp, SolverOptions(name))
    assert pulp.value(lp.objective) == pytest.approx(-best())
    assert bound == pytest.approx(-best(), rel=1e-5)
    assert all(x.value() == pytest.approx(round(x.value())) for x in taken)


@pytest.mark.parametrize("name", ["highs", "cbc"])
def test_a_start_changes_no_answer(name):
    lp, taken = knapsack()
    poor = {x: float(n == 4) for n, x in enumerate(taken)}
    run_solver(lp, SolverOptions(name), poor)
    assert pulp.value(lp.objective) == pytest.approx(-best())


@pytest.mark.parametrize("name", ["highs", "cbc"])
def test_a_start_that_breaks_a_rule_changes_no_answer(name):
    lp, taken = knapsack()
    run_solver(lp, SolverOptions(name), dict.fromkeys(taken, 1.0))
    assert pulp.value(lp.objective) == pytest.approx(-best())


@pytest.mark.parametrize("name", ["highs", "cbc"])
def test_a_program_without_an_answer_is_infeasible_and_no_error(name):
    lp, taken = knapsack()
    lp.addConstraint(pulp.lpSum(taken) >= 5, "all")
    run_solver(lp, SolverOptions(name))
    assert lp.status == pulp.LpStatusInfeasible


@pytest.mark.parametrize("name", ["highs", "cbc"])
def test_with_a_wide_gap_the_bound_is_below_the_answer(name):
    lp, _ = knapsack()
    bound = run_solver(lp, SolverOptions(name, gap=0.9))
    assert bound <= -best() + 1e-6 <= pulp.value(lp.objective) + 2e-6


def test_a_solver_that_nobody_knows_is_refused_with_the_known_ones():
    lp, _ = knapsack()
    with pytest.raises(SolverError, match="no solver 'best'; choose one of highs, cbc, gurobi, cplex, scip"):
        run_solver(lp, SolverOptions("best"))
