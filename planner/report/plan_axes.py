"""A plan's graph drawn on axes that a caller gives: units by device and precision, and what crosses links."""

from collections.abc import Mapping, Sequence

import networkx as nx
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import PathPatch
from matplotlib.path import Path as Curve

from planner.formatting import size_text
from planner.report.figure_style import LINKS, colours_of

_MARKERS = {"fp32": "s", "int8": "o", "int16": "D"}
_END = "end"  # an input or output of the model
_CUT = "#d1242f"
_COLUMNS = 40  # of a row; a longer model continues below
_DOT = 70.0  # square points
_GAP = 0.8  # between rows
_WIDTHS, _HEIGHTS = (6.4, 14.0), (2.0, 12.0)  # least and most inches
_COLUMN, _LANE = 0.45, 0.6  # inches
_BENT = 3  # points of a bent line
Point = tuple[float, float]
Spots = Mapping[str, Point]


def draw_plan(graph: nx.DiGraph, devices: Sequence[str], axes: Axes | None = None) -> Axes:
    """Draw a plan and return the axes.

    Parameters
    ----------
    graph
        With `kind`, `device` and `precision` of each node, and `link_bytes` and `wire` of each edge.
    devices
        All that a plan may use, so that a device has its colour in all drawings.
    axes
        Default: those of a new figure of pyplot.
    """
    spots = _spots(graph)
    if axes is None:
        _, axes = plt.subplots(figsize=_figure_inches(spots), layout="constrained")
    _draw_edges(graph, spots, axes)
    for kind, marker, colour, label in _looks(graph, devices):
        points = [spots[node] for node, data in graph.nodes(data=True) if _kind(data) == kind]
        xs, ys = [x for x, _ in points], [y for _, y in points]
        axes.scatter(xs, ys, s=_DOT, marker=marker, color=colour, label=label, zorder=3)
    axes.set_axis_off()
    width, depth = _extent(spots)
    axes.set(xlim=(-1.2, width + 1.2), ylim=(-depth - 0.5, 1.0))
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, frameon=False, fontsize="small")
    return axes


def _kind(data: Mapping[str, str]) -> tuple[str, str]:
    return (data["device"], data["precision"]) if data["kind"] == "unit" else ("", _END)


def _looks(graph: nx.DiGraph, devices: Sequence[str]) -> list[tuple[tuple[str, str], str, str, str]]:
    """Return (kind, marker, colour, label) of each kind of node."""
    colours = colours_of(devices)
    kinds = dict.fromkeys(_kind(data) for _, data in graph.nodes(data=True))
    return [
        (kind, ".", LINKS, "input or output")
        if kind[1] == _END
        else (kind, _MARKERS.get(kind[1], "o"), colours[kind[0]], ", ".join(kind))
        for kind in sorted(kinds)
    ]


def _spots(graph: nx.DiGraph) -> Spots:
    """Return each node's place: left to right by its longest path, branches below, in rows like text."""
    lanes: dict[str, int] = {}
    columns: dict[str, int] = {}
    for column, nodes in enumerate(nx.topological_generations(graph)):
        taken: set[int] = set()
        for node in nodes:
            wanted = min((lanes[before] for before in graph.predecessors(node)), default=0)
            lanes[node] = next(lane for lane in range(wanted, len(graph) + wanted) if lane not in taken)
            columns[node] = column
            taken.add(lanes[node])
    heights: dict[int, int] = {}
    for node, column in columns.items():
        row = column // _COLUMNS
        heights[row] = max(heights.get(row, 0), lanes[node] + 1)
    tops = {row: sum(heights[above] + _GAP for above in range(row)) for row in heights}
    return {
        node: (float(column % _COLUMNS), -(tops[column // _COLUMNS] + lanes[node]))
        for node, column in columns.items()
    }


def _extent(spots: Spots) -> tuple[float, float]:
    """Return how far places reach to the right and down."""
    return max((x for x, _ in spots.values()), default=0.0), -min((y for _, y in spots.values()), default=0.0)


def _figure_inches(spots: Spots) -> tuple[float, float]:
    width, depth = _extent(spots)
    inches = _COLUMN * (width + 2.4), _LANE * (depth + 2.4)
    (least_width, most_width), (least_height, most_height) = _WIDTHS, _HEIGHTS
    return min(max(inches[0], least_width), most_width), min(max(inches[1], least_height), most_height)


def _draw_edges(graph: nx.DiGraph, spots: Spots, axes: Axes) -> None:
    right = _extent(spots)[0] + 0.6
    for source, target, data in graph.edges(data=True):
        points = _line(spots[source], spots[target], right)
        codes = [Curve.MOVETO, Curve.CURVE3, Curve.CURVE3] if len(points) == _BENT else None
        crosses = data["wire"] is not None
        colour, width, above = (_CUT, 2.0, 2) if crosses else (LINKS, 1.0, 1)
        axes.add_patch(PathPatch(Curve(points, codes), fill=False, zorder=above, edgecolor=colour, lw=width))
        if crosses:
            text = f"{size_text(data['bytes'])} {data['wire']}"
            (x0, y), (x1, _) = points[:2]
            middle = (x0 + x1) / 2
            axes.text(middle, y + 0.3, text, ha="center", fontsize="x-small", parse_math=False, zorder=4)
    if any(wire is not None for _, _, wire in graph.edges(data="wire")):
        axes.plot([], [], color=_CUT, linewidth=2.0, label="crosses a link")


def _line(start: Point, end: Point, right: float) -> list[Point]:
    """Return the points of an edge: straight to a neighbour, bent past others, around the end of a row."""
    (x0, y0), (x1, y1) = start, end
    if x1 <= x0:  # through the gap above the next row
        gap = y1 + (1 + _GAP) / 2
        return [start, (right, y0), (right, gap), (-0.6, gap), (-0.6, y1), end]
    return [start, ((x0 + x1) / 2, y0 + 0.7), end] if y0 == y1 and x1 - x0 > 1 else [start, end]
