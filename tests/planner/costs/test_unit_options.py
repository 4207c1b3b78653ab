import json
from dataclasses import replace

import pytest
from made_records import SCENARIO

from planner.costs.device_costs import DeviceCosts
from planner.costs.tensor_formats import TensorFormats
from planner.costs.unit_options import UnitOptions, pattern_exceptions
from planner.errors import ScenarioError
from planner.problem.units import Option
from planner.scenario.loader import parse_scenario
from profiling.errors import ProfileError
from profiling.precision import Precision

FP32, INT8, INT16 = Precision.FP32, Precision.INT8, Precision.INT16
EVERY = ["fp32", "int8", "int16"]


def costs_of(graph, start: float, *, symmetric: bool = False) -> DeviceCosts:
    """Return costs of which each unit and precision has its own."""
    keys = [(unit.name, precision) for unit in graph.units for precision in (FP32, INT8, INT16)]
    units = {key: start + number for number, key in enumerate(keys)}
    return DeviceCosts(units, {}, {key: s / 1000 for key, s in units.items()}, {}, symmetric=symmetric)


def options_of(graph, camera=EVERY, server=EVERY, costs=None, **placement) -> UnitOptions:
    devices = [
        {"name": "camera", "precisions": camera},
        {"name": "server", "precisions": server, "scaled_from": "camera"},
    ]
    content = SCENARIO | {"precisions": EVERY, "devices": devices, "placement": placement}
    scenario = parse_scenario(json.dumps(content).encode())
    costs = costs or {
        "camera": costs_of(graph, 100),
        "server": costs_of(graph, 200, symmetric=True),
    }
    return UnitOptions(scenario, graph, costs, TensorFormats.of(scenario, costs))


