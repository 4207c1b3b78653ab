"""Forward and backward passes on consecutive devices, against all ways to cut a row of layers."""

import itertools
import time
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_problems import direct, mesh

from planner.problem.cost_evaluation import evaluate, is_feasible
from planner.problem.device_visits import with_visits
from planner.problem.devices import Device
from planner.problem.placement_problem import Choice, PlacementProblem
from planner.problem.quantities import CostMetric, Limit, ObjectiveTerm, Quantity
from planner.problem.tensors import Flow
from planner.problem.units import Option, Vertex
from planner.solver.pipeline.pipeline_passes import best_passes
from planner.solver.solve import solve
from planner.solver.solver_options import SolverOptions

PERIOD = ObjectiveTerm(Quantity(CostMetric.PERIOD))
seconds = st.integers(0, 9).map(float)


def training(layers, crossing, room=None, devices: int = 2) -> PlacementProblem:
    """Return a row of layers, forward and then back, each layer's two units on one device.

    Parameters
    ----------
    layers
        (seconds forward, seconds backward, bytes of both) of each layer.
    crossing
        Seconds of each tensor: between layers forward, from the last one on back.
    """
    count = len(layers)
    order = [*range(count), *reversed(range(count))]
    units = [
        Vertex(
            f"{number // count}-{layer}",
            tuple(
                Option(d, seconds=layers[layer][number // count], weight_bytes=layers[layer][2] / 2)
                for d in range(devices)
            ),
        )
        for number, layer in enumerate(order)
    ]
    flows = [
        Flow(f"t{number}", number, (number + 1,), (_form(crossing[number], devices),))
        for number in range(2 * count - 1)
    ]
    limits = [] if room is None else [Limit(Quantity(CostMetric.MEMORY, d), room) for d in range(devices)]
    problem = PlacementProblem(
        tuple(Device(f"d{d}", transfers_block=True) for d in range(devices)),
        tuple(units),
        tuple(flows),
        mesh(devices),
        limits=tuple(limits),
        objective=(PERIOD,),
        together=tuple((layer, 2 * count - 1 - layer) for layer in range(count)),
    )
    return with_visits(problem, [2] * devices)


def _form(crossing_s: float, devices: int):
    rows = tuple(tuple(0.0 if a == b else crossing_s for b in range(devices)) for a in range(devices))
    return direct("float", 0, rows, size=1)


def choice_of(problem: PlacementProblem, devices: list[int]) -> Choice:
    """Return the plan whose layers are on devices: forward in their first visits, back in the others."""
    count, physical = len(devices), len(problem.devices) // 2
    wanted = [*devices, *(physical + d for d in reversed(devices))]
    return Choice(
        tuple(
            next(o for o, option in enumerate(vertex.options) if option.device == wanted[number])
            for number, vertex in enumerate(problem.vertices[: 2 * count])
        )
    )


def best_cut(problem: PlacementProblem) -> float | None:
    """Return the least period of all plans whose layers on a device are neighbours; None without one."""
    count, physical = len(problem.vertices) // 2, len(problem.devices) // 2
    periods = []
    for devices in itertools.product(range(physical), repeat=count):
        if len(list(itertools.groupby(devices))) == len(set(devices)):
            cost = evaluate(problem, choice_of(problem, list(devices)))
            if is_feasible(problem, cost):
                periods.append(cost.period_s)
    return min(periods, default=None)


layers_of = st.lists(st.tuples(seconds, seconds, st.integers(0, 8).map(float)), min_size=1, max_size=5)


@settings(max_examples=60, deadline=None)
@given(layers_of, st.data(), st.sampled_from([2, 3]))
def test_the_plan_is_the_best_of_all_ways_to_cut_a_row_of_layers(layers, data, devices):
    crossing = data.draw(st.lists(seconds, min_size=2 * len(layers), max_size=2 * len(layers)))
    room = data.draw(st.none() | st.integers(4, 30).map(float))
    problem = training(layers, crossing, room, devices)
    choice, best = best_passes(problem, 60.0, time.perf_counter), best_cut(problem)
    if best is None:
        assert choice is None
        return
    cost = evaluate(problem, choice)
    assert is_feasible(problem, cost)
    assert cost.period_s == pytest.approx(best)


def test_a_long_row_of_layers_is_cut_where_branches_would_take_too_long():
    layers = [(1.0 + layer % 3, 2.0 + layer % 2, 1.0) for layer in range(60)]
    problem = training(layers, [0.5] * 120, room=14.0, devices=6)
    result = solve(problem, SolverOptions(time_limit_s=3.0))
    shares = sum(forward + back for forward, back, _ in layers) / 6
    assert result.objective <= 1.2 * shares


def test_a_group_without_a_device_in_common_has_no_plan():
    problem = training([(1.0, 1.0, 0.0), (1.0, 1.0, 0.0)], [1.0] * 4)
    apart = [
        replace(vertex, options=tuple(o for o in vertex.options if problem.physical_device(o.device) == d))
        for vertex, d in zip(problem.vertices, (0, 0, 0, 1), strict=True)
    ]
    assert best_passes(replace(problem, vertices=tuple(apart)), 60.0, time.perf_counter) is None


def test_without_groups_or_with_formats_there_is_nothing_to_fold():
    problem = training([(1.0, 1.0, 0.0)], [1.0] * 2)
    assert best_passes(replace(problem, together=()), 60.0, time.perf_counter) is None
    quantized = replace(
        problem.flows[0],
        quantizers=(0,),
        noise_power=(0.0, 0.0),
        forms=problem.flows[0].forms * 2,
        quantize_s=((0.0,) * 4,) * 2,
        dequantize_s=((0.0,) * 4,) * 2,
    )
    assert best_passes(replace(problem, flows=(quantized,)), 60.0, time.perf_counter) is None
