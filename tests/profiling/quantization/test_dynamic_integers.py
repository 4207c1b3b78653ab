import numpy as np
import onnx
import pytest
import text_models
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import numpy_helper

from profiling.on_device.create_session import Optimization
from profiling.onnx_io.external_weights import externalize, is_large, read_array
from profiling.quantization.dynamic_integers import DynamicIntegers
from profiling.quantization.node_form import with_forms, with_forms_in_float
from profiling.runtime.open_session import Runtime, Trace, open_session, run_session

TEXTS = {
    "MatMul": "(float[1, 3, K] x) => (float[1, 3, N] y) { y = MatMul (x, w) }",
    "Gemm": "(float[3, K] x) => (float[3, N] y) { y = Gemm <transB = 1> (x, w, b) }",
    "no bias": "(float[3, K] x) => (float[3, N] y) { y = Gemm (x, w) }",
}


def product(kind: str, rows: int, columns: int) -> onnx.ModelProto:
    transposed = kind == "Gemm"
    shape = (columns, rows) if transposed else (rows, columns)
    weights = {"w": text_models.weight(*shape)} | ({"b": text_models.weight(columns)} if transposed else {})
    text = TEXTS[kind].replace("K", str(rows)).replace("N", str(columns))
    model = text_models.make(text, weights)
    model.graph.node[0].name = "dense"
    return model


def expected(model: onnx.ModelProto, kind: str, x: np.ndarray, half: float) -> np.ndarray:
    """Return the product as whole numbers have it, in float64."""
    constants = {init.name: numpy_helper.to_array(init) for init in model.graph.initializer}
    weight = constants["w"].T if kind == "Gemm" else constants["w"]
    steps = np.float64(np.float32(np.abs(weight).max(axis=0) / half))
    integers = np.rint(weight / np.float32(steps))
    low, high = min(x.min(), np.float32(0)), max(x.max(), np.float32(0))
    step = np.float32((high - low) / np.float32(255)) or np.float32(1)
    zero = np.clip(np.rint(-low / step), 0, 255)
    read = np.clip(np.rint(x / step) + zero, 0, 255) - zero
    return (read @ integers) * np.float64(step) * steps + constants.get("b", 0.0)


@settings(max_examples=40, deadline=None)
@given(
    kind=st.sampled_from(sorted(TEXTS)),
    rows=st.integers(1, 40),
    columns=st.integers(1, 9),
    reduced=st.booleans(),
    level=st.sampled_from([Optimization.BASIC, Optimization.DEFAULT]),
    shift=st.sampled_from([0.0, 3.0, -3.0]),
)
def test_the_runtime_computes_what_whole_numbers_give(kind, rows, columns, reduced, level, shift):
    model, form = product(kind, rows, columns), DynamicIntegers(reduced)
    shape = (1, 3, rows) if kind == "MatMul" else (3, rows)
    x = np.float32(np.random.default_rng(0).normal(size=shape) + shift)
    want = expected(model, kind, x, 64 if reduced else 127)
    # A number that lies between two steps may fall to either side.
    slack = 2 * np.abs(x).max() * np.abs(numpy_helper.to_array(model.graph.initializer[0])).max() / 100
    for changed in (with_forms, with_forms_in_float):
        quantized = changed(model, {"dense": form})
        onnx.checker.check_model(quantized)
        y = run_session(open_session(quantized, Runtime(), level), {"x": x})["y"]
        np.testing.assert_allclose(y, want, rtol=1e-4, atol=slack)
        assert quantized.graph.node[-1].name == "dense"


@pytest.mark.parametrize("kind", sorted(TEXTS))
def test_weights_are_within_half_a_step_and_take_the_bytes_that_are_counted(kind):
    model = product(kind, 30, 7)
    plain = {init.name: init for init in model.graph.initializer}
    for reduced, most in ((False, 127), (True, 64)):
        form = DynamicIntegers(reduced)
        quantized = with_forms(model, {"dense": form})
        constants = {init.name: numpy_helper.to_array(init) for init in quantized.graph.initializer}
        integers, steps = constants["w_int8"], constants["w_scales"]
        assert np.abs(integers.astype(int)).max(axis=0).tolist() == [most] * 7
        weight = numpy_helper.to_array(plain["w"])
        exact = weight.T if kind == "Gemm" else weight
        assert (np.abs(integers * steps - exact) <= steps * 0.501).all()
        counted = form.weight_bytes(model.graph.node[0], plain)
        assert counted == {"w": integers.nbytes + steps.nbytes}
        assert set(constants) == {"w_int8", "w_scales"} | (plain.keys() - {"w"})


@pytest.mark.parametrize("kind", ["MatMul", "Gemm"])
def test_the_runtime_fuses_them_into_one_kernel(kind, tmp_path):
    quantized = with_forms(product(kind, 32, 16), {"dense": DynamicIntegers()})
    open_session(quantized, Runtime(), trace=Trace(optimized_model=tmp_path / "m.onnx"))
    kernels = [node.op_type for node in onnx.load(tmp_path / "m.onnx").graph.node]
    assert kernels == ["DynamicQuantizeMatMul"]


def test_a_convolution_stays():
    text = "(float[1, 2, 4] x) => (float[1, 3, 2] y) { y = Conv (x, w) }"
    model = text_models.make(text, {"w": text_models.weight(3, 2, 3)})
    model.graph.node[0].name = "conv"
    assert with_forms(model, {"conv": DynamicIntegers()}) == model


def test_a_large_weight_has_its_integers_outside_and_the_same_numbers():
    model, form = product("Gemm", 1024, 512), DynamicIntegers()
    large = onnx.ModelProto()
    large.CopyFrom(model)
    externalize(large)
    inside, outside = (with_forms(m, {"dense": form}) for m in (model, large))
    for one, other in zip(inside.graph.initializer, outside.graph.initializer, strict=True):
        np.testing.assert_array_equal(read_array(one), read_array(other))
    assert any(is_large(init) for init in outside.graph.initializer)
