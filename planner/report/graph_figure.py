"""The model's graph as a figure: units coloured by device, shaped by precision, cuts with their bytes."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import PathPatch, RegularPolygon
from matplotlib.path import Path as Curve

from planner.formatting import size_text
from planner.plan.plan_record import Cut
from planner.report.figure_style import INK, LINKS, colours_of, ink_on, new_figure, styled
from profiling.graph.unit_graph import ModelGraph
from profiling.precision import Precision

UNIT = "unit"  # ids in the figure are unit-0, unit-1 ...
_CORNERS = {Precision.FP32: (4, 0.785), Precision.INT8: (14, 0.0), Precision.INT16: (4, 0.0)}
_MARKERS = {Precision.FP32: "s", Precision.INT8: "o", Precision.INT16: "D"}
_RADIUS = {Precision.FP32: 0.42, Precision.INT8: 0.34, Precision.INT16: 0.42}
_MANY = 80  # units: then more stand in a row, without numbers
_COLUMNS, _COLUMNS_OF_MANY = 16, 30
_INCHES = 0.56, 0.34  # of a column in a figure of few and of many
_CUT = "#d1242f"
Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class PlacedGraph:
    """What a plan makes of a model: each unit's device and precision, and what crosses links."""

    devices: Sequence[str]
    precisions: Sequence[Precision]
    cuts: Sequence[Cut]
    source: str
    sink: str


def draw_graph(graph: ModelGraph, placed: PlacedGraph, every_device: Sequence[str]) -> Figure:
    """Return the figure of a plan.

    Parameters
    ----------
    every_device
        Of the scenario, so that a device has its colour in all figures.
    """
    spots, columns = _positions(graph)
    many = len(graph.units) > _MANY
    rows = 1 - min(y for _, y in spots)
    inches = _INCHES[many]
    with styled():
        figure = new_figure(max(5.0, inches * (columns + 2)), max(1.8, inches * (rows + 2)))
        axes = figure.add_subplot()
        axes.set_axis_off()
        axes.set_aspect("equal")
        axes.set_xlim(-1.4, columns + 0.6)
        axes.set_ylim(-rows - 0.2, 1.2)
        _draw_edges(axes, graph, placed, spots, columns)
        colours = colours_of(every_device)
        for unit, (x, y) in zip(graph.units, spots, strict=True):
            precision = placed.precisions[unit.index]
            corners, turn = _CORNERS[precision]
            colour = colours[placed.devices[unit.index]]
            axes.add_patch(
                RegularPolygon(
                    (x, y),
                    corners,
                    radius=_RADIUS[precision],
                    orientation=turn,
                    facecolor=colour,
                    edgecolor="none",
                    gid=f"{UNIT}-{unit.index}",
                    zorder=3,
                )
            )
            if not many:
                text = axes.text(x, y, str(unit.index), color=ink_on(colour), zorder=4)
                text.set(horizontalalignment="center", verticalalignment="center")
        _legend(axes, placed, every_device)
    return figure


