from dataclasses import replace
from itertools import combinations, pairwise, permutations
from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import choices, feasible, price
from small_problems import direct, mesh
from strategies import problems

from planner.problem.devices import Device
from planner.problem.placement_problem import Choice, PlacementProblem
from planner.problem.quantities import CostMetric, ObjectiveTerm, Quantity
from planner.problem.tensors import Flow
from planner.problem.units import Option, Vertex
from planner.solver.backends import run_solver
from planner.solver.confirmation import is_among
from planner.solver.device_order import closed, goes_against, implied_order
from planner.solver.milp.build_program import build_program
from planner.solver.pulp_call import solve_status
from planner.solver.result import SolveStatus
from planner.solver.solver_options import SolverOptions

PAIRS = st.sets(st.tuples(st.integers(0, 4), st.integers(0, 4)).filter(lambda pair: pair[0] < pair[1]))


@settings(max_examples=40, deadline=None)
@given(problems(max_units=4))
def test_some_best_plan_keeps_the_implied_order(problem):
    order, best, best_within = implied_order(problem), inf, inf
    for choice in choices(problem):
        cost = price(problem, choice)
        if feasible(problem, cost):
            best = min(best, cost.objective)
            if not goes_against(problem, choice.options, order):
                best_within = min(best_within, cost.objective)
    assert best_within <= best + 1e-12


@given(PAIRS)
def test_a_closed_order_has_a_pair_for_every_chain_of_pairs(pairs):
    order = closed(pairs)
    assert pairs <= order
    assert order == closed(order)
    assert all((a, c) in order for a, b in order for b_again, c in order if b == b_again)


@given(PAIRS)
def test_a_closed_order_has_no_pair_that_does_not_follow(pairs):
    for a, c in closed(pairs):
        reached, last = {a}, set()
        while reached != last:
            last, reached = reached, reached | {y for x, y in pairs if x in reached}
        assert c in reached - {a}


def with_one_device_at_will(problem, device: int):
    """Return a problem without limits and groups, of whose devices one may be returned to."""
    devices = tuple(replace(one, contiguous=d != device) for d, one in enumerate(problem.devices))
    objective = (ObjectiveTerm(Quantity(CostMetric.LATENCY)),)
    return replace(problem, devices=devices, limits=(), objective=objective, together=(), apart=())


@settings(max_examples=60, deadline=None)
@given(problems(max_units=3, extras=False), st.data())
def test_a_plan_is_in_an_order_exactly_if_the_integer_program_of_that_order_has_it(problem, data):
    """Also where a path leads through a device that has no order."""
    count = len(problem.devices)
    problem = with_one_device_at_will(problem, data.draw(st.integers(0, count)))
    numbering = data.draw(st.permutations(range(count)))
    contiguous = [
        pair for pair in combinations(numbering, 2) if all(problem.devices[d].contiguous for d in pair)
    ]
    order = closed(data.draw(st.sets(st.sampled_from(contiguous))) if contiguous else ())
    choice = data.draw(st.sampled_from(list(choices(problem))))
    if not feasible(problem, price(problem, choice)):
        return
    keep = [(option,) for option in choice.options]
    program = build_program(problem.with_options(keep), device_order=order)
    run_solver(program.lp, SolverOptions())
    is_in_program = solve_status(program.lp) is not SolveStatus.INFEASIBLE
    assert is_among(problem, choice, keep, order) == is_in_program


FREE = 0  # a device that may be returned to, between the others


@pytest.mark.parametrize("path", list(permutations((1, 2, 3), 2)))
@pytest.mark.parametrize(
    "order", [(), *(closed(chain) for chain in ([(1, 2)], [(2, 1)], [(1, 2), (1, 3)], [(3, 2), (2, 1)]))]
)
def test_a_path_over_a_device_without_order_keeps_the_order_of_the_others(path, order):
    start, end = path
    problem = chain_on((start, FREE, end))
    choice = Choice((0,) * 5)
    program = build_program(problem, device_order=frozenset(order))
    run_solver(program.lp, SolverOptions())
    is_allowed = (end, start) not in order
    assert (solve_status(program.lp) is not SolveStatus.INFEASIBLE) == is_allowed
    assert is_among(problem, choice, [(0,)] * 5, frozenset(order)) == is_allowed


def chain_on(path: tuple[int, ...]) -> PlacementProblem:
    """A chain of units, each on the device that a path names; the first one may be returned to."""
    count = len(path)
    units = tuple(Vertex(f"u{i}", (Option(d, seconds=1.0),)) for i, d in enumerate(path))
    ends = tuple(Vertex(name, (Option(FREE),), is_terminal=True) for name in ("source", "sink"))
    form = direct("float", 0, ((0.0,) * 4,) * 4)
    places = (count, *range(count), count + 1)
    return PlacementProblem(
        tuple(Device(f"d{d}", contiguous=d != FREE) for d in range(4)),
        (*units, *ends),
        tuple(Flow(f"t{a}", a, (b,), (form,)) for a, b in pairwise(places)),
        mesh(4),
    )
