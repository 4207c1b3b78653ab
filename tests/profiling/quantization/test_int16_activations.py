"""16-bit activations: what is written, what it costs in noise, and that plans with it keep their promise."""

from pathlib import Path

import models
import numpy as np
import onnx
import onnxruntime as ort
import pytest
from planned_models import plan_model
from prepared_models import Prepared

from planner.deployment.rebuild import quantized_tensors, rebuild
from profiling.noise.measure_noise import measure_noise, scale_to_int16
from profiling.noise.noise_power import noise_power
from profiling.on_device.create_session import Optimization
from profiling.on_device.kernels import read_op_types
from profiling.precision import Precision
from profiling.quantization.calibration import Calibration
from profiling.quantization.qdq_model import INT8, QUANTIZED_SUFFIX, Scheme, quantize
from profiling.runtime.open_session import Runtime, Trace, open_session, run_samples

INT16 = Scheme(precision=Precision.INT16)
EVERY = ["fp32", "int8", "int16"]


def constants(model):
    return {tensor.name: tensor for tensor in model.graph.initializer}


def built(prepared, precision):
    nodes = dict.fromkeys(prepared.graph.quantizable_nodes, precision)
    return quantize(prepared.graph.model, prepared.calibration.at(nodes), prepared.calibration.ranges)


def test_every_activation_has_16_bits_and_every_weight_8(residual):
    model = built(residual, Precision.INT16)
    known = constants(model)
    pairs = [n for n in model.graph.node if n.op_type in ("QuantizeLinear", "DequantizeLinear")]
    weights = [node for node in pairs if node.input[0] in known]
    assert {known[node.input[2]].data_type for node in weights} == {onnx.TensorProto.INT8}
    activations = [node for node in pairs if node.input[0] not in known]
    assert {known[node.input[2]].data_type for node in activations} == {onnx.TensorProto.UINT16}
    assert {node.domain for node in activations} == {"com.microsoft"}
    assert not [tensor for tensor in known.values() if tensor.data_type == onnx.TensorProto.INT32]


@pytest.mark.parametrize("symmetric", [False, True])
def test_the_range_is_that_of_8_bits(residual, symmetric):
    nodes = residual.graph.quantizable_nodes
    narrow, wide = (
        quantize(residual.graph.model, dict.fromkeys(nodes, scheme), residual.calibration.ranges)
        for scheme in (Scheme(symmetric), Scheme(symmetric, precision=Precision.INT16))
    )
    seen = 0
    for before, after in zip(*(_quantizers(model) for model in (narrow, wide)), strict=True):
        scale, zero = (
            onnx.numpy_helper.to_array(constants(narrow)[name]).astype(np.float64) for name in before
        )
        finer_scale, finer_zero = (
            onnx.numpy_helper.to_array(constants(wide)[name]).astype(np.float64) for name in after
        )
        least, most = (-128, 127) if symmetric else (0, 255)
        for end in (least, most):
            reached = (257 * end - finer_zero) * finer_scale
            assert reached == pytest.approx((end - zero) * scale, rel=1e-6, abs=1e-12)
        seen += 1
    assert seen >= len(residual.graph.boundary_tensors())  # some are inside units


def _quantizers(model):
    return [list(node.input[1:]) for node in model.graph.node if node.op_type == "QuantizeLinear"]


def test_a_tensor_that_an_int8_unit_touches_has_8_bits(residual):
    graph = residual.graph
    mix = {0: Precision.INT16, 1: Precision.INT8, 2: Precision.INT16}
    mixed = rebuild(graph, residual.calibration.at(mix), residual.calibration.ranges)
    found = quantized_tensors(mixed)
    for name in graph.tensors_quantized_with(1):
        assert found[name] is Precision.INT8
    assert found[graph.inputs[0]] is Precision.INT16
    types = {v.name: v.type.tensor_type.elem_type for v in mixed.graph.value_info}
    assert types[graph.inputs[0] + QUANTIZED_SUFFIX] == onnx.TensorProto.UINT16


def test_no_integer_kernel_runs_in_16_bits(digits, tmp_path):
    session = open_session(built(digits, Precision.INT16), Runtime(), trace=Trace(tmp_path / "run", None))
    session.run(None, dict(digits.samples[0]))
    ops = read_op_types(Path(session.end_profiling()))
    assert not [op for op in ops if op.startswith(("QLinear", "QGemm")) or "Integer" in op]


@pytest.mark.parametrize("name", ["residual", "branches", "digits"])
def test_the_runtimes_optimizations_change_nothing_of_note(name, request):
    prepared = request.getfixturevalue(name)
    model = built(prepared, Precision.INT16)
    plain, optimized = (
        list(run_samples(open_session(model, Runtime(), level), prepared.samples))
        for level in (Optimization.BASIC, Optimization.DEFAULT)
    )
    assert noise_power(optimized, plain) < 1e-9


