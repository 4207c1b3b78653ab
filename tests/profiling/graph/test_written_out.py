"""Operators that a model writes out in several nodes are one unit, as they are one kernel."""

from pathlib import Path

import onnx
import pytest
from grouped_models import CONV, HEADER, groups, named
from onnx import parser

from profiling.graph.fusion_groups import group_nodes
from profiling.runtime.open_session import Runtime, Trace, open_session

ERF = "d = Div (a, s) e = Erf (d) o = Add (e, s) m = Mul ({x}, o) y = Mul (m, s)"
TANH = (
    "h = Mul (a, s) c = Pow (a, s) k = Mul (c, s) p = Add (a, k) u = Mul (p, s) e = Tanh (u) o = Add (e, s) "
    "y = Mul (h, o)"
)


@pytest.mark.parametrize(
    ("body", "gelu"),
    [
        (ERF.format(x="a"), "deomy"),
        (TANH, "hckpueoy"),
        ("h = Mul (s, a) e = Erf (a) o = Add (s, e) y = Mul (o, h)", "heoy"),
    ],
)
@pytest.mark.parametrize("before", [f"a = {CONV} (x, w)", f"f = {CONV} (x, w) a = Add (f, b)"])
def test_all_nodes_of_a_gelu_are_one_unit(body, gelu, before):
    assert groups(f"{before} {body}")[1:] == [list(gelu)]


@pytest.mark.parametrize(
    ("body", "kernel"),
    [
        ("d = Div (a, r) e = Erf (d) o = Add (e, i) m = Mul (a, o) z = Mul (m, h)", "Gelu"),
        (
            "t = Mul (a, h) c = Pow (a, n) k = Mul (c, g) p = Add (a, k) u = Mul (p, q) e = Tanh (u) "
            "o = Add (e, i) z = Mul (t, o)",
            "FastGelu",
        ),
        ("d = Mul (a, g) e = Sigmoid (d) z = Mul (a, e)", "QuickGelu"),
        ("e = Sigmoid (a) z = Mul (a, e)", "QuickGelu"),
    ],
)
def test_the_runtime_computes_a_gelu_in_one_kernel(body, kernel, tmp_path):
    weights = (
        "<float r = {1.4142135381698608}, float i = {1}, float h = {0.5}, float n = {3}, "
        "float g = {0.044715}, float q = {0.7978845608}> "
    )
    model = named(parser.parse_model(f"{HEADER}{weights}{{ a = Relu (x) {body} y = Sqrt (z) }}"))
    assert [len(group) for group in group_nodes(model)] == [1, len(model.graph.node) - 2, 1]
    open_session(model, Runtime(), trace=Trace(tmp_path / "run", tmp_path / "optimized.onnx"))
    optimized = onnx.load(tmp_path / "optimized.onnx")
    assert [node.op_type for node in optimized.graph.node] == ["Relu", kernel, "Sqrt"]


def normalization(body: str, axes: str, opset: int) -> onnx.ModelProto:
    """Return a model with a normalization that is written out between two other operators."""
    mean = "ReduceMean ({x}, k)" if opset >= 18 else f"ReduceMean <axes = {axes}> ({{x}})"
    body = body.format(mean_a=mean.format(x="a"), mean=mean.format(x="p"))
    text = (
        f"{HEADER.replace('17', str(opset))} <float[4] w = {{1, 2, 3, 4}}, float[4] b = {{1, 2, 3, 4}}, "
        "float[1, 1, 1, 4] w4 = {1, 2, 3, 4}, "
        f"float two = {{2}}, float e = {{0.00001}}, int64[1] k = {{3}}> "
        f"{{ a = Relu (x) {body} y = Sqrt (z) }}"
    )
    return named(parser.parse_model(text))


DEVIATION = "m = {mean_a} d = Sub (a, m) p = Pow (d, two) "
VARIANCE = "v = {mean} r = Add (v, e) s = Sqrt (r) "
AFFINE = "q = Div ({divided}, s) c = Mul (q, w) z = Add (c, b)"
LAYER = DEVIATION + VARIANCE + AFFINE.format(divided="d")
LAYER_WITH_TWO_SUBS = (
    f"m = {{mean_a}} d = Sub (a, m) f = Sub (a, m) p = Pow (f, two) {VARIANCE}" + AFFINE.format(divided="d")
)
ROOT_MEAN_SQUARE = f"p = Pow (a, two) {VARIANCE} q = Div (a, s) z = Mul (q, w)"


@pytest.mark.parametrize(
    ("body", "kernel"),
    [
        (LAYER, "LayerNormalization"),
        (LAYER_WITH_TWO_SUBS, "LayerNormalization"),
        (ROOT_MEAN_SQUARE, "SimplifiedLayerNormalization"),
    ],
)
@pytest.mark.parametrize(("axes", "opset"), [("[-1]", 13), ("[3]", 17), ("", 18)])
def test_a_normalization_that_is_written_out_is_one_unit_as_it_is_one_kernel(
    body, kernel, axes, opset, tmp_path
):
    model = normalization(body, axes, opset)
    assert [len(group) for group in group_nodes(model)] == [1, len(model.graph.node) - 2, 1]
    open_session(model, Runtime(), trace=Trace(tmp_path / "run", tmp_path / "optimized.onnx"))
    optimized = onnx.load(tmp_path / "optimized.onnx")
    assert [node.op_type for node in optimized.graph.node] == ["Relu", kernel, "Sqrt"]


