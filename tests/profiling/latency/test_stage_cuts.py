import itertools
from dataclasses import replace

import numpy as np
import pytest

from planner.verification.stage_chain import Chain, same_bits
from profiling.latency.measure_latency import BuiltPlan, Setup, measure_latency, time_plan
from profiling.latency.plan_corrections import apply_corrections
from profiling.latency.plan_timing import StageTime
from profiling.latency.stage_cuts import designed_stages, stage_models
from profiling.on_device.create_session import Optimization
from profiling.precision import Precision
from profiling.quantization.qdq_model import quantize
from profiling.runtime.open_session import Runtime, open_session, run_session


@pytest.fixture(scope="module")
def profile(digits):
    setup = Setup(Runtime(), 5, tuple(Precision))
    return measure_latency(digits.graph, digits.calibration, digits.samples[0], setup)


def able(graph) -> list[int]:
    return [unit.index for unit in graph.units if unit.quantizable]


def mixed_model(prepared, mix):
    nodes = {node: mix[index] for index in sorted(mix) for node in prepared.graph.units[index].nodes}
    return quantize(prepared.graph.model, prepared.calibration.at(nodes), prepared.calibration.ranges)


def test_every_unit_is_in_one_designed_stage(digits):
    stages = designed_stages(digits.graph)
    assert len(stages) > 1
    assert list(itertools.chain(*stages)) == [unit.index for unit in digits.graph.units]


@pytest.mark.parametrize("name", ["residual", "branches", "digits"])
@pytest.mark.parametrize("precision", [None, Precision.INT8, Precision.INT16])
def test_stages_in_a_chain_give_the_bits_of_the_whole(name, precision, request):
    prepared = request.getfixturevalue(name)
    graph = prepared.graph
    model = mixed_model(prepared, dict.fromkeys(able(graph), precision)) if precision else graph.model
    for size in (1, 2, 3):
        stages = [[u.index for u in graph.units[i : i + size]] for i in range(0, len(graph.units), size)]
        chain = Chain(stage_models(model, graph, stages), Runtime(), Optimization.BASIC)
        whole = open_session(model, Runtime(), Optimization.BASIC)
        for feeds in prepared.samples[:3]:
            assert same_bits(chain.run(feeds, graph.outputs), run_session(whole, feeds))


def test_a_profile_knows_the_seams_of_every_float_tensor(digits, profile):
    floats = {name for name in digits.graph.boundary_tensors() if digits.graph.tensors[name].is_float}
    for form in Precision:
        # A tensor beside int8-qoperator is one of int8.
        expected = floats if form.numbers is form else set()
        assert {row.tensor for row in profile.seams if row.form is form} == expected
    assert all(row.leave_s >= 0 and row.enter_s >= 0 for row in profile.seams)
    assert 0 < profile.start_s < profile.wall_s[Precision.FP32]
    assert all(rest >= profile.start_s * 0.999 for rest in profile.unattributed_s.values())


def test_what_is_left_over_is_spread_over_the_units(profile):
    more = {p: profile.start_s + 0.2 * (wall - profile.start_s) for p, wall in profile.wall_s.items()}
    spread = replace(profile, unattributed_s=more).spread_rest()
    for old, new in zip(profile.units, spread.units, strict=True):
        assert new.seconds == pytest.approx(old.seconds / 0.8)
    assert spread.spread_rest() == spread


def test_cuts_take_what_stages_took_beyond_their_units(digits, profile):
    graph = digits.graph
    int8 = graph.resolve_precisions(dict.fromkeys(able(graph)[: len(graph.units) // 2], Precision.INT8))
    mixed = mixed_model(digits, int8)
    half = len(graph.units) // 2
    stages = [list(range(half)), list(range(half, len(graph.units)))]
    models = stage_models(mixed, graph, stages)
    plan = BuiltPlan(int8, mixed, tuple(zip(map(tuple, stages), models, strict=True)))
    timing = time_plan(graph, plan, digits.samples[0], Runtime(), rounds=5)
    assert timing.chain_ratio_to_fp32 == pytest.approx(
        sum(stage.seconds for stage in timing.stages) / timing.fp32_s
    )
    # Far slower than their units, so that nothing is cut off at zero.
    slow = tuple(StageTime(stage.units, stage.seconds + timing.plan.wall_s) for stage in timing.stages)
    refined = apply_corrections(profile, replace(timing, stages=slow))
    scale = profile.wall_s[Precision.FP32] / timing.fp32_s
    crossing = {
        (tensor.name, Precision(tensor.precision_in(timing.mix)))
        for tensor in timing.switches
        if 0 <= tensor.producer < half <= max(tensor.consumers)
    }
    cuts = [row for row in refined.seams if (row.tensor, row.form) in crossing]
    assert len(cuts) == len(crossing) > 0
    assert all(row.measured for row in cuts)
    inside = timing.plan.wall_s * scale - profile.start_s  # of all units and switches
    total = sum(stage.seconds for stage in slow) * scale
    sides = sum(row.leave_s + row.enter_s for row in cuts)
    assert sides == pytest.approx(total - inside - 2 * profile.start_s, rel=1e-6)


def test_stages_of_other_devices_change_no_seams(digits, profile):
    graph = digits.graph
    model = graph.model
    stages = designed_stages(graph)
    plan = BuiltPlan(
        {}, model, tuple(zip(map(tuple, stages), stage_models(model, graph, stages), strict=True))
    )
    timing = time_plan(graph, plan, digits.samples[0], Runtime(), rounds=3)
    away = tuple(replace(stage, profiled_here=False) for stage in timing.stages)
    assert apply_corrections(profile, replace(timing, stages=away)).seams == profile.seams


def test_time_of_all_stages_is_told_even_of_one_stage(digits):
    timing = time_plan(digits.graph, BuiltPlan({}, digits.graph.model), digits.samples[0], Runtime(), 3)
    assert timing.stages == ()
    assert np.isclose(timing.chain_ratio_to_fp32, timing.ratio_to_fp32)
