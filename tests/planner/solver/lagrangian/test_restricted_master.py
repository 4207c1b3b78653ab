import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.solver.lagrangian.restricted_master import (
    INFEASIBILITY_PENALTY,
    Column,
    Maximum,
    solve_restricted_master,
)


def test_a_cheap_plan_above_the_limit_and_a_dear_one_below_are_mixed():
    mixture = solve_restricted_master([Column(2.0, (1.5,)), Column(6.0, (0.5,))])
    assert mixture.cost == pytest.approx(4.0)  # half of each
    assert mixture.multipliers == pytest.approx([4.0])  # the limit twice as high would save 4


def test_a_limit_that_binds_nobody_has_no_price():
    mixture = solve_restricted_master([Column(2.0, (0.9, 0.1)), Column(6.0, (0.5, 0.2))])
    assert mixture.cost == pytest.approx(2.0)
    assert mixture.multipliers == pytest.approx([0.0, 0.0])


def test_where_no_mixture_keeps_the_limit_exceeding_it_is_paid():
    mixture = solve_restricted_master([Column(3.0, (1.25,))])
    assert mixture.cost == pytest.approx(3.0 + 0.25 * INFEASIBILITY_PENALTY * 3.0)
    assert mixture.multipliers == pytest.approx([INFEASIBILITY_PENALTY * 3.0])


SPENT = st.integers(0, 16).map(lambda eighths: eighths / 8)
COSTS = st.integers(1, 40).map(float)


def columns(rows: int):
    return st.lists(st.builds(Column, COSTS, st.tuples(*[SPENT] * rows)), min_size=1, max_size=6)


def cheapest_pair(plans: list[Column]) -> float:
    """Return the least cost of one plan, or of two mixed so that they just keep the one limit."""
    penalty = INFEASIBILITY_PENALTY * max(plan.cost for plan in plans)
    alone = [plan.cost + penalty * max(0.0, plan.usage[0] - 1) for plan in plans]
    mixed = []
    for low, high in itertools.permutations(plans, 2):
        if low.usage[0] < 1 < high.usage[0]:
            share = (1 - low.usage[0]) / (high.usage[0] - low.usage[0])
            mixed.append(share * high.cost + (1 - share) * low.cost)
    return min([*alone, *mixed])


@settings(max_examples=40, deadline=None)
@given(columns(1))
def test_with_one_limit_two_plans_at_most_are_mixed(plans):
    assert solve_restricted_master(plans).cost == pytest.approx(cheapest_pair(plans))


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 3).flatmap(columns))
def test_at_the_prices_no_plan_is_below_the_mixture(plans):
    mixture = solve_restricted_master(plans)
    assert min(mixture.multipliers) >= 0
    assert sum(mixture.shares) == pytest.approx(1)
    for plan in plans:
        paid = sum(price * (own - 1) for price, own in zip(mixture.multipliers, plan.usage, strict=True))
        assert plan.cost + paid >= mixture.cost * (1 - 1e-6) - 1e-6


def test_the_order_of_plans_changes_nothing():
    columns = [Column(2.0, (1.5, 0.2)), Column(6.0, (0.5, 1.4)), Column(9.0, (0.4, 0.3))]
    found = {round(solve_restricted_master(list(some)).cost, 9) for some in itertools.permutations(columns)}
    assert len(found) == 1


@settings(max_examples=40, deadline=None)
@given(columns(2))
def test_the_multipliers_of_a_maximum_share_its_weight(plans):
    """The least of a maximum over two rows: of one plan, or of two mixed so that the rows are even."""
    loads = [Column(0.0, plan.usage) for plan in plans]
    mixture = solve_restricted_master(loads, [Maximum(2.0, (0, 1))])
    least = min(max(load.usage) for load in loads)
    for first, second in itertools.permutations(loads, 2):
        a, b = first.usage[0] - first.usage[1], second.usage[0] - second.usage[1]
        if a < 0 < b:
            share = b / (b - a)
            least = min(least, share * first.usage[0] + (1 - share) * second.usage[0])
    assert mixture.cost == pytest.approx(2 * least, abs=1e-9)
    assert sum(mixture.multipliers) <= 2 + 1e-9
    for load in loads:
        weighed = sum(m * x for m, x in zip(mixture.multipliers, load.usage, strict=True))
        assert weighed >= mixture.cost - 1e-6
