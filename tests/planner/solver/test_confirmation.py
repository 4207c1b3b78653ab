"""A solver that is wrong is found out: by the plan at hand, by the relaxation, or by a second solver."""

from dataclasses import replace
from math import inf

import oracle
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from small_problems import LATENCY, small_problem
from strategies import problems

import planner.solver.confirmation as confirming
import planner.solver.heuristics.incumbent as incumbent
import planner.solver.restricted_programs as programs
import planner.solver.solve as solving
from planner.errors import SolverError, SolverFailure
from planner.problem.cost_evaluation import evaluate
from planner.problem.placement_problem import PlacementProblem
from planner.problem.quantities import CostMetric, Limit, ObjectiveTerm, Quantity
from planner.solver.backends import run_solver
from planner.solver.confirmation import confirm, confirmed_cost, is_among, is_contradicted
from planner.solver.lagrangian.dual_problem import LagrangianDual
from planner.solver.result import SolveResult, SolveStatus
from planner.solver.second_opinion import SecondOpinion
from planner.solver.solve import solve
from planner.solver.solver_options import SolverOptions

PERIOD = (ObjectiveTerm(Quantity(CostMetric.PERIOD)),)
FREE: PlacementProblem = replace(small_problem(), limits=(), together=(), apart=())
# A period of the whole, which neither the relaxation nor the pipeline program bounds.
UNBOUNDED = replace(FREE, objective=(*PERIOD, ObjectiveTerm(LATENCY)))
IMPOSSIBLE = replace(UNBOUNDED, limits=(Limit(Quantity(CostMetric.PERIOD), 1e-9),))


def infeasible(runtime_s: float = 0.1) -> SolveResult:
    return SolveResult(SolveStatus.INFEASIBLE, None, None, None, runtime_s, "highs", 4, 5)


def optimal(choice, objective: float, runtime_s: float = 0.1) -> SolveResult:
    return SolveResult(SolveStatus.OPTIMAL, choice, objective, objective, runtime_s, "highs", 4, 5)


def best_and_worst(problem):
    """Return the cheapest choice and the dearest, each with its objective."""
    priced = [
        (cost.objective, choice)
        for choice in oracle.choices(problem)
        if oracle.feasible(problem, cost := oracle.price(problem, choice)) and cost.objective < inf
    ]
    return min(priced, key=lambda pair: pair[0]), max(priced, key=lambda pair: pair[0])


def test_a_plan_that_breaks_a_limit_is_no_answer():
    (least, best), (_, worst) = best_and_worst(FREE)
    limited = FREE.with_limit(LATENCY, evaluate(FREE, best).latency_s)
    assert confirmed_cost(limited, best, "cbc").objective == pytest.approx(least)
    with pytest.raises(SolverError, match="cbc returned a plan that breaks a budget"):
        confirmed_cost(limited, worst, "cbc")


def test_only_a_bound_above_a_plan_by_more_than_rounding_contradicts_it():
    assert not is_contradicted(1.0, 1.0)
    assert not is_contradicted(1.0 + 1e-6, 1.0)
    assert is_contradicted(1.0 + 1e-5, 1.0)
    assert not is_contradicted(1e-11, 0.0)
    assert is_contradicted(1e-9, 0.0)


@settings(max_examples=40, deadline=None)
@given(problems(max_units=3), st.data())
def test_a_plan_is_among_options_that_have_its_own_in_an_order_that_it_keeps(problem, data):
    choice = data.draw(st.sampled_from(list(oracle.choices(problem))))
    assume(oracle.price(problem, choice).ordered)
    every = [set(range(len(vertex.options))) for vertex in problem.vertices]
    assert is_among(problem, choice, every, frozenset())
    vertex = data.draw(st.integers(0, len(every) - 1))
    assert not is_among(
        problem,
        choice,
        [k - {choice.options[v]} if v == vertex else k for v, k in enumerate(every)],
        frozenset(),
    )
    runs = [problem.vertices[v].options[o].device for v, o in enumerate(choice.options)]
    for flow in problem.flows:
        for consumer in flow.consumers:
            a, b = runs[flow.producer], runs[consumer]
            are_units = all(not problem.vertices[v].is_terminal for v in (flow.producer, consumer))
            if a != b and are_units and all(problem.devices[d].contiguous for d in (a, b)):
                assert not is_among(problem, choice, every, frozenset({(b, a)}))


def test_what_nothing_contradicts_is_returned_as_it_is():
    (least, best), _ = best_and_worst(UNBOUNDED)
    right = optimal(best, least)
    assert confirm(UNBOUNDED, SolverOptions(), right, None) == right
    feasible = replace(right, status=SolveStatus.FEASIBLE, bound=0.0)
    assert confirm(UNBOUNDED, SolverOptions(), feasible, None) == feasible


def test_a_false_optimum_gives_way_to_the_plan_of_a_second_solver(caplog):
    (least, _), (most, worst) = best_and_worst(UNBOUNDED)
    result = confirm(UNBOUNDED, SolverOptions(), optimal(worst, most), None)
    assert result.objective == pytest.approx(least)
    assert (result.bound, result.status) == (0.0, SolveStatus.FEASIBLE)  # the claimed bound is void
    assert result.runtime_s > 0.1
    assert "a second solver has" in caplog.text


