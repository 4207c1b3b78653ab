"""A graph's drawing as a figure, for files beside a page."""

from collections.abc import Sequence
from itertools import pairwise

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, PathPatch
from matplotlib.path import Path as Curve

from planner.report.figure_style import CROSSING, INK, LINKS, styled
from planner.report.graph_drawing import FONT_PX, LINE_PX, Box, Drawing, Line
from profiling.precision import Precision

_INCH = 72.0  # pixels: as many as points, so that text has its size
_CORNERS = {
    Precision.FP32: 0.0,
    Precision.INT16: 6.0,
    Precision.INT8: 16.0,
    None: 4.0,
}  # radius, 10 of others
_NARROWEST = 200.0  # pixels
_LEGEND_PX = 20.0  # of a device's line


def draw_graph(drawing: Drawing, every_device: Sequence[str]) -> Figure:
    """Return the drawing of the whole graph, blocks folded.

    Parameters
    ----------
    every_device
        As for the drawing.
    """
    used = drawing.devices(every_device)
    legend_px = _LEGEND_PX * len(used)
    width, height = max(_NARROWEST, drawing.width), drawing.height + legend_px
    with styled():
        figure = Figure(figsize=(width / _INCH, height / _INCH))
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        axes.set_aspect("equal")
        middle = drawing.width / 2
        axes.set(xlim=(middle - width / 2, middle + width / 2), ylim=(drawing.height, -legend_px))
        for row, (name, colour) in enumerate(used):
            y = row * _LEGEND_PX - legend_px / 2 - _LEGEND_PX * (len(used) - 1) / 2
            axes.plot([middle - width / 2 + 14], [y], "s", color=colour, markersize=9)
            axes.text(middle - width / 2 + 26, y, name, va="center_baseline", fontsize=FONT_PX)
        for line in drawing.lines:
            _draw_line(axes, line)
        for box in drawing.boxes:
            _draw_box(axes, box)
    return figure


def _draw_line(axes: Axes, line: Line) -> None:
    points, codes = [line.points[0]], [Curve.MOVETO]
    for number, ((x, y), (next_x, next_y)) in enumerate(pairwise(line.points)):
        if number % 2:
            middle = (y + next_y) / 2
            points += [(x, middle), (next_x, middle)]
            codes += [Curve.CURVE4, Curve.CURVE4]
        points.append((next_x, next_y))
        codes.append(Curve.CURVE4 if number % 2 else Curve.LINETO)
    colour, width = (CROSSING, 2.0) if line.crosses else (LINKS, 1.2)
    curve = Curve(points, codes)
    axes.add_patch(
        PathPatch(curve, facecolor="none", edgecolor=colour, linewidth=width, zorder=1 + line.crosses)
    )


def _draw_box(axes: Axes, box: Box) -> None:
    rounding_px = 10.0 if box.precision is None else _CORNERS.get(box.precision.numbers, 10.0)
    (x, y), (width, height) = box.centre, box.size
    edge = CROSSING if box.crosses else LINKS
    axes.add_patch(
        FancyBboxPatch(
            (x - width / 2, y - height / 2),
            width,
            height,
            boxstyle=f"round,pad=0,rounding_size={rounding_px}",
            facecolor=box.fill or "white",
            edgecolor=box.fill or edge,
            linewidth=1.5,
            zorder=3,
            gid=box.key or None,
        )
    )
    for number, text in enumerate(box.label):
        middle = y + (number - (len(box.label) - 1) / 2) * LINE_PX
        axes.text(
            x,
            middle,
            text,
            color=box.ink or INK,
            ha="center",
            va="center_baseline",
            fontsize=FONT_PX,
            zorder=4,
        )
