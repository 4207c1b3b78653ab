"""Seconds of calls and sessions, timed in turn, so that what slows the machine slows all of them alike."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Callable, Protocol, TypeVar

from profiling.on_device.clock.run_clock import WALL, RunClock, RunTime
from profiling.on_device.robust_statistics import MOST_ROUNDS, are_contended, sufficient_rounds
from profiling.on_device.runtime_session import Feeds, Session, session_runner

REFERENCE, SESSION = "reference", "session"
# Rounds that are taken for each that is asked for, where too many of them are disturbed.
_MOST_TAKEN = 3
_MOST_SESSIONS = 2  # that are taken for each that is wanted, where they share their core
_FEWEST = 8  # rounds that count, if more were taken
# What takes less finds its weights and tensors in caches if it ran just before, and where another model did,
# it takes up to 0.3 ms more.
_CACHED_S = 0.03
# Part of runs that counts by processor time where hardly a round is warm: cold caches only ever add to a
# run, and the lowest quarter is that with the warmest.
_QUARTER = 4


@dataclass(frozen=True)
class Round:
    """One run that counts of each of some callables, in turn.

    Parameters
    ----------
    runs
        By callable.
    calls
        How often each was called: the last of these is the run that counts.
    is_calm
        Whether nothing disturbed it, from the end of the round before on.
    is_warm
        Whether nothing disturbed the round before either: other work empties caches, and what runs next
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

    def of(self, key: Any) -> list[RunTime]:
        """Return the runs of a callable that count."""
        return [self.taken[number].runs[key] for number in self.kept[key]]

    def all_of(self, key: Any) -> list[RunTime]:
        """Return the runs of a callable in every round."""
        return [one.runs[key] for one in self.taken]

    def calls_of(self, key: Any) -> list[int]:
        """Return which call of a callable is its run in each round, counted from the first round's first."""
        return [total - 1 for total in itertools.accumulate(one.calls.get(key, 1) for one in self.taken)]


class Contended(Protocol):
    """What may have been measured on a core that other work shared."""

    @property
    def is_contended(self) -> bool:
        """Whether it was."""


Runs = TypeVar("Runs", bound=Contended)


def calmest(sessions: Sequence[Runs]) -> Sequence[Runs]:
    """Return the sessions that did not share their core; all of them if each did."""
    return [runs for runs in sessions if not runs.is_contended] or sessions


def are_calm_enough(sessions: Sequence[Contended], wanted: int) -> bool:
    """Return whether so many sessions as wanted did not share their core, or twice as many were taken."""
    calm = sum(not runs.is_contended for runs in sessions)
    return calm >= wanted or len(sessions) >= _MOST_SESSIONS * wanted


def run_interleaved(
    work: Mapping[Any, Callable[[], object]], rounds: int, clock: RunClock, warm: Collection[Any] = ()
) -> Rounds:
    """Return what each callable takes in each round, all run in turn in every round.

    Each callable runs once before the first round, so that its arenas are allocated. What is short runs twice
    in each round, and the second run counts: the first one fills the caches that others emptied. Else a run
    behind one of its own would take up to 7 % less than the others, and a ratio would be of two kinds. Each
    round begins with another callable, so that a scheduler's slices do not fall into step with them.

    Rounds go on until so many as asked for are warm, or three times as many were taken; only warm ones count,
    if there are some. Where hardly any is, each callable's quickest runs count by processor time, and rounds
    that waited least by wall time; where none is, as runs are long, more rounds only help wall time.

    A round waits for a core on which nothing else computes, as long as there is patience.

    Parameters
    ----------
    warm
        Which ran before.
    """
    with clock.visiting_cores():
        taken = _taken_rounds(work, rounds, clock, warm)
    return Rounds(taken, {key: _counting(taken, key, rounds, clock) for key in work})


