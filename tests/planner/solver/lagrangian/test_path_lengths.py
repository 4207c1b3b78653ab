"""Paths never take longer than the makespan, and what follows from it bounds every plan."""

from dataclasses import replace
from functools import partial
from math import inf
from time import perf_counter

import oracle
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from small_problems import mesh
from strategies import problems

from planner.problem.devices import Device
from planner.problem.placement_problem import Choice, PlacementProblem
from planner.problem.quantities import CostMetric, ObjectiveTerm, Quantity
from planner.problem.tensors import Flow, WireForm
from planner.problem.units import Option, Vertex
from planner.solver.backends import run_solver
from planner.solver.lagrangian import path_regions
from planner.solver.lagrangian.dual_bound import highest_bound, probe
from planner.solver.lagrangian.dual_problem import LagrangianDual, Restriction
from planner.solver.lagrangian.serial_devices import SerialDevices, sections
from planner.solver.milp.build_program import build_program
from planner.solver.solver_options import SolverOptions

MAKESPAN = ObjectiveTerm(Quantity(CostMetric.MAKESPAN))


def in_stages(problem, *terms):
    """Return the problem with one stage per device, and its least makespan wanted."""
    devices = tuple(replace(device, contiguous=True) for device in problem.devices)
    return replace(problem, devices=devices, objective=(MAKESPAN, *terms))


def possible(problem):
    """Yield (choice, price) of what can be a plan but for limits."""
    for choice in oracle.choices(problem):
        cost = oracle.price(problem, choice)
        if cost.ordered and cost.sound and cost.makespan < inf:
            yield choice, cost


@settings(max_examples=100, deadline=None)
@given(problems(max_units=4))
def test_no_path_takes_longer_than_the_makespan(problem):
    problem = in_stages(problem)
    paths = LagrangianDual(problem, perf_counter).paths
    lengths = paths.without(frozenset())
    for choice, cost in possible(problem):
        assert paths.graph.longest(lengths.of(choice)) <= cost.makespan + 1e-12


def test_options_of_one_device_and_format_differ_in_their_seconds_alone():
    """Each unit is slow, quick or in between on a device: tables of tensors tell only devices apart."""
    problem = network([(0, (1, 2)), (1, (3,)), (2, (3,))], [[1.0, 1.0]] * 4)
    several = tuple(
        Vertex(vertex.name, tuple(Option(d, seconds=s) for s, d in ((5.0, 0), (3.0, 1), (1.0, 0), (2.0, 1))))
        for vertex in problem.vertices
    )
    steps = WireForm("float", 0, 1, (0.5, 0.25), (((), (0,)), ((1,), ())))
    flows = tuple(replace(flow, forms=(steps,)) for flow in problem.flows)
    problem = replace(problem, vertices=several, flows=flows, links=mesh(2))
    dual = LagrangianDual(problem, perf_counter)
    lengths = dual.paths.without(frozenset())
    for options, seconds in (((0, 2, 1, 2), 5 + 0.5 + 3 + 0.25 + 1), ((1, 3, 3, 1), 3 + 2 + 2 + 3)):
        assert dual.paths.graph.longest(lengths.of(Choice(options))) == pytest.approx(seconds)
    without_first = dual.paths.without(frozenset({0}))
    assert dual.paths.graph.longest(without_first.of(Choice((0, 2, 1, 2)))) == pytest.approx(0.5 + 3 + 0.25)
    # Three quick units in a row, and at most all four of them on their device.
    assert 3.0 - 1e-9 <= highest_bound(dual, perf_counter() + 10.0, Restriction()).value <= 4.0 + 1e-9


def test_a_device_works_on_all_that_it_has_between_where_paths_part_and_meet():
    """Two units side by side on one device, between units on others: no path has more than three."""
    problem = network([(0, (1, 2)), (1, (3,)), (2, (3,))], [[1.0] * 3] * 4)
    homes = zip(problem.vertices, (0, 1, 1, 2), strict=True)
    vertices = tuple(replace(vertex, options=(Option(home, seconds=1.0),)) for vertex, home in homes)
    dual = LagrangianDual(replace(problem, vertices=vertices), perf_counter)
    assert highest_bound(dual, perf_counter() + 10.0, Restriction()).value == pytest.approx(4.0)


