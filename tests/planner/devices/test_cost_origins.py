import json

from made_records import SCENARIO

from planner.devices.cost_origins import cost_origins_text, costs_from_elsewhere, costs_name
from planner.scenario.loader import parse_scenario


def scenario_of(*devices):
    content = SCENARIO | {"devices": list(devices), "source": "a", "sink": "a", "links": []}
    return parse_scenario(json.dumps(content).encode())


def test_devices_take_the_origin_of_the_one_that_they_are_scaled_from():
    scenario = scenario_of(
        {"name": "a", "profile": "/x/own.csv"},
        {"name": "b", "scaled_from": "a", "speedup": 2},
        {"name": "c", "profile": "measure"},
        {"name": "d", "profile": "/x/d.json"},
        {"name": "e"},
    )
    assert costs_from_elsewhere(scenario) == {"a": "/x/own.csv", "b": "/x/own.csv", "d": "/x/d.json"}
    assert cost_origins_text(scenario) == "costs of a, b: own.csv; costs of d: d.json; not measured here"
    assert costs_name(scenario) == "the given costs"


def test_costs_of_a_profile_are_measured_and_those_of_this_machine_need_no_word():
    assert costs_name(scenario_of({"name": "a", "profile": "a.json"})) == "the measured costs"
    here = scenario_of({"name": "a"}, {"name": "b", "scaled_from": "a"})
    assert (costs_name(here), cost_origins_text(here)) == ("the measured costs", "")
