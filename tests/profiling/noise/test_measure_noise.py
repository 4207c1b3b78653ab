import models
import onnxruntime as ort
from prepared_models import Prepared

from profiling.noise.measure_noise import measure_noise
from profiling.noise.noise_power import noise_power
from profiling.quantization.qdq_model import quantize
from profiling.runtime.open_session import Runtime, open_session, run_session


def test_single_tensor_noise_adds_up_to_that_of_a_mixed_model(digits):
    """On integer-exact kernels: the runtime runs QDQ in float when nothing is optimized."""
    profile = measure_noise(digits.graph, digits.calibration, digits.samples)
    chosen = {u.index for u in digits.graph.units if u.index % 3}
    nodes = tuple(n for i in sorted(chosen) for n in digits.graph.units[i].nodes)
    mixed = quantize(digits.graph.model, digits.calibration.of(nodes), digits.calibration.ranges)
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(mixed.SerializeToString(), options)
    exact = open_session(digits.graph.model, Runtime())
    measured = noise_power(
        [run_session(session, s) for s in digits.samples],
        [run_session(exact, s) for s in digits.samples],
    )
    tensors = {t for i in chosen for t in digits.graph.tensors_quantized_with(i)}
    predicted = sum(row.power for row in profile.tensors if row.tensor in tensors)
    predicted += sum(
        row.power for row in profile.units if row.unit in {digits.graph.units[i].name for i in chosen}
    )
    assert 0.5 < predicted / measured < 2.0


def test_a_shared_tensor_is_measured_once(branches):
    profile = measure_noise(branches.graph, branches.calibration, branches.samples)
    names = [row.tensor for row in profile.tensors]
    assert len(names) == len(set(names))
    assert set(names) == set(branches.graph.boundary_tensors())
    assert {row.unit for row in profile.units} == {u.name for u in branches.graph.units if u.quantizable}


def test_a_unit_without_weights_adds_no_noise_of_its_own(branches):
    profile = measure_noise(branches.graph, branches.calibration, branches.samples)
    pool = next(u for u in branches.graph.units if u.op_types == ("MaxPool",))
    assert next(row.power for row in profile.units if row.unit == pool.name) == 0


def test_a_scalar_constant_is_rounded_like_any_weight(tmp_path):
    text = """
    <ir_version: 8, opset_import: ["" : 17]>
    g (float[1, 3, 4, 4] x) => (float[1, 3, 4, 4] y)
    <float[3, 3, 1, 1] w, float s = {0.3}>
    { c = Conv <kernel_shape = [1, 1]> (x, w)
      r = Sigmoid (c)
      y = Mul (r, s) }
    """
    prepared = Prepared(models.with_weights(text), tmp_path, "scalar")
    unit = next(u for u in prepared.graph.units if "Mul" in u.op_types)
    assert unit.quantizable
    profile = measure_noise(prepared.graph, prepared.calibration, prepared.samples)
    powers = {row.unit: row.power for row in profile.units}
    assert 0 <= powers[unit.name] < 1e-4
