"""What a plan's graph is drawn as: boxes of units and blocks, tensors that cross a link, and lines."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

from planner.formatting import size_text, time_text
from planner.plan.plan_record import Cut
from planner.report.figure_style import FONT, colours_of, ink_on
from planner.report.graph_folding import Block, fold
from planner.report.layered_layout import Point, layered_layout
from profiling.graph.operator_graph import OperatorGraph
from profiling.precision import Precision

FONT_PX = 13.0
LINE_PX = 17.0  # from one line of a label to the next
_PAD_X, _PAD_Y = 10.0, 5.0
_LONGEST = 26  # characters of a label's line
_NARROWEST = 76.0


@dataclass(frozen=True, slots=True)
class PlacedGraph:
    """What a plan makes of a model: each unit's device, precision and seconds, and what crosses links."""

    devices: Sequence[str]
    precisions: Sequence[Precision]
    seconds: Sequence[float]
    cuts: Sequence[Cut]
    source: str
    sink: str


@dataclass(frozen=True, slots=True)
class Box:
    """A box with its label.

    Parameters
    ----------
    key
        `unit-3`, `block-2` of a block that has a drawing of its own, or "" of what only stands around.
    fill, ink
        Of the box and of text on it; "" without a colour of its own.
    precision
        The shape; None of what is no unit.
    leads_to
        Key of what its label names elsewhere; "" if there is nothing.
    crosses
        Whether it is a tensor on a link.
    centre, size
        In pixels, from the left and from the top.
    """

    key: str
    label: tuple[str, ...]
    fill: str = ""
    ink: str = ""
    precision: Precision | None = None
    leads_to: str = ""
    crosses: bool = False
    centre: Point = (0.0, 0.0)

    @property
    def size(self) -> Point:
        """Width and height, from the label."""
        widest = max(map(text_width, self.label))
        return max(widest + 2 * _PAD_X, _NARROWEST), LINE_PX * len(self.label) + 2 * _PAD_Y


@dataclass(frozen=True, slots=True)
class Line:
    """A line between two boxes, by its points as `LayeredLayout.routes` has them."""

    points: tuple[Point, ...]
    crosses: bool


@dataclass(frozen=True, slots=True)
class Drawing:
    """A drawing, and those of its blocks.

    Parameters
    ----------
    key, title
        `block-2` and what the block is called; both "" of the whole graph.
    """

    key: str
    title: str
    boxes: tuple[Box, ...]
    lines: tuple[Line, ...]
    width: float
    height: float
    blocks: tuple["Drawing", ...]

    def all_drawings(self) -> Iterator["Drawing"]:
        """Yield this drawing and those of its blocks, each before its own."""
        yield self
        for block in self.blocks:
            yield from block.all_drawings()

    def devices(self, every_device: Sequence[str]) -> tuple[tuple[str, str], ...]:
        """Return name and colour of each device that computes."""
        used = {box.fill for drawing in self.all_drawings() for box in drawing.boxes}
        return tuple((name, colour) for name, colour in colours_of(every_device).items() if colour in used)


def graph_drawing(graph: OperatorGraph, placed: PlacedGraph, every_device: Sequence[str]) -> Drawing:
    """Return the drawing of a plan.

    Parameters
    ----------
    every_device
        Of the scenario, so that a device has its colour in all drawings.
    """
    return _Scene(graph, placed, every_device).drawing(Block("", range(len(graph.units))), "", "", {})


@cache
def text_width(text: str) -> float:
    """Return the pixels of a label's line, in a font that is wider than those of most systems."""
    font = FontProperties(family=FONT, size=FONT_PX)
    return float(text_to_path.get_text_width_height_descent(text, font, ismath=False)[0])


def _clipped(text: str) -> str:
    """Return the end of a long name, where names differ: whole layers of it if one fits."""
    while len(text) > _LONGEST and "/" in text:
        text = text.partition("/")[2]
    return text if len(text) <= _LONGEST else "…" + text[1 - _LONGEST :]


