"""The profile of a `.tflite` model on this machine, and the seconds of a plan's models."""

import statistics
from dataclasses import asdict

import msgspec

from profiling.arrays import Feeds
from profiling.graph.any_model import Stage
from profiling.latency.measure_latency import BuiltPlan, Setup, stage_times
from profiling.latency.measured_mixes import by_precision, mixes_of, planned_switches, planned_units
from profiling.latency.plan_timing import PlanTiming
from profiling.litert.calibration import Ranges
from profiling.litert.interpreter import OpenedStage
from profiling.litert.latency.litert_variants import InMemory, VariantModels, timed_groups, tiny_model
from profiling.litert.latency.owned_groups import owned_groups
from profiling.litert.planning.mixed_model import MixedModel, mixed_model
from profiling.litert.unit_graph import LitertGraph
from profiling.on_device.clock.run_clock import clock_of
from profiling.on_device.litert.litert_timing import (
    chain_runs,
    filling,
    kernel_times,
    ratio_to_first,
    seconds_of,
    time_models,
)
from profiling.on_device.litert.measuring_litert import measure_litert
from profiling.on_device.measured_record import Timed
from profiling.on_device.measurement_order import FORMAT, XNNPACK, MeasurementPlan
from profiling.on_device.robust_statistics import are_enough, middle_error
from profiling.on_device.runtime_session import session_runner
from profiling.on_device.timing.interleaved_rounds import Rounds, least_seconds
from profiling.on_device.timing.interleaved_sessions import ChainRuns
from profiling.on_device.timing.session_interference import calmest
from profiling.progress import Progress, silent
from profiling.records.profile import LatencyProfile


def litert_measurement_plan(
    graph: LitertGraph, scheme: str, setup: Setup, device: str = ""
) -> MeasurementPlan:
    """Return what is to be measured of `variant_models` on a device.

    Parameters
    ----------
    scheme
        Its label.
    """
    return MeasurementPlan(
        format=FORMAT,
        device=device,
        threads=setup.runtime.threads,
        provider=XNNPACK,
        rounds=setup.rounds,
        scheme=scheme,
        model_sha256=graph.model_sha256,
        units=planned_units(graph),
        switches=planned_switches(graph),
        precisions=[precision.value for precision in setup.precisions],
        variants=[by_precision(mix) for mix in mixes_of(graph, setup.precisions)],
        stages=setup.stages(graph),
        wires=[],
    )


def variant_models(graph: LitertGraph, ranges: Ranges, setup: Setup) -> VariantModels:
    """Return what is timed: a model in each precision, fp32 first, and mixed ones that show switches."""
    return VariantModels(graph, mixes_of(graph, setup.precisions), ranges)


def measure_litert_latency(
    graph: LitertGraph, scheme: str, ranges: Ranges, feeds: Feeds, setup: Setup, progress: Progress = silent
) -> LatencyProfile:
    """Time whole models in each precision and mixed ones on this machine, and their units inside them.

    Parameters
    ----------
    scheme
        Its label.
    feeds
        One real sample.
    """
    plan = litert_measurement_plan(graph, scheme, setup)
    models = InMemory(variant_models(graph, ranges, setup), plan.switches, plan.stages, plan.threads)
    return msgspec.convert(asdict(measure_litert(plan, models, feeds, progress)), LatencyProfile)


def time_litert_plan(
    graph: LitertGraph, plan: BuiltPlan[Stage], feeds: Feeds, threads: int, rounds: int
) -> PlanTiming:
    """Time a plan's whole model and its stages on this machine, in turn with the fp32 model.

    Parameters
    ----------
    plan
        Its whole model is a `MixedModel`.
    """
    clock = clock_of(threads, XNNPACK)
    if not isinstance(plan.mixed, MixedModel):
        raise TypeError("the plan's whole model is of another runtime")
    beside = mixed_model(graph, {}, {}), plan.mixed
    switches = planned_switches(graph)
    sessions: list[Rounds] = []
    ratios: list[float] = []
    fp32_s: list[float] = []
    while not are_enough(ratios, statistics.median(fp32_s or [0.0]), len(sessions)):
        opened = [OpenedStage(model.content, threads) for model in beside]
        sessions.append(time_models(opened, feeds, rounds, clock))
        counting = calmest(sessions)
        fp32_s = [seconds for runs in counting for seconds in seconds_of(runs, 0)]
        ratios = [ratio_to_first(runs, 1) for runs in counting]
    reference_s = statistics.median(fp32_s)
    wall_s = statistics.median(ratios) * reference_s
    start_s = least_seconds(session_runner(*tiny_model(threads)), clock, min(wall_s, reference_s))
    groups = timed_groups(owned_groups(plan.mixed.quantized, switches), feeds, threads)
    found = kernel_times(groups, rounds, clock)
    whole = Timed(wall_s=wall_s, profiled=filling(found, wall_s - start_s), start_s=start_s)
    chains = _stage_ratios(plan, beside[0], feeds, threads, rounds, reference_s)
    stages = stage_times(plan, chains, reference_s)
    error = middle_error([sum(chain) for chain in chains] if chains else ratios)
    return PlanTiming(planned_units(graph), switches, plan.mix, reference_s, whole, stages, error)


def _stage_ratios(
    plan: BuiltPlan[Stage], fp32: MixedModel, feeds: Feeds, threads: int, rounds: int, fp32_s: float
) -> list[list[float]]:
    """Return the seconds of stages over those of the fp32 model, in each of some sessions; none uncut.

    Parameters
    ----------
    fp32_s
        What the fp32 model takes.
    """
    if not plan.is_cut:
        return []
    clock = clock_of(threads, XNNPACK)
    sessions: list[ChainRuns] = []
    ratios: list[list[float]] = []
    while not are_enough([sum(chain) for chain in ratios], fp32_s, len(sessions)):
        whole = OpenedStage(fp32.content, threads)
        stages = [OpenedStage(stage.content, threads) for _, stage in plan.stages]
        sessions.append(chain_runs(whole, stages, feeds, rounds, clock, plan.handed_over))
        ratios = [runs.ratios for runs in calmest(sessions)]
    return ratios
