"""Graphs that exporters really write and that planners stumble over, each as small as it can be."""

import numpy as np
import onnx
from models import with_weights
from onnx import helper, numpy_helper, parser

_HEAD = '<ir_version: 8, opset_import: ["" : 17]>'

TEXTS = {
    "if": """
        g (float[1, 4] x, bool[1] flag) => (float[1, 4] y)
        <float[4, 4] w, float[4] b, float[4, 4] v>
        {
            h = Gemm (x, w, b)
            k = If (flag) <
                then_branch = yes () => (float[1, 4] t) { t = Add (h, x) },
                else_branch = no () => (float[1, 4] e) { e = Mul (h, b) }
            >
            y = MatMul (k, v)
        }""",
    "nested_if": """
        g (float[1, 4] x, bool[1] flag, bool[1] other) => (float[1, 4] y)
        <float[4, 4] w, float[4] b>
        {
            h = Gemm (x, w, b)
            y = If (flag) <
                then_branch = yes () => (float[1, 4] t) {
                    t = If (other) <
                        then_branch = deep () => (float[1, 4] d) { d = MatMul (h, w) },
                        else_branch = flat () => (float[1, 4] f) { f = Relu (x) }
                    >
                },
                else_branch = no () => (float[1, 4] e) { e = Neg (h) }
            >
        }""",
    "loop": """
        g (float[1, 4] x) => (float[1, 4] y)
        <int64 trips = {3}, bool go = {1}, float[4, 4] w, float[4] b>
        {
            h = Gemm (x, w, b)
            s = Loop (trips, go, h) <
                body = step (int64 i, bool c, float[1, 4] before) => (bool c2, float[1, 4] after) {
                    c2 = Identity (c)
                    m = MatMul (before, w)
                    after = Tanh (m)
                }
            >
            y = Gemm (s, w, b)
        }""",
    "scan": """
        g (float[1, 4] x) => (float[4] y, float[3, 4] sums)
        <float[3, 4] steps, float[4, 4] w>
        {
            h = MatMul (x, w)
            start = Flatten <axis = 0> (h)
            first = Squeeze (start)
            y, sums = Scan <
                num_scan_inputs = 1,
                body = add (float[4] total, float[4] one) => (float[4] next, float[4] seen) {
                    next = Add (total, one)
                    seen = Identity (next)
                }
            > (first, steps)
        }""",
    "optional_inputs": """
        g (float[1, 2, 4, 4] x) => (float[1, 2, 8, 8] y)
        <float[2, 2, 1, 1] w, float six = {6.0}, float[4] scales = {1.0, 1.0, 2.0, 2.0}>
        {
            c = Conv <kernel_shape = [1, 1]> (x, w)
            r = Clip (c, , six)
            y = Resize <mode = "nearest"> (r, , scales)
        }""",
    "several_ends": """
        g (float[1, 4] x, float[1, 4] z) => (float[1, 4] y, float[1, 4] u, float[1, 4] h)
        <float[4, 4] w, float[4] b, float[4, 4] v>
        {
            h = Gemm (x, w, b)
            m = MatMul (z, v)
            y = Add (h, m)
            u = Mul (m, m)
        }""",
    "state": """
        g (float[1, 1, 3] x, float[1, 1, 4] h0, float[1, 1, 4] c0)
            => (float[1, 2] y, float[1, 1, 4] h1, float[1, 1, 4] c1)
        <float[1, 16, 3] w, float[1, 16, 4] r, float[1, 32] b, float[4, 2] v>
        {
            all, h1, c1 = LSTM <hidden_size = 4> (x, w, r, b, , h0, c0)
            flat = Flatten <axis = 2> (h1)
            y = MatMul (flat, v)
        }""",
    "passed_through": """
        g (float[1, 4] x) => (float[1, 4] y, float[1, 4] x)
        <float[4, 4] w, float[4] b>
        {
            h = Gemm (x, w, b)
            y = Relu (h)
        }""",
    "constant_output": """
        g (float[1, 4] x) => (float[1, 4] y, float[4] b)
        <float[4, 4] w, float[4] b>
        {
            y = Gemm (x, w, b)
        }""",
    "constant_nodes": """
        g (float[1, 4] x) => (float[1, 4] y)
        <float[4, 4] w>
        {
            two = Constant <value = float[1] {2.0}> ()
            h = MatMul (x, w)
            k = Mul (h, two)
            shape = Constant <value = int64[2] {1, 4}> ()
            y = Reshape (k, shape)
        }""",
    "integers": """
        g (int64[1, 3] words, float[1, 4] x) => (float[1, 4] y, int64[1, 3] next)
        <float[9, 4] table, float[4, 4] w, int64[1] one = {1}, float shift = {0.5}>
        {
            next = Add (words, one)
            rows = Gather (table, words)
            mean = ReduceMean <axes = [1], keepdims = 0> (rows)
            m = MatMul (mean, w)
            k = Add (m, x)
            y = Add (k, shift)
        }""",
    "halves": """
        g (float16[1, 4] x) => (float16[1, 4] y)
        <float[4, 4] w, float[4] b>
        {
            f = Cast <to = 1> (x)
            h = Gemm (f, w, b)
            r = Relu (h)
            half = Cast <to = 10> (r)
            y = Add (half, x)
        }""",
    "fed_weights": """
        g (float[1, 2, 4, 4] x, float[2, 2, 1, 1] w) => (float[1, 2, 4, 4] y)
        <float[2, 2, 1, 1] v>
        {
            c = Conv <kernel_shape = [1, 1]> (x, w)
            y = Conv <kernel_shape = [1, 1]> (c, v)
        }""",
    "unused_input": """
        g (float[1, 4] x, float[1, 4] spare) => (float[1, 4] y)
        <float[4, 4] w>
        { y = MatMul (x, w) }""",
}


