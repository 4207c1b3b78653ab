"""The options near plans: where an integer program looks for a better one (large neighbourhood search).

Shaw, "Using constraint programming and local search methods to solve vehicle routing problems", CP 1998;
here a unit may move to the devices of units that are a few tensors away, which moves the ends of stages.
"""

from collections.abc import Sequence

import networkx as nx

from planner.problem.placement_problem import PlacementProblem


def nearby_options(
    problem: PlacementProblem, plans: Sequence[Sequence[int]], hops: int
) -> list[tuple[int, ...]]:
    """Return vertex -> the numbers of its options on devices that plans use at most so many tensors away.

    Parameters
    ----------
    plans
        Each has vertex -> the number of its option.
    hops
        At least 0: then each unit stays on its devices, in any precision.
    """
    tensors: nx.Graph = nx.Graph()
    tensors.add_nodes_from(range(len(problem.vertices)))
    for flow in problem.flows:
        ends = [v for v in (flow.producer, *flow.consumers) if not problem.vertices[v].is_terminal]
        tensors.add_edges_from((ends[0], v) for v in ends[1:])
    devices = [
        {vertex.options[plan[v]].device for plan in plans} for v, vertex in enumerate(problem.vertices)
    ]
    for _ in range(hops):
        # From each unit's neighbours as they were one step before.
        devices = [devices[v].union(*(devices[w] for w in tensors[v])) for v in range(len(problem.vertices))]
    return [
        tuple(o for o, option in enumerate(vertex.options) if option.device in near)
        for vertex, near in zip(problem.vertices, devices, strict=True)
    ]
