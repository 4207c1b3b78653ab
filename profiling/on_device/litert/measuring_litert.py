"""The flow on a device with LiteRT: time the models of a plan beside fp32, then their units; fit costs.

One thread's processor time is the clock where stages compute on one: other processes do not count there.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple, Protocol

from profiling.on_device.clock.run_clock import RunClock, clock_of
from profiling.on_device.kernels import KernelTimes, Owner
from profiling.on_device.latency_record import LatencyRecord
from profiling.on_device.litert.interpreter import litert_version
from profiling.on_device.litert.litert_timing import (
    GroupCalls,
    filling,
    kernel_times,
    ratio_to_first,
    seconds_of,
    time_models,
)
from profiling.on_device.measured_record import MeasuredRuntime, Timed, record_of
from profiling.on_device.measurement_order import MeasurementPlan
from profiling.on_device.runtime_session import Feeds, Report, Session, StagedVariants, session_runner
from profiling.on_device.stage_overheads import stage_overheads
from profiling.on_device.timing.interleaved_rounds import Rounds, least_seconds
from profiling.on_device.timing.session_interference import are_calm_enough, calmest

_SESSIONS = 3  # where an interpreter's memory lies makes a few percent: the middle one of some counts


class LitertVariants(StagedVariants, Protocol):
    """Opens the models of a plan; each call opens them anew."""

    def groups(self, variant: int, feeds: Feeds) -> Iterable[tuple[Owner, GroupCalls]]:
        """Return what shows the seconds of a variant's units and conversions, in running order.

        They are opened one at a time, and read what the whole variant computes of a sample.
        """

    def tiny(self) -> tuple[Session, Feeds]:
        """Return a model that computes hardly anything, and its sample."""


def measure_litert(
    plan: MeasurementPlan, models: LitertVariants, feeds: Feeds, report: Report
) -> LatencyRecord:
    """Return the latency profile of the model on this device.

    Parameters
    ----------
    feeds
        One real sample.
    """
    clock = clock_of(plan.threads, plan.provider)
    beside_fp32 = []
    for number in range(len(plan.variants)):
        beside_fp32.append(_beside_fp32(plan, models, number, feeds, clock))
        report("timing", number + 1, len(plan.variants))
    # A machine's pace changes: all variants are as many times the fp32 model as they were beside it.
    fp32_s = statistics.median(seconds for one in beside_fp32 for seconds in one.fp32_s)
    start_s = start_seconds(models, clock, min(one.wall_s(fp32_s) for one in beside_fp32))
    variants = [one.at(fp32_s, start_s) for one in beside_fp32]
    overheads = stage_overheads(plan, models, variants, feeds, report)
    plan = replace(plan, rounds=len(variants[0].runs_s))
    rests_s = [variant.start_s for variant in variants]  # differences leave no other
    runtime = MeasuredRuntime(litert_version(), overflows=False, clock=clock)
    return record_of(plan, runtime, variants, rests_s, overheads)


def start_seconds(models: LitertVariants, clock: RunClock, shortest_s: float) -> float:
    """Return what any run takes, whatever the model.

    Parameters
    ----------
    shortest_s
        What the shortest of the variants takes.
    """
    return least_seconds(session_runner(*models.tiny()), clock, shortest_s)


def _beside_fp32(
    plan: MeasurementPlan, models: LitertVariants, number: int, feeds: Feeds, clock: RunClock
) -> _BesideFp32:
    # Units' seconds come from the models in one precision; mixed ones only show what switches add.
    counts = number < len(plan.precisions)
    rounds, sessions = (plan.rounds, _SESSIONS) if counts else (-(-plan.rounds // 2), 1)
    is_fp32 = not plan.variants[number]
    in_turn = [0] if is_fp32 else [0, number]
    runs: list[Rounds] = []
    while not are_calm_enough(runs, sessions):
        runs.append(time_models([models.plain(variant) for variant in in_turn], feeds, rounds, clock))
    found = kernel_times(models.groups(number, feeds), plan.rounds, clock)
    return _BesideFp32(runs, found, len(in_turn) - 1)


class _BesideFp32(NamedTuple):
    """A variant, number 1, in turn with the fp32 model, number 0, in each of some sessions; and its units.

    Of the fp32 model itself the number is 0.
    """

    sessions: Sequence[Rounds]
    found: KernelTimes
    number: int

    @property
    def fp32_s(self) -> list[float]:
        """Seconds of the fp32 model."""
        return [seconds for rounds in calmest(self.sessions) for seconds in seconds_of(rounds, 0)]

    def wall_s(self, fp32_s: float) -> float:
        """Return the variant's seconds where the fp32 model takes so long."""
        ratios = (ratio_to_first(rounds, self.number) for rounds in calmest(self.sessions))
        return statistics.median(ratios) * fp32_s

    def at(self, fp32_s: float, start_s: float) -> Timed:
        """Return the variant's times where the fp32 model takes so long; units add up to the whole."""
        wall_s = self.wall_s(fp32_s)
        return Timed(
            wall_s,
            filling(self.found, wall_s - start_s),
            tuple(run for rounds in calmest(self.sessions) for run in rounds.of(self.number)),
            start_s,
            tuple(run for rounds in self.sessions for run in rounds.all_of(self.number)),
        )
