"""The scenario of one class of a fleet: the same costs and limits as the class has in the fleet."""

import json
from dataclasses import replace

import pytest
from measured_scenarios import quickstart_basis

from planner.comparison.fleet.class_scenario import class_scenario
from planner.comparison.fleet.fleet_classes import FleetProblems
from planner.errors import ScenarioError
from planner.problem.quantities import CostMetric
from planner.scenario.fleet_schema import FleetSpec
from planner.scenario.loader import dump_scenario, parse_scenario

CLASSES = (
    {"name": "own"},
    {"name": "fast", "speedup": 4, "precisions": ["fp32"]},
    {"name": "slow", "speedup": 0.25, "memory_mib": 0.5},
)


@pytest.fixture(scope="module")
def basis():
    return quickstart_basis()


def in_fleet(basis, device: str, *classes: dict):
    fleet = FleetSpec.model_validate_json(json.dumps({"device": device, "classes": classes}))
    return basis.scenario.model_copy(update={"fleet": fleet}), fleet


@pytest.mark.parametrize("device", ["camera", "server"])  # the camera is scaled from the server
@pytest.mark.parametrize("n", range(len(CLASSES)))
def test_the_scenario_of_a_class_has_the_problem_that_the_class_has_in_its_fleet(basis, device, n):
    whole, fleet = in_fleet(basis, device, *CLASSES)
    alone = class_scenario(whole, CLASSES[n]["name"])
    own = replace(basis, prepared=replace(basis.prepared, scenario=alone))
    found = own.planning_problem(basis.latency).formulate()
    expected = FleetProblems(basis, fleet).problem(fleet.classes[n], None)
    for vertex, other in zip(found.vertices, expected.vertices, strict=True):
        for option, wanted in zip(vertex.options, other.options, strict=True):
            assert (option.device, option.precision) == (wanted.device, wanted.precision)
            assert option.seconds == pytest.approx(wanted.seconds, rel=1e-12)
    for at in range(len(alone.devices)):
        assert found.tightest_limit(CostMetric.MEMORY, at) == expected.tightest_limit(CostMetric.MEMORY, at)
    assert alone.fleet is None
    assert parse_scenario(dump_scenario(alone).encode()) == alone


def test_a_class_with_a_profile_takes_its_costs_from_there(basis):
    whole, _ = in_fleet(basis, "camera", {"name": "phone", "profile": "/p.json", "speedup": 2})
    camera = class_scenario(whole, "phone").device("camera")
    assert (camera.profile, camera.scaled_from, camera.speedup) == ("/p.json", None, 2)


def test_what_is_no_class_or_would_change_other_devices_is_refused(basis):
    whole, _ = in_fleet(basis, "server", {"name": "rack", "profile": "/p.json"})
    with pytest.raises(ScenarioError, match="is scaled from server"):
        class_scenario(whole, "rack")
    for scenario in (whole, basis.scenario):
        with pytest.raises(ScenarioError, match="no such class"):
            class_scenario(scenario, "moon")
