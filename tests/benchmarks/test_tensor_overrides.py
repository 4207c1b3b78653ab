"""Which tensors get 16 bits, in the order in which ever more of them do."""

from itertools import pairwise

import numpy as np
import onnx
import pytest
from repository import ROOT
from tensor_overrides import counts, with_wide_tensors, worst

from planner.inputs.prepared_scenario import prepare
from planner.scenario.loader import load_scenario
from profiling.runtime.open_session import Runtime, open_session, run_session


@pytest.mark.parametrize("tensors", [1, 2, 7, 100, 333])
def test_ever_twice_as_many_are_tried_until_all_are(tensors):
    tried = counts(tensors)
    assert tried[-1] == tensors
    assert all(a < b <= 2 * a for a, b in pairwise(tried))
    assert 0 < tried[0] <= max(1, tensors / 10)


def test_the_tensors_with_least_signal_over_noise_come_first():
    assert worst({"a": 30.0, "b": 10.0, "c": 20.0}, 2) == ["b", "c"]


def wide_tensors(model):
    kinds = {one.name: one.data_type for one in model.graph.initializer}
    nodes = [node for node in model.graph.node if node.op_type == "QuantizeLinear"]
    return sum(kinds[node.input[2]] == onnx.TensorProto.UINT16 for node in nodes)


def test_a_larger_drop_needs_fewer_tensors_in_16_bits():
    prepared = prepare(load_scenario(ROOT / "scenarios" / "quickstart.yaml"))
    generous, strict = (with_wide_tensors(prepared, drop) for drop in (1.0, -1.0))
    assert 0 < wide_tensors(generous) < wide_tensors(strict)
    feeds = prepared.evaluation.samples[0]
    exact, few, all_wide = (
        next(iter(run_session(open_session(model, Runtime()), feeds).values()))
        for model in (prepared.models.graph.fp32_model, generous, strict)
    )
    assert np.isfinite(few).all()
    assert np.square(all_wide - exact).sum() < np.square(few - exact).sum()
