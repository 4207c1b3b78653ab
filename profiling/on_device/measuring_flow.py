"""The flow on a device: time the models of a plan side by side, attribute kernels, fit costs."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import onnxruntime as ort

from profiling.on_device.conversion_costs import conversion_costs
from profiling.on_device.cost_fits import (
    fit_line,
    stage_boundary_costs,
    stage_seconds,
    unit_costs,
)
from profiling.on_device.create_session import Feeds, session_runner, zero_feeds
from profiling.on_device.kernels import OwnerKind
from profiling.on_device.latency_record import LatencyRecord, WireRow
from profiling.on_device.measurement_order import MeasurementPlan
from profiling.on_device.processor import cpu_description, int8_overflows
from profiling.on_device.robust_statistics import are_noisy, relative_iqr
from profiling.on_device.run_clock import RunClock, clock_of
from profiling.on_device.timing_loop import (
    least_seconds,
    rounds_for,
    time_interleaved,
    time_stages,
)
from profiling.on_device.variant_sessions import Report, VariantSessions
from profiling.on_device.variant_times import Timed, time_variants

_WIRE_ROUNDS = 30  # the median's standard error is a sixth of the interquartile range


def measure(plan: MeasurementPlan, models: VariantSessions, feeds: Feeds, report: Report) -> LatencyRecord:
    """Return the latency profile of the model on this device.

    Parameters
    ----------
    feeds
        One real sample.
    """
    clock = clock_of(plan.threads, plan.provider)
    plan = replace(plan, rounds=rounds_for(session_runner(models.plain(0), feeds), plan.rounds, clock))
    variants = time_variants(plan, models, feeds, report)
    kernels = [variant.kernels for variant in variants]
    uniform = dict(zip(plan.precisions, variants))
    spread = relative_iqr(variants[0].runs_s)
    return LatencyRecord(
        model_sha256=plan.model_sha256,
        runtime_version=ort.__version__,
        scheme=plan.scheme,
        overflows=int8_overflows(models.overflow_probe()),
        processor=cpu_description(),
        threads=plan.threads,
        provider=plan.provider,
        samples=plan.rounds,
        runs_s={precision: list(variant.runs_s) for precision, variant in uniform.items()},
        spread=spread,
        noisy=are_noisy(variants[0].runs_s),
        wall_s={precision: variant.wall_s for precision, variant in uniform.items()},
        unattributed_s={
            precision: max(0.0, variant.wall_s - times.attributed_s)
            for (precision, variant), times in zip(uniform.items(), kernels)
        },
        profiled_s={precision: variant.profiled.total_s for precision, variant in uniform.items()},
        units=unit_costs(plan, kernels),
        switches=conversion_costs(plan, kernels),
        start_s=variants[0].start_s,
        seams=stage_boundary_costs(plan, stage_overheads(plan, models, variants, feeds, report)),
        wires=wire_costs(plan, models, clock),
        clock=clock.kind,
        disturbed=clock.disturbed_share(variants[0].all_runs),
        waiting=clock.waiting(variants[0].all_runs),
    )


def stage_overheads(
    plan: MeasurementPlan,
    models: VariantSessions,
    variants: Sequence[Timed],
    feeds: Feeds,
    report: Report,
) -> list[list[float]]:
    """Return, per precision, how much longer each stage takes than its units inside the whole model."""
    if not plan.stages:
        return []
    overheads, clock = [], clock_of(plan.threads, plan.provider)
    for number, variant in enumerate(variants[: len(plan.precisions)]):
        whole = models.plain(number)
        stages = [models.stage(number, stage) for stage in range(len(plan.stages))]
        rounds = rounds_for(session_runner(whole, feeds), plan.rounds, clock)
        taken_s = [
            ratio * variant.wall_s
            for ratio in time_stages([whole] * len(stages), stages, feeds, rounds, clock)
        ]
        del whole, stages  # models may be large
        kernels = variant.kernels
        inside = {kind: kernels.of(kind) for kind in OwnerKind}
        inside_s = stage_seconds(plan.switches, plan.stages, inside)
        overheads.append([taken - variant.start_s - units_s for taken, units_s in zip(taken_s, inside_s)])
        report("timing cuts", number + 1, len(plan.precisions))
    return overheads


def wire_costs(plan: MeasurementPlan, models: VariantSessions, clock: RunClock) -> list[WireRow]:
    """Return what encoding and decoding take, as a line over elements, a run's own seconds taken off."""
    sessions = [models.wire(number) for number in range(len(plan.wires))]
    work = {number: session_runner(session, zero_feeds(session)) for number, session in enumerate(sessions)}
    seconds = time_interleaved(work, _WIRE_ROUNDS, clock)
    start_s = least_seconds(models.overflow_probe(), clock)
    points: dict[tuple[str, str], list[tuple[int, float]]] = defaultdict(list)
    for number, (wire, side, elements) in enumerate(plan.wires):
        points[wire, side].append((elements, max(0.0, statistics.median(seconds[number]) - start_s)))
    lines = {ends: fit_line(measured) for ends, measured in points.items()}
    return [WireRow(wire, side, line.start, line.slope) for (wire, side), line in lines.items()]
