import json
import time
from dataclasses import replace

import pytest
from repository import ROOT
from terminal_text import printed

from planner.errors import OutOfTimeError, ProblemError, SolverError, UsageError
from planner.problem.cost_evaluation import evaluate
from planner.problem.quantities import CostMetric, Limit, Quantity
from planner.problem_io import solve_file as solving_file
from planner.problem_io.loader import load_problem
from planner.problem_io.solution import as_interrupted, conflict_line
from planner.problem_io.solve_file import SolverChanges, solve_file
from planner.report.tables.solution_table import answer_table
from planner.solver.infeasibility import Conflict, find_conflict
from planner.solver.result import SolveStatus
from planner.solver.solve import solve
from planner.solver.solver_options import SolverOptions

EXAMPLE = ROOT / "scenarios" / "problem.json"


def test_a_file_is_answered_as_its_problem_is():
    problem, options = load_problem(EXAMPLE)
    result = solve(problem, options)
    answer = solve_file(EXAMPLE, SolverChanges())
    assert not answer.is_infeasible
    assert answer.objective.value == pytest.approx(result.objective)
    assert answer.costs.latency_s == pytest.approx(evaluate(problem, result.choice).latency_s)
    assert answer.conflict == ()


def test_a_file_with_a_byte_order_mark_is_read(tmp_path):
    path = tmp_path / "p.json"
    path.write_text(EXAMPLE.read_text(), encoding="utf-8-sig")
    assert solve_file(path, SolverChanges()).assignments == solve_file(EXAMPLE, SolverChanges()).assignments


def test_who_has_no_answer_in_time_is_told_of_the_option_of_the_command(monkeypatch):
    def late(*_, **__):
        raise OutOfTimeError("highs found no plan within the time limit")

    monkeypatch.setattr(solving_file, "solve", late)
    with pytest.raises(SolverError, match="within the time limit of 60 s; give more with --time-limit-s"):
        solve_file(EXAMPLE, SolverChanges())


def test_time_before_the_file_is_read_counts():
    limits = []

    def solved(problem, options, clock):
        limits.append(options.time_limit_s)
        return solve(problem, options, clock=clock)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(solving_file, "solve", solved)
        solve_file(EXAMPLE, SolverChanges(time_limit_s=100.0), time.perf_counter, time.perf_counter() - 40)
        solve_file(EXAMPLE, SolverChanges(time_limit_s=100.0), time.perf_counter, time.perf_counter() - 400)
    assert 0 < limits[0] < 60
    assert limits[1] == 10


@pytest.mark.parametrize(
    ("gap", "began_s", "ended"),
    [(0.5, 90.0, True), (0.5, 1.0, False), (0.0, 90.0, False)],  # a solver may stop early for other reasons
)
def test_a_gap_that_the_time_limit_left_open_is_said_to_be_its(monkeypatch, gap, began_s, ended):
    problem, options = load_problem(EXAMPLE)
    best = solve(problem, options)
    left = replace(best, status=SolveStatus.FEASIBLE, bound=best.objective * (1 - gap), variables=0)
    monkeypatch.setattr(solving_file, "solve", lambda *_, **__: left)
    began = time.perf_counter() - began_s
    answer = solve_file(EXAMPLE, SolverChanges(time_limit_s=100.0), time.perf_counter, began)
    assert answer.solver.time_limit_ended == ended
    assert not as_interrupted(answer).solver.time_limit_ended
    text = printed(answer_table(answer))
    assert ("ended by" in text) == ended
    assert ("no program was built" in text) == ended
    assert ("no program needed" in text) != ended


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


def test_an_explanation_that_was_cut_short_says_so_in_its_line(monkeypatch, tmp_path):
    content = json.loads(EXAMPLE.read_text())
    content["limits"] = [{"measure": "latency", "at_most": 1e-12}, {"measure": "noise", "at_most": 1.0}]
    path = tmp_path / "p.json"
    path.write_text(json.dumps(content))
    whole = solve_file(path, SolverChanges())
    assert not whole.conflict_cut_short
    assert "ran out of time" not in conflict_line(whole)
    monkeypatch.setattr(solving_file, "find_conflict", lambda *_: Conflict((), minimal=False))
    cut_short = solve_file(path, SolverChanges())
    assert cut_short.conflict_cut_short
