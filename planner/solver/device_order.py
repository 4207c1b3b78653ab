"""The order in which the stages of contiguous devices run, as far as it is decided."""

import itertools
from collections.abc import Iterable, Iterator, Sequence

import networkx as nx

from planner.problem.placement_problem import PlacementProblem
from planner.solver.presolve.device_symmetry import interchangeable_devices

# (device, device whose stage runs after its own), with all pairs that follow from others
DeviceOrder = frozenset[tuple[int, int]]


def implied_order(problem: PlacementProblem) -> DeviceOrder:
    """Return the order that may be assumed.

    Visits of one device run by their numbers. Interchangeable devices do, too: exchanging them changes
    nothing, so that one of the best plans has them in this order.
    """
    classes = {d: number for number, row in enumerate(interchangeable_devices(problem)) for d in row}
    contiguous = [d for d, device in enumerate(problem.devices) if device.contiguous]

    def is_implied(a: int, b: int) -> bool:
        return problem.physical_device(a) == problem.physical_device(b) or (
            a in classes and classes[a] == classes.get(b)
        )

    return closed(pair for pair in itertools.combinations(contiguous, 2) if is_implied(*pair))


def closed(pairs: Iterable[tuple[int, int]]) -> DeviceOrder:
    """Return an order with all that follows from some pairs of it.

    Examples
    --------
    >>> sorted(closed({(0, 1), (1, 2)}))
    [(0, 1), (0, 2), (1, 2)]
    """
    return frozenset(nx.transitive_closure(nx.DiGraph(list(pairs))).edges)


def next_devices(order: DeviceOrder, device: int, among: Iterable[int]) -> list[int]:
    """Return those of some devices that come after a device, without those that also come after one of them.

    Examples
    --------
    >>> next_devices(closed({(0, 1), (1, 2), (0, 3)}), 0, [1, 2, 3])
    [1, 3]
    """
    later = [e for e in among if (device, e) in order]
    return [e for e in later if not any((between, e) in order for between in later)]


def goes_against(problem: PlacementProblem, options: Sequence[int], order: DeviceOrder) -> bool:
    """Return whether a tensor of a unit goes against an order of devices."""
    return any((end, start) in order for start, end in moves(problem, options))


def moves(problem: PlacementProblem, options: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield (device, device) for each edge between units."""
    vertices = problem.vertices
    for flow in problem.flows:
        if not vertices[flow.producer].is_terminal:
            start = vertices[flow.producer].options[options[flow.producer]].device
            for v in flow.consumers:
                if not vertices[v].is_terminal:
                    yield start, vertices[v].options[options[v]].device
