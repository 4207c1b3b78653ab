"""A kernel's own seconds, from wall times of runs that other work interrupted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from profiling.on_device.clock.run_clock import CPU, RunClock, RunTime
from profiling.on_device.robust_statistics import interquartile_mean

# Below this an estimate rests on few untouched runs and on what a kernel is thought to take.
_LEAST_UNTOUCHED = 0.3
_CERTAINTY = 0.95  # that so many runs are untouched
# Part of untouched runs that counts where interruptions emptied caches before: those that found them warmest.
_QUARTER, _FEWEST = 4, 3


@dataclass(frozen=True)
class Interruptions:
    """How often, and for how long, other work interrupted the runs whose kernels were timed.

    Parameters
    ----------
    per_cpu_s
        Times per second that the runs computed.
    cpu_share
        Seconds that they computed per second of wall clock.
    waited_s
        Of each run; empty where that is not known.
    cools_caches
        Whether they come so often that runs rarely find caches as warm as they left them.
    """

    per_cpu_s: float = 0.0
    cpu_share: float = 1.0
    waited_s: tuple[float, ...] = ()
    cools_caches: bool = False

    @classmethod
    def together(cls, parts: Sequence[tuple[Interruptions, int, float]]) -> Interruptions:
        """Return what interrupted the runs of several sessions.

        Parameters
        ----------
        parts
            (interruptions, runs, pace) of each session; its seconds are multiplied by the pace.
        """
        runs = sum(count for _, count, _ in parts)
        if not runs:
            return UNINTERRUPTED
        return cls(
            sum(one.per_cpu_s / pace * count for one, count, pace in parts) / runs,
            sum(one.cpu_share * count for one, count, _ in parts) / runs,
            tuple(waited_s * pace for one, _, pace in parts for waited_s in one.waited_s),
            any(one.cools_caches for one, _, _ in parts),
        )

    def own_seconds(self, runs_s: Sequence[float]) -> float:
        """Return what a kernel takes without interruptions.

        Let a kernel compute for c seconds, and let interruptions come at a rate of r per second of
        computing. A run has r c of them inside the kernel in the mean, so it has one or more with a
        probability of at most r c (Markov's inequality), whatever their pattern: a scheduler's are
        regular rather than random. The lowest 1 - r c of the kernel's wall times are those of runs in
        which nothing touched it, and their middle is c. How many runs that are varies; so many are taken
        as there are with a certainty of 95 %. Where caches are cold, which only ever adds, it is the
        middle of the lowest quarter of these.

        A kernel so long that nearly every run touches it has a mean wall time of c (1 + r w), where w is
        how long an interruption lasts; so has the whole run, so c is the mean times the run's share of
        computing. Interruptions are few and long, so that this varies. Two bounds hold in each run: c is
        at most the wall time, and at least that less all that the run waited.

        Parameters
        ----------
        runs_s
            Wall times of the kernel.
        """
        if self.per_cpu_s == 0.0:
            return interquartile_mean(runs_s)
        scaled = self._scaled(runs_s)
        untouched = self._untouched(len(runs_s), scaled)
        if self.cools_caches:
            untouched = max(min(_FEWEST, untouched), untouched // _QUARTER)
        return interquartile_mean(sorted(runs_s)[:untouched]) if untouched else scaled

    def untouched(self, runs_s: Sequence[float]) -> list[float]:
        """Return the wall times in which nothing touched the kernel, lowest first; all if few are so."""
        walls = sorted(runs_s)
        count = self._untouched(len(walls), self._scaled(runs_s)) if self.per_cpu_s else len(walls)
        return walls[: count or len(walls)]

    def _scaled(self, runs_s: Sequence[float]) -> float:
        walls = np.asarray(runs_s, dtype=float)
        seconds = float(walls.mean()) * self.cpu_share
        if len(self.waited_s) == len(walls):
            seconds = max(seconds, float((walls - np.asarray(self.waited_s)).max()))
        return min(seconds, float(walls.min()))

    def _untouched(self, runs: int, seconds: float) -> int:
        """Return in how many runs a kernel that takes so long was not touched, with 95 % certainty."""
        probability = 1.0 - self.per_cpu_s * seconds
        return _certain_successes(runs, probability) if probability >= _LEAST_UNTOUCHED else 0


UNINTERRUPTED = Interruptions()


def interruptions_of(
    runs: Sequence[RunTime], clock: RunClock, *, cools_caches: bool = False
) -> Interruptions:
    """Return what interrupted runs; nothing, where the clock does not tell computing from waiting.

    A run that waited was interrupted at least once, also where the system counts no switches.
    """
    seconds = sum(run.seconds for run in runs)
    if clock.kind != CPU or seconds <= 0:
        return UNINTERRUPTED
    waited = [run.waited_s for run in runs]
    switches = sum(max(run.switches, int(run.is_disturbed)) for run in runs)
    return Interruptions(switches / seconds, seconds / (seconds + sum(waited)), tuple(waited), cools_caches)


def _certain_successes(trials: int, probability: float) -> int:
    """Return the most successes that as many trials have with a probability of 95 % at least."""
    if probability >= 1.0:
        return trials
    count = np.arange(trials)
    steps = np.log((trials - count) / (count + 1)) + np.log(probability / (1.0 - probability))
    logs = trials * np.log1p(-probability) + np.concatenate([[0.0], np.cumsum(steps)])
    fewer = np.cumsum(np.exp(logs)) - np.exp(logs)  # than each number
    return int(np.flatnonzero(1.0 - fewer >= _CERTAINTY).max())
