"""Samples that are run for their numbers keep their order and share the cores."""

import os
import threading

import numpy as np
import pytest

from profiling.runtime.open_session import run_at_once, runtime_for

COUNT = 24


@pytest.mark.parametrize(("cores", "most"), [(1, 1), (3, 3), (64, 8)])
def test_samples_run_at_once_and_in_order(cores, most, monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    together, alone = threading.Barrier(most), threading.Semaphore(most)

    def run(feeds):
        assert alone.acquire(blocking=False)  # no more at once
        together.wait(timeout=60)  # no fewer at once
        alone.release()
        together.wait(timeout=60)
        return int(feeds["x"][0])

    samples = ({"x": np.array([i])} for i in range(COUNT))
    assert list(run_at_once(run, samples)) == list(range(COUNT))


@pytest.mark.parametrize(
    ("cores", "samples", "threads"),
    [(2, 1, 2), (2, 2, 1), (2, 300, 1), (16, 1, 16), (16, 4, 4), (16, 100, 2), (1, 0, 1)],
)
def test_few_samples_get_the_idle_cores(cores, samples, threads, monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    assert runtime_for(samples).threads == threads
