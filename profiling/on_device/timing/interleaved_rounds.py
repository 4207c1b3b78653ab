"""Seconds of calls, timed in turn, so that what slows the machine slows all of them alike."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Callable, NamedTuple

from profiling.on_device.clock.run_clock import WALL, RunClock, RunTime
from profiling.on_device.robust_statistics import MOST_ROUNDS, are_contended, sufficient_rounds
from profiling.on_device.timing.session_interference import Interference

# Rounds that are taken for each that is asked for, where too many of them are disturbed.
_MOST_TAKEN = 3
_FEWEST, _FEWEST_FILLED = 8, 3  # rounds that count, if more were taken; of those behind filled caches
# What takes less finds its weights and tensors in caches if it ran just before. Behind another model, its
# first run takes up to 40 % more, and a cache that holds all of it is only filled after up to 30 ms of runs.
_CACHED_S, _MOST_WARMING = 0.03, 16
_SHORT_AT_FIRST_S = 4 * _CACHED_S  # the first run of a session, which allocates memory, takes so much longer
_MOST_IN_BURST = 8  # runs of one callable that count, one behind another
# Part of the rounds asked for that counts by processor time where hardly one is warm: cold caches only ever
# add to a run, and the lowest are the warmest.
_QUARTER = 4


@dataclass(frozen=True)
class Round:
    """One run that counts of each of some callables.

    Parameters
    ----------
    runs
        By callable.
    calls
        How often each was called since the round before: the last of these is the run that counts.
    is_calm
        Whether nothing disturbed it, from the end of the round before on.
    is_warm
        Whether nothing disturbed what filled the caches either: other work empties them, and what runs next
        fills them again in its own processor time.
    """

    runs: Mapping[Any, RunTime]
    is_calm: bool
    is_warm: bool
    calls: Mapping[Any, int] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """Seconds of all its runs."""
        return sum(run.seconds for run in self.runs.values())

    @property
    def disturbance(self) -> tuple[int, float]:
        """How many of its runs shared their core, and seconds that its runs waited per second of them."""
        waited_s = sum(run.waited_s for run in self.runs.values())
        contended = sum(run.is_contended for run in self.runs.values())
        return contended, waited_s / self.seconds if self.seconds else 0.0


@dataclass(frozen=True)
class Rounds:
    """Runs of some callables in turn.

    Parameters
    ----------
    taken
        Every round.
    kept
        By callable, numbers of the rounds whose runs count, in the order in which they are compared.
    """

    taken: Sequence[Round]
    kept: Mapping[Any, Sequence[int]]

    @property
    def are_warm(self) -> bool:
        """Whether those that count are warm."""
        return all(self.taken[number].is_warm for numbers in self.kept.values() for number in numbers)

    @property
    def is_contended(self) -> bool:
        """Whether many of the runs that count shared their core."""
        counting = [run for key in self.kept for run in self.of(key)]
        return bool(counting) and are_contended(sum(run.is_contended for run in counting) / len(counting))

    @property
    def interference(self) -> Interference:
        """What other work did to those that count."""
        if self.is_contended:
            return Interference.SHARED_CORE
        if self.are_warm:
            return Interference.NONE
        are_short = any(calls > 1 for one in self.taken for calls in one.calls.values())
        return Interference.COLD if are_short else Interference.SOME

    def of(self, key: Any) -> list[RunTime]:
        """Return the runs of a callable that count."""
        return [self.taken[number].runs[key] for number in self.kept[key]]

    def all_of(self, key: Any) -> list[RunTime]:
        """Return the runs of a callable in every round."""
        return [one.runs[key] for one in self.taken]

    def calls_of(self, key: Any) -> list[int]:
        """Return which call of a callable is its run in each round, counted from the first round's first."""
        return [total - 1 for total in itertools.accumulate(one.calls.get(key, 1) for one in self.taken)]


class _Burst(NamedTuple):
    """Rounds of which each callable runs all at once, and then the next one.

    Parameters
    ----------
    seconds
        Of all calls, those that fill the caches included.
    is_calm
        Whether nothing disturbed any of them.
    waited_s
        How long was waited until its end, counted from some moment in the past.
    """

    rounds: Sequence[Round]
    seconds: float
    is_calm: bool
    waited_s: float


