"""Kernels whose own seconds are known, timed by the wall clock while other work interrupts them."""

import math
from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import pytest
from fake_run_clock import FakeRunClock
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from profiling.on_device.clock.interruptions import (
    UNINTERRUPTED,
    Interruptions,
    _certain_successes,
    interruptions_of,
)
from profiling.on_device.clock.run_clock import CPU, WALL, RunTime
from profiling.on_device.robust_statistics import interquartile_mean

CLOCK = FakeRunClock(CPU).clock
RUNS = 40


def gaps(pattern: str, rate: float, rng: np.random.Generator) -> Iterator[float]:
    """Yield seconds of computing until the next interruption: as it happens, or a scheduler's slices."""
    while True:
        yield rng.exponential(1 / rate) if pattern == "random" else rng.uniform(0.8, 1.2) / rate


def interrupted(kernels_s, pattern, rate, wait_s, seed):
    """Return wall seconds, [run, kernel], and what the clock of one thread tells of the runs."""
    rng = np.random.default_rng(seed)
    coming = gaps(pattern, rate, rng)
    left = next(coming) * rng.uniform()
    walls, runs = np.zeros((RUNS, len(kernels_s))), []
    for run in range(RUNS):
        waited, switches = 0.0, 0
        for kernel, own_s in enumerate(kernels_s):
            rest, waited_here = own_s, 0.0
            while left < rest:
                rest -= left
                left = next(coming)
                waited_here += wait_s * rng.uniform(0.5, 1.5)
                switches += 1
            left -= rest
            walls[run, kernel] = own_s + waited_here
            waited += waited_here
        runs.append(RunTime(sum(kernels_s), waited, switches))
        between = rng.uniform(0, 2 / rate)  # another model runs in turn
        while left < between:
            between -= left
            left = next(coming)
        left -= between
    return walls, runs


PATTERNS = st.sampled_from(["random", "regular"])
SEEDS = st.integers(0, 2**32 - 1)


@settings(deadline=None, max_examples=60)
@given(PATTERNS, st.floats(20, 400), st.floats(1e-3, 0.1), SEEDS)
def test_short_kernels_have_their_own_seconds_whatever_interrupts_them(pattern, rate, wait_s, seed):
    # At most a third of an interruption falls into a run of a kernel.
    kernels_s = [share / rate for share in (0.001, 0.01, 0.1, 0.3, 0.03)]
    walls, runs = interrupted(kernels_s, pattern, rate, wait_s, seed)
    found = interruptions_of(runs, CLOCK)
    assert [found.own_seconds(column) for column in walls.T] == pytest.approx(kernels_s, rel=0.02)


@settings(deadline=None, max_examples=60)
@given(PATTERNS, st.floats(20, 400), st.floats(1e-3, 0.1), SEEDS)
def test_kernels_that_every_run_hits_are_scaled_to_what_was_computed(pattern, rate, wait_s, seed):
    kernels_s = [share / rate for share in (3.0, 0.02, 6.0)]
    walls, runs = interrupted(kernels_s, pattern, rate, wait_s, seed)
    found = interruptions_of(runs, CLOCK)
    own_s = [found.own_seconds(column) for column in walls.T]
    assert own_s[1] == pytest.approx(kernels_s[1], rel=0.02)
    assert own_s == pytest.approx(kernels_s, rel=0.4)
    middle = [interquartile_mean(list(column)) for column in walls.T]
    errors, before = (np.abs(np.divide(s, kernels_s) - 1) for s in (own_s, middle))
    assert errors.sum() <= before.sum()


@given(st.lists(st.floats(1e-6, 1.0), min_size=1, max_size=50), SEEDS)
def test_what_nothing_interrupts_is_the_middle_of_its_runs(walls, seed):
    order = np.random.default_rng(seed).permutation(len(walls))
    runs = [RunTime(1.0) for _ in walls]
    found = interruptions_of(runs, CLOCK)
    assert found.own_seconds([walls[i] for i in order]) == interquartile_mean(walls)
    assert found.untouched(walls) == sorted(walls)


@given(st.lists(st.floats(1e-6, 1.0), min_size=1, max_size=30), st.floats(0, 1e4), st.floats(0.01, 1.0))
def test_own_seconds_are_at_most_those_of_the_middle(walls, rate, share):
    found = Interruptions(rate, share)
    assert 0 < found.own_seconds(walls) <= interquartile_mean(walls) * (1 + 1e-9)
    assert set(found.untouched(walls)) <= set(walls)


@settings(deadline=None, max_examples=40)
@given(PATTERNS, st.floats(20, 400), st.floats(1e-3, 0.1), SEEDS)
def test_what_cold_caches_add_is_left_out(pattern, rate, wait_s, seed):
    kernels_s = [share / rate for share in (0.001, 0.01, 0.1, 0.03)]
    walls, runs = interrupted(kernels_s, pattern, rate, wait_s, seed)
    assume(any(run.switches for run in runs))  # what cools caches
    walls[np.random.default_rng(seed).permutation(RUNS)[: RUNS * 2 // 3]] *= 1.5
    found = interruptions_of(runs, CLOCK, cools_caches=True)
    assert [found.own_seconds(column) for column in walls.T] == pytest.approx(kernels_s, rel=0.02)


def test_all_that_a_run_waited_bounds_a_kernel_from_below():
    # Both interruptions of the second run fell into the kernel.
    found = Interruptions(10.0, 0.1, (7.0, 4.0))
    assert found.own_seconds([9.0, 6.5]) == pytest.approx(2.5)


def test_a_run_that_waited_was_interrupted_where_no_switches_are_counted():
    found = interruptions_of([RunTime(1.0, 3.0, 0), RunTime(1.0)], CLOCK)
    assert found == Interruptions(0.5, 0.4, (3.0, 0.0))


def test_wall_clock_does_not_tell_computing_from_waiting():
    assert interruptions_of([RunTime(1.0, 3.0, 2)], FakeRunClock(WALL).clock) == UNINTERRUPTED
    assert interruptions_of([], CLOCK) == UNINTERRUPTED


@given(st.integers(1, 60), st.integers(30, 100))
def test_so_many_runs_are_untouched_with_a_certainty_of_95_percent(runs, percent):
    count = _certain_successes(runs, percent / 100)

    def chance_of_at_least(least: int) -> Fraction:
        p, counts = Fraction(percent, 100), range(least, runs + 1)
        return sum((math.comb(runs, k) * p**k * (1 - p) ** (runs - k) for k in counts), Fraction())

    assert chance_of_at_least(count) >= Fraction(95, 100) - Fraction(1, 10**9)
    assert count == runs or chance_of_at_least(count + 1) <= Fraction(95, 100) + Fraction(1, 10**9)


def test_many_runs_have_as_many_untouched_as_a_normal_distribution_says():
    assert _certain_successes(10_000, 0.5) == pytest.approx(5000 - 1.645 * 50, abs=1)
