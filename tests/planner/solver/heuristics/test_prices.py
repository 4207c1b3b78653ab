from math import inf

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_problems import small_problem
from strategies import problems

from planner.problem.cost_evaluation import evaluate
from planner.problem.placement_problem import Choice
from planner.problem.quantities import CostMetric, Quantity
from planner.solver.heuristics.prices import LoadShares, Prices

LATENCY, ENERGY = Quantity(CostMetric.LATENCY), Quantity(CostMetric.ENERGY)


def prices(problem, *weights) -> Prices:
    return Prices(problem, weights, LoadShares(problem))


@settings(max_examples=60, deadline=None)
@given(problems(max_units=3), st.floats(0.1, 10))
def test_sending_costs_what_its_links_take(problem, weight):
    at_latency = prices(problem, (LATENCY, weight))
    for form in (form for flow in problem.flows for form in flow.forms):
        for source, routes in enumerate(form.routes):
            for target, route in enumerate(routes):
                expected = inf if route is None else weight * sum(form.link_s[x] for x in route)
                assert at_latency.crossing(form, source, target) == pytest.approx(expected)


@pytest.mark.parametrize("link", range(3))
def test_traffic_and_joules_are_counted_on_the_links_that_are_taken(link):
    problem = small_problem()
    form = problem.flows[1].forms[0]
    source, target = problem.links[link].source, problem.links[link].target
    route = form.routes[source][target]
    at_traffic = prices(problem, (Quantity(CostMetric.TRAFFIC, link), 2.0))
    assert at_traffic.crossing(form, source, target) == pytest.approx(2.0 * form.size_bytes * (link in route))
    at_energy = prices(problem, (ENERGY, 3.0))
    own = [
        sum(form.link_j[x]) + sum(problem.devices[d].idle_w * form.link_s[x] for d in range(3)) for x in route
    ]
    assert at_energy.crossing(form, source, target) == pytest.approx(3.0 * sum(own))


def test_weights_of_several_quantities_add_up():
    problem = small_problem()
    form = problem.flows[0].forms[0]
    both = prices(problem, (LATENCY, 2.0), (ENERGY, 0.5)).crossing(form, 0, 2)
    alone = [prices(problem, one).crossing(form, 0, 2) for one in ((LATENCY, 2.0), (ENERGY, 0.5))]
    assert both == pytest.approx(sum(alone))


def test_the_greatest_load_gains_price_with_each_plan():
    problem = small_problem()
    shares = LoadShares(problem)
    before = shares.multipliers()
    cost = evaluate(problem, Choice(tuple(0 for _ in problem.vertices)))
    busiest = int(np.argmax(cost.busy_s))
    for _ in range(20):
        shares.learn(cost)
    after = shares.multipliers()
    assert after.busy[busiest] > before.busy[busiest]
    others = [d for d in range(len(problem.devices)) if cost.busy_s[d] == 0]
    assert others
    assert all(after.busy[d] < before.busy[d] for d in others)