def test_noise_of_16_bits_is_that_of_8_over_257_squared(branches):
    """Measured in the model, for tensors whose values are not a few steps; the profile derives it."""
    eight = measure_noise(branches.graph, branches.calibration, branches.samples)
    wide = Calibration(INT16, branches.calibration.ranges)
    measured = measure_noise(branches.graph, wide, branches.samples)
    derived = {row.tensor: row.power for row in scale_to_int16(eight.tensors)}
    pairs = [(row.power, derived[row.tensor]) for row in measured.tensors if row.power > 1e-10]
    assert len(pairs) > 3
    ratios = np.array([one / other for one, other in pairs])
    assert 0.5 < np.median(ratios) < 2.0


def test_noise_of_an_int16_unit_is_that_of_its_weights(tmp_path):
    """A unit with an inner tensor: Conv, Sigmoid and Mul in one."""
    text = """
    <ir_version: 8, opset_import: ["" : 17]>
    g (float[1, 3, 8, 8] x) => (float[1, 4, 8, 8] y)
    <float[4, 3, 1, 1] w>
    { c = Conv <kernel_shape = [1, 1]> (x, w)
      s = Sigmoid (c)
      y = Mul (c, s) }
    """
    prepared = Prepared(models.with_weights(text), tmp_path, "silu")
    (unit,) = prepared.graph.units
    calibrations = [Calibration(scheme, prepared.calibration.ranges) for scheme in (INT8, INT16)]
    eight, sixteen = (
        measure_noise(prepared.graph, one, prepared.samples).units[0].power for one in calibrations
    )
    assert unit.quantizable
    assert 0 < sixteen < eight


def test_a_plan_in_int16_is_built_cut_and_verified(tmp_path):
    rng = np.random.default_rng(0)
    arrays = {"x": rng.standard_normal((8, 1, 2, 8, 8)).astype(np.float32)}
    outcome = plan_model(
        tmp_path,
        models.residual(),
        arrays,
        precisions=EVERY,
        devices=[{"name": "a"}, {"name": "b", "scaled_from": "a", "speedup": 100}],
        links=[{"from": "a", "to": "b", "bandwidth_mbit_per_s": 1, "latency_ms": 1}],
        sink="b",
        placement={"precision": {"*": "int16"}, "pin": {"*": "b"}},
    )
    plan = outcome.plan
    assert {a.precision for a in plan.assignments if a.precision is not Precision.FP32} == {Precision.INT16}
    assert [cut.wire.value for cut in plan.cuts] == ["uint16"]
    assert plan.cuts[0].size_bytes == 2 * 2 * 8 * 8
    assert plan.measured.chain.basic_bit_equal
    assert 0 < plan.predicted.noise_relative_rms < plan.measured.noise_relative_rms < 0.02  # 8 samples clip
    assert [noise.scheme.split("-")[0] for noise in outcome.profiles["a"].noise] == ["int8", "int16"]


def test_int16_is_chosen_where_int8_is_too_noisy_and_float_too_large(tmp_path):
    rng = np.random.default_rng(0)
    arrays = {"x": rng.standard_normal((8, 1, 2, 8, 8)).astype(np.float32)}
    loud = plan_model(tmp_path, models.residual(), arrays, precisions=EVERY, objective="memory")
    plan = plan_model(
        tmp_path,
        models.residual(),
        arrays,
        precisions=EVERY,
        objective="memory",
        budget={"noise_relative_rms": loud.plan.measured.noise_relative_rms / 3},
    ).plan
    assert Precision.INT16 in plan.precisions().values()
    assert plan.measured.noise_relative_rms <= loud.plan.measured.noise_relative_rms / 3


_PRODUCTS = """
<ir_version: 8, opset_import: ["" : 17]>
products (float[2, 3, 40] x, float[2, 40] v) => (float[2, 3, 24] y, float[2, 24] z, float[2, 8] u)
<float[40, 48] w1, float[48, 24] w2, float[24] b2, float[40, 24] w3, float[24] b3, float[8, 24] w4>
{ m1 = MatMul (x, w1)
  r1 = Relu (m1)
  m2 = MatMul (r1, w2)
  y = Add (m2, b2)
  z = Gemm (v, w3, b3)
  r3 = Relu (z)
  u = Gemm <transB = 1> (r3, w4) }
"""


@pytest.mark.parametrize("symmetric", [False, True])
def test_products_in_16_bits_keep_them_as_a_user_runs_them(tmp_path, symmetric):
    """A plain session, as on a device: no options, no optimization left out."""
    prepared = Prepared(models.with_weights(_PRODUCTS), tmp_path, "products")
    schemes = dict.fromkeys(prepared.graph.quantizable_nodes, Scheme(symmetric, precision=Precision.INT16))
    model = quantize(prepared.graph.model, schemes, prepared.calibration.ranges)
    exact = list(run_samples(open_session(model, Runtime(), Optimization.BASIC), prepared.samples))
    options = ort.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    session = ort.InferenceSession(model.SerializeToString(), options)
    assert noise_power(list(run_samples(session, prepared.samples)), exact) < 1e-9
    optimized = onnx.load(tmp_path / "optimized.onnx")
    assert "MatMulNBits" not in {node.op_type for node in optimized.graph.node}
