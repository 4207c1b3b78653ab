import html
import re

import pytest
from made_graphs import transformer_graph
from made_records import CUT

from planner.report.figure_style import colours_of
from planner.report.graph_drawing import PlacedGraph, graph_drawing
from planner.report.graph_svg import GraphFigure, graph_figure
from profiling.precision import Precision

DEVICES = ("camera", "<b>&")


@pytest.fixture(scope="module")
def figure() -> GraphFigure:
    graph = transformer_graph(units=200)
    devices = [DEVICES[unit.index >= 100] for unit in graph.units]
    precisions = [list(Precision)[unit.index % 3] for unit in graph.units]
    placed = PlacedGraph(devices, precisions, [0.001] * 200, (CUT,), *DEVICES)
    return graph_figure(graph_drawing(graph, placed, DEVICES), "p7", "a < b", DEVICES)


def test_ids_are_there_once_and_links_lead_to_them(figure):
    text = "".join(section.svg for section in (figure.whole, *figure.blocks))
    ids = re.findall(r' id="([^"]+)"', text)
    assert len(set(ids)) == len(ids)
    assert {f"p7-unit-{n}" for n in range(200)} == set(ids)
    sections = {section.key for section in (figure.whole, *figure.blocks)}
    assert set(re.findall(r'href="#([^"]+)"', text)) <= sections | set(ids)
    assert figure.size_bytes == len(text)


def test_each_unit_has_its_devices_colour_and_its_precisions_corners(figure):
    text = "".join(section.svg for section in figure.blocks)
    colours = list(colours_of(DEVICES).values())
    corners = {}
    for number, rest in re.findall(r'id="p7-unit-(\d+)"(.*?)</g>', text, re.DOTALL):
        assert f'fill="{colours[int(number) >= 100]}"' in rest
        corners.setdefault(int(number) % 3, set()).add(re.search(r'rx="(\d+)"', rest)[1])
    assert all(len(radii) == 1 for radii in corners.values())
    assert len(set.union(*corners.values())) == 3


def test_names_are_text(figure):
    assert 'aria-label="a &lt; b"' in figure.whole.svg
    assert "<b>" not in figure.whole.svg
    assert "<b>&" in html.unescape(figure.whole.svg)
    assert figure.devices == tuple(colours_of(DEVICES).items())


def test_lines_lead_from_box_to_box(figure):
    for section in (figure.whole, *figure.blocks):
        lines = [line for path in re.findall(r' d="([^"]*)"', section.svg) for line in path.split("M")[1:]]
        boxes = re.findall(
            r'translate\((\d+) (\d+)\)"><rect(?: class="behind")? [^>]*height="(\d+)"', section.svg
        )
        sides = {side * int(h) / 2 + int(y) for _, y, h in boxes for side in (-1, 1)}
        assert lines
        for line in lines:
            numbers = [float(one) for one in re.findall(r"[\d.]+", line)]
            for y in (numbers[1], numbers[-1]):
                assert min(abs(y - side) for side in sides) <= 2
