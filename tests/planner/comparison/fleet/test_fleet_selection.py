"""The choice of a few plans for the cells of a fleet, against all subsets of all plans of small problems."""

from dataclasses import replace
from itertools import combinations, islice
from math import inf

import oracle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_problems import LATENCY, small_problem
from strategies import problems

from planner.comparison.bandwidth_traces import BandwidthDistribution
from planner.comparison.fleet.fleet_selection import CandidatePool, CellAnswer, PortableChoice
from planner.comparison.lower_envelope import CostLine, lower_envelope
from planner.comparison.plan_selection import select_plans
from planner.errors import SolverError
from planner.problem.quantities import CostMetric, ObjectiveTerm
from planner.solver.milp.p_median import p_median
from planner.solver.solve import solve
from planner.solver.solver_options import SolverOptions

EXACT = SolverOptions(gap=1e-7)
costs = st.one_of(st.floats(0.1, 10), st.just(inf))
tables = st.integers(1, 5).flatmap(
    lambda count: st.lists(st.lists(costs, min_size=count, max_size=count), min_size=1, max_size=5)
)


def best_subset(rows, weights, most: int) -> tuple[float, float]:
    """Return the least weight that is not served, and the least mean with it."""
    sets = [few for k in range(1, most + 1) for few in combinations(range(len(rows[0])), k)]
    least = [[min(row[k] for k in few) for row in rows] for few in sets]
    return min(
        (
            round(sum(w for w, x in zip(weights, row, strict=True) if x == inf), 9),
            sum(w * x for w, x in zip(weights, row, strict=True) if x < inf),
        )
        for row in least
    )


@settings(max_examples=30, deadline=None)
@given(tables, st.integers(1, 3), st.data())
def test_no_other_few_candidates_serve_more_or_cost_less(rows, most, data):
    weights = data.draw(st.lists(st.sampled_from([1.0, 2.0, 5.0]), min_size=len(rows), max_size=len(rows)))
    found = p_median(rows, weights, most, EXACT)
    unserved, mean = best_subset(rows, weights, most)
    assert len(found.opened) <= most
    assert found.is_proved
    assert found.unserved == pytest.approx(unserved)
    if len({unserved, 0.0}) == 1:  # with customers left out, which ones decides on the sum
        assert found.mean == pytest.approx(mean, rel=1e-5)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.floats(0.1, 9), st.floats(0.1, 9)), min_size=1, max_size=6), st.integers(1, 3))
def test_the_program_and_dynamic_programming_agree_where_one_axis_varies(pairs, most):
    lines = [CostLine(intercept, slope, n) for n, (intercept, slope) in enumerate(pairs)]
    values, shares = (0.1, 0.7, 2.0, 9.0), (0.1, 0.4, 0.3, 0.2)
    envelope = lower_envelope(lambda x: min(lines, key=lambda one: (one.at(x), one.slope)), 0.1, 10.0)
    dynamic = select_plans(
        [piece.line for piece in envelope], BandwidthDistribution(values, shares, ""), most
    )
    program = p_median([[line.at(1 / v) for line in lines] for v in values], shares, most, EXACT)
    assert program.mean == pytest.approx(dynamic.mean, rel=1e-5)


def slower(problem, factor: float, size: float):
    """Return a problem whose first device is slower, and whose links are."""

    def of(option):
        return replace(option, seconds=option.seconds * factor) if option.device == 0 else option

    return replace(
        problem,
        vertices=tuple(replace(v, options=tuple(map(of, v.options))) for v in problem.vertices),
        flows=tuple(
            replace(
                flow,
                forms=tuple(replace(f, link_s=tuple(s * size for s in f.link_s)) for f in flow.forms),
            )
            for flow in problem.flows
        ),
    )


