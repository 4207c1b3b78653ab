"""Wires of float tensors, and devices that run several stages: from costs to verified models."""

import models
import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from planned_models import plan_model

from planner.export_and_verify import export_plan
from planner.plan.plan_record import WireFormat
from profiling.noise.measure_noise import measure_noise
from profiling.noise.noise_power import noise_power
from profiling.on_device.create_session import Optimization
from profiling.on_device.measurement_order import DECODE, ENCODE
from profiling.precision import Precision, Wire
from profiling.quantization.qdq_model import quantize
from profiling.quantization.ranges_file import read_ranges
from profiling.quantization.wire_formats import WiredTensor, add_wires, affine, as_float16, wire_trials
from profiling.runtime.open_session import Runtime, open_session, run_samples

TWO = {
    "devices": [{"name": "a"}, {"name": "b", "scaled_from": "a", "speedup": 1000}],
    "links": [
        {"from": "a", "to": "b", "bandwidth_mbit_per_s": 1, "latency_ms": 0.1},
        {"from": "b", "to": "a", "bandwidth_mbit_per_s": 1, "latency_ms": 0.1},
    ],
    "precisions": ["fp32"],
}


def samples(seed: int = 0) -> dict[str, np.ndarray]:
    return {"x": np.random.default_rng(seed).standard_normal((8, 1, 2, 8, 8)).astype(np.float32)}


def carried(prepared, wire: Wire, tensor: str, far: list[int]) -> onnx.ModelProto:
    graph = prepared.graph
    nodes = frozenset(node for index in far for node in graph.units[index].nodes)
    ranges = read_ranges(prepared.calibration.ranges)
    return add_wires(graph.model, [WiredTensor(tensor, wire, nodes)], ranges, ())


def test_only_far_readers_read_what_comes_over_the_link(branches):
    graph = branches.graph
    stem = graph.units[0].outputs[0]
    near, far, *_ = graph.consumers(stem)
    model = carried(branches, Wire.UINT8, stem, [far])
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    ends = [*graph.units[near].outputs, *graph.units[far].outputs]
    for name in set(ends) - set(graph.outputs):
        watched.graph.output.append(next(v for v in model.graph.value_info if v.name == name))
    exact = onnx.ModelProto()
    exact.CopyFrom(graph.model)
    exact.graph.output.extend(
        v for v in graph.model.graph.value_info if v.name in ends and v.name not in graph.outputs
    )
    seen, wanted = (
        list(run_samples(open_session(one, Runtime(), Optimization.BASIC), branches.samples))
        for one in (watched, exact)
    )
    for got, want in zip(seen, wanted, strict=True):
        assert (got[ends[0]] == want[ends[0]]).all()
        assert 0 < np.abs(got[ends[1]] - want[ends[1]]).max() < 0.1


@pytest.mark.parametrize("wire", list(Wire))
def test_the_noise_of_a_wire_is_as_predicted(branches, wire):
    """If all read it decoded; a profile derives float16's from the tensor's own error."""
    graph = branches.graph
    profile = measure_noise(graph, branches.calibration, branches.samples)
    stem = graph.units[0].outputs[0]
    row = next(row for row in profile.tensors if row.tensor == stem)
    model = carried(branches, wire, stem, list(graph.consumers(stem)))
    exact = list(run_samples(open_session(graph.model, Runtime()), branches.samples))
    measured = noise_power(run_samples(open_session(model, Runtime()), branches.samples), exact)
    predicted = row.power if wire is Wire.UINT8 else row.float16
    assert measured == pytest.approx(predicted, rel=0.5)


def test_an_affine_range_is_that_of_the_quantization_tool(residual):
    model = quantize(
        residual.graph.model,
        residual.calibration.of(residual.graph.quantizable_nodes),
        residual.calibration.ranges,
    )
    known = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    ranges = read_ranges(residual.calibration.ranges)
    names = [name for name in residual.graph.boundary_tensors() if f"{name}_scale" in known]
    assert names
    for name in names:
        scale, zero = affine(ranges[name])
        assert scale == pytest.approx(float(known[f"{name}_scale"]), rel=1e-6)
        assert zero == known[f"{name}_zero_point"]
    assert affine((0.0, 0.0)) == (1.0, 0)


