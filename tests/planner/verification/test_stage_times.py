"""Seconds of stages, and how their runs spread."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from repository import ROOT

from planner.run import plan_scenario
from planner.scenario.loader import load_scenario
from planner.verification import verify
from planner.verification.stage_times import StageRatios, percentiles_of
from profiling.on_device.timing.session_interference import Interference
from profiling.runtime.open_session import Runtime


def test_percentiles_are_those_of_all_sessions_together():
    runs = np.random.default_rng(0).lognormal(size=300)
    sessions = [StageRatios(1.0, tuple(part)) for part in np.split(runs, 3)]
    found = percentiles_of(sessions)
    assert (found.p50, found.p90, found.p99) == pytest.approx(tuple(np.percentile(runs, [50, 90, 99])))
    assert found.runs == 300


def test_a_runtime_that_tells_medians_alone_has_no_percentiles():
    assert percentiles_of([StageRatios(0.5), StageRatios(0.6)]) is None


def test_each_stage_of_a_plan_has_its_percentiles():
    settings = ["profiling.rounds=3", "profiling.noise_samples=8"]
    measured = plan_scenario(load_scenario(ROOT / "scenarios" / "quickstart.yaml", settings)).plan.measured
    assert len(measured.stage_percentiles) == len(measured.stage_ratios_to_fp32)
    for ratio, spread in zip(measured.stage_ratios_to_fp32, measured.stage_percentiles, strict=True):
        assert spread.p50 <= spread.p90 <= spread.p99
        assert spread.p50 == pytest.approx(ratio, rel=0.5)
        assert spread.runs >= 3


@dataclass(frozen=True)
class Cut:
    """A plan of two stages; nothing of it is run."""

    stages: Sequence[str] = ("first", "second")
    mixed: str = "mixed"
    is_cut: bool = True


def test_of_a_chains_sessions_those_count_with_which_nothing_interfered(monkeypatch):
    calm, shared, cold = Interference.NONE, Interference.SHARED_CORE, Interference.COLD
    taken = iter([(4.0, shared), (1.0, calm), (5.0, cold), (2.0, calm), (3.0, calm)])
    pace, interference = 1.0, calm

    def ratios(target, models, feeds, runtime):
        nonlocal pace, interference
        if models == target.stages:
            pace, interference = next(taken)
        return [StageRatios(pace / len(models), interference=interference) for _ in models]

    monkeypatch.setattr(verify, "_ratios", ratios)
    found = verify.latency_ratios(Cut(), {}, Runtime())
    assert (found.whole, found.chain, found.stages) == (2.0, 2.0, (1.0, 1.0))
    assert found.chain_spread == found.chain_interval == (1.0, 3.0)


def test_a_chain_with_one_session_that_counts_has_the_spread_of_all_as_its_interval(monkeypatch):
    paces = iter([0.5, *[0.66 + 0.001 * number for number in range(20)]])

    def ratios(target, models, feeds, runtime):
        pace = next(paces) if models == target.stages else 0.5
        interference = Interference.NONE if pace == 0.5 else Interference.SHARED_CORE
        return [StageRatios(pace / len(models), (), 0.001, interference) for _ in models]

    monkeypatch.setattr(verify, "_ratios", ratios)
    found = verify.latency_ratios(Cut(), {}, Runtime())
    assert found.chain == 0.5
    assert found.chain_interval == found.chain_spread
    assert found.chain_interval[0] == 0.5


@pytest.mark.parametrize(
    ("fp32_s", "paces", "sessions"),
    [
        (0.1, [1.0, 1.001, 1.002], 3),
        (0.1, [1.0, 1.02, 1.04, 1.02, 1.02, 1.02, 1.02], 5),
        (0.1, [1.0, 1.1] * 20, 7),
        (0.001, [1.0, 1.1] * 20, 12),
        (5.0, [1.0, 1.1], 2),  # a slow model
        (0.0, [1.0, 1.1, 1.2], 3),  # in another process
    ],
)
def test_a_chain_is_timed_until_its_median_is_certain(fp32_s, paces, sessions, monkeypatch):
    drawn = iter(paces)
    pace, taken = 1.0, 0

    def ratios(target, models, feeds, runtime):
        nonlocal pace, taken
        if models == target.stages:
            pace, taken = next(drawn), taken + 1
        return [StageRatios(pace / len(models), fp32_s=fp32_s) for _ in models]

    monkeypatch.setattr(verify, "_ratios", ratios)
    found = verify.latency_ratios(Cut(), {}, Runtime())
    assert taken == sessions
    assert found.chain == pytest.approx(np.median(paces[:sessions]))
