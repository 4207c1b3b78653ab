import highspy
import pulp
import pytest

from planner.errors import SolverError
from planner.solver.backends import SolverOptions, run_linear, run_solver

VALUES, WEIGHTS, ROOM = (10, 13, 7, 8, 2), (5, 7, 4, 3, 1), 12


def knapsack(kind: str = pulp.LpBinary) -> tuple[pulp.LpProblem, list[pulp.LpVariable]]:
    lp = pulp.LpProblem("knapsack", pulp.LpMinimize)
    taken = [lp.add_variable(f"x_{n}", 0, 1, kind) for n in range(len(VALUES))]
    lp.addConstraint(pulp.lpSum(w * x for w, x in zip(WEIGHTS, taken, strict=True)) <= ROOM, "room")
    lp.setObjective(pulp.lpSum(-v * x for v, x in zip(VALUES, taken, strict=True)))
    return lp, taken


def best() -> int:
    sets = ([n for n in range(5) if pick >> n & 1] for pick in range(32))
    return max(sum(VALUES[n] for n in one) for one in sets if sum(WEIGHTS[n] for n in one) <= ROOM)


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


def test_a_linear_program_has_the_prices_of_its_rows():
    lp, taken = knapsack(pulp.LpContinuous)
    least = run_linear(lp)
    order = sorted(range(5), key=lambda n: -VALUES[n] / WEIGHTS[n])  # the best value per weight first
    room, value, last = float(ROOM), 0.0, 0.0
    for n in order:
        share = min(1.0, room / WEIGHTS[n])
        value, room = value + share * VALUES[n], room - share * WEIGHTS[n]
        if 0 < share < 1:
            last = VALUES[n] / WEIGHTS[n]
    assert least == pytest.approx(-value)
    assert lp.constraints()[0].pi == pytest.approx(-last) if last else lp.constraints()[0].pi <= 0
    assert sum(w * x.value() for w, x in zip(WEIGHTS, taken, strict=True)) == pytest.approx(ROOM)


def test_highs_ends_where_the_clock_jumps_ahead():
    lp = pulp.LpProblem("equal_halves", pulp.LpMinimize)  # whose tree of branches has 2 ** 50 leaves
    taken = [lp.add_variable(f"x_{n}", 0, 1, pulp.LpBinary) for n in range(50)]
    lp.addConstraint(pulp.lpSum(2 * x for x in taken) == 49, "odd")
    lp.setObjective(pulp.lpSum(taken))
    looks = iter([0.0, 0.0])
    run_solver(lp, SolverOptions(time_limit_s=3600.0), clock=lambda: next(looks, 1e9))
    assert lp.status == pulp.LpStatusNotSolved
    assert lp.sol_status == pulp.LpSolutionNoSolutionFound


def test_a_solver_that_nobody_knows_is_refused_with_the_known_ones():
    lp, _ = knapsack()
    with pytest.raises(SolverError, match="no solver 'best'; choose one of highs, cbc, gurobi, cplex, scip"):
        run_solver(lp, SolverOptions("best"))


def run_on_two_threads() -> None:
    """Leave two threads of HiGHS behind, as a notebook may that has solved something else before."""
    highspy.Highs.resetGlobalScheduler(True)
    other = highspy.Highs()
    for option, value in (("output_flag", False), ("threads", 2)):
        other.setOptionValue(option, value)
    other.minimize(other.addVariable(0, 1))


def test_what_else_ran_in_this_process_changes_no_answer():
    run_on_two_threads()
    lp, _ = knapsack()
    run_solver(lp, SolverOptions())
    assert pulp.value(lp.objective) == pytest.approx(-best())


def test_what_else_ran_in_this_process_changes_no_linear_program():
    lp, _ = knapsack(pulp.LpContinuous)
    expected = run_linear(lp)
    run_on_two_threads()
    again, _ = knapsack(pulp.LpContinuous)
    assert run_linear(again) == pytest.approx(expected)
