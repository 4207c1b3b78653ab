"""A paced stage takes what the planned device would, of the time that it computes and of nothing else."""

import time

import pytest

from planner.hosts.on_host.host_manifest import (
    HostedFile,
    HostedPlan,
    HostedStage,
    HostManifestError,
    RuntimeSpec,
)
from planner.hosts.on_host.stage_runtime import OnnxRuntimeStage, PacedStage, paced_stages, steady_seconds


class Computing:
    """A stage that computes for a while, and waits for a while."""

    def __init__(self, computes_s: float, waits_s: float = 0.0) -> None:
        self._computes_s, self._waits_s = computes_s, waits_s

    def run(self, feeds: object) -> dict[str, object]:
        end_s = time.thread_time() + self._computes_s
        while time.thread_time() < end_s:
            pass
        time.sleep(self._waits_s)
        return {"y": feeds}


def seconds(stage: PacedStage) -> float:
    began_s = time.perf_counter()
    assert stage.run({"x": 1}) == {"y": {"x": 1}}
    return time.perf_counter() - began_s


def test_a_slower_device_takes_as_much_longer():
    stage = Computing(0.02)
    assert seconds(PacedStage(stage, 0.1, steady_seconds(stage, {}, 1))) >= 0.2


def test_what_a_call_costs_beside_the_computing_is_not_multiplied():
    # A thousand times as slow: 50 ms of waiting would be 50 s.
    stage = Computing(0.0, waits_s=0.05)
    assert seconds(PacedStage(stage, 0.001, steady_seconds(stage, {}, 1))) < 10
    assert steady_seconds(stage, {}, 2) >= 0.05


def test_a_stage_that_several_plans_share_is_measured_once():
    stage = HostedStage(0, (), (), ())
    plans = [HostedPlan(name, (), (), (stage,), {}, {}) for name in "ab"]
    shared = Computing(0.0)
    paced = paced_stages({(0, 0): shared, (1, 0): shared}, plans, RuntimeSpec("onnxruntime", "1", 1, "", 0.5))
    assert paced[0, 0] is paced[1, 0]
    own = paced_stages(
        {(0, 0): shared, (1, 0): Computing(0.0)}, plans, RuntimeSpec("onnxruntime", "1", 1, "", 0.5)
    )
    assert own[0, 0] is not own[1, 0]


def test_a_provider_that_is_not_there_is_told(tmp_path):
    stage = HostedStage(0, (HostedFile("s.onnx", ""),), (), ())
    spec = RuntimeSpec("onnxruntime", "1", 1, "NoSuchExecutionProvider", 1.0)
    with pytest.raises(HostManifestError, match="has no NoSuchExecutionProvider"):
        OnnxRuntimeStage(tmp_path, stage, spec)


def test_a_quicker_device_is_not_waited_for():
    assert seconds(PacedStage(Computing(0.0), 1000.0, 1.0)) < 5