def _taken_rounds(
    work: Mapping[Any, Callable[[], object]], rounds: int, clock: RunClock, warm: Collection[Any]
) -> list[Round]:
    clock.wait_for_core()
    waited = clock.read_waited()
    cold = {key: call for key, call in work.items() if key not in warm}
    before, waited = _next_round(cold, clock, waited, Round({}, is_calm=True, is_warm=True))
    taken: list[Round] = []
    undisturbed = 0
    while undisturbed < rounds and _goes_on(len(taken), undisturbed, rounds, clock):
        if clock.wait_for_core(before.seconds):
            before, waited = replace(before, is_calm=False), clock.read_waited()
        before, waited = _next_round(_beginning_with(work, len(taken)), clock, waited, before)
        taken.append(before)
        undisturbed += before.is_warm
        if not before.is_calm:
            clock.leave_core()  # another may be better now, and the system may know which
    return taken


def _beginning_with(work: Mapping[Any, Callable[[], object]], number: int) -> dict[Any, Callable[[], object]]:
    """Return callables with the one of a number first, and those before it last."""
    calls = list(work.items())
    first = number % len(calls) if calls else 0
    return dict(calls[first:] + calls[:first])


def _next_round(
    work: Mapping[Any, Callable[[], object]], clock: RunClock, waited_s: float, before: Round
) -> tuple[Round, float]:
    """Return a round, and how long was waited at its end.

    Parameters
    ----------
    waited_s
        How long was waited at the end of the round before.
    """
    timed = {key: _timed(call, clock, is_alone=len(work) == 1) for key, call in work.items()}
    runs = {key: run for key, (run, _) in timed.items()}
    now_s = clock.read_waited()
    whole = RunTime(sum(calls * run.seconds for run, calls in timed.values()), now_s - waited_s)
    is_calm = not whole.is_disturbed and not any(run.is_contended for run in runs.values())
    calls = {key: count for key, (_, count) in timed.items()}
    return Round(runs, is_calm, is_calm and before.is_calm, calls), now_s


def _timed(call: Callable[[], object], clock: RunClock, *, is_alone: bool) -> tuple[RunTime, int]:
    """Return a run of a callable that finds the caches as it left them, and how often it was called."""
    run = clock.time(call)
    if is_alone or calls_in_round(run.seconds) == 1:
        return run, 1
    return clock.time(call), 2


def calls_in_round(run_s: float) -> int:
    """Return how often what takes so many seconds is called in a round, in turn with others."""
    return 2 if run_s < _CACHED_S else 1


def _goes_on(taken: int, warm: int, rounds: int, clock: RunClock) -> bool:
    """Return whether more rounds may be taken."""
    if taken < rounds:
        return True
    return taken < _MOST_TAKEN * rounds and (clock.kind == WALL or warm > 0)


