import numpy as np
import pytest

pytest.importorskip("ai_edge_litert", reason="the extra litert is not installed")

from ai_edge_litert import schema_py_generated as schema
from tflite_models import OPS, TYPES, Model

from planner.conversion.tflite_answers import tflite_answers


def quantized(scale: float, zero_point: int) -> schema.QuantizationParametersT:
    return schema.QuantizationParametersT(scale=[scale], zeroPoint=[zero_point])


@pytest.mark.parametrize(("kind", "zero_point"), [(TYPES.INT8, -28), (TYPES.UINT8, 100)])
def test_floats_are_rounded_going_in_and_integers_scaled_coming_out(tmp_path, kind, zero_point):
    model = Model()
    fed = model.input("x", (1, 4), kind, quantization=quantized(0.5, zero_point))
    given = model.tensor("y", (1, 4), None, kind, quantization=quantized(0.5, zero_point))
    model.op(OPS.RELU, [fed], [given])
    path = tmp_path / "net.tflite"
    path.write_bytes(model.give(given).sign({"in": fed}, {"out": given}).content())
    samples = [{"in": np.array([[1.0, 1.2, -3.0, 1e6]], np.float32)}]
    (answer,) = tflite_answers(path, samples)
    most = (255 - 128 if kind == TYPES.INT8 else 255) - zero_point
    np.testing.assert_array_equal(answer["out"], np.array([[1.0, 1.0, 0.0, most * 0.5]], np.float32))


def test_an_output_may_be_an_input_and_floats_stay_as_they_are(tmp_path):
    model = Model()
    fed = model.input("x", (1, 4))
    given = model.unary(OPS.RELU, fed, "y")
    path = tmp_path / "net.tflite"
    path.write_bytes(model.give(given, fed).sign({"in": fed}, {"out": given, "same": fed}).content())
    sample = np.array([[1.0, -2.0, 3.0, -4.0]], np.float32)
    (answer,) = tflite_answers(path, [{"in": sample}])
    np.testing.assert_array_equal(answer["same"], sample)
    np.testing.assert_array_equal(answer["out"], np.maximum(sample, 0))
