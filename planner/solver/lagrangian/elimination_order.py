"""The order in which variables leave a sum of tables: small tables first, and many at once where that can be.

The least tree width is NP-hard to find; the cheapest next variable is close to it on graphs that are nearly
chains. Among cheap variables those come first that wait for no other: what is left is a tree of bags whose
height grows with the logarithm of a chain, so that bags of equal height and shape are computed together.
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

Scope = tuple[int, ...]

_CHEAP = 4096.0  # numbers in a table that take about as long as the call that goes through them


@dataclass(frozen=True, slots=True)
class Bag:
    """A variable that leaves, and what it shares tables with by then.

    Parameters
    ----------
    variables
        The one that leaves, then the others in the order in which they leave.
    parent
        The number of the bag that has all the others; None if there are none.
    """

    variables: Scope
    parent: int | None


def eliminate(sizes: Sequence[int], scopes: Sequence[Scope]) -> list[Bag]:
    """Return a bag per variable, in the order in which they leave: each parent comes after its children.

    Parameters
    ----------
    sizes
        Number of values per variable.
    scopes
        The variables of each table.

    Examples
    --------
    >>> [bag.variables for bag in eliminate([2, 2, 2], [(0, 1), (1, 2)])]
    [(0, 1), (2, 1), (1,)]
    """
    neighbours: list[set[int]] = [set() for _ in sizes]
    for scope in scopes:
        for v in scope:
            neighbours[v].update(scope)
    for v, others in enumerate(neighbours):
        others.discard(v)
    return _bags(_leaving(sizes, neighbours))


def _leaving(sizes: Sequence[int], neighbours: list[set[int]]) -> list[tuple[int, set[int]]]:
    """Return each variable and its neighbours when it leaves, which it makes neighbours of each other."""
    waits_for = [0] * len(sizes)

    def rank(v: int) -> tuple[float, int, int]:
        entries = float(sizes[v]) * prod(float(sizes[w]) for w in neighbours[v])
        return max(entries, _CHEAP), waits_for[v], v

    ranks = [rank(v) for v in range(len(sizes))]
    heap, gone, order = sorted(ranks), [False] * len(sizes), []
    while heap:
        first = heapq.heappop(heap)
        v = first[-1]
        if gone[v] or first != ranks[v]:
            continue
        gone[v] = True
        order.append((v, neighbours[v]))
        for w in neighbours[v]:
            neighbours[w] |= neighbours[v]
            neighbours[w] -= {v, w}
            waits_for[w] = max(waits_for[w], waits_for[v] + 1)
        for w in neighbours[v]:
            ranks[w] = rank(w)
            heapq.heappush(heap, ranks[w])
    return order


def _bags(order: Sequence[tuple[int, set[int]]]) -> list[Bag]:
    position = {v: number for number, (v, _) in enumerate(order)}
    bags = []
    for v, others in order:
        later = sorted(others, key=position.__getitem__)
        bags.append(Bag((v, *later), position[later[0]] if later else None))
    return bags
