"""In which of several alike stages a unit can be at all, if no device may be loaded longer than some period.

The earliest and latest stations of assembly line balancing (Scholl and Becker, "State-of-the-art exact and
heuristic solution procedures for simple assembly line balancing", European Journal of Operational Research
168, 2006), here with other devices that may take some of the work.
"""

import networkx as nx

from planner.problem.placement_problem import PlacementProblem
from planner.problem.unit_dag import dependency_graph
from planner.solver.presolve.device_symmetry import interchangeable_devices

_SLACK = 1e-9  # of the period


def feasible_options(problem: PlacementProblem, period_s: float) -> list[tuple[int, ...]]:
    """Return vertex -> the numbers of its options that a plan of at most this period may have."""
    classes = [
        one for one in interchangeable_devices(problem) if len(one) > 1 and problem.devices[one[0]].contiguous
    ]
    alike = max(classes, key=len, default=[])  # their stages run in this order
    most = period_s * (1 + _SLACK)
    graph = dependency_graph(problem)
    work = {v: _least(problem, v, alike[0]) or 0.0 for v in graph} if alike else dict.fromkeys(graph, 0.0)
    elsewhere = sum(_takeable(problem, work, d, most) for d in range(len(problem.devices)) if d not in alike)
    kept = []
    for v, vertex in enumerate(problem.vertices):
        if vertex.is_terminal:
            kept.append(tuple(range(len(vertex.options))))
            continue
        before = sum(work[u] for u in nx.ancestors(graph, v)) + work[v] - elsewhere
        after = sum(work[u] for u in nx.descendants(graph, v)) + work[v] - elsewhere
        stages = [
            d for k, d in enumerate(alike) if before <= (k + 1) * most and after <= (len(alike) - k) * most
        ]
        kept.append(
            tuple(
                o
                for o, option in enumerate(vertex.options)
                if option.seconds <= most and (option.device not in alike or option.device in stages)
            )
        )
    return kept


def _least(problem: PlacementProblem, vertex: int, device: int) -> float | None:
    here = [o.seconds for o in problem.vertices[vertex].options if o.device == device]
    return min(here, default=None)


def _takeable(problem: PlacementProblem, work: dict[int, float], device: int, period_s: float) -> float:
    """Return how much of the work, at most, another device can take within the period (in parts, even)."""
    taken, left = 0.0, period_s
    worth = []
    for v, seconds in work.items():
        own = _least(problem, v, device)
        if own is not None and own <= 0:
            taken += seconds
        elif own is not None:
            worth.append((seconds / own, own))
    for rate, own in sorted(worth, reverse=True):
        part = min(own, left)
        taken += rate * part
        left -= part
    return taken