def run_interleaved(
    work: Mapping[Any, Callable[[], object]],
    rounds: int,
    clock: RunClock,
    known_s: Mapping[Any, float] = MappingProxyType({}),
) -> Rounds:
    """Return what each callable takes in each round, all run in turn.

    Each callable runs before the first round, so that its arenas are allocated, and what is short twice, so
    that its seconds are known. What is long runs once in each round. What is short runs many times in a row:
    first until the caches are as where nothing else runs, then as often as a burst has rounds. Without that a
    model of 2 ms took up to 15 % more than alone, and another each time. Each burst begins with another
    callable, so that a scheduler's slices do not fall into step with them.

    Rounds go on until so many as asked for are warm, or three times as many were taken; only warm ones count,
    if there are some. Where hardly any is, each callable's quickest runs count by processor time, and rounds
    that waited least by wall time; where none is, and runs are long, more rounds only help wall time.

    A burst waits for a core on which nothing else computes, as long as there is patience.

    Parameters
    ----------
    known_s
        Seconds of those that ran before.
    """
    with clock.visiting_cores():
        taken = _taken_rounds(work, rounds, clock, known_s)
    return Rounds(taken, {key: _counting(taken, key, rounds, clock) for key in work})


def _taken_rounds(
    work: Mapping[Any, Callable[[], object]], rounds: int, clock: RunClock, known_s: Mapping[Any, float]
) -> list[Round]:
    clock.wait_for_core()
    waited = clock.read_waited()
    first = {key: _first_runs(call, clock) for key, call in work.items() if key not in known_s}
    before = _burst([run for own in first.values() for run in own], clock, waited)
    run_s = {key: first[key][-1].seconds if key in first else known_s[key] for key in work}
    warming = {key: 0 if len(work) == 1 else _warming_calls(run_s[key]) for key in work}
    size = _rounds_in_burst(warming.values())
    taken: list[Round] = []
    undisturbed = bursts = 0
    # Among runs of long work none is warm where one is not, however many there are.
    helps = clock.kind == WALL or any(warming.values())
    while undisturbed < rounds and len(taken) < (_MOST_TAKEN if helps or undisturbed else 1) * rounds:
        if clock.wait_for_core(before.seconds):
            before = before._replace(is_calm=False, waited_s=clock.read_waited())
        own_size = min(size, rounds - undisturbed)
        before = _next_burst(_beginning_with(work, bursts), warming, own_size, clock, before)
        bursts += 1
        taken += before.rounds
        undisturbed += sum(one.is_warm for one in before.rounds)
        if not before.is_calm:
            clock.leave_core()  # another may be better now, and the system may know which
    return taken


def _first_runs(call: Callable[[], object], clock: RunClock) -> list[RunTime]:
    """Return the first run of a callable, and the second of what may be short."""
    first = clock.time(call)
    return [first, clock.time(call)] if first.seconds < _SHORT_AT_FIRST_S else [first]


def _beginning_with(work: Mapping[Any, Callable[[], object]], number: int) -> dict[Any, Callable[[], object]]:
    """Return callables with the one of a number first, and those before it last."""
    calls = list(work.items())
    first = number % len(calls) if calls else 0
    return dict(calls[first:] + calls[:first])


def _next_burst(
    work: Mapping[Any, Callable[[], object]],
    warming: Mapping[Any, int],
    size: int,
    clock: RunClock,
    before: _Burst,
) -> _Burst:
    """Return the burst behind another.

    Parameters
    ----------
    warming
        How often each callable is called before its runs count.
    size
        How many rounds it has.
    """
    runs = {
        key: [*(clock.warm_up(call) for _ in range(warming[key])), *(clock.time(call) for _ in range(size))]
        for key, call in work.items()
    }
    burst = _burst([run for own in runs.values() for run in own], clock, before.waited_s)
    is_warm = burst.is_calm and (before.is_calm or all(warming[key] for key in work))
    rounds = [
        Round(
            {key: own[warming[key] + number] for key, own in runs.items()},
            burst.is_calm,
            is_warm,
            {key: 1 if number else warming[key] + 1 for key in work},
        )
        for number in range(size)
    ]
    return burst._replace(rounds=rounds)


