"""A plan's stages and its whole model, as they were timed, are both what the corrected profile says."""

import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiling.latency import measure_latency as measure_module
from profiling.latency.measure_latency import BuiltPlan, Setup, measure_latency, time_plan
from profiling.latency.plan_corrections import PlanTiming, StageTime, apply_corrections
from profiling.latency.stage_cuts import stage_models
from profiling.on_device.conversion_costs import conversions_of
from profiling.on_device.cost_fits import measured_cuts
from profiling.on_device.kernels import OwnerKind
from profiling.precision import Precision
from profiling.quantization.qdq_model import quantize
from profiling.records.profile import LatencyProfile
from profiling.runtime.open_session import Runtime

STAGES = 3


@pytest.fixture(scope="module")
def profile(digits) -> LatencyProfile:
    setup = Setup(Runtime(), 5, (Precision.FP32, Precision.INT8))
    return measure_latency(digits.graph, digits.calibration, digits.samples[0], setup)


@pytest.fixture(scope="module")
def plan(digits) -> BuiltPlan:
    """Build a plan of three stages whose first half is in int8."""
    graph = digits.graph
    able = [unit.index for unit in graph.units if unit.quantizable]
    mix = graph.resolve_precisions(dict.fromkeys(able[: len(able) // 2], Precision.INT8))
    nodes = {node: mix[index] for index in sorted(mix) for node in graph.units[index].nodes}
    mixed = quantize(graph.model, digits.calibration.at(nodes), digits.calibration.ranges)
    ends = [len(graph.units) * number // STAGES for number in range(STAGES + 1)]
    stages = [list(range(start, end)) for start, end in itertools.pairwise(ends)]
    models = stage_models(mixed, graph, stages)
    return BuiltPlan(mix, mixed, tuple(zip(map(tuple, stages), models, strict=True)))


@pytest.fixture(scope="module")
def timing(digits, plan) -> PlanTiming:
    return time_plan(digits.graph, plan, digits.samples[0], Runtime(), rounds=5)


def inside_of(profile: LatencyProfile, timing: PlanTiming) -> list[float]:
    """Return what the profile says of each stage's units and switches."""
    units = {(row.unit, row.precision): row.seconds for row in profile.units}
    switches = {(row.tensor, row.source, row.to): row.seconds for row in profile.switches}
    stage_of = {unit: number for number, stage in enumerate(timing.stages) for unit in stage.units}
    inside = [
        sum(units[timing.units[unit].name, timing.precision_of(unit)] for unit in stage.units)
        for stage in timing.stages
    ]
    for switch in conversions_of(timing.switches, timing.mix):
        tensor = timing.switches[switch.tensor]
        ends = [tensor.producer, *tensor.consumers]
        near = ends if switch.direction is OwnerKind.QUANTIZE else [*ends[1:], ends[0]]
        key = tensor.name, Precision(switch.source), Precision(switch.to)
        inside[stage_of[next(unit for unit in near if unit >= 0)]] += switches[key]
    return inside


def seams_of(profile: LatencyProfile, timing: PlanTiming) -> list[float]:
    """Return what the profile says of each stage's cuts."""
    sides = {(row.tensor, row.form): (row.leave_s, row.enter_s) for row in profile.seams}
    cuts = measured_cuts(timing.switches, [stage.units for stage in timing.stages])
    found = []
    for stage, indices in zip(timing.stages, cuts, strict=True):
        tensors = [timing.switches[index] for index in indices]
        found.append(
            sum(
                sides[t.name, Precision(t.precision_in(timing.mix))][t.producer not in stage.units]
                for t in tensors
            )
        )
    return found


@given(factors=st.lists(st.floats(0.4, 2.5), min_size=STAGES, max_size=STAGES))
def test_whole_and_stages_cost_what_they_took(profile, timing, factors):
    scale = profile.wall_s[Precision.FP32] / timing.fp32_s
    expected = profile.spread_rest()
    # As long as their units and a start would be, by each factor.
    inside_s = inside_of(apply_corrections(profile, replace(timing, stages=())), timing)
    stages = tuple(
        StageTime(stage.units, factor * (own_s + expected.start_s) / scale)
        for stage, own_s, factor in zip(timing.stages, inside_s, factors, strict=True)
    )
    timed = replace(timing, stages=stages)
    refined = apply_corrections(profile, timed)
    inside, seams = inside_of(refined, timed), seams_of(refined, timed)
    # The whole model's, whatever its stages took.
    assert sum(inside) + refined.start_s == pytest.approx(timing.plan.wall_s * scale, rel=1e-6)
    assert 0 <= refined.start_s <= expected.start_s * (1 + 1e-9)
    assert all(seconds >= 0 for seconds in (*inside, *seams))
    shown = [own_s + seam_s + refined.start_s for own_s, seam_s in zip(inside, seams, strict=True)]
    wanted = [stage.seconds * scale for stage in stages]
    total_s = sum(wanted)
    if total_s >= timing.plan.wall_s * scale and min(factors) > 0.75:
        assert shown == pytest.approx(wanted, rel=1e-6)
    assert sum(shown) >= total_s * (1 - 1e-6)  # none is cheaper than it was


def test_what_the_whole_takes_in_one_precision_does_not_depend_on_a_start(profile):
    spread = profile.spread_rest()
    for start_s in (0.0, spread.start_s / 2, spread.start_s):
        other = spread.with_start(start_s)
        assert other.start_s == start_s
        for precision, wall_s in spread.wall_s.items():
            before, after = (
                sum(row.seconds for row in one.units if row.precision is precision) for one in (spread, other)
            )
            assert after / before == pytest.approx((wall_s - start_s) / (wall_s - spread.start_s))
    assert spread.with_start(spread.start_s) == spread


def test_stages_of_which_one_is_here_show_no_start(profile, timing):
    first, *others = timing.stages
    away = tuple(replace(stage, seconds=0.0, profiled_here=False) for stage in others)
    refined = apply_corrections(profile, replace(timing, stages=(replace(first, seconds=0.0), *away)))
    assert refined.start_s == profile.start_s
    assert all(row.seconds >= 0 for row in refined.units)


def test_stages_are_compared_with_the_fp32_model(digits, plan, monkeypatch):
    opened, compared = {}, []
    honest_open, honest_chain = measure_module.open_session, measure_module.time_chain

    def open_session(model, *others, **more):
        session = honest_open(model, *others, **more)
        opened[id(session)] = session, model
        return session

    def time_chain(wholes, *others):
        compared.extend(opened[id(whole)][1] for whole in wholes)
        return honest_chain(wholes, *others)

    monkeypatch.setattr(measure_module, "open_session", open_session)
    monkeypatch.setattr(measure_module, "time_chain", time_chain)
    timing = time_plan(digits.graph, plan, digits.samples[0], Runtime(), rounds=3)
    assert len(compared) >= STAGES
    assert all(model is digits.graph.model for model in compared)
    assert timing.chain_ratio_to_fp32 == pytest.approx(
        sum(stage.seconds for stage in timing.stages) / timing.fp32_s
    )
