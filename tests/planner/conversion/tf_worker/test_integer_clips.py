import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import parser
from onnx.reference import ReferenceEvaluator

from planner.conversion.tf_worker.integer_clips import clip_integers


def activated(
    activation: str, scale: float, zero: int, kind: str = "uint8", more: str = ""
) -> onnx.ModelProto:
    """Return a model with an activation between an Add and a quantizer."""
    model = parser.parse_model(
        f"""<ir_version: 8, opset_import: ["" : 19]>
        g (float[1,64] x) => (float[1,64] y)
        <float[1] one = {{1.0}}, float low = {{-0.5}}, float high = {{6.0}},
         float s = {{{scale!r}}}, {kind} z = {{{zero}}}>
        {{ a = Add(x, one)  r = {activation}  q = QuantizeLinear(r, s, z)  d = DequantizeLinear(q, s, z)
           y = Mul(d, one) {more} }}"""
    )
    for place, node in enumerate(model.graph.node):
        node.name = f"{node.op_type}{place}"
    return model


def answer(model: onnx.ModelProto, rows: np.ndarray) -> np.ndarray:
    onnx.checker.check_model(model)
    return ReferenceEvaluator(model).run(None, {"x": rows})[0]


@given(
    activation=st.sampled_from(["Relu(a)", "Clip(a, low, high)", "Clip(a, , high)"]),
    scale=st.floats(2.0**-9, 0.25, width=32),
    zero=st.integers(0, 255),
    seed=st.integers(0, 1000),
)
def test_clipping_integers_gives_the_same_numbers(activation, scale, zero, seed):
    rows = np.random.default_rng(seed).uniform(-12, 12, (1, 64)).astype(np.float32)
    model = activated(activation, scale, zero)
    before = answer(model, rows)
    clip_integers(model)
    np.testing.assert_array_equal(answer(model, rows), before)
    types = [node.op_type for node in model.graph.node]
    assert types[:2] == ["Add", "QuantizeLinear"]
    assert types[2] in ("Clip", "DequantizeLinear")


def test_what_the_range_clips_anyway_goes():
    model = activated("Relu(a)", 0.02, 0)
    clip_integers(model)
    assert [node.op_type for node in model.graph.node] == ["Add", "QuantizeLinear", "DequantizeLinear", "Mul"]


def test_signed_integers_are_clipped_too():
    rows = np.linspace(-4, 4, 64, dtype=np.float32)[None]
    model = activated("Relu(a)", 0.05, -20, "int8")
    before = answer(model, rows)
    clip_integers(model)
    np.testing.assert_array_equal(answer(model, rows), before)


@pytest.mark.parametrize(
    ("activation", "more"), [("Sigmoid(a)", ""), ("Relu(a)", "e = Neg(r)"), ("Clip(a, x0)", "")]
)
def test_others_stay_where_they_are(activation, more):
    model = activated(activation, 0.02, 7, more=more)
    if "x0" in activation:
        model.graph.input.append(onnx.helper.make_tensor_value_info("x0", onnx.TensorProto.FLOAT, []))
    before = model.SerializeToString()
    clip_integers(model)
    assert model.SerializeToString() == before