def _clipped_end(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


@dataclass(frozen=True, slots=True)
class _Flow:
    """A tensor from one unit to another one; -1 is the model's inputs, the number of units its outputs."""

    source: int
    target: int
    tensor: str
    crosses: bool


class _Scene:
    """The graph and plan of one drawing and those in it."""

    def __init__(self, graph: OperatorGraph, placed: PlacedGraph, every_device: Sequence[str]) -> None:
        self._graph = graph
        self._placed = placed
        self._colours = colours_of(every_device)
        self._edges = list(graph.dag.edges)
        self._count = len(graph.units)
        self._flows = list(self._all_flows())
        self._cuts = {(cut.tensor, cut.target): cut for cut in placed.cuts}
        self._blocks = 0

    def _all_flows(self) -> Iterator[_Flow]:
        """Yield each tensor's way from unit to unit, the model's inputs and outputs too."""
        graph, devices = self._graph, self._placed.devices
        for u, v, tensors in graph.dag.edges(data="tensors"):
            for tensor in tensors:
                yield _Flow(u, v, tensor.name, devices[u] != devices[v])
        for unit in graph.units:
            device = devices[unit.index]
            for name in unit.inputs:
                if name in graph.inputs:
                    yield _Flow(-1, unit.index, name, device != self._placed.source)
            for name in unit.outputs:
                if name in graph.outputs:
                    yield _Flow(unit.index, self._count, name, device != self._placed.sink)

    def drawing(self, block: Block, key: str, title: str, around: Mapping[int, Box]) -> Drawing:
        """Return the drawing of consecutive units.

        Parameters
        ----------
        around
            Unit outside the block -> the box that stands for it.
        """
        names = [unit.name for unit in self._graph.units]
        parts = fold(block.units, names, self._placed.devices, self._edges)
        own = [self._box(part) for part in parts]
        box_of = {unit: n for n, part in enumerate(parts) for unit in part.units}
        boxes, edges = self._connected(own, box_of, around or self._ends())
        layout = layered_layout([box.size for box in boxes], edges)
        seen_from_inside = dict(around or self._ends()) | {
            unit: replace(own[n], key="", leads_to=own[n].key, fill="", ink="", precision=None)
            for unit, n in box_of.items()
        }
        return Drawing(
            key,
            title,
            tuple(replace(box, centre=centre) for box, centre in zip(boxes, layout.centres, strict=True)),
            tuple(Line(points, edges[edge]) for edge, points in layout.routes.items()),
            layout.width,
            layout.height,
            tuple(
                self.drawing(part, box.key, _title(part, box), seen_from_inside)
                for part, box in zip(parts, own, strict=True)
                if len(part.units) > 1
            ),
        )

    def _connected(
        self, own: Sequence[Box], box_of: Mapping[int, int], around: Mapping[int, Box]
    ) -> tuple[list[Box], dict[tuple[int, int], bool]]:
        """Return own boxes, those around them and the tensors between, and edge -> whether it crosses a link.

        What is around stands above or below, once each. A tensor that crosses is a box of its own, once for
        each device that it goes to, so that its label has room.
        """
        boxes = list(own)
        places: dict[object, int] = {}
        edges: dict[tuple[int, int], bool] = {}

        def place(key: object, box: Box) -> int:
            if key not in places:
                places[key] = len(boxes)
                boxes.append(box)
            return places[key]

        for flow in self._flows:
            ends = [box_of.get(flow.source), box_of.get(flow.target)]
            if ends[0] == ends[1]:  # inside one box, or all outside
                continue
            source, target = (
                end if end is not None else place((side, around[unit]), around[unit])
                for end, side, unit in zip(ends, ("above", "below"), (flow.source, flow.target), strict=True)
            )
            cut = self._cut(flow)
            if cut is not None:
                middle = place((source, cut.tensor, cut.target), _cut_box(cut))
                edges[source, middle] = edges[middle, target] = True
            else:
                edges[source, target] = edges.get((source, target), False) or flow.crosses
        return boxes, edges

    def _cut(self, flow: _Flow) -> Cut | None:
        """Return the cut by which a tensor comes to a unit; None where both are on one device."""
        devices = self._placed.devices
        target = devices[flow.target] if flow.target < self._count else self._placed.sink
        return self._cuts.get((flow.tensor, target)) if flow.crosses else None

    def _ends(self) -> dict[int, Box]:
        graph = self._graph
        return {
            -1: Box("", (_clipped(_names("input", graph.inputs)), f"at {self._placed.source}")),
            self._count: Box("", (_clipped(_names("output", graph.outputs)), f"to {self._placed.sink}")),
        }

    def _box(self, block: Block) -> Box:
        devices = Counter(self._placed.devices[unit] for unit in block.units)
        fill = self._colours[next(iter(devices))] if len(devices) == 1 else ""
        ink = ink_on(fill) if fill else ""
        time = time_text(sum(self._placed.seconds[unit] for unit in block.units))
        if len(block.units) == 1:
            unit = self._graph.units[block.units.start]
            precision = self._placed.precisions[unit.index]
            operators = f"{unit.index} {'+'.join(unit.op_types)}"
            label = (_clipped_end(operators), f"{precision.value}, {time}")
            return Box(f"unit-{unit.index}", label, fill, ink, precision)
        self._blocks += 1
        precisions = Counter(self._placed.precisions[unit].value for unit in block.units)
        lines = [
            _clipped(block.name),
            f"{len(block.units)} units, {time}",
            _counts(precisions),
            *([_clipped(_counts(devices))] if len(devices) > 1 else []),
        ]
        key = f"block-{self._blocks}"
        return Box(key, tuple(lines), fill, ink, leads_to=key)


def _title(block: Block, box: Box) -> str:
    """Return what a block is called, and the rest of its label."""
    return f"{block.name}: {', '.join(box.label[1:])}"


def _names(what: str, names: Sequence[str]) -> str:
    return f"{what} {names[0]}" if len(names) == 1 else f"{len(names)} {what}s"


def _counts(counts: Mapping[str, int]) -> str:
    return " + ".join(f"{count} {name}" for name, count in counts.items())


def _cut_box(cut: Cut) -> Box:
    sent = f"{size_text(cut.size_bytes)} {cut.wire.value}, {time_text(cut.seconds)}"
    return Box("", (" > ".join(cut.path), sent), crosses=True)
