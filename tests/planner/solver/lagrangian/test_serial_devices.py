"""Branches on the devices that every path waits for: nothing is lost, and what is said of a plan is so."""

import itertools
from dataclasses import replace
from math import inf
from time import perf_counter

import networkx as nx
import oracle
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import problems

from planner.problem.makespan import stage_order
from planner.problem.quantities import CostMetric, ObjectiveTerm, Quantity
from planner.solver.lagrangian.branching import Node, branch
from planner.solver.lagrangian.dual_bound import highest_bound
from planner.solver.lagrangian.dual_problem import LagrangianDual, Restriction
from planner.solver.lagrangian.path_lengths import PathGraph
from planner.solver.lagrangian.serial_devices import SerialDevices, sections

BEGIN, END = "begin", "end"


def of_makespan(problem):
    """Return a problem of stages, whose makespan is minimised."""
    return replace(
        problem,
        devices=tuple(replace(device, contiguous=True) for device in problem.devices),
        objective=(ObjectiveTerm(Quantity(CostMetric.MAKESPAN)),),
    )


def paths(problem) -> list[list]:
    """Return every path of units from what nothing comes before to what nothing comes behind."""
    units = [v for v, vertex in enumerate(problem.vertices) if not vertex.is_terminal]
    graph = nx.DiGraph()
    graph.add_nodes_from(units)
    for flow in problem.flows:
        for v in flow.consumers:
            first = BEGIN if problem.vertices[flow.producer].is_terminal else flow.producer
            last = END if problem.vertices[v].is_terminal else v
            graph.add_edge(first, last)
    for v in units:
        if not set(graph.predecessors(v)) - {BEGIN}:
            graph.add_edge(BEGIN, v)
        if not set(graph.successors(v)) - {END}:
            graph.add_edge(v, END)
    return list(nx.all_simple_paths(graph, BEGIN, END))


def chosen(problem, options):
    return [vertex.options[o] for vertex, o in zip(problem.vertices, options, strict=True)]


@settings(max_examples=40, deadline=None)
@given(problems(max_units=6))
def test_a_unit_is_on_every_path_exactly_if_no_path_goes_without_it(problem):
    found = sections(PathGraph(problem))
    every_path = paths(problem)
    for v, section in found.items():
        assert section.is_on_every_path == all(v in path for path in every_path)
    for path in every_path:
        numbers = [found[v].number for v in path if v in found]
        assert numbers == sorted(numbers)
    on_every = [section for section in found.values() if section.is_on_every_path]
    assert len({section.number for section in on_every}) == len(on_every)


@settings(max_examples=60, deadline=None)
@given(problems(max_units=4))
def test_a_plan_holds_devices_that_run_a_unit_on_every_path(problem):
    serial = SerialDevices(problem, PathGraph(problem))
    every_path = paths(problem)
    on_every = {v for v, _ in enumerate(problem.vertices) if all(v in path for path in every_path)}
    for choice in itertools.islice(oracle.choices(problem), 30):
        options = chosen(problem, choice.options)
        used = frozenset(options[v].device for v in on_every)
        assert serial.holds(used, choice.options)
        assert serial.holds(frozenset(), choice.options)
        for device in set(range(len(problem.devices))) - used:
            assert not serial.holds(frozenset({device}), choice.options)


def is_within(problem, serial, choice, within) -> bool:
    options = chosen(problem, choice.options)
    return (
        stage_order(problem, options, within.order) is not None
        and all(options[v].device in devices for v, devices in within.devices.items())
        and serial.holds(within.serial, choice.options)
    )


@settings(max_examples=25, deadline=None)
@given(problems(max_units=4, extras=False), st.booleans())
def test_branches_on_serial_devices_hold_all_plans_and_bound_them(problem, has_time):
    """Also where a round of multipliers takes so long that parts are neither compared nor bounded."""
    problem = of_makespan(problem)
    plans = [
        (choice, cost.objective)
        for choice in oracle.choices(problem)
        if oracle.feasible(problem, cost := oracle.price(problem, choice)) and cost.objective < inf
    ]
    dual = LagrangianDual(problem, perf_counter)
    if not dual.is_worth_while or dual.paths is None:
        return
    serial = SerialDevices(problem, dual.paths.graph)
    deadline = perf_counter() + 10.0
    nodes = [(plans, Node(Restriction(), highest_bound(dual, deadline, Restriction())))]
    for _ in range(8):
        if not nodes:
            break
        inside, node = nodes.pop(0)
        assert all(value >= node.bound.value - 1e-9 for _, value in inside)
        dual.round_s = dual.round_s if has_time else 1e6
        further = list(branch(dual, node, deadline, inf, serial))
        parts = [
            [plan for plan in inside if is_within(problem, serial, plan[0], child.within)]
            for child in further
        ]
        if further:
            assert {choice for part in parts for choice, _ in part} == {choice for choice, _ in inside}
        nodes += [pair for pair in zip(parts, further, strict=True) if pair[0]]
