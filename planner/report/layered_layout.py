"""Boxes of a directed acyclic graph in layers from top to bottom, with lines that pass between them.

Longest-path layers, the barycentre method against crossings, and positions by least squares: Sugiyama,
Tagawa, Toda, "Methods for visual understanding of hierarchical system structures", 1981.
"""

from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import networkx as nx

Point = tuple[float, float]
Edge = tuple[int, int]

GAP_X, GAP_Y = 18.0, 26.0  # between boxes, and between layers
_MARGIN = 6.0
_LINE_WIDTH = 4.0  # the room that a line takes in a layer which it passes
_SWEEPS = 8
_STRAIGHT = 4.0  # how much more a long line pulls straight than a box is pulled to its neighbours


@dataclass(frozen=True, slots=True)
class LayeredLayout:
    """Where boxes stand and lines run.

    Parameters
    ----------
    centres
        Of each box. No two boxes overlap.
    routes
        Edge -> points of its line, from the lower side of a box to the upper side of another one. Between an
        even point and the next one it runs straight down and passes no box; between an odd point and the next
        one it crosses the gap between two layers.
    """

    centres: tuple[Point, ...]
    routes: Mapping[Edge, tuple[Point, ...]]
    width: float
    height: float


def layered_layout(sizes: Sequence[tuple[float, float]], edges: Iterable[Edge]) -> LayeredLayout:
    """Return a layout of boxes; each edge leads downwards.

    Parameters
    ----------
    sizes
        Width and height of each box.
    edges
        Pairs of indices, without a cycle.
    """
    if not sizes:
        return LayeredLayout((), {}, 2 * _MARGIN, 2 * _MARGIN)
    layers = _layered(len(sizes), edges)
    _order(layers)
    x = _columns(layers, [width for width, _ in sizes])
    heights = [max((sizes[node][1] for node in row if node < len(sizes)), default=0.0) for row in layers.rows]
    tops = [_MARGIN + sum(heights[:n]) + n * GAP_Y for n in range(len(heights))]
    bands = [(top, top + height) for top, height in zip(tops, heights, strict=True)]
    centres = tuple((x[node], sum(bands[layers.layer_of[node]]) / 2) for node in range(len(sizes)))
    routes = {
        edge: tuple(_route(chain, x, [bands[layers.layer_of[node]] for node in chain], sizes))
        for edge, chain in layers.chains.items()
    }
    right = max(x[node] + layers.width(node, sizes) / 2 for node in x)
    return LayeredLayout(centres, routes, right + _MARGIN, bands[-1][1] + _MARGIN)


@dataclass(slots=True)
class _Layers:
    """Rows of boxes and of the points at which lines pass; a line's points have numbers above the boxes'.

    Parameters
    ----------
    above, below
        Node -> its neighbours in the next row.
    chains
        Edge -> the nodes that its line passes, both ends included.
    """

    boxes: int
    rows: list[list[int]]
    layer_of: dict[int, int]
    above: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))
    below: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))
    chains: dict[Edge, list[int]] = field(default_factory=dict)

    def width(self, node: int, sizes: Sequence[tuple[float, float]]) -> float:
        """Return the room that a node takes in its row."""
        return sizes[node][0] if node < self.boxes else _LINE_WIDTH

    def connect(self, chain: Sequence[int]) -> None:
        """Make the nodes of a chain neighbours, each pair once."""
        for upper, lower in pairwise(chain):
            if lower not in self.below[upper]:
                self.below[upper].append(lower)
                self.above[lower].append(upper)


def _layered(count: int, edges: Iterable[Edge]) -> _Layers:
    """Return each box in the layer of its longest path, and lines with a point in each layer they pass."""
    graph: nx.DiGraph = nx.DiGraph()
    graph.add_nodes_from(range(count))
    graph.add_edges_from(edges)
    layer_of = {node: n for n, row in enumerate(nx.topological_generations(graph)) for node in row}
    for node in range(count):
        if not graph.in_degree(node) and graph.out_degree(node):  # close to what reads it
            layer_of[node] = min(layer_of[below] for below in graph.successors(node)) - 1
    layers = _Layers(count, [[] for _ in range(1 + max(layer_of.values()))], layer_of)
    # Depth first, so that a branch starts out in one piece.
    roots = [node for node in range(count) if not graph.in_degree(node)]
    order: dict[int, None] = {}
    for root in roots:
        order.update(dict.fromkeys(nx.dfs_preorder_nodes(graph, root)))
    for node in order:
        layers.rows[layer_of[node]].append(node)
        _add_lines(layers, node, sorted(graph.successors(node), key=lambda below: layer_of[below]))
    return layers


