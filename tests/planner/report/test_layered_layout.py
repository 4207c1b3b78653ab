"""Layouts of graphs drawn at random: nothing overlaps, lines lead down and pass no box."""

from itertools import combinations, pairwise

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.report.layered_layout import layered_layout


@st.composite
def graphs(draw) -> tuple[list[tuple[float, float]], list[tuple[int, int]]]:
    count = draw(st.integers(1, 14))
    sizes = draw(st.lists(st.tuples(st.floats(10, 200), st.floats(10, 60)), min_size=count, max_size=count))
    pairs = list(combinations(range(count), 2))
    edges = draw(st.lists(st.sampled_from(pairs), unique=True, max_size=30)) if pairs else []
    return sizes, edges


@given(graphs())
def test_no_two_boxes_overlap_and_all_lie_inside(graph):
    sizes, edges = graph
    layout = layered_layout(sizes, edges)
    boxes = list(zip(layout.centres, sizes, strict=True))
    for ((x, y), (w, h)), ((u, v), (p, q)) in combinations(boxes, 2):
        assert abs(x - u) >= (w + p) / 2 or abs(y - v) >= (h + q) / 2
    for (x, y), (w, h) in boxes:
        assert x - w / 2 >= 0
        assert x + w / 2 <= layout.width
        assert y - h / 2 >= 0
        assert y + h / 2 <= layout.height


@given(graphs())
def test_each_edge_has_a_line_that_leads_down_from_box_to_box_and_passes_no_other(graph):
    sizes, edges = graph
    layout = layered_layout(sizes, edges)
    assert set(layout.routes) == set(edges)
    for (u, v), points in layout.routes.items():
        (x, y), (p, q) = layout.centres[u], layout.centres[v]
        assert points[0] == pytest.approx((x, y + sizes[u][1] / 2))
        assert points[-1] == pytest.approx((p, q - sizes[v][1] / 2))
        assert all(lower[1] >= upper[1] - 1e-9 for upper, lower in pairwise(points))
        for n in range(0, len(points) - 1, 2):  # straight down, past the boxes of a layer
            (a, top), (b, bottom) = points[n : n + 2]
            assert a == b
            for other, ((i, j), (w, h)) in enumerate(zip(layout.centres, sizes, strict=True)):
                if other not in (u, v) and top < j + h / 2 and bottom > j - h / 2:
                    assert abs(a - i) >= w / 2


def test_a_chain_is_straight():
    layout = layered_layout([(80.0, 40.0)] * 6, [(n, n + 1) for n in range(5)])
    assert len({round(x, 6) for x, _ in layout.centres}) == 1


def test_two_chains_between_the_same_ends_do_not_cross():
    edges = [(0, 1), (1, 2), (2, 5), (0, 3), (3, 4), (4, 5)]
    x = [x for x, _ in layered_layout([(80.0, 40.0)] * 6, edges).centres]
    assert (x[1] < x[3]) == (x[2] < x[4])


def test_branches_that_start_out_crossed_are_put_in_order():
    # Two sources; what the second one feeds would stand first.
    edges = [(0, 3), (1, 2), (0, 5), (1, 4), (3, 5), (2, 4)]
    graph = nx.DiGraph(edges)
    x = [x for x, _ in layered_layout([(50.0, 30.0)] * len(graph), edges).centres]
    assert (x[0] < x[1]) == (x[3] < x[2]) == (x[5] < x[4])


def test_nothing_needs_no_room():
    assert layered_layout([], []).centres == ()
