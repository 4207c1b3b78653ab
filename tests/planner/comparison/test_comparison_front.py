import json

import pytest
from made_records import SCENARIO

from planner.comparison.comparison_front import AXES, parse_axes
from planner.errors import ScenarioError
from planner.problem.quantities import CostMetric
from planner.scenario.loader import parse_scenario

WITH_WATTS = parse_scenario(json.dumps(SCENARIO).encode())
WITHOUT = parse_scenario(
    json.dumps(
        SCENARIO | {"devices": [{"name": "camera"}, {"name": "server", "scaled_from": "camera"}]}
    ).encode()
)


@pytest.mark.parametrize(
    ("text", "axes"),
    [
        ("latency,noise", (CostMetric.LATENCY, CostMetric.NOISE)),
        (" noise , energy,money ", (CostMetric.NOISE, CostMetric.ENERGY, CostMetric.MONEY)),
    ],
)
def test_axes_are_two_or_three_quantities_in_their_order(text, axes):
    assert parse_axes(text, WITH_WATTS) == axes


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("latency", "name two or three different quantities"),
        ("latency,noise,energy,money", "name two or three different quantities"),
        ("latency,latency", "name two or three different quantities"),
        ("latency,speed", "'speed' is none of latency, makespan"),
        ("latency,", "'' is none of"),
        ("LATENCY,noise", "'LATENCY' is none of"),
    ],
)
def test_what_is_no_pair_of_quantities_is_told(text, message):
    with pytest.raises(ScenarioError, match=message):
        parse_axes(text, WITH_WATTS)


def test_energy_needs_watts():
    with pytest.raises(ScenarioError, match=r"energy needs devices\[\].active_watt in the scenario"):
        parse_axes("latency,energy", WITHOUT)
    assert set(AXES) == set(CostMetric)
