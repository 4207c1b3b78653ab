import numpy as np
import onnx
import pytest
from onnx import TensorProto, checker

from planner.deployment.rebuild import quantized_tensors, rebuild
from planner.errors import RebuildError
from profiling.graph.unit_graph import with_refusals
from profiling.on_device.create_session import Optimization
from profiling.precision import Precision
from profiling.quantization.qdq_model import INT8, Scheme
from profiling.runtime.open_session import Runtime, open_session, run_session


def rebuilt(prepared, mix):
    return rebuild(prepared.graph, prepared.calibration.at(mix), prepared.calibration.ranges)


def answers(model, prepared) -> np.ndarray:
    session = open_session(model, Runtime(), Optimization.BASIC)
    return np.stack([run_session(session, feeds)[prepared.graph.outputs[0]] for feeds in prepared.samples])


@pytest.mark.parametrize("name", ["residual", "branches", "digits"])
def test_the_ends_keep_their_names_types_and_shapes_and_the_checker_accepts_all(request, name):
    prepared = request.getfixturevalue(name)
    graph = prepared.graph
    able = [unit.index for unit in graph.units if unit.quantizable]
    mixed = rebuilt(prepared, dict.fromkeys(able, Precision.INT8))
    checker.check_model(mixed, full_check=True)
    assert list(mixed.graph.input) == list(graph.model.graph.input)
    assert list(mixed.graph.output) == list(graph.model.graph.output)


def test_the_float_model_stays_as_it_was(residual):
    before = residual.graph.model.SerializeToString(deterministic=True)
    rebuilt(residual, {0: Precision.INT8, 3: Precision.INT16})
    assert residual.graph.model.SerializeToString(deterministic=True) == before


def test_the_same_plan_gives_the_same_bytes(digits):
    mix = {unit.index: Precision.INT8 for unit in digits.graph.units if unit.quantizable}
    first, second = (rebuilt(digits, mix).SerializeToString(deterministic=True) for _ in range(2))
    assert first == second


def test_a_tensor_is_off_by_at_most_half_a_step_of_its_quantizer(residual):
    """The first quantizer of an int8 model, run with onnxruntime, against the float tensor it is of."""
    mixed = rebuilt(residual, {0: Precision.INT8})
    input_name = residual.graph.inputs[0]
    first = next(node for node in mixed.graph.node if node.op_type == "QuantizeLinear")
    assert first.input[0] == input_name
    known = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in mixed.graph.initializer}
    scale, zero = known[first.input[1]], known[first.input[2]]
    low, high = ((end - float(zero)) * scale for end in (0, 255))
    for feeds in residual.samples[:4]:
        value = feeds[input_name]
        steps = np.clip(np.rint(value / scale) + zero, 0, 255)
        restored = (steps - zero) * scale
        inside = (value >= low) & (value <= high)
        assert np.abs(restored - value)[inside].max() <= scale / 2 * (1 + 1e-5)
    assert zero.dtype == np.uint8


def test_more_bits_come_nearer_to_the_float_answers(residual):
    exact = answers(residual.source, residual)
    noise = {}
    for precision in (Precision.INT8, Precision.INT16):
        mixed = rebuilt(residual, dict.fromkeys(range(len(residual.graph.units)), precision))
        noise[precision] = np.linalg.norm(answers(mixed, residual) - exact) / np.linalg.norm(exact)
    assert 0 < noise[Precision.INT16] < noise[Precision.INT8] < 0.2


def test_each_unit_is_quantized_in_its_own_scheme(residual):
    """A tensor between wide units has 16 bits, one that a unit with 8 bits reads or writes has 8."""
    mixed = rebuilt(residual, {0: Precision.INT8, 1: Precision.INT16, 2: Precision.INT16})
    names = {unit: residual.graph.units[unit].outputs[0] for unit in range(3)}
    found = quantized_tensors(mixed)
    assert found[residual.graph.inputs[0]] is Precision.INT8
    assert found[names[0]] is Precision.INT8
    assert found[names[1]] is Precision.INT16
    assert found[names[2]] is Precision.INT16
    assert residual.graph.units[3].outputs[0] not in found


@pytest.mark.parametrize(("symmetric", "kind"), [(False, TensorProto.UINT8), (True, TensorProto.INT8)])
def test_a_symmetric_scheme_puts_activations_around_zero(residual, symmetric, kind):
    scheme = Scheme(symmetric=symmetric)
    mixed = rebuild(residual.graph, {0: scheme}, residual.calibration.ranges)
    zeros = {tensor.name: tensor for tensor in mixed.graph.initializer}
    points = [
        zeros[node.input[2]]
        for node in mixed.graph.node
        if node.op_type == "QuantizeLinear" and node.input[0] not in zeros
    ]
    assert points
    assert {point.data_type for point in points} == {kind}
    if symmetric:
        assert all(onnx.numpy_helper.to_array(point) == 0 for point in points)


def test_a_unit_that_cannot_be_quantized_is_not_quantized_silently(residual):
    """The tool would do it all the same."""
    graph = with_refusals(residual.graph, {Precision.INT8: {residual.graph.units[0].name: "comes out wrong"}})
    with pytest.raises(RebuildError, match="the quantization tool left the plan at tensor "):
        rebuild(graph, {0: INT8}, residual.calibration.ranges)
