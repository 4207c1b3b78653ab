import json
from dataclasses import replace

import numpy as np
import pytest

from planner.costs.device_costs import DeviceCosts
from planner.costs.whole_model import WholeModelPredictor, single_device_scenario
from planner.deployment.rebuild import rebuild
from planner.scenario.validation import check_scenario
from profiling.latency.measure_latency import BuiltPlan, Setup, measure_latency, time_plan
from profiling.latency.plan_corrections import apply_corrections
from profiling.on_device.kernels import KernelTimes
from profiling.on_device.measured_record import Timed
from profiling.precision import Precision
from profiling.quantization.qdq_model import INT8_REDUCED
from profiling.runtime.open_session import Runtime

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
    scenario, faults = check_scenario(json.dumps(CONTENT | {"precisions": ["fp32", "int8", "int16"]}))
    assert not faults
    return single_device_scenario(scenario, scenario.devices[0])


@pytest.fixture(scope="module")
def profile(digits):
    setup = Setup(Runtime(), 5, tuple(Precision))
    return measure_latency(digits.graph, digits.calibration, digits.samples[0], setup)


def whole_seconds(alone, graph, profile, mix) -> float:
    costs = {"a": DeviceCosts.of(profile, {}, INT8_REDUCED)}
    return WholeModelPredictor(alone, graph, costs).cost(mix).latency_s


@pytest.mark.parametrize("seed", range(4))
def test_afterwards_the_plan_costs_what_it_was_measured_to_cost(digits, alone, profile, seed):
    graph = digits.graph
    rng = np.random.default_rng(seed)
    able = [unit.index for unit in graph.units if unit.quantizable]
    quantized = (Precision.INT8, Precision.INT16)[: 1 + seed % 2]
    mix = {index: quantized[rng.integers(len(quantized))] for index in able if rng.random() < 0.5}
    mix = graph.resolve_precisions(mix)
    mixed = rebuild(graph, digits.calibration.at(mix), digits.calibration.ranges)
    timing = time_plan(graph, BuiltPlan(mix, mixed), digits.samples[0], Runtime(), rounds=5)
    refined = apply_corrections(profile, timing)
    wanted = timing.ratio_to_fp32 * profile.wall_s[Precision.FP32]
    assert whole_seconds(alone, graph, refined, mix) == pytest.approx(wanted, rel=1e-6)
    assert all(row.seconds >= 0 for row in (*refined.units, *refined.switches))


def test_costs_that_the_plan_does_not_have_stay(digits, profile):
    graph = digits.graph
    int8 = dict.fromkeys(range(3), Precision.INT8)
    mixed = rebuild(graph, digits.calibration.at(int8), digits.calibration.ranges)
    timing = time_plan(graph, BuiltPlan(int8, mixed), digits.samples[0], Runtime(), rounds=3)
    refined = apply_corrections(profile, timing)
    # On a busy machine kernels leave seconds to nothing, which belong to units before and after.
    for old, new in zip(profile.spread_rest().units, refined.units, strict=True):
        index = next(unit.index for unit in graph.units if unit.name == old.unit)
        if int8.get(index, Precision.FP32) is not old.precision:
            assert new == old


def test_what_no_kernel_accounts_for_is_spread_over_the_plan(digits, alone, profile):
    graph = digits.graph
    able = [unit.index for unit in graph.units if unit.quantizable]
    int8 = graph.resolve_precisions(dict.fromkeys(able, Precision.INT8))
    mixed = rebuild(graph, digits.calibration.at(int8), digits.calibration.ranges)
    timing = time_plan(graph, BuiltPlan(int8, mixed), digits.samples[0], Runtime(), rounds=3)
    slower = replace(timing, plan=Timed(timing.plan.wall_s * 2, timing.plan.profiled))
    none = replace(timing, plan=Timed(timing.plan.wall_s, KernelTimes(())))
    for one in (slower, timing, none):
        wanted = one.ratio_to_fp32 * profile.wall_s[Precision.FP32]
        assert whole_seconds(alone, graph, apply_corrections(profile, one), int8) == pytest.approx(
            wanted, rel=1e-6
        )
    assert all(row.seconds >= 0 for row in apply_corrections(profile, none).units)
