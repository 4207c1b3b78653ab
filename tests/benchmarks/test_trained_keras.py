"""A Keras model made of an ONNX model answers as that one does, channels last."""

import subprocess
import sys

import numpy as np
import onnx
import onnxruntime as ort
from models import with_weights
from npz_archives import arrays_of
from repository import ROOT
from tensorflow_extra import needs_tensorflow

pytestmark = needs_tensorflow

# Odd and even padding, a channel each, what residual networks do between widths, and a classifier's end.
_NETWORK = """
<ir_version: 8, opset_import: ["" : 17]>
net (float[N, 3, 9, 8] x) => (float[N, 5] y)
<float[4, 3, 3, 3] w1, float[4] b1, float[4, 1, 3, 3] w2, float[4] b2, float[4, 4, 3, 2] w3, float[5, 6] w4,
 float[5] b4>
{
    c1 = Conv <kernel_shape = [3, 3], pads = [0, 0, 1, 1], strides = [2, 2]> (x, w1, b1)
    low = Constant <value_float = 0.0> ()
    high = Constant <value_float = 6.0> ()
    r1 = Clip (c1, low, high)
    c2 = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1], group = 4> (r1, w2, b2)
    a2 = Add (c2, r1)
    r2 = Relu (a2)
    c3 = Conv <kernel_shape = [3, 2], pads = [1, 0, 1, 1]> (r2, w3)
    from = Constant <value_ints = [0, 0]> ()
    to = Constant <value_ints = [2147483647, 2147483647]> ()
    axes = Constant <value_ints = [2, 3]> ()
    steps = Constant <value_ints = [2, 2]> ()
    s3 = Slice (c3, from, to, axes, steps)
    wider = Constant <value_ints = [0, 1, 0, 0, 0, 1, 0, 0]> ()
    p3 = Pad (s3, wider)
    g3 = GlobalAveragePool (p3)
    f3 = Flatten (g3)
    d4 = Gemm <transB = 1> (f3, w4, b4)
    y = Softmax (d4)
}
"""
_ANSWER = """
import sys
import numpy as np, onnx
from trained_keras import in_keras
folder = sys.argv[1]
samples = np.load(folder + "/x.npy").transpose(0, 2, 3, 1)
np.savez(folder + "/y.npz", y=np.asarray(in_keras(onnx.load(folder + "/net.onnx"))(samples)))
"""


def test_a_model_of_convolutions_gives_the_same_answers(tmp_path):
    model = with_weights(_NETWORK)
    for node in [node for node in model.graph.node if node.op_type == "Constant"]:
        values = np.asarray(onnx.helper.get_attribute_value(node.attribute[0]))
        kind = np.float32 if values.dtype.kind == "f" else np.int64
        model.graph.initializer.append(onnx.numpy_helper.from_array(values.astype(kind), node.output[0]))
        model.graph.node.remove(node)
    onnx.save(model, tmp_path / "net.onnx")
    samples = np.random.default_rng(0).standard_normal((3, 3, 9, 8), np.float32)
    np.save(tmp_path / "x.npy", samples)
    call = [sys.executable, "-c", _ANSWER, str(tmp_path)]
    done = subprocess.run(call, cwd=ROOT / "benchmarks", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (expected,) = ort.InferenceSession(str(tmp_path / "net.onnx")).run(None, {"x": samples})
    assert np.ptp(expected) > 0.1
    np.testing.assert_allclose(arrays_of(tmp_path / "y.npz")["y"], expected, atol=1e-5)
