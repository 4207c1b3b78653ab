from dataclasses import replace

import oracle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_problems import direct, mesh, small_problem
from strategies import problems

from planner.problem.cost_evaluation import evaluate
from planner.problem.device_visits import by_device, with_visits
from planner.problem.devices import Device
from planner.problem.placement_problem import Choice, PlacementProblem
from planner.problem.quantities import CostMetric, Limit, Quantity
from planner.problem.tensors import Flow
from planner.problem.units import Option, Vertex
from planner.solver.result import SolveStatus
from planner.solver.solve import solve


def test_one_visit_each_leaves_the_problem_as_it_is():
    problem = small_problem()
    assert with_visits(problem, [1, 1, 1]) is problem


def test_further_visits_are_devices_of_the_same_place_for_units_but_not_for_ends():
    problem = with_visits(small_problem(), [2, 3, 1])
    assert [(device.name, device.visit_of) for device in problem.devices] == [
        ("a", None), ("b", None), ("c", None), ("a again", 0), ("b again", 1), ("b again", 1),
    ]  # fmt: skip
    assert [problem.physical_device(d) for d in range(6)] == [0, 1, 2, 0, 1, 1]
    devices = [option.device for option in problem.vertices[0].options]
    assert devices == [0, 3, 0, 3, 1, 4, 5, 1, 4, 5, 2, 2]
    assert problem.vertices[3:] == small_problem().vertices[3:]


def test_a_visit_takes_what_its_device_takes_for_every_tensor():
    homes = [0, 1, 2, 0, 2]
    problem = with_visits(small_problem(), [2, 1, 2])
    for before, after in zip(small_problem().flows, problem.flows, strict=True):
        for name in ("quantize_s", "dequantize_s", "leave_s", "enter_s"):
            rows = zip(getattr(before, name), getattr(after, name), strict=True)
            assert all(new == tuple(old[home] for home in homes) for old, new in rows)
        for old, new in zip(before.forms, after.forms, strict=True):
            for name in ("encode_s", "decode_s"):
                own = getattr(old, name)
                assert getattr(new, name) == (tuple(own[home] for home in homes) if own else ())
            for a, one in enumerate(homes):
                assert [new.seconds(a, b) for b in range(5)] == [old.seconds(one, home) for home in homes]


@settings(max_examples=40, deadline=None)
@given(problems(max_units=3, max_devices=2, extras=False), st.data())
def test_running_all_on_first_visits_costs_what_it_costs_without_further_ones(problem, data):
    visited = with_visits(problem, [data.draw(st.integers(1, 2)) for _ in problem.devices])
    options = tuple(data.draw(st.integers(0, len(v.options) - 1)) for v in problem.vertices)
    same = []
    for before, after, o in zip(problem.vertices, visited.vertices, options, strict=True):
        same.append(after.options.index(before.options[o]))
    old, new = evaluate(problem, Choice(options)), evaluate(visited, Choice(tuple(same)))
    for metric in set(CostMetric) - {CostMetric.MAKESPAN}:
        assert new.value(Quantity(metric)) == pytest.approx(old.value(Quantity(metric)))
    assert new.energy_j[: len(problem.devices)] == pytest.approx(old.energy_j)
    assert (new.order is None) == (old.order is None)


@settings(max_examples=20, deadline=None)
@given(problems(max_units=3, max_devices=2, extras=False))
def test_another_visit_is_never_worse(problem):
    before, after = solve(problem), solve(with_visits(problem, [2] * len(problem.devices)))
    if before.status is not SolveStatus.INFEASIBLE:
        assert after.objective <= before.objective + 1e-9


@settings(max_examples=20, deadline=None)
@given(problems(max_units=2, max_devices=2, extras=False))
def test_the_best_plan_with_visits_is_what_enumeration_finds(problem):
    visited = with_visits(problem, [2, 1][: len(problem.devices)])
    result, best = solve(visited), oracle.best(visited)
    assert (result.choice is None) == (best is None)
    if best is not None:
        assert result.objective == pytest.approx(best, abs=1e-9)


def test_values_of_visits_add_up_under_the_devices_name():
    problem = with_visits(small_problem(), [1, 3, 1])
    assert by_device(problem, [1, 2, 3, 10, 100]) == {"a": 1, "b": 112, "c": 3}
    fewer = replace(problem, devices=problem.devices[:2], vertices=(), flows=())
    assert by_device(fewer, [4, 5]) == {"a": 4, "b": 5}


def test_units_that_are_together_may_be_in_different_visits_of_a_device():
    steps = ((0, 0.001, 0.001), (0.001, 0, 0.001), (0.001, 0.001, 0))
    at = (((0, 1), 5), ((0, 1), 1), ((2,), 1), ((0, 1), 1))
    units = tuple(
        Vertex(f"u{i}", tuple(Option(d, seconds=0.001, weight_bytes=size) for d in devices))
        for i, (devices, size) in enumerate(at)
    )
    flows = tuple(Flow(f"t{i}", i, (i + 1,), (direct("float", 0, steps),)) for i in range(3))
    problem = PlacementProblem(
        (Device("a"), Device("b"), Device("c")),
        units,
        flows,
        mesh(3),
        limits=tuple(Limit(Quantity(CostMetric.MEMORY, d), 5) for d in (0, 1)),
        together=((1, 3),),
    )
    visited = with_visits(problem, [2, 1, 1])
    result = solve(visited)
    assert result.objective == pytest.approx(oracle.best(visited)) == pytest.approx(0.007)
