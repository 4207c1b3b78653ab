import json
from dataclasses import replace

import pytest
from repository import ROOT

from planner.errors import ProblemError, UsageError
from planner.problem.cost_evaluation import evaluate
from planner.problem.quantities import CostMetric, Limit, Quantity
from planner.problem_io.loader import load_problem
from planner.problem_io.solve_file import SolverChanges, solve_file
from planner.solver.backends import SolverOptions
from planner.solver.infeasibility import find_conflict
from planner.solver.solve import solve

EXAMPLE = ROOT / "scenarios" / "problem.json"


def test_a_file_is_answered_as_its_problem_is():
    problem, options = load_problem(EXAMPLE)
    result = solve(problem, options)
    answer = solve_file(EXAMPLE, SolverChanges())
    assert not answer.is_infeasible
    assert answer.objective.value == pytest.approx(result.objective)
    assert answer.costs.latency_s == pytest.approx(evaluate(problem, result.choice).latency_s)
    assert answer.conflict == ()


def test_limits_that_cannot_hold_together_are_named(tmp_path):
    content = json.loads(EXAMPLE.read_text())
    content["limits"] = [{"measure": "latency", "at_most": 1e-12}]
    path = tmp_path / "p.json"
    path.write_text(json.dumps(content))
    answer = solve_file(path, SolverChanges())
    assert answer.is_infeasible
    assert [binding.measure for binding in answer.conflict] == ["latency"]
    assert answer.assignments == ()


def test_a_file_that_is_no_problem_is_refused(tmp_path):
    path = tmp_path / "p.json"
    path.write_text("{}")
    with pytest.raises(ProblemError):
        solve_file(path, SolverChanges())


def test_options_take_the_place_of_those_in_the_file():
    options = SolverOptions("highs", 60.0, 1e-6)
    assert SolverChanges().applied_to(options) == options
    assert SolverChanges("cbc", 5.0, 0.01).applied_to(options) == SolverOptions("cbc", 5.0, 0.01)
    assert solve_file(EXAMPLE, SolverChanges(name="cbc")).solver.name == "cbc"


@pytest.mark.parametrize(
    "changes", [SolverChanges(time_limit_s=0.0), SolverChanges(gap=1.0), SolverChanges(gap=-1)]
)
def test_numbers_out_of_range_are_refused(changes):
    with pytest.raises(UsageError):
        changes.applied_to(SolverOptions())


@pytest.mark.parametrize("name", ["foo", "HIGHS", ""])
def test_a_solver_that_there_is_not_is_refused_even_where_no_program_needs_it(name):
    with pytest.raises(UsageError, match="must be one of highs, cbc, gurobi, cplex, scip"):
        solve_file(EXAMPLE, SolverChanges(name=name))


def test_an_explanation_without_time_says_that_it_is_cut_short():
    problem, options = load_problem(EXAMPLE)
    impossible = replace(problem, limits=(*problem.limits, Limit(Quantity(CostMetric.LATENCY), 1e-12)))
    conflict = find_conflict(impossible, replace(options, time_limit_s=0.0))
    assert not conflict.minimal
    assert len(conflict.relaxations) == len(impossible.limits)
    assert all(relaxation.least is None and not relaxation.proved for relaxation in conflict.relaxations)
