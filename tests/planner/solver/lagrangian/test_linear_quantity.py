import oracle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_problems import small_problem
from strategies import problems

from planner.problem.cost_evaluation import evaluate
from planner.problem.device_visits import with_visits
from planner.problem.placement_problem import Choice
from planner.problem.quantities import CostMetric, Quantity
from planner.solver.lagrangian.linear_quantity import multipliers_of

SUMS = set(CostMetric) - {CostMetric.MAKESPAN, CostMetric.PERIOD}


def total(problem, prices, choice) -> float:
    """Return what prices make of a choice's accounts."""
    cost = evaluate(problem, choice)
    joules, weights = [0.0] * len(problem.devices), [0.0] * len(problem.devices)
    for vertex, o in zip(problem.vertices, choice.options, strict=True):
        home = problem.physical_device(vertex.options[o].device)
        joules[home] += vertex.options[o].joules
        weights[home] += vertex.options[o].weight_bytes
    for flow, form, at in {(c.flow, c.form, at) for c in cost.crossings for at in links_of(problem, c)}:
        spent = problem.flows[flow].forms[form].link_j
        ends = (problem.links[at].source, problem.links[at].target)
        for device, own in zip(ends, spent[at] if spent else (0.0, 0.0), strict=True):
            joules[problem.physical_device(device)] += own
    rows = (
        (prices.busy, cost.busy_s), (prices.link, cost.link_s), (prices.byte, cost.traffic_bytes),
        (prices.joule, joules), (prices.weight, weights),
        (prices.noise, [part.noise_power for part in cost.by_model]),
        (prices.model_link, model_link_s(problem, cost)),
    )  # fmt: skip
    return sum(p * x for row, own in rows for p, x in zip(row, own, strict=True))


def model_link_s(problem, cost) -> list[float]:
    """Return each model's seconds on links: what of its latency no device is busy for."""
    pairs = list(zip(problem.devices, cost.busy_s, strict=True))
    return [
        part.latency_s - sum(busy for device, busy in pairs if device.model == model)
        for model, part in enumerate(cost.by_model)
    ]


def links_of(problem, crossing):
    return problem.flows[crossing.flow].forms[crossing.form].routes[crossing.source][crossing.target] or ()


@settings(max_examples=40, deadline=None)
@given(problems(max_units=4), st.sampled_from(sorted(SUMS)), st.data())
def test_prices_times_what_a_plan_spends_are_the_quantity(problem, metric, data):
    options = tuple(data.draw(st.integers(0, len(v.options) - 1)) for v in problem.vertices)
    choice = Choice(options)
    cost = oracle.price(problem, choice)
    if cost.latency == float("inf"):
        return
    parts = {CostMetric.TRAFFIC: len(problem.links), CostMetric.ENERGY: len(problem.devices),
             CostMetric.MEMORY: len(problem.devices)}.get(metric, 0)  # fmt: skip
    homes = [of for of in range(parts) if metric is CostMetric.TRAFFIC or problem.physical_device(of) == of]
    for of in (None, *homes):
        quantity = Quantity(metric, of)
        largest = 0.0
        if metric is CostMetric.MEMORY:  # counts the largest unit's tensors, which no price of a sum does
            pick = [v.options[o] for v, o in zip(problem.vertices, options, strict=True)]
            for home in homes if of is None else [of]:
                held = [o.activation_bytes for o in pick if problem.physical_device(o.device) == home]
                largest += max(held, default=0.0)
        own = total(problem, multipliers_of(problem, quantity), choice)
        assert own + largest == pytest.approx(cost.of(quantity), abs=1e-12)


@pytest.mark.parametrize("metric", [CostMetric.MAKESPAN, CostMetric.PERIOD])
def test_a_maximum_has_no_prices(metric):
    assert multipliers_of(small_problem(), Quantity(metric)) is None


def test_prices_add_up_and_grow_with_their_weight():
    problem = with_visits(small_problem(), [1, 2, 1])
    one, other = (multipliers_of(problem, Quantity(m)) for m in (CostMetric.ENERGY, CostMetric.MONEY))
    both = one.times(2.0).plus(other)
    choice = Choice((0, 3, 2, 0, 0))
    assert total(problem, both, choice) == pytest.approx(
        2 * total(problem, one, choice) + total(problem, other, choice)
    )
    assert both.noise == (0,)
    noisy = multipliers_of(problem, Quantity(CostMetric.NOISE)).times(3.0)
    assert both.plus(noisy).noise == (3.0,)


def test_the_energy_of_a_device_has_the_watts_of_all_its_visits():
    problem = with_visits(small_problem(), [1, 2, 1])
    prices = multipliers_of(problem, Quantity(CostMetric.ENERGY, 2))
    assert prices.busy == (2.0, 2.0, 2.0 + 7.0, 2.0)  # idle while others work, 7 W more while it does
    assert prices.joule == (0.0, 0.0, 1.0, 0.0)
    own = multipliers_of(problem, Quantity(CostMetric.ENERGY, 1))
    assert own.busy == (0.0, 5.0, 0.0, 5.0)
