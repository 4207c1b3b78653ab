from math import inf

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.problem.devices import Device
from planner.problem.placement_problem import PlacementProblem
from planner.problem.units import Option, Vertex
from planner.solver.lagrangian.option_table import OptionTable

# (device, format): several options of one kind, apart from each other.
KINDS = [[(0, 0), (1, 0), (0, 0), (0, 1), (0, 0)], [(1, 1)], [(1, 0), (0, 1), (1, 0), (0, 1)]]
PROBLEM = PlacementProblem(
    (Device("a"), Device("b")),
    tuple(
        Vertex(f"u{v}", tuple(Option(device, f, seconds=0.1 * o) for o, (device, f) in enumerate(row)))
        for v, row in enumerate(KINDS)
    ),
    (),
)
COST = st.integers(0, 5).map(float) | st.just(inf)


@settings(max_examples=100, deadline=None)
@given(st.lists(COST, min_size=10, max_size=10))
def test_only_the_cheapest_option_of_a_device_and_format_counts(costs):
    table, costs = OptionTable(PROBLEM), np.array(costs)
    of_kinds = table.of_kinds(costs)
    for v, row in enumerate(KINDS):
        own = costs[table.slices[v]]
        kinds = list(dict.fromkeys(row))
        least = [min(c for c, of in zip(own, row, strict=True) if of == kind) for kind in kinds]
        assert of_kinds[v].tolist() == least
        for k, kind in enumerate(kinds):
            option = table.cheapest(costs, [k if w == v else 0 for w in range(len(KINDS))])[v]
            assert row[option] == kind
            assert own[option] == least[k]


def test_an_option_costs_as_much_more_than_its_kind_as_it_does_alone():
    table = OptionTable(PROBLEM)
    costs = np.array([3.0, 1.0, 2.0, 0.0, inf, 4.0, 7.0, 5.0, 6.0, 5.0])
    marginals = [np.array([12.0, 11.0, 10.0]), np.array([10.0]), np.array([inf, 10.0])]
    found = [row.tolist() for row in table.of_options(costs, marginals)]
    assert found == [[13.0, 11.0, 12.0, 10.0, inf], [10.0], [inf, 10.0, inf, 10.0]]


def test_the_largest_difference_is_that_of_one_vertex():
    costs = np.array([3.0, 1.0, 2.0, 0.0, 1.0, 40.0, 7.0, 5.0, 6.0, 5.0])
    assert OptionTable(PROBLEM).most_difference(costs) == pytest.approx(3.0)
