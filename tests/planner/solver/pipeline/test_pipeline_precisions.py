from dataclasses import replace

import oracle
import pytest
import strategies
from hypothesis import given, settings

from planner.problem.devices import Device, Link
from planner.problem.placement_problem import Choice, PlacementProblem
from planner.problem.quantities import CostMetric, Limit, ObjectiveTerm, Quantity
from planner.problem.tensors import Flow, WireForm
from planner.problem.units import Option, Vertex
from planner.solver.pipeline.pipeline_dp import PERIOD, best_pipeline
from planner.solver.pipeline.pipeline_precisions import least_period_within_limits, with_short_crossings


def chain(noise_limit: float) -> PlacementProblem:
    """Four units on two devices, faster with noise; tensors cross fast only if quantized."""
    routes = (((), (0,)), ((1,), ()))
    vertices = tuple(
        Vertex(
            f"u{u}",
            tuple(
                Option(d, f, seconds, noise)
                for d in range(2)
                for f, seconds, noise in ((0, 2.0, 0.0), (1, 1.0, 1.0))
            ),
        )
        for u in range(4)
    )
    forms = (WireForm("float", 0, 4, (8.0, 8.0), routes), WireForm("uint8", 1, 1, (2.0, 2.0), routes))
    zero = ((0.0, 0.0),) * 2
    flows = tuple(Flow(f"t{u}", u, (u + 1,), forms, (u, u + 1), (0.0, 0.0), zero, zero) for u in range(3))
    return PlacementProblem(
        (Device("a"), Device("b")),
        vertices,
        flows,
        (Link("a-b", 0, 1), Link("b-a", 1, 0)),
        limits=(Limit(Quantity(CostMetric.NOISE), noise_limit),),
        objective=(ObjectiveTerm(PERIOD),),
    )


def test_a_tensor_between_devices_takes_the_format_that_crosses_fastest():
    problem = chain(noise_limit=4)
    assert with_short_crossings(problem, Choice((0, 0, 2, 2))) == Choice((0, 1, 3, 2))


@pytest.mark.parametrize(("noise", "period"), [(4, 2.0), (2, 3.0)])
def test_units_away_from_the_cut_give_up_noise_for_a_limit(noise, period):
    problem = chain(noise)
    choice = least_period_within_limits(problem, Choice((1, 1, 3, 3)))
    cost = oracle.price(problem, choice)
    assert oracle.feasible(problem, cost)
    assert cost.period == period == oracle.best(problem)
    assert best_pipeline(problem).period_s == period


def test_no_plan_is_returned_where_the_cut_alone_is_too_noisy():
    assert least_period_within_limits(chain(noise_limit=1), Choice((1, 1, 3, 3))) is None


@settings(max_examples=60, deadline=None)
@given(strategies.problems())
def test_no_plan_has_a_shorter_period_than_the_bound(problem):
    problem = replace(problem, objective=(ObjectiveTerm(PERIOD),))
    found, best = best_pipeline(problem), oracle.best(problem)
    if found is None:
        return
    assert best is not None
    assert oracle.feasible(problem, oracle.price(problem, found.choice))
    assert found.bound_s <= best * (1 + 1e-9)
    assert found.period_s >= best * (1 - 1e-9)
