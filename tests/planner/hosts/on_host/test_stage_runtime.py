"""A paced stage takes what the plan says of its device, where this machine is quicker."""

import time

import pytest

from planner.hosts.on_host.host_manifest import (
    HostedFile,
    HostedPlan,
    HostedStage,
    HostManifestError,
    RuntimeSpec,
)
from planner.hosts.on_host.stage_runtime import OnnxRuntimeStage, PacedStage, paced_stages


class Computing:
    """A stage that computes for a while."""

    def __init__(self, computes_s: float) -> None:
        self._computes_s = computes_s

    def run(self, feeds: object) -> dict[str, object]:
        end_s = time.perf_counter() + self._computes_s
        while time.perf_counter() < end_s:
            pass
        return {"y": feeds}


def seconds(stage: PacedStage) -> float:
    began_s = time.perf_counter()
    assert stage.run({"x": 1}) == {"y": {"x": 1}}
    return time.perf_counter() - began_s


@pytest.mark.parametrize("computes_s", [0.0, 0.01, 0.05])
def test_a_stage_never_takes_less_than_planned_nor_than_it_computes(computes_s):
    assert seconds(PacedStage(Computing(computes_s), 0.03)) >= max(0.03, computes_s)


def test_a_stage_that_several_plans_share_takes_what_each_of_them_says():
    plans = [
        HostedPlan(name, (), (), (HostedStage(0, (), (), (), planned_s),), {}, {})
        for name, planned_s in (("a", 0.0), ("b", 0.05))
    ]
    shared = Computing(0.0)
    paced = paced_stages({(0, 0): shared, (1, 0): shared}, plans)
    assert seconds(paced[1, 0]) >= 0.05
    assert paced[0, 0].run({"x": 1}) == {"y": {"x": 1}}


def test_a_provider_that_is_not_there_is_told(tmp_path):
    stage = HostedStage(0, (HostedFile("s.onnx", ""),), (), ())
    spec = RuntimeSpec("onnxruntime", "1", 1, "NoSuchExecutionProvider")
    with pytest.raises(HostManifestError, match="has no NoSuchExecutionProvider"):
        OnnxRuntimeStage(tmp_path, stage, spec)
