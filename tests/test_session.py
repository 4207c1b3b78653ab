"""Samples that are run for their numbers keep their order and share the cores."""

import os
import threading
import time

import numpy as np
import pytest

from profiling.session import run_at_once, runtime_for


@pytest.mark.parametrize(("cores", "most"), [(1, 1), (3, 3), (64, 8)])
def test_samples_run_at_once_and_in_order(cores, most, monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    lock, running, seen = threading.Lock(), 0, 0

    def run(feeds):
        nonlocal running, seen
        with lock:
            running += 1
            seen = max(seen, running)
        time.sleep(0.02 / (1 + int(feeds["x"][0])))  # later ones end first
        with lock:
            running -= 1
        return int(feeds["x"][0])

    assert list(run_at_once(run, ({"x": np.array([i])} for i in range(20)))) == list(range(20))
    assert seen == most


@pytest.mark.parametrize(
    ("cores", "samples", "threads"),
    [(2, 1, 2), (2, 2, 1), (2, 300, 1), (16, 1, 16), (16, 4, 4), (16, 100, 2), (1, 0, 1)],
)
def test_few_samples_get_the_idle_cores(cores, samples, threads, monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    assert runtime_for(samples).threads == threads
