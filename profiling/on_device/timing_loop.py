"""Seconds of calls and sessions, timed in turn, so that what slows the machine slows all of them alike."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Callable

import onnxruntime as ort

from profiling.on_device.create_session import Feeds, session_runner, zero_feeds
from profiling.on_device.robust_statistics import MOST_ROUNDS, sufficient_rounds
from profiling.on_device.run_clock import WALL, RunClock, RunTime

_MOST_RETAKEN = 3  # times the rounds asked for, where too many of them are disturbed


@dataclass(frozen=True)
class Rounds:
    """Runs of some callables in turn.

    Parameters
    ----------
    taken
        Of every round, by callable.
    kept
        Numbers of the rounds that count, in order.
    """

    taken: Sequence[Mapping[Any, RunTime]]
    kept: Sequence[int]

    def of(self, key: Any) -> list[RunTime]:
        """Return the runs of a callable that count."""
        return [self.taken[number][key] for number in self.kept]


def run_interleaved(work: Mapping[Any, Callable[[], object]], rounds: int, clock: RunClock) -> Rounds:
    """Return what each callable takes in each round, all run in turn in every round.

    Each callable runs once before the first round, so that caches and arenas are warm. Where waiting is
    part of what the clock shows, rounds go on until so many as asked for are not disturbed, or three
    times as many were run; those that waited least count.
    """
    for call in work.values():
        call()
    taken: list[dict[Any, RunTime]] = []
    calm = 0
    most = rounds * (_MOST_RETAKEN if clock.kind == WALL else 1)
    while calm < rounds and len(taken) < most:
        taken.append({key: clock.time(call) for key, call in work.items()})
        calm += clock.kind != WALL or not _whole(taken[-1]).is_disturbed
    by_waiting = sorted(range(len(taken)), key=lambda number: _whole(taken[number]).waited_share)
    kept = by_waiting[:rounds] if clock.kind == WALL else range(len(taken))
    return Rounds(taken, sorted(kept))


def time_interleaved(
    work: Mapping[Any, Callable[[], object]], rounds: int, clock: RunClock
) -> dict[Any, list[float]]:
    """Return the seconds of each callable in the rounds of `run_interleaved` that count."""
    found = run_interleaved(work, rounds, clock)
    return {key: [run.seconds for run in found.of(key)] for key in work}


def _whole(runs: Mapping[Any, RunTime]) -> RunTime:
    """Return what all runs of a round took together."""
    return RunTime(*map(sum, zip(*runs.values())))


def rounds_for(call: Callable[[], object], wanted: int, clock: RunClock) -> int:
    """Return how often to time a callable: as wanted, or (0) as often as `sufficient_rounds` says."""
    if wanted:
        return wanted
    call()  # the first run also allocates memory
    return sufficient_rounds(clock.time(call).seconds)


def least_seconds(probe: ort.InferenceSession, clock: RunClock) -> float:
    """Return what a run takes even if there is hardly anything to compute."""
    call = session_runner(probe, zero_feeds(probe))
    return statistics.median(time_interleaved({0: call}, MOST_ROUNDS, clock)[0])


@dataclass(frozen=True)
class InterleavedRuns:
    """Rounds of two sessions that ran in turn."""

    rounds: Rounds

    @property
    def reference(self) -> list[RunTime]:
        """Runs of the reference that count."""
        return self.rounds.of(_REFERENCE)

    @property
    def session(self) -> list[RunTime]:
        """Runs of the session that count."""
        return self.rounds.of(_SESSION)

    @property
    def reference_s(self) -> list[float]:
        """Seconds of the reference."""
        return [run.seconds for run in self.reference]

    @property
    def ratio(self) -> float:
        """Median, over the rounds, of the session's seconds over those of the reference."""
        return median_ratio([run.seconds for run in self.session], self.reference_s)


_REFERENCE, _SESSION = "reference", "session"


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

    def __init__(self, reference: ort.InferenceSession, feeds: Feeds, rounds: int, clock: RunClock) -> None:
        self.clock = clock
        self._reference = session_runner(reference, feeds)
        self._feeds = feeds
        self._rounds = rounds_for(self._reference, rounds, clock)

    def __call__(self, session: ort.InferenceSession) -> InterleavedRuns:
        work = {_REFERENCE: self._reference, _SESSION: session_runner(session, self._feeds)}
        return InterleavedRuns(run_interleaved(work, self._rounds, self.clock))


def time_stages(
    wholes: Sequence[ort.InferenceSession],
    stages: Sequence[ort.InferenceSession],
    feeds: Feeds,
    rounds: int,
    clock: RunClock,
    handed_over: Feeds | None = None,
) -> list[float]:
    """Return the seconds of each stage over those of a whole model, one after another in every round.

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
    seconds = time_interleaved(dict(enumerate(calls)), rounds, clock)
    place = {id(whole): number for number, whole in enumerate(references)}
    return [
        median_ratio(seconds[number], seconds[place[id(whole)]])
        for number, whole in enumerate(wholes, start=len(references))
    ]
