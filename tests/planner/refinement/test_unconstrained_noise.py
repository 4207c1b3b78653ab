from dataclasses import replace
from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_problems import LATENCY, NOISE, small_problem
from strategies import problems

from planner.problem.placement_problem import PlacementProblem
from planner.refinement.unconstrained_noise import UnconstrainedNoisePlans
from planner.solver.result import SolveStatus
from planner.solver.single_precision import uniform_precision_plans
from planner.solver.solve import solve
from planner.solver.solver_options import SolverOptions

OPTIONS = SolverOptions(gap=1e-9)
PROBLEM = replace(small_problem(), limits=(), together=(), apart=())


def solved_all(problem: PlacementProblem) -> dict:
    """Return the objective of each plan, all solved for regardless of whether they are needed."""
    results = [solve(problem, OPTIONS), *uniform_precision_plans(problem, OPTIONS)]
    return {result.choice: result.objective for result in results if result.choice is not None}


@settings(max_examples=25, deadline=None)
@given(problems(max_units=4), st.sampled_from((0.5, 1 - 1e-3, 1 + 1e-3, 1.5)), st.booleans())
def test_plans_below_an_objective_are_those_of_all_solves_that_are(problem, factor, above_worst):
    free = problem.with_limit(NOISE, None)
    every = solved_all(free)
    objective = factor * (max if above_worst else min)(every.values(), default=1.0)
    found = list(UnconstrainedNoisePlans(free, OPTIONS).below(objective))
    expected = {choice: value for choice, value in every.items() if value < objective}
    assert dict(found) == expected
    assert len(found) == len(expected)
    assert [value for _, value in found] == pytest.approx(sorted(expected.values()), rel=1e-6, abs=1e-9)


def test_the_best_plan_comes_first_and_each_once():
    plans = UnconstrainedNoisePlans(PROBLEM, OPTIONS)
    found = list(plans.below(inf))
    assert found[0] == (plans.best.choice, plans.best.objective)
    assert len(dict(found)) == len(found) > 1
    assert plans.uniform is plans.uniform


def test_a_best_plan_that_is_not_proved_may_come_behind_one_in_one_precision():
    plans = UnconstrainedNoisePlans(PROBLEM, OPTIONS)
    worse = replace(plans.best, status=SolveStatus.FEASIBLE, objective=inf, bound=0.0)
    plans.best = worse
    objectives = [value for _, value in plans.below(2 * max(r.objective for r in plans.uniform))]
    assert objectives == sorted(r.objective for r in plans.uniform if r.choice != worse.choice)


def test_plans_in_one_precision_are_not_solved_for_where_none_can_be_below():
    plans = UnconstrainedNoisePlans(PROBLEM, OPTIONS)
    assert list(plans.below(plans.best.bound)) == []
    first = next(plans.below(inf))
    assert first[0] == plans.best.choice
    assert "uniform" not in vars(plans)


def test_no_plan_is_below_anything_where_there_is_none():
    plans = UnconstrainedNoisePlans(PROBLEM.with_limit(LATENCY, 1e-12), OPTIONS)
    assert list(plans.below(inf)) == []
