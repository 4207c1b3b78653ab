"""Segments of a chain against all ways to cut it, priced by `evaluate`."""

import itertools
from math import inf

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_problems import direct, mesh

from planner.problem.cost_evaluation import evaluate, is_feasible
from planner.problem.devices import Device
from planner.problem.placement_problem import Choice, PlacementProblem
from planner.problem.quantities import CostMetric, Limit, ObjectiveTerm, Quantity
from planner.problem.tensors import Flow
from planner.problem.units import Option, Vertex
from planner.solver.heuristics.device_segments import DeviceSegments
from planner.solver.heuristics.prices import LoadShares, Prices

LATENCY, ENERGY = Quantity(CostMetric.LATENCY), Quantity(CostMetric.ENERGY)


def chain(seed: int, units: int, devices: int, quantity: Quantity, *, limited: bool) -> PlacementProblem:
    """Return a chain with one option per unit and device, links that may be missing, and stage costs."""
    rng = np.random.default_rng(seed)
    every = range(devices)

    def row(most: int) -> tuple[float, ...]:
        return tuple(float(x) / 1000 for x in rng.integers(0, most, devices))

    def seconds():
        return tuple(
            tuple(0.0 if a == b else inf if rng.random() < 0.2 else rng.integers(0, 9) / 1000 for b in every)
            for a in every
        )

    def options() -> tuple[Option, ...]:
        weight, held = (int(x) for x in rng.integers(0, 9, 2))
        return tuple(
            Option(d, seconds=rng.integers(1, 20) / 1000, weight_bytes=weight, activation_bytes=held)
            for d in every
        )

    vertices = [Vertex(f"u{i}", options()) for i in range(units)]
    ends = [Vertex(name, (Option(0),), is_terminal=True) for name in ("source", "sink")]
    pairs = [(units, 0), *((i, i + 1) for i in range(units - 1)), (units - 1, units + 1)]
    flows = tuple(
        Flow(
            f"t{a}",
            a,
            (b,),
            (direct("float", 0, seconds(), size=int(rng.integers(1, 9))),),
            leave_s=(row(3),),
            enter_s=(row(3),),
        )
        for a, b in pairs
    )
    memory = tuple(Limit(Quantity(CostMetric.MEMORY, d), int(rng.integers(5, 25))) for d in every)
    return PlacementProblem(
        tuple(Device(f"d{d}", start_s=rng.integers(0, 3) / 1000, active_w=float(d + 1)) for d in every),
        (*vertices, *ends),
        flows,
        mesh(devices),
        limits=memory if limited else (),
        objective=(ObjectiveTerm(quantity),),
    )


def best(problem: PlacementProblem, units: int) -> float:
    """Return the least objective of all ways to run one device after another, infinite if there is none."""
    choices = (
        Choice((*devices, 0, 0)) for devices in itertools.product(range(len(problem.devices)), repeat=units)
    )
    costs = [evaluate(problem, choice) for choice in choices]
    return min((cost.objective for cost in costs if is_feasible(problem, cost)), default=inf)


def cheapest(problem: PlacementProblem, quantity: Quantity, units: int, most_s: float = inf) -> Choice | None:
    prices = Prices(problem, [(quantity, 1.0)], LoadShares(problem))
    return DeviceSegments(problem, range(units)).cheapest(prices, most_s)


@pytest.mark.parametrize("quantity", [LATENCY, ENERGY], ids=["latency", "energy"])
@settings(max_examples=80, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 5), st.integers(1, 3), st.booleans())
def test_no_other_cut_of_a_chain_is_better(quantity, seed, units, devices, limited):
    problem = chain(seed, units, devices, quantity, limited=limited)
    choice, least = cheapest(problem, quantity, units), best(problem, units)
    if choice is None:
        assert least == inf
        return
    cost = evaluate(problem, choice)
    assert is_feasible(problem, cost)
    assert cost.objective == pytest.approx(least)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 5), st.integers(2, 3))
def test_no_segment_has_more_seconds_than_are_allowed(seed, units, devices):
    problem = chain(seed, units, devices, LATENCY, limited=False)
    most_s = 0.025
    choice = cheapest(problem, LATENCY, units, most_s)
    if choice is None:
        return
    cost = evaluate(problem, choice)
    assert max(cost.compute_s) <= most_s * (1 + 1e-9)
    crossings = [crossing for crossing in cost.crossings if crossing.flow not in (0, len(problem.flows) - 1)]
    assert all(crossing.seconds <= most_s for crossing in crossings)
