"""Which units come before which others."""

import networkx as nx

from planner.problem.placement_problem import PlacementProblem


def dependency_graph(problem: PlacementProblem) -> nx.DiGraph:
    """Return the units, by vertex number, with an edge wherever one reads what another writes."""
    graph: nx.DiGraph = nx.DiGraph()
    graph.add_nodes_from(v for v, vertex in enumerate(problem.vertices) if not vertex.is_terminal)
    for flow in problem.flows:
        graph.add_edges_from((flow.producer, v) for v in flow.consumers if {flow.producer, v} <= graph.nodes)
    return graph
