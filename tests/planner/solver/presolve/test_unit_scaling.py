"""Whatever units costs come in, the answer is that of enumeration."""

from dataclasses import replace

import oracle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_problems import small_problem
from strategies import problems

from planner.problem.cost_evaluation import evaluate
from planner.problem.quantities import CostMetric, ObjectiveTerm, Quantity
from planner.solver.presolve.unit_scaling import Units, in_units, scale_units
from planner.solver.result import SolveStatus
from planner.solver.solve import solve

TEN_TO = st.integers(-6, 6).map(lambda exponent: 10.0**exponent)
# Seconds from 1e-9 to 1e6 and bytes from 1 to 1e15, all at once; the strategy has about 1e-3 s and 1 byte.
UNITS = st.builds(
    Units,
    seconds=st.integers(-8, 6).map(lambda exponent: 10.0**exponent),
    held_bytes=st.integers(-14, 0).map(lambda exponent: 10.0**exponent),
    sent_bytes=st.integers(-14, 0).map(lambda exponent: 10.0**exponent),
    noise_power=st.integers(-6, 6).map(lambda exponent: 10.0**exponent),
    joules=st.integers(-6, 6).map(lambda exponent: 10.0**exponent),
    money=st.integers(-6, 6).map(lambda exponent: 10.0**exponent),
)


def weighted(problem, factor: float):
    """Return a problem whose objective counts so many times as much."""
    terms = tuple(replace(term, weight=term.weight * factor) for term in problem.objective)
    return replace(problem, objective=terms)


@settings(max_examples=150, deadline=None)
@given(problems(max_units=4), UNITS, TEN_TO)
def test_the_solver_finds_what_enumeration_finds_in_any_units(problem, units, factor):
    odd = weighted(in_units(problem, units), factor)
    result, best = solve(odd), oracle.best(odd)
    if best is None:
        assert result.status is SolveStatus.INFEASIBLE
        return
    assert result.status is SolveStatus.OPTIMAL
    free = best == pytest.approx(0, abs=1e-12 * factor)
    assert result.objective == pytest.approx(best, rel=1e-7, abs=1e-12 * factor)
    assert free or result.bound == pytest.approx(best, rel=1e-6)
    assert result.bound <= result.objective


@settings(max_examples=50, deadline=None)
@given(problems(max_units=4), st.randoms(use_true_random=False))
def test_scaling_rounds_no_cost(problem, random):
    """Units are powers of two, so every sum of scaled costs is the scaled sum, to the last bit."""
    scaled = scale_units(problem)
    for choice in random.sample(list(oracle.choices(problem)), 1):
        before, after = evaluate(problem, choice), evaluate(scaled.problem, choice)
        assert after.violations == before.violations
        assert after.order == before.order
        assert after.objective * scaled.objective == pytest.approx(before.objective, rel=1e-15)


def test_a_request_takes_about_one_unit_of_time():
    for factor in (1e-12, 1.0, 1e9):
        seconds = Units(factor, 1.0, 1.0, 1.0, 1.0, 1.0)
        latency = (ObjectiveTerm(Quantity(CostMetric.LATENCY)),)
        problem = replace(
            in_units(small_problem(), seconds), objective=latency, limits=(), together=(), apart=()
        )
        scaled = scale_units(problem).problem
        assert 0.1 < evaluate(scaled, solve(scaled).choice).latency_s < 10