def test_an_option_has_the_costs_of_its_unit_device_and_precision_and_the_device_s_own_format(residual):
    unit = residual.graph.units[1]
    vertex = options_of(residual.graph).vertices()[1]
    floats = 4 * sum(residual.graph.tensors[name].elements for name in (*unit.inputs, *unit.outputs))
    stored = unit.weight_bytes, unit.weight_bytes_int8, unit.weight_bytes_int16
    assert len(set(stored)) == 3
    # The second unit's seconds follow the three of the first.
    assert vertex.options == (
        Option(0, 0, 103.0, 0.103, stored[0], floats, "fp32"),
        Option(0, 1, 104.0, 0.104, stored[1], floats // 4, "int8"),
        Option(0, 3, 105.0, 0.105, stored[2], floats // 2, "int16"),
        Option(1, 0, 203.0, 0.203, stored[0], floats, "fp32"),
        Option(1, 2, 204.0, 0.204, stored[1], floats // 4, "int8"),
        Option(1, 4, 205.0, 0.205, stored[2], floats // 2, "int16"),
    )


def test_a_unit_without_noise_of_its_own_adds_none(residual):
    costs = costs_of(residual.graph, 1)
    silent = dict.fromkeys(("camera", "server"), replace(costs, unit_noise={}))
    options = options_of(residual.graph, costs=silent).vertices()[0].options
    assert [option.noise_power for option in options] == [0.0] * 6


def test_source_and_sink_are_where_the_scenario_says(residual):
    *units, source, sink = options_of(residual.graph).vertices()
    assert len(units) == len(residual.graph.units)
    assert not any(vertex.is_terminal for vertex in units)
    assert (source.name, source.is_terminal, source.options) == ("source", True, (Option(0),))
    assert (sink.name, sink.is_terminal, sink.options) == ("sink", True, (Option(0),))


def changed(graph, index: int, **values):
    units = tuple(replace(unit, **values) if unit.index == index else unit for unit in graph.units)
    return replace(graph, units=units)


def ways(vertex) -> list[tuple[int, str]]:
    return [(option.device, option.precision) for option in vertex.options]


def test_what_cannot_be_quantized_runs_as_it_is_even_where_fp32_is_not_allowed(residual):
    graph = changed(residual.graph, 0, obstacle="why")
    first, second, *_ = options_of(graph, ["int8"], EVERY).vertices()
    assert ways(first) == [(0, "fp32"), (1, "fp32")]
    assert ways(second) == [(0, "int8"), (1, "fp32"), (1, "int8"), (1, "int16")]


def test_what_came_quantized_runs_only_where_int8_is_allowed(residual):
    graph = changed(residual.graph, 0, obstacle="quantized already", quantized=True)
    assert ways(options_of(graph, ["fp32"], EVERY).vertices()[0]) == [(1, "fp32")]
    name = graph.units[0].name
    with pytest.raises(
        ScenarioError, match=f"unit '{name}' is quantized already, but no device that it may run on"
    ):
        options_of(graph, ["fp32"], ["fp32"]).vertices()


def test_what_came_quantized_can_be_asked_for_in_int8_alone(residual):
    graph = changed(residual.graph, 0, obstacle="quantized already", quantized=True)
    name = graph.units[0].name
    asked = options_of(graph, ["fp32", "int8"], EVERY, precision={name: "int8"}).vertices()[0]
    assert ways(asked) == [(0, "fp32"), (1, "fp32")]
    with pytest.raises(ScenarioError, match="cannot be in fp32: it came quantized, and stays as it came"):
        options_of(graph, ["fp32", "int8"], EVERY, precision={name: "fp32"}).vertices()


def test_a_precision_that_is_asked_for_excludes_others_and_pins_other_devices(residual):
    first, second = (unit.name for unit in residual.graph.units[:2])
    vertices = options_of(residual.graph, precision={first: "int8"}, pin={second: "server"}).vertices()
    assert ways(vertices[0]) == [(0, "int8"), (1, "int8")]
    assert ways(vertices[1]) == [(1, precision) for precision in EVERY]
    assert ways(vertices[2]) == [(device, precision) for device in (0, 1) for precision in EVERY]


def test_a_rule_that_leaves_a_unit_nothing_is_told(residual):
    first = residual.graph.units[0].name
    with pytest.raises(ScenarioError, match="no device it may run on has that precision"):
        options_of(
            residual.graph, ["fp32"], EVERY, precision={first: "int8"}, pin={first: "camera"}
        ).vertices()
    graph = changed(residual.graph, 0, obstacle="why")
    for without_int8 in (graph, changed(residual.graph, 0, refused={INT8: "why"})):
        with pytest.raises(ScenarioError, match=f"'{first}' cannot be in int8: why"):
            options_of(without_int8, precision={first: "int8"}).vertices()
    assert ways(options_of(graph, precision={first: "fp32"}).vertices()[0]) == [(0, "fp32"), (1, "fp32")]


def test_a_pattern_of_a_precision_takes_the_units_that_can(residual):
    third = residual.graph.units[2]
    graph = changed(changed(residual.graph, 0, obstacle="why"), 1, refused={INT8: "why"})
    vertices = options_of(graph, precision={"*": "int8", third.name: "int16"}).vertices()
    assert [ways(vertex) for vertex in vertices[:4]] == [
        [(0, "fp32"), (1, "fp32")],
        [(0, "fp32"), (1, "fp32")],
        [(0, "int16"), (1, "int16")],
        [(0, "int8"), (1, "int8")],
    ]
    given = changed(residual.graph, 0, obstacle="quantized already", quantized=True)
    vertices = options_of(given, ["fp32"], EVERY, precision={"*": "int8"}).vertices()
    assert ways(vertices[0]) == [(1, "fp32")]


def test_units_that_cannot_be_as_a_pattern_says_are_named(residual):
    first, second, third, *_ = (unit.name for unit in residual.graph.units)
    graph = changed(residual.graph, 0, obstacle="why")
    graph = changed(changed(graph, 1, refused={INT8: "why"}), 2, obstacle="why")

    def told(**precision: str) -> list[str]:
        content = SCENARIO | {"precisions": EVERY, "placement": {"precision": precision}}
        return list(pattern_exceptions(parse_scenario(json.dumps(content).encode()), graph))

    assert told() == told(**{"*": "fp32"}) == told(**{second: "int16"}) == []
    assert told(**{"*": "int8", third: "fp32"}) == [
        "placement.precision: 2 of the units that patterns match cannot be in int8 and stay as they are: "
        f"{first!r}, {second!r}; plan inspect --json says why"
    ]


def test_seconds_that_a_profile_lacks_are_told_with_what_measures_them(residual):
    costs = {"camera": costs_of(residual.graph, 1), "server": costs_of(residual.graph, 2)}
    name = residual.graph.units[-1].name
    del costs["server"].units[name, INT16]
    with pytest.raises(ProfileError, match=f"'server' has no int16 time of unit '{name}'; .*plan profile"):
        options_of(residual.graph, costs=costs).vertices()
    # Where nobody asks for it, nothing lacks.
    options_of(residual.graph, server=["fp32", "int8"], costs=costs).vertices()


def test_groups_and_pairs_are_numbers_of_the_units_that_patterns_match(residual):
    names = [unit.name for unit in residual.graph.units]
    options = options_of(residual.graph, apart=[[names[2], names[0]], [names[1], names[2]]])
    assert list(options.pairs_apart()) == [(2, 0), (1, 2)]
    assert options.group([names[2], names[0]]) == (0, 2)
    assert options.group(["*"]) == tuple(range(len(names)))
    with pytest.raises(ScenarioError, match="'.*' cannot be apart from itself"):
        list(options_of(residual.graph, apart=[["*", names[1]]]).pairs_apart())


@pytest.mark.parametrize(
    ("profile", "advice"),
    [
        ("own.csv", "add it to own.csv, or leave int8 out of the precisions of 'server'"),
        ("own.json", "measure"),
    ],
)
def test_seconds_that_a_scaled_device_lacks_are_added_to_a_table_or_measured_again(residual, profile, advice):
    devices = [
        {"name": "camera", "precisions": ["fp32"], "profile": profile},
        {"name": "server", "scaled_from": "camera"},
    ]
    scenario = parse_scenario(json.dumps(SCENARIO | {"devices": devices}).encode())
    floats = replace(costs_of(residual.graph, 1), units={(u.name, FP32): 1.0 for u in residual.graph.units})
    costs = dict.fromkeys(("camera", "server"), floats)
    options = UnitOptions(scenario, residual.graph, costs, TensorFormats.of(scenario, costs))
    with pytest.raises(ProfileError, match=f"has no int8 time of unit .*{advice}"):
        options.vertices()
