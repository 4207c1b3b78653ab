import copy
import json

import pytest
from made_records import SCENARIO

from planner.scenario.cross_checks.fleet_faults import fleet_links
from planner.scenario.validation import check_scenario

FLEET = {
    "device": "camera",
    "classes": [
        {"name": "new", "share": 3, "bandwidths": [{"mbit_per_s": 1}, {"mbit_per_s": 8, "share": 2}]},
        {"name": "old", "speedup": 0.1, "precisions": ["fp32"]},
    ],
}


def told(path: str = "", value: object = None, **scenario) -> dict[str, str]:
    """Return key -> text of the faults of a scenario whose fleet has another value at a place."""
    fleet = copy.deepcopy(FLEET)
    if path:
        *way, last = [int(key) if key.isdigit() else key for key in path.split(".")]
        part = fleet
        for key in way:
            part = part[key]
        part[last] = value
    _, faults = check_scenario(json.dumps(SCENARIO | {"fleet": fleet} | scenario))
    return {".".join(map(str, fault.key_path)): fault.text for fault in faults}


def test_a_fleet_without_faults_has_none():
    assert told() == {}


@pytest.mark.parametrize(
    ("path", "value", "key", "text"),
    [
        ("device", "phone", "fleet.device", "names no device: 'phone'"),
        (
            "links",
            ["camera-hub"],
            "fleet.links.0",
            "names no link: 'camera-hub'; links are camera-server, server-camera",
        ),
        ("links", ["camera-server"] * 2, "fleet.links.1", "'camera-server' is there twice"),
        ("classes.1.name", "new", "fleet.classes.1.name", "'new' is already taken"),
        (
            "classes.1.precisions",
            ["int16"],
            "fleet.classes.1.precisions",
            "shares none with the scenario's precisions",
        ),
        (
            "classes.0.bandwidths",
            [{"mbit_per_s": 8}, {"mbit_per_s": 8}],
            "fleet.classes.0.bandwidths",
            "8 comes after 8; write each once, ascending",
        ),
        (
            "classes.0.bandwidths",
            [{"mbit_per_s": 2}, {"mbit_per_s": 1.5}],
            "fleet.classes.0.bandwidths",
            "1.5 comes after 2; write each once, ascending",
        ),
        ("classes.1.speedup", 0, "fleet.classes.1.speedup", "must be >= 0.0001, got 0"),
        ("classes.0.share", 0, "fleet.classes.0.share", "must be > 0, got 0"),
        ("classes", [], "fleet.classes", "needs at least 1 entry"),
        ("clases", [], "fleet.clases", "is not a known key; did you mean classes?"),
    ],
)
def test_a_mistake_in_a_fleet_is_told_with_its_place(path, value, key, text):
    found = told(path, value)
    assert found.pop(key).startswith(text)
    assert set(found) <= {"fleet.links"}  # a device that is none has no links


def test_bandwidths_want_links_that_take_them():
    devices = [*SCENARIO["devices"], {"name": "hub", "scaled_from": "camera"}]
    assert told("device", "hub", devices=devices) == {
        "fleet.links": "are required: no link begins or ends at hub, to take bandwidths"
    }
    named = copy.deepcopy(FLEET) | {"device": "hub", "links": ["camera-server"]}
    assert told(devices=devices, fleet=named) == {}


def test_faults_between_keys_wait_until_each_is_right():
    assert set(told("classes.1", {"name": "new", "share": -1})) == {"fleet.classes.1.share"}


def test_a_fleets_links_are_those_at_its_device_or_those_that_are_named():
    scenario, _ = check_scenario(json.dumps(SCENARIO | {"fleet": FLEET}))
    assert fleet_links(scenario, scenario.fleet) == ("camera-server", "server-camera")
    named = scenario.fleet.model_copy(update={"links": ("server-camera",)})
    assert fleet_links(scenario, named) == ("server-camera",)
    elsewhere = scenario.fleet.model_copy(update={"device": "nowhere"})
    assert fleet_links(scenario, elsewhere) == ()
