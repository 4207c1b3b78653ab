"""Devices filled one after the other, as far as their memory goes."""

from dataclasses import replace
from math import inf

from hypothesis import given, settings
from hypothesis import strategies as st
from small_problems import direct, mesh

from planner.problem.cost_evaluation import evaluate
from planner.problem.devices import Device
from planner.problem.placement_problem import PlacementProblem
from planner.problem.quantities import CostMetric, Limit, ObjectiveTerm, Quantity
from planner.problem.tensors import Flow
from planner.problem.units import Option, Vertex
from planner.solver.heuristics.filled_devices import filled_devices
from planner.solver.solve import solve
from planner.solver.solver_options import SolverOptions

MAKESPAN = ObjectiveTerm(Quantity(CostMetric.MAKESPAN))
FREE = direct("float", 0, ((0.0,) * 3,) * 3, size=1)


def row(sizes, room, seconds=(1.0, 1.0, 10.0), **devices) -> PlacementProblem:
    """Return a row of units on two devices with little memory, and a slow one that may be returned to."""
    options = [tuple(Option(d, seconds=seconds[d], weight_bytes=size) for d in range(3)) for size in sizes]
    return PlacementProblem(
        (Device("a"), Device("b"), Device("c", **({"contiguous": False} | devices))),
        tuple(Vertex(f"u{number}", option) for number, option in enumerate(options)),
        tuple(Flow(f"t{u}", u, (u + 1,), (FREE,)) for u in range(len(sizes) - 1)),
        mesh(3),
        limits=tuple(Limit(Quantity(CostMetric.MEMORY, d), room) for d in range(2)),
        objective=(MAKESPAN,),
    )


def devices_of(problem: PlacementProblem, choice) -> list[int]:
    return [vertex.options[o].device for vertex, o in zip(problem.vertices, choice.options, strict=True)]


def test_each_device_takes_what_fits_and_the_rest_goes_to_the_one_that_is_returned_to():
    problem = row([2.0, 2.0, 9.0, 2.0, 2.0, 2.0, 1.0], 5.0)
    ahead, back = (devices_of(problem, choice) for choice in filled_devices(problem))
    # What is too large for an empty device leaves the device to what comes behind it.
    assert ahead == [0, 0, 2, 1, 1, 2, 2]
    assert back == [2, 2, 2, 1, 0, 0, 0]


@settings(max_examples=80, deadline=None)
@given(st.lists(st.integers(0, 6).map(float), min_size=1, max_size=8), st.integers(1, 12).map(float))
def test_memory_is_kept_and_units_on_a_device_follow_each_other(sizes, room):
    problem = row(sizes, room)
    for choice in filled_devices(problem):
        cost = evaluate(problem, choice)
        assert all(cost.value(limit.quantity) <= limit.at_most for limit in problem.limits)
        assert cost.makespan_s < inf


def test_units_that_share_a_device_are_placed_at_once():
    problem = replace(row([2.0, 2.0, 2.0, 2.0], 5.0), together=((1, 3),))
    for choice in filled_devices(problem):
        devices = devices_of(problem, choice)
        assert devices[1] == devices[2] == devices[3]


def test_without_a_device_for_the_rest_there_may_be_no_such_plan():
    problem = row([9.0, 9.0], 5.0, contiguous=True)
    limits = (*problem.limits, Limit(Quantity(CostMetric.MEMORY, 2), 5.0))
    assert not list(filled_devices(replace(problem, limits=limits)))


def test_a_makespan_is_no_worse_than_that_of_filled_devices():
    problem = row([1.0 + unit % 3 for unit in range(60)], 40.0)
    filled = min(evaluate(problem, choice).objective for choice in filled_devices(problem))
    assert solve(problem, SolverOptions(time_limit_s=2.0)).objective <= filled
