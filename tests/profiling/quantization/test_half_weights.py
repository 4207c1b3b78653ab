import numpy as np
import onnx
import pytest
import text_models
from onnx import numpy_helper

from profiling.on_device.create_session import Optimization
from profiling.onnx_io.external_weights import externalize, is_large, read_array
from profiling.quantization.half_weights import HalfWeights
from profiling.quantization.node_form import unit_obstacle, with_forms, with_forms_in_float
from profiling.runtime.open_session import Runtime, Trace, open_session, run_session

TEXTS = {
    "MatMul": ("(float[1, 3, 8] x) => (float[1, 3, 5] y) { y = MatMul (x, w) }", (8, 5)),
    "Gemm": ("(float[3, 8] x) => (float[3, 5] y) { y = Gemm <transB = 1, alpha = 2.0> (x, w) }", (5, 8)),
    "Conv": ("(float[1, 2, 9] x) => (float[1, 3, 7] y) { y = Conv (x, w) }", (3, 2, 3)),
    "Depthwise": ("(float[1, 2, 9] x) => (float[1, 2, 7] y) { y = Conv <group = 2> (x, w) }", (2, 1, 3)),
}
FORM = HalfWeights()


def model_of(kind: str) -> onnx.ModelProto:
    text, shape = TEXTS[kind]
    model = text_models.make(text, {"w": text_models.weight(*shape)})
    model.graph.node[0].name = "node"
    return model


@pytest.mark.parametrize("kind", sorted(TEXTS))
@pytest.mark.parametrize("level", [Optimization.BASIC, Optimization.DEFAULT])
def test_numbers_are_those_of_rounded_weights_to_the_bit(kind, level):
    model = model_of(kind)
    half, rounded = (how(model, {"node": FORM}) for how in (with_forms, with_forms_in_float))
    onnx.checker.check_model(half)
    (feeds,) = text_models.samples_of(model, 1)
    got, want = (run_session(open_session(m, Runtime(), level), feeds)["y"] for m in (half, rounded))
    np.testing.assert_array_equal(got, want)
    (weight,) = (numpy_helper.to_array(init) for init in rounded.graph.initializer)
    np.testing.assert_array_equal(weight, weight.astype(np.float16).astype(np.float32))
    exact = run_session(open_session(model, Runtime(), level), feeds)["y"]
    assert 0 < np.abs(got - exact).max() < 0.01


def test_the_file_has_half_the_bytes_and_the_session_none_but_floats(tmp_path):
    model = model_of("Conv")
    half = with_forms(model, {"node": FORM})
    (weight,) = (numpy_helper.to_array(init) for init in half.graph.initializer)
    constants = {init.name: init for init in model.graph.initializer}
    assert FORM.weight_bytes(model.graph.node[0], constants) == {"w": 2 * weight.nbytes}
    open_session(half, Runtime(), Optimization.BASIC, Trace(optimized_model=tmp_path / "m.onnx"))
    optimized = onnx.load(tmp_path / "m.onnx").graph
    assert [node.op_type for node in optimized.node] == ["Conv"]
    assert [init.data_type for init in optimized.initializer] == [onnx.TensorProto.FLOAT]


def test_what_is_beyond_float16_stays():
    model = model_of("MatMul")
    weight = model.graph.initializer[0]
    for value, why in ((1e5, "beyond those of float16"), (np.inf, "holds infinity")):
        values = numpy_helper.to_array(weight).copy()
        values[0, 0] = value
        weight.CopyFrom(numpy_helper.from_array(values, "w"))
        assert why in unit_obstacle(FORM, [model.graph.node[0]], {"w": weight})


@pytest.mark.parametrize(("most", "is_taken"), [(0.0, True), (1e-30, False), (6e-5, False), (7e-5, True)])
def test_what_float16_has_no_digits_for_stays(most, is_taken):
    model = model_of("MatMul")
    weight = model.graph.initializer[0]
    values = numpy_helper.to_array(weight)
    weight.CopyFrom(numpy_helper.from_array(most * values / np.abs(values).max(), "w"))
    reason = unit_obstacle(FORM, [model.graph.node[0]], {"w": weight})
    assert reason == ("" if is_taken else "the weight 'w' is too small for float16")


def test_a_large_weight_has_its_halves_outside_and_the_same_numbers():
    text = "(float[3, 1024] x) => (float[3, 512] y) { y = MatMul (x, w) }"
    model = text_models.make(text, {"w": text_models.weight(1024, 512)})
    model.graph.node[0].name = "node"
    large = onnx.ModelProto()
    large.CopyFrom(model)
    externalize(large)
    inside, outside = (with_forms(m, {"node": FORM}).graph.initializer[0] for m in (model, large))
    assert is_large(outside)
    np.testing.assert_array_equal(read_array(inside), read_array(outside))
