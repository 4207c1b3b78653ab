"""Seconds of each variant of the model, as a whole and by kernel, each run in turn with the fp32 model."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from profiling.on_device.clock.interruptions import interruptions_of
from profiling.on_device.clock.run_clock import CPU, RunClock
from profiling.on_device.create_session import zero_feeds
from profiling.on_device.kernels import KernelTimes, TracedRuns, read_kernels
from profiling.on_device.measured_record import Timed
from profiling.on_device.measurement_order import MeasurementPlan
from profiling.on_device.robust_statistics import is_slow, session_count
from profiling.on_device.runtime_session import Feeds, Report, session_runner
from profiling.on_device.timing.interleaved_rounds import Rounds, least_seconds, rounds_in_row
from profiling.on_device.timing.interleaved_sessions import (
    REFERENCE,
    SESSION,
    InterleavedRuns,
    InterleavedTimer,
)
from profiling.on_device.timing.session_interference import Interference, are_calm_enough, calmest
from profiling.on_device.variant_sessions import VariantSessions

_FEWEST_CALM = 2  # sessions of a variant that are wanted without interference


class _Session(NamedTuple):
    """Runs of one variant in turn with the fp32 model, one session of each: under the profiler and without.

    The fp32 model itself runs without it as the reference, and what takes long only under it.
    """

    kernels: KernelTimes
    traced: InterleavedRuns
    plain: InterleavedRuns | None

    @property
    def shown(self) -> InterleavedRuns:
        """The runs that tell what the variant takes."""
        return self.plain or self.traced

    @property
    def interference(self) -> Interference:
        """What other work did to the runs that tell what the variant takes, or to the core of all.

        Kernels' seconds allow for cold caches.
        """
        shared = self.traced.interference is Interference.SHARED_CORE
        return Interference.SHARED_CORE if shared else self.shown.interference

    @property
    def fp32_s(self) -> list[float]:
        """Seconds of the fp32 model."""
        return [*(self.plain.reference_s if self.plain else ()), *self.traced.reference_s]


def time_variants(
    plan: MeasurementPlan, models: VariantSessions, timer: InterleavedTimer, feeds: Feeds, report: Report
) -> list[Timed]:
    """Return the times of each variant, each run in turn with the fp32 model.

    So two models are in memory at a time, and what slows the machine meanwhile slows both. Variant 0 is the
    fp32 model itself: its runs are those beside all variants, and show how calm the machine was. Rounds are
    divided among several sessions of all models, since where a session's memory lies makes a few percent.

    Parameters
    ----------
    timer
        Its reference is the first session of the fp32 model.
    feeds
        One real sample.
    """
    count = session_count(plan.rounds)
    rounds, variants = -(-plan.rounds // count), len(plan.variants)
    sessions: list[list[_Session]] = [[] for _ in range(variants)]
    # Units' seconds come from the models in one precision; mixed ones only show what switches add.
    rounds_of = [rounds if variant < len(plan.precisions) else -(-rounds // 2) for variant in range(variants)]
    for number in range(count):
        if number:
            timer = InterleavedTimer(models.plain(0), feeds, rounds, timer.clock)
        for variant in range(variants):
            sessions[variant].append(_session(models, variant, timer, rounds_of[variant], sessions[0]))
            report("timing", number * variants + variant + 1, count * variants)
    for variant, own in enumerate(sessions):
        while not are_calm_enough(own, count, wanted=min(_FEWEST_CALM, count)):
            report("timing again what other work slowed", variant, variants)
            timer = InterleavedTimer(models.plain(0), feeds, rounds, timer.clock)
            own.append(_session(models, variant, timer, rounds_of[variant], sessions[0]))
    first, *mixed = (calmest(each) for each in sessions)
    fp32_s = statistics.median(seconds for each in (first, *mixed) for one in each for seconds in one.fp32_s)
    fp32 = [(one.shown.rounds, REFERENCE) for each in (first, *mixed) for one in each]
    timed = [_timed(first, [1.0], fp32_s)]
    timed += [_timed(each, [one.shown.ratio for one in each], fp32_s) for each in mixed]
    start_s = start_seconds(models, timer.clock, min(one.wall_s for one in timed))
    timed = [replace(one, start_s=start_s) for one in timed]
    return [_with_runs(timed[0], fp32), *timed[1:]]


def _session(
    models: VariantSessions, variant: int, timer: InterleavedTimer, rounds: int, fp32: Sequence[_Session]
) -> _Session:
    """Return one session of a variant.

    Parameters
    ----------
    fp32
        Those of the fp32 model so far; none before its own first.
    """
    fp32_s = statistics.median(fp32[0].traced.reference_s) if fp32 else 0.0
    # The profiler's own cost is nothing beside kernels that take long.
    if variant == 0 or is_slow(fp32_s):
        return _Session(*trace(models, variant, timer, rounds), None)
    # Its runs only divide among kernels what those without it take: half of them do, or all in a row.
    kernels, traced = trace(models, variant, timer, min(rounds, max(-(-rounds // 2), rounds_in_row(fp32_s))))
    return _Session(kernels, traced, timer(models.plain(variant), rounds))


def _timed(sessions: Sequence[_Session], ratios: Sequence[float], fp32_s: float) -> Timed:
    """Return a variant's times, scaled by what the fp32 model took beside it, so that all are of one pace."""
    paces = [fp32_s / statistics.median(one.traced.reference_s) for one in sessions]
    kernels = KernelTimes.merged([one.kernels for one in sessions], paces)
    timed = Timed(statistics.median(ratios) * fp32_s, kernels)
    return _with_runs(timed, [(one.shown.rounds, SESSION) for one in sessions])


def _with_runs(timed: Timed, runs: Sequence[tuple[Rounds, str]]) -> Timed:
    """Return times with the runs of one of each two sessions."""
    counting = tuple(run for rounds, key in runs for run in rounds.of(key))
    return replace(
        timed, runs=counting, all_runs=tuple(run for rounds, key in runs for run in rounds.all_of(key))
    )


def start_seconds(models: VariantSessions, clock: RunClock, shortest_s: float) -> float:
    """Return what a run takes whatever the model: that of the probe, which computes hardly anything.

    Parameters
    ----------
    shortest_s
        What the shortest of the models takes.
    """
    probe = models.overflow_probe()
    return least_seconds(session_runner(probe, zero_feeds(probe)), clock, shortest_s)


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
    calls = rounds.calls_of(SESSION)
    taken = calls[-1] + 1
    if rounds.are_warm or clock.kind != CPU:
        kept = [calls[number] for number in rounds.kept[SESSION]]
        return TracedRuns(taken, kept, interruptions_of(rounds.of(SESSION), clock))
    return TracedRuns(taken, calls, interruptions_of(rounds.all_of(SESSION), clock, cools_caches=True))
