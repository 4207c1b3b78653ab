"""Limits that contradict each other are called so, and only those."""

from dataclasses import replace
from time import perf_counter

import oracle
from hypothesis import given, settings
from strategies import problems

from planner.problem.devices import Device
from planner.problem.placement_problem import PlacementProblem
from planner.problem.quantities import CostMetric, Limit, Quantity
from planner.problem.tensors import Flow, WireForm
from planner.problem.units import Option, Vertex
from planner.solver.lagrangian.dual_problem import LagrangianDual
from planner.solver.lagrangian.separate_units import breaks_limits
from planner.solver.solve import solve


@settings(max_examples=40, deadline=None)
@given(problems(max_units=4))
def test_limits_are_broken_only_where_there_is_no_plan(problem):
    if breaks_limits(problem, perf_counter() + 10.0, perf_counter):
        assert oracle.best(problem) is None


def test_limits_that_each_could_be_kept_are_broken_together():
    """The unit is heavy or noisy: half of each would be within the memory, and above the noise."""
    options = (Option(0, weight_bytes=2.0), Option(0, noise_power=1.0))
    problem = PlacementProblem((Device("a"),), (Vertex("u", options), Vertex("v", options)), ())
    heavy = Limit(Quantity(CostMetric.MEMORY, 0), 2.5)
    assert breaks(problem, heavy, Limit(Quantity(CostMetric.NOISE), 0.5))
    assert not breaks(problem, heavy, Limit(Quantity(CostMetric.NOISE), 1.0))
    assert not breaks(problem, heavy)


def breaks(problem, *limits) -> bool:
    return breaks_limits(replace(problem, limits=limits), perf_counter() + 10.0, perf_counter)


def test_a_dense_graph_is_called_infeasible_although_no_relaxation_of_it_is_quick():
    """Each unit reads all before it, so that tables over all of them would be needed."""
    count, form = 18, WireForm("float", 0, 1, (), (((),) * 6,) * 6)
    options = tuple(
        Option(k, seconds=1.0, weight_bytes=2.0 * (k < 3), noise_power=float(k >= 3)) for k in range(6)
    )
    problem = PlacementProblem(
        tuple(Device(f"d{k}") for k in range(6)),
        tuple(Vertex(f"u{u}", options) for u in range(count)),
        tuple(Flow(f"t{u}", u, tuple(range(u + 1, count)), (form,)) for u in range(count - 1)),
        limits=(Limit(Quantity(CostMetric.MEMORY), count), Limit(Quantity(CostMetric.NOISE), count / 3)),
    )
    assert not LagrangianDual(problem, perf_counter).is_worth_while
    result = solve(problem)
    assert result.status == "infeasible"
    assert result.variables == 0, "an integer program was solved first"


def test_limits_that_conflict_need_no_branches():
    options = (Option(0, seconds=1.0, weight_bytes=2.0), Option(0, seconds=1.0, noise_power=1.0))
    problem = PlacementProblem(
        (Device("a"),),
        tuple(Vertex(f"u{u}", options) for u in range(9)),
        (),
        limits=(Limit(Quantity(CostMetric.MEMORY, 0), 9.0), Limit(Quantity(CostMetric.NOISE), 4.0)),
    )
    result = solve(problem)
    assert result.status == "infeasible"
    assert result.variables == 0, "an integer program was solved first"
