from dataclasses import replace

import msgspec
import pytest
from small_problems import LATENCY, NOISE, small_problem

from planner.costs.noise_model import NoiseModel
from planner.plan.records import Metrics
from planner.problem.cost_evaluation import evaluate
from planner.refinement.noise_limit_search import Tightened, Tightening
from planner.scenario.schema import BudgetSpec
from planner.solver.backends import SolverOptions
from planner.solver.result import SolveStatus
from planner.solver.solve import solve

PROBLEM = replace(small_problem(), limits=(), together=(), apart=())


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


def tighten(problem, budget, options, try_out, law=None) -> Tightened:
    return Tightening(budget, options, try_out, law).solve(problem)


def test_without_error_budgets_one_solve_is_enough():
    done = tighten(PROBLEM, BudgetSpec(), SolverOptions(), measured(PROBLEM, 1.0))
    assert done.rounds == ()
    assert done.result.status is SolveStatus.OPTIMAL


@pytest.mark.parametrize("factor", [0.5, 1.0, 3.0])
def test_the_noise_budget_falls_until_the_held_back_data_keep_it(factor):
    budget = BudgetSpec(noise_relative_rms=0.1)
    done = tighten(PROBLEM, budget, SolverOptions(), measured(PROBLEM, factor))
    assert done.unmet == ()
    (delivered,) = (r for r in done.rounds if r.delivered)
    assert delivered.held_back.noise_relative_rms <= 0.1
    assert delivered.broken == ()
    assert delivered.latency_s == min(r.latency_s for r in done.rounds if not r.broken)


@pytest.mark.parametrize("factor", [0.25, 0.5, 0.9, 1.1, 2.0, 4.0])
def test_no_needlessly_slow_plan_is_delivered(factor):
    """However wrong the predicted noise is, the answer is nearly the best for the real one."""
    budget = BudgetSpec(noise_relative_rms=0.1)
    done = tighten(PROBLEM, budget, SolverOptions(), measured(PROBLEM, factor))
    best = solve(PROBLEM.with_limit(NOISE, (0.1 / factor) ** 2)).objective
    close = solve(PROBLEM.with_limit(NOISE, (0.1 / factor) ** 2 / 1.3)).objective
    assert best - 1e-12 <= done.result.objective <= close + 1e-12


def test_a_budget_that_is_no_noise_is_approached_from_both_sides():
    real = measured(PROBLEM, 2.0)
    done = tighten(PROBLEM, BudgetSpec(max_abs_error=0.9), SolverOptions(), real)
    best = solve(PROBLEM.with_limit(NOISE, (0.09 / 2.0) ** 2)).objective
    close = solve(PROBLEM.with_limit(NOISE, (0.09 / 2.0) ** 2 / 1.3)).objective
    assert best - 1e-12 <= done.result.objective <= close + 1e-12


def test_the_law_says_where_to_begin():
    law = NoiseModel(gain=2.0, knee=0.05)
    done = tighten(PROBLEM, BudgetSpec(noise_relative_rms=0.1), SolverOptions(), measured(PROBLEM, 1.0), law)
    assert done.rounds[0].noise_budget_rms == pytest.approx(0.1)
    assert done.rounds[0].predicted_noise_rms <= 0.1


def test_budgets_that_are_no_noise_are_met_too():
    done = tighten(PROBLEM, BudgetSpec(max_abs_error=0.5), SolverOptions(), measured(PROBLEM, 2.0))
    assert done.rounds[0].noise_budget_rms is None
    assert next(r for r in done.rounds if r.delivered).held_back.max_abs_error <= 0.5


def test_a_budget_that_fp32_breaks_is_told():
    done = tighten(PROBLEM, BudgetSpec(max_abs_error=0.5), SolverOptions(), measured(PROBLEM, 1.0, floor=0.1))
    assert done.unmet == ("max_abs_error 1 instead of 0.5",)
    assert done.rounds[-1].predicted_noise_rms == 0


def test_an_infeasible_problem_is_not_tried_out():
    tight = PROBLEM.with_limit(LATENCY, 1e-9)
    done = tighten(tight, BudgetSpec(noise_relative_rms=0.1), SolverOptions(), lambda _: pytest.fail("built"))
    assert done.result.status is SolveStatus.INFEASIBLE


def test_what_was_learned_serves_other_costs():
    calls = []
    real = measured(PROBLEM, 3.0)

    def try_out(result):
        calls.append(result.choice)
        return real(result)

    tightening = Tightening(BudgetSpec(noise_relative_rms=0.1), SolverOptions(), try_out)
    first = tightening.solve(PROBLEM)
    count = len(calls)
    again = tightening.solve(PROBLEM)
    assert again.result.choice == first.result.choice
    assert len(calls) == len(set(calls))
    assert len(calls) <= count + 1


def chaotic(problem, kept, factor):
    """Return a stand-in for a network that answers anything to much noise: only some plans keep a budget."""
    real = measured(problem, factor)

    def try_out(result) -> Metrics:
        own = real(result)
        return own if kept(result.choice) else msgspec.structs.replace(own, noise_relative_rms=0.9)

    return try_out


def everything_int8(choice) -> bool:
    pairs = zip(PROBLEM.vertices, choice.options, strict=True)
    return all(v.is_terminal or v.options[o].quantized for v, o in pairs)


@pytest.mark.parametrize(("gain", "factor", "tried"), [(1.5, 1.0, True), (1e3, 1.0, False), (1e6, 3.0, True)])
def test_a_plan_beyond_the_limit_on_the_sum_is_found_if_it_keeps_the_budgets(gain, factor, tried):
    """Noise of mixes is chaotic, that of everything in int8 is within the budget, and predicted not to be."""
    free = solve(PROBLEM)
    assert everything_int8(free.choice)
    allowed = evaluate(PROBLEM, free.choice).noise_power ** 0.5 * factor * 1.01
    quiet = lambda choice: everything_int8(choice) or not evaluate(PROBLEM, choice).noise_power  # noqa: E731
    budget, real = BudgetSpec(noise_relative_rms=allowed), chaotic(PROBLEM, quiet, factor)
    done = tighten(PROBLEM, budget, SolverOptions(), real, NoiseModel(gain))
    assert (done.result.choice == free.choice) == tried
    (delivered,) = (r for r in done.rounds if r.delivered)
    assert delivered.latency_s == min(r.latency_s for r in done.rounds if not r.broken)
    if tried:
        assert done.result.objective == pytest.approx(free.objective)
        assert delivered.noise_budget_rms is None
    else:
        assert all(r.predicted_noise_rms <= 3 * allowed for r in done.rounds)


def test_where_the_limit_leaves_no_plan_one_regardless_of_it_may_do():
    free = solve(PROBLEM)
    noise = evaluate(PROBLEM, free.choice).noise_power ** 0.5
    tight = PROBLEM.with_limit(LATENCY, evaluate(PROBLEM, free.choice).latency_s * 1.001)
    budget = BudgetSpec(noise_relative_rms=noise * 0.9)
    assert tighten(tight, budget, SolverOptions(), measured(PROBLEM, 1.0)).result.choice is None
    done = tighten(tight, budget, SolverOptions(), measured(PROBLEM, 0.8))
    assert done.result.choice == free.choice
    assert not done.unmet
