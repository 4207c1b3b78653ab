import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from models import with_weights
from prepared_models import Prepared

from profiling.on_device.create_session import session_options, trace_into
from profiling.on_device.kernels import read_op_types
from profiling.quantization import keep_float as guard
from profiling.quantization.qdq_model import quantize

_CHAIN = """
<ir_version: 8, opset_import: ["" : 17]>
chain (float[1, 4, 6, 6] x) => (float[1, 8] y)
<float[4, 4, 3, 3] w1, float[4] b1, float[4, 4, 3, 3] w2, float[4] b2, float[4, 4, 1, 1] w3, float[4] b3,
 int64[2] shape, float[144, 8] w4, float[8] b4, float[8, 8] w5>
{
    c1 = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (x, w1, b1)
    c2 = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (c1, w2, b2)
    r2 = Relu (c2)
    c3 = Conv <kernel_shape = [1, 1]> (r2, w3, b3)
    f3 = Flatten (c3)
    m4 = MatMul (f3, w4)
    g4 = Add (m4, b4)
    y = MatMul (g4, w5)
}
"""
_PASS = "WeightBiasQuantization"


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    model = with_weights(_CHAIN)
    for tensor in model.graph.initializer:
        if tensor.name in ("w2", "w4"):  # one scale for the whole weight is too coarse for these
            weight = onnx.numpy_helper.to_array(tensor).copy()
            weight[0] *= 50
            tensor.CopyFrom(onnx.numpy_helper.from_array(weight, tensor.name))
    return Prepared(model, tmp_path_factory.mktemp("chain"), "chain")


def run(model, feeds, folder, *, disable: bool = False):
    """Return outputs and operator types of a model as a user runs it."""
    options = session_options(1)
    if disable:
        options.add_session_config_entry("optimization.disable_specified_optimizers", _PASS)
    trace_into(options, folder / "run", None)
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    (outputs,) = session.run(None, dict(feeds))
    return outputs, read_op_types(folder / session.end_profiling())


def unit_of(prepared, op_type: str, place: int = 0) -> tuple[str, ...]:
    names = [node.name for node in prepared.graph.model.graph.node if node.op_type == op_type]
    return next(unit.nodes for unit in prepared.graph.units if names[place] in unit.nodes)


@pytest.mark.parametrize(("op_type", "place"), [("Conv", 1), ("Conv", 2), ("MatMul", 0), ("Gemm", 0)])
def test_a_float_unit_between_int8_ones_computes_in_float(chain, tmp_path, op_type, place):
    graph = chain.graph
    if op_type not in {node.op_type for node in graph.model.graph.node}:
        pytest.skip(f"preparation left no {op_type}")
    floats = unit_of(chain, op_type, place)
    int8 = [node for node in graph.quantizable_nodes if node not in floats]
    model = quantize(graph.model, chain.calibration.of(int8), chain.calibration.ranges)
    for feeds in chain.samples:
        got, ops = run(model, feeds, tmp_path)
        want, want_ops = run(model, feeds, tmp_path, disable=True)
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)
        assert sorted(ops) == sorted(want_ops)


_MOVED = """
<ir_version: 8, opset_import: ["" : 17]>
moved (float[1, 6, 24] x) => (float[1, 6, 5] y)
<float[24, 24] w1, float[24, 24] w2, float[24] b2, float[24, 5] w3, int64[2] rows, int64[3] back>
{
    h = MatMul (x, w1)
    r = Relu (h)
    f = Reshape (r, rows)
    g = Gemm (f, w2, b2)
    m = Reshape (g, back)
    y = MatMul (m, w3)
}
"""


def moved(folder: Path) -> Prepared:
    model = with_weights(_MOVED)
    for tensor in model.graph.initializer:
        if tensor.name == "rows":
            tensor.CopyFrom(onnx.numpy_helper.from_array(np.array([6, 24]), "rows"))
        if tensor.name == "back":
            tensor.CopyFrom(onnx.numpy_helper.from_array(np.array([1, 6, 24]), "back"))
        if tensor.name == "w2":
            weight = onnx.numpy_helper.to_array(tensor).copy()
            weight[0] *= 50
            tensor.CopyFrom(onnx.numpy_helper.from_array(weight, tensor.name))
    return Prepared(model, folder, "moved")


@pytest.mark.parametrize("is_guarded", [True, False])
def test_a_float_unit_computes_in_float_where_scales_are_moved_to_it(tmp_path, monkeypatch, is_guarded):
    """Without the guard behind a Reshape, the runtime still quantizes its weight."""
    if not is_guarded:
        monkeypatch.setattr(guard._Guard, "first", lambda self, node, quantized: node)
    one = moved(tmp_path)
    nodes = {node.name: node.op_type for node in one.graph.model.graph.node}
    floats = [name for name, op_type in nodes.items() if op_type in ("Gemm", "Reshape")]
    int8 = [name for name in one.graph.quantizable_nodes if name not in floats]
    assert "Gemm" in nodes.values()
    assert len(int8) > 1
    model = quantize(one.graph.model, one.calibration.of(int8), one.calibration.ranges)
    got, _ = run(model, one.samples[0], tmp_path)
    want, _ = run(model, one.samples[0], tmp_path, disable=True)
    assert np.allclose(got, want, rtol=1e-5, atol=1e-6) == is_guarded


