"""Whether something else computes on this processor core, which no counter of this system shows.

Two hardware threads share a core's execution units. On a rented machine the other one may be another guest's:
then code that keeps these units busy runs at half its pace, and code that waits for its own results hardly
slower. Kernels in int8 are more of the first kind than float ones, so that even their ratio is another. Two
short probes, one of each kind, tell: their ratio does not change with the core's frequency.
"""

from __future__ import annotations

import atexit
import bisect
import contextlib
import functools
import itertools
import os
import time
from collections.abc import Collection, Iterator
from typing import Callable, NamedTuple

import numpy as np

from profiling.on_device.clock.core_history import CoreHistory, history_of_user

_SIDE, _LENGTH = 32, 4096  # of the probes: about 15 microseconds each, on 12 and 32 KiB
_REPEATS = 3  # of which the quickest counts: an interrupt is in one of them at most
# Seen on an Intel processor, over the ratio alone: up to 1.2 alone, 1.3 to 2 with the other thread busy.
_CONTENDED, _MOST_BY_OTHERS = 1.3, 2.5
_LOOKS = 12  # at first, before anything is called contended
_WRONG, _ONE_OF = 2, 200  # of the least ratios so many, or one of so many, may be errors of the clock
_MOST_SEEN, _FEWEST_KNOWN = 20_000, 400  # looks of a process: more are thinned out, fewer tell others nothing
_PAUSE_S = 0.025


def _pause() -> float:
    """Wait a moment; return the seconds that passed, which other work may lengthen."""
    start = time.perf_counter()
    time.sleep(_PAUSE_S)
    return time.perf_counter() - start


class Patience(NamedTuple):
    """How long is waited for a core of one's own.

    Parameters
    ----------
    least_s
        In any case, all times together.
    per_measured_s
        Seconds more per second that was measured.
    """

    least_s: float = 5.0
    per_measured_s: float = 1.0


_PATIENCE = Patience()  # of this process