def _counting(taken: Sequence[Round], key: Any, rounds: int, clock: RunClock) -> Sequence[int]:
    """Return the numbers of the rounds that count of a callable, at most as many as were asked for."""
    warm = [number for number, one in enumerate(taken) if one.is_warm]
    fewest = min(rounds, _FEWEST)
    if len(warm) >= fewest:
        return warm
    if clock.kind == WALL:
        least = sorted(range(len(taken)), key=lambda number: taken[number].disturbance)[:rounds]
        return sorted(least)
    quickest = sorted(range(len(taken)), key=lambda number: taken[number].runs[key].seconds)
    return quickest[: max(fewest, rounds // _QUARTER)]


def time_interleaved(
    work: Mapping[Any, Callable[[], object]], rounds: int, clock: RunClock
) -> dict[Any, list[float]]:
    """Return the seconds of each callable in the rounds of `run_interleaved` that count."""
    found = run_interleaved(work, rounds, clock)
    return {key: [run.seconds for run in found.of(key)] for key in work}


def rounds_for(call: Callable[[], object], wanted: int, clock: RunClock) -> int:
    """Return how often to time a callable: as wanted, or (0) as often as `sufficient_rounds` says."""
    if wanted:
        return wanted
    call()  # the first run also allocates memory
    return sufficient_rounds(clock.time(call).seconds)


def least_seconds(call: Callable[[], object], clock: RunClock) -> float:
    """Return what a run takes even if, as in this one, there is hardly anything to compute."""
    return statistics.median(time_interleaved({0: call}, MOST_ROUNDS, clock)[0])


@dataclass(frozen=True)
class InterleavedRuns:
    """Rounds of two sessions that ran in turn."""

    rounds: Rounds

    @property
    def is_contended(self) -> bool:
        """Whether many of its runs shared their core."""
        return self.rounds.is_contended

    @property
    def reference(self) -> list[RunTime]:
        """Runs of the reference that count."""
        return self.rounds.of(REFERENCE)

    @property
    def session(self) -> list[RunTime]:
        """Runs of the session that count."""
        return self.rounds.of(SESSION)

    @property
    def reference_s(self) -> list[float]:
        """Seconds of the reference."""
        return [run.seconds for run in self.reference]

    @property
    def ratio(self) -> float:
        """Median, over the rounds, of the session's seconds over those of the reference."""
        return median_ratio([run.seconds for run in self.session], self.reference_s)


def median_ratio(seconds: Sequence[float], reference_s: Sequence[float]) -> float:
    """Return the median, over rounds, of seconds over those of a reference."""
    return statistics.median(own_s / whole_s for own_s, whole_s in zip(seconds, reference_s))


class InterleavedTimer:
    """Times sessions in turn with one reference.

    Parameters
    ----------
    feeds
        One real sample, for all of them.
    rounds
        Of each pair; 0 for as many as `rounds_for` finds right for the reference.
    """

    def __init__(self, reference: Session, feeds: Feeds, rounds: int, clock: RunClock) -> None:
        self.clock = clock
        self._reference = session_runner(reference, feeds)
        self._feeds = feeds
        self.rounds = rounds_for(self._reference, rounds, clock)
        self._warm: Collection[str] = () if rounds else (REFERENCE,)

    def __call__(self, session: Session, rounds: int = 0) -> InterleavedRuns:
        """Return the runs of a session in turn with the reference.

        Parameters
        ----------
        rounds
            The timer's own if 0.
        """
        work = {REFERENCE: self._reference, SESSION: session_runner(session, self._feeds)}
        found = run_interleaved(work, rounds or self.rounds, self.clock, self._warm)
        self._warm = (REFERENCE,)
        return InterleavedRuns(found)


@dataclass(frozen=True)
class StageRuns:
    """Seconds of a stage, and of the whole model that it is compared with, in each round."""

    seconds: Sequence[float]
    whole_s: Sequence[float]


@dataclass(frozen=True)
class ChainRuns:
    """Runs of stages, one after another, and of the whole models that they are compared with.

    Parameters
    ----------
    stages
        In running order.
    is_contended
        Whether many of the runs that count shared their core.
    """

    stages: Sequence[StageRuns]
    is_contended: bool = False

    @property
    def ratios(self) -> list[float]:
        """Seconds of each stage over those of its whole model: the median over the rounds."""
        return [median_ratio(own.seconds, own.whole_s) for own in self.stages]


def time_chain(
    wholes: Sequence[Session],
    stages: Sequence[Session],
    feeds: Feeds,
    rounds: int,
    clock: RunClock,
    handed_over: Feeds | None = None,
) -> ChainRuns:
    """Return the runs of stages and of whole models, one after another in every round.

    Parameters
    ----------
    wholes
        The whole model that each stage is compared with.
    stages
        In running order: each reads inputs of the model and outputs of stages before it.
    handed_over
        What stages read besides.
    """
    values = {**feeds, **(handed_over or {})}
    references = list({id(whole): whole for whole in wholes}.values())
    calls = [session_runner(whole, feeds) for whole in references]
    for stage in stages:
        stage_feeds = {end.name: values[end.name] for end in stage.get_inputs()}
        calls.append(session_runner(stage, stage_feeds))
        values.update(zip([end.name for end in stage.get_outputs()], stage.run(None, stage_feeds)))
    found = run_interleaved(dict(enumerate(calls)), rounds, clock)
    seconds = {number: [run.seconds for run in found.of(number)] for number in range(len(calls))}
    place = {id(whole): number for number, whole in enumerate(references)}
    runs = [
        StageRuns(seconds[number], seconds[place[id(whole)]])
        for number, whole in enumerate(wholes, start=len(references))
    ]
    return ChainRuns(runs, found.is_contended)
