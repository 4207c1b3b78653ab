"""Bounds along one axis of a fleet: against enumeration, whether or not the solver closed its solves."""

from dataclasses import replace
from itertools import combinations
from math import inf

import oracle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_problems import LATENCY
from strategies import problems

from planner.comparison.fleet.fleet_axis import least_of_ranges, solve_axis
from planner.problem.quantities import CostMetric, ObjectiveTerm
from planner.solver.result import SolveStatus
from planner.solver.solve import solve
from planner.solver.solver_options import SolverOptions

EXACT = SolverOptions(gap=1e-7)
PLACES = ((0.1, 0.1), (0.7, 0.4), (2.0, 0.3), (9.0, 0.2))  # Mbit/s, share


def with_links(problem, x: float):
    """Return a problem whose messages take x times as long."""

    def of(flow):
        forms = tuple(replace(f, link_s=tuple(s * x for s in f.link_s)) for f in flow.forms)
        return replace(flow, forms=forms)

    return replace(problem, flows=tuple(map(of, problem.flows)))


def least_mean(problem, most: int) -> float:
    """Return the least mean cost of few plans, by pricing all sets of all plans."""
    rows = []
    for choice in oracle.choices(problem):
        row = []
        for value, _ in PLACES:
            cell = with_links(problem, 1 / value)
            price = oracle.price(cell, choice)
            row.append(price.objective if oracle.feasible(cell, price) else inf)
        if row[0] < inf:
            rows.append(row)
    # A plan that is nowhere below another one is no help.
    rows = [
        r for n, r in enumerate(rows)
        if not any(all(a <= b for a, b in zip(o, r, strict=True)) and (o != r or m < n)
                   for m, o in enumerate(rows) if m != n)
    ]  # fmt: skip
    sets = [few for k in range(1, most + 1) for few in combinations(rows, k)]
    return min(
        (sum(s * min(row[c] for row in few) for c, (_, s) in enumerate(PLACES)) for few in sets), default=inf
    )


def latency_only(problem):
    limits = tuple(x for x in problem.limits if x.quantity.metric in (CostMetric.NOISE, CostMetric.MEMORY))
    return replace(problem, objective=(ObjectiveTerm(LATENCY),), limits=limits)


def half_done(problem):
    """Return what a solve may say that stopped early."""
    result = solve(problem, EXACT)
    if result.bound is None:
        return result
    return replace(result, status=SolveStatus.FEASIBLE, bound=0.7 * result.bound)


@settings(max_examples=15, deadline=None)
@given(
    problems(max_units=3, max_devices=2, extras=False), st.integers(1, 3), st.sampled_from([solve, half_done])
)
def test_no_few_plans_are_below_the_bound_and_closed_solves_meet_it(problem, most, way):
    problem = latency_only(problem)
    least = least_mean(problem, most)
    exact = way is solve
    answer = solve_axis(
        PLACES,
        most,
        lambda x: with_links(problem, x),
        (lambda one: solve(one, EXACT)) if exact else half_done,
    )
    if answer is None:
        assert least == inf
        return
    assert answer.bound <= least * (1 + 1e-6) + 1e-12
    if exact:
        assert answer.bound == pytest.approx(least, rel=1e-5, abs=1e-12)
        assert len(answer.held) <= most


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0.1, 9), st.floats(0.1, 9)), min_size=1, max_size=5),
    st.lists(st.floats(0.1, 9), min_size=1, max_size=5, unique=True),
    st.integers(1, 3),
)
def test_ranges_cost_what_the_best_few_lines_cost(lines, xs, most):
    places = [(x, 1 / len(xs)) for x in sorted(xs)]

    def at(x: float) -> float:
        return min(a + b * x for a, b in lines)

    least = min(
        sum(share * min(a + b * x for a, b in few) for x, share in places)
        for k in range(1, most + 1)
        for few in combinations(lines, min(k, len(lines)))
    )
    assert least_of_ranges(places, most, at) == pytest.approx(least)
