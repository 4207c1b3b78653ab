from dataclasses import replace
from math import inf
from time import perf_counter

import oracle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_problems import NOISE, small_problem
from strategies import problems

import planner.solver.lagrangian.relaxation as relaxing
from planner.problem.cost_evaluation import evaluate, is_feasible
from planner.problem.devices import Device, Link
from planner.problem.placement_problem import Choice, PlacementProblem
from planner.problem.quantities import CostMetric, Limit, ObjectiveTerm, Quantity
from planner.problem.tensors import Flow, WireForm
from planner.problem.units import Option, Vertex
from planner.solver.lagrangian.dual_bound import highest_bound
from planner.solver.lagrangian.dual_problem import LagrangianDual, Restriction
from planner.solver.lagrangian.linear_quantity import multipliers_of
from planner.solver.lagrangian.relaxation import LagrangianRelaxation, LinearRow
from planner.solver.solve import solve

FREE = replace(small_problem(), limits=(), together=(), apart=())


def bound_of(problem):
    dual = LagrangianDual(problem, perf_counter)
    return dual, highest_bound(dual, perf_counter() + 10.0, Restriction())


@settings(max_examples=70, deadline=None)
@given(problems(max_units=5))
def test_no_plan_is_below_the_bound_nor_below_that_of_its_options(problem):
    dual, bound = bound_of(problem)
    slack = 1e-9
    for choice in oracle.choices(problem):
        cost = oracle.price(problem, choice)
        if oracle.feasible(problem, cost):
            assert cost.objective >= bound.value - slack
            for v, option in enumerate(choice.options):
                assert cost.objective >= bound.option_bounds[v][option] - slack
    if dual.best is not None:
        best = evaluate(problem, dual.best)
        assert is_feasible(problem, best)
        assert best.objective == dual.objective


@settings(max_examples=100, deadline=None)
@given(problems(max_units=4, extras=False), st.data())
def test_the_tables_add_up_to_what_evaluate_says(problem, data):
    """But for the starts of stages, which all units share."""
    problem = replace(
        problem,
        devices=tuple(replace(d, start_s=0.0) for d in problem.devices),
        vertices=tuple(replace(v, coupled_with=()) for v in problem.vertices),
        together=(),
        apart=(),
    )
    measures = (CostMetric.LATENCY, CostMetric.ENERGY, CostMetric.TRAFFIC, CostMetric.NOISE, CostMetric.MONEY)
    rows = [LinearRow(multipliers_of(problem, Quantity(measure))) for measure in measures]
    relaxation = LagrangianRelaxation(problem, rows)
    options = [data.draw(st.integers(0, len(v.options) - 1)) for v in problem.vertices]
    choice, sums = relaxation.decode([1.0, 0.0, 0.0, 0.0, 0.0], options)
    cost = evaluate(problem, choice)
    if cost.latency_s < inf and not any("two ways" in fault for fault in cost.violations):
        assert sums == pytest.approx([cost.value(Quantity(measure)) for measure in measures], abs=1e-12)
    else:
        assert sums[0] == inf


def test_two_equal_devices_share_a_period():
    """Two units of a second each on either of two devices: no period is below 1 s."""
    device = Device("a")
    options = (Option(0, seconds=1.0), Option(1, seconds=1.0))
    problem = PlacementProblem(
        (device, replace(device, name="b")),
        (Vertex("u", options), Vertex("v", options)),
        (),
        objective=(ObjectiveTerm(Quantity(CostMetric.PERIOD)),),
    )
    _, bound = bound_of(problem)
    assert bound.value == pytest.approx(1.0)


def test_prices_lift_the_bound_above_what_is_best_without_the_limit():
    """With a limit between what two plans spend, the bound lies between them, below the optimum."""
    free, tight = FREE.with_limit(NOISE, 1.0), FREE.with_limit(NOISE, 1e-9)
    (dual, fast), (_, slow) = bound_of(free), bound_of(tight)
    half = evaluate(FREE, dual.best).noise_power / 2
    limited = FREE.with_limit(NOISE, half)
    dual, between = bound_of(limited)
    assert fast.value < between.value <= solve(limited).objective * (1 + 1e-9) <= slow.value * (1 + 2e-9)
    assert isinstance(dual.best, Choice)


@settings(max_examples=40, deadline=None)
@given(problems(max_units=3), st.integers(1, 8), st.booleans())
def test_no_plan_below_a_value_is_below_the_bound_of_the_plans_below_it(problem, eighths, shared_out):
    period = (ObjectiveTerm(Quantity(CostMetric.PERIOD), 2.0),)
    problem = replace(problem, objective=(*period, *problem.objective))
    costs = [oracle.price(problem, choice) for choice in oracle.choices(problem)]
    objectives = [cost.objective for cost in costs if oracle.feasible(problem, cost)]
    value = eighths / 4 * min(objectives, default=0.1)
    with pytest.MonkeyPatch.context() as patch:
        if shared_out:
            patch.setattr(relaxing, "_MOST_ENTRIES", (0,))  # of a tensor's table over all its readers
        dual = LagrangianDual(problem, perf_counter)
    below = highest_bound(dual.below(value), perf_counter() + 10.0, Restriction())
    assert all(objective >= min(below.value, value) - 1e-9 for objective in objectives)


def test_a_mixture_cannot_send_a_part_of_a_tensor_that_takes_a_period_alone():
    """One of two units has to leave a device; on average each does so by a quarter, and its input with it."""
    unit = Vertex("u", (Option(0, weight_bytes=2.0), Option(1)))
    source = Vertex("source", (Option(0),), is_terminal=True)
    form = WireForm("float", 0, 1, (1.0,), (((), (0,)), (None, ())))
    problem = PlacementProblem(
        (Device("a"), Device("b")),
        (unit, unit, source, source),
        (Flow("in", 2, (0,), (form,)), Flow("in", 3, (1,), (form,))),
        (Link("a-b", 0, 1),),
        limits=(Limit(Quantity(CostMetric.MEMORY, 0), 3.0),),
        objective=(ObjectiveTerm(Quantity(CostMetric.PERIOD)),),
    )
    dual, bound = bound_of(problem)
    assert bound.value == pytest.approx(0.5)
    assert highest_bound(dual.below(0.99), perf_counter() + 10.0, Restriction()).value > 0.99


def test_a_tensor_whose_cost_is_shared_out_takes_all_of_its_time_to_each_reader(monkeypatch):
    """One of two readers has to leave a device; each has half of what the tensor costs in its table."""
    monkeypatch.setattr(relaxing, "_MOST_ENTRIES", (0,))
    unit = Vertex("u", (Option(0, weight_bytes=2.0), Option(1)))
    form = WireForm("float", 0, 1, (1.0,), (((), (0,)), (None, ())))
    problem = PlacementProblem(
        (Device("a"), Device("b")),
        (unit, unit, Vertex("source", (Option(0),), is_terminal=True)),
        (Flow("in", 2, (0, 1), (form,)),),
        (Link("a-b", 0, 1),),
        limits=(Limit(Quantity(CostMetric.MEMORY, 0), 3.0),),
        objective=(ObjectiveTerm(Quantity(CostMetric.PERIOD)),),
    )
    dual, _ = bound_of(problem)
    assert highest_bound(dual.below(0.99), perf_counter() + 10.0, Restriction()).value > 0.99
