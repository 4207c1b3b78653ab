import json
from dataclasses import replace
from math import sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_records import SCENARIO

from planner.costs.resource_budgets import limits_of
from planner.problem.quantities import CostMetric, Limit, Quantity
from planner.refinement.infeasibility_text import conflict_text, models_conflict_text
from planner.scenario.loader import parse_scenario
from planner.scenario.several_models import ModelScenario, SeveralModels
from planner.solver.infeasibility import Conflict, LimitRelaxation

LATENCY, PERIOD, NOISE = (Quantity(m) for m in (CostMetric.LATENCY, CostMetric.PERIOD, CostMetric.NOISE))
START = "infeasible at the measured costs: "


def scenario_of(**budget):
    return parse_scenario(json.dumps(SCENARIO | {"budget": budget}).encode())


def same(power: float) -> float:
    return power


def test_devices_that_no_link_leads_back_from_are_named():
    links = [
        {"from": "camera", "to": "server", "bandwidth_mbit_per_s": 8},
        {"from": "server", "to": "camera", "bandwidth_mbit_per_s": 8},
    ]
    one_way = {**SCENARIO, "links": links[:1], "source": "camera", "sink": "camera"}
    both_ways = {**one_way, "links": links}
    texts = [
        conflict_text(parse_scenario(json.dumps(given).encode()), Conflict((), minimal=True), same)
        for given in (one_way, both_ways)
    ]
    assert "no link leads from server to the sink 'camera', so nothing can run there" in texts[0]
    assert "no link leads" not in texts[1]


def text_of(scenario, *relaxations: LimitRelaxation, noise=same, minimal=True) -> str:
    text = conflict_text(scenario, Conflict(relaxations, minimal), noise)
    assert text.startswith(START)
    return text.removeprefix(START)


@pytest.mark.parametrize(
    ("budget", "at_most", "least", "text"),
    [
        (
            {"latency_ms": 5}, 0.005, 0.0081234,
            "budget.latency_ms: 5 ms cannot be kept; budget.latency_ms: 8.124 ms would do",
        ),
        (
            {"memory_mib": {"server": 1}}, 2**20, 1.5 * 2**20,
            "budget.memory_mib.server: 1 MiB cannot be kept; budget.memory_mib.server: 1.5 MiB would do",
        ),
        (
            {"traffic_kib": {"camera-server": 2}}, 2048, 4097,
            "budget.traffic_kib.camera-server: 2 KiB cannot be kept; "
            "budget.traffic_kib.camera-server: 4.001 KiB would do",
        ),
        (
            {"energy_j": {"camera": 0.25}}, 0.25, 0.75,
            "budget.energy_j.camera: 0.25 J cannot be kept; budget.energy_j.camera: 0.75 J would do",
        ),
        (
            {"total_energy_j": 2}, 2.0, 12345.6,
            "budget.total_energy_j: 2 J cannot be kept; budget.total_energy_j: 12350 J would do",
        ),
        # A throughput is too high where seconds are too few, and rounded down: 1 / 0.07 is 14.2857.
        (
            {"throughput_per_s": 20}, 0.05, 0.07,
            "budget.throughput_per_s: 20 per s cannot be kept; budget.throughput_per_s: 14.28 per s would do",
        ),
    ],
)  # fmt: skip
def test_a_budget_and_what_would_do_are_told_in_the_scenario_s_own_key_and_unit(budget, at_most, least, text):
    scenario = scenario_of(**budget)
    (limit,) = limits_of(scenario)
    assert limit.at_most == pytest.approx(at_most)
    assert text_of(scenario, LimitRelaxation(limit, least)) == text


@given(st.floats(1e-9, 1e9))
def test_what_would_do_is_never_less_than_needed_and_hardly_more(least):
    scenario = scenario_of(latency_ms=1, throughput_per_s=1)
    for quantity, unit in ((LATENCY, "ms"), (PERIOD, "per s")):
        text = text_of(scenario, LimitRelaxation(Limit(quantity, least / 2), least))
        number = text.partition("; ")[2].split(": ")[1].split(f" {unit}")[0]
        assert len(number.partition("e")[0].replace(".", "").strip("0")) <= 4
        seconds = float(number) / 1e3 if quantity is LATENCY else 1 / float(number)
        assert least * (1 - 1e-14) <= seconds <= least * 1.0011


@pytest.mark.parametrize("least", [1.1, 0.0011, 8.0, 0.29, 1234.0])
def test_what_is_short_already_stays(least):
    scenario = scenario_of(total_energy_j=1)
    (limit,) = limits_of(scenario)
    assert text_of(scenario, LimitRelaxation(limit, least)).endswith(f"total_energy_j: {least:g} J would do")