def kernels(model: onnx.ModelProto, folder: Path) -> list[str]:
    """Return the operator types of what the runtime runs."""
    open_session(model, Runtime(), trace=Trace(folder / "run", folder / "optimized.onnx"))
    return [node.op_type for node in onnx.load(folder / "optimized.onnx").graph.node]


@pytest.mark.parametrize(
    ("body", "axes"),
    [
        (LAYER, "[1]"),  # over channels
        (LAYER, "[1, 2]"),
        (LAYER, "[2, 3]"),  # over two axes
        (LAYER.replace("Mul (q, w)", "Mul (q, x)"), "[-1]"),  # scaled by what is computed
        (LAYER.replace("Mul (q, w)", "Mul (q, w4)"), "[-1]"),  # by a constant of several axes
        (LAYER.replace("Mul (q, w)", "Mul (q, two)"), "[-1]"),
        (LAYER.replace("Pow (d, two)", "Mul (d, d)"), "[-1]"),
        (LAYER.replace("Sqrt (r)", "Sqrt (v)").replace("r = Add (v, e) ", ""), "[-1]"),
        (
            LAYER.replace("z = Add (c, b)", "n = Add (c, b) z = Add (n, s)"),
            "[-1]",
        ),  # its root has another use
        (ROOT_MEAN_SQUARE.replace("Pow (a, two)", "Mul (a, a)"), "[-1]"),
        (ROOT_MEAN_SQUARE.replace("Mul (q, w)", "Mul (q, w4)"), "[-1]"),
    ],
)
def test_what_is_no_normalization_is_decided_node_by_node(body, axes, tmp_path):
    model = normalization(body, axes, 13)
    units = [{node.name for node in group} for group in group_nodes(model)]
    assert not any({"q", "s"} <= unit for unit in units)
    assert not any("Normalization" in kernel for kernel in kernels(model, tmp_path))


@pytest.mark.parametrize(
    "body",
    [
        LAYER.replace("z = Add (c, b)", "z = Add (c, v)"),  # the variance is read outside
        LAYER.replace("Div (d, s)", "Div (a, s)"),
        LAYER.replace("Div (d, s)", "Div (s, d)"),
        ROOT_MEAN_SQUARE.replace("Pow (a, two)", "Pow (x, two)"),  # of another tensor
    ],
)
def test_a_normalization_with_a_part_of_something_else_is_decided_node_by_node(body):
    units = [{node.name for node in group} for group in group_nodes(normalization(body, "[-1]", 13))]
    assert not any({"q", "s"} <= unit for unit in units)


def test_of_a_normalization_whose_mean_is_read_outside_the_rest_is_one_unit_as_it_is_one_kernel(tmp_path):
    model = normalization(LAYER.replace("z = Add (c, b)", "n = Add (c, b) z = Add (n, m)"), "[-1]", 13)
    assert ["p", "v", "r", "s", "q", "c"] in [
        [node.name for node in group if node.name != "n"] for group in group_nodes(model)
    ]
    assert "SimplifiedLayerNormalization" in kernels(model, tmp_path)


def test_what_is_normalized_may_be_an_output_too():
    model = normalization(LAYER, "[3]", 13)
    read = next(value for value in model.graph.value_info if value.name == "a")
    model.graph.output.append(read)
    model.graph.value_info.remove(read)
    assert [len(group) for group in group_nodes(model)] == [1, len(model.graph.node) - 2, 1]


@pytest.mark.parametrize(
    "body",
    [
        "b2 = Relu (x) a = Sigmoid (x) " + ERF.format(x="b2"),  # gates another tensor
        "a = Relu (x) q = Relu (x) d = Add (a, q) e = Erf (d) o = Add (e, s) y = Mul (a, o)",  # f(x, q)
        "a = Relu (x) d = Div (a, s) e = Erf (d) o = Add (e, d) y = Mul (a, o)",  # d is read twice, in f
        "a = Relu (x) e = Erf (a) o = Add (e, s) m = Mul (a, o) y = Add (m, e)",  # f is read elsewhere
        "a = Relu (x) e = Erf (a) o = Add (e, s) y = Div (a, o)",
        "a = Relu (x) e = Tanh (a) y = Mul (e, e)",
        "a = Relu (x) y = Tanh (a)",
        "a = Relu (x) e = Sigmoid (s) y = Mul (a, e)",  # of a constant
    ],
)
def test_what_is_no_gelu_is_decided_node_by_node(body):
    assert not any({"e", "y"} <= set(group) for group in groups(body))
