"""Seconds of models that run in turn, as processor time of the one thread that they compute on."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from profiling.arrays import Array, Feeds
from profiling.graph.any_model import AnyModel
from profiling.on_device.clock.run_clock import clock_of
from profiling.on_device.robust_statistics import middle_error
from profiling.on_device.timing.interleaved_rounds import Rounds, rounds_for, run_interleaved
from profiling.on_device.timing.session_interference import Interference, are_calm_enough, calmest
from profiling.runtime.open_session import Runtime
from profiling.stage_session import open_stage

SESSIONS = 3  # where a session's memory lies makes a few percent: the middle one of some counts
_MOST_SESSIONS = 9  # are taken where they differ, or other work interferes
_CLOSE = 0.01  # the standard error of the middle one that is wanted
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
        return float(np.median(self.ratios(model, reference)))

    def most_apart(self, model: int, twin: int) -> float:
        """Return by which fraction two sessions of the same file differed at most."""
        return float(np.abs(self.ratios(model, twin) - 1).max())

    def ratios(self, model: int, reference: int) -> Array:
        """Return the seconds of a model over those of another, by session."""
        return np.median(self.seconds[:, model] / self.seconds[:, reference], axis=-1)


def take_turns(models: Sequence[tuple[AnyModel, Feeds]]) -> Turns:
    """Time models, each on a sample of its own, in turn; the first says how many rounds.

    Sessions are opened anew until their middle one errs by at most 1 %, or there are nine.
    """
    clock = clock_of(1)
    found: list[Rounds] = []
    while len(found) < _MOST_SESSIONS and not _are_enough(found):
        sessions = [open_stage(model, Runtime()) for model, _ in models]
        calls = {
            number: partial(session.run, None, dict(feeds))
            for number, (session, (_, feeds)) in enumerate(zip(sessions, models, strict=True))
        }
        clock.wait_for_core(_PATIENCE_S)
        found.append(run_interleaved(calls, rounds_for(calls[0], 0, clock), clock))
    return _turns(calmest(found))


def _are_enough(found: Sequence[Rounds]) -> bool:
    """Return whether enough sessions were calm, and agree on what each model takes beside the first."""
    if not are_calm_enough(found, _MOST_SESSIONS, wanted=SESSIONS):
        return False
    counting = calmest(found)
    models = range(1, len(counting[0].kept))
    return all(middle_error(_turns(counting).ratios(model, 0)) <= _CLOSE for model in models)


def _turns(counting: Sequence[Rounds]) -> Turns:
    seconds = [[[run.seconds for run in one.of(key)] for key in one.kept] for one in counting]
    fewest = min(len(runs[0]) for runs in seconds)
    return Turns(
        np.asarray([[model[:fewest] for model in runs] for runs in seconds]),
        counting[0].interference is Interference.SHARED_CORE,
    )
