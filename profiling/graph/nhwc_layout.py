"""Which units are fast in int8 only where the runtime keeps their tensors channels-last.

ONNX Runtime's integer convolutions work channels-last, and it keeps that order through the elementwise
operators between two of them. Its MaxPool for integers is fast in that order and takes up to 40 times as
long in the other, so a MaxPool should be int8 only where int8 convolutions lie before and behind it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import networkx as nx

_POOL = "MaxPool"
_CONV = "Conv"
_KEEPS_ORDER = frozenset(
    {"Add", "AveragePool", "Clip", "Concat", "LeakyRelu", "MaxPool", "Mul", "Relu", "Sigmoid"}
)
MAXPOOL_OBSTACLE = "MaxPool is slow in int8 unless int8 convolutions lie before and behind it"


@dataclass(frozen=True, slots=True)
class LayoutContext:
    """What a unit's layout depends on.

    Parameters
    ----------
    op_types
        Of its nodes.
    quantizable
        Whether it can be brought into int8.
    ends
        Whether it reads an input of the graph, and whether it writes an output.
    """

    op_types: tuple[str, ...]
    quantizable: bool
    ends: tuple[bool, bool]


def maxpool_coupling(units: Sequence[LayoutContext], dag: nx.DiGraph) -> Mapping[int, tuple[int, ...]]:
    """Return MaxPool unit -> units that have to be int8 with it, empty if it had better not be at all."""
    return {
        index: tuple(sorted(_around(index, units, dag)))
        for index, unit in enumerate(units)
        if unit.quantizable and _POOL in unit.op_types
    }


def _around(index: int, units: Sequence[LayoutContext], dag: nx.DiGraph) -> set[int]:
    """Return the units before and behind a pool up to the next convolutions; empty if others come first."""
    if not _KEEPS_ORDER.issuperset(units[index].op_types):
        return set()
    coupled: set[int] = set()
    for end, neighbours in enumerate((dag.predecessors, dag.successors)):
        side = _side(index, units, end, neighbours)
        if not side:
            return set()
        coupled |= side
    return coupled


def _side(
    index: int, units: Sequence[LayoutContext], end: int, neighbours: Callable[[int], Iterable[int]]
) -> set[int]:
    """Return the units on one side up to the next convolutions; empty if there is something else."""
    reached: set[int] = set()
    todo = [index]
    while todo:
        unit = todo.pop()
        if units[unit].ends[end]:  # the caller's order is channels-first
            return set()
        for other in set(neighbours(unit)) - reached:
            reached.add(other)
            if not units[other].quantizable:
                return set()
            if units[other].op_types[0] == _CONV:
                continue  # channels-last begins or ends here
            if not _KEEPS_ORDER.issuperset(units[other].op_types):
                return set()
            todo.append(other)
    return reached
