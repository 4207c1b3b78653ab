from collections.abc import Mapping
from dataclasses import replace

import models
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import checker
from prepared_models import Prepared
from text_models import make, weight

from planner.deployment.rebuild import quantized_tensors, rebuild
from planner.deployment.split import split, wired_tensors_of
from planner.deployment.stage_tasks import Placement, StageModel
from planner.verification.stage_chain import Chain, same_bits
from profiling.graph.unit_graph import ModelGraph
from profiling.on_device.create_session import Optimization
from profiling.precision import OFFERED, Precision, Wire
from profiling.quantization.qdq_model import QUANTIZED_SUFFIX
from profiling.quantization.ranges_file import read_ranges
from profiling.quantization.wire_formats import add_wires
from profiling.runtime.open_session import Runtime, open_session, run_session

DEVICES = ("a", "b", "c")


def forward_devices(data, graph, count: int = 3) -> tuple[str, ...]:
    """Draw devices so that no path leaves one and comes back: never an earlier one than a producer's."""
    places: list[int] = []
    for unit in graph.units:
        least = max((places[p] for p in graph.dag.predecessors(unit.index)), default=0)
        places.append(data.draw(st.integers(least, count - 1)))
    return tuple(DEVICES[p] for p in places)


@pytest.fixture(scope="session")
def matrices(tmp_path_factory) -> Prepared:
    return Prepared(models.matrices(), tmp_path_factory.mktemp("matrices"), "matrices")


@pytest.fixture(scope="session")
def inner_outputs(tmp_path_factory) -> Prepared:
    """A model whose inner tensors are outputs, too: the quantization tool gives their writers other names."""
    text = (
        "(float[1, 48] x) => (float[1, 32] h, float[1, 8] y) "
        "{ h = MatMul (x, w) s = Sigmoid (h) y = MatMul (s, v) }"
    )
    model = make(text, {"w": weight(48, 32), "v": weight(32, 8)})
    return Prepared(model, tmp_path_factory.mktemp("inner_outputs"), "inner_outputs")


@pytest.fixture(scope="session")
def layout(tmp_path_factory) -> Prepared:
    """Blocks of a ResNet on devices whose float convolutions have the blocked layout."""
    text = (
        "(float[1, 3, 8, 8] x) => (float[1, 16, 4, 4] y, float[1, 16, 4, 4] r3) { "
        "c1 = Conv <pads = [1, 1, 1, 1]> (x, w1) r1 = Relu (c1) "
        "c2 = Conv <pads = [1, 1, 1, 1]> (r1, w2) s2 = Add (c2, r1) r2 = Relu (s2) "
        "p2 = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (r2) "
        "c3 = Conv <pads = [1, 1, 1, 1]> (p2, w3) s3 = Add (p2, c3) r3 = Relu (s3) "
        "c4 = Conv (r3, w4) s4 = Sigmoid (c4) t4 = Add (s4, r3) "
        "c5 = Conv <pads = [1, 1, 1, 1]> (t4, w5) y = Add (t4, c5) }"
    )
    weights = {"w1": weight(16, 3, 3, 3), "w4": weight(16, 16, 1, 1)}
    weights |= {name: weight(16, 16, 3, 3) for name in ("w2", "w3", "w5")}
    prepared = Prepared(make(text, weights), tmp_path_factory.mktemp("layout"), "layout")
    scheme = replace(prepared.calibration.scheme, blocked_layout=True)
    prepared.calibration = replace(prepared.calibration, scheme=scheme)
    return prepared


@pytest.mark.parametrize("form", [Precision.WEIGHTS_INT8, Precision.WEIGHTS_INT4, Precision.INT8_DYNAMIC])
def test_an_output_that_an_operator_of_the_runtime_writes_may_be_quantized(form, inner_outputs):
    graph = inner_outputs.graph
    mix = {0: form, 1: Precision.INT8}
    calibration = inner_outputs.calibration
    mixed = rebuild(graph, calibration.at(mix), calibration.ranges)
    for devices in (("a", "a", "a"), ("a", "b", "b")):
        stages = split(mixed, graph, Placement(devices, "a", "b"))
        assert [stage.device for stage in stages] == sorted({*devices, "b"})


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=st.data(),
    name=st.sampled_from(["residual", "branches", "digits", "matrices", "inner_outputs", "layout"]),
)
def test_chained_stages_equal_the_whole_model(request, data, name):
    prepared = request.getfixturevalue(name)
    graph = prepared.graph
    able = [(u.index, kind) for u in graph.units for kind in OFFERED if u.can_be(kind)]
    mix = dict(data.draw(st.lists(st.sampled_from(able))))
    source, sink = data.draw(st.sampled_from(DEVICES)), data.draw(st.sampled_from(DEVICES))
    raw = frozenset(graph.inputs) if data.draw(st.booleans()) else frozenset()
    placement = Placement(forward_devices(data, graph), source, sink, raw)
    mix = graph.resolve_precisions(mix)
    floats = [t for t in float_boundaries(graph, mix) if t not in raw]
    wires = data.draw(st.dictionaries(st.sampled_from(floats), st.sampled_from(list(Wire)))) if floats else {}
    check_chain(prepared, mix, placement, wires)


@pytest.mark.parametrize("wire", list(Wire))
@pytest.mark.parametrize("kind", OFFERED)
def test_a_far_unit_in_any_precision_reads_what_comes_over_the_link(kind, wire, matrices):
    graph = matrices.graph
    mix = graph.resolve_precisions({u.index: kind for u in graph.units if u.can_be(kind)})
    wires = dict.fromkeys(float_boundaries(graph, mix), wire)
    for cut in range(len(graph.units) + 1):
        devices = ("a",) * cut + ("b",) * (len(graph.units) - cut)
        stages = check_chain(matrices, mix, Placement(devices, "a", "b"), wires)
        received = {name for stage in stages if stage.device == "b" for name in stage.inputs}
        assert not received & set(wires)


