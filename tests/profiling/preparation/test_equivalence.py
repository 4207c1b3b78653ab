"""Two models agree if another order of sums explains their difference, else the first tensor is named."""

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from text_models import make, samples_of

from profiling.errors import ModelError
from profiling.on_device.create_session import Optimization
from profiling.preparation.equivalence import Reference, first_difference, relative_deviation
from profiling.runtime.open_session import Runtime, open_session, run_session

_TEXT = "(float[4, 6] x) => (float[4, 5] y) { h = MatMul (x, w) r = Relu (h) y = MatMul (r, v) }"
_FLOATS = arrays.arrays(
    np.float32,
    st.integers(1, 8),
    elements=st.floats(width=32, allow_subnormal=False, min_value=-(2**40), max_value=2**40),
)


def reference_of(model: onnx.ModelProto, count: int = 3) -> Reference:
    samples = samples_of(model, count)
    session = open_session(model, Runtime(), Optimization.BASIC)
    return Reference(model, tuple(samples), tuple(run_session(session, feeds) for feeds in samples))


def network(scale_w: float = 1.0, scale_v: float = 1.0, text: str = _TEXT) -> onnx.ModelProto:
    rng = np.random.default_rng(5)
    w, v = rng.normal(size=(6, 7)), rng.normal(size=(7, 5))
    return make(text, {"w": np.float32(scale_w * w), "v": np.float32(scale_v * v)})


@given(_FLOATS, st.floats(0.25, 4.0))
def test_the_deviation_of_a_scaled_tensor_is_the_change_of_its_scale(expected, factor):
    expected = expected.astype(np.float64)
    deviation = relative_deviation(expected * factor, expected)
    assert deviation == pytest.approx(abs(factor - 1) if expected.any() else 0.0, rel=1e-9, abs=1e-9)


@given(_FLOATS)
def test_a_tensor_agrees_with_itself_whatever_is_not_finite(values):
    values[0] = np.nan
    values[-1] = np.inf
    assert relative_deviation(values, values) == 0
    assert relative_deviation(np.nan_to_num(values), values) == np.inf


def test_a_model_agrees_with_itself():
    assert first_difference(reference_of(network()), network()) == ""


def test_what_rounding_explains_is_no_difference():
    assert first_difference(reference_of(network()), network(1 + 1e-4)) == ""


def test_the_first_tensor_that_differs_is_named_with_its_deviation():
    assert first_difference(reference_of(network()), network(scale_w=1.25)).startswith("'h' differs by 0.25 ")
    assert first_difference(reference_of(network()), network(scale_v=1.25)).startswith("'y' differs by 0.25 ")


def test_an_output_alone_is_named_where_the_models_have_no_other_tensor_in_common():
    other = network(scale_w=1.25, text=_TEXT.replace("h", "k").replace("r =", "s =").replace("(r,", "(s,"))
    assert first_difference(reference_of(network()), other).startswith("'y' differs by ")


def test_a_difference_inside_that_no_output_shows_counts_for_nothing():
    text = "(float[4] x) => (float[4] y) { h = Mul (x, c) y = Sign (h) }"
    one, two = (make(text, {"c": np.float32([c])}) for c in (1, 3))
    assert first_difference(reference_of(one), two) == ""


def test_another_shape_is_a_difference():
    text = "(float[4, 6] x) => (float[a, b] y) {{ y = Transpose <perm = [{}]> (x) }}"
    straight, turned = (make(text.format(order), {}) for order in ("0, 1", "1, 0"))
    assert first_difference(reference_of(straight), turned) == "'y' has shape [6, 4] instead of [4, 6]"


def test_integers_may_differ_in_a_thousandth_of_their_places():
    text = "(int64[4000] x) => (int64[4000] y) { y = Add (x, d) }"

    def shifted(places: int) -> onnx.ModelProto:
        return make(text, {"d": (np.arange(4000) < places).astype(np.int64)})

    assert first_difference(reference_of(shifted(0)), shifted(4)) == ""
    assert first_difference(reference_of(shifted(0)), shifted(5)) == "'y' differs in 0.00125 of its elements"


@pytest.mark.parametrize(("factor", "agrees"), [(1.03, True), (1.2, False)])
def test_steps_of_a_quantizer_may_differ_by_more(factor, agrees):
    text = (
        "(float[4, 6] x) => (float[4, 6] y) "
        "{ q = QuantizeLinear (x, s, z) d = DequantizeLinear (q, s, z) y = Mul (d, k) }"
    )

    def scaled(by: float) -> onnx.ModelProto:
        return make(text, {"s": np.float32(0.05), "z": np.int8(0), "k": np.float32(by)})

    assert (first_difference(reference_of(scaled(1.0)), scaled(factor)) == "") == agrees
    plain = "(float[4, 6] x) => (float[4, 6] y) { y = Mul (x, k) }"
    one, other = (make(plain, {"k": np.float32(by)}) for by in (1.0, factor))
    assert first_difference(reference_of(one), other) != ""


def test_a_rewritten_model_that_does_not_load_is_an_error_even_without_samples():
    broken = network()
    broken.graph.node[0].op_type = "NoSuchOperator"
    with pytest.raises(ModelError, match="NoSuchOperator"):
        first_difference(Reference(network(), (), ()), broken)
