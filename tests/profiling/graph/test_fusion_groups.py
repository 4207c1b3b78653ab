from pathlib import Path

import networkx as nx
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, parser, shape_inference

from profiling.graph.fusion_groups import group_nodes, unportable_tensors
from profiling.runtime.open_session import Runtime, Trace, open_session

SHAPE = [1, 2, 4, 4]
HEADER = '<ir_version: 8, opset_import: ["" : 17]> g (float[1, 2, 4, 4] x) => (float[1, 2, 4, 4] y) '
WEIGHTS = "<float[2, 2, 1, 1] w, float[2, 1, 1] b, float s = {0.1}, uint8 z = {128}> "
CONV = "Conv <kernel_shape = [1, 1]>"


def named(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a model as preparing leaves it: shapes known, nodes named, here after what they write."""
    for node in model.graph.node:
        node.name = node.output[0]
    return shape_inference.infer_shapes(model)


def groups(body: str) -> list[list[str]]:
    model = named(parser.parse_model(f"{HEADER}{WEIGHTS}{{ {body} }}"))
    return [[node.name for node in group] for group in group_nodes(model)]


def test_what_follows_a_convolution_and_is_read_once_joins_it():
    assert groups(f"c = {CONV} (x, w) a = Add (c, b) y = Relu (a)") == [["c", "a", "y"]]


def test_a_residual_sum_joins_the_convolution_that_is_computed_last():
    body = f"c = {CONV} (x, w) d = {CONV} (c, w) a = Add (c, d) y = Relu (a)"
    assert groups(body) == [["c"], ["d", "a", "y"]]


def test_a_tensor_that_is_read_twice_ends_a_unit():
    assert groups(f"c = {CONV} (x, w) r = Relu (c) y = Mul (r, c)") == [["c"], ["r"], ["y"]]


def test_both_halves_of_a_silu_join_their_convolution_and_no_other():
    assert groups(f"c = {CONV} (x, w) gate = Sigmoid (c) y = Mul (c, gate)") == [["c", "gate", "y"]]
    # The Sigmoid of another tensor gates it: no SiLU.
    body = f"c = {CONV} (x, w) d = {CONV} (x, w) gate = Sigmoid (c) y = Mul (d, gate)"
    assert groups(body) == [["c", "gate"], ["d"], ["y"]]


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


SLICE = "Slice (a, {start}, e, h, t)"
SLICES = "int64[1] z0 = {0}, int64[1] z1 = {1}, int64[1] e = {99}, int64[1] h = {3}, int64[1] t = {2}"


def sliced(body: str) -> onnx.ModelProto:
    return named(parser.parse_model(f"{HEADER}<{SLICES}> {{ a = Sqrt (x) {body} y = Sqrt (z) }}"))


@pytest.mark.parametrize(
    ("concat", "units"),
    [
        ("z = Concat <axis = 1> (p, q)", [1, 3, 1]),
        ("k = Slice (p, z0, e, h, t) m = Slice (q, z0, e, h, t) z = Concat <axis = 1> (k, m)", [1, 5, 1]),
        ("z = Concat <axis = 3> (p, q, a)", [1, 1, 1, 1, 1]),  # all of the tensor, too
        ("r = Sqrt (p) z = Concat <axis = 1> (p, q, r)", [1, 1, 1, 1, 1, 1]),
        ("k = Sqrt (q) m = Concat <axis = 1> (p, q) z = Concat <axis = 1> (m, k)", [1, 1, 1, 1, 1, 1, 1]),
    ],
)
def test_slices_of_one_tensor_and_their_concat_are_one_unit(concat, units):
    body = f"p = {SLICE.format(start='z0')} q = {SLICE.format(start='z1')} {concat}"
    assert [len(group) for group in group_nodes(sliced(body))] == units


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


def test_what_the_caller_reads_as_well_ends_a_unit():
    text = f"{HEADER.replace('y) ', 'y, float[1, 2, 4, 4] c) ')}{WEIGHTS}{{ c = {CONV} (x, w) y = Relu (c) }}"
    model = named(parser.parse_model(text))
    assert [[node.name for node in group] for group in group_nodes(model)] == [["c"], ["y"]]


def test_in_a_quantized_model_a_unit_reads_integers_and_writes_integers():
    body = (
        f"q = QuantizeLinear (x, s, z) d = DequantizeLinear (q, s, z) c = {CONV} (d, w) "
        "p = QuantizeLinear (c, s, z) y = DequantizeLinear (p, s, z)"
    )
    assert groups(body) == [["q"], ["d", "c", "p"], ["y"]]


def sequence_model() -> onnx.ModelProto:
    text = (
        f"{HEADER}{{ a = Relu (x) b = Sigmoid (a) l = SequenceConstruct (a, b) n = Tanh (b) "
        "i = SequenceLength (l) f = Cast <to = 1> (i) m = Mul (n, f) y = Relu (m) }"
    )
    return named(parser.parse_model(text))


def test_what_cannot_be_handed_over_is_known_by_its_type():
    assert unportable_tensors(sequence_model()) == {"l"}


def test_who_writes_and_who_reads_a_sequence_are_one_unit_with_what_lies_between():
    together = next(group for group in group_nodes(sequence_model()) if any(n.name == "l" for n in group))
    assert {"l", "i"} <= {node.name for node in together}


OPERATORS = {
    "Conv": 1, "Relu": 1, "Sigmoid": 1, "Identity": 1, "MaxPool": 1, "Add": 2, "Mul": 2, "Erf": 1, "Sqrt": 1,
    "Sub": 2, "Div": 2, "Tanh": 1,
}  # fmt: skip


@st.composite
def random_models(draw) -> onnx.ModelProto:
    nodes, tensors = [], ["x"]
    for number in range(draw(st.integers(1, 12))):
        op_type = draw(st.sampled_from(sorted(OPERATORS)))
        read = [draw(st.sampled_from(tensors[-4:])) for _ in range(OPERATORS[op_type])]
        read += ["w"] if op_type == "Conv" else []
        settings = {"kernel_shape": [1, 1]} if op_type in ("Conv", "MaxPool") else {}
        nodes.append(helper.make_node(op_type, read, [f"t{number}"], f"n{number}", **settings))
        tensors.append(f"t{number}")
    used = {name for node in nodes for name in node.input}
    ends = [name for name in tensors[1:] if name not in used or draw(st.integers(0, 5)) == 0]
    info = [helper.make_tensor_value_info(name, TensorProto.FLOAT, SHAPE) for name in tensors]
    outputs = [value for value in info if value.name in ends]
    weight = helper.make_tensor("w", TensorProto.FLOAT, [2, 2, 1, 1], [0.5] * 4)
    graph = helper.make_graph(nodes, "g", info[:1], outputs, [weight], value_info=info[1:])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_a_sigmoid_is_part_of_a_unit_only_with_the_mul_of_both():
    def model_with(last: str) -> onnx.ModelProto:
        nodes = [
            helper.make_node("Conv", ["x", "w"], ["a"], "conv", kernel_shape=[1, 1]),
            helper.make_node("Sigmoid", ["a"], ["b"], "sigmoid"),
            helper.make_node(last, ["a", "b"], ["y"], "last"),
        ]
        ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, SHAPE) for name in "xaby"]
        weight = helper.make_tensor("w", TensorProto.FLOAT, [2, 2, 1, 1], [0.5] * 4)
        graph = helper.make_graph(nodes, "g", ends[:1], ends[3:], [weight], value_info=ends[1:3])
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)

    assert [len(group) for group in group_nodes(model_with("Mul"))] == [3]
    assert [len(group) for group in group_nodes(model_with("Add"))] == [1, 1, 1]


@given(random_models())
def test_units_share_no_node_and_stand_in_an_order_that_runs(model):
    ordered = [node for group in group_nodes(model) for node in group]
    assert sorted(n.name for n in ordered) == sorted(n.name for n in model.graph.node)
    written = {"x", "w"}
    for node in ordered:
        assert written.issuperset(node.input)
        written.update(node.output)


@given(random_models())
def test_only_the_last_node_of_a_unit_is_read_outside_and_units_form_no_circle(model):
    unit_of = {node.name: index for index, group in enumerate(group_nodes(model)) for node in group}
    last = {group[-1].name for group in group_nodes(model)}
    writer = {node.output[0]: node.name for node in model.graph.node}
    edges = {(writer[name], node.name) for node in model.graph.node for name in node.input if name in writer}
    outside = {a for a, b in edges if unit_of[a] != unit_of[b]}
    outside |= {writer[value.name] for value in model.graph.output}
    assert outside <= last
    assert nx.is_directed_acyclic_graph(
        nx.DiGraph((unit_of[a], unit_of[b]) for a, b in edges if unit_of[a] != unit_of[b])
    )


@pytest.mark.parametrize("elem_type", [TensorProto.STRING, TensorProto.BFLOAT16, TensorProto.COMPLEX64])
def test_types_that_numpy_lacks_cannot_be_handed_over(elem_type):
    node = helper.make_node("Identity", ["x"], ["y"], "y")
    ends = [helper.make_tensor_value_info(name, elem_type, [1]) for name in "xy"]
    model = helper.make_model(helper.make_graph([node], "g", ends[:1], ends[1:]))
    assert unportable_tensors(model) == {"y"}
