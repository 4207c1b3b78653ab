import networkx as nx
from hypothesis import given, settings
from small_problems import small_problem
from strategies import problems

from planner.problem.unit_dag import dependency_graph


def test_units_that_share_tensors_are_joined_and_ends_are_left_out():
    graph = dependency_graph(small_problem())
    assert set(graph.nodes) == {0, 1, 2}
    assert set(graph.edges) == {(0, 1), (0, 2), (1, 2)}


@settings(max_examples=15, deadline=None)
@given(problems())
def test_an_edge_is_a_tensor_from_a_unit_to_a_unit(problem):
    graph = dependency_graph(problem)
    units = {v for v, vertex in enumerate(problem.vertices) if not vertex.is_terminal}
    wanted = {(flow.producer, v) for flow in problem.flows for v in flow.consumers}
    assert set(graph.nodes) == units
    assert set(graph.edges) == {(a, b) for a, b in wanted if a in units and b in units}
    assert nx.is_directed_acyclic_graph(graph)
