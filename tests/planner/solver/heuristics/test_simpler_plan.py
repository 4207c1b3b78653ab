"""Plans with fewer changes that cost hardly more."""

from itertools import product
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import problems

from planner.problem.cost_evaluation import evaluate, is_feasible
from planner.problem.devices import Device
from planner.problem.placement_problem import Choice, PlacementProblem
from planner.problem.quantities import CostMetric, Quantity
from planner.problem.tensors import Flow, WireForm
from planner.problem.units import Option, Vertex
from planner.solver.heuristics.simpler_plan import count_changes, simpler_plan
from planner.solver.solve import solve


@given(problems(max_units=4, max_devices=2), st.sampled_from([0.0, 0.1, 1.0]), st.data())
def test_a_simpler_plan_is_feasible_cheap_enough_and_has_fewer_changes(problem, more, data):
    start = Choice(tuple(data.draw(st.integers(0, len(v.options) - 1)) for v in problem.vertices))
    before = evaluate(problem, start)
    if not is_feasible(problem, before):
        return
    found = simpler_plan(problem, start, before.objective * (1 + more))
    cost = evaluate(problem, found)
    assert is_feasible(problem, cost)
    assert cost.objective <= before.objective * (1 + more)
    assert found == start or count_changes(problem, found) < count_changes(problem, start)


def chain(seconds: list[tuple[float, float]], switch_s: float = 0.1) -> PlacementProblem:
    """Return units in a row on one device: (fp32, int8) seconds of each."""
    here = (((),),)
    forms = (WireForm("float", 0, 4, (), here), WireForm("uint8", 1, 1, (), here))
    end = Vertex("end", (Option(0),), is_terminal=True)
    units = [
        Vertex(f"u{n}", (Option(0, 0, fp32), Option(0, 1, int8, 1.0, precision="int8")))
        for n, (fp32, int8) in enumerate(seconds)
    ]
    switch = ((0.0,), (switch_s,))
    flows = tuple(
        Flow(
            f"t{n}",
            n,
            (n + 1,),
            forms,
            quantizers=tuple(v for v in (n, n + 1) if 0 < v <= len(units)),
            noise_power=(0.0, 0.0),
            quantize_s=switch,
            dequantize_s=switch,
        )
        for n in range(len(units) + 1)
    )
    return PlacementProblem((Device("d"),), (end, *units, end), flows)


def test_a_gap_that_is_worth_less_than_is_allowed_closes():
    problem = chain([(2, 1), (2, 1), (1, 1.3), (2, 1), (2, 1)])
    best = solve(problem).choice
    least = evaluate(problem, best).objective
    assert best.options == (0, 1, 1, 0, 1, 1, 0)
    assert simpler_plan(problem, best, least * 1.01) == best
    assert simpler_plan(problem, best, least + 0.11).options == (0, 1, 1, 1, 1, 1, 0)


def test_a_limit_on_noise_still_holds():
    problem = chain([(2, 1), (2, 1), (1, 1.3), (2, 1), (2, 1)])
    limited = problem.with_limit(Quantity(CostMetric.NOISE), 4.0)
    best = solve(limited).choice
    found = simpler_plan(limited, best, evaluate(limited, best).objective * 10)
    assert found.options == (0, 0, 0, 0, 0, 0, 0)  # five in int8 would be too many


def test_units_that_lack_a_precision_stay_in_float():
    problem = chain([(2, 1), (1, 1.3), (1, 1.3), (2, 1)])
    lacking = problem.with_options([[0], [0, 1], [0, 1], [0], [0, 1], [0]])
    start = Choice((0, 1, 0, 0, 1, 0))
    assert simpler_plan(lacking, start, inf).options == (0, 0, 0, 0, 0, 0)


@pytest.mark.parametrize("count", [3, 4])
def test_no_single_run_could_be_simpler(count):
    problem = chain([(1.0, 0.9 + 0.05 * n) for n in range(count)], switch_s=0.01)
    at_most = 1.02 * evaluate(problem, solve(problem).choice).objective
    found = simpler_plan(problem, solve(problem).choice, at_most)
    fewest = min(
        count_changes(problem, choice)
        for options in product((0, 1), repeat=count)
        for choice in [Choice((0, *options, 0))]
        if evaluate(problem, choice).objective <= at_most
    )
    assert count_changes(problem, found) == fewest
