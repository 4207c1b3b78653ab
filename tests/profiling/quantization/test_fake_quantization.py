"""Rounding in float gives what the runtime's QuantizeLinear and DequantizeLinear give."""

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from onnx import TensorProto, helper, numpy_helper
from text_models import make, weight

from profiling.on_device.create_session import Optimization
from profiling.onnx_io.external_weights import delete_files, is_large, read_array, write_external
from profiling.precision import Precision
from profiling.quantization.fake_quantization import (
    TensorRounding,
    WeightRounding,
    tensor_roundings,
    weight_roundings,
    with_rounded,
)
from profiling.quantization.qdq_model import INT8, Scheme, quantize
from profiling.runtime.open_session import Runtime, open_session, run_session

_TYPES = {"uint8": np.uint8, "int8": np.int8, "uint16": np.uint16, "int16": np.int16}
_LENGTH = 24


def pair_session(elem_type: type):
    """Return a session of Q and DQ whose scale and zero point are fed."""
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(elem_type))
    ends = [("x", TensorProto.FLOAT, [_LENGTH]), ("s", TensorProto.FLOAT, []), ("z", kind, [])]
    graph = helper.make_graph(
        [helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
         helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"])],
        "g",
        [helper.make_tensor_value_info(*end) for end in ends],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [_LENGTH])],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    return open_session(model, Runtime(), Optimization.NONE)


SESSIONS = {name: pair_session(elem_type) for name, elem_type in _TYPES.items()}


def rounding(scale: np.float32, zero_point: np.integer) -> TensorRounding:
    return TensorRounding("t", *(numpy_helper.from_array(np.asarray(v), "c") for v in (scale, zero_point)))


@given(
    arrays.arrays(np.float32, _LENGTH, elements=st.floats(-300, 300, width=32)),
    st.floats(2**-12, 4.0, width=32),
    st.sampled_from(sorted(_TYPES)),
    st.floats(0, 1),
)
def test_a_tensor_is_rounded_bit_for_bit_as_the_runtime_does(exact, scale, name, share):
    limits = np.iinfo(_TYPES[name])
    zero_point = _TYPES[name](round(limits.min + share * (limits.max - limits.min)))
    feeds = {"x": exact, "s": np.float32(scale), "z": zero_point}
    expected = run_session(SESSIONS[name], {key: np.asarray(value) for key, value in feeds.items()})["y"]
    assert rounding(np.float32(scale), zero_point).rounded(exact).tobytes() == expected.tobytes()


@given(st.integers(-200, 200))
def test_halves_go_to_the_even_step(step):
    (value,) = rounding(np.float32(2.0), np.int16(0)).rounded(np.float32([2 * step + 1]))
    assert value == 2 * (step + step % 2)


def dequantized(rows: np.ndarray, scale: np.ndarray, zero_point: np.ndarray, axis: int) -> np.ndarray:
    model = make(
        f"(float[1] x) => (float[a, b] y) {{ y = DequantizeLinear <axis = {axis}> (i, s, z) }}",
        {"i": rows, "s": scale, "z": zero_point},
    )
    return run_session(open_session(model, Runtime(), Optimization.NONE), {"x": np.zeros(1, np.float32)})["y"]


def int8_weight(size: tuple[int, int], axis: int | None) -> list[np.ndarray]:
    """Return integers, scales and zero points."""
    rng = np.random.default_rng(0)
    shape = () if axis is None else (size[axis],)
    integers = rng.integers(-127, 128, size, dtype=np.int8)
    return [integers, np.float32(rng.uniform(1e-4, 1e-2, shape)), np.int8(rng.integers(-9, 10, shape))]


@pytest.mark.parametrize("axis", [0, 1, None])
def test_a_weight_becomes_float_bit_for_bit_as_the_runtime_does(axis):
    arrays_ = int8_weight((6, 5), axis)
    tensors = [numpy_helper.from_array(np.asarray(array), "c") for array in arrays_]
    result = WeightRounding(*tensors, 1 if axis is None else axis).rounded("w")
    assert read_array(result).tobytes() == dequantized(*map(np.asarray, arrays_), axis or 0).tobytes()


def test_a_large_weight_becomes_float_block_by_block():
    integers, scale, zero_point = int8_weight((4300, 1000), 0)
    integers = integers.astype(np.int32)  # wide, so that not so many are more than one block
    tensors = [numpy_helper.from_array(array, "c") for array in (integers, scale, zero_point)]
    large = write_external(integers.shape, TensorProto.INT32, [integers]).reference("c")
    result = WeightRounding(large, *tensors[1:], 0).rounded("w")
    assert is_large(result)
    expected = WeightRounding(*tensors, 0).rounded("w")
    assert (read_array(result) == read_array(expected)).all()
    delete_files([large, result])


