import matplotlib as mpl
import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib import pyplot as plt
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch

from planner.report.figure_style import colours_of
from planner.report.plan_axes import draw_plan

mpl.use("agg")
DEVICES = ("camera", "gateway", "server")


def placed(edges, devices=None, wires=None) -> nx.DiGraph:
    """Return a graph of units whose names are numbers, between an input and an output."""
    graph = nx.DiGraph()
    units = sorted({unit for edge in edges for unit in edge})
    for unit in units:
        device = (devices or {}).get(unit, "camera")
        graph.add_node(f"u{unit}", kind="unit", device=device, precision="int8" if unit % 2 else "fp32")
    for kind in ("input", "output"):
        graph.add_node(kind, kind=kind, device="camera", precision=None)
    graph.add_edge("input", f"u{units[0]}", wire=None, bytes=0)
    graph.add_edge(f"u{units[-1]}", "output", wire=None, bytes=0)
    for edge in edges:
        wire = (wires or {}).get(edge)
        graph.add_edge(f"u{edge[0]}", f"u{edge[1]}", wire=wire, bytes=2048 if wire else 0)
    return graph


def chain(count: int) -> list[tuple[int, int]]:
    return [(n, n + 1) for n in range(count)]


def drawn(graph: nx.DiGraph):
    return draw_plan(graph, DEVICES, Figure().add_subplot())


def spots(axes) -> list[tuple[float, float]]:
    return [tuple(point) for dots in axes.collections for point in dots.get_offsets()]


@settings(max_examples=50, deadline=None)
@given(st.sets(st.tuples(st.integers(0, 30), st.integers(0, 30)), min_size=1, max_size=60))
def test_every_node_has_a_place_of_its_own(pairs):
    edges = [(min(pair), max(pair)) for pair in pairs if pair[0] != pair[1]] or [(0, 1)]
    graph = placed(edges)
    axes = drawn(graph)
    assert len(spots(axes)) == len(set(spots(axes))) == len(graph)
    assert len([patch for patch in axes.patches if isinstance(patch, PathPatch)]) == graph.number_of_edges()
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    assert all(left < x < right and low < y < high for x, y in spots(axes))


def test_a_long_model_continues_below():
    axes = drawn(placed(chain(90)))
    assert len({y for _, y in spots(axes)}) == 3
    assert max(x for x, _ in spots(axes)) < 41


def test_what_crosses_is_told_with_its_size_and_form_inside_the_drawing():
    axes = drawn(placed(chain(3), {2: "server", 3: "server"}, {(1, 2): "uint8"}))
    assert [text.get_text() for text in axes.texts] == ["2.0 KiB uint8"]
    assert axes.texts[0].get_position()[1] < axes.get_ylim()[1]
    labels = {text.get_text() for text in axes.get_legend().get_texts()}
    assert labels == {
        "crosses a link", "input or output", "camera, fp32", "camera, int8", "server, fp32", "server, int8",
    }  # fmt: skip


def test_where_nothing_crosses_the_legend_says_nothing_of_it():
    axes = drawn(placed(chain(3)))
    assert not axes.texts
    assert "crosses a link" not in {text.get_text() for text in axes.get_legend().get_texts()}


def test_a_device_has_the_colour_that_it_has_in_reports():
    axes = drawn(placed(chain(2), {0: "server", 1: "server", 2: "server"}))
    colours = {dots.get_label(): to_hex(dots.get_facecolor()[0]) for dots in axes.collections}
    assert colours["server, fp32"] == colours["server, int8"] == colours_of(DEVICES)["server"]


@pytest.mark.parametrize("count", [1, 300])
def test_a_new_figure_is_as_large_as_its_model_asks_for(count):
    figure = draw_plan(placed(chain(count)), DEVICES).figure
    width, height = figure.get_size_inches()
    assert 6 < width <= 14
    assert 2 <= height <= 12
    figure.canvas.draw()  # text that cannot be laid out would warn
    plt.close(figure)


def test_a_dollar_sign_in_a_form_is_a_dollar_sign():
    axes = drawn(placed(chain(1), {1: "server"}, {(0, 1): "a$b$"}))
    assert axes.texts[0].get_parse_math() is False