def _positions(graph: ModelGraph) -> tuple[list[Point], int]:
    """Return each unit's position: left to right by its longest path, in rows like text, branches below."""
    columns = _COLUMNS_OF_MANY if len(graph.units) > _MANY else _COLUMNS
    rank: dict[int, int] = {}
    line_of: dict[int, int] = {}
    lines_taken: dict[int, set[int]] = defaultdict(set)
    for index in range(len(graph.units)):  # in topological order
        predecessors = list(graph.dag.predecessors(index))
        rank[index] = 1 + max((rank[predecessor] for predecessor in predecessors), default=-1)
        taken = lines_taken[rank[index]]
        preferred = min((line_of[predecessor] for predecessor in predecessors), default=0)
        line_of[index] = (
            preferred if preferred not in taken else next(n for n in range(len(taken) + 1) if n not in taken)
        )
        taken.add(line_of[index])
    # A row of the figure is as high as the most lines in any of its columns.
    heights: dict[int, int] = defaultdict(int)
    for index in rank:
        heights[rank[index] // columns] = max(heights[rank[index] // columns], line_of[index] + 1)
    tops = {row: sum(heights[above] + 0.8 for above in range(row)) for row in range(len(heights))}
    spots = [
        (float(rank[n] % columns), -(tops[rank[n] // columns] + line_of[n])) for n in range(len(graph.units))
    ]
    return spots, min(columns, 1 + max(rank.values(), default=0))


def _draw_edges(
    axes: Axes, graph: ModelGraph, placed: PlacedGraph, spots: Sequence[Point], columns: int
) -> None:
    lines: list[Curve] = []
    crossing: dict[str, list[Curve]] = defaultdict(list)
    cuts = {cut.tensor: cut for cut in placed.cuts}
    for names, curve, to_other_device in _edge_curves(graph, placed, spots, columns):
        cut = next((name for name in names if name in cuts), None) if to_other_device else None
        (lines if cut is None else crossing[cut]).append(curve)
    if lines:
        compound = Curve.make_compound_path(*lines)
        axes.add_patch(PathPatch(compound, facecolor="none", edgecolor=LINKS, linewidth=1, zorder=1))
    for name, curves in crossing.items():
        compound = Curve.make_compound_path(*curves)
        axes.add_patch(PathPatch(compound, facecolor="none", edgecolor=_CUT, linewidth=2, zorder=2))
        corners = np.asarray(curves[0].vertices)
        x, y = corners[len(corners) // 2]
        text = f"{size_text(cuts[name].size_bytes)} {cuts[name].wire}"
        axes.text(float(x), float(y) + 0.5, text, color=INK, ha="center", zorder=5)


def _edge_curves(
    graph: ModelGraph, placed: PlacedGraph, spots: Sequence[Point], columns: int
) -> Iterator[tuple[list[str], Curve, bool]]:
    """Yield (tensors, curve, whether it leads to another device) of every edge, inputs and outputs too."""
    for u, v, tensors in graph.dag.edges(data="tensors"):
        names = [tensor.name for tensor in tensors]
        yield names, _edge_curve(spots[u], spots[v], columns), placed.devices[u] != placed.devices[v]
    for unit in graph.units:
        x, y = spots[unit.index]
        read = [name for name in unit.inputs if name in graph.inputs]
        if read:
            yield read, Curve([(x - 1, y), (x, y)]), placed.devices[unit.index] != placed.source
        due = [name for name in unit.outputs if name in graph.outputs]
        if due:
            yield due, Curve([(x, y), (x + 1, y)]), placed.devices[unit.index] != placed.sink


def _edge_curve(start: Point, end: Point, columns: int) -> Curve:
    """Return the line of an edge: straight to a neighbour, bent past others, around the end of a row."""
    (x0, y0), (x1, y1) = start, end
    if x1 > x0 and abs(y1 - y0) < 1.5 and (x1 - x0 <= 1 or y0 != y1):  # noqa: PLR2004  neighbouring branches
        return Curve([start, end])
    if x1 > x0:
        # Past the units between, above the straight line.
        bend = ((x0 + x1) / 2, max(y0, y1) + 0.9)
        return Curve([start, bend, end], [Curve.MOVETO, Curve.CURVE3, Curve.CURVE3])
    # Through the gap above the next row.
    between_rows = y1 + 0.75
    return Curve(
        [start, (columns - 0.3, y0), (columns - 0.3, between_rows), (-0.9, between_rows), (-0.9, y1), end],
    )


def _legend(axes: Axes, placed: PlacedGraph, every_device: Sequence[str]) -> None:
    colours = colours_of(every_device)
    used = [name for name in every_device if name in placed.devices]
    handles = [_handle(colours[name], "o", name) for name in used]
    handles += [
        _handle(LINKS, _MARKERS[precision], precision.value)
        for precision in Precision
        if precision in placed.precisions
    ]
    if placed.cuts:
        handles.append(Line2D([], [], color=_CUT, linewidth=2, label="crosses a link"))
    axes.legend(handles=handles, loc="lower left", bbox_to_anchor=(0, 1), ncols=len(handles), borderaxespad=0)


def _handle(colour: str, marker: str, label: str) -> Line2D:
    return Line2D([], [], color=colour, marker=marker, linestyle="none", label=label)
