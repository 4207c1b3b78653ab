"""Whether something else computes on this processor core, which no counter of this system shows.

Two hardware threads share a core's execution units. On a rented machine the other one may be another guest's:
then code that keeps these units busy runs at half its pace, and code that waits for its own results hardly
slower. Kernels in int8 are more of the first kind than float ones, so that even their ratio is another. Two
short probes, one of each kind, tell: their ratio does not change with the core's frequency.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import time
from collections.abc import Collection, Iterator
from typing import Callable

import numpy as np

_SIDE, _LENGTH = 32, 4096  # of the probes: about 15 microseconds each, and a few KiB
_REPEATS = 3  # of which the quickest counts: an interrupt is in one of them at most
# Seen on an Intel processor, over the least ratio: 0.9 to 1.2 alone, 1.3 to 2 with the other thread busy.
_CONTENDED = 1.25
_LOOKS = 30  # at first, before anything is called contended
_PAUSE_S = 0.01
# How long is waited for a core of one's own: so long, and so many times as long as was measured.
_LEAST_PATIENCE_S, _PATIENCE = 5.0, 3.0


class CoreProbe:
    """Tells whether something else computes on the core of the calling thread.

    Parameters
    ----------
    throughput, latency
        Return the seconds of the two probes: one that execution units limit, and one that waits for results.
    sleep
        Waits for so many seconds.
    """

    def __init__(
        self,
        throughput: Callable[[], float],
        latency: Callable[[], float],
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._probes = (throughput, latency)
        self._least_s = [float("inf"), float("inf")]
        self._sleep = sleep

    def is_contended(self) -> bool:
        """Return whether something else computes on this core now.

        What a core of one's own shows is the least that any call has seen; the first call looks longer.
        """
        if self._least_s[0] == float("inf"):
            for _ in range(_LOOKS):
                self._ratio()
                self._sleep(_PAUSE_S)
        return self._ratio() > _CONTENDED

    def _ratio(self) -> float:
        """Return the probes' ratio over that of the least seconds that each has ever shown."""
        now_s = [min(probe() for _ in range(_REPEATS)) for probe in self._probes]
        self._least_s = [min(pair) for pair in zip(self._least_s, now_s)]
        if not all(now_s) or not all(self._least_s):
            return 1.0  # the clock is too coarse
        return (now_s[0] / self._least_s[0]) / (now_s[1] / self._least_s[1])


class OwnCore:
    """Gets the calling thread a core on which nothing else computes, by waiting and by moving.

    Parameters
    ----------
    probe
        Of the core on which the thread is.
    cores
        Numbers of those that it may use, if it may be moved among them; else none.
    move_to
        Lets the calling thread run on these cores only.
    """

    def __init__(
        self,
        probe: CoreProbe,
        cores: Collection[int] = (),
        move_to: Callable[[Collection[int]], object] = lambda _: None,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._probe = probe
        self._cores = frozenset(cores)
        self._next = itertools.cycle(sorted(cores))
        self._move_to = move_to
        self._sleep = sleep
        self._patience_s = _LEAST_PATIENCE_S

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
        self._patience_s += _PATIENCE * measured_s
        waited = False
        while self._patience_s > 0 and self.is_contended():
            waited = True
            if self._cores:
                self._move_to({next(self._next)})
                if not self.is_contended():
                    break
            self._sleep(_PAUSE_S)
            self._patience_s -= _PAUSE_S
        return waited

    @contextlib.contextmanager
    def visited(self) -> Iterator[None]:
        """Leave the thread free to run on all its cores afterwards."""
        try:
            yield
        finally:
            if self._cores:
                self._move_to(self._cores)


@functools.cache
def own_core(*, moves: bool) -> OwnCore:
    """Return what gets threads of this process cores of their own.

    Parameters
    ----------
    moves
        Whether the calling thread may be moved, as it computes alone.
    """
    if not moves or not hasattr(os, "sched_setaffinity"):
        return OwnCore(_core_probe())
    return OwnCore(_core_probe(), os.sched_getaffinity(0), functools.partial(os.sched_setaffinity, 0))


@functools.cache
def _core_probe() -> CoreProbe:
    """Return the probe of this process."""
    matrix, ones = np.ones((_SIDE, _SIDE), np.int32), np.ones(_LENGTH)
    product, sums = np.empty_like(matrix), np.empty_like(ones)
    # Integers, since products of floats may run in a library's own threads.
    return CoreProbe(
        functools.partial(_seconds, functools.partial(np.matmul, matrix, matrix, out=product)),
        functools.partial(_seconds, functools.partial(np.cumsum, ones, out=sums)),
    )


def _seconds(call: Callable[[], object]) -> float:
    start = time.thread_time()
    call()
    return time.thread_time() - start