def _burst(runs: Sequence[RunTime], clock: RunClock, waited_s: float) -> _Burst:
    """Return a burst of some calls that ends now; none of its rounds is known yet.

    Parameters
    ----------
    waited_s
        How long was waited until it began.
    """
    now_s = clock.read_waited()
    whole = RunTime(sum(run.seconds for run in runs), now_s - waited_s)
    is_calm = not whole.is_disturbed and not any(run.is_contended for run in runs)
    return _Burst((), whole.seconds, is_calm, now_s)


def _warming_calls(run_s: float) -> int:
    """Return how often what takes so many seconds runs, behind others, before its runs count."""
    return int(min(_MOST_WARMING, _CACHED_S / run_s)) if run_s > 0 else _MOST_WARMING


def _rounds_in_burst(warming: Collection[int]) -> int:
    """Return of how many rounds each callable runs all at once: as many as the shortest ran before them.

    Fewer would take longer, as all that is short runs before each burst.

    Parameters
    ----------
    warming
        How often each of them runs before its runs count.
    """
    return max(1, min(_MOST_IN_BURST, max(warming, default=0)))


def rounds_in_row(run_s: float) -> int:
    """Return how many runs of what takes so many seconds count one behind another."""
    return _rounds_in_burst([_warming_calls(run_s)])


def round_seconds(runs_s: Sequence[float]) -> float:
    """Return what a round takes of several callables with so many seconds each."""
    warming = [_warming_calls(run_s) for run_s in runs_s]
    size = _rounds_in_burst(warming)
    return sum((calls / size + 1) * run_s for calls, run_s in zip(warming, runs_s))


def _counting(taken: Sequence[Round], key: Any, rounds: int, clock: RunClock) -> Sequence[int]:
    """Return the numbers of the rounds that count of a callable, at most as many as were asked for."""
    warm = [number for number, one in enumerate(taken) if one.is_warm]
    are_filled = any(calls > 1 for one in taken for calls in one.calls.values())
    if len(warm) >= min(rounds, _FEWEST_FILLED if are_filled else _FEWEST):
        return warm
    if clock.kind == WALL:
        least = sorted(range(len(taken)), key=lambda number: taken[number].disturbance)[:rounds]
        return sorted(least)
    quickest = sorted(range(len(taken)), key=lambda number: taken[number].runs[key].seconds)
    return quickest[: max(min(rounds, _FEWEST), rounds // _QUARTER)]


def time_interleaved(
    work: Mapping[Any, Callable[[], object]], rounds: int, clock: RunClock
) -> dict[Any, list[float]]:
    """Return the seconds of each callable in the rounds of `run_interleaved` that count."""
    found = run_interleaved(work, rounds, clock)
    return {key: [run.seconds for run in found.of(key)] for key in work}


def rounds_for(call: Callable[[], object], wanted: int, clock: RunClock) -> int:
    """Return how often to time a callable: as wanted, or (0) as often as `sufficient_rounds` says."""
    return wanted or sufficient_rounds(second_run_s(call, clock))


def second_run_s(call: Callable[[], object], clock: RunClock) -> float:
    """Return what a callable takes when it runs for the second time."""
    call()  # the first run also allocates memory
    return clock.time(call).seconds


def least_seconds(call: Callable[[], object], clock: RunClock, shortest_s: float) -> float:
    """Return what a run takes even if, as in this one, there is hardly anything to compute.

    Behind itself it runs in as warm a cache as models do. The machine's pace may be another one than theirs,
    but some of what they take is their own: half of it at least.

    Parameters
    ----------
    shortest_s
        What the shortest of the models takes.
    """
    seconds = time_interleaved({0: call, 1: call}, MOST_ROUNDS, clock)
    return min(shortest_s / 2, *map(statistics.median, seconds.values()))