def test_what_float16_cannot_hold_is_told():
    assert as_float16(np.array([1.0, 7e4], np.float32)) is None
    kept = as_float16(np.array([1.0, np.inf, 0.1], np.float32))
    assert kept is not None
    assert kept.dtype == np.float32
    assert kept[2] == pytest.approx(0.1, rel=2**-11)


def test_every_wire_is_tried_both_ways():
    found = {(wire, side) for wire, side, *_ in wire_trials()}
    assert found == {(wire, side) for wire in Wire for side in (ENCODE, DECODE)}
    for _, _, size, model in wire_trials():
        onnx.checker.check_model(model)
        session = open_session(model, Runtime())
        assert session.get_inputs()[0].shape == session.get_outputs()[0].shape == [size]


@pytest.mark.parametrize("wire", list(Wire))
def test_a_slow_link_is_crossed_in_a_wire(tmp_path, wire):
    budget = {"latency_ms": 1e6, "noise_relative_rms": 0.1}
    # So slow that no machine encodes for as long as it saves, however few bytes cross.
    slow = [{"from": "a", "to": "b", "bandwidth_mbit_per_s": 0.001}]
    settings = TWO | {"source": "a", "sink": "b", "wires": [wire.value], "budget": budget, "links": slow}
    outcome = plan_model(tmp_path, models.residual(), samples(), **settings)
    plan = outcome.plan
    assert {cut.wire.value for cut in plan.cuts} == {wire.value}
    assert plan.measured.chain.basic_bit_equal
    assert 0 < plan.measured.noise_relative_rms < 0.1
    assert 0 < plan.predicted.noise_relative_rms < 0.1
    again = export_plan(plan)
    assert again.mixed == outcome.built.mixed
    assert [stage.model for stage in again.stages] == [stage.model for stage in outcome.built.stages]


def test_a_tensor_too_large_for_float16_does_not_cross_so(tmp_path):
    arrays = {"x": samples()["x"] * 1e6}
    settings = TWO | {"source": "a", "sink": "b", "wires": ["float16"], "placement": {"pin": {"*": "b"}}}
    plan = plan_model(tmp_path, models.residual(), arrays, **settings).plan
    assert [cut.wire for cut in plan.cuts] == [WireFormat.FLOAT]


def test_a_noise_budget_forbids_a_wire(tmp_path):
    settings = TWO | {"source": "a", "sink": "b", "wires": ["uint8"], "budget": {"noise_relative_rms": 1e-6}}
    plan = plan_model(tmp_path, models.residual(), samples(), **settings).plan
    assert {cut.wire for cut in plan.cuts} == {WireFormat.FLOAT}


def test_a_request_comes_back_to_a_device_with_two_visits(tmp_path):
    content = TWO | {"source": "a", "sink": "a", "wires": ["float16"], "precisions": ["fp32", "int8"]}
    first = plan_model(tmp_path, models.residual(), samples(), **content)
    units = [assignment.unit for assignment in first.plan.assignments]
    pin = {units[0]: "a", units[1]: "b", units[2]: "b", units[3]: "a", units[4]: "a"}
    # In what precision a small unit is faster changes from run to run: one of them is fixed.
    pinned = content | {"placement": {"pin": pin, "precision": {units[2]: "fp32"}}}
    once = plan_model(tmp_path, models.residual(), samples(), **pinned)
    assert once.plan.status == "infeasible"
    pinned["devices"] = [{"name": "a", "visits": 2}, TWO["devices"][1]]
    outcome = plan_model(tmp_path, models.residual(), samples(), **pinned)
    plan = outcome.plan
    assert plan.status in ("optimal", "feasible")  # as the seconds of the timed rounds agree
    assert [stage.device for stage in outcome.built.stages] == ["a", "b", "a"]
    assert plan.devices() == pin
    assert set(plan.predicted.compute_s) == set(plan.predicted.memory_bytes) == {"a", "b"}
    assert plan.measured.chain.basic_bit_equal
    assert plan.precisions()[units[2]] is Precision.FP32
