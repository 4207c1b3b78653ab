"""A plan on a Ray cluster of two local nodes: answers are the local chain's bit for bit, or a reason."""

import io
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("ray", reason="needs the extra: pip install 'splitquant[ray]'")

from hosted_plans import hosted_answers, hosted_plan, hosted_samples
from ray_cluster import RayCluster

from planner.hosts.deploy_ray import deploy_ray
from planner.verification.stage_chain import same_bits

SAMPLES = hosted_samples(8)


@pytest.fixture(scope="module")
def plan(tmp_path_factory) -> Path:
    return hosted_plan(tmp_path_factory.mktemp("ray") / "plan")


@pytest.fixture(scope="module")
def cluster(plan) -> Iterator[RayCluster]:
    deploy_ray(plan, plan.parent / "app")
    with RayCluster(plan.parent / "app") as running:
        yield running


def npz(**arrays) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def test_answers_are_those_of_the_chain_in_one_process(cluster, plan):
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(cluster.ask, SAMPLES * 5))
    for answer, expected in zip(answers, hosted_answers(plan, SAMPLES) * 5, strict=True):
        assert same_bits(answer, expected)


@pytest.mark.parametrize(
    ("x", "status", "why"),
    [
        (np.zeros((1, 4096), np.float64), 400, "float64[1, 4096] instead of 'x' float32[1, 4096]"),
        (np.zeros((4096,), np.float32), 400, "float32[4096] instead of"),
        (np.full((1, 4096), np.nan, np.float32), 400, "'x' holds NaN"),
        (np.zeros((64, 4096), np.float32), 400, "more than"),
        (np.full((1, 4096), -np.inf, np.float32), 500, "01-server failed: 'z' holds NaN"),
        (np.full((1, 4096), 2e6, np.float32), 500, "01-server failed:"),
    ],
)
def test_what_cannot_be_answered_is_told_why_and_the_next_is_answered(cluster, plan, x, status, why):
    found, text = cluster.post(npz(**(SAMPLES[0] | {"x": x})))
    assert (found, why in text.decode()) == (status, True), text
    assert same_bits(cluster.ask(SAMPLES[0]), hosted_answers(plan, SAMPLES[:1])[0])


def test_a_replica_that_is_killed_is_started_again_and_no_answer_is_wrong(cluster, plan):
    expected = hosted_answers(plan, SAMPLES)
    (victim,) = cluster.replicas("01-server")
    os.kill(victim, signal.SIGKILL)
    end = time.monotonic() + 60
    answered = 0
    while answered < 8:
        assert time.monotonic() < end
        number = answered % len(SAMPLES)
        status, body = cluster.post(npz(**SAMPLES[number]))
        assert status in (200, 503), body
        if status == 200:
            with np.load(io.BytesIO(body)) as found:
                assert same_bits(dict(found), expected[number])
            answered += 1
    assert cluster.replicas("01-server") not in ([], [victim])


def test_the_folder_of_another_plan_is_not_mistaken_for_the_one_that_runs(cluster, plan, tmp_path):
    """While Serve runs, Ray gives replicas the folder that it was started with."""
    deploy_ray(hosted_plan(tmp_path / "plan", factor=3.0), tmp_path / "app")
    assert "is asked for: shut Serve down" in cluster.serve(tmp_path / "app")
    assert same_bits(cluster.ask(SAMPLES[0]), hosted_answers(plan, SAMPLES[:1])[0])