@settings(max_examples=12, deadline=None)
@given(problems(max_units=3, max_devices=2, extras=False), st.integers(1, 3))
def test_no_plans_at_all_are_below_the_bound_and_all_candidates_give_the_optimum(problem, most):
    cells = [slower(problem, factor, size) for factor, size in ((1, 1), (7, 1), (1, 5), (7, 5))]
    weights = [0.4, 0.3, 0.2, 0.1]
    choices = list(islice(oracle.choices(problem), 60))
    if len(choices) == 60:
        return
    priced = [[oracle.price(cell, choice) for choice in choices] for cell in cells]
    rows = [
        [one.objective if oracle.feasible(cell, one) else inf for one in row]
        for cell, row in zip(cells, priced, strict=True)
    ]
    if any(min(row) == inf for row in rows):
        return
    best = min(
        sum(w * min(row[k] for k in few) for w, row in zip(weights, rows, strict=True))
        for k in range(1, most + 1)
        for few in combinations(range(len(choices)), k)
    ) if len(choices) <= 30 else None  # fmt: skip
    pool = CandidatePool(cells, weights, lambda one: solve(one, EXACT), lambda _: None)
    results = [solve(cell, EXACT) for cell in cells]
    answers = [
        CellAnswer(PortableChoice.of(cell, r.choice), r.objective, r.bound)
        for cell, r in zip(cells, results, strict=True)
    ]
    for answer in answers:
        pool.add(answer.plan)
    alone = pool.select(answers, [], most, EXACT)
    for choice in choices:
        pool.add(PortableChoice.of(problem, choice))
    every = pool.select(answers, [], most, EXACT)
    assert every.mean <= alone.mean * (1 + 1e-5) + 1e-12
    if best is not None:
        assert alone.bound <= best * (1 + 1e-6) + 1e-12
        assert every.mean == pytest.approx(best, rel=1e-5, abs=1e-12)


def mean_of(problem, pairs, weights):
    """Return a problem whose costs are the mean ones of a problem with a slower device and slower links."""
    total = sum(weights)
    factors = (sum(w * pair[n] for w, pair in zip(weights, pairs, strict=True)) / total for n in range(2))
    return slower(problem, *factors)


def latency_only(problem):
    limits = tuple(x for x in problem.limits if x.quantity.metric in (CostMetric.NOISE, CostMetric.MEMORY))
    return replace(problem, objective=(ObjectiveTerm(LATENCY),), limits=limits)


@settings(max_examples=12, deadline=None)
@given(problems(max_units=3, max_devices=2, extras=False), st.integers(1, 3))
def test_with_the_best_plan_of_every_group_the_choice_is_the_optimum_and_proved(problem, most):
    problem = latency_only(problem)
    pairs = ((1, 1), (7, 1), (1, 5), (7, 5))
    weights = [0.4, 0.3, 0.2, 0.1]
    cells = [slower(problem, *pair) for pair in pairs]
    rows = []
    for choice in oracle.choices(problem):
        priced = [oracle.price(cell, choice) for cell in cells]
        if oracle.feasible(cells[0], priced[0]):
            rows.append([one.objective for one in priced])
    rows = [list(row) for row in {tuple(row) for row in rows}]
    if not rows or len(rows) > 40:
        return
    best = best_subset([list(row) for row in zip(*rows, strict=True)], weights, most)[1]
    pool = CandidatePool(
        cells,
        weights,
        lambda one: solve(one, EXACT),
        lambda group: mean_of(problem, [pairs[c] for c in group], [weights[c] for c in group]),
    )
    results = [solve(cell, EXACT) for cell in cells]
    answers = [
        CellAnswer(PortableChoice.of(cell, r.choice), r.objective, r.bound)
        for cell, r in zip(cells, results, strict=True)
    ]
    for answer in answers:
        pool.add(answer.plan)
    selection = pool.select(answers, [], most, EXACT)
    assert selection.mean == pytest.approx(best, rel=1e-5, abs=1e-12)
    assert selection.bound == pytest.approx(best, rel=1e-5, abs=1e-12)
    assert selection.bound <= best * (1 + 1e-6) + 1e-12


def test_a_group_at_which_the_solver_fails_costs_a_candidate_and_no_answer():
    def failing(_):
        raise SolverError("out of time")

    problem = small_problem()
    pool = CandidatePool([problem], [1.0], failing, lambda _: problem)
    assert pool.add_best_of_group([0]) == 0
    assert pool.fixed([CellAnswer(None, inf, 0.0)], []).plans == ()


def test_plans_that_are_nowhere_the_best_are_not_held():
    problem = small_problem()
    choices = [c for c in oracle.choices(problem) if oracle.feasible(problem, oracle.price(problem, c))]
    ranked = sorted(choices, key=lambda c: oracle.price(problem, c).objective)
    plans = [PortableChoice.of(problem, ranked[n]) for n in (-1, 0)]
    pool = CandidatePool([problem], [1.0], lambda one: solve(one, EXACT), lambda _: None)
    selection = pool.fixed([CellAnswer(None, inf, 0.0)], plans)
    assert selection.plans == (plans[1],)
    assert selection.mean == pytest.approx(oracle.price(problem, ranked[0]).objective)
