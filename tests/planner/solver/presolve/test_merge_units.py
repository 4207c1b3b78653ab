from dataclasses import replace

import pytest
from small_problems import direct, mesh

from planner.problem.devices import Device
from planner.problem.placement_problem import PlacementProblem
from planner.problem.quantities import CostMetric, Limit, ObjectiveTerm, Quantity
from planner.problem.tensors import Flow
from planner.problem.units import Option, Vertex
from planner.solver.presolve.merge_units import merge_costless_units
from planner.solver.solve import solve

STEPS = ((0.0, 2.0), (2.0, 0.0))
WEIGHT = Vertex("weight", (Option(0, weight_bytes=7), Option(1, weight_bytes=7)))
READER = Vertex("reader", (Option(0, seconds=1.0), Option(1, seconds=2.0)))
OTHER = Vertex("other", (Option(0, seconds=3.0), Option(1, seconds=1.0)))
TENSOR = Flow("w", 0, (1,), (direct("float", 0, STEPS),))
PROBLEM = PlacementProblem(
    (Device("a"), Device("b")),
    (WEIGHT, READER, OTHER),
    (TENSOR, Flow("x", 1, (2,), (direct("float", 0, STEPS),))),
    mesh(2),
)
ROOM = Quantity(CostMetric.MEMORY, 0)


def test_what_costs_nothing_is_kept_beside_its_only_reader():
    assert merge_costless_units(PROBLEM).together == ((0, 1),)


@pytest.mark.parametrize(
    "changes",
    [
        {"vertices": (replace(WEIGHT, options=(Option(0, seconds=0.1), WEIGHT.options[1])), READER, OTHER)},
        {"vertices": (replace(WEIGHT, options=(Option(0, noise_power=0.1), Option(1))), READER, OTHER)},
        {"vertices": (replace(WEIGHT, options=(Option(0, joules=0.1), Option(1))), READER, OTHER)},
        {"vertices": (replace(WEIGHT, options=(Option(0, activation_bytes=1), Option(1))), READER, OTHER)},
        {"vertices": (replace(WEIGHT, options=WEIGHT.options[:1]), READER, OTHER)},
        {"vertices": (replace(WEIGHT, is_terminal=True), READER, OTHER)},
        {"vertices": (WEIGHT, replace(READER, is_terminal=True), OTHER)},
        {"vertices": (WEIGHT, replace(READER, coupled_with=(0,)), OTHER)},
        {"flows": (replace(TENSOR, consumers=(1, 2)), PROBLEM.flows[1])},
        {"flows": (replace(TENSOR, quantizers=(1,)), PROBLEM.flows[1])},
        {"flows": (*PROBLEM.flows, Flow("y", 2, (0,), TENSOR.forms))},
        {"apart": ((0, 2),)},
        {"limits": (Limit(ROOM, 6.0),)},
        {"limits": (Limit(Quantity(CostMetric.MEMORY), 6.0),)},
        {"objective": (ObjectiveTerm(ROOM),)},
        {"objective": (ObjectiveTerm(Quantity(CostMetric.MEMORY)),)},
    ],
)
def test_whatever_may_make_another_place_better_leaves_it_free(changes):
    problem = replace(PROBLEM, **changes)
    assert merge_costless_units(problem) is problem


def test_where_everything_fits_a_limit_on_memory_is_no_matter():
    assert merge_costless_units(replace(PROBLEM, limits=(Limit(ROOM, 7.0),))).together == ((0, 1),)


def test_a_group_that_was_there_stays():
    problem = replace(PROBLEM, together=((1, 2),))
    merged = merge_costless_units(problem)
    assert merged.together in (((1, 2),), ((1, 2), (0, 1)))
    assert solve(merged).objective == pytest.approx(solve(problem).objective)
