"""Quantizers of 16 bits and biases of 64."""

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from planner.conversion.tf_worker.wide_integers import restate_wide

_TEXT = """
<ir_version: 8, opset_import: ["" : {opset}]>
wide (float[1, 2] x) => (float[1, 2] y)
<float step = {{0.5}}, int16 zero = {{0}}, int64[2] bias = {{40000000000, -6}},
 float[2] steps = {{0.5, 0.25}}, int64[2] zeros = {{0, 0}}>
{{
  q = QuantizeLinear(x, step, zero)
  d = DequantizeLinear(q, step, zero)
  b = DequantizeLinear<axis = 0>(bias, steps, zeros)
  y = Add(d, b)
}}
"""


@pytest.mark.parametrize("opset", [17, 21])
def test_the_runtime_reads_them_with_the_same_values(opset):
    model = onnx.parser.parse_model(_TEXT.format(opset=opset))
    with pytest.raises(Exception, match="INVALID_GRAPH"):
        ort.InferenceSession(model.SerializeToString())
    restate_wide(model)
    x = np.array([[3000.2, -0.8]], np.float32)
    (y,) = ort.InferenceSession(model.SerializeToString()).run(None, {"x": x})
    np.testing.assert_array_equal(y, np.array([[20000003000.0, -2.5]], np.float32))
    assert [node.domain for node in model.graph.node][:2] == ["com.microsoft" if opset < 21 else ""] * 2