def test_where_nothing_at_all_would_do_that_is_told():
    scenario = scenario_of(total_energy_j=1)
    (limit,) = limits_of(scenario)
    assert text_of(scenario, LimitRelaxation(limit, 0.0)).endswith("total_energy_j: 0 J would do")


def test_several_budgets_and_doubts_of_the_solver_are_told():
    scenario = scenario_of(latency_ms=5, memory_mib={"camera": 1})
    latency, memory = limits_of(scenario)
    text = text_of(
        scenario,
        LimitRelaxation(latency, 0.008, proved=False),
        LimitRelaxation(memory, None),
        minimal=False,
    )
    assert text == (
        "budget.latency_ms: 5 ms and budget.memory_mib.camera: 1 MiB cannot be kept together (or fewer of "
        "them: the solver ran out of time); budget.latency_ms: 8 ms (or closer to the budget) would do"
    )


def test_noise_is_told_as_measured_of_a_sum_of_powers():
    """Of a summed power, a quarter is measured: a sum of 0.04 makes a relative rms of 0.1."""
    relaxation = LimitRelaxation(Limit(NOISE, 0.04), 0.16)
    text = text_of(scenario_of(noise_relative_rms=0.1), relaxation, noise=lambda power: power / 4)
    assert text == ("noise_relative_rms: 0.1 cannot be kept; noise_relative_rms: 0.2 would do")


def test_a_limit_on_noise_that_trying_plans_left_names_the_budgets_it_is_from_and_no_other_value():
    relaxation = LimitRelaxation(Limit(NOISE, 0.01), 0.16)
    derived = "(which leave 0.1 of noise on held-back data) cannot be kept"
    assert text_of(scenario_of(top1_agreement=0.99), relaxation) == f"top1_agreement {derived}"
    both = scenario_of(top1_agreement=0.99, noise_relative_rms=0.2)
    assert text_of(both, relaxation) == f"noise_relative_rms and top1_agreement {derived}"
    # At its own value the written budget is the limit, though there is another one.
    written = LimitRelaxation(Limit(NOISE, 0.04), 0.16)
    assert text_of(both, written).startswith("noise_relative_rms: 0.2 cannot")


def test_without_any_limit_in_the_way_the_placement_is_told():
    assert text_of(scenario_of()).startswith("whatever the budgets")


def several(**changes) -> SeveralModels:
    first = ModelScenario("first", 0.25, scenario_of(latency_ms=100))
    second = ModelScenario("second", 0.75, scenario_of(noise_relative_rms=0.5))
    return SeveralModels((first, second), scenario_of(memory_mib={"camera": 1}), **changes)


def joint_text(models: SeveralModels, *relaxations: LimitRelaxation) -> str:
    noises = [same, lambda power: power / 4]
    return models_conflict_text(models, Conflict(relaxations), noises).removeprefix(START)


def test_a_budget_of_one_model_is_told_of_its_own_requests():
    """In the problem of both, a model's seconds count by its share of the requests."""
    relaxation = LimitRelaxation(Limit(replace(LATENCY, model=0), 0.025), 0.05)
    assert joint_text(several(), relaxation) == (
        "first: budget.latency_ms: 100 ms cannot be kept; first: budget.latency_ms: 200 ms would do"
    )
    noise = LimitRelaxation(Limit(replace(NOISE, model=1), 0.75), 3.0)
    assert joint_text(several(), noise) == (
        "second: noise_relative_rms: 0.5 cannot be kept; "
        f"second: noise_relative_rms: {sqrt(4 / 4):.10g} would do"
    )


def test_a_budget_on_all_models_has_no_model_s_name():
    memory = LimitRelaxation(Limit(Quantity(CostMetric.MEMORY, 0), 2**20), 2**21)
    assert joint_text(several(), memory) == (
        "budget.memory_mib.camera: 1 MiB cannot be kept; budget.memory_mib.camera: 2 MiB would do"
    )


def test_requests_that_cannot_be_served_are_told_as_requests():
    """40 requests per s at 80 % of the time leave 20 ms each; 30 ms are needed: 26.66 requests per s."""
    models = several(requests_per_s=40.0, utilisation=0.8)
    served = LimitRelaxation(Limit(PERIOD, 0.02), 0.03)
    assert joint_text(models, served) == (
        "40 requests per s at most 80% of the time cannot be kept; 26.66 requests per s would do"
    )
    never = LimitRelaxation(Limit(PERIOD, 0.02), None)
    assert joint_text(models, never) == "40 requests per s at most 80% of the time cannot be kept"


def test_budgets_that_the_costs_of_a_table_break_are_not_said_to_be_measured():
    table = SCENARIO | {"devices": [{"name": "camera", "profile": "own.csv"}, SCENARIO["devices"][1]]}
    text = conflict_text(parse_scenario(json.dumps(table).encode()), Conflict((), minimal=True), same)
    assert text.startswith("infeasible at the given costs: ")
