"""Seconds of sessions in turn with what they are compared with."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from profiling.on_device.clock.run_clock import RunClock, RunTime
from profiling.on_device.robust_statistics import sufficient_rounds
from profiling.on_device.runtime_session import Feeds, Session, session_runner
from profiling.on_device.timing.interleaved_rounds import Rounds, run_interleaved, second_run_s
from profiling.on_device.timing.session_interference import Interference

REFERENCE, SESSION = "reference", "session"


@dataclass(frozen=True)
class InterleavedRuns:
    """Rounds of two sessions that ran in turn."""

    rounds: Rounds

    @property
    def interference(self) -> Interference:
        """What other work did to the rounds that count."""
        return self.rounds.interference

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
        self._known_s = {} if rounds else {REFERENCE: second_run_s(self._reference, clock)}
        self.rounds = rounds or sufficient_rounds(self._known_s[REFERENCE])

    def __call__(self, session: Session, rounds: int = 0) -> InterleavedRuns:
        """Return the runs of a session in turn with the reference.

        Parameters
        ----------
        rounds
            The timer's own if 0.
        """
        work = {REFERENCE: self._reference, SESSION: session_runner(session, self._feeds)}
        found = InterleavedRuns(run_interleaved(work, rounds or self.rounds, self.clock, self._known_s))
        self._known_s = {REFERENCE: statistics.median(found.reference_s)}
        return found


@dataclass(frozen=True)
class StageRuns:
    """Seconds of a stage, and of what it is compared with, in each round."""

    seconds: Sequence[float]
    reference_s: Sequence[float]


@dataclass(frozen=True)
class ChainRuns:
    """Runs of stages, one after another, and of the model that they are compared with.

    Parameters
    ----------
    stages
        In running order.
    interference
        What other work did to the rounds that count.
    """

    stages: Sequence[StageRuns]
    interference: Interference = Interference.NONE

    @property
    def ratios(self) -> list[float]:
        """Seconds of each stage over those of that model: the median over the rounds."""
        return [median_ratio(own.seconds, own.reference_s) for own in self.stages]


def time_chain(
    reference: Session,
    stages: Sequence[Session],
    feeds: Feeds,
    rounds: int,
    clock: RunClock,
    handed_over: Feeds | None = None,
) -> ChainRuns:
    """Return the runs of a whole model and of stages, one after another in every round.

    Parameters
    ----------
    reference
        The whole model that stages are compared with.
    stages
        In running order: each reads inputs of the model and outputs of stages before it.
    handed_over
        What stages read besides.
    """
    values = {**feeds, **(handed_over or {})}
    calls = [session_runner(reference, feeds)]
    for stage in stages:
        stage_feeds = {end.name: values[end.name] for end in stage.get_inputs()}
        calls.append(session_runner(stage, stage_feeds))
        values.update(zip([end.name for end in stage.get_outputs()], stage.run(None, stage_feeds)))
    found = run_interleaved(dict(enumerate(calls)), rounds, clock)
    reference_s, *stages_s = ([run.seconds for run in found.of(number)] for number in range(len(calls)))
    return ChainRuns([StageRuns(seconds, reference_s) for seconds in stages_s], found.interference)
