"""Seconds of calls and sessions, timed in turn, so that what slows the machine slows all of them alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from typing import Any, Callable, NamedTuple

import onnxruntime as ort

from profiling.on_device.create_session import Feeds, session_runner, zero_feeds
from profiling.on_device.robust_statistics import MOST_ROUNDS, sufficient_rounds


def time_interleaved(
    work: Mapping[Any, Callable[[], object]],
    rounds: int,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[Any, list[float]]:
    """Return seconds of each round of each callable, all run in turn in every round.

    Each callable runs once before the first round, so that caches and arenas are warm.
    """
    for call in work.values():
        call()
    seconds: dict[Any, list[float]] = {key: [] for key in work}
    for _ in range(rounds):
        for key, call in work.items():
            start = clock()
            call()
            seconds[key].append(clock() - start)
    return seconds


def rounds_for(
    call: Callable[[], object], wanted: int, clock: Callable[[], float] = time.perf_counter
) -> int:
    """Return how often to time a callable: as wanted, or (0) as often as `sufficient_rounds` says."""
    if wanted:
        return wanted
    call()  # the first run also allocates memory
    start = clock()
    call()
    return sufficient_rounds(clock() - start)


def least_seconds(probe: ort.InferenceSession) -> float:
    """Return what a run takes even if there is hardly anything to compute."""
    call = session_runner(probe, zero_feeds(probe))
    return statistics.median(time_interleaved({0: call}, MOST_ROUNDS)[0])


class InterleavedRuns(NamedTuple):
    """Seconds of every round of two sessions that ran in turn."""

    reference_s: list[float]
    session_s: list[float]

    @property
    def ratio(self) -> float:
        """Median, over the rounds, of the session's seconds over those of the reference."""
        return statistics.median(
            session_s / reference_s for session_s, reference_s in zip(self.session_s, self.reference_s)
        )


class InterleavedTimer:
    """Times sessions in turn with one reference.

    Parameters
    ----------
    feeds
        One real sample, for all of them.
    rounds
        Of each pair; 0 for as many as `rounds_for` finds right for the reference.
    """

    def __init__(self, reference: ort.InferenceSession, feeds: Feeds, rounds: int) -> None:
        self._reference = session_runner(reference, feeds)
        self._feeds = feeds
        self._rounds = rounds_for(self._reference, rounds)

    def __call__(self, session: ort.InferenceSession) -> InterleavedRuns:
        work = {"reference": self._reference, "session": session_runner(session, self._feeds)}
        seconds = time_interleaved(work, self._rounds)
        return InterleavedRuns(seconds["reference"], seconds["session"])


def time_stages(
    wholes: Sequence[ort.InferenceSession],
    stages: Sequence[ort.InferenceSession],
    feeds: Feeds,
    rounds: int,
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
    seconds = time_interleaved(dict(enumerate(calls)), rounds)
    place = {id(whole): number for number, whole in enumerate(references)}
    return [
        InterleavedRuns(seconds[place[id(whole)]], seconds[number]).ratio
        for number, whole in enumerate(wholes, start=len(references))
    ]
