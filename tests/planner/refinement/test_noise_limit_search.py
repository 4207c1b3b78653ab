from dataclasses import replace

import msgspec
import pytest
from small_problems import LATENCY, NOISE, small_problem

from planner.costs.noise_saturation import NoiseModel
from planner.errors import OutOfTimeError
from planner.plan.plan_record import Metrics
from planner.problem.cost_evaluation import evaluate
from planner.refinement import noise_limit_search
from planner.refinement.noise_limit_search import NoiseLimitSearch, SearchResult, SearchState
from planner.refinement.unconstrained_noise import UnconstrainedNoisePlans
from planner.scenario.budget_schema import BudgetSpec
from planner.solver.result import SolveStatus
from planner.solver.solve import solve
from planner.solver.solver_options import SolverOptions

PROBLEM = replace(small_problem(), limits=(), together=(), apart=())


def measured(problem, factor: float, floor: float = 0.0):
    """Return a stand-in for building and running: real noise is `factor` times the predicted rms."""

    def errors_of(_, choice) -> Metrics:
        noise = evaluate(problem, choice).noise_power ** 0.5 * factor + floor
        return Metrics(
            noise_relative_rms=noise,
            max_abs_error=10 * noise,
            top1_agreement=1 - noise,
            accuracy=None,
            accuracy_fp32=None,
            samples=100,
        )

    return errors_of


def search(problem, budget, options, errors_of, noise_model=None) -> SearchResult:
    return NoiseLimitSearch(budget, options, errors_of, noise_model or NoiseModel()).solve_and_try_out(
        problem, SearchState()
    )


def test_without_error_budgets_one_solve_is_enough():
    done = search(PROBLEM, BudgetSpec(), SolverOptions(), measured(PROBLEM, 1.0))
    assert done.rounds == ()
    assert done.result.status is SolveStatus.OPTIMAL


@pytest.mark.parametrize("factor", [0.5, 1.0, 3.0])
def test_the_noise_budget_falls_until_the_held_back_data_keep_it(factor):
    budget = BudgetSpec(noise_relative_rms=0.1)
    done = search(PROBLEM, budget, SolverOptions(), measured(PROBLEM, factor))
    assert done.unmet == ()
    (delivered,) = (r for r in done.rounds if r.delivered)
    assert delivered.held_back.noise_relative_rms <= 0.1
    assert delivered.broken == ()
    assert delivered.latency_s == min(r.latency_s for r in done.rounds if not r.broken)


@pytest.mark.parametrize("factor", [0.25, 0.5, 0.9, 1.1, 2.0, 4.0])
def test_no_needlessly_slow_plan_is_delivered(factor):
    """However wrong the predicted noise is, the answer is nearly the best for the real one."""
    budget = BudgetSpec(noise_relative_rms=0.1)
    done = search(PROBLEM, budget, SolverOptions(), measured(PROBLEM, factor))
    best = solve(PROBLEM.with_limit(NOISE, (0.1 / factor) ** 2)).objective
    close = solve(PROBLEM.with_limit(NOISE, (0.1 / factor) ** 2 / 1.3)).objective
    assert best - 1e-12 <= done.result.objective <= close + 1e-12


def test_a_budget_that_is_no_noise_is_approached_from_both_sides():
    real = measured(PROBLEM, 2.0)
    done = search(PROBLEM, BudgetSpec(max_abs_error=0.9), SolverOptions(), real)
    best = solve(PROBLEM.with_limit(NOISE, (0.09 / 2.0) ** 2)).objective
    close = solve(PROBLEM.with_limit(NOISE, (0.09 / 2.0) ** 2 / 1.3)).objective
    assert best - 1e-12 <= done.result.objective <= close + 1e-12


def test_the_law_says_where_to_begin():
    law = NoiseModel(gain=2.0, knee=0.05)
    done = search(PROBLEM, BudgetSpec(noise_relative_rms=0.1), SolverOptions(), measured(PROBLEM, 1.0), law)
    assert done.rounds[0].noise_budget_rms == pytest.approx(0.1)
    assert done.rounds[0].predicted_noise_rms <= 0.1


def test_budgets_that_are_no_noise_are_met_too():
    done = search(PROBLEM, BudgetSpec(max_abs_error=0.5), SolverOptions(), measured(PROBLEM, 2.0))
    assert done.rounds[0].noise_budget_rms is None
    assert next(r for r in done.rounds if r.delivered).held_back.max_abs_error <= 0.5


def test_a_budget_that_fp32_breaks_is_told():
    done = search(PROBLEM, BudgetSpec(max_abs_error=0.5), SolverOptions(), measured(PROBLEM, 1.0, floor=0.1))
    assert done.unmet == ("max_abs_error 1 instead of 0.5",)
    assert done.rounds[-1].predicted_noise_rms == 0


def test_an_infeasible_problem_is_not_tried_out():
    tight = PROBLEM.with_limit(LATENCY, 1e-9)
    done = search(tight, BudgetSpec(noise_relative_rms=0.1), SolverOptions(), lambda *_: pytest.fail("built"))
    assert done.result.status is SolveStatus.INFEASIBLE


