"""Seconds of whole models, stages, and groups of operators inside the whole, as differences of stages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Callable, NamedTuple

from profiling.on_device.clock.run_clock import RunClock
from profiling.on_device.kernels import Kernel, KernelTimes, Owner
from profiling.on_device.robust_statistics import interquartile_mean
from profiling.on_device.runtime_session import Feeds, Session, session_runner
from profiling.on_device.timing.interleaved_rounds import (
    Rounds,
    rounds_for,
    run_interleaved,
    time_interleaved,
)
from profiling.on_device.timing.interleaved_sessions import ChainRuns, median_ratio, time_chain


class GroupCalls(NamedTuple):
    """Stages whose difference is what a group of operators takes: one that ends with it, one before it.

    Without one before it, the group is the whole stage.
    """

    with_group: Callable[[], object]
    before_group: Callable[[], object] | None


def group_seconds(calls: GroupCalls, rounds: int, clock: RunClock) -> list[float]:
    """Return the seconds of a group in each round.

    Parameters
    ----------
    rounds
        Of both stages, run in turn; 0 for as many as their seconds ask for.
    """
    count = rounds_for(calls.with_group, rounds, clock)
    if calls.before_group is None:
        return time_interleaved({0: calls.with_group}, count, clock)[0]
    runs = time_interleaved({"before": calls.before_group, "with": calls.with_group}, count, clock)
    return [b - a for a, b in zip(runs["before"], runs["with"])]


def kernel_times(groups: Iterable[tuple[Owner, GroupCalls]], rounds: int, clock: RunClock) -> KernelTimes:
    """Return the seconds of the groups of a model, each with its owner, as its kernels."""
    return KernelTimes(tuple(_kernel(owner, group_seconds(calls, rounds, clock)) for owner, calls in groups))


def _kernel(owner: Owner, runs: Sequence[float]) -> Kernel:
    return Kernel("", "", owner, max(0.0, interquartile_mean(runs)), tuple(runs))


def filling(found: KernelTimes, wall_s: float) -> KernelTimes:
    """Return kernels that take so many seconds together: differences of stages add up to a little else."""
    return found.scaled(wall_s / found.total_s) if found.total_s > 0 else found


def time_models(models: Sequence[Session], feeds: Feeds, rounds: int, clock: RunClock) -> Rounds:
    """Return the runs of some models by their number, run in turn."""
    calls = {number: session_runner(model, feeds) for number, model in enumerate(models)}
    return run_interleaved(calls, rounds_for(calls[0], rounds, clock), clock)


def seconds_of(runs: Rounds, model: int) -> list[float]:
    """Return the seconds of a model by its number."""
    return [run.seconds for run in runs.of(model)]


def ratio_to_first(runs: Rounds, model: int) -> float:
    """Return how many times the first one a model takes: the median over the rounds."""
    return median_ratio(seconds_of(runs, model), seconds_of(runs, 0))


def chain_runs(
    whole: Session,
    stages: Sequence[Session],
    feeds: Feeds,
    rounds: int,
    clock: RunClock,
    handed_over: Feeds | None = None,
) -> ChainRuns:
    """Return the runs of stages and of the whole, as `time_chain` does.

    Parameters
    ----------
    rounds
        0 for as many as the whole's seconds ask for.
    """
    count = rounds_for(session_runner(whole, feeds), rounds, clock)
    return time_chain(whole, stages, feeds, count, clock, handed_over)
