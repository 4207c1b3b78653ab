"""How much longer stages take than their units inside the whole model, timed in turn with fp32."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from profiling.on_device.clock.run_clock import RunClock, clock_of
from profiling.on_device.measured_record import Timed
from profiling.on_device.measurement_order import MeasurementPlan
from profiling.on_device.robust_statistics import least_sessions, session_count, sufficient_rounds
from profiling.on_device.runtime_session import Feeds, Report, StagedVariants
from profiling.on_device.timing.interleaved_sessions import ChainRuns, time_chain
from profiling.on_device.timing.session_interference import are_calm_enough, calmest


def stage_overheads(
    plan: MeasurementPlan,
    models: StagedVariants,
    variants: Sequence[Timed],
    feeds: Feeds,
    report: Report,
) -> list[list[float]]:
    """Return, per precision, how much longer each stage takes than its units inside the whole model.

    Rounds are divided among several sessions, as those of whole models are. Those with the least
    interference count: other work slows int8 kernels more than float ones.
    """
    if not plan.stages:
        return []
    overheads, clock = [], clock_of(plan.threads, plan.provider)
    for number, variant in enumerate(variants[: len(plan.precisions)]):
        rounds = plan.rounds or sufficient_rounds(max(variants[0].wall_s, variant.wall_s))
        needed = min(session_count(rounds), least_sessions(variants[0].wall_s))
        sessions: list[ChainRuns] = []
        while not are_calm_enough(sessions, needed):
            sessions.append(_session(plan, models, number, feeds, -(-rounds // needed), clock))
        ratios = zip(*(chain.ratios for chain in calmest(sessions)))
        taken_s = [statistics.median(of_stage) * variants[0].wall_s for of_stage in ratios]
        overheads.append(variant.overheads(plan, taken_s))
        report("timing cuts", number + 1, len(plan.precisions))
    return overheads


def _session(
    plan: MeasurementPlan, models: StagedVariants, variant: int, feeds: Feeds, rounds: int, clock: RunClock
) -> ChainRuns:
    """Time a variant's stages in turn with the fp32 model, as verification times a plan's.

    Between runs of the whole model of their own precision, stages of a network of a quarter of a millisecond
    took 1 to 2 % less.
    """
    fp32 = models.plain(0)
    stages = [models.stage(variant, stage) for stage in range(len(plan.stages))]
    return time_chain(fp32, stages, feeds, rounds, clock)
