import json

import msgspec
import pytest
from made_records import CUT, PREDICTED, SCENARIO, made_plan

from planner.plan.plan_record import Objective, SingleDevice
from planner.report.single_device_text import (
    against_single_device,
    best_single_device,
    why_unsplit_text,
)
from planner.scenario.loader import parse_scenario
from planner.scenario.schema import Scenario
from profiling.precision import Precision


def row(device: str, objective: float, *broken: str) -> SingleDevice:
    return SingleDevice(
        device=device, precision=Precision.INT8, objective=objective, latency_s=objective, broken=broken
    )


def plan_of(value: float, *rows: SingleDevice, name: str = "latency", **changes):
    objective = Objective(name=name, value=value, bound=value, gap=0.0)
    return msgspec.structs.replace(made_plan(), objective=objective, single_device=rows, **changes)


def test_the_best_device_is_the_cheapest_of_those_that_keep_the_budgets():
    plan = plan_of(0.01, row("a", 0.001, "memory of a"), row("b", 0.03), row("c", 0.021))
    assert best_single_device(plan).device == "c"
    assert against_single_device(plan) == "2.1 times faster than c alone, in int8"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("period", "2 times more requests per second than a alone, in int8"),
        ("energy", "50% of a alone, in int8"),
    ],
)
def test_the_words_are_those_of_the_objective(name, text):
    assert against_single_device(plan_of(1.0, row("a", 2.0), name=name)) == text


def test_a_device_in_mixed_precision_is_called_so():
    units = {"fp32": 3, "int8": 5}
    mixed = msgspec.structs.replace(row("a", 2.0), precision=None, units=units)
    assert against_single_device(plan_of(1.0, mixed)) == "2 times faster than a alone, in mixed precision"
    assert mixed.precision_text == "3 fp32 + 5 int8"


def test_a_plan_that_gains_nothing_says_so():
    assert against_single_device(plan_of(1.0, row("a", 1.0))) == "no better than a alone, in int8"


def test_where_no_device_keeps_the_budgets_that_is_said():
    assert against_single_device(plan_of(1.0, row("a", 0.5, "noise"))) == "no device keeps the budgets alone"


def all_on(device: str, *rows: SingleDevice, **changes):
    plan = plan_of(1.0, *rows, **changes)
    assignments = tuple(msgspec.structs.replace(a, device=device) for a in plan.assignments)
    return msgspec.structs.replace(plan, assignments=assignments, cuts=())


@pytest.mark.parametrize(
    ("rows", "changes", "text"),
    [
        ([row("a", 1.4)], {}, "all on a, no split is better; 1.4 times faster than in int8 throughout"),
        ([row("a", 1.0)], {}, "all on a, no split is better"),
        ([row("a", 1.0, "noise")], {"status": "feasible"}, "all on a, no better split was found"),
        ([row("b", 2.0)], {}, "all on a, no split is better; 2 times faster than on b alone"),
        ([row("a", 1.4)], {"quantization": {"a": "int8"}}, "1.4 times faster than a alone, in int8"),
    ],
)
def test_a_plan_that_splits_nothing_says_so(rows, changes, text):
    assert against_single_device(all_on("a", *rows, **changes)) == text


def test_nothing_is_said_of_what_is_not_known():
    assert against_single_device(plan_of(1.0)) == ""


def scenario_with(**changes) -> Scenario:
    return parse_scenario(json.dumps(SCENARIO | changes).encode())


def sizes_of(graph) -> list[int]:
    """Return, behind each unit but the last, the elements of tensors that are read later."""
    names = {name for unit in graph.units for name in (*unit.inputs, *unit.outputs)}
    sizes = []
    for last in range(len(graph.units) - 1):
        read_later = {name for unit in graph.units[last + 1 :] for name in unit.inputs}
        written_later = {name for unit in graph.units[last + 1 :] for name in unit.outputs}
        sizes.append(sum(graph.tensors[name].elements for name in names & read_later - written_later))
    return sizes


def test_a_plan_with_two_devices_or_of_another_objective_needs_no_reason(residual):
    assert why_unsplit_text(made_plan(), scenario_with(), residual.graph) == ""
    energy = all_on("server", name="energy")
    assert why_unsplit_text(energy, scenario_with(), residual.graph) == ""


@pytest.mark.parametrize(
    "rule", [{"placement": {"pin": {"*": "server"}}}, {"budget": {"traffic_kib": {"camera-server": 100}}}]
)
def test_where_other_rules_may_be_the_reason_none_is_told(residual, rule):
    assert why_unsplit_text(all_on("server"), scenario_with(), residual.graph)
    assert why_unsplit_text(all_on("server"), scenario_with(**rule), residual.graph) == ""


def test_where_each_cut_sends_more_than_the_input_that_is_the_reason(residual):
    sent = msgspec.structs.replace(CUT, size_bytes=1)
    plan = msgspec.structs.replace(all_on("server"), cuts=(sent,))
    assert why_unsplit_text(plan, scenario_with(), residual.graph) == (
        f"not split: in running order, a split sends at least {min(sizes_of(residual.graph))} B, and what "
        "camera sends now is 1 B"
    )


def test_where_a_cut_sends_less_its_units_take_too_long(residual):
    plan = msgspec.structs.replace(all_on("server"), cuts=(CUT,))
    text = why_unsplit_text(plan, scenario_with(), residual.graph)
    assert f"the least that a split sends is {min(sizes_of(residual.graph))} B behind " in text
    assert text.endswith("instead of 196.0 KiB; the units up to there take camera longer than that saves")


def test_cuts_beyond_the_sources_memory_do_not_count(residual):
    plan = msgspec.structs.replace(all_on("server"), cuts=(CUT,))
    tiny = scenario_with(budget={"memory_mib": {"camera": 1e-6}})
    text = "not split: not even the first unit fits into the memory of camera"
    assert why_unsplit_text(plan, tiny, residual.graph) == text
    roomy = scenario_with(budget={"memory_mib": {"camera": 64}})
    assert "within the memory of camera" in why_unsplit_text(plan, roomy, residual.graph)


def test_what_stays_at_the_source_would_take_longer_on_a_link(residual):
    least = min(
        [*sizes_of(residual.graph), *(residual.graph.tensors[n].elements for n in residual.graph.inputs)]
    )
    plan = all_on("camera")
    slow = [link | {"latency_ms": 500} for link in SCENARIO["links"]]
    text = why_unsplit_text(plan, scenario_with(links=slow), residual.graph)
    assert text == (
        f"not split: the least that camera could send is {least} B, which takes 500 ms on a link, longer "
        "than the whole request here"
    )
    assert PREDICTED.latency_s < 0.5
    assert "more than other devices save" in why_unsplit_text(plan, scenario_with(), residual.graph)
