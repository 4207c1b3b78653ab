"""The sets of units that a pipeline can have finished between two stages: all, or those of some orders."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from planner.problem.placement_problem import PlacementProblem
from planner.problem.unit_dag import dependency_graph

_MOST_IDEALS = 2000  # their pairs are a matrix of 32 MB per class of devices


@dataclass(frozen=True, slots=True)
class FinishedSets:
    """Ideals of a problem's units, smallest first.

    Parameters
    ----------
    units
        The vertices that are units.
    members
        Ideal -> unit -> whether it is in; shape [ideals, units].
    are_all
        Whether the units have no other ideals.
    """

    units: list[int]
    members: NDArray[np.bool_]
    are_all: bool


def finished_sets(problem: PlacementProblem) -> FinishedSets:
    """Return all ideals, or those of a few orders where these are too many."""
    units = [v for v, vertex in enumerate(problem.vertices) if not vertex.is_terminal]
    position = {v: i for i, v in enumerate(units)}
    # Units that are together form one block, since an edge each way makes a cycle.
    graph = dependency_graph(problem)
    for group in problem.together:  # what is together is done together
        inside = [v for v in group if v in position]
        nx.add_path(graph, inside)
        nx.add_path(graph, inside[::-1])
    blocks = nx.condensation(graph)
    ideals = _all_ideals(blocks)
    complete = len(ideals) <= _MOST_IDEALS
    if not complete:
        # Too many: prefixes of a few orders are ideals, too, and give good plans without a proof.
        ideals = _prefixes(_orders(blocks))
    membership = np.zeros((len(ideals), len(units)), dtype=bool)
    for row, ideal in enumerate(sorted(ideals, key=lambda ideal: (len(ideal), sorted(ideal)))):
        for block in ideal:
            membership[row, [position[v] for v in blocks.nodes[block]["members"]]] = True
    return FinishedSets(units, membership, complete)


def _all_ideals(blocks: nx.DiGraph) -> set[frozenset[int]]:
    """Return all ideals of an order, or a few more than are wanted."""
    before = {block: frozenset(blocks.predecessors(block)) for block in nx.topological_sort(blocks)}
    ideals = {frozenset[int]()}
    waiting = [frozenset[int]()]
    while waiting and len(ideals) <= _MOST_IDEALS:
        ideal = waiting.pop()
        larger = {
            ideal | {b} for b, predecessors in before.items() if b not in ideal and predecessors <= ideal
        } - ideals
        ideals |= larger
        waiting += larger
    return ideals


def _orders(blocks: nx.DiGraph) -> list[list[int]]:
    """Return topological orders: as listed, depth first, and level by level."""
    level: dict[int, int] = {}
    for block in nx.topological_sort(blocks):
        level[block] = max((level[b] + 1 for b in blocks.predecessors(block)), default=0)
    keys: list[Callable[[int], tuple[int, int]]] = [
        lambda b: (0, min(blocks.nodes[b]["members"])),
        lambda b: (level[b], b),
    ]
    orders = [list(nx.lexicographical_topological_sort(blocks, key=key)) for key in keys]
    depth_first = list(nx.dfs_postorder_nodes(blocks.reverse(copy=False)))
    return [*orders, depth_first]


def _prefixes(orders: Iterable[list[int]]) -> set[frozenset[int]]:
    ideals: set[frozenset[int]] = set()
    for order in orders:
        step = -(-3 * len(order) // _MOST_IDEALS)
        ideals |= {frozenset(order[:count]) for count in range(0, len(order), step)} | {frozenset(order)}
    return ideals