@pytest.mark.parametrize("scheme", [INT8, Scheme(symmetric=True), Scheme(precision=Precision.INT16)])
def test_a_model_with_everything_rounded_is_the_quantized_one_in_float(residual, scheme):
    model, ranges = residual.graph.model, residual.calibration.ranges
    quantized = quantize(model, dict.fromkeys(residual.graph.quantizable_nodes, scheme), ranges)
    weights = {name: rounding.rounded(name) for name, rounding in weight_roundings(quantized).items()}
    assert {"w1", "w2", "w3", "w4"} <= weights.keys()
    rounded = with_rounded(model, list(tensor_roundings(quantized).values()), weights)
    onnx.checker.check_model(rounded)
    # Without optimization the runtime computes the quantized model in float, too. A Relu that it does without
    # is in the quantizer's least value, so that only the order of sums differs.
    for feeds in residual.samples[:4]:
        expected, actual = (
            run_session(open_session(m, Runtime(), Optimization.NONE), feeds)["y"]
            for m in (quantized, rounded)
        )
        np.testing.assert_allclose(actual, expected, atol=0.02 * np.abs(expected).max())


def test_an_output_that_is_rounded_keeps_its_name_and_other_readers_see_it_rounded():
    source = make("(float[4] x) => (float[4] h, float[4] y) { h = Relu (x) y = Neg (h) }", {})
    result = with_rounded(source, [TensorRounding("h", *_constants(0.25, np.uint8(0)))], {})
    feeds = {"x": np.float32([-1.0, 0.3, 0.4, 99.0])}
    outputs = run_session(open_session(result, Runtime()), feeds)
    assert outputs["h"].tolist() == [0, 0.25, 0.5, 63.75]
    assert outputs["y"].tolist() == [0, -0.25, -0.5, -63.75]


def test_an_input_is_rounded_for_all_its_readers():
    source = make("(float[4] x) => (float[4] y) { h = Neg (x) y = Add (h, x) }", {})
    result = with_rounded(source, [TensorRounding("x", *_constants(0.25, np.int16(0)))], {})
    onnx.checker.check_model(result)
    assert sum("x" in node.input for node in result.graph.node) == 1
    x = np.array([0.3, -0.9, 1e6, -1e6], np.float32)
    rounded = np.array([0.25, -1.0, 0.25 * 32767, 0.25 * -32768], np.float32)
    assert np.array_equal(run_session(open_session(result, Runtime()), {"x": x})["y"], rounded - rounded)


def test_the_runtime_computes_in_float_between_rounded_tensors():
    """Between two QuantizeLinear it would quantize the weights, too, on one scale for both rows."""
    weights = np.array([[[[1000.0]]], [[[0.0123]]]], np.float32)
    source = make("(float[1, 1, 2, 2] x) => (float[1, 2, 2, 2] y) { y = Conv (x, w) }", {"w": weights})
    x = np.array([[[[0.1, 0.9], [0.5, -0.3]]]], np.float32)
    rounding = TensorRounding("x", *_constants(0.01, np.uint8(100)))
    fine = TensorRounding("y", *_constants(1e-4, np.int16(0)))
    result = open_session(with_rounded(source, [rounding, fine], {}), Runtime())
    second = run_session(result, {"x": x})["y"][0, 1]
    np.testing.assert_allclose(second, fine.rounded(weights[1, 0] * rounding.rounded(x)[0, 0]), atol=1e-4)
    assert np.abs(second).min() > 1e-3


def _constants(scale: float, zero_point: np.integer):
    return (
        numpy_helper.from_array(np.float32(scale), "s"),
        numpy_helper.from_array(np.asarray(zero_point), "z"),
    )


def test_the_model_is_left_alone():
    source = make("(float[4, 4] x) => (float[4, 4] y) { y = MatMul (x, w) }", {"w": weight(4, 4)})
    before = source.SerializeToString(deterministic=True)
    zeros = numpy_helper.from_array(np.zeros((4, 4), np.float32), "w")
    changed = with_rounded(source, [TensorRounding("y", *_constants(0.25, np.uint8(0)))], {"w": zeros})
    assert source.SerializeToString(deterministic=True) == before
    assert not read_array(changed.graph.initializer[0]).any()
