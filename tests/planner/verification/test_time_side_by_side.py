from planner.verification.time_side_by_side import TimedStage, time_side_by_side
from profiling.runtime.open_session import Runtime


def test_every_stage_of_every_chain_has_its_ratio(residual):
    graph, feeds = residual.graph, residual.samples[0]
    whole = TimedStage(graph.model, Runtime())
    found = time_side_by_side({"onnxruntime": residual.source}, [[whole], [whole, whole]], feeds)
    assert [len(chain) for chain in found] == [1, 2]
    assert all(ratio > 0 for chain in found for ratio in chain)


def test_each_runtime_has_its_own_reference(residual):
    stages = [TimedStage(residual.graph.model, Runtime(threads)) for threads in (1, 2)]
    found = time_side_by_side({"onnxruntime": residual.source}, [stages], residual.samples[0])
    assert len(found[0]) == 2


def test_no_plans_take_no_time(residual):
    assert time_side_by_side({"onnxruntime": residual.source}, [], residual.samples[0]) == []
