"""What other work did to sessions: which of them count, and whether there are enough."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Protocol, TypeVar

_MOST_SESSIONS = 2  # that are taken for each that is planned, where other work interferes


class Interference(IntEnum):
    """What other work did to runs that count: the less of it, the more they say."""

    NONE = 0
    SOME = 1  # they were disturbed, and are so long that it hardly matters
    COLD = 2  # it emptied the caches, which are much of what short runs take
    SHARED_CORE = 3


class SessionRuns(Protocol):
    """What was measured in one session."""

    @property
    def interference(self) -> Interference:
        """What other work did to the runs that count."""


Runs = TypeVar("Runs", bound=SessionRuns)


def calmest(sessions: Sequence[Runs]) -> Sequence[Runs]:
    """Return the sessions with the least interference."""
    least = min((runs.interference for runs in sessions), default=Interference.NONE)
    return [runs for runs in sessions if runs.interference == least]


def are_calm_enough(sessions: Sequence[SessionRuns], planned: int, *, wanted: int | None = None) -> bool:
    """Return whether so many sessions as wanted had hardly any interference, or no more are to be taken.

    Parameters
    ----------
    planned
        How many are taken in any case; twice as many are at most.
    wanted
        All that are planned if None.
    """
    calm = sum(runs.interference <= Interference.SOME for runs in sessions)
    return calm >= (planned if wanted is None else wanted) or len(sessions) >= _MOST_SESSIONS * planned