def test_an_optimum_is_not_compared_where_no_time_is_left():
    _, (most, worst) = best_and_worst(UNBOUNDED)
    late = optimal(worst, most, runtime_s=10.0)
    assert confirm(UNBOUNDED, SolverOptions(time_limit_s=10.0), late, None) == late


def test_a_false_infeasible_gives_way_to_a_plan_with_the_bound_of_the_relaxation():
    least = oracle.best(UNBOUNDED)
    for proved, bound in ((None, 0.0), (least / 2, least / 2), (inf, 0.0), (-1e-12, 0.0)):
        result = confirm(UNBOUNDED, SolverOptions(), infeasible(), proved)
        assert result.objective == pytest.approx(least)
        assert (result.bound, result.status) == (bound, SolveStatus.FEASIBLE)


def test_infeasible_needs_a_second_solver_or_the_relaxation():
    for proved in (None, 0.0, inf):
        result = confirm(IMPOSSIBLE, SolverOptions(), infeasible(), proved)
        assert (result.status, result.choice, result.bound) == (SolveStatus.INFEASIBLE, None, None)


def test_a_bound_above_the_plan_at_hand_is_dropped(monkeypatch, caplog):
    monkeypatch.setattr(programs, "run_solver", lambda *program: run_solver(*program) * 3)
    result = solve(UNBOUNDED)
    assert result.status is SolveStatus.FEASIBLE
    assert result.bound <= oracle.best(UNBOUNDED) * (1 + 1e-9)
    assert "there is a plan with" in caplog.text


def fails(*_):
    raise SolverFailure("the solver failed")


def test_a_solver_that_fails_ends_no_search_that_has_a_plan(monkeypatch, caplog):
    monkeypatch.setattr(programs, "run_solver", fails)
    result = solve(UNBOUNDED)
    assert result.choice is not None
    assert result.bound <= oracle.best(UNBOUNDED) * (1 + 1e-9)
    assert "the solver failed; the best plan so far" in caplog.text


def test_a_solver_that_fails_where_no_plan_is_found_is_told(monkeypatch):
    monkeypatch.setattr(programs, "run_solver", fails)
    monkeypatch.setattr(solving, "best_pipeline", lambda *_: None)
    monkeypatch.setattr(incumbent, "construct", lambda *_: None)
    monkeypatch.setattr(LagrangianDual, "is_worth_while", False)
    with pytest.raises(SolverFailure):
        solve(UNBOUNDED)


def test_infeasible_is_not_believed_of_one_solver_alone(monkeypatch, caplog):
    monkeypatch.setattr(solving, "best_pipeline", lambda *_: None)
    monkeypatch.setattr(incumbent, "construct", lambda *_: None)
    monkeypatch.setattr(LagrangianDual, "is_worth_while", False)
    monkeypatch.setattr(programs, "solve_status", lambda _: SolveStatus.INFEASIBLE)
    result = solve(UNBOUNDED)
    assert result.status is SolveStatus.FEASIBLE
    assert result.objective == pytest.approx(oracle.best(UNBOUNDED))
    assert "a second solver has a plan" in caplog.text


def test_infeasible_that_nothing_confirms_is_no_answer(monkeypatch):
    monkeypatch.setattr(solving, "best_pipeline", lambda *_: None)
    monkeypatch.setattr(incumbent, "construct", lambda *_: None)
    monkeypatch.setattr(LagrangianDual, "is_worth_while", False)
    monkeypatch.setattr(programs, "solve_status", lambda _: SolveStatus.INFEASIBLE)
    monkeypatch.setattr(confirming, "second_opinion", lambda *_: SecondOpinion())
    with pytest.raises(SolverError, match="no second solver agreed"):
        solve(UNBOUNDED)


def test_infeasible_that_is_true_is_confirmed():
    assert solve(IMPOSSIBLE).status is SolveStatus.INFEASIBLE
    assert solve(replace(FREE, limits=(Limit(LATENCY, 1e-9),))).status is SolveStatus.INFEASIBLE


def test_an_optimum_that_a_second_solver_beats_is_none(monkeypatch, caplog):
    true = solve(UNBOUNDED)
    _, (most, worse) = best_and_worst(UNBOUNDED)
    factor = most / true.objective
    monkeypatch.setattr(programs, "decoded_choice", lambda _: worse)
    monkeypatch.setattr(solving, "best_pipeline", lambda *_: None)
    monkeypatch.setattr(incumbent, "construct", lambda *_: None)
    monkeypatch.setattr(LagrangianDual, "is_worth_while", False)
    monkeypatch.setattr(programs, "run_solver", lambda *program: run_solver(*program) * factor)
    result = solve(UNBOUNDED)
    assert result.objective == pytest.approx(true.objective)
    assert result.bound <= true.objective * (1 + 1e-9)
    assert "a second solver has" in caplog.text
