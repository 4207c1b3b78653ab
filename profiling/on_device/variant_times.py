"""Seconds of each variant of the model, as a whole and by kernel, each run in turn with the fp32 model."""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path
from typing import NamedTuple

from profiling.on_device.create_session import zero_feeds
from profiling.on_device.interruptions import interruptions_of
from profiling.on_device.kernels import KernelTimes, TracedRuns, read_kernels
from profiling.on_device.measured_record import Timed
from profiling.on_device.measurement_order import MeasurementPlan
from profiling.on_device.run_clock import CPU, RunClock, RunTime
from profiling.on_device.runtime_session import Report, session_runner
from profiling.on_device.timing_loop import (
    REFERENCE,
    SESSION,
    InterleavedRuns,
    InterleavedTimer,
    Rounds,
    least_seconds,
)
from profiling.on_device.variant_sessions import VariantSessions


class _Runs(NamedTuple):
    """Runs of one variant in turn with the fp32 model."""

    ratio_to_fp32: float
    kernels: KernelTimes  # under the profiler
    traced_fp32_s: float  # what the fp32 model took meanwhile
    runs: list[RunTime]  # that count
    all_runs: list[RunTime]


def time_variants(
    plan: MeasurementPlan, models: VariantSessions, timer: InterleavedTimer, report: Report
) -> list[Timed]:
    """Return the times of each variant, each run in turn with the fp32 model.

    So two models are in memory at a time, and what slows the machine meanwhile slows both. Variant 0 is the
    fp32 model itself: its runs are those beside all variants, and show how calm the machine was.

    Parameters
    ----------
    timer
        Its reference is the fp32 model.
    """
    start_s = start_seconds(models, timer.clock)
    variants, fp32_s, fp32_runs, all_fp32_runs = [], [], [], []
    for variant in range(len(plan.variants)):
        # Units' seconds come from the models in one precision; mixed ones only show what switches add.
        counts = variant < len(plan.precisions)
        rounds = plan.rounds if counts else -(-plan.rounds // 2)
        kernels, traced = trace(models, variant, timer, rounds)
        fp32_s += traced.reference_s
        traced_fp32_s = statistics.median(traced.reference_s)
        runs = timer(models.plain(variant), rounds) if variant else traced
        fp32_runs += runs.reference
        all_fp32_runs += runs.rounds.all_of(REFERENCE)
        if variant == 0:
            variants.append(_Runs(1.0, kernels, traced_fp32_s, fp32_runs, all_fp32_runs))
        else:
            fp32_s += runs.reference_s
            own, all_own = runs.session, runs.rounds.all_of(SESSION)
            variants.append(_Runs(runs.ratio, kernels, traced_fp32_s, own, all_own))
        report("timing", variant + 1, len(plan.variants))
    fp32 = statistics.median(fp32_s)
    # Each variant is scaled by what the fp32 model took beside it, so that all are of one pace.
    return [
        Timed(
            runs.ratio_to_fp32 * fp32,
            runs.kernels.scaled(fp32 / runs.traced_fp32_s),
            tuple(runs.runs),
            start_s,
            tuple(runs.all_runs),
        )
        for runs in variants
    ]


def start_seconds(models: VariantSessions, clock: RunClock) -> float:
    """Return what a run takes whatever the model: that of the probe, which computes hardly anything."""
    probe = models.overflow_probe()
    return least_seconds(session_runner(probe, zero_feeds(probe)), clock)


def trace(
    models: VariantSessions, variant: int, timer: InterleavedTimer, rounds: int = 0
) -> tuple[KernelTimes, InterleavedRuns]:
    """Return a variant's kernels under the profiler, and its runs there in turn with the fp32 model.

    Parameters
    ----------
    rounds
        The timer's own if 0.
    """
    with tempfile.TemporaryDirectory() as folder:
        optimized = Path(folder) / "optimized.onnx"
        session = models.traced(variant, Path(folder) / "run", optimized)
        runs = timer(session, rounds)
        traced = _traced(runs.rounds, timer.clock)
        return read_kernels(Path(session.end_profiling()), optimized, traced), runs


def _traced(rounds: Rounds, clock: RunClock) -> TracedRuns:
    """Return which runs of a traced session count, and what interrupted them.

    Where hardly a round is warm, each kernel is warm in other runs: all of them count.
    """
    taken = len(rounds.taken)
    if rounds.are_warm or clock.kind != CPU:
        return TracedRuns(taken, rounds.kept[SESSION], interruptions_of(rounds.of(SESSION), clock))
    return TracedRuns(taken, range(taken), interruptions_of(rounds.all_of(SESSION), clock, cools_caches=True))
