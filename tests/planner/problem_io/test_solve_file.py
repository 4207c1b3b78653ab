import json

import pytest
from repository import ROOT

from planner.errors import ProblemError
from planner.problem.cost_evaluation import evaluate
from planner.problem_io.loader import load_problem
from planner.problem_io.solve_file import solve_file
from planner.solver.solve import solve

EXAMPLE = ROOT / "scenarios" / "problem.json"


def test_a_file_is_answered_as_its_problem_is():
    problem, options = load_problem(EXAMPLE)
    result = solve(problem, options)
    answer = solve_file(EXAMPLE)
    assert not answer.is_infeasible
    assert answer.objective.value == pytest.approx(result.objective)
    assert answer.costs.latency_s == pytest.approx(evaluate(problem, result.choice).latency_s)
    assert answer.conflict == ()


def test_limits_that_cannot_hold_together_are_named(tmp_path):
    content = json.loads(EXAMPLE.read_text())
    content["limits"] = [{"measure": "latency", "at_most": 1e-12}]
    path = tmp_path / "p.json"
    path.write_text(json.dumps(content))
    answer = solve_file(path)
    assert answer.is_infeasible
    assert [binding.measure for binding in answer.conflict] == ["latency"]
    assert answer.assignments == ()


def test_a_file_that_is_no_problem_is_refused(tmp_path):
    path = tmp_path / "p.json"
    path.write_text("{}")
    with pytest.raises(ProblemError):
        solve_file(path)
