"""A plan's stages and its whole model, as they were timed, are both what the corrected profile says."""

import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiling.latency import measure_latency as measure_module
from profiling.latency.measure_latency import BuiltPlan, Setup, measure_latency, time_plan
from profiling.latency.plan_corrections import apply_corrections
from profiling.latency.plan_timing import PlanTiming, StageTime
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


def with_stages(profile: LatencyProfile, timing: PlanTiming, factors) -> PlanTiming:
    """Return a timing whose stages took as long as their units and a start would, by each factor."""
    scale = profile.wall_s[Precision.FP32] / timing.fp32_s
    inside_s = inside_of(apply_corrections(profile, replace(timing, stages=())), timing)
    stages = tuple(
        replace(stage, seconds=factor * (own_s + profile.start_s) / scale)
        for stage, own_s, factor in zip(timing.stages, inside_s, factors, strict=True)
    )
    return replace(timing, stages=stages, standard_error=0.0)


def shown_by(refined: LatencyProfile, timed: PlanTiming) -> list[float]:
    """Return what a profile says of each stage."""
    parts = zip(inside_of(refined, timed), seams_of(refined, timed), strict=True)
    return [inside_s + seam_s + refined.start_s for inside_s, seam_s in parts]


def taken_in(profile: LatencyProfile, timed: PlanTiming) -> list[float]:
    """Return what each stage took, at the pace of the profile."""
    scale = profile.wall_s[Precision.FP32] / timed.fp32_s
    return [stage.seconds * scale for stage in timed.stages]


def whole_of(profile: LatencyProfile, timed: PlanTiming) -> float:
    """Return what the plan's whole model took, at the pace of the profile."""
    return timed.plan.wall_s * profile.wall_s[Precision.FP32] / timed.fp32_s


FACTORS = st.lists(st.floats(0.4, 2.5), min_size=STAGES, max_size=STAGES)


@given(factors=FACTORS)
def test_whole_and_stages_cost_what_they_took(profile, timing, factors):
    timed = with_stages(profile, timing, factors)
    refined = apply_corrections(profile, timed)
    inside, seams = inside_of(refined, timed), seams_of(refined, timed)
    assert sum(inside) + refined.start_s == pytest.approx(whole_of(profile, timed), rel=1e-6)
    assert 0 <= refined.start_s <= profile.start_s * (1 + 1e-9)
    assert all(seconds >= 0 for seconds in (*inside, *seams))
    shown, taken = shown_by(refined, timed), taken_in(profile, timed)
    assert all(said_s >= taken_s * (1 - 1e-6) for said_s, taken_s in zip(shown, taken, strict=True))
    if sum(taken) >= whole_of(profile, timed) and min(factors) > 0.9:
        assert shown == pytest.approx(taken, rel=1e-6)


@given(factors=FACTORS, here=st.integers(0, STAGES - 1))
def test_a_stage_beside_those_of_other_devices_costs_what_it_took(profile, timing, factors, here):
    timed = with_stages(profile, timing, factors)
    stages = [replace(stage, profiled_here=number == here) for number, stage in enumerate(timed.stages)]
    timed = replace(timed, stages=tuple(stages))
    refined = apply_corrections(profile, timed)
    assert sum(inside_of(refined, timed)) + refined.start_s == pytest.approx(
        whole_of(profile, timed), rel=1e-6
    )
    assert refined.start_s == profile.start_s
    shown, taken = shown_by(refined, timed)[here], taken_in(profile, timed)[here]
    assert shown >= taken * (1 - 1e-6)
    if factors[here] > 0.9:
        assert shown == pytest.approx(taken, rel=1e-6)


@given(first=FACTORS, second=FACTORS)
def test_what_a_plan_costs_does_not_depend_on_plans_timed_before(profile, timing, first, second):
    one, other = with_stages(profile, timing, first), with_stages(profile, timing, second)
    alone = apply_corrections(profile, one)
    behind = apply_corrections(apply_corrections(profile, other), one, profile)
    assert behind.start_s == pytest.approx(alone.start_s)
    assert shown_by(behind, one) == pytest.approx(shown_by(alone, one), rel=1e-6)


