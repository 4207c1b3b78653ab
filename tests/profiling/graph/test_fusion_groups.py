import networkx as nx
import onnx
import pytest
from grouped_models import CONV, HEADER, SHAPE, WEIGHTS, groups, named
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, parser

from profiling.graph.fusion_groups import group_nodes, unportable_tensors


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
