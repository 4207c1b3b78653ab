import subprocess
import sys
from dataclasses import replace
from itertools import islice, product
from math import inf

import pytest
from hypothesis import given, settings
from oracle import choices, feasible, price
from repository import ROOT
from small_problems import ENDLESS_PRESOLVE, one_unit_away
from strategies import problems

from planner.comparison.baselines import ONE_DEVICE_MIXED, baselines, solve_baseline_work, solved_baselines
from planner.problem.quantities import CostMetric
from planner.problem.uniform_choices import uniform_choices, with_cheapest_crossings
from planner.solver.solve import solve
from planner.solver.solver_options import SolverOptions


@settings(max_examples=12, deadline=None)
@given(problems(max_units=4))
def test_no_simpler_way_beats_the_joint_plan(problem):
    joint = solve(problem).objective
    for one in baselines(problem, SolverOptions()):
        assert one.objective >= (inf if joint is None else joint * (1 - 1e-6) - 1e-9), one.name


@settings(max_examples=40, deadline=None)
@given(problems(max_units=3, max_devices=2).filter(lambda p: any(flow.wires for flow in p.flows)))
def test_ways_of_one_precision_cross_in_the_wires_that_enumeration_finds_best(problem):
    """Else a gain over them might be due to encoding alone."""
    wires = list(product(*((0, *flow.wires) for flow in problem.flows)))
    least = {}
    for name, choice in uniform_choices(problem):
        prices = [price(problem, replace(choice, wires=of_flows)) for of_flows in wires]
        kept = [cost.objective for cost in prices if feasible(problem, cost)]
        least[name] = min([*kept, least.get(name, inf)])
    for one in baselines(problem, SolverOptions()):
        if one.name in least and "cut" not in one.name:
            assert one.objective == pytest.approx(least[one.name], rel=1e-5, abs=1e-9)
        if one.name == "uniform precision, single cut":
            assert one.objective == pytest.approx(min(least.values()), rel=1e-5, abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(problems(max_units=3, max_devices=2))
def test_one_device_in_mixed_precision_is_what_enumeration_finds(problem):
    least = inf
    for choice in choices(problem):
        chosen = [
            v.options[o] for v, o in zip(problem.vertices, choice.options, strict=True) if not v.is_terminal
        ]
        if len({problem.physical_device(option.device) for option in chosen}) == 1:
            cost = price(problem, choice)
            least = min(least, cost.objective if feasible(problem, cost) else inf)
    found = {one.name: one.objective for one in solved_baselines(problem, SolverOptions())}
    assert found[ONE_DEVICE_MIXED] == pytest.approx(least, rel=1e-5, abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(problems(max_units=3, max_devices=3))
def test_no_wires_cost_less_than_the_cheapest_crossings(problem):
    cheapest = with_cheapest_crossings(problem)
    for choice in islice(choices(problem), 200):
        least, cost = price(cheapest, replace(choice, wires=())), price(problem, choice)
        assert least.objective <= cost.objective * (1 + 1e-9) + 1e-12
        assert feasible(cheapest, least) or not feasible(problem, cost)


def test_a_device_alone_and_one_cut_may_encode():
    problem = one_unit_away(half_s=0.1)
    found = {one.name: one.objective for one in baselines(problem, SolverOptions())}
    names = ["fp32 on d1", "one device", "single fp32 cut", "uniform precision, single cut"]
    assert [found[name] for name in names] == [pytest.approx(0.3)] * len(names)
    assert solve(problem).objective == pytest.approx(0.3)


def test_each_way_has_its_name():
    found = baselines(ENDLESS_PRESOLVE, SolverOptions())
    assert [one.name for one in found] == [
        "fp32 on d0",
        "fp32 on d1",
        "one device",
        "single fp32 cut",
        "uniform precision, single cut",
        "one device, mixed precision",
        "minimum fp32 cut",
        "quantize, then split",
        "split, then quantize",
    ]


def test_less_choice_is_never_better():
    free = ENDLESS_PRESOLVE
    for limit in free.limits:
        free = free.with_limit(limit.quantity, None)
    found = {one.name: one.objective for one in baselines(free, SolverOptions())}
    assert found["single fp32 cut"] >= found["uniform precision, single cut"]
    assert found["one device"] >= found["single fp32 cut"]
    assert found["single fp32 cut"] >= found["minimum fp32 cut"] - 1e-12
    assert free.tightest_limit(CostMetric.NOISE) == inf
    assert found["minimum fp32 cut"] >= found["split, then quantize"] - 1e-12


def test_work_gives_what_solving_gives_and_none_gives_nothing():
    found = solve_baseline_work((ENDLESS_PRESOLVE, SolverOptions()))
    expected = solved_baselines(ENDLESS_PRESOLVE, SolverOptions())
    assert [(one.name, one.objective) for one in found] == [(one.name, one.objective) for one in expected]
    assert solve_baseline_work(None) == ()


def test_a_process_that_solves_baselines_loads_no_runtime():
    """A comparison starts one per core, each time."""
    code = f"import sys, {solve_baseline_work.__module__}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    loaded = set(done.stdout.split())
    assert "pulp" in loaded
    assert not loaded & {"onnx", "onnxruntime", "matplotlib", "pydantic"}
