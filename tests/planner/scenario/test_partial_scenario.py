import copy

import pytest
from made_records import SCENARIO

from planner.scenario.partial_scenario import read_partially
from planner.scenario.schema import Scenario


def whole() -> dict:
    return copy.deepcopy(SCENARIO)


def test_a_scenario_without_faults_is_read_as_it_is():
    found = read_partially(Scenario, whole())
    assert [device.name for device in found.devices] == ["camera", "server"]
    assert found.devices[1].speedup == 4
    assert [(link.source, link.target) for link in found.links] == [
        ("camera", "server"),
        ("server", "camera"),
    ]
    assert (found.source, found.sink, found.model) == ("camera", "camera", "some/where/m.onnx")
    assert (
        found.solver.time_limit_s
        == Scenario.model_fields["solver"].get_default(call_default_factory=True).time_limit_s
    )


@pytest.mark.parametrize(
    "content", [None, [], "text", 5, {"devices": 5}, {"devices": [5, None]}, {"budget": []}]
)
def test_whatever_is_there_something_is_read(content):
    found = read_partially(Scenario, content)
    assert found.model == ""
    assert found.links == ()


def test_a_wrong_value_is_left_out_and_what_stands_beside_it_is_kept():
    content = whole()
    content["devices"][0]["threads"] = "many"
    content["links"][0]["bandwidth_mbit_per_s"] = -1
    content["budget"] = {"latency_ms": -5, "memory_mib": {"camera": 2.0, "server": "x"}}
    found = read_partially(Scenario, content)
    assert (found.devices[0].name, found.devices[0].threads, found.devices[0].active_watt) == (
        "camera",
        1,
        3.0,
    )
    assert found.links[0].source == "camera"
    assert found.budget.latency_ms is None
    assert found.budget.memory_mib == {"camera": 2.0}


def test_text_that_is_wrong_is_kept_since_others_may_name_it():
    content = whole()
    content["devices"][1]["name"] = ""
    content["source"] = ""
    found = read_partially(Scenario, content)
    assert found.devices[1].name == ""
    assert found.source == ""
