from math import inf

from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import choices, feasible, price
from strategies import problems

from planner.solver.device_order import closed, implied_order
from planner.solver.lagrangian.dual_bound import goes_against

PAIRS = st.sets(st.tuples(st.integers(0, 4), st.integers(0, 4)).filter(lambda pair: pair[0] < pair[1]))


@settings(max_examples=40, deadline=None)
@given(problems(max_units=4))
def test_some_best_plan_keeps_the_implied_order(problem):
    order, best, best_within = implied_order(problem), inf, inf
    for choice in choices(problem):
        cost = price(problem, choice)
        if feasible(problem, cost):
            best = min(best, cost.objective)
            if not goes_against(problem, choice.options, order):
                best_within = min(best_within, cost.objective)
    assert best_within <= best + 1e-12


@given(PAIRS)
def test_a_closed_order_has_a_pair_for_every_chain_of_pairs(pairs):
    order = closed(pairs)
    assert pairs <= order
    assert order == closed(order)
    assert all((a, c) in order for a, b in order for b_again, c in order if b == b_again)


@given(PAIRS)
def test_a_closed_order_has_no_pair_that_does_not_follow(pairs):
    for a, c in closed(pairs):
        reached, last = {a}, set()
        while reached != last:
            last, reached = reached, reached | {y for x, y in pairs if x in reached}
        assert c in reached - {a}
