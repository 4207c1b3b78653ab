import re

import msgspec
import pytest
from made_records import CUT
from matplotlib.colors import to_hex
from matplotlib.patches import PathPatch, RegularPolygon

from planner.plan.plan_record import WireFormat
from planner.report.figure_style import LINKS, colours_of, inline_svg
from planner.report.graph_figure import PlacedGraph, draw_graph
from profiling.precision import Precision

DEVICES = ("camera", "server")


def placed(graph, devices, precisions=None, cuts=(), source="camera", sink="camera") -> PlacedGraph:
    return PlacedGraph(devices, precisions or [Precision.FP32] * len(graph.units), cuts, source, sink)


def cut_of(tensor: str, size_bytes: int = 200_704):
    return msgspec.structs.replace(CUT, tensor=tensor, size_bytes=size_bytes)


def shapes(figure) -> dict[int, RegularPolygon]:
    found = [patch for patch in figure.axes[0].patches if isinstance(patch, RegularPolygon)]
    return {int(patch.get_gid().removeprefix("unit-")): patch for patch in found}


def ways(figure) -> dict[str, PathPatch]:
    return {to_hex(p.get_edgecolor()): p for p in figure.axes[0].patches if isinstance(p, PathPatch)}


@pytest.mark.parametrize("name", ["residual", "branches", "digits"])
def test_each_unit_has_a_shape_in_its_devices_colour_and_its_precisions_form(request, name):
    graph = request.getfixturevalue(name).graph
    devices = [DEVICES[unit.index % 2] for unit in graph.units]
    precisions = [list(Precision)[unit.index % 3] for unit in graph.units]
    found = shapes(draw_graph(graph, placed(graph, devices, precisions), DEVICES))
    assert sorted(found) == [unit.index for unit in graph.units]
    forms = {}
    for index, shape in found.items():
        assert to_hex(shape.get_facecolor()) == colours_of(DEVICES)[devices[index]]
        forms.setdefault(precisions[index], set()).add((shape.numvertices, shape.orientation))
    assert all(len(form) == 1 for form in forms.values())
    assert len(set.union(*forms.values())) == len(set(precisions))


@pytest.mark.parametrize("name", ["residual", "branches", "digits"])
def test_what_reads_stands_behind_what_it_reads_or_in_a_lower_row(request, name):
    graph = request.getfixturevalue(name).graph
    found = shapes(draw_graph(graph, placed(graph, ["camera"] * len(graph.units)), DEVICES))
    for u, v in graph.dag.edges:
        (x0, y0), (x1, y1) = found[u].xy, found[v].xy
        assert x1 > x0 or y1 < y0


def test_a_tensor_that_crosses_is_red_with_its_bytes_and_wire_and_others_are_not(residual):
    graph = residual.graph
    tensor = graph.units[1].outputs[0]
    devices = ["camera", "camera", "server", "server", "server"]
    figure = draw_graph(graph, placed(graph, devices, cuts=(cut_of(tensor),), sink="server"), DEVICES)
    assert f"196.0 KiB {WireFormat.UINT8}" in [text.get_text() for text in figure.axes[0].texts]
    lines = ways(figure)
    assert set(lines) == {LINKS, "#d1242f"}
    spots = {index: tuple(shape.xy) for index, shape in shapes(figure).items()}
    ends = [tuple(map(float, row)) for row in lines["#d1242f"].get_path().vertices]
    assert spots[1] in ends
    assert spots[2] in ends
    assert spots[4] not in ends


def test_nothing_is_red_where_a_tensor_stays_on_its_device(residual):
    graph = residual.graph
    cuts = (cut_of(graph.units[1].outputs[0]),)
    figure = draw_graph(graph, placed(graph, ["camera"] * 5, cuts=cuts), DEVICES)
    assert set(ways(figure)) == {LINKS}


def test_an_input_that_crosses_to_its_reader_and_an_output_on_its_way_back_are_red(residual):
    graph = residual.graph
    cuts = (cut_of(graph.inputs[0], 512), cut_of(graph.outputs[0], 16))
    figure = draw_graph(graph, placed(graph, ["server"] * 5, cuts=cuts), DEVICES)
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert {"512 B uint8", "16 B uint8"} <= set(texts)


def test_units_are_numbered_until_there_are_many(residual):
    figure = draw_graph(residual.graph, placed(residual.graph, ["camera"] * 5), DEVICES)
    assert [text.get_text() for text in figure.axes[0].texts] == list("01234")


def test_the_legend_names_what_is_used(residual):
    graph = residual.graph
    precisions = [Precision.INT8] + [Precision.FP32] * 4
    figure = draw_graph(graph, placed(graph, ["camera"] * 5, precisions), DEVICES)
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert labels == ["camera", "fp32", "int8"]


def test_a_picture_in_a_page_has_the_ids_of_its_own_name(residual):
    figure = draw_graph(residual.graph, placed(residual.graph, ["camera"] * 5), DEVICES)
    svg = inline_svg(figure, "p7", "a & b")
    assert {f"p7-unit-{n}" for n in range(5)} <= set(re.findall(r'id="([^"]+)"', svg))
    assert 'aria-label="a &amp; b"' in svg