def test_what_was_learned_serves_other_costs():
    calls = []
    real = measured(PROBLEM, 3.0)

    def errors_of(problem, choice):
        calls.append(choice)
        return real(problem, choice)

    searching = NoiseLimitSearch(BudgetSpec(noise_relative_rms=0.1), SolverOptions(), errors_of)
    first = searching.solve_and_try_out(PROBLEM, SearchState())
    count = len(calls)
    again = searching.solve_and_try_out(PROBLEM, first.state)
    assert again.result.choice == first.result.choice
    assert len(calls) == len(set(calls))
    assert len(calls) <= count + 1


def chaotic(problem, kept, factor):
    """Return a stand-in for a network that answers anything to much noise: only some plans keep a budget."""
    real = measured(problem, factor)

    def errors_of(problem, choice) -> Metrics:
        own = real(problem, choice)
        return own if kept(choice) else msgspec.structs.replace(own, noise_relative_rms=0.9)

    return errors_of


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
    done = search(PROBLEM, budget, SolverOptions(), real, NoiseModel(gain))
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
    assert search(tight, budget, SolverOptions(), measured(PROBLEM, 1.0)).result.choice is None
    done = search(tight, budget, SolverOptions(), measured(PROBLEM, 0.8))
    assert done.result.choice == free.choice
    assert not done.unmet


def test_a_search_changes_nothing_but_the_state_that_it_returns():
    searching = NoiseLimitSearch(BudgetSpec(noise_relative_rms=0.1), SolverOptions(), measured(PROBLEM, 3.0))
    empty = SearchState()
    first = searching.solve_and_try_out(PROBLEM, empty)
    assert empty == SearchState()
    assert tuple(first.state.rounds) != ()
    assert searching.solve_and_try_out(PROBLEM, empty).result.choice == first.result.choice


def test_a_delivered_choice_is_bounded_under_the_limit_that_was_found():
    searching = NoiseLimitSearch(BudgetSpec(noise_relative_rms=0.1), SolverOptions(), measured(PROBLEM, 3.0))
    first = searching.solve_and_try_out(PROBLEM, SearchState())
    proved = searching.bound_for(PROBLEM, first.result.choice, first.state)
    assert proved.result.choice == first.result.choice
    assert proved.result.objective == pytest.approx(first.result.objective)
    assert proved.result.bound <= proved.result.objective * (1 + 1e-9)
    assert [r.delivered for r in proved.rounds].count(True) == 1


def test_plans_in_one_precision_that_break_a_budget_are_left_out():
    budget = BudgetSpec(noise_relative_rms=0.1)
    loud = NoiseLimitSearch(budget, SolverOptions(), measured(PROBLEM, 1e3))
    unconstrained = UnconstrainedNoisePlans(PROBLEM, SolverOptions())
    plans, state = loud.uniform_precision_plans(unconstrained, PROBLEM, float("inf"), SearchState())
    assert [evaluate(PROBLEM, result.choice).noise_power for result in plans] == [0.0]
    assert all(not r.broken or r.predicted_noise_rms for r in state.rounds.values())


def test_a_plan_in_one_precision_counts_as_good_as_under_costs_that_no_other_plan_corrected():
    """One plan's timing may show fp32 units as slow, which are not in the fp32 model itself."""
    slower = replace(
        PROBLEM,
        vertices=tuple(
            replace(vertex, options=tuple(replace(o, seconds=10 * o.seconds) for o in vertex.options))
            for vertex in PROBLEM.vertices
        ),
    )
    searching = NoiseLimitSearch(BudgetSpec(), SolverOptions(), measured(PROBLEM, 1.0))
    unconstrained = UnconstrainedNoisePlans(slower, SolverOptions())
    best = min(evaluate(PROBLEM, result.choice).objective for result in unconstrained.uniform)
    assert best < min(result.objective for result in unconstrained.uniform)
    plans, _ = searching.uniform_precision_plans(unconstrained, PROBLEM, best, SearchState())
    assert [evaluate(PROBLEM, result.choice).objective for result in plans] == [best]
    assert not searching.uniform_precision_plans(unconstrained, slower, best, SearchState())[0]


def test_where_time_is_short_the_search_goes_on_from_a_plan_that_was_tried_out(monkeypatch):
    """A solve that finds no plan in time is no reason to have none, if one is known that keeps the limit."""
    budget, errors_of = BudgetSpec(noise_relative_rms=0.1), measured(PROBLEM, 1.0)
    first = search(PROBLEM, budget, SolverOptions(), errors_of)

    def short_of_time(problem, options, start_plans=()):
        if not start_plans:
            raise OutOfTimeError("found no plan within the time limit")
        return solve(problem, options, start_plans)

    monkeypatch.setattr(noise_limit_search, "solve", short_of_time)
    again = NoiseLimitSearch(budget, SolverOptions(), errors_of)
    assert again.solve_and_try_out(PROBLEM, first.state).result.choice == first.result.choice
    with pytest.raises(OutOfTimeError):
        again.solve_and_try_out(PROBLEM, SearchState())