@settings(max_examples=60, deadline=None)
@given(problems(max_units=4), st.data())
def test_branches_bound_the_plans_that_they_hold(problem, data):
    problem = in_stages(problem)
    dual = LagrangianDual(problem, perf_counter)
    on_every_path = [v for v, s in sections(dual.paths.graph).items() if s.is_on_every_path]
    serial = data.draw(st.sets(st.integers(0, len(problem.devices) - 1)))
    bound = highest_bound(dual, perf_counter() + 10.0, Restriction(serial=frozenset(serial)))
    for choice, cost in possible(problem):
        at = {problem.vertices[v].options[choice.options[v]].device for v in on_every_path}
        if serial <= at and oracle.feasible(problem, cost):
            assert cost.objective >= bound.value - 1e-9


@settings(max_examples=60, deadline=None)
@given(problems(max_units=4))
def test_the_branches_of_a_node_hold_all_plans(problem):
    problem = in_stages(problem)
    dual = LagrangianDual(problem, perf_counter)
    bound = highest_bound(dual, perf_counter() + 10.0, Restriction())
    assume(bound.value < inf)
    serial = SerialDevices(problem, dual.paths.graph)
    nodes = [(Restriction(), bound)]
    for _ in range(4):
        within, bound = nodes.pop(0)
        parts = serial.parts(within, bound, partial(probe, dual, prices=bound.prices))
        nodes += [(part, highest_bound(dual, perf_counter() + 10.0, part, bound)) for part in parts] or [
            (within, bound)
        ]
    least = min(bound.value for _, bound in nodes)
    best = oracle.best(problem)
    assert best is None or best >= least - 1e-9


@settings(max_examples=25, deadline=None)
@given(problems(max_units=4))
def test_the_program_of_a_branch_holds_its_plans(problem):
    """With all work of the devices counted that every path of the best plan waits for."""
    problem = in_stages(problem)
    plans = [(cost.objective, x) for x, cost in possible(problem) if oracle.feasible(problem, cost)]
    assume(plans)
    least, best = min(plans, key=lambda pair: pair[0])
    found = sections(LagrangianDual(problem, perf_counter).paths.graph)
    serial = {
        problem.vertices[v].options[best.options[v]].device for v, s in found.items() if s.is_on_every_path
    }
    program = build_program(problem, serial=frozenset(serial))
    assert run_solver(program.lp, SolverOptions()) / program.scale == pytest.approx(least, rel=1e-5, abs=1e-9)


def test_units_on_every_path_split_the_others_into_sections():
    """0 -> (1, 2 -> 3) -> 4 -> 5: the second and third run beside the first."""
    problem = network([(0, (1, 2)), (1, (4,)), (2, (3,)), (3, (4,)), (4, (5,))], [[1.0]] * 6)
    found = sections(LagrangianDual(problem, perf_counter).paths.graph)
    assert [found[v].is_on_every_path for v in range(6)] == [True, False, False, False, True, True]
    assert [found[v].number for v in range(6)] == [1, 1, 1, 1, 2, 3]


def test_a_device_that_every_path_waits_for_counts_with_all_its_work(monkeypatch):
    """Two units between two others, all on one device: 4 s, of which a path of tensors sees 3."""
    monkeypatch.setattr(path_regions, "_MOST_UNITS", 0)
    problem = network([(0, (1, 2)), (1, (3,)), (2, (3,))], [[1.0]] * 4)
    dual = LagrangianDual(problem, perf_counter)
    alone = dual.paths.graph.longest(dual.paths.without(frozenset()).of(dual_choice(problem)))
    assert alone == pytest.approx(3.0)
    bound = highest_bound(dual, perf_counter() + 10.0, Restriction(serial=frozenset({0})))
    assert bound.value == pytest.approx(4.0)


def dual_choice(problem):
    return next(iter(oracle.choices(problem)))


def network(readers, seconds):
    """Return units on devices that tensors reach at once."""
    count = len(seconds[0])
    form = WireForm("float", 0, 0, (), tuple(tuple(() for _ in range(count)) for _ in range(count)))
    return PlacementProblem(
        tuple(Device(f"d{d}") for d in range(count)),
        tuple(
            Vertex(f"u{v}", tuple(Option(d, seconds=s) for d, s in enumerate(row)))
            for v, row in enumerate(seconds)
        ),
        tuple(Flow(f"t{u}", u, tuple(vs), (form,)) for u, vs in readers),
        objective=(MAKESPAN,),
    )
