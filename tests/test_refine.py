import json
from dataclasses import replace

import numpy as np
import pytest

from planner.formulate import DeviceCosts
from planner.predict import Whole, alone_on
from planner.rebuild import rebuild
from planner.scenario import check_scenario
from profiling.latency import BuiltPlan, measure_latency, time_plan
from profiling.onboard import KernelTimes, Timed
from profiling.profile import NoiseProfile, Precision
from profiling.quantize import INT8_REDUCED
from profiling.refine import refine
from profiling.session import Runtime

DATA = {"npz": "d.npz"}
CONTENT = {
    "model": "m.onnx",
    "data": {"calibration": DATA, "evaluation": DATA},
    "devices": [{"name": "a"}],
    "source": "a",
    "sink": "a",
}


@pytest.fixture(scope="module")
def alone():
    scenario, faults = check_scenario(json.dumps(CONTENT))
    assert not faults
    return alone_on(scenario, scenario.devices[0])


@pytest.fixture(scope="module")
def profile(digits):
    return measure_latency(digits.graph, digits.calibration, digits.samples[0], Runtime(), rounds=5)


def whole_seconds(alone, graph, profile, int8) -> float:
    silence = NoiseProfile(profile.model_sha256, "", "", 1, (), ())
    costs = {"a": DeviceCosts.of(profile, silence, INT8_REDUCED)}
    return Whole(alone, graph, costs).cost(int8).latency_s


@pytest.mark.parametrize("seed", range(4))
def test_afterwards_the_plan_costs_what_it_was_measured_to_cost(digits, alone, profile, seed):
    graph = digits.graph
    rng = np.random.default_rng(seed)
    able = [unit.index for unit in graph.units if unit.quantizable]
    int8 = graph.settled([index for index in able if rng.random() < 0.5])
    mixed = rebuild(graph, digits.calibration.of(sorted(int8)), digits.calibration.ranges)
    found = time_plan(graph, BuiltPlan(int8, mixed), digits.samples[0], Runtime(), rounds=5)
    refined = refine(profile, found)
    wanted = found.ratio_to_fp32 * profile.wall_s[Precision.FP32]
    assert whole_seconds(alone, graph, refined, int8) == pytest.approx(wanted, rel=1e-6)
    assert all(row.seconds >= 0 for row in (*refined.units, *refined.switches))


def test_costs_that_the_plan_does_not_have_stay(digits, profile):
    graph = digits.graph
    int8 = frozenset({0, 1, 2})
    mixed = rebuild(graph, digits.calibration.of(sorted(int8)), digits.calibration.ranges)
    found = time_plan(graph, BuiltPlan(int8, mixed), digits.samples[0], Runtime(), rounds=3)
    refined = refine(profile, found)
    for old, new in zip(profile.units, refined.units, strict=True):
        index = next(unit.index for unit in graph.units if unit.name == old.unit)
        if (index in int8) != (old.precision is Precision.INT8):
            assert new == old


def test_what_no_kernel_accounts_for_is_spread_over_the_plan(digits, alone, profile):
    graph = digits.graph
    int8 = graph.settled([unit.index for unit in graph.units if unit.quantizable])
    mixed = rebuild(graph, digits.calibration.of(sorted(int8)), digits.calibration.ranges)
    found = time_plan(graph, BuiltPlan(int8, mixed), digits.samples[0], Runtime(), rounds=3)
    slower = replace(found, plan=Timed(found.plan.wall_s * 2, found.plan.profiled))
    none = replace(found, plan=Timed(found.plan.wall_s, KernelTimes(())))
    for one in (slower, found):
        wanted = one.ratio_to_fp32 * profile.wall_s[Precision.FP32]
        assert whole_seconds(alone, graph, refine(profile, one), int8) == pytest.approx(wanted, rel=1e-6)
    assert all(row.seconds >= 0 for row in refine(profile, none).units)
