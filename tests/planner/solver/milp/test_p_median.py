from itertools import combinations
from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.solver.milp.p_median import p_median
from planner.solver.solver_options import SolverOptions

COST = st.one_of(st.integers(0, 20).map(float), st.just(inf))


def least(costs, weights, most: int) -> tuple[float, float]:
    """Return (weight unserved, cost of the others) of the best few candidates, by trying all."""
    found = []
    for count in range(min(most, len(costs[0])) + 1):
        for opened in combinations(range(len(costs[0])), count):
            paid = [min((row[k] for k in opened), default=inf) for row in costs]
            pairs = list(zip(weights, paid, strict=True))
            unserved = sum(w for w, cost in pairs if cost == inf)
            found.append((unserved, sum(w * cost for w, cost in pairs if cost < inf)))
    return min(found)


def test_of_customers_who_cannot_all_be_served_the_cheapest_are():
    answer = p_median([[1.0, inf], [inf, 0.0]], [1.0, 1.0], 1, SolverOptions())
    assert (answer.opened, answer.mean, answer.unserved) == ((1,), 0.0, 1.0)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_the_few_that_serve_most_at_the_least_cost_are_opened(data):
    candidates, customers = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 5))
    row = st.lists(COST, min_size=candidates, max_size=candidates)
    costs = data.draw(st.lists(row, min_size=customers, max_size=customers))
    weights = data.draw(st.lists(st.integers(1, 8).map(float), min_size=customers, max_size=customers))
    most = data.draw(st.integers(1, candidates))
    answer = p_median(costs, weights, most, SolverOptions())
    assert answer.is_proved
    assert len(answer.opened) <= most
    assert list(answer.opened) == sorted(set(answer.opened))
    unserved, cost = least(costs, weights, most)
    assert answer.unserved == pytest.approx(unserved)
    assert answer.mean == pytest.approx(cost)


def test_serving_more_comes_before_any_cost():
    costs = [[1.0, inf], [1.0, inf], [inf, 1e9]]
    assert p_median(costs, [1.0, 1.0, 5.0], 1, SolverOptions()).opened == (1,)
    assert p_median(costs, [1.0, 1.0, 1.0], 1, SolverOptions()).opened == (0,)


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
def test_the_scale_of_costs_and_weights_changes_nothing(scale):
    costs = [[scale * c for c in row] for row in ([3.0, 1.0, 2.0], [1.0, 4.0, 2.0], [5.0, 5.0, 2.0])]
    answer = p_median(costs, [2.0 * scale, scale, scale], 2, SolverOptions())
    assert answer.opened == (1, 2)
    assert answer.mean == pytest.approx(6.0 * scale**2)


def test_a_candidate_that_serves_nobody_best_stays_closed():
    assert p_median([[1.0, 2.0, 3.0]], [1.0], 3, SolverOptions()).opened == (0,)


def test_where_nobody_can_be_served_nothing_is_opened():
    answer = p_median([[inf, inf], [inf, inf]], [1.0, 2.0], 1, SolverOptions())
    assert (answer.opened, answer.mean, answer.unserved, answer.is_proved) == ((), 0.0, 3.0, True)
