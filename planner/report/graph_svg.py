"""A graph's drawing as SVG elements of a page."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from planner.report.graph_drawing import FONT_PX, LINE_PX, Box, Drawing, Line
from profiling.precision import Precision

_CORNERS = {Precision.FP32: 0.0, Precision.INT16: 6.0, Precision.INT8: 16.0}  # radius; 10 of others
_ROUND = 4.0  # of what is no unit
_BASELINE = 0.36 * FONT_PX  # of a line of text, below its middle


@dataclass(frozen=True, slots=True)
class Section:
    """A drawing of a page: where links lead to it, what it is called, its SVG element, and its blocks."""

    key: str
    title: str
    svg: Markup
    blocks: "tuple[Section, ...]" = ()

    def inner(self) -> "Iterator[Section]":
        """Yield its blocks, each before its own."""
        for block in self.blocks:
            yield block
            yield from block.inner()


@dataclass(frozen=True, slots=True)
class GraphFigure:
    """A graph as a page shows it.

    Parameters
    ----------
    key
        Its ids begin with it.
    devices
        Name and colour of each that computes.
    whole
        The drawing of the graph.
    """

    key: str
    devices: tuple[tuple[str, str], ...]
    whole: Section

    @property
    def blocks(self) -> tuple[Section, ...]:
        """The drawings of its blocks in running order, blocks in blocks behind them."""
        return tuple(self.whole.inner())

    @property
    def size_bytes(self) -> int:
        """What its drawings add to a page."""
        return sum(len(section.svg) for section in (self.whole, *self.blocks))


def graph_figure(drawing: Drawing, key: str, label: str, every_device: Sequence[str]) -> GraphFigure:
    """Return a drawing with all those of its blocks.

    Parameters
    ----------
    every_device
        As for the drawing.
    key
        What its ids begin with, one for each graph of a page.
    label
        What it shows, for those who do not see it.
    """
    whole = Section(
        f"{key}-graph",
        label,
        _svg(drawing, key, label),
        tuple(_section(block, key) for block in drawing.blocks),
    )
    return GraphFigure(key, drawing.devices(every_device), whole)


def _section(drawing: Drawing, key: str) -> Section:
    return Section(
        f"{key}-{drawing.key}",
        drawing.title,
        _svg(drawing, key, drawing.title),
        tuple(_section(block, key) for block in drawing.blocks),
    )


def _svg(drawing: Drawing, key: str, label: str) -> Markup:
    width, height = f"{drawing.width:.0f}", f"{drawing.height:.0f}"
    parts = [_path(drawing.lines, crosses=crosses) for crosses in (False, True)]
    parts += [_box(box, key) for box in drawing.boxes]
    return Markup(
        '<svg class="drawing" role="group" aria-label="{}" width="{}" height="{}" viewBox="0 0 {} {}">'
        "{}</svg>"
    ).format(label, width, height, width, height, Markup("\n").join(parts))


def _path(lines: Sequence[Line], *, crosses: bool) -> Markup:
    text = " ".join(_curve(line) for line in lines if line.crosses == crosses)
    return (
        Markup('<path class="{}" d="{}"/>').format("crossing" if crosses else "flow", text)
        if text
        else Markup()
    )


def _curve(line: Line) -> str:
    """Return a line's path: straight past boxes, bent between layers."""
    (x, y), *others = line.points
    path = f"M{x:.0f} {y:.0f}"
    for number, (next_x, next_y) in enumerate(others):
        if number % 2 and next_x != x:
            middle = (y + next_y) / 2
            path += f"C{x:.0f} {middle:.0f} {next_x:.0f} {middle:.0f} {next_x:.0f} {next_y:.0f}"
        elif next_y != y:
            path += f"V{next_y:.0f}"
        x, y = next_x, next_y
    return path


def _box(box: Box, key: str) -> Markup:
    (x, y), (width, height) = box.centre, box.size
    radius = _ROUND if box.precision is None else _CORNERS.get(box.precision.numbers, 10.0)
    own = ""
    if box.key and not box.leads_to:
        own = f' id="{key}-{box.key}"'
    looks = f' fill="{box.ink}"' if box.ink else f' class="{"crosses" if box.crosses else "plain"}"'
    place = f' transform="translate({x:.0f} {y:.0f})"'
    rect = f'x="{-width / 2:.0f}" width="{width:.0f}" height="{height:.0f}" rx="{radius:g}"'
    fill = f' fill="{box.fill}"' if box.fill else ""
    behind = (
        Markup(f'<rect class="behind" y="{4 - height / 2:.0f}" {rect}{fill}/>')
        if _is_block(box)
        else Markup()
    )
    texts = Markup().join(
        Markup('<text y="{}">{}</text>').format(
            f"{(n - (len(box.label) - 1) / 2) * LINE_PX + _BASELINE:.1f}", text
        )
        for n, text in enumerate(box.label)
    )
    front = Markup(f'<rect y="{-height / 2:.0f}" {rect}{fill}/>')
    element = Markup("<g{}>{}{}{}</g>").format(Markup(own + looks + place), behind, front, texts)
    if not box.leads_to:
        return element
    return Markup('<a href="#{}">{}</a>').format(escape(f"{key}-{box.leads_to}"), element)


def _is_block(box: Box) -> bool:
    return bool(box.key and box.leads_to)
