"""Which of several interchangeable stages a unit can be in, if no device may be loaded longer than a period.

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
    """Return vertex -> the numbers of its options that a plan of at most this period may have.

    Before the k-th stage at most k periods of work fit on interchangeable devices, besides what other devices
    can take; likewise behind it.
    """
    classes = [
        members
        for members in interchangeable_devices(problem)
        if len(members) > 1 and problem.devices[members[0]].contiguous
    ]
    # Of several classes the largest gives the most windows.
    alike = max(classes, key=len, default=[])  # their stages run in this order
    longest_s = period_s * (1 + _SLACK)
    graph = dependency_graph(problem)
    work = (
        {v: _least_seconds(problem, v, alike[0]) or 0.0 for v in graph}
        if alike
        else dict.fromkeys(graph, 0.0)
    )
    work_elsewhere = sum(
        _most_work(problem, work, d, longest_s) for d in range(len(problem.devices)) if d not in alike
    )
    keep = []
    for v, vertex in enumerate(problem.vertices):
        if vertex.is_terminal:
            keep.append(tuple(range(len(vertex.options))))
            continue
        work_before = sum(work[u] for u in nx.ancestors(graph, v)) + work[v] - work_elsewhere
        work_after = sum(work[u] for u in nx.descendants(graph, v)) + work[v] - work_elsewhere
        stages = [
            d
            for k, d in enumerate(alike)
            if work_before <= (k + 1) * longest_s and work_after <= (len(alike) - k) * longest_s
        ]
        keep.append(
            tuple(
                o
                for o, option in enumerate(vertex.options)
                if option.seconds <= longest_s and (option.device not in alike or option.device in stages)
            )
        )
    return keep


def _least_seconds(problem: PlacementProblem, vertex: int, device: int) -> float | None:
    candidates = [o.seconds for o in problem.vertices[vertex].options if o.device == device]
    return min(candidates, default=None)


def _most_work(problem: PlacementProblem, work: dict[int, float], device: int, period_s: float) -> float:
    """Return how much of the work, at most, another device can take within the period.

    The fractional knapsack, filled by seconds saved per second spent, bounds any whole choice of units.
    """
    taken, left_s = 0.0, period_s
    by_rate = []
    for v, seconds in work.items():
        seconds_there = _least_seconds(problem, v, device)
        if seconds_there is not None and seconds_there <= 0:
            taken += seconds
        elif seconds_there is not None:
            by_rate.append((seconds / seconds_there, seconds_there))
    for rate, seconds_there in sorted(by_rate, reverse=True):
        part = min(seconds_there, left_s)
        taken += rate * part
        left_s -= part
    return taken
