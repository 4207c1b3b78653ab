import json

import models
import numpy as np
import pytest
from made_records import SCENARIO
from planned_models import scenario_around

from planner.costs.placement_names import check_placement_names
from planner.errors import ScenarioError
from planner.inputs.prepared_scenario import prepare
from planner.refinement import measured_scenario
from planner.refinement.measured_scenario import measure_scenario
from planner.scenario.loader import parse_scenario


def check(graph, **placement: object) -> None:
    content = SCENARIO | {"placement": placement}
    check_placement_names(parse_scenario(json.dumps(content).encode()), graph)


def test_names_and_patterns_of_units_and_tensors_are_found(residual):
    first, second, *_ = (unit.name for unit in residual.graph.units)
    tensor = residual.graph.units[0].outputs[0]
    check(residual.graph)
    check(
        residual.graph,
        pin={first: "camera", "*": "server"},
        precision={second: "int8"},
        together=[[first, "*"]],
        apart=[[first, second], [second, first]],
        private=[tensor, "*"],
    )


@pytest.mark.parametrize(
    "placement",
    [
        {"pin": {"nothing": "camera"}},
        {"precision": {"nothing": "int8"}},
        {"together": [["*"], ["*", "nothing"]]},
        {"apart": [["*", "nothing"]]},
        {"private": ["nothing"]},
    ],
)
def test_what_nothing_is_named_is_told_with_its_key(residual, placement):
    (key,) = placement
    with pytest.raises(ScenarioError, match=rf"^placement\.{key}: nothing is named 'nothing'[^:]*$"):
        check(residual.graph, **placement)


def test_what_is_named_but_not_taken_is_told(residual):
    fused = (unit for unit in residual.graph.units if len(unit.nodes) > 1)
    unit = next(unit for unit in fused if unit.name not in unit.outputs)
    node = next(name for name in unit.nodes if name != unit.name)
    tensor = unit.outputs[0]
    with pytest.raises(ScenarioError) as found:
        check(residual.graph, pin={node: "camera"}, precision={tensor: "int8"}, private=[unit.name])
    assert str(found.value).split("; ") == [
        f"placement.pin: {node!r} is a node of unit {unit.name!r}: name the unit",
        f"placement.precision: {tensor!r} is a tensor, which unit {unit.name!r} writes: name the unit",
        f"placement.private: {unit.name!r} is a unit, which writes {tensor!r}: name the tensor",
    ]
    with pytest.raises(ScenarioError, match="tensors are named as in the model, such as 'x'$"):
        check(residual.graph, private=["qqqq"])


def test_all_keys_are_told_at_once(residual):
    first = residual.graph.units[0].name
    with pytest.raises(ScenarioError) as found:
        check(residual.graph, pin={"a": "camera"}, precision={f"{first}x": "int8"}, private=["b"])
    pin, precision, private = str(found.value).split("; placement.")
    assert pin.startswith("placement.pin: nothing is named 'a'")
    assert precision == f"precision: nothing is named '{first}x'; did you mean {first!r}?"
    assert private.startswith("private: nothing is named 'b'")


@pytest.mark.parametrize("placement", [{"pin": {"nothing": "a"}}, {"private": ["nothing"]}])
def test_they_are_told_before_anything_is_timed(tmp_path, monkeypatch, placement):
    def timed(*_):
        raise AssertionError

    monkeypatch.setattr(measured_scenario, "profile_devices", timed)
    samples = {"x": np.random.default_rng(0).normal(size=(4, 1, 2, 8, 8)).astype(np.float32)}
    scenario = scenario_around(tmp_path, models.residual(), samples, placement=placement)
    with pytest.raises(ScenarioError, match="nothing is named 'nothing'"):
        measure_scenario(prepare(scenario))
