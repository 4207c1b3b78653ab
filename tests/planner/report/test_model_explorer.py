import json

import msgspec
import pytest
from delivered_plans import delivered

from planner.report.figure_style import colours_of
from planner.report.model_explorer import model_explorer_files


@pytest.fixture(scope="module")
def known(request):
    plan, built = delivered(request.getfixturevalue("residual"))
    assignments = tuple(
        msgspec.structs.replace(a, nodes=unit.nodes)
        for a, unit in zip(plan.assignments, built.graph.units, strict=True)
    )
    return msgspec.structs.replace(plan, assignments=assignments), built


def test_each_node_has_its_units_device_and_precision_under_its_output(known):
    plan, built = known
    files = model_explorer_files(plan, built.mixed)
    outputs = {name for node in built.mixed.graph.node for name in node.output}
    unit_of = {node: a for a in plan.assignments for node in a.nodes}
    expected = {node.output[0]: unit_of[node.name] for node in built.mixed.graph.node if node.name in unit_of}
    assert expected
    devices = [device["name"] for device in json.loads(bytes(plan.scenario))["devices"]]
    for tensor, a in expected.items():
        assert tensor in outputs
        shown = files["device.json"].results[tensor]
        assert (shown.value, shown.bgColor) == (a.device, colours_of(devices)[a.device])
        assert files["precision.json"].results[tensor].value == a.precision.value
    assert set(files["device.json"].results) == set(files["precision.json"].results) == set(expected)


def test_the_milliseconds_and_the_noise_of_a_unit_are_counted_once(known):
    plan, built = known
    files = model_explorer_files(plan, built.mixed)
    for name, total in (
        ("milliseconds.json", sum(a.compute_s for a in plan.assignments) * 1e3),
        ("noise.json", sum(a.noise_power for a in plan.assignments)),
    ):
        values = [shown.value for shown in files[name].results.values()]
        assert len(values) == len(plan.assignments)
        assert sum(values) == pytest.approx(total)


def test_a_file_is_node_data_of_one_graph_as_model_explorer_reads_it(known):
    """A `results` on top marks a file that is of the graph that is shown."""
    plan, built = known
    for data in model_explorer_files(plan, built.mixed).values():
        found = json.loads(msgspec.json.encode(data))
        assert set(found) <= {"name", "results", "gradient"}
        assert "results" not in found["results"]
        for shown in found["results"].values():
            assert {"value"} <= set(shown) <= {"value", "bgColor", "textColor"}
        if "gradient" in found:
            assert [stop["stop"] for stop in found["gradient"]] == [0, 1]
