from dataclasses import replace

import pytest
from test_ilp import small_problem

from planner.evaluate import evaluate
from planner.ilp import SolveStatus
from planner.plan import Metrics
from planner.scenario import BudgetSpec
from planner.solvers import SolverOptions
from planner.tighten import tighten

PROBLEM = replace(small_problem(), noise_power=None, memory_bytes=(None, None, None), latency_s=None)


def measured(problem, factor: float, floor: float = 0.0):
    """Return a stand-in for building and running: real noise is `factor` times the predicted rms."""

    def try_out(result) -> Metrics:
        noise = evaluate(problem, result.choice).noise_power ** 0.5 * factor + floor
        return Metrics(
            noise_relative_rms=noise,
            max_abs_error=10 * noise,
            top1_agreement=1 - noise,
            accuracy=None,
            accuracy_fp32=None,
            samples=100,
        )

    return try_out


def test_without_error_budgets_one_solve_is_enough():
    done = tighten(PROBLEM, BudgetSpec(), SolverOptions(), measured(PROBLEM, 1.0))
    assert done.rounds == ()
    assert done.result.status is SolveStatus.OPTIMAL


@pytest.mark.parametrize("factor", [0.5, 1.0, 3.0])
def test_the_noise_budget_falls_until_the_held_back_data_keep_it(factor):
    budget = BudgetSpec(noise_relative_rms=0.1)
    done = tighten(PROBLEM, budget, SolverOptions(), measured(PROBLEM, factor))
    assert done.unmet == ()
    assert done.rounds[-1].held_back.noise_relative_rms <= 0.1
    assert all(r.broken for r in done.rounds[:-1])
    assert done.rounds[-1].broken == ()
    budgets = [r.noise_budget_rms for r in done.rounds]
    assert budgets == sorted(budgets, reverse=True)


def test_budgets_that_are_no_noise_are_met_too():
    done = tighten(PROBLEM, BudgetSpec(max_abs_error=0.5), SolverOptions(), measured(PROBLEM, 2.0))
    assert done.rounds[0].noise_budget_rms is None
    assert done.rounds[-1].held_back.max_abs_error <= 0.5


def test_a_budget_that_fp32_breaks_is_told():
    done = tighten(PROBLEM, BudgetSpec(max_abs_error=0.5), SolverOptions(), measured(PROBLEM, 1.0, floor=0.1))
    assert done.unmet == ("max_abs_error 1 instead of 0.5",)
    assert done.rounds[-1].predicted_noise_rms == 0


def test_an_infeasible_problem_is_not_tried_out():
    tight = replace(PROBLEM, latency_s=1e-9)
    done = tighten(tight, BudgetSpec(noise_relative_rms=0.1), SolverOptions(), lambda _: pytest.fail("built"))
    assert done.result.status is SolveStatus.INFEASIBLE