class CoreProbe:
    """Tells whether something else computes on the core of the calling thread.

    Parameters
    ----------
    throughput, latency
        Return the seconds of the two probes: one that execution units limit, and one that waits for results.
    pause
        Waits a moment.
    known
        What earlier processes saw on a core of their own; None if that is not known.
    """

    def __init__(
        self,
        throughput: Callable[[], float],
        latency: Callable[[], float],
        pause: Callable[[], object] = _pause,
        known: float | None = None,
    ) -> None:
        self._probes = (throughput, latency)
        self._known = float("inf") if known is None else known
        self._seen: list[float] = []  # in order
        self._pause = pause

    def is_contended(self) -> bool:
        """Return whether something else computes on this core now.

        What a core of one's own shows is the least that any call has seen, in this process or in earlier
        ones; the first call looks longer.
        """
        if not self._seen:
            for _ in range(_LOOKS):
                self._look()
                self._pause()
        ratio, alone = self._look(), self._alone()
        # What other work cannot explain, other processes did not see on the cores of this one.
        return ratio > _CONTENDED * (self._known if alone / _MOST_BY_OTHERS < self._known < alone else alone)

    def seen_alone(self) -> float | None:
        """Return what a core of one's own showed in this process; None after too few looks."""
        return self._alone() if len(self._seen) >= _FEWEST_KNOWN else None

    def _look(self) -> float:
        """Return the probes' ratio."""
        busy_s, waiting_s = (min(probe() for _ in range(_REPEATS)) for probe in self._probes)
        ratio = busy_s / waiting_s if waiting_s else 1.0  # the clock is too coarse
        bisect.insort(self._seen, ratio)
        if len(self._seen) > _MOST_SEEN:
            del self._seen[1::2]  # what is left is spread alike
        return ratio

    def _alone(self) -> float:
        """Return the ratio on a core of one's own: about the least, but for a few that clocks got wrong."""
        return self._seen[max(_WRONG, len(self._seen) // _ONE_OF)]


class CoreChoice:
    """The cores on which the calling thread may run; none where the system lets no thread choose.

    It stays where it is where the system refuses a choice.
    """

    def allowed(self) -> frozenset[int]:
        """Return the numbers of the cores on which the thread may run."""
        if hasattr(os, "sched_getaffinity"):
            with contextlib.suppress(OSError):
                return frozenset(os.sched_getaffinity(0))
        return frozenset()

    def allow(self, cores: Collection[int]) -> None:
        """Let the thread run on these cores only."""
        if hasattr(os, "sched_setaffinity"):
            with contextlib.suppress(OSError):
                os.sched_setaffinity(0, cores)


class OwnCore:
    """Gets the calling thread a core on which nothing else computes, by waiting and by moving.

    Parameters
    ----------
    probe
        Of the core on which the thread is.
    choice
        Of a thread that may be moved among its cores, as it computes alone.
    pause
        Waits a moment, and returns the seconds that passed.
    patience
        How long is waited.
    """

    def __init__(
        self,
        probe: CoreProbe,
        choice: CoreChoice | None = None,
        pause: Callable[[], float] = _pause,
        patience: Patience = _PATIENCE,
    ) -> None:
        self._probe = probe
        self._choice = choice
        self._cores: frozenset[int] = frozenset()  # on which the thread may be moved
        self._others: Iterator[int] = iter(())
        self._pause = pause
        self._patience = patience
        self._left_s = patience.least_s

    def is_contended(self) -> bool:
        """Return whether something else computes on this core now."""
        return self._probe.is_contended()

    def wait(self, measured_s: float = 0.0) -> bool:
        """Wait for a core of one's own until patience ends; return whether the thread waited or moved.

        Parameters
        ----------
        measured_s
            Seconds that were measured since the last call: they lengthen patience.
        """
        self._left_s += self._patience.per_measured_s * measured_s
        waited = False
        while self._left_s > 0:
            if not self.is_contended():
                return waited
            waited = True
            if self._choice is not None and self._cores:
                self._choice.allow({next(self._others)})
                if not self.is_contended():
                    return True
            self._left_s -= self._pause()
        if waited:
            self.leave()
        return waited

    def leave(self) -> None:
        """Let the thread run on all its cores again, where it was moved to one."""
        if self._choice is not None and self._cores:
            self._choice.allow(self._cores)

    @contextlib.contextmanager
    def visited(self) -> Iterator[None]:
        """Let `wait` move the thread, and leave it free to run on all its cores afterwards."""
        cores = self._choice.allowed() if self._choice is not None else frozenset()
        if self._choice is None or not cores:
            yield
            return
        self._cores, self._others = cores, itertools.cycle(sorted(cores))
        try:
            yield
        finally:
            self.leave()
            self._cores = frozenset()


@functools.cache
def own_core(*, moves: bool) -> OwnCore:
    """Return what gets threads of this process cores of their own.

    Parameters
    ----------
    moves
        Whether the calling thread may be moved, as it computes alone.
    """
    return OwnCore(_core_probe(), CoreChoice() if moves else None, patience=_PATIENCE)


@functools.cache
def _core_probe() -> CoreProbe:
    """Return the probe of this process."""
    matrix, ones = np.ones((_SIDE, _SIDE), np.int32), np.broadcast_to(np.ones(1), _LENGTH)
    product, sums = np.empty_like(matrix), np.empty(_LENGTH)
    history = history_of_user()
    # Integers, since products of floats may run in a library's own threads.
    probe = CoreProbe(
        functools.partial(_seconds, functools.partial(np.matmul, matrix, matrix, out=product)),
        functools.partial(_seconds, functools.partial(np.cumsum, ones, out=sums)),
        known=history.alone(),
    )
    atexit.register(_remember, probe, history)
    return probe


def _remember(probe: CoreProbe, history: CoreHistory) -> None:
    ratio = probe.seen_alone()
    if ratio is not None:
        history.add(ratio)


def _seconds(call: Callable[[], object]) -> float:
    start = time.thread_time()
    call()
    return time.thread_time() - start
