import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import numpy_helper, parser
from onnx.reference import ReferenceEvaluator

from planner.conversion.tf_worker.qat_weights import integer_values, restore_integers

SCALES = st.floats(2.0**-12, 4.0, width=32)


@given(
    seed=st.integers(0, 10_000),
    scales=st.lists(SCALES, min_size=1, max_size=5),
    most=st.integers(1, 127),
    axis=st.sampled_from([0, 1, -1]),
)
def test_whole_multiples_of_a_step_are_read_off_exactly(seed, scales, most, axis):
    rng = np.random.default_rng(seed)
    shape = [3, 4, 2]
    shape[axis] = len(scales)
    steps = np.array(scales, np.float32)
    numbers = rng.integers(-most, most + 1, shape)
    along = [1, 1, 1]
    along[axis] = -1
    values = (numbers * steps.reshape(along)).astype(np.float32)
    found = integer_values(values, axis)
    assert found is not None
    integers, read = found
    again = integers.astype(np.float32) * (read.reshape(along) if read.ndim else read)
    np.testing.assert_allclose(again, values, rtol=2e-6, atol=0)
    assert np.abs(integers.astype(int)).max(initial=0) <= 127


def test_weights_on_no_grid_stay():
    values = np.random.default_rng(0).normal(size=(8, 3, 3, 3)).astype(np.float32)
    assert integer_values(values, 0) is None


def test_one_scale_serves_a_whole_tensor_if_it_can():
    values = np.arange(-12, 12, dtype=np.float32).reshape(4, 6) * np.float32(0.01)
    found = integer_values(values, 0)
    assert found is not None
    assert found[1].shape == ()


def test_a_channel_of_zeros_lies_on_any_grid():
    values = np.zeros((2, 3), np.float32)
    values[0] = [0.5, -0.25, 0.125]
    found = integer_values(values, 0)
    assert found is not None
    assert not found[0][1].any()


@pytest.mark.parametrize(
    ("op", "axis"), [("Gemm(q, w)", 1), ("Gemm <transB = 1> (q, w)", 0), ("MatMul(q, w)", 1)]
)
def test_the_model_answers_as_before(op, axis):
    model = aware(op)
    steps = np.array([0.01, 0.003, 0.2, 0.05], np.float32)
    numbers = np.random.default_rng(0).integers(-127, 128, (4, 4))
    weight = (numbers * (steps[:, None] if axis == 0 else steps)).astype(np.float32)
    model.graph.initializer.append(numpy_helper.from_array(weight, "w"))
    rows = np.random.default_rng(1).normal(size=(1, 4)).astype(np.float32)
    before = ReferenceEvaluator(model).run(None, {"x": rows})[0]
    restore_integers(model)
    onnx.checker.check_model(model)
    after = ReferenceEvaluator(model).run(None, {"x": rows})[0]
    np.testing.assert_allclose(after, before, rtol=1e-5)
    (integers,) = [init for init in model.graph.initializer if init.name == "w/integers"]
    np.testing.assert_array_equal(numpy_helper.to_array(integers), numbers)
    assert "w" not in [init.name for init in model.graph.initializer]


def test_a_model_without_quantizers_is_left_alone():
    model = parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 19]> g (float[1,4] x) => (float[1,4] y) { y = MatMul(x, w) }'
    )
    model.graph.initializer.append(numpy_helper.from_array(np.eye(4, dtype=np.float32), "w"))
    before = model.SerializeToString()
    restore_integers(model)
    assert model.SerializeToString() == before


def aware(op: str) -> onnx.ModelProto:
    return parser.parse_model(
        f"""<ir_version: 8, opset_import: ["" : 19]>
        g (float[1,4] x) => (float[1,4] y)
        <float s = {{0.05}}, uint8 z = {{128}}>
        {{ i = QuantizeLinear(x, s, z)  q = DequantizeLinear(i, s, z)  y = {op} }}"""
    )
