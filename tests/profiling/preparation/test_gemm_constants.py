"""A Gemm's factors and bias fold into constants, and its numbers stay."""

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from text_models import make, samples_of, weight

from profiling.on_device.create_session import Optimization
from profiling.onnx_io.external_weights import externalize
from profiling.preparation.gemm_constants import simplify_gemms
from profiling.runtime.open_session import Runtime, open_session, run_session


def simplified(model: onnx.ModelProto) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for node in copy.graph.node:
        node.name = node.output[0]
    simplify_gemms(copy.graph)
    onnx.checker.check_model(copy)
    return copy


def outputs(model: onnx.ModelProto, feeds) -> np.ndarray:
    return run_session(open_session(model, Runtime(), Optimization.NONE), feeds)["y"]


def gemms(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    return [node for node in model.graph.node if node.op_type == "Gemm"]


@given(
    st.sampled_from([0.0, 0.5, 1.0, -3.0]),
    st.sampled_from([0.0, 0.5, 1.0, -3.0]),
    st.booleans(),
    st.sampled_from([(), (1,), (5,), (1, 1), (1, 5), (4, 1), (4, 5), None]),
)
def test_any_gemm_of_constants_keeps_its_numbers_without_factors(alpha, beta, turned, shape):
    constants = {"w": weight(5, 6) if turned else weight(6, 5)}
    constants |= {} if shape is None else {"b": weight(*shape)}
    text = (
        f"(float[4, 6] x) => (float[4, 5] y) {{ y = Gemm <alpha = {alpha:f}, beta = {beta:f}, "
        f"transB = {int(turned)}> (x, w{', b' if 'b' in constants else ''}) }}"
    )
    source = make(text, constants)
    result = simplified(source)
    (gemm,) = gemms(result)
    assert {a.name for a in gemm.attribute} <= {"transB"} | ({"alpha"} if alpha == 1 else set())
    dims = {init.name: tuple(init.dims) for init in result.graph.initializer}
    assert [dims[name] for name in gemm.input[2:]] in ([], [(5,)])
    (feeds,) = samples_of(source, 1)
    np.testing.assert_allclose(outputs(result, feeds), outputs(source, feeds), rtol=1e-5, atol=1e-5)


def test_a_gemm_without_factors_and_with_a_vector_stays_as_it_is():
    text = "(float[4, 6] x) => (float[4, 5] y) { y = Gemm (x, w, b) }"
    source = make(text, {"w": weight(6, 5), "b": weight(5)})
    result = simplified(source)
    assert result.graph.initializer == source.graph.initializer
    assert list(gemms(result)[0].input) == ["x", "w", "b"]


def test_other_readers_of_a_constant_read_what_they_read_before():
    text = """(float[4, 6] x) => (float[4, 5] y) {
        g = Gemm <alpha = 2.0, beta = 3.0> (x, w, b)
        p = MatMul (x, w)
        s = Add (p, b)
        y = Add (g, s)
    }"""
    source = make(text, {"w": weight(6, 5), "b": weight(5)})
    (feeds,) = samples_of(source, 1)
    np.testing.assert_allclose(
        outputs(simplified(source), feeds), outputs(source, feeds), rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize("computed", ["w", "b"])
def test_what_is_computed_at_run_time_keeps_its_factor(computed):
    text = f"""(float[4, 6] x) => (float[4, 5] y) {{
        {computed} = Neg (k)
        y = Gemm <alpha = 2.0, beta = 3.0> (x, w, b)
    }}"""
    constants = {"w": weight(6, 5), "b": weight(5)}
    constants["k"] = constants.pop(computed)
    source = make(text, constants)
    result = simplified(source)
    kept = {a.name for a in gemms(result)[0].attribute}
    assert {"w": "alpha", "b": "beta"}[computed] in kept
    (feeds,) = samples_of(source, 1)
    np.testing.assert_allclose(outputs(result, feeds), outputs(source, feeds), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("shape", [(1,), (5,), (4, 1), (4, 5)])
@pytest.mark.parametrize("alpha", [1.0, 2.0])
def test_what_is_computed_is_added_to_a_product_with_a_constant_matrix(shape, alpha):
    constants = {"w": weight(6, 5), "k": weight(*shape)}
    text = f"(float[4, 6] x) => (float[4, 5] y) {{ b = Neg (k) y = Gemm <alpha = {alpha:f}> (x, w, b) }}"
    source = make(text, constants)
    result = simplified(source)
    assert [node.op_type for node in result.graph.node] == ["Neg", "Gemm", "Add"]
    assert len(gemms(result)[0].input) == 2
    (feeds,) = samples_of(source, 1)
    np.testing.assert_allclose(outputs(result, feeds), outputs(source, feeds), rtol=1e-5, atol=1e-5)
    # With a computed matrix nothing is won.
    text = "(float[4, 6] x, float[6, 5] w, float[4, 5] b) => (float[4, 5] y) { y = Gemm (x, w, b) }"
    assert list(gemms(simplified(make(text, {})))[0].input) == ["x", "w", "b"]


def test_a_weight_that_lies_outside_the_model_keeps_its_factor():
    text = "(float[1, 512] x) => (float[1, 600] y) { y = Gemm <alpha = 2.0> (x, w) }"
    source = make(text, {"w": weight(512, 600)})
    externalize(source)
    copy = onnx.ModelProto()
    copy.CopyFrom(source)
    simplify_gemms(copy.graph)
    assert copy.graph.initializer == source.graph.initializer
    assert [a.f for a in copy.graph.node[0].attribute] == [2.0]
