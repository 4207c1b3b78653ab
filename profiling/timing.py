"""Interleaved timing that a noisy machine does not bias: A B A B, then robust means."""

import time
from collections.abc import Callable, Mapping
from typing import TypeVar

import numpy as np

from profiling.progress import Progress, silent

Key = TypeVar("Key")
Clock = Callable[[], float]


def time_interleaved(
    work: Mapping[Key, Callable[[], object]],
    rounds: int,
    clock: Clock = time.perf_counter,
    progress: Progress = silent,
) -> dict[Key, list[float]]:
    """Return seconds of each round of each callable, all run in turn in every round.

    Each callable runs twice before the first round, so that caches and arenas are warm.
    """
    for call in work.values():
        call()
        call()
    seconds: dict[Key, list[float]] = {key: [] for key in work}
    for done in range(rounds):
        for key, call in work.items():
            start = clock()
            call()
            seconds[key].append(clock() - start)
        progress("timing", done + 1, rounds)
    return seconds


def middle_mean(values: list[float]) -> float:
    """Return the mean of the middle half: as robust as a median, but finer than the clock's tick."""
    ordered = np.sort(np.asarray(values, dtype=float))
    cut = len(ordered) // 4
    return float(ordered[cut : len(ordered) - cut].mean())
