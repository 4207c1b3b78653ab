import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_records import SCENARIO

from planner.costs.resource_budgets import limits_of, unit_of
from planner.problem.quantities import CostMetric, Quantity
from planner.scenario.loader import parse_scenario

WHOLE = {
    CostMetric.LATENCY: ("latency_ms", "ms", lambda v: v / 1e3),
    CostMetric.MAKESPAN: ("makespan_ms", "ms", lambda v: v / 1e3),
    CostMetric.PERIOD: ("throughput_per_s", "per s", lambda v: 1 / v),
    CostMetric.ENERGY: ("total_energy_j", "J", lambda v: v),
    CostMetric.MONEY: ("money_per_request", "", lambda v: v),
}
PARTS = {
    (CostMetric.MEMORY, 1): ("memory_mib", "server", "MiB", 2**20),
    (CostMetric.ENERGY, 0): ("energy_j", "camera", "J", 1),
    (CostMetric.TRAFFIC, 1): ("traffic_kib", "server-camera", "KiB", 2**10),
}


def scenario(budget, **more):
    return parse_scenario(json.dumps(SCENARIO | {"budget": budget} | more).encode())


@pytest.mark.parametrize("metric", WHOLE)
def test_a_budget_becomes_a_limit_in_si_and_back(metric):
    key, unit, in_si = WHOLE[metric]
    own = scenario({key: 2.5})
    ((limit),) = limits_of(own)
    assert limit.quantity == Quantity(metric)
    assert limit.at_most == pytest.approx(in_si(2.5))
    known = unit_of(own, limit.quantity)
    assert known.in_unit(limit.at_most) == pytest.approx(2.5)
    assert known.text("2.5") == f"budget.{key}: 2.5 {unit}".rstrip()


@pytest.mark.parametrize("part", PARTS)
def test_a_budget_of_a_device_or_link_limits_that_one(part):
    metric, of = part
    key, name, unit, factor = PARTS[part]
    own = scenario({key: {name: 2.5}})
    (limit,) = limits_of(own)
    assert limit.quantity == Quantity(metric, of)
    assert limit.at_most == 2.5 * factor
    known = unit_of(own, limit.quantity)
    assert known.text("2.5") == f"budget.{key}.{name}: 2.5 {unit}"
    assert known.in_unit(limit.at_most) == pytest.approx(2.5)


def test_errors_are_no_limits_of_the_problem():
    assert list(limits_of(scenario({"noise_relative_rms": 0.1, "max_abs_error": 1.0}))) == []


def test_a_noise_is_limited_as_power_and_told_as_its_root():
    unit = unit_of(scenario({}), Quantity(CostMetric.NOISE))
    assert unit.in_si(0.1) == pytest.approx(0.01)
    assert unit.in_unit(0.01) == pytest.approx(0.1)
    assert unit.key == "noise_relative_rms"


@pytest.mark.parametrize(
    ("budget", "per_request", "key", "told"),
    [
        ({"money_per_month": 30.0}, 0.01, "budget.money_per_month", 30.0),
        ({"money_per_month": 30.0, "money_per_request": 0.02}, 0.01, "budget.money_per_month", 30.0),
        ({"money_per_month": 90.0, "money_per_request": 0.02}, 0.02, "budget.money_per_request", 0.02),
    ],
)
def test_the_tighter_budget_of_money_counts_and_is_told_in_its_own_words(budget, per_request, key, told):
    own = scenario(budget, requests_per_month=3000)
    (limit,) = limits_of(own)
    assert limit.at_most == pytest.approx(per_request)
    unit = unit_of(own, limit.quantity)
    assert unit.key == key
    assert unit.in_unit(limit.at_most) == pytest.approx(told)


@given(st.floats(1e-3, 1e6), st.sampled_from(sorted(WHOLE)))
def test_every_value_goes_into_si_and_back(value, metric):
    unit = unit_of(scenario({}), Quantity(metric))
    assert unit.in_unit(unit.in_si(value)) == pytest.approx(value)
