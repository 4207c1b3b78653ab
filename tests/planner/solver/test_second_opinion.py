"""A solver that is wrong is found out: by the plan at hand, by the relaxation, or by a second solver."""

from dataclasses import replace
from math import inf

import oracle
import pytest
from hypothesis import given, settings
from small_problems import LATENCY, small_problem
from strategies import problems

import planner.solver.solve as solving
from planner.errors import SolverError
from planner.problem.placement_problem import PlacementProblem
from planner.problem.quantities import CostMetric, Limit, ObjectiveTerm, Quantity
from planner.solver.backends import SolverOptions, run_solver
from planner.solver.lagrangian.dual_bound import LagrangianDual
from planner.solver.result import SolveStatus
from planner.solver.second_opinion import SecondOpinion, second_opinion
from planner.solver.solve import solve

PERIOD = (ObjectiveTerm(Quantity(CostMetric.PERIOD)),)
FREE: PlacementProblem = replace(small_problem(), limits=(), together=(), apart=())
# A period of the whole, which neither the relaxation nor the pipeline program bounds.
UNBOUNDED = replace(FREE, objective=(*PERIOD, ObjectiveTerm(LATENCY)))


@settings(max_examples=25, deadline=None)
@given(problems(max_units=3))
def test_a_second_solver_agrees_with_enumeration(problem):
    opinion, best = second_opinion(problem, SolverOptions(), 10.0), oracle.best(problem)
    if opinion.is_infeasible:
        assert best is None
    if opinion.choice is not None:
        assert oracle.feasible(problem, oracle.price(problem, opinion.choice))
        assert opinion.objective == pytest.approx(oracle.price(problem, opinion.choice).objective)


def test_a_bound_above_the_plan_at_hand_is_dropped(monkeypatch, caplog):
    def wrong(lp, options, start):
        return run_solver(lp, options, start) * 3

    monkeypatch.setattr(solving, "run_solver", wrong)
    result = solve(UNBOUNDED)
    assert result.status is SolveStatus.FEASIBLE
    assert result.bound <= oracle.best(UNBOUNDED) * (1 + 1e-9)
    assert "there is a plan with" in caplog.text


def test_infeasible_is_not_believed_of_one_solver_alone(monkeypatch, caplog):
    monkeypatch.setattr(solving, "best_pipeline", lambda *_: None)
    monkeypatch.setattr(solving, "construct", lambda *_: None)
    monkeypatch.setattr(LagrangianDual, "is_worth_while", False)
    monkeypatch.setattr(solving, "solve_status", lambda _: SolveStatus.INFEASIBLE)
    result = solve(UNBOUNDED)
    assert result.status is SolveStatus.FEASIBLE
    assert result.objective == pytest.approx(oracle.best(UNBOUNDED))
    assert "a second solver has a plan" in caplog.text


def test_infeasible_that_nothing_confirms_is_no_answer(monkeypatch):
    monkeypatch.setattr(solving, "best_pipeline", lambda *_: None)
    monkeypatch.setattr(solving, "construct", lambda *_: None)
    monkeypatch.setattr(LagrangianDual, "is_worth_while", False)
    monkeypatch.setattr(solving, "solve_status", lambda _: SolveStatus.INFEASIBLE)
    monkeypatch.setattr(solving, "second_opinion", lambda *_: SecondOpinion())
    with pytest.raises(SolverError, match="no second solver agreed"):
        solve(UNBOUNDED)


def test_infeasible_that_is_true_is_confirmed():
    impossible = replace(UNBOUNDED, limits=(Limit(Quantity(CostMetric.PERIOD), 1e-9),))
    assert solve(impossible).status is SolveStatus.INFEASIBLE
    assert solve(replace(FREE, limits=(Limit(LATENCY, 1e-9),))).status is SolveStatus.INFEASIBLE


def test_an_optimum_that_a_second_solver_beats_is_none(monkeypatch, caplog):
    true = solve(UNBOUNDED)
    worse, factor = next(
        (choice, cost.objective / true.objective)
        for choice in oracle.choices(UNBOUNDED)
        if oracle.feasible(UNBOUNDED, cost := oracle.price(UNBOUNDED, choice))
        and true.objective * 1.1 < cost.objective < inf
    )
    monkeypatch.setattr(solving, "decoded_choice", lambda _: worse)
    monkeypatch.setattr(solving, "best_pipeline", lambda *_: None)
    monkeypatch.setattr(solving, "construct", lambda *_: None)
    monkeypatch.setattr(LagrangianDual, "is_worth_while", False)
    monkeypatch.setattr(solving, "run_solver", lambda *program: run_solver(*program) * factor)
    result = solve(UNBOUNDED)
    assert result.objective == pytest.approx(true.objective)
    assert result.bound <= true.objective * (1 + 1e-9)
    assert "a second solver has" in caplog.text
