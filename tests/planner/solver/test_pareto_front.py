from dataclasses import replace

import oracle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import problems

from planner.problem.quantities import CostMetric, Quantity
from planner.solver.pareto_front import pareto_front
from planner.solver.solve import solve
from planner.solver.solver_options import SolverOptions

LATENCY, NOISE, MONEY = (Quantity(one) for one in (CostMetric.LATENCY, CostMetric.NOISE, CostMetric.MONEY))
CLOSE = 3e-5


def best_choice(problem):
    return solve(problem, SolverOptions(gap=1e-9)).choice


def enumerated(problem, axes) -> list[tuple[float, ...]]:
    """Return every combination of values that is not beaten, found by trying all choices."""
    for axis in axes:
        problem = problem.with_limit(axis, None)
    prices = [oracle.price(problem, choice) for choice in oracle.choices(problem)]
    found = {tuple(one.of(axis) for axis in axes) for one in prices if oracle.feasible(problem, one)}
    return sorted(one for one in found if not any(beats(other, one) for other in found))


def beats(one, other) -> bool:
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))


def covers(found, wanted) -> bool:
    return any(all(a <= b * (1 + CLOSE) + 1e-12 for a, b in zip(one, wanted, strict=True)) for one in found)


@settings(max_examples=30, deadline=None)
@given(problems(max_units=4))
def test_two_quantities_give_the_front_of_enumeration(problem):
    front = pareto_front(problem, (LATENCY, NOISE), 200, best_choice)
    found = [corner.values for corner in front.corners]
    wanted = enumerated(problem, (LATENCY, NOISE))
    assert front.complete
    assert bool(found) == bool(wanted)
    assert all(covers(found, one) for one in wanted)
    assert all(covers(wanted, one) for one in found)


@settings(max_examples=15, deadline=None)
@given(problems(max_units=4), st.integers(2, 4))
def test_fewer_points_are_still_points_of_the_front(problem, most):
    front = pareto_front(problem, (LATENCY, NOISE), most, best_choice)
    wanted = enumerated(problem, (LATENCY, NOISE))
    assert len(front.corners) <= most
    assert all(covers([corner.values for corner in front.corners], one) for one in wanted[:1] + wanted[-1:])
    for corner in front.corners:
        assert any(
            all(abs(a - b) <= CLOSE * b + 1e-12 for a, b in zip(corner.values, one, strict=True))
            for one in wanted
        )


@settings(max_examples=15, deadline=None)
@given(problems(max_units=3))
def test_three_quantities_give_points_that_nothing_beats(problem):
    axes = (LATENCY, NOISE, MONEY)
    front = pareto_front(problem, axes, 9, best_choice)
    wanted = enumerated(problem, axes)
    assert bool(front.corners) == bool(wanted)
    for corner in front.corners:
        assert not any(
            all(a < b * (1 - CLOSE) - 1e-12 for a, b in zip(one, corner.values, strict=True))
            for one in wanted
        )


@pytest.mark.parametrize("most", [2, 5])
def test_a_front_of_one_point_is_complete(most):
    from small_problems import small_problem

    free = replace(small_problem(), limits=(), together=(), apart=())
    front = pareto_front(free, (LATENCY, LATENCY), most, best_choice)
    assert len(front.corners) == 1
    assert front.complete