def test_the_runtime_still_quantizes_unguarded_weights(chain, tmp_path, monkeypatch):
    """If this fails, the runtime has learned to leave weights alone, and the guard can go."""
    monkeypatch.setattr("profiling.quantization.qdq_model.keep_float", lambda *_: None)
    floats = unit_of(chain, "Conv", 1)
    int8 = [node for node in chain.graph.quantizable_nodes if node not in floats]
    model = quantize(chain.graph.model, chain.calibration.of(int8), chain.calibration.ranges)
    got, ops = run(model, chain.samples[0], tmp_path)
    want, want_ops = run(model, chain.samples[0], tmp_path, disable=True)
    assert ops.count("QLinearConv") > want_ops.count("QLinearConv")
    assert np.abs(got - want).max() > 0.05 * np.abs(want).max()


_SCALED = """
<ir_version: 8, opset_import: ["" : 17]>
scaled (float[4, 8] x) => (float[4, 8] y)
<float[8, 8] w1, float[8, 8] w2, float scale = {0.5}>
{
    m1 = MatMul (x, w1)
    h = Mul (m1, scale)
    m2 = MatMul (h, w2)
    y = Mul (m2, scale)
}
"""


def test_a_number_that_units_share_stays_a_constant_of_those_in_float(tmp_path):
    scaled = Prepared(with_weights(_SCALED), tmp_path, "scaled")
    graph = scaled.graph
    first = [node for unit in graph.units if "y" not in unit.outputs for node in unit.nodes]
    model = quantize(graph.model, scaled.calibration.of(first), scaled.calibration.ranges)
    constants = {tensor.name for tensor in model.graph.initializer}
    (last,) = (node for node in model.graph.node if "y" in node.output)
    assert any(name in constants for name in last.input)
    assert "QLinearMatMul" in run(model, scaled.samples[0], tmp_path)[1]


def test_int8_readers_keep_the_plain_scale(branches):
    """A tensor that a float and an int8 Conv read has one DequantizeLinear for each."""
    graph = branches.graph
    left = next(unit for unit in graph.units if "left" in unit.outputs)
    int8 = [node for node in graph.quantizable_nodes if node not in left.nodes]
    model = quantize(graph.model, branches.calibration.of(int8), branches.calibration.ranges)
    sizes = {
        len(onnx.numpy_helper.to_array(t).ravel())
        for node in model.graph.node
        if node.op_type == "DequantizeLinear" and node.input[0].startswith("stem")
        for t in model.graph.initializer
        if t.name == node.input[1]
    }
    assert sizes == {1, 4}


def test_a_model_without_weighted_float_nodes_is_left_alone(branches):
    graph = branches.graph
    everything = branches.calibration.of(graph.quantizable_nodes)
    model = quantize(graph.model, everything, branches.calibration.ranges)
    before = model.SerializeToString(deterministic=True)
    guard.keep_float(model, set(graph.quantizable_nodes), {})
    assert model.SerializeToString(deterministic=True) == before


def pooled_types(model, feeds, folder) -> set[str]:
    """Return the element types on which the MaxPool kernels of a model work."""
    options = session_options(1)
    trace_into(options, folder / "run", None)
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    session.run(None, dict(feeds))
    events = json.loads(Path(session.end_profiling()).read_text())
    pools = [
        e["args"]
        for e in events
        if e["name"].endswith("_kernel_time")
        if e["args"]["op_name"].endswith("MaxPool")
    ]
    return {kind for args in pools for one in args["input_type_shape"] for kind in one}


@pytest.mark.parametrize("without", [["MaxPool"], ["Conv", "MaxPool"], ["MaxPool", "Mul"]])
def test_a_float_pool_beside_int8_computes_in_float(branches, tmp_path, without):
    model = quantize(branches.graph.model, *_all_but(branches, without))
    assert pooled_types(model, branches.samples[0], tmp_path) == {"float"}


@pytest.mark.parametrize("without", [["Conv", "MaxPool"], ["MaxPool", "Mul"]])
def test_the_runtime_still_moves_scales_through_unguarded_pools(branches, tmp_path, monkeypatch, without):
    """If this fails, the runtime has learned to leave pools alone, and the guard can go."""
    guarded = quantize(branches.graph.model, *_all_but(branches, without))
    monkeypatch.setattr("profiling.quantization.qdq_model.keep_float", lambda *_: None)
    plain = quantize(branches.graph.model, *_all_but(branches, without))
    assert pooled_types(plain, branches.samples[0], tmp_path) == {"uint8"}
    for feeds in branches.samples:
        for got, want in zip(run_as_written(guarded, feeds), run_as_written(plain, feeds), strict=True):
            assert got.tobytes() == want.tobytes()


def run_as_written(model, feeds):
    options = session_options(1)
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, dict(feeds))


def _all_but(prepared, op_types):
    """Return schemes and ranges that quantize all but the last unit of each operator type."""
    graph = prepared.graph
    floats = {max(u.index for u in graph.units if op in u.op_types and u.index < 5) for op in op_types}
    int8 = [
        node for unit in graph.units if unit.quantizable and unit.index not in floats for node in unit.nodes
    ]
    return prepared.calibration.of(int8), prepared.calibration.ranges
