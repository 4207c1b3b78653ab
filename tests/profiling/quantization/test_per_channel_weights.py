import models
import numpy as np
import onnx
import pytest
from models import with_weights
from prepared_models import Prepared

from profiling.errors import QuantizeError
from profiling.quantization import qdq_model as tool
from profiling.quantization.per_channel_weights import ScaledSubstitutes, scaled_substitutes
from profiling.quantization.qdq_model import INT8, INT8_REDUCED, Scheme, quantize

_MIXED = """
<ir_version: 8, opset_import: ["" : 17]>
mixed (float[1, 4, 6, 6] x) => (float[1, 6] y)
<float[8, 4, 3, 3] w1, float[8] b1, float[8, 1, 3, 3] w2, float[8] b2, float[8, 4, 2, 2] w3, float[4] b3,
 int64[2] shape, float[576, 5] w4, float[5] b4, float[6, 5] w5, float[6] b5, float[5] s>
{
    c1 = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (x, w1, b1)
    r1 = Relu (c1)
    c2 = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1], group = 8> (r1, w2, b2)
    c3 = ConvTranspose <kernel_shape = [2, 2], strides = [2, 2]> (c2, w3, b3)
    f3 = Flatten (c3)
    m4 = MatMul (f3, w4)
    a4 = Add (m4, b4)
    z4 = Mul (a4, s)
    y = Gemm <transB = 1> (z4, w5, b5)
}
"""


def model_of(name: str) -> onnx.ModelProto:
    if name != "mixed":
        return getattr(models, name)()
    model = with_weights(_MIXED)
    for tensor in model.graph.initializer:
        value = onnx.numpy_helper.to_array(tensor).copy()
        if tensor.name == "w1":
            value[2] = 0  # a channel of zeros
            value[3] *= 1e-12  # whose bias would not fit into int32
        if tensor.name == "b1":
            value[3] = 3.0
        tensor.CopyFrom(onnx.numpy_helper.from_array(value, tensor.name))
    return model


@pytest.fixture(scope="module", params=["residual", "branches", "join", "silu", "mixed"])
def prepared(request, tmp_path_factory) -> Prepared:
    return Prepared(model_of(request.param), tmp_path_factory.mktemp(request.param), request.param)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("scheme", [INT8, INT8_REDUCED, Scheme(symmetric=True)])
def test_constants_are_bit_for_bit_those_of_the_tool(prepared, scheme, seed, monkeypatch):
    rng = np.random.default_rng(seed)
    other = Scheme(scheme.symmetric, not scheme.reduce_range)
    schemes = {
        node: other if seed == 3 and rng.random() < 0.5 else scheme
        for unit in prepared.graph.units
        if unit.quantizable and (seed == 0 or rng.random() < 0.6)
        for node in unit.nodes
    }
    ours = quantize(prepared.graph.model, schemes, prepared.calibration.ranges)
    monkeypatch.setattr(tool, "scaled_substitutes", lambda model, nodes: ScaledSubstitutes({}, model, {}))
    theirs = quantize(prepared.graph.model, schemes, prepared.calibration.ranges)
    assert [n.SerializeToString() for n in ours.graph.node] == [
        n.SerializeToString() for n in theirs.graph.node
    ]
    assert constants(ours) == constants(theirs)


def constants(model) -> dict[str, tuple]:
    return {
        tensor.name: (tensor.data_type, tuple(tensor.dims), onnx.numpy_helper.to_array(tensor).tobytes())
        for tensor in model.graph.initializer
    }


def test_every_plain_weight_has_a_substitute(prepared):
    nodes = set(prepared.graph.quantizable_nodes)
    small = scaled_substitutes(prepared.graph.model, nodes)
    weighted = [n for n in prepared.graph.model.graph.node if n.op_type in ("Conv", "Gemm", "MatMul")]
    assert all(node.input[1] in small.constants for node in weighted)
    assert all(tensor.ByteSize() < 100 for tensor in small.constants.values())


def test_a_weight_that_two_nodes_read_is_left_to_the_tool():
    text = """
    <ir_version: 8, opset_import: ["" : 17]>
    shared (float[1, 3, 4, 4] x) => (float[1, 3, 4, 4] y) <float[3, 3, 1, 1] w>
    { c = Conv <kernel_shape = [1, 1]> (x, w)
      y = Conv <kernel_shape = [1, 1]> (c, w) }
    """
    model = with_weights(text)
    for node in model.graph.node:
        node.name = node.output[0]
    assert scaled_substitutes(model, {node.name for node in model.graph.node}).constants == {}


def test_a_weight_that_is_not_finite_is_refused(tmp_path):
    model = models.silu()
    weight = next(t for t in model.graph.initializer if t.name == "w1")
    value = onnx.numpy_helper.to_array(weight).copy()
    prepared = Prepared(model, tmp_path, "finite")
    value[0, 0] = np.inf
    broken = onnx.ModelProto()
    broken.CopyFrom(prepared.graph.model)
    next(t for t in broken.graph.initializer if t.name == "w1").CopyFrom(
        onnx.numpy_helper.from_array(value, "w1")
    )
    with pytest.raises(QuantizeError, match="not finite"):
        quantize(
            broken, prepared.calibration.of(prepared.graph.quantizable_nodes), prepared.calibration.ranges
        )