def text_model(name: str) -> onnx.ModelProto:
    return with_weights(_HEAD + TEXTS[name])


def strange_names() -> onnx.ModelProto:
    """Names with slashes, colons, brackets and letters beyond ASCII; node names empty or repeated."""
    model = text_model("several_ends")
    names = {
        "x": "input/x:0",
        "z": "größe",
        "h": "模型/h",
        "m": "m m",
        "y": "y:0",
        "u": "[red]u",
        "w": "w/w",
    }
    for node in model.graph.node:
        node.name = "" if node.op_type == "Gemm" else "again/and:again"
        for ends in (node.input, node.output):
            for place, name in enumerate(ends):
                ends[place] = names.get(name, name)
    for part in (model.graph.input, model.graph.output, model.graph.initializer):
        for value in part:
            value.name = names.get(value.name, value.name)
    return model


def scalars() -> onnx.ModelProto:
    """A scalar input and a scalar output."""
    model = with_weights(
        _HEAD
        + """
        g (float[1, 4] x, float[1] gain) => (float[1, 4] y, float[1] peak)
        <float[4, 4] w>
        {
            h = MatMul (x, w)
            y = Mul (h, gain)
            peak = ReduceMax <keepdims = 0> (y)
        }"""
    )
    for value in (model.graph.input[1], model.graph.output[1]):
        del value.type.tensor_type.shape.dim[:]
    return model


def functions() -> onnx.ModelProto:
    """A model that calls a function of its own."""
    model = parser.parse_model(
        """<ir_version: 8, opset_import: ["" : 17, "own" : 1]>
        g (float[1, 4] x) => (float[1, 4] y) <float[4, 4] w>
        { h = MatMul (x, w)  y = own.twice (h) }
        <opset_import: ["" : 17], domain: "own">
        twice (a) => (b) { b = Add (a, a) }"""
    )
    del model.graph.value_info[:]
    weight = np.random.default_rng(0).normal(size=(4, 4)).astype(np.float32)
    model.graph.initializer.append(numpy_helper.from_array(weight, "w"))
    return model


def runtime_domain() -> onnx.ModelProto:
    """An operator outside the ONNX standard that the runtime has."""
    return with_weights(
        """<ir_version: 8, opset_import: ["" : 17, "com.microsoft" : 1]>
        g (float[1, 4] x) => (float[1, 4] y) <float[4, 4] w>
        { h = MatMul (x, w)  y = com.microsoft.Gelu (h) }"""
    )


def listed_weights() -> onnx.ModelProto:
    """Weights listed as inputs, as models before IR version 4 had to."""
    model = text_model("several_ends")
    model.ir_version = 3
    for init in model.graph.initializer:
        model.graph.input.append(helper.make_tensor_value_info(init.name, init.data_type, list(init.dims)))
    return model


def shared_weights() -> onnx.ModelProto:
    """One weight read by three nodes."""
    model = text_model("several_ends")
    for node in model.graph.node:
        if node.op_type == "MatMul":
            node.input[1] = "w"
    return model


BUILT = {
    builder.__name__: builder
    for builder in (strange_names, scalars, functions, runtime_domain, listed_weights, shared_weights)
}


def odd_model(name: str) -> onnx.ModelProto:
    return BUILT[name]() if name in BUILT else text_model(name)


def samples(model: onnx.ModelProto, count: int = 8) -> dict[str, np.ndarray]:
    """Return arrays for every fed input, samples first."""
    rng = np.random.default_rng(7)
    constants = {init.name for init in model.graph.initializer}
    arrays = {}
    for value in model.graph.input:
        if value.name in constants:
            continue
        tensor = value.type.tensor_type
        dtype = helper.tensor_dtype_to_np_dtype(tensor.elem_type)
        shape = (count, *(d.dim_value or 1 for d in tensor.shape.dim))
        if np.issubdtype(dtype, np.floating):
            arrays[value.name] = rng.normal(size=shape).astype(dtype)
        else:
            arrays[value.name] = rng.integers(0, 2 if dtype == np.bool_ else 9, size=shape).astype(dtype)
    return arrays