def test_a_start_is_shorter_where_stages_say_so_for_certain(profile, timing):
    timed = with_stages(profile, timing, [0.97] * STAGES)
    assert apply_corrections(profile, timed).start_s < profile.start_s
    doubtful = replace(timed, standard_error=0.05)
    assert apply_corrections(profile, doubtful).start_s == profile.start_s
    # A stage that converts alone is no part of the whole model.
    converting = replace(timed, stages=(StageTime((), 0.0), *timed.stages))
    assert apply_corrections(profile, converting).start_s == profile.start_s


def test_a_start_that_stages_showed_stays_behind_a_plan_without_cuts(profile, timing):
    showed = apply_corrections(profile, with_stages(profile, timing, [0.97] * STAGES))
    behind = apply_corrections(showed, replace(timing, stages=()), profile)
    assert behind.start_s == pytest.approx(showed.start_s)
    assert behind.start_s < profile.start_s
    assert sum(inside_of(behind, timing)) + behind.start_s == pytest.approx(whole_of(profile, timing))


def test_a_start_is_at_most_half_of_a_plan(profile, timing):
    long = replace(profile, start_s=10 * profile.wall_s[Precision.FP32])
    refined = apply_corrections(long, replace(timing, stages=()))
    assert refined.start_s == pytest.approx(whole_of(profile, timing) / 2)
    assert sum(row.seconds for row in refined.units) > 0


def test_nothing_is_negative_behind_a_plan_that_took_much_less(profile, timing):
    """Its start is at most half of it, and that of the next plan longer than what it left of some units."""
    long = replace(profile, start_s=profile.wall_s[Precision.FP32] / 2)
    uncut = replace(timing, stages=())
    quick = replace(uncut, plan=replace(uncut.plan, wall_s=uncut.plan.wall_s / 50))
    behind = apply_corrections(apply_corrections(long, quick, long), uncut, long)
    assert all(row.seconds >= 0 for row in behind.units)
    assert sum(inside_of(behind, timing)) + behind.start_s == pytest.approx(
        whole_of(profile, timing), rel=1e-6
    )


def test_what_a_whole_model_takes_does_not_depend_on_a_start(profile):
    spread = profile.spread_rest()
    for start_s in (0.0, spread.start_s / 2, spread.start_s):
        other = spread.with_start(start_s)
        assert other.start_s == start_s
        for precision in spread.wall_s:
            wholes = []
            for one in (spread, other):
                seconds = {(row.unit, row.precision): row.seconds for row in one.units}
                units = {row.unit for row in one.units}
                own = (seconds.get((unit, precision), seconds[unit, Precision.FP32]) for unit in units)
                wholes.append(sum(own) + one.start_s)
            assert wholes[1] == pytest.approx(wholes[0])
    assert spread.with_start(spread.start_s) == spread
    assert spread.with_start(0.0).with_start(spread.start_s).units[0].seconds == pytest.approx(
        spread.units[0].seconds
    )


def test_stages_are_compared_with_the_fp32_model(digits, plan, monkeypatch):
    opened, compared = {}, []
    honest_open, honest_chain = measure_module.open_session, measure_module.time_chain

    def open_session(model, *others, **more):
        session = honest_open(model, *others, **more)
        opened[id(session)] = session, model
        return session

    def time_chain(reference, *others):
        compared.append(opened[id(reference)][1])
        return honest_chain(reference, *others)

    monkeypatch.setattr(measure_module, "open_session", open_session)
    monkeypatch.setattr(measure_module, "time_chain", time_chain)
    timing = time_plan(digits.graph, plan, digits.samples[0], Runtime(), rounds=3)
    assert compared
    assert all(model is digits.graph.model for model in compared)
    assert timing.chain_ratio_to_fp32 == pytest.approx(
        sum(stage.seconds for stage in timing.stages) / timing.fp32_s
    )
