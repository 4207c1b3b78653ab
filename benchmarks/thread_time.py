"""Seconds of models that run in turn, as processor time of the one thread that they compute on."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from profiling.arrays import Array, Feeds
from profiling.graph.any_model import AnyModel
from profiling.on_device.clock.run_clock import clock_of
from profiling.on_device.timing.interleaved_rounds import Rounds, rounds_for, run_interleaved
from profiling.on_device.timing.session_interference import Interference, are_calm_enough, calmest
from profiling.runtime.open_session import Runtime
from profiling.stage_session import open_stage

SESSIONS = 3  # where a session's memory lies makes a few percent: the middle one of some counts
_MOST_SESSIONS = 9  # are taken where other work interferes
_PATIENCE_S = 8.0  # counts as measured before each session, so that it waits longer for a core of its own


@dataclass(frozen=True)
class Turns:
    """Seconds of each session's rounds: [session, model, round].

    `shared_core` says that something else computed on the core in every session, so that those count.
    """

    seconds: Array
    shared_core: bool = False

    def of(self, model: int) -> float:
        """Return the seconds of a model."""
        return float(np.median(np.median(self.seconds[:, model], axis=-1)))

    def ratio(self, model: int, reference: int) -> float:
        """Return the seconds of a model over those of another."""
        return float(np.median(self._ratios(model, reference)))

    def most_apart(self, model: int, twin: int) -> float:
        """Return by which fraction two sessions of the same file differed at most."""
        return float(np.abs(self._ratios(model, twin) - 1).max())

    def _ratios(self, model: int, reference: int) -> Array:
        return np.median(self.seconds[:, model] / self.seconds[:, reference], axis=-1)


def take_turns(models: Sequence[tuple[AnyModel, Feeds]]) -> Turns:
    """Time models, each on a sample of its own, in turn; the first says how many rounds."""
    clock = clock_of(1)
    found: list[Rounds] = []
    while not are_calm_enough(found, _MOST_SESSIONS, wanted=SESSIONS):
        sessions = [open_stage(model, Runtime()) for model, _ in models]
        calls = {
            number: partial(session.run, None, dict(feeds))
            for number, (session, (_, feeds)) in enumerate(zip(sessions, models, strict=True))
        }
        clock.wait_for_core(_PATIENCE_S)
        found.append(run_interleaved(calls, rounds_for(calls[0], 0, clock), clock))
    counting = calmest(found)
    seconds = [[[run.seconds for run in one.of(key)] for key in one.kept] for one in counting]
    fewest = min(len(runs[0]) for runs in seconds)
    return Turns(
        np.asarray([[model[:fewest] for model in runs] for runs in seconds]),
        counting[0].interference is Interference.SHARED_CORE,
    )