def _add_lines(layers: _Layers, node: int, targets: Sequence[int]) -> None:
    """Add the lines that leave a node; they run as one as far as they go the same way."""
    passed = [node]
    for target in targets:
        while layers.layer_of[node] + len(passed) < layers.layer_of[target]:
            point = len(layers.layer_of)
            layers.layer_of[point] = layers.layer_of[node] + len(passed)
            layers.rows[layers.layer_of[point]].append(point)
            passed.append(point)
        chain = [*passed[: layers.layer_of[target] - layers.layer_of[node]], target]
        layers.connect(chain)
        layers.chains[node, target] = chain


def _order(layers: _Layers) -> None:
    """Order each row by the means of its neighbours' positions, and keep the order with fewest crossings."""
    best, fewest = [list(row) for row in layers.rows], _crossings(layers)
    for sweep in range(_SWEEPS):
        if not fewest:
            break
        neighbours, rows = (
            (layers.above, layers.rows) if sweep % 2 == 0 else (layers.below, layers.rows[::-1])
        )
        for fixed, row in pairwise(rows):
            position = {node: n for n, node in enumerate(fixed)}
            mean = {
                node: _mean([position[other] for other in neighbours[node]], n) for n, node in enumerate(row)
            }
            row.sort(key=mean.__getitem__)
        crossings = _crossings(layers)
        if crossings < fewest:
            best, fewest = [list(row) for row in layers.rows], crossings
    for row, order in zip(layers.rows, best, strict=True):
        row[:] = order


def _mean(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


def _crossings(layers: _Layers) -> int:
    """Return how many pairs of lines cross."""
    count = 0
    for row, lower in pairwise(layers.rows):
        position = {node: n for n, node in enumerate(lower)}
        seen: list[int] = []
        for node in row:
            ends = sorted(position[other] for other in layers.below[node])
            count += sum(len(seen) - bisect_left(seen, end + 1) for end in ends)
            for end in ends:
                insort(seen, end)
    return count


def _columns(layers: _Layers, widths: Sequence[float]) -> dict[int, float]:
    """Return each node's x: as near to its neighbours' means as the order and the widths of its row allow."""
    x: dict[int, float] = {}

    def width(node: int) -> float:
        return widths[node] if node < layers.boxes else _LINE_WIDTH

    for row in layers.rows:
        x.update(zip(row, _spread([0.0] * len(row), [1.0] * len(row), list(map(width, row))), strict=True))
    both = {node: layers.above[node] + layers.below[node] for row in layers.rows for node in row}
    for sweep in range(2 * _SWEEPS + 1):
        last = sweep == 2 * _SWEEPS
        neighbours = both if last else (layers.above, layers.below)[sweep % 2]
        for row in layers.rows if last or sweep % 2 == 0 else layers.rows[::-1]:
            wanted = [_mean([x[other] for other in neighbours[node]], x[node]) for node in row]
            weights = [1.0 if node < layers.boxes else _STRAIGHT for node in row]
            x.update(zip(row, _spread(wanted, weights, list(map(width, row))), strict=True))
    left = min(x[node] - width(node) / 2 for node in x)
    return {node: value - left + _MARGIN for node, value in x.items()}


def _spread(wanted: Sequence[float], weights: Sequence[float], widths: Sequence[float]) -> list[float]:
    """Return positions near those wanted, by weighted least squares, such that nothing overlaps.

    Less the room of all before it, each position may not be below the one before: isotonic regression, by
    pooling adjacent violators.
    """
    offsets = [0.0]
    for one, other in pairwise(widths):
        offsets.append(offsets[-1] + (one + other) / 2 + GAP_X)
    pools: list[tuple[float, float, int]] = []  # mean, weight, how many
    for value, offset, weight in zip(wanted, offsets, weights, strict=False):
        mean, total, count = value - offset, weight, 1
        while pools and pools[-1][0] > mean:
            other, share, more = pools.pop()
            mean = (mean * total + other * share) / (total + share)
            total, count = total + share, count + more
        pools.append((mean, total, count))
    level = [mean for mean, _, count in pools for _ in range(count)]
    return [value + offset for value, offset in zip(level, offsets, strict=False)]


def _route(
    chain: Sequence[int],
    x: Mapping[int, float],
    bands: Sequence[tuple[float, float]],
    sizes: Sequence[tuple[float, float]],
) -> list[Point]:
    """Return the points of a line: each layer's band is passed straight down, outside all boxes."""
    first, last = chain[0], chain[-1]
    points = [(x[first], sum(bands[0]) / 2 + sizes[first][1] / 2), (x[first], bands[0][1])]
    for node, (top, bottom) in zip(chain[1:-1], bands[1:-1], strict=True):
        points += [(x[node], top), (x[node], bottom)]
    return [*points, (x[last], bands[-1][0]), (x[last], sum(bands[-1]) / 2 - sizes[last][1] / 2)]
