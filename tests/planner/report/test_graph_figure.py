from made_graphs import made_graph
from matplotlib.colors import to_hex
from matplotlib.patches import FancyBboxPatch, PathPatch

from planner.report.figure_style import CROSSING, LINKS, colours_of, inline_svg
from planner.report.graph_drawing import PlacedGraph, graph_drawing
from planner.report.graph_figure import draw_graph
from profiling.precision import Precision

DEVICES = ("camera", "d$\\frac$")


def drawing_of(source: str = "camera"):
    graph = made_graph(["a", "b"], [(0, 1)])
    placed = PlacedGraph(DEVICES, [Precision.INT8, Precision.FP32], [0.001, 0.002], (), source, DEVICES[1])
    return graph_drawing(graph, placed, DEVICES)


def test_each_box_is_drawn_in_its_place_and_colour_with_its_label():
    drawing = drawing_of()
    axes = draw_graph(drawing, DEVICES).axes[0]
    patches = {patch.get_gid(): patch for patch in axes.patches if isinstance(patch, FancyBboxPatch)}
    texts = [text.get_text() for text in axes.texts]
    for box in drawing.boxes:
        assert set(box.label) <= set(texts)
        if box.key:
            own = patches[box.key]
            assert to_hex(own.get_facecolor()) == box.fill
            assert own.get_x() + own.get_width() / 2 == box.centre[0]


def test_lines_that_cross_a_link_are_red_and_others_grey():
    axes = draw_graph(drawing_of(), DEVICES).axes[0]
    colours = [to_hex(patch.get_edgecolor()) for patch in axes.patches if isinstance(patch, PathPatch)]
    assert sorted(colours) == sorted([CROSSING, LINKS, LINKS])


def test_the_legend_names_the_devices_that_compute_and_a_dollar_sign_is_no_formula():
    svg = inline_svg(draw_graph(drawing_of(), DEVICES), "figure", "a & b")
    assert "d$\\frac$" in svg
    assert colours_of(DEVICES)[DEVICES[1]] in svg
    assert 'aria-label="a &amp; b"' in svg