def float_boundaries(graph: ModelGraph, mix: Mapping[int, Precision]) -> list[str]:
    """Return the tensors between units that stay in float in a mix."""
    quantized = graph.tensor_precisions(mix)
    return [t for t in graph.boundary_tensors() if t not in quantized and graph.tensors[t].is_float]


def check_chain(
    prepared: Prepared, mix: Mapping[int, Precision], placement: Placement, wires: Mapping[str, Wire]
) -> tuple[StageModel, ...]:
    """Return the stages of a mix, whose chain has the bits of the whole model."""
    graph = prepared.graph
    mixed = rebuild(graph, prepared.calibration.at(mix), prepared.calibration.ranges)
    crossings = wired_tensors_of(mixed, graph, placement, wires)
    quantized = {node for index in mix for node in graph.units[index].nodes}
    mixed = add_wires(mixed, crossings, read_ranges(prepared.calibration.ranges), quantized)
    checker.check_model(mixed)
    stages = split(mixed, graph, placement, crossings)
    for stage in stages:
        checker.check_model(stage.model)
    assert sorted(u for s in stages for u in s.units) == [u.index for u in graph.units]
    whole = open_session(mixed, Runtime(), Optimization.BASIC)
    chain = Chain([s.model for s in stages], Runtime(), Optimization.BASIC)
    for feeds in prepared.samples[:3]:
        assert same_bits(run_session(whole, feeds), chain.run(feeds, graph.outputs))
    return stages


def test_an_int8_tensor_crosses_as_uint8(residual):
    mixed = rebuild(residual.graph, residual.calibration.of([0, 1, 2]), residual.calibration.ranges)
    stages = split(mixed, residual.graph, Placement(("a", "a", "b", "b", "b"), "a", "b"))
    cut = residual.graph.units[1].outputs[0]
    assert [s.device for s in stages] == ["a", "b"]
    assert stages[0].inputs == ("x",)
    assert stages[0].outputs == stages[1].inputs == (cut + QUANTIZED_SUFFIX,)
    assert stages[0].model.graph.output[0].type.tensor_type.elem_type == 2  # uint8
    assert stages[1].outputs == ("y",)


def test_a_float_tensor_crosses_as_float(residual):
    mixed = rebuild(residual.graph, residual.calibration.of([0]), residual.calibration.ranges)
    stages = split(mixed, residual.graph, Placement(("a", "a", "b", "b", "b"), "a", "b"))
    assert stages[0].outputs == residual.graph.units[1].outputs


def test_a_tensor_read_on_two_devices_leaves_once(branches):
    mixed = rebuild(branches.graph, branches.calibration.of([0, 1, 2]), branches.calibration.ranges)
    devices = tuple({0: "a", 1: "b"}.get(u.index, "c") for u in branches.graph.units)
    stages = split(mixed, branches.graph, Placement(devices, "a", "c"))
    stem = branches.graph.units[0].outputs[0] + QUANTIZED_SUFFIX
    assert [stem in s.outputs for s in stages] == [True, False, False]
    assert [stem in s.inputs for s in stages] == [False, True, True]


def test_an_input_quantized_at_the_source_makes_a_stage_there(residual):
    mixed = rebuild(residual.graph, residual.calibration.of([0]), residual.calibration.ranges)
    stages = split(mixed, residual.graph, Placement(("b",) * 5, "a", "b"))
    assert [(s.device, s.units) for s in stages] == [("a", ()), ("b", (0, 1, 2, 3, 4))]
    assert [n.op_type for n in stages[0].model.graph.node] == ["QuantizeLinear"]


def test_a_raw_input_is_quantized_where_it_is_used(residual):
    mixed = rebuild(residual.graph, residual.calibration.of([0]), residual.calibration.ranges)
    stages = split(mixed, residual.graph, Placement(("b",) * 5, "a", "b", frozenset({"x"})))
    assert [(s.device, s.inputs) for s in stages] == [("b", ("x",))]


def test_an_int8_output_is_dequantized_at_the_sink(residual):
    mixed = rebuild(residual.graph, residual.calibration.of([4]), residual.calibration.ranges)
    stages = split(mixed, residual.graph, Placement(("a",) * 5, "a", "b"))
    assert [(s.device, s.outputs) for s in stages] == [("a", ("y" + QUANTIZED_SUFFIX,)), ("b", ("y",))]


@pytest.mark.parametrize("int8", [[], [0], [1, 3], [0, 1, 2, 3, 4]])
def test_rebuilding_quantizes_what_the_units_touch_and_nothing_else(residual, int8):
    mixed = rebuild(residual.graph, residual.calibration.of(int8), residual.calibration.ranges)
    expected = {t for i in int8 for t in residual.graph.tensors_quantized_with(i)}
    assert quantized_tensors(mixed).keys() & set(residual.graph.boundary_tensors()) == expected
    assert [o.name for o in mixed.graph.output] == ["y"]


def test_an_all_fp32_plan_keeps_the_outputs(residual):
    mixed = rebuild(residual.graph, residual.calibration.of([]), residual.calibration.ranges)
    stages = split(mixed, residual.graph, Placement(("a", "a", "b", "b", "b"), "a", "b"))
    chain = Chain([s.model for s in stages], Runtime())
    exact = open_session(residual.source, Runtime())
    for feeds in residual.samples:
        np.testing.assert_allclose(chain.run(feeds, ("y",))["y"], run_session(exact, feeds)["y"], atol=1e-5)
