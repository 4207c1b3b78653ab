"""Tiny models in ONNX text, with weights drawn from a fixed seed."""

import numpy as np
import onnx
from onnx import numpy_helper, parser

from profiling.onnx_io.subgraphs import all_inputs

_RESIDUAL = """
<ir_version: 8, opset_import: ["" : 17]>
residual (float[N, 2, 8, 8] x) => (float[N, 4] y)
<float[4, 2, 3, 3] w1, float[4] b1, float[4, 4, 3, 3] w2, float[4] b2, float[4, 4, 1, 1] w3, float[4] b3,
 float[4, 4] w4, float[4] b4>
{
    c1 = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (x, w1, b1)
    r1 = Relu (c1)
    c2 = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (r1, w2, b2)
    a2 = Add (c2, r1)
    r2 = Relu (a2)
    c3 = Conv <kernel_shape = [1, 1]> (r2, w3, b3)
    r3 = Relu (c3)
    p3 = GlobalAveragePool (r3)
    f3 = Flatten (p3)
    y = Gemm (f3, w4, b4)
}
"""

_BRANCHES = """
<ir_version: 8, opset_import: ["" : 17]>
branches (float[1, 4, 6, 6] x) => (float[1, 4, 6, 6] left, float[1, 4, 6, 6] y)
<float[4, 4, 1, 1] w1, float[4] b1, float[4, 4, 1, 1] w2, float[4] b2, float[4, 4, 3, 3] w3, float[4] b3,
 float[4, 4, 1, 1] w4, float[4] b4>
{
    stem = Conv <kernel_shape = [1, 1]> (x, w1, b1)
    left = Conv <kernel_shape = [1, 1]> (stem, w2, b2)
    right = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (stem, w3, b3)
    pool = MaxPool <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (right)
    both = Mul (left, pool)
    y = Conv <kernel_shape = [1, 1]> (both, w4, b4)
}
"""

_JOIN = """
<ir_version: 8, opset_import: ["" : 17]>
join (float[1, 4, 6, 6] x) => (float[1, 8, 1, 1] y)
<float[4, 4, 1, 1] w1, float[4] b1, float[4, 4, 3, 3] w2, float[4] b2, float[8, 8, 1, 1] w3, float[8] b3>
{
    one = Conv <kernel_shape = [1, 1]> (x, w1, b1)
    two = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (x, w2, b2)
    sum = Add (one, two)
    both = Concat <axis = 1> (sum, one)
    mean = GlobalAveragePool (both)
    y = Conv <kernel_shape = [1, 1]> (mean, w3, b3)
}
"""

_SILU = """
<ir_version: 8, opset_import: ["" : 17]>
silu (float[1, 2, 4, 4] x) => (float[1, 2, 4, 4] y)
<float[2, 2, 1, 1] w1, float[2] b1>
{
    c = Conv <kernel_shape = [1, 1]> (x, w1, b1)
    s = Sigmoid (c)
    y = Mul (c, s)
}
"""

# Matrix products; two units read h, and an If reads it from outside.
_MATRICES = """
<ir_version: 8, opset_import: ["" : 17]>
matrices (float[1, 16] x) => (float[1, 4] y)
<float[16, 32] w1, float[32] b1, float[32, 32] w2, float[32, 4] w3>
{
    m = MatMul (x, w1)
    a = Add (m, b1)
    h = Relu (a)
    c = ReduceMean <axes = [1], keepdims = 1> (h)
    d = Sub (h, c)
    t = Tanh (d)
    e = MatMul (t, w2)
    s = ReduceMax <keepdims = 0> (c)
    half = Constant <value_float = 0.5> ()
    k = Greater (s, half)
    f = If (k) <
        then_branch = large () => (float[1, 32] p) { p = Mul (h, e) },
        else_branch = small () => (float[1, 32] q) { q = Add (h, e) }
    >
    y = MatMul (f, w3)
}
"""

# Two blocks of a ResNet.
_BLOCKS = """
<ir_version: 8, opset_import: ["" : 17]>
blocks (float[1, WIDTH, 8, 8] x) => (float[1, WIDTH, 8, 8] y)
<float[WIDTH, WIDTH, 3, 3] w1, float[WIDTH] b1, float[WIDTH, WIDTH, 3, 3] w2, float[WIDTH] b2,
 float[WIDTH, WIDTH, 3, 3] w3, float[WIDTH] b3, float[WIDTH, WIDTH, 1, 1] w4, float[WIDTH] b4>
{
    c1 = Conv <pads = [1, 1, 1, 1]> (x, w1, b1)
    r1 = Relu (c1)
    c2 = Conv <pads = [1, 1, 1, 1]> (r1, w2, b2)
    s2 = Add (c2, r1)
    r2 = Relu (s2)
    c3 = Conv <pads = [1, 1, 1, 1]> (r2, w3, b3)
    s3 = Add (c3, r2)
    r3 = Relu (s3)
    y = Conv (r3, w4, b4)
}
"""


def with_weights(text: str, seed: int = 0) -> onnx.ModelProto:
    """Parse a model and give values to the initializers that it declares."""
    model = parser.parse_model(text)
    rng = np.random.default_rng(seed)
    declared = list(model.graph.value_info)
    used = {name for node in model.graph.node for name in all_inputs(node)}
    written = {name for node in model.graph.node for name in node.output}
    for value in declared:
        if value.name in used - written:
            shape = [d.dim_value for d in value.type.tensor_type.shape.dim]
            weight = rng.normal(size=shape).astype(np.float32) / np.sqrt(np.prod(shape[1:]) or 1)
            model.graph.initializer.append(numpy_helper.from_array(weight, value.name))
    del model.graph.value_info[:]
    return model


def residual() -> onnx.ModelProto:
    return with_weights(_RESIDUAL)


def residual_blocks(channels: int) -> onnx.ModelProto:
    return with_weights(_BLOCKS.replace("WIDTH", str(channels)))


def branches() -> onnx.ModelProto:
    return with_weights(_BRANCHES)


def join() -> onnx.ModelProto:
    return with_weights(_JOIN)


def silu() -> onnx.ModelProto:
    return with_weights(_SILU)


def matrices() -> onnx.ModelProto:
    return with_weights(_MATRICES)
