"""Parts of a graph that all their paths enter at one node and leave at another: work on a device adds up.

Units of such a region that share a device are one stage, even where no path has two of them. The stage starts
after what enters the region, and what leaves it waits for all of the stage.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import networkx as nx

_MOST_UNITS = 20  # of all regions, times those of the graph: nested ones would be too many


@dataclass(frozen=True, slots=True)
class Region:
    """Nodes between two others, without these: paths to each pass the first, and paths from each the last."""

    tail: int
    head: int
    nodes: tuple[int, ...]


def regions(edges: Sequence[tuple[int, int]], begin: int, end: int) -> list[Region]:
    """Return regions of two nodes at least, but for that of all; the smallest of them where they are many.

    Parameters
    ----------
    edges
        Of a graph without cycles whose nodes all are between its begin and its end.
    """
    graph = nx.DiGraph(edges)
    if begin not in graph or end not in graph:
        return []
    before, after = _Dominators(graph, begin), _Dominators(graph.reverse(copy=False), end)
    pairs = [(node, after.nearest[node]) for node in graph if graph.out_degree(node) > 1]
    pairs += [(before.nearest[node], node) for node in graph if graph.in_degree(node) > 1]
    found = []
    for tail, head in dict.fromkeys(pairs):
        inside = set(before.dominated(tail)) & set(after.dominated(head))
        if len(inside) > 1 and (tail, head) != (begin, end):
            found.append(Region(tail, head, tuple(sorted(inside))))
    return list(_smallest(found, _MOST_UNITS * len(graph)))


def _smallest(found: Sequence[Region], most: int) -> Iterator[Region]:
    for region in sorted(found, key=lambda region: len(region.nodes)):
        most -= len(region.nodes)
        if most >= 0:
            yield region


class _Dominators:
    """Which nodes all paths from a root to others pass."""

    def __init__(self, graph: nx.DiGraph, root: int) -> None:
        self.nearest = {
            node: other for node, other in nx.immediate_dominators(graph, root).items() if node != root
        }
        self._tree = nx.DiGraph((other, node) for node, other in self.nearest.items())

    def dominated(self, node: int) -> Iterator[int]:
        """Yield the nodes to which all paths pass a node, without itself."""
        yield from nx.descendants(self._tree, node)
