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


def test_hardly_more_samples_are_read_than_run(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    read = []
    samples = ({"x": np.array([read.append(i) or i])} for i in range(COUNT))
    answers = run_at_once(lambda feeds: int(feeds["x"][0]), samples)
    for number in range(COUNT):
        assert next(answers) == number
        assert len(read) <= number + 4  # two that run, one that waits, one that is looked at


@pytest.mark.parametrize(
    ("cores", "samples", "threads"),
    [(2, 1, 2), (2, 2, 1), (2, 300, 1), (16, 1, 16), (16, 4, 4), (16, 100, 2), (1, 0, 1)],
)
def test_few_samples_get_the_idle_cores(cores, samples, threads, monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    assert runtime_for(samples).threads == threads
