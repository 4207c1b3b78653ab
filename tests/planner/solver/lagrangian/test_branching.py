import itertools
from dataclasses import replace
from math import inf
from time import perf_counter

import oracle
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import problems

from planner.problem.makespan import stage_order
from planner.problem.quantities import CostMetric, ObjectiveTerm, Quantity
from planner.solver.lagrangian.branching import Node, branch
from planner.solver.lagrangian.dual_bound import highest_bound
from planner.solver.lagrangian.dual_problem import LagrangianDual, Restriction

OBJECTIVES = (CostMetric.LATENCY, CostMetric.ENERGY, CostMetric.PERIOD, CostMetric.MAKESPAN)


def is_within(problem, choice, within):
    chosen = [vertex.options[o] for vertex, o in zip(problem.vertices, choice.options, strict=True)]
    return stage_order(problem, chosen, within.order) is not None and all(
        chosen[v].device in devices for v, devices in within.devices.items()
    )


def feasible_plans(problem):
    for choice in oracle.choices(problem):
        cost = oracle.price(problem, choice)
        if oracle.feasible(problem, cost):
            yield choice, cost.objective


def with_objective(problem, metric):
    devices = problem.devices
    if metric is CostMetric.MAKESPAN:
        devices = tuple(replace(device, contiguous=True) for device in devices)
    return replace(problem, devices=devices, objective=(ObjectiveTerm(Quantity(metric)),))


def require_bounds(plans, bound):
    for choice, value in plans:
        assert value >= bound.value - 1e-9
        for v, option in enumerate(choice.options):
            assert value >= bound.option_bounds[v][option] - 1e-9


@settings(max_examples=40, deadline=None)
@given(problems(max_units=4), st.sampled_from(OBJECTIVES))
def test_branches_hold_all_plans_and_bound_them(problem, metric):
    """From branch to branch no plan is lost, none is below its node's bound or that of its options."""
    problem = with_objective(problem, metric)
    plans = list(feasible_plans(problem))
    dual = LagrangianDual(problem, perf_counter)
    deadline = perf_counter() + 10.0
    nodes = [(plans, Node(Restriction(), highest_bound(dual, deadline, Restriction())))]
    for inside, node in itertools.islice(walk(dual, nodes, deadline), 8):
        require_bounds(inside, node.bound)


def walk(dual, nodes, deadline):
    """Yield each node with the plans within it, breadth first."""
    while nodes:
        inside, node = nodes.pop(0)
        yield inside, node
        further = list(branch(dual, node, deadline, inf))
        parts = [
            [plan for plan in inside if is_within(dual.problem, plan[0], child.within)] for child in further
        ]
        if further:
            assert {choice for part in parts for choice, _ in part} == {choice for choice, _ in inside}
        nodes += [
            (part, child)
            for part, child in zip(parts, further, strict=True)
            if part or child.bound.value < inf
        ]
