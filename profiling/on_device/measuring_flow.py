"""The flow on a device with ONNX Runtime: time models side by side, attribute kernels, fit costs."""

from __future__ import annotations

import statistics
from collections import defaultdict
from dataclasses import replace

import onnxruntime as ort

from profiling.on_device.clock.run_clock import RunClock, clock_of
from profiling.on_device.cost_fits import fit_line
from profiling.on_device.create_session import zero_feeds
from profiling.on_device.int8_overflow import int8_overflows
from profiling.on_device.latency_record import LatencyRecord, WireRow
from profiling.on_device.measured_record import MeasuredRuntime, record_of
from profiling.on_device.measurement_order import MeasurementPlan
from profiling.on_device.runtime_session import Feeds, Report, session_runner
from profiling.on_device.stage_overheads import stage_overheads
from profiling.on_device.timing.interleaved_rounds import time_interleaved
from profiling.on_device.timing.interleaved_sessions import InterleavedTimer
from profiling.on_device.variant_sessions import VariantSessions
from profiling.on_device.variant_times import time_variants

_WIRE_ROUNDS = 30  # the median's standard error is a sixth of the interquartile range


def measure(plan: MeasurementPlan, models: VariantSessions, feeds: Feeds, report: Report) -> LatencyRecord:
    """Return the latency profile of the model on this device.

    Parameters
    ----------
    feeds
        One real sample.
    """
    clock = clock_of(plan.threads, plan.provider)
    timer = InterleavedTimer(models.plain(0), feeds, plan.rounds, clock)
    plan = replace(plan, rounds=timer.rounds)
    variants = time_variants(plan, models, timer, feeds, report)
    del timer  # models may be large
    runtime = MeasuredRuntime(ort.__version__, int8_overflows(models.overflow_probe()), clock)
    rests_s = [variant.rest_s for variant in variants[: len(plan.precisions)]]
    overheads = stage_overheads(plan, models, variants, feeds, report)
    wires = wire_costs(plan, models, clock, variants[0].start_s)
    return record_of(plan, runtime, variants, rests_s, overheads, wires)


def wire_costs(
    plan: MeasurementPlan, models: VariantSessions, clock: RunClock, start_s: float
) -> list[WireRow]:
    """Return what encoding and decoding take, as a line over elements, a run's own seconds taken off.

    Parameters
    ----------
    start_s
        What a run takes whatever the model.
    """
    sessions = [models.wire(number) for number in range(len(plan.wires))]
    work = {number: session_runner(session, zero_feeds(session)) for number, session in enumerate(sessions)}
    seconds = time_interleaved(work, _WIRE_ROUNDS, clock)
    points: dict[tuple[str, str], list[tuple[int, float]]] = defaultdict(list)
    for number, (wire, side, elements) in enumerate(plan.wires):
        points[wire, side].append((elements, max(0.0, statistics.median(seconds[number]) - start_s)))
    lines = {ends: fit_line(measured) for ends, measured in points.items()}
    return [WireRow(wire, side, line.start, line.slope) for (wire, side), line in lines.items()]
