import copy
import json

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_records import SCENARIO

from planner.scenario.validation import check_conversion, check_scenario, read_scenario

NAMES = ("a", "b", "c", "d", "e")


def faults_of(**changes) -> dict[str, str]:
    """Return key -> text of the faults of the sample scenario with other keys."""
    scenario, faults = check_scenario(json.dumps(copy.deepcopy(SCENARIO) | changes))
    assert (scenario is None) == bool(faults)
    return {".".join(map(str, fault.key_path)): fault.text for fault in faults}


def link(start: str, end: str) -> dict:
    return {"from": start, "to": end, "bandwidth_mbit_per_s": 1}


def devices(*names: str) -> list[dict]:
    return [{"name": name} for name in names]


def test_a_scenario_without_faults_is_returned_as_it_was_written():
    scenario, faults = check_scenario(json.dumps(SCENARIO))
    assert faults == ()
    assert [device.name for device in scenario.devices] == ["camera", "server"]
    assert check_scenario(scenario.model_dump_json(by_alias=True, exclude_unset=True))[0] == scenario


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES)), unique=True, max_size=8),
    st.sampled_from(NAMES),
    st.sampled_from(NAMES),
)
def test_a_sink_has_to_be_reachable_over_links_in_their_direction(pairs, source, sink):
    told = faults_of(devices=devices(*NAMES), links=[link(a, b) for a, b in pairs], source=source, sink=sink)
    graph = nx.DiGraph(pairs)
    graph.add_nodes_from(NAMES)
    assert ("sink" in told) == (not nx.has_path(graph, source, sink))
    itself = {f"links.{i}" for i, (a, b) in enumerate(pairs) if a == b}
    assert set(told) - {"sink"} == itself


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([None, *NAMES]), min_size=len(NAMES), max_size=len(NAMES)))
def test_devices_that_take_their_costs_from_each_other_in_a_circle_are_told(origins):
    rows = [
        {"name": name} | ({} if origin is None else {"scaled_from": origin})
        for name, origin in zip(NAMES, origins, strict=True)
    ]
    told = faults_of(devices=rows, links=[], source="a", sink="a")
    graph = nx.DiGraph((n, o) for n, o in zip(NAMES, origins, strict=True) if o is not None)
    in_circles = {name for cycle in nx.simple_cycles(graph) for name in cycle}
    assert set(told) == {f"devices.{NAMES.index(name)}.scaled_from" for name in in_circles}


def test_links_whose_names_run_together_are_told_as_what_they_are():
    names = ("a", "b-c", "a-b", "c")
    links = [link("a", "b-c"), link("a-b", "c"), link("a", "b-c"), link("c", "a")]
    assert faults_of(devices=devices(*names), links=links, source="a", sink="a") == {
        "links.1": "is called a-b-c, as is the one from 'a' to 'b-c'; rename a device",
        "links.2": "is a second link from 'a' to 'b-c'",
    }


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"sink": "servr"},
            {"sink": "names no device: 'servr'; devices are camera, server; did you mean server?"},
        ),
        ({"source": "moon", "sink": "sun"}, {"source": "names no device", "sink": "names no device"}),
        ({"links": []}, {}),  # the sink is the source
        (
            {"links": [], "sink": "server"},
            {"sink": "'server' cannot be reached from source 'camera' over links"},
        ),
        ({"placement": {"pin": {"*": "srv"}}}, {"placement.pin.*": "names no device: 'srv'"}),
        (
            {"budget": {"memory_mib": {"x": 1}, "energy_j": {"y": 1}}},
            {"budget.memory_mib.x": "names no device", "budget.energy_j.y": "names no device"},
        ),
        (
            {"budget": {"traffic_kib": {"server": 1}}},
            {"budget.traffic_kib.server": "names no link; links are camera-server,"},
        ),
        ({"budget": {"metric_drop": 0.1}}, {"budget.metric_drop": "needs `metric`"}),
        ({"budget": {"money_per_month": 1}}, {"requests_per_month": "is required, beside budget"}),
        (
            {"devices": devices("camera", "server"), "objective": "money"},
            {"devices.0.price_per_hour": "or another price"},
        ),
        (
            {"devices": devices("camera", "server"), "objective": {"latency": 1, "energy": 1}},
            {"devices.0.active_watt": "is required", "devices.1.active_watt": "is required"},
        ),
        ({"devices": devices("camera", "server"), "objective": {"latency": 1, "energy": 0}}, {}),
        (
            {"devices": devices("camera", "server"), "budget": {"energy_j": {"server": 1}}},
            {"devices.1.active_watt": "is required, since the objective or a budget is energy"},
        ),
        ({"devices": devices("camera", "server", "camera")}, {"devices.2.name": "'camera' is already taken"}),
        (
            {
                "precisions": ["fp32"],
                "devices": [{"name": "camera"}, {"name": "server", "precisions": ["int8"]}],
            },
            {"devices.1.precisions": "shares none with the scenario's precisions"},
        ),
        (
            {
                "precisions": ["fp32", "int8"],
                "devices": [{"name": "camera"}, {"name": "server", "precisions": ["fp32", "int8", "int16"]}],
            },
            {"devices.1.precisions": "int16 is not among the scenario's precisions, fp32, int8: name it th"},
        ),
        (
            {"fleet": {"device": "camra", "classes": [{"name": "x", "share": 1}]}},
            {"fleet.device": "names no device: 'camra'"},
        ),
    ],
)
def test_what_keys_say_of_each_other_is_held_against_each_other(changes, told):
    found = faults_of(**changes)
    if "fleet" in changes:
        found = {key: text for key, text in found.items() if key == "fleet.device"}
    assert set(found) == set(told)
    for key, text in told.items():
        assert found[key].startswith(text)


def test_a_fault_of_one_key_hides_none_between_others():
    told = faults_of(precisions=[], budget={"metric_drop": 0.1, "memory_mib": {"moon": 1}, "latency_ms": -1})
    assert set(told) == {"precisions", "budget.metric_drop", "budget.memory_mib.moon", "budget.latency_ms"}


@pytest.mark.parametrize("content", ["null", "[]", "3", '"text"', "{}", '{"devices": null, "links": [null]}'])
def test_what_is_no_scenario_has_faults_and_still_something_that_can_be_read(content):
    scenario, faults = read_scenario(content)
    assert faults
    assert (scenario.devices, scenario.source, scenario.sink) == ((), "", "")


def test_a_conversion_is_checked_by_itself():
    assert check_conversion('{"opset": 15}')[0].opset == 15
    spec, faults = check_conversion('{"opset": 99, "signatur": "x"}')
    assert spec is None
    assert {fault.key_path: fault.text for fault in faults} == {
        ("opset",): "must be <= 18, got 99",
        ("signatur",): "is not a known key; did you mean signature?",
    }
