import subprocess
import sys

import highspy
import pulp
import pytest
from knapsack import ROOM, VALUES, WEIGHTS, best, knapsack

from planner.solver.backends import run_solver
from planner.solver.highs import QuietHighs, run_linear
from planner.solver.solver_options import SolverOptions

_MAKES = "from planner.solver.highs import QuietHighs; QuietHighs().run_alone()"


def lowest(model: highspy.Highs, least: float) -> highspy.Highs:
    model.changeColCost(model.addVariable(least, 5).index, 1.0)
    return model


def on_threads(number: int) -> highspy.Highs:
    model = highspy.Highs()
    for option, value in (("output_flag", False), ("threads", number)):
        model.setOptionValue(option, value)
    return lowest(model, 1)


def test_a_model_runs_whatever_number_of_threads_ran_before():
    highspy.Highs.resetGlobalScheduler(True)
    on_threads(2).run()
    refused = on_threads(1)
    refused.run()
    assert refused.getModelStatus() == highspy.HighsModelStatus.kNotset  # or nothing is tested here
    model = lowest(QuietHighs(), 2)
    model.run_alone()
    assert model.getInfo().objective_function_value == 2
    assert model.is_solved


def test_a_model_that_cannot_be_solved_says_so():
    model = lowest(QuietHighs(), 1)
    model.addRow(6, 7, 1, [0], [1.0])
    model.run_alone()
    assert model.getModelStatus() == highspy.HighsModelStatus.kInfeasible
    assert not model.is_solved


def test_nothing_is_printed_not_even_when_the_first_model_of_a_process_is_made():
    done = subprocess.run([sys.executable, "-c", _MAKES], check=True, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("", "")


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
